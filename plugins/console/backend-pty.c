/* SPDX-License-Identifier: MIT */
/*
 * backend-pty.c - a pseudo-terminal, for screen, minicom and the like. Owns the master side and the link to the slave.
 * Called by console.c.
 *
 * Nobody tells a master that its slave was opened, and as long as it is not, the master is hung up, which a watch
 * would report without end. So inotify watches the slave's node: each open and close of it is an event, after which
 * the master is asked (poll: POLLHUP) whether somebody is there. While somebody is, the master is watched as usual;
 * its hang-up ends the session.
 *
 * Nor is a master told that its window has another size. It is looked at when the slave is opened or closed, and with
 * every input: whoever has resized a window sooner or later types.
 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <termios.h>
#include <unistd.h>

#include "session.h"
#include "terminal.h"

struct pty {
	struct session session;
	int master, inotify;
	char slave[64]; /* "/dev/pts/7" */
	bool linked;    /* options.path is ours to remove */
	struct capsa_watch *in_watch, *open_watch;
};

static void client_lost(void *ctx)
{
	struct console *c = ctx;
	struct pty *p = c->backend;

	c->host->watch_remove(p->in_watch);
	p->in_watch = NULL;
	session_end(&p->session, 0);
}

static bool somebody_there(const struct pty *p)
{
	struct pollfd poll_fd = { .fd = p->master, .events = POLLIN };

	return poll(&poll_fd, 1, 0) >= 0 && !(poll_fd.revents & POLLHUP);
}

static void look_at_window(struct console *c)
{
	struct pty *p = c->backend;
	unsigned cols = 0, rows = 0;

	terminal_window(p->master, &cols, &rows);
	console_window(c, cols, rows, true);
}

static void on_input(void *ctx, int fd, unsigned events)
{
	struct console *c = ctx;
	struct pty *p = c->backend;

	(void)fd, (void)events;
	look_at_window(c);
	console_input(c, p->in_watch);
}

static void look(struct console *c)
{
	struct pty *p = c->backend;
	struct descriptor client = { .fd = p->master, .kind = DESCRIPTOR_NONBLOCKING };

	if (!somebody_there(p)) {
		client_lost(c);
		return;
	}
	look_at_window(c);
	if (session_attached(&p->session))
		return;
	p->in_watch = c->host->watch_add(c->dev, p->master, CAPSA_WATCH_READ, on_input, c);
	if (!p->in_watch || session_begin(&p->session, client) < 0) {
		c->host->log(c->dev, CAPSA_LOG_WARNING, "%s: out of memory", p->slave);
		client_lost(c);
	}
}

static void on_open(void *ctx, int fd, unsigned events)
{
	char ignored[4096] __attribute__((aligned(8)));

	(void)events;
	/* That something happened is enough. */
	while (read(fd, ignored, sizeof ignored) > 0)
		;
	look(ctx);
}

static int fail(struct console *c, const char *what)
{
	c->host->error(c->dev, "cannot make a pseudo-terminal: %s: %s", what, strerror(errno));
	return -1;
}

/* Raw: what echo and line editing there is, the guest does. The modes stay as long as the master is open. */
static int make_slave_raw(const struct pty *p)
{
	struct termios modes;
	int rc, slave = open(p->slave, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (slave < 0)
		return -1;
	rc = tcgetattr(slave, &modes);
	if (rc == 0) {
		cfmakeraw(&modes);
		rc = tcsetattr(slave, TCSANOW, &modes);
	}
	close(slave);
	return rc;
}

/* A link that an earlier capsa left is replaced in one step; anything else is somebody's. */
static int make_link(struct console *c)
{
	struct pty *p = c->backend;
	const char *path = c->options.path;
	char fresh[PATH_MAX], there[64];

	if (symlink(p->slave, path) == 0) {
		p->linked = true;
		return 0;
	}
	if (errno == EEXIST && readlink(path, there, sizeof there) < 0) {
		c->host->error(c->dev,
		               "%s is there already and is no symbolic link; remove it or choose another \"path\"",
		               path);
		return -1;
	}
	if (errno == EEXIST) {
		int n = snprintf(fresh, sizeof fresh, "%s.%ld", path, (long)getpid());

		if (n > 0 && (size_t)n < sizeof fresh && symlink(p->slave, fresh) == 0) {
			if (rename(fresh, path) == 0) {
				p->linked = true;
				return 0;
			}
			unlink(fresh);
		}
	}
	c->host->error(c->dev, "cannot make the link %s: %s", path, strerror(errno));
	return -1;
}

static int pty_realize(struct console *c)
{
	struct pty *p = calloc(1, sizeof *p);

	if (!p) {
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	p->inotify = -1;
	p->master = -1;
	c->backend = p;
	if (session_init(&p->session, c, client_lost, c) < 0)
		return fail(c, "memory");
	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (p->master < 0 || grantpt(p->master) < 0 || unlockpt(p->master) < 0)
		return fail(c, "/dev/ptmx");
	if ((errno = ptsname_r(p->master, p->slave, sizeof p->slave)) != 0 || make_slave_raw(p) < 0)
		return fail(c, "its slave");
	p->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (p->inotify < 0 || inotify_add_watch(p->inotify, p->slave, IN_OPEN | IN_CLOSE) < 0)
		return fail(c, "inotify");
	if (c->options.path && make_link(c) < 0)
		return -1;
	c->host->log(c->dev, CAPSA_LOG_INFO, "the console is %s", p->slave);
	return 0;
}

static int pty_start(struct console *c)
{
	struct pty *p = c->backend;

	p->open_watch = c->host->watch_add(c->dev, p->inotify, CAPSA_WATCH_READ, on_open, c);
	if (!p->open_watch) {
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	return 0;
}

static ssize_t pty_write(struct console *c, const struct iovec *iov, unsigned n)
{
	struct pty *p = c->backend;

	return session_write(&p->session, iov, n);
}

static size_t pty_read(struct console *c, void *to, size_t room)
{
	struct pty *p = c->backend;
	ssize_t n = read(p->master, to, room);

	if (n > 0)
		return (size_t)n;
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_lost(c);
		/* Somebody may have opened it since; the event of that has been read before the hang-up was. */
		if (somebody_there(p))
			look(c);
	}
	return 0;
}

static int pty_output_fd(const struct console *c)
{
	const struct pty *p = c->backend;

	return session_attached(&p->session) ? p->master : -1;
}

static void remove_link(struct console *c)
{
	struct pty *p = c->backend;
	char there[sizeof p->slave];
	ssize_t n;

	if (!p->linked)
		return;
	p->linked = false;
	/* Unless it has become the link of another machine. */
	n = readlink(c->options.path, there, sizeof there);
	if (n == (ssize_t)strlen(p->slave) && memcmp(there, p->slave, (size_t)n) == 0)
		unlink(c->options.path);
}

static void pty_stop(struct console *c)
{
	struct pty *p = c->backend;

	client_lost(c);
	c->host->watch_remove(p->open_watch);
	p->open_watch = NULL;
	remove_link(c);
}

static void pty_destroy(struct console *c)
{
	struct pty *p = c->backend;

	remove_link(c);
	session_free(&p->session);
	if (p->inotify >= 0)
		close(p->inotify);
	if (p->master >= 0)
		close(p->master);
	free(p);
}

const struct backend_ops backend_pty = {
	.name = "pty",
	.realize = pty_realize,
	.start = pty_start,
	.write = pty_write,
	.read = pty_read,
	.output_fd = pty_output_fd,
	.stop = pty_stop,
	.destroy = pty_destroy,
};
