/* SPDX-License-Identifier: MIT */
/* power_test.c - how a guest ends its machine: sleep register, keyboard controller, pvpanic; and the power button. */
#include <linux/pci_regs.h>
#include <misc/pvpanic.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include <cmocka.h>

#include "core/machine/acpi.h"
#include "core/machine/power.h"
#include "core/machine/pvpanic.h"

#define WINDOW64_START 0x4000000000ull
#define WINDOW64_SIZE 0x4000000000ull
#define S5 (ACPI_SLEEP_ENABLE | ACPI_SLEEP_TYPE_S5 << 2)

static struct bus *ports, *mmio;
static struct pci_bus *pci;
static struct irq_router *irq;
static struct power *power;
static unsigned ends;
static enum machine_end last_end;

static void ended(void *ctx, enum machine_end end, const char *text)
{
	(void)ctx;
	assert_null(text);
	ends++;
	last_end = end;
}

static int setup(void **state)
{
	struct error err = { .text = "" };

	(void)state;
	ends = 0;
	assert_int_equal(bus_create(&ports), 0);
	assert_int_equal(bus_create(&mmio), 0);
	assert_int_equal(pci_bus_create(ports, mmio, WINDOW64_START, WINDOW64_SIZE, &pci, &err), 0);
	assert_int_equal(irq_router_create(-1, &irq, &err), 0);
	assert_int_equal(power_create(ports, pci, irq, ended, NULL, &power, &err), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	power_destroy(power);
	irq_router_destroy(irq);
	pci_bus_destroy(pci);
	bus_destroy(mmio);
	bus_destroy(ports);
	return 0;
}

static void the_sleep_register_powers_off(void **state)
{
	(void)state;
	bus_write(ports, ACPI_SLEEP_PORT, 1, S5);
	assert_int_equal(ends, 1);
	assert_int_equal(last_end, MACHINE_POWERED_OFF);
}

static void other_sleep_states_do_nothing(void **state)
{
	uint64_t value;

	(void)state;
	for (unsigned i = 0; i < 256; i++)
		if ((i & (ACPI_SLEEP_ENABLE | 7 << 2)) != S5)
			bus_write(ports, ACPI_SLEEP_PORT, 1, i);
	bus_write(ports, ACPI_SLEEP_PORT + 1, 1, S5); /* the status register */
	assert_int_equal(ends, 0);
	bus_read(ports, ACPI_SLEEP_PORT, 1, &value);
	assert_int_equal(value, 0);
}

static void the_keyboard_controller_resets(void **state)
{
	uint64_t value;

	(void)state;
	bus_read(ports, KEYBOARD_PORT, 1, &value);
	assert_int_equal(value, 0); /* ready for a command */
	bus_write(ports, KEYBOARD_PORT, 1, 0xaa);
	assert_int_equal(ends, 0);
	bus_write(ports, KEYBOARD_PORT, 1, KEYBOARD_RESET);
	assert_int_equal(ends, 1);
	assert_int_equal(last_end, MACHINE_RESET);
}

static uint64_t config_at(unsigned slot, unsigned offset)
{
	return ((uint64_t)slot << 15) + offset;
}

static void a_panic_is_remembered_and_ends_nothing(void **state)
{
	const unsigned slot = 1;
	uint64_t bar;

	(void)state;
	assert_int_equal(pci_ecam_handler.read(pci, config_at(slot, PCI_VENDOR_ID), 2), PVPANIC_VENDOR);
	pci_ecam_handler.write(pci, config_at(slot, PCI_COMMAND), 2, PCI_COMMAND_MEMORY);
	bar = pci_ecam_handler.read(pci, config_at(slot, PCI_BASE_ADDRESS_0), 4) & (uint64_t)PCI_BASE_ADDRESS_MEM_MASK;
	assert_false(power_panicked(power));
	assert_true(bus_write(mmio, bar, 1, PVPANIC_CRASH_LOADED));
	assert_false(power_panicked(power));
	assert_true(bus_write(mmio, bar, 1, PVPANIC_PANICKED));
	assert_true(power_panicked(power));
	assert_int_equal(ends, 0);
}

static void the_button_pulses_its_line(void **state)
{
	struct error err;
	eventfd_t n;
	int line;

	(void)state;
	assert_int_equal(irq_line(irq, ACPI_POWER_BUTTON_PIN, &line, &err), 0);
	power_press_button(power);
	assert_int_equal(eventfd_read(line, &n), 0);
	assert_int_equal(n, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_sleep_register_powers_off),
		TEST(other_sleep_states_do_nothing),
		TEST(the_keyboard_controller_resets),
		TEST(a_panic_is_remembered_and_ends_nothing),
		TEST(the_button_pulses_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
