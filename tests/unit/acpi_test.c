/* SPDX-License-Identifier: MIT */
/*
 * acpi_test.c - the ACPI tables as a guest reads them, and the AML in the DSDT byte by byte. Offsets are ACPI 6.4's.
 *
 *   acpi_test dump FOLDER     writes the tables to files instead, for acpi-tables.sh and a person with iasl
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/machine/acpi.h"
#include "core/machine/aml.h"
#include "core/machine/pci.h"

#define HEADER 36u /* of every table but the RSDP */

static uint8_t memory[ACPI_SIZE];

static uint64_t get(const uint8_t *at, unsigned len)
{
	uint64_t value = 0;

	memcpy(&value, at, len);
	return value;
}

static const uint8_t *at_address(uint64_t address, size_t len)
{
	assert_true(address >= ACPI_START && address - ACPI_START <= sizeof memory - len);
	return memory + (address - ACPI_START);
}

static unsigned sum(const uint8_t *bytes, size_t len)
{
	unsigned total = 0;

	while (len--)
		total += *bytes++;
	return total & 0xff;
}

/* A table that is whole: its signature, its length within the room, its checksum. */
static const uint8_t *table_at(uint64_t address, const char *signature)
{
	const uint8_t *table = at_address(address, HEADER);

	assert_memory_equal(table, signature, 4);
	at_address(address, get(table + 4, 4));
	assert_int_equal(sum(table, get(table + 4, 4)), 0);
	return table;
}

/* By way of RSDP and XSDT. */
static const uint8_t *table(const char *signature)
{
	const uint8_t *xsdt;

	assert_memory_equal(memory, "RSD PTR ", 8);
	assert_int_equal(memory[15], 2);
	assert_int_equal(sum(memory, 20), 0);
	assert_int_equal(sum(memory, get(memory + 20, 4)), 0);
	xsdt = table_at(get(memory + 24, 8), "XSDT");
	for (uint64_t at = HEADER; at < get(xsdt + 4, 4); at += 8)
		if (memcmp(at_address(get(xsdt + at, 8), HEADER), signature, 4) == 0)
			return table_at(get(xsdt + at, 8), signature);
	fail_msg("there is no %s", signature);
	return NULL;
}

static void write_tables(unsigned cpus, bool serial)
{
	const struct acpi_setup setup = {
		.cpus = cpus,
		.window64_start = 0x4000000000,
		.window64_size = 0x2000000000,
		.serial = serial,
	};

	memset(memory, 0xee, sizeof memory);
	acpi_write(&setup, memory, sizeof memory);
}

static const uint8_t *dsdt(void)
{
	return table_at(get(table("FACP") + 140, 8), "DSDT");
}

static bool dsdt_has(const void *bytes, size_t len)
{
	return memmem(dsdt(), get(dsdt() + 4, 4), bytes, len) != NULL;
}

/* ---- tables ---- */

static void the_machine_is_hardware_reduced(void **state)
{
	const uint8_t *fadt;

	(void)state;
	write_tables(1, false);
	fadt = table("FACP");
	assert_true(get(fadt + 112, 4) & 1u << 20);  /* HW_REDUCED_ACPI */
	assert_int_equal(get(fadt + 109, 2) & 3, 0); /* neither legacy devices nor an 8042 */
	assert_int_equal(get(fadt + 46, 2), 0);      /* SCI_INT */
	assert_int_equal(get(fadt + 56, 4), 0);      /* PM1a_EVT_BLK */
}

static void sleep_registers_are_ports(void **state)
{
	const uint8_t *fadt;

	(void)state;
	write_tables(1, false);
	fadt = table("FACP");
	for (unsigned i = 0; i < 2; i++) {
		const uint8_t *address = fadt + 244 + 12 * i;

		assert_int_equal(address[0], 1); /* system I/O */
		assert_int_equal(address[1], 8); /* bits */
		assert_int_equal(get(address + 4, 8), ACPI_SLEEP_PORT + i);
	}
}

static void each_processor_has_its_entry(void **state)
{
	static const unsigned counts[] = { 1, 2, 4, 254 };

	(void)state;
	for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
		unsigned cpus = 0, ioapics = 0;
		const uint8_t *madt;

		write_tables(counts[i], false);
		madt = table("APIC");
		assert_int_equal(get(madt + 36, 4), 0xfee00000);
		for (uint64_t at = 44; at < get(madt + 4, 4); at += madt[at + 1]) {
			assert_true(madt[at + 1] >= 8);
			if (madt[at] == 0) {
				assert_int_equal(madt[at + 3], cpus); /* APIC identifier */
				assert_int_equal(get(madt + at + 4, 4), 1);
				cpus++;
			} else {
				assert_int_equal(madt[at], 1);
				assert_int_equal(get(madt + at + 4, 4), 0xfec00000);
				assert_int_equal(get(madt + at + 8, 4), 0);
				ioapics++;
			}
		}
		assert_int_equal(cpus, counts[i]);
		assert_int_equal(ioapics, 1);
	}
}

static void the_ecam_is_announced_for_one_bus(void **state)
{
	const uint8_t *mcfg;

	(void)state;
	write_tables(1, false);
	mcfg = table("MCFG");
	assert_int_equal(get(mcfg + 4, 4), HEADER + 8 + 16);
	assert_true(get(mcfg + 44, 8) == PCI_ECAM_START);
	assert_int_equal(get(mcfg + 52, 2), 0);
	assert_int_equal(mcfg[54], 0);
	assert_int_equal(mcfg[55], 0);
}

static void the_dsdt_names_the_windows(void **state)
{
	const uint64_t first = 0x4000000000, last = 0x5fffffffff;

	(void)state;
	write_tables(1, false);
	assert_true(dsdt_has(&first, 8));
	assert_true(dsdt_has(&last, 8));
	assert_true(dsdt_has("PCI0", 4) && dsdt_has("PWRB", 4) && dsdt_has("ACPI0013", 8));
}

static void a_serial_port_is_announced_where_there_is_one(void **state)
{
	(void)state;
	write_tables(1, false);
	assert_false(dsdt_has("COM1", 4));
	write_tables(1, true);
	assert_true(dsdt_has("COM1", 4));
	assert_int_equal(get(table("FACP") + 109, 2) & 1, 1); /* legacy devices */
}

/* ---- AML ---- */

static struct aml aml;
static uint8_t aml_room[256];

static int begin(void **state)
{
	(void)state;
	aml = (struct aml){ .data = aml_room, .room = sizeof aml_room };
	return 0;
}

static void assert_aml(const void *bytes, size_t len)
{
	assert_false(aml.overflow);
	assert_int_equal(aml.used, len);
	assert_memory_equal(aml_room, bytes, len);
	begin(NULL);
}

static void integers_take_the_shortest_form(void **state)
{
	(void)state;
	aml_integer(&aml, 0);
	aml_integer(&aml, 1);
	assert_aml("\x00\x01", 2);
	aml_integer(&aml, 2);
	aml_integer(&aml, 0xff);
	assert_aml("\x0a\x02\x0a\xff", 4);
	aml_integer(&aml, 0x100);
	assert_aml("\x0b\x00\x01", 3);
	aml_integer(&aml, 0x10000);
	assert_aml("\x0c\x00\x00\x01\x00", 5);
	aml_integer(&aml, 0x100000000);
	assert_aml("\x0e\x00\x00\x00\x00\x01\x00\x00\x00", 9);
}

static void paths_may_have_a_root_and_two_segments(void **state)
{
	(void)state;
	aml_path(&aml, "_HID");
	assert_aml("_HID", 4);
	aml_path(&aml, "\\_SB_");
	assert_aml("\\_SB_", 5);
	aml_path(&aml, "\\_SB_.PWRB");
	assert_aml("\\\x2e_SB_PWRB", 10);
}

static void eisa_identifiers_are_compressed(void **state)
{
	(void)state;
	aml_eisa_id(&aml, "PNP0A03");
	assert_aml("\x0c\x41\xd0\x0a\x03", 5);
	aml_eisa_id(&aml, "PNP0C0C");
	assert_aml("\x0c\x41\xd0\x0c\x0c", 5);
}

static void a_package_knows_its_length(void **state)
{
	struct aml_package device, method;

	(void)state;
	device = aml_device(&aml, "DEV0");
	method = aml_method(&aml, "_EVT", 1);
	aml_end(&aml, method);
	aml_end(&aml, device);
	/* Four bytes of length, then 4 + 10 for the device; four, then five for the method. */
	assert_aml("\x5b\x82\xc2\x01\x00\x00"
	           "DEV0"
	           "\x14\xc9\x00\x00\x00"
	           "_EVT\x01",
	           20);
}

static void a_resource_template_ends_with_its_tag(void **state)
{
	struct aml_resources resources = aml_resources(&aml);

	(void)state;
	aml_resource_edge_interrupt(&aml, 20);
	aml_resources_end(&aml, resources);
	assert_aml("\x11\xc2\x01\x00\x00\x0b\x0b\x00"
	           "\x89\x06\x00\x03\x01\x14\x00\x00\x00"
	           "\x79\x00",
	           19);
}

static void what_does_not_fit_is_said_and_not_written(void **state)
{
	struct aml_package package;

	(void)state;
	memset(aml_room, 0, sizeof aml_room);
	aml.room = 16;
	package = aml_scope(&aml, "\\_SB_");
	aml_string(&aml, "more than sixteen bytes");
	assert_true(aml.overflow);
	aml_integer(&aml, 1);
	aml_end(&aml, package);
	for (unsigned i = 16; i < sizeof aml_room; i++)
		assert_int_equal(aml_room[i], 0);
}

/* ---- for iasl ---- */

static int dump_one(const char *folder, const char *name, const uint8_t *bytes)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s.aml", folder, name);
	file = fopen(path, "wb");
	if (!file || fwrite(bytes, get(bytes + 4, 4), 1, file) != 1)
		return 1;
	return fclose(file);
}

static int dump(const char *folder)
{
	static const char *const names[] = { "FACP", "APIC", "MCFG" };
	int failed = 0;

	write_tables(4, true);
	for (unsigned i = 0; i < 3; i++)
		failed |= dump_one(folder, names[i], table(names[i]));
	return failed | dump_one(folder, "DSDT", dsdt());
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_machine_is_hardware_reduced),
		cmocka_unit_test(sleep_registers_are_ports),
		cmocka_unit_test(each_processor_has_its_entry),
		cmocka_unit_test(the_ecam_is_announced_for_one_bus),
		cmocka_unit_test(the_dsdt_names_the_windows),
		cmocka_unit_test(a_serial_port_is_announced_where_there_is_one),
		cmocka_unit_test_setup(integers_take_the_shortest_form, begin),
		cmocka_unit_test_setup(paths_may_have_a_root_and_two_segments, begin),
		cmocka_unit_test_setup(eisa_identifiers_are_compressed, begin),
		cmocka_unit_test_setup(a_package_knows_its_length, begin),
		cmocka_unit_test_setup(a_resource_template_ends_with_its_tag, begin),
		cmocka_unit_test_setup(what_does_not_fit_is_said_and_not_written, begin),
	};

	if (argc == 3 && strcmp(argv[1], "dump") == 0)
		return dump(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
