/* SPDX-License-Identifier: MIT */
/*
 * transfer.c - a connection's bytes, both ways, and its credit (virtio 1.2, 5.10.6.3).
 *
 * GUEST TO HOST. A packet's payload goes from the guest's memory to the host's socket in one sendmsg(2). A request of
 * which the socket did not take all is kept, and goes on from there; of those behind it a few are kept, too. Only what
 * is more than that (MAX_HELD), or belongs to a connection that the guest has ended, is copied to the connection's
 * backlog, so that no reader that is slow holds the guest's queue. The guest may have buf_alloc bytes under way; those
 * kept in either place are what counts, so one that respects its credit never
 * finds the backlog full, and one that does not loses its connection. It learns that bytes are gone with any packet
 * to it, at the latest when half of buf_alloc (64 KiB or more) is what it believes to be free.
 * A message of a SOCK_SEQPACKET goes out in one piece: one that comes in several packets waits in the backlog for its
 * end.
 *
 * HOST TO GUEST. One readv(2) fills as many of the guest's buffers as its credit allows, behind the place of each
 * header; then the headers are written. What is not read stays in the socket, and its writer waits: nothing is kept
 * here. Only a SOCK_SEQPACKET message, which cannot be read in parts, is read to memory of its own and sent from there.
 *
 * Called by connection.c and device.c, and by the connections' watches.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/vsock/vsock-private.h"

#define MAX_BUFFERS 64u /* of the guest, for one readv() */
#define MAX_IOV 128u

/* ---- guest to host ---- */

static size_t kept_bytes(const struct connection *c)
{
	return c->held_bytes + c->backlog.payload;
}

void transfer_done(struct connection *c, uint32_t len)
{
	uint32_t under_way, free_there;

	c->fwd_cnt += len;
	under_way = c->fwd_cnt + (uint32_t)kept_bytes(c) - c->told_fwd_cnt;
	free_there = under_way < c->buf_alloc ? c->buf_alloc - under_way : 0;
	if (free_there <= c->buf_alloc / 2 && c->fwd_cnt != c->told_fwd_cnt && c->state != CONNECTION_GONE)
		device_send_control(c, PENDING_CREDIT_UPDATE);
}

/* The peer takes no more: it has closed its end, or shut down that direction. */
static void host_is_deaf(struct connection *c)
{
	uint32_t rest = (uint32_t)kept_bytes(c);

	c->host_deaf = true;
	transfer_drop_held(c, false);
	backlog_free(&c->backlog);
	transfer_done(c, rest);
	if (c->state == CONNECTION_GONE)
		connection_reset(c);
	else
		connection_update(c);
}

/* What a failed send says. Returns whether to try again later. */
static bool send_failed(struct connection *c)
{
	switch (errno) {
	case EAGAIN:
	case EINTR:
		return true;
	case ENOBUFS:
	case ENOMEM:
		/* The socket counts as writable all the same: waiting for that would spin. */
		vsock_say(c->vsock, REASON_MEMORY,
		          "the host has no memory for a socket's bytes; the connection is reset");
		connection_reset(c);
		return false;
	case EMSGSIZE:
		vsock_say(c->vsock, REASON_MESSAGE,
		          "a message is too large for its socket on the host; the connection is reset");
		connection_reset(c);
		return false;
	default:
		host_is_deaf(c);
		return false;
	}
}

/* The buffers of a request from `skip` bytes on, `len` bytes at most. Returns their number; *bytes: in them. */
static unsigned slice(const struct iovec *from, unsigned n, size_t skip, size_t len, struct iovec *to, unsigned room,
                      size_t *bytes)
{
	unsigned used = 0;

	*bytes = 0;
	for (unsigned i = 0; i < n && used < room && *bytes < len; i++) {
		size_t part;

		if (skip >= from[i].iov_len) {
			skip -= from[i].iov_len;
			continue;
		}
		part = from[i].iov_len - skip;
		if (part > len - *bytes)
			part = len - *bytes;
		to[used++] = (struct iovec){ (unsigned char *)from[i].iov_base + skip, part };
		*bytes += part;
		skip = 0;
	}
	return used;
}

/* Sends straight from the guest's memory; how much was taken, or -1 (the connection may have ended). */
static ssize_t send_request(struct connection *c, const struct capsa_request *request, size_t at, size_t end, int flags)
{
	struct iovec iov[MAX_IOV];
	struct msghdr message = { .msg_iov = iov };
	size_t sent = 0, bytes;
	ssize_t n;

	do {
		message.msg_iovlen =
			slice(request->readable, request->n_readable, at + sent, end - at - sent, iov, MAX_IOV, &bytes);
		n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT | flags);
		if (n < 0)
			return send_failed(c) ? (ssize_t)sent : -1;
		sent += (size_t)n;
	} while ((size_t)n == bytes && at + sent < end);
	return (ssize_t)sent;
}

/* ---- requests that are kept ---- */

static bool hold(struct connection *c, struct capsa_request *request, size_t at, size_t end)
{
	struct vsock *v = c->vsock;

	if (c->n_held == MAX_HELD || v->n_held == QUEUE_SIZE / 2 || c->backlog.len > 0)
		return false;
	c->held[c->n_held++] = (struct held){ request, at, end };
	c->held_bytes += end - at;
	v->n_held++;
	return true;
}

/* The first `n` are done with. */
static void release_held(struct connection *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		c->held_bytes -= c->held[i].end - c->held[i].at;
		device_complete_held(c->vsock, c->held[i].request);
	}
	c->n_held -= n;
	memmove(c->held, c->held + n, c->n_held * sizeof c->held[0]);
}

void transfer_drop_held(struct connection *c, bool copy)
{
	struct backlog all = { .bytes = NULL };
	int rc = 0;

	if (c->n_held == 0)
		return;
	/* They come before what is in the backlog. */
	for (unsigned i = 0; copy && rc == 0 && i < c->n_held; i++) {
		const struct held *h = &c->held[i];

		rc = backlog_append(&all, h->request->readable, h->request->n_readable, h->at, h->end - h->at);
	}
	if (copy && rc == 0 && c->backlog.len > 0) {
		const struct iovec iov = { c->backlog.bytes + c->backlog.first, c->backlog.len };

		rc = backlog_append(&all, &iov, 1, 0, iov.iov_len);
	}
	release_held(c, c->n_held);
	if (!copy)
		return;
	backlog_free(&c->backlog);
	c->backlog = all;
	if (rc < 0) {
		vsock_say(c->vsock, REASON_MEMORY, "no memory for what a host's socket does not take; it is lost");
		backlog_free(&c->backlog);
	}
}

static bool keep(struct connection *c, int rc)
{
	if (rc == 0) {
		connection_update(c);
		return true;
	}
	vsock_say(c->vsock, REASON_MEMORY, "no memory for what a host's socket does not take; the connection is reset");
	connection_reset(c);
	return false;
}

static bool stream_packet(struct connection *c, struct capsa_request *request, uint32_t len)
{
	const size_t end = HEADER_SIZE + len;
	ssize_t sent = 0;
	bool held = false;

	if (kept_bytes(c) == 0) {
		sent = send_request(c, request, HEADER_SIZE, end, 0);
		if (sent < 0)
			return false;
	}
	/* First what is kept, so that credit is counted right. */
	if ((uint32_t)sent < len) {
		held = hold(c, request, HEADER_SIZE + (size_t)sent, end);
		if (!keep(c, held ? 0
		                  : backlog_append(&c->backlog, request->readable, request->n_readable,
		                                   HEADER_SIZE + (size_t)sent, len - (size_t)sent)))
			return false;
	}
	transfer_done(c, (uint32_t)sent);
	return held;
}

static void message_packet(struct connection *c, const struct capsa_request *request, uint32_t len, uint32_t flags)
{
	const bool whole = c->backlog.len == 0 && (flags & VIRTIO_VSOCK_SEQ_EOM) && request->n_readable < MAX_IOV;
	const uint32_t marks =
		(flags & VIRTIO_VSOCK_SEQ_EOM ? BACKLOG_END : 0) | (flags & VIRTIO_VSOCK_SEQ_EOR ? BACKLOG_RECORD : 0);
	ssize_t sent = 0;

	if (whole && len) {
		sent = send_request(c, request, HEADER_SIZE, HEADER_SIZE + len,
		                    flags & VIRTIO_VSOCK_SEQ_EOR ? MSG_EOR : 0);
		if (sent < 0)
			return;
	} else if (whole && send(c->fd, NULL, 0, MSG_NOSIGNAL | MSG_DONTWAIT) == 0) {
		return;
	}
	if (sent > 0)
		transfer_done(c, len);
	else
		keep(c, backlog_append_record(&c->backlog, request->readable, request->n_readable, HEADER_SIZE, len,
		                              marks));
}

bool transfer_packet(struct connection *c, struct capsa_request *request, uint32_t len, uint32_t flags)
{
	/* Messages without a byte need no credit, but they need room. */
	const size_t words = c->backlog.len - c->backlog.payload;

	c->vsock->counters.tx_bytes += len;
	if (len > c->buf_alloc - kept_bytes(c) || words > sizeof(uint32_t) * c->buf_alloc) {
		c->vsock->counters.credit_violations++;
		vsock_say(c->vsock, REASON_CREDIT,
		          "the guest sent more than it was allowed to; its connection is reset");
		connection_reset(c);
		return false;
	}
	if (c->host_deaf)
		transfer_done(c, len);
	else if (c->type == VIRTIO_VSOCK_TYPE_SEQPACKET)
		message_packet(c, request, len, flags);
	else if (len)
		return stream_packet(c, request, len);
	return false;
}

bool transfer_has_kept(const struct connection *c)
{
	const unsigned char *bytes;
	uint32_t word;

	if (c->type == VIRTIO_VSOCK_TYPE_SEQPACKET)
		return backlog_record(&c->backlog, &word, &bytes);
	return kept_bytes(c) > 0;
}

/* What of the kept requests one sendmsg() takes. Returns whether to go on. */
static bool send_held(struct connection *c)
{
	struct iovec iov[MAX_IOV];
	struct msghdr message = { .msg_iov = iov };
	size_t bytes, rest;
	unsigned n_done = 0;
	ssize_t n;

	for (unsigned i = 0; i < c->n_held && message.msg_iovlen < MAX_IOV; i++) {
		const struct held *h = &c->held[i];

		message.msg_iovlen += slice(h->request->readable, h->request->n_readable, h->at, h->end - h->at,
		                            iov + message.msg_iovlen, MAX_IOV - (unsigned)message.msg_iovlen, &bytes);
		if (bytes < h->end - h->at)
			break;
	}
	n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0) {
		send_failed(c);
		return false;
	}
	c->held_bytes -= (size_t)n;
	for (rest = (size_t)n; n_done < c->n_held && rest >= c->held[n_done].end - c->held[n_done].at; n_done++) {
		rest -= c->held[n_done].end - c->held[n_done].at;
		c->held[n_done].at = c->held[n_done].end;
	}
	if (n_done < c->n_held)
		c->held[n_done].at += rest;
	release_held(c, n_done);
	transfer_done(c, (uint32_t)n);
	return true;
}

/* One send of what is kept. Returns whether to go on. */
static bool send_kept(struct connection *c)
{
	const unsigned char *bytes = c->backlog.bytes + c->backlog.first;
	size_t len = c->backlog.len;
	int flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	uint32_t word = 0;
	ssize_t n;

	if (!transfer_has_kept(c))
		return false;
	if (c->n_held > 0)
		return send_held(c);
	if (c->type == VIRTIO_VSOCK_TYPE_SEQPACKET) {
		backlog_record(&c->backlog, &word, &bytes);
		len = word & BACKLOG_LENGTH;
		flags |= word & BACKLOG_RECORD ? MSG_EOR : 0;
	}
	n = send(c->fd, bytes, len, flags);
	if (n < 0) {
		send_failed(c);
		return false;
	}
	if (word)
		backlog_consume_record(&c->backlog);
	else
		backlog_consume(&c->backlog, (size_t)n);
	transfer_done(c, (uint32_t)n);
	return true;
}

void transfer_backlog(struct connection *c)
{
	for (unsigned i = 0; i < TURN_REQUESTS && c->fd >= 0; i++)
		if (!send_kept(c))
			break;
	if (c->fd < 0)
		return;
	if (!transfer_has_kept(c) && c->state == CONNECTION_GONE) {
		connection_reset(c);
		return;
	}
	if (!transfer_has_kept(c) && (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_SEND))
		shutdown(c->fd, SHUT_WR);
	connection_update(c);
}

/* ---- host to guest ---- */

static uint32_t credit(const struct connection *c)
{
	uint32_t under_way = c->tx_cnt - c->peer_fwd_cnt;

	return under_way < c->peer_buf_alloc ? c->peer_buf_alloc - under_way : 0;
}

static enum pump_result out_of_credit(struct connection *c)
{
	c->no_credit = true;
	connection_update(c);
	return PUMP_STOPPED;
}

/* Whether the peer has closed its end altogether (POLLHUP), or no more than shut it down. */
static bool polled(const struct connection *c, short events)
{
	struct pollfd poll_fd = { .fd = c->fd, .events = events };

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (events | POLLHUP));
}

static enum pump_result at_eof(struct connection *c)
{
	c->host_eof = true;
	if (!c->host_deaf && polled(c, 0))
		host_is_deaf(c);
	else
		connection_update(c);
	return PUMP_STOPPED;
}

static enum pump_result read_failed(struct connection *c)
{
	if (errno == EAGAIN || errno == EINTR)
		return PUMP_DRY;
	/* ECONNRESET: the peer closed its end and left bytes unread. */
	connection_reset(c);
	return PUMP_STOPPED;
}

static enum pump_result pump_stream(struct connection *c)
{
	struct vsock *v = c->vsock;
	struct iovec iov[MAX_IOV];
	size_t room[MAX_BUFFERS], limit = credit(c), total = 0, used;
	unsigned n, n_iov = 0, n_rooms;
	ssize_t got;

	if (limit == 0)
		return out_of_credit(c);
	if (limit > CONNECTION_BYTES)
		limit = CONNECTION_BYTES;
	n = device_buffers(v, MAX_BUFFERS);
	if (n == 0)
		return PUMP_NO_BUFFERS;
	for (n_rooms = 0; n_rooms < n && n_iov < MAX_IOV && total < limit; n_rooms++) {
		const struct capsa_request *r = device_spare(v, n_rooms);
		size_t most = limit - total < MAX_PACKET ? limit - total : MAX_PACKET;

		n_iov += slice(r->writable, r->n_writable, HEADER_SIZE, most, iov + n_iov, MAX_IOV - n_iov,
		               &room[n_rooms]);
		total += room[n_rooms];
	}
	got = readv(c->fd, iov, (int)n_iov);
	if (got < 0)
		return read_failed(c);
	if (got == 0)
		return at_eof(c);
	used = (size_t)got;
	for (unsigned i = 0; used > 0; i++) {
		uint32_t len = (uint32_t)(used < room[i] ? used : room[i]);

		device_send_payload(c, len, 0);
		used -= len;
	}
	return (size_t)got < total ? PUMP_DRY : PUMP_MORE;
}

/* The next message to memory. PUMP_MORE: it is there. */
static enum pump_result read_message(struct connection *c)
{
	ssize_t size = recv(c->fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
	struct iovec iov;
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (size < 0)
		return read_failed(c);
	/* A message without a byte looks like the end. */
	if (size == 0 && polled(c, POLLRDHUP))
		return at_eof(c);
	if (size > MAX_MESSAGE || (size_t)size > c->peer_buf_alloc) {
		vsock_say(c->vsock, REASON_MESSAGE,
		          "a message of %zd bytes is too large for the guest's buffer; the connection is reset", size);
		connection_reset(c);
		return PUMP_STOPPED;
	}
	c->message = malloc((size_t)size + 1);
	if (!c->message) {
		vsock_say(c->vsock, REASON_MEMORY, "no memory for a message; the connection is reset");
		connection_reset(c);
		return PUMP_STOPPED;
	}
	iov = (struct iovec){ c->message, (size_t)size };
	size = recvmsg(c->fd, &message, MSG_DONTWAIT);
	if (size < 0) {
		free(c->message);
		c->message = NULL;
		return read_failed(c);
	}
	c->message_len = (size_t)size;
	c->message_sent = 0;
	c->message_is_record = message.msg_flags & MSG_EOR;
	return PUMP_MORE;
}

static enum pump_result pump_messages(struct connection *c)
{
	size_t budget = CONNECTION_BYTES;

	for (unsigned i = 0; i < TURN_REQUESTS && budget > 0; i++) {
		const struct capsa_request *r;
		size_t len, room;
		bool last;

		if (!c->message) {
			enum pump_result result = read_message(c);

			if (result != PUMP_MORE)
				return result;
		}
		len = c->message_len - c->message_sent;
		if (len > 0 && credit(c) == 0)
			return out_of_credit(c);
		if (device_buffers(c->vsock, 1) == 0)
			return PUMP_NO_BUFFERS;
		r = device_spare(c->vsock, 0);
		room = r->writable_bytes - HEADER_SIZE;
		len = len < room ? len : room;
		len = len < credit(c) ? len : credit(c);
		len = len < MAX_PACKET ? len : MAX_PACKET;
		virtio_request_write(r, HEADER_SIZE, c->message + c->message_sent, len);
		c->message_sent += len;
		last = c->message_sent == c->message_len;
		device_send_payload(c, (uint32_t)len,
		                    last ? VIRTIO_VSOCK_SEQ_EOM | (c->message_is_record ? VIRTIO_VSOCK_SEQ_EOR : 0)
		                         : 0);
		if (last) {
			free(c->message);
			c->message = NULL;
		}
		budget -= len < budget ? len : budget;
	}
	return PUMP_MORE;
}

enum pump_result transfer_pump(struct connection *c)
{
	if (c->state != CONNECTION_OPEN || c->host_eof || c->no_credit ||
	    (c->guest_shutdown & VIRTIO_VSOCK_SHUTDOWN_RCV))
		return PUMP_STOPPED;
	return c->type == VIRTIO_VSOCK_TYPE_SEQPACKET ? pump_messages(c) : pump_stream(c);
}

void transfer_watched(void *ctx, int fd, unsigned events)
{
	struct connection *c = ctx;
	struct vsock *v = c->vsock;

	(void)fd;
	turn_begin(v);
	if (events & REACTOR_WRITE) {
		transfer_backlog(c);
	} else if (!TAILQ_EMPTY(&v->waiting) || !TAILQ_EMPTY(&v->control) || transfer_pump(c) == PUMP_NO_BUFFERS) {
		/* Behind those that wait already. */
		c->is_waiting = true;
		TAILQ_INSERT_TAIL(&v->waiting, c, waiting);
		connection_update(c);
	}
	turn_end(v);
}
