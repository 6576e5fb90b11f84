#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `capsa run` and `capsa start` and how they can be ended: whatever happens, no process, socket or folder is left. The guest
# need not come up for that, so this also runs where KVM makes machines that do not get far.
set -u
capsa=$CAPSA_BUILD/capsa
kernel=$("$CAPSA_SOURCE/packaging/kernel-fetch" -p)/default
skip() {
	echo "1..0 # SKIP $*"
	exit 0
}
{ [ -r /dev/kvm ] && [ -w /dev/kvm ]; } || skip "no KVM here"
[ -r "$kernel/vmlinuz" ] || skip "no kernel: ./bootstrap prepare fetches one"
command -v busybox >/dev/null || skip "busybox is missing"
work=$(mktemp -d)
trap 'kill -KILL $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work/run CAPSA_CACHE=$work/cache CAPSA_AGENT=$CAPSA_BUILD/agent/capsa-agent
CAPSA_PLUGIN_PATH=$(printf '%s:' "$CAPSA_BUILD"/plugins/*/.libs)
export CAPSA_PLUGIN_PATH
mkdir -m 700 "$XDG_RUNTIME_DIR"
cd "$work" || exit
mkfifo held
"$capsa" image build --kernel "$kernel" >image.txt 2>&1 || "$capsa" image build >image.txt 2>&1 || skip "no image: $(head -n 1 image.txt)"
n=0

# check NAME FUNCTION
check() {
	local output
	n=$((n + 1))
	if output=$("$2" 2>&1); then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '%s\n' "$output" | sed 's/^/# /'
	fi
}
# begin WORD...: capsa in the background, `pid`; returns when its machine "box" has a process, `machine`.
begin() {
	env --default-signal "$capsa" "$@" >out.txt 2>err.txt </dev/null &
	wait_for_machine
}
wait_for_machine() {
	pid=$!
	until [ -S "$XDG_RUNTIME_DIR/capsa/box/agent.sock" ]; do
		kill -0 $pid || {
			cat err.txt
			return 1
		}
	done
	read -r machine <"$XDG_RUNTIME_DIR/capsa/box/lock"
	[ "$machine" -gt 1 ]
}
# ended STATUS: capsa has ended with it, the machine's process is gone, and all that was its.
ended() {
	local is=0
	wait $pid || is=$?
	timeout 60 tail --pid="$machine" -f /dev/null || return
	[ $is = "$1" ] && [ ! -e "$XDG_RUNTIME_DIR/capsa/box" ] || {
		echo "status $is, not $1"
		find "$XDG_RUNTIME_DIR"
		cat err.txt
		return 1
	}
}
# refused STATUS PATTERN COMMAND...: says one line of that kind, and leaves nothing.
refused() {
	local wanted=$1 pattern=$2 is=0
	shift 2
	timeout 60 "$@" >out.txt 2>err.txt </dev/null || is=$?
	[ $is = "$wanted" ] && grep -qE -- "$pattern" err.txt && [ "$(wc -l <err.txt)" = 1 ] || {
		echo "status $is, not $wanted, of: $*"
		cat err.txt
		return 1
	}
}

signals_end_both() {
	local signal
	for signal in INT:130 TERM:143 HUP:129; do
		begin run --name box -- sleep 1000 && kill -"${signal%:*}" "$pid" && ended "${signal#*:}" && [ ! -s err.txt ] || return
	done
}
# Before there is a machine, and at every moment of its making. Standard error is closed when the last process has gone.
early_signals_end_both() {
	local i pid is reader
	for i in $(seq 16); do
		cat held >err.txt &
		reader=$!
		env --default-signal "$capsa" run --name box -- sleep 1000 >out.txt 2>held </dev/null &
		pid=$!
		# env(1) gives the signals back that this shell's background ignores.
		until [ "$(<"/proc/$pid/comm")" = capsa ]; do :; done
		# Some system calls later each time.
		for _ in $(seq $((i * 10))); do kill -0 $pid; done
		kill -INT $pid
		is=0
		wait $pid || is=$?
		wait $reader
		[ $is = 130 ] && [ ! -e "$XDG_RUNTIME_DIR/capsa/box" ] || {
			echo "$i: status $is"
			cat err.txt
			find "$XDG_RUNTIME_DIR"
			return 1
		}
	done
}
a_killed_client_takes_its_machine_along() {
	begin run --name box -- sleep 1000 && kill -KILL "$pid" && ended 137
}
a_killed_machine_is_told() {
	begin run --name box -- sleep 1000 || return
	kill -KILL "$machine"
	wait "$pid"
	[ $? = 125 ] && [ "$(wc -l <err.txt)" = 1 ] && grep -q "process was killed" err.txt || {
		cat err.txt
		return 1
	}
	# What it left is found by the next command.
	"$capsa" ls >/dev/null && [ ! -e "$XDG_RUNTIME_DIR/capsa/box" ]
}
no_standard_descriptors() {
	env --default-signal "$capsa" run --name box -- sleep 1000 >&- 2>&- <&- &
	wait_for_machine && kill -TERM "$pid" && ended 143
}
a_name_is_one_machines() {
	begin run --name box -- sleep 1000 && refused 125 'box.*(already|runs|use)' "$capsa" run --name box -- true &&
		refused 1 'box.*(already|runs|use)' "$capsa" start --name box && kill -0 "$machine" && kill -TERM "$pid" && ended 143
}
start_is_ended_too() {
	begin start --name box && kill -INT "$pid" && ended 130 && begin start --name box && kill -KILL "$pid" && ended 137 || return
	begin start --name box || return
	kill -KILL "$machine"
	wait "$pid"
	[ $? = 1 ] && grep -q "process was killed" err.txt && "$capsa" ls >/dev/null && [ ! -e "$XDG_RUNTIME_DIR/capsa/box" ]
}
# A pipe that capsa was given ends with capsa, not with its machine.
pipes_are_not_kept() {
	local reader is
	mkfifo pipe
	cat pipe >/dev/null &
	reader=$!
	begin run --name box -- sleep 1000 7>pipe || return
	kill -STOP "$machine" && kill -KILL "$pid"
	is=0
	timeout 60 tail --pid=$reader -f /dev/null || is=1
	kill -CONT "$machine" && ended 137 && [ $is = 0 ]
}
long_folders() {
	local XDG_RUNTIME_DIR part
	part=$(printf '%0100d' 0)
	XDG_RUNTIME_DIR=$work/$part/$part
	mkdir -p "$XDG_RUNTIME_DIR"
	chmod 700 "$XDG_RUNTIME_DIR"
	begin run --name box -- sleep 1000 && kill -TERM "$pid" && ended 143
}
bad_folders() {
	XDG_RUNTIME_DIR=$work/nowhere refused 125 nowhere "$capsa" run -- true &&
		XDG_RUNTIME_DIR=/proc refused 125 /proc "$capsa" run -- true &&
		CAPSA_CACHE=/proc/nowhere refused 125 /proc/nowhere "$capsa" run -- true
}
full_folders() {
	unshare -m true 2>/dev/null || return 0
	mkdir -p -m 700 small
	XDG_RUNTIME_DIR=$work/small refused 125 'No space left' unshare -m sh -c \
		"mount -t tmpfs -o size=4k,nr_inodes=4,mode=700 none '$work/small' && exec '$capsa' run -- sleep 1000"
}
few_descriptors() {
	local limit pid is reader
	for limit in 4 8 12 16 20; do
		cat held >err.txt &
		reader=$!
		bash -c "ulimit -n $limit; exec '$capsa' run --name box -- sleep 1000" >out.txt 2>held </dev/null &
		pid=$!
		while kill -0 $pid 2>/dev/null && [ ! -S "$XDG_RUNTIME_DIR/capsa/box/agent.sock" ]; do :; done
		kill -TERM $pid 2>/dev/null
		is=0
		wait $pid || is=$?
		wait $reader
		# A process that cannot have an event loop ends without a word, and leaves its folder to the next command.
		"$capsa" ls >/dev/null
		# With none to spare not even its libraries are loaded: 127.
		{ [ $is = 143 ] || { [ $is = 125 ] && [ -s err.txt ]; } || { [ $is = 127 ] && grep -q 'shared libraries' err.txt; }; } && [ ! -e "$XDG_RUNTIME_DIR/capsa/box" ] || {
			echo "$limit: status $is"
			cat err.txt
			find "$XDG_RUNTIME_DIR"
			return 1
		}
	done
}
little_memory() {
	refused 125 . bash -c "ulimit -v 300000; exec '$capsa' run -- true" &&
		refused 125 memory "$capsa" run --memory 100T -- true && refused 125 memory "$capsa" run --memory 99999999T -- true &&
		refused 125 'memory.*512M' "$capsa" run --memory 1M -- true && refused 125 cpus "$capsa" run --cpus 255 -- true
}

bad_shares() {
	: >file
	echo 'devices = ( { plugin = "virtio-fs"; path = "/tmp"; tag = "x"; mount = "x"; } );' >relative.conf
	refused 125 '--share: "/tmp": where in the guest' "$capsa" run --share /tmp -- true &&
		refused 125 "--share: there is no folder \"$work/nowhere\"; make it first" "$capsa" run --share nowhere:/x -- true &&
		refused 125 '--share: "/.*/file" is no folder' "$capsa" run --share file:/x -- true &&
		refused 125 '--share: GUEST, "x", is no absolute path' "$capsa" run --share /tmp:x -- true &&
		refused 125 '--root: a machine has one root' "$capsa" run --root / --root /tmp -- true &&
		refused 125 '--root: there is no folder' "$capsa" run --root nowhere -- true &&
		refused 2 '--share: there is no folder' "$capsa" start --name box --share nowhere:/x &&
		refused 125 '--share /tmp:/x,cash=no: ' "$capsa" run --share /tmp:/x,cash=no -- true &&
		refused 125 '--share /tmp:/x/: "/tmp" and "/tmp" are both to be mounted at "/x"' \
			"$capsa" run --share /tmp:/x --share /tmp:/x/ -- true &&
		refused 125 'relative.conf:1: .*mount.* "x".* absolute path' "$capsa" run -c relative.conf -- true
}

check "INT, TERM and HUP end the command and its machine" signals_end_both
check "so they do while it is being made" early_signals_end_both
check "a client that is killed takes its machine along" a_killed_client_takes_its_machine_along
check "a machine whose process is killed is told" a_killed_machine_is_told
check "without standard descriptors" no_standard_descriptors
check "a name is one machine's" a_name_is_one_machines
check "start can be ended before it is ready" start_is_ended_too
check "a machine keeps no pipe of its maker's" pipes_are_not_kept
check "a run-time folder may have a long name" long_folders
check "folders that cannot be used are told" bad_folders
check "a full run-time folder is told" full_folders
check "shares that cannot be are told" bad_shares
check "few descriptors" few_descriptors
check "little memory" little_memory
left=$(find "$XDG_RUNTIME_DIR" "$work/small" -mindepth 1 ! -path "$XDG_RUNTIME_DIR/capsa" ! -name .lock 2>/dev/null)
n=$((n + 1))
if [ -z "$left" ]; then echo "ok $n - nothing is left"; else echo "not ok $n - nothing is left" && echo "# $left"; fi
echo "1..$n"
