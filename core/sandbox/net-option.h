/* SPDX-License-Identifier: MIT */
/*
 * net-option.h - the words of --net, --publish, --allow, --deny and --policy, and the device that they stand for.
 *
 *   --net nat|none                             any of the others means nat
 *   --publish [tcp:|udp:][ADDR:]HOST:GUEST     again for more
 *   --allow MATCHER, --deny MATCHER            in order; any --allow makes the default "deny"
 *   --policy FILE                              the keys of a `policy` group, as in a file; in place of the two above
 *
 * MATCHER is one word or several with a "," between them, all of which must match (capsa-net-nat(7)):
 *
 *   domain:NAME[:PORTS]   ip:ADDRESS, ip:ADDRESS:PORTS, ip:[ADDRESS]:PORTS   cidr:NETWORK[:PORTS]
 *   group:GROUP[:PORTS]   port:PORTS   protocol:PROTOCOL                     PORTS: 443 or 6660-6669
 *
 * Whatever cannot be meant is refused with the option in front: net-nat itself knows only where it stands in the entry.
 */
#ifndef CAPSA_SANDBOX_NET_OPTION_H
#define CAPSA_SANDBOX_NET_OPTION_H

#include <stdbool.h>

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/config/config.h"

/* Begins as zeros. All of it lives in the arena that it was parsed with. */
struct net_options {
	bool none, nat;      /* --net said so */
	bool has_allow;      /* one of the rules is */
	const char *first;   /* the first that makes it a network of ours, as the user wrote it; NULL: none does */
	const char *forward; /* items of the keys `forward` and `rules`, with "," between; NULL: none */
	const char *rules;
	const char *policy; /* absolute path */
};

/* Each: the argument of that option. 0 or -errno with err, which names the option. */
int net_option_net(struct net_options *options, const char *word, struct arena *arena, struct error *err);
int net_option_publish(struct net_options *options, const char *word, struct arena *arena, struct error *err);
int net_option_rule(struct net_options *options, const char *word, bool allow, struct arena *arena, struct error *err);
int net_option_policy(struct net_options *options, const char *file, struct arena *arena, struct error *err);

/*
 * Adds the device to a machine, where there is to be one. With a net-nat of the file's, `--net nat` is fine and all
 * else is refused. 0 or -errno with err.
 */
int net_options_add(const struct net_options *options, struct config *config, struct error *err);

#endif
