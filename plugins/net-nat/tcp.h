/* SPDX-License-Identifier: MIT */
/*
 * tcp.h - TCP between the guest and sockets of the host (RFC 9293): translation, not a stack.
 *
 * THEORY OF OPERATION. Each of the guest's connections is one socket. The guest's segments are spoken to here by the
 * letter of RFC 9293; towards the network the host's kernel does everything: congestion, retransmission, timers.
 *
 *   guest -> host  A SYN begins a non-blocking connect(2); SYN+ACK goes out when it is done, RST or an ICMP error when
 *                  it fails. Payload goes by sendmsg(2) from guest memory, and is acknowledged once a batch of frames.
 *                  The window that is offered is what the socket has room for, so that it is rare that it takes less;
 *                  the rest is kept then (tcp-kept.c), as is what comes before its turn (tcp-ahead.c).
 *   host -> guest  Received straight into the guest's receive buffers, as much as its window allows, up to 64 KiB under
 *                  one GSO header. What the guest has not acknowledged is needed again when a segment is lost between
 *                  us and its TCP: tcp-unacked.h keeps it, in the kernel where SO_PEEK_OFF works for TCP (Linux 6.9),
 *                  else in a copy.
 *
 * Port 53 of the gateway is served by one end of a socketpair(2), out of dns_accept(), in place of a connection.
 *
 * Each side's FIN and RST is passed on when it is due: the table in tcp-state.c says which event is legal in which
 * state.
 *
 * Home loop.
 */
#ifndef CAPSA_NAT_TCP_H
#define CAPSA_NAT_TCP_H

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/nat.h"

int tcp_new(struct nat *nat, struct tcp **out);
void tcp_free(struct tcp *tcp);
/* A segment of the guest's, source checked; `packet` of `frame`. Its checksum is looked at here where the frame has a
 * whole one. */
void tcp_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);
/* Acknowledges what the batch brought. */
void tcp_batch_end(struct nat *nat);
/* Receive buffers are there again: flows that waited for them go on. */
void tcp_room(struct nat *nat, unsigned pair);
/* Tokens are there again (rate.h). True: it shall be called again, soon, there are more who wait and tokens left. */
bool tcp_resume(struct nat *nat);
/*
 * A connection to the guest: `fd` was accepted (sockets_adopt()ed; closed here in every case of failure), `from` is
 * what the guest shall see as peer, port 0: any free one. SYN goes out. 0, or -errno: EMFILE, EADDRINUSE, ENETDOWN.
 */
int tcp_open_inbound(struct nat *nat, int fd, const struct net_endpoint *from, const struct net_endpoint *guest);
extern const struct flow_kind flow_tcp;

#endif
