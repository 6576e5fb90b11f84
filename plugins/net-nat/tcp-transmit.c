/* SPDX-License-Identifier: MIT */
/*
 * tcp-transmit.c - from the socket to the guest: data, FIN, and what is lost on the way (RFC 6298, 5681, 6582, 2018).
 *
 * THEORY OF OPERATION. A frame's room is reserved in the guest, payload is put there by tcp-unacked.h, headers in front
 * of it, up to 64 KiB with the segment size for the guest to cut it by. As much goes out as the guest's window allows:
 * there is no network in between, hence no congestion. What the link loses all the same (it does so in tests only) is
 * sent again, one frame a round trip: the one that begins at the first byte that is missing, up to where the guest says
 * that it has some (SACK).
 *
 * TIME-OUT. One, for what comes next: something is out (retransmission), something would go out but for the window
 * (probe), neither (keepalive).
 */
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/icmp-error.h"
#include "plugins/net-nat/rate.h"
#include "plugins/net-nat/tcp-flow.h"

#define SEGMENTED_MOST (65535u - 60u) /* bytes of one frame, IPv4 or IPv6 and TCP in front */
#define DUPLICATES 3u
#define CHECKSUM_AT 16u
#define NO_ROOM (-EBUSY) /* of the guest's: tcp_room() will come */
#define LOOK_MOST 65536u

static struct nat *nat_of(const struct tcp_flow *f)
{
	return f->flow.nat;
}

static uint32_t in_flight(const struct tcp_flow *f)
{
	return f->send_next - f->send_first;
}

/* ---- a frame ---- */

/* The pieces of iov[] from byte `skip` on, `len` bytes. */
static unsigned pieces(const struct iovec *iov, unsigned n, size_t skip, size_t len, struct iovec *out)
{
	unsigned n_out = 0;

	for (; n > 0 && len > 0; n--, iov++) {
		size_t here = iov->iov_len;

		if (skip >= here) {
			skip -= here;
			continue;
		}
		here = here - skip < len ? here - skip : len;
		out[n_out++] = (struct iovec){ (unsigned char *)iov->iov_base + skip, here };
		len -= here;
		skip = 0;
	}
	return n_out;
}

static void write_front(const struct iovec *iov, const unsigned char *bytes, size_t len)
{
	while (len > 0) {
		const size_t here = iov->iov_len < len ? iov->iov_len : len;

		memcpy(iov->iov_base, bytes, here);
		bytes += here;
		len -= here;
		iov++;
	}
}

/* Headers for `len` bytes that stand in the slot, and off it goes. */
static void finish(struct tcp_flow *f, struct nic_slot *slot, uint32_t sequence, size_t headers, size_t len)
{
	struct nic *nic = nat_of(f)->nic;
	const struct flow_key *key = &f->flow.key;
	struct virtio_net_hdr_v1 header = { .flags = 0 };
	unsigned char front[PACKET_HEADERS_MAX];
	uint16_t check;
	uint32_t sum;
	size_t tcp;

	(void)segment_put(f, TH_ACK | TH_PUSH, sequence, NULL, 0, len, front, &tcp);
	sum = checksum_pseudo(&key->far.address, &key->guest.address, IPPROTO_TCP, (uint32_t)(headers - tcp + len));
	if (nic_guest_takes_csum(nic)) {
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = (uint16_t)tcp;
		header.csum_offset = CHECKSUM_AT;
		check = checksum_partial(sum);
	} else {
		sum = checksum_add(sum, front + tcp, headers - tcp, 0);
		check = checksum_finish(checksum_add_iov(sum, slot->iov, slot->n, headers, len));
	}
	memcpy(front + tcp + CHECKSUM_AT, &check, sizeof check);
	if (len > f->mss) {
		header.gso_type = net_is_ipv4(&key->far.address) ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
		header.gso_size = f->mss;
		header.hdr_len = (uint16_t)headers;
	}
	write_front(slot->iov, front, headers);
	nic_send_slot(nic, slot, &header, headers + len);
	rate_spend(nat_of(f)->rate, RATE_IN, headers + len);
}

/* How much one frame takes of `want`. */
static size_t frame_len(const struct tcp_flow *f, size_t want)
{
	if (want <= f->mss)
		return want;
	if (!nic_guest_takes_tso(nat_of(f)->nic, !net_is_ipv4(&f->flow.key.far.address)))
		return f->mss;
	if (want > SEGMENTED_MOST)
		want = SEGMENTED_MOST;
	return want < f->mss ? f->mss : want - want % f->mss;
}

/*
 * One frame of data from `offset` on, `want` bytes at most; `again`: all of them are out. How many bytes went; 0: the
 * end of data; NO_ROOM, -EAGAIN, -ENOBUFS of unacked_look(), -EMSGSIZE: the guest's buffers are useless, -errno.
 */
static ssize_t send_data(struct tcp_flow *f, uint32_t offset, size_t want, bool again, bool *drained)
{
	struct nat *nat = nat_of(f);
	const size_t headers = ETH_HLEN + (net_is_ipv4(&f->flow.key.far.address) ? 20u : 40u) + SEGMENT_HEADER;
	const int fd = f->flow.source.fd;
	struct iovec iov[NIC_SLOT_BUFFERS];
	struct nic_slot slot;
	ssize_t len = (ssize_t)want;
	size_t least;
	int rc;

	*drained = false;
	if (!again) {
		len = unacked_look(&nat->tcp->pool, &f->unacked, fd, offset, want < LOOK_MOST ? want : LOOK_MOST,
		                   drained);
		if (len <= 0)
			return len;
	}
	want = frame_len(f, (size_t)len);
	if (want < (size_t)len)
		*drained = false;
	least = want < f->mss ? want : f->mss;
	rc = nic_reserve(nat->nic, f->flow.pair, headers + want, headers + least, &slot);
	if (rc)
		return rc == -EAGAIN ? NO_ROOM : -EMSGSIZE;
	if (slot.room < headers + want) {
		want = frame_len(f, slot.room - headers);
		*drained = false;
	}
	len = unacked_put(&f->unacked, fd, offset, iov, pieces(slot.iov, slot.n, headers, want, iov), drained);
	if (len <= 0) {
		nic_cancel_slot(nat->nic, &slot);
		return len;
	}
	finish(f, &slot, f->send_first + offset, headers, (size_t)len);
	return len;
}

/* ---- new data ---- */

/* How much the window allows now. No small pieces while something is out (RFC 9293, 3.8.6.2.1). */
static size_t usable_window(const struct tcp_flow *f)
{
	const uint32_t out = in_flight(f);
	uint32_t usable;

	if (out >= f->window)
		return 0;
	usable = f->window - out;
	if (out > 0 && usable < f->mss && usable < f->window_most / 2)
		return 0;
	return usable;
}

static void send_fin(struct tcp_flow *f)
{
	if (segment_send(f, TH_FIN | TH_ACK, f->send_next, NULL, 0) == -EAGAIN) {
		tcp_flow_enlist(f, TCP_LIST_ROOM);
		return;
	}
	f->fin_due = false;
	f->ack_due = false;
	f->send_next++;
	tcp_flow_event(f, TCP_EVENT_HOST_FIN);
}

static void note_sent(struct tcp_flow *f, size_t len)
{
	f->send_next += (uint32_t)len;
	f->flow.rx_bytes += len;
	f->ack_due = false;
	if (!f->timing) {
		f->timing = true;
		f->timed = f->send_next;
		f->timed_at = (uint32_t)timeouts_now(nat_of(f)->timeouts);
	}
}

bool tcp_transmit(struct tcp_flow *f)
{
	size_t budget = TCP_BUDGET;

	while (f->readable && tcp_state_sends_data(tcp_flow_state(f))) {
		const size_t want = usable_window(f);
		bool drained;
		ssize_t len;

		if (!want)
			break;
		if (!budget) {
			sockets_again(nat_of(f)->sockets, &f->flow.source, EPOLLIN);
			break;
		}
		/* Who waits is the first to have them, as below. */
		if ((!tcp_of(f)->resuming && !TAILQ_EMPTY(&tcp_of(f)->lists[TCP_LIST_TOKENS])) ||
		    !rate_has(nat_of(f)->rate, RATE_IN)) {
			tcp_flow_enlist(f, TCP_LIST_TOKENS);
			break;
		}
		/* Who waits is the first to know that there is room again: nobody comes before. */
		len = nic_is_short(nat_of(f)->nic, f->flow.pair)
			      ? NO_ROOM
			      : send_data(f, in_flight(f), want, false, &drained);
		if (len == NO_ROOM) {
			tcp_flow_enlist(f, TCP_LIST_ROOM);
			break;
		}
		if (len == -ENOBUFS || len == -EMSGSIZE)
			break;
		if (len == 0) {
			f->at_end = f->fin_due = true;
			f->readable = false;
		} else if (len == -EAGAIN) {
			f->readable = false;
		} else if (len < 0) {
			tcp_end_reset(f);
			return false;
		} else {
			note_sent(f, (size_t)len);
			budget -= (size_t)len < budget ? (size_t)len : budget;
			if (drained && !f->drain)
				f->readable = false;
		}
	}
	if (f->fin_due)
		send_fin(f);
	tcp_transmit_arm(f);
	return true;
}

/* ---- time ---- */

static uint64_t backed_off(uint64_t ms, unsigned retries)
{
	ms <<= retries < 16 ? retries : 16;
	return ms < TCP_RTO_MOST ? ms : TCP_RTO_MOST;
}

/* RFC 6298, 2.2 and 2.3. */
static void note_round_trip(struct tcp_flow *f, uint32_t ms)
{
	if (!f->smooth) {
		f->smooth = ms * 8 + 1;
		f->variance = ms * 2;
	} else {
		const uint32_t smooth = f->smooth / 8;

		f->variance = f->variance - f->variance / 4 + (ms > smooth ? ms - smooth : smooth - ms);
		f->smooth = f->smooth - f->smooth / 8 + ms;
	}
	f->rto = f->smooth / 8 + f->variance;
	if (f->rto < TCP_RTO_LEAST)
		f->rto = TCP_RTO_LEAST;
	if (f->rto > TCP_RTO_MOST)
		f->rto = TCP_RTO_MOST;
}

static enum tcp_timer timer_due(const struct tcp_flow *f)
{
	if (in_flight(f))
		return TCP_TIMER_RETRANSMIT;
	if (f->readable && tcp_state_sends_data(tcp_flow_state(f)))
		return TCP_TIMER_PROBE;
	return TCP_TIMER_KEEPALIVE;
}

/* Nothing is moved while what is waited for is the same: progress says f->timer = TCP_TIMER_NONE. */
void tcp_transmit_arm(struct tcp_flow *f)
{
	const enum tcp_timer due = timer_due(f);
	uint64_t ms;

	if (due == TCP_TIMER_KEEPALIVE)
		ms = f->retries ? TCP_KEEPALIVE_RETRY : TCP_KEEPALIVE;
	else if (f->timer == due)
		return;
	else
		ms = backed_off(f->rto, f->retries);
	f->timer = (uint8_t)due;
	(void)timeout_set(nat_of(f)->timeouts, &f->flow.timeout, ms);
}

/* Where the first byte is that the guest says it has, behind what is missing; or where all ends. */
static uint32_t missing(const struct tcp_flow *f, const struct segment *segment)
{
	uint32_t len = in_flight(f);

	for (unsigned i = 0; segment && f->sack && i < segment->n_sacks; i++) {
		const uint32_t left = segment->sacks[i].left - f->send_first;

		if (left > 0 && left < len)
			len = left;
	}
	return len;
}

/* The first frame of what is out. `len`: how much of that is missing. False: ended. */
static bool retransmit(struct tcp_flow *f, uint32_t len)
{
	const bool fin = tcp_state_has_fin_out(tcp_flow_state(f));
	const uint32_t data = in_flight(f) - fin;
	bool drained;
	ssize_t rc;

	f->timing = false; /* Karn: it is not known which one will be acknowledged */
	counter_add(nat_of(f)->counters.tcp_retransmits, 1);
	if (!data) {
		(void)segment_send(f, TH_FIN | TH_ACK, f->send_next - 1, NULL, 0);
		return true;
	}
	unacked_settle(&f->unacked, f->flow.source.fd);
	rc = send_data(f, 0, len < data ? len : data, true, &drained);
	if (rc < 0 && rc != NO_ROOM && rc != -EMSGSIZE && rc != -EAGAIN) {
		tcp_end_reset(f);
		return false;
	}
	return true;
}

static void begin_recovery(struct tcp_flow *f)
{
	f->recovering = true;
	f->recover = f->send_next;
}

/* An acknowledgement of something old: whoever is there answers with one of now. */
static void probe(const struct tcp_flow *f)
{
	(void)segment_send(f, TH_ACK, f->send_first - 1, NULL, 0);
}

bool tcp_transmit_timeout(struct tcp_flow *f)
{
	const enum tcp_timer timer = (enum tcp_timer)f->timer;
	unsigned most = TCP_RETRIES;

	if (f->state == TCP_STATE_CLOSED) {
		tcp_end_abort(f);
		return false;
	}
	if (f->state == TCP_STATE_CONNECTING) {
		icmp_error_about_flow(&f->flow, ICMP_ERROR_HOST_UNREACHABLE, 0, f->receive_first);
		tcp_end_reset(f);
		return false;
	}
	if (!tcp_state_is_open(tcp_flow_state(f)))
		most = TCP_RETRIES_SYN;
	else if (timer == TCP_TIMER_KEEPALIVE)
		most = TCP_KEEPALIVE_RETRIES;
	if (f->retries++ >= most) {
		tcp_end_reset(f);
		return false;
	}
	if (!tcp_state_is_open(tcp_flow_state(f))) {
		tcp_open_speak(f);
		return true;
	}
	f->timer = TCP_TIMER_NONE;
	if (timer == TCP_TIMER_RETRANSMIT && in_flight(f)) {
		begin_recovery(f);
		if (!retransmit(f, in_flight(f)))
			return false;
	} else {
		probe(f);
	}
	tcp_transmit_arm(f);
	return true;
}

/* ---- what the guest says ---- */

/* SACKed bytes behind a hole: more than reordering explains. */
static bool is_lost(const struct tcp_flow *f, const struct segment *segment)
{
	uint32_t most = 0;

	if (f->duplicates >= DUPLICATES)
		return true;
	for (unsigned i = 0; f->sack && i < segment->n_sacks; i++) {
		const uint32_t left = segment->sacks[i].left - f->send_first;
		const uint32_t right = segment->sacks[i].right - f->send_first;

		if (left > 0 && left < right && right <= in_flight(f) && right - left > most)
			most = right - left;
	}
	return most >= DUPLICATES * f->mss;
}

static bool take_duplicate(struct tcp_flow *f, const struct segment *segment)
{
	if (f->duplicates < UINT8_MAX)
		f->duplicates++;
	if (f->recovering || sequence_from(f->send_first, f->recover) < 0 || !is_lost(f, segment))
		return true;
	begin_recovery(f);
	return retransmit(f, missing(f, segment));
}

static bool take_progress(struct tcp_flow *f, const struct segment *segment, uint32_t acked)
{
	const bool fin = tcp_state_has_fin_out(tcp_flow_state(f)) && acked == in_flight(f);

	unacked_release(&tcp_of(f)->pool, &f->unacked, acked - fin);
	f->send_first += acked;
	f->duplicates = 0;
	f->retries = 0;
	f->timer = TCP_TIMER_NONE;
	if (f->timing && sequence_from(f->send_first, f->timed) >= 0) {
		f->timing = false;
		note_round_trip(f, (uint32_t)timeouts_now(nat_of(f)->timeouts) - f->timed_at);
	}
	if (fin) {
		tcp_flow_event(f, TCP_EVENT_FIN_ACKED);
		if (f->state == TCP_STATE_CLOSED) {
			tcp_end_well(f);
			return false;
		}
	}
	tcp_flow_mark(f);
	if (!f->recovering)
		return true;
	if (sequence_from(f->send_first, f->recover) < 0)
		return retransmit(f, missing(f, segment));
	f->recovering = false;
	return true;
}

/* Any answer to a probe shows that the guest is there. */
static void note_alive(struct tcp_flow *f)
{
	if (!f->retries || (in_flight(f) && f->window))
		return;
	f->retries = 0;
	f->timer = TCP_TIMER_NONE;
	tcp_flow_mark(f);
}

/* RFC 9293, 3.10.7.4. True: it is another one than before. */
static bool take_window(struct tcp_flow *f, const struct segment *segment)
{
	const int32_t newer = sequence_from(segment->sequence, f->window_sequence);
	const uint32_t window = (uint32_t)segment->window << f->guest_scale;
	const bool changed = window != f->window;

	if (newer < 0 || (newer == 0 && sequence_from(segment->acknowledgement, f->window_acknowledgement) < 0))
		return false;
	f->window_sequence = segment->sequence;
	f->window_acknowledgement = segment->acknowledgement;
	f->window = window;
	if (window > f->window_most)
		f->window_most = window;
	if (changed)
		tcp_flow_mark(f);
	return changed;
}

bool tcp_transmit_acknowledged(struct tcp_flow *f, const struct segment *segment, bool *valid)
{
	const int32_t acked = sequence_from(segment->acknowledgement, f->send_first);
	bool changed;

	*valid = acked <= (int32_t)in_flight(f);
	if (!*valid || acked < 0)
		return true;
	changed = take_window(f, segment);
	note_alive(f);
	if (acked > 0)
		return take_progress(f, segment, (uint32_t)acked);
	if (in_flight(f) && !changed && !segment->len && !(segment->flags & TH_FIN))
		return take_duplicate(f, segment);
	return true;
}
