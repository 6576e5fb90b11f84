/* SPDX-License-Identifier: MIT */
/*
 * net_packet_test.c - plugins/net: addresses, checksums, and frames taken apart: what is true of an honest frame is
 * found, and a frame that lies about its lengths is malformed.
 *
 * Frames are given in buffers that are exactly as long as the parser may look, so AddressSanitizer sees it go beyond.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/net/address.h"
#include "plugins/net/checksum.h"
#include "plugins/net/packet.h"

#define TEST(name) cmocka_unit_test(name)

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static struct net_prefix prefix(const char *text)
{
	struct net_prefix p;

	assert_int_equal(net_prefix_parse(text, &p), 0);
	return p;
}

/* ---- addresses ---- */

static void texts_of_addresses_are_read_strictly_and_written_back(void **state)
{
	static const char *const good[] = { "10.0.0.1", "255.255.255.255", "2001:db8::1", "::", "fe80::1" };
	static const char *const bad[] = { "",    "10.0.0",       "10.0.0.01", "10.0.0.256", "0x7f.1",
		                           "::g", "fe80::1%eth0", " 10.0.0.1", "10.0.0.1 ",  "1::2::3" };
	char text[NET_ADDRESS_TEXT];
	struct in6_addr a;

	(void)state;
	for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
		a = address(good[i]);
		assert_string_equal(net_address_text(&a, text), good[i]);
	}
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_not_equal(net_address_parse(bad[i], &a), 0);
}

static void a_prefix_with_bits_behind_it_is_a_typo_but_an_interface_may_have_them(void **state)
{
	static const char *const good[] = { "10.0.0.0/8", "0.0.0.0/0", "10.0.0.1/32", "::/0", "fd00::/8", "::1/128" };
	static const char *const bad[] = { "10.0.0.1/8",  "10.0.0.0/33", "10.0.0.0/",  "10.0.0.0/08", "10.0.0.0/-1",
		                           "10.0.0.0/8x", "fd00::/129",  "fd00::1/64", "/8",          "10.0.0.0//8" };
	char text[NET_PREFIX_TEXT];
	struct in6_addr a;
	struct net_prefix p;

	(void)state;
	for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
		p = prefix(good[i]);
		assert_string_equal(net_prefix_text(&p, text), good[i]);
	}
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(net_prefix_parse(bad[i], &p), -EINVAL);
	p = prefix("192.0.2.7");
	assert_int_equal(p.bits, 128);
	assert_int_equal(net_interface_parse("10.0.3.11/24", &a, &p), 0);
	assert_string_equal(net_address_text(&a, text), "10.0.3.11");
	assert_string_equal(net_prefix_text(&p, text), "10.0.3.0/24");
}

static void a_prefix_has_its_addresses_and_families_do_not_mix(void **state)
{
	static const struct {
		const char *prefix, *address;
		bool has;
	} cases[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.1", false },
		{ "0.0.0.0/0", "203.0.113.1", true },
		{ "0.0.0.0/0", "2001:db8::1", false },
		{ "::/0", "2001:db8::1", true },
		{ "::/0", "203.0.113.1", false },
		{ "192.0.2.128/25", "192.0.2.127", false },
		{ "192.0.2.128/25", "192.0.2.129", true },
		{ "2001:db8::/33", "2001:db8:7fff::", true },
		{ "2001:db8::/33", "2001:db8:8000::", false },
		{ "::1/128", "::1", true },
		{ "::1/128", "::2", false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct net_prefix p = prefix(cases[i].prefix);
		const struct in6_addr a = address(cases[i].address);

		assert_int_equal(net_prefix_has(&p, &a), cases[i].has);
	}
}

static void the_nth_address_of_a_prefix_carries_into_higher_bytes(void **state)
{
	const struct net_prefix p = prefix("10.0.0.0/8"), p6 = prefix("fd00::/64");
	const struct in6_addr a = net_prefix_nth(&p, 0x1ff), b = net_prefix_nth(&p6, UINT32_MAX);
	char text[NET_ADDRESS_TEXT];

	(void)state;
	assert_string_equal(net_address_text(&a, text), "10.0.1.255");
	assert_string_equal(net_address_text(&b, text), "fd00::ffff:ffff");
}

static void groups_of_addresses(void **state)
{
	static const struct {
		const char *text;
		char group; /* Loopback, linK-local, Private, Multicast, Unspecified, none */
	} cases[] = {
		{ "127.0.0.1", 'L' },
		{ "127.255.255.255", 'L' },
		{ "::1", 'L' },
		{ "169.254.169.254", 'K' },
		{ "fe80::1", 'K' },
		{ "febf::1", 'K' },
		{ "10.1.2.3", 'P' },
		{ "172.16.0.1", 'P' },
		{ "172.31.255.255", 'P' },
		{ "192.168.1.1", 'P' },
		{ "100.64.0.1", 'P' },
		{ "100.127.255.255", 'P' },
		{ "fd00::1", 'P' },
		{ "fc00::1", 'P' },
		{ "fec0::1", 'P' },
		{ "224.0.0.251", 'M' },
		{ "239.255.255.255", 'M' },
		{ "255.255.255.255", 'M' },
		{ "ff02::fb", 'M' },
		{ "0.0.0.0", 'U' },
		{ "0.1.2.3", 'U' },
		{ "::", 'U' },
		{ "172.32.0.1", '-' },
		{ "100.128.0.1", '-' },
		{ "8.8.8.8", '-' },
		{ "2001:db8::1", '-' },
		{ "fe00::1", '-' },
		{ "126.0.0.1", '-' },
		{ "128.0.0.1", '-' },
		{ "169.253.0.1", '-' },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct in6_addr a = address(cases[i].text);

		assert_int_equal(net_is_loopback(&a), cases[i].group == 'L');
		assert_int_equal(net_is_link_local(&a), cases[i].group == 'K');
		assert_int_equal(net_is_private(&a), cases[i].group == 'P');
		assert_int_equal(net_is_multicast(&a), cases[i].group == 'M');
		assert_int_equal(net_is_unspecified(&a), cases[i].group == 'U');
	}
}

static void an_ipv4_address_inside_of_an_ipv6_one_is_found(void **state)
{
	static const struct {
		const char *text, *inside;
	} cases[] = {
		{ "64:ff9b::7f00:1", "127.0.0.1" },
		{ "64:ff9b:1::a9fe:a9fe", "169.254.169.254" },
		{ "64:ff9b:1:a9fe:a9:fe00::", "169.254.169.254" },
		{ "2002:a00:1::1", "10.0.0.1" },
		{ "::10.0.0.1", "10.0.0.1" },
		{ "2001:0:1:2:3:4:80ff:fffe", "127.0.0.1" },
		{ "2001:db8::1", NULL },
		{ "::1", NULL },
		{ "::", NULL },
		{ "64:ff9b:2::1", NULL },
	};
	char text[NET_ADDRESS_TEXT];

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct in6_addr a = address(cases[i].text);
		struct in6_addr inside;

		assert_int_equal(net_embedded_ipv4(&a, &inside), cases[i].inside != NULL);
		if (cases[i].inside)
			assert_string_equal(net_address_text(&inside, text), cases[i].inside);
	}
}

static void socket_addresses_of_both_families_come_back_as_they_went(void **state)
{
	static const char *const texts[] = { "192.0.2.1", "2001:db8::1" };
	static const char *const printed[] = { "192.0.2.1:4711", "[2001:db8::1]:4711" };
	struct sockaddr_storage sa;
	struct sockaddr other = { .sa_family = AF_UNIX };
	char text[NET_ENDPOINT_TEXT];
	struct net_endpoint back;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		const struct net_endpoint e = { address(texts[i]), 4711 };

		assert_int_equal(net_to_sockaddr(&e, &sa),
		                 i ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in));
		assert_int_equal(net_from_sockaddr((const struct sockaddr *)&sa, &back), 0);
		assert_string_equal(net_endpoint_text(&back, text), printed[i]);
	}
	assert_int_equal(net_from_sockaddr(&other, &back), -EAFNOSUPPORT);
}

/* ---- checksums ---- */

static uint16_t plain_sum(const unsigned char *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += i & 1 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

static void sums_are_the_plain_ones_for_every_length_and_alignment(void **state)
{
	unsigned char bytes[300];

	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 197 + 255);
	for (size_t from = 0; from < 9; from++)
		for (size_t len = 0; len < sizeof bytes - from; len++)
			assert_int_equal(checksum_finish(checksum_add(0, bytes + from, len, 0)),
			                 plain_sum(bytes + from, len));
	memset(bytes, 0xff, sizeof bytes);
	assert_int_equal(checksum_finish(checksum_add(0, bytes, 256, 0)), 0);
}

static void sums_in_pieces_of_odd_lengths_are_the_sum_of_all(void **state)
{
	unsigned char bytes[256];
	struct iovec iov[4];

	(void)state;
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 31 + 7);
	for (size_t a = 0; a < 40; a++)
		for (size_t b = 0; b < 40; b++) {
			uint32_t sum = checksum_add(0, bytes, a, 0);

			sum = checksum_add(sum, bytes + a, b, a);
			sum = checksum_add(sum, bytes + a + b, sizeof bytes - a - b, a + b);
			assert_int_equal(checksum_finish(sum), plain_sum(bytes, sizeof bytes));
			iov[0] = (struct iovec){ bytes, a };
			iov[1] = (struct iovec){ bytes + a, b };
			iov[2] = (struct iovec){ NULL, 0 };
			iov[3] = (struct iovec){ bytes + a + b, sizeof bytes - a - b };
			for (size_t skip = 0; skip < 5; skip++)
				assert_int_equal(checksum_finish(checksum_add_iov(0, iov, 4, skip, 200)),
				                 plain_sum(bytes + skip, 200));
		}
}

static void the_pseudo_header_is_that_of_each_family(void **state)
{
	const struct in6_addr from = address("192.0.2.1"), to = address("198.51.100.2");
	const struct in6_addr from6 = address("2001:db8::1"), to6 = address("fd00::2");
	const unsigned char ipv4[] = { 192, 0, 2, 1, 198, 51, 100, 2, 0, 17, 0xff, 0xf0 };
	unsigned char ipv6[40] = { 0 };

	(void)state;
	memcpy(ipv6, &from6, 16);
	memcpy(ipv6 + 16, &to6, 16);
	memcpy(ipv6 + 32, (unsigned char[]){ 0, 1, 0, 2, 0, 0, 0, 6 }, 8);
	assert_int_equal(checksum_finish(checksum_pseudo(&from, &to, IPPROTO_UDP, 0xfff0)),
	                 plain_sum(ipv4, sizeof ipv4));
	assert_int_equal(checksum_finish(checksum_pseudo(&from6, &to6, IPPROTO_TCP, 0x10002)),
	                 plain_sum(ipv6, sizeof ipv6));
	assert_int_equal(checksum_partial(checksum_pseudo(&from6, &to6, IPPROTO_TCP, 0x10002)),
	                 (uint16_t)~plain_sum(ipv6, sizeof ipv6));
}

/* ---- frames ---- */

static const unsigned char mac_a[ETH_ALEN] = { 2, 0, 0, 0, 0, 1 }, mac_b[ETH_ALEN] = { 2, 0, 0, 0, 0, 2 };

struct frame {
	unsigned char bytes[2048];
	size_t len;
};

static void put(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

/* Ethernet and IP in front of l4. */
static struct frame ip_frame(const char *from, const char *to, uint8_t protocol, const void *l4, size_t len)
{
	const struct in6_addr source = address(from), target = address(to);
	struct frame f = { .len = 0 };

	f.len = packet_put_ether(f.bytes, mac_b, mac_a, packet_ether_type(&source));
	f.len += packet_put_ip(f.bytes + f.len, &source, &target, protocol, len, 64, 0x28);
	put(&f, l4, len);
	return f;
}

static void sum_ipv4(struct frame *f)
{
	const size_t header = (size_t)(f->bytes[14] & 0xf) * 4;
	uint16_t sum;

	memset(f->bytes + 24, 0, 2);
	sum = checksum_finish(checksum_add(0, f->bytes + 14, header, 0));
	memcpy(f->bytes + 24, &sum, 2);
}

/* IPv4 with options: as many words as `len` has. */
static struct frame ipv4_with(const void *options, size_t len, const void *l4, size_t l4_len)
{
	struct frame f = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_UDP, "", 0);

	put(&f, options, len);
	put(&f, l4, l4_len);
	f.bytes[14] = (unsigned char)(0x45 + len / 4);
	f.bytes[17] = (unsigned char)(f.len - 14);
	sum_ipv4(&f);
	return f;
}

static struct packet parsed_as(const struct frame *f, size_t len)
{
	const size_t head_len = len < PACKET_HEAD ? len : PACKET_HEAD;
	unsigned char *head = malloc(head_len ? head_len : 1);
	struct packet p;

	assert_non_null(head);
	memcpy(head, f->bytes, head_len);
	packet_parse(head, head_len, len, &p);
	free(head);
	return p;
}

static struct packet parsed(const struct frame *f)
{
	return parsed_as(f, f->len);
}

static void assert_malformed(const struct frame *f)
{
	assert_int_equal(parsed(f).kind, PACKET_MALFORMED);
}

static const unsigned char udp[] = { 0x10, 0x00, 0x00, 0x35, 0x00, 0x0c, 0x00, 0x00, 'b', 'o', 'd', 'y' };
static const unsigned char tcp[] = { 0x10, 0x00, 0x00, 0x50, 0, 0, 0, 1, 0,    0,    0,    0,   0x60,
	                             0x02, 0xff, 0xff, 0,    0, 0, 0, 2, 0x04, 0x05, 0xb4, 'h', 'i' };

static void an_honest_datagram_of_each_family_is_taken_apart(void **state)
{
	static const struct {
		const char *from, *to;
		size_t l4;
	} cases[] = { { "10.0.2.2", "192.0.2.1", 34 }, { "fd00::2", "2001:db8::1", 54 } };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct frame f = ip_frame(cases[i].from, cases[i].to, IPPROTO_UDP, udp, sizeof udp);
		struct packet p;
		const struct in6_addr from = address(cases[i].from), to = address(cases[i].to);

		put(&f, "padding", 7);
		p = parsed(&f);
		assert_int_equal(p.kind, PACKET_IP);
		assert_memory_equal(p.to, mac_b, ETH_ALEN);
		assert_memory_equal(p.from, mac_a, ETH_ALEN);
		assert_true(net_same(&p.source, &from));
		assert_true(net_same(&p.target, &to));
		assert_int_equal(p.ttl, 64);
		assert_int_equal(p.tos, 0x28);
		assert_int_equal(p.l3, 14);
		assert_int_equal(p.l4, cases[i].l4);
		assert_int_equal(p.l4_len, sizeof udp);
		assert_int_equal(p.source_port, 4096);
		assert_int_equal(p.target_port, 53);
		assert_int_equal(p.payload, p.l4 + 8);
		assert_int_equal(p.payload_len, 4);
		assert_false(p.options || p.routed || p.vlan);
	}
}

static void a_segment_with_options_is_taken_apart(void **state)
{
	struct frame f = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_TCP, tcp, sizeof tcp);
	const struct packet p = parsed(&f);

	(void)state;
	assert_int_equal(p.kind, PACKET_IP);
	assert_int_equal(p.source_port, 4096);
	assert_int_equal(p.target_port, 80);
	assert_int_equal(p.payload, p.l4 + 24);
	assert_int_equal(p.payload_len, 2);
}

static void a_frame_that_ends_anywhere_before_its_packet_does_is_malformed(void **state)
{
	struct frame frames[] = {
		ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_UDP, udp, sizeof udp),
		ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_TCP, tcp, sizeof tcp),
		ip_frame("fd00::2", "2001:db8::1", IPPROTO_TCP, tcp, sizeof tcp),
	};

	(void)state;
	for (unsigned i = 0; i < sizeof frames / sizeof frames[0]; i++)
		for (size_t len = 0; len < frames[i].len; len++)
			assert_int_equal(parsed_as(&frames[i], len).kind, PACKET_MALFORMED);
}

static void lengths_and_versions_that_are_not_true_are_malformed(void **state)
{
	const struct frame udp4 = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_UDP, udp, sizeof udp);
	const struct frame udp6 = ip_frame("fd00::2", "2001:db8::1", IPPROTO_UDP, udp, sizeof udp);
	const struct frame tcp4 = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_TCP, tcp, sizeof tcp);
	static const struct {
		char frame;
		size_t at;
		unsigned char value;
	} lies[] = {
		{ '4', 14, 0x65 }, /* version */
		{ '4', 14, 0x44 }, /* header shorter than a header */
		{ '4', 14, 0x4f }, /* and longer than the packet */
		{ '4', 17, 33 },   /* one byte more than there is */
		{ '4', 17, 19 },   /* less than the header */
		{ '4', 17, 27 },   /* no room for a UDP header */
		{ '4', 39, 13 },   /* UDP longer than the packet */
		{ '4', 39, 7 },    /* shorter than its header */
		{ '6', 14, 0x40 }, /* version */
		{ '6', 19, 13 },   /* longer than there is */
		{ '6', 19, 7 },    /* no room for UDP */
		{ '6', 59, 13 },   /* UDP longer than the packet */
		{ 't', 46, 0x40 }, /* TCP header shorter than a header */
		{ 't', 46, 0xf0 }, /* longer than the packet */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		struct frame f = lies[i].frame == '4' ? udp4 : lies[i].frame == '6' ? udp6 : tcp4;

		f.bytes[lies[i].at] = lies[i].value;
		if (lies[i].frame != '6' && (f.bytes[14] & 0xf) * 4u + 14 <= f.len)
			sum_ipv4(&f);
		assert_malformed(&f);
	}
}

static void an_ipv4_header_with_a_wrong_checksum_is_malformed(void **state)
{
	struct frame f = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_UDP, udp, sizeof udp);

	(void)state;
	f.bytes[24] ^= 1;
	assert_malformed(&f);
}

static void a_length_of_zero_in_ipv4_is_the_frames(void **state)
{
	struct frame f = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_TCP, tcp, sizeof tcp);
	struct packet p;

	(void)state;
	f.bytes[16] = f.bytes[17] = 0;
	p = parsed(&f);
	assert_int_equal(p.kind, PACKET_IP);
	assert_int_equal(p.payload_len, 2);
	assert_int_equal(parsed_as(&f, 14 + 65535).payload_len, 65535 - 44);
	assert_int_equal(parsed_as(&f, 14 + 65536).kind, PACKET_MALFORMED);
}

static void a_datagram_shorter_than_its_packet_is_as_long_as_it_says(void **state)
{
	struct frame f = ip_frame("fd00::2", "2001:db8::1", IPPROTO_UDP, udp, sizeof udp);

	(void)state;
	f.bytes[59] = 10;
	assert_int_equal(parsed(&f).payload_len, 2);
	assert_int_equal(parsed(&f).l4_len, 10);
}

static void mapped_addresses_in_ipv6_are_malformed(void **state)
{
	struct frame f = ip_frame("fd00::2", "2001:db8::1", IPPROTO_UDP, udp, sizeof udp);
	const struct in6_addr mapped = address("127.0.0.1");

	(void)state;
	memcpy(f.bytes + 14 + 24, &mapped, 16);
	assert_malformed(&f);
	f = ip_frame("fd00::2", "2001:db8::1", IPPROTO_UDP, udp, sizeof udp);
	memcpy(f.bytes + 14 + 8, &mapped, 16);
	assert_malformed(&f);
}

static void options_of_ipv4_are_walked_and_source_routes_told(void **state)
{
	static const struct {
		unsigned char bytes[8];
		bool good, options, routed;
	} cases[] = {
		{ { 1, 1, 1, 1, 0, 9, 9, 9 }, true, false, false },
		{ { 131, 7, 4, 10, 0, 0, 1, 0 }, true, true, true },
		{ { 137, 7, 4, 10, 0, 0, 1, 0 }, true, true, true },
		{ { 1, 7, 7, 4, 0, 0, 0, 0 }, true, true, true },
		{ { 68, 8, 5, 0, 0, 0, 0, 0 }, true, true, false },
		{ { 148, 4, 0, 0, 0, 0, 0, 0 }, true, true, false },
		{ { 68, 9, 5, 0, 0, 0, 0, 0 }, false, false, false },
		{ { 68, 1, 5, 0, 0, 0, 0, 0 }, false, false, false },
		{ { 1, 1, 1, 1, 1, 1, 1, 131 }, false, false, false },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct frame f = ipv4_with(cases[i].bytes, 8, udp, sizeof udp);
		const struct packet p = parsed(&f);

		assert_int_equal(p.kind, cases[i].good ? PACKET_IP : PACKET_MALFORMED);
		if (!cases[i].good)
			continue;
		assert_int_equal(p.options, cases[i].options);
		assert_int_equal(p.routed, cases[i].routed);
		assert_int_equal(p.target_port, 53);
	}
}

/* One IPv6 packet of extension headers, the last of which says UDP. */
static struct frame ipv6_with(uint8_t first, const void *headers, size_t len)
{
	struct frame f = ip_frame("fd00::2", "2001:db8::1", first, headers, len);

	put(&f, udp, sizeof udp);
	f.bytes[19] = (unsigned char)(len + sizeof udp);
	return f;
}

static void extension_headers_are_walked_to_the_upper_layer(void **state)
{
	static const unsigned char all[] = {
		60, 0, 1, 4, 0, 0, 0, 0,  /* hop by hop: padding */
		43, 0, 5, 2, 0, 0, 0, 0,  /* destination: an option that may be skipped */
		44, 0, 0, 0, 0, 0, 0, 0,  /* routing, at its end */
		17, 0, 0, 0, 0, 0, 0, 42, /* fragment, but whole */
	};
	struct frame f = ipv6_with(IPPROTO_HOPOPTS, all, sizeof all);
	struct packet p = parsed(&f);

	(void)state;
	assert_int_equal(p.kind, PACKET_IP);
	assert_int_equal(p.protocol, IPPROTO_UDP);
	assert_int_equal(p.target_port, 53);
	assert_int_equal(p.payload_len, 4);
	assert_true(p.options);
	assert_false(p.routed);
	f.bytes[14 + 40 + 16 + 3] = 1; /* segments left */
	assert_true(parsed(&f).routed);
}

static void extension_headers_that_nobody_sends_are_malformed(void **state)
{
	static const struct {
		uint8_t first;
		unsigned char bytes[24];
		size_t len;
	} cases[] = {
		{ IPPROTO_DSTOPTS,
		  { 0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0 },
		  16 },                                                 /* hop by hop as the 2nd */
		{ IPPROTO_HOPOPTS, { 17, 0, 0xc2, 4, 0, 1, 0, 0 }, 8 }, /* jumbo */
		{ IPPROTO_DSTOPTS, { 17, 0, 0x80, 4, 0, 0, 0, 0 }, 8 }, /* "discard me where unknown" */
		{ IPPROTO_DSTOPTS, { 17, 0, 5, 5, 0, 0, 0, 0 }, 8 },    /* an option beyond its header */
		{ IPPROTO_DSTOPTS, { 17, 9, 1, 4, 0, 0, 0, 0 }, 8 },    /* a header beyond the packet */
		{ IPPROTO_FRAGMENT,
		  { 44, 0, 0, 0, 0, 0, 0, 1, 17, 0, 0, 0, 0, 0, 0, 1 },
		  16 }, /* two fragment headers */
	};
	unsigned char many[9 * 8];
	struct frame f;

	(void)state;
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		f = ipv6_with(cases[i].first, cases[i].bytes, cases[i].len);
		assert_malformed(&f);
	}
	for (unsigned i = 0; i < 9; i++)
		memcpy(many + (size_t)i * 8, (unsigned char[]){ i < 8 ? 60 : 17, 0, 1, 4, 0, 0, 0, 0 }, 8);
	f = ipv6_with(IPPROTO_DSTOPTS, many, sizeof many);
	assert_malformed(&f);
	f = ipv6_with(IPPROTO_DSTOPTS, many + 8, sizeof many - 8);
	assert_int_equal(parsed(&f).kind, PACKET_IP);
}

static void headers_behind_the_copy_are_malformed(void **state)
{
	unsigned char padding[216] = { 17, 26, 1, 212 }; /* to byte 270 of the frame */
	struct frame f = ipv6_with(IPPROTO_DSTOPTS, padding, sizeof padding);

	(void)state;
	assert_malformed(&f);
}

static void pieces_of_packets_are_told_as_such(void **state)
{
	static const unsigned char piece[] = { 17, 0, 0x00, 0x51, 1, 2, 3, 4 };
	struct frame f = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_UDP, udp, sizeof udp);
	struct packet p;

	(void)state;
	memcpy(f.bytes + 18, (unsigned char[]){ 0x12, 0x34, 0x20, 0x02 }, 4);
	sum_ipv4(&f);
	p = parsed(&f);
	assert_int_equal(p.kind, PACKET_FRAGMENT);
	assert_int_equal(p.fragment_id, 0x1234);
	assert_int_equal(p.fragment_offset, 16);
	assert_true(p.more_fragments);
	assert_int_equal(p.l4_len, sizeof udp);
	assert_int_equal(p.target_port, 0);

	f = ipv6_with(IPPROTO_FRAGMENT, piece, sizeof piece);
	p = parsed(&f);
	assert_int_equal(p.kind, PACKET_FRAGMENT);
	assert_int_equal(p.fragment_id, 0x01020304);
	assert_int_equal(p.fragment_offset, 80);
	assert_true(p.more_fragments);
	assert_int_equal(p.protocol, IPPROTO_UDP);
	assert_int_equal(p.l4, 14 + 40 + 8);
	assert_int_equal(p.l4_len, sizeof udp);
}

static void one_vlan_tag_is_looked_behind_two_are_not(void **state)
{
	const struct frame plain = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_UDP, udp, sizeof udp);
	struct frame f = { .len = 0 };
	struct packet p;

	(void)state;
	put(&f, plain.bytes, 12);
	put(&f, (unsigned char[]){ 0x81, 0x00, 0x20, 0x07 }, 4);
	put(&f, plain.bytes + 12, plain.len - 12);
	p = parsed(&f);
	assert_int_equal(p.kind, PACKET_IP);
	assert_true(p.vlan);
	assert_int_equal(p.vlan_tag, 0x2007);
	assert_int_equal(p.ether_type, ETH_P_IP);
	assert_int_equal(p.target_port, 53);
	memcpy(f.bytes + 16, (unsigned char[]){ 0x81, 0x00 }, 2);
	assert_int_equal(parsed(&f).kind, PACKET_OTHER);
	assert_int_equal(parsed_as(&f, 17).kind, PACKET_MALFORMED);
}

static void identifiers_of_echoes_are_both_ports(void **state)
{
	static const unsigned char echo[] = { 8, 0, 0, 0, 0x12, 0x34, 0, 1, 'x' };
	static const unsigned char echo6[] = { 128, 0, 0, 0, 0x12, 0x34, 0, 1, 'x' };
	struct frame f = ip_frame("10.0.2.2", "192.0.2.1", IPPROTO_ICMP, echo, sizeof echo);
	struct packet p = parsed(&f);

	(void)state;
	assert_int_equal(p.source_port, 0x1234);
	assert_int_equal(p.target_port, 0x1234);
	assert_int_equal(p.payload_len, 1);
	f = ip_frame("fd00::2", "2001:db8::1", IPPROTO_ICMPV6, echo6, sizeof echo6);
	p = parsed(&f);
	assert_int_equal(p.source_port, 0x1234);
	assert_int_equal(p.payload_len, 1);
	f = ip_frame("fd00::2", "2001:db8::1", IPPROTO_ICMPV6, echo6, 7);
	assert_malformed(&f);
}

static void protocols_of_others_are_left_alone(void **state)
{
	struct frame f = ip_frame("10.0.2.2", "192.0.2.1", 132, "sctp", 4);
	const struct packet p = parsed(&f);

	(void)state;
	assert_int_equal(p.kind, PACKET_IP);
	assert_int_equal(p.protocol, 132);
	assert_int_equal(p.payload_len, 4);
	memcpy(f.bytes + 12, (unsigned char[]){ 0x88, 0xcc }, 2);
	assert_int_equal(parsed(&f).kind, PACKET_OTHER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(texts_of_addresses_are_read_strictly_and_written_back),
		TEST(a_prefix_with_bits_behind_it_is_a_typo_but_an_interface_may_have_them),
		TEST(a_prefix_has_its_addresses_and_families_do_not_mix),
		TEST(the_nth_address_of_a_prefix_carries_into_higher_bytes),
		TEST(groups_of_addresses),
		TEST(an_ipv4_address_inside_of_an_ipv6_one_is_found),
		TEST(socket_addresses_of_both_families_come_back_as_they_went),
		TEST(sums_are_the_plain_ones_for_every_length_and_alignment),
		TEST(sums_in_pieces_of_odd_lengths_are_the_sum_of_all),
		TEST(the_pseudo_header_is_that_of_each_family),
		TEST(an_honest_datagram_of_each_family_is_taken_apart),
		TEST(a_segment_with_options_is_taken_apart),
		TEST(a_frame_that_ends_anywhere_before_its_packet_does_is_malformed),
		TEST(lengths_and_versions_that_are_not_true_are_malformed),
		TEST(an_ipv4_header_with_a_wrong_checksum_is_malformed),
		TEST(a_length_of_zero_in_ipv4_is_the_frames),
		TEST(a_datagram_shorter_than_its_packet_is_as_long_as_it_says),
		TEST(mapped_addresses_in_ipv6_are_malformed),
		TEST(options_of_ipv4_are_walked_and_source_routes_told),
		TEST(extension_headers_are_walked_to_the_upper_layer),
		TEST(extension_headers_that_nobody_sends_are_malformed),
		TEST(headers_behind_the_copy_are_malformed),
		TEST(pieces_of_packets_are_told_as_such),
		TEST(one_vlan_tag_is_looked_behind_two_are_not),
		TEST(identifiers_of_echoes_are_both_ports),
		TEST(protocols_of_others_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
