/* SPDX-License-Identifier: MIT */
/*
 * client_agent.h - the agent of a guest, for the tests of core/sandbox/client.c: the other end of a client's socket,
 * which says, frame by frame, what the test tells it to, right or wrong, and shows what the client said. And the
 * client's owner, who counts the calls it gets.
 *
 * A test has a `struct test` on its stack, between test_open() (or test_open_with()) and test_close(). All is one
 * thread, and the client runs only in test_turn() and test_settle(), and in those functions of the agent that have to
 * wait for it. Nothing waits but for what is on its way already. The functions fail the test themselves.
 */
#ifndef CAPSA_TESTS_CLIENT_AGENT_H
#define CAPSA_TESTS_CLIENT_AGENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/sandbox/client.h"

/* So many turns of the loop without what is awaited: it will not come. */
#define TEST_TURNS 20000

/* What the client told of one channel: the context of test_channel_events. Zeroed, but for `test`. */
struct told {
	struct test *test;
	struct client_channel *channel; /* NULL: none yet, or gone */
	size_t data[AGENT_STREAMS];     /* bytes */
	unsigned ends[AGENT_STREAMS], rooms, closed, exits, results;
	unsigned started; /* the sum of the process ids */
	int code, how;    /* of the exit or the result */
	char cause[1100];
	/* What the next call does from inside, once: to this channel, or ACT_REQUEST: opens that of test.extra. */
	enum { ACT_NONE, ACT_FORGET, ACT_REFUSE, ACT_REQUEST, ACT_CONSUME, ACT_END } act;
};

struct test {
	struct reactor *reactor;
	struct reactor_timer *turn; /* stops the loop */
	struct client *client;
	int agent; /* its end of the socket; -1: the test has closed it */
	unsigned ready, ended;
	int end_code;
	char why[512]; /* it ended */
	struct client_times times;
	struct told one; /* of the channel that most tests have */
	struct told extra;
	bool calls_are_wrong; /* ended() was the last one */
};

/* Count in the struct told that is their context. Data must be bytes 'd', as agent_say_data() says them. */
extern const struct client_channel_events test_channel_events;

/* A reactor, and neither client nor agent: the test sets t->agent, and t->client where it has one. */
void test_open_alone(struct test *t);
/* A client and an agent, neither of which has said a word that was heard. */
void test_open(struct test *t);
/* The same, greeted by both, and channel 1 (t->one) opened by a request `type` that the agent has heard. */
void test_open_with(struct test *t, enum agent_type type);
/* t->client may be NULL: closed already. */
void test_close(struct test *t);

/* Lets the client handle what is there: once, or until surely nothing is left. */
void test_turn(struct test *t);
void test_settle(struct test *t);
/*
 * The connection ended, once, by `code`, and says so in words that have `part` in them. And stays so, whatever the
 * owner does with what it has: t->one.channel is forgotten.
 */
void test_expect_end(struct test *t, int code, const char *part);

/* Says bytes as they are. 0, or -EPIPE where nobody is there any more. */
int agent_put(struct test *t, const void *bytes, size_t len);
/* Says a frame; likewise. `stream` and type are whatever fits into their 16 bits. */
int agent_say(struct test *t, uint32_t channel, unsigned type, unsigned stream, const void *payload, size_t len);
/* With a payload of up to 16 words. */
void agent_say_u32(struct test *t, uint32_t channel, unsigned type, unsigned stream, unsigned n, const uint32_t *words);
/* AGENT_DATA: `len` bytes 'd'. */
void agent_say_data(struct test *t, uint32_t channel, unsigned stream, size_t len);
/* AGENT_RESULT: `code` is an errno, not negative; `cause` are up to 4000 bytes of any kind. */
void agent_say_result(struct test *t, uint32_t channel, uint32_t code, const void *cause, size_t len);
void agent_say_exit(struct test *t, uint32_t channel, uint32_t how, uint32_t code);
/* Writes an AGENT_HELLO's payload, with the times 1, 2, 3 and 4; its length. */
size_t agent_hello(unsigned char *payload, size_t room, uint32_t magic, uint16_t lowest, uint16_t highest);
/* Says one that is right. */
void agent_greet(struct test *t);

/* The next frame of the client. `first`: gets its payload's first bytes (others are thrown away), or NULL. */
struct agent_frame agent_hear(struct test *t, unsigned char first[16]);
/* The same with all of its payload, which must fit. */
struct agent_frame agent_hear_all(struct test *t, unsigned char *payload, size_t room);
/* It must be of this kind. */
void agent_expect(struct test *t, uint32_t channel, unsigned type, unsigned stream);
/* True: nothing of the client's is under way. */
bool agent_heard_all(struct test *t);

#endif
