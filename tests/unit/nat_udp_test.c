/* SPDX-License-Identifier: MIT */
/*
 * nat_udp_test.c - proves udp.h: datagrams of every length go both ways, each flow hears only whom it talks to, errors
 * become ICMP, flows end in time and within limits.
 */
#include "tests/unit/nat_guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/forward.h"
#include "plugins/net-nat/udp.h"
#include "tests/unit/nat_namespace.h"

#define GUEST_PORT 4000
#define LONGEST 65507u /* UDP in IPv4 */

static struct nat_guest guest;
static struct nat_frame frame;
static unsigned char big[LONGEST], got[LONGEST + 1];

/* All that there is to do now is done. */
static void settle(void)
{
	while (nat_turn(&guest))
		;
}

static unsigned flows(void)
{
	settle();
	return flows_count(guest.nat->flows);
}

static uint64_t counter(const char *name)
{
	settle();
	return nat_counter(&guest, name);
}

/* ---- a peer on the host ---- */

static int peer_receive(int peer, void *bytes, size_t room, struct sockaddr_storage *from)
{
	socklen_t len = sizeof *from;

	settle();
	return (int)recvfrom(peer, bytes, room, MSG_DONTWAIT, (struct sockaddr *)from, &len);
}

static void peer_gets(int peer, const void *expected, size_t len, struct sockaddr_storage *from)
{
	assert_int_equal(peer_receive(peer, got, sizeof got, from), len);
	assert_memory_equal(got, expected, len);
}

static void peer_answers(int peer, const struct sockaddr_storage *to, const void *bytes, size_t len)
{
	const socklen_t size = to->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

	assert_int_equal(sendto(peer, bytes, len, 0, (const struct sockaddr *)to, size), len);
}

static int peer_at(const char *address, uint16_t *port)
{
	struct net_endpoint at = { .port = *port };
	struct sockaddr_storage sa;
	socklen_t len;
	int fd;

	assert_int_equal(net_address_parse(address, &at.address), 0);
	len = net_to_sockaddr(&at, &sa);
	fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(net_from_sockaddr((struct sockaddr *)&sa, &at), 0);
	*port = at.port;
	return fd;
}

static void peer_writes(int peer, const char *address, uint16_t port, const void *bytes, size_t len)
{
	struct net_endpoint to = { .port = port };
	struct sockaddr_storage sa;

	assert_int_equal(net_address_parse(address, &to.address), 0);
	net_to_sockaddr(&to, &sa);
	peer_answers(peer, &sa, bytes, len);
}

/* ---- what the guest gets ---- */

static void check_from(const struct nat_frame *f, const char *address, uint16_t port)
{
	char text[NET_ADDRESS_TEXT];

	assert_int_equal(f->packet.kind, PACKET_IP);
	assert_int_equal(f->packet.protocol, IPPROTO_UDP);
	assert_string_equal(net_address_text(&f->packet.source, text), address);
	assert_int_equal(f->packet.source_port, port);
}

static void guest_gets(const char *address, uint16_t port, const void *bytes, size_t len)
{
	nat_receive(&guest, &frame);
	check_from(&frame, address, port);
	assert_int_equal(frame.packet.payload_len, len);
	assert_memory_equal(frame.bytes + frame.packet.payload, bytes, len);
}

static void guest_gets_icmp(uint8_t type, uint8_t code)
{
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol,
	                 type < 128 && net_is_ipv4(&frame.packet.source) ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	assert_int_equal(frame.bytes[frame.packet.l4], type);
	assert_int_equal(frame.bytes[frame.packet.l4 + 1], code);
}

/* Puts fragments together, in the order in which they come. */
static size_t guest_gets_pieces(void)
{
	size_t len = 0;

	do {
		size_t piece;

		nat_receive(&guest, &frame);
		assert_int_equal(frame.packet.kind, PACKET_FRAGMENT);
		assert_int_equal(frame.packet.fragment_offset, len);
		assert_true(frame.len <= 1514);
		piece = frame.packet.l4_len;
		assert_true(len + piece <= sizeof got + 8);
		for (size_t i = 0; i < piece; i++)
			if (len + i >= 8)
				got[len + i - 8] = frame.bytes[frame.packet.l4 + i];
		len += piece;
	} while (frame.packet.more_fragments);
	return len - 8;
}

/* As the guest's IP layer would: in pieces of its MTU, without a checksum. */
static void guest_sends_pieces(uint16_t port, const void *bytes, size_t len)
{
	static unsigned char l4[LONGEST + 8];
	const struct udphdr header = { .uh_sport = htons(GUEST_PORT),
		                       .uh_dport = htons(port),
		                       .uh_ulen = htons((uint16_t)(len + 8)) };
	unsigned char piece[1514];

	memcpy(l4, &header, sizeof header);
	memcpy(l4 + sizeof header, bytes, len);
	len += sizeof header;
	for (size_t at = 0; at < len; at += 1480) {
		const size_t n = len - at < 1480 ? len - at : 1480;
		const uint16_t where = htons((uint16_t)(at / 8 | (at + n < len ? IP_MF : 0)));
		unsigned char *ip = piece + ETH_HLEN;
		uint16_t sum = 0;

		nat_put_ip(&guest, piece, NAT_GUEST, NAT_GATEWAY, IPPROTO_UDP, l4 + at, n);
		memcpy(ip + 20, l4 + at, n);
		memcpy(ip + 6, &where, 2);
		memcpy(ip + 10, &sum, 2);
		sum = checksum_finish(checksum_add(0, ip, 20, 0));
		memcpy(ip + 10, &sum, 2);
		nat_send(&guest, piece, ETH_HLEN + 20 + n);
	}
}

/* A flow to a peer on loopback, both of them known to each other. */
static int talk(uint16_t *port, struct sockaddr_storage *from)
{
	int peer = nat_peer(AF_INET, SOCK_DGRAM, port);

	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, *port, "hello", 5);
	peer_gets(peer, "hello", 5, from);
	return peer;
}

/* ---- tests ---- */

static void datagrams_go_out_and_answers_come_back(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	peer_answers(peer, &from, "and you", 7);
	guest_gets(NAT_GATEWAY, port, "and you", 7);
	assert_int_equal(flows(), 1);
	/* The same flow, the same socket. */
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, port, "again", 5);
	assert_int_equal(peer_receive(peer, got, sizeof got, &from), 5);
	assert_int_equal(flows(), 1);
	nat_receive_none(&guest);
	close(peer);
	nat_end(&guest);
}

static void ipv6_is_no_different(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	if (!namespace_has_ipv6())
		skip();
	nat_begin(&guest, NAT_LOOPBACK_ALLOWED);
	while (nat_receive_now(&guest, &frame)) /* the router's advertisement */
		;
	peer = nat_peer(AF_INET6, SOCK_DGRAM, &port);
	nat_send_udp(&guest, NAT_GUEST6, GUEST_PORT, NAT_GATEWAY6, port, "hello", 5);
	peer_gets(peer, "hello", 5, &from);
	peer_answers(peer, &from, "and you", 7);
	guest_gets(NAT_GATEWAY6, port, "and you", 7);
	close(peer);
	nat_end(&guest);
}

static void datagrams_may_be_empty(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, port, "", 0);
	assert_int_equal(peer_receive(peer, got, sizeof got, &from), 0);
	peer_answers(peer, &from, "", 0);
	guest_gets(NAT_GATEWAY, port, "", 0);
	close(peer);
	nat_end(&guest);
}

static void datagrams_may_be_65507_bytes_long(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (unsigned char)(i * 7 + i / 251);
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	peer_answers(peer, &from, big, sizeof big);
	assert_int_equal(guest_gets_pieces(), sizeof big);
	assert_memory_equal(got, big, sizeof big);
	guest_sends_pieces(port, big, sizeof big);
	peer_gets(peer, big, sizeof big, &from);
	assert_int_equal(flows(), 1);
	close(peer);
	nat_end(&guest);

	/* With a long MTU: out in one piece as well. */
	nat_begin(&guest, "ipv6 = false; mtu = 65520; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, port, big, 65520 - 28);
	assert_int_equal(peer_receive(peer, got, sizeof got, &from), 65520 - 28);
	assert_memory_equal(got, big, 65520 - 28);
	peer_answers(peer, &from, big, 65520 - 28);
	guest_gets(NAT_GATEWAY, port, big, 65520 - 28);
	close(peer);
	nat_end(&guest);
}

static void many_wait_in_the_kernel_until_the_guest_has_room(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	guest.buffers = 0;
	for (unsigned char i = 0; i < 100; i++)
		peer_answers(peer, &from, &i, 1);
	settle();
	guest.buffers = 256;
	/* Those that fitted into the buffers that were there before came; order and number are kept. */
	for (unsigned char i = 0; i < 100; i++)
		guest_gets(NAT_GATEWAY, port, &i, 1);
	nat_receive_none(&guest);
	close(peer);
	nat_end(&guest);
}

static void strangers_are_not_heard(void **state)
{
	struct sockaddr_storage from;
	uint16_t port, other_port;
	int peer, other;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	other = nat_peer(AF_INET, SOCK_DGRAM, &other_port);
	sendto(other, "boo", 3, 0, (struct sockaddr *)&from, sizeof(struct sockaddr_in));
	nat_receive_none(&guest);
	close(other);
	close(peer);
	nat_end(&guest);
}

/* A datagram with the checksum `sum` (0: as given) in IPv4 or IPv6. */
static void send_with_checksum(const char *from, const char *to, uint16_t port, uint16_t sum, uint8_t flags)
{
	struct {
		struct udphdr header;
		char payload[6];
	} __attribute__((packed)) l4 = {
		.header = { .uh_sport = htons(GUEST_PORT),
		            .uh_dport = htons(port),
		            .uh_ulen = htons(14),
		            .uh_sum = sum },
		.payload = "broken",
	};
	struct virtio_net_hdr_v1 header = { .flags = flags };
	unsigned char bytes[128];
	size_t len = nat_put_ip(&guest, bytes, from, to, IPPROTO_UDP, &l4, sizeof l4);

	memcpy(bytes + len - sizeof l4, &l4, sizeof l4); /* without the right one */
	if (flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		header.csum_start = (uint16_t)(len - sizeof l4);
		header.csum_offset = offsetof(struct udphdr, uh_sum);
	}
	nat_send_with(&guest, 0, &header, bytes, len, 0);
}

static void wrong_checksums_are_dropped_and_missing_ones_are_not(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, NAT_LOOPBACK_ALLOWED);
	peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	send_with_checksum(NAT_GUEST, NAT_GATEWAY, port, 0x1234, 0);
	assert_int_equal(peer_receive(peer, got, sizeof got, &from), -1);
	assert_int_equal(counter("malformed"), 1);
	send_with_checksum(NAT_GUEST, NAT_GATEWAY, port, 0, 0);
	peer_gets(peer, "broken", 6, &from);
	send_with_checksum(NAT_GUEST, NAT_GATEWAY, port, 0x1234, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	peer_gets(peer, "broken", 6, &from);
	/* IPv6 has none without (RFC 8200, 8.1). */
	send_with_checksum(NAT_GUEST6, NAT_GATEWAY6, port, 0, 0);
	assert_int_equal(counter("malformed"), 2);
	close(peer);
	nat_end(&guest);
}

static void a_port_that_nobody_has_is_unreachable(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	close(peer);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, port, "anybody?", 8);
	guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_PORT_UNREACH);
	nat_receive_none(&guest);
	/* The next datagram is not the one that pays for it. */
	peer = peer_at("127.0.0.1", &port);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, port, "now?", 4);
	peer_gets(peer, "now?", 4, &from);
	close(peer);
	nat_end(&guest);
}

static void what_is_denied_and_what_has_no_route_is_said_to_the_guest(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, 9, "?", 1);
	guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_PKT_FILTERED);
	assert_int_equal(counter("flows_denied"), 1);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NO_ROUTE, 9, "?", 1);
	guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_NET_UNREACH);
	assert_int_equal(flows(), 0);
	nat_end(&guest);
}

static void the_network_of_the_host_goes_away_and_comes_back(void **state)
{
	struct sockaddr_storage from;
	uint16_t port = 0;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = peer_at(FAR_HOST_2, &port);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, FAR_HOST_2, port, "one", 3);
	peer_gets(peer, "one", 3, &from);
	close(peer);
	assert_true(namespace_set_second(false));
	for (unsigned i = 0; i < 3; i++) {
		nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, FAR_HOST_2, port, "two", 3);
		guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_NET_UNREACH);
	}
	assert_true(namespace_set_second(true));
	peer = peer_at(FAR_HOST_2, &port);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, FAR_HOST_2, port, "three", 5);
	peer_gets(peer, "three", 5, &from);
	peer_answers(peer, &from, "four", 4);
	guest_gets(FAR_HOST_2, port, "four", 4);
	nat_receive_none(&guest);
	close(peer);
	nat_end(&guest);
}

static void new_rules_end_a_flow(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	assert_int_equal(nat_reconfigure(&guest, "policy = { default = \"deny\"; };"), 0);
	guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_PKT_FILTERED);
	assert_int_equal(flows(), 0);
	close(peer);
	nat_end(&guest);
}

static void flows_end_when_nothing_is_said_for_long(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	nat_pass(&guest, UDP_EXPIRY_BRIEF - 1000);
	assert_int_equal(flows(), 1);
	/* Answered: it is a conversation. */
	peer_answers(peer, &from, "yes", 3);
	guest_gets(NAT_GATEWAY, port, "yes", 3);
	nat_pass(&guest, UDP_EXPIRY - 1000);
	assert_int_equal(flows(), 1);
	nat_pass(&guest, 2000);
	assert_int_equal(flows(), 0);
	/* One without an answer is not waited for so long. */
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, port, "hello", 5);
	assert_int_equal(flows(), 1);
	nat_pass(&guest, UDP_EXPIRY_BRIEF + 1000);
	assert_int_equal(flows(), 0);
	close(peer);
	nat_end(&guest);
}

static void beyond_max_flows_the_idle_make_room(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; max_flows = 2; " NAT_LOOPBACK_ALLOWED);
	peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	nat_send_udp(&guest, NAT_GUEST, 1, NAT_GATEWAY, port, "1", 1);
	nat_send_udp(&guest, NAT_GUEST, 2, NAT_GATEWAY, port, "2", 1);
	nat_send_udp(&guest, NAT_GUEST, 3, NAT_GATEWAY, port, "3", 1);
	guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_HOST_UNREACH);
	assert_int_equal(counter("flows_refused"), 1);
	nat_pass(&guest, UDP_IDLE);
	nat_send_udp(&guest, NAT_GUEST, 1, NAT_GATEWAY, port, "1", 1); /* so 2 is the idle one */
	nat_send_udp(&guest, NAT_GUEST, 3, NAT_GATEWAY, port, "3", 1);
	nat_receive_none(&guest);
	peer_gets(peer, "1", 1, &from);
	peer_gets(peer, "2", 1, &from);
	peer_gets(peer, "1", 1, &from);
	peer_gets(peer, "3", 1, &from);
	nat_send_udp(&guest, NAT_GUEST, 2, NAT_GATEWAY, port, "2", 1);
	guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_HOST_UNREACH);
	close(peer);
	nat_end(&guest);
}

static void out_of_descriptors_only_the_new_flow_fails(void **state)
{
	struct rlimit limit, none;
	struct sockaddr_storage from;
	uint16_t port;
	int peer, highest;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	highest = dup(peer);
	close(highest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)highest;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	nat_send_udp(&guest, NAT_GUEST, 1, NAT_GATEWAY, port, "1", 1);
	guest_gets_icmp(ICMP_DEST_UNREACH, ICMP_HOST_UNREACH);
	assert_int_equal(counter("flows_refused"), 1);
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, port, "2", 1);
	peer_gets(peer, "2", 1, &from);
	/* One that is idle gives its own away. */
	nat_pass(&guest, UDP_IDLE);
	nat_send_udp(&guest, NAT_GUEST, 1, NAT_GATEWAY, port, "3", 1);
	peer_gets(peer, "3", 1, &from);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	close(peer);
	nat_end(&guest);
}

static void lengths_that_are_not_true_are_malformed(void **state)
{
	struct udphdr header = { .uh_sport = htons(1), .uh_dport = htons(2) };

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	header.uh_ulen = htons(7);
	nat_send_ip(&guest, NAT_GUEST, NAT_GATEWAY, IPPROTO_UDP, &header, sizeof header);
	header.uh_ulen = htons(9);
	nat_send_ip(&guest, NAT_GUEST, NAT_GATEWAY, IPPROTO_UDP, &header, sizeof header);
	nat_send_ip(&guest, NAT_GUEST, NAT_GATEWAY, IPPROTO_UDP, &header, sizeof header - 1);
	header.uh_ulen = htons(8);
	header.uh_dport = 0;
	nat_send_ip(&guest, NAT_GUEST, NAT_GATEWAY, IPPROTO_UDP, &header, sizeof header);
	assert_int_equal(counter("malformed"), 4);
	assert_int_equal(flows(), 0);
	nat_end(&guest);
}

static void a_reset_ends_all_flows_in_silence(void **state)
{
	struct sockaddr_storage from;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	peer = talk(&port, &from);
	nat_reset(&guest);
	assert_int_equal(flows(), 0);
	peer_answers(peer, &from, "hello?", 6);
	nat_receive_none(&guest);
	close(peer);
	nat_end(&guest);
}

/* ---- published ports ---- */

static uint16_t published_port(void)
{
	return forwards_get(guest.nat->forwards, 0)->listen.port;
}

/* The next datagram for the guest's port 5353; returns the port that its sender seems to have. */
static uint16_t guest_hears(const char *from, const void *bytes, size_t len)
{
	char text[NET_ADDRESS_TEXT];

	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, IPPROTO_UDP);
	assert_string_equal(net_address_text(&frame.packet.source, text), from);
	assert_int_equal(frame.packet.target_port, 5353);
	assert_int_equal(frame.packet.payload_len, len);
	assert_memory_equal(frame.bytes + frame.packet.payload, bytes, len);
	return frame.packet.source_port;
}

static void peers_of_a_published_port_are_told_apart(void **state)
{
	struct sockaddr_storage from;
	uint16_t port, one_port = 0, seen_one, seen_two;
	int one, two;

	(void)state;
	nat_begin(&guest, "ipv6 = false; forward = [ \"udp:0.0.0.0:0:5353\" ];");
	port = published_port();
	assert_int_not_equal(port, 0);
	one = peer_at("127.0.0.1", &one_port);
	two = peer_at("127.0.0.2", &one_port); /* the same port */
	peer_writes(one, "127.0.0.1", port, "one", 3);
	seen_one = guest_hears(NAT_GATEWAY, "one", 3);
	assert_int_equal(seen_one, one_port);
	peer_writes(two, "127.0.0.7", port, "two", 3);
	seen_two = guest_hears(NAT_GATEWAY, "two", 3);
	assert_int_not_equal(seen_two, seen_one);

	nat_send_udp(&guest, NAT_GUEST, 5353, NAT_GATEWAY, seen_two, "to two", 6);
	peer_gets(two, "to two", 6, &from);
	/* From the address that it wrote to. */
	assert_int_equal(((struct sockaddr_in *)&from)->sin_addr.s_addr, inet_addr("127.0.0.7"));
	assert_int_equal(ntohs(((struct sockaddr_in *)&from)->sin_port), port);
	nat_send_udp(&guest, NAT_GUEST, 5353, NAT_GATEWAY, seen_one, "to one", 6);
	peer_gets(one, "to one", 6, &from);
	assert_int_equal(((struct sockaddr_in *)&from)->sin_addr.s_addr, inet_addr("127.0.0.1"));
	assert_int_equal(flows(), 2);
	close(one);
	close(two);
	nat_end(&guest);
}

static void a_peer_may_be_seen_by_its_own_address(void **state)
{
	struct sockaddr_storage from;
	uint16_t port, far_port = 0, far6_port = 0, near_port = 0;
	int far, near, far6;

	(void)state;
	nat_begin(&guest, "keep_source = true; forward = [ \"udp:[::]:0:5353\" ];");
	while (nat_receive_now(&guest, &frame))
		;
	port = published_port();
	far = peer_at(FAR_HOST_2, &far_port);
	peer_writes(far, FAR_HOST, port, "far", 3);
	assert_int_equal(guest_hears(FAR_HOST_2, "far", 3), far_port);
	nat_send_udp(&guest, NAT_GUEST, 5353, FAR_HOST_2, far_port, "back", 4);
	peer_gets(far, "back", 4, &from);
	assert_int_equal(((struct sockaddr_in *)&from)->sin_addr.s_addr, inet_addr(FAR_HOST));
	close(far);
	/* Loopback would mean the guest itself. */
	near = peer_at("127.0.0.1", &near_port);
	peer_writes(near, "127.0.0.1", port, "near", 4);
	assert_int_equal(guest_hears(NAT_GATEWAY, "near", 4), near_port);
	close(near);
	if (namespace_has_ipv6()) {
		far6 = peer_at(FAR_HOST6, &far6_port);
		peer_writes(far6, FAR_HOST6, port, "six", 3);
		assert_int_equal(guest_hears(FAR_HOST6, "six", 3), far6_port);
		nat_send_udp(&guest, NAT_GUEST6, 5353, FAR_HOST6, far6_port, "back", 4);
		peer_gets(far6, "back", 4, &from);
		close(far6);
	}
	nat_end(&guest);
}

static void peers_cannot_take_all_flows(void **state)
{
	uint16_t port, ports[5] = { 0 };
	int peers[5];

	(void)state;
	nat_begin(&guest, "ipv6 = false; max_flows = 8; forward = [ \"udp:0:5353\" ];");
	port = published_port();
	for (unsigned i = 0; i < 5; i++) {
		peers[i] = peer_at("127.0.0.1", &ports[i]);
		peer_writes(peers[i], "127.0.0.1", port, "x", 1);
		assert_int_equal(guest_hears(NAT_GATEWAY, "x", 1), ports[i]);
	}
	assert_int_equal(flows(), 4);
	for (unsigned i = 0; i < 5; i++)
		close(peers[i]);
	nat_end(&guest);
}

static void datagrams_for_a_guest_that_is_not_there_are_gone(void **state)
{
	uint16_t port, peer_port = 0;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; link = false; forward = [ \"udp:0:5353\" ];");
	port = published_port();
	peer = peer_at("127.0.0.1", &peer_port);
	peer_writes(peer, "127.0.0.1", port, "x", 1);
	settle();
	assert_int_equal(flows(), 0);
	assert_int_equal(nat_reconfigure(&guest, "link = true;"), 0);
	peer_writes(peer, "127.0.0.1", port, "y", 1);
	guest_hears(NAT_GATEWAY, "y", 1);
	close(peer);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_go_out_and_answers_come_back),
		cmocka_unit_test(ipv6_is_no_different),
		cmocka_unit_test(datagrams_may_be_empty),
		cmocka_unit_test(datagrams_may_be_65507_bytes_long),
		cmocka_unit_test(many_wait_in_the_kernel_until_the_guest_has_room),
		cmocka_unit_test(strangers_are_not_heard),
		cmocka_unit_test(wrong_checksums_are_dropped_and_missing_ones_are_not),
		cmocka_unit_test(a_port_that_nobody_has_is_unreachable),
		cmocka_unit_test(what_is_denied_and_what_has_no_route_is_said_to_the_guest),
		cmocka_unit_test(the_network_of_the_host_goes_away_and_comes_back),
		cmocka_unit_test(new_rules_end_a_flow),
		cmocka_unit_test(flows_end_when_nothing_is_said_for_long),
		cmocka_unit_test(beyond_max_flows_the_idle_make_room),
		cmocka_unit_test(out_of_descriptors_only_the_new_flow_fails),
		cmocka_unit_test(lengths_that_are_not_true_are_malformed),
		cmocka_unit_test(a_reset_ends_all_flows_in_silence),
		cmocka_unit_test(peers_of_a_published_port_are_told_apart),
		cmocka_unit_test(a_peer_may_be_seen_by_its_own_address),
		cmocka_unit_test(peers_cannot_take_all_flows),
		cmocka_unit_test(datagrams_for_a_guest_that_is_not_there_are_gone),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
