/* SPDX-License-Identifier: MIT */
/*
 * nat_arrive_test.c - plugins/net-nat/arrive.c: which frames of a guest reach the rules, and which never do, however
 * they are dressed up. Everything is denied by the rules here, so "judged" is seen by a denied flow, and nothing leaves
 * the machine.
 */
#include <arpa/inet.h>

#include "plugins/net/checksum.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)
#define DENIED "policy = { default = \"deny\"; };"
#define OUTSIDE "203.0.113.1"
#define OUTSIDE6 "2001:db8::1"
#define GUEST_LINK_LOCAL "fe80::1234"

static struct nat_guest guest;

struct frame {
	unsigned char bytes[2048];
	size_t len;
};

static void begin(const char *options)
{
	nat_begin(&guest, options);
	nat_receive_none(&guest);
}

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static struct frame ip_frame(const char *from, const char *to, uint8_t protocol, const void *l4, size_t len)
{
	struct frame f;

	f.len = nat_put_ip(&guest, f.bytes, from, to, protocol, l4, len);
	return f;
}

/* A datagram for port 9 of `to`. */
static struct frame datagram(const char *from, const char *to)
{
	unsigned char udp[] = { 0x12, 0x34, 0, 9, 0, 12, 0, 0, 't', 'e', 's', 't' };
	const struct in6_addr source = address(from), target = address(to);
	const uint16_t sum = checksum_finish(
		checksum_add(checksum_pseudo(&source, &target, IPPROTO_UDP, sizeof udp), udp, sizeof udp, 0));

	memcpy(udp + 6, &sum, 2);
	return ip_frame(from, to, IPPROTO_UDP, udp, sizeof udp);
}

static void sum_ipv4(struct frame *f)
{
	uint16_t sum;

	memset(f->bytes + 24, 0, 2);
	sum = checksum_finish(checksum_add(0, f->bytes + 14, (size_t)(f->bytes[14] & 0xf) * 4, 0));
	memcpy(f->bytes + 24, &sum, 2);
}

struct counts {
	uint64_t judged, spoofed, malformed, unsupported;
};

static struct counts counts(void)
{
	return (struct counts){ nat_counter(&guest, "flows_denied") + nat_counter(&guest, "flows_opened"),
		                nat_counter(&guest, "spoofed"), nat_counter(&guest, "malformed"),
		                nat_counter(&guest, "unsupported") };
}

enum fate { JUDGED, SPOOFED, MALFORMED, UNSUPPORTED, IGNORED };

/* What became of one frame, and of nothing else. Answers are the caller's to look at. */
static enum fate fate_of(const struct frame *f)
{
	const struct counts before = counts();
	struct counts after;

	nat_send(&guest, f->bytes, f->len);
	while (nat_turn(&guest))
		;
	after = counts();
	if (after.judged > before.judged)
		return JUDGED;
	if (after.spoofed > before.spoofed)
		return SPOOFED;
	if (after.malformed > before.malformed)
		return MALFORMED;
	return after.unsupported > before.unsupported ? UNSUPPORTED : IGNORED;
}

/* The same, and nobody answers. */
static void assert_fate(const struct frame *f, enum fate fate)
{
	assert_int_equal(fate_of(f), fate);
	nat_receive_none(&guest);
}

/* Judged and denied: with a word to the guest. */
static void assert_judged(const struct frame *f)
{
	struct nat_frame answer;

	assert_int_equal(fate_of(f), JUDGED);
	nat_receive(&guest, &answer);
	nat_receive_none(&guest);
}

static void assert_icmp(uint8_t type, uint8_t code)
{
	struct nat_frame f;

	nat_receive(&guest, &f);
	assert_int_equal(f.packet.kind, PACKET_IP);
	assert_true(f.packet.protocol == IPPROTO_ICMP || f.packet.protocol == IPPROTO_ICMPV6);
	assert_int_equal(f.bytes[f.packet.l4], type);
	assert_int_equal(f.bytes[f.packet.l4 + 1], code);
	nat_receive_none(&guest);
}

/* ---- tests ---- */

static void honest_datagrams_of_both_families_reach_the_rules(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ NAT_GUEST, OUTSIDE },       { NAT_GUEST, NAT_GATEWAY },      { NAT_GUEST6, OUTSIDE6 },
		{ NAT_GUEST6, NAT_GATEWAY6 }, { "fd00:ca:b5a::77", OUTSIDE6 }, { "fd00:ca:b5a:0:1:2:3:4", OUTSIDE6 },
	};

	(void)state;
	begin(DENIED);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct frame f = datagram(cases[i].from, cases[i].to);

		assert_judged(&f);
	}
	nat_end(&guest);
}

static void a_source_that_is_not_the_guests_is_spoofed(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "10.0.2.3", OUTSIDE },
		{ NAT_GATEWAY, OUTSIDE },
		{ NAT_GATEWAY, NAT_GATEWAY },
		{ "10.0.2.0", OUTSIDE },
		{ "127.0.0.1", OUTSIDE },
		{ "127.0.0.1", NAT_GATEWAY },
		{ "0.0.0.0", OUTSIDE },
		{ "0.0.0.1", OUTSIDE },
		{ "255.255.255.255", OUTSIDE },
		{ "224.0.0.1", OUTSIDE },
		{ "169.254.1.1", OUTSIDE },
		{ OUTSIDE, "198.51.100.1" },
		{ NAT_GATEWAY6, OUTSIDE6 },
		{ "fd00:ca:b5a::", OUTSIDE6 },
		{ "fd00:ca:b5b::2", OUTSIDE6 },
		{ "::1", OUTSIDE6 },
		{ "::1", NAT_GATEWAY6 },
		{ "::", OUTSIDE6 },
		{ "::", NAT_GATEWAY6 },
		{ "ff02::1", OUTSIDE6 },
		{ OUTSIDE6, "2001:db8::2" },
		{ GUEST_LINK_LOCAL, OUTSIDE6 },
		{ GUEST_LINK_LOCAL, NAT_GATEWAY6 }, /* no service of the gateway's, and a flow cannot be it */
		{ "fe80::5055:aff:fe00:1", NAT_GATEWAY6 },
	};

	(void)state;
	begin(DENIED);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct frame f = datagram(cases[i].from, cases[i].to);

		assert_fate(&f, SPOOFED);
	}
	nat_end(&guest);
}

static void frames_for_other_machines_are_nobodys_and_a_stolen_mac_is_spoofed(void **state)
{
	struct frame f;

	(void)state;
	begin(DENIED);
	f = datagram(NAT_GUEST, OUTSIDE);
	f.bytes[5] ^= 0x10;
	assert_fate(&f, IGNORED);
	f = datagram(NAT_GUEST, OUTSIDE);
	memcpy(f.bytes + 6, guest.nat->gateway_mac, ETH_ALEN);
	assert_fate(&f, SPOOFED);
	memset(f.bytes + 6, 0xff, ETH_ALEN);
	assert_fate(&f, SPOOFED);
	nat_end(&guest);
}

static void groups_hear_nothing_and_nothing_is_said(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ NAT_GUEST, "224.0.0.251" }, { NAT_GUEST, "239.255.255.250" }, { NAT_GUEST, "255.255.255.255" },
		{ NAT_GUEST, "10.0.2.255" },  { NAT_GUEST, "10.0.2.0" },        { NAT_GUEST6, "ff02::fb" },
		{ NAT_GUEST6, "ff0e::1" },    { GUEST_LINK_LOCAL, "ff02::1" },
	};
	struct frame f;

	(void)state;
	begin(DENIED);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		f = datagram(cases[i].from, cases[i].to);
		assert_fate(&f, IGNORED);
	}
	f = datagram(NAT_GUEST, OUTSIDE); /* one machine's address, but all machines' MAC */
	memset(f.bytes, 0xff, ETH_ALEN);
	assert_fate(&f, IGNORED);
	f = datagram(NAT_GUEST, NAT_GUEST);
	assert_fate(&f, IGNORED);
	nat_end(&guest);
}

/* 12 bytes of options behind the header. */
static struct frame with_options(const unsigned char options[12])
{
	const struct frame plain = datagram(NAT_GUEST, OUTSIDE);
	struct frame f = plain;

	memcpy(f.bytes + 34, options, 12);
	memcpy(f.bytes + 46, plain.bytes + 34, plain.len - 34);
	f.len += 12;
	f.bytes[14] = 0x48;
	f.bytes[17] = (unsigned char)(f.len - 14);
	sum_ipv4(&f);
	return f;
}

static void source_routes_go_nowhere_and_other_options_change_nothing(void **state)
{
	static const unsigned char routes[][12] = {
		{ 131, 7, 4, 127, 0, 0, 1, 0 }, /* loose */
		{ 137, 7, 4, 127, 0, 0, 1, 0 }, /* strict */
		{ 7, 7, 4, 0, 0, 0, 0, 0 },     /* record */
		{ 1, 1, 1, 1, 131, 7, 4, 127, 0, 0, 1, 0 },
	};
	static const unsigned char timestamp[12] = { 68, 8, 5, 0, 0, 0, 0, 0 };
	static const unsigned char router_alert[12] = { 148, 4, 0, 0 };
	static const unsigned char broken[12] = { 68, 40, 5, 0 };
	struct frame f;

	(void)state;
	begin(DENIED);
	for (unsigned i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		f = with_options(routes[i]);
		assert_fate(&f, UNSUPPORTED);
	}
	f = with_options(timestamp);
	assert_judged(&f);
	f = with_options(router_alert);
	assert_judged(&f);
	f = with_options(broken);
	assert_fate(&f, MALFORMED);
	nat_end(&guest);
}

/* `headers` between IPv6 and UDP; the last one names UDP. */
static struct frame extended(uint8_t first, const void *headers, size_t len)
{
	const struct frame plain = datagram(NAT_GUEST6, OUTSIDE6);
	struct frame f = plain;

	memcpy(f.bytes + 54, headers, len);
	memcpy(f.bytes + 54 + len, plain.bytes + 54, plain.len - 54);
	f.len += len;
	f.bytes[19] = (unsigned char)(f.len - 54);
	f.bytes[20] = first;
	return f;
}

static void extension_headers_do_not_hide_what_is_behind_them(void **state)
{
	static const unsigned char padding[] = { 60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0 };
	static const unsigned char routed[] = {
		17, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
	};
	static const unsigned char at_end[] = {
		17, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
	};
	static const unsigned char atomic[] = { 17, 0, 0, 0, 1, 2, 3, 4 };
	static const unsigned char must_know[] = { 17, 0, 0xc7, 4, 0, 0, 0, 0 };
	struct frame f;

	(void)state;
	begin(DENIED);
	f = extended(IPPROTO_HOPOPTS, padding, sizeof padding);
	assert_judged(&f);
	f = extended(IPPROTO_ROUTING, at_end, sizeof at_end);
	assert_judged(&f);
	f = extended(IPPROTO_FRAGMENT, atomic, sizeof atomic);
	assert_judged(&f);
	f = extended(IPPROTO_ROUTING, routed, sizeof routed);
	assert_fate(&f, UNSUPPORTED);
	f = extended(IPPROTO_DSTOPTS, must_know, sizeof must_know);
	assert_fate(&f, MALFORMED);
	f = extended(IPPROTO_AH, padding, sizeof padding);
	assert_int_equal(fate_of(&f), UNSUPPORTED);
	assert_icmp(ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER);
	nat_end(&guest);
}

static void ipv4_in_the_clothes_of_ipv6_is_malformed(void **state)
{
	const struct in6_addr loopback = address("127.0.0.1"), private = address("10.0.0.1");
	struct frame f;

	(void)state;
	begin(DENIED);
	f = datagram(NAT_GUEST6, OUTSIDE6);
	memcpy(f.bytes + 38, &loopback, 16);
	assert_fate(&f, MALFORMED);
	memcpy(f.bytes + 38, &private, 16);
	assert_fate(&f, MALFORMED);
	f = datagram(NAT_GUEST6, OUTSIDE6);
	memcpy(f.bytes + 22, &guest.nat->guest4, 16);
	assert_fate(&f, MALFORMED);
	nat_end(&guest);
}

static struct frame tagged(uint16_t tci)
{
	const struct frame plain = datagram(NAT_GUEST, OUTSIDE);
	struct frame f = plain;

	memcpy(f.bytes + 12, (unsigned char[]){ 0x81, 0, (unsigned char)(tci >> 8), (unsigned char)tci }, 4);
	memcpy(f.bytes + 16, plain.bytes + 12, plain.len - 12);
	f.len += 4;
	return f;
}

static void other_vlans_and_other_protocols_of_ethernet_are_not_here(void **state)
{
	struct frame f;

	(void)state;
	begin(DENIED);
	f = tagged(0x2007);
	assert_fate(&f, UNSUPPORTED);
	f = tagged(0xa000); /* a priority, no VLAN */
	assert_judged(&f);
	f = tagged(0);
	f.bytes[16] = 0x81; /* two tags */
	f.bytes[17] = 0;
	assert_fate(&f, UNSUPPORTED);
	f = datagram(NAT_GUEST, OUTSIDE);
	memcpy(f.bytes + 12, "\x88\xcc", 2);
	assert_fate(&f, UNSUPPORTED);
	nat_end(&guest);
}

static void a_frame_cut_short_anywhere_is_never_judged(void **state)
{
	struct frame frames[2];

	(void)state;
	begin(DENIED);
	frames[0] = datagram(NAT_GUEST, OUTSIDE);
	frames[1] = datagram(NAT_GUEST6, OUTSIDE6);
	for (unsigned i = 0; i < 2; i++)
		for (size_t len = 1; len < frames[i].len; len++) {
			struct frame f = frames[i];
			const struct counts before = counts();

			f.len = len;
			(void)fate_of(&f);
			assert_int_equal(counts().judged, before.judged);
			nat_receive_none(&guest);
		}
	nat_end(&guest);
}

static void protocols_that_are_not_translated_are_told_so(void **state)
{
	static const uint8_t protocols[] = { 0, 2, 4, 41, 47, 50, 51, 132, 255, IPPROTO_ICMPV6 };
	struct frame f;

	(void)state;
	begin(DENIED);
	for (unsigned i = 0; i < sizeof protocols; i++) {
		f = ip_frame(NAT_GUEST, OUTSIDE, protocols[i], "\200\0\0\0\0\0\0\0", 8);
		assert_int_equal(fate_of(&f), UNSUPPORTED);
		assert_icmp(ICMP_DEST_UNREACH, ICMP_PROT_UNREACH);
	}
	f = ip_frame(NAT_GUEST6, OUTSIDE6, 132, "sctp....", 8);
	assert_int_equal(fate_of(&f), UNSUPPORTED);
	assert_icmp(ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER);
	f = ip_frame(NAT_GUEST6, OUTSIDE6, IPPROTO_ICMP, "\10\0\0\0\0\0\0\0", 8);
	assert_int_equal(fate_of(&f), UNSUPPORTED);
	assert_icmp(ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER);
	nat_end(&guest);
}

static void errors_and_answers_of_the_guest_go_nowhere(void **state)
{
	static const unsigned char types[] = { 0, 3, 4, 5, 9, 10, 11, 12, 13, 17 };
	static const unsigned char types6[] = { 1, 2, 3, 4, 129, 130, 131, 132, 134, 136, 137, 143 };
	struct frame f;

	(void)state;
	begin(DENIED);
	for (unsigned i = 0; i < sizeof types; i++) {
		f = ip_frame(NAT_GUEST, OUTSIDE, IPPROTO_ICMP, (unsigned char[12]){ types[i] }, 12);
		assert_fate(&f, IGNORED);
	}
	for (unsigned i = 0; i < sizeof types6; i++) {
		f = ip_frame(NAT_GUEST6, OUTSIDE6, IPPROTO_ICMPV6, (unsigned char[32]){ types6[i] }, 32);
		assert_fate(&f, IGNORED);
	}
	nat_end(&guest);
}

static void without_ipv6_none_gets_in(void **state)
{
	struct frame f;

	(void)state;
	begin("ipv6 = false;" DENIED);
	f = datagram(NAT_GUEST6, OUTSIDE6);
	assert_fate(&f, UNSUPPORTED);
	f = ip_frame("::", "ff02::2", IPPROTO_ICMPV6, (unsigned char[8]){ ND_ROUTER_SOLICIT }, 8);
	assert_fate(&f, UNSUPPORTED);
	f = datagram(NAT_GUEST, OUTSIDE);
	assert_judged(&f);
	nat_end(&guest);
}

static void answers_go_to_the_mac_that_spoke_last(void **state)
{
	static const unsigned char mac[ETH_ALEN] = { 2, 9, 9, 9, 9, 9 };
	struct nat_frame answer;
	struct frame f;

	(void)state;
	begin("ipv6 = false;" DENIED);
	f = datagram(NAT_GUEST, OUTSIDE);
	memcpy(f.bytes + 6, mac, ETH_ALEN);
	assert_int_equal(fate_of(&f), JUDGED);
	nat_receive(&guest, &answer);
	assert_memory_equal(answer.bytes, mac, ETH_ALEN);
	f = datagram("10.0.2.3", OUTSIDE); /* what is refused is not learned from */
	assert_fate(&f, SPOOFED);
	assert_memory_equal(guest.nat->guest_mac, mac, ETH_ALEN);
	nat_end(&guest);
}

static void the_guests_last_address_of_ipv6_is_remembered(void **state)
{
	const struct in6_addr other = address("fd00:ca:b5a::77"), outside = address(OUTSIDE6);
	struct in6_addr a;
	struct frame f;

	(void)state;
	begin(DENIED);
	f = datagram("fd00:ca:b5a::77", OUTSIDE6);
	assert_judged(&f);
	a = nat_guest_for(guest.nat, &outside);
	assert_true(net_same(&a, &other));
	nat_end(&guest);
}

static void the_gateways_addresses_stand_for_loopback(void **state)
{
	static const struct {
		const char *target, *real;
	} cases[] = {
		{ NAT_GATEWAY, "127.0.0.1" }, { NAT_GATEWAY6, "::1" }, { "fe80::5055:aff:fe00:1", "::1" },
		{ "10.0.2.7", "10.0.2.7" },   { OUTSIDE, OUTSIDE },    { OUTSIDE6, OUTSIDE6 },
		{ "127.0.0.1", "127.0.0.1" },
	};

	(void)state;
	begin(DENIED);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct in6_addr target = address(cases[i].target), real = address(cases[i].real);
		const struct in6_addr a = nat_real_target(guest.nat, &target);

		assert_true(net_same(&a, &real));
	}
	nat_end(&guest);
}

static void errors_have_a_limit_a_second(void **state)
{
	struct nat_frame answer;
	struct frame f;
	unsigned n = 0;

	(void)state;
	begin("ipv6 = false;" DENIED);
	f = ip_frame(NAT_GUEST, OUTSIDE, 132, "sctp....", 8);
	for (unsigned i = 0; i < 1100; i++) {
		nat_send(&guest, f.bytes, f.len);
		n += nat_receive_now(&guest, &answer);
	}
	assert_true(n >= 1000 && n <= 1050);
	nat_pass(&guest, 1000);
	nat_send(&guest, f.bytes, f.len);
	assert_icmp(ICMP_DEST_UNREACH, ICMP_PROT_UNREACH);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(honest_datagrams_of_both_families_reach_the_rules),
		TEST(a_source_that_is_not_the_guests_is_spoofed),
		TEST(frames_for_other_machines_are_nobodys_and_a_stolen_mac_is_spoofed),
		TEST(groups_hear_nothing_and_nothing_is_said),
		TEST(source_routes_go_nowhere_and_other_options_change_nothing),
		TEST(extension_headers_do_not_hide_what_is_behind_them),
		TEST(ipv4_in_the_clothes_of_ipv6_is_malformed),
		TEST(other_vlans_and_other_protocols_of_ethernet_are_not_here),
		TEST(a_frame_cut_short_anywhere_is_never_judged),
		TEST(protocols_that_are_not_translated_are_told_so),
		TEST(errors_and_answers_of_the_guest_go_nowhere),
		TEST(without_ipv6_none_gets_in),
		TEST(answers_go_to_the_mac_that_spoke_last),
		TEST(the_guests_last_address_of_ipv6_is_remembered),
		TEST(the_gateways_addresses_stand_for_loopback),
		TEST(errors_have_a_limit_a_second),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
