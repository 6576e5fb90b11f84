#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What only a working KVM can tell to be wrong in a file: one line with its place, status 2, nothing left behind.
. "$(dirname "$(realpath "$0")")/lib.sh"

refused() {
	local name=$1 expected=$2 status=0
	timeout "$limit" "$capsa" -q -c "$work/$name.conf" </dev/null >"$work/said.txt" 2>&1 || status=$?
	[ $status = 2 ] || {
		echo "status $status"
		return 1
	}
	grep -qxE "$expected" "$work/said.txt" && [ "$(wc -l <"$work/said.txt")" = 1 ] &&
		[ ! -e "$XDG_RUNTIME_DIR/capsa/$name" ]
}

bits=$(sed -n 's/^address sizes.*: \([0-9]*\) bits physical.*/\1/p' /proc/cpuinfo | head -n 1)

memory_beyond_the_address_bits() {
	printf 'memory = "16T";\nboot = { kernel_entry = "compressed"; };\n' >"$work/large.conf"
	refused large "capsa: $work/large.conf:1: key \"memory\": it leaves no room for devices below the [0-9]+ address bits of this host; write less"
}

if [ "${bits:-64}" -lt 44 ]; then
	check "memory beyond the host's address bits" memory_beyond_the_address_bits
else
	skip "memory beyond the host's address bits" "this host has ${bits:-unknown} of them"
fi
finish
