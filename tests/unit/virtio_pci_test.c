/* SPDX-License-Identifier: MIT */
/*
 * virtio_pci_test.c - virtio over PCI (virtio 1.2, 4.1) as a guest finds it: capabilities, registers at any width,
 * the window in configuration space, notifications by memory and by port, BARs that move.
 */
#include <linux/virtio_ids.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/virtio_target.h"

#define ELSEWHERE 0x4800000000ull
#define WINDOW_SIZE (2ull << 20)
#define CFG(field) offsetof(struct virtio_pci_cfg_cap, field)

static struct board board;
static struct target target;
static struct driver driver;
static struct ring rings[2];

static int setup_as(const struct capsa_setup *shape, bool by_port, bool refuses)
{
	board_create(&board, 0);
	board.platform.notify_by_port = by_port;
	board.refuses_notifies = refuses;
	target_add(&target, &board, shape);
	driver_find(&driver, &board, 1);
	return 0;
}

static int setup(void **state)
{
	const struct capsa_setup shape = target_shape();

	(void)state;
	return setup_as(&shape, false, false);
}

static int setup_ports(void **state)
{
	const struct capsa_setup shape = target_shape();

	(void)state;
	return setup_as(&shape, true, false);
}

static int setup_without_ioeventfd(void **state)
{
	const struct capsa_setup shape = target_shape();

	(void)state;
	return setup_as(&shape, false, true);
}

static int setup_ports_without_ioeventfd(void **state)
{
	const struct capsa_setup shape = target_shape();

	(void)state;
	return setup_as(&shape, true, true);
}

static int setup_window(void **state)
{
	struct capsa_setup shape = target_shape();

	(void)state;
	shape.n_shared_memory = 1;
	shape.shared_memory[0] = (struct capsa_shared_memory_setup){ .id = 7, .size = WINDOW_SIZE };
	return setup_as(&shape, false, false);
}

static int teardown(void **state)
{
	(void)state;
	target_remove(&target);
	board_destroy(&board);
	return 0;
}

static uint64_t config_get(unsigned offset, unsigned len)
{
	return guest_config_read(&board, driver.slot, offset, len);
}

static void config_set(unsigned offset, unsigned len, uint64_t value)
{
	guest_config_write(&board, driver.slot, offset, len, value);
}

/* ---- what it is ---- */

static void the_function_says_what_it_is(void **state)
{
	(void)state;
	assert_int_equal(config_get(PCI_VENDOR_ID, 2), 0x1af4);
	assert_int_equal(config_get(PCI_DEVICE_ID, 2), 0x1040 + 42);
	assert_true(config_get(PCI_REVISION_ID, 1) >= 1);
	assert_int_equal(config_get(PCI_INTERRUPT_PIN, 1), 0);
}

static void structures_lie_in_their_bar_and_not_in_each_other(void **state)
{
	const struct driver_structure *all[] = { &driver.common, &driver.isr, &driver.device, &driver.notify };

	(void)state;
	assert_true(driver.common.length >= sizeof(struct virtio_pci_common_cfg));
	assert_true(driver.isr.length >= 1);
	assert_int_equal(driver.device.length, 12);
	assert_true(driver.notify.length >= 2 * driver.notify_multiplier);
	assert_true(driver.common.offset % 4 == 0 && driver.device.offset % 4 == 0 && driver.notify.offset % 4 == 0);
	for (unsigned i = 0; i < 4; i++)
		for (unsigned k = 0; k < i; k++)
			assert_true(all[i]->offset >= all[k]->offset + all[k]->length ||
			            all[k]->offset >= all[i]->offset + all[i]->length);
}

/* ---- registers ---- */

static void reads_of_any_width_are_put_together_from_registers(void **state)
{
	uint64_t base = driver.common.address;
	unsigned char bytes[64];

	(void)state;
	assert_true(driver_negotiate(&driver, 1ull << TARGET_FEATURE));
	driver_queue(&driver, 1, 4, &rings[1]);
	for (unsigned i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)guest_read(&board, base + i, 1);
	assert_int_equal(bytes[VIRTIO_PCI_COMMON_Q_SELECT], 1);
	assert_int_equal(bytes[VIRTIO_PCI_COMMON_Q_SIZE], 4);
	for (unsigned len = 1; len <= 8; len *= 2)
		for (unsigned at = 0; at + len <= sizeof bytes; at++) {
			uint64_t expected = 0;

			memcpy(&expected, bytes + at, len);
			assert_true(guest_read(&board, base + at, len) == expected);
		}
}

/* 4.1.3.1: a driver uses the register's own width, or two halves of an address at once. */
static void writes_of_another_width_do_nothing(void **state)
{
	uint64_t base = driver.common.address;

	(void)state;
	driver_reset(&driver);
	guest_write(&board, base + VIRTIO_PCI_COMMON_STATUS, 2, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	guest_write(&board, base + VIRTIO_PCI_COMMON_STATUS - 1, 2, VIRTIO_CONFIG_S_ACKNOWLEDGE << 8);
	guest_write(&board, base + VIRTIO_PCI_COMMON_NUMQ, 4, VIRTIO_CONFIG_S_ACKNOWLEDGE << 16);
	assert_int_equal(driver_status(&driver), 0);
	guest_write(&board, base + VIRTIO_PCI_COMMON_Q_SIZE, 1, 4);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_SIZE), 16);
	guest_write(&board, base + VIRTIO_PCI_COMMON_Q_DESCLO, 8, 0x123456789abcdef0);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_DESCLO), 0x9abcdef0);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_Q_DESCHI), 0x12345678);
}

static void read_only_registers_stay(void **state)
{
	(void)state;
	for (unsigned reg = VIRTIO_PCI_COMMON_NUMQ; reg <= VIRTIO_PCI_COMMON_Q_NOFF; reg++) {
		uint64_t before = driver_get(&driver, reg);

		if (reg != VIRTIO_PCI_COMMON_NUMQ && reg != VIRTIO_PCI_COMMON_CFGGENERATION &&
		    reg != VIRTIO_PCI_COMMON_Q_NOFF)
			continue;
		driver_set(&driver, reg, ~before);
		assert_int_equal(driver_get(&driver, reg), before);
	}
}

static void reading_the_isr_acknowledges(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	assert_int_equal(guest_read(&board, driver.isr.address, 1), 0);
	assert_int_equal(virtio_config_set(target.device, 0, "x", 1, true), 0);
	assert_int_equal(guest_read(&board, driver.isr.address, 1), 2);
	assert_int_equal(guest_read(&board, driver.isr.address, 1), 0);
}

/* ---- device-specific configuration ---- */

static void configuration_reads_at_any_width(void **state)
{
	static const char text[] = "configuration";

	(void)state;
	for (unsigned len = 1; len <= 8; len *= 2)
		for (unsigned at = 0; at < 16; at++) {
			uint64_t expected = 0;

			for (unsigned i = 0; i < len && at + i < 12; i++)
				expected |= (uint64_t)(unsigned char)text[at + i] << (8 * i);
			assert_true(guest_read(&board, driver.device.address + at, len) == expected);
		}
}

static void a_change_is_told_and_counted(void **state)
{
	uint64_t generation;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	generation = driver_get(&driver, VIRTIO_PCI_COMMON_CFGGENERATION);
	assert_int_equal(virtio_config_set(target.device, 8, "ABCD", 4, false), 0);
	assert_int_equal(driver_interrupts(&driver, DRIVER_CONFIG_VECTOR), 0);
	assert_int_not_equal(driver_get(&driver, VIRTIO_PCI_COMMON_CFGGENERATION), generation);
	generation = driver_get(&driver, VIRTIO_PCI_COMMON_CFGGENERATION);
	assert_int_equal(virtio_config_set(target.device, 8, "EFGH", 4, true), 0);
	assert_int_equal(driver_interrupts(&driver, DRIVER_CONFIG_VECTOR), 1);
	assert_int_not_equal(driver_get(&driver, VIRTIO_PCI_COMMON_CFGGENERATION), generation);
	assert_int_equal(guest_read(&board, driver.device.address + 8, 4), 0x48474645);
	assert_true(virtio_config_set(target.device, 9, "EFGH", 4, true) < 0);
	assert_true(virtio_config_set(target.device, SIZE_MAX, "E", 2, true) < 0);
}

static void writes_reach_the_device_on_its_loop(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	guest_write(&board, driver.device.address + 4, 4, 0x11223344);
	assert_int_equal(target.config_writes, 0);
	board_settle(&board);
	assert_int_equal(target.config_writes, 1);
	assert_int_equal(target.config_offset, 4);
	assert_int_equal(target.config_len, 4);
	assert_int_equal(target.config_data, 0x11223344);
	/* The device decides what becomes of it. */
	assert_int_equal(guest_read(&board, driver.device.address + 4, 1), 'i');
}

static void writes_past_the_end_or_too_many_are_dropped(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	guest_write(&board, driver.device.address + 9, 4, 1);
	guest_write(&board, driver.device.address + 12, 1, 1);
	guest_write(&board, driver.device.address + 0xfff, 1, 1);
	board_settle(&board);
	assert_int_equal(target.config_writes, 0);
	for (unsigned i = 0; i < 1000; i++)
		guest_write(&board, driver.device.address, 1, i);
	board_settle(&board);
	assert_in_range(target.config_writes, 1, 100);
}

static void writes_before_there_is_a_driver_are_dropped(void **state)
{
	(void)state;
	driver_reset(&driver);
	guest_write(&board, driver.device.address, 4, 1);
	driver_start(&driver, 0, rings, 2);
	assert_int_equal(target.config_writes, 0);
}

/* ---- the window in configuration space (4.1.4.9) ---- */

static void window_at(uint8_t bar, uint32_t offset, uint32_t length)
{
	config_set(driver.pci_cfg + CFG(cap.bar), 1, bar);
	config_set(driver.pci_cfg + CFG(cap.offset), 4, offset);
	config_set(driver.pci_cfg + CFG(cap.length), 4, length);
}

static uint64_t window_read(unsigned len)
{
	return config_get(driver.pci_cfg + CFG(pci_cfg_data), len);
}

static void window_write(unsigned len, uint64_t value)
{
	config_set(driver.pci_cfg + CFG(pci_cfg_data), len, value);
}

static void the_window_reads_and_writes_registers(void **state)
{
	(void)state;
	driver_reset(&driver);
	window_at(driver.common.bar, driver.common.offset + VIRTIO_PCI_COMMON_STATUS, 1);
	window_write(1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(driver_status(&driver), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	window_at(driver.common.bar, driver.common.offset + VIRTIO_PCI_COMMON_STATUS, 1);
	assert_int_equal(window_read(1), VIRTIO_CONFIG_S_ACKNOWLEDGE);
	window_at(driver.common.bar, driver.common.offset + VIRTIO_PCI_COMMON_NUMQ, 2);
	assert_int_equal(window_read(2), 2);
	window_at(driver.device.bar, driver.device.offset, 4);
	assert_int_equal(window_read(4), 0x666e6f63); /* "conf" */
}

static void the_window_notifies(void **state)
{
	unsigned before;

	(void)state;
	driver_start(&driver, 0, rings, 2);
	before = target.notifies[0];
	window_at(driver.notify.bar, driver.notify.offset, 2);
	window_write(2, 0);
	board_settle(&board);
	assert_int_equal(target.notifies[0], before + 1);
}

static void the_window_does_not_acknowledge_interrupts(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	virtio_config_set(target.device, 0, "x", 1, true);
	window_at(driver.isr.bar, driver.isr.offset, 1);
	assert_int_equal(guest_read(&board, driver.isr.address, 1), 2);
}

static void a_window_that_is_none_does_nothing(void **state)
{
	static const struct {
		uint8_t bar;
		uint32_t offset, length;
	} bad[] = {
		{ 1, VIRTIO_PCI_COMMON_STATUS, 1 },
		{ 2, VIRTIO_PCI_COMMON_STATUS, 1 },
		{ 0xff, VIRTIO_PCI_COMMON_STATUS, 1 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, 0 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, 3 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, 8 },
		{ 0, VIRTIO_PCI_COMMON_STATUS, UINT32_MAX },
		{ 0, VIRTIO_PCI_COMMON_STATUS + 1, 2 },
		{ 0, 0x8000 + VIRTIO_PCI_COMMON_STATUS, 1 },
		{ 0, 0x80000000u + VIRTIO_PCI_COMMON_STATUS, 1 },
		{ 0, UINT32_MAX, 1 },
		{ 0, UINT32_MAX - 3, 4 },
	};

	(void)state;
	driver_reset(&driver);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		window_at(bad[i].bar, bad[i].offset, bad[i].length);
		window_write(1, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		window_write(4, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		assert_int_equal(driver_status(&driver), 0);
	}
}

/* ---- notifications and BARs ---- */

static void after_decoding_every_queue_has_its_ioeventfd(void **state)
{
	(void)state;
	assert_int_equal(board.n_notifies, 2);
	driver_decode(&driver, false);
	assert_int_equal(board.n_notifies, 0);
	driver_decode(&driver, true);
	assert_int_equal(board.n_notifies, 2);
}

static void offer_and_notify(void)
{
	struct vring_used_elem used;

	ring_desc(&rings[0], 0, 0x1000, 8, VRING_DESC_F_WRITE, 0);
	ring_offer(&rings[0], 0);
	ring_notify(&rings[0]);
	board_settle(&board);
	assert_true(ring_used(&rings[0], &used));
}

static void a_queue_is_notified(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	offer_and_notify();
	assert_int_equal(board_log_lines(), 0);
}

static void without_ioeventfd_notifications_go_through_user_space(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	offer_and_notify();
}

static void refused_ioeventfds_are_told_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		driver_decode(&driver, false);
		driver_decode(&driver, true);
	}
	assert_int_equal(board_log_lines(), 1);
}

static void ports_are_the_first_way_to_notify(void **state)
{
	(void)state;
	assert_true(driver.notify_is_port);
	assert_int_equal(board.n_notifies, 4);
	driver_start(&driver, 0, rings, 2);
	offer_and_notify();
	assert_int_equal(guest_in(&board, (unsigned)driver_bar(&driver, driver.notify.bar), 2), 0);
}

static void a_port_without_ioeventfd_notifies_through_user_space(void **state)
{
	(void)state;
	assert_true(driver.notify_is_port);
	assert_int_equal(board.n_notifies, 0);
	driver_start(&driver, 0, rings, 2);
	offer_and_notify();
}

static void a_notification_past_the_last_queue_is_nobodys(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	for (uint64_t at = driver.notify.offset + driver.notify.length; at < 0x8000; at += 2)
		guest_write(&board, driver_bar(&driver, 0) + at, 2, 1);
	board_settle(&board);
	assert_int_equal(target.notifies[0], 1);
}

static void move_bar(unsigned bar, uint64_t to)
{
	config_set(PCI_BASE_ADDRESS_0 + 4 * bar, 4, (uint32_t)to);
	config_set(PCI_BASE_ADDRESS_0 + 4 * bar + 4, 4, to >> 32);
}

static void notifications_follow_a_moved_bar(void **state)
{
	uint64_t from = driver_bar(&driver, 0);

	(void)state;
	driver_start(&driver, 0, rings, 2);
	move_bar(0, ELSEWHERE);
	assert_int_equal(board.n_notifies, 2);
	for (unsigned i = 0; i < 2; i++)
		assert_in_range(board.notifies[i].address, ELSEWHERE, ELSEWHERE + 0x7fff);
	assert_true(guest_read(&board, from, 4) == UINT32_MAX);
	driver.common.address += ELSEWHERE - from;
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_NUMQ), 2);
	offer_and_notify();
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
}

/* PCI 3.0, 6.2.5.1: the address bits that stay 0 are the size. */
static void a_bar_can_be_sized_while_it_decodes(void **state)
{
	uint64_t from = driver_bar(&driver, 0);

	(void)state;
	config_set(PCI_BASE_ADDRESS_0, 4, UINT32_MAX);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_0, 4) & (uint64_t)PCI_BASE_ADDRESS_MEM_MASK, 0xffff8000);
	config_set(PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	assert_int_equal(config_get(PCI_BASE_ADDRESS_1, 4), UINT32_MAX);
	move_bar(0, from);
	assert_int_equal(driver_get(&driver, VIRTIO_PCI_COMMON_NUMQ), 2);
	assert_int_equal(board.n_notifies, 2);
}

/* ---- several devices that are moved about ---- */

static int try_add(const struct capsa_setup *shape, struct virtio_device **device, struct error *err)
{
	static const unsigned char config[CAPSA_MAX_CONFIG_SPACE];
	static const struct virtio_ops ops;
	static void *const windows[CAPSA_MAX_SHARED_MEMORY];
	const struct virtio_setup virtio = {
		.name = "more",
		.device_id = 42,
		.shape = shape,
		.config = config,
		.shared_memory = windows,
		.home = board.home,
		.ops = &ops,
	};

	err->text[0] = '\0';
	return virtio_device_create(&board.platform, &virtio, device, err);
}

#define DEVICES 4u
#define PLACES 12u /* some of them overlap, some lie over the ECAM */

static struct virtio_device *others[DEVICES];
static uint64_t wanted[DEVICES]; /* 0: it does not decode */

static uint64_t place(unsigned i)
{
	return i < 8 ? ELSEWHERE + i * 0x8000 : PCI_ECAM_START + 0x80000 + (i - 8) * 0x40000;
}

/* Each device's configuration space says its number. */
static bool answers(unsigned i)
{
	return guest_read(&board, wanted[i] + driver.device.offset, 1) == i + 1;
}

static bool is_alone(unsigned i)
{
	if (wanted[i] + 0x8000 > PCI_ECAM_START && wanted[i] < PCI_ECAM_START + PCI_ECAM_SIZE)
		return false;
	for (unsigned k = 0; k < DEVICES; k++)
		if (k != i && wanted[k] == wanted[i])
			return false;
	return true;
}

static unsigned notifies_within(uint64_t at)
{
	unsigned n = 0;

	for (unsigned i = 0; i < board.n_notifies; i++)
		n += board.notifies[i].address >= at && board.notifies[i].address < at + 0x8000;
	return n;
}

static void move(unsigned i, uint64_t to, bool decode)
{
	unsigned slot = 2 + i;

	wanted[i] = decode ? to : 0;
	guest_config_write(&board, slot, PCI_BASE_ADDRESS_1, 4, to >> 32);
	guest_config_write(&board, slot, PCI_BASE_ADDRESS_0, 4, (uint32_t)to);
	guest_config_write(&board, slot, PCI_COMMAND, 2, decode ? PCI_COMMAND_MEMORY : 0);
}

static void check_places(void)
{
	unsigned placed = 0;

	for (unsigned i = 0; i < DEVICES; i++) {
		bool alone = wanted[i] && is_alone(i);

		if (alone) {
			assert_true(answers(i));
			assert_int_equal(notifies_within(wanted[i]), 2);
		}
		placed += wanted[i] && answers(i);
	}
	/* Who shares a place with another: one of them has it, and nobody else's notifications lie about. */
	for (unsigned p = 0; p < 8; p++) {
		unsigned want = 0, have = 0;

		for (unsigned i = 0; i < DEVICES; i++) {
			want += wanted[i] == place(p);
			have += wanted[i] == place(p) && answers(i);
		}
		assert_int_equal(have, want > 0);
	}
	assert_int_equal(board.n_notifies, 2 * placed);
}

static void bars_that_meet_and_part_end_where_their_registers_say(void **state)
{
	struct capsa_setup shape = target_shape();
	uint32_t random = 1;

	(void)state;
	driver_decode(&driver, false); /* the fixture's own */
	for (unsigned i = 0; i < DEVICES; i++) {
		struct error err;
		uint8_t number = (uint8_t)(i + 1);

		assert_int_equal(try_add(&shape, &others[i], &err), 0);
		virtio_config_set(others[i], 0, &number, 1, false);
		wanted[i] = 0;
	}
	for (unsigned step = 0; step < 5000; step++) {
		random = random * 1664525 + 1013904223;
		move(random >> 8 & (DEVICES - 1), place((random >> 16) % PLACES), (random >> 28) != 0);
		check_places();
	}
	for (unsigned i = 0; i < DEVICES; i++)
		virtio_device_destroy(others[i]);
}

static void a_shared_memory_window_follows_its_bar(void **state)
{
	(void)state;
	driver_decode(&driver, true);
	assert_true(board.slots[0].gpa == driver_bar(&driver, 2));
	move_bar(2, ELSEWHERE);
	assert_true(board.slots[0].gpa == ELSEWHERE);
	driver_decode(&driver, false);
	assert_true(board.slots[0].gpa == 0);
	driver_decode(&driver, true);
	assert_true(board.slots[0].gpa == ELSEWHERE);
}

/* Each in the other's way for a while; registers of a third over them, too. */
static void windows_change_places(void **state)
{
	struct capsa_setup shape = target_shape();
	struct virtio_device *other;
	struct error err;
	uint64_t a, b;

	(void)state;
	shape.n_shared_memory = 1;
	shape.shared_memory[0] = (struct capsa_shared_memory_setup){ .id = 7, .size = WINDOW_SIZE };
	assert_int_equal(try_add(&shape, &other, &err), 0);
	guest_config_write(&board, 2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	a = board.slots[0].gpa;
	b = board.slots[1].gpa;
	move_bar(2, b);
	assert_true(board.slots[0].gpa == 0 && board.slots[1].gpa == b);
	guest_config_write(&board, 2, PCI_BASE_ADDRESS_2, 8, a);
	assert_true(board.slots[0].gpa == b && board.slots[1].gpa == a);
	/* Registers do not come to lie where a window is. */
	guest_config_write(&board, 2, PCI_BASE_ADDRESS_0, 8, b);
	assert_true(guest_read(&board, b, 4) == 0);
	assert_int_equal(board.refused_slot_moves, 0);
	virtio_device_destroy(other);
}

/* Over RAM, or over another window: KVM takes no slot that overlaps. */
static void a_window_that_kvm_does_not_place_is_told_once(void **state)
{
	(void)state;
	board.refuses_slots = true;
	for (unsigned i = 0; i < 100; i++)
		move_bar(2, ELSEWHERE + i * WINDOW_SIZE);
	assert_in_range(board.refused_slot_moves, 100, 200);
	assert_int_equal(board_log_lines(), 1);
	board.refuses_slots = false;
	move_bar(2, ELSEWHERE);
	assert_true(board.slots[0].gpa == ELSEWHERE);
}

/* ---- MSI-X ---- */

static void a_masked_interrupt_is_pending_and_comes_when_it_is_unmasked(void **state)
{
	(void)state;
	driver_start(&driver, 0, rings, 2);
	config_set(driver.msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	offer_and_notify();
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 0);
	assert_int_equal(guest_read(&board, driver.pending_bits, 8), 1u << DRIVER_QUEUE_VECTOR(0));
	config_set(driver.msix + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE);
	assert_int_equal(guest_read(&board, driver.pending_bits, 8), 0);
	assert_int_equal(driver_interrupts(&driver, DRIVER_QUEUE_VECTOR(0)), 1);
}

/* ---- too much of it ---- */

static void the_largest_shape_fits(void **state)
{
	struct capsa_setup shape = target_shape();
	struct virtio_device *device;
	struct error err;

	(void)state;
	shape.n_queues = CAPSA_MAX_QUEUES;
	for (unsigned i = 0; i < CAPSA_MAX_QUEUES; i++)
		shape.queues[i].size = CAPSA_MAX_QUEUE_SIZE;
	shape.config_size = CAPSA_MAX_CONFIG_SPACE;
	shape.n_shared_memory = CAPSA_MAX_SHARED_MEMORY;
	for (unsigned i = 0; i < CAPSA_MAX_SHARED_MEMORY; i++)
		shape.shared_memory[i] =
			(struct capsa_shared_memory_setup){ .id = (uint8_t)i, .size = WINDOW_SIZE << i };
	board.platform.notify_by_port = true;
	if (try_add(&shape, &device, &err))
		fail_msg("%s", err.text);
	virtio_device_destroy(device);
}

static void more_devices_than_the_bus_takes_are_an_error(void **state)
{
	const struct capsa_setup shape = target_shape();
	struct virtio_device *devices[PCI_MAX_FUNCTIONS], *none;
	struct error err;
	unsigned n = 0;

	(void)state;
	/* The host bridge and the target of these tests are there. */
	for (; n < PCI_MAX_FUNCTIONS - 2; n++)
		assert_int_equal(try_add(&shape, &devices[n], &err), 0);
	assert_true(try_add(&shape, &none, &err) < 0);
	assert_non_null(strstr(err.text, "fewer than"));
	while (n-- > 0)
		virtio_device_destroy(devices[n]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_function_says_what_it_is),
		TEST(structures_lie_in_their_bar_and_not_in_each_other),
		TEST(reads_of_any_width_are_put_together_from_registers),
		TEST(writes_of_another_width_do_nothing),
		TEST(read_only_registers_stay),
		TEST(reading_the_isr_acknowledges),
		TEST(configuration_reads_at_any_width),
		TEST(a_change_is_told_and_counted),
		TEST(writes_reach_the_device_on_its_loop),
		TEST(writes_past_the_end_or_too_many_are_dropped),
		TEST(writes_before_there_is_a_driver_are_dropped),
		TEST(the_window_reads_and_writes_registers),
		TEST(the_window_notifies),
		TEST(the_window_does_not_acknowledge_interrupts),
		TEST(a_window_that_is_none_does_nothing),
		TEST(after_decoding_every_queue_has_its_ioeventfd),
		TEST(a_queue_is_notified),
		cmocka_unit_test_setup_teardown(without_ioeventfd_notifications_go_through_user_space,
		                                setup_without_ioeventfd, teardown),
		cmocka_unit_test_setup_teardown(refused_ioeventfds_are_told_once, setup_without_ioeventfd, teardown),
		cmocka_unit_test_setup_teardown(ports_are_the_first_way_to_notify, setup_ports, teardown),
		cmocka_unit_test_setup_teardown(a_port_without_ioeventfd_notifies_through_user_space,
		                                setup_ports_without_ioeventfd, teardown),
		TEST(a_notification_past_the_last_queue_is_nobodys),
		TEST(notifications_follow_a_moved_bar),
		TEST(a_bar_can_be_sized_while_it_decodes),
		TEST(bars_that_meet_and_part_end_where_their_registers_say),
		cmocka_unit_test_setup_teardown(a_shared_memory_window_follows_its_bar, setup_window, teardown),
		cmocka_unit_test_setup_teardown(windows_change_places, setup_window, teardown),
		cmocka_unit_test_setup_teardown(a_window_that_kvm_does_not_place_is_told_once, setup_window, teardown),
		TEST(a_masked_interrupt_is_pending_and_comes_when_it_is_unmasked),
		TEST(the_largest_shape_fits),
		TEST(more_devices_than_the_bus_takes_are_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
