/* SPDX-License-Identifier: MIT */
/*
 * services-memory.c - shared-memory windows: host mappings that the guest sees as virtio shared memory.
 *
 * Made when realize() has returned, in one piece, and never moved: the machine's memory slots point at them.
 * map and unmap replace pages within a window by MAP_FIXED, which is atomic for the guest; the kernel
 * tells KVM. Pages without a file are anonymous and writable, so that a guest that touches them gets zeros and does
 * not stop the machine; they cost memory up to the window's size. Any thread.
 */
#include "core/plugin/instance.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#define ANONYMOUS (MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)

int instance_map_windows(struct plugin_device *d)
{
	for (unsigned i = 0; i < d->setup.n_shared_memory; i++) {
		void *host = mmap(NULL, d->setup.shared_memory[i].size, PROT_READ | PROT_WRITE, ANONYMOUS, -1, 0);

		if (host == MAP_FAILED)
			return -errno;
		d->windows[i] = host;
		/* Someone's files, not ours: no core dump needs them. */
		madvise(host, d->setup.shared_memory[i].size, MADV_DONTDUMP);
	}
	return 0;
}

void instance_unmap_windows(struct plugin_device *d)
{
	for (unsigned i = 0; i < d->setup.n_shared_memory; i++) {
		if (d->windows[i])
			munmap(d->windows[i], d->setup.shared_memory[i].size);
		d->windows[i] = NULL;
	}
}

/* Where [offset, offset+len) of window `id` lies, or NULL where any of it is outside. */
static void *window_at(const struct plugin_device *d, unsigned id, uint64_t offset, uint64_t len)
{
	const uint64_t page_mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

	if (d->state < INSTANCE_REALIZED || len == 0 || ((offset | len) & page_mask))
		return NULL;
	for (unsigned i = 0; i < d->setup.n_shared_memory; i++) {
		uint64_t size = d->setup.shared_memory[i].size;

		if (d->setup.shared_memory[i].id == id)
			return offset < size && len <= size - offset ? (char *)d->windows[i] + offset : NULL;
	}
	return NULL;
}

int service_shared_memory_map(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len, int prot, int flags,
                              int fd, uint64_t fd_offset)
{
	void *at = window_at(dev->instance, id, offset, len);

	if (!at || (prot & ~(PROT_READ | PROT_WRITE | PROT_EXEC)) || (flags != MAP_SHARED && flags != MAP_PRIVATE) ||
	    fd_offset > INT64_MAX - len)
		return -EINVAL;
	return mmap(at, len, prot, flags | MAP_FIXED, fd, (off_t)fd_offset) == MAP_FAILED ? -errno : 0;
}

int service_shared_memory_unmap(struct capsa_device *dev, unsigned id, uint64_t offset, uint64_t len)
{
	void *at = window_at(dev->instance, id, offset, len);

	if (!at)
		return -EINVAL;
	return mmap(at, len, PROT_READ | PROT_WRITE, ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -errno : 0;
}
