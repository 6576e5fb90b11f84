/* SPDX-License-Identifier: MIT */
/*
 * tree.h - what op-tree.c and op-open.c have in common: making something new in a directory.
 */
#ifndef CAPSA_VIRTIO_FS_TREE_H
#define CAPSA_VIRTIO_FS_TREE_H

#include "plugins/virtio-fs/call.h"
#include "plugins/virtio-fs/node.h"

/* Holds the node of a directory; -ENOTDIR for another. */
int parent_get(struct call *call, uint64_t id, struct node **out);

/* The mode that the guest wants: where the umask is ours to apply (FUSE_DONT_MASK), it is. */
mode_t call_mode(const struct call *call, mode_t mode, mode_t umask);

/*
 * What was just made in `parent` as `name` (NULL: without one), open as `fd`, becomes a node: *out is held and has the
 * look-up of the entry that the guest is about to get; *stx its attributes. Its owner is noted and its blocks are
 * counted. -errno: nothing is known of it; the caller removes it (make_undo()).
 */
int make_note(struct call *call, struct node *parent, const char *name, int fd, mode_t mode, uint32_t rdev,
              struct node **out, struct statx *stx);
/* Removes `name`, if `fd` is what it is of. */
void make_undo(struct node *parent, const char *name, int fd);

#endif
