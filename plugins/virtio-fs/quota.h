/* SPDX-License-Identifier: MIT */
/*
 * quota.h - how many bytes and inodes the guest may add to a share (options.max_bytes, max_inodes).
 *
 * Counted is what the guest's own operations change, in blocks as the host has them (st_blocks, so that filling a hole
 * counts and a hole does not), from the machine's start; what it removes is given back, but never makes the count
 * negative.
 *
 *     quota_begin(share, fd, len, &charge)  ->  the operation  ->  quota_end(share, fd, &charge)
 *
 * begin reserves the worst case and remembers the blocks; end settles with what it was in truth. The operations of one
 * inode that change its blocks are one at a time meanwhile (node->lock), or they would be counted twice.
 * All are no-ops where share->quota is NULL. Any thread.
 */
#ifndef CAPSA_VIRTIO_FS_QUOTA_H
#define CAPSA_VIRTIO_FS_QUOTA_H

#include "plugins/virtio-fs/node.h"

struct quota_charge {
	struct node *node; /* locked until quota_end(); NULL: nothing to do */
	uint64_t reserved, blocks;
};

int quota_new(uint64_t max_bytes, uint64_t max_inodes, struct quota **out);
void quota_free(struct quota *quota);

/* `node` is held; `len`: bytes that may come to be. -EDQUOT: too many. */
int quota_begin(struct share *share, struct node *node, uint64_t len, struct quota_charge *charge);
void quota_end(struct share *share, struct quota_charge *charge);

/* One inode more; -EDQUOT. A directory that grows by it is charged, too (node of the parent: begin and end around it).
 */
int quota_inode_begin(struct share *share);
/* It was not made after all. */
void quota_inode_undo(struct share *share);
/* The last name of an inode went (`blocks` of 512 bytes it had); its space is counted back when nothing holds it any
 * more. */
void quota_removed(struct share *share, const struct statx *stx);

/* What statfs tells the guest: the smaller of the host's and what is left. */
void quota_statfs(struct share *share, struct fuse_kstatfs *st);

#endif
