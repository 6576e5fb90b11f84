/* SPDX-License-Identifier: MIT */
/*
 * nat_bypass_test.c - THE list of ways round the policy, each a test that it is none.
 *
 * The host is a network namespace whose loopback has more addresses (nat_namespace.h). On all of them listens a
 * witness, for datagrams and for connections on port CLOSED: it must never hear a thing. Port OPEN of FAR_HOST is what
 * the rules allow. What only judges (name_check.h, the classes of addresses) has its own tests: nat_policy_test,
 * nat_name_check_test.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include "plugins/net-nat/host-address.h"
#include "plugins/net-nat/names.h"
#include "plugins/net/checksum.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/nat_namespace.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_witnesses, close_witnesses)

#define OPEN 7000
#define CLOSED 7001
#define GUEST_PORT 4000
/* One door. */
#define ONE_ALLOWED \
	"policy = { default = \"deny\"; rules = ( { action = \"allow\"; ip = \"198.51.100.1\"; port = 7000; } ); };"
#define NAMES_ALLOWED \
	"policy = { default = \"deny\"; rules = ( { action = \"allow\"; domain = \"*.example.com\"; } ); };"
#define ALL_ALLOWED "" /* the policy without one */

static struct nat_guest guest;
static struct nat_frame frame;
static int door, witness, listener;

static int bound(int type, uint16_t port)
{
	const struct sockaddr_in6 at6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	const struct sockaddr_in at4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	const int one = 1, zero = 0;
	const bool ipv6 = namespace_has_ipv6();
	int fd = socket(ipv6 ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (ipv6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	assert_int_equal(ipv6 ? bind(fd, (const struct sockaddr *)&at6, sizeof at6)
	                      : bind(fd, (const struct sockaddr *)&at4, sizeof at4),
	                 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static int open_witnesses(void **state)
{
	(void)state;
	door = bound(SOCK_DGRAM, OPEN);
	witness = bound(SOCK_DGRAM, CLOSED);
	listener = bound(SOCK_STREAM, CLOSED);
	return 0;
}

static int close_witnesses(void **state)
{
	(void)state;
	close(door);
	close(witness);
	close(listener);
	return 0;
}

static void begin(const char *options)
{
	nat_begin(&guest, options);
	while (nat_turn(&guest))
		;
	while (nat_receive_now(&guest, &frame))
		;
}

static void settle(void)
{
	while (nat_turn(&guest))
		;
}

static bool heard(int fd)
{
	char bytes[2048];

	return recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) >= 0;
}

/* Nothing has come to where nothing may come, and there is no flow. */
static void assert_nothing(void)
{
	settle();
	assert_false(heard(witness));
	assert_false(heard(door));
	assert_int_equal(accept4(listener, NULL, NULL, SOCK_NONBLOCK), -1);
	assert_int_equal(nat_counter(&guest, "flows_opened"), 0);
	while (nat_receive_now(&guest, &frame))
		;
}

static void udp(const char *to, uint16_t port)
{
	nat_send_udp(&guest, strchr(to, ':') ? NAT_GUEST6 : NAT_GUEST, GUEST_PORT, to, port, "knock", 5);
	settle();
}

static void syn(const char *to, uint16_t port)
{
	nat_send_tcp(&guest, &(struct nat_segment){ .from = strchr(to, ':') ? NAT_GUEST6 : NAT_GUEST,
	                                            .to = to,
	                                            .from_port = GUEST_PORT,
	                                            .to_port = port,
	                                            .sequence = 1000,
	                                            .flags = TH_SYN,
	                                            .window = 65535 });
	settle();
}

/* Both are denied, and told so: a datagram by ICMP "prohibited", a connection by RST. */
static void assert_denied(const char *to, uint16_t port)
{
	const bool ipv6 = strchr(to, ':') != NULL;
	const uint64_t denied = nat_counter(&guest, "flows_denied");

	nat_pass(&guest, 2000); /* how many errors there may be a second is not what this is about */
	udp(to, port);
	if (nat_counter(&guest, "flows_denied") != denied + 1)
		fail_msg("%s port %u: the datagram was not denied", to, port);
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	assert_int_equal(frame.bytes[frame.packet.l4], ipv6 ? ICMP6_DST_UNREACH : ICMP_DEST_UNREACH);
	assert_int_equal(frame.bytes[frame.packet.l4 + 1], ipv6 ? ICMP6_DST_UNREACH_ADMIN : ICMP_PKT_FILTERED);
	syn(to, port);
	if (nat_counter(&guest, "flows_denied") != denied + 2)
		fail_msg("%s port %u: the connection was not denied", to, port);
	nat_receive(&guest, &frame);
	assert_true(nat_tcp(&frame)->th_flags & TH_RST);
	assert_nothing();
}

/* Judged by itself: whether it then has a route is another matter. */
static bool is_allowed(const char *to, uint16_t port)
{
	const uint64_t denied = nat_counter(&guest, "flows_denied");

	nat_pass(&guest, 2000);
	udp(to, port);
	settle();
	while (nat_receive_now(&guest, &frame))
		;
	return nat_counter(&guest, "flows_denied") == denied;
}

static void learn(const char *text, const char *to, uint32_t ttl)
{
	char name[POLICY_NAME_MAX];
	struct in6_addr a;

	assert_int_equal(names_normal(text, name, sizeof name), 0);
	assert_int_equal(net_address_parse(to, &a), 0);
	if (policy_allows_name(guest.nat->policy, name)) /* as dns.c asks before it learns */
		names_learn(guest.nat->names, name, &a, ttl);
}

/* ---- the door itself ---- */

static void the_one_that_is_open_is_open_and_nothing_beside_it(void **state)
{
	(void)state;
	begin(ONE_ALLOWED);
	assert_denied(FAR_HOST, CLOSED);
	assert_denied(FAR_HOST_2, OPEN);
	assert_denied(FAR_HOST_2, CLOSED);
	assert_denied(NAT_GATEWAY, OPEN);
	udp(FAR_HOST, OPEN);
	settle();
	assert_true(heard(door));
	nat_end(&guest);
}

/* ---- packets that are not what they seem ---- */

/* One piece of an IPv4 datagram without a checksum; `at` in bytes. */
static void send_piece(const char *to, unsigned at, bool more, const void *bytes, size_t len)
{
	unsigned char f[512];
	const size_t total = nat_put_ip(&guest, f, NAT_GUEST, to, IPPROTO_UDP, bytes, len);
	uint16_t sum;

	f[18] = 0x12;
	f[19] = 0x34;
	f[20] = (unsigned char)((more ? 0x20 : 0) | at / 8 >> 8);
	f[21] = (unsigned char)(at / 8);
	memset(f + 24, 0, 2);
	sum = checksum_finish(checksum_add(0, f + 14, 20, 0));
	memcpy(f + 24, &sum, 2);
	nat_send(&guest, f, total);
}

static void put_udp(unsigned char *at, uint16_t port, uint16_t len)
{
	const uint16_t words[4] = { htons(GUEST_PORT), htons(port), htons(len), 0 };

	memcpy(at, words, sizeof words);
}

static void fragments_hide_no_port(void **state)
{
	unsigned char open[24] = { 0 }, closed[24] = { 0 };

	(void)state;
	begin(ONE_ALLOWED);
	put_udp(open, OPEN, 24);
	put_udp(closed, CLOSED, 24);
	/* A second header over the first, before and after the end is there. */
	send_piece(FAR_HOST, 0, true, open, 16);
	send_piece(FAR_HOST, 0, true, closed, 16);
	send_piece(FAR_HOST, 16, false, open + 16, 8);
	assert_nothing();
	nat_pass(&guest, 120000);
	send_piece(FAR_HOST, 16, false, open + 16, 8);
	send_piece(FAR_HOST, 0, true, closed, 8);
	send_piece(FAR_HOST, 0, true, open, 16);
	assert_nothing();
	nat_pass(&guest, 120000);
	/* The rest of a denied one alone, and the whole of it. */
	send_piece(FAR_HOST, 8, false, closed + 8, 16);
	assert_nothing();
	send_piece(FAR_HOST, 0, true, closed, 8);
	assert_nothing();
	nat_end(&guest);
}

static void ipv4_options_lead_nowhere(void **state)
{
	static const unsigned char routes[][12] = {
		{ 131, 11, 4, 198, 51, 100, 2, 127, 0, 0, 1 }, /* loose */
		{ 137, 11, 4, 198, 51, 100, 2, 127, 0, 0, 1 }, /* strict */
		{ 1, 131, 7, 4, 198, 51, 100, 2 },
	};
	unsigned char f[512];
	uint16_t sum;

	(void)state;
	begin(ONE_ALLOWED);
	for (unsigned i = 0; i < sizeof routes / sizeof routes[0]; i++) {
		unsigned char payload[12 + 13];
		size_t len;

		memcpy(payload, routes[i], 12);
		put_udp(payload + 12, OPEN, 13);
		memcpy(payload + 20, "knock", 5);
		len = nat_put_ip(&guest, f, NAT_GUEST, FAR_HOST, IPPROTO_UDP, payload, sizeof payload);
		f[14] = 0x48;
		memset(f + 24, 0, 2);
		sum = checksum_finish(checksum_add(0, f + 14, 32, 0));
		memcpy(f + 24, &sum, 2);
		nat_send(&guest, f, len);
	}
	assert_nothing();
	assert_int_equal(nat_counter(&guest, "unsupported"), 3);
	nat_end(&guest);
}

static void ipv6_extension_headers_hide_no_port(void **state)
{
	/* Hop-by-hop and destination options; a routing header that leads to ::1. */
	static const unsigned char options[] = { 60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0 };
	static const unsigned char route[] = {
		17, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
	};
	unsigned char l4[128];

	(void)state;
	begin("policy = { default = \"deny\"; rules = ( { action = \"allow\"; ip = \"2001:db8::1\"; port = 7000; } ); "
	      "};");
	memcpy(l4, options, sizeof options);
	put_udp(l4 + sizeof options, CLOSED, 13);
	nat_send_ip(&guest, NAT_GUEST6, FAR_HOST6, IPPROTO_HOPOPTS, l4, sizeof options + 13);
	memcpy(l4, route, sizeof route);
	put_udp(l4 + sizeof route, OPEN, 13);
	nat_send_ip(&guest, NAT_GUEST6, FAR_HOST6, IPPROTO_ROUTING, l4, sizeof route + 13);
	assert_nothing();
	nat_end(&guest);
}

static void a_false_source_is_nobodys(void **state)
{
	static const char *const sources[] = { "10.0.2.3", NAT_GATEWAY, "127.0.0.1", FAR_HOST,
		                               FAR_HOST_2, "0.0.0.0",   "224.0.0.1", "fd00:ca:b5b::2",
		                               FAR_HOST6,  "::1",       "fe80::9",   NAT_GATEWAY6 };

	(void)state;
	begin("policy = { default = \"deny\"; rules = ( { action = \"allow\"; ip = \"198.51.100.1\"; }, { action = "
	      "\"allow\"; ip "
	      "= \"2001:db8::1\"; } ); };");
	for (unsigned i = 0; i < sizeof sources / sizeof sources[0]; i++)
		nat_send_udp(&guest, sources[i], GUEST_PORT, strchr(sources[i], ':') ? FAR_HOST6 : FAR_HOST, OPEN,
		             "knock", 5);
	assert_nothing();
	assert_int_equal(nat_counter(&guest, "spoofed"), sizeof sources / sizeof sources[0]);
	nat_end(&guest);
}

static void raw_protocols_are_not_carried(void **state)
{
	static const uint8_t protocols[] = { IPPROTO_IGMP,
		                             IPPROTO_IPIP,
		                             IPPROTO_IPV6,
		                             IPPROTO_GRE,
		                             IPPROTO_ESP,
		                             IPPROTO_AH,
		                             IPPROTO_SCTP,
		                             IPPROTO_UDPLITE,
		                             IPPROTO_DCCP,
		                             255,
		                             0 };
	unsigned char inner[64];

	(void)state;
	begin("policy = { rules = ( { action = \"allow\"; ip = \"198.51.100.1\"; } ); };");
	memset(inner, 0, sizeof inner);
	inner[0] = 0x45; /* of 6in4 and IPIP: whatever it is */
	for (unsigned i = 0; i < sizeof protocols; i++)
		nat_send_ip(&guest, NAT_GUEST, FAR_HOST, protocols[i], inner, sizeof inner);
	assert_nothing();
	assert_int_equal(nat_counter(&guest, "unsupported"), sizeof protocols);
	nat_end(&guest);
}

static void a_ping_needs_a_rule_of_its_own(void **state)
{
	const unsigned char ping[] = { ICMP_ECHO, 0, 0, 0, 0x1b, 0x58, 0, 1 };
	unsigned char request[8];
	uint16_t sum;

	(void)state;
	begin(ONE_ALLOWED); /* its identifier is 7000 */
	memcpy(request, ping, sizeof ping);
	sum = checksum_finish(checksum_add(0, request, sizeof request, 0));
	memcpy(request + 2, &sum, 2);
	nat_send_ip(&guest, NAT_GUEST, FAR_HOST, IPPROTO_ICMP, request, sizeof request);
	settle();
	assert_int_equal(nat_counter(&guest, "flows_denied"), 1);
	assert_nothing();
	nat_end(&guest);
}

static void a_redirect_changes_nothing(void **state)
{
	/* Redirect to 127.0.0.1, for a packet from the guest to FAR_HOST_2. */
	unsigned char redirect[36] = { ICMP_REDIRECT,
		                       ICMP_REDIRECT_HOST,
		                       0,
		                       0,
		                       127,
		                       0,
		                       0,
		                       1,
		                       0x45,
		                       0,
		                       0,
		                       28,
		                       0,
		                       0,
		                       0,
		                       0,
		                       64,
		                       17,
		                       0,
		                       0,
		                       10,
		                       0,
		                       2,
		                       2,
		                       198,
		                       51,
		                       100,
		                       2 };
	uint16_t sum;

	(void)state;
	begin(ONE_ALLOWED);
	put_udp(redirect + 28, CLOSED, 8);
	sum = checksum_finish(checksum_add(0, redirect, sizeof redirect, 0));
	memcpy(redirect + 2, &sum, 2);
	nat_send_ip(&guest, NAT_GUEST, NAT_GATEWAY, IPPROTO_ICMP, redirect, sizeof redirect);
	nat_send_ip(&guest, NAT_GUEST, FAR_HOST, IPPROTO_ICMP, redirect, sizeof redirect);
	assert_denied(FAR_HOST_2, CLOSED);
	nat_end(&guest);
}

/* ---- other names for the same place ---- */

static void the_host_has_no_other_address(void **state)
{
	static const char *const addresses[] = {
		NAT_GATEWAY,
		"127.0.0.1",
		"127.1.2.3",
		"0.0.0.0",
		FAR_HOST,
		FAR_HOST_2,
		"169.254.169.254",
		"169.254.1.1",
		"100.100.100.200",
		NAT_GATEWAY6,
		"::1",
		FAR_HOST6,
		"fd00:ec2::254",
		"::127.0.0.1",
		"64:ff9b::127.0.0.1",
		"64:ff9b::198.51.100.1",
		"2002:7f00:1::1",
		"2002:c633:6401::1",
		"64:ff9b:1::198.51.100.1",
		"2001::80ff:fffe",
		"64:ff9b::169.254.169.254",
	};

	(void)state;
	begin(ALL_ALLOWED);
	for (unsigned i = 0; i < sizeof addresses / sizeof addresses[0]; i++)
		if (!strchr(addresses[i], ':') || namespace_has_ipv6())
			assert_denied(addresses[i], CLOSED);
	nat_end(&guest);
}

static void mapped_addresses_are_no_addresses(void **state)
{
	(void)state;
	begin(ALL_ALLOWED);
	for (unsigned i = 0; i < 2; i++) {
		unsigned char f[512], l4[13] = { 0 };
		const unsigned char mapped[16] = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 };
		size_t len;

		put_udp(l4, CLOSED, sizeof l4);
		len = nat_put_ip(&guest, f, NAT_GUEST6, FAR_HOST6, IPPROTO_UDP, l4, sizeof l4);
		memcpy(f + (i ? 22 : 38), mapped, sizeof mapped);
		nat_send(&guest, f, len);
	}
	assert_nothing();
	assert_int_equal(nat_counter(&guest, "malformed"), 2);
	nat_end(&guest);
}

static void groups_and_broadcasts_reach_nobody(void **state)
{
	static const struct {
		const char *to;
		uint16_t port;
	} cases[] = {
		{ "224.0.0.251", 5353 },       { "224.0.0.252", 5355 },  { "239.255.255.250", 1900 },
		{ "255.255.255.255", CLOSED }, { "10.0.2.255", CLOSED }, { "10.0.2.0", CLOSED },
		{ "ff02::fb", 5353 },          { "ff0e::1", CLOSED },    { "ff02::1", CLOSED },
	};

	(void)state;
	begin(ALL_ALLOWED);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		udp(cases[i].to, cases[i].port);
		syn(cases[i].to, cases[i].port);
	}
	assert_nothing();
	nat_end(&guest);
}

static void an_address_that_becomes_the_hosts_is_closed_at_once(void **state)
{
	struct in6_addr second;

	(void)state;
	net_address_parse(FAR_HOST_2, &second);
	assert_true(namespace_set_second(false));
	begin(ALL_ALLOWED);
	assert_false(host_addresses_have(guest.nat->host_addresses, &second));
	assert_true(is_allowed(FAR_HOST_2, CLOSED));
	assert_true(namespace_set_second(true));
	settle();
	assert_denied(FAR_HOST_2, CLOSED);
	nat_end(&guest);
}

/* By what is known of FAR_HOST meanwhile, the first rule would decide. */
static void that_is_nothing_to_flows_to_other_addresses(void **state)
{
	(void)state;
	assert_true(namespace_set_second(false));
	begin("policy = { default = \"allow\"; rules = ( { action = \"deny\"; domain = \"a.test\"; port = 9; }, "
	      "{ action = \"allow\"; ip = \"" FAR_HOST "\"; group = \"host\"; } ); };");
	assert_true(is_allowed(FAR_HOST, 9));
	learn("a.test", FAR_HOST, 60);
	assert_true(namespace_set_second(true));
	settle();
	assert_int_equal(nat_counter(&guest, "flows_denied"), 0);
	nat_end(&guest);
}

static void an_address_that_a_local_route_makes_the_hosts_is_closed(void **state)
{
	(void)state;
	assert_true(namespace_set_route("192.0.2.0/24", RTN_LOCAL, 0, true));
	begin(ALL_ALLOWED);
	assert_denied("192.0.2.9", CLOSED);
	if (namespace_has_ipv6()) {
		assert_true(is_allowed("2001:db8:1::9", CLOSED));
		assert_true(namespace_set_route("2001:db8:1::/64", RTN_LOCAL, 0, true));
		settle();
		assert_int_equal(flows_count(guest.nat->flows), 0);
		assert_false(is_allowed("2001:db8:1::9", CLOSED));
		assert_false(heard(witness));
		assert_true(namespace_set_route("2001:db8:1::/64", RTN_LOCAL, 0, false));
	}
	assert_true(namespace_set_route("192.0.2.0/24", RTN_LOCAL, 0, false));
	nat_end(&guest);
}

/* ---- names ---- */

static void name_servers_beside_ours_are_just_traffic(void **state)
{
	static const uint16_t ports[] = { 53, 853, 443 };

	(void)state;
	begin(NAMES_ALLOWED);
	for (unsigned i = 0; i < sizeof ports / sizeof ports[0]; i++) {
		assert_denied(NO_ROUTE, ports[i]);
		assert_denied(FAR_HOST, ports[i]);
	}
	assert_denied(NAT_GATEWAY, 853);
	nat_end(&guest);
}

static void a_name_that_is_not_allowed_leaves_nothing_through_our_resolver(void **state)
{
	/* secret.tunnel.example A?, allowed is *.example.com. */
	static const unsigned char query[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
					     "\x06secret\x06tunnel\x07"
					     "example\x00\x00\x01\x00\x01";

	(void)state;
	begin("dns = [ \"198.51.100.2:7001\" ]; " NAMES_ALLOWED);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, 53, query, sizeof query - 1);
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, IPPROTO_UDP);
	assert_int_equal(frame.bytes[frame.packet.payload + 3] & 0xf, 5); /* REFUSED */
	assert_nothing();
	nat_end(&guest);
}

static void a_name_opens_nothing_inside(void **state)
{
	static const char *const inside[] = {
		"10.1.2.3",    "192.168.0.1", "172.16.0.1", "100.64.0.1", "127.0.0.1", FAR_HOST,  "169.254.169.254",
		"169.254.1.1", "0.0.0.0",     "fd12::1",    "::1",        "fe80::1",   FAR_HOST6, "64:ff9b::10.1.2.3"
	};

	(void)state;
	begin(NAMES_ALLOWED);
	for (unsigned i = 0; i < sizeof inside / sizeof inside[0]; i++) {
		learn("rebind.example.com", inside[i], 60);
		assert_denied(inside[i], CLOSED);
	}
	nat_end(&guest);
}

static void a_name_counts_within_its_time(void **state)
{
	(void)state;
	begin(NAMES_ALLOWED);
	assert_false(is_allowed(NO_ROUTE, 80));
	learn("a.example.com", NO_ROUTE, 300);
	assert_true(is_allowed(NO_ROUTE, 80));
	nat_pass(&guest, 301 * 1000);
	assert_false(is_allowed(NO_ROUTE, 80));
	/* The driver goes, and with it what its guest has learned. */
	learn("a.example.com", NO_ROUTE, 300);
	nat_reset(&guest);
	assert_false(is_allowed(NO_ROUTE, 80));
	nat_end(&guest);
}

static void names_are_compared_label_by_label_whatever_their_case(void **state)
{
	static const char *const no[] = { "example.com", "notexample.com", "example.com.evil.org", "EXAMPLE.com." };
	static const char *const yes[] = { "a.example.com", "A.EXAMPLE.COM", "a.example.com.", "a.b.Example.Com." };

	(void)state;
	begin(NAMES_ALLOWED);
	for (unsigned i = 0; i < sizeof no / sizeof no[0]; i++) {
		learn(no[i], NO_ROUTE, 60);
		assert_false(is_allowed(NO_ROUTE, 80));
		names_forget_all(guest.nat->names);
	}
	for (unsigned i = 0; i < sizeof yes / sizeof yes[0]; i++) {
		learn(yes[i], NO_ROUTE, 60);
		assert_true(is_allowed(NO_ROUTE, 80));
		names_forget_all(guest.nat->names);
	}
	nat_end(&guest);
}

/* ---- rules that are replaced ---- */

static void a_flow_does_not_outlive_its_rule(void **state)
{
	(void)state;
	begin(ONE_ALLOWED);
	udp(FAR_HOST, OPEN);
	settle();
	assert_true(heard(door));
	assert_int_equal(flows_count(guest.nat->flows), 1);
	assert_int_equal(nat_reconfigure(&guest, "policy = { default = \"deny\"; };"), 0);
	assert_int_equal(flows_count(guest.nat->flows), 0);
	/* The same key, judged again. */
	assert_false(is_allowed(FAR_HOST, OPEN));
	assert_false(heard(door));
	/* And what is refused as a policy changes nothing. */
	assert_int_equal(nat_reconfigure(&guest, "policy = { default = \"alow\"; };"), -1);
	assert_false(is_allowed(FAR_HOST, OPEN));
	nat_end(&guest);
}

static void a_handshake_under_way_does_not_outlive_its_rule(void **state)
{
	char byte;
	int fd;

	(void)state;
	begin("policy = { default = \"deny\"; rules = ( { action = \"allow\"; ip = \"198.51.100.1\"; port = 7001; } ); "
	      "};");
	syn(FAR_HOST, CLOSED);
	assert_int_equal(nat_reconfigure(&guest, "policy = { default = \"deny\"; };"), 0);
	assert_int_equal(flows_count(guest.nat->flows), 0);
	do
		nat_receive(&guest, &frame);
	while (!(nat_tcp(&frame)->th_flags & TH_RST));
	/* The guest goes on as if nothing had been. */
	nat_send_tcp(&guest, &(struct nat_segment){ .from = NAT_GUEST,
	                                            .to = FAR_HOST,
	                                            .from_port = GUEST_PORT,
	                                            .to_port = CLOSED,
	                                            .sequence = 1001,
	                                            .acknowledgement = ntohl(nat_tcp(&frame)->th_seq) + 1,
	                                            .flags = TH_ACK | TH_PUSH,
	                                            .window = 65535,
	                                            .payload = "secret",
	                                            .len = 6 });
	settle();
	assert_int_equal(flows_count(guest.nat->flows), 0);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	if (fd >= 0) {
		assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0);
		close(fd);
	}
	nat_end(&guest);
}

static void the_key_of_a_flow_that_ended_opens_nothing(void **state)
{
	(void)state;
	begin(ONE_ALLOWED);
	udp(FAR_HOST, OPEN);
	settle();
	assert_true(heard(door));
	/* The same ports, another address, while the flow is there and after it. */
	assert_false(is_allowed(FAR_HOST_2, OPEN));
	nat_pass(&guest, 3600 * 1000);
	assert_int_equal(flows_count(guest.nat->flows), 0);
	assert_false(is_allowed(FAR_HOST_2, OPEN));
	assert_false(is_allowed(FAR_HOST, CLOSED));
	assert_false(heard(door));
	assert_false(heard(witness));
	nat_end(&guest);
}

static void an_answer_that_nobody_asked_for_opens_nothing(void **state)
{
	static const uint8_t flags[] = { TH_ACK, TH_SYN | TH_ACK, TH_RST,         TH_FIN, TH_FIN | TH_PUSH | TH_URG,
		                         0,      TH_SYN | TH_FIN, TH_SYN | TH_RST };

	(void)state;
	begin(ONE_ALLOWED);
	for (unsigned i = 0; i < sizeof flags; i++)
		nat_send_tcp(&guest, &(struct nat_segment){ .from = NAT_GUEST,
		                                            .to = FAR_HOST,
		                                            .from_port = GUEST_PORT,
		                                            .to_port = CLOSED,
		                                            .sequence = 1,
		                                            .acknowledgement = 1,
		                                            .flags = flags[i],
		                                            .window = 100,
		                                            .payload = "knock",
		                                            .len = 5 });
	assert_nothing();
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_one_that_is_open_is_open_and_nothing_beside_it),
		TEST(fragments_hide_no_port),
		TEST(ipv4_options_lead_nowhere),
		TEST(ipv6_extension_headers_hide_no_port),
		TEST(a_false_source_is_nobodys),
		TEST(raw_protocols_are_not_carried),
		TEST(a_ping_needs_a_rule_of_its_own),
		TEST(a_redirect_changes_nothing),
		TEST(the_host_has_no_other_address),
		TEST(mapped_addresses_are_no_addresses),
		TEST(groups_and_broadcasts_reach_nobody),
		TEST(an_address_that_becomes_the_hosts_is_closed_at_once),
		TEST(that_is_nothing_to_flows_to_other_addresses),
		TEST(name_servers_beside_ours_are_just_traffic),
		TEST(a_name_that_is_not_allowed_leaves_nothing_through_our_resolver),
		TEST(a_name_opens_nothing_inside),
		TEST(a_name_counts_within_its_time),
		TEST(names_are_compared_label_by_label_whatever_their_case),
		TEST(a_flow_does_not_outlive_its_rule),
		TEST(a_handshake_under_way_does_not_outlive_its_rule),
		TEST(the_key_of_a_flow_that_ended_opens_nothing),
		TEST(an_answer_that_nobody_asked_for_opens_nothing),
		TEST(an_address_that_a_local_route_makes_the_hosts_is_closed),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
