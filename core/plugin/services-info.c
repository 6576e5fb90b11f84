/* SPDX-License-Identifier: MIT */
/*
 * services-info.c - the host services info_*(): what a plugin tells in info() becomes a tree of values.
 *
 * Called by plugins inside of info(); instance_info_begin() and _end() by device.c around it. A tree of values and no
 * JSON, as the machine's own process reads it, too, at a start, when libjansson is not loaded.
 *
 * THEORY OF OPERATION. What is open is a stack of levels, each with a growing list of its values; closing one copies
 * the list into the arena, as one value of the level below. What does not fit (INFO_MAX bytes, INFO_DEPTH levels), or
 * has no name that is one, is left out with all that is inside.
 */
#include "core/plugin/instance.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

#define INFO_MAX (4u << 20)
#define INFO_DEPTH 16u

struct level {
	const char *name;
	bool list;
	struct capsa_value *items;
	size_t n, room;
};

struct info_collector {
	struct arena *arena;
	size_t bytes;
	struct level levels[INFO_DEPTH];
	unsigned depth;   /* of levels[] that are open; the first is the whole */
	unsigned ignored; /* of those that were begun inside and left out */
	bool blamed;
};

static bool name_valid(const char *name)
{
	size_t len = name ? strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") : 0;

	return len && len <= 64 && !name[len] && name[0] >= 'a' && name[0] <= 'z';
}

/* Whether there may be one more value called `key`, of `size` bytes; *name gets what it is called. */
static bool begin_value(struct plugin_device *d, const char *key, size_t size, const char **name)
{
	struct info_collector *info = d->informing;
	const struct level *level;

	if (!info || info->ignored)
		return false;
	level = &info->levels[info->depth - 1];
	*name = NULL;
	if (!level->list && !name_valid(key)) {
		if (!info->blamed)
			log_error("%s: a fault of the plugin %s: \"%.80s\" is no name for what it tells (snake_case)",
			          d->name, d->info->name, key ? key : "");
		info->blamed = true;
		return false;
	}
	size += sizeof(struct capsa_value) + (level->list ? 0 : strlen(key) + 1);
	if (size > INFO_MAX - info->bytes)
		return false;
	if (!level->list) {
		*name = arena_strdup(info->arena, key);
		if (!*name)
			return false;
	}
	info->bytes += size;
	return true;
}

static void append(struct info_collector *info, const struct capsa_value *value)
{
	struct level *level = &info->levels[info->depth - 1];
	size_t room = level->room ? 2 * level->room : 16;
	struct capsa_value *items;

	if (level->n == level->room) {
		items = reallocarray(level->items, room, sizeof *items);
		if (!items)
			return;
		level->items = items;
		level->room = room;
	}
	level->items[level->n++] = *value;
}

void service_info_number(struct capsa_device *dev, const char *key, uint64_t value)
{
	const char *name;

	if (begin_value(dev->instance, key, 0, &name))
		append(dev->instance->informing,
		       &(struct capsa_value){ .type = CAPSA_TYPE_INT,
		                              .name = name,
		                              .integer = value > INT64_MAX ? INT64_MAX : (int64_t)value });
}

void service_info_text(struct capsa_device *dev, const char *key, const char *text)
{
	struct info_collector *info = dev->instance->informing;
	const char *name, *copy;

	if (!text || !begin_value(dev->instance, key, strlen(text) + 1, &name))
		return;
	copy = arena_strdup(info->arena, text);
	if (copy)
		append(info, &(struct capsa_value){ .type = CAPSA_TYPE_STRING, .name = name, .string = copy });
}

void service_info_begin(struct capsa_device *dev, const char *key, bool list)
{
	struct info_collector *info = dev->instance->informing;
	const char *name;

	if (!info)
		return;
	if (info->depth == INFO_DEPTH || !begin_value(dev->instance, key, 0, &name))
		info->ignored++;
	else
		info->levels[info->depth++] = (struct level){ .name = name, .list = list };
}

/* The value that the innermost level is; its list goes. */
static struct capsa_value close_level(struct info_collector *info)
{
	struct level *level = &info->levels[--info->depth];
	struct capsa_value value = { .type = level->list ? CAPSA_TYPE_LIST : CAPSA_TYPE_GROUP, .name = level->name };
	struct capsa_value *items = level->n ? arena_alloc(info->arena, level->n, sizeof *items) : NULL;

	if (items) {
		memcpy(items, level->items, level->n * sizeof *items);
		value.items = items;
		value.n_items = level->n;
	}
	free(level->items);
	*level = (struct level){ .name = NULL };
	return value;
}

void service_info_end(struct capsa_device *dev)
{
	struct info_collector *info = dev->instance->informing;
	struct capsa_value value;

	if (!info)
		return;
	if (info->ignored) {
		info->ignored--;
	} else if (info->depth > 1) {
		value = close_level(info);
		append(info, &value);
	}
}

bool instance_info_begin(struct plugin_device *d, struct arena *arena)
{
	d->informing = calloc(1, sizeof *d->informing);
	if (!d->informing)
		return false;
	d->informing->arena = arena;
	d->informing->levels[0] = (struct level){ .list = false };
	d->informing->depth = 1;
	return true;
}

struct capsa_value instance_info_end(struct plugin_device *d)
{
	struct info_collector *info = d->informing;
	struct capsa_value value;

	/* What was not closed is left out. */
	while (info->depth > 1)
		close_level(info);
	value = close_level(info);
	free(info);
	d->informing = NULL;
	return value;
}
