/* SPDX-License-Identifier: MIT */
/*
 * pci-private.h - what pci.c (bus, functions, configuration space) and pci-bar.c (addresses) share.
 */
#ifndef CAPSA_MACHINE_PCI_PRIVATE_H
#define CAPSA_MACHINE_PCI_PRIVATE_H

#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/machine/pci.h"

struct pci_window {
	const char *name;
	uint64_t start, size;
};

struct pci_bar_state {
	struct pci_bar setup;
	uint64_t placed_at;           /* on the bus (or given to a slot); 0: nowhere. Under the lock. */
	atomic_uint_fast64_t told_at; /* the same, as bar_moved knows it. */
};

struct pci_function {
	struct pci_bus *bus;
	unsigned slot;
	uint8_t *config;                        /* in the bus's ECAM */
	uint8_t write_mask[PCI_CFG_SPACE_SIZE]; /* which bits the guest may write */
	struct pci_bar_state bars[PCI_MAX_BARS];
	struct pci_callbacks callbacks;
	unsigned capabilities_end; /* where the next one goes */
	unsigned last_capability;  /* 0: none */
};

struct pci_bus {
	pthread_mutex_t lock; /* configuration space and places of BARs */
	struct bus *ports, *mmio;
	uint8_t *ecam;
	struct pci_window window32, window64, window_port;
	struct pci_function *functions[PCI_MAX_FUNCTIONS];
	unsigned n_functions;
};

/* Registers of configuration space are little-endian, and so is every host of capsa. */
static inline uint16_t pci_get16(const struct pci_function *function, unsigned offset)
{
	return __atomic_load_n((const uint16_t *)(const void *)(function->config + offset), __ATOMIC_RELAXED);
}

static inline uint32_t pci_get32(const struct pci_function *function, unsigned offset)
{
	return __atomic_load_n((const uint32_t *)(const void *)(function->config + offset), __ATOMIC_RELAXED);
}

static inline void pci_put16(struct pci_function *function, unsigned offset, uint16_t value)
{
	__atomic_store_n((uint16_t *)(void *)(function->config + offset), value, __ATOMIC_RELAXED);
}

static inline void pci_put32(struct pci_function *function, unsigned offset, uint32_t value)
{
	__atomic_store_n((uint32_t *)(void *)(function->config + offset), value, __ATOMIC_RELAXED);
}

/*
 * Checks `bars`, gives each an address, writes registers and write masks. The function is not on the bus yet.
 * -EINVAL, -ENOSPC with err.
 */
int pci_bars_assign(struct pci_function *function, const struct pci_bar bars[PCI_MAX_BARS], struct error *err);
/* After a write to a command register or BAR: lets every BAR of the bus decode where the registers say. Locked. */
void pci_bars_settle(struct pci_bus *bus);

#endif
