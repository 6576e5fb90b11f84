/* SPDX-License-Identifier: MIT */
/*
 * nat_gateway_test.c - plugins/net-nat/gateway.c: what a guest that comes up asks its gateway, and what it is told.
 */
#include <arpa/inet.h>

#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "plugins/net/dhcp.h"
#include "plugins/net/dhcp6.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)
#define IPV4 "ipv6 = false; policy = { default = \"deny\"; };"
#define BOTH "policy = { default = \"deny\"; };"
#define GATEWAY_LINK_LOCAL "fe80::5055:aff:fe00:1"
#define GUEST_LINK_LOCAL "fe80::1234"
#define ROUTER_AGAIN_MS (65535u / 3 * 1000 + 1000) /* a third of the longest lifetime, and a little */

static struct nat_guest guest;
static struct nat_frame frame;

static void begin(const char *options)
{
	nat_begin(&guest, options);
	nat_receive_none(&guest);
}

/* What was sent has been taken. */
static void settle(void)
{
	while (nat_turn(&guest))
		;
}

static struct in_addr ipv4(const char *text)
{
	struct in_addr a;

	assert_int_equal(inet_pton(AF_INET, text, &a), 1);
	return a;
}

static void assert_from_to(const char *from, const char *to)
{
	char text[NET_ADDRESS_TEXT];

	assert_string_equal(net_address_text(&frame.packet.source, text), from);
	assert_string_equal(net_address_text(&frame.packet.target, text), to);
}

/* ---- ARP ---- */

static void send_arp(const char *sender, const char *target, bool request)
{
	unsigned char bytes[ARP_FRAME];
	struct arp arp = { .request = request, .sender = ipv4(sender), .target = ipv4(target) };

	memcpy(arp.sender_mac, guest.nat->guest_mac, ETH_ALEN);
	arp_put(bytes, (const unsigned char[]){ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, &arp);
	nat_send(&guest, bytes, sizeof bytes);
}

static void assert_arp_answer(const char *for_whom)
{
	struct arp arp;

	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.kind, PACKET_ARP);
	assert_int_equal(arp_parse(frame.bytes, frame.len, frame.packet.l3, &arp), 0);
	assert_false(arp.request);
	assert_int_equal(arp.sender.s_addr, ipv4(for_whom).s_addr);
	assert_memory_equal(arp.sender_mac, guest.nat->gateway_mac, ETH_ALEN);
	assert_memory_equal(arp.target_mac, guest.nat->guest_mac, ETH_ALEN);
	assert_memory_equal(frame.bytes, guest.nat->guest_mac, ETH_ALEN);
	nat_receive_none(&guest);
}

static void arp_is_answered_for_all_but_the_guest(void **state)
{
	static const char *const answered[] = { NAT_GATEWAY, "10.0.2.77", "10.9.9.9", "203.0.113.1" };
	static const char *const not_answered[] = { NAT_GUEST,   "0.0.0.0",     "255.255.255.255",
		                                    "224.0.0.1", "169.254.1.1", "127.0.0.1" };

	(void)state;
	begin(IPV4);
	for (unsigned i = 0; i < sizeof answered / sizeof answered[0]; i++) {
		send_arp(NAT_GUEST, answered[i], true);
		assert_arp_answer(answered[i]);
	}
	for (unsigned i = 0; i < sizeof not_answered / sizeof not_answered[0]; i++) {
		send_arp(NAT_GUEST, not_answered[i], true);
		nat_receive_none(&guest);
	}
	send_arp(NAT_GUEST, NAT_GATEWAY, false);
	nat_receive_none(&guest);
	nat_end(&guest);
}

static void a_probe_finds_every_address_free_but_the_gateways(void **state)
{
	(void)state;
	begin(IPV4);
	send_arp("0.0.0.0", NAT_GUEST, true);
	send_arp("0.0.0.0", "10.0.2.77", true);
	nat_receive_none(&guest);
	send_arp("0.0.0.0", NAT_GATEWAY, true);
	assert_arp_answer(NAT_GATEWAY);
	nat_end(&guest);
}

static void arp_from_an_address_that_is_not_the_guests_is_spoofed(void **state)
{
	(void)state;
	begin(IPV4);
	send_arp("10.0.2.3", NAT_GATEWAY, true);
	send_arp(NAT_GATEWAY, NAT_GATEWAY, true);
	nat_receive_none(&guest);
	assert_int_equal(nat_counter(&guest, "spoofed"), 2);
	nat_end(&guest);
}

/* ---- DHCP ---- */

struct request {
	enum dhcp_type type;
	const char *client, *wanted, *server; /* NULL: not there */
	bool broadcast;
};

static void send_dhcp_to(const struct request *r, const char *to)
{
	unsigned char m[300] = { 1, 1, 6, 0, 1, 2, 3, 4, [236] = 99, 130, 83, 99, 53, 1 };
	size_t len = 243;

	m[242] = (unsigned char)r->type;
	m[10] = r->broadcast ? 0x80 : 0;
	memcpy(m + 28, guest.nat->options.mac, ETH_ALEN);
	if (r->client)
		memcpy(m + 12, &(struct in_addr){ ipv4(r->client).s_addr }, 4);
	if (r->wanted) {
		memcpy(m + len, (unsigned char[]){ 50, 4 }, 2);
		memcpy(m + len + 2, &(struct in_addr){ ipv4(r->wanted).s_addr }, 4);
		len += 6;
	}
	if (r->server) {
		memcpy(m + len, (unsigned char[]){ 54, 4 }, 2);
		memcpy(m + len + 2, &(struct in_addr){ ipv4(r->server).s_addr }, 4);
		len += 6;
	}
	m[len++] = 255;
	nat_send_udp(&guest, r->client ? r->client : "0.0.0.0", 68, to, 67, m, len);
}

static void send_dhcp(const struct request *r)
{
	send_dhcp_to(r, "255.255.255.255");
}

static const unsigned char *dhcp_option(unsigned code)
{
	const unsigned char *m = frame.bytes + frame.packet.payload;

	for (size_t at = 240; at < frame.packet.payload_len && m[at] != 255; at += 2u + m[at + 1])
		if (m[at] == code)
			return m + at + 1; /* its length, then its value */
	return NULL;
}

#define ASSERT_OPTION(code, value) assert_option(code, value, sizeof(value) - 1)
static void assert_option(unsigned code, const char *value, size_t len)
{
	const unsigned char *option = dhcp_option(code);

	if (!option)
		fail_msg("option %u is missing", code);
	assert_memory_equal(option, value, len);
}

static void assert_dhcp(enum dhcp_type type, const char *to)
{
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, IPPROTO_UDP);
	assert_from_to(NAT_GATEWAY, to);
	assert_int_equal(frame.packet.source_port, 67);
	assert_int_equal(frame.packet.target_port, 68);
	assert_memory_equal(frame.bytes + frame.packet.payload + 4, "\1\2\3\4", 4);
	assert_memory_equal(dhcp_option(53), ((unsigned char[]){ 1, (unsigned char)type }), 2);
	nat_receive_none(&guest);
}

static void a_guest_gets_its_lease_and_all_that_belongs_to_it(void **state)
{
	(void)state;
	begin("ipv6 = false; mtu = 9000; host_name = \"box\"; search = [ \"example.com\", \"lab.example\" ];");
	send_dhcp(&(struct request){ .type = DHCP_DISCOVER });
	assert_dhcp(DHCP_OFFER, NAT_GUEST);
	assert_memory_equal(frame.bytes + frame.packet.payload + 16, "\12\0\2\2", 4);
	ASSERT_OPTION(1, "\4\377\377\377\0");
	ASSERT_OPTION(3, "\4\12\0\2\1");
	ASSERT_OPTION(6, "\4\12\0\2\1");
	ASSERT_OPTION(26, "\2\43\50");
	ASSERT_OPTION(51, "\4\0\1\121\200");
	ASSERT_OPTION(12, "\3box");
	ASSERT_OPTION(15, "\13example.com");
	ASSERT_OPTION(119, "\32\7example\3com\0\3lab\7example");
	send_dhcp(&(struct request){ .type = DHCP_REQUEST, .wanted = NAT_GUEST, .server = NAT_GATEWAY });
	assert_dhcp(DHCP_ACK, NAT_GUEST);
	assert_memory_equal(frame.bytes + frame.packet.payload + 16, "\12\0\2\2", 4);
	assert_int_equal(nat_counter(&guest, "malformed") + nat_counter(&guest, "spoofed"), 0);
	nat_end(&guest);
}

static void who_cannot_yet_take_unicast_gets_a_broadcast(void **state)
{
	(void)state;
	begin(IPV4);
	send_dhcp(&(struct request){ .type = DHCP_DISCOVER, .broadcast = true });
	assert_dhcp(DHCP_OFFER, "255.255.255.255");
	assert_memory_equal(frame.bytes, "\377\377\377\377\377\377", ETH_ALEN);
	nat_end(&guest);
}

static void a_lease_is_renewed_by_unicast_and_by_broadcast(void **state)
{
	const struct request renewal = { .type = DHCP_REQUEST, .client = NAT_GUEST };

	(void)state;
	begin(IPV4);
	send_dhcp_to(&renewal, NAT_GATEWAY);
	assert_dhcp(DHCP_ACK, NAT_GUEST);
	send_dhcp(&renewal);
	assert_dhcp(DHCP_ACK, NAT_GUEST);
	nat_end(&guest);
}

static void a_foreign_address_is_refused(void **state)
{
	(void)state;
	begin(IPV4);
	send_dhcp(&(struct request){ .type = DHCP_REQUEST, .wanted = "192.168.1.7" }); /* it was elsewhere before */
	assert_dhcp(DHCP_NAK, "255.255.255.255");
	assert_null(dhcp_option(51));
	send_dhcp(&(struct request){ .type = DHCP_REQUEST, .wanted = "10.0.2.3", .server = NAT_GATEWAY });
	assert_dhcp(DHCP_NAK, "255.255.255.255");
	send_dhcp(&(struct request){ .type = DHCP_REQUEST });
	assert_dhcp(DHCP_NAK, "255.255.255.255");
	nat_end(&guest);
}

static void a_request_to_another_server_and_what_wants_no_answer_gets_none(void **state)
{
	(void)state;
	begin(IPV4);
	send_dhcp(&(struct request){ .type = DHCP_REQUEST, .wanted = NAT_GUEST, .server = "10.0.2.9" });
	send_dhcp(&(struct request){ .type = DHCP_DECLINE, .wanted = NAT_GUEST, .server = NAT_GATEWAY });
	send_dhcp_to(&(struct request){ .type = DHCP_RELEASE, .client = NAT_GUEST, .server = NAT_GATEWAY },
	             NAT_GATEWAY);
	nat_receive_none(&guest);
	send_dhcp(&(struct request){ .type = DHCP_DISCOVER }); /* and the lease is still there to have */
	assert_dhcp(DHCP_OFFER, NAT_GUEST);
	nat_end(&guest);
}

static void who_informs_itself_is_told_the_rest(void **state)
{
	(void)state;
	begin(IPV4);
	send_dhcp(&(struct request){ .type = DHCP_INFORM, .client = NAT_GUEST });
	assert_dhcp(DHCP_ACK, NAT_GUEST);
	assert_null(dhcp_option(51));
	assert_memory_equal(frame.bytes + frame.packet.payload + 16, "\0\0\0\0", 4);
	nat_end(&guest);
}

static void nonsense_on_the_ports_of_dhcp_is_malformed(void **state)
{
	(void)state;
	begin(BOTH);
	nat_send_udp(&guest, NAT_GUEST, 68, "255.255.255.255", 67, "nonsense", 8);
	settle();
	assert_int_equal(nat_counter(&guest, "malformed"), 1);
	nat_send_udp(&guest, GUEST_LINK_LOCAL, 546, "ff02::1:2", 547, "nonsense", 8);
	nat_receive_none(&guest);
	nat_end(&guest);
}

/* ---- IPv6 ---- */

static void send_icmp6(const char *from, const char *to, uint8_t hops, unsigned char *message, size_t len)
{
	struct in6_addr source, target;
	unsigned char bytes[512];
	uint16_t sum;
	size_t n;

	assert_int_equal(net_address_parse(from, &source), 0);
	assert_int_equal(net_address_parse(to, &target), 0);
	memset(message + 2, 0, 2);
	sum = checksum_finish(
		checksum_add(checksum_pseudo(&source, &target, IPPROTO_ICMPV6, (uint32_t)len), message, len, 0));
	memcpy(message + 2, &sum, 2);
	n = nat_put_ip(&guest, bytes, from, to, IPPROTO_ICMPV6, message, len);
	bytes[21] = hops;
	nat_send(&guest, bytes, n);
}

static void assert_icmp6(uint8_t type, const char *from, const char *to)
{
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, IPPROTO_ICMPV6);
	assert_int_equal(frame.bytes[frame.packet.l4], type);
	assert_int_equal(frame.packet.ttl, 255);
	assert_from_to(from, to);
	nat_receive_none(&guest);
}

static void the_router_advertises_itself_every_few_hours(void **state)
{
	(void)state;
	begin(BOTH);
	for (unsigned i = 0; i < 3; i++) {
		nat_pass(&guest, ROUTER_AGAIN_MS);
		assert_icmp6(ND_ROUTER_ADVERT, GATEWAY_LINK_LOCAL, "ff02::1");
		assert_memory_equal(frame.bytes, "\63\63\0\0\0\1", ETH_ALEN);
	}
	nat_reset(&guest);
	nat_pass(&guest, ROUTER_AGAIN_MS);
	assert_icmp6(ND_ROUTER_ADVERT, GATEWAY_LINK_LOCAL, "ff02::1");
	nat_end(&guest);
}

static void a_solicited_router_tells_prefix_mtu_and_names(void **state)
{
	unsigned char solicitation[16] = { ND_ROUTER_SOLICIT, [8] = 1, 1, 2, 0, 0, 0, 0, 9 };
	const unsigned char *m;
	size_t len;

	(void)state;
	begin("mtu = 9000; search = [ \"example.com\" ];");
	send_icmp6("::", "ff02::2", 255, solicitation, 8);
	assert_icmp6(ND_ROUTER_ADVERT, GATEWAY_LINK_LOCAL, "ff02::1");
	send_icmp6(GUEST_LINK_LOCAL, "ff02::2", 255, solicitation, 16);
	assert_icmp6(ND_ROUTER_ADVERT, GATEWAY_LINK_LOCAL, GUEST_LINK_LOCAL);
	m = frame.bytes + frame.packet.l4;
	len = frame.packet.l4_len;
	assert_int_equal(m[4], 64);
	assert_memory_equal(m + 6, "\377\377", 2);
	assert_non_null(memmem(m, len, "\5\1\0\0\0\0\43\50", 8));                            /* MTU */
	assert_non_null(memmem(m, len, "\3\4\100\300", 4));                                  /* prefix: /64, SLAAC */
	assert_non_null(memmem(m, len, "\31\3\0\0\377\377\377\377\375\0\0\312\13\132", 14)); /* RDNSS */
	assert_non_null(memmem(m, len, "\7example\3com", 13));                               /* DNSSL */
	nat_end(&guest);
}

static void send_neighbour(const char *from, const char *to, const char *target, uint8_t hops)
{
	unsigned char m[32] = { ND_NEIGHBOR_SOLICIT, [24] = 1, 1, 2, 0, 0, 0, 0, 9 };
	struct in6_addr a;

	assert_int_equal(net_address_parse(target, &a), 0);
	memcpy(m + 8, &a, 16);
	send_icmp6(from, to, hops, m, strcmp(from, "::") == 0 ? 24 : 32);
}

static void the_gateways_addresses_of_ipv6_are_found(void **state)
{
	(void)state;
	begin(BOTH);
	send_neighbour(NAT_GUEST6, "ff02::1:ff00:1", NAT_GATEWAY6, 255);
	assert_icmp6(ND_NEIGHBOR_ADVERT, NAT_GATEWAY6, NAT_GUEST6);
	assert_memory_equal(frame.bytes + frame.packet.l4 + 4, "\340\0\0\0", 4);
	assert_memory_equal(frame.bytes + frame.packet.l4 + 26, guest.nat->gateway_mac, ETH_ALEN);
	send_neighbour(GUEST_LINK_LOCAL, GATEWAY_LINK_LOCAL, GATEWAY_LINK_LOCAL, 255);
	assert_icmp6(ND_NEIGHBOR_ADVERT, GATEWAY_LINK_LOCAL, GUEST_LINK_LOCAL);
	nat_end(&guest);
}

static void who_looks_whether_its_own_address_is_free_finds_it_so(void **state)
{
	(void)state;
	begin(BOTH);
	send_neighbour("::", "ff02::1:ff00:2", NAT_GUEST6, 255);
	send_neighbour("::", "ff02::1:ff00:77", "fd00:ca:b5a::77", 255);
	send_neighbour("::", "ff02::1:ff00:1234", GUEST_LINK_LOCAL, 255);
	send_neighbour(NAT_GUEST6, "ff02::1:ff00:77", "fd00:ca:b5a::77", 255);
	nat_receive_none(&guest);
	assert_int_equal(nat_counter(&guest, "malformed") + nat_counter(&guest, "spoofed"), 0);
	send_neighbour("::", "ff02::1:ff00:1", NAT_GATEWAY6, 255); /* the gateway defends its own */
	assert_icmp6(ND_NEIGHBOR_ADVERT, NAT_GATEWAY6, "ff02::1");
	assert_memory_equal(frame.bytes + frame.packet.l4 + 4, "\240\0\0\0", 4);
	nat_end(&guest);
}

static void neighbour_discovery_that_came_through_a_router_is_none(void **state)
{
	unsigned char solicitation[8] = { ND_ROUTER_SOLICIT };

	(void)state;
	begin(BOTH);
	send_neighbour(NAT_GUEST6, NAT_GATEWAY6, NAT_GATEWAY6, 254);
	send_icmp6("::", "ff02::2", 64, solicitation, 8);
	nat_receive_none(&guest);
	assert_int_equal(nat_counter(&guest, "malformed"), 2);
	nat_end(&guest);
}

static void dhcp6_leases_the_same_address_to_who_asks(void **state)
{
	unsigned char solicit[] = { 1, 1, 2, 3, 0,  1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0,
		                    9, 0, 3, 0, 12, 0, 0, 0,  7, 0, 0, 0, 0, 0, 0, 0, 0 };
	const unsigned char *m;

	(void)state;
	begin(BOTH);
	nat_send_udp(&guest, GUEST_LINK_LOCAL, 546, "ff02::1:2", 547, solicit, sizeof solicit);
	nat_receive(&guest, &frame);
	assert_from_to(GATEWAY_LINK_LOCAL, GUEST_LINK_LOCAL);
	assert_int_equal(frame.packet.source_port, 547);
	assert_int_equal(frame.packet.target_port, 546);
	m = frame.bytes + frame.packet.payload;
	assert_memory_equal(m, "\2\1\2\3", 4);
	assert_non_null(memmem(m, frame.packet.payload_len, &guest.nat->guest6, 16));
	assert_non_null(memmem(m, frame.packet.payload_len, &guest.nat->gateway6, 16));
	nat_receive_none(&guest);
	nat_end(&guest);
}

/* ---- ping ---- */

static unsigned char echo[65535];

/* An echo request of so many bytes, in as many fragments as the MTU of the link asks for. */
static void send_echo(const char *from, const char *to, size_t payload, size_t mtu)
{
	struct in6_addr source, target;
	const bool is_ipv4 = net_address_parse(from, &source) == 0 && net_is_ipv4(&source);
	const uint8_t protocol = is_ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	const size_t len = 8 + payload, header = is_ipv4 ? 20 : 40;
	const size_t piece = (mtu - header - (is_ipv4 ? 0 : 8)) & ~(size_t)7;
	static unsigned char bytes[NIC_FRAME_MAX];
	uint32_t sum = 0;
	uint16_t finished;
	size_t n;

	assert_int_equal(net_address_parse(to, &target), 0);
	memcpy(echo, (unsigned char[]){ is_ipv4 ? ICMP_ECHO : ICMP6_ECHO_REQUEST, 0, 0, 0, 0x12, 0x34, 0, 1 }, 8);
	for (size_t i = 0; i < payload; i++)
		echo[8 + i] = (unsigned char)(i * 7);
	if (!is_ipv4)
		sum = checksum_pseudo(&source, &target, protocol, (uint32_t)len);
	finished = checksum_finish(checksum_add(sum, echo, len, 0));
	memcpy(echo + 2, &finished, 2);
	if (header + len <= mtu) {
		n = nat_put_ip(&guest, bytes, from, to, protocol, echo, len);
		nat_send(&guest, bytes, n);
		return;
	}
	for (size_t at = 0; at < len; at += piece) {
		const bool more = len - at > piece;
		const size_t take = more ? piece : len - at;
		unsigned char l4[65535];

		if (is_ipv4) {
			n = nat_put_ip(&guest, bytes, from, to, protocol, echo + at, take);
			memcpy(bytes + 34, echo + at, take); /* a piece has no checksum to fill in */
			bytes[18] = 0;
			bytes[19] = 42;
			bytes[20] = (unsigned char)((more ? 0x20 : 0) | at / 8 >> 8);
			bytes[21] = (unsigned char)(at / 8);
			memset(bytes + 24, 0, 2);
			finished = checksum_finish(checksum_add(0, bytes + 14, 20, 0));
			memcpy(bytes + 24, &finished, 2);
		} else {
			memcpy(l4,
			       (unsigned char[]){ protocol, 0, (unsigned char)(at >> 8), (unsigned char)(at | more), 0,
			                          0, 0, 42 },
			       8);
			memcpy(l4 + 8, echo + at, take);
			n = nat_put_ip(&guest, bytes, from, to, IPPROTO_FRAGMENT, l4, 8 + take);
		}
		nat_send(&guest, bytes, n);
		settle(); /* the guest's queue is shorter than a long packet has pieces */
	}
}

/* Its answer, put together where it comes in pieces. */
static void assert_echo(const char *from, const char *to, size_t payload, size_t mtu)
{
	static unsigned char answer[65536];
	size_t got = 0;

	do {
		nat_receive(&guest, &frame);
		assert_from_to(from, to);
		assert_true(frame.len <= 14 + mtu);
		assert_int_equal(frame.packet.kind == PACKET_FRAGMENT ? frame.packet.fragment_offset : 0, got);
		memcpy(answer + got, frame.bytes + frame.packet.l4, frame.packet.l4_len);
		got += frame.packet.l4_len;
	} while (frame.packet.kind == PACKET_FRAGMENT && frame.packet.more_fragments);
	assert_int_equal(got, 8 + payload);
	assert_int_equal(answer[0], echo[0] == ICMP_ECHO ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	assert_memory_equal(answer + 4, echo + 4, 4 + payload);
	nat_receive_none(&guest);
}

static void pings_of_any_size_are_answered(void **state)
{
	static const size_t sizes[] = { 0, 1, 56, 1452, 1453, 1472, 1473, 4000, 65467, 65507 };

	(void)state;
	begin(BOTH);
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		send_echo(NAT_GUEST, NAT_GATEWAY, sizes[i], 1500);
		assert_echo(NAT_GATEWAY, NAT_GUEST, sizes[i], 1500);
		send_echo(NAT_GUEST6, NAT_GATEWAY6, sizes[i], 1500);
		assert_echo(NAT_GATEWAY6, NAT_GUEST6, sizes[i], 1500);
		send_echo(GUEST_LINK_LOCAL, GATEWAY_LINK_LOCAL, sizes[i], 1500);
		assert_echo(GATEWAY_LINK_LOCAL, GUEST_LINK_LOCAL, sizes[i], 1500);
	}
	nat_end(&guest);
}

static void pings_as_large_as_a_large_mtu_come_back_in_one_piece(void **state)
{
	(void)state;
	begin("mtu = 65520;");
	send_echo(NAT_GUEST, NAT_GATEWAY, 65520 - 28, 65520);
	assert_echo(NAT_GATEWAY, NAT_GUEST, 65520 - 28, 65520);
	send_echo(NAT_GUEST6, NAT_GATEWAY6, 65520 - 48, 65520);
	assert_echo(NAT_GATEWAY6, NAT_GUEST6, 65520 - 48, 65520);
	nat_end(&guest);
}

static void a_ping_with_a_wrong_checksum_is_malformed_but_one_that_has_none_yet_is_not(void **state)
{
	struct virtio_net_hdr_v1 header = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 2 };
	unsigned char message[12] = { ICMP_ECHO, 0, 1, 2, 0x12, 0x34, 0, 1 }, bytes[64];
	size_t n;

	(void)state;
	begin(IPV4);
	n = nat_put_ip(&guest, bytes, NAT_GUEST, NAT_GATEWAY, IPPROTO_ICMP, message, sizeof message);
	bytes[36] ^= 1;
	nat_send(&guest, bytes, n);
	nat_receive_none(&guest);
	assert_int_equal(nat_counter(&guest, "malformed"), 1);
	nat_send_with(&guest, 0, &header, bytes, n, 0);
	nat_receive(&guest, &frame);
	assert_int_equal(frame.bytes[frame.packet.l4], ICMP_ECHOREPLY);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arp_is_answered_for_all_but_the_guest),
		TEST(a_probe_finds_every_address_free_but_the_gateways),
		TEST(arp_from_an_address_that_is_not_the_guests_is_spoofed),
		TEST(a_guest_gets_its_lease_and_all_that_belongs_to_it),
		TEST(who_cannot_yet_take_unicast_gets_a_broadcast),
		TEST(a_lease_is_renewed_by_unicast_and_by_broadcast),
		TEST(a_foreign_address_is_refused),
		TEST(a_request_to_another_server_and_what_wants_no_answer_gets_none),
		TEST(who_informs_itself_is_told_the_rest),
		TEST(nonsense_on_the_ports_of_dhcp_is_malformed),
		TEST(the_router_advertises_itself_every_few_hours),
		TEST(a_solicited_router_tells_prefix_mtu_and_names),
		TEST(the_gateways_addresses_of_ipv6_are_found),
		TEST(who_looks_whether_its_own_address_is_free_finds_it_so),
		TEST(neighbour_discovery_that_came_through_a_router_is_none),
		TEST(dhcp6_leases_the_same_address_to_who_asks),
		TEST(pings_of_any_size_are_answered),
		TEST(pings_as_large_as_a_large_mtu_come_back_in_one_piece),
		TEST(a_ping_with_a_wrong_checksum_is_malformed_but_one_that_has_none_yet_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
