/* SPDX-License-Identifier: MIT */
/*
 * guard.h - which addresses the member behind a port may say it is: source MAC, ARP sender, IPv4 and IPv6 source, and
 * whom it advertises as (neighbour discovery). Also known as port security and IP source guard.
 *
 *   MAC    the port's own. Never the gateway's (GUARD_GATEWAY_MAC), which is each member's own one and is not behind
 *          any port; that holds where any source is allowed, too.
 *   IPv4   the port's own address; ARP: the same as sender, with the port's MAC, or a probe (sender 0.0.0.0). DHCP's
 *          0.0.0.0 does not pass the member's process. A port without an address sends no IPv4.
 *   IPv6   the unspecified address for neighbour solicitations and MLD; others that are link-local or in the cluster's
 *          prefix: first come, first served over all ports, GUARD_ADDRESSES a port, of which the one that was used
 *          least lately gives way (RFC 6620). What is a port's by right (guard_add_port()) is nobody else's. Neighbour
 *          advertisements: of such addresses only, with the port's MAC.
 *   Router advertisements, redirects and what DHCP servers send: from no member.
 *   VLAN   what is in a tag is not looked at, but for its MAC. VLAN 0 is none: receivers take that for untagged.
 *
 * One thread. An IPv6 address that its port has not used for GUARD_AGE_MS is free again.
 */
#ifndef CAPSA_CLUSTER_GUARD_H
#define CAPSA_CLUSTER_GUARD_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stdint.h>

#include "plugins/cluster-switch/bridge.h"
#include "plugins/net/packet.h"

#define GUARD_ADDRESSES 16u
#define GUARD_AGE_MS (10u * 60u * 1000u)
#define GUARD_GATEWAY_MAC                          \
	{                                          \
		0x52, 0x55, 0x0a, 0x00, 0x00, 0x01 \
	}

struct guard; /* of all ports: which IPv6 addresses are whose */

int guard_new(struct guard **out); /* 0 or -ENOMEM */
void guard_free(struct guard *guard);
/*
 * A port more. By right it has address6 of its options and the addresses that follow from its MAC (RFC 4291, appendix
 * A): link-local, and in a prefix of 64 bits. Whoever claimed one of them before loses it. 0 or -ENOMEM.
 */
int guard_add_port(struct guard *guard, const struct bridge_port *port);
void guard_forget_port(struct guard *guard, const struct bridge_port *port);
/* Whether the port may send it. `packet` is packet_parse() of the frame. */
bool guard_allows(struct guard *guard, const struct bridge_port *port, const struct bridge_frame *frame,
                  const struct packet *packet, uint64_t now_ms);

#endif
