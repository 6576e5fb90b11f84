/* SPDX-License-Identifier: MIT */
/* packets.c - see packets.h. */
#include "tests/fuzz/packets.h"

#include <assert.h>
#include <string.h>

#include "plugins/net/address.h"
#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "plugins/net/packet.h"

#define GATEWAY "10.0.2.1"
#define GUEST "10.0.2.2"
#define GATEWAY6 "fd00:ca:b5a::1"
#define GUEST6 "fd00:ca:b5a::2"
#define DHCP_MESSAGES 8u
#define GUEST_LINK_LOCAL "fe80::ff:fe00:9"
#define BYTES(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

static const uint8_t gateway_mac[] = { 0x52, 0x55, 10, 0, 0, 1 }, guest_mac[] = { 2, 0, 0, 0, 0, 9 };
static const uint8_t broadcast_mac[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t dhcp6_mac[] = { 0x33, 0x33, 0, 1, 0, 2 };

static struct in6_addr address(const char *text)
{
	struct in6_addr a;
	const int rc = net_address_parse(text, &a);

	assert(rc == 0);
	(void)rc;
	return a;
}

/* ---- payloads ---- */

size_t packets_dhcp(unsigned n, uint8_t *data)
{
	static const struct {
		uint8_t options[64];
		size_t len;
		uint8_t client[4];
	} messages[DHCP_MESSAGES] = {
		{ { 53, 1, 1, 12, 3, 'b', 'o', 'x', 55, 6, 1, 3, 6, 15, 26, 119, 57, 2, 5, 0xdc, 255 }, 21, { 0 } },
		{ { 53, 1, 3, 50, 4, 10, 0, 2, 2, 54, 4, 10, 0, 2, 1, 61, 7, 1, 2, 0, 0, 0, 0, 9, 255 }, 25, { 0 } },
		{ { 53, 1, 3, 255 }, 4, { 10, 0, 2, 2 } },
		{ { 53, 1, 3, 50, 4, 192, 168, 1, 7, 255 }, 10, { 0 } },
		{ { 53, 1, 8, 255 }, 4, { 10, 0, 2, 2 } },
		{ { 53, 1, 4, 50, 4, 10, 0, 2, 2, 255 }, 10, { 0 } },
		{ { 53, 1, 7, 54, 4, 10, 0, 2, 1, 255 }, 10, { 10, 0, 2, 2 } },
		{ { 52, 1, 3, 53, 1, 1, 255 }, 7, { 0 } },
	};

	if (n >= DHCP_MESSAGES)
		return 0;
	memset(data, 0, 240);
	memcpy(data, BYTES(1, 1, 6, 0, 1, 2, 3, 4));
	memcpy(data + 12, messages[n].client, 4);
	memcpy(data + 28, guest_mac, sizeof guest_mac);
	if (n == 7) { /* overload: options in `sname` and `file` */
		memcpy(data + 44, BYTES(12, 1, 'a', 255));
		memcpy(data + 108, BYTES(50, 4, 10, 0, 2, 2, 255));
	}
	memcpy(data + 236, BYTES(99, 130, 83, 99));
	memcpy(data + 240, messages[n].options, messages[n].len);
	return 240 + messages[n].len;
}

size_t packets_dhcp6(unsigned n, uint8_t *data)
{
	static const uint8_t client[] = { 0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 9 };
	static const uint8_t server[] = { 0, 2, 0, 10, 0, 3, 0, 1, 0x52, 0x55, 10, 0, 0, 1 };
	static const uint8_t ia[] = { 0, 3,    0,   40,   0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5,  0, 24, 0xfd, 0,
		                      0, 0xca, 0xb, 0x5a, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 60, 0, 0,  0,    60 };
	static const uint8_t others[] = { 0,  6, 0, 4, 0, 23, 0, 24, 0, 8, 0, 2, 0, 0, 0, 14, 0, 0, 0, 25, 0,
		                          12, 0, 0, 0, 1, 0,  0, 0,  0, 0, 0, 0, 0, 0, 4, 0,  4, 0, 0, 0,  2 };
	static const struct {
		uint8_t type;
		bool client, server, ia, others;
	} messages[] = {
		{ 1, true, false, true, true }, { 3, true, true, true, true },     { 4, true, false, true, false },
		{ 5, true, true, true, false }, { 6, true, false, true, false },   { 8, true, true, true, false },
		{ 9, true, true, true, false }, { 11, true, false, false, false }, { 11, false, false, false, false },
	};
	size_t len = 4;

	if (n >= sizeof messages / sizeof messages[0])
		return 0;
	memcpy(data, BYTES(messages[n].type, 1, 2, 3));
	if (messages[n].client) {
		memcpy(data + len, client, sizeof client);
		len += sizeof client;
	}
	if (messages[n].server) {
		memcpy(data + len, server, sizeof server);
		len += sizeof server;
	}
	if (messages[n].ia) {
		memcpy(data + len, ia, sizeof ia);
		len += sizeof ia;
	}
	if (messages[n].others) {
		memcpy(data + len, others, sizeof others);
		len += sizeof others;
	}
	return len;
}

/* ---- frames ---- */

static size_t put_ip(uint8_t *data, const uint8_t *mac, const char *from, const char *to, uint8_t protocol, uint8_t ttl,
                     const void *l4, size_t len)
{
	const struct in6_addr source = address(from), target = address(to);
	size_t at = packet_put_ether(data, mac, guest_mac, packet_ether_type(&source));

	at += packet_put_ip(data + at, &source, &target, protocol, len, ttl, 0);
	memcpy(data + at, l4, len);
	return at + len;
}

/* Sums l4 at that offset of itself. */
static void sum_l4(uint8_t *l4, size_t len, size_t at, const char *from, const char *to, uint8_t protocol)
{
	const struct in6_addr source = address(from), target = address(to);
	uint32_t sum = protocol == IPPROTO_ICMP ? 0 : checksum_pseudo(&source, &target, protocol, (uint32_t)len);
	uint16_t finished;

	memset(l4 + at, 0, 2);
	finished = checksum_finish(checksum_add(sum, l4, len, 0));
	memcpy(l4 + at, &finished, 2);
}

static size_t put_udp(uint8_t *data, const uint8_t *mac, const char *from, uint16_t from_port, const char *to,
                      uint16_t to_port, const void *payload, size_t len)
{
	uint8_t l4[1024] = { (uint8_t)(from_port >> 8), (uint8_t)from_port,        (uint8_t)(to_port >> 8),
		             (uint8_t)to_port,          (uint8_t)((len + 8) >> 8), (uint8_t)(len + 8) };

	memcpy(l4 + 8, payload, len);
	sum_l4(l4, 8 + len, 6, from, to, IPPROTO_UDP);
	return put_ip(data, mac, from, to, IPPROTO_UDP, 64, l4, 8 + len);
}

static size_t put_icmp(uint8_t *data, const uint8_t *mac, const char *from, const char *to, uint8_t ttl,
                       const void *message, size_t len)
{
	const struct in6_addr source = address(from);
	const uint8_t protocol = net_is_ipv4(&source) ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	uint8_t l4[256];

	memcpy(l4, message, len);
	sum_l4(l4, len, 2, from, to, protocol);
	return put_ip(data, mac, from, to, protocol, ttl, l4, len);
}

static size_t put_tcp(uint8_t *data, const char *from, const char *to, uint8_t flags)
{
	uint8_t l4[] = { 0x12, 0x34, 0,    80, 0, 0, 0,  1, 0, 0, 0, 0, 0xa0, flags, 0xff, 0xff, 0, 0, 0, 0,   2,
		         4,    5,    0xb4, 4,  2, 8, 10, 0, 0, 0, 1, 0, 0,    0,     0,    1,    3, 3, 7, 'h', 'i' };

	sum_l4(l4, sizeof l4, 16, from, to, IPPROTO_TCP);
	return put_ip(data, gateway_mac, from, to, IPPROTO_TCP, 64, l4, sizeof l4);
}

static size_t put_arp(uint8_t *data)
{
	struct arp arp = { .request = true };
	const struct in6_addr guest = address(GUEST), gateway = address(GATEWAY);

	memcpy(arp.sender_mac, guest_mac, sizeof guest_mac);
	arp.sender = net_to_ipv4(&guest);
	arp.target = net_to_ipv4(&gateway);
	return arp_put(data, broadcast_mac, &arp);
}

/* A piece of a datagram of two. */
static size_t put_piece(uint8_t *data, bool last)
{
	static const uint8_t udp[] = { 0x12, 0x34, 0, 9, 0, 24, 0, 0, 'd', 'i', 's', 'c', 'a', 'r', 'd', '!' };
	const size_t len =
		put_ip(data, gateway_mac, GUEST, GATEWAY, IPPROTO_UDP, 64, last ? udp + 8 : udp, last ? 8 : 16);
	uint16_t sum;

	memcpy(data + 18, last ? (const uint8_t[]){ 0, 7, 0, 2 } : (const uint8_t[]){ 0, 7, 0x20, 0 }, 4);
	memset(data + 24, 0, 2);
	sum = checksum_finish(checksum_add(0, data + 14, 20, 0));
	memcpy(data + 24, &sum, 2);
	return len;
}

static size_t put_piece6(uint8_t *data, bool last)
{
	static const uint8_t first[] = { 17, 0, 0, 1, 0, 0, 0, 7, 0x12, 0x34, 0, 9, 0, 16, 0, 0 };
	static const uint8_t second[] = { 17, 0, 0, 8, 0, 0, 0, 7, 'd', 'i', 's', 'c', 'a', 'r', 'd', '!' };

	return put_ip(data, gateway_mac, GUEST6, GATEWAY6, IPPROTO_FRAGMENT, 64, last ? second : first, 16);
}

static size_t put_extended(uint8_t *data)
{
	static const uint8_t l4[] = { 60, 0, 1, 4, 0,  0, 0, 0, 43, 0, 5, 2,  0,    0,    1, 0, 44, 0, 0, 0,
		                      0,  0, 0, 0, 17, 0, 0, 0, 0,  0, 0, 42, 0x12, 0x34, 0, 9, 0,  8, 0, 0 };

	return put_ip(data, gateway_mac, GUEST6, "2001:db8::1", IPPROTO_HOPOPTS, 64, l4, sizeof l4);
}

static size_t put_ipv4_options(uint8_t *data)
{
	uint8_t plain[64];
	const size_t len = put_udp(plain, gateway_mac, GUEST, 0x1234, "192.0.2.1", 9, "x", 1);
	uint16_t sum;

	memcpy(data, plain, 34);
	memcpy(data + 34, BYTES(131, 7, 4, 10, 0, 0, 1, 0, 68, 4, 5, 0));
	memcpy(data + 46, plain + 34, len - 34);
	data[14] = 0x48;
	data[17] = (uint8_t)(len + 12 - 14);
	memset(data + 24, 0, 2);
	sum = checksum_finish(checksum_add(0, data + 14, 32, 0));
	memcpy(data + 24, &sum, 2);
	return len + 12;
}

static size_t put_tagged(uint8_t *data)
{
	uint8_t plain[64];
	const size_t len = put_udp(plain, gateway_mac, GUEST, 0x1234, "192.0.2.1", 9, "x", 1);

	memcpy(data, plain, 12);
	memcpy(data + 12, BYTES(0x81, 0, 0x20, 0));
	memcpy(data + 16, plain + 12, len - 12);
	return len + 4;
}

/* A question for the address of a name, with EDNS. */
static size_t put_dns(uint8_t *data, const char *from, const char *to)
{
	static const uint8_t question[] = { 0x12, 0x34, 1,   0,   0,   1,   0,    0,   0,   0, 0,   1,   3,   'w', 'w',
		                            'w',  7,    'e', 'x', 'a', 'm', 'p',  'l', 'e', 3, 'c', 'o', 'm', 0,   0,
		                            1,    0,    1,   0,   0,   41,  0x10, 0,   0,   0, 0,   0,   0,   0 };

	return put_udp(data, gateway_mac, from, 0x3039, to, 53, question, sizeof question);
}

static size_t seed_of_dhcp(unsigned n, uint8_t *data)
{
	uint8_t message[512];
	size_t len = packets_dhcp(n, message);

	return len ? put_udp(data, broadcast_mac, message[12] ? GUEST : "0.0.0.0", 68, "255.255.255.255", 67, message,
	                     len)
	           : 0;
}

static size_t seed_of_dhcp6(unsigned n, uint8_t *data)
{
	uint8_t message[512];
	size_t len = packets_dhcp6(n, message);

	return len ? put_udp(data, dhcp6_mac, GUEST_LINK_LOCAL, 546, "ff02::1:2", 547, message, len) : 0;
}

size_t packets_seed(unsigned n, uint8_t *data)
{
	static const uint8_t echo[] = { 8, 0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g' };
	static const uint8_t echo6[] = { 128, 0, 0, 0, 0x12, 0x34, 0, 1, 'p', 'i', 'n', 'g' };
	static const uint8_t ns[] = { 135, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0, 0xca, 0xb, 0x5a, 0, 0,
		                      0,   0, 0, 0, 0, 0, 0, 1, 1,    1, 2, 0,    0,   0,    0, 9 };
	static const uint8_t rs[] = { 133, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 0, 0, 0, 0, 9 };
	static const uint8_t unreachable[] = { 3, 3, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 28 };
	size_t len;

	switch (n) {
	case 0:
		return put_arp(data);
	case 1:
		return put_icmp(data, gateway_mac, GUEST, GATEWAY, 64, echo, sizeof echo);
	case 2:
		return put_icmp(data, gateway_mac, GUEST6, GATEWAY6, 64, echo6, sizeof echo6);
	case 3:
		return put_icmp(data, gateway_mac, GUEST6, "ff02::1:ff00:1", 255, ns, sizeof ns);
	case 4:
		return put_icmp(data, gateway_mac, "::", "ff02::2", 255, rs, 8);
	case 5:
		return put_icmp(data, gateway_mac, GUEST_LINK_LOCAL, "ff02::2", 255, rs, sizeof rs);
	case 6:
		return put_icmp(data, gateway_mac, GUEST, "192.0.2.1", 64, unreachable, sizeof unreachable);
	case 7:
		return put_udp(data, gateway_mac, GUEST, 0x1234, GATEWAY, 9, "discard", 7);
	case 8:
		return put_udp(data, gateway_mac, GUEST6, 0x1234, "2001:db8::1", 9, "discard", 7);
	case 9:
		return put_tcp(data, GUEST, GATEWAY, TH_SYN);
	case 10:
		return put_tcp(data, GUEST6, GATEWAY6, TH_SYN);
	case 11:
		return put_tcp(data, GUEST, GATEWAY, TH_ACK | TH_PUSH);
	case 12:
		return put_tcp(data, GUEST, "192.0.2.1", TH_FIN | TH_ACK);
	case 13:
		return put_piece(data, false);
	case 14:
		return put_piece(data, true);
	case 15:
		return put_piece6(data, false);
	case 16:
		return put_piece6(data, true);
	case 17:
		return put_extended(data);
	case 18:
		return put_ipv4_options(data);
	case 19:
		return put_tagged(data);
	case 20:
		return put_ip(data, gateway_mac, GUEST, "192.0.2.1", 132, 64, "sctp....", 8);
	case 21:
		return put_dns(data, GUEST, GATEWAY);
	case 22:
		return put_dns(data, GUEST6, GATEWAY6);
	case 23:
		return put_icmp(data, gateway_mac, GUEST, "192.0.2.1", 64, echo, sizeof echo);
	case 24:
		return put_udp(data, gateway_mac, GUEST, 5353, "224.0.0.251", 5353, "mdns", 4);
	default:
		n -= 25;
		len = seed_of_dhcp(n, data);
		return len ? len : seed_of_dhcp6(n - DHCP_MESSAGES, data);
	}
}

/* Where the upper layer has its checksum; 0: nowhere. */
static size_t sum_place(const struct packet *p)
{
	switch (p->protocol) {
	case IPPROTO_TCP:
		return 16;
	case IPPROTO_UDP:
		return 6;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 2;
	default:
		return 0;
	}
}

void packets_repair(uint8_t *frame, size_t len)
{
	struct packet p;
	uint16_t sum;
	size_t place;

	if (len >= 34 && frame[12] == 8 && frame[13] == 0) {
		const size_t header = (size_t)(frame[14] & 0xf) * 4;

		if (header < 20 || 14 + header > len)
			return;
		memset(frame + 24, 0, 2);
		sum = checksum_finish(checksum_add(0, frame + 14, header, 0));
		memcpy(frame + 24, &sum, 2);
	}
	packet_parse(frame, len < PACKET_HEAD ? len : PACKET_HEAD, len, &p);
	place = sum_place(&p);
	if (p.kind != PACKET_IP || !place || place + 2 > p.l4_len)
		return;
	memset(frame + p.l4 + place, 0, 2);
	sum = checksum_finish(checksum_add(
		p.protocol == IPPROTO_ICMP ? 0 : checksum_pseudo(&p.source, &p.target, p.protocol, (uint32_t)p.l4_len),
		frame + p.l4, p.l4_len, 0));
	memcpy(frame + p.l4 + place, &sum, 2);
}
