/* SPDX-License-Identifier: MIT */
/*
 * host-file.c - see host-file.h.
 *
 * A watch is told by number, not by name, and two names may lead to one folder; so what is kept of each is the number
 * and the name in it that matters.
 */
#include "plugins/net-nat/host-file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINKS_MAX 8u
#define WATCHES_MAX (2 * LINKS_MAX + 2)
#define READS_A_TURN 8u

#define IN_FOLDER (IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF)
#define IN_FILE (IN_CLOSE_WRITE | IN_DELETE_SELF | IN_MOVE_SELF)

struct watched {
	int number;
	char name[NAME_MAX + 1]; /* in that folder; "": the thing itself */
};

struct host_file {
	const struct capsa_host *host;
	struct capsa_device *dev;
	const char *path, *name; /* name: behind the last slash */
	void (*changed)(void *ctx);
	void *ctx;
	int folder, inotify;
	struct capsa_watch *watch;
	struct watched watched[WATCHES_MAX];
	unsigned n;
};

/* ---- what is watched ---- */

static bool watch(struct host_file *file, const char *path, uint32_t events, const char *name, size_t name_len)
{
	int number = inotify_add_watch(file->inotify, path, events | IN_MASK_ADD);
	struct watched *watched;

	if (number < 0 || file->n == WATCHES_MAX || name_len >= sizeof watched->name)
		return number >= 0;
	watched = &file->watched[file->n++];
	watched->number = number;
	memcpy(watched->name, name, name_len);
	watched->name[name_len] = '\0';
	return true;
}

/* The folder of `path`, for what stands behind; where there is none the next above, for the name that is missing. */
static void watch_folder_of(struct host_file *file, const char *path)
{
	char folder[PATH_MAX];
	size_t end = strlen(path), name_end = end;

	while (end) {
		while (end && path[end - 1] != '/')
			end--;
		if (!end)
			return;
		memcpy(folder, path, end); /* with the slash: a link is followed, and what is no folder is refused */
		folder[end] = '\0';
		if (watch(file, folder, IN_FOLDER | IN_ONLYDIR, path + end, name_end - end))
			return;
		while (end && path[end - 1] == '/')
			end--;
		name_end = end;
	}
}

/* Where the link `path` leads, into `path`. False: it is none. */
static bool follow_link(char path[PATH_MAX])
{
	char target[PATH_MAX], joined[PATH_MAX];
	const ssize_t n = readlink(path, target, sizeof target - 1);
	const char *slash = strrchr(path, '/');
	int len;

	if (n <= 0 || !slash)
		return false;
	target[n] = '\0';
	if (target[0] == '/')
		len = snprintf(joined, sizeof joined, "%s", target);
	else
		len = snprintf(joined, sizeof joined, "%.*s/%s", (int)(slash - path), path, target);
	if (len < 0 || (size_t)len >= sizeof joined)
		return false;
	memcpy(path, joined, (size_t)len + 1);
	return true;
}

static void watch_all(struct host_file *file)
{
	char path[PATH_MAX];

	if (file->inotify < 0)
		return;
	for (unsigned i = 0; i < file->n; i++)
		(void)inotify_rm_watch(file->inotify, file->watched[i].number);
	file->n = 0;
	if ((size_t)snprintf(path, sizeof path, "%s", file->path) >= sizeof path)
		return;
	for (unsigned links = 0; links <= LINKS_MAX; links++) {
		watch_folder_of(file, path);
		if (!follow_link(path))
			break;
	}
	(void)watch(file, path, IN_FILE, "", 0);
}

/* ---- events ---- */

static bool concerns(const struct host_file *file, const struct inotify_event *event)
{
	if (event->mask & IN_Q_OVERFLOW)
		return true;
	for (unsigned i = 0; i < file->n; i++) {
		const struct watched *watched = &file->watched[i];

		if (watched->number != event->wd)
			continue;
		/* IN_IGNORED comes of our own removal, too; what ends a watch by itself says so before. */
		if (!event->len ? !(event->mask & IN_IGNORED) : strcmp(event->name, watched->name) == 0)
			return true;
	}
	return false;
}

static void on_inotify(void *ctx, int fd, unsigned events)
{
	struct host_file *file = ctx;
	_Alignas(struct inotify_event) char bytes[4096];
	bool any = false;

	(void)events;
	for (unsigned reads = 0; reads < READS_A_TURN; reads++) {
		const ssize_t n = read(fd, bytes, sizeof bytes);
		const struct inotify_event *event;

		if (n <= 0)
			break;
		for (ssize_t at = 0; at < n; at += (ssize_t)(sizeof *event + event->len)) {
			event = (const void *)(bytes + at);
			any = any || concerns(file, event);
		}
	}
	if (!any)
		return;
	watch_all(file); /* before it is read, so that no change is missed */
	file->changed(file->ctx);
}

/* ---- life ---- */

static int open_folder(struct host_file *file)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(file->path, '/');

	if (file->path[0] != '/' || (size_t)(slash - file->path) + 2 > sizeof folder)
		return -EINVAL;
	memcpy(folder, file->path, (size_t)(slash - file->path) + 1);
	folder[slash - file->path + 1] = '\0';
	file->name = slash + 1;
	file->folder = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return file->folder < 0 ? -errno : 0;
}

int host_file_new(const struct capsa_host *host, struct capsa_device *dev, const char *path, void (*changed)(void *ctx),
                  void *ctx, struct host_file **out)
{
	struct host_file *file = calloc(1, sizeof *file);
	int rc;

	*out = NULL;
	if (!file)
		return -ENOMEM;
	file->host = host;
	file->dev = dev;
	file->path = path;
	file->changed = changed;
	file->ctx = ctx;
	file->folder = file->inotify = -1;
	rc = open_folder(file);
	if (rc < 0)
		goto failed;
	file->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (file->inotify < 0) {
		host->log(dev, CAPSA_LOG_WARNING,
		          "%s is not followed as it changes: %s; raise fs.inotify.max_user_instances", path,
		          strerror(errno));
	} else {
		file->watch = host->watch_add(dev, file->inotify, CAPSA_WATCH_READ, on_inotify, file);
		rc = file->watch ? 0 : -ENOMEM;
		if (rc < 0)
			goto failed;
		watch_all(file);
	}
	*out = file;
	return 0;
failed:
	host_file_free(file);
	return rc;
}

void host_file_free(struct host_file *file)
{
	if (!file)
		return;
	if (file->watch)
		file->host->watch_remove(file->watch);
	if (file->inotify >= 0)
		close(file->inotify);
	if (file->folder >= 0)
		close(file->folder);
	free(file);
}

/* ---- reading ---- */

static int read_all(int fd, char *to, size_t room, size_t *len)
{
	*len = 0;
	while (*len < room) {
		const ssize_t n = read(fd, to + *len, room - *len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		*len += (size_t)n;
	}
	return -EFBIG;
}

int host_file_read(const struct host_file *file, size_t most, char **text)
{
	/* What is no file, but a pipe, must not make us wait for its other end. */
	int fd = file->host->file_open(file->dev, file->folder, file->name, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	char *bytes = NULL;
	struct stat st;
	size_t len = 0;
	int rc;

	*text = NULL;
	if (fd < 0)
		return fd;
	rc = fstat(fd, &st) < 0 ? -errno : S_ISREG(st.st_mode) ? 0 : -EINVAL;
	if (rc == 0 && st.st_size > (off_t)most)
		rc = -EFBIG;
	if (rc == 0) {
		bytes = malloc(most + 2);
		rc = bytes ? read_all(fd, bytes, most + 1, &len) : -ENOMEM;
	}
	close(fd);
	if (rc < 0) {
		free(bytes);
		return rc;
	}
	bytes[len] = '\0';
	*text = bytes;
	return 0;
}
