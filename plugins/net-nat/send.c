/* SPDX-License-Identifier: MIT */
/* send.c - see send.h. To be written. */
#include "plugins/net-nat/send.h"

int send_ip(struct nat *nat, unsigned pair, const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
            uint8_t ttl, const struct iovec *l4, unsigned n)
{
	(void)nat;
	(void)pair;
	(void)from;
	(void)to;
	(void)protocol;
	(void)ttl;
	(void)l4;
	(void)n;
	return 0;
}

int send_udp(struct nat *nat, unsigned pair, const struct net_endpoint *from, const struct net_endpoint *to,
             const struct iovec *payload, unsigned n)
{
	(void)nat;
	(void)pair;
	(void)from;
	(void)to;
	(void)payload;
	(void)n;
	return 0;
}

size_t send_put_headers(const struct nat *nat, const struct flow_key *key, size_t l4_len, unsigned char *at)
{
	(void)nat;
	(void)key;
	(void)l4_len;
	(void)at;
	return 0;
}
