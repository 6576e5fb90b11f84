/* SPDX-License-Identifier: MIT */
/*
 * irq.h - interrupt lines and MSI routes of one machine: eventfds that KVM injects.
 *
 * A line has a fixed IOAPIC pin. An MSI source has a GSI of its own whose route (address,
 * data) the guest programs; routes go to KVM in one batch. While a source is masked its
 * eventfd is detached from KVM and collects. With vm_fd -1 (unit tests) all works but KVM
 * is not told. vCPU threads program, any thread signals.
 */
#ifndef CAPSA_MACHINE_IRQ_H
#define CAPSA_MACHINE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct irq_router;
struct irq_msi;

#define IRQ_PINS 24u      /* IOAPIC pins: GSI 0..23 */
#define IRQ_MAX_MSI 2000u /* MSI sources of one machine: within KVM_MAX_IRQ_ROUTES */

int irq_router_create(int vm_fd, struct irq_router **out, struct error *err);
void irq_router_destroy(struct irq_router *router);

/*
 * An eventfd that pulses IOAPIC pin `pin` (edge) from the first irq_commit() on that the irqchip exists; what is
 * signalled before is injected then. The router owns the fd; a pin's second caller gets the same. 0 or -errno with err.
 */
int irq_line(struct irq_router *router, unsigned pin, int *fd, struct error *err);

/* A new MSI source, masked, without a route; freed with the router. -ENOSPC, -EMFILE, -ENOMEM. Main thread. */
int irq_msi_add(struct irq_router *router, struct irq_msi **out);

/*
 * What the guest programmed. Takes effect with the next irq_commit(). An address that is no MSI's (0xfeexxxxx) counts as
 * masked. Any thread.
 */
void irq_msi_set(struct irq_msi *msi, uint64_t address, uint32_t data, bool masked);
/*
 * Tells KVM about all changes at once; what collected behind a mask is injected then. 0 or -errno,
 * after which the next commit tries again. Main thread once the irqchip exists, then vCPU threads.
 */
int irq_commit(struct irq_router *router);

/* Raises the interrupt, or leaves it pending while masked. One write(2). Any thread. */
void irq_msi_signal(struct irq_msi *msi);
/* Whether an interrupt waits behind the mask (MSI-X pending bit); false while unmasked. Any thread. */
bool irq_msi_pending(const struct irq_msi *msi);
/* Drops what is pending. Any thread. */
void irq_msi_clear(struct irq_msi *msi);
/* The eventfd itself; stays the router's. */
int irq_msi_fd(const struct irq_msi *msi);

#endif
