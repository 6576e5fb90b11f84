/* SPDX-License-Identifier: MIT */
/* arena_test.c - proves core/base/arena.h. The sanitizers prove that arena_free() leaves nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/arena.h"

static void objects_are_zeroed_aligned_and_disjoint(void **state)
{
	struct arena *arena = arena_new();
	unsigned char *objects[200];
	size_t i, k, len;

	(void)state;
	for (i = 0; i < 200; i++) {
		len = i * 37 % 3000;
		objects[i] = arena_alloc(arena, 1, len);
		assert_non_null(objects[i]);
		assert_int_equal((uintptr_t)objects[i] % _Alignof(max_align_t), 0);
		for (k = 0; k < len; k++)
			assert_int_equal(objects[i][k], 0);
		memset(objects[i], (int)i, len);
	}
	for (i = 0; i < 200; i++)
		for (k = 0; k < i * 37 % 3000; k++)
			assert_int_equal(objects[i][k], i);
	arena_free(arena);
}

static void an_object_larger_than_a_block_fits(void **state)
{
	struct arena *arena = arena_new();
	char *small = arena_strdup(arena, "small"), *large = arena_alloc(arena, 1, 1 << 20),
	     *next = arena_strdup(arena, "next");

	(void)state;
	memset(large, 'x', 1 << 20);
	assert_string_equal(small, "small");
	assert_string_equal(next, "next");
	arena_free(arena);
}

static void sizes_that_overflow_are_refused(void **state)
{
	struct arena *arena = arena_new();

	(void)state;
	assert_null(arena_alloc(arena, 1, SIZE_MAX));
	assert_null(arena_alloc(arena, 1, SIZE_MAX - 64));
	assert_null(arena_alloc(arena, SIZE_MAX / 2, 3));
	assert_non_null(arena_alloc(arena, 3, 5));
	arena_free(arena);
}

static void text_is_copied_and_formatted(void **state)
{
	struct arena *arena = arena_new();

	(void)state;
	assert_string_equal(arena_strdup(arena, ""), "");
	assert_string_equal(arena_format(arena, "%s%d", "console", 0), "console0");
	arena_free(arena);
	arena_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_zeroed_aligned_and_disjoint),
		cmocka_unit_test(an_object_larger_than_a_block_fits),
		cmocka_unit_test(sizes_that_overflow_are_refused),
		cmocka_unit_test(text_is_copied_and_formatted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
