/* SPDX-License-Identifier: MIT */
/*
 * policy.c - see policy.h: a policy is asked. policy-read.c makes one.
 *
 * THEORY OF OPERATION. An address is first classified (enum policy_class): what it is to this host, and what the IPv4
 * address is that it may carry inside. Then rules are walked in order.
 *
 *   - What denies or logs looks at both, the address and the one inside; what allows looks at the address alone, as
 *     whoever wrote the rule meant that one. So another spelling of an address never reaches more than the plain one.
 *   - A rule that allows decides only where it lifts every class that is closed for it: CLASS_GROUND, and with a domain
 *     CLASS_INSIDE. Otherwise it is passed over, and a later one may lift them. `default` lifts nothing.
 *   - What lifts a class is the group of that name, the address alone (`ip`, or a cidr of one address), or a cidr
 *     that lies within the class: 127.0.0.0/8 asks for loopback, 0.0.0.0/0 does not.
 */
#include "plugins/net-nat/policy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net-nat/host-address.h"
#include "plugins/net-nat/names.h"
#include "plugins/net-nat/policy-rule.h"

const char *const policy_group_names[POLICY_GROUPS] = {
	[GROUP_PRIVATE] = "private",   [GROUP_LOOPBACK] = "loopback", [GROUP_LINK_LOCAL] = "link-local",
	[GROUP_METADATA] = "metadata", [GROUP_HOST] = "host",         [GROUP_MULTICAST] = "multicast",
};

/* ---- classes ---- */

/* Where clouds tell a machine its secrets: all of them, AWS over IPv6, Alibaba. */
static const char *const metadata_addresses[] = { "169.254.169.254", "fd00:ec2::254", "100.100.100.200" };

static bool is_metadata(const struct in6_addr *a)
{
	for (size_t i = 0; i < sizeof metadata_addresses / sizeof *metadata_addresses; i++) {
		struct in6_addr address;

		if (net_address_parse(metadata_addresses[i], &address) == 0 && net_same(&address, a))
			return true;
	}
	return false;
}

static unsigned classes_of(const struct in6_addr *a, const struct host_addresses *host)
{
	unsigned classes = 0;

	if (net_is_private(a))
		classes |= CLASS_PRIVATE;
	if (net_is_link_local(a))
		classes |= CLASS_LINK_LOCAL;
	if (net_is_multicast(a))
		classes |= CLASS_MULTICAST;
	if (net_is_unspecified(a))
		classes |= CLASS_UNSPECIFIED;
	/* Few addresses are, and the comparison is not for each of the others. */
	if ((classes & (CLASS_PRIVATE | CLASS_LINK_LOCAL)) && is_metadata(a))
		classes |= CLASS_METADATA;
	if (net_is_loopback(a))
		classes |= CLASS_LOOPBACK;
	else if (host && host_addresses_have(host, a))
		classes |= CLASS_HOST;
	return classes;
}

/* Classes that matching this group is about, and those that it lifts. */
static const struct {
	unsigned matches, lifts;
} groups[POLICY_GROUPS] = {
	[GROUP_PRIVATE] = { CLASS_PRIVATE, CLASS_PRIVATE },
	[GROUP_LOOPBACK] = { CLASS_LOOPBACK, CLASS_LOOPBACK },
	[GROUP_LINK_LOCAL] = { CLASS_LINK_LOCAL, CLASS_LINK_LOCAL },
	/* The others are what these addresses are as well, in every case. */
	[GROUP_METADATA] = { CLASS_METADATA, CLASS_METADATA | CLASS_LINK_LOCAL | CLASS_PRIVATE },
	[GROUP_HOST] = { CLASS_HOST | CLASS_LOOPBACK, CLASS_HOST | CLASS_LOOPBACK | CLASS_LINK_LOCAL | CLASS_PRIVATE },
	[GROUP_MULTICAST] = { CLASS_MULTICAST, CLASS_MULTICAST },
};

static bool group_matches(enum policy_group group, unsigned classes, bool denies)
{
	unsigned matches = groups[group].matches;

	/* 0.0.0.0 arrives at the loopback: closed with it, not opened with it. */
	if (denies && (matches & CLASS_LOOPBACK))
		matches |= CLASS_UNSPECIFIED;
	return (matches & classes) != 0;
}

bool policy_prefix_names(const struct net_prefix *prefix, enum policy_class class)
{
	static const struct {
		enum policy_class class;
		const char *text;
	} ranges[] = {
		{ CLASS_LOOPBACK, "127.0.0.0/8" },      { CLASS_LOOPBACK, "::1/128" },
		{ CLASS_LINK_LOCAL, "169.254.0.0/16" }, { CLASS_LINK_LOCAL, "fe80::/10" },
		{ CLASS_PRIVATE, "10.0.0.0/8" },        { CLASS_PRIVATE, "172.16.0.0/12" },
		{ CLASS_PRIVATE, "192.168.0.0/16" },    { CLASS_PRIVATE, "100.64.0.0/10" },
		{ CLASS_PRIVATE, "fc00::/7" },          { CLASS_PRIVATE, "fec0::/10" },
		{ CLASS_MULTICAST, "224.0.0.0/4" },     { CLASS_MULTICAST, "255.255.255.255/32" },
		{ CLASS_MULTICAST, "ff00::/8" },        { CLASS_UNSPECIFIED, "0.0.0.0/8" },
		{ CLASS_UNSPECIFIED, "::/128" },
	};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
		struct net_prefix range;

		if (ranges[i].class == class && net_prefix_parse(ranges[i].text, &range) == 0 &&
		    prefix->bits >= range.bits && net_prefix_has(&range, &prefix->address))
			return true;
	}
	return false;
}

/* ---- a question ---- */

struct asked {
	const struct names *names; /* or the one name: */
	const char *name;
	uint8_t protocol;
	uint16_t port;
	struct in6_addr address, inside;
	bool has_inside;
	unsigned classes, inside_classes;
};

static struct asked ask(const struct names *names, const struct host_addresses *host, uint8_t protocol,
                        const struct net_endpoint *real)
{
	struct asked asked = { .names = names, .protocol = protocol, .port = real->port, .address = real->address };

	asked.classes = classes_of(&real->address, host);
	asked.has_inside = net_embedded_ipv4(&real->address, &asked.inside);
	if (asked.has_inside)
		asked.inside_classes = classes_of(&asked.inside, host);
	return asked;
}

static bool domain_matches(const struct policy_rule *rule, const char *name)
{
	const size_t len = strlen(name), domain_len = strlen(rule->domain);

	if (!rule->below)
		return strcmp(name, rule->domain) == 0;
	return len > domain_len + 1 && name[len - domain_len - 1] == '.' &&
	       strcmp(name + len - domain_len, rule->domain) == 0;
}

static bool each_name(void *ctx, const char *name)
{
	const struct policy_rule *const *rule = ctx;

	return domain_matches(*rule, name);
}

static bool names_match(const struct policy_rule *rule, const struct asked *asked)
{
	if (!rule->domain)
		return true;
	if (asked->name)
		return domain_matches(rule, asked->name);
	return asked->names && names_of(asked->names, &asked->address, each_name, &rule);
}

static bool protocol_matches(const struct policy_rule *rule, uint8_t protocol)
{
	if (rule->protocol == IPPROTO_ICMP)
		return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
	return !rule->protocol || rule->protocol == protocol;
}

static bool ports_match(const struct policy_rule *rule, const struct asked *asked)
{
	if (!rule->n_ranges)
		return true;
	if (asked->protocol != IPPROTO_TCP && asked->protocol != IPPROTO_UDP)
		return false;
	for (unsigned i = 0; i < rule->n_ranges; i++)
		if (asked->port >= rule->ranges[i].first && asked->port <= rule->ranges[i].last)
			return true;
	return false;
}

/* ip, cidr and group of one address. */
static bool address_matches(const struct policy_rule *rule, const struct in6_addr *a, unsigned classes)
{
	return (!rule->has_ip || net_prefix_has(&rule->ip, a)) && (!rule->has_cidr || net_prefix_has(&rule->cidr, a)) &&
	       (!rule->group || group_matches(rule->group, classes, rule->action != POLICY_ALLOW));
}

static bool rule_matches(const struct policy_rule *rule, const struct asked *asked)
{
	if (!protocol_matches(rule, asked->protocol) || !ports_match(rule, asked))
		return false;
	if (!address_matches(rule, &asked->address, asked->classes) &&
	    (rule->action == POLICY_ALLOW || !asked->has_inside ||
	     !address_matches(rule, &asked->inside, asked->inside_classes)))
		return false;
	return names_match(rule, asked);
}

static unsigned lifted_by_prefix(const struct net_prefix *prefix)
{
	unsigned lifted = 0;

	if (prefix->bits == 128)
		return CLASS_INSIDE;
	for (unsigned class = CLASS_PRIVATE; class <= CLASS_UNSPECIFIED; class <<= 1)
		if (policy_prefix_names(prefix, (enum policy_class) class))
			lifted |= class;
	return lifted;
}

/* Which closed classes a rule that matches asks for. Only the address alone asks for what another carries inside. */
static unsigned lifted_by(const struct policy_rule *rule, bool inside)
{
	unsigned lifted = 0;

	if (rule->has_ip)
		lifted |= CLASS_INSIDE;
	if (rule->has_cidr && (!inside || rule->cidr.bits == 128))
		lifted |= lifted_by_prefix(&rule->cidr);
	if (rule->group && !inside)
		lifted |= groups[rule->group].lifts;
	return lifted;
}

/* Of a rule that allows and matches. */
static bool is_open(const struct policy_rule *rule, const struct asked *asked)
{
	const unsigned closed = rule->domain ? CLASS_INSIDE : CLASS_GROUND;

	return (asked->classes & closed & ~lifted_by(rule, false)) == 0 &&
	       (asked->inside_classes & closed & ~lifted_by(rule, true)) == 0;
}

static struct verdict walk(const struct policy *policy, const struct asked *asked)
{
	struct verdict verdict = { .rule = POLICY_NO_RULE,
		                   .protocol = asked->protocol,
		                   .asked = { asked->address, asked->port },
		                   .classes = (unsigned char)asked->classes,
		                   .inside_classes = (unsigned char)asked->inside_classes };
	bool closed = false;

	for (unsigned i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (!rule_matches(rule, asked))
			continue;
		if (rule->action == POLICY_LOG) {
			verdict.log = true;
			continue;
		}
		if (rule->action == POLICY_ALLOW && !is_open(rule, asked)) {
			closed = true;
			continue;
		}
		verdict.allowed = rule->action == POLICY_ALLOW;
		verdict.rule = (int)i;
		verdict.log = verdict.log || rule->log;
		verdict.by_name = rule->domain != NULL;
		return verdict;
	}
	verdict.allowed = policy->allow && !((asked->classes | asked->inside_classes) & CLASS_GROUND);
	if (verdict.allowed != policy->allow || (closed && !policy->allow))
		verdict.rule = POLICY_GROUND_RULE;
	return verdict;
}

struct verdict policy_judge(struct policy *policy, const struct names *names, const struct host_addresses *host,
                            const struct policy_question *question)
{
	struct asked asked = ask(names, host, question->protocol, &question->real);

	if (question->to_gateway)
		asked.classes |= CLASS_LOOPBACK;
	return walk(policy, &asked);
}

/* ---- names ---- */

/* Whether a rule says something about the name alone, whatever is done with it. */
static bool is_about_name(const struct policy_rule *rule)
{
	return !rule->protocol && !rule->n_ranges && !rule->has_cidr && !rule->has_ip && !rule->group;
}

bool policy_allows_name(const struct policy *policy, const char *name)
{
	for (unsigned i = 0; i < policy->n_rules; i++) {
		const struct policy_rule *rule = &policy->rules[i];

		if (!rule->domain || rule->action == POLICY_LOG || !domain_matches(rule, name))
			continue;
		if (rule->action == POLICY_ALLOW)
			return true;
		if (is_about_name(rule))
			return false;
	}
	return policy->allow;
}

bool policy_name_fits(const struct policy *policy, const struct verdict *verdict, const char *name)
{
	struct asked asked = { .name = name,
		               .protocol = verdict->protocol,
		               .port = verdict->asked.port,
		               .address = verdict->asked.address,
		               .classes = verdict->classes,
		               .inside_classes = verdict->inside_classes };

	if (!verdict->allowed)
		return false;
	asked.has_inside = net_embedded_ipv4(&asked.address, &asked.inside);
	return walk(policy, &asked).allowed;
}

bool policy_host_changed(const struct verdict *verdict, const struct host_addresses *host)
{
	const struct asked now = ask(NULL, host, verdict->protocol, &verdict->asked);

	return ((now.classes ^ verdict->classes) | (now.inside_classes ^ verdict->inside_classes)) & CLASS_HOST;
}

bool policy_checks_names(const struct policy *policy)
{
	return policy->check_names;
}

bool policy_allows_ech(const struct policy *policy)
{
	return policy->allow_ech;
}

/* ---- counting ---- */

void policy_count(struct policy *policy, const struct verdict *verdict, uint64_t flows, uint64_t bytes)
{
	if (verdict->rule >= 0 && (unsigned)verdict->rule < policy->n_rules) {
		policy->rules[verdict->rule].flows += flows;
		policy->rules[verdict->rule].bytes += bytes;
	} else if (verdict->rule == POLICY_NO_RULE) {
		policy->fallback.flows += flows;
		policy->fallback.bytes += bytes;
	} else if (verdict->rule == POLICY_GROUND_RULE) {
		policy->ground.flows += flows;
		policy->ground.bytes += bytes;
	}
}

unsigned policy_rules(const struct policy *policy)
{
	return policy->n_rules;
}

/* ---- words ---- */

__attribute__((format(printf, 2, 3))) static void append(struct policy_rule_info *out, const char *fmt, ...)
{
	const size_t used = strlen(out->text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(out->text + used, sizeof out->text - used, fmt, args);
	va_end(args);
}

static void describe_ports(const struct policy_rule *rule, struct policy_rule_info *out)
{
	for (unsigned i = 0; i < rule->n_ranges; i++) {
		const struct port_range *range = &rule->ranges[i];

		append(out, "%s%u",
		       i                                                  ? ","
		       : rule->n_ranges > 1 || range->last > range->first ? " ports "
		                                                          : " port ",
		       range->first);
		if (range->last > range->first)
			append(out, "-%u", range->last);
	}
}

static void describe_rule(const struct policy_rule *rule, struct policy_rule_info *out)
{
	static const char *const actions[] = { "allow", "deny", "log" };
	char text[NET_PREFIX_TEXT];

	append(out, "%s", actions[rule->action]);
	if (rule->protocol)
		append(out, " %s",
		       rule->protocol == IPPROTO_TCP   ? "tcp"
		       : rule->protocol == IPPROTO_UDP ? "udp"
		                                       : "icmp");
	if (rule->domain)
		append(out, " domain %s%s", rule->below ? "*." : "", rule->domain);
	if (rule->has_ip)
		append(out, " ip %s", net_address_text(&rule->ip.address, text));
	if (rule->has_cidr)
		append(out, " cidr %s", net_prefix_text(&rule->cidr, text));
	if (rule->group)
		append(out, " group %s", policy_group_names[rule->group]);
	describe_ports(rule, out);
	if (rule->log)
		append(out, " and log");
}

void policy_describe(const struct policy *policy, int rule, struct policy_rule_info *out)
{
	*out = (struct policy_rule_info){ .text = "" };
	if (rule >= 0 && (unsigned)rule < policy->n_rules) {
		describe_rule(&policy->rules[rule], out);
		out->flows = policy->rules[rule].flows;
		out->bytes = policy->rules[rule].bytes;
	} else if (rule == POLICY_NO_RULE) {
		append(out, "default %s", policy->allow ? "allow" : "deny");
		out->flows = policy->fallback.flows;
		out->bytes = policy->fallback.bytes;
	} else if (rule == POLICY_GROUND_RULE) {
		append(out, "ground rules");
		out->flows = policy->ground.flows;
		out->bytes = policy->ground.bytes;
	}
}
