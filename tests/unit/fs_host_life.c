/* SPDX-License-Identifier: MIT */
/*
 * fs_host_life.c - a client and the host that its plugin runs on, from create to destroy, with all that a test would
 * otherwise leave behind; see fs_client.h, "life".
 */
#include "tests/unit/fs_host.h"

#include <poll.h>
#include <sys/mman.h>

#include "core/base/path.h"
#include "tests/unit/descriptors.h"

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
	for (unsigned i = 0; i < FS_HOST_QUEUES; i++)
		STAILQ_INIT(&host->offered[i]);
	STAILQ_INIT(&host->jobs);
	STAILQ_INIT(&host->finished);
	make_folder(client, folder);
	host->descriptors = open_descriptors();
	host->plugin = capsa_plugin_entry();
	host->self = host->plugin->create(&fs_host_services, &host->dev);
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
		assert_int_equal(pthread_create(&host->threads[host->n_threads], NULL, fs_host_worker, host), 0);
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
		fs_host_free(host, request);
	for (unsigned i = 0; i < FS_HOST_QUEUES; i++) {
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
	while (fs_host_step(host))
		;
	pthread_mutex_unlock(&host->lock);
	assert_int_equal(host->n_jobs, 0);
}

void fs_end(struct fs_client *client)
{
	struct fs_host *host = client->host;
	struct capsa_deferred *deferred;
	unsigned left;

	fs_host_be_loop(0);
	reset(host);
	if (host->state == STARTED && host->plugin->stop)
		host->plugin->stop(host->self);
	end_jobs(host);
	host->plugin->destroy(host->self);
	while ((deferred = LIST_FIRST(&host->deferreds)))
		fs_host_services.deferred_remove(deferred);
	if (client->window)
		munmap(client->window, client->window_size);
	keys_free(&host->values);
	config_free(host->config);
	left = open_descriptors();
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
	fs_host_be_loop(queue);
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
	return __atomic_load_n(fs_host_services.counter(&client->host->dev, name, NULL), __ATOMIC_RELAXED);
}
