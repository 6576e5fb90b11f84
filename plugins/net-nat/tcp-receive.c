/* SPDX-License-Identifier: MIT */
/*
 * tcp-receive.c - from the guest to the socket (RFC 9293, 3.10.7.4, in its order; RFC 5961).
 *
 * THEORY OF OPERATION. Text that is next in sequence goes to sendmsg(2) straight from guest memory; what the socket
 * takes is acknowledged. Text out of order waits for what is missing (tcp-ahead.c), and is answered by a duplicate
 * acknowledgement at once, which tells what is there.
 *
 * THE WINDOW. What is offered is what the socket has room for, so that nothing that the guest sends is dropped, and its
 * edge never moves back. The socket is asked when half of what was offered has been used up. Where it is about to be
 * full, the window stays as it is until EPOLLOUT: poll(2) is what makes the kernel say that without an attempt that
 * fails. What it does not take all the same is kept (tcp-kept.c).
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <linux/sock_diag.h>

#include "plugins/net-nat/tcp-flow.h"

#define WINDOW_UNSCALED 65535u

/* ---- acknowledgements and the window ---- */

uint16_t tcp_receive_window(const struct tcp_flow *f)
{
	uint32_t window = f->receive_edge - f->receive_next;

	if (tcp_state_is_open(tcp_flow_state(f)) && f->scale)
		window >>= f->scale;
	return (uint16_t)(window < WINDOW_UNSCALED ? window : WINDOW_UNSCALED);
}

/* Bytes that the socket has room for; *size: its whole. 0: it is as good as full, EPOLLOUT will come. */
static uint32_t socket_room(const struct tcp_flow *f)
{
	uint32_t memory[SK_MEMINFO_VARS] = { 0 };
	socklen_t len = sizeof memory;
	struct pollfd waits = { .fd = f->flow.source.fd, .events = POLLOUT };
	uint32_t used, room;

	if (getsockopt(f->flow.source.fd, SOL_SOCKET, SO_MEMINFO, memory, &len) < 0)
		return WINDOW_UNSCALED;
	/* TCP counts what is queued, AF_UNIX what is allocated. */
	used = memory[SK_MEMINFO_WMEM_QUEUED] > memory[SK_MEMINFO_WMEM_ALLOC] ? memory[SK_MEMINFO_WMEM_QUEUED]
	                                                                      : memory[SK_MEMINFO_WMEM_ALLOC];
	room = memory[SK_MEMINFO_SNDBUF] > used ? memory[SK_MEMINFO_SNDBUF] - used : 0;
	if (room < memory[SK_MEMINFO_SNDBUF] / 3 + f->mss && poll(&waits, 1, 0) == 0)
		return 0;
	return room > f->mss ? room : f->mss;
}

void tcp_receive_offer(struct tcp_flow *f)
{
	uint32_t room;

	if (f->waiting || f->receive_edge - f->receive_next > f->receive_full / 2)
		return;
	room = socket_room(f);
	if (!room) {
		f->waiting = true;
		return;
	}
	room -= room / 8; /* each packet in it has a price of its own */
	if (room > TCP_WINDOW_MOST)
		room = TCP_WINDOW_MOST;
	if (!f->scale && room > WINDOW_UNSCALED)
		room = WINDOW_UNSCALED;
	if (f->kept && room > tcp_kept_room(f))
		room = (uint32_t)tcp_kept_room(f);
	f->receive_full = room;
	if (room > f->receive_edge - f->receive_next)
		f->receive_edge = f->receive_next + room;
}

static int acknowledge_again(const struct tcp_flow *f)
{
	struct tcp_block blocks[TCP_BLOCKS];
	unsigned char options[SEGMENT_OPTIONS_MAX];
	size_t len = 0;

	if (f->ahead && f->sack)
		len = segment_put_blocks(options, blocks, tcp_ahead_blocks(f, blocks));
	return segment_send(f, TH_ACK, f->send_next, options, len);
}

int tcp_receive_acknowledge(struct tcp_flow *f)
{
	int rc = acknowledge_again(f);

	f->ack_due = rc == -EAGAIN;
	return rc;
}

/* At the end of the batch, or with data before. */
static void acknowledge_soon(struct tcp_flow *f)
{
	f->ack_due = true;
	tcp_flow_mark(f);
}

static void acknowledge_now(struct tcp_flow *f)
{
	if (tcp_receive_acknowledge(f) == -EAGAIN)
		tcp_flow_enlist(f, TCP_LIST_ROOM);
}

bool tcp_receive_resume(struct tcp_flow *f)
{
	const uint32_t edge = f->receive_edge;

	f->waiting = false;
	if (f->kept && tcp_kept_flush(f) < 0) {
		tcp_end_reset(f);
		return false;
	}
	if (!tcp_state_takes_data(tcp_flow_state(f)))
		return true;
	tcp_receive_offer(f);
	if (f->receive_edge != edge)
		f->ack_due = true;
	return true;
}

/* ---- text ---- */

/* How many bytes the socket took, or -errno. */
static ssize_t send_text(struct tcp_flow *f, const struct iovec *iov, unsigned n, size_t len)
{
	const struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n };
	const ssize_t sent = sendmsg(f->flow.source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN)
		return -errno;
	if (sent < (ssize_t)len)
		f->waiting = true;
	return sent < 0 ? 0 : sent;
}

ssize_t tcp_receive_take(struct tcp_flow *f, const struct iovec *iov, unsigned n, size_t len)
{
	ssize_t taken = 0;

	if (!f->kept)
		taken = send_text(f, iov, n, len);
	if (taken >= 0 && taken < (ssize_t)len) {
		const ssize_t kept = tcp_kept_add(f, iov, n, (size_t)taken, len - (size_t)taken);

		taken = kept < 0 ? kept : taken + kept;
	}
	if (taken < 0)
		return taken;
	f->receive_next += (uint32_t)taken;
	f->flow.tx_bytes += (uint64_t)taken;
	return taken;
}

/* The guest's FIN is next. False: ended. */
static bool take_fin(struct tcp_flow *f)
{
	f->receive_next++;
	if (f->receive_edge == f->receive_next - 1)
		f->receive_edge++;
	if (f->kept)
		f->shut_due = true;
	else
		(void)shutdown(f->flow.source.fd, SHUT_WR);
	tcp_flow_event(f, TCP_EVENT_GUEST_FIN);
	f->ack_due = true;
	if (f->state == TCP_STATE_CLOSED) {
		tcp_end_well(f);
		return false;
	}
	tcp_flow_mark(f);
	return true;
}

/* `skip`: bytes at the front of it that have been taken before. */
static bool take_text(struct tcp_flow *f, const struct nic_frame *frame, const struct segment *segment, size_t skip)
{
	const size_t window = f->receive_edge - f->receive_next;
	size_t len = segment->len - skip;
	bool fin = segment->flags & TH_FIN;
	const uint32_t end = segment->sequence + (uint32_t)segment->len;
	struct iovec iov[NIC_FRAME_BUFFERS];
	ssize_t rc = 0;

	if (len > window) {
		len = window;
		fin = false;
	}
	if (len > 0)
		rc = tcp_receive_take(f, iov, nic_frame_iov(frame, segment->text + skip, len, iov, NIC_FRAME_BUFFERS),
		                      len);
	if (rc >= 0 && f->ahead)
		rc = tcp_ahead_deliver(f);
	/* Where the guest has ended without a name, none will come. */
	if (rc >= 0 && fin && tcp_kept_is_unnamed(f)) {
		flow_unnamed(&f->flow);
		rc = -EACCES;
	}
	if (rc < 0) {
		tcp_end_reset(f);
		return false;
	}
	if (fin && f->receive_next == end)
		return take_fin(f);
	acknowledge_soon(f);
	return true;
}

/* ---- segments ---- */

/* RFC 5961, 3.2: only a RST that is exactly next is believed at once; a guest that meant it answers with one. */
static bool take_reset(struct tcp_flow *f, int32_t ahead)
{
	if (ahead == 0) {
		tcp_end_abort(f);
		return false;
	}
	acknowledge_now(f);
	return true;
}

bool tcp_receive(struct tcp_flow *f, const struct nic_frame *frame, const struct segment *segment)
{
	const int32_t ahead = sequence_from(segment->sequence, f->receive_next);
	const int32_t window = sequence_from(f->receive_edge, f->receive_next);
	const bool fin = segment->flags & TH_FIN;
	const int32_t len = (int32_t)segment->len + fin;
	bool valid;

	/* A pure acknowledgement at the very edge is that of a guest whose text in between was not taken. */
	if (ahead > window || ahead < -(int32_t)TCP_WINDOW_MOST - 65536 || ahead + len < 0) {
		if (!(segment->flags & TH_RST))
			acknowledge_now(f);
		return true;
	}
	if (segment->flags & TH_RST)
		return take_reset(f, ahead);
	if (segment->flags & TH_SYN) { /* RFC 5961, 4.2 */
		acknowledge_now(f);
		return true;
	}
	if (!(segment->flags & TH_ACK))
		return true;
	if (!tcp_transmit_acknowledged(f, segment, &valid))
		return false;
	if (!valid) {
		acknowledge_now(f);
		return true;
	}
	if (!len)
		return true;
	if (ahead > 0 && tcp_state_takes_data(tcp_flow_state(f)))
		tcp_ahead_add(f, frame, segment);
	if (ahead > 0 || ahead + len == 0 || !tcp_state_takes_data(tcp_flow_state(f))) {
		acknowledge_now(f);
		return true;
	}
	return take_text(f, frame, segment, (size_t)-ahead);
}
