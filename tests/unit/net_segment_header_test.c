/* SPDX-License-Identifier: MIT */
/*
 * net_segment_header_test.c - plugins/net/segment.c: what a header leaves to be done but cutting, and headers that lie,
 * which do no harm.
 */
#include "tests/unit/net_segment_frame.h"

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
		TEST(a_partial_checksum_is_completed_wherever_it_is),
		TEST(a_udp_checksum_of_0_is_sent_as_ffff),
		TEST(a_header_that_is_not_the_frames_is_none),
		TEST(pieces_frames_of_no_length_and_headers_that_are_not_copied_are_not_cut),
		TEST(hostile_headers_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
