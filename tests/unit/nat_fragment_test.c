/* SPDX-License-Identifier: MIT */
/*
 * nat_fragment_test.c - plugins/net-nat/fragment.c: pieces become whole packets whatever their order, which the rules
 * see with their ports; pieces that contradict each other, lie or never end cost no more than they may.
 */
#include <arpa/inet.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/fragment.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)
#define DENIED "policy = { default = \"deny\"; };"
#define OUTSIDE "203.0.113.1"
#define OUTSIDE6 "2001:db8::1"

static struct nat_guest guest;
static struct nat_frame frame;

static void begin(void)
{
	nat_begin(&guest, DENIED);
}

/* What is being sent in pieces. */
struct whole {
	const char *from, *to;
	bool is_ipv4;
	uint8_t protocol;
	uint32_t id;
	unsigned char bytes[65536];
	size_t len;
};

static struct whole whole;

/* A ping of the gateway, which answers when it is whole. */
static void make_ping(bool is_ipv4, size_t payload)
{
	struct in6_addr source, target;
	uint32_t sum = 0;
	uint16_t finished;

	memset(&whole, 0, sizeof whole);
	whole.from = is_ipv4 ? NAT_GUEST : NAT_GUEST6;
	whole.to = is_ipv4 ? NAT_GATEWAY : NAT_GATEWAY6;
	whole.is_ipv4 = is_ipv4;
	whole.protocol = is_ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	whole.id = 7;
	whole.len = 8 + payload;
	whole.bytes[0] = is_ipv4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	for (size_t i = 8; i < whole.len; i++)
		whole.bytes[i] = (unsigned char)(i * 13);
	assert_int_equal(net_address_parse(whole.from, &source), 0);
	assert_int_equal(net_address_parse(whole.to, &target), 0);
	if (!is_ipv4)
		sum = checksum_pseudo(&source, &target, whole.protocol, (uint32_t)whole.len);
	finished = checksum_finish(checksum_add(sum, whole.bytes, whole.len, 0));
	memcpy(whole.bytes + 2, &finished, 2);
}

/* Any bytes as a piece of it. */
static void send_piece(size_t at, const void *bytes, size_t len, bool more)
{
	static unsigned char f[NIC_FRAME_MAX], l4[65536];
	uint16_t sum;
	size_t n;

	if (whole.is_ipv4) {
		n = nat_put_ip(&guest, f, whole.from, whole.to, whole.protocol, bytes, len);
		memcpy(f + 34, bytes, len); /* what a piece begins with is no header, and has no checksum to fill in */
		memcpy(f + 18,
		       (unsigned char[]){ (unsigned char)(whole.id >> 8), (unsigned char)whole.id,
		                          (unsigned char)((more ? 0x20 : 0) | at / 8 >> 8), (unsigned char)(at / 8) },
		       4);
		memset(f + 24, 0, 2);
		sum = checksum_finish(checksum_add(0, f + 14, 20, 0));
		memcpy(f + 24, &sum, 2);
	} else {
		memcpy(l4,
		       (unsigned char[]){ whole.protocol, 0, (unsigned char)(at >> 8), (unsigned char)(at | more), 0, 0,
		                          (unsigned char)(whole.id >> 8), (unsigned char)whole.id },
		       8);
		memcpy(l4 + 8, bytes, len);
		n = nat_put_ip(&guest, f, whole.from, whole.to, IPPROTO_FRAGMENT, l4, 8 + len);
	}
	nat_send(&guest, f, n);
	while (nat_turn(&guest))
		;
}

/* Its bytes from `at` on. */
static void send_part(size_t at, size_t len)
{
	send_piece(at, whole.bytes + at, len, at + len < whole.len);
}

static void assert_answered(void)
{
	size_t got = 0;

	do {
		nat_receive(&guest, &frame);
		got += frame.packet.l4_len;
	} while (frame.packet.kind == PACKET_FRAGMENT && frame.packet.more_fragments);
	assert_int_equal(got, whole.len);
	nat_receive_none(&guest);
}

static uint64_t dropped(void)
{
	return nat_counter(&guest, "fragments_dropped");
}

/* ---- tests ---- */

static void pieces_become_a_packet_in_any_order(void **state)
{
	static const unsigned char orders[][4] = { { 0, 1, 2, 3 }, { 3, 2, 1, 0 }, { 1, 3, 0, 2 }, { 2, 0, 3, 1 } };

	(void)state;
	begin();
	for (unsigned i = 0; i < sizeof orders / sizeof orders[0]; i++)
		for (unsigned family = 0; family < 2; family++) {
			make_ping(family, 3 * 800 + 33 - 8);
			for (unsigned k = 0; k < 4; k++) {
				nat_receive_none(&guest);
				send_part((size_t)orders[i][k] * 800, orders[i][k] == 3 ? 33 : 800);
			}
			assert_answered();
		}
	assert_int_equal(dropped(), 0);
	nat_end(&guest);
}

static void packets_are_told_apart_by_identifier_target_and_protocol(void **state)
{
	(void)state;
	begin();
	make_ping(true, 1000);
	send_part(0, 512);
	whole.id = 8;
	send_part(512, 496);
	whole.id = 7;
	whole.to = OUTSIDE;
	send_part(512, 496);
	whole.to = NAT_GATEWAY;
	whole.protocol = IPPROTO_UDP;
	send_part(512, 496);
	nat_receive_none(&guest);
	whole.protocol = IPPROTO_ICMP;
	send_part(512, 496);
	assert_answered();
	nat_end(&guest);
}

static void a_piece_that_comes_twice_does_no_harm(void **state)
{
	(void)state;
	begin();
	for (unsigned family = 0; family < 2; family++) {
		make_ping(family, 1000);
		send_part(0, 512);
		send_part(0, 512);
		send_part(0, 256); /* the same bytes, cut otherwise */
		send_part(512, 496);
		assert_answered();
	}
	assert_int_equal(dropped(), 0);
	nat_end(&guest);
}

static void pieces_that_overlap_end_their_packet(void **state)
{
	unsigned char other[512] = { 0 };

	(void)state;
	begin();
	for (unsigned family = 0; family < 2; family++) {
		const uint64_t before = dropped();

		make_ping(family, 1000);
		send_part(0, 512);
		send_piece(0, other, 512, true); /* other bytes in the same place */
		send_part(512, 496);
		nat_receive_none(&guest);
		assert_int_equal(dropped(), before + 2);
		nat_pass(&guest, FRAGMENT_SECONDS * 1000u);

		make_ping(family, 1000);
		send_part(0, 512);
		send_part(504, 504); /* half new, half there */
		nat_receive_none(&guest);
		assert_int_equal(dropped(), before + 5);
	}
	nat_end(&guest);
}

static void pieces_that_contradict_the_end_or_have_lengths_that_none_can_have_end_their_packet(void **state)
{
	(void)state;
	begin();
	for (unsigned family = 0; family < 2; family++) {
		uint64_t before = dropped();

		make_ping(family, 1000);
		send_piece(512, whole.bytes, 496, false);
		send_piece(1008, whole.bytes, 8, true); /* behind the end */
		assert_int_equal(dropped(), before += 2);
		send_piece(512, whole.bytes, 496, false);
		send_piece(1016, whole.bytes, 8, false); /* another end */
		assert_int_equal(dropped(), before += 2);
		send_piece(512, whole.bytes, 512, true);
		send_piece(256, whole.bytes, 8, false); /* an end before what is there */
		assert_int_equal(dropped(), before += 2);
		send_piece(0, whole.bytes, 511, true); /* only the last may be odd */
		assert_int_equal(dropped(), before += 1);
		send_piece(0, whole.bytes, 0, true);
		assert_int_equal(dropped(), before += 1);
		send_piece(65528, whole.bytes, 8, false); /* longer than any packet is */
		assert_int_equal(dropped(), before += 1);
		send_piece(65528, whole.bytes, 1000, false);
		assert_int_equal(dropped(), before += 1);
	}
	nat_receive_none(&guest);
	nat_end(&guest);
}

static void the_longest_packet_there_is_becomes_whole(void **state)
{
	(void)state;
	begin();
	for (unsigned family = 0; family < 2; family++) {
		make_ping(family, (family ? 65515 : 65535) - 8);
		for (size_t at = 0; at < whole.len; at += 1400)
			send_part(at, whole.len - at < 1400 ? whole.len - at : 1400);
		assert_answered();
	}
	nat_end(&guest);
}

static void the_rules_see_the_ports_of_what_came_in_pieces(void **state)
{
	static const unsigned char udp[] = { 0x12, 0x34, 0,   9,   0,   24,  0,   0,   'd', 'i', 's', 'c',
		                             'a',  'r',  'd', '!', '!', '!', '!', '!', '!', '!', '!', '!' };

	(void)state;
	begin();
	memset(&whole, 0, sizeof whole);
	whole.from = NAT_GUEST;
	whole.to = OUTSIDE;
	whole.is_ipv4 = true;
	whole.protocol = IPPROTO_UDP;
	whole.len = sizeof udp;
	memcpy(whole.bytes, udp, sizeof udp);
	send_part(16, 8);
	send_part(8, 8);
	assert_int_equal(nat_counter(&guest, "flows_denied"), 0);
	send_part(0, 8);
	assert_int_equal(nat_counter(&guest, "flows_denied"), 1);
	nat_receive(&guest, &frame); /* prohibited, about that datagram */
	assert_int_equal(frame.bytes[frame.packet.l4], ICMP_DEST_UNREACH);
	assert_memory_equal(frame.bytes + frame.packet.l4 + 8 + 20, udp, 8);
	nat_end(&guest);
}

static void a_header_in_pieces_that_are_too_small_for_it_is_looked_at_as_a_whole(void **state)
{
	static const unsigned char tcp[] = { 0x12, 0x34, 0,    80,   0,    0,    0, 1, 0, 0,
		                             0,    0,    0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0 };

	(void)state;
	begin();
	memset(&whole, 0, sizeof whole);
	whole.from = NAT_GUEST;
	whole.to = OUTSIDE;
	whole.is_ipv4 = true;
	whole.protocol = IPPROTO_TCP;
	memcpy(whole.bytes, tcp, sizeof tcp);
	whole.len = 16; /* not even a header */
	send_part(0, 8);
	send_part(8, 8);
	assert_int_equal(nat_counter(&guest, "malformed"), 1);
	assert_int_equal(nat_counter(&guest, "flows_denied"), 0);
	nat_receive_none(&guest);
	nat_end(&guest);
}

static void a_piece_inside_of_what_was_put_together_is_malformed(void **state)
{
	(void)state;
	begin();
	make_ping(false, 24);
	whole.protocol = IPPROTO_FRAGMENT; /* the whole packet begins with another fragment header */
	memcpy(whole.bytes, (unsigned char[]){ IPPROTO_UDP, 0, 0, 1, 0, 0, 0, 9 }, 8);
	send_part(0, 16);
	send_part(16, 16);
	nat_receive_none(&guest);
	assert_int_equal(nat_counter(&guest, "malformed"), 1);
	assert_int_equal(nat_counter(&guest, "flows_denied"), 0);
	nat_end(&guest);
}

static void sources_of_pieces_are_looked_at_before_they_wait(void **state)
{
	(void)state;
	begin();
	make_ping(true, 1000);
	whole.from = "10.0.2.9";
	send_part(0, 512);
	whole.from = "0.0.0.0";
	send_part(0, 512);
	make_ping(false, 1000);
	whole.from = "::";
	send_part(0, 512);
	whole.from = "2001:db8::2";
	send_part(0, 512);
	assert_int_equal(nat_counter(&guest, "spoofed"), 4);
	nat_pass(&guest, FRAGMENT_SECONDS * 1000u);
	assert_int_equal(dropped(), 0);
	nat_end(&guest);
}

static void what_does_not_become_whole_goes_after_its_time(void **state)
{
	(void)state;
	begin();
	make_ping(true, 1000);
	send_part(0, 512);
	nat_pass(&guest, FRAGMENT_SECONDS * 1000u - 1);
	assert_int_equal(dropped(), 0);
	nat_pass(&guest, 1);
	assert_int_equal(dropped(), 1);
	send_part(512, 496);
	nat_receive_none(&guest);
	nat_end(&guest);
}

static void of_too_many_packets_the_oldest_goes_first(void **state)
{
	(void)state;
	begin();
	make_ping(true, 1000);
	for (whole.id = 1; whole.id <= FRAGMENT_PACKETS + 1; whole.id++)
		send_part(0, 512);
	assert_int_equal(dropped(), 1);
	whole.id = 1;
	send_part(512, 496); /* begins anew, so that the second goes */
	nat_receive_none(&guest);
	assert_int_equal(dropped(), 2);
	whole.id = 3;
	send_part(512, 496);
	assert_answered();
	nat_end(&guest);
}

static void pieces_far_out_cost_no_more_memory_than_they_may(void **state)
{
	(void)state;
	begin();
	make_ping(true, 1000);
	for (whole.id = 1; whole.id <= 3 * FRAGMENT_PACKETS; whole.id++)
		send_piece(65000, whole.bytes, 8, true);
	assert_true(dropped() >= 3 * FRAGMENT_PACKETS - FRAGMENT_BYTES / 65000);
	nat_receive_none(&guest);
	nat_end(&guest);
}

static void what_waits_is_forgotten_when_the_driver_goes(void **state)
{
	(void)state;
	begin();
	make_ping(true, 1000);
	send_part(0, 512);
	nat_reset(&guest);
	send_part(512, 496);
	nat_receive_none(&guest);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces_become_a_packet_in_any_order),
		TEST(packets_are_told_apart_by_identifier_target_and_protocol),
		TEST(a_piece_that_comes_twice_does_no_harm),
		TEST(pieces_that_overlap_end_their_packet),
		TEST(pieces_that_contradict_the_end_or_have_lengths_that_none_can_have_end_their_packet),
		TEST(the_longest_packet_there_is_becomes_whole),
		TEST(the_rules_see_the_ports_of_what_came_in_pieces),
		TEST(a_header_in_pieces_that_are_too_small_for_it_is_looked_at_as_a_whole),
		TEST(a_piece_inside_of_what_was_put_together_is_malformed),
		TEST(sources_of_pieces_are_looked_at_before_they_wait),
		TEST(what_does_not_become_whole_goes_after_its_time),
		TEST(of_too_many_packets_the_oldest_goes_first),
		TEST(pieces_far_out_cost_no_more_memory_than_they_may),
		TEST(what_waits_is_forgotten_when_the_driver_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
