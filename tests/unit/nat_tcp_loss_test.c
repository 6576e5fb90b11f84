/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_loss_test.c - proves that nothing is lost or said twice when frames between guest and plugin are lost,
 * repeated or change places: 4 MiB each way, byte by byte, by our own retransmission.
 */
#include "tests/unit/nat_tcp_case.h"

#define LOOKS 1000u

static struct tcp_case c;

/* ---- a bad link ---- */

/* Frames of a thousand. */
struct link {
	unsigned lost, repeated, swapped;
	uint64_t random;
	bool busy;
	/* A frame to the plugin that waits for the next one to overtake it. */
	unsigned char kept[NIC_FRAME_MAX];
	size_t kept_len;
	unsigned n_lost, n_repeated, n_swapped;
};

static struct link link_state;

/* xorshift: the same at each run. */
static unsigned roll(struct link *link)
{
	link->random ^= link->random << 13;
	link->random ^= link->random >> 7;
	link->random ^= link->random << 17;
	return (unsigned)(link->random >> 33) % 1000;
}

static void send_raw(const void *frame, size_t len)
{
	struct virtio_net_hdr_v1 header = { .flags = 0 };

	if (len > 1514u) {
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = 34;
		header.csum_offset = 16;
		header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		header.gso_size = 1460;
		header.hdr_len = 54;
	}
	nat_send_with(&c.guest, 0, &header, frame, len, 0);
}

static bool lose(void *ctx, bool to_guest, const void *frame, size_t len)
{
	struct link *link = ctx;

	if (link->busy)
		return false;
	if (roll(link) < link->lost) {
		link->n_lost++;
		return true;
	}
	if (to_guest)
		return false; /* the rest is fate() */
	if (link->kept_len) {
		const size_t kept_len = link->kept_len;

		link->kept_len = 0;
		link->busy = true;
		send_raw(frame, len);
		send_raw(link->kept, kept_len);
		link->busy = false;
		return true;
	}
	if (roll(link) < link->repeated) {
		link->n_repeated++;
		link->busy = true;
		send_raw(frame, len);
		link->busy = false;
		return false;
	}
	if (roll(link) < link->swapped) {
		link->n_swapped++;
		memcpy(link->kept, frame, len);
		link->kept_len = len;
		return true;
	}
	return false;
}

static enum tcp_guest_fate fate(void *ctx)
{
	struct link *link = ctx;

	if (roll(link) < link->repeated) {
		link->n_repeated++;
		return ARRIVES_TWICE;
	}
	if (roll(link) < link->swapped) {
		link->n_swapped++;
		return ARRIVES_LATER;
	}
	return ARRIVES;
}

/* ---- until all is there, with time-outs where nothing moves ---- */

static uint64_t length;

/* The loop has nothing to do and the other side is not there yet: whatever is waited for is a time-out. */
static bool in_time(bool (*done)(void *ctx), void *ctx)
{
	uint64_t seen = 0;

	for (unsigned i = 0; i < LOOKS; i++) {
		uint64_t now;

		tcp_guest_settle(&c.t);
		if (done(ctx))
			return true;
		now = c.t.received + c.received + c.sent + c.t.frames + c.t.acks;
		if (now == seen) {
			nat_pass(&c.guest, 300);
			tcp_guest_timeout(&c.t);
		}
		seen = now;
	}
	return false;
}

static bool all_done_in_time(void *ctx)
{
	return in_time(all_done, ctx);
}

static bool is_ended(void *ctx)
{
	return peer_is_at_end(ctx) && no_flows(ctx);
}

static bool ended_in_time(void *ctx)
{
	return in_time(is_ended, ctx);
}

static void transfer(const struct variant *v, const struct link *link, bool sack, size_t frame, size_t receive_buffer)
{
	length = link->lost > 100 ? 256u << 10 : 4u << 20;
	case_begin(&c, v);
	if (receive_buffer)
		c.guest.buffer_size = receive_buffer;
	link_state = *link;
	link_state.random = 0x9e3779b97f4a7c15u;
	c.t.sack = sack;
	if (frame)
		c.t.frame = frame;
	tcp_guest_connect(&c.t);
	case_accept(&c);
	c.guest.lose = lose;
	c.guest.ctx = c.t.ctx = &link_state;
	c.t.fate = fate;
	if (link->lost)
		c.t.flight = 16 * c.t.frame;
	tcp_guest_send(&c.t, length);
	c.wanted = length;
	case_until(&c, all_done_in_time);
	assert_false(c.t.reset);
	tcp_guest_fin(&c.t);
	shutdown(c.fd, SHUT_WR);
	case_until(&c, ended_in_time);
	assert_true(c.at_end);
	assert_int_equal(c.received, length);
	assert_int_equal(c.t.received, length);
	assert_int_equal(c.guest.nat->tcp->pool.bytes, 0);
	print_message("%s%s: %u lost, %u repeated, %u swapped; %llu sent again to the guest\n", v->name,
	              sack ? "" : ", no SACK", link_state.n_lost, link_state.n_repeated, link_state.n_swapped,
	              (unsigned long long)nat_counter(&c.guest, "tcp_retransmits"));
	case_end(&c);
}

static const struct link bad = { .lost = 20, .repeated = 20, .swapped = 20 };

static void test_clean_link_repeats_nothing(void **state)
{
	static const struct link clean;

	(void)state;
	EACH_VARIANT(v)
	transfer(v, &clean, true, 0, 0);
}

static void test_transfer_survives_a_bad_link(void **state)
{
	(void)state;
	EACH_VARIANT(v)
	{
		if (v->domain != AF_INET || v->options != variants[0].options)
			continue;
		transfer(v, &bad, true, 0, 0);
		transfer(v, &bad, false, 0, 0);
	}
}

static void test_transfer_survives_lost_segmented_frames(void **state)
{
	(void)state;
	transfer(&variants[0], &bad, true, 14600, 0);
	transfer(&variants[1], &bad, false, 14600, 0);
}

static void test_transfer_survives_heavy_loss(void **state)
{
	static const struct link worst = { .lost = 200, .repeated = 50, .swapped = 100 };

	(void)state;
	transfer(&variants[0], &worst, true, 0, 0);
	transfer(&variants[1], &worst, true, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_link_repeats_nothing),
		cmocka_unit_test(test_transfer_survives_a_bad_link),
		cmocka_unit_test(test_transfer_survives_lost_segmented_frames),
		cmocka_unit_test(test_transfer_survives_heavy_loss),
	};

	return cmocka_run_group_tests_name("nat_tcp_loss", tests, NULL, NULL);
}
