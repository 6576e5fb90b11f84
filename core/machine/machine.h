/* SPDX-License-Identifier: MIT */
/*
 * machine.h - one KVM virtual machine: memory, buses, interrupts, vCPUs, power.
 *
 * A machine lives from power-on to power-off; a guest's reset ends it, and a restart is a new
 * machine with the same devices. Built in this order, because a KVM memory slot that changes
 * once I/O buses are populated waits for a grace period (several milliseconds):
 *
 *   machine_create   the KVM file descriptors, guest RAM, empty buses
 *   (devices)        PCI functions, slots of their own
 *   (boot_load)      kernel and initrd go into RAM, machine_acpi() writes the tables
 *   machine_commit   slots -> irqchip -> vCPUs; registers of the first one
 *   machine_start    vCPU threads run
 *   machine_stop     they do not any more
 *   machine_destroy
 *
 * All on the main thread unless said otherwise.
 */
#ifndef CAPSA_MACHINE_MACHINE_H
#define CAPSA_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/machine/bus.h"
#include "core/machine/entry.h"
#include "core/machine/irq.h"
#include "core/machine/memory.h"
#include "core/machine/pci.h"

struct machine;

/* Why a machine ended. */
enum machine_end {
	MACHINE_POWERED_OFF, /* ACPI S5 */
	MACHINE_RESET,       /* triple fault or port 0x64 */
	MACHINE_PANICKED,    /* the same after pvpanic told of a panic */
	MACHINE_FAILED,      /* KVM could not go on: `text` says why */
};

struct machine_setup {
	unsigned cpus;
	uint64_t memory; /* bytes */
	bool memory_shared;
	bool serial; /* 16550 at 0x3f8 to standard error */
	/* Called once, on a vCPU's thread, which runs no guest code afterwards. text: for MACHINE_FAILED. */
	void (*ended)(void *ctx, enum machine_end end, const char *text);
	/* The boot processor is about to enter the guest for the first time. On its thread. May be NULL. */
	void (*entered)(void *ctx);
	/* Once for each machine_pause(): no vCPU runs guest code. On a vCPU's thread, or within machine_pause(). */
	void (*paused)(void *ctx);
	void *ctx;
};

/* Why vCPUs left the guest. */
struct machine_exits {
	uint64_t io, mmio, signal, other;
};

/* 0, or -errno with err; -E2BIG: more memory than this host's processor can address beside the devices. */
int machine_create(const struct machine_setup *setup, struct machine **out, struct error *err);
void machine_destroy(struct machine *machine); /* stops it first */

struct memory *machine_memory(struct machine *machine);
struct pci_bus *machine_pci(struct machine *machine);
struct irq_router *machine_irq(struct machine *machine);

/*
 * A memory slot besides RAM: guest [gpa, gpa+size) is `host` (which must outlive the machine). Before
 * machine_commit(). Its number in *slot, for machine_slot_move(). 0 or -errno.
 */
int machine_slot_add(struct machine *machine, uint64_t gpa, uint64_t size, void *host, bool readonly, unsigned *slot);
/* Moves a slot (gpa 0: nowhere). vCPU threads: the guest moved a BAR. */
int machine_slot_move(struct machine *machine, unsigned slot, uint64_t gpa);

/* A write of any length to `address` signals `fd` in the kernel (add), or no longer. Any thread. 0 or -errno. */
int machine_ioeventfd(struct machine *machine, uint64_t address, bool is_port, int fd, bool add);

/*
 * Whether drivers should notify by ports: AMD's processors decode the instruction of each MMIO write, even where an
 * ioeventfd takes it, and not that of a port's. Intel's need neither.
 */
bool machine_notify_by_port(const struct machine *machine);

/* Writes the ACPI tables into RAM; returns the RSDP's guest physical address. */
uint64_t machine_acpi(struct machine *machine);

/* Registers slots, makes irqchip and vCPUs, sets the first one's registers. 0 or -errno with err. */
int machine_commit(struct machine *machine, const struct boot_entry *entry, struct error *err);
int machine_start(struct machine *machine, struct error *err);
/* Takes every vCPU out of the guest and ends its thread. Any number of times. */
void machine_stop(struct machine *machine);

/*
 * Takes every vCPU out of the guest, to stand still until machine_resume(); returns at once, `paused` tells when they do.
 * Devices keep their state, and go on with what the guest gave them. One at a time; resume after `paused` came. The
 * guest's clock is kvmclock, which goes on: after a resume it is right, and the guest has seen time jump.
 */
void machine_pause(struct machine *machine);
/* Whether they all stand still. */
bool machine_is_paused(const struct machine *machine);
void machine_resume(struct machine *machine);

/* Sums over all vCPUs. */
void machine_exits(const struct machine *machine, struct machine_exits *out);

/* Presses the ACPI power button. Any thread. */
void machine_press_power_button(struct machine *machine);

/* The most vCPUs that this host's KVM takes, or -errno with err ("Backend unavailable: ..." and the remedy). */
int machine_max_cpus(struct error *err);

#endif
