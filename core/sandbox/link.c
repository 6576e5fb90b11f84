/* SPDX-License-Identifier: MIT */
/* link.c - see link.h. Called by sandbox-machine.c; owns the connection. */
#include "core/sandbox/link.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"

/* A guest does all that in milliseconds; one whose host is busy gets there by then. Else somebody would wait for ever. */
#define SETUP_MS (60 * 1000)

struct link {
	struct reactor *reactor;
	struct vsock *vsock;
	struct mounts *mounts;
	struct network *network;
	struct link_events events;
	void *ctx;
	struct client *client;
	struct client *over; /* to be closed outside of its callback */
	struct reactor_call *close_call;
	unsigned pending; /* of mounts and network: not answered yet */
	bool ready, refused, warned;
};

/* Clients wait outside while there is nobody in the guest to take them. */
static void let_in(struct link *l, bool in)
{
	l->ready = in;
	vsock_release(l->vsock, AGENT_PORT, !in);
}

/* Of the mounts, or of the network. */
static void set_up(void *ctx, const char *failure)
{
	struct link *l = ctx;

	if (failure && !l->refused)
		l->refused = !l->events.setup_failed(l->ctx, failure);
	if (--l->pending > 0 || l->refused)
		return;
	let_in(l, true);
	if (l->events.ready)
		l->events.ready(l->ctx);
}

static void agent_greeted(void *ctx, const struct client_times *times)
{
	struct link *l = ctx;

	if (l->events.greeted)
		l->events.greeted(l->ctx, times);
	l->pending = 2;
	l->refused = false;
	mounts_ask(l->mounts, l->client, SETUP_MS, set_up, l);
	network_ask(l->network, l->client, SETUP_MS, set_up, l);
}

static void close_over(void *ctx)
{
	struct link *l = ctx;

	client_close(l->over);
	l->over = NULL;
}

static void agent_ended(void *ctx, int code, const char *why)
{
	struct link *l = ctx;
	bool was_ready = l->ready;

	if (code != -EPIPE && !l->warned)
		log_warning("%s", why); /* the guest can do so any number of times */
	l->warned |= code != -EPIPE;
	mounts_forget(l->mounts);
	network_forget(l->network);
	client_close(l->over);
	l->over = l->client;
	l->client = NULL;
	reactor_call_run(l->close_call);
	let_in(l, false);
	if (was_ready && l->events.lost)
		l->events.lost(l->ctx);
}

static void accepted(void *ctx, int fd)
{
	static const struct client_events events = { .ready = agent_greeted, .ended = agent_ended };
	struct link *l = ctx;
	struct error err;

	/* Any process of the guest can come to this port. The first is the agent, and an agent that is gone was heard
	 * of. */
	if (l->client) {
		close(fd);
		return;
	}
	if (client_open(l->reactor, fd, &events, l, &l->client, &err)) {
		l->client = NULL;
		log_warning("no link to the agent: %s", err.text);
	}
}

int link_open(struct reactor *reactor, struct vsock *vsock, struct mounts *mounts, struct network *network,
              const struct link_events *events, void *ctx, struct link **out, struct error *err)
{
	struct link *l = calloc(1, sizeof *l);

	if (!l)
		return error_set(err, ENOMEM, "no memory");
	l->reactor = reactor;
	l->vsock = vsock;
	l->mounts = mounts;
	l->network = network;
	l->events = *events;
	l->ctx = ctx;
	l->close_call = reactor_call_add(reactor, close_over, l);
	if (!l->close_call || vsock_serve(vsock, AGENT_PORT, accepted, l)) {
		link_close(l);
		return error_set(err, ENOMEM, "no memory");
	}
	*out = l;
	return 0;
}

void link_close(struct link *l)
{
	if (!l)
		return;
	vsock_serve(l->vsock, AGENT_PORT, NULL, NULL);
	mounts_forget(l->mounts);
	network_forget(l->network);
	client_close(l->client);
	client_close(l->over);
	reactor_call_remove(l->close_call);
	free(l);
}

bool link_is_ready(const struct link *l)
{
	return l->ready;
}

/* Nobody waits for the answer. */
static bool request(struct link *l, enum agent_type type, const void *payload, size_t len)
{
	static const struct client_channel_events nothing = { .data = NULL };

	return l->ready && client_request(l->client, type, payload, len, &nothing, NULL);
}

bool link_power_off(struct link *l, uint32_t grace_ms)
{
	unsigned char payload[8];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_u32(&w, AGENT_POWER_OFF);
	agent_write_u32(&w, grace_ms);
	return request(l, AGENT_SHUTDOWN, payload, w.used);
}

void link_set_clock(struct link *l)
{
	unsigned char payload[8];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	agent_write_u64(&w, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
	request(l, AGENT_CLOCK, payload, w.used);
}
