/* SPDX-License-Identifier: MIT */
/* fs_host_services.c - what the plugin may ask of its host, as a test has it: struct capsa_host; see fs_host.h. */
#include "tests/unit/fs_host.h"

#include <sys/mman.h>

#include "tests/unit/iovec_copy.h"

static struct fs_host *host_of(struct capsa_device *dev)
{
	return (struct fs_host *)dev;
}

CAPSA_PRINTF(3, 4)
static void host_log(struct capsa_device *dev, enum capsa_log_level level, const char *fmt, ...)
{
	struct fs_client *client = host_of(dev)->client;
	size_t used = strlen(client->logged);
	va_list args;

	if (level == CAPSA_LOG_DEBUG)
		return;
	va_start(args, fmt);
	vsnprintf(client->logged + used, sizeof client->logged - used, fmt, args);
	va_end(args);
}

CAPSA_PRINTF(2, 3)
static void host_error(struct capsa_device *dev, const char *fmt, ...)
{
	struct fs_client *client = host_of(dev)->client;
	va_list args;

	va_start(args, fmt);
	vsnprintf(client->error, sizeof client->error, fmt, args);
	va_end(args);
}

static const char *host_device_name(struct capsa_device *dev)
{
	(void)dev;
	return "virtio-fs0";
}

static struct capsa_request *host_queue_pop(struct capsa_device *dev, unsigned queue)
{
	struct fs_host *host = host_of(dev);
	struct fs_request *request;

	pthread_mutex_lock(&host->lock);
	request = host->active ? STAILQ_FIRST(&host->offered[queue]) : NULL;
	if (request)
		STAILQ_REMOVE_HEAD(&host->offered[queue], link);
	pthread_mutex_unlock(&host->lock);
	return request ? &request->request : NULL;
}

static void host_queue_complete(struct capsa_device *dev, struct capsa_request *req, size_t written)
{
	struct fs_host *host = host_of(dev);
	struct fs_request *request = (struct fs_request *)req;

	if (written > req->writable_bytes)
		fail_msg("completed with %zu of %zu bytes", written, req->writable_bytes);
	pthread_mutex_lock(&host->lock);
	if (request->done)
		fail_msg("completed twice");
	request->done = true;
	request->written = written;
	pthread_cond_broadcast(&host->change);
	pthread_mutex_unlock(&host->lock);
}

static void host_queue_flush(struct capsa_device *dev, unsigned queue)
{
	struct fs_host *host = host_of(dev);

	(void)queue;
	pthread_mutex_lock(&host->lock);
	host->flushes++;
	pthread_mutex_unlock(&host->lock);
}

static void host_queue_again(struct capsa_device *dev, unsigned queue)
{
	struct fs_host *host = host_of(dev);

	pthread_mutex_lock(&host->lock);
	host->again[queue] = host->active;
	pthread_mutex_unlock(&host->lock);
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
	struct fs_host *host = host_of(dev);

	(void)tell;
	if (offset > sizeof host->space || len > sizeof host->space - offset)
		return -EINVAL;
	memcpy(host->space + offset, data, len);
	return 0;
}

static struct capsa_deferred *host_queue_deferred_add(struct capsa_device *dev, unsigned queue, void (*call)(void *ctx),
                                                      void *ctx)
{
	struct fs_host *host = host_of(dev);
	struct capsa_deferred *deferred = calloc(1, sizeof *deferred);

	assert_non_null(deferred);
	*deferred = (struct capsa_deferred){ .host = host, .queue = queue, .call = call, .ctx = ctx };
	pthread_mutex_lock(&host->lock);
	LIST_INSERT_HEAD(&host->deferreds, deferred, link);
	pthread_mutex_unlock(&host->lock);
	return deferred;
}

static struct capsa_deferred *host_deferred_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	return host_queue_deferred_add(dev, 0, call, ctx);
}

static void host_deferred_run(struct capsa_deferred *deferred)
{
	pthread_mutex_lock(&deferred->host->lock);
	deferred->asked = true;
	pthread_cond_broadcast(&deferred->host->change);
	pthread_mutex_unlock(&deferred->host->lock);
}

static void host_deferred_remove(struct capsa_deferred *deferred)
{
	if (!deferred)
		return;
	pthread_mutex_lock(&deferred->host->lock);
	LIST_REMOVE(deferred, link);
	pthread_mutex_unlock(&deferred->host->lock);
	free(deferred);
}

static int host_job_submit(struct capsa_device *dev, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
	struct fs_host *host = host_of(dev);
	struct job *job = calloc(1, sizeof *job);

	assert_non_null(job);
	*job = (struct job){ .work = work, .done = done, .ctx = ctx };
	pthread_mutex_lock(&host->lock);
	STAILQ_INSERT_TAIL(&host->jobs, job, link);
	host->n_jobs++;
	pthread_cond_broadcast(&host->change);
	pthread_mutex_unlock(&host->lock);
	return 0;
}

static int host_file_open(struct capsa_device *dev, int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	(void)dev;
	if (dirfd == AT_FDCWD || path[0] == '/')
		return -EPERM;
	fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	return fd < 0 ? -errno : fd;
}

static uint64_t *host_counter(struct capsa_device *dev, const char *name, const char *help)
{
	struct fs_host *host = host_of(dev);
	unsigned i = 0;

	(void)help;
	while (host->counters[i].name[0] && strcmp(host->counters[i].name, name) != 0)
		i++;
	assert_true(i < 31);
	snprintf(host->counters[i].name, sizeof host->counters[i].name, "%s", name);
	return &host->counters[i].value;
}

static int check_window(struct fs_host *host, unsigned id, uint64_t offset, uint64_t len)
{
	const uint64_t size = host->client->window_size;

	return id != WINDOW_ID || !len || offset % 4096 || len % 4096 || offset > size || len > size - offset ? -EINVAL
	                                                                                                      : 0;
}

static int host_shared_memory_map(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len, int prot,
                                  int flags, int fd, uint64_t fd_offset)
{
	struct fs_host *host = host_of(dev);

	if (check_window(host, id, offset, len) < 0 || (flags != MAP_SHARED && flags != MAP_PRIVATE) ||
	    fd_offset % 4096)
		return -EINVAL;
	if (mmap(host->client->window + offset, len, prot, flags | MAP_FIXED, fd, (off_t)fd_offset) == MAP_FAILED)
		return -errno;
	return 0;
}

static int host_shared_memory_unmap(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len)
{
	struct fs_host *host = host_of(dev);

	if (check_window(host, id, offset, len) < 0)
		return -EINVAL;
	if (mmap(host->client->window + offset, len, PROT_READ | PROT_WRITE,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		return -errno;
	return 0;
}

static struct capsa_watch *host_watch_add(struct capsa_device *dev, int fd, unsigned events,
                                          void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	struct fs_host *host = host_of(dev);

	if (events != CAPSA_WATCH_READ || host->watch.call)
		fail_msg("a watch that the harness does not know");
	host->watch = (struct capsa_watch){ .fd = fd, .call = call, .ctx = ctx };
	return &host->watch;
}

static unsigned host_vcpus(struct capsa_device *dev)
{
	(void)dev;
	return 1;
}

const struct capsa_host fs_host_services = {
	.struct_size = sizeof(struct capsa_host),
	.api_version = CAPSA_PLUGIN_API_VERSION,
	.api_revision = CAPSA_PLUGIN_API_REVISION,
	.log = host_log,
	.error = host_error,
	.device_name = host_device_name,
	.queue_pop = host_queue_pop,
	.queue_complete = host_queue_complete,
	.queue_flush = host_queue_flush,
	.queue_again = host_queue_again,
	.request_read = host_request_read,
	.request_write = host_request_write,
	.config_set = host_config_set,
	.deferred_add = host_deferred_add,
	.queue_deferred_add = host_queue_deferred_add,
	.deferred_run = host_deferred_run,
	.deferred_remove = host_deferred_remove,
	.job_submit = host_job_submit,
	.file_open = host_file_open,
	.watch_add = host_watch_add,
	.counter = host_counter,
	.shared_memory_map = host_shared_memory_map,
	.shared_memory_unmap = host_shared_memory_unmap,
	.vcpus = host_vcpus,
};
