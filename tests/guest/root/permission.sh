#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, to be somebody else: a user who is not in the group of /dev/kvm reads which one to join.
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

# stranger ARGUMENT...: capsa as a user in no group, with folders and a copy of the program of its own: the checkout may
# lie where nobody else can go
stranger() {
	local home=$work/stranger
	mkdir -p "$home/run"
	cp "$capsa" "$build"/plugins/*/.libs/*.so "$home/"
	cp "$work/stranger.conf" "$home/" 2>/dev/null
	chown -R 4711:4711 "$home"
	chmod 700 "$home/run"
	chmod 711 "$work"
	XDG_RUNTIME_DIR=$home/run CAPSA_CACHE=$home/cache CAPSA_PLUGIN_PATH=$home timeout "$limit" \
		setpriv --reuid=4711 --regid=4711 --clear-groups "$home/capsa" "$@" </dev/null
}

a_machine_is_refused_with_the_remedy() {
	local status=0
	machine stranger 'boot = { kernel_entry = "compressed"; };' # quick: nothing to unpack
	stranger -c "$work/stranger/stranger.conf" >"$work/said.txt" 2>&1 || status=$?
	[ $status = 1 ] || return
	grep -qx 'capsa: Backend unavailable: KVM device /dev/kvm not accessible: permission denied: add yourself to the group that owns /dev/kvm: sudo usermod -aG kvm USER, then log in again' "$work/said.txt" || return
	[ ! -e "$work/stranger/run/capsa/stranger" ]
}

doctor_says_the_same() {
	local status=0 none=$work/stranger/kernels
	# To unpack the default kernel takes a while, and is not what this is about.
	mkdir -p "$none/default" && : >"$none/default/vmlinuz"
	CAPSA_KERNELS=$none stranger doctor >"$work/report.txt" 2>&1 || status=$?
	[ $status = 1 ] || return
	grep -q '^fail  /dev/kvm  *KVM device /dev/kvm not accessible: permission denied$' "$work/report.txt" || return
	grep -q -- '-> add yourself to the group that owns /dev/kvm: sudo usermod -aG kvm USER' "$work/report.txt"
}

if [ "$(stat -c %G /dev/kvm)" = kvm ]; then
	check "a user outside of the group kvm is told to join it" a_machine_is_refused_with_the_remedy
	check "doctor tells it, too" doctor_says_the_same
else
	skip "a user outside of the group kvm is told to join it" "/dev/kvm belongs to another group"
fi
finish
