/* SPDX-License-Identifier: MIT */
/* memory_test.c - the guest's memory: layout, translation, sharing, mapped files. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/machine/memory.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct memory *create(uint64_t size, bool shared)
{
	struct error err = { "" };
	struct memory *memory;

	if (memory_create(size, shared, &memory, &err))
		fail_msg("%s", err.text);
	return memory;
}

static void sizes_that_are_no_memory_are_refused(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4095, 4097, 1 << 20 | 512, (1ull << 52) + 4096, UINT64_MAX - 4095 };
	struct error err;
	struct memory *memory;

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		err.text[0] = '\0';
		assert_int_equal(memory_create(sizes[i], false, &memory, &err), -EINVAL);
		assert_null(memory);
		assert_true(err.text[0]);
	}
}

static void a_size_beyond_the_address_space_is_an_error_that_says_what_to_do(void **state)
{
	struct error err = { "" };
	struct memory *memory;

	(void)state;
	assert_int_equal(memory_create(1ull << 52, false, &memory, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "give it less"));
}

static void small_memory_is_one_zeroed_range_on_a_huge_page_boundary(void **state)
{
	struct memory *memory = create(96 * MIB + 4096, false);

	(void)state;
	assert_int_equal(memory->n_ranges, 1);
	assert_int_equal(memory->ranges[0].start, 0);
	assert_int_equal(memory->ranges[0].size, 96 * MIB + 4096);
	assert_int_equal((uintptr_t)memory->ranges[0].host % (2 * MIB), 0);
	assert_int_equal(memory->fd, -1);
	for (uint64_t at = 0; at < memory->size; at += MIB)
		assert_int_equal(memory->ranges[0].host[at], 0);
	memory->ranges[0].host[memory->size - 1] = 1;
	memory_destroy(memory);
}

static void large_memory_goes_on_above_the_hole(void **state)
{
	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		struct memory *memory = create(6 * GIB, shared);

		assert_int_equal(memory->n_ranges, 2);
		assert_int_equal(memory->ranges[0].size, 3 * GIB);
		assert_int_equal(memory->ranges[1].start, 4 * GIB);
		assert_int_equal(memory->ranges[1].size, 3 * GIB);
		assert_int_equal((uintptr_t)memory->ranges[1].host % (2 * MIB), 0);
		*(uint8_t *)memory_at(memory, 3 * GIB - 1, 1) = 1;
		*(uint8_t *)memory_at(memory, 7 * GIB - 1, 1) = 2;
		assert_int_equal(*(uint8_t *)memory_at(memory, 4 * GIB, 1), 0);
		memory_destroy(memory);
	}
}

static void three_gib_fit_below_the_hole(void **state)
{
	struct memory *memory = create(3 * GIB, false);

	(void)state;
	assert_int_equal(memory->n_ranges, 1);
	memory_destroy(memory);
}

static void translation_refuses_every_byte_outside_of_ram(void **state)
{
	struct memory *memory = create(4 * GIB, false);

	(void)state;
	assert_non_null(memory_at(memory, 0, 1));
	assert_non_null(memory_at(memory, 3 * GIB - 16, 16));
	assert_null(memory_at(memory, 3 * GIB - 16, 17));
	assert_null(memory_at(memory, 3 * GIB, 0));
	assert_null(memory_at(memory, 4 * GIB - 1, 1));
	assert_non_null(memory_at(memory, 4 * GIB, GIB));
	assert_null(memory_at(memory, 4 * GIB, GIB + 1));
	assert_null(memory_at(memory, 5 * GIB, 1));
	assert_null(memory_at(memory, UINT64_MAX, 1));
	assert_null(memory_at(memory, UINT64_MAX, UINT64_MAX));
	assert_null(memory_at(memory, 16, UINT64_MAX - 8));
	memory_destroy(memory);
}

static void shared_memory_is_seen_through_its_descriptor_and_cannot_be_truncated(void **state)
{
	struct memory *memory = create(8 * MIB, true);
	char seen[6] = "";

	(void)state;
	assert_true(memory->fd >= 0);
	memcpy(memory_at(memory, 4 * MIB, 5), "hello", 5);
	assert_int_equal(pread(memory->fd, seen, 5, 4 * MIB), 5);
	assert_string_equal(seen, "hello");
	assert_int_equal(ftruncate(memory->fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	memory_destroy(memory);
}

static int file_of(const char *text, size_t pages)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)(pages * 4096)), 0);
	for (size_t i = 0; i < pages; i++)
		assert_int_equal(pwrite(fd, text, strlen(text), (off_t)(i * 4096)), strlen(text));
	return fd;
}

static void a_mapped_file_is_seen_and_never_written(void **state)
{
	struct memory *memory = create(8 * MIB, false);
	int fd = file_of("kernel", 4);
	char seen[7] = "";

	(void)state;
	memcpy(memory_at(memory, MIB - 4096, 4), "edge", 4);
	assert_int_equal(memory_map_file(memory, MIB, 2 * 4096, fd, 4096), 0);
	assert_string_equal(memory_at(memory, MIB, 1), "kernel");
	assert_string_equal(memory_at(memory, MIB - 4096, 1), "edge");
	assert_int_equal(*(uint8_t *)memory_at(memory, MIB + 2 * 4096, 1), 0);
	memcpy(memory_at(memory, MIB, 6), "guest!", 6);
	assert_int_equal(pread(fd, seen, 6, 4096), 6);
	assert_string_equal(seen, "kernel");
	close(fd);
	memory_destroy(memory);
}

static void mappings_that_are_unaligned_or_outside_are_refused(void **state)
{
	struct memory *memory = create(8 * MIB, false), *shared = create(8 * MIB, true);
	int fd = file_of("x", 1);

	(void)state;
	assert_int_equal(memory_map_file(memory, 1, 4096, fd, 0), -EINVAL);
	assert_int_equal(memory_map_file(memory, 4096, 4095, fd, 0), -EINVAL);
	assert_int_equal(memory_map_file(memory, 4096, 4096, fd, 7), -EINVAL);
	assert_int_equal(memory_map_file(memory, 4096, 0, fd, 0), -EINVAL);
	assert_int_equal(memory_map_file(memory, 8 * MIB - 4096, 8192, fd, 0), -EINVAL);
	assert_int_equal(memory_map_file(memory, 0, 4096, fd, UINT64_MAX - 4095), -EINVAL);
	assert_int_equal(memory_map_file(shared, 4096, 4096, fd, 0), -EINVAL);
	close(fd);
	memory_destroy(memory);
	memory_destroy(shared);
}

static void a_file_that_cannot_be_mapped_leaves_zeroed_ram(void **state)
{
	struct memory *memory = create(8 * MIB, false);
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_true(memory_map_file(memory, MIB, 4096, pipes[0], 0) < 0);
	assert_int_equal(*(uint8_t *)memory_at(memory, MIB, 1), 0);
	*(uint8_t *)memory_at(memory, MIB, 1) = 1;
	close(pipes[0]);
	close(pipes[1]);
	memory_destroy(memory);
}

static void buffers_are_found_in_windows_too(void **state)
{
	static uint8_t first[4096], second[8192];
	struct memory *memory;
	struct error err;
	unsigned n = 2;

	(void)state;
	assert_int_equal(memory_create(MIB, false, &memory, &err), 0);
	assert_int_equal(memory_window_add(memory, 8 * GIB, sizeof first, first), 0);
	assert_int_equal(memory_window_add(memory, 0, sizeof second, second), 1);
	assert_ptr_equal(memory_buffer_at(memory, 4096, 1), memory_at(memory, 4096, 1));
	assert_ptr_equal(memory_buffer_at(memory, 8 * GIB, sizeof first), first);
	assert_ptr_equal(memory_buffer_at(memory, 8 * GIB + 4095, 1), first + 4095);
	assert_null(memory_buffer_at(memory, 8 * GIB + 4095, 2));
	assert_null(memory_buffer_at(memory, 8 * GIB - 1, 2));
	assert_null(memory_buffer_at(memory, 8 * GIB + 1, UINT64_MAX));
	assert_null(memory_at(memory, 8 * GIB, 1));
	/* It is nowhere, then it is moved next to the other. */
	assert_null(memory_buffer_at(memory, MIB, 1));
	memory_window_move(memory, 1, 8 * GIB + sizeof first);
	assert_ptr_equal(memory_buffer_at(memory, 8 * GIB + sizeof first, sizeof second), second);
	assert_null(memory_buffer_at(memory, 8 * GIB + 4095, 2));
	memory_window_move(memory, 0, 0);
	assert_null(memory_buffer_at(memory, 8 * GIB, 1));
	while (memory_window_add(memory, 0, sizeof first, first) >= 0)
		n++;
	assert_int_equal(n, MEMORY_MAX_WINDOWS);
	memory_destroy(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_are_no_memory_are_refused),
		cmocka_unit_test(a_size_beyond_the_address_space_is_an_error_that_says_what_to_do),
		cmocka_unit_test(small_memory_is_one_zeroed_range_on_a_huge_page_boundary),
		cmocka_unit_test(large_memory_goes_on_above_the_hole),
		cmocka_unit_test(three_gib_fit_below_the_hole),
		cmocka_unit_test(translation_refuses_every_byte_outside_of_ram),
		cmocka_unit_test(shared_memory_is_seen_through_its_descriptor_and_cannot_be_truncated),
		cmocka_unit_test(a_mapped_file_is_seen_and_never_written),
		cmocka_unit_test(mappings_that_are_unaligned_or_outside_are_refused),
		cmocka_unit_test(a_file_that_cannot_be_mapped_leaves_zeroed_ram),
		cmocka_unit_test(buffers_are_found_in_windows_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
