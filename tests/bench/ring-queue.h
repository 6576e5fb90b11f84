/* SPDX-License-Identifier: MIT */
/*
 * ring-queue.h - the driver's end of one split virtqueue, the same for every side of fs-ring.
 *
 * The ring lies in guest memory; kick and call are eventfds, whoever has the other end. A request is one indirect
 * descriptor, as Linux' virtio-fs makes it of everything longer than one buffer. One thread.
 *
 *     queue_post() ... queue_kick()                       requests appear, the device is told if it wants that
 *     while ((owner = queue_take(&queue, &len))) ...      what has been answered
 *     if (queue_arm(&queue)) poll(queue.call) ...         nothing more: sleep; queue_woke() before looking again
 */
#ifndef CAPSA_TESTS_RING_QUEUE_H
#define CAPSA_TESTS_RING_QUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#define QUEUE_SIZE 1024u

/* Guest memory, all of it at one place of this process; `next` is the first address that nobody has. */
struct guest_memory {
	uint8_t *at;
	uint64_t size, next;
};

/* Zeroed memory; its guest address. The bench ends where there is none left. */
uint64_t guest_alloc(struct guest_memory *memory, uint64_t size, uint64_t align);
/* The host's side of it. */
void *guest_at(const struct guest_memory *memory, uint64_t address);

struct queue {
	uint64_t desc_at, avail_at, used_at; /* guest addresses */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	bool event_idx;
	int kick, call;
	uint16_t posted, kicked; /* values of avail->idx: what the device may see, what it was told of */
	uint16_t seen;           /* used entries taken */
	unsigned out;            /* requests that the device has */
	uint16_t free[QUEUE_SIZE];
	void *owners[QUEUE_SIZE]; /* by descriptor */
};

/* A ring of QUEUE_SIZE in fresh memory. kick and call are set by who gives it to the device. */
void queue_lay(struct queue *queue, struct guest_memory *memory, bool event_idx);
/* A request whose `n` descriptors lie at `table`. At most QUEUE_SIZE may be out. */
void queue_post(struct queue *queue, uint64_t table, unsigned n, void *owner);
/* Makes known what was posted since the last call. */
void queue_kick(struct queue *queue);
/* The owner of the next answered request and the bytes that were written to it; NULL: none. */
void *queue_take(struct queue *queue, uint32_t *len);
/* Asks for a call at the next answer. False: there is one already. */
bool queue_arm(struct queue *queue);
/* After a call, or after queue_arm() for whatever reason: no more of them for the time being. */
void queue_woke(struct queue *queue);

#endif
