/* SPDX-License-Identifier: MIT */
/*
 * policy-read.c - makes a policy (policy.h) out of the value of the key `policy`. Called in config() and reconfigure().
 *
 * The core has checked that it is a group, and no more: what stands inside is checked here, in the words in which the
 * core speaks of files. A key that is not known is an error, as it may be the misspelt matcher without which a rule
 * allows all.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net-nat/names.h"
#include "plugins/net-nat/policy-rule.h"

#define WORD_MAX 32u /* letters of a word that may be a misspelt one */

struct cause {
	char *text;
	size_t size;
	unsigned rule; /* 1..; 0: the policy itself */
};

/* "FILE:LINE: " or "policy: rule 2: ", and the rest. Returns -EINVAL. */
__attribute__((format(printf, 3, 4))) static int refuse(const struct cause *cause, const struct capsa_value *value,
                                                        const char *fmt, ...)
{
	va_list args;
	int used;

	if (value->file && value->line)
		used = snprintf(cause->text, cause->size, "%s:%u: ", value->file, value->line);
	else if (cause->rule)
		used = snprintf(cause->text, cause->size, "policy: rule %u: ", cause->rule);
	else
		used = snprintf(cause->text, cause->size, "policy: ");
	if (used >= 0 && (size_t)used < cause->size) {
		va_start(args, fmt);
		vsnprintf(cause->text + used, cause->size - (size_t)used, fmt, args);
		va_end(args);
	}
	return -EINVAL;
}

static int mismatch(const struct cause *cause, const struct capsa_value *found, const char *wanted)
{
	const char *name = found->name ? found->name : "rules";

	switch (found->type) {
	case CAPSA_TYPE_BOOL:
		return refuse(cause, found, "key \"%s\": found %s; write %s", name, found->boolean ? "true" : "false",
		              wanted);
	case CAPSA_TYPE_INT:
		return refuse(cause, found, "key \"%s\": found the integer %" PRId64 "; write %s", name, found->integer,
		              wanted);
	case CAPSA_TYPE_FLOAT:
		return refuse(cause, found, "key \"%s\": found the number %g; write %s", name, found->real, wanted);
	case CAPSA_TYPE_STRING:
		return refuse(cause, found, "key \"%s\": found the string \"%.64s\"; write %s", name, found->string,
		              wanted);
	case CAPSA_TYPE_LIST:
		return refuse(cause, found, "key \"%s\": found a list; write %s", name, wanted);
	default:
		return refuse(cause, found, "key \"%s\": found a group; write %s", name, wanted);
	}
}

/* ---- words ---- */

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Letters to change, add or take away to make one of the other (Levenshtein). */
static size_t distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1];
	const size_t n = strlen(b);

	for (size_t i = 0; i <= n; i++)
		row[i] = i;
	for (size_t i = 1; *a; i++, a++) {
		size_t diagonal = i - 1;

		row[0] = i;
		for (size_t k = 1; k <= n; k++) {
			const size_t above = row[k];

			row[k] = least(diagonal + (*a != b[k - 1]), least(above, row[k - 1]) + 1);
			diagonal = above;
		}
	}
	return row[n];
}

/* The one of `words` that was probably meant; NULL: none is near. */
static const char *meant(const char *word, const char *const *words)
{
	const char *nearest = NULL;
	size_t best = WORD_MAX;

	if (strlen(word) > WORD_MAX)
		return NULL;
	for (; *words; words++) {
		const size_t d = distance(word, *words);
		const size_t longer = strlen(word) > strlen(*words) ? strlen(word) : strlen(*words);

		if (d < best && 3 * d <= longer) {
			best = d;
			nearest = *words;
		}
	}
	return nearest;
}

/* `"allow", "deny", "log"` */
static const char *list(const char *const *words, char *text, size_t size)
{
	size_t used = 0;

	text[0] = '\0';
	for (; *words && used < size; words++)
		used += (size_t)snprintf(text + used, size - used, "%s\"%s\"", used ? ", " : "", *words);
	return text;
}

static int unknown_key(const struct cause *cause, const struct capsa_value *found, const char *what,
                       const char *const *keys)
{
	const char *near = meant(found->name, keys);
	char allowed[160];

	if (near)
		return refuse(cause, found, "%s has no key \"%.64s\"; did you mean \"%s\"?", what, found->name, near);
	return refuse(cause, found, "%s has no key \"%.64s\"; possible are %s", what, found->name,
	              list(keys, allowed, sizeof allowed));
}

/* Index of the word into *out. */
static int read_word(const struct cause *cause, const struct capsa_value *found, const char *const *words,
                     unsigned *out)
{
	char allowed[160], wanted[180];
	const char *near;

	list(words, allowed, sizeof allowed);
	if (found->type != CAPSA_TYPE_STRING) {
		snprintf(wanted, sizeof wanted, "one of %s", allowed);
		return mismatch(cause, found, wanted);
	}
	for (unsigned i = 0; words[i]; i++)
		if (strcmp(words[i], found->string) == 0) {
			*out = i;
			return 0;
		}
	near = meant(found->string, words);
	if (near)
		return refuse(cause, found, "key \"%s\": \"%.64s\" is unknown; did you mean \"%s\"? Allowed: %s",
		              found->name, found->string, near, allowed);
	return refuse(cause, found, "key \"%s\": \"%.64s\" is unknown; write one of %s", found->name, found->string,
	              allowed);
}

static int read_bool(const struct cause *cause, const struct capsa_value *found, bool *out)
{
	if (found->type != CAPSA_TYPE_BOOL)
		return mismatch(cause, found, "true or false, without quotes");
	*out = found->boolean;
	return 0;
}

/* ---- matchers ---- */

static int read_cidr(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	struct in6_addr address;
	char text[NET_PREFIX_TEXT];

	if (found->type != CAPSA_TYPE_STRING)
		return mismatch(cause, found, "a network in quotes, such as \"10.0.0.0/8\"");
	rule->has_cidr = true;
	/* Mapped ones are no addresses that a packet has; who writes one means another. */
	if (net_prefix_parse(found->string, &rule->cidr) == 0) {
		if (!net_is_ipv4(&rule->cidr.address) || !strchr(found->string, ':'))
			return 0;
	} else if (net_interface_parse(found->string, &address, &rule->cidr) == 0) {
		return refuse(cause, found,
		              "key \"cidr\": \"%.64s\" has bits behind its prefix; did you mean \"%s\" or ip = "
		              "\"%.*s\"?",
		              found->string, net_prefix_text(&rule->cidr, text), (int)strcspn(found->string, "/"),
		              found->string);
	}
	return refuse(cause, found,
	              "key \"cidr\": \"%.64s\" is no network; write one such as \"10.0.0.0/8\" or \"2001:db8::/32\"",
	              found->string);
}

static int read_ip(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	if (found->type != CAPSA_TYPE_STRING)
		return mismatch(cause, found, "an address in quotes, such as \"192.0.2.1\"");
	rule->has_ip = true;
	rule->ip.bits = 128;
	/* Mapped ones are no addresses that a packet has; who writes one means another. */
	if (net_address_parse(found->string, &rule->ip.address) == 0 &&
	    !(net_is_ipv4(&rule->ip.address) && strchr(found->string, ':')))
		return 0;
	return refuse(cause, found,
	              "key \"ip\": \"%.64s\" is no address; write one such as \"192.0.2.1\" or \"2001:db8::1\"%s",
	              found->string, strchr(found->string, '/') ? "; for a network there is \"cidr\"" : "");
}

static int read_port(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	if (found->type != CAPSA_TYPE_INT)
		return mismatch(cause, found,
		                found->type == CAPSA_TYPE_STRING
		                        ? "a number from 1 to 65535, without quotes; for several there is \"ports\""
		                        : "a number from 1 to 65535");
	if (found->integer < 1 || found->integer > UINT16_MAX)
		return refuse(cause, found, "key \"port\": %" PRId64 " is out of range; write a number from 1 to 65535",
		              found->integer);
	rule->ranges[rule->n_ranges++] = (struct port_range){ (uint16_t)found->integer, (uint16_t)found->integer };
	return 0;
}

/* A port at *at, which moves behind it. */
static bool take_port(const char **at, uint16_t *out)
{
	unsigned n = 0, digits = 0;

	for (; **at >= '0' && **at <= '9' && digits < 6; ++*at, digits++)
		n = n * 10 + (unsigned)(**at - '0');
	*out = (uint16_t)n;
	return digits && n >= 1 && n <= UINT16_MAX;
}

static void skip_spaces(const char **at)
{
	*at += strspn(*at, " ");
}

static bool take_range(const char **at, struct port_range *out)
{
	skip_spaces(at);
	if (!take_port(at, &out->first))
		return false;
	out->last = out->first;
	skip_spaces(at);
	if (**at == '-') {
		++*at;
		skip_spaces(at);
		if (!take_port(at, &out->last))
			return false;
		skip_spaces(at);
	}
	return out->last >= out->first;
}

static int read_ports(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	static const char wanted[] = "ports in quotes, such as \"6660-6669\" or \"80,443,8000-8100\"";
	const char *at = found->string;

	if (found->type != CAPSA_TYPE_STRING)
		return mismatch(cause, found,
		                found->type == CAPSA_TYPE_INT
		                        ? "ports in quotes, such as \"6660-6669\"; for one there is \"port\""
		                        : wanted);
	for (;; at++) {
		if (rule->n_ranges == POLICY_RANGES_MAX)
			return refuse(cause, found,
			              "key \"ports\": more than %u ranges; write another rule for the rest",
			              POLICY_RANGES_MAX);
		if (!take_range(&at, &rule->ranges[rule->n_ranges++]) || (*at && *at != ','))
			return refuse(cause, found, "key \"ports\": \"%.64s\" is none; write %s", found->string,
			              wanted);
		if (!*at)
			return 0;
	}
}

static int read_protocol(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	static const char *const words[] = { "tcp", "udp", "icmp", NULL };
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP };
	unsigned i = 0;
	int rc = read_word(cause, found, words, &i);

	rule->protocol = protocols[i];
	return rc;
}

static bool is_ascii(const char *text)
{
	while (*text && !(*text & 0x80))
		text++;
	return !*text;
}

static int read_domain(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	const char *text = found->string;
	char normal[POLICY_NAME_MAX];
	struct in6_addr address;

	if (found->type != CAPSA_TYPE_STRING)
		return mismatch(cause, found, "a name in quotes, such as \"api.example.com\" or \"*.example.com\"");
	if (net_address_parse(text, &address) == 0)
		return refuse(cause, found, "key \"domain\": \"%.64s\" is an address; write ip = \"%.64s\"", text,
		              text);
	if (!is_ascii(text))
		return refuse(cause, found,
		              "key \"domain\": \"%.64s\" is not in wire form; write what `idn2 %.64s` prints (xn--...)",
		              text, text);
	rule->below = strncmp(text, "*.", 2) == 0;
	text += rule->below ? 2 : 0;
	if (names_normal(text, normal, sizeof normal) < 0 || !normal[0] || strpbrk(normal, "*/:@"))
		return refuse(cause, found,
		              "key \"domain\": \"%.64s\" is no name; write one such as \"api.example.com\", or "
		              "\"*.example.com\" for all below",
		              found->string);
	rule->domain = strdup(normal);
	return rule->domain ? 0 : refuse(cause, found, "out of memory");
}

static int read_group(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	const char *words[POLICY_GROUPS] = { NULL }; /* without GROUP_NONE, and a NULL behind */
	unsigned i = 0;
	int rc;

	memcpy(words, policy_group_names + 1, (POLICY_GROUPS - 1) * sizeof *words);
	rc = read_word(cause, found, words, &i);
	rule->group = (enum policy_group)(i + 1);
	return rc;
}

/* ---- rules ---- */

static const char *const rule_keys[] = { "action",   "cidr",   "ip",    "port", "ports",
	                                 "protocol", "domain", "group", "log",  NULL };

static int read_action(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	static const char *const words[] = { "allow", "deny", "log", NULL };
	unsigned i = 0;
	int rc = read_word(cause, found, words, &i);

	rule->action = (enum policy_action)i;
	return rc;
}

static int read_log(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule)
{
	return read_bool(cause, found, &rule->log);
}

static int read_key(const struct cause *cause, const struct capsa_value *found, struct policy_rule *rule, unsigned key)
{
	static int (*const readers[])(const struct cause *, const struct capsa_value *, struct policy_rule *) = {
		read_action,   read_cidr,   read_ip,    read_port, read_ports,
		read_protocol, read_domain, read_group, read_log,
	};

	return readers[key](cause, found, rule);
}

static int read_rule(const struct cause *cause, const struct capsa_value *value, struct policy_rule *rule)
{
	unsigned seen = 0; /* bits, by rule_keys */
	int rc;

	if (value->type != CAPSA_TYPE_GROUP)
		return mismatch(cause, value, "groups, such as ( { action = \"allow\"; port = 443; } )");
	for (size_t i = 0; i < value->n_items; i++) {
		const struct capsa_value *item = &value->items[i];
		unsigned key = 0;

		while (rule_keys[key] && strcmp(rule_keys[key], item->name) != 0)
			key++;
		if (!rule_keys[key])
			return unknown_key(cause, item, "a rule", rule_keys);
		if (seen & 1u << key)
			return refuse(cause, item, "key \"%s\" is there twice; write another rule", item->name);
		seen |= 1u << key;
		rc = read_key(cause, item, rule, key);
		if (rc)
			return rc;
	}
	if (!(seen & 1))
		return refuse(cause, value, "a rule without \"action\"; write action = \"allow\", \"deny\" or \"log\"");
	if ((seen & 1u << 3) && (seen & 1u << 4))
		return refuse(cause, value, "a rule with both \"port\" and \"ports\"; leave one out");
	if (rule->n_ranges && rule->protocol == IPPROTO_ICMP)
		return refuse(cause, value, "a rule for ports of icmp, which has none; leave one of the two out");
	return 0;
}

static int read_rules(struct cause *cause, const struct capsa_value *value, struct policy *policy)
{
	int rc;

	if (value->type != CAPSA_TYPE_LIST)
		return mismatch(cause, value, "a list of rules, ( { ... }, { ... } )");
	if (value->n_items > POLICY_RULES_MAX)
		return refuse(cause, value, "%zu rules; at most %u are possible", value->n_items, POLICY_RULES_MAX);
	if (!value->n_items)
		return 0;
	policy->rules = calloc(value->n_items, sizeof *policy->rules);
	if (!policy->rules)
		return refuse(cause, value, "out of memory");
	for (size_t i = 0; i < value->n_items; i++) {
		cause->rule = (unsigned)i + 1;
		policy->n_rules = cause->rule;
		rc = read_rule(cause, &value->items[i], &policy->rules[i]);
		if (rc)
			return rc;
	}
	cause->rule = 0;
	return 0;
}

static int read_all(struct cause *cause, const struct capsa_value *value, struct policy *policy)
{
	static const char *const keys[] = { "default", "rules", "check_names", "allow_ech", NULL };
	static const char *const words[] = { "allow", "deny", NULL };
	bool seen_rules = false;
	unsigned word = 0;
	int rc;

	for (size_t i = 0; i < value->n_items; i++) {
		const struct capsa_value *item = &value->items[i];

		if (strcmp(item->name, "default") == 0) {
			rc = read_word(cause, item, words, &word);
			policy->allow = word == 0;
		} else if (strcmp(item->name, "check_names") == 0) {
			rc = read_bool(cause, item, &policy->check_names);
		} else if (strcmp(item->name, "allow_ech") == 0) {
			rc = read_bool(cause, item, &policy->allow_ech);
		} else if (strcmp(item->name, "rules") != 0) {
			rc = unknown_key(cause, item, "a policy", keys);
		} else if (seen_rules) {
			rc = refuse(cause, item, "key \"rules\" is there twice");
		} else {
			seen_rules = true;
			rc = read_rules(cause, item, policy);
		}
		if (rc)
			return rc;
	}
	return 0;
}

int policy_read(const struct capsa_value *value, struct policy **out, char *text, size_t size)
{
	struct cause cause = { .text = text, .size = size };
	struct policy *policy = calloc(1, sizeof *policy);
	int rc = 0;

	*out = NULL;
	if (!policy) {
		snprintf(text, size, "policy: out of memory");
		return -ENOMEM;
	}
	policy->allow = true;
	if (value && value->type == CAPSA_TYPE_GROUP)
		rc = read_all(&cause, value, policy);
	else if (value && value->type != CAPSA_TYPE_NONE)
		rc = mismatch(&cause, value, "a group, { default = \"deny\"; rules = ( ... ); }");
	if (rc) {
		policy_free(policy);
		return rc;
	}
	*out = policy;
	return 0;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	for (unsigned i = 0; i < policy->n_rules; i++)
		free(policy->rules[i].domain);
	free(policy->rules);
	free(policy);
}
