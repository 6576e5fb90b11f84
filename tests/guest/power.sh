#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# How machines end: poweroff, reboot, panic, the power button, time-outs and signals.
. "$(dirname "$(realpath "$0")")/lib.sh"

status_of() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" = "$want" ] || {
		echo "status $got, not $want"
		return 1
	}
}

reboot_ends() {
	machine reboot
	run_machine reboot --append 'quiet capsa.demo=reboot' || return
	grep -q 'guest reset' "$work/messages.txt"
}

# The first boot resets itself; the machine comes back, and then is ended by hand.
reboot_restarts() {
	machine restart 'on_reboot = "restart";'
	attended restart --append 'quiet capsa.demo=reboot'
	hear 'Welcome to capsa' && hear 'Welcome to capsa' && stop_machine
}

panic_is_told() {
	machine panic
	status_of 1 run_machine panic --append 'quiet capsa.demo=panic' || return
	grep -q "capsa: the guest's kernel panicked" "$work/messages.txt"
}

# Without its driver nobody tells: a reset like any other.
panic_without_driver_is_a_reset() {
	machine panic2
	run_machine panic2 --append 'quiet capsa.demo=panic module_blacklist=pvpanic_pci,pvpanic-pci' || return
	grep -q 'capsa: guest reset' "$work/messages.txt"
}

listener='echo listening; read -r x; echo heard $x; sleep 1000'

sigterm_presses_the_button() {
	machine button
	attended button --append "quiet $(run_words "$listener")"
	hear listening || return
	kill -TERM "$pid"
	wait "$pid" || return
	grep -q 'asking the guest to power off' "$work/messages.txt" && ! grep -q 'is ended' "$work/messages.txt"
}

deaf='killall acpid; echo deaf; sleep 1000'

stop_timeout_ends_a_deaf_guest() {
	machine deaf 'stop_timeout = 1;'
	attended deaf --append "quiet $(run_words "$deaf")"
	hear deaf || return
	kill -TERM "$pid"
	wait "$pid" || return
	grep -q 'within stop_timeout' "$work/messages.txt"
}

second_sigterm_ends_at_once() {
	machine deaf2 'stop_timeout = 1000;'
	attended deaf2 --append "quiet $(run_words "$deaf")"
	hear deaf || return
	kill -TERM "$pid"
	wait_for_line "$work/messages.txt" 'asking the guest' || return
	kill -TERM "$pid"
	wait "$pid" || return
	grep -q 'a second signal' "$work/messages.txt"
}

two_of_one_name() {
	machine twin 'stop_timeout = 1;'
	attended twin --append "quiet $(run_words "$deaf")"
	hear deaf || return
	"$capsa" -c "$work/twin.conf" </dev/null >"$work/second.txt" 2>&1 && return 1
	grep -q 'already' "$work/second.txt" || return
	stop_machine
}

killed_leaves_nothing_in_the_way() {
	machine killed
	attended killed --append "quiet $(run_words "$deaf")"
	hear deaf || return
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	run_machine killed --append 'quiet capsa.demo=poweroff' || return
	[ ! -e "$XDG_RUNTIME_DIR/capsa/killed" ]
}

check "reboot ends capsa with status 0" reboot_ends
check "on_reboot = restart boots again" reboot_restarts
check "a panic is told and ends with status 1" panic_is_told
check "a panic that no driver tells of is a guest reset" panic_without_driver_is_a_reset
check "SIGTERM presses the power button" sigterm_presses_the_button
check "after stop_timeout a deaf guest is ended" stop_timeout_ends_a_deaf_guest
check "a second SIGTERM ends the machine at once" second_sigterm_ends_at_once
check "a second machine of the same name is refused while the first runs" two_of_one_name
check "a killed machine leaves nothing that is in the way" killed_leaves_nothing_in_the_way
finish
