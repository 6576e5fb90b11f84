/* SPDX-License-Identifier: MIT */
/*
 * pci-bar.c - where BARs lie: at power-on, and after the guest has moved them (PCI Local Bus 3.0, 6.2.5).
 *
 * THEORY. The registers say what the guest wants; `placed_at` says what it gets. They differ where the place is
 * taken, or is none: then the BAR decodes nowhere, and takes the place as soon as the other has left it. So
 * any order of moves ends in the same state. pci_bars_settle() brings both together in three
 * passes over the bus: leave old places, take new ones, tell the devices. A device is told only when its
 * own effective place has changed, and every loss is told before any gain; a move is both.
 *
 * RAM is not on the bus. A BAR that the guest moves over RAM is shadowed by it (KVM looks at memory slots
 * first), which harms only the guest.
 *
 * Called by pci.c. Owns nothing.
 */
#include <errno.h>

#include "core/machine/pci-private.h"

#define PORT_SPACE 0x10000u
#define LOWEST_PORT_BAR 4u
#define HIGHEST_PORT_BAR 256u
#define LOWEST_MEMORY_BAR 0x1000u
#define HIGHEST_32BIT_BAR 0x80000000u

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b ? b - a < a_size : a - b < b_size;
}

static unsigned bar_register(unsigned bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

/* What the registers hold, whether it decodes or not. */
static uint64_t bar_programmed(const struct pci_function *function, unsigned bar)
{
	const struct pci_bar *setup = &function->bars[bar].setup;
	uint64_t low = pci_get32(function, bar_register(bar));

	if (setup->is_port)
		return low & PCI_BASE_ADDRESS_IO_MASK;
	low &= PCI_BASE_ADDRESS_MEM_MASK;
	if (setup->is_64bit)
		low |= (uint64_t)pci_get32(function, bar_register(bar + 1)) << 32;
	return low;
}

static int bar_check(const struct pci_bar bars[PCI_MAX_BARS], unsigned bar, struct error *err)
{
	const struct pci_bar *setup = &bars[bar];
	uint64_t highest = setup->is_port ? HIGHEST_PORT_BAR : setup->is_64bit ? 1ull << 62 : HIGHEST_32BIT_BAR;
	uint64_t lowest = setup->is_port ? LOWEST_PORT_BAR : LOWEST_MEMORY_BAR;

	if ((setup->size & (setup->size - 1)) != 0 || setup->size < lowest || setup->size > highest)
		return error_set(err, EINVAL, "PCI: BAR %u has 0x%llx bytes: need a power of two from 0x%llx to 0x%llx",
		                 bar, (unsigned long long)setup->size, (unsigned long long)lowest,
		                 (unsigned long long)highest);
	if (setup->is_port && (setup->is_64bit || setup->prefetchable))
		return error_set(err, EINVAL, "PCI: BAR %u holds ports: it cannot be 64-bit or prefetchable", bar);
	if (setup->is_64bit && (bar + 1 == PCI_MAX_BARS || bars[bar + 1].size != 0))
		return error_set(err, EINVAL, "PCI: BAR %u is 64-bit, but the next BAR is not free for its upper half",
		                 bar);
	if (setup->fixed_address % setup->size != 0)
		return error_set(err, EINVAL, "PCI: BAR %u cannot lie at 0x%llx: that is no multiple of its size", bar,
		                 (unsigned long long)setup->fixed_address);
	if (!setup->is_64bit && setup->fixed_address > (setup->is_port ? PORT_SPACE : 1ull << 32) - setup->size)
		return error_set(err, EINVAL, "PCI: BAR %u cannot lie at 0x%llx: its register has too few bits", bar,
		                 (unsigned long long)setup->fixed_address);
	if (setup->fixed_address > UINT64_MAX - setup->size)
		return error_set(err, EINVAL, "PCI: BAR %u cannot lie at 0x%llx: it would wrap", bar,
		                 (unsigned long long)setup->fixed_address);
	return 0;
}

/* The end of a BAR of `function` that [start, start+size) overlaps; 0: none does. */
static uint64_t taken_by(const struct pci_function *function, bool is_port, uint64_t start, uint64_t size)
{
	for (unsigned i = 0; i < PCI_MAX_BARS; i++) {
		const struct pci_bar *other = &function->bars[i].setup;
		uint64_t at;

		if (other->size == 0 || other->is_port != is_port)
			continue;
		at = bar_programmed(function, i);
		if (at != 0 && ranges_overlap(start, size, at, other->size))
			return at + other->size;
	}
	return 0;
}

static uint64_t taken_until(const struct pci_function *function, bool is_port, uint64_t start, uint64_t size)
{
	const struct pci_bus *bus = function->bus;
	uint64_t end = taken_by(function, is_port, start, size);

	for (unsigned i = 0; i < bus->n_functions && end == 0; i++)
		end = taken_by(bus->functions[i], is_port, start, size);
	return end;
}

static int bar_choose(const struct pci_function *function, unsigned bar, uint64_t *address, struct error *err)
{
	const struct pci_bar *setup = &function->bars[bar].setup;
	const struct pci_bus *bus = function->bus;
	const struct pci_window *window = setup->is_port    ? &bus->window_port
	                                  : setup->is_64bit ? &bus->window64
	                                                    : &bus->window32;
	uint64_t size = setup->size, at = window->start, end;

	if (setup->fixed_address != 0) {
		*address = setup->fixed_address;
		if (taken_until(function, setup->is_port, *address, size) != 0)
			return error_set(err, EINVAL, "PCI: BAR %u cannot lie at 0x%llx: another BAR lies there", bar,
			                 (unsigned long long)*address);
		return 0;
	}
	for (;;) {
		if (at > UINT64_MAX - size)
			break;
		at = (at + size - 1) & ~(size - 1);
		if (at - window->start >= window->size || size > window->size - (at - window->start))
			break;
		end = taken_until(function, setup->is_port, at, size);
		if (end == 0) {
			*address = at;
			return 0;
		}
		at = end;
	}
	return error_set(err, ENOSPC,
	                 "PCI: no room for a BAR of 0x%llx bytes in the %s window: use fewer or smaller devices",
	                 (unsigned long long)size, window->name);
}

static void write_mask_set(struct pci_function *function, unsigned offset, uint32_t mask)
{
	for (unsigned i = 0; i < 4; i++)
		function->write_mask[offset + i] = (uint8_t)(mask >> (8 * i));
}

static void bar_program(struct pci_function *function, unsigned bar, uint64_t address)
{
	const struct pci_bar *setup = &function->bars[bar].setup;
	uint64_t mask = ~(setup->size - 1);
	uint32_t flags = PCI_BASE_ADDRESS_SPACE_MEMORY;

	if (setup->is_port) {
		flags = PCI_BASE_ADDRESS_SPACE_IO;
		/* Ports of a PC have 16 bits: the upper half may be hard-wired (6.2.5.1). */
		mask &= PORT_SPACE - 1;
	}
	if (setup->is_64bit)
		flags |= PCI_BASE_ADDRESS_MEM_TYPE_64;
	if (setup->prefetchable)
		flags |= PCI_BASE_ADDRESS_MEM_PREFETCH;
	pci_put32(function, bar_register(bar), (uint32_t)address | flags);
	write_mask_set(function, bar_register(bar), (uint32_t)mask);
	if (setup->is_64bit) {
		pci_put32(function, bar_register(bar + 1), (uint32_t)(address >> 32));
		write_mask_set(function, bar_register(bar + 1), (uint32_t)(mask >> 32));
	}
}

int pci_bars_assign(struct pci_function *function, const struct pci_bar bars[PCI_MAX_BARS], struct error *err)
{
	uint64_t address = 0;
	int ret;

	for (unsigned i = 0; i < PCI_MAX_BARS; i++) {
		if (bars[i].size == 0)
			continue;
		ret = bar_check(bars, i, err);
		if (ret < 0)
			return ret;
		function->bars[i].setup = bars[i];
		ret = bar_choose(function, i, &address, err);
		if (ret < 0)
			return ret;
		bar_program(function, i, address);
	}
	return 0;
}

/* Where the guest wants it to decode; 0: nowhere. Address 0 itself counts as not assigned, as it does for Linux. */
static uint64_t bar_wanted(const struct pci_function *function, unsigned bar)
{
	const struct pci_bar *setup = &function->bars[bar].setup;
	uint16_t needs = setup->is_port ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	uint64_t address;

	if (setup->size == 0 || (pci_get16(function, PCI_COMMAND) & needs) == 0)
		return 0;
	address = bar_programmed(function, bar);
	/* Where the guest wrote all ones to learn the size, the end would wrap. */
	return address > UINT64_MAX - setup->size ? 0 : address;
}

static struct bus *bar_bus(const struct pci_function *function, unsigned bar)
{
	return function->bars[bar].setup.is_port ? function->bus->ports : function->bus->mmio;
}

static void bar_leave(struct pci_function *function, unsigned bar)
{
	struct pci_bar_state *state = &function->bars[bar];

	if (state->placed_at == 0 || state->placed_at == bar_wanted(function, bar))
		return;
	if (state->setup.handler != NULL)
		bus_remove(bar_bus(function, bar), state->placed_at);
	state->placed_at = 0;
}

static void bar_take(struct pci_function *function, unsigned bar)
{
	struct pci_bar_state *state = &function->bars[bar];
	uint64_t wanted = bar_wanted(function, bar);

	if (wanted == state->placed_at)
		return;
	if (state->setup.handler != NULL &&
	    bus_add(bar_bus(function, bar), wanted, state->setup.size, state->setup.handler, state->setup.ctx) < 0)
		return;
	state->placed_at = wanted;
}

static void bar_tell(struct pci_function *function, unsigned bar, uint64_t address)
{
	atomic_store(&function->bars[bar].told_at, address);
	if (function->callbacks.bar_moved != NULL)
		function->callbacks.bar_moved(function->callbacks.ctx, bar, address, address != 0);
}

/* Of a move too: another BAR may have taken the place already, and its device is to find it empty. */
static void bar_tell_loss(struct pci_function *function, unsigned bar)
{
	uint64_t told_at = atomic_load(&function->bars[bar].told_at);

	if (told_at != 0 && told_at != function->bars[bar].placed_at)
		bar_tell(function, bar, 0);
}

static void bar_tell_gain(struct pci_function *function, unsigned bar)
{
	uint64_t placed_at = function->bars[bar].placed_at;

	if (placed_at != 0 && placed_at != atomic_load(&function->bars[bar].told_at))
		bar_tell(function, bar, placed_at);
}

void pci_bars_settle(struct pci_bus *bus)
{
	for (unsigned pass = 0; pass < 4; pass++)
		for (unsigned i = 0; i < bus->n_functions; i++)
			for (unsigned bar = 0; bar < PCI_MAX_BARS; bar++)
				switch (pass) {
				case 0:
					bar_leave(bus->functions[i], bar);
					break;
				case 1:
					bar_take(bus->functions[i], bar);
					break;
				case 2:
					bar_tell_loss(bus->functions[i], bar);
					break;
				case 3:
					bar_tell_gain(bus->functions[i], bar);
					break;
				}
}
