/* SPDX-License-Identifier: MIT */
/*
 * virtio_queue_test.c - split virtqueues as a well-behaved driver uses them (virtio 1.2, 2.7): chains, indirect
 * tables, used entries, and who notifies whom when. What a hostile driver does: tests/hostile/driver_test.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/virtio_target.h"

#define EVENT_IDX (1ull << VIRTIO_RING_F_EVENT_IDX)
#define INDIRECT (1ull << VIRTIO_RING_F_INDIRECT_DESC)
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define SIZE 16

static struct board board;
static struct target target;
static struct driver driver;
static struct ring rings[2];
static uint64_t data; /* a page of guest memory for buffers */

static int setup(void **state)
{
	const struct capsa_setup shape = target_shape();

	(void)state;
	board_create(&board, 0);
	target_add(&target, &board, &shape);
	driver_find(&driver, &board, 1);
	data = board_alloc(&board, 4096, 4096);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(board_log_lines(), 0);
	target_remove(&target);
	board_destroy(&board);
	return 0;
}

/* A request of one writable buffer at descriptor `at`. */
static void offer(struct ring *ring, uint16_t at, uint32_t len)
{
	ring_desc(ring, at, data, len, WRITE, 0);
	ring_offer(ring, at);
}

static void notify_and_settle(struct ring *ring)
{
	ring_notify(ring);
	board_settle(&board);
}

static unsigned used_count(struct ring *ring)
{
	struct vring_used_elem element;
	unsigned n = 0;

	while (ring_used(ring, &element))
		n++;
	return n;
}

/* ---- requests ---- */

static void a_chain_goes_to_the_device_and_comes_back(void **state)
{
	struct vring_used_elem used;
	char *bytes = board_at(&board, data, 4096);

	(void)state;
	driver_start(&driver, 0, rings, 2);
	memcpy(bytes, "a chain ", 8);
	memcpy(bytes + 100, "of two", 6);
	ring_desc(&rings[0], 5, data, 8, NEXT, 2);
	ring_desc(&rings[0], 2, data + 100, 6, NEXT, 9);
	ring_desc(&rings[0], 9, data + 200, 3, NEXT | WRITE, 0);
	ring_desc(&rings[0], 0, data + 300, 100, WRITE, 0);
	ring_offer(&rings[0], 5);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.n_last_readable, 2);
	assert_int_equal(target.n_last_writable, 2);
	assert_true(ring_used(&rings[0], &used));
	assert_int_equal(used.id, 5);
	assert_int_equal(used.len, 14);
	assert_memory_equal(bytes + 200, "a c", 3);
	assert_memory_equal(bytes + 300, "hain of two", 11);
	assert_int_equal(bytes[311], 0);
	assert_false(ring_used(&rings[0], &used));
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
}

static void a_buffer_may_end_with_memory(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	ring_desc(&rings[0], 0, BOARD_MEMORY - 512, 512, NEXT | WRITE, 1);
	ring_desc(&rings[0], 1, 0, 1, WRITE, 0);
	ring_offer(&rings[0], 0);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.last_writable, 513);
	assert_int_equal(used_count(&rings[0]), 1);
}

static void empty_buffers_are_passed_over(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	ring_desc(&rings[0], 0, data, 0, NEXT, 1);
	ring_desc(&rings[0], 1, data, 4, NEXT, 2);
	ring_desc(&rings[0], 2, UINT64_MAX, 0, NEXT | WRITE, 3);
	ring_desc(&rings[0], 3, data, 0, WRITE, 0);
	ring_offer(&rings[0], 0);
	ring_offer(&rings[0], 3);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.popped, 2);
	assert_int_equal(target.n_last_readable, 0);
	assert_int_equal(target.n_last_writable, 0);
	assert_int_equal(used_count(&rings[0]), 2);
}

static void a_chain_may_be_as_long_as_the_queue(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	for (uint16_t i = 0; i < SIZE; i++)
		ring_desc(&rings[0], i, data + i, 1, WRITE | (i + 1 < SIZE ? NEXT : 0), (uint16_t)(i + 1));
	ring_offer(&rings[0], 0);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.n_last_writable, SIZE);
	assert_int_equal(used_count(&rings[0]), 1);
}

/* The 16-bit indices wrap at another place than the ring does. */
static void more_requests_than_an_index_can_count(void **state)
{
	unsigned used = 0;

	(void)state;
	driver_start(&driver, EVENT_IDX, rings, 2);
	for (unsigned i = 0; i < 70000; i += SIZE) {
		uint16_t since = rings[0].avail->idx;

		for (uint16_t at = 0; at < SIZE; at++)
			offer(&rings[0], at, 1);
		*ring_used_event(&rings[0]) = (uint16_t)(rings[0].seen + SIZE - 1);
		assert_true(ring_wants_notify(&rings[0], since));
		notify_and_settle(&rings[0]);
		used += used_count(&rings[0]);
		assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
	}
	assert_int_equal(used, 70000);
}

static void requests_complete_in_any_order(void **state)
{
	struct vring_used_elem used;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	target.mode = TARGET_HOLD;
	for (uint16_t at = 0; at < 3; at++)
		offer(&rings[0], at, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.n_held, 3);
	assert_int_equal(used_count(&rings[0]), 0);
	virtio_queue_complete(target.device, target.held[2], 8);
	virtio_queue_complete(target.device, target.held[0], 1000);
	/* Completed outside of a handler: they appear together, in the loop's next turn. */
	assert_int_equal(rings[0].used->idx, 0);
	board_settle(&board);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
	assert_true(ring_used(&rings[0], &used) && used.id == 2 && used.len == 8);
	/* No more than there was room for, whatever the device says. */
	assert_true(ring_used(&rings[0], &used) && used.id == 0 && used.len == 8);
	virtio_queue_complete(target.device, target.held[1], 0);
	virtio_queue_flush(target.device, 0);
	assert_true(ring_used(&rings[0], &used) && used.id == 1 && used.len == 0);
}

static void request_bytes_are_found_at_any_offset(void **state)
{
	char *bytes = board_at(&board, data, 4096), got[16] = "";
	struct capsa_request *request;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	target.mode = TARGET_HOLD;
	memcpy(bytes, "abcdefgh", 8);
	for (uint16_t i = 0; i < 4; i++)
		ring_desc(&rings[0], i, data + 2 * i, 2, NEXT, (uint16_t)(i + 1));
	ring_desc(&rings[0], 4, data + 100, 3, NEXT | WRITE, 5);
	ring_desc(&rings[0], 5, data + 200, 3, WRITE, 0);
	ring_offer(&rings[0], 0);
	notify_and_settle(&rings[0]);
	request = target.held[0];
	assert_int_equal(virtio_request_read(request, 3, got, 4), 4);
	assert_string_equal(got, "defg");
	assert_int_equal(virtio_request_read(request, 7, got, 16), 1);
	assert_int_equal(virtio_request_read(request, 8, got, 16), 0);
	assert_int_equal(virtio_request_read(request, SIZE_MAX, got, 16), 0);
	assert_int_equal(virtio_request_write(request, 2, "XYZ", 3), 3);
	assert_int_equal(bytes[102], 'X');
	assert_memory_equal(bytes + 200, "YZ", 3);
	assert_int_equal(virtio_request_write(request, 5, "1234", 4), 1);
	assert_int_equal(bytes[202], '1');
	assert_int_equal(bytes[203], 0);
}

static void what_is_given_back_is_popped_again(void **state)
{
	struct capsa_request *first, *second;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	target.mode = TARGET_HOLD;
	offer(&rings[0], 7, 70);
	offer(&rings[0], 8, 80);
	notify_and_settle(&rings[0]);
	virtio_queue_give_back(target.device, target.held[1]);
	virtio_queue_give_back(target.device, target.held[0]);
	first = virtio_queue_pop(target.device, 0);
	second = virtio_queue_pop(target.device, 0);
	assert_int_equal(first->writable_bytes, 70);
	assert_int_equal(second->writable_bytes, 80);
	assert_null(virtio_queue_pop(target.device, 0));
}

/* ---- indirect tables ---- */

static struct vring_desc *indirect_table(uint64_t *at, unsigned n)
{
	*at = board_alloc(&board, n * sizeof(struct vring_desc), sizeof(struct vring_desc));
	return board_at(&board, *at, n * sizeof(struct vring_desc));
}

static void an_indirect_table_is_a_chain(void **state)
{
	struct vring_used_elem used;
	uint64_t at;
	struct vring_desc *table;

	(void)state;
	driver_start(&driver, INDIRECT, rings, 2);
	table = indirect_table(&at, 3);
	memcpy(board_at(&board, data, 4), "abcd", 4);
	table[0] = (struct vring_desc){ .addr = data, .len = 4, .flags = NEXT, .next = 2 };
	table[2] = (struct vring_desc){ .addr = data + 64, .len = 64, .flags = WRITE };
	ring_desc(&rings[0], 3, at, 3 * sizeof *table, VRING_DESC_F_INDIRECT, 0);
	ring_offer(&rings[0], 3);
	notify_and_settle(&rings[0]);
	assert_true(ring_used(&rings[0], &used) && used.id == 3 && used.len == 4);
	assert_memory_equal(board_at(&board, data + 64, 4), "abcd", 4);
}

static void an_indirect_table_may_end_a_chain(void **state)
{
	uint64_t at;
	struct vring_desc *table;

	(void)state;
	driver_start(&driver, INDIRECT, rings, 2);
	table = indirect_table(&at, 1);
	table[0] = (struct vring_desc){ .addr = data + 64, .len = 64, .flags = WRITE };
	ring_desc(&rings[0], 0, data, 4, NEXT, 1);
	ring_desc(&rings[0], 1, at, sizeof *table, VRING_DESC_F_INDIRECT, 0);
	ring_offer(&rings[0], 0);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.n_last_readable, 1);
	assert_int_equal(target.n_last_writable, 1);
	assert_int_equal(used_count(&rings[0]), 1);
}

/* 2.7.5.3.1: its other flags are reserved; the table itself is read, whatever WRITE says. */
static void the_write_flag_of_an_indirect_descriptor_means_nothing(void **state)
{
	uint64_t at;
	struct vring_desc *table;

	(void)state;
	driver_start(&driver, INDIRECT, rings, 2);
	table = indirect_table(&at, 1);
	table[0] = (struct vring_desc){ .addr = data, .len = 64 };
	ring_desc(&rings[0], 0, at, sizeof *table, VRING_DESC_F_INDIRECT | WRITE, 0);
	ring_offer(&rings[0], 0);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.n_last_readable, 1);
	assert_int_equal(used_count(&rings[0]), 1);
}

/* ---- interrupts ---- */

static void completions_of_one_handler_are_one_interrupt(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	for (uint16_t at = 0; at < SIZE; at++)
		offer(&rings[0], at, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(used_count(&rings[0]), SIZE);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(1)), 0);
}

static void no_interrupt_where_the_driver_wants_none(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	rings[0].avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	offer(&rings[0], 0, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(used_count(&rings[0]), 1);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 0);
	rings[0].avail->flags = 0;
	offer(&rings[0], 0, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
}

static void with_event_idx_an_interrupt_comes_at_the_entry_asked_for(void **state)
{
	(void)state;
	driver_start(&driver, EVENT_IDX, rings, 2);
	*ring_used_event(&rings[0]) = 2;                    /* the third */
	rings[0].avail->flags = VRING_AVAIL_F_NO_INTERRUPT; /* means nothing now */
	for (uint16_t at = 0; at < 5; at++) {
		offer(&rings[0], at, 8);
		notify_and_settle(&rings[0]);
		assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), at == 2);
	}
}

static void a_vector_that_is_none_interrupts_nobody(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_SELECT, 0);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_MSIX, 3);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_MSIX), VIRTIO_MSI_NO_VECTOR);
	offer(&rings[0], 0, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(used_count(&rings[0]), 1);
	for (unsigned v = 0; v < 3; v++)
		assert_int_equal(driver_interrupts(&driver, v), 0);
}

static void queues_may_share_a_vector(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_SELECT, 0);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_MSIX, DRIVER_QUEUE_VECTOR(1));
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_MSIX), DRIVER_QUEUE_VECTOR(1));
	offer(&rings[0], 0, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(1)), 1);
}

/* ---- notifications ---- */

static void what_was_available_before_driver_ok_is_served(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	driver_queue(&driver, 0, 0, &rings[0]);
	offer(&rings[0], 0, 8);
	driver_ok(&driver);
	assert_int_equal(used_count(&rings[0]), 1);
}

static void an_empty_queue_asks_for_a_notification(void **state)
{
	static const uint64_t features[] = { 0, EVENT_IDX };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		driver_start(&driver, features[i], rings, 2);
		for (uint16_t at = 0; at < 3; at++) {
			uint16_t since = rings[0].avail->idx;

			offer(&rings[0], at, 8);
			assert_true(ring_wants_notify(&rings[0], since));
			notify_and_settle(&rings[0]);
			assert_int_equal(used_count(&rings[0]), 1);
		}
	}
}

static void a_queue_that_is_being_served_asks_for_none(void **state)
{
	static const uint64_t features[] = { 0, EVENT_IDX };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint16_t since;

		driver_start(&driver, features[i], rings, 2);
		offer(&rings[0], 0, 8);
		offer(&rings[0], 1, 8);
		assert_non_null(virtio_queue_pop(target.device, 0));
		since = rings[0].avail->idx;
		offer(&rings[0], 2, 8);
		assert_false(ring_wants_notify(&rings[0], since));
		driver_reset(&driver);
	}
}

static void a_silent_queue_asks_only_when_its_device_waits(void **state)
{
	static const uint64_t features[] = { 0, EVENT_IDX };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		unsigned before;

		driver_start(&driver, features[i], rings, 2);
		before = target.notifies[1];
		target.mode = TARGET_IGNORE;
		offer(&rings[1], 0, 8);
		if (!features[i])
			assert_false(ring_wants_notify(&rings[1], 0));
		notify_and_settle(&rings[1]);
		assert_int_equal(target.notifies[1], before);
		/* There is one: the device need not wait. */
		assert_true(virtio_queue_wait(target.device, 1));
		target.mode = TARGET_ECHO;
		target_drain(&target, 1);
		virtio_queue_flush(target.device, 1);
		assert_false(virtio_queue_wait(target.device, 1));
		offer(&rings[1], 1, 8);
		assert_true(ring_wants_notify(&rings[1], 1));
		notify_and_settle(&rings[1]);
		assert_int_equal(target.notifies[1], before + 1);
		assert_int_equal(used_count(&rings[1]), 2);
		/* One wait, one notification. */
		offer(&rings[1], 2, 8);
		notify_and_settle(&rings[1]);
		assert_int_equal(target.notifies[1], before + 1);
	}
}

static void a_device_may_ask_to_be_called_again(void **state)
{
	unsigned before;

	(void)state;
	target.mode = TARGET_IGNORE;
	driver_start(&driver, 0, rings, 2);
	offer(&rings[0], 0, 8);
	notify_and_settle(&rings[0]);
	before = target.notifies[0];
	target.mode = TARGET_ECHO;
	virtio_queue_again(target.device, 0);
	board_settle(&board);
	assert_int_equal(target.notifies[0], before + 1);
	assert_int_equal(used_count(&rings[0]), 1);
}

/* ---- setting up ---- */

static void queue_sizes_are_powers_of_two_up_to_the_devices(void **state)
{
	static const uint16_t bad[] = { 0, 3, 15, 17, 32, 0x8000, 0xffff };

	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_SELECT, 0);
	for (uint16_t size = 1; size <= SIZE; size = (uint16_t)(size * 2)) {
		driver_set(&driver, VIRTIO_PCI_COMMON_Q_SIZE, size);
		assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_SIZE), size);
	}
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_SIZE, 4);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		driver_set(&driver, VIRTIO_PCI_COMMON_Q_SIZE, bad[i]);
		assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_SIZE), 4);
	}
}

static void a_smaller_queue_works(void **state)
{
	(void)state;
	for (uint16_t size = 1; size < SIZE; size = (uint16_t)(size * 2)) {
		assert_true(driver_negotiate(&driver, 0));
		driver_queue(&driver, 0, size, &rings[0]);
		driver_ok(&driver);
		for (unsigned round = 0; round < 3; round++) {
			for (uint16_t at = 0; at < size; at++)
				offer(&rings[0], at, 8);
			notify_and_settle(&rings[0]);
			assert_int_equal(used_count(&rings[0]), size);
		}
	}
}

static void an_enabled_queue_cannot_be_changed(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	driver_queue(&driver, 0, 8, &rings[0]);
	driver_queue_place(&driver, 0, 2, 0x1000, 0x2000, 0x3000);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_ENABLE, 0);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_ENABLE), 1);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_SIZE), 8);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_DESCLO), rings[0].desc_at);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_AVAILLO), rings[0].avail_at);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_USEDLO), rings[0].used_at);
}

static void queues_that_are_none_read_as_zeros(void **state)
{
	(void)state;
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_NUMQ), 2);
	driver_queue_place(&driver, 2, 16, 0x1000, 0x2000, 0x3000);
	driver_set(&driver, VIRTIO_PCI_COMMON_Q_ENABLE, 1);
	for (unsigned reg = VIRTIO_PCI_COMMON_Q_SIZE; reg <= VIRTIO_PCI_COMMON_Q_NOFF; reg += 2)
		assert_int_equal(driver_get(&driver, reg), 0);
}

static void a_queue_that_was_never_enabled_is_left_alone(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&driver, 0));
	driver_queue(&driver, 1, 0, &rings[1]);
	driver_ok(&driver);
	assert_int_equal(target.activations, 1);
	rings[0] = (struct ring){ .driver = &driver, .index = 0 };
	notify_and_settle(&rings[0]);
	assert_int_equal(target.notifies[0], 0);
	assert_null(virtio_queue_pop(target.device, 0));
	assert_false(virtio_queue_wait(target.device, 0));
	virtio_queue_again(target.device, 0);
	virtio_queue_flush(target.device, 0);
	assert_null(virtio_queue_pop(target.device, CAPSA_MAX_QUEUES));
}

/* Requests that the device held at a reset are void once reset() has returned; the rings begin anew. */
static void a_reset_forgets_requests_and_indices(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	target.mode = TARGET_HOLD;
	for (uint16_t at = 0; at < 5; at++)
		offer(&rings[0], at, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(target.n_held, 5);
	driver_reset(&driver);
	assert_int_equal(target.last_at_reset, 5 * 8);
	assert_null(virtio_queue_pop(target.device, 0));
	target.mode = TARGET_ECHO;
	driver_start(&driver, 0, rings, 2);
	offer(&rings[0], 3, 8);
	notify_and_settle(&rings[0]);
	assert_int_equal(rings[0].used->idx, 1);
	assert_int_equal(rings[0].used->ring[0].id, 3);
}

/* ---- how a queue stands ---- */

static void it_can_be_told_who_waits_for_whom(void **state)
{
	struct virtio_queue_state now;

	(void)state;
	assert_false(virtio_queue_look(target.device, 0, &now)); /* no driver yet */
	driver_start(&driver, EVENT_IDX, rings, 2);
	target.mode = TARGET_HOLD;
	for (uint16_t at = 0; at < 3; at++)
		offer(&rings[0], at, 8);
	assert_true(virtio_queue_look(target.device, 0, &now));
	assert_int_equal(now.size, SIZE);
	assert_int_equal(now.waiting, 3);
	assert_int_equal(now.in_flight, 0);
	assert_int_equal(now.notifications, 0);
	notify_and_settle(&rings[0]);
	assert_true(virtio_queue_look(target.device, 0, &now));
	assert_int_equal(now.waiting, 0);
	assert_int_equal(now.in_flight, 3);
	assert_int_equal(now.notifications, 1);
	assert_int_equal(now.interrupts, 0);
	virtio_queue_complete(target.device, target.held[0], 8);
	virtio_queue_complete(target.device, target.held[1], 8);
	virtio_queue_flush(target.device, 0);
	assert_true(virtio_queue_look(target.device, 0, &now));
	assert_int_equal(now.in_flight, 1);
	assert_int_equal(now.unseen, 2);
	assert_int_equal(now.interrupts, 1);
	*ring_used_event(&rings[0]) = 2; /* the driver has seen them */
	assert_true(virtio_queue_look(target.device, 0, &now));
	assert_int_equal(now.unseen, 0);
	driver_reset(&driver);
	assert_false(virtio_queue_look(target.device, 0, &now));
	assert_false(virtio_queue_look(target.device, CAPSA_MAX_QUEUES, &now));
}

static void an_index_that_jumps_is_nobody_who_waits(void **state)
{
	struct virtio_queue_state now;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	rings[0].avail->idx = SIZE + 1;
	assert_true(virtio_queue_look(target.device, 0, &now));
	assert_int_equal(now.waiting, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_chain_goes_to_the_device_and_comes_back),
		TEST(a_buffer_may_end_with_memory),
		TEST(empty_buffers_are_passed_over),
		TEST(a_chain_may_be_as_long_as_the_queue),
		TEST(more_requests_than_an_index_can_count),
		TEST(requests_complete_in_any_order),
		TEST(request_bytes_are_found_at_any_offset),
		TEST(what_is_given_back_is_popped_again),
		TEST(an_indirect_table_is_a_chain),
		TEST(an_indirect_table_may_end_a_chain),
		TEST(the_write_flag_of_an_indirect_descriptor_means_nothing),
		TEST(completions_of_one_handler_are_one_interrupt),
		TEST(no_interrupt_where_the_driver_wants_none),
		TEST(with_event_idx_an_interrupt_comes_at_the_entry_asked_for),
		TEST(a_vector_that_is_none_interrupts_nobody),
		TEST(queues_may_share_a_vector),
		TEST(what_was_available_before_driver_ok_is_served),
		TEST(an_empty_queue_asks_for_a_notification),
		TEST(a_queue_that_is_being_served_asks_for_none),
		TEST(a_silent_queue_asks_only_when_its_device_waits),
		TEST(a_device_may_ask_to_be_called_again),
		TEST(queue_sizes_are_powers_of_two_up_to_the_devices),
		TEST(a_smaller_queue_works),
		TEST(an_enabled_queue_cannot_be_changed),
		TEST(queues_that_are_none_read_as_zeros),
		TEST(a_queue_that_was_never_enabled_is_left_alone),
		TEST(a_reset_forgets_requests_and_indices),
		TEST(it_can_be_told_who_waits_for_whom),
		TEST(an_index_that_jumps_is_nobody_who_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
