/* SPDX-License-Identifier: MIT */
/*
 * vcpu.h - one virtual CPU and its thread, which only runs KVM_RUN and dispatches exits.
 */
#ifndef CAPSA_MACHINE_VCPU_H
#define CAPSA_MACHINE_VCPU_H

#include <linux/kvm.h>
#include <stdbool.h>

#include "core/base/error.h"
#include "core/base/page-guard.h"
#include "core/machine/bus.h"
#include "core/machine/entry.h"
#include "core/machine/machine.h"
#include "core/machine/memory.h"

struct vcpu;

/* What takes a vCPU out of the guest. */
enum vcpu_exit { VCPU_EXIT_IO, VCPU_EXIT_MMIO, VCPU_EXIT_SIGNAL, VCPU_EXIT_OTHER, VCPU_EXITS };

struct vcpu_setup {
	unsigned index; /* also its local APIC identifier */
	unsigned cpus;
	int kvm_fd, vm_fd;
	const struct kvm_cpuid2 *cpuid; /* supported; copied and given this vCPU's topology */
	struct bus *ports, *mmio;
	const struct memory *memory;
	/* This vCPU cannot or must not go on. Any vCPU's thread. */
	void (*ended)(void *ctx, enum machine_end end, const char *text);
	/* The thread is about to enter the guest for the first time. That thread. May be NULL. */
	void (*entered)(void *ctx);
	/* Once for each vcpu_pause(): it stands still, or has ended. The vCPU's thread, or within vcpu_pause(). */
	void (*paused)(void *ctx);
	/*
	 * KVM_RUN said EFAULT: a page of the guest's has nothing behind it, maybe of a file that somebody has truncated.
	 * Puts something there; `run` may tell where, else it searches, from where `search` stands. The vCPU's thread.
	 * NULL: there is nothing to be done.
	 */
	enum page_guard_found (*fault)(void *ctx, const struct kvm_run *run, struct page_guard_search *search);
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

/*
 * Takes the thread out of the guest, to wait for vcpu_resume(): `paused` tells when. Devices may still be answering
 * its last exit until then, so that nobody may wait for it on a loop. One at a time; vcpu_resume() after `paused` came.
 */
void vcpu_pause(struct vcpu *vcpu);
/* Goes on; the guest's watchdogs are told that time has passed. Not paused: nothing. */
void vcpu_resume(struct vcpu *vcpu);

/* How often it left the guest for that reason. Any thread. */
uint64_t vcpu_exits(const struct vcpu *vcpu, enum vcpu_exit kind);

#endif
