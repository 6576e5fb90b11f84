/* SPDX-License-Identifier: MIT */
/*
 * policy-rule.h - a rule as policy-read.c makes it and policy.c looks at it. Private to the two.
 */
#ifndef CAPSA_NAT_POLICY_RULE_H
#define CAPSA_NAT_POLICY_RULE_H

#include "plugins/net-nat/policy.h"

#define POLICY_RANGES_MAX 32u /* of ports, in one rule */

enum policy_action { POLICY_ALLOW, POLICY_DENY, POLICY_LOG };

/* What an address is beside itself; an address may be several. Bits. */
enum policy_class {
	CLASS_PRIVATE = 1,
	CLASS_LOOPBACK = 2,
	CLASS_LINK_LOCAL = 4,
	CLASS_METADATA = 8,
	CLASS_HOST = 16, /* an interface's; loopback ranges are CLASS_LOOPBACK */
	CLASS_MULTICAST = 32,
	CLASS_UNSPECIFIED = 64, /* to Linux a way to its loopback */
};
/* What ground rules keep closed. */
#define CLASS_GROUND \
	(CLASS_LOOPBACK | CLASS_LINK_LOCAL | CLASS_METADATA | CLASS_HOST | CLASS_MULTICAST | CLASS_UNSPECIFIED)
/* What a name cannot open alone (rebinding). */
#define CLASS_INSIDE (CLASS_GROUND | CLASS_PRIVATE)

enum policy_group {
	GROUP_NONE,
	GROUP_PRIVATE,
	GROUP_LOOPBACK,
	GROUP_LINK_LOCAL,
	GROUP_METADATA,
	GROUP_HOST,
	GROUP_MULTICAST,
};
#define POLICY_GROUPS 7u
/* "private", by enum policy_group; NULL for GROUP_NONE. */
extern const char *const policy_group_names[POLICY_GROUPS];

struct port_range {
	uint16_t first, last;
};

/* Zeroed, a matcher is not there and matches all. */
struct policy_rule {
	enum policy_action action;
	bool log;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP (both families) */
	unsigned n_ranges;
	struct port_range ranges[POLICY_RANGES_MAX];
	bool has_cidr, has_ip;
	struct net_prefix cidr, ip;
	enum policy_group group;
	bool below;   /* "*.": names below the domain, not itself */
	char *domain; /* normal form; NULL: none */
	uint64_t flows, bytes;
};

struct policy {
	bool allow; /* default */
	bool check_names, allow_ech;
	unsigned n_rules;
	struct policy_rule *rules;
	struct {
		uint64_t flows, bytes;
	} fallback, ground; /* what `default` decided, and ground rules */
};

/* The ranges of addresses that belong to one class, for a cidr that lies within. False: nothing of it does. */
bool policy_prefix_names(const struct net_prefix *prefix, enum policy_class class);

#endif
