/* SPDX-License-Identifier: MIT */
/*
 * virtio.h - a virtio device on the guest's PCI bus (virtio 1.2: 2, 4.1).
 *
 * This room owns the PCI function, feature negotiation, device status, rings, interrupts.
 * A device behind it (a plugin instance, or vsock) gets the four calls of struct
 * virtio_ops and pops requests. It is made for one machine; a restart makes a new one.
 *
 * THREADS. The guest programs the transport from vCPU threads. What changes the device's
 * state (DRIVER_OK, reset, writes to its configuration space) is posted to the home loop,
 * where ops run one at a time; until a reset has been carried out device_status reads as
 * before it (virtio 1.2, 4.1.4.3.2 lets the driver wait for 0). Queue functions are called on the
 * queue's loop: the home loop, or loops[queue % n_loops] for CAPSA_THREAD_PARALLEL.
 */
#ifndef CAPSA_VIRTIO_VIRTIO_H
#define CAPSA_VIRTIO_VIRTIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/machine/irq.h"
#include "core/machine/memory.h"
#include "core/machine/pci.h"

struct virtio_device;

/* What a virtio device needs of its machine. Unit tests give one without KVM. */
struct virtio_platform {
	const struct memory *memory;
	struct pci_bus *pci;
	struct irq_router *irq;
	/* As machine_ioeventfd, machine_slot_add (not read-only) and machine_slot_move. */
	int (*ioeventfd)(void *ctx, uint64_t address, bool is_port, int fd, bool add);
	int (*slot_add)(void *ctx, uint64_t gpa, uint64_t size, void *host, unsigned *slot);
	int (*slot_move)(void *ctx, unsigned slot, uint64_t gpa);
	void *ctx;
	bool notify_by_port; /* drivers notify by a port first: what is faster differs between processors */
};

/* The device behind. As in struct capsa_plugin; all on the home loop but queue_notify (the queue's loop). */
struct virtio_ops {
	int (*activate)(void *ctx, uint64_t features); /* nonzero: the device fails, and says so to the guest */
	void (*queue_notify)(void *ctx, unsigned queue);
	void (*config_written)(void *ctx, size_t offset, const void *data, size_t len); /* may be NULL */
	void (*reset)(void *ctx);
};

/*
 * What has been logged about a guest's driver: each reason once, and only so many of them, so that no guest fills a
 * disk. Whoever keeps a device over several machines keeps this too, else a guest that reboots could make it say all
 * again. Zeroed at first.
 */
#define VIRTIO_MAX_TOLD 16u
struct virtio_told {
	uint64_t hashes[VIRTIO_MAX_TOLD];
	unsigned n;
};

struct virtio_setup {
	const char *name;                /* for messages; copied */
	uint32_t device_id;              /* VIRTIO_ID_* */
	uint32_t class_code;             /* PCI class, 0xBBSSPP; 0: "other" (0xff0000) */
	const struct capsa_setup *shape; /* features, queues, configuration size, shared memory; copied */
	const void *config;              /* initial configuration space, shape->config_size bytes; NULL: zeros */
	/*
	 * Host side of the shared-memory regions: shape->n_shared_memory mappings of
	 * shape->shared_memory[i].size bytes, the caller's, which outlive the device.
	 */
	void *const *shared_memory;
	struct reactor *home;
	struct reactor *const *loops; /* NULL: every queue on the home loop */
	unsigned n_loops;
	const struct virtio_ops *ops;
	void *ctx;
	struct virtio_told *told; /* the caller's, outlives the device; NULL: the device has one of its own */
};

/* Adds the device to the machine's bus. Main thread, before machine_commit(). 0 or -errno with err. */
int virtio_device_create(const struct virtio_platform *platform, const struct virtio_setup *setup,
                         struct virtio_device **out, struct error *err);
/*
 * Main thread, no vCPU running any more, loops still running or none: ops->reset has run when it
 * returns if the device was active.
 */
void virtio_device_destroy(struct virtio_device *device);

/* Queue functions: see queue_* of struct capsa_host. */
struct capsa_request *virtio_queue_pop(struct virtio_device *device, unsigned queue);
void virtio_queue_complete(struct virtio_device *device, struct capsa_request *request, size_t written);
void virtio_queue_give_back(struct virtio_device *device, struct capsa_request *request);
void virtio_queue_flush(struct virtio_device *device, unsigned queue);
void virtio_queue_again(struct virtio_device *device, unsigned queue);
bool virtio_queue_wait(struct virtio_device *device, unsigned queue);

/* How a queue stands between driver and device. */
struct virtio_queue_state {
	uint16_t size;      /* descriptors */
	uint16_t waiting;   /* requests that the driver has made available, and the device has not popped */
	uint16_t in_flight; /* popped and not completed */
	uint16_t unseen;    /* completed and shown, and not seen by the driver when it asked for its next interrupt */
	uint64_t notifications, interrupts; /* since the driver began */
};

/* False: the driver does not use that queue. Any thread that no loop waits for; waits for the queue's loop. */
bool virtio_queue_look(struct virtio_device *device, unsigned queue, struct virtio_queue_state *state);

/* config_set and broken of struct capsa_host. Any thread. */
int virtio_config_set(struct virtio_device *device, size_t offset, const void *data, size_t len, bool tell);
void virtio_device_broken(struct virtio_device *device, const char *reason);

/* request_read and request_write of struct capsa_host. Any thread. */
size_t virtio_request_read(const struct capsa_request *request, size_t offset, void *to, size_t len);
size_t virtio_request_write(const struct capsa_request *request, size_t offset, const void *from, size_t len);

#endif
