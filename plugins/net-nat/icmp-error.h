/* SPDX-License-Identifier: MIT */
/*
 * icmp-error.h - ICMP and ICMPv6 errors to the guest (RFC 792, RFC 4443), about a packet that it sent. Home loop.
 *
 * Not about ICMP errors, multicast, broadcast or later fragments (RFC 1122, 3.2.2); not more than ICMP_ERRORS_A_SECOND.
 */
#ifndef CAPSA_NAT_ICMP_ERROR_H
#define CAPSA_NAT_ICMP_ERROR_H

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/nat.h"

#define ICMP_ERRORS_A_SECOND 1000u

enum icmp_error {
	ICMP_ERROR_PROHIBITED,       /* policy: 3/13, 1/1 */
	ICMP_ERROR_NO_ROUTE,         /* ENETUNREACH: 3/0, 1/0 */
	ICMP_ERROR_HOST_UNREACHABLE, /* EHOSTUNREACH, time-outs: 3/1, 1/3 */
	ICMP_ERROR_PORT_UNREACHABLE, /* ECONNREFUSED of UDP: 3/3, 1/4 */
	ICMP_ERROR_TOO_BIG,          /* EMSGSIZE: 3/4, 2/0, with `mtu` */
	ICMP_ERROR_PROTOCOL,         /* a protocol that is not translated: 3/2, 4/1 */
	ICMP_ERROR_EXPIRED,          /* its TTL or hop limit: 11/0, 3/0 */
};

/* About the packet that begins at head + packet->l3; at most head_len bytes of it are quoted. */
void icmp_error_about(struct nat *nat, unsigned pair, enum icmp_error what, uint32_t mtu, const struct packet *packet,
                      const unsigned char *head, size_t head_len);
/* About a flow whose packet is gone: the quoted headers are made again out of its key (UDP, TCP: `sequence`). */
void icmp_error_about_flow(const struct flow *flow, enum icmp_error what, uint32_t mtu, uint32_t sequence);
/*
 * The same, of what a socket's error queue said about it. That a packet of it has expired is said in the name of the
 * router where it did.
 */
struct error_report;
void icmp_error_relay(const struct flow *flow, const struct error_report *report, uint32_t sequence);
/* What an error of a socket call means. */
enum icmp_error icmp_error_of(int error);

#endif
