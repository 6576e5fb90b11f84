/* SPDX-License-Identifier: MIT */
/*
 * sockets.h - readiness of very many sockets, and the door through which they are opened.
 *
 * THEORY OF OPERATION. One epoll instance of the plugin's, itself watched by the host's loop. Sockets are added once,
 * edge triggered, for both directions, and never changed: a flow that cannot go on (no receive buffers, window closed)
 * remembers that it is readable or writable and goes on by itself. So a flow costs one epoll_ctl in its life, where a
 * level-triggered watch would cost two each time that it pauses. Handlers work within a budget; who has more says
 * sockets_again().
 *
 * Home loop.
 */
#ifndef CAPSA_NAT_SOCKETS_H
#define CAPSA_NAT_SOCKETS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "capsa-plugin.h"

struct sockets;

/* Embedded in what owns a descriptor. Zeroed: not added. */
struct socket_source {
	void (*ready)(struct socket_source *source,
	              uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR */
	int fd;
	bool input_only; /* no EPOLLOUT: who sends datagrams does not wait for room */
	bool again;      /* sockets.c's, as the next */
	uint32_t again_events;
	TAILQ_ENTRY(socket_source) link;
};

/* What runs around each batch of ready(): the places for timeouts_refresh() and nic_flush(). */
struct sockets_batch {
	void (*begin)(void *ctx), (*end)(void *ctx);
};
int sockets_new(const struct capsa_host *host, struct capsa_device *dev, const struct sockets_batch *batch, void *ctx,
                struct sockets **out);
void sockets_free(struct sockets *sockets);
/* host->socket_open() within the limit of descriptors: -EMFILE where the machine's share is used up. */
int sockets_open(struct sockets *sockets, int domain, int type, int protocol);
/* Watches source->fd from now on. -errno: it is not watched. */
int sockets_add(struct sockets *sockets, struct socket_source *source);
/* No ready() after this, even where its event has been fetched already. The descriptor stays open. */
void sockets_remove(struct sockets *sockets, struct socket_source *source);
/* Removes and closes; source->fd becomes -1. Fine where it is -1 or not added. */
void sockets_close(struct sockets *sockets, struct socket_source *source);
/* Counts a descriptor that came by accept4(2) as ours; -EMFILE (close it) where there are too many. */
int sockets_adopt(struct sockets *sockets, int fd);
/* Calls ready(source, events) again behind the others: the handler has used its budget. */
void sockets_again(struct sockets *sockets, struct socket_source *source, uint32_t events);
unsigned sockets_count(const struct sockets *sockets);
/* How many there may be now; and which hard limit of the process (RLIMIT_NOFILE) there may be `n` with. */
unsigned sockets_most(const struct sockets *sockets);
unsigned long sockets_limit_for(unsigned n);

#endif
