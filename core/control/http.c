/* SPDX-License-Identifier: MIT */
/*
 * http.c - see http.h. Called by api.c. Owns the listening socket and the connections.
 *
 * Why not a library: libevent's evhttp binds no UNIX sockets in the versions that distributions have (2.1), and
 * libmicrohttpd brings a TLS library and its memory into every machine. What a control socket needs of HTTP is small.
 *
 * Who gets in: the socket is 0600 in a 0700 folder. A descriptor of it may have been passed on all the same, so the
 * kernel is asked who connected (SO_PEERCRED): this user or root, anybody else is answered 403.
 *
 * Theory of operation. A connection has one buffer for what came, and one for the answer. Its states, and what is
 * legal in them:
 *
 *   READING   bytes come until a request is complete -> ASKED; one that is refused is answered -> WRITING
 *   ASKED     the owner has it; http_answer() -> WRITING. Nothing is read, but a hang-up is heard
 *   WRITING   the answer goes as the client reads it -> READING, or LINGERING where it was the last one
 *   LINGERING our side is closed; what the client still sends is thrown away until it closes, too. Closing at once
 *             would make the kernel forget an answer that the client has not read yet (ECONNRESET)
 *   DEAD      to be freed when the call that is working on it returns
 *
 * step() goes through them until there is something to wait for. The timer runs in every state but ASKED. After
 * PIPELINE_BUDGET requests of one client, the next are left to the loop's next turn.
 */
#include "core/control/http.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/path.h"
#include "core/base/text.h"
#include "core/control/http-parse.h"

enum {
	BACKLOG = 16,
	PIPELINE_BUDGET = 16,
	BUFFER_FIRST = 2048,      /* what most requests fit in */
	LINGER_MAX = 1024 * 1024, /* bytes to throw away before the connection is closed all the same */
	ACCEPT_BUDGET = 16,
	ACCEPT_PAUSE_MS = 1000, /* out of descriptors */
};

enum state { READING, ASKED, WRITING, LINGERING, DEAD };

struct http_exchange {
	LIST_ENTRY(http_exchange) link;
	struct http_server *server;
	int fd;
	struct reactor_watch *watch;
	struct reactor_timer *timer;
	enum state state;
	bool stepping;   /* within step(): answers go on there */
	bool read_ended; /* the client has closed its side */
	bool ahead;      /* ASKED: there are bytes of a next request, which would hide a hang-up from the loop */
	bool last;       /* close behind this answer */
	bool continued;  /* "100 Continue" was said */

	char *in;
	size_t in_len, in_size, seen;
	struct http_head head; /* points into `in` */
	size_t head_len;       /* 0: not complete yet */

	char *out;
	size_t out_len, out_at;
	size_t thrown_away;
};

struct http_server {
	struct http_setup setup;
	char *path;
	int fd;
	struct reactor_watch *watch;
	struct reactor_timer *again; /* accepts again after descriptors ran out */
	LIST_HEAD(, http_exchange) connections;
	unsigned n;
};

static void release(struct http_exchange *x)
{
	LIST_REMOVE(x, link);
	x->server->n--;
	reactor_watch_remove(x->watch);
	if (x->timer)
		reactor_timer_remove(x->timer);
	close(x->fd);
	free(x->in);
	free(x->out);
	free(x);
}

/* The connection is of no use any more. Its memory goes at the end of step(). */
static void die(struct http_exchange *x)
{
	enum state was = x->state;

	x->state = DEAD;
	if (was == ASKED)
		x->server->setup.gone(x->server->setup.ctx, x);
}

static void set_timer(struct http_exchange *x, bool run)
{
	reactor_timer_set(x->timer, run ? x->server->setup.timeout_ms : -1);
}

/* ---- out ---- */

static void answer(struct http_exchange *x, int status, const char *type, const void *body, size_t len,
                   const char *allow)
{
	char *head, *out = NULL;
	size_t head_len;

	/* Nobody will be there for another request. */
	x->last |= x->server->fd < 0;
	head = text_format("HTTP/1.1 %d %s\r\n"
	                   "Content-Type: %s\r\n"
	                   "Content-Length: %zu\r\n"
	                   "%s%s%s%s\r\n",
	                   status, http_reason(status), type, len, allow ? "Allow: " : "", allow ? allow : "",
	                   allow ? "\r\n" : "", x->last ? "Connection: close\r\n" : "");
	if (x->head.head_only)
		len = 0;
	head_len = head ? strlen(head) : 0;
	if (head)
		out = realloc(head, head_len + len + 1);
	if (!out) {
		free(head);
		x->state = DEAD;
		return;
	}
	if (len)
		memcpy(out + head_len, body, len);
	free(x->out);
	x->out = out;
	x->out_len = head_len + len;
	x->out_at = 0;
	x->state = WRITING;
	set_timer(x, true);
}

/* Ends the connection, since nobody knows where the next request would begin. */
static void refuse(struct http_exchange *x, int status, const char *why)
{
	char body[160];
	int n = snprintf(body, sizeof body, "{\"error\": \"%s\"}\n", why);

	x->last = true;
	answer(x, status, "application/json", body, (size_t)n, NULL);
}

/* true: all of it has gone (or the connection is dead) */
static bool flush(struct http_exchange *x)
{
	while (x->out_at < x->out_len) {
		ssize_t n = send(x->fd, x->out + x->out_at, x->out_len - x->out_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0) {
			die(x);
			return true;
		}
		x->out_at += (size_t)n;
	}
	free(x->out);
	x->out = NULL;
	x->out_len = x->out_at = 0;
	return true;
}

/* The answer is out: the bytes of its request go, and what was sent ahead moves up. */
static void answered(struct http_exchange *x)
{
	size_t used = x->head_len + x->head.body_len;

	if (x->last) {
		shutdown(x->fd, SHUT_WR);
		x->state = LINGERING;
		return;
	}
	x->in_len -= used;
	memmove(x->in, x->in + used, x->in_len);
	x->head_len = x->seen = 0;
	x->head = (struct http_head){ 0 };
	x->continued = x->ahead = false;
	if (x->in_len == 0) {
		/* A connection that only waits costs no buffer. */
		free(x->in);
		x->in = NULL;
		x->in_size = 0;
	}
	x->state = READING;
	set_timer(x, true);
}

/* ---- in ---- */

/* How many bytes may be held at most, as far as is known. */
static size_t room(const struct http_exchange *x)
{
	return x->head_len ? x->head_len + x->head.body_len : HTTP_HEAD_MAX;
}

/* false: no memory */
static bool grow(struct http_exchange *x, size_t size)
{
	char *in = realloc(x->in, size);

	if (!in)
		return false;
	x->in = in;
	x->in_size = size;
	return true;
}

/* One read(2). false: nothing is there now, nothing will come, or there is no room. */
static bool fill(struct http_exchange *x)
{
	size_t max = room(x);
	ssize_t n;

	if (x->read_ended || x->in_len >= max)
		return false;
	if (x->in_len == x->in_size && !grow(x, x->in_size ? x->in_size * 2 : BUFFER_FIRST)) {
		die(x);
		return false;
	}
	if (max > x->in_size)
		max = x->in_size;
	do
		n = recv(x->fd, x->in + x->in_len, max - x->in_len, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		x->read_ended = true;
		return false;
	}
	x->in_len += (size_t)n;
	return true;
}

/* The head points into the buffer, which therefore gets its final size now. false: no memory */
static bool make_room_for_body(struct http_exchange *x)
{
	char *in;

	if (room(x) <= x->in_size)
		return true;
	in = malloc(room(x));
	if (!in)
		return false;
	memcpy(in, x->in, x->in_len);
	x->head.path = in + (x->head.path - x->in);
	if (*x->head.query)
		x->head.query = in + (x->head.query - x->in);
	if (!x->head.head_only)
		x->head.method = in + (x->head.method - x->in);
	free(x->in);
	x->in = in;
	x->in_size = room(x);
	return true;
}

/* Whether the client has closed both sides, and not only its own. */
static bool has_hung_up(const struct http_exchange *x)
{
	struct pollfd p = { .fd = x->fd };

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

/* READING: looks at what is there. true: a request is complete and now ASKED, or was refused. */
static bool complete(struct http_exchange *x)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
	const char *why;
	int status;

	if (!x->head_len) {
		x->head_len = http_head_length(x->in, x->in_len, &x->seen);
		if (!x->head_len && x->in_len < HTTP_HEAD_MAX)
			return false;
		if (!x->head_len) {
			refuse(x, 431, "the head of the request is too large: 16 KiB at most");
			return true;
		}
		status = http_head_parse(x->in, x->head_len, &x->head, &why);
		if (status) {
			refuse(x, status, why);
			return true;
		}
		x->last = x->head.close;
		if (!make_room_for_body(x)) {
			die(x);
			return true;
		}
	}
	if (x->in_len < room(x)) {
		/* Short, and first in a socket's empty buffer: it goes, or the client never read its last answer. */
		if (x->head.expect_continue && !x->continued &&
		    send(x->fd, go_on, sizeof go_on - 1, MSG_NOSIGNAL) != sizeof go_on - 1)
			die(x);
		x->continued = true;
		return x->state == DEAD;
	}
	x->state = ASKED;
	set_timer(x, false);
	x->server->setup.request(x->server->setup.ctx, x);
	return true;
}

/* ---- both ---- */

static void throw_away(struct http_exchange *x)
{
	char bytes[4096];
	ssize_t n;

	while ((n = recv(x->fd, bytes, sizeof bytes, 0)) > 0 || (n < 0 && errno == EINTR)) {
		x->thrown_away += n > 0 ? (size_t)n : 0;
		if (x->thrown_away > LINGER_MAX)
			break;
	}
	if (n >= 0 || errno != EAGAIN)
		x->state = DEAD;
}

static void watch_for(struct http_exchange *x, unsigned events)
{
	if (reactor_watch_set(x->watch, events))
		die(x);
}

/* Goes as far as it can, and says what to wait for. May free the connection. */
static void step(struct http_exchange *x)
{
	unsigned budget = PIPELINE_BUDGET;
	bool waits = false;

	x->stepping = true;
	while (!waits) {
		switch (x->state) {
		case READING:
			if (x->in_len && budget == 0) {
				/* The socket takes an answer: that is an event at once, in the loop's next turn. */
				watch_for(x, REACTOR_WRITE);
				waits = true;
			} else if (x->in_len && complete(x)) {
				budget--;
			} else if (!fill(x) && x->state == READING) {
				if (x->read_ended)
					die(x);
				else
					watch_for(x, REACTOR_READ);
				waits = true;
			}
			break;
		case ASKED:
			watch_for(x, x->read_ended || x->ahead ? 0 : REACTOR_READ);
			waits = true;
			break;
		case WRITING:
			if (!flush(x)) {
				watch_for(x, REACTOR_WRITE);
				waits = true;
			} else if (x->state == WRITING) {
				answered(x);
			}
			break;
		case LINGERING:
			throw_away(x);
			if (x->state == LINGERING)
				watch_for(x, REACTOR_READ);
			waits = true;
			break;
		case DEAD:
			waits = true;
			break;
		}
	}
	x->stepping = false;
	if (x->state == DEAD)
		release(x);
}

/* ASKED and readable: the client has hung up, has closed its own side and still waits, or has sent more. */
static void listen_for_hang_up(struct http_exchange *x)
{
	char byte;
	ssize_t n = recv(x->fd, &byte, 1, MSG_PEEK);

	if (has_hung_up(x))
		die(x);
	else if (n == 0)
		x->read_ended = true;
	else if (n > 0)
		x->ahead = true;
}

static void ready(void *ctx, int fd, unsigned events)
{
	struct http_exchange *x = ctx;

	(void)fd;
	(void)events;
	if (x->state == ASKED)
		listen_for_hang_up(x);
	step(x);
}

static void timed_out(void *ctx)
{
	struct http_exchange *x = ctx;

	if (x->state == READING && x->in_len)
		refuse(x, 408, "the request took too long");
	else
		die(x);
	step(x);
}

/* ---- connections ---- */

static bool may_connect(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && (peer.uid == geteuid() || peer.uid == 0);
}

/* Long polls whose clients have gone in a way that made no event: see `ahead` and `read_ended`. */
static void sweep(struct http_server *s)
{
	struct http_exchange *x, *next;

	for (x = LIST_FIRST(&s->connections); x; x = next) {
		next = LIST_NEXT(x, link);
		if (x->state == ASKED && has_hung_up(x)) {
			die(x);
			step(x);
		}
	}
}

static void connected(struct http_server *s, int fd)
{
	struct http_exchange *x;

	if (s->n >= HTTP_CONNECTIONS_MAX)
		sweep(s);
	/* Some more are told why they are not served. */
	x = s->n < HTTP_CONNECTIONS_MAX + BACKLOG ? calloc(1, sizeof *x) : NULL;
	if (!x) {
		close(fd);
		return;
	}
	x->server = s;
	x->fd = fd;
	LIST_INSERT_HEAD(&s->connections, x, link);
	s->n++;
	x->watch = reactor_watch_add(s->setup.reactor, fd, 0, ready, x);
	x->timer = reactor_timer_add(s->setup.reactor, timed_out, x);
	if (!x->watch || !x->timer) {
		release(x);
		return;
	}
	set_timer(x, true);
	if (!may_connect(fd))
		refuse(x, 403, "this machine is another user's");
	else if (s->n > HTTP_CONNECTIONS_MAX)
		refuse(x, 503, "too many connections; close some");
	step(x);
}

static void accept_some(struct http_server *s)
{
	for (unsigned i = 0; i < ACCEPT_BUDGET; i++) {
		int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			connected(s, fd);
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* The loop would call again at once, without end. */
			reactor_watch_set(s->watch, 0);
			reactor_timer_set(s->again, ACCEPT_PAUSE_MS);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static void incoming(void *ctx, int fd, unsigned events)
{
	(void)fd;
	(void)events;
	accept_some(ctx);
}

static void accept_again(void *ctx)
{
	struct http_server *s = ctx;

	if (!reactor_watch_set(s->watch, REACTOR_READ))
		accept_some(s);
}

static int listen_at(const char *path, int *out)
{
	struct sockaddr_un address;
	socklen_t len;
	int folder = -1, rc, fd;

	rc = path_unix_address(path, &address, &len, &folder);
	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* The file gets the socket's mode: it is never open to others, not for a moment. */
	if (fd < 0 || fchmod(fd, 0600) || bind(fd, (const struct sockaddr *)&address, len) || listen(fd, BACKLOG))
		rc = -errno;
	if (folder >= 0)
		close(folder);
	if (rc && fd >= 0)
		close(fd);
	else if (!rc)
		*out = fd;
	return rc;
}

int http_server_open(const struct http_setup *setup, struct http_server **out, struct error *err)
{
	struct http_server *s = calloc(1, sizeof *s);
	int rc;

	if (!s)
		return error_set(err, ENOMEM, "no memory for the control socket");
	s->setup = *setup;
	s->fd = -1;
	LIST_INIT(&s->connections);
	s->path = strdup(setup->path);
	s->again = reactor_timer_add(setup->reactor, accept_again, s);
	rc = s->path && s->again ? listen_at(setup->path, &s->fd) : -ENOMEM;
	if (rc == 0) {
		s->watch = reactor_watch_add(setup->reactor, s->fd, REACTOR_READ, incoming, s);
		rc = s->watch ? 0 : -ENOMEM;
	}
	if (rc) {
		error_set(err, -rc, "cannot listen on %s: %s", setup->path, strerror(-rc));
		http_server_close(s);
		return rc;
	}
	*out = s;
	return 0;
}

void http_server_deafen(struct http_server *s)
{
	if (s->fd < 0)
		return;
	reactor_watch_remove(s->watch);
	s->watch = NULL;
	reactor_timer_set(s->again, -1);
	close(s->fd);
	s->fd = -1;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void http_server_flush(struct http_server *s, int ms)
{
	int64_t deadline = now_ms() + ms;
	struct http_exchange *x;

	for (x = LIST_FIRST(&s->connections); x; x = LIST_NEXT(x, link)) {
		while (x->state == WRITING && !flush(x)) {
			struct pollfd p = { .fd = x->fd, .events = POLLOUT };
			int64_t left = deadline - now_ms();

			if (left <= 0 || poll(&p, 1, (int)left) == 0)
				return;
		}
	}
}

void http_server_close(struct http_server *s)
{
	struct http_exchange *x;

	if (!s)
		return;
	while ((x = LIST_FIRST(&s->connections)))
		release(x);
	/* After deafen() another server may have taken the place. */
	if (s->fd >= 0)
		unlink(s->path);
	http_server_deafen(s);
	reactor_watch_remove(s->watch);
	if (s->again)
		reactor_timer_remove(s->again);
	free(s->path);
	free(s);
}

/* ---- exchanges ---- */

const char *http_method(const struct http_exchange *x)
{
	return x->head.method;
}

const char *http_path(const struct http_exchange *x)
{
	return x->head.path;
}

const char *http_query(const struct http_exchange *x)
{
	return x->head.query;
}

const char *http_body(const struct http_exchange *x, size_t *len)
{
	*len = x->head.body_len;
	return x->in + x->head_len;
}

void http_answer(struct http_exchange *x, int status, const char *type, const void *body, size_t len, const char *allow)
{
	assert(x->state == ASKED);
	answer(x, status, type, body, len, allow);
	if (!x->stepping)
		step(x);
}
