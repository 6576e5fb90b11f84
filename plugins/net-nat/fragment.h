/* SPDX-License-Identifier: MIT */
/*
 * fragment.h - pieces of IP packets from the guest, put together before anybody judges them (RFC 791, RFC 8200 4.5).
 *
 * So rules see ports of every packet, and no rule can be got round by fragments. Overlapping pieces end their packet
 * (RFC 5722, and for IPv4 as well). At most FRAGMENT_PACKETS are being put together, of FRAGMENT_BYTES in all, for
 * FRAGMENT_SECONDS; the oldest goes first. A whole packet goes to nat_whole_packet() in a buffer of ours. Home loop.
 */
#ifndef CAPSA_NAT_FRAGMENT_H
#define CAPSA_NAT_FRAGMENT_H

#include "plugins/net-nat/nat.h"

#define FRAGMENT_PACKETS 64u
#define FRAGMENT_BYTES (2u << 20)
#define FRAGMENT_SECONDS 15u

int fragments_new(struct nat *nat, struct fragments **out);
void fragments_free(struct fragments *fragments);
void fragments_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);
void fragments_forget_all(struct fragments *fragments);

#endif
