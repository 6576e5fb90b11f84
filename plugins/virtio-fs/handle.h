/* SPDX-License-Identifier: MIT */
/*
 * handle.h - what the guest has open: file handles, each a descriptor of its own.
 *
 * An id (`fh`) is an index with a generation, checked against the table and against the kind that the operation wants:
 * -EBADF otherwise. Locks: one mutex over the table. Any thread.
 */
#ifndef CAPSA_VIRTIO_FS_HANDLE_H
#define CAPSA_VIRTIO_FS_HANDLE_H

#include <pthread.h>

#include "plugins/virtio-fs/node.h"

enum handle_kind { HANDLE_FILE, HANDLE_DIRECTORY };

struct directory; /* op-directory.c: entries that were read and not given yet */

struct handle {
	/* Fixed for its life. */
	uint64_t id;
	enum handle_kind kind;
	int fd;               /* opened for reading, writing or both */
	int flags;            /* O_ACCMODE, O_APPEND, O_SYNC, O_DSYNC of it */
	enum storage storage; /* of the node */
	uint64_t node;
	atomic_uint no_capability; /* owner_capabilities() when its file was seen to have none */
	/* op-directory.c's, under `lock`. */
	pthread_mutex_t lock;
	struct directory *directory;
};

int handle_table_new(struct handle_table **out);
/* Closes all; nobody holds any. */
void handle_table_clear(struct handle_table *table);
void handle_table_free(struct handle_table *table);
uint64_t handle_table_count(struct handle_table *table);

/* Takes over fd in any case. 0 or -errno (-ENOMEM, -ENFILE: the guest has too many open). */
int handle_new(struct share *share, enum handle_kind kind, const struct node *node, int fd, int flags, uint64_t *id);
/* Holds it: its descriptor stays open until handle_put(). */
int handle_get(struct share *share, uint64_t id, enum handle_kind kind, struct handle **out);
void handle_put(struct share *share, struct handle *handle);
/* RELEASE: the id is void; what it holds goes with the last handle_put(). -EBADF: no such one. */
int handle_close(struct share *share, uint64_t id, enum handle_kind kind);

/* op-directory.c: frees handle->directory. */
void directory_free(struct directory *directory);

#endif
