/* SPDX-License-Identifier: MIT */
/*
 * files.c - AGENT_READ and AGENT_WRITE: one file's bytes. Owns its descriptor (in the outlet or inlet). Called by
 * channel.c. FIFOs and devices work as files do, and stop nobody when they are not ready.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/channel.h"
#include "agent/connection.h"
#include "agent/folder.h"
#include "agent/request.h"
#include "agent/stream.h"

struct file {
	struct channel channel;
	union {
		struct outlet output;
		struct inlet input;
	};
	char path[REQUEST_PATH_MAX];
};

static const struct channel_ops file_ops = { 0 };

static void file_result(struct file *f, int err)
{
	char path[REQUEST_PATH_MAX];

	if (err) {
		memcpy(path, f->path, sizeof path);
		channel_failure(&f->channel, -err, path);
	} else {
		channel_result(&f->channel, 0, AGENT_STAGE_REQUEST, "");
	}
}

/* ---- READ ---- */

static void read_ended(struct outlet *outlet, int error)
{
	file_result((struct file *)outlet->channel, error);
}

static const struct outlet_ops read_ops = { .produce = outlet_read, .ended = read_ended };

static int open_for_reading(const char *path, uint64_t offset)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		err = -EISDIR;
	else if (offset > INT64_MAX)
		err = -EINVAL;
	else if (offset > 0 && lseek(fd, (off_t)offset, SEEK_SET) < 0)
		err = -errno;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

void read_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char path[REQUEST_PATH_MAX];
	uint64_t offset, length;
	struct file *f;
	int fd, err;

	agent_read_string(r, path, sizeof path);
	offset = agent_read_u64(r);
	length = agent_read_u64(r);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	fd = open_for_reading(path, offset);
	if (fd < 0) {
		request_result(connection, number, -fd, path);
		return;
	}
	f = channel_create(connection, number, sizeof *f, &file_ops);
	if (!f) {
		close(fd);
		return;
	}
	strcpy(f->path, path);
	err = outlet_open(&f->output, &f->channel, AGENT_OUTPUT, fd, &read_ops);
	if (err)
		file_result(f, err);
	else if (length > 0)
		f->output.left = length;
}

/* ---- WRITE ---- */

static void write_ended(struct inlet *inlet, int error)
{
	struct file *f = (struct file *)inlet->channel;

	/* Some file systems have a word about what was written only now. */
	if (!error) {
		int fd = fcntl(inlet->watch.fd, F_DUPFD_CLOEXEC, 3);

		if (fd >= 0 && close(fd) && errno != EINTR)
			error = -errno;
	}
	file_result(f, error);
}

static const struct inlet_ops write_ops = { .consume = inlet_write, .ended = write_ended };

void write_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char path[REQUEST_PATH_MAX];
	uint32_t mode, flags;
	struct file *f;
	int fd = -1, err = 0, how = O_WRONLY | O_CREAT | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;

	agent_read_string(r, path, sizeof path);
	mode = agent_read_u32(r) & 07777;
	flags = agent_read_u32(r);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	if (flags & ~(uint32_t)(AGENT_WRITE_APPEND | AGENT_WRITE_EXCLUSIVE | AGENT_WRITE_PARENTS))
		err = -EINVAL;
	else if (flags & AGENT_WRITE_PARENTS)
		err = folder_make_parents(path);
	how |= flags & AGENT_WRITE_APPEND ? O_APPEND : O_TRUNC;
	how |= flags & AGENT_WRITE_EXCLUSIVE ? O_EXCL : 0;
	if (!err)
		fd = open(path, how, mode);
	if (!err && fd < 0)
		err = -errno;
	if (err) {
		request_result(connection, number, -err, path);
		return;
	}
	f = channel_create(connection, number, sizeof *f, &file_ops);
	if (!f) {
		close(fd);
		return;
	}
	strcpy(f->path, path);
	err = inlet_open(&f->input, &f->channel, fd, &write_ops);
	if (err)
		file_result(f, err);
}
