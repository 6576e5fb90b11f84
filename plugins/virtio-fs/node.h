/* SPDX-License-Identifier: MIT */
/*
 * node.h - what the guest knows by a node id: one inode of the host's, held by an O_PATH descriptor.
 *
 * An id is an index with a generation in it, checked against the table: a stale or invented one is -ESTALE.
 * FUSE_ROOT_ID (1) is the shared directory. A node lives while the guest has looked it up (lookups, dropped by FORGET)
 * or someone holds it (node_get()). Hard links and repeated look-ups are one node: it is found by device, inode and
 * mount.
 *
 * DESCRIPTORS. There are fewer descriptors than a guest may know files. Beyond a limit that is made of RLIMIT_NOFILE,
 * which all shares of the process divide among them, the descriptor of the node that was used least recently is closed
 * (never of one that is held, the root, or one that has no name any more); the node keeps its parent and name, and is
 * opened again when it is needed, by one step from its parent, and only if what stands there is the same inode (device,
 * inode, mount, type, birth time where the file system has one). Otherwise -ESTALE, whereupon the guest's kernel looks
 * the name up again. Files that were only listed (node_lookup_listed()) begin in that state.
 *
 * Locks: one mutex over the table. Any thread.
 */
#ifndef CAPSA_VIRTIO_FS_NODE_H
#define CAPSA_VIRTIO_FS_NODE_H

#include <pthread.h>
#include <sys/stat.h>

#include "plugins/virtio-fs/share.h"

/*
 * What is known of the file system that an inode is on. LOCAL: close(2) neither waits nor has anything to say; MEMORY:
 * local, and reading never waits for a disk (but to swap). KERNEL: the host's kernel speaks there (/sys, cgroups,
 * tracing ...): names and attributes can be seen, contents cannot be opened, for they would be the host's itself, or
 * wait for ever, and nothing can be changed. PROCESSES: /proc, whose directories cannot be listed either.
 */
enum storage { STORAGE_UNKNOWN, STORAGE_LOCAL, STORAGE_MEMORY, STORAGE_KERNEL, STORAGE_PROCESSES };

struct node {
	/* Fixed for its life. */
	uint64_t id;
	mode_t type;      /* S_IFMT of the host's inode: S_IFREG, S_IFDIR, ... */
	bool is_submount; /* a directory of another file system than that which it was found in */
	enum storage storage;
	uint8_t device; /* which of the share's file systems it is on, in the order in which they were met; root: 0 */
	/* Valid while it is held. */
	int fd; /* O_PATH | O_NOFOLLOW */

	/* Rooms' own: protected by `lock`, which may be held across system calls on this very inode. */
	pthread_mutex_t lock;
	/* owner.h: what was read of a file's owner, and the ctime that it was read at */
	struct {
		struct statx_timestamp ctime;
		uint32_t uid, gid, mode, rdev;
		uint8_t state;             /* owner.c's */
		atomic_bool no_capability; /* nor has the guest given it one since */
	} owner;
	/* op-open.c: what the file was when the guest opened it last */
	struct {
		struct statx_timestamp mtime, ctime;
		uint64_t size;
		bool is_settled;
	} opened;
};

/*
 * The inode number that the guest gets for `ino`, a number of the node's file system. Where the guest does not see that
 * there are several (options.hide_submounts), all have one st_dev, so their numbers must differ: which one it is goes
 * into the upper bits, which hardly any file system uses. The shared directory's own numbers stay as they are.
 */
static inline uint64_t node_inode_number(const struct share *share, const struct node *node, uint64_t ino)
{
	return share->flags & FUSE_SUBMOUNTS ? ino : ino ^ (uint64_t)node->device << 56;
}

/* Whether it is the host's kernel that answers there. */
static inline bool node_is_kernel(const struct node *node)
{
	return node->storage == STORAGE_KERNEL || node->storage == STORAGE_PROCESSES;
}

/* `share->root` is open. 0 or -errno. */
int node_table_new(struct share *share, struct node_table **out);
/* Forgets all but the root, as for DESTROY and reset; nobody holds any. */
void node_table_clear(struct node_table *table);
void node_table_free(struct node_table *table);
/* How many nodes and descriptors there are, for counters and tests; the root's descriptor is the share's. */
void node_table_count(struct node_table *table, uint64_t *nodes, uint64_t *descriptors);
/* Of descriptors from now on; for tests. */
void node_table_limit(struct node_table *table, uint64_t descriptors);
/* Closes some that are not in use, for one who was told EMFILE or ENFILE and would try again; false: there are none. */
bool node_table_relieve(struct node_table *table);

/* Holds the node of an id; its fd is open until node_put(). 0 or -errno (-ESTALE, -EMFILE, ...). */
int node_get(struct share *share, uint64_t id, struct node **out);
/* The same without opening anything: -EAGAIN where that is needed, which may take the disk. */
int node_try(struct share *share, uint64_t id, struct node **out);
/* Holds a held one once more. */
void node_hold(struct share *share, struct node *node);
void node_put(struct share *share, struct node *node);

/*
 * Looks `name` (valid, checked by the caller) up in a directory that is held: *out is held and has one look-up more,
 * for the entry that the guest is about to be told of; *stx are the host's attributes (STATX_BASIC_STATS | STATX_BTIME
 * | STATX_MNT_ID). 0 or -errno.
 */
int node_lookup(struct share *share, struct node *parent, const char *name, struct node **out, struct statx *stx);
/* The same from what the host has in memory (RESOLVE_CACHED, Linux 5.12): -EAGAIN where it would have to read. */
int node_lookup_cached(struct share *share, struct node *parent, const char *name, struct node **out,
                       struct statx *stx);
/*
 * The same for one of many names that are listed, most of which nobody will ask for again: where its inode can be told
 * from any other later, it is not opened now, and *out may have no descriptor (fd < 0). node_get() opens it as one that
 * was closed.
 */
int node_lookup_listed(struct share *share, struct node *parent, const char *name, struct node **out,
                       struct statx *stx);
/* The same for a descriptor that was just made in `parent` as `name` (O_PATH or not; NULL name: has none, a tmpfile).
 * It stays the caller's. */
int node_adopt(struct share *share, struct node *parent, const char *name, int fd, struct node **out,
               struct statx *stx);
/* Takes n look-ups away again (an entry that the guest was not told of, FORGET). Unknown ids: nothing. */
void node_forget(struct share *share, uint64_t id, uint64_t n);
/*
 * The same, unless this would close the descriptor of a file without a name that has many blocks: it may be the last that
 * holds it, and they are given back then. False: it would, and nothing was done.
 */
bool node_forget_quickly(struct share *share, uint64_t id, uint64_t n);

/* The guest moved or removed a name: nodes remember where they stand. `to` NULL: removed. Parents are held. */
void node_renamed(struct share *share, struct node *from, const char *from_name, struct node *to, const char *to_name,
                  bool exchange);

/* Attributes of a held node, or of `fd` where >= 0: statx(2) with AT_EMPTY_PATH. 0 or -errno. */
int node_statx(const struct node *node, int fd, struct statx *stx);

/*
 * The one opener. Opens the contents of a held node through /proc/self/fd: flags as for open(2), of which O_CREAT,
 * O_EXCL, O_PATH, O_TMPFILE, O_DIRECT are taken away. -ELOOP for a link, -ENXIO for a device, a FIFO or a socket,
 * -EACCES for what the host's kernel has there (enum storage).
 * Returns a descriptor or -errno. Any thread; may block.
 */
int share_open_node(struct share *share, const struct node *node, int flags);
/* "N" of the node's descriptor, for calls that take a name below share->proc_fd and follow it (setxattr, utimensat,
 * ...). */
#define NODE_PROC_NAME 12u
void node_proc_name(const struct node *node, char name[NODE_PROC_NAME]);

#endif
