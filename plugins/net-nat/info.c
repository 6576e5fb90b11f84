/* SPDX-License-Identifier: MIT */
/* info.c - see info.h. Reads all rooms, changes none but for bytes that flows have not told their rules yet. */
#include "plugins/net-nat/info.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/flow-log.h"
#include "plugins/net-nat/forward.h"
#include "plugins/net-nat/names.h"
#include "plugins/net-nat/nat.h"
#include "plugins/net-nat/policy.h"
#include "plugins/net-nat/upstream.h"

static void tell(const struct nat *nat, const char *key, uint64_t value)
{
	nat->host->info_number(nat->dev, key, value);
}

static void tell_text(const struct nat *nat, const char *key, const char *text)
{
	nat->host->info_text(nat->dev, key, text);
}

static void begin(const struct nat *nat, const char *key)
{
	nat->host->info_begin(nat->dev, key, false);
}

static void begin_list(const struct nat *nat, const char *key)
{
	nat->host->info_begin(nat->dev, key, true);
}

static void end(const struct nat *nat)
{
	nat->host->info_end(nat->dev);
}

/* "10.0.2.2/24" */
static void tell_interface(const struct nat *nat, const struct in6_addr *address, const struct net_prefix *subnet)
{
	char text[NET_ADDRESS_TEXT + 4], alone[NET_ADDRESS_TEXT];

	snprintf(text, sizeof text, "%s/%u", net_address_text(address, alone),
	         (net_is_ipv4(address) ? subnet->bits - 96 : subnet->bits) & 0xffu);
	tell_text(nat, NULL, text);
}

/* The gateways, which are the name servers as well. */
static void tell_gateways(const struct nat *nat, const char *key, bool any)
{
	char text[NET_ADDRESS_TEXT];

	begin_list(nat, key);
	if (any)
		tell_text(nat, NULL, net_address_text(&nat->gateway4, text));
	if (any && nat->ipv6)
		tell_text(nat, NULL, net_address_text(&nat->gateway6, text));
	end(nat);
}

/* What DHCP tells, for an agent that sets the interface up without it (capsa-plugin.h). */
static void tell_network(const struct nat *nat)
{
	const struct options *o = &nat->options;
	const char *const *search = NULL;
	const unsigned n_search = upstreams_search(nat->upstreams, &search);
	char mac[3 * ETH_ALEN];

	begin(nat, "network");
	snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", o->mac[0], o->mac[1], o->mac[2], o->mac[3],
	         o->mac[4], o->mac[5]);
	tell_text(nat, "mac", mac);
	tell_text(nat, "host_name", o->host_name ? o->host_name : nat->host->machine_name(nat->dev));
	tell(nat, "mtu", o->mtu);
	begin_list(nat, "addresses");
	tell_interface(nat, &nat->guest4, &o->subnet);
	if (nat->ipv6)
		tell_interface(nat, &nat->guest6, &o->subnet6);
	end(nat);
	tell_gateways(nat, "gateways", !nat->neighbours.isolated);
	tell_gateways(nat, "nameservers", true);
	begin_list(nat, "search");
	for (unsigned i = 0; i < n_search; i++)
		tell_text(nat, NULL, search[i]);
	end(nat);
	end(nat);
}

static void tell_forwards(const struct nat *nat)
{
	char text[NET_ENDPOINT_TEXT];

	begin_list(nat, "published");
	for (unsigned i = 0; i < forwards_count(nat->forwards); i++) {
		const struct forward *forward = forwards_get(nat->forwards, i);

		begin(nat, NULL);
		tell_text(nat, "protocol", forward->protocol == IPPROTO_TCP ? "tcp" : "udp");
		tell_text(nat, "listen", net_endpoint_text(&forward->listen, text));
		tell(nat, "guest_port", forward->guest_port);
		end(nat);
	}
	end(nat);
}

static void tell_rule(const struct nat *nat, int rule)
{
	struct policy_rule_info info;

	policy_describe(nat->policy, rule, &info);
	begin(nat, NULL);
	tell_text(nat, "rule", info.text);
	tell(nat, "flows", info.flows);
	tell(nat, "bytes", info.bytes);
	end(nat);
}

/* In the order in which they are asked. */
static void tell_rules(const struct nat *nat)
{
	begin_list(nat, "policy");
	for (unsigned i = 0; i < policy_rules(nat->policy); i++)
		tell_rule(nat, (int)i);
	tell_rule(nat, POLICY_GROUND_RULE);
	tell_rule(nat, POLICY_NO_RULE);
	end(nat);
}

struct listing {
	const struct nat *nat;
	unsigned n;
};

static void tell_flow(void *ctx, const struct flow *flow)
{
	struct listing *listing = ctx;
	const struct nat *nat = listing->nat;
	char text[NET_ENDPOINT_TEXT];
	struct policy_rule_info info = { .text = "published" };

	if (listing->n++ >= INFO_FLOWS_MAX)
		return;
	if (!flow->inbound)
		policy_describe(nat->policy, flow->verdict.rule, &info);
	begin(nat, NULL);
	tell_text(nat, "protocol", flow->kind->name);
	tell_text(nat, "guest", net_endpoint_text(&flow->key.guest, text));
	tell_text(nat, "far", net_endpoint_text(&flow->key.far, text));
	tell_text(nat, "direction", flow->inbound ? "in" : "out");
	tell_text(nat, "verdict", flow->verdict.allowed ? "allowed" : "denied");
	tell_text(nat, "rule", info.text);
	tell(nat, "tx_bytes", flow->tx_bytes);
	tell(nat, "rx_bytes", flow->rx_bytes);
	end(nat);
}

static void tell_flows(const struct nat *nat)
{
	struct listing listing = { .nat = nat };

	begin_list(nat, "flows");
	flows_each(nat->flows, tell_flow, &listing);
	end(nat);
}

static void tell_line(void *ctx, time_t when, const char *line)
{
	const struct nat *nat = ctx;
	char text[32];
	struct tm tm;

	gmtime_r(&when, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	begin(nat, NULL);
	tell_text(nat, "time", text);
	tell_text(nat, "line", line);
	end(nat);
}

void nat_info(void *self)
{
	struct nat *nat = self;

	flows_settle(nat->flows);
	tell_network(nat);
	tell_text(nat, "link", nat->options.link ? "up" : "down");
	tell_forwards(nat);
	tell(nat, "names", names_count(nat->names));
	tell_rules(nat);
	tell(nat, "flow_count", flows_count(nat->flows));
	tell_flows(nat);
	begin_list(nat, "log");
	flow_log_each(flows_log(nat->flows), tell_line, nat);
	end(nat);
}
