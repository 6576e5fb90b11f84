/* SPDX-License-Identifier: MIT */
/*
 * cluster_conversation_test.c - plugins/cluster-switch/conversation.c: what a guest may begin towards members, and what
 * is an answer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cluster-switch/conversation.h"
#include "plugins/net/checksum.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define GUEST "10.0.3.11"
#define MEMBER "10.0.3.12"
#define GUEST6 "fd00::b"
#define MEMBER6 "fd00::c"

static struct conversations *c;
static uint64_t now;
static unsigned judged;
static uint16_t denied_port; /* of the member; 0 where `deny_all` does not say so */
static bool deny_all;
static struct net_endpoint last_guest, last_member;

static bool judge(void *ctx, uint8_t protocol, const struct net_endpoint *guest, const struct net_endpoint *member)
{
	assert_ptr_equal(ctx, &now);
	assert_true(protocol != 0);
	judged++;
	last_guest = *guest;
	last_member = *member;
	return !deny_all && (!denied_port || member->port != denied_port);
}

static int begin(void **state)
{
	(void)state;
	now = 1000;
	judged = 0;
	denied_port = 0;
	deny_all = false;
	return conversations_new(judge, &now, &c);
}

static int end(void **state)
{
	(void)state;
	conversations_free(c);
	return 0;
}

/* ---- frames ---- */

struct frame {
	const char *from, *to;
	uint8_t protocol;
	uint16_t from_port, to_port; /* ICMP: type, identifier */
	uint8_t flags;
	size_t offset; /* of a piece; more: it is not the last */
	bool more;
	uint32_t id;
	size_t cut; /* bytes of the upper layer; 0: all */
	bool tagged;
	uint16_t vlan;
};

static size_t put_fragment_header(unsigned char *at, const struct frame *f)
{
	memset(at, 0, 8);
	at[0] = f->protocol;
	at[2] = (unsigned char)(f->offset >> 8);
	at[3] = (unsigned char)((f->offset & 0xf8) | f->more);
	at[6] = (unsigned char)(f->id >> 8);
	at[7] = (unsigned char)f->id;
	return 8;
}

static size_t put_tag(unsigned char *bytes, size_t len, uint16_t vlan)
{
	const unsigned char tag[] = { 0x81, 0x00, (unsigned char)(vlan >> 8), (unsigned char)vlan };

	memmove(bytes + 12 + sizeof tag, bytes + 12, len - 12);
	memcpy(bytes + 12, tag, sizeof tag);
	return sizeof tag;
}

static size_t put_frame(unsigned char *bytes, const struct frame *f)
{
	static const unsigned char mac[ETH_ALEN] = { 0x52, 0x54, 0, 0, 0, 1 };
	const bool in_pieces = f->offset || f->more,
		   icmp = f->protocol == IPPROTO_ICMP || f->protocol == IPPROTO_ICMPV6;
	struct in6_addr from, to;
	unsigned char l4[40] = { 0 };
	size_t at, len = f->cut ? f->cut : sizeof l4;
	uint16_t sum;
	bool ipv4;

	assert_int_equal(net_address_parse(f->from, &from) | net_address_parse(f->to, &to), 0);
	ipv4 = net_is_ipv4(&from);
	if (icmp) {
		l4[0] = (unsigned char)f->from_port;
		l4[4] = (unsigned char)(f->to_port >> 8);
		l4[5] = (unsigned char)f->to_port;
	} else {
		l4[0] = (unsigned char)(f->from_port >> 8);
		l4[1] = (unsigned char)f->from_port;
		l4[2] = (unsigned char)(f->to_port >> 8);
		l4[3] = (unsigned char)f->to_port;
	}
	if (f->protocol == IPPROTO_TCP) {
		l4[12] = 5 << 4;
		l4[13] = f->flags;
	} else if (f->protocol == IPPROTO_UDP) {
		l4[5] = (unsigned char)len;
	}
	at = packet_put_ether(bytes, mac, mac, packet_ether_type(&from));
	if (ipv4 || !in_pieces) {
		at += packet_put_ip(bytes + at, &from, &to, f->protocol, len, 64, 0);
	} else {
		at += packet_put_ip(bytes + at, &from, &to, IPPROTO_FRAGMENT, len + 8, 64, 0);
		at += put_fragment_header(bytes + at, f);
	}
	if (ipv4 && in_pieces) {
		bytes[18] = (unsigned char)(f->id >> 8);
		bytes[19] = (unsigned char)f->id;
		bytes[20] = (unsigned char)((f->more ? 0x20 : 0) | f->offset >> 11);
		bytes[21] = (unsigned char)(f->offset >> 3);
		memset(bytes + 24, 0, 2);
		sum = checksum_finish(checksum_add(0, bytes + ETH_HLEN, sizeof(struct iphdr), 0));
		memcpy(bytes + 24, &sum, sizeof sum);
	}
	memcpy(bytes + at, l4, len);
	return at + len + (f->tagged ? put_tag(bytes, at + len, f->vlan) : 0);
}

static bool guest_sends(const struct frame *f)
{
	unsigned char bytes[256];
	const size_t len = put_frame(bytes, f);
	struct packet p;

	packet_parse(bytes, len, len, &p);
	assert_true(p.kind == PACKET_IP || p.kind == PACKET_FRAGMENT);
	return conversation_send(c, &p, bytes, len, now);
}

static void member_sends(const struct frame *f)
{
	unsigned char bytes[256];
	const size_t len = put_frame(bytes, f);
	struct packet p;

	packet_parse(bytes, len, len, &p);
	assert_true(p.kind == PACKET_IP || p.kind == PACKET_FRAGMENT);
	conversation_hear(c, &p, bytes, len, now);
}

static bool tcp(uint16_t from, uint16_t to, uint8_t flags)
{
	return guest_sends(&(struct frame){ GUEST, MEMBER, IPPROTO_TCP, from, to, flags, .id = 0 });
}

static void hear_tcp(uint16_t from, uint16_t to, uint8_t flags)
{
	member_sends(&(struct frame){ MEMBER, GUEST, IPPROTO_TCP, from, to, flags, .id = 0 });
}

static bool udp(uint16_t from, uint16_t to)
{
	return guest_sends(&(struct frame){ GUEST, MEMBER, IPPROTO_UDP, from, to, .id = 0 });
}

static void hear_udp(uint16_t from, uint16_t to)
{
	member_sends(&(struct frame){ MEMBER, GUEST, IPPROTO_UDP, from, to, .id = 0 });
}

static bool ping(const char *from, const char *to, uint8_t type, uint16_t id)
{
	const uint8_t protocol = strchr(to, ':') ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	return guest_sends(&(struct frame){ from, to, protocol, type, id, .id = 0 });
}

/* ---- tests ---- */

static void what_is_allowed_is_judged_once_and_goes_on(void **state)
{
	(void)state;
	assert_true(tcp(4000, 80, TH_SYN));
	hear_tcp(80, 4000, TH_SYN | TH_ACK);
	assert_true(tcp(4000, 80, TH_ACK));
	assert_true(tcp(4000, 80, TH_ACK | TH_PUSH));
	assert_int_equal(judged, 1);
	assert_int_equal(last_guest.port, 4000);
	assert_int_equal(last_member.port, 80);
	assert_true(udp(4000, 53));
	assert_true(udp(4000, 53));
	assert_int_equal(judged, 2);
	assert_true(udp(4001, 53));
	assert_int_equal(judged, 3);
	assert_int_equal(conversations_count(c), 3);
}

static void what_is_denied_does_not_pass_in_any_form(void **state)
{
	static const uint8_t flags[] = { TH_SYN, TH_ACK, TH_SYN | TH_ACK, TH_FIN | TH_ACK, TH_RST, 0 };

	(void)state;
	deny_all = true;
	for (unsigned i = 0; i < sizeof flags; i++)
		assert_false(tcp(4000, 80, flags[i]));
	assert_false(udp(4000, 53));
	assert_false(ping(GUEST, MEMBER, ICMP_ECHO, 1));
	assert_false(ping(GUEST6, MEMBER6, ICMP6_ECHO_REQUEST, 1));
	assert_false(guest_sends(&(struct frame){ GUEST, MEMBER, IPPROTO_SCTP, .id = 0 }));
	assert_int_equal(conversations_count(c), 0);
}

static void answers_to_what_a_member_began_pass_unjudged(void **state)
{
	(void)state;
	deny_all = true;
	hear_tcp(5000, 22, TH_SYN);
	assert_true(tcp(22, 5000, TH_SYN | TH_ACK));
	assert_true(tcp(22, 5000, TH_ACK | TH_PUSH));
	assert_false(tcp(22, 5001, TH_ACK));
	hear_udp(5000, 53);
	assert_true(udp(53, 5000));
	assert_false(udp(53, 5001));
	assert_false(udp(54, 5000));
	member_sends(&(struct frame){ MEMBER, GUEST, IPPROTO_ICMP, ICMP_ECHO, 7, .id = 0 });
	assert_true(ping(GUEST, MEMBER, ICMP_ECHOREPLY, 7));
	assert_false(ping(GUEST, MEMBER, ICMP_ECHOREPLY, 8));
	assert_false(ping(GUEST, MEMBER, ICMP_ECHO, 7));
	member_sends(&(struct frame){ MEMBER6, GUEST6, IPPROTO_ICMPV6, ICMP6_ECHO_REQUEST, 7, .id = 0 });
	assert_true(ping(GUEST6, MEMBER6, ICMP6_ECHO_REPLY, 7));
	assert_false(ping(GUEST6, MEMBER6, ICMP6_ECHO_REPLY, 8));
}

static void a_syn_of_the_guests_is_judged_whatever_is_known(void **state)
{
	(void)state;
	hear_tcp(5000, 22, TH_SYN);
	deny_all = true;
	assert_false(tcp(22, 5000, TH_SYN));
	assert_true(tcp(22, 5000, TH_SYN | TH_ACK)); /* the member's is still there */
	deny_all = false;
	assert_true(tcp(4000, 80, TH_SYN));
	deny_all = true;
	assert_false(tcp(4000, 80, TH_SYN));
	assert_false(tcp(4000, 80, TH_ACK));
}

static void only_a_syn_begins_something_of_a_members_tcp(void **state)
{
	(void)state;
	deny_all = true;
	hear_tcp(5000, 22, TH_ACK);
	hear_tcp(5001, 22, TH_SYN | TH_ACK);
	hear_tcp(5002, 22, TH_RST);
	for (uint16_t port = 5000; port < 5003; port++)
		assert_false(tcp(22, port, TH_ACK));
	assert_int_equal(conversations_count(c), 0);
}

static void new_rules_count_for_what_the_guest_began_alone(void **state)
{
	(void)state;
	assert_true(tcp(4000, 80, TH_SYN));
	assert_true(udp(4000, 53));
	assert_true(udp(4000, 54));
	hear_udp(5000, 53);
	deny_all = true;
	assert_true(tcp(4000, 80, TH_ACK));
	conversations_judge_again(c);
	assert_false(tcp(4000, 80, TH_ACK));
	assert_false(udp(4000, 53));
	assert_true(udp(53, 5000));
	deny_all = false;
	judged = 0;
	assert_true(udp(4000, 54));
	assert_true(udp(4000, 54));
	assert_int_equal(judged, 1);
}

static void conversations_are_forgotten_after_their_time(void **state)
{
	(void)state;
	hear_udp(5000, 53);
	hear_tcp(5000, 22, TH_SYN); /* not answered */
	hear_tcp(5001, 22, TH_SYN);
	assert_true(tcp(22, 5001, TH_SYN | TH_ACK));
	hear_tcp(5002, 22, TH_SYN);
	assert_true(tcp(22, 5002, TH_SYN | TH_ACK));
	hear_tcp(5002, 22, TH_FIN | TH_ACK);
	member_sends(&(struct frame){ MEMBER, GUEST, IPPROTO_ICMP, ICMP_ECHO, 7, .id = 0 });
	deny_all = true;
	now += CONVERSATION_SHORT_MS;
	assert_false(ping(GUEST, MEMBER, ICMP_ECHOREPLY, 7));
	now += CONVERSATION_TRANSITORY_MS - CONVERSATION_SHORT_MS;
	assert_false(tcp(22, 5000, TH_SYN | TH_ACK));
	assert_false(tcp(22, 5002, TH_ACK));
	now += CONVERSATION_UDP_MS - CONVERSATION_TRANSITORY_MS - 1;
	assert_true(udp(53, 5000)); /* and it goes on from here */
	now += CONVERSATION_UDP_MS - 1;
	assert_true(udp(53, 5000));
	now += CONVERSATION_UDP_MS;
	assert_false(udp(53, 5000));
	assert_true(tcp(22, 5001, TH_ACK));
	now += CONVERSATION_TCP_MS;
	assert_false(tcp(22, 5001, TH_ACK));
	assert_int_equal(conversations_count(c), 0);
}

static void a_flood_of_a_members_pushes_out_neither_the_guests_nor_established_ones(void **state)
{
	(void)state;
	denied_port = 9;
	assert_true(udp(4000, 53));
	hear_tcp(5000, 22, TH_SYN);
	assert_true(tcp(22, 5000, TH_SYN | TH_ACK));
	for (unsigned i = 0; i < 2 * CONVERSATIONS_MAX; i++)
		hear_udp((uint16_t)(i & 0x7fff), (uint16_t)(1 + (i >> 15)));
	assert_int_equal(conversations_count(c), CONVERSATIONS_MAX + 1);
	judged = 0;
	assert_true(udp(4000, 53));
	assert_true(tcp(22, 5000, TH_ACK));
	assert_int_equal(judged, 0);
	/* Nor do those that the guest began itself grow without end. */
	for (unsigned i = 0; i < 2 * CONVERSATIONS_MAX; i++)
		assert_true(udp((uint16_t)(i & 0x7fff), (uint16_t)(100 + (i >> 15))));
	assert_int_equal(conversations_count(c), 2 * CONVERSATIONS_MAX);
}

static void what_the_link_needs_passes_and_what_nobody_could_judge_does_not(void **state)
{
	static const uint8_t link6[] = { ND_NEIGHBOR_SOLICIT, ND_NEIGHBOR_ADVERT, ND_ROUTER_SOLICIT, 143,
		                         ICMP6_PACKET_TOO_BIG };
	unsigned char other[60] = { [12] = 0x88, [13] = 0xb5 }, routed[64];
	struct packet p;
	size_t len;

	(void)state;
	deny_all = true;
	for (unsigned i = 0; i < sizeof link6; i++)
		assert_true(ping(GUEST6, MEMBER6, link6[i], 0));
	assert_true(ping(GUEST, MEMBER, ICMP_DEST_UNREACH, 0));
	assert_true(conversation_send(c, &(struct packet){ .kind = PACKET_ARP }, other, sizeof other, now));
	deny_all = false;
	assert_false(ping(GUEST6, MEMBER6, ND_ROUTER_ADVERT, 0));
	assert_false(ping(GUEST6, MEMBER6, ND_REDIRECT, 0));
	assert_false(ping(GUEST, MEMBER, ICMP_REDIRECT, 0));
	packet_parse(other, sizeof other, sizeof other, &p);
	assert_false(conversation_send(c, &p, other, sizeof other, now));
	assert_false(conversation_send(c, &(struct packet){ .kind = PACKET_MALFORMED }, other, sizeof other, now));
	len = put_frame(routed, &(struct frame){ GUEST, MEMBER, IPPROTO_UDP, 1, 2, .cut = 8 });
	packet_parse(routed, len, len, &p);
	p.routed = true;
	assert_false(conversation_send(c, &p, routed, len, now));
}

static void pieces_pass_as_the_first_one_does(void **state)
{
	static const char *const ends[2][2] = { { GUEST, MEMBER }, { GUEST6, MEMBER6 } };

	(void)state;
	denied_port = 22;
	for (unsigned i = 0; i < 2; i++) {
		struct frame f = { ends[i][0], ends[i][1], IPPROTO_UDP, 4000, 53, .more = true, .id = 7 };

		f.offset = 40;
		assert_false(guest_sends(&f)); /* before the first one */
		f.offset = 0;
		assert_true(guest_sends(&f));
		assert_int_equal(last_member.port, 53);
		f.offset = 40;
		assert_true(guest_sends(&f));
		f.offset = 8;
		assert_false(guest_sends(&f)); /* over what was looked at */
		f.offset = 40;
		f.id = 8;
		assert_false(guest_sends(&f)); /* another packet's */
		f.offset = 0;
		f.to_port = 22;
		assert_false(guest_sends(&f));
		f.id = 7;
		assert_false(guest_sends(&f)); /* in place of the first one */
		f.protocol = IPPROTO_TCP;
		f.id = 9;
		assert_false(guest_sends(&f));
		f.to_port = 80;
		f.cut = 8; /* no flags: nobody knows what it is */
		assert_false(guest_sends(&f));
		f.cut = 0;
		f.flags = TH_SYN;
		assert_true(guest_sends(&f));
	}
}

static void a_header_more_in_a_first_piece_hides_nothing(void **state)
{
	(void)state;
	denied_port = 22;
	assert_false(guest_sends(&(struct frame){ GUEST6, MEMBER6, IPPROTO_DSTOPTS, 0, 22, .more = true, .id = 7 }));
	assert_false(guest_sends(&(struct frame){ GUEST6, MEMBER6, IPPROTO_AH, 0, 22, .more = true, .id = 7 }));
	assert_false(guest_sends(&(struct frame){ GUEST6, MEMBER6, IPPROTO_TCP, .offset = 40, .id = 7 }));
}

/* The switch judges no addresses behind a tag: another member could say it is MEMBER there. */
static void what_comes_in_a_vlan_opens_no_way_but_there(void **state)
{
	struct frame from_member = { MEMBER, GUEST, IPPROTO_UDP, 5000, 53, .id = 7, .tagged = true, .vlan = 5 };
	struct frame answer = { GUEST, MEMBER, IPPROTO_UDP, 53, 5000, .id = 7 };
	struct frame later = { GUEST, MEMBER, IPPROTO_UDP, .offset = 40, .id = 8 };

	(void)state;
	member_sends(&from_member);
	deny_all = true;
	assert_false(guest_sends(&answer));
	answer.tagged = true;
	answer.vlan = 6;
	assert_false(guest_sends(&answer));
	answer.vlan = 5;
	assert_true(guest_sends(&answer));
	answer.more = true;
	answer.id = 8;
	assert_true(guest_sends(&answer));
	assert_false(guest_sends(&later));
	later.tagged = true;
	later.vlan = 5;
	assert_true(guest_sends(&later));

	/* VLAN 0 is none. */
	from_member.vlan = 0;
	from_member.from_port = answer.to_port = 5001;
	member_sends(&from_member);
	answer.tagged = answer.more = false;
	assert_true(guest_sends(&answer));
}

static void all_is_forgotten_when_the_guest_begins_anew(void **state)
{
	(void)state;
	hear_udp(5000, 53);
	assert_true(udp(4000, 53));
	conversations_forget_all(c);
	assert_int_equal(conversations_count(c), 0);
	deny_all = true;
	assert_false(udp(53, 5000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_allowed_is_judged_once_and_goes_on),
		TEST(what_is_denied_does_not_pass_in_any_form),
		TEST(answers_to_what_a_member_began_pass_unjudged),
		TEST(a_syn_of_the_guests_is_judged_whatever_is_known),
		TEST(only_a_syn_begins_something_of_a_members_tcp),
		TEST(new_rules_count_for_what_the_guest_began_alone),
		TEST(conversations_are_forgotten_after_their_time),
		TEST(a_flood_of_a_members_pushes_out_neither_the_guests_nor_established_ones),
		TEST(what_the_link_needs_passes_and_what_nobody_could_judge_does_not),
		TEST(pieces_pass_as_the_first_one_does),
		TEST(a_header_more_in_a_first_piece_hides_nothing),
		TEST(what_comes_in_a_vlan_opens_no_way_but_there),
		TEST(all_is_forgotten_when_the_guest_begins_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
