/* SPDX-License-Identifier: MIT */
/*
 * backend-file.c - output to a file, no input. Owns the file. Called by console.c.
 *
 * A full disk must not stop the guest: what cannot be written is thrown away, said once, and tried again with the
 * next output.
 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"

struct file {
	struct descriptor out;
	struct capsa_watch *room; /* a FIFO or a device may be slow; NULL for a regular file */
	bool complained;
};

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
	return 0;
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

static ssize_t file_write(struct console *c, const struct iovec *iov, unsigned n)
{
	struct file *f = c->backend;
	ssize_t done = n ? descriptor_write(&f->out, iov, n) : 0;
	size_t len = descriptor_iov_bytes(iov, n);

	if (done >= 0) {
		f->complained = f->complained && !done;
		return done;
	}
	if (done == -EAGAIN && f->room && c->host->watch_set(f->room, CAPSA_WATCH_WRITE) == 0)
		return -EAGAIN;
	if (!f->complained)
		c->host->log(c->dev, CAPSA_LOG_WARNING,
		             "cannot write to %s: %s; output is thrown away until that works", c->options.path,
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
