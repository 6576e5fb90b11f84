/* SPDX-License-Identifier: MIT */
/*
 * lease.h - which IPv4 address of the cluster's subnet a machine gets: the same for the same name, as long as the file
 * lives (in the run-time folder: until the computer starts anew).
 *
 * A new name gets the address that its hash says, or the next free one; the subnet's first address is the gateway's. An
 * address that a member has by its own file (`address = ...`) is given to nobody. Written when it changes, to a file
 * of its own and renamed. What the file holds is not believed: lines that cannot be are skipped, LEASES_MAX are read.
 * Where nothing is free, the name that has not been a member for longest loses its lease. The switch's thread.
 */
#ifndef CAPSA_CLUSTER_LEASE_H
#define CAPSA_CLUSTER_LEASE_H

#include <stdbool.h>
#include <netinet/in.h>

#include "plugins/net/address.h"

#define LEASES_MAX 4096u

struct leases;

/* `dirfd` is borrowed, and holds the file CLUSTER_LEASES. 0 or -ENOMEM; a file that cannot be read counts as empty. */
int leases_new(int dirfd, struct leases **out);
void leases_free(struct leases *leases);
/*
 * The address of `name` in `subnet`. `is_taken` says of an address whether a member has it now. -ENOSPC: all are. A
 * file that cannot be written is no failure: the lease then lasts as long as this process.
 */
int leases_get(struct leases *leases, const char *name, const struct net_prefix *subnet,
               bool (*is_taken)(void *ctx, const struct in6_addr *address), void *ctx, struct in6_addr *out);
/*
 * `name` has this address, by its file or since an earlier switch: from now on it is its lease, and nobody else's.
 */
void leases_keep(struct leases *leases, const char *name, const struct in6_addr *address);

#endif
