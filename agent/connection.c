/* SPDX-License-Identifier: MIT */
/*
 * connection.c - see connection.h. Owns the socket and both buffers. Called by server.c with a new socket, and by the
 * loop.
 *
 * Everything that a client says is checked here (the frame) or where it is used (the payload); nothing of it is
 * believed.
 */
#include "agent/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/server.h"

#define PORTION (AGENT_DATA_MAX + AGENT_FRAME_SIZE) /* of one read, and of one turn */
#define PROGRAM "capsa-agent " CAPSA_VERSION

/* ---- output ---- */

/* The rest is left to its own task: whoever is in the middle of something with it can go on. */
static void connection_break(struct connection *c)
{
	c->state = CONNECTION_BROKEN;
	c->deaf = true;
	loop_queue(&c->server->loop, &c->input);
}

void *connection_reserve(struct connection *c, size_t len)
{
	unsigned char *at = buffer_reserve(&c->out, AGENT_FRAME_SIZE + len);

	if (!at) {
		connection_break(c);
		return NULL;
	}
	return at + AGENT_FRAME_SIZE;
}

void connection_commit(struct connection *c, uint32_t channel, enum agent_type type, unsigned stream, size_t len)
{
	const struct agent_frame frame = {
		.length = (uint32_t)len, .channel = channel, .type = (uint16_t)type, .stream = (uint16_t)stream
	};

	agent_frame_encode(&frame, c->out.at + c->out.end);
	buffer_commit(&c->out, AGENT_FRAME_SIZE + len);
	loop_queue_late(&c->server->loop, &c->flush);
}

void connection_send(struct connection *c, uint32_t channel, enum agent_type type, unsigned stream, const void *payload,
                     size_t len)
{
	void *at = connection_reserve(c, len);

	if (!at)
		return;
	if (len > 0)
		memcpy(at, payload, len);
	connection_commit(c, channel, type, stream, len);
}

bool connection_has_room(const struct connection *c)
{
	return buffer_used(&c->out) < OUTPUT_ENOUGH;
}

void connection_result(struct connection *c, uint32_t channel, int error, enum agent_stage stage, const char *cause)
{
	unsigned char payload[1024];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_u32(&w, (uint32_t)error);
	agent_write_u32(&w, stage);
	agent_write_bytes(&w, cause, strnlen(cause, sizeof payload - 12));
	connection_send(c, channel, AGENT_RESULT, 0, payload, w.used);
}

static void say_hello(struct connection *c)
{
	unsigned char payload[128];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_hello(&w, PROGRAM);
	agent_write_u64(&w, c->server->times.began);
	agent_write_u64(&w, c->server->times.mounted);
	agent_write_u64(&w, c->server->times.served);
	agent_write_u64(&w, agent_now());
	connection_send(c, 0, AGENT_HELLO, 0, payload, w.used);
}

static void connection_flush(struct task *task)
{
	struct connection *c = container_of(task, struct connection, flush);

	while (buffer_used(&c->out) > 0 && c->writable && !c->deaf) {
		ssize_t n = send(c->watch.fd, buffer_bytes(&c->out), buffer_used(&c->out), MSG_NOSIGNAL);

		if (n >= 0)
			buffer_consume(&c->out, (size_t)n);
		else if (errno == EAGAIN || errno == ENOBUFS)
			c->writable = false;
		else if (errno != EINTR) {
			/* What it had sent is read to its end, and that is the connection's. */
			c->deaf = c->readable = true;
			loop_queue(&c->server->loop, &c->input);
		}
	}
	if (c->deaf)
		buffer_consume(&c->out, buffer_used(&c->out));
	if (buffer_used(&c->out) <= OUTPUT_LOW) {
		list_move(&c->server->loop.queue, &c->waiting);
		if (c->paused) {
			c->paused = false;
			loop_queue(&c->server->loop, &c->input);
		}
	}
	if (buffer_used(&c->out) > 0)
		return;
	server_connection_flushed(c->server, c);
	if (c->state == CONNECTION_REFUSED)
		connection_break(c);
}

/* ---- input ---- */

static void greet(struct connection *c, const struct agent_frame *frame, const void *payload)
{
	struct agent_reader r = agent_reader_on(payload, frame->length);
	struct agent_peer peer;

	if (frame->channel != 0 || frame->type != AGENT_HELLO || agent_read_hello(&r, &peer)) {
		c->state = CONNECTION_REFUSED;
		loop_queue_late(&c->server->loop, &c->flush);
	} else {
		c->state = CONNECTION_OPEN;
	}
}

static bool frame_too_long(const struct connection *c, const struct agent_frame *frame)
{
	if (c->state == CONNECTION_GREETING)
		return frame->length > AGENT_DATA_MAX;
	return frame->length > (frame->type == AGENT_DATA ? AGENT_DATA_MAX : AGENT_FRAME_MAX);
}

/* The first frame of `in`, where it is whole. Or how many bytes are wanted before there is one. */
static size_t handle_frame(struct connection *c)
{
	const size_t used = buffer_used(&c->in);
	struct agent_frame frame;
	const unsigned char *at = buffer_bytes(&c->in);

	if (used < AGENT_FRAME_SIZE)
		return AGENT_FRAME_SIZE - used;
	frame = agent_frame_decode(at);
	if (frame_too_long(c, &frame)) {
		buffer_consume(&c->in, AGENT_FRAME_SIZE);
		c->skip = frame.length;
		if (c->state == CONNECTION_GREETING)
			greet(c, &(struct agent_frame){ 0 }, "");
		else
			channel_break(c, &frame);
		return 0;
	}
	if (used < AGENT_FRAME_SIZE + frame.length)
		return AGENT_FRAME_SIZE + frame.length - used;
	if (c->state == CONNECTION_GREETING)
		greet(c, &frame, at + AGENT_FRAME_SIZE);
	else
		channel_frame(c, &frame, at + AGENT_FRAME_SIZE);
	buffer_consume(&c->in, AGENT_FRAME_SIZE + frame.length);
	return 0;
}

/* True: there is more to be had at once. */
static bool receive(struct connection *c, size_t wanted)
{
	size_t room = wanted > PORTION ? wanted : c->in.room > c->in.end ? c->in.room - c->in.end : 0;
	void *to;
	ssize_t n;

	/* As much as there is room for anyhow, so that small requests cost one read, and bulk grows to whole portions.
	 */
	if (room < wanted)
		room = wanted;
	to = buffer_reserve(&c->in, room);
	if (!to) {
		connection_break(c);
		return false;
	}
	n = recv(c->watch.fd, to, room, 0);
	if (n > 0) {
		buffer_commit(&c->in, (size_t)n);
		return true;
	}
	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0 && errno == EAGAIN)
		c->readable = false;
	else
		connection_break(c);
	return false;
}

static void connection_run(struct task *task)
{
	struct connection *c = container_of(task, struct connection, input);
	size_t done = 0;

	while (done < PORTION) {
		size_t before = buffer_used(&c->in), wanted = 0;

		if (c->state == CONNECTION_BROKEN) {
			connection_destroy(c);
			return;
		}
		if (c->state == CONNECTION_REFUSED)
			return;
		if (buffer_used(&c->out) >= OUTPUT_FULL && !c->deaf) {
			c->paused = true;
			return;
		}
		if (c->skip > 0) {
			size_t n = c->skip < before ? c->skip : before;

			buffer_consume(&c->in, n);
			c->skip -= n;
			done += n;
			wanted = c->skip < PORTION ? c->skip : PORTION;
		}
		if (c->skip == 0)
			wanted = handle_frame(c);
		if (wanted == 0) {
			done += before - buffer_used(&c->in);
			continue;
		}
		/* One big frame in a thousand small ones leaves no big buffer behind. */
		buffer_trim(&c->in, 2 * PORTION);
		if (!c->readable)
			return;
		if (!receive(c, wanted) && c->state != CONNECTION_BROKEN)
			return;
	}
	loop_queue(&c->server->loop, &c->input);
}

static void connection_ready(struct watch *watch, uint32_t events)
{
	struct connection *c = container_of(watch, struct connection, watch);

	if (events & EPOLLOUT) {
		c->writable = true;
		if (buffer_used(&c->out) > 0)
			loop_queue_late(&c->server->loop, &c->flush);
	}
	if (events & (EPOLLHUP | EPOLLERR)) {
		c->deaf = true;
		loop_queue_late(&c->server->loop, &c->flush);
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
		c->readable = true;
		if (!c->paused)
			loop_queue(&c->server->loop, &c->input);
	}
}

/* ---- life ---- */

int connection_open(struct server *server, int fd)
{
	struct connection *c = calloc(1, sizeof *c);
	int err;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = server;
	c->watch = (struct watch){ .fd = fd, .ready = connection_ready };
	c->input.run = connection_run;
	c->flush.run = connection_flush;
	c->writable = true;
	list_init(&c->waiting);
	err = loop_watch(&server->loop, &c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
	if (err) {
		close(fd);
		free(c);
		return err;
	}
	list_append(&server->connections, &c->link);
	say_hello(c);
	return 0;
}

void connection_destroy(struct connection *c)
{
	struct server *server = c->server;

	channel_end_all(c);
	list_remove(&c->input.link);
	list_remove(&c->flush.link);
	loop_forget(&server->loop, &c->watch);
	close(c->watch.fd);
	buffer_free(&c->in);
	buffer_free(&c->out);
	list_remove(&c->link);
	server_connection_gone(server, c);
	free(c);
}
