/* SPDX-License-Identifier: MIT */
/* fs_client.c - see fs_client.h. */
#include "tests/unit/fs_client.h"

#include <dirent.h>
#include <poll.h>
#include <sys/mman.h>

#include "core/base/path.h"

#define QUEUES 64u

struct fs_request {
	struct capsa_request request; /* first */
	struct iovec *readable, *writable;
	uint64_t unique;
	bool done;
	size_t written;
	STAILQ_ENTRY(fs_request) link; /* of what is offered */
	LIST_ENTRY(fs_request) all;
};

struct job {
	STAILQ_ENTRY(job) link;
	void (*work)(void *ctx);
	void (*done)(void *ctx);
	void *ctx;
};

struct capsa_deferred {
	struct fs_host *host;
	unsigned queue; /* or HOME */
	bool asked;
	void (*call)(void *ctx);
	void *ctx;
	LIST_ENTRY(capsa_deferred) link;
};

struct counter {
	char name[64];
	uint64_t value;
};

struct capsa_device {
	char unused;
};

/* Everything under one lock, which is held across none of the plugin's code. */
struct capsa_watch {
	int fd;
	void (*call)(void *ctx, int fd, unsigned events);
	void *ctx;
};

struct fs_host {
	struct capsa_device dev; /* first */
	struct fs_client *client;
	const struct capsa_plugin *plugin;
	void *self;
	struct config *config;
	struct keys_values values;
	enum { MADE, CONFIGURED, REALIZED, STARTED } state;
	bool active;

	pthread_mutex_t lock;
	pthread_cond_t change; /* a request completed, a job came or ended, a deferred call was asked for */
	STAILQ_HEAD(, fs_request) offered[QUEUES];
	bool again[QUEUES];
	bool owned[QUEUES]; /* by a thread that said fs_thread() */
	LIST_HEAD(, fs_request) all;
	LIST_HEAD(, capsa_deferred) deferreds;
	STAILQ_HEAD(, job) jobs, finished;
	unsigned n_jobs; /* not done yet */
	bool ending;
	pthread_t threads[80];
	unsigned n_threads;
	struct counter counters[32];
	unsigned flushes;
	struct capsa_watch watch; /* the only one that the plugin has */
	unsigned char space[CAPSA_MAX_CONFIG_SPACE];
	unsigned descriptors; /* before it all */
};

static _Thread_local unsigned my_queue; /* 0: home */

static struct fs_host *host_of(struct capsa_device *dev)
{
	return (struct fs_host *)dev;
}

/* ---- services ---- */

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

static size_t copy(const struct iovec *iov, unsigned n, size_t offset, void *to, const void *from, size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t here = iov[i].iov_len;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here = here - offset < len - done ? here - offset : len - done;
		if (to)
			memcpy((char *)to + done, (char *)iov[i].iov_base + offset, here);
		else
			memcpy((char *)iov[i].iov_base + offset, (const char *)from + done, here);
		done += here;
		offset = 0;
	}
	return done;
}

static size_t host_request_read(const struct capsa_request *req, size_t offset, void *to, size_t len)
{
	return copy(req->readable, req->n_readable, offset, to, NULL, len);
}

static size_t host_request_write(const struct capsa_request *req, size_t offset, const void *from, size_t len)
{
	return copy(req->writable, req->n_writable, offset, NULL, from, len);
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

static const struct capsa_host services = {
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

/* ---- loops and workers ---- */

/* Runs one queued job. Lock held before and after. */
static void run_job(struct fs_host *host)
{
	struct job *job = STAILQ_FIRST(&host->jobs);

	STAILQ_REMOVE_HEAD(&host->jobs, link);
	pthread_mutex_unlock(&host->lock);
	job->work(job->ctx);
	pthread_mutex_lock(&host->lock);
	STAILQ_INSERT_TAIL(&host->finished, job, link);
	pthread_cond_broadcast(&host->change);
}

static void *worker(void *ctx)
{
	struct fs_host *host = ctx;

	pthread_mutex_lock(&host->lock);
	while (!host->ending || !STAILQ_EMPTY(&host->jobs)) {
		if (!STAILQ_EMPTY(&host->jobs) && (!host->client->inline_jobs || host->ending))
			run_job(host);
		else
			pthread_cond_wait(&host->change, &host->lock);
	}
	pthread_mutex_unlock(&host->lock);
	return NULL;
}

static bool is_mine(const struct fs_host *host, unsigned queue)
{
	return my_queue ? queue == my_queue : !host->owned[queue];
}

/* One thing that the calling thread's loop has to do. Lock held before and after. False: there is none. */
static bool loop_step(struct fs_host *host)
{
	struct capsa_deferred *deferred;
	struct job *job;

	for (unsigned queue = 0; queue < QUEUES; queue++)
		if (host->again[queue] && is_mine(host, queue)) {
			host->again[queue] = false;
			pthread_mutex_unlock(&host->lock);
			host->plugin->queue_notify(host->self, queue);
			pthread_mutex_lock(&host->lock);
			return true;
		}
	LIST_FOREACH(deferred, &host->deferreds, link)
	if (deferred->asked && is_mine(host, deferred->queue)) {
		deferred->asked = false;
		pthread_mutex_unlock(&host->lock);
		deferred->call(deferred->ctx);
		pthread_mutex_lock(&host->lock);
		return true;
	}
	if (my_queue)
		return false;
	job = STAILQ_FIRST(&host->finished);
	if (job) {
		STAILQ_REMOVE_HEAD(&host->finished, link);
		pthread_mutex_unlock(&host->lock);
		if (job->done)
			job->done(job->ctx);
		free(job);
		pthread_mutex_lock(&host->lock);
		host->n_jobs--;
		return true;
	}
	if (!host->client->inline_jobs || STAILQ_EMPTY(&host->jobs))
		return false;
	run_job(host);
	return true;
}

/* ---- life ---- */

static unsigned count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void make_folder(struct fs_client *client, const char *folder)
{
	if (folder) {
		snprintf(client->folder, sizeof client->folder, "%s", folder);
	} else {
		const char *tmp = getenv("TMPDIR");

		snprintf(client->folder, sizeof client->folder, "%s/capsa-fs-XXXXXX", tmp ? tmp : "/tmp");
		if (!mkdtemp(client->folder) || chmod(client->folder, 0755) < 0)
			fail_msg("cannot make %s", client->folder);
		client->own_folder = true;
	}
	client->folder_fd = open(client->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int configure(struct fs_host *host, const char *options)
{
	char path[] = "/tmp/capsa-fs-conf-XXXXXX";
	struct fs_client *client = host->client;
	int fd = mkstemp(path), r;
	struct error err = { .text = "" };

	assert_true(fd >= 0);
	dprintf(fd, "name = \"box\"; devices = ( { plugin = \"virtio-fs\"; %s%s%s%s %s } );\n",
	        strstr(options, "tag =") ? "" : "tag = \"share0\"; ", strstr(options, "path =") ? "" : "path = \"",
	        strstr(options, "path =") ? "" : client->folder, strstr(options, "path =") ? "" : "\";", options);
	close(fd);
	r = config_read(path, &host->config, &err);
	if (r == 0)
		r = keys_apply(host->config, &host->config->devices[0], "virtio-fs", host->plugin->keys, &host->values,
		               &err);
	unlink(path);
	if (r < 0) {
		snprintf(client->error, sizeof client->error, "%s", err.text);
		return r;
	}
	host->state = CONFIGURED;
	return host->plugin->config(host->self, host->values.values, host->values.n);
}

static void make_window(struct fs_client *client)
{
	if (!client->setup.n_shared_memory)
		return;
	client->window_size = client->setup.shared_memory[0].size;
	client->window = mmap(NULL, client->window_size, PROT_READ | PROT_WRITE,
	                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(client->window != MAP_FAILED);
}

int fs_try(struct fs_client *client, const char *folder, const char *options)
{
	struct fs_host *host = calloc(1, sizeof *host);
	int r;

	assert_non_null(host);
	memset(client, 0, sizeof *client);
	client->pid = (uint32_t)getpid();
	client->host = host;
	host->client = client;
	pthread_mutex_init(&host->lock, NULL);
	pthread_cond_init(&host->change, NULL);
	for (unsigned i = 0; i < QUEUES; i++)
		STAILQ_INIT(&host->offered[i]);
	STAILQ_INIT(&host->jobs);
	STAILQ_INIT(&host->finished);
	make_folder(client, folder);
	host->descriptors = count_descriptors();
	host->plugin = capsa_plugin_entry();
	host->self = host->plugin->create(&services, &host->dev);
	assert_non_null(host->self);
	client->share = host->self; /* its first member */
	r = configure(host, options);
	if (r < 0)
		return r;
	client->setup.struct_size = sizeof client->setup;
	r = host->plugin->realize(host->self, &client->setup);
	if (r < 0)
		return r;
	host->state = REALIZED;
	make_window(client);
	return 0;
}

static void activate(struct fs_host *host)
{
	host->active = true;
	assert_int_equal(host->plugin->activate(host->self, 0), 0);
}

void fs_begin_raw(struct fs_client *client, const char *folder, const char *options)
{
	struct fs_host *host;

	if (fs_try(client, folder, options) < 0)
		fail_msg("%s", client->error);
	host = client->host;
	assert_true(client->setup.n_workers <= 80);
	for (; host->n_threads < client->setup.n_workers; host->n_threads++)
		assert_int_equal(pthread_create(&host->threads[host->n_threads], NULL, worker, host), 0);
	if (host->plugin->start)
		assert_int_equal(host->plugin->start(host->self), 0);
	host->state = STARTED;
	activate(host);
}

void fs_begin(struct fs_client *client, const char *folder, const char *options)
{
	int r;

	fs_begin_raw(client, folder, options);
	r = fs_init(client, FUSE_KERNEL_MINOR_VERSION, UINT64_MAX, 1 << 20);
	if (r < 0)
		fail_msg("INIT: %s", strerror(-r));
}

static void free_request(struct fs_request *request)
{
	LIST_REMOVE(request, all);
	for (unsigned i = 0; i < request->request.n_readable; i++)
		free(request->readable[i].iov_base);
	for (unsigned i = 0; i < request->request.n_writable; i++)
		free(request->writable[i].iov_base);
	free(request->readable);
	free(request->writable);
	free(request);
}

static void reset(struct fs_host *host)
{
	struct fs_request *request;

	if (!host->active)
		return;
	pthread_mutex_lock(&host->lock);
	host->active = false;
	pthread_mutex_unlock(&host->lock);
	host->plugin->reset(host->self);
	/* The guest's memory is its own again: whoever still writes there is caught by the sanitizer. */
	while ((request = LIST_FIRST(&host->all)))
		free_request(request);
	for (unsigned i = 0; i < QUEUES; i++) {
		STAILQ_INIT(&host->offered[i]);
		host->again[i] = false;
	}
}

void fs_reset(struct fs_client *client)
{
	reset(client->host);
	activate(client->host);
}

static void end_jobs(struct fs_host *host)
{
	pthread_mutex_lock(&host->lock);
	host->ending = true;
	pthread_cond_broadcast(&host->change);
	pthread_mutex_unlock(&host->lock);
	for (unsigned i = 0; i < host->n_threads; i++)
		pthread_join(host->threads[i], NULL);
	pthread_mutex_lock(&host->lock);
	while (loop_step(host))
		;
	pthread_mutex_unlock(&host->lock);
	assert_int_equal(host->n_jobs, 0);
}

void fs_end(struct fs_client *client)
{
	struct fs_host *host = client->host;
	struct capsa_deferred *deferred;
	unsigned left;

	my_queue = 0;
	reset(host);
	if (host->state == STARTED && host->plugin->stop)
		host->plugin->stop(host->self);
	end_jobs(host);
	host->plugin->destroy(host->self);
	while ((deferred = LIST_FIRST(&host->deferreds)))
		host_deferred_remove(deferred);
	if (client->window)
		munmap(client->window, client->window_size);
	keys_free(&host->values);
	config_free(host->config);
	left = count_descriptors();
	if (left != host->descriptors)
		fail_msg("%u descriptors before, %u afterwards", host->descriptors, left);
	if (client->folder_fd >= 0)
		close(client->folder_fd);
	if (client->own_folder)
		path_remove_tree(client->folder);
	pthread_mutex_destroy(&host->lock);
	pthread_cond_destroy(&host->change);
	free(host);
}

void fs_thread(struct fs_client *client, unsigned queue)
{
	pthread_mutex_lock(&client->host->lock);
	client->host->owned[queue] = true;
	pthread_mutex_unlock(&client->host->lock);
	my_queue = queue;
}

const void *fs_config_space(const struct fs_client *client)
{
	return client->host->space;
}

void fs_watch(struct fs_client *client)
{
	const struct capsa_watch *watch = &client->host->watch;
	struct pollfd pollfd = { .fd = watch->fd, .events = POLLIN };

	if (!watch->call || poll(&pollfd, 1, -1) != 1)
		fail_msg("nothing is watched");
	watch->call(watch->ctx, watch->fd, CAPSA_WATCH_READ);
}

uint64_t fs_counter(struct fs_client *client, const char *name)
{
	return __atomic_load_n(host_counter(&client->host->dev, name, NULL), __ATOMIC_RELAXED);
}

/* ---- requests ---- */

/* Copies n buffers to memory of their own. */
static struct iovec *own_buffers(const struct iovec *from, unsigned n, size_t *bytes)
{
	struct iovec *iov = calloc(n ? n : 1, sizeof *iov);

	assert_non_null(iov);
	*bytes = 0;
	for (unsigned i = 0; i < n; i++) {
		iov[i].iov_len = from[i].iov_len;
		iov[i].iov_base = malloc(from[i].iov_len);
		assert_true(iov[i].iov_base || !from[i].iov_len);
		if (from[i].iov_base && from[i].iov_len)
			memcpy(iov[i].iov_base, from[i].iov_base, from[i].iov_len);
		*bytes += from[i].iov_len;
	}
	return iov;
}

static struct fs_request *offer(struct fs_client *client, unsigned queue, const struct iovec *readable,
                                unsigned n_readable, const struct iovec *writable, unsigned n_writable)
{
	struct fs_host *host = client->host;
	struct fs_request *request = calloc(1, sizeof *request);

	assert_non_null(request);
	assert_true(host->active && queue < client->setup.n_queues);
	request->readable = own_buffers(readable, n_readable, &request->request.readable_bytes);
	request->writable = own_buffers(writable, n_writable, &request->request.writable_bytes);
	request->request.readable = request->readable;
	request->request.n_readable = n_readable;
	request->request.writable = request->writable;
	request->request.n_writable = n_writable;
	request->request.queue = (uint16_t)queue;
	pthread_mutex_lock(&host->lock);
	LIST_INSERT_HEAD(&host->all, request, all);
	STAILQ_INSERT_TAIL(&host->offered[queue], request, link);
	host->again[queue] = true;
	pthread_mutex_unlock(&host->lock);
	return request;
}

static void wait_for(struct fs_host *host, struct fs_request *request)
{
	pthread_mutex_lock(&host->lock);
	while (!request->done)
		if (!loop_step(host))
			pthread_cond_wait(&host->change, &host->lock);
	pthread_mutex_unlock(&host->lock);
}

struct fs_request *fs_submit(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args,
                             size_t args_len, const void *payload, size_t payload_len, size_t reply_room)
{
	static atomic_uint_fast64_t next_unique = 2;
	const struct fuse_in_header in = {
		.len = (uint32_t)(sizeof in + args_len + payload_len),
		.opcode = opcode,
		.unique = atomic_fetch_add(&next_unique, 2),
		.nodeid = nodeid,
		.uid = client->uid,
		.gid = client->gid,
		.pid = client->pid,
	};
	const struct iovec readable[] = {
		{ (void *)(uintptr_t)&in, sizeof in },
		{ (void *)(uintptr_t)args, args_len },
		{ (void *)(uintptr_t)payload, payload_len },
	};
	const struct iovec writable[] = {
		{ NULL, sizeof(struct fuse_out_header) },
		{ NULL, reply_room },
	};
	const bool forget = opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET;
	const bool high = forget || opcode == FUSE_INTERRUPT;
	struct fs_request *request;
	struct fs_host *host = client->host;
	unsigned queue = my_queue ? my_queue : high ? FS_HIPRIO : 1;

	request = offer(client, queue, readable, 3, writable, forget ? 0 : 2);
	request->unique = in.unique;
	pthread_mutex_lock(&host->lock);
	while (host->again[queue] && loop_step(host))
		;
	pthread_mutex_unlock(&host->lock);
	return request;
}

bool fs_is_done(struct fs_client *client, struct fs_request *request)
{
	bool done;

	pthread_mutex_lock(&client->host->lock);
	loop_step(client->host);
	done = request->done;
	pthread_mutex_unlock(&client->host->lock);
	return done;
}

uint64_t fs_unique(const struct fs_request *request)
{
	return request->unique;
}

static void forget_request(struct fs_client *client, struct fs_request *request)
{
	pthread_mutex_lock(&client->host->lock);
	free_request(request);
	pthread_mutex_unlock(&client->host->lock);
}

int fs_wait(struct fs_client *client, struct fs_request *request, void *reply, size_t reply_room, size_t *reply_len)
{
	const struct capsa_request *r = &request->request;
	struct fuse_out_header out;
	size_t len;

	wait_for(client->host, request);
	if (reply_len)
		*reply_len = 0;
	if (!r->n_writable) {
		forget_request(client, request);
		return 0;
	}
	if (copy(r->writable, r->n_writable, 0, &out, NULL, sizeof out) != sizeof out || out.len != request->written ||
	    out.unique != request->unique || out.error > 0 || out.error <= -512 || (out.error && out.len != sizeof out))
		fail_msg("an answer of %zu bytes says len %u, error %d, unique %ju", request->written, out.len,
		         out.error, (uintmax_t)out.unique);
	len = out.len - sizeof out;
	if (len > reply_room)
		fail_msg("an answer of %zu bytes where %zu were expected", len, reply_room);
	if (len)
		copy(r->writable, r->n_writable, sizeof out, reply, NULL, len);
	if (reply_len)
		*reply_len = len;
	forget_request(client, request);
	return out.error;
}

int fs_call(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
            const void *payload, size_t payload_len, void *reply, size_t reply_room, size_t *reply_len)
{
	struct fs_request *request =
		fs_submit(client, opcode, nodeid, args, args_len, payload, payload_len, reply_room);

	return fs_wait(client, request, reply, reply_room, reply_len);
}

int fs_raw(struct fs_client *client, unsigned queue, const struct iovec *readable, unsigned n_readable,
           const struct iovec *writable, unsigned n_writable, size_t *written)
{
	struct fs_request *request = offer(client, queue, readable, n_readable, writable, n_writable);
	struct fuse_out_header out = { .error = -EBADMSG };

	wait_for(client->host, request);
	for (unsigned i = 0; i < n_writable; i++)
		if (writable[i].iov_base && writable[i].iov_len)
			memcpy(writable[i].iov_base, request->writable[i].iov_base, writable[i].iov_len);
	if (request->written >= sizeof out)
		copy(request->writable, n_writable, 0, &out, NULL, sizeof out);
	if (written)
		*written = request->written;
	forget_request(client, request);
	return out.error;
}

/* A call whose answer has exactly this size. */
static int call_fixed(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
                      const void *payload, size_t payload_len, void *reply, size_t reply_len)
{
	size_t len;
	int r = fs_call(client, opcode, nodeid, args, args_len, payload, payload_len, reply, reply_len, &len);

	if (r == 0 && len != reply_len)
		fail_msg("opcode %u answers %zu bytes, not %zu", opcode, len, reply_len);
	return r;
}

/* ---- operations ---- */

int fs_init(struct fs_client *client, uint32_t minor, uint64_t flags, uint32_t max_readahead)
{
	const struct fuse_init_in in = {
		.major = FUSE_KERNEL_VERSION,
		.minor = minor,
		.max_readahead = max_readahead,
		.flags = (uint32_t)flags,
		.flags2 = (uint32_t)(flags >> 32),
	};

	return call_fixed(client, FUSE_INIT, 0, &in, flags & FUSE_INIT_EXT ? sizeof in : 16, NULL, 0, &client->init,
	                  sizeof client->init);
}

int fs_destroy(struct fs_client *client)
{
	return call_fixed(client, FUSE_DESTROY, 0, NULL, 0, NULL, 0, NULL, 0);
}

/* A call that is answered with an entry. */
static int call_entry(struct fs_client *client, uint32_t opcode, uint64_t nodeid, const void *args, size_t args_len,
                      const void *payload, size_t payload_len, uint64_t *node, struct fuse_entry_out *entry)
{
	struct fuse_entry_out mine;
	int r;

	if (!entry)
		entry = &mine;
	r = call_fixed(client, opcode, nodeid, args, args_len, payload, payload_len, entry, sizeof *entry);
	if (node)
		*node = r == 0 ? entry->nodeid : 0;
	/* An entry without a node says, and lets a guest remember, that there is none of that name. */
	return r == 0 && entry->nodeid == 0 ? -ENOENT : r;
}

int fs_lookup(struct fs_client *client, uint64_t parent, const char *name, uint64_t *node, struct fuse_entry_out *entry)
{
	return call_entry(client, FUSE_LOOKUP, parent, NULL, 0, name, strlen(name) + 1, node, entry);
}

int fs_walk(struct fs_client *client, const char *path, uint64_t *node)
{
	uint64_t at = FUSE_ROOT_ID, next;

	while (*path) {
		char name[256];
		size_t len = strcspn(path, "/");
		int r;

		snprintf(name, sizeof name, "%.*s", (int)len, path);
		r = fs_lookup(client, at, name, &next, NULL);
		if (at != FUSE_ROOT_ID)
			fs_forget(client, at, 1);
		if (r < 0)
			return r;
		at = next;
		path += len;
		path += *path == '/';
	}
	*node = at;
	return 0;
}

void fs_forget(struct fs_client *client, uint64_t node, uint64_t n)
{
	const struct fuse_forget_in in = { .nlookup = n };

	fs_call(client, FUSE_FORGET, node, &in, sizeof in, NULL, 0, NULL, 0, NULL);
}

void fs_batch_forget(struct fs_client *client, const struct fuse_forget_one *ones, unsigned n)
{
	const struct fuse_batch_forget_in in = { .count = n };

	fs_call(client, FUSE_BATCH_FORGET, 0, &in, sizeof in, ones, n * sizeof *ones, NULL, 0, NULL);
}

int fs_getattr(struct fs_client *client, uint64_t node, struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { .getattr_flags = 0 };
	struct fuse_attr_out out;
	int r = call_fixed(client, FUSE_GETATTR, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (r == 0 && attr)
		*attr = out.attr;
	return r;
}

int fs_setattr(struct fs_client *client, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *attr)
{
	struct fuse_attr_out out;
	int r = call_fixed(client, FUSE_SETATTR, node, in, sizeof *in, NULL, 0, &out, sizeof out);

	if (r == 0 && attr)
		*attr = out.attr;
	return r;
}

int fs_chmod(struct fs_client *client, uint64_t node, mode_t mode)
{
	const struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = mode };

	return fs_setattr(client, node, &in, NULL);
}

int fs_chown(struct fs_client *client, uint64_t node, uint32_t uid, uint32_t gid)
{
	const struct fuse_setattr_in in = {
		.valid = (uid != UINT32_MAX ? FATTR_UID : 0u) | (gid != UINT32_MAX ? FATTR_GID : 0u),
		.uid = uid,
		.gid = gid,
	};

	return fs_setattr(client, node, &in, NULL);
}

int fs_truncate(struct fs_client *client, uint64_t node, uint64_t size)
{
	const struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };

	return fs_setattr(client, node, &in, NULL);
}

int fs_access(struct fs_client *client, uint64_t node, uint32_t mask)
{
	const struct fuse_access_in in = { .mask = mask };

	return call_fixed(client, FUSE_ACCESS, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_statfs(struct fs_client *client, struct fuse_kstatfs *st)
{
	struct fuse_statfs_out out;
	int r = call_fixed(client, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, NULL, 0, &out, sizeof out);

	*st = out.st;
	return r;
}

ssize_t fs_readlink(struct fs_client *client, uint64_t node, char *target, size_t size)
{
	size_t len;
	int r = fs_call(client, FUSE_READLINK, node, NULL, 0, NULL, 0, target, size - 1, &len);

	target[len] = '\0';
	return r < 0 ? r : (ssize_t)len;
}

/* name NUL other NUL */
static size_t two_names(char *to, size_t size, const char *name, const char *other)
{
	size_t len = strlen(name) + 1, more = strlen(other) + 1;

	assert_true(len + more <= size);
	memcpy(to, name, len);
	memcpy(to + len, other, more);
	return len + more;
}

int fs_symlink(struct fs_client *client, uint64_t parent, const char *name, const char *target, uint64_t *node)
{
	char text[8192];
	size_t len = two_names(text, sizeof text, name, target);

	return call_entry(client, FUSE_SYMLINK, parent, NULL, 0, text, len, node, NULL);
}

int fs_link(struct fs_client *client, uint64_t node, uint64_t parent, const char *name)
{
	const struct fuse_link_in in = { .oldnodeid = node };

	return call_entry(client, FUSE_LINK, parent, &in, sizeof in, name, strlen(name) + 1, NULL, NULL);
}

int fs_mknod(struct fs_client *client, uint64_t parent, const char *name, mode_t mode, uint32_t rdev, uint64_t *node)
{
	const struct fuse_mknod_in in = { .mode = mode, .rdev = rdev };

	return call_entry(client, FUSE_MKNOD, parent, &in, sizeof in, name, strlen(name) + 1, node, NULL);
}

int fs_mkdir(struct fs_client *client, uint64_t parent, const char *name, mode_t mode, uint64_t *node)
{
	const struct fuse_mkdir_in in = { .mode = mode };

	return call_entry(client, FUSE_MKDIR, parent, &in, sizeof in, name, strlen(name) + 1, node, NULL);
}

int fs_unlink(struct fs_client *client, uint64_t parent, const char *name)
{
	return call_fixed(client, FUSE_UNLINK, parent, NULL, 0, name, strlen(name) + 1, NULL, 0);
}

int fs_rmdir(struct fs_client *client, uint64_t parent, const char *name)
{
	return call_fixed(client, FUSE_RMDIR, parent, NULL, 0, name, strlen(name) + 1, NULL, 0);
}

int fs_rename(struct fs_client *client, uint64_t from, const char *name, uint64_t to, const char *new_name,
              uint32_t flags)
{
	const struct fuse_rename2_in in2 = { .newdir = to, .flags = flags };
	const struct fuse_rename_in in = { .newdir = to };
	char text[8192];
	size_t len = two_names(text, sizeof text, name, new_name);

	if (flags)
		return call_fixed(client, FUSE_RENAME2, from, &in2, sizeof in2, text, len, NULL, 0);
	return call_fixed(client, FUSE_RENAME, from, &in, sizeof in, text, len, NULL, 0);
}

int fs_open(struct fs_client *client, uint64_t node, int flags, uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = (uint32_t)flags };
	struct fuse_open_out out = { .fh = 0 };
	int r = call_fixed(client, FUSE_OPEN, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (fh)
		*fh = out.fh;
	return r;
}

static int create(struct fs_client *client, uint32_t opcode, uint64_t parent, const char *name, int flags, mode_t mode,
                  uint64_t *node, uint64_t *fh)
{
	const struct fuse_create_in in = { .flags = (uint32_t)flags, .mode = mode };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	int r = call_fixed(client, opcode, parent, &in, sizeof in, name, strlen(name) + 1, &out, sizeof out);

	if (node)
		*node = r == 0 ? out.entry.nodeid : 0;
	if (fh)
		*fh = r == 0 ? out.open.fh : 0;
	return r;
}

int fs_create(struct fs_client *client, uint64_t parent, const char *name, int flags, mode_t mode, uint64_t *node,
              uint64_t *fh)
{
	return create(client, FUSE_CREATE, parent, name, flags | O_CREAT, mode | S_IFREG, node, fh);
}

int fs_tmpfile(struct fs_client *client, uint64_t parent, int flags, mode_t mode, uint64_t *node, uint64_t *fh)
{
	/* Linux sends the name "/" here: qstr of an unnamed dentry. */
	return create(client, FUSE_TMPFILE, parent, "/", flags, mode | S_IFREG, node, fh);
}

static int release(struct fs_client *client, uint32_t opcode, uint64_t node, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return call_fixed(client, opcode, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_release(struct fs_client *client, uint64_t node, uint64_t fh)
{
	return release(client, FUSE_RELEASE, node, fh);
}

int fs_flush(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner)
{
	const struct fuse_flush_in in = { .fh = fh, .lock_owner = owner };

	return call_fixed(client, FUSE_FLUSH, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_fsync(struct fs_client *client, uint64_t node, uint64_t fh, bool data_only)
{
	const struct fuse_fsync_in in = { .fh = fh, .fsync_flags = data_only ? FUSE_FSYNC_FDATASYNC : 0 };

	return call_fixed(client, FUSE_FSYNC, node, &in, sizeof in, NULL, 0, NULL, 0);
}

ssize_t fs_read(struct fs_client *client, uint64_t node, uint64_t fh, void *data, size_t len, uint64_t offset)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };
	size_t got;
	int r = fs_call(client, FUSE_READ, node, &in, sizeof in, NULL, 0, data, len, &got);

	return r < 0 ? r : (ssize_t)got;
}

ssize_t fs_write(struct fs_client *client, uint64_t node, uint64_t fh, const void *data, size_t len, uint64_t offset)
{
	const struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };
	struct fuse_write_out out;
	int r = call_fixed(client, FUSE_WRITE, node, &in, sizeof in, data, len, &out, sizeof out);

	return r < 0 ? r : (ssize_t)out.size;
}

int fs_fallocate(struct fs_client *client, uint64_t node, uint64_t fh, uint32_t mode, uint64_t offset, uint64_t len)
{
	const struct fuse_fallocate_in in = { .fh = fh, .offset = offset, .length = len, .mode = mode };

	return call_fixed(client, FUSE_FALLOCATE, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int64_t fs_lseek(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, uint32_t whence)
{
	const struct fuse_lseek_in in = { .fh = fh, .offset = offset, .whence = whence };
	struct fuse_lseek_out out;
	int r = call_fixed(client, FUSE_LSEEK, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	return r < 0 ? r : (int64_t)out.offset;
}

ssize_t fs_copy_file_range(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, uint64_t to_node,
                           uint64_t to_fh, uint64_t to_offset, uint64_t len)
{
	const struct fuse_copy_file_range_in in = {
		.fh_in = fh,
		.off_in = offset,
		.nodeid_out = to_node,
		.fh_out = to_fh,
		.off_out = to_offset,
		.len = len,
	};
	struct fuse_write_out out;
	int r = call_fixed(client, FUSE_COPY_FILE_RANGE, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	return r < 0 ? r : (ssize_t)out.size;
}

int fs_opendir(struct fs_client *client, uint64_t node, uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = O_RDONLY | O_DIRECTORY };
	struct fuse_open_out out = { .fh = 0 };
	int r = call_fixed(client, FUSE_OPENDIR, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (fh)
		*fh = out.fh;
	return r;
}

int fs_releasedir(struct fs_client *client, uint64_t node, uint64_t fh)
{
	return release(client, FUSE_RELEASEDIR, node, fh);
}

ssize_t fs_readdir(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, bool plus, void *data,
                   size_t len)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };
	size_t got;
	int r = fs_call(client, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof in, NULL, 0, data, len, &got);

	return r < 0 ? r : (ssize_t)got;
}

int fs_list(struct fs_client *client, uint64_t node, bool plus,
            void (*call)(void *ctx, const char *name, const struct fuse_dirent *entry), void *ctx)
{
	char *data = malloc(32768);
	uint64_t fh, offset = 0;
	int n = 0, r = fs_opendir(client, node, &fh);

	assert_non_null(data);
	while (r == 0) {
		ssize_t len = fs_readdir(client, node, fh, offset, plus, data, 32768);

		if (len <= 0) {
			r = (int)len;
			break;
		}
		for (ssize_t at = 0; at < len;) {
			const size_t before = plus ? offsetof(struct fuse_direntplus, dirent) : 0;
			struct fuse_dirent entry;
			char name[4096];

			assert_true((size_t)(len - at) >= before + FUSE_NAME_OFFSET);
			memcpy(&entry, data + at + before, FUSE_NAME_OFFSET);
			assert_true(entry.namelen < sizeof name);
			assert_true((size_t)(len - at) >= before + FUSE_NAME_OFFSET + entry.namelen);
			memcpy(name, data + at + before + FUSE_NAME_OFFSET, entry.namelen);
			name[entry.namelen] = '\0';
			if (plus) {
				struct fuse_entry_out known;

				memcpy(&known, data + at, sizeof known);
				if (known.nodeid && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
					fs_forget(client, known.nodeid, 1);
			}
			if (call)
				call(ctx, name, &entry);
			n++;
			offset = entry.off;
			at += (ssize_t)FUSE_DIRENT_ALIGN(before + FUSE_NAME_OFFSET + entry.namelen);
		}
	}
	free(data);
	if (r == 0)
		r = fs_releasedir(client, node, fh);
	return r < 0 ? r : n;
}

/* GETXATTR and LISTXATTR: bytes, or how many there are where size is 0. */
static ssize_t get_list(struct fs_client *client, uint32_t opcode, uint64_t node, const char *name, void *value,
                        size_t size)
{
	const struct fuse_getxattr_in in = { .size = (uint32_t)size };
	struct fuse_getxattr_out out;
	size_t len;
	int r = fs_call(client, opcode, node, &in, sizeof in, name, name ? strlen(name) + 1 : 0, size ? value : &out,
	                size ? size : sizeof out, &len);

	if (r < 0)
		return r;
	if (size)
		return (ssize_t)len;
	assert_int_equal(len, sizeof out);
	return out.size;
}

ssize_t fs_getxattr(struct fs_client *client, uint64_t node, const char *name, void *value, size_t size)
{
	return get_list(client, FUSE_GETXATTR, node, name, value, size);
}

ssize_t fs_listxattr(struct fs_client *client, uint64_t node, char *list, size_t size)
{
	return get_list(client, FUSE_LISTXATTR, node, NULL, list, size);
}

int fs_setxattr(struct fs_client *client, uint64_t node, const char *name, const void *value, size_t size, int flags)
{
	const struct fuse_setxattr_in in = { .size = (uint32_t)size, .flags = (uint32_t)flags };
	size_t name_len = strlen(name) + 1;
	char *payload = malloc(name_len + size);
	int r;

	assert_non_null(payload);
	memcpy(payload, name, name_len);
	if (size)
		memcpy(payload + name_len, value, size);
	r = call_fixed(client, FUSE_SETXATTR, node, &in, FUSE_COMPAT_SETXATTR_IN_SIZE, payload, name_len + size, NULL,
	               0);
	free(payload);
	return r;
}

int fs_removexattr(struct fs_client *client, uint64_t node, const char *name)
{
	return call_fixed(client, FUSE_REMOVEXATTR, node, NULL, 0, name, strlen(name) + 1, NULL, 0);
}

int fs_setlk(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner, const struct fuse_file_lock *lock,
             bool flock, bool wait)
{
	const struct fuse_lk_in in = { .fh = fh, .owner = owner, .lk = *lock, .lk_flags = flock ? FUSE_LK_FLOCK : 0 };

	return call_fixed(client, wait ? FUSE_SETLKW : FUSE_SETLK, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_getlk(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner, struct fuse_file_lock *lock)
{
	const struct fuse_lk_in in = { .fh = fh, .owner = owner, .lk = *lock };
	struct fuse_lk_out out;
	int r = call_fixed(client, FUSE_GETLK, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (r == 0)
		*lock = out.lk;
	return r;
}

int fs_setupmapping(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t file_offset, uint64_t len,
                    uint64_t window_offset, uint64_t flags)
{
	const struct fuse_setupmapping_in in = {
		.fh = fh,
		.foffset = file_offset,
		.len = len,
		.flags = flags,
		.moffset = window_offset,
	};

	return call_fixed(client, FUSE_SETUPMAPPING, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_removemapping(struct fs_client *client, uint64_t window_offset, uint64_t len)
{
	const struct fuse_removemapping_in in = { .count = 1 };
	const struct fuse_removemapping_one one = { .moffset = window_offset, .len = len };

	return call_fixed(client, FUSE_REMOVEMAPPING, 0, &in, sizeof in, &one, sizeof one, NULL, 0);
}

/* ---- the host's side ---- */

void fs_host_file(struct fs_client *client, const char *name, const char *content, mode_t mode)
{
	int fd = openat(client->folder_fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	size_t len = content ? strlen(content) : 0;

	if (fd < 0 || write(fd, content, len) != (ssize_t)len || fchmod(fd, mode) < 0)
		fail_msg("cannot write %s: %s", name, strerror(errno));
	close(fd);
}

void fs_host_has(struct fs_client *client, const char *name, const char *content)
{
	const size_t len = strlen(content);
	char *found = malloc(len + 2);
	int fd = openat(client->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		fail_msg("cannot open %s: %s", name, strerror(errno));
	n = read(fd, found, len + 1);
	if (n != (ssize_t)len || memcmp(found, content, len) != 0)
		fail_msg("%s does not have \"%s\"", name, content);
	close(fd);
	free(found);
}

bool fs_host_exists(struct fs_client *client, const char *name)
{
	struct stat st;

	return fstatat(client->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}
