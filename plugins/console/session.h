/* SPDX-License-Identifier: MIT */
/*
 * session.h - output to a client that comes and goes.
 *
 * Without a client everything is taken at once and the last 64 KiB are kept; whoever comes gets them first. With a
 * client nothing is lost: output waits until the client has taken it. When the client leaves, what it has been sent
 * counts as read, unless session_end() is told how much of it was not.
 */
#ifndef CONSOLE_SESSION_H
#define CONSOLE_SESSION_H

#include "backlog.h"
#include "console.h"
#include "descriptor.h"

struct session {
	struct console *console;
	struct backlog backlog;
	struct descriptor client; /* DESCRIPTOR_NONE: nobody */
	struct capsa_watch *room; /* enabled while the client is slow */
	uint64_t sent;            /* bytes since it came, with those of the backlog */
	uint64_t replayed;        /* bytes of backlog that it was met with */
	void (*lost)(void *ctx);  /* the client takes no more; calls session_end() */
	void *ctx;
};

/* `lost` may be called from within session_write(). -1: no memory. */
int session_init(struct session *session, struct console *console, void (*lost)(void *ctx), void *ctx);
void session_free(struct session *session);

/* A client came. The descriptor stays the caller's, and open until session_end(). -1: no memory. */
int session_begin(struct session *session, struct descriptor client);
/* It is gone, or takes no more; the last `unread` bytes sent are for the next one. Nothing where nobody is there. */
void session_end(struct session *session, uint64_t unread);
static inline bool session_attached(const struct session *session)
{
	return session->client.kind != DESCRIPTOR_NONE;
}

/* As write() of struct backend_ops. */
ssize_t session_write(struct session *session, const struct iovec *iov, unsigned n);

#endif
