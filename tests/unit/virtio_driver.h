/* SPDX-License-Identifier: MIT */
/*
 * virtio_driver.h - a machine without KVM and the guest's side of virtio: what the tests of core/virtio drive it with.
 *
 * A board is what a device needs of its machine: memory, buses, PCI, an interrupt router, a loop. It does what KVM
 * would do: writes to a notify address signal the eventfd that was registered there (or go to the bus where it
 * refuses to), and interrupts that are routed to an MSI are counted. One board at a time; its program is linked with
 * -Wl,--wrap=ioctl,--wrap=log_line.
 *
 * A driver drives one PCI function as virtio 1.2, 4.1 says: it knows nothing of core/virtio and finds everything
 * through capabilities. A ring is one of its queues; tests write descriptors as they like. guest_*() are plain
 * accesses.
 *
 * Nothing runs by itself: board_settle() lets the device's loop do what there is to do.
 */
#ifndef CAPSA_TESTS_VIRTIO_DRIVER_H
#define CAPSA_TESTS_VIRTIO_DRIVER_H

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/reactor.h"
#include "core/machine/bus.h"
#include "core/machine/irq.h"
#include "core/machine/memory.h"
#include "core/machine/pci.h"
#include "core/virtio/virtio.h"

#define BOARD_MEMORY (16ull << 20)
#define BOARD_NOTIFIES 512u
#define BOARD_SLOTS 32u

struct board_notify {
	uint64_t address;
	bool is_port;
	int fd;
};

struct board {
	struct memory *memory;
	struct bus *ports, *mmio;
	struct pci_bus *pci;
	struct irq_router *irq;
	struct reactor *home;
	struct virtio_platform platform; /* for virtio_device_create() */

	struct board_notify notifies[BOARD_NOTIFIES]; /* KVM_IOEVENTFD */
	unsigned n_notifies;
	bool refuses_notifies;
	struct board_slot {
		uint64_t gpa, size; /* gpa 0: nowhere */
	} slots[BOARD_SLOTS];
	unsigned n_slots, refused_slot_moves;
	bool refuses_slots;

	uint64_t next_free; /* memory that board_alloc() has not given */
	struct reactor_call *turn;
	unsigned turns;
};

/* With so many bytes of memory; 0: BOARD_MEMORY. */
void board_create(struct board *board, uint64_t memory);
/* After the devices on it. */
void board_destroy(struct board *board);
/* The loop makes several passes: what the guest did has had its effect. */
void board_settle(struct board *board);
/* Zeroed guest memory. */
uint64_t board_alloc(struct board *board, uint64_t size, uint64_t align);
/* Host side of guest memory, which must be there. */
void *board_at(const struct board *board, uint64_t gpa, uint64_t len);

/*
 * Lines that were logged since board_create() or board_log_forget(), those below the log's level left out. The first
 * BOARD_LOG_LINES are kept; none is shown.
 */
#define BOARD_LOG_LINES 64u
unsigned board_log_lines(void);
const char *board_log_line(unsigned i);
void board_log_forget(void);

/* Accesses of the guest. Of nobody's address: all ones. */
uint64_t guest_read(struct board *board, uint64_t address, unsigned len);
void guest_write(struct board *board, uint64_t address, unsigned len, uint64_t value);
uint64_t guest_in(struct board *board, unsigned port, unsigned len);
void guest_out(struct board *board, unsigned port, unsigned len, uint64_t value);
uint64_t guest_config_read(struct board *board, unsigned slot, unsigned offset, unsigned len);
void guest_config_write(struct board *board, unsigned slot, unsigned offset, unsigned len, uint64_t value);

/* Where a structure of the device lies: address 0, it has none. */
struct driver_structure {
	uint64_t address;
	uint8_t bar;
	uint32_t offset, length;
};

struct driver {
	struct board *board;
	unsigned slot; /* the function's device number */
	unsigned msix; /* offset of the capability */
	unsigned pci_cfg;
	uint64_t msix_table;
	uint64_t pending_bits;
	struct driver_structure common, isr, device, notify;
	bool notify_is_port;
	uint32_t notify_multiplier;
	uint64_t features; /* asked for at the last negotiation */
};

/* Looks at the function's capabilities, switches decoding and MSI-X on, programs every vector. */
void driver_find(struct driver *driver, struct board *board, unsigned slot);
uint64_t driver_bar(const struct driver *driver, unsigned bar);
/* Switches memory and port decoding on or off. */
void driver_decode(struct driver *driver, bool on);
/* Interrupts of this vector since the last call: KVM's view of its eventfd. */
uint64_t driver_interrupts(struct driver *driver, unsigned vector);
/*
 * For a driver that waits and notifies by itself: the eventfd that the vector signals, and that which a notification
 * of the (enabled) queue does. They stay the device's.
 */
int driver_interrupt_fd(const struct driver *driver, unsigned vector);
int driver_notify_fd(struct driver *driver, uint16_t queue);

/* Registers of the common configuration: VIRTIO_PCI_COMMON_*. Their width is the register's own. */
uint64_t driver_get(struct driver *driver, unsigned reg);
void driver_set(struct driver *driver, unsigned reg, uint64_t value);
uint8_t driver_status(struct driver *driver);
uint64_t driver_offered(struct driver *driver);

/* Vectors that driver_queue() and driver_negotiate() give: 0 for configuration, 1 + queue. */
#define DRIVER_CONFIG_VECTOR 0u
#define DRIVER_QUEUE_VECTOR(queue) (1u + (queue))

/* Writes 0 to the status; settles; it must read as 0 then. */
void driver_reset(struct driver *driver);
/* From reset to FEATURES_OK, with VERSION_1 added. Returns whether the device took the features. */
bool driver_negotiate(struct driver *driver, uint64_t features);
/* DRIVER_OK; settles. */
void driver_ok(struct driver *driver);

struct ring {
	struct driver *driver;
	uint16_t index, size;
	uint64_t desc_at, avail_at, used_at;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t seen; /* used entries taken */
};

/* Registers of one queue. Does not enable it. */
void driver_queue_place(struct driver *driver, uint16_t index, uint16_t size, uint64_t desc, uint64_t avail,
                        uint64_t used);
/* A queue in fresh memory, enabled, with a vector of its own. size 0: as the device has it. */
void driver_queue(struct driver *driver, uint16_t index, uint16_t size, struct ring *ring);
/* All of it: reset, features, `n` queues, DRIVER_OK. */
void driver_start(struct driver *driver, uint64_t features, struct ring *rings, uint16_t n);

void ring_desc(struct ring *ring, unsigned at, uint64_t address, uint32_t len, uint16_t flags, uint16_t next);
/* Makes a chain available; the device is not told. */
void ring_offer(struct ring *ring, uint16_t head);
/* Writes to the notify address, whether the device wants that or not. */
void ring_notify(struct ring *ring);
/* Whether the device wants to be notified of the entries from `since` (a value of avail->idx) to now. */
bool ring_wants_notify(const struct ring *ring, uint16_t since);
/* The next used entry, if there is one. */
bool ring_used(struct ring *ring, struct vring_used_elem *element);
/* Behind the rings, for EVENT_IDX. */
__virtio16 *ring_used_event(const struct ring *ring);
__virtio16 *ring_avail_event(const struct ring *ring);

#endif
