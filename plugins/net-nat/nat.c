/* SPDX-License-Identifier: MIT */
/*
 * nat.c - the life of one translation, whoever has the card: see nat.h. Called by net-nat.c and by cluster-switch.
 *
 * Rooms are made in nat_open(), in an order in which each finds those that it uses, and freed the other way round. What
 * the guest caused is forgotten in nat_forget_guest(); published ports stay open meanwhile, their connections wait in the
 * backlog.
 */
#include "plugins/net-nat/nat.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/echo.h"
#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/forward.h"
#include "plugins/net-nat/fragment.h"
#include "plugins/net-nat/gateway.h"
#include "plugins/net-nat/host-address.h"
#include "plugins/net-nat/names.h"
#include "plugins/net-nat/policy.h"
#include "plugins/net-nat/rate.h"
#include "plugins/net-nat/sockets.h"
#include "plugins/net-nat/tcp.h"
#include "plugins/net-nat/timeout.h"
#include "plugins/net-nat/udp.h"
#include "plugins/net-nat/upstream.h"
#include "plugins/net/neighbour.h"

#define RESOLV_CONF "/etc/resolv.conf"

int nat_make_counters(struct nat *nat)
{
	const struct {
		uint64_t **at;
		const char *name, *help;
	} counters[] = {
		{ &nat->counters.rx_packets, "rx_packets", "frames to the guest" },
		{ &nat->counters.rx_bytes, "rx_bytes", "bytes of frames to the guest" },
		{ &nat->counters.tx_packets, "tx_packets", "frames from the guest" },
		{ &nat->counters.tx_bytes, "tx_bytes", "bytes of frames from the guest" },
		{ &nat->counters.rx_dropped, "rx_dropped", "packets that found no receive buffer of the guest" },
		{ &nat->counters.malformed, "malformed", "frames of the guest that are none" },
		{ &nat->counters.spoofed, "spoofed", "packets of the guest with a source address that is not its own" },
		{ &nat->counters.unsupported, "unsupported",
		  "packets of the guest of a protocol that is not translated" },
		{ &nat->counters.flows_opened, "flows_opened", "flows that began" },
		{ &nat->counters.flows_denied, "flows_denied", "flows that the policy denied" },
		{ &nat->counters.flows_refused, "flows_refused",
		  "flows beyond max_flows or the descriptors there are" },
		{ &nat->counters.tcp_retransmits, "tcp_retransmits", "segments sent to the guest again" },
		{ &nat->counters.dns_queries, "dns_queries", "questions of the guest to the name server" },
		{ &nat->counters.dns_refused, "dns_refused", "questions that the policy refused" },
		{ &nat->counters.dns_failed, "dns_failed", "questions that no upstream answered" },
		{ &nat->counters.fragments_dropped, "fragments_dropped",
		  "pieces of packets that did not become whole" },
	};

	for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
		*counters[i].at = nat->host->counter(nat->dev, counters[i].name, counters[i].help);
		if (!*counters[i].at)
			return -ENOMEM;
	}
	return 0;
}

static void choose_addresses(struct nat *nat)
{
	static const unsigned char gateway_mac[ETH_ALEN] = { 0x52, 0x55, 0x0a, 0x00, 0x00, 0x01 };
	const struct options *o = &nat->options;
	const struct nat_neighbours *n = &nat->neighbours;

	memcpy(nat->gateway_mac, gateway_mac, sizeof gateway_mac);
	memcpy(nat->guest_mac, o->mac, ETH_ALEN);
	nat->gateway4 = net_prefix_nth(&o->subnet, 1);
	nat->guest4 = n->there ? n->guest4 : net_prefix_nth(&o->subnet, 2);
	nat->ipv6 = o->ipv6;
	nat->gateway6 = net_prefix_nth(&o->subnet6, 1);
	nat->guest6 = nat->guest6_seen = net_prefix_nth(&o->subnet6, n->there ? n->nth6 : 2);
	nat->gateway_link_local = neighbour_link_local(nat->gateway_mac);
}

/* The policy has more to say where the host's addresses change: what was allowed may be the host now. */
static void on_host_addresses(void *ctx)
{
	struct nat *nat = ctx;

	if (!nat->flows)
		return;
	timeouts_refresh(nat->timeouts);
	flows_judge_again(nat->flows);
	nic_flush(nat->nic);
}

static void on_sockets_ready(void *ctx)
{
	struct nat *nat = ctx;

	timeouts_refresh(nat->timeouts);
}

static void on_sockets_served(void *ctx)
{
	struct nat *nat = ctx;

	nic_flush(nat->nic);
}

static int make_rooms(struct nat *nat, char *cause, size_t size)
{
	static const struct sockets_batch batch = { .begin = on_sockets_ready, .end = on_sockets_served };
	const struct options *o = &nat->options;
	int rc;

	rc = timeouts_new(nat->host, nat->dev, &nat->timeouts);
	rc = rc ? rc : sockets_new(nat->host, nat->dev, &batch, nat, &nat->sockets);
	rc = rc ? rc : host_addresses_new(nat->host, nat->dev, on_host_addresses, nat, &nat->host_addresses);
	rc = rc ? rc : names_new(nat->timeouts, &nat->names);
	rc = rc ? rc : flows_new(nat, &nat->flows);
	rc = rc ? rc : tcp_new(nat, &nat->tcp);
	rc = rc ? rc : udp_new(nat, &nat->udp);
	rc = rc ? rc : echo_new(nat, &nat->echo);
	rc = rc ? rc : fragments_new(nat, &nat->fragments);
	rc = rc ? rc : upstreams_new(nat, RESOLV_CONF, &nat->upstreams);
	rc = rc ? rc : gateway_new(nat, &nat->gateway);
	rc = rc ? rc : dns_new(nat, &nat->dns);
	if (!rc && (o->rate_in || o->rate_out))
		rc = rate_new(nat, &nat->rate);
	return rc ? rc : forwards_new(nat, &nat->forwards, cause, size);
}

int nat_open(struct nat *nat, char *cause, size_t size)
{
	int rc;

	cause[0] = '\0';
	choose_addresses(nat);
	rc = make_rooms(nat, cause, size);
	if (rc && !cause[0])
		snprintf(cause, size, "%s", strerror(-rc));
	return rc; /* nat_close() frees what there is */
}

/* Who asks for so many learns now that there will not be. */
static void check_limit(const struct nat *nat)
{
	const struct options *o = &nat->options;
	const unsigned most = sockets_most(nat->sockets);

	if (o->has_max_flows && o->max_flows > most)
		nat->host->log(nat->dev, CAPSA_LOG_WARNING,
		               "max_flows = %u: there are descriptors for %u; raise the limit (ulimit -Hn %lu)",
		               o->max_flows, most, sockets_limit_for(o->max_flows));
}

int nat_start(struct nat *nat, char *cause, size_t size)
{
	int rc = forwards_start(nat->forwards);

	check_limit(nat);
	if (rc)
		snprintf(cause, size, "published ports: %s", strerror(-rc));
	return rc;
}

void nat_activate(struct nat *nat)
{
	gateway_begin(nat);
	forwards_resume(nat->forwards);
	nic_flush(nat->nic);
}

void nat_forget(struct nat *nat)
{
	flows_drop_all(nat->flows);
	fragments_forget_all(nat->fragments);
	dns_forget_all(nat->dns);
}

void nat_forget_guest(struct nat *nat)
{
	nat_forget(nat);
	names_forget_all(nat->names);
}

void nat_refresh(struct nat *nat)
{
	timeouts_refresh(nat->timeouts);
}

void nat_set_link(struct nat *nat, bool up)
{
	if (nat->options.link && !up)
		nat_forget(nat);
	nat->options.link = up;
	nic_set_link(nat->nic, up);
	forwards_resume(nat->forwards);
}

int nat_set_policy(struct nat *nat, const struct capsa_value *value, char *cause, size_t size)
{
	struct policy *policy = NULL;

	if (policy_read(value, &policy, cause, size) < 0)
		return -EINVAL;
	policy_free(nat->policy);
	nat->policy = policy;
	if (!nat->flows)
		return 0;
	flows_judge_again(nat->flows);
	nic_flush(nat->nic);
	return 0;
}

void nat_close(struct nat *nat)
{
	forwards_free(nat->forwards);
	flows_free(nat->flows);
	dns_free(nat->dns);
	gateway_free(nat->gateway);
	upstreams_free(nat->upstreams);
	fragments_free(nat->fragments);
	echo_free(nat->echo);
	udp_free(nat->udp);
	tcp_free(nat->tcp);
	rate_free(nat->rate);
	names_free(nat->names);
	policy_free(nat->policy);
	host_addresses_free(nat->host_addresses);
	sockets_free(nat->sockets);
	timeouts_free(nat->timeouts);
}
