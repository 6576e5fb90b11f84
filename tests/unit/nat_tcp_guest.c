/* SPDX-License-Identifier: MIT */
/* nat_tcp_guest.c - see nat_tcp_guest.h. */
#include "tests/unit/nat_tcp_guest.h"

#include <arpa/inet.h>

#define OPTIONS 40u

unsigned char stream_byte(uint64_t at)
{
	return (unsigned char)((at * 31 + (at >> 8) * 7 + (at >> 16) * 13 + (at >> 24)) & 0xff);
}

void stream_fill(unsigned char *bytes, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = stream_byte(at + i);
}

void stream_check(const unsigned char *bytes, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] != stream_byte(at + i))
			fail_msg("byte %llu of the stream is wrong", (unsigned long long)(at + i));
}

void tcp_guest_begin(struct tcp_guest *t, struct nat_guest *guest, const char *own, uint16_t own_port, const char *peer,
                     uint16_t peer_port)
{
	memset(t, 0, sizeof *t);
	t->guest = guest;
	t->own = own;
	t->own_port = own_port;
	t->peer = peer;
	t->peer_port = peer_port;
	t->mss = (uint16_t)(guest->nat->options.mtu - (strchr(own, ':') ? 60 : 40));
	t->frame = t->mss;
	t->scale = 7;
	t->sack = true;
	t->window = 1 << 20;
	t->flight = UINT64_MAX;
	t->first = 0xfffffff0u + own_port; /* comes round early */
}

/* ---- to the plugin ---- */

static uint16_t window_field(const struct tcp_guest *t, bool syn)
{
	const uint32_t window = syn || t->scale == 255 ? t->window : t->window >> t->scale;

	return (uint16_t)(window < 65535 ? window : 65535);
}

static uint32_t next_from_peer(const struct tcp_guest *t)
{
	return t->peer_first + 1 + (uint32_t)t->received + t->fin_received;
}

static size_t put_syn_options(const struct tcp_guest *t, unsigned char *at)
{
	size_t n = 0;

	if (t->mss) {
		const unsigned char mss[] = { 2, 4, (unsigned char)(t->mss >> 8), (unsigned char)t->mss };

		memcpy(at, mss, sizeof mss);
		n = 4;
	}
	if (t->sack && (!t->listens || t->peer_sack)) {
		memcpy(at + n, "\1\1\4\2", 4);
		n += 4;
	}
	if (t->scale != 255) {
		at[n++] = 1;
		at[n++] = 3;
		at[n++] = 3;
		at[n++] = (unsigned char)t->scale;
	}
	return n;
}

static void put32(unsigned char *at, uint32_t v)
{
	v = htonl(v);
	memcpy(at, &v, 4);
}

/* What is kept out of order, the last that came first (RFC 2018, 4). */
static size_t put_sack(const struct tcp_guest *t, unsigned char *at)
{
	unsigned n = 0;

	if (!t->sack || !t->peer_sack || !t->n_ranges)
		return 0;
	for (; n < 3 && n < t->n_ranges; n++) {
		put32(at + 4 + 8 * n, t->peer_first + 1 + (uint32_t)t->ranges[n].begin);
		put32(at + 8 + 8 * n, t->peer_first + 1 + (uint32_t)t->ranges[n].end);
	}
	at[0] = at[1] = 1;
	at[2] = 5;
	at[3] = (unsigned char)(2 + 8 * n);
	return 4 + 8 * n;
}

static void transmit(struct tcp_guest *t, uint8_t flags, uint32_t sequence, const unsigned char *options,
                     size_t options_len, uint64_t from, size_t len)
{
	const bool ipv6 = strchr(t->own, ':');
	const size_t head = sizeof(struct tcphdr) + options_len;
	unsigned char *l4 = calloc(1, head + len), *frame = malloc(PACKET_HEADERS_MAX + len);
	struct virtio_net_hdr_v1 header = { .flags = 0 };
	struct tcphdr tcp = { .th_sport = htons(t->own_port),
		              .th_dport = htons(t->peer_port),
		              .th_seq = htonl(sequence),
		              .th_ack = htonl(flags & TH_ACK ? next_from_peer(t) : 0),
		              .th_off = (uint8_t)(head / 4) & 0xf,
		              .th_flags = flags,
		              .th_win = htons(window_field(t, flags & TH_SYN)) };
	size_t n;

	assert_non_null(l4);
	assert_non_null(frame);
	memcpy(l4, &tcp, sizeof tcp);
	if (options_len)
		memcpy(l4 + sizeof tcp, options, options_len);
	stream_fill(l4 + head, from, len);
	n = nat_put_ip(t->guest, frame, t->own, t->peer, IPPROTO_TCP, l4, head + len);
	if (t->mss && len > t->mss) {
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = ipv6 ? 54 : 34;
		header.csum_offset = 16;
		header.gso_type = ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		header.gso_size = t->mss;
		header.hdr_len = (uint16_t)(n - len);
	}
	nat_send_with(t->guest, 0, &header, frame, n, 4096);
	free(frame);
	free(l4);
}

void tcp_guest_segment(struct tcp_guest *t, uint8_t flags, uint64_t from, size_t len)
{
	transmit(t, flags, t->first + 1 + (uint32_t)from, NULL, 0, from, len);
}

void tcp_guest_acknowledge(struct tcp_guest *t)
{
	unsigned char options[OPTIONS];
	const size_t len = put_sack(t, options);

	transmit(t, TH_ACK, t->first + 1 + (uint32_t)t->sent + t->fin_sent, options, len, 0, 0);
}

void tcp_guest_syn(struct tcp_guest *t)
{
	unsigned char options[OPTIONS];
	const size_t len = put_syn_options(t, options);

	transmit(t, t->listens ? TH_SYN | TH_ACK : TH_SYN, t->first, options, len, 0, 0);
}

static void pump(struct tcp_guest *t)
{
	while (t->connected && t->sent < t->wanted && t->sent < t->peer_window && t->sent - t->acked < t->flight) {
		uint64_t len = t->wanted - t->sent;

		if (len > t->peer_window - t->sent)
			len = t->peer_window - t->sent;
		if (len > t->frame)
			len = t->frame;
		tcp_guest_segment(t, TH_ACK | TH_PUSH, t->sent, (size_t)len);
		t->sent += len;
		if (t->sent > t->highest)
			t->highest = t->sent;
	}
	if (t->connected && t->fin_wanted && !t->fin_sent && t->sent == t->wanted) {
		tcp_guest_segment(t, TH_ACK | TH_FIN, t->sent, 0);
		t->fin_sent = true;
	}
}

void tcp_guest_send(struct tcp_guest *t, uint64_t len)
{
	t->wanted += len;
	pump(t);
}

void tcp_guest_fin(struct tcp_guest *t)
{
	t->fin_wanted = true;
	pump(t);
}

void tcp_guest_rst(struct tcp_guest *t)
{
	tcp_guest_segment(t, TH_RST, t->sent + t->fin_sent, 0);
}

/* Everything that is not acknowledged, from its first byte on. */
static void go_back(struct tcp_guest *t)
{
	t->sent = t->acked;
	if (t->fin_sent && !t->fin_acked)
		t->fin_sent = false;
	pump(t);
}

void tcp_guest_timeout(struct tcp_guest *t)
{
	if (!t->connected)
		tcp_guest_syn(t);
	else
		go_back(t);
}

/* ---- from the plugin ---- */

static void take_syn_options(struct tcp_guest *t, const unsigned char *tcp, size_t end)
{
	t->peer_scale = 0;
	t->peer_sack = false;
	for (size_t at = sizeof(struct tcphdr); at < end;) {
		if (tcp[at] == 0)
			return;
		if (tcp[at] == 1) {
			at++;
			continue;
		}
		assert_true(at + 1 < end && tcp[at + 1] >= 2 && at + tcp[at + 1] <= end);
		if (tcp[at] == 2)
			t->peer_mss = (uint16_t)(tcp[at + 2] << 8 | tcp[at + 3]);
		else if (tcp[at] == 3)
			t->peer_scale = tcp[at + 2];
		else if (tcp[at] == 4)
			t->peer_sack = true;
		at += tcp[at + 1];
	}
}

/* Keeps what is out of order, the newest in front; moves `received` where it can. */
static void take_text(struct tcp_guest *t, uint64_t begin, const unsigned char *bytes, size_t len)
{
	uint64_t end = begin + len;
	unsigned i = 0;

	stream_check(bytes, begin, len);
	t->frames++;
	if (end <= t->received) {
		t->repeats++;
		return;
	}
	if (end > t->received + t->window + 1)
		fail_msg("text up to %llu is beyond the window", (unsigned long long)end);
	while (i < t->n_ranges) {
		if (t->ranges[i].begin > end || t->ranges[i].end < begin) {
			i++;
			continue;
		}
		begin = t->ranges[i].begin < begin ? t->ranges[i].begin : begin;
		end = t->ranges[i].end > end ? t->ranges[i].end : end;
		memmove(&t->ranges[i], &t->ranges[i + 1], (--t->n_ranges - i) * sizeof t->ranges[0]);
		i = 0;
	}
	if (begin <= t->received) {
		t->received = end;
		return;
	}
	assert_true(t->n_ranges < TCP_GUEST_RANGES);
	memmove(&t->ranges[1], &t->ranges[0], t->n_ranges++ * sizeof t->ranges[0]);
	t->ranges[0].begin = begin;
	t->ranges[0].end = end;
}

static void take_ack(struct tcp_guest *t, const struct tcphdr *tcp, size_t len)
{
	uint32_t acked = ntohl(tcp->th_ack) - (t->first + 1) - (uint32_t)t->acked;
	const uint64_t edge = t->acked + acked + ((uint64_t)ntohs(tcp->th_win) << t->peer_scale);

	if (acked > t->highest - t->acked + t->fin_wanted)
		return; /* old */
	t->acks++;
	if (acked > t->wanted - t->acked) {
		t->fin_acked = t->fin_sent = true;
		acked--;
	}
	if (acked) {
		t->acked += acked;
		if (t->sent < t->acked)
			t->sent = t->acked;
		t->duplicates = 0;
	} else if (!len && edge == t->peer_window && t->sent > t->acked && ++t->duplicates == 3) {
		go_back(t);
	}
	if (edge > t->peer_window)
		t->peer_window = edge;
	pump(t);
}

static void take_established(struct tcp_guest *t, const struct tcphdr *tcp, const unsigned char *text, size_t len)
{
	const int32_t ahead = (int32_t)(ntohl(tcp->th_seq) - (t->peer_first + 1 + (uint32_t)t->received));
	const uint64_t begin = t->received + (uint64_t)(int64_t)ahead;
	const bool fin = tcp->th_flags & TH_FIN;

	if (tcp->th_flags & TH_ACK)
		take_ack(t, tcp, len);
	if (len)
		take_text(t, begin, text, len);
	if (fin && begin + len == t->received)
		t->fin_received = true;
	/* A probe asks for an answer, too. */
	if (!t->silent && (len || fin || (ahead < 0 && !t->fin_received)))
		tcp_guest_acknowledge(t);
}

static void take_segment(struct tcp_guest *t)
{
	const struct packet *p = &t->last.packet;
	const struct tcphdr *tcp = nat_tcp(&t->last);

	if (p->source_port != t->peer_port || p->target_port != t->own_port)
		return;
	if (t->last.header.gso_type)
		t->segmented++;
	if (tcp->th_flags & TH_RST) {
		t->reset = true;
		return;
	}
	if (tcp->th_flags & TH_SYN) {
		t->syn_received = true;
		t->peer_first = ntohl(tcp->th_seq);
		take_syn_options(t, t->last.bytes + p->l4, p->payload - p->l4);
		if (t->listens) {
			t->peer_port = p->source_port;
			if (!t->silent)
				tcp_guest_syn(t);
			return;
		}
		assert_int_equal(ntohl(tcp->th_ack), t->first + 1);
		t->connected = true;
		if (!t->peer_window)
			t->peer_window = ntohs(tcp->th_win);
		if (t->scale == 255)
			assert_int_equal(t->peer_scale, 0);
		if (!t->silent)
			tcp_guest_acknowledge(t);
		pump(t);
		return;
	}
	if (t->listens && t->syn_received && !t->connected)
		t->connected = true;
	take_established(t, tcp, t->last.bytes + p->payload, p->payload_len);
}

static void take_frame(struct tcp_guest *t)
{
	if (t->last.packet.kind != PACKET_IP)
		return;
	if (t->last.packet.protocol == IPPROTO_TCP) {
		if (t->listens && !t->syn_received)
			t->peer_port = t->last.packet.source_port;
		take_segment(t);
	} else if (t->last.packet.protocol == IPPROTO_ICMP || (t->last.packet.protocol == IPPROTO_ICMPV6 &&
	                                                       t->last.bytes[t->last.packet.l4] < ICMP6_ECHO_REQUEST)) {
		t->unreachable = true;
		t->icmp_type = t->last.bytes[t->last.packet.l4];
		t->icmp_code = t->last.bytes[t->last.packet.l4 + 1];
	}
}

static bool take_late(struct tcp_guest *t)
{
	if (!t->has_late)
		return false;
	t->has_late = false;
	t->last = t->late;
	take_frame(t);
	return true;
}

bool tcp_guest_step(struct tcp_guest *t)
{
	enum tcp_guest_fate fate;

	if (!nat_receive_now(t->guest, &t->last))
		return take_late(t);
	fate = t->fate ? t->fate(t->ctx) : ARRIVES;
	if (fate == ARRIVES_LATER && !t->has_late) {
		t->has_late = true;
		t->late = t->last;
		return true;
	}
	take_frame(t);
	if (fate == ARRIVES_TWICE)
		take_frame(t);
	(void)take_late(t);
	return true;
}

struct condition {
	struct tcp_guest *t;
	bool (*done)(void *ctx);
	void *ctx;
};

static bool step_and_look(void *ctx)
{
	struct condition *c = ctx;

	while (!c->done(c->ctx))
		if (!tcp_guest_step(c->t))
			return c->done(c->ctx);
	return true;
}

void tcp_guest_until(struct tcp_guest *t, bool (*done)(void *ctx), void *ctx)
{
	struct condition c = { t, done, ctx };

	nat_until(t->guest, step_and_look, &c);
}

void tcp_guest_settle(struct tcp_guest *t)
{
	while (tcp_guest_step(t))
		;
}

static bool is_decided(void *ctx)
{
	const struct tcp_guest *t = ctx;

	return t->connected || t->reset;
}

void tcp_guest_connect(struct tcp_guest *t)
{
	tcp_guest_syn(t);
	tcp_guest_until(t, is_decided, t);
	assert_false(t->reset);
}
