/* SPDX-License-Identifier: MIT */
/*
 * status.c - the device status state machine (virtio 1.2, 2.1 and 3.1), activation and reset.
 *
 *   0 ── ACKNOWLEDGE ── DRIVER ── FEATURES_OK ── DRIVER_OK ── (NEEDS_RESET)
 *   ▲                                 │ refused: the bit stays 0
 *   └── 0 written: at any time; after DRIVER_OK carried out on the home loop ───────┘
 *
 * The driver only ever adds bits; DRIVER_OK counts once FEATURES_OK stands. status_write_locked()
 * runs on a vCPU's thread and asks; status_apply() does it on the home loop. Called by transport.c and device.c.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "core/base/log.h"
#include "core/virtio/device-private.h"

#define TRANSPORT_FEATURES \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_RING_F_EVENT_IDX | 1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define DEFAULT_MAX_BYTES (1ull << 30)

uint64_t status_offered(const struct virtio_device *d)
{
	return d->shape.features | TRANSPORT_FEATURES;
}

static bool features_acceptable(const struct virtio_device *d)
{
	return !(d->driver_features & ~status_offered(d)) && (d->driver_features & 1ull << VIRTIO_F_VERSION_1);
}

static void registers_reset_locked(struct virtio_device *d)
{
	atomic_store(&d->broken, false);
	d->reset_asked = d->activate_asked = false;
	d->n_writes = 0;
	d->driver_features = 0;
	d->device_feature_select = d->driver_feature_select = 0;
	d->queue_select = 0;
	d->config_vector = MSIX_NO_VECTOR;
	d->isr = 0;
	for (unsigned i = 0; i < d->n_queues; i++) {
		struct device_queue *q = &d->queues[i];

		q->size = d->shape.queues[i].size;
		q->desc = q->driver = q->area = 0;
		q->enabled = false;
		atomic_store(&q->vector, MSIX_NO_VECTOR);
	}
	d->status = 0; /* last: the driver waits for it */
}

void status_write_locked(struct virtio_device *d, uint8_t value)
{
	uint8_t added = (uint8_t)(value & ~d->status);

	if (d->reset_asked)
		return; /* until it has been carried out, the driver may only wait */
	if (value == 0 && !(d->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
		/*
		 * Nothing runs. The driver may see 0 already and go on: later the reset would undo what it wrote
		 * then.
		 */
		registers_reset_locked(d);
		return;
	}
	if (value == 0) {
		d->reset_asked = true;
		reactor_call_run(d->apply_call);
		return;
	}
	d->status |= added & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FAILED);
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && features_acceptable(d))
		d->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if ((added & VIRTIO_CONFIG_S_DRIVER_OK) && (d->status & VIRTIO_CONFIG_S_FEATURES_OK)) {
		d->status |= VIRTIO_CONFIG_S_DRIVER_OK;
		d->activate_asked = true;
		reactor_call_run(d->apply_call);
	}
}

void virtio_device_broken(struct virtio_device *d, const char *reason)
{
	bool first;

	pthread_mutex_lock(&d->lock);
	first = (d->status & VIRTIO_CONFIG_S_DRIVER_OK) && !(d->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	if (first) {
		atomic_store(&d->broken, true);
		d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
		device_config_changed_locked(d);
	}
	pthread_mutex_unlock(&d->lock);
	if (first && device_reason_is_new(d, reason))
		log_warning("%s: the guest's driver made %s; the device needs a reset", d->name, reason);
}

/* Calls that a queue's own loop must make; `ok` comes back. */
struct queue_task {
	struct device_queue *queue;
	bool ok;
};

static void queue_begin(void *ctx)
{
	struct queue_task *task = ctx;
	struct device_queue *q = task->queue;

	q->again = reactor_call_add(q->loop, service_again, q);
	q->publish = reactor_call_add(q->loop, service_publish, q);
	q->watch = reactor_watch_add(q->loop, q->notify_fd, REACTOR_READ | REACTOR_EDGE, service_notified, q);
	task->ok = q->again && q->publish && q->watch;
	/*
	 * What became available before the watch existed, whether it was notified or not. For a silent queue too: a
	 * wait that was asked for before there was a queue has not been armed.
	 */
	if (task->ok)
		reactor_call_run(q->again);
}

static void queue_end(void *ctx)
{
	struct device_queue *q = ctx;

	reactor_watch_remove(q->watch);
	reactor_call_remove(q->again);
	reactor_call_remove(q->publish);
	q->watch = NULL;
	q->again = q->publish = NULL;
	q->in_handler = q->waiting = q->publish_asked = false;
	q->notifications = q->interrupts = 0;
}

static int queue_open(struct virtio_device *d, unsigned index, uint64_t features, const char **why)
{
	const struct capsa_queue_setup *shape = &d->shape.queues[index];
	struct device_queue *q = &d->queues[index];
	struct virtqueue_setup setup = {
		.memory = d->platform.memory,
		.index = (uint16_t)index,
		.event_idx = features >> VIRTIO_RING_F_EVENT_IDX & 1,
		.indirect = features >> VIRTIO_RING_F_INDIRECT_DESC & 1,
		.silent = shape->silent,
		.max_segments = shape->max_segments ? shape->max_segments : shape->size,
		.max_bytes = shape->max_bytes ? shape->max_bytes : DEFAULT_MAX_BYTES,
	};
	bool enabled;

	pthread_mutex_lock(&d->lock);
	enabled = q->enabled;
	setup.size = q->size;
	setup.desc = q->desc;
	setup.driver = q->driver;
	setup.device = q->area;
	pthread_mutex_unlock(&d->lock);
	return enabled ? virtqueue_open(&q->vq, &setup, why) : 0;
}

static void activate(struct virtio_device *d, uint64_t features)
{
	const char *why = NULL;
	unsigned i;

	for (i = 0; i < d->n_queues; i++)
		if (queue_open(d, i, features, &why)) {
			while (i-- > 0)
				virtqueue_close(&d->queues[i].vq);
			virtio_device_broken(d, why);
			return;
		}
	d->active = true;
	/* Before the first handler runs: activate() comes before queue_notify(). */
	if (d->ops->activate(d->ctx, features & d->shape.features)) {
		virtio_device_broken(d, "a request to start that the device refused");
		return;
	}
	for (i = 0; i < d->n_queues; i++) {
		struct queue_task task = { .queue = &d->queues[i] };

		if (!d->queues[i].vq.desc)
			continue; /* never enabled */
		reactor_call_wait(d->queues[i].loop, queue_begin, &task);
		if (!task.ok)
			virtio_device_broken(d, "a queue that there is no memory for");
	}
}

void status_reset(struct virtio_device *d)
{
	/* Other loops let go first: afterwards nobody else touches the instance. */
	for (unsigned i = 0; i < d->n_queues; i++)
		if (d->queues[i].watch || d->queues[i].again || d->queues[i].publish)
			reactor_call_wait(d->queues[i].loop, queue_end, &d->queues[i]);
	if (d->active)
		d->ops->reset(d->ctx);
	d->active = false;
	/* Not before: a device with workers waits in reset() for those that still use a request. */
	for (unsigned i = 0; i < d->n_queues; i++)
		virtqueue_close(&d->queues[i].vq);

	pthread_mutex_lock(&d->lock);
	registers_reset_locked(d);
	pthread_mutex_unlock(&d->lock);
}

static void deliver_config_writes(struct virtio_device *d)
{
	struct config_write writes[MAX_CONFIG_WRITES];
	unsigned n;

	pthread_mutex_lock(&d->lock);
	n = d->n_writes;
	memcpy(writes, d->writes, n * sizeof writes[0]);
	d->n_writes = 0;
	pthread_mutex_unlock(&d->lock);
	if (!d->ops->config_written)
		return;
	for (unsigned i = 0; i < n; i++)
		d->ops->config_written(d->ctx, writes[i].offset, writes[i].data, writes[i].len);
}

void status_apply(void *ctx)
{
	struct virtio_device *d = ctx;
	bool reset, begin;
	uint64_t features;

	pthread_mutex_lock(&d->lock);
	reset = d->reset_asked;
	begin = d->activate_asked;
	d->activate_asked = false;
	features = d->driver_features;
	pthread_mutex_unlock(&d->lock);
	if (reset) {
		status_reset(d);
		return;
	}
	if (begin)
		activate(d, features);
	if (d->active)
		deliver_config_writes(d);
}
