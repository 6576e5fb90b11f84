/* SPDX-License-Identifier: MIT */
/*
 * link.h - a machine's own connection to the agent in its guest. The agent makes it, as soon as it serves: so "ready"
 * is an event. What is to be mounted is mounted then, and the network set up, and then it is ready. Until then, and while it is gone, the agent's
 * clients wait (or, after it was lost, are refused by the guest).
 *
 *   waiting -> the agent connects, says HELLO -> greeted -> mounts and network stand, or it can do without -> ready
 *      ^                                           |                                                         |
 *      +---- the connection ends: its process was killed, or the guest was reset ----------------------------+
 *
 * On the main loop of the machine's process.
 */
#ifndef CAPSA_SANDBOX_LINK_H
#define CAPSA_SANDBOX_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/sandbox/client.h"
#include "core/sandbox/mounts.h"
#include "core/sandbox/network.h"
#include "core/vsock/vsock.h"

struct link;

struct link_events {
	void (*greeted)(void *ctx, const struct client_times *times); /* each time that an agent has begun to serve */
	/* Something cannot be mounted or set up, for that reason. True: it goes on all the same. False: nobody is let in. */
	bool (*setup_failed)(void *ctx, const char *why);
	void (*ready)(void *ctx);
	void (*lost)(void *ctx); /* one that was ready */
};

/* Waits for the agent on `vsock`, which outlives the link, as `mounts` and `network` do. 0 or -errno with err. */
int link_open(struct reactor *reactor, struct vsock *vsock, struct mounts *mounts, struct network *network,
              const struct link_events *events, void *ctx, struct link **out, struct error *err);
void link_close(struct link *link); /* NULL is fine */

bool link_is_ready(const struct link *link);
/* Asks the guest to power off. False: there is nobody to ask. */
bool link_power_off(struct link *link, uint32_t grace_ms);
/* Sets the guest's clock to the host's. */
void link_set_clock(struct link *link);

#endif
