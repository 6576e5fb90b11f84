/* SPDX-License-Identifier: MIT */
/*
 * client.h - a connection to the agent of a guest (agent/protocol.h), on a reactor: many channels at a time, each a
 * request with streams of bytes in both directions. What is above it: exec.h runs commands, copy.h copies trees,
 * link.h is the machine's own.
 *
 * The agent is the guest's, so nothing that comes is believed: a frame against the rules ends the connection. All on
 * the reactor's thread; no function calls back before it has returned. Callbacks may use every function here but
 * client_close(), which is for outside of them.
 */
#ifndef CAPSA_SANDBOX_CLIENT_H
#define CAPSA_SANDBOX_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/protocol.h"
#include "core/base/error.h"
#include "core/base/reactor.h"

struct client;
struct client_channel;

/* The agent's stages, nanoseconds of the guest's CLOCK_BOOTTIME: see AGENT_HELLO. `now`: when it said so. */
struct client_times {
	uint64_t init, mounted, serving, now;
};

struct client_events {
	/* Both sides know each other's version: channels may be opened. */
	void (*ready)(void *ctx, const struct client_times *times);
	/* It is over, for every open channel too: -EPIPE the other side ended it, else what was wrong. The last call.
	 */
	void (*ended)(void *ctx, int code, const char *why);
};

/* What a request was answered with (AGENT_RESULT). */
struct client_result {
	int code; /* 0 or -errno */
	enum agent_stage stage;
	const char *cause; /* the agent's words; "" */
	struct agent_reader rest;
};

/* Any may be NULL. After exit or result the channel is gone. */
struct client_channel_events {
	/* Bytes of OUTPUT or ERROR; client_consumed() says when they have been made use of. */
	void (*data)(void *ctx, enum agent_stream stream, const void *bytes, size_t len);
	void (*end)(void *ctx, enum agent_stream stream);
	/* client_send() takes more than it did. */
	void (*room)(void *ctx);
	/* No more INPUT is wanted. */
	void (*input_closed)(void *ctx);
	void (*started)(void *ctx, uint32_t pid);
	void (*exit)(void *ctx, enum agent_exit how, unsigned code, unsigned flags);
	void (*result)(void *ctx, const struct client_result *result);
};

/* Takes the connected stream socket `fd`. 0 or -errno with err. */
int client_open(struct reactor *reactor, int fd, const struct client_events *events, void *ctx, struct client **out,
                struct error *err);
/* From now on the other side has `ms` milliseconds for its greeting; without one it ends with -ETIMEDOUT. */
void client_expect_greeting(struct client *client, int64_t ms);
/* Its channels go with it, without a word. NULL is fine. */
void client_close(struct client *client);

/* Opens a channel with a request; NULL: no memory, or the connection has ended (then ended() has been, or will be
 * called). */
struct client_channel *client_request(struct client *client, enum agent_type type, const void *payload, size_t len,
                                      const struct client_channel_events *events, void *ctx);
/* How many bytes of INPUT client_send() would take now. */
size_t client_room(const struct client_channel *channel);
/* Sends up to len bytes of INPUT; how many were taken. Less than len: room() follows when there is more. */
size_t client_send(struct client_channel *channel, const void *bytes, size_t len);
void client_send_end(struct client_channel *channel);
/* The agent may send as many bytes more on `stream`. */
void client_consumed(struct client_channel *channel, enum agent_stream stream, size_t len);
/* No more of `stream` is wanted; what still comes is dropped. */
void client_refuse(struct client_channel *channel, enum agent_stream stream);
/* `type`: AGENT_SIGNAL, AGENT_RESIZE, AGENT_CANCEL. */
void client_tell(struct client_channel *channel, enum agent_type type, const void *payload, size_t len);
/* Nothing is heard of the channel any more: it is cancelled, and goes by itself. NULL is fine. */
void client_forget(struct client_channel *channel);

/*
 * Connects to the socket at `path`, where a machine lets the agent's clients in; waits while too many others do so. A
 * descriptor or -errno with err.
 */
int client_connect(const char *path, struct error *err);

#endif
