/* SPDX-License-Identifier: MIT */
/*
 * link_test.c - a machine's link to its agent: what is mounted before anybody is let in, in which order, and what
 * becomes of a guest that refuses, is silent, lies, or comes again.
 *
 * The vsock is this file's: it notes whether clients are let in, and a test hands the link a socket whose other end is
 * the agent (client_agent.h).
 */
#include "tests/unit/client_agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/sandbox/link.h"

struct vsock {
	void (*accepted)(void *ctx, int fd);
	void *ctx;
	bool let_in;
};

int vsock_serve(struct vsock *vsock, uint32_t port, void (*accepted)(void *ctx, int fd), void *ctx)
{
	assert_int_equal(port, AGENT_PORT);
	vsock->accepted = accepted;
	vsock->ctx = ctx;
	return 0;
}

void vsock_release(struct vsock *vsock, uint32_t port, bool held)
{
	assert_int_equal(port, AGENT_PORT);
	vsock->let_in = !held;
}

struct machine {
	struct test t; /* its reactor and the agent; no client of its own */
	struct vsock vsock;
	struct mounts *mounts;
	struct network *network; /* no cards, but where a test says so */
	struct link *link;
	unsigned greeted, ready, failed, lost;
	bool goes_on; /* although a mount failed */
	char why[1024];
};

static void on_greeted(void *ctx, const struct client_times *times)
{
	struct machine *m = ctx;

	(void)times;
	assert_false(m->vsock.let_in);
	m->greeted++;
}

static bool on_failed(void *ctx, const char *why)
{
	struct machine *m = ctx;

	assert_false(m->vsock.let_in);
	m->failed++;
	snprintf(m->why, sizeof m->why, "%s", why);
	return m->goes_on;
}

static void on_ready(void *ctx)
{
	struct machine *m = ctx;

	assert_true(m->vsock.let_in);
	m->ready++;
}

static void on_lost(void *ctx)
{
	struct machine *m = ctx;

	assert_false(m->vsock.let_in);
	m->lost++;
}

static void agent_comes(struct machine *m)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	m->t.agent = ends[1];
	m->vsock.accepted(m->vsock.ctx, ends[0]);
	agent_expect(&m->t, 0, AGENT_HELLO, 0);
}

static void agent_goes(struct machine *m)
{
	close(m->t.agent);
	m->t.agent = -1;
	test_settle(&m->t);
}

static void open_with(struct machine *m, const struct mounts_entry *entries, size_t n,
                      const struct network_devices *devices)
{
	static const struct link_events events = {
		.greeted = on_greeted, .setup_failed = on_failed, .ready = on_ready, .lost = on_lost
	};
	struct error err;

	memset(m, 0, sizeof *m);
	test_open_alone(&m->t);
	assert_int_equal(mounts_new(m->t.reactor, entries, n, &m->mounts, &err), 0);
	assert_int_equal(network_new(m->t.reactor, devices, &m->network, &err), 0);
	assert_int_equal(link_open(m->t.reactor, &m->vsock, m->mounts, m->network, &events, m, &m->link, &err), 0);
	agent_comes(m);
}

static void open_machine(struct machine *m, const struct mounts_entry *entries, size_t n)
{
	static const struct network_devices none;

	open_with(m, entries, n, &none);
}

static void close_machine(struct machine *m)
{
	link_close(m->link);
	mounts_free(m->mounts);
	network_free(m->network);
	assert_null(m->vsock.accepted);
	test_close(&m->t);
}

/* What an AGENT_MOUNT says. */
struct asked {
	uint32_t channel, flags;
	char source[64], target[64], type[16], options[32], fallback[32];
};

static struct asked hear_mount(struct machine *m)
{
	unsigned char payload[256];
	struct agent_frame frame = agent_hear_all(&m->t, payload, sizeof payload);
	struct agent_reader r = agent_reader_on(payload, frame.length);
	struct asked asked = { .channel = frame.channel };

	assert_int_equal(frame.type, AGENT_MOUNT);
	agent_read_string(&r, asked.source, sizeof asked.source);
	agent_read_string(&r, asked.target, sizeof asked.target);
	agent_read_string(&r, asked.type, sizeof asked.type);
	agent_read_string(&r, asked.options, sizeof asked.options);
	asked.flags = agent_read_u32(&r);
	agent_read_string(&r, asked.fallback, sizeof asked.fallback);
	assert_false(r.failed);
	assert_int_equal(r.left, 0);
	assert_string_equal(asked.type, "virtiofs");
	return asked;
}

static void expect_mount(struct machine *m, const char *source, const char *target, const char *options, uint32_t flags,
                         const char *fallback, uint32_t *channel)
{
	struct asked asked = hear_mount(m);

	assert_string_equal(asked.source, source);
	assert_string_equal(asked.target, target);
	assert_string_equal(asked.options, options);
	assert_int_equal(asked.flags, flags);
	assert_string_equal(asked.fallback, fallback);
	*channel = asked.channel;
}

static void answer(struct machine *m, uint32_t channel, uint32_t code, const char *cause)
{
	agent_say_result(&m->t, channel, code, cause, strlen(cause));
	test_settle(&m->t);
}

static void expect_ready(const struct machine *m, unsigned times)
{
	assert_int_equal(m->ready, times);
	assert_true(m->vsock.let_in);
	assert_true(link_is_ready(m->link));
}

static void expect_waiting(const struct machine *m)
{
	assert_false(m->vsock.let_in);
	assert_false(link_is_ready(m->link));
}

static const struct mounts_entry src = { .tag = "share0", .target = "/src", .path = "/home/me/src" };
static const struct mounts_entry two[] = {
	{ .tag = "share0", .target = "/src", .path = "/home/me/src" },
	{ .tag = "share1", .target = "/out/", .path = "/home/me/out", .readonly = true },
};

/* ---- */

static void test_without_mounts_a_greeting_is_enough(void **state)
{
	struct machine m;

	(void)state;
	open_machine(&m, NULL, 0);
	expect_waiting(&m);
	agent_greet(&m.t);
	test_settle(&m.t);
	assert_int_equal(m.greeted, 1);
	expect_ready(&m, 1);
	assert_true(agent_heard_all(&m.t));
	close_machine(&m);
}

static void test_nobody_is_let_in_before_all_is_mounted(void **state)
{
	struct machine m;
	uint32_t first, second;

	(void)state;
	open_machine(&m, two, 2);
	agent_greet(&m.t);
	/* Both are asked for before either is answered. */
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &first);
	expect_mount(&m, "share1", "/out", "ro", AGENT_MOUNT_ONCE, "", &second);
	assert_true(agent_heard_all(&m.t));
	assert_int_equal(m.greeted, 1);
	expect_waiting(&m);
	assert_false(link_power_off(m.link, 0));
	answer(&m, second, 0, "");
	expect_waiting(&m);
	answer(&m, first, 0, "");
	expect_ready(&m, 1);
	assert_int_equal(m.failed, 0);
	close_machine(&m);
}

static void test_the_root_is_first_and_folders_come_before_what_is_in_them(void **state)
{
	static const struct mounts_entry entries[] = {
		{ .tag = "c", .target = "/a/b/c" },
		{ .tag = "x", .target = "/x/" },
		{ .tag = "root", .target = "/", .readonly = true, .dax = true },
		{ .tag = "a", .target = "/a" },
	};
	struct machine m;
	uint32_t channel;

	(void)state;
	open_machine(&m, entries, 4);
	agent_greet(&m.t);
	expect_mount(&m, "root", "/", "ro,dax", AGENT_MOUNT_ONCE | AGENT_MOUNT_OVERLAY, "ro", &channel);
	expect_mount(&m, "x", "/x", "rw", AGENT_MOUNT_ONCE, "", &channel);
	expect_mount(&m, "a", "/a", "rw", AGENT_MOUNT_ONCE, "", &channel);
	expect_mount(&m, "c", "/a/b/c", "rw", AGENT_MOUNT_ONCE, "", &channel);
	close_machine(&m);
}

static void test_a_root_that_may_be_written_to_has_no_overlay(void **state)
{
	static const struct mounts_entry root = { .tag = "root", .target = "//", .path = "/" };
	struct machine m;
	uint32_t channel;

	(void)state;
	open_machine(&m, &root, 1);
	agent_greet(&m.t);
	expect_mount(&m, "root", "/", "rw", AGENT_MOUNT_ONCE, "", &channel);
	close_machine(&m);
}

static void test_a_mount_that_fails_is_told_with_its_cause(void **state)
{
	struct machine m;
	uint32_t first, second;

	(void)state;
	open_machine(&m, two, 2);
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &first);
	expect_mount(&m, "share1", "/out", "ro", AGENT_MOUNT_ONCE, "", &second);
	answer(&m, first, EINVAL, "share0: Invalid argument\n\x1b[2J");
	assert_int_equal(m.failed, 0); /* the other one is waited for */
	answer(&m, second, ENODEV, "");
	assert_int_equal(m.failed, 1);
	assert_string_equal(m.why,
	                    "the share \"/home/me/src\" cannot be mounted at \"/src\" in the guest: share0: Invalid "
	                    "argument??[2J");
	expect_waiting(&m);
	assert_int_equal(m.ready, 0);
	close_machine(&m);
}

static void test_a_machine_may_go_on_without(void **state)
{
	struct machine m;
	uint32_t channel;

	(void)state;
	open_machine(&m, &src, 1);
	m.goes_on = true;
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &channel);
	answer(&m, channel, ENODEV, "virtiofs: No such device");
	assert_int_equal(m.failed, 1);
	assert_non_null(strstr(m.why, "its kernel has no such file system"));
	expect_ready(&m, 1);
	close_machine(&m);
}

static void test_an_agent_that_comes_again_is_asked_again(void **state)
{
	struct machine m;
	uint32_t channel;

	(void)state;
	open_machine(&m, &src, 1);
	for (unsigned i = 1; i <= 3; i++) {
		agent_greet(&m.t);
		expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &channel);
		expect_waiting(&m);
		answer(&m, channel, 0, "");
		expect_ready(&m, i);
		agent_goes(&m);
		assert_int_equal(m.lost, i);
		expect_waiting(&m);
		agent_comes(&m);
	}
	close_machine(&m);
}

static void test_an_agent_that_dies_while_it_mounts_is_waited_for(void **state)
{
	struct machine m;
	uint32_t channel;

	(void)state;
	open_machine(&m, &src, 1);
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &channel);
	agent_goes(&m);
	assert_int_equal(m.failed + m.ready + m.lost, 0);
	agent_comes(&m);
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &channel);
	answer(&m, channel, 0, "");
	expect_ready(&m, 1);
	close_machine(&m);
}

/* Each begins with a machine that has asked. */
static void hostile(void (*act)(struct machine *m, uint32_t channel))
{
	struct machine m;
	uint32_t channel;

	open_machine(&m, &src, 1);
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &channel);
	act(&m, channel);
	test_settle(&m.t);
	assert_int_equal(m.failed + m.ready + m.lost, 0);
	expect_waiting(&m);
	/* The next one may be better. */
	if (m.t.agent >= 0)
		close(m.t.agent);
	agent_comes(&m);
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &channel);
	answer(&m, channel, 0, "");
	expect_ready(&m, 1);
	close_machine(&m);
}

static void says_exit(struct machine *m, uint32_t channel)
{
	agent_say_exit(&m->t, channel, AGENT_EXITED, 0);
}

static void answers_what_was_not_asked(struct machine *m, uint32_t channel)
{
	agent_say_result(&m->t, channel + 1, 0, "", 0);
}

static void cuts_its_answer(struct machine *m, uint32_t channel)
{
	agent_say(&m->t, channel, AGENT_RESULT, 0, "\0\0\0", 3);
}

static void sends_too_much(struct machine *m, uint32_t channel)
{
	for (size_t sent = 0; sent <= AGENT_WINDOW; sent += AGENT_DATA_MAX)
		agent_say_data(&m->t, channel, AGENT_OUTPUT, AGENT_DATA_MAX);
	agent_say_data(&m->t, channel, 7, 1);
}

static void greets_twice(struct machine *m, uint32_t channel)
{
	(void)channel;
	agent_greet(&m->t);
}

static void test_an_agent_against_the_rules_is_left(void **state)
{
	(void)state;
	hostile(says_exit);
	hostile(answers_what_was_not_asked);
	hostile(cuts_its_answer);
	hostile(sends_too_much);
	hostile(greets_twice);
}

static void test_a_second_answer_ends_the_connection(void **state)
{
	struct machine m;
	uint32_t channel;

	(void)state;
	open_machine(&m, &src, 1);
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &channel);
	agent_say_result(&m.t, channel, 0, "", 0);
	agent_say_result(&m.t, channel, 0, "", 0);
	test_settle(&m.t);
	assert_int_equal(m.ready, 1);
	assert_int_equal(m.lost, 1);
	expect_waiting(&m);
	close_machine(&m);
}

/* ---- mounts.c alone ---- */

struct waiting {
	struct machine *m;
	unsigned done;
};

static void on_done(void *ctx, const char *failure)
{
	struct waiting *w = ctx;

	w->done++;
	snprintf(w->m->why, sizeof w->m->why, "%s", failure ? failure : "");
	reactor_stop(w->m->t.reactor);
}

static void client_ready(void *ctx, const struct client_times *times)
{
	(void)times;
	reactor_stop(((struct machine *)ctx)->t.reactor);
}

static void test_an_agent_that_never_answers_is_waited_for_so_long_only(void **state)
{
	static const struct client_events events = { .ready = client_ready };
	struct machine m;
	struct waiting w = { .m = &m };
	uint32_t first, second;
	struct error err;
	int ends[2];

	(void)state;
	memset(&m, 0, sizeof m);
	test_open_alone(&m.t);
	assert_int_equal(mounts_new(m.t.reactor, two, 2, &m.mounts, &err), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	m.t.agent = ends[1];
	assert_int_equal(client_open(m.t.reactor, ends[0], &events, &m, &m.t.client, &err), 0);
	agent_greet(&m.t);
	reactor_run(m.t.reactor);
	agent_expect(&m.t, 0, AGENT_HELLO, 0);
	mounts_ask(m.mounts, m.t.client, 20, on_done, &w);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &first);
	expect_mount(&m, "share1", "/out", "ro", AGENT_MOUNT_ONCE, "", &second);
	agent_say_result(&m.t, first, 0, "", 0);
	while (!w.done)
		reactor_run(m.t.reactor);
	assert_string_equal(m.why,
	                    "the share \"/home/me/out\" cannot be mounted at \"/out\" in the guest: its agent has not "
	                    "answered for 0.02 s");
	/* What comes now comes too late, and harms nobody. */
	answer(&m, second, 0, "");
	assert_int_equal(w.done, 1);
	mounts_free(m.mounts);
	test_close(&m.t);
}

/* ---- networks ---- */

static int tell_network(void *ctx, size_t index, struct arena *arena, struct capsa_value *out, struct error *err)
{
	static const struct capsa_value addresses[] = { { .type = CAPSA_TYPE_STRING, .string = "10.0.2.2/24" },
		                                        { .type = CAPSA_TYPE_INT, .integer = 7 } };
	static const struct capsa_value network[] = {
		{ .name = "mac", .type = CAPSA_TYPE_STRING, .string = "52:54:00:12:34:56" },
		{ .name = "mtu", .type = CAPSA_TYPE_INT, .integer = 1500 },
		{ .name = "addresses", .type = CAPSA_TYPE_LIST, .items = addresses, .n_items = 2 },
	};
	static const struct capsa_value info[] = {
		{ .name = "network", .type = CAPSA_TYPE_GROUP, .items = network, .n_items = 3 },
	};

	(void)ctx;
	(void)arena;
	if (index == 2)
		return error_set(err, EIO, "it is broken");
	*out = (struct capsa_value){ .type = CAPSA_TYPE_GROUP, .items = info, .n_items = index == 1 };
	return 0;
}

static const char *network_name(void *ctx, size_t index)
{
	static const char *const names[] = { "rng0", "nat0", "nat1" };

	(void)ctx;
	return names[index];
}

/* The first of them is no network. */
static const struct network_devices devices = { .n = 2, .info = tell_network, .name = network_name };

static uint32_t expect_network(struct machine *m)
{
	unsigned char payload[256];
	struct agent_frame frame = agent_hear_all(&m->t, payload, sizeof payload);
	struct agent_reader r = agent_reader_on(payload, frame.length);
	char text[64];

	assert_int_equal(frame.type, AGENT_NETWORK);
	agent_read_string(&r, text, sizeof text);
	assert_string_equal(text, "52:54:00:12:34:56");
	assert_int_equal(agent_read_u32(&r), 1500);
	assert_int_equal(agent_read_u32(&r), 1);
	agent_read_string(&r, text, sizeof text);
	assert_string_equal(text, "10.0.2.2/24");
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(agent_read_u32(&r), 0);
	agent_read_string(&r, text, sizeof text);
	assert_string_equal(text, "");
	assert_false(r.failed);
	assert_int_equal(r.left, 0);
	return frame.channel;
}

static void test_a_network_is_asked_for_together_with_the_mounts(void **state)
{
	struct machine m;
	uint32_t mount, network;

	(void)state;
	open_with(&m, &src, 1, &devices);
	agent_greet(&m.t);
	expect_mount(&m, "share0", "/src", "rw", AGENT_MOUNT_ONCE, "", &mount);
	network = expect_network(&m);
	expect_waiting(&m);
	answer(&m, mount, 0, "");
	expect_waiting(&m);
	answer(&m, network, 0, "");
	expect_ready(&m, 1);
	assert_int_equal(m.failed, 0);
	assert_int_equal(network_cards(m.network), 1);
	close_machine(&m);
}

static void test_a_network_that_fails_is_told_with_its_cause(void **state)
{
	struct machine m;

	(void)state;
	open_with(&m, NULL, 0, &devices);
	agent_greet(&m.t);
	answer(&m, expect_network(&m), ENODEV, "no network card: No such device");
	assert_int_equal(m.failed, 1);
	assert_string_equal(m.why, "the network \"nat0\" cannot be set up in the guest: no network card: No such device");
	expect_waiting(&m);
	close_machine(&m);
}

static void test_a_device_that_cannot_tell_does_not_hold_the_others_back(void **state)
{
	const struct network_devices broken = { .n = 3, .info = tell_network, .name = network_name };
	struct machine m;

	(void)state;
	open_with(&m, NULL, 0, &broken);
	m.goes_on = true;
	agent_greet(&m.t);
	answer(&m, expect_network(&m), 0, "");
	assert_string_equal(m.why, "the network \"nat1\" cannot be set up in the guest: it is broken");
	expect_ready(&m, 1);
	close_machine(&m);
}

static const char *subnets[3]; /* of the cards below */

static int tell_subnet(void *ctx, size_t index, struct arena *arena, struct capsa_value *out, struct error *err)
{
	struct capsa_value *v = arena_alloc(arena, 3, sizeof *v);

	(void)ctx;
	(void)err;
	assert_non_null(v);
	v[0] = (struct capsa_value){ .type = CAPSA_TYPE_STRING, .string = subnets[index] };
	v[1] = (struct capsa_value){ .name = "addresses", .type = CAPSA_TYPE_LIST, .items = &v[0], .n_items = 1 };
	v[2] = (struct capsa_value){ .name = "network", .type = CAPSA_TYPE_GROUP, .items = &v[1], .n_items = 1 };
	*out = (struct capsa_value){ .type = CAPSA_TYPE_GROUP, .items = &v[2], .n_items = 1 };
	return 0;
}

static void test_two_cards_in_one_subnet_are_refused(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{ "10.0.3.2/24", "10.0.3.9/24", true },   { "10.0.3.2/24", "10.0.2.2/24", false },
		{ "10.0.3.2/23", "10.0.2.2/24", true },   { "10.0.3.2/24", "10.0.3.130/25", true },
		{ "10.0.3.2/25", "10.0.3.130/25", false }, { "fd00::2/64", "fd00::1:2/64", true },
		{ "fd00::2/64", "fd00:0:0:1::2/64", false }, { "fd00::2/64", "10.0.3.2/24", false },
		{ "nonsense", "nonsense", false },
	};
	const struct network_devices both = { .n = 2, .info = tell_subnet, .name = network_name };
	unsigned char payload[256];
	uint32_t channels[2];
	struct machine m;

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		subnets[0] = pairs[i].a;
		subnets[1] = pairs[i].b;
		open_with(&m, NULL, 0, &both);
		agent_greet(&m.t);
		for (unsigned k = 0; k < 2; k++)
			channels[k] = agent_hear_all(&m.t, payload, sizeof payload).channel;
		answer(&m, channels[0], 0, "");
		answer(&m, channels[1], 0, "");
		assert_int_equal(m.failed, pairs[i].same);
		if (m.failed) {
			assert_non_null(strstr(m.why, "the network \"nat0\""));
			assert_non_null(strstr(m.why, "of the network \"rng0\""));
		}
		close_machine(&m);
	}
}

static void test_an_agent_that_dies_over_its_network_is_asked_again(void **state)
{
	struct machine m;

	(void)state;
	open_with(&m, NULL, 0, &devices);
	agent_greet(&m.t);
	expect_network(&m);
	agent_goes(&m);
	expect_waiting(&m);
	agent_comes(&m);
	agent_greet(&m.t);
	answer(&m, expect_network(&m), 0, "");
	expect_ready(&m, 1);
	assert_int_equal(m.failed, 0);
	close_machine(&m);
}

static void refuse(const struct mounts_entry *entries, size_t n, const char *text)
{
	struct mounts *mounts;
	struct error err;
	struct test t;

	test_open_alone(&t);
	assert_int_not_equal(mounts_new(t.reactor, entries, n, &mounts, &err), 0);
	assert_string_equal(err.text, text);
	test_close(&t);
}

static void test_targets_that_cannot_be_are_told(void **state)
{
	struct mounts_entry entries[] = {
		{ .target = "/src/", .path = "/a", .file = "my.conf", .line = 3 },
		{ .target = "/src", .path = "/b", .file = "--share b:/src" },
	};

	(void)state;
	refuse(entries, 2, "--share b:/src: \"/a\" and \"/b\" are both to be mounted at \"/src\"");
	entries[0].target = "src";
	refuse(entries, 1,
	       "my.conf:3: key \"mount\": \"src\" is no absolute path; write where in the guest, such as \"/src\"");
	entries[0].target = "/a/../b";
	refuse(entries, 1,
	       "my.conf:3: key \"mount\": \"/a/../b\" has \".\" or \"..\" in it; write where in the guest, such as "
	       "\"/src\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_mounts_a_greeting_is_enough),
		cmocka_unit_test(test_nobody_is_let_in_before_all_is_mounted),
		cmocka_unit_test(test_the_root_is_first_and_folders_come_before_what_is_in_them),
		cmocka_unit_test(test_a_root_that_may_be_written_to_has_no_overlay),
		cmocka_unit_test(test_a_mount_that_fails_is_told_with_its_cause),
		cmocka_unit_test(test_a_machine_may_go_on_without),
		cmocka_unit_test(test_an_agent_that_comes_again_is_asked_again),
		cmocka_unit_test(test_an_agent_that_dies_while_it_mounts_is_waited_for),
		cmocka_unit_test(test_an_agent_against_the_rules_is_left),
		cmocka_unit_test(test_a_second_answer_ends_the_connection),
		cmocka_unit_test(test_an_agent_that_never_answers_is_waited_for_so_long_only),
		cmocka_unit_test(test_a_network_is_asked_for_together_with_the_mounts),
		cmocka_unit_test(test_a_network_that_fails_is_told_with_its_cause),
		cmocka_unit_test(test_a_device_that_cannot_tell_does_not_hold_the_others_back),
		cmocka_unit_test(test_two_cards_in_one_subnet_are_refused),
		cmocka_unit_test(test_an_agent_that_dies_over_its_network_is_asked_again),
		cmocka_unit_test(test_targets_that_cannot_be_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
