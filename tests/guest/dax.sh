#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The DAX window with a stock kernel: files are mapped, and may be cut under their mappings.
. "$(dirname "$(realpath "$0")")/lib.sh"

share=$work/share
size=$((5 << 20))
mkdir "$share"

make_file() {
	local i=0 letters=abcdefghijklmnopqrstuvwxyz
	while [ $i -lt 26 ]; do
		head -c 4096 /dev/zero | tr '\0' "${letters:$i:1}"
		i=$((i + 1))
	done >"$work/alphabet"
	# 26 pages do not divide it, and the last page is whole.
	while :; do cat "$work/alphabet" || break; done 2>/dev/null | head -c $size >"$share/file"
}

# make_files DIR: an initramfs with the guest's side
make_files() {
	mkdir -p "$1" && cc -static -O2 -o "$1/dax-guest" "$tests/dax-guest.c" &&
		"$top/packaging/mkinitramfs" -k "$kernels/cloud" -o "$1/dax.initrd" -z none -a "$1/dax-guest:/bin/dax-guest" \
			-m 'virtio_pci virtio_console virtiofs' -M 'virtio-rng button evdev pvpanic-pci'
}

# Where they were made before (`dax.sh prepare`), which is faster outside of an emulator.
prepare() {
	initrd=$build/tests/guest/dax.initrd
	[ "$initrd" -nt "$tests/dax-guest.c" ] && [ "$initrd" -nt "$kernels/cloud/vmlinuz" ] || {
		initrd=$work/dax.initrd
		make_files "$work"
	}
}

# with_share NAME OPTIONS
with_share() {
	machine "$1" "boot = { kernel = \"$kernels/cloud/vmlinuz\"; initrd = \"$initrd\"; };" \
		"devices = ( { plugin = \"console\"; backend = \"stdio\"; },
			{ plugin = \"virtio-fs\"; tag = \"share0\"; path = \"$share\"; $2 } );"
}

mounted() {
	printf 'mkdir -p /mnt; mount -t virtiofs -o %s share0 /mnt && grep virtiofs /proc/mounts && %s' "$1" "$2"
}

maps_and_survives_a_cut() {
	make_file
	with_share cut 'dax = "16M"; cache = "always";'
	attended cut --append "quiet $(run_words "$(mounted dax=always "stty -echo; dax-guest /mnt/file $size")")"
	hear 'cut it' || return
	says '^mapped right' '^read right' '^written by the guest' || return
	[ "$(dd if="$share/file" bs=1 skip=$((3 * 4096 + 5)) count=20 2>/dev/null)" = 'written by the guest' ] || return
	truncate -s 0 "$share/file"
	echo >&"${console[1]}"
	hear '^capsa.run exit' || return
	wait "$pid" || return
	says '^touched' '^mapped: once more' '^done' '^capsa.run exit 0' || return
	[ "$(dd if="$share/file" bs=1 skip=8192 2>/dev/null)" = 'ONCE more' ]
}

readonly_share_is_mapped() {
	make_file
	with_share readonly 'dax = "16M"; readonly = true;'
	guest readonly "$(mounted dax=always 'dd if=/mnt/file bs=64k 2>/dev/null | md5sum; echo x >/mnt/file; ! echo y >/mnt/new')" || return
	says "^$(md5sum <"$share/file" | cut -c1-32)" 'Read-only'
}

# Less window than files: mappings come and go.
a_small_window_serves_a_big_file() {
	head -c $((24 << 20)) /dev/urandom >"$share/big"
	with_share small 'dax = "4M";'
	guest small "$(mounted dax=always 'dd if=/mnt/big bs=1M 2>/dev/null | md5sum; dd if=/mnt/big of=/mnt/copy bs=1M 2>/dev/null; md5sum /mnt/copy')" || return
	[ "$(grep -c "^$(md5sum <"$share/big" | cut -c1-32)" "$work/console.txt")" = 2 ] && cmp "$share/big" "$share/copy"
}

if [ "${1-}" = prepare ]; then
	make_files "$build/tests/guest"
	exit
fi
if ! prepare >"$work/prepare.txt" 2>&1; then
	sed 's/^/  | /' "$work/prepare.txt"
	skip "DAX" "no static C library, or no kernel"
	finish
fi
check "files are mapped, and cut by the host without harm" maps_and_survives_a_cut
check "a readonly share is mapped, too" readonly_share_is_mapped
check "a small window serves a big file" a_small_window_serves_a_big_file
finish
