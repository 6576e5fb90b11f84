/* SPDX-License-Identifier: MIT */
/*
 * net_segment_test.c - plugins/net/segment.c: what comes of a frame that left checksums or cutting to others is what a
 * card would have sent: each packet is judged by a second, slow implementation here, byte by byte, and the payload put
 * together again is what it was. And headers that lie do no harm.
 *
 * Frames are given in buffers of exactly their length, so that AddressSanitizer sees what goes beyond.
 */
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

static void put16(unsigned char *at, size_t v)
{
	at[0] = (unsigned char)(v >> 8);
	at[1] = (unsigned char)v;
}

static unsigned get16(const unsigned char *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

static uint32_t get32(const unsigned char *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

/* RFC 1071 as it is written: 16-bit words, big endian, folded at each step. */
static unsigned slow_sum(unsigned sum, const unsigned char *at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		sum += i & 1 ? at[i] : (unsigned)at[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

static const unsigned char last_hop[16] = { 0x20, 1, 0xd, 0xb8, [14] = 0x77, [15] = 0x99 };

/* Of the upper layer of a packet whose IP header is at l3. */
static unsigned slow_pseudo(const struct shape *shape, const unsigned char *bytes, size_t l3, size_t l4_len)
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

static unsigned char payload_byte(size_t i)
{
	return (unsigned char)(i * 7 + (i >> 8) * 31 + 3);
}

static size_t put_ipv4(unsigned char *at, const struct shape *shape, size_t l4_len)
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

static size_t put_ipv6(unsigned char *at, const struct shape *shape, size_t l4_len)
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

static size_t put_l4(unsigned char *at, const struct shape *shape, size_t l4_len)
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
static struct frame make_frame(const struct shape *shape)
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

static void free_frame(struct frame *f)
{
	free(f->bytes);
}

static uint8_t gso_type_of(const struct shape *shape)
{
	return shape->udp    ? VIRTIO_NET_HDR_GSO_UDP_L4
	       : shape->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6
	                     : VIRTIO_NET_HDR_GSO_TCPV4;
}

static struct packet parsed(const struct frame *f)
{
	struct packet p;

	packet_parse(f->bytes, f->len < PACKET_HEAD ? f->len : PACKET_HEAD, f->len, &p);
	return p;
}

/* ---- what comes of it, judged ---- */

struct judge {
	const struct frame *frame;
	unsigned char *original;
	bool partial;     /* its receiver takes partial checksums */
	size_t size;      /* payload of each packet but the last */
	unsigned packets; /* so far */
	size_t at;        /* payload so far */
};

static void judge_ip(const struct judge *j, const unsigned char *bytes, size_t len)
{
	const struct frame *f = j->frame;
	const unsigned char *ip = bytes + f->l3, *was = j->original + f->l3;
	const size_t header = f->l4 - f->l3;

	if (f->shape.ipv6) {
		assert_int_equal(get16(ip + 4), len - f->l3 - 40);
		assert_memory_equal(ip, was, 4);
		assert_memory_equal(ip + 6, was + 6, header - 6);
		return;
	}
	assert_int_equal(get16(ip + 2), len - f->l3);
	assert_int_equal(get16(ip + 4), (f->shape.id + j->packets) & 0xffff);
	assert_int_equal(slow_sum(0, ip, header), 0xffff);
	assert_memory_equal(ip, was, 2);
	assert_memory_equal(ip + 6, was + 6, 4);
	assert_memory_equal(ip + 12, was + 12, header - 12);
}

static void judge_l4(const struct judge *j, const unsigned char *bytes, size_t len, bool last)
{
	const struct frame *f = j->frame;
	const unsigned char *l4 = bytes + f->l4, *was = j->original + f->l4;
	unsigned flags = f->shape.tcp_flags;

	assert_memory_equal(l4, was, 4);
	if (f->shape.udp) {
		assert_int_equal(get16(l4 + 4), len - f->l4);
		return;
	}
	assert_true(get32(l4 + 4) == (uint32_t)(f->shape.sequence + j->at));
	assert_memory_equal(l4 + 8, was + 8, 5);
	if (!last)
		flags &= ~0x09u; /* FIN, PSH */
	if (j->packets > 0)
		flags &= ~CWR;
	assert_int_equal(l4[13], flags);
	assert_memory_equal(l4 + 14, was + 14, 2);
	assert_memory_equal(l4 + 18, was + 18, f->payload - f->l4 - 18);
}

static void judge_sum(const struct judge *j, const struct virtio_net_hdr_v1 *header, unsigned char *bytes, size_t len)
{
	const struct frame *f = j->frame;
	const unsigned pseudo = slow_pseudo(&f->shape, bytes, f->l3, len - f->l4);
	unsigned char *field = bytes + f->l4 + (f->shape.udp ? 6 : 16);

	if (j->partial) {
		assert_int_equal(header->flags, NEEDS_CSUM);
		assert_int_equal(header->csum_start, f->l4);
		assert_int_equal(header->csum_offset, f->shape.udp ? 6 : 16);
		assert_int_equal(get16(field), pseudo);
		put16(field, ~slow_sum(0, bytes + f->l4, len - f->l4) & 0xffff);
	} else {
		assert_int_equal(header->flags, 0);
		assert_int_equal(header->csum_start, 0);
		assert_int_equal(header->csum_offset, 0);
		assert_int_not_equal(get16(field), 0);
	}
	assert_int_equal(slow_sum(pseudo, bytes + f->l4, len - f->l4), 0xffff);
}

static size_t gather(const struct iovec *iov, unsigned n, unsigned char *to)
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

static int judge_packet(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	static unsigned char bytes[NIC_FRAME_MAX];
	struct judge *j = ctx;
	const struct frame *f = j->frame;
	const size_t len = gather(iov, n, bytes), payload = len - f->payload;

	assert_true(len >= f->payload);
	assert_true(j->at + payload <= f->shape.payload);
	assert_int_equal(header->gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_int_equal(header->gso_size, 0);
	assert_int_equal(header->hdr_len, 0);
	assert_int_equal(header->num_buffers, 0);
	assert_true(payload == j->size || (payload < j->size && j->at + payload == f->shape.payload));
	assert_memory_equal(bytes, j->original, f->l3);
	judge_ip(j, bytes, len);
	judge_l4(j, bytes, len, j->at + payload == f->shape.payload);
	for (size_t i = 0; i < payload; i++)
		assert_true(bytes[f->payload + i] == f->bytes[f->payload + j->at + i]);
	judge_sum(j, header, bytes, len);
	j->packets++;
	j->at += payload;
	return 0;
}

/* The frame is cut by `size` for such a receiver, who gets packets with `expected` bytes of payload. */
static void cut_and_judge(struct frame *f, uint8_t type, size_t size, const struct segment_takes *takes,
                          size_t expected)
{
	const struct packet p = parsed(f);
	struct virtio_net_hdr_v1 header = f->header;
	struct judge j = { .frame = f, .partial = takes->checksum, .size = expected };
	const size_t packets = f->shape.payload ? (f->shape.payload + expected - 1) / expected : 1;

	j.original = malloc(f->len);
	assert_non_null(j.original);
	memcpy(j.original, f->bytes, f->len);
	header.gso_type = type;
	header.gso_size = (uint16_t)size;
	header.hdr_len = (uint16_t)f->payload;
	assert_int_equal(segment_check(&header, &p, f->len), 0);
	assert_true(segment_is_needed(&header, f->len, takes));
	assert_int_equal(segment_do(&header, &p, f->bytes, f->len, takes, judge_packet, &j), 0);
	assert_int_equal(j.packets, packets);
	assert_int_equal(j.at, f->shape.payload);
	free(j.original);
}

static void cut_shape(const struct shape *shape, size_t size, const struct segment_takes *takes)
{
	struct frame f = make_frame(shape);

	cut_and_judge(&f, gso_type_of(shape), size, takes, size);
	free_frame(&f);
}

/* ---- cutting ---- */

static void each_packet_that_is_cut_is_right_and_all_payload_arrives(void **state)
{
	static const size_t payloads[] = { 0, 1, 7, 1447, 1448, 1449, 2896, 20001 }, sizes[] = { 8, 157, 1448, 65535 };

	(void)state;
	for (unsigned bits = 0; bits < 64; bits++)
		for (unsigned i = 0; i < COUNT(payloads); i++)
			for (unsigned k = 0; k < COUNT(sizes); k++) {
				const struct shape shape = { .ipv6 = bits & 1,
					                     .udp = bits & 2,
					                     .vlan = bits & 4,
					                     .options = bits & 8,
					                     .tcp_options = bits & 16,
					                     .payload = payloads[i],
					                     .tcp_flags = 0x18,
					                     .sequence = 0xfffffff0,
					                     .id = 0xfffe };

				if (shape.udp && payloads[i] > sizes[k] * 128)
					continue;
				cut_shape(&shape, sizes[k], bits & 32 ? &takes_checksum : &takes_nothing);
			}
}

static void the_longest_frames_are_cut(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 16; bits++) {
		struct shape shape = { .ipv6 = bits & 1, .udp = bits & 2, .vlan = bits & 4, .tcp_flags = 0x10 };

		shape.payload = 65535 - (shape.ipv6 ? 40 : 20) - (shape.udp ? 8 : 20);
		cut_shape(&shape, 1400, bits & 8 ? &takes_checksum : &takes_nothing);
		if (!shape.udp)
			cut_shape(&shape, 8, bits & 8 ? &takes_checksum : &takes_nothing);
	}
}

static void fin_and_psh_are_in_the_last_packet_only_and_cwr_in_the_first(void **state)
{
	(void)state;
	for (unsigned flags = 0; flags < 256; flags++) {
		const struct shape shape = { .payload = 3000, .tcp_flags = (uint8_t)flags };

		cut_shape(&shape, 1000, &takes_nothing);
	}
}

static void gso_with_ecn_is_cut_even_for_who_takes_the_rest(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		const struct shape shape = { .ipv6 = ipv6, .payload = 5000, .tcp_flags = CWR | 0x10 };
		struct frame f = make_frame(&shape);

		cut_and_judge(&f, gso_type_of(&shape) | ECN, 1448, &takes_all, 1448);
		free_frame(&f);
	}
}

static void routed_packets_are_summed_with_the_address_that_the_route_ends_at(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		const struct shape shape = { .ipv6 = true,
			                     .udp = bits & 1,
			                     .route = bits & 2 ? ROUTE_LEFT : ROUTE_DONE,
			                     .options = true,
			                     .payload = 5001 };

		cut_shape(&shape, 999, bits & 4 ? &takes_checksum : &takes_nothing);
	}
}

/* Some drivers leave the total length of a packet to be cut at 0. */
static void an_ipv4_length_of_0_is_the_frames(void **state)
{
	const struct shape shape = { .no_total = true, .payload = 5000 };

	(void)state;
	cut_shape(&shape, 1448, &takes_nothing);
}

static void padding_behind_the_packet_is_not_cut_with_it(void **state)
{
	const struct shape tcp = { .payload = 3, .padding = 9 }, udp = { .udp = true, .payload = 100, .padding = 50 };

	(void)state;
	cut_shape(&tcp, 8, &takes_nothing);
	cut_shape(&udp, 60, &takes_nothing);
}

static void hdr_len_and_a_wrong_partial_checksum_change_nothing(void **state)
{
	const struct shape shape = { .payload = 5000, .tcp_options = true };
	struct frame f = make_frame(&shape);
	const uint16_t lies[] = { 0, 1, 14, 54, 200, (uint16_t)f.len };
	const struct packet p = parsed(&f);

	(void)state;
	put16(f.bytes + f.l4 + 16, 0xbeef);
	for (unsigned i = 0; i < COUNT(lies); i++) {
		struct judge j = { .frame = &f, .original = f.bytes, .size = 1448 };

		f.header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		f.header.gso_size = 1448;
		f.header.hdr_len = lies[i];
		assert_int_equal(segment_check(&f.header, &p, f.len), 0);
		assert_int_equal(segment_do(&f.header, &p, f.bytes, f.len, &takes_nothing, judge_packet, &j), 0);
		assert_int_equal(j.at, 5000);
	}
	free_frame(&f);
}

static int count_only(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	unsigned *calls = ctx;

	(void)header, (void)iov, (void)n;
	return ++*calls == 3 ? -ENOBUFS : 0;
}

static void an_error_of_the_receiver_ends_it(void **state)
{
	const struct shape shape = { .payload = 5000 };
	struct frame f = make_frame(&shape);
	const struct packet p = parsed(&f);
	unsigned calls = 0;

	(void)state;
	f.header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	f.header.gso_size = 100;
	assert_int_equal(segment_do(&f.header, &p, f.bytes, f.len, &takes_nothing, count_only, &calls), -ENOBUFS);
	assert_int_equal(calls, 3);
	free_frame(&f);
}

/* ---- what a receiver takes ---- */

static void tcp_is_cut_smaller_for_who_takes_less_but_datagrams_and_whole_frames_are_not(void **state)
{
	const struct shape tcp = { .payload = 5000 }, udp = { .udp = true, .payload = 5000 };
	struct segment_takes small = { .checksum = true, .tso4 = true, .uso = true, .largest = 1000 };
	struct frame f = make_frame(&tcp), g = make_frame(&udp);
	const struct packet p = parsed(&f), q = parsed(&g);
	struct virtio_net_hdr_v1 header = f.header;
	unsigned calls = 0;

	(void)state;
	cut_and_judge(&f, VIRTIO_NET_HDR_GSO_TCPV4, 1448, &small, 1000 - 54);
	cut_and_judge(&f, VIRTIO_NET_HDR_GSO_TCPV4, 946, &small, 946);
	cut_and_judge(&g, VIRTIO_NET_HDR_GSO_UDP_L4, 958, &small, 958);
	assert_int_equal(segment_do(&header, &p, f.bytes, f.len, &small, count_only, &calls), -EMSGSIZE);
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	header.gso_size = 1448;
	small.largest = 61;
	assert_int_equal(segment_do(&header, &p, f.bytes, f.len, &small, count_only, &calls), -EMSGSIZE);
	g.header.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	g.header.gso_size = 959;
	small.largest = 1000;
	assert_int_equal(segment_do(&g.header, &q, g.bytes, g.len, &small, count_only, &calls), -EMSGSIZE);
	assert_int_equal(calls, 0);
	free_frame(&f);
	free_frame(&g);
}

struct untouched {
	const struct frame *frame;
	struct virtio_net_hdr_v1 header;
	unsigned calls;
};

static int is_the_same(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	struct untouched *u = ctx;

	assert_int_equal(n, 1);
	assert_ptr_equal(iov[0].iov_base, u->frame->bytes);
	assert_int_equal(iov[0].iov_len, u->frame->len);
	assert_memory_equal(header, &u->header, sizeof *header);
	u->calls++;
	return 0;
}

static void passes(const struct frame *f, const struct virtio_net_hdr_v1 *header, const struct segment_takes *takes)
{
	const struct packet p = parsed(f);
	struct untouched u = { .frame = f, .header = *header };
	unsigned char *before = malloc(f->len);

	assert_non_null(before);
	memcpy(before, f->bytes, f->len);
	assert_int_equal(segment_check(&u.header, &p, f->len), 0);
	assert_false(segment_is_needed(&u.header, f->len, takes));
	assert_int_equal(segment_do(&u.header, &p, f->bytes, f->len, takes, is_the_same, &u), 0);
	assert_int_equal(u.calls, 1);
	assert_memory_equal(before, f->bytes, f->len);
	free(before);
}

static void what_is_whole_and_what_the_receiver_takes_passes_untouched(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 8; bits++) {
		const struct shape shape = {
			.ipv6 = bits & 1, .udp = bits & 2, .vlan = bits & 4, .payload = 1001, .padding = bits
		};
		const struct virtio_net_hdr_v1 whole = { .flags = 0 };
		struct frame f = make_frame(&shape);
		struct virtio_net_hdr_v1 header = f.header;

		passes(&f, &whole, &takes_nothing); /* its checksum is wrong: that is what its guest sent */
		passes(&f, &header, &takes_checksum);
		header.gso_type = gso_type_of(&shape);
		header.gso_size = 100;
		passes(&f, &header, &takes_all);
		f.bytes[f.l3] = 0x99;
		passes(&f, &whole, &takes_nothing); /* no packet at all */
		free_frame(&f);
	}
}

static void what_is_needed_is_what_the_receiver_does_not_take(void **state)
{
	struct virtio_net_hdr_v1 h = { .flags = 0 };
	struct segment_takes takes = { .checksum = true, .largest = 1514 };

	(void)state;
	assert_false(segment_is_needed(&h, 1514, &takes));
	assert_true(segment_is_needed(&h, 1515, &takes));
	h.flags = NEEDS_CSUM;
	assert_false(segment_is_needed(&h, 1514, &takes));
	assert_true(segment_is_needed(&h, 60, &takes_nothing));
	h.gso_size = 1448;
	for (unsigned type = 1; type < 6; type++) {
		h.gso_type = (uint8_t)type;
		assert_true(segment_is_needed(&h, 1514, &takes));
		assert_int_equal(segment_is_needed(&h, 1514, &takes_all), type == 2 || type == 3);
		/* Segments without checksums are nothing that can be negotiated: not believed. */
		takes = (struct segment_takes){ false, true, true, true, 1514 };
		assert_true(segment_is_needed(&h, 1514, &takes));
		takes = (struct segment_takes){ .checksum = true, .largest = 1514 };
	}
}

/* ---- checksums alone ---- */

struct whole {
	unsigned char *bytes; /* what must come */
	size_t len;
	unsigned calls;
};

static int is_whole(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	static const struct virtio_net_hdr_v1 nothing;
	struct whole *w = ctx;

	assert_int_equal(n, 1);
	assert_int_equal(iov[0].iov_len, w->len);
	assert_memory_equal(iov[0].iov_base, w->bytes, w->len);
	assert_memory_equal(header, &nothing, sizeof nothing);
	w->calls++;
	return 0;
}

static uint64_t random_state;

static unsigned random_below(unsigned end)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (unsigned)(random_state >> 11) % end;
}

/* No packet is taken apart for that: what is between csum_start and the end, wherever that is. */
static void a_partial_checksum_is_completed_wherever_it_is(void **state)
{
	(void)state;
	random_state = 4711;
	for (unsigned run = 0; run < 20000; run++) {
		const size_t len = 16 + random_below(200);
		const unsigned start = 14 + random_below((unsigned)len - 15);
		const unsigned offset = random_below((unsigned)len - start - 1), zeros = random_below(4);
		struct frame f = { .bytes = malloc(len), .len = len };
		struct virtio_net_hdr_v1 header = { .flags = NEEDS_CSUM,
			                            .csum_start = (uint16_t)start,
			                            .csum_offset = (uint16_t)offset };
		struct whole w = { .bytes = malloc(len), .len = len };
		struct packet p;
		unsigned sum;

		assert_true(f.bytes && w.bytes);
		for (size_t i = 0; i < len; i++)
			f.bytes[i] = zeros ? (unsigned char)random_below(256) : i & 1 ? 0 : 0xff;
		put16(f.bytes + 12, 0x88b5);
		p = parsed(&f);
		memcpy(w.bytes, f.bytes, len);
		sum = ~slow_sum(0, f.bytes + start, len - start) & 0xffff;
		put16(w.bytes + start + offset, sum ? sum : 0xffff);
		assert_int_equal(segment_check(&header, &p, len), 0);
		assert_true(segment_is_needed(&header, len, &takes_nothing));
		assert_int_equal(segment_do(&header, &p, f.bytes, len, &takes_nothing, is_whole, &w), 0);
		assert_int_equal(w.calls, 1);
		free(f.bytes);
		free(w.bytes);
	}
}

static int is_all_ones(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	static unsigned char bytes[NIC_FRAME_MAX];
	const struct frame *f = ctx;
	const size_t len = gather(iov, n, bytes);

	(void)header;
	assert_int_equal(get16(bytes + f->l4 + 6), 0xffff);
	assert_int_equal(slow_sum(slow_pseudo(&f->shape, bytes, f->l3, len - f->l4), bytes + f->l4, len - f->l4),
	                 0xffff);
	return 0;
}

/* 0 would say that there is none, which IPv6 forbids. */
static void a_udp_checksum_of_0_is_sent_as_ffff(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits < 4; bits++) {
		const struct shape shape = { .ipv6 = bits & 1, .udp = true, .payload = 200 };
		struct frame f = make_frame(&shape);
		const struct packet p = parsed(&f);
		const unsigned pseudo = slow_pseudo(&shape, f.bytes, f.l3, f.len - f.l4);

		put16(f.bytes + f.l4 + 6, 0);
		put16(f.bytes + f.payload, 0);
		put16(f.bytes + f.payload, ~slow_sum(pseudo, f.bytes + f.l4, f.len - f.l4) & 0xffff);
		put16(f.bytes + f.l4 + 6, pseudo);
		if (bits & 2) {
			f.header.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
			f.header.gso_size = 200;
		}
		assert_int_equal(segment_do(&f.header, &p, f.bytes, f.len, &takes_nothing, is_all_ones, &f), 0);
		free_frame(&f);
	}
}

/* ---- headers that lie ---- */

static void a_header_that_is_not_the_frames_is_none(void **state)
{
	const struct shape tcp4 = { .payload = 1000 }, tcp6 = { .ipv6 = true, .payload = 1000 };
	const struct shape udp4 = { .udp = true, .payload = 1000 }, tagged = { .vlan = true, .payload = 1000 };
	const struct shape *const shapes[] = { &tcp4, &tcp6, &udp4, &tagged };
	static const struct {
		uint8_t shape, flags, type;
		uint16_t size, start, offset, hdr_len;
		int rc;
	} cases[] = {
		{ 0, 1, 1, 100, 34, 16, 54, 0 },
		{ 0, 1, 0x81, 100, 34, 16, 54, 0 },
		{ 1, 1, 4, 100, 54, 16, 74, 0 },
		{ 1, 1, 0x84, 100, 54, 16, 74, 0 },
		{ 2, 1, 5, 100, 34, 6, 42, 0 },
		{ 3, 1, 1, 100, 38, 16, 58, 0 },
		{ 0, 0, 1, 100, 34, 16, 54, -EBADMSG }, /* GSO without a checksum */
		{ 0, 1, 1, 0, 34, 16, 54, -EBADMSG },   /* without a size */
		{ 0, 1, 1, 7, 34, 16, 54, -EBADMSG },   /* of more packets than anybody makes */
		{ 2, 1, 5, 7, 34, 6, 42, -EBADMSG },    /* ... 143 datagrams */
		{ 2, 1, 5, 8, 34, 6, 42, 0 },           /* 125 */
		{ 0, 1, 4, 100, 34, 16, 54, -EBADMSG }, /* of the other family */
		{ 1, 1, 1, 100, 54, 16, 74, -EBADMSG },
		{ 2, 1, 1, 100, 34, 16, 42, -EBADMSG }, /* of another protocol */
		{ 0, 1, 5, 100, 34, 6, 54, -EBADMSG },
		{ 0, 1, 3, 100, 34, 16, 54, -EBADMSG }, /* UFO, and what is no type */
		{ 2, 1, 0x85, 100, 34, 6, 42, -EBADMSG },
		{ 0, 1, 0x80, 100, 34, 16, 54, -EBADMSG },
		{ 0, 1, 2, 100, 34, 16, 54, -EBADMSG },
		{ 0, 1, 0xff, 100, 34, 16, 54, -EBADMSG },
		{ 0, 1, 1, 100, 35, 16, 54, -EBADMSG }, /* with another checksum than TCP's */
		{ 0, 1, 1, 100, 34, 6, 54, -EBADMSG },
		{ 0, 1, 1, 100, 14, 10, 54, -EBADMSG },
		{ 0, 1, 1, 100, 34, 16, 1054, 0 }, /* hdr_len may lie, within the frame */
		{ 0, 1, 1, 100, 34, 16, 1055, -EBADMSG },
		{ 0, 1, 0, 9, 14, 0, 9, 0 }, /* a checksum anywhere behind the Ethernet header */
		{ 0, 1, 0, 0, 13, 0, 0, -EBADMSG },
		{ 0, 1, 0, 0, 0, 20, 0, -EBADMSG },
		{ 3, 1, 0, 0, 17, 0, 0, -EBADMSG }, /* with its tag */
		{ 3, 1, 0, 0, 18, 0, 0, 0 },
		{ 0, 1, 0, 0, 34, 1018, 0, 0 }, /* its last two bytes */
		{ 0, 1, 0, 0, 34, 1019, 0, -EBADMSG },
		{ 0, 1, 0, 0, 65535, 65535, 0, -EBADMSG },
		{ 0, 0xfe, 0, 9, 65535, 65535, 65535, 0 }, /* flags that we do not know; then the rest means nothing */
	};

	(void)state;
	for (unsigned i = 0; i < COUNT(cases); i++) {
		struct frame f = make_frame(shapes[cases[i].shape]);
		struct virtio_net_hdr_v1 h = { .flags = cases[i].flags,
			                       .gso_type = cases[i].type,
			                       .hdr_len = cases[i].hdr_len,
			                       .gso_size = cases[i].size,
			                       .csum_start = cases[i].start,
			                       .csum_offset = cases[i].offset,
			                       .num_buffers = 77 };
		const struct packet p = parsed(&f);
		const int rc = segment_check(&h, &p, f.len);

		if (rc != cases[i].rc)
			fail_msg("case %u: %d", i, rc);
		if (rc == 0) {
			assert_int_equal(h.flags, cases[i].flags & NEEDS_CSUM);
			assert_int_equal(h.num_buffers, 0);
			assert_int_equal(h.gso_size, h.gso_type ? cases[i].size : 0);
			assert_int_equal(h.csum_start, h.flags ? cases[i].start : 0);
		}
		free_frame(&f);
	}
}

static void pieces_frames_of_no_length_and_headers_that_are_not_copied_are_not_cut(void **state)
{
	const struct shape shape = { .payload = 1000 };
	struct frame f = make_frame(&shape);
	struct virtio_net_hdr_v1 h = f.header, gso = h, none = { .flags = 0 };
	struct packet p = parsed(&f);

	(void)state;
	gso.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	gso.gso_size = 100;
	assert_int_equal(segment_check(&none, &p, 13), -EBADMSG);
	assert_int_equal(segment_check(&none, &p, NIC_FRAME_MAX + 1), -EBADMSG);
	p.payload = PACKET_HEAD + 1;
	assert_int_equal(segment_check(&gso, &p, f.len), -EBADMSG);
	p = parsed(&f);
	p.kind = PACKET_FRAGMENT;
	assert_int_equal(segment_check(&gso, &p, f.len), -EBADMSG);
	assert_int_equal(segment_check(&h, &p, f.len), 0);
	free_frame(&f);
}

struct bounds {
	size_t bytes, largest;
	unsigned packets;
};

static int stays_within(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	static unsigned char bytes[NIC_FRAME_MAX];
	struct bounds *b = ctx;
	const size_t len = gather(iov, n, bytes);

	assert_in_range(len, ETH_HLEN, b->largest);
	if (header->flags)
		assert_true((size_t)header->csum_start + header->csum_offset + 2 <= len);
	b->bytes += len;
	b->packets++;
	return 0;
}

static unsigned extreme(size_t len)
{
	static const unsigned values[] = { 0,  1,   2,   13,  14,    18,    20,    33,   34,
		                           54, 255, 256, 257, 32767, 32768, 65534, 65535 };
	const unsigned which = random_below(COUNT(values) + 8);

	return which < COUNT(values) ? values[which]
	       : which & 1           ? random_below(65536)
	                             : (unsigned)len - random_below(4);
}

static void hostile_frame(unsigned run)
{
	static const uint8_t types[] = { 0, 1, 4, 5, 0x81, 0x84, 3, 0x85, 0x80, 2, 0xff };
	const struct shape shape = { .ipv6 = run & 1,
		                     .udp = run & 2,
		                     .vlan = run & 4,
		                     .options = run & 8,
		                     .tcp_options = run & 16,
		                     .route = (enum route)random_below(3),
		                     .payload = random_below(run % 64 ? 300 : 60000) };
	struct frame f = make_frame(&shape);
	struct virtio_net_hdr_v1 h = f.header;
	const struct segment_takes takes = { .checksum = random_below(2),
		                             .tso4 = random_below(2),
		                             .tso6 = random_below(2),
		                             .uso = random_below(2),
		                             .largest = random_below(4) ? NIC_FRAME_MAX : 14 + extreme(f.len) };
	struct bounds b = { .largest = takes.largest < NIC_FRAME_MAX ? takes.largest : NIC_FRAME_MAX };
	struct packet p;
	int rc;

	for (unsigned n = random_below(4); n > 0; n--)
		f.bytes[random_below((unsigned)(f.len < 128 ? f.len : 128))] ^= (unsigned char)(1u << random_below(8));
	if (!random_below(8))
		f.len = 14 + random_below((unsigned)f.len - 13);
	h.flags = random_below(8) ? NEEDS_CSUM : (uint8_t)random_below(256);
	h.gso_type = types[random_below(COUNT(types))];
	h.gso_size = (uint16_t)extreme(f.len);
	h.hdr_len = (uint16_t)(random_below(2) ? f.payload : extreme(f.len));
	if (!random_below(3))
		h.csum_start = (uint16_t)extreme(f.len);
	if (!random_below(3))
		h.csum_offset = (uint16_t)extreme(f.len);
	f.bytes = realloc(f.bytes, f.len);
	assert_non_null(f.bytes);
	p = parsed(&f);
	rc = segment_do(&h, &p, f.bytes, f.len, &takes, stays_within, &b);
	assert_true(rc == 0 || rc == -EBADMSG || rc == -EMSGSIZE);
	assert_int_equal(rc == -EBADMSG, segment_check(&h, &p, f.len) < 0);
	assert_int_equal(rc == 0, b.packets > 0);
	assert_in_range(b.packets, 0, 65536 / 8);
	free_frame(&f);
}

static void hostile_headers_do_no_harm(void **state)
{
	(void)state;
	random_state = 42;
	for (unsigned run = 0; run < 100000; run++)
		hostile_frame(run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_packet_that_is_cut_is_right_and_all_payload_arrives),
		TEST(the_longest_frames_are_cut),
		TEST(fin_and_psh_are_in_the_last_packet_only_and_cwr_in_the_first),
		TEST(gso_with_ecn_is_cut_even_for_who_takes_the_rest),
		TEST(routed_packets_are_summed_with_the_address_that_the_route_ends_at),
		TEST(an_ipv4_length_of_0_is_the_frames),
		TEST(padding_behind_the_packet_is_not_cut_with_it),
		TEST(hdr_len_and_a_wrong_partial_checksum_change_nothing),
		TEST(an_error_of_the_receiver_ends_it),
		TEST(tcp_is_cut_smaller_for_who_takes_less_but_datagrams_and_whole_frames_are_not),
		TEST(what_is_whole_and_what_the_receiver_takes_passes_untouched),
		TEST(what_is_needed_is_what_the_receiver_does_not_take),
		TEST(a_partial_checksum_is_completed_wherever_it_is),
		TEST(a_udp_checksum_of_0_is_sent_as_ffff),
		TEST(a_header_that_is_not_the_frames_is_none),
		TEST(pieces_frames_of_no_length_and_headers_that_are_not_copied_are_not_cut),
		TEST(hostile_headers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
