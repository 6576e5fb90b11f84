/* SPDX-License-Identifier: MIT */
/*
 * memory.h - the guest's physical memory, as capsa sees it.
 *
 * RAM lies from 0 to at most 3 GiB (MEMORY_HOLE_START) and goes on at 4 GiB. Independent
 * of KVM: machine.c registers the ranges as slots, tests use it without a machine. Any
 * thread may translate; nothing changes once the machine runs, but where windows lie.
 *
 * A window is memory of a device (virtio shared memory: files). A guest may hand a buffer in it to another device, as
 * who reads from a disk into a mapped file does, so that buffers are looked for there too (memory_buffer_at()).
 * Nothing else is: rings and tables lie in RAM.
 */
#ifndef CAPSA_MACHINE_MEMORY_H
#define CAPSA_MACHINE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define MEMORY_HOLE_START 0xc0000000ull /* end of low memory: 3 GiB */
#define MEMORY_HOLE_END 0x100000000ull  /* 4 GiB */

struct memory_range {
	uint64_t start; /* guest physical */
	uint64_t size;  /* bytes */
	uint8_t *host;  /* where it is mapped */
};

#define MEMORY_MAX_WINDOWS 32u

struct memory_window {
	_Atomic uint64_t start; /* guest physical; 0: nowhere now */
	uint64_t size;          /* bytes */
	uint8_t *host;
};

struct memory {
	struct memory_range ranges[2]; /* RAM: low, and high where there is one */
	unsigned n_ranges;
	uint64_t size; /* of all RAM */
	bool shared;
	int fd; /* the memfd of shared memory, else -1 */
	struct memory_window windows[MEMORY_MAX_WINDOWS];
	unsigned n_windows;
};

/*
 * Fills size and ranges as a machine with `size` bytes has them, with nothing mapped: to find out what would fit.
 */
void memory_layout(uint64_t size, struct memory *out);

/*
 * Maps `size` bytes of RAM (a multiple of the page size), zeroed, huge-page backed where the
 * host has them, left out of core dumps. 0 or -errno with err. memory_destroy() frees.
 */
int memory_create(uint64_t size, bool shared, struct memory **out, struct error *err);
void memory_destroy(struct memory *memory);

/*
 * Translates guest [gpa, gpa+len): the host address, or NULL where any byte of it is no RAM.
 * Any thread.
 */
static inline void *memory_at(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < memory->n_ranges; i++) {
		const struct memory_range *r = &memory->ranges[i];
		uint64_t offset = gpa - r->start;

		if (offset < r->size && len <= r->size - offset)
			return r->host + offset;
	}
	return NULL;
}

/*
 * Adds a window of `size` bytes, mapped at `host` by its owner for as long as memory is there. Before the machine runs.
 * Its number, which counts from 0, or -ENOSPC.
 */
int memory_window_add(struct memory *memory, uint64_t gpa, uint64_t size, void *host);
/* Moves it (gpa 0: nowhere). A translation that runs meanwhile finds it at either place. Any thread. */
void memory_window_move(struct memory *memory, unsigned window, uint64_t gpa);

/* As memory_at(), for what a device reads or writes: also in a window. */
static inline void *memory_buffer_at(const struct memory *memory, uint64_t gpa, uint64_t len)
{
	void *at = memory_at(memory, gpa, len);

	for (unsigned i = 0; !at && i < memory->n_windows; i++) {
		const struct memory_window *w = &memory->windows[i];
		uint64_t start = atomic_load_explicit(&w->start, memory_order_relaxed), offset = gpa - start;

		if (start && offset < w->size && len <= w->size - offset)
			at = w->host + offset;
	}
	return at;
}

/*
 * Replaces guest pages [gpa, gpa+len) by a private mapping of the file (copy on write). All
 * page aligned. -EINVAL where the range is no RAM or memory is shared. Before the machine runs.
 */
int memory_map_file(struct memory *memory, uint64_t gpa, uint64_t len, int fd, uint64_t offset);

#endif
