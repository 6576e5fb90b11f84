/* SPDX-License-Identifier: MIT */
/*
 * net-nat.c - the plugin: a card whose far side is one user-mode network, all its own. nat.h is the map of the rooms.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/virtio_ids.h>

#include "plugins/net-nat/info.h"
#include "plugins/net-nat/keys.h"
#include "plugins/net-nat/nat.h"

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

	if (keys_read(&nat->options, values, n_values, cause, sizeof cause) == 0 &&
	    nat_set_policy(nat, nat->options.policy, cause, sizeof cause) == 0)
		return 0;
	nat->host->error(nat->dev, "%s", cause);
	return -1;
}

static int make_card(struct nat *nat)
{
	static const struct nic_operations operations = { .frame = nat_frame,
		                                          .batch_end = nat_batch_end,
		                                          .room = nat_room };
	const unsigned vcpus = nat->host->vcpus(nat->dev);
	struct options *o = &nat->options;
	struct nic_options card = { .mtu = o->mtu, .pairs = o->queues, .offloads = o->offloads };

	if (!card.pairs)
		card.pairs = vcpus < 4 ? vcpus : 4;
	if (!o->has_mac)
		nic_mac_of(nat->host->machine_name(nat->dev), nat->host->device_name(nat->dev), o->mac);
	memcpy(card.mac, o->mac, ETH_ALEN);
	return nic_new(nat->host, nat->dev, &card, &operations, nat, &nat->nic);
}

static int realize(void *self, struct capsa_setup *setup)
{
	struct nat *nat = self;
	char cause[CAUSE_SIZE] = "";
	int rc = nat_make_counters(nat);

	rc = rc ? rc : make_card(nat);
	rc = rc ? rc : nat_open(nat, cause, sizeof cause);
	if (rc) {
		nat->host->error(nat->dev, "%s", cause[0] ? cause : strerror(-rc));
		return -1; /* destroy() frees what there is */
	}
	nic_realize(nat->nic, setup);
	return 0;
}

static int start(void *self)
{
	struct nat *nat = self;
	char cause[CAUSE_SIZE] = "";

	if (nat_start(nat, cause, sizeof cause) == 0)
		return 0;
	nat->host->error(nat->dev, "%s", cause);
	return -1;
}

static int activate(void *self, uint64_t features)
{
	struct nat *nat = self;

	nat_refresh(nat);
	nic_activate(nat->nic, features);
	nic_set_link(nat->nic, nat->options.link);
	nat_activate(nat);
	return 0;
}

static void queue_notify(void *self, unsigned queue)
{
	struct nat *nat = self;

	nat_refresh(nat);
	nic_queue_notify(nat->nic, queue);
}

static void reset(void *self)
{
	struct nat *nat = self;

	nat_forget_guest(nat);
	nic_reset(nat->nic);
}

static int set_policy(struct nat *nat, const struct capsa_value *value)
{
	char cause[CAUSE_SIZE] = "";

	if (nat_set_policy(nat, value, cause, sizeof cause) == 0)
		return 0;
	nat->host->error(nat->dev, "%s", cause);
	return -1;
}

static int reconfigure(void *self, size_t key, const struct capsa_value *value)
{
	struct nat *nat = self;

	nat_refresh(nat);
	if (strcmp(net_nat_keys[key].name, "policy") == 0)
		return set_policy(nat, value);
	nat_set_link(nat, value->boolean);
	return 0;
}

static void stop(void *self)
{
	nat_forget(self);
}

static void destroy(void *self)
{
	struct nat *nat = self;

	nat_close(nat);
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
