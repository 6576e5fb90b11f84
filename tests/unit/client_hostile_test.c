/* SPDX-License-Identifier: MIT */
/*
 * client_hostile_test.c - proves that core/sandbox/client.c ends the connection with an agent (client_agent.h) that
 * does not keep to the protocol, once, and says why; and that nothing of such an agent gets through to the client's
 * owner.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/client_agent.h"

/* ---- the greeting ---- */

static void what_is_no_greeting_ends_the_connection(void **state)
{
	struct test t;
	unsigned char payload[128];
	size_t len;

	(void)state;
	test_open(&t);
	agent_say_exit(&t, 1, 0, 0);
	test_expect_end(&t, -EPROTO, "no greeting");
	test_close(&t);

	test_open(&t);
	len = agent_hello(payload, sizeof payload, AGENT_MAGIC + 1, 1, 1);
	agent_say(&t, 0, AGENT_HELLO, 0, payload, len);
	test_expect_end(&t, -EPROTO, "no greeting");
	test_close(&t);

	test_open(&t);
	len = agent_hello(payload, sizeof payload, AGENT_MAGIC, 1, 1);
	agent_say(&t, 1, AGENT_HELLO, 0, payload, len);
	test_expect_end(&t, -EPROTO, "no greeting");
	test_close(&t);

	test_open(&t);
	agent_put(&t, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	test_expect_end(&t, -EPROTO, "too long");
	test_close(&t);

	/* Twice. */
	test_open(&t);
	agent_greet(&t);
	agent_greet(&t);
	test_expect_end(&t, -EPROTO, "not open");
	assert_int_equal(t.ready, 1);
	test_close(&t);
}

static void a_greeting_that_does_not_come_in_time_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open(&t);
	client_expect_greeting(t.client, 1);
	for (int i = 0; i < TEST_TURNS && !t.ended; i++) {
		/* Half of one is none. */
		if (i == 0)
			agent_put(&t, "\x10\0\0\0", 4);
		reactor_timer_set(t.turn, 1);
		reactor_run(t.reactor);
	}
	test_expect_end(&t, -ETIMEDOUT, "has not answered");
	test_close(&t);

	/* One that comes ends the time. */
	test_open(&t);
	client_expect_greeting(t.client, 1000000);
	agent_greet(&t);
	test_settle(&t);
	assert_int_equal(t.ready, 1);
	test_close(&t);
}

/* ---- frames ---- */

static void what_is_against_the_rules_ends_the_connection(void **state)
{
	static const struct {
		enum agent_type request;
		struct agent_frame frame;
		const char *why;
	} cases[] = {
		{ AGENT_EXEC, { 0, 2, AGENT_DATA, AGENT_OUTPUT }, "not open" },
		{ AGENT_EXEC, { 0, 0, AGENT_DATA, AGENT_OUTPUT }, "not open" },
		{ AGENT_EXEC, { 0, UINT32_MAX, AGENT_EXIT, 0 }, "not open" },
		{ AGENT_EXEC, { 4, 1, AGENT_DATA, AGENT_INPUT }, "data on a stream" },
		{ AGENT_EXEC, { 4, 1, AGENT_DATA, 3 }, "data on a stream" },
		{ AGENT_EXEC, { 4, 1, AGENT_DATA, UINT16_MAX }, "data on a stream" },
		{ AGENT_EXEC, { 0, 1, AGENT_END, AGENT_INPUT }, "an end" },
		{ AGENT_EXEC, { 0, 1, AGENT_END, 3 }, "an end" },
		{ AGENT_EXEC, { 0, 1, AGENT_CLOSE, AGENT_OUTPUT }, "refusal" },
		{ AGENT_EXEC, { 0, 1, AGENT_CLOSE, 99 }, "refusal" },
		{ AGENT_EXEC, { 0, 1, AGENT_EXEC, 0 }, "does not know" },
		{ AGENT_EXEC, { 0, 1, AGENT_SIGNAL, 0 }, "does not know" },
		{ AGENT_EXEC, { 0, 1, 0, 0 }, "does not know" },
		{ AGENT_EXEC, { 0, 1, UINT16_MAX, 0 }, "does not know" },
		{ AGENT_EXEC, { 11, 1, AGENT_EXIT, 0 }, "an exit that is none" },
		{ AGENT_EXEC, { 0, 1, AGENT_STARTED, 0 }, "a start that is none" },
		{ AGENT_EXEC, { 11, 1, AGENT_RESULT, 0 }, "a result that is none" },
		{ AGENT_EXEC, { 0, 1, AGENT_RESULT, 0 }, "a result that is none" },
		/* What waits for its result would wait for ever, on a channel that is gone. */
		{ AGENT_STAT, { 12, 1, AGENT_EXIT, 0 }, "no command" },
		{ AGENT_TREE_WRITE, { 12, 1, AGENT_EXIT, 0 }, "no command" },
		{ AGENT_STAT, { 4, 1, AGENT_STARTED, 0 }, "no command" },
	};
	static const unsigned char zeros[16];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct agent_frame *frame = &cases[i].frame;
		struct test t;

		test_open_with(&t, cases[i].request);
		agent_say(&t, frame->channel, frame->type, frame->stream, zeros, frame->length);
		test_expect_end(&t, -EPROTO, cases[i].why);
		assert_true(t.one.exits == 0 && t.one.results == 0 && t.one.started == 0);
		test_close(&t);
	}
}

static void what_is_malformed_ends_the_connection(void **state)
{
	struct test t;
	unsigned char header[AGENT_FRAME_SIZE];
	struct agent_frame frame = {
		.length = AGENT_FRAME_MAX + 1, .channel = 1, .type = AGENT_DATA, .stream = AGENT_OUTPUT
	};

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	agent_frame_encode(&frame, header);
	agent_put(&t, header, sizeof header);
	test_expect_end(&t, -EPROTO, "too long");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_exit(&t, 1, AGENT_TIMED_OUT + 1, 0);
	test_expect_end(&t, -EPROTO, "an exit that is none");
	test_close(&t);

	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, 4096, "", 0);
	test_expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);

	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, UINT32_MAX, "", 0);
	test_expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);

	/* A NUL in words; words longer than anybody says. */
	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, 1, "a\0b", 3);
	test_expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);

	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, 1, memset((char[2000]){ 0 }, 'x', 2000), 2000);
	test_expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);
}

static void what_comes_twice_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	test_expect_end(&t, -EPROTO, "an end of what has ended");
	assert_int_equal(t.one.ends[AGENT_OUTPUT], 1);
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	agent_say_data(&t, 1, AGENT_OUTPUT, 1);
	test_expect_end(&t, -EPROTO, "data behind its end");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_u32(&t, 1, AGENT_STARTED, 0, 1, (uint32_t[]){ 1 });
	agent_say_u32(&t, 1, AGENT_STARTED, 0, 1, (uint32_t[]){ 1 });
	test_expect_end(&t, -EPROTO, "a start that is none");
	assert_int_equal(t.one.started, 1);
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_exit(&t, 1, 0, 0);
	agent_say_exit(&t, 1, 0, 0);
	test_expect_end(&t, -EPROTO, "not open");
	assert_int_equal(t.one.exits, 1);
	test_close(&t);
}

/* ---- credit and room ---- */

static void data_beyond_the_credit_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	agent_say_data(&t, 1, AGENT_OUTPUT, AGENT_WINDOW);
	agent_say_data(&t, 1, AGENT_OUTPUT, 1);
	test_expect_end(&t, -EPROTO, "more data");
	assert_int_equal(t.one.data[AGENT_OUTPUT], AGENT_WINDOW);
	test_close(&t);
}

static void credit_without_measure_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ UINT32_MAX });
	test_expect_end(&t, -EPROTO, "credit");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	for (int i = 0; i < 3; i++)
		agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ UINT32_MAX / 2 });
	test_expect_end(&t, -EPROTO, "credit");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, "abc", 3);
	test_expect_end(&t, -EPROTO, "credit");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_OUTPUT, 1, (uint32_t[]){ 1 });
	test_expect_end(&t, -EPROTO, "credit");
	test_close(&t);
}

static void words_that_nobody_reads_end_the_connection(void **state)
{
	static char payload[AGENT_FRAME_MAX];
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	for (int i = 0; i < 64; i++)
		client_tell(t.one.channel, AGENT_RESIZE, payload, sizeof payload);
	/* Not from inside a function that its owner called. */
	assert_int_equal(t.ended, 0);
	test_expect_end(&t, -EPROTO, "does not listen");
	test_close(&t);
}

/* ---- chance ---- */

static uint32_t next_random(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Words that are nearly right, in any order; and callbacks that do anything. The sanitizers judge. */
static void chance_finds_nothing(void **state)
{
	static const unsigned types[] = { AGENT_DATA,  AGENT_DATA,    AGENT_DATA, AGENT_END,    AGENT_WINDOW_ADD,
		                          AGENT_CLOSE, AGENT_STARTED, AGENT_EXIT, AGENT_RESULT, AGENT_EXEC,
		                          0,           AGENT_HELLO };
	uint32_t seed = 2463534242u;

	(void)state;
	for (int round = 0; round < 400; round++) {
		struct test t;
		unsigned char payload[64];

		test_open_with(&t, round % 2 ? AGENT_EXEC : AGENT_STAT);
		for (int i = 0; i < 40 && !t.ended; i++) {
			uint32_t r = next_random(&seed);
			unsigned type = types[r % (sizeof types / sizeof types[0])];
			size_t len = next_random(&seed) % 40;

			t.one.act = (next_random(&seed) >> 8) % 6;
			/* What act() is not to touch: a channel that is gone, or that goes by itself. */
			if (t.one.act != ACT_REQUEST && (type == AGENT_EXIT || type == AGENT_RESULT || !t.one.channel))
				t.one.act = ACT_NONE;
			memset(payload, type == AGENT_DATA ? 'd' : 0, sizeof payload);
			if (type != AGENT_DATA)
				payload[0] = (unsigned char)(next_random(&seed) % 3);
			agent_say(&t, next_random(&seed) % 16 ? 1 : 2, type,
			          (r >> 16) % 4 ? AGENT_OUTPUT : (r >> 20) % 5, payload, len);
			test_turn(&t);
			if (t.one.channel && next_random(&seed) % 8 == 0)
				client_send(t.one.channel, "dddd", 4);
			if (t.one.act == ACT_FORGET)
				t.one.act = ACT_NONE;
		}
		test_settle(&t);
		assert_true(t.ended <= 1);
		test_close(&t);
	}
	/* And bytes that are nothing at all. */
	for (int round = 0; round < 400; round++) {
		struct test t;

		test_open_with(&t, AGENT_EXEC);
		for (int i = 0; i < 30 && !t.ended; i++) {
			unsigned char noise[37];

			for (size_t k = 0; k < sizeof noise; k++)
				noise[k] = next_random(&seed) % 4 ? 0 : (unsigned char)next_random(&seed);
			agent_put(&t, noise, sizeof noise);
			test_turn(&t);
		}
		test_settle(&t);
		assert_true(t.ended <= 1);
		test_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_greeting_ends_the_connection),
		cmocka_unit_test(a_greeting_that_does_not_come_in_time_ends_the_connection),
		cmocka_unit_test(what_is_against_the_rules_ends_the_connection),
		cmocka_unit_test(what_is_malformed_ends_the_connection),
		cmocka_unit_test(what_comes_twice_ends_the_connection),
		cmocka_unit_test(data_beyond_the_credit_ends_the_connection),
		cmocka_unit_test(credit_without_measure_ends_the_connection),
		cmocka_unit_test(words_that_nobody_reads_end_the_connection),
		cmocka_unit_test(chance_finds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
