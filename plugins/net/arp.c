/* SPDX-License-Identifier: MIT */
/* arp.c - see arp.h. To be written. */
#include "plugins/net/arp.h"

int arp_parse(const unsigned char *frame, size_t len, size_t l3, struct arp *out)
{
	(void)frame;
	(void)len;
	(void)l3;
	(void)out;
	return 0;
}

size_t arp_put(unsigned char frame[ARP_FRAME], const unsigned char to[ETH_ALEN], const struct arp *arp)
{
	(void)frame;
	(void)to;
	(void)arp;
	return 0;
}
