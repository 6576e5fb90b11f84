/* SPDX-License-Identifier: MIT */
/*
 * client_test.c - proves core/sandbox/client.c against agents that keep to the protocol and against such as do not. The
 * agent is this file, at the other end of a socket pair; nothing waits but for what is on its way already.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/sandbox/client.h"

/* So many turns of the loop without what is awaited: it will not come. */
#define TURNS 20000

struct told {
	struct test *test;
	struct client_channel *channel;
	size_t data[AGENT_STREAMS];
	unsigned ends[AGENT_STREAMS], rooms, closed, started, exits, results;
	int code, how;
	char cause[1100];
	/* What the next call does from inside: see act(). */
	enum { ACT_NONE, ACT_FORGET, ACT_REFUSE, ACT_REQUEST, ACT_CONSUME, ACT_END } act;
};

struct test {
	struct reactor *reactor;
	struct reactor_timer *turn;
	struct client *client;
	int agent; /* its end */
	unsigned ready, ended;
	int end_code;
	char why[512];
	struct client_times times;
	struct told one; /* of the channel that most tests have */
	struct told extra;
	bool calls_are_wrong; /* ended() was the last one */
};

static const struct client_channel_events channel_events;

static void turn_over(void *ctx)
{
	struct test *t = ctx;

	reactor_stop(t->reactor);
}

/* Lets the client handle what is there. */
static void turn(struct test *t)
{
	reactor_timer_set(t->turn, 0);
	reactor_run(t->reactor);
}

static void settle(struct test *t)
{
	for (int i = 0; i < 20; i++)
		turn(t);
}

static void on_ready(void *ctx, const struct client_times *times)
{
	struct test *t = ctx;

	assert_int_equal(t->ended, 0);
	t->ready++;
	t->times = *times;
}

static void on_ended(void *ctx, int code, const char *why)
{
	struct test *t = ctx;

	t->ended++;
	t->end_code = code;
	snprintf(t->why, sizeof t->why, "%s", why);
	t->calls_are_wrong = true;
}

static void act(struct told *told)
{
	struct test *t = told->test;
	int what = told->act;

	assert_false(t->calls_are_wrong);
	told->act = ACT_NONE;
	switch (what) {
	case ACT_FORGET:
		client_forget(told->channel);
		told->channel = NULL; /* it goes by itself */
		break;
	case ACT_REFUSE:
		client_refuse(told->channel, AGENT_OUTPUT);
		break;
	case ACT_REQUEST:
		t->extra.channel = client_request(t->client, AGENT_STAT, "", 0, &channel_events, &t->extra);
		assert_non_null(t->extra.channel);
		break;
	case ACT_CONSUME:
		client_consumed(told->channel, AGENT_OUTPUT, told->data[AGENT_OUTPUT]);
		break;
	case ACT_END:
		client_send_end(told->channel);
		break;
	default:
		break;
	}
}

static void on_data(void *ctx, enum agent_stream stream, const void *bytes, size_t len)
{
	struct told *told = ctx;

	/* The sanitizer sees whether they are there. */
	for (size_t i = 0; i < len; i++)
		assert_int_equal(((const unsigned char *)bytes)[i], 'd');
	told->data[stream] += len;
	act(told);
}

static void on_end(void *ctx, enum agent_stream stream)
{
	struct told *told = ctx;

	told->ends[stream]++;
	act(told);
}

static void on_room(void *ctx)
{
	struct told *told = ctx;

	told->rooms++;
	act(told);
}

static void on_input_closed(void *ctx)
{
	struct told *told = ctx;

	told->closed++;
	act(told);
}

static void on_started(void *ctx, uint32_t pid)
{
	struct told *told = ctx;

	told->started += pid;
	act(told);
}

static void on_exit_(void *ctx, enum agent_exit how, unsigned code, unsigned flags)
{
	struct told *told = ctx;

	(void)flags;
	told->exits++;
	told->how = (int)how;
	told->code = (int)code;
	told->channel = NULL;
	act(told);
}

static void on_result(void *ctx, const struct client_result *result)
{
	struct told *told = ctx;

	told->results++;
	told->code = result->code;
	told->channel = NULL;
	snprintf(told->cause, sizeof told->cause, "%s", result->cause);
	act(told);
}

static const struct client_channel_events channel_events = {
	.data = on_data,
	.end = on_end,
	.room = on_room,
	.input_closed = on_input_closed,
	.started = on_started,
	.exit = on_exit_,
	.result = on_result,
};

/* ---- the agent ---- */

/* 0, or -EPIPE where nobody is there any more. */
static int agent_put(struct test *t, const void *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(t->agent, (const char *)bytes + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			done += (size_t)n;
		else if (errno != EAGAIN || t->ended)
			return -EPIPE;
		else
			turn(t);
	}
	return 0;
}

static int agent_say(struct test *t, uint32_t channel, unsigned type, unsigned stream, const void *payload, size_t len)
{
	struct agent_frame frame = {
		.length = (uint32_t)len, .channel = channel, .type = (uint16_t)type, .stream = (uint16_t)stream
	};
	unsigned char *whole = malloc(AGENT_FRAME_SIZE + len);
	int rc;

	assert_non_null(whole);
	agent_frame_encode(&frame, whole);
	if (len > 0)
		memcpy(whole + AGENT_FRAME_SIZE, payload, len);
	rc = agent_put(t, whole, AGENT_FRAME_SIZE + len);
	free(whole);
	return rc;
}

static void agent_say_u32(struct test *t, uint32_t channel, unsigned type, unsigned stream, unsigned n,
                          const uint32_t *words)
{
	unsigned char payload[64];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	for (unsigned i = 0; i < n; i++)
		agent_write_u32(&w, words[i]);
	agent_say(t, channel, type, stream, payload, w.used);
}

static void agent_say_data(struct test *t, uint32_t channel, unsigned stream, size_t len)
{
	char *bytes = malloc(len ? len : 1);

	assert_non_null(bytes);
	memset(bytes, 'd', len);
	agent_say(t, channel, AGENT_DATA, stream, bytes, len);
	free(bytes);
}

static void agent_say_result(struct test *t, uint32_t channel, uint32_t code, const void *cause, size_t len)
{
	unsigned char payload[4096];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_u32(&w, code);
	agent_write_u32(&w, AGENT_STAGE_REQUEST);
	agent_write_bytes(&w, cause, len);
	agent_say(t, channel, AGENT_RESULT, 0, payload, w.used);
}

static void agent_say_exit(struct test *t, uint32_t channel, uint32_t how, uint32_t code)
{
	agent_say_u32(t, channel, AGENT_EXIT, 0, 3, (uint32_t[]){ how, code, 0 });
}

static size_t hello(unsigned char *payload, size_t room, uint32_t magic, uint16_t lowest, uint16_t highest)
{
	struct agent_writer w = agent_writer_on(payload, room);

	agent_write_u32(&w, magic);
	agent_write_u16(&w, lowest);
	agent_write_u16(&w, highest);
	agent_write_string(&w, "agent");
	for (uint64_t i = 1; i <= 4; i++)
		agent_write_u64(&w, i);
	return w.used;
}

static void agent_greet(struct test *t)
{
	unsigned char payload[128];
	size_t len = hello(payload, sizeof payload, AGENT_MAGIC, 1, 1);

	agent_say(t, 0, AGENT_HELLO, 0, payload, len);
}

static void agent_get(struct test *t, void *to, size_t len)
{
	int turns = 0;

	for (size_t done = 0; done < len;) {
		ssize_t n = recv(t->agent, (char *)to + done, len - done, MSG_DONTWAIT);

		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		assert_int_equal(n, -1);
		assert_true(turns++ < TURNS);
		turn(t);
	}
}

/* The next frame of the client; its payload is thrown away behind the first bytes. */
static struct agent_frame agent_hear(struct test *t, unsigned char first[16])
{
	static unsigned char payload[AGENT_FRAME_MAX];
	unsigned char header[AGENT_FRAME_SIZE];
	struct agent_frame frame;

	agent_get(t, header, sizeof header);
	frame = agent_frame_decode(header);
	assert_true(frame.length <= AGENT_FRAME_MAX);
	agent_get(t, payload, frame.length);
	if (first)
		memcpy(first, payload, 16);
	return frame;
}

static void agent_expect(struct test *t, uint32_t channel, unsigned type, unsigned stream)
{
	struct agent_frame frame = agent_hear(t, NULL);

	assert_int_equal(frame.type, type);
	assert_int_equal(frame.channel, channel);
	assert_int_equal(frame.stream, stream);
}

/* True: nothing of the client's is under way. */
static bool agent_heard_all(struct test *t)
{
	char byte;

	settle(t);
	return recv(t->agent, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* ---- a test's begin and end ---- */

static void test_open(struct test *t)
{
	static const struct client_events events = { .ready = on_ready, .ended = on_ended };
	struct error err;
	int ends[2];

	memset(t, 0, sizeof *t);
	t->one.test = t->extra.test = t;
	assert_int_equal(reactor_new(&t->reactor), 0);
	t->turn = reactor_timer_add(t->reactor, turn_over, t);
	assert_non_null(t->turn);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	t->agent = ends[1];
	assert_int_equal(client_open(t->reactor, ends[0], &events, t, &t->client, &err), 0);
}

static void test_close(struct test *t)
{
	client_close(t->client);
	reactor_timer_remove(t->turn);
	reactor_free(t->reactor);
	if (t->agent >= 0)
		close(t->agent);
}

/* Greeted, and channel 1 opened by `type`. */
static void test_open_with(struct test *t, enum agent_type type)
{
	test_open(t);
	agent_greet(t);
	settle(t);
	assert_int_equal(t->ready, 1);
	t->one.channel = client_request(t->client, type, "", 0, &channel_events, &t->one);
	assert_non_null(t->one.channel);
	agent_expect(t, 0, AGENT_HELLO, 0);
	agent_expect(t, 1, type, 0);
}

/* The connection ended, once, by `code`, and says so in words that have `part` in them. */
static void expect_end(struct test *t, int code, const char *part)
{
	settle(t);
	assert_int_equal(t->ended, 1);
	assert_int_equal(t->end_code, code);
	if (!strstr(t->why, part))
		fail_msg("\"%s\" is not in \"%s\"", part, t->why);
	/* And stays so, whatever the owner does with what it has. */
	if (t->one.channel) {
		assert_int_equal(client_room(t->one.channel), 0);
		assert_int_equal(client_send(t->one.channel, "x", 1), 0);
		client_consumed(t->one.channel, AGENT_OUTPUT, AGENT_WINDOW);
		client_send_end(t->one.channel);
		client_forget(t->one.channel);
	}
	assert_null(client_request(t->client, AGENT_STAT, "", 0, &channel_events, &t->extra));
	settle(t);
	assert_int_equal(t->ended, 1);
}

/* ---- the greeting ---- */

static void a_greeting_makes_ready_and_tells_the_guests_times(void **state)
{
	struct test t;

	(void)state;
	test_open(&t);
	/* Before it there are no channels. */
	assert_null(client_request(t.client, AGENT_STAT, "", 0, &channel_events, &t.one));
	agent_greet(&t);
	settle(&t);
	assert_int_equal(t.ready, 1);
	assert_true(t.times.init == 1 && t.times.mounted == 2 && t.times.serving == 3 && t.times.now == 4);
	assert_int_equal(t.ended, 0);
	test_close(&t);
}

static void what_is_no_greeting_ends_the_connection(void **state)
{
	struct test t;
	unsigned char payload[128];
	size_t len;

	(void)state;
	test_open(&t);
	agent_say_exit(&t, 1, 0, 0);
	expect_end(&t, -EPROTO, "no greeting");
	test_close(&t);

	test_open(&t);
	len = hello(payload, sizeof payload, AGENT_MAGIC + 1, 1, 1);
	agent_say(&t, 0, AGENT_HELLO, 0, payload, len);
	expect_end(&t, -EPROTO, "no greeting");
	test_close(&t);

	test_open(&t);
	len = hello(payload, sizeof payload, AGENT_MAGIC, 1, 1);
	agent_say(&t, 1, AGENT_HELLO, 0, payload, len);
	expect_end(&t, -EPROTO, "no greeting");
	test_close(&t);

	test_open(&t);
	agent_put(&t, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
	expect_end(&t, -EPROTO, "too long");
	test_close(&t);

	/* Twice. */
	test_open(&t);
	agent_greet(&t);
	agent_greet(&t);
	expect_end(&t, -EPROTO, "not open");
	assert_int_equal(t.ready, 1);
	test_close(&t);
}

static void another_version_is_told_with_what_to_do(void **state)
{
	struct test t;
	unsigned char payload[128];
	size_t len = hello(payload, sizeof payload, AGENT_MAGIC, 7, 9);

	(void)state;
	test_open(&t);
	agent_say(&t, 0, AGENT_HELLO, 0, payload, len);
	expect_end(&t, -EPROTONOSUPPORT, "version 7 to 9");
	assert_non_null(strstr(t.why, "capsa image build"));
	assert_int_equal(t.ready, 0);
	test_close(&t);
}

static void a_greeting_without_times_has_none(void **state)
{
	struct test t;
	unsigned char payload[128];
	size_t len = hello(payload, sizeof payload, AGENT_MAGIC, 1, 1);

	(void)state;
	test_open(&t);
	agent_say(&t, 0, AGENT_HELLO, 0, payload, len - 1);
	settle(&t);
	assert_int_equal(t.ready, 1);
	assert_true(t.times.init == 0 && t.times.now == 0);
	test_close(&t);
}

static void an_agent_that_goes_without_a_word_is_gone(void **state)
{
	struct test t;

	(void)state;
	test_open(&t);
	close(t.agent);
	t.agent = -1;
	expect_end(&t, -EPIPE, "has ended");
	test_close(&t);
}

static void a_greeting_that_does_not_come_in_time_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open(&t);
	client_expect_greeting(t.client, 1);
	for (int i = 0; i < TURNS && !t.ended; i++) {
		/* Half of one is none. */
		if (i == 0)
			agent_put(&t, "\x10\0\0\0", 4);
		reactor_timer_set(t.turn, 1);
		reactor_run(t.reactor);
	}
	expect_end(&t, -ETIMEDOUT, "has not answered");
	test_close(&t);

	/* One that comes ends the time. */
	test_open(&t);
	client_expect_greeting(t.client, 1000000);
	agent_greet(&t);
	settle(&t);
	assert_int_equal(t.ready, 1);
	test_close(&t);
}

/* ---- an agent that keeps to it ---- */

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
	settle(&t);
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
	settle(&t);
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
		settle(&t);
		agent_put(&t, stream + cut, len - cut);
		settle(&t);
		assert_true(t.one.started == 5 && t.one.data[AGENT_OUTPUT] == 20 && t.one.exits == 1 && !t.ended);
		test_close(&t);
	}
	test_open_with(&t, AGENT_EXEC);
	for (size_t i = 0; i < len; i++) {
		agent_put(&t, stream + i, 1);
		turn(&t);
	}
	settle(&t);
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
		told[i].channel = client_request(t.client, AGENT_STAT, "", 0, &channel_events, &told[i]);
		assert_non_null(told[i].channel);
		agent_expect(&t, i + 2, AGENT_STAT, 0);
	}
	/* The last first. */
	for (uint32_t i = MANY; i-- > 0;)
		agent_say_result(&t, i + 2, i % 4000, "", 0);
	settle(&t);
	for (int i = 0; i < MANY; i++)
		assert_true(told[i].results == 1 && told[i].code == -i);
	assert_true(t.one.results == 0 && t.ended == 0);
	test_close(&t);
	free(told);
}

/* ---- credit ---- */

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
	settle(&t);
	assert_true(t.one.data[AGENT_OUTPUT] == 2 * AGENT_WINDOW && t.ended == 0);
	test_close(&t);
}

static void data_beyond_the_credit_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	agent_say_data(&t, 1, AGENT_OUTPUT, AGENT_WINDOW);
	agent_say_data(&t, 1, AGENT_OUTPUT, 1);
	expect_end(&t, -EPROTO, "more data");
	assert_int_equal(t.one.data[AGENT_OUTPUT], AGENT_WINDOW);
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
	settle(&t);
	assert_true(t.one.data[AGENT_OUTPUT] == 1 && t.one.ends[AGENT_OUTPUT] == 0 && t.ended == 0);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	expect_end(&t, -EPROTO, "an end of what has ended");
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
	settle(&t);
	assert_int_equal(t.one.rooms, 0);
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ 50 });
	settle(&t);
	assert_int_equal(t.one.rooms, 1);
	assert_int_equal(client_send(t.one.channel, bytes, 100), 50);
	/* The command reads no more. */
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ 50 });
	agent_say(&t, 1, AGENT_CLOSE, AGENT_INPUT, NULL, 0);
	settle(&t);
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
	settle(&t);
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
	expect_end(&t, -EPROTO, "does not listen");
	test_close(&t);
}

static void credit_without_measure_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ UINT32_MAX });
	expect_end(&t, -EPROTO, "credit");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	for (int i = 0; i < 3; i++)
		agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, 1, (uint32_t[]){ UINT32_MAX / 2 });
	expect_end(&t, -EPROTO, "credit");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say(&t, 1, AGENT_WINDOW_ADD, AGENT_INPUT, "abc", 3);
	expect_end(&t, -EPROTO, "credit");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_u32(&t, 1, AGENT_WINDOW_ADD, AGENT_OUTPUT, 1, (uint32_t[]){ 1 });
	expect_end(&t, -EPROTO, "credit");
	test_close(&t);
}

/* ---- one that does not ---- */

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
		expect_end(&t, -EPROTO, cases[i].why);
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
	expect_end(&t, -EPROTO, "too long");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_exit(&t, 1, AGENT_TIMED_OUT + 1, 0);
	expect_end(&t, -EPROTO, "an exit that is none");
	test_close(&t);

	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, 4096, "", 0);
	expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);

	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, UINT32_MAX, "", 0);
	expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);

	/* A NUL in words; words longer than anybody says. */
	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, 1, "a\0b", 3);
	expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);

	test_open_with(&t, AGENT_STAT);
	agent_say_result(&t, 1, 1, memset((char[2000]){ 0 }, 'x', 2000), 2000);
	expect_end(&t, -EPROTO, "a result that is none");
	test_close(&t);
}

static void what_comes_twice_ends_the_connection(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	expect_end(&t, -EPROTO, "an end of what has ended");
	assert_int_equal(t.one.ends[AGENT_OUTPUT], 1);
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say(&t, 1, AGENT_END, AGENT_OUTPUT, NULL, 0);
	agent_say_data(&t, 1, AGENT_OUTPUT, 1);
	expect_end(&t, -EPROTO, "data behind its end");
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_u32(&t, 1, AGENT_STARTED, 0, 1, (uint32_t[]){ 1 });
	agent_say_u32(&t, 1, AGENT_STARTED, 0, 1, (uint32_t[]){ 1 });
	expect_end(&t, -EPROTO, "a start that is none");
	assert_int_equal(t.one.started, 1);
	test_close(&t);

	test_open_with(&t, AGENT_EXEC);
	agent_say_exit(&t, 1, 0, 0);
	agent_say_exit(&t, 1, 0, 0);
	expect_end(&t, -EPROTO, "not open");
	assert_int_equal(t.one.exits, 1);
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
	settle(&t);
	assert_true(t.one.started == 0 && t.one.data[AGENT_OUTPUT] == 0 && t.one.exits == 0 && t.ended == 0);
	/* Its end was its end. */
	t.one.channel = NULL;
	agent_say_result(&t, 1, 0, "", 0);
	expect_end(&t, -EPROTO, "not open");
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
		settle(&t);
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
		settle(&t);
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
	settle(&t);
	assert_true(t.one.exits == 1 && t.extra.results == 1 && t.ended == 0);
	test_close(&t);
}

static void the_end_is_told_once_behind_all_that_came_before(void **state)
{
	struct test t;

	(void)state;
	test_open_with(&t, AGENT_EXEC);
	for (int i = 0; i < 50; i++)
		assert_non_null(client_request(t.client, AGENT_STAT, "", 0, &channel_events, &t.extra));
	agent_say_data(&t, 1, AGENT_OUTPUT, 1000);
	close(t.agent);
	t.agent = -1;
	/* What is written to nobody does not hide what was said before. */
	assert_int_equal(client_send(t.one.channel, "d", 1), 1);
	expect_end(&t, -EPIPE, "has ended");
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
	settle(&t);
	assert_int_equal(t.ended, 0);
	test_close(&t);
}

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
			turn(&t);
			if (t.one.channel && next_random(&seed) % 8 == 0)
				client_send(t.one.channel, "dddd", 4);
			if (t.one.act == ACT_FORGET)
				t.one.act = ACT_NONE;
		}
		settle(&t);
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
			turn(&t);
		}
		settle(&t);
		assert_true(t.ended <= 1);
		test_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_greeting_makes_ready_and_tells_the_guests_times),
		cmocka_unit_test(what_is_no_greeting_ends_the_connection),
		cmocka_unit_test(another_version_is_told_with_what_to_do),
		cmocka_unit_test(a_greeting_without_times_has_none),
		cmocka_unit_test(an_agent_that_goes_without_a_word_is_gone),
		cmocka_unit_test(a_greeting_that_does_not_come_in_time_ends_the_connection),
		cmocka_unit_test(a_command_has_streams_and_an_exit),
		cmocka_unit_test(a_result_tells_its_cause_without_control_characters),
		cmocka_unit_test(frames_may_come_in_pieces_of_any_size),
		cmocka_unit_test(many_channels_do_not_meet),
		cmocka_unit_test(credit_is_given_back_for_what_was_used),
		cmocka_unit_test(data_beyond_the_credit_ends_the_connection),
		cmocka_unit_test(a_stream_that_was_refused_costs_nobody_anything),
		cmocka_unit_test(input_waits_for_credit_and_room_is_told_once),
		cmocka_unit_test(an_agent_that_does_not_read_gets_no_more_than_fits),
		cmocka_unit_test(words_that_nobody_reads_end_the_connection),
		cmocka_unit_test(credit_without_measure_ends_the_connection),
		cmocka_unit_test(what_is_against_the_rules_ends_the_connection),
		cmocka_unit_test(what_is_malformed_ends_the_connection),
		cmocka_unit_test(what_comes_twice_ends_the_connection),
		cmocka_unit_test(a_forgotten_channel_is_cancelled_and_never_heard_of),
		cmocka_unit_test(a_callback_may_forget_its_channel),
		cmocka_unit_test(room_may_forget_and_request),
		cmocka_unit_test(the_last_callback_may_request_again),
		cmocka_unit_test(the_end_is_told_once_behind_all_that_came_before),
		cmocka_unit_test(a_client_may_be_closed_before_its_end_is_told),
		cmocka_unit_test(chance_finds_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
