/* SPDX-License-Identifier: MIT */
/* text_test.c - proves core/base/text.h. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/text.h"

static void sizes_with_and_without_units_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "007", 7 },
		{ "4K", 4096 },
		{ "512M", 512u << 20 },
		{ "512m", 512u << 20 },
		{ "3G", UINT64_C(3) << 30 },
		{ "2T", UINT64_C(2) << 40 },
		{ "9223372036854775807", INT64_MAX },
		{ "8388607T", UINT64_C(8388607) << 40 },
	};
	uint64_t bytes;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(text_parse_size(good[i].text, &bytes), 0);
		assert_true(bytes == good[i].bytes);
	}
}

static void malformed_sizes_are_refused(void **state)
{
	static const char *const bad[] = { "",   "K",  "12X",  "12MB", "12 M", " 12",
		                           "-1", "+1", "0x10", "1.5G", "1KK",  "99999999999999999999X" };
	uint64_t bytes = 42;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(text_parse_size(bad[i], &bytes), -EINVAL);
	assert_int_equal(bytes, 42);
}

static void sizes_beyond_int64_are_out_of_range(void **state)
{
	static const char *const bad[] = { "9223372036854775808", "18446744073709551616", "99999999999999999999999",
		                           "8388608T", "9007199254740992K" };
	uint64_t bytes = 42;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(text_parse_size(bad[i], &bytes), -ERANGE);
	assert_int_equal(bytes, 42);
}

static void sizes_are_written_in_the_largest_unit_that_divides(void **state)
{
	char buf[32];

	(void)state;
	assert_string_equal(text_format_size(0, buf, sizeof buf), "0");
	assert_string_equal(text_format_size(1000, buf, sizeof buf), "1000");
	assert_string_equal(text_format_size(512u << 20, buf, sizeof buf), "512M");
	assert_string_equal(text_format_size((512u << 20) + 1024, buf, sizeof buf), "524289K");
	assert_string_equal(text_format_size(UINT64_C(5) << 50, buf, sizeof buf), "5120T");
}

static void misspelt_words_find_their_meaning(void **state)
{
	static const char *const keys[] = {
		"name", "cpus", "memory", "memory_shared", "on_reboot", "io_threads", NULL
	};

	(void)state;
	assert_string_equal(text_suggest("memroy", keys), "memory");
	assert_string_equal(text_suggest("cpu", keys), "cpus");
	assert_string_equal(text_suggest("CPUS", keys), "cpus");
	assert_string_equal(text_suggest("nmae", keys), "name");
	assert_string_equal(text_suggest("memory-shared", keys), "memory_shared");
	assert_string_equal(text_suggest("iothreads", keys), "io_threads");
}

static void words_that_are_far_away_find_none(void **state)
{
	static const char *const keys[] = { "name", "cpus", "memory", NULL };
	char long_word[300];

	(void)state;
	memset(long_word, 'x', sizeof long_word);
	long_word[sizeof long_word - 1] = '\0';
	assert_null(text_suggest("firmware", keys));
	assert_null(text_suggest("", keys));
	assert_null(text_suggest(long_word, keys));
}

static void text_format_allocates(void **state)
{
	char *text = text_format("%s-%d", "a", 12);

	(void)state;
	assert_string_equal(text, "a-12");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_with_and_without_units_are_read),
		cmocka_unit_test(malformed_sizes_are_refused),
		cmocka_unit_test(sizes_beyond_int64_are_out_of_range),
		cmocka_unit_test(sizes_are_written_in_the_largest_unit_that_divides),
		cmocka_unit_test(misspelt_words_find_their_meaning),
		cmocka_unit_test(words_that_are_far_away_find_none),
		cmocka_unit_test(text_format_allocates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
