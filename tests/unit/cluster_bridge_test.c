/* SPDX-License-Identifier: MIT */
/*
 * cluster_bridge_test.c - plugins/cluster-switch/bridge.h: which frame goes to whom, what is dropped and where that is
 * counted, without a process or a ring.
 *
 * Each port writes down what it was sent. Frames are in buffers that are exactly as long as they are, so that
 * AddressSanitizer sees what looks beyond.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cluster-switch/bridge.h"
#include "plugins/cluster-switch/fdb.h"
#include "plugins/cluster-switch/guard.h"
#include "plugins/cluster-switch/ring.h"
#include "tests/unit/cluster_frames.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define MACHINES (CLUSTER_MEMBERS_MAX + 2u)
#define UPLINK 0u /* its place in the fixture */
#define STEP 65536u

/* The far side of a port. */
struct far {
	struct bridge_port *port;
	unsigned frames, flushes;
	bool is_full;
	struct virtio_net_hdr_v1 header;
	unsigned char bytes[2048]; /* of the last frame */
	size_t len;
};

struct fixture {
	struct bridge *bridge;
	struct far fars[MACHINES];
	uint64_t now_ms;
	char cause[512];
};

static int far_send(void *ctx, const struct bridge_frame *frame)
{
	struct far *far = ctx;
	size_t len = 0;

	if (far->is_full)
		return -EAGAIN;
	far->frames++;
	far->header = frame->header;
	assert_in_range(frame->n, 1, BRIDGE_FRAME_PIECES);
	for (unsigned i = 0; i < frame->n; i++) {
		if (len + frame->iov[i].iov_len <= sizeof far->bytes)
			memcpy(far->bytes + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
		len += frame->iov[i].iov_len;
	}
	assert_int_equal(len, frame->len);
	far->len = len;
	return 0;
}

static void far_flush(void *ctx)
{
	struct far *far = ctx;

	far->flushes++;
}

static const struct bridge_port_operations operations = { .send = far_send, .flush = far_flush };

static int begin(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	assert_non_null(x);
	assert_int_equal(bridge_new(&x->bridge), 0);
	x->now_ms = 1000;
	*state = x;
	return 0;
}

static int end(void **state)
{
	struct fixture *x = *state;

	bridge_free(x->bridge);
	free(x);
	return 0;
}

static int add_with(struct fixture *x, unsigned machine, const struct bridge_port_options *o)
{
	memset(&x->fars[machine], 0, sizeof x->fars[machine]);
	x->cause[0] = '\0';
	return bridge_port_add(x->bridge, o, &operations, &x->fars[machine], &x->fars[machine].port, x->cause,
	                       sizeof x->cause);
}

static void add(struct fixture *x, unsigned machine)
{
	const struct bridge_port_options o = frames_port(machine);

	assert_int_equal(add_with(x, machine, &o), 0);
}

/* Whatever is behind it: it may have any source. */
static void add_any(struct fixture *x, unsigned machine)
{
	struct bridge_port_options o = frames_port(machine);

	o.any_source = true;
	assert_int_equal(add_with(x, machine, &o), 0);
}

static int add_uplink(struct fixture *x)
{
	struct bridge_port_options o = { .name = "(uplink)", .uplink = true };

	return add_with(x, UPLINK, &o);
}

static void add_three(struct fixture *x)
{
	for (unsigned i = 1; i <= 3; i++)
		add(x, i);
}

/* With these peers, which end with a NULL. */
static void add_with_peers(struct fixture *x, unsigned machine, const char *const *peers)
{
	struct bridge_port_options o = frames_port(machine);

	o.has_peers = true;
	for (; peers[o.n_peers]; o.n_peers++)
		snprintf(o.peers[o.n_peers], sizeof o.peers[o.n_peers], "%s", peers[o.n_peers]);
	assert_int_equal(add_with(x, machine, &o), 0);
}

static void forward(struct fixture *x, unsigned port, const struct frames_frame *f)
{
	struct bridge_frame frame;

	frames_make(&frame, f, 20);
	bridge_forward(x->fars[port].port, &frame, x->now_ms);
}

/* An ordinary frame from machine to machine. Other numbers than the port's are for those that may have any source. */
static void forward_from(struct fixture *x, unsigned port, unsigned to, unsigned from)
{
	struct frames_frame f;

	frames_ether(&f, to, from, 0x88b5, "something", 9);
	forward(x, port, &f);
}

static void pass(struct fixture *x, unsigned to, unsigned from)
{
	forward_from(x, from, to, from);
}

static const struct bridge_counters *counters(const struct fixture *x, unsigned machine)
{
	return bridge_port_counters(x->fars[machine].port);
}

/* How many frames came to machines 1 to 4 since it was asked last, as decimal digits. */
static unsigned came(struct fixture *x)
{
	unsigned digits = 0;

	for (unsigned i = 1; i <= 4; i++) {
		digits = digits * 10 + x->fars[i].frames;
		x->fars[i].frames = 0;
	}
	return digits;
}

/* ---- frames ---- */

static void a_frame_is_the_same_however_it_is_cut_into_pieces(void **state)
{
	struct virtio_net_hdr_v1 header = { .flags = 1, .csum_start = 34 };
	unsigned char bytes[600], together[600];
	struct bridge_frame frame;

	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 7);
	for (size_t len = ETH_HLEN; len <= sizeof bytes; len++) {
		for (size_t split = 0; split <= len; split++) {
			const struct iovec pieces[] = { { bytes, split }, { bytes + split, len - split } };
			size_t at = 0;

			assert_true(bridge_frame_make(&frame, &header, pieces, 2, len));
			assert_int_equal(frame.len, len);
			assert_int_equal(frame.head_len, len < PACKET_HEAD ? len : PACKET_HEAD);
			assert_memory_equal(frame.head, bytes, frame.head_len);
			assert_memory_equal(&frame.header, &header, sizeof header);
			assert_ptr_equal(frame.iov[0].iov_base, frame.head);
			for (unsigned i = 0; i < frame.n; i++) {
				memcpy(together + at, frame.iov[i].iov_base, frame.iov[i].iov_len);
				at += frame.iov[i].iov_len;
			}
			assert_int_equal(at, len);
			assert_memory_equal(together, bytes, len);
		}
	}
}

static void lengths_that_no_frame_has_are_no_frame(void **state)
{
	static unsigned char bytes[RING_FRAME_MAX + 1];
	struct fixture *x = *state;
	const struct virtio_net_hdr_v1 header = { .flags = 0 };
	const struct iovec whole = { bytes, sizeof bytes };
	const struct iovec small[] = { { bytes, 300 }, { bytes, 300 }, { bytes, 300 } };
	struct bridge_frame frame;

	add_three(x);
	assert_true(bridge_frame_make(&frame, &header, &whole, 1, RING_FRAME_MAX));
	assert_true(bridge_frame_make(&frame, &header, &whole, 1, ETH_HLEN));
	assert_true(bridge_frame_make(&frame, &header, small, 2, 600));
	assert_false(bridge_frame_make(&frame, &header, small, 3, 900)); /* too many pieces */
	assert_false(bridge_frame_make(&frame, &header, small, 2, 601)); /* too short ones */
	assert_false(bridge_frame_make(&frame, &header, small, 0, 60));
	assert_false(bridge_frame_make(&frame, &header, &whole, 1, RING_FRAME_MAX + 1));
	assert_false(bridge_frame_make(&frame, &header, &whole, 1, ETH_HLEN - 1));
	assert_false(bridge_frame_make(&frame, &header, NULL, 0, 0));
	bridge_forward(x->fars[1].port, &frame, x->now_ms);
	assert_int_equal(counters(x, 1)->malformed, 1);
	assert_int_equal(came(x), 0);
}

/* ---- to whom ---- */

static void a_known_address_is_at_its_port_alone_and_the_frame_is_untouched(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	frames_udp(&f, 2, 1, "10.0.3.1", 1000, "10.0.3.2", 2000);
	f.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f.header.csum_start = 34;
	f.header.csum_offset = 6;
	forward(x, 1, &f);
	assert_int_equal(came(x), 100);
	assert_int_equal(x->fars[2].len, f.len);
	assert_memory_equal(x->fars[2].bytes, f.bytes, f.len);
	assert_memory_equal(&x->fars[2].header, &f.header, sizeof f.header);
	assert_int_equal(counters(x, 1)->rx_packets, 1);
	assert_int_equal(counters(x, 1)->rx_bytes, f.len);
	assert_int_equal(counters(x, 1)->tx_packets, 0);
	assert_int_equal(counters(x, 2)->tx_packets, 1);
	assert_int_equal(counters(x, 2)->tx_bytes, f.len);
	assert_int_equal(counters(x, 3)->tx_packets, 0);
}

static void what_means_nothing_in_a_header_does_not_pass(void **state)
{
	static const struct virtio_net_hdr_v1 zero;
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	frames_udp(&f, 2, 1, "10.0.3.1", 1000, "10.0.3.2", 2000);
	f.header = (struct virtio_net_hdr_v1){ .csum_start = 9, .csum_offset = 9, .gso_size = 9, .num_buffers = 9 };
	forward(x, 1, &f);
	assert_int_equal(came(x), 100);
	assert_memory_equal(&x->fars[2].header, &zero, sizeof zero);
	assert_memory_equal(x->fars[2].bytes, f.bytes, f.len);
}

static void headers_that_cannot_be_are_malformed(void **state)
{
	static const struct virtio_net_hdr_v1 headers[] = {
		{ .flags = 1, .csum_start = 34, .csum_offset = 2000 },
		{ .flags = 1, .csum_start = 65535, .csum_offset = 65535 },
		{ .flags = 1, .csum_start = 0, .csum_offset = 6 },
		{ .flags = 0, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1000 },
		{ .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 77, .gso_size = 1000 },
		{ .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 },
	};
	const unsigned n = sizeof headers / sizeof headers[0];
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	for (unsigned i = 0; i < n; i++) {
		frames_udp(&f, 2, 1, "10.0.3.1", 1000, "10.0.3.2", 2000);
		f.header = headers[i];
		forward(x, 1, &f);
	}
	assert_int_equal(came(x), 0);
	assert_int_equal(counters(x, 1)->malformed, n);
}

static void broadcast_multicast_and_unknown_go_to_all_others_and_never_back(void **state)
{
	static const unsigned char multicast[] = { 1, 0, 0x5e, 0, 0, 0xfb };
	struct fixture *x = *state;
	struct frames_frame f;

	add(x, 1);
	pass(x, FRAMES_GROUP, 1); /* alone */
	assert_int_equal(came(x), 0);
	assert_int_equal(counters(x, 1)->peers_dropped, 0);
	for (unsigned i = 2; i <= 4; i++)
		add(x, i);
	pass(x, FRAMES_GROUP, 2);
	assert_int_equal(came(x), 1011);
	pass(x, 99, 3);
	assert_int_equal(came(x), 1101);
	frames_ether(&f, 1, 1, 0x88b5, "x", 1);
	memcpy(f.bytes, multicast, ETH_ALEN);
	forward(x, 1, &f);
	assert_int_equal(came(x), 111);
	assert_int_equal(counters(x, 1)->peers_dropped, 0);
	pass(x, 2, 2); /* to itself */
	assert_int_equal(came(x), 0);
}

static void addresses_behind_a_port_are_learned_move_and_grow_old(void **state)
{
	struct fixture *x = *state;

	add(x, 1);
	add_any(x, 2);
	add_any(x, 3);
	add(x, 4);
	forward_from(x, 2, FRAMES_GROUP, 50);
	assert_int_equal(came(x), 1011);
	pass(x, 50, 1);
	assert_int_equal(came(x), 100);
	forward_from(x, 2, 50, 51); /* both are behind the same port */
	assert_int_equal(came(x), 0);
	assert_int_equal(counters(x, 2)->peers_dropped, 0);
	forward_from(x, 3, FRAMES_GROUP, 50);
	assert_int_equal(came(x), 1101);
	pass(x, 50, 1);
	assert_int_equal(came(x), 10);
	x->now_ms += FDB_AGE_MS;
	pass(x, 50, 1);
	assert_int_equal(came(x), 111);
	pass(x, 2, 1); /* a port's own one never does */
	assert_int_equal(came(x), 100);
}

static void addresses_that_no_bridge_forwards_go_nowhere(void **state)
{
	static const unsigned char gateway[] = GUARD_GATEWAY_MAC;
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	add(x, 4);
	for (unsigned i = 0; i <= 0x10; i++) {
		const unsigned char reserved[] = { 1, 0x80, 0xc2, 0, 0, (unsigned char)i };

		frames_ether(&f, 2, 1, 0x88b5, "x", 1);
		memcpy(f.bytes, reserved, ETH_ALEN);
		forward(x, 1, &f);
		assert_int_equal(came(x), i == 0x10 ? 111 : 0);
	}
	frames_ether(&f, 2, 1, 0x88b5, "x", 1);
	memcpy(f.bytes, gateway, ETH_ALEN);
	forward(x, 1, &f);
	assert_int_equal(came(x), 0);
}

static void tags_pass(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	frames_udp(&f, 2, 1, "192.0.2.1", 1000, "192.0.2.2", 2000);
	frames_tag(&f, ETH_P_8021Q, 7);
	forward(x, 1, &f);
	frames_tag(&f, ETH_P_8021AD, 8);
	forward(x, 1, &f);
	assert_int_equal(came(x), 200);
	assert_memory_equal(x->fars[2].bytes, f.bytes, f.len);
}

/* ---- guard ---- */

static void who_is_not_who_it_says_is_counted_and_not_heard(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	add_any(x, 4);
	forward_from(x, 1, 2, 3);
	frames_udp(&f, 2, 1, "10.0.3.3", 1000, "10.0.3.2", 2000);
	forward(x, 1, &f);
	frames_arp(&f, FRAMES_GROUP, 1, false, 1, "10.0.3.3", "10.0.3.2");
	forward(x, 1, &f);
	assert_int_equal(counters(x, 1)->spoofed, 3);
	/* Any source is not a member's own. */
	forward_from(x, 4, 2, 3);
	assert_int_equal(counters(x, 4)->spoofed, 1);
	assert_int_equal(came(x), 0);
	pass(x, 3, 2);
	assert_int_equal(came(x), 10);
}

static void the_uplink_brings_any_address_but_a_members(void **state)
{
	static const unsigned char gateway[] = GUARD_GATEWAY_MAC;
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	assert_int_equal(add_uplink(x), 0);
	forward_from(x, UPLINK, 1, 77);
	assert_int_equal(came(x), 1000);
	pass(x, 77, 2);
	assert_int_equal(x->fars[UPLINK].frames, 1);
	assert_int_equal(came(x), 0);
	forward_from(x, UPLINK, 1, 2);
	assert_int_equal(counters(x, UPLINK)->spoofed, 1);
	frames_ether(&f, 1, 77, 0x88b5, "x", 1);
	memcpy(f.bytes + ETH_ALEN, gateway, ETH_ALEN);
	forward(x, UPLINK, &f);
	assert_int_equal(counters(x, UPLINK)->spoofed, 2);
	assert_int_equal(came(x), 0);
}

static void a_source_that_is_a_group_is_malformed(void **state)
{
	struct fixture *x = *state;

	add_three(x);
	add_any(x, 4);
	forward_from(x, 1, 2, FRAMES_GROUP);
	forward_from(x, 4, 2, FRAMES_GROUP);
	assert_int_equal(counters(x, 1)->malformed, 1);
	assert_int_equal(counters(x, 4)->malformed, 1);
	assert_int_equal(came(x), 0);
}

/* ---- peers ---- */

static void peers_are_those_that_both_lists_name(void **state)
{
	struct fixture *x = *state;

	add_with_peers(x, 1, (const char *const[]){ "vm2", "vm3", NULL });
	add_with_peers(x, 2, (const char *const[]){ "vm1", NULL });
	add_with_peers(x, 3, (const char *const[]){ "vm4", NULL });
	add(x, 4);
	pass(x, 2, 1);
	pass(x, 1, 2);
	assert_int_equal(came(x), 1100);
	pass(x, 3, 1); /* 3 does not name 1 */
	pass(x, 1, 3);
	pass(x, 4, 1); /* 4 has no list, 1 does not name it */
	pass(x, 1, 4);
	assert_int_equal(came(x), 0);
	assert_int_equal(counters(x, 1)->peers_dropped, 2);
	assert_int_equal(counters(x, 3)->peers_dropped, 1);
	assert_int_equal(counters(x, 4)->peers_dropped, 1);
	pass(x, 3, 4);
	assert_int_equal(came(x), 10);
	/* Of what goes to all, who is no peer hears nothing. */
	pass(x, FRAMES_GROUP, 1);
	pass(x, 99, 1);
	assert_int_equal(came(x), 200);
	pass(x, FRAMES_GROUP, 4);
	assert_int_equal(came(x), 10);
	assert_int_equal(counters(x, 1)->peers_dropped, 2);
}

static void an_empty_list_is_nobody(void **state)
{
	struct fixture *x = *state;

	add_with_peers(x, 1, (const char *const[]){ NULL });
	add(x, 2);
	add(x, 3);
	pass(x, 1, 2);
	pass(x, 2, 1);
	pass(x, FRAMES_GROUP, 1);
	assert_int_equal(came(x), 0);
	assert_int_equal(counters(x, 1)->peers_dropped, 2);
	assert_int_equal(counters(x, 2)->peers_dropped, 1);
	pass(x, FRAMES_GROUP, 2);
	assert_int_equal(came(x), 10);
}

static void a_port_that_lives_gets_other_peers(void **state)
{
	struct bridge_port_options o = frames_port(1);
	struct fixture *x = *state;

	add_three(x);
	o.has_peers = true;
	o.n_peers = 1;
	strcpy(o.peers[0], "vm3");
	strcpy(o.name, "nobody"); /* not looked at, as all else */
	o.any_source = true;
	bridge_port_change(x->fars[1].port, &o);
	assert_string_equal(bridge_port_options(x->fars[1].port)->name, "vm1");
	pass(x, 2, 1);
	pass(x, 1, 2);
	pass(x, 3, 1);
	pass(x, 1, 3);
	assert_int_equal(came(x), 1010);
	forward_from(x, 1, 3, 9);
	assert_int_equal(counters(x, 1)->spoofed, 1);
	o.has_peers = false;
	bridge_port_change(x->fars[1].port, &o);
	pass(x, 2, 1);
	pass(x, 1, 2);
	assert_int_equal(came(x), 1100);
}

/* A slot that was another's: what its lists said is gone with it. */
static void whoever_comes_next_has_nothing_of_who_has_gone(void **state)
{
	struct fixture *x = *state;

	add_with_peers(x, 1, (const char *const[]){ NULL });
	add(x, 2);
	add(x, 3);
	bridge_port_remove(x->fars[1].port);
	pass(x, 1, 2);
	assert_int_equal(came(x), 10); /* not known any more */
	add(x, 4);
	pass(x, 2, 4);
	pass(x, 4, 2);
	assert_int_equal(came(x), 101);
	assert_int_equal(counters(x, 4)->rx_packets, 1);
	pass(x, 1, 2);
	assert_int_equal(came(x), 11);
}

/* ---- full, rate, flush ---- */

static void a_full_port_loses_frames_and_holds_up_nobody(void **state)
{
	struct fixture *x = *state;

	add_three(x);
	add(x, 4);
	x->fars[2].is_full = true;
	pass(x, FRAMES_GROUP, 1);
	pass(x, 2, 1);
	assert_int_equal(came(x), 11);
	assert_int_equal(counters(x, 2)->full_dropped, 2);
	assert_int_equal(counters(x, 2)->tx_packets, 0);
	assert_int_equal(counters(x, 1)->full_dropped, 0);
	assert_int_equal(counters(x, 3)->tx_packets, 1);
	bridge_flush(x->bridge);
	assert_int_equal(x->fars[2].flushes, 0);
	x->fars[2].is_full = false;
	pass(x, 2, 1);
	assert_int_equal(came(x), 100);
}

/* Sends until frames are dropped; says how many bytes went. */
static uint64_t drain(struct fixture *x, unsigned machine, size_t len)
{
	static unsigned char bytes[STEP];
	const struct iovec piece = { bytes, len };
	const struct virtio_net_hdr_v1 header = { .flags = 0 };
	const struct bridge_counters *c = counters(x, machine);
	const uint64_t before = c->rate_dropped, max = (uint64_t)1 << 30;
	struct bridge_frame frame;
	uint64_t sent = 0;

	frames_mac(2, bytes);
	frames_mac(machine, bytes + ETH_ALEN);
	bytes[12] = 0x88;
	bytes[13] = 0xb5;
	while (sent < max) {
		assert_true(bridge_frame_make(&frame, &header, &piece, 1, len));
		bridge_forward(x->fars[machine].port, &frame, x->now_ms);
		if (c->rate_dropped > before)
			break;
		sent += len;
	}
	return sent;
}

static void a_port_sends_no_more_than_its_rate(void **state)
{
	struct bridge_port_options o = frames_port(1);
	struct fixture *x = *state;

	o.rate = 10000000;
	assert_int_equal(add_with(x, 1, &o), 0);
	add(x, 2);
	assert_int_equal(drain(x, 1, 1000), 1250000); /* an eighth of a second's at once */
	assert_int_equal(x->fars[2].frames, 1250);
	assert_int_equal(drain(x, 1, 1000), 0);
	x->now_ms += 10;
	assert_int_equal(drain(x, 1, 1000), 100000);
	x->now_ms += 3600000; /* no more than the burst is saved */
	assert_int_equal(drain(x, 1, 1000), 1250000);
	/* A clock that goes back gives nothing. */
	x->now_ms -= 1000;
	assert_int_equal(drain(x, 1, 1000), 0);
	x->now_ms += 1001;
	assert_int_equal(drain(x, 1, 1000), 10000);
	/* Others are not held up by it. */
	pass(x, 1, 2);
	assert_int_equal(x->fars[1].frames, 1);
}

static void a_low_rate_still_passes_the_largest_frames(void **state)
{
	struct bridge_port_options o = frames_port(1);
	struct fixture *x = *state;

	o.rate = 1000;
	assert_int_equal(add_with(x, 1, &o), 0);
	add(x, 2);
	assert_int_equal(drain(x, 1, STEP), 2 * STEP);
	/* A byte a millisecond, of which none is lost to rounding. */
	for (unsigned i = 0; i < 60; i++) {
		assert_int_equal(drain(x, 1, 60), 0);
		x->now_ms++;
	}
	assert_int_equal(drain(x, 1, 60), 60);
	o.rate = 1;
	bridge_port_change(x->fars[1].port, &o);
	x->now_ms += 59999;
	assert_int_equal(drain(x, 1, 60), 0);
	x->now_ms += 1;
	assert_int_equal(drain(x, 1, 60), 60);
}

static void rates_may_change_and_be_anything(void **state)
{
	struct bridge_port_options o = frames_port(1);
	struct fixture *x = *state;

	add(x, 1);
	add(x, 2);
	assert_true(drain(x, 1, STEP) >= (uint64_t)1 << 30);
	o.rate = 8000000;
	bridge_port_change(x->fars[1].port, &o);
	assert_int_equal(drain(x, 1, 1000), 1000000);
	o.rate = UINT64_MAX;
	bridge_port_change(x->fars[1].port, &o);
	x->now_ms = UINT64_MAX;
	assert_true(drain(x, 1, STEP) >= (uint64_t)1 << 30);
	o.rate = 0;
	bridge_port_change(x->fars[1].port, &o);
	assert_true(drain(x, 1, STEP) >= (uint64_t)1 << 30);
}

static void only_ports_that_were_sent_something_are_flushed_and_once(void **state)
{
	struct fixture *x = *state;

	add_three(x);
	bridge_flush(x->bridge);
	for (unsigned i = 0; i < 10; i++) {
		pass(x, 2, 1);
		pass(x, 2, 3);
	}
	assert_int_equal(x->fars[2].flushes, 0);
	bridge_flush(x->bridge);
	bridge_flush(x->bridge);
	assert_int_equal(x->fars[1].flushes, 0);
	assert_int_equal(x->fars[2].flushes, 1);
	assert_int_equal(x->fars[3].flushes, 0);
	pass(x, FRAMES_GROUP, 2);
	bridge_port_remove(x->fars[3].port); /* with something that was not flushed */
	bridge_flush(x->bridge);
	assert_int_equal(x->fars[1].flushes, 1);
	assert_int_equal(x->fars[2].flushes, 1);
	assert_int_equal(x->fars[3].flushes, 0);
}

/* ---- who may come ---- */

static void what_only_one_may_have_is_refused_with_both_names(void **state)
{
	static const unsigned char gateway[] = GUARD_GATEWAY_MAC;
	const struct bridge_port_options one = frames_port(1);
	struct fixture *x = *state;
	struct bridge_port_options o;

	add_three(x);
	o = frames_port(4);
	strcpy(o.name, "vm1");
	assert_int_equal(add_with(x, 4, &o), -EEXIST);
	assert_null(x->fars[4].port);
	assert_non_null(strstr(x->cause, "\"vm1\""));
	o = frames_port(4);
	memcpy(o.mac, one.mac, sizeof o.mac);
	assert_int_equal(add_with(x, 4, &o), -EEXIST);
	assert_non_null(strstr(x->cause, "\"vm1\""));
	assert_non_null(strstr(x->cause, "\"vm4\""));
	assert_non_null(strstr(x->cause, "02:00:00:00:00:01"));
	o = frames_port(4);
	o.address = one.address;
	assert_int_equal(add_with(x, 4, &o), -EEXIST);
	assert_non_null(strstr(x->cause, "\"vm1\""));
	assert_non_null(strstr(x->cause, "\"vm4\""));
	assert_non_null(strstr(x->cause, "10.0.3.1"));
	o = frames_port(4);
	o.address6 = one.address6;
	assert_int_equal(add_with(x, 4, &o), -EEXIST);
	assert_non_null(strstr(x->cause, "fd00::1"));
	o = frames_port(4);
	memcpy(o.mac, gateway, sizeof o.mac);
	assert_int_equal(add_with(x, 4, &o), -EEXIST);
	assert_non_null(strstr(x->cause, "gateway"));
	/* Who was refused has left nothing. */
	add(x, 4);
	bridge_port_remove(x->fars[1].port);
	add(x, 1);
}

static void ports_without_an_address_do_not_exclude_each_other(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 1; i <= 2; i++) {
		struct bridge_port_options o = frames_port(i);

		memset(&o.address, 0, sizeof o.address);
		memset(&o.address6, 0, sizeof o.address6);
		assert_int_equal(add_with(x, i, &o), 0);
	}
	pass(x, 2, 1);
	assert_int_equal(came(x), 100);
}

static void a_cluster_has_so_many_members_and_an_uplink(void **state)
{
	struct fixture *x = *state;
	struct bridge_port_options o = frames_port(CLUSTER_MEMBERS_MAX + 1);

	for (unsigned i = 1; i <= CLUSTER_MEMBERS_MAX; i++)
		add(x, i);
	assert_int_equal(add_with(x, CLUSTER_MEMBERS_MAX + 1, &o), -ENOSPC);
	assert_int_equal(add_uplink(x), 0);
	pass(x, FRAMES_GROUP, CLUSTER_MEMBERS_MAX);
	for (unsigned i = 0; i < CLUSTER_MEMBERS_MAX; i++)
		assert_int_equal(x->fars[i].frames, 1);
	assert_int_equal(x->fars[CLUSTER_MEMBERS_MAX].frames, 0);
	bridge_port_remove(x->fars[100].port);
	assert_int_equal(add_with(x, CLUSTER_MEMBERS_MAX + 1, &o), 0);
	pass(x, CLUSTER_MEMBERS_MAX + 1, 1);
	assert_int_equal(x->fars[CLUSTER_MEMBERS_MAX + 1].frames, 1);
}

static void whose_port_has_gone_others_go_on_and_take_its_addresses(void **state)
{
	struct bridge_port_options o = frames_port(4);
	const struct bridge_port_options two = frames_port(2);
	struct fixture *x = *state;
	struct frames_frame f;

	add_three(x);
	bridge_port_remove(x->fars[2].port);
	pass(x, 3, 1);
	pass(x, 1, 3);
	assert_int_equal(came(x), 1010);
	memcpy(o.mac, two.mac, sizeof o.mac);
	o.address = two.address;
	o.address6 = two.address6;
	assert_int_equal(add_with(x, 4, &o), 0);
	frames_udp(&f, 1, 2, "fd00::2", 1, "fd00::1", 2);
	forward(x, 4, &f);
	frames_udp(&f, 2, 1, "fd00::1", 1, "fd00::2", 2);
	forward(x, 1, &f);
	assert_int_equal(came(x), 1001);
}

/* ---- for people ---- */

struct told {
	char text[1024];
};

static void tell_port(void *ctx, const struct bridge_port *port)
{
	struct told *told = ctx;
	const size_t at = strlen(told->text);

	snprintf(told->text + at, sizeof told->text - at, "%s ", bridge_port_options(port)->name);
}

static void tell_mac(void *ctx, const unsigned char mac[ETH_ALEN], const struct bridge_port *port, uint64_t age_ms)
{
	struct told *told = ctx;
	const size_t at = strlen(told->text);

	if (mac[5] == 50)
		snprintf(told->text + at, sizeof told->text - at, "50 at %s for %u", bridge_port_options(port)->name,
		         (unsigned)age_ms);
}

static void people_are_told_of_ports_in_order_and_of_addresses(void **state)
{
	struct fixture *x = *state;
	struct told told = { "" };

	add(x, 3);
	add_any(x, 1);
	add(x, 2);
	bridge_port_remove(x->fars[3].port);
	add(x, 4);
	bridge_each_port(x->bridge, tell_port, &told);
	assert_string_equal(told.text, "vm1 vm2 vm4 ");
	forward_from(x, 1, FRAMES_GROUP, 50);
	told.text[0] = '\0';
	bridge_each_mac(x->bridge, x->now_ms + 77, tell_mac, &told);
	assert_string_equal(told.text, "50 at vm1 for 77");
}

/* ---- hostile frames ---- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* In a buffer of its own length. */
static void forward_bytes(struct fixture *x, unsigned port, const struct virtio_net_hdr_v1 *header, const void *bytes,
                          size_t len)
{
	unsigned char *exact = malloc(len ? len : 1);
	const struct iovec piece = { exact, len };
	struct bridge_frame frame;

	assert_non_null(exact);
	memcpy(exact, bytes, len);
	bridge_frame_make(&frame, header, &piece, 1, len);
	bridge_forward(x->fars[port].port, &frame, x->now_ms);
	free(exact);
}

/* Each frame is counted once: as dropped, or as sent. */
static void assert_counted(const struct fixture *x, uint64_t n)
{
	const struct bridge_counters *c = counters(x, 1);

	assert_int_equal(c->rx_packets, n);
	assert_int_equal(c->malformed + c->spoofed + c->rate_dropped + c->peers_dropped + counters(x, 2)->tx_packets,
	                 n);
}

static void frames_that_end_anywhere_are_malformed_or_pass_whole(void **state)
{
	static const struct virtio_net_hdr_v1 none;
	struct fixture *x = *state;
	struct frames_frame seeds[5];
	uint64_t n = 0;

	add(x, 1);
	add(x, 2);
	frames_arp(&seeds[0], 2, 1, true, 1, "10.0.3.1", "10.0.3.2");
	frames_udp(&seeds[1], 2, 1, "10.0.3.1", 1, "10.0.3.2", 2);
	frames_udp(&seeds[2], 2, 1, "fd00::1", 1, "fd00::2", 2);
	frames_neighbour(&seeds[3], 1, "fd00::1", 136, "fd00::1", 1);
	frames_udp(&seeds[4], 2, 1, "10.0.3.1", 1, "10.0.3.2", 2);
	frames_tag(&seeds[4], ETH_P_8021Q, 0);
	for (unsigned i = 0; i < 5; i++) {
		for (size_t len = 0; len <= 64 && len < seeds[i].len; len++) {
			forward_bytes(x, 1, &none, seeds[i].bytes, len);
			assert_int_equal(x->fars[2].frames, 0);
			assert_counted(x, ++n);
		}
	}
	assert_int_equal(counters(x, 1)->malformed, n);
}

static void noise_of_any_length_does_no_harm(void **state)
{
	struct fixture *x = *state;
	struct virtio_net_hdr_v1 header;
	unsigned char bytes[320];
	uint64_t random = 4711, n = 0;

	add(x, 1);
	add(x, 2);
	for (unsigned round = 0; round < 2000; round++) {
		for (size_t len = 0; len <= 64; len++) {
			const size_t whole = round % 8 ? len : len * 5;

			for (size_t i = 0; i < whole; i++)
				bytes[i] = (unsigned char)next_random(&random);
			for (size_t i = 0; i < sizeof header; i++)
				((unsigned char *)&header)[i] =
					(unsigned char)(round % 2 ? 0 : next_random(&random) & next_random(&random));
			if (whole >= ETH_HLEN && round % 4) { /* so that most get further than their source */
				static const uint16_t types[] = { ETH_P_IP,    ETH_P_IPV6,   ETH_P_ARP,
					                          ETH_P_8021Q, ETH_P_8021AD, 0x0020 };
				const uint16_t type = types[next_random(&random) % 6];

				frames_mac(2, bytes);
				frames_mac(1, bytes + ETH_ALEN);
				bytes[12] = (unsigned char)(type >> 8);
				bytes[13] = (unsigned char)type;
				if (whole > ETH_HLEN)
					bytes[14] = type == ETH_P_IP ? 0x45 : type == ETH_P_IPV6 ? 0x60 : 0;
			}
			forward_bytes(x, 1, &header, bytes, whole);
			assert_counted(x, ++n);
		}
	}
	assert_true(counters(x, 1)->malformed > 1000);
	assert_true(counters(x, 1)->spoofed > 1000);
	assert_true(counters(x, 2)->tx_packets > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_frame_is_the_same_however_it_is_cut_into_pieces),
		TEST(lengths_that_no_frame_has_are_no_frame),
		TEST(a_known_address_is_at_its_port_alone_and_the_frame_is_untouched),
		TEST(what_means_nothing_in_a_header_does_not_pass),
		TEST(headers_that_cannot_be_are_malformed),
		TEST(broadcast_multicast_and_unknown_go_to_all_others_and_never_back),
		TEST(addresses_behind_a_port_are_learned_move_and_grow_old),
		TEST(addresses_that_no_bridge_forwards_go_nowhere),
		TEST(tags_pass),
		TEST(who_is_not_who_it_says_is_counted_and_not_heard),
		TEST(the_uplink_brings_any_address_but_a_members),
		TEST(a_source_that_is_a_group_is_malformed),
		TEST(peers_are_those_that_both_lists_name),
		TEST(an_empty_list_is_nobody),
		TEST(a_port_that_lives_gets_other_peers),
		TEST(whoever_comes_next_has_nothing_of_who_has_gone),
		TEST(a_full_port_loses_frames_and_holds_up_nobody),
		TEST(a_port_sends_no_more_than_its_rate),
		TEST(a_low_rate_still_passes_the_largest_frames),
		TEST(rates_may_change_and_be_anything),
		TEST(only_ports_that_were_sent_something_are_flushed_and_once),
		TEST(what_only_one_may_have_is_refused_with_both_names),
		TEST(ports_without_an_address_do_not_exclude_each_other),
		TEST(a_cluster_has_so_many_members_and_an_uplink),
		TEST(whose_port_has_gone_others_go_on_and_take_its_addresses),
		TEST(people_are_told_of_ports_in_order_and_of_addresses),
		TEST(frames_that_end_anywhere_are_malformed_or_pass_whole),
		TEST(noise_of_any_length_does_no_harm),
	};

	return cmocka_run_group_tests_name("cluster_bridge", tests, NULL, NULL);
}
