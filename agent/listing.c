/* SPDX-License-Identifier: MIT */
/* listing.c - AGENT_LIST and AGENT_STAT: what is there, without its contents. Called by channel.c. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/channel.h"
#include "agent/connection.h"
#include "agent/request.h"
#include "agent/stream.h"

#define RECORD_MAX 8192u /* a name, a target, and numbers */

struct list {
	struct channel channel;
	struct outlet output;
	DIR *folder;
	size_t pending; /* bytes of a record that there was no room for */
	unsigned char record[RECORD_MAX];
	char path[REQUEST_PATH_MAX];
};

static void write_record(struct agent_writer *w, int folder, const char *path, const char *name, const struct stat *st)
{
	char target[REQUEST_PATH_MAX];
	ssize_t n = S_ISLNK(st->st_mode) ? readlinkat(folder, path, target, sizeof target) : 0;

	agent_write_string(w, name);
	agent_write_u32(w, st->st_mode);
	agent_write_u32(w, st->st_uid);
	agent_write_u32(w, st->st_gid);
	agent_write_u64(w, (uint64_t)st->st_size);
	agent_write_u64(w, st->st_ino);
	agent_write_u64(w, st->st_nlink);
	agent_write_u64(w, (uint64_t)st->st_mtim.tv_sec);
	agent_write_u32(w, (uint32_t)st->st_mtim.tv_nsec);
	agent_write_u64(w, st->st_rdev);
	agent_write_u64(w, (uint64_t)st->st_blocks);
	agent_write_bytes(w, target, n > 0 ? (size_t)n : 0);
}

/* ---- STAT ---- */

/* Of "/a/b//": "b"; of "/": "/". Cuts the slashes off. */
static const char *last_component(char *path)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	slash = strrchr(path, '/');
	return slash && slash[1] ? slash + 1 : path;
}

void stat_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	unsigned char payload[12 + RECORD_MAX];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);
	char path[REQUEST_PATH_MAX], name[REQUEST_PATH_MAX];
	uint32_t follow;
	struct stat st;

	agent_read_string(r, path, sizeof path);
	follow = agent_read_u32(r);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	if (fstatat(AT_FDCWD, path, &st, follow ? 0 : AT_SYMLINK_NOFOLLOW)) {
		request_result(connection, number, errno, path);
		return;
	}
	strcpy(name, path);
	agent_write_u32(&w, 0);
	agent_write_u32(&w, AGENT_STAGE_REQUEST);
	agent_write_string(&w, "");
	write_record(&w, AT_FDCWD, path, last_component(name), &st);
	connection_send(connection, number, AGENT_RESULT, 0, payload, w.used);
}

/* ---- LIST ---- */

/* The next one into `record`. False at the end, or with errno. */
static bool next_record(struct list *l)
{
	struct agent_writer w = agent_writer_on(l->record, sizeof l->record);
	struct dirent *entry;
	struct stat st;

	do {
		errno = 0;
		entry = readdir(l->folder);
		if (!entry)
			return false;
		/* One that is gone meanwhile is passed over. */
	} while (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
	         fstatat(dirfd(l->folder), entry->d_name, &st, AT_SYMLINK_NOFOLLOW));
	write_record(&w, dirfd(l->folder), entry->d_name, entry->d_name, &st);
	l->pending = w.used;
	return true;
}

static ssize_t list_produce(struct outlet *outlet, void *to, size_t room)
{
	struct list *l = container_of(outlet, struct list, output);
	size_t used = 0;

	for (;;) {
		if (l->pending == 0 && !next_record(l)) {
			if (errno)
				return -errno;
			break;
		}
		if (l->pending > room - used)
			return used ? (ssize_t)used : -ENOBUFS;
		memcpy((unsigned char *)to + used, l->record, l->pending);
		used += l->pending;
		l->pending = 0;
	}
	return (ssize_t)used;
}

static void list_ended(struct outlet *outlet, int error)
{
	struct list *l = container_of(outlet, struct list, output);
	char path[REQUEST_PATH_MAX];

	memcpy(path, l->path, sizeof path);
	if (error)
		channel_failure(&l->channel, -error, path);
	else
		channel_result(&l->channel, 0, AGENT_STAGE_REQUEST, "");
}

static void list_destroy(struct channel *channel)
{
	closedir(((struct list *)channel)->folder);
}

static const struct outlet_ops list_out = { .produce = list_produce, .ended = list_ended };
static const struct channel_ops list_ops = { .destroy = list_destroy };

void list_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char path[REQUEST_PATH_MAX];
	struct list *l;
	DIR *folder;

	agent_read_string(r, path, sizeof path);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	folder = opendir(path);
	if (!folder) {
		request_result(connection, number, errno, path);
		return;
	}
	l = channel_create(connection, number, sizeof *l, &list_ops);
	if (!l) {
		closedir(folder);
		return;
	}
	l->folder = folder;
	strcpy(l->path, path);
	outlet_open(&l->output, &l->channel, AGENT_OUTPUT, -1, &list_out);
}
