#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The console of a real guest: driven from a script, attached to, and all its backends; no byte is lost on any way.
. "$(dirname "$(realpath "$0")")/lib.sh"

# All of 64 MiB, on whatever machine.
[ -z "${LONG-}" ] || limit=1500

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

# ---- the other backends ----

stdio_to_the_end() {
	machine stdio
	peer stdio_serves "$work/stdio.conf"
}

escape_key_powers_off() {
	machine escape
	peer stdio_escapes "$work/escape.conf"
}

signals_restore_the_terminal() {
	machine signals
	peer stdio_signalled "$work/signals.conf"
}

pty_from_end_to_end() {
	machine pty "devices = ( { plugin = \"console\"; backend = \"pty\"; path = \"$work/link\"; } );"
	peer pty_serves "$work/pty.conf" "$work/link"
}

numbers='i=0; while [ $i -lt 3000 ]; do echo "number $i of the console"; i=$((i+1)); done'

file_has_it_all() {
	machine file "devices = ( { plugin = \"console\"; backend = \"file\"; path = \"$work/log\"; } );"
	run_machine file --append "quiet $(run_words "stty -onlcr; $numbers")" || return
	grep '^number' "$work/log" | cmp - <(for ((i = 0; i < 3000; i++)); do echo "number $i of the console"; done)
}

# full COMMAND...: a machine that says more than its file can take, run by that command
full() {
	local status
	machine full "devices = ( { plugin = \"console\"; backend = \"file\"; path = \"$work/full/log\"; } );"
	mkdir -p "$work/full"
	"$@" timeout "$limit" "$capsa" -c "$work/full.conf" --append "quiet $(run_words "$numbers")" \
		</dev/null >"$work/said.txt" 2>&1
	status=$?
	[ $status = 0 ] && [ "$(grep -c 'output is thrown away' "$work/said.txt")" = 1 ]
}

on_a_small_disk() {
	unshare -r -m sh -c 'mount -t tmpfs -o size=16k tmpfs "$0" && "$@"' "$work/full" "$@"
}

with_a_small_limit() (
	ulimit -f 16
	"$@"
)

full_disk_harms_nobody() {
	full on_a_small_disk && grep -q 'No space left on device' "$work/said.txt"
}

file_limit_harms_nobody() {
	full with_a_small_limit && grep -q 'File too large' "$work/said.txt" && [ "$(stat -c %s "$work/full/log")" = 16384 ]
}

reader_that_leaves_harms_nobody() {
	local statuses
	machine head
	timeout "$limit" "$capsa" -c "$work/head.conf" --append "quiet $(run_words "$numbers")" </dev/null \
		2>"$work/said.txt" | head -n 1 >"$work/console.txt"
	statuses="${PIPESTATUS[*]}"
	[ "$statuses" = '0 0' ] && grep -q 'standard output: Broken pipe' "$work/said.txt"
}

# Messages go to a pipe that nobody reads, and the console to a socket.
messages_nobody_reads_harm_nobody() {
	machine deaf "$socket_console"
	timeout "$limit" python3 -c 'import os, signal, sys
r, w = os.pipe()
os.close(r)
os.dup2(w, 2)
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])' "$capsa" -c "$work/deaf.conf" --append 'quiet capsa.demo=poweroff' </dev/null
}

it_starts >"$work/start" 2>&1 || cat "$work/start"
typed_ahead_arrives() {
	machine ahead
	echo 'echo typed-$((40 + 2)); poweroff -f' | timeout "$limit" "$capsa" -c "$work/ahead.conf" >"$work/console.txt" 2>"$work/messages.txt" &&
		says '^typed-42'
}

check "a script runs commands in the guest" commands_run
check "patterns are found, and what one connection leaves is there for the next" patterns_are_found
check "a time-out is told with the last lines" time_outs_are_told
check "a terminal is attached: keys, window size, escape, signals" it_attaches
told "up to 64 MiB come from the guest to a slow reader unharmed, and capsa stores none of it" bytes_arrive
told "up to 64 MiB come to the guest unharmed" bytes_arrive_in_the_guest
check "the end of a machine that is attended is told" the_end_is_told
check "stdio: the terminal is the guest's, and restored when it powers off" stdio_to_the_end
check "stdio: the escape key powers off, the terminal is restored" escape_key_powers_off
check "stdio: SIGINT, SIGHUP and SIGTERM restore the terminal" signals_restore_the_terminal
check "pty: who opens it finds the guest, again and again" pty_from_end_to_end
check "file: it has every line" file_has_it_all
check "file: a full disk is told once, the guest goes on" full_disk_harms_nobody
check "file: so is a limit of its size" file_limit_harms_nobody
check "stdio: a reader that leaves is told once, the guest goes on" reader_that_leaves_harms_nobody
check "stdio: what was typed before the guest was there reaches it" typed_ahead_arrives
check "messages that nobody reads end no machine" messages_nobody_reads_harm_nobody
finish
