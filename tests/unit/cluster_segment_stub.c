/* SPDX-License-Identifier: MIT */
/* TO BE DROPPED, here and in plugins/cluster-switch/local.mk, as soon as plugins/net/segment.c is there. */
#include "plugins/net/segment.h"

#include <errno.h>

int segment_check(struct virtio_net_hdr_v1 *header, const struct packet *packet, size_t len)
{
	(void)packet;
	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->num_buffers = 0;
	if (!header->flags)
		header->csum_start = header->csum_offset = 0;
	else if (header->csum_start < 14 || (size_t)header->csum_start + header->csum_offset + 2 > len)
		return -EBADMSG;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		header->gso_size = header->hdr_len = 0;
	else if (header->gso_type != VIRTIO_NET_HDR_GSO_TCPV4 || !header->flags || !header->gso_size)
		return -EBADMSG;
	return 0;
}
