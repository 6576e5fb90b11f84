/* SPDX-License-Identifier: MIT */
/* device-private.h - struct virtio_device, for the files of this room. */
#ifndef CAPSA_VIRTIO_DEVICE_PRIVATE_H
#define CAPSA_VIRTIO_DEVICE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/machine/msix.h"
#include "core/virtio/queue.h"
#include "core/virtio/virtio.h"

/*
 * BAR 0, 32 KiB: where each structure of virtio 1.2, 4.1.4 lies. Pages of their own, so that
 * nothing is decoded twice.
 */
enum {
	BAR_COMMON = 0x0000,
	BAR_ISR = 0x1000,
	BAR_DEVICE = 0x2000,
	BAR_MSIX_TABLE = 0x3000,
	BAR_MSIX_PBA = 0x3800,
	BAR_NOTIFY = 0x4000,
	BAR_SIZE = 0x8000,
};
#define NOTIFY_MULTIPLIER 4u /* bytes of notify address a queue */
#define SHARED_MEMORY_BAR 2u
#define NOTIFY_PORT_BAR 4u

/* Writes to configuration space that wait for the home loop: more than any driver has under way. */
#define MAX_CONFIG_WRITES 32u

struct config_write {
	uint16_t offset;
	uint8_t len;
	uint8_t data[8];
};

struct device_queue {
	struct virtio_device *device;
	unsigned index;

	/* What the driver programmed; under device->lock. */
	uint16_t size;
	uint64_t desc, driver, area; /* `area`: the device area (used ring) */
	bool enabled;
	atomic_uint vector;

	/* Notifications: an eventfd at an address that follows the BAR. */
	int notify_fd;
	uint64_t address, port; /* where it is registered; 0: nowhere */

	/* On the queue's loop, from activation to reset. */
	struct reactor *loop;
	struct reactor_watch *watch;
	struct reactor_call *again;   /* runs the handler once more */
	struct reactor_call *publish; /* shows completions that were made outside of the handler */
	struct virtqueue vq;
	bool in_handler, waiting, publish_asked;
	uint64_t notifications, interrupts;
};

struct virtio_device {
	char *name;
	struct virtio_platform platform;
	struct capsa_setup shape;
	const struct virtio_ops *ops;
	void *ctx;
	struct reactor *home;
	struct reactor_call *apply_call;
	struct pci_function *function;
	struct msix *msix;
	unsigned pci_cfg; /* offset of the VIRTIO_PCI_CAP_PCI_CFG capability */
	unsigned slots[CAPSA_MAX_SHARED_MEMORY];
	uint64_t slot_offsets[CAPSA_MAX_SHARED_MEMORY]; /* within the BAR */

	pthread_mutex_t lock;
	/* Below: under the lock. */
	uint8_t status;
	uint8_t generation; /* of configuration space */
	uint32_t device_feature_select, driver_feature_select;
	uint64_t driver_features;
	uint16_t queue_select;
	uint16_t config_vector;
	uint8_t isr;
	bool reset_asked, activate_asked;
	uint8_t config[CAPSA_MAX_CONFIG_SPACE];
	struct config_write writes[MAX_CONFIG_WRITES];
	unsigned n_writes;
	struct virtio_told *told, own_told;

	/* On the home loop: between activate and reset. Read by other loops after a hand-over. */
	bool active;
	atomic_bool broken;

	unsigned n_queues;
	struct device_queue queues[];
};

/* transport.c: accesses to BAR 0; ctx is the device. vCPU threads. */
extern const struct bus_handler transport_handler;
/* Accesses to the port BAR: notifications only. */
extern const struct bus_handler transport_port_handler;
/*
 * Shared-memory windows: a slot serves them. On the bus they only hold their place, so that no other BAR lies there,
 * and they get it when another has left it.
 */
extern const struct bus_handler transport_window_handler;

/* capabilities.c: adds the function with all capabilities; 0 or -errno with err. */
int capabilities_add(struct virtio_device *d, const struct virtio_setup *setup, struct error *err);

/* notify.c: the BARs moved; keeps ioeventfds and shared-memory slots where the guest put them. */
void notify_bar_moved(struct virtio_device *d, unsigned bar, uint64_t address, bool decoding);
/* A notification that came through user space. */
void notify_kick(struct virtio_device *d, unsigned queue);

/* status.c: the driver wrote device_status; under the lock. */
void status_write_locked(struct virtio_device *d, uint8_t value);
/* Carries out on the home loop what was asked for. */
void status_apply(void *ctx);
/* Reset, on the home loop or with nothing running. */
void status_reset(struct virtio_device *d);
/* Offered features, with those of the transport. */
uint64_t status_offered(const struct virtio_device *d);

/* service.c: a queue's handler; on its loop. */
void service_notified(void *ctx, int fd, unsigned events);
void service_again(void *ctx);
void service_publish(void *ctx);

/* device.c */
void device_config_changed_locked(struct virtio_device *d);
/* Whether a line about this is due: see struct virtio_told. Any thread, without the lock. */
bool device_reason_is_new(struct virtio_device *d, const char *reason);

#endif
