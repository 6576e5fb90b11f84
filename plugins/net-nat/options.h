/* SPDX-License-Identifier: MIT */
/*
 * options.h - what a device entry says that has the gateway in it: values as plain fields. Tables of keys are the
 * plugins' own (keys.h, ../cluster-switch/options.h); what they have in common is here, once.
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
#include "plugins/net/nic.h"

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

/* The values of the keys above, each by its name. What a reader below does not name is not looked at. */
struct options_values {
	const struct capsa_value *mac, *mtu, *queues, *offloads, *link; /* options_read_card() */
	const struct capsa_value *subnet, *ipv6, *subnet6;              /* options_read_subnets() */
	const struct capsa_value *rate;                                 /* options_read_rate() */
	const struct capsa_value *host_name, *forward, *keep_source, *dns, *search, *hosts_file, *policy,
		*max_flows; /* options_read_gateway(), which needs options->ipv6 */
};

/* Fill their part of *options, which begins as zeros. 0, or -EINVAL with one line in `cause` that begins with the key.
 */
int options_read_card(struct options *options, const struct options_values *values, char *cause, size_t size);
int options_read_subnets(struct options *options, const struct options_values *values, char *cause, size_t size);
int options_read_rate(struct options *options, const struct options_values *values, char *cause, size_t size);
int options_read_gateway(struct options *options, const struct options_values *values, char *cause, size_t size);

/* Entries for the plugins' tables of keys. */
/* clang-format off */
#define OPTIONS_KEY_MAC \
	{ \
		.name = "mac", \
		.type = CAPSA_TYPE_STRING, \
		.unique = true, \
		.help = "the guest's hardware address, as in \"52:54:00:12:34:56\" (without it: one that belongs " \
		        "to the machine's name)", \
	}
#define OPTIONS_KEY_MTU \
	{ \
		.name = "mtu", \
		.type = CAPSA_TYPE_INT, \
		.default_text = "1500", \
		.min = NIC_MTU_MIN, \
		.max = NIC_MTU_MAX, \
		.help = "bytes of the longest packet; 65520 is the fastest between guest and host", \
	}
#define OPTIONS_KEY_QUEUES \
	{ \
		.name = "queues", \
		.type = CAPSA_TYPE_INT, \
		.default_text = "0", \
		.min = 0, \
		.max = NIC_PAIRS_MAX, \
		.help = "pairs of queues; 0: one a vCPU, at most 4", \
	}
#define OPTIONS_KEY_OFFLOADS \
	{ \
		.name = "offloads", \
		.type = CAPSA_TYPE_BOOL, \
		.default_text = "true", \
		.help = "checksums and segmentation are left to capsa; false: for drivers that cannot", \
	}
#define OPTIONS_KEY_LINK \
	{ \
		.name = "link", \
		.type = CAPSA_TYPE_BOOL, \
		.default_text = "true", \
		.flags = CAPSA_KEY_LIVE, \
		.help = "the cable is in", \
	}
#define OPTIONS_KEY_HOST_NAME \
	{ \
		.name = "host_name", \
		.type = CAPSA_TYPE_STRING, \
		.help = "the name that DHCP gives the guest (without it: the machine's)", \
	}
#define OPTIONS_KEY_FORWARD \
	{ \
		.name = "forward", \
		.type = CAPSA_TYPE_LIST, \
		.help = "published ports, each \"[tcp:|udp:][ADDRESS:]PORT:GUEST_PORT\"; no address: 127.0.0.1; " \
		        "port 0: any that is free", \
	}
#define OPTIONS_KEY_KEEP_SOURCE \
	{ \
		.name = "keep_source", \
		.type = CAPSA_TYPE_BOOL, \
		.default_text = "false", \
		.help = "the guest sees who connects to a published port; false: it sees the gateway", \
	}
#define OPTIONS_KEY_DNS \
	{ \
		.name = "dns", \
		.type = CAPSA_TYPE_LIST, \
		.help = "name servers to ask, each \"ADDRESS\", \"ADDRESS:PORT\" or \"[ADDRESS]:PORT\" (without " \
		        "it: those of the host's resolv.conf)", \
	}
#define OPTIONS_KEY_SEARCH \
	{ \
		.name = "search", \
		.type = CAPSA_TYPE_LIST, \
		.help = "domains in which the guest looks for short names (without it: the host's)", \
	}
#define OPTIONS_KEY_HOSTS_FILE \
	{ \
		.name = "hosts_file", \
		.type = CAPSA_TYPE_BOOL, \
		.default_text = "false", \
		.help = "names in the host's /etc/hosts are known to the guest", \
	}
#define OPTIONS_KEY_POLICY \
	{ \
		.name = "policy", \
		.type = CAPSA_TYPE_GROUP, \
		.flags = CAPSA_KEY_LIVE, \
		.help = "what the guest may reach: default, rules, check_names (without it: the internet, but " \
		        "nothing of the host, no link-local and no metadata address)", \
	}
#define OPTIONS_KEY_MAX_FLOWS \
	{ \
		.name = "max_flows", \
		.type = CAPSA_TYPE_INT, \
		.default_text = "16384", \
		.min = 1, \
		.max = 1 << 20, \
		.help = "connections and conversations at a time; each takes a file descriptor", \
	}
#define OPTIONS_KEY_RATE \
	{ \
		.name = "rate", \
		.type = CAPSA_TYPE_GROUP, \
		.help = "bytes a second: { in = \"10M\"; out = \"1M\"; }, to and from the guest; 0: no limit", \
	}
/* clang-format on */

#endif
