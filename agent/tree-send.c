/* SPDX-License-Identifier: MIT */
/*
 * tree-send.c - the sending side of tree.h. Called by the agent and by core/sandbox, one thread at a time.
 *
 * Theory of operation: the sender is a generator. What is to be given out next is, in this order, the rest of a record
 * (`head`), the rest of a string that belongs to it (`tail`: a link's target, a hard link's way), the rest of a chunk
 * (read from the file straight into the caller's buffer). When all three are empty, `advance` makes the next record: of
 * the open file, else of the innermost open folder's next entry, else the end.
 *
 * Folders are held open from the root to where the walk is, and each name is opened below the folder it was read from,
 * without following a link: what is renamed meanwhile cannot lead the walk elsewhere. An entry that vanished before it
 * was opened is left out.
 *
 * A file is opened before it is known what it is (that saves a call for each), but by O_NONBLOCK: a FIFO that has taken
 * its place does not block. Its holes are found by SEEK_DATA; where a file system knows none, all is data. A chunk is
 * as long as the caller's buffer has room for, in whole pages, so that reads and the receiver's writes stay aligned.
 *
 * It owns the descriptors of those folders (at most TREE_DEPTH_MAX) and of one file.
 */
#include "agent/tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/protocol.h"
#include "agent/tree-links.h"
#include "agent/tree-private.h"

#define PAGE 4096u

/* A file up to this size that has all its blocks is not asked for holes. */
#define HOLES_FROM (64u << 10)

/* An entry that is something else each time it is looked at. */
#define LOOKS_MAX 4

/* The longest record without its tail: FILE, NODE, or LINK and HARD up to the tail. */
#define HEAD_ROOM (1u + 2u + TREE_NAME_LONGEST + TREE_ENTRY_TAIL + 8u)

struct tree_sender {
	char *root; /* as the caller named it, for causes */
	struct tree_way way;
	struct tree_links links;

	unsigned char head[HEAD_ROOM];
	size_t head_at, head_len;
	const unsigned char *tail; /* target, or in links.ways */
	size_t tail_left;

	DIR *folders[TREE_DEPTH_MAX];
	unsigned depth;

	int file; /* -1: none open */
	uint64_t size, at, data_end;
	uint32_t chunk_left;
	bool holes; /* its file system tells of them */

	bool end_sent;
	char target[TREE_TARGET_LONGEST + 1];
};

static int failed(const struct tree_sender *s, struct tree_cause *cause, int code, const char *why)
{
	return tree_fail(cause, code, s->root, &s->way, why);
}

/* ---- records ---- */

static void write_raw(struct agent_writer *w, const void *bytes, size_t len)
{
	assert(len <= w->room - w->used);
	memcpy(w->at + w->used, bytes, len);
	w->used += len;
}

static struct agent_writer record_begin(struct tree_sender *s, enum tree_kind kind)
{
	struct agent_writer w = agent_writer_on(s->head, sizeof s->head);
	unsigned char byte = (unsigned char)kind;

	write_raw(&w, &byte, 1);
	return w;
}

static void write_name(struct agent_writer *w, const char *name)
{
	size_t len = strlen(name);

	agent_write_u16(w, (uint16_t)len);
	write_raw(w, name, len);
}

static void write_entry(struct agent_writer *w, const char *name, const struct stat *st)
{
	write_name(w, name);
	agent_write_u32(w, st->st_mode);
	agent_write_u32(w, st->st_uid);
	agent_write_u32(w, st->st_gid);
	agent_write_u64(w, (uint64_t)st->st_mtim.tv_sec);
	agent_write_u32(w, (uint32_t)st->st_mtim.tv_nsec);
}

static void record_end(struct tree_sender *s, const struct agent_writer *w)
{
	assert(!w->failed);
	s->head_at = 0;
	s->head_len = w->used;
}

static void send_bare(struct tree_sender *s, enum tree_kind kind)
{
	struct agent_writer w = record_begin(s, kind);

	record_end(s, &w);
}

/* ---- entries: each sends its record; 1: the entry is something else by now, look again ---- */

enum { LOOK_AGAIN = 1 };

/* Takes fd over. */
static int send_open_file(struct tree_sender *s, int fd, const char *name, const struct stat *st)
{
	struct agent_writer w = record_begin(s, TREE_FILE);

	write_entry(&w, name, st);
	agent_write_u64(&w, (uint64_t)st->st_size);
	record_end(s, &w);
	s->file = fd;
	s->size = (uint64_t)st->st_size;
	s->at = 0;
	s->holes = s->size > HOLES_FROM || (uint64_t)st->st_blocks * 512 < s->size;
	s->data_end = s->holes ? 0 : s->size;
	return 0;
}

static void send_hard(struct tree_sender *s, const struct tree_link *link, const char *name)
{
	struct agent_writer w = record_begin(s, TREE_HARD);

	write_name(&w, name);
	agent_write_u32(&w, link->depth);
	record_end(s, &w);
	s->tail = s->links.ways + link->at;
	s->tail_left = link->len;
}

static int send_file(struct tree_sender *s, int folder, const char *name, struct tree_cause *cause)
{
	int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? LOOK_AGAIN : failed(s, cause, errno, NULL);
	if (fstat(fd, &st)) {
		int rc = failed(s, cause, errno, NULL);

		close(fd);
		return rc;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return LOOK_AGAIN;
	}
	if (st.st_nlink > 1 && s->depth > 0) {
		const struct tree_link *link = tree_links_find(&s->links, st.st_dev, st.st_ino);

		if (link) {
			close(fd);
			send_hard(s, link, name);
			return 0;
		}
		tree_links_add(&s->links, st.st_dev, st.st_ino, &s->way);
	}
	return send_open_file(s, fd, name, &st);
}

/* Takes fd over. */
static int send_open_folder(struct tree_sender *s, int fd, const char *name, struct tree_cause *cause)
{
	struct agent_writer w;
	struct stat st;
	DIR *dir;
	int rc;

	if (s->depth == TREE_DEPTH_MAX) {
		rc = failed(s, cause, ELOOP, "folders lie too deep in folders");
		goto out;
	}
	if (fstat(fd, &st)) {
		rc = failed(s, cause, errno, NULL);
		goto out;
	}
	dir = fdopendir(fd);
	if (!dir) {
		rc = failed(s, cause, errno, NULL);
		goto out;
	}
	w = record_begin(s, TREE_FOLDER);
	write_entry(&w, name, &st);
	record_end(s, &w);
	s->folders[s->depth++] = dir;
	return 0;
out:
	close(fd);
	return rc;
}

static int send_folder(struct tree_sender *s, int folder, const char *name, struct tree_cause *cause)
{
	int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP ? LOOK_AGAIN : failed(s, cause, errno, NULL);
	return send_open_folder(s, fd, name, cause);
}

static int send_link(struct tree_sender *s, int folder, const char *name, const struct stat *st,
                     struct tree_cause *cause)
{
	ssize_t len = readlinkat(folder, name, s->target, sizeof s->target);
	struct agent_writer w;

	if (len < 0)
		return errno == EINVAL ? LOOK_AGAIN : failed(s, cause, errno, NULL);
	if ((size_t)len == sizeof s->target)
		return failed(s, cause, ENAMETOOLONG, NULL);
	w = record_begin(s, TREE_LINK);
	write_entry(&w, name, st);
	agent_write_u16(&w, (uint16_t)len);
	record_end(s, &w);
	s->tail = (const unsigned char *)s->target;
	s->tail_left = (size_t)len;
	return 0;
}

static int send_special(struct tree_sender *s, const char *name, const struct stat *st)
{
	bool fifo = S_ISFIFO(st->st_mode);
	struct agent_writer w = record_begin(s, fifo ? TREE_FIFO : TREE_NODE);

	write_entry(&w, name, st);
	if (!fifo)
		agent_write_u64(&w, st->st_rdev);
	record_end(s, &w);
	return 0;
}

static int send_by_type(struct tree_sender *s, int folder, const char *name, unsigned char type, const struct stat *st,
                        struct tree_cause *cause)
{
	switch (type) {
	case DT_REG:
		return send_file(s, folder, name, cause);
	case DT_DIR:
		return send_folder(s, folder, name, cause);
	case DT_LNK:
		return send_link(s, folder, name, st, cause);
	case DT_FIFO:
	case DT_CHR:
	case DT_BLK:
		return send_special(s, name, st);
	case DT_SOCK:
		return s->depth > 0 ? 0 : failed(s, cause, EOPNOTSUPP, "a socket cannot be copied");
	default:
		return failed(s, cause, EOPNOTSUPP,
		              "neither a file nor a folder, nor anything else that can be copied");
	}
}

/*
 * Sends the entry `name` of `folder`; `type` as readdir(3) says it, which may be out of date. The last name of the way
 * is the entry's, unless it is the root. A socket sends nothing.
 */
static int send_entry(struct tree_sender *s, int folder, const char *name, unsigned char type, struct tree_cause *cause)
{
	for (int looks = 0; looks < LOOKS_MAX; looks++) {
		struct stat st = { 0 };
		int rc;

		if (type != DT_REG && type != DT_DIR && type != DT_SOCK) {
			if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW))
				return failed(s, cause, errno, NULL);
			type = IFTODT(st.st_mode);
		}
		rc = send_by_type(s, folder, name, type, &st, cause);
		if (rc != LOOK_AGAIN)
			return rc;
		type = DT_UNKNOWN;
	}
	return failed(s, cause, EBUSY, "it is replaced again and again while it is copied");
}

/* ---- what comes next ---- */

static void leave_file(struct tree_sender *s)
{
	close(s->file);
	s->file = -1;
	if (s->depth > 0)
		tree_way_pop(&s->way);
	send_bare(s, TREE_LEAVE);
}

static void leave_folder(struct tree_sender *s)
{
	closedir(s->folders[--s->depth]);
	if (s->depth > 0)
		tree_way_pop(&s->way);
	send_bare(s, TREE_LEAVE);
}

/* Moves `at` to the next data and finds where that ends; false: from here on all is a hole. */
static bool find_data(struct tree_sender *s)
{
	off_t data, hole;

	if (s->at >= s->size)
		return false;
	if (s->at < s->data_end)
		return true;
	data = lseek(s->file, (off_t)s->at, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return false;
	hole = data < 0 ? -1 : lseek(s->file, data, SEEK_HOLE);
	if (data < (off_t)s->at || hole <= data) {
		/* No such thing here, or the file changes at this moment: the rest is data. */
		s->data_end = s->size;
		return true;
	}
	if ((uint64_t)data >= s->size)
		return false;
	s->at = (uint64_t)data;
	s->data_end = (uint64_t)hole < s->size ? (uint64_t)hole : s->size;
	return true;
}

/* The next chunk's record, for a buffer with `room` bytes; false: it waits for an empty one. */
static bool send_chunk(struct tree_sender *s, size_t room, bool empty)
{
	uint64_t len = s->data_end - s->at;
	struct agent_writer w;

	if (len > TREE_CHUNK_MAX)
		len = TREE_CHUNK_MAX;
	room = room > TREE_CHUNK_HEAD ? room - TREE_CHUNK_HEAD : 0;
	if (len > room) {
		if (room >= PAGE)
			len = ((s->at + room) & ~(uint64_t)(PAGE - 1)) - s->at;
		else if (!empty)
			return false;
	}
	w = record_begin(s, TREE_CHUNK);
	agent_write_u64(&w, s->at);
	agent_write_u32(&w, (uint32_t)len);
	record_end(s, &w);
	s->chunk_left = (uint32_t)len;
	return true;
}

/* The next entry of the innermost folder, or its end. A socket, or what vanished, sends nothing. */
static int send_next(struct tree_sender *s, struct tree_cause *cause)
{
	DIR *dir = s->folders[s->depth - 1];
	unsigned depth = s->depth;
	struct dirent *entry;
	int rc;

	errno = 0;
	entry = readdir(dir);
	if (!entry) {
		if (errno && errno != ENOENT) /* ENOENT: it was removed meanwhile */
			return failed(s, cause, errno, NULL);
		leave_folder(s);
		return 0;
	}
	if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
		return 0;
	if (strlen(entry->d_name) > TREE_NAME_LONGEST)
		return failed(s, cause, ENAMETOOLONG, "it holds a name that is too long");
	tree_way_push(&s->way, entry->d_name, strlen(entry->d_name));
	rc = send_entry(s, dirfd(dir), entry->d_name, entry->d_type, cause);
	if (s->file < 0 && s->depth == depth)
		tree_way_pop(&s->way);
	return rc == -ENOENT ? 0 : rc;
}

/* Makes the next record; 1: the caller's buffer is too full for it. */
static int advance(struct tree_sender *s, size_t room, bool empty, struct tree_cause *cause)
{
	if (s->file >= 0) {
		if (find_data(s))
			return send_chunk(s, room, empty) ? 0 : 1;
		leave_file(s);
		return 0;
	}
	if (s->depth > 0)
		return send_next(s, cause);
	send_bare(s, TREE_END);
	s->end_sent = true;
	return 0;
}

/* len bytes of the file into `to`, zeros where it has become shorter. */
static int read_chunk(struct tree_sender *s, unsigned char *to, size_t len, struct tree_cause *cause)
{
	while (len > 0) {
		ssize_t n = pread(s->file, to, len, (off_t)s->at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return failed(s, cause, errno, NULL);
		if (n == 0) {
			memset(to, 0, len);
			n = (ssize_t)len;
		}
		to += n;
		len -= (size_t)n;
		s->at += (uint64_t)n;
	}
	return 0;
}

static size_t give(unsigned char *to, size_t room, const unsigned char *from, size_t len)
{
	if (len > room)
		len = room;
	memcpy(to, from, len);
	return len;
}

ssize_t tree_sender_read(struct tree_sender *s, void *to, size_t len, struct tree_cause *cause)
{
	unsigned char *at = to;
	size_t used = 0;
	int rc;

	while (used < len) {
		if (s->head_at < s->head_len) {
			size_t n = give(at + used, len - used, s->head + s->head_at, s->head_len - s->head_at);

			s->head_at += n;
			used += n;
		} else if (s->tail_left > 0) {
			size_t n = give(at + used, len - used, s->tail, s->tail_left);

			s->tail += n;
			s->tail_left -= n;
			used += n;
		} else if (s->chunk_left > 0) {
			size_t n = s->chunk_left < len - used ? s->chunk_left : len - used;

			rc = read_chunk(s, at + used, n, cause);
			if (rc)
				return rc;
			s->chunk_left -= (uint32_t)n;
			used += n;
		} else if (s->end_sent) {
			break;
		} else {
			rc = advance(s, len - used, used == 0, cause);
			if (rc < 0)
				return rc;
			if (rc > 0)
				break;
		}
	}
	return (ssize_t)used;
}

/* ---- the root ---- */

static bool is_name(const char *text, size_t len)
{
	return len > 0 && len <= TREE_NAME_LONGEST && !memchr(text, '/', len) && strcmp(text, ".") &&
	       strcmp(text, "..");
}

/* The name of a folder that was named by "." or so: the kernel knows it; "root" for "/". */
static void name_by_kernel(int fd, char *name)
{
	char link[32], path[PATH_MAX];
	const char *last;
	ssize_t len;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof path - 1);
	path[len > 0 ? len : 0] = '\0';
	last = strrchr(path, '/');
	last = last ? last + 1 : "";
	if (!is_name(last, strlen(last)))
		last = "root";
	memcpy(name, last, strlen(last) + 1);
}

/* A path that ends in '/', "." or "..": a folder, through a link where it is one. */
static int send_root_folder(struct tree_sender *s, int dirfd, const char *path, const char *last, size_t len,
                            struct tree_cause *cause)
{
	int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[PATH_MAX];

	if (fd < 0)
		return failed(s, cause, errno, NULL);
	snprintf(name, sizeof name, "%.*s", (int)len, last);
	if (!is_name(name, len))
		name_by_kernel(fd, name);
	return send_open_folder(s, fd, name, cause);
}

/* Any other: its folder is found as the kernel finds it, the last name without following it. */
static int send_root_entry(struct tree_sender *s, int dirfd, const char *path, const char *last,
                           struct tree_cause *cause)
{
	int rc, folder = dirfd;

	if (last > path) {
		char *parent = strndup(path, (size_t)(last - path));

		if (!parent)
			return failed(s, cause, ENOMEM, NULL);
		folder = openat(dirfd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
		free(parent);
		if (folder < 0)
			return failed(s, cause, errno, NULL);
	}
	rc = send_entry(s, folder, last, DT_UNKNOWN, cause);
	if (last > path)
		close(folder);
	return rc;
}

static int send_root(struct tree_sender *s, int dirfd, const char *path, struct tree_cause *cause)
{
	size_t len = strlen(path), last_len;
	const char *last;
	bool slash;

	if (len == 0)
		return failed(s, cause, ENOENT, "no path was given");
	if (len >= PATH_MAX)
		return failed(s, cause, ENAMETOOLONG, NULL);
	slash = path[len - 1] == '/';
	while (len > 0 && path[len - 1] == '/')
		len--;
	last_len = len;
	while (last_len > 0 && path[last_len - 1] != '/')
		last_len--;
	last = path + last_len;
	last_len = len - last_len;
	if (last_len > TREE_NAME_LONGEST)
		return failed(s, cause, ENAMETOOLONG, NULL);
	if (slash || !is_name(last, last_len))
		return send_root_folder(s, dirfd, path, last, last_len, cause);
	return send_root_entry(s, dirfd, path, last, cause);
}

int tree_sender_open(int dirfd, const char *path, struct tree_sender **out, struct tree_cause *cause)
{
	struct tree_sender *s = calloc(1, sizeof *s);
	int rc;

	if (s)
		s->root = strdup(path);
	if (!s || !s->root) {
		free(s);
		snprintf(cause->text, sizeof cause->text, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	s->file = -1;
	rc = send_root(s, dirfd, path, cause);
	if (rc) {
		tree_sender_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void tree_sender_close(struct tree_sender *s)
{
	if (!s)
		return;
	while (s->depth > 0)
		closedir(s->folders[--s->depth]);
	if (s->file >= 0)
		close(s->file);
	tree_links_free(&s->links);
	free(s->root);
	free(s);
}
