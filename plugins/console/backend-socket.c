/* SPDX-License-Identifier: MIT */
/*
 * backend-socket.c - a UNIX stream socket: raw bytes in both directions, for one client at a time (`capsa console
 * NAME`, socat, ...). Owns the listeners and the connections. Called by console.c.
 *
 * WHERE. Without the key `path`, in the machine's run-time folder: console.sock for the device console0, NAME.sock for
 * a device NAME. With it, there, and a symbolic link of that name in the run-time folder, so that `capsa console` finds
 * it all the same.
 *
 * A SECOND CLIENT is told that the console is in use, and closed. A client that has hung up is gone even where the
 * guest has not yet taken its last words: those (at most 64 KiB) are kept and go before what the next one says.
 *
 * CONTROL. What is no console data goes over a second socket, PATH.ctl, so that the first stays raw. Lines, from the
 * process that is the client on the first one (others are heard only to be ignored):
 *
 *     winsize COLS ROWS    the window's size, now and whenever it changes
 *     consumed N           before it leaves: of all bytes it was sent, it made use of the first N. The others are
 *                          kept for the next client: a script may look for one thing after another, with one
 *                          connection each. Without the line all count as used.
 *
 * and one line in the other direction as soon as it has connected:
 *
 *     backlog N            the first N bytes that this client gets are from before it came
 *     busy                 it is not the client
 */
#include "backend.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "listener.h"
#include "session.h"

#define IN_USE "capsa: the console is in use\r\n"
#define LEFT_LIMIT 65536
#define CONTROL_LINE 64
#define CONTROL_LAST_READS 128 /* of what a client said before it left: bounded, whatever it wrote */
#define MAX_EARLY 4

struct control {
	int fd; /* -1: none */
	pid_t pid;
	char line[CONTROL_LINE];
	size_t len;
	bool skip; /* a line that is too long */
	struct capsa_watch *watch;
};

/* A control connection that came before it is known whether its process is the client. */
struct early {
	int fd;
	pid_t pid;
};

struct sock {
	struct session session;
	struct listener data_listener, control_listener;
	struct capsa_watch *accept_watch, *control_accept_watch;
	char *link, *control_link; /* in the run-time folder, for a `path` elsewhere; ours to remove */

	int client; /* -1: none */
	pid_t client_pid;
	struct capsa_watch *in_watch; /* NULL: it says no more */
	uint64_t consumed;
	bool told_consumed;
	struct control control;
	bool had_control; /* this client */
	struct early early[MAX_EARLY];
	unsigned n_early;

	unsigned char *left; /* input of a client that is gone */
	size_t left_at, left_len;
};

/* ---- the client ---- */

static void close_if_over(struct console *c)
{
	struct sock *s = c->backend;

	if (s->client < 0 || s->in_watch || session_attached(&s->session))
		return;
	close(s->client);
	s->client = -1;
}

static void control_hear_last_lines(struct console *c);

static void end_output(struct console *c)
{
	struct sock *s = c->backend;
	uint64_t sent = s->session.sent;

	if (!session_attached(&s->session))
		return;
	control_hear_last_lines(c);
	session_end(&s->session, s->told_consumed && s->consumed < sent ? sent - s->consumed : 0);
}

static void end_input(struct console *c)
{
	struct sock *s = c->backend;

	c->host->watch_remove(s->in_watch);
	s->in_watch = NULL;
}

static bool hung_up(const struct sock *s)
{
	struct pollfd poll_fd = { .fd = s->client };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLERR));
}

static void output_lost(void *ctx)
{
	end_output(ctx);
	close_if_over(ctx);
}

static void on_input(void *ctx, int fd, unsigned events)
{
	struct console *c = ctx;
	struct sock *s = c->backend;

	(void)fd, (void)events;
	console_input(c, s->in_watch);
}

static size_t socket_read(struct console *c, void *to, size_t room)
{
	struct sock *s = c->backend;
	ssize_t n;

	if (s->left) {
		size_t len = s->left_len - s->left_at < room ? s->left_len - s->left_at : room;

		memcpy(to, s->left + s->left_at, len);
		s->left_at += len;
		if (s->left_at == s->left_len) {
			free(s->left);
			s->left = NULL;
		}
		return len;
	}
	if (!s->in_watch)
		return 0;
	n = recv(s->client, to, room, MSG_DONTWAIT);
	if (n > 0)
		return (size_t)n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* It may have closed one direction only (socat does): then it still reads. */
	if (n < 0 || hung_up(s))
		end_output(c);
	end_input(c);
	close_if_over(c);
	return 0;
}

static void accept_clients(struct console *c);

static void socket_pull(struct console *c)
{
	struct sock *s = c->backend;

	if (s->n_early)
		accept_clients(c);
	if (s->left)
		console_input(c, NULL);
}

/* The client is gone, but the guest has not taken its last words: they are kept. */
static void keep_last_words(struct console *c)
{
	struct sock *s = c->backend;
	int waiting = 0;
	ssize_t n;

	if (s->left || !s->in_watch || ioctl(s->client, FIONREAD, &waiting) < 0 || waiting <= 0)
		return;
	if (waiting > LEFT_LIMIT)
		waiting = LEFT_LIMIT;
	s->left = malloc((size_t)waiting);
	if (!s->left)
		return;
	n = recv(s->client, s->left, (size_t)waiting, MSG_DONTWAIT);
	s->left_at = 0;
	s->left_len = n > 0 ? (size_t)n : 0;
	if (!s->left_len) {
		free(s->left);
		s->left = NULL;
	}
	console_pull(c);
}

static void drop_client(struct console *c)
{
	end_output(c);
	end_input(c);
	close_if_over(c);
}

static void take_client(struct console *c, int fd, pid_t pid)
{
	struct sock *s = c->backend;
	struct descriptor client = { .fd = fd, .kind = DESCRIPTOR_SOCKET };

	if (s->client >= 0 && hung_up(s)) {
		keep_last_words(c);
		drop_client(c);
	}
	if (s->client >= 0) {
		/* A client that does not even take this line does without. */
		if (send(fd, IN_USE, strlen(IN_USE), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			c->host->log(c->dev, CAPSA_LOG_DEBUG, "a second client was refused");
		close(fd);
		return;
	}
	s->client = fd;
	s->client_pid = pid;
	s->told_consumed = s->had_control = false;
	s->in_watch = c->host->watch_add(c->dev, fd, CAPSA_WATCH_READ, on_input, c);
	if (!s->in_watch || session_begin(&s->session, client) < 0) {
		c->host->log(c->dev, CAPSA_LOG_WARNING, "a client was refused: out of memory");
		drop_client(c);
		if (s->client >= 0) {
			close(s->client);
			s->client = -1;
		}
	}
}

static void admit_early(struct console *c);

static void accept_clients(struct console *c)
{
	struct sock *s = c->backend;
	pid_t pid;
	int fd;

	while ((fd = listener_accept(&s->data_listener, &pid)) >= 0)
		take_client(c, fd, pid);
	admit_early(c);
}

static void on_client(void *ctx, int fd, unsigned events)
{
	(void)fd, (void)events;
	accept_clients(ctx);
}

/* ---- control ---- */

static void control_end(struct console *c)
{
	struct control *ctl = &((struct sock *)c->backend)->control;

	if (ctl->fd < 0)
		return;
	c->host->watch_remove(ctl->watch);
	close(ctl->fd);
	ctl->watch = NULL;
	ctl->fd = -1;
}

static bool control_is_clients(const struct sock *s)
{
	return s->client >= 0 && s->control.pid == s->client_pid && session_attached(&s->session);
}

static void control_line(struct console *c, const char *line)
{
	struct sock *s = c->backend;
	unsigned cols, rows;
	unsigned long long consumed;
	char rest;

	if (!control_is_clients(s))
		return;
	if (sscanf(line, "winsize %5u %5u%c", &cols, &rows, &rest) == 2 && cols <= UINT16_MAX && rows <= UINT16_MAX) {
		console_window(c, cols, rows, true);
	} else if (sscanf(line, "consumed %20llu%c", &consumed, &rest) == 1) {
		s->consumed = consumed;
		s->told_consumed = true;
	}
}

static void control_bytes(struct console *c, const char *bytes, size_t n)
{
	struct control *ctl = &((struct sock *)c->backend)->control;

	for (size_t i = 0; i < n; i++) {
		if (bytes[i] != '\n') {
			if (ctl->len < sizeof ctl->line - 1)
				ctl->line[ctl->len++] = bytes[i];
			else
				ctl->skip = true;
			continue;
		}
		ctl->line[ctl->len] = '\0';
		if (!ctl->skip)
			control_line(c, ctl->line);
		ctl->len = 0;
		ctl->skip = false;
	}
}

/* False: no more of it now. */
static bool control_read(struct console *c)
{
	struct control *ctl = &((struct sock *)c->backend)->control;
	char bytes[512];
	ssize_t n;

	if (ctl->fd < 0)
		return false;
	n = recv(ctl->fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n > 0)
		control_bytes(c, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		control_end(c);
	return n > 0;
}

static void on_control(void *ctx, int fd, unsigned events)
{
	(void)fd, (void)events;
	/* Who floods it waits: once a call. */
	control_read(ctx);
}

static void control_take(struct console *c, int fd, pid_t pid)
{
	struct sock *s = c->backend;
	struct control *ctl = &s->control;
	char answer[64] = "busy\n";

	/* A stranger does not end the client's own. */
	if (ctl->fd >= 0 && control_is_clients(s) && pid != s->client_pid) {
		if (send(fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			c->host->log(c->dev, CAPSA_LOG_DEBUG, "a second client was refused");
		close(fd);
		return;
	}
	control_end(c);
	*ctl = (struct control){ .fd = fd, .pid = pid };
	ctl->watch = c->host->watch_add(c->dev, fd, CAPSA_WATCH_READ, on_control, c);
	if (!ctl->watch) {
		close(fd);
		ctl->fd = -1;
		return;
	}
	s->had_control |= control_is_clients(s);
	if (control_is_clients(s))
		snprintf(answer, sizeof answer, "backlog %llu\n", (unsigned long long)s->session.replayed);
	if (send(fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		control_end(c);
}

static void control_accept(struct console *c)
{
	struct sock *s = c->backend;
	pid_t pid;
	int fd;

	while ((fd = listener_accept(&s->control_listener, &pid)) >= 0)
		control_take(c, fd, pid);
}

/* The connections that waited for their process to become the client, or not. */
static void admit_early(struct console *c)
{
	struct sock *s = c->backend;

	for (unsigned i = 0; i < s->n_early; i++)
		control_take(c, s->early[i].fd, s->early[i].pid);
	s->n_early = 0;
}

/*
 * What the client said before it hung up. Its connection may not have been accepted yet, and behind that there may be
 * the one of the next client, who is not to be mistaken for a stranger: it waits until its turn.
 */
static void control_hear_last_lines(struct console *c)
{
	struct sock *s = c->backend;
	unsigned reads = 0;
	pid_t pid;
	int fd;

	while (!s->had_control && s->n_early < MAX_EARLY &&
	       (fd = listener_accept(&s->control_listener, &pid)) >= 0) {
		if (pid == s->client_pid)
			control_take(c, fd, pid);
		else
			s->early[s->n_early++] = (struct early){ fd, pid };
	}
	while (reads++ < CONTROL_LAST_READS && control_is_clients(s) && control_read(c))
		;
	if (s->n_early)
		console_pull(c);
}

static void on_control_client(void *ctx, int fd, unsigned events)
{
	(void)fd, (void)events;
	/* It connected to the other socket first: look there first. */
	accept_clients(ctx);
	control_accept(ctx);
}

/* ---- life ---- */

static char *join(const char *word, const char *suffix)
{
	char *text;

	return asprintf(&text, "%s%s", word, suffix) < 0 ? NULL : text;
}

/* The name in the run-time folder; NULL: there is no folder, or no memory. Owned by the core. */
static const char *runtime_path(struct console *c, const char *suffix)
{
	const char *device = c->host->device_name(c->dev);
	char *name = join(strcmp(device, "console0") == 0 ? "console" : device, suffix);
	const char *path = name ? c->host->runtime_path(c->dev, name) : NULL;

	free(name);
	return path;
}

/* Links are a convenience: without them the socket is where the user wanted it. */
static char *link_to(const char *target, const char *at)
{
	if (!at)
		return NULL;
	unlink(at);
	return symlink(target, at) == 0 ? strdup(at) : NULL;
}

static int socket_realize(struct console *c)
{
	const char *data = runtime_path(c, ".sock"), *control = runtime_path(c, ".sock.ctl");
	const char *path = c->options.path ? c->options.path : data;
	struct sock *s = calloc(1, sizeof *s);
	char *control_path;
	int rc;

	if (!s) {
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	c->backend = s;
	s->client = s->control.fd = s->data_listener.fd = s->control_listener.fd = -1;
	if (!path) {
		c->host->error(c->dev, "the machine has no run-time folder; say where with the key \"path\"");
		return -1;
	}
	control_path = join(path, ".ctl");
	if (!control_path || session_init(&s->session, c, output_lost, c) < 0) {
		free(control_path);
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	rc = listener_open(&s->data_listener, c, path);
	if (rc == 0)
		rc = listener_open(&s->control_listener, c, control_path);
	if (rc == 0 && c->options.path) {
		s->link = link_to(path, data);
		s->control_link = link_to(control_path, control);
	}
	free(control_path);
	if (rc == 0)
		c->host->log(c->dev, CAPSA_LOG_INFO, "the console is %s", path);
	return rc;
}

static int socket_start(struct console *c)
{
	struct sock *s = c->backend;

	s->accept_watch = c->host->watch_add(c->dev, s->data_listener.fd, CAPSA_WATCH_READ, on_client, c);
	s->control_accept_watch =
		c->host->watch_add(c->dev, s->control_listener.fd, CAPSA_WATCH_READ, on_control_client, c);
	if (s->accept_watch && s->control_accept_watch)
		return 0;
	c->host->error(c->dev, "out of memory");
	return -1;
}

static ssize_t socket_write(struct console *c, const struct iovec *iov, unsigned n)
{
	struct sock *s = c->backend;

	return session_write(&s->session, iov, n);
}

static int socket_output_fd(const struct console *c)
{
	const struct sock *s = c->backend;

	return session_attached(&s->session) ? s->client : -1;
}

static void socket_stop(struct console *c)
{
	struct sock *s = c->backend;

	drop_client(c);
	control_end(c);
	c->host->watch_remove(s->accept_watch);
	c->host->watch_remove(s->control_accept_watch);
	s->accept_watch = s->control_accept_watch = NULL;
}

static void remove_link(char *link)
{
	if (link)
		unlink(link);
	free(link);
}

static void socket_destroy(struct console *c)
{
	struct sock *s = c->backend;

	listener_close(&s->data_listener);
	listener_close(&s->control_listener);
	remove_link(s->link);
	remove_link(s->control_link);
	if (s->session.console)
		session_free(&s->session);
	if (s->control.fd >= 0)
		close(s->control.fd);
	for (unsigned i = 0; i < s->n_early; i++)
		close(s->early[i].fd);
	if (s->client >= 0)
		close(s->client);
	free(s->left);
	free(s);
}

const struct backend_ops backend_socket = {
	.name = "socket",
	.realize = socket_realize,
	.start = socket_start,
	.write = socket_write,
	.read = socket_read,
	.pull = socket_pull,
	.output_fd = socket_output_fd,
	.stop = socket_stop,
	.destroy = socket_destroy,
};
