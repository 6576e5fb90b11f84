/* SPDX-License-Identifier: MIT */
/*
 * dns.h - the DNS forwarder at the gateway (RFC 1035, 6891, 7766): UDP and TCP, port 53.
 *
 * THEORY OF OPERATION. A question is taken apart only as far as it must be: header, one question, EDNS. Its name is
 * asked of the policy; REFUSED where no rule allows it. Then the message goes on as it is, under an identifier of ours,
 * from a socket of its own with a port of the kernel's choice, to the best upstream; after DNS_PATIENCE to the next. An
 * answer must come from where the question went, with our identifier and the same question. A truncated one is asked
 * again over TCP where the guest asked by TCP; else the guest is told. What is too long for a datagram is asked over
 * TCP at once. Addresses in the answer section, along its CNAMEs, are learned (names.h) before the guest gets it; what
 * else it holds passes unread. Messages are walked with libresolv's ns_*(3).
 *
 * Home loop. Nothing here blocks, not even for names of /etc/hosts, which is read when it has changed.
 */
#ifndef CAPSA_NAT_DNS_H
#define CAPSA_NAT_DNS_H

#include "plugins/net-nat/nat.h"

#define DNS_PORT 53u
#define DNS_PATIENCE 2000u /* ms for one upstream */
#define DNS_PENDING_MAX 512u
#define DNS_CONNECTIONS_MAX 64u

int dns_new(struct nat *nat, struct dns **out);
void dns_free(struct dns *dns);
/* A datagram for port 53 of the gateway. */
void dns_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);
/*
 * The guest opens a TCP connection to port 53 of the gateway: one end of a socketpair(2) for tcp.c to translate to, the
 * other is served here. A descriptor, or -errno (EMFILE: too many).
 */
int dns_accept(struct nat *nat);
/* The guest's driver has gone: questions under way are forgotten. */
void dns_forget_all(struct dns *dns);

#endif
