/* SPDX-License-Identifier: MIT */
/* node.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int node_table_new(struct share *share, struct node_table **out)
{
	(void)share;
	(void)out;
	return -ENOSYS;
}

void node_table_clear(struct node_table *table)
{
	(void)table;
}

void node_table_free(struct node_table *table)
{
	(void)table;
}

void node_table_count(struct node_table *table, uint64_t *nodes, uint64_t *descriptors)
{
	(void)table;
	(void)nodes;
	(void)descriptors;
}

void node_table_limit(struct node_table *table, uint64_t descriptors)
{
	(void)table;
	(void)descriptors;
}

int node_get(struct share *share, uint64_t id, struct node **out)
{
	(void)share;
	(void)id;
	(void)out;
	return -ENOSYS;
}

void node_put(struct share *share, struct node *node)
{
	(void)share;
	(void)node;
}

int node_lookup(struct share *share, struct node *parent, const char *name, struct node **out, struct statx *stx)
{
	(void)share;
	(void)parent;
	(void)name;
	(void)out;
	(void)stx;
	return -ENOSYS;
}

int node_adopt(struct share *share, struct node *parent, const char *name, int fd, struct node **out, struct statx *stx)
{
	(void)share;
	(void)parent;
	(void)name;
	(void)fd;
	(void)out;
	(void)stx;
	return -ENOSYS;
}

void node_forget(struct share *share, uint64_t id, uint64_t n)
{
	(void)share;
	(void)id;
	(void)n;
}

void node_renamed(struct share *share, struct node *from, const char *from_name, struct node *to, const char *to_name,
                  bool exchange)
{
	(void)share;
	(void)from;
	(void)from_name;
	(void)to;
	(void)to_name;
	(void)exchange;
}

int node_statx(const struct node *node, int fd, struct statx *stx)
{
	(void)node;
	(void)fd;
	(void)stx;
	return -ENOSYS;
}

int share_open_node(struct share *share, const struct node *node, int flags)
{
	(void)share;
	(void)node;
	(void)flags;
	return -ENOSYS;
}

void node_proc_name(const struct node *node, char name[NODE_PROC_NAME])
{
	(void)node;
	(void)name;
}
