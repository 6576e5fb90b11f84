/* SPDX-License-Identifier: MIT */
/*
 * queue.h - one split virtqueue (virtio 1.2, 2.7) as the device sees it.
 *
 * Knows the rings and nothing of PCI, loops or interrupts. Used by one thread at a time: the loop that the
 * queue is pinned to.
 *
 * Theory of operation: ring addresses are translated once, at activation. Whatever lies in the rings may
 * change at any time, so each value is read once, checked, and only the copy is used. `last_avail` is the
 * next request to pop; completions are written behind `used_index` and become visible when
 * virtqueue_publish() stores it. Notifications are off while requests are being popped; a pop that finds the
 * ring empty switches them on, passes a full barrier and looks again (2.7.13.3.1), so that none is missed.
 */
#ifndef CAPSA_VIRTIO_QUEUE_H
#define CAPSA_VIRTIO_QUEUE_H

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "core/machine/memory.h"

struct virtqueue_request;

/* What the driver set, and the limits of the device. */
struct virtqueue_setup {
	const struct memory *memory;
	uint16_t index;                /* of the queue, for requests */
	uint16_t size;                 /* descriptors: a power of two */
	uint64_t desc, driver, device; /* guest physical addresses of the three areas */
	bool event_idx, indirect;      /* negotiated */
	bool silent;                   /* notifications stay off unless virtqueue_wait() asks for one */
	uint32_t max_segments;
	uint64_t max_bytes;
};

struct virtqueue {
	struct virtqueue_setup setup;
	const struct vring_desc *desc;
	const struct vring_avail *avail;
	struct vring_used *used;
	uint16_t last_avail;              /* the next entry of the available ring */
	uint16_t used_index;              /* the next entry of the used ring */
	uint16_t published;               /* what the driver has been told of used_index */
	uint16_t in_flight;               /* requests popped and not completed */
	bool armed;                       /* the driver was asked to notify */
	const char *broken;               /* why the ring cannot be used any more; NULL: it can */
	struct virtqueue_request *unused; /* requests to use again */
	struct virtqueue_request *popped; /* those in flight */
};

/*
 * Translates the rings. 0, or -EINVAL with *why (a constant) where they do not lie in memory or the size is none.
 * virtqueue_close() frees.
 */
int virtqueue_open(struct virtqueue *vq, const struct virtqueue_setup *setup, const char **why);
void virtqueue_close(struct virtqueue *vq);

/* The next request, or NULL: empty, or broken (vq->broken says why). */
struct capsa_request *virtqueue_pop(struct virtqueue *vq);
void virtqueue_complete(struct virtqueue *vq, struct capsa_request *request, size_t written);
void virtqueue_give_back(struct virtqueue *vq, struct capsa_request *request);
/* Makes completions visible; returns whether the driver wants an interrupt for them (2.7.7.2, 2.7.10). */
bool virtqueue_publish(struct virtqueue *vq);
/* What the driver has made available and nobody has popped, of a queue that is not broken; at most its size. */
uint16_t virtqueue_waiting(const struct virtqueue *vq);
/*
 * Of what was shown, what the driver has not seen when it asked for its next interrupt (EVENT_IDX; else 0). One that
 * looks by itself does not ask.
 */
uint16_t virtqueue_unseen(const struct virtqueue *vq);
/* Asks the driver to notify at the next available buffer; true where there is one already (then it is not asked). */
bool virtqueue_wait(struct virtqueue *vq);

/* chain.c: one descriptor chain into a request. NULL, or why it is refused (a constant). */
const char *virtqueue_walk(const struct virtqueue *vq, uint16_t head, struct virtqueue_request *request);

/* A request with its buffers; `shown` is what devices see. */
struct virtqueue_request {
	struct capsa_request shown;
	struct virtqueue_request *next, **link; /* in vq->unused (next only) or vq->popped */
	struct iovec *iov;                      /* readable buffers, then writable ones */
	uint32_t iov_room;
	uint16_t head;
};

#endif
