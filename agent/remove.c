/* SPDX-License-Identifier: MIT */
/*
 * remove.c - AGENT_REMOVE: a file, a folder, or all that is in it. Called by channel.c.
 *
 * A folder is gone through as a stack of open ones, a portion at a time, each opened below the one above without
 * following a link: whatever is moved or put there meanwhile, nothing outside of it is removed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/channel.h"
#include "agent/connection.h"
#include "agent/loop.h"
#include "agent/request.h"
#include "agent/server.h"
#include "agent/tree.h"

#define PORTION 128 /* names, of one turn */

struct level {
	DIR *folder;
	char name[256]; /* in the one above */
};

struct removal {
	struct channel channel;
	struct task task;
	int above; /* the folder that the root lies in */
	unsigned depth, room;
	struct level *levels;
	char path[REQUEST_PATH_MAX];
};

static void removal_result(struct removal *m, int err)
{
	char path[REQUEST_PATH_MAX];

	memcpy(path, m->path, sizeof path);
	if (err)
		channel_failure(&m->channel, -err, path);
	else
		channel_result(&m->channel, 0, AGENT_STAGE_REQUEST, "");
}

static int folder_of_top(const struct removal *m)
{
	return m->depth > 0 ? dirfd(m->levels[m->depth - 1].folder) : m->above;
}

static int enter(struct removal *m, const char *name)
{
	DIR *folder;
	int fd;

	if (m->depth >= TREE_DEPTH_MAX)
		return -ELOOP;
	if (strlen(name) >= sizeof m->levels->name)
		return -ENAMETOOLONG;
	if (m->depth == m->room) {
		unsigned room = m->room ? m->room * 2 : 8;
		struct level *levels = realloc(m->levels, room * sizeof *levels);

		if (!levels)
			return -ENOMEM;
		m->levels = levels;
		m->room = room;
	}
	fd = openat(folder_of_top(m), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	folder = fdopendir(fd);
	if (!folder) {
		close(fd);
		return -ENOMEM;
	}
	m->levels[m->depth].folder = folder;
	strcpy(m->levels[m->depth++].name, name);
	return 0;
}

static int leave(struct removal *m)
{
	struct level *level = &m->levels[--m->depth];

	closedir(level->folder);
	if (unlinkat(folder_of_top(m), level->name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return -errno;
}

/* A file, or a folder that is entered. */
static int take(struct removal *m, const char *name)
{
	if (unlinkat(folder_of_top(m), name, 0) == 0 || errno == ENOENT)
		return 0;
	/* POSIX says EPERM of folders, Linux EISDIR. */
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	return enter(m, name);
}

static int step(struct removal *m)
{
	struct dirent *entry;

	errno = 0;
	entry = readdir(m->levels[m->depth - 1].folder);
	if (!entry)
		return errno ? -errno : leave(m);
	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return 0;
	return take(m, entry->d_name);
}

static void removal_run(struct task *task)
{
	struct removal *m = container_of(task, struct removal, task);
	int err = 0;

	for (int i = 0; i < PORTION && m->depth > 0 && !err; i++)
		err = step(m);
	if (err || m->depth == 0)
		removal_result(m, err);
	else
		loop_queue(&m->channel.connection->server->loop, task);
}

static void removal_destroy(struct channel *channel)
{
	struct removal *m = (struct removal *)channel;

	list_remove(&m->task.link);
	while (m->depth > 0)
		closedir(m->levels[--m->depth].folder);
	free(m->levels);
	close(m->above);
}

static const struct channel_ops removal_ops = { .destroy = removal_destroy };

/* The folder that `path` lies in, and its name there. */
static int open_above(const char *path, char name[256], char *folder)
{
	size_t len = strlen(path);
	const char *slash;
	int fd;

	while (len > 0 && path[len - 1] == '/')
		len--;
	for (slash = path + len; slash > path && slash[-1] != '/'; slash--)
		;
	if (len == 0)
		return *path ? -EBUSY : -ENOENT; /* the root */
	len -= (size_t)(slash - path);
	if (len > 255)
		return -ENAMETOOLONG;
	memcpy(name, slash, len);
	name[len] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	strcpy(folder, "/");
	if (slash > path) {
		memcpy(folder, path, (size_t)(slash - path));
		folder[slash - path] = '\0';
	}
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void remove_recursively(struct connection *connection, uint32_t number, const char *path)
{
	char name[256], folder[REQUEST_PATH_MAX];
	struct stat st;
	struct removal *m;
	int above = open_above(path, name, folder), err = 0;

	if (above >= 0 && fstatat(above, name, &st, AT_SYMLINK_NOFOLLOW)) {
		err = errno;
		close(above);
	}
	if (above < 0 || err) {
		request_result(connection, number, above < 0 ? -above : err, path);
		return;
	}
	m = channel_create(connection, number, sizeof *m, &removal_ops);
	if (!m) {
		close(above);
		return;
	}
	m->above = above;
	m->task.run = removal_run;
	strcpy(m->path, path);
	err = take(m, name);
	if (err || m->depth == 0)
		removal_result(m, err);
	else
		loop_queue(&connection->server->loop, &m->task);
}

void remove_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char path[REQUEST_PATH_MAX];
	uint32_t recursive;
	int err = 0;

	agent_read_string(r, path, sizeof path);
	recursive = agent_read_u32(r);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	if (recursive) {
		remove_recursively(connection, number, path);
		return;
	}
	if (unlink(path)) {
		err = errno;
		if ((err == EISDIR || err == EPERM) && rmdir(path) == 0)
			err = 0;
		else if (err == EISDIR)
			err = errno;
	}
	request_result(connection, number, err, path);
}
