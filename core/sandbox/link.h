/* SPDX-License-Identifier: MIT */
/*
 * link.h - a machine's own connection to the agent in its guest. The agent makes it, as soon as it serves: so "ready"
 * is an event. Until then, and while it is gone, the agent's clients wait (or, after it was lost, are refused by the
 * guest).
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
#include "core/vsock/vsock.h"

struct link;

struct link_events {
	void (*ready)(void *ctx, const struct client_times *times); /* each time that an agent has begun to serve */
	void (*lost)(void *ctx);
};

/* Waits for the agent on `vsock`, which outlives the link. 0 or -errno with err. */
int link_open(struct reactor *reactor, struct vsock *vsock, const struct link_events *events, void *ctx,
              struct link **out, struct error *err);
void link_close(struct link *link); /* NULL is fine */

bool link_is_ready(const struct link *link);
/* Asks the guest to power off. False: there is nobody to ask. */
bool link_power_off(struct link *link, uint32_t grace_ms);
/* Sets the guest's clock to the host's. */
void link_set_clock(struct link *link);

#endif
