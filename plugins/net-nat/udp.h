/* SPDX-License-Identifier: MIT */
/*
 * udp.h - UDP between the guest and sockets of the host: a connected socket for each flow (RFC 4787's address-dependent
 * filtering comes with it), which ends UDP_EXPIRY after its last datagram.
 *
 * Datagrams go out from guest memory, and come in by recvmmsg(2) into the guest's buffers. What the kernel learned by
 * ICMP (IP_RECVERR) goes on to the guest as ICMP. Home loop.
 */
#ifndef CAPSA_NAT_UDP_H
#define CAPSA_NAT_UDP_H

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/nat.h"

#define UDP_EXPIRY 180000u      /* ms; RFC 4787, REQ-5 */
#define UDP_IDLE 5000u          /* ms after which a flow may be ended for want of room */
#define UDP_EXPIRY_BRIEF 30000u /* one question and its answer: port 53, and flows that never got an answer */

int udp_new(struct nat *nat, struct udp **out);
void udp_free(struct udp *udp);
/* A datagram of the guest's, whole; `packet` of `frame`. */
void udp_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);
void udp_resume(struct nat *nat);
/*
 * There is no room for another flow, or no descriptor: ends the one that has been idle longest, where that
 * is UDP_IDLE at least. False: there is none.
 */
bool udp_make_room(struct nat *nat);
/*
 * A published port: datagrams that come to `fd` (bound, not connected) go to `guest`; answers go back by the same
 * socket. Peers are told apart by the port that the guest sees. Watched until udp_unpublish(). 0 or -errno.
 */
struct udp_published;
int udp_publish(struct nat *nat, int fd, const struct net_endpoint *guest, struct udp_published **out);
void udp_unpublish(struct nat *nat, struct udp_published *published); /* closes fd */
extern const struct flow_kind flow_udp;

#endif
