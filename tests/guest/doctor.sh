#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# `capsa doctor` on a host whose KVM works, as an ordinary user: it says so, and what it says of a machine comes true.
. "$(dirname "$(realpath "$0")")/lib.sh"

works_and_says_so() {
	"$capsa" doctor >"$work/report.txt" || return
	grep -qE '^This works' "$work/report.txt" && ! grep -q '^fail' "$work/report.txt"
}

# Slow is no failure, but said: the guest's instructions a second decide.
slow_is_said() {
	local rate verdict
	"$capsa" doctor --json >"$work/report.txt" || return
	rate=$(jq -r '.checks[] | select(.name == "guest self-test") | .detail' "$work/report.txt" |
		sed -n 's/^a guest ran \([0-9]*\) million.*/\1/p')
	verdict=$(jq -r '.verdict' "$work/report.txt")
	echo "$rate million instructions a second: $verdict"
	case $verdict in
	slow) [ "$rate" -le 100 ] ;;
	usable) [ "$rate" -ge 100 ] ;;
	*) return 1 ;;
	esac
}

quiet_is_a_status() {
	"$capsa" doctor --quiet >"$work/report.txt" 2>&1 && [ ! -s "$work/report.txt" ]
}

a_machine_that_shows_something() {
	machine good
	"$capsa" doctor -c "$work/good.conf" >"$work/report.txt" || return
	grep -qE '^ok +virtio_console +a module, which is in .*/initrd.img$' "$work/report.txt" || return
	guest good 'echo it shows'
}

# The same machine without the driver: status 1, and indeed not a word on hvc0.
a_machine_that_shows_nothing() {
	mkdir -p "$work/poor"
	cp "$build/capsa" "$work/poor/init" # anything
	(cd "$work/poor" && echo init | cpio --quiet -o -H newc) >"$work/poor.img"
	machine poor "boot = { initrd = \"$work/poor.img\"; };"
	"$capsa" doctor -c "$work/poor.conf" >"$work/report.txt" && return 1
	grep -qE '^fail +virtio_console +not built into the kernel, and .*/poor.img has no such module' "$work/report.txt" || return
	run_machine poor
	[ ! -s "$work/console.txt" ]
}

check "a KVM that works is called so" works_and_says_so
check "slow or usable goes by the guest's speed" slow_is_said
check "--quiet is a status alone" quiet_is_a_status
check "a machine of which doctor finds no fault shows something" a_machine_that_shows_something
check "a machine without a virtio driver shows nothing, as doctor says" a_machine_that_shows_nothing
finish
