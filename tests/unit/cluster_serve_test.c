/* SPDX-License-Identifier: MIT */
/*
 * cluster_serve_test.c - members, guardians and switches as real processes: machines find each other, whoever is
 * killed is followed by another or gone without a trace. cluster_hostile_test.c has those who mean harm.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <setjmp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "plugins/cluster-switch/guardian.h"
#include "tests/unit/cluster_case.h"

/* JSON of the switch, or NULL where there is none at the moment. */
static json_t *show(void)
{
	const struct protocol_header ask = { PROTOCOL_SHOW, PROTOCOL_VERSION };
	static char packet[PROTOCOL_MESSAGE_MAX], text[1 << 20];
	const int fd = try_connect();
	json_t *json = NULL;
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return NULL;
	if (send(fd, &ask, sizeof ask, MSG_NOSIGNAL) == (ssize_t)sizeof ask) {
		while ((n = recv(fd, packet, sizeof packet, 0)) > 0) {
			const struct protocol_header *h = (const void *)packet;

			assert_true((size_t)n > sizeof *h && h->type == PROTOCOL_TEXT);
			assert_true(len + (size_t)n < sizeof text);
			memcpy(text + len, packet + sizeof *h, (size_t)n - sizeof *h);
			len += (size_t)n - sizeof *h;
		}
		if (n == 0 && len > 0) {
			json = json_loadb(text, len, 0, NULL);
			assert_non_null(json);
		}
	}
	close(fd);
	return json;
}

static pid_t switch_pid(void)
{
	json_t *json = NULL;
	pid_t pid;

	UNTIL(&host, (json = show()) != NULL);
	pid = (pid_t)json_integer_value(json_object_get(json, "pid"));
	json_decref(json);
	assert_true(pid > 1);
	return pid;
}

/* ---- joining ---- */

static void test_two_members_exchange_frames(void **state)
{
	const struct protocol_welcome *place;

	(void)state;
	join(2);
	place = member_place(machines[0].member);
	assert_int_equal(place->subnet.bits, 96 + 24);
	assert_false(net_same(&place->address, &member_place(machines[1].member)->address));
	UNTIL(&host, all_see(2));
	machines_talk(all, 2);
	assert_memory_equal(machines[1].last + ETH_ALEN, machines[0].hello.port.mac, ETH_ALEN);
}

static void test_sixteen_members_exchange_frames(void **state)
{
	(void)state;
	join(MACHINES);
	UNTIL(&host, all_see(MACHINES));
	machines_talk(all, MACHINES);
}

static void test_all_have_the_subnets_of_the_first(void **state)
{
	char text[NET_PREFIX_TEXT];

	(void)state;
	assert_int_equal(net_prefix_parse("10.9.0.0/16", &machines[0].hello.subnet), 0);
	assert_int_equal(net_prefix_parse("fd00:9::/64", &machines[0].hello.subnet6), 0);
	join(2);
	assert_string_equal(net_prefix_text(&member_place(machines[1].member)->subnet, text), "10.9.0.0/16");
	assert_string_equal(net_prefix_text(&member_place(machines[1].member)->subnet6, text), "fd00:9::/64");
	UNTIL(&host, all_see(2));
	assert_int_equal(member_list(machines[0].member)->members[1].address6.s6_addr[1], 0);
	assert_int_equal(member_list(machines[0].member)->members[1].address6.s6_addr[3], 9);
}

static void refused_naming(unsigned number, const char *name, const char *other)
{
	assert_true(machine_try(&machines[number]) < 0);
	if (!strstr(machines[number].cause, name) || !strstr(machines[number].cause, other))
		fail_msg("'%s' has not both %s and %s", machines[number].cause, name, other);
	machine_leave(&machines[number]);
}

static void test_ipv6_may_come_with_a_later_member(void **state)
{
	(void)state;
	join(1);
	assert_int_equal(net_prefix_parse("fd00:9::/64", &machines[1].hello.subnet6), 0);
	machine_join(&machines[1]);
	machine_join(&machines[2]);
	assert_int_equal(member_place(machines[0].member)->subnet6.bits, 0);
	assert_int_equal(member_place(machines[2].member)->subnet6.bits, 64);
	UNTIL(&host, all_see(3));
	assert_true(IN6_IS_ADDR_UNSPECIFIED(&member_list(machines[0].member)->members[0].address6));
	assert_false(IN6_IS_ADDR_UNSPECIFIED(&member_list(machines[0].member)->members[2].address6));
	assert_int_equal(net_prefix_parse("fd00:8::/64", &machines[3].hello.subnet6), 0);
	refused_naming(3, "fd00:8::/64", "vm2");
}

static void test_what_is_taken_is_refused_with_both_names(void **state)
{
	(void)state;
	assert_int_equal(net_address_parse("10.0.3.11", &machines[0].hello.port.address), 0);
	machines[0].hello.fixed = 1;
	join(1);
	/* The name: the same one twice. */
	strcpy(machines[1].hello.port.name, "vm1");
	refused_naming(1, "vm1", "already");
	strcpy(machines[1].hello.port.name, "vm2");
	memcpy(machines[1].hello.port.mac, machines[0].hello.port.mac, ETH_ALEN);
	refused_naming(1, "vm2", "vm1");
	machines[2].hello.port.address = machines[0].hello.port.address;
	machines[2].hello.fixed = 1;
	refused_naming(2, "vm3", "vm1");
	/* Nothing is left of them. */
	machine_init(&machines[1], &host, 2);
	machine_join(&machines[1]);
	machines_talk(all, 2);
}

static void test_what_differs_is_refused_with_both(void **state)
{
	(void)state;
	assert_int_equal(net_prefix_parse("10.9.0.0/16", &machines[0].hello.subnet), 0);
	assert_int_equal(net_prefix_parse("10.8.0.0/16", &machines[1].hello.subnet), 0);
	assert_int_equal(net_prefix_parse("fd00::/64", &machines[2].hello.subnet6), 0);
	assert_int_equal(net_prefix_parse("fd00:1::/64", &machines[0].hello.subnet6), 0);
	strcpy(machines[0].hello.uplink, "vxlan:7@127.0.0.1:47891,127.0.0.2:47891");
	strcpy(machines[3].hello.uplink, "vxlan:8@127.0.0.1:47891,127.0.0.2:47891");
	join(1);
	refused_naming(1, "10.8.0.0/16", "10.9.0.0/16");
	refused_naming(1, "vm2", "vm1");
	refused_naming(2, "fd00::/64", "fd00:1::/64");
	refused_naming(2, "vm3", "vm1");
	refused_naming(3, "vxlan:8", "vxlan:7");
	refused_naming(3, "vm4", "vm1");
	assert_int_equal(net_address_parse("10.8.0.7", &machines[4].hello.port.address), 0);
	refused_naming(4, "10.8.0.7", "10.9.0.0/16");
	assert_int_equal(net_address_parse("10.9.0.1", &machines[4].hello.port.address), 0);
	refused_naming(4, "10.9.0.1", "vm5");
	strcpy(machines[5].hello.uplink, machines[0].hello.uplink);
	machine_join(&machines[5]);
}

static void test_a_bad_uplink_is_the_members_own_trouble(void **state)
{
	(void)state;
	join(1);
	strcpy(machines[1].hello.uplink, "\"carrier\\pigeons\"");
	refused_naming(1, "uplink", "vm2");
	machine_init(&machines[1], &host, 2);
	machine_join(&machines[1]);
	machines_talk(all, 2);
}

static void test_a_name_has_its_address_again(void **state)
{
	struct in6_addr address;

	(void)state;
	join(2);
	address = member_place(machines[1].member)->address;
	machine_leave(&machines[1]);
	machine_leave(&machines[0]);
	no_process_is_left();
	machine_join(&machines[1]);
	assert_true(net_same(&member_place(machines[1].member)->address, &address));
}

/* ---- the end ---- */

static void test_the_last_one_leaves_nothing_behind(void **state)
{
	int folder;

	(void)state;
	join(3);
	folder = cluster_folder(&host);
	machine_leave(&machines[0]);
	machine_leave(&machines[2]);
	UNTIL(&host, member_list(machines[1].member)->n == 1);
	assert_int_equal(faccessat(folder, CLUSTER_SOCKET, F_OK, 0), 0);
	machine_leave(&machines[1]);
	no_process_is_left();
	assert_int_equal(faccessat(folder, CLUSTER_SOCKET, F_OK, 0), -1);
	assert_int_equal(faccessat(folder, CLUSTER_LOG, F_OK, 0), -1);
	close(folder);
}

static void test_who_comes_as_the_last_one_leaves_is_served(void **state)
{
	(void)state;
	machine_join(&machines[0]);
	for (unsigned i = 0; i < 50; i++) {
		machine_leave(&machines[i % 2]);
		machine_join(&machines[(i + 1) % 2]);
	}
	machine_join(&machines[1]);
	machines_talk(all, 2);
}

/* ---- SIGKILL ---- */

static void test_a_killed_switch_has_a_successor(void **state)
{
	struct in6_addr addresses[3];

	(void)state;
	join(3);
	for (unsigned i = 0; i < 3; i++)
		addresses[i] = member_place(machines[i].member)->address;
	for (unsigned round = 0; round < 20; round++) {
		const pid_t old = switch_pid();
		unsigned changed[3];

		for (unsigned i = 0; i < 3; i++)
			changed[i] = machines[i].changed;
		assert_int_equal(kill(old, SIGKILL), 0);
		for (unsigned i = 0; i < 3; i++)
			UNTIL(&host, member_joins(machines[i].member) == round + 2);
		UNTIL(&host, all_see(3));
		assert_int_not_equal(switch_pid(), old);
		for (unsigned i = 0; i < 3; i++) {
			/* No ring, another ring. */
			assert_int_equal(machines[i].changed, changed[i] + 2);
			assert_true(net_same(&member_place(machines[i].member)->address, &addresses[i]));
		}
		machines_talk(all, 3);
	}
}

/* A machine in a process of its own. */
static pid_t machine_fork(struct machine *m)
{
	int told[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(told), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		byte = machine_try(m) == 0;
		if (write(told[1], &byte, 1) != 1)
			_exit(1);
		close(told[1]);
		for (;;)
			pause();
	}
	close(told[1]);
	assert_int_equal(read(told[0], &byte, 1), 1);
	assert_int_equal(byte, 1);
	close(told[0]);
	return pid;
}

static void test_a_killed_member_frees_its_port(void **state)
{
	pid_t pid;

	(void)state;
	/* It is the one whose guardian brings the switch up. */
	pid = machine_fork(&machines[1]);
	join(1);
	UNTIL(&host, member_list(machines[0].member)->n == 2);
	assert_int_equal(kill(pid, SIGKILL), 0);
	UNTIL(&host, member_list(machines[0].member)->n == 1);
	machine_join(&machines[1]);
	machines_talk(all, 2);
}

/* Until it is gone: it is our child, as an orphan (cluster_host.h). */
static void guardian_kill(pid_t guardian)
{
	assert_int_equal(kill(guardian, SIGKILL), 0);
	assert_int_equal(waitpid(guardian, NULL, 0), guardian);
}

static void test_a_killed_guardian_is_replaced_before_the_switch_is(void **state)
{
	(void)state;
	join(1);
	for (unsigned round = 0; round < 5; round++) {
		pid_t guardian;

		assert_int_equal(processes("capsa-guardian", &guardian, 1), 1);
		guardian_kill(guardian);
		/* The member sees it, the switch hears of it before it answers us. */
		UNTIL(&host, processes("capsa-guardian", &guardian, 1) == 1);
		assert_int_equal(kill(switch_pid(), SIGKILL), 0);
		UNTIL(&host, member_joins(machines[0].member) == round + 2);
	}
	machine_join(&machines[1]);
	machines_talk(all, 2);
}

static void test_anybody_may_be_killed_at_any_time(void **state)
{
	uint32_t random = 7;

	(void)state;
	join(4);
	for (unsigned round = 0; round < 40; round++) {
		pid_t pids[16];
		unsigned n;

		random = random * 1664525 + 1013904223;
		if (random >> 31) {
			n = processes("capsa-switch", pids, 16);
			if (n > 0)
				(void)kill(pids[0], SIGKILL);
		} else {
			n = processes("capsa-guardian", pids, 16);
			if (n > 0)
				guardian_kill(pids[(random >> 24) % (n < 16 ? n : 16)]);
		}
		cluster_host_turn(&host, 0);
		/* Sometimes the next blow comes before all is well again; but one of four guardians is always left. */
		if (round % 3 == 0) {
			machines_talk(all, 4);
			UNTIL(&host, processes("capsa-guardian", NULL, 0) == 4);
		}
	}
	machines_talk(all, 4);
	UNTIL(&host, all_see(4));
}

/* ---- the folder ---- */

static void test_what_others_left_in_the_folder_is_no_hindrance(void **state)
{
	static const char *const names[] = { CLUSTER_SOCKET, CLUSTER_SOCKET ".new", CLUSTER_LEASES ".new" };
	char path[128];
	int folder, fd;

	(void)state;
	snprintf(path, sizeof path, "%s/clusters", host.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/clusters/lab", host.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	folder = cluster_folder(&host);
	for (unsigned i = 0; i < 3; i++) {
		struct sockaddr_un at = { .sun_family = AF_UNIX };

		/* Of one that was killed. */
		snprintf(at.sun_path, sizeof at.sun_path, "/proc/self/fd/%d/%s", folder, names[i]);
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
		close(fd);
	}
	fd = openat(folder, CLUSTER_LEASES, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "\0\n\xff \n", 5), 5);
	close(fd);
	join(2);
	machines_talk(all, 2);
	machine_leave(&machines[0]);
	machine_leave(&machines[1]);
	no_process_is_left();
	assert_int_equal(faccessat(folder, CLUSTER_SOCKET, F_OK, 0), -1);
	assert_int_equal(faccessat(folder, CLUSTER_SOCKET ".new", F_OK, 0), -1);
	close(folder);
}

static void test_a_folder_that_is_open_to_others_is_refused(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/clusters", host.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(machine_try(&machines[0]), -EPERM);
	assert_non_null(strstr(machines[0].cause, "chmod"));
	machine_leave(&machines[0]);
	assert_int_equal(chmod(path, 0700), 0);
	snprintf(path, sizeof path, "%s/clusters/lab", host.folder);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_true(machine_try(&machines[0]) < 0);
	machine_leave(&machines[0]);
}

static void test_a_lock_that_is_none_is_an_error_at_once(void **state)
{
	const uint64_t begin = cluster_now_ms();
	char path[128];

	(void)state;
	snprintf(path, sizeof path, "%s/clusters", host.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/clusters/lab", host.folder);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/clusters/lab/%s", host.folder, CLUSTER_LOCK);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(machine_try(&machines[0]), -EIO);
	assert_non_null(strstr(machines[0].cause, CLUSTER_LOCK));
	machine_leave(&machines[0]);
	assert_true(cluster_now_ms() - begin < MEMBER_JOIN_MS);
}

/* ---- show ---- */

static void test_show_says_who_is_there_while_they_come_and_go(void **state)
{
	json_t *json, *list, *one;

	(void)state;
	strcpy(machines[0].hello.uplink, "vxlan:7@127.0.0.1:47891,127.0.0.2:47891");
	join(1);
	for (unsigned i = 0; i < 50; i++) {
		if (i % 2 == 0)
			machine_join(&machines[1 + i % 5]);
		json = show();
		assert_non_null(json);
		assert_string_equal(json_string_value(json_object_get(json, "name")), "lab");
		assert_int_equal(json_array_size(json_object_get(json, "members")), i % 2 ? 1 : 2);
		json_decref(json);
		if (i % 2 == 0) {
			machine_leave(&machines[1 + i % 5]);
			UNTIL(&host, member_list(machines[0].member)->n == 1);
		}
	}
	machine_join(&machines[1]);
	machines_talk(all, 2);
	json = show();
	assert_string_equal(json_string_value(json_object_get(json, "subnet")), "10.0.3.0/24");
	assert_true(json_is_null(json_object_get(json, "subnet6")));
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "uplink"), "to")),
	                    machines[0].hello.uplink);
	list = json_object_get(json, "members");
	assert_int_equal(json_array_size(list), 2);
	one = json_array_get(list, 1);
	assert_string_equal(json_string_value(json_object_get(one, "name")), "vm2");
	assert_string_equal(json_string_value(json_object_get(one, "mac")), "52:54:00:00:00:02");
	assert_int_equal(json_integer_value(json_object_get(one, "pid")), getpid());
	assert_true(json_integer_value(json_object_get(one, "rx_packets")) >= 2);
	assert_true(json_integer_value(json_object_get(one, "tx_packets")) >= 2);
	assert_int_equal(json_integer_value(json_object_get(one, "full_dropped")), 0);
	list = json_object_get(json, "macs");
	assert_true(json_array_size(list) >= 2);
	json_decref(json);
}

static void test_change_is_what_the_switch_and_its_successor_know(void **state)
{
	struct bridge_port_options options = machines[0].hello.port;
	json_t *json;

	(void)state;
	join(1);
	options.rate = 12345;
	member_change(machines[0].member, &options);
	for (unsigned i = 0; i < 2; i++) {
		json = show();
		assert_int_equal(json_integer_value(
					 json_object_get(json_array_get(json_object_get(json, "members"), 0), "rate")),
		                 12345);
		json_decref(json);
		kill(switch_pid(), SIGKILL);
		UNTIL(&host, member_joins(machines[0].member) == i + 2);
	}
}

/* ---- the guardian ---- */

static bool has_mapped(pid_t pid, const char *what)
{
	char path[64], line[512];
	bool has = false;
	FILE *maps;

	snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	assert_non_null(maps);
	while (fgets(line, sizeof line, maps))
		has |= strstr(line, what) != NULL;
	fclose(maps);
	return has;
}

static void test_a_guardian_of_the_switch_has_no_ring(void **state)
{
	pid_t guardian;

	(void)state;
	join(1);
	assert_true(has_mapped(getpid(), "memfd:"));
	assert_true(has_mapped(switch_pid(), "memfd:"));
	assert_int_equal(processes("capsa-guardian", &guardian, 1), 1);
	guardian_kill(guardian);
	UNTIL(&host, processes("capsa-guardian", &guardian, 1) == 1);
	assert_false(has_mapped(guardian, "memfd:"));
}

static void test_the_switch_runs_in_batches(void **state)
{
	const int mine = sched_getscheduler(0);

	(void)state;
	join(1);
	assert_int_equal(sched_getscheduler(switch_pid()), SCHED_BATCH);
	assert_int_equal(sched_getscheduler(0), mine);
}

static void test_a_guardian_keeps_nothing_of_its_members(void **state)
{
	const size_t size = 1 << 20;
	int folder, leash, lock, ends[2], memfd;
	char byte;
	struct pollfd end;
	unsigned char *at;
	pid_t guardian;

	(void)state;
	join(1);
	machine_leave(&machines[0]);
	no_process_is_left();
	folder = cluster_folder(&host);
	/* No switch, so that it sleeps. */
	lock = openat(folder, CLUSTER_LOCK, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	assert_int_equal(pipe(ends), 0);
	end = (struct pollfd){ .fd = ends[0], .events = POLLIN };
	memfd = memfd_create("guest-memory", 0);
	assert_int_equal(ftruncate(memfd, (off_t)size), 0);
	at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	assert_true(at != MAP_FAILED);
	assert_int_equal(madvise(at, size, MADV_DONTFORK), 0); /* as core/machine/memory.c has it */
	close(memfd);

	assert_int_equal(guardian_start(folder, "lab", &leash), 0);
	close(ends[1]);
	/* The end of the pipe, which nobody has any more. */
	assert_int_equal(poll(&end, 1, UNTIL_MS), 1);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	UNTIL(&host, processes("capsa-guardian", &guardian, 1) == 1);
	assert_false(has_mapped(guardian, "guest-memory"));
	munmap(at, size);

	assert_int_not_equal(getsid(guardian), getsid(0));
	close(leash);
	no_process_is_left();
	close(lock);
	close(folder);
}

static bool nobody_is_left(void)
{
	pid_t pid;

	do
		pid = waitpid(-1, NULL, WNOHANG);
	while (pid > 0);
	return pid < 0 && errno == ECHILD;
}

static void test_a_guardian_whose_member_went_before_it_slept_ends(void **state)
{
	int folder, lock, leash, pair[2];

	(void)state;
	join(1);
	machine_leave(&machines[0]);
	no_process_is_left();
	folder = cluster_folder(&host);
	/* Not by the switch that it would bring up: it would have to wait for that. */
	lock = openat(folder, CLUSTER_LOCK, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(lock, LOCK_EX), 0);
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(guardian_start(folder, "lab", &leash), 0);
		close(leash);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		close(pair[0]);
		assert_int_equal(guardian_start_with(folder, "lab", pair[1], -1), 0);
	}
	UNTIL(&host, nobody_is_left());
	close(lock);
	close(folder);
}

static int run(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(two_members_exchange_frames),
		TEST(sixteen_members_exchange_frames),
		TEST(all_have_the_subnets_of_the_first),
		TEST(ipv6_may_come_with_a_later_member),
		TEST(what_is_taken_is_refused_with_both_names),
		TEST(what_differs_is_refused_with_both),
		TEST(a_bad_uplink_is_the_members_own_trouble),
		TEST(a_name_has_its_address_again),
		TEST(the_last_one_leaves_nothing_behind),
		TEST(who_comes_as_the_last_one_leaves_is_served),
		TEST(a_killed_switch_has_a_successor),
		TEST(a_killed_member_frees_its_port),
		TEST(a_killed_guardian_is_replaced_before_the_switch_is),
		TEST(anybody_may_be_killed_at_any_time),
		TEST(what_others_left_in_the_folder_is_no_hindrance),
		TEST(a_folder_that_is_open_to_others_is_refused),
		TEST(a_lock_that_is_none_is_an_error_at_once),
		TEST(show_says_who_is_there_while_they_come_and_go),
		TEST(change_is_what_the_switch_and_its_successor_know),
		TEST(a_guardian_of_the_switch_has_no_ring),
		TEST(the_switch_runs_in_batches),
		TEST(a_guardian_keeps_nothing_of_its_members),
		TEST(a_guardian_whose_member_went_before_it_slept_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
	return cluster_test_main(run);
}
