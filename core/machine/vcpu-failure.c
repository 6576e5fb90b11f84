/* SPDX-License-Identifier: MIT */
/* vcpu-failure.c - see vcpu-failure.h. Called by vcpu.c, once in the life of a machine. */
#include "core/machine/vcpu-failure.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define MAX_INSTRUCTION 15u /* bytes */

static const char *suberror_name(uint32_t suberror)
{
	switch (suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		return "emulation failure";
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		return "simultaneous exceptions";
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		return "an event could not be delivered";
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		return "unexpected exit reason";
	default:
		return "unknown suberror";
	}
}

/* The bytes at RIP: those that KVM hands out, else read through the guest's page tables. */
static unsigned instruction_bytes(int vcpu_fd, const struct kvm_run *run, const struct memory *memory, uint64_t rip,
                                  uint8_t bytes[MAX_INSTRUCTION])
{
	struct kvm_translation at = { .linear_address = rip };
	const uint8_t *from;
	unsigned len;

	if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR && run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.ndata >= 3 &&
	    (run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES)) {
		len = run->emulation_failure.insn_size;
		if (len > MAX_INSTRUCTION)
			len = MAX_INSTRUCTION;
		memcpy(bytes, run->emulation_failure.insn_bytes, len);
		return len;
	}
	if (ioctl(vcpu_fd, KVM_TRANSLATE, &at) || !at.valid)
		return 0;
	len = 4096 - (unsigned)(rip & 4095);
	if (len > MAX_INSTRUCTION)
		len = MAX_INSTRUCTION;
	from = memory_at(memory, at.physical_address, len);
	if (!from)
		return 0;
	memcpy(bytes, from, len);
	return len;
}

void vcpu_failure_text(int vcpu_fd, const struct kvm_run *run, const struct memory *memory, unsigned index, char *text,
                       size_t len)
{
	struct kvm_regs regs = { 0 };
	uint8_t bytes[MAX_INSTRUCTION];
	char reason[96], hex[3 * MAX_INSTRUCTION + 1] = "";
	unsigned n;

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		snprintf(reason, sizeof reason, "KVM internal error, suberror %u (%s)", run->internal.suberror,
		         suberror_name(run->internal.suberror));
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(reason, sizeof reason, "KVM could not enter the guest, hardware reason 0x%llx",
		         (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
		break;
	default:
		snprintf(reason, sizeof reason, "KVM exit reason %u, which nothing here handles", run->exit_reason);
		break;
	}
	ioctl(vcpu_fd, KVM_GET_REGS, &regs);
	n = instruction_bytes(vcpu_fd, run, memory, regs.rip, bytes);
	for (unsigned i = 0; i < n; i++)
		snprintf(hex + 3 * i, 4, " %02x", bytes[i]);
	snprintf(text, len,
	         "%s on vCPU %u at RIP 0x%llx, instruction bytes%s; `capsa doctor` tells whether this KVM works",
	         reason, index, (unsigned long long)regs.rip, n ? hex : " unreadable");
}
