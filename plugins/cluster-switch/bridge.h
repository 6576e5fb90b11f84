/* SPDX-License-Identifier: MIT */
/*
 * bridge.h - ports, and frames from one to others: the switch without its processes. serve.h gives each port its far
 * side; so does a test.
 *
 * THEORY OF OPERATION. A frame comes in with its virtio header, untouched since its guest made it: checksums and
 * segmentation are left to whoever needs them done (segment.h: the receiver's process; the uplink). Steps, each of
 * which may drop it and counts that at the port that it came from:
 *
 *   whole       lengths, the header's offsets (segment_check)                     `malformed`
 *   guard       source MAC, ARP and IP source are the port's own (guard.h)        `spoofed`
 *   rate        more than the port may send                                       `rate_dropped`
 *   learn       who is behind the port (fdb.h)
 *   target      unicast, known: that port; unknown, multicast, broadcast: all others. 01:80:c2:00:00:0x goes nowhere
 *               (IEEE 802.1Q, 8.6.3). Never back to where it came from
 *   peers       both ports' lists, where they have one, name the other            `peers_dropped`
 *   full        the target's far side has no room                                 `full_dropped`, at the target
 *
 * So a port that does not keep up loses frames, and holds up nobody (but see serve-wait.c, for who sends to it alone).
 * VLAN tags pass; addresses are learned over all of them. Frames of one batch are sent to all targets, then
 * bridge_flush() wakes each of these once.
 *
 * THREAD: the switch's one.
 */
#ifndef CAPSA_CLUSTER_BRIDGE_H
#define CAPSA_CLUSTER_BRIDGE_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "plugins/cluster-switch/cluster.h"
#include "plugins/net/address.h"
#include "plugins/net/packet.h"

#define BRIDGE_PORTS_MAX (CLUSTER_MEMBERS_MAX + 1u) /* and the uplink */
#define BRIDGE_FRAME_PIECES 3u

struct bridge;
struct bridge_port;

/* A frame on its way. iov[0] is `head`, a private copy, and the rest may still change: only iov is given on. */
struct bridge_frame {
	struct virtio_net_hdr_v1 header;
	unsigned char head[PACKET_HEAD];
	size_t head_len, len;
	struct iovec iov[BRIDGE_FRAME_PIECES];
	unsigned n;
};

/*
 * Copies the head of what a ring holds, and puts the pieces together. False: longer than a frame may be, or shorter;
 * bridge_forward() counts that as malformed, and looks at nothing else of it.
 */
bool bridge_frame_make(struct bridge_frame *frame, const struct virtio_net_hdr_v1 *header, const struct iovec *pieces,
                       unsigned n, size_t len);

struct bridge_port_options {
	char name[CLUSTER_NAME_MAX + 1]; /* the machine's; no two ports have the same */
	unsigned char mac[ETH_ALEN];
	bool any_source;           /* `spoof = true`, and the uplink: no guard, addresses are learned */
	bool uplink;               /* has no MAC of its own, no peers, no address */
	struct in6_addr address;   /* IPv4 (address.h): no other port may send from it */
	struct in6_addr address6;  /* the same of IPv6, in subnet6 (guard.h); unspecified: none */
	struct net_prefix subnet6; /* of IPv6; bits 0: none */
	uint64_t rate;             /* bytes a second it may send; 0: no limit */
	bool has_peers;            /* an empty list is nobody */
	unsigned n_peers;
	char peers[CLUSTER_PEERS_MAX][CLUSTER_NAME_MAX + 1];
};

/* Called by bridge_forward() and bridge_flush(). No port is added or removed inside of them. */
struct bridge_port_operations {
	/* 0, or -EAGAIN: no room, the frame is lost. The frame is valid inside of the call only. */
	int (*send)(void *ctx, const struct bridge_frame *frame);
	/* What was sent so far may be looked at. */
	void (*flush)(void *ctx);
};

struct bridge_counters {
	uint64_t rx_packets, rx_bytes; /* from the port */
	uint64_t tx_packets, tx_bytes; /* to it */
	uint64_t malformed, spoofed, rate_dropped, peers_dropped, full_dropped;
};

int bridge_new(struct bridge **out); /* 0 or -ENOMEM */
void bridge_free(struct bridge *bridge);

/*
 * A port more. Options are copied. -EEXIST: `cause` says what is taken already (name, MAC or address), and by whom;
 * -ENOSPC: too many; -ENOMEM.
 */
int bridge_port_add(struct bridge *bridge, const struct bridge_port_options *options,
                    const struct bridge_port_operations *operations, void *ctx, struct bridge_port **out, char *cause,
                    size_t size);
void bridge_port_remove(struct bridge_port *port);
/* New peers or rate of a port that lives: as in options. */
void bridge_port_change(struct bridge_port *port, const struct bridge_port_options *options);
const struct bridge_port_options *bridge_port_options(const struct bridge_port *port);
const struct bridge_counters *bridge_port_counters(const struct bridge_port *port);

/* A frame from `port`; `now_ms` of the monotonic clock. */
void bridge_forward(struct bridge_port *port, const struct bridge_frame *frame, uint64_t now_ms);
/*
 * Whom alone a frame from `port` to this address would go to: the `ctx` of that member's port. NULL: to several, to
 * nobody, or to the uplink.
 */
void *bridge_target(const struct bridge_port *port, const unsigned char to[ETH_ALEN], uint64_t now_ms);
/* Behind a batch of them. */
void bridge_flush(struct bridge *bridge);

/* For people: each port in the order of joining, and each learned address. */
void bridge_each_port(const struct bridge *bridge, void (*call)(void *ctx, const struct bridge_port *port), void *ctx);
void bridge_each_mac(const struct bridge *bridge, uint64_t now_ms,
                     void (*call)(void *ctx, const unsigned char mac[ETH_ALEN], const struct bridge_port *port,
                                  uint64_t age_ms),
                     void *ctx);

#endif
