/* SPDX-License-Identifier: MIT */
/*
 * host-address.h - which addresses are the host's own: those of its interfaces, and those that routes lead to it,
 * followed by rtnetlink(7).
 *
 * The set is read at start and changed by the kernel's messages, so a new address is the host's as soon as the loop has
 * turned once. Home loop.
 */
#ifndef CAPSA_NAT_HOST_ADDRESS_H
#define CAPSA_NAT_HOST_ADDRESS_H

#include <stdbool.h>

#include "capsa-plugin.h"
#include "plugins/net/address.h"

struct host_addresses;

/* `changed` (may be NULL): an address came or went. 0 or -errno. */
int host_addresses_new(const struct capsa_host *host, struct capsa_device *dev, void (*changed)(void *ctx), void *ctx,
                       struct host_addresses **out);
void host_addresses_free(struct host_addresses *addresses);
/* One of an interface's, its broadcast address, or where a local route ends. Loopback ranges are net_is_loopback()'s. */
bool host_addresses_have(const struct host_addresses *addresses, const struct in6_addr *a);

/* A set without a kernel behind it, for tests: `list` of n. */
int host_addresses_fixed(const struct in6_addr *list, unsigned n, struct host_addresses **out);

#endif
