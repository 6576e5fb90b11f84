/* SPDX-License-Identifier: MIT */
/*
 * cluster-gateway.h - the gateway of a cluster as one member has it: in its own process, for its own guest.
 *
 * THEORY OF OPERATION. All members' gateways have the same MAC and the subnet's first address, and none is on the
 * segment: each answers its own guest at the card (../net-nat/nat.h: struct nat_neighbours), so no frame to or from a
 * gateway is ever seen by the switch, and what a guest may reach outside is judged beside its own card, by its own
 * policy. It leases the address that the member was given, knows the other members' names (NAME, and
 * NAME.CLUSTER.cluster), and translates where `nat` says so; without that it is isolated: no router is told, nothing
 * leaves.
 *
 * Where the entry has a `policy`, its rules hold for what the guest begins towards members as well (conversation.h):
 * what is denied is answered by the gateway (ICMP, "prohibited") and counted. Without one all between members is
 * allowed.
 *
 * THREAD: the home loop; life on the main thread while that stands still.
 */
#ifndef CAPSA_CLUSTER_CLUSTER_GATEWAY_H
#define CAPSA_CLUSTER_CLUSTER_GATEWAY_H

#include "capsa-plugin.h"
#include "plugins/cluster-switch/card.h"
#include "plugins/cluster-switch/member.h"
#include "plugins/cluster-switch/options.h"

struct cluster_gateway;

/*
 * In realize(), behind member_open(): options, card and member are borrowed. 0 or -errno with a line in `cause`; *out
 * is to be freed after an error, too.
 */
int cluster_gateway_new(const struct capsa_host *host, struct capsa_device *dev, const struct cluster_options *options,
                        struct card *card, struct member *member, struct cluster_gateway **out, char *cause,
                        size_t size);
/* Before card_free(). NULL is fine. */
void cluster_gateway_free(struct cluster_gateway *gateway);

/* In the plugin's callbacks. Errors are 0 or -errno with a line in `cause`. */
int cluster_gateway_start(struct cluster_gateway *gateway, char *cause, size_t size);
/* First in each that may send to the guest: what time it is. */
void cluster_gateway_refresh(struct cluster_gateway *gateway);
/* Behind card_activate(). */
void cluster_gateway_activate(struct cluster_gateway *gateway);
/* Before card_reset(). */
void cluster_gateway_reset(struct cluster_gateway *gateway);
void cluster_gateway_stop(struct cluster_gateway *gateway);
/* Behind card_set_link(). */
void cluster_gateway_set_link(struct cluster_gateway *gateway, bool up);
/* The live key: counts for what is under way, too. */
int cluster_gateway_set_policy(struct cluster_gateway *gateway, const struct capsa_value *value, char *cause,
                               size_t size);
/* "network", "link", and all that net-nat tells. */
void cluster_gateway_info(struct cluster_gateway *gateway);

#endif
