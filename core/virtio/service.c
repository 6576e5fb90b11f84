/* SPDX-License-Identifier: MIT */
/*
 * service.c - runs queue handlers, and the queue functions that handlers call. All on the queue's loop, but
 * for virtio_queue_look().
 *
 * Theory of operation: a notification (eventfd) runs the device's handler, which pops until the ring is empty
 * or its budget is used. The pop that finds nothing re-arms notifications (queue.h), so the handler need not;
 * one that stops earlier asks for virtio_queue_again(), now or when what it waits for has come. Completions are
 * shown once, when the handler returns. Those made elsewhere (a watch, a finished job) are shown by
 * virtio_queue_flush(), or else in the loop's next turn.
 */
#include "core/virtio/device-private.h"

/* NULL where there is no such queue to use now. */
static struct device_queue *usable(struct virtio_device *d, unsigned queue)
{
	return queue < d->n_queues && d->queues[queue].watch ? &d->queues[queue] : NULL;
}

static void check_broken(struct device_queue *q)
{
	if (q->vq.broken)
		virtio_device_broken(q->device, q->vq.broken);
}

static void publish(struct device_queue *q)
{
	if (!virtqueue_publish(&q->vq))
		return;
	q->interrupts++;
	msix_signal(q->device->msix, atomic_load_explicit(&q->vector, memory_order_relaxed));
}

static void run_handler(struct device_queue *q)
{
	struct virtio_device *d = q->device;

	if (atomic_load(&d->broken))
		return;
	q->in_handler = true;
	d->ops->queue_notify(d->ctx, q->index);
	q->in_handler = false;
	publish(q);
}

void service_notified(void *ctx, int fd, unsigned events)
{
	struct device_queue *q = ctx;

	/* Nobody reads the count: one system call less for each notification (the watch is REACTOR_EDGE). */
	(void)fd;
	(void)events;
	q->notifications++;
	if (q->device->shape.queues[q->index].silent) {
		/* Notified in vain, or before the device cared. */
		if (!q->waiting)
			return;
		if (!virtqueue_wait(&q->vq)) {
			check_broken(q);
			return;
		}
	}
	q->waiting = false;
	run_handler(q);
}

void service_again(void *ctx)
{
	struct device_queue *q = ctx;

	q->waiting = false;
	run_handler(q);
}

void service_publish(void *ctx)
{
	struct device_queue *q = ctx;

	q->publish_asked = false;
	publish(q);
}

struct capsa_request *virtio_queue_pop(struct virtio_device *d, unsigned queue)
{
	struct device_queue *q = usable(d, queue);
	struct capsa_request *request;

	if (!q || atomic_load_explicit(&d->broken, memory_order_relaxed))
		return NULL;
	request = virtqueue_pop(&q->vq);
	check_broken(q);
	return request;
}

void virtio_queue_complete(struct virtio_device *d, struct capsa_request *request, size_t written)
{
	struct device_queue *q = usable(d, request->queue);

	if (!q)
		return;
	virtqueue_complete(&q->vq, request, written);
	if (!q->in_handler && !q->publish_asked) {
		q->publish_asked = true;
		reactor_call_run(q->publish);
	}
}

void virtio_queue_give_back(struct virtio_device *d, struct capsa_request *request)
{
	struct device_queue *q = usable(d, request->queue);

	if (q)
		virtqueue_give_back(&q->vq, request);
}

void virtio_queue_flush(struct virtio_device *d, unsigned queue)
{
	struct device_queue *q = usable(d, queue);

	if (q)
		publish(q);
}

void virtio_queue_again(struct virtio_device *d, unsigned queue)
{
	struct device_queue *q = usable(d, queue);

	if (q)
		reactor_call_run(q->again);
}

bool virtio_queue_wait(struct virtio_device *d, unsigned queue)
{
	struct device_queue *q = usable(d, queue);
	bool there;

	if (!q || atomic_load_explicit(&d->broken, memory_order_relaxed))
		return false;
	there = virtqueue_wait(&q->vq);
	q->waiting = !there;
	check_broken(q);
	return there;
}

struct look {
	struct device_queue *queue;
	struct virtio_queue_state *state;
	bool used;
};

static void look(void *ctx)
{
	struct look *look = ctx;
	const struct device_queue *q = look->queue;

	look->used = q->watch;
	*look->state = (struct virtio_queue_state){
		.size = q->vq.setup.size,
		.waiting = virtqueue_waiting(&q->vq),
		.in_flight = q->vq.in_flight,
		.unseen = virtqueue_unseen(&q->vq),
		.notifications = q->notifications,
		.interrupts = q->interrupts,
	};
}

bool virtio_queue_look(struct virtio_device *d, unsigned queue, struct virtio_queue_state *state)
{
	struct look task = { .state = state };

	if (queue >= d->n_queues)
		return false;
	task.queue = &d->queues[queue];
	reactor_call_wait(task.queue->loop, look, &task);
	return task.used;
}
