/* SPDX-License-Identifier: MIT */
/*
 * connection.h - one client's connection: frames in, frames out, and its channels.
 *
 * THEORY. Frames are taken from the socket into `in` and handled from there, a portion at a time. What is sent is put
 * into `out`, and leaves at the end of the loop's turn. Two marks bound `out`: producers of data (stream.h) stop at
 * OUTPUT_ENOUGH and wait in `waiting`; requests are not read any more at OUTPUT_FULL. Both go on at OUTPUT_LOW. Replies
 * are not stopped by marks, but there is one final frame a channel, and no new channel beyond OUTPUT_FULL.
 *
 * A client that is gone (HUP) hears nothing: its output is thrown away, what it had sent is still read, then it ends.
 */
#ifndef CAPSA_AGENT_CONNECTION_H
#define CAPSA_AGENT_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/buffer.h"
#include "agent/channel.h"
#include "agent/loop.h"
#include "agent/protocol.h"

#define OUTPUT_LOW (64u << 10)
#define OUTPUT_ENOUGH (256u << 10)
#define OUTPUT_FULL (512u << 10)

struct server;

enum connection_state {
	CONNECTION_GREETING, /* nothing but HELLO is legal: CONNECTION_OPEN, or CONNECTION_REFUSED */
	CONNECTION_OPEN,     /* requests; CONNECTION_BROKEN */
	CONNECTION_REFUSED,  /* says its HELLO, then CONNECTION_BROKEN; nothing is read */
	CONNECTION_BROKEN,   /* the next task frees it */
};

struct connection {
	struct link link; /* server's */
	struct server *server;
	struct watch watch;
	struct task input, flush;
	enum connection_state state;
	bool readable, writable, paused, deaf;
	struct buffer in, out;
	size_t skip;         /* bytes of a payload that nobody wants */
	struct link waiting; /* outlets' tasks: for room in `out` */
	struct channel_table channels;
};

/* Owns fd from now on. The greeting is sent. 0 or -errno (fd is closed). */
int connection_open(struct server *server, int fd);
/* Its channels' commands are killed. */
void connection_destroy(struct connection *connection);

/*
 * Room for a frame with len bytes of payload: where the payload goes. NULL: out of memory, and the connection breaks
 * (in its own time: callers just return).
 */
void *connection_reserve(struct connection *connection, size_t len);
/* The frame is complete, with len bytes (not more than reserved). */
void connection_commit(struct connection *connection, uint32_t channel, enum agent_type type, unsigned stream,
                       size_t len);
/* The same at once. */
void connection_send(struct connection *connection, uint32_t channel, enum agent_type type, unsigned stream,
                     const void *payload, size_t len);
bool connection_has_room(const struct connection *connection);

/* A request is answered that has no channel, or has none any more: RESULT with errno (0: done), whose cause may be "".
 */
void connection_result(struct connection *connection, uint32_t channel, int error, enum agent_stage stage,
                       const char *cause);

#endif
