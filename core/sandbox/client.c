/* SPDX-License-Identifier: MIT */
/*
 * client.c - see client.h. Called by exec.c, copy.c, link.c; owns the socket and the channels.
 *
 * Theory of operation. Reading: the socket is read into one buffer that holds a frame of the largest size; whole frames
 * are handed on from it, and what is left moves to its front. A turn handles what one read brought, so that the loop's
 * other descriptors have theirs. Writing: what can be sent is sent at once, the rest waits in `out`. Frames of INPUT
 * stay within the agent's credit and are only taken while `out` is small, so that it is bounded by what the caller asks
 * for and not by how slow the guest is; other frames are few.
 *
 * A callback may end the connection: `client->ended` is looked at after each. Callbacks about an end are made from a
 * deferred call, never from inside a function that the owner called.
 */
#include "core/sandbox/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/path.h"

/* What waits for a slow guest before client_send() takes no more. */
#define OUT_ENOUGH (512u << 10)
/* An agent that does not listen while it talks: what waits for it then are words of ours. */
#define OUT_MAX (8u << 20)
/* Credit goes back in pieces of this size: a quarter of the window, so that the sender never runs dry. */
#define GRANT (AGENT_WINDOW / 4)

struct client_channel {
	LIST_ENTRY(client_channel) link;
	struct client *client;
	uint32_t number;
	struct client_channel_events events;
	void *ctx;
	size_t input_credit;      /* bytes that we may send */
	bool is_command, started; /* by AGENT_EXEC: the only one that has STARTED and EXIT */
	bool input_ended, wants_room;
	size_t credit[AGENT_STREAMS],
		owed[AGENT_STREAMS]; /* what the agent may send; what was used and not granted again */
	bool ended[AGENT_STREAMS], refused[AGENT_STREAMS];
};

struct client {
	struct reactor *reactor;
	int fd;
	struct reactor_watch *watch;
	struct reactor_call *tell_end;
	struct reactor_timer *greeting; /* runs while HELLO is awaited for so long only */
	int64_t greeting_ms;
	struct client_events events;
	void *ctx;
	bool greeted; /* HELLO came */
	bool ended;   /* nothing is read or written any more */
	int end_code;
	char why[256];

	unsigned char *in;
	size_t in_used;
	unsigned char *out;
	size_t out_room, out_used, out_sent; /* out[out_sent..out_used) waits */

	uint32_t next_number;
	LIST_HEAD(, client_channel) channels;
};

/* One frame of the largest kind, and as much again so that reads are large. */
#define IN_ROOM (AGENT_FRAME_SIZE + AGENT_FRAME_MAX + AGENT_DATA_MAX)

static void end_client(struct client *c, int code, const char *why)
{
	if (c->ended)
		return;
	c->ended = true;
	c->end_code = code;
	snprintf(c->why, sizeof c->why, "%s", why);
	reactor_timer_set(c->greeting, -1);
	reactor_watch_remove(c->watch);
	c->watch = NULL;
	reactor_call_run(c->tell_end);
}

static void tell_end(void *ctx)
{
	struct client *c = ctx;

	if (c->events.ended)
		c->events.ended(c->ctx, c->end_code, c->why);
}

static void greeting_is_late(void *ctx)
{
	struct client *c = ctx;
	char why[128];

	snprintf(why, sizeof why,
	         "the agent in the guest has not answered for %g s; its console may tell why (`capsa logs`)",
	         (double)c->greeting_ms / 1000);
	end_client(c, -ETIMEDOUT, why);
}

void client_expect_greeting(struct client *c, int64_t ms)
{
	if (c->greeted || c->ended)
		return;
	c->greeting_ms = ms;
	reactor_timer_set(c->greeting, ms);
}

/* ---- writing ---- */

static size_t waiting(const struct client *c)
{
	return c->out_used - c->out_sent;
}

static void flush(struct client *c)
{
	while (!c->ended && waiting(c) > 0) {
		ssize_t n = send(c->fd, c->out + c->out_sent, waiting(c), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0) {
			c->out_sent += (size_t)n;
		} else if (errno == EAGAIN) {
			break;
		} else if (errno != EINTR) {
			/* What the agent said last may still be there to be read: reading finds the end. */
			c->out_sent = c->out_used;
		}
	}
	if (waiting(c) == 0)
		c->out_sent = c->out_used = 0;
	if (c->watch)
		reactor_watch_set(c->watch, REACTOR_READ | (waiting(c) > 0 ? REACTOR_WRITE : 0));
}

static bool out_reserve(struct client *c, size_t len)
{
	size_t room = c->out_room ? c->out_room : 4096;
	unsigned char *grown;

	if (c->out_sent > 0) {
		memmove(c->out, c->out + c->out_sent, waiting(c));
		c->out_used -= c->out_sent;
		c->out_sent = 0;
	}
	while (room - c->out_used < len)
		room *= 2;
	if (room == c->out_room)
		return true;
	grown = realloc(c->out, room);
	if (!grown)
		return false;
	c->out = grown;
	c->out_room = room;
	return true;
}

/* Appends a frame and sends what goes. */
static void send_frame(struct client *c, uint32_t channel, enum agent_type type, unsigned stream, const void *payload,
                       size_t len)
{
	struct agent_frame frame = {
		.length = (uint32_t)len, .channel = channel, .type = (uint16_t)type, .stream = (uint16_t)stream
	};

	if (c->ended)
		return;
	if (waiting(c) > OUT_MAX) {
		end_client(c, -EPROTO, "the agent in the guest does not listen");
		return;
	}
	if (!out_reserve(c, AGENT_FRAME_SIZE + len)) {
		end_client(c, -ENOMEM, "out of memory");
		return;
	}
	agent_frame_encode(&frame, c->out + c->out_used);
	c->out_used += AGENT_FRAME_SIZE;
	if (len > 0)
		memcpy(c->out + c->out_used, payload, len);
	c->out_used += len;
	flush(c);
}

static void say_hello(struct client *c)
{
	unsigned char payload[128];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_hello(&w, "capsa " CAPSA_VERSION);
	send_frame(c, 0, AGENT_HELLO, 0, payload, w.used);
}

/* ---- channels ---- */

static struct client_channel *channel_find(struct client *c, uint32_t number)
{
	struct client_channel *channel;

	LIST_FOREACH(channel, &c->channels, link)
	if (channel->number == number)
		return channel;
	return NULL;
}

static void channel_free(struct client_channel *channel)
{
	LIST_REMOVE(channel, link);
	free(channel);
}

struct client_channel *client_request(struct client *c, enum agent_type type, const void *payload, size_t len,
                                      const struct client_channel_events *events, void *ctx)
{
	struct client_channel *channel;

	if (c->ended || !c->greeted || len > AGENT_FRAME_MAX)
		return NULL;
	channel = calloc(1, sizeof *channel);
	if (!channel)
		return NULL;
	do
		c->next_number++;
	while (c->next_number == 0 || channel_find(c, c->next_number));
	channel->client = c;
	channel->number = c->next_number;
	channel->events = *events;
	channel->ctx = ctx;
	channel->is_command = type == AGENT_EXEC;
	channel->input_credit = AGENT_WINDOW;
	for (unsigned i = 0; i < AGENT_STREAMS; i++)
		channel->credit[i] = AGENT_WINDOW;
	LIST_INSERT_HEAD(&c->channels, channel, link);
	send_frame(c, channel->number, type, 0, payload, len);
	return channel;
}

size_t client_room(const struct client_channel *channel)
{
	const struct client *c = channel->client;
	size_t room = waiting(c) < OUT_ENOUGH ? OUT_ENOUGH - waiting(c) : 0;

	if (c->ended || channel->input_ended)
		return 0;
	return room < channel->input_credit ? room : channel->input_credit;
}

size_t client_send(struct client_channel *channel, const void *bytes, size_t len)
{
	size_t room = client_room(channel), done = 0;

	while (done < len && done < room) {
		size_t part = len - done < room - done ? len - done : room - done;

		if (part > AGENT_DATA_MAX)
			part = AGENT_DATA_MAX;
		channel->input_credit -= part;
		send_frame(channel->client, channel->number, AGENT_DATA, AGENT_INPUT, (const char *)bytes + done, part);
		done += part;
	}
	channel->wants_room = done < len || client_room(channel) == 0;
	return done;
}

void client_send_end(struct client_channel *channel)
{
	if (channel->input_ended)
		return;
	channel->input_ended = true;
	send_frame(channel->client, channel->number, AGENT_END, AGENT_INPUT, NULL, 0);
}

void client_consumed(struct client_channel *channel, enum agent_stream stream, size_t len)
{
	unsigned char payload[4];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	channel->owed[stream] += len;
	if (channel->owed[stream] < GRANT || channel->ended[stream])
		return;
	agent_write_u32(&w, (uint32_t)channel->owed[stream]);
	channel->credit[stream] += channel->owed[stream];
	channel->owed[stream] = 0;
	send_frame(channel->client, channel->number, AGENT_WINDOW_ADD, stream, payload, w.used);
}

void client_refuse(struct client_channel *channel, enum agent_stream stream)
{
	if (channel->refused[stream])
		return;
	channel->refused[stream] = true;
	if (!channel->ended[stream])
		send_frame(channel->client, channel->number, AGENT_CLOSE, stream, NULL, 0);
}

void client_tell(struct client_channel *channel, enum agent_type type, const void *payload, size_t len)
{
	send_frame(channel->client, channel->number, type, 0, payload, len);
}

void client_forget(struct client_channel *channel)
{
	if (!channel)
		return;
	memset(&channel->events, 0, sizeof channel->events);
	client_refuse(channel, AGENT_OUTPUT);
	client_refuse(channel, AGENT_ERROR);
	client_tell(channel, AGENT_CANCEL, NULL, 0);
}

static void tell_room(struct client *c)
{
	struct client_channel *channel, *next;

	for (channel = LIST_FIRST(&c->channels); channel && !c->ended; channel = next) {
		next = LIST_NEXT(channel, link);
		if (!channel->wants_room || client_room(channel) == 0)
			continue;
		channel->wants_room = false;
		if (channel->events.room)
			channel->events.room(channel->ctx);
	}
}

/* ---- frames that come: each NULL, or what is wrong with it ---- */

static const char *take_hello(struct client *c, struct agent_reader *r)
{
	static const char wrong_version[] = "the agent in the guest speaks version %u to %u of the protocol, this "
	                                    "capsa %u to %u: build the image anew "
					    "(`capsa image build`)";
	struct client_times times;
	struct agent_peer peer;
	int rc = agent_read_hello(r, &peer);
	char why[256];

	if (rc == -EPROTONOSUPPORT) {
		snprintf(why, sizeof why, wrong_version, peer.lowest, peer.highest, AGENT_VERSION_MIN,
		         AGENT_VERSION_MAX);
		end_client(c, rc, why);
		return NULL;
	}
	if (rc)
		return "no greeting";
	times.init = agent_read_u64(r);
	times.mounted = agent_read_u64(r);
	times.serving = agent_read_u64(r);
	times.now = agent_read_u64(r);
	if (r->failed)
		times = (struct client_times){ 0 };
	c->greeted = true;
	reactor_timer_set(c->greeting, -1);
	if (c->events.ready)
		c->events.ready(c->ctx, &times);
	return NULL;
}

static const char *take_data(struct client_channel *channel, unsigned stream, const void *bytes, size_t len)
{
	if (stream != AGENT_OUTPUT && stream != AGENT_ERROR)
		return "data on a stream that is not its own";
	if (channel->ended[stream])
		return "data behind its end";
	if (len > channel->credit[stream])
		return "more data than it may send";
	channel->credit[stream] -= len;
	if (channel->refused[stream] || !channel->events.data)
		client_consumed(channel, stream, len);
	else
		channel->events.data(channel->ctx, stream, bytes, len);
	return NULL;
}

static const char *take_end(struct client_channel *channel, unsigned stream)
{
	if ((stream != AGENT_OUTPUT && stream != AGENT_ERROR) || channel->ended[stream])
		return "an end of what has ended";
	channel->ended[stream] = true;
	if (channel->events.end && !channel->refused[stream])
		channel->events.end(channel->ctx, stream);
	return NULL;
}

static const char *take_window(struct client_channel *channel, struct agent_reader *r)
{
	uint32_t more = agent_read_u32(r);

	if (r->failed || more > UINT32_MAX / 2 || channel->input_credit > UINT32_MAX / 2)
		return "credit without measure";
	channel->input_credit += more;
	return NULL;
}

static const char *take_started(struct client_channel *channel, struct agent_reader *r)
{
	uint32_t pid = agent_read_u32(r);

	if (!channel->is_command)
		return "a start of what is no command";
	if (r->failed || channel->started)
		return "a start that is none";
	channel->started = true;
	if (channel->events.started)
		channel->events.started(channel->ctx, pid);
	return NULL;
}

static const char *take_exit(struct client_channel *channel, struct agent_reader *r)
{
	uint32_t how = agent_read_u32(r), code = agent_read_u32(r), flags = agent_read_u32(r);
	struct client_channel_events events = channel->events;
	void *ctx = channel->ctx;

	/* Whoever asked for something else waits for its result. */
	if (!channel->is_command)
		return "an exit of what is no command";
	if (r->failed || how > AGENT_TIMED_OUT)
		return "an exit that is none";
	channel_free(channel);
	if (events.exit)
		events.exit(ctx, (enum agent_exit)how, code, flags);
	return NULL;
}

static const char *take_result(struct client_channel *channel, struct agent_reader *r)
{
	struct client_channel_events events = channel->events;
	void *ctx = channel->ctx;
	uint32_t code = agent_read_u32(r), stage = agent_read_u32(r);
	char cause[1024];
	struct client_result result;

	agent_read_string(r, cause, sizeof cause);
	if (r->failed || code > 4095)
		return "a result that is none";
	agent_replace_controls(cause); /* it may be printed */
	result = (struct client_result){
		.code = -(int)code, .stage = (enum agent_stage)stage, .cause = cause, .rest = *r
	};
	channel_free(channel);
	if (events.result)
		events.result(ctx, &result);
	return NULL;
}

static const char *take_frame(struct client *c, const struct agent_frame *frame, const void *payload)
{
	struct agent_reader r = agent_reader_on(payload, frame->length);
	struct client_channel *channel;

	if (!c->greeted)
		return frame->type == AGENT_HELLO && frame->channel == 0 ? take_hello(c, &r) : "no greeting";
	channel = channel_find(c, frame->channel);
	if (!channel)
		return "a word on a channel that is not open";
	switch (frame->type) {
	case AGENT_DATA:
		return take_data(channel, frame->stream, payload, frame->length);
	case AGENT_END:
		return take_end(channel, frame->stream);
	case AGENT_WINDOW_ADD:
		return frame->stream == AGENT_INPUT ? take_window(channel, &r) : "credit for what it sends itself";
	case AGENT_CLOSE:
		if (frame->stream != AGENT_INPUT)
			return "a refusal of its own stream";
		channel->input_ended = true;
		if (channel->events.input_closed)
			channel->events.input_closed(channel->ctx);
		return NULL;
	case AGENT_STARTED:
		return take_started(channel, &r);
	case AGENT_EXIT:
		return take_exit(channel, &r);
	case AGENT_RESULT:
		return take_result(channel, &r);
	default:
		return "a word that this capsa does not know";
	}
}

/* Hands on the whole frames of c->in. */
static void take_frames(struct client *c)
{
	size_t at = 0;

	while (!c->ended && c->in_used - at >= AGENT_FRAME_SIZE) {
		struct agent_frame frame = agent_frame_decode(c->in + at);
		const char *wrong;
		char why[256];

		if (frame.length > AGENT_FRAME_MAX)
			wrong = "a word that is too long";
		else if (c->in_used - at - AGENT_FRAME_SIZE < frame.length)
			break;
		else
			wrong = take_frame(c, &frame, c->in + at + AGENT_FRAME_SIZE);
		at += AGENT_FRAME_SIZE + frame.length;
		if (wrong) {
			snprintf(why, sizeof why, "the agent in the guest does not keep to the protocol: %s", wrong);
			end_client(c, -EPROTO, why);
			return;
		}
	}
	memmove(c->in, c->in + at, c->in_used - at);
	c->in_used -= at;
}

static void readable(struct client *c)
{
	ssize_t n = recv(c->fd, c->in + c->in_used, IN_ROOM - c->in_used, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		end_client(c, -EPIPE, "the agent in the guest has ended");
		return;
	}
	c->in_used += (size_t)n;
	take_frames(c);
}

static void socket_event(void *ctx, int fd, unsigned events)
{
	struct client *c = ctx;

	(void)fd;
	if (events & REACTOR_READ)
		readable(c);
	if (!c->ended && (events & REACTOR_WRITE))
		flush(c);
	if (!c->ended)
		tell_room(c);
}

/* ---- life ---- */

int client_open(struct reactor *reactor, int fd, const struct client_events *events, void *ctx, struct client **out,
                struct error *err)
{
	struct client *c = calloc(1, sizeof *c);

	if (!c) {
		close(fd);
		return error_set(err, ENOMEM, "no memory");
	}
	c->reactor = reactor;
	c->fd = fd;
	c->events = *events;
	c->ctx = ctx;
	LIST_INIT(&c->channels);
	/* Pages that are never touched cost nothing. */
	c->in = malloc(IN_ROOM);
	c->tell_end = reactor_call_add(reactor, tell_end, c);
	c->greeting = reactor_timer_add(reactor, greeting_is_late, c);
	c->watch = reactor_watch_add(reactor, fd, REACTOR_READ, socket_event, c);
	if (!c->in || !c->tell_end || !c->greeting || !c->watch) {
		client_close(c);
		return error_set(err, ENOMEM, "no memory");
	}
	say_hello(c);
	*out = c;
	return 0;
}

void client_close(struct client *c)
{
	struct client_channel *channel;

	if (!c)
		return;
	while ((channel = LIST_FIRST(&c->channels)))
		channel_free(channel);
	reactor_watch_remove(c->watch);
	reactor_call_remove(c->tell_end);
	if (c->greeting)
		reactor_timer_remove(c->greeting);
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

int client_connect(const char *path, struct error *err)
{
	struct sockaddr_un address;
	socklen_t len;
	int folder, fd = -1, rc = path_unix_address(path, &address, &len, &folder);

	if (rc)
		return error_set(err, -rc, "%s: %s", path, strerror(-rc));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, len)) {
		rc = error_set(err, errno, "%s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = rc;
	}
	if (folder >= 0)
		close(folder);
	return fd;
}
