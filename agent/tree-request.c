/* SPDX-License-Identifier: MIT */
/* tree-request.c - AGENT_TREE_READ and AGENT_TREE_WRITE: tree.h's streams on channels. Called by channel.c. */
#include "agent/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/channel.h"
#include "agent/connection.h"
#include "agent/request.h"
#include "agent/stream.h"

struct tree_channel {
	struct channel channel;
	struct outlet output;
	struct inlet input;
	struct tree_sender *sender;
	struct tree_receiver *receiver;
	int folder; /* of the receiver, or -1 */
	struct tree_cause cause;
};

static void tree_result(struct tree_channel *t, int err)
{
	struct tree_cause cause = t->cause;

	channel_result(&t->channel, -err, AGENT_STAGE_REQUEST, err ? cause.text : "");
}

static ssize_t tree_produce(struct outlet *outlet, void *to, size_t room)
{
	struct tree_channel *t = container_of(outlet, struct tree_channel, output);

	return tree_sender_read(t->sender, to, room, &t->cause);
}

static void sending_ended(struct outlet *outlet, int error)
{
	tree_result(container_of(outlet, struct tree_channel, output), error);
}

static ssize_t tree_consume(struct inlet *inlet, const void *from, size_t len)
{
	struct tree_channel *t = container_of(inlet, struct tree_channel, input);
	int err = tree_receiver_write(t->receiver, from, len, &t->cause);

	return err ? err : (ssize_t)len;
}

static void receiving_ended(struct inlet *inlet, int error)
{
	struct tree_channel *t = container_of(inlet, struct tree_channel, input);

	if (!error)
		error = tree_receiver_finish(t->receiver, &t->cause);
	else if (!*t->cause.text)
		strncpy(t->cause.text, strerror(-error), sizeof t->cause.text - 1);
	tree_result(t, error);
}

static void tree_destroy(struct channel *channel)
{
	struct tree_channel *t = (struct tree_channel *)channel;

	tree_sender_close(t->sender);
	tree_receiver_close(t->receiver);
	if (t->folder >= 0)
		close(t->folder);
}

static const struct outlet_ops tree_out = { .produce = tree_produce, .ended = sending_ended };
static const struct inlet_ops tree_in = { .consume = tree_consume, .ended = receiving_ended };
static const struct channel_ops tree_ops = { .destroy = tree_destroy };

void tree_read_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char path[REQUEST_PATH_MAX];
	struct tree_channel *t;
	int err;

	agent_read_string(r, path, sizeof path);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	t = channel_create(connection, number, sizeof *t, &tree_ops);
	if (!t)
		return;
	t->folder = -1;
	err = tree_sender_open(AT_FDCWD, path, &t->sender, &t->cause);
	if (!err)
		err = outlet_open(&t->output, &t->channel, AGENT_OUTPUT, -1, &tree_out);
	if (err)
		tree_result(t, err);
}

void tree_write_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	/* An ordinary user (tests) makes what it can. */
	const unsigned flags = geteuid() == 0 ? TREE_OWNERS | TREE_NODES : 0;
	char path[REQUEST_PATH_MAX], name[256];
	struct tree_channel *t;
	int folder, err;

	agent_read_string(r, path, sizeof path);
	agent_read_string(r, name, sizeof name);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder < 0) {
		request_result(connection, number, errno, path);
		return;
	}
	t = channel_create(connection, number, sizeof *t, &tree_ops);
	if (!t) {
		close(folder);
		return;
	}
	t->folder = folder;
	err = tree_receiver_open(folder, *name ? name : NULL, flags, &t->receiver, &t->cause);
	if (!err)
		err = inlet_open(&t->input, &t->channel, -1, &tree_in);
	if (err)
		tree_result(t, err);
}
