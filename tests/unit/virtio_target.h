/* SPDX-License-Identifier: MIT */
/*
 * virtio_target.h - the device behind core/virtio in its tests: does what the test says and writes down what it was
 * told.
 */
#ifndef CAPSA_TESTS_VIRTIO_TARGET_H
#define CAPSA_TESTS_VIRTIO_TARGET_H

#include "tests/unit/virtio_driver.h"

#define TARGET_FEATURE 3u /* the one device-specific feature bit that target_shape() offers */

enum target_mode {
	TARGET_ECHO,   /* copies what is readable to what is writable and completes */
	TARGET_HOLD,   /* keeps requests in `held` */
	TARGET_IGNORE, /* pops nothing */
};

struct target {
	struct virtio_device *device;
	enum target_mode mode;
	int activate_result;
	uint64_t features;
	unsigned activations, resets, notifies[CAPSA_MAX_QUEUES];
	struct capsa_request *held[CAPSA_MAX_QUEUE_SIZE];
	unsigned n_held;
	unsigned popped;
	size_t last_readable, last_writable;   /* bytes of the last request */
	unsigned n_last_readable, n_last_writable; /* and its buffers */
	size_t last_at_reset; /* writable bytes of what was held when reset() was called */
	unsigned config_writes;
	size_t config_offset, config_len;
	uint64_t config_data;
};

/* Two queues of 16 descriptors, the second silent; 12 bytes of configuration space. */
struct capsa_setup target_shape(void);
/* On the board. It is gone with target_remove(). Device number: as it comes, from 1 on. */
void target_add(struct target *target, struct board *board, const struct capsa_setup *shape);
void target_remove(struct target *target);
/* Pops what there is on the queue, as the mode says. On the loop's thread. */
void target_drain(struct target *target, unsigned queue);

#endif
