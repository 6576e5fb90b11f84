/* SPDX-License-Identifier: MIT */
/*
 * vsock-private.h - struct vsock and its connections, for the files of this room.
 *
 * A TURN is one call from outside (a queue's handler, a watch, a timer, a public function). It begins with turn_begin()
 * and ends with turn_end(), which sends what waits for the guest, shows completions once, and frees the connections
 * that ended: until then a connection that has ended is still memory, in state CONNECTION_GONE.
 *
 * DIRECTIONS are the guest's, as in the specification: it transmits (tx) to the host and receives (rx) from it.
 */
#ifndef CAPSA_VSOCK_PRIVATE_H
#define CAPSA_VSOCK_PRIVATE_H

#include <linux/virtio_vsock.h>
#include <linux/vm_sockets.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "core/vsock/backlog.h"
#include "core/vsock/vsock.h"

/* virtio 1.2, 5.10.2 */
enum { RX_QUEUE, TX_QUEUE, EVENT_QUEUE, N_QUEUES };

#define QUEUE_SIZE 256u
#define HEADER_SIZE sizeof(struct virtio_vsock_hdr)
#define MAX_CONNECTIONS 8192u /* of all states, with the clients that still say where they want to */
#define MAX_LONE_RESETS 128u  /* for packets that belong to no connection; when so many wait, no more are taken */
#define TABLE_BITS 12u
#define TURN_REQUESTS 64u           /* of the guest, then others have their turn */
#define TURN_BYTES (1u << 20)       /* as well */
#define CONNECTION_BYTES (1u << 18) /* of one connection to the guest, at a time */
#define MAX_PACKET (1u << 16)       /* payload; what Linux sends at most, too */
#define MAX_MESSAGE (1u << 20)      /* of a SOCK_SEQPACKET */
/*
 * What a guest may send on a connection before the host's peer has taken it, hence what may have to be kept: less where
 * there are many.
 */
#define BUFFER_FEW (512u << 10)
#define BUFFER_MANY (128u << 10)
#define FEW_CONNECTIONS 256u
#define ANSWER_MS 8000 /* for a guest to answer REQUEST, or SHUTDOWN with RST (as Linux) */
#define STARVED_MS 1000

enum connection_state {
	CONNECTION_REQUESTED, /* the host wants to connect; REQUEST is sent, or about to be. Has a deadline */
	CONNECTION_OPEN,
	CONNECTION_CLOSING, /* the host's end is closed, SHUTDOWN says so; RST is to come. Has a deadline */
	CONNECTION_GONE, /* over for the guest, in no table; may have an RST to send and bytes to bring to the host */
};

/* Packets without payload that wait for a buffer of the guest, bits of connection.pending; sent in this order. */
enum {
	PENDING_REQUEST = 1,
	PENDING_RESPONSE = 2,
	PENDING_CREDIT_UPDATE = 4,
	PENDING_SHUTDOWN = 8,
	PENDING_RST = 16,
};

#define SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

#define MAX_HELD 8u /* requests of a connection; and all together at most half a queue */

/* A packet of the guest that its socket has not taken to the end: it stays in the guest's memory. */
struct held {
	struct capsa_request *request;
	size_t at, end; /* what is left, in its readable bytes */
};

struct connection {
	struct vsock *vsock;
	LIST_ENTRY(connection) bucket; /* of the table, unless GONE */
	LIST_ENTRY(connection) all;
	TAILQ_ENTRY(connection) control; /* while pending != 0 */
	TAILQ_ENTRY(connection) waiting; /* for buffers of the guest */
	TAILQ_ENTRY(connection) deadline;
	SLIST_ENTRY(connection) dead;
	bool is_waiting, has_deadline, is_dead;

	enum connection_state state;
	uint32_t host_port, guest_port;
	uint16_t type; /* VIRTIO_VSOCK_TYPE_* */
	unsigned pending;
	unsigned guest_shutdown; /* VIRTIO_VSOCK_SHUTDOWN_*, what the guest said */
	unsigned told_shutdown;  /* what it was told */
	int64_t expires;         /* milliseconds of CLOCK_MONOTONIC */

	int fd; /* the host's end; -1: closed */
	struct reactor_watch *watch;
	bool says_ok; /* the peer wrote CONNECT and waits for OK */

	/* From the guest. Counters of bytes wrap as those of the specification do (5.10.6.3). */
	uint32_t buf_alloc, fwd_cnt, told_fwd_cnt;
	struct held held[MAX_HELD]; /* what the host's peer has not taken yet: first these, */
	unsigned n_held;
	size_t held_bytes;
	struct backlog backlog; /* then this */
	bool host_deaf;         /* the peer takes no more: the rest is dropped */

	/* To the guest. */
	uint32_t tx_cnt, peer_buf_alloc, peer_fwd_cnt;
	bool host_eof;          /* the peer sends no more */
	bool no_credit;         /* the guest's buffer is full: CREDIT_UPDATE is to come */
	unsigned char *message; /* SOCK_SEQPACKET: what was read and not all sent */
	size_t message_len, message_sent;
	bool message_is_record;
};

/* A reset for a packet that belongs to no connection. */
struct lone_reset {
	uint64_t host_cid;
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct listener {
	struct vsock *vsock;
	LIST_ENTRY(listener) link;
	char *path;
	int fd;
	dev_t dev; /* of the socket's file, to unlink no other */
	ino_t ino;
	struct reactor_watch *watch;
	bool asks; /* CONNECT <port> comes first */
	bool held;
	bool seqpacket;
	uint32_t port;
};

/* VSOCK_CONNECT. */
struct target {
	LIST_ENTRY(target) link;
	uint32_t port;
	char *path;
};

/* vsock_serve(). */
struct service {
	LIST_ENTRY(service) link;
	uint32_t port;
	void (*accepted)(void *ctx, int fd);
	void *ctx;
};

/* Who connected to the socket and has not said CONNECT <port> yet. */
struct client {
	struct vsock *vsock;
	LIST_ENTRY(client) link;
	int fd;
	struct reactor_watch *watch;
	char line[32];
	size_t len;
};

/* What is logged once. */
enum reason {
	REASON_PACKET,
	REASON_CREDIT,
	REASON_STATE,
	REASON_CONNECTIONS,
	REASON_DESCRIPTORS,
	REASON_MEMORY,
	REASON_MESSAGE,
	REASON_BUSY,
};

struct counters {
	uint64_t opened, refused, reset, expired, rx_bytes, tx_bytes, rx_packets, tx_packets, bad_packets,
		credit_violations, starved;
};

struct vsock {
	struct reactor *reactor;
	uint64_t cid;
	char *socket; /* NULL: none */
	struct virtio_device *virtio;
	struct virtio_told told;
	unsigned said; /* bits of enum reason */
	bool active;
	uint64_t features;
	unsigned turns; /* nested: the outermost counts */

	LIST_HEAD(, listener) listeners;
	LIST_HEAD(, target) targets;
	LIST_HEAD(, service) services;
	LIST_HEAD(, client) clients;
	LIST_HEAD(, connection) connections;
	unsigned n_connections; /* and clients */
	unsigned max_connections;
	LIST_HEAD(, connection) table[1u << TABLE_BITS];
	uint64_t table_seed;
	uint32_t next_port; /* for the host's ends */
	TAILQ_HEAD(connection_queue, connection) control, waiting, deadlines;
	SLIST_HEAD(, connection) dead;
	struct reactor_timer *deadline_timer;
	int answer_ms;

	struct lone_reset resets[MAX_LONE_RESETS];
	unsigned first_reset, n_resets;
	bool tx_stopped; /* until there is room in `resets` */

	/* Buffers of the guest that were popped and not used yet: a ring. */
	struct capsa_request *spare[QUEUE_SIZE];
	unsigned first_spare, n_spare;
	bool rx_waits; /* virtio_queue_wait() is under way */
	bool rx_used;  /* completions that the guest has not been shown */
	bool tx_used;  /* as well, outside of the queue's handler */
	unsigned n_held;

	bool starved; /* no descriptors, or too many connections: nothing is accepted */
	struct reactor_timer *starved_timer;
	struct counters counters;
};

/* vsock.c: a line for the user, once a reason. */
__attribute__((format(printf, 3, 4))) void vsock_say(struct vsock *vsock, enum reason reason, const char *fmt, ...);

/* device.c */
extern const struct virtio_ops vsock_ops;
void turn_begin(struct vsock *vsock);
void turn_end(struct vsock *vsock);
/* Sends a packet without payload as soon as there is a buffer. */
void device_send_control(struct connection *c, unsigned pending);
void device_forget_control(struct connection *c);
/* A request that was kept is done with. */
void device_complete_held(struct vsock *vsock, struct capsa_request *request);
/* At least one and at most `want` of the guest's buffers in vsock->spare; how many. 0: it has none. */
unsigned device_buffers(struct vsock *vsock, unsigned want);
struct capsa_request *device_spare(const struct vsock *vsock, unsigned index);
/* Completes the first of them: a packet of `len` bytes, which are in place behind the header, is the guest's. */
void device_send_payload(struct connection *c, uint32_t len, uint32_t flags);

/* connection.c. All within a turn. */
struct connection *connection_find(const struct vsock *vsock, uint32_t host_port, uint32_t guest_port);
/* Takes fd in either case; NULL: too many, or no memory. */
struct connection *connection_new(struct vsock *vsock, int fd, uint16_t type, uint32_t host_port, uint32_t guest_port);
/* The host's wish for a connection to the guest's `port`. Takes fd. NULL as above. */
struct connection *connection_request(struct vsock *vsock, int fd, uint16_t type, uint32_t port);
/*
 * A packet of the guest, for a connection or none. `request` has `h->len` bytes of payload behind the header. Returns
 * whether it was kept: it is completed later.
 */
bool connection_packet(struct vsock *vsock, const struct virtio_vsock_hdr *h, struct capsa_request *request);
/* Over for the guest: with a reset that tells it, or without. `drain`: what it has sent still goes to the host. */
void connection_end(struct connection *c, bool tell, bool drain);
/* The same for one that broke the rules, or for which there is no memory. */
void connection_reset(struct connection *c);
/* Looks whether both directions are finished, and watches what there is to wait for. */
void connection_update(struct connection *c);
/* Nothing is left to do for a connection that is gone: it is freed at the end of the turn. */
void connection_bury(struct connection *c);
void connection_free_dead(struct vsock *vsock);
/* All of them, as the device is reset; `for_good`: those that still bring bytes to the host, too. */
void connection_end_all(struct vsock *vsock, bool for_good);
void connection_expired(void *ctx);

/* transfer.c */
enum pump_result {
	PUMP_DRY,        /* nothing more to read */
	PUMP_MORE,       /* the budget is used */
	PUMP_NO_BUFFERS, /* of the guest */
	PUMP_STOPPED,    /* no credit, or the connection ended, or the peer's end */
};
/* Host to guest: what the peer has written, CONNECTION_BYTES at most. */
enum pump_result transfer_pump(struct connection *c);
/* Guest to host. Returns whether the request was kept: it is completed later. */
bool transfer_packet(struct connection *c, struct capsa_request *request, uint32_t len, uint32_t flags);
/* Forgets what is kept; `copy`: moves it from the guest's memory to the backlog first, where there is memory for it. */
void transfer_drop_held(struct connection *c, bool copy);
/* Whether there is something kept that could be sent now: of messages, a complete one. */
bool transfer_has_kept(const struct connection *c);
/* The peer takes again. */
void transfer_backlog(struct connection *c);
/* So many bytes of the guest are done with: tells it when it is time. */
void transfer_done(struct connection *c, uint32_t len);
void transfer_watched(void *ctx, int fd, unsigned events);

/* host.c: the host's sockets. */
int host_listen(struct vsock *vsock, const struct vsock_port *port, const char *path, struct error *err);
int host_add_target(struct vsock *vsock, const struct vsock_port *port, struct error *err);
void host_close(struct vsock *vsock);
/* Clients that have not said where they want to. */
void host_drop_clients(struct vsock *vsock);
/*
 * The host's end for a guest's connection to `port`: a descriptor, or -errno. *service: whom *other, the other end, is
 * for; NULL where there is none.
 */
int host_reach(struct vsock *vsock, uint32_t port, uint16_t type, const struct service **service, int *other);
/* Writes "OK <host port>" to who asked for the connection; false: gone. */
bool host_say_ok(const struct connection *c);
/* No descriptors, or no room for connections: nothing is accepted until host_fed(). */
void host_starved(struct vsock *vsock);
void host_fed(void *ctx);
/* Watches each listener as it should be. */
void host_watch(struct vsock *vsock);

#endif
