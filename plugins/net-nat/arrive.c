/* SPDX-License-Identifier: MIT */
/*
 * arrive.c - see nat.h: each frame of the guest's passes here, and is judged by what it says about itself before any
 * room sees it.
 *
 * THEORY OF OPERATION. With neighbours, what is not for the gateway is not even looked at. What is not allowed to the
 * next step ends here, in this order:
 *
 *   taken apart     lengths that are not true, mapped IPv4 in IPv6, headers beyond the copy      `malformed`
 *   link            to somebody else's MAC: nobody's. From our own or a group's                  `spoofed`
 *                   another VLAN than none, another EtherType than ARP, IPv4, IPv6               `unsupported`
 *   source          not the guest's own (below)                                                  `spoofed`
 *   routed          source routes, either family                                                 `unsupported`
 *   fragments       wait in fragment.c and come again as one packet, from "source" on
 *   gateway         what it answers itself
 *   groups          multicast, broadcast, mDNS: there is nobody else on this link, or they have it by the card
 *   neighbours      where there are any, they are not reached by the gateway                     `unsupported`
 *   hop limit       one that goes no further than here, to others than the gateway: the guest is told
 *   protocol        TCP, UDP, echo requests; all other ones                                      `unsupported`
 *
 * Sources: the guest's IPv4 address; any address of the IPv6 prefix, as hosts make themselves new ones (RFC 8981), but
 * not the gateway's; a link-local address towards the gateway's services, nowhere else, as it has no place outside.
 * The unspecified address is for those who have none yet: DHCP, router solicitations, duplicate address detection.
 */
#include <string.h>

#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/echo.h"
#include "plugins/net-nat/fragment.h"
#include "plugins/net-nat/gateway.h"
#include "plugins/net-nat/icmp-error.h"
#include "plugins/net-nat/nat.h"
#include "plugins/net-nat/rate.h"
#include "plugins/net-nat/tcp.h"
#include "plugins/net-nat/udp.h"
#include "plugins/net/dhcp.h"

#define VLAN_ID 0x0fffu  /* of a tag; 0: only a priority */
#define MLD2_REPORT 143u /* RFC 3810, 5.2 */

bool nat_is_gateway_address(const struct nat *nat, const struct in6_addr *a)
{
	if (net_is_ipv4(a))
		return net_same(a, &nat->gateway4);
	return nat->ipv6 && (net_same(a, &nat->gateway6) || net_same(a, &nat->gateway_link_local));
}

bool nat_is_guest_address(const struct nat *nat, const struct in6_addr *a)
{
	if (net_is_ipv4(a))
		return net_same(a, &nat->guest4);
	/* The prefix's first address is that of all of its routers (RFC 4291, 2.6.1). */
	return nat->ipv6 && net_prefix_has(&nat->options.subnet6, a) && !net_same(a, &nat->gateway6) &&
	       !net_same(a, &nat->options.subnet6.address);
}

struct in6_addr nat_real_target(const struct nat *nat, const struct in6_addr *target)
{
	if (!nat_is_gateway_address(nat, target))
		return *target;
	return net_is_ipv4(target) ? net_from_ipv4((struct in_addr){ htonl(INADDR_LOOPBACK) }) : in6addr_loopback;
}

struct in6_addr nat_gateway_for(const struct nat *nat, const struct in6_addr *a)
{
	if (net_is_ipv4(a))
		return nat->gateway4;
	return net_is_link_local(a) ? nat->gateway_link_local : nat->gateway6;
}

struct in6_addr nat_guest_for(const struct nat *nat, const struct in6_addr *a)
{
	return net_is_ipv4(a) ? nat->guest4 : nat->guest6_seen;
}

static bool is_group_mac(const unsigned char mac[ETH_ALEN])
{
	return mac[0] & 1;
}

/* All hosts of the subnet at once, by IPv4's directed broadcast (RFC 919) as well. */
static bool is_group(const struct nat *nat, const struct in6_addr *a)
{
	const struct net_prefix *subnet = &nat->options.subnet;
	struct in6_addr last;

	if (net_is_multicast(a))
		return true;
	if (!net_is_ipv4(a) || subnet->bits <= 96 || subnet->bits > 126)
		return false;
	last = net_prefix_nth(subnet, (UINT32_C(1) << (128 - subnet->bits)) - 1);
	return net_same(a, &last) || net_same(a, &subnet->address);
}

/* ---- source ---- */

/* From somebody who has no address yet. */
static bool may_be_unspecified(const struct packet *p, const unsigned char *head)
{
	if (p->kind != PACKET_IP)
		return false;
	if (net_is_ipv4(&p->source))
		return IN6_ARE_ADDR_EQUAL(&p->source,
		                          &((struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } })) &&
		       p->protocol == IPPROTO_UDP && p->source_port == DHCP_CLIENT_PORT &&
		       p->target_port == DHCP_SERVER_PORT;
	return p->protocol == IPPROTO_ICMPV6 && IN6_IS_ADDR_MULTICAST(&p->target) &&
	       (head[p->l4] == ND_ROUTER_SOLICIT || head[p->l4] == ND_NEIGHBOR_SOLICIT || head[p->l4] == MLD2_REPORT ||
	        head[p->l4] == MLD_LISTENER_REPORT || head[p->l4] == MLD_LISTENER_REDUCTION);
}

static bool may_send(const struct nat *nat, const struct packet *p, const unsigned char *head)
{
	if (nat_is_guest_address(nat, &p->source))
		return true;
	if (net_is_unspecified(&p->source))
		return may_be_unspecified(p, head);
	return IN6_IS_ADDR_LINKLOCAL(&p->source) && !net_same(&p->source, &nat->gateway_link_local) &&
	       (nat_is_gateway_address(nat, &p->target) || IN6_IS_ADDR_MULTICAST(&p->target));
}

static void learn(struct nat *nat, const struct packet *p)
{
	memcpy(nat->guest_mac, p->from, ETH_ALEN);
	if (p->kind == PACKET_IP && !net_is_ipv4(&p->source) && nat_is_guest_address(nat, &p->source))
		nat->guest6_seen = p->source;
}

/* ---- protocols ---- */

static void take_icmp(struct nat *nat, const struct nic_frame *frame, const struct packet *p)
{
	const uint8_t type = frame->head[p->l4];

	if (type == (net_is_ipv4(&p->source) ? ICMP_ECHO : ICMP6_ECHO_REQUEST)) {
		echo_arrive(nat, frame, p);
		return;
	}
	/*
	 * Errors are the guest's answer to what came from outside, where nobody would know what to do with them;
	 * replies that nobody asked for go nowhere either.
	 */
}

static void take_protocol(struct nat *nat, const struct nic_frame *frame, const struct packet *p)
{
	switch (p->protocol) {
	case IPPROTO_TCP:
		tcp_arrive(nat, frame, p);
		return;
	case IPPROTO_UDP:
		if (p->target_port == DNS_PORT && nat_is_gateway_address(nat, &p->target))
			dns_arrive(nat, frame, p);
		else
			udp_arrive(nat, frame, p);
		return;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((p->protocol == IPPROTO_ICMP) == net_is_ipv4(&p->source)) {
			take_icmp(nat, frame, p);
			return;
		}
		break;
	default:
		break;
	}
	counter_add(nat->counters.unsupported, 1);
	icmp_error_about(nat, frame->pair, ICMP_ERROR_PROTOCOL, 0, p, frame->head, frame->head_len);
}

/* A link-local source reaches the gateway's services, and no flow: what is outside could not answer it. */
static bool may_have_flows(const struct nat *nat, const struct packet *p)
{
	return nat_is_guest_address(nat, &p->source) ||
	       (p->protocol == IPPROTO_UDP && p->target_port == DNS_PORT && IN6_IS_ADDR_LINKLOCAL(&p->source));
}

static void take_ip(struct nat *nat, const struct nic_frame *frame, const struct packet *p, bool whole)
{
	if (!may_send(nat, p, frame->head)) {
		counter_add(nat->counters.spoofed, 1);
		return;
	}
	if (p->routed) {
		counter_add(nat->counters.unsupported, 1);
		return;
	}
	if (!whole)
		learn(nat, p);
	if (p->kind == PACKET_FRAGMENT) {
		if (whole)
			counter_add(nat->counters.malformed, 1); /* a piece in a packet that was put together */
		else
			fragments_arrive(nat, frame, p);
		return;
	}
	if (gateway_arrive(nat, frame, p) || is_group(nat, &p->target) || is_group_mac(p->to))
		return;
	if (!may_have_flows(nat, p)) {
		counter_add(nat->counters.spoofed, 1);
		return;
	}
	if (nat_is_neighbour(nat, &p->target)) {
		counter_add(nat->counters.unsupported, 1); /* they are on its link: no way through us */
		return;
	}
	if (nat_is_guest_address(nat, &p->target))
		return; /* to itself, or to a neighbour that does not exist */
	if (p->ttl <= 1 && !nat_is_gateway_address(nat, &p->target)) {
		icmp_error_about(nat, frame->pair, ICMP_ERROR_EXPIRED, 0, p, frame->head, frame->head_len);
		return;
	}
	take_protocol(nat, frame, p);
}

static void take(struct nat *nat, const struct nic_frame *frame, const struct packet *p, bool whole)
{
	switch (p->kind) {
	case PACKET_MALFORMED:
		counter_add(nat->counters.malformed, 1);
		return;
	case PACKET_ARP:
		(void)gateway_arrive(nat, frame, p);
		return;
	case PACKET_OTHER:
		counter_add(nat->counters.unsupported, 1);
		return;
	case PACKET_IP:
	case PACKET_FRAGMENT:
		if (p->ether_type == ETH_P_IPV6 && !nat->ipv6)
			counter_add(nat->counters.unsupported, 1);
		else
			take_ip(nat, frame, p, whole);
		return;
	}
}

void nat_take_frame(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	if (nat->neighbours.there && !nat_is_for_gateway(nat, packet, frame->head, frame->head_len))
		return;
	counter_add(nat->counters.tx_packets, 1);
	counter_add(nat->counters.tx_bytes, frame->len);
	rate_spend(nat->rate, RATE_OUT, frame->len);
	if (packet->kind == PACKET_MALFORMED) {
		counter_add(nat->counters.malformed, 1);
		return;
	}
	if (is_group_mac(packet->from) || memcmp(packet->from, nat->gateway_mac, ETH_ALEN) == 0) {
		counter_add(nat->counters.spoofed, 1);
		return;
	}
	if (!is_group_mac(packet->to) && memcmp(packet->to, nat->gateway_mac, ETH_ALEN) != 0)
		return;
	if (packet->vlan && (packet->vlan_tag & VLAN_ID) != 0) {
		counter_add(nat->counters.unsupported, 1);
		return;
	}
	take(nat, frame, packet, false);
}

void nat_frame(void *ctx, const struct nic_frame *frame)
{
	struct packet packet;

	packet_parse(frame->head, frame->head_len, frame->len, &packet);
	nat_take_frame(ctx, frame, &packet);
}

void nat_whole_packet(struct nat *nat, const struct nic_frame *frame)
{
	struct packet packet;

	packet_parse(frame->head, frame->head_len, frame->len, &packet);
	take(nat, frame, &packet, true);
}

void nat_batch_end(void *ctx)
{
	struct nat *nat = ctx;

	tcp_batch_end(nat);
	nic_flush(nat->nic);
}

void nat_room(void *ctx, unsigned pair)
{
	struct nat *nat = ctx;
	const bool udp_is_first = !nat->udp_is_first[pair];

	/* Either may take all there is. */
	nat->udp_is_first[pair] = udp_is_first;
	if (udp_is_first)
		udp_room(nat, pair);
	tcp_room(nat, pair);
	if (!udp_is_first)
		udp_room(nat, pair);
}
