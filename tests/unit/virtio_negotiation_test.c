/* SPDX-License-Identifier: MIT */
/* virtio_negotiation_test.c - features, the device status, reset (virtio 1.2, 2.1, 2.2, 3.1), as a driver sees them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/virtio_target.h"

#define VERSION_1 (1ull << VIRTIO_F_VERSION_1)
#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define DEVICE_BIT (1ull << TARGET_FEATURE)

static struct board board;
static struct target target;
static struct driver driver;

static int setup(void **state)
{
	const struct capsa_setup shape = target_shape();

	(void)state;
	board_create(&board, 0);
	target_add(&target, &board, &shape);
	driver_find(&driver, &board, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	target_remove(&target);
	board_destroy(&board);
	return 0;
}

static void write_status(uint8_t value)
{
	driver_set(&driver, VIRTIO_PCI_COMMON_STATUS, value);
}

static void write_features(unsigned half, uint32_t value)
{
	driver_set(&driver, VIRTIO_PCI_COMMON_GFSELECT, half);
	driver_set(&driver, VIRTIO_PCI_COMMON_GF, value);
}

static void the_transport_adds_its_features_to_the_devices(void **state)
{
	(void)state;
	assert_true(driver_offered(&driver) == (VERSION_1 | EVENT_IDX | INDIRECT | DEVICE_BIT));
	driver_set(&driver, VIRTIO_PCI_COMMON_DFSELECT, 2);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_DF), 0);
}

static void the_device_learns_of_its_own_features_only(void **state)
{
	struct ring rings[2];

	(void)state;
	driver_start(&driver, DEVICE_BIT | EVENT_IDX, rings, 2);
	assert_int_equal(target.activations, 1);
	assert_true(target.features == DEVICE_BIT);
}

static void features_that_were_not_offered_are_refused(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		bool offered = driver_offered(&driver) >> bit & 1;

		assert_int_equal(driver_negotiate(&driver, 1ull << bit), offered);
		driver_ok(&driver);
		assert_int_equal(!!(driver_status(&driver) & VIRTIO_CONFIG_S_DRIVER_OK), offered);
	}
}

static void a_legacy_driver_is_refused(void **state)
{
	(void)state;
	driver_reset(&driver);
	write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	write_features(0, DEVICE_BIT);
	write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_int_equal(driver_status(&driver), VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
}

static void refused_features_may_be_asked_for_again(void **state)
{
	(void)state;
	assert_false(driver_negotiate(&driver, 1ull << 60));
	write_features(1, VERSION_1 >> 32);
	write_status(driver_status(&driver) | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(driver_status(&driver) & VIRTIO_CONFIG_S_FEATURES_OK);
}

static void features_are_settled_by_features_ok(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	write_features(0, ~0u);
	write_features(1, ~0u);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_GF), VERSION_1 >> 32);
	driver_ok(&driver);
	assert_true(target.features == 0);
}

static void a_third_half_of_the_features_holds_nothing(void **state)
{
	(void)state;
	driver_reset(&driver);
	write_features(0, 1);
	write_features(2, ~0u);
	write_features(UINT32_MAX, ~0u);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_GF), 0);
	driver_set(&driver, VIRTIO_PCI_COMMON_GFSELECT, 0);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_GF), 1);
}

static void driver_ok_counts_after_features_ok_only(void **state)
{
	(void)state;
	write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	board_settle(&board);
	assert_int_equal(driver_status(&driver), VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	assert_int_equal(target.activations, 0);
}

static void status_bits_are_only_added(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(driver_status(&driver), VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
	                                                 VIRTIO_CONFIG_S_FEATURES_OK);
	write_status(VIRTIO_CONFIG_S_FAILED);
	assert_true(driver_status(&driver) & VIRTIO_CONFIG_S_FAILED);
}

static void the_driver_cannot_say_needs_reset(void **state)
{
	(void)state;
	write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_NEEDS_RESET | 0x30);
	assert_int_equal(driver_status(&driver), VIRTIO_CONFIG_S_ACKNOWLEDGE);
}

static void driver_ok_twice_activates_once(void **state)
{
	struct ring rings[2];

	(void)state;
	driver_start(&driver, 0, rings, 2);
	driver_ok(&driver);
	assert_int_equal(target.activations, 1);
}

/* ---- reset ---- */

static void bring_to(uint8_t bits)
{
	struct ring rings[2];

	driver_reset(&driver);
	if (bits & VIRTIO_CONFIG_S_DRIVER_OK)
		driver_start(&driver, 0, rings, 2);
	else if (bits & VIRTIO_CONFIG_S_FEATURES_OK)
		assert_true(driver_negotiate(&driver, 0));
	else
		write_status(bits);
	if (bits & VIRTIO_CONFIG_S_NEEDS_RESET)
		virtio_device_broken(target.device, "a test");
	if (bits & VIRTIO_CONFIG_S_FAILED)
		write_status(driver_status(&driver) | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(driver_status(&driver) & bits, bits);
}

static void a_reset_in_any_state_leads_to_the_first(void **state)
{
	static const uint8_t states[] = {
		VIRTIO_CONFIG_S_ACKNOWLEDGE,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER,
		VIRTIO_CONFIG_S_FAILED,
		VIRTIO_CONFIG_S_FEATURES_OK,
		VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK,
		VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET,
		VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED,
	};
	unsigned activations = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof states; i++) {
		struct ring rings[2];

		bring_to(states[i]);
		activations += !!(states[i] & VIRTIO_CONFIG_S_DRIVER_OK);
		driver_reset(&driver);
		/* The device hears of a reset when it had been activated, and only then. */
		assert_int_equal(target.activations, activations);
		assert_int_equal(target.resets, activations);
		driver_start(&driver, DEVICE_BIT, rings, 2);
		assert_int_equal(target.activations, ++activations);
		assert_int_equal(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	}
}

static void a_reset_clears_every_register(void **state)
{
	struct ring rings[2];

	(void)state;
	driver_start(&driver, DEVICE_BIT, rings, 2);
	driver_set(&driver, VIRTIO_PCI_COMMON_DFSELECT, 1);
	driver_set(&driver, VIRTIO_PCI_COMMON_GFSELECT, 1);
	driver_reset(&driver);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_DFSELECT), 0);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_GFSELECT), 0);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_GF), 0);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_MSIX), VIRTIO_MSI_NO_VECTOR);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_SELECT), 0);
	for (unsigned queue = 0; queue < 2; queue++) {
		driver_set(&driver, VIRTIO_PCI_COMMON_Q_SELECT, queue);
		assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_SIZE), 16);
		assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_MSIX), VIRTIO_MSI_NO_VECTOR);
		assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_ENABLE), 0);
		for (unsigned reg = VIRTIO_PCI_COMMON_Q_DESCLO; reg <= VIRTIO_PCI_COMMON_Q_USEDHI; reg += 4)
			assert_int_equal(driver_get(&driver, reg), 0);
	}
}

static void until_a_reset_is_carried_out_the_driver_waits_for_it(void **state)
{
	struct ring rings[2];
	uint8_t before;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	before = driver_status(&driver);
	write_status(0);
	assert_int_equal(driver_status(&driver), before);
	write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(driver_status(&driver), before);
	board_settle(&board);
	assert_int_equal(driver_status(&driver), 0);
	assert_int_equal(target.resets, 1);
}

/* The status reads as 0 already, so a driver goes on at once: nothing of what it writes then may be lost. */
static void a_reset_of_a_device_that_is_not_in_use_is_done_at_once(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		write_status(0);
		assert_int_equal(driver_status(&driver), 0);
		write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
		write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
		write_features(0, DEVICE_BIT);
		write_features(1, VERSION_1 >> 32);
		write_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
		board_settle(&board);
		assert_int_equal(driver_status(&driver), VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		                                                 VIRTIO_CONFIG_S_FEATURES_OK);
	}
	driver_ok(&driver);
	assert_true(target.features == DEVICE_BIT);
}

static void a_reset_right_behind_driver_ok_activates_nothing(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	write_status(driver_status(&driver) | VIRTIO_CONFIG_S_DRIVER_OK);
	write_status(0);
	board_settle(&board);
	assert_int_equal(driver_status(&driver), 0);
	assert_int_equal(target.activations, 0);
	assert_int_equal(target.resets, 0);
}

static void a_device_that_refuses_to_start_needs_a_reset(void **state)
{
	struct ring rings[2];

	(void)state;
	target.activate_result = -1;
	driver_start(&driver, 0, rings, 2);
	assert_true(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(driver_interrupts(&driver, DRIVER_CONFIG_VECTOR), 1);
	ring_notify(&rings[0]);
	board_settle(&board);
	assert_int_equal(target.notifies[0], 0);
	target.activate_result = 0;
	driver_start(&driver, 0, rings, 2);
	assert_int_equal(driver_status(&driver) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	assert_true(target.notifies[0] > 0);
}

static void a_machine_may_end_in_any_state(void **state)
{
	struct ring rings[2];
	struct capsa_setup shape = target_shape();

	(void)state;
	driver_start(&driver, 0, rings, 2);
	target_remove(&target);
	assert_int_equal(target.resets, 1);
	target_add(&target, &board, &shape);
	driver_find(&driver, &board, 2);
	assert_true(driver_negotiate(&driver, 0));
	write_status(driver_status(&driver) | VIRTIO_CONFIG_S_DRIVER_OK); /* and the loop never hears of it */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_transport_adds_its_features_to_the_devices),
		TEST(the_device_learns_of_its_own_features_only),
		TEST(features_that_were_not_offered_are_refused),
		TEST(a_legacy_driver_is_refused),
		TEST(refused_features_may_be_asked_for_again),
		TEST(features_are_settled_by_features_ok),
		TEST(a_third_half_of_the_features_holds_nothing),
		TEST(driver_ok_counts_after_features_ok_only),
		TEST(status_bits_are_only_added),
		TEST(the_driver_cannot_say_needs_reset),
		TEST(driver_ok_twice_activates_once),
		TEST(a_reset_in_any_state_leads_to_the_first),
		TEST(a_reset_clears_every_register),
		TEST(until_a_reset_is_carried_out_the_driver_waits_for_it),
		TEST(a_reset_of_a_device_that_is_not_in_use_is_done_at_once),
		TEST(a_reset_right_behind_driver_ok_activates_nothing),
		TEST(a_device_that_refuses_to_start_needs_a_reset),
		TEST(a_machine_may_end_in_any_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
