/* SPDX-License-Identifier: MIT */
/*
 * entry.h - answers that tell the guest of a node: fuse_entry_out (a name's) and fuse_attr_out (attributes alone).
 *
 * For how long the guest may believe them is the cache mode's affair; directories that begin another file system and
 * files that may be mapped through the window are marked. Any thread.
 */
#ifndef CAPSA_VIRTIO_FS_ENTRY_H
#define CAPSA_VIRTIO_FS_ENTRY_H

#include "plugins/virtio-fs/call.h"
#include "plugins/virtio-fs/node.h"

/*
 * The node that the call is about, held: 0, -errno, or CALL_BLOCKS where it must be opened and the call may not wait.
 */
int call_node(struct call *call, struct node **out);

/*
 * Fills what LOOKUP, READDIRPLUS, MKNOD, CREATE ... answer. `node` is held; `fd` >= 0: an open one of the same inode.
 * `stx` as node_lookup() gave it. -errno: nobody can say what the guest's attributes are (owner_attributes());
 * CALL_BLOCKS: not without waiting for another process.
 */
int entry_fill(struct call *call, struct node *node, int fd, const struct statx *stx, struct fuse_entry_out *entry);

/*
 * Appends the entry of a node that node_lookup() or node_adopt() gave: 0, and the guest owns that look-up; or -errno or
 * CALL_BLOCKS: the look-up is taken away again. The caller's hold stays the caller's (node_put()) either way. CREATE
 * appends its fuse_open_out behind it and sees to it beforehand that there is room for both (call_reply_left()).
 */
int entry_reply(struct call *call, struct node *node, const struct statx *stx);

/* The attributes alone. */
int attr_fill(struct call *call, struct node *node, int fd, const struct statx *stx, struct fuse_attr *attr);

/* Appends fuse_attr_out: what GETATTR and SETATTR answer. */
int attr_reply(struct call *call, struct node *node, int fd, const struct statx *stx);

/* "No such name", for as long as names are believed at all: what LOOKUP answers instead of -ENOENT. */
int entry_reply_none(struct call *call);

#endif
