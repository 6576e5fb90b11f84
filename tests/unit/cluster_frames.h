/* SPDX-License-Identifier: MIT */
/*
 * cluster_frames.h - frames of machines in a cluster, as tests of the switch's rooms give them to it. Machine n has the
 * MAC 02:00:00:00:00:n and the addresses 10.0.3.n and fd00::n.
 */
#ifndef CAPSA_TESTS_CLUSTER_FRAMES_H
#define CAPSA_TESTS_CLUSTER_FRAMES_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/cluster-switch/bridge.h"

#define FRAMES_GROUP 0xffu /* as a machine's number: broadcast */

struct frames_frame {
	struct virtio_net_hdr_v1 header; /* all 0 unless a test fills it in */
	unsigned char bytes[2048];
	size_t len;
};

void frames_mac(unsigned machine, unsigned char mac[ETH_ALEN]);
struct in6_addr frames_address(const char *text);

/* Fresh frames; `from` and `to` are machines. Checksums are right where packet.h looks at them. */
void frames_ether(struct frames_frame *f, unsigned to, unsigned from, uint16_t type, const void *payload, size_t len);
void frames_ip(struct frames_frame *f, unsigned to, unsigned from, const char *source, const char *target,
               uint8_t protocol, const void *l4, size_t len);
void frames_udp(struct frames_frame *f, unsigned to, unsigned from, const char *source, uint16_t source_port,
                const char *target, uint16_t target_port);
/* ICMP and ICMPv6, as the addresses are. */
void frames_icmp(struct frames_frame *f, unsigned to, unsigned from, const char *source, const char *target,
                 const void *message, size_t len);
/* `type` ND_NEIGHBOR_SOLICIT or _ADVERT, with the link layer address of `mac` as its option; FRAMES_GROUP: none. */
void frames_neighbour(struct frames_frame *f, unsigned from, const char *source, uint8_t type, const char *about,
                      unsigned mac);
/* Of `sender_mac`, whose address `sender` is. */
void frames_arp(struct frames_frame *f, unsigned to, unsigned from, bool request, unsigned sender_mac,
                const char *sender, const char *target);
/* IPv4 of that frame becomes a fragment: offset in bytes. */
void frames_fragment(struct frames_frame *f, size_t offset, bool more);
/* Puts a tag in front of what is there. */
void frames_tag(struct frames_frame *f, uint16_t type, uint16_t tci);

/* The options of that machine's port. */
struct bridge_port_options frames_port(unsigned machine);
/* As the switch finds it in a ring: in two pieces, `split` bytes in the first. */
bool frames_make(struct bridge_frame *out, const struct frames_frame *f, size_t split);

#endif
