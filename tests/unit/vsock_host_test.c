/* SPDX-License-Identifier: MIT */
/*
 * vsock_host_test.c - core/vsock/host.c and vsock.c: sockets of the host, CONNECT <port>, ports, and the core's own
 * ends of connections.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/path.h"
#include "tests/unit/descriptors.h"
#include "tests/unit/vsock_guest.h"

#define OP(name) VIRTIO_VSOCK_OP_##name

static unsigned before;

static int setup(void **state)
{
	before = open_descriptors();
	return guest_setup(state);
}

static int teardown(void **state)
{
	int rc = guest_teardown(state);

	assert_int_equal(open_descriptors(), before);
	return rc;
}

static void assert_eof(int fd)
{
	char byte;

	assert_int_equal(host_read(fd, &byte, 1), 0);
	close(fd);
}

static void say(int fd, const char *words)
{
	assert_int_equal(write(fd, words, strlen(words)), strlen(words));
	guest_settle();
}

/* ---- CONNECT ---- */

static void connect_and_ok(void **state)
{
	char line[64] = "", want[64];
	struct packet packet;
	int fd = host_connect("v.sock", SOCK_STREAM);

	(void)state;
	say(fd, "CONNECT 52\nand what is behind it");
	assert_true(guest_receive(&packet));
	assert_int_equal(packet.h.op, OP(REQUEST));
	assert_int_equal(packet.h.dst_port, 52);
	assert_int_equal(packet.h.type, VIRTIO_VSOCK_TYPE_STREAM);
	assert_int_equal(host_read(fd, line, sizeof line), -1); /* not yet */
	guest_send(guest_header(OP(RESPONSE), 52, packet.h.src_port), NULL);
	assert_true(host_read(fd, line, sizeof line) > 0);
	snprintf(want, sizeof want, "OK %u\n", packet.h.src_port);
	assert_string_equal(line, want);
	guest_expect(OP(RW), 52, packet.h.src_port, &packet);
	assert_int_equal(packet.h.len, 21);
	assert_memory_equal(packet.bytes, "and what is behind it", 21);
	close(fd);
}

static void connect_in_pieces(void **state)
{
	static const char words[] = "CONNECT 4294967294\n";
	struct packet packet;
	int fd = host_connect("v.sock", SOCK_STREAM);

	(void)state;
	for (const char *at = words; *at; at++) {
		guest_expect_nothing();
		say(fd, (char[]){ *at, '\0' });
	}
	assert_true(guest_receive(&packet));
	assert_int_equal(packet.h.dst_port, 4294967294);
	close(fd);
}

static void what_is_no_connect_is_closed(void **state)
{
	static const char *const wrong[] = {
		"\n",
		"connect 1\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT -1\n",
		"CONNECT +1\n",
		"CONNECT  1\n",
		"CONNECT 1 \n",
		"CONNECT 1x\n",
		"CONNECT 4294967295\n", /* VMADDR_PORT_ANY */
		"CONNECT 4294967297\n",
		"CONNECT 99999999999999999999\n",
		"CONNECT 000000000000000000000000000000000000000001\n",
		"GET / HTTP/1.1\r\nHost: x\r\n",
		"a line that is much too long and has no end at all",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		int fd = host_connect("v.sock", SOCK_STREAM);
		ssize_t n;
		char byte;

		say(fd, wrong[i]);
		/* ECONNRESET where bytes were left unread, else the end. */
		n = recv(fd, &byte, 1, MSG_DONTWAIT);
		if (n > 0 || (n < 0 && errno == EAGAIN))
			fail_msg("not closed: %s", wrong[i]);
		close(fd);
		guest_expect_nothing();
	}
	assert_int_equal(counter_of("connections_open"), 0);
}

static void a_client_that_says_nothing_and_goes(void **state)
{
	int fd = host_connect("v.sock", SOCK_STREAM);

	(void)state;
	say(fd, "CONN");
	assert_int_equal(counter_of("connections_open"), 1);
	close(fd);
	guest_settle();
	assert_int_equal(counter_of("connections_open"), 0);
}

static void a_refused_connect_is_closed(void **state)
{
	struct packet packet;
	int fd = host_connect("v.sock", SOCK_STREAM);

	(void)state;
	say(fd, "CONNECT 52\n");
	assert_true(guest_receive(&packet));
	guest_send(guest_header(OP(RST), 52, packet.h.src_port), NULL);
	assert_eof(fd);
	assert_int_equal(counter_of("connections_refused"), 1);
}

/* ---- ports ---- */

static void a_listening_port_needs_no_words(void **state)
{
	struct packet packet;
	int fd = host_connect("listen-70", SOCK_STREAM);

	(void)state;
	say(fd, "hello");
	assert_true(guest_receive(&packet));
	assert_int_equal(packet.h.dst_port, 70);
	guest_send(guest_header(OP(RESPONSE), 70, packet.h.src_port), NULL);
	guest_expect(OP(RW), 70, packet.h.src_port, &packet);
	assert_memory_equal(packet.bytes, "hello", 5);
	close(fd);
}

static void a_seqpacket_port_keeps_its_type(void **state)
{
	struct packet packet;
	int fd;

	(void)state;
	assert_int_equal(host_connect("listen-71", SOCK_STREAM), -1);
	fd = host_connect("listen-71", SOCK_SEQPACKET);
	guest_settle();
	assert_true(guest_receive(&packet));
	assert_int_equal(packet.h.type, VIRTIO_VSOCK_TYPE_SEQPACKET);
	close(fd);
}

static void held_connections_wait(void **state)
{
	struct packet packet;
	int fds[2];

	(void)state;
	fds[0] = host_connect("listen-72", SOCK_STREAM);
	say(fds[0], "early");
	guest_expect_nothing();
	vsock_release(guest.vsock, 72, false);
	guest_settle();
	assert_true(guest_receive(&packet));
	assert_int_equal(packet.h.dst_port, 72);
	vsock_release(guest.vsock, 72, true);
	fds[1] = host_connect("listen-72", SOCK_STREAM);
	guest_settle();
	guest_expect_nothing();
	close(fds[0]);
	close(fds[1]);
}

static void host_ports_differ(void **state)
{
	struct packet first, second;
	int fds[2];

	(void)state;
	fds[0] = host_connect("listen-70", SOCK_STREAM);
	fds[1] = host_connect("listen-70", SOCK_STREAM);
	guest_settle();
	assert_true(guest_receive(&first) && guest_receive(&second));
	assert_int_not_equal(first.h.src_port, second.h.src_port);
	close(fds[0]);
	close(fds[1]);
}

/* ---- the core's own ---- */

static int accepted_fds[4];
static unsigned n_accepted;

static void accepted(void *ctx, int fd)
{
	assert_ptr_equal(ctx, &n_accepted);
	accepted_fds[n_accepted++] = fd;
}

static void accepted_once(void *ctx, int fd)
{
	accepted(ctx, fd);
	assert_int_equal(vsock_serve(guest.vsock, 80, NULL, NULL), 0);
}

static void the_core_serves_a_port(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(RW), 5000, 80);
	int listener = host_listener("app", SOCK_STREAM);
	char bytes[8];

	(void)state;
	n_accepted = 0;
	assert_int_equal(vsock_serve(guest.vsock, 80, accepted, &n_accepted), 0);
	guest_connect(VIRTIO_VSOCK_TYPE_STREAM, 5000, 80, 4096);
	assert_int_equal(n_accepted, 1); /* before the port of the file */
	h.len = 5;
	guest_send(h, "hello");
	assert_int_equal(host_read(accepted_fds[0], bytes, sizeof bytes), 5);
	assert_true(fcntl(accepted_fds[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(accepted_fds[0], F_GETFD) & FD_CLOEXEC);
	/* It may end its service from within, and then it is the file's again. */
	assert_int_equal(vsock_serve(guest.vsock, 80, accepted_once, &n_accepted), 0);
	guest_connect(VIRTIO_VSOCK_TYPE_STREAM, 5001, 80, 4096);
	assert_int_equal(n_accepted, 2);
	guest_connect(VIRTIO_VSOCK_TYPE_STREAM, 5002, 80, 4096);
	assert_int_equal(n_accepted, 2);
	close(host_accept(listener));
	close(listener);
	close(accepted_fds[0]);
	guest_settle();
	guest_expect(OP(SHUTDOWN), 5002, 80, NULL);
	guest_expect(OP(SHUTDOWN), 5000, 80, NULL);
	close(accepted_fds[1]);
}

static void a_service_takes_streams_only(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(REQUEST), 5000, 90);

	(void)state;
	n_accepted = 0;
	assert_int_equal(vsock_serve(guest.vsock, 90, accepted, &n_accepted), 0);
	h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	guest_send(h, NULL);
	guest_expect(OP(RST), 5000, 90, NULL);
	assert_int_equal(n_accepted, 0);
}

static void the_core_connects(void **state)
{
	struct packet packet;
	int fd = vsock_connect(guest.vsock, 52);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "early", 5), 5);
	guest_settle();
	guest_expect(OP(REQUEST), 52, (1u << 30) + 1, &packet);
	guest_send(guest_header(OP(RESPONSE), 52, packet.h.src_port), NULL);
	guest_expect(OP(RW), 52, packet.h.src_port, &packet);
	assert_memory_equal(packet.bytes, "early", 5);
	close(fd);
	guest_settle();
	guest_expect(OP(SHUTDOWN), 52, packet.h.src_port, NULL);
	fd = vsock_connect(guest.vsock, 53);
	guest_expect(OP(REQUEST), 53, packet.h.src_port + 1, &packet);
	guest_send(guest_header(OP(RST), 53, packet.h.src_port), NULL);
	assert_eof(fd);
}

/* ---- descriptors ---- */

/* Opens /dev/null until it fails, so that no more descriptors are there. */
static unsigned use_up_descriptors(int *fds, unsigned max)
{
	unsigned n = 0;

	while (n < max && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	return n;
}

static void without_descriptors_connections_wait(void **state)
{
	int listener = host_listener("app", SOCK_STREAM), fds[512], one, two;
	struct rlimit limit, few;
	struct packet packet;
	unsigned n;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &limit);
	few = (struct rlimit){ 300, limit.rlim_max };
	setrlimit(RLIMIT_NOFILE, &few);
	guest_connect(VIRTIO_VSOCK_TYPE_STREAM, 5000, 80, 4096);
	one = host_accept(listener);
	two = host_connect("listen-70", SOCK_STREAM);
	n = use_up_descriptors(fds, 512);
	assert_in_range(n, 100, 300);
	guest_settle();
	guest_expect_nothing(); /* it waits in the backlog */
	assert_int_equal(counter_of("accept_starved"), 1);
	guest_settle();
	assert_int_equal(counter_of("accept_starved"), 1); /* and nothing spins */
	guest_send(guest_header(OP(REQUEST), 5001, 80), NULL);
	guest_expect(OP(RST), 5001, 80, NULL);
	/* The end of a connection is what lets it in. */
	guest_send(guest_header(OP(RST), 5000, 80), NULL);
	guest_settle();
	assert_true(guest_receive(&packet));
	assert_int_equal(packet.h.op, OP(REQUEST));
	while (n > 0)
		close(fds[--n]);
	setrlimit(RLIMIT_NOFILE, &limit);
	close(one);
	close(two);
	close(listener);
	assert_int_equal(board_log_lines(), 1);
}

static void a_full_table_lets_connections_wait(void **state)
{
	struct packet packet;
	int fds[3];

	(void)state;
	guest.vsock->max_connections = 1;
	for (unsigned i = 0; i < 3; i++)
		fds[i] = host_connect("listen-70", SOCK_STREAM);
	for (unsigned i = 0; i < 3; i++) {
		guest_settle();
		assert_true(guest_receive(&packet));
		guest_expect_nothing();
		assert_int_equal(packet.h.op, OP(REQUEST));
		guest_send(guest_header(OP(RST), 70, packet.h.src_port), NULL);
		assert_eof(fds[i]);
	}
}

/* ---- files ---- */

static int open_another(const char *socket, struct vsock **out, struct error *err)
{
	struct vsock_setup setup = { .reactor = guest.board.home, .cid = 4, .socket = socket };

	return vsock_open(&setup, out, err);
}

static void sockets_are_private(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(stat(guest.socket, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0600);
}

static void a_socket_in_use_is_refused(void **state)
{
	struct vsock *other;
	struct error err;

	(void)state;
	assert_int_equal(open_another(guest.socket, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "another process listens"));
	assert_non_null(strstr(err.text, guest.socket));
}

static void a_stale_socket_is_replaced_and_a_file_is_not(void **state)
{
	char path[128];
	struct vsock *other;
	struct stat st;
	struct error err;

	(void)state;
	snprintf(path, sizeof path, "%s/stale", guest.folder);
	close(host_listener("stale", SOCK_STREAM));
	assert_int_equal(open_another(path, &other, &err), 0);
	close(host_connect("stale", SOCK_STREAM));
	vsock_close(other);
	assert_int_equal(stat(path, &st), -1); /* unlinked */
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(open_another(path, &other, &err), -EADDRINUSE);
	assert_non_null(strstr(err.text, "is no socket"));
	assert_int_equal(stat(path, &st), 0);
	snprintf(path, sizeof path, "%s/no/such/folder", guest.folder);
	assert_int_equal(open_another(path, &other, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
}

/* What another process has put there in the meantime stays. */
static void only_its_own_file_is_unlinked(void **state)
{
	struct stat st;
	int fd;

	(void)state;
	unlink(guest.socket);
	fd = host_listener("v.sock", SOCK_STREAM);
	guest_end_machine();
	vsock_close(guest.vsock);
	assert_int_equal(stat(guest.socket, &st), 0);
	close(fd);
	unlink(guest.socket);
	assert_int_equal(open_another(guest.socket, &guest.vsock, &(struct error){ .text = "" }), 0);
}

static void paths_may_be_long(void **state)
{
	struct virtio_vsock_hdr h = guest_header(OP(REQUEST), 5000, 7);
	char folder[400], path[500];
	struct sockaddr_un to;
	struct error err;
	socklen_t len;
	int fd, dir;

	(void)state;
	snprintf(folder, sizeof folder, "%s/%0100d/%0100d", guest.folder, 1, 2);
	assert_int_equal(path_make_dirs(folder, 0700), 0);
	guest_end_machine();
	vsock_close(guest.vsock);
	snprintf(path, sizeof path, "%s/sock_7", folder);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(path_unix_address(path, &to, &len, &dir), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&to, len), 0);
	close(dir);
	assert_int_equal(listen(fd, 1), 0);
	snprintf(path, sizeof path, "%s/sock", folder);
	assert_int_equal(open_another(path, &guest.vsock, &err), 0);
	guest.vsock->cid = GUEST_CID;
	guest_attach();
	driver_start(&guest.driver, 0, guest.rings, N_QUEUES);
	guest_send(h, NULL);
	close(host_accept(fd));
	close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(connect_and_ok),
		TEST(connect_in_pieces),
		TEST(what_is_no_connect_is_closed),
		TEST(a_client_that_says_nothing_and_goes),
		TEST(a_refused_connect_is_closed),
		TEST(a_listening_port_needs_no_words),
		TEST(a_seqpacket_port_keeps_its_type),
		TEST(held_connections_wait),
		TEST(host_ports_differ),
		TEST(the_core_serves_a_port),
		TEST(a_service_takes_streams_only),
		TEST(the_core_connects),
		TEST(without_descriptors_connections_wait),
		TEST(a_full_table_lets_connections_wait),
		TEST(sockets_are_private),
		TEST(a_socket_in_use_is_refused),
		TEST(a_stale_socket_is_replaced_and_a_file_is_not),
		TEST(only_its_own_file_is_unlinked),
		TEST(paths_may_be_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
