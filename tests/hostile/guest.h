/* SPDX-License-Identifier: MIT */
/*
 * guest.h - the hostile guest: a program in place of a kernel, entered by the 64-bit boot protocol, that runs alone
 * in a real machine and treats it badly (guest.c), with a small virtio driver of its own (guest-virtio.c).
 *
 * It speaks through the serial port (`serial = true`), a line a check: "hostile: ok NAME" or "hostile: not ok NAME".
 * How it ends, the command line says: end=poweroff, reset, triple, panic, nowhere (it runs where no memory is) or
 * storm (it never ends); `brief` leaves the long part out; `window` does nothing but guest-window.c.
 *
 * Memory is mapped one to one below 4 GiB by capsa's page tables, so it moves every BAR down there first. The devices
 * write to memory at addresses that it makes up: those lie in `scratch` or beyond RAM, never in the program itself.
 */
#ifndef CAPSA_TESTS_HOSTILE_GUEST_H
#define CAPSA_TESTS_HOSTILE_GUEST_H

#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_pci.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/machine/memory.h"
#include "core/machine/pci.h"

#define RAM_LIMIT 0x40000000u /* more than the machine has */
#define SCRATCH_SIZE (1u << 20)
extern uint8_t scratch[SCRATCH_SIZE];

/* guest.c */
void say(const char *text);
/* Prints the check's line; a failed one makes the guest end by a panic. */
void check(bool good, const char *who, const char *what);
uint64_t chaos(void);
uint64_t below(uint64_t limit);

static inline void port_write(unsigned port, unsigned len, uint32_t value)
{
	if (len == 1)
		__asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
	else if (len == 2)
		__asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port));
	else
		__asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(port));
}

static inline uint32_t port_read(unsigned port, unsigned len)
{
	uint32_t value = 0;

	if (len == 1)
		__asm__ volatile("inb %w1, %b0" : "+a"(value) : "Nd"(port));
	else if (len == 2)
		__asm__ volatile("inw %w1, %w0" : "+a"(value) : "Nd"(port));
	else
		__asm__ volatile("inl %w1, %0" : "+a"(value) : "Nd"(port));
	return value;
}

/* Below 4 GiB. */
static inline void memory_write(uint64_t at, unsigned len, uint64_t value)
{
	if (len == 1)
		*(volatile uint8_t *)at = (uint8_t)value;
	else if (len == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else if (len == 4)
		*(volatile uint32_t *)at = (uint32_t)value;
	else
		*(volatile uint64_t *)at = value;
}

static inline uint64_t memory_read(uint64_t at, unsigned len)
{
	if (len == 1)
		return *(volatile uint8_t *)at;
	if (len == 2)
		return *(volatile uint16_t *)at;
	if (len == 4)
		return *(volatile uint32_t *)at;
	return *(volatile uint64_t *)at;
}

static inline uint64_t config_at(unsigned slot, unsigned offset)
{
	return PCI_ECAM_START + ((uint64_t)slot << 15) + offset;
}

/* A virtio device as its capabilities describe it. */
#define RING_SIZE 16u

struct device {
	const char *name;
	unsigned slot, msix;
	uint64_t bars[PCI_MAX_BARS];
	uint64_t common, notify;
	bool notify_is_port;
	uint32_t notify_multiplier;
	/* One queue. */
	uint16_t queue;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
};

/* guest-window.c */
void window_faults(void);

/* guest-virtio.c: looks for the device; false where there is none. Its BARs come to lie below 4 GiB. */
bool device_find(struct device *d, uint16_t virtio_id, const char *name);
/* Puts the BARs back to where device_find() placed them, and decodes. */
void device_place(struct device *d);
void device_set(struct device *d, unsigned reg, unsigned len, uint64_t value);
uint64_t device_get(struct device *d, unsigned reg, unsigned len);
/* Both wait, for as long as it takes: a device that does not answer hangs the guest, and the test ends it. */
void device_reset(struct device *d);
void device_wait_for_status(struct device *d, uint8_t bits);
/* Reset, negotiation (VERSION_1 and INDIRECT), one queue in `scratch`, DRIVER_OK. */
void device_start(struct device *d, uint16_t queue);
void device_offer(struct device *d, uint16_t head);
/* Waits until the device has used an entry. */
void device_wait_for_used(struct device *d);

#endif
