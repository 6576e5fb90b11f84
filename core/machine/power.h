/* SPDX-License-Identifier: MIT */
/*
 * power.h - the ways in which a guest ends its machine, and the button that asks it to: ACPI
 * sleep control (S5), port 0x64, pvpanic; the power button is a Generic Event Device.
 */
#ifndef CAPSA_MACHINE_POWER_H
#define CAPSA_MACHINE_POWER_H

#include "core/base/error.h"
#include "core/machine/bus.h"
#include "core/machine/irq.h"
#include "core/machine/machine.h"
#include "core/machine/pci.h"

/* The keyboard controller's command port, of which only the reset is there. */
#define KEYBOARD_PORT 0x64u
#define KEYBOARD_RESET 0xfeu

struct power;

/* `ended` as in struct machine_setup, on a vCPU's thread. 0 or -errno with err. */
int power_create(struct bus *ports, struct pci_bus *pci, struct irq_router *irq,
                 void (*ended)(void *ctx, enum machine_end end, const char *text), void *ctx, struct power **out,
                 struct error *err);
void power_destroy(struct power *power); /* NULL is fine */
void power_press_button(struct power *power); /* any thread */
/* Whether the guest told of a panic. Any thread. */
bool power_panicked(const struct power *power);

#endif
