# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# shares.bash: what tests of virtio-fs share: programs for the guest, an initramfs with them, machines with shares.
# Sourced behind lib.sh.

# make_files DIR: the programs, and an initramfs that has them
make_files() {
	mkdir -p "$1" && cc -static -O2 -o "$1/file-checks" "$tests/file-checks.c" &&
		cc -static -O2 -o "$1/file-exerciser" "$tests/file-exerciser.c" &&
		"$top/packaging/mkinitramfs" -k "$kernels/cloud" -o "$1/fs.initrd" -z none \
			-a "$1/file-checks:/bin/file-checks" -a "$1/file-exerciser:/bin/file-exerciser" \
			-m 'virtio_pci virtio_console virtiofs' -M 'virtio-rng button evdev pvpanic-pci'
}

# Where they were made before (`fs.sh prepare`), which is faster outside of an emulator.
prepare_files() {
	local made=$build/tests/guest source
	for source in "$tests/file-checks.c" "$tests/file-exerciser.c" "$kernels/cloud/vmlinuz"; do
		[ "$made/fs.initrd" -nt "$source" ] || {
			made=$work
			make_files "$made" || return
			break
		}
	done
	checks=$made/file-checks
	initrd=$made/fs.initrd
}

prepare_or_skip() {
	prepare_files >"$work/prepare.txt" 2>&1 || {
		sed 's/^/  | /' "$work/prepare.txt"
		skip "$1" "no static C library, or no kernel"
		finish
	}
}

# with_shares NAME CONSOLE SHARES [LINE...]: a machine whose console has that backend; SHARES are words of share()
with_shares() {
	local name=$1 backend=$2 shares=$3
	shift 3
	machine "$name" "boot = { kernel = \"$kernels/cloud/vmlinuz\"; initrd = \"$initrd\"; };" \
		"devices = ( { plugin = \"console\"; backend = \"$backend\"; }, { plugin = \"rng\"; }$shares );" "$@"
}

# For a guest's script: its kernel says where a task stands that has waited for so many seconds.
# shellcheck disable=SC2034 # for test files
tell_of_waiting='echo 30 >/proc/sys/kernel/hung_task_timeout_secs'

# share TAG PATH [KEYS]: one of them
share() {
	printf ', { plugin = "virtio-fs"; tag = "%s"; path = "%s"; %s }' "$1" "$2" "${3-}"
}

# Lines "capsa: " of $work/messages.txt: nothing went wrong.
is_silent() {
	! grep -E '^capsa: ' "$work/messages.txt"
}

# sums FILE: lines "HASH  ./NAME" of a console, in order. Each may stand behind a piece of the kernel's (lib.sh, guest).
sums() {
	tr -d '\r' <"$1" | grep -oE '[0-9a-f]{64}  .*' | sort
}
