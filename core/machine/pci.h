/* SPDX-License-Identifier: MIT */
/*
 * pci.h - PCI bus 0: configuration space by ECAM, BARs that the guest sizes and moves.
 *
 * Sources: PCI Local Bus 3.0, 6 (configuration space, BARs), PCI Firmware 3.0 (ECAM).
 *
 * The ECAM of bus 0 is 1 MiB of capsa's memory that the guest reads without an exit (a
 * read-only memory slot) and whose writes arrive here as MMIO. So a function's
 * configuration space is plain bytes: what a read returns is what lies there.
 *
 * Where the guest has decoding enabled and a BAR's address changed, its region moves on
 * the bus and `bar_moved` runs, so that ioeventfds can follow.
 */
#ifndef CAPSA_MACHINE_PCI_H
#define CAPSA_MACHINE_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/machine/bus.h"

#define PCI_ECAM_START 0xe0000000ull
#define PCI_ECAM_SIZE 0x100000ull /* bus 0: 32 devices x 8 functions x 4 KiB */
#define PCI_WINDOW32_START 0xc0000000ull
#define PCI_WINDOW32_SIZE 0x20000000ull /* BARs below 4 GiB */
#define PCI_WINDOW_PORT_START 0x1000u
#define PCI_WINDOW_PORT_SIZE 0xf000u
#define PCI_MAX_FUNCTIONS 32u
#define PCI_MAX_BARS 6u

struct pci_bus;
struct pci_function;

struct pci_bar {
	uint64_t size; /* a power of two; memory: >= 4 KiB, ports: 4..256; 0: no BAR */
	bool is_64bit; /* takes this slot and the next */
	bool prefetchable;
	bool is_port;
	const struct bus_handler *handler; /* NULL: not on the bus (memory that a slot serves) */
	void *ctx;                         /* of the handler */
	uint64_t fixed_address;            /* not 0: assigned at power-on (a slot lies there); may still be moved */
};

struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint32_t class_code; /* 0xBBSSPP: base, sub, interface */
	uint8_t revision;
};

/*
 * A BAR decodes where its registers say while the command register lets it, unless that is address 0 or another
 * handler's place; then nowhere, until the place is free. RAM is not on the bus: it shadows a BAR moved over it.
 */

/* Both run on the vCPU's thread that wrote, under the bus's lock. NULL: not interested. */
struct pci_callbacks {
	/*
	 * BAR `bar` now decodes at `address`, or nowhere (decoding false). Only called on changes; a move is told as
	 * nowhere, then as the new place, when every BAR that lost its place has been told so.
	 */
	void (*bar_moved)(void *ctx, unsigned bar, uint64_t address, bool decoding);
	/* The guest wrote [offset, offset+len) of configuration space, from 0x40 on, and the bytes are stored. */
	void (*config_written)(void *ctx, unsigned offset, unsigned len);
	void *ctx;
};

/*
 * An empty bus with a host bridge at 00:00.0. ports and mmio are the machine's buses; window64 is where 64-bit BARs
 * are put at power-on. -ENOMEM with err.
 */
int pci_bus_create(struct bus *ports, struct bus *mmio, uint64_t window64_start, uint64_t window64_size,
                   struct pci_bus **out, struct error *err);
void pci_bus_destroy(struct pci_bus *bus); /* with its functions */
/* The host side of the ECAM, PCI_ECAM_SIZE bytes, for a read-only memory slot. */
uint8_t *pci_bus_ecam(struct pci_bus *bus);
/* Writes to the ECAM (and reads where no slot serves them); ctx is the pci_bus. */
extern const struct bus_handler pci_ecam_handler;
uint64_t pci_bus_window64_start(const struct pci_bus *bus);
uint64_t pci_bus_window64_size(const struct pci_bus *bus);

/* A function at the next free device number, not decoding. Freed with the bus. -ENOSPC, -EINVAL with err. */
int pci_function_add(struct pci_bus *bus, const struct pci_identity *identity, const struct pci_bar bars[PCI_MAX_BARS],
                     const struct pci_callbacks *callbacks, struct pci_function **out, struct error *err);
/* Its device number (0..31). */
unsigned pci_function_slot(const struct pci_function *function);
/*
 * Appends a capability of `len` bytes; data[0..1] (id, next) are filled in. write_mask (len bytes, NULL:
 * all read-only) says which bits the guest may write. Returns its offset, or -ENOSPC. Before the machine runs.
 */
int pci_function_add_capability(struct pci_function *function, uint8_t id, const void *data, unsigned len,
                                const void *write_mask);
/* The 4 KiB of configuration space. Device code changes bytes that the guest may be reading with aligned stores. */
uint8_t *pci_function_config(struct pci_function *function);
/* Where a BAR decodes now; 0: nowhere. Any thread, callbacks too. */
uint64_t pci_function_bar(const struct pci_function *function, unsigned bar);

#endif
