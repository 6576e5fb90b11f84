/* SPDX-License-Identifier: MIT */
/* arp.c - see arp.h. */
#include "plugins/net/arp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if_arp.h>
#include <stdint.h>
#include <string.h>

#define HEADER 28u

static uint16_t load16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

int arp_parse(const unsigned char *frame, size_t len, size_t l3, struct arp *out)
{
	const unsigned char *h = frame + l3;
	uint16_t operation;

	if (len < HEADER || l3 > len - HEADER)
		return -EBADMSG;
	operation = load16(h + 6);
	if (load16(h) != ARPHRD_ETHER || load16(h + 2) != ETH_P_IP || h[4] != ETH_ALEN || h[5] != 4 ||
	    (operation != ARPOP_REQUEST && operation != ARPOP_REPLY))
		return -EBADMSG;
	out->request = operation == ARPOP_REQUEST;
	memcpy(out->sender_mac, h + 8, ETH_ALEN);
	memcpy(&out->sender, h + 14, 4);
	memcpy(out->target_mac, h + 18, ETH_ALEN);
	memcpy(&out->target, h + 24, 4);
	return 0;
}

size_t arp_put(unsigned char frame[ARP_FRAME], const unsigned char to[ETH_ALEN], const struct arp *arp)
{
	static const unsigned char head[] = { 0, ARPHRD_ETHER, ETH_P_IP >> 8, ETH_P_IP & 0xff, ETH_ALEN, 4, 0 };
	unsigned char *h = frame + ETH_HLEN;

	memcpy(frame, to, ETH_ALEN);
	memcpy(frame + ETH_ALEN, arp->sender_mac, ETH_ALEN);
	frame[12] = ETH_P_ARP >> 8;
	frame[13] = ETH_P_ARP & 0xff;
	memcpy(h, head, sizeof head);
	h[7] = arp->request ? ARPOP_REQUEST : ARPOP_REPLY;
	memcpy(h + 8, arp->sender_mac, ETH_ALEN);
	memcpy(h + 14, &arp->sender, 4);
	memcpy(h + 18, arp->target_mac, ETH_ALEN);
	memcpy(h + 24, &arp->target, 4);
	return ARP_FRAME;
}
