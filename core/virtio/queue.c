/* SPDX-License-Identifier: MIT */
/* queue.c - see queue.h. Called by device.c and notify.c. */
#include "core/virtio/queue.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Ring fields that the driver writes, or reads, at the same time. */
static uint16_t load16(const __virtio16 *from)
{
	return __atomic_load_n(from, __ATOMIC_ACQUIRE);
}

static void store16(__virtio16 *to, uint16_t value)
{
	__atomic_store_n(to, value, __ATOMIC_RELEASE);
}

/* Behind the rings (2.7.10): in the available ring where the driver wants an interrupt, ... */
static const __virtio16 *used_event(const struct virtqueue *vq)
{
	return &vq->avail->ring[vq->setup.size];
}

/* ... in the used ring where the device wants a notification. */
static __virtio16 *avail_event(const struct virtqueue *vq)
{
	return (__virtio16 *)&vq->used->ring[vq->setup.size];
}

int virtqueue_open(struct virtqueue *vq, const struct virtqueue_setup *setup, const char **why)
{
	uint32_t n = setup->size;

	*vq = (struct virtqueue){ .setup = *setup };
	*why = "a queue size that is no power of two";
	if (n == 0 || (n & (n - 1)))
		return -EINVAL;
	*why = "a ring that is not aligned";
	if (setup->desc % 16 || setup->driver % 2 || setup->device % 4)
		return -EINVAL;
	vq->desc = memory_at(setup->memory, setup->desc, n * sizeof *vq->desc);
	vq->avail = memory_at(setup->memory, setup->driver, sizeof *vq->avail + (n + 1) * sizeof vq->avail->ring[0]);
	vq->used = memory_at(setup->memory, setup->device,
	                     sizeof *vq->used + n * sizeof vq->used->ring[0] + sizeof(__virtio16));
	*why = "a ring outside of memory";
	if (!vq->desc || !vq->avail || !vq->used)
		return -EINVAL;
	if (setup->silent && !setup->event_idx)
		store16(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
	return 0;
}

void virtqueue_close(struct virtqueue *vq)
{
	struct virtqueue_request *lists[2] = { vq->unused, vq->popped };

	for (int i = 0; i < 2; i++)
		while (lists[i]) {
			struct virtqueue_request *request = lists[i];

			lists[i] = request->next;
			free(request->iov);
			free(request);
		}
	*vq = (struct virtqueue){ 0 };
}

static void disarm(struct virtqueue *vq)
{
	if (!vq->armed)
		return;
	vq->armed = false;
	/* With EVENT_IDX an event that has passed asks for nothing more. */
	if (!vq->setup.event_idx)
		store16(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

static void arm(struct virtqueue *vq)
{
	if (vq->setup.event_idx)
		store16(avail_event(vq), vq->last_avail);
	else if (!vq->armed)
		store16(&vq->used->flags, 0);
	vq->armed = true;
	/* The driver must see this before its index is read again, else both sides wait. */
	atomic_thread_fence(memory_order_seq_cst);
}

/* How far the driver's index is ahead, which may be further than it can be. */
static uint16_t ahead(const struct virtqueue *vq)
{
	return (uint16_t)(load16(&vq->avail->idx) - vq->last_avail);
}

/* How many entries wait; breaks the queue where the driver's index cannot be. */
static uint16_t available(struct virtqueue *vq)
{
	uint16_t n = ahead(vq);

	if (n > vq->setup.size) {
		vq->broken = "an available index that jumps";
		return 0;
	}
	return n;
}

bool virtqueue_wait(struct virtqueue *vq)
{
	if (!vq->desc || vq->broken)
		return false;
	if (available(vq) == 0) {
		arm(vq);
		if (available(vq) == 0)
			return false;
	}
	disarm(vq);
	return true;
}

uint16_t virtqueue_waiting(const struct virtqueue *vq)
{
	const uint16_t n = vq->desc && !vq->broken ? ahead(vq) : 0;

	return n <= vq->setup.size ? n : 0;
}

uint16_t virtqueue_unseen(const struct virtqueue *vq)
{
	return vq->desc && vq->setup.event_idx ? (uint16_t)(vq->published - load16(used_event(vq))) : 0;
}

static struct virtqueue_request *request_take(struct virtqueue *vq)
{
	struct virtqueue_request *request = vq->unused;

	if (!request)
		return calloc(1, sizeof *request);
	vq->unused = request->next;
	return request;
}

static void request_put(struct virtqueue *vq, struct virtqueue_request *request)
{
	request->next = vq->unused;
	vq->unused = request;
}

static void popped_add(struct virtqueue *vq, struct virtqueue_request *request)
{
	request->next = vq->popped;
	request->link = &vq->popped;
	if (vq->popped)
		vq->popped->link = &request->next;
	vq->popped = request;
	vq->in_flight++;
}

static void popped_remove(struct virtqueue *vq, struct virtqueue_request *request)
{
	*request->link = request->next;
	if (request->next)
		request->next->link = request->link;
	vq->in_flight--;
	request_put(vq, request);
}

struct capsa_request *virtqueue_pop(struct virtqueue *vq)
{
	struct virtqueue_request *request;
	uint16_t head;

	if (!vq->desc || vq->broken)
		return NULL;
	if (available(vq) == 0 && (vq->broken || vq->setup.silent || !virtqueue_wait(vq)))
		return NULL;
	disarm(vq);
	if (vq->in_flight == vq->setup.size) {
		vq->broken = "more requests at a time than descriptors";
		return NULL;
	}
	head = load16(&vq->avail->ring[vq->last_avail & (vq->setup.size - 1)]);
	request = request_take(vq);
	if (!request) {
		vq->broken = "a request that there is no memory for";
		return NULL;
	}
	vq->broken = virtqueue_walk(vq, head, request);
	if (vq->broken) {
		request_put(vq, request);
		return NULL;
	}
	vq->last_avail++;
	popped_add(vq, request);
	return &request->shown;
}

void virtqueue_complete(struct virtqueue *vq, struct capsa_request *shown, size_t written)
{
	struct virtqueue_request *request = (struct virtqueue_request *)(void *)shown;
	struct vring_used_elem *element = &vq->used->ring[vq->used_index & (vq->setup.size - 1)];

	assert(vq->in_flight > 0);
	element->id = request->head;
	element->len = (uint32_t)(written < shown->writable_bytes ? written : shown->writable_bytes);
	vq->used_index++;
	popped_remove(vq, request);
}

void virtqueue_give_back(struct virtqueue *vq, struct capsa_request *shown)
{
	assert(vq->in_flight > 0);
	vq->last_avail--;
	popped_remove(vq, (struct virtqueue_request *)(void *)shown);
}

bool virtqueue_publish(struct virtqueue *vq)
{
	uint16_t before = vq->published;

	if (!vq->desc || vq->used_index == before)
		return false;
	store16(&vq->used->idx, vq->used_index);
	vq->published = vq->used_index;
	/* The driver must see the index before its wish for an interrupt is read. */
	atomic_thread_fence(memory_order_seq_cst);
	if (vq->setup.event_idx)
		return vring_need_event(load16(used_event(vq)), vq->used_index, before);
	return !(load16(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
}
