/* SPDX-License-Identifier: MIT */
/*
 * nic-control.c - commands of the driver (virtio 1.2, 5.1.6.5). One is understood: how many pairs it uses. All others
 * belong to features that are not offered, and are answered by VIRTIO_NET_ERR.
 */
#include <endian.h>

#include "plugins/net/nic-private.h"

#define BATCH_COMMANDS 64u

struct command {
	struct virtio_net_ctrl_hdr header;
	struct virtio_net_ctrl_mq mq;
} __attribute__((packed));

/* Behind all pairs that there are; a driver that does not know MQ knows of one (5.1.2). */
unsigned nic_control_queue(const struct nic *nic)
{
	return nic_has(nic, VIRTIO_NET_F_MQ) ? 2 * nic->options.pairs : 2;
}

static virtio_net_ctrl_ack run(struct nic *nic, const struct capsa_request *request)
{
	struct command command;
	unsigned pairs;

	if (nic->host->request_read(request, 0, &command, sizeof command) < sizeof command)
		return VIRTIO_NET_ERR;
	if (command.header.class != VIRTIO_NET_CTRL_MQ || command.header.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET ||
	    !nic_has(nic, VIRTIO_NET_F_MQ))
		return VIRTIO_NET_ERR;
	pairs = le16toh(command.mq.virtqueue_pairs);
	if (pairs < VIRTIO_NET_CTRL_MQ_VQ_PAIRS_MIN || pairs > nic->options.pairs)
		return VIRTIO_NET_ERR;
	nic->pairs = pairs;
	/* Nobody makes buffers available on the others any more: who waits for them has those of another pair now. */
	for (unsigned pair = pairs; pair < nic->options.pairs; pair++)
		nic_receive_notified(nic, pair);
	return VIRTIO_NET_OK;
}

void nic_control_notified(struct nic *nic, unsigned queue)
{
	for (unsigned n = 0; n < BATCH_COMMANDS; n++) {
		struct capsa_request *request = nic->host->queue_pop(nic->dev, queue);
		virtio_net_ctrl_ack ack;

		if (!request)
			return;
		ack = run(nic, request);
		nic->host->queue_complete(nic->dev, request, nic->host->request_write(request, 0, &ack, sizeof ack));
	}
	nic->host->queue_again(nic->dev, queue);
}
