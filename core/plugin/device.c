/* SPDX-License-Identifier: MIT */
/*
 * device.c - see device.h. Owns instances, their home loops, and the walk through the life cycle.
 *
 * Called by core/vm, and by core/virtio through struct virtio_ops. Every call into a plugin's code that can fail
 * goes through begin() and failed(): what the plugin said by host->error() becomes the cause, and a plugin that says
 * nothing is named as the culprit.
 *
 * MAIN-THREAD CALLBACKS run while the home loop does not run the instance's code. For an instance on the main
 * loop that is so by itself. One with a thread of its own (WORKER, or PARALLEL on a machine without io_threads) has it
 * only from the end of start to stop, and is without it during save, restore, info and reconfigure.
 */
#include "core/plugin/device.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/loop-thread.h"
#include "core/plugin/check.h"
#include "core/plugin/instance.h"

/* ---- causes ---- */

static void begin(struct plugin_device *d)
{
	pthread_mutex_lock(&d->cause_lock);
	d->cause.text[0] = '\0';
	pthread_mutex_unlock(&d->cause_lock);
}

static int failed(struct plugin_device *d, const char *callback, int code, struct error *err)
{
	pthread_mutex_lock(&d->cause_lock);
	if (d->cause.text[0])
		error_set(err, code, "%s: %s", d->name, d->cause.text);
	else
		error_set(err, code, "%s: the plugin %s failed in %s() and gave no reason (a fault of the plugin)",
		          d->name, d->info->name, callback);
	pthread_mutex_unlock(&d->cause_lock);
	return -code;
}

/* ---- what core/virtio calls ---- */

static int on_activate(void *ctx, uint64_t features)
{
	struct plugin_device *d = ctx;
	struct error err;

	begin(d);
	memset(d->wants_notify, 0, sizeof d->wants_notify);
	atomic_store_explicit(&d->active, true, memory_order_release);
	if (d->info->activate(d->self, features) != 0) {
		atomic_store(&d->active, false);
		failed(d, "activate", EIO, &err);
		log_error("%s", err.text);
		return -1;
	}
	instance_release_all_holds(d);
	return 0;
}

static void on_queue_notify(void *ctx, unsigned queue)
{
	struct plugin_device *d = ctx;
	/* A silent queue is told for a hold, or because the plugin asked: only the latter is the plugin's to know. */
	bool wanted = !d->setup.queues[queue].silent || d->wants_notify[queue];

	d->wants_notify[queue] = false;
	instance_release_holds(d, queue);
	if (wanted)
		d->info->queue_notify(d->self, queue);
}

static void on_config_written(void *ctx, size_t offset, const void *data, size_t len)
{
	struct plugin_device *d = ctx;

	if (d->info->config_written)
		d->info->config_written(d->self, offset, data, len);
}

static void on_reset(void *ctx)
{
	struct plugin_device *d = ctx;

	atomic_store(&d->active, false);
	d->info->reset(d->self);
}

static const struct virtio_ops device_ops = {
	.activate = on_activate,
	.queue_notify = on_queue_notify,
	.config_written = on_config_written,
	.reset = on_reset,
};

/* ---- life cycle ---- */

static bool wants_own_loop(const struct plugin_device *d)
{
	return d->info->thread_model == CAPSA_THREAD_WORKER ||
	       (d->info->thread_model == CAPSA_THREAD_PARALLEL && d->environment->n_loops == 0);
}

/* The thread of an instance that has a loop of its own. */
static int own_start(struct plugin_device *d)
{
	return d->own ? loop_thread_start(d->own, d->name) : 0;
}

/* Frees everything but the plugin's own instance. */
static void device_free(struct plugin_device *d)
{
	struct counter *counter;
	struct kept_text *text;

	instance_free_events(d);
	jobs_free(d->jobs);
	instance_unmap_windows(d);
	loop_thread_free(d->own);
	while ((counter = STAILQ_FIRST(&d->counters))) {
		STAILQ_REMOVE_HEAD(&d->counters, link);
		free(counter->name);
		free(counter->help);
		free(counter);
	}
	while ((text = LIST_FIRST(&d->texts))) {
		LIST_REMOVE(text, link);
		free(text);
	}
	pthread_mutex_destroy(&d->virtio_lock);
	pthread_mutex_destroy(&d->list_lock);
	pthread_mutex_destroy(&d->cause_lock);
	free(d);
}

int plugin_device_create(struct plugin *plugin, const char *name, const struct plugin_environment *environment,
                         struct plugin_device **out, struct error *err)
{
	struct plugin_device *d = calloc(1, sizeof *d);
	int r;

	if (!d)
		return error_set(err, ENOMEM, "%s: out of memory", name);
	d->handle.instance = d;
	d->plugin = plugin;
	d->info = plugin_info(plugin);
	d->name = name;
	d->environment = environment;
	d->fault_fd = -1;
	atomic_init(&d->active, false);
	pthread_mutex_init(&d->virtio_lock, NULL);
	pthread_mutex_init(&d->list_lock, NULL);
	pthread_mutex_init(&d->cause_lock, NULL);
	LIST_INIT(&d->watches);
	LIST_INIT(&d->timers);
	LIST_INIT(&d->deferreds);
	STAILQ_INIT(&d->counters);
	LIST_INIT(&d->texts);

	d->self = d->info->create(&plugin_host, &d->handle);
	if (!d->self) {
		r = failed(d, "create", EIO, err);
		device_free(d);
		return r;
	}
	d->state = INSTANCE_CREATED;
	*out = d;
	return 0;
}

int plugin_device_config(struct plugin_device *d, const struct capsa_value *values, size_t n, struct error *err)
{
	assert(d->state == INSTANCE_CREATED);
	begin(d);
	if (d->info->config && d->info->config(d->self, values, n) != 0)
		return failed(d, "config", EINVAL, err);
	d->state = INSTANCE_CONFIGURED;
	return 0;
}

/* Checks what realize() left in the setup, and makes what it asks for. */
static int take_setup(struct plugin_device *d, struct error *err)
{
	int r = plugin_check_setup(&d->setup, err);

	if (r == 0 && d->config_used > d->setup.config_size)
		r = error_set(err, EINVAL, "it sets byte %zu of a configuration space of %zu bytes", d->config_used - 1,
		              d->setup.config_size);
	if (r < 0) {
		/* Nothing in it can be relied on, least of all what device_free() goes by. */
		memset(&d->setup, 0, sizeof d->setup);
		return error_prefix(err, r, "%s: a fault of the plugin %s: ", d->name, d->info->name);
	}
	r = instance_map_windows(d);
	if (r < 0)
		return error_set(err, -r, "%s: cannot map its shared memory: %s", d->name, strerror(-r));
	if (d->setup.n_workers)
		r = jobs_new(d->home, &d->jobs);
	return r < 0 ? error_set(err, -r, "%s: %s", d->name, strerror(-r)) : 0;
}

int plugin_device_realize(struct plugin_device *d, struct error *err)
{
	int r;

	assert(d->state == INSTANCE_CONFIGURED && d->environment->main);
	d->home = d->environment->main;
	if (wants_own_loop(d)) {
		r = loop_thread_new(&d->own);
		if (r < 0)
			return error_set(err, -r, "%s: cannot make an event loop: %s", d->name, strerror(-r));
		d->home = loop_thread_reactor(d->own);
	}
	d->setup.struct_size = sizeof d->setup;
	begin(d);
	if (d->info->realize(d->self, &d->setup) != 0) {
		memset(&d->setup, 0, sizeof d->setup);
		return failed(d, "realize", EIO, err);
	}
	r = take_setup(d, err);
	if (r < 0)
		return r;
	d->state = INSTANCE_REALIZED;
	return 0;
}

/* After start: no job, no event, no thread. */
static void wind_up(struct plugin_device *d)
{
	if (d->jobs)
		jobs_finish(d->jobs);
	instance_silence_windows(d);
	instance_silence_events(d);
}

int plugin_device_start(struct plugin_device *d, struct error *err)
{
	int r = 0;

	assert(d->state == INSTANCE_REALIZED);
	if (d->jobs)
		r = jobs_start(d->jobs, d->setup.n_workers, d->name);
	if (r < 0)
		return error_set(err, -r, "%s: cannot start its worker threads: %s", d->name, strerror(-r));
	begin(d);
	if (d->info->start && d->info->start(d->self) != 0) {
		r = failed(d, "start", EIO, err);
		wind_up(d);
		return r;
	}
	d->state = INSTANCE_STARTED;
	r = own_start(d);
	if (r < 0) {
		plugin_device_stop(d);
		return error_set(err, -r, "%s: cannot start its thread: %s", d->name, strerror(-r));
	}
	return 0;
}

int plugin_device_attach(struct plugin_device *d, const struct virtio_platform *platform, struct error *err)
{
	const bool parallel = d->info->thread_model == CAPSA_THREAD_PARALLEL && d->environment->n_loops;
	const struct virtio_setup setup = {
		.name = d->name,
		.device_id = d->info->virtio_device_id,
		.shape = &d->setup,
		.config = d->config,
		.shared_memory = d->windows,
		.home = d->home,
		.loops = parallel ? d->environment->loops : NULL,
		.n_loops = parallel ? d->environment->n_loops : 0,
		.ops = &device_ops,
		.ctx = d,
		.told = &d->told,
	};
	int r;

	assert((d->state == INSTANCE_REALIZED || d->state == INSTANCE_STARTED) && !d->virtio);
	r = virtio_device_create(platform, &setup, &d->virtio, err);
	if (r < 0) {
		d->virtio = NULL;
		return r;
	}
	pthread_mutex_lock(&d->virtio_lock);
	d->virtio_reachable = true;
	pthread_mutex_unlock(&d->virtio_lock);
	return 0;
}

void plugin_device_detach(struct plugin_device *d)
{
	if (!d->virtio)
		return;
	pthread_mutex_lock(&d->virtio_lock);
	d->virtio_reachable = false;
	pthread_mutex_unlock(&d->virtio_lock);
	virtio_device_destroy(d->virtio);
	d->virtio = NULL;
	assert(!atomic_load(&d->active));
}

void plugin_device_stop(struct plugin_device *d)
{
	assert(!d->virtio);
	if (d->state != INSTANCE_STARTED)
		return;
	loop_thread_stop(d->own);
	begin(d);
	if (d->info->stop)
		d->info->stop(d->self);
	wind_up(d);
	d->state = INSTANCE_STOPPED;
}

void plugin_device_destroy(struct plugin_device *d)
{
	if (!d)
		return;
	assert(!d->virtio && d->state != INSTANCE_STARTED);
	wind_up(d);
	d->info->destroy(d->self);
	device_free(d);
}

/* ---- saved state ---- */

int plugin_device_can_save(const struct plugin_device *d, struct error *err)
{
	const char *missing = !d->info->quiesce   ? "quiesce"
	                      : !d->info->save    ? "save"
	                      : !d->info->restore ? "restore"
	                                          : NULL;

	if (!missing)
		return 0;
	return error_set(err, ENOTSUP,
	                 "%s: the plugin %s cannot save its state (it has no %s()), so the machine cannot be "
	                 "saved; take the device out of it",
	                 d->name, d->info->name, missing);
}

/* Starts its own thread again, where it has one; without it the device is dead. */
static int go_on(struct plugin_device *d, int so_far, struct error *err)
{
	int r = own_start(d);

	if (r == 0 || so_far < 0)
		return so_far;
	return error_set(err, -r, "%s: cannot start its thread again: %s", d->name, strerror(-r));
}

int plugin_device_save(struct plugin_device *d, void **data, size_t *len, struct error *err)
{
	struct state_buffer state = { .data = NULL };
	int r = plugin_device_can_save(d, err);

	assert(d->state == INSTANCE_STARTED);
	if (r < 0)
		return r;
	loop_thread_stop(d->own);
	if (d->jobs)
		jobs_drain(d->jobs);
	begin(d);
	if (d->info->quiesce(d->self) != 0)
		r = failed(d, "quiesce", EIO, err);
	if (d->jobs)
		jobs_drain(d->jobs);
	if (r == 0) {
		begin(d);
		d->saving = &state;
		if (d->info->save(d->self) != 0)
			r = failed(d, "save", EIO, err);
		d->saving = NULL;
	}
	r = go_on(d, r, err);
	if (r < 0) {
		free(state.data);
		return r;
	}
	*data = state.data;
	*len = state.len;
	return 0;
}

int plugin_device_restore(struct plugin_device *d, const void *data, size_t len, struct error *err)
{
	struct state_buffer state = { .len = len };
	int r = plugin_device_can_save(d, err);

	assert(d->state == INSTANCE_STARTED && !atomic_load(&d->active));
	if (r < 0)
		return r;
	if (len > STATE_MAX)
		return error_set(err, EFBIG, "%s: its saved state has %zu bytes; at most %zu are possible", d->name,
		                 len, STATE_MAX);
	/* A copy: the reader's buffer must not change under the plugin's checks. */
	state.data = malloc(len ? len : 1);
	if (!state.data)
		return error_set(err, ENOMEM, "%s: out of memory", d->name);
	if (len)
		memcpy(state.data, data, len);
	loop_thread_stop(d->own);
	begin(d);
	d->restoring = &state;
	if (d->info->restore(d->self) != 0)
		r = failed(d, "restore", EINVAL, err);
	d->restoring = NULL;
	if (r == 0 && state.read != state.len)
		r = error_set(err, EINVAL,
		              "%s: its saved state has %zu bytes that the plugin %s %s does not know: it was "
		              "written by another version",
		              d->name, state.len - state.read, d->info->name, d->info->version);
	free(state.data);
	return go_on(d, r, err);
}

/* ---- while it runs ---- */

int plugin_device_info(struct plugin_device *d, struct arena *arena, struct capsa_value *out, struct error *err)
{
	*out = (struct capsa_value){ .type = CAPSA_TYPE_GROUP };
	if (!d->info->info || d->state != INSTANCE_STARTED)
		return 0;
	if (!instance_info_begin(d, arena))
		return error_set(err, ENOMEM, "%s: out of memory", d->name);
	loop_thread_stop(d->own);
	d->info->info(d->self);
	*out = instance_info_end(d);
	return go_on(d, 0, err);
}

bool plugin_device_queue(struct plugin_device *d, unsigned queue, struct virtio_queue_state *state)
{
	return d->virtio && virtio_queue_look(d->virtio, queue, state);
}

int plugin_device_can_reconfigure(const struct plugin_device *d, size_t key, struct error *err)
{
	if (!(d->info->keys[key].flags & CAPSA_KEY_LIVE))
		return error_set(err, EPERM,
		                 "%s: the key \"%s\" of the plugin %s cannot be changed while the machine runs; "
		                 "change it in the configuration and start the machine again",
		                 d->name, d->info->keys[key].name, d->info->name);
	if (d->state != INSTANCE_STARTED)
		return error_set(err, EBUSY, "%s: the machine has not started, or is stopping", d->name);
	return 0;
}

int plugin_device_reconfigure(struct plugin_device *d, size_t key, const struct capsa_value *value, struct error *err)
{
	int r = plugin_device_can_reconfigure(d, key, err);

	if (r < 0)
		return r;
	loop_thread_stop(d->own);
	begin(d);
	if (d->info->reconfigure(d->self, key, value) != 0)
		r = failed(d, "reconfigure", EINVAL, err);
	return go_on(d, r, err);
}

/* ---- looking at it ---- */

const char *plugin_device_name(const struct plugin_device *d)
{
	return d->name;
}

const struct capsa_plugin *plugin_device_plugin(const struct plugin_device *d)
{
	return d->info;
}

void plugin_device_counters(const struct plugin_device *d,
                            void (*each)(void *ctx, const char *name, const char *help, uint64_t value), void *ctx)
{
	const struct counter *counter;

	STAILQ_FOREACH(counter, &d->counters, link)
	each(ctx, counter->name, counter->help, __atomic_load_n(&counter->value, __ATOMIC_RELAXED));
}
