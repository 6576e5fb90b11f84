/* SPDX-License-Identifier: MIT */
/*
 * policy.h - the rules: which flows and names of the guest are allowed.
 *
 *     policy = { default = "deny"; check_names = true; allow_ech = false;
 *                rules = ( { action = "allow"; domain = "*.debian.org"; port = 443; },
 *                          { action = "log";   cidr = "10.0.0.0/8"; } ); };
 *
 * Rules are looked at in order; the first whose matchers all match decides; `log` only writes a line and goes on. Where
 * none decides, `default` does. Matchers: cidr, ip, port, ports = "6660-6669" (or a list "80,443,8000-8100"), protocol
 * ("tcp", "udp", "icmp"), domain, group = "private" | "loopback" | "link-local" | "metadata" | "host" | "multicast".
 *
 * GROUND RULES, which only a rule that asks for the thing can lift, never `default` nor a bare domain or port:
 *   - addresses of the host itself (loopback, any interface, the gateway's address as a way there), link-local,
 *     metadata (169.254.169.254, fd00:ec2::254, 100.100.100.200), unspecified, multicast, broadcast are denied. For
 * IPv6 forms that carry an IPv4 address inside (address.h) that one is judged as well;
 *   - a domain rule counts only for addresses that our resolver gave this guest for a name that the rule matches,
 *     within its time (names.h), and not for private, loopback, link-local, metadata or host addresses, unless the same
 *     rule asks for these, too (rebinding).
 * A rule asks for a thing by its group, by the very address (`ip`, or a cidr of one address), or by a cidr that lies
 * within it: 127.0.0.0/8 is loopback, 0.0.0.0/0 or 10.0.0.0/8 does not open the host's own address in it.
 *
 * "*.example.com" matches names below example.com, not itself. Names are compared in wire form (IDNA: xn--), ASCII case
 * does not matter, nor a trailing dot. A rule that denies a domain denies addresses that were learned for it, which
 * other names may have, too; with no other matcher, the resolver refuses the name. Ports match TCP and UDP only; "icmp"
 * is ICMP and ICMPv6.
 *
 * A policy is built, then only read; replacing means building another. Each rule counts what it decided (kept across a
 * replacement for none). Home loop; policy_read() on any.
 */
#ifndef CAPSA_NAT_POLICY_H
#define CAPSA_NAT_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "plugins/net/address.h"

struct host_addresses;
struct names;
struct policy;

#define POLICY_RULES_MAX 1024u
#define POLICY_NAME_MAX 256u /* with the NUL */

#define POLICY_NO_RULE (-1)     /* `default` decided */
#define POLICY_GROUND_RULE (-2) /* a ground rule did */

struct verdict {
	bool allowed;
	bool log;     /* a `log` rule matched, or the rule that decided has log = true */
	int rule;     /* which rule decided (0..), or POLICY_* */
	bool by_name; /* a domain matcher was part of it: check_names may look into the flow */
	bool unnamed; /* denied: that rule allowed it, but check_names found no name, or none that is allowed */
	/* policy.c's: what was asked, for policy_name_fits(). */
	uint8_t protocol;
	unsigned char classes, inside_classes;
	struct net_endpoint asked;
};

struct policy_question {
	uint8_t protocol;         /* IPPROTO_* */
	struct net_endpoint real; /* where the packet would go: flow->real */
	bool to_gateway;          /* the guest named the gateway's address: real is the host's loopback */
};

/*
 * `value`: the GROUP, or NULL for the default policy (the internet, ground rules). 0, or -EINVAL with one line in
 * `cause` that names the place (FILE:LINE where it has one, else the rule's number) and what is allowed.
 */
int policy_read(const struct capsa_value *value, struct policy **out, char *cause, size_t size);
void policy_free(struct policy *policy);

struct verdict policy_judge(struct policy *policy, const struct names *names, const struct host_addresses *host,
                            const struct policy_question *question);
/*
 * Whether the resolver may be asked for `name` (text, as names_normal()): the first rule with a domain that matches
 * says so, one that denies only where it has no other matcher. Otherwise `default`: under deny only what a rule allows.
 */
bool policy_allows_name(const struct policy *policy, const char *name);
/* Whether the flow would be allowed if its address had this name (as names_normal()) alone: what SNI or Host say. */
bool policy_name_fits(const struct policy *policy, const struct verdict *verdict, const char *name);
/* Whether what was judged has become an address of the host's since, or has ceased to be one. */
bool policy_host_changed(const struct verdict *verdict, const struct host_addresses *host);
bool policy_checks_names(const struct policy *policy);
/* Whether a name counts beside which there may be an encrypted one (name-check.h). */
bool policy_allows_ech(const struct policy *policy);
/* Counting, for info: a flow that was decided so, and bytes of it. */
void policy_count(struct policy *policy, const struct verdict *verdict, uint64_t flows, uint64_t bytes);

/* For info and logs. */
unsigned policy_rules(const struct policy *policy);
struct policy_rule_info {
	char text[256]; /* "allow domain *.debian.org port 443" */
	uint64_t flows, bytes;
};
/* rule: 0.., POLICY_NO_RULE, POLICY_GROUND_RULE. */
void policy_describe(const struct policy *policy, int rule, struct policy_rule_info *out);

#endif
