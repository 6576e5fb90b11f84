/* SPDX-License-Identifier: MIT */
/*
 * transport.c - the registers behind BAR 0 (virtio 1.2, 4.1.4.3 to 4.1.4.6): common configuration, ISR,
 * device-specific configuration, notifications, MSI-X. Runs on vCPU threads, under the device's lock.
 */
#include <linux/virtio_config.h>
#include <linux/virtio_pci.h>
#include <string.h>

#include "core/virtio/device-private.h"

/* The selected queue, or NULL where there is none. */
static struct device_queue *selected(struct virtio_device *d)
{
	return d->queue_select < d->n_queues ? &d->queues[d->queue_select] : NULL;
}

static uint32_t half(uint64_t value, uint32_t select)
{
	return select == 0 ? (uint32_t)value : select == 1 ? (uint32_t)(value >> 32) : 0;
}

static void set_half(uint64_t *value, bool high, uint32_t half_value)
{
	if (high)
		*value = (*value & 0xffffffffu) | (uint64_t)half_value << 32;
	else
		*value = (*value & ~(uint64_t)0xffffffffu) | half_value;
}

static uint64_t queue_read(struct virtio_device *d, unsigned offset)
{
	const struct device_queue *q = selected(d);

	if (!q)
		return 0; /* size 0: no such queue (4.1.4.3) */
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		return q->size;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		return atomic_load(&q->vector);
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		return q->enabled;
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return q->index;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
		return (uint32_t)q->desc;
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		return q->desc >> 32;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
		return (uint32_t)q->driver;
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		return q->driver >> 32;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
		return (uint32_t)q->area;
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		return q->area >> 32;
	default:
		return 0;
	}
}

static uint64_t common_read(struct virtio_device *d, unsigned offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		return d->device_feature_select;
	case VIRTIO_PCI_COMMON_DF:
		return half(status_offered(d), d->device_feature_select);
	case VIRTIO_PCI_COMMON_GFSELECT:
		return d->driver_feature_select;
	case VIRTIO_PCI_COMMON_GF:
		return half(d->driver_features, d->driver_feature_select);
	case VIRTIO_PCI_COMMON_MSIX:
		return d->config_vector;
	case VIRTIO_PCI_COMMON_NUMQ:
		return d->n_queues;
	case VIRTIO_PCI_COMMON_STATUS:
		return d->status;
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return d->generation;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		return d->queue_select;
	default:
		return queue_read(d, offset);
	}
}

static uint16_t checked_vector(const struct virtio_device *d, uint64_t value)
{
	return (uint16_t)(value < msix_vectors(d->msix) ? value : MSIX_NO_VECTOR);
}

static void queue_write(struct virtio_device *d, unsigned offset, uint32_t value)
{
	struct device_queue *q = selected(d);

	if (!q)
		return;
	if (offset == VIRTIO_PCI_COMMON_Q_MSIX) {
		atomic_store(&q->vector, checked_vector(d, value));
		return;
	}
	if (q->enabled)
		return; /* 4.1.4.3.2: the rest is settled before it is enabled */
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE:
		if (value && value <= d->shape.queues[q->index].size && !(value & (value - 1)))
			q->size = (uint16_t)value;
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		q->enabled = value == 1;
		break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI:
		set_half(&q->desc, offset == VIRTIO_PCI_COMMON_Q_DESCHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI:
		set_half(&q->driver, offset == VIRTIO_PCI_COMMON_Q_AVAILHI, value);
		break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI:
		set_half(&q->area, offset == VIRTIO_PCI_COMMON_Q_USEDHI, value);
		break;
	}
}

static void common_write(struct virtio_device *d, unsigned offset, uint32_t value)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT:
		d->device_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GFSELECT:
		d->driver_feature_select = value;
		break;
	case VIRTIO_PCI_COMMON_GF:
		/* Settled by FEATURES_OK (3.1.1). */
		if (!(d->status & VIRTIO_CONFIG_S_FEATURES_OK) && d->driver_feature_select <= 1)
			set_half(&d->driver_features, d->driver_feature_select == 1, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX:
		d->config_vector = checked_vector(d, value);
		break;
	case VIRTIO_PCI_COMMON_STATUS:
		status_write_locked(d, (uint8_t)value);
		break;
	case VIRTIO_PCI_COMMON_Q_SELECT:
		d->queue_select = (uint16_t)value;
		break;
	default:
		queue_write(d, offset, value);
		break;
	}
}

/* The width of the register that begins at `offset`; 0: none does. */
static unsigned common_width(unsigned offset)
{
	switch (offset) {
	case VIRTIO_PCI_COMMON_STATUS:
	case VIRTIO_PCI_COMMON_CFGGENERATION:
		return 1;
	case VIRTIO_PCI_COMMON_MSIX:
	case VIRTIO_PCI_COMMON_NUMQ:
	case VIRTIO_PCI_COMMON_Q_SELECT:
	case VIRTIO_PCI_COMMON_Q_SIZE:
	case VIRTIO_PCI_COMMON_Q_MSIX:
	case VIRTIO_PCI_COMMON_Q_ENABLE:
	case VIRTIO_PCI_COMMON_Q_NOFF:
		return 2;
	default:
		return offset <= VIRTIO_PCI_COMMON_Q_USEDHI && offset % 4 == 0 ? 4 : 0;
	}
}

/* Reads have no side effects, so any width is put together from whole registers. */
static uint64_t common_access_read(struct virtio_device *d, unsigned offset, unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < len;) {
		unsigned start = offset + i, width;

		while ((width = common_width(start)) == 0 && start > 0)
			start--;
		for (unsigned byte = offset + i - start; byte < width && i < len; byte++, i++)
			value |= (common_read(d, start) >> (8 * byte) & 0xff) << (8 * i);
		if (offset + i > VIRTIO_PCI_COMMON_Q_USEDHI + 3)
			break;
	}
	return value;
}

/* Writes have the register's own width (4.1.3.1), or are the two halves of an address. */
static void common_access_write(struct virtio_device *d, unsigned offset, unsigned len, uint64_t value)
{
	if (len == 8 && offset >= VIRTIO_PCI_COMMON_Q_DESCLO && common_width(offset) == 4) {
		common_write(d, offset, (uint32_t)value);
		common_write(d, offset + 4, (uint32_t)(value >> 32));
	} else if (len == common_width(offset)) {
		common_write(d, offset, (uint32_t)value);
	}
}

static uint64_t config_read(struct virtio_device *d, unsigned offset, unsigned len)
{
	uint64_t value = 0;

	if (offset < d->shape.config_size) {
		size_t there = d->shape.config_size - offset;

		memcpy(&value, d->config + offset, there < len ? there : len);
	}
	return value;
}

static void config_write(struct virtio_device *d, unsigned offset, unsigned len, uint64_t value)
{
	struct config_write *write = &d->writes[d->n_writes];

	if (!d->ops->config_written || !(d->status & VIRTIO_CONFIG_S_DRIVER) || d->n_writes == MAX_CONFIG_WRITES ||
	    offset + len > d->shape.config_size)
		return;
	write->offset = (uint16_t)offset;
	write->len = (uint8_t)len;
	memcpy(write->data, &value, sizeof write->data);
	d->n_writes++;
	reactor_call_run(d->apply_call);
}

static uint64_t transport_read(void *ctx, uint64_t offset, unsigned len)
{
	struct virtio_device *d = ctx;
	unsigned at = (unsigned)offset & 0xfff;
	uint64_t value = 0;

	if (offset >= BAR_MSIX_PBA && offset < BAR_NOTIFY)
		return msix_pba_read(d->msix, offset - BAR_MSIX_PBA, len);
	if (offset >= BAR_MSIX_TABLE && offset < BAR_MSIX_PBA)
		return msix_table_read(d->msix, offset - BAR_MSIX_TABLE, len);
	pthread_mutex_lock(&d->lock);
	switch (offset & ~0xfffull) {
	case BAR_COMMON:
		value = common_access_read(d, at, len);
		break;
	case BAR_ISR:
		value = at == 0 ? d->isr : 0;
		if (at == 0)
			d->isr = 0; /* reading acknowledges */
		break;
	case BAR_DEVICE:
		value = config_read(d, at, len);
		break;
	}
	pthread_mutex_unlock(&d->lock);
	return value;
}

static void transport_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	struct virtio_device *d = ctx;
	unsigned at = (unsigned)offset & 0xfff;

	if (offset >= BAR_NOTIFY) {
		notify_kick(d, (unsigned)(offset - BAR_NOTIFY) / NOTIFY_MULTIPLIER);
		return;
	}
	if (offset >= BAR_MSIX_TABLE) {
		if (offset < BAR_MSIX_PBA)
			msix_table_write(d->msix, offset - BAR_MSIX_TABLE, len, value);
		return;
	}
	pthread_mutex_lock(&d->lock);
	switch (offset & ~0xfffull) {
	case BAR_COMMON:
		common_access_write(d, at, len, value);
		break;
	case BAR_DEVICE:
		config_write(d, at, len, value);
		break;
	}
	pthread_mutex_unlock(&d->lock);
}

const struct bus_handler transport_handler = { .read = transport_read, .write = transport_write };

static uint64_t nothing_read(void *ctx, uint64_t offset, unsigned len)
{
	(void)ctx;
	(void)offset;
	(void)len;
	return 0;
}

static void port_write(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)len;
	(void)value;
	notify_kick(ctx, (unsigned)offset / NOTIFY_MULTIPLIER);
}

const struct bus_handler transport_port_handler = { .read = nothing_read, .write = port_write };

static void nothing_written(void *ctx, uint64_t offset, unsigned len, uint64_t value)
{
	(void)ctx, (void)offset, (void)len, (void)value;
}

const struct bus_handler transport_window_handler = { .read = nothing_read, .write = nothing_written };
