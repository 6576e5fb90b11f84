/* SPDX-License-Identifier: MIT */
/*
 * capabilities.c - the PCI function of a virtio device: identity, BARs, and the vendor capabilities that say
 * where each structure lies (virtio 1.2, 4.1.4). Called by device.c when it is made; its callbacks run on vCPU threads.
 */
#include <errno.h>
#include <linux/pci_regs.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "core/virtio/device-private.h"

#define VENDOR 0x1af4u
#define DEVICE_BASE 0x1040u
#define CLASS_OTHER 0xff0000u

static void bar_moved(void *ctx, unsigned bar, uint64_t address, bool decoding)
{
	notify_bar_moved(ctx, bar, address, decoding);
}

/*
 * VIRTIO_PCI_CAP_PCI_CFG (4.1.4.9): a window to the BAR through configuration space. Reads of configuration space
 * do not exit, so the data is fetched as soon as offset and length stand, and again after each write to them. The
 * ISR is left out: fetching it would acknowledge.
 */
static void pci_cfg_written(struct virtio_device *d, unsigned offset, unsigned len)
{
	uint8_t *config = pci_function_config(d->function);
	struct virtio_pci_cfg_cap cap;
	unsigned begin = d->pci_cfg, data = begin + offsetof(struct virtio_pci_cfg_cap, pci_cfg_data);
	uint32_t value = 0;

	if (offset >= begin + sizeof cap || offset + len <= begin)
		return;
	memcpy(&cap, config + begin, sizeof cap);
	if (cap.cap.bar != 0 || (cap.cap.length != 1 && cap.cap.length != 2 && cap.cap.length != 4) ||
	    cap.cap.offset >= BAR_SIZE || cap.cap.offset % cap.cap.length)
		return;
	if (offset + len > data) {
		memcpy(&value, cap.pci_cfg_data, cap.cap.length);
		transport_handler.write(d, cap.cap.offset, cap.cap.length, value);
		return;
	}
	if ((cap.cap.offset & ~0xfffu) == BAR_ISR)
		return;
	value = (uint32_t)transport_handler.read(d, cap.cap.offset, cap.cap.length);
	memcpy(config + data, &value, sizeof value);
}

static void config_written(void *ctx, unsigned offset, unsigned len)
{
	struct virtio_device *d = ctx;

	if (!d->msix)
		return; /* not yet complete */
	msix_config_written(d->msix, offset, len);
	pci_cfg_written(d, offset, len);
}

static int add(struct virtio_device *d, uint8_t type, uint8_t bar, uint32_t offset, uint32_t length)
{
	struct virtio_pci_cap cap = {
		.cfg_type = type, .bar = bar, .offset = offset, .length = length, .cap_len = sizeof cap
	};

	return pci_function_add_capability(d->function, PCI_CAP_ID_VNDR, &cap, sizeof cap, NULL);
}

static int add_notify(struct virtio_device *d, uint8_t bar, uint32_t offset)
{
	struct virtio_pci_notify_cap cap = {
		.cap = { .cfg_type = VIRTIO_PCI_CAP_NOTIFY_CFG,
		         .bar = bar,
		         .offset = offset,
		         .length = NOTIFY_MULTIPLIER * d->n_queues,
		         .cap_len = sizeof cap },
		.notify_off_multiplier = NOTIFY_MULTIPLIER,
	};

	return pci_function_add_capability(d->function, PCI_CAP_ID_VNDR, &cap, sizeof cap, NULL);
}

static int add_pci_cfg(struct virtio_device *d)
{
	struct virtio_pci_cfg_cap cap = { .cap = { .cfg_type = VIRTIO_PCI_CAP_PCI_CFG, .cap_len = sizeof cap } };
	struct virtio_pci_cfg_cap mask = { .cap = { .bar = 0xff, .offset = UINT32_MAX, .length = UINT32_MAX },
		                           .pci_cfg_data = { 0xff, 0xff, 0xff, 0xff } };
	int at = pci_function_add_capability(d->function, PCI_CAP_ID_VNDR, &cap, sizeof cap, &mask);

	if (at > 0)
		d->pci_cfg = (unsigned)at;
	return at;
}

static int add_shared_memory(struct virtio_device *d, unsigned i)
{
	uint64_t offset = d->slot_offsets[i], size = d->shape.shared_memory[i].size;
	struct virtio_pci_cap64 cap = {
		.cap = { .cfg_type = VIRTIO_PCI_CAP_SHARED_MEMORY_CFG,
		         .bar = SHARED_MEMORY_BAR,
		         .id = d->shape.shared_memory[i].id,
		         .offset = (uint32_t)offset,
		         .length = (uint32_t)size,
		         .cap_len = sizeof cap },
		.offset_hi = (uint32_t)(offset >> 32),
		.length_hi = (uint32_t)(size >> 32),
	};

	return pci_function_add_capability(d->function, PCI_CAP_ID_VNDR, &cap, sizeof cap, NULL);
}

/* Windows lie one behind the other, the larger first, so that each is aligned to its size. */
static uint64_t shared_memory_layout(struct virtio_device *d)
{
	bool placed[CAPSA_MAX_SHARED_MEMORY] = { false };
	uint64_t end = 0, size = 1;

	for (unsigned n = 0; n < d->shape.n_shared_memory; n++) {
		unsigned largest = CAPSA_MAX_SHARED_MEMORY;

		for (unsigned i = 0; i < d->shape.n_shared_memory; i++)
			if (!placed[i] && (largest == CAPSA_MAX_SHARED_MEMORY ||
			                   d->shape.shared_memory[i].size > d->shape.shared_memory[largest].size))
				largest = i;
		placed[largest] = true;
		d->slot_offsets[largest] = end;
		end += d->shape.shared_memory[largest].size;
	}
	while (size < end)
		size *= 2;
	return end ? size : 0;
}

/* Where a 64-bit BAR was put at power-on, though it does not decode yet. */
static uint64_t assigned(const uint8_t *config, unsigned bar)
{
	uint64_t address;

	memcpy(&address, config + PCI_BASE_ADDRESS_0 + 4 * bar, sizeof address);
	return address & (uint64_t)PCI_BASE_ADDRESS_MEM_MASK;
}

static int add_slots(struct virtio_device *d, void *const *host)
{
	uint64_t base = assigned(pci_function_config(d->function), SHARED_MEMORY_BAR);
	int rc = 0;

	for (unsigned i = 0; !rc && i < d->shape.n_shared_memory; i++)
		rc = d->platform.slot_add(d->platform.ctx, base + d->slot_offsets[i], d->shape.shared_memory[i].size,
		                          host[i], &d->slots[i]);
	return rc;
}

static uint64_t power_of_two(uint64_t at_least)
{
	uint64_t size = 4;

	while (size < at_least)
		size *= 2;
	return size;
}

static int add_all(struct virtio_device *d)
{
	bool ports = d->platform.notify_by_port;
	int rc;

	rc = add(d, VIRTIO_PCI_CAP_COMMON_CFG, 0, BAR_COMMON, sizeof(struct virtio_pci_common_cfg));
	/* Drivers take the first of a kind. */
	if (rc > 0 && ports)
		rc = add_notify(d, NOTIFY_PORT_BAR, 0);
	if (rc > 0)
		rc = add_notify(d, 0, BAR_NOTIFY);
	if (rc > 0)
		rc = add(d, VIRTIO_PCI_CAP_ISR_CFG, 0, BAR_ISR, 1);
	if (rc > 0 && d->shape.config_size > 0)
		rc = add(d, VIRTIO_PCI_CAP_DEVICE_CFG, 0, BAR_DEVICE, (uint32_t)d->shape.config_size);
	for (unsigned i = 0; rc > 0 && i < d->shape.n_shared_memory; i++)
		rc = add_shared_memory(d, i);
	if (rc > 0)
		rc = add_pci_cfg(d);
	return rc < 0 ? rc : 0;
}

int capabilities_add(struct virtio_device *d, const struct virtio_setup *setup, struct error *err)
{
	struct pci_identity identity = {
		.vendor = VENDOR,
		.device = (uint16_t)(DEVICE_BASE + setup->device_id),
		.subsystem_vendor = VENDOR,
		.subsystem = (uint16_t)(DEVICE_BASE + setup->device_id),
		.class_code = setup->class_code ? setup->class_code : CLASS_OTHER,
		.revision = 1,
	};
	struct pci_bar bars[PCI_MAX_BARS] = {
		[0] = { .size = BAR_SIZE, .is_64bit = true, .handler = &transport_handler, .ctx = d },
		[SHARED_MEMORY_BAR] = { .size = shared_memory_layout(d),
		                        .is_64bit = true,
		                        .prefetchable = true,
		                        .handler = &transport_window_handler },
	};
	struct pci_callbacks callbacks = { .bar_moved = bar_moved, .config_written = config_written, .ctx = d };
	int rc;

	if (d->platform.notify_by_port)
		bars[NOTIFY_PORT_BAR] = (struct pci_bar){ .size = power_of_two(NOTIFY_MULTIPLIER * d->n_queues),
			                                  .is_port = true,
			                                  .handler = &transport_port_handler,
			                                  .ctx = d };
	if (bars[SHARED_MEMORY_BAR].size == 0)
		bars[SHARED_MEMORY_BAR] = (struct pci_bar){ 0 };
	rc = pci_function_add(d->platform.pci, &identity, bars, &callbacks, &d->function, err);
	if (rc)
		return rc;
	rc = add_all(d);
	if (!rc)
		rc = add_slots(d, setup->shared_memory);
	if (rc)
		return error_set(err, -rc, "%s: no room in PCI configuration space or memory slots: %s", d->name,
		                 strerror(-rc));
	return msix_create(d->platform.irq, d->function, d->n_queues + 1, 0, BAR_MSIX_TABLE, BAR_MSIX_PBA, &d->msix,
	                   err);
}
