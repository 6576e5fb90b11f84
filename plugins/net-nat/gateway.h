/* SPDX-License-Identifier: MIT */
/*
 * gateway.h - what the gateway itself answers: ARP, DHCP, neighbour discovery, router advertisements, DHCPv6, ping.
 *
 * The guest's one neighbour, as a rule. It answers ARP for its own address and for all others but the guest's (there is
 * nobody else), so that a guest with a wider mask loses nothing; probes, by which a guest finds out whether an address is
 * free, only for its own. IPv6's neighbour discovery the same, but only for its own, as the guest may take any other. Where
 * there are neighbours, ARP is answered for its own address only, too.
 *
 * It leases the guest one address of each family, again and again the same, and tells its own as router and name
 * server; not as router where nothing leaves.
 * Home loop.
 */
#ifndef CAPSA_NAT_GATEWAY_H
#define CAPSA_NAT_GATEWAY_H

#include "plugins/net-nat/nat.h"

#define GATEWAY_LEASE_SECONDS 86400u

int gateway_new(struct nat *nat, struct gateway **out);
void gateway_free(struct gateway *gateway);
/*
 * The card is up: the router advertises itself every few hours from now on. Not at once, as no driver has buffers for it
 * yet: a guest asks by itself when its interface comes up.
 */
void gateway_begin(struct nat *nat);
/* Takes what is the gateway's: true, or false where the frame is for others. */
bool gateway_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);

#endif
