/* SPDX-License-Identifier: MIT */
/*
 * console_host.h - a host for the console plugin: the services that it uses, with queues in plain memory and a loop
 * of poll(2). Included once by a test program, which is linked with the plugin's own objects.
 */
#ifndef CAPSA_TESTS_CONSOLE_HOST_H
#define CAPSA_TESTS_CONSOLE_HOST_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/virtio_console.h>

#include "capsa-plugin.h"

#define RX 0
#define TX 1

struct capsa_watch {
	LIST_ENTRY(capsa_watch) link;
	struct capsa_device *dev;
	int fd;
	unsigned events;
	bool held, removed;
	void (*call)(void *ctx, int fd, unsigned events);
	void *ctx;
};

struct capsa_timer {
	void (*call)(void *ctx);
	void *ctx;
	bool set;
};

struct capsa_deferred {
	void (*call)(void *ctx);
	void *ctx;
	bool asked;
};

/* A request of the guest's. */
struct job {
	STAILQ_ENTRY(job) link;
	LIST_ENTRY(job) popped;
	struct capsa_request request;
	struct iovec iov[4];
};

struct capsa_device {
	const struct capsa_plugin *plugin;
	void *self;
	const char *name;
	const char *runtime; /* folder, or NULL */
	char error[1024];
	char logged[4096];
	char paths[4][1024];
	unsigned n_paths;
	struct {
		char name[32];
		uint64_t value;
	} counters[8];
	struct virtio_console_config config;
	unsigned told;
	struct capsa_setup setup;

	bool active;
	STAILQ_HEAD(, job) queue[2];
	LIST_HEAD(, job) popped;
	bool rx_wait, again[2];
	unsigned completed[2];
	unsigned most_in_one_call, in_this_call;
	unsigned char input[1 << 16]; /* what the guest received */
	size_t n_input;
	LIST_HEAD(, capsa_watch) watches;
	struct capsa_deferred deferred; /* the plugin has one */
	struct capsa_timer arrival; /* the first one that the plugin makes */
	struct capsa_timer timer;   /* the backend's */
};

CAPSA_PRINTF(3, 4)
static void host_log(struct capsa_device *dev, enum capsa_log_level level, const char *fmt, ...)
{
	size_t used = strlen(dev->logged);
	va_list args;

	if (level == CAPSA_LOG_DEBUG)
		return;
	va_start(args, fmt);
	vsnprintf(dev->logged + used, sizeof dev->logged - used, fmt, args);
	va_end(args);
	used = strlen(dev->logged);
	snprintf(dev->logged + used, sizeof dev->logged - used, "\n");
}

CAPSA_PRINTF(2, 3)
static void host_error(struct capsa_device *dev, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(dev->error, sizeof dev->error, fmt, args);
	va_end(args);
}

static const char *host_device_name(struct capsa_device *dev)
{
	return dev->name;
}

static const char *host_runtime_path(struct capsa_device *dev, const char *name)
{
	if (!dev->runtime || dev->n_paths == 4)
		return NULL;
	snprintf(dev->paths[dev->n_paths], sizeof dev->paths[0], "%s/%s", dev->runtime, name);
	return dev->paths[dev->n_paths++];
}

static struct capsa_request *host_queue_pop(struct capsa_device *dev, unsigned queue)
{
	struct job *job = dev->active ? STAILQ_FIRST(&dev->queue[queue]) : NULL;

	if (!job)
		return NULL;
	STAILQ_REMOVE_HEAD(&dev->queue[queue], link);
	LIST_INSERT_HEAD(&dev->popped, job, popped);
	if (++dev->in_this_call > dev->most_in_one_call)
		dev->most_in_one_call = dev->in_this_call;
	return &job->request;
}

static struct job *job_of(struct capsa_request *req)
{
	return (struct job *)((char *)req - offsetof(struct job, request));
}

static void job_free(struct job *job)
{
	if (job->request.queue == RX)
		free(job->iov[0].iov_base);
	free(job);
}

static void host_queue_complete(struct capsa_device *dev, struct capsa_request *req, size_t written)
{
	struct job *job = job_of(req);

	assert_true(written <= req->writable_bytes);
	for (unsigned i = 0; i < req->n_writable && written; i++) {
		size_t n = written < job->iov[i].iov_len ? written : job->iov[i].iov_len;

		assert_true(dev->n_input + n <= sizeof dev->input);
		memcpy(dev->input + dev->n_input, job->iov[i].iov_base, n);
		dev->n_input += n;
		written -= n;
	}
	dev->completed[req->queue]++;
	LIST_REMOVE(job, popped);
	job_free(job);
}

static void host_queue_give_back(struct capsa_device *dev, struct capsa_request *req)
{
	LIST_REMOVE(job_of(req), popped);
	STAILQ_INSERT_HEAD(&dev->queue[req->queue], job_of(req), link);
}

static void host_queue_flush(struct capsa_device *dev, unsigned queue)
{
	(void)dev, (void)queue;
}

static void host_queue_again(struct capsa_device *dev, unsigned queue)
{
	dev->again[queue] = dev->active;
}

static bool host_queue_wait(struct capsa_device *dev, unsigned queue)
{
	assert_int_equal(queue, RX);
	if (!dev->active)
		return false;
	if (!STAILQ_EMPTY(&dev->queue[RX]))
		return true;
	dev->rx_wait = true;
	return false;
}

static size_t host_request_write(const struct capsa_request *req, size_t offset, const void *from, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < req->n_writable && done < len; i++) {
		size_t n = req->writable[i].iov_len;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		n = n - offset < len - done ? n - offset : len - done;
		memcpy((char *)req->writable[i].iov_base + offset, (const char *)from + done, n);
		done += n;
		offset = 0;
	}
	return done;
}

static int host_config_set(struct capsa_device *dev, size_t offset, const void *data, size_t len, bool tell)
{
	assert_true(offset + len <= sizeof dev->config);
	memcpy((char *)&dev->config + offset, data, len);
	dev->told += tell;
	return 0;
}

static struct capsa_watch *host_watch_add(struct capsa_device *dev, int fd, unsigned events,
                                          void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	struct capsa_watch *watch = calloc(1, sizeof *watch);

	assert_non_null(watch);
	watch->dev = dev;
	watch->fd = fd;
	watch->events = events;
	watch->call = call;
	watch->ctx = ctx;
	LIST_INSERT_HEAD(&dev->watches, watch, link);
	return watch;
}

static int host_watch_set(struct capsa_watch *watch, unsigned events)
{
	assert_false(watch->removed);
	watch->events = events;
	watch->held = false;
	return 0;
}

static bool host_watch_hold_until_room(struct capsa_watch *watch, unsigned queue)
{
	assert_int_equal(queue, RX);
	if (watch->dev->active && !STAILQ_EMPTY(&watch->dev->queue[RX]))
		return false;
	watch->held = true;
	return true;
}

/* Freed by host_step(), which may be in the middle of it. */
static void host_watch_remove(struct capsa_watch *watch)
{
	if (watch)
		watch->removed = true;
}

static struct capsa_timer *host_timer_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	struct capsa_timer *timer = dev->arrival.call ? &dev->timer : &dev->arrival;

	*timer = (struct capsa_timer){ .call = call, .ctx = ctx };
	return timer;
}

static void host_timer_set(struct capsa_timer *timer, int64_t ms)
{
	timer->set = ms >= 0;
}

static void host_timer_remove(struct capsa_timer *timer)
{
	if (timer)
		timer->set = false;
}

static struct capsa_deferred *host_deferred_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	dev->deferred = (struct capsa_deferred){ .call = call, .ctx = ctx };
	return &dev->deferred;
}

static void host_deferred_run(struct capsa_deferred *deferred)
{
	deferred->asked = true;
}

static void host_deferred_remove(struct capsa_deferred *deferred)
{
	if (deferred)
		deferred->asked = false;
}

static uint64_t *host_counter(struct capsa_device *dev, const char *name, const char *help)
{
	unsigned i = 0;

	(void)help;
	while (dev->counters[i].name[0] && strcmp(dev->counters[i].name, name) != 0)
		i++;
	snprintf(dev->counters[i].name, sizeof dev->counters[i].name, "%s", name);
	return &dev->counters[i].value;
}

static int host_file_open(struct capsa_device *dev, int dirfd, const char *name, int flags, mode_t mode)
{
	int fd;

	assert_true(dev->plugin->needs & CAPSA_NEEDS_FILES);
	assert_null(strchr(name, '/'));
	fd = openat(dirfd, name, flags | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

static const struct capsa_host host = {
	.struct_size = sizeof(struct capsa_host),
	.api_version = CAPSA_PLUGIN_API_VERSION,
	.api_revision = CAPSA_PLUGIN_API_REVISION,
	.log = host_log,
	.error = host_error,
	.device_name = host_device_name,
	.runtime_path = host_runtime_path,
	.queue_pop = host_queue_pop,
	.queue_complete = host_queue_complete,
	.queue_give_back = host_queue_give_back,
	.queue_flush = host_queue_flush,
	.queue_again = host_queue_again,
	.queue_wait = host_queue_wait,
	.request_write = host_request_write,
	.config_set = host_config_set,
	.watch_add = host_watch_add,
	.watch_set = host_watch_set,
	.watch_hold_until_room = host_watch_hold_until_room,
	.watch_remove = host_watch_remove,
	.timer_add = host_timer_add,
	.timer_set = host_timer_set,
	.timer_remove = host_timer_remove,
	.deferred_add = host_deferred_add,
	.deferred_run = host_deferred_run,
	.deferred_remove = host_deferred_remove,
	.counter = host_counter,
	.file_open = host_file_open,
};

static inline uint64_t counted(struct capsa_device *dev, const char *name)
{
	return *host_counter(dev, name, NULL);
}

static void bury_watches(struct capsa_device *dev)
{
	struct capsa_watch *watch = LIST_FIRST(&dev->watches);

	while (watch) {
		struct capsa_watch *next = LIST_NEXT(watch, link);

		if (watch->removed) {
			LIST_REMOVE(watch, link);
			free(watch);
		}
		watch = next;
	}
}

/* What the guest does: more room for input, more output. */
static inline void guest_room(struct capsa_device *dev, size_t size)
{
	struct job *job = calloc(1, sizeof *job);
	struct capsa_watch *watch;

	assert_non_null(job);
	job->iov[0].iov_base = malloc(size ? size : 1);
	job->iov[0].iov_len = size;
	job->request.queue = RX;
	job->request.writable = job->iov;
	job->request.n_writable = 1;
	job->request.writable_bytes = size;
	STAILQ_INSERT_TAIL(&dev->queue[RX], job, link);
	LIST_FOREACH(watch, &dev->watches, link)
	watch->held = false;
	if (dev->rx_wait)
		dev->again[RX] = true;
	dev->rx_wait = false;
}

static inline void guest_says(struct capsa_device *dev, const void *bytes, size_t len)
{
	struct job *job = calloc(1, sizeof *job);

	assert_non_null(job);
	/* Three pieces, one of them empty. */
	job->iov[0].iov_base = (void *)(uintptr_t)bytes;
	job->iov[0].iov_len = len / 3;
	job->iov[1].iov_base = NULL;
	job->iov[2].iov_base = (char *)(uintptr_t)bytes + len / 3;
	job->iov[2].iov_len = len - len / 3;
	job->request.queue = TX;
	job->request.readable = job->iov;
	job->request.n_readable = 3;
	job->request.readable_bytes = len;
	STAILQ_INSERT_TAIL(&dev->queue[TX], job, link);
	dev->again[TX] = true;
}

/* One turn of the loop, waiting up to `ms` for something to happen. Returns whether something did. */
static bool host_step(struct capsa_device *dev, int ms)
{
	struct pollfd fds[16];
	struct capsa_watch *watches[16], *watch;
	unsigned n = 0;
	bool any = false;

	bury_watches(dev);
	for (unsigned queue = 0; queue < 2; queue++) {
		if (!dev->again[queue])
			continue;
		dev->again[queue] = false;
		dev->in_this_call = 0;
		dev->plugin->queue_notify(dev->self, queue);
		any = true;
	}
	if (dev->deferred.asked) {
		dev->deferred.asked = false;
		dev->in_this_call = 0;
		dev->deferred.call(dev->deferred.ctx);
		any = true;
	}
	LIST_FOREACH(watch, &dev->watches, link)
	{
		if (watch->removed || watch->held || !watch->events)
			continue;
		watches[n] = watch;
		fds[n].fd = watch->fd;
		fds[n++].events = (short)((watch->events & CAPSA_WATCH_READ ? POLLIN : 0) |
		                          (watch->events & CAPSA_WATCH_WRITE ? POLLOUT : 0));
	}
	if (poll(fds, n, any ? 0 : ms) > 0)
		for (unsigned i = 0; i < n; i++) {
			if (!fds[i].revents || watches[i]->removed || watches[i]->held || !watches[i]->events)
				continue;
			dev->in_this_call = 0;
			watches[i]->call(watches[i]->ctx, watches[i]->fd, watches[i]->events);
			any = true;
		}
	bury_watches(dev);
	return any;
}

static inline void host_settle(struct capsa_device *dev)
{
	for (unsigned i = 0; i < 1000 && host_step(dev, 0); i++)
		;
}

struct console_keys {
	const char *backend, *path, *escape;
	bool append;
	uint64_t limit;
};

/* create, config. 0 or what config() said. */
static int console_configure(struct capsa_device *dev, struct console_keys keys)
{
	static const char *const backends[] = { "stdio", "pty", "socket", "file" };
	struct capsa_value values[7] = {
		{ .type = CAPSA_TYPE_CHOICE, .string = keys.backend },
		{ .type = keys.path ? CAPSA_TYPE_PATH : CAPSA_TYPE_NONE, .string = keys.path },
		{ .type = CAPSA_TYPE_STRING, .string = keys.escape ? keys.escape : "^]" },
		{ .type = CAPSA_TYPE_BOOL, .boolean = keys.append },
		{ .type = CAPSA_TYPE_SIZE, .integer = (int64_t)keys.limit },
		{ .type = CAPSA_TYPE_INT, .integer = 80 },
		{ .type = CAPSA_TYPE_INT, .integer = 24 },
	};

	while (strcmp(backends[values[0].integer], keys.backend) != 0)
		values[0].integer++;
	LIST_INIT(&dev->popped);
	STAILQ_INIT(&dev->queue[RX]);
	STAILQ_INIT(&dev->queue[TX]);
	LIST_INIT(&dev->watches);
	dev->plugin = capsa_plugin_entry();
	if (!dev->name)
		dev->name = "console0";
	dev->self = dev->plugin->create(&host, dev);
	assert_non_null(dev->self);
	return dev->plugin->config(dev->self, values, 7);
}

static inline void console_destroy(struct capsa_device *dev)
{
	struct capsa_watch *watch;

	dev->plugin->destroy(dev->self);
	LIST_FOREACH(watch, &dev->watches, link)
	watch->removed = true;
	bury_watches(dev);
}

/* The guest's driver has been quiet for long enough to get input. */
static inline void host_arrive(struct capsa_device *dev)
{
	assert_true(dev->arrival.set);
	dev->arrival.set = false;
	dev->arrival.call(dev->arrival.ctx);
}

/* configure, realize, start, activate, and the arrival of the driver. */
static inline void console_begin(struct capsa_device *dev, struct console_keys keys)
{
	assert_int_equal(console_configure(dev, keys), 0);
	if (dev->plugin->realize(dev->self, &dev->setup) != 0)
		fail_msg("realize: %s", dev->error);
	assert_int_equal(dev->plugin->start(dev->self), 0);
	dev->active = true;
	assert_int_equal(dev->plugin->activate(dev->self, 1), 0);
	host_arrive(dev);
}

static void guest_reset(struct capsa_device *dev)
{
	struct job *job;

	dev->active = false;
	dev->plugin->reset(dev->self);
	while ((job = LIST_FIRST(&dev->popped))) {
		LIST_REMOVE(job, popped);
		job_free(job);
	}
	for (unsigned queue = 0; queue < 2; queue++) {

		while ((job = STAILQ_FIRST(&dev->queue[queue]))) {
			STAILQ_REMOVE_HEAD(&dev->queue[queue], link);
			job_free(job);
		}
		dev->again[queue] = false;
	}
}

/* reset, stop, destroy. */
static inline void console_end(struct capsa_device *dev)
{
	guest_reset(dev);
	dev->plugin->stop(dev->self);
	console_destroy(dev);
}

#endif
