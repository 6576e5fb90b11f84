/* SPDX-License-Identifier: MIT */
/*
 * flow.c - see flow.h.
 *
 * THEORY OF OPERATION. Chains, as many as there are flows or more: the table doubles when it is full and halves when
 * seven of eight chains are empty, so that what a flood took comes back. Every flow has its hash with it, so moving is
 * a walk along the list of all. Where there is no memory to grow, chains get longer and nothing else happens. A large
 * table that halves has lost seven eighths of its flows: then the allocator is asked to give pages back to the kernel,
 * as anything that stands behind them would keep them from it for as long as the machine runs.
 *
 * A flow that is denied is not in the table: its next packet is judged again. So that it does not write its line again,
 * the last DENIALS of them are remembered by their hash.
 */
#include "plugins/net-nat/flow.h"

#include <assert.h>
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net/hash.h"
#include "plugins/net-nat/flow-log.h"
#include "plugins/net-nat/forward.h"
#include "plugins/net-nat/host-address.h"
#include "plugins/net-nat/nat.h"
#include "plugins/net-nat/udp.h"

#define CHAINS_MIN 64u
#define CHAINS_MANY 8192u      /* what as many flows leave behind is worth to be given back */
#define DENIALS 1024u          /* a power of two */
#define DENIAL_MEMORY 60000u   /* ms */
#define REFUSAL_SILENCE 10000u /* ms between two lines of a kind about refused flows */

LIST_HEAD(flow_list, flow);

struct denial {
	uint64_t hash;
	uint64_t until; /* 0: none */
};

struct flows {
	struct nat *nat;
	struct hash_secret secret;
	struct flow **chains;
	size_t n_chains; /* a power of two */
	size_t n;
	struct flow_list all;
	const struct policy *judged_by; /* all in the table; compared only, it may be gone */
	/* Log lines. */
	struct denial denials[DENIALS];
	struct flow_log log;
	uint64_t refusal_at; /* when the next line about a refused flow may be written */
};

/* ---- the table ---- */

static uint64_t hash_of(const struct flows *flows, const struct flow_key *key)
{
	uint64_t words[5];

	memcpy(&words[0], &key->guest.address, sizeof key->guest.address);
	memcpy(&words[2], &key->far.address, sizeof key->far.address);
	words[4] = (uint64_t)key->guest.port << 32 | (uint64_t)key->far.port << 16 | key->protocol;
	return hash_words(&flows->secret, words, sizeof words / sizeof *words);
}

static bool same_key(const struct flow_key *a, const struct flow_key *b)
{
	return a->guest.port == b->guest.port && a->far.port == b->far.port && a->protocol == b->protocol &&
	       net_same(&a->far.address, &b->far.address) && net_same(&a->guest.address, &b->guest.address);
}

int flows_new(struct nat *nat, struct flows **out)
{
	struct flows *flows = calloc(1, sizeof *flows);
	int rc;

	*out = NULL;
	if (!flows)
		return -ENOMEM;
	flows->nat = nat;
	flows->n_chains = CHAINS_MIN;
	flows->log.left = FLOW_LOG_BURST;
	LIST_INIT(&flows->all);
	flows->chains = calloc(flows->n_chains, sizeof *flows->chains);
	rc = flows->chains ? hash_secret_new(&flows->secret) : -ENOMEM;
	if (rc < 0) {
		flows_free(flows);
		return rc;
	}
	*out = flows;
	return 0;
}

void flows_free(struct flows *flows)
{
	if (!flows)
		return;
	flows_drop_all(flows);
	flow_log_end(&flows->log);
	free(flows->chains);
	free(flows);
}

static struct flow *find(const struct flows *flows, const struct flow_key *key, uint64_t hash)
{
	struct flow *flow = flows->chains[hash & (flows->n_chains - 1)];

	while (flow && (flow->hash != hash || !same_key(&flow->key, key)))
		flow = flow->next;
	return flow;
}

struct flow *flows_find(const struct flows *flows, const struct flow_key *key)
{
	return find(flows, key, hash_of(flows, key));
}

static void resize(struct flows *flows, size_t n_chains)
{
	struct flow **chains = calloc(n_chains, sizeof *chains);
	struct flow *flow;

	if (!chains)
		return;
	LIST_FOREACH(flow, &flows->all, all)
	{
		struct flow **chain = &chains[flow->hash & (n_chains - 1)];

		flow->next = *chain;
		*chain = flow;
	}
	free(flows->chains);
	flows->chains = chains;
	flows->n_chains = n_chains;
}

static void shrink(struct flows *flows)
{
	const bool many = flows->n_chains >= CHAINS_MANY;

	resize(flows, flows->n_chains / 2);
#ifdef __GLIBC__
	if (many)
		malloc_trim(0);
#else
	(void)many;
#endif
}

int flows_insert(struct flows *flows, struct flow *flow)
{
	struct flow **chain;

	flow->hash = hash_of(flows, &flow->key);
	if (find(flows, &flow->key, flow->hash))
		return -EEXIST;
	if (flows->n >= flows->nat->options.max_flows)
		return -EMFILE;
	if (!flows->n)
		flows->judged_by = flows->nat->policy;
	LIST_INSERT_HEAD(&flows->all, flow, all);
	chain = &flows->chains[flow->hash & (flows->n_chains - 1)];
	flow->next = *chain;
	*chain = flow;
	if (++flows->n > flows->n_chains)
		resize(flows, 2 * flows->n_chains);
	counter_add(flows->nat->counters.flows_opened, 1);
	return 0;
}

/* To the rule that its verdict is of. */
static void settle(struct flows *flows, struct flow *flow)
{
	const uint64_t bytes = flow->tx_bytes + flow->rx_bytes;

	if (!flow->inbound && flows->judged_by == flows->nat->policy)
		policy_count(flows->nat->policy, &flow->verdict, 0, bytes - flow->counted);
	flow->counted = bytes;
}

void flows_remove(struct flows *flows, struct flow *flow)
{
	struct flow **at = &flows->chains[flow->hash & (flows->n_chains - 1)];

	while (*at != flow) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = flow->next;
	LIST_REMOVE(flow, all);
	settle(flows, flow);
	if (--flows->n < flows->n_chains / 8 && flows->n_chains > CHAINS_MIN)
		shrink(flows);
	forwards_resume(flows->nat->forwards);
}

unsigned flows_count(const struct flows *flows)
{
	return (unsigned)flows->n;
}

void flows_each(const struct flows *flows, void (*each)(void *ctx, const struct flow *flow), void *ctx)
{
	struct flow *flow;

	LIST_FOREACH(flow, &flows->all, all)
	each(ctx, flow);
}

void flows_settle(struct flows *flows)
{
	struct flow *flow;

	LIST_FOREACH(flow, &flows->all, all)
	settle(flows, flow);
}

void flows_drop_all(struct flows *flows)
{
	while (!LIST_EMPTY(&flows->all)) {
		struct flow *flow = LIST_FIRST(&flows->all);

		flow->kind->drop(flow);
	}
}

/* ---- words about them ---- */

static const char *protocol_name(uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return "icmp";
	default:
		return "ip";
	}
}

/* The port of an echo is its identifier, which says nothing. */
static const char *end_text(const struct flow_key *key, const struct net_endpoint *end, char text[NET_ENDPOINT_TEXT])
{
	if (key->protocol == IPPROTO_TCP || key->protocol == IPPROTO_UDP)
		return net_endpoint_text(end, text);
	return net_address_text(&end->address, text);
}

static void write_line(struct flows *flows, const struct flow *flow)
{
	struct nat *nat = flows->nat;
	const struct verdict *verdict = &flow->verdict;
	char guest[NET_ENDPOINT_TEXT], far[NET_ENDPOINT_TEXT];
	char rule[sizeof((struct policy_rule_info *)NULL)->text + 32] = "default";
	struct policy_rule_info info = { .text = "" };

	if (!flow_log_may_write(&flows->log, timeouts_now(nat->timeouts)))
		return;
	if (verdict->rule >= 0) {
		policy_describe(nat->policy, verdict->rule, &info);
		snprintf(rule, sizeof rule, "rule %d (%s)", verdict->rule + 1, info.text);
	} else if (verdict->rule == POLICY_GROUND_RULE) {
		snprintf(rule, sizeof rule, "a ground rule");
	}
	flow_log_write(&flows->log, nat, "%s %s -> %s %s by %s%s", protocol_name(flow->key.protocol),
	               end_text(&flow->key, &flow->key.guest, guest), end_text(&flow->key, &flow->key.far, far),
	               verdict->allowed ? "allowed" : "denied", verdict->unnamed ? "check_names at " : "", rule);
}

const struct flow_log *flows_log(const struct flows *flows)
{
	return &flows->log;
}

/* Whether the same was denied a moment ago; notes that it was now. */
static bool denied_before(struct flows *flows, uint64_t hash)
{
	const uint64_t now = timeouts_now(flows->nat->timeouts);
	struct denial *denial = &flows->denials[hash & (DENIALS - 1)];
	const bool before = denial->hash == hash && denial->until > now;

	*denial = (struct denial){ .hash = hash, .until = now + DENIAL_MEMORY };
	return before;
}

void flow_refused(struct nat *nat, const struct flow_key *key, int error)
{
	struct flows *flows = nat->flows;
	const uint64_t now = timeouts_now(nat->timeouts);
	char far[NET_ENDPOINT_TEXT];

	counter_add(nat->counters.flows_refused, 1);
	if (flows->refusal_at > now)
		return;
	flows->refusal_at = now + REFUSAL_SILENCE;
	if (flows->n >= nat->options.max_flows)
		nat->host->log(nat->dev, CAPSA_LOG_WARNING,
		               "%s to %s is refused: there are %zu flows; raise max_flows for more",
		               protocol_name(key->protocol), end_text(key, &key->far, far), flows->n);
	else
		nat->host->log(nat->dev, CAPSA_LOG_WARNING, "%s to %s is refused: %s%s", protocol_name(key->protocol),
		               end_text(key, &key->far, far), strerror(-error),
		               error == -EMFILE || error == -ENFILE ? "; raise the limit (ulimit -n)" : "");
}

/* ---- beginning ---- */

static struct verdict ask_policy(struct nat *nat, const struct flow *flow)
{
	const struct policy_question question = { .protocol = flow->key.protocol,
		                                  .real = flow->real,
		                                  .to_gateway = nat_is_gateway_address(nat, &flow->key.far.address) };
	struct verdict verdict = policy_judge(nat->policy, nat->names, nat->host_addresses, &question);

	/* Names inside of UDP (QUIC) are encrypted: what cannot be checked is not allowed. */
	if (verdict.allowed && verdict.by_name && question.protocol == IPPROTO_UDP &&
	    policy_checks_names(nat->policy)) {
		verdict.allowed = false;
		verdict.unnamed = true;
	}
	return verdict;
}

/* Where nothing leaves, no rule is asked. */
static struct verdict judge(struct nat *nat, const struct flow *flow)
{
	if (nat->neighbours.isolated)
		return (struct verdict){ .rule = POLICY_GROUND_RULE, .protocol = flow->key.protocol, .asked = flow->real };
	return ask_policy(nat, flow);
}

/* What has its verdict begins, or does not: 0 or -EACCES. */
static int count_and_log(struct nat *nat, const struct flow *flow)
{
	policy_count(nat->policy, &flow->verdict, 1, 0);
	if (!flow->verdict.allowed) {
		counter_add(nat->counters.flows_denied, 1);
		if (flow->verdict.log && !denied_before(nat->flows, hash_of(nat->flows, &flow->key)))
			write_line(nat->flows, flow);
		return -EACCES;
	}
	if (flow->verdict.log)
		write_line(nat->flows, flow);
	return 0;
}

static int find_room(struct nat *nat, const struct flow_key *key)
{
	if (nat->flows->n < nat->options.max_flows || udp_make_room(nat))
		return 0;
	flow_refused(nat, key, -EMFILE);
	return -EMFILE;
}

int flow_begin(struct nat *nat, const struct flow_key *key, struct flow *flow)
{
	flow->nat = nat;
	flow->key = *key;
	flow->real = key->far;
	flow->real.address = nat_real_target(nat, &key->far.address);
	flow->inbound = false;
	flow->verdict = judge(nat, flow);
	return count_and_log(nat, flow) < 0 ? -EACCES : find_room(nat, key);
}

bool flow_may_pass(struct nat *nat, const struct flow_key *key)
{
	struct flow flow = { .nat = nat, .key = *key, .real = key->far };

	flow.verdict = ask_policy(nat, &flow);
	return count_and_log(nat, &flow) == 0;
}

int flow_begin_inbound(struct nat *nat, const struct flow_key *key, struct flow *flow)
{
	flow->nat = nat;
	flow->key = *key;
	flow->real = key->far;
	flow->inbound = true;
	flow->verdict = (struct verdict){ .allowed = true, .rule = POLICY_NO_RULE };
	return find_room(nat, key);
}

void flow_unnamed(struct flow *flow)
{
	flow->verdict.allowed = false;
	flow->verdict.unnamed = true;
	counter_add(flow->nat->counters.flows_denied, 1);
	if (flow->verdict.log)
		write_line(flow->nat->flows, flow);
}

/* ---- judging again ---- */

/*
 * Whether what changed can change its verdict. Where the rules are the same, addresses of the host came or went: that
 * is nothing to a flow to another address, whatever names are known of it by now.
 */
static bool is_touched(const struct flows *flows, const struct flow *flow)
{
	const struct nat *nat = flows->nat;

	return !flow->inbound &&
	       (flows->judged_by != nat->policy || policy_host_changed(&flow->verdict, nat->host_addresses));
}

void flows_judge_again(struct flows *flows)
{
	struct nat *nat = flows->nat;
	struct flow *flow = LIST_FIRST(&flows->all), *next;
	const bool replaced = flows->judged_by != nat->policy;

	for (; flow; flow = next) {
		const struct verdict before = flow->verdict;

		next = LIST_NEXT(flow, all);
		if (!is_touched(flows, flow))
			continue;
		settle(flows, flow); /* to the rule that it had, where that is still there */
		flow->verdict = judge(nat, flow);
		if (replaced || flow->verdict.rule != before.rule)
			policy_count(nat->policy, &flow->verdict, 1, 0);
		if (flow->verdict.allowed && flow->kind->name_fits && !flow->kind->name_fits(flow)) {
			flow->verdict.allowed = false;
			flow->verdict.unnamed = true;
		}
		if (flow->verdict.allowed)
			continue;
		counter_add(nat->counters.flows_denied, 1);
		if (flow->verdict.log)
			write_line(flows, flow);
		flow->kind->deny(flow);
	}
	flows->judged_by = nat->policy;
}
