/* SPDX-License-Identifier: MIT */
/*
 * console-output.c - guest -> host. Owns the request that is being written. Called by console.c and the backends.
 *
 * Theory of operation: a request is written straight from guest memory. Where the backend would block, the request
 * stays where it is, with a note of how far it got, until the backend says that it is worth trying again. The guest
 * has no more buffers than its ring, so it waits, and capsa stores nothing. (The bytes mean nothing to us, so that
 * the guest changing them meanwhile harms only itself.)
 *
 * THE END. A machine ends by a reset of its devices: the request in flight is void, yet may hold the last line of a
 * panic. What is left of it is copied (its buffers are still guest memory in reset()), goes first when output goes on,
 * and is given a short time at stop, when no loop runs that could be held up.
 */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"

#define WRITE_LIMIT (256u << 10) /* bytes a write(2): a file's disk is not asked for more at once */
#define CARRY_LIMIT 65536u

/* Copies the unwritten buffers to `to`, up to `limit` bytes; returns how many buffers. */
static unsigned clip(const struct console_output *o, struct iovec *to, size_t limit)
{
	unsigned n = 0;

	for (unsigned i = o->first; i < o->n && limit; i++) {
		to[n] = o->rest[i];
		if (to[n].iov_len > limit)
			to[n].iov_len = limit;
		limit -= to[n].iov_len;
		n += to[n].iov_len > 0;
	}
	return n;
}

static void advance(struct console_output *o, size_t bytes)
{
	while (o->first < o->n && bytes >= o->rest[o->first].iov_len) {
		bytes -= o->rest[o->first].iov_len;
		o->first++;
	}
	if (o->first < o->n) {
		o->rest[o->first].iov_base = (char *)o->rest[o->first].iov_base + bytes;
		o->rest[o->first].iov_len -= bytes;
	}
}

static ssize_t write_carry(struct console *c)
{
	struct console_output *o = &c->output;
	struct iovec iov = { .iov_base = o->carry + o->carry_at, .iov_len = o->carry_len - o->carry_at };
	ssize_t n = c->ops->write(c, &iov, 1);

	if (n < 0)
		return n;
	o->carry_at += (size_t)n;
	if (o->carry_at == o->carry_len) {
		free(o->carry);
		o->carry = NULL;
		o->carry_at = o->carry_len = 0;
	}
	return n;
}

/* The request's buffers, all but empty ones. Core bounds their number by the queue's size. */
static void take(struct console_output *o, struct capsa_request *request)
{
	o->request = request;
	o->first = o->n = 0;
	for (unsigned i = 0; i < request->n_readable && o->n < CONSOLE_QUEUE_SIZE; i++)
		if (request->readable[i].iov_len)
			o->rest[o->n++] = request->readable[i];
}

static ssize_t write_request(struct console *c)
{
	struct console_output *o = &c->output;
	struct iovec iov[CONSOLE_QUEUE_SIZE];
	unsigned n = clip(o, iov, WRITE_LIMIT);
	ssize_t done = n ? c->ops->write(c, iov, n) : 0;

	if (done < 0)
		return done;
	advance(o, (size_t)done);
	__atomic_fetch_add(c->tx_bytes, (uint64_t)done, __ATOMIC_RELAXED);
	if (o->first == o->n) {
		c->host->queue_complete(c->dev, o->request, 0);
		o->request = NULL;
	}
	return done;
}

void output_pump(struct console *c)
{
	struct console_output *o = &c->output;
	size_t bytes = 0;

	for (unsigned steps = 0; !o->blocked; steps++) {
		struct capsa_request *request;
		ssize_t n;

		if (!o->carry && !o->request) {
			request = c->active ? c->host->queue_pop(c->dev, CONSOLE_TX) : NULL;
			if (!request)
				break;
			take(o, request);
		}
		if (steps >= CONSOLE_BUDGET_REQUESTS || bytes >= CONSOLE_BUDGET_BYTES) {
			c->host->queue_again(c->dev, CONSOLE_TX);
			break;
		}
		n = o->carry ? write_carry(c) : write_request(c);
		if (n < 0)
			o->blocked = true;
		else
			bytes += (size_t)n;
	}
}

void console_output_ready(struct console *c)
{
	c->output.blocked = false;
	/* A backend's own backlog goes before the guest's next words, also while the guest has none. */
	if (c->ops->write(c, NULL, 0) < 0)
		c->output.blocked = true;
	output_pump(c);
	if (c->active)
		c->host->queue_flush(c->dev, CONSOLE_TX);
}

void output_reset(struct console *c)
{
	struct console_output *o = &c->output;
	size_t left = 0, kept;

	if (!o->request)
		return;
	o->request = NULL;
	for (unsigned i = o->first; i < o->n; i++)
		left += o->rest[i].iov_len;
	kept = CARRY_LIMIT - (o->carry_len - o->carry_at);
	if (kept > left)
		kept = left;
	if (kept) {
		size_t had = o->carry_len - o->carry_at;
		unsigned char *grown = malloc(had + kept);

		if (grown) {
			if (had)
				memcpy(grown, o->carry + o->carry_at, had);
			for (size_t at = 0; at < kept;) {
				size_t n =
					o->rest[o->first].iov_len < kept - at ? o->rest[o->first].iov_len : kept - at;

				memcpy(grown + had + at, o->rest[o->first++].iov_base, n);
				at += n;
			}
			free(o->carry);
			o->carry = grown;
			o->carry_at = 0;
			o->carry_len = had + kept;
		} else {
			kept = 0;
		}
	}
	console_count_dropped(c, left - kept);
}

void output_finish(struct console *c, int ms)
{
	struct console_output *o = &c->output;
	const int64_t deadline = console_now() + ms;

	for (;;) {
		struct pollfd poll_fd = { .fd = c->ops->output_fd(c), .events = POLLOUT };
		ssize_t held = c->ops->write(c, NULL, 0);
		int64_t left = deadline - console_now();

		if (held >= 0 && o->carry)
			held = write_carry(c);
		if (held >= 0 && !o->carry)
			return;
		if (held >= 0)
			continue;
		if (poll_fd.fd < 0 || left <= 0 || (poll(&poll_fd, 1, (int)left) <= 0 && errno != EINTR))
			break;
	}
	console_count_dropped(c, o->carry_len - o->carry_at);
}
