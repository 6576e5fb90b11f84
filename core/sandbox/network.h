/* SPDX-License-Identifier: MIT */
/*
 * network.h - what network cards a sandbox machine's agent is to set up: those whose plugin says how (the object
 * "network" of its info(), capsa-plugin.h).
 *
 * All are asked for at once, together with the mounts (mounts.h): the agent takes its requests in turn, so it is one
 * round trip, and by then the root stands whose /etc/resolv.conf is meant. What is set up already stays so. Where there are
 * several cards each is asked for with the names of all (names.h).
 *
 * On the main loop of the machine's process.
 */
#ifndef CAPSA_SANDBOX_NETWORK_H
#define CAPSA_SANDBOX_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/sandbox/client.h"

struct network;

/* Where the devices are. */
struct network_devices {
	size_t n;
	/* What device `index` tells of itself, as a GROUP that lives in `arena`: as vm_device_info(). */
	int (*info)(void *ctx, size_t index, struct arena *arena, struct capsa_value *out, struct error *err);
	const char *(*name)(void *ctx, size_t index); /* for messages; lives as long as the network */
	void *ctx;
};

/* 0 or -errno with err. */
int network_new(struct reactor *reactor, const struct network_devices *devices, struct network **out,
                struct error *err);
void network_free(struct network *network); /* NULL is fine */

/*
 * Asks the agent, which has `ms` milliseconds for all of them. done() is called once, with why the first one that
 * failed did, or NULL; at once where there are none. Again only when done() was called, or after network_forget().
 */
void network_ask(struct network *network, struct client *client, int64_t ms,
                 void (*done)(void *ctx, const char *failure), void *ctx);
/* The connection has ended, or is about to be closed: done() will not be called any more. */
void network_forget(struct network *network);
/* How many cards were asked for. */
size_t network_cards(const struct network *network);

#endif
