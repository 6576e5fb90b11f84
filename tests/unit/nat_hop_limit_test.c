/* SPDX-License-Identifier: MIT */
/*
 * nat_hop_limit_test.c - proves hop-limit.h and what comes back: traceroute(8) in the guest sees the gateway as the
 * first router, and the routers behind the host under their own addresses.
 *
 * The far side is loopback, which no router is in front of. So the test is the router itself: it learns what a socket
 * of the plugin's sent, and says by a raw socket that it expired.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <unistd.h>

#include "plugins/net-nat/error-queue.h"
#include "plugins/net-nat/icmp-error.h"
#include "plugins/net-nat/flow.h"
#include "plugins/net/checksum.h"
#include "tests/unit/nat_guest.h"
#include "tests/unit/nat_namespace.h"

#define TEST(name) cmocka_unit_test(name)
#define HOST_ALLOWED "policy = { rules = ( { action = \"allow\"; group = \"host\"; } ); };"
#define GUEST_PORT 4000
#define IDENTIFIER 0x4711
#define SEQUENCE 9

/* One place per family. */
struct place {
	int family;
	const char *guest, *gateway, *far, *router;
};
static const struct place places[] = {
	{ AF_INET, NAT_GUEST, NAT_GATEWAY, FAR_HOST, FAR_HOST_2 },
	{ AF_INET6, NAT_GUEST6, NAT_GATEWAY6, FAR_HOST6, FAR_HOST6 },
};
#define EACH_PLACE(p)                                             \
	for (const struct place *p = places; p < places + 2; p++) \
		if (p->family == AF_INET || namespace_has_ipv6())

static struct nat_guest guest;
static struct nat_frame frame;

static void settle(void)
{
	while (nat_turn(&guest))
		;
}

static void begin(const char *options)
{
	nat_begin(&guest, options);
	settle();
	while (nat_receive_now(&guest, &frame))
		;
}

/* ---- the guest ---- */

static void send_limited(const struct place *p, const char *to, uint8_t protocol, const void *l4, size_t len,
                         uint8_t limit)
{
	unsigned char bytes[512];
	const size_t whole = nat_put_ip(&guest, bytes, p->guest, to, protocol, l4, len);
	unsigned char *ip = bytes + ETH_HLEN;
	uint16_t sum;

	if (p->family == AF_INET6) {
		ip[7] = limit;
	} else {
		ip[8] = limit;
		memset(ip + 10, 0, 2);
		sum = checksum_finish(checksum_add(0, ip, sizeof(struct iphdr), 0));
		memcpy(ip + 10, &sum, 2);
	}
	nat_send(&guest, bytes, whole);
	settle();
}

static void udp(const struct place *p, const char *to, uint16_t port, uint8_t limit)
{
	struct {
		struct udphdr header;
		char text[5];
	} datagram = { { .source = htons(GUEST_PORT), .dest = htons(port), .len = htons(8 + 5) }, "hello" };

	send_limited(p, to, IPPROTO_UDP, &datagram, 8 + 5, limit);
}

static void echo(const struct place *p, const char *to, uint8_t limit)
{
	uint16_t words[4] = { 0, 0, htons(IDENTIFIER), htons(SEQUENCE) };
	struct in6_addr source, target;
	uint32_t sum = 0;

	*(unsigned char *)words = p->family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	net_address_parse(p->guest, &source);
	net_address_parse(to, &target);
	if (p->family == AF_INET6)
		sum = checksum_pseudo(&source, &target, IPPROTO_ICMPV6, sizeof words);
	words[1] = checksum_finish(checksum_add(sum, words, sizeof words, 0));
	send_limited(p, to, p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, words, sizeof words, limit);
}

/* The next frame is "time exceeded" by `router`, about a packet of that protocol; what it quotes of that. */
static const unsigned char *expired(const struct place *p, const char *router, uint8_t protocol)
{
	const size_t header = p->family == AF_INET ? sizeof(struct iphdr) : sizeof(struct ip6_hdr);
	const unsigned char *quote;
	char text[NET_ADDRESS_TEXT];

	nat_receive(&guest, &frame);
	assert_string_equal(net_address_text(&frame.packet.source, text), router);
	assert_int_equal(frame.packet.protocol, p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	assert_int_equal(frame.bytes[frame.packet.l4], p->family == AF_INET ? ICMP_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED);
	assert_int_equal(frame.bytes[frame.packet.l4 + 1], 0);
	assert_true(frame.packet.l4_len >= 8 + header + 8);
	quote = frame.bytes + frame.packet.l4 + 8;
	assert_int_equal(quote[p->family == AF_INET ? 9 : 6], protocol);
	assert_int_equal(quote[p->family == AF_INET ? 8 : 7], 1);
	return quote + header;
}

static void assert_quotes_ports(const unsigned char *quote, uint16_t port)
{
	const uint16_t expected[2] = { htons(GUEST_PORT), htons(port) };

	assert_memory_equal(quote, expected, sizeof expected);
}

static void assert_quotes_echo(const unsigned char *quote)
{
	const uint16_t expected[2] = { htons(IDENTIFIER), htons(SEQUENCE) };

	assert_memory_equal(quote + 4, expected, sizeof expected);
}

/* ---- the far side ---- */

static socklen_t address_of(const char *text, uint16_t port, struct sockaddr_storage *out)
{
	struct net_endpoint at = { .port = port };

	assert_int_equal(net_address_parse(text, &at.address), 0);
	return net_to_sockaddr(&at, out);
}

/* A bound socket that tells hop limits. */
static int far_socket(const struct place *p, uint16_t *port)
{
	const int yes = 1;
	struct sockaddr_storage at;
	struct net_endpoint bound;
	socklen_t len = address_of(p->far, 0, &at);
	int fd = socket(p->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	net_from_sockaddr((struct sockaddr *)&at, &bound);
	*port = bound.port;
	assert_int_equal(p->family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &yes, sizeof yes)
	                                      : setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &yes, sizeof yes),
	                 0);
	return fd;
}

/* The hop limit that the next datagram came with, and who sent it; -1: there is none. */
static int far_gets(int fd, struct sockaddr_storage *from)
{
	union {
		struct cmsghdr align;
		char room[128];
	} control;
	char text[64];
	struct iovec iov = { text, sizeof text };
	struct msghdr message = { .msg_name = from,
		                  .msg_namelen = sizeof *from,
		                  .msg_iov = &iov,
		                  .msg_iovlen = 1,
		                  .msg_control = &control,
		                  .msg_controllen = sizeof control };
	int limit = -2;

	settle();
	if (recvmsg(fd, &message, MSG_DONTWAIT) < 0)
		return -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_type == IP_TTL || c->cmsg_type == IPV6_HOPLIMIT)
			memcpy(&limit, CMSG_DATA(c), sizeof limit);
	return limit;
}

/* ---- the router ---- */

static int router_socket(const struct place *p)
{
	struct sockaddr_storage at;
	const socklen_t len = address_of(p->router, 0, &at);
	int fd = socket(p->family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
	                p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	return fd;
}

/* A packet from FAR's address, which all sockets on loopback have that go there, to FAR with this beginning expired. */
static void router_says_expired(const struct place *p, int router, uint8_t protocol, const void *upper, size_t len)
{
	unsigned char message[8 + sizeof(struct ip6_hdr) + 64] = { 0 };
	struct sockaddr_storage to;
	const socklen_t to_len = address_of(p->far, 0, &to);
	struct in6_addr far;
	size_t at = 8;
	uint16_t sum;

	message[0] = p->family == AF_INET ? ICMP_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED;
	net_address_parse(p->far, &far);
	at += packet_put_ip(message + at, &far, &far, protocol, len, 1, 0);
	memcpy(message + at, upper, len);
	at += len;
	if (p->family == AF_INET) { /* of IPv6 the kernel makes it */
		sum = checksum_finish(checksum_add(0, message, at, 0));
		memcpy(message + 2, &sum, 2);
	}
	assert_int_equal(sendto(router, message, at, 0, (struct sockaddr *)&to, to_len), at);
	settle();
}

/* ---- what is proved ---- */

static void what_goes_no_further_than_the_gateway_is_told_by_it(void **state)
{
	const struct tcphdr syn = {
		.th_sport = htons(GUEST_PORT), .th_dport = htons(80), .th_flags = TH_SYN, .th_off = 5
	};

	(void)state;
	begin(HOST_ALLOWED);
	EACH_PLACE(p)
	{
		for (uint8_t limit = 0; limit < 2; limit++) {
			udp(p, p->far, 33434, limit);
			nat_receive(&guest, &frame);
			assert_int_equal(frame.bytes[frame.packet.l4],
			                 p->family == AF_INET ? ICMP_TIME_EXCEEDED : ICMP6_TIME_EXCEEDED);
		}
		udp(p, p->far, 33434, 1);
		assert_quotes_ports(expired(p, p->gateway, IPPROTO_UDP), 33434);
		send_limited(p, p->far, IPPROTO_TCP, &syn, sizeof syn, 1);
		assert_quotes_ports(expired(p, p->gateway, IPPROTO_TCP), 80);
		echo(p, p->far, 1);
		assert_quotes_echo(expired(p, p->gateway, p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6));
		nat_receive_none(&guest);
		assert_int_equal(flows_count(guest.nat->flows), 0);
		/* The gateway itself is not behind it. */
		echo(p, p->gateway, 1);
		nat_receive(&guest, &frame);
		assert_int_equal(frame.bytes[frame.packet.l4],
		                 p->family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
	}
	nat_end(&guest);
}

static void services_of_the_host_are_reached_by_the_last_hop(void **state)
{
	uint16_t port;
	int peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	char text[8];

	(void)state;
	begin("ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	udp(&places[0], NAT_GATEWAY, port, 1);
	settle();
	assert_int_equal(recv(peer, text, sizeof text, MSG_DONTWAIT), 5);
	nat_end(&guest);
	close(peer);
}

static void the_guests_hop_limit_goes_on_less_one(void **state)
{
	/* What a Linux sends goes on as the host's own does. */
	static const uint8_t limits[][2] = { { 64, 64 }, { 2, 1 },   { 3, 2 },     { 3, 2 },
		                             { 64, 64 }, { 65, 64 }, { 255, 254 }, { 128, 127 } };
	struct sockaddr_storage from;
	uint16_t port;

	(void)state;
	begin(HOST_ALLOWED);
	EACH_PLACE(p)
	{
		int far = far_socket(p, &port);

		for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
			udp(p, p->far, port, limits[i][0]);
			assert_int_equal(far_gets(far, &from), limits[i][1]);
		}
		close(far);
	}
	nat_end(&guest);
}

static void a_router_is_heard_under_its_own_address(void **state)
{
	struct sockaddr_storage from;
	struct net_endpoint sender;
	uint16_t port;

	(void)state;
	begin(HOST_ALLOWED);
	EACH_PLACE(p)
	{
		int far = far_socket(p, &port), router = router_socket(p);

		udp(p, p->far, port, 5);
		assert_int_equal(far_gets(far, &from), 4);
		assert_int_equal(net_from_sockaddr((struct sockaddr *)&from, &sender), 0);
		for (unsigned i = 0; i < 3; i++) {
			const uint16_t upper[4] = { htons(sender.port), htons(port), htons(8 + 5), 0 };

			router_says_expired(p, router, IPPROTO_UDP, upper, sizeof upper);
			assert_quotes_ports(expired(p, p->router, IPPROTO_UDP), port);
			nat_receive_none(&guest);
			/* The flow lives, and the next datagram goes on. */
			udp(p, p->far, port, (uint8_t)(6 + i));
			assert_int_equal(far_gets(far, &from), 5 + i);
		}
		assert_true(flows_count(guest.nat->flows) > 0);
		close(far);
		close(router);
	}
	nat_end(&guest);
}

/* Seen from the guest that would be another host of its network. */
static void one_with_an_address_of_the_guests_network_is_not(void **state)
{
	static const char *const routers[] = { "10.0.2.77", "10.0.2.0", "10.0.2.255", NAT_GATEWAY, NAT_GUEST };
	const struct place *p = &places[0];
	struct flow_key key = { .guest.port = GUEST_PORT, .protocol = IPPROTO_UDP };
	struct error_report report = { .error = EHOSTUNREACH, .expired = true };
	uint16_t port;
	int far;

	(void)state;
	begin(HOST_ALLOWED);
	far = far_socket(p, &port);
	udp(p, p->far, port, 5);
	assert_int_equal(net_address_parse(p->guest, &key.guest.address), 0);
	assert_int_equal(net_address_parse(p->far, &key.far.address), 0);
	key.far.port = port;
	for (unsigned i = 0; i < sizeof routers / sizeof routers[0]; i++) {
		const struct flow *flow = flows_find(guest.nat->flows, &key);

		assert_non_null(flow);
		assert_int_equal(net_address_parse(routers[i], &report.router), 0);
		icmp_error_relay(flow, &report, 0);
		nic_flush(guest.nat->nic);
		(void)expired(p, p->gateway, IPPROTO_UDP);
	}
	close(far);
	nat_end(&guest);
}

static void of_a_ping_as_well(void **state)
{
	(void)state;
	if (!namespace_set_ping(true)) {
		print_message("skipped: net.ipv4.ping_group_range cannot be set here\n");
		skip();
	}
	begin(HOST_ALLOWED);
	EACH_PLACE(p)
	{
		int router = router_socket(p), listener = socket(p->family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK,
		                                                 p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6);
		const size_t header = p->family == AF_INET ? sizeof(struct iphdr) : 0;
		unsigned char bytes[256];

		assert_true(listener >= 0);
		echo(p, p->far, 7);
		nat_receive(&guest, &frame);
		assert_int_equal(frame.bytes[frame.packet.l4],
		                 p->family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY);
		/* As it was on the wire, with the kernel's identifier. */
		do
			assert_true(recv(listener, bytes, sizeof bytes, 0) >= (ssize_t)header + 8);
		while (bytes[header] != (p->family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST));
		if (header)
			assert_int_equal(bytes[8], 6);
		router_says_expired(p, router, p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6, bytes + header, 8);
		assert_quotes_echo(expired(p, p->router, p->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6));
		close(listener);
		close(router);
	}
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_goes_no_further_than_the_gateway_is_told_by_it),
		TEST(services_of_the_host_are_reached_by_the_last_hop),
		TEST(the_guests_hop_limit_goes_on_less_one),
		TEST(a_router_is_heard_under_its_own_address),
		TEST(one_with_an_address_of_the_guests_network_is_not),
		TEST(of_a_ping_as_well),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
