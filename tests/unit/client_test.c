/* SPDX-License-Identifier: MIT */
/*
 * client_test.c - proves core/sandbox/client.c against an agent that keeps to the protocol (client_agent.h): greeting,
 * channels, credit in both directions, and how things end. What is against the rules is in client_hostile_test.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/client_agent.h"

/* ---- the greeting ---- */

static void a_greeting_makes_ready_and_tells_the_guests_times(void **state)
{
	struct test t;

	(void)state;
	test_open(&t);
	/* Before it there are no channels. */
	assert_null(client_request(t.client, AGENT_STAT, "", 0, &test_channel_events, &t.one));
	agent_greet(&t);
	test_settle(&t);
	assert_int_equal(t.ready, 1);
	assert_true(t.times.init == 1 && t.times.mounted == 2 && t.times.serving == 3 && t.times.now == 4);
	assert_int_equal(t.ended, 0);
	test_close(&t);
}

static void another_version_is_told_with_what_to_do(void **state)
{
	struct test t;
	unsigned char payload[128];
	size_t len = agent_hello(payload, sizeof payload, AGENT_MAGIC, 7, 9);

	(void)state;
	test_open(&t);
	agent_say(&t, 0, AGENT_HELLO, 0, payload, len);
	test_expect_end(&t, -EPROTONOSUPPORT, "version 7 to 9");
	assert_non_null(strstr(t.why, "capsa image build"));
	assert_int_equal(t.ready, 0);
	test_close(&t);
}

static void a_greeting_without_times_has_none(void **state)
{
	struct test t;
	unsigned char payload[128];
	size_t len = agent_hello(payload, sizeof payload, AGENT_MAGIC, 1, 1);

	(void)state;
	test_open(&t);
	agent_say(&t, 0, AGENT_HELLO, 0, payload, len - 1);
	test_settle(&t);
	assert_int_equal(t.ready, 1);
	assert_true(t.times.init == 0 && t.times.now == 0);
	test_close(&t);
}

/* ---- channels ---- */

static void a_command_has_streams_and_an_exit(void **state)
{
	struct test t;
	unsigned char first[16];
	struct agent_frame frame;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	assert_int_equal(client_send(t.one.channel, "ddd", 3), 3);
	frame = agent_hear(&t, first);
	assert_true(frame.type == AGENT_DATA && frame.stream == AGENT_INPUT && frame.length == 3 &&
	            !memcmp(first, "ddd", 3));
	client_send_end(t.one.channel);
	client_send_end(t.one.channel);
	agent_expect(&t, 1, AGENT_END, AGENT_INPUT);
	assert_int_equal(client_send(t.one.channel, "d", 1), 0);
	agent_say_u32(&t, 1, AGENT_STARTED, 0, 1, (uint32_t[]){ 77 });
	agent_say_data(&t, 1, AGENT_OUTPUT, 10);
	agent_say_data(&t, 1, AGENT_OUTPUT, 0);
	agent_say_data(&t, 1, AGENT_ERROR, 5);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	agent_say_exit(&t, 1, AGENT_SIGNALLED, 9);
	test_settle(&t);
	assert_true(t.one.started == 77 && t.one.data[AGENT_OUTPUT] == 10 && t.one.data[AGENT_ERROR] == 5);
	assert_true(t.one.ends[AGENT_OUTPUT] == 1 && t.one.ends[AGENT_ERROR] == 0);
	assert_true(t.one.exits == 1 && t.one.how == AGENT_SIGNALLED && t.one.code == 9);
	assert_int_equal(t.ended, 0);
	assert_true(agent_heard_all(&t));
	test_close(&t);
}

static void a_result_tells_its_cause_without_control_characters(void **state)
{
	static const char cause[] = "a\033]0;x\007\n\177\xc2\x9b"
				    "31m\xc3\xa4";
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, ENOENT, cause, sizeof cause - 1);
	test_settle(&t);
	assert_true(t.one.results == 1 && t.one.code == -ENOENT);
	assert_string_equal(t.one.cause, "a?]0;x?????31m\xc3\xa4");
	assert_int_equal(t.ended, 0);
	test_close(&t);
}

static void frames_may_come_in_pieces_of_any_size(void **state)
{
	struct test t;
	unsigned char stream[256];
	struct agent_frame frames[3] = {
		{ .length = 4, .channel = 1, .type = AGENT_STARTED },
		{ .length = 20, .channel = 1, .type = AGENT_DATA, .stream = AGENT_OUTPUT },
		{ .length = 12, .channel = 1, .type = AGENT_EXIT },
	};
	size_t len = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		agent_frame_encode(&frames[i], stream + len);
		memset(stream + len + AGENT_FRAME_SIZE, i == 1 ? 'd' : 0, frames[i].length);
		if (i == 0)
			stream[len + AGENT_FRAME_SIZE] = 5;
		len += AGENT_FRAME_SIZE + frames[i].length;
	}
	for (size_t cut = 1; cut < len; cut++) {
		test_open_with(&t, AGENT_EXEC);
		agent_put(&t, stream, cut);
		test_settle(&t);
		agent_put(&t, stream + cut, len - cut);
		test_settle(&t);
		assert_true(t.one.started == 5 && t.one.data[AGENT_OUTPUT] == 20 && t.one.exits == 1 && !t.ended);
		test_close(&t);
	}
	test_open_with(&t, AGENT_EXEC);
	for (size_t i = 0; i < len; i++) {
		agent_put(&t, stream + i, 1);
		test_turn(&t);
	}
	test_settle(&t);
	assert_true(t.one.started == 5 && t.one.data[AGENT_OUTPUT] == 20 && t.one.exits == 1 && !t.ended);
	test_close(&t);
}

static void many_channels_do_not_meet(void **state)
{
	enum { MANY = 2000 };
	struct told *told = calloc(MANY, sizeof *told);
	struct test t;

	(void)state;
	assert_non_null(told);
	test_open_with(&t, AGENT_STAT);
	for (uint32_t i = 0; i < MANY; i++) {
		told[i].test = &t;
		told[i].channel = client_request(t.client, AGENT_STAT, "", 0, &test_channel_events, &told[i]);
		assert_non_null(told[i].channel);
		agent_expect(&t, i + 2, AGENT_STAT, 0);
	}
	/* The last first. */
	for (uint32_t i = MANY; i-- > 0;)
		agent_say_result(&t, i + 2, i % 4000, "", 0);
	test_settle(&t);
	for (int i = 0; i < MANY; i++)
		assert_true(told[i].results == 1 && told[i].code == -i);
	assert_true(t.one.results == 0 && t.ended == 0);
	test_close(&t);
	free(told);
}

/* ---- credit and room ---- */

static void credit_is_given_back_for_what_was_used(void **state)
{
	struct test t;
	unsigned char first[16];
	struct agent_frame frame;
	struct agent_reader r;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	for (unsigned i = 0; i < AGENT_WINDOW / AGENT_DATA_MAX; i++)
		agent_say_data(&t, 1, AGENT_OUTPUT, AGENT_DATA_MAX);
	assert_true(agent_heard_all(&t));
	assert_int_equal(t.one.data[AGENT_OUTPUT], AGENT_WINDOW);
	client_consumed(t.one.channel, AGENT_OUTPUT, AGENT_WINDOW);
	frame = agent_hear(&t, first);
	assert_true(frame.type == AGENT_WINDOW_ADD && frame.stream == AGENT_OUTPUT && frame.length == 4);
	r = agent_reader_on(first, 4);
	assert_int_equal(agent_read_u32(&r), AGENT_WINDOW);
	agent_say_data(&t, 1, AGENT_OUTPUT, AGENT_WINDOW);
	test_settle(&t);
	assert_true(t.one.data[AGENT_OUTPUT] == 2 * AGENT_WINDOW && t.ended == 0);
	test_close(&t);
}

/* What is dropped is paid for: the agent's next bytes must not be beyond its credit. */
static void a_stream_that_was_refused_costs_nobody_anything(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	t.one.act = ACT_REFUSE;
	agent_say_data(&t, 1, AGENT_OUTPUT, 1);
	agent_expect(&t, 1, AGENT_CLOSE, AGENT_OUTPUT);
	client_refuse(t.one.channel, AGENT_OUTPUT);
	for (int i = 0; i < 3; i++) {
		agent_say_data(&t, 1, AGENT_OUTPUT, AGENT_WINDOW / 2);
		agent_expect(&t, 1, AGENT_WINDOW_ADD, AGENT_OUTPUT);
	}
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	test_settle(&t);
	assert_true(t.one.data[AGENT_OUTPUT] == 1 && t.one.ends[AGENT_OUTPUT] == 0 && t.ended == 0);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	test_expect_end(&t, -EPROTO, "an end of what has ended");
	test_close(&t);
}

static void input_waits_for_credit_and_room_is_told_once(void **state)
{
	static char bytes[AGENT_WINDOW + 100];
	struct test t;

	(void)state;
	memset(bytes, 'd', sizeof bytes);
	test_open_with(&t, AGENT_EXEC);
	assert_int_equal(client_room(t.one.channel), AGENT_WINDOW);
	assert_int_equal(client_send(t.one.channel, bytes, sizeof bytes), AGENT_WINDOW);
	assert_int_equal(client_room(t.one.channel), 0);
	for (size_t got = 0; got < AGENT_WINDOW;) {
		struct agent_frame frame = agent_hear(&t, NULL);

		assert_int_equal(frame.type, AGENT_DATA);
		assert_true(frame.length <= AGENT_DATA_MAX);
		got += frame.length;
	}
	test_settle(&t);
	assert_int_equal(t.one.rooms, 0);
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ 50 });
	test_settle(&t);
	assert_int_equal(t.one.rooms, 1);
	assert_int_equal(client_send(t.one.channel, bytes, 100), 50);
	/* The command reads no more. */
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ 50 });
	agent_say(&t, 1, AGENT_CLOSE, AGENT_INPUT, NULL, 0);
	test_settle(&t);
	assert_int_equal(t.one.closed, 1);
	assert_int_equal(client_room(t.one.channel), 0);
	assert_int_equal(client_send(t.one.channel, bytes, 100), 0);
	test_close(&t);
}

/* However much credit it grants: what it does not read waits here, and only so much. */
static void an_agent_that_does_not_read_gets_no_more_than_fits(void **state)
{
	static char bytes[1 << 20];
	struct test t;
	size_t taken = 0, n, got = 0;

	(void)state;
	memset(bytes, 'd', sizeof bytes);
	test_open_with(&t, AGENT_EXEC);
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ UINT32_MAX / 2 });
	test_settle(&t);
	while ((n = client_send(t.one.channel, bytes, sizeof bytes)) > 0)
		taken += n;
	assert_true(taken < (4u << 20));
	assert_int_equal(client_room(t.one.channel), 0);
	assert_int_equal(t.one.rooms, 0);
	while (got < taken)
		got += agent_hear(&t, NULL).length;
	assert_int_equal(got, taken);
	assert_true(t.one.rooms >= 1);
	assert_int_equal(t.ended, 0);
	test_close(&t);
}

/* ---- lives ---- */

static void a_forgotten_channel_is_cancelled_and_never_heard_of(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	client_forget(t.one.channel);
	client_forget(NULL);
	agent_expect(&t, 1, AGENT_CLOSE, AGENT_OUTPUT);
	agent_expect(&t, 1, AGENT_CLOSE, AGENT_ERROR);
	agent_expect(&t, 1, AGENT_CANCEL, 0);
	agent_say_u32(&t, 1, AGENT_STARTED, 0, 1, (uint32_t[]){ 1 });
	agent_say_data(&t, 1, AGENT_OUTPUT, 100);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	agent_say_exit(&t, 1, 0, 0);
	test_settle(&t);
	assert_true(t.one.started == 0 && t.one.data[AGENT_OUTPUT] == 0 && t.one.exits == 0 && t.ended == 0);
	/* Its end was its end. */
	t.one.channel = NULL;
	agent_say_result(&t, 1, 0, "", 0);
	test_expect_end(&t, -EPROTO, "not open");
	test_close(&t);
}

static void a_callback_may_forget_its_channel(void **state)
{
	struct test t;

	(void)state;
	for (int i = 0; i < 4; i++) {
		test_open_with(&t, AGENT_EXEC);
		t.one.act = ACT_FORGET;
		if (i == 0)
			agent_say_data(&t, 1, AGENT_OUTPUT, 5);
		else if (i == 1)
			agent_say(&t, 1, AGENT_END, AGENT_ERROR, NULL, 0);
		else if (i == 2)
			agent_say(&t, 1, AGENT_CLOSE, AGENT_INPUT, NULL, 0);
		else
			agent_say_u32(&t, 1, AGENT_STARTED, 0, 1, (uint32_t[]){ 1 });
		agent_say_data(&t, 1, AGENT_OUTPUT, 7);
		agent_say_exit(&t, 1, 0, 0);
		test_settle(&t);
		assert_true(t.one.act == ACT_NONE && t.one.data[AGENT_OUTPUT] == (i == 0 ? 5 : 0) && t.one.exits == 0 &&
		            !t.ended);
		test_close(&t);
	}
}

/* In room() the client walks over its channels. */
static void room_may_forget_and_request(void **state)
{
	static char bytes[AGENT_WINDOW];
	struct test t;

	(void)state;
	memset(bytes, 'd', sizeof bytes);
	for (int i = 0; i < 3; i++) {
		test_open_with(&t, AGENT_EXEC);
		t.one.act = i == 0 ? ACT_FORGET : i == 1 ? ACT_REQUEST : ACT_END;
		assert_int_equal(client_send(t.one.channel, bytes, sizeof bytes), sizeof bytes);
		agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ 1 });
		test_settle(&t);
		assert_true(t.one.act == ACT_NONE && t.one.rooms == 1 && t.ended == 0);
		test_close(&t);
	}
}

static void the_last_callback_may_request_again(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	t.one.act = ACT_REQUEST;
	agent_say_exit(&t, 1, 0, 0);
	agent_expect(&t, 2, AGENT_STAT, 0);
	agent_say_result(&t, 2, 0, "", 0);
	test_settle(&t);
	assert_true(t.one.exits == 1 && t.extra.results == 1 && t.ended == 0);
	test_close(&t);
}

/* ---- ends ---- */

static void an_agent_that_goes_without_a_word_is_gone(void **state)
{
	struct test t;

	(void)state;
	test_open(&t);
	close(t.agent);
	t.agent = -1;
	test_expect_end(&t, -EPIPE, "has ended");
	test_close(&t);
}

static void the_end_is_told_once_behind_all_that_came_before(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	for (int i = 0; i < 50; i++)
		assert_non_null(client_request(t.client, AGENT_STAT, "", 0, &test_channel_events, &t.extra));
	agent_say_data(&t, 1, AGENT_OUTPUT, 1000);
	close(t.agent);
	t.agent = -1;
	/* What is written to nobody does not hide what was said before. */
	assert_int_equal(client_send(t.one.channel, "d", 1), 1);
	test_expect_end(&t, -EPIPE, "has ended");
	assert_int_equal(t.one.data[AGENT_OUTPUT], 1000);
	assert_int_equal(t.extra.results, 0);
	test_close(&t);
}

static void a_client_may_be_closed_before_its_end_is_told(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	for (int i = 0; i < 64; i++)
		client_tell(t.one.channel, AGENT_RESIZE, (char[AGENT_DATA_MAX * 4]){ 0 }, AGENT_DATA_MAX * 4);
	client_close(t.client);
	t.client = NULL;
	client_close(NULL);
	test_settle(&t);
	assert_int_equal(t.ended, 0);
	test_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_makes_ready_and_tells_the_guests_times),
		cmocka_unit_test(another_version_is_told_with_what_to_do),
		cmocka_unit_test(a_greeting_without_times_has_none),
		cmocka_unit_test(a_command_has_streams_and_an_exit),
		cmocka_unit_test(a_result_tells_its_cause_without_control_characters),
		cmocka_unit_test(frames_may_come_in_pieces_of_any_size),
		cmocka_unit_test(many_channels_do_not_meet),
		cmocka_unit_test(credit_is_given_back_for_what_was_used),
		cmocka_unit_test(a_stream_that_was_refused_costs_nobody_anything),
		cmocka_unit_test(input_waits_for_credit_and_room_is_told_once),
		cmocka_unit_test(an_agent_that_does_not_read_gets_no_more_than_fits),
		cmocka_unit_test(a_forgotten_channel_is_cancelled_and_never_heard_of),
		cmocka_unit_test(a_callback_may_forget_its_channel),
		cmocka_unit_test(room_may_forget_and_request),
		cmocka_unit_test(the_last_callback_may_request_again),
		cmocka_unit_test(an_agent_that_goes_without_a_word_is_gone),
		cmocka_unit_test(the_end_is_told_once_behind_all_that_came_before),
		cmocka_unit_test(a_client_may_be_closed_before_its_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
