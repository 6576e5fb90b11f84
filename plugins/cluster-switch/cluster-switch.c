/* SPDX-License-Identifier: MIT */
/*
 * cluster-switch.c - the plugin: life cycle of one machine's place in a cluster. cluster.h is the map of the rooms, and
 * says which process maps what.
 *
 * realize() joins, so that whoever is refused hears of it when the machine starts. A machine that has joined runs on
 * without a switch, and joins the next one by itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/virtio_ids.h>

#include "plugins/cluster-switch/card.h"
#include "plugins/cluster-switch/cluster-gateway.h"
#include "plugins/cluster-switch/member.h"
#include "plugins/cluster-switch/options.h"
#include "plugins/cluster-switch/protocol.h"
#include "plugins/cluster-switch/schedule.h"
#include "plugins/net/nic.h"

#define CAUSE_SIZE 1024u /* a switch's words, and ours around them */
#define QUEUES_DEFAULT_MAX 4u
#define IPV4_BITS 96u

struct cluster_switch {
	const struct capsa_host *host;
	struct capsa_device *dev;
	struct cluster_options options;
	struct card *card;
	struct member *member;
	struct cluster_gateway *gateway;
};

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	struct cluster_switch *self = calloc(1, sizeof *self);

	if (!self) {
		host->error(dev, "out of memory");
		return NULL;
	}
	self->host = host;
	self->dev = dev;
	return self;
}

static int config(void *ctx, const struct capsa_value *values, size_t n_values)
{
	struct cluster_switch *self = ctx;
	char cause[CAUSE_SIZE] = "";

	if (cluster_options_read(&self->options, values, n_values, cause, sizeof cause) == 0)
		return 0;
	self->host->error(self->dev, "%s", cause);
	return -1;
}

/* ---- joining ---- */

static int make_card(struct cluster_switch *self)
{
	const struct cluster_options *o = &self->options;
	const unsigned vcpus = self->host->vcpus(self->dev);
	struct nic_options card = { .mtu = o->gateway.mtu,
		                    .pairs = o->gateway.queues,
		                    .offloads = o->gateway.offloads };

	if (!card.pairs)
		card.pairs = vcpus < QUEUES_DEFAULT_MAX ? vcpus : QUEUES_DEFAULT_MAX;
	memcpy(card.mac, o->gateway.mac, ETH_ALEN);
	return card_new(self->host, self->dev, &card, &self->card);
}

/* Who it is in the cluster. False, with the cause: it has no name that others could call it by. */
static bool choose_identity(struct cluster_switch *self, char *cause, size_t size)
{
	struct cluster_options *o = &self->options;
	const char *name = self->host->machine_name(self->dev);

	if (!name || !protocol_name_is_valid(name)) {
		snprintf(cause, size,
		         "the machine's name \"%s\" is none that a member may have; give it another, of at most %u "
		         "letters, digits, \"_\", \".\" and \"-\"",
		         name ? name : "", CLUSTER_NAME_MAX);
		return false;
	}
	snprintf(o->port.name, sizeof o->port.name, "%s", name);
	if (!o->gateway.has_mac)
		nic_mac_of(name, self->host->device_name(self->dev), o->gateway.mac);
	memcpy(o->port.mac, o->gateway.mac, ETH_ALEN);
	return true;
}

static int join(struct cluster_switch *self, char *cause, size_t size)
{
	const struct cluster_options *o = &self->options;
	struct protocol_hello *hello = calloc(1, sizeof *hello);
	int rc;

	if (!hello)
		return -ENOMEM;
	hello->port = o->port;
	hello->fixed = o->has_address;
	hello->subnet = o->subnet;
	hello->subnet6 = o->subnet6;
	if (o->uplink)
		snprintf(hello->uplink, sizeof hello->uplink, "%s", o->uplink);
	rc = member_open(self->host, self->dev, o->cluster, hello, &card_member_operations, self->card, &self->member,
	                 cause, size);
	free(hello);
	if (!rc)
		card_set_member(self->card, self->member);
	return rc;
}

static int realize(void *ctx, struct capsa_setup *setup)
{
	struct cluster_switch *self = ctx;
	char cause[CAUSE_SIZE] = "";
	int rc = choose_identity(self, cause, sizeof cause) ? 0 : -EINVAL;

	rc = rc ? rc : make_card(self);
	rc = rc ? rc : join(self, cause, sizeof cause);
	rc = rc ? rc
	        : cluster_gateway_new(self->host, self->dev, &self->options, self->card, self->member, &self->gateway,
	                              cause, sizeof cause);
	if (rc) {
		/* shared_path() has said why there is no folder (member.h). */
		if (cause[0] || rc != -ENOENT)
			self->host->error(self->dev, "%s", cause[0] ? cause : strerror(-rc));
		return -1; /* destroy() frees what there is */
	}
	nic_realize(card_nic(self->card), setup);
	return 0;
}

/* ---- the machine runs ---- */

static int start(void *ctx)
{
	struct cluster_switch *self = ctx;
	char cause[CAUSE_SIZE] = "";
	int rc = member_start(self->member);

	rc = rc ? rc : cluster_gateway_start(self->gateway, cause, sizeof cause);
	if (rc) {
		self->host->error(self->dev, "cluster \"%s\": %s", self->options.cluster,
		                  cause[0] ? cause : strerror(-rc));
		return -1;
	}
	card_start(self->card);
	return 0;
}

static int activate(void *ctx, uint64_t features)
{
	struct cluster_switch *self = ctx;

	cluster_gateway_refresh(self->gateway);
	card_activate(self->card, features, self->options.gateway.link);
	cluster_gateway_activate(self->gateway);
	return 0;
}

/* Once a thread, as the core gives the loop another one now and then. The first thread has others' work as well. */
static void schedule_thread(void)
{
	static _Thread_local bool is_done;

	if (is_done)
		return;
	is_done = true;
	if (gettid() != getpid())
		schedule_in_batches();
}

static void queue_notify(void *ctx, unsigned queue)
{
	struct cluster_switch *self = ctx;

	schedule_thread();
	cluster_gateway_refresh(self->gateway);
	nic_queue_notify(card_nic(self->card), queue);
}

static void reset(void *ctx)
{
	struct cluster_switch *self = ctx;

	cluster_gateway_reset(self->gateway);
	card_reset(self->card);
}

static int set_peers(struct cluster_switch *self, const struct capsa_value *value)
{
	char cause[CAUSE_SIZE] = "";

	if (cluster_options_read_peers(&self->options.port, value, cause, sizeof cause) < 0) {
		self->host->error(self->dev, "%s", cause);
		return -1;
	}
	member_change(self->member, &self->options.port);
	return 0;
}

static int set_policy(struct cluster_switch *self, const struct capsa_value *value)
{
	char cause[CAUSE_SIZE] = "";

	if (cluster_gateway_set_policy(self->gateway, value, cause, sizeof cause) == 0)
		return 0;
	self->host->error(self->dev, "%s", cause);
	return -1;
}

static int reconfigure(void *ctx, size_t key, const struct capsa_value *value)
{
	struct cluster_switch *self = ctx;
	const char *name = cluster_switch_keys[key].name;

	cluster_gateway_refresh(self->gateway);
	if (strcmp(name, "peers") == 0)
		return set_peers(self, value);
	if (strcmp(name, "policy") == 0)
		return set_policy(self, value);
	self->options.gateway.link = value->boolean;
	card_set_link(self->card, value->boolean);
	cluster_gateway_set_link(self->gateway, value->boolean);
	return 0;
}

static void stop(void *ctx)
{
	struct cluster_switch *self = ctx;

	cluster_gateway_stop(self->gateway);
}

static void destroy(void *ctx)
{
	struct cluster_switch *self = ctx;

	cluster_gateway_free(self->gateway);
	member_free(self->member);
	card_free(self->card);
	free(self);
}

/* ---- info ---- */

static void tell_text(const struct cluster_switch *self, const char *key, const char *text)
{
	self->host->info_text(self->dev, key, text);
}

static void tell_list(const struct cluster_switch *self, const char *key)
{
	self->host->info_begin(self->dev, key, true);
}

static void tell_end(const struct cluster_switch *self)
{
	self->host->info_end(self->dev);
}

/* "10.0.3.11/24" */
static void tell_interface(const struct cluster_switch *self, const char *key, const struct in6_addr *address,
                           unsigned bits)
{
	char text[NET_ADDRESS_TEXT + sizeof "/128"], alone[NET_ADDRESS_TEXT];

	snprintf(text, sizeof text, "%s/%u", net_address_text(address, alone), bits & 0xffu);
	tell_text(self, key, text);
}

static void tell_member(const struct cluster_switch *self, const struct protocol_member *member)
{
	char text[NET_ADDRESS_TEXT];

	self->host->info_begin(self->dev, NULL, false);
	tell_text(self, "name", member->name);
	tell_text(self, "address", net_address_text(&member->address, text));
	if (!IN6_IS_ADDR_UNSPECIFIED(&member->address6))
		tell_text(self, "address6", net_address_text(&member->address6, text));
	tell_end(self);
}

static void tell_cluster(const struct cluster_switch *self)
{
	const struct protocol_welcome *place = member_place(self->member);
	const struct protocol_members *list = member_list(self->member);

	self->host->info_begin(self->dev, "cluster", false);
	tell_text(self, "name", self->options.cluster);
	tell_text(self, "state", member_ring(self->member) ? "joined" : "waiting for a switch");
	tell_interface(self, "address", &place->address, place->subnet.bits - IPV4_BITS);
	self->host->info_number(self->dev, "joins", member_joins(self->member));
	tell_list(self, "members");
	for (unsigned i = 0; i < list->n; i++)
		tell_member(self, &list->members[i]);
	tell_end(self);
	tell_end(self);
}

static void info(void *ctx)
{
	const struct cluster_switch *self = ctx;

	cluster_gateway_info(self->gateway);
	tell_cluster(self);
}

static const struct capsa_plugin plugin = {
	CAPSA_PLUGIN_HEADER,
	.name = "cluster-switch",
	.version = "0.1.0",
	.description = "one Ethernet segment for several machines: switch, addresses, names, ways out",
	.virtio_device_id = VIRTIO_ID_NET,
	.thread_model = CAPSA_THREAD_WORKER,
	.needs = CAPSA_NEEDS_INTERNET | CAPSA_NEEDS_UNIX | CAPSA_NEEDS_FILES,
	.keys = cluster_switch_keys,
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
	.info = info,
};

const struct capsa_plugin *capsa_plugin_entry(void)
{
	return &plugin;
}
