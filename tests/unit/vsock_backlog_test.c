/* SPDX-License-Identifier: MIT */
/* vsock_backlog_test.c - core/vsock/backlog.c: what is put in comes out, in order and in records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/vsock/backlog.h"

/* The n-th byte of an endless text. */
static unsigned char byte_at(size_t n)
{
	return (unsigned char)(n * 7 + n / 256);
}

static void bytes_come_out_in_order_whatever_the_pieces(void **state)
{
	struct backlog b = { .bytes = NULL };
	unsigned char piece[5000];
	size_t in = 0, out = 0;

	(void)state;
	for (unsigned round = 0; round < 2000; round++) {
		size_t len = (round * 37) % sizeof piece, skip = round % 3;
		struct iovec iov[2] = { { piece, len / 2 }, { piece + len / 2, len - len / 2 } };

		for (size_t i = 0; i < len; i++)
			piece[i] = byte_at(in + i - skip);
		if (len >= skip) {
			assert_int_equal(backlog_append(&b, iov, 2, skip, len - skip), 0);
			in += len - skip;
		}
		assert_int_equal(b.len, in - out);
		for (size_t n = (round * 61) % 6000; n > 0 && b.len > 0; n--) {
			assert_int_equal(b.bytes[b.first], byte_at(out));
			backlog_consume(&b, 1);
			out++;
		}
	}
	assert_true(b.room < 1 << 20);
	if (b.len)
		backlog_consume(&b, b.len);
	assert_null(b.bytes); /* no memory while empty */
}

static void a_record_is_complete_when_its_end_has_come(void **state)
{
	struct backlog b = { .bytes = NULL };
	char text[] = "abcdefghij";
	struct iovec iov = { text, 10 };
	const unsigned char *bytes;
	uint32_t word;

	(void)state;
	assert_false(backlog_record(&b, &word, &bytes));
	assert_int_equal(backlog_append_record(&b, &iov, 1, 0, 3, 0), 0);
	assert_false(backlog_record(&b, &word, &bytes));
	assert_int_equal(backlog_append_record(&b, &iov, 1, 3, 4, BACKLOG_END | BACKLOG_RECORD), 0);
	assert_int_equal(backlog_append_record(&b, &iov, 1, 0, 0, BACKLOG_END), 0);
	assert_int_equal(backlog_append_record(&b, &iov, 1, 9, 1, 0), 0);
	assert_int_equal(b.payload, 8);

	assert_true(backlog_record(&b, &word, &bytes));
	assert_int_equal(word, 7 | BACKLOG_END | BACKLOG_RECORD);
	assert_memory_equal(bytes, "abcdefg", 7);
	backlog_consume_record(&b);
	assert_true(backlog_record(&b, &word, &bytes));
	assert_int_equal(word, BACKLOG_END); /* without a byte */
	backlog_consume_record(&b);
	assert_false(backlog_record(&b, &word, &bytes));
	assert_int_equal(backlog_append_record(&b, &iov, 1, 0, 2, BACKLOG_END), 0);
	assert_true(backlog_record(&b, &word, &bytes));
	assert_memory_equal(bytes, "jab", 3);
	backlog_consume_record(&b);
	assert_null(b.bytes);
	assert_int_equal(b.payload, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_out_in_order_whatever_the_pieces),
		cmocka_unit_test(a_record_is_complete_when_its_end_has_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
