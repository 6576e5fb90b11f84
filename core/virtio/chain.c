/* SPDX-License-Identifier: MIT */
/*
 * chain.c - walks a descriptor chain into iovecs (virtio 1.2, 2.7.5). Called by queue.c.
 *
 * A descriptor is copied once, then checked. The walk is bounded by max_segments, whatever the links say; a
 * buffer lies wholly in guest RAM, or in one device's window; readable buffers come before writable ones (2.7.4.2).
 */
#include <stdlib.h>
#include <string.h>

#include "core/virtio/queue.h"

#define FIRST_ROOM 8u

/* One table of descriptors: the queue's own, or an indirect one. */
struct table {
	const struct vring_desc *desc;
	uint32_t size;
};

static struct vring_desc descriptor_copy(const struct vring_desc *from)
{
	const volatile struct vring_desc *at = from;

	return (struct vring_desc){ .addr = at->addr, .len = at->len, .flags = at->flags, .next = at->next };
}

static bool room_for_one(const struct virtqueue *vq, struct virtqueue_request *request, uint32_t used)
{
	uint32_t room = request->iov_room ? 2 * request->iov_room : FIRST_ROOM;
	struct iovec *iov;

	if (used < request->iov_room)
		return true;
	if (room > vq->setup.max_segments)
		room = vq->setup.max_segments;
	iov = reallocarray(request->iov, room, sizeof *iov);
	if (!iov)
		return false;
	request->iov = iov;
	request->iov_room = room;
	return true;
}

static const char *enter_indirect(const struct virtqueue *vq, const struct vring_desc *d, struct table *table)
{
	if (!vq->setup.indirect)
		return "an indirect descriptor, which was not negotiated";
	if (table->desc != vq->desc)
		return "an indirect descriptor in an indirect table";
	if (d->flags & VRING_DESC_F_NEXT)
		return "an indirect descriptor that has a successor";
	if (d->len == 0 || d->len % sizeof *d)
		return "an indirect table whose length is no multiple of 16";
	table->size = d->len / (uint32_t)sizeof *d;
	table->desc = memory_at(vq->setup.memory, d->addr, d->len);
	if (!table->desc)
		return "an indirect table outside of memory";
	if (d->addr % sizeof(uint64_t))
		return "an indirect table that is not aligned";
	return NULL;
}

static const char *add_buffer(const struct virtqueue *vq, const struct vring_desc *d, struct virtqueue_request *request,
                              uint64_t *bytes)
{
	struct capsa_request *shown = &request->shown;
	uint32_t used = shown->n_readable + shown->n_writable;
	bool writable = d->flags & VRING_DESC_F_WRITE;
	void *host;

	if (!writable && shown->n_writable > 0)
		return "a readable buffer behind a writable one";
	if (d->len == 0)
		return NULL;
	*bytes += d->len;
	if (*bytes > vq->setup.max_bytes)
		return "a request with too many bytes";
	host = memory_buffer_at(vq->setup.memory, d->addr, d->len);
	if (!host)
		return "a buffer outside of memory";
	if (!room_for_one(vq, request, used))
		return "a request that there is no memory for";
	request->iov[used] = (struct iovec){ .iov_base = host, .iov_len = d->len };
	if (writable) {
		shown->n_writable++;
		shown->writable_bytes += d->len;
	} else {
		shown->n_readable++;
		shown->readable_bytes += d->len;
	}
	return NULL;
}

const char *virtqueue_walk(const struct virtqueue *vq, uint16_t head, struct virtqueue_request *request)
{
	struct table table = { .desc = vq->desc, .size = vq->setup.size };
	uint32_t at = head, seen = 0;
	uint64_t bytes = 0;

	request->shown = (struct capsa_request){ .queue = vq->setup.index };
	request->head = head;
	for (;;) {
		struct vring_desc d;
		const char *why;

		if (at >= table.size)
			return "a descriptor index outside of its table";
		d = descriptor_copy(&table.desc[at]);
		if (d.flags & VRING_DESC_F_INDIRECT) {
			why = enter_indirect(vq, &d, &table);
			if (why)
				return why;
			at = 0;
			continue; /* at most once: an indirect table cannot hold another */
		}
		if (seen++ == vq->setup.max_segments)
			return "a chain that is too long, or a loop";
		why = add_buffer(vq, &d, request, &bytes);
		if (why)
			return why;
		if (!(d.flags & VRING_DESC_F_NEXT))
			break;
		at = d.next;
	}
	request->shown.readable = request->iov;
	request->shown.writable = request->iov ? request->iov + request->shown.n_readable : NULL;
	return NULL;
}
