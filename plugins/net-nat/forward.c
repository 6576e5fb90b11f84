/* SPDX-License-Identifier: MIT */
/* forward.c - see forward.h. To be written. */
#include "plugins/net-nat/forward.h"

int forward_parse(const char *text, struct forward *out, char *cause, size_t size)
{
	(void)text;
	(void)out;
	(void)cause;
	(void)size;
	return 0;
}

int forwards_new(struct nat *nat, struct forwards **out, char *cause, size_t size)
{
	(void)nat;
	(void)out;
	(void)cause;
	(void)size;
	*out = NULL;
	return 0;
}

void forwards_free(struct forwards *forwards)
{
	(void)forwards;
}

int forwards_start(struct forwards *forwards)
{
	(void)forwards;
	return 0;
}

unsigned forwards_count(const struct forwards *forwards)
{
	(void)forwards;
	return 0;
}

const struct forward *forwards_get(const struct forwards *forwards, unsigned n)
{
	(void)forwards;
	(void)n;
	return NULL;
}
