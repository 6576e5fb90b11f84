#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What the guest sees: command line, MSI-X, BARs that it moves, the rng; what the host sees: no wake-ups, shared pages.
. "$(dirname "$(realpath "$0")")/lib.sh"

command_line_as_announced() {
	local announced
	machine words 'boot = { cmdline = [ "quiet", "console=tty0", "console=hvc0", "panic=7" ]; };'
	announced=$("$capsa" -n -v -c "$work/words.conf" | sed -n 's/^cmdline  //p')
	[ "$announced" = 'reboot=t quiet console=tty0 console=hvc0 panic=7' ] || {
		echo "announced: $announced"
		return 1
	}
	guest words 'cat /proc/cmdline' || return
	says "^$announced capsa.run="
}

# Every interrupt of a virtio device is a PCI-MSI one, and those that move data have come.
interrupts_are_msix() {
	machine irq 'cpus = 2;'
	guest irq 'dd if=/dev/hwrng of=/dev/null bs=64 count=20 2>/dev/null; cat /proc/interrupts; cat /sys/bus/pci/devices/*/irq' || return
	says 'virtio0-config' 'virtio1-input' || return
	[ "$(grep -c virtio "$work/console.txt")" -ge 5 ] && ! grep virtio "$work/console.txt" | grep -qv PCI-MSI
}

# The rng's BAR 0 goes elsewhere within the window, as setpci would do it: its registers (number of queues: 1) answer
# there, and it goes back again. Then the kernel rescans, and moves the BAR itself.
move_bar='cd /sys/bus/pci/devices; for d in *; do [ "$(cat $d/device)" = 0x1044 ] && dev=$d; done
bar() { printf "\0\0\0$1" | dd of=$dev/config bs=4 seek=4 conv=notrunc 2>/dev/null; }
low=$(dd if=$dev/config bs=1 skip=16 count=4 2>/dev/null | od -An -tu4)
bar "\300"; echo there $(devmem 0x1c0000012 16)
printf "\\$(printf %o $((low & 255)))\\$(printf %o $((low >> 8 & 255)))\0\0" | dd of=$dev/config bs=4 seek=4 conv=notrunc 2>/dev/null
dd if=/dev/hwrng bs=64 count=100 2>/dev/null | wc -c
echo $dev >/sys/bus/pci/drivers/virtio-pci/unbind; bar "\300"
echo 1 >$dev/remove; echo 1 >/sys/bus/pci/rescan
dd if=/dev/hwrng bs=64 count=100 2>/dev/null | wc -c'

bar_moves() {
	machine bar
	guest bar "$move_bar" || return
	says '^there 0x0001' 'BAR 0 \[mem 0x1c0000000-0x1c0007fff 64bit\]' || return
	[ "$(grep -c '^6400' "$work/console.txt")" = 2 ]
}

# An idle machine: at most one system call a second of the whole process. Without an rng: a young guest
# reseeds its generator from it every few seconds, which is the guest's work and not a wake-up of capsa's.
idle_makes_no_wakeups() {
	local calls
	machine idle 'devices = ( { plugin = "console"; backend = "stdio"; } );'
	attended idle --append "quiet $(run_words 'echo settled; sleep 1000')"
	hear settled || return
	# Ten seconds of watching is what the figure is about.
	timeout -s INT 10 strace -f -c -U calls,name -o "$work/calls.txt" -p "$pid" 2>"$work/strace.txt"
	# strace makes vCPU threads leave KVM_RUN once as it comes and once as it goes: one ioctl each.
	calls=$(awk '$1 ~ /^[0-9]+$/ && $2 != "total" && $2 != "restart_syscall" { n += $1 } END { print n + 0 }' "$work/calls.txt")
	echo "system calls in ten seconds: $calls"
	stop_machine && [ "$calls" -le 10 ]
}

# No threads but the main loop's and the vCPUs'.
threads_are_declared() {
	local names
	machine threads 'cpus = 2;'
	attended threads --append "quiet $(run_words 'echo settled; sleep 1000')"
	hear settled || return
	names=$(cat /proc/"$pid"/task/*/comm | sort | tr '\n' ' ')
	# kvm-nx-lpage-re and the like are KVM's own, not ours.
	names=$(echo "$names" | sed 's/kvm-[^ ]* //g')
	stop_machine && [ "$names" = 'capsa vcpu0 vcpu1 ' ] || {
		echo "threads: $names"
		return 1
	}
}

# io_threads adds loops with threads of their own; devices that stay on the main loop do not mind.
io_threads_are_declared() {
	local names
	machine loops 'io_threads = 2;'
	attended loops --append "quiet $(run_words 'dd if=/dev/hwrng of=/dev/null bs=64 count=20 2>/dev/null && echo settled; sleep 1000')"
	hear settled || return
	names=$(cat /proc/"$pid"/task/*/comm | sort | tr '\n' ' ' | sed 's/kvm-[^ ]* //g')
	stop_machine && [ "$names" = 'capsa io0 io1 vcpu0 ' ] || {
		echo "threads: $names"
		return 1
	}
}

# Two machines of one kernel share its pages.
kernel_pages_are_shared() {
	local first shared
	machine one
	machine two
	attended one --append "quiet $(run_words 'echo settled; sleep 1000')"
	hear settled || return
	first=$pid
	timeout "$limit" "$capsa" -c "$work/two.conf" --append "quiet $(run_words 'echo settled; sleep 1000')" \
		</dev/null >"$work/two.txt" 2>&1 &
	pid=$!
	wait_for_line "$work/two.txt" settled || return
	# Pages of a file on tmpfs, as in the lab, are never clean.
	shared=$(awk '/^[0-9a-f]+-/ { kernel = /\/kernels\// } kernel && /^Shared_(Clean|Dirty):/ { n += $2 } END { print n + 0 }' "/proc/$first/smaps")
	grep -A 22 '/kernels/' "/proc/$first/smaps" >"$work/smaps.txt"
	echo "shared: $shared KiB"
	kill -TERM "$pid" "$first"
	kill -TERM "$pid" "$first" 2>/dev/null
	wait "$first" "$pid" 2>/dev/null
	[ "$shared" -ge 8192 ]
}

no_kvm_is_explained() {
	unshare -r -m true 2>/dev/null || unshare -m true || return
	machine nokvm
	unshare -r -m sh -c "mount -t tmpfs tmpfs /dev && exec '$capsa' -c '$work/nokvm.conf'" </dev/null >"$work/said.txt" 2>&1
	[ $? = 1 ] && grep -q '^capsa: Backend unavailable: KVM device /dev/kvm not accessible' "$work/said.txt"
}

check "the command line is the announced one" command_line_as_announced
check "every virtio interrupt is MSI-X" interrupts_are_msix
check "a BAR that the guest moved keeps working" bar_moves
check "an idle machine makes no wake-ups" idle_makes_no_wakeups
check "there are no threads but the loop's and the vCPUs'" threads_are_declared
check "io_threads adds loops" io_threads_are_declared
check "two machines share 8 MiB of their kernel" kernel_pages_are_shared
check "without KVM the error says so and what to do" no_kvm_is_explained
finish
