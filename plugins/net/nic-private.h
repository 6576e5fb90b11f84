/* SPDX-License-Identifier: MIT */
/* nic-private.h - what nic.c, nic-receive.c and nic-control.c share. */
#ifndef CAPSA_NET_NIC_PRIVATE_H
#define CAPSA_NET_NIC_PRIVATE_H

#include "plugins/net/nic.h"

#define NIC_HEADER sizeof(struct virtio_net_hdr_v1)

/*
 * The receive side of a pair. Buffers are popped when a frame needs them and kept until one fills them: who finds too
 * few for a frame must not give them back, as a queue that is not empty tells nobody of new ones (capsa-plugin.h,
 * queue_wait).
 */
struct nic_receive {
	struct capsa_request *kept[NIC_SLOT_BUFFERS]; /* a ring: n_kept from `first` on */
	unsigned first, n_kept;
	bool waiting; /* room() is owed */
	bool dirty;   /* something was completed since the last flush */
};

struct nic {
	const struct capsa_host *host;
	struct capsa_device *dev;
	struct nic_options options;
	struct nic_operations operations;
	void *ctx;
	uint64_t *rx_packets, *rx_bytes, *malformed;

	bool link;
	bool active;
	bool held;
	uint64_t features;
	unsigned pairs; /* in use */
	struct nic_receive receive[NIC_PAIRS_MAX];
	unsigned char *whole; /* NIC_FRAME_MAX bytes, or NULL: for a frame in very many pieces */
};

static inline bool nic_has(const struct nic *nic, unsigned feature)
{
	return nic->features >> feature & 1;
}

static inline unsigned nic_receive_queue(unsigned pair)
{
	return 2 * pair;
}

static inline unsigned nic_transmit_queue(unsigned pair)
{
	return 2 * pair + 1;
}

/* nic-receive.c: the guest has made buffers available; and: all of them are void. */
void nic_receive_notified(struct nic *nic, unsigned pair);
void nic_receive_forget(struct nic *nic);

/* nic-control.c: which queue is the control queue (virtio 1.2, 5.1.2); what stands in it. */
unsigned nic_control_queue(const struct nic *nic);
void nic_control_notified(struct nic *nic, unsigned queue);

#endif
