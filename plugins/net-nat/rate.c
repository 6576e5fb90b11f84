/* SPDX-License-Identifier: MIT */
/* rate.c - see rate.h. To be written. */
#include "plugins/net-nat/rate.h"

int rate_new(struct nat *nat, struct rate **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void rate_free(struct rate *rate)
{
	(void)rate;
}

bool rate_has(struct rate *rate, enum rate_way way)
{
	(void)rate;
	(void)way;
	return false;
}

void rate_spend(struct rate *rate, enum rate_way way, size_t bytes)
{
	(void)rate;
	(void)way;
	(void)bytes;
}
