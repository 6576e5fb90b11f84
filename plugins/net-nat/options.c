/* SPDX-License-Identifier: MIT */
/* options.c - see options.h. To be written. */
#include "plugins/net-nat/options.h"

const struct capsa_key net_nat_keys[] = { { .name = NULL } };

int options_read(struct options *options, const struct capsa_value *values, size_t n, char *cause, size_t size)
{
	(void)options;
	(void)values;
	(void)n;
	(void)cause;
	(void)size;
	return 0;
}
