#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The agent's binary as /init of a guest, with the modules that a machine of capsa's needs, spoken to over vsock.
. "$(dirname "$(realpath "$0")")/lib.sh"

machine probe 'vsock = { socket = "probe.vsock"; };'
"$capsa" -n -c "$work/probe.conf" >/dev/null 2>&1 || {
	skip "init and agent in a guest" "this capsa has no vsock"
	finish
}

kernel=$kernels/cloud
version=$(basename "$kernel"/lib/modules/*)

# group KEY MODULE...: a line of /lib/capsa/modules
group() {
	local key=$1 module
	shift
	printf '%s' "$key"
	for module; do
		modprobe -C /dev/null -d "$kernel" -S "$version" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p'
	done | sed 's#.*/##; s#\.ko.*##; s#.*# /lib/modules/&.ko#' | tr -d '\n'
	echo
}

PATH=$PATH:/usr/sbin:/sbin
{
	echo "# as \`capsa image build\` writes it"
	group virtio:3 virtio_console
	echo 'virtio:63 /lib/modules/none.ko'
	group always virtio_pci
	group always button evdev
	group virtio:19 vmw_vsock_virtio_transport
	group virtio:4 virtio-rng
	group fs:overlay overlay
	echo 'pci:ffff:ffff /lib/modules/none.ko'
	echo "unknown:key /lib/modules/none.ko"
} >"$work/modules"
printf 'root:x:0:0::/:/bin/sh\nguest:x:1000:1000::/home:/bin/sh\n' >"$work/passwd"
"$top/packaging/mkinitramfs" -k "$kernel" -o "$work/initrd" -z none -i "$build/agent/capsa-agent" \
	-m 'virtio_pci virtio_console vmw_vsock_virtio_transport button evdev virtio-rng overlay' \
	-a "$work/modules:/lib/capsa/modules" -a "$work/passwd:/etc/passwd" || exit
WORK=$work CAPSA=$capsa LIMIT=$limit exec python3 "$tests/init.py"
