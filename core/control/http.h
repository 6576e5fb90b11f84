/* SPDX-License-Identifier: MIT */
/*
 * http.h - a small HTTP/1.1 server (RFC 9112) on a UNIX socket, on a reactor.
 *
 * A request is handed over as an exchange, to be answered now or later, once. Requests that a client sends ahead are
 * answered one after the other. Everything a client can choose is bounded: connections, the size of a request, the time
 * that it takes to send one or to read an answer. Nothing is polled and no timer runs while nobody is connected.
 *
 * All on the reactor's thread.
 */
#ifndef CAPSA_CONTROL_HTTP_H
#define CAPSA_CONTROL_HTTP_H

#include <stddef.h>

#include "core/base/error.h"
#include "core/base/reactor.h"

enum {
	HTTP_CONNECTIONS_MAX = 32, /* one more is told 503 */
	HTTP_TIMEOUT_MS = 30000,
};

struct http_server;
struct http_exchange; /* one request and its answer to be */

struct http_setup {
	struct reactor *reactor;
	const char *path; /* of the socket, of any length; must not exist. Mode 0600: only this user, and root */
	int timeout_ms;   /* for one request to come, and for one answer to go; HTTP_TIMEOUT_MS */
	/* A request. Answers it by http_answer(), now or later; until then no other one comes from that client. */
	void (*request)(void *ctx, struct http_exchange *exchange);
	/* The client of a request that was not answered yet has gone: forget the exchange. */
	void (*gone)(void *ctx, struct http_exchange *exchange);
	void *ctx;
};

/* *setup is copied, with the path. 0 or -errno with err. */
int http_server_open(const struct http_setup *setup, struct http_server **out, struct error *err);
/*
 * Takes no connection any more: who tries is refused (ECONNREFUSED), since the socket's file stays, and is the caller's
 * from then on. Each of the connections that there are gets the answer that is due.
 */
void http_server_deafen(struct http_server *server);
/* Waits, blocking, until all answers that were given are on their way: at most `ms`. */
void http_server_flush(struct http_server *server, int ms);
/* Closes what there is, and unlinks the socket if it still listens; gone() is not called. NULL is fine. */
void http_server_close(struct http_server *server);

/* The request, valid until it is answered. HEAD comes as "GET". */
const char *http_method(const struct http_exchange *exchange);
const char *http_path(const struct http_exchange *exchange);  /* "/vm", without the query */
const char *http_query(const struct http_exchange *exchange); /* "" where there is none */
const char *http_body(const struct http_exchange *exchange, size_t *len);

/*
 * Answers and ends the exchange. `body` (copied) is of `type`. `allow`: the methods for the Allow field, or NULL.
 * Without memory the connection is closed instead.
 */
void http_answer(struct http_exchange *exchange, int status, const char *type, const void *body, size_t len,
                 const char *allow);

#endif
