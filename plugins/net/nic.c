/* SPDX-License-Identifier: MIT */
/* nic.c - see nic.h. To be written. */
#include "plugins/net/nic.h"

unsigned nic_frame_iov(const struct nic_frame *frame, size_t from, size_t len, struct iovec *iov, unsigned n)
{
	(void)frame;
	(void)from;
	(void)len;
	(void)iov;
	(void)n;
	return 0;
}

size_t nic_frame_read(const struct nic_frame *frame, size_t from, void *to, size_t len)
{
	(void)frame;
	(void)from;
	(void)to;
	(void)len;
	return 0;
}

int nic_new(const struct capsa_host *host, struct capsa_device *dev, const struct nic_options *options,
            const struct nic_operations *operations, void *ctx, struct nic **out)
{
	(void)host;
	(void)dev;
	(void)options;
	(void)operations;
	(void)ctx;
	(void)out;
	*out = NULL;
	return 0;
}

void nic_free(struct nic *nic)
{
	(void)nic;
}

void nic_realize(struct nic *nic, struct capsa_setup *setup)
{
	(void)nic;
	(void)setup;
}

void nic_activate(struct nic *nic, uint64_t features)
{
	(void)nic;
	(void)features;
}

void nic_queue_notify(struct nic *nic, unsigned queue)
{
	(void)nic;
	(void)queue;
}

void nic_reset(struct nic *nic)
{
	(void)nic;
}

bool nic_guest_takes_csum(const struct nic *nic)
{
	(void)nic;
	return false;
}

bool nic_guest_takes_tso(const struct nic *nic, bool ipv6)
{
	(void)nic;
	(void)ipv6;
	return false;
}

bool nic_is_mergeable(const struct nic *nic)
{
	(void)nic;
	return false;
}

bool nic_is_active(const struct nic *nic)
{
	(void)nic;
	return false;
}

uint16_t nic_mtu(const struct nic *nic)
{
	(void)nic;
	return 0;
}

const unsigned char *nic_mac(const struct nic *nic)
{
	(void)nic;
	return NULL;
}

unsigned nic_pairs(const struct nic *nic)
{
	(void)nic;
	return 0;
}

void nic_set_link(struct nic *nic, bool up)
{
	(void)nic;
	(void)up;
}

void nic_hold_transmit(struct nic *nic, bool hold)
{
	(void)nic;
	(void)hold;
}

int nic_reserve(struct nic *nic, unsigned pair, size_t want, size_t least, struct nic_slot *slot)
{
	(void)nic;
	(void)pair;
	(void)want;
	(void)least;
	(void)slot;
	return 0;
}

void nic_send_slot(struct nic *nic, struct nic_slot *slot, const struct virtio_net_hdr_v1 *header, size_t len)
{
	(void)nic;
	(void)slot;
	(void)header;
	(void)len;
}

void nic_cancel_slot(struct nic *nic, struct nic_slot *slot)
{
	(void)nic;
	(void)slot;
}

int nic_send(struct nic *nic, unsigned pair, const struct virtio_net_hdr_v1 *header, const struct iovec *iov,
             unsigned n)
{
	(void)nic;
	(void)pair;
	(void)header;
	(void)iov;
	(void)n;
	return 0;
}

void nic_flush(struct nic *nic)
{
	(void)nic;
}

void nic_mac_of(const char *machine, const char *device, unsigned char mac[ETH_ALEN])
{
	(void)machine;
	(void)device;
	(void)mac;
}
