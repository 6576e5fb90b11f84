/* SPDX-License-Identifier: MIT */
/*
 * cluster_hostile_test.c - what one member, or somebody who is none, says, does not say or writes into its ring harms
 * no other: it is cut off, the others' frames flow, and the switch is the same one as before.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/cluster_case.h"

/* ---- who connects by hand ---- */

static int connect_raw(void)
{
	const int fd = try_connect();

	assert_true(fd >= 0);
	return fd;
}

/* The end, while everybody else goes on. */
static bool has_ended(int fd)
{
	char byte;
	const ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static void until_ended(int fd)
{
	host.also = fd;
	UNTIL(&host, has_ended(fd));
	host.also = -1;
}

/* A member by hand, which may be as bad as it likes. */
struct raw {
	int fd, memfd, wake;
};

static void raw_join(struct raw *raw, unsigned number)
{
	struct machine m;
	struct protocol_welcome welcome;
	struct iovec iov = { &welcome, sizeof welcome };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(PROTOCOL_WELCOME_FDS * sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	int fds[PROTOCOL_WELCOME_FDS];

	machine_init(&m, &host, number);
	m.hello.h = (struct protocol_header){ PROTOCOL_HELLO, PROTOCOL_VERSION };
	raw->fd = connect_raw();
	assert_int_equal(send(raw->fd, &m.hello, sizeof m.hello, 0), sizeof m.hello);
	assert_int_equal(recvmsg(raw->fd, &msg, MSG_CMSG_CLOEXEC), sizeof welcome);
	assert_true(protocol_welcome_is_valid(&welcome, sizeof welcome));
	assert_int_equal(control.align.cmsg_len, CMSG_LEN(PROTOCOL_WELCOME_FDS * sizeof(int)));
	memcpy(fds, CMSG_DATA(&control.align), sizeof fds);
	raw->memfd = fds[0];
	raw->wake = fds[1];
}

static void raw_leave(struct raw *raw)
{
	close(raw->fd);
	close(raw->memfd);
	close(raw->wake);
}

static ssize_t send_fds(int fd, const void *message, size_t len, const int *fds, unsigned n)
{
	struct iovec iov = { .iov_len = len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(n * sizeof(int))
	};

	memcpy(&iov.iov_base, &message, sizeof message);
	control.align.cmsg_level = SOL_SOCKET;
	control.align.cmsg_type = SCM_RIGHTS;
	control.align.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&control.align), fds, n * sizeof(int));
	if (n == 0) {
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return sendmsg(fd, &msg, MSG_NOSIGNAL);
}

/* ---- what it does ---- */

static void test_garbage_in_a_ring_ends_its_owner_only(void **state)
{
	uint32_t random = 1;

	(void)state;
	join(2);
	for (unsigned round = 0; round < 8; round++) {
		struct raw raw;
		struct stat st;
		unsigned char *at;

		raw_join(&raw, 9);
		assert_int_equal(fstat(raw.memfd, &st), 0);
		at = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, raw.memfd, 0);
		assert_true(at != MAP_FAILED);
		/* It is sealed: cut off, it would be a SIGBUS of the switch's. */
		assert_int_equal(ftruncate(raw.memfd, 0), -1);
		for (size_t i = 0; i < (size_t)st.st_size; i++) {
			random = random * 1664525 + 1013904223;
			at[i] = round == 0 ? 0xff : (unsigned char)(random >> 24);
		}
		/* What others sent to it may have shown it already. */
		assert_true(send(raw.wake, "", 1, MSG_NOSIGNAL) == 1 || errno == EPIPE || errno == ECONNRESET);
		/* Those to it find the ring broken as well. */
		machine_send(&machines[0], NULL);
		machines_talk(all, 2);
		UNTIL(&host, member_list(machines[0].member)->n == 2);
		munmap(at, (size_t)st.st_size);
		raw_leave(&raw);
	}
	assert_int_equal(member_joins(machines[0].member), 1);
}

static void test_who_closes_its_ring_is_cut_off(void **state)
{
	struct raw raw;

	(void)state;
	join(2);
	for (unsigned i = 0; i < 2; i++) {
		raw_join(&raw, 9);
		UNTIL(&host, member_list(machines[0].member)->n == 3);
		/* Its socket stays. */
		assert_int_equal(i == 0 ? shutdown(raw.wake, SHUT_WR) : close(raw.wake), 0);
		machine_send(&machines[0], NULL);
		UNTIL(&host, all_see(2));
		if (i == 1)
			raw.wake = dup(raw.fd);
		raw_leave(&raw);
	}
	machines_talk(all, 2);
	assert_int_equal(member_joins(machines[0].member), 1);
}

static void test_what_is_no_message_ends_who_said_it(void **state)
{
	static const size_t lengths[] = {
		1, 4, 7, 8, 9, 100, sizeof(struct protocol_hello), sizeof(struct protocol_change), 65536, 70000
	};
	static unsigned char bytes[70000];

	(void)state;
	join(2);
	for (uint32_t type = 0; type <= 9; type++) {
		for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
			const struct protocol_header h = { type, PROTOCOL_VERSION };
			const int fds[4] = { 0, 0, 0, 0 };
			const unsigned n_fds = (type + (unsigned)i) % 5;
			const bool is_member = i % 2;
			struct raw raw = { -1, -1, -1 };
			int fd;

			memset(bytes, 0xa5, sizeof bytes);
			memcpy(bytes, &h, sizeof h);
			if (is_member)
				raw_join(&raw, 9);
			fd = is_member ? raw.fd : connect_raw();
			if (type == PROTOCOL_SHOW && lengths[i] == sizeof h)
				bytes[0] = 0;
			/* Longer than a socket has room for. */
			if (send_fds(fd, bytes, lengths[i], fds, n_fds) < 0)
				shutdown(fd, SHUT_WR);
			until_ended(fd);
			if (is_member)
				raw_leave(&raw);
			else
				close(fd);
		}
	}
	UNTIL(&host, all_see(2));
	machines_talk(all, 2);
	assert_int_equal(member_joins(machines[0].member), 1);
}

static void test_a_guardian_that_could_not_end_is_not_begun(void **state)
{
	const struct protocol_header ask = { PROTOCOL_GUARDIAN, PROTOCOL_VERSION };
	struct raw raw;

	(void)state;
	join(1);
	raw_join(&raw, 9);
	/* Memory, which nobody hangs up. */
	assert_int_equal(send_fds(raw.fd, &ask, sizeof ask, &raw.memfd, 1), sizeof ask);
	until_ended(raw.fd);
	raw_leave(&raw);
}

static void test_another_version_is_told_so(void **state)
{
	struct protocol_header h = { PROTOCOL_HELLO, PROTOCOL_VERSION + 1 };
	struct protocol_refused refused;
	int fd;

	(void)state;
	join(1);
	fd = connect_raw();
	assert_int_equal(send(fd, &h, sizeof h, 0), sizeof h);
	assert_int_equal(recv(fd, &refused, sizeof refused, 0), sizeof refused);
	assert_true(protocol_refused_is_valid(&refused, sizeof refused));
	assert_non_null(strstr(refused.why, "release"));
	assert_int_equal(recv(fd, &refused, sizeof refused, 0), 0);
	close(fd);
}

static void test_who_says_nothing_is_cut_off(void **state)
{
	int fd, other;

	(void)state;
	join(1);
	fd = connect_raw();
	other = connect_raw();
	until_ended(fd);
	until_ended(other);
	close(fd);
	close(other);
	machine_join(&machines[1]);
	machines_talk(all, 2);
}

static void test_many_who_say_nothing_keep_nobody_out(void **state)
{
	int fds[300];

	(void)state;
	join(1);
	for (unsigned i = 0; i < 300; i++)
		fds[i] = connect_raw();
	machine_join(&machines[1]);
	machines_talk(all, 2);
	for (unsigned i = 0; i < 300; i++)
		close(fds[i]);
}

static void test_who_does_not_read_is_told_the_newest_later(void **state)
{
	static struct protocol_members list;
	struct raw raw;
	ssize_t n;

	(void)state;
	join(1);
	raw_join(&raw, 9);
	/* More lists than its socket has room for. */
	for (unsigned i = 0; i < 300; i++) {
		machine_join(&machines[1]);
		machine_leave(&machines[1]);
	}
	join(0);
	machine_join(&machines[2]);
	machines_talk((struct machine *[]){ &machines[0], &machines[2] }, 2);
	do {
		struct pollfd fd = { .fd = raw.fd, .events = POLLIN };

		assert_int_equal(poll(&fd, 1, UNTIL_MS), 1);
		n = recv(raw.fd, &list, sizeof list, 0);
		assert_true(n > 0);
		assert_true(protocol_members_is_valid(&list, (size_t)n));
	} while (list.n != 3 || strcmp(list.members[2].name, "vm3") != 0);
	raw_leave(&raw);
}

static void test_guardians_are_not_to_be_had_without_end(void **state)
{
	const struct protocol_header ask = { PROTOCOL_GUARDIAN, PROTOCOL_VERSION };
	struct raw raw;
	int leashes[100];
	unsigned n = 0;

	(void)state;
	join(1);
	raw_join(&raw, 9);
	for (unsigned i = 0; i < 100; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		leashes[i] = pair[0];
		assert_int_equal(send_fds(raw.fd, &ask, sizeof ask, &pair[1], 1), sizeof ask);
		close(pair[1]);
	}
	/* Behind all of them in line: they have been looked at. */
	machine_join(&machines[1]);
	until_ended(leashes[99]);
	for (unsigned i = 0; i < 100; i++)
		n += !has_ended(leashes[i]);
	assert_in_range(n, 1, 40);
	for (unsigned i = 0; i < 100; i++)
		close(leashes[i]);
	raw_leave(&raw);
}

/* By joining again, as often as it likes, each time with the same end of one leash. */
static void test_nor_by_who_joins_again_for_more(void **state)
{
	const struct protocol_header ask = { PROTOCOL_GUARDIAN, PROTOCOL_VERSION };
	const unsigned most = CLUSTER_MEMBERS_MAX + 1; /* the first member's own is one more */
	struct raw raw;
	int pair[2];

	(void)state;
	join(1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (unsigned n = 1; n < CLUSTER_MEMBERS_MAX + 32; n += 16) {
		const unsigned now = n + 16 <= most ? n + 16 : most;

		raw_join(&raw, 9);
		for (unsigned i = 0; i < 16; i++)
			assert_int_equal(send_fds(raw.fd, &ask, sizeof ask, &pair[1], 1), sizeof ask);
		UNTIL(&host, processes("capsa-guardian", NULL, 0) == now);
		raw_leave(&raw);
		UNTIL(&host, all_see(1));
	}
	assert_int_equal(processes("capsa-guardian", NULL, 0), most);
	close(pair[0]);
	close(pair[1]);
	machine_leave(&machines[0]);
	/* Only one of them is told; the others find out when the switch has gone. */
	UNTIL(&host, processes("capsa-guardian", NULL, 0) == 0);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(garbage_in_a_ring_ends_its_owner_only),
		TEST(who_closes_its_ring_is_cut_off),
		TEST(what_is_no_message_ends_who_said_it),
		TEST(a_guardian_that_could_not_end_is_not_begun),
		TEST(another_version_is_told_so),
		TEST(who_says_nothing_is_cut_off),
		TEST(many_who_say_nothing_keep_nobody_out),
		TEST(who_does_not_read_is_told_the_newest_later),
		TEST(guardians_are_not_to_be_had_without_end),
		TEST(nor_by_who_joins_again_for_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return cluster_test_main(run);
}
