/* SPDX-License-Identifier: MIT */
/* device.c - making and unmaking a virtio device, its configuration space. Called by core/plugin and core/vsock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/virtio/device-private.h"

static int queue_create(struct virtio_device *d, unsigned index, const struct virtio_setup *setup)
{
	struct device_queue *q = &d->queues[index];

	q->device = d;
	q->index = index;
	q->size = d->shape.queues[index].size;
	q->loop = setup->n_loops ? setup->loops[index % setup->n_loops] : d->home;
	atomic_init(&q->vector, MSIX_NO_VECTOR);
	q->notify_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return q->notify_fd < 0 ? -errno : 0;
}

static void device_free(struct virtio_device *d)
{
	for (unsigned i = 0; i < d->n_queues; i++)
		if (d->queues[i].notify_fd >= 0)
			close(d->queues[i].notify_fd);
	reactor_call_remove(d->apply_call);
	if (d->msix)
		msix_destroy(d->msix);
	pthread_mutex_destroy(&d->lock);
	free(d->name);
	free(d);
}

int virtio_device_create(const struct virtio_platform *platform, const struct virtio_setup *setup,
                         struct virtio_device **out, struct error *err)
{
	unsigned n = setup->shape->n_queues;
	struct virtio_device *d = calloc(1, sizeof *d + n * sizeof d->queues[0]);
	int rc = -ENOMEM;

	if (!d)
		return error_set(err, ENOMEM, "no memory for device %s", setup->name);
	d->platform = *platform;
	d->shape = *setup->shape;
	d->ops = setup->ops;
	d->ctx = setup->ctx;
	d->home = setup->home;
	d->told = setup->told ? setup->told : &d->own_told;
	d->n_queues = n;
	d->config_vector = MSIX_NO_VECTOR;
	pthread_mutex_init(&d->lock, NULL);
	for (unsigned i = 0; i < n; i++)
		d->queues[i].notify_fd = -1;
	if (setup->config)
		memcpy(d->config, setup->config, d->shape.config_size);
	d->name = strdup(setup->name);
	d->apply_call = reactor_call_add(d->home, status_apply, d);
	if (!d->name || !d->apply_call)
		goto no_memory;
	for (unsigned i = 0; i < n; i++) {
		rc = queue_create(d, i, setup);
		if (rc)
			goto no_memory;
	}
	rc = capabilities_add(d, setup, err);
	if (rc) {
		device_free(d);
		return rc;
	}
	*out = d;
	return 0;

no_memory:
	rc = error_set(err, -rc, "device %s: %s", setup->name, strerror(-rc));
	device_free(d);
	return rc;
}

static void reset_for_good(void *ctx)
{
	struct virtio_device *d = ctx;

	status_reset(d);
	reactor_call_remove(d->apply_call);
	d->apply_call = NULL;
}

void virtio_device_destroy(struct virtio_device *d)
{
	if (!d)
		return;
	reactor_call_wait(d->home, reset_for_good, d);
	device_free(d);
}

void device_config_changed_locked(struct virtio_device *d)
{
	enum { ISR_CONFIG = 2 };

	d->generation++;
	d->isr |= ISR_CONFIG;
	msix_signal(d->msix, d->config_vector);
}

int virtio_config_set(struct virtio_device *d, size_t offset, const void *data, size_t len, bool tell)
{
	if (offset > d->shape.config_size || len > d->shape.config_size - offset)
		return -EINVAL;
	pthread_mutex_lock(&d->lock);
	memcpy(d->config + offset, data, len);
	if (tell)
		device_config_changed_locked(d);
	else
		d->generation++;
	pthread_mutex_unlock(&d->lock);
	return 0;
}

/* FNV-1a. A reason that collides with another stays unsaid; nothing else depends on it. */
static uint64_t text_hash(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *text; text++)
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	return hash;
}

bool device_reason_is_new(struct virtio_device *d, const char *reason)
{
	uint64_t hash = text_hash(reason);
	bool is_new = false;
	unsigned i;

	pthread_mutex_lock(&d->lock);
	for (i = 0; i < d->told->n && d->told->hashes[i] != hash; i++)
		;
	if (i == d->told->n && i < VIRTIO_MAX_TOLD) {
		d->told->hashes[d->told->n++] = hash;
		is_new = true;
	}
	pthread_mutex_unlock(&d->lock);
	return is_new;
}
