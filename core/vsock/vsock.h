/* SPDX-License-Identifier: MIT */
/*
 * vsock.h - the virtio socket device and its host side (virtio 1.2, 5.10): stream and seqpacket sockets between the
 * guest and UNIX sockets of the host, or the core itself. No vhost module.
 *
 * HOST TO GUEST. Whoever connects to `socket` writes "CONNECT <port>\n" and reads "OK <host port>\n"; from then on it
 * is the guest's port. Refused: the connection is closed. A port of mode VSOCK_LISTEN needs no such words: each
 * connection to its path is one to the guest's port.
 *
 * GUEST TO HOST. A guest's connection to CID 2, port P goes to the first of: what vsock_serve() said of P, a port of
 * mode VSOCK_CONNECT, the UNIX socket `<socket>_P`. Nobody there: the guest gets a reset. The socket's type is that of
 * the guest's (SOCK_STREAM or SOCK_SEQPACKET).
 *
 * All on the main thread; the device's home loop is `reactor`. The object outlives machines: it is attached to each.
 */
#ifndef CAPSA_VSOCK_VSOCK_H
#define CAPSA_VSOCK_VSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/virtio/virtio.h"

struct vsock;

enum vsock_mode {
	VSOCK_LISTEN,  /* capsa listens at `path`; its connections go to the guest's `port` */
	VSOCK_CONNECT, /* the guest's connections to the host's `port` go to the socket at `path` */
};

struct vsock_port {
	uint32_t port;
	const char *path;
	enum vsock_mode mode;
	bool seqpacket; /* VSOCK_LISTEN: the type of the socket at `path` */
	bool held;      /* VSOCK_LISTEN: connections wait in the backlog until vsock_release() */
};

struct vsock_setup {
	struct reactor *reactor;
	uint64_t cid;       /* the guest's, 3.. */
	const char *socket; /* path, or NULL: none; copied, as all below */
	const struct vsock_port *ports;
	size_t n_ports;
};

/*
 * Binds the host's sockets (0600; a stale one, which nobody listens to, is replaced; -EADDRINUSE with err where
 * somebody does, or where a file that is no socket is in the way). 0 or -errno with err.
 */
int vsock_open(const struct vsock_setup *setup, struct vsock **out, struct error *err);
/* Unlinks what it bound. Detached. NULL is fine. */
void vsock_close(struct vsock *vsock);

/* Puts the device on a machine's bus; takes it off again: every connection has ended then. As virtio_device_create().
 */
int vsock_attach(struct vsock *vsock, const struct virtio_platform *platform, struct error *err);
void vsock_detach(struct vsock *vsock);

/*
 * Hands each stream connection of the guest to the host's `port` to accepted(), as the other end of a socket pair: a
 * non-blocking descriptor that is the callee's from then on. NULL: no longer. 0 or -errno.
 */
int vsock_serve(struct vsock *vsock, uint32_t port, void (*accepted)(void *ctx, int fd), void *ctx);
/* A new connection to the guest's `port`, as such a descriptor: it is reset (EOF) where nobody listens. -errno. */
int vsock_connect(struct vsock *vsock, uint32_t port);
/* Lets connections to the held VSOCK_LISTEN port in; or holds those that come from now on. */
void vsock_release(struct vsock *vsock, uint32_t port, bool held);

/* Calls `each` for every counter ("connections_opened", "rx_bytes", ...), for /metrics. */
void vsock_counters(const struct vsock *vsock,
                    void (*each)(void *ctx, const char *name, const char *help, uint64_t value), void *ctx);

#endif
