/* SPDX-License-Identifier: MIT */
/*
 * vxlan.h - the cluster's uplink: a VXLAN tunnel (RFC 7348) to other hosts, in user space over UDP. A port of the
 * bridge.
 *
 *   uplink = "vxlan:VNI@LOCAL[:PORT],PEER[:PORT][,PEER[:PORT]...]"      PORT: 4789
 *
 * THEORY OF OPERATION. What goes out is cut into packets that fit the tunnel and has its checksums done (segment.h):
 * remote hosts know nothing of virtio headers. Unicast goes to the peer that its MAC was learned from, everything else,
 * and what is not known, to each peer (head-end replication). What comes in must be from a listed peer's address, have
 * the I flag and our VNI (RFC 7348, 5); all else is counted and dropped, as is a frame with a source MAC that a member
 * has. Frames from a peer never go to another: peers are a full mesh, as the kernel's device has it. Datagrams go by
 * sendmmsg(2) and come by recvmmsg(2). UDP source ports come from a hash of the inner flow (RFC 7348, 5); as a socket
 * has only one, out of VXLAN_SOCKETS sockets.
 *
 * THREAD: the switch's.
 */
#ifndef CAPSA_CLUSTER_VXLAN_H
#define CAPSA_CLUSTER_VXLAN_H

#include <stddef.h>
#include <stdint.h>

#include "plugins/cluster-switch/bridge.h"

#define VXLAN_PORT 4789u
#define VXLAN_PEERS_MAX 64u
#define VXLAN_SOCKETS 4u

struct vxlan_options {
	uint32_t vni; /* 24 bits */
	struct net_endpoint local;
	unsigned n_peers;
	struct net_endpoint peers[VXLAN_PEERS_MAX];
};

/* Reads the key above. 0, or -EINVAL with one line in `cause`. */
int vxlan_parse(const char *text, struct vxlan_options *out, char *cause, size_t size);

struct vxlan;

struct vxlan_counters {
	uint64_t sent, received;     /* frames */
	uint64_t foreign, malformed; /* from others than peers; with another VNI or none, or no frame in it */
	uint64_t send_failed;        /* the socket had no room, or there was no way */
};

/* Opens sockets and adds its port to the bridge. 0, or -errno with a line in `cause`. */
int vxlan_new(struct bridge *bridge, const struct vxlan_options *options, struct vxlan **out, char *cause, size_t size);
void vxlan_free(struct vxlan *vxlan);
/* Descriptors to be watched for reading: returns how many (VXLAN_SOCKETS at most). */
unsigned vxlan_fds(const struct vxlan *vxlan, int fds[VXLAN_SOCKETS]);
/* One of them is readable: takes a batch. The caller flushes the bridge. True: there may be more. */
_Bool vxlan_receive(struct vxlan *vxlan, int fd, uint64_t now_ms);
const struct vxlan_counters *vxlan_counters(const struct vxlan *vxlan);

#endif
