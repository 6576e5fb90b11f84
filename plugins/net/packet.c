/* SPDX-License-Identifier: MIT */
/*
 * packet.c - see packet.h.
 *
 * THEORY OF OPERATION. One pass from the outside in. Each layer narrows what the next may look at: `end` is where the
 * packet ends by what has been believed so far, `readable` how much of that lies in the copy. A header is looked at
 * only where all of it is readable, so a guest that pushes headers out of the copy gets "malformed", never a guess.
 */
#include "plugins/net/packet.h"

#include <arpa/inet.h>
#include <string.h>

#include "plugins/net/checksum.h"

#define VLAN_TAG 4u
#define ARP_HEADER 28u
#define IPV4_FRAGMENT_OFFSET 0x1fffu
#define IPV4_MORE_FRAGMENTS 0x2000u
#define IPV4_DONT_FRAGMENT 0x4000u
#define EXTENSIONS_MAX 8u /* headers of IPv6 in one packet; in honest ones two are many */

/* IPv6 options that say "discard me where I am unknown" have one of these bits (RFC 8200, 4.2). */
#define IPV6_OPTION_ACTION 0xc0u

struct cursor {
	const unsigned char *head;
	size_t readable; /* bytes of head that belong to the packet */
	size_t end;      /* of the packet, in the frame */
};

static uint16_t load16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t load32(const unsigned char *at)
{
	return (uint32_t)load16(at) << 16 | load16(at + 2);
}

static void store16(unsigned char *at, uint16_t v)
{
	at[0] = (unsigned char)(v >> 8);
	at[1] = (unsigned char)v;
}

/* Whether all `len` bytes from `at` on are the packet's, and at hand. */
static bool can_read(const struct cursor *c, size_t at, size_t len)
{
	return at <= c->readable && len <= c->readable - at;
}

/* The packet ends there: what follows in the frame is padding. */
static void cut(struct cursor *c, size_t end)
{
	c->end = end;
	if (c->readable > end)
		c->readable = end;
}

/* ---- upper layers ---- */

static bool parse_tcp(const struct cursor *c, struct packet *p)
{
	size_t header;

	if (p->l4_len < sizeof(struct tcphdr) || !can_read(c, p->l4, sizeof(struct tcphdr)))
		return false;
	header = (size_t)(c->head[p->l4 + 12] >> 4) * 4;
	if (header < sizeof(struct tcphdr) || header > p->l4_len || !can_read(c, p->l4, header))
		return false;
	p->source_port = load16(c->head + p->l4);
	p->target_port = load16(c->head + p->l4 + 2);
	p->payload = p->l4 + header;
	p->payload_len = p->l4_len - header;
	return true;
}

/* A datagram shorter than its packet is as long as it says (RFC 768); the rest is nobody's. */
static bool parse_udp(const struct cursor *c, struct packet *p)
{
	size_t len;

	if (p->l4_len < sizeof(struct udphdr) || !can_read(c, p->l4, sizeof(struct udphdr)))
		return false;
	len = load16(c->head + p->l4 + 4);
	if (len < sizeof(struct udphdr) || len > p->l4_len)
		return false;
	p->source_port = load16(c->head + p->l4);
	p->target_port = load16(c->head + p->l4 + 2);
	p->l4_len = len;
	p->payload = p->l4 + sizeof(struct udphdr);
	p->payload_len = len - sizeof(struct udphdr);
	return true;
}

static bool parse_icmp(const struct cursor *c, struct packet *p)
{
	const bool ipv6 = p->protocol == IPPROTO_ICMPV6;
	uint8_t type;

	if (p->l4_len < sizeof(struct icmphdr) || !can_read(c, p->l4, sizeof(struct icmphdr)))
		return false;
	type = c->head[p->l4];
	if (ipv6 ? type == ICMP6_ECHO_REQUEST || type == ICMP6_ECHO_REPLY : type == ICMP_ECHO || type == ICMP_ECHOREPLY)
		p->source_port = p->target_port = load16(c->head + p->l4 + 4);
	p->payload = p->l4 + sizeof(struct icmphdr);
	p->payload_len = p->l4_len - sizeof(struct icmphdr);
	return true;
}

static bool parse_upper(const struct cursor *c, struct packet *p)
{
	const bool ipv4 = p->ether_type == ETH_P_IP;

	p->payload = p->l4;
	p->payload_len = p->l4_len;
	if (p->kind == PACKET_FRAGMENT)
		return true; /* fragment.c's: nothing in a piece is believed */
	switch (p->protocol) {
	case IPPROTO_TCP:
		return parse_tcp(c, p);
	case IPPROTO_UDP:
		return parse_udp(c, p);
	case IPPROTO_ICMP:
		return !ipv4 || parse_icmp(c, p);
	case IPPROTO_ICMPV6:
		return ipv4 || parse_icmp(c, p);
	default:
		return true;
	}
}

/* ---- IPv4 (RFC 791) ---- */

static bool parse_ipv4_options(const unsigned char *at, size_t len, struct packet *p)
{
	while (len > 0) {
		if (at[0] == IPOPT_END)
			return true;
		if (at[0] == IPOPT_NOP) {
			at++;
			len--;
			continue;
		}
		if (len < 2 || at[1] < 2 || at[1] > len)
			return false;
		p->options = true;
		if (at[0] == IPOPT_LSRR || at[0] == IPOPT_SSRR || at[0] == IPOPT_RR)
			p->routed = true;
		len -= at[1];
		at += at[1];
	}
	return true;
}

static bool parse_ipv4(struct cursor *c, struct packet *p)
{
	const unsigned char *h = c->head + p->l3;
	struct in_addr address;
	size_t header, total;
	uint16_t fragment;

	if (!can_read(c, p->l3, sizeof(struct iphdr)) || h[0] >> 4 != 4)
		return false;
	header = (size_t)(h[0] & 0xf) * 4;
	if (header < sizeof(struct iphdr) || !can_read(c, p->l3, header))
		return false;
	total = load16(h + 2);
	if (!total) {
		total = c->end - p->l3;
		if (total > IP_MAXPACKET)
			return false;
	} else if (checksum_finish(checksum_add(0, h, header, 0)) != 0) {
		return false;
	}
	if (total < header || total > c->end - p->l3)
		return false;
	cut(c, p->l3 + total);
	if (!parse_ipv4_options(h + sizeof(struct iphdr), header - sizeof(struct iphdr), p))
		return false;
	memcpy(&address, h + 12, sizeof address);
	p->source = net_from_ipv4(address);
	memcpy(&address, h + 16, sizeof address);
	p->target = net_from_ipv4(address);
	p->tos = h[1];
	p->ttl = h[8];
	p->protocol = h[9];
	p->l4 = p->l3 + header;
	p->l4_len = total - header;
	fragment = load16(h + 6);
	p->fragment_id = load16(h + 4);
	p->fragment_offset = (size_t)(fragment & IPV4_FRAGMENT_OFFSET) * 8;
	p->more_fragments = (fragment & IPV4_MORE_FRAGMENTS) != 0;
	p->kind = p->fragment_offset || p->more_fragments ? PACKET_FRAGMENT : PACKET_IP;
	return true;
}

/* ---- IPv6 (RFC 8200) ---- */

/* Options of a hop-by-hop or destination header. We end the packet's journey, so those for its target are for us. */
static bool parse_ipv6_options(const unsigned char *at, size_t len, struct packet *p)
{
	while (len > 0) {
		if (at[0] == IP6OPT_PAD1) {
			at++;
			len--;
			continue;
		}
		if (len < 2 || at[1] > len - 2)
			return false;
		if (at[0] != IP6OPT_PADN) {
			p->options = true;
			if (at[0] & IPV6_OPTION_ACTION) /* a jumbo payload as well */
				return false;
		}
		len -= 2u + at[1];
		at += 2u + at[1];
	}
	return true;
}

static void parse_fragment_header(const unsigned char *h, struct packet *p)
{
	const uint16_t where = load16(h + 2);

	p->fragment_id = load32(h + 4);
	p->fragment_offset = where & 0xfff8u;
	p->more_fragments = (where & 1u) != 0;
	if (p->fragment_offset || p->more_fragments) /* else it is whole (RFC 6946) */
		p->kind = PACKET_FRAGMENT;
}

/*
 * Walks to the upper layer, or to what is behind a fragment header. Headers that are not known here (AH, ESP,
 * mobility, ...) end the walk as "upper layers" that nobody translates.
 */
static bool parse_extensions(const struct cursor *c, struct packet *p)
{
	bool had_fragment = false;

	for (unsigned n = 0; p->kind == PACKET_IP; n++) {
		const unsigned char *h = c->head + p->l4;
		size_t len;

		switch (p->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return true;
		}
		if (n == EXTENSIONS_MAX || !can_read(c, p->l4, 8))
			return false;
		len = p->protocol == IPPROTO_FRAGMENT ? 8 : (size_t)(h[1] + 1) * 8;
		if (!can_read(c, p->l4, len))
			return false;
		switch (p->protocol) {
		case IPPROTO_HOPOPTS:
		case IPPROTO_DSTOPTS:
			if (p->protocol == IPPROTO_HOPOPTS && n > 0) /* RFC 8200, 4.1: only as the first */
				return false;
			if (!parse_ipv6_options(h + 2, len - 2, p))
				return false;
			break;
		case IPPROTO_ROUTING:
			p->options = true;
			p->routed = p->routed || h[3] > 0;
			break;
		default:
			if (had_fragment)
				return false;
			had_fragment = true;
			parse_fragment_header(h, p);
			break;
		}
		p->protocol = h[0];
		p->l4 += len;
		p->l4_len -= len;
	}
	return true;
}

static bool parse_ipv6(struct cursor *c, struct packet *p)
{
	const unsigned char *h = c->head + p->l3;
	size_t len;

	if (!can_read(c, p->l3, sizeof(struct ip6_hdr)) || h[0] >> 4 != 6)
		return false;
	len = load16(h + 4);
	if (len > c->end - p->l3 - sizeof(struct ip6_hdr))
		return false;
	p->l4 = p->l3 + sizeof(struct ip6_hdr);
	p->l4_len = len;
	cut(c, p->l4 + len);
	memcpy(&p->source, h + 8, sizeof p->source);
	memcpy(&p->target, h + 24, sizeof p->target);
	if (net_is_ipv4(&p->source) || net_is_ipv4(&p->target))
		return false;
	p->tos = (uint8_t)(load16(h) >> 4);
	p->protocol = h[6];
	p->ttl = h[7];
	p->kind = PACKET_IP;
	return parse_extensions(c, p);
}

/* ---- all ---- */

static bool parse(struct cursor *c, struct packet *p)
{
	if (!can_read(c, 0, ETH_HLEN))
		return false;
	memcpy(p->to, c->head, ETH_ALEN);
	memcpy(p->from, c->head + ETH_ALEN, ETH_ALEN);
	p->ether_type = load16(c->head + 12);
	p->l3 = ETH_HLEN;
	if (p->ether_type == ETH_P_8021Q) {
		if (!can_read(c, ETH_HLEN, VLAN_TAG))
			return false;
		p->vlan = true;
		p->vlan_tag = load16(c->head + ETH_HLEN);
		p->ether_type = load16(c->head + ETH_HLEN + 2);
		p->l3 += VLAN_TAG;
	}
	switch (p->ether_type) {
	case ETH_P_ARP:
		p->kind = PACKET_ARP;
		return can_read(c, p->l3, ARP_HEADER);
	case ETH_P_IP:
		return parse_ipv4(c, p) && parse_upper(c, p);
	case ETH_P_IPV6:
		return parse_ipv6(c, p) && parse_upper(c, p);
	default:
		p->kind = PACKET_OTHER;
		return true;
	}
}

void packet_parse(const unsigned char *head, size_t head_len, size_t len, struct packet *out)
{
	struct cursor c = { .head = head, .readable = head_len < len ? head_len : len, .end = len };

	memset(out, 0, sizeof *out);
	if (!parse(&c, out))
		out->kind = PACKET_MALFORMED;
}

size_t packet_put_ether(unsigned char *at, const unsigned char to[ETH_ALEN], const unsigned char from[ETH_ALEN],
                        uint16_t ether_type)
{
	memcpy(at, to, ETH_ALEN);
	memcpy(at + ETH_ALEN, from, ETH_ALEN);
	store16(at + 12, ether_type);
	return ETH_HLEN;
}

static size_t put_ipv4(unsigned char *at, const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
                       size_t l4_len, uint8_t ttl, uint8_t tos)
{
	const struct in_addr source = net_to_ipv4(from), target = net_to_ipv4(to);
	uint16_t sum;

	at[0] = 0x45;
	at[1] = tos;
	store16(at + 2, (uint16_t)(sizeof(struct iphdr) + l4_len));
	store16(at + 4, 0); /* with DF no identifier is needed (RFC 6864, 4.1) */
	store16(at + 6, IPV4_DONT_FRAGMENT);
	at[8] = ttl;
	at[9] = protocol;
	memset(at + 10, 0, 2);
	memcpy(at + 12, &source, 4);
	memcpy(at + 16, &target, 4);
	sum = checksum_finish(checksum_add(0, at, sizeof(struct iphdr), 0));
	memcpy(at + 10, &sum, 2);
	return sizeof(struct iphdr);
}

size_t packet_put_ip(unsigned char *at, const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
                     size_t l4_len, uint8_t ttl, uint8_t tos)
{
	if (net_is_ipv4(from))
		return put_ipv4(at, from, to, protocol, l4_len, ttl, tos);
	at[0] = (unsigned char)(0x60 | tos >> 4);
	at[1] = (unsigned char)(tos << 4);
	store16(at + 2, 0);
	store16(at + 4, (uint16_t)l4_len);
	at[6] = protocol;
	at[7] = ttl;
	memcpy(at + 8, from, sizeof *from);
	memcpy(at + 24, to, sizeof *to);
	return sizeof(struct ip6_hdr);
}

uint16_t packet_ether_type(const struct in6_addr *a)
{
	return net_is_ipv4(a) ? ETH_P_IP : ETH_P_IPV6;
}
