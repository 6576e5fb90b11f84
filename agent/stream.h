/* SPDX-License-Identifier: MIT */
/*
 * stream.h - the two ends of a channel's streams, and their credit.
 *
 * An outlet brings bytes of a producer (a pipe, a file, a tree) to the client, as long as there are credit and room in
 * the connection's output; otherwise it is in no queue, and its producer fills up: that is the back-pressure. An inlet
 * gives what the client sends to a consumer, holds what that does not take (not more than AGENT_WINDOW), and grants new
 * credit for what it took.
 *
 *   outlet: ready -> portion -> ready again | no credit: until WINDOW_ADD | no room: until the output has left
 *           | producer says EAGAIN: until its descriptor is ready | end or error: ended()
 */
#ifndef CAPSA_AGENT_STREAM_H
#define CAPSA_AGENT_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/buffer.h"
#include "agent/channel.h"
#include "agent/loop.h"
#include "agent/protocol.h"

struct outlet;
struct inlet;

struct outlet_ops {
	/*
	 * Up to room bytes: their number, 0 at the end, -EAGAIN (its descriptor will tell), -ENOBUFS (not without more
	 * room), or -errno.
	 */
	ssize_t (*produce)(struct outlet *outlet, void *to, size_t room);
	/* No more comes: error is 0 (END has been sent, or the client wants no more) or -errno. May end the channel. */
	void (*ended)(struct outlet *outlet, int error);
};

struct outlet {
	struct task task;
	struct watch watch; /* fd: owned; -1: none */
	bool watched;
	struct channel *channel;
	const struct outlet_ops *ops;
	uint64_t credit, left; /* left: bytes that may still come, UINT64_MAX: all */
	uint16_t stream;
	bool open, ready;
	bool last;    /* EAGAIN is the end */
	bool cut;     /* so is a lack of credit */
	bool starved; /* waits for credit */
};

/*
 * Zeroed before. fd is owned, and watched where it can be; -1: produce needs none. Its first portion is queued. 0 or
 * -errno (fd is closed).
 */
int outlet_open(struct outlet *outlet, struct channel *channel, enum agent_stream stream, int fd,
                const struct outlet_ops *ops);
/* The usual produce: reads the descriptor, up to `left`. */
ssize_t outlet_read(struct outlet *outlet, void *to, size_t room);
/* Client's credit. -EPROTO where it makes no sense. */
int outlet_grant(struct outlet *outlet, uint32_t bytes);
/* Only what is there now, `left` bytes at most: the end follows. */
void outlet_drain(struct outlet *outlet, uint64_t left);
/* What there is credit for still goes out, no more is waited for. Fine for one that is not open. */
void outlet_cut(struct outlet *outlet);
/* Without a word. Fine for one that is not open. */
void outlet_close(struct outlet *outlet);

struct inlet_ops {
	/* Takes some of it: how much, -EAGAIN (its descriptor will tell), or -errno. */
	ssize_t (*consume)(struct inlet *inlet, const void *from, size_t len);
	/* All is consumed and END came (error 0), or consume failed (-errno). May end the channel. The inlet is still
	 * open. */
	void (*ended)(struct inlet *inlet, int error);
};

struct inlet {
	struct task task;
	struct watch watch;
	bool watched;
	struct channel *channel;
	const struct inlet_ops *ops;
	struct buffer held;
	uint32_t credit;                     /* what the client may send */
	uint32_t consumed;                   /* not granted anew yet */
	bool open, writable, finished, gone; /* finished: END came; gone: nobody takes it any more */
};

int inlet_open(struct inlet *inlet, struct channel *channel, int fd, const struct inlet_ops *ops);
/* The usual consume: writes the descriptor. */
ssize_t inlet_write(struct inlet *inlet, const void *from, size_t len);
/* Data of the client's, with what it is allowed checked: -EPROTO. May end the channel (0). */
int inlet_data(struct inlet *inlet, const void *from, size_t len);
int inlet_end(struct inlet *inlet);
/* Tells the client that no more is wanted, and closes. What comes nevertheless is dropped. */
void inlet_refuse(struct inlet *inlet);
void inlet_close(struct inlet *inlet);

#endif
