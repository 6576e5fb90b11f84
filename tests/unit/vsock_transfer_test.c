/* SPDX-License-Identifier: MIT */
/*
 * vsock_transfer_test.c - core/vsock/transfer.c: bytes arrive complete and in order whatever fits where, messages keep
 * their boundaries, credit is kept in both directions, and nobody starves another.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/descriptors.h"
#include "tests/unit/vsock_guest.h"

#define STREAM VIRTIO_VSOCK_TYPE_STREAM
#define SEQPACKET VIRTIO_VSOCK_TYPE_SEQPACKET
#define OP(name) VIRTIO_VSOCK_OP_##name
#define GPORT 5000u
#define HPORT 80u
#define MAX_SEND (GUEST_MAX_SEND - 64)

static int listener;
static unsigned before;

static int setup_type(void **state, int type)
{
	before = open_descriptors();
	guest_setup(state);
	listener = host_listener("app", type);
	return 0;
}

static int setup(void **state)
{
	return setup_type(state, SOCK_STREAM);
}

static int setup_seqpacket(void **state)
{
	return setup_type(state, SOCK_SEQPACKET);
}

static int teardown(void **state)
{
	int rc = guest_teardown(state);

	close(listener);
	assert_int_equal(open_descriptors(), before);
	return rc;
}

static unsigned char byte_at(size_t n)
{
	return (unsigned char)(n * 31 + n / 251);
}

static void fill(unsigned char *to, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		to[i] = byte_at(from + i);
}

static void assert_bytes(const unsigned char *bytes, size_t from, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != byte_at(from + i))
			fail_msg("byte %zu is %u, not %u", from + i, bytes[i], byte_at(from + i));
}

/* A guest that respects its credit. */
struct sender {
	uint32_t sent, buf_alloc, fwd_cnt;
};

static void hear_credit(struct sender *s)
{
	struct packet packet;

	while (guest_receive(&packet)) {
		assert_int_equal(packet.h.op, OP(CREDIT_UPDATE));
		s->buf_alloc = packet.h.buf_alloc;
		s->fwd_cnt = packet.h.fwd_cnt;
		assert_true(s->sent - s->fwd_cnt <= s->buf_alloc);
	}
}

static uint32_t room(const struct sender *s)
{
	return s->buf_alloc - (s->sent - s->fwd_cnt);
}

static int connected(uint16_t type, struct sender *s, uint32_t buf_alloc)
{
	struct virtio_vsock_hdr h = guest_header(OP(REQUEST), GPORT, HPORT);
	struct packet packet;

	h.type = type;
	h.buf_alloc = buf_alloc;
	guest_send(h, NULL);
	guest_expect(OP(RESPONSE), GPORT, HPORT, &packet);
	*s = (struct sender){ .buf_alloc = packet.h.buf_alloc };
	return host_accept(listener);
}

static void send_bytes(struct sender *s, uint32_t len, uint32_t flags, uint16_t type)
{
	static unsigned char bytes[GUEST_MAX_SEND];
	struct virtio_vsock_hdr h = guest_header(OP(RW), GPORT, HPORT);

	fill(bytes, s->sent, len);
	h.type = type;
	h.len = len;
	h.flags = flags;
	guest_send(h, bytes);
	s->sent += len;
}

/* ---- guest to host ---- */

static void drain(int fd, size_t *got, size_t most)
{
	static unsigned char bytes[1 << 16];

	while (most > 0) {
		ssize_t n = host_read(fd, bytes, most < sizeof bytes ? most : sizeof bytes);

		if (n <= 0)
			return;
		assert_bytes(bytes, *got, (size_t)n);
		*got += (size_t)n;
		most -= (size_t)n;
	}
}

/* The socket is full most of the time: what does not fit is kept, and credit tells the guest to wait. */
static void guest_to_host(bool one_descriptor)
{
	struct sender s;
	size_t got = 0, total = 8 << 20;
	int fd = connected(STREAM, &s, 4096);
	unsigned round = 0;

	guest.one_descriptor = one_descriptor;
	while (got < total) {
		uint32_t len = 1 + (round++ * 7919) % MAX_SEND;

		if (s.sent < total && room(&s) >= len)
			send_bytes(&s, len, 0, STREAM);
		else
			drain(fd, &got, 1 + (round * 104729) % 300000);
		guest_settle();
		hear_credit(&s);
		if (s.sent >= total)
			total = s.sent;
	}
	assert_int_equal(got, s.sent);
	assert_int_equal(counter_of("tx_bytes"), s.sent);
	assert_int_equal(counter_of("credit_violations"), 0);
	close(fd);
}

static void a_slow_reader_gets_every_byte(void **state)
{
	(void)state;
	guest_to_host(false);
}

static void header_and_payload_may_share_a_descriptor(void **state)
{
	(void)state;
	guest_to_host(true);
}

/* A guest of Linux waits for credit without asking: it must be told while it believes 64 KiB to be free. */
static void credit_comes_before_the_guest_runs_dry(void **state)
{
	struct sender s;
	size_t got = 0;
	int fd = connected(STREAM, &s, 4096);

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		send_bytes(&s, 30000, 0, STREAM);
		drain(fd, &got, SIZE_MAX);
		hear_credit(&s);
		assert_true(room(&s) >= 64 << 10);
	}
	/* But not with every packet. */
	assert_in_range(counter_of("rx_packets"), 2, 60);
	close(fd);
}

static void a_guest_that_ignores_credit_loses_its_connection(void **state)
{
	struct sender s;
	int fd = connected(STREAM, &s, 4096), other;
	struct packet packet;
	unsigned n = 0;

	(void)state;
	guest_connect(STREAM, GPORT + 1, HPORT, 4096);
	other = host_accept(listener);
	while (!guest_receive(&packet) || packet.h.op == OP(CREDIT_UPDATE)) {
		send_bytes(&s, MAX_SEND, 0, STREAM);
		assert_true(n++ < 30); /* bounded: socket and backlog */
	}
	assert_int_equal(packet.h.op, OP(RST));
	assert_int_equal(counter_of("credit_violations"), 1);
	assert_int_equal(counter_of("connections_open"), 1);
	assert_int_equal(board_log_lines(), 1);
	close(fd);
	close(other);
}

static void what_was_sent_before_the_end_arrives(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(SHUTDOWN), GPORT, HPORT);
	struct sender s;
	size_t got = 0;
	int fd = connected(STREAM, &s, 4096);
	unsigned char byte;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		send_bytes(&s, MAX_SEND, 0, STREAM);
	hear_credit(&s);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
	guest_send(h, NULL);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	/* It is over for the guest, which may use the ports again; and even go. */
	driver_reset(&guest.driver);
	for (unsigned i = 0; i < 50; i++) {
		drain(fd, &got, 20000);
		guest_settle();
	}
	assert_int_equal(got, s.sent);
	assert_int_equal(host_read(fd, &byte, 1), 0);
	assert_int_equal(counter_of("connections_open"), 0);
	close(fd);
}

static unsigned requests_out(void)
{
	const struct ring *tx = &guest.rings[TX_QUEUE];

	return (uint16_t)(tx->avail->idx - tx->used->idx);
}

/* A few requests stay with it, all others go on; when it has read, or its connection is over, the guest has them back.
 */
static void a_slow_reader_does_not_hold_the_queue(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(SHUTDOWN), GPORT, HPORT);
	struct sender s;
	size_t got = 0;
	int fd = connected(STREAM, &s, 4096);

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; requests_out() == 0; i++) {
			send_bytes(&s, 20000, 0, STREAM);
			hear_credit(&s);
		}
		for (unsigned i = 0; i < 300; i++)
			send_bytes(&s, 100, 0, STREAM);
		assert_int_equal(requests_out(), MAX_HELD);
		if (round > 0)
			break;
		while (got < s.sent) {
			drain(fd, &got, 50000);
			guest_settle();
		}
		assert_int_equal(requests_out(), 0);
		hear_credit(&s);
	}
	h.flags = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;
	guest_send(h, NULL);
	assert_int_equal(requests_out(), 0);
	while (got < s.sent) {
		drain(fd, &got, 50000);
		guest_settle();
	}
	assert_int_equal(counter_of("connections_open"), 0);
	close(fd);
}

static void half_close_comes_behind_the_bytes(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(SHUTDOWN), GPORT, HPORT);
	struct sender s;
	size_t got = 0;
	int fd = connected(STREAM, &s, 4096);
	unsigned char byte;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		send_bytes(&s, MAX_SEND, 0, STREAM);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	guest_send(h, NULL);
	for (unsigned i = 0; i < 50; i++) {
		drain(fd, &got, 20000);
		guest_settle();
	}
	assert_int_equal(got, s.sent);
	assert_int_equal(host_read(fd, &byte, 1), 0);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

static void a_peer_that_vanishes_with_a_backlog(void **state)
{
	struct packet packet;
	struct sender s;
	int fd = connected(STREAM, &s, 4096);

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		send_bytes(&s, MAX_SEND, 0, STREAM);
	close(fd);
	guest_settle();
	while (guest_receive(&packet))
		;
	assert_true(packet.h.op == OP(RST) || packet.h.op == OP(SHUTDOWN));
	guest_send(guest_header(OP(RST), GPORT, HPORT), NULL);
	assert_int_equal(counter_of("connections_open"), 0);
}

/* ---- host to guest ---- */

/* The host writes when there is room; the guest reads, and says so as Linux does. */
static void host_to_guest(uint32_t buf_alloc, bool withhold)
{
	static unsigned char bytes[100000];
	size_t total = 4 << 20, written = 0, got = 0, told = 0;
	struct sender s;
	struct packet packet;
	int fd = connected(STREAM, &s, buf_alloc);

	if (withhold)
		guest_withhold_all();
	while (got < total) {
		size_t len = sizeof bytes < total - written ? sizeof bytes : total - written;
		ssize_t n;

		fill(bytes, written, len);
		n = len ? send(fd, bytes, len, MSG_DONTWAIT) : 0;
		written += n > 0 ? (size_t)n : 0;
		if (withhold)
			guest_give(3 < guest.n_withheld ? 3 : guest.n_withheld);
		guest_settle();
		while (guest_receive(&packet)) {
			assert_int_equal(packet.h.op, OP(RW));
			assert_bytes(packet.bytes, got, packet.h.len);
			got += packet.h.len;
			assert_true(got - told <= buf_alloc); /* never more than fits there */
		}
		if (got - told >= buf_alloc / 2 || got == total) {
			struct virtio_vsock_hdr h = guest_header(OP(CREDIT_UPDATE), GPORT, HPORT);

			h.buf_alloc = buf_alloc;
			h.fwd_cnt = (uint32_t)got;
			told = got;
			guest_send(h, NULL);
		}
	}
	assert_int_equal(counter_of("rx_bytes"), total);
	close(fd);
}

static void a_large_buffer_is_filled(void **state)
{
	(void)state;
	host_to_guest(256 << 10, false);
}

static void a_small_buffer_is_never_overrun(void **state)
{
	(void)state;
	host_to_guest(1000, false);
}

static void few_buffers_are_enough(void **state)
{
	(void)state;
	host_to_guest(256 << 10, true);
}

static void a_guest_without_a_buffer_gets_nothing(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(CREDIT_UPDATE), GPORT, HPORT);
	struct packet packet;
	struct sender s;
	int fd = connected(STREAM, &s, 0);

	(void)state;
	assert_int_equal(write(fd, "12345", 5), 5);
	guest_settle();
	guest_expect_nothing();
	h.buf_alloc = 2;
	guest_send(h, NULL);
	guest_expect(OP(RW), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.len, 2);
	/* A counter that lies opens nothing. */
	h.fwd_cnt = 1000;
	guest_send(h, NULL);
	guest_expect_nothing();
	h.fwd_cnt = 2;
	h.buf_alloc = UINT32_MAX;
	guest_send(h, NULL);
	guest_expect(OP(RW), GPORT, HPORT, &packet);
	assert_memory_equal(packet.bytes, "345", 3);
	close(fd);
}

/* While nothing can be sent the loop sleeps: a watched socket would be ready all the time. */
static void nothing_spins(void **state)
{
	struct pollfd poll_fd = { .events = POLLIN };
	struct sender s;
	int fd = connected(STREAM, &s, 10);
	struct connection *c = LIST_FIRST(&guest.vsock->connections);
	uint64_t packets;

	(void)state;
	assert_int_equal(write(fd, "more than ten bytes", 19), 19);
	guest_settle();
	poll_fd.fd = c->fd;
	assert_int_equal(poll(&poll_fd, 1, 0), 1);
	assert_true(c->no_credit && !c->is_waiting);
	packets = counter_of("rx_packets");
	guest_settle();
	assert_int_equal(counter_of("rx_packets"), packets);
	guest_withhold_all();
	guest_send((struct virtio_vsock_hdr){ .src_cid = GUEST_CID,
	                                      .dst_cid = VMADDR_CID_HOST,
	                                      .src_port = GPORT,
	                                      .dst_port = HPORT,
	                                      .type = STREAM,
	                                      .op = OP(CREDIT_UPDATE),
	                                      .buf_alloc = 100 },
	           NULL);
	assert_true(!c->no_credit && c->is_waiting && guest.vsock->rx_waits);
	close(fd);
}

/* Many connections with more than fits: each gets its turn. */
static void nobody_starves(void **state)
{
	enum { N = 8 };
	static unsigned char bytes[150000];
	size_t got[N] = { 0 }, least = SIZE_MAX, most = 0;
	struct packet packet;
	int fds[N];

	(void)state;
	for (unsigned i = 0; i < N; i++) {
		guest_connect(STREAM, GPORT + i, HPORT, 16 << 20);
		fds[i] = host_accept(listener);
	}
	guest_withhold_all();
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(send(fds[i], bytes, sizeof bytes, MSG_DONTWAIT), sizeof bytes);
	guest_settle();
	/* Enough for half of it, in portions. */
	for (unsigned round = 0; round < 40; round++) {
		guest_give(4);
		while (guest_receive(&packet))
			got[packet.h.dst_port - GPORT] += packet.h.len;
	}
	for (unsigned i = 0; i < N; i++) {
		least = got[i] < least ? got[i] : least;
		most = got[i] > most ? got[i] : most;
		close(fds[i]);
	}
	/* 160 buffers for eight: about 20 each. */
	assert_in_range(least, 12 * (GUEST_BUFFER_SIZE - HEADER_SIZE), most);
	assert_in_range(most, least, 28 * (GUEST_BUFFER_SIZE - HEADER_SIZE));
}

static void one_that_never_stops_lets_others_in(void **state)
{
	static unsigned char bytes[200000];
	struct packet packet;
	int busy, quiet;
	bool heard = false;

	(void)state;
	guest_connect(STREAM, GPORT, HPORT, UINT32_MAX);
	busy = host_accept(listener);
	guest_connect(STREAM, GPORT + 1, HPORT, UINT32_MAX);
	quiet = host_accept(listener);
	assert_int_equal(write(quiet, "me too", 6), 6);
	for (unsigned round = 0; round < 20 && !heard; round++) {
		if (send(busy, bytes, sizeof bytes, MSG_DONTWAIT) < 0)
			assert_int_equal(errno, EAGAIN);
		guest_settle();
		while (guest_receive(&packet))
			heard |= packet.h.dst_port == GPORT + 1;
	}
	assert_true(heard);
	close(busy);
	close(quiet);
}

/* ---- messages ---- */

static size_t message_length(unsigned i)
{
	static const size_t lengths[] = { 1, 0, 5000, 65000, 4052, 4053, 150000, 2, 100000, 8104 };

	return lengths[i % (sizeof lengths / sizeof lengths[0])];
}

/* In several packets each, to a reader that is slow: what arrives are the messages. */
static void messages_to_the_host_stay_whole(void **state)
{
	static unsigned char bytes[1 << 18];
	struct sender s;
	int fd = connected(SEQPACKET, &s, 4096);
	unsigned in = 0, out = 0;
	size_t from = 0, rest = message_length(0);

	(void)state;
	while (out < 100) {
		uint32_t len = (uint32_t)(rest < MAX_SEND ? rest : MAX_SEND);
		ssize_t n;

		if (in < 100 && room(&s) >= len) {
			rest -= len;
			send_bytes(&s, len, rest ? 0 : VIRTIO_VSOCK_SEQ_EOM, SEQPACKET);
			if (!rest)
				rest = message_length(++in);
			hear_credit(&s);
			if (in % 7)
				continue;
		}
		/* A message without a byte reads as 0, so look before. */
		while (out < in && recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT) >= 0) {
			n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
			assert_int_equal(n, message_length(out++));
			assert_bytes(bytes, from, (size_t)n);
			from += (size_t)n;
			guest_settle();
		}
		hear_credit(&s);
	}
	assert_int_equal(counter_of("credit_violations"), 0);
	close(fd);
}

static void half_a_message_is_no_message(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(SHUTDOWN), GPORT, HPORT);
	struct connection *c;
	struct sender s;
	char byte;
	int fd = connected(SEQPACKET, &s, 4096);

	(void)state;
	send_bytes(&s, 100, 0, SEQPACKET);
	assert_int_equal(host_read(fd, &byte, 1), -1);
	/* The socket could be written to all the time: nothing waits for that. */
	c = LIST_FIRST(&guest.vsock->connections);
	assert_false(transfer_has_kept(c));
	h.type = SEQPACKET;
	h.flags = VIRTIO_VSOCK_SHUTDOWN_SEND | VIRTIO_VSOCK_SHUTDOWN_RCV;
	guest_send(h, NULL);
	assert_int_equal(host_read(fd, &byte, 1), 0);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_int_equal(counter_of("connections_open"), 0);
	close(fd);
}

static void a_message_without_an_end_is_bounded(void **state)
{
	struct packet packet;
	struct sender s;
	int fd = connected(SEQPACKET, &s, 4096);

	(void)state;
	while (!guest_receive(&packet)) {
		assert_true(s.sent <= s.buf_alloc);
		send_bytes(&s, MAX_SEND, 0, SEQPACKET);
	}
	assert_int_equal(packet.h.op, OP(RST));
	close(fd);
}

static void messages_to_the_guest_stay_whole(void **state)
{
	static unsigned char bytes[1 << 18];
	size_t from = 0, got = 0, in_message = 0;
	struct sender s;
	struct packet packet;
	int fd = connected(SEQPACKET, &s, 256 << 10);
	unsigned in = 0, out = 0;

	(void)state;
	while (out < 100) {
		size_t len = message_length(in);

		fill(bytes, from, len);
		if (in < 100 && send(fd, bytes, len, MSG_DONTWAIT) == (ssize_t)len) {
			from += len;
			in++;
		}
		guest_settle();
		while (guest_receive(&packet)) {
			struct virtio_vsock_hdr h = guest_header(OP(CREDIT_UPDATE), GPORT, HPORT);

			assert_int_equal(packet.h.op, OP(RW));
			assert_int_equal(packet.h.type, SEQPACKET);
			assert_bytes(packet.bytes, got, packet.h.len);
			got += packet.h.len;
			in_message += packet.h.len;
			if (!(packet.h.flags & VIRTIO_VSOCK_SEQ_EOM))
				continue;
			assert_int_equal(in_message, message_length(out++));
			in_message = 0;
			h.type = SEQPACKET;
			h.buf_alloc = 256 << 10;
			h.fwd_cnt = (uint32_t)got;
			guest_send(h, NULL);
		}
	}
	close(fd);
	guest_settle();
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, NULL);
}

static void a_message_that_can_never_fit_is_an_error(void **state)
{
	static unsigned char bytes[5000];
	struct sender s;
	int fd = connected(SEQPACKET, &s, 4096);
	char byte;

	(void)state;
	assert_int_equal(write(fd, bytes, sizeof bytes), sizeof bytes);
	guest_settle();
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_true(recv(fd, &byte, 1, MSG_DONTWAIT) <= 0);
	assert_int_equal(board_log_lines(), 1);
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_SEQPACKET(name) cmocka_unit_test_setup_teardown(name, setup_seqpacket, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_slow_reader_gets_every_byte),
		TEST(header_and_payload_may_share_a_descriptor),
		TEST(credit_comes_before_the_guest_runs_dry),
		TEST(a_guest_that_ignores_credit_loses_its_connection),
		TEST(what_was_sent_before_the_end_arrives),
		TEST(a_slow_reader_does_not_hold_the_queue),
		TEST(half_close_comes_behind_the_bytes),
		TEST(a_peer_that_vanishes_with_a_backlog),
		TEST(a_large_buffer_is_filled),
		TEST(a_small_buffer_is_never_overrun),
		TEST(few_buffers_are_enough),
		TEST(a_guest_without_a_buffer_gets_nothing),
		TEST(nothing_spins),
		TEST(nobody_starves),
		TEST(one_that_never_stops_lets_others_in),
		TEST_SEQPACKET(messages_to_the_host_stay_whole),
		TEST_SEQPACKET(half_a_message_is_no_message),
		TEST_SEQPACKET(a_message_without_an_end_is_bounded),
		TEST_SEQPACKET(messages_to_the_guest_stay_whole),
		TEST_SEQPACKET(a_message_that_can_never_fit_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
