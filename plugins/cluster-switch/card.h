/* SPDX-License-Identifier: MIT */
/*
 * card.h - between a member's card (../net/nic.h), its ring to the switch (member.h) and the gateway in its own process
 * (../net-nat/nat.h).
 *
 * THEORY OF OPERATION. From the guest: what is for the gateway (its MAC; ARP for its address; DHCP; router
 * solicitations) is answered here and never reaches the switch; all else is judged by the policy between members
 * (conversation.h), copied into the ring, and published behind the batch. A full ring holds the transmit queue until
 * the switch has made room.
 *
 * To the guest: frames stay in the ring until the guest has receive buffers; where that is full, the switch drops. What
 * the sender left to others and this guest did not negotiate (checksums, segments) is done here, by segment.h.
 *
 * THREAD: the home loop.
 */
#ifndef CAPSA_CLUSTER_CARD_H
#define CAPSA_CLUSTER_CARD_H
#endif
