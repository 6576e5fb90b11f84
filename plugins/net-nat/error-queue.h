/* SPDX-License-Identifier: MIT */
/*
 * error-queue.h - what the kernel learned of a datagram socket's packets by ICMP: IP_RECVERR and IPV6_RECVERR, ip(7).
 * No state; any thread.
 */
#ifndef CAPSA_NAT_ERROR_QUEUE_H
#define CAPSA_NAT_ERROR_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/net/address.h"

struct error_report {
	int error;    /* positive: ECONNREFUSED, EHOSTUNREACH, EMSGSIZE, ... */
	uint32_t mtu; /* EMSGSIZE: of the way there; else 0 */
	bool local;   /* said by this host, to the caller of sendmsg(2) as well */
	bool expired; /* ICMP time exceeded in transit: it may have gone no further than */
	struct in6_addr router;
};

/* Turns it on for a socket of AF_INET or AF_INET6. 0 or -errno. */
int error_queue_open(int fd, int family);
/*
 * The next one, and the beginning of the packet that it is about as the socket sent it (`quote`, *quote_len bytes of
 * room; may be NULL). False: there is none.
 */
bool error_queue_take(int fd, struct error_report *out, void *quote, size_t *quote_len);
/* The MTU that the kernel knows of a connected socket's way; 0: none. */
uint32_t error_queue_mtu(int fd, int family);

#endif
