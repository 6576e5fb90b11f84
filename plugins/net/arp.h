/* SPDX-License-Identifier: MIT */
/*
 * arp.h - ARP for IPv4 over Ethernet (RFC 826): frames in, frames out. No state; any thread.
 */
#ifndef CAPSA_NET_ARP_H
#define CAPSA_NET_ARP_H

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#define ARP_FRAME (14u + 28u)

struct arp {
	bool request; /* else a reply */
	unsigned char sender_mac[ETH_ALEN], target_mac[ETH_ALEN];
	struct in_addr sender, target;
};

/* `frame` with its Ethernet header, `l3` the offset of the ARP header in it. 0 or -EBADMSG. */
int arp_parse(const unsigned char *frame, size_t len, size_t l3, struct arp *out);
/* A whole frame, `to` its Ethernet destination. Returns ARP_FRAME. */
size_t arp_put(unsigned char frame[ARP_FRAME], const unsigned char to[ETH_ALEN], const struct arp *arp);

#endif
