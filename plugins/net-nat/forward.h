/* SPDX-License-Identifier: MIT */
/*
 * forward.h - published ports: listeners of the host's whose connections and datagrams go to the guest.
 *
 *     "tcp:127.0.0.1:8080:80"   "udp:5353:5353"   "tcp:[::1]:0:22"   "8080:80"
 *      protocol (tcp where none), address (127.0.0.1 where none), port of the host (0: any), port of the guest
 *
 * Listeners are opened in realize: a port in use is an error of the start that names it. [::] takes IPv4 as well, other
 * IPv6 addresses only themselves.
 *
 * WHAT THE GUEST SEES. Peers come from the gateway's IPv4 address, by their own port where that is free. With
 * keep_source they come from their own address, but for those of the host's loopback, which the guest could not answer.
 *
 * While the guest is not there (no driver, no link), connections wait in the kernel's backlog. The same where there is
 * no descriptor or no flow left for one more, until one ends. Home loop.
 */
#ifndef CAPSA_NAT_FORWARD_H
#define CAPSA_NAT_FORWARD_H

#include "plugins/net-nat/nat.h"

#define FORWARDS_MAX 256u

struct flow_key;

struct forward {
	uint8_t protocol;           /* IPPROTO_TCP, IPPROTO_UDP */
	struct net_endpoint listen; /* port: the one that it has */
	uint16_t guest_port;
};

/* 0 or -EINVAL with one line in `cause`. */
int forward_parse(const char *text, struct forward *out, char *cause, size_t size);

/* In realize: parses and opens all. 0 or -errno with `cause`. */
int forwards_new(struct nat *nat, struct forwards **out, char *cause, size_t size);
void forwards_free(struct forwards *forwards);
/* In start: connections are accepted from now on, those that came before as well. */
int forwards_start(struct forwards *forwards);
/* What may have kept connections waiting is over: the driver is there, a flow has ended. NULL: fine. */
void forwards_resume(struct forwards *forwards);
unsigned forwards_count(const struct forwards *forwards);
const struct forward *forwards_get(const struct forwards *forwards, unsigned n);

/* Whether the guest can be reached. */
bool forward_guest_is_there(const struct nat *nat);
/*
 * The flow of `peer` as the guest shall see it, free in the table of flows; key->protocol is the caller's. 0, or
 * -EADDRINUSE: no port is free.
 */
int forward_key(const struct nat *nat, const struct net_endpoint *peer, uint16_t guest_port, struct flow_key *key);

#endif
