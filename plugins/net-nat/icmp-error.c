/* SPDX-License-Identifier: MIT */
/*
 * icmp-error.c - see icmp-error.h.
 *
 * An error quotes the packet that it is about: all of it that there is room for, so that the guest's stack finds the
 * socket it belongs to. "Port unreachable" is what the far machine would have said and comes from its address, "time
 * exceeded" from the router's that said so, or the gateway where that is where a packet may go no further; the others
 * are the gateway's.
 */
#include "plugins/net-nat/icmp-error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "plugins/net-nat/error-queue.h"
#include "plugins/net-nat/send.h"
#include "plugins/net/checksum.h"

#define TTL 64u
#define HEADER 8u                                                  /* of an error; what is quoted follows */
#define IPV4_MOST (576u - sizeof(struct iphdr))                    /* RFC 1812, 4.3.2.3 */
#define IPV6_MOST (NIC_MTU_MIN - (unsigned)sizeof(struct ip6_hdr)) /* RFC 4443, 2.4 (c) */
#define UPPER_BYTES 8u                                             /* of a quoted upper layer, at least (RFC 792) */

static const struct {
	uint8_t type, code; /* ICMP */
	uint8_t type6, code6;
} errors[] = {
	[ICMP_ERROR_PROHIBITED] = { ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN },
	[ICMP_ERROR_NO_ROUTE] = { ICMP_DEST_UNREACH, ICMP_NET_UNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE },
	[ICMP_ERROR_HOST_UNREACHABLE] = { ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH,
	                                  ICMP6_DST_UNREACH_ADDR },
	[ICMP_ERROR_PORT_UNREACHABLE] = { ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH,
	                                  ICMP6_DST_UNREACH_NOPORT },
	[ICMP_ERROR_TOO_BIG] = { ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP6_PACKET_TOO_BIG, 0 },
	[ICMP_ERROR_EXPIRED] = { ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT },
	[ICMP_ERROR_PROTOCOL] = { ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER },
};

/* A token bucket of one second. */
static bool may_send(struct nat *nat)
{
	const uint64_t now = timeouts_now(nat->timeouts);

	if (!nat->icmp_errors_since || now - nat->icmp_errors_since >= 1000) {
		nat->icmp_errors_since = now;
		nat->icmp_errors_left = ICMP_ERRORS_A_SECOND;
	}
	if (nat->icmp_errors_left == 0)
		return false;
	nat->icmp_errors_left--;
	return true;
}

/* Whose error it is: that of `far`, where the packet went, or the gateway's. */
static struct in6_addr source_of(const struct nat *nat, enum icmp_error what, const struct in6_addr *guest,
                                 const struct in6_addr *far)
{
	return what == ICMP_ERROR_PORT_UNREACHABLE ? *far : nat_gateway_for(nat, guest);
}

/* `value`: the MTU, or IPv6's pointer to what is wrong. `to` is the guest. */
static void send_error(struct nat *nat, unsigned pair, enum icmp_error what, uint32_t value, const struct in6_addr *to,
                       const struct in6_addr *from, const unsigned char *quote, size_t len)
{
	const bool ipv4 = net_is_ipv4(to);
	const size_t most = ipv4 ? IPV4_MOST : IPV6_MOST;
	unsigned char message[IPV6_MOST];
	struct iovec iov = { message, 0 };
	uint16_t finished;
	uint32_t sum = 0;

	if (len > most - HEADER)
		len = most - HEADER;
	iov.iov_len = HEADER + len;
	message[0] = ipv4 ? errors[what].type : errors[what].type6;
	message[1] = ipv4 ? errors[what].code : errors[what].code6;
	if (ipv4 && value > UINT16_MAX)
		value = UINT16_MAX;
	value = htonl(value); /* IPv4's MTU is in the lower half (RFC 1191, 4) */
	memset(message + 2, 0, 2);
	memcpy(message + 4, &value, 4);
	memcpy(message + HEADER, quote, len);
	if (!ipv4)
		sum = checksum_pseudo(from, to, IPPROTO_ICMPV6, (uint32_t)iov.iov_len);
	finished = checksum_finish(checksum_add(sum, message, iov.iov_len, 0));
	memcpy(message + 2, &finished, 2);
	(void)send_ip(nat, pair, from, to, ipv4 ? IPPROTO_ICMP : IPPROTO_ICMPV6, TTL, &iov, 1);
}

/* Requests and replies are no errors; all other ICMP is taken for one, as is what is not known (RFC 1122, 3.2.2). */
static bool is_icmp_error(const struct packet *p, const unsigned char *head)
{
	const uint8_t type = head[p->l4];

	if (p->protocol == IPPROTO_ICMP)
		return type != ICMP_ECHO && type != ICMP_ECHOREPLY;
	return p->protocol == IPPROTO_ICMPV6 && type < ICMP6_ECHO_REQUEST;
}

/* Where the field is that names the upper layer: the quoted packet's last "next header". */
static uint32_t next_header_of(const struct packet *p, const unsigned char *head)
{
	size_t at = p->l3 + sizeof(struct ip6_hdr), field = p->l3 + 6;
	uint8_t protocol = head[field];

	while (at < p->l4) { /* packet_parse() has walked them */
		field = at;
		at += protocol == IPPROTO_FRAGMENT ? 8 : (size_t)(head[at + 1] + 1) * 8;
		protocol = head[field];
	}
	return (uint32_t)(field - p->l3);
}

void icmp_error_about(struct nat *nat, unsigned pair, enum icmp_error what, uint32_t mtu, const struct packet *packet,
                      const unsigned char *head, size_t head_len)
{
	const bool ipv4 = net_is_ipv4(&packet->source);
	const size_t end = packet->l4 + packet->l4_len < head_len ? packet->l4 + packet->l4_len : head_len;
	const struct in6_addr from = source_of(nat, what, &packet->source, &packet->target);
	uint32_t value = 0;

	if (packet->fragment_offset > 0 || packet->to[0] & 1 || net_is_multicast(&packet->target) ||
	    !nat_is_guest_address(nat, &packet->source) || packet->l4 >= end || is_icmp_error(packet, head))
		return;
	if (what == ICMP_ERROR_TOO_BIG)
		value = mtu;
	else if (what == ICMP_ERROR_PROTOCOL && !ipv4)
		value = next_header_of(packet, head);
	if (may_send(nat))
		send_error(nat, pair, what, value, &packet->source, &from, head + packet->l3, end - packet->l3);
}

/* The first bytes of the flow's upper layer, as its socket's owner once sent them. */
static void put_upper(const struct flow_key *key, uint32_t sequence, unsigned char at[UPPER_BYTES])
{
	const uint16_t from = htons(key->guest.port), to = htons(key->far.port), len = htons(UPPER_BYTES);

	memset(at, 0, UPPER_BYTES);
	switch (key->protocol) {
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		at[0] = key->protocol == IPPROTO_ICMP ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
		memcpy(at + 4, &from, 2);
		at[6] = (unsigned char)(sequence >> 8);
		at[7] = (unsigned char)sequence;
		break;
	case IPPROTO_UDP:
		memcpy(at, &from, 2);
		memcpy(at + 2, &to, 2);
		memcpy(at + 4, &len, 2);
		break;
	default:
		sequence = htonl(sequence);
		memcpy(at, &from, 2);
		memcpy(at + 2, &to, 2);
		memcpy(at + 4, &sequence, 4);
		break;
	}
}

static void about_flow(const struct flow *flow, enum icmp_error what, const struct in6_addr *from, uint32_t mtu,
                       uint32_t sequence)
{
	const struct flow_key *key = &flow->key;
	unsigned char quote[sizeof(struct ip6_hdr) + UPPER_BYTES];
	size_t len;

	if (!may_send(flow->nat))
		return;
	len = packet_put_ip(quote, &key->guest.address, &key->far.address, key->protocol, UPPER_BYTES,
	                    what == ICMP_ERROR_EXPIRED ? 1 : TTL, 0);
	put_upper(key, sequence, quote + len);
	send_error(flow->nat, flow->pair, what, what == ICMP_ERROR_TOO_BIG ? mtu : 0, &key->guest.address, from, quote,
	           len + UPPER_BYTES);
}

void icmp_error_about_flow(const struct flow *flow, enum icmp_error what, uint32_t mtu, uint32_t sequence)
{
	const struct flow_key *key = &flow->key;
	const struct in6_addr from = source_of(flow->nat, what, &key->guest.address, &key->far.address);

	about_flow(flow, what, &from, mtu, sequence);
}

/* An address that can stand for a router, seen from the guest: none that means another one there. */
static bool is_router(const struct flow *flow, const struct in6_addr *a)
{
	return net_is_ipv4(a) == net_is_ipv4(&flow->key.guest.address) && !net_is_loopback(a) &&
	       !net_is_unspecified(a) && !net_is_multicast(a) && !net_is_link_local(a) &&
	       !nat_is_guest_address(flow->nat, a) && !nat_is_gateway_address(flow->nat, a) &&
	       !net_prefix_has(&flow->nat->options.subnet, a);
}

void icmp_error_relay(const struct flow *flow, const struct error_report *report, uint32_t sequence)
{
	if (!report->expired)
		icmp_error_about_flow(flow, icmp_error_of(report->error), report->mtu, sequence);
	else if (is_router(flow, &report->router))
		about_flow(flow, ICMP_ERROR_EXPIRED, &report->router, 0, sequence);
	else
		icmp_error_about_flow(flow, ICMP_ERROR_EXPIRED, 0, sequence);
}

enum icmp_error icmp_error_of(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return ICMP_ERROR_PROHIBITED;
	case ENETUNREACH:
	case ENETDOWN:
		return ICMP_ERROR_NO_ROUTE;
	case ECONNREFUSED:
		return ICMP_ERROR_PORT_UNREACHABLE;
	case EMSGSIZE:
		return ICMP_ERROR_TOO_BIG;
	case ENOPROTOOPT:
		return ICMP_ERROR_PROTOCOL;
	default: /* EHOSTUNREACH, ETIMEDOUT, EHOSTDOWN */
		return ICMP_ERROR_HOST_UNREACHABLE;
	}
}
