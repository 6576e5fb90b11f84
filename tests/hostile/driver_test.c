/* SPDX-License-Identifier: MIT */
/*
 * driver_test.c - a guest's driver that means harm, against core/virtio and core/machine: broken rings of every kind,
 * and garbage to every register, at random but the same in each run (LONG in the environment: many more steps).
 *
 * What is proved: the process lives, with sanitizers too; a broken ring sets DEVICE_NEEDS_RESET and says why in one
 * line; after a reset the device works again; the log is bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/hostile/garbage.h"
#include "tests/unit/virtio_target.h"

#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT_FEATURE (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define SIZE 16

static struct board board;
static struct target target;
static struct driver driver;
static struct ring rings[2];
static uint64_t data, table_at;
static struct vring_desc *table; /* an indirect one, of SIZE + 1 entries */

static void begin(uint64_t memory, uint32_t max_segments, uint64_t max_bytes)
{
	struct capsa_setup shape = target_shape();

	shape.queues[0].max_segments = max_segments;
	shape.queues[0].max_bytes = max_bytes;
	board_create(&board, memory);
	target_add(&target, &board, &shape);
	driver_find(&driver, &board, 1);
	data = board_alloc(&board, 4096, 4096);
	table_at = board_alloc(&board, (SIZE + 1) * sizeof *table, 16);
	table = board_at(&board, table_at, (SIZE + 1) * sizeof *table);
}

static int setup(void **state)
{
	(void)state;
	begin(0, 0, 0);
	return 0;
}

/* RAM on both sides of the hole below 4 GiB. Nothing of it is touched that a test does not touch. */
static int setup_large(void **state)
{
	(void)state;
	begin(MEMORY_HOLE_START + (16ull << 20), 0, 0);
	return 0;
}

#define MAX_SEGMENTS 12u
#define MAX_BYTES 100u

static int setup_limits(void **state)
{
	(void)state;
	begin(0, MAX_SEGMENTS, MAX_BYTES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	target_remove(&target);
	board_destroy(&board);
	return 0;
}

static void assert_works(void)
{
	struct vring_used_elem used;

	target.mode = TARGET_ECHO;
	driver_start(&driver, 0, rings, 2);
	memcpy(board_at(&board, data, 5), "works", 5);
	ring_desc(&rings[0], 0, data, 5, NEXT, 1);
	ring_desc(&rings[0], 1, data + 64, 64, WRITE, 0);
	ring_offer(&rings[0], 0);
	ring_notify(&rings[0]);
	board_settle(&board);
	assert_true(ring_used(&rings[0], &used));
	assert_int_equal(used.len, 5);
	assert_memory_equal(board_at(&board, data + 64, 5), "works", 5);
	assert_int_equal(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void assert_broken(const char *why)
{
	unsigned notifies;

	assert_true(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(driver_interrupts(&driver, DRIVER_CONFIG_VECTOR), 1);
	if (board_log_lines() != 1 || !strstr(board_log_line(0), why))
		fail_msg("not one line about '%s' but %u: %s", why, board_log_lines(), board_log_line(0));
	assert_non_null(strstr(board_log_line(0), "target0"));
	/* Until the reset the device does nothing more, and says nothing more. */
	notifies = target.notifies[0];
	for (unsigned i = 0; i < 10; i++) {
		ring_notify(&rings[0]);
		board_settle(&board);
	}
	assert_int_equal(target.notifies[0], notifies);
	assert_null(virtio_queue_pop(target.device, 0));
	assert_int_equal(board_log_lines(), 1);
}

/* ---- rings ---- */

static void read_behind_write(void)
{
	ring_desc(&rings[0], 0, data, 8, NEXT | WRITE, 1);
	ring_desc(&rings[0], 1, data, 8, 0, 0);
}

static void beyond_memory(void)
{
	ring_desc(&rings[0], 0, BOARD_MEMORY, 1, WRITE, 0);
}

static void across_the_end_of_memory(void)
{
	ring_desc(&rings[0], 0, BOARD_MEMORY - 8, 9, WRITE, 0);
}

static void address_that_wraps(void)
{
	ring_desc(&rings[0], 0, UINT64_MAX - 7, 16, WRITE, 0);
}

static void address_that_wraps_to_memory(void)
{
	ring_desc(&rings[0], 0, UINT64_MAX, 4096, 0, 0);
}

static void length_of_4_gib(void)
{
	ring_desc(&rings[0], 0, data, UINT32_MAX, 0, 0);
}

static void many_large_buffers(void)
{
	for (uint16_t i = 0; i < SIZE; i++)
		ring_desc(&rings[0], i, 0, BOARD_MEMORY, i + 1 < SIZE ? NEXT : 0, (uint16_t)(i + 1));
}

static void registers_as_a_buffer(void)
{
	ring_desc(&rings[0], 0, driver.common.address, 64, WRITE, 0);
}

static void configuration_space_as_a_buffer(void)
{
	ring_desc(&rings[0], 0, PCI_ECAM_START, 4096, WRITE, 0);
}

static void loop_of_one(void)
{
	ring_desc(&rings[0], 0, data, 1, NEXT, 0);
}

static void loop_of_all(void)
{
	for (uint16_t i = 0; i < SIZE; i++)
		ring_desc(&rings[0], i, data, 1, NEXT | WRITE, (uint16_t)((i + 1) % SIZE));
}

static void loop_of_empty_buffers(void)
{
	ring_desc(&rings[0], 0, data, 0, NEXT, 1);
	ring_desc(&rings[0], 1, data, 0, NEXT, 0);
}

static void successor_outside_of_the_table(void)
{
	ring_desc(&rings[0], 0, data, 1, NEXT, SIZE);
}

static void successor_far_outside(void)
{
	ring_desc(&rings[0], 0, data, 1, NEXT, 0xffff);
}

static void offer_in_indirect(uint32_t len)
{
	ring_desc(&rings[0], 0, table_at, len, INDIRECT, 0);
}

static void indirect_in_indirect(void)
{
	offer_in_indirect(2 * sizeof *table);
	table[0] = (struct vring_desc){ .addr = table_at, .len = sizeof *table, .flags = INDIRECT };
}

static void indirect_behind_a_buffer_in_indirect(void)
{
	offer_in_indirect(2 * sizeof *table);
	table[0] = (struct vring_desc){ .addr = data, .len = 1, .flags = NEXT, .next = 1 };
	table[1] = (struct vring_desc){ .addr = table_at, .len = sizeof *table, .flags = INDIRECT };
}

static void indirect_with_successor(void)
{
	offer_in_indirect(sizeof *table);
	rings[0].desc[0].flags |= NEXT;
	table[0] = (struct vring_desc){ .addr = data, .len = 1 };
}

static void indirect_of_odd_length(void)
{
	offer_in_indirect(sizeof *table + 1);
}

static void indirect_of_no_length(void)
{
	offer_in_indirect(0);
}

static void indirect_beyond_memory(void)
{
	offer_in_indirect(sizeof *table);
	rings[0].desc[0].addr = BOARD_MEMORY - 8;
}

static void indirect_that_wraps(void)
{
	offer_in_indirect(UINT32_MAX - 15);
	rings[0].desc[0].addr = UINT64_MAX - 15;
}

static void indirect_of_4_gib(void)
{
	offer_in_indirect(UINT32_MAX - 15);
}

static void indirect_unaligned(void)
{
	offer_in_indirect(sizeof *table);
	rings[0].desc[0].addr++;
}

static void indirect_loop(void)
{
	offer_in_indirect(2 * sizeof *table);
	table[0] = (struct vring_desc){ .addr = data, .len = 1, .flags = NEXT, .next = 1 };
	table[1] = (struct vring_desc){ .addr = data, .len = 1, .flags = NEXT, .next = 0 };
}

static void indirect_too_long(void)
{
	offer_in_indirect((SIZE + 1) * sizeof *table);
	for (uint16_t i = 0; i <= SIZE; i++)
		table[i] = (struct vring_desc){
			.addr = data, .len = 1, .flags = i < SIZE ? NEXT : 0, .next = (uint16_t)(i + 1)
		};
}

static void indirect_successor_outside(void)
{
	offer_in_indirect(sizeof *table);
	table[0] = (struct vring_desc){ .addr = data, .len = 1, .flags = NEXT, .next = 1 };
}

static void index_that_jumps(void)
{
	rings[0].avail->idx = (uint16_t)(rings[0].avail->idx + SIZE); /* and one more: offer() */
}

static void index_that_jumps_far(void)
{
	rings[0].avail->idx = 0x8000;
}

static void index_that_goes_back(void)
{
	rings[0].avail->idx = (uint16_t)-2;
}

static void head_outside_of_the_table(void)
{
	for (unsigned i = 0; i < SIZE; i++)
		rings[0].avail->ring[i] = SIZE;
	rings[0].avail->idx++;
}

static void head_far_outside(void)
{
	for (unsigned i = 0; i < SIZE; i++)
		rings[0].avail->ring[i] = 0xffff;
	rings[0].avail->idx++;
}

static const struct broken {
	void (*make)(void);
	const char *why;
	bool no_indirect; /* not negotiated */
	bool offered;     /* `make` has made it available */
} broken_rings[] = {
	{ read_behind_write, "a readable buffer behind a writable one", 0, 0 },
	{ beyond_memory, "a buffer outside of memory", 0, 0 },
	{ across_the_end_of_memory, "a buffer outside of memory", 0, 0 },
	{ address_that_wraps, "a buffer outside of memory", 0, 0 },
	{ address_that_wraps_to_memory, "a buffer outside of memory", 0, 0 },
	{ length_of_4_gib, "a request with too many bytes", 0, 0 },
	{ registers_as_a_buffer, "a buffer outside of memory", 0, 0 },
	{ configuration_space_as_a_buffer, "a buffer outside of memory", 0, 0 },
	{ loop_of_one, "a chain that is too long, or a loop", 0, 0 },
	{ loop_of_all, "a chain that is too long, or a loop", 0, 0 },
	{ loop_of_empty_buffers, "a chain that is too long, or a loop", 0, 0 },
	{ successor_outside_of_the_table, "a descriptor index outside of its table", 0, 0 },
	{ successor_far_outside, "a descriptor index outside of its table", 0, 0 },
	{ indirect_in_indirect, "an indirect descriptor in an indirect table", 0, 0 },
	{ indirect_behind_a_buffer_in_indirect, "an indirect descriptor in an indirect table", 0, 0 },
	{ indirect_with_successor, "an indirect descriptor that has a successor", 0, 0 },
	{ indirect_of_odd_length, "an indirect table whose length is no multiple of 16", 0, 0 },
	{ indirect_of_no_length, "an indirect table whose length is no multiple of 16", 0, 0 },
	{ indirect_beyond_memory, "an indirect table outside of memory", 0, 0 },
	{ indirect_that_wraps, "an indirect table outside of memory", 0, 0 },
	{ indirect_of_4_gib, "an indirect table outside of memory", 0, 0 },
	{ indirect_unaligned, "an indirect table that is not aligned", 0, 0 },
	{ indirect_loop, "a chain that is too long, or a loop", 0, 0 },
	{ indirect_too_long, "a chain that is too long, or a loop", 0, 0 },
	{ indirect_successor_outside, "a descriptor index outside of its table", 0, 0 },
	{ indirect_too_long, "an indirect descriptor, which was not negotiated", true, 0 },
	{ index_that_jumps, "an available index that jumps", 0, 0 },
	{ index_that_jumps_far, "an available index that jumps", 0, 0 },
	{ index_that_goes_back, "an available index that jumps", 0, 0 },
	{ head_outside_of_the_table, "a descriptor index outside of its table", 0, true },
	{ head_far_outside, "a descriptor index outside of its table", 0, true },
};
#define N_BROKEN (sizeof broken_rings / sizeof broken_rings[0])

static void break_ring(const struct broken *way)
{
	driver_start(&driver, way->no_indirect ? 0 : INDIRECT_FEATURE, rings, 2);
	way->make();
	if (!way->offered)
		ring_offer(&rings[0], 0);
	ring_notify(&rings[0]);
	board_settle(&board);
}

/* Each on a board of its own, so that its line is the first and only one. */
static void a_broken_ring_needs_a_reset_and_is_told_in_one_line(void **state)
{
	for (unsigned i = 0; i < N_BROKEN; i++) {
		setup(state);
		break_ring(&broken_rings[i]);
		assert_broken(broken_rings[i].why);
		assert_works();
		/* The same again: no second line. */
		break_ring(&broken_rings[i]);
		assert_true(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(board_log_lines(), 1);
		assert_works();
		teardown(state);
	}
}

/* Memory is small here: 16 times all of it is within what a request may have, and is only mapped, never copied. */
static void a_request_may_name_the_same_memory_often(void **state)
{
	struct vring_used_elem used;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	many_large_buffers();
	ring_offer(&rings[0], 0);
	ring_notify(&rings[0]);
	board_settle(&board);
	assert_true(ring_used(&rings[0], &used));
	assert_works();
}

static void many_reasons_are_not_many_lines(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 20; round++)
		for (unsigned i = 0; i < N_BROKEN; i++)
			break_ring(&broken_rings[i]);
	assert_in_range(board_log_lines(), 1, 16);
	for (unsigned i = 0; i < board_log_lines(); i++)
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(board_log_line(i), board_log_line(k));
	assert_works();
}

/* A device's own limits: 12 buffers, 100 bytes. */
static void offer_chain(unsigned n, uint32_t len)
{
	driver_start(&driver, 0, rings, 2);
	for (uint16_t i = 0; i < n; i++)
		ring_desc(&rings[0], i, data, len, i + 1u < n ? NEXT : 0, (uint16_t)(i + 1));
	ring_offer(&rings[0], 0);
	ring_notify(&rings[0]);
	board_settle(&board);
}

static void a_device_bounds_buffers(void **state)
{
	(void)state;
	offer_chain(MAX_SEGMENTS, 1);
	assert_int_equal(target.n_last_readable, MAX_SEGMENTS);
	offer_chain(MAX_SEGMENTS + 1, 1);
	assert_broken("a chain that is too long");
	assert_int_equal(target.popped, 1);
}

static void a_device_bounds_bytes(void **state)
{
	(void)state;
	offer_chain(2, MAX_BYTES / 2);
	assert_int_equal(target.last_readable, MAX_BYTES);
	offer_chain(2, MAX_BYTES / 2 + 1);
	assert_broken("a request with too many bytes");
	assert_int_equal(target.popped, 1);
}

/* A queue that breaks takes the device with it: the other queue stands still too. */
static void the_other_queue_stands_still(void **state)
{
	(void)state;
	break_ring(&broken_rings[0]);
	ring_desc(&rings[1], 0, data, 8, WRITE, 0);
	ring_offer(&rings[1], 0);
	assert_null(virtio_queue_pop(target.device, 1));
	assert_false(virtio_queue_wait(target.device, 1));
	ring_notify(&rings[1]);
	board_settle(&board);
	assert_int_equal(rings[1].used->idx, 0);
}

/* The guest sees no more requests than descriptors, however often it offers the same. */
static void more_requests_than_descriptors(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	target.mode = TARGET_HOLD;
	ring_desc(&rings[0], 0, data, 8, WRITE, 0);
	for (unsigned i = 0; i < 3; i++) {
		for (unsigned n = 0; n < SIZE; n++)
			ring_offer(&rings[0], 0);
		ring_notify(&rings[0]);
		board_settle(&board);
	}
	assert_int_equal(target.n_held, SIZE);
	assert_broken("more requests at a time than descriptors");
	/* What it held may still be completed. */
	virtio_queue_complete(target.device, target.held[3], 8);
	virtio_queue_flush(target.device, 0);
	assert_works();
}

static void a_ring_in_itself(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, EVENT_IDX));
	driver_queue_place(&driver, 0, SIZE, data, data, data);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	driver_queue(&driver, 1, 0, &rings[1]);
	memset(board_at(&board, data, 4096), 0, 4096);
	driver_ok(&driver);
	rings[0] = rings[1];
	rings[0].index = 0;
	for (unsigned i = 0; i < 100; i++) {
		*(uint16_t *)board_at(&board, data + 2, 2) += 1;
		ring_notify(&rings[0]);
		board_settle(&board);
	}
	assert_works();
}

/* A chain that changes under the device's eyes is at worst another chain: each descriptor is read once. */
static void buffers_over_the_rings_themselves(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	ring_desc(&rings[0], 0, rings[0].desc_at, 256, NEXT, 1);
	ring_desc(&rings[0], 1, rings[0].avail_at, 36, NEXT | WRITE, 2);
	ring_desc(&rings[0], 2, rings[0].used_at, 134, WRITE, 0);
	for (unsigned i = 0; i < 20; i++) {
		ring_offer(&rings[0], 0);
		ring_notify(&rings[0]);
		board_settle(&board);
	}
	assert_works();
}

/* ---- where queues lie ---- */

static void assert_bad_place(uint64_t desc, uint64_t avail, uint64_t used, const char *why)
{
	board_log_forget();
	assert_true(driver_negotiate(&driver, 0));
	driver_queue_place(&driver, 0, SIZE, desc, avail, used);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	driver_ok(&driver);
	assert_true(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(target.activations, 0);
	if (board_log_lines() > 0)
		assert_non_null(strstr(board_log_line(0), why));
}

static void a_queue_outside_of_memory_needs_a_reset(void **state)
{
	static const uint64_t bad[] = {
		BOARD_MEMORY - 16, BOARD_MEMORY,      MEMORY_HOLE_START, PCI_ECAM_START,     0xfee00000,
		MEMORY_HOLE_END,   0x4000000000ull, 1ull << 63,        UINT64_MAX - 4095, UINT64_MAX - 15,
	};

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_bad_place(bad[i], data, data, "a ring outside of memory");
		assert_bad_place(data, bad[i], data, "a ring outside of memory");
		assert_bad_place(data, data, bad[i], "a ring outside of memory");
	}
	assert_works();
}

static void a_queue_that_is_not_aligned_needs_a_reset(void **state)
{
	(void)state;
	assert_bad_place(data + 8, data, data, "not aligned");
	assert_bad_place(data, data + 1, data, "not aligned");
	assert_bad_place(data, data, data + 2, "not aligned");
	assert_works();
}

static void the_second_queue_outside_of_memory_needs_a_reset(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	driver_queue(&driver, 0, 0, &rings[0]);
	driver_queue_place(&driver, 1, SIZE, data, BOARD_MEMORY, data);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	driver_ok(&driver);
	assert_int_equal(target.activations, 0);
	assert_broken("a ring outside of memory");
	assert_works();
}

/* The last byte decides: rings of 256, 38 and 134 bytes. */
static void a_queue_across_the_hole_below_4_gib_needs_a_reset(void **state)
{
	(void)state;
	assert_bad_place(MEMORY_HOLE_START - 240, data, data, "a ring outside of memory");
	assert_bad_place(data, MEMORY_HOLE_START - 36, data, "a ring outside of memory");
	assert_bad_place(data, data, MEMORY_HOLE_START - 132, "a ring outside of memory");
	assert_bad_place(MEMORY_HOLE_END - 16, data, data, "a ring outside of memory");
	assert_works();
}

static void a_queue_at_either_edge_of_the_hole_works(void **state)
{
	static const uint64_t edges[] = { MEMORY_HOLE_START - 4096, MEMORY_HOLE_END };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		board.next_free = edges[i];
		assert_works();
	}
}

static void a_buffer_across_the_hole_is_refused(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	ring_desc(&rings[0], 0, MEMORY_HOLE_START - 4096, 8192, 0, 0);
	ring_offer(&rings[0], 0);
	ring_notify(&rings[0]);
	board_settle(&board);
	assert_broken("a buffer outside of memory");
	assert_works();
}

/* ---- garbage ---- */

static void from_the_devices_side(struct garbage *g)
{
	unsigned queue = (unsigned)below(g, 2);

	switch (below(g, 6)) {
	case 0:
		target_drain(&target, queue);
		break;
	case 1:
		virtio_queue_wait(target.device, queue);
		break;
	case 2:
		virtio_queue_again(target.device, queue);
		break;
	case 3:
		virtio_queue_flush(target.device, queue);
		break;
	case 4:
		virtio_config_set(target.device, below(g, 12), "x", 1, true);
		break;
	case 5:
		target.activate_result = below(g, 8) ? 0 : -1;
		break;
	}
}

static void throw_garbage(garbage_kind *const *kinds, unsigned n, uint64_t seed)
{
	struct garbage g;

	garbage_begin(&g, &board, 1, 2, seed);
	garbage_throw(&g, kinds, n, garbage_steps(200000));
	/* One line a reason, whatever came. */
	assert_in_range(board_log_lines(), 0, 20);
	target.activate_result = 0;
	garbage_restore(&g);
	driver = g.driver;
	assert_works();
}

static void garbage_to_every_register(void **state)
{
	static garbage_kind *const kinds[] = { garbage_to_config, garbage_to_bar, garbage_to_registers, garbage_to_msix,
		                               garbage_to_ports };

	(void)state;
	throw_garbage(kinds, 5, 20180501);
}

static void garbage_to_the_rings(void **state)
{
	static garbage_kind *const kinds[] = { garbage_to_ring, garbage_to_ring, garbage_to_rings_as_bytes };

	(void)state;
	throw_garbage(kinds, 3, 20220701);
	assert_true(target.popped > 10000);
}

static void garbage_to_everything(void **state)
{
	static garbage_kind *const kinds[] = {
		garbage_to_config, garbage_to_bar,  garbage_to_registers,      garbage_to_msix,
		garbage_to_ports,  garbage_to_ring, garbage_to_rings_as_bytes, from_the_devices_side,
	};

	(void)state;
	throw_garbage(kinds, 8, 20261124);
	assert_true(target.popped > 1000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_LARGE(name) cmocka_unit_test_setup_teardown(name, setup_large, teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_broken_ring_needs_a_reset_and_is_told_in_one_line),
		TEST(a_request_may_name_the_same_memory_often),
		TEST(many_reasons_are_not_many_lines),
		cmocka_unit_test_setup_teardown(a_device_bounds_buffers, setup_limits, teardown),
		cmocka_unit_test_setup_teardown(a_device_bounds_bytes, setup_limits, teardown),
		TEST(the_other_queue_stands_still),
		TEST(more_requests_than_descriptors),
		TEST(a_ring_in_itself),
		TEST(buffers_over_the_rings_themselves),
		TEST(a_queue_outside_of_memory_needs_a_reset),
		TEST(a_queue_that_is_not_aligned_needs_a_reset),
		TEST(the_second_queue_outside_of_memory_needs_a_reset),
		TEST_LARGE(a_queue_across_the_hole_below_4_gib_needs_a_reset),
		TEST_LARGE(a_queue_at_either_edge_of_the_hole_works),
		TEST_LARGE(a_buffer_across_the_hole_is_refused),
		TEST(garbage_to_every_register),
		TEST(garbage_to_the_rings),
		TEST(garbage_to_everything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
