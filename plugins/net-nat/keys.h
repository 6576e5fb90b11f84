/* SPDX-License-Identifier: MIT */
/* keys.h - what a net-nat device entry says: the table of its keys. Main thread, in config(). */
#ifndef CAPSA_NAT_KEYS_H
#define CAPSA_NAT_KEYS_H

#include "plugins/net-nat/options.h"

extern const struct capsa_key net_nat_keys[];

/* Fills *options. 0, or -EINVAL with one line in `cause` (`size` bytes) that begins with the key. */
int keys_read(struct options *options, const struct capsa_value *values, size_t n, char *cause, size_t size);

#endif
