/* SPDX-License-Identifier: MIT */
/*
 * bus.c - see bus.h. One array of regions for each address space, sorted by start; they never overlap, so a
 * binary search finds the only one that can own an address. Owns the array, not the handlers' contexts.
 *
 * Called by vCPU threads at each exit (look-up: shared lock) and by pci-bar.c (changes: exclusive lock).
 * The region found is copied out, so its handler runs without the lock and may itself change the bus.
 */
#include "core/machine/bus.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct region {
	uint64_t start, size;
	const struct bus_handler *handler;
	void *ctx;
};

struct bus {
	pthread_rwlock_t lock;
	struct region *regions;
	size_t n, room;
};

int bus_create(struct bus **out)
{
	struct bus *bus = calloc(1, sizeof *bus);

	if (bus == NULL)
		return -ENOMEM;
	pthread_rwlock_init(&bus->lock, NULL);
	*out = bus;
	return 0;
}

void bus_destroy(struct bus *bus)
{
	if (bus == NULL)
		return;
	pthread_rwlock_destroy(&bus->lock);
	free(bus->regions);
	free(bus);
}

/* The index of the first region that starts above `addr`: the one before it is the candidate. */
static size_t first_above(const struct bus *bus, uint64_t addr)
{
	size_t low = 0, high = bus->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (bus->regions[middle].start > addr)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static int make_room(struct bus *bus)
{
	size_t room = bus->room ? bus->room * 2 : 16;
	struct region *regions;

	if (bus->n < bus->room)
		return 0;
	regions = reallocarray(bus->regions, room, sizeof *regions);
	if (regions == NULL)
		return -ENOMEM;
	bus->regions = regions;
	bus->room = room;
	return 0;
}

int bus_add(struct bus *bus, uint64_t start, uint64_t size, const struct bus_handler *handler, void *ctx)
{
	size_t at;
	int ret;

	if (size == 0 || size > UINT64_MAX - start)
		return -EINVAL;
	pthread_rwlock_wrlock(&bus->lock);
	at = first_above(bus, start);
	ret = -EEXIST;
	if (at > 0 && start - bus->regions[at - 1].start < bus->regions[at - 1].size)
		goto out;
	if (at < bus->n && bus->regions[at].start - start < size)
		goto out;
	ret = make_room(bus);
	if (ret < 0)
		goto out;
	memmove(&bus->regions[at + 1], &bus->regions[at], (bus->n - at) * sizeof *bus->regions);
	bus->regions[at] = (struct region){ .start = start, .size = size, .handler = handler, .ctx = ctx };
	bus->n++;
out:
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

int bus_remove(struct bus *bus, uint64_t start)
{
	int ret = -ENOENT;
	size_t at;

	pthread_rwlock_wrlock(&bus->lock);
	at = first_above(bus, start);
	if (at > 0 && bus->regions[at - 1].start == start) {
		memmove(&bus->regions[at - 1], &bus->regions[at], (bus->n - at) * sizeof *bus->regions);
		bus->n--;
		ret = 0;
	}
	pthread_rwlock_unlock(&bus->lock);
	return ret;
}

static bool bus_find(struct bus *bus, uint64_t addr, unsigned len, struct region *out)
{
	bool found = false;
	size_t at;

	if (len != 1 && len != 2 && len != 4 && len != 8)
		return false;
	pthread_rwlock_rdlock(&bus->lock);
	at = first_above(bus, addr);
	if (at > 0) {
		const struct region *region = &bus->regions[at - 1];
		uint64_t offset = addr - region->start;

		if (offset < region->size && len <= region->size - offset) {
			*out = *region;
			found = true;
		}
	}
	pthread_rwlock_unlock(&bus->lock);
	return found;
}

static uint64_t all_ones(unsigned len)
{
	return len >= 8 ? UINT64_MAX : (UINT64_C(1) << (8 * len)) - 1;
}

bool bus_read(struct bus *bus, uint64_t addr, unsigned len, uint64_t *value)
{
	struct region region;

	if (!bus_find(bus, addr, len, &region)) {
		*value = all_ones(len);
		return false;
	}
	*value = region.handler->read(region.ctx, addr - region.start, len) & all_ones(len);
	return true;
}

bool bus_write(struct bus *bus, uint64_t addr, unsigned len, uint64_t value)
{
	struct region region;

	if (!bus_find(bus, addr, len, &region))
		return false;
	region.handler->write(region.ctx, addr - region.start, len, value & all_ones(len));
	return true;
}
