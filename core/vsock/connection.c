/* SPDX-License-Identifier: MIT */
/*
 * connection.c - a connection's life (virtio 1.2, 5.10.6.6): the table by which a packet finds it, and its states.
 *
 *   host connects ──► REQUESTED ──RESPONSE──┐            ┌──► CLOSING ──RST──┐
 *                         │                 ├──► OPEN ───┤  the host's end    ├──► GONE
 *   guest connects ─────────────────────────┘            │  is finished       │
 *                         └──RST, no answer──────────────┴────────────────────┘
 *                                     RST, or SHUTDOWN of both directions from the guest
 *
 * What a packet means in which state stands in `handlers`. One that may not come there breaks the rules: both ends
 * are told of a reset. A GONE connection is in no table, so the guest may use its ports again; it exists until its
 * RST is sent and the host's peer has taken what the guest sent before.
 *
 * The two directions of an OPEN connection end one by one. To the guest: when the host's peer has shut it down (EOF),
 * or the guest wants no more (SHUTDOWN_RCV). To the host: when the guest sends no more (SHUTDOWN_SEND) and all has been
 * passed on, or the peer takes no more (EPIPE). Once both have, nothing can happen any more and the connection is
 * closed, whatever the host's peer does with its descriptor.
 *
 * Owns struct connection and its descriptor. Called by device.c, transfer.c, host.c, vsock.c within a turn.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/vsock/vsock-private.h"

/* ---- the table ---- */

/* The guest chooses ports, so the place depends on what it does not know. */
static size_t bucket_of(const struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	uint64_t key = ((uint64_t)host_port << 32 | guest_port) ^ v->table_seed;

	key ^= key >> 33;
	key *= v->table_seed | 1;
	key ^= key >> 29;
	key *= 0x9e3779b97f4a7c15ull;
	return (size_t)(key >> (64 - TABLE_BITS));
}

struct connection *connection_find(const struct vsock *v, uint32_t host_port, uint32_t guest_port)
{
	struct connection *c;

	LIST_FOREACH(c, &v->table[bucket_of(v, host_port, guest_port)], bucket)
	if (c->host_port == host_port && c->guest_port == guest_port)
		return c;
	return NULL;
}

/* ---- deadlines: all are as long, so the first to be set is the first to pass ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void deadline_set(struct connection *c)
{
	struct vsock *v = c->vsock;

	c->expires = now_ms() + v->answer_ms;
	if (TAILQ_EMPTY(&v->deadlines))
		reactor_timer_set(v->deadline_timer, v->answer_ms);
	TAILQ_INSERT_TAIL(&v->deadlines, c, deadline);
	c->has_deadline = true;
}

static void deadline_clear(struct connection *c)
{
	if (!c->has_deadline)
		return;
	TAILQ_REMOVE(&c->vsock->deadlines, c, deadline);
	c->has_deadline = false;
	if (TAILQ_EMPTY(&c->vsock->deadlines))
		reactor_timer_set(c->vsock->deadline_timer, -1);
}

void connection_expired(void *ctx)
{
	struct vsock *v = ctx;
	int64_t now = now_ms();
	struct connection *c;

	turn_begin(v);
	while ((c = TAILQ_FIRST(&v->deadlines)) && c->expires <= now) {
		v->counters.expired++;
		connection_end(c, true, false);
	}
	if (c)
		reactor_timer_set(v->deadline_timer, c->expires - now);
	turn_end(v);
}

/* ---- making and unmaking ---- */

struct connection *connection_new(struct vsock *v, int fd, uint16_t type, uint32_t host_port, uint32_t guest_port)
{
	struct connection *c = v->n_connections < v->max_connections ? calloc(1, sizeof *c) : NULL;

	if (!c) {
		if (v->n_connections >= v->max_connections)
			vsock_say(v, REASON_CONNECTIONS, "%u connections at a time are the most; others are refused",
			          v->max_connections);
		close(fd);
		return NULL;
	}
	c->vsock = v;
	c->fd = fd;
	c->type = type;
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->buf_alloc = v->n_connections < FEW_CONNECTIONS ? BUFFER_FEW : BUFFER_MANY;
	/* The kernel takes as much as net.core.wmem_max allows, which it doubles: more than the default. */
	if (v->n_connections < FEW_CONNECTIONS)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){ BUFFER_FEW }, sizeof(int));
	LIST_INSERT_HEAD(&v->table[bucket_of(v, host_port, guest_port)], c, bucket);
	LIST_INSERT_HEAD(&v->connections, c, all);
	v->n_connections++;
	return c;
}

struct connection *connection_request(struct vsock *v, int fd, uint16_t type, uint32_t port)
{
	struct connection *c;

	/* There are fewer connections than ports, so this ends. */
	do
		v->next_port = v->next_port == UINT32_MAX - 1 ? 1u << 30 : v->next_port + 1;
	while (connection_find(v, v->next_port, port));
	c = connection_new(v, fd, type, v->next_port, port);
	if (!c)
		return NULL;
	c->state = CONNECTION_REQUESTED;
	deadline_set(c);
	device_send_control(c, PENDING_REQUEST);
	return c;
}

static void waiting_remove(struct connection *c)
{
	if (c->is_waiting)
		TAILQ_REMOVE(&c->vsock->waiting, c, waiting);
	c->is_waiting = false;
}

static void close_host(struct connection *c)
{
	reactor_watch_remove(c->watch);
	c->watch = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	transfer_drop_held(c, false);
	backlog_free(&c->backlog);
	free(c->message);
	c->message = NULL;
	waiting_remove(c);
}

void connection_bury(struct connection *c)
{
	if (c->is_dead || c->state != CONNECTION_GONE || c->pending || c->fd >= 0)
		return;
	c->is_dead = true;
	SLIST_INSERT_HEAD(&c->vsock->dead, c, dead);
}

void connection_free_dead(struct vsock *v)
{
	struct connection *c;
	bool any = false;

	while ((c = SLIST_FIRST(&v->dead))) {
		SLIST_REMOVE_HEAD(&v->dead, dead);
		LIST_REMOVE(c, all);
		v->n_connections--;
		free(c);
		any = true;
	}
	if (any && v->starved)
		host_fed(v);
}

void connection_end(struct connection *c, bool tell, bool drain)
{
	assert(c->state != CONNECTION_GONE);
	deadline_clear(c);
	LIST_REMOVE(c, bucket);
	c->state = CONNECTION_GONE;
	device_forget_control(c);
	if (tell && c->vsock->active)
		device_send_control(c, PENDING_RST);
	waiting_remove(c);
	/* The guest may have its memory back. */
	transfer_drop_held(c, drain && c->vsock->active);
	if (!drain || c->host_deaf || !transfer_has_kept(c))
		close_host(c);
	else
		connection_update(c);
	connection_bury(c);
}

void connection_reset(struct connection *c)
{
	if (c->state == CONNECTION_GONE) {
		/* The guest has had its answer: only bytes for the host were left. */
		close_host(c);
		connection_bury(c);
		return;
	}
	c->vsock->counters.reset++;
	connection_end(c, true, false);
}

void connection_end_all(struct vsock *v, bool for_good)
{
	struct connection *c, *next;

	for (c = LIST_FIRST(&v->connections); c; c = next) {
		next = LIST_NEXT(c, all);
		if (c->state != CONNECTION_GONE) {
			connection_end(c, false, false);
			continue;
		}
		device_forget_control(c);
		if (for_good)
			close_host(c);
		connection_bury(c);
	}
	connection_free_dead(v);
}

/* ---- the two directions ---- */

static void close_both(struct connection *c)
{
	close_host(c);
	c->state = CONNECTION_CLOSING;
	c->told_shutdown = SHUTDOWN_BOTH;
	deadline_set(c);
	device_send_control(c, PENDING_SHUTDOWN);
}

void connection_update(struct connection *c)
{
	const bool to_host = transfer_has_kept(c), open = c->state == CONNECTION_OPEN;
	unsigned events = 0, tell = c->told_shutdown;
	int rc = 0;

	if (open) {
		bool in_done = c->host_eof || (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV);
		bool out_done = c->host_deaf || ((c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND) && !to_host);

		if (in_done && out_done) {
			close_both(c);
			return;
		}
		if (!in_done && !c->no_credit && !c->is_waiting)
			events |= REACTOR_READ;
		if (c->host_eof)
			tell |= VIRTIO_VSOCK_SHUTDOWN_SEND;
		if (c->host_deaf)
			tell |= VIRTIO_VSOCK_SHUTDOWN_RCV;
		if (tell != c->told_shutdown) {
			c->told_shutdown = tell;
			device_send_control(c, PENDING_SHUTDOWN);
		}
	}
	if (to_host && (open || c->state == CONNECTION_GONE))
		events |= REACTOR_WRITE;
	if (c->fd < 0)
		return;
	if (c->watch)
		rc = reactor_watch_set(c->watch, events);
	else if (events)
		c->watch = reactor_watch_add(c->vsock->reactor, c->fd, events, transfer_watched, c);
	if (rc < 0 || (events && !c->watch)) {
		vsock_say(c->vsock, REASON_MEMORY, "no memory to wait for a connection, which is reset");
		connection_reset(c);
	}
}

/* ---- packets ---- */

/* Returns whether the request was kept. */
typedef bool packet_handler(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request);

/* What may not come in this state. */
static bool on_violation(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	(void)request;
	vsock_say(c->vsock, REASON_STATE,
	          "the guest sent a packet (operation %u) that its connection may not have; it is reset", h->op);
	connection_reset(c);
	return false;
}

static bool on_accepted(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	(void)h;
	(void)request;
	deadline_clear(c);
	c->state = CONNECTION_OPEN;
	c->vsock->counters.opened++;
	if (c->says_ok && !host_say_ok(c))
		connection_end(c, true, false); /* it has gone already */
	else
		connection_update(c);
	return false;
}

static bool on_rst(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	(void)h;
	(void)request;
	if (c->state == CONNECTION_REQUESTED)
		c->vsock->counters.refused++;
	connection_end(c, false, true);
	return false;
}

static bool on_shutdown(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	const unsigned added = h->flags & SHUTDOWN_BOTH & ~c->guest_shutdown;

	(void)request;
	c->guest_shutdown |= added;
	if (c->guest_shutdown == SHUTDOWN_BOTH) {
		connection_end(c, true, true);
		return false;
	}
	if ((added & VIRTIO_VSOCK_SHUTDOWN_SEND) && !transfer_has_kept(c))
		shutdown(c->fd, SHUT_WR);
	if (added & VIRTIO_VSOCK_SHUTDOWN_RCV)
		shutdown(c->fd, SHUT_RD);
	connection_update(c);
	return false;
}

static bool on_closing_shutdown(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	(void)request;
	c->guest_shutdown |= h->flags & SHUTDOWN_BOTH;
	if (c->guest_shutdown == SHUTDOWN_BOTH)
		connection_end(c, true, false);
	return false;
}

static bool on_data(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	if (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND)
		return on_violation(c, h, request);
	return transfer_packet(c, request, h->len, h->flags);
}

/* Sent before the guest knew. */
static bool on_late_data(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	(void)request;
	transfer_done(c, h->len);
	return false;
}

static bool on_credit(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	(void)c; /* each packet has the numbers: connection_packet() */
	(void)h;
	(void)request;
	return false;
}

static bool on_credit_request(struct connection *c, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	(void)h;
	(void)request;
	device_send_control(c, PENDING_CREDIT_UPDATE);
	return false;
}

static packet_handler *const handlers[][VIRTIO_VSOCK_OP_CREDIT_REQUEST + 1] = {
	[CONNECTION_REQUESTED] = {
		[VIRTIO_VSOCK_OP_INVALID] = on_violation,
		[VIRTIO_VSOCK_OP_REQUEST] = on_violation,
		[VIRTIO_VSOCK_OP_RESPONSE] = on_accepted,
		[VIRTIO_VSOCK_OP_RST] = on_rst,
		[VIRTIO_VSOCK_OP_SHUTDOWN] = on_violation,
		[VIRTIO_VSOCK_OP_RW] = on_violation,
		[VIRTIO_VSOCK_OP_CREDIT_UPDATE] = on_violation,
		[VIRTIO_VSOCK_OP_CREDIT_REQUEST] = on_violation,
	},
	[CONNECTION_OPEN] = {
		[VIRTIO_VSOCK_OP_INVALID] = on_violation,
		[VIRTIO_VSOCK_OP_REQUEST] = on_violation,
		[VIRTIO_VSOCK_OP_RESPONSE] = on_violation,
		[VIRTIO_VSOCK_OP_RST] = on_rst,
		[VIRTIO_VSOCK_OP_SHUTDOWN] = on_shutdown,
		[VIRTIO_VSOCK_OP_RW] = on_data,
		[VIRTIO_VSOCK_OP_CREDIT_UPDATE] = on_credit,
		[VIRTIO_VSOCK_OP_CREDIT_REQUEST] = on_credit_request,
	},
	[CONNECTION_CLOSING] = {
		[VIRTIO_VSOCK_OP_INVALID] = on_violation,
		[VIRTIO_VSOCK_OP_REQUEST] = on_violation, /* connection_packet() takes it for a new one */
		[VIRTIO_VSOCK_OP_RESPONSE] = on_violation,
		[VIRTIO_VSOCK_OP_RST] = on_rst,
		[VIRTIO_VSOCK_OP_SHUTDOWN] = on_closing_shutdown,
		[VIRTIO_VSOCK_OP_RW] = on_late_data,
		[VIRTIO_VSOCK_OP_CREDIT_UPDATE] = on_credit,
		[VIRTIO_VSOCK_OP_CREDIT_REQUEST] = on_credit_request,
	},
};

static void take_credit(struct connection *c, const struct virtio_vsock_hdr *h)
{
	c->peer_buf_alloc = h->buf_alloc;
	c->peer_fwd_cnt = h->fwd_cnt;
	if (!c->no_credit || c->state != CONNECTION_OPEN)
		return;
	/* It waits for buffers from here on, first come first served. */
	c->no_credit = false;
	if (!c->is_waiting) {
		c->is_waiting = true;
		TAILQ_INSERT_TAIL(&c->vsock->waiting, c, waiting);
	}
}

/* A guest connects. Where nobody is reached, it gets a reset. */
static bool accept_guest(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	const struct service *service = NULL;
	struct connection *c;
	int fd, other = -1;

	if (v->n_connections >= v->max_connections) {
		vsock_say(v, REASON_CONNECTIONS, "%u connections at a time are the most; others are refused",
		          v->max_connections);
		return false;
	}
	fd = host_reach(v, h->dst_port, h->type, &service, &other);
	if (fd < 0)
		return false;
	c = connection_new(v, fd, h->type, h->dst_port, h->src_port);
	if (!c) {
		if (other >= 0)
			close(other);
		return false;
	}
	c->state = CONNECTION_OPEN;
	v->counters.opened++;
	c->peer_buf_alloc = h->buf_alloc;
	c->peer_fwd_cnt = h->fwd_cnt;
	device_send_control(c, PENDING_RESPONSE);
	connection_update(c);
	if (service)
		service->accepted(service->ctx, other);
	return true;
}

static void send_lone_reset(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	struct lone_reset *reset = &v->resets[(v->first_reset + v->n_resets) % MAX_LONE_RESETS];

	assert(v->n_resets < MAX_LONE_RESETS);
	v->n_resets++;
	*reset = (struct lone_reset){
		.host_cid = h->dst_cid, .host_port = h->dst_port, .guest_port = h->src_port, .type = h->type
	};
}

bool connection_packet(struct vsock *v, const struct virtio_vsock_hdr *h, struct capsa_request *request)
{
	const bool typed = h->type == VIRTIO_VSOCK_TYPE_STREAM ||
	                   (h->type == VIRTIO_VSOCK_TYPE_SEQPACKET && (v->features >> VIRTIO_VSOCK_F_SEQPACKET & 1));
	struct connection *c = h->dst_cid == VMADDR_CID_HOST ? connection_find(v, h->dst_port, h->src_port) : NULL;

	if (c && h->op == VIRTIO_VSOCK_OP_REQUEST && c->state == CONNECTION_CLOSING) {
		connection_end(c, false, false);
		c = NULL;
	}
	if (c && (c->type != h->type || h->op > VIRTIO_VSOCK_OP_CREDIT_REQUEST))
		return on_violation(c, h, request);
	if (c) {
		take_credit(c, h);
		return handlers[c->state][h->op](c, h, request);
	}
	if (h->op == VIRTIO_VSOCK_OP_RST)
		return false;
	if (h->op == VIRTIO_VSOCK_OP_REQUEST && typed && h->dst_cid == VMADDR_CID_HOST) {
		if (accept_guest(v, h))
			return false;
		v->counters.refused++;
	}
	send_lone_reset(v, h);
	return false;
}
