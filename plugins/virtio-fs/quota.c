/* SPDX-License-Identifier: MIT */
/*
 * quota.c - see quota.h.
 *
 * THEORY OF OPERATION. Two counts, bytes and inodes, each with a limit. A charge first reserves what an operation may
 * need at most and puts the difference of the inode's st_blocks in its place afterwards. The count may end a few blocks
 * above the limit then (a byte takes a block, a file a block of extents), but nothing is granted as long as it is.
 *
 * A file without a name takes its space until the last descriptor of it is closed; were it given back at UNLINK, a
 * guest could fill the disk with files that it holds open and has removed. So what has no name is an orphan here, and
 * its space comes back when no descriptor of this process is one of it any more. Nodes, handles and locks all have
 * descriptors of their own and none of them knows of the others, hence we look through /proc/self/fd: seldom, namely
 * when something would be refused, somebody asks how much is left, or orphans have become many. An orphan must be
 * missed twice (a number may be another file by the time we ask): its last descriptor may have moved to a lower number
 * behind our back, from the node to a handle, say. LINK gives an orphan a name again (linkat(2) of a tmpfile).
 *
 * How much of the count is an inode's own is remembered for each that the guest made or changed, and no more than that
 * is ever given back for it, so that it does not matter when. What was there before the guest came gives nothing back.
 * Besides, file systems add blocks of extents behind our back when they write out, and a guest that
 * makes and removes files would gain one each time. There are INODES_MAX of these; what has no place gives nothing
 * back.
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
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "plugins/virtio-fs/quota.h"

#include "plugins/virtio-fs/node-index.h"

#define BLOCK 512u /* of st_blocks */
#define NODE_LOCKS 64u
#define INODES_MAX (1u << 19) /* about 40 MiB */
#define ORPHANS_MANY 1024u    /* this many new ones are worth a look at the descriptors */
#define MISSES 2u
#define REST 10 /* a look may have one part in this many of a thread's time */

struct inode {
	struct index_link link; /* the first member */
	dev_t dev;
	ino_t ino;
	uint64_t charged; /* blocks: its part of the count */
	bool is_counted;  /* and it is one of the inodes */
	bool is_orphan;
	LIST_ENTRY(inode) orphans;
	uint64_t seen, born; /* looks: the last that found it, and the last before it was an orphan */
	unsigned misses;
};

struct count {
	uint64_t max, used; /* max 0: no limit */
};

struct quota {
	pthread_mutex_t node_locks[NODE_LOCKS]; /* held from begin to end */
	pthread_mutex_t look_lock; /* one looks at a time; held across readdir and fstat of /proc/self/fd */
	int64_t rest_until;        /* of the next look; under look_lock, as the next */
	uint64_t n_descriptors;    /* of nodes, at the last look */

	pthread_mutex_t lock; /* the rest, never across a system call */
	struct count bytes, inodes_count;
	uint64_t seed;
	struct index inodes;
	LIST_HEAD(, inode) orphans;
	size_t n_orphans, n_survivors; /* now; after the last look, those that are still some */
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
	if (!quota || index_new(&quota->inodes)) {
		free(quota);
		return -ENOMEM;
	}
	if (getrandom(&quota->seed, sizeof quota->seed, GRND_NONBLOCK) != (ssize_t)sizeof quota->seed)
		quota->seed = (uintptr_t)quota;
	LIST_INIT(&quota->orphans);
	quota->bytes.max = max_bytes;
	quota->inodes_count.max = max_inodes;
	for (i = 0; i < NODE_LOCKS; i++)
		pthread_mutex_init(&quota->node_locks[i], NULL);
	pthread_mutex_init(&quota->look_lock, NULL);
	pthread_mutex_init(&quota->lock, NULL);
	*out = quota;
	return 0;
}

void quota_free(struct quota *quota)
{
	unsigned i;

	if (!quota)
		return;
	for (size_t bucket = 0; bucket < quota->inodes.n; bucket++) {
		struct index_link *link = quota->inodes.buckets[bucket], *next;

		for (; link; link = next) {
			next = link->next;
			free(link); /* the inode begins with it */
		}
	}
	index_free(&quota->inodes);
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

/* Inodes. All with `lock` held. */

static struct inode *inode_of(struct index_link *link)
{
	return (struct inode *)(void *)link;
}

static uint64_t inode_hash(const struct quota *quota, dev_t dev, ino_t ino)
{
	const uint64_t key[] = { dev, ino };

	return index_hash(quota->seed, key, sizeof key);
}

static struct inode *inode_find(const struct quota *quota, dev_t dev, ino_t ino)
{
	struct index_link *link = index_first(&quota->inodes, inode_hash(quota, dev, ino));

	while (link && (inode_of(link)->ino != ino || inode_of(link)->dev != dev))
		link = index_next(link);
	return link ? inode_of(link) : NULL;
}

static dev_t device_of(const struct statx *stx)
{
	return makedev(stx->stx_dev_major, stx->stx_dev_minor);
}

/* Finds it, or remembers it with the blocks that it has: cut by the guest, these are credit. NULL: no place. */
static struct inode *inode_get(struct quota *quota, const struct statx *stx)
{
	struct inode *inode = inode_find(quota, device_of(stx), stx->stx_ino);

	if (inode || quota->inodes.links >= INODES_MAX)
		return inode;
	inode = calloc(1, sizeof *inode);
	if (!inode)
		return NULL;
	inode->dev = device_of(stx);
	inode->ino = stx->stx_ino;
	index_add(&quota->inodes, &inode->link, inode_hash(quota, inode->dev, inode->ino));
	return inode;
}

static void orphan_begin(struct quota *quota, struct inode *inode)
{
	if (inode->is_orphan)
		return;
	inode->is_orphan = true;
	inode->born = quota->looks;
	inode->misses = 0;
	LIST_INSERT_HEAD(&quota->orphans, inode, orphans);
	quota->n_orphans++;
}

static void orphan_end(struct quota *quota, struct inode *inode)
{
	if (!inode->is_orphan)
		return;
	inode->is_orphan = false;
	LIST_REMOVE(inode, orphans);
	quota->n_orphans--;
	if (quota->n_survivors > quota->n_orphans)
		quota->n_survivors = quota->n_orphans;
}

/* It is gone, and what it has of the counts. */
static void orphan_settle(struct quota *quota, struct inode *inode)
{
	count_sub(&quota->bytes, inode->charged * BLOCK);
	count_sub(&quota->inodes_count, inode->is_counted);
	orphan_end(quota, inode);
	index_remove(&quota->inodes, &inode->link);
	free(inode);
}

/* Looks. */

static void see(struct quota *quota, const struct stat *st)
{
	struct inode *inode;

	if (st->st_nlink)
		return;
	pthread_mutex_lock(&quota->lock);
	inode = inode_find(quota, st->st_dev, st->st_ino);
	if (inode)
		inode->seen = quota->looks;
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
	struct inode *inode, *next;

	pthread_mutex_lock(&quota->lock);
	for (inode = LIST_FIRST(&quota->orphans); inode; inode = next) {
		next = LIST_NEXT(inode, orphans);
		if (inode->seen == quota->looks)
			inode->misses = 0;
		else if (inode->born < quota->looks && ++inode->misses >= MISSES)
			orphan_settle(quota, inode);
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
	uint64_t nodes, descriptors;
	size_t orphans, survivors;

	node_table_count(share->nodes, &nodes, &descriptors);
	pthread_mutex_lock(&quota->look_lock);
	pthread_mutex_lock(&quota->lock);
	orphans = quota->n_orphans;
	survivors = quota->n_survivors;
	pthread_mutex_unlock(&quota->lock);
	/*
	 * A guest that holds orphans and goes on asking must not keep us looking; new orphans are worth it always, and
	 * so is a node that went since: its descriptor may have been an orphan's last.
	 */
	if (orphans && (orphans > survivors || descriptors != quota->n_descriptors || now() >= quota->rest_until)) {
		quota->n_descriptors = descriptors;
		look(quota, share->proc_fd);
	}
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
	pthread_mutex_lock(&quota->lock);
	inode_get(quota, &stx);
	pthread_mutex_unlock(&quota->lock);
	charge->node = node;
	charge->reserved = len;
	charge->blocks = stx.stx_blocks;
	return 0;
}

void quota_end(struct share *share, struct quota_charge *charge)
{
	struct quota *quota = share->quota;
	struct inode *inode;
	struct statx stx;
	uint64_t less;

	if (!charge->node)
		return;
	/* Cannot be told: what was reserved is what it took. */
	if (!node_statx(charge->node, -1, &stx)) {
		pthread_mutex_lock(&quota->lock);
		count_sub(&quota->bytes, charge->reserved);
		inode = inode_find(quota, device_of(&stx), stx.stx_ino);
		if (stx.stx_blocks >= charge->blocks) {
			quota->bytes.used += (stx.stx_blocks - charge->blocks) * BLOCK;
			if (inode)
				inode->charged += stx.stx_blocks - charge->blocks;
		} else if (inode) {
			less = charge->blocks - stx.stx_blocks;
			less = less < inode->charged ? less : inode->charged;
			count_sub(&quota->bytes, less * BLOCK);
			inode->charged -= less;
		}
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
	if (!add(quota, &quota->inodes_count, 1) && (!reclaim(share) || !add(quota, &quota->inodes_count, 1)))
		return -EDQUOT;
	return 0;
}

void quota_inode_undo(struct share *share)
{
	struct quota *quota = share->quota;

	if (!quota)
		return;
	pthread_mutex_lock(&quota->lock);
	count_sub(&quota->inodes_count, 1);
	pthread_mutex_unlock(&quota->lock);
}

void quota_made(struct share *share, const struct statx *stx)
{
	struct quota *quota = share->quota;
	struct inode *inode;

	if (!quota)
		return;
	pthread_mutex_lock(&quota->lock);
	inode = inode_find(quota, device_of(stx), stx->stx_ino);
	if (inode && inode->is_orphan)
		orphan_settle(quota, inode);
	inode = inode_get(quota, stx);
	if (inode) {
		inode->charged = stx->stx_blocks;
		inode->is_counted = true;
	}
	quota->bytes.used += stx->stx_blocks * BLOCK;
	pthread_mutex_unlock(&quota->lock);
}

void quota_removed(struct share *share, const struct statx *stx)
{
	struct quota *quota = share->quota;
	struct inode *inode;
	bool many;

	if (!quota)
		return;
	pthread_mutex_lock(&quota->lock);
	if (stx->stx_nlink) {
		/* It has a name again. */
		inode = inode_find(quota, device_of(stx), stx->stx_ino);
		if (inode)
			orphan_end(quota, inode);
	} else {
		inode = inode_get(quota, stx);
		if (inode)
			orphan_begin(quota, inode);
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
	inodes = quota->inodes_count;
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
