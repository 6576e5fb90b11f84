/* SPDX-License-Identifier: MIT */
/*
 * owner-store.c - where records of owners are kept: in the file's extended attribute, or in memory where there can be
 * none. Owns `struct owners` and what node->owner says.
 *
 * THE ATTRIBUTE is one of the user's (user.capsa.owner): regular files and directories may have these, if the file
 * system does (tmpfs has none before Linux 6.6). It is read and set through a real descriptor, the caller's or one that
 * is opened for it: there is no path to a node, and an O_PATH descriptor will not do. O_NONBLOCK, so that nobody waits
 * here for another process to give back a lease (-EAGAIN; owner_wait()).
 *
 * IN MEMORY are those of links, of special files that the host made, and of all files on file systems without
 * attributes; by device, inode, and birth time where there is one, since numbers of inodes are used again. They go with
 * the inode (owner_removed()) and with the machine, and there are at most OWNER_MEMORY_MAX: the guest gets ENOSPC then.
 *
 * THE CACHE, node->owner, saves the reading of the attribute at each look-up and getattr, that is, one to three system
 * calls. It holds as long as the inode's ctime is what it was: setting an attribute changes it, as chmod does, whoever
 * does it. But timestamps have a granularity: a tick of some milliseconds at best, whole seconds on ext4 with small
 * inodes, two on FAT. What was read in the same grain as the last change may have changed since, unseen. So it is kept
 * only if the ctime was, at the time of reading, older than any grain (time_is_settled()); until then each reading goes
 * to the file. The attributes must have been taken before the record was read, not after: then a change in between
 * makes for a ctime that is newer than the one it is kept under, and the record is read once more. A time in the future
 * (a server's clock) is never old enough. Of a file that was made a moment ago the record is known without
 * reading, and is handed to the answer that tells the guest of the file, once.
 *
 * LOCKS. A change of a record is a reading, a chmod and a writing: they are under owners_lock(), one of a few mutexes
 * chosen by the node. It is not node->lock, which quota.h holds across whole operations that may need us. It also
 * guards node->owner. `memory_lock` is below it. Neither is held while the other rooms are called but for
 * share_open_node().
 */
#include "owner-private.h"

#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define N_LOCKS 64u

/* node->owner.state: nothing, or CACHED and the `has` of a record. ONCE: for the next one who asks. */
#define CACHED 0x80u
#define ONCE 0x40u

struct memory_key {
	uint64_t ino;
	int64_t birth_sec;
	uint32_t birth_nsec, dev_major, dev_minor;
};

struct memory_entry {
	struct memory_key key;
	struct owner_record record;
};

struct owners {
	uid_t uid;
	gid_t gid;
	pthread_mutex_t locks[N_LOCKS];
	pthread_mutex_t memory_lock;
	void *memory;             /* tsearch(3) tree of struct memory_entry */
	atomic_uint n_memory;     /* changed under memory_lock */
	atomic_uint capabilities; /* owner_capabilities() */
};

int owners_new(struct share *share, struct owners **out)
{
	struct owners *owners = calloc(1, sizeof *owners);

	(void)share;
	if (!owners)
		return -ENOMEM;
	owners->uid = geteuid();
	owners->gid = getegid();
	atomic_init(&owners->capabilities, 1);
	for (unsigned i = 0; i < N_LOCKS; i++)
		pthread_mutex_init(&owners->locks[i], NULL);
	pthread_mutex_init(&owners->memory_lock, NULL);
	*out = owners;
	return 0;
}

void owners_free(struct owners *owners)
{
	if (!owners)
		return;
	tdestroy(owners->memory, free);
	pthread_mutex_destroy(&owners->memory_lock);
	for (unsigned i = 0; i < N_LOCKS; i++)
		pthread_mutex_destroy(&owners->locks[i]);
	free(owners);
}

uid_t owners_uid(const struct owners *owners)
{
	return owners->uid;
}

gid_t owners_gid(const struct owners *owners)
{
	return owners->gid;
}

void owners_lock(struct owners *owners, const struct node *node)
{
	pthread_mutex_lock(&owners->locks[node->id % N_LOCKS]);
}

void owners_unlock(struct owners *owners, const struct node *node)
{
	pthread_mutex_unlock(&owners->locks[node->id % N_LOCKS]);
}

/* In memory. */

static struct memory_key memory_key(const struct statx *stx)
{
	struct memory_key key = {
		.ino = stx->stx_ino,
		.dev_major = stx->stx_dev_major,
		.dev_minor = stx->stx_dev_minor,
	};

	if (stx->stx_mask & STATX_BTIME) {
		key.birth_sec = stx->stx_btime.tv_sec;
		key.birth_nsec = stx->stx_btime.tv_nsec;
	}
	return key;
}

static int compare(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

/* Both point to a key: entries begin with theirs. */
static int memory_compare(const void *left, const void *right)
{
	const struct memory_key *a = left, *b = right;
	int r = compare(a->ino, b->ino);

	if (r == 0)
		r = compare(a->dev_minor, b->dev_minor);
	if (r == 0)
		r = compare(a->dev_major, b->dev_major);
	if (r == 0)
		r = compare(a->birth_nsec, b->birth_nsec);
	if (r == 0)
		r = compare((uint64_t)a->birth_sec, (uint64_t)b->birth_sec);
	return r;
}

static void memory_get(struct owners *owners, const struct statx *stx, struct owner_record *record)
{
	const struct memory_key key = memory_key(stx);
	struct memory_entry **found;

	pthread_mutex_lock(&owners->memory_lock);
	found = tfind(&key, &owners->memory, memory_compare);
	*record = found ? (*found)->record : (struct owner_record){ 0 };
	pthread_mutex_unlock(&owners->memory_lock);
}

static void memory_remove(struct owners *owners, const struct statx *stx)
{
	const struct memory_key key = memory_key(stx);
	struct memory_entry **found, *entry;

	pthread_mutex_lock(&owners->memory_lock);
	found = tfind(&key, &owners->memory, memory_compare);
	if (found) {
		entry = *found;
		tdelete(entry, &owners->memory, memory_compare);
		free(entry);
		atomic_fetch_sub(&owners->n_memory, 1);
	}
	pthread_mutex_unlock(&owners->memory_lock);
}

static int memory_set(struct owners *owners, const struct statx *stx, const struct owner_record *record)
{
	struct memory_entry *entry = calloc(1, sizeof *entry), **found;
	int r = 0;

	if (!entry)
		return -ENOMEM;
	entry->key = memory_key(stx);
	pthread_mutex_lock(&owners->memory_lock);
	found = tfind(&entry->key, &owners->memory, memory_compare);
	if (found) {
		(*found)->record = *record;
	} else if (atomic_load(&owners->n_memory) == OWNER_MEMORY_MAX) {
		r = -ENOSPC;
	} else if (!tsearch(entry, &owners->memory, memory_compare)) {
		r = -ENOMEM;
	} else {
		entry->record = *record;
		atomic_fetch_add(&owners->n_memory, 1);
		entry = NULL;
	}
	pthread_mutex_unlock(&owners->memory_lock);
	free(entry);
	return r;
}

bool owner_remembers(const struct share *share)
{
	return share->options.owner == OWNER_SQUASH && atomic_load(&share->owners->n_memory) != 0;
}

void owner_removed(struct share *share, const struct statx *stx)
{
	if (owner_remembers(share))
		memory_remove(share->owners, stx);
}

/* The attribute. */

static bool may_have_attribute(mode_t type)
{
	return S_ISREG(type) || S_ISDIR(type);
}

/* A descriptor that attributes can be reached by: `fd`, or a new one (*opened). Or -errno. */
static int real_descriptor(struct share *share, const struct node *node, int fd, bool *opened)
{
	const int flags = fd >= 0 ? fcntl(fd, F_GETFL) : O_PATH;

	*opened = false;
	if (flags >= 0 && !(flags & O_PATH))
		return fd;
	fd = share_open_node(share, node, O_RDONLY | O_NONBLOCK | (S_ISDIR(node->type) ? O_DIRECTORY : 0));
	*opened = fd >= 0;
	return fd;
}

static int attribute_get(struct share *share, const struct node *node, int fd, char text[OWNER_RECORD_TEXT_MAX],
                         size_t *len)
{
	ssize_t n;
	bool opened;
	int r = 0;

	fd = real_descriptor(share, node, fd, &opened);
	if (fd < 0)
		return fd;
	n = fgetxattr(fd, OWNER_XATTR, text, OWNER_RECORD_TEXT_MAX);
	if (n < 0)
		r = -errno;
	else
		*len = (size_t)n;
	if (opened)
		close(fd);
	return r;
}

static int attribute_set(struct share *share, const struct node *node, int fd, const struct owner_record *record)
{
	char text[OWNER_RECORD_TEXT_MAX];
	bool opened;
	int r = 0;

	fd = real_descriptor(share, node, fd, &opened);
	if (fd < 0)
		return fd;
	if (record->has) {
		if (fsetxattr(fd, OWNER_XATTR, text, owner_record_write(record, text), 0) < 0)
			r = -errno;
	} else if (fremovexattr(fd, OWNER_XATTR) < 0 && errno != ENODATA) {
		r = -errno;
	}
	if (opened)
		close(fd);
	return r;
}

static int capability_remove(struct share *share, const struct node *node, int fd, bool may_block)
{
	bool opened;
	int r = 0;

	fd = real_descriptor(share, node, fd, &opened);
	if (fd < 0)
		return fd == -EACCES ? 0 : fd;
	/* Looked at first: that takes no turn in the file system's log. */
	if (fgetxattr(fd, OWNER_XATTR_CAPABILITY, NULL, 0) < 0)
		r = errno == ENODATA || errno == EOPNOTSUPP || errno == EACCES ? 0 : -errno;
	else if (!may_block)
		r = CALL_BLOCKS;
	else if (fremovexattr(fd, OWNER_XATTR_CAPABILITY) < 0 && errno != ENODATA)
		r = -errno;
	if (opened)
		close(fd);
	return r;
}

int owner_drop_capability(struct share *share, struct node *node, int fd, bool may_block)
{
	int r;

	if (share->options.owner != OWNER_SQUASH || !S_ISREG(node->type) || atomic_load(&node->owner.no_capability))
		return 0;
	/* Said before it is true: who gives it one meanwhile takes it back afterwards. */
	atomic_store(&node->owner.no_capability, true);
	r = capability_remove(share, node, fd, may_block);
	if (r)
		atomic_store(&node->owner.no_capability, false);
	return r;
}

void owner_gave_capability(struct share *share, struct node *node)
{
	atomic_store(&node->owner.no_capability, false);
	if (share->options.owner == OWNER_SQUASH)
		atomic_fetch_add(&share->owners->capabilities, 1);
}

unsigned owner_capabilities(const struct share *share)
{
	return share->options.owner == OWNER_SQUASH ? atomic_load(&share->owners->capabilities) : 0;
}

int owner_store_read(struct share *share, struct node *node, int fd, const struct statx *stx,
                     struct owner_record *record)
{
	char text[OWNER_RECORD_TEXT_MAX];
	size_t len = 0;
	int r;

	*record = (struct owner_record){ 0 };
	r = may_have_attribute(node->type) ? attribute_get(share, node, fd, text, &len) : -EOPNOTSUPP;
	switch (r) {
	case 0:
		/* What is not a record of ours is none. */
		owner_record_read(record, node->type, text, len);
		return 0;
	case -EOPNOTSUPP:
		memory_get(share->owners, stx, record);
		return 0;
	case -ENODATA:
	case -ERANGE: /* too long for one of ours */
	case -EACCES: /* another user's file, which capsa may not read: nor has it ever written there */
	case -EPERM:
		return 0;
	default:
		return r;
	}
}

int owner_store_set(struct share *share, struct node *node, int fd, const struct statx *stx,
                    const struct owner_record *record)
{
	int r = may_have_attribute(node->type) ? attribute_set(share, node, fd, record) : -EOPNOTSUPP;

	node->owner.state = 0;
	if (r != -EOPNOTSUPP)
		return r;
	if (!record->has) {
		memory_remove(share->owners, stx);
		return 0;
	}
	return memory_set(share->owners, stx, record);
}

/* The cache. */

static void keep(struct share *share, struct node *node, const struct statx *stx, const struct owner_record *record,
                 unsigned state)
{
	owners_lock(share->owners, node);
	node->owner.ctime = stx->stx_ctime;
	node->owner.uid = record->uid;
	node->owner.gid = record->gid;
	node->owner.mode = record->mode;
	node->owner.rdev = record->rdev;
	node->owner.state = (uint8_t)(state | record->has);
	owners_unlock(share->owners, node);
}

void owner_store_made(struct share *share, struct node *node, const struct statx *stx,
                      const struct owner_record *record)
{
	keep(share, node, stx, record, CACHED | ONCE);
}

int owner_store_get(struct share *share, struct node *node, int fd, const struct statx *stx,
                    struct owner_record *record)
{
	struct owners *owners = share->owners;
	struct timespec now;
	bool cached, is_old;
	int r;

	if (!may_have_attribute(node->type)) {
		memory_get(owners, stx, record);
		return 0;
	}
	owners_lock(owners, node);
	cached = node->owner.state & CACHED && time_is_same(&node->owner.ctime, &stx->stx_ctime);
	if (cached)
		*record = (struct owner_record){
			.has = node->owner.state & ~(CACHED | ONCE),
			.uid = node->owner.uid,
			.gid = node->owner.gid,
			.mode = node->owner.mode,
			.rdev = node->owner.rdev,
		};
	if (node->owner.state & ONCE)
		node->owner.state = 0;
	owners_unlock(owners, node);
	if (cached)
		return 0;
	/* Asked before reading, as the comment above wants it. */
	is_old = clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 && time_is_settled(&stx->stx_ctime, &now);
	r = owner_store_read(share, node, fd, stx, record);
	if (r == 0 && is_old)
		keep(share, node, stx, record, CACHED);
	return r;
}
