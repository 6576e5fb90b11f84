/* SPDX-License-Identifier: MIT */
/* entry.c - see entry.h. */
#include "plugins/virtio-fs/entry.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "plugins/virtio-fs/owner.h"

#define DAY 86400u

int call_node(struct call *call, struct node **out)
{
	int rc;

	if (call->may_block)
		return node_get(call->share, call->in.nodeid, out);
	rc = node_try(call->share, call->in.nodeid, out);
	return rc == -EAGAIN ? CALL_BLOCKS : rc;
}

/* Seconds for which the guest may go on without asking. */
static uint64_t seconds_valid(const struct share *share)
{
	switch (share->options.cache) {
	case CACHE_NONE:
		return 0;
	case CACHE_AUTO:
		return 1;
	case CACHE_ALWAYS:
		return DAY;
	}
	return 0;
}

int attr_fill(struct call *call, struct node *node, int fd, const struct statx *stx, struct fuse_attr *attr)
{
	struct share *share = call->share;
	int rc = owner_attributes(share, node, fd, stx, attr), opened;

	if (rc == -EAGAIN) {
		rc = owner_wait(call, node, &opened);
		if (rc == 0) {
			rc = owner_attributes(share, node, opened, stx, attr);
			close(opened);
		}
	}
	if (rc != 0)
		return rc;
	attr->flags = 0;
	if (node->is_submount && share->flags & FUSE_SUBMOUNTS)
		attr->flags |= FUSE_ATTR_SUBMOUNT;
	if (share->window && S_ISREG(attr->mode) && share->flags & FUSE_HAS_INODE_DAX)
		attr->flags |= FUSE_ATTR_DAX;
	return 0;
}

int entry_fill(struct call *call, struct node *node, int fd, const struct statx *stx, struct fuse_entry_out *entry)
{
	memset(entry, 0, sizeof *entry);
	entry->nodeid = node->id;
	entry->entry_valid = entry->attr_valid = seconds_valid(call->share);
	return attr_fill(call, node, fd, stx, &entry->attr);
}

int entry_reply(struct call *call, struct node *node, const struct statx *stx)
{
	struct fuse_entry_out entry;
	int rc = entry_fill(call, node, -1, stx, &entry);

	if (rc == 0)
		rc = call_reply(call, &entry, sizeof entry);
	if (rc != 0)
		node_forget(call->share, node->id, 1);
	return rc;
}

int attr_reply(struct call *call, struct node *node, int fd, const struct statx *stx)
{
	struct fuse_attr_out out = { .attr_valid = seconds_valid(call->share) };
	int rc = attr_fill(call, node, fd, stx, &out.attr);

	return rc != 0 ? rc : call_reply(call, &out, sizeof out);
}

int entry_reply_none(struct call *call)
{
	struct fuse_entry_out none = { .entry_valid = seconds_valid(call->share) };

	return none.entry_valid ? call_reply(call, &none, sizeof none) : -ENOENT;
}
