/* SPDX-License-Identifier: MIT */
/*
 * segment.c - see segment.h.
 *
 * THEORY OF OPERATION. Where a packet is cut is told by its own headers, as packet.h found them, never by hdr_len. Each
 * piece has a copy of all headers, Ethernet to TCP or UDP, in which lengths, the IPv4 identifier and the sequence
 * number are its own; FIN and PSH stand in the last piece only, CWR in the first (RFC 3168, 6.1.2). Its payload is not
 * copied: it stays where it is in the frame, behind the piece's headers as the second iovec.
 *
 * The pseudo header's sum is made anew, without the length, once a frame: drivers do not agree on whether the field of
 * a GSO frame has the length in it. Only where the packet is source routed is the field believed, as the address that
 * was summed, the last of the route, is then not the one in the IP header.
 */
#include "plugins/net/segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "plugins/net/checksum.h"
#include "plugins/net/nic.h"

#define TCP_SEQUENCE 4u
#define TCP_FLAGS 13u
#define TCP_CHECKSUM offsetof(struct tcphdr, check)
#define UDP_LENGTH 4u
#define UDP_CHECKSUM offsetof(struct udphdr, check)
#define TCP_FLAG_CWR 0x80u
/*
 * How many packets may come of one frame is bounded by what Linux makes: 8 bytes are left of the smallest MSS that it
 * accepts when all options are there (TCP_MIN_SND_MSS), and a UDP_SEGMENT message is 128 datagrams at most.
 */
#define TCP_SIZE_MIN 8u
#define UDP_SEGMENTS_MAX 128u

/* How a frame is cut; all in bytes, offsets from the frame's first one. */
struct cut {
	const struct packet *packet;
	const unsigned char *frame;
	bool udp, ipv4, keep_partial;
	size_t size;      /* payload of each piece but the last */
	size_t sum_place; /* of the checksum, in the upper layer's header */
	uint32_t base;    /* the pseudo header's sum, with a length of 0 */
};

static uint16_t load16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static void store16(unsigned char *at, size_t v)
{
	at[0] = (unsigned char)(v >> 8);
	at[1] = (unsigned char)v;
}

/* ---- what a header may say ---- */

bool segment_header_fits(struct virtio_net_hdr_v1 *header, size_t len)
{
	if (len < ETH_HLEN || len > NIC_FRAME_MAX)
		return false;
	/* "The device MUST ignore flag bits that it does not recognize" (5.1.6.2.2). */
	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header->num_buffers = 0;
	if (!header->flags)
		header->csum_start = header->csum_offset = 0;
	else if ((size_t)header->csum_start + header->csum_offset + sizeof(uint16_t) > len)
		return false;
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		header->gso_size = header->hdr_len = 0;
		return true;
	}
	/* A packet to be cut has a partial checksum (virtio 1.2, 5.1.6.2.1). */
	return header->flags && header->gso_size && header->hdr_len <= len;
}

/* Whether a packet is TCP of that EtherType, or UDP of any (0), with all headers in what is copied for each piece. */
static bool can_be_cut(const struct packet *p, uint8_t protocol, uint16_t ether_type)
{
	return p->kind == PACKET_IP && p->protocol == protocol && (!ether_type || p->ether_type == ether_type) &&
	       p->payload <= PACKET_HEAD;
}

static bool gso_is_of(const struct virtio_net_hdr_v1 *header, const struct packet *p)
{
	bool fits;

	switch (header->gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
	case VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN:
		fits = can_be_cut(p, IPPROTO_TCP, ETH_P_IP) && header->gso_size >= TCP_SIZE_MIN;
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
	case VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN:
		fits = can_be_cut(p, IPPROTO_TCP, ETH_P_IPV6) && header->gso_size >= TCP_SIZE_MIN;
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		fits = can_be_cut(p, IPPROTO_UDP, 0) && p->payload_len <= (size_t)header->gso_size * UDP_SEGMENTS_MAX;
		break;
	default:
		return false;
	}
	return fits && header->csum_start == p->l4 &&
	       header->csum_offset == (p->protocol == IPPROTO_UDP ? UDP_CHECKSUM : TCP_CHECKSUM);
}

int segment_check(struct virtio_net_hdr_v1 *header, const struct packet *packet, size_t len)
{
	if (!segment_header_fits(header, len))
		return -EBADMSG;
	if (header->flags && header->csum_start < (packet->vlan ? packet->l3 : ETH_HLEN))
		return -EBADMSG;
	return gso_is_of(header, packet) ? 0 : -EBADMSG;
}

/* ---- what a receiver takes ---- */

/* There is no saying that a receiver takes ECN; its driver need not expect it then (virtio 1.2, 5.1.6.4.1). */
static bool gso_is_taken(uint8_t gso_type, const struct segment_takes *takes)
{
	switch (gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return takes->checksum && takes->tso4;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return takes->checksum && takes->tso6;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		return takes->checksum && takes->uso;
	default:
		return false;
	}
}

bool segment_is_needed(const struct virtio_net_hdr_v1 *header, size_t len, const struct segment_takes *takes)
{
	return len > takes->largest || !gso_is_taken(header->gso_type, takes) ||
	       (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM && !takes->checksum);
}

/* ---- cutting ---- */

/* 0xffff in place of 0, which means "no checksum" in UDP; the same number to everybody else (RFC 768, RFC 1071). */
static uint16_t finish(uint32_t sum)
{
	const uint16_t finished = checksum_finish(sum);

	return finished ? finished : 0xffff;
}

static void put_ip_lengths(const struct cut *cut, unsigned char *head, size_t payload_len, unsigned nth)
{
	const size_t l3 = cut->packet->l3, l4 = cut->packet->l4;
	const size_t end = cut->packet->payload + payload_len;
	uint16_t sum;

	if (!cut->ipv4) {
		store16(head + l3 + offsetof(struct ip6_hdr, ip6_plen), end - l3 - sizeof(struct ip6_hdr));
		return;
	}
	store16(head + l3 + offsetof(struct iphdr, tot_len), end - l3);
	store16(head + l3 + offsetof(struct iphdr, id), load16(cut->frame + l3 + offsetof(struct iphdr, id)) + nth);
	memset(head + l3 + offsetof(struct iphdr, check), 0, sizeof sum);
	sum = checksum_finish(checksum_add(0, head + l3, l4 - l3, 0));
	memcpy(head + l3 + offsetof(struct iphdr, check), &sum, sizeof sum);
}

static void put_tcp(unsigned char *tcp, size_t at, bool first, bool last)
{
	uint32_t sequence;

	memcpy(&sequence, tcp + TCP_SEQUENCE, sizeof sequence);
	sequence = htonl(ntohl(sequence) + (uint32_t)at);
	memcpy(tcp + TCP_SEQUENCE, &sequence, sizeof sequence);
	if (!first)
		tcp[TCP_FLAGS] &= (unsigned char)~TCP_FLAG_CWR;
	if (!last)
		tcp[TCP_FLAGS] &= (unsigned char)~(TH_FIN | TH_PUSH);
}

/* Headers of the nth piece, which has payload_len bytes of payload, from `at` of it on. */
static void put_headers(const struct cut *cut, unsigned char *head, size_t at, size_t payload_len, unsigned nth)
{
	const struct packet *p = cut->packet;
	const size_t l4_len = p->payload - p->l4 + payload_len;
	unsigned char *l4 = head + p->l4;
	uint32_t sum = cut->base + htons((uint16_t)l4_len);
	uint16_t field = 0;

	memcpy(head, cut->frame, p->payload);
	put_ip_lengths(cut, head, payload_len, nth);
	if (cut->udp)
		store16(l4 + UDP_LENGTH, l4_len);
	else
		put_tcp(l4, at, at == 0, at + payload_len == p->payload_len);
	memcpy(l4 + cut->sum_place, &field, sizeof field);
	if (cut->keep_partial) {
		field = checksum_partial(sum);
	} else {
		/* Both headers are of even lengths. */
		sum = checksum_add(sum, l4, p->payload - p->l4, 0);
		field = finish(checksum_add(sum, cut->frame + p->payload + at, payload_len, 0));
	}
	memcpy(l4 + cut->sum_place, &field, sizeof field);
}

/* How much payload a piece has. 0: no way to fit. TCP does not mind smaller pieces, datagrams are what they are. */
static size_t piece_size(const struct virtio_net_hdr_v1 *header, const struct packet *p, size_t largest)
{
	const size_t longest = header->gso_size < p->payload_len ? header->gso_size : p->payload_len;

	if (p->payload + longest <= largest)
		return header->gso_size;
	if (p->protocol == IPPROTO_UDP || largest < p->payload + TCP_SIZE_MIN)
		return 0;
	return largest - p->payload;
}

static uint32_t pseudo_base(const struct cut *cut)
{
	const struct packet *p = cut->packet;
	uint16_t field;

	if (!p->routed)
		return checksum_pseudo(&p->source, &p->target, p->protocol, 0);
	memcpy(&field, cut->frame + p->l4 + cut->sum_place, sizeof field);
	return (uint32_t)field + (uint16_t)~htons((uint16_t)p->l4_len);
}

static int cut_frame(const struct virtio_net_hdr_v1 *header, const struct packet *p, unsigned char *frame,
                     const struct segment_takes *takes,
                     int (*emit)(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov,
                                 unsigned n),
                     void *ctx)
{
	struct cut cut = { .packet = p,
		           .frame = frame,
		           .udp = p->protocol == IPPROTO_UDP,
		           .ipv4 = p->ether_type == ETH_P_IP,
		           .keep_partial = takes->checksum,
		           .size = piece_size(header, p, takes->largest) };
	struct virtio_net_hdr_v1 out = { .flags = 0 };
	unsigned char head[PACKET_HEAD];
	size_t at = 0;
	unsigned nth = 0;

	if (!cut.size)
		return -EMSGSIZE;
	cut.sum_place = cut.udp ? UDP_CHECKSUM : TCP_CHECKSUM;
	cut.base = pseudo_base(&cut);
	if (cut.keep_partial) {
		out.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		out.csum_start = (uint16_t)p->l4;
		out.csum_offset = (uint16_t)cut.sum_place;
	}
	do {
		const size_t left = p->payload_len - at, len = left < cut.size ? left : cut.size;
		const struct iovec iov[] = { { head, p->payload }, { frame + p->payload + at, len } };
		int rc;

		put_headers(&cut, head, at, len, nth++);
		rc = emit(ctx, &out, iov, len ? 2 : 1);
		if (rc < 0)
			return rc;
		at += len;
	} while (at < p->payload_len);
	return 0;
}

/* From csum_start to the end of the frame, over what the field holds (virtio 1.2, 5.1.6.2). */
static void complete(struct virtio_net_hdr_v1 *header, unsigned char *frame, size_t len)
{
	const uint16_t sum = finish(checksum_add(0, frame + header->csum_start, len - header->csum_start, 0));

	memcpy(frame + header->csum_start + header->csum_offset, &sum, sizeof sum);
	header->flags = 0;
	header->csum_start = header->csum_offset = 0;
}

int segment_do(const struct virtio_net_hdr_v1 *header, const struct packet *packet, unsigned char *frame, size_t len,
               const struct segment_takes *takes,
               int (*emit)(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n),
               void *ctx)
{
	struct virtio_net_hdr_v1 out = *header;
	const struct iovec whole = { frame, len };

	if (segment_check(&out, packet, len) < 0)
		return -EBADMSG;
	if (out.gso_type != VIRTIO_NET_HDR_GSO_NONE && (len > takes->largest || !gso_is_taken(out.gso_type, takes)))
		return cut_frame(&out, packet, frame, takes, emit, ctx);
	if (len > takes->largest)
		return -EMSGSIZE;
	if (out.flags && !takes->checksum)
		complete(&out, frame, len);
	return emit(ctx, &out, &whole, 1);
}
