/* SPDX-License-Identifier: MIT */
/* cluster_card_test.c - frames between a guest's card and its ring to the switch, and what is kept of neither. */
#include "tests/unit/cluster_card_case.h"

#include <errno.h>

#define ALL UINT64_MAX
#define PLAIN CASE_FEATURE(VIRTIO_NET_F_MRG_RXBUF)
#define LONG 65000u
#define SEGMENT 1448u
#define FAR_HEAD 128u /* ring.c's: what the switch has produced */

static int begin(void **state)
{
	struct card_case *c = calloc(1, sizeof *c);

	assert_non_null(c);
	case_begin(c, "queues = 1;", ALL);
	*state = c;
	return 0;
}

static int begin_plain(void **state)
{
	struct card_case *c = calloc(1, sizeof *c);

	assert_non_null(c);
	case_begin(c, "queues = 1;", PLAIN);
	*state = c;
	return 0;
}

static int end(void **state)
{
	case_end(*state);
	free(*state);
	return 0;
}

/* ---- from the guest ---- */

static void what_the_guest_sends_reaches_the_switch_as_it_is(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;

	/* Often enough to go over the ring's end. */
	for (unsigned i = 0; i < 200; i++) {
		case_tcp(&frame, LONG - i, SEGMENT, (unsigned char)i);
		case_send(c, &frame.header, frame.bytes, frame.len, 1 + i % 17);
		case_settle(c);
		assert_true(case_far_take(c, &seen));
		assert_int_equal(seen.len, frame.len);
		assert_memory_equal(seen.bytes, frame.bytes, frame.len);
		assert_memory_equal(&seen.header, &frame.header, sizeof frame.header);
		assert_false(case_far_take(c, &seen));
		case_frame_free(&frame);
		case_frame_free(&seen);
	}
	assert_int_equal(nat_host_counter(&c->host, "tx_packets"), 200);
	assert_int_equal(nat_host_counter(&c->host, "tx_dropped"), 0);
}

static void a_full_ring_holds_the_guest_and_loses_nothing(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;
	unsigned taken = 0;

	for (unsigned i = 0; i < 150; i++) {
		case_tcp(&frame, LONG, SEGMENT, (unsigned char)i);
		case_send(c, &frame.header, frame.bytes, frame.len, 1);
		case_frame_free(&frame);
	}
	case_settle(c);
	assert_in_range(case_unsent(c), 150 - RING_SIZE / LONG, 149);
	assert_int_equal(nat_host_counter(&c->host, "tx_held"), 1);
	while (case_far_take(c, &seen)) {
		case_tcp(&frame, LONG, SEGMENT, (unsigned char)taken++);
		assert_int_equal(seen.len, frame.len);
		assert_memory_equal(seen.bytes, frame.bytes, frame.len);
		case_frame_free(&frame);
		case_frame_free(&seen);
		case_settle(c);
	}
	assert_int_equal(taken, 150);
	assert_int_equal(case_unsent(c), 0);
	assert_int_equal(nat_host_counter(&c->host, "tx_dropped"), 0);
}

static void a_held_queue_goes_on_only_when_there_is_much_room(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;
	unsigned unsent, taken = 0;

	for (unsigned i = 0; i < 100; i++) {
		case_tcp(&frame, LONG, SEGMENT, 0);
		case_send(c, &frame.header, frame.bytes, frame.len, 1);
		case_frame_free(&frame);
	}
	case_settle(c);
	unsent = case_unsent(c);
	while (case_unsent(c) == unsent) {
		assert_true(case_far_take(c, &seen));
		case_frame_free(&seen);
		taken++;
		case_settle(c);
	}
	assert_in_range(taken, RING_SIZE / 4 / LONG - 1, RING_SIZE / 4 / LONG + 1);
}

static void without_a_switch_frames_go_nowhere_and_with_the_next_one_they_go_on(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;

	case_tcp(&frame, 100, 0, 7);
	case_switch_goes(c);
	case_send(c, NULL, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_int_equal(nat_host_counter(&c->host, "tx_dropped"), 1);
	assert_int_equal(case_unsent(c), 0);
	case_switch_comes(c);
	case_send(c, NULL, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_true(case_far_take(c, &seen));
	assert_memory_equal(seen.bytes, frame.bytes, frame.len);
	case_frame_free(&seen);
	/* And the other way. */
	case_offer(c, 0, 4, 1536);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_settle(c);
	assert_true(case_take(c, &seen));
	assert_memory_equal(seen.bytes, frame.bytes, frame.len);
	case_frame_free(&seen);
	case_frame_free(&frame);
}

static void a_switch_that_goes_while_the_guest_is_held_lets_it_go(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;

	case_tcp(&frame, LONG, SEGMENT, 0);
	for (unsigned i = 0; i < 150; i++)
		case_send(c, &frame.header, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_true(case_unsent(c) > 0);
	case_switch_goes(c);
	case_settle(c);
	assert_int_equal(case_unsent(c), 0);
	case_switch_comes(c);
	case_send(c, &frame.header, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_true(case_far_take(c, &seen));
	case_frame_free(&seen);
	case_frame_free(&frame);
}

/* ---- to the guest ---- */

static void a_guest_that_takes_it_gets_a_frame_untouched(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;

	case_tcp(&frame, LONG, SEGMENT, 3);
	for (unsigned i = 0; i < 200; i++) {
		case_offer(c, 0, 48, 1536);
		case_far_send(c, &frame.header, frame.bytes, frame.len);
		case_settle(c);
		assert_true(case_take(c, &seen));
		assert_int_equal(seen.len, frame.len);
		assert_memory_equal(seen.bytes, frame.bytes, frame.len);
		assert_int_equal(seen.header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
		assert_int_equal(seen.header.gso_size, SEGMENT);
		assert_int_equal(seen.header.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(seen.header.num_buffers, (frame.len + 12 + 1535) / 1536);
		case_frame_free(&seen);
		assert_false(case_take(c, &seen));
	}
	case_frame_free(&frame);
	assert_int_equal(nat_host_counter(&c->host, "rx_packets"), 200);
}

static void a_guest_without_offloads_gets_packets_that_are_done(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;
	size_t given = 0;

	case_offer(c, 0, 64, 1536);
	case_tcp(&frame, LONG, SEGMENT, 9);
	case_far_send(c, &frame.header, frame.bytes, frame.len);
	case_settle(c);
	while (case_take(c, &seen)) {
		const size_t here = LONG - given < SEGMENT ? LONG - given : SEGMENT;

		assert_int_equal(seen.header.flags, 0);
		assert_int_equal(seen.header.gso_type, 0);
		assert_true(case_tcp_is_whole(&seen, here, (unsigned char)(9 + given)));
		case_frame_free(&seen);
		given += here;
	}
	assert_int_equal(given, LONG);
	case_frame_free(&frame);
}

/* Buffers come one, two, three, ... at a time: the guest has each piece once, and in order. */
static void a_frame_that_was_cut_goes_on_where_there_was_no_room(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;
	size_t given = 0;

	case_tcp(&frame, LONG, SEGMENT, 1);
	case_far_send(c, &frame.header, frame.bytes, frame.len);
	case_frame_free(&frame);
	case_tcp(&frame, 10, 0, 77);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_frame_free(&frame);
	case_settle(c);
	for (unsigned n = 1; given < LONG; n++) {
		case_offer(c, 0, n, 1536);
		case_settle(c);
		for (unsigned i = 0; i < n && given < LONG; i++) {
			const size_t here = LONG - given < SEGMENT ? LONG - given : SEGMENT;

			assert_true(case_take(c, &seen));
			assert_true(case_tcp_is_whole(&seen, here, (unsigned char)(1 + given)));
			case_frame_free(&seen);
			given += here;
		}
	}
	case_offer(c, 0, 1, 1536);
	case_settle(c);
	assert_true(case_take(c, &seen));
	assert_true(case_tcp_is_whole(&seen, 10, 77));
	case_frame_free(&seen);
	assert_false(case_take(c, &seen));
}

static void frames_wait_in_the_ring_until_the_guest_has_buffers(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;

	for (unsigned i = 0; i < 100; i++) {
		case_tcp(&frame, 1000, 0, (unsigned char)i);
		case_far_send(c, NULL, frame.bytes, frame.len);
		case_frame_free(&frame);
	}
	case_settle(c);
	assert_false(case_take(c, &seen));
	for (unsigned i = 0; i < 100; i++) {
		case_offer(c, 0, 1, 1536);
		case_settle(c);
		assert_true(case_take(c, &seen));
		assert_true(case_tcp_is_whole(&seen, 1000, (unsigned char)i));
		case_frame_free(&seen);
	}
	assert_int_equal(nat_host_counter(&c->host, "rx_dropped"), 0);
}

static void one_turn_serves_a_batch_and_no_more(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;
	unsigned taken = 0, turns = 0;

	case_tcp(&frame, 100, 0, 0);
	case_offer(c, 0, 300, 1536);
	case_settle(c);
	for (unsigned i = 0; i < 300; i++)
		case_far_send(c, NULL, frame.bytes, frame.len);
	while (taken < 300) {
		unsigned here = 0;

		assert_true(nat_host_turn(&c->host, 0));
		for (; case_take(c, &seen); here++)
			case_frame_free(&seen);
		assert_in_range(here, 0, 64);
		taken += here;
		turns++;
	}
	assert_true(turns >= 5);
	case_frame_free(&frame);
}

static void what_the_guest_cannot_take_is_dropped_and_the_next_one_comes(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, good, seen;
	struct virtio_net_hdr_v1 header;

	case_offer(c, 0, 64, 1536);
	case_tcp(&good, 100, 0, 5);
	case_tcp(&frame, 3000, 1000, 5);
	/* A checksum outside of the frame. */
	header = frame.header;
	header.csum_start = 3100;
	case_far_send(c, &header, frame.bytes, frame.len);
	/* Segments of what it is not, and of no size. */
	header = frame.header;
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	case_far_send(c, &header, frame.bytes, frame.len);
	header = frame.header;
	header.gso_size = 0;
	case_far_send(c, &header, frame.bytes, frame.len);
	/* Longer than its mtu, and not to be cut. */
	header = frame.header;
	header.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	case_far_send(c, &header, frame.bytes, frame.len);
	/* No frame at all. */
	case_far_send(c, NULL, frame.bytes, 13);
	case_far_send(c, NULL, frame.bytes, 0);
	case_far_send(c, NULL, good.bytes, good.len);
	case_settle(c);
	assert_int_equal(nat_host_counter(&c->host, "rx_unfit"), 6);
	assert_true(case_take(c, &seen));
	assert_true(case_tcp_is_whole(&seen, 100, 5));
	case_frame_free(&seen);
	assert_false(case_take(c, &seen));
	case_frame_free(&good);
	case_frame_free(&frame);
}

/* As long as the mtu allows, with a VLAN tag; one byte more is too long. */
static void the_longest_packet_is_the_mtu_behind_a_tagged_header(void **state)
{
	struct card_case *c = *state;
	unsigned char bytes[ETH_HLEN + 4 + 1500 + 1] = { 2, 0, 0, 0, 0, 12, 2, 0, 0, 0, 0, 11, 0x88, 0xb5 };
	struct case_frame seen;

	case_offer(c, 0, 8, 1536);
	case_far_send(c, NULL, bytes, sizeof bytes);
	case_far_send(c, NULL, bytes, sizeof bytes - 1);
	case_settle(c);
	assert_true(case_take(c, &seen));
	assert_int_equal(seen.len, sizeof bytes - 1);
	case_frame_free(&seen);
	assert_int_equal(nat_host_counter(&c->host, "rx_unfit"), 1);
}

/* ---- what is kept ---- */

static void a_driver_that_lets_go_is_not_followed_by_what_was_for_it(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;

	case_tcp(&frame, 100, 0, 1);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_settle(c); /* it waits for a buffer */
	case_let_go(c);
	case_settle(c);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_settle(c);
	case_frame_free(&frame);
	assert_int_equal(nat_host_counter(&c->host, "rx_dropped"), 2);
	case_come_back(c);
	case_offer(c, 0, 4, 1536);
	case_tcp(&frame, 100, 0, 2);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_settle(c);
	assert_true(case_take(c, &seen));
	assert_true(case_tcp_is_whole(&seen, 100, 2));
	case_frame_free(&seen);
	assert_false(case_take(c, &seen));
	case_frame_free(&frame);
}

static void a_driver_that_lets_go_while_it_is_held_may_send_when_it_is_back(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;
	unsigned taken = 0;

	case_tcp(&frame, LONG, SEGMENT, 1);
	for (unsigned i = 0; i < 100; i++)
		case_send(c, &frame.header, frame.bytes, frame.len, 1);
	case_settle(c);
	case_let_go(c);
	case_come_back(c);
	while (case_far_take(c, &seen)) {
		case_frame_free(&seen);
		taken++;
	}
	assert_in_range(taken, RING_SIZE / LONG - 2, RING_SIZE / LONG);
	case_send(c, &frame.header, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_true(case_far_take(c, &seen));
	case_frame_free(&seen);
	case_frame_free(&frame);
}

static void frames_that_come_before_the_driver_are_dropped(void **state)
{
	struct card_case c = { .refusal = NULL };
	struct case_frame frame, seen;

	(void)state;
	assert_int_equal(case_try(&c, "queues = 1;"), 0);
	assert_int_equal(c.host.plugin->start(c.host.self), 0);
	c.host.state = HOST_STARTED;
	case_tcp(&frame, 100, 0, 1);
	case_far_send(&c, NULL, frame.bytes, frame.len);
	case_settle(&c);
	case_far_send(&c, NULL, frame.bytes, frame.len);
	case_settle(&c);
	assert_int_equal(nat_host_counter(&c.host, "rx_dropped"), 2);
	c.features = c.host.setup.features;
	case_come_back(&c);
	case_offer(&c, 0, 4, 1536);
	case_settle(&c);
	assert_false(case_take(&c, &seen));
	case_frame_free(&frame);
	case_end(&c);
}

static void set_link(struct card_case *c, bool up)
{
	const struct capsa_value value = { .type = CAPSA_TYPE_BOOL, .boolean = up };

	assert_int_equal(case_reconfigure(c, "link", &value), 0);
}

static void a_cable_that_is_out_lets_nothing_pass(void **state)
{
	struct card_case *c = *state;
	struct case_frame frame, seen;

	case_tcp(&frame, 100, 0, 1);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_settle(c); /* it waits for a buffer */
	set_link(c, false);
	case_settle(c);
	assert_int_equal(nat_host_counter(&c->host, "rx_dropped"), 1);
	case_offer(c, 0, 4, 1536);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_send(c, NULL, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_false(case_take(c, &seen));
	assert_false(case_far_take(c, &seen));
	set_link(c, true);
	case_settle(c);
	assert_false(case_take(c, &seen));
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_send(c, NULL, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_true(case_take(c, &seen));
	case_frame_free(&seen);
	assert_true(case_far_take(c, &seen));
	case_frame_free(&seen);
	case_frame_free(&frame);
}

/* ---- a switch that lies ---- */

static unsigned said(const struct card_case *c, const char *words)
{
	unsigned n = 0;

	for (const char *at = c->host.logged; (at = strstr(at, words)); at++)
		n++;
	return n;
}

static void a_broken_ring_is_said_and_left_for_another(void **state)
{
	struct card_case *c = *state;
	const uint64_t nonsense = UINT64_MAX / 2;
	struct case_frame frame, seen;

	case_tcp(&frame, 100, 0, 1);
	case_offer(c, 0, 8, 1536);
	case_far_send(c, NULL, frame.bytes, frame.len);
	memcpy(c->memory + FAR_HEAD, &nonsense, sizeof nonsense);
	case_settle(c);
	assert_int_equal(said(c, "cannot be into its memory"), 1);
	for (unsigned i = 0; i < 3; i++) {
		case_send(c, NULL, frame.bytes, frame.len, 1);
		case_settle(c);
	}
	assert_int_equal(said(c, "cannot be into its memory"), 1);
	assert_int_equal(nat_host_counter(&c->host, "tx_dropped"), 3);
	assert_int_equal(c->n_given_up, 1);
	case_switch_comes(c);
	case_far_send(c, NULL, frame.bytes, frame.len);
	case_settle(c);
	assert_true(case_take(c, &seen));
	case_frame_free(&seen);
	case_frame_free(&frame);
}

/* Whoever writes a ring full of what is none costs the guest nothing but its own frames. */
static void any_bytes_in_the_ring_do_no_harm(void **state)
{
	struct card_case *c = *state;
	unsigned char bytes[2000];
	uint32_t random = 1;

	for (unsigned round = 0; round < 2000; round++) {
		struct virtio_net_hdr_v1 header;
		struct case_frame seen;
		size_t len;

		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = (unsigned char)((random = random * 1664525u + 1013904223u) >> 24);
		memcpy(&header, bytes, sizeof header);
		header.gso_type %= 6;
		header.csum_start %= 100;
		header.csum_offset %= 40;
		len = (random >> 8) % sizeof bytes;
		/* Every other one is IPv4 as far as its first bytes go. */
		if (round % 2)
			memcpy(bytes + 12, "\x08\x00\x45", 3);
		case_offer(c, 0, 4, 1536);
		case_far_send(c, &header, bytes, len);
		case_settle(c);
		while (case_take(c, &seen)) {
			assert_in_range(seen.len, ETH_HLEN, 2000);
			case_frame_free(&seen);
		}
	}
	assert_false(c->host.broken);
	assert_int_equal(said(c, "cannot be"), 0);
}

/* ---- the gateway's side ---- */

struct gateway {
	struct card_case *c;
	unsigned frames, ends, rooms;
	bool sends; /* one frame more, whenever there is room */
	struct case_frame frame;
};

static bool takes(void *ctx, const struct nic_frame *frame)
{
	struct gateway *gateway = ctx;

	if (frame->len != 60)
		return false;
	gateway->frames++;
	return true;
}

static void ends(void *ctx)
{
	((struct gateway *)ctx)->ends++;
}

static int send_one(struct gateway *gateway)
{
	const struct iovec iov = { .iov_base = gateway->frame.bytes, .iov_len = gateway->frame.len };

	return nic_send(card_nic(gateway->c->card), 0, NULL, &iov, 1);
}

static void has_room(void *ctx, unsigned pair)
{
	struct gateway *gateway = ctx;

	assert_int_equal(pair, 0);
	gateway->rooms++;
	if (gateway->sends)
		(void)send_one(gateway);
}

static const struct card_gateway gateway_operations = { .takes = takes, .batch_end = ends, .room = has_room };

static void what_is_for_the_gateway_does_not_reach_the_switch(void **state)
{
	struct card_case *c = *state;
	struct gateway gateway = { .c = c };
	struct case_frame frame, seen;
	unsigned char bytes[60] = { 2 };

	card_set_gateway(c->card, &gateway_operations, &gateway);
	case_tcp(&frame, 100, 0, 1);
	case_send(c, NULL, bytes, sizeof bytes, 1);
	case_send(c, NULL, frame.bytes, frame.len, 1);
	case_settle(c);
	assert_int_equal(gateway.frames, 1);
	assert_int_equal(gateway.ends, 1);
	assert_true(case_far_take(c, &seen));
	assert_int_equal(seen.len, frame.len);
	case_frame_free(&seen);
	assert_false(case_far_take(c, &seen));
	case_frame_free(&frame);
}

/* The guest writes over its headers as soon as they have been looked at. */
static bool looks_and_is_lied_to(void *ctx, const struct nic_frame *frame)
{
	size_t left = frame->skip + 100;

	(void)ctx;
	for (unsigned i = 0; i < frame->n_buffers && left; i++) {
		const size_t n = frame->buffers[i].iov_len < left ? frame->buffers[i].iov_len : left;

		memset(frame->buffers[i].iov_base, 0xee, n);
		left -= n;
	}
	return false;
}

static void headers_go_on_as_the_gateway_saw_them(void **state)
{
	static const struct card_gateway operations = { .takes = looks_and_is_lied_to,
		                                        .batch_end = ends,
		                                        .room = has_room };
	struct card_case *c = *state;
	struct gateway gateway = { .c = c };
	struct case_frame frame, seen;

	card_set_gateway(c->card, &operations, &gateway);
	for (unsigned pieces = 1; pieces < 20; pieces += 3) {
		case_tcp(&frame, 1000, 0, 1);
		case_send(c, NULL, frame.bytes, frame.len, pieces);
		case_settle(c);
		assert_true(case_far_take(c, &seen));
		assert_int_equal(seen.len, frame.len);
		assert_memory_equal(seen.bytes, frame.bytes, frame.len);
		case_frame_free(&seen);
		case_frame_free(&frame);
	}
}

static void gateway_and_switch_take_turns_where_there_is_little_room(void **state)
{
	struct card_case *c = *state;
	struct gateway gateway = { .c = c, .sends = true };
	unsigned gateways = 0, switches = 0;
	struct case_frame frame, seen;

	card_set_gateway(c->card, &gateway_operations, &gateway);
	case_tcp(&gateway.frame, 10, 0, 1);
	case_tcp(&frame, 20, 0, 1);
	assert_int_equal(send_one(&gateway), -EAGAIN);
	for (unsigned i = 0; i < 40; i++)
		case_far_send(c, NULL, frame.bytes, frame.len);
	case_settle(c);
	for (unsigned i = 0; i < 40; i++) {
		case_offer(c, 0, 1, 1536);
		case_settle(c);
		assert_true(case_take(c, &seen));
		*(seen.len == frame.len ? &switches : &gateways) += 1;
		case_frame_free(&seen);
	}
	assert_int_equal(gateways, 20);
	assert_int_equal(switches, 20);
	case_frame_free(&frame);
	case_frame_free(&gateway.frame);
}

/* ---- several pairs ---- */

static void a_flow_stays_on_one_pair_and_flows_use_all(void **state)
{
	struct card_case c = { .refusal = NULL };
	unsigned used[2] = { 0 };
	struct case_frame frame, seen;

	(void)state;
	case_begin(&c, "queues = 2;", ALL);
	case_use_pairs(&c, 2);
	for (unsigned pair = 0; pair < 2; pair++)
		case_offer(&c, pair, 256, 1536);
	case_tcp(&frame, 100, 0, 1);
	for (unsigned port = 0; port < 64; port++) {
		unsigned first = 0;

		frame.bytes[34] = 0x40;
		frame.bytes[35] = (unsigned char)port;
		for (unsigned i = 0; i < 3; i++) {
			case_far_send(&c, NULL, frame.bytes, frame.len);
			case_settle(&c);
			assert_true(case_take(&c, &seen));
			if (i == 0)
				first = seen.pair;
			assert_int_equal(seen.pair, first);
			case_frame_free(&seen);
		}
		used[first]++;
	}
	assert_in_range(used[0], 16, 48);
	case_frame_free(&frame);
	case_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_the_guest_sends_reaches_the_switch_as_it_is, begin, end),
		cmocka_unit_test_setup_teardown(a_full_ring_holds_the_guest_and_loses_nothing, begin, end),
		cmocka_unit_test_setup_teardown(a_held_queue_goes_on_only_when_there_is_much_room, begin, end),
		cmocka_unit_test_setup_teardown(without_a_switch_frames_go_nowhere_and_with_the_next_one_they_go_on,
		                                begin, end),
		cmocka_unit_test_setup_teardown(a_switch_that_goes_while_the_guest_is_held_lets_it_go, begin, end),
		cmocka_unit_test_setup_teardown(a_guest_that_takes_it_gets_a_frame_untouched, begin, end),
		cmocka_unit_test_setup_teardown(a_guest_without_offloads_gets_packets_that_are_done, begin_plain, end),
		cmocka_unit_test_setup_teardown(a_frame_that_was_cut_goes_on_where_there_was_no_room, begin_plain, end),
		cmocka_unit_test_setup_teardown(frames_wait_in_the_ring_until_the_guest_has_buffers, begin, end),
		cmocka_unit_test_setup_teardown(one_turn_serves_a_batch_and_no_more, begin, end),
		cmocka_unit_test_setup_teardown(what_the_guest_cannot_take_is_dropped_and_the_next_one_comes, begin,
		                                end),
		cmocka_unit_test_setup_teardown(the_longest_packet_is_the_mtu_behind_a_tagged_header, begin, end),
		cmocka_unit_test_setup_teardown(a_driver_that_lets_go_is_not_followed_by_what_was_for_it, begin, end),
		cmocka_unit_test_setup_teardown(a_driver_that_lets_go_while_it_is_held_may_send_when_it_is_back, begin,
		                                end),
		cmocka_unit_test(frames_that_come_before_the_driver_are_dropped),
		cmocka_unit_test_setup_teardown(a_cable_that_is_out_lets_nothing_pass, begin, end),
		cmocka_unit_test_setup_teardown(a_broken_ring_is_said_and_left_for_another, begin, end),
		cmocka_unit_test_setup_teardown(any_bytes_in_the_ring_do_no_harm, begin_plain, end),
		cmocka_unit_test_setup_teardown(what_is_for_the_gateway_does_not_reach_the_switch, begin, end),
		cmocka_unit_test_setup_teardown(headers_go_on_as_the_gateway_saw_them, begin, end),
		cmocka_unit_test_setup_teardown(gateway_and_switch_take_turns_where_there_is_little_room, begin, end),
		cmocka_unit_test(a_flow_stays_on_one_pair_and_flows_use_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
