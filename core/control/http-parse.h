/* SPDX-License-Identifier: MIT */
/*
 * http-parse.h - the head of an HTTP/1.1 request (RFC 9112) as plain values. Pure functions on bytes that an outsider
 * chose; no allocation.
 */
#ifndef CAPSA_CONTROL_HTTP_PARSE_H
#define CAPSA_CONTROL_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>

enum {
	HTTP_HEAD_MAX = 16 * 1024, /* request line and header fields */
	HTTP_BODY_MAX = 64 * 1024,
};

/* What the server makes use of. `method` and `path` lie in the caller's bytes. */
struct http_head {
	const char *method; /* a token */
	const char *path;   /* begins with '/'; without the query */
	const char *query;  /* what follows '?'; "", then not in the caller's bytes, where nothing does */
	size_t body_len;
	bool head_only;       /* HEAD: `method` is "GET" then, and the answer goes without its body */
	bool close;           /* the client wants no further answer on this connection */
	bool expect_continue; /* it waits for "100 Continue" before it sends the body */
};

/*
 * The length of a head at the start of bytes[0..len), its last, empty line included; 0: it is not complete. `*seen`
 * is 0 at first, and keeps what need not be looked at again when more bytes have come. Lines end with CR LF or LF.
 */
size_t http_head_length(const char *bytes, size_t len, size_t *seen);

/*
 * Reads a complete head of `len` bytes, writing NULs into it. 0, or the status to refuse it with: 400 malformed, 411 a
 * body whose length is not told in advance, 413 a larger body than HTTP_BODY_MAX, 417 an expectation that is not
 * known, 501 a transfer coding, 505 another version of HTTP. *why: a line for people then.
 */
int http_head_parse(char *bytes, size_t len, struct http_head *out, const char **why);

/* "Not Found" for 404; "" for one that is never sent. */
const char *http_reason(int status);

#endif
