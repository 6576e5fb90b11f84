/* SPDX-License-Identifier: MIT */
/*
 * options.h - what a net-nat device entry says: the table of keys, and their values as plain fields.
 *
 * Main thread, in config(). Strings and values belong to the core and live as long as the instance.
 */
#ifndef CAPSA_NAT_OPTIONS_H
#define CAPSA_NAT_OPTIONS_H

#include <linux/if_ether.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "plugins/net/address.h"

#define OPTIONS_DNS_MAX 4u
#define OPTIONS_SEARCH_MAX 6u

struct options {
	unsigned char mac[ETH_ALEN]; /* `mac`; default: nic_mac_of() */
	bool has_mac;
	uint16_t mtu;                      /* `mtu`: 1280..65520; default 1500 */
	unsigned queues;                   /* `queues`: pairs, 1..8; default: as many as vCPUs, at most 4 */
	bool offloads;                     /* `offloads`; default true */
	struct net_prefix subnet;          /* `subnet`: IPv4, /30 at longest; default 10.0.2.0/24 */
	bool ipv6;                         /* `ipv6`: default true */
	struct net_prefix subnet6;         /* `subnet6`: a /64; default fd00:ca:b5a::/64 */
	const char *host_name;             /* `host_name`: what DHCP tells; default: the machine's name */
	const struct capsa_value *forward; /* `forward`: list of texts; NULL: none (forward.h) */
	bool keep_source; /* `keep_source`: published ports show the peer's own address; default: the gateway's */
	struct net_endpoint dns[OPTIONS_DNS_MAX]; /* `dns`: upstreams in place of the host's resolv.conf */
	unsigned n_dns;
	const char *search[OPTIONS_SEARCH_MAX]; /* `search`; default: the host's */
	unsigned n_search;
	bool has_search;
	bool hosts_file; /* `hosts_file`: names of the host's /etc/hosts are answered, too; default false */
	const struct capsa_value *policy; /* `policy` (CAPSA_KEY_LIVE): GROUP; NULL: the default one (policy.h) */
	bool link;                        /* `link` (CAPSA_KEY_LIVE): the cable is in; default true */
	unsigned max_flows;               /* `max_flows`: default 16384 */
	bool has_max_flows;
	uint64_t rate_in,
		rate_out; /* `rate = { in = "10M"; out = "1M"; }`: bytes/s to and from the guest; 0: no limit */
};

extern const struct capsa_key net_nat_keys[];

/* Fills *options. 0, or -EINVAL with one line in `cause` (`size` bytes) that begins with the key. */
int options_read(struct options *options, const struct capsa_value *values, size_t n, char *cause, size_t size);

#endif
