/* SPDX-License-Identifier: MIT */
/*
 * device.c - the device's queues (virtio 1.2, 5.10.2 and 5.10.6): packets of the guest come in, packets for it go out.
 *
 * Theory of operation: a turn (vsock-private.h) takes packets, or readable sockets, and at its end sends in this
 * order: resets of nobody, what connections have to say without payload, then payload of connections that wait, each
 * with a budget, first come first served. All of it needs the guest's buffers; while there are none, each of the three
 * waits in a place that is bounded: MAX_LONE_RESETS (then no more packets are taken: the guest is made to wait), the
 * connections themselves, the sockets. The guest's next buffer wakes the queue; nothing polls.
 *
 * Buffers are popped ahead and kept in `spare`, so that one readv() can fill many; those left over are for the next
 * packet.
 *
 * Called by core/virtio on the device's home loop.
 */
#include <assert.h>
#include <endian.h>

#include "core/vsock/vsock-private.h"

/* ---- buffers of the guest ---- */

unsigned device_buffers(struct vsock *v, unsigned want)
{
	if (!v->active)
		return 0;
	while (v->n_spare < want) {
		struct capsa_request *request = virtio_queue_pop(v->virtio, RX_QUEUE);

		if (!request)
			break;
		if (request->writable_bytes <= HEADER_SIZE) {
			virtio_queue_complete(v->virtio, request, 0);
			virtio_device_broken(v->virtio, "a receive buffer without room behind a packet's header");
			break;
		}
		v->spare[(v->first_spare + v->n_spare++) % QUEUE_SIZE] = request;
	}
	return v->n_spare < want ? v->n_spare : want;
}

struct capsa_request *device_spare(const struct vsock *v, unsigned index)
{
	assert(index < v->n_spare);
	return v->spare[(v->first_spare + index) % QUEUE_SIZE];
}

/* There were none: the next one wakes the queue. */
static void wait_for_buffers(struct vsock *v)
{
	if (v->rx_waits || !v->active)
		return;
	v->rx_waits = !virtio_queue_wait(v->virtio, RX_QUEUE);
	if (!v->rx_waits)
		virtio_queue_again(v->virtio, RX_QUEUE);
}

/* Completes the first spare buffer with this header. */
static void send_header(struct vsock *v, const struct virtio_vsock_hdr *h)
{
	const struct virtio_vsock_hdr wire = {
		.src_cid = htole64(h->src_cid),
		.dst_cid = htole64(v->cid),
		.src_port = htole32(h->src_port),
		.dst_port = htole32(h->dst_port),
		.len = htole32(h->len),
		.type = htole16(h->type),
		.op = htole16(h->op),
		.flags = htole32(h->flags),
		.buf_alloc = htole32(h->buf_alloc),
		.fwd_cnt = htole32(h->fwd_cnt),
	};
	struct capsa_request *request = device_spare(v, 0);

	v->first_spare = (v->first_spare + 1) % QUEUE_SIZE;
	v->n_spare--;
	virtio_request_write(request, 0, &wire, sizeof wire);
	virtio_queue_complete(v->virtio, request, sizeof wire + h->len);
	v->counters.rx_packets++;
	v->rx_used = true;
}

static void send_packet(struct connection *c, uint16_t op, uint32_t len, uint32_t flags)
{
	const struct virtio_vsock_hdr h = {
		.src_cid = VMADDR_CID_HOST,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.len = len,
		.type = c->type,
		.op = op,
		.flags = flags,
		.buf_alloc = c->buf_alloc,
		.fwd_cnt = c->fwd_cnt,
	};

	c->told_fwd_cnt = c->fwd_cnt;
	send_header(c->vsock, &h);
}

void device_send_payload(struct connection *c, uint32_t len, uint32_t flags)
{
	c->tx_cnt += len;
	c->vsock->counters.rx_bytes += len;
	send_packet(c, VIRTIO_VSOCK_OP_RW, len, flags);
}

/* ---- packets without payload ---- */

void device_send_control(struct connection *c, unsigned pending)
{
	if (!c->pending)
		TAILQ_INSERT_TAIL(&c->vsock->control, c, control);
	c->pending |= pending;
}

void device_forget_control(struct connection *c)
{
	if (c->pending)
		TAILQ_REMOVE(&c->vsock->control, c, control);
	c->pending = 0;
}

void device_complete_held(struct vsock *v, struct capsa_request *request)
{
	v->n_held--;
	if (!v->active)
		return; /* void: the device was reset */
	virtio_queue_complete(v->virtio, request, 0);
	v->tx_used = true;
}

/* Sends the first of what waits. */
static void send_one(struct connection *c)
{
	static const struct {
		unsigned bit;
		uint16_t op;
	} order[] = {
		{ PENDING_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ PENDING_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ PENDING_CREDIT_UPDATE, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ PENDING_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
		{ PENDING_RST, VIRTIO_VSOCK_OP_RST },
	};
	unsigned i = 0;

	while (!(c->pending & order[i].bit))
		i++;
	send_packet(c, order[i].op, 0, order[i].bit == PENDING_SHUTDOWN ? c->told_shutdown : 0);
	c->pending &= ~order[i].bit;
	if (!c->pending)
		TAILQ_REMOVE(&c->vsock->control, c, control);
	connection_bury(c);
}

/* false: buffers ran out. */
static bool send_resets(struct vsock *v)
{
	while (v->n_resets > 0) {
		const struct lone_reset *reset = &v->resets[v->first_reset];
		const struct virtio_vsock_hdr h = {
			.src_cid = reset->host_cid,
			.src_port = reset->host_port,
			.dst_port = reset->guest_port,
			.type = reset->type,
			.op = VIRTIO_VSOCK_OP_RST,
		};

		if (device_buffers(v, 1) == 0)
			return false;
		send_header(v, &h);
		v->first_reset = (v->first_reset + 1) % MAX_LONE_RESETS;
		v->n_resets--;
	}
	return true;
}

static bool send_controls(struct vsock *v)
{
	struct connection *c;

	while ((c = TAILQ_FIRST(&v->control))) {
		if (device_buffers(v, 1) == 0)
			return false;
		send_one(c);
	}
	return true;
}

/* ---- turns ---- */

static bool pump_waiting(struct vsock *v)
{
	const uint64_t bytes = v->counters.rx_bytes, packets = v->counters.rx_packets;
	struct connection *c;

	while ((c = TAILQ_FIRST(&v->waiting))) {
		if (v->counters.rx_bytes - bytes >= TURN_BYTES ||
		    v->counters.rx_packets - packets >= 4 * TURN_REQUESTS) {
			virtio_queue_again(v->virtio, RX_QUEUE);
			return true;
		}
		TAILQ_REMOVE(&v->waiting, c, waiting);
		c->is_waiting = false;
		switch (transfer_pump(c)) {
		case PUMP_NO_BUFFERS:
			c->is_waiting = true;
			TAILQ_INSERT_HEAD(&v->waiting, c, waiting);
			return false;
		case PUMP_MORE:
			c->is_waiting = true;
			TAILQ_INSERT_TAIL(&v->waiting, c, waiting);
			break;
		case PUMP_DRY:
			connection_update(c);
			break;
		case PUMP_STOPPED:
			break;
		}
	}
	return true;
}

void turn_begin(struct vsock *v)
{
	v->turns++;
}

void turn_end(struct vsock *v)
{
	assert(v->turns > 0);
	if (v->turns > 1 || !v->active) {
		v->turns--;
		if (!v->turns)
			connection_free_dead(v);
		return;
	}
	/* Pumping may leave something to say. */
	if (!v->rx_waits && !(send_resets(v) && send_controls(v) && pump_waiting(v) && send_controls(v)))
		wait_for_buffers(v);
	if (v->tx_stopped && v->n_resets < MAX_LONE_RESETS) {
		v->tx_stopped = false;
		virtio_queue_again(v->virtio, TX_QUEUE);
	}
	if (v->rx_used)
		virtio_queue_flush(v->virtio, RX_QUEUE);
	if (v->tx_used)
		virtio_queue_flush(v->virtio, TX_QUEUE);
	v->rx_used = v->tx_used = false;
	v->turns--;
	connection_free_dead(v);
}

/* ---- packets of the guest ---- */

/* Copies the header and looks whether the packet can be what it says. */
static bool read_header(const struct vsock *v, const struct capsa_request *request, struct virtio_vsock_hdr *h)
{
	struct virtio_vsock_hdr wire;

	if (virtio_request_read(request, 0, &wire, sizeof wire) < sizeof wire)
		return false;
	*h = (struct virtio_vsock_hdr){
		.src_cid = le64toh(wire.src_cid),
		.dst_cid = le64toh(wire.dst_cid),
		.src_port = le32toh(wire.src_port),
		.dst_port = le32toh(wire.dst_port),
		.len = le32toh(wire.len),
		.type = le16toh(wire.type),
		.op = le16toh(wire.op),
		.flags = le32toh(wire.flags),
		.buf_alloc = le32toh(wire.buf_alloc),
		.fwd_cnt = le32toh(wire.fwd_cnt),
	};
	return h->src_cid == v->cid && h->len <= request->readable_bytes - sizeof wire;
}

static void take_packets(struct vsock *v)
{
	struct capsa_request *request;
	struct virtio_vsock_hdr h;
	size_t bytes = 0;

	for (unsigned n = 0; v->n_resets < MAX_LONE_RESETS; n++) {
		if (n == TURN_REQUESTS || bytes >= TURN_BYTES) {
			virtio_queue_again(v->virtio, TX_QUEUE);
			return;
		}
		request = virtio_queue_pop(v->virtio, TX_QUEUE);
		if (!request)
			return;
		bytes += request->readable_bytes;
		if (read_header(v, request, &h)) {
			v->counters.tx_packets++;
			if (connection_packet(v, &h, request))
				continue;
		} else {
			v->counters.bad_packets++;
			vsock_say(v, REASON_PACKET,
			          "the guest sent a packet with a wrong length or sender; it is dropped");
		}
		virtio_queue_complete(v->virtio, request, 0);
	}
	v->tx_stopped = true;
}

/* ---- what core/virtio calls ---- */

static int on_activate(void *ctx, uint64_t features)
{
	struct vsock *v = ctx;

	v->features = features;
	v->active = true;
	return 0;
}

static void on_notify(void *ctx, unsigned queue)
{
	struct vsock *v = ctx;

	turn_begin(v);
	if (queue == TX_QUEUE)
		take_packets(v);
	else if (queue == RX_QUEUE)
		v->rx_waits = false;
	turn_end(v);
}

static void on_reset(void *ctx)
{
	struct vsock *v = ctx;

	v->active = false;
	v->features = 0;
	v->n_spare = v->n_resets = 0;
	v->rx_waits = v->rx_used = v->tx_used = v->tx_stopped = false;
	host_drop_clients(v);
	connection_end_all(v, false);
}

const struct virtio_ops vsock_ops = {
	.activate = on_activate,
	.queue_notify = on_notify,
	.reset = on_reset,
};
