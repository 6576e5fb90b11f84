/* SPDX-License-Identifier: MIT */
/*
 * address.h - IPv4 and IPv6 addresses as one kind of thing: 16 bytes, an IPv4 address as ::ffff:a.b.c.d (RFC 4291,
 * 2.5.5.2). So tables, rules and flows have one code path for both; only headers and sockets know the difference.
 *
 * No state; any thread. A mapped address never comes from an IPv6 packet: who parses one refuses it
 * (packet.h), otherwise a guest could write IPv4 destinations in a form that rules do not expect.
 */
#ifndef CAPSA_NET_ADDRESS_H
#define CAPSA_NET_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct net_endpoint {
	struct in6_addr address;
	uint16_t port; /* host order */
};

/* The addresses that share their first `bits` bits (0..128; those of an IPv4 prefix plus 96). */
struct net_prefix {
	struct in6_addr address; /* bits behind the prefix are zero */
	unsigned bits;
};

#define NET_ADDRESS_TEXT INET6_ADDRSTRLEN
#define NET_ENDPOINT_TEXT (INET6_ADDRSTRLEN + 8) /* "[2001:db8::1]:65535" */
#define NET_PREFIX_TEXT (INET6_ADDRSTRLEN + 4)

static inline bool net_is_ipv4(const struct in6_addr *a)
{
	return IN6_IS_ADDR_V4MAPPED(a);
}

struct in6_addr net_from_ipv4(struct in_addr a);
/* Only of one that net_is_ipv4(). */
struct in_addr net_to_ipv4(const struct in6_addr *a);

static inline bool net_same(const struct in6_addr *a, const struct in6_addr *b)
{
	return IN6_ARE_ADDR_EQUAL(a, b);
}

/* Families do not mix: ::/0 has no IPv4 address in it. */
bool net_prefix_has(const struct net_prefix *prefix, const struct in6_addr *a);
/* The n-th address of a prefix (0: its own). Only as long as n fits behind the prefix. */
struct in6_addr net_prefix_nth(const struct net_prefix *prefix, uint32_t n);

/* "10.0.0.1", "2001:db8::1" (inet_pton(3)'s forms only; no zone). 0 or -EINVAL. */
int net_address_parse(const char *text, struct in6_addr *out);
/* "10.0.0.0/8", "fd00::/8"; an address alone is a prefix of its own. Bits behind the prefix: -EINVAL, as a typo. */
int net_prefix_parse(const char *text, struct net_prefix *out);
/* As above, but bits behind the prefix are the address: "10.0.3.11/24" of an interface. */
int net_interface_parse(const char *text, struct in6_addr *address, struct net_prefix *prefix);

const char *net_address_text(const struct in6_addr *a, char text[NET_ADDRESS_TEXT]);
const char *net_endpoint_text(const struct net_endpoint *e, char text[NET_ENDPOINT_TEXT]);
const char *net_prefix_text(const struct net_prefix *p, char text[NET_PREFIX_TEXT]);

/* To and from what the socket calls take. Returns the length; from: 0 or -EAFNOSUPPORT. */
socklen_t net_to_sockaddr(const struct net_endpoint *e, struct sockaddr_storage *out);
int net_from_sockaddr(const struct sockaddr *sa, struct net_endpoint *out);

/* Groups of addresses that mean something everywhere. */
bool net_is_loopback(const struct in6_addr *a);    /* 127/8, ::1 */
bool net_is_link_local(const struct in6_addr *a);  /* 169.254/16, fe80::/10 */
bool net_is_private(const struct in6_addr *a);     /* RFC 1918, RFC 6598, ULA (RFC 4193), fec0::/10 */
bool net_is_multicast(const struct in6_addr *a);   /* 224/4, ff00::/8, and 255.255.255.255 */
bool net_is_unspecified(const struct in6_addr *a); /* 0/8, :: */
/*
 * The IPv4 address that an IPv6 one carries inside, for those that a host or a gateway on the way may translate back:
 * 64:ff9b::/96, 64:ff9b:1::/48 (RFC 8215), 2002::/16 (6to4), ::a.b.c.d, 2001::/32 (Teredo, XOR). False: none.
 */
bool net_embedded_ipv4(const struct in6_addr *a, struct in6_addr *out);

#endif
