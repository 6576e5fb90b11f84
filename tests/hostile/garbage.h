/* SPDX-License-Identifier: MIT */
/*
 * garbage.h - pseudo-random accesses of a guest that means harm, to one virtio function on a board (virtio_driver.h).
 * Mostly nearly right, because what is wholly wrong gets nowhere. The same seed does the same in each run.
 */
#ifndef CAPSA_TESTS_HOSTILE_GARBAGE_H
#define CAPSA_TESTS_HOSTILE_GARBAGE_H

#include "tests/unit/virtio_driver.h"

struct garbage {
	struct board *board;
	struct driver driver;
	struct ring rings[2];
	uint16_t n_rings;
	uint64_t data;     /* 4096 bytes for buffers */
	uint64_t table_at; /* an indirect table */
	struct vring_desc *table;
	uint64_t state;
};

typedef void garbage_kind(struct garbage *g);

/* For the function in `slot` of the board, and its first n_rings queues. */
void garbage_begin(struct garbage *g, struct board *board, unsigned slot, uint16_t n_rings, uint64_t seed);
/* `steps`, or many times as much where LONG stands in the environment. */
unsigned garbage_steps(unsigned steps);
/* So many steps of these kinds; the device is put right now and then, and where it needs a reset. */
void garbage_throw(struct garbage *g, garbage_kind *const *kinds, unsigned n_kinds, unsigned steps);
/* Puts BARs and MSI-X back and looks for the function anew, in g->driver. The device is not reset. */
void garbage_restore(struct garbage *g);
/* A number below `limit`. */
uint64_t below(struct garbage *g, uint64_t limit);

garbage_kind garbage_to_config, garbage_to_bar, garbage_to_registers, garbage_to_msix, garbage_to_ports;
garbage_kind garbage_to_ring, garbage_to_rings_as_bytes;

#endif
