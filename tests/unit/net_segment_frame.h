/* SPDX-License-Identifier: MIT */
/*
 * net_segment_frame.h - frames of any shape for the tests of plugins/net/segment.h, made by slow code of their own.
 * Included once by a test program.
 *
 * Frames are given in buffers of exactly their length, so that AddressSanitizer sees what goes beyond.
 */
#ifndef CAPSA_TESTS_NET_SEGMENT_FRAME_H
#define CAPSA_TESTS_NET_SEGMENT_FRAME_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/net/nic.h"
#include "plugins/net/segment.h"

#define TEST(name) cmocka_unit_test(name)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define NEEDS_CSUM VIRTIO_NET_HDR_F_NEEDS_CSUM
#define ECN VIRTIO_NET_HDR_GSO_ECN
#define CWR 0x80u

static const struct segment_takes takes_nothing = { .largest = NIC_FRAME_MAX };
static const struct segment_takes takes_checksum = { .checksum = true, .largest = NIC_FRAME_MAX };
static const struct segment_takes takes_all = { true, true, true, true, NIC_FRAME_MAX };

/* ---- a frame of any shape ---- */

enum route { NO_ROUTE, ROUTE_DONE, ROUTE_LEFT };

struct shape {
	bool ipv6, udp, vlan;
	bool options;     /* of IPv4: 12 bytes; extension headers of IPv6: 24 */
	enum route route; /* a routing header more, of IPv6; its last address is what has been summed */
	bool tcp_options; /* 12 bytes */
	bool no_total;    /* IPv4 with a length of 0 */
	size_t payload, padding;
	uint8_t tcp_flags;
	uint16_t id;
	uint32_t sequence;
};

struct frame {
	struct shape shape;
	unsigned char *bytes;
	size_t len, l3, l4, payload;
	struct virtio_net_hdr_v1 header;
};

static inline void put16(unsigned char *at, size_t v)
{
	at[0] = (unsigned char)(v >> 8);
	at[1] = (unsigned char)v;
}

static inline unsigned get16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static inline uint32_t get32(const unsigned char *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* RFC 1071 as it is written: 16-bit words, big endian, folded at each step. */
static inline unsigned slow_sum(unsigned sum, const unsigned char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? at[i] : (unsigned)at[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static const unsigned char last_hop[16] = { 0x20, 1, 0xd, 0xb8, [14] = 0x77, [15] = 0x99 };

/* Of the upper layer of a packet whose IP header is at l3. */
static inline unsigned slow_pseudo(const struct shape *shape, const unsigned char *bytes, size_t l3, size_t l4_len)
{
	unsigned char rest[4] = { 0, 0, 0, shape->udp ? 17 : 6 };
	unsigned sum = shape->ipv6 ? slow_sum(0, bytes + l3 + 8, 16) : slow_sum(0, bytes + l3 + 12, 4);

	if (shape->route == ROUTE_LEFT)
		sum = slow_sum(sum, last_hop, 16);
	else
		sum = shape->ipv6 ? slow_sum(sum, bytes + l3 + 24, 16) : slow_sum(sum, bytes + l3 + 16, 4);
	sum = slow_sum(sum, rest, 4);
	put16(rest, l4_len >> 16);
	put16(rest + 2, l4_len);
	return slow_sum(sum, rest, 4);
}

static inline unsigned char payload_byte(size_t i)
{
	return (unsigned char)(i * 7 + (i >> 8) * 31 + 3);
}

static inline size_t put_ipv4(unsigned char *at, const struct shape *shape, size_t l4_len)
{
	static const unsigned char options[12] = { 131 & 0x7f, 7, 4, 1, 2, 3, 4, 1, 68, 4, 5, 0 };
	static const unsigned char plain[20] = { 0x45, 0x01, 0,  0, 0, 0,  0x40, 0, 64, 0,
		                                 0,    0,    10, 0, 3, 11, 10,   0, 3,  12 };
	const size_t len = shape->options ? 32 : 20;

	memcpy(at, plain, sizeof plain);
	at[0] = (unsigned char)(0x40 | len / 4);
	at[9] = shape->udp ? 17 : 6;
	put16(at + 2, shape->no_total ? 0 : len + l4_len);
	put16(at + 4, shape->id);
	if (shape->options)
		memcpy(at + 20, options, sizeof options);
	put16(at + 10, ~slow_sum(0, at, len) & 0xffff);
	return len;
}

static inline size_t put_ipv6(unsigned char *at, const struct shape *shape, size_t l4_len)
{
	static const unsigned char plain[40] = { 0x60,     0x12,        0x34,     0x56,       [7] = 64,    [8] = 0xfd,
		                                 [23] = 1, [24] = 0x20, [25] = 1, [26] = 0xd, [27] = 0xb8, [39] = 2 };
	static const unsigned char hop_by_hop[8] = { 60, 0, 5, 2, 0, 0, 1, 0 };
	static const unsigned char target[16] = { 0, 1, 1, 12 };
	const unsigned char upper = shape->udp ? 17 : 6;
	unsigned char *next = at + 6;
	size_t len = 40;

	memcpy(at, plain, sizeof plain);
	if (shape->options) {
		*next = 0;
		memcpy(at + 40, hop_by_hop, 8);
		memcpy(at + 48, target, 16);
		next = at + 48;
		len += 24;
	}
	if (shape->route != NO_ROUTE) {
		*next = 43;
		next = at + len;
		memset(next, 0, 24);
		next[1] = 2;
		next[3] = shape->route == ROUTE_LEFT;
		memcpy(next + 8, last_hop, 16);
		len += 24;
	}
	*next = upper;
	put16(at + 4, len - 40 + l4_len);
	return len;
}

static inline size_t put_l4(unsigned char *at, const struct shape *shape, size_t l4_len)
{
	static const unsigned char tcp[32] = { 0x12, 0x34, 0, 80, 0, 0, 0, 0,  9, 8, 7, 6, 0x50, 0, 0xff, 0xf0,
		                               0,    0,    0, 0,  1, 1, 8, 10, 1, 2, 3, 4, 5,    6, 7,    8 };
	const size_t len = shape->tcp_options ? 32 : 20;

	if (shape->udp) {
		put16(at, 0x1234);
		put16(at + 2, 443);
		put16(at + 4, l4_len);
		return 8;
	}
	memcpy(at, tcp, len);
	put16(at + 4, shape->sequence >> 16);
	put16(at + 6, shape->sequence);
	at[12] = (unsigned char)(len / 4 << 4);
	at[13] = shape->tcp_flags;
	return len;
}

/* With a partial checksum, and a header that says so; free_frame() is the caller's. */
static inline struct frame make_frame(const struct shape *shape)
{
	static unsigned char bytes[NIC_FRAME_MAX + 256];
	static const unsigned char ether[14] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1 };
	const size_t header = shape->udp ? 8 : shape->tcp_options ? 32 : 20;
	struct frame f = { .shape = *shape, .l3 = shape->vlan ? 18 : 14 };

	memset(bytes, 0, sizeof bytes);
	memcpy(bytes, ether, 14);
	if (shape->vlan) {
		put16(bytes + 12, ETH_P_8021Q);
		put16(bytes + 14, 0x6064);
	}
	put16(bytes + f.l3 - 2, shape->ipv6 ? ETH_P_IPV6 : ETH_P_IP);
	f.l4 = f.l3 + (shape->ipv6 ? put_ipv6(bytes + f.l3, shape, header + shape->payload)
	                           : put_ipv4(bytes + f.l3, shape, header + shape->payload));
	f.payload = f.l4 + put_l4(bytes + f.l4, shape, header + shape->payload);
	for (size_t i = 0; i < shape->payload; i++)
		bytes[f.payload + i] = payload_byte(i);
	f.len = f.payload + shape->payload;
	f.header = (struct virtio_net_hdr_v1){ .flags = NEEDS_CSUM,
		                               .csum_start = (uint16_t)f.l4,
		                               .csum_offset = shape->udp ? 6 : 16 };
	put16(bytes + f.l4 + f.header.csum_offset, slow_pseudo(shape, bytes, f.l3, f.len - f.l4));
	memset(bytes + f.len, 0xa5, shape->padding);
	f.len += shape->padding;
	f.bytes = malloc(f.len);
	assert_non_null(f.bytes);
	memcpy(f.bytes, bytes, f.len);
	return f;
}

static inline void free_frame(struct frame *f)
{
	free(f->bytes);
}

static inline uint8_t gso_type_of(const struct shape *shape)
{
	return shape->udp    ? VIRTIO_NET_HDR_GSO_UDP_L4
	       : shape->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
	                     : VIRTIO_NET_HDR_GSO_TCPV4;
}

static inline struct packet parsed(const struct frame *f)
{
	struct packet p;

	packet_parse(f->bytes, f->len < PACKET_HEAD ? f->len : PACKET_HEAD, f->len, &p);
	return p;
}

static inline size_t gather(const struct iovec *iov, unsigned n, unsigned char *to)
{
	size_t len = 0;

	assert_in_range(n, 1, 2);
	for (unsigned i = 0; i < n; i++) {
		assert_true(len + iov[i].iov_len <= NIC_FRAME_MAX);
		memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return len;
}

#endif
