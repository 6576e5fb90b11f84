/* SPDX-License-Identifier: MIT */
/* client_agent.c - see client_agent.h. */
#include "tests/unit/client_agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void turn_over(void *ctx)
{
	struct test *t = ctx;

	reactor_stop(t->reactor);
}

void test_turn(struct test *t)
{
	reactor_timer_set(t->turn, 0);
	reactor_run(t->reactor);
}

void test_settle(struct test *t)
{
	for (int i = 0; i < 20; i++)
		test_turn(t);
}

/* ---- what the client calls ---- */

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
		t->extra.channel = client_request(t->client, AGENT_STAT, "", 0, &test_channel_events, &t->extra);
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

const struct client_channel_events test_channel_events = {
	.data = on_data,
	.end = on_end,
	.room = on_room,
	.input_closed = on_input_closed,
	.started = on_started,
	.exit = on_exit_,
	.result = on_result,
};

/* ---- the agent ---- */

int agent_put(struct test *t, const void *bytes, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = send(t->agent, (const char *)bytes + done, len - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			done += (size_t)n;
		else if (errno != EAGAIN || t->ended)
			return -EPIPE;
		else
			test_turn(t);
	}
	return 0;
}

int agent_say(struct test *t, uint32_t channel, unsigned type, unsigned stream, const void *payload, size_t len)
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

void agent_say_u32(struct test *t, uint32_t channel, unsigned type, unsigned stream, unsigned n, const uint32_t *words)
{
	unsigned char payload[64];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	for (unsigned i = 0; i < n; i++)
		agent_write_u32(&w, words[i]);
	agent_say(t, channel, type, stream, payload, w.used);
}

void agent_say_data(struct test *t, uint32_t channel, unsigned stream, size_t len)
{
	char *bytes = malloc(len ? len : 1);

	assert_non_null(bytes);
	memset(bytes, 'd', len);
	agent_say(t, channel, AGENT_DATA, stream, bytes, len);
	free(bytes);
}

void agent_say_result(struct test *t, uint32_t channel, uint32_t code, const void *cause, size_t len)
{
	unsigned char payload[4096];
	struct agent_writer w = agent_writer_on(payload, sizeof payload);

	agent_write_u32(&w, code);
	agent_write_u32(&w, AGENT_STAGE_REQUEST);
	agent_write_bytes(&w, cause, len);
	agent_say(t, channel, AGENT_RESULT, 0, payload, w.used);
}

void agent_say_exit(struct test *t, uint32_t channel, uint32_t how, uint32_t code)
{
	agent_say_u32(t, channel, AGENT_EXIT, 0, 3, (uint32_t[]){ how, code, 0 });
}

size_t agent_hello(unsigned char *payload, size_t room, uint32_t magic, uint16_t lowest, uint16_t highest)
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

void agent_greet(struct test *t)
{
	unsigned char payload[128];
	size_t len = agent_hello(payload, sizeof payload, AGENT_MAGIC, 1, 1);

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
		assert_true(turns++ < TEST_TURNS);
		test_turn(t);
	}
}

struct agent_frame agent_hear_all(struct test *t, unsigned char *payload, size_t room)
{
	unsigned char header[AGENT_FRAME_SIZE];
	struct agent_frame frame;

	agent_get(t, header, sizeof header);
	frame = agent_frame_decode(header);
	assert_true(frame.length <= room);
	agent_get(t, payload, frame.length);
	return frame;
}

struct agent_frame agent_hear(struct test *t, unsigned char first[16])
{
	static unsigned char payload[AGENT_FRAME_MAX];
	struct agent_frame frame = agent_hear_all(t, payload, sizeof payload);

	if (first)
		memcpy(first, payload, 16);
	return frame;
}

void agent_expect(struct test *t, uint32_t channel, unsigned type, unsigned stream)
{
	struct agent_frame frame = agent_hear(t, NULL);

	assert_int_equal(frame.type, type);
	assert_int_equal(frame.channel, channel);
	assert_int_equal(frame.stream, stream);
}

bool agent_heard_all(struct test *t)
{
	char byte;

	test_settle(t);
	return recv(t->agent, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* ---- a test's begin and end ---- */

void test_open_alone(struct test *t)
{
	memset(t, 0, sizeof *t);
	t->agent = -1;
	t->one.test = t->extra.test = t;
	assert_int_equal(reactor_new(&t->reactor), 0);
	t->turn = reactor_timer_add(t->reactor, turn_over, t);
	assert_non_null(t->turn);
}

void test_open(struct test *t)
{
	static const struct client_events events = { .ready = on_ready, .ended = on_ended };
	struct error err;
	int ends[2];

	test_open_alone(t);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	t->agent = ends[1];
	assert_int_equal(client_open(t->reactor, ends[0], &events, t, &t->client, &err), 0);
}

void test_close(struct test *t)
{
	client_close(t->client);
	reactor_timer_remove(t->turn);
	reactor_free(t->reactor);
	if (t->agent >= 0)
		close(t->agent);
}

void test_open_with(struct test *t, enum agent_type type)
{
	test_open(t);
	agent_greet(t);
	test_settle(t);
	assert_int_equal(t->ready, 1);
	t->one.channel = client_request(t->client, type, "", 0, &test_channel_events, &t->one);
	assert_non_null(t->one.channel);
	agent_expect(t, 0, AGENT_HELLO, 0);
	agent_expect(t, 1, type, 0);
}

void test_expect_end(struct test *t, int code, const char *part)
{
	test_settle(t);
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
	assert_null(client_request(t->client, AGENT_STAT, "", 0, &test_channel_events, &t->extra));
	test_settle(t);
	assert_int_equal(t->ended, 1);
}
