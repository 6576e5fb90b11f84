/* SPDX-License-Identifier: MIT */
/*
 * tcp-unacked.h - what a socket has received and the guest has not yet acknowledged: it may be needed again.
 *
 * THEORY OF OPERATION. Two ways, found out at run time. Where the kernel can (SO_PEEK_OFF for TCP, Linux 6.9), bytes
 * stay in the socket: they are peeked straight into guest memory, and thrown away when the guest has acknowledged them.
 * Elsewhere they are received into chunks of ours, in a row, and copied from there. Chunks are given back to a stack,
 * so that those in use are those that the processor's caches still have. Both ways the kernel's own receive buffer is
 * what holds the sender back.
 *
 * Offsets are from the first byte that is not acknowledged. Home loop.
 */
#ifndef CAPSA_NAT_TCP_UNACKED_H
#define CAPSA_NAT_TCP_UNACKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define UNACKED_MOST (1u << 20)      /* bytes of one connection in chunks */
#define UNACKED_MOST_ALL (64u << 20) /* of all; beyond that one has UNACKED_CHUNK_LEAST, so that all go on */
#define UNACKED_CHUNK (64u << 10)    /* with its header */
#define UNACKED_CHUNK_LEAST (4u << 10)
#define UNACKED_KEPT 32u /* chunks that are kept for the next */

struct unacked_chunk;

/* One a network. */
struct unacked_pool {
	bool peeks; /* the kernel can */
	size_t bytes;
	struct unacked_chunk *kept;
	unsigned n_kept;
};

/* Embedded in a connection. Zeroed, then unacked_open(). */
struct unacked {
	struct unacked_chunk *first, *last;
	uint32_t stored; /* bytes in chunks */
	uint32_t at;     /* where the kernel will peek next */
	uint32_t debt;   /* acknowledged, to be thrown away */
	uint32_t guess;  /* how much the next peek will find */
	int error;       /* of the socket, behind what is stored; 0: none */
	bool peeks;
};

/* Looks whether the kernel can, with a connection of its own over loopback. `host` opens its sockets. */
struct capsa_host;
struct capsa_device;
void unacked_pool_open(struct unacked_pool *pool, const struct capsa_host *host, struct capsa_device *dev);
/* All connections are closed. */
void unacked_pool_close(struct unacked_pool *pool);

/* `tcp`: the socket is one of TCP's. */
void unacked_open(struct unacked_pool *pool, struct unacked *u, int fd, bool tcp);
void unacked_close(struct unacked_pool *pool, struct unacked *u);

/*
 * How many bytes there are from `offset` on, `want` at most: those that unacked_put() will find, where the kernel peeks
 * only a guess. 0: the end of data; -EAGAIN: none yet; -ENOBUFS: as much is stored as may be; -errno of the socket.
 * *drained: the socket had no more than that.
 */
ssize_t unacked_look(struct unacked_pool *pool, struct unacked *u, int fd, uint32_t offset, size_t want, bool *drained);
/* Puts them there, n buffers full at most. As above. */
ssize_t unacked_put(struct unacked *u, int fd, uint32_t offset, struct iovec *iov, unsigned n, bool *drained);
/* The guest has acknowledged so many, which had been put. */
void unacked_release(struct unacked_pool *pool, struct unacked *u, uint32_t len);
/* Tells the kernel what was released: once for many acknowledgements. */
void unacked_settle(struct unacked *u, int fd);

#endif
