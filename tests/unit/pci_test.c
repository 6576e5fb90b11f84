/* SPDX-License-Identifier: MIT */
/* pci_test.c - configuration space as a guest sees it, and BARs that it sizes, moves and misplaces. */
#include <errno.h>
#include <linux/pci_regs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine/pci.h"

#define WINDOW64_START 0x4000000000ull
#define WINDOW64_SIZE 0x4000000000ull
#define MEMORY_BAR 0u
#define WIDE_BAR 2u
#define PORT_BAR 4u
#define DECODE_ALL (PCI_COMMAND_MEMORY | PCI_COMMAND_IO)
#define CAPABILITY 0x40u

struct device {
	struct pci_function *function;
	unsigned moves[PCI_MAX_BARS];
	uint64_t at[PCI_MAX_BARS];
	unsigned written_offset, written_len, writes;
};

struct fixture {
	struct bus *ports, *mmio;
	struct pci_bus *pci;
	struct device a, b;
};

static const struct pci_identity identity = {
	.vendor = 0x1af4,
	.device = 0x1042,
	.subsystem_vendor = 0x1111,
	.subsystem = 0x2222,
	.class_code = 0x010203,
	.revision = 9,
};

static uint64_t bar_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)offset, (void)len;
	return (uintptr_t)ctx & 0xff;
}

static void bar_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)ctx, (void)offset, (void)len, (void)value;
}

static const struct bus_handler bar_handler = { .read = bar_read, .write = bar_write };

static void bar_moved(void *ctx, unsigned bar, uint64_t address, bool decoding)
{
	struct device *device = ctx;

	assert_true(bar < PCI_MAX_BARS);
	assert_int_equal(decoding, address != 0);
	assert_int_equal(pci_function_bar(device->function, bar), address);
	assert_int_not_equal(device->at[bar], address);
	device->at[bar] = address;
	device->moves[bar]++;
}

static void config_written(void *ctx, unsigned offset, unsigned len)
{
	struct device *device = ctx;

	assert_true(offset >= 0x40 && len > 0 && len <= 8 && offset + len <= 0x100);
	device->written_offset = offset;
	device->written_len = len;
	device->writes++;
}

static void add_device(struct fixture *f, struct device *device, unsigned char mark)
{
	void *ctx = (void *)(uintptr_t)mark;
	struct pci_bar bars[PCI_MAX_BARS] = {
		[MEMORY_BAR] = { .size = 0x2000, .handler = &bar_handler, .ctx = ctx },
		[WIDE_BAR] = { .size = 0x10000,
		               .is_64bit = true,
		               .prefetchable = true,
		               .handler = &bar_handler,
		               .ctx = ctx },
		[PORT_BAR] = { .size = 0x20, .is_port = true, .handler = &bar_handler, .ctx = ctx },
	};
	struct pci_callbacks callbacks = { .bar_moved = bar_moved, .config_written = config_written, .ctx = device };
	struct error err = { "" };

	assert_int_equal(pci_function_add(f->pci, &identity, bars, &callbacks, &device->function, &err), 0);
}

static int make_bus(void **state)
{
	struct fixture *f = test_calloc(1, sizeof *f);
	struct error err = { "" };

	assert_int_equal(bus_create(&f->ports), 0);
	assert_int_equal(bus_create(&f->mmio), 0);
	assert_int_equal(pci_bus_create(f->ports, f->mmio, WINDOW64_START, WINDOW64_SIZE, &f->pci, &err), 0);
	assert_int_equal(bus_add(f->mmio, PCI_ECAM_START, PCI_ECAM_SIZE, &pci_ecam_handler, f->pci), 0);
	add_device(f, &f->a, 0xaa);
	add_device(f, &f->b, 0xbb);
	*state = f;
	return 0;
}

static int free_bus(void **state)
{
	struct fixture *f = *state;

	pci_bus_destroy(f->pci);
	bus_destroy(f->mmio);
	bus_destroy(f->ports);
	test_free(f);
	return 0;
}

static uint64_t config_address(const struct device *device, unsigned offset)
{
	return PCI_ECAM_START + pci_function_slot(device->function) * 0x8000ull + offset;
}

static void put(struct fixture *f, const struct device *device, unsigned offset, unsigned len, uint64_t value)
{
	assert_true(bus_write(f->mmio, config_address(device, offset), len, value));
}

static uint64_t get(struct fixture *f, const struct device *device, unsigned offset, unsigned len)
{
	uint64_t value;

	assert_true(bus_read(f->mmio, config_address(device, offset), len, &value));
	return value;
}

static unsigned bar_register(unsigned bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

static bool answers(struct bus *bus, uint64_t address, uint64_t mark)
{
	uint64_t value;

	return bus_read(bus, address, 1, &value) && value == mark;
}

static bool nobody(struct bus *bus, uint64_t address)
{
	uint64_t value;

	return !bus_read(bus, address, 1, &value);
}

static void identity_lies_where_pci_wants_it(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, &f->a, 0, 4), 0x10421af4);
	assert_int_equal(get(f, &f->a, 8, 4), 0x01020309);
	assert_int_equal(get(f, &f->a, 0x2c, 4), 0x22221111);
	assert_int_equal(get(f, &f->a, PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(get(f, &f->a, PCI_INTERRUPT_PIN, 1), 0);
	assert_int_equal(get(f, &f->a, PCI_COMMAND, 4), 0);
}

static void the_host_bridge_is_device_0(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	assert_true(bus_read(f->mmio, PCI_ECAM_START, 4, &value));
	assert_int_equal(value, 0x00081b36);
	assert_true(bus_read(f->mmio, PCI_ECAM_START + 8, 4, &value));
	assert_int_equal(value, 0x06000000);
	assert_int_equal(pci_function_slot(f->a.function), 1);
	assert_int_equal(pci_function_slot(f->b.function), 2);
}

/* All ones in the header of function 0 of an absent device, zeros, which is no vendor either, everywhere else. */
static void absent_functions_have_no_vendor_and_ignore_writes(void **state)
{
	struct fixture *f = *state;
	const uint8_t *ecam = pci_bus_ecam(f->pci);
	uint8_t before[0x1000];

	memcpy(before, pci_function_config(f->a.function), sizeof before);
	for (unsigned page = 0; page < PCI_ECAM_SIZE / 0x1000; page++) {
		if (page % 8 == 0 && page / 8 <= 2)
			continue;
		for (unsigned offset = 0; offset < 0x1000; offset += 8)
			assert_true(bus_write(f->mmio, PCI_ECAM_START + page * 0x1000 + offset, 8, 0x5555555555555555));
		for (unsigned offset = 0; offset < 0x1000; offset++)
			assert_int_equal(ecam[page * 0x1000 + offset], page % 8 == 0 && offset < 64 ? 0xff : 0);
	}
	assert_memory_equal(pci_function_config(f->a.function), before, sizeof before);
}

static void sizing_gives_the_size_and_the_kind(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < PCI_MAX_BARS; i++)
		put(f, &f->a, bar_register(i), 4, 0xffffffff);
	assert_int_equal(get(f, &f->a, bar_register(0), 4), 0xffffe000);
	assert_int_equal(get(f, &f->a, bar_register(1), 4), 0);
	assert_int_equal(get(f, &f->a, bar_register(2), 4), 0xffff000c);
	assert_int_equal(get(f, &f->a, bar_register(3), 4), 0xffffffff);
	assert_int_equal(get(f, &f->a, bar_register(4), 4), 0x0000ffe1);
	assert_int_equal(get(f, &f->a, bar_register(5), 4), 0);
	assert_int_equal(f->a.moves[0] + f->a.moves[2] + f->a.moves[4], 0);
}

static void every_bar_has_an_aligned_address_of_its_own_at_power_on(void **state)
{
	struct fixture *f = *state;
	uint64_t a32 = get(f, &f->a, bar_register(0), 4), b32 = get(f, &f->b, bar_register(0), 4);
	uint64_t a64 = get(f, &f->a, bar_register(2), 8), b64 = get(f, &f->b, bar_register(2), 8);
	uint64_t aport = get(f, &f->a, bar_register(4), 4), bport = get(f, &f->b, bar_register(4), 4);

	assert_int_equal(a32 % 0x2000, 0);
	assert_in_range(a32, PCI_WINDOW32_START, PCI_WINDOW32_START + PCI_WINDOW32_SIZE - 1);
	assert_true(b32 >= a32 + 0x2000);
	assert_int_equal(a64 % 0x10000, 0xc);
	assert_true(a64 >= WINDOW64_START && b64 >= a64 + 0x10000 && b64 < WINDOW64_START + WINDOW64_SIZE);
	assert_int_equal(aport % 0x20, 1);
	assert_true(aport >= PCI_WINDOW_PORT_START && bport >= aport + 0x20);
	assert_true(nobody(f->mmio, a32));
	assert_int_equal(pci_function_bar(f->a.function, 0), 0);
}

static void decoding_follows_the_command_register(void **state)
{
	struct fixture *f = *state;
	uint64_t memory = get(f, &f->a, bar_register(0), 4), port = get(f, &f->a, bar_register(4), 4) & ~3ull;

	put(f, &f->a, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_true(answers(f->mmio, memory + 0x1fff, 0xaa));
	assert_true(nobody(f->mmio, memory + 0x2000));
	assert_true(nobody(f->ports, port));
	assert_int_equal(f->a.at[0], memory);
	put(f, &f->a, PCI_COMMAND, 1, DECODE_ALL);
	assert_true(answers(f->ports, port, 0xaa));
	put(f, &f->a, PCI_COMMAND, 2, PCI_COMMAND_IO);
	assert_true(nobody(f->mmio, memory));
	assert_true(answers(f->ports, port, 0xaa));
	assert_int_equal(f->a.moves[0], 2);
	assert_int_equal(f->a.moves[2], 2);
	assert_int_equal(f->a.moves[4], 1);
	assert_int_equal(f->b.moves[0], 0);
}

static void bar_moved_is_silent_when_nothing_changed(void **state)
{
	struct fixture *f = *state;
	uint64_t memory = get(f, &f->a, bar_register(0), 4);

	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL | PCI_COMMAND_MASTER);
	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL | PCI_COMMAND_MASTER);
	put(f, &f->a, bar_register(0), 4, memory);
	put(f, &f->a, bar_register(0), 4, memory | 0xfff);
	assert_int_equal(f->a.moves[0], 1);
	assert_int_equal(f->a.moves[2], 1);
	assert_int_equal(f->a.moves[4], 1);
}

static void a_bar_moves_with_decoding_off_and_on(void **state)
{
	struct fixture *f = *state;
	uint64_t old = get(f, &f->a, bar_register(0), 4);

	put(f, &f->a, bar_register(0), 4, 0xd0000000);
	assert_int_equal(f->a.moves[0], 0);
	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	assert_true(answers(f->mmio, 0xd0000000, 0xaa));
	assert_true(nobody(f->mmio, old));
	put(f, &f->a, bar_register(0), 4, 0xd8000000);
	assert_true(answers(f->mmio, 0xd8000000, 0xaa));
	assert_true(nobody(f->mmio, 0xd0000000));
	assert_int_equal(f->a.moves[0], 3);
	assert_int_equal(f->a.at[0], 0xd8000000);
}

static void a_64bit_bar_moves_by_one_write_or_by_two(void **state)
{
	struct fixture *f = *state;

	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->a, bar_register(2), 8, 0x5000120000ull);
	assert_int_equal(f->a.moves[2], 3);
	assert_true(answers(f->mmio, 0x500012ffffull, 0xaa));
	put(f, &f->a, bar_register(2), 4, 0x340000);
	put(f, &f->a, bar_register(3), 4, 0x60);
	assert_int_equal(f->a.moves[2], 7);
	assert_true(answers(f->mmio, 0x6000340000ull, 0xaa));
	assert_true(nobody(f->mmio, 0x5000340000ull));
	assert_int_equal(get(f, &f->a, bar_register(2), 8), 0x600034000cull);
}

static void a_64bit_bar_may_lie_below_4_gib(void **state)
{
	struct fixture *f = *state;

	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->a, bar_register(2), 8, 0xd0000000);
	assert_true(answers(f->mmio, 0xd0000000, 0xaa));
}

static void bytes_words_and_unaligned_writes_change_only_their_bytes(void **state)
{
	struct fixture *f = *state;

	put(f, &f->a, bar_register(0), 4, 0xd0000000);
	put(f, &f->a, bar_register(0) + 3, 1, 0xd4);
	assert_int_equal(get(f, &f->a, bar_register(0), 4), 0xd4000000);
	put(f, &f->a, bar_register(0) + 1, 2, 0x56ff);
	assert_int_equal(get(f, &f->a, bar_register(0), 4), 0xd456e000);
	/* The last byte of BAR 2, all of BAR 3, the first bytes of BAR 4. */
	put(f, &f->a, bar_register(2), 8, 0);
	put(f, &f->a, bar_register(4), 4, 0);
	put(f, &f->a, bar_register(2) + 3, 8, 0xaa8b4f6655443322);
	assert_int_equal(get(f, &f->a, bar_register(2), 8), 0x665544332200000cull);
	assert_int_equal(get(f, &f->a, bar_register(4), 4), 0x00008b41);
	/* Across the end of a header's BARs into read-only bytes. */
	put(f, &f->a, 0x27, 8, 0);
	assert_int_equal(get(f, &f->a, 0x2c, 4), 0x22221111);
}

static void read_only_registers_stay(void **state)
{
	struct fixture *f = *state;
	uint8_t before[0x1000];

	memcpy(before, pci_function_config(f->a.function), sizeof before);
	for (unsigned offset = 0; offset < 0x1000; offset += 4)
		if (offset < PCI_BASE_ADDRESS_0 || offset > 0x24)
			put(f, &f->a, offset, 4, ~get(f, &f->a, offset, 4));
	before[PCI_COMMAND] = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
	before[PCI_COMMAND + 1] = PCI_COMMAND_INTX_DISABLE >> 8;
	before[PCI_CACHE_LINE_SIZE] = 0xff;
	before[PCI_INTERRUPT_LINE] = 0xff;
	assert_memory_equal(pci_function_config(f->a.function), before, sizeof before);
}

static void a_bar_on_anothers_place_waits_until_it_is_free(void **state)
{
	struct fixture *f = *state;
	uint64_t a = get(f, &f->a, bar_register(0), 4), b = get(f, &f->b, bar_register(0), 4);

	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->b, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->b, bar_register(0), 4, a);
	assert_true(answers(f->mmio, a, 0xaa));
	assert_true(nobody(f->mmio, b));
	assert_int_equal(f->b.at[0], 0);
	assert_int_equal(get(f, &f->b, bar_register(0), 4), a);
	put(f, &f->a, bar_register(0), 4, b);
	assert_true(answers(f->mmio, b, 0xaa));
	assert_true(answers(f->mmio, a, 0xbb));
	assert_int_equal(f->b.at[0], a);
	/* Disabling frees a place as well. */
	put(f, &f->a, bar_register(0), 4, a);
	assert_int_equal(f->a.at[0], 0);
	put(f, &f->b, PCI_COMMAND, 2, 0);
	assert_true(answers(f->mmio, a, 0xaa));
}

static void a_bar_over_the_ecam_or_another_devices_port_does_not_decode(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bus_add(f->ports, 0x64, 1, &bar_handler, (void *)(uintptr_t)0x64), 0);
	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->a, bar_register(0), 4, PCI_ECAM_START + 0x8000);
	put(f, &f->a, bar_register(4), 4, 0x60);
	assert_int_equal(f->a.at[0], 0);
	assert_int_equal(f->a.at[4], 0);
	assert_true(answers(f->ports, 0x64, 0x64));
	assert_int_equal(get(f, &f->a, 0, 4), 0x10421af4);
}

static void address_0_and_the_end_of_the_address_space_decode_nowhere(void **state)
{
	struct fixture *f = *state;

	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->a, bar_register(0), 4, 0);
	put(f, &f->a, bar_register(2), 8, UINT64_MAX);
	put(f, &f->a, bar_register(4), 4, 0);
	for (unsigned i = 0; i < PCI_MAX_BARS; i++)
		assert_int_equal(pci_function_bar(f->a.function, i), 0);
	assert_true(nobody(f->mmio, 0));
	put(f, &f->a, bar_register(0), 4, 0xffffffff);
	assert_true(answers(f->mmio, 0xffffffff, 0xaa));
}

static void capabilities_form_a_list_with_write_masks(void **state)
{
	static const uint8_t first[6] = { 0, 0, 0x11, 0x22, 0x33, 0x44 };
	static const uint8_t mask[6] = { 0xff, 0xff, 0x00, 0x0f, 0xff, 0xf0 };
	static const uint8_t second[4] = { 0, 0, 0x55, 0x66 };
	struct fixture *f = *state;

	assert_int_equal(get(f, &f->a, PCI_STATUS, 2), 0);
	assert_int_equal(pci_function_add_capability(f->a.function, 9, first, 6, mask), CAPABILITY);
	assert_int_equal(pci_function_add_capability(f->a.function, 0x11, second, 4, NULL), CAPABILITY + 8);
	assert_int_equal(get(f, &f->a, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(get(f, &f->a, PCI_CAPABILITY_LIST, 1), CAPABILITY);
	assert_int_equal(get(f, &f->a, CAPABILITY, 4), 0x22114809);
	assert_int_equal(get(f, &f->a, CAPABILITY + 8, 4), 0x66550011);
	put(f, &f->a, CAPABILITY, 8, UINT64_MAX);
	assert_int_equal(get(f, &f->a, CAPABILITY, 8), 0xf4ff2f114809);
	put(f, &f->a, CAPABILITY + 8, 4, 0);
	assert_int_equal(get(f, &f->a, CAPABILITY + 8, 4), 0x66550011);
}

static void too_many_capabilities_are_refused(void **state)
{
	static const uint8_t data[0x40];
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pci_function_add_capability(f->a.function, 9, data, 0x40, NULL), 0x40 + i * 0x40);
	assert_int_equal(pci_function_add_capability(f->a.function, 9, data, 4, NULL), -ENOSPC);
}

static void config_written_hears_of_writes_from_0x40_on_only(void **state)
{
	struct fixture *f = *state;

	put(f, &f->a, 0x3c, 4, 0);
	put(f, &f->a, PCI_COMMAND, 2, DECODE_ALL);
	put(f, &f->a, 0x100, 8, 0);
	assert_int_equal(f->a.writes, 0);
	put(f, &f->a, 0x3e, 4, 0);
	assert_int_equal(f->a.written_offset, 0x40);
	assert_int_equal(f->a.written_len, 2);
	put(f, &f->a, 0xfe, 8, 0);
	assert_int_equal(f->a.written_offset, 0xfe);
	assert_int_equal(f->a.written_len, 2);
	assert_int_equal(f->a.writes, 2);
}

static void a_write_across_two_functions_does_not_reach_the_second(void **state)
{
	struct fixture *f = *state;
	uint8_t before[0x1000];

	memcpy(before, pci_function_config(f->b.function), sizeof before);
	assert_true(bus_write(f->mmio, config_address(&f->b, 0) - 4, 8, UINT64_MAX));
	assert_memory_equal(pci_function_config(f->b.function), before, sizeof before);
	assert_true(bus_write(f->mmio, PCI_ECAM_START + PCI_ECAM_SIZE - 8, 8, 0));
}

static void impossible_bars_are_refused_with_a_cause(void **state)
{
	static const struct pci_bar bad[][PCI_MAX_BARS] = {
		{ { .size = 0x3000 } },
		{ { .size = 0x800 } },
		{ { .size = 1ull << 32 } },
		{ { .size = 2, .is_port = true } },
		{ { .size = 512, .is_port = true } },
		{ { .size = 16, .is_port = true, .is_64bit = true } },
		{ { .size = 0x1000, .is_64bit = true }, { .size = 0x1000 } },
		{ [5] = { .size = 0x1000, .is_64bit = true } },
		{ { .size = 0x2000, .fixed_address = 0xd0001000 } },
		{ { .size = 0x2000, .fixed_address = 0x100000000ull } },
		{ { .size = 16, .is_port = true, .fixed_address = 0x10000 } },
		{ { .size = 0x1000, .is_64bit = true, .fixed_address = 0xfffffffffffff000ull } },
	};
	struct fixture *f = *state;
	struct pci_function *function;
	struct error err;

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err.text[0] = '\0';
		assert_int_equal(pci_function_add(f->pci, &identity, bad[i], NULL, &function, &err), -EINVAL);
		assert_true(err.text[0] != '\0');
		assert_int_equal(pci_bus_ecam(f->pci)[3 * 0x8000], 0xff);
	}
}

static void a_fixed_address_is_kept_and_not_given_to_others(void **state)
{
	uint64_t fixed = WINDOW64_START + 0x40000000;
	struct pci_bar bars[PCI_MAX_BARS] = { { .size = 0x40000000, .is_64bit = true, .fixed_address = fixed } };
	struct fixture *f = *state;
	struct device c = { 0 }, d = { 0 };
	struct error err = { "" };

	assert_int_equal(pci_function_add(f->pci, &identity, bars, NULL, &c.function, &err), 0);
	assert_int_equal(get(f, &c, bar_register(0), 8), fixed | PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(pci_function_add(f->pci, &identity, bars, NULL, &d.function, &err), -EINVAL);
	bars[0].fixed_address = 0;
	assert_int_equal(pci_function_add(f->pci, &identity, bars, NULL, &d.function, &err), 0);
	assert_int_equal(get(f, &d, bar_register(0), 8), (fixed + 0x40000000) | PCI_BASE_ADDRESS_MEM_TYPE_64);
}

static void a_bar_of_a_slot_is_told_about_but_not_on_the_bus(void **state)
{
	struct pci_bar bars[PCI_MAX_BARS] = { { .size = 0x40000000, .is_64bit = true } };
	struct fixture *f = *state;
	struct device c = { 0 };
	struct pci_callbacks callbacks = { .bar_moved = bar_moved, .ctx = &c };
	struct error err = { "" };

	assert_int_equal(pci_function_add(f->pci, &identity, bars, &callbacks, &c.function, &err), 0);
	put(f, &c, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(c.moves[0], 1);
	assert_true(c.at[0] >= WINDOW64_START);
	assert_true(nobody(f->mmio, c.at[0]));
	put(f, &c, bar_register(0), 8, UINT64_MAX);
	assert_int_equal(c.at[0], 0);
	put(f, &c, bar_register(0), 8, 0x40000000);
	assert_int_equal(c.at[0], 0x40000000);
	put(f, &c, PCI_COMMAND, 2, 0);
	assert_int_equal(c.at[0], 0);
}

static void a_full_bus_and_a_full_window_are_refused_with_a_cause(void **state)
{
	static const struct pci_bar none[PCI_MAX_BARS],
		huge[PCI_MAX_BARS] = { { .size = 0x80000000 } },
		huge64[PCI_MAX_BARS] = { { .size = 1ull << 62, .is_64bit = true } };
	struct fixture *f = *state;
	struct pci_function *function;
	struct error err = { "" };

	assert_int_equal(pci_function_add(f->pci, &identity, huge, NULL, &function, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "32-bit"));
	assert_int_equal(pci_function_add(f->pci, &identity, huge64, NULL, &function, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "64-bit"));
	for (unsigned i = 3; i < PCI_MAX_FUNCTIONS; i++)
		assert_int_equal(pci_function_add(f->pci, &identity, none, NULL, &function, &err), 0);
	assert_int_equal(pci_function_add(f->pci, &identity, none, NULL, &function, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "device number"));
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static void a_guest_that_writes_garbage_everywhere_leaves_a_sane_device(void **state)
{
	struct fixture *f = *state;
	uint64_t seed = 0x9e3779b97f4a7c15, value;

	for (unsigned i = 0; i < 200000; i++) {
		uint64_t offset = next_random(&seed), bits = next_random(&seed);
		unsigned len = 1u << (bits >> 60 & 3);

		/* Half of them where it matters. */
		if ((bits >> 62 & 1) != 0)
			offset = (offset >> 32 & 3) * 0x8000 + (offset & 0xff);
		offset %= PCI_ECAM_SIZE - 7;
		if ((bits >> 63) != 0)
			bits &= 0x5fffffffull;
		assert_true(bus_write(f->mmio, PCI_ECAM_START + offset, len, bits));
		if (i % 64 == 0)
			bus_read(f->mmio, PCI_ECAM_START + offset, len, &value);
	}
	for (struct device *device = &f->a; device != NULL; device = device == &f->a ? &f->b : NULL) {
		uint64_t mark = device == &f->a ? 0xaa : 0xbb, place = 0xd0000000 + mark * 0x10000;

		assert_true(device->moves[0] > 100);
		put(f, device, PCI_COMMAND, 2, 0);
		put(f, device, bar_register(0), 4, place);
		put(f, device, bar_register(2), 8, place << 8);
		put(f, device, bar_register(4), 4, mark << 8);
		put(f, device, PCI_COMMAND, 2, DECODE_ALL);
		assert_int_equal(get(f, device, 0, 4), 0x10421af4);
		assert_true(answers(f->mmio, place, mark));
		assert_true(answers(f->mmio, place << 8, mark));
		assert_true(answers(f->ports, mark << 8, mark));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_bus, free_bus)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity_lies_where_pci_wants_it),
		TEST(the_host_bridge_is_device_0),
		TEST(absent_functions_have_no_vendor_and_ignore_writes),
		TEST(sizing_gives_the_size_and_the_kind),
		TEST(every_bar_has_an_aligned_address_of_its_own_at_power_on),
		TEST(decoding_follows_the_command_register),
		TEST(bar_moved_is_silent_when_nothing_changed),
		TEST(a_bar_moves_with_decoding_off_and_on),
		TEST(a_64bit_bar_moves_by_one_write_or_by_two),
		TEST(a_64bit_bar_may_lie_below_4_gib),
		TEST(bytes_words_and_unaligned_writes_change_only_their_bytes),
		TEST(read_only_registers_stay),
		TEST(a_bar_on_anothers_place_waits_until_it_is_free),
		TEST(a_bar_over_the_ecam_or_another_devices_port_does_not_decode),
		TEST(address_0_and_the_end_of_the_address_space_decode_nowhere),
		TEST(capabilities_form_a_list_with_write_masks),
		TEST(too_many_capabilities_are_refused),
		TEST(config_written_hears_of_writes_from_0x40_on_only),
		TEST(a_write_across_two_functions_does_not_reach_the_second),
		TEST(impossible_bars_are_refused_with_a_cause),
		TEST(a_fixed_address_is_kept_and_not_given_to_others),
		TEST(a_bar_of_a_slot_is_told_about_but_not_on_the_bus),
		TEST(a_full_bus_and_a_full_window_are_refused_with_a_cause),
		TEST(a_guest_that_writes_garbage_everywhere_leaves_a_sane_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
