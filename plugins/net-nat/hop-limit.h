/* SPDX-License-Identifier: MIT */
/*
 * hop-limit.h - how far the guest's packets may go: its TTL, or IPv6's hop limit, less the one hop that the gateway is,
 * on the socket of a flow. So traceroute(8) and mtr(8) in the guest see the routers behind the host.
 *
 * Linux sends with HOP_LIMIT_USUAL, and so does the host: such a packet goes out with what the host has for its own, as
 * one hop more or less does not matter there, and no system call is needed where nobody counts hops.
 */
#ifndef CAPSA_NAT_HOP_LIMIT_H
#define CAPSA_NAT_HOP_LIMIT_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

#define HOP_LIMIT_USUAL 64u

/*
 * `guest`: of the packet that is to go out; less than 2 only where it goes no further than the host. *set: the guest's
 * of the one before; HOP_LIMIT_USUAL for a new socket. A socket that refuses sends as it did: what counts hops will see
 * that there is one too many, or too few.
 */
static inline void hop_limit_set(int fd, int family, uint8_t *set, uint8_t guest)
{
	const int limit = guest == HOP_LIMIT_USUAL ? -1 : guest > 1 ? guest - 1 : 1; /* -1: the host's default */

	if (guest == *set)
		return;
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &limit, sizeof limit);
	else
		(void)setsockopt(fd, IPPROTO_IP, IP_TTL, &limit, sizeof limit);
	*set = guest;
}

#endif
