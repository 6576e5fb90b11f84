/* SPDX-License-Identifier: MIT */
/* packet.c - see packet.h. To be written. */
#include "plugins/net/packet.h"

void packet_parse(const unsigned char *head, size_t head_len, size_t len, struct packet *out)
{
	(void)head;
	(void)head_len;
	(void)len;
	(void)out;
}

size_t packet_put_ether(unsigned char *at, const unsigned char to[ETH_ALEN], const unsigned char from[ETH_ALEN],
                        uint16_t ether_type)
{
	(void)at;
	(void)to;
	(void)from;
	(void)ether_type;
	return 0;
}

size_t packet_put_ip(unsigned char *at, const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
                     size_t l4_len, uint8_t ttl, uint8_t tos)
{
	(void)at;
	(void)from;
	(void)to;
	(void)protocol;
	(void)l4_len;
	(void)ttl;
	(void)tos;
	return 0;
}

uint16_t packet_ether_type(const struct in6_addr *a)
{
	(void)a;
	return 0;
}
