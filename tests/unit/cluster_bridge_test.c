/* SPDX-License-Identifier: MIT */
/*
 * cluster_bridge_test.c - plugins/cluster-switch/bridge.h: which frame goes to whom, without a process or a ring. How
 * much may go, who may come, and hostile frames: cluster_bridge_limits_test.c.
 */
#include "tests/unit/cluster_bridge_case.h"

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
	};

	return cmocka_run_group_tests_name("cluster_bridge", tests, NULL, NULL);
}
