/* SPDX-License-Identifier: MIT */
/*
 * tcp-flow.h - a connection, and what the rooms of TCP ask of each other. Only for tcp*.c.
 *
 *     tcp.c           segments to their connections; lists of connections that have something to do
 *     tcp-open.c      how they begin: connect(2), published ports, the handshake
 *     tcp-end.c       how they end
 *     tcp-state.h     which event is legal when
 *     tcp-segment.h   headers in and out
 *     tcp-receive.c   from the guest: acceptance, acknowledgements, text, the window that is offered
 *     tcp-transmit.c  to the guest: data, FIN, retransmission
 *     tcp-unacked.h   what the guest has not acknowledged
 *     tcp-ahead.c     what came from the guest before its turn
 *     tcp-kept.c      what was taken from the guest and waits: for room, for a name
 *
 * Names of variables are the RFC's in words: SND.UNA is send_first, SND.NXT send_next, RCV.NXT receive_next, and
 * RCV.NXT + RCV.WND receive_edge. Sequence numbers are compared by their differences as int32_t.
 *
 * ENDING. A function that may end its connection says so by returning false: it is freed then.
 */
#ifndef CAPSA_NAT_TCP_FLOW_H
#define CAPSA_NAT_TCP_FLOW_H

#include <sys/queue.h>

#include "plugins/net/hash.h"
#include "plugins/net-nat/tcp.h"
#include "plugins/net-nat/tcp-segment.h"
#include "plugins/net-nat/tcp-state.h"
#include "plugins/net-nat/tcp-unacked.h"

#define TCP_BUDGET (1u << 20)      /* bytes to the guest on one connection before others have their turn */
#define TCP_TURNS 64u              /* connections out of a line before other handlers have theirs */
#define TCP_WINDOW_MOST (4u << 20) /* bytes offered to the guest at most */
#define TCP_KEPT_MOST (64u << 20)  /* bytes of the guest's that are kept for all connections */
#define TCP_SCALE 7u               /* of windows that we offer (RFC 7323): 64 KiB << 7 */
#define TCP_RTO_LEAST 200u         /* ms; more than a delayed acknowledgement takes */
#define TCP_RTO_FIRST 1000u        /* before anything was measured (RFC 6298, 2.1) */
#define TCP_RTO_MOST 60000u
#define TCP_RETRIES_SYN 6u           /* 63 s in all */
#define TCP_RETRIES 15u              /* about 10 minutes */
#define TCP_CONNECT_PATIENCE 180000u /* ms; the host's kernel gives up before */
#define TCP_KEEPALIVE 7200000u       /* ms of silence until the guest is asked whether it is still there */
#define TCP_KEEPALIVE_RETRY 75000u
#define TCP_KEEPALIVE_RETRIES 9u

/* What a connection waits for, in a line of its like. */
enum tcp_list {
	TCP_LIST_NONE,
	TCP_LIST_TOKENS, /* for rate.h */
	TCP_LIST_ROOM,   /* for receive buffers of the guest's: a line for each pair, from here on */
	TCP_LISTS = TCP_LIST_ROOM + NIC_PAIRS_MAX,
};

enum tcp_timer { TCP_TIMER_NONE, TCP_TIMER_RETRANSMIT, TCP_TIMER_PROBE, TCP_TIMER_KEEPALIVE };

struct tcp_ahead; /* tcp-ahead.c's */
struct tcp_kept;  /* tcp-kept.c's */

struct tcp_flow {
	struct flow flow; /* first */
	TAILQ_ENTRY(tcp_flow) link;       /* of the line that `list` names */
	TAILQ_ENTRY(tcp_flow) dirty_link; /* of those that have something to do when the batch ends */
	struct unacked unacked;
	struct tcp_kept *kept;   /* NULL: nothing */
	struct tcp_ahead *ahead; /* NULL: nothing */
	char *name;              /* that check_names has found; NULL: it was not asked for one, or has none yet */

	/* From the guest. */
	uint32_t receive_first; /* the guest's initial sequence number */
	uint32_t receive_next, receive_edge;
	uint32_t receive_full; /* how much was offered when the socket was looked at last */

	/* To the guest. */
	uint32_t send_first, send_next;
	uint32_t recover;                                 /* send_next when something was found lost */
	uint32_t window, window_most;                     /* as the guest offers it, and the most of all */
	uint32_t window_sequence, window_acknowledgement; /* SND.WL1, SND.WL2 */
	uint32_t timed, timed_at;                         /* what a round trip is measured by; ms */
	uint32_t rto, smooth, variance;                   /* ms, ms*8, ms*4 (RFC 6298) */
	uint16_t mss;                                     /* of segments to the guest */
	uint8_t guest_scale, scale;                       /* shifts of its windows and ours */
	uint8_t state;                                    /* enum tcp_state */
	uint8_t list;                                     /* enum tcp_list; TCP_LIST_ROOM + pair */
	uint8_t timer;                                    /* enum tcp_timer: what the time-out is set for */
	uint8_t duplicates;                               /* acknowledgements that said nothing new */
	uint8_t retries;
	bool sack : 1;     /* both know selective acknowledgements (RFC 2018) */
	bool readable : 1; /* the socket may have more */
	bool drain : 1;    /* and a short read does not mean that it has not: its end or an error is there */
	bool at_end : 1;   /* its end has been read */
	bool waiting : 1;  /* it is about to be full: no more is offered before EPOLLOUT, which will come */
	bool shut_due : 1; /* the guest's FIN has been taken, the socket shall have it behind what is kept */
	bool ack_due : 1;
	bool fin_due : 1;    /* ours */
	bool reset_due : 1;  /* closed, but for a RST that has found no room yet */
	bool timing : 1;     /* timed, timed_at */
	bool recovering : 1; /* until `recover` is acknowledged */
	bool connected : 1;  /* the socket is */
	bool dirty : 1;
	bool outer : 1;      /* beside `name` there may be another one (name-check.h) */
};

TAILQ_HEAD(tcp_flow_list, tcp_flow);

struct tcp {
	struct nat *nat;
	struct hash_secret secret;
	struct unacked_pool pool;
	size_t kept_bytes; /* of tcp-kept.c and tcp-ahead.c, of all connections */
	struct tcp_flow_list dirty;
	struct tcp_flow_list lists[TCP_LISTS];
	bool resuming; /* those that waited for tokens have their turn */
};

static inline struct tcp *tcp_of(const struct tcp_flow *f)
{
	return f->flow.nat->tcp;
}

static inline enum tcp_state tcp_flow_state(const struct tcp_flow *f)
{
	return (enum tcp_state)f->state;
}

/* a - b < 0 and so on, of sequence numbers. */
static inline int32_t sequence_from(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* ---- tcp.c ---- */

/* Follows the event; asserts that it is legal. */
void tcp_flow_event(struct tcp_flow *f, enum tcp_event event);
/* Stands in that line from now on, behind the others, and in no other; in its place where it stands there already. */
void tcp_flow_enlist(struct tcp_flow *f, enum tcp_list list);
/* Has something to do when the batch ends; keeps its place where it waits. */
void tcp_flow_mark(struct tcp_flow *f);
/* Waits for nothing, has nothing to do. */
void tcp_flow_unlist(struct tcp_flow *f);
/* Does what is due: data, FIN, acknowledgement, RST. False: ended. */
bool tcp_flow_go(struct tcp_flow *f);

/* ---- tcp-open.c ---- */

/* A SYN that belongs to no connection. */
void tcp_open(struct nat *nat, const struct nic_frame *frame, const struct packet *packet,
              const struct segment *segment);
/* The socket of one that is CONNECTING has something to say. */
bool tcp_open_ready(struct tcp_flow *f);
/* SYN or SYN+ACK, again or for the first time. */
void tcp_open_speak(struct tcp_flow *f);
/* A segment for one that is SYN_SENT, SYN_RECEIVED or CONNECTING. *go_on: it is established, take the rest of it. */
bool tcp_open_arrive(struct tcp_flow *f, const struct segment *segment, bool *go_on);

/* ---- tcp-end.c ---- */

/* Out of the table, closed, freed. */
void tcp_end(struct tcp_flow *f);
/* The same, both sides have had their FIN: but what is to be said, and what is kept for the socket, goes out before. */
void tcp_end_well(struct tcp_flow *f);
/* A segment for one that is CLOSED: it waits for the guest's room, or the socket's. */
void tcp_end_arrive(struct tcp_flow *f, const struct segment *segment);
/* Its socket. */
void tcp_end_ready(struct tcp_flow *f);
/* RST to the guest (when it has room), RST to the peer. */
void tcp_end_reset(struct tcp_flow *f);
/* RST to the peer only: the guest has sent one, or is gone. */
void tcp_end_abort(struct tcp_flow *f);
/* The RST that is due. False: ended. */
bool tcp_end_go(struct tcp_flow *f);

/* ---- tcp-receive.c ---- */

/* A segment of an established connection. False: ended. */
bool tcp_receive(struct tcp_flow *f, const struct nic_frame *frame, const struct segment *segment);
/* The socket takes data again. False: ended. */
bool tcp_receive_resume(struct tcp_flow *f);
/* Looks how much the socket takes, and moves the edge of the window. */
void tcp_receive_offer(struct tcp_flow *f);
/* What a header to the guest says as window. */
uint16_t tcp_receive_window(const struct tcp_flow *f);
/* Acknowledges all that was taken. 0 or -errno of nic_send(). */
int tcp_receive_acknowledge(struct tcp_flow *f);

/*
 * Takes text that is next in sequence, `len` bytes in n pieces: to the socket, or what that does not take is kept. How
 * many were taken, or -errno; receive_next has moved on by them.
 */
ssize_t tcp_receive_take(struct tcp_flow *f, const struct iovec *iov, unsigned n, size_t len);

/* ---- tcp-transmit.c ---- */

/* Data, as much as may go, and our FIN behind it. False: ended. */
bool tcp_transmit(struct tcp_flow *f);
/* What the segment says about what we sent. False: ended; *valid false: it acknowledges what was never sent. */
bool tcp_transmit_acknowledged(struct tcp_flow *f, const struct segment *segment, bool *valid);
/* The time-out is set to what comes next: retransmission, probe, keepalive. */
void tcp_transmit_arm(struct tcp_flow *f);
/* It has come. False: ended. */
bool tcp_transmit_timeout(struct tcp_flow *f);

/* ---- tcp-ahead.c ---- */

#define TCP_BLOCKS 4u

/* Of sequence: left.., right is the one behind (RFC 2018, 3). */
struct tcp_block {
	uint32_t left, right;
};

/* Keeps the text of a segment that is not next in sequence, as far as it is within the window. */
void tcp_ahead_add(struct tcp_flow *f, const struct nic_frame *frame, const struct segment *segment);
/* What is kept and next in sequence now is taken. 0 or -errno as tcp_receive_take(). Only where f->ahead. */
int tcp_ahead_deliver(struct tcp_flow *f);
/* What is kept. Returns how many blocks. */
unsigned tcp_ahead_blocks(const struct tcp_flow *f, struct tcp_block blocks[TCP_BLOCKS]);
void tcp_ahead_end(struct tcp_flow *f);

/* ---- tcp-kept.c ---- */

/* The first bytes of this connection are looked at before they go on, where the policy wants that. 0 or -ENOMEM. */
int tcp_kept_begin(struct tcp_flow *f);
void tcp_kept_end(struct tcp_flow *f);
/*
 * Keeps what the n pieces hold from byte `skip` on, `len` bytes. How many were: all, or none where there is no memory
 * for them; -EACCES: their name is not allowed, or -errno of the socket, to which they went on. f->kept is NULL where
 * nothing is kept.
 */
ssize_t tcp_kept_add(struct tcp_flow *f, const struct iovec *iov, unsigned n, size_t skip, size_t len);
/* The socket takes data again: as much as it will, and then our end of data (f->shut_due). 0 or -errno. */
int tcp_kept_flush(struct tcp_flow *f);
/* flow_kind's: rules have been replaced. */
bool tcp_kept_name_fits(struct flow *flow);
/* The name has not come yet. */
bool tcp_kept_is_unnamed(const struct tcp_flow *f);
/* How much more may be offered while something is kept. */
size_t tcp_kept_room(const struct tcp_flow *f);

#endif
