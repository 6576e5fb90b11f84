/* SPDX-License-Identifier: MIT */
/* tagged.c - a device of no use with keys of which each value may stand once in a machine. See bad-input.sh. */
#include "capsa-plugin.h"

#include <stdlib.h>

static const struct capsa_key keys[] = {
	{ .name = "tag", .type = CAPSA_TYPE_STRING, .required = true, .unique = true, .help = "what the guest calls it" },
	{ .name = "cid", .type = CAPSA_TYPE_INT, .min = 3, .max = UINT32_MAX, .unique = true, .help = "its number" },
	{ .name = NULL },
};

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	(void)host, (void)dev;
	return malloc(1);
}

static int config(void *self, const struct capsa_value *values, size_t n_values)
{
	(void)self, (void)values, (void)n_values;
	return 0;
}

static int realize(void *self, struct capsa_setup *setup)
{
	(void)self;
	setup->n_queues = 1;
	setup->queues[0].size = 16;
	return 0;
}

static int activate(void *self, uint64_t features)
{
	(void)self, (void)features;
	return 0;
}

static void queue_notify(void *self, unsigned queue)
{
	(void)self, (void)queue;
}

static void reset(void *self)
{
	(void)self;
}

static const struct capsa_plugin plugin = {
	CAPSA_PLUGIN_HEADER,
	.name = "tagged",
	.version = "1",
	.description = "a device with unique keys",
	.virtio_device_id = 26,
	.keys = keys,
	.create = create,
	.config = config,
	.realize = realize,
	.activate = activate,
	.queue_notify = queue_notify,
	.reset = reset,
	.destroy = free,
};

const struct capsa_plugin *capsa_plugin_entry(void)
{
	return &plugin;
}
