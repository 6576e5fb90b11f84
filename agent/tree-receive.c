/* SPDX-License-Identifier: MIT */
/*
 * tree-receive.c - the receiving side of tree.h. Called by the agent and by core/sandbox, one thread at a time.
 *
 * Theory of operation: what the stream may say next depends on where it is (enum place, `legal`). A record is looked at
 * where it lies in the caller's bytes when it lies there whole, else it is gathered in `record`, which holds the
 * longest there can be; a chunk's bytes are written to the file from where they lie.
 *
 * Every name is one component, used below a descriptor that is held: of the caller's folder, then of each folder that
 * the stream entered, opened without following a link. So neither the stream nor somebody who renames things meanwhile
 * leads it elsewhere. A hard link's way is walked from the root in the same manner, component by component as they
 * arrive.
 *
 * Whatever is no folder is made under a name of its own beside its place, gets its owner, mode and time there, and is
 * then renamed: nobody sees half of it, and what was there is never written to. A folder that was made gets its own at
 * its end, because it may be one that nothing can be put into; one that was there keeps them.
 *
 * It owns the descriptors of those folders (at most TREE_DEPTH_MAX), of one file, of one folder on a hard link's way,
 * and the temporary name.
 */
#include "agent/tree.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/protocol.h"
#include "agent/tree-private.h"

#define NANOSECONDS 1000000000u
#define TEMPORARY_TRIES 100u

/* The longest record: a link. A hard link's way is not gathered as a whole. */
#define RECORD_MAX (1u + 2u + TREE_NAME_LONGEST + TREE_ENTRY_TAIL + 2u + TREE_TARGET_LONGEST)

enum place {
	BEFORE_ROOT,
	IN_FOLDER,
	IN_FILE,
	IN_WAY, /* of a hard link: strings, no records */
	BEHIND_ROOT,
	BEHIND_END,
};

#define KIND(k) (1u << TREE_##k)
#define ENTRIES (KIND(FOLDER) | KIND(FILE) | KIND(LINK) | KIND(FIFO) | KIND(NODE))

static const unsigned legal[] = {
	[BEFORE_ROOT] = ENTRIES,
	[IN_FOLDER] = ENTRIES | KIND(HARD) | KIND(LEAVE),
	[IN_FILE] = KIND(CHUNK) | KIND(LEAVE),
	[IN_WAY] = 0,
	[BEHIND_ROOT] = KIND(END),
	[BEHIND_END] = 0,
};

struct attributes {
	uint32_t mode, uid, gid;
	struct timespec times[2]; /* as futimens(2) takes them */
};

struct level {
	int fd;
	bool made; /* by us: gets its attributes at its end */
	struct attributes attributes;
};

struct tree_receiver {
	int folder;
	unsigned flags;
	bool named; /* `root` is the caller's */
	char root[TREE_NAME_LONGEST + 1];

	enum place place;
	int failed; /* -errno for good */
	struct tree_way way;
	unsigned depth;
	struct level levels[TREE_DEPTH_MAX];

	/* The entry at hand: its name, and a temporary that is not renamed yet. */
	char name[TREE_NAME_LONGEST + 1];
	struct attributes attributes;
	char temporary[48]; /* "": none */
	uint64_t random;
	unsigned temporaries;

	/* A file. Its chunks go on from `end`. */
	int file;
	uint64_t size, at, end;
	uint32_t chunk_left;

	/* A hard link. */
	int walk; /* -1: the root */
	uint32_t steps_left;

	size_t gathered;
	unsigned char record[RECORD_MAX];
};

static int failed(const struct tree_receiver *r, struct tree_cause *cause, int code, const char *why)
{
	return tree_fail(cause, code, r->root, &r->way, why);
}

static int malformed(const struct tree_receiver *r, struct tree_cause *cause, const char *what)
{
	char why[128];

	snprintf(why, sizeof why, "the stream is malformed: %s", what);
	return failed(r, cause, EPROTO, why);
}

static int parent_of(const struct tree_receiver *r)
{
	return r->depth > 0 ? r->levels[r->depth - 1].fd : r->folder;
}

/* ---- names and places ---- */

static void name_begin(struct tree_receiver *r)
{
	size_t len = strlen(r->name);

	if (r->depth > 0)
		tree_way_push(&r->way, r->name, len);
	else
		memcpy(r->root, r->name, len + 1);
}

static void entry_end(struct tree_receiver *r)
{
	if (r->depth > 0)
		tree_way_pop(&r->way);
	r->place = r->depth > 0 ? IN_FOLDER : BEHIND_ROOT;
}

/* No other temporary of ours has this name, and hardly anything else. */
static void temporary_name(struct tree_receiver *r)
{
	snprintf(r->temporary, sizeof r->temporary, ".capsa-%016llx-%u", (unsigned long long)r->random,
	         r->temporaries++);
}

static void temporary_drop(struct tree_receiver *r)
{
	if (r->temporary[0])
		(void)unlinkat(parent_of(r), r->temporary, 0);
	r->temporary[0] = '\0';
}

/* Puts the temporary where it belongs. */
static int temporary_place(struct tree_receiver *r, struct tree_cause *cause)
{
	int parent = parent_of(r);

	if (renameat(parent, r->temporary, parent, r->name)) {
		if (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST)
			return failed(r, cause, EISDIR, "it is a folder, which nothing else replaces");
		return failed(r, cause, errno, NULL);
	}
	r->temporary[0] = '\0';
	return 0;
}

/* ---- attributes ---- */

static mode_t mode_of(const struct tree_receiver *r, const struct attributes *a)
{
	return a->mode & (r->flags & TREE_OWNERS ? 07777 : 01777);
}

static int attributes_set(const struct tree_receiver *r, int fd, const struct attributes *a, struct tree_cause *cause)
{
	/* In this order: a new owner takes the set-id bits away. */
	if ((r->flags & TREE_OWNERS && fchown(fd, a->uid, a->gid)) || fchmod(fd, mode_of(r, a)) ||
	    futimens(fd, a->times))
		return failed(r, cause, errno, NULL);
	return 0;
}

/*
 * Those of the temporary that is no file, and is not opened because that may have effects. It is pinned and looked at,
 * so that somebody who can write to the folder cannot have something else changed.
 */
static int attributes_set_pinned(const struct tree_receiver *r, mode_t type, struct tree_cause *cause)
{
	int parent = parent_of(r), rc = 0;
	int fd = openat(parent, r->temporary, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	char self[32];
	struct stat st;

	if (fd < 0)
		return failed(r, cause, errno, NULL);
	snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	if (fstat(fd, &st))
		rc = failed(r, cause, errno, NULL);
	else if ((st.st_mode & S_IFMT) != type || st.st_nlink != 1)
		rc = failed(r, cause, EBUSY, "it was replaced while it was made");
	else if ((r->flags & TREE_OWNERS && fchownat(fd, "", r->attributes.uid, r->attributes.gid, AT_EMPTY_PATH)) ||
	         (type != S_IFLNK && chmod(self, mode_of(r, &r->attributes))) ||
	         utimensat(parent, r->temporary, r->attributes.times, AT_SYMLINK_NOFOLLOW))
		rc = failed(r, cause, errno, NULL);
	close(fd);
	return rc;
}

/* ---- folders ---- */

static int folder_enter(struct tree_receiver *r, struct tree_cause *cause)
{
	int fd, parent = parent_of(r);
	bool made;

	if (r->depth == TREE_DEPTH_MAX)
		return failed(r, cause, ELOOP, "folders lie too deep in folders");
	made = !mkdirat(parent, r->name, 0700);
	if (!made && errno != EEXIST)
		return failed(r, cause, errno, NULL);
	fd = openat(parent, r->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return failed(r, cause, ENOTDIR, "it is no folder, and a folder does not replace it");
	if (fd < 0)
		return failed(r, cause, errno, NULL);
	r->levels[r->depth++] = (struct level){ .fd = fd, .made = made, .attributes = r->attributes };
	r->place = IN_FOLDER;
	return 0;
}

static int folder_leave(struct tree_receiver *r, struct tree_cause *cause)
{
	const struct level *level = &r->levels[r->depth - 1];
	int rc = level->made ? attributes_set(r, level->fd, &level->attributes, cause) : 0;

	if (rc)
		return rc;
	close(level->fd);
	r->depth--;
	entry_end(r);
	return 0;
}

/* ---- files ---- */

static int file_open(struct tree_receiver *r, uint64_t size, struct tree_cause *cause)
{
	int parent = parent_of(r);
	struct stat st;

	if (size > INT64_MAX)
		return failed(r, cause, EFBIG, NULL);
	/* A folder in its place is found at the end, too, but then much may have come for nothing. */
	if (r->depth == 0 && !fstatat(parent, r->name, &st, AT_SYMLINK_NOFOLLOW) && S_ISDIR(st.st_mode))
		return failed(r, cause, EISDIR, "it is a folder, which nothing else replaces");
	for (unsigned tries = 0; tries < TEMPORARY_TRIES; tries++) {
		temporary_name(r);
		r->file = openat(parent, r->temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (r->file >= 0 || errno != EEXIST)
			break;
	}
	if (r->file < 0) {
		r->temporary[0] = '\0';
		return failed(r, cause, errno, NULL);
	}
	r->size = size;
	r->at = r->end = 0;
	r->place = IN_FILE;
	return 0;
}

static int chunk_begin(struct tree_receiver *r, uint64_t offset, uint32_t len, struct tree_cause *cause)
{
	if (len > TREE_CHUNK_MAX)
		return malformed(r, cause, "a chunk that is too long");
	if (offset < r->end)
		return malformed(r, cause, "a chunk in front of the one before");
	if (offset > r->size || len > r->size - offset)
		return malformed(r, cause, "a chunk beyond the end of its file");
	r->at = offset;
	r->end = offset + len;
	r->chunk_left = len;
	return 0;
}

static int chunk_write(struct tree_receiver *r, const unsigned char *from, size_t len, struct tree_cause *cause)
{
	while (len > 0) {
		ssize_t n = pwrite(r->file, from, len, (off_t)r->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(r, cause, errno, NULL);
		from += n;
		len -= (size_t)n;
		r->at += (uint64_t)n;
		r->chunk_left -= (uint32_t)n;
	}
	return 0;
}

static int file_leave(struct tree_receiver *r, struct tree_cause *cause)
{
	int rc, fd = r->file;

	if (r->end < r->size && ftruncate(fd, (off_t)r->size))
		return failed(r, cause, errno, NULL);
	rc = attributes_set(r, fd, &r->attributes, cause);
	if (rc)
		return rc;
	r->file = -1;
	if (close(fd)) /* where a file system writes late, it says here that it could not */
		return failed(r, cause, errno, NULL);
	rc = temporary_place(r, cause);
	if (rc)
		return rc;
	entry_end(r);
	return 0;
}

/* ---- links, FIFOs, nodes ---- */

static int special_make(struct tree_receiver *r, mode_t type, const char *target, dev_t device,
                        struct tree_cause *cause)
{
	int rc = -1, parent = parent_of(r);

	for (unsigned tries = 0; rc && tries < TEMPORARY_TRIES; tries++) {
		temporary_name(r);
		rc = type == S_IFLNK ? symlinkat(target, parent, r->temporary)
		                     : mknodat(parent, r->temporary, type | 0600, device);
		if (rc && errno != EEXIST)
			break;
	}
	if (rc) {
		r->temporary[0] = '\0';
		return failed(r, cause, errno, NULL);
	}
	rc = attributes_set_pinned(r, type, cause);
	if (!rc)
		rc = temporary_place(r, cause);
	if (!rc)
		entry_end(r);
	return rc;
}

static int node_make(struct tree_receiver *r, uint64_t device, struct tree_cause *cause)
{
	mode_t type = r->attributes.mode & S_IFMT;

	if (type != S_IFCHR && type != S_IFBLK)
		return malformed(r, cause, "a device that is neither one of characters nor of blocks");
	if (!(r->flags & TREE_NODES))
		return failed(r, cause, EPERM, "it is a device node, which is not copied here");
	return special_make(r, type, NULL, (dev_t)device, cause);
}

/* ---- hard links ---- */

static void walk_end(struct tree_receiver *r)
{
	if (r->walk >= 0)
		close(r->walk);
	r->walk = -1;
}

static int walk_begin(struct tree_receiver *r, uint32_t steps, struct tree_cause *cause)
{
	if (steps == 0 || steps > TREE_DEPTH_MAX)
		return malformed(r, cause, "a hard link whose way is too long, or empty");
	r->steps_left = steps;
	r->place = IN_WAY;
	return 0;
}

/* `name` of the folder that was walked to: another name of it is made. */
static int hard_make(struct tree_receiver *r, int from, const char *name, struct tree_cause *cause)
{
	int rc = -1, parent = parent_of(r);
	struct stat st, there;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode))
		return malformed(r, cause, "a hard link to what is no file of it");
	if (!linkat(from, name, parent, r->name, 0))
		goto made;
	if (errno != EEXIST)
		return failed(r, cause, errno, NULL);
	/* Where it is a name of that file already, a rename would do nothing and leave the temporary. */
	if (!fstatat(parent, r->name, &there, AT_SYMLINK_NOFOLLOW) && there.st_ino == st.st_ino &&
	    there.st_dev == st.st_dev)
		goto made;
	for (unsigned tries = 0; tries < TEMPORARY_TRIES; tries++) {
		temporary_name(r);
		rc = linkat(from, name, parent, r->temporary, 0);
		if (!rc || errno != EEXIST)
			break;
	}
	if (rc) {
		r->temporary[0] = '\0';
		return failed(r, cause, errno, NULL);
	}
	rc = temporary_place(r, cause);
	if (rc)
		return rc;
made:
	walk_end(r);
	entry_end(r);
	return 0;
}

static int walk_step(struct tree_receiver *r, const char *name, struct tree_cause *cause)
{
	int fd, from = r->walk >= 0 ? r->walk : r->levels[0].fd;

	if (--r->steps_left == 0)
		return hard_make(r, from, name, cause);
	fd = openat(from, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return malformed(r, cause, "a hard link whose way does not lead through its folders");
	walk_end(r);
	r->walk = fd;
	return 0;
}

/* ---- records ---- */

static uint16_t length_at(const unsigned char *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

/*
 * How long the record at `at` is, as far as the `have` bytes of it that are there tell: more than `have` when it is not
 * whole. NULL, or what is wrong with it. A first look: lengths and the place only.
 */
static const char *record_needs(const struct tree_receiver *r, const unsigned char *at, size_t have, size_t *needs)
{
	size_t len, more;

	if (r->place == IN_WAY) {
		*needs = 2;
		if (have < 2)
			return NULL;
		*needs = 2u + length_at(at);
		return length_at(at) > TREE_NAME_LONGEST ? "a name that is too long" : NULL;
	}
	*needs = 1;
	if (have < 1)
		return NULL;
	if (at[0] > TREE_END || !(legal[r->place] & 1u << at[0]))
		return r->place == BEHIND_END ? "bytes behind its end"
		                              : "a record that is unknown, or has no place there";
	switch ((enum tree_kind)at[0]) {
	case TREE_LEAVE:
	case TREE_END:
		return NULL;
	case TREE_CHUNK:
		*needs = TREE_CHUNK_HEAD;
		return NULL;
	case TREE_HARD:
		more = 4;
		break;
	case TREE_FOLDER:
	case TREE_FIFO:
		more = TREE_ENTRY_TAIL;
		break;
	case TREE_FILE:
	case TREE_NODE:
		more = TREE_ENTRY_TAIL + 8;
		break;
	case TREE_LINK:
	default:
		more = TREE_ENTRY_TAIL + 2;
		break;
	}
	*needs = 3;
	if (have < 3)
		return NULL;
	if (length_at(at + 1) > TREE_NAME_LONGEST)
		return "a name that is too long";
	*needs = len = 3 + length_at(at + 1) + more;
	if (at[0] != TREE_LINK || have < len)
		return NULL;
	if (length_at(at + len - 2) > TREE_TARGET_LONGEST)
		return "a link whose target is too long";
	*needs = len + length_at(at + len - 2);
	return NULL;
}

/* A string that record_needs has found to fit into `to`; false: it has a NUL in it. */
static bool take_string(struct agent_reader *reader, char *to)
{
	size_t len = agent_read_u16(reader);

	assert(!reader->failed && len <= reader->left);
	if (memchr(reader->at, '\0', len))
		return false;
	memcpy(to, reader->at, len);
	to[len] = '\0';
	reader->at += len;
	reader->left -= len;
	return true;
}

static bool take_name(struct agent_reader *reader, char *to)
{
	return take_string(reader, to) && to[0] && strcmp(to, ".") && strcmp(to, "..") && !strchr(to, '/');
}

static bool take_attributes(struct agent_reader *reader, struct attributes *a)
{
	uint32_t nanoseconds;

	a->mode = agent_read_u32(reader);
	a->uid = agent_read_u32(reader);
	a->gid = agent_read_u32(reader);
	a->times[0] = (struct timespec){ .tv_nsec = UTIME_OMIT };
	a->times[1].tv_sec = (time_t)agent_read_u64(reader);
	nanoseconds = agent_read_u32(reader);
	a->times[1].tv_nsec = nanoseconds;
	return nanoseconds < NANOSECONDS;
}

static int entry_take(struct tree_receiver *r, enum tree_kind kind, struct agent_reader *reader,
                      struct tree_cause *cause)
{
	char target[TREE_TARGET_LONGEST + 1];
	char name[TREE_NAME_LONGEST + 1];

	if (!take_name(reader, name))
		return malformed(r, cause, "a name that is none");
	if (r->depth > 0 || !r->named)
		memcpy(r->name, name, strlen(name) + 1);
	else
		memcpy(r->name, r->root, sizeof r->name);
	name_begin(r);
	if (kind != TREE_HARD && !take_attributes(reader, &r->attributes))
		return malformed(r, cause, "a time that is none");
	switch (kind) {
	case TREE_FOLDER:
		return folder_enter(r, cause);
	case TREE_FILE:
		return file_open(r, agent_read_u64(reader), cause);
	case TREE_LINK:
		if (!take_string(reader, target))
			return malformed(r, cause, "a link whose target has a NUL in it");
		return special_make(r, S_IFLNK, target, 0, cause);
	case TREE_FIFO:
		return special_make(r, S_IFIFO, NULL, 0, cause);
	case TREE_NODE:
		return node_make(r, agent_read_u64(reader), cause);
	case TREE_HARD:
		return walk_begin(r, agent_read_u32(reader), cause);
	default:
		assert(!"an entry");
		return -EPROTO;
	}
}

static int record_take(struct tree_receiver *r, const unsigned char *at, size_t len, struct tree_cause *cause)
{
	struct agent_reader reader = agent_reader_on(at, len);
	char name[TREE_NAME_LONGEST + 1];
	enum tree_kind kind;
	uint64_t offset;

	if (r->place == IN_WAY) {
		if (!take_name(&reader, name))
			return malformed(r, cause, "a name that is none");
		return walk_step(r, name, cause);
	}
	kind = *reader.at++;
	reader.left--;
	switch (kind) {
	case TREE_CHUNK:
		offset = agent_read_u64(&reader);
		return chunk_begin(r, offset, agent_read_u32(&reader), cause);
	case TREE_LEAVE:
		return r->place == IN_FILE ? file_leave(r, cause) : folder_leave(r, cause);
	case TREE_END:
		r->place = BEHIND_END;
		return 0;
	default:
		return entry_take(r, kind, &reader, cause);
	}
}

/* Takes the record at hand from where it lies, or gathers what there is of it. How many bytes that were, or -errno. */
static ssize_t record_feed(struct tree_receiver *r, const unsigned char *from, size_t len, struct tree_cause *cause)
{
	size_t needs, used = 0;
	const char *wrong;
	int rc;

	if (r->gathered == 0) {
		wrong = record_needs(r, from, len, &needs);
		if (wrong)
			return malformed(r, cause, wrong);
		if (needs <= len) {
			rc = record_take(r, from, needs, cause);
			return rc ? rc : (ssize_t)needs;
		}
	}
	for (;;) {
		size_t n;

		wrong = record_needs(r, r->record, r->gathered, &needs);
		if (wrong)
			return malformed(r, cause, wrong);
		assert(needs <= sizeof r->record);
		if (needs <= r->gathered)
			break;
		n = needs - r->gathered < len - used ? needs - r->gathered : len - used;
		if (n == 0)
			return (ssize_t)used;
		memcpy(r->record + r->gathered, from + used, n);
		r->gathered += n;
		used += n;
	}
	r->gathered = 0;
	rc = record_take(r, r->record, needs, cause);
	return rc ? rc : (ssize_t)used;
}

int tree_receiver_write(struct tree_receiver *r, const void *from, size_t len, struct tree_cause *cause)
{
	const unsigned char *at = from;

	if (r->failed)
		return failed(r, cause, -r->failed, NULL);
	while (len > 0) {
		ssize_t n;

		if (r->chunk_left > 0) {
			n = (ssize_t)(len < r->chunk_left ? len : r->chunk_left);
			r->failed = chunk_write(r, at, (size_t)n, cause);
		} else {
			n = record_feed(r, at, len, cause);
			r->failed = n < 0 ? (int)n : 0;
		}
		if (r->failed)
			return r->failed;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

/* ---- the whole ---- */

int tree_receiver_open(int folder, const char *name, unsigned flags, struct tree_receiver **out,
                       struct tree_cause *cause)
{
	size_t len = name ? strlen(name) : 0;
	struct tree_receiver *r;

	if (name &&
	    (len == 0 || len > TREE_NAME_LONGEST || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))) {
		snprintf(cause->text, sizeof cause->text, "\"%.255s\" is not a name", name);
		return len > TREE_NAME_LONGEST ? -ENAMETOOLONG : -EINVAL;
	}
	r = calloc(1, sizeof *r);
	if (!r) {
		snprintf(cause->text, sizeof cause->text, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	r->folder = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	if (r->folder < 0) {
		int rc = -errno;

		snprintf(cause->text, sizeof cause->text, "%s", strerror(-rc));
		free(r);
		return rc;
	}
	r->flags = flags;
	r->file = r->walk = -1;
	r->named = name != NULL;
	memcpy(r->root, name ? name : "", len + 1);
	if (getrandom(&r->random, sizeof r->random, GRND_NONBLOCK) != (ssize_t)sizeof r->random)
		r->random = (uint64_t)getpid() << 32; /* early at boot; O_EXCL makes sure of what matters */
	*out = r;
	return 0;
}

int tree_receiver_finish(struct tree_receiver *r, struct tree_cause *cause)
{
	if (r->failed)
		return failed(r, cause, -r->failed, NULL);
	if (r->place != BEHIND_END)
		return failed(r, cause, EPIPE, "the stream ended before it was whole");
	return 0;
}

void tree_receiver_close(struct tree_receiver *r)
{
	if (!r)
		return;
	temporary_drop(r);
	walk_end(r);
	if (r->file >= 0)
		close(r->file);
	while (r->depth > 0)
		close(r->levels[--r->depth].fd);
	close(r->folder);
	free(r);
}
