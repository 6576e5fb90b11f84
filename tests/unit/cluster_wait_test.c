/* SPDX-License-Identifier: MIT */
/*
 * cluster_wait_test.c - who waits for whose room in a switch (serve-wait.c), with ports and rings but no processes: the
 * test is the members' side, and says what time it is.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugins/cluster-switch/serve-private.h"

#define LONG_FRAME 60000u
#define FILLS (RING_SIZE / LONG_FRAME) /* so many fit a ring, but for their heads */
#define PATIENCE_MS 50u

enum { A, B, C, MEMBERS };

struct fixture {
	struct serve *serve;
	struct peer *peers[MEMBERS];
	struct ring *members[MEMBERS];
	unsigned sent;
};

static int port_send(void *ctx, const struct bridge_frame *frame)
{
	struct peer *peer = ctx;

	return ring_put(peer->ring, &frame->header, frame->iov, frame->n) < 0 ? -EAGAIN : 0;
}

static void port_flush(void *ctx)
{
	struct peer *peer = ctx;

	ring_publish(peer->ring);
}

static void mac_of(unsigned member, unsigned char mac[ETH_ALEN])
{
	const unsigned char it[ETH_ALEN] = { 0x52, 0x54, 0, 0, 0, (unsigned char)(member + 1) };

	memcpy(mac, it, sizeof it);
}

static int begin(void **state)
{
	static const struct bridge_port_operations operations = { .send = port_send, .flush = port_flush };
	struct fixture *x = calloc(1, sizeof *x);
	struct serve *serve = calloc(1, sizeof *serve);
	char cause[256];

	assert_non_null(x);
	assert_non_null(serve);
	x->serve = serve;
	TAILQ_INIT(&serve->line);
	TAILQ_INIT(&serve->waiting);
	serve->now_ms = 1000;
	serve->patience.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	assert_int_equal(bridge_new(&serve->bridge), 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct bridge_port_options options = { .name = "a" };
		struct peer *peer = calloc(1, sizeof *peer);
		int memfd, ends[2];

		assert_non_null(peer);
		options.name[0] = (char)('a' + i);
		mac_of(i, options.mac);
		peer->serve = serve;
		peer->state = PEER_MEMBER;
		assert_int_equal(ring_memory_new(&memfd), 0);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
		assert_int_equal(ring_new(RING_SWITCH, memfd, ends[0], &peer->ring), 0);
		assert_int_equal(ring_new(RING_MEMBER, memfd, ends[1], &x->members[i]), 0);
		close(memfd);
		assert_int_equal(
			bridge_port_add(serve->bridge, &options, &operations, peer, &peer->port, cause, sizeof cause),
			0);
		x->peers[i] = peer;
	}
	*state = x;
	return 0;
}

static int end(void **state)
{
	struct fixture *x = *state;

	for (unsigned i = 0; i < MEMBERS; i++) {
		ring_free(x->peers[i]->ring);
		ring_free(x->members[i]);
		free(x->peers[i]);
	}
	bridge_free(x->serve->bridge);
	close(x->serve->patience.fd);
	free(x->serve);
	free(x);
	return 0;
}

static void send_frame(struct fixture *x, unsigned from, const unsigned char to[ETH_ALEN], size_t len)
{
	static unsigned char bytes[LONG_FRAME];
	const struct virtio_net_hdr_v1 header = { 0 };
	const struct iovec iov = { bytes, len };

	memcpy(bytes, to, ETH_ALEN);
	mac_of(from, bytes + ETH_ALEN);
	memcpy(bytes + 2 * ETH_ALEN, "\x88\xb5", 2);
	memcpy(bytes + ETH_HLEN, &x->sent, sizeof x->sent);
	x->sent++;
	assert_int_equal(ring_put(x->members[from], &header, &iov, 1), 0);
	ring_publish(x->members[from]);
}

static void send_to(struct fixture *x, unsigned from, unsigned to, size_t len)
{
	unsigned char mac[ETH_ALEN];

	mac_of(to, mac);
	send_frame(x, from, mac, len);
}

/* A turn of the member's port, as serve.c has it; how many of its frames were forwarded. */
static unsigned turn(struct fixture *x, unsigned member)
{
	struct peer *peer = x->peers[member];
	struct bridge_frame frame;
	struct ring_frame in;
	unsigned n = 0;

	while (ring_peek(peer->ring, &in) == 1 && !peer_waits(peer, &in)) {
		assert_true(bridge_frame_make(&frame, &in.header, in.pieces, in.n, in.len));
		bridge_forward(peer->port, &frame, x->serve->now_ms);
		ring_pop(peer->ring);
		n++;
	}
	ring_release(peer->ring);
	bridge_flush(x->serve->bridge);
	return n;
}

/* What has come for the member, all of it. The numbers that the frames have must be in order. */
static unsigned take(struct fixture *x, unsigned member)
{
	struct ring_frame frame;
	unsigned n = 0, last = 0, number;

	while (ring_peek(x->members[member], &frame) == 1) {
		assert_true(frame.pieces[0].iov_len >= ETH_HLEN + sizeof number || frame.n == 2);
		if (frame.pieces[0].iov_len >= ETH_HLEN + sizeof number) {
			memcpy(&number, (char *)frame.pieces[0].iov_base + ETH_HLEN, sizeof number);
			assert_true(n == 0 || number > last);
			last = number;
		}
		ring_pop(x->members[member]);
		n++;
	}
	ring_release(x->members[member]);
	return n;
}

static uint64_t lost(const struct fixture *x, unsigned member)
{
	return bridge_port_counters(x->peers[member]->port)->full_dropped;
}

static bool is_woken(const struct fixture *x, unsigned member)
{
	struct pollfd fd = { ring_wake_fd(x->peers[member]->ring), POLLIN, 0 };

	return poll(&fd, 1, 0) == 1;
}

/* A sends to B until B's ring is full, and B takes nothing. */
static void fill(struct fixture *x)
{
	const uint64_t lost_before = lost(x, B);

	for (unsigned i = 0; i < FILLS; i++)
		send_to(x, A, B, LONG_FRAME);
	assert_in_range(turn(x, A), FILLS - 2, FILLS);
	for (unsigned i = 0; i < 10; i++)
		send_to(x, A, B, LONG_FRAME);
	turn(x, A);
	assert_ptr_equal(x->peers[A]->waits_for, x->peers[B]);
	assert_int_equal(lost(x, B), lost_before);
}

static void who_sends_to_one_alone_loses_nothing(void **state)
{
	struct fixture *x = *state;
	unsigned came = 0;

	fill(x);
	while (came < x->sent) {
		came += take(x, B);
		assert_true(is_woken(x, B)); /* by its room */
		assert_true(ring_wake_clear(x->peers[B]->ring));
		waiters_resume(x->peers[B]);
		assert_true(x->peers[A]->in_line);
		TAILQ_REMOVE(&x->serve->line, x->peers[A], in_turn);
		x->peers[A]->in_line = false;
		turn(x, A);
		if (x->sent < 5 * FILLS) {
			for (unsigned i = 0; i < FILLS; i++)
				send_to(x, A, B, LONG_FRAME);
			turn(x, A);
		} else if (!x->peers[A]->waits_for) {
			came += take(x, B);
		}
	}
	assert_int_equal(came, x->sent);
	assert_int_equal(lost(x, B), 0);
}

static void a_port_that_takes_nothing_is_not_waited_for_for_long(void **state)
{
	struct fixture *x = *state;
	unsigned came;

	fill(x);
	x->serve->now_ms += PATIENCE_MS - 1;
	patience_ended(x->serve);
	assert_int_equal(turn(x, A), 0);
	x->serve->now_ms += 1;
	patience_ended(x->serve);
	assert_null(x->peers[A]->waits_for);
	assert_true(turn(x, A) >= 10);
	assert_true(lost(x, B) >= 10);
	/* Nor is the next one, until it has taken some. */
	send_to(x, A, B, LONG_FRAME);
	assert_int_equal(turn(x, A), 1);
	came = take(x, B);
	assert_int_equal(came + lost(x, B), x->sent);
	fill(x);
}

static void what_is_for_others_does_not_wait(void **state)
{
	struct fixture *x = *state;

	fill(x);
	send_to(x, A, C, 60);
	send_to(x, A, B, LONG_FRAME);
	/* What stands before it is lost; what stands behind it may wait. */
	assert_true(turn(x, A) >= 11);
	assert_int_equal(take(x, C), 1);
	assert_in_range(lost(x, B), 10, 12);
	assert_ptr_equal(x->peers[A]->waits_for, x->peers[B]);
}

static void broadcasts_do_not_wait(void **state)
{
	static const unsigned char everybody[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct fixture *x = *state;

	fill(x);
	send_frame(x, A, everybody, 60);
	turn(x, A);
	assert_int_equal(take(x, C), 1);
	assert_null(x->peers[A]->waits_for);
}

static void the_switch_is_woken_by_what_comes_for_others_meanwhile(void **state)
{
	struct fixture *x = *state;

	fill(x);
	assert_true(ring_wait_more(x->peers[A]->ring));
	assert_false(is_woken(x, A));
	send_to(x, A, C, 60);
	assert_true(is_woken(x, A));
	turn(x, A);
	assert_int_equal(take(x, C), 1);
}

static void others_send_while_one_waits(void **state)
{
	struct fixture *x = *state;

	fill(x);
	send_to(x, C, A, 60);
	assert_int_equal(turn(x, C), 1);
	assert_int_equal(take(x, A), 1);
	/* To the full port as well: it waits, too, and both go on. */
	send_to(x, C, B, LONG_FRAME);
	turn(x, C);
	assert_ptr_equal(x->peers[C]->waits_for, x->peers[B]);
	take(x, B);
	waiters_resume(x->peers[B]);
	turn(x, C);
	turn(x, A);
	assert_int_equal(lost(x, B), 0);
	assert_null(x->peers[A]->waits_for);
	assert_null(x->peers[C]->waits_for);
}

static void who_goes_waits_for_nobody_and_nobody_for_it(void **state)
{
	struct fixture *x = *state;

	fill(x);
	waiters_forget(x->peers[B]);
	assert_null(x->peers[A]->waits_for);
	assert_true(x->peers[A]->in_line);
	turn(x, A);
	assert_ptr_equal(x->peers[A]->waits_for, x->peers[B]);
	waiters_forget(x->peers[A]);
	assert_true(TAILQ_EMPTY(&x->serve->waiting));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
	const struct CMUnitTest tests[] = {
		TEST(who_sends_to_one_alone_loses_nothing),
		TEST(a_port_that_takes_nothing_is_not_waited_for_for_long),
		TEST(what_is_for_others_does_not_wait),
		TEST(broadcasts_do_not_wait),
		TEST(the_switch_is_woken_by_what_comes_for_others_meanwhile),
		TEST(others_send_while_one_waits),
		TEST(who_goes_waits_for_nobody_and_nobody_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
