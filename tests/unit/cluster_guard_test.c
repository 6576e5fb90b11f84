/* SPDX-License-Identifier: MIT */
/*
 * cluster_guard_test.c - plugins/cluster-switch/guard.h: what a machine may say it is, and each way of saying that it
 * is another one.
 *
 * Machine 1 is the one that lies, 2 an honest one, 3 may have any source (`spoof = true`), 4 has no IPv4 address.
 */
#include <netinet/icmp6.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cluster-switch/guard.h"
#include "tests/unit/cluster_frames.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define MACHINES 5u
#define NO_MAC FRAMES_GROUP
#define LINK_LOCAL "fe80::1:1"
#define BYTES(...) (const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ })

struct fixture {
	struct bridge *bridge;
	struct bridge_port *ports[MACHINES];
	struct guard *guard;
	uint64_t now_ms;
};

static int no_send(void *ctx, const struct bridge_frame *frame)
{
	(void)ctx;
	(void)frame;
	return 0;
}

static void no_flush(void *ctx)
{
	(void)ctx;
}

static int begin(void **state)
{
	static const struct bridge_port_operations operations = { .send = no_send, .flush = no_flush };
	struct fixture *x = calloc(1, sizeof *x);
	char cause[256];

	assert_non_null(x);
	assert_int_equal(bridge_new(&x->bridge), 0);
	assert_int_equal(guard_new(&x->guard), 0);
	for (unsigned i = 1; i < MACHINES; i++) {
		struct bridge_port_options o = frames_port(i);

		o.any_source = i == 3;
		if (i == 4)
			memset(&o.address, 0, sizeof o.address);
		assert_int_equal(bridge_port_add(x->bridge, &o, &operations, NULL, &x->ports[i], cause, sizeof cause),
		                 0);
		assert_int_equal(guard_add_port(x->guard, x->ports[i]), 0);
	}
	*state = x;
	return 0;
}

static int end(void **state)
{
	struct fixture *x = *state;

	guard_free(x->guard);
	bridge_free(x->bridge);
	free(x);
	return 0;
}

static bool allows(struct fixture *x, unsigned machine, const struct frames_frame *f)
{
	struct bridge_frame frame;
	struct packet packet;

	assert_true(frames_make(&frame, f, SIZE_MAX));
	packet_parse(frame.head, frame.head_len, frame.len, &packet);
	assert_int_not_equal(packet.kind, PACKET_MALFORMED);
	return guard_allows(x->guard, x->ports[machine], &frame, &packet, x->now_ms);
}

/* The machine sends UDP to machine 2 from that address. */
static bool udp_from(struct fixture *x, unsigned machine, const char *source)
{
	struct frames_frame f;

	frames_udp(&f, 2, machine, source, 1000, strchr(source, ':') ? "fd00::2" : "10.0.3.2", 2000);
	return allows(x, machine, &f);
}

static bool udp_ports(struct fixture *x, unsigned machine, const char *source, uint16_t from, const char *target,
                      uint16_t to)
{
	struct frames_frame f;

	frames_udp(&f, 2, machine, source, from, target, to);
	return allows(x, machine, &f);
}

static bool icmp(struct fixture *x, const char *source, uint8_t type)
{
	unsigned char message[40] = { type };
	struct frames_frame f;

	frames_icmp(&f, 2, 1, source, strchr(source, ':') ? "ff02::1" : "10.0.3.2", message, sizeof message);
	return allows(x, 1, &f);
}

static bool neighbour(struct fixture *x, unsigned machine, const char *source, uint8_t type, const char *about,
                      unsigned mac)
{
	struct frames_frame f;

	frames_neighbour(&f, machine, source, type, about, mac);
	return allows(x, machine, &f);
}

static bool arp(struct fixture *x, bool request, unsigned sender_mac, const char *sender)
{
	struct frames_frame f;

	frames_arp(&f, FRAMES_GROUP, 1, request, sender_mac, sender, "10.0.3.2");
	return allows(x, 1, &f);
}

/* ---- MAC ---- */

static void the_source_is_the_ports_own_mac(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	frames_ether(&f, 2, 1, 0x88b5, "x", 1);
	assert_true(allows(x, 1, &f));
	assert_false(allows(x, 2, &f));
	assert_false(allows(x, 4, &f));
	assert_true(allows(x, 3, &f));
}

static void nobody_is_the_gateway(void **state)
{
	static const unsigned char gateway[] = GUARD_GATEWAY_MAC;
	struct fixture *x = *state;
	struct frames_frame f;

	frames_ether(&f, 2, 1, 0x88b5, "x", 1);
	memcpy(f.bytes + ETH_ALEN, gateway, ETH_ALEN);
	for (unsigned i = 1; i < MACHINES; i++)
		assert_false(allows(x, i, &f));
}

/* ---- ARP ---- */

static void arp_tells_the_ports_own_addresses_only(void **state)
{
	struct fixture *x = *state;

	for (int request = 0; request < 2; request++) {
		assert_true(arp(x, request, 1, "10.0.3.1"));
		assert_false(arp(x, request, 1, "10.0.3.2"));
		assert_false(arp(x, request, 2, "10.0.3.1"));
		assert_false(arp(x, request, 1, "10.0.2.1"));
	}
	/* Probes ask, and tell nothing. */
	assert_true(arp(x, true, 1, "0.0.0.0"));
	assert_false(arp(x, true, 2, "0.0.0.0"));
	assert_false(arp(x, false, 1, "0.0.0.0"));
}

static void arp_of_another_kind_is_refused(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	frames_arp(&f, FRAMES_GROUP, 1, true, 1, "10.0.3.1", "10.0.3.2");
	f.bytes[21] = 8; /* InARP */
	assert_false(allows(x, 1, &f));
	frames_arp(&f, FRAMES_GROUP, 1, true, 1, "10.0.3.1", "10.0.3.2");
	f.bytes[15] = 6; /* hardware of IEEE 802, which Linux takes for Ethernet */
	assert_false(allows(x, 1, &f));
}

static void a_port_without_an_address_sends_probes_and_no_ipv4(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	frames_arp(&f, FRAMES_GROUP, 4, true, 4, "0.0.0.0", "10.0.3.4");
	assert_true(allows(x, 4, &f));
	frames_arp(&f, FRAMES_GROUP, 4, true, 4, "10.0.3.4", "10.0.3.2");
	assert_false(allows(x, 4, &f));
	assert_false(udp_from(x, 4, "10.0.3.4"));
	assert_false(udp_from(x, 4, "0.0.0.0"));
	assert_true(udp_from(x, 4, "fd00::4"));
}

/* ---- IPv4 ---- */

static void ipv4_comes_from_the_ports_own_address(void **state)
{
	static const char *const others[] = {
		"10.0.3.2", "10.0.3.254", "0.0.0.0", "127.0.0.1", "192.0.2.1", "224.0.0.1"
	};
	struct fixture *x = *state;

	assert_true(udp_from(x, 1, "10.0.3.1"));
	for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_false(udp_from(x, 1, others[i]));
	assert_true(udp_from(x, 3, "10.0.3.2"));
}

static void pieces_come_from_the_ports_own_address(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	frames_udp(&f, 2, 1, "10.0.3.1", 1000, "10.0.3.2", 2000);
	frames_fragment(&f, 0, true);
	assert_true(allows(x, 1, &f));
	frames_fragment(&f, 800, false);
	assert_true(allows(x, 1, &f));
	frames_udp(&f, 2, 1, "10.0.3.2", 1000, "10.0.3.2", 2000);
	frames_fragment(&f, 0, true);
	assert_false(allows(x, 1, &f));
	frames_fragment(&f, 800, false);
	assert_false(allows(x, 1, &f));
}

static void no_member_is_a_dhcp_server(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	assert_true(udp_ports(x, 1, "10.0.3.1", 68, "10.0.3.2", 67));
	assert_false(udp_ports(x, 1, "10.0.3.1", 67, "10.0.3.2", 68));
	assert_false(udp_ports(x, 1, "10.0.3.1", 67, "10.0.3.2", 1000));
	/* Clients look at their own port alone. */
	assert_false(udp_ports(x, 1, "10.0.3.1", 1000, "255.255.255.255", 68));
	assert_true(udp_ports(x, 1, "fd00::1", 546, "fd00::2", 547));
	assert_false(udp_ports(x, 1, "fd00::1", 547, "fd00::2", 546));
	assert_false(udp_ports(x, 1, "fd00::1", 547, "fd00::2", 1000));
	assert_false(udp_ports(x, 1, "fd00::1", 1000, "fd00::2", 546));
	/* In pieces neither: the first has the ports in it. */
	frames_udp(&f, 2, 1, "10.0.3.1", 67, "10.0.3.2", 68);
	frames_fragment(&f, 0, true);
	assert_false(allows(x, 1, &f));
	frames_ip(&f, 2, 1, "10.0.3.1", "10.0.3.2", IPPROTO_UDP, "\0", 2);
	frames_fragment(&f, 0, true);
	assert_false(allows(x, 1, &f));
	frames_ip(&f, 2, 1, "fd00::1", "fd00::2", IPPROTO_FRAGMENT,
	          BYTES(17, 0, 0, 1, 0, 0, 0, 7, 2, 35, 2, 34, 0, 16, 0, 0));
	assert_false(allows(x, 1, &f));
	assert_true(udp_ports(x, 3, "10.0.3.3", 67, "10.0.3.2", 68));
}

static void no_member_redirects_others_or_is_their_router(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	assert_true(icmp(x, "10.0.3.1", ICMP_ECHO));
	assert_false(icmp(x, "10.0.3.1", ICMP_REDIRECT));
	assert_false(icmp(x, "10.0.3.1", ICMP_ROUTERADVERT));
	assert_true(icmp(x, LINK_LOCAL, ICMP6_ECHO_REQUEST));
	assert_false(icmp(x, LINK_LOCAL, ND_ROUTER_ADVERT));
	assert_false(icmp(x, LINK_LOCAL, ND_REDIRECT));
	/* Behind a header that some do not look behind, and in pieces (RFC 6980, RFC 7113). */
	frames_ip(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::1", IPPROTO_DSTOPTS,
	          BYTES(58, 0, 1, 4, 0, 0, 0, 0, ND_ROUTER_ADVERT, 0, 0, 0, 64, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_false(allows(x, 1, &f));
	frames_ip(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::1", IPPROTO_FRAGMENT,
	          BYTES(58, 0, 0, 1, 0, 0, 0, 7, ND_ROUTER_ADVERT, 0, 0, 0, 64, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_false(allows(x, 1, &f));
	frames_ip(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::1", IPPROTO_FRAGMENT,
	          BYTES(58, 0, 0, 0, 0, 0, 0, 7, ND_ROUTER_ADVERT, 0, 0, 0, 64, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_false(allows(x, 1, &f));
	frames_ip(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::1", IPPROTO_FRAGMENT,
	          BYTES(60, 0, 0, 1, 0, 0, 0, 7, 58, 0, 1, 4, 0, 0, 0, 0));
	assert_false(allows(x, 1, &f));
	frames_ip(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::1", IPPROTO_FRAGMENT, BYTES(58, 0, 0, 1, 0, 0, 0, 7));
	assert_false(allows(x, 1, &f));
	frames_ip(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::1", IPPROTO_FRAGMENT,
	          BYTES(58, 0, 0, 1, 0, 0, 0, 7, ND_NEIGHBOR_SOLICIT, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0,
	                0, 0, 0, 0, 0, 0, 2));
	assert_false(allows(x, 1, &f));
	/* Others may be in pieces. */
	frames_ip(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::1", IPPROTO_FRAGMENT,
	          BYTES(58, 0, 0, 1, 0, 0, 0, 7, ICMP6_ECHO_REQUEST, 0, 0, 0, 0, 0, 0, 0));
	assert_true(allows(x, 1, &f));
}

/* ---- IPv6 ---- */

static void ipv6_addresses_are_whose_comes_first(void **state)
{
	struct fixture *x = *state;

	assert_true(udp_from(x, 1, LINK_LOCAL));
	assert_true(udp_from(x, 1, "fd00::1:1"));
	assert_false(udp_from(x, 2, LINK_LOCAL));
	assert_false(udp_from(x, 2, "fd00::1:1"));
	assert_true(udp_from(x, 2, "fd00::1:2"));
	assert_false(udp_from(x, 1, "fd00::1:2"));
	assert_true(udp_from(x, 1, LINK_LOCAL));
}

static void ipv6_addresses_of_elsewhere_are_refused(void **state)
{
	static const char *const others[] = { "2001:db8::1", "fd01::1", "::1", "ff02::1", "fec0::1", "::" };
	struct fixture *x = *state;

	for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_false(udp_from(x, 1, others[i]));
	assert_true(udp_from(x, 3, "2001:db8::1"));
}

static void without_a_prefix_there_is_only_link_local(void **state)
{
	static const struct bridge_port_operations operations = { .send = no_send, .flush = no_flush };
	struct fixture *x = *state;
	struct bridge_port_options o = frames_port(9);
	struct bridge_port *port;
	struct frames_frame f;
	char cause[256];

	memset(&o.subnet6, 0, sizeof o.subnet6);
	memset(&o.address6, 0, sizeof o.address6);
	assert_int_equal(bridge_port_add(x->bridge, &o, &operations, NULL, &port, cause, sizeof cause), 0);
	assert_int_equal(guard_add_port(x->guard, port), 0);
	x->ports[0] = port;
	frames_udp(&f, 2, 9, "fd00::9:9", 1, "fd00::2", 2);
	assert_false(allows(x, 0, &f));
	frames_udp(&f, 2, 9, "fe80::9:9", 1, "fd00::2", 2);
	assert_true(allows(x, 0, &f));
}

static void an_address_that_is_not_used_is_free_again(void **state)
{
	struct fixture *x = *state;

	assert_true(udp_from(x, 1, LINK_LOCAL));
	x->now_ms = GUARD_AGE_MS - 1;
	assert_false(udp_from(x, 2, LINK_LOCAL));
	assert_true(udp_from(x, 1, LINK_LOCAL)); /* used again */
	x->now_ms += GUARD_AGE_MS - 1;
	assert_false(udp_from(x, 2, LINK_LOCAL));
	x->now_ms++;
	assert_true(udp_from(x, 2, LINK_LOCAL));
	assert_false(udp_from(x, 1, LINK_LOCAL));
}

static void of_too_many_addresses_the_one_used_least_lately_gives_way(void **state)
{
	struct fixture *x = *state;
	char text[NET_ADDRESS_TEXT];

	assert_true(udp_from(x, 2, "fd00::2:1"));
	for (unsigned i = 0; i < GUARD_ADDRESSES; i++) {
		x->now_ms++;
		snprintf(text, sizeof text, "fd00::1:%x", i + 1);
		assert_true(udp_from(x, 1, text));
	}
	x->now_ms++;
	assert_true(udp_from(x, 1, "fd00::1:1"));
	assert_true(udp_from(x, 1, "fd00::1:100")); /* one too many: fd00::1:2 goes */
	for (unsigned i = 0; i < GUARD_ADDRESSES; i++) {
		snprintf(text, sizeof text, "fd00::1:%x", i + 1);
		if (i != 1)
			assert_false(udp_from(x, 2, text));
	}
	assert_true(udp_from(x, 2, "fd00::1:2"));
	assert_false(udp_from(x, 1, "fd00::2:1"));
}

/* 02:00:00:00:00:02 makes 0:00ff:fe00:2. */
static void what_is_a_ports_by_right_is_nobody_elses_at_any_time(void **state)
{
	static const char *const of_2[] = { "fe80::ff:fe00:2", "fd00::ff:fe00:2", "fd00::2" };
	struct fixture *x = *state;
	char text[NET_ADDRESS_TEXT];

	x->now_ms = (uint64_t)100 * GUARD_AGE_MS;
	for (unsigned i = 0; i < 3; i++) {
		assert_false(udp_from(x, 1, of_2[i]));
		assert_false(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, of_2[i], 1));
		assert_false(neighbour(x, 1, "::", ND_NEIGHBOR_SOLICIT, of_2[i], NO_MAC));
		assert_true(udp_from(x, 2, of_2[i]));
	}
	/* Nor does it take the room of others, or give way to them. */
	for (unsigned i = 0; i < GUARD_ADDRESSES; i++) {
		snprintf(text, sizeof text, "fd00::2:%x", i + 1);
		assert_true(udp_from(x, 2, text));
	}
	for (unsigned i = 0; i < 3; i++)
		assert_false(udp_from(x, 1, of_2[i]));
	assert_false(udp_from(x, 1, "fd00::2:1"));
}

static void a_port_that_comes_takes_its_own_from_whoever_was_quicker(void **state)
{
	static const struct bridge_port_operations operations = { .send = no_send, .flush = no_flush };
	struct fixture *x = *state;
	struct bridge_port_options o = frames_port(9);
	struct bridge_port *port;
	struct frames_frame f;
	char cause[256];

	assert_true(udp_from(x, 1, "fd00::9"));
	assert_int_equal(bridge_port_add(x->bridge, &o, &operations, NULL, &port, cause, sizeof cause), 0);
	assert_int_equal(guard_add_port(x->guard, port), 0);
	x->ports[0] = port;
	assert_false(udp_from(x, 1, "fd00::9"));
	frames_udp(&f, 2, 9, "fd00::9", 1, "fd00::2", 2);
	assert_true(allows(x, 0, &f));
	/* When it has gone, they are free. */
	guard_forget_port(x->guard, port);
	assert_true(udp_from(x, 1, "fd00::9"));
	/* What is another's by right it takes from nobody. */
	bridge_port_remove(port);
	o.address6 = frames_address("fd00::ff:fe00:2");
	assert_int_equal(bridge_port_add(x->bridge, &o, &operations, NULL, &port, cause, sizeof cause), 0);
	assert_int_equal(guard_add_port(x->guard, port), 0);
	x->ports[0] = port;
	frames_udp(&f, 2, 9, "fd00::ff:fe00:2", 1, "fd00::2", 2);
	assert_false(allows(x, 0, &f));
	assert_true(udp_from(x, 2, "fd00::ff:fe00:2"));
}

static void the_addresses_of_a_port_that_has_gone_are_free(void **state)
{
	struct fixture *x = *state;

	assert_true(udp_from(x, 1, LINK_LOCAL));
	assert_true(udp_from(x, 2, "fd00::2:2"));
	guard_forget_port(x->guard, x->ports[1]);
	assert_true(udp_from(x, 2, LINK_LOCAL));
	assert_true(udp_from(x, 2, "fd00::2:2"));
	/* Whom it does not know it gives nothing. */
	assert_false(udp_from(x, 1, "fd00::1:1"));
}

static void advertisements_are_of_own_addresses_with_the_own_mac(void **state)
{
	struct fixture *x = *state;

	assert_true(udp_from(x, 2, "fe80::2:2"));
	assert_true(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1));
	assert_true(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, "fd00::1:1", 1));
	assert_true(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, NO_MAC));
	assert_false(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, "fe80::2:2", 1));
	assert_false(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, "2001:db8::1", 1));
	assert_false(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 2));
	assert_false(neighbour(x, 1, "fe80::2:2", ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1));
	assert_false(neighbour(x, 1, "::", ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1));
	/* What it advertises is its own from then on. */
	assert_false(udp_from(x, 2, "fd00::1:1"));
}

static void solicitations_ask_about_anybody_with_the_own_mac(void **state)
{
	struct fixture *x = *state;

	assert_true(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_SOLICIT, "fd00::2", 1));
	assert_true(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_SOLICIT, "2001:db8::1", 1));
	assert_false(neighbour(x, 1, LINK_LOCAL, ND_NEIGHBOR_SOLICIT, "fd00::2", 2));
	assert_false(neighbour(x, 1, "fd00::2", ND_NEIGHBOR_SOLICIT, "fd00::4", 1));
}

static void whoever_looks_first_whether_an_address_is_free_has_it(void **state)
{
	struct fixture *x = *state;

	assert_true(neighbour(x, 1, "::", ND_NEIGHBOR_SOLICIT, "fd00::7", NO_MAC));
	assert_false(neighbour(x, 2, "::", ND_NEIGHBOR_SOLICIT, "fd00::7", NO_MAC));
	assert_false(udp_from(x, 2, "fd00::7"));
	assert_true(udp_from(x, 1, "fd00::7"));
	assert_false(neighbour(x, 1, "::", ND_NEIGHBOR_SOLICIT, "2001:db8::1", NO_MAC));
}

static void the_unspecified_address_is_for_solicitations_and_group_reports(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	assert_true(icmp(x, "::", MLD_LISTENER_REPORT));
	assert_true(icmp(x, "::", 143));
	assert_false(icmp(x, "::", MLD_LISTENER_QUERY));
	assert_false(icmp(x, "::", ICMP6_ECHO_REQUEST));
	frames_icmp(&f, FRAMES_GROUP, 1, "::", "ff02::2", BYTES(ND_ROUTER_SOLICIT, 0, 0, 0, 0, 0, 0, 0));
	assert_false(allows(x, 1, &f));
	frames_icmp(&f, FRAMES_GROUP, 1, LINK_LOCAL, "ff02::2", BYTES(ND_ROUTER_SOLICIT, 0, 0, 0, 0, 0, 0, 0));
	assert_true(allows(x, 1, &f));
	frames_ip(&f, 2, 1, "::", "fd00::2", IPPROTO_TCP,
	          BYTES(0, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0));
	assert_false(allows(x, 1, &f));
}

static void options_of_discovery_that_cannot_be_are_refused(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	/* A length of 0; beyond the end; half an option; a second address behind the own one. */
	frames_neighbour(&f, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1);
	f.bytes[f.len - 7] = 0;
	assert_false(allows(x, 1, &f));
	frames_neighbour(&f, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1);
	f.bytes[f.len - 7] = 2;
	assert_false(allows(x, 1, &f));
	frames_neighbour(&f, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1);
	f.bytes[19] -= 4;
	assert_false(allows(x, 1, &f));
	frames_neighbour(&f, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1);
	memcpy(f.bytes + f.len, BYTES(2, 1, 2, 0, 0, 0, 0, 2));
	f.len += 8;
	f.bytes[19] += 8;
	assert_false(allows(x, 1, &f));
	/* More of them than are looked at. */
	frames_neighbour(&f, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1);
	for (unsigned i = 0; i < 25; i++) {
		memcpy(f.bytes + f.len, BYTES(14, 1, 0, 0, 0, 0, 0, 0));
		f.len += 8;
		f.bytes[19] += 8;
	}
	assert_false(allows(x, 1, &f));
	/* Shorter than its target. */
	assert_true(icmp(x, LINK_LOCAL, ICMP6_ECHO_REQUEST));
	frames_icmp(&f, 2, 1, LINK_LOCAL, "ff02::1", BYTES(ND_NEIGHBOR_ADVERT, 0, 0, 0, 0, 0, 0, 0));
	assert_false(allows(x, 1, &f));
}

/* ---- tags, and other ways to write the same ---- */

static void in_a_vlan_only_the_mac_is_looked_at(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	frames_udp(&f, 2, 1, "192.0.2.1", 1, "10.0.3.2", 2);
	frames_tag(&f, ETH_P_8021Q, 100);
	assert_true(allows(x, 1, &f));
	assert_false(allows(x, 2, &f));
	frames_tag(&f, ETH_P_8021AD, 200); /* double */
	assert_true(allows(x, 1, &f));
	assert_false(allows(x, 2, &f));
}

static void vlan_0_is_no_vlan(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	for (unsigned i = 0; i < 2; i++) {
		frames_udp(&f, 2, 1, i ? "10.0.3.2" : "10.0.3.1", 1, "10.0.3.2", 2);
		frames_tag(&f, ETH_P_8021Q, 0xe000); /* a priority, and the VLAN 0 */
		assert_int_equal(allows(x, 1, &f), !i);
		frames_arp(&f, FRAMES_GROUP, 1, false, 1, i ? "10.0.3.2" : "10.0.3.1", "10.0.3.2");
		frames_tag(&f, ETH_P_8021Q, 0);
		assert_int_equal(allows(x, 1, &f), !i);
		frames_neighbour(&f, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, i ? "fd00::2" : LINK_LOCAL, 1);
		frames_tag(&f, ETH_P_8021Q, 0);
		assert_int_equal(allows(x, 1, &f), !i);
	}
	/* Nobody needs a row of them. */
	frames_udp(&f, 2, 1, "10.0.3.2", 1, "10.0.3.2", 2);
	frames_tag(&f, ETH_P_8021AD, 0);
	assert_false(allows(x, 1, &f));
	frames_udp(&f, 2, 1, "10.0.3.2", 1, "10.0.3.2", 2);
	for (unsigned i = 0; i < 80; i++) {
		frames_tag(&f, i % 2 ? ETH_P_8021Q : ETH_P_8021AD, 0);
		assert_false(allows(x, 1, &f));
	}
}

static void ip_in_llc_is_refused_and_other_frames_pass(void **state)
{
	struct fixture *x = *state;
	struct frames_frame f;

	frames_ether(&f, 2, 1, 36, BYTES(0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45));
	assert_false(allows(x, 1, &f));
	frames_tag(&f, ETH_P_8021Q, 0);
	assert_false(allows(x, 1, &f));
	frames_ether(&f, 2, 1, 36, BYTES(0xaa, 0xaa, 3, 0, 0, 0xf8, 8, 0, 0x45));
	assert_false(allows(x, 1, &f));
	frames_ether(&f, 2, 1, 36, BYTES(0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 1)); /* another organization's */
	assert_true(allows(x, 1, &f));
	frames_ether(&f, 2, 1, 3, BYTES(0x42, 0x42, 3));
	assert_true(allows(x, 1, &f));
	frames_ether(&f, 2, 1, 0x88b5, "", 0);
	assert_true(allows(x, 1, &f));
}

/* What a receiver writes when it completes a checksum, its sender chooses. */
static void a_checksum_that_is_left_to_others_changes_nothing_that_was_judged(void **state)
{
	static const struct {
		uint16_t start, offset;
		bool good;
	} udp[] = {
		{ 34, 6, true },   { 34, 0, false }, { 34, 2, false }, { 14, 12, false },
		{ 14, 14, false }, { 34, 4, false }, { 34, 8, true },  { 42, 2, true },
		{ 14, 0, false },  { 26, 0, false }, { 34, 7, false }, { 0, 6, false },
	};
	struct fixture *x = *state;
	struct frames_frame f;

	for (unsigned i = 0; i < sizeof udp / sizeof udp[0]; i++) {
		frames_udp(&f, 2, 1, "10.0.3.1", 1000, "10.0.3.2", 2000);
		f.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		f.header.csum_start = udp[i].start;
		f.header.csum_offset = udp[i].offset;
		assert_int_equal(allows(x, 1, &f), udp[i].good);
	}
	frames_arp(&f, FRAMES_GROUP, 1, true, 1, "10.0.3.1", "10.0.3.2");
	f.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f.header.csum_start = 14;
	f.header.csum_offset = 14;
	assert_false(allows(x, 1, &f));
	frames_neighbour(&f, 1, LINK_LOCAL, ND_NEIGHBOR_ADVERT, LINK_LOCAL, 1);
	f.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f.header.csum_start = 54;
	for (unsigned i = 0; i < 40; i++) {
		f.header.csum_offset = (uint16_t)i;
		assert_int_equal(allows(x, 1, &f), i == 2);
	}
	frames_udp(&f, 2, 1, "10.0.3.1", 1000, "10.0.3.2", 2000);
	frames_fragment(&f, 0, true);
	f.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f.header.csum_start = 34;
	f.header.csum_offset = 6;
	assert_false(allows(x, 1, &f));
	/* Not into tags: a VLAN would become none. */
	frames_udp(&f, 2, 1, "192.0.2.1", 1000, "10.0.3.2", 2000);
	frames_tag(&f, ETH_P_8021AD, 5);
	f.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f.header.csum_start = 14;
	for (unsigned i = 0; i < 20; i++) {
		f.header.csum_offset = (uint16_t)i;
		assert_int_equal(allows(x, 1, &f), i >= 4);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_source_is_the_ports_own_mac),
		TEST(nobody_is_the_gateway),
		TEST(arp_tells_the_ports_own_addresses_only),
		TEST(arp_of_another_kind_is_refused),
		TEST(a_port_without_an_address_sends_probes_and_no_ipv4),
		TEST(ipv4_comes_from_the_ports_own_address),
		TEST(pieces_come_from_the_ports_own_address),
		TEST(no_member_is_a_dhcp_server),
		TEST(no_member_redirects_others_or_is_their_router),
		TEST(ipv6_addresses_are_whose_comes_first),
		TEST(ipv6_addresses_of_elsewhere_are_refused),
		TEST(without_a_prefix_there_is_only_link_local),
		TEST(an_address_that_is_not_used_is_free_again),
		TEST(of_too_many_addresses_the_one_used_least_lately_gives_way),
		TEST(what_is_a_ports_by_right_is_nobody_elses_at_any_time),
		TEST(a_port_that_comes_takes_its_own_from_whoever_was_quicker),
		TEST(the_addresses_of_a_port_that_has_gone_are_free),
		TEST(advertisements_are_of_own_addresses_with_the_own_mac),
		TEST(solicitations_ask_about_anybody_with_the_own_mac),
		TEST(whoever_looks_first_whether_an_address_is_free_has_it),
		TEST(the_unspecified_address_is_for_solicitations_and_group_reports),
		TEST(options_of_discovery_that_cannot_be_are_refused),
		TEST(in_a_vlan_only_the_mac_is_looked_at),
		TEST(vlan_0_is_no_vlan),
		TEST(ip_in_llc_is_refused_and_other_frames_pass),
		TEST(a_checksum_that_is_left_to_others_changes_nothing_that_was_judged),
	};

	return cmocka_run_group_tests_name("cluster_guard", tests, NULL, NULL);
}
