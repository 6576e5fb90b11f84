#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A machine that lives: start, exec, cp, logs, ls, info, stop, kill; many at once, and what can go wrong.
. "$(dirname "$(realpath "$0")")/lib.sh"

"$capsa" image build -q || exit

# begin NAME: started, and its name was printed
begin() {
	[ "$(timeout "$limit" "$capsa" start --name "$1" --memory 384M 2>&1)" = "$1" ] && follow_console "$1"
}

in_guest() {
	timeout "$limit" "$capsa" exec box -- "$@"
}

copy() {
	timeout "$limit" "$capsa" cp "$@"
}

# refused PATTERN COMMAND...: fails, and says so
refused() {
	local pattern=$1
	shift
	if "$@" >"$work/refused.txt" 2>&1 </dev/null; then
		echo "went well: $*"
		return 1
	fi
	grep -qE -- "$pattern" "$work/refused.txt"
}

starts() {
	begin box && "$capsa" ls >"$work/ls.txt" && grep -qE '^box +[0-9]+ +running' "$work/ls.txt" &&
		[ "$(in_guest hostname </dev/null)" = box ]
}

name_is_taken() {
	refused 'a machine named "box" runs already' "$capsa" start --name box --memory 384M
}

commands() {
	local i pids=()
	[ "$(printf 'a\0b' | in_guest cat | xxd -p)" = 610062 ] || return
	in_guest sh -c 'exit 9' </dev/null
	[ $? = 9 ] || return
	in_guest nothing-of-that-name </dev/null 2>/dev/null
	[ $? = 127 ] || return
	timeout "$limit" "$capsa" exec -e X=1 -w /proc box sh -c '[ "$X$PWD" = 1/proc ]' </dev/null || return
	# Fifty at once, each with its own output.
	for i in $(seq 50); do
		in_guest echo "$i" </dev/null >"$work/many$i" &
		pids+=($!)
	done
	wait "${pids[@]}"
	for i in $(seq 50); do
		[ "$(cat "$work/many$i")" = "$i" ] || return
	done
}

a_terminal() {
	# script(1) gives it one: what the guest sees is one, too, of the same size.
	TERM=xterm script -qec "stty rows 33 cols 77; $capsa exec -t box -- sh -c 'tty; stty size; echo \$TERM'" /dev/null \
		</dev/null >"$work/console.txt" 2>&1 || return
	tr -d '\r' <"$work/console.txt" >"$work/plain.txt"
	grep -q '/dev/pts/' "$work/plain.txt" && grep -q '33 77$' "$work/plain.txt" && grep -q 'xterm$' "$work/plain.txt"
}

slow_readers_wait() {
	# What nobody reads is not kept here: the guest's command waits.
	coproc slow { exec "$capsa" exec box -- sh -c 'head -c 50000000 /dev/zero; echo end >&2' 2>"$work/slow.txt"; }
	local pid=$slow_PID kib in=${slow[0]}
	head -c 1000000 <&"$in" >/dev/null
	kib=$(awk '/VmRSS/ { print $2 }' /proc/$pid/status)
	[ "$kib" -lt 16384 ] && [ ! -s "$work/slow.txt" ] || return
	[ "$(wc -c <&"$in")" = 49000000 ] || return
	wait $pid
	grep -q end "$work/slow.txt"
}

files_are_copied() {
	head -c 5000000 /dev/urandom >"$work/file"
	copy "$work/file" box:/tmp/file && [ "$(in_guest sha256sum /tmp/file </dev/null | cut -c 1-64)" = \
		"$(sha256sum "$work/file" | cut -c 1-64)" ] || return
	copy box:/tmp/file "$work/back" && cmp "$work/file" "$work/back" || return
	# Through pipes.
	copy - box:/tmp/piped <"$work/file" && copy box:/tmp/piped - >"$work/piped" && cmp "$work/file" "$work/piped" || return
	# Into a folder, under its own name; with its mode.
	chmod 751 "$work/file"
	copy "$work/file" box:/root && [ "$(in_guest stat -c %a /root/file </dev/null)" = 751 ]
}

trees_are_copied() {
	mkdir -p "$work/tree/deep/er" "$work/out"
	echo one >"$work/tree/one"
	ln -s ../one "$work/tree/deep/link"
	ln "$work/tree/one" "$work/tree/deep/er/same"
	truncate -s 3G "$work/tree/sparse"
	printf x | dd of="$work/tree/sparse" bs=1 seek=2000000000 conv=notrunc status=none
	chmod 500 "$work/tree/deep/er"
	copy "$work/tree" box:/tmp && copy box:/tmp/tree "$work/out" || return
	[ "$(readlink "$work/out/tree/deep/link")" = ../one ] && [ "$work/out/tree/one" -ef "$work/out/tree/deep/er/same" ] &&
		[ "$(stat -c %s "$work/out/tree/sparse")" = 3221225472 ] && [ "$(stat -c %b "$work/out/tree/sparse")" -lt 1000 ] &&
		cmp "$work/tree/sparse" "$work/out/tree/sparse" && [ "$(stat -c %a "$work/out/tree/deep/er")" = 500 ] || return
	# What is in it, into another folder.
	copy "$work/tree/." box:/tmp/other && in_guest test -e /tmp/other/one </dev/null
	chmod -R u+w "$work/tree" "$work/out"
}

bad_copies() {
	refused 'nowhere: No such file' copy "$work/nowhere" box:/tmp/x &&
		refused '/nowhere in the guest: .*No such file' copy box:/nowhere "$work/x" && [ ! -e "$work/x" ] &&
		refused '/no/where' copy "$work/file" box:/no/where &&
		refused 'no machine "bux" runs; these do: box' copy "$work/file" bux:/tmp/x &&
		refused 'one of the two must be in a machine' copy "$work/file" "$work/x" || return
	# The guest's disk is full.
	in_guest sh -c 'mkdir -p /tmp/small && mount -t tmpfs -o size=1m none /tmp/small' </dev/null &&
		refused 'No space left on device' copy "$work/file" box:/tmp/small/file
}

client_leaves() {
	local pid line
	coproc leaver { exec "$capsa" exec box -- sh -c 'echo $$; exec sleep 1000'; }
	IFS= read -rt "$limit" line <&"${leaver[0]}" || return
	pid=$leaver_PID
	kill -KILL "$pid"
	# The agent ends what its client left: an event, which this waits for.
	in_guest sh -c "while kill -0 $line 2>/dev/null; do usleep 20000; done" </dev/null
}

paused_and_resumed() {
	local here there
	api PUT /vm/pause | grep -q paused || return
	"$capsa" ls >"$work/ls.txt" && grep -qE '^box .*paused' "$work/ls.txt" || return
	read -rt 3 <>"$work/never" 2>/dev/null || : # three seconds pass
	api PUT /vm/resume >/dev/null
	there=$(in_guest date +%s </dev/null) || return
	here=$(date +%s)
	[ $((here - there)) -le 2 ] && [ $((there - here)) -le 2 ] || {
		echo "here $here, in the guest $there"
		return 1
	}
}

# api METHOD PATH: the body
api() {
	python3 - "$XDG_RUNTIME_DIR/capsa/box/control.sock" "$1" "$2" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(f"{sys.argv[2]} {sys.argv[3]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
		print(b"".join(iter(lambda: s.recv(65536), b"")).decode().split("\r\n\r\n", 1)[1])
	END
}

told_about() {
	"$capsa" info box >"$work/info.txt" && "$capsa" info box --plot "$work/start.svg" && grep -q agent "$work/info.txt" &&
		python3 -c 'import sys, xml.dom.minidom as d; d.parse(sys.argv[1])' "$work/start.svg" &&
		api GET /metrics >"$work/metrics.txt" && grep -qE '^capsa_vsock_' "$work/metrics.txt" &&
		in_guest sh -c 'echo hello-console >/dev/hvc0' </dev/null &&
		"$capsa" logs box >"$work/logs.txt" && grep -q hello-console "$work/logs.txt"
}

agent_is_killed() {
	refused 'the agent in the guest was killed' timeout "$limit" "$capsa" exec box -- sh -c \
		'kill -KILL $PPID; sleep 1000' || return
	# There is a new one.
	in_guest true </dev/null
}

panics_in_exec() {
	begin crash || return
	refused "the guest's kernel panicked" timeout "$limit" "$capsa" exec crash -- sh -c \
		'echo 1 >/proc/sys/kernel/sysrq; echo c >/proc/sysrq-trigger' &&
		grep -q sysrq "$work/refused.txt" && [ ! -e "$XDG_RUNTIME_DIR/capsa/crash" ]
}

left_by_a_killed_machine() {
	local machine
	begin stale || return
	machine=$(cat "$XDG_RUNTIME_DIR/capsa/stale/lock")
	kill -KILL "$machine"
	timeout "$limit" tail --pid="$machine" -f /dev/null
	[ -e "$XDG_RUNTIME_DIR/capsa/stale" ] && begin stale && "$capsa" kill stale && [ ! -e "$XDG_RUNTIME_DIR/capsa/stale" ]
}

stops() {
	timeout "$limit" "$capsa" stop box && [ ! -e "$XDG_RUNTIME_DIR/capsa/box" ] &&
		refused 'no machine "box" runs' "$capsa" exec box -- true
}

nothing_is_left() {
	local pid
	[ -z "$(ls "$XDG_RUNTIME_DIR/capsa")" ] || return
	# `logs -f` ends with its machine, also with one that was killed.
	for pid in $(pgrep -x capsa -u "$(id -u)"); do
		timeout 20 tail --pid="$pid" -f /dev/null || return
	done
}

check "start comes back when the agent is ready" starts
check "a name that is taken is refused" name_is_taken
check "exec: streams, status, environment; fifty at once" commands
check "a terminal is one in the guest, of the same size" a_terminal
check "a reader that is slow makes the guest's command wait, not capsa grow" slow_readers_wait
check "cp: files in both directions, through pipes, with their modes" files_are_copied
check "cp: trees with links, hard links and holes" trees_are_copied
check "cp: what cannot be copied is told" bad_copies
check "a command whose client was killed is ended" client_leaves
check "after a pause the guest's clock is right" paused_and_resumed
check "info, metrics and logs tell of the machine" told_about
check "an agent that is killed is told, and there is a new one" agent_is_killed
check "a panic during exec is told" panics_in_exec
check "what a killed machine left is no obstacle" left_by_a_killed_machine
check "stop ends it in order" stops
check "nothing is left" nothing_is_left
finish
