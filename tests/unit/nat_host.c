/* SPDX-License-Identifier: MIT */
/* nat_host.c - see nat_host.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "tests/unit/iovec_copy.h"
#include "tests/unit/nat_host.h"

#define WATCHES_MAX 64u

struct capsa_watch {
	struct nat_host *host;
	int fd;
	unsigned events, held_by; /* queue + 1 */
	bool removed;
	void (*call)(void *ctx, int fd, unsigned events);
	void *ctx;
	LIST_ENTRY(capsa_watch) link;
};

struct capsa_timer {
	struct nat_host *host;
	uint64_t at; /* ms by the host's clock; 0: not set */
	bool soon;   /* set to no time at all: runs in the next turn, whatever the clock says */
	void (*call)(void *ctx);
	void *ctx;
	LIST_ENTRY(capsa_timer) link;
};

struct capsa_deferred {
	bool asked;
	void (*call)(void *ctx);
	void *ctx;
	LIST_ENTRY(capsa_deferred) link;
};

static struct nat_host *host_of(struct capsa_device *dev)
{
	return (struct nat_host *)dev;
}

static uint64_t now(const struct nat_host *host)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 + host->ahead;
}

/* ---- words ---- */

CAPSA_PRINTF(3, 4)
static void host_log(struct capsa_device *dev, enum capsa_log_level level, const char *fmt, ...)
{
	struct nat_host *host = host_of(dev);
	char line[1024];
	size_t len, used = strlen(host->logged);
	va_list args;

	if (level == CAPSA_LOG_DEBUG)
		return;
	if (level == CAPSA_LOG_ASKED)
		host->asked++;
	va_start(args, fmt);
	vsnprintf(line, sizeof line - 1, fmt, args);
	va_end(args);
	if (host->echo_log)
		fprintf(stderr, "%s\n", line);
	len = strlen(strcat(line, "\n"));
	if (used + len >= sizeof host->logged) {
		const size_t gone = used + len + 1 - sizeof host->logged;

		memmove(host->logged, host->logged + gone, used - gone + 1);
		used -= gone;
	}
	memcpy(host->logged + used, line, len + 1);
}

CAPSA_PRINTF(2, 3)
static void host_error(struct capsa_device *dev, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(host_of(dev)->error, sizeof host_of(dev)->error, fmt, args);
	va_end(args);
}

static const char *host_device_name(struct capsa_device *dev)
{
	(void)dev;
	return "net0";
}

static const char *host_machine_name(struct capsa_device *dev)
{
	return host_of(dev)->machine;
}

static void host_broken(struct capsa_device *dev, const char *reason)
{
	host_log(dev, CAPSA_LOG_ERROR, "broken: %s", reason);
	host_of(dev)->broken = true;
}

/* ---- queues ---- */

static struct capsa_request *host_queue_pop(struct capsa_device *dev, unsigned queue)
{
	struct nat_host *host = host_of(dev);
	struct host_queue *q = &host->queues[queue];
	struct host_buffer *buffer = host->active && !host->broken ? TAILQ_FIRST(&q->offered) : NULL;

	q->asked++;
	if (!buffer)
		return NULL;
	TAILQ_REMOVE(&q->offered, buffer, link);
	q->n_offered--;
	TAILQ_INSERT_TAIL(&q->popped, buffer, link);
	buffer->after = q->completions;
	buffer->request.user = NULL;
	return &buffer->request;
}

static void host_queue_complete(struct capsa_device *dev, struct capsa_request *req, size_t written)
{
	struct host_buffer *buffer = (struct host_buffer *)req;
	struct host_queue *q = &host_of(dev)->queues[req->queue];

	if (!host_of(dev)->active)
		return;
	if (written > req->writable_bytes)
		fail_msg("queue %u: completed with %zu of %zu bytes", req->queue, written, req->writable_bytes);
	TAILQ_REMOVE(&q->popped, buffer, link);
	TAILQ_INSERT_TAIL(&q->completed, buffer, link);
	buffer->written = written;
	q->completions++;
}

static void host_queue_give_back(struct capsa_device *dev, struct capsa_request *req)
{
	struct host_buffer *buffer = (struct host_buffer *)req;
	struct host_queue *q = &host_of(dev)->queues[req->queue];

	if (TAILQ_LAST(&q->popped, host_buffers) != buffer || buffer->after != q->completions)
		fail_msg("queue %u: given back in another order", req->queue);
	TAILQ_REMOVE(&q->popped, buffer, link);
	TAILQ_INSERT_HEAD(&q->offered, buffer, link);
	q->n_offered++;
}

static void host_queue_flush(struct capsa_device *dev, unsigned queue)
{
	struct host_queue *q = &host_of(dev)->queues[queue];

	TAILQ_CONCAT(&q->used, &q->completed, link);
}

static void host_queue_again(struct capsa_device *dev, unsigned queue)
{
	host_of(dev)->queues[queue].again = host_of(dev)->active;
}

static bool host_queue_wait(struct capsa_device *dev, unsigned queue)
{
	struct host_queue *q = &host_of(dev)->queues[queue];

	if (!host_of(dev)->active || host_of(dev)->broken)
		return false;
	if (!TAILQ_EMPTY(&q->offered))
		return true;
	q->waiting = true;
	return false;
}

static size_t host_request_read(const struct capsa_request *req, size_t offset, void *to, size_t len)
{
	return iovec_copy(req->readable, req->n_readable, offset, to, NULL, len);
}

static size_t host_request_write(const struct capsa_request *req, size_t offset, const void *from, size_t len)
{
	return iovec_copy(req->writable, req->n_writable, offset, NULL, from, len);
}

static int host_config_set(struct capsa_device *dev, size_t offset, const void *data, size_t len, bool tell)
{
	struct nat_host *host = host_of(dev);
	const size_t size = host->state >= HOST_REALIZED ? host->setup.config_size : sizeof host->space;

	if (offset > size || len > size - offset)
		return -EINVAL;
	memcpy(host->space + offset, data, len);
	host->told += tell;
	return 0;
}

/* ---- events ---- */

static struct capsa_watch *host_watch_add(struct capsa_device *dev, int fd, unsigned events,
                                          void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	struct capsa_watch *watch = calloc(1, sizeof *watch);

	assert_non_null(watch);
	*watch = (struct capsa_watch){ .host = host_of(dev), .fd = fd, .events = events, .call = call, .ctx = ctx };
	LIST_INSERT_HEAD(&host_of(dev)->watches, watch, link);
	return watch;
}

static int host_watch_set(struct capsa_watch *watch, unsigned events)
{
	assert_false(watch->removed);
	watch->events = events;
	watch->held_by = 0;
	return 0;
}

static bool host_watch_hold_until_room(struct capsa_watch *watch, unsigned queue)
{
	if (watch->host->active && !TAILQ_EMPTY(&watch->host->queues[queue].offered))
		return false;
	watch->held_by = queue + 1;
	return true;
}

/* Freed by nat_host_turn(), which may be in the middle of it. */
static void host_watch_remove(struct capsa_watch *watch)
{
	if (watch)
		watch->removed = true;
}

struct capsa_watch *nat_host_watch(struct nat_host *host, int fd, void (*call)(void *ctx, int fd, unsigned events),
                                   void *ctx)
{
	return host_watch_add(&host->dev, fd, CAPSA_WATCH_READ, call, ctx);
}

void nat_host_watch_set(struct capsa_watch *watch, unsigned events)
{
	(void)host_watch_set(watch, events);
}

void nat_host_unwatch(struct capsa_watch *watch)
{
	host_watch_remove(watch);
}

static struct capsa_timer *host_timer_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	struct capsa_timer *timer = calloc(1, sizeof *timer);

	assert_non_null(timer);
	*timer = (struct capsa_timer){ .host = host_of(dev), .call = call, .ctx = ctx };
	LIST_INSERT_HEAD(&host_of(dev)->timers, timer, link);
	return timer;
}

static void host_timer_set(struct capsa_timer *timer, int64_t ms)
{
	timer->at = ms < 0 ? 0 : now(timer->host) + (uint64_t)ms;
	timer->soon = ms == 0;
}

static void host_timer_remove(struct capsa_timer *timer)
{
	if (!timer)
		return;
	LIST_REMOVE(timer, link);
	free(timer);
}

static struct capsa_deferred *host_deferred_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	struct capsa_deferred *deferred = calloc(1, sizeof *deferred);

	assert_non_null(deferred);
	*deferred = (struct capsa_deferred){ .call = call, .ctx = ctx };
	LIST_INSERT_HEAD(&host_of(dev)->deferreds, deferred, link);
	return deferred;
}

static void host_deferred_run(struct capsa_deferred *deferred)
{
	deferred->asked = true;
}

static void host_deferred_remove(struct capsa_deferred *deferred)
{
	if (!deferred)
		return;
	LIST_REMOVE(deferred, link);
	free(deferred);
}

/* ---- what is opened ---- */

static int host_file_open(struct capsa_device *dev, int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	if (!(host_of(dev)->plugin->needs & CAPSA_NEEDS_FILES) || dirfd == AT_FDCWD || path[0] == '/')
		return -EPERM;
	fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

static int host_socket_open(struct capsa_device *dev, int domain, int type, int protocol)
{
	struct nat_host *host = host_of(dev);
	const bool internet = domain == AF_INET || domain == AF_INET6;
	int fd;

	if (!(internet && host->plugin->needs & CAPSA_NEEDS_INTERNET) &&
	    !(domain == AF_UNIX && host->plugin->needs & CAPSA_NEEDS_UNIX))
		return -EPERM;
	host->opened++;
	if (host->opens_fail)
		return -EMFILE;
	fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	return fd < 0 ? -errno : fd;
}

static int host_socket_connect(struct capsa_device *dev, int fd, const struct sockaddr *to, socklen_t len)
{
	(void)dev;
	return connect(fd, to, len) < 0 ? -errno : 0;
}

static int host_socket_bind(struct capsa_device *dev, int fd, const struct sockaddr *at, socklen_t len)
{
	(void)dev;
	return bind(fd, at, len) < 0 ? -errno : 0;
}

/* As the core's: that of the user who runs the test. */
static const char *host_shared_path(struct capsa_device *dev, const char *name)
{
	struct nat_host *host = host_of(dev);
	struct error err;
	char *folder = path_shared_dir(&err);

	if (!folder) {
		snprintf(host->error, sizeof host->error, "%s", err.text);
		return NULL;
	}
	free(host->shared);
	if (asprintf(&host->shared, "%s/%s", folder, name) < 0)
		host->shared = NULL;
	free(folder);
	return host->shared;
}

static uint64_t *host_counter(struct capsa_device *dev, const char *name, const char *help)
{
	struct nat_host *host = host_of(dev);
	unsigned i = 0;

	(void)help;
	while (i < NAT_HOST_COUNTERS && host->counters[i].name[0] && strcmp(host->counters[i].name, name) != 0)
		i++;
	if (i == NAT_HOST_COUNTERS)
		fail_msg("more than %u counters", i);
	snprintf(host->counters[i].name, sizeof host->counters[i].name, "%s", name);
	return &host->counters[i].value;
}

static unsigned host_vcpus(struct capsa_device *dev)
{
	return host_of(dev)->vcpus;
}

/* ---- info, as JSON ---- */

CAPSA_PRINTF(2, 3)
static void say(struct nat_host *host, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(host->info + host->info_len, NAT_HOST_INFO - host->info_len, fmt, args);
	va_end(args);
	host->info_len += (size_t)n;
	assert_true(host->info_len < NAT_HOST_INFO);
}

static void say_key(struct nat_host *host, const char *key)
{
	if (!host->info_first)
		say(host, ",");
	host->info_first = false;
	if (host->info_nesting[host->info_depth] == '{')
		say(host, "\"%s\":", key);
}

static void host_info_number(struct capsa_device *dev, const char *key, uint64_t value)
{
	say_key(host_of(dev), key);
	say(host_of(dev), "%llu", (unsigned long long)value);
}

static void host_info_text(struct capsa_device *dev, const char *key, const char *text)
{
	say_key(host_of(dev), key);
	say(host_of(dev), "\"%s\"", text);
}

static void host_info_begin(struct capsa_device *dev, const char *key, bool list)
{
	struct nat_host *host = host_of(dev);

	say_key(host, key);
	say(host, list ? "[" : "{");
	assert_true(host->info_depth + 1 < sizeof host->info_nesting);
	host->info_nesting[++host->info_depth] = list ? '[' : '{';
	host->info_first = true;
}

static void host_info_end(struct capsa_device *dev)
{
	struct nat_host *host = host_of(dev);

	assert_true(host->info_depth > 0);
	say(host, host->info_nesting[host->info_depth--] == '[' ? "]" : "}");
	host->info_first = false;
}

const char *nat_host_info(struct nat_host *host)
{
	if (!host->info)
		host->info = malloc(NAT_HOST_INFO);
	assert_non_null(host->info);
	host->info_len = host->info_depth = 0;
	host->info_nesting[0] = '{';
	host->info_first = true;
	say(host, "{");
	host->plugin->info(host->self);
	if (host->info_depth)
		fail_msg("info: not closed: %s", host->info);
	say(host, "}");
	return host->info;
}

static const struct capsa_host services = {
	.struct_size = sizeof(struct capsa_host),
	.api_version = CAPSA_PLUGIN_API_VERSION,
	.api_revision = CAPSA_PLUGIN_API_REVISION,
	.log = host_log,
	.error = host_error,
	.device_name = host_device_name,
	.machine_name = host_machine_name,
	.queue_pop = host_queue_pop,
	.queue_complete = host_queue_complete,
	.queue_give_back = host_queue_give_back,
	.queue_flush = host_queue_flush,
	.queue_again = host_queue_again,
	.queue_wait = host_queue_wait,
	.request_read = host_request_read,
	.request_write = host_request_write,
	.config_set = host_config_set,
	.broken = host_broken,
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
	.file_open = host_file_open,
	.socket_open = host_socket_open,
	.socket_connect = host_socket_connect,
	.socket_bind = host_socket_bind,
	.counter = host_counter,
	.vcpus = host_vcpus,
	.info_number = host_info_number,
	.info_text = host_info_text,
	.info_begin = host_info_begin,
	.info_end = host_info_end,
	.shared_path = host_shared_path,
};

/* ---- the guest's side of queues ---- */

static size_t bytes_of(const struct iovec *iov, unsigned n)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	return bytes;
}

void nat_host_offer(struct nat_host *host, unsigned queue, struct host_buffer *buffer, const struct iovec *readable,
                    unsigned n_readable, const struct iovec *writable, unsigned n_writable)
{
	struct host_queue *q = &host->queues[queue];
	struct capsa_watch *watch;

	buffer->request = (struct capsa_request){
		.readable = readable,
		.n_readable = n_readable,
		.writable = writable,
		.n_writable = n_writable,
		.readable_bytes = bytes_of(readable, n_readable),
		.writable_bytes = bytes_of(writable, n_writable),
		.queue = (uint16_t)queue,
	};
	TAILQ_INSERT_TAIL(&q->offered, buffer, link);
	q->n_offered++;
	if (q->waiting || !host->setup.queues[queue].silent)
		q->again = true;
	q->waiting = false;
	LIST_FOREACH(watch, &host->watches, link)
	if (watch->held_by == queue + 1)
		watch->held_by = 0;
}

struct host_buffer *nat_host_used(struct nat_host *host, unsigned queue)
{
	struct host_queue *q = &host->queues[queue];
	struct host_buffer *buffer = TAILQ_FIRST(&q->used);

	if (buffer)
		TAILQ_REMOVE(&q->used, buffer, link);
	return buffer;
}

/* ---- the loop ---- */

static void bury_watches(struct nat_host *host)
{
	struct capsa_watch *watch = LIST_FIRST(&host->watches);

	while (watch) {
		struct capsa_watch *next = LIST_NEXT(watch, link);

		if (watch->removed) {
			LIST_REMOVE(watch, link);
			free(watch);
		}
		watch = next;
	}
}

static bool turn_queues(struct nat_host *host)
{
	bool any = false;

	for (unsigned queue = 0; queue < host->setup.n_queues; queue++) {
		struct host_queue *q = &host->queues[queue];

		if (!q->again || !host->active)
			continue;
		q->again = false;
		host->plugin->queue_notify(host->self, queue);
		host_queue_flush(&host->dev, queue);
		any = true;
	}
	return any;
}

static bool turn_deferreds(struct nat_host *host)
{
	struct capsa_deferred *deferred, *calls[64];
	unsigned n = 0;

	LIST_FOREACH(deferred, &host->deferreds, link)
	if (deferred->asked && n < 64)
		calls[n++] = deferred;
	for (unsigned i = 0; i < n; i++) {
		LIST_FOREACH(deferred, &host->deferreds, link)
		if (deferred == calls[i] && deferred->asked) {
			deferred->asked = false;
			deferred->call(deferred->ctx);
			break;
		}
	}
	return n > 0;
}

/* The earliest one that is due at `until`, or NULL. */
static struct capsa_timer *due(const struct nat_host *host, uint64_t until)
{
	struct capsa_timer *timer, *first = NULL;

	LIST_FOREACH(timer, &host->timers, link)
	if (timer->at && timer->at <= until && (!first || timer->at < first->at))
		first = timer;
	return first;
}

static void run_timer(struct capsa_timer *timer)
{
	timer->at = 0;
	timer->soon = false;
	timer->call(timer->ctx);
}

static bool turn_timers(struct nat_host *host)
{
	struct capsa_timer *timer;

	if (host->real_time) {
		timer = due(host, now(host));
		if (timer)
			run_timer(timer);
		return timer != NULL;
	}
	LIST_FOREACH(timer, &host->timers, link)
	if (timer->at && timer->soon) {
		run_timer(timer);
		return true;
	}
	return false;
}

static int until_timer(const struct nat_host *host, int ms)
{
	const struct capsa_timer *timer = host->real_time ? due(host, UINT64_MAX) : NULL;
	const uint64_t at = timer ? now(host) : 0;

	if (!timer)
		return ms;
	if (timer->at <= at)
		return 0;
	return ms >= 0 && (uint64_t)ms < timer->at - at ? ms : (int)(timer->at - at);
}

static bool turn_watches(struct nat_host *host, int ms)
{
	struct pollfd fds[WATCHES_MAX];
	struct capsa_watch *watches[WATCHES_MAX], *watch;
	unsigned n = 0;
	bool any = false;

	bury_watches(host);
	LIST_FOREACH(watch, &host->watches, link)
	{
		if (watch->held_by || !watch->events)
			continue;
		assert_true(n < WATCHES_MAX);
		watches[n] = watch;
		fds[n++] = (struct pollfd){ .fd = watch->fd,
			                    .events = (short)((watch->events & CAPSA_WATCH_READ ? POLLIN : 0) |
			                                      (watch->events & CAPSA_WATCH_WRITE ? POLLOUT : 0)) };
	}
	if (poll(fds, n, until_timer(host, ms)) <= 0)
		return false;
	for (unsigned i = 0; i < n; i++) {
		unsigned events = 0;

		if (fds[i].revents & (POLLIN | POLLERR | POLLHUP))
			events |= CAPSA_WATCH_READ;
		if (fds[i].revents & POLLOUT)
			events |= CAPSA_WATCH_WRITE;
		events &= watches[i]->events;
		if (!events || watches[i]->removed || watches[i]->held_by)
			continue;
		watches[i]->call(watches[i]->ctx, watches[i]->fd, events);
		any = true;
	}
	bury_watches(host);
	return any;
}

bool nat_host_turn(struct nat_host *host, int ms)
{
	bool any;

	if (host->before_turn)
		host->before_turn(host);
	any = turn_queues(host);
	any |= turn_deferreds(host);
	any |= turn_timers(host);
	any |= turn_watches(host, any ? 0 : ms);
	return any;
}

static void set_ahead(struct nat_host *host, uint64_t ms)
{
	host->ahead += ms;
	if (host->set_ahead)
		host->set_ahead(host->self, ms);
}

void nat_host_pass(struct nat_host *host, uint64_t ms)
{
	const uint64_t end = now(host) + ms;
	struct capsa_timer *timer;

	while ((timer = due(host, end))) {
		const uint64_t at = now(host);

		if (timer->at > at)
			set_ahead(host, timer->at - at);
		run_timer(timer);
		while (nat_host_turn(host, 0))
			;
	}
	if (end > now(host))
		set_ahead(host, end - now(host));
}

/* ---- life ---- */

/* As a file, so that what is said about options is tested as well. */
static int read_config(struct nat_host *host, const char *options, struct config **config, struct keys_values *values)
{
	char path[] = "/tmp/capsa-nat-conf-XXXXXX";
	struct error err = { .text = "" };
	int fd = mkstemp(path), rc;

	assert_true(fd >= 0);
	dprintf(fd, "name = \"%s\"; devices = ( { plugin = \"%s\"; name = \"net0\"; %s } );\n", host->machine,
	        host->plugin->name, options);
	close(fd);
	rc = config_read(path, config, &err);
	if (rc == 0)
		rc = keys_apply(*config, &(*config)->devices[0], host->plugin->name, host->plugin->keys, values, &err);
	unlink(path);
	if (rc < 0)
		snprintf(host->error, sizeof host->error, "%s", err.text);
	return rc;
}

int nat_host_try(struct nat_host *host, const char *options)
{
	for (unsigned i = 0; i < CAPSA_MAX_QUEUES; i++) {
		TAILQ_INIT(&host->queues[i].offered);
		TAILQ_INIT(&host->queues[i].popped);
		TAILQ_INIT(&host->queues[i].completed);
		TAILQ_INIT(&host->queues[i].used);
	}
	if (!host->vcpus)
		host->vcpus = 2;
	if (!host->machine)
		host->machine = "box";
	host->plugin = capsa_plugin_entry();
	if (read_config(host, options, &host->config, &host->values) < 0)
		return -1;
	host->self = host->plugin->create(&services, &host->dev);
	assert_non_null(host->self);
	host->state = HOST_CREATED;
	if (host->plugin->config(host->self, host->values.values, host->values.n) < 0)
		return -1;
	host->setup.struct_size = sizeof host->setup;
	if (host->plugin->realize(host->self, &host->setup) < 0)
		return -1;
	host->state = HOST_REALIZED;
	return 0;
}

void nat_host_activate(struct nat_host *host, uint64_t features)
{
	host->active = true;
	host->broken = false;
	if (host->plugin->activate(host->self, features) != 0)
		fail_msg("activate: %s", host->error);
	for (unsigned queue = 0; queue < host->setup.n_queues; queue++)
		host->queues[queue].again = !host->setup.queues[queue].silent;
}

void nat_host_start(struct nat_host *host, uint64_t features)
{
	if (host->plugin->start && host->plugin->start(host->self) != 0)
		fail_msg("start: %s", host->error);
	host->state = HOST_STARTED;
	nat_host_activate(host, features);
}

static void all_gone(struct host_buffers *buffers, void (*gone)(void *ctx, struct host_buffer *buffer), void *ctx)
{
	struct host_buffer *buffer;

	while ((buffer = TAILQ_FIRST(buffers))) {
		TAILQ_REMOVE(buffers, buffer, link);
		gone(ctx, buffer);
	}
}

void nat_host_reset(struct nat_host *host, void (*gone)(void *ctx, struct host_buffer *buffer), void *ctx)
{
	if (host->active)
		host->plugin->reset(host->self);
	host->active = false;
	for (unsigned i = 0; i < CAPSA_MAX_QUEUES; i++) {
		struct host_queue *q = &host->queues[i];

		all_gone(&q->offered, gone, ctx);
		all_gone(&q->popped, gone, ctx);
		all_gone(&q->completed, gone, ctx);
		all_gone(&q->used, gone, ctx);
		q->n_offered = 0;
		q->again = q->waiting = false;
	}
}

void nat_host_end(struct nat_host *host)
{
	if (host->state == HOST_STARTED && host->plugin->stop)
		host->plugin->stop(host->self);
	if (host->state >= HOST_CREATED)
		host->plugin->destroy(host->self);
	host->state = HOST_MADE;
	bury_watches(host);
	if (!LIST_EMPTY(&host->watches) || !LIST_EMPTY(&host->timers) || !LIST_EMPTY(&host->deferreds))
		fail_msg("a watch, timer or deferred call is left over");
	keys_free(&host->values);
	config_free(host->config);
	host->config = NULL;
	free(host->info);
	free(host->shared);
	host->info = host->shared = NULL;
}

int nat_host_reconfigure(struct nat_host *host, const char *text)
{
	struct config *config = NULL;
	struct keys_values values = { .values = NULL };
	int rc = read_config(host, text, &config, &values);

	for (size_t key = 0; rc == 0 && key < values.n; key++) {
		if (values.values[key].type == CAPSA_TYPE_NONE || values.values[key].from_default ||
		    values.keys[key].required) /* these had to be there again */
			continue;
		if (!(values.keys[key].flags & CAPSA_KEY_LIVE))
			fail_msg("%s is not live", values.keys[key].name);
		rc = host->plugin->reconfigure(host->self, key, &values.values[key]);
	}
	keys_free(&values);
	config_free(config);
	return rc < 0 ? -1 : 0;
}

uint64_t nat_host_counter(struct nat_host *host, const char *name)
{
	for (unsigned i = 0; i < NAT_HOST_COUNTERS; i++)
		if (strcmp(host->counters[i].name, name) == 0)
			return __atomic_load_n(&host->counters[i].value, __ATOMIC_RELAXED);
	fail_msg("no counter %s", name);
	return 0;
}
