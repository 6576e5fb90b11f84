/* SPDX-License-Identifier: MIT */
/*
 * services.c - the table of host services (struct capsa_host), and those that are words, numbers and bytes.
 *
 * Called by plugins. The larger groups have files of their own: services-queue.c, services-event.c,
 * services-open.c, services-memory.c, services-info.c.
 */
#include "core/plugin/instance.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/base/path.h"

_Static_assert((int)CAPSA_LOG_ERROR == LOG_LEVEL_ERROR && (int)CAPSA_LOG_ASKED == LOG_LEVEL_ASKED,
               "the plugin's log levels are the core's");

/* ---- words to the user ---- */

CAPSA_PRINTF(3, 4)
static void service_log(struct capsa_device *dev, enum capsa_log_level level, const char *fmt, ...)
{
	enum log_level core_level = (unsigned)level <= CAPSA_LOG_ASKED ? (enum log_level)level : LOG_LEVEL_DEBUG;
	char text[1024];
	va_list args;

	if (!log_enabled(core_level))
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	log_line(core_level, "%s: %s", dev->instance->name, text);
}

CAPSA_PRINTF(2, 3)
static void service_error(struct capsa_device *dev, const char *fmt, ...)
{
	struct plugin_device *d = dev->instance;
	va_list args;

	va_start(args, fmt);
	pthread_mutex_lock(&d->cause_lock);
	vsnprintf(d->cause.text, sizeof d->cause.text, fmt, args);
	pthread_mutex_unlock(&d->cause_lock);
	va_end(args);
}

static const char *service_device_name(struct capsa_device *dev)
{
	return dev->instance->name;
}

static const char *service_machine_name(struct capsa_device *dev)
{
	return dev->instance->environment->machine_name;
}

/* A name, not a way out of the folder. */
static bool is_plain_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

/* The path of `name` in the folder, kept as long as the device; NULL: no memory. */
static const char *keep_path(struct plugin_device *d, const char *folder, const char *name)
{
	size_t size = strlen(folder) + 1 + strlen(name) + 1;
	struct kept_text *kept = malloc(sizeof *kept + size);

	if (!kept)
		return NULL;
	snprintf(kept->text, size, "%s/%s", folder, name);
	LIST_INSERT_HEAD(&d->texts, kept, link);
	return kept->text;
}

static const char *service_runtime_path(struct capsa_device *dev, const char *name)
{
	struct plugin_device *d = dev->instance;
	const char *folder = d->environment->runtime_folder;

	return folder && is_plain_name(name) ? keep_path(d, folder, name) : NULL;
}

/* Made only for who asks: a machine that shares nothing does not depend on the folder. */
static const char *service_shared_path(struct capsa_device *dev, const char *name)
{
	struct plugin_device *d = dev->instance;
	const char *path;
	struct error err;
	char *folder;

	if (!d->environment->runtime_folder || !is_plain_name(name))
		return NULL;
	folder = path_shared_dir(&err);
	if (!folder) {
		service_error(dev, "%s", err.text);
		return NULL;
	}
	path = keep_path(d, folder, name);
	free(folder);
	return path;
}

static unsigned service_vcpus(struct capsa_device *dev)
{
	return dev->instance->environment->vcpus;
}

/* ---- jobs ---- */

static int service_job_submit(struct capsa_device *dev, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
	return dev->instance->jobs ? jobs_submit(dev->instance->jobs, work, done, ctx) : -ENOTSUP;
}

/* ---- counters ---- */

static bool counter_name_valid(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");

	return name[0] >= 'a' && name[0] <= 'z' && len <= 64 && !name[len];
}

uint64_t *service_counter(struct capsa_device *dev, const char *name, const char *help)
{
	struct plugin_device *d = dev->instance;
	struct counter *counter;

	if (!counter_name_valid(name)) {
		log_error("%s: a fault of the plugin %s: \"%.80s\" is no name for a counter (snake_case)", d->name,
		          d->info->name, name);
		return NULL;
	}
	STAILQ_FOREACH(counter, &d->counters, link)
	if (strcmp(counter->name, name) == 0)
		return &counter->value;
	counter = calloc(1, sizeof *counter);
	if (!counter)
		return NULL;
	counter->name = strdup(name);
	counter->help = strdup(help ? help : "");
	if (!counter->name || !counter->help) {
		free(counter->name);
		free(counter->help);
		free(counter);
		return NULL;
	}
	STAILQ_INSERT_TAIL(&d->counters, counter, link);
	return &counter->value;
}

/* ---- saved state ---- */

static int service_state_write(struct capsa_device *dev, const void *data, size_t len)
{
	return dev->instance->saving ? state_append(dev->instance->saving, data, len) : -EINVAL;
}

static int service_state_read(struct capsa_device *dev, void *data, size_t len)
{
	return dev->instance->restoring ? state_take(dev->instance->restoring, data, len) : -EINVAL;
}

const struct capsa_host plugin_host = {
	.struct_size = sizeof(struct capsa_host),
	.api_version = CAPSA_PLUGIN_API_VERSION,
	.api_revision = CAPSA_PLUGIN_API_REVISION,

	.log = service_log,
	.error = service_error,
	.device_name = service_device_name,
	.machine_name = service_machine_name,
	.runtime_path = service_runtime_path,

	.queue_pop = service_queue_pop,
	.queue_complete = service_queue_complete,
	.queue_give_back = service_queue_give_back,
	.queue_flush = service_queue_flush,
	.queue_again = service_queue_again,
	.queue_wait = service_queue_wait,

	.request_read = virtio_request_read,
	.request_write = virtio_request_write,

	.config_set = service_config_set,
	.broken = service_broken,

	.watch_add = service_watch_add,
	.queue_watch_add = service_queue_watch_add,
	.watch_set = service_watch_set,
	.watch_hold_until_room = service_watch_hold_until_room,
	.watch_remove = service_watch_remove,

	.timer_add = service_timer_add,
	.timer_set = service_timer_set,
	.timer_remove = service_timer_remove,

	.deferred_add = service_deferred_add,
	.deferred_run = service_deferred_run,
	.queue_deferred_add = service_queue_deferred_add,
	.deferred_remove = service_deferred_remove,

	.job_submit = service_job_submit,

	.file_open = service_file_open,
	.socket_open = service_socket_open,
	.socket_connect = service_socket_connect,
	.socket_bind = service_socket_bind,

	.counter = service_counter,

	.shared_memory_map = service_shared_memory_map,
	.shared_memory_unmap = service_shared_memory_unmap,

	.state_write = service_state_write,
	.state_read = service_state_read,

	.vcpus = service_vcpus,

	.info_number = service_info_number,
	.info_text = service_info_text,
	.info_begin = service_info_begin,
	.info_end = service_info_end,

	.shared_path = service_shared_path,
};
