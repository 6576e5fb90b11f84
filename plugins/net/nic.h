/* SPDX-License-Identifier: MIT */
/*
 * nic.h - the virtio network device (virtio 1.2, 5.1) with any far side: what net-nat and cluster-switch stand on.
 *
 * Queues: receiveq1, transmitq1, ..., receiveqN, transmitqN, controlq. A "pair" is numbered from 0. The device knows
 * nothing of what frames carry, but for lengths and what their virtio header says.
 *
 * THEORY OF OPERATION. Transmit: a handler pops a batch, and for each frame copies and checks the virtio header,
 * copies the frame's first bytes (headers are parsed from that copy only) and calls frame(). The frame's buffers are
 * guest memory, valid inside of the call: payload goes from there to a socket without a copy of ours. Behind the batch
 * batch_end() is called once: the place for what may be said once for many frames (acknowledgements).
 *
 * Receive: room is reserved first, then filled, then given to the guest, so that recvmsg(2) can write into guest
 * memory. With MRG_RXBUF a slot is as many buffers as the frame needs (virtio 1.2, 5.1.6.3.1), else one. Where there
 * is no room nothing waits here: nic_reserve() says -EAGAIN, and room() is called once, when the guest has made
 * buffers available. Frames are visible to the guest at nic_flush(); who calls from frame(), batch_end() or room()
 * need not flush.
 *
 * COUNTERS of the device's: rx_packets, rx_bytes (to the guest), malformed (headers that are none).
 *
 * THREAD: the home loop, all of it. All pairs are served there; a plugin that uses this is WORKER.
 */
#ifndef CAPSA_NET_NIC_H
#define CAPSA_NET_NIC_H

#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "capsa-plugin.h"
#include "plugins/net/packet.h"

#define NIC_MTU_MIN 1280u /* IPv6 */
#define NIC_MTU_MAX 65520u
#define NIC_PAIRS_MAX 8u
/* Longest frame either way, without the virtio header: 64 KiB of IP behind an Ethernet header with a VLAN tag. */
#define NIC_FRAME_MAX (65535u + 18u)
#define NIC_SLOT_BUFFERS 128u /* a slot's: 64 KiB in small buffers of 1500 are 44 */
#define NIC_FRAME_BUFFERS 64u /* of a frame to frame(): what comes in more pieces has been put together */

struct nic;

/* A frame from the guest. Valid inside of frame(). */
struct nic_frame {
	unsigned pair;
	/* As the driver wrote it, checked: flags and GSO types that were not negotiated, offsets outside of the frame
	 * and sizes of 0 do not get here; they are counted as malformed. Fields in host order. */
	struct virtio_net_hdr_v1 header;
	unsigned char head[PACKET_HEAD]; /* a copy of the first head_len bytes */
	size_t head_len, len;            /* len: the whole frame, Ethernet header included */
	const struct iovec *buffers; /* guest memory: changes at any time; the first `skip` bytes are not the frame's */
	unsigned n_buffers;
	size_t skip;
};

/*
 * Buffers from byte `from` of the frame on, `len` bytes, as iovecs; returns how many were filled. 0: out of range, or
 * more than `n`, which NIC_FRAME_BUFFERS are always enough for.
 */
unsigned nic_frame_iov(const struct nic_frame *frame, size_t from, size_t len, struct iovec *iov, unsigned n);
/* Copies; returns how many bytes there were. */
size_t nic_frame_read(const struct nic_frame *frame, size_t from, void *to, size_t len);

struct nic_options {
	unsigned char mac[ETH_ALEN];
	uint16_t mtu;   /* NIC_MTU_MIN..NIC_MTU_MAX */
	unsigned pairs; /* 1..NIC_PAIRS_MAX */
	bool offloads;  /* CSUM, TSO and the guest's; without them what the driver sees is a plain card */
};

struct nic_operations {
	void (*frame)(void *ctx, const struct nic_frame *frame);
	void (*batch_end)(void *ctx);
	/* There are receive buffers again on `pair`, which had too few for somebody. */
	void (*room)(void *ctx, unsigned pair);
};

/* Life. `options`, `operations` are copied. 0 or -ENOMEM. */
int nic_new(const struct capsa_host *host, struct capsa_device *dev, const struct nic_options *options,
            const struct nic_operations *operations, void *ctx, struct nic **out);
void nic_free(struct nic *nic);
/* In the plugin's callbacks of the same names. */
void nic_realize(struct nic *nic, struct capsa_setup *setup);
void nic_activate(struct nic *nic, uint64_t features);
void nic_queue_notify(struct nic *nic, unsigned queue);
void nic_reset(struct nic *nic);

/* What was negotiated: the guest takes frames with a partial checksum, and GSO frames of that family. */
bool nic_guest_takes_csum(const struct nic *nic);
bool nic_guest_takes_tso(const struct nic *nic, bool ipv6);
bool nic_is_mergeable(const struct nic *nic);
bool nic_is_active(const struct nic *nic);
uint16_t nic_mtu(const struct nic *nic);
const unsigned char *nic_mac(const struct nic *nic);
/* Pairs that the driver uses (VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET): 1 at first. */
unsigned nic_pairs(const struct nic *nic);

/* VIRTIO_NET_S_LINK_UP, and the interrupt. Frames of a link that is down go nowhere, both ways. Up at first. */
void nic_set_link(struct nic *nic, bool up);

/* Transmit queues are not looked at while held; what stands in them waits. Also from frame(): this one is the last. */
void nic_hold_transmit(struct nic *nic, bool hold);

/* ---- to the guest ---- */

struct nic_slot {
	unsigned pair;
	struct iovec iov[NIC_SLOT_BUFFERS]; /* where the frame goes, from its Ethernet header on */
	unsigned n;
	size_t room; /* bytes of it */
};

/*
 * Room for a frame of `want` bytes, or of as many as there are buffers for, `least` at least. -EAGAIN: not so many now,
 * room() will come; -EMSGSIZE: without MRG_RXBUF the guest's buffers are smaller; -ENETDOWN: not active, or link down.
 * A slot is used or cancelled before the next is reserved on that pair, and before a handler returns.
 */
int nic_reserve(struct nic *nic, unsigned pair, size_t want, size_t least, struct nic_slot *slot);
/* Gives the first len bytes to the guest; header->num_buffers is set here. `header` in host order. */
void nic_send_slot(struct nic *nic, struct nic_slot *slot, const struct virtio_net_hdr_v1 *header, size_t len);
void nic_cancel_slot(struct nic *nic, struct nic_slot *slot);
/* All in one, by copying. As nic_reserve(). `header` NULL: nothing special. */
int nic_send(struct nic *nic, unsigned pair, const struct virtio_net_hdr_v1 *header, const struct iovec *iov,
             unsigned n);
/* Where frames of that pair go: the driver may have fewer in use than when a flow began. */
unsigned nic_receive_pair(const struct nic *nic, unsigned pair);
/*
 * Somebody found no room on nic_receive_pair(): room() will come. In room() itself that is so from the first one on who
 * finds none.
 */
bool nic_is_short(const struct nic *nic, unsigned pair);
/* room() comes once more, in the next turn: for who has used its budget. */
void nic_room_again(struct nic *nic, unsigned pair);
/* Makes what was sent visible, and interrupts where the guest wants it. Cheap where nothing was sent. */
void nic_flush(struct nic *nic);

/* A locally administered unicast address out of the machine's and the device's name: the same at every start. */
void nic_mac_of(const char *machine, const char *device, unsigned char mac[ETH_ALEN]);

#endif
