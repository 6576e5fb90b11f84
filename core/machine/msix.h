/* SPDX-License-Identifier: MIT */
/*
 * msix.h - the MSI-X table and pending bits of one PCI function (PCI 3.0, 6.8.2).
 *
 * Owns one irq_msi for each vector. The function's BAR handler forwards accesses to the
 * table and the pending-bit array; the capability's control word lies in configuration
 * space and reaches msix_config_written(). vCPU threads program, any thread signals.
 */
#ifndef CAPSA_MACHINE_MSIX_H
#define CAPSA_MACHINE_MSIX_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/machine/irq.h"
#include "core/machine/pci.h"

struct msix;

#define MSIX_MAX_VECTORS 128u
#define MSIX_NO_VECTOR 0xffffu /* VIRTIO_MSI_NO_VECTOR */

/* Adds the capability to `function`: table in BAR `bar` at table_offset, pending bits at pba_offset. */
int msix_create(struct irq_router *router, struct pci_function *function, unsigned n_vectors, unsigned bar,
                uint32_t table_offset, uint32_t pba_offset, struct msix **out, struct error *err);
void msix_destroy(struct msix *msix);
unsigned msix_vectors(const struct msix *msix);

/*
 * Offsets are relative to the table and to the pending-bit array. Accesses are 4 or 8 bytes long and aligned: others, and
 * those past the end, read as 0 and write nothing. vCPU threads.
 */
uint64_t msix_table_read(struct msix *msix, uint64_t offset, unsigned len);
void msix_table_write(struct msix *msix, uint64_t offset, unsigned len, uint64_t value);
uint64_t msix_pba_read(struct msix *msix, uint64_t offset, unsigned len);
/* The guest wrote [offset, offset+len) of configuration space: looks whether the control word is in it. */
void msix_config_written(struct msix *msix, unsigned offset, unsigned len);

/* Raises vector v; does nothing for MSIX_NO_VECTOR or a vector that is none. Any thread. */
void msix_signal(struct msix *msix, unsigned vector);

#endif
