/* SPDX-License-Identifier: MIT */
/*
 * net_segment_test.c - plugins/net/segment.c: what comes of a frame that left cutting to others is what a card would
 * have sent: each packet is judged by a second, slow implementation here, byte by byte, and the payload put together
 * again is what it was. Checksums alone, and headers that lie: net_segment_header_test.c.
 */
#include "tests/unit/net_segment_frame.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
