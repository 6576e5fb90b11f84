/* SPDX-License-Identifier: MIT */
/*
 * gateway.c - see gateway.h.
 *
 * THEORY OF OPERATION. arrive.c has seen to it that a packet's source may send; each service here sees to the rest:
 * ports, hop limits (neighbour discovery that has passed a router is none), checksums where the guest's frame says that
 * they are whole. Messages are copied out of guest memory once, into `message`, and only that copy is read. Answers go
 * to the pair that asked.
 *
 * A router's lifetime has an end (RFC 4861 permits 18 hours), so one timer advertises it again, every few hours.
 */
#include "plugins/net-nat/gateway.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net-nat/send.h"
#include "plugins/net-nat/timeout.h"
#include "plugins/net-nat/upstream.h"
#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "plugins/net/dhcp.h"
#include "plugins/net/dhcp6.h"
#include "plugins/net/neighbour.h"

#define TTL 64u
#define NEIGHBOUR_HOP_LIMIT 255u            /* RFC 4861, 6.1, 7.1 */
#define ROUTER_LIFETIME 65535u              /* seconds; RFC 8319 */
#define ROUTER_AGAIN (ROUTER_LIFETIME / 3u) /* seconds */

struct gateway {
	struct nat *nat;
	struct timeout advertise;
	unsigned char message[IP_MAXPACKET]; /* what is being answered, and an echo's answer */
};

static const struct in6_addr all_nodes = { .s6_addr = { 0xff, 0x02, [15] = 1 } };
static const struct in6_addr all_dhcp6_servers = { .s6_addr = { 0xff, 0x02, [13] = 1, [15] = 2 } };

/* ---- what came ---- */

/* Copies the upper layer's `len` bytes from `from` of the frame on. False: a frame that ends too early. */
static bool copy(struct gateway *gateway, const struct nic_frame *frame, size_t from, size_t len)
{
	return len <= sizeof gateway->message && nic_frame_read(frame, from, gateway->message, len) == len;
}

/* The upper layer's checksum, which is the driver's to leave to us (virtio 1.2, 5.1.6.2). `message` begins at l4. */
static bool is_sum_right(const struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	uint32_t sum = 0;

	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return true;
	if (p->protocol != IPPROTO_ICMP)
		sum = checksum_pseudo(&p->source, &p->target, p->protocol, (uint32_t)p->l4_len);
	return checksum_finish(checksum_add(sum, gateway->message, p->l4_len, 0)) == 0;
}

/* Copies the whole upper layer, its checksum done. What is wrong is counted. */
static bool take_message(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	if (copy(gateway, frame, p->l4, p->l4_len) && is_sum_right(gateway, frame, p))
		return true;
	counter_add(gateway->nat->counters.malformed, 1);
	return false;
}

/* The same for a datagram; IPv4's may have no checksum (RFC 768). `message` begins at its UDP header. */
static bool take_datagram(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	const bool summed = !net_is_ipv4(&p->source) || (frame->head[p->l4 + 6] | frame->head[p->l4 + 7]) != 0;

	if (copy(gateway, frame, p->l4, p->l4_len) && (!summed || is_sum_right(gateway, frame, p)))
		return true;
	counter_add(gateway->nat->counters.malformed, 1);
	return false;
}

/* ---- ARP ---- */

/* Whom we answer for. A probe has no sender: who sends it wants the address for itself (RFC 5227). */
static bool is_ours(const struct nat *nat, const struct arp *arp, const struct in6_addr *target)
{
	if (net_same(target, &nat->gateway4))
		return true;
	if (nat->neighbours.there)
		return false;
	return arp->sender.s_addr != 0 && !net_same(target, &nat->guest4) && !net_is_unspecified(target) &&
	       !net_is_multicast(target) && !net_is_loopback(target) && !net_is_link_local(target);
}

static void answer_arp(struct nat *nat, const struct nic_frame *frame, const struct packet *p)
{
	unsigned char reply[ARP_FRAME];
	struct iovec iov = { reply, sizeof reply };
	struct in6_addr sender, target;
	struct arp arp, answer;

	if (arp_parse(frame->head, frame->head_len, p->l3, &arp) < 0) {
		counter_add(nat->counters.malformed, 1);
		return;
	}
	sender = net_from_ipv4(arp.sender);
	target = net_from_ipv4(arp.target);
	if (arp.sender.s_addr != 0 && !nat_is_guest_address(nat, &sender)) {
		counter_add(nat->counters.spoofed, 1);
		return;
	}
	memcpy(nat->guest_mac, p->from, ETH_ALEN);
	if (!arp.request || !is_ours(nat, &arp, &target))
		return;
	answer = (struct arp){ .sender = arp.target, .target = arp.sender };
	memcpy(answer.sender_mac, nat->gateway_mac, ETH_ALEN);
	memcpy(answer.target_mac, arp.sender_mac, ETH_ALEN);
	arp_put(reply, nat->guest_mac, &answer);
	if (nic_send(nat->nic, frame->pair, NULL, &iov, 1) < 0)
		counter_add(nat->counters.rx_dropped, 1);
}

/* ---- DHCP ---- */

/* What a client's REQUEST gets (RFC 2131, 4.3.2); 0: nothing, it speaks to another server. */
static enum dhcp_type answer_to_request(const struct nat *nat, const struct dhcp_request *request)
{
	const in_addr_t ours = net_to_ipv4(&nat->guest4).s_addr;
	const in_addr_t address = request->client.s_addr ? request->client.s_addr : request->wanted.s_addr;

	if (request->server.s_addr && request->server.s_addr != net_to_ipv4(&nat->gateway4).s_addr)
		return 0;
	return address == ours ? DHCP_ACK : DHCP_NAK;
}

static enum dhcp_type answer_to(const struct nat *nat, const struct dhcp_request *request)
{
	switch (request->type) {
	case DHCP_DISCOVER:
		return DHCP_OFFER;
	case DHCP_REQUEST:
		return answer_to_request(nat, request);
	case DHCP_INFORM:
		return request->client.s_addr == net_to_ipv4(&nat->guest4).s_addr ? DHCP_ACK : 0;
	default: /* DECLINE, RELEASE: the lease is the guest's whether it likes it or not */
		return 0;
	}
}

/* Where the answer goes (RFC 2131, 4.1). */
static struct in6_addr dhcp_target(const struct nat *nat, const struct dhcp_request *request, enum dhcp_type type)
{
	static const struct in_addr broadcast = { INADDR_BROADCAST };

	if (type == DHCP_NAK || (!request->client.s_addr && request->broadcast))
		return net_from_ipv4(broadcast);
	return nat->guest4;
}

static void answer_dhcp(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	struct nat *nat = gateway->nat;
	const struct net_endpoint from = { nat->gateway4, DHCP_SERVER_PORT };
	struct dhcp_lease lease = { .address = net_to_ipv4(&nat->guest4),
		                    .server = net_to_ipv4(&nat->gateway4),
		                    .router = nat->neighbours.isolated ? (struct in_addr){ 0 }
		                                                       : net_to_ipv4(&nat->gateway4),
		                    .bits = nat->options.subnet.bits - 96,
		                    .dns = { net_to_ipv4(&nat->gateway4) },
		                    .n_dns = 1,
		                    .mtu = nic_mtu(nat->nic),
		                    .seconds = GATEWAY_LEASE_SECONDS,
		                    .host_name = nat->options.host_name };
	unsigned char reply[DHCP_REPLY_MAX];
	struct dhcp_request request;
	struct iovec iov = { reply, 0 };
	struct net_endpoint to;
	enum dhcp_type type;

	if (!take_datagram(gateway, frame, p))
		return;
	if (dhcp_parse(gateway->message + sizeof(struct udphdr), p->payload_len, &request) < 0) {
		counter_add(nat->counters.malformed, 1);
		return;
	}
	type = answer_to(nat, &request);
	if (!type)
		return;
	if (!lease.host_name)
		lease.host_name = nat->host->machine_name(nat->dev);
	lease.n_search = upstreams_search(nat->upstreams, &lease.search);
	iov.iov_len = dhcp_reply(&request, type, &lease, reply);
	to = (struct net_endpoint){ dhcp_target(nat, &request, type), DHCP_CLIENT_PORT };
	(void)send_udp(nat, frame->pair, &from, &to, &iov, 1);
}

/* ---- DHCPv6 ---- */

static void answer_dhcp6(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	struct nat *nat = gateway->nat;
	const struct net_endpoint from = { nat->gateway_link_local, DHCP6_SERVER_PORT };
	const struct net_endpoint to = { p->source, p->source_port };
	struct dhcp6_lease lease = {
		.address = nat->guest6, .dns = &nat->gateway6, .n_dns = 1, .seconds = GATEWAY_LEASE_SECONDS
	};
	unsigned char reply[DHCP6_ANSWER_MAX];
	struct iovec iov = { reply, 0 };

	if (!take_datagram(gateway, frame, p))
		return;
	memcpy(lease.server_mac, nat->gateway_mac, ETH_ALEN);
	lease.n_search = upstreams_search(nat->upstreams, &lease.search);
	iov.iov_len =
		dhcp6_answer(gateway->message + sizeof(struct udphdr), p->payload_len, &lease, reply, sizeof reply);
	if (iov.iov_len > 0)
		(void)send_udp(nat, frame->pair, &from, &to, &iov, 1);
}

/* ---- neighbour discovery ---- */

static void advertise_router(struct nat *nat, unsigned pair, const struct in6_addr *to)
{
	struct router router = { .prefix = nat->options.subnet6,
		                 .mtu = nic_mtu(nat->nic),
		                 .lifetime = nat->neighbours.isolated ? 0 : ROUTER_LIFETIME,
		                 .dns = &nat->gateway6,
		                 .n_dns = 1 };
	unsigned char message[NEIGHBOUR_MESSAGE_MAX];
	struct iovec iov = { message, 0 };

	memcpy(router.mac, nat->gateway_mac, ETH_ALEN);
	router.n_search = upstreams_search(nat->upstreams, &router.search);
	iov.iov_len = router_put_advertisement(message, &nat->gateway_link_local, to, &router);
	(void)send_ip(nat, pair, &nat->gateway_link_local, to, IPPROTO_ICMPV6, NEIGHBOUR_HOP_LIMIT, &iov, 1);
}

static void on_advertise(struct timeout *timeout)
{
	struct gateway *gateway = (struct gateway *)((char *)timeout - offsetof(struct gateway, advertise));
	struct nat *nat = gateway->nat;

	if (!nic_is_active(nat->nic))
		return; /* gateway_begin() sets it again */
	advertise_router(nat, 0, &all_nodes);
	nic_flush(nat->nic);
	(void)timeout_set(nat->timeouts, timeout, ROUTER_AGAIN * 1000u);
}

/* The solicitation is in `message`. */
static void answer_neighbour(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	struct nat *nat = gateway->nat;
	const bool unspecified = IN6_IS_ADDR_UNSPECIFIED(&p->source);
	const struct in6_addr to = unspecified ? all_nodes : p->source; /* RFC 4861, 7.2.4 */
	struct neighbour_solicitation solicitation;
	unsigned char message[NEIGHBOUR_MESSAGE_MAX];
	struct iovec iov = { message, 0 };

	if (neighbour_parse(gateway->message, p->l4_len, &solicitation) < 0) {
		counter_add(nat->counters.malformed, 1);
		return;
	}
	if (!nat_is_gateway_address(nat, &solicitation.target))
		return; /* where nobody answers, the guest may have the address itself */
	iov.iov_len = neighbour_put_advertisement(message, &solicitation.target, &to, &solicitation.target,
	                                          nat->gateway_mac, true, !unspecified);
	(void)send_ip(nat, frame->pair, &solicitation.target, &to, IPPROTO_ICMPV6, NEIGHBOUR_HOP_LIMIT, &iov, 1);
}

/* ---- ping ---- */

static void answer_echo(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	const bool ipv4 = net_is_ipv4(&p->source);
	unsigned char *message = gateway->message;
	struct iovec iov = { message, p->l4_len };
	uint32_t sum = 0;
	uint16_t finished;

	if (!take_message(gateway, frame, p))
		return;
	message[0] = ipv4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	memset(message + 2, 0, 2);
	if (!ipv4)
		sum = checksum_pseudo(&p->target, &p->source, IPPROTO_ICMPV6, (uint32_t)p->l4_len);
	finished = checksum_finish(checksum_add(sum, message, p->l4_len, 0));
	memcpy(message + 2, &finished, 2);
	(void)send_ip(gateway->nat, frame->pair, &p->target, &p->source, p->protocol, TTL, &iov, 1);
}

/* ---- all ---- */

static bool take_icmp(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	struct nat *nat = gateway->nat;

	if (frame->head[p->l4] != ICMP_ECHO || !nat_is_gateway_address(nat, &p->target))
		return false;
	answer_echo(gateway, frame, p);
	return true;
}

static bool take_icmp6(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	struct nat *nat = gateway->nat;
	const unsigned char *icmp = frame->head + p->l4;

	switch (icmp[0]) {
	case ICMP6_ECHO_REQUEST:
		if (!nat_is_gateway_address(nat, &p->target))
			return false;
		answer_echo(gateway, frame, p);
		return true;
	case ND_ROUTER_SOLICIT:
	case ND_NEIGHBOR_SOLICIT:
		if (p->ttl != NEIGHBOUR_HOP_LIMIT || icmp[1] != 0) {
			counter_add(nat->counters.malformed, 1);
			return true;
		}
		if (!take_message(gateway, frame, p))
			return true;
		if (icmp[0] == ND_NEIGHBOR_SOLICIT)
			answer_neighbour(gateway, frame, p);
		else
			advertise_router(nat, frame->pair,
			                 IN6_IS_ADDR_UNSPECIFIED(&p->source) ? &all_nodes : &p->source);
		return true;
	default:
		return false; /* a guest that advertises itself as neighbour or router finds nobody who would believe it
		               */
	}
}

static bool take_udp(struct gateway *gateway, const struct nic_frame *frame, const struct packet *p)
{
	struct nat *nat = gateway->nat;

	if (net_is_ipv4(&p->source)) {
		if (p->target_port != DHCP_SERVER_PORT ||
		    !(net_is_multicast(&p->target) || net_same(&p->target, &nat->gateway4)))
			return false;
		answer_dhcp(gateway, frame, p);
		return true;
	}
	if (p->target_port != DHCP6_SERVER_PORT ||
	    !(net_same(&p->target, &all_dhcp6_servers) || nat_is_gateway_address(nat, &p->target)))
		return false;
	answer_dhcp6(gateway, frame, p);
	return true;
}

bool gateway_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	if (packet->kind == PACKET_ARP) {
		answer_arp(nat, frame, packet);
		return true;
	}
	if (packet->kind != PACKET_IP)
		return false;
	switch (packet->protocol) {
	case IPPROTO_UDP:
		return take_udp(nat->gateway, frame, packet);
	case IPPROTO_ICMP:
		return net_is_ipv4(&packet->source) && take_icmp(nat->gateway, frame, packet);
	case IPPROTO_ICMPV6:
		return !net_is_ipv4(&packet->source) && take_icmp6(nat->gateway, frame, packet);
	default:
		return false;
	}
}

void gateway_begin(struct nat *nat)
{
	if (!nat->ipv6)
		return;
	(void)timeout_set(nat->timeouts, &nat->gateway->advertise, ROUTER_AGAIN * 1000u);
}

int gateway_new(struct nat *nat, struct gateway **out)
{
	struct gateway *gateway = malloc(sizeof *gateway); /* most of it is a buffer, which need not be touched */

	*out = gateway;
	if (!gateway)
		return -ENOMEM;
	gateway->nat = nat;
	gateway->advertise = (struct timeout){ .call = on_advertise };
	return 0;
}

void gateway_free(struct gateway *gateway)
{
	if (!gateway)
		return;
	timeout_clear(gateway->nat->timeouts, &gateway->advertise);
	free(gateway);
}
