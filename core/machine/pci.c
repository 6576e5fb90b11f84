/* SPDX-License-Identifier: MIT */
/*
 * pci.c - see pci.h: bus 0, its functions, and writes to their configuration space. Where BARs lie: pci-bar.c.
 *
 * THEORY. The ECAM is 256 pages, one a function, all ones where there is none; device N is function 0 of page
 * 8 * N and has no other functions. The guest reads the pages themselves. A write arrives with any offset and
 * length: it is clipped to one function, merged under the function's write mask a dword at a time (so that no
 * reader sees half a register), and only then looked at: did it touch the command register or a
 * BAR, or what lies from 0x40 on, where the device's capabilities are? No bit has another effect
 * (no status bit is ever set that a write would have to clear).
 *
 * Owns the ECAM and the functions. Called by machine.c and devices (main thread) to build, by vCPU threads to write.
 */
#include "core/machine/pci.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/machine/pci-private.h"

#define FUNCTION_SIZE PCI_CFG_SPACE_EXP_SIZE
#define FUNCTIONS_OF_A_DEVICE 8u
#define HOST_BRIDGE_VENDOR 0x1b36u /* Red Hat */
#define HOST_BRIDGE_DEVICE 0x0008u /* generic PCIe host bridge */
#define HOST_BRIDGE_CLASS 0x060000u
#define COMMAND_WRITABLE (PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE)

/*
 * No device answers: all ones (6.1). Only in the header of function 0, where a guest looks whether there is a device:
 * to fill the whole ECAM would cost 1 MiB, and all else reads as zeros, which is no vendor either.
 */
static void function_absent(uint8_t *config)
{
	memset(config, 0xff, PCI_STD_HEADER_SIZEOF);
}

int pci_bus_create(struct bus *ports, struct bus *mmio, uint64_t window64_start, uint64_t window64_size,
                   struct pci_bus **out, struct error *err)
{
	static const struct pci_identity host_bridge = {
		.vendor = HOST_BRIDGE_VENDOR,
		.device = HOST_BRIDGE_DEVICE,
		.class_code = HOST_BRIDGE_CLASS,
	};
	static const struct pci_bar no_bars[PCI_MAX_BARS];
	struct pci_function *function;
	struct pci_bus *bus;
	int ret;

	bus = calloc(1, sizeof *bus);
	if (bus == NULL)
		return error_set(err, ENOMEM, "no memory for the PCI bus");
	bus->ecam = mmap(NULL, PCI_ECAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (bus->ecam == MAP_FAILED) {
		ret = error_set(err, errno, "no memory for PCI configuration space: %s", strerror(errno));
		free(bus);
		return ret;
	}
	for (unsigned slot = 0; slot < PCI_MAX_FUNCTIONS; slot++)
		function_absent(bus->ecam + (size_t)slot * FUNCTIONS_OF_A_DEVICE * FUNCTION_SIZE);
	pthread_mutex_init(&bus->lock, NULL);
	bus->ports = ports;
	bus->mmio = mmio;
	bus->window32 = (struct pci_window){ "32-bit", PCI_WINDOW32_START, PCI_WINDOW32_SIZE };
	bus->window64 = (struct pci_window){ "64-bit", window64_start, window64_size };
	bus->window_port = (struct pci_window){ "port", PCI_WINDOW_PORT_START, PCI_WINDOW_PORT_SIZE };
	ret = pci_function_add(bus, &host_bridge, no_bars, NULL, &function, err);
	if (ret < 0) {
		pci_bus_destroy(bus);
		return ret;
	}
	*out = bus;
	return 0;
}

void pci_bus_destroy(struct pci_bus *bus)
{
	if (bus == NULL)
		return;
	for (unsigned i = 0; i < bus->n_functions; i++)
		free(bus->functions[i]);
	munmap(bus->ecam, PCI_ECAM_SIZE);
	pthread_mutex_destroy(&bus->lock);
	free(bus);
}

uint8_t *pci_bus_ecam(struct pci_bus *bus)
{
	return bus->ecam;
}

uint64_t pci_bus_window64_start(const struct pci_bus *bus)
{
	return bus->window64.start;
}

uint64_t pci_bus_window64_size(const struct pci_bus *bus)
{
	return bus->window64.size;
}

static void identity_write(struct pci_function *function, const struct pci_identity *identity)
{
	pci_put16(function, PCI_VENDOR_ID, identity->vendor);
	pci_put16(function, PCI_DEVICE_ID, identity->device);
	pci_put32(function, PCI_CLASS_REVISION, identity->class_code << 8 | identity->revision);
	pci_put16(function, PCI_SUBSYSTEM_VENDOR_ID, identity->subsystem_vendor);
	pci_put16(function, PCI_SUBSYSTEM_ID, identity->subsystem);
}

int pci_function_add(struct pci_bus *bus, const struct pci_identity *identity, const struct pci_bar bars[PCI_MAX_BARS],
                     const struct pci_callbacks *callbacks, struct pci_function **out, struct error *err)
{
	struct pci_function *function;
	int ret;

	if (bus->n_functions == PCI_MAX_FUNCTIONS)
		return error_set(err, ENOSPC, "PCI: bus 0 has no free device number: use fewer than %u devices",
		                 PCI_MAX_FUNCTIONS);
	function = calloc(1, sizeof *function);
	if (function == NULL)
		return error_set(err, ENOMEM, "no memory for a PCI function");
	function->bus = bus;
	function->slot = bus->n_functions;
	function->config = bus->ecam + (size_t)function->slot * FUNCTIONS_OF_A_DEVICE * FUNCTION_SIZE;
	function->capabilities_end = PCI_STD_HEADER_SIZEOF;
	if (callbacks != NULL)
		function->callbacks = *callbacks;
	memset(function->config, 0, FUNCTION_SIZE);
	ret = pci_bars_assign(function, bars, err);
	if (ret < 0) {
		function_absent(function->config);
		free(function);
		return ret;
	}
	function->write_mask[PCI_COMMAND] = COMMAND_WRITABLE & 0xff;
	function->write_mask[PCI_COMMAND + 1] = COMMAND_WRITABLE >> 8;
	function->write_mask[PCI_CACHE_LINE_SIZE] = 0xff;
	function->write_mask[PCI_INTERRUPT_LINE] = 0xff;
	identity_write(function, identity);

	pthread_mutex_lock(&bus->lock);
	bus->functions[bus->n_functions++] = function;
	pthread_mutex_unlock(&bus->lock);
	*out = function;
	return 0;
}

unsigned pci_function_slot(const struct pci_function *function)
{
	return function->slot;
}

uint8_t *pci_function_config(struct pci_function *function)
{
	return function->config;
}

uint64_t pci_function_bar(const struct pci_function *function, unsigned bar)
{
	return bar < PCI_MAX_BARS ? atomic_load(&function->bars[bar].told_at) : 0;
}

int pci_function_add_capability(struct pci_function *function, uint8_t id, const void *data, unsigned len,
                                const void *write_mask)
{
	unsigned offset = function->capabilities_end, previous = function->last_capability;

	assert(len >= PCI_CAP_SIZEOF - 2);
	if (len > PCI_CFG_SPACE_SIZE - offset)
		return -ENOSPC;
	memcpy(function->config + offset, data, len);
	function->config[offset + PCI_CAP_LIST_ID] = id;
	function->config[offset + PCI_CAP_LIST_NEXT] = 0;
	if (write_mask != NULL)
		memcpy(function->write_mask + offset, write_mask, len);
	function->write_mask[offset + PCI_CAP_LIST_ID] = 0;
	function->write_mask[offset + PCI_CAP_LIST_NEXT] = 0;
	function->config[previous != 0 ? previous + PCI_CAP_LIST_NEXT : PCI_CAPABILITY_LIST] = (uint8_t)offset;
	pci_put16(function, PCI_STATUS, PCI_STATUS_CAP_LIST);
	function->last_capability = offset;
	function->capabilities_end = (offset + len + 3) & ~3u;
	return (int)offset;
}

/* Merges the bytes of [offset, end) that the guest may write; whether any changed. */
static bool config_merge(struct pci_function *function, unsigned offset, unsigned end, uint64_t value)
{
	bool changed = false;

	for (unsigned dword = offset & ~3u; dword < end; dword += 4) {
		uint32_t old = pci_get32(function, dword), bits = 0, mask = 0, merged;

		for (unsigned i = 0; i < 4; i++) {
			unsigned at = dword + i;

			if (at < offset || at >= end)
				continue;
			bits |= (uint32_t)((value >> (8 * (at - offset))) & 0xff) << (8 * i);
			mask |= (uint32_t)function->write_mask[at] << (8 * i);
		}
		merged = (old & ~mask) | (bits & mask);
		if (merged == old)
			continue;
		pci_put32(function, dword, merged);
		changed = true;
	}
	return changed;
}

static bool touches(unsigned offset, unsigned end, unsigned start, unsigned size)
{
	return offset < start + size && start < end;
}

static void config_write(struct pci_function *function, unsigned offset, unsigned len, uint64_t value)
{
	/* Nothing in extended configuration space is writable. */
	unsigned end = offset + len < PCI_CFG_SPACE_SIZE ? offset + len : PCI_CFG_SPACE_SIZE;
	unsigned from = offset > PCI_STD_HEADER_SIZEOF ? offset : PCI_STD_HEADER_SIZEOF;

	if (offset >= end)
		return;
	if (config_merge(function, offset, end, value) &&
	    (touches(offset, end, PCI_COMMAND, 2) || touches(offset, end, PCI_BASE_ADDRESS_0, 4 * PCI_MAX_BARS)))
		pci_bars_settle(function->bus);
	if (from < end && function->callbacks.config_written != NULL)
		function->callbacks.config_written(function->callbacks.ctx, from, end - from);
}

static void ecam_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct pci_bus *bus = ctx;
	uint64_t page = offset / FUNCTION_SIZE, slot = page / FUNCTIONS_OF_A_DEVICE;

	if (page % FUNCTIONS_OF_A_DEVICE != 0)
		return;
	pthread_mutex_lock(&bus->lock);
	if (slot < bus->n_functions)
		config_write(bus->functions[slot], (unsigned)(offset % FUNCTION_SIZE), len, value);
	pthread_mutex_unlock(&bus->lock);
}

static uint64_t ecam_read(void *ctx, uint64_t offset, unsigned len)
{
	struct pci_bus *bus = ctx;
	uint64_t value = 0;

	if (len > sizeof value || offset > PCI_ECAM_SIZE - len)
		return UINT64_MAX;
	pthread_mutex_lock(&bus->lock);
	memcpy(&value, bus->ecam + offset, len);
	pthread_mutex_unlock(&bus->lock);
	return value;
}

const struct bus_handler pci_ecam_handler = { .read = ecam_read, .write = ecam_write };
