/* SPDX-License-Identifier: MIT */
/*
 * net-nat.c - the plugin: life cycle of one user-mode network. nat.h is the map of its rooms.
 *
 * Rooms are made in realize(), in an order in which each finds those that it uses, and freed the other way round. What
 * the guest caused is forgotten in reset(); published ports stay open meanwhile, their connections wait in the backlog.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ids.h>

#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/echo.h"
#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/forward.h"
#include "plugins/net-nat/fragment.h"
#include "plugins/net-nat/gateway.h"
#include "plugins/net-nat/host-address.h"
#include "plugins/net-nat/info.h"
#include "plugins/net-nat/names.h"
#include "plugins/net-nat/nat.h"
#include "plugins/net-nat/rate.h"
#include "plugins/net-nat/sockets.h"
#include "plugins/net-nat/tcp.h"
#include "plugins/net-nat/timeout.h"
#include "plugins/net-nat/udp.h"
#include "plugins/net-nat/upstream.h"
#include "plugins/net/neighbour.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define CAUSE_SIZE 512u

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	struct nat *nat = calloc(1, sizeof *nat);

	if (!nat) {
		host->error(dev, "out of memory");
		return NULL;
	}
	nat->host = host;
	nat->dev = dev;
	return nat;
}

static int config(void *self, const struct capsa_value *values, size_t n_values)
{
	struct nat *nat = self;
	char cause[CAUSE_SIZE] = "";

	if (options_read(&nat->options, values, n_values, cause, sizeof cause) == 0 &&
	    policy_read(nat->options.policy, &nat->policy, cause, sizeof cause) == 0)
		return 0;
	nat->host->error(nat->dev, "%s", cause);
	return -1;
}

static bool make_counters(struct nat *nat)
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
			return false;
	}
	return true;
}

static void choose_addresses(struct nat *nat)
{
	const struct options *o = &nat->options;
	static const unsigned char gateway_mac[ETH_ALEN] = { 0x52, 0x55, 0x0a, 0x00, 0x00, 0x01 };

	memcpy(nat->gateway_mac, gateway_mac, sizeof gateway_mac);
	if (!o->has_mac)
		nic_mac_of(nat->host->machine_name(nat->dev), nat->host->device_name(nat->dev), nat->options.mac);
	memcpy(nat->guest_mac, o->mac, ETH_ALEN);
	nat->gateway4 = net_prefix_nth(&o->subnet, 1);
	nat->guest4 = net_prefix_nth(&o->subnet, 2);
	nat->ipv6 = o->ipv6;
	nat->gateway6 = net_prefix_nth(&o->subnet6, 1);
	nat->guest6 = nat->guest6_seen = net_prefix_nth(&o->subnet6, 2);
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

static int realize(void *self, struct capsa_setup *setup)
{
	static const struct nic_operations operations = { .frame = nat_frame,
		                                          .batch_end = nat_batch_end,
		                                          .room = nat_room };
	static const struct sockets_batch batch = { .begin = on_sockets_ready, .end = on_sockets_served };
	struct nat *nat = self;
	const struct options *o = &nat->options;
	const unsigned vcpus = nat->host->vcpus(nat->dev);
	struct nic_options card = { .mtu = o->mtu, .pairs = o->queues, .offloads = o->offloads };
	char cause[CAUSE_SIZE] = "";
	int rc;

	if (!card.pairs)
		card.pairs = vcpus < 4 ? vcpus : 4;
	choose_addresses(nat);
	memcpy(card.mac, o->mac, ETH_ALEN);
	rc = make_counters(nat) ? nic_new(nat->host, nat->dev, &card, &operations, nat, &nat->nic) : -ENOMEM;
	rc = rc ? rc : timeouts_new(nat->host, nat->dev, &nat->timeouts);
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
	rc = rc ? rc : forwards_new(nat, &nat->forwards, cause, sizeof cause);
	if (rc) {
		nat->host->error(nat->dev, "%s", cause[0] ? cause : strerror(-rc));
		return -1; /* destroy() frees what there is */
	}
	nic_realize(nat->nic, setup);
	return 0;
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

static int start(void *self)
{
	struct nat *nat = self;
	int rc = forwards_start(nat->forwards);

	check_limit(nat);
	if (rc)
		nat->host->error(nat->dev, "published ports: %s", strerror(-rc));
	return rc ? -1 : 0;
}

static int activate(void *self, uint64_t features)
{
	struct nat *nat = self;

	timeouts_refresh(nat->timeouts);
	nic_activate(nat->nic, features);
	nic_set_link(nat->nic, nat->options.link);
	gateway_begin(nat);
	forwards_resume(nat->forwards);
	nic_flush(nat->nic);
	return 0;
}

static void queue_notify(void *self, unsigned queue)
{
	struct nat *nat = self;

	timeouts_refresh(nat->timeouts);
	nic_queue_notify(nat->nic, queue);
}

static void forget(struct nat *nat)
{
	flows_drop_all(nat->flows);
	fragments_forget_all(nat->fragments);
	dns_forget_all(nat->dns);
}

static void reset(void *self)
{
	struct nat *nat = self;

	forget(nat);
	names_forget_all(nat->names);
	nic_reset(nat->nic);
}

static int set_link(struct nat *nat, bool up)
{
	if (nat->options.link && !up)
		forget(nat);
	nat->options.link = up;
	nic_set_link(nat->nic, up);
	forwards_resume(nat->forwards);
	return 0;
}

static int set_policy(struct nat *nat, const struct capsa_value *value)
{
	char cause[CAUSE_SIZE] = "";
	struct policy *policy = NULL;

	if (policy_read(value, &policy, cause, sizeof cause) < 0) {
		nat->host->error(nat->dev, "%s", cause);
		return -1;
	}
	policy_free(nat->policy);
	nat->policy = policy;
	flows_judge_again(nat->flows);
	nic_flush(nat->nic);
	return 0;
}

static int reconfigure(void *self, size_t key, const struct capsa_value *value)
{
	struct nat *nat = self;

	timeouts_refresh(nat->timeouts);
	if (strcmp(net_nat_keys[key].name, "policy") == 0)
		return set_policy(nat, value);
	return set_link(nat, value->boolean);
}

static void stop(void *self)
{
	struct nat *nat = self;

	forget(nat);
}

static void destroy(void *self)
{
	struct nat *nat = self;

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
	nic_free(nat->nic);
	free(nat);
}

static const struct capsa_plugin plugin = {
	CAPSA_PLUGIN_HEADER,
	.name = "net-nat",
	.version = "0.1.0",
	.description = "user-mode network: address translation with a policy, name server, published ports",
	.virtio_device_id = VIRTIO_ID_NET,
	.thread_model = CAPSA_THREAD_WORKER,
	.needs = CAPSA_NEEDS_INTERNET | CAPSA_NEEDS_UNIX | CAPSA_NEEDS_FILES,
	.keys = net_nat_keys,
	.create = create,
	.config = config,
	.realize = realize,
	.start = start,
	.activate = activate,
	.queue_notify = queue_notify,
	.reset = reset,
	.stop = stop,
	.destroy = destroy,
	.reconfigure = reconfigure,
	.info = nat_info,
};

const struct capsa_plugin *capsa_plugin_entry(void)
{
	return &plugin;
}
