/* SPDX-License-Identifier: MIT */
/* power.c - see power.h. Owned by machine.c; handlers run on vCPU threads. */
#include "core/machine/power.h"

#include <errno.h>
#include <misc/pvpanic.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/machine/acpi.h"
#include "core/machine/pvpanic.h"

struct power {
	struct bus *ports;
	struct pvpanic *pvpanic;
	int button_fd;
	atomic_bool panicked;
	void (*ended)(void *ctx, enum machine_end end, const char *text);
	void *ctx;
};

static uint64_t sleep_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0;
}

static void sleep_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct power *p = ctx;

	(void)len;
	if (offset == 0 && (value & ACPI_SLEEP_ENABLE) && (value >> 2 & 7) == ACPI_SLEEP_TYPE_S5)
		p->ended(p->ctx, MACHINE_POWERED_OFF, NULL);
}

static const struct bus_handler sleep_handler = { .read = sleep_read, .write = sleep_write };

/* Linux asks the keyboard controller for a reset before it tries a triple fault (reboot=k). */
static uint64_t keyboard_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0; /* input buffer empty: a command may be written */
}

static void keyboard_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct power *p = ctx;

	(void)offset;
	(void)len;
	if ((value & 0xff) == KEYBOARD_RESET)
		p->ended(p->ctx, MACHINE_RESET, NULL);
}

static const struct bus_handler keyboard_handler = { .read = keyboard_read, .write = keyboard_write };

static void panic_told(void *ctx, unsigned events)
{
	struct power *p = ctx;

	if (events & PVPANIC_PANICKED)
		atomic_store(&p->panicked, true);
}

int power_create(struct bus *ports, struct pci_bus *pci, struct irq_router *irq,
                 void (*ended)(void *ctx, enum machine_end end, const char *text), void *ctx, struct power **out,
                 struct error *err)
{
	struct power *p = calloc(1, sizeof *p);
	int rc;

	if (!p)
		return error_set(err, ENOMEM, "no memory for the machine");
	p->ports = ports;
	p->ended = ended;
	p->ctx = ctx;
	rc = irq_line(irq, ACPI_POWER_BUTTON_PIN, &p->button_fd, err);
	if (rc)
		goto fail;
	rc = bus_add(ports, ACPI_SLEEP_PORT, 2, &sleep_handler, p);
	if (!rc)
		rc = bus_add(ports, KEYBOARD_PORT, 1, &keyboard_handler, p);
	if (rc) {
		error_set(err, -rc, "cannot place the power registers: %s", strerror(-rc));
		goto fail;
	}
	rc = pvpanic_add(pci, panic_told, p, &p->pvpanic, err);
	if (rc)
		goto fail;
	*out = p;
	return 0;

fail:
	power_destroy(p);
	return rc;
}

void power_destroy(struct power *p)
{
	if (!p)
		return;
	bus_remove(p->ports, ACPI_SLEEP_PORT);
	bus_remove(p->ports, KEYBOARD_PORT);
	pvpanic_destroy(p->pvpanic);
	free(p);
}

void power_press_button(struct power *p)
{
	uint64_t one = 1;

	if (write(p->button_fd, &one, sizeof one) < 0)
		return; /* the counter is full: a press is pending */
}

bool power_panicked(const struct power *p)
{
	return atomic_load(&p->panicked);
}
