#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `capsa run`: a command in a machine of its own behaves as one of this host would, and leaves nothing behind.
. "$(dirname "$(realpath "$0")")/lib.sh"

memory=256M
# The first one pays for the image; the others are what is tested.
"$capsa" image build -q || exit

# run [OPTION...] -- COMMAND...: as a user would
run() {
	timeout "$limit" "$capsa" run --memory "$memory" "$@"
}

# gone: no machine is left, nor a folder of one
gone() {
	local left
	left=$(ls "$XDG_RUNTIME_DIR/capsa")
	[ -z "$left" ] || {
		echo "left behind: $left"
		return 1
	}
}

# status WANTED COMMAND...
status() {
	local wanted=$1 is=0
	shift
	"$@" || is=$?
	[ $is = "$wanted" ] || {
		echo "status $is, not $wanted: $*"
		return 1
	}
}

the_guest_answers() {
	run -- uname -a >"$work/console.txt" </dev/null || return
	says "^Linux run-[0-9]+ $(basename "$(realpath "$kernels/cloud")")" && gone
}

# Two boots for many words: each line of the script is a case of its own.
commands_are_as_here() {
	run --env "A=b c" --env CAPSA_KERNELS --workdir /tmp --user nobody -- sh -c '
		echo "A=$A"; echo "kernels=$CAPSA_KERNELS"; pwd; id -un; id -u; echo to-error >&2; exit 7' \
		>"$work/console.txt" 2>"$work/error.txt" </dev/null
	[ $? = 7 ] || return
	says '^A=b c$' "^kernels=$CAPSA_KERNELS\$" '^/tmp$' '^nobody$' '^65534$' &&
		[ "$(cat "$work/error.txt")" = to-error ] && gone
}

bytes_pass_unchanged() {
	head -c 3000000 /dev/urandom >"$work/in"
	run -- cat <"$work/in" >"$work/out" || return
	cmp "$work/in" "$work/out" || return
	# A pipe on both sides.
	[ "$(run -- sha256sum <"$work/in" | cut -c 1-64)" = "$(sha256sum <"$work/in" | cut -c 1-64)" ] && gone
}

statuses() {
	status 137 run -- sh -c 'kill -KILL $$' || return
	status 127 run -- no-such-command 2>"$work/error.txt" || return
	grep -q 'no-such-command: command not found in the guest' "$work/error.txt" || return
	status 126 run -- /etc/passwd 2>"$work/error.txt" || return
	grep -q '/etc/passwd: cannot be executed in the guest: Permission denied' "$work/error.txt" || return
	status 124 run --timeout 1 -- sh -c 'sleep 1000 & wait' 2>"$work/error.txt" || return
	grep -q 'ended after 1 s' "$work/error.txt" && gone
}

a_reader_that_leaves() {
	local statuses
	run -- yes 2>"$work/error.txt" | head -n 1 >"$work/first.txt"
	statuses=("${PIPESTATUS[@]}")
	# yes dies of SIGPIPE, as it does here.
	[ "$(cat "$work/first.txt")" = y ] && [ "${statuses[0]}" = 141 ] || return
	# Nowhere to write to, from the beginning.
	status 0 run -- echo unheard >&- && gone
}

a_writer_that_is_not_read() {
	local statuses
	yes | run -- true
	statuses=("${PIPESTATUS[@]}")
	[ "${statuses[*]}" = "141 0" ] && gone
}

# interrupted SIGNAL STATUS: while the command runs
interrupted() {
	coproc client { exec env --default-signal "$capsa" run --memory "$memory" -- sh -c 'echo begun; exec sleep 1000' 2>&1; }
	local line pid=$client_PID
	IFS= read -rt "$limit" line <&"${client[0]}" && [ "$line" = begun ] || return
	kill -"$1" "$pid"
	wait "$pid"
	[ $? = "$2" ] && gone
}

interrupted_at_the_start() {
	env --default-signal "$capsa" run --memory "$memory" -- true &
	local pid=$!
	until [ -n "$(ls "$XDG_RUNTIME_DIR/capsa" 2>/dev/null)" ]; do kill -0 $pid || return; done
	kill -INT $pid
	wait $pid
	[ $? = 130 ] && gone
}

# Nobody is there to tell the machine; it finds out.
client_is_killed() {
	coproc client { exec "$capsa" run --name orphan --memory "$memory" -- sh -c 'echo begun; exec sleep 1000'; }
	local line pid=$client_PID machine
	IFS= read -rt "$limit" line <&"${client[0]}" || return
	machine=$(cat "$XDG_RUNTIME_DIR/capsa/orphan/lock")
	kill -KILL "$pid"
	timeout "$limit" tail --pid="$machine" -f /dev/null && gone
}

twenty_at_once() {
	local i pids=() wrong=0
	for i in $(seq 20); do
		limit=500 memory=96M run -- sh -c "echo $i; exit $i" >"$work/out$i" </dev/null 2>>"$work/error.txt" &
		pids+=($!)
	done
	for i in $(seq 20); do
		wait "${pids[i - 1]}"
		[ $? = "$i" ] && [ "$(cat "$work/out$i")" = "$i" ] || {
			echo "number $i: $(cat "$work/out$i")"
			wrong=1
		}
	done
	[ $wrong = 0 ] && gone
}

guest_panics() {
	status 125 run -- sh -c 'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger' 2>"$work/error.txt" </dev/null ||
		return
	grep -q "the machine has ended: the guest's kernel panicked; its console said last:" "$work/error.txt" &&
		grep -q 'sysrq' "$work/error.txt" && gone
}

guest_powers_off() {
	status 125 run -- sh -c 'poweroff -f; sleep 1000' 2>"$work/error.txt" </dev/null || return
	grep -q 'the machine has ended: the guest powered off' "$work/error.txt" && gone
}

out_of_memory() {
	# tail keeps a line that never ends.
	status 137 run -- tail /dev/zero 2>"$work/error.txt" </dev/null || return
	grep -q 'ran out of memory' "$work/error.txt" && gone
}

trace_is_written() {
	run --trace "$work/trace.json" -- true </dev/null || return
	jq -e '[.traceEvents[].name] | contains(["first KVM_RUN", "kernel: init started", "agent ready", "command started"])' \
		"$work/trace.json"
}

a_file_describes_the_machine() {
	printf '%s\n' 'name = "filed";' 'cpus = 2;' 'memory = "192M";' 'boot = { cmdline = [ "capsa.word=here" ]; };' >"$work/filed.conf"
	timeout "$limit" "$capsa" run -c "$work/filed.conf" -- sh -c 'nproc; hostname; cat /proc/cmdline' >"$work/console.txt" </dev/null ||
		return
	says '^2$' '^filed$' 'capsa\.word=here' && gone
}

# `capsa -c` with sandbox = true: the file's own process is the machine.
a_file_is_a_sandbox() {
	"$capsa" -q -c "$top/conf/sandbox.conf" </dev/null >"$work/console.txt" 2>"$work/messages.txt" &
	pid=$!
	until [ -S "$XDG_RUNTIME_DIR/capsa/sandbox/agent.sock" ]; do kill -0 $pid || return; done
	[ "$(timeout "$limit" "$capsa" exec sandbox -- hostname </dev/null)" = sandbox ] || return
	kill -TERM $pid
	wait $pid && gone
}

bad_options() {
	status 125 "$capsa" run --memory 5X -- true 2>"$work/error.txt" && grep -q -- '--memory: "5X" is no size' "$work/error.txt" &&
		status 125 "$capsa" run 2>"$work/error.txt" && grep -q 'which command?' "$work/error.txt" &&
		status 125 "$capsa" run --kernel /etc/passwd -- true 2>"$work/error.txt" && grep -q '/etc/passwd' "$work/error.txt" &&
		status 125 "$capsa" run --net nowhere -- true 2>"$work/error.txt" && grep -q -- '--net' "$work/error.txt"
}

check "a command runs in a guest, and nothing of it is left" the_guest_answers
check "environment, folder, user, streams and status are the command's own" commands_are_as_here
check "input and output pass unchanged, through files and pipes" bytes_pass_unchanged
check "statuses: 128 + signal, 127, 126, 124" statuses
check "a reader that leaves is SIGPIPE for the command; a closed output is nothing" a_reader_that_leaves
check "a command that reads nothing ends its writer" a_writer_that_is_not_read
check "SIGINT reaches the command: 130" interrupted INT 130
check "SIGTERM reaches the command: 143" interrupted TERM 143
check "SIGINT before there is a command ends it: 130" interrupted_at_the_start
check "a client that is killed takes its machine along" client_is_killed
check "a panic is told, with the console's last lines" guest_panics
check "a guest that powers off is told" guest_powers_off
check "a guest without memory is told" out_of_memory
check "--trace writes a timeline" trace_is_written
check "-c FILE describes the machine" a_file_describes_the_machine
check "a file with sandbox = true has an agent" a_file_is_a_sandbox
check "bad options are told" bad_options
check "twenty at once" twenty_at_once
finish
