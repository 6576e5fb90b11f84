/* SPDX-License-Identifier: MIT */
/* protocol_test.c - proves agent/protocol.h's writers and readers. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/protocol.h"

static void what_is_written_is_read(void **state)
{
	static const char *const words[] = { "one", "", "three", NULL };
	unsigned char buffer[256];
	struct agent_writer w = agent_writer_on(buffer, sizeof buffer);
	struct agent_reader r;
	char text[16];
	size_t len;

	(void)state;
	agent_write_u16(&w, 0xfffe);
	agent_write_u32(&w, 0x80000001);
	agent_write_u64(&w, UINT64_C(0x8000000000000002));
	agent_write_bytes(&w, "a\0b", 3);
	agent_write_string(&w, "text");
	agent_write_list(&w, words);
	assert_false(w.failed);

	r = agent_reader_on(buffer, w.used);
	assert_int_equal(agent_read_u16(&r), 0xfffe);
	assert_int_equal(agent_read_u32(&r), 0x80000001);
	assert_true(agent_read_u64(&r) == UINT64_C(0x8000000000000002));
	assert_memory_equal(agent_read_bytes(&r, &len), "a\0b", 3);
	assert_int_equal(len, 3);
	agent_read_string(&r, text, sizeof text);
	assert_string_equal(text, "text");
	assert_int_equal(agent_read_u32(&r), 3);
	for (int i = 0; i < 3; i++) {
		agent_read_string(&r, text, sizeof text);
		assert_string_equal(text, words[i]);
	}
	assert_false(r.failed);
	assert_int_equal(r.left, 0);
}

static void numbers_travel_with_their_lowest_byte_first(void **state)
{
	const struct agent_frame frame = {
		.length = 0x01020304, .channel = 0x05060708, .type = 0x090a, .stream = 0x0b0c
	};
	static const unsigned char wire[AGENT_FRAME_SIZE] = { 4, 3, 2, 1, 8, 7, 6, 5, 10, 9, 12, 11 };
	unsigned char to[AGENT_FRAME_SIZE];
	struct agent_frame back;

	(void)state;
	agent_frame_encode(&frame, to);
	assert_memory_equal(to, wire, sizeof wire);
	back = agent_frame_decode(wire);
	assert_int_equal(back.length, frame.length);
	assert_int_equal(back.channel, frame.channel);
	assert_int_equal(back.type, frame.type);
	assert_int_equal(back.stream, frame.stream);
}

static void what_does_not_fit_fails_and_writes_nothing_more(void **state)
{
	unsigned char buffer[8];

	(void)state;
	memset(buffer, 0xee, sizeof buffer);
	for (size_t room = 0; room < 7; room++) {
		struct agent_writer w = agent_writer_on(buffer, room);

		agent_write_string(&w, "abc");
		assert_true(w.failed);
		agent_write_u16(&w, 1);
		assert_true(w.failed);
		assert_true(w.used <= room);
		assert_int_equal(buffer[7], 0xee);
	}
}

/* Every cut of a payload fails, and what comes back then is zeros and "". */
static void every_cut_is_noticed(void **state)
{
	unsigned char buffer[64];
	struct agent_writer w = agent_writer_on(buffer, sizeof buffer);

	(void)state;
	agent_write_u16(&w, 7);
	agent_write_string(&w, "word");
	agent_write_u64(&w, 9);
	for (size_t len = 0; len <= w.used; len++) {
		struct agent_reader r = agent_reader_on(buffer, len);
		char text[8] = "dirty";
		uint64_t last;

		agent_read_u16(&r);
		agent_read_string(&r, text, sizeof text);
		last = agent_read_u64(&r);
		assert_int_equal(r.failed, len < w.used);
		assert_int_equal(last, len < w.used ? 0 : 9);
		if (len < 10)
			assert_string_equal(text, "");
	}
}

static void a_length_beyond_all_memory_is_noticed(void **state)
{
	static const unsigned char wire[] = { 0xff, 0xff, 0xff, 0xff, 'x' };
	struct agent_reader r = agent_reader_on(wire, sizeof wire);
	size_t len = 1;

	(void)state;
	agent_read_bytes(&r, &len);
	assert_true(r.failed);
	assert_int_equal(len, 0);
}

static void strings_with_a_nul_or_too_long_for_their_reader_fail(void **state)
{
	unsigned char buffer[64];
	char text[4];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct agent_writer w = agent_writer_on(buffer, sizeof buffer);
		struct agent_reader r;

		agent_write_bytes(&w, i ? "a\0b" : "four", i ? 3 : 4);
		r = agent_reader_on(buffer, w.used);
		agent_read_string(&r, text, sizeof text);
		assert_true(r.failed);
		assert_string_equal(text, "");
	}
}

static int greet(uint32_t magic, uint16_t lowest, uint16_t highest, struct agent_peer *peer)
{
	unsigned char buffer[64];
	struct agent_writer w = agent_writer_on(buffer, sizeof buffer);
	struct agent_reader r;

	agent_write_u32(&w, magic);
	agent_write_u16(&w, lowest);
	agent_write_u16(&w, highest);
	agent_write_string(&w, "other 2");
	agent_write_u64(&w, 12345);
	r = agent_reader_on(buffer, w.used);
	return agent_read_hello(&r, peer);
}

static void the_highest_version_in_common_is_settled(void **state)
{
	struct agent_peer peer;

	(void)state;
	assert_int_equal(greet(AGENT_MAGIC, AGENT_VERSION_MIN, AGENT_VERSION_MAX, &peer), 0);
	assert_int_equal(peer.version, AGENT_VERSION_MAX);
	assert_string_equal(peer.program, "other 2");
	assert_int_equal(greet(AGENT_MAGIC, 1, 99, &peer), 0);
	assert_int_equal(peer.version, AGENT_VERSION_MAX);
}

static void no_hello_and_no_version_in_common_are_told_apart(void **state)
{
	struct agent_reader r = agent_reader_on("", 0);
	struct agent_peer peer;

	(void)state;
	assert_int_equal(greet(1, 1, 1, &peer), -EPROTO);
	assert_int_equal(greet(AGENT_MAGIC, 2, 1, &peer), -EPROTO);
	assert_int_equal(greet(AGENT_MAGIC, AGENT_VERSION_MAX + 1, 99, &peer), -EPROTONOSUPPORT);
	assert_string_equal(peer.program, "other 2");
	assert_int_equal(greet(AGENT_MAGIC, 0, 0, &peer), -EPROTONOSUPPORT);
	assert_int_equal(agent_read_hello(&r, &peer), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(numbers_travel_with_their_lowest_byte_first),
		cmocka_unit_test(what_does_not_fit_fails_and_writes_nothing_more),
		cmocka_unit_test(every_cut_is_noticed),
		cmocka_unit_test(a_length_beyond_all_memory_is_noticed),
		cmocka_unit_test(strings_with_a_nul_or_too_long_for_their_reader_fail),
		cmocka_unit_test(the_highest_version_in_common_is_settled),
		cmocka_unit_test(no_hello_and_no_version_in_common_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
