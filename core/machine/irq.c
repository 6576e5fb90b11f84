/* SPDX-License-Identifier: MIT */
/*
 * irq.c - see irq.h. Owns the eventfds and the machine's GSI routing table.
 *
 * THEORY. KVM knows only whole routing tables, and setting one waits for a grace period. So the table lies
 * here, ready to be handed over: first the IOAPIC pins, then one entry for each MSI source that was ever
 * unmasked. Programming a source (irq_msi_set) only notes it on a list of changed sources. irq_commit() walks
 * that list twice: first it writes the routes of sources that are unmasked now and, where one differs, sets the
 * table; then it attaches and detaches irqfds. In that order no interrupt is ever injected by an old route.
 * A masked source needs no route, hence programming it costs no system call.
 *
 * A line has its route from the start; it is attached by irq_commit() too, because KVM takes no irqfd before it
 * has an irqchip, and devices ask for lines earlier.
 *
 * Attaching: KVM looks whether the eventfd has collected and injects then (kvm_irqfd_assign). Detaching: KVM
 * resets the eventfd, whose earlier signals were injected (before Linux 5.11 it does not reset it with each).
 *
 * An MSI is a write to 0xfeexxxxx (Intel SDM volume 3, 11.11.1). A source with any other address would be a
 * stray write to memory; it is treated as masked, because KVM may refuse the whole table for one such entry.
 *
 * Called by msix.c on vCPU threads (program), by any thread (signal); one mutex orders the former.
 */
#include "core/machine/irq.h"

#include <errno.h>
#include <linux/kvm.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/log.h"

#define MSI_ADDRESS_BASE 0xfee00000u
#define MSI_ADDRESS_BASE_MASK 0xfff00000u
#define MSI_ADDRESS_HIGH_RESERVED 0xffu /* the rest: bits 31..8 of an x2APIC destination */

struct irq_msi {
	struct irq_router *router;
	int fd;
	uint32_t gsi;
	unsigned route; /* index into the table; 0: none yet */
	uint64_t address;
	uint32_t data;
	bool masked;
	bool changed; /* on the router's list */
	struct irq_msi *next_changed;
	atomic_bool attached; /* to KVM: what is signalled is injected */
};

struct irq_router {
	pthread_mutex_t lock;
	int vm_fd; /* the machine's; -1: no KVM */
	int lines[IRQ_PINS];
	bool line_attached[IRQ_PINS];
	bool lines_changed;
	struct irq_msi *msis[IRQ_MAX_MSI];
	unsigned n_msis;
	struct kvm_irq_routing *table;
	unsigned table_room;
	bool table_changed;
	bool warned;
	struct irq_msi *changed;
};

static int table_reserve(struct irq_router *router, unsigned entries)
{
	unsigned room = router->table_room ? router->table_room : IRQ_PINS + 40;
	struct kvm_irq_routing *table;

	if (entries <= router->table_room)
		return 0;
	while (room < entries)
		room *= 2;
	table = realloc(router->table, sizeof *table + room * sizeof table->entries[0]);
	if (table == NULL)
		return -ENOMEM;
	if (router->table == NULL)
		memset(table, 0, sizeof *table);
	router->table = table;
	router->table_room = room;
	return 0;
}

int irq_router_create(int vm_fd, struct irq_router **out, struct error *err)
{
	struct irq_router *router = calloc(1, sizeof *router);

	if (router == NULL)
		return error_set(err, ENOMEM, "no memory for the interrupt router");
	if (table_reserve(router, IRQ_PINS) < 0) {
		free(router);
		return error_set(err, ENOMEM, "no memory for the interrupt routes");
	}
	pthread_mutex_init(&router->lock, NULL);
	router->vm_fd = vm_fd;
	for (unsigned pin = 0; pin < IRQ_PINS; pin++) {
		router->lines[pin] = -1;
		router->table->entries[pin] = (struct kvm_irq_routing_entry){
			.gsi = pin,
			.type = KVM_IRQ_ROUTING_IRQCHIP,
			.u.irqchip = { .irqchip = KVM_IRQCHIP_IOAPIC, .pin = pin },
		};
	}
	router->table->nr = IRQ_PINS;
	*out = router;
	return 0;
}

void irq_router_destroy(struct irq_router *router)
{
	if (router == NULL)
		return;
	for (unsigned pin = 0; pin < IRQ_PINS; pin++)
		if (router->lines[pin] >= 0)
			close(router->lines[pin]);
	for (unsigned i = 0; i < router->n_msis; i++) {
		close(router->msis[i]->fd);
		free(router->msis[i]);
	}
	pthread_mutex_destroy(&router->lock);
	free(router->table);
	free(router);
}

static int kvm_irqfd(const struct irq_router *router, int fd, uint32_t gsi, uint32_t flags)
{
	struct kvm_irqfd request = { .fd = (uint32_t)fd, .gsi = gsi, .flags = flags };

	if (router->vm_fd < 0)
		return 0;
	return ioctl(router->vm_fd, KVM_IRQFD, &request) < 0 ? -errno : 0;
}

int irq_line(struct irq_router *router, unsigned pin, int *fd, struct error *err)
{
	int ret = 0, line;

	if (pin >= IRQ_PINS)
		return error_set(err, EINVAL, "the IOAPIC has no pin %u: pins are 0 to %u", pin, IRQ_PINS - 1);
	pthread_mutex_lock(&router->lock);
	if (router->lines[pin] >= 0) {
		*fd = router->lines[pin];
		goto out;
	}
	line = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (line < 0) {
		ret = error_set(err, errno, "cannot make an eventfd for an interrupt line: %s", strerror(errno));
		goto out;
	}
	router->lines_changed = true;
	*fd = router->lines[pin] = line;
out:
	pthread_mutex_unlock(&router->lock);
	return ret;
}

int irq_msi_add(struct irq_router *router, struct irq_msi **out)
{
	struct irq_msi *msi;
	int ret;

	pthread_mutex_lock(&router->lock);
	ret = -ENOSPC;
	if (router->n_msis == IRQ_MAX_MSI)
		goto fail;
	/* Here, so that no commit has to allocate. */
	ret = table_reserve(router, IRQ_PINS + router->n_msis + 1);
	if (ret < 0)
		goto fail;
	ret = -ENOMEM;
	msi = calloc(1, sizeof *msi);
	if (msi == NULL)
		goto fail;
	msi->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (msi->fd < 0) {
		ret = -errno;
		free(msi);
		goto fail;
	}
	msi->router = router;
	msi->gsi = IRQ_PINS + router->n_msis;
	msi->masked = true;
	router->msis[router->n_msis++] = msi;
	pthread_mutex_unlock(&router->lock);
	*out = msi;
	return 0;
fail:
	pthread_mutex_unlock(&router->lock);
	return ret;
}

void irq_msi_set(struct irq_msi *msi, uint64_t address, uint32_t data, bool masked)
{
	struct irq_router *router = msi->router;

	pthread_mutex_lock(&router->lock);
	if (msi->address != address || msi->data != data || msi->masked != masked) {
		msi->address = address;
		msi->data = data;
		msi->masked = masked;
		if (!msi->changed) {
			msi->changed = true;
			msi->next_changed = router->changed;
			router->changed = msi;
		}
	}
	pthread_mutex_unlock(&router->lock);
}

static bool address_plausible(uint64_t address)
{
	return ((uint32_t)address & MSI_ADDRESS_BASE_MASK) == MSI_ADDRESS_BASE &&
	       ((uint32_t)(address >> 32) & MSI_ADDRESS_HIGH_RESERVED) == 0;
}

static bool msi_open(const struct irq_msi *msi)
{
	return !msi->masked && address_plausible(msi->address);
}

/* Brings the source's entry of the table up to date. */
static void route_write(struct irq_router *router, struct irq_msi *msi)
{
	struct kvm_irq_routing_entry *entry;

	if (msi->route == 0) {
		msi->route = router->table->nr++;
		entry = &router->table->entries[msi->route];
		*entry = (struct kvm_irq_routing_entry){ .gsi = msi->gsi, .type = KVM_IRQ_ROUTING_MSI };
	}
	entry = &router->table->entries[msi->route];
	/* A new entry is all zeros, which no plausible address equals. */
	if (entry->u.msi.address_lo == (uint32_t)msi->address &&
	    entry->u.msi.address_hi == (uint32_t)(msi->address >> 32) && entry->u.msi.data == msi->data)
		return;
	entry->u.msi.address_lo = (uint32_t)msi->address;
	entry->u.msi.address_hi = (uint32_t)(msi->address >> 32);
	entry->u.msi.data = msi->data;
	router->table_changed = true;
}

static int attach_or_detach(struct irq_router *router, struct irq_msi *msi)
{
	bool attach = msi_open(msi);
	int ret;

	if (attach == atomic_load(&msi->attached))
		return 0;
	ret = kvm_irqfd(router, msi->fd, msi->gsi, attach ? 0 : KVM_IRQFD_FLAG_DEASSIGN);
	if (ret == 0)
		atomic_store(&msi->attached, attach);
	return ret;
}

static int lines_attach(struct irq_router *router)
{
	for (unsigned pin = 0; pin < IRQ_PINS && router->lines_changed; pin++) {
		int ret;

		if (router->lines[pin] < 0 || router->line_attached[pin])
			continue;
		ret = kvm_irqfd(router, router->lines[pin], pin, 0);
		if (ret < 0)
			return ret;
		router->line_attached[pin] = true;
	}
	router->lines_changed = false;
	return 0;
}

int irq_commit(struct irq_router *router)
{
	struct irq_msi **link;
	int ret;

	pthread_mutex_lock(&router->lock);
	ret = lines_attach(router);
	if (ret < 0)
		goto out;
	for (struct irq_msi *msi = router->changed; msi != NULL; msi = msi->next_changed) {
		if (msi_open(msi)) {
			route_write(router, msi);
		} else if (!msi->masked && !router->warned) {
			router->warned = true;
			log_warning("the guest programmed an MSI to address 0x%llx, which is no interrupt: ignored",
			            (unsigned long long)msi->address);
		}
	}
	if (router->table_changed) {
		if (router->vm_fd >= 0 && ioctl(router->vm_fd, KVM_SET_GSI_ROUTING, router->table) < 0) {
			ret = -errno;
			goto out;
		}
		router->table_changed = false;
	}
	/* What fails stays on the list: the next commit tries again. */
	for (link = &router->changed; *link != NULL;) {
		struct irq_msi *msi = *link;
		int failed = attach_or_detach(router, msi);

		if (failed < 0) {
			ret = failed;
			link = &msi->next_changed;
			continue;
		}
		*link = msi->next_changed;
		msi->next_changed = NULL;
		msi->changed = false;
	}
out:
	pthread_mutex_unlock(&router->lock);
	return ret;
}

void irq_msi_signal(struct irq_msi *msi)
{
	/* It fails only where 2^64 - 2 signals have collected: the interrupt is pending then anyway. */
	eventfd_write(msi->fd, 1);
}

bool irq_msi_pending(const struct irq_msi *msi)
{
	struct pollfd waits = { .fd = msi->fd, .events = POLLIN };

	return !atomic_load(&msi->attached) && poll(&waits, 1, 0) == 1;
}

void irq_msi_clear(struct irq_msi *msi)
{
	eventfd_t count;

	eventfd_read(msi->fd, &count);
}

int irq_msi_fd(const struct irq_msi *msi)
{
	return msi->fd;
}
