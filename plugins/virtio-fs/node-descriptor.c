/* SPDX-License-Identifier: MIT */
/*
 * node-descriptor.c - the descriptors of nodes: fewer than there are nodes, given to those that are used.
 *
 * THEORY OF OPERATION. A descriptor is counted before it is opened, so that the limit holds however many threads open
 * at once; where it is reached, the node that was used least recently loses its own. Such a node is opened again from
 * its nearest ancestor that has one, one name at a time, each checked to be the inode that it was: a loop of steps, not
 * a recursion, since the guest chooses how deep its trees are.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/openat2.h>

#include "plugins/virtio-fs/node-table.h"

/* fs/configfs/mount.c of Linux; its headers for programs do not have it. */
#ifndef CONFIGFS_MAGIC
#define CONFIGFS_MAGIC 0x62656570
#endif

#define CLOSE_BATCH 32u
#define LIMIT_MIN 16u
#define REGAIN_AFTER 64u /* descriptors that were closed for others */
/*
 * Each open node pins an inode and its names in the host's memory, about 1 KiB; to open one again is two system calls.
 * More than this does not pay.
 */
#define DESCRIPTORS_WANTED (UINT64_C(1) << 17)
#define DEPTH_MAX 16384u /* levels that are opened again at a time; PATH_MAX allows 2048 */

/* What the process may have, after asking for enough: the soft limit is often 1024. */
static uint64_t descriptors_of_process(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 256;
	if (limit.rlim_cur < DESCRIPTORS_WANTED && limit.rlim_cur < limit.rlim_max) {
		rlim_t before = limit.rlim_cur;

		limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			limit.rlim_cur = before;
	}
	return limit.rlim_cur < DESCRIPTORS_WANTED ? limit.rlim_cur : DESCRIPTORS_WANTED;
}

/* RLIMIT_NOFILE is the process', so how many shares there are in it is the process' affair, too. */
static atomic_uint shares;

void descriptors_join(void)
{
	atomic_fetch_add(&shares, 1);
}

void descriptors_leave(void)
{
	atomic_fetch_sub(&shares, 1);
}

uint64_t descriptors_of_share(uint64_t descriptors)
{
	const unsigned n = atomic_load_explicit(&shares, memory_order_relaxed);

	return n > 1 ? descriptors / n : descriptors;
}

/* Half and a quarter: the rest is for other devices, and for what is open for the length of a call. */
uint64_t descriptors_for_nodes(void)
{
	return descriptors_of_process() / 2;
}

uint64_t descriptors_for_handles(void)
{
	return descriptors_of_process() / 4;
}

int fd_statx(int fd, const char *name, struct statx *stx)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_STATX_SYNC_AS_STAT | (*name ? 0 : AT_EMPTY_PATH);

	return statx(fd, name, flags, NODE_STATX, stx) < 0 ? -errno : 0;
}

enum storage fd_storage(int fd)
{
	struct statfs st;

	if (fstatfs(fd, &st) < 0)
		return STORAGE_UNKNOWN;
	switch ((unsigned long)st.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
		return STORAGE_LOCAL;
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
	case HUGETLBFS_MAGIC:
		return STORAGE_MEMORY;
	case PROC_SUPER_MAGIC:
		return STORAGE_PROCESSES;
	case SYSFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case SELINUX_MAGIC:
	case SMACK_MAGIC:
	case BPF_FS_MAGIC:
	case EFIVARFS_MAGIC:
	case CONFIGFS_MAGIC:
	case PSTOREFS_MAGIC:
	case BINFMTFS_MAGIC:
	case RDTGROUP_SUPER_MAGIC:
	case XENFS_SUPER_MAGIC:
		return STORAGE_KERNEL;
	default:
		return STORAGE_UNKNOWN;
	}
}

void slot_list(struct node_table *table, struct slot *slot)
{
	bool want = slot->node.fd >= 0 && !slot->holds && slot->name && slot != table->root;

	if (want == slot->evictable)
		return;
	slot->evictable = want;
	if (want) {
		slot->newer = NULL;
		slot->older = table->newest;
		*(table->newest ? &table->newest->newer : &table->oldest) = slot;
		table->newest = slot;
	} else {
		*(slot->newer ? &slot->newer->older : &table->newest) = slot->older;
		*(slot->older ? &slot->older->newer : &table->oldest) = slot->newer;
		slot->older = slot->newer = NULL;
	}
}

/* Takes up to `max` of the least recently used ones from their nodes; the caller closes them. Under the lock. */
static unsigned evict(struct node_table *table, int *fds, unsigned max)
{
	unsigned n = 0;

	while (n < max && table->oldest) {
		struct slot *slot = table->oldest;

		fds[n++] = slot->node.fd;
		slot->node.fd = -1;
		table->descriptors--;
		slot_list(table, slot);
	}
	return n;
}

static void close_all(const int *fds, unsigned n)
{
	while (n)
		close(fds[--n]);
}

/* How many there may be now. Under the lock. */
static uint64_t limit_now(const struct node_table *table)
{
	const uint64_t most = descriptors_of_share(table->most);

	return table->limit < most ? table->limit : most;
}

/*
 * One was closed to make room. What was given up when the process had none (node_table_relieve()) comes back in small
 * steps: whoever needed them may not any more, and if he does, it is taken again.
 */
static void regain(struct node_table *table)
{
	if (table->limit < table->most && ++table->evictions % REGAIN_AFTER == 0)
		table->limit++;
}

/* Counts one more. 0 or -EMFILE. */
static int reserve(struct node_table *table)
{
	int fds[CLOSE_BATCH], rc = 0;
	unsigned n;

	do {
		n = 0;
		pthread_mutex_lock(&table->lock);
		if (table->descriptors >= limit_now(table))
			n = evict(table, fds, 1);
		if (table->descriptors >= limit_now(table) && n) /* the limit was lowered */
			n += evict(table, fds + n, CLOSE_BATCH - n);
		if (n)
			regain(table);
		rc = table->descriptors < limit_now(table) ? 0 : -EMFILE;
		if (rc == 0)
			table->descriptors++;
		pthread_mutex_unlock(&table->lock);
		close_all(fds, n);
	} while (rc < 0 && n);
	return rc;
}

static void unreserve(struct node_table *table)
{
	pthread_mutex_lock(&table->lock);
	table->descriptors--;
	pthread_mutex_unlock(&table->lock);
}

bool node_table_relieve(struct node_table *table)
{
	int fds[CLOSE_BATCH];
	unsigned n;

	pthread_mutex_lock(&table->lock);
	n = evict(table, fds, CLOSE_BATCH);
	/* Somebody else needs them. It would soon be so again; see regain(). */
	if (n && table->limit > table->descriptors && table->descriptors >= LIMIT_MIN)
		table->limit = table->descriptors;
	pthread_mutex_unlock(&table->lock);
	close_all(fds, n);
	return n > 0;
}

/* openat2(2), which the C library has no function for. */
static int open_cached(struct node_table *table, int dir, const char *name, int flags)
{
	struct open_how how = { .flags = (uint64_t)flags, .resolve = RESOLVE_CACHED };
	int fd;

	if (!atomic_load_explicit(&table->no_cached, memory_order_relaxed)) {
		fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof how);
		if (fd >= 0 || (errno != ENOSYS && errno != EINVAL && errno != EPERM))
			return fd;
		atomic_store_explicit(&table->no_cached, true, memory_order_relaxed);
	}
	errno = EAGAIN;
	return -1;
}

int descriptor_open(struct node_table *table, int dir, const char *name, enum how how)
{
	const int flags = O_PATH | O_CLOEXEC | (how == OPEN_FOLLOWED ? 0 : O_NOFOLLOW);
	int rc = reserve(table), fd;

	if (rc < 0)
		return rc;
	do {
		fd = how == OPEN_CACHED ? open_cached(table, dir, name, flags) : openat(dir, name, flags);
	} while (fd < 0 && (errno == EMFILE || errno == ENFILE) && node_table_relieve(table));
	if (fd < 0) {
		rc = -errno;
		unreserve(table);
		return rc;
	}
	return fd;
}

void descriptor_close(struct node_table *table, int fd)
{
	close(fd);
	unreserve(table);
}

/* `child` stood at `name` in `dir`, which is open; both are held. 0 or -errno. */
static int step(struct node_table *table, const struct slot *dir, struct slot *child, const char *name)
{
	struct identity is;
	struct statx stx;
	int fd, rc;

	fd = descriptor_open(table, dir->node.fd, name, OPEN_ANY);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
	rc = fd_statx(fd, "", &stx);
	if (rc == 0) {
		is = identity_of(&stx);
		if (!identity_equal(&is, &child->is))
			rc = -ESTALE;
	}
	if (rc == 0) {
		pthread_mutex_lock(&table->lock);
		if (child->node.fd < 0) {
			child->node.fd = fd;
			fd = -1;
		}
		pthread_mutex_unlock(&table->lock);
	}
	if (fd >= 0)
		descriptor_close(table, fd);
	return rc;
}

/* The topmost one without a descriptor on the way up from the slot: its parent has one. NULL: the way is lost. */
static struct slot *nearest(const struct slot *slot)
{
	const struct slot *at = slot;
	unsigned depth = 0;

	while (at->parent && at->parent->node.fd < 0 && depth++ < DEPTH_MAX)
		at = at->parent;
	return at->parent && at->parent->node.fd >= 0 ? slot_of(&at->node) : NULL;
}

int descriptor_restore(struct node_table *table, struct slot *slot)
{
	struct slot *child, *dir = NULL, *last = NULL;
	char name[NAME_MAX + 1];
	bool is_open = false;
	unsigned steps;
	int rc = 0;

	for (steps = 0; rc == 0 && steps < 2 * DEPTH_MAX; steps++) {
		pthread_mutex_lock(&table->lock);
		is_open = slot->node.fd >= 0;
		child = is_open ? NULL : nearest(slot);
		if (child) {
			dir = child->parent;
			slot_hold(table, child);
			slot_hold(table, dir);
			strcpy(name, child->name);
		}
		pthread_mutex_unlock(&table->lock);
		/* Until now, so that nobody took the descriptor that this step stands on. */
		if (last)
			slot_put(table, last);
		last = child;
		if (!child)
			break;
		rc = step(table, dir, child, name);
		slot_put(table, dir);
	}
	if (last)
		slot_put(table, last);
	return is_open || rc < 0 ? rc : -ESTALE;
}

void node_table_limit(struct node_table *table, uint64_t descriptors)
{
	int fds[CLOSE_BATCH];
	unsigned n;

	do {
		n = 0;
		pthread_mutex_lock(&table->lock);
		table->limit = table->most = descriptors;
		if (table->descriptors > table->limit)
			n = evict(table, fds, CLOSE_BATCH);
		pthread_mutex_unlock(&table->lock);
		close_all(fds, n);
	} while (n);
}
