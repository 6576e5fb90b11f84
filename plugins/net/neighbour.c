/* SPDX-License-Identifier: MIT */
/* neighbour.c - see neighbour.h. */
#include "plugins/net/neighbour.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/icmp6.h>
#include <resolv.h>
#include <string.h>

#include "plugins/net/checksum.h"

#define HOP_LIMIT 64u
#define FOREVER UINT32_MAX
#define OPTION_RDNSS 25u /* RFC 8106, 5.1 */
#define OPTION_DNSSL 31u /* 5.2 */

struct in6_addr neighbour_link_local(const unsigned char mac[ETH_ALEN])
{
	struct in6_addr a = { .s6_addr = { 0xfe, 0x80, [11] = 0xff, [12] = 0xfe } };

	memcpy(a.s6_addr + 8, mac, 3);
	memcpy(a.s6_addr + 13, mac + 3, 3);
	a.s6_addr[8] ^= 2;
	return a;
}

int neighbour_parse(const unsigned char *message, size_t len, struct neighbour_solicitation *out)
{
	const struct nd_neighbor_solicit *h = (const void *)message;
	size_t at = sizeof *h;

	memset(out, 0, sizeof *out);
	if (len < sizeof *h || message[0] != ND_NEIGHBOR_SOLICIT || message[1] != 0)
		return -EBADMSG;
	memcpy(&out->target, message + 8, sizeof out->target);
	if (IN6_IS_ADDR_MULTICAST(&out->target) || net_is_ipv4(&out->target))
		return -EBADMSG;
	while (at < len) {
		size_t option;

		if (len - at < 8)
			return -EBADMSG;
		option = (size_t)message[at + 1] * 8;
		if (option == 0 || option > len - at) /* RFC 4861, 7.1.1: a length of 0 never ends */
			return -EBADMSG;
		if (message[at] == ND_OPT_SOURCE_LINKADDR && option == 8) {
			out->has_mac = true;
			memcpy(out->mac, message + at + 2, ETH_ALEN);
		}
		at += option;
	}
	return 0;
}

static void sum(unsigned char *message, size_t len, const struct in6_addr *from, const struct in6_addr *to)
{
	uint16_t finished;

	memset(message + 2, 0, 2);
	finished = checksum_finish(
		checksum_add(checksum_pseudo(from, to, IPPROTO_ICMPV6, (uint32_t)len), message, len, 0));
	memcpy(message + 2, &finished, 2);
}

size_t neighbour_put_advertisement(unsigned char message[NEIGHBOUR_MESSAGE_MAX], const struct in6_addr *from,
                                   const struct in6_addr *to, const struct in6_addr *target,
                                   const unsigned char mac[ETH_ALEN], bool router, bool solicited)
{
	struct nd_neighbor_advert h = { .nd_na_type = ND_NEIGHBOR_ADVERT, .nd_na_target = *target };
	size_t len = sizeof h;

	h.nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE;
	if (router)
		h.nd_na_flags_reserved |= ND_NA_FLAG_ROUTER;
	if (solicited)
		h.nd_na_flags_reserved |= ND_NA_FLAG_SOLICITED;
	memcpy(message, &h, sizeof h);
	message[len] = ND_OPT_TARGET_LINKADDR;
	message[len + 1] = 1;
	memcpy(message + len + 2, mac, ETH_ALEN);
	len += 8;
	sum(message, len, from, to);
	return len;
}

static size_t put_prefix(unsigned char *at, const struct net_prefix *prefix)
{
	const struct nd_opt_prefix_info option = {
		.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION,
		.nd_opt_pi_len = sizeof option / 8,
		.nd_opt_pi_prefix_len = (uint8_t)prefix->bits,
		.nd_opt_pi_flags_reserved = ND_OPT_PI_FLAG_ONLINK | ND_OPT_PI_FLAG_AUTO,
		.nd_opt_pi_valid_time = FOREVER,
		.nd_opt_pi_preferred_time = FOREVER,
		.nd_opt_pi_prefix = prefix->address,
	};

	memcpy(at, &option, sizeof option);
	return sizeof option;
}

static size_t put_mtu(unsigned char *at, uint32_t mtu)
{
	const struct nd_opt_mtu option = {
		.nd_opt_mtu_type = ND_OPT_MTU,
		.nd_opt_mtu_len = sizeof option / 8,
		.nd_opt_mtu_mtu = htonl(mtu),
	};

	memcpy(at, &option, sizeof option);
	return sizeof option;
}

/* Type, length in units of 8, reserved, lifetime: what RDNSS and DNSSL begin with. */
static void put_dns_header(unsigned char *at, unsigned type, size_t len)
{
	at[0] = (unsigned char)type;
	at[1] = (unsigned char)(len / 8);
	at[2] = at[3] = 0;
	memset(at + 4, 0xff, 4);
}

static size_t put_dns(unsigned char *at, size_t room, const struct router *router)
{
	size_t len = 8;

	for (unsigned i = 0; i < router->n_dns && len + 16 <= room; i++) {
		memcpy(at + len, &router->dns[i], 16);
		len += 16;
	}
	if (len == 8)
		return 0;
	put_dns_header(at, OPTION_RDNSS, len);
	return len;
}

static size_t put_search(unsigned char *at, size_t room, const struct router *router)
{
	size_t len = 8;

	room &= ~(size_t)7;
	for (unsigned i = 0; i < router->n_search && len < room; i++) {
		const int n = dn_comp(router->search[i], at + len, (int)(room - len), NULL, NULL);

		if (n > 0)
			len += (size_t)n;
	}
	if (len == 8)
		return 0;
	while (len % 8)
		at[len++] = 0;
	put_dns_header(at, OPTION_DNSSL, len);
	return len;
}

size_t router_put_advertisement(unsigned char message[NEIGHBOUR_MESSAGE_MAX], const struct in6_addr *from,
                                const struct in6_addr *to, const struct router *router)
{
	struct nd_router_advert h = { .nd_ra_type = ND_ROUTER_ADVERT };
	size_t len = sizeof h;

	h.nd_ra_curhoplimit = HOP_LIMIT;
	h.nd_ra_flags_reserved = ND_RA_FLAG_MANAGED | ND_RA_FLAG_OTHER;
	h.nd_ra_router_lifetime = htons(router->lifetime);
	memcpy(message, &h, sizeof h);
	message[len] = ND_OPT_SOURCE_LINKADDR;
	message[len + 1] = 1;
	memcpy(message + len + 2, router->mac, ETH_ALEN);
	len += 8;
	if (router->mtu)
		len += put_mtu(message + len, router->mtu);
	len += put_prefix(message + len, &router->prefix);
	len += put_dns(message + len, NEIGHBOUR_MESSAGE_MAX - len, router);
	len += put_search(message + len, NEIGHBOUR_MESSAGE_MAX - len, router);
	sum(message, len, from, to);
	return len;
}
