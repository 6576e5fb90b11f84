/* SPDX-License-Identifier: MIT */
/* stream.c - see stream.h. Called by channel.c for frames, by the loop for descriptors. */
#include "agent/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "agent/connection.h"
#include "agent/server.h"

#define GRANT_AT (AGENT_WINDOW / 4) /* fewer frames than one for each portion, and the client never runs dry */
#define CREDIT_MAX (UINT64_C(1) << 40)

static struct loop *loop_of(const struct channel *channel)
{
	return &channel->connection->server->loop;
}

/* ---- outlets ---- */

static void outlet_ready(struct watch *watch, uint32_t events)
{
	struct outlet *o = container_of(watch, struct outlet, watch);

	(void)events;
	o->ready = true;
	loop_queue(loop_of(o->channel), &o->task);
}

static void outlet_finish(struct outlet *o, int error)
{
	outlet_close(o);
	if (!error)
		connection_send(o->channel->connection, o->channel->number, AGENT_END, o->stream, NULL, 0);
	o->ops->ended(o, error);
}

static void outlet_run(struct task *task)
{
	struct outlet *o = container_of(task, struct outlet, task);
	struct connection *connection = o->channel->connection;
	size_t room = o->credit < AGENT_DATA_MAX ? (size_t)o->credit : AGENT_DATA_MAX;
	unsigned char *to;
	ssize_t n;

	if (o->left == 0) {
		outlet_finish(o, 0);
		return;
	}
	if (room == 0 && o->cut) {
		outlet_finish(o, 0);
		return;
	}
	/* An end that nobody announced needs a look to be seen, and that needs a byte of credit: the client's to give.
	 */
	o->starved = room == 0;
	if (!o->ready || room == 0)
		return;
	if (!connection_has_room(connection)) {
		list_append(&connection->waiting, &o->task.link);
		return;
	}
	if (room > o->left)
		room = (size_t)o->left;
	to = connection_reserve(connection, room);
	if (!to)
		return;
	n = o->ops->produce(o, to, room);
	if (n > 0) {
		connection_commit(connection, o->channel->number, AGENT_DATA, o->stream, (size_t)n);
		o->credit -= (uint64_t)n;
		if (o->left != UINT64_MAX)
			o->left -= (uint64_t)n;
		loop_queue(loop_of(o->channel), &o->task);
	} else if (n == -EAGAIN && !o->last) {
		o->ready = false;
	} else if (n == -ENOBUFS) {
		o->starved = true;
	} else {
		outlet_finish(o, n == -EAGAIN ? 0 : (int)n);
	}
}

int outlet_open(struct outlet *o, struct channel *channel, enum agent_stream stream, int fd,
                const struct outlet_ops *ops)
{
	o->task.run = outlet_run;
	o->watch = (struct watch){ .fd = fd, .ready = outlet_ready };
	o->channel = channel;
	o->ops = ops;
	o->credit = AGENT_WINDOW;
	o->left = UINT64_MAX;
	o->stream = (uint16_t)stream;
	o->open = o->ready = true;
	if (fd >= 0) {
		int err = loop_watch(loop_of(channel), &o->watch, EPOLLIN);

		if (err && err != -EPERM) {
			outlet_close(o);
			return err;
		}
		o->watched = !err;
		/* Its first edge says whether there is something. */
		o->ready = !o->watched;
	}
	channel->outlets[stream] = o;
	if (o->ready)
		loop_queue(loop_of(channel), &o->task);
	return 0;
}

ssize_t outlet_read(struct outlet *o, void *to, size_t room)
{
	ssize_t n = read(o->watch.fd, to, room);

	return n < 0 ? -errno : n;
}

int outlet_grant(struct outlet *o, uint32_t bytes)
{
	o->credit += bytes;
	if (o->credit > CREDIT_MAX)
		return -EPROTO;
	if (o->open && o->starved)
		loop_queue(loop_of(o->channel), &o->task);
	return 0;
}

void outlet_cut(struct outlet *o)
{
	o->cut = true;
	if (o->open)
		loop_queue(loop_of(o->channel), &o->task);
}

void outlet_drain(struct outlet *o, uint64_t left)
{
	o->last = o->ready = true;
	o->left = left;
	loop_queue(loop_of(o->channel), &o->task);
}

void outlet_close(struct outlet *o)
{
	if (!o->open)
		return;
	o->open = false;
	list_remove(&o->task.link);
	if (o->watched)
		loop_forget(loop_of(o->channel), &o->watch);
	if (o->watch.fd >= 0)
		close(o->watch.fd);
	o->watched = false;
	o->watch.fd = -1;
}

/* ---- inlets ---- */

/* What the consumer took, the client may send again. */
static void inlet_consumed(struct inlet *in, size_t len)
{
	unsigned char payload[4];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	in->consumed += (uint32_t)len;
	if (in->consumed < GRANT_AT || in->finished)
		return;
	agent_write_u32(&w, in->consumed);
	in->credit += in->consumed;
	in->consumed = 0;
	connection_send(in->channel->connection, in->channel->number, AGENT_WINDOW_ADD, AGENT_INPUT, payload, w.used);
}

/* Not beyond what the consumer takes now. Returns how much, or -errno; EAGAIN is no error here. */
static ssize_t inlet_push(struct inlet *in, const void *from, size_t len)
{
	size_t done = 0;

	while (done < len && in->writable) {
		ssize_t n = in->ops->consume(in, (const unsigned char *)from + done, len - done);

		if (n == -EAGAIN) {
			in->writable = false;
			break;
		}
		if (n < 0)
			return n;
		done += (size_t)n;
	}
	if (done > 0)
		inlet_consumed(in, done);
	return (ssize_t)done;
}

static void inlet_run(struct task *task)
{
	struct inlet *in = container_of(task, struct inlet, task);
	ssize_t n = in->gone ? -EPIPE : inlet_push(in, buffer_bytes(&in->held), buffer_used(&in->held));

	if (n < 0) {
		in->ops->ended(in, (int)n);
		return;
	}
	buffer_consume(&in->held, (size_t)n);
	buffer_trim(&in->held, 0);
	if (in->finished && buffer_used(&in->held) == 0)
		in->ops->ended(in, 0);
}

static void inlet_ready(struct watch *watch, uint32_t events)
{
	struct inlet *in = container_of(watch, struct inlet, watch);

	in->writable = true;
	/* Of a pipe: nobody reads from it any more. The client is told at once, not with its next data. */
	in->gone = events & EPOLLERR;
	if (in->gone || buffer_used(&in->held) > 0)
		loop_queue(loop_of(in->channel), &in->task);
}

int inlet_open(struct inlet *in, struct channel *channel, int fd, const struct inlet_ops *ops)
{
	in->task.run = inlet_run;
	in->watch = (struct watch){ .fd = fd, .ready = inlet_ready };
	in->channel = channel;
	in->ops = ops;
	in->credit = AGENT_WINDOW;
	in->open = in->writable = true;
	if (fd >= 0) {
		int err = loop_watch(loop_of(channel), &in->watch, EPOLLOUT);

		if (err && err != -EPERM) {
			inlet_close(in);
			return err;
		}
		in->watched = !err;
	}
	channel->inlet = in;
	return 0;
}

ssize_t inlet_write(struct inlet *in, const void *from, size_t len)
{
	ssize_t n = write(in->watch.fd, from, len);

	return n < 0 ? -errno : n;
}

int inlet_data(struct inlet *in, const void *from, size_t len)
{
	void *held;
	ssize_t n = 0;

	/* After CLOSE data under way is dropped, without a look at credit that is not granted any more. */
	if (!in->open)
		return 0;
	if (in->finished || len > in->credit)
		return -EPROTO;
	in->credit -= (uint32_t)len;
	if (buffer_used(&in->held) == 0)
		n = inlet_push(in, from, len);
	if (n < 0) {
		in->ops->ended(in, (int)n);
		return 0;
	}
	len -= (size_t)n;
	if (len == 0)
		return 0;
	held = buffer_reserve(&in->held, len);
	if (!held) {
		in->ops->ended(in, -ENOMEM);
		return 0;
	}
	memcpy(held, (const unsigned char *)from + n, len);
	buffer_commit(&in->held, len);
	return 0;
}

int inlet_end(struct inlet *in)
{
	if (!in->open)
		return 0;
	if (in->finished)
		return -EPROTO;
	in->finished = true;
	if (buffer_used(&in->held) == 0)
		in->ops->ended(in, 0);
	return 0;
}

void inlet_refuse(struct inlet *in)
{
	if (!in->open)
		return;
	inlet_close(in);
	if (!in->finished)
		connection_send(in->channel->connection, in->channel->number, AGENT_CLOSE, AGENT_INPUT, NULL, 0);
}

void inlet_close(struct inlet *in)
{
	if (!in->open)
		return;
	in->open = false;
	list_remove(&in->task.link);
	if (in->watched)
		loop_forget(loop_of(in->channel), &in->watch);
	if (in->watch.fd >= 0)
		close(in->watch.fd);
	in->watched = false;
	in->watch.fd = -1;
	buffer_free(&in->held);
}
