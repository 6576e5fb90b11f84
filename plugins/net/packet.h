/* SPDX-License-Identifier: MIT */
/*
 * packet.h - a frame taken apart, and headers put together: Ethernet, ARP, IPv4, IPv6, TCP, UDP, ICMP.
 *
 * What is taken apart is a private copy of the frame's first bytes; nothing is read from guest memory here. Every
 * length is checked against the frame's true one before it is believed. No state; any thread.
 */
#ifndef CAPSA_NET_PACKET_H
#define CAPSA_NET_PACKET_H

#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plugins/net/address.h"

/* So much of each frame is copied and may hold headers; a packet whose headers are longer is malformed to us. */
#define PACKET_HEAD 256u
/* Ethernet, IPv6, TCP with all options. */
#define PACKET_HEADERS_MAX (14u + 40u + 60u)

enum packet_kind {
	PACKET_MALFORMED, /* lengths or versions that are not true: dropped, counted */
	PACKET_ARP,
	PACKET_IP,       /* IPv4 or IPv6, whole */
	PACKET_FRAGMENT, /* a piece of an IPv4 or IPv6 packet: fragment.h */
	PACKET_OTHER,    /* another EtherType */
};

/* Offsets are from the frame's first byte (Ethernet header included). */
struct packet {
	enum packet_kind kind;
	unsigned char to[ETH_ALEN], from[ETH_ALEN];
	uint16_t ether_type; /* host order, behind any VLAN tag */
	bool vlan;           /* has a tag (one) */
	uint16_t vlan_tag;   /* TCI, host order */
	size_t l3;           /* offset of the IP or ARP header */

	/* IP and FRAGMENT. */
	struct in6_addr source, target; /* as of address.h */
	uint8_t ttl, tos;
	bool options;     /* IPv4 options, or IPv6 extension headers that are more than padding */
	bool routed;      /* source routing: IPv4 LSRR, SSRR, RR; an IPv6 routing header with segments left */
	uint8_t protocol; /* IPPROTO_TCP, ...: the upper layer's; of a fragment: only true where fragment_offset is 0 */
	size_t l4;        /* offset of the upper layer's header */
	size_t l4_len;    /* bytes of it, header included; what lies behind in the frame is padding */

	/* FRAGMENT. */
	uint32_t fragment_id;
	size_t fragment_offset; /* bytes */
	bool more_fragments;

	/* Upper layer, where protocol says so and l4_len has room for its header, else MALFORMED. */
	uint16_t source_port, target_port; /* TCP, UDP; of ICMP echo the identifier twice; host order */
	size_t payload;                    /* offset of what TCP, UDP or ICMP carries */
	size_t payload_len;
};

/*
 * Takes a frame of `len` bytes apart, the first head_len of which (all, or PACKET_HEAD at least) are in `head`.
 * Addresses that an IPv6 header must not have (mapped IPv4) make it MALFORMED; other rules about addresses are the
 * caller's. A length of 0 in IPv4 (TSO by some drivers) is taken for the frame's.
 */
void packet_parse(const unsigned char *head, size_t head_len, size_t len, struct packet *out);

/* ---- headers to be sent ---- */

/* Both families; sizes in host order, checksums as they shall be. All return the bytes written. */
size_t packet_put_ether(unsigned char *at, const unsigned char to[ETH_ALEN], const unsigned char from[ETH_ALEN],
                        uint16_t ether_type);
/* IP header of the family of `from` without options for l4_len bytes of `protocol`; IPv4: with its checksum, DF set. */
size_t packet_put_ip(unsigned char *at, const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
                     size_t l4_len, uint8_t ttl, uint8_t tos);
/* ETH_P_IP or ETH_P_IPV6 for the family of an address. */
uint16_t packet_ether_type(const struct in6_addr *a);

#endif
