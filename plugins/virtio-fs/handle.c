/* SPDX-License-Identifier: MIT */
/*
 * handle.c - the table of what the guest has open.
 *
 * An open handle holds its node, so that the node keeps its descriptor: a file that somebody on the host removes stays
 * what it was for those who have it open. Ids are made as those of nodes are.
 */
#include "plugins/virtio-fs/handle.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "plugins/virtio-fs/node-table.h"

#define FIRST_PLACES 64u

struct open_handle {
	struct handle handle; /* the first member */
	struct share *share;
	struct node *node; /* held */
	uint32_t holds;    /* under the table's lock; one of them is the table's */
};

struct handle_place {
	struct open_handle *open; /* NULL: free */
	uint32_t generation;
	uint32_t next_free;
};

struct handle_table {
	pthread_mutex_t lock;
	struct handle_place *places; /* 0 is nobody's */
	uint32_t n_places, room, free;
	uint64_t count, limit; /* `limit`: of all shares together */
};

static struct open_handle *open_of(struct handle *handle)
{
	return (struct open_handle *)(void *)handle;
}

int handle_table_new(struct handle_table **out)
{
	struct handle_table *table = calloc(1, sizeof *table);

	if (!table)
		return -ENOMEM;
	table->room = FIRST_PLACES;
	table->n_places = 1;
	table->places = calloc(table->room, sizeof *table->places);
	if (!table->places) {
		free(table);
		return -ENOMEM;
	}
	pthread_mutex_init(&table->lock, NULL);
	table->limit = descriptors_for_handles();
	*out = table;
	return 0;
}

/* The index of a free place; 0: there is none. */
static uint32_t place_new(struct handle_table *table)
{
	uint32_t i = table->free;

	if (i) {
		table->free = table->places[i].next_free;
		return i;
	}
	if (table->n_places == table->room) {
		void *more = realloc(table->places, 2u * table->room * sizeof *table->places);

		if (!more)
			return 0;
		table->places = more;
		table->room *= 2;
	}
	i = table->n_places++;
	table->places[i] = (struct handle_place){ 0 };
	return i;
}

static void place_free(struct handle_table *table, uint64_t id)
{
	uint32_t i = (uint32_t)id;

	table->places[i].open = NULL;
	table->places[i].generation++;
	table->places[i].next_free = table->free;
	table->free = i;
	table->count--;
}

static struct open_handle *find(const struct handle_table *table, uint64_t id, enum handle_kind kind)
{
	uint32_t i = (uint32_t)id;

	if (i == 0 || i >= table->n_places || table->places[i].generation != id >> 32)
		return NULL;
	if (!table->places[i].open || table->places[i].open->handle.kind != kind)
		return NULL;
	return table->places[i].open;
}

int handle_new(struct share *share, enum handle_kind kind, const struct node *node, int fd, int flags, uint64_t *id)
{
	struct handle_table *table = share->handles;
	struct open_handle *open = calloc(1, sizeof *open);
	uint32_t i = 0;
	int rc = -ENOMEM;

	if (!open)
		goto fail;
	pthread_mutex_lock(&table->lock);
	if (table->count >= descriptors_of_share(table->limit))
		rc = -ENFILE;
	else
		i = place_new(table);
	if (i) {
		open->handle.id = *id = (uint64_t)table->places[i].generation << 32 | i;
		open->handle.kind = kind;
		open->handle.fd = fd;
		open->handle.flags = flags & (O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC);
		open->handle.node = node->id;
		open->handle.storage = node->storage;
		pthread_mutex_init(&open->handle.lock, NULL);
		open->share = share;
		open->node = &slot_of(node)->node;
		open->holds = 1;
		node_hold(share, open->node);
		table->places[i].open = open;
		table->count++;
	}
	pthread_mutex_unlock(&table->lock);
	if (i)
		return 0;
fail:
	free(open);
	close(fd);
	return rc;
}

int handle_get(struct share *share, uint64_t id, enum handle_kind kind, struct handle **out)
{
	struct handle_table *table = share->handles;
	struct open_handle *open;

	pthread_mutex_lock(&table->lock);
	open = find(table, id, kind);
	if (open) {
		open->holds++;
		*out = &open->handle;
	}
	pthread_mutex_unlock(&table->lock);
	return open ? 0 : -EBADF;
}

/* The last hold is gone. Not under the lock: this may take the disk. */
static void bury(struct open_handle *open)
{
	if (open->handle.directory)
		directory_free(open->handle.directory);
	close(open->handle.fd);
	node_put(open->share, open->node);
	pthread_mutex_destroy(&open->handle.lock);
	free(open);
}

static void put(struct handle_table *table, struct open_handle *open)
{
	bool is_last;

	pthread_mutex_lock(&table->lock);
	assert(open->holds);
	is_last = --open->holds == 0;
	pthread_mutex_unlock(&table->lock);
	if (is_last)
		bury(open);
}

void handle_put(struct share *share, struct handle *handle)
{
	put(share->handles, open_of(handle));
}

int handle_close(struct share *share, uint64_t id, enum handle_kind kind)
{
	struct handle_table *table = share->handles;
	struct open_handle *open;

	pthread_mutex_lock(&table->lock);
	open = find(table, id, kind);
	if (open)
		place_free(table, id);
	pthread_mutex_unlock(&table->lock);
	if (!open)
		return -EBADF;
	put(table, open);
	return 0;
}

void handle_table_clear(struct handle_table *table)
{
	uint32_t i;

	for (i = 1;; i++) {
		struct open_handle *open = NULL;
		bool is_end;

		pthread_mutex_lock(&table->lock);
		is_end = i >= table->n_places;
		if (!is_end)
			open = table->places[i].open;
		if (open)
			place_free(table, open->handle.id);
		pthread_mutex_unlock(&table->lock);
		if (open)
			put(table, open);
		if (is_end)
			break;
	}
}

void handle_table_free(struct handle_table *table)
{
	if (!table)
		return;
	handle_table_clear(table);
	free(table->places);
	pthread_mutex_destroy(&table->lock);
	free(table);
}

uint64_t handle_table_count(struct handle_table *table)
{
	uint64_t count;

	pthread_mutex_lock(&table->lock);
	count = table->count;
	pthread_mutex_unlock(&table->lock);
	return count;
}
