/* SPDX-License-Identifier: MIT */
/*
 * vsock.c - see vsock.h: the object, from vsock_open() to vsock_close(), and what the rest of the core asks of it.
 *
 * Owns struct vsock. Called by core/vm, core/sandbox and core/control on the main thread.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/vsock/vsock-private.h"

#define OTHER_DESCRIPTORS 512u /* than those of connections */

void vsock_say(struct vsock *v, enum reason reason, const char *fmt, ...)
{
	char text[512];
	va_list args;

	if (v->said & 1u << reason)
		return;
	v->said |= 1u << reason;
	va_start(args, fmt);
	vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	log_warning("vsock: %s", text);
}

/* A connection is a descriptor; the usual soft limit is 1024. */
static void raise_limit(const struct vsock *v)
{
	const rlim_t want = 2 * v->max_connections + OTHER_DESCRIPTORS;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= want)
		return;
	limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
	/* Where it cannot be raised, host.c copes. */
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_debug("vsock: the limit of open files stays: %s", strerror(errno));
}

static int open_ports(struct vsock *v, const struct vsock_setup *setup, struct error *err)
{
	int rc = v->socket ? host_listen(v, NULL, v->socket, err) : 0;

	for (size_t i = 0; rc == 0 && i < setup->n_ports; i++)
		rc = setup->ports[i].mode == VSOCK_LISTEN ? host_listen(v, &setup->ports[i], setup->ports[i].path, err)
		                                          : host_add_target(v, &setup->ports[i], err);
	return rc;
}

int vsock_open(const struct vsock_setup *setup, struct vsock **out, struct error *err)
{
	struct vsock *v = calloc(1, sizeof *v);
	int rc;

	if (!v)
		return error_set(err, ENOMEM, "no memory for the vsock device");
	v->reactor = setup->reactor;
	v->cid = setup->cid;
	v->max_connections = MAX_CONNECTIONS;
	v->answer_ms = ANSWER_MS;
	v->next_port = 1u << 30;
	TAILQ_INIT(&v->control);
	TAILQ_INIT(&v->waiting);
	TAILQ_INIT(&v->deadlines);
	/* Without it, the guest could choose ports that make the table slow. */
	if (getrandom(&v->table_seed, sizeof v->table_seed, GRND_NONBLOCK) < 0)
		v->table_seed = (uint64_t)(uintptr_t)v;
	v->socket = setup->socket ? strdup(setup->socket) : NULL;
	v->deadline_timer = reactor_timer_add(v->reactor, connection_expired, v);
	v->starved_timer = reactor_timer_add(v->reactor, host_fed, v);
	if ((setup->socket && !v->socket) || !v->deadline_timer || !v->starved_timer)
		rc = error_set(err, ENOMEM, "no memory for the vsock device");
	else
		rc = open_ports(v, setup, err);
	if (rc < 0) {
		vsock_close(v);
		return rc;
	}
	raise_limit(v);
	*out = v;
	return 0;
}

void vsock_close(struct vsock *v)
{
	struct service *s;

	if (!v)
		return;
	assert(!v->virtio);
	connection_end_all(v, true);
	host_close(v);
	while ((s = LIST_FIRST(&v->services))) {
		LIST_REMOVE(s, link);
		free(s);
	}
	reactor_timer_remove(v->deadline_timer);
	reactor_timer_remove(v->starved_timer);
	free(v->socket);
	free(v);
}

int vsock_attach(struct vsock *v, const struct virtio_platform *platform, struct error *err)
{
	const struct capsa_setup shape = {
		.struct_size = sizeof shape,
		.features = 1ull << VIRTIO_VSOCK_F_SEQPACKET,
		.n_queues = N_QUEUES,
		.queues = {
			[RX_QUEUE] = { .size = QUEUE_SIZE, .silent = true },
			[TX_QUEUE] = { .size = QUEUE_SIZE },
			[EVENT_QUEUE] = { .size = 16, .silent = true },
		},
		.config_size = sizeof(struct virtio_vsock_config),
	};
	const struct virtio_vsock_config config = { .guest_cid = htole64(v->cid) };
	const struct virtio_setup setup = {
		.name = "vsock",
		.device_id = VIRTIO_ID_VSOCK,
		.class_code = 0x078000, /* communication, other */
		.shape = &shape,
		.config = &config,
		.home = v->reactor,
		.ops = &vsock_ops,
		.ctx = v,
		.told = &v->told,
	};

	assert(!v->virtio);
	return virtio_device_create(platform, &setup, &v->virtio, err);
}

void vsock_detach(struct vsock *v)
{
	virtio_device_destroy(v->virtio);
	v->virtio = NULL;
	assert(!v->active);
}

static struct service *find_service(const struct vsock *v, uint32_t port)
{
	struct service *s;

	LIST_FOREACH(s, &v->services, link)
	if (s->port == port)
		return s;
	return NULL;
}

int vsock_serve(struct vsock *v, uint32_t port, void (*accepted)(void *ctx, int fd), void *ctx)
{
	struct service *s = find_service(v, port);

	if (!accepted) {
		if (s)
			LIST_REMOVE(s, link);
		free(s);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof *s);
		if (!s)
			return -ENOMEM;
		s->port = port;
		LIST_INSERT_HEAD(&v->services, s, link);
	}
	s->accepted = accepted;
	s->ctx = ctx;
	return 0;
}

int vsock_connect(struct vsock *v, uint32_t port)
{
	struct connection *c;
	int fds[2];

	if (!v->active)
		return -ENOTCONN;
	if (v->n_connections >= v->max_connections)
		return -EMFILE;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	turn_begin(v);
	c = connection_request(v, fds[0], VIRTIO_VSOCK_TYPE_STREAM, port);
	turn_end(v);
	if (c)
		return fds[1];
	close(fds[1]);
	return -ENOMEM;
}

void vsock_release(struct vsock *v, uint32_t port, bool held)
{
	struct listener *l;

	LIST_FOREACH(l, &v->listeners, link)
	if (!l->asks && l->port == port)
		l->held = held;
	host_watch(v);
}

void vsock_counters(const struct vsock *v, void (*each)(void *ctx, const char *name, const char *help, uint64_t value),
                    void *ctx)
{
	const struct counters *n = &v->counters;

	each(ctx, "connections_opened", "Connections between guest and host", n->opened);
	each(ctx, "connections_open", "Connections at this moment, with those that begin or end", v->n_connections);
	each(ctx, "connections_refused", "Connections that nobody accepted", n->refused);
	each(ctx, "connections_reset", "Connections that ended with an error", n->reset);
	each(ctx, "connections_expired", "Connections that the guest did not answer", n->expired);
	each(ctx, "rx_bytes", "Bytes that the guest received", n->rx_bytes);
	each(ctx, "tx_bytes", "Bytes that the guest sent", n->tx_bytes);
	each(ctx, "rx_packets", "Packets that the guest received", n->rx_packets);
	each(ctx, "tx_packets", "Packets that the guest sent", n->tx_packets);
	each(ctx, "bad_packets", "Packets of the guest that were dropped", n->bad_packets);
	each(ctx, "credit_violations", "Connections whose guest ignored its credit", n->credit_violations);
	each(ctx, "accept_starved", "Times that host connections had to wait for descriptors or room", n->starved);
}
