/* SPDX-License-Identifier: MIT */
/*
 * threads_test.c - vCPUs that get in each other's way while loops serve the device: one starts, uses and resets it
 * again and again, the others write to its registers, BARs and MSI-X table meanwhile. Two queues on two loops, home
 * on a third.
 *
 * It proves that nothing is freed that somebody uses and nobody waits for ever; with ThreadSanitizer, also that no
 * state is changed without its lock (the rings themselves are shared with a guest and have none).
 */
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine/msix.h"
#include "tests/unit/virtio_driver.h"

#define LOOPS 2u
#define MEDDLERS 2u
#define SIZE 16

static struct board board;
static struct virtio_device *device;
static struct reactor *loops[LOOPS];
static pthread_t loop_threads[LOOPS + 1];
static sem_t running;
static atomic_uint served, activations, resets;
static atomic_bool over;

/* ---- the device ---- */

static int activate(void *ctx, uint64_t features)
{
	(void)ctx, (void)features;
	atomic_fetch_add(&activations, 1);
	return 0;
}

static void queue_notify(void *ctx, unsigned queue)
{
	struct capsa_request *request;

	(void)ctx;
	for (unsigned n = 0; n < SIZE && (request = virtio_queue_pop(device, queue)); n++) {
		virtio_request_write(request, 0, "served", 6);
		virtio_queue_complete(device, request, 6);
		atomic_fetch_add(&served, 1);
	}
}

static void config_written(void *ctx, size_t offset, const void *data, size_t len)
{
	(void)ctx;
	virtio_config_set(device, offset, data, len, true);
}

static void reset(void *ctx)
{
	(void)ctx;
	atomic_fetch_add(&resets, 1);
}

static const struct virtio_ops ops = {
	.activate = activate,
	.queue_notify = queue_notify,
	.config_written = config_written,
	.reset = reset,
};

/* ---- its loops ---- */

static void *run_loop(void *ctx)
{
	reactor_run(ctx);
	return NULL;
}

static void say_running(void *ctx)
{
	(void)ctx;
	sem_post(&running);
}

static void start_loop(struct reactor *loop, pthread_t *thread)
{
	struct reactor_call *call = reactor_call_add(loop, say_running, NULL);

	assert_non_null(call);
	reactor_call_run(call);
	assert_int_equal(pthread_create(thread, NULL, run_loop, loop), 0);
	sem_wait(&running);
	reactor_call_remove(call);
}

static void end_loop(struct reactor *loop, pthread_t thread)
{
	reactor_stop(loop);
	pthread_join(thread, NULL);
}

static int setup(void **state)
{
	static const unsigned char config[8];
	const struct capsa_setup shape = {
		.n_queues = 2,
		.queues = { { .size = SIZE }, { .size = SIZE } },
		.config_size = sizeof config,
	};
	struct virtio_setup virtio = {
		.name = "shared0", .device_id = 42,  .shape = &shape, .config = config,
		.loops = loops,    .n_loops = LOOPS, .ops = &ops,
	};
	struct error err = { .text = "" };

	(void)state;
	board_create(&board, 0);
	/* The board's own list has no lock; without it notifications take the longer way through the bus. */
	board.refuses_notifies = true;
	sem_init(&running, 0, 0);
	virtio.home = board.home;
	for (unsigned i = 0; i < LOOPS; i++) {
		assert_int_equal(reactor_new(&loops[i]), 0);
		start_loop(loops[i], &loop_threads[i]);
	}
	start_loop(board.home, &loop_threads[LOOPS]);
	atomic_store(&over, false);
	return virtio_device_create(&board.platform, &virtio, &device, &err);
}

static int teardown(void **state)
{
	(void)state;
	virtio_device_destroy(device);
	for (unsigned i = 0; i < LOOPS; i++) {
		end_loop(loops[i], loop_threads[i]);
		reactor_free(loops[i]);
	}
	end_loop(board.home, loop_threads[LOOPS]);
	board_destroy(&board);
	sem_destroy(&running);
	return 0;
}

/* ---- vCPUs ---- */

/* Everything that makes no sense while another vCPU runs the driver. */
static void *meddle(void *ctx)
{
	const struct driver *driver = ctx;
	struct driver own = *driver;
	uint64_t bar = driver_bar(&own, 0);

	for (unsigned i = 0; !atomic_load(&over); i++) {
		uint64_t at = bar + i * 4 % 0x5000;

		guest_read(&board, at, 4);
		switch (i % 8) {
		case 0:
			driver_set(&own, VIRTIO_PCI_COMMON_Q_MSIX, i % 4);
			break;
		case 1:
			guest_write(&board, own.msix_table + PCI_MSIX_ENTRY_VECTOR_CTRL, 4, i & 1);
			break;
		case 2:
			guest_config_write(&board, own.slot, own.msix + PCI_MSIX_FLAGS, 2,
			                   PCI_MSIX_FLAGS_ENABLE | (i & 64 ? PCI_MSIX_FLAGS_MASKALL : 0));
			break;
		case 3:
			guest_write(&board, own.notify.address + (i & 4), 2, 0);
			break;
		case 4:
			guest_write(&board, own.device.address, 4, i);
			break;
		case 5:
			/* Through the window in configuration space. */
			guest_config_write(&board, own.slot, own.pci_cfg + offsetof(struct virtio_pci_cap, length), 4,
			                   4);
			break;
		case 6:
			if (i % 1024 == 6) {
				driver_decode(&own, false);
				driver_decode(&own, true);
			}
			break;
		case 7:
			if (i % 4096 == 7)
				driver_set(&own, VIRTIO_PCI_COMMON_STATUS, 0);
			break;
		}
	}
	return NULL;
}

static void wait_for_reset(struct driver *driver)
{
	do
		driver_set(driver, VIRTIO_PCI_COMMON_STATUS, 0);
	while (driver_status(driver));
}

static void place(struct driver *driver, uint16_t index, struct ring *ring)
{
	uint64_t at = 0x100000 + 0x10000 * index;

	*ring = (struct ring){ .driver = driver, .index = index, .size = SIZE };
	memset(board_at(&board, at, 0x3000), 0, 0x3000);
	ring->desc = board_at(&board, at, 0x1000);
	ring->avail = board_at(&board, at + 0x1000, 0x1000);
	ring->used = board_at(&board, at + 0x2000, 0x1000);
	driver_queue_place(driver, index, SIZE, at, at + 0x1000, at + 0x2000);
	driver_set(driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
}

static void use(struct driver *driver)
{
	unsigned status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	struct ring rings[2];

	wait_for_reset(driver);
	driver_set(driver, VIRTIO_PCI_COMMON_STATUS, status);
	driver_set(driver, VIRTIO_PCI_COMMON_GFSELECT, 1);
	driver_set(driver, VIRTIO_PCI_COMMON_GF, 1u << (VIRTIO_F_VERSION_1 - 32));
	driver_set(driver, VIRTIO_PCI_COMMON_STATUS, status |= VIRTIO_CONFIG_S_FEATURES_OK);
	for (uint16_t i = 0; i < 2; i++)
		place(driver, i, &rings[i]);
	driver_set(driver, VIRTIO_PCI_COMMON_STATUS, status | VIRTIO_CONFIG_S_DRIVER_OK);
	for (unsigned n = 0; n < 50; n++)
		for (unsigned i = 0; i < 2; i++) {
			ring_desc(&rings[i], n % SIZE, 0x200000 + 4096 * i, 64, VRING_DESC_F_WRITE, 0);
			ring_offer(&rings[i], n % SIZE);
			guest_write(&board, driver->notify.address + i * driver->notify_multiplier, 2, i);
		}
}

static void vcpus_that_get_in_each_others_way(void **state)
{
	pthread_t meddlers[MEDDLERS];
	struct driver driver;
	const char *is_long = getenv("LONG");
	unsigned rounds = is_long && *is_long ? 50000 : 300;

	(void)state;
	driver_find(&driver, &board, 1);
	for (unsigned i = 0; i < MEDDLERS; i++)
		assert_int_equal(pthread_create(&meddlers[i], NULL, meddle, &driver), 0);
	while (rounds--)
		use(&driver);
	atomic_store(&over, true);
	for (unsigned i = 0; i < MEDDLERS; i++)
		pthread_join(meddlers[i], NULL);
	driver_decode(&driver, true);
	wait_for_reset(&driver);
	assert_int_equal(atomic_load(&activations), atomic_load(&resets));
	assert_true(atomic_load(&activations) > 10);
	assert_true(atomic_load(&served) > 10);
	assert_in_range(board_log_lines(), 0, 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(vcpus_that_get_in_each_others_way, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
