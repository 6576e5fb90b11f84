#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The console of a real guest: attached to, driven from a script.
. "$(dirname "$(realpath "$0")")/lib.sh"

driven_from_a_script() {
	machine driven "$socket_console"
	start_machine driven || return
	"$capsa" console driven --exec 'echo hello; exit 3' >"$work/said.txt"
	[ $? = 3 ] && [ "$(cat "$work/said.txt")" = hello ] || return
	stop_machine
}
check "a script runs commands in the guest" driven_from_a_script
finish
