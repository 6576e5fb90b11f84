/* SPDX-License-Identifier: MIT */
/* info.c - see info.h. To be written. */
#include "plugins/net-nat/info.h"

void nat_info(void *self)
{
	(void)self;
}
