/* SPDX-License-Identifier: MIT */
/*
 * quota.c - see quota.h.
 *
 * THEORY OF OPERATION. Two counts, bytes and inodes, each with a limit. A charge first reserves what an operation may
 * need at most and puts the difference of the inode's st_blocks in its place afterwards. The count may end a few blocks
 * above the limit then (a byte takes a block, a file a block of extents), but nothing is granted as long as it is.
 *
 * A file without a name takes its space until the last descriptor of it is closed; were it given back at UNLINK, a guest
 * could fill the disk with files that it holds open and has removed. So what has no name is an orphan here, and its
 * space comes back when no descriptor of this process is one of it any more. Nodes, handles and locks all have
 * descriptors of their own and none of them knows of the others, hence we look through /proc/self/fd: seldom, namely
 * when something would be refused, somebody asks how much is left, or orphans have become many. An orphan must be
 * missed twice: its last descriptor may have moved to a lower number behind our back, from the node to a handle, say.
 * LINK gives an orphan a name again (linkat(2) of a tmpfile).
 *
 * Inodes are known by device and number. An orphan's number is not used again as long as it is held. When quota_made()
 * comes with it, the old life is over and settled.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "plugins/virtio-fs/quota.h"

#define BLOCK 512u /* of st_blocks */
#define NODE_LOCKS 64u
#define BUCKETS 4096u
#define ORPHANS_MANY 1024u /* this many new ones are worth a look at the descriptors */
#define MISSES 2u
#define REST 10 /* a look may have one part in this many of a thread's time */

struct orphan {
	struct orphan *next;
	dev_t dev;
	ino_t ino;
	uint64_t blocks;
	uint64_t seen, born; /* looks: the last that found it, and the last before it was one */
	unsigned misses;
};

struct count {
	uint64_t max, used; /* max 0: no limit */
};

struct quota {
	pthread_mutex_t node_locks[NODE_LOCKS]; /* held from begin to end */
	pthread_mutex_t look_lock;              /* one looks at a time; held across readdir and fstat of /proc/self/fd */
	int64_t rest_until;                     /* of the next look; under look_lock */

	pthread_mutex_t lock; /* the rest, never across a system call */
	struct count bytes, inodes;
	struct orphan *orphans[BUCKETS];
	size_t n_orphans, n_survivors; /* now; after the last look */
	uint64_t looks;
};

int quota_new(uint64_t max_bytes, uint64_t max_inodes, struct quota **out)
{
	struct quota *quota;
	unsigned i;

	*out = NULL;
	if (!max_bytes && !max_inodes)
		return 0;
	quota = calloc(1, sizeof *quota);
	if (!quota)
		return -ENOMEM;
	quota->bytes.max = max_bytes;
	quota->inodes.max = max_inodes;
	for (i = 0; i < NODE_LOCKS; i++)
		pthread_mutex_init(&quota->node_locks[i], NULL);
	pthread_mutex_init(&quota->look_lock, NULL);
	pthread_mutex_init(&quota->lock, NULL);
	*out = quota;
	return 0;
}

void quota_free(struct quota *quota)
{
	struct orphan *orphan, *next;
	unsigned i;

	if (!quota)
		return;
	for (i = 0; i < BUCKETS; i++) {
		for (orphan = quota->orphans[i]; orphan; orphan = next) {
			next = orphan->next;
			free(orphan);
		}
	}
	for (i = 0; i < NODE_LOCKS; i++)
		pthread_mutex_destroy(&quota->node_locks[i]);
	pthread_mutex_destroy(&quota->look_lock);
	pthread_mutex_destroy(&quota->lock);
	free(quota);
}

/* Counts. */

static bool count_add(struct count *count, uint64_t n)
{
	if (n && count->max && (count->used >= count->max || n > count->max - count->used))
		return false;
	count->used += n;
	return true;
}

static void count_sub(struct count *count, uint64_t n)
{
	count->used -= n < count->used ? n : count->used;
}

/* Orphans. All but look() with `lock` held. */

static struct orphan **orphan_find(struct quota *quota, dev_t dev, ino_t ino)
{
	uint64_t hash = (ino ^ (uint64_t)dev << 32) * UINT64_C(0x9e3779b97f4a7c15);
	struct orphan **place = &quota->orphans[(hash >> 32) % BUCKETS];

	while (*place && ((*place)->ino != ino || (*place)->dev != dev))
		place = &(*place)->next;
	return place;
}

/* Takes it out of the table, and what it has of the counts. */
static void orphan_settle(struct quota *quota, struct orphan **place)
{
	struct orphan *orphan = *place;

	count_sub(&quota->bytes, orphan->blocks * BLOCK);
	count_sub(&quota->inodes, 1);
	*place = orphan->next;
	quota->n_orphans--;
	free(orphan);
}

static void see(struct quota *quota, const struct stat *st)
{
	struct orphan *orphan;

	if (st->st_nlink)
		return;
	pthread_mutex_lock(&quota->lock);
	orphan = *orphan_find(quota, st->st_dev, st->st_ino);
	if (orphan)
		orphan->seen = quota->looks;
	pthread_mutex_unlock(&quota->lock);
}

/* Begins a look: orphans that come from now on have time until the next. */
static void look_begin(struct quota *quota)
{
	pthread_mutex_lock(&quota->lock);
	quota->looks++;
	pthread_mutex_unlock(&quota->lock);
}

static void look_end(struct quota *quota)
{
	struct orphan **place;
	unsigned i;

	pthread_mutex_lock(&quota->lock);
	for (i = 0; i < BUCKETS; i++) {
		place = &quota->orphans[i];
		while (*place) {
			if ((*place)->seen == quota->looks)
				(*place)->misses = 0;
			else if ((*place)->born < quota->looks)
				(*place)->misses++;
			if ((*place)->misses >= MISSES)
				orphan_settle(quota, place);
			else
				place = &(*place)->next;
		}
	}
	quota->n_survivors = quota->n_orphans;
	pthread_mutex_unlock(&quota->lock);
}

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* Sees what has no name and which of it is open in this process. Called with look_lock. */
static void look(struct quota *quota, int proc_fd)
{
	int64_t since = now();
	const struct dirent *entry;
	unsigned round;
	struct stat st;
	DIR *dir;
	int fd = openat(proc_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return;
	}
	for (round = 0; round < MISSES; round++) {
		look_begin(quota);
		rewinddir(dir);
		errno = 0;
		while ((entry = readdir(dir))) {
			char *end;
			unsigned long number = strtoul(entry->d_name, &end, 10);

			if (end != entry->d_name && !*end && !fstat((int)number, &st))
				see(quota, &st);
			errno = 0;
		}
		if (errno)
			break; /* not all were seen: nothing follows from it */
		look_end(quota);
	}
	closedir(dir);
	quota->rest_until = now() + (now() - since) * REST;
}

/* Gives back what nothing holds. True: it may be worth another try. */
static bool reclaim(struct share *share)
{
	struct quota *quota = share->quota;
	size_t orphans, survivors;

	pthread_mutex_lock(&quota->look_lock);
	pthread_mutex_lock(&quota->lock);
	orphans = quota->n_orphans;
	survivors = quota->n_survivors;
	pthread_mutex_unlock(&quota->lock);
	/* A guest that holds orphans and goes on asking must not keep us looking; new orphans are worth it always. */
	if (orphans && (orphans > survivors || now() >= quota->rest_until))
		look(quota, share->proc_fd);
	pthread_mutex_unlock(&quota->look_lock);
	return orphans;
}

/* Charges. */

static bool add(struct quota *quota, struct count *count, uint64_t n)
{
	bool granted;

	pthread_mutex_lock(&quota->lock);
	granted = count_add(count, n);
	pthread_mutex_unlock(&quota->lock);
	return granted;
}

static pthread_mutex_t *node_lock(struct quota *quota, const struct node *node)
{
	return &quota->node_locks[(node->id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % NODE_LOCKS];
}

int quota_begin(struct share *share, struct node *node, uint64_t len, struct quota_charge *charge)
{
	struct quota *quota = share->quota;
	struct statx stx;
	int result;

	*charge = (struct quota_charge){ 0 };
	if (!quota)
		return 0;
	len = len > UINT64_MAX / 2 ? UINT64_MAX / 2 : (len + BLOCK - 1) / BLOCK * BLOCK;
	pthread_mutex_lock(node_lock(quota, node));
	result = node_statx(node, -1, &stx);
	if (!result && !add(quota, &quota->bytes, len) && (!reclaim(share) || !add(quota, &quota->bytes, len)))
		result = -EDQUOT;
	if (result) {
		pthread_mutex_unlock(node_lock(quota, node));
		return result;
	}
	charge->node = node;
	charge->reserved = len;
	charge->blocks = stx.stx_blocks;
	return 0;
}

void quota_end(struct share *share, struct quota_charge *charge)
{
	struct quota *quota = share->quota;
	struct orphan *orphan;
	struct statx stx;

	if (!charge->node)
		return;
	/* Cannot be told: what was reserved is what it took. */
	if (!node_statx(charge->node, -1, &stx)) {
		pthread_mutex_lock(&quota->lock);
		count_sub(&quota->bytes, charge->reserved);
		if (stx.stx_blocks >= charge->blocks)
			quota->bytes.used += (stx.stx_blocks - charge->blocks) * BLOCK;
		else
			count_sub(&quota->bytes, (charge->blocks - stx.stx_blocks) * BLOCK);
		orphan = *orphan_find(quota, makedev(stx.stx_dev_major, stx.stx_dev_minor), stx.stx_ino);
		if (orphan && !stx.stx_nlink)
			orphan->blocks = stx.stx_blocks;
		pthread_mutex_unlock(&quota->lock);
	}
	pthread_mutex_unlock(node_lock(quota, charge->node));
	charge->node = NULL;
}

/* Inodes. */

int quota_inode_begin(struct share *share)
{
	struct quota *quota = share->quota;

	if (!quota)
		return 0;
	if (!add(quota, &quota->inodes, 1) && (!reclaim(share) || !add(quota, &quota->inodes, 1)))
		return -EDQUOT;
	return 0;
}

void quota_inode_undo(struct share *share)
{
	struct quota *quota = share->quota;

	if (!quota)
		return;
	pthread_mutex_lock(&quota->lock);
	count_sub(&quota->inodes, 1);
	pthread_mutex_unlock(&quota->lock);
}

void quota_made(struct share *share, const struct statx *stx)
{
	struct quota *quota = share->quota;
	struct orphan **place;

	if (!quota)
		return;
	pthread_mutex_lock(&quota->lock);
	place = orphan_find(quota, makedev(stx->stx_dev_major, stx->stx_dev_minor), stx->stx_ino);
	if (*place)
		orphan_settle(quota, place);
	quota->bytes.used += stx->stx_blocks * BLOCK;
	pthread_mutex_unlock(&quota->lock);
}

void quota_removed(struct share *share, const struct statx *stx)
{
	struct quota *quota = share->quota;
	dev_t dev = makedev(stx->stx_dev_major, stx->stx_dev_minor);
	struct orphan **place, *orphan;
	bool many;

	if (!quota)
		return;
	pthread_mutex_lock(&quota->lock);
	place = orphan_find(quota, dev, stx->stx_ino);
	orphan = *place;
	if (stx->stx_nlink && orphan) {
		/* It has a name again. */
		*place = orphan->next;
		quota->n_orphans--;
		free(orphan);
	} else if (!stx->stx_nlink) {
		if (!orphan) {
			/* Without memory it is lost to the guest, which is better than the other way round. */
			orphan = calloc(1, sizeof *orphan);
			if (orphan) {
				orphan->dev = dev;
				orphan->ino = stx->stx_ino;
				orphan->next = *place;
				*place = orphan;
				quota->n_orphans++;
			}
		}
		if (orphan) {
			orphan->blocks = stx->stx_blocks;
			orphan->born = quota->looks;
			orphan->misses = 0;
		}
	}
	many = quota->n_orphans > quota->n_survivors * 2 + ORPHANS_MANY;
	pthread_mutex_unlock(&quota->lock);
	if (many)
		reclaim(share);
}

void quota_statfs(struct share *share, struct fuse_kstatfs *st)
{
	struct quota *quota = share->quota;
	struct count bytes, inodes;
	uint64_t unit = st->frsize ? st->frsize : st->bsize ? st->bsize : BLOCK;

	if (!quota)
		return;
	reclaim(share);
	pthread_mutex_lock(&quota->lock);
	bytes = quota->bytes;
	inodes = quota->inodes;
	pthread_mutex_unlock(&quota->lock);
	/* As a project quota has it: the limit is the size of the file system, so that df shows what is used of it. */
	if (bytes.max) {
		uint64_t left = bytes.used < bytes.max ? (bytes.max - bytes.used) / unit : 0;

		st->blocks = st->blocks < bytes.max / unit ? st->blocks : bytes.max / unit;
		st->bfree = st->bfree < left ? st->bfree : left;
		st->bavail = st->bavail < left ? st->bavail : left;
	}
	if (inodes.max) {
		uint64_t left = inodes.used < inodes.max ? inodes.max - inodes.used : 0;

		/* Some file systems have inodes without number and say 0. */
		st->ffree = st->files && st->ffree < left ? st->ffree : left;
		st->files = st->files && st->files < inodes.max ? st->files : inodes.max;
	}
}
