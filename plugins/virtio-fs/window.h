/* SPDX-License-Identifier: MIT */
/*
 * window.h - the DAX window (virtio 1.2, 5.11.6): files that the guest maps instead of copying.
 *
 * A shared-memory region with one memory slot that was set up at boot; SETUPMAPPING and REMOVEMAPPING replace pages in
 * it (Linux asks in 2 MiB ranges, and INIT tells any driver that it must: WINDOW_ALIGNMENT_SHIFT). Read-only mappings
 * and readonly shares get private writable pages: a guest that writes to them changes nothing of the file's and does
 * not stop its machine. Ranges are remembered, so that a page which the core had to replace (shared_memory_fault: the
 * file was cut) is mapped again when the file has grown.
 *
 * Lock: its own mutex. Any thread.
 */
#ifndef CAPSA_VIRTIO_FS_WINDOW_H
#define CAPSA_VIRTIO_FS_WINDOW_H

#include <linux/virtio_fs.h>

#include "plugins/virtio-fs/node.h"

#define WINDOW_ID VIRTIO_FS_SHMCAP_ID_CACHE

/* fuse_init_out.map_alignment: what offsets of SETUPMAPPING are multiples of, as a power of two. */
#define WINDOW_ALIGNMENT_SHIFT 21u

/* An empty one of share->options.dax bytes. 0, -ENOMEM, or -E2BIG: all windows of the process together have too many
 * pieces for vm.max_map_count. */
int window_new(struct share *share, struct window **out);
/* All mappings go: DESTROY, reset. */
void window_clear(struct share *share);
void window_free(struct window *window);
/* From here on files that are cut are heard of. The plugin's start(), main thread. 0 or -ENOMEM. */
int window_start(struct share *share);
/* The plugin's shared_memory_fault(): bytes of the window. */
void window_fault(struct share *share, uint64_t offset, uint64_t len);
/*
 * The guest or the host made the inode longer, as far as an operation has noticed: what was replaced is mapped again.
 * `size` is what the file has at least, in bytes; `node` is held. Cheap where nothing was replaced.
 */
void window_grown(struct share *share, const struct node *node, uint64_t size);

#endif
