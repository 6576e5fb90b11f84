/* SPDX-License-Identifier: MIT */
/*
 * pvpanic.c - see pvpanic.h. Owns only the callback; the function belongs to the bus. Called by machine.c.
 */
#include "core/machine/pvpanic.h"

#include <errno.h>
#include <misc/pvpanic.h>
#include <stdlib.h>

#define PVPANIC_CLASS 0x088000u /* system peripheral, other */
#define PVPANIC_BAR_SIZE 0x1000u
#define PVPANIC_KNOWN (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED)

struct pvpanic {
	void (*panicked)(void *ctx, unsigned events);
	void *ctx;
};

static uint64_t pvpanic_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx, (void)len;
	return offset == 0 ? PVPANIC_KNOWN : 0;
}

static void pvpanic_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	const struct pvpanic *pvpanic = ctx;

	(void)len;
	if (offset == 0 && (value & PVPANIC_KNOWN) != 0)
		pvpanic->panicked(pvpanic->ctx, value & PVPANIC_KNOWN);
}

static const struct bus_handler pvpanic_handler = { .read = pvpanic_read, .write = pvpanic_write };

int pvpanic_add(struct pci_bus *bus, void (*panicked)(void *ctx, unsigned events), void *ctx, struct pvpanic **out,
                struct error *err)
{
	static const struct pci_identity identity = {
		.vendor = PVPANIC_VENDOR,
		.device = PVPANIC_DEVICE,
		.subsystem_vendor = PVPANIC_VENDOR,
		.subsystem = PVPANIC_DEVICE,
		.class_code = PVPANIC_CLASS,
	};
	struct pvpanic *pvpanic = malloc(sizeof *pvpanic);
	struct pci_bar bars[PCI_MAX_BARS] = {
		[0] = { .size = PVPANIC_BAR_SIZE, .handler = &pvpanic_handler, .ctx = pvpanic },
	};
	struct pci_function *function;
	int ret;

	if (pvpanic == NULL)
		return error_set(err, ENOMEM, "no memory for the panic device");
	pvpanic->panicked = panicked;
	pvpanic->ctx = ctx;
	ret = pci_function_add(bus, &identity, bars, NULL, &function, err);
	if (ret < 0) {
		free(pvpanic);
		return ret;
	}
	*out = pvpanic;
	return 0;
}

void pvpanic_destroy(struct pvpanic *pvpanic)
{
	free(pvpanic);
}
