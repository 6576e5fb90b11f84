#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The console of a real guest: driven from a script, attached to, and all its backends; no byte is lost on any way.
. "$(dirname "$(realpath "$0")")/lib.sh"

peer() {
	CAPSA=$capsa timeout "$limit" python3 "$tests/console.py" "$@"
}

# One machine serves all checks of the socket.
machine talk "$socket_console"
socket=$XDG_RUNTIME_DIR/capsa/talk/console.sock

it_starts() {
	start_machine talk --append quiet && "$capsa" console talk --wait-for '# '
}

# runs STATUS OUTPUT COMMAND: in the guest
runs() {
	local status
	"$capsa" console talk --exec "$3" >"$work/said.txt"
	status=$?
	[ $status = "$1" ] && [ "$(cat "$work/said.txt")" = "$2" ] || {
		echo "status $status of: $3"
		return 1
	}
}

commands_run() {
	runs 0 hello 'echo hello' && runs 3 '' 'exit 3' && runs 127 '' 'nonesuch 2>/dev/null' &&
		runs 0 $'1\n2' $'for i in 1 2; do\n\techo $i # a script\ndone'
}

patterns_are_found() {
	"$capsa" console talk --send 'echo mar''ker $((40 + 2))\n' --wait-for 'marker 42' --regex --wait-for '^[^ ]+ # ' || return
	# What the next one looks for was said while nobody looked.
	"$capsa" console talk --send 'echo first; echo sec''ond; echo thi''rd\n' --wait-for second --timeout 20 || return
	"$capsa" console talk --wait-for third --timeout 20
}

time_outs_are_told() {
	"$capsa" console talk --send 'echo never''more\n' --wait-for 'never more' --timeout 1 2>"$work/said.txt"
	[ $? = 124 ] && grep -q '^nevermore$' "$work/said.txt"
}

it_attaches() {
	peer attach talk
}

bytes_arrive() {
	local sum
	sum=$("$capsa" console talk --exec 'dd if=/dev/urandom of=/blob bs=1M count=1 2>/dev/null; md5sum </blob') || return
	peer pull "$socket" "$pid" "${sum%% *}"
}

bytes_arrive_in_the_guest() {
	peer push "$socket"
}

the_end_is_told() {
	peer attended_end talk && wait "$pid"
}

# check, and the figures
told() {
	check "$@"
	grep ' MiB in ' "$work/output.txt" | sed 's/^/# /'
}

it_starts >"$work/start" 2>&1 || cat "$work/start"
check "a script runs commands in the guest" commands_run
check "patterns are found, and what one connection leaves is there for the next" patterns_are_found
check "a time-out is told with the last lines" time_outs_are_told
check "a terminal is attached: keys, window size, escape, signals" it_attaches
told "64 MiB come from the guest to a slow reader unharmed, and capsa stores none of it" bytes_arrive
told "64 MiB come to the guest unharmed" bytes_arrive_in_the_guest
check "the end of a machine that is attended is told" the_end_is_told
finish
