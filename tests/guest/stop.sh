#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Machines whose guest does not help: it loops with interrupts off, and no exit ever leaves its vCPU.
. "$(dirname "$(realpath "$0")")/lib.sh"

# An ELF with one segment: it writes a line to the serial port, so that we know that it runs, then `cli; jmp .`.
python3 - "$work/spin.elf" <<'END' || exit
import struct, sys
base, entry = 0x1000000, 0x1000078
code = bytes.fromhex("66baf803") + b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in b"spins\n") + bytes.fromhex("faebfe")
header = b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, 120 + len(code), 4096, 4096)
open(sys.argv[1], "wb").write(header + segment + code)
END

# spinner NAME [LINE...]: writes its configuration
spinner() {
	local name=$1
	shift
	machine "$name" 'serial = true;' 'devices = ( { plugin = "rng"; } );' "boot = { kernel = \"$work/spin.elf\"; };" "$@"
}

# spin NAME: in the background, until it spins; $pid
spin() {
	"$capsa" -c "$work/$1.conf" </dev/null >"$work/console.txt" 2>"$work/messages.txt" &
	pid=$!
	wait_for_line "$work/messages.txt" '^spins'
}

# gone NAME: it ends with status 0 and leaves nothing
gone() {
	wait "$pid" || {
		echo "status $?"
		return 1
	}
	[ ! -e "$XDG_RUNTIME_DIR/capsa/$1" ]
}

stop_timeout_ends_it() {
	spinner spin 'stop_timeout = 1;' 'cpus = 2;'
	spin spin || return
	kill -TERM "$pid"
	gone spin && grep -q 'within stop_timeout' "$work/messages.txt"
}

# Signals without end: those that come while files are removed must not end the process before that is done.
many_signals_end_it() {
	spinner storm 'stop_timeout = 1000;'
	spin storm || return
	while kill -TERM "$pid" 2>/dev/null && kill -INT "$pid" 2>/dev/null; do :; done
	gone storm && grep -q 'a second signal' "$work/messages.txt"
}

# Standard error is a pipe that is full and stays so.
nobody_reads_standard_error() {
	spinner mute 'stop_timeout = 1;' 'serial = false;'
	mkfifo "$work/fifo"
	exec 7<>"$work/fifo"
	head -c 65536 /dev/zero >&7
	"$capsa" -c "$work/mute.conf" </dev/null >"$work/console.txt" 2>&7 7>&- &
	pid=$!
	until grep -qsx vcpu0 /proc/"$pid"/task/*/comm; do
		kill -0 "$pid" || return
	done
	kill -TERM "$pid"
	gone mute
}

nohup_holds() {
	spinner held 'stop_timeout = 1;'
	trap '' HUP
	spin held || return
	local ignored
	ignored=$(sed -n 's/^SigIgn:[[:space:]]*//p' "/proc/$pid/status")
	kill -TERM "$pid"
	kill -TERM "$pid"
	gone held && [ $((0x$ignored & 1)) = 1 ]
}

# Nothing is wrong with that, but who sees the machine killed later should have been told.
memory_beyond_the_host() {
	spinner large 'stop_timeout = 0;' 'memory = "64G";'
	spin large || return
	kill -TERM "$pid"
	gone large && grep -q 'may use 64G of memory and this host has [0-9]*M' "$work/messages.txt"
}

check "a guest that loops with interrupts off is ended after stop_timeout" stop_timeout_ends_it
check "signals that come while a machine cleans up change neither its status nor what is left" many_signals_end_it
check "a machine ends although nobody reads its standard error" nobody_reads_standard_error
check "a hangup that nohup ignores is no reason to end" nohup_holds
check "more memory than the host has is told" memory_beyond_the_host
finish
