/* SPDX-License-Identifier: MIT */
/* names.c - see names.h. To be written. */
#include "plugins/net-nat/names.h"

int names_new(struct timeouts *timeouts, struct names **out)
{
	(void)timeouts;
	(void)out;
	*out = NULL;
	return 0;
}

void names_free(struct names *names)
{
	(void)names;
}

void names_learn(struct names *names, const char *name, const struct in6_addr *address, uint32_t ttl)
{
	(void)names;
	(void)name;
	(void)address;
	(void)ttl;
}

bool names_of(const struct names *names, const struct in6_addr *address, bool (*each)(void *ctx, const char *name),
              void *ctx)
{
	(void)names;
	(void)address;
	(void)each;
	(void)ctx;
	return false;
}

void names_forget_all(struct names *names)
{
	(void)names;
}

int names_normal(const char *text, char *to, size_t room)
{
	(void)text;
	(void)to;
	(void)room;
	return 0;
}
