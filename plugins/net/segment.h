/* SPDX-License-Identifier: MIT */
/*
 * segment.h - what a virtio network header leaves to be done (virtio 1.2, 5.1.6.2), in software: checksums completed,
 * GSO frames cut into packets. For a receiver that did not negotiate that its driver does it.
 *
 * No state; any thread. Frames are hostile: they come from other machines. What is cut must be a private copy or memory
 * whose change does no harm: lengths are taken once.
 */
#ifndef CAPSA_NET_SEGMENT_H
#define CAPSA_NET_SEGMENT_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "plugins/net/packet.h"

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4 /* Linux 6.2 */
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/*
 * The part of segment_check() that needs no packet, nic.h's as well: lengths, the flags, a checksum within the frame, a
 * GSO size that is one. Which GSO types there are is the caller's.
 */
bool segment_header_fits(struct virtio_net_hdr_v1 *header, size_t len);

/*
 * Whether the header may stand before this frame of `len` bytes: flags (NEEDS_CSUM only), GSO types (NONE, TCPV4,
 * TCPV6, with ECN; UDP_L4), checksum within the frame and not in the Ethernet header, a GSO type that the packet is of.
 * Fields that mean nothing are set to 0. `packet` is packet_parse() of the frame. No GSO frame may become more packets
 * than Linux would make of one. 0 or -EBADMSG.
 */
int segment_check(struct virtio_net_hdr_v1 *header, const struct packet *packet, size_t len);

/* What a receiver takes. GSO with ECN, which the card does not offer, is always cut. */
struct segment_takes {
	bool checksum, tso4, tso6, uso;
	/* Longest frame that it takes at all: NIC_FRAME_MAX, or a buffer's size. TCP is cut smaller where it must. */
	size_t largest;
};

/* Whether anything must be done to the frame before such a receiver gets it. Cheap; almost always false. */
bool segment_is_needed(const struct virtio_net_hdr_v1 *header, size_t len, const struct segment_takes *takes);

/*
 * Does it: calls emit() for each frame that comes of it, in order, with the header that it has then, and `iov` of two
 * pieces at most, valid inside of the call. An error of emit()'s ends it, and is returned. The frame, `len` bytes, is a
 * private copy in one piece, and has passed segment_check(). 0, -EMSGSIZE where a frame that cannot be cut is too long,
 * -EBADMSG.
 */
int segment_do(const struct virtio_net_hdr_v1 *header, const struct packet *packet, unsigned char *frame, size_t len,
               const struct segment_takes *takes,
               int (*emit)(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n),
               void *ctx);

#endif
