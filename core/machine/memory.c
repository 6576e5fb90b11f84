/* SPDX-License-Identifier: MIT */
/*
 * memory.c - see memory.h. Called by core/vm while the machine is built, and at its end.
 *
 * Theory of operation: each range is one mapping, reserved without swap accounting, so that
 * a large machine costs nothing until its guest touches the pages. A range starts on a 2 MiB
 * boundary of the host; as its guest-physical start does too, a huge page of the host can
 * back a huge page of the nested page tables. Shared memory is one memfd that holds the
 * ranges one behind the other, sealed against shrinking: a peer that holds the descriptor
 * cannot truncate it and so kill capsa with SIGBUS.
 */

#include "core/machine/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE (2ull << 20)

/* As far as any x86_64 processor's physical addresses go. */
#define SIZE_LIMIT (1ull << 52)

static uint64_t page_size(void)
{
	return (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Hints only: a host without huge pages or without core dumps refuses them, and all works. */
static void advise(void *at, size_t size)
{
	(void)madvise(at, size, MADV_HUGEPAGE);
	(void)madvise(at, size, MADV_DONTDUMP);
	/* A process that a plugin begins (a cluster's guardian) has no part of it. */
	(void)madvise(at, size, MADV_DONTFORK);
}

/* Maps the range on a 2 MiB boundary: reserves 2 MiB more than needed and gives the ends back. */
static int range_map(struct memory_range *range, int fd, uint64_t offset)
{
	size_t size = (size_t)range->size, room = size + HUGE_PAGE, head;
	uint8_t *area, *at;

	area = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return -errno;
	head = (size_t)(-(uintptr_t)area & (HUGE_PAGE - 1));
	at = mmap(area + head, size, PROT_READ | PROT_WRITE,
	          MAP_FIXED | MAP_NORESERVE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED), fd, (off_t)offset);
	if (at == MAP_FAILED) {
		int rc = -errno;

		munmap(area, room);
		return rc;
	}
	if (head)
		munmap(area, head);
	munmap(at + size, HUGE_PAGE - head);
	advise(at, size);
	range->host = at;
	return 0;
}

static int shared_open(uint64_t size)
{
	int fd = memfd_create("capsa-memory", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

void memory_layout(uint64_t size, struct memory *out)
{
	*out = (struct memory){ .size = size, .n_ranges = 1, .fd = -1 };
	out->ranges[0].size = size < MEMORY_HOLE_START ? size : MEMORY_HOLE_START;
	if (size > MEMORY_HOLE_START) {
		out->ranges[1] = (struct memory_range){ .start = MEMORY_HOLE_END, .size = size - MEMORY_HOLE_START };
		out->n_ranges = 2;
	}
}

int memory_create(uint64_t size, bool shared, struct memory **out, struct error *err)
{
	struct memory *memory;
	uint64_t offset = 0;
	int rc;

	*out = NULL;
	if (!size || size % page_size() || size > SIZE_LIMIT)
		return error_set(err, EINVAL, "a machine cannot have %llu bytes of memory; give a multiple of 4K",
		                 (unsigned long long)size);
	memory = calloc(1, sizeof *memory);
	if (!memory)
		return error_set(err, ENOMEM, "out of memory");
	memory_layout(size, memory);
	memory->shared = shared;

	if (shared) {
		rc = shared_open(size);
		if (rc < 0)
			goto fail;
		memory->fd = rc;
	}
	for (unsigned i = 0; i < memory->n_ranges; i++) {
		rc = range_map(&memory->ranges[i], memory->fd, offset);
		if (rc)
			goto fail;
		offset += memory->ranges[i].size;
	}
	*out = memory;
	return 0;
fail:
	memory_destroy(memory);
	return error_set(err, -rc,
	                 "cannot map %llu MiB of memory for the machine: %s; give it less, "
	                 "or raise the limits (ulimit -v, vm.overcommit_memory)",
	                 (unsigned long long)(size >> 20), strerror(-rc));
}

void memory_destroy(struct memory *memory)
{
	if (!memory)
		return;
	for (unsigned i = 0; i < memory->n_ranges; i++) {
		if (memory->ranges[i].host)
			munmap(memory->ranges[i].host, (size_t)memory->ranges[i].size);
	}
	if (memory->fd >= 0)
		close(memory->fd);
	free(memory);
}

int memory_window_add(struct memory *memory, uint64_t gpa, uint64_t size, void *host)
{
	struct memory_window *window = &memory->windows[memory->n_windows];

	if (memory->n_windows == MEMORY_MAX_WINDOWS)
		return -ENOSPC;
	window->size = size;
	window->host = host;
	atomic_store(&window->start, gpa);
	return (int)memory->n_windows++;
}

void memory_window_move(struct memory *memory, unsigned window, uint64_t gpa)
{
	atomic_store(&memory->windows[window].start, gpa);
}

int memory_map_file(struct memory *memory, uint64_t gpa, uint64_t len, int fd, uint64_t offset)
{
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_FIXED | MAP_PRIVATE | MAP_NORESERVE;
	uint8_t *at = memory_at(memory, gpa, len);
	int rc;

	if (!at || !len || memory->shared || (gpa | len | offset) % page_size() || offset > INT64_MAX - len)
		return -EINVAL;
	if (mmap(at, (size_t)len, prot, flags, fd, (off_t)offset) == MAP_FAILED) {
		rc = -errno;
		/* A refused mapping may have taken the old one away already: give the guest zeroed RAM again. */
		if (mmap(at, (size_t)len, prot, flags | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
			return -ENOMEM;
		advise(at, (size_t)len);
		return rc;
	}
	(void)madvise(at, (size_t)len, MADV_DONTDUMP);
	(void)madvise(at, (size_t)len, MADV_DONTFORK);
	return 0;
}
