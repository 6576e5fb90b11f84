/* SPDX-License-Identifier: MIT */
/*
 * timeout.h - many times of the plugin's, one timer of the host's.
 *
 * THEORY OF OPERATION. A heap by time; the host's timer is set to the earliest. Most times are pushed back again and
 * again before they come (retransmission, expiry): moving one later only writes `at`, and the heap learns of it when
 * the old time comes. Nothing runs where no time is set, so an idle network makes no wake-up.
 *
 * Home loop.
 */
#ifndef CAPSA_NAT_TIMEOUT_H
#define CAPSA_NAT_TIMEOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "capsa-plugin.h"

struct timeouts;

/* Embedded in what waits. Zeroed: not set. Stays where it is while set. */
struct timeout {
	void (*call)(struct timeout *timeout);
	uint64_t at;     /* ms as timeouts_now(); 0: not set */
	uint64_t heaped; /* timeout.c's, as the next: where it stands in the heap */
	unsigned place;  /* 1..; 0: not in the heap */
};

int timeouts_new(const struct capsa_host *host, struct capsa_device *dev, struct timeouts **out);
void timeouts_free(struct timeouts *timeouts);
/* Milliseconds of CLOCK_MONOTONIC, read at most once a turn of the loop: timeouts_refresh() when a handler begins. */
uint64_t timeouts_now(const struct timeouts *timeouts);
void timeouts_refresh(struct timeouts *timeouts);
/* `ms` from now, in place of an earlier setting. -ENOMEM: it is not set. `call` may set it again, or free it. */
int timeout_set(struct timeouts *timeouts, struct timeout *timeout, uint64_t ms);
void timeout_clear(struct timeouts *timeouts, struct timeout *timeout);
/* The clock is ahead by `ms` more from now on: for tests. */
void timeouts_skip(struct timeouts *timeouts, uint64_t ms);
static inline bool timeout_is_set(const struct timeout *timeout)
{
	return timeout->at != 0;
}

#endif
