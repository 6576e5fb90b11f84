/* SPDX-License-Identifier: MIT */
/* window.c - see window.h: the plugin "window". Its answers are how many pages it was told to have been without a file.
 */
#include "capsa-plugin.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/hostile/window.h"

#define PAGE 4096u

struct window {
	const struct capsa_host *host;
	struct capsa_device *dev;
	const char *path;
	int fd, watch_fd; /* the file, inotify(7) */
	bool watches;
	uint32_t faults;
};

static const struct capsa_key keys[] = {
	{ .name = "file", .type = CAPSA_TYPE_PATH, .required = true, .help = "is made anew" },
	{ .name = NULL },
};

static void *window_create(const struct capsa_host *host, struct capsa_device *dev)
{
	struct window *w = calloc(1, sizeof *w);

	if (!w) {
		host->error(dev, "no memory");
		return NULL;
	}
	*w = (struct window){ .host = host, .dev = dev, .fd = -1, .watch_fd = -1 };
	return w;
}

static int window_config(void *self, const struct capsa_value *values, size_t n_values)
{
	struct window *w = self;

	(void)n_values;
	w->path = values[0].string;
	return 0;
}

/* Every page begins with its number, plus 1. */
static int fill(struct window *w)
{
	if (ftruncate(w->fd, (off_t)WINDOW_FILE_PAGES * PAGE) < 0)
		return -errno;
	for (uint32_t i = 0; i < WINDOW_FILE_PAGES; i++) {
		const uint32_t number = i + 1;

		if (pwrite(w->fd, &number, sizeof number, (off_t)i * PAGE) != sizeof number)
			return -EIO;
	}
	return w->host->shared_memory_map(w->dev, 0, 0, WINDOW_FILE_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
	                                  w->fd, 0);
}

static int window_realize(void *self, struct capsa_setup *setup)
{
	struct window *w = self;

	w->fd = open(w->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	w->watch_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (w->fd < 0 || inotify_add_watch(w->watch_fd, w->path, IN_MODIFY) < 0) {
		w->host->error(w->dev, "%s: %s", w->path, strerror(errno));
		return -1;
	}
	setup->n_queues = 1;
	setup->queues[0].size = 16;
	setup->n_shared_memory = 1;
	setup->shared_memory[0].size = WINDOW_SIZE;
	return 0;
}

/* What a device does that cares: KVM may try for ever to fetch a page that is gone, and tell nobody. */
static void file_modified(void *ctx, int fd, unsigned events)
{
	struct window *w = ctx;
	struct inotify_event event;
	struct stat now;
	uint64_t end;

	(void)events;
	while (read(fd, &event, sizeof event) > 0)
		;
	if (!w->watches || fstat(w->fd, &now) < 0)
		return;
	end = ((uint64_t)now.st_size + PAGE - 1) / PAGE * PAGE;
	if (end < WINDOW_FILE_PAGES * PAGE)
		w->host->shared_memory_unmap(w->dev, 0, end, WINDOW_FILE_PAGES * PAGE - end);
}

static int window_start(void *self)
{
	struct window *w = self;

	if (!w->host->watch_add(w->dev, w->watch_fd, CAPSA_WATCH_READ, file_modified, w) || fill(w) < 0) {
		w->host->error(w->dev, "no window");
		return -1;
	}
	return 0;
}

static int window_activate(void *self, uint64_t features)
{
	(void)self, (void)features;
	return 0;
}

static void window_queue_notify(void *self, unsigned queue)
{
	struct window *w = self;
	struct capsa_request *request;

	while ((request = w->host->queue_pop(w->dev, queue))) {
		struct window_request asked = { 0 };

		w->host->request_read(request, 0, &asked, sizeof asked);
		w->watches = asked.watch;
		if ((asked.map && fill(w) < 0) ||
		    (asked.pages <= WINDOW_FILE_PAGES && ftruncate(w->fd, (off_t)asked.pages * PAGE) < 0))
			w->host->broken(w->dev, "no file");
		w->host->queue_complete(w->dev, request,
		                        w->host->request_write(request, 0, &w->faults, sizeof w->faults));
	}
}

static void window_shared_memory_fault(void *self, unsigned id, uint64_t offset, uint64_t len)
{
	struct window *w = self;

	(void)id, (void)offset;
	w->faults += (uint32_t)(len / PAGE);
}

static void window_reset(void *self)
{
	(void)self;
}

static void window_destroy(void *self)
{
	struct window *w = self;

	if (w->fd >= 0)
		close(w->fd);
	if (w->watch_fd >= 0)
		close(w->watch_fd);
	free(w);
}

const struct capsa_plugin *capsa_plugin_entry(void)
{
	static const struct capsa_plugin plugin = {
		CAPSA_PLUGIN_HEADER,
		.name = "window",
		.version = "1",
		.description = "a file in shared memory, which its guest can have cut short",
		.virtio_device_id = VIRTIO_ID_FS,
		.keys = keys,
		.create = window_create,
		.config = window_config,
		.realize = window_realize,
		.start = window_start,
		.activate = window_activate,
		.queue_notify = window_queue_notify,
		.reset = window_reset,
		.destroy = window_destroy,
		.shared_memory_fault = window_shared_memory_fault,
	};

	return &plugin;
}
