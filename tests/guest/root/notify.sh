#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Root, for tracepoints: once its driver runs, a device's notifications and interrupts pass no vCPU thread in user space.
. "$(dirname "$(dirname "$(realpath "$0")")")/lib.sh"

tracing=/sys/kernel/tracing

no_exit_at_a_notify_address() {
	local trace=$tracing/instances/capsa-test exits
	machine notify
	mkdir "$trace" || return
	attended notify --append "quiet $(run_words 'echo ready; read -r x; dd if=/dev/hwrng of=/dev/null bs=64 count=300 2>/dev/null; echo finished; sleep 1000')"
	hear ready || return
	echo 1 >"$trace/events/kvm/kvm_userspace_exit/enable"
	tell go
	hear finished || return
	echo 0 >"$trace/events/kvm/kvm_userspace_exit/enable"
	exits=$(grep -c kvm_userspace_exit "$trace/trace")
	rmdir "$trace"
	stop_machine
	# 300 requests of the rng, and a few lines of the console: an exit each would be hundreds.
	echo "exits to user space: $exits"
	[ "$exits" -le 3 ]
}

if [ -w $tracing/instances ]; then
	check "300 requests make no exit to user space" no_exit_at_a_notify_address
else
	skip "300 requests make no exit to user space" "no tracefs"
fi
finish
