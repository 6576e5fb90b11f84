/* SPDX-License-Identifier: MIT */
/* guest-virtio.c - see guest.h: just enough of a virtio driver to get at the device (virtio 1.2, 4.1). */
#include "tests/hostile/guest.h"

#define VENDOR 0x1af4u
#define DEVICE_BASE 0x1040u

/* Where this guest puts BARs: 1 MiB for each, all below 4 GiB, and ports where nobody else is. */
#define MEMORY_PLACE (PCI_WINDOW32_START + 0x1000000u)
#define PORT_PLACE 0x4000u

static uint64_t config_get(const struct device *d, unsigned offset, unsigned len)
{
	return memory_read(config_at(d->slot, offset), len);
}

static void config_set(const struct device *d, unsigned offset, unsigned len, uint64_t value)
{
	memory_write(config_at(d->slot, offset), len, value);
}

void device_place(struct device *d)
{
	/* Not while they decode: half of an address is somewhere else. */
	config_set(d, PCI_COMMAND, 2, 0);
	for (unsigned i = 0; i < PCI_MAX_BARS; i++) {
		unsigned at = PCI_BASE_ADDRESS_0 + 4 * i;
		uint64_t low = config_get(d, at, 4);

		d->bars[i] = MEMORY_PLACE + ((uint64_t)d->slot * PCI_MAX_BARS + i) * 0x100000u;
		if (low & PCI_BASE_ADDRESS_SPACE_IO)
			d->bars[i] = PORT_PLACE + d->slot * 0x100u;
		config_set(d, at, 4, d->bars[i]);
		if ((low & 0xf) == PCI_BASE_ADDRESS_MEM_TYPE_64)
			config_set(d, PCI_BASE_ADDRESS_0 + 4 * ++i, 4, 0);
	}
	config_set(d, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_IO | PCI_COMMAND_MASTER);
}

static void take_capability(struct device *d, unsigned at)
{
	uint64_t bar = config_get(d, at + offsetof(struct virtio_pci_cap, bar), 1);
	uint64_t where = d->bars[bar] + config_get(d, at + offsetof(struct virtio_pci_cap, offset), 4);

	switch (config_get(d, at + offsetof(struct virtio_pci_cap, cfg_type), 1)) {
	case VIRTIO_PCI_CAP_COMMON_CFG:
		d->common = where;
		break;
	case VIRTIO_PCI_CAP_NOTIFY_CFG:
		if (d->notify) /* the first counts */
			break;
		d->notify = where;
		d->notify_is_port =
			config_get(d, PCI_BASE_ADDRESS_0 + 4 * (unsigned)bar, 4) & PCI_BASE_ADDRESS_SPACE_IO;
		d->notify_multiplier = (uint32_t)config_get(
			d, at + offsetof(struct virtio_pci_notify_cap, notify_off_multiplier), 4);
		break;
	}
}

bool device_find(struct device *d, uint16_t virtio_id, const char *name)
{
	for (d->slot = 1; d->slot < PCI_MAX_FUNCTIONS; d->slot++) {
		if (config_get(d, PCI_VENDOR_ID, 2) != VENDOR ||
		    config_get(d, PCI_DEVICE_ID, 2) != DEVICE_BASE + virtio_id)
			continue;
		d->name = name;
		device_place(d);
		for (unsigned at = (unsigned)config_get(d, PCI_CAPABILITY_LIST, 1); at;
		     at = (unsigned)config_get(d, at + PCI_CAP_LIST_NEXT, 1)) {
			if (config_get(d, at, 1) == PCI_CAP_ID_VNDR)
				take_capability(d, at);
			if (config_get(d, at, 1) == PCI_CAP_ID_MSIX)
				d->msix = at;
		}
		return d->common && d->notify;
	}
	return false;
}

void device_set(struct device *d, unsigned reg, unsigned len, uint64_t value)
{
	memory_write(d->common + reg, len, value);
}

uint64_t device_get(struct device *d, unsigned reg, unsigned len)
{
	return memory_read(d->common + reg, len);
}

void device_reset(struct device *d)
{
	device_set(d, VIRTIO_PCI_COMMON_STATUS, 1, 0);
	while (device_get(d, VIRTIO_PCI_COMMON_STATUS, 1))
		;
}

void device_wait_for_status(struct device *d, uint8_t bits)
{
	while ((device_get(d, VIRTIO_PCI_COMMON_STATUS, 1) & bits) != bits)
		;
}

static void add_status(struct device *d, uint8_t bits)
{
	device_set(d, VIRTIO_PCI_COMMON_STATUS, 1, device_get(d, VIRTIO_PCI_COMMON_STATUS, 1) | bits);
}

static void set_address(struct device *d, unsigned reg, const void *at)
{
	device_set(d, reg, 4, (uint32_t)(uintptr_t)at);
	device_set(d, reg + 4, 4, (uintptr_t)at >> 32);
}

void device_start(struct device *d, uint16_t queue)
{
	/* The second half of it; the first is for buffers. A page for each structure. */
	uint8_t *rings = scratch + SCRATCH_SIZE / 2;

	device_reset(d);
	add_status(d, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(d, VIRTIO_CONFIG_S_DRIVER);
	device_set(d, VIRTIO_PCI_COMMON_GFSELECT, 4, 0);
	device_set(d, VIRTIO_PCI_COMMON_GF, 4, 1u << VIRTIO_RING_F_INDIRECT_DESC);
	device_set(d, VIRTIO_PCI_COMMON_GFSELECT, 4, 1);
	device_set(d, VIRTIO_PCI_COMMON_GF, 4, 1u << (VIRTIO_F_VERSION_1 - 32));
	add_status(d, VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned i = 0; i < 3 * 4096; i++)
		rings[i] = 0;
	d->queue = queue;
	d->desc = (struct vring_desc *)(void *)rings;
	d->avail = (struct vring_avail *)(void *)(rings + 4096);
	d->used = (struct vring_used *)(void *)(rings + 8192);
	device_set(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, queue);
	device_set(d, VIRTIO_PCI_COMMON_Q_SIZE, 2, RING_SIZE);
	set_address(d, VIRTIO_PCI_COMMON_Q_DESCLO, d->desc);
	set_address(d, VIRTIO_PCI_COMMON_Q_AVAILLO, d->avail);
	set_address(d, VIRTIO_PCI_COMMON_Q_USEDLO, d->used);
	device_set(d, VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
	add_status(d, VIRTIO_CONFIG_S_DRIVER_OK);
}

void device_offer(struct device *d, uint16_t head)
{
	volatile __virtio16 *index = &d->avail->idx;
	uint64_t at;

	d->avail->ring[*index % RING_SIZE] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	*index = (uint16_t)(*index + 1);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	device_set(d, VIRTIO_PCI_COMMON_Q_SELECT, 2, d->queue);
	at = d->notify + device_get(d, VIRTIO_PCI_COMMON_Q_NOFF, 2) * d->notify_multiplier;
	if (d->notify_is_port)
		port_write((unsigned)at, 2, d->queue);
	else
		memory_write(at, 2, d->queue);
}

void device_wait_for_used(struct device *d)
{
	while (*(volatile __virtio16 *)&d->used->idx != d->avail->idx)
		;
}
