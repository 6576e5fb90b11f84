/* SPDX-License-Identifier: MIT */
/*
 * net_neighbour_test.c - plugins/net/neighbour.c and arp.c: solicitations are taken apart, hostile ones refused, and
 * advertisements say what they shall, with a checksum that is right.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <netinet/icmp6.h>

#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "plugins/net/neighbour.h"

#define TEST(name) cmocka_unit_test(name)

static const unsigned char mac[ETH_ALEN] = { 0x52, 0x55, 10, 0, 0, 1 };
static const unsigned char guest_mac[ETH_ALEN] = { 2, 0, 0, 0, 0, 9 };

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static int parse(const unsigned char *bytes, size_t len, struct neighbour_solicitation *out)
{
	unsigned char *exact = malloc(len ? len : 1);
	int rc;

	assert_non_null(exact);
	memcpy(exact, bytes, len);
	rc = neighbour_parse(exact, len, out);
	free(exact);
	return rc;
}

static void the_link_local_address_of_a_mac(void **state)
{
	const struct in6_addr a = neighbour_link_local(mac);
	char text[NET_ADDRESS_TEXT];

	(void)state;
	assert_string_equal(net_address_text(&a, text), "fe80::5055:aff:fe00:1");
}

static void a_solicitation_tells_whom_it_looks_for_and_who_asks(void **state)
{
	unsigned char ns[32] = { ND_NEIGHBOR_SOLICIT, [8] = 0xfd, [23] = 1, 1, 1, 2, 0, 0, 0, 0, 9 };
	const struct in6_addr target = address("fd00::1");
	struct neighbour_solicitation out;

	(void)state;
	assert_int_equal(parse(ns, 32, &out), 0);
	assert_true(net_same(&out.target, &target));
	assert_true(out.has_mac);
	assert_memory_equal(out.mac, guest_mac, ETH_ALEN);
	assert_int_equal(parse(ns, 24, &out), 0);
	assert_false(out.has_mac);
}

static void hostile_solicitations_are_refused(void **state)
{
	static const struct {
		size_t at;
		unsigned char value;
	} lies[] = {
		{ 0, ND_NEIGHBOR_ADVERT },
		{ 1, 1 },
		{ 8, 0xff }, /* a group has no neighbour */
		{ 25, 0 },   /* an option that never ends */
		{ 25, 2 },   /* and one beyond the message */
	};
	const unsigned char good[32] = { ND_NEIGHBOR_SOLICIT, [8] = 0xfd, [23] = 1, 1, 1, 2, 0, 0, 0, 0, 9 };
	unsigned char bad[32];
	struct neighbour_solicitation out;

	(void)state;
	for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		memcpy(bad, good, sizeof bad);
		bad[lies[i].at] = lies[i].value;
		assert_int_equal(parse(bad, sizeof bad, &out), -EBADMSG);
	}
	for (size_t len = 0; len < sizeof good; len++)
		assert_int_equal(parse(good, len, &out), len == 24 ? 0 : -EBADMSG);
	memset(bad + 8, 0, 16);
	bad[18] = bad[19] = 0xff; /* IPv4 in disguise */
	assert_int_equal(parse(bad, 24, &out), -EBADMSG);
}

static void assert_sum(const unsigned char *message, size_t len, const struct in6_addr *from, const struct in6_addr *to)
{
	const uint32_t sum = checksum_pseudo(from, to, IPPROTO_ICMPV6, (uint32_t)len);

	assert_int_equal(checksum_finish(checksum_add(sum, message, len, 0)), 0);
}

static void an_advertisement_answers_for_its_target(void **state)
{
	const struct in6_addr from = address("fd00::1"), to = address("fd00::2");
	unsigned char message[NEIGHBOUR_MESSAGE_MAX];
	const size_t len = neighbour_put_advertisement(message, &from, &to, &from, mac, true, true);

	(void)state;
	assert_int_equal(len, 32);
	assert_memory_equal(message, "\210\0", 2);
	assert_memory_equal(message + 4, "\340\0\0\0", 4); /* router, solicited, override */
	assert_memory_equal(message + 8, &from, 16);
	assert_memory_equal(message + 24, "\2\1", 2);
	assert_memory_equal(message + 26, mac, ETH_ALEN);
	assert_sum(message, len, &from, &to);
	(void)neighbour_put_advertisement(message, &from, &to, &from, mac, false, false);
	assert_int_equal(message[4], 0x20);
}

static const unsigned char *option(const unsigned char *message, size_t len, unsigned type)
{
	for (size_t at = 16; at < len; at += (size_t)message[at + 1] * 8) {
		assert_true(message[at + 1] > 0 && at + (size_t)message[at + 1] * 8 <= len);
		if (message[at] == type)
			return message + at;
	}
	return NULL;
}

static void a_router_tells_prefix_mtu_name_servers_and_search_list(void **state)
{
	static const char *const search[] = { "example.com", "a.b" };
	const struct in6_addr from = neighbour_link_local(mac), to = address("ff02::1"), dns = address("fd00::1");
	struct router router = {
		.mtu = 65520, .lifetime = 1800, .dns = &dns, .n_dns = 1, .search = search, .n_search = 2
	};
	static const unsigned char names[] = "\37\4\0\0\377\377\377\377\7example\3com\0\1a\1b"; /* and a NUL */
	unsigned char message[NEIGHBOUR_MESSAGE_MAX];
	size_t len;

	(void)state;
	memcpy(router.mac, mac, ETH_ALEN);
	assert_int_equal(net_prefix_parse("fd00::/64", &router.prefix), 0);
	len = router_put_advertisement(message, &from, &to, &router);
	assert_sum(message, len, &from, &to);
	assert_memory_equal(message, "\206\0", 2);
	assert_memory_equal(message + 4, "\100\300\7\10\0\0\0\0\0\0\0\0", 12); /* 64 hops, managed, other, 1800 s */
	assert_memory_equal(option(message, len, 1) + 2, mac, ETH_ALEN);
	assert_memory_equal(option(message, len, 5), "\5\1\0\0\0\0\377\360", 8);
	assert_memory_equal(option(message, len, 3), "\3\4\100\300\377\377\377\377\377\377\377\377\0\0\0\0\375\0", 18);
	assert_memory_equal(option(message, len, 25), "\31\3\0\0\377\377\377\377\375\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1",
	                    24);
	assert_memory_equal(option(message, len, 31), names, sizeof names);
	router.n_dns = router.n_search = 0;
	len = router_put_advertisement(message, &from, &to, &router);
	assert_null(option(message, len, 25));
	assert_null(option(message, len, 31));
}

static void more_names_than_there_is_room_for_are_left_out(void **state)
{
	static char label[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
			      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
			      "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
	const char *const search[] = { label, label, label, label, label, label, label, label };
	struct in6_addr dns[60] = { { .s6_addr = { 0xfd } } };
	const struct in6_addr from = neighbour_link_local(mac), to = address("ff02::1");
	struct router router = { .dns = dns, .n_dns = 60, .search = search, .n_search = 8 };
	unsigned char *message = malloc(NEIGHBOUR_MESSAGE_MAX);

	(void)state;
	assert_non_null(message);
	for (router.n_dns = 0; router.n_dns <= 60; router.n_dns++) {
		const size_t len = router_put_advertisement(message, &from, &to, &router);

		assert_true(len <= NEIGHBOUR_MESSAGE_MAX);
		assert_sum(message, len, &from, &to);
		(void)option(message, len, 255); /* walks them all */
	}
	free(message);
}

static void arp_comes_back_as_it_went(void **state)
{
	unsigned char frame[ARP_FRAME];
	struct arp arp = { .request = true }, back;

	(void)state;
	memcpy(arp.sender_mac, guest_mac, ETH_ALEN);
	assert_int_equal(inet_pton(AF_INET, "10.0.2.2", &arp.sender), 1);
	assert_int_equal(inet_pton(AF_INET, "10.0.2.1", &arp.target), 1);
	assert_int_equal(arp_put(frame, mac, &arp), ARP_FRAME);
	assert_memory_equal(frame, mac, ETH_ALEN);
	assert_memory_equal(frame + 6, guest_mac, ETH_ALEN);
	assert_memory_equal(frame + 12, "\10\6\0\1\10\0\6\4\0\1", 10);
	assert_int_equal(arp_parse(frame, sizeof frame, 14, &back), 0);
	assert_true(back.request);
	assert_memory_equal(back.sender_mac, guest_mac, ETH_ALEN);
	assert_int_equal(back.sender.s_addr, arp.sender.s_addr);
	assert_int_equal(back.target.s_addr, arp.target.s_addr);
	for (unsigned i = 14; i < 22; i++) { /* other hardware, protocol, lengths, operation */
		frame[i] ^= 0x40;
		assert_int_equal(arp_parse(frame, sizeof frame, 14, &back), -EBADMSG);
		frame[i] ^= 0x40;
	}
	assert_int_equal(arp_parse(frame, sizeof frame - 1, 14, &back), -EBADMSG);
	assert_int_equal(arp_parse(frame, 10, 14, &back), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_link_local_address_of_a_mac),
		TEST(a_solicitation_tells_whom_it_looks_for_and_who_asks),
		TEST(hostile_solicitations_are_refused),
		TEST(an_advertisement_answers_for_its_target),
		TEST(a_router_tells_prefix_mtu_name_servers_and_search_list),
		TEST(more_names_than_there_is_room_for_are_left_out),
		TEST(arp_comes_back_as_it_went),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
