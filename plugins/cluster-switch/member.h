/* SPDX-License-Identifier: MIT */
/*
 * member.h - a machine's place in its cluster: joins it, and joins again when the switch has gone.
 *
 * STATES.   WAITING     no switch: the folder is watched (inotify) until its socket appears     -> CONNECTED
 *           CONNECTED   HELLO was sent                                             WELCOME      -> JOINED
 *                                                       REFUSED, at realize: an error; later    -> REFUSED
 *                                                                                  the end      -> WAITING
 *           JOINED      there is a ring                                            the end      -> WAITING
 *           REFUSED     by another switch than the first one: somebody took our place. Said once; as WAITING
 *
 * THREAD. member_open() in realize(), where it may block; all else on the home loop.
 */
#ifndef CAPSA_CLUSTER_MEMBER_H
#define CAPSA_CLUSTER_MEMBER_H

#include <stdbool.h>
#include <stddef.h>

#include "capsa-plugin.h"
#include "plugins/cluster-switch/protocol.h"
#include "plugins/cluster-switch/ring.h"

#define MEMBER_JOIN_MS 10000 /* how long realize() waits for a switch */

struct member;

struct member_operations {
	/* The ring has frames or room: look at both directions. */
	void (*woken)(void *ctx);
	/* There is another ring (member_ring()), or none: what was kept of the old one is void. */
	void (*changed)(void *ctx);
};

/*
 * Makes the folder where it is missing, starts a guardian, joins. `hello` is copied; its header is filled here. 0, or
 * -errno with a line in `cause`: refused (with both names), or nobody answered. -ENOENT with an empty one: the machine
 * has no shared folder, of which shared_path() has said why, unless it is a mere check. *out is to be freed after an
 * error, too.
 */
int member_open(const struct capsa_host *host, struct capsa_device *dev, const char *cluster,
                const struct protocol_hello *hello, const struct member_operations *operations, void *ctx,
                struct member **out, char *cause, size_t size);
/* Leaves the cluster. NULL is fine. */
void member_free(struct member *member);
/* In start(): watches from now on. 0 or -ENOMEM. */
int member_start(struct member *member);

/* NULL: no switch at the moment. The ring lives until changed() or member_free(). */
struct ring *member_ring(const struct member *member);
/* What it was told when it joined: its address, index and subnets; as before while there is no switch. */
const struct protocol_welcome *member_place(const struct member *member);
/* Who is there, by the switch's last word. n is 0 while there is none. */
const struct protocol_members *member_list(const struct member *member);
/* New peers or rate, also for every switch to come. */
void member_change(struct member *member, const struct bridge_port_options *port);
/* The ring is of no use (-EPROTO): leaves it, by changed(), and joins again. */
void member_give_up(struct member *member);
/* How often it has joined, for info(). */
unsigned member_joins(const struct member *member);

#endif
