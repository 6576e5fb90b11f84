/* SPDX-License-Identifier: MIT */
/* ring-queue.c - see ring-queue.h; virtio 1.2, 2.7. */
#include <err.h>
#include <string.h>
#include <sys/eventfd.h>

#include "tests/bench/ring-queue.h"

uint64_t guest_alloc(struct guest_memory *memory, uint64_t size, uint64_t align)
{
	uint64_t at = (memory->next + align - 1) / align * align;

	if (at + size > memory->size)
		errx(1, "the guest's memory is too small for this bench");
	memory->next = at + size;
	memset(guest_at(memory, at), 0, size);
	return at;
}

void *guest_at(const struct guest_memory *memory, uint64_t address)
{
	return memory->at + address;
}

/* Behind the rings (2.7.6, 2.7.8). */
static __virtio16 *used_event(const struct queue *queue)
{
	return &queue->avail->ring[QUEUE_SIZE];
}

static __virtio16 *avail_event(const struct queue *queue)
{
	return (__virtio16 *)(void *)&queue->used->ring[QUEUE_SIZE];
}

void queue_lay(struct queue *queue, struct guest_memory *memory, bool event_idx)
{
	const uint64_t avail_size = sizeof *queue->avail + (QUEUE_SIZE + 1) * sizeof queue->avail->ring[0];
	const uint64_t used_size = sizeof *queue->used + QUEUE_SIZE * sizeof queue->used->ring[0] + sizeof(__virtio16);

	*queue = (struct queue){ .event_idx = event_idx, .kick = -1, .call = -1 };
	queue->desc_at = guest_alloc(memory, QUEUE_SIZE * sizeof *queue->desc, VRING_DESC_ALIGN_SIZE);
	queue->avail_at = guest_alloc(memory, avail_size, VRING_AVAIL_ALIGN_SIZE);
	/* A page of its own, so that the two sides write to different cache lines. */
	queue->used_at = guest_alloc(memory, used_size, 4096);
	queue->desc = guest_at(memory, queue->desc_at);
	queue->avail = guest_at(memory, queue->avail_at);
	queue->used = guest_at(memory, queue->used_at);
	for (uint16_t i = 0; i < QUEUE_SIZE; i++)
		queue->free[i] = (uint16_t)(QUEUE_SIZE - 1 - i);
	queue_woke(queue);
}

void queue_post(struct queue *queue, uint64_t table, unsigned n, void *owner)
{
	uint16_t head;

	if (queue->out == QUEUE_SIZE)
		errx(1, "more requests than the ring has room for");
	head = queue->free[QUEUE_SIZE - 1 - queue->out++];
	queue->desc[head] = (struct vring_desc){ .addr = table,
		                                 .len = n * (uint32_t)sizeof(struct vring_desc),
		                                 .flags = VRING_DESC_F_INDIRECT };
	queue->owners[head] = owner;
	queue->avail->ring[queue->posted % QUEUE_SIZE] = head;
	queue->posted++;
	__atomic_store_n(&queue->avail->idx, queue->posted, __ATOMIC_RELEASE);
}

void queue_kick(struct queue *queue)
{
	const uint16_t since = queue->kicked;
	bool wanted;

	if (since == queue->posted)
		return;
	queue->kicked = queue->posted;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (queue->event_idx)
		wanted = vring_need_event(__atomic_load_n(avail_event(queue), __ATOMIC_RELAXED), queue->posted, since);
	else
		wanted = !(__atomic_load_n(&queue->used->flags, __ATOMIC_RELAXED) & VRING_USED_F_NO_NOTIFY);
	if (wanted && eventfd_write(queue->kick, 1))
		err(1, "eventfd");
}

void *queue_take(struct queue *queue, uint32_t *len)
{
	const struct vring_used_elem *element;

	if (__atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) == queue->seen)
		return NULL;
	element = &queue->used->ring[queue->seen++ % QUEUE_SIZE];
	if (element->id >= QUEUE_SIZE || !queue->owners[element->id])
		errx(1, "an answer to a request that was not made");
	*len = element->len;
	queue->free[QUEUE_SIZE - queue->out--] = (uint16_t)element->id;
	void *owner = queue->owners[element->id];
	queue->owners[element->id] = NULL;
	return owner;
}

bool queue_arm(struct queue *queue)
{
	if (queue->event_idx)
		__atomic_store_n(used_event(queue), queue->seen, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&queue->avail->flags, 0, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&queue->used->idx, __ATOMIC_ACQUIRE) == queue->seen;
}

/* With EVENT_IDX nothing is to be done: the event that was asked for lies behind (2.7.7.1). */
void queue_woke(struct queue *queue)
{
	if (!queue->event_idx)
		__atomic_store_n(&queue->avail->flags, VRING_AVAIL_F_NO_INTERRUPT, __ATOMIC_RELAXED);
}
