/* SPDX-License-Identifier: MIT */
/*
 * virtio_plugin_test.c - rng.so and console.so behind core/plugin and core/virtio, used by a guest's driver: end to
 * end but KVM.
 */
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/virtio_plugin.h"

#define CONSOLE_TRANSMIT 1u

static struct board board;
static struct plugged plugged;
static struct driver driver;
static struct ring rings[2];

static int setup(void **state)
{
	(void)state;
	board_create(&board, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(board_log_lines(), 0);
	plugged_end(&plugged);
	board_destroy(&board);
	return 0;
}

static void attach(void)
{
	struct error err = { .text = "" };

	assert_int_equal(plugin_device_attach(plugged.device, &board.platform, &err), 0);
	driver_find(&driver, &board, 1);
}

static void start(const char *name, const char *entry)
{
	plugged_start(&plugged, &board, name, entry);
	attach();
}

static bool is_random(const uint8_t *bytes, size_t len)
{
	static const uint8_t zeros[16];

	for (size_t at = 0; at + sizeof zeros <= len; at += sizeof zeros)
		if (memcmp(bytes + at, zeros, sizeof zeros) == 0)
			return false;
	return true;
}

/* How many bytes it drew into a fresh buffer of so many. */
static uint32_t draw(uint32_t len)
{
	uint64_t at = board_alloc(&board, len, 16);
	struct vring_used_elem used;

	ring_desc(&rings[0], 0, at, len, VRING_DESC_F_WRITE, 0);
	ring_offer(&rings[0], 0);
	ring_notify(&rings[0]);
	board_settle(&board);
	if (!ring_used(&rings[0], &used))
		return 0;
	assert_true(is_random(board_at(&board, at, len), used.len));
	return used.len;
}

static void a_driver_draws_random_bytes(void **state)
{
	(void)state;
	start("rng", "");
	assert_int_equal(guest_config_read(&board, 1, PCI_DEVICE_ID, 2), 0x1040 + VIRTIO_ID_RNG);
	driver_start(&driver, 0, rings, 1);
	assert_int_equal(draw(4096), 4096);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
	assert_int_equal(draw(16), 16);
	assert_int_equal(plugged_counter(&plugged, "bytes"), 4112);
}

static void a_rate_holds_requests_until_a_reset(void **state)
{
	(void)state;
	start("rng", "rate = \"64\";");
	driver_start(&driver, 0, rings, 1);
	assert_int_equal(draw(64), 64);
	assert_int_equal(draw(64), 0);
	driver_start(&driver, 0, rings, 1);
	assert_int_equal(rings[0].used->idx, 0);
}

/* The guest reboots: the same instance on a new machine. */
static void an_instance_outlives_its_machine(void **state)
{
	(void)state;
	start("rng", "");
	driver_start(&driver, 0, rings, 1);
	assert_int_equal(draw(64), 64);
	plugin_device_detach(plugged.device);
	/* The loop stays, as in a process whose machine restarts. */
	for (unsigned i = 0; i < 3; i++) {
		struct error err = { .text = "" };

		assert_int_equal(plugin_device_attach(plugged.device, &board.platform, &err), 0);
		driver_find(&driver, &board, 2 + i);
		driver_start(&driver, 0, rings, 1);
		assert_int_equal(draw(64), 64);
		plugin_device_detach(plugged.device);
	}
	assert_int_equal(plugged_counter(&plugged, "bytes"), 256);
}

static void a_console_writes_what_the_guest_says(void **state)
{
	static const char text[] = "two buffers, one line\n";
	char path[] = "/tmp/capsa-console-XXXXXX", entry[128], said[64] = "";
	int fd = mkstemp(path);
	uint64_t at, space;

	(void)state;
	assert_true(fd >= 0);
	snprintf(entry, sizeof entry, "backend = \"file\"; path = \"%s\"; cols = 132; rows = 50;", path);
	start("console", entry);
	assert_true(driver_offered(&driver) & 1u << VIRTIO_CONSOLE_F_SIZE);
	driver_start(&driver, 1u << VIRTIO_CONSOLE_F_SIZE, rings, 2);
	space = driver.device.address;
	assert_int_equal(guest_read(&board, space + offsetof(struct virtio_console_config, cols), 2), 132);
	assert_int_equal(guest_read(&board, space + offsetof(struct virtio_console_config, rows), 2), 50);
	at = board_alloc(&board, sizeof text, 1);
	memcpy(board_at(&board, at, sizeof text), text, sizeof text);
	ring_desc(&rings[CONSOLE_TRANSMIT], 0, at, 11, VRING_DESC_F_NEXT, 1);
	ring_desc(&rings[CONSOLE_TRANSMIT], 1, at + 11, sizeof text - 1 - 11, 0, 0);
	ring_offer(&rings[CONSOLE_TRANSMIT], 0);
	ring_notify(&rings[CONSOLE_TRANSMIT]);
	board_settle(&board);
	assert_int_equal(rings[CONSOLE_TRANSMIT].used->idx, 1);
	assert_int_equal(pread(fd, said, sizeof said, 0), sizeof text - 1);
	assert_string_equal(said, text);
	close(fd);
	unlink(path);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_driver_draws_random_bytes),
		TEST(a_rate_holds_requests_until_a_reset),
		TEST(an_instance_outlives_its_machine),
		TEST(a_console_writes_what_the_guest_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
