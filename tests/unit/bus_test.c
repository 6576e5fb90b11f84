/* SPDX-License-Identifier: MIT */
/* bus_test.c - which handler gets an access: borders, overlaps, many regions. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/machine/bus.h"

struct device {
	struct bus *bus;
	uint64_t offset, value;
	unsigned len, reads, writes;
};

static uint64_t device_read(void *ctx, uint64_t offset, unsigned len)
{
	struct device *device = ctx;

	device->offset = offset;
	device->len = len;
	device->reads++;
	return 0x1122334455667788;
}

static void device_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct device *device = ctx;

	device->offset = offset;
	device->len = len;
	device->value = value;
	device->writes++;
}

static const struct bus_handler handler = { .read = device_read, .write = device_write };

static int make_bus(void **state)
{
	struct bus *bus;

	assert_int_equal(bus_create(&bus), 0);
	*state = bus;
	return 0;
}

static int free_bus(void **state)
{
	bus_destroy(*state);
	return 0;
}

static void nobodys_address_reads_all_ones_of_the_length(void **state)
{
	static const unsigned lens[] = { 1, 2, 4, 8 };
	static const uint64_t ones[] = { 0xff, 0xffff, 0xffffffff, UINT64_MAX };
	uint64_t value = 0;

	for (unsigned i = 0; i < 4; i++) {
		assert_false(bus_read(*state, 0x1000, lens[i], &value));
		assert_int_equal(value, ones[i]);
		assert_false(bus_write(*state, 0x1000, lens[i], 0));
	}
}

static void an_access_reaches_its_region_with_offset_and_length(void **state)
{
	struct device device = { 0 };
	uint64_t value;

	assert_int_equal(bus_add(*state, 0x1000, 0x100, &handler, &device), 0);
	assert_true(bus_read(*state, 0x10f8, 8, &value));
	assert_int_equal(value, 0x1122334455667788);
	assert_int_equal(device.offset, 0xf8);
	assert_true(bus_write(*state, 0x1000, 2, 0xabcdef));
	assert_int_equal(device.offset, 0);
	assert_int_equal(device.len, 2);
	assert_int_equal(device.value, 0xcdef);
}

static void a_short_read_gives_no_more_than_its_length(void **state)
{
	struct device device = { 0 };
	uint64_t value;

	assert_int_equal(bus_add(*state, 0, 8, &handler, &device), 0);
	assert_true(bus_read(*state, 0, 1, &value));
	assert_int_equal(value, 0x88);
	assert_true(bus_read(*state, 0, 4, &value));
	assert_int_equal(value, 0x55667788);
}

static void an_access_across_either_border_is_nobodys(void **state)
{
	struct device device = { 0 };
	uint64_t value;

	assert_int_equal(bus_add(*state, 0x1000, 0x10, &handler, &device), 0);
	assert_int_equal(bus_add(*state, 0x1010, 0x10, &handler, &device), 0);
	assert_false(bus_read(*state, 0xfff, 2, &value));
	assert_false(bus_read(*state, 0x100d, 4, &value));
	assert_false(bus_read(*state, 0x1019, 8, &value));
	assert_false(bus_write(*state, 0x101f, 2, 0));
	assert_false(bus_write(*state, 0x1020, 1, 0));
	assert_int_equal(device.reads + device.writes, 0);
	assert_true(bus_read(*state, 0x100c, 4, &value));
	assert_true(bus_read(*state, 0x101f, 1, &value));
}

static void odd_lengths_are_nobodys(void **state)
{
	static const unsigned lens[] = { 0, 3, 5, 16, UINT32_MAX };
	struct device device = { 0 };
	uint64_t value;

	assert_int_equal(bus_add(*state, 0x1000, 0x1000, &handler, &device), 0);
	for (unsigned i = 0; i < 5; i++) {
		assert_false(bus_read(*state, 0x1000, lens[i], &value));
		assert_false(bus_write(*state, 0x1000, lens[i], 0));
	}
	assert_int_equal(device.reads + device.writes, 0);
}

static void overlaps_are_refused_on_every_side(void **state)
{
	assert_int_equal(bus_add(*state, 0x1000, 0x1000, &handler, NULL), 0);
	assert_int_equal(bus_add(*state, 0x4000, 0x1000, &handler, NULL), 0);
	assert_int_equal(bus_add(*state, 0x1000, 0x1000, &handler, NULL), -EEXIST);
	assert_int_equal(bus_add(*state, 0x0fff, 2, &handler, NULL), -EEXIST);
	assert_int_equal(bus_add(*state, 0x1fff, 1, &handler, NULL), -EEXIST);
	assert_int_equal(bus_add(*state, 0x1800, 0x10, &handler, NULL), -EEXIST);
	assert_int_equal(bus_add(*state, 0, 0x10000, &handler, NULL), -EEXIST);
	assert_int_equal(bus_add(*state, 0x2000, 0x2001, &handler, NULL), -EEXIST);
	assert_int_equal(bus_add(*state, 0x2000, 0x2000, &handler, NULL), 0);
	assert_int_equal(bus_add(*state, 0, 0x1000, &handler, NULL), 0);
}

static void empty_and_wrapping_regions_are_refused(void **state)
{
	assert_int_equal(bus_add(*state, 0x1000, 0, &handler, NULL), -EINVAL);
	assert_int_equal(bus_add(*state, UINT64_MAX - 0xfff, 0x2000, &handler, NULL), -EINVAL);
	assert_int_equal(bus_add(*state, 1, UINT64_MAX, &handler, NULL), -EINVAL);
}

static void a_removed_region_is_nobodys_and_its_place_free(void **state)
{
	struct device device = { 0 };
	uint64_t value;

	assert_int_equal(bus_add(*state, 0x1000, 0x1000, &handler, &device), 0);
	assert_int_equal(bus_remove(*state, 0x1800), -ENOENT);
	assert_int_equal(bus_remove(*state, 0x1000), 0);
	assert_int_equal(bus_remove(*state, 0x1000), -ENOENT);
	assert_false(bus_read(*state, 0x1000, 4, &value));
	assert_int_equal(bus_add(*state, 0x800, 0x1000, &handler, &device), 0);
}

static void hundreds_of_regions_added_in_any_order_are_all_found(void **state)
{
	enum { N = 257 };
	struct device devices[N] = { 0 };
	uint64_t value;

	/* 100 and 257 share no divisor: every index once, far from sorted. */
	for (unsigned i = 0; i < N; i++) {
		unsigned at = i * 100 % N;

		assert_int_equal(bus_add(*state, at * 0x20, 0x10, &handler, &devices[at]), 0);
	}
	for (unsigned i = 0; i < N; i++) {
		assert_true(bus_read(*state, i * 0x20 + 0xf, 1, &value));
		assert_int_equal(devices[i].reads, 1);
		assert_false(bus_read(*state, i * 0x20 + 0x10, 1, &value));
	}
	for (unsigned i = 0; i < N; i += 2)
		assert_int_equal(bus_remove(*state, i * 0x20), 0);
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(bus_read(*state, i * 0x20, 1, &value), i % 2);
}

static void remove_itself(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct device *device = ctx;

	(void)offset, (void)len, (void)value;
	assert_int_equal(bus_remove(device->bus, 0x1000), 0);
}

static void a_handler_may_change_the_bus(void **state)
{
	static const struct bus_handler self_remover = { .read = device_read, .write = remove_itself };
	struct device device = { .bus = *state };

	assert_int_equal(bus_add(*state, 0x1000, 0x10, &self_remover, &device), 0);
	assert_true(bus_write(*state, 0x1000, 1, 0));
	assert_false(bus_write(*state, 0x1000, 1, 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_bus, free_bus)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nobodys_address_reads_all_ones_of_the_length),
		TEST(an_access_reaches_its_region_with_offset_and_length),
		TEST(a_short_read_gives_no_more_than_its_length),
		TEST(an_access_across_either_border_is_nobodys),
		TEST(odd_lengths_are_nobodys),
		TEST(overlaps_are_refused_on_every_side),
		TEST(empty_and_wrapping_regions_are_refused),
		TEST(a_removed_region_is_nobodys_and_its_place_free),
		TEST(hundreds_of_regions_added_in_any_order_are_all_found),
		TEST(a_handler_may_change_the_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
