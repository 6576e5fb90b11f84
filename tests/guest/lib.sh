# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# lib.sh: what guest tests share. A test file sources it, then calls functions of its own with `check`:
#
#   . "$(dirname "$(realpath "$0")")/lib.sh"
#   check "the guest sees two CPUs" two_cpus
#   finish
#
# A check runs in a subshell of its own with `set -e` semantics by hand: it fails when the function
# returns nonzero, and prints what it left in $work/*.txt. Nothing sleeps: waiting is for output or for an end.

set -u
tests=$(dirname "$(realpath "${BASH_SOURCE[0]}")")
top=$(realpath "$tests/../..")
build=${CAPSA_BUILD:-$top/build}
capsa=$build/capsa
export CAPSA_PLUGIN_PATH=${CAPSA_PLUGIN_PATH:-$build/plugins}
kernels=${CAPSA_KERNELS:-$("$top/packaging/kernel-fetch" -p)}
[ -e "$kernels/cloud" ] || kernels=/var/lib/capsa/kernels # where root's bootstrap puts them
export CAPSA_KERNELS=$kernels
work=$(mktemp -d "${TMPDIR:-/tmp}/capsa-test.XXXXXX")
export CAPSA_CACHE=${CAPSA_CACHE:-$work/cache}
[ -n "${XDG_RUNTIME_DIR-}" ] || export XDG_RUNTIME_DIR=$work/run
mkdir -p "$XDG_RUNTIME_DIR"
chmod 700 "$XDG_RUNTIME_DIR"
# One boot takes 5 s in the lab; a test that hangs ends by itself.
limit=${LIMIT:-120}
failures=0
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# In the background of a check: a machine that outlives all limits is described and killed, so that its test fails and
# the others still run.
watch_over() {
	local pid
	sleep $((2 * limit))
	for pid in $(pgrep -x capsa -u "$(id -u)"); do
		grep -qaF "$work/" "/proc/$pid/cmdline" || continue
		{
			echo "still running: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
			grep -HE '^(Name|State|voluntary)' /proc/"$pid"/task/*/status
			grep -H . /proc/"$pid"/task/*/{wchan,syscall}
			command -v gdb >/dev/null && timeout 30 gdb -p "$pid" -batch -ex 'thread apply all bt 12'
		} >>"$work/zz-hung.txt" 2>/dev/null
		kill -KILL "$pid"
	done
}

# What is known of the machines of this test that still run, and what those followed by follow_console() said last.
describe_machines() {
	local pid file
	for pid in $(pgrep -x capsa -u "$(id -u)"); do
		grep -qaF "$work/" "/proc/$pid/environ" || continue
		echo "runs: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
		awk '{ print $2, $3, "ticks:", $14, $15 }' /proc/"$pid"/task/*/stat
		grep -H . /proc/"$pid"/task/*/wchan
	done
	for file in "$work"/*.console; do
		[ -s "$file" ] || continue
		echo "==> $(basename "$file") <=="
		tail -n 25 "$file"
	done
}

# follow_console NAME: what a sandbox says from now on, so that it is known of one that has ended as well
follow_console() {
	"$capsa" logs -f "$1" >>"$work/$1.console" 2>/dev/null &
}

# What a guest's own watchdogs say of a processor that stood still. tests/check looks for it: only the lab's emulator does that.
stood_still='watchdog: BUG: soft lockup - CPU#|rcu: INFO: .* (detected stalls|self-detected stall)'

# check NAME FUNCTION [ARG...]
check() {
	local name=$1 watcher status
	shift
	rm -f "$work"/*.txt
	watch_over 2>/dev/null &
	watcher=$!
	"$@" >"$work/output.txt" 2>&1
	status=$?
	pkill -P $watcher 2>/dev/null
	kill $watcher 2>/dev/null
	wait $watcher 2>/dev/null
	if [ $status = 0 ]; then
		echo "ok - $name"
	else
		echo "not ok - $name"
		failures=$((failures + 1))
		{
			grep -hE "$stood_still" "$work"/*.txt "$work"/*.console
			tail -n 40 "$work"/*.txt
			describe_machines
		} 2>/dev/null | tr -d '\r' | sed 's/^/  | /'
	fi
}

skip() {
	echo "ok - $1 # SKIP $2"
}

finish() {
	[ $failures = 0 ]
	exit
}

# machine NAME [LINE...]: writes $work/NAME.conf. Lines replace the defaults of their key: "cpus = 2;". The default
# devices are a console on stdio and an rng.
machine() {
	local name=$1 line key
	shift
	declare -A lines=(
		[name]="name = \"$name\";"
		[cpus]='cpus = 1;'
		[memory]='memory = "192M";'
		[boot]='boot = { };'
		[devices]='devices = ( { plugin = "console"; backend = "stdio"; }, { plugin = "rng"; } );'
	)
	for line in "$@"; do
		key=${line%% *}
		lines[$key]=$line
	done
	printf '%s\n' "${lines[@]}" >"$work/$name.conf"
}

# run_machine NAME [OPTION...]: to its end. Console in $work/console.txt, messages in $work/messages.txt; returns its status.
# One that takes longer than $limit is described and asked to power off: 124.
run_machine() {
	local name=$1 machine alarm ended status
	shift
	"$capsa" -c "$work/$name.conf" "$@" </dev/null >"$work/console.txt" 2>"$work/messages.txt" &
	machine=$!
	sleep "$limit" &
	alarm=$!
	wait -n -p ended $machine $alarm
	status=$?
	if [ "$ended" = $alarm ]; then
		{
			describe_machines
			"$capsa" info --json "$name" >"$work/before.json"
			sleep 5 # nothing is waited for: a guest that moves will have moved
			"$capsa" info --json "$name" >"$work/after.json"
			python3 "$tests/still.py" "$work/before.json" "$work/after.json"
		} >"$work/late.txt" 2>&1
		kill -TERM $machine
		wait $machine
		return 124
	fi
	kill $alarm
	wait $alarm 2>/dev/null
	return $status
}

# The command line words that make the guest run a script and power off.
run_words() {
	printf 'capsa.run=%s' "$(printf '%s' "$1" | base64 -w0)"
}

# guest NAME SCRIPT [WORDS]: boots, runs the script in the guest, powers off. 0 if all of that went well.
guest() {
	run_machine "$1" --append "$(run_words "$2") ${3-}" || return
	# Anywhere: the kernel's own lines come 16 bytes at a time, and others in between.
	grep -q 'capsa.run exit 0' "$work/console.txt"
}

# says PATTERN...: the console said each (extended regular expressions)
says() {
	local pattern
	for pattern in "$@"; do
		grep -qE -- "$pattern" "$work/console.txt" || {
			echo "the console did not say: $pattern"
			return 1
		}
	done
}

# start_machine NAME [OPTION...]: in the background, $pid. Its console must be a socket. Waits for the greeting.
start_machine() {
	local name=$1
	shift
	"$capsa" -c "$work/$name.conf" "$@" </dev/null >"$work/$name.out.txt" 2>"$work/$name.err.txt" &
	pid=$!
	wait_for_line "$work/$name.err.txt" 'console\.sock' || return
	"$capsa" console "$name" --wait-for 'Welcome to capsa' --timeout "$limit" >"$work/$name.console.txt"
}

# wait_for_line FILE PATTERN: until the file has such a line, or $pid has ended, or the time is over
wait_for_line() {
	: >>"$1" # what writes it may not have begun
	grep -qm1 -E -- "$2" <(timeout "$limit" tail -q -n +1 -s 0.1 --pid="$pid" -f "$1" 2>/dev/null)
}

# attended NAME [OPTION...]: in the background with its console on descriptors: ${console[0]} to read, ${console[1]} to
# write, $pid. Messages in $work/messages.txt.
attended() {
	local name=$1
	shift
	[ -z "${console-}" ] || exec {from_console}<&- {to_console}>&-
	coproc machine { exec "$capsa" -c "$work/$name.conf" "$@" 2>"$work/messages.txt"; }
	# shellcheck disable=SC2154 # coproc sets it
	pid=$machine_PID
	# Copies: bash closes its own when the machine ends, and what it said last may not have been read then.
	# shellcheck disable=SC2154
	exec {from_console}<&"${machine[0]}" {to_console}>&"${machine[1]}"
	console=("$from_console" "$to_console")
}

# hear PATTERN: reads the attended console until a line has it
hear() {
	local line
	while IFS= read -rt "$limit" line <&"${console[0]}"; do
		printf '%s\n' "$line" >>"$work/console.txt"
		[[ $line =~ $1 ]] && return
	done
	echo "the console did not say: $1"
	return 1
}

# tell LINE: types it
tell() {
	printf '%s\n' "$1" >&"${console[1]}"
}

# stop_machine: ends $pid at once; returns its status
stop_machine() {
	kill -TERM "$pid"
	kill -TERM "$pid" 2>/dev/null
	wait "$pid"
}

# shellcheck disable=SC2034 # for test files
socket_console='devices = ( { plugin = "console"; backend = "socket"; }, { plugin = "rng"; } );'

# unpacked KERNEL: the path of its vmlinux, unpacked once
unpacked() {
	local out
	out=$work/vmlinux-$(basename "$(realpath "$kernels/$1")")
	[ -e "$out" ] || python3 "$tests/extract-vmlinux.py" "$kernels/$1/vmlinuz" "$out" || return
	echo "$out"
}
