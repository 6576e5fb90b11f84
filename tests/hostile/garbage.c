/* SPDX-License-Identifier: MIT */
/* garbage.c - see garbage.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/hostile/garbage.h"

#define TABLE_SIZE 17u
#define DATA_SIZE 4096u
#define MEMORY_PLACE PCI_WINDOW32_START

/* xorshift64* */
static uint64_t chaos(struct garbage *g)
{
	g->state ^= g->state >> 12;
	g->state ^= g->state << 25;
	g->state ^= g->state >> 27;
	return g->state * 0x2545f4914f6cdd1d;
}

uint64_t below(struct garbage *g, uint64_t limit)
{
	return chaos(g) % limit;
}

/* Values that are more likely to hurt than others. */
static uint64_t nasty(struct garbage *g)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		3,
		7,
		8,
		15,
		16,
		17,
		0x7f,
		0x80,
		0xff,
		0x1000,
		0x7fff,
		0x8000,
		0xffff,
		0x10000,
		0x7fffffff,
		0x80000000,
		UINT32_MAX,
		1ull << 32,
		1ull << 63,
		UINT64_MAX,
		UINT64_MAX - 8,
		0xfee00000, /* local APIC */
		0xfec00000, /* IOAPIC */
		PCI_ECAM_START,
		BOARD_MEMORY / 2,
		BOARD_MEMORY - 8,
		BOARD_MEMORY,
		MEMORY_HOLE_START,
		MEMORY_HOLE_END,
	};
	uint64_t pick = chaos(g);

	if (pick & 1)
		return values[(pick >> 8) % (sizeof values / sizeof values[0])];
	return chaos(g) >> (chaos(g) & 63);
}

static unsigned any_width(struct garbage *g)
{
	return 1u << below(g, 4);
}

void garbage_to_config(struct garbage *g)
{
	/* Functions that are not there, and past the end of one, too. */
	unsigned slot = below(g, 4) ? g->driver.slot : (unsigned)below(g, PCI_MAX_FUNCTIONS);
	unsigned offset = (unsigned)below(g, below(g, 8) ? PCI_CFG_SPACE_SIZE : 2 * PCI_CFG_SPACE_EXP_SIZE);

	guest_config_write(g->board, slot, offset, any_width(g), nasty(g));
}

void garbage_to_bar(struct garbage *g)
{
	uint64_t at = driver_bar(&g->driver, 0) + below(g, below(g, 4) ? 0x4100 : 0x8010);

	if (below(g, 3))
		guest_write(g->board, at, any_width(g), nasty(g));
	else
		guest_read(g->board, at, any_width(g));
}

void garbage_to_registers(struct garbage *g)
{
	static const unsigned registers[] = {
		VIRTIO_PCI_COMMON_DFSELECT,  VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_PCI_COMMON_GF,
		VIRTIO_PCI_COMMON_MSIX,      VIRTIO_PCI_COMMON_STATUS,   VIRTIO_PCI_COMMON_Q_SELECT,
		VIRTIO_PCI_COMMON_Q_SIZE,    VIRTIO_PCI_COMMON_Q_MSIX,   VIRTIO_PCI_COMMON_Q_ENABLE,
		VIRTIO_PCI_COMMON_Q_DESCLO,  VIRTIO_PCI_COMMON_Q_DESCHI, VIRTIO_PCI_COMMON_Q_AVAILLO,
		VIRTIO_PCI_COMMON_Q_AVAILHI, VIRTIO_PCI_COMMON_Q_USEDLO, VIRTIO_PCI_COMMON_Q_USEDHI,
	};

	driver_set(&g->driver, registers[below(g, sizeof registers / sizeof registers[0])], nasty(g));
}

void garbage_to_msix(struct garbage *g)
{
	guest_write(g->board, g->driver.msix_table + below(g, 0x1000), any_width(g), nasty(g));
}

void garbage_to_ports(struct garbage *g)
{
	guest_out(g->board, (unsigned)below(g, 0x10000), 1u << below(g, 3), nasty(g));
	guest_in(g->board, (unsigned)below(g, 0x10000), 1u << below(g, 3));
}

void garbage_to_ring(struct garbage *g)
{
	struct ring *ring = &g->rings[below(g, g->n_rings)];
	bool indirect = below(g, 3) == 0;
	uint16_t size = indirect ? TABLE_SIZE : ring->size, at = (uint16_t)below(g, size);
	struct vring_desc desc = {
		.addr = below(g, 4) ? below(g, 3) ? g->data + below(g, DATA_SIZE) : g->table_at : nasty(g),
		.len = (uint32_t)(below(g, 4) ? below(g, 3) ? below(g, 64) : below(g, TABLE_SIZE + 1) * sizeof desc
		                              : nasty(g)),
		.flags = (uint16_t)(below(g, 8) ? below(g, 8) : nasty(g)),
		.next = (uint16_t)(below(g, 8) ? below(g, size) : nasty(g)),
	};

	if (indirect)
		g->table[at] = desc;
	else
		ring->desc[at] = desc;
	if (below(g, 4))
		ring_offer(ring, (uint16_t)(below(g, 16) ? below(g, ring->size) : nasty(g)));
	if (below(g, 64) == 0)
		ring->avail->idx = (uint16_t)nasty(g);
	if (below(g, 4) == 0) {
		*ring_used_event(ring) = (uint16_t)nasty(g);
		ring->avail->flags = (uint16_t)nasty(g);
	}
	ring_notify(ring);
}

void garbage_to_rings_as_bytes(struct garbage *g)
{
	struct ring *ring = &g->rings[below(g, g->n_rings)];
	uint8_t *bytes = (uint8_t *)ring->desc;
	size_t size = ring->size * sizeof *ring->desc;

	for (unsigned i = 0; i < 8; i++)
		bytes[below(g, size)] = (uint8_t)chaos(g);
	ring_notify(ring);
}

void garbage_restore(struct garbage *g)
{
	unsigned slot = g->driver.slot;

	for (unsigned bar = 0; bar < PCI_MAX_BARS; bar++) {
		unsigned at = PCI_BASE_ADDRESS_0 + 4 * bar;
		uint64_t low = guest_config_read(g->board, slot, at, 4);

		/* A place of its own, 1 MiB for each. */
		guest_config_write(g->board, slot, at, 4,
		                   MEMORY_PLACE + ((uint64_t)slot * PCI_MAX_BARS + bar) * 0x100000);
		if ((low & 0xf) == PCI_BASE_ADDRESS_MEM_TYPE_64)
			guest_config_write(g->board, slot, PCI_BASE_ADDRESS_0 + 4 * ++bar, 4, 0);
	}
	driver_find(&g->driver, g->board, slot);
}

static void start_again(struct garbage *g)
{
	uint64_t features = 1ull << VIRTIO_RING_F_INDIRECT_DESC;

	if (below(g, 2))
		features |= 1ull << VIRTIO_RING_F_EVENT_IDX;
	garbage_restore(g);
	g->board->next_free = g->data;
	g->data = board_alloc(g->board, DATA_SIZE, 4096);
	g->table_at = board_alloc(g->board, TABLE_SIZE * sizeof *g->table, sizeof *g->table);
	g->table = board_at(g->board, g->table_at, TABLE_SIZE * sizeof *g->table);
	driver_start(&g->driver, features, g->rings, g->n_rings);
}

void garbage_begin(struct garbage *g, struct board *board, unsigned slot, uint16_t n_rings, uint64_t seed)
{
	*g = (struct garbage){ .board = board, .n_rings = n_rings, .state = seed };
	g->data = board_alloc(board, DATA_SIZE, 4096);
	driver_find(&g->driver, board, slot);
	start_again(g);
}

unsigned garbage_steps(unsigned steps)
{
	const char *is_long = getenv("LONG");

	return is_long && *is_long ? 20 * steps : steps;
}

void garbage_throw(struct garbage *g, garbage_kind *const *kinds, unsigned n_kinds, unsigned steps)
{
	for (unsigned i = 0; i < steps; i++) {
		kinds[below(g, n_kinds)](g);
		if (below(g, 3) == 0)
			board_settle(g->board);
		if (below(g, 50) == 0 ||
		    (driver_status(&g->driver) & VIRTIO_CONFIG_S_NEEDS_RESET && below(g, 4) == 0))
			start_again(g);
	}
	board_settle(g->board);
}
