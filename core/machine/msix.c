/* SPDX-License-Identifier: MIT */
/*
 * msix.c - see msix.h. The table as the guest wrote it, and its effect on the vectors' irq_msi.
 *
 * A vector is masked by its own bit, by the function mask, or while MSI-X is off. What the guest writes to a
 * vector that is masked before and after stays in the table; irq.c hears of it when the vector is
 * unmasked, and one commit tells KVM. An interrupt raised meanwhile waits in the vector's eventfd, which is
 * its pending bit (PCI 3.0, 6.8.2.9, 6.8.3.3).
 *
 * Called by devices' BAR handlers and config_written callbacks on vCPU threads; own lock, taken inside the PCI
 * bus's and outside the interrupt router's. msix_signal() takes none.
 */
#include "core/machine/msix.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

#define ENTRY_DWORDS (PCI_MSIX_ENTRY_SIZE / 4)
#define CAPABILITY_SIZE 12u
#define PBA_WORD_BITS 64u

struct entry {
	uint32_t dwords[ENTRY_DWORDS]; /* lower address, upper address, data, vector control */
	bool masked;                   /* as irq.c knows it */
	struct irq_msi *msi;
};

struct msix {
	struct irq_router *router;
	uint8_t *config; /* the function's configuration space */
	unsigned capability;
	unsigned n_vectors;
	pthread_mutex_t lock; /* of what follows */
	uint16_t control;
	bool warned;
	struct entry entries[];
};

static uint16_t control_get(const struct msix *msix)
{
	return __atomic_load_n((const uint16_t *)(const void *)(msix->config + msix->capability + PCI_MSIX_FLAGS),
	                       __ATOMIC_RELAXED);
}

static void put_le(uint8_t *to, uint32_t value, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

static int capability_add(struct pci_function *function, unsigned n_vectors, unsigned bar, uint32_t table_offset,
                          uint32_t pba_offset)
{
	uint8_t data[CAPABILITY_SIZE] = { 0 }, mask[CAPABILITY_SIZE] = { 0 };

	put_le(data + PCI_MSIX_FLAGS, n_vectors - 1, 2);
	put_le(data + PCI_MSIX_TABLE, table_offset | bar, 4);
	put_le(data + PCI_MSIX_PBA, pba_offset | bar, 4);
	put_le(mask + PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL, 2);
	return pci_function_add_capability(function, PCI_CAP_ID_MSIX, data, sizeof data, mask);
}

int msix_create(struct irq_router *router, struct pci_function *function, unsigned n_vectors, unsigned bar,
                uint32_t table_offset, uint32_t pba_offset, struct msix **out, struct error *err)
{
	struct msix *msix;
	int ret;

	if (n_vectors == 0 || n_vectors > MSIX_MAX_VECTORS)
		return error_set(err, EINVAL, "MSI-X: %u vectors: a function has 1 to %u", n_vectors, MSIX_MAX_VECTORS);
	if (bar >= PCI_MAX_BARS || ((table_offset | pba_offset) & PCI_MSIX_TABLE_BIR) != 0)
		return error_set(err, EINVAL,
		                 "MSI-X: table at BAR %u + 0x%x, pending bits at + 0x%x: need BAR 0 to %u "
		                 "and multiples of 8",
		                 bar, table_offset, pba_offset, PCI_MAX_BARS - 1);
	msix = calloc(1, sizeof *msix + n_vectors * sizeof msix->entries[0]);
	if (msix == NULL)
		return error_set(err, ENOMEM, "no memory for the MSI-X table");
	for (unsigned i = 0; i < n_vectors; i++) {
		ret = irq_msi_add(router, &msix->entries[i].msi);
		if (ret < 0) {
			error_set(err, -ret, "MSI-X: cannot make an interrupt: %s; use fewer devices or queues%s",
			          strerror(-ret),
			          ret == -EMFILE ? ", or raise the limit of open files (ulimit -n)" : "");
			goto fail;
		}
		msix->entries[i].masked = true;
		msix->entries[i].dwords[PCI_MSIX_ENTRY_VECTOR_CTRL / 4] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	}
	ret = capability_add(function, n_vectors, bar, table_offset, pba_offset);
	if (ret < 0) {
		error_set(err, -ret, "MSI-X: the function's configuration space has no room for another capability");
		goto fail;
	}
	msix->router = router;
	msix->config = pci_function_config(function);
	msix->capability = (unsigned)ret;
	msix->n_vectors = n_vectors;
	msix->control = control_get(msix);
	pthread_mutex_init(&msix->lock, NULL);
	*out = msix;
	return 0;
fail:
	free(msix);
	return ret;
}

void msix_destroy(struct msix *msix)
{
	if (msix == NULL)
		return;
	pthread_mutex_destroy(&msix->lock);
	free(msix);
}

unsigned msix_vectors(const struct msix *msix)
{
	return msix->n_vectors;
}

/* Tells irq.c what changed of entry's effect; whether anything did. */
static bool entry_apply(struct msix *msix, struct entry *entry)
{
	bool masked = (msix->control & PCI_MSIX_FLAGS_ENABLE) == 0 || (msix->control & PCI_MSIX_FLAGS_MASKALL) != 0 ||
	              (entry->dwords[PCI_MSIX_ENTRY_VECTOR_CTRL / 4] & PCI_MSIX_ENTRY_CTRL_MASKBIT) != 0;
	uint64_t address = (uint64_t)entry->dwords[PCI_MSIX_ENTRY_UPPER_ADDR / 4] << 32 |
	                   entry->dwords[PCI_MSIX_ENTRY_LOWER_ADDR / 4];

	if (masked && entry->masked)
		return false;
	entry->masked = masked;
	irq_msi_set(entry->msi, address, entry->dwords[PCI_MSIX_ENTRY_DATA / 4], masked);
	return true;
}

static void commit(struct msix *msix)
{
	int ret = irq_commit(msix->router);

	if (ret < 0 && !msix->warned) {
		msix->warned = true;
		log_warning("KVM refused the interrupts that the guest programmed: %s", strerror(-ret));
	}
}

static bool table_access_ok(const struct msix *msix, uint64_t offset, unsigned len)
{
	return (len == 4 || len == 8) && offset % len == 0 && offset / PCI_MSIX_ENTRY_SIZE < msix->n_vectors;
}

uint64_t msix_table_read(struct msix *msix, uint64_t offset, unsigned len)
{
	const uint32_t *dwords;
	uint64_t value;

	if (!table_access_ok(msix, offset, len))
		return 0;
	pthread_mutex_lock(&msix->lock);
	dwords = &msix->entries[offset / PCI_MSIX_ENTRY_SIZE].dwords[offset % PCI_MSIX_ENTRY_SIZE / 4];
	value = dwords[0];
	if (len == 8)
		value |= (uint64_t)dwords[1] << 32;
	pthread_mutex_unlock(&msix->lock);
	return value;
}

void msix_table_write(struct msix *msix, uint64_t offset, unsigned len, uint64_t value)
{
	static const uint32_t writable[ENTRY_DWORDS] = {
		[PCI_MSIX_ENTRY_LOWER_ADDR / 4] = ~3u,
		[PCI_MSIX_ENTRY_UPPER_ADDR / 4] = ~0u,
		[PCI_MSIX_ENTRY_DATA / 4] = ~0u,
		[PCI_MSIX_ENTRY_VECTOR_CTRL / 4] = PCI_MSIX_ENTRY_CTRL_MASKBIT,
	};
	struct entry *entry;
	unsigned first;

	if (!table_access_ok(msix, offset, len))
		return;
	pthread_mutex_lock(&msix->lock);
	entry = &msix->entries[offset / PCI_MSIX_ENTRY_SIZE];
	first = (unsigned)(offset % PCI_MSIX_ENTRY_SIZE / 4);
	for (unsigned i = 0; i < len / 4; i++)
		entry->dwords[first + i] = (uint32_t)(value >> (32 * i)) & writable[first + i];
	if (entry_apply(msix, entry))
		commit(msix);
	pthread_mutex_unlock(&msix->lock);
}

uint64_t msix_pba_read(struct msix *msix, uint64_t offset, unsigned len)
{
	uint64_t value = 0, first = offset * 8;

	if ((len != 4 && len != 8) || offset % len != 0 || offset >= MSIX_MAX_VECTORS / 8)
		return 0;
	for (unsigned i = 0; i < len * 8 && first + i < msix->n_vectors; i++)
		if (irq_msi_pending(msix->entries[first + i].msi))
			value |= UINT64_C(1) << i;
	return value;
}

void msix_config_written(struct msix *msix, unsigned offset, unsigned len)
{
	unsigned control = msix->capability + PCI_MSIX_FLAGS;
	bool changed = false;
	uint16_t now;

	if (offset >= control + 2 || control >= offset + len)
		return;
	pthread_mutex_lock(&msix->lock);
	now = control_get(msix);
	if (now != msix->control) {
		msix->control = now;
		for (unsigned i = 0; i < msix->n_vectors; i++)
			changed |= entry_apply(msix, &msix->entries[i]);
		if (changed)
			commit(msix);
	}
	pthread_mutex_unlock(&msix->lock);
}

void msix_signal(struct msix *msix, unsigned vector)
{
	if (vector < msix->n_vectors)
		irq_msi_signal(msix->entries[vector].msi);
}
