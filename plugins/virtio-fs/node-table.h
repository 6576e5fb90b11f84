/* SPDX-License-Identifier: MIT */
/*
 * node-table.h - the table behind node.h, shared by node.c (ids, names, lives) and node-descriptor.c (descriptors).
 *
 * A slot is one node. It stands, as far as capsa was told, at `name` in `parent`; both or neither are set. It lives
 * while the guest has looked it up, someone holds it, or other slots stand in it, and goes with the last of them.
 *
 * Everything here is protected by table->lock, but for what struct node says of itself. What is closed or freed is
 * gathered in a `dead` list under the lock and let go of behind it, since closing the last descriptor of an inode that
 * has no name may take the disk.
 */
#ifndef CAPSA_VIRTIO_FS_NODE_TABLE_H
#define CAPSA_VIRTIO_FS_NODE_TABLE_H

#include "plugins/virtio-fs/node-index.h"
#include "plugins/virtio-fs/node.h"

#define NODES_MAX (UINT32_C(1) << 22) /* some 300 bytes each, and the kernel's: capsa.conf(5) */
#define DEVICES_MAX 256u              /* that are told apart in a share: struct node, device */
#define NODE_STATX (STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID)

/*
 * Which inode it is. Zero: not known (mnt: Linux before 5.8; birth: the file system has none). A number that is given
 * to another inode within one tick of the clock has the same birth, too; the type is what opening it depends on.
 */
struct identity {
	uint64_t dev, ino, mnt;
	int64_t birth_sec;
	uint32_t birth_nsec;
	mode_t type; /* S_IFMT */
};

struct slot {
	struct node node; /* the first member: a node is its slot */
	struct identity is;
	struct slot *parent;
	char *name; /* ours; NULL: it has none, or nobody knows it */
	struct index_link by_inode, by_name;
	struct slot *older, *newer; /* evictable ones, by last use; `older` also strings the dead together */
	uint64_t lookups;
	uint32_t holds;
	uint32_t children; /* slots whose parent this is */
	bool has_inode;    /* is in by_inode: false once another inode was seen under the same numbers */
	bool evictable;    /* is in the list */
};

struct place {
	struct slot *slot;
	uint32_t generation; /* of the ids made here so far */
	uint32_t next_free;
};

struct node_table {
	pthread_mutex_t lock;
	uint64_t seed;
	struct slot *root;
	struct place *places; /* by index; 0 is nobody's */
	uint32_t n_places, room, free;
	uint64_t nodes;
	struct index by_inode, by_name;
	struct slot *oldest, *newest;
	uint64_t devices[DEVICES_MAX]; /* struct identity, dev */
	unsigned n_devices;
	atomic_bool no_cached; /* the kernel has no RESOLVE_CACHED, or may not be asked */
	/* Without the root's, which is the share's. `limit`: what it may have, as far as other shares leave it to it;
	 * `most`: what that comes back to after it was lowered. */
	uint64_t descriptors, limit, most;
	uint64_t evictions; /* since then */
};

static inline struct slot *slot_of(const struct node *node)
{
	return (struct slot *)(uintptr_t)node;
}

/* node.c. slot_settle(): after anything it lives by has changed; `dead` takes it and the parents that go with it. */
void slot_hold(struct node_table *table, struct slot *slot);
void slot_settle(struct node_table *table, struct slot *slot, struct slot **dead);
/* Not under the lock. */
void slots_bury(struct slot *dead);
void slot_put(struct node_table *table, struct slot *slot);
struct identity identity_of(const struct statx *stx);
bool identity_equal(const struct identity *a, const struct identity *b);

/* node-descriptor.c */
/* In or out of the list of those that may be closed, as its state now is. */
void slot_list(struct node_table *table, struct slot *slot);
/* How many descriptors the nodes of all shares may have, and their handles: of what RLIMIT_NOFILE leaves. */
uint64_t descriptors_for_nodes(void);
uint64_t descriptors_for_handles(void);
/* The process has one share more, or less: a table's life. */
void descriptors_join(void);
void descriptors_leave(void);
/* What one share may have of so many. Any thread. */
uint64_t descriptors_of_share(uint64_t descriptors);
/*
 * One descriptor that counts: O_PATH, with others closed to make room. Not under the lock. A descriptor or -errno
 * (-EMFILE: all are in use; -EAGAIN: only what is in memory was wanted).
 */
enum how { OPEN_ANY, OPEN_CACHED, OPEN_FOLLOWED /* the name is one of /proc/self/fd */ };
int descriptor_open(struct node_table *table, int dir, const char *name, enum how how);
/* One of those that did not find a slot. Not under the lock. */
void descriptor_close(struct node_table *table, int fd);
/* Opens a held slot that has no descriptor, and whatever parents that takes. Not under the lock. 0 or -errno. */
int descriptor_restore(struct node_table *table, struct slot *slot);
int fd_statx(int fd, const char *name, struct statx *stx);
/* Asks the host's kernel, which may take a server. */
enum storage fd_storage(int fd);

#endif
