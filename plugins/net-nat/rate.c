/* SPDX-License-Identifier: MIT */
/*
 * rate.c - see rate.h. Buckets are filled when they are looked at; only one that is empty and that somebody waits for
 * has a time-out, set to when there are tokens for RESUME_MS.
 */
#include "plugins/net-nat/rate.h"

#include <errno.h>
#include <stdlib.h>

#include "plugins/net-nat/tcp.h"
#include "plugins/net-nat/timeout.h"
#include "plugins/net-nat/udp.h"

#define BUCKET_MIN (64 * 1024)
#define BUCKET_MS 100
#define RESUME_MS 10
#define FILL_MS_MAX 100000u /* fills every bucket, and 1T/s of it fits into 64 bits */

struct bucket {
	struct timeout timeout; /* first */
	struct rate *rate;
	int64_t speed; /* bytes/s; 0: no limit */
	int64_t room;
	int64_t tokens; /* both in thousandths of a byte: what a millisecond brings is a whole number */
	uint64_t filled;
};

struct rate {
	struct nat *nat;
	struct bucket buckets[2]; /* by enum rate_way */
};

static void resume_in(struct timeout *timeout)
{
	struct nat *nat = ((struct bucket *)timeout)->rate->nat;

	if (tcp_resume(nat))
		(void)timeout_set(nat->timeouts, timeout, 1);
	udp_resume(nat);
	nic_flush(nat->nic);
}

static void resume_out(struct timeout *timeout)
{
	nic_hold_transmit(((struct bucket *)timeout)->rate->nat->nic, false);
}

int rate_new(struct nat *nat, struct rate **out)
{
	const uint64_t speeds[] = { [RATE_IN] = nat->options.rate_in, [RATE_OUT] = nat->options.rate_out };
	struct rate *rate = calloc(1, sizeof *rate);

	*out = rate;
	if (!rate)
		return -ENOMEM;
	rate->nat = nat;
	for (unsigned way = 0; way < 2; way++) {
		struct bucket *bucket = &rate->buckets[way];

		bucket->timeout.call = way == RATE_IN ? resume_in : resume_out;
		bucket->rate = rate;
		bucket->speed = (int64_t)speeds[way];
		bucket->room = bucket->speed * BUCKET_MS;
		if (bucket->room < BUCKET_MIN * 1000)
			bucket->room = BUCKET_MIN * 1000;
		bucket->tokens = bucket->room;
		bucket->filled = timeouts_now(nat->timeouts);
	}
	return 0;
}

void rate_free(struct rate *rate)
{
	if (!rate)
		return;
	for (unsigned way = 0; way < 2; way++)
		timeout_clear(rate->nat->timeouts, &rate->buckets[way].timeout);
	free(rate);
}

static void fill(struct bucket *bucket)
{
	const uint64_t now = timeouts_now(bucket->rate->nat->timeouts);
	uint64_t ms = now - bucket->filled;

	if (ms > FILL_MS_MAX)
		ms = FILL_MS_MAX;
	bucket->filled = now;
	bucket->tokens += (int64_t)ms * bucket->speed;
	if (bucket->tokens > bucket->room)
		bucket->tokens = bucket->room;
}

/* Sets the time when there are tokens again. Out of memory: they are not waited for. */
static bool await(struct bucket *bucket)
{
	const int64_t missing = RESUME_MS * bucket->speed - bucket->tokens;

	if (timeout_is_set(&bucket->timeout))
		return true;
	return timeout_set(bucket->rate->nat->timeouts, &bucket->timeout,
	                   (uint64_t)((missing + bucket->speed - 1) / bucket->speed)) == 0;
}

bool rate_has(struct rate *rate, enum rate_way way)
{
	struct bucket *bucket = rate ? &rate->buckets[way] : NULL;

	if (!bucket || !bucket->speed)
		return true;
	fill(bucket);
	return bucket->tokens > 0 || !await(bucket);
}

void rate_spend(struct rate *rate, enum rate_way way, size_t bytes)
{
	struct bucket *bucket = rate ? &rate->buckets[way] : NULL;

	if (!bucket || !bucket->speed)
		return;
	fill(bucket);
	bucket->tokens -= (int64_t)bytes * 1000;
	/* Once the card stands still nobody asks any more. */
	if (way == RATE_OUT && bucket->tokens <= 0 && await(bucket))
		nic_hold_transmit(rate->nat->nic, true);
}
