#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# A guest that means harm (tests/hostile/guest.c) in place of a kernel: garbage to every register that it can reach, broken
# rings, then an end of its choice. capsa lives to that end and logs each reason once.
. "$(dirname "$(realpath "$0")")/lib.sh"

# hostile WORDS STATUS MESSAGE [LINE...]: runs it; all its own checks are good, and capsa ends as it should
hostile() {
	local status=0
	machine hostile 'serial = true;' 'cpus = 2;' \
		"boot = { kernel = \"$build/tests/hostile/guest.elf\"; cmdline = [ \"$1\" ]; };" "${@:4}"
	run_machine hostile || status=$?
	[ "$status" = "$2" ] || {
		echo "status $status, not $2"
		return 1
	}
	grep -q '^hostile: ends' "$work/messages.txt" || {
		echo "it did not come to its end"
		return 1
	}
	! grep '^hostile: not ok' "$work/messages.txt" || return
	grep -q -- "$3" "$work/messages.txt" || {
		echo "capsa did not say: $3"
		return 1
	}
}

# once DEVICE REASON...: each is logged in one line
once() {
	local device=$1 reason n
	shift
	for reason in "$@"; do
		n=$(grep -c "^capsa: warning: $device: the guest's driver made $reason; the device needs a reset" "$work/messages.txt")
		[ "$n" = 1 ] || {
			echo "$device, $reason: $n lines"
			return 1
		}
	done
}

reasons=('a buffer outside of memory' 'a chain that is too long, or a loop' 'a descriptor index outside of its table'
	'a request with too many bytes' 'a readable buffer behind a writable one' 'an indirect descriptor in an indirect table'
	'an indirect table whose length is no multiple of 16' 'an available index that jumps' 'a ring outside of memory')

lives_to_power_off() {
	hostile end=poweroff 0 '^hostile: ok rng: works after a reset' || return
	once rng0 "${reasons[@]}" && once console0 "${reasons[@]}" || return
	# Whatever else the garbage made it say, nothing twice.
	[ -z "$(grep '^capsa: ' "$work/messages.txt" | sort | uniq -d)" ] || return
	says '^hostile: ok the console speaks'
}

# It keeps the loop busy for ever: signals are heard all the same.
storm_can_be_ended() {
	machine storm 'serial = true;' 'stop_timeout = 1000;' \
		"boot = { kernel = \"$build/tests/hostile/guest.elf\"; cmdline = [ \"end=storm brief\" ]; };"
	"$capsa" -c "$work/storm.conf" </dev/null >"$work/console.txt" 2>"$work/messages.txt" &
	pid=$!
	wait_for_line "$work/messages.txt" '^hostile: storms' || return
	kill -TERM "$pid"
	wait_for_line "$work/messages.txt" 'asking the guest' || return
	kill -TERM "$pid"
	wait "$pid" || return
	grep -q 'a second signal' "$work/messages.txt"
}

# Somebody cuts a file short while its pages are in the guest: it reads zeros there, and hears of it by nothing else.
lives_with_a_cut_file() {
	CAPSA_PLUGIN_PATH=$build/tests/hostile/.libs:$CAPSA_PLUGIN_PATH hostile 'window end=poweroff' 0 \
		'^hostile: ok rng: lives with one that has nothing behind it' "$window" || return
	[ "$(grep -c '^capsa: warning: window0: a file in its shared memory is shorter' "$work/messages.txt")" = 1 ]
}
window="devices = ( { plugin = \"window\"; file = \"$work/window\"; }, { plugin = \"rng\"; } );"

check "a hostile guest is outlived; each reason is logged once; its devices work after a reset" lives_to_power_off
check "its triple fault is a reset" hostile 'end=triple brief' 0 'capsa: guest reset'
check "its reset by the keyboard controller is a reset" hostile 'end=reset brief' 0 'capsa: guest reset'
check "the panic that it tells of is a panic" hostile 'end=panic brief' 1 "capsa: the guest's kernel panicked"
check "a guest that runs where no memory is gets what KVM knows" \
	hostile 'end=nowhere brief' 1 'KVM internal error, suberror 1 (emulation failure).*RIP 0x40000000.*capsa doctor'
check "a file that is cut short under a window reads as zeros; its guest goes on" lives_with_a_cut_file
check "a guest that keeps every loop busy can be ended" storm_can_be_ended
finish
