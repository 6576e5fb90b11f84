/* SPDX-License-Identifier: MIT */
/* host-address.c - see host-address.h. To be written. */
#include "plugins/net-nat/host-address.h"

int host_addresses_new(const struct capsa_host *host, struct capsa_device *dev, void (*changed)(void *ctx), void *ctx,
                       struct host_addresses **out)
{
	(void)host;
	(void)dev;
	(void)changed;
	(void)ctx;
	(void)out;
	*out = NULL;
	return 0;
}

void host_addresses_free(struct host_addresses *addresses)
{
	(void)addresses;
}

bool host_addresses_have(const struct host_addresses *addresses, const struct in6_addr *a)
{
	(void)addresses;
	(void)a;
	return false;
}

int host_addresses_fixed(const struct in6_addr *list, unsigned n, struct host_addresses **out)
{
	(void)list;
	(void)n;
	(void)out;
	*out = NULL;
	return 0;
}
