/* SPDX-License-Identifier: MIT */
/*
 * channel.c - see channel.h. Owns the table of a connection's channels and the rules of which frame is legal on which.
 * Called by connection.c with frames, by the requests' files (exec.c, files.c, ...) for the rest.
 */
#include "agent/channel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/connection.h"
#include "agent/request.h"
#include "agent/server.h"
#include "agent/stream.h"

static struct channel **bucket_of(struct connection *connection, uint32_t number)
{
	return &connection->channels.buckets[number % CHANNEL_BUCKETS];
}

struct channel *channel_find(struct connection *connection, uint32_t number)
{
	struct channel *channel = *bucket_of(connection, number);

	while (channel && channel->number != number)
		channel = channel->next;
	return channel;
}

void *channel_create(struct connection *connection, uint32_t number, size_t size, const struct channel_ops *ops)
{
	struct channel **bucket = bucket_of(connection, number);
	struct channel *channel = NULL;
	int err = EMFILE;

	if (connection->channels.count < AGENT_CHANNELS_MAX) {
		channel = calloc(1, size);
		err = ENOMEM;
	}
	if (!channel) {
		connection_result(connection, number, err, AGENT_STAGE_REQUEST, strerror(err));
		return NULL;
	}
	channel->connection = connection;
	channel->number = number;
	channel->ops = ops;
	channel->next = *bucket;
	*bucket = channel;
	connection->channels.count++;
	return channel;
}

void channel_end(struct channel *channel)
{
	struct channel **at = bucket_of(channel->connection, channel->number);

	while (*at != channel)
		at = &(*at)->next;
	*at = channel->next;
	channel->connection->channels.count--;
	if (channel->inlet)
		inlet_close(channel->inlet);
	for (unsigned i = 0; i < AGENT_STREAMS; i++)
		if (channel->outlets[i])
			outlet_close(channel->outlets[i]);
	if (channel->ops->destroy)
		channel->ops->destroy(channel);
	free(channel);
}

void channel_end_all(struct connection *connection)
{
	for (unsigned i = 0; i < CHANNEL_BUCKETS; i++)
		while (connection->channels.buckets[i])
			channel_end(connection->channels.buckets[i]);
}

void channel_result(struct channel *channel, int error, enum agent_stage stage, const char *cause)
{
	struct connection *connection = channel->connection;
	uint32_t number = channel->number;

	/* First what is under way ends: the final frame is the last of its channel. */
	channel_end(channel);
	connection_result(connection, number, error, stage, cause);
}

void channel_failure(struct channel *channel, int error, const char *what)
{
	char cause[768];

	snprintf(cause, sizeof cause, "%s: %s", what, strerror(error));
	channel_result(channel, error, AGENT_STAGE_REQUEST, cause);
}

void channel_break(struct connection *connection, const struct agent_frame *frame)
{
	struct channel *channel = channel_find(connection, frame->channel);

	if (channel)
		channel_result(channel, EPROTO, AGENT_STAGE_REQUEST, "a frame against the rules of the protocol");
	else if (request_find(frame->type))
		connection_result(connection, frame->channel, EPROTO, AGENT_STAGE_REQUEST,
		                  "a frame against the rules of the protocol");
}

/* ---- frames on a channel: 0, or -EPROTO where the channel is still there but the frame is not legal ---- */

static int on_signal(struct channel *channel, struct agent_reader *r)
{
	uint32_t number = agent_read_u32(r);

	if (r->failed || !channel->ops->signal || number < 1 || number > 64)
		return -EPROTO;
	channel->ops->signal(channel, number);
	return 0;
}

static int on_resize(struct channel *channel, struct agent_reader *r)
{
	uint16_t rows = agent_read_u16(r), columns = agent_read_u16(r);

	if (r->failed || !channel->ops->resize)
		return -EPROTO;
	channel->ops->resize(channel, rows, columns);
	return 0;
}

static int on_cancel(struct channel *channel)
{
	if (channel->ops->cancel)
		channel->ops->cancel(channel);
	else
		channel_result(channel, ECANCELED, AGENT_STAGE_REQUEST, strerror(ECANCELED));
	return 0;
}

static int on_window_add(struct channel *channel, unsigned stream, struct agent_reader *r)
{
	uint32_t bytes = agent_read_u32(r);

	if (r->failed || !channel->outlets[stream])
		return -EPROTO;
	return outlet_grant(channel->outlets[stream], bytes);
}

static int on_close(struct channel *channel, unsigned stream)
{
	struct outlet *outlet = channel->outlets[stream];

	if (!outlet)
		return -EPROTO;
	/* Crosses an END: fine. */
	if (outlet->open) {
		outlet_close(outlet);
		outlet->ops->ended(outlet, 0);
	}
	return 0;
}

static int on_channel(struct channel *channel, const struct agent_frame *frame, const void *payload)
{
	struct agent_reader r = agent_reader_on(payload, frame->length);

	switch ((enum agent_type)frame->type) {
	case AGENT_SIGNAL:
		return frame->stream ? -EPROTO : on_signal(channel, &r);
	case AGENT_RESIZE:
		return frame->stream ? -EPROTO : on_resize(channel, &r);
	case AGENT_CANCEL:
		return frame->stream ? -EPROTO : on_cancel(channel);
	case AGENT_DATA:
		if (frame->stream != AGENT_INPUT || !channel->inlet)
			return -EPROTO;
		return inlet_data(channel->inlet, payload, frame->length);
	case AGENT_END:
		if (frame->stream != AGENT_INPUT || !channel->inlet)
			return -EPROTO;
		return inlet_end(channel->inlet);
	case AGENT_WINDOW_ADD:
		return frame->stream < AGENT_STREAMS ? on_window_add(channel, frame->stream, &r) : -EPROTO;
	case AGENT_CLOSE:
		return frame->stream < AGENT_STREAMS ? on_close(channel, frame->stream) : -EPROTO;
	default:
		/* Unknown, an agent's own, or a request where one is under way. */
		return -EPROTO;
	}
}

void channel_frame(struct connection *connection, const struct agent_frame *frame, const void *payload)
{
	struct channel *channel = channel_find(connection, frame->channel);
	request_handler *handler = request_find(frame->type);
	struct agent_reader r = agent_reader_on(payload, frame->length);

	if (channel) {
		if (on_channel(channel, frame, payload))
			channel_break(connection, frame);
		return;
	}
	if (!handler)
		return;
	if (frame->channel == 0 || frame->stream != 0) {
		channel_break(connection, frame);
		return;
	}
	if (connection->server->leaving) {
		connection_result(connection, frame->channel, ESHUTDOWN, AGENT_STAGE_REQUEST,
		                  "the machine is shutting down");
		return;
	}
	handler(connection, frame->channel, &r);
}
