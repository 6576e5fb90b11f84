/* SPDX-License-Identifier: MIT */
/* pvpanic_test.c - a guest's panic reaches the machine. */
#include <linux/pci_regs.h>
#include <misc/pvpanic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/machine/pvpanic.h"

#define CONFIG (PCI_ECAM_START + 0x8000)

struct fixture {
	struct bus *ports, *mmio;
	struct pci_bus *pci;
	struct pvpanic *pvpanic;
	unsigned reports, events;
	uint64_t bar;
};

static void panicked(void *ctx, unsigned events)
{
	struct fixture *f = ctx;

	f->reports++;
	f->events = events;
}

static int make_device(void **state)
{
	struct fixture *f = test_calloc(1, sizeof *f);
	struct error err = { "" };

	assert_int_equal(bus_create(&f->ports), 0);
	assert_int_equal(bus_create(&f->mmio), 0);
	assert_int_equal(pci_bus_create(f->ports, f->mmio, 1ull << 36, 1ull << 36, &f->pci, &err), 0);
	assert_int_equal(bus_add(f->mmio, PCI_ECAM_START, PCI_ECAM_SIZE, &pci_ecam_handler, f->pci), 0);
	assert_int_equal(pvpanic_add(f->pci, panicked, f, &f->pvpanic, &err), 0);
	assert_true(bus_write(f->mmio, CONFIG + PCI_COMMAND, 2, PCI_COMMAND_MEMORY));
	assert_true(bus_read(f->mmio, CONFIG + PCI_BASE_ADDRESS_0, 4, &f->bar));
	*state = f;
	return 0;
}

static int free_device(void **state)
{
	struct fixture *f = *state;

	pvpanic_destroy(f->pvpanic);
	pci_bus_destroy(f->pci);
	bus_destroy(f->mmio);
	bus_destroy(f->ports);
	test_free(f);
	return 0;
}

static void linux_recognises_the_function(void **state)
{
	struct fixture *f = *state;
	uint64_t value;

	assert_true(bus_read(f->mmio, CONFIG, 4, &value));
	assert_int_equal(value, 0x00111b36);
	assert_true(bus_read(f->mmio, f->bar, 1, &value));
	assert_int_equal(value, PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
	assert_true(bus_read(f->mmio, f->bar + 0xff8, 8, &value));
	assert_int_equal(value, 0);
}

static void a_panic_is_reported(void **state)
{
	struct fixture *f = *state;

	assert_true(bus_write(f->mmio, f->bar, 1, PVPANIC_PANICKED));
	assert_int_equal(f->reports, 1);
	assert_int_equal(f->events, PVPANIC_PANICKED);
	assert_true(bus_write(f->mmio, f->bar, 8, UINT64_MAX));
	assert_int_equal(f->reports, 2);
	assert_int_equal(f->events, PVPANIC_PANICKED | PVPANIC_CRASH_LOADED);
}

static void unknown_events_and_other_offsets_are_ignored(void **state)
{
	struct fixture *f = *state;

	assert_true(bus_write(f->mmio, f->bar, 1, 0xfc));
	assert_true(bus_write(f->mmio, f->bar, 1, 0));
	assert_true(bus_write(f->mmio, f->bar + 1, 1, PVPANIC_PANICKED));
	assert_true(bus_write(f->mmio, f->bar + 0xff8, 8, PVPANIC_PANICKED));
	assert_int_equal(f->reports, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_device, free_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(linux_recognises_the_function),
		TEST(a_panic_is_reported),
		TEST(unknown_events_and_other_offsets_are_ignored),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
