/* SPDX-License-Identifier: MIT */
/*
 * plugin_fake.h - what the tests of core/plugin stand between: a plugin whose callbacks are the test's, and a
 * virtio room that writes down what it is asked.
 *
 * Included once by a test program: its virtio_*() and plugin_info() take the place of core/virtio and loader.c.
 */
#ifndef CAPSA_TESTS_PLUGIN_FAKE_H
#define CAPSA_TESTS_PLUGIN_FAKE_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/reactor.h"
#include "core/plugin/device.h"

#define FAKE_QUEUES 4u

/* ---- the virtio room ---- */

struct virtio_device {
	struct virtio_setup setup;
	unsigned char config[CAPSA_MAX_CONFIG_SPACE];
	bool active;
	bool room[FAKE_QUEUES];      /* what queue_wait answers */
	unsigned waits[FAKE_QUEUES]; /* how often it was asked in vain */
	unsigned again, flushed, told, broken, completed, given_back;
	size_t written;               /* of the last request */
	void (*on_again)(void);       /* the test's, or NULL */
	struct capsa_request request; /* what queue_pop gives, once per `pending` */
	unsigned pending;
};

static struct virtio_device *fake_virtio; /* the one that is attached */

int virtio_device_create(const struct virtio_platform *platform, const struct virtio_setup *setup,
                         struct virtio_device **out, struct error *err)
{
	(void)platform, (void)err;
	assert_null(fake_virtio);
	fake_virtio = calloc(1, sizeof *fake_virtio);
	assert_non_null(fake_virtio);
	fake_virtio->setup = *setup;
	memcpy(fake_virtio->config, setup->config, setup->shape->config_size);
	*out = fake_virtio;
	return 0;
}

struct fake_call {
	uint64_t features;
	unsigned queue;
	int result;
};

static void fake_activate_there(void *ctx)
{
	struct fake_call *call = ctx;

	call->result = fake_virtio->setup.ops->activate(fake_virtio->setup.ctx, call->features);
	fake_virtio->active = call->result == 0;
}

static void fake_reset_there(void *ctx)
{
	(void)ctx;
	if (fake_virtio->active)
		fake_virtio->setup.ops->reset(fake_virtio->setup.ctx);
	fake_virtio->active = false;
}

static void fake_notify_there(void *ctx)
{
	struct fake_call *call = ctx;

	fake_virtio->setup.ops->queue_notify(fake_virtio->setup.ctx, call->queue);
}

/* What the guest's driver does. */
static inline int fake_activate(uint64_t features)
{
	struct fake_call call = { .features = features };

	reactor_call_wait(fake_virtio->setup.home, fake_activate_there, &call);
	return call.result;
}

static inline void fake_reset(void)
{
	reactor_call_wait(fake_virtio->setup.home, fake_reset_there, NULL);
}

static inline void fake_notify(unsigned queue)
{
	struct fake_call call = { .queue = queue };
	const struct virtio_setup *setup = &fake_virtio->setup;

	reactor_call_wait(setup->n_loops ? setup->loops[queue % setup->n_loops] : setup->home, fake_notify_there,
	                  &call);
}

void virtio_device_destroy(struct virtio_device *device)
{
	assert_ptr_equal(device, fake_virtio);
	fake_reset();
	free(device);
	fake_virtio = NULL;
}

struct capsa_request *virtio_queue_pop(struct virtio_device *device, unsigned queue)
{
	if (!device->pending)
		return NULL;
	device->pending--;
	device->request.queue = (uint16_t)queue;
	return &device->request;
}

void virtio_queue_complete(struct virtio_device *device, struct capsa_request *request, size_t written)
{
	assert_ptr_equal(request, &device->request);
	device->written = written;
	device->completed++;
}

void virtio_queue_give_back(struct virtio_device *device, struct capsa_request *request)
{
	(void)request;
	device->given_back++;
}

void virtio_queue_flush(struct virtio_device *device, unsigned queue)
{
	(void)queue;
	device->flushed++;
}

void virtio_queue_again(struct virtio_device *device, unsigned queue)
{
	(void)queue;
	device->again++;
	if (device->on_again)
		device->on_again();
}

bool virtio_queue_wait(struct virtio_device *device, unsigned queue)
{
	device->waits[queue] += !device->room[queue];
	return device->room[queue];
}

bool virtio_queue_look(struct virtio_device *device, unsigned queue, struct virtio_queue_state *state)
{
	*state = (struct virtio_queue_state){ .waiting = (uint16_t)device->pending };
	return queue == 0;
}

int virtio_config_set(struct virtio_device *device, size_t offset, const void *data, size_t len, bool tell)
{
	memcpy(device->config + offset, data, len);
	device->told += tell;
	return 0;
}

void virtio_device_broken(struct virtio_device *device, const char *reason)
{
	(void)reason;
	device->broken++;
}

size_t virtio_request_read(const struct capsa_request *request, size_t offset, void *to, size_t len)
{
	(void)request, (void)offset, (void)to, (void)len;
	return 0;
}

size_t virtio_request_write(const struct capsa_request *request, size_t offset, const void *from, size_t len)
{
	(void)request, (void)offset, (void)from, (void)len;
	return 0;
}

/* ---- the plugin ---- */

struct plugin {
	struct capsa_plugin info;
};

const struct capsa_plugin *plugin_info(const struct plugin *plugin)
{
	return &plugin->info;
}

/* One instance at a time; the tests set hooks and read what happened. */
static struct probe {
	const struct capsa_host *host;
	struct capsa_device *dev;
	char calls[512];    /* names of the callbacks, in order */
	const char *fail;   /* the callback that fails, or NULL */
	bool fail_silently; /* without host->error() */
	struct capsa_setup setup;
	void (*hook)(const char *callback); /* runs inside every callback, before it returns */
	pthread_t thread;                   /* of the last callback */
	uint64_t features;
} probe;

static int probe_note(const char *callback)
{
	size_t used = strlen(probe.calls);

	snprintf(probe.calls + used, sizeof probe.calls - used, "%s%s", used ? " " : "", callback);
	probe.thread = pthread_self();
	if (probe.hook)
		probe.hook(callback);
	if (!probe.fail || strcmp(probe.fail, callback) != 0)
		return 0;
	if (!probe.fail_silently)
		probe.host->error(probe.dev, "%s went wrong: code %d", callback, 42);
	return -1;
}

static void *probe_create(const struct capsa_host *host, struct capsa_device *dev)
{
	probe.host = host;
	probe.dev = dev;
	return probe_note("create") == 0 ? &probe : NULL;
}

static int probe_config(void *self, const struct capsa_value *values, size_t n_values)
{
	(void)self, (void)values, (void)n_values;
	return probe_note("config");
}

static int probe_realize(void *self, struct capsa_setup *setup)
{
	(void)self;
	assert_int_equal(setup->struct_size, sizeof *setup);
	probe.setup.struct_size = setup->struct_size;
	*setup = probe.setup;
	return probe_note("realize");
}

static int probe_start(void *self)
{
	(void)self;
	return probe_note("start");
}

static int probe_activate(void *self, uint64_t features)
{
	(void)self;
	probe.features = features;
	return probe_note("activate");
}

static void probe_queue_notify(void *self, unsigned queue)
{
	char name[32];

	(void)self;
	snprintf(name, sizeof name, "notify%u", queue);
	probe_note(name);
}

static void probe_config_written(void *self, size_t offset, const void *data, size_t len)
{
	(void)self, (void)offset, (void)data, (void)len;
	probe_note("config_written");
}

static void probe_reset(void *self)
{
	(void)self;
	probe_note("reset");
}

static int probe_quiesce(void *self)
{
	(void)self;
	return probe_note("quiesce");
}

static int probe_save(void *self)
{
	(void)self;
	return probe_note("save");
}

static int probe_restore(void *self)
{
	(void)self;
	return probe_note("restore");
}

static void probe_stop(void *self)
{
	(void)self;
	probe_note("stop");
}

static void probe_destroy(void *self)
{
	assert_ptr_equal(self, &probe);
	probe_note("destroy");
}

static struct {
	unsigned id;
	uint64_t offset, len;
	unsigned n;
} probe_fault; /* the last one */

static void probe_shared_memory_fault(void *self, unsigned id, uint64_t offset, uint64_t len)
{
	(void)self;
	probe_fault.id = id;
	probe_fault.offset = offset;
	probe_fault.len = len;
	probe_fault.n++;
	probe_note("shared_memory_fault");
}

static struct {
	size_t key;
	int64_t integer;
} probe_reconfigured; /* the last one */

static int probe_reconfigure(void *self, size_t key, const struct capsa_value *value)
{
	(void)self;
	probe_reconfigured.key = key;
	probe_reconfigured.integer = value->integer;
	return probe_note("reconfigure");
}

static void probe_info(void *self)
{
	(void)self;
	probe_note("info");
}

static const struct capsa_key probe_keys[] = {
	{ .name = "fixed", .type = CAPSA_TYPE_INT, .help = "stays" },
	{ .name = "rate", .type = CAPSA_TYPE_INT, .help = "changes", .flags = CAPSA_KEY_LIVE },
	{ .name = NULL },
};

static struct plugin fake_plugin;

static struct reactor *fake_main;
static struct plugin_environment fake_environment;

/* A fresh probe: REACTOR, two queues of which the second is silent, 8 bytes of configuration space. */
static int fake_setup(void **state)
{
	(void)state;
	probe = (struct probe){
		.setup = { .features = 5,
		           .n_queues = 2,
		           .config_size = 8,
		           .queues = { { .size = 64 }, { .size = 128, .silent = true } } },
	};
	fake_plugin.info = (struct capsa_plugin){
		CAPSA_PLUGIN_HEADER,
		.name = "probe",
		.version = "1",
		.description = "a test's plugin",
		.virtio_device_id = 4,
		.create = probe_create,
		.config = probe_config,
		.realize = probe_realize,
		.start = probe_start,
		.activate = probe_activate,
		.queue_notify = probe_queue_notify,
		.config_written = probe_config_written,
		.reset = probe_reset,
		.quiesce = probe_quiesce,
		.save = probe_save,
		.restore = probe_restore,
		.stop = probe_stop,
		.destroy = probe_destroy,
		.shared_memory_fault = probe_shared_memory_fault,
		.reconfigure = probe_reconfigure,
		.info = probe_info,
		.keys = probe_keys,
	};
	probe_fault.n = 0;
	assert_int_equal(reactor_new(&fake_main), 0);
	fake_environment =
		(struct plugin_environment){ .main = fake_main, .vcpus = 3, .machine_name = "box", .runtime_folder = "/run/x/box" };
	return 0;
}

static int fake_teardown(void **state)
{
	(void)state;
	assert_null(fake_virtio);
	reactor_free(fake_main);
	return 0;
}

/* Walks to the named state: "create", "config", "realize", "start", "attach", "activate". */
static inline struct plugin_device *fake_walk(const char *to)
{
	static const struct virtio_platform platform;
	struct plugin_device *d;
	struct error err;

	assert_int_equal(plugin_device_create(&fake_plugin, "probe0", &fake_environment, &d, &err), 0);
	if (strcmp(to, "create") == 0)
		return d;
	assert_int_equal(plugin_device_config(d, NULL, 0, &err), 0);
	if (strcmp(to, "config") == 0)
		return d;
	assert_int_equal(plugin_device_realize(d, &err), 0);
	if (strcmp(to, "realize") == 0)
		return d;
	assert_int_equal(plugin_device_start(d, &err), 0);
	if (strcmp(to, "start") == 0)
		return d;
	assert_int_equal(plugin_device_attach(d, &platform, &err), 0);
	if (strcmp(to, "attach") == 0)
		return d;
	assert_int_equal(fake_activate(1), 0);
	return d;
}

/* From any state to the end. */
static void fake_end(struct plugin_device *d)
{
	plugin_device_detach(d);
	plugin_device_stop(d);
	plugin_device_destroy(d);
}

#endif
