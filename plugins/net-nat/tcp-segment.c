/* SPDX-License-Identifier: MIT */
/* tcp-segment.c - see tcp-segment.h. */
#include "plugins/net-nat/tcp-segment.h"

#include <arpa/inet.h>
#include <string.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/send.h"
#include "plugins/net-nat/tcp-flow.h"

#define OPTION_END 0u
#define OPTION_NOP 1u
#define OPTION_MSS 2u
#define OPTION_SCALE 3u
#define OPTION_SACK_PERMITTED 4u
#define OPTION_SACK 5u
#define CHECKSUM_AT 16u

static uint16_t load16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t load32(const unsigned char *at)
{
	return (uint32_t)load16(at) << 16 | load16(at + 2);
}

static void store16(unsigned char *at, uint16_t v)
{
	at[0] = (unsigned char)(v >> 8);
	at[1] = (unsigned char)v;
}

static void store32(unsigned char *at, uint32_t v)
{
	store16(at, (uint16_t)(v >> 16));
	store16(at + 2, (uint16_t)v);
}

/* ---- taken apart ---- */

static void take_option(const unsigned char *at, size_t len, struct segment *out)
{
	switch (at[0]) {
	case OPTION_MSS:
		if (len != 4)
			return;
		out->has_mss = true;
		out->mss = load16(at + 2);
		return;
	case OPTION_SCALE:
		if (len != 3)
			return;
		out->has_scale = true;
		out->scale = at[2] > SEGMENT_SCALE_MOST ? SEGMENT_SCALE_MOST : at[2]; /* RFC 7323, 2.3 */
		return;
	case OPTION_SACK_PERMITTED:
		out->sack_permitted = len == 2;
		return;
	case OPTION_SACK:
		for (size_t i = 2; i + 8 <= len && out->n_sacks < SEGMENT_SACKS; i += 8) {
			out->sacks[out->n_sacks].left = load32(at + i);
			out->sacks[out->n_sacks++].right = load32(at + i + 4);
		}
		return;
	default:
		return;
	}
}

void segment_parse(const unsigned char *head, const struct packet *packet, struct segment *out)
{
	const unsigned char *tcp = head + packet->l4;
	const size_t end = packet->payload - packet->l4;

	out->sequence = load32(tcp + 4);
	out->acknowledgement = load32(tcp + 8);
	out->flags = tcp[13];
	out->window = load16(tcp + 14);
	out->has_mss = out->has_scale = out->sack_permitted = false;
	out->n_sacks = 0;
	out->text = packet->payload;
	out->len = packet->payload_len;
	for (size_t at = SEGMENT_HEADER; at < end;) {
		size_t len;

		if (tcp[at] == OPTION_END)
			return;
		if (tcp[at] == OPTION_NOP) {
			at++;
			continue;
		}
		len = at + 1 < end ? tcp[at + 1] : 0;
		if (len < 2 || len > end - at)
			return;
		take_option(tcp + at, len, out);
		at += len;
	}
}

bool segment_is_whole(const struct nic_frame *frame, const struct packet *packet)
{
	uint32_t sum;

	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return true;
	sum = checksum_pseudo(&packet->source, &packet->target, IPPROTO_TCP, (uint32_t)packet->l4_len);
	sum = checksum_add_iov(sum, frame->buffers, frame->n_buffers, frame->skip + packet->l4, packet->l4_len);
	return checksum_finish(sum) == 0;
}

/* ---- put together ---- */

size_t segment_put(const struct tcp_flow *f, uint8_t flags, uint32_t sequence, const unsigned char *options,
                   size_t options_len, size_t text_len, unsigned char at[PACKET_HEADERS_MAX], size_t *tcp)
{
	const struct flow_key *key = &f->flow.key;
	const size_t header = SEGMENT_HEADER + options_len;
	unsigned char *to;

	*tcp = send_put_headers(f->flow.nat, key, header + text_len, at);
	to = at + *tcp;
	store16(to, key->far.port);
	store16(to + 2, key->guest.port);
	store32(to + 4, sequence);
	store32(to + 8, flags & TH_ACK ? f->receive_next : 0);
	to[12] = (unsigned char)(header / 4 << 4);
	to[13] = flags;
	store16(to + 14, tcp_receive_window(f));
	store32(to + 16, 0);
	if (options_len)
		memcpy(to + SEGMENT_HEADER, options, options_len);
	return *tcp + header;
}

int segment_send(const struct tcp_flow *f, uint8_t flags, uint32_t sequence, const unsigned char *options,
                 size_t options_len)
{
	const struct flow_key *key = &f->flow.key;
	unsigned char frame[PACKET_HEADERS_MAX];
	struct iovec iov = { .iov_base = frame };
	size_t tcp, len;
	uint16_t check;
	uint32_t sum;

	iov.iov_len = segment_put(f, flags, sequence, options, options_len, 0, frame, &tcp);
	len = iov.iov_len - tcp;
	sum = checksum_pseudo(&key->far.address, &key->guest.address, IPPROTO_TCP, (uint32_t)len);
	check = checksum_finish(checksum_add(sum, frame + tcp, len, 0));
	memcpy(frame + tcp + CHECKSUM_AT, &check, sizeof check);
	return nic_send(f->flow.nat->nic, f->flow.pair, NULL, &iov, 1);
}

void segment_refuse(struct nat *nat, const struct nic_frame *frame, const struct packet *packet,
                    const struct segment *segment)
{
	struct tcp_flow none;

	if (segment->flags & TH_RST)
		return;
	memset(&none, 0, sizeof none);
	none.flow.nat = nat;
	none.flow.pair = frame->pair;
	none.flow.key = (struct flow_key){ .guest = { packet->source, packet->source_port },
		                           .far = { packet->target, packet->target_port },
		                           .protocol = IPPROTO_TCP };
	if (segment->flags & TH_ACK) {
		(void)segment_send(&none, TH_RST, segment->acknowledgement, NULL, 0);
		return;
	}
	none.receive_next =
		segment->sequence + (uint32_t)segment->len + !!(segment->flags & TH_SYN) + !!(segment->flags & TH_FIN);
	none.receive_edge = none.receive_next;
	(void)segment_send(&none, TH_RST | TH_ACK, 0, NULL, 0);
}

size_t segment_put_syn_options(unsigned char at[SEGMENT_OPTIONS_MAX], uint16_t mss, bool sack, bool scaled)
{
	size_t n = 4;

	at[0] = OPTION_MSS;
	at[1] = 4;
	store16(at + 2, mss);
	if (sack) {
		at[n++] = OPTION_NOP;
		at[n++] = OPTION_NOP;
		at[n++] = OPTION_SACK_PERMITTED;
		at[n++] = 2;
	}
	if (scaled) {
		at[n++] = OPTION_NOP;
		at[n++] = OPTION_SCALE;
		at[n++] = 3;
		at[n++] = TCP_SCALE;
	}
	return n;
}

size_t segment_put_blocks(unsigned char at[SEGMENT_OPTIONS_MAX], const struct tcp_block *blocks, unsigned n)
{
	if (!n)
		return 0;
	at[0] = at[1] = OPTION_NOP;
	at[2] = OPTION_SACK;
	at[3] = (unsigned char)(2 + 8 * n);
	for (unsigned i = 0; i < n; i++) {
		store32(at + 4 + 8 * i, blocks[i].left);
		store32(at + 8 + 8 * i, blocks[i].right);
	}
	return 4 + 8 * n;
}
