/* SPDX-License-Identifier: MIT */
/* cluster_frames.c - see cluster_frames.h. */
#include "tests/unit/cluster_frames.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/icmp6.h>
#include <stdio.h>
#include <string.h>

#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "plugins/net/packet.h"

void frames_mac(unsigned machine, unsigned char mac[ETH_ALEN])
{
	memset(mac, machine == FRAMES_GROUP ? 0xff : 0, ETH_ALEN);
	if (machine != FRAMES_GROUP) {
		mac[0] = 2;
		mac[4] = (unsigned char)(machine >> 8);
		mac[5] = (unsigned char)machine;
	}
}

struct in6_addr frames_address(const char *text)
{
	struct in6_addr a;
	const int rc = net_address_parse(text, &a);

	assert(rc == 0);
	(void)rc;
	return a;
}

void frames_ether(struct frames_frame *f, unsigned to, unsigned from, uint16_t type, const void *payload, size_t len)
{
	unsigned char target[ETH_ALEN], source[ETH_ALEN];

	memset(f, 0, sizeof *f);
	frames_mac(to, target);
	frames_mac(from, source);
	f->len = packet_put_ether(f->bytes, target, source, type);
	assert(f->len + len <= sizeof f->bytes);
	memcpy(f->bytes + f->len, payload, len);
	f->len += len;
}

void frames_ip(struct frames_frame *f, unsigned to, unsigned from, const char *source, const char *target,
               uint8_t protocol, const void *l4, size_t len)
{
	const struct in6_addr a = frames_address(source), b = frames_address(target);

	frames_ether(f, to, from, packet_ether_type(&a), "", 0);
	f->len += packet_put_ip(f->bytes + f->len, &a, &b, protocol, len, 64, 0);
	assert(f->len + len <= sizeof f->bytes);
	memcpy(f->bytes + f->len, l4, len);
	f->len += len;
}

void frames_udp(struct frames_frame *f, unsigned to, unsigned from, const char *source, uint16_t source_port,
                const char *target, uint16_t target_port)
{
	const unsigned char l4[] = { (unsigned char)(source_port >> 8),
		                     (unsigned char)source_port,
		                     (unsigned char)(target_port >> 8),
		                     (unsigned char)target_port,
		                     0,
		                     16,
		                     0,
		                     0,
		                     'd',
		                     'a',
		                     't',
		                     'a',
		                     '0',
		                     '0',
		                     '0',
		                     '0' };

	frames_ip(f, to, from, source, target, IPPROTO_UDP, l4, sizeof l4);
}

void frames_icmp(struct frames_frame *f, unsigned to, unsigned from, const char *source, const char *target,
                 const void *message, size_t len)
{
	const struct in6_addr a = frames_address(source);

	frames_ip(f, to, from, source, target, net_is_ipv4(&a) ? IPPROTO_ICMP : IPPROTO_ICMPV6, message, len);
}

void frames_neighbour(struct frames_frame *f, unsigned from, const char *source, uint8_t type, const char *about,
                      unsigned mac)
{
	const struct in6_addr target = frames_address(about);
	unsigned char message[32] = { type };
	size_t len = 24;

	memcpy(message + 8, &target, sizeof target);
	if (mac != FRAMES_GROUP) {
		message[24] = type == ND_NEIGHBOR_ADVERT ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR;
		message[25] = 1;
		frames_mac(mac, message + 26);
		len = sizeof message;
	}
	frames_icmp(f, FRAMES_GROUP, from, source, "ff02::1", message, len);
}

void frames_arp(struct frames_frame *f, unsigned to, unsigned from, bool request, unsigned sender_mac,
                const char *sender, const char *target)
{
	const struct in6_addr a = frames_address(sender), b = frames_address(target);
	struct arp arp = { .request = request, .sender = net_to_ipv4(&a), .target = net_to_ipv4(&b) };
	unsigned char to_mac[ETH_ALEN];

	memset(f, 0, sizeof *f);
	frames_mac(sender_mac, arp.sender_mac);
	frames_mac(to, to_mac);
	f->len = arp_put(f->bytes, to_mac, &arp);
	frames_mac(from, f->bytes + ETH_ALEN);
}

void frames_fragment(struct frames_frame *f, size_t offset, bool more)
{
	unsigned char *h = f->bytes + ETH_HLEN;
	uint16_t sum;

	h[6] = (unsigned char)((more ? 0x20 : 0) | offset / 8 >> 8);
	h[7] = (unsigned char)(offset / 8);
	memset(h + 10, 0, 2);
	sum = checksum_finish(checksum_add(0, h, 20, 0));
	memcpy(h + 10, &sum, 2);
}

void frames_tag(struct frames_frame *f, uint16_t type, uint16_t tci)
{
	unsigned char *at = f->bytes + (size_t)2 * ETH_ALEN;

	assert(f->len + 4 <= sizeof f->bytes);
	memmove(at + 4, at, f->len - (size_t)2 * ETH_ALEN);
	at[0] = (unsigned char)(type >> 8);
	at[1] = (unsigned char)type;
	at[2] = (unsigned char)(tci >> 8);
	at[3] = (unsigned char)tci;
	f->len += 4;
}

struct bridge_port_options frames_port(unsigned machine)
{
	struct bridge_port_options o = { .any_source = false };
	char text[NET_ADDRESS_TEXT];

	snprintf(o.name, sizeof o.name, "vm%u", machine);
	frames_mac(machine, o.mac);
	snprintf(text, sizeof text, "10.0.%u.%u", 3 + machine / 250, machine % 250);
	o.address = frames_address(text);
	snprintf(text, sizeof text, "fd00::%x", machine);
	o.address6 = frames_address(text);
	o.subnet6 = (struct net_prefix){ .address = frames_address("fd00::"), .bits = 64 };
	return o;
}

bool frames_make(struct bridge_frame *out, const struct frames_frame *f, size_t split)
{
	const size_t first = split < f->len ? split : f->len;
	const struct iovec pieces[] = { { .iov_base = (void *)(uintptr_t)f->bytes, .iov_len = first },
		                        { .iov_base = (void *)(uintptr_t)(f->bytes + first),
		                          .iov_len = f->len - first } };

	return bridge_frame_make(out, &f->header, pieces, first < f->len ? 2 : 1, f->len);
}
