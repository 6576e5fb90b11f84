/* SPDX-License-Identifier: MIT */
/*
 * notify.c - what follows the BARs: one ioeventfd a queue at its notify address, and the slots of
 * shared-memory windows. Called by capabilities.c (on vCPU threads, under the PCI lock) and transport.c.
 */
#include <string.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/virtio/device-private.h"

void notify_kick(struct virtio_device *d, unsigned queue)
{
	uint64_t one = 1;

	if (queue < d->n_queues && write(d->queues[queue].notify_fd, &one, sizeof one) < 0)
		return; /* the counter is full: it is notified */
}

static void place(struct virtio_device *d, struct device_queue *q, uint64_t *at, uint64_t address, bool is_port)
{
	int rc;

	if (*at)
		d->platform.ioeventfd(d->platform.ctx, *at, is_port, q->notify_fd, false);
	*at = 0;
	if (!address)
		return;
	rc = d->platform.ioeventfd(d->platform.ctx, address, is_port, q->notify_fd, true);
	if (!rc)
		*at = address;
	else if (device_reason_is_new(d, "notify")) /* the device still works: transport.c takes the write */
		log_warning("%s: KVM does not watch the notify address of queue %u: %s", d->name, q->index,
		            strerror(-rc));
}

void notify_bar_moved(struct virtio_device *d, unsigned bar, uint64_t address, bool decoding)
{
	uint64_t step = NOTIFY_MULTIPLIER;

	if (bar == 0) {
		for (unsigned i = 0; i < d->n_queues; i++)
			place(d, &d->queues[i], &d->queues[i].address, decoding ? address + BAR_NOTIFY + step * i : 0,
			      false);
	} else if (bar == NOTIFY_PORT_BAR) {
		for (unsigned i = 0; i < d->n_queues; i++)
			place(d, &d->queues[i], &d->queues[i].port, decoding ? address + step * i : 0, true);
	} else if (bar == SHARED_MEMORY_BAR) {
		/* A slot is slow to move. Linux sizes BARs before it lets them decode, so this is rare. */
		for (unsigned i = 0; i < d->shape.n_shared_memory; i++)
			if (d->platform.slot_move(d->platform.ctx, d->slots[i],
			                          decoding ? address + d->slot_offsets[i] : 0) &&
			    device_reason_is_new(d, "window"))
				log_warning("%s: KVM does not move a shared-memory window", d->name);
	}
}
