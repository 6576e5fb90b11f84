/* SPDX-License-Identifier: MIT */
/*
 * segment_fuzz.c - segment_do(): whatever a frame and the header before it say, packets come of it that are as long as
 * they say, with checksums that are right, and together no more than the frame had; or nothing.
 *
 * An input is the virtio header (as it lies in memory), a byte that says what the receiver takes, two of its longest
 * frame, and the frame, whose IPv4 checksum is made right.
 */
#include <errno.h>
#include <string.h>

#include "plugins/net/checksum.h"
#include "plugins/net/nic.h"
#include "plugins/net/segment.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packets.h"

#define HEADER sizeof(struct virtio_net_hdr_v1)
#define PREFIX (HEADER + 3)

const unsigned fuzz_runs = 500000;

struct sink {
	const struct packet *packet; /* of the frame */
	bool cut, whole_sums;
	size_t payload;
	unsigned packets;
};

/* Honest headers before honest frames: as they are, with a partial checksum, to be cut. */
size_t fuzz_seed(unsigned n, uint8_t *data)
{
	static const uint8_t takes[] = { 0, 1, 3 };
	const size_t len = packets_seed(n / 9, data + PREFIX);
	struct virtio_net_hdr_v1 header = { .flags = 0 };
	struct packet p;

	if (!len)
		return 0;
	packet_parse(data + PREFIX, len < PACKET_HEAD ? len : PACKET_HEAD, len, &p);
	if (n / 3 % 3 > 0) {
		header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header.csum_start = (uint16_t)p.l4;
		header.csum_offset = p.protocol == IPPROTO_TCP ? 16 : p.protocol == IPPROTO_UDP ? 6 : 2;
	}
	if (n / 3 % 3 == 2) {
		header.gso_type = p.protocol == IPPROTO_UDP    ? VIRTIO_NET_HDR_GSO_UDP_L4
		                  : p.ether_type == ETH_P_IPV6 ? VIRTIO_NET_HDR_GSO_TCPV6
		                                               : VIRTIO_NET_HDR_GSO_TCPV4;
		header.gso_size = 8;
		header.hdr_len = (uint16_t)p.payload;
	}
	memcpy(data, &header, sizeof header);
	data[HEADER] = takes[n % 3];
	data[HEADER + 1] = 5;
	data[HEADER + 2] = 0xea;
	return PREFIX + len;
}

static void check_packet(struct sink *sink, const uint8_t *bytes, size_t len)
{
	const struct packet *was = sink->packet;
	struct packet p;

	packet_parse(bytes, len < PACKET_HEAD ? len : PACKET_HEAD, len, &p);
	fuzz_check(p.kind == PACKET_IP && p.protocol == was->protocol && p.payload == was->payload);
	fuzz_check(p.l4 + p.l4_len == len);
	sink->payload += p.payload_len;
	if (sink->whole_sums && !p.routed)
		fuzz_check(checksum_finish(
				   checksum_add(checksum_pseudo(&p.source, &p.target, p.protocol, (uint32_t)p.l4_len),
		                                bytes + p.l4, p.l4_len, 0)) == 0);
}

static int take(void *ctx, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	struct sink *sink = ctx;
	uint8_t *bytes;
	size_t len = 0;

	fuzz_check(n == 1 || n == 2);
	bytes = malloc(iov[0].iov_len + (n == 2 ? iov[1].iov_len : 0));
	fuzz_check(bytes != NULL);
	for (unsigned i = 0; i < n; i++) {
		memcpy(bytes + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	fuzz_check(!header->flags || (size_t)header->csum_start + header->csum_offset + 2 <= len);
	if (sink->cut)
		check_packet(sink, bytes, len);
	sink->packets++;
	free(bytes);
	return 0;
}

static void cut(const uint8_t *prefix, uint8_t *frame, size_t len)
{
	const struct segment_takes takes = { .checksum = prefix[HEADER] & 1,
		                             .tso4 = prefix[HEADER] & 2,
		                             .tso6 = prefix[HEADER] & 4,
		                             .uso = prefix[HEADER] & 8,
		                             .largest = (size_t)(prefix[HEADER + 1] << 8 | prefix[HEADER + 2]) };
	struct virtio_net_hdr_v1 header;
	struct packet p;
	struct sink sink = { .packet = &p, .whole_sums = !takes.checksum };
	int rc;

	memcpy(&header, prefix, sizeof header);
	packet_parse(frame, len < PACKET_HEAD ? len : PACKET_HEAD, len, &p);
	rc = segment_check(&header, &p, len);
	fuzz_check(rc == 0 || rc == -EBADMSG);
	if (rc < 0)
		return;
	sink.cut = header.gso_type && segment_is_needed(&header, len, &takes);
	rc = segment_do(&header, &p, frame, len, &takes, take, &sink);
	fuzz_check(rc == 0 || rc == -EMSGSIZE);
	fuzz_check((rc == 0) == (sink.packets > 0));
	if (rc == 0 && sink.cut)
		fuzz_check(sink.payload == p.payload_len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *frame;

	if (len < PREFIX + ETH_HLEN)
		return 0;
	frame = malloc(len - PREFIX);
	fuzz_check(frame != NULL);
	memcpy(frame, data + PREFIX, len - PREFIX);
	packets_repair(frame, len - PREFIX);
	cut(data, frame, len - PREFIX);
	free(frame);
	return 0;
}
