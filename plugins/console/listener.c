/* SPDX-License-Identifier: MIT */
/* listener.c - see listener.h. Called by backend-socket.c. */
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_WAITING 4 /* connections that nobody has accepted yet */

/*
 * `path` as an address. One that is too long goes through the descriptor of its folder, *folder, to be closed after
 * use (-1 otherwise).
 */
static int address(const char *path, struct sockaddr_un *to, int *folder)
{
	const char *slash = strrchr(path, '/');
	char *copy;
	int n;

	*folder = -1;
	memset(to, 0, sizeof *to);
	to->sun_family = AF_UNIX;
	if (strlen(path) < sizeof to->sun_path) {
		strcpy(to->sun_path, path);
		return 0;
	}
	if (!slash)
		return -ENAMETOOLONG;
	copy = strndup(path, (size_t)(slash - path) + 1);
	if (!copy)
		return -ENOMEM;
	*folder = open(copy, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (*folder < 0)
		return -errno;
	n = snprintf(to->sun_path, sizeof to->sun_path, "/proc/self/fd/%d%s", *folder, slash);
	if (n > 0 && (size_t)n < sizeof to->sun_path)
		return 0;
	close(*folder);
	*folder = -1;
	return -ENAMETOOLONG;
}

/* Is somebody listening there? */
static bool is_alive(const struct sockaddr_un *to)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return true;
	alive = connect(fd, (const struct sockaddr *)to, sizeof *to) == 0 || errno != ECONNREFUSED;
	close(fd);
	return alive;
}

/* 0, or -EADDRINUSE: somebody listens, -EEXIST: no socket, -errno. */
static int bind_to(int fd, const struct sockaddr_un *to)
{
	struct stat st;

	if (bind(fd, (const struct sockaddr *)to, sizeof *to) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (lstat(to->sun_path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (is_alive(to))
		return -EADDRINUSE;
	unlink(to->sun_path);
	return bind(fd, (const struct sockaddr *)to, sizeof *to) == 0 ? 0 : -errno;
}

int listener_open(struct listener *l, struct console *c, const char *path)
{
	struct sockaddr_un to;
	int folder = -1, rc;
	struct stat st;

	l->path = strdup(path);
	l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = !l->path ? -ENOMEM : l->fd < 0 ? -errno : address(path, &to, &folder);
	/* The file gets the socket's mode: it is never open to others, not for a moment. */
	if (rc == 0 && fchmod(l->fd, 0600) < 0)
		rc = -errno;
	if (rc == 0)
		rc = bind_to(l->fd, &to);
	if (rc == 0) {
		if (lstat(to.sun_path, &st) == 0) {
			l->dev = st.st_dev;
			l->ino = st.st_ino;
		}
		if (listen(l->fd, MAX_WAITING) < 0) {
			rc = -errno;
			unlink(to.sun_path);
		}
	}
	if (folder >= 0)
		close(folder);
	if (rc == 0)
		return 0;
	free(l->path);
	l->path = NULL;
	if (rc == -EADDRINUSE)
		c->host->error(c->dev, "another process listens on %s; choose another \"path\"", path);
	else if (rc == -EEXIST)
		c->host->error(c->dev, "%s is there already and is no socket; remove it or choose another \"path\"",
		               path);
	else
		c->host->error(c->dev, "cannot listen on %s: %s", path, strerror(-rc));
	return -1;
}

void listener_close(struct listener *l)
{
	struct stat st;

	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	free(l->path);
	l->path = NULL;
}

int listener_accept(const struct listener *l, pid_t *pid)
{
	for (;;) {
		struct ucred peer = { .pid = 0 };
		socklen_t len = sizeof peer;
		int fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0)
			return -1;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
		    (peer.uid == geteuid() || peer.uid == 0)) {
			*pid = peer.pid;
			return fd;
		}
		close(fd);
	}
}
