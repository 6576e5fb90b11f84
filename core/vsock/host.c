/* SPDX-License-Identifier: MIT */
/*
 * host.c - the host's side of the device: UNIX sockets that listen, those that the guest's connections go to, and the
 * words "CONNECT <port>".
 *
 * Where descriptors or connections run out, listeners are not watched until a connection has ended, or a second has
 * passed: their connections wait in the backlog, and nothing spins on an accept(2) that fails.
 *
 * Owns listeners, targets and clients. Called by vsock.c and connection.c, and by watches.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/vsock/vsock-private.h"

#define MAX_ACCEPTS 64u /* in one call */

/* ---- starvation ---- */

void host_watch(struct vsock *v)
{
	struct listener *l;

	LIST_FOREACH(l, &v->listeners, link)
	if (reactor_watch_set(l->watch, v->starved || l->held ? 0 : REACTOR_READ) < 0)
		vsock_say(v, REASON_MEMORY, "no memory to wait for connections at %s", l->path);
}

void host_starved(struct vsock *v)
{
	v->counters.starved++;
	v->starved = true;
	reactor_timer_set(v->starved_timer, STARVED_MS);
	host_watch(v);
}

void host_fed(void *ctx)
{
	struct vsock *v = ctx;

	v->starved = false;
	reactor_timer_set(v->starved_timer, -1);
	host_watch(v);
}

/* ---- clients: CONNECT <port> ---- */

/* Returns its descriptor, which stays open. */
static int client_free(struct client *client)
{
	int fd = client->fd;

	reactor_watch_remove(client->watch);
	LIST_REMOVE(client, link);
	client->vsock->n_connections--;
	free(client);
	return fd;
}

static void client_drop(struct client *client)
{
	struct vsock *v = client->vsock;

	close(client_free(client));
	if (v->starved)
		host_fed(v);
}

/* "CONNECT 1234\n" */
static bool parse_line(const char *line, uint32_t *port)
{
	static const char word[] = "CONNECT ";
	unsigned long long value;
	char *end;

	if (strncmp(line, word, sizeof word - 1) || !isdigit((unsigned char)line[sizeof word - 1]))
		return false;
	value = strtoull(line + sizeof word - 1, &end, 10);
	*port = (uint32_t)value;
	return value < VMADDR_PORT_ANY && (!strcmp(end, "\n") || !strcmp(end, "\r\n"));
}

static void client_done(struct client *client)
{
	struct vsock *v = client->vsock;
	struct connection *c;
	uint32_t port;
	int fd;

	client->line[client->len] = '\0';
	if (!v->active || !parse_line(client->line, &port)) {
		v->counters.refused++;
		client_drop(client);
		return;
	}
	fd = client_free(client);
	c = connection_request(v, fd, VIRTIO_VSOCK_TYPE_STREAM, port);
	if (c)
		c->says_ok = true;
}

/* Takes its line and not a byte of what is behind it. */
static void client_readable(void *ctx, int fd, unsigned events)
{
	struct client *client = ctx;
	struct vsock *v = client->vsock;
	const size_t room = sizeof client->line - 1 - client->len;
	char *at = client->line + client->len, *end = NULL;
	ssize_t n;

	(void)events;
	turn_begin(v);
	n = recv(fd, at, room, MSG_PEEK | MSG_DONTWAIT);
	if (n > 0) {
		end = memchr(at, '\n', (size_t)n);
		n = recv(fd, at, end ? (size_t)(end - at) + 1 : (size_t)n, MSG_DONTWAIT);
	}
	if (n > 0) {
		client->len += (size_t)n;
		if (end)
			client_done(client);
		else if (client->len == sizeof client->line - 1)
			client_drop(client);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		client_drop(client);
	}
	turn_end(v);
}

static void client_add(struct vsock *v, int fd)
{
	struct client *client = calloc(1, sizeof *client);

	if (client)
		client->watch = reactor_watch_add(v->reactor, fd, REACTOR_READ, client_readable, client);
	if (!client || !client->watch) {
		vsock_say(v, REASON_MEMORY, "no memory for a connection, which is closed");
		free(client);
		close(fd);
		return;
	}
	client->vsock = v;
	client->fd = fd;
	LIST_INSERT_HEAD(&v->clients, client, link);
	v->n_connections++;
}

void host_drop_clients(struct vsock *v)
{
	struct client *client;

	while ((client = LIST_FIRST(&v->clients)))
		close(client_free(client));
}

bool host_say_ok(const struct connection *c)
{
	char line[32];
	int len = snprintf(line, sizeof line, "OK %u\n", c->host_port);

	return send(c->fd, line, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT) == len;
}

/* ---- listeners ---- */

/* false: nothing more to accept for now. */
static bool accept_one(struct listener *l)
{
	struct vsock *v = l->vsock;
	int fd;

	if (v->n_connections >= v->max_connections) {
		host_starved(v);
		return false;
	}
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)) {
		vsock_say(v, REASON_DESCRIPTORS,
		          "%s: %s; its connections wait; raise the limit of open files (ulimit -n)", l->path,
		          strerror(errno));
		host_starved(v);
		return false;
	}
	if (fd < 0)
		return errno == EINTR || errno == ECONNABORTED;
	if (l->asks) {
		client_add(v, fd);
	} else if (v->active) {
		connection_request(v, fd, l->seqpacket ? VIRTIO_VSOCK_TYPE_SEQPACKET : VIRTIO_VSOCK_TYPE_STREAM,
		                   l->port);
	} else {
		v->counters.refused++;
		close(fd);
	}
	return true;
}

static void listener_readable(void *ctx, int fd, unsigned events)
{
	struct listener *l = ctx;
	struct vsock *v = l->vsock;

	(void)fd;
	(void)events;
	turn_begin(v);
	for (unsigned i = 0; i < MAX_ACCEPTS && accept_one(l); i++)
		;
	turn_end(v);
}

/* Is somebody listening there? */
static bool is_alive(const struct sockaddr_un *to, socklen_t len, int type)
{
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool alive;

	if (fd < 0)
		return true;
	/* Of another type (EPROTOTYPE), or with a full backlog (EAGAIN): alive, too. */
	alive = connect(fd, (const struct sockaddr *)to, len) == 0 || errno != ECONNREFUSED;
	close(fd);
	return alive;
}

/* 0, -EADDRINUSE: somebody listens, -EEXIST: no socket, -errno. */
static int bind_to(int fd, const struct sockaddr_un *to, socklen_t len, int type)
{
	struct stat st;

	if (bind(fd, (const struct sockaddr *)to, len) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (lstat(to->sun_path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	if (is_alive(to, len, type))
		return -EADDRINUSE;
	unlink(to->sun_path);
	return bind(fd, (const struct sockaddr *)to, len) == 0 ? 0 : -errno;
}

static int listener_bind(struct listener *l)
{
	const int type = l->seqpacket ? SOCK_SEQPACKET : SOCK_STREAM;
	struct sockaddr_un to;
	struct stat st;
	socklen_t len;
	int folder, rc;

	l->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	rc = path_unix_address(l->path, &to, &len, &folder);
	if (rc < 0)
		return rc;
	/* The file gets the socket's mode: it is never open to others, not for a moment. */
	rc = fchmod(l->fd, 0600) < 0 ? -errno : bind_to(l->fd, &to, len, type);
	if (rc == 0 && lstat(to.sun_path, &st) == 0) {
		l->dev = st.st_dev;
		l->ino = st.st_ino;
	}
	if (rc == 0 && listen(l->fd, SOMAXCONN) < 0) {
		rc = -errno;
		unlink(to.sun_path);
	}
	if (folder >= 0)
		close(folder);
	return rc;
}

static void listener_free(struct listener *l)
{
	struct stat st;

	reactor_watch_remove(l->watch);
	if (l->fd >= 0)
		close(l->fd);
	if (l->ino && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
	free(l->path);
	free(l);
}

int host_listen(struct vsock *v, const struct vsock_port *port, const char *path, struct error *err)
{
	struct listener *l = calloc(1, sizeof *l);
	int rc;

	if (!l)
		return error_set(err, ENOMEM, "no memory for the socket %s", path);
	*l = (struct listener){ .vsock = v, .fd = -1, .asks = !port, .path = strdup(path) };
	if (port) {
		l->port = port->port;
		l->held = port->held;
		l->seqpacket = port->seqpacket;
	}
	rc = l->path ? listener_bind(l) : -ENOMEM;
	if (rc == 0) {
		l->watch = reactor_watch_add(v->reactor, l->fd, l->held ? 0 : REACTOR_READ, listener_readable, l);
		rc = l->watch ? 0 : -ENOMEM;
	}
	if (rc == 0) {
		LIST_INSERT_HEAD(&v->listeners, l, link);
		return 0;
	}
	listener_free(l);
	if (rc == -EADDRINUSE)
		return error_set(err, EADDRINUSE, "another process listens on %s; choose another path", path);
	if (rc == -EEXIST)
		return error_set(err, EADDRINUSE,
		                 "%s is there already and is no socket; remove it or choose another path", path);
	return error_set(err, -rc, "cannot listen on %s: %s", path, strerror(-rc));
}

/* ---- where the guest's connections go ---- */

int host_add_target(struct vsock *v, const struct vsock_port *port, struct error *err)
{
	struct target *t = calloc(1, sizeof *t);

	if (t)
		t->path = strdup(port->path);
	if (!t || !t->path) {
		free(t);
		return error_set(err, ENOMEM, "no memory for a port");
	}
	t->port = port->port;
	LIST_INSERT_HEAD(&v->targets, t, link);
	return 0;
}

static int connect_to(struct vsock *v, const char *path, int type)
{
	int fd, folder, rc;
	struct sockaddr_un to;
	socklen_t len;

	rc = path_unix_address(path, &to, &len, &folder);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	rc = fd < 0 || connect(fd, (const struct sockaddr *)&to, len) < 0 ? -errno : 0;
	if (folder >= 0)
		close(folder);
	if (rc == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	if (rc == -EAGAIN)
		vsock_say(v, REASON_BUSY, "%s: its queue of connections is full; the guest's are refused", path);
	else if (rc == -EMFILE || rc == -ENFILE)
		vsock_say(v, REASON_DESCRIPTORS,
		          "%s; the guest's connections are refused; raise the limit of open files (ulimit -n)",
		          strerror(-rc));
	return rc;
}

int host_reach(struct vsock *v, uint32_t port, uint16_t type, const struct service **service, int *other)
{
	const int socket_type = type == VIRTIO_VSOCK_TYPE_SEQPACKET ? SOCK_SEQPACKET : SOCK_STREAM;
	const struct service *s;
	const struct target *t;
	int fds[2], fd;
	char *path;

	LIST_FOREACH(s, &v->services, link)
	if (s->port == port && type == VIRTIO_VSOCK_TYPE_STREAM) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
			return -errno;
		*service = s;
		*other = fds[1];
		return fds[0];
	}
	LIST_FOREACH(t, &v->targets, link)
	if (t->port == port)
		return connect_to(v, t->path, socket_type);
	if (!v->socket)
		return -ENOENT;
	path = text_format("%s_%u", v->socket, port);
	if (!path)
		return -ENOMEM;
	fd = connect_to(v, path, socket_type);
	free(path);
	return fd;
}

void host_close(struct vsock *v)
{
	struct listener *l;
	struct target *t;

	host_drop_clients(v);
	while ((l = LIST_FIRST(&v->listeners))) {
		LIST_REMOVE(l, link);
		listener_free(l);
	}
	while ((t = LIST_FIRST(&v->targets))) {
		LIST_REMOVE(t, link);
		free(t->path);
		free(t);
	}
}
