/* SPDX-License-Identifier: MIT */
/*
 * pvpanic.h - a PCI function by which a guest's kernel says that it panicked.
 *
 * Linux has a driver since 5.13 (pvpanic-pci). One register, a byte at offset 0 of BAR 0: reads
 * tell which events are known, a write reports one (PVPANIC_* of <misc/pvpanic.h>).
 */
#ifndef CAPSA_MACHINE_PVPANIC_H
#define CAPSA_MACHINE_PVPANIC_H

#include "core/base/error.h"
#include "core/machine/pci.h"

#define PVPANIC_VENDOR 0x1b36u /* Red Hat */
#define PVPANIC_DEVICE 0x0011u

struct pvpanic;

/*
 * Adds the function to the bus. panicked(ctx, events) runs on the vCPU's thread that reported, as often as
 * the guest likes. Free with pvpanic_destroy() once no vCPU runs. -ENOMEM, -ENOSPC with err. Main thread.
 */
int pvpanic_add(struct pci_bus *bus, void (*panicked)(void *ctx, unsigned events), void *ctx, struct pvpanic **out,
                struct error *err);
void pvpanic_destroy(struct pvpanic *pvpanic); /* NULL is fine */

#endif
