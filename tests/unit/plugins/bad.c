/* SPDX-License-Identifier: MIT */
/*
 * bad.c - plugins that capsa must refuse, one for each -DBAD_...: what can only be wrong with a real file. Faults of
 * the description alone are tested without files (plugin_loader_test.c).
 */
#include "capsa-plugin.h"

#ifdef BAD_SYMBOL
extern void capsa_function_that_is_nowhere(void);
#endif

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	(void)host, (void)dev;
#ifdef BAD_SYMBOL
	capsa_function_that_is_nowhere();
#endif
	return NULL;
}

static int realize(void *self, struct capsa_setup *setup)
{
	(void)self, (void)setup;
	return -1;
}

static int activate(void *self, uint64_t features)
{
	(void)self, (void)features;
	return -1;
}

static void queue_notify(void *self, unsigned queue)
{
	(void)self, (void)queue;
}

static void nothing(void *self)
{
	(void)self;
}

static const struct capsa_plugin plugin = {
#if defined BAD_NEWER
	.struct_size = sizeof(struct capsa_plugin) + 64,
	.api_version = CAPSA_PLUGIN_API_VERSION + 1,
#elif defined BAD_SIZE
	.struct_size = 16,
	.api_version = CAPSA_PLUGIN_API_VERSION,
	.api_revision = CAPSA_PLUGIN_API_REVISION,
#else
	CAPSA_PLUGIN_HEADER,
#endif
	.name = "bad",
	.version = "1",
	.description = "a plugin that is refused",
	.virtio_device_id = 4,
	.create = create,
	.realize = realize,
	.activate = activate,
	.queue_notify = queue_notify,
#ifndef BAD_CALLBACK
	.reset = nothing,
#endif
	.destroy = nothing,
};

#ifdef BAD_ENTRY
CAPSA_PLUGIN_EXPORT const struct capsa_plugin *some_other_entry(void);
#define capsa_plugin_entry some_other_entry
#endif

const struct capsa_plugin *capsa_plugin_entry(void)
{
#ifdef BAD_NULL
	return (void)plugin, NULL;
#else
	return &plugin;
#endif
}
