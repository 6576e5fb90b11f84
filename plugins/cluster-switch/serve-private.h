/* SPDX-License-Identifier: MIT */
/*
 * serve-private.h - the switch's process, as its own files see it: serve.c (loop, listener), serve-join.c (who may be a
 * member), serve-talk.c (messages), serve-wait.c (who waits for whose room), show.c (what people are shown).
 *
 * PEERS. Whoever has connected is a peer, in one of these states; it has a port and a ring only as a member.
 *
 *   PENDING   has said nothing yet, and is cut off SERVE_HELLO_MS after it came   HELLO -> MEMBER, or told why not
 *   SHOWN     gets a text, for as long                                             SHOW  -> SHOWN; read -> GONE
 *   MEMBER    until it ends, or says what cannot be                                      -> GONE
 *   GONE      has no descriptor any more; freed when the events that may name it are done with
 */
#ifndef CAPSA_CLUSTER_SERVE_PRIVATE_H
#define CAPSA_CLUSTER_SERVE_PRIVATE_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "plugins/cluster-switch/bridge.h"
#include "plugins/cluster-switch/lease.h"
#include "plugins/cluster-switch/protocol.h"
#include "plugins/cluster-switch/ring.h"
#include "plugins/cluster-switch/serve.h"
#include "plugins/cluster-switch/vxlan.h"

#define SERVE_PENDING_MAX 64u /* PENDING and SHOWN; of more the oldest gives way */
/* Guardians that a member may ask for at once; one a second is added. */
#define SERVE_GUARDIANS 16u
/* Those that live, of all members: who joins again and again gets no more. */
#define SERVE_GUARDIANS_LIVE CLUSTER_MEMBERS_MAX

enum source_kind {
	SOURCE_LISTENER,
	SOURCE_LEASH,
	SOURCE_DEADLINE,
	SOURCE_PATIENCE,
	SOURCE_UPLINK,
	SOURCE_PEER,
	SOURCE_RING
};

/* What an event is about. */
struct source {
	enum source_kind kind;
	int fd;
	struct peer *peer;
};

enum peer_state { PEER_PENDING, PEER_SHOWN, PEER_MEMBER, PEER_GONE };

struct peer {
	struct serve *serve;
	enum peer_state state;
	pid_t pid;
	struct source socket, ring_source;
	bool waits_to_write; /* EPOLLOUT is asked for */
	TAILQ_ENTRY(peer) link;

	uint64_t deadline_ms; /* PENDING, SHOWN */
	char *text;           /* SHOWN */
	size_t text_len, text_at;

	/* MEMBER */
	struct bridge_port *port;
	struct ring *ring;
	struct in6_addr address, address6;
	bool has_uplink;
	bool broken;    /* its ring is; cut off behind the turn */
	bool in_line;   /* its ring has frames: in serve.line */
	bool is_behind; /* has not been told the newest MEMBERS */
	unsigned guardians;
	uint64_t guardians_ms;
	TAILQ_ENTRY(peer) in_turn;
	/* serve-wait.c's. */
	struct peer *waits_for; /* in serve.waiting, until waits_until_ms */
	uint64_t waits_until_ms;
	bool is_stuck;                      /* others have waited for it in vain */
	unsigned char looked_for[ETH_ALEN]; /* all frames in its ring before looked_at are for it */
	uint64_t looked_at;
	TAILQ_ENTRY(peer) in_wait;
};

TAILQ_HEAD(peers, peer);

struct serve {
	int dirfd, epoll, leash, spare; /* spare: for accept(2) where descriptors are out */
	const char *cluster;
	struct source listener, deadline, patience, leash_source, uplink_sources[VXLAN_SOCKETS];
	unsigned n_uplink_sources;
	struct bridge *bridge;
	struct leases *leases;
	struct vxlan *vxlan;

	struct peers pending, members, gone, line, waiting;
	unsigned n_pending, n_members;
	unsigned n_pulses;
	struct pollfd pulses[SERVE_GUARDIANS_LIVE]; /* pipes that hang up when the guardian at the other end has gone */
	bool had_member, members_changed, some_broken, uplink_has_more;

	/* What the members have agreed on: the first one's word. `_of`: whose it was, for those that say otherwise. */
	struct net_prefix subnet, subnet6;
	char subnet_of[CLUSTER_NAME_MAX + 1], subnet6_of[CLUSTER_NAME_MAX + 1];
	char uplink[PROTOCOL_UPLINK_MAX + 1], uplink_of[CLUSTER_NAME_MAX + 1];
	unsigned n_uplink; /* members that have it */

	uint64_t now_ms, deadline_ms, patience_ms; /* that the timers are set to; 0: they are not */
	struct protocol_members list;
	/* What came last; only what was found valid is looked at by its name. */
	union {
		unsigned char bytes[PROTOCOL_MESSAGE_MAX];
		struct protocol_header header;
		struct protocol_hello hello;
		struct protocol_change change;
	} message;
};

/* ---- serve.c ---- */

/* A line in CLUSTER_LOG. */
__attribute__((format(printf, 2, 3))) void serve_say(struct serve *serve, const char *fmt, ...);
int serve_watch(struct serve *serve, struct source *source, uint32_t events); /* 0 or -errno */
void serve_unwatch(struct serve *serve, struct source *source);
/* Its port and its descriptors go at once. */
void peer_cut(struct peer *peer);
/* Its ring may have frames. */
void peer_ready(struct peer *peer);

/* ---- serve-join.c ---- */

/* PENDING to MEMBER, or refused and cut off. */
void peer_join(struct peer *peer, const struct protocol_hello *hello);
/* It leaves what it had agreed on. Called by peer_cut(). */
void peer_leave(struct peer *peer);

/* ---- serve-talk.c ---- */

/* One packet, with descriptors; never waits. 0 or -errno. */
int peer_send(struct peer *peer, const void *message, size_t len, const int *fds, unsigned n_fds);
void peer_refuse(struct peer *peer, const char *why);
/* Its socket is readable, or writable. */
void peer_receive(struct peer *peer);
void peer_write(struct peer *peer);
/* MEMBERS has changed: everybody is told. */
void serve_tell_members(struct serve *serve);

/* ---- show.c ---- */

/* JSON (protocol.h: SHOW), to be freed; NULL where memory is out. */
char *serve_show(struct serve *serve, size_t *len);

/* ---- serve-wait.c ---- */

/* Whether the first frame of its ring is left there until the member that it is for has room. */
bool peer_waits(struct peer *peer, const struct ring_frame *frame);
/* That one may have room now. */
void waiters_resume(struct peer *target);
/* It goes: it waits for nobody, and nobody for it. */
void waiters_forget(struct peer *peer);
/* The timer has run out. */
void patience_ended(struct serve *serve);

#endif
