/* SPDX-License-Identifier: MIT */
/*
 * channel.h - what a request has under way, found by its number. Requests that are answered at once have none.
 *
 * A channel ends by channel_result() or, for a command, channel_end() behind its EXIT: then it is freed. Callers return
 * without touching it again; so do all who called them with it.
 */
#ifndef CAPSA_AGENT_CHANNEL_H
#define CAPSA_AGENT_CHANNEL_H

#include <stddef.h>
#include <stdint.h>

#include "agent/protocol.h"

struct connection;
struct channel;
struct inlet;
struct outlet;

struct channel_ops {
	/* A frame whose operation is NULL breaks the channel. They may end it. */
	void (*signal)(struct channel *channel, unsigned number); /* 1..64 */
	void (*resize)(struct channel *channel, unsigned rows, unsigned columns);
	void (*cancel)(struct channel *channel); /* NULL: RESULT with ECANCELED */
	/* Ends what is under way and frees what is behind the channel, but neither the channel nor its inlet and
	 * outlets. */
	void (*destroy)(struct channel *channel);
};

/* The first member of what a request allocates. */
struct channel {
	struct connection *connection;
	struct channel *next; /* in its bucket */
	uint32_t number;
	const struct channel_ops *ops;
	struct inlet *inlet;                   /* NULL: it has no such stream */
	struct outlet *outlets[AGENT_STREAMS]; /* by stream; [AGENT_INPUT] is always NULL */
};

#define CHANNEL_BUCKETS 64u

struct channel_table {
	struct channel *buckets[CHANNEL_BUCKETS];
	unsigned count;
};

/* Zeroed memory of `size` bytes that begins with the channel; NULL: the request has been refused. */
void *channel_create(struct connection *connection, uint32_t number, size_t size, const struct channel_ops *ops);
struct channel *channel_find(struct connection *connection, uint32_t number);
/* RESULT, and the channel is gone. `error` is an errno. */
void channel_result(struct channel *channel, int error, enum agent_stage stage, const char *cause);
/* The same with what failed: "path: No such file or directory". */
void channel_failure(struct channel *channel, int error, const char *what);
/* Gone without a word. */
void channel_end(struct channel *channel);
void channel_end_all(struct connection *connection);

/* One frame on a channel that is not 0. payload is the caller's buffer. */
void channel_frame(struct connection *connection, const struct agent_frame *frame, const void *payload);
/* A frame against the rules, whose payload is not there: ends the channel, or answers the request. */
void channel_break(struct connection *connection, const struct agent_frame *frame);

#endif
