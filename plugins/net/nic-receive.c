/* SPDX-License-Identifier: MIT */
/*
 * nic-receive.c - frames to the guest (virtio 1.2, 5.1.6.3, 5.1.6.4).
 *
 * A slot is a view of the first buffers that are kept (nic-private.h), so to cancel one is to forget it: they are kept
 * for the next.
 */
#include <errno.h>
#include <string.h>

#include "plugins/net/nic-private.h"

#define LOOKS 4u

static struct capsa_request *kept(const struct nic_receive *rx, unsigned n)
{
	return rx->kept[(rx->first + n) % NIC_SLOT_BUFFERS];
}

/* One buffer more is kept. False: there is none, or it is none. */
static bool keep_another(struct nic *nic, unsigned pair)
{
	struct nic_receive *rx = &nic->receive[pair];
	struct capsa_request *request = nic->host->queue_pop(nic->dev, nic_receive_queue(pair));

	if (!request)
		return false;
	if (request->writable_bytes < NIC_HEADER) {
		nic->host->broken(nic->dev, "a receive buffer shorter than the header of a frame");
		return false;
	}
	rx->kept[(rx->first + rx->n_kept++) % NIC_SLOT_BUFFERS] = request;
	return true;
}

/* Adds the room of a buffer, but for its first `skip` bytes. False: its pieces do not all fit, the slot is full. */
static bool add_room(struct nic_slot *slot, const struct capsa_request *request, size_t skip)
{
	for (unsigned i = 0; i < request->n_writable; i++) {
		const struct iovec *piece = &request->writable[i];

		if (skip >= piece->iov_len) {
			skip -= piece->iov_len;
			continue;
		}
		if (slot->n == NIC_SLOT_BUFFERS)
			return false;
		slot->iov[slot->n].iov_base = (char *)piece->iov_base + skip;
		slot->iov[slot->n].iov_len = piece->iov_len - skip;
		slot->room += slot->iov[slot->n++].iov_len;
		skip = 0;
	}
	return true;
}

/* 0, or -EAGAIN: more buffers would help; -EMSGSIZE: they would not. */
static int fill(struct nic *nic, struct nic_slot *slot, size_t want, size_t least)
{
	const struct nic_receive *rx = &nic->receive[slot->pair];
	const unsigned most = nic_is_mergeable(nic) ? NIC_SLOT_BUFFERS : 1;
	bool full = false;

	slot->n = 0;
	slot->room = 0;
	for (unsigned n = 0; slot->room < want && !full; n++) {
		if (n == most || slot->n == NIC_SLOT_BUFFERS)
			full = true;
		else if (n == rx->n_kept && !keep_another(nic, slot->pair))
			break;
		else
			full = !add_room(slot, kept(rx, n), n ? 0 : NIC_HEADER);
	}
	if (slot->room >= least)
		return 0;
	return full ? -EMSGSIZE : -EAGAIN;
}

unsigned nic_receive_pair(const struct nic *nic, unsigned pair)
{
	return pair < nic->pairs ? pair : pair % nic->pairs;
}

bool nic_is_short(const struct nic *nic, unsigned pair)
{
	return nic->receive[nic_receive_pair(nic, pair)].waiting;
}

void nic_room_again(struct nic *nic, unsigned pair)
{
	nic->receive[pair].waiting = true;
	nic->host->queue_again(nic->dev, nic_receive_queue(pair));
}

int nic_reserve(struct nic *nic, unsigned pair, size_t want, size_t least, struct nic_slot *slot)
{
	unsigned queue;

	if (!nic->active || !nic->link)
		return -ENETDOWN;
	slot->pair = nic_receive_pair(nic, pair);
	queue = nic_receive_queue(slot->pair);
	/* Where a buffer comes between the look and the wait, one look more finds it. */
	for (unsigned looks = 0; looks < LOOKS; looks++) {
		int rc = fill(nic, slot, want ? want : 1, least ? least : 1);

		if (rc != -EAGAIN)
			return rc;
		if (!nic->host->queue_wait(nic->dev, queue))
			goto wait;
	}
	nic->host->queue_again(nic->dev, queue);
wait:
	nic->receive[slot->pair].waiting = true;
	return -EAGAIN;
}

void nic_send_slot(struct nic *nic, struct nic_slot *slot, const struct virtio_net_hdr_v1 *header, size_t len)
{
	struct nic_receive *rx = &nic->receive[slot->pair];
	struct virtio_net_hdr_v1 first = header ? *header : (struct virtio_net_hdr_v1){ .flags = 0 };
	size_t left = len + NIC_HEADER;
	unsigned n = 0;

	/* How many it takes stands in the first of them. */
	for (size_t room = 0; room < left; n++)
		room += kept(rx, n)->writable_bytes;
	first.num_buffers = (uint16_t)n;
	nic->host->request_write(kept(rx, 0), 0, &first, NIC_HEADER);
	while (n--) {
		struct capsa_request *request = kept(rx, 0);
		const size_t here = request->writable_bytes < left ? request->writable_bytes : left;

		rx->first = (rx->first + 1) % NIC_SLOT_BUFFERS;
		rx->n_kept--;
		left -= here;
		nic->host->queue_complete(nic->dev, request, here);
	}
	rx->dirty = true;
	__atomic_fetch_add(nic->rx_packets, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(nic->rx_bytes, len, __ATOMIC_RELAXED);
}

void nic_cancel_slot(struct nic *nic, struct nic_slot *slot)
{
	(void)nic;
	slot->n = 0;
	slot->room = 0;
}

int nic_send(struct nic *nic, unsigned pair, const struct virtio_net_hdr_v1 *header, const struct iovec *iov,
             unsigned n)
{
	struct nic_slot slot;
	size_t len = 0, at = 0;
	unsigned to = 0;
	int rc;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	rc = nic_reserve(nic, pair, len, len, &slot);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < n; i++)
		for (size_t done = 0; done < iov[i].iov_len;) {
			const size_t room = slot.iov[to].iov_len - at, more = iov[i].iov_len - done;
			const size_t here = room < more ? room : more;

			memcpy((char *)slot.iov[to].iov_base + at, (const char *)iov[i].iov_base + done, here);
			done += here;
			at += here;
			if (at == slot.iov[to].iov_len) {
				to++;
				at = 0;
			}
		}
	nic_send_slot(nic, &slot, header, len);
	return 0;
}

void nic_flush(struct nic *nic)
{
	for (unsigned pair = 0; pair < nic->options.pairs; pair++) {
		if (!nic->receive[pair].dirty)
			continue;
		nic->receive[pair].dirty = false;
		nic->host->queue_flush(nic->dev, nic_receive_queue(pair));
	}
}

void nic_receive_notified(struct nic *nic, unsigned pair)
{
	if (!nic->receive[pair].waiting)
		return;
	nic->receive[pair].waiting = false;
	nic->operations.room(nic->ctx, pair);
	nic_flush(nic);
}

void nic_receive_forget(struct nic *nic)
{
	memset(nic->receive, 0, sizeof nic->receive);
}
