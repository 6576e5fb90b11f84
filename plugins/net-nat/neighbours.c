/* SPDX-License-Identifier: MIT */
/*
 * neighbours.c - see nat.h: which frames are the gateway's where others are on the guest's link. Called by arrive.c,
 * and by the card that has a way to the others, before it.
 *
 * No state but addresses. What is said here of a frame decides whether others see it: in doubt it is theirs, but never
 * what is sent to the gateway's MAC, which is the same for each guest on the link.
 */
#include <string.h>

#include "plugins/net-nat/nat.h"
#include "plugins/net/arp.h"
#include "plugins/net/dhcp.h"
#include "plugins/net/dhcp6.h"

#define VLAN_ID 0x0fffu /* of a tag; 0: only a priority */

static bool is_arp_for_gateway(const struct nat *nat, const struct packet *p, const unsigned char *head,
                               size_t head_len)
{
	struct in6_addr target;
	struct arp arp;

	if (arp_parse(head, head_len, p->l3, &arp) < 0 || !arp.request)
		return false;
	target = net_from_ipv4(arp.target);
	return net_same(&target, &nat->gateway4);
}

/* Clients ask whoever serves: the gateway does. */
static bool is_dhcp(const struct nat *nat, const struct packet *p)
{
	if (net_is_ipv4(&p->source))
		return p->target_port == DHCP_SERVER_PORT && net_is_multicast(&p->target);
	return nat->ipv6 && p->target_port == DHCP6_SERVER_PORT && IN6_IS_ADDR_MULTICAST(&p->target);
}

static bool is_neighbour_discovery(const struct nat *nat, const struct packet *p, const unsigned char *head,
                                   size_t head_len)
{
	const size_t at = p->l4 + offsetof(struct nd_neighbor_solicit, nd_ns_target);
	struct in6_addr target;

	if (!nat->ipv6 || net_is_ipv4(&p->source))
		return false;
	if (head[p->l4] == ND_ROUTER_SOLICIT)
		return IN6_IS_ADDR_MULTICAST(&p->target);
	if (head[p->l4] != ND_NEIGHBOR_SOLICIT || p->l4_len < sizeof(struct nd_neighbor_solicit) ||
	    at + sizeof target > head_len)
		return false;
	memcpy(&target, head + at, sizeof target);
	return nat_is_gateway_address(nat, &target);
}

bool nat_is_for_gateway(const struct nat *nat, const struct packet *p, const unsigned char *head, size_t head_len)
{
	if (head_len >= ETH_ALEN && memcmp(head, nat->gateway_mac, ETH_ALEN) == 0)
		return true; /* also what is malformed behind it */
	if (p->kind == PACKET_MALFORMED || !(p->to[0] & 1) || (p->vlan && (p->vlan_tag & VLAN_ID) != 0))
		return false;
	if (p->kind == PACKET_ARP)
		return is_arp_for_gateway(nat, p, head, head_len);
	if (p->kind != PACKET_IP)
		return false;
	if (p->protocol == IPPROTO_UDP)
		return is_dhcp(nat, p);
	return p->protocol == IPPROTO_ICMPV6 && is_neighbour_discovery(nat, p, head, head_len);
}

bool nat_is_neighbour(const struct nat *nat, const struct in6_addr *a)
{
	const struct net_prefix *subnet = net_is_ipv4(a) ? &nat->options.subnet : &nat->options.subnet6;

	return nat->neighbours.there && (nat->ipv6 || net_is_ipv4(a)) && net_prefix_has(subnet, a) &&
	       !nat_is_gateway_address(nat, a) &&
	       !(net_is_ipv4(a) ? net_same(a, &nat->guest4) : net_same(a, &nat->guest6));
}
