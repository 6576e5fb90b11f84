/* SPDX-License-Identifier: MIT */
/*
 * udp.h - UDP between the guest and sockets of the host: a connected socket for each flow (RFC 4787's address-dependent
 * filtering comes with it), which ends UDP_EXPIRY after its last datagram.
 *
 * THEORY OF OPERATION. Datagrams go out by sendmsg(2) from guest memory, and come in by recvmmsg(2), as many at a time
 * as the guest has room for; where it has none, they stay in the socket's own buffer until udp_room(). The kernel cuts
 * what is longer than its MTU, send.h what is longer than the guest's. What the kernel learned by ICMP (error-queue.h)
 * goes on to the guest as ICMP.
 *
 * Published ports (udp-publish.c) have one socket for all peers, and a flow for each peer. Home loop.
 */
#ifndef CAPSA_NAT_UDP_H
#define CAPSA_NAT_UDP_H

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/nat.h"

#define UDP_EXPIRY 180000u      /* ms; RFC 4787, REQ-5 */
#define UDP_EXPIRY_BRIEF 30000u /* one question and its answer: port 53, and flows that never got an answer */
#define UDP_IDLE 5000u          /* ms after which a flow may be ended for want of room */

int udp_new(struct nat *nat, struct udp **out);
void udp_free(struct udp *udp);
/* A datagram of the guest's, whole; `packet` of `frame`. */
void udp_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);
/* Tokens are there again (rate.h). */
void udp_resume(struct nat *nat);
/* Receive buffers are there again. */
void udp_room(struct nat *nat, unsigned pair);
/*
 * There is no room for another flow, or no descriptor: ends the one that has been idle longest, where that is UDP_IDLE
 * at least. False: there is none.
 */
bool udp_make_room(struct nat *nat);
/* Whether it would end one. */
bool udp_has_idle(const struct nat *nat);
/*
 * A published port: datagrams that come to `fd` (bound, not connected) go to `guest_port`; answers go back by the same
 * socket, from the address that the peer wrote to. How the guest tells peers apart: forward_key(). At most half of
 * max_flows are peers'; one more ends the one of them that has been idle longest. Watched until udp_unpublish().
 * 0 or -errno; `fd` is the caller's then.
 */
struct udp_published;
int udp_publish(struct nat *nat, int fd, uint16_t guest_port, struct udp_published **out);
void udp_unpublish(struct nat *nat, struct udp_published *published); /* closes fd */
extern const struct flow_kind flow_udp;

#endif
