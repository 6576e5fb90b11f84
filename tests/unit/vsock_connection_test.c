/* SPDX-License-Identifier: MIT */
/*
 * vsock_connection_test.c - core/vsock/connection.c: what each packet means in each state, how connections begin and
 * end, and that nothing is left of them.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/descriptors.h"
#include "tests/unit/vsock_guest.h"

#define STREAM VIRTIO_VSOCK_TYPE_STREAM
#define SEQPACKET VIRTIO_VSOCK_TYPE_SEQPACKET
#define OP(name) VIRTIO_VSOCK_OP_##name
#define RCV VIRTIO_VSOCK_SHUTDOWN_RCV
#define SEND VIRTIO_VSOCK_SHUTDOWN_SEND
#define GPORT 5000u
#define HPORT 80u

static int listener;
static unsigned before;

static int setup(void **state)
{
	before = open_descriptors();
	guest_setup(state);
	listener = host_listener("app", SOCK_STREAM);
	return 0;
}

/* Nothing leaks, whatever the test did. */
static int teardown(void **state)
{
	int rc = guest_teardown(state);

	close(listener);
	assert_int_equal(open_descriptors(), before);
	return rc;
}

static void send_op(uint16_t op, uint32_t flags)
{
	struct virtio_vsock_hdr h = guest_header(op, GPORT, HPORT);

	h.flags = flags;
	guest_send(h, NULL);
}

static void send_text(const char *text)
{
	struct virtio_vsock_hdr h = guest_header(OP(RW), GPORT, HPORT);

	h.len = (uint32_t)strlen(text);
	guest_send(h, text);
}

static int connected(void)
{
	guest_connect(STREAM, GPORT, HPORT, 256 << 10);
	return host_accept(listener);
}

static void assert_read(int fd, const char *text)
{
	char bytes[64];

	assert_int_equal(host_read(fd, bytes, sizeof bytes), strlen(text));
	assert_memory_equal(bytes, text, strlen(text));
}

static void assert_eof(int fd)
{
	char byte;

	assert_int_equal(host_read(fd, &byte, 1), 0);
	close(fd);
}

static void assert_no_connection(void)
{
	guest_settle();
	assert_int_equal(counter_of("connections_open"), 0);
}

/* ---- begin ---- */

static void a_guest_connects_and_both_talk(void **state)
{
	struct packet packet;
	int fd = connected();

	(void)state;
	send_text("from the guest");
	assert_read(fd, "from the guest");
	assert_int_equal(write(fd, "from the host", 13), 13);
	guest_settle();
	guest_expect(OP(RW), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.len, 13);
	assert_memory_equal(packet.bytes, "from the host", 13);
	assert_int_equal(packet.h.fwd_cnt, 14);
	guest_expect_nothing();
	close(fd);
}

static void a_port_that_nobody_listens_to_is_reset(void **state)
{
	(void)state;
	guest_send(guest_header(OP(REQUEST), GPORT, 4711), NULL);
	guest_expect(OP(RST), GPORT, 4711, NULL);
	close(listener); /* the file stays: a stale socket */
	send_op(OP(REQUEST), 0);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	listener = host_listener("other", SOCK_STREAM);
	assert_int_equal(counter_of("connections_refused"), 2);
	assert_no_connection();
}

static void the_guest_reaches_the_sockets_beside_the_socket(void **state)
{
	int at = host_listener_at_port(4711, SOCK_STREAM), fd;

	(void)state;
	guest_connect(STREAM, GPORT, 4711, 4096);
	fd = host_accept(at);
	close(at);
	close(fd);
}

static void types_must_match(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(REQUEST), GPORT, HPORT);
	struct packet packet;
	int fd;

	(void)state;
	h.type = SEQPACKET; /* and it is a stream there */
	guest_send(h, NULL);
	guest_expect(OP(RST), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.type, SEQPACKET);
	h.type = 3;
	guest_send(h, NULL);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	/* A packet of another type than its connection's. */
	fd = connected();
	h.op = OP(RW);
	h.type = SEQPACKET;
	guest_send(h, NULL);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_eof(fd);
	assert_no_connection();
}

static void seqpacket_without_the_feature_is_refused(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(REQUEST), GPORT, 81);
	int at = host_listener_at_port(81, SOCK_SEQPACKET);

	(void)state;
	h.type = SEQPACKET;
	guest_send(h, NULL);
	guest_expect(OP(RESPONSE), GPORT, 81, NULL);
	guest_start(0);
	guest_send(h, NULL);
	guest_expect(OP(RST), GPORT, 81, NULL);
	close(at);
}

static void packets_from_another_cid_are_dropped(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(REQUEST), GPORT, HPORT);

	(void)state;
	h.src_cid = 4;
	guest_send(h, NULL);
	guest_expect_nothing();
	h.src_cid = 2;
	guest_send(h, NULL);
	guest_expect_nothing();
	assert_int_equal(counter_of("bad_packets"), 2);
	assert_int_equal(board_log_lines(), 1);
}

static void packets_to_another_cid_are_answered_with_a_reset_from_there(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(REQUEST), GPORT, HPORT);
	struct packet packet;

	(void)state;
	h.dst_cid = 77;
	guest_send(h, NULL);
	guest_expect(OP(RST), GPORT, HPORT, &packet);
	assert_true(packet.h.src_cid == 77);
	assert_no_connection();
}

static void packets_that_are_no_packets_are_dropped(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(RW), GPORT, HPORT);
	struct ring *tx = &guest.rings[TX_QUEUE];
	int fd = connected();

	(void)state;
	h.len = 1000; /* and nothing behind it */
	guest_send(h, NULL);
	h.len = UINT32_MAX;
	guest_send(h, NULL);
	ring_desc(tx, 200, guest.tx_header, 43, 0, 0); /* half a header */
	ring_offer(tx, 200);
	ring_desc(tx, 201, guest.tx_header, 64, VRING_DESC_F_WRITE, 0); /* nothing to read */
	ring_offer(tx, 201);
	ring_notify(tx);
	guest_settle();
	guest_expect_nothing();
	assert_int_equal(counter_of("bad_packets"), 4);
	send_text("still there");
	assert_read(fd, "still there");
	close(fd);
}

/* ---- states ---- */

/* A connection that the host asked for, before the guest has answered. Returns the host's port. */
static uint32_t requested(int *fd)
{
	struct packet packet;

	*fd = host_connect("listen-70", SOCK_STREAM);
	assert_true(*fd >= 0);
	guest_settle();
	assert_true(guest_receive(&packet));
	assert_int_equal(packet.h.op, OP(REQUEST));
	assert_int_equal(packet.h.dst_port, 70);
	return packet.h.src_port;
}

/* What the guest may answer to REQUEST, and what it may not. */
static void answers_to_a_request(void **state)
{
	static const struct {
		uint16_t op;
		bool opens, answered_with_rst;
	} answers[] = {
		{ OP(INVALID), false, true },       { OP(REQUEST), false, true },        { OP(RESPONSE), true, false },
		{ OP(RST), false, false },          { OP(SHUTDOWN), false, true },       { OP(RW), false, true },
		{ OP(CREDIT_UPDATE), false, true }, { OP(CREDIT_REQUEST), false, true }, { 8, false, true },
		{ UINT16_MAX, false, true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		uint32_t port;
		int fd;

		port = requested(&fd);
		guest_send(guest_header(answers[i].op, 70, port), NULL);
		if (answers[i].answered_with_rst)
			guest_expect(OP(RST), 70, port, NULL);
		guest_expect_nothing();
		if (answers[i].opens) {
			assert_int_equal(host_read(fd, &port, 1), -1);
			close(fd);
			guest_settle();
			guest_expect(OP(SHUTDOWN), 70, port, NULL);
			guest_send(guest_header(OP(RST), 70, port), NULL);
		} else {
			assert_eof(fd);
		}
		assert_no_connection();
	}
}

/* What breaks the rules on an open connection resets it, both ways. */
static void violations_on_an_open_connection(void **state)
{
	static const uint16_t wrong[] = { OP(INVALID), OP(REQUEST), OP(RESPONSE), 8, 0x8005 };

	(void)state;
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int fd = connected();

		send_op(wrong[i], 0);
		guest_expect(OP(RST), GPORT, HPORT, NULL);
		guest_expect_nothing();
		assert_eof(fd);
		assert_no_connection();
	}
	assert_int_equal(counter_of("connections_reset"), 5);
	assert_int_equal(board_log_lines(), 1);
}

static void data_after_shutdown_is_a_violation(void **state)
{
	int fd = connected();

	(void)state;
	send_op(OP(SHUTDOWN), SEND);
	send_text("x");
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_eof(fd);
}

static void a_credit_request_is_answered(void **state)
{
	struct packet packet;
	int fd = connected();

	(void)state;
	send_text("12345");
	send_op(OP(CREDIT_REQUEST), 0);
	guest_expect(OP(CREDIT_UPDATE), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.fwd_cnt, 5);
	close(fd);
}

static void packets_of_no_connection_are_reset_and_resets_are_not(void **state)
{
	static const uint16_t ops[] = { OP(INVALID), OP(RESPONSE),      OP(SHUTDOWN),
		                        OP(RW),      OP(CREDIT_UPDATE), OP(CREDIT_REQUEST),
		                        99 };

	(void)state;
	for (unsigned i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		send_op(ops[i], 0);
		guest_expect(OP(RST), GPORT, HPORT, NULL);
	}
	send_op(OP(RST), 0);
	guest_expect_nothing();
}

/* ---- end ---- */

static void the_guest_closes(void **state)
{
	int fd = connected();

	(void)state;
	send_text("last words");
	send_op(OP(SHUTDOWN), RCV | SEND);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	guest_expect_nothing();
	assert_read(fd, "last words");
	assert_eof(fd);
	assert_no_connection();
}

static void the_guest_resets(void **state)
{
	int fd = connected();

	(void)state;
	send_text("last words");
	send_op(OP(RST), 0);
	guest_expect_nothing();
	assert_read(fd, "last words");
	assert_eof(fd);
	assert_no_connection();
}

static void the_host_closes(void **state)
{
	struct packet packet;
	int fd = connected();

	(void)state;
	assert_int_equal(write(fd, "bye", 3), 3);
	close(fd);
	guest_settle();
	guest_expect(OP(RW), GPORT, HPORT, &packet);
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.flags, RCV | SEND);
	/* What the guest had sent before is dropped, and counted. */
	send_text("late");
	send_op(OP(CREDIT_REQUEST), 0);
	guest_expect(OP(CREDIT_UPDATE), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.fwd_cnt, 4);
	assert_int_equal(counter_of("connections_open"), 1);
	send_op(OP(RST), 0);
	guest_expect_nothing();
	assert_no_connection();
}

static void both_close_at_once(void **state)
{
	int fd = connected();

	(void)state;
	close(fd);
	guest_settle();
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, NULL);
	send_op(OP(SHUTDOWN), SEND);
	guest_expect_nothing();
	send_op(OP(SHUTDOWN), RCV);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_no_connection();
}

static void the_guest_may_use_its_port_again(void **state)
{
	int fd = connected();

	(void)state;
	close(fd);
	guest_settle();
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, NULL);
	fd = connected(); /* without having answered */
	send_text("new");
	assert_read(fd, "new");
	close(fd);
}

static void half_close_by_the_guest(void **state)
{
	struct packet packet;
	int fd = connected();
	char byte;

	(void)state;
	send_text("question");
	send_op(OP(SHUTDOWN), SEND);
	assert_read(fd, "question");
	assert_int_equal(host_read(fd, &byte, 1), 0);
	assert_int_equal(write(fd, "answer", 6), 6);
	guest_settle();
	guest_expect(OP(RW), GPORT, HPORT, &packet);
	assert_memory_equal(packet.bytes, "answer", 6);
	guest_expect_nothing();
	close(fd);
	guest_settle();
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.flags, RCV | SEND);
	send_op(OP(RST), 0);
	assert_no_connection();
}

static void half_close_by_the_host(void **state)
{
	struct packet packet;
	int fd = connected();

	(void)state;
	assert_int_equal(write(fd, "question", 8), 8);
	shutdown(fd, SHUT_WR);
	guest_settle();
	guest_expect(OP(RW), GPORT, HPORT, NULL);
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.flags, SEND);
	guest_expect_nothing();
	send_text("answer");
	assert_read(fd, "answer");
	send_op(OP(SHUTDOWN), RCV | SEND);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_eof(fd);
	assert_no_connection();
}

/* Once nothing can be sent in either direction the connection ends, even if the host's peer keeps its descriptor. */
static void two_half_closes_are_a_whole_one(void **state)
{
	struct packet packet;
	int fd = connected();

	(void)state;
	shutdown(fd, SHUT_WR);
	guest_settle();
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.flags, SEND);
	send_op(OP(SHUTDOWN), SEND);
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.flags, RCV | SEND);
	send_op(OP(RST), 0);
	assert_no_connection();
	assert_eof(fd);
}

static void a_guest_that_wants_no_more_data(void **state)
{
	int fd = connected();

	(void)state;
	send_op(OP(SHUTDOWN), RCV);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	send_text("goes on");
	assert_read(fd, "goes on");
	close(fd);
	guest_settle();
	send_text("nobody");
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, NULL);
	send_op(OP(RST), 0);
	assert_no_connection();
}

/* The peer takes no more, but it still sends. */
static void a_peer_that_reads_no_more(void **state)
{
	struct packet packet;
	int fd = connected();

	(void)state;
	shutdown(fd, SHUT_RD);
	send_text("x");
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.flags, RCV);
	assert_int_equal(write(fd, "y", 1), 1);
	guest_settle();
	guest_expect(OP(RW), GPORT, HPORT, NULL);
	close(fd);
	guest_settle();
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	assert_int_equal(packet.h.flags, RCV | SEND);
	send_op(OP(RST), 0);
	assert_no_connection();
}

/* A UNIX socket says ECONNRESET where bytes were left unread. */
static void a_peer_that_vanishes_with_unread_bytes(void **state)
{
	int fd = connected();

	(void)state;
	send_text("unread");
	assert_int_equal(write(fd, "seen", 4), 4);
	close(fd);
	guest_settle();
	guest_expect(OP(RW), GPORT, HPORT, NULL);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	guest_expect_nothing();
	assert_no_connection();
}

static void wait_until_gone(void)
{
	/* Its time-out is the event: the loop runs until the timer has. */
	while (counter_of("connections_open") > 0)
		guest_settle();
}

static void a_guest_that_does_not_answer_is_reset(void **state)
{
	struct packet packet;
	uint32_t port;
	int fd;

	(void)state;
	guest.vsock->answer_ms = 50;
	port = requested(&fd);
	wait_until_gone();
	guest_expect(OP(RST), 70, port, NULL);
	assert_eof(fd);
	fd = connected();
	close(fd);
	guest_settle();
	guest_expect(OP(SHUTDOWN), GPORT, HPORT, &packet);
	wait_until_gone();
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_int_equal(counter_of("connections_expired"), 2);
}

static void a_device_reset_ends_all_connections(void **state)
{
	int fds[20], idle, early;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		guest_connect(STREAM, GPORT + i, HPORT, 4096);
		fds[i] = host_accept(listener);
	}
	requested(&early);
	idle = host_connect("v.sock", SOCK_STREAM);
	guest_settle();
	assert_int_equal(counter_of("connections_open"), 22);
	driver_reset(&guest.driver);
	for (unsigned i = 0; i < 20; i++)
		assert_eof(fds[i]);
	assert_eof(early);
	assert_eof(idle);
	assert_no_connection();
	/* Nobody is there: refused at once. */
	early = host_connect("listen-70", SOCK_STREAM);
	guest_settle();
	assert_eof(early);
	assert_int_equal(vsock_connect(guest.vsock, 70), -ENOTCONN);
	guest_start(0);
	fds[0] = connected();
	send_text("works");
	assert_read(fds[0], "works");
	close(fds[0]);
}

static void a_machine_that_goes_ends_all_connections(void **state)
{
	int fds[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		guest_connect(STREAM, GPORT + i, HPORT, 4096);
		fds[i] = host_accept(listener);
	}
	guest_end_machine();
	guest_attach();
	for (unsigned i = 0; i < 3; i++)
		assert_eof(fds[i]);
	guest_start(0);
	fds[0] = connected();
	send_text("works");
	assert_read(fds[0], "works");
	close(fds[0]);
}

static void ten_thousand_short_connections(void **state)
{
	struct packet packet;
	char bytes[16];

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		struct virtio_vsock_hdr h = guest_header(OP(REQUEST), 1000 + i % 3000, HPORT);
		int fd;

		guest_queue(h, NULL);
		h.op = OP(RW);
		h.len = (uint32_t)snprintf(bytes, sizeof bytes, "%u", i);
		guest_queue(h, bytes);
		h.op = OP(SHUTDOWN);
		h.flags = RCV | SEND;
		h.len = 0;
		guest_send(h, NULL);
		fd = host_accept(listener);
		assert_read(fd, bytes);
		assert_eof(fd);
		assert_true(guest_receive(&packet)); /* RESPONSE or, where all came at once, only RST */
		while (guest_receive(&packet))
			;
		assert_int_equal(packet.h.op, OP(RST));
	}
	assert_int_equal(counter_of("connections_opened"), 10000);
	assert_no_connection();
	assert_int_equal(board_log_lines(), 0);
}

static void thousands_at_a_time_and_no_more_than_allowed(void **state)
{
	enum { MANY = 3000 };
	static int fds[MANY];
	struct virtio_vsock_hdr h;

	(void)state;
	guest.vsock->max_connections = MANY;
	for (uint32_t i = 0; i < MANY; i++) {
		guest_connect(STREAM, 10000 + i, HPORT, 4096);
		fds[i] = host_accept(listener);
	}
	send_op(OP(REQUEST), 0);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_int_equal(vsock_connect(guest.vsock, 1), -EMFILE);
	for (uint32_t i = 0; i < MANY; i += 7) {
		h = guest_header(OP(RW), 10000 + i, HPORT);
		h.len = 2;
		guest_send(h, "hi");
		assert_read(fds[i], "hi");
	}
	h = guest_header(OP(SHUTDOWN), 10000, HPORT);
	h.flags = RCV | SEND;
	guest_send(h, NULL);
	guest_expect(OP(RST), 10000, HPORT, NULL);
	close(fds[0]);
	fds[0] = connected();
	for (uint32_t i = 0; i < MANY; i++)
		close(fds[i]);
	assert_int_equal(board_log_lines(), 1);
}

/* ---- without buffers of the guest ---- */

static void answers_wait_for_buffers_and_packets_wait_for_answers(void **state)
{
	struct ring *tx = &guest.rings[TX_QUEUE];
	struct packet packet;
	unsigned n = 0;

	(void)state;
	guest_withhold_all();
	for (unsigned i = 0; i < 120; i++)
		guest_queue(guest_header(OP(RW), i, 9), NULL);
	ring_notify(tx);
	guest_settle();
	for (unsigned i = 0; i < 120; i++)
		guest_queue(guest_header(OP(RW), 1000 + i, 9), NULL);
	ring_notify(tx);
	guest_settle();
	guest_expect_nothing();
	/* No more than the device may keep has been taken. */
	assert_int_equal((uint16_t)(tx->avail->idx - tx->used->idx), 240 - MAX_LONE_RESETS);
	guest.withholds = false;
	guest_give(GUEST_BUFFERS);
	while (guest_receive(&packet)) {
		assert_int_equal(packet.h.op, OP(RST));
		n++;
		guest_settle();
	}
	assert_int_equal(n, 240);
}

static void a_connection_ends_cleanly_without_buffers(void **state)
{
	int fd = connected();

	(void)state;
	guest_withhold_all();
	send_op(OP(SHUTDOWN), RCV | SEND);
	assert_eof(fd);
	assert_int_equal(counter_of("connections_open"), 1); /* its RST waits */
	guest_give(1);
	guest_expect(OP(RST), GPORT, HPORT, NULL);
	assert_no_connection();
	fd = host_connect("listen-70", SOCK_STREAM);
	guest_settle();
	driver_reset(&guest.driver);
	assert_eof(fd);
}

static void a_buffer_without_room_breaks_the_device(void **state)
{
	struct ring *rx = &guest.rings[RX_QUEUE];

	(void)state;
	guest_withhold_all();
	ring_desc(rx, 0, guest.buffers, HEADER_SIZE, VRING_DESC_F_WRITE, 0);
	ring_offer(rx, 0);
	ring_notify(rx);
	send_op(OP(RW), 0);
	assert_true(driver_status(&guest.driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	guest_start(0);
	close(connected());
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_guest_connects_and_both_talk),
		TEST(a_port_that_nobody_listens_to_is_reset),
		TEST(the_guest_reaches_the_sockets_beside_the_socket),
		TEST(types_must_match),
		TEST(seqpacket_without_the_feature_is_refused),
		TEST(packets_from_another_cid_are_dropped),
		TEST(packets_to_another_cid_are_answered_with_a_reset_from_there),
		TEST(packets_that_are_no_packets_are_dropped),
		TEST(answers_to_a_request),
		TEST(violations_on_an_open_connection),
		TEST(data_after_shutdown_is_a_violation),
		TEST(a_credit_request_is_answered),
		TEST(packets_of_no_connection_are_reset_and_resets_are_not),
		TEST(the_guest_closes),
		TEST(the_guest_resets),
		TEST(the_host_closes),
		TEST(both_close_at_once),
		TEST(the_guest_may_use_its_port_again),
		TEST(half_close_by_the_guest),
		TEST(half_close_by_the_host),
		TEST(two_half_closes_are_a_whole_one),
		TEST(a_guest_that_wants_no_more_data),
		TEST(a_peer_that_reads_no_more),
		TEST(a_peer_that_vanishes_with_unread_bytes),
		TEST(a_guest_that_does_not_answer_is_reset),
		TEST(a_device_reset_ends_all_connections),
		TEST(a_machine_that_goes_ends_all_connections),
		TEST(ten_thousand_short_connections),
		TEST(thousands_at_a_time_and_no_more_than_allowed),
		TEST(answers_wait_for_buffers_and_packets_wait_for_answers),
		TEST(a_connection_ends_cleanly_without_buffers),
		TEST(a_buffer_without_room_breaks_the_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
