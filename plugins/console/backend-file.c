/* SPDX-License-Identifier: MIT */
/*
 * backend-file.c - output to a file, no input. Owns the file, and the one before it. Called by console.c.
 *
 * A full disk must not stop the guest: what cannot be written is thrown away, said once, and tried again with the
 * next output.
 *
 * THE LIMIT. A guest that talks for ever would fill the disk. With `limit` the file is written up to exactly that many
 * bytes; whatever comes behind them begins a new one, and the full one is FILE.1 from then on, in the place of an older
 * one. So the last `limit` bytes are always there, in FILE.1 and FILE, and never more than twice as many. The folder is
 * held open: it is the same one for as long as the machine runs.
 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "descriptor.h"

struct file {
	struct descriptor out;
	struct capsa_watch *room; /* a FIFO or a device may be slow; NULL for a regular file */
	bool complained;
	/* Only with a limit: */
	int folder;                     /* else -1 */
	const char *name;               /* of the file in it: the end of the path */
	char name_before[NAME_MAX + 1]; /* FILE.1 */
	uint64_t size;                  /* of the file */
};

static const char *kind_of(mode_t mode)
{
	return S_ISFIFO(mode) ? "a FIFO" : S_ISDIR(mode) ? "a folder" : "a device";
}

/* Gets ready for files that follow the one that was opened. 0, or -1 with host->error(). */
static int begin_limit(struct console *c, struct file *f)
{
	const char *path = c->options.path, *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	struct stat st;
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (fstat(f->out.fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		c->host->error(c->dev, "key \"limit\": %s is %s, and only a file can be followed by another", path,
		               kind_of(st.st_mode));
		return -1;
	}
	f->name = slash ? slash + 1 : path;
	f->size = (uint64_t)st.st_size;
	if ((size_t)snprintf(f->name_before, sizeof f->name_before, "%s.1", f->name) >= sizeof f->name_before ||
	    len + 2 > sizeof folder) {
		c->host->error(c->dev, "key \"limit\": %s is too long a name to put .1 behind it", path);
		return -1;
	}
	memcpy(folder, path, len);
	strcpy(folder + len, !slash ? "." : len ? "" : "/");
	f->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (f->folder < 0) {
		c->host->error(c->dev, "cannot open %s: %s", folder, strerror(errno));
		return -1;
	}
	return 0;
}

static int file_realize(struct console *c)
{
	const char *path = c->options.path;
	/* O_NONBLOCK: a FIFO that nobody reads is an error now, not a wait. It means nothing to regular files. */
	const int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	struct file *f = calloc(1, sizeof *f);
	int fd;

	if (!f) {
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	c->backend = f;
	f->folder = -1;
	f->out = (struct descriptor){ .fd = -1, .kind = DESCRIPTOR_NONE };
	fd = open(path, flags | (c->options.append ? O_APPEND : O_TRUNC), 0600);
	if (fd < 0) {
		if (errno == ENXIO)
			c->host->error(c->dev, "cannot open %s: nobody reads from that FIFO; start its reader first",
			               path);
		else
			c->host->error(c->dev, "cannot open %s: %s", path, strerror(errno));
		return -1;
	}
	descriptor_ignore_signals();
	f->out = descriptor_inherit(fd, O_WRONLY);
	/* Its own description already. */
	if (f->out.kind == DESCRIPTOR_NONBLOCKING)
		descriptor_close(&f->out);
	f->out = (struct descriptor){ .fd = fd,
		                      .kind = f->out.kind == DESCRIPTOR_PLAIN ? DESCRIPTOR_PLAIN
		                                                              : DESCRIPTOR_NONBLOCKING,
		                      .ours = true };
	return c->options.limit ? begin_limit(c, f) : 0;
}

static void on_room(void *ctx, int fd, unsigned events)
{
	struct console *c = ctx;
	struct file *f = c->backend;

	(void)fd, (void)events;
	c->host->watch_set(f->room, 0);
	console_output_ready(c);
}

static int file_start(struct console *c)
{
	struct file *f = c->backend;

	if (!descriptor_waits(&f->out))
		return 0;
	f->room = c->host->watch_add(c->dev, f->out.fd, CAPSA_WATCH_WRITE, on_room, c);
	if (!f->room)
		c->host->error(c->dev, "out of memory");
	return f->room ? 0 : -1;
}

static bool is_full(const struct console *c, const struct file *f)
{
	return c->options.limit && f->size >= c->options.limit;
}

/* The file is full: a new one in its place. 0 or -errno; then it is as it was, or gone, and this may be tried again. */
static int next_file(struct console *c, struct file *f)
{
	int fd;

	/* What somebody has removed need not be kept. */
	if (renameat(f->folder, f->name, f->folder, f->name_before) < 0 && errno != ENOENT)
		return -errno;
	/* Not through a link that somebody puts there now. */
	fd = c->host->file_open(c->dev, f->folder, f->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY, 0600);
	if (fd < 0)
		return fd;
	descriptor_close(&f->out);
	f->out = (struct descriptor){ .fd = fd, .kind = DESCRIPTOR_PLAIN, .ours = true };
	f->size = 0;
	return 0;
}

/* Writes no more than the file may get. */
static ssize_t write_limited(struct console *c, struct file *f, const struct iovec *iov, unsigned n)
{
	struct iovec part[CONSOLE_QUEUE_SIZE];
	uint64_t room;
	unsigned used = 0;
	ssize_t done;

	if (is_full(c, f)) {
		int rc = next_file(c, f);

		if (rc < 0)
			return rc;
	}
	room = c->options.limit - f->size;
	for (; used < n && used < CONSOLE_QUEUE_SIZE && room; used++) {
		part[used] = iov[used];
		if (part[used].iov_len > room)
			part[used].iov_len = (size_t)room;
		room -= part[used].iov_len;
	}
	done = descriptor_write(&f->out, part, used);
	if (done > 0)
		f->size += (uint64_t)done;
	return done;
}

static ssize_t file_write(struct console *c, const struct iovec *iov, unsigned n)
{
	struct file *f = c->backend;
	size_t len = descriptor_iov_bytes(iov, n);
	ssize_t done = 0;

	if (n)
		done = c->options.limit ? write_limited(c, f, iov, n) : descriptor_write(&f->out, iov, n);
	if (done >= 0) {
		f->complained = f->complained && !done;
		return done;
	}
	if (done == -EAGAIN && f->room && c->host->watch_set(f->room, CAPSA_WATCH_WRITE) == 0)
		return -EAGAIN;
	if (!f->complained)
		c->host->log(c->dev, CAPSA_LOG_WARNING,
		             "cannot %s %s: %s; output is thrown away until that works",
		             is_full(c, f) ? "begin a new file behind" : "write to", c->options.path,
		             strerror((int)-done));
	f->complained = true;
	console_count_dropped(c, len);
	return (ssize_t)len;
}

static int file_output_fd(const struct console *c)
{
	const struct file *f = c->backend;

	return f->out.fd;
}

static void file_stop(struct console *c)
{
	struct file *f = c->backend;

	c->host->watch_remove(f->room);
	f->room = NULL;
}

static void file_destroy(struct console *c)
{
	struct file *f = c->backend;

	descriptor_close(&f->out);
	if (f->folder >= 0)
		close(f->folder);
	free(f);
}

const struct backend_ops backend_file = {
	.name = "file",
	.realize = file_realize,
	.start = file_start,
	.write = file_write,
	.output_fd = file_output_fd,
	.stop = file_stop,
	.destroy = file_destroy,
};
