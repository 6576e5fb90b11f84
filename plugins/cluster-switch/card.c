/* SPDX-License-Identifier: MIT */
/* card.c - see card.h. Called by cluster-switch.c, by the nic (frames, room) and by the member (the ring). */
#include "plugins/cluster-switch/card.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/cluster-switch/bridge.h"
#include "plugins/cluster-switch/ring.h"
#include "plugins/net/packet.h"
#include "plugins/net/segment.h"

/* Of one turn, either of which ends it. */
#define BATCH_FRAMES 64u
#define BATCH_BYTES (1u << 20)
/* A held queue goes on when so much is free again, so that it does not for each frame. */
#define RESUME_BYTES (RING_SIZE / 4)
#define VLAN_TAG 4u

struct card {
	const struct capsa_host *host;
	struct capsa_device *dev;
	struct nic *nic;
	struct member *member;
	const struct card_gateway *gateway; /* NULL: none */
	void *gateway_ctx;
	struct capsa_deferred *again;

	bool held; /* the transmit queues are, until the ring has room */

	/* To the guest. */
	bool waits; /* for room on `pair`, with the ring's first frame */
	unsigned pair;
	unsigned cut_given;                /* pieces of the ring's first frame that the guest has */
	unsigned cut_next;                 /* which piece segment.h makes next */
	bool gateway_first[NIC_PAIRS_MAX]; /* when there is room the next time */
	unsigned char *whole;              /* NIC_FRAME_MAX bytes: a frame to be cut; NULL: none was yet */

	struct {
		uint64_t *tx_packets, *tx_bytes, *tx_dropped, *tx_held, *rx_dropped, *rx_unfit;
	} counters;
};

static void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- the gateway in this process ---- */

static bool gateway_takes(struct card *card, const struct nic_frame *frame)
{
	return card->gateway && card->gateway->takes(card->gateway_ctx, frame);
}

static void gateway_hears(struct card *card, const struct packet *packet, const struct bridge_frame *frame)
{
	if (card->gateway && card->gateway->heard)
		card->gateway->heard(card->gateway_ctx, packet, frame->head, frame->head_len);
}

static void gateway_batch_end(struct card *card)
{
	if (card->gateway)
		card->gateway->batch_end(card->gateway_ctx);
}

static void gateway_room(struct card *card, unsigned pair)
{
	if (card->gateway)
		card->gateway->room(card->gateway_ctx, pair);
}

/* ---- the ring ---- */

/* NULL: no switch. */
static struct ring *ring_of(const struct card *card)
{
	return card->member ? member_ring(card->member) : NULL;
}

static void resume_transmit(struct card *card)
{
	if (!card->held)
		return;
	card->held = false;
	nic_hold_transmit(card->nic, false);
}

/* What the switch wrote cannot be. The last that a caller does with the ring. */
static void give_up_ring(struct card *card)
{
	card->host->log(card->dev, CAPSA_LOG_ERROR,
	                "the cluster's switch has written what cannot be into its memory: joining again");
	member_give_up(card->member);
}

/* ---- from the guest ---- */

static void hold_transmit(struct card *card)
{
	card->held = true;
	counter_add(card->counters.tx_held, 1);
	nic_hold_transmit(card->nic, true);
}

/*
 * Bytes from `from` on. Headers as they were when the gateway looked at them: the guest may have changed its memory
 * since then.
 */
static size_t copy(const struct nic_frame *frame, size_t from, const struct iovec *to)
{
	const size_t left = from < frame->head_len ? frame->head_len - from : 0;
	const size_t n = left < to->iov_len ? left : to->iov_len;

	if (n)
		memcpy(to->iov_base, frame->head + from, n);
	return n + nic_frame_read(frame, from + n, (char *)to->iov_base + n, to->iov_len - n);
}

/* The frame into the ring. 0; 1: there is no room for another one; -errno: it is lost. */
static int put(struct ring *ring, const struct nic_frame *frame)
{
	struct iovec pieces[RING_PIECES];
	const int n = ring_reserve(ring, frame->len, pieces);
	size_t done = 0;

	if (n < 0)
		return n;
	for (int i = 0; i < n; i++)
		done += copy(frame, done, &pieces[i]);
	ring_commit(ring, &frame->header, done);
	/* What comes next may be as long as any. */
	return ring_reserve(ring, RING_FRAME_MAX, pieces) == -EAGAIN;
}

static void on_frame(void *ctx, const struct nic_frame *frame)
{
	struct card *card = ctx;
	struct ring *ring;
	int rc;

	if (gateway_takes(card, frame))
		return;
	ring = ring_of(card);
	rc = ring ? put(ring, frame) : -ENETDOWN;
	if (rc < 0) {
		counter_add(card->counters.tx_dropped, 1);
	} else {
		counter_add(card->counters.tx_packets, 1);
		counter_add(card->counters.tx_bytes, frame->len);
	}
	if (rc == -EPROTO)
		give_up_ring(card);
	else if ((rc > 0 || rc == -EAGAIN) && !card->held)
		hold_transmit(card);
}

/* Where the queues are held: whether they may go on. */
static void look_for_room(struct card *card)
{
	struct ring *ring = ring_of(card);

	if (card->held && (!ring || !ring_wait_room(ring, RESUME_BYTES)))
		resume_transmit(card);
}

static void on_batch_end(void *ctx)
{
	struct card *card = ctx;
	struct ring *ring = ring_of(card);

	if (ring)
		ring_publish(ring);
	look_for_room(card);
	gateway_batch_end(card);
}

/* ---- to the guest ---- */

/* The longest frame that is a packet of its own. */
static size_t longest_packet(const struct card *card)
{
	return ETH_HLEN + VLAN_TAG + (size_t)nic_mtu(card->nic);
}

static struct segment_takes takes_of(const struct card *card, const struct virtio_net_hdr_v1 *header)
{
	struct segment_takes takes = {
		.checksum = nic_guest_takes_csum(card->nic),
		.tso4 = nic_guest_takes_tso(card->nic, false),
		.tso6 = nic_guest_takes_tso(card->nic, true),
		.largest = NIC_FRAME_MAX,
	};

	/* "MUST NOT pass received packets that exceed mtu" (virtio 1.2, 5.1.4.1), but for those that are to be cut. */
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE || segment_is_needed(header, 0, &takes))
		takes.largest = longest_packet(card);
	return takes;
}

/* Which pair of queues a flow's frames go to: always the same one. Who chooses that for another gains nothing by it. */
static unsigned pair_of(const struct card *card, const struct packet *packet)
{
	uint32_t words[8], mixed = 0;

	if (nic_pairs(card->nic) == 1 || (packet->kind != PACKET_IP && packet->kind != PACKET_FRAGMENT))
		return 0;
	memcpy(words, &packet->source, 16);
	memcpy(words + 4, &packet->target, 16);
	for (unsigned i = 0; i < 8; i++)
		mixed = (mixed ^ words[i]) * UINT32_C(0x9e3779b1);
	if (packet->kind == PACKET_IP)
		mixed = (mixed ^ ((uint32_t)packet->source_port << 16 | packet->target_port)) * UINT32_C(0x9e3779b1);
	return (mixed >> 16) % nic_pairs(card->nic);
}

/* 0: the guest has it, or shall not; -EAGAIN: there is no room. */
static int give(struct card *card, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	const int rc = nic_send(card->nic, card->pair, header, iov, n);

	if (rc == -EAGAIN)
		return rc;
	if (rc == -EMSGSIZE)
		counter_add(card->counters.rx_unfit, 1);
	else if (rc < 0)
		counter_add(card->counters.rx_dropped, 1);
	return 0;
}

/* segment.h's: a piece. */
static int give_piece(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	struct card *card = ctx;
	int rc;

	if (card->cut_next++ < card->cut_given)
		return 0;
	rc = give(card, header, iov, n);
	if (rc == 0)
		card->cut_given++;
	return rc;
}

/* Does what was left undone. As give(). */
static int finish_and_give(struct card *card, const struct bridge_frame *frame, const struct packet *packet,
                           const struct segment_takes *takes)
{
	size_t len = 0;
	int rc;

	if (!card->whole)
		card->whole = malloc(NIC_FRAME_MAX);
	if (!card->whole) {
		counter_add(card->counters.rx_dropped, 1);
		return 0;
	}
	for (unsigned i = 0; i < frame->n; i++) {
		memcpy(card->whole + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
		len += frame->iov[i].iov_len;
	}
	card->cut_next = 0;
	rc = segment_do(&frame->header, packet, card->whole, len, takes, give_piece, card);
	if (rc == -EAGAIN)
		return rc;
	card->cut_given = 0;
	if (rc < 0)
		counter_add(card->counters.rx_unfit, 1);
	return 0;
}

/* The ring's first frame. As give(). */
static int give_frame(struct card *card, const struct ring_frame *from)
{
	struct bridge_frame frame;
	struct segment_takes takes;
	struct packet packet;

	if (!nic_is_active(card->nic)) {
		counter_add(card->counters.rx_dropped, 1);
		return 0;
	}
	if (!bridge_frame_make(&frame, &from->header, from->pieces, from->n, from->len)) {
		counter_add(card->counters.rx_unfit, 1);
		return 0;
	}
	packet_parse(frame.head, frame.head_len, frame.len, &packet);
	if (segment_check(&frame.header, &packet, frame.len) < 0) {
		counter_add(card->counters.rx_unfit, 1);
		return 0;
	}
	gateway_hears(card, &packet, &frame);
	card->pair = pair_of(card, &packet);
	takes = takes_of(card, &frame.header);
	if (segment_is_needed(&frame.header, frame.len, &takes))
		return finish_and_give(card, &frame, &packet, &takes);
	return give(card, &frame.header, frame.iov, frame.n);
}

struct budget {
	unsigned frames;
	size_t bytes;
};

enum drained {
	DRAINED_EMPTY,
	DRAINED_WAITS,  /* for the guest's buffers */
	DRAINED_BUDGET, /* there may be more */
	DRAINED_BROKEN,
};

static enum drained drain(struct card *card, struct ring *ring, struct budget *left)
{
	struct ring_frame frame;
	int rc;

	while (left->frames && left->bytes) {
		rc = ring_peek(ring, &frame);
		if (rc <= 0)
			return rc < 0 ? DRAINED_BROKEN : DRAINED_EMPTY;
		if (give_frame(card, &frame) == -EAGAIN)
			return DRAINED_WAITS;
		card->cut_given = 0;
		ring_pop(ring);
		left->frames--;
		left->bytes -= frame.len < left->bytes ? frame.len : left->bytes;
	}
	return DRAINED_BUDGET;
}

static void receive(struct card *card)
{
	struct budget left = { .frames = BATCH_FRAMES, .bytes = BATCH_BYTES };
	struct ring *ring = ring_of(card);
	enum drained drained;

	/* It is called when there is room. */
	if (!ring || (card->waits && nic_is_short(card->nic, card->pair)))
		return;
	card->waits = false;
	do {
		drained = drain(card, ring, &left);
		ring_release(ring);
		nic_flush(card->nic);
	} while (drained == DRAINED_EMPTY && !ring_wait_frames(ring));
	if (drained == DRAINED_WAITS)
		card->waits = true;
	else if (drained == DRAINED_BUDGET)
		card->host->deferred_run(card->again);
	else if (drained == DRAINED_BROKEN)
		give_up_ring(card);
}

static void on_again(void *ctx)
{
	receive(ctx);
}

/* Who comes second finds what the first one has left, so they take turns. */
static void on_room(void *ctx, unsigned pair)
{
	struct card *card = ctx;
	const bool gateway_first = card->gateway_first[pair];

	card->gateway_first[pair] = !gateway_first;
	if (gateway_first)
		gateway_room(card, pair);
	if (card->waits)
		receive(card);
	if (!gateway_first)
		gateway_room(card, pair);
}

/* ---- the member ---- */

static void on_woken(void *ctx)
{
	look_for_room(ctx);
	receive(ctx);
}

static void on_changed(void *ctx)
{
	struct card *card = ctx;

	card->waits = false;
	card->cut_given = 0;
	resume_transmit(card);
	receive(card);
}

const struct member_operations card_member_operations = { .woken = on_woken, .changed = on_changed };

/* ---- life ---- */

static bool make_counters(struct card *card)
{
	const struct {
		uint64_t **at;
		const char *name, *help;
	} counters[] = {
		{ &card->counters.tx_packets, "tx_packets", "frames from the guest" },
		{ &card->counters.tx_bytes, "tx_bytes", "bytes of frames from the guest" },
		{ &card->counters.tx_dropped, "tx_dropped", "frames from the guest while there was no switch" },
		{ &card->counters.tx_held, "tx_held", "times that the guest had to wait for the switch" },
		{ &card->counters.rx_dropped, "rx_dropped", "packets that found no receive buffer of the guest" },
		{ &card->counters.rx_unfit, "rx_unfit", "frames of others that the guest's card cannot take" },
	};

	for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
		*counters[i].at = card->host->counter(card->dev, counters[i].name, counters[i].help);
		if (!*counters[i].at)
			return false;
	}
	return true;
}

int card_new(const struct capsa_host *host, struct capsa_device *dev, const struct nic_options *options,
             struct card **out)
{
	static const struct nic_operations operations = { .frame = on_frame,
		                                          .batch_end = on_batch_end,
		                                          .room = on_room };
	struct card *card = calloc(1, sizeof *card);

	*out = card;
	if (!card)
		return -ENOMEM;
	card->host = host;
	card->dev = dev;
	card->again = host->deferred_add(dev, on_again, card);
	if (!card->again || !make_counters(card))
		return -ENOMEM;
	return nic_new(host, dev, options, &operations, card, &card->nic);
}

void card_free(struct card *card)
{
	if (!card)
		return;
	if (card->again)
		card->host->deferred_remove(card->again);
	nic_free(card->nic);
	free(card->whole);
	free(card);
}

void card_set_member(struct card *card, struct member *member)
{
	card->member = member;
}

void card_set_gateway(struct card *card, const struct card_gateway *gateway, void *ctx)
{
	card->gateway = gateway;
	card->gateway_ctx = ctx;
}

struct nic *card_nic(const struct card *card)
{
	return card->nic;
}

void card_start(struct card *card)
{
	card->host->deferred_run(card->again);
}

void card_activate(struct card *card, uint64_t features, bool link)
{
	nic_activate(card->nic, features);
	nic_set_link(card->nic, link);
	card->host->deferred_run(card->again);
}

/* What waited for the guest's buffers is not the next driver's. */
void card_reset(struct card *card)
{
	card->waits = false;
	nic_reset(card->nic);
	resume_transmit(card);
	card->host->deferred_run(card->again);
}

void card_set_link(struct card *card, bool up)
{
	card->waits = false;
	nic_set_link(card->nic, up);
	card->host->deferred_run(card->again);
}
