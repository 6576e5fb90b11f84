/* SPDX-License-Identifier: MIT */
/* timeout.c - see timeout.h. To be written. */
#include "plugins/net-nat/timeout.h"

int timeouts_new(const struct capsa_host *host, struct capsa_device *dev, struct timeouts **out)
{
	(void)host;
	(void)dev;
	(void)out;
	*out = NULL;
	return 0;
}

void timeouts_free(struct timeouts *timeouts)
{
	(void)timeouts;
}

uint64_t timeouts_now(const struct timeouts *timeouts)
{
	(void)timeouts;
	return 0;
}

void timeouts_refresh(struct timeouts *timeouts)
{
	(void)timeouts;
}

int timeout_set(struct timeouts *timeouts, struct timeout *timeout, uint64_t ms)
{
	(void)timeouts;
	(void)timeout;
	(void)ms;
	return 0;
}

void timeout_clear(struct timeouts *timeouts, struct timeout *timeout)
{
	(void)timeouts;
	(void)timeout;
}

void timeouts_skip(struct timeouts *timeouts, uint64_t ms)
{
	(void)timeouts;
	(void)ms;
}
