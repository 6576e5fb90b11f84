/* SPDX-License-Identifier: MIT */
/* plugins_test.c - garbage.h against the real rng.so and console.so: they live, and work when the garbage is over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/hostile/garbage.h"
#include "tests/unit/virtio_plugin.h"

static struct board board;
static struct plugged plugged;

static int setup(void **state)
{
	(void)state;
	board_create(&board, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	plugged_end(&plugged);
	board_destroy(&board);
	return 0;
}

/* Kills and revives it; afterwards one request of `flags` is served in the last queue. */
static void survives(const char *name, const char *entry, uint16_t n_rings, uint16_t flags, uint64_t seed)
{
	static garbage_kind *const kinds[] = { garbage_to_config, garbage_to_bar,  garbage_to_registers,
		                               garbage_to_msix,   garbage_to_ring, garbage_to_rings_as_bytes };
	struct error err = { .text = "" };
	struct vring_used_elem used;
	struct garbage g;
	struct ring *ring;

	plugged_start(&plugged, &board, name, entry);
	assert_int_equal(plugin_device_attach(plugged.device, &board.platform, &err), 0);
	garbage_begin(&g, &board, 1, n_rings, seed);
	garbage_throw(&g, kinds, sizeof kinds / sizeof kinds[0], garbage_steps(200000));
	assert_in_range(board_log_lines(), 0, 20);
	garbage_restore(&g);
	driver_start(&g.driver, 0, g.rings, n_rings);
	ring = &g.rings[n_rings - 1];
	ring_desc(ring, 0, g.data, 64, flags, 0);
	ring_offer(ring, 0);
	ring_notify(ring);
	board_settle(&board);
	assert_true(ring_used(ring, &used));
}

static void the_rng_survives(void **state)
{
	(void)state;
	survives("rng", "", 1, VRING_DESC_F_WRITE, 4);
	assert_true(plugged_counter(&plugged, "bytes") > 10000);
}

static void the_rng_with_a_rate_survives(void **state)
{
	(void)state;
	survives("rng", "rate = \"1G\";", 1, VRING_DESC_F_WRITE, 44);
}

static void the_console_survives(void **state)
{
	(void)state;
	survives("console", "backend = \"file\"; path = \"/dev/null\"; append = true;", 2, 0, 3);
	assert_true(plugged_counter(&plugged, "tx_bytes") > 10000);
}

/* As often as its machine restarts: the instance is the same. */
static void a_guest_that_reboots_is_not_told_of_again(void **state)
{
	struct error err = { .text = "" };
	struct driver driver;
	struct ring ring;

	(void)state;
	plugged_start(&plugged, &board, "rng", "");
	for (unsigned slot = 1; slot < 6; slot++) {
		assert_int_equal(plugin_device_attach(plugged.device, &board.platform, &err), 0);
		driver_find(&driver, &board, slot);
		driver_start(&driver, 0, &ring, 1);
		ring_desc(&ring, 0, BOARD_MEMORY, 8, VRING_DESC_F_WRITE, 0);
		ring_offer(&ring, 0);
		ring_notify(&ring);
		board_settle(&board);
		assert_true(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(board_log_lines(), 1);
		plugin_device_detach(plugged.device);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_rng_survives),
		TEST(the_rng_with_a_rate_survives),
		TEST(the_console_survives),
		TEST(a_guest_that_reboots_is_not_told_of_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
