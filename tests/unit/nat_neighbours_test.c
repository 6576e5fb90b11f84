/* SPDX-License-Identifier: MIT */
/*
 * nat_neighbours_test.c - the translation where others are on the guest's link (nat.h: struct nat_neighbours), as
 * cluster-switch has it: what the gateway takes and what it leaves alone, what nothing leaves by, neighbours' names.
 *
 * The plugin is the test's own (its entry goes before that of the library): net-nat's keys, and a card that asks for
 * each frame whose it is.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <linux/virtio_ids.h>
#include <strings.h>
#include <unistd.h>

#include "plugins/net-nat/info.h"
#include "plugins/net-nat/keys.h"
#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "plugins/net/dhcp.h"
#include "tests/unit/nat_dns_case.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/nat_host.h"

#define TEST(name) cmocka_unit_test(name)
#define GATEWAY "10.0.3.1"
#define GUEST "10.0.3.11"
#define GATEWAY6 "fd00:1:2:3::1"
#define GUEST6 "fd00:1:2:3::b"
#define MEMBER "10.0.3.12"
#define MEMBER6 "fd00:1:2:3::c"
#define LINK_LOCAL "fe80::1234"
#define GATEWAY_LINK_LOCAL "fe80::5055:aff:fe00:1"
#define BROADCAST "\377\377\377\377\377\377"
#define MEMBER_MAC "\122\124\0\0\0\14"
#define OPTIONS "subnet = \"10.0.3.0/24\"; subnet6 = \"fd00:1:2:3::/64\"; search = [ \"example.com\" ]; "

static struct nat_guest guest;
static struct nat_frame frame;
static struct nat_neighbours place; /* of the next guest */
static unsigned gone_by;            /* frames that were not the gateway's */
static unsigned opened;             /* sockets at the beginning */

/* ---- the plugin ---- */

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	struct nat *nat = calloc(1, sizeof *nat);

	assert_non_null(nat);
	nat->host = host;
	nat->dev = dev;
	return nat;
}

static int config(void *self, const struct capsa_value *values, size_t n)
{
	struct nat *nat = self;
	char cause[512] = "";

	if (keys_read(&nat->options, values, n, cause, sizeof cause) < 0 ||
	    nat_set_policy(nat, nat->options.policy, cause, sizeof cause) < 0)
		fail_msg("%s", cause);
	return 0;
}

static void card_frame(void *ctx, const struct nic_frame *f)
{
	struct nat *nat = ctx;
	struct packet packet;

	packet_parse(f->head, f->head_len, f->len, &packet);
	gone_by += !nat_is_for_gateway(nat, &packet, f->head, f->head_len);
	nat_take_frame(nat, f, &packet);
}

static int realize(void *self, struct capsa_setup *setup)
{
	static const struct nic_operations operations = { card_frame, nat_batch_end, nat_room };
	struct nat *nat = self;
	struct nic_options card = { .mac = { 0x52, 0x54, 0, 0, 0, 11 }, .mtu = 1500, .pairs = 1, .offloads = true };
	char cause[512] = "";

	nat->neighbours = place;
	memcpy(nat->options.mac, card.mac, ETH_ALEN);
	assert_int_equal(nat_make_counters(nat), 0);
	assert_int_equal(nic_new(nat->host, nat->dev, &card, &operations, nat, &nat->nic), 0);
	if (nat_open(nat, cause, sizeof cause) < 0)
		fail_msg("%s", cause);
	nic_realize(nat->nic, setup);
	return 0;
}

static int start(void *self)
{
	char cause[512] = "";

	return nat_start(self, cause, sizeof cause);
}

static int activate(void *self, uint64_t features)
{
	struct nat *nat = self;

	nic_activate(nat->nic, features);
	nat_activate(nat);
	return 0;
}

static void queue_notify(void *self, unsigned queue)
{
	nic_queue_notify(((struct nat *)self)->nic, queue);
}

static void reset(void *self)
{
	nat_forget_guest(self);
	nic_reset(((struct nat *)self)->nic);
}

static void destroy(void *self)
{
	struct nat *nat = self;

	nat_close(nat);
	nic_free(nat->nic);
	free(nat);
}

const struct capsa_plugin *capsa_plugin_entry(void)
{
	static const struct capsa_plugin plugin = {
		CAPSA_PLUGIN_HEADER,
		.name = "net-nat",
		.version = "0",
		.description = "a card with neighbours",
		.virtio_device_id = VIRTIO_ID_NET,
		.thread_model = CAPSA_THREAD_WORKER,
		.needs = CAPSA_NEEDS_INTERNET | CAPSA_NEEDS_UNIX | CAPSA_NEEDS_FILES,
		.keys = net_nat_keys,
		.create = create,
		.config = config,
		.realize = realize,
		.start = start,
		.activate = activate,
		.queue_notify = queue_notify,
		.reset = reset,
		.destroy = destroy,
		.info = nat_info,
	};

	return &plugin;
}

/* ---- the neighbour: vm2, and itself ---- */

static const struct {
	const char *name, *address, *address6;
} members[] = { { "vm1", GUEST, GUEST6 }, { "Vm_2", MEMBER, MEMBER6 } };

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static bool lookup(void *ctx, const char *name, bool ipv6, struct in6_addr *out, unsigned n, unsigned *found)
{
	assert_ptr_equal(ctx, &place);
	assert_true(n > 0);
	for (unsigned i = 0; i < 2; i++) {
		if (strcasecmp(name, members[i].name) != 0)
			continue;
		out[0] = address(ipv6 ? members[i].address6 : members[i].address);
		*found = 1;
		return true;
	}
	return false;
}

static const char *name_of(void *ctx, const struct in6_addr *a)
{
	assert_ptr_equal(ctx, &place);
	for (unsigned i = 0; i < 2; i++) {
		const struct in6_addr four = address(members[i].address), six = address(members[i].address6);

		if (net_same(a, &four) || net_same(a, &six))
			return members[i].name;
	}
	return NULL;
}

static void begin(bool isolated, const char *options)
{
	place = (struct nat_neighbours){ .there = true,
		                         .isolated = isolated,
		                         .guest4 = address(GUEST),
		                         .nth6 = 11,
		                         .domain = "Lab.cluster",
		                         .lookup = lookup,
		                         .name_of = name_of,
		                         .ctx = &place };
	gone_by = 0;
	nat_begin(&guest, options);
	nat_receive_none(&guest);
	opened = guest.host->opened;
}

static void settle(void)
{
	while (nat_turn(&guest))
		;
}

/* ---- what is whose ---- */

static void send_to(const char *mac, const char *from, const char *to, uint8_t protocol, const void *l4, size_t len)
{
	unsigned char bytes[512];
	const size_t n = nat_put_ip(&guest, bytes, from, to, protocol, l4, len);

	memcpy(bytes, mac, ETH_ALEN);
	if (protocol == IPPROTO_ICMPV6)
		bytes[21] = 255;
	nat_send(&guest, bytes, n);
}

static void send_udp_to(const char *mac, const char *from, const char *to, uint16_t from_port, uint16_t to_port)
{
	struct udphdr udp = { .source = htons(from_port), .dest = htons(to_port), .len = htons(sizeof udp + 4) };
	unsigned char l4[sizeof udp + 4] = { 0 };

	memcpy(l4, &udp, sizeof udp);
	send_to(mac, from, to, IPPROTO_UDP, l4, sizeof l4);
}

static void send_arp(const char *mac, const char *target, bool request)
{
	unsigned char bytes[ARP_FRAME];
	struct arp arp = { .request = request };

	inet_pton(AF_INET, GUEST, &arp.sender);
	inet_pton(AF_INET, target, &arp.target);
	memcpy(arp.sender_mac, guest.nat->guest_mac, ETH_ALEN);
	arp_put(bytes, (const unsigned char *)mac, &arp);
	nat_send(&guest, bytes, sizeof bytes);
}

static void send_solicitation(const char *mac, const char *to, const char *target)
{
	unsigned char m[24] = { ND_NEIGHBOR_SOLICIT };
	const struct in6_addr a = address(target);

	memcpy(m + 8, &a, 16);
	send_to(mac, GUEST6, to, IPPROTO_ICMPV6, m, sizeof m);
}

/* It was for others, and the gateway said nothing. */
static void assert_gone_by(void)
{
	nat_receive_none(&guest);
	assert_int_equal(gone_by, 1);
	gone_by = 0;
}

static void assert_answered(void)
{
	nat_receive(&guest, &frame);
	nat_receive_none(&guest);
	assert_int_equal(gone_by, 0);
}

static void arp_is_answered_for_the_gateway_alone(void **state)
{
	static const char *const others[] = { MEMBER, "10.0.3.77", "203.0.113.1", GUEST };

	(void)state;
	begin(false, OPTIONS);
	send_arp(BROADCAST, GATEWAY, true);
	assert_answered();
	for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
		send_arp(BROADCAST, others[i], true);
		assert_gone_by();
	}
	send_arp(BROADCAST, GATEWAY, false); /* a gratuitous answer is for all */
	assert_gone_by();
	send_arp((const char *)guest.nat->gateway_mac, MEMBER, true); /* the gateway's, who has nothing to say */
	nat_receive_none(&guest);
	assert_int_equal(gone_by, 0);
	nat_end(&guest);
}

static void neighbour_solicitations_are_the_gateways_where_they_look_for_it(void **state)
{
	(void)state;
	begin(false, OPTIONS);
	send_solicitation("\63\63\377\0\0\1", "ff02::1:ff00:1", GATEWAY6);
	assert_answered();
	send_solicitation("\63\63\377\0\0\1", "ff02::1:ff00:1", GATEWAY_LINK_LOCAL);
	assert_answered();
	send_solicitation("\63\63\377\0\0\14", "ff02::1:ff00:c", MEMBER6);
	assert_gone_by();
	send_solicitation("\63\63\377\0\0\1", "ff02::1:ff00:1", "fe80::1"); /* the same group, another one */
	assert_gone_by();
	nat_end(&guest);
}

static void who_serves_is_the_gateway_and_the_rest_of_groups_is_the_members(void **state)
{
	unsigned char solicitation[8] = { ND_ROUTER_SOLICIT }, advertisement[16] = { ND_ROUTER_ADVERT };

	(void)state;
	begin(false, OPTIONS);
	send_to("\63\63\0\0\0\2", LINK_LOCAL, "ff02::2", IPPROTO_ICMPV6, solicitation, sizeof solicitation);
	assert_answered();
	send_udp_to(BROADCAST, "0.0.0.0", "255.255.255.255", 68, 67); /* nonsense, but for the gateway to say so */
	send_udp_to("\63\63\0\1\0\2", LINK_LOCAL, "ff02::1:2", 546, 547);
	nat_receive_none(&guest);
	assert_int_equal(gone_by, 0);
	send_udp_to("\1\0\136\0\0\373", GUEST, "224.0.0.251", 5353, 5353);
	assert_gone_by();
	send_udp_to("\63\63\0\0\0\373", GUEST6, "ff02::fb", 5353, 5353);
	assert_gone_by();
	send_udp_to(BROADCAST, GUEST, "10.0.3.255", 4000, 9);
	assert_gone_by();
	send_to("\63\63\0\0\0\1", LINK_LOCAL, "ff02::1", IPPROTO_ICMPV6, advertisement, sizeof advertisement);
	assert_gone_by();
	nat_end(&guest);
}

static void frames_to_a_members_mac_are_the_members_whatever_they_hold(void **state)
{
	unsigned char tagged[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0, 0, 0, 11, 0x81, 0, 0, 5, 8, 6 };

	(void)state;
	begin(false, OPTIONS);
	send_udp_to(MEMBER_MAC, GUEST, MEMBER, 4000, 53);
	assert_gone_by();
	send_udp_to(MEMBER_MAC, GUEST, GATEWAY, 4000, 53);
	assert_gone_by();
	send_udp_to(MEMBER_MAC, GUEST, "203.0.113.1", 4000, 53); /* a member may be a router */
	assert_gone_by();
	nat_send(&guest, MEMBER_MAC "\122\124\0\0\0\13\10\0nonsense", 22);
	assert_gone_by();
	nat_send(&guest, tagged, sizeof tagged);
	assert_gone_by();
	assert_int_equal(nat_counter(&guest, "malformed") + nat_counter(&guest, "unsupported"), 0);
	memcpy(tagged, guest.nat->gateway_mac, ETH_ALEN);
	nat_send(&guest, tagged, sizeof tagged);
	memcpy(tagged + 12, "\10\0nonsense", 10);
	nat_send(&guest, tagged, 22);
	nat_receive_none(&guest);
	assert_int_equal(gone_by, 0);
	nat_end(&guest);
}

/* ---- through the gateway ---- */

static void send_syn(const char *from, const char *to, uint16_t port)
{
	nat_send_tcp(&guest, &(struct nat_segment){
				     .from = from, .to = to, .from_port = 4000, .to_port = port, .flags = TH_SYN });
}

static void send_ping(const char *from, const char *to)
{
	unsigned char echo[8] = { strchr(to, ':') ? ICMP6_ECHO_REQUEST : ICMP_ECHO, [5] = 1, [7] = 1 };

	nat_send_ip(&guest, from, to, strchr(to, ':') ? IPPROTO_ICMPV6 : IPPROTO_ICMP, echo, sizeof echo);
}

static void members_are_not_reached_by_the_gateway(void **state)
{
	static const char *const fours[] = { MEMBER, "10.0.3.77" }, *const sixes[] = { MEMBER6, "fd00:1:2:3::77" };

	(void)state;
	begin(false, OPTIONS "policy = { rules = ( { action = \"allow\"; cidr = \"10.0.0.0/8\"; }, "
	                     "{ action = \"allow\"; cidr = \"fd00::/8\"; } ); };");
	for (unsigned i = 0; i < 2; i++) {
		send_syn(GUEST, fours[i], 80);
		nat_send_udp(&guest, GUEST, 4000, fours[i], 53, "?", 1);
		send_ping(GUEST, fours[i]);
		send_syn(GUEST6, sixes[i], 80);
		nat_send_udp(&guest, GUEST6, 4000, sixes[i], 53, "?", 1);
		send_ping(GUEST6, sixes[i]);
	}
	nat_receive_none(&guest);
	assert_int_equal(nat_counter(&guest, "unsupported"), 12);
	assert_int_equal(nat_counter(&guest, "flows_opened"), 0);
	assert_int_equal(guest.host->opened - opened, 0);
	nat_end(&guest);
}

/* With the next test's: what it would be if it were not isolated. */
static void who_is_not_isolated_reaches_the_outside(void **state)
{
	uint16_t port;
	const int peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	char byte = 0;

	(void)state;
	begin(false, OPTIONS NAT_LOOPBACK_ALLOWED);
	nat_send_udp(&guest, GUEST, 4000, GATEWAY, port, "!", 1);
	settle();
	assert_int_equal(recv(peer, &byte, 1, 0), 1);
	assert_int_equal(byte, '!');
	assert_int_equal(nat_counter(&guest, "flows_opened"), 1);
	nat_end(&guest);
	close(peer);
}

static void nothing_leaves_an_isolated_gateway(void **state)
{
	static const char *const fours[] = { GATEWAY, "203.0.113.1" }, *const sixes[] = { GATEWAY6, "2001:db8::1" };
	uint16_t port;
	const int peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	char byte;

	(void)state;
	/* The policy would allow all of it. */
	begin(true, OPTIONS "dns = [ \"127.0.0.1\" ]; hosts_file = true; forward = [ \"tcp:127.0.0.1:0:80\" "
	                    "]; " NAT_LOOPBACK_ALLOWED);
	for (unsigned i = 0; i < 2; i++) {
		nat_send_udp(&guest, GUEST, 4000, fours[i], port, "!", 1);
		nat_send_udp(&guest, GUEST6, 4000, sixes[i], port, "!", 1);
		send_syn(GUEST, fours[i], port);
		send_syn(GUEST6, sixes[i], port);
	}
	send_ping(GUEST, "203.0.113.1");
	send_ping(GUEST6, "2001:db8::1");
	settle();
	while (nat_receive_now(&guest, &frame)) /* refusals */
		assert_true(frame.packet.protocol != IPPROTO_TCP || nat_tcp(&frame)->rst);
	assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(nat_counter(&guest, "flows_opened"), 0);
	assert_int_equal(nat_counter(&guest, "flows_denied"), 10);
	assert_int_equal(guest.host->opened - opened, 0);
	assert_non_null(strstr(nat_info_text(&guest), "\"published\":[]"));
	assert_non_null(strstr(nat_info_text(&guest), "\"gateways\":[]"));
	nat_end(&guest);
	close(peer);
}

/* ---- what it is told ---- */

static const unsigned char *dhcp_option(unsigned code)
{
	const unsigned char *m = frame.bytes + frame.packet.payload;

	for (size_t at = 240; at < frame.packet.payload_len && m[at] != 255; at += 2u + m[at + 1])
		if (m[at] == code)
			return m + at + 1;
	return NULL;
}

static void discover(void)
{
	unsigned char m[300] = { 1, 1, 6, 0, 1, 2, 3, 4, [236] = 99, 130, 83, 99, 53, 1, DHCP_DISCOVER, 255 };

	nat_send_udp(&guest, "0.0.0.0", 68, "255.255.255.255", 67, m, sizeof m);
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.target_port, 68);
	assert_memory_equal(frame.bytes + frame.packet.payload + 16, "\12\0\3\13", 4);
}

static const unsigned char *solicit_router(void)
{
	unsigned char solicitation[8] = { ND_ROUTER_SOLICIT };

	send_to("\63\63\0\0\0\2", LINK_LOCAL, "ff02::2", IPPROTO_ICMPV6, solicitation, sizeof solicitation);
	nat_receive(&guest, &frame);
	assert_int_equal(frame.bytes[frame.packet.l4], ND_ROUTER_ADVERT);
	return frame.bytes + frame.packet.l4;
}

static void a_member_is_leased_its_own_address_and_the_way_out(void **state)
{
	(void)state;
	begin(false, OPTIONS);
	discover();
	assert_memory_equal(dhcp_option(3), "\4\12\0\3\1", 5);
	assert_memory_equal(dhcp_option(6), "\4\12\0\3\1", 5);
	assert_memory_equal(dhcp_option(15), "\13Lab.cluster", 12);
	assert_memory_equal(solicit_router() + 6, "\377\377", 2);
	assert_non_null(strstr(nat_info_text(&guest), "\"addresses\":[\"10.0.3.11/24\",\"fd00:1:2:3::b/64\"]"));
	assert_non_null(strstr(nat_info_text(&guest), "\"search\":[\"Lab.cluster\",\"example.com\"]"));
	assert_non_null(strstr(nat_info_text(&guest), "\"gateways\":[\"10.0.3.1\",\"fd00:1:2:3::1\"]"));
	nat_end(&guest);
}

static void an_isolated_member_is_leased_an_address_and_no_way_out(void **state)
{
	const unsigned char *m;

	(void)state;
	begin(true, OPTIONS);
	discover();
	assert_null(dhcp_option(3));
	assert_memory_equal(dhcp_option(6), "\4\12\0\3\1", 5);
	m = solicit_router();
	assert_memory_equal(m + 6, "\0\0", 2);
	assert_non_null(memmem(m, frame.packet.l4_len, "\3\4\100\300", 4)); /* the prefix, for SLAAC */
	nat_pass(&guest, 65535u / 3 * 1000 + 1000);
	nat_receive(&guest, &frame);
	assert_memory_equal(frame.bytes + frame.packet.l4 + 6, "\0\0", 2);
	nat_end(&guest);
}

/* ---- names ---- */

/* Asks, and says with what code it was answered; records, if any, in `frame` from `*at` on. */
static unsigned ask(const char *wire, unsigned type, const unsigned char **at)
{
	const struct dns_text q = dns_text_question(7, wire, type, 0);
	const unsigned char *m;

	nat_send_udp(&guest, GUEST, 4000, GATEWAY, 53, q.bytes, q.len);
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.target_port, 4000);
	m = frame.bytes + frame.packet.payload;
	assert_memory_equal(m + NS_HFIXEDSZ, q.bytes + NS_HFIXEDSZ, q.len - NS_HFIXEDSZ);
	*at = m[7] ? m + q.len + 10 : NULL; /* length and data of the first record */
	return m[3] & 0xf;
}

static void assert_answer(const char *wire, unsigned type, const char *data, size_t len)
{
	const unsigned char *at;

	assert_int_equal(ask(wire, type, &at), ns_r_noerror);
	assert_non_null(at);
	assert_int_equal(at[0] << 8 | at[1], len);
	assert_memory_equal(at + 2, data, len);
}

static void assert_no_answer(const char *wire, unsigned type, unsigned code)
{
	const unsigned char *at;

	assert_int_equal(ask(wire, type, &at), code);
	assert_null(at);
}

static void members_names_are_known_with_and_without_the_domain(void **state)
{
	(void)state;
	for (unsigned isolated = 0; isolated < 2; isolated++) {
		begin(isolated, OPTIONS "policy = { default = \"deny\"; };");
		assert_answer("\4vm_2", ns_t_a, "\12\0\3\14", 4);
		assert_answer("\4VM_2", ns_t_a, "\12\0\3\14", 4);
		assert_answer("\4vm_2\3lab\7CLUSTER", ns_t_a, "\12\0\3\14", 4);
		assert_answer("\4vm_2\3lab\7cluster", ns_t_aaaa, "\375\0\0\1\0\2\0\3\0\0\0\0\0\0\0\14", 16);
		assert_no_answer("\4vm_2", ns_t_mx, ns_r_noerror);
		assert_no_answer("\3lab\7cluster", ns_t_a, ns_r_noerror);
		assert_no_answer("\3vm9\3lab\7cluster", ns_t_a, ns_r_nxdomain);
		assert_no_answer("\4vm_2\3lab\7cluster", ns_t_any, ns_r_refused);
		/* Nobody outside is asked; that the policy refused it shows that it would have been. */
		assert_no_answer("\3vm9", ns_t_a, ns_r_refused);
		assert_no_answer("\3vm1\3xab\7cluster", ns_t_a, ns_r_refused);
		assert_no_answer("\3www\7example", ns_t_a, ns_r_refused);
		assert_int_equal(guest.host->opened - opened, 0);
		nat_end(&guest);
	}
}

static void members_addresses_have_names(void **state)
{
	static const char vm2[] = "\4Vm_2\3Lab\7cluster";

	(void)state;
	begin(false, OPTIONS "policy = { default = \"deny\"; };");
	assert_answer("\00212\0013\0010\00210\7in-addr\4arpa", ns_t_ptr, vm2, sizeof vm2);
	assert_answer(
		"\1c\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0013\0010\0010\0010"
		"\0012\0010\0010\0010\0011\0010\0010\0010\0010\0010\1d\1f\3ip6\4arpa",
		ns_t_ptr, vm2, sizeof vm2);
	assert_no_answer("\00212\0013\0010\00210\7in-addr\4arpa", ns_t_a, ns_r_noerror);
	assert_no_answer("\00299\0013\0010\00210\7in-addr\4arpa", ns_t_ptr, ns_r_nxdomain);
	assert_no_answer("\00212\0014\0010\00210\7in-addr\4arpa", ns_t_ptr, ns_r_refused); /* not of ours */
	assert_no_answer("\003012\0013\0010\00210\7in-addr\4arpa", ns_t_ptr, ns_r_refused);
	assert_no_answer("\1c\3ip6\4arpa", ns_t_ptr, ns_r_refused);
	nat_end(&guest);
}

static void without_ipv6_no_address_of_it_is_a_members(void **state)
{
	(void)state;
	begin(false, OPTIONS "ipv6 = false; policy = { default = \"deny\"; };");
	assert_no_answer(
		"\1c\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0010\0013\0010\0010\0010"
		"\0012\0010\0010\0010\0011\0010\0010\0010\0010\0010\1d\1f\3ip6\4arpa",
		ns_t_ptr, ns_r_refused);
	assert_no_answer("\4vm_2", ns_t_aaaa, ns_r_noerror);
	assert_answer("\4vm_2", ns_t_a, "\12\0\3\14", 4);
	nat_end(&guest);
}

static void an_isolated_gateway_refuses_names_that_a_policy_allows(void **state)
{
	(void)state;
	begin(true, OPTIONS "hosts_file = true; dns = [ \"127.0.0.1\" ];");
	assert_no_answer("\3www\7example", ns_t_a, ns_r_refused);
	assert_no_answer("\11localhost", ns_t_a, ns_r_refused);
	assert_no_answer("\3vm9", ns_t_a, ns_r_refused);
	assert_answer("\3vm1", ns_t_a, "\12\0\3\13", 4);
	assert_int_equal(guest.host->opened - opened, 0);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(arp_is_answered_for_the_gateway_alone),
		TEST(neighbour_solicitations_are_the_gateways_where_they_look_for_it),
		TEST(who_serves_is_the_gateway_and_the_rest_of_groups_is_the_members),
		TEST(frames_to_a_members_mac_are_the_members_whatever_they_hold),
		TEST(members_are_not_reached_by_the_gateway),
		TEST(who_is_not_isolated_reaches_the_outside),
		TEST(nothing_leaves_an_isolated_gateway),
		TEST(a_member_is_leased_its_own_address_and_the_way_out),
		TEST(an_isolated_member_is_leased_an_address_and_no_way_out),
		TEST(members_names_are_known_with_and_without_the_domain),
		TEST(members_addresses_have_names),
		TEST(without_ipv6_no_address_of_it_is_a_members),
		TEST(an_isolated_gateway_refuses_names_that_a_policy_allows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
