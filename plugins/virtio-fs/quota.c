/* SPDX-License-Identifier: MIT */
/* quota.c - not written yet. */
#include <errno.h>

#include "plugins/virtio-fs/operations.h"
#include "plugins/virtio-fs/handle.h"
#include "plugins/virtio-fs/lock.h"
#include "plugins/virtio-fs/node.h"
#include "plugins/virtio-fs/owner.h"
#include "plugins/virtio-fs/quota.h"
#include "plugins/virtio-fs/window.h"

int quota_new(uint64_t max_bytes, uint64_t max_inodes, struct quota **out)
{
	(void)max_bytes;
	(void)max_inodes;
	(void)out;
	return 0;
}

void quota_free(struct quota *quota)
{
	(void)quota;
}

int quota_begin(struct share *share, struct node *node, uint64_t len, struct quota_charge *charge)
{
	(void)share;
	(void)node;
	(void)len;
	(void)charge;
	return 0;
}

void quota_end(struct share *share, struct quota_charge *charge)
{
	(void)share;
	(void)charge;
}

int quota_inode_begin(struct share *share)
{
	(void)share;
	return 0;
}

void quota_inode_undo(struct share *share)
{
	(void)share;
}

void quota_removed(struct share *share, const struct statx *stx)
{
	(void)share;
	(void)stx;
}

void quota_statfs(struct share *share, struct fuse_kstatfs *st)
{
	(void)share;
	(void)st;
}
