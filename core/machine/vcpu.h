/* SPDX-License-Identifier: MIT */
/*
 * vcpu.h - one virtual CPU and its thread, which only runs KVM_RUN and dispatches exits.
 */
#ifndef CAPSA_MACHINE_VCPU_H
#define CAPSA_MACHINE_VCPU_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "core/base/error.h"
#include "core/machine/bus.h"
#include "core/machine/entry.h"
#include "core/machine/machine.h"
#include "core/machine/memory.h"

struct vcpu;

struct vcpu_setup {
	unsigned index; /* also its local APIC identifier */
	unsigned cpus;
	int kvm_fd, vm_fd;
	const struct kvm_cpuid2 *cpuid; /* supported; copied and given this vCPU's topology */
	struct bus *ports, *mmio;
	const struct memory *memory;
	/* This vCPU cannot or must not go on. Any vCPU's thread. */
	void (*ended)(void *ctx, enum machine_end end, const char *text);
	void *ctx;
};

/* After the irqchip. *setup is copied. 0 or -errno with err. */
int vcpu_create(const struct vcpu_setup *setup, struct vcpu **out, struct error *err);
void vcpu_destroy(struct vcpu *vcpu); /* stopped before; NULL is fine */

/* Registers of the boot processor. */
int vcpu_set_entry(struct vcpu *vcpu, const struct boot_entry *entry, struct error *err);

int vcpu_start(struct vcpu *vcpu, struct error *err);
/* Asks the thread to leave the guest, at once. vcpu_join() waits for it. Any thread. */
void vcpu_kick(struct vcpu *vcpu);
void vcpu_join(struct vcpu *vcpu);

#endif
