/* SPDX-License-Identifier: MIT */
/*
 * bridge_fuzz.c - the switch's bridge and its guard: whatever a machine sends, others get it as it is or not at all, it
 * is counted once, and it is from that machine, also when a receiver has done what its header leaves to be done.
 *
 * An input is three bytes of header, then the frame. Each is given to a switch of its own, from the port that is
 * guarded and from one that is not.
 */
#include <string.h>

#include "plugins/cluster-switch/bridge.h"
#include "plugins/net/checksum.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packets.h"

#define RECORD 3u /* flags, csum_start, csum_offset */
#define AS_IT_IS 0x80u
#define PORTS 3u

const unsigned fuzz_runs = 100000;

/* As packets.c has its guest; the second one is whom it must not be. */
static const unsigned char macs[PORTS][ETH_ALEN] = { { 2, 0, 0, 0, 0, 9 },
	                                             { 2, 0, 0, 0, 0, 10 },
	                                             { 2, 0, 0, 0, 0, 11 } };
static const unsigned char own_ipv4[] = { 10, 0, 2, 2 };
static const struct in6_addr other_ipv6 = { .s6_addr = { 0xfd, 0, 0, 0xca, 0xb, 0x5a, [15] = 3 } };

struct sent {
	const uint8_t *frame;
	size_t len;
	unsigned from, n;
	bool is_guarded;
};

struct far {
	struct sent *sent;
	unsigned number;
};

size_t fuzz_seed(unsigned n, uint8_t *data)
{
	const size_t len = packets_seed(n / 2, data + RECORD);

	memset(data, 0, RECORD);
	if (n % 2) {
		data[0] = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		data[1] = ETH_HLEN + 20;
		data[2] = 6;
	}
	return len ? RECORD + len : 0;
}

/* What an untagged frame says of who sent it. Written down without packet.h, which the guard believes. */
static void check_source(const uint8_t *frame, size_t len)
{
	static const uint8_t nobody[4];
	const unsigned type = (unsigned)(frame[12] << 8 | frame[13]);

	fuzz_check(memcmp(frame + ETH_ALEN, macs[0], ETH_ALEN) == 0);
	switch (type) {
	case ETH_P_ARP:
		fuzz_check(len >= 42 && memcmp(frame + 22, macs[0], ETH_ALEN) == 0);
		fuzz_check(memcmp(frame + 28, own_ipv4, 4) == 0 || memcmp(frame + 28, nobody, 4) == 0);
		break;
	case ETH_P_IP:
		fuzz_check(len >= 34 && memcmp(frame + 26, own_ipv4, 4) == 0);
		break;
	case ETH_P_IPV6:
		fuzz_check(len >= 54 && memcmp(frame + 22, &other_ipv6, 16) != 0);
		if (frame[20] != IPPROTO_ICMPV6 || len < 78)
			break;
		fuzz_check(frame[54] != ND_ROUTER_ADVERT && frame[54] != ND_REDIRECT);
		fuzz_check(frame[54] != ND_NEIGHBOR_ADVERT || memcmp(frame + 62, &other_ipv6, 16) != 0);
		break;
	default:
		break;
	}
}

/* As a receiver does it that did not negotiate checksums. */
static void complete(uint8_t *frame, size_t len, const struct virtio_net_hdr_v1 *header)
{
	const size_t place = (size_t)header->csum_start + header->csum_offset;
	uint16_t sum;

	fuzz_check(place + sizeof sum <= len);
	sum = checksum_finish(checksum_add(0, frame + header->csum_start, len - header->csum_start, 0));
	memcpy(frame + place, &sum, sizeof sum);
}

static int take(void *ctx, const struct bridge_frame *frame)
{
	static uint8_t whole[FUZZ_INPUT_MAX];
	const struct far *far = ctx;
	struct sent *sent = far->sent;
	size_t len = 0;

	sent->n++;
	fuzz_check(far->number != sent->from);
	for (unsigned i = 0; i < frame->n; i++) {
		fuzz_check(frame->iov[i].iov_len <= sizeof whole - len);
		memcpy(whole + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
		len += frame->iov[i].iov_len;
	}
	fuzz_check(len == sent->len && memcmp(whole, sent->frame, len) == 0);
	if (!sent->is_guarded)
		return 0;
	check_source(whole, len);
	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		complete(whole, len, &frame->header);
		check_source(whole, len);
	}
	return 0;
}

static void flush(void *ctx)
{
	(void)ctx;
}

static void begin(struct bridge **bridge, struct bridge_port *ports[PORTS], struct far fars[PORTS])
{
	static const struct bridge_port_operations operations = { .send = take, .flush = flush };
	char cause[256];

	fuzz_check(bridge_new(bridge) == 0);
	for (unsigned i = 0; i < PORTS; i++) {
		struct bridge_port_options o = { .any_source = i == 2 };

		snprintf(o.name, sizeof o.name, "vm%u", i);
		memcpy(o.mac, macs[i], ETH_ALEN);
		o.address6 = other_ipv6;
		o.address6.s6_addr[15] = (uint8_t)(2 + i);
		o.subnet6 = (struct net_prefix){ .address = o.address6, .bits = 64 };
		o.subnet6.address.s6_addr[15] = 0;
		o.address = net_from_ipv4((struct in_addr){ .s_addr = htonl(0x0a000202 + i) });
		fuzz_check(bridge_port_add(*bridge, &o, &operations, &fars[i], &ports[i], cause, sizeof cause) == 0);
	}
}

static void forward(unsigned from, const struct virtio_net_hdr_v1 *header, const uint8_t *data, size_t len)
{
	struct sent sent = { .frame = data, .len = len, .from = from, .is_guarded = from == 0 };
	struct far fars[PORTS] = { { &sent, 0 }, { &sent, 1 }, { &sent, 2 } };
	const struct iovec piece = { (void *)(uintptr_t)data, len };
	const struct bridge_counters *c;
	struct bridge_port *ports[PORTS];
	struct bridge_frame frame;
	struct bridge *bridge;

	begin(&bridge, ports, fars);
	fuzz_check(bridge_frame_make(&frame, header, &piece, 1, len) == (len >= ETH_HLEN));
	bridge_forward(ports[from], &frame, 0);
	bridge_flush(bridge);
	c = bridge_port_counters(ports[from]);
	fuzz_check(c->rx_packets == 1);
	fuzz_check(c->malformed + c->spoofed <= 1 && (!sent.n || !(c->malformed + c->spoofed)));
	bridge_free(bridge);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct virtio_net_hdr_v1 header = { .flags = 0 };
	uint8_t *frame;

	if (len < RECORD)
		return 0;
	header.flags = data[0] & VIRTIO_NET_HDR_F_NEEDS_CSUM;
	header.csum_start = data[1];
	header.csum_offset = data[2];
	frame = malloc(len - RECORD ? len - RECORD : 1);
	fuzz_check(frame != NULL);
	memcpy(frame, data + RECORD, len - RECORD);
	if (!(data[0] & AS_IT_IS))
		packets_repair(frame, len - RECORD);
	forward(0, &header, frame, len - RECORD);
	forward(2, &header, frame, len - RECORD);
	free(frame);
	return 0;
}
