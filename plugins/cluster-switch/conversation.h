/* SPDX-License-Identifier: MIT */
/*
 * conversation.h - what this guest may begin towards other members, where its entry has a `policy`.
 *
 * THEORY OF OPERATION. A frame of the guest's that begins something is judged: a TCP SYN, the first UDP datagram or
 * packet of another protocol between two ends, an echo request. What a member began is known here, too, so that answers
 * to it pass unjudged; what belongs to nothing that is known counts as the beginning of something.
 *
 *   ARP; ICMPv6 that is neighbour discovery or MLD; ICMP errors    pass: the link needs them
 *
 *   echo replies                                                   pass where a member asked
 *
 *   the first piece of a packet                                    as the packet, where it has all of its header
 *
 *   later pieces                                                   pass where the first one has
 *
 *   source routes, other EtherTypes, what is malformed             do not: nobody could say where they go
 *
 * Rules do not look at a VLAN's tag, but what was said in one VLAN is no answer in another, nor without one. Two tables
 * of CONVERSATIONS_MAX, one for each side that may begin, so that others cannot push out what the guest began. Times
 * without a packet after which a conversation is forgotten: RFC 5382 (TCP), RFC 4787 (UDP). In a full table the one
 * goes that is worth least: of short ones the oldest, of TCP's established ones last. No timer: who comes looks for
 * what has ended.
 *
 * New rules count at once for what the guest began; what a member began stays. Home loop.
 */
#ifndef CAPSA_CLUSTER_CONVERSATION_H
#define CAPSA_CLUSTER_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/net/address.h"
#include "plugins/net/packet.h"

#define CONVERSATIONS_MAX 16384u           /* of each side */
#define CONVERSATION_SHORT_MS 60000u       /* pings, pieces of packets */
#define CONVERSATION_TRANSITORY_MS 240000u /* TCP that has not answered yet, or has an end */
#define CONVERSATION_UDP_MS 300000u
#define CONVERSATION_TCP_MS 7440000u

struct conversations;

/*
 * `judge` says whether the guest may begin it: `member` is where the packet would go, ports are 0 where the protocol
 * has none. 0 or -errno.
 */
int conversations_new(bool (*judge)(void *ctx, uint8_t protocol, const struct net_endpoint *guest,
                                    const struct net_endpoint *member),
                      void *ctx, struct conversations **out);
void conversations_free(struct conversations *conversations); /* NULL is fine */
/* The rules have changed: what the guest began is judged again when it goes on. */
void conversations_judge_again(struct conversations *conversations);
void conversations_forget_all(struct conversations *conversations);
/* How many are known, those that have just ended included. */
unsigned conversations_count(const struct conversations *conversations);

/*
 * A frame from the guest to others, `packet` as of packet_parse() of its `head`: false where it must not pass. What the
 * others get must be what was looked at: this copy. `now` in ms of a clock that does not go back.
 */
bool conversation_send(struct conversations *conversations, const struct packet *packet, const unsigned char *head,
                       size_t head_len, uint64_t now);
/* A frame from others to the guest. */
void conversation_hear(struct conversations *conversations, const struct packet *packet, const unsigned char *head,
                       size_t head_len, uint64_t now);

#endif
