/* SPDX-License-Identifier: MIT */
/*
 * options.h - what a cluster-switch device entry says: the table of keys, and their values as plain fields.
 *
 * Main thread, in config(). Strings belong to the core and live as long as the instance.
 */
#ifndef CAPSA_CLUSTER_OPTIONS_H
#define CAPSA_CLUSTER_OPTIONS_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "plugins/cluster-switch/bridge.h"
#include "plugins/net-nat/options.h"
#include "plugins/net/address.h"

struct cluster_options {
	const char *cluster;       /* `cluster` */
	struct options gateway;    /* as net-nat's: mac, ..., link; forward, ..., max_flows. Subnets, rates: not used */
	bool has_address;          /* `address`, which then is port.address; default: leased */
	struct net_prefix subnet;  /* `subnet`, or that of `address`; bits 0: as the others have it */
	struct net_prefix subnet6; /* `subnet6`: a /64; bits 0: `ipv6 = false` */
	const char *uplink;        /* `uplink`, which has been parsed once (vxlan.h); NULL: none of its own */
	bool nat;                  /* `nat`: there is a way out; default false */
	/* `spoof`, `rate`, `address`, and `peers` (CAPSA_KEY_LIVE). Name and MAC are filled by who knows the machine's.
	 */
	struct bridge_port_options port;
};

extern const struct capsa_key cluster_switch_keys[];

/* Fills *options. 0, or -EINVAL with one line in `cause` (`size` bytes) that begins with the key. */
int cluster_options_read(struct cluster_options *options, const struct capsa_value *values, size_t n, char *cause,
                         size_t size);
/* The value of `peers` alone; after an error *port is as before. */
int cluster_options_read_peers(struct bridge_port_options *port, const struct capsa_value *value, char *cause,
                               size_t size);

#endif
