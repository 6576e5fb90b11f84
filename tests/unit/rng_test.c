/* SPDX-License-Identifier: MIT */
/* rng_test.c - the rng plugin as the core runs it: buffers are filled, the budget and the rate are kept. */
#include "tests/unit/plugin_fake.h"

static unsigned char memory[1 << 17];
static struct iovec buffers[3];
static struct plugin_device *device;

static void stop_loop(void)
{
	reactor_stop(fake_main);
}

/* An active rng whose requests have the given buffers. */
static void begin(int64_t rate, size_t len0, size_t len1, size_t len2)
{
	static const struct virtio_platform platform;
	const struct capsa_value value = { .type = CAPSA_TYPE_SIZE, .name = "rate", .integer = rate };
	struct error err;

	fake_plugin.info = *capsa_plugin_entry();
	assert_int_equal(plugin_device_create(&fake_plugin, "rng0", &fake_environment, &device, &err), 0);
	assert_int_equal(plugin_device_config(device, &value, 1, &err), 0);
	assert_int_equal(plugin_device_realize(device, &err), 0);
	assert_int_equal(plugin_device_start(device, &err), 0);
	assert_int_equal(plugin_device_attach(device, &platform, &err), 0);
	assert_int_equal(fake_activate(0), 0);
	memset(memory, 0, sizeof memory);
	buffers[0] = (struct iovec){ .iov_base = memory, .iov_len = len0 };
	buffers[1] = (struct iovec){ .iov_base = memory + len0, .iov_len = len1 };
	buffers[2] = (struct iovec){ .iov_base = memory + len0 + len1, .iov_len = len2 };
	fake_virtio->request.writable = buffers;
	fake_virtio->request.n_writable = len0 ? 1 + !!len1 + !!len2 : 0;
	fake_virtio->request.writable_bytes = len0 + len1 + len2;
}

/* No run of zeros that chance would give: 16 bytes are 2^-128. */
static void assert_random(const unsigned char *bytes, size_t len)
{
	static const unsigned char zeros[16];

	for (size_t at = 0; at + sizeof zeros <= len; at += sizeof zeros)
		assert_memory_not_equal(bytes + at, zeros, sizeof zeros);
}

static void count(void *ctx, const char *name, const char *help, uint64_t value)
{
	(void)help;
	assert_string_equal(name, "bytes");
	*(uint64_t *)ctx = value;
}

static void a_request_is_filled(void **state)
{
	uint64_t bytes = 0;

	(void)state;
	begin(0, 64, 0, 0);
	fake_virtio->pending = 1;
	fake_notify(0);
	assert_int_equal(fake_virtio->completed, 1);
	assert_int_equal(fake_virtio->written, 64);
	assert_random(memory, 64);
	assert_int_equal(memory[64], 0);
	plugin_device_counters(device, count, &bytes);
	assert_int_equal(bytes, 64);
	fake_end(device);
}

static void all_buffers_of_a_request_are_filled(void **state)
{
	(void)state;
	begin(0, 16, 1008, 4096);
	fake_virtio->pending = 1;
	fake_notify(0);
	assert_int_equal(fake_virtio->written, 16 + 1008 + 4096);
	assert_random(memory, 16 + 1008 + 4096);
	fake_end(device);
}

static void a_huge_request_is_filled_in_part(void **state)
{
	(void)state;
	begin(0, 1000, sizeof memory - 1000, 0);
	fake_virtio->pending = 1;
	fake_notify(0);
	assert_int_equal(fake_virtio->written, 65536);
	assert_random(memory, 65536);
	assert_int_equal(memory[65536], 0);
	fake_end(device);
}

static void a_request_without_room_is_completed_empty(void **state)
{
	(void)state;
	begin(0, 0, 0, 0);
	fake_virtio->pending = 1;
	fake_notify(0);
	assert_int_equal(fake_virtio->completed, 1);
	assert_int_equal(fake_virtio->written, 0);
	fake_end(device);
}

static void many_requests_are_served_within_the_budget(void **state)
{
	(void)state;
	begin(0, 32, 0, 0);
	fake_virtio->pending = 100;
	fake_notify(0);
	assert_int_equal(fake_virtio->completed, 64);
	assert_int_equal(fake_virtio->again, 1);
	fake_notify(0);
	assert_int_equal(fake_virtio->completed, 100);
	assert_int_equal(fake_virtio->again, 1);
	fake_end(device);
}

static void the_rate_leaves_requests_in_the_queue_until_the_next_second(void **state)
{
	(void)state;
	begin(100, 64, 0, 0);
	fake_virtio->on_again = stop_loop;
	fake_virtio->pending = 3;
	fake_notify(0);
	assert_int_equal(fake_virtio->completed, 2);
	assert_int_equal(fake_virtio->written, 36);
	assert_int_equal(fake_virtio->pending, 1);
	reactor_run(fake_main); /* the timer asks for another turn */
	assert_int_equal(fake_virtio->again, 1);
	fake_notify(0);
	assert_int_equal(fake_virtio->completed, 3);
	assert_int_equal(fake_virtio->written, 64);
	fake_end(device);
}

static void reset_with_the_timer_running_and_requests_left_is_survived(void **state)
{
	(void)state;
	begin(100, 64, 0, 0);
	fake_virtio->on_again = stop_loop;
	fake_virtio->pending = 3;
	fake_notify(0);
	assert_int_equal(fake_virtio->pending, 1);
	fake_reset();
	assert_int_equal(fake_activate(0), 0);
	fake_notify(0);
	if (fake_virtio->pending) { /* as a rule: a reset brings no new second */
		reactor_run(fake_main);
		fake_notify(0);
	}
	assert_int_equal(fake_virtio->completed, 3);
	fake_end(device);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_filled),
		TEST(all_buffers_of_a_request_are_filled),
		TEST(a_huge_request_is_filled_in_part),
		TEST(a_request_without_room_is_completed_empty),
		TEST(many_requests_are_served_within_the_budget),
		TEST(the_rate_leaves_requests_in_the_queue_until_the_next_second),
		TEST(reset_with_the_timer_running_and_requests_left_is_survived),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
