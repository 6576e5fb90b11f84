/* SPDX-License-Identifier: MIT */
/* session.c - see session.h. Called by backend-pty.c and backend-socket.c. */
#include "session.h"

#include <errno.h>

int session_init(struct session *s, struct console *console, void (*lost)(void *ctx), void *ctx)
{
	s->console = console;
	s->client = (struct descriptor){ .fd = -1, .kind = DESCRIPTOR_NONE };
	s->room = NULL;
	s->lost = lost;
	s->ctx = ctx;
	return backlog_init(&s->backlog);
}

void session_free(struct session *s)
{
	session_end(s, 0);
	backlog_free(&s->backlog);
}

static void on_room(void *ctx, int fd, unsigned events)
{
	struct session *s = ctx;

	(void)fd, (void)events;
	s->console->host->watch_set(s->room, 0);
	console_output_ready(s->console);
}

int session_begin(struct session *s, struct descriptor client)
{
	s->room = s->console->host->watch_add(s->console->dev, client.fd, CAPSA_WATCH_WRITE, on_room, s);
	if (!s->room)
		return -1;
	s->client = client;
	s->sent = 0;
	s->replayed = backlog_waiting(&s->backlog);
	/* The watch is enabled: its first call replays the backlog. */
	return 0;
}

void session_end(struct session *s, uint64_t unread)
{
	if (!session_attached(s))
		return;
	s->console->host->watch_remove(s->room);
	s->room = NULL;
	s->client = (struct descriptor){ .fd = -1, .kind = DESCRIPTOR_NONE };
	backlog_unget(&s->backlog, unread < s->sent ? unread : s->sent);
	/* What waited for the client now goes to the backlog; not from in here, which may be in the middle of a write.
	 */
	s->console->output.blocked = false;
	if (s->console->active)
		s->console->host->queue_again(s->console->dev, CONSOLE_TX);
}

/* What the client takes of these: bytes, -EAGAIN (and it will tell), or 0: it is gone. */
static ssize_t offer(struct session *s, const struct iovec *iov, unsigned n)
{
	ssize_t done = descriptor_write(&s->client, iov, n);

	if (done >= 0)
		return done;
	if (done == -EAGAIN && s->console->host->watch_set(s->room, CAPSA_WATCH_WRITE) == 0)
		return -EAGAIN;
	s->lost(s->ctx);
	return 0;
}

ssize_t session_write(struct session *s, const struct iovec *iov, unsigned n)
{
	size_t len = descriptor_iov_bytes(iov, n);

	while (session_attached(s) && backlog_waiting(&s->backlog)) {
		struct iovec pieces[2];
		unsigned n_pieces = backlog_unread(&s->backlog, pieces);
		ssize_t done = offer(s, pieces, n_pieces);

		if (done < 0)
			return done;
		backlog_read(&s->backlog, (size_t)done);
		s->sent += (uint64_t)done;
	}
	if (!len)
		return 0;
	if (session_attached(s)) {
		ssize_t done = offer(s, iov, n);

		if (done < 0)
			return done;
		if (session_attached(s)) {
			backlog_add(&s->backlog, iov, n, (size_t)done, true);
			s->sent += (uint64_t)done;
			return done;
		}
	}
	console_count_dropped(s->console, backlog_add(&s->backlog, iov, n, len, false));
	return (ssize_t)len;
}
