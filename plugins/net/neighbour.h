/* SPDX-License-Identifier: MIT */
/*
 * neighbour.h - IPv6's neighbour discovery (RFC 4861) as a router speaks it: messages in, messages out. No state; any
 * thread.
 *
 * "Message" is what stands behind the IPv6 header, from the ICMPv6 type on.
 */
#ifndef CAPSA_NET_NEIGHBOUR_H
#define CAPSA_NET_NEIGHBOUR_H

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/net/address.h"

#define NEIGHBOUR_MESSAGE_MAX 1024u

/* What a router tells in its advertisement: prefix for SLAAC, RDNSS and DNSSL (RFC 8106), MTU. */
struct router {
	unsigned char mac[ETH_ALEN];
	struct net_prefix prefix; /* on-link, autonomous */
	uint32_t mtu;
	uint16_t lifetime; /* seconds; 0: no default router */
	const struct in6_addr *dns;
	unsigned n_dns;
	const char *const *search;
	unsigned n_search;
};

/* A neighbour solicitation: whom it looks for, and who asks. 0 or -EBADMSG. Checksum, hop limit are the caller's. */
struct neighbour_solicitation {
	struct in6_addr target;
	bool has_mac;
	unsigned char mac[ETH_ALEN];
};
int neighbour_parse(const unsigned char *message, size_t len, struct neighbour_solicitation *out);

/*
 * Messages, checksum included; return their length. Hop limit 255 is the caller's. A router's: addresses by SLAAC or by
 * DHCPv6, as the guest likes; name servers and domains that there is no room for are left out.
 */
size_t neighbour_put_advertisement(unsigned char message[NEIGHBOUR_MESSAGE_MAX], const struct in6_addr *from,
                                   const struct in6_addr *to, const struct in6_addr *target,
                                   const unsigned char mac[ETH_ALEN], bool router, bool solicited);
size_t router_put_advertisement(unsigned char message[NEIGHBOUR_MESSAGE_MAX], const struct in6_addr *from,
                                const struct in6_addr *to, const struct router *router);

/* fe80:: with the interface identifier out of a MAC (RFC 4291, appendix A). */
struct in6_addr neighbour_link_local(const unsigned char mac[ETH_ALEN]);

#endif
