/* SPDX-License-Identifier: MIT */
/* handle.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int handle_table_new(struct handle_table **out)
{
	(void)out;
	return -ENOSYS;
}

void handle_table_clear(struct handle_table *table)
{
	(void)table;
}

void handle_table_free(struct handle_table *table)
{
	(void)table;
}

uint64_t handle_table_count(struct handle_table *table)
{
	(void)table;
	return 0;
}

int handle_new(struct share *share, enum handle_kind kind, const struct node *node, int fd, int flags, uint64_t *id)
{
	(void)share;
	(void)kind;
	(void)node;
	(void)fd;
	(void)flags;
	(void)id;
	return -ENOSYS;
}

int handle_get(struct share *share, uint64_t id, enum handle_kind kind, struct handle **out)
{
	(void)share;
	(void)id;
	(void)kind;
	(void)out;
	return -ENOSYS;
}

void handle_put(struct share *share, struct handle *handle)
{
	(void)share;
	(void)handle;
}

int handle_close(struct share *share, uint64_t id, enum handle_kind kind)
{
	(void)share;
	(void)id;
	(void)kind;
	return -ENOSYS;
}
