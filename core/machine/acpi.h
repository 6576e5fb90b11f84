/* SPDX-License-Identifier: MIT */
/*
 * acpi.h - the ACPI tables of a machine: hardware-reduced (ACPI 6.4, 4.1), so that no legacy
 * device is expected. RSDP, XSDT, FADT with sleep registers, MADT, MCFG, DSDT.
 */
#ifndef CAPSA_MACHINE_ACPI_H
#define CAPSA_MACHINE_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the tables lie in guest memory: RSDP first. The memory map calls it reserved. */
#define ACPI_START 0xe0000u
#define ACPI_SIZE 0x20000u

/* Sleep control and status registers (ACPI 6.4, 4.8.3.7): two ports. */
#define ACPI_SLEEP_PORT 0x600u
#define ACPI_SLEEP_ENABLE 0x20u /* SLP_EN; SLP_TYP is bits 2..4 */
#define ACPI_SLEEP_TYPE_S5 5u
/* IOAPIC pin of the Generic Event Device that carries the power button. */
#define ACPI_POWER_BUTTON_PIN 20u

struct acpi_setup {
	unsigned cpus; /* local APIC identifiers 0..cpus-1 */
	uint64_t window64_start, window64_size; /* 64-bit PCI window */
	bool serial; /* a 16550 at 0x3f8, IRQ 4 */
};

/* Writes the tables into `room` bytes that the guest sees at ACPI_START. Asserts that they fit (254 CPUs do). */
void acpi_write(const struct acpi_setup *setup, uint8_t *to, size_t room);

#endif
