/* SPDX-License-Identifier: MIT */
/*
 * nic.c - see nic.h: life, features, configuration space, and frames from the guest. Frames to it are nic-receive.c's,
 * commands nic-control.c's.
 *
 * A driver can make each frame malformed, none of them dangerous: the header is copied and checked, lengths are the
 * core's, and what frame() gets as buffers lies in guest memory as the core found it.
 */
#include "plugins/net/nic.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net/nic-private.h"
#include "plugins/net/segment.h"

/* Buffers: of 1.5 KiB in receive, so that a window's worth fits; what is sent comes as 64 KiB. */
#define RECEIVE_SIZE 1024u
#define TRANSMIT_SIZE 256u
#define CONTROL_SIZE 64u

/* Of one turn. */
#define BATCH_FRAMES 64u
#define BATCH_BYTES (1u << 20)

#define CONFIG_SIZE (offsetof(struct virtio_net_config, mtu) + sizeof(uint16_t))

#define BIT(feature) (UINT64_C(1) << (feature))

/* ---- life ---- */

int nic_new(const struct capsa_host *host, struct capsa_device *dev, const struct nic_options *options,
            const struct nic_operations *operations, void *ctx, struct nic **out)
{
	struct nic *nic = calloc(1, sizeof *nic);

	*out = NULL;
	if (!nic)
		return -ENOMEM;
	*nic = (struct nic){ .host = host,
		             .dev = dev,
		             .options = *options,
		             .operations = *operations,
		             .ctx = ctx,
		             .link = true,
		             .pairs = 1 };
	nic->rx_packets = host->counter(dev, "rx_packets", "frames to the guest");
	nic->rx_bytes = host->counter(dev, "rx_bytes", "bytes of frames to the guest");
	nic->malformed = host->counter(dev, "malformed", "frames of the guest that are none");
	if (!nic->rx_packets || !nic->rx_bytes || !nic->malformed) {
		free(nic);
		return -ENOMEM;
	}
	*out = nic;
	return 0;
}

void nic_free(struct nic *nic)
{
	if (!nic)
		return;
	free(nic->whole);
	free(nic);
}

static uint64_t offered(const struct nic *nic)
{
	uint64_t features = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS) |
	                    BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ);

	if (nic->options.offloads)
		features |= BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_HOST_TSO4) |
		            BIT(VIRTIO_NET_F_HOST_TSO6) | BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6);
	if (nic->options.pairs > 1)
		features |= BIT(VIRTIO_NET_F_MQ);
	return features;
}

static uint16_t status(const struct nic *nic)
{
	return nic->link ? VIRTIO_NET_S_LINK_UP : 0;
}

void nic_realize(struct nic *nic, struct capsa_setup *setup)
{
	struct virtio_net_config config = { .status = status(nic),
		                            .max_virtqueue_pairs = (uint16_t)nic->options.pairs,
		                            .mtu = nic->options.mtu };
	unsigned queue = 0;

	for (unsigned pair = 0; pair < nic->options.pairs; pair++) {
		/* Number 2 is the control queue where the driver does not know MQ. */
		setup->queues[queue] = (struct capsa_queue_setup){ .size = RECEIVE_SIZE, .silent = queue != 2 };
		setup->queues[queue + 1] = (struct capsa_queue_setup){ .size = TRANSMIT_SIZE };
		queue += 2;
	}
	setup->queues[queue++] = (struct capsa_queue_setup){ .size = CONTROL_SIZE, .max_bytes = 65536 };
	setup->n_queues = queue;
	setup->features = offered(nic);
	setup->config_size = CONFIG_SIZE;
	memcpy(config.mac, nic->options.mac, ETH_ALEN);
	(void)nic->host->config_set(nic->dev, 0, &config, CONFIG_SIZE, false);
}

/* What needs another feature is nothing without it (virtio 1.2, 5.1.3.1). */
static uint64_t without_orphans(uint64_t features)
{
	const uint64_t by_csum = BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6);
	const uint64_t by_guest_csum = BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6);

	if (!(features & BIT(VIRTIO_NET_F_CSUM)))
		features &= ~by_csum;
	if (!(features & BIT(VIRTIO_NET_F_GUEST_CSUM)))
		features &= ~by_guest_csum;
	return features;
}

void nic_activate(struct nic *nic, uint64_t features)
{
	nic->features = without_orphans(features);
	nic->pairs = 1;
	nic->active = true;
}

void nic_reset(struct nic *nic)
{
	nic_receive_forget(nic);
	nic->active = false;
	nic->features = 0;
	nic->pairs = 1;
}

/* ---- what is known of it ---- */

bool nic_guest_takes_csum(const struct nic *nic)
{
	return nic_has(nic, VIRTIO_NET_F_GUEST_CSUM);
}

bool nic_guest_takes_tso(const struct nic *nic, bool ipv6)
{
	return nic_has(nic, ipv6 ? VIRTIO_NET_F_GUEST_TSO6 : VIRTIO_NET_F_GUEST_TSO4);
}

bool nic_is_mergeable(const struct nic *nic)
{
	return nic_has(nic, VIRTIO_NET_F_MRG_RXBUF);
}

bool nic_is_active(const struct nic *nic)
{
	return nic->active;
}

uint16_t nic_mtu(const struct nic *nic)
{
	return nic->options.mtu;
}

const unsigned char *nic_mac(const struct nic *nic)
{
	return nic->options.mac;
}

unsigned nic_pairs(const struct nic *nic)
{
	return nic->pairs;
}

void nic_set_link(struct nic *nic, bool up)
{
	uint16_t now;

	if (nic->link == up)
		return;
	nic->link = up;
	now = status(nic);
	(void)nic->host->config_set(nic->dev, offsetof(struct virtio_net_config, status), &now, sizeof now, true);
}

void nic_mac_of(const char *machine, const char *device, unsigned char mac[ETH_ALEN])
{
	/* FNV-1a (Fowler, Noll, Vo), 64 bits: the same at every start is all that is asked of it. */
	const char *const names[] = { machine ? machine : "", device };
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (unsigned i = 0; i < 2; i++) {
		const char *c = names[i];

		do
			hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
		while (*c++);
	}
	hash ^= hash >> 48;
	for (unsigned i = 0; i < ETH_ALEN; i++)
		mac[i] = (unsigned char)(hash >> 8 * i);
	mac[0] = (unsigned char)((mac[0] & ~1u) | 2u); /* one station, locally administered */
}

/* ---- frames from the guest ---- */

unsigned nic_frame_iov(const struct nic_frame *frame, size_t from, size_t len, struct iovec *iov, unsigned n)
{
	size_t at = frame->skip + from;
	unsigned filled = 0;

	if (from > frame->len || len > frame->len - from)
		return 0;
	for (unsigned i = 0; len && i < frame->n_buffers; i++) {
		const struct iovec *buffer = &frame->buffers[i];
		size_t here = buffer->iov_len;

		if (at >= here) {
			at -= here;
			continue;
		}
		if (filled == n)
			return 0;
		here = here - at < len ? here - at : len;
		iov[filled].iov_base = (char *)buffer->iov_base + at;
		iov[filled++].iov_len = here;
		len -= here;
		at = 0;
	}
	return filled;
}

size_t nic_frame_read(const struct nic_frame *frame, size_t from, void *to, size_t len)
{
	size_t at = frame->skip + from, done = 0;

	if (from >= frame->len)
		return 0;
	if (len > frame->len - from)
		len = frame->len - from;
	for (unsigned i = 0; done < len && i < frame->n_buffers; i++) {
		const struct iovec *buffer = &frame->buffers[i];
		size_t here = buffer->iov_len;

		if (at >= here) {
			at -= here;
			continue;
		}
		here = here - at < len - done ? here - at : len - done;
		memcpy((char *)to + done, (const char *)buffer->iov_base + at, here);
		done += here;
		at = 0;
	}
	return done;
}

static bool gso_is_negotiated(const struct nic *nic, uint8_t gso_type)
{
	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return nic_has(nic, VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return nic_has(nic, VIRTIO_NET_F_HOST_TSO6);
	default: /* UDP, ECN: not offered */
		return false;
	}
}

static bool header_is_valid(const struct nic *nic, struct virtio_net_hdr_v1 *header, size_t len)
{
	return segment_header_fits(header, len) && (!header->flags || nic_has(nic, VIRTIO_NET_F_CSUM)) &&
	       gso_is_negotiated(nic, header->gso_type);
}

/* A frame in more pieces than anybody makes: copied together. False: no memory. */
static bool put_together(struct nic *nic, const struct capsa_request *request, struct nic_frame *frame,
                         struct iovec *piece)
{
	if (!nic->whole)
		nic->whole = malloc(NIC_FRAME_MAX);
	if (!nic->whole)
		return false;
	piece->iov_base = nic->whole;
	piece->iov_len = nic->host->request_read(request, NIC_HEADER, nic->whole, frame->len);
	frame->buffers = piece;
	frame->n_buffers = 1;
	frame->skip = 0;
	return true;
}

static void take_frame(struct nic *nic, unsigned pair, const struct capsa_request *request)
{
	struct nic_frame frame;
	struct iovec piece;

	if (request->readable_bytes < NIC_HEADER) {
		__atomic_fetch_add(nic->malformed, 1, __ATOMIC_RELAXED);
		return;
	}
	nic->host->request_read(request, 0, &frame.header, NIC_HEADER);
	frame.pair = pair;
	frame.len = request->readable_bytes - NIC_HEADER;
	if (!header_is_valid(nic, &frame.header, frame.len)) {
		__atomic_fetch_add(nic->malformed, 1, __ATOMIC_RELAXED);
		return;
	}
	frame.buffers = request->readable;
	frame.n_buffers = request->n_readable;
	frame.skip = NIC_HEADER;
	if (frame.n_buffers > NIC_FRAME_BUFFERS && !put_together(nic, request, &frame, &piece))
		return;
	frame.head_len = nic_frame_read(&frame, 0, frame.head, PACKET_HEAD);
	nic->operations.frame(nic->ctx, &frame);
}

static void transmit_notified(struct nic *nic, unsigned pair)
{
	const unsigned queue = nic_transmit_queue(pair);
	unsigned frames = 0;
	size_t bytes = 0;

	while (!nic->held && nic->active) {
		struct capsa_request *request;

		if (frames == BATCH_FRAMES || bytes >= BATCH_BYTES) {
			nic->host->queue_again(nic->dev, queue);
			break;
		}
		request = nic->host->queue_pop(nic->dev, queue);
		if (!request)
			break;
		frames++;
		bytes += request->readable_bytes;
		if (nic->link)
			take_frame(nic, pair, request);
		nic->host->queue_complete(nic->dev, request, 0);
	}
	if (!frames)
		return;
	nic->operations.batch_end(nic->ctx);
	nic_flush(nic);
}

void nic_hold_transmit(struct nic *nic, bool hold)
{
	if (nic->held == hold)
		return;
	nic->held = hold;
	if (!hold && nic->active)
		for (unsigned pair = 0; pair < nic->options.pairs; pair++)
			nic->host->queue_again(nic->dev, nic_transmit_queue(pair));
}

void nic_queue_notify(struct nic *nic, unsigned queue)
{
	if (!nic->active)
		return;
	if (queue == nic_control_queue(nic))
		nic_control_notified(nic, queue);
	else if (queue / 2 >= nic->options.pairs)
		return; /* where the control queue would be with MQ: the driver does not use it */
	else if (queue % 2)
		transmit_notified(nic, queue / 2);
	else
		nic_receive_notified(nic, queue / 2);
}
