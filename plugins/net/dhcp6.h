/* SPDX-License-Identifier: MIT */
/*
 * dhcp6.h - a DHCPv6 server's answers (RFC 8415, RFC 3646): UDP payload in, UDP payload out. No state; any thread.
 *
 * One client, one address: the first IA_NA that it asks for gets it, other ones and prefixes get none. Requests are
 * hostile: options are walked with bounds, answers have a room that they do not outgrow.
 */
#ifndef CAPSA_NET_DHCP6_H
#define CAPSA_NET_DHCP6_H

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#define DHCP6_SERVER_PORT 547u
#define DHCP6_CLIENT_PORT 546u
#define DHCP6_ANSWER_MAX 1024u

struct dhcp6_lease {
	struct in6_addr address;
	unsigned char server_mac[ETH_ALEN]; /* its DUID-LL */
	const struct in6_addr *dns;
	unsigned n_dns;
	const char *const *search;
	unsigned n_search;
	uint32_t seconds;
};

/*
 * The answer to a client's message, or 0 where none is due or `room` is too small. INFORMATION-REQUEST gets DNS servers
 * and search list; SOLICIT (with rapid commit as well), REQUEST, RENEW, REBIND `address` besides; CONFIRM, RELEASE and
 * DECLINE a status.
 */
size_t dhcp6_answer(const unsigned char *message, size_t len, const struct dhcp6_lease *lease, unsigned char *reply,
                    size_t room);

#endif
