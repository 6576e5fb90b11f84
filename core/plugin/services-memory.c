/* SPDX-License-Identifier: MIT */
/*
 * services-memory.c - shared-memory windows: host mappings that the guest sees as virtio shared memory.
 *
 * Made when realize() has returned, in one piece, and never moved: the machine's memory slots point at them.
 * map and unmap replace pages within a window by MAP_FIXED, which is atomic for the guest; the kernel
 * tells KVM. Pages without a file are anonymous and writable, so that a guest that touches them gets zeros and does
 * not stop the machine; they cost memory up to the window's size. Any thread.
 *
 * FAULTS. Somebody may truncate a file whose pages the guest has in its window. Each window is guarded
 * (core/base/page-guard.h): pages that have nothing behind them become anonymous ones, on whatever thread that shows,
 * and the eventfd wakes the home loop, which counts, says so at most once a minute, and tells the plugin.
 */
#include "core/plugin/instance.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/timeline.h"

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
#define READ_AND_WRITE (PROT_READ | PROT_WRITE)

/* In one turn of the loop. */
#define MAX_FAULTS_TOLD 64u
#define FAULT_LINE_EVERY (60 * 1000000000ll) /* ns */

/* ---- faults: home loop ---- */

static void tell_user(struct plugin_device *d)
{
	int64_t now = timeline_now();

	if (d->fault_told_at && now - d->fault_told_at < FAULT_LINE_EVERY)
		return;
	d->fault_told_at = now;
	log_warning(
		"%s: a file in its shared memory is shorter than it was, or cannot be read or written; the guest has "
		"zeros there",
		d->name);
}

/* Tells of faults in window i, of at most `budget`; how many there were. */
static unsigned tell_plugin(struct plugin_device *d, unsigned i, unsigned budget)
{
	unsigned n = 0;
	size_t offset, len;

	for (; n < budget && page_guard_take(d->guards[i], &offset, &len); n++) {
		__atomic_fetch_add(d->faults, len / (size_t)sysconf(_SC_PAGESIZE), __ATOMIC_RELAXED);
		if (d->info->shared_memory_fault)
			d->info->shared_memory_fault(d->self, d->setup.shared_memory[i].id, offset, len);
	}
	return n;
}

static void pages_replaced(void *ctx, int fd, unsigned events)
{
	struct plugin_device *d = ctx;
	uint64_t count = 1;
	unsigned n = 0;

	(void)events;
	if (read(fd, &count, sizeof count) < 0)
		return;
	for (unsigned i = 0; i < d->setup.n_shared_memory; i++)
		n += tell_plugin(d, i, MAX_FAULTS_TOLD - n);
	if (n > 0)
		tell_user(d);
	if (n == MAX_FAULTS_TOLD && write(fd, &count, sizeof count) < 0)
		return; /* the counter is full: there is another turn */
}

/* ---- the windows ---- */

/* Someone's files, or nothing: no core dump needs them. */
static void leave_out_of_dumps(void *at, uint64_t len)
{
	(void)madvise(at, len, MADV_DONTDUMP);
}

static int window_map(struct plugin_device *d, unsigned i)
{
	const uint64_t size = d->setup.shared_memory[i].size;
	void *host = mmap(NULL, size, READ_AND_WRITE, ANONYMOUS, -1, 0);

	if (host == MAP_FAILED)
		return -errno;
	d->windows[i] = host;
	leave_out_of_dumps(host, size);
	return page_guard_new(host, size, d->fault_fd, &d->guards[i]);
}

int instance_map_windows(struct plugin_device *d)
{
	int r = 0;

	if (d->setup.n_shared_memory == 0)
		return 0;
	d->faults = service_counter(&d->handle, "shared_memory_fault_pages",
	                            "Pages of its shared memory that had no file behind them when they were touched");
	if (!d->faults)
		return -ENOMEM;
	d->fault_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->fault_fd < 0)
		return -errno;
	for (unsigned i = 0; r == 0 && i < d->setup.n_shared_memory; i++)
		r = window_map(d, i);
	if (r < 0)
		return r;
	d->fault_watch = reactor_watch_add(d->home, d->fault_fd, REACTOR_READ, pages_replaced, d);
	return d->fault_watch ? 0 : -ENOMEM;
}

void instance_silence_windows(struct plugin_device *d)
{
	if (d->fault_watch)
		reactor_watch_remove(d->fault_watch);
	d->fault_watch = NULL;
}

void instance_unmap_windows(struct plugin_device *d)
{
	for (unsigned i = 0; i < d->setup.n_shared_memory; i++) {
		page_guard_free(d->guards[i]);
		d->guards[i] = NULL;
		if (d->windows[i])
			munmap(d->windows[i], d->setup.shared_memory[i].size);
		d->windows[i] = NULL;
	}
	if (d->fault_fd >= 0)
		close(d->fault_fd);
	d->fault_fd = -1;
}

/* ---- services ---- */

/* Where [offset, offset+len) of window `id` lies, and the window's index; NULL where any of it is outside. */
static void *window_at(const struct plugin_device *d, unsigned id, uint64_t offset, uint64_t len, unsigned *index)
{
	const uint64_t page_mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

	if (d->state < INSTANCE_REALIZED || len == 0 || ((offset | len) & page_mask))
		return NULL;
	for (unsigned i = 0; i < d->setup.n_shared_memory; i++) {
		uint64_t size = d->setup.shared_memory[i].size;

		*index = i;
		if (d->setup.shared_memory[i].id == id)
			return offset < size && len <= size - offset ? (char *)d->windows[i] + offset : NULL;
	}
	return NULL;
}

static int map_anonymous(void *at, uint64_t len)
{
	if (mmap(at, len, READ_AND_WRITE, ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return -errno;
	leave_out_of_dumps(at, len);
	return 0;
}

int service_shared_memory_map(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len, int prot, int flags,
                              int fd, uint64_t fd_offset)
{
	struct plugin_device *d = dev->instance;
	unsigned i;
	void *at = window_at(d, id, offset, len, &i);
	int r;

	/* A page that cannot be written to would be a fault for ever, and the end of the machine. */
	if (!at || (prot & READ_AND_WRITE) != READ_AND_WRITE || (prot & ~(READ_AND_WRITE | PROT_EXEC)) ||
	    (flags != MAP_SHARED && flags != MAP_PRIVATE) || fd_offset > INT64_MAX - len)
		return -EINVAL;
	page_guard_note(d->guards[i], offset, len, flags == MAP_SHARED ? PAGE_GUARD_SHARED : PAGE_GUARD_PRIVATE);
	if (mmap(at, len, prot, flags | MAP_FIXED, fd, (off_t)fd_offset) != MAP_FAILED) {
		leave_out_of_dumps(at, len);
		return 0;
	}
	r = -errno;
	/* A refused mapping may have taken the old one away already. */
	if (r != -EBADF && r != -EACCES)
		map_anonymous(at, len);
	return r;
}

int service_shared_memory_unmap(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len)
{
	struct plugin_device *d = dev->instance;
	unsigned i;
	void *at = window_at(d, id, offset, len, &i);
	int r;

	if (!at)
		return -EINVAL;
	r = map_anonymous(at, len);
	if (r == 0)
		page_guard_note(d->guards[i], offset, len, PAGE_GUARD_NO_FILE);
	return r;
}
