/* SPDX-License-Identifier: MIT */
/*
 * fdb.h - the forwarding database (IEEE 802.1Q, 8.8): which MAC address is behind which port.
 *
 * Learned from source addresses, forgotten after FDB_AGE_MS without a frame. Bounded: FDB_PORT_MAX addresses a port, of
 * which the oldest gives way, so that one that makes addresses up takes nothing from the others. The hash is keyed at
 * random. Static entries are a port's own address: never aged, never moved by what another port sends. No timer: an
 * entry's age is looked at when it is. One thread.
 */
#ifndef CAPSA_CLUSTER_FDB_H
#define CAPSA_CLUSTER_FDB_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDB_AGE_MS (300u * 1000u)
#define FDB_PORT_MAX 512u

struct fdb;

int fdb_new(struct fdb **out); /* 0 or -ENOMEM */
void fdb_free(struct fdb *fdb);
/* `port`: any number of the caller's. -EEXIST: another port's own; -ENOMEM. */
int fdb_add_static(struct fdb *fdb, const unsigned char mac[ETH_ALEN], unsigned port);
/* False where it is another port's static one. Multicast and zero addresses are not learned, but true. */
bool fdb_learn(struct fdb *fdb, const unsigned char mac[ETH_ALEN], unsigned port, uint64_t now_ms);
/* The port, or -1: not known. */
int fdb_find(const struct fdb *fdb, const unsigned char mac[ETH_ALEN], uint64_t now_ms);
void fdb_forget_port(struct fdb *fdb, unsigned port);
/* All that are not too old, for people: call() for each. */
void fdb_each(const struct fdb *fdb, uint64_t now_ms,
              void (*call)(void *ctx, const unsigned char mac[ETH_ALEN], unsigned port, bool is_static,
                           uint64_t age_ms),
              void *ctx);

#endif
