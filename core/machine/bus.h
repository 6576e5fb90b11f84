/* SPDX-License-Identifier: MIT */
/*
 * bus.h - which handler owns an address of the guest's port or MMIO space.
 *
 * Looked up by vCPU threads at each exit, changed by them when the guest moves a BAR: a lock
 * inside, held for the look-up only. A handler runs on the vCPU's thread without that lock;
 * bus_remove() does not wait for it, so what a handler uses lives as long as the machine.
 */
#ifndef CAPSA_MACHINE_BUS_H
#define CAPSA_MACHINE_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct bus;

/*
 * `offset` is relative to the region; len is 1, 2, 4 or 8 and lies within it. Values are little-endian
 * numbers.
 */
struct bus_handler {
	uint64_t (*read)(void *ctx, uint64_t offset, unsigned len);
	void (*write)(void *ctx, uint64_t offset, unsigned len, uint64_t value);
};

int bus_create(struct bus **out);
void bus_destroy(struct bus *bus);

/* Adds [start, start+size). -EEXIST where it overlaps, -ENOMEM, -EINVAL (empty or wraps). Any thread. */
int bus_add(struct bus *bus, uint64_t start, uint64_t size, const struct bus_handler *handler, void *ctx);
/* Removes the region that begins at start. -ENOENT. Any thread. */
int bus_remove(struct bus *bus, uint64_t start);

/* Reads of nobody's address give all ones, writes go nowhere; both return false then. Any thread. */
bool bus_read(struct bus *bus, uint64_t addr, unsigned len, uint64_t *value);
bool bus_write(struct bus *bus, uint64_t addr, unsigned len, uint64_t value);

#endif
