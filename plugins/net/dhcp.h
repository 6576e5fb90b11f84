/* SPDX-License-Identifier: MIT */
/*
 * dhcp.h - a DHCPv4 server's answers (RFC 2131, RFC 2132): bytes in, bytes out. Who leases what to whom is the
 * caller's.
 *
 * No state; any thread. Requests are hostile: options are walked with bounds, overload (option 52) is honoured once.
 */
#ifndef CAPSA_NET_DHCP_H
#define CAPSA_NET_DHCP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/net/address.h"

#define DHCP_SERVER_PORT 67u
#define DHCP_CLIENT_PORT 68u
#define DHCP_REPLY_MAX 576u
#define DHCP_SERVERS_MAX 3u

enum dhcp_type {
	DHCP_DISCOVER = 1,
	DHCP_OFFER,
	DHCP_REQUEST,
	DHCP_DECLINE,
	DHCP_ACK,
	DHCP_NAK,
	DHCP_RELEASE,
	DHCP_INFORM
};

struct dhcp_request {
	enum dhcp_type type;
	uint32_t transaction;
	bool broadcast; /* the client cannot yet take unicast */
	unsigned char mac[6];
	struct in_addr client; /* ciaddr: what it has; zero: none */
	struct in_addr wanted; /* option 50, or zero */
	struct in_addr server; /* option 54, or zero */
	char host_name[64];    /* option 12, printable; "" */
	uint16_t max_size;     /* option 57, or DHCP_REPLY_MAX */
};

/* What it is told. Addresses of zero and empty texts are left out. */
struct dhcp_lease {
	struct in_addr address, server, router;
	unsigned bits; /* of the subnet */
	struct in_addr dns[DHCP_SERVERS_MAX];
	unsigned n_dns;
	uint16_t mtu;
	uint32_t seconds;
	const char *host_name;
	const char *const *search; /* n_search domains: option 119 (RFC 3397), the first also as option 15 */
	unsigned n_search;
};

/* The UDP payload of a BOOTREQUEST. 0, or -EBADMSG. */
int dhcp_parse(const unsigned char *message, size_t len, struct dhcp_request *out);
/* The payload of the reply: type OFFER, ACK or NAK. Returns its length (padded to 300). */
size_t dhcp_reply(const struct dhcp_request *request, enum dhcp_type type, const struct dhcp_lease *lease,
                  unsigned char reply[DHCP_REPLY_MAX]);

#endif
