/* SPDX-License-Identifier: MIT */
/*
 * quota.h - how many bytes and inodes the guest may add to a share (options.max_bytes, max_inodes).
 *
 * Counted is what the guest's own operations change, in blocks as the host has them (st_blocks, so that filling a hole
 * counts and a hole does not), from the machine's start. What it removes of that is given back; what was there before it
 * came gives it nothing when it goes.
 *
 *     quota_begin(share, node, len, &charge)  ->  the operation  ->  quota_end(share, &charge)
 *
 * begin reserves the worst case and remembers the blocks; end settles with what it was in truth. The operations of one
 * inode that change its blocks are one at a time meanwhile, or they would be counted twice: there is a lock that
 * belongs to the inode's id, and a thread has one charge at a time (two nodes may share a lock). All are no-ops where
 * share->quota is NULL. Any thread; what begins a charge may wait for another that is at the disk.
 */
#ifndef CAPSA_VIRTIO_FS_QUOTA_H
#define CAPSA_VIRTIO_FS_QUOTA_H

#include "plugins/virtio-fs/node.h"

struct quota_charge {
	struct node *node; /* its blocks are ours to change until quota_end(); NULL: nothing to do */
	uint64_t reserved, blocks;
};

/* No limit at all: *out is NULL. */
int quota_new(uint64_t max_bytes, uint64_t max_inodes, struct quota **out);
void quota_free(struct quota *quota);

/* `node` is held; `len`: bytes that may come to be; 0 (something is cut, say) is always granted. -EDQUOT: too many. */
int quota_begin(struct share *share, struct node *node, uint64_t len, struct quota_charge *charge);
void quota_end(struct share *share, struct quota_charge *charge);

/* One inode more; -EDQUOT. A directory that grows by it is charged, too (node of the parent: begin and end around it).
 */
int quota_inode_begin(struct share *share);
/* It was not made after all. */
void quota_inode_undo(struct share *share);
/* It was, and these are its attributes: the blocks that it began with (a directory has some) count. */
void quota_made(struct share *share, const struct statx *stx);
/*
 * A name of an inode went, or came: *stx is what it is now, of a descriptor that is open still. Once it has no name,
 * its space is counted back when nothing holds it any more (until then it may grow and shrink, and come back by LINK).
 */
void quota_removed(struct share *share, const struct statx *stx);

/* What statfs tells the guest: the smaller of the host's and what is left. */
void quota_statfs(struct share *share, struct fuse_kstatfs *st);

#endif
