/* SPDX-License-Identifier: MIT */
/*
 * services-queue.c - queues, configuration space and health: services that end in core/virtio.
 *
 * Called by plugins on the queue's loop. What a plugin does outside of activate..reset finds an
 * empty queue: it can be caused by a late job or descriptor and must not reach a ring that is gone.
 */
#include "core/plugin/instance.h"

#include <errno.h>
#include <string.h>

#include "core/base/log.h"

/* The virtio device, or NULL where the queue cannot be used now. */
static struct virtio_device *usable(const struct plugin_device *d, unsigned queue)
{
	if (!atomic_load_explicit(&d->active, memory_order_acquire) || queue >= d->setup.n_queues)
		return NULL;
	return d->virtio;
}

struct capsa_request *service_queue_pop(struct capsa_device *dev, unsigned queue)
{
	struct virtio_device *virtio = usable(dev->instance, queue);

	return virtio ? virtio_queue_pop(virtio, queue) : NULL;
}

void service_queue_complete(struct capsa_device *dev, struct capsa_request *req, size_t written)
{
	/* The queue is looked up without touching the request: after a reset it may be gone. */
	struct virtio_device *virtio = usable(dev->instance, 0);

	if (virtio)
		virtio_queue_complete(virtio, req, written);
}

void service_queue_give_back(struct capsa_device *dev, struct capsa_request *req)
{
	struct virtio_device *virtio = usable(dev->instance, 0);

	if (virtio)
		virtio_queue_give_back(virtio, req);
}

void service_queue_flush(struct capsa_device *dev, unsigned queue)
{
	struct virtio_device *virtio = usable(dev->instance, queue);

	if (virtio)
		virtio_queue_flush(virtio, queue);
}

void service_queue_again(struct capsa_device *dev, unsigned queue)
{
	struct virtio_device *virtio = usable(dev->instance, queue);

	if (!virtio)
		return;
	dev->instance->wants_notify[queue] = true;
	virtio_queue_again(virtio, queue);
}

bool service_queue_wait(struct capsa_device *dev, unsigned queue)
{
	struct virtio_device *virtio = usable(dev->instance, queue);

	if (!virtio)
		return false;
	if (virtio_queue_wait(virtio, queue))
		return true;
	dev->instance->wants_notify[queue] = true;
	return false;
}

int service_config_set(struct capsa_device *dev, size_t offset, const void *data, size_t len, bool tell)
{
	struct plugin_device *d = dev->instance;
	/* While realize() runs, the state is still the one before it. */
	size_t size = d->state >= INSTANCE_REALIZED ? d->setup.config_size : sizeof d->config;

	if (d->state < INSTANCE_CONFIGURED || offset > size || len > size - offset)
		return -EINVAL;
	if (len == 0)
		return 0;
	memcpy(d->config + offset, data, len);
	if (offset + len > d->config_used)
		d->config_used = offset + len;
	return d->virtio ? virtio_config_set(d->virtio, offset, data, len, tell) : 0;
}

void service_broken(struct capsa_device *dev, const char *reason)
{
	struct plugin_device *d = dev->instance;

	pthread_mutex_lock(&d->virtio_lock);
	if (d->virtio_reachable)
		virtio_device_broken(d->virtio, reason);
	pthread_mutex_unlock(&d->virtio_lock);
}
