/* SPDX-License-Identifier: MIT */
/*
 * names.h - which addresses our resolver gave this guest for which names, and for how long.
 *
 * An entry is a pair of address and name as it was asked (the head of a CNAME chain, as that is what rules name). It
 * lives for the record's TTL, at least NAMES_TTL_MIN and at most NAMES_TTL_MAX. Bounded: NAMES_MAX pairs,
 * NAMES_EACH_MAX of them of one address; the one that ends soonest goes first. Only names that the policy let through
 * are learned (dns.c).
 *
 * Home loop.
 */
#ifndef CAPSA_NAT_NAMES_H
#define CAPSA_NAT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/net/address.h"

#define NAMES_MAX 65536u
#define NAMES_EACH_MAX 256u /* a guest that asks for 1.a.com, 2.a.com, ... must not make each look-up long */
#define NAMES_TTL_MIN 60u   /* seconds */
#define NAMES_TTL_MAX 86400u

struct names;
struct timeouts;

int names_new(struct timeouts *timeouts, struct names **out);
void names_free(struct names *names);
/* `name` as of names_normal(). Full or out of memory: forgotten, the flow is denied. */
void names_learn(struct names *names, const char *name, const struct in6_addr *address, uint32_t ttl);
/* Calls for each name that the address has now, until `each` returns true; returns that. */
bool names_of(const struct names *names, const struct in6_addr *address, bool (*each)(void *ctx, const char *name),
              void *ctx);
void names_forget_all(struct names *names);
/* How many pairs are known, those that have just ended included. */
unsigned names_count(const struct names *names);

/*
 * Lower case, no trailing dot, into `to`; the root is "". -EINVAL: longer than 253, an empty label, one longer than 63,
 * bytes that are no printable ASCII, or a backslash: with it ns_name_ntop(3) writes what else a label can have inside,
 * dots among it. -ENOSPC: does not fit.
 */
int names_normal(const char *text, char *to, size_t room);

#endif
