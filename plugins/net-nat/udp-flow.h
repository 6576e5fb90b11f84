/* SPDX-License-Identifier: MIT */
/* udp-flow.h - what udp.c and udp-publish.c have in common: their flows, and how datagrams are received. Home loop. */
#ifndef CAPSA_NAT_UDP_FLOW_H
#define CAPSA_NAT_UDP_FLOW_H

#include <netinet/in.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "plugins/net-nat/udp.h"

#define UDP_BATCH 16u              /* datagrams by one recvmmsg(2) */
#define UDP_BUDGET 64u             /* datagrams of one socket before others have their turn */
#define UDP_TURNS 64u              /* sockets that waited before other handlers have their turn */
#define UDP_RECEIVE_ROOM (1 << 20) /* bytes that may wait in a socket, where the kernel allows so many */
#define UDP_DATAGRAM_MAX 65536u    /* bytes; none is so long */

struct udp_published;

/* A socket that is received from. Zeroed but for `source`: nothing is known of it. */
struct udp_receiver {
	struct socket_source *source;
	size_t typical; /* bytes of its datagrams: the longest of late */
	bool waiting;   /* something may be there, but no room for it */
	unsigned pair;  /* whose */
	TAILQ_ENTRY(udp_receiver) link;
};

/* Who wrote to a published port, and to which of the host's addresses. */
struct udp_peer {
	struct sockaddr_storage address; /* as it came: answers go there */
	socklen_t address_len;
	struct in6_addr local;
	unsigned interface; /* of link-local ones; else 0 */
};

struct udp_flow {
	struct flow flow; /* first */
	TAILQ_ENTRY(udp_flow) idle;
	uint64_t used; /* when, as timeouts_now() */
	bool answered; /* the other side has said something, too */
	/* The guest's: */
	struct udp_receiver receiver;
	uint8_t hop_limit, hop_limit_wanted; /* hop-limit.h: of the last datagram, and of the one that is to go */
	/* Of a published port, else NULL: */
	struct udp_published *published;
	struct udp_peer peer;
	uint64_t peer_hash;
	struct udp_flow *peer_next;
};

TAILQ_HEAD(udp_flow_list, udp_flow);

struct udp {
	struct nat *nat;
	/* The guest's flows, and those of peers of published ports; those that have been idle longest first. */
	struct udp_flow_list idle, peers;
	unsigned n_peers;
	TAILQ_HEAD(, udp_receiver) waiting[NIC_PAIRS_MAX];
	/* A batch. */
	struct mmsghdr messages[UDP_BATCH];
	struct iovec iov[UDP_BATCH];
	struct sockaddr_storage from[UDP_BATCH];
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control[UDP_BATCH];
	unsigned char (*bytes)[UDP_DATAGRAM_MAX];
};

/* Into the table and the list; its socket, if it has one, is the caller's. 0 or -errno of flows_insert(). */
int udp_flow_insert(struct udp *udp, struct udp_flow *u);
/* Without a word: closes, frees. */
void udp_flow_end(struct udp_flow *u);
/* A datagram of `len` bytes passed: by the guest, or to it. */
void udp_flow_sent(struct udp_flow *u, size_t len);
/* To the guest, in the name of key.far. */
void udp_flow_deliver(struct udp_flow *u, const struct iovec *payload);

/*
 * Receives a batch from receiver->source->fd into udp->messages, with addresses and control messages. Returns how many
 * there are; 0: none, or no room, then `receiver` waits; -errno.
 */
int udp_receive(struct udp *udp, struct udp_receiver *receiver, unsigned pair);
void udp_receiver_end(struct udp *udp, struct udp_receiver *receiver);

/* udp-publish.c: */
int udp_published_send(struct udp_flow *u, struct iovec *payload, unsigned n);
void udp_published_forget(struct udp_flow *u);

#endif
