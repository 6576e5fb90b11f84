/* SPDX-License-Identifier: MIT */
/*
 * address.c - see address.h. Texts are read by inet_pton(3), so there is one grammar, and it is strict: no octal, no
 * missing parts, no zones.
 */
#include "plugins/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAPPED_BITS 96u /* of ::ffff:0:0/96 */

static uint32_t ipv4_of(const struct in6_addr *a)
{
	return ntohl(net_to_ipv4(a).s_addr);
}

static bool in_ipv4(const struct in6_addr *a, uint32_t network, unsigned bits)
{
	return net_is_ipv4(a) && (ipv4_of(a) ^ network) >> (32 - bits) == 0;
}

struct in6_addr net_from_ipv4(struct in_addr a)
{
	struct in6_addr out = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	memcpy(&out.s6_addr[12], &a, sizeof a);
	return out;
}

struct in_addr net_to_ipv4(const struct in6_addr *a)
{
	struct in_addr out;

	memcpy(&out, &a->s6_addr[12], sizeof out);
	return out;
}

/* What `bits` leaves of the byte number `i`. */
static unsigned char mask_of(unsigned bits, unsigned i)
{
	if (bits >= 8 * (i + 1))
		return 0xff;
	return bits <= 8 * i ? 0 : (unsigned char)(0xff00u >> (bits - 8 * i));
}

bool net_prefix_has(const struct net_prefix *prefix, const struct in6_addr *a)
{
	const bool prefix_ipv4 = prefix->bits >= MAPPED_BITS && net_is_ipv4(&prefix->address);

	if (prefix_ipv4 != net_is_ipv4(a)) /* ::/0 has no IPv4 address in it */
		return false;
	for (unsigned i = 0; i < 16; i++)
		if (((prefix->address.s6_addr[i] ^ a->s6_addr[i]) & mask_of(prefix->bits, i)) != 0)
			return false;
	return true;
}

struct in6_addr net_prefix_nth(const struct net_prefix *prefix, uint32_t n)
{
	struct in6_addr out = prefix->address;
	uint64_t carry = n;

	for (unsigned i = 16; i-- > 0 && carry;) {
		carry += out.s6_addr[i];
		out.s6_addr[i] = (unsigned char)carry;
		carry >>= 8;
	}
	return out;
}

int net_address_parse(const char *text, struct in6_addr *out)
{
	struct in_addr ipv4;

	if (inet_pton(AF_INET, text, &ipv4) == 1) {
		*out = net_from_ipv4(ipv4);
		return 0;
	}
	return inet_pton(AF_INET6, text, out) == 1 ? 0 : -EINVAL;
}

static int parse_bits(const char *text, unsigned max, unsigned *bits)
{
	*bits = 0;
	if (!*text || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return -EINVAL;
		*bits = *bits * 10 + (unsigned)(*text - '0');
		if (*bits > max)
			return -EINVAL;
	}
	return 0;
}

int net_interface_parse(const char *text, struct in6_addr *address, struct net_prefix *prefix)
{
	const char *slash = strchr(text, '/');
	const size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char alone[NET_ADDRESS_TEXT];
	struct in_addr ipv4;
	unsigned bits = 128;

	if (len >= sizeof alone)
		return -EINVAL;
	memcpy(alone, text, len);
	alone[len] = '\0';
	if (inet_pton(AF_INET, alone, &ipv4) == 1) {
		*address = net_from_ipv4(ipv4);
		if (slash && parse_bits(slash + 1, 32, &bits) < 0)
			return -EINVAL;
		bits = slash ? bits + MAPPED_BITS : 128;
	} else if (inet_pton(AF_INET6, alone, address) != 1 || (slash && parse_bits(slash + 1, 128, &bits) < 0)) {
		return -EINVAL;
	}
	prefix->bits = bits;
	for (unsigned i = 0; i < 16; i++)
		prefix->address.s6_addr[i] = address->s6_addr[i] & mask_of(bits, i);
	return 0;
}

int net_prefix_parse(const char *text, struct net_prefix *out)
{
	struct in6_addr address;

	if (net_interface_parse(text, &address, out) < 0 || !net_same(&address, &out->address))
		return -EINVAL;
	return 0;
}

const char *net_address_text(const struct in6_addr *a, char text[NET_ADDRESS_TEXT])
{
	const struct in_addr ipv4 = net_to_ipv4(a);

	/* Cannot fail: families are known, and there is room. */
	if (net_is_ipv4(a))
		inet_ntop(AF_INET, &ipv4, text, NET_ADDRESS_TEXT);
	else
		inet_ntop(AF_INET6, a, text, NET_ADDRESS_TEXT);
	return text;
}

const char *net_endpoint_text(const struct net_endpoint *e, char text[NET_ENDPOINT_TEXT])
{
	char address[NET_ADDRESS_TEXT];

	snprintf(text, NET_ENDPOINT_TEXT, net_is_ipv4(&e->address) ? "%s:%u" : "[%s]:%u",
	         net_address_text(&e->address, address), e->port);
	return text;
}

const char *net_prefix_text(const struct net_prefix *p, char text[NET_PREFIX_TEXT])
{
	char address[NET_ADDRESS_TEXT];
	const bool ipv4 = p->bits >= MAPPED_BITS && net_is_ipv4(&p->address);

	snprintf(text, NET_PREFIX_TEXT, "%s/%u", net_address_text(&p->address, address),
	         (ipv4 ? p->bits - MAPPED_BITS : p->bits) & 0xffu);
	return text;
}

socklen_t net_to_sockaddr(const struct net_endpoint *e, struct sockaddr_storage *out)
{
	struct sockaddr_in ipv4 = { .sin_family = AF_INET, .sin_port = htons(e->port) };
	struct sockaddr_in6 ipv6 = { .sin6_family = AF_INET6, .sin6_port = htons(e->port), .sin6_addr = e->address };

	if (net_is_ipv4(&e->address)) {
		ipv4.sin_addr = net_to_ipv4(&e->address);
		memcpy(out, &ipv4, sizeof ipv4);
		return sizeof ipv4;
	}
	memcpy(out, &ipv6, sizeof ipv6);
	return sizeof ipv6;
}

int net_from_sockaddr(const struct sockaddr *sa, struct net_endpoint *out)
{
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;

	if (sa->sa_family == AF_INET) {
		memcpy(&ipv4, sa, sizeof ipv4);
		*out = (struct net_endpoint){ net_from_ipv4(ipv4.sin_addr), ntohs(ipv4.sin_port) };
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		memcpy(&ipv6, sa, sizeof ipv6);
		*out = (struct net_endpoint){ ipv6.sin6_addr, ntohs(ipv6.sin6_port) };
		return 0;
	}
	return -EAFNOSUPPORT;
}

bool net_is_loopback(const struct in6_addr *a)
{
	return in_ipv4(a, INADDR_LOOPBACK, 8) || IN6_IS_ADDR_LOOPBACK(a);
}

bool net_is_link_local(const struct in6_addr *a)
{
	return in_ipv4(a, 0xa9fe0000u, 16) || IN6_IS_ADDR_LINKLOCAL(a);
}

bool net_is_private(const struct in6_addr *a)
{
	return in_ipv4(a, 0x0a000000u, 8) || in_ipv4(a, 0xac100000u, 12) || in_ipv4(a, 0xc0a80000u, 16) ||
	       in_ipv4(a, 0x64400000u, 10) || (a->s6_addr[0] & 0xfe) == 0xfc || IN6_IS_ADDR_SITELOCAL(a);
}

bool net_is_multicast(const struct in6_addr *a)
{
	return in_ipv4(a, 0xe0000000u, 4) || in_ipv4(a, INADDR_BROADCAST, 32) || IN6_IS_ADDR_MULTICAST(a);
}

bool net_is_unspecified(const struct in6_addr *a)
{
	return in_ipv4(a, 0, 8) || IN6_IS_ADDR_UNSPECIFIED(a);
}

static bool begins_with(const struct in6_addr *a, const unsigned char *bytes, size_t len)
{
	return memcmp(a->s6_addr, bytes, len) == 0;
}

bool net_embedded_ipv4(const struct in6_addr *a, struct in6_addr *out)
{
	static const unsigned char well_known[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const unsigned char local_use[6] = { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 };
	static const unsigned char six_to_four[2] = { 0x20, 0x02 };
	static const unsigned char teredo[4] = { 0x20, 0x01, 0x00, 0x00 };
	static const unsigned char compatible[12];
	const unsigned char *b = a->s6_addr;
	unsigned char ipv4[4];
	struct in_addr address;

	if (begins_with(a, well_known, sizeof well_known) ||
	    (begins_with(a, compatible, sizeof compatible) && !IN6_IS_ADDR_UNSPECIFIED(a) &&
	     !IN6_IS_ADDR_LOOPBACK(a))) {
		memcpy(ipv4, b + 12, 4);
	} else if (begins_with(a, local_use, sizeof local_use)) {
		/* Its translator may use all of it as a prefix, or a /96 in it (RFC 6052, 2.2). The octet between the
		 * halves of the former's address is zero, as is all behind. */
		if ((b[12] | b[13] | b[14] | b[15]) != 0)
			memcpy(ipv4, b + 12, 4);
		else
			memcpy(ipv4, (unsigned char[]){ b[6], b[7], b[9], b[10] }, 4);
	} else if (begins_with(a, six_to_four, sizeof six_to_four)) {
		memcpy(ipv4, b + 2, 4);
	} else if (begins_with(a, teredo, sizeof teredo)) {
		for (unsigned i = 0; i < 4; i++)
			ipv4[i] = b[12 + i] ^ 0xff;
	} else {
		return false;
	}
	memcpy(&address, ipv4, sizeof address);
	*out = net_from_ipv4(address);
	return true;
}
