#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Stock kernels boot to user space: packed and unpacked, with all CPUs and all memory, in small and large machines.
. "$(dirname "$(realpath "$0")")/lib.sh"

# boot_of KIND KERNEL CPUS MIB [EXTRA]: the greeting tells the version, the CPUs and about the memory
boot_of() {
	local kind=$1 kernel=$2 cpus=$3 mib=$4 seen
	machine boot "cpus = $cpus;" "memory = \"${mib}M\";" \
		"boot = { kernel = \"$kernel\"; initrd = \"$kernels/$kind/initrd.img\"; ${5-} };"
	run_machine boot --append 'quiet capsa.demo=poweroff' || return
	says "Welcome to capsa: Linux $(basename "$(realpath "$kernels/$kind")") on $cpus CPUs, [0-9]+ MiB" || return
	seen=$(sed -n 's/.* CPUs, \([0-9]*\) MiB.*/\1/p' "$work/console.txt")
	# The kernel keeps its own image and tables of pages; the rest is all there.
	[ "$seen" -le "$mib" ] && [ "$seen" -ge $((mib - mib / 16 - 56)) ]
}

check "cloud kernel, bzImage, 1 CPU" boot_of cloud "$kernels/cloud/vmlinuz" 1 256
check "cloud kernel, unpacked by itself (kernel_entry = compressed), 2 CPUs" \
	boot_of cloud "$kernels/cloud/vmlinuz" 2 256 'kernel_entry = "compressed";'
check "cloud kernel, ELF, in 96 MiB" boot_of cloud "$(unpacked cloud)" 1 96
if [ -e "$kernels/generic/initrd.img" ]; then
	check "generic kernel, bzImage, 4 CPUs" boot_of generic "$kernels/generic/vmlinuz" 4 512
	check "generic kernel, ELF, 2 CPUs, 6 GiB" boot_of generic "$(unpacked generic)" 2 6144
else
	skip "generic kernel" "$kernels/generic is not there: ./bootstrap check prepares it"
fi

# The soak: many boots in a row, of 1 to 4 CPUs.
many_boots() {
	local i
	for i in $(seq 60); do
		boot_of cloud "$kernels/cloud/vmlinuz" $((i % 4 + 1)) 256 || {
			echo "boot $i"
			return 1
		}
	done
}
[ -z "${LONG-}" ] || limit=900 check "sixty boots in a row" many_boots
finish
