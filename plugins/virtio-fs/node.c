/* SPDX-License-Identifier: MIT */
/*
 * node.c - the table of nodes: ids, names, lives. Descriptors are node-descriptor.c's.
 *
 * THEORY OF OPERATION. A look-up costs as few system calls as it can. Where the table knows a node at that name, one
 * statx(2) of the name says whether it is still the same inode; its descriptor, held meanwhile, keeps the inode number
 * from being given to another. Otherwise the name is opened (O_PATH: nothing happens to what stands there) and the
 * *descriptor* is asked what it is, so that no race with a rename on the host can make the answer and the descriptor
 * two different files. Then the table looks whether it knows that inode by another name.
 *
 * What kind of file system a node is on (struct node, storage) it has from the directory that it was found in, as long
 * as it is on the same mount. That one is held meanwhile, so that no other file system can have its numbers; the kernel
 * is asked where a file system begins.
 *
 * Two indexes find a slot: by inode (device, number, mount), and by the parent and name where it stands. What the guest
 * renames and removes moves in the second (node_renamed()); what the host does is noticed at the next look-up.
 */
#include "plugins/virtio-fs/node.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "plugins/virtio-fs/node-table.h"

#define FIRST_PLACES 64u
#define SMALL_FILE_BLOCKS 128u /* of 512 bytes */

struct identity identity_of(const struct statx *stx)
{
	struct identity is = {
		.dev = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor,
		.ino = stx->stx_ino,
		.type = stx->stx_mode & S_IFMT,
	};

	if (stx->stx_mask & STATX_MNT_ID)
		is.mnt = stx->stx_mnt_id;
	if (stx->stx_mask & STATX_BTIME) {
		is.birth_sec = stx->stx_btime.tv_sec;
		is.birth_nsec = stx->stx_btime.tv_nsec;
	}
	return is;
}

static bool same_numbers(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->mnt == b->mnt;
}

bool identity_equal(const struct identity *a, const struct identity *b)
{
	return same_numbers(a, b) && a->type == b->type && a->birth_sec == b->birth_sec &&
	       a->birth_nsec == b->birth_nsec;
}

static uint64_t inode_hash(const struct node_table *table, const struct identity *is)
{
	uint64_t key[] = { is->dev, is->ino, is->mnt };

	return index_hash(table->seed, key, sizeof key);
}

static uint64_t name_hash(const struct node_table *table, const struct slot *parent, const char *name)
{
	return index_hash(index_hash(table->seed, &parent->node.id, sizeof parent->node.id), name, strlen(name));
}

static struct slot *find_inode(const struct node_table *table, const struct identity *is, uint64_t hash)
{
	struct index_link *link;

	for (link = index_first(&table->by_inode, hash); link; link = index_next(link)) {
		struct slot *slot = (struct slot *)(void *)((char *)link - offsetof(struct slot, by_inode));

		if (same_numbers(&slot->is, is))
			return slot;
	}
	return NULL;
}

static struct slot *find_name(const struct node_table *table, const struct slot *parent, const char *name,
                              uint64_t hash)
{
	struct index_link *link;

	for (link = index_first(&table->by_name, hash); link; link = index_next(link)) {
		struct slot *slot = (struct slot *)(void *)((char *)link - offsetof(struct slot, by_name));

		if (slot->parent == parent && strcmp(slot->name, name) == 0)
			return slot;
	}
	return NULL;
}

static struct slot *find_id(const struct node_table *table, uint64_t id)
{
	uint32_t i = (uint32_t)id;

	if (i == 0 || i >= table->n_places || table->places[i].generation != id >> 32)
		return NULL;
	return table->places[i].slot;
}

/* An index for a new slot, with its generation: an id. 0: out of memory. */
static uint64_t id_new(struct node_table *table, struct slot *slot)
{
	uint32_t i = table->free;

	if (i) {
		table->free = table->places[i].next_free;
	} else {
		if (table->n_places == table->room) {
			uint32_t room = table->room ? 2 * table->room : FIRST_PLACES;
			void *more = realloc(table->places, room * sizeof *table->places);

			if (!more)
				return 0;
			table->places = more;
			table->room = room;
		}
		i = table->n_places++;
		table->places[i] = (struct place){ 0 };
	}
	table->places[i].slot = slot;
	return (uint64_t)table->places[i].generation << 32 | i;
}

static void id_free(struct node_table *table, uint64_t id)
{
	uint32_t i = (uint32_t)id;

	table->places[i].slot = NULL;
	table->places[i].generation++;
	table->places[i].next_free = table->free;
	table->free = i;
}

void slot_hold(struct node_table *table, struct slot *slot)
{
	slot->holds++;
	slot_list(table, slot);
}

static bool is_used(const struct node_table *table, const struct slot *slot)
{
	return slot->holds || slot->lookups || slot->children || slot == table->root;
}

/* It stands nowhere that we know of. The parent that it had may be settled now: the caller's affair. */
static struct slot *unplace(struct node_table *table, struct slot *slot)
{
	struct slot *parent = slot->parent;

	if (!parent)
		return NULL;
	index_remove(&table->by_name, &slot->by_name);
	free(slot->name);
	slot->name = NULL;
	slot->parent = NULL;
	parent->children--;
	slot_list(table, slot);
	return parent;
}

void slot_settle(struct node_table *table, struct slot *slot, struct slot **dead)
{
	while (slot && !is_used(table, slot)) {
		struct slot *parent = unplace(table, slot);

		if (slot->has_inode)
			index_remove(&table->by_inode, &slot->by_inode);
		assert(!slot->evictable); /* nothing without a name is */
		if (slot->node.fd >= 0)
			table->descriptors--;
		id_free(table, slot->node.id);
		table->nodes--;
		slot->older = *dead;
		*dead = slot;
		slot = parent;
	}
	if (slot)
		slot_list(table, slot);
}

void slots_bury(struct slot *dead)
{
	struct slot *next;

	for (; dead; dead = next) {
		next = dead->older;
		if (dead->node.fd >= 0)
			close(dead->node.fd);
		pthread_mutex_destroy(&dead->node.lock);
		free(dead->name);
		free(dead);
	}
}

void slot_put(struct node_table *table, struct slot *slot)
{
	struct slot *dead = NULL;

	pthread_mutex_lock(&table->lock);
	assert(slot->holds);
	slot->holds--;
	slot_settle(table, slot, &dead);
	pthread_mutex_unlock(&table->lock);
	slots_bury(dead);
}

/*
 * Directories that the host moved into each other while we were not looking could make a circle of parents, which would
 * keep itself alive and never end. So whoever is about to stand below itself first loses the child on that way, whose
 * place is not true any more. Only a directory with children can be in one.
 */
static void break_circle(struct node_table *table, struct slot *slot, struct slot *parent)
{
	struct slot *at;

	if (!slot->children)
		return;
	for (at = parent; at; at = at->parent) {
		if (at->parent == slot) {
			unplace(table, at);
			return;
		}
	}
}

/* The slot stands at that name from now on, and who stood there does not. `parent` is held, and not the slot itself. */
static void place(struct node_table *table, struct slot *slot, struct slot *parent, const char *name, uint64_t hash,
                  struct slot **dead)
{
	struct slot *other, *left;
	char *copy;

	if (slot == table->root || slot == parent || strlen(name) > NAME_MAX)
		return;
	if (slot->parent == parent && strcmp(slot->name, name) == 0)
		return;
	other = find_name(table, parent, name, hash);
	if (other)
		unplace(table, other);
	break_circle(table, slot, parent);
	left = unplace(table, slot);
	copy = strdup(name);
	if (copy) { /* otherwise it keeps its descriptor for good, as one without a name */
		slot->name = copy;
		slot->parent = parent;
		parent->children++;
		index_add(&table->by_name, &slot->by_name, hash);
	}
	slot_list(table, slot);
	if (left)
		slot_settle(table, left, dead);
}

static bool same_mount(const struct identity *a, const struct identity *b)
{
	return a->dev == b->dev && a->mnt == b->mnt;
}

static struct slot *slot_new(struct node_table *table, const struct identity *is, int *err)
{
	struct slot *slot;

	if (table->nodes >= NODES_MAX) {
		*err = -ENFILE;
		return NULL;
	}
	*err = -ENOMEM;
	slot = calloc(1, sizeof *slot);
	if (!slot)
		return NULL;
	slot->node.id = id_new(table, slot);
	if (!slot->node.id) {
		free(slot);
		return NULL;
	}
	slot->node.type = is->type;
	slot->node.fd = -1;
	slot->is = *is;
	pthread_mutex_init(&slot->node.lock, NULL);
	index_add(&table->by_inode, &slot->by_inode, inode_hash(table, is));
	slot->has_inode = true;
	table->nodes++;
	return slot;
}

/* struct node, device. All that are too many are the last. */
static uint8_t device_index(struct node_table *table, uint64_t dev)
{
	unsigned i;

	for (i = 0; i < table->n_devices; i++)
		if (table->devices[i] == dev)
			return (uint8_t)i;
	if (i == DEVICES_MAX)
		return DEVICES_MAX - 1;
	table->devices[i] = dev;
	table->n_devices++;
	return (uint8_t)i;
}

/*
 * What was opened becomes a node, or turns out to be one. Takes over `fd`, which counts; < 0: it was looked at by its
 * name only. `name` NULL: it has none. 0 or -errno.
 */
static int enter(struct node_table *table, struct slot *parent, const char *name, int fd, const struct statx *stx,
                 struct node **out)
{
	struct identity is = identity_of(stx);
	const bool same = parent && same_mount(&is, &parent->is);
	const enum storage storage = same ? parent->node.storage : fd_storage(fd);
	struct slot *slot, *dead = NULL;
	int err = 0;

	pthread_mutex_lock(&table->lock);
	slot = find_inode(table, &is, inode_hash(table, &is));
	if (slot && !identity_equal(&slot->is, &is)) { /* its number was given to another */
		index_remove(&table->by_inode, &slot->by_inode);
		slot->has_inode = false;
		slot = NULL;
	}
	if (!slot) {
		slot = slot_new(table, &is, &err);
		if (slot) {
			slot->node.storage = storage;
			slot->node.device = same ? parent->node.device : device_index(table, is.dev);
			slot->node.is_submount = parent && !same && S_ISDIR(slot->node.type);
		}
	}
	if (slot) {
		slot_hold(table, slot);
		slot->lookups++;
		if (slot->node.fd < 0 && fd >= 0) {
			slot->node.fd = fd;
			fd = -1;
		}
		if (parent && name)
			place(table, slot, parent, name, name_hash(table, parent, name), &dead);
		*out = &slot->node;
	}
	pthread_mutex_unlock(&table->lock);
	slots_bury(dead);
	if (fd >= 0)
		descriptor_close(table, fd);
	return slot ? 0 : err;
}

static int look_up(struct share *share, struct node *parent, const char *name, enum how how, struct node **out,
                   struct statx *stx)
{
	struct node_table *table = share->nodes;
	struct slot *dir = slot_of(parent), *slot;
	uint64_t hash = name_hash(table, dir, name);
	struct identity is;
	int fd, rc;

	if (strlen(name) > NAME_MAX) /* there are file systems that have such names */
		return -ENAMETOOLONG;
	pthread_mutex_lock(&table->lock);
	slot = find_name(table, dir, name, hash);
	if (slot && slot->node.fd >= 0)
		slot_hold(table, slot);
	else
		slot = NULL;
	pthread_mutex_unlock(&table->lock);
	if (slot) {
		rc = fd_statx(parent->fd, name, stx);
		is = identity_of(stx);
		if (rc == 0 && identity_equal(&slot->is, &is)) {
			pthread_mutex_lock(&table->lock);
			slot->lookups++;
			pthread_mutex_unlock(&table->lock);
			*out = &slot->node;
			return 0;
		}
		slot_put(table, slot);
		if (rc < 0)
			return rc;
	}
	fd = descriptor_open(table, parent->fd, name, how);
	if (fd < 0)
		return fd;
	rc = fd_statx(fd, "", stx);
	if (rc < 0) {
		descriptor_close(table, fd);
		return rc;
	}
	return enter(table, dir, name, fd, stx, out);
}

int node_lookup(struct share *share, struct node *parent, const char *name, struct node **out, struct statx *stx)
{
	return look_up(share, parent, name, OPEN_ANY, out, stx);
}

int node_lookup_cached(struct share *share, struct node *parent, const char *name, struct node **out, struct statx *stx)
{
	return look_up(share, parent, name, OPEN_CACHED, out, stx);
}

/*
 * A directory is opened all the same: the guest's processes may stand in it, without a request that would open it, when
 * the host moves it. So is what has no birth time, since its number may be given to another, and what is on another
 * mount, which nobody would keep from being unmounted.
 */
static bool may_stay_closed(const struct slot *parent, const struct statx *stx)
{
	const struct identity is = identity_of(stx);

	return !S_ISDIR(stx->stx_mode) && stx->stx_mask & STATX_BTIME && is.mnt && same_mount(&is, &parent->is);
}

int node_lookup_listed(struct share *share, struct node *parent, const char *name, struct node **out, struct statx *stx)
{
	struct slot *dir = slot_of(parent);
	int rc;

	if (strlen(name) > NAME_MAX)
		return -ENAMETOOLONG;
	rc = fd_statx(parent->fd, name, stx);
	if (rc < 0)
		return rc;
	if (may_stay_closed(dir, stx))
		return enter(share->nodes, dir, name, -1, stx, out);
	return look_up(share, parent, name, OPEN_ANY, out, stx);
}

int node_adopt(struct share *share, struct node *parent, const char *name, int fd, struct node **out, struct statx *stx)
{
	struct node_table *table = share->nodes;
	char from[NODE_PROC_NAME];
	int path, rc;

	/* Not a dup(2): a file that is open for writing cannot be run, and may have a lease broken. */
	snprintf(from, sizeof from, "%d", fd);
	path = descriptor_open(table, share->proc_fd, from, OPEN_FOLLOWED);
	if (path < 0)
		return path;
	rc = fd_statx(path, "", stx);
	if (rc < 0) {
		descriptor_close(table, path);
		return rc;
	}
	return enter(table, slot_of(parent), name, path, stx, out);
}

static int get(struct share *share, uint64_t id, bool may_open, struct node **out)
{
	struct node_table *table = share->nodes;
	struct slot *slot;
	bool is_open = false;
	int rc = 0;

	pthread_mutex_lock(&table->lock);
	slot = find_id(table, id);
	if (slot && !slot->lookups && slot != table->root)
		slot = NULL; /* only here for its children */
	if (slot) {
		slot_hold(table, slot);
		is_open = slot->node.fd >= 0;
	}
	pthread_mutex_unlock(&table->lock);
	if (!slot)
		return -ESTALE;
	if (!is_open)
		rc = may_open ? descriptor_restore(table, slot) : -EAGAIN;
	if (rc < 0) {
		slot_put(table, slot);
		return rc;
	}
	*out = &slot->node;
	return 0;
}

int node_get(struct share *share, uint64_t id, struct node **out)
{
	return get(share, id, true, out);
}

int node_try(struct share *share, uint64_t id, struct node **out)
{
	return get(share, id, false, out);
}

void node_hold(struct share *share, struct node *node)
{
	pthread_mutex_lock(&share->nodes->lock);
	slot_hold(share->nodes, slot_of(node));
	pthread_mutex_unlock(&share->nodes->lock);
}

void node_put(struct share *share, struct node *node)
{
	slot_put(share->nodes, slot_of(node));
}

/*
 * Forgotten n times more, it goes, and the descriptor of something without a name with it: that may be the last that
 * holds the file. What a small one gives back takes no longer than taking its name away did, which the loop did, too.
 */
static bool forget_takes_long(const struct node_table *table, const struct slot *slot, uint64_t n)
{
	struct statx stx;

	if (n < slot->lookups || slot->holds || slot->children || slot == table->root || slot->name || slot->node.fd < 0)
		return false;
	return statx(slot->node.fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_NLINK | STATX_BLOCKS, &stx) < 0 ||
	       (stx.stx_nlink == 0 && stx.stx_blocks > SMALL_FILE_BLOCKS);
}

static bool forget(struct share *share, uint64_t id, uint64_t n, bool may_wait)
{
	struct node_table *table = share->nodes;
	struct slot *slot, *dead = NULL;
	bool done = true;

	pthread_mutex_lock(&table->lock);
	slot = find_id(table, id);
	if (slot && !may_wait && forget_takes_long(table, slot, n)) {
		done = false;
	} else if (slot) {
		slot->lookups -= n < slot->lookups ? n : slot->lookups;
		slot_settle(table, slot, &dead);
	}
	pthread_mutex_unlock(&table->lock);
	slots_bury(dead);
	return done;
}

void node_forget(struct share *share, uint64_t id, uint64_t n)
{
	forget(share, id, n, true);
}

bool node_forget_quickly(struct share *share, uint64_t id, uint64_t n)
{
	return forget(share, id, n, false);
}

void node_renamed(struct share *share, struct node *from, const char *from_name, struct node *to, const char *to_name,
                  bool exchange)
{
	struct node_table *table = share->nodes;
	struct slot *source = slot_of(from), *target = slot_of(to), *moved, *other = NULL, *dead = NULL;
	uint64_t from_hash = name_hash(table, source, from_name);
	uint64_t to_hash = to ? name_hash(table, target, to_name) : 0;

	pthread_mutex_lock(&table->lock);
	moved = find_name(table, source, from_name, from_hash);
	if (to)
		other = find_name(table, target, to_name, to_hash);
	/* The parents are held: nothing that is taken out of them goes away under our hands. */
	if (moved && moved != other)
		unplace(table, moved);
	if (other && moved != other)
		unplace(table, other);
	if (moved && to)
		place(table, moved, target, to_name, to_hash, &dead);
	if (other && exchange)
		place(table, other, source, from_name, from_hash, &dead);
	pthread_mutex_unlock(&table->lock);
	slots_bury(dead);
}

int node_table_new(struct share *share, struct node_table **out)
{
	struct node_table *table = calloc(1, sizeof *table);
	struct identity is;
	struct statx stx;
	int rc;

	if (!table)
		return -ENOMEM;
	pthread_mutex_init(&table->lock, NULL);
	table->n_places = 1;
	descriptors_join();
	table->limit = table->most = descriptors_for_nodes();
	if (getrandom(&table->seed, sizeof table->seed, GRND_NONBLOCK) != (ssize_t)sizeof table->seed)
		table->seed = (uintptr_t)table;
	table->room = FIRST_PLACES;
	table->places = calloc(table->room, sizeof *table->places);
	rc = table->places ? 0 : -ENOMEM;
	if (rc == 0)
		rc = index_new(&table->by_inode);
	if (rc == 0)
		rc = index_new(&table->by_name);
	if (rc == 0)
		rc = fd_statx(share->root, "", &stx);
	if (rc == 0) {
		is = identity_of(&stx);
		table->root = slot_new(table, &is, &rc);
	}
	if (!table->root) {
		node_table_free(table);
		return rc;
	}
	assert(table->root->node.id == FUSE_ROOT_ID);
	table->root->node.fd = share->root;
	table->root->node.storage = fd_storage(share->root);
	table->root->node.device = device_index(table, is.dev);
	*out = table;
	return 0;
}

void node_table_clear(struct node_table *table)
{
	struct slot *dead = NULL;
	uint32_t i;

	pthread_mutex_lock(&table->lock);
	for (i = 1; i < table->n_places; i++) {
		struct slot *slot = table->places[i].slot;

		if (slot) {
			slot->lookups = 0;
			slot_settle(table, slot, &dead);
		}
	}
	pthread_mutex_unlock(&table->lock);
	slots_bury(dead);
}

void node_table_free(struct node_table *table)
{
	if (!table)
		return;
	if (table->root) {
		node_table_clear(table);
		pthread_mutex_destroy(&table->root->node.lock);
		free(table->root);
	}
	index_free(&table->by_inode);
	index_free(&table->by_name);
	free(table->places);
	pthread_mutex_destroy(&table->lock);
	free(table);
	descriptors_leave();
}

void node_table_count(struct node_table *table, uint64_t *nodes, uint64_t *descriptors)
{
	pthread_mutex_lock(&table->lock);
	*nodes = table->nodes;
	*descriptors = table->descriptors;
	pthread_mutex_unlock(&table->lock);
}

int node_statx(const struct node *node, int fd, struct statx *stx)
{
	return fd_statx(fd >= 0 ? fd : node->fd, "", stx);
}

void node_proc_name(const struct node *node, char name[NODE_PROC_NAME])
{
	snprintf(name, NODE_PROC_NAME, "%d", node->fd);
}

/*
 * One try. That nothing but a regular file or a directory is behind the descriptor is known: each descriptor that a
 * node ever had was asked for its type (identity_equal()). Were it not so, O_NONBLOCK would keep a FIFO from waiting
 * for its other end; what it refuses to wait for is somebody's lease, which is waited for where the caller may.
 */
static int open_contents(struct share *share, const char *name, int *flags)
{
	const int always = O_CLOEXEC | O_NOCTTY;
	int fd = openat(share->proc_fd, name, *flags | O_NONBLOCK | always);

	if (fd < 0 && errno == EPERM && (*flags & O_NOATIME)) {
		*flags &= ~O_NOATIME;
		fd = openat(share->proc_fd, name, *flags | O_NONBLOCK | always);
	}
	if (fd < 0 && errno == EAGAIN && !(*flags & O_NONBLOCK))
		fd = openat(share->proc_fd, name, *flags | always);
	return fd;
}

int share_open_node(struct share *share, const struct node *node, int flags)
{
	char name[NODE_PROC_NAME];
	int fd;

	if (S_ISLNK(node->type))
		return -ELOOP;
	if (!S_ISREG(node->type) && !S_ISDIR(node->type))
		return -ENXIO;
	if (node->storage == STORAGE_PROCESSES || (node->storage == STORAGE_KERNEL && S_ISREG(node->type)))
		return -EACCES;
	/* What is left has no say in *what* is opened: that is the descriptor's inode and nothing else. O_NOFOLLOW
	 * would refuse the way through /proc. */
	flags &= O_ACCMODE | O_APPEND | O_TRUNC | O_SYNC | O_DSYNC | O_NOATIME | O_NONBLOCK | O_LARGEFILE;
	/* Reading leaves no time of access behind in a readonly share, where capsa is the file's owner or root. */
	if (share->options.readonly)
		flags |= O_NOATIME;
	node_proc_name(node, name);
	do {
		fd = open_contents(share, name, &flags);
	} while (fd < 0 && (errno == EMFILE || errno == ENFILE) && node_table_relieve(share->nodes));
	return fd < 0 ? -errno : fd;
}
