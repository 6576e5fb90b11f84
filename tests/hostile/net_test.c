/* SPDX-License-Identifier: MIT */
/*
 * net_test.c - a guest that means harm against the real net-nat.so: pseudo-random frames, mostly nearly right, in any
 * pieces, with any virtio header, while others change what is read; receive buffers of any size; commands. It lives,
 * each descriptor comes back, the device works when all is over, and no descriptor of the host's is left.
 *
 * In a network namespace of its own where it may have one, and nowhere else: what gets through would leave the host.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <linux/if_ether.h>
#include <linux/virtio_net.h>

#include "tests/hostile/garbage.h"
#include "tests/unit/nat_namespace.h"
#include "tests/unit/virtio_plugin.h"

#define SLOTS 16u /* frames under way */
#define DESCS 8u  /* of a frame at most */
#define FRAME_ROOM 4096u
#define RECEIVE_BUFFERS 64u
#define RECEIVE_ROOM 2048u
#define HEADER sizeof(struct virtio_net_hdr_v1)
#define DEADLINE 120u /* seconds for one test, then it hangs */
#define STEPS 20000u
#define RECEIVE 0
#define TRANSMIT 1
#define CONTROL 2
#define BIT(feature) (UINT64_C(1) << (feature))

static struct board board;
static struct plugged plugged;
static struct garbage g;
static struct ring rings[3];
static struct {
	bool busy;
	uint64_t at;
	uint8_t *bytes;
} slots[SLOTS];
static uint64_t receive_at, command_at;
static uint64_t features;
static unsigned n_busy, received;
static bool tiny; /* now and then a receive buffer has no room for a header, which breaks the device */

/* ---- frames ---- */

struct frame {
	uint8_t bytes[FRAME_ROOM - HEADER];
	size_t len;
};

static void put(struct frame *f, const void *bytes, size_t len)
{
	if (len > sizeof f->bytes - f->len)
		len = sizeof f->bytes - f->len;
	memcpy(f->bytes + f->len, bytes, len);
	f->len += len;
}

static void put16(struct frame *f, unsigned value)
{
	put(f, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static void put_random(struct frame *f, size_t len)
{
	while (len--)
		put(f, (uint8_t[]){ (uint8_t)below(&g, 256) }, 1);
}

static void put_address(struct frame *f, bool ipv6, bool own)
{
	static const uint8_t own4[] = { 10, 0, 2, 2 }, gateway4[] = { 10, 0, 2, 1 };
	static const uint8_t gateway6[16] = { 0xfd, 0, 0, 0xca, 0x0b, 0x5a, [15] = 1 };
	static const uint8_t own6[16] = { 0xfd, 0, 0, 0xca, 0x0b, 0x5a, [15] = 2 };
	static const uint8_t others4[][4] = { { 127, 0, 0, 1 }, { 255, 255, 255, 255 }, { 224, 0, 0, 251 },
		                              { 0, 0, 0, 0 },   { 169, 254, 169, 254 }, { 192, 0, 2, 1 } };

	if (below(&g, 8) == 0 && !ipv6)
		put(f, others4[below(&g, 6)], 4);
	else if (below(&g, 12) == 0)
		put_random(f, ipv6 ? 16 : 4);
	else if (ipv6)
		put(f, own ? own6 : gateway6, 16);
	else
		put(f, own ? own4 : gateway4, 4);
}

static unsigned any_port(void)
{
	static const unsigned ports[] = { 53, 67, 68, 80, 443, 547, 5353, 7, 0, 65535 };

	return below(&g, 4) ? ports[below(&g, 10)] : (unsigned)below(&g, 65536);
}

static void put_tcp(struct frame *f)
{
	put16(f, 40000 + (unsigned)below(&g, 20));
	put16(f, any_port());
	put_random(f, 8);
	put(f,
	    (uint8_t[]){ (uint8_t)((below(&g, 8) ? 5 + below(&g, 3) : below(&g, 16)) << 4),
	                 (uint8_t)(below(&g, 2) ? 2 : below(&g, 256)) },
	    2);
	put_random(f, 6 + below(&g, 300));
}

static void put_udp(struct frame *f)
{
	const size_t at = f->len;
	unsigned len;

	put16(f, below(&g, 4) ? 68 : 40000 + (unsigned)below(&g, 20));
	put16(f, any_port());
	put16(f, 0);
	put16(f, below(&g, 2) ? 0 : (unsigned)below(&g, 65536));
	put_random(f, below(&g, 400));
	len = (unsigned)(f->len - at);
	if (below(&g, 16) == 0)
		len = (unsigned)below(&g, 65536);
	f->bytes[at + 4] = (uint8_t)(len >> 8);
	f->bytes[at + 5] = (uint8_t)len;
}

static void put_icmp(struct frame *f, bool ipv6)
{
	static const uint8_t types6[] = { 128, 133, 135, 136, 143, 1, 2, 129 };

	put(f, (uint8_t[]){ ipv6 ? types6[below(&g, 8)] : (uint8_t)(below(&g, 4) ? 8 : below(&g, 20)), 0 }, 2);
	put_random(f, 6 + below(&g, 120));
}

static void put_upper(struct frame *f, bool ipv6, uint8_t protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		put_tcp(f);
		break;
	case IPPROTO_UDP:
		put_udp(f);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		put_icmp(f, ipv6);
		break;
	default:
		put_random(f, below(&g, 200));
	}
}

static void put_ipv4(struct frame *f)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP, 47 };
	const uint8_t protocol = protocols[below(&g, 5)];
	const unsigned words = below(&g, 8) ? 5 : (unsigned)below(&g, 16);
	const size_t at = f->len;
	uint32_t sum = 0;
	size_t len;

	put(f, (uint8_t[]){ (uint8_t)(0x40 | words), 0 }, 2);
	put16(f, 0);
	put16(f, (unsigned)below(&g, 4));
	put16(f, below(&g, 4) ? 0x4000 : below(&g, 2) ? 0x2000 : (unsigned)below(&g, 65536));
	put(f, (uint8_t[]){ (uint8_t)(below(&g, 8) ? 64 : below(&g, 3)), protocol, 0, 0 }, 4);
	put_address(f, false, true);
	put_address(f, false, false);
	for (unsigned i = 5; i < words; i++)
		put_random(f, 4);
	put_upper(f, false, protocol);
	len = below(&g, 16) ? f->len - at : below(&g, 65536);
	f->bytes[at + 2] = (uint8_t)(len >> 8);
	f->bytes[at + 3] = (uint8_t)len;
	for (unsigned i = 0; i < words * 4 && i + 1 < f->len - at; i += 2)
		sum += (uint32_t)f->bytes[at + i] << 8 | f->bytes[at + i + 1];
	sum = ~((sum & 0xffff) + (sum >> 16));
	f->bytes[at + 10] = (uint8_t)(sum >> 8);
	f->bytes[at + 11] = (uint8_t)sum;
}

static void put_ipv6(struct frame *f)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6, 0, 43, 44, 60, 59 };
	const uint8_t upper[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMPV6 };
	uint8_t protocol = protocols[below(&g, 8)];
	const size_t at = f->len;
	size_t len;

	put(f, (uint8_t[]){ 0x60, 0, 0, 0, 0, 0, protocol, (uint8_t)(below(&g, 2) ? 255 : 64) }, 8);
	put_address(f, true, true);
	put_address(f, true, false);
	for (unsigned i = 0; i < 4 && protocol != upper[0] && protocol != upper[1] && protocol != upper[2]; i++) {
		protocol = upper[below(&g, 3)];
		put(f, (uint8_t[]){ protocol, (uint8_t)(below(&g, 4) ? 0 : below(&g, 256)) }, 2);
		put_random(f, 6);
	}
	put_upper(f, true, protocol);
	len = below(&g, 16) ? f->len - at - 40 : below(&g, 65536);
	f->bytes[at + 4] = (uint8_t)(len >> 8);
	f->bytes[at + 5] = (uint8_t)len;
}

static void put_arp(struct frame *f)
{
	put(f, "\x00\x01\x08\x00\x06\x04\x00", 7);
	put(f, (uint8_t[]){ (uint8_t)(below(&g, 4) ? 1 : below(&g, 4)) }, 1);
	put(f, "\x52\x54\x00\x00\x00\x02", 6);
	put_address(f, false, true);
	put_random(f, 6);
	put_address(f, false, false);
}

static void make_frame(struct frame *f)
{
	static const uint8_t gateway[] = { 0x52, 0x55, 0x0a, 0, 0, 1 },
			     group[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	f->len = 0;
	put(f, below(&g, 4) ? gateway : group, ETH_ALEN);
	put(f, "\x52\x54\x00\x00\x00\x02", ETH_ALEN);
	if (below(&g, 32) == 0) {
		put16(f, ETH_P_8021Q);
		put16(f, (unsigned)below(&g, 65536));
	}
	switch (below(&g, 8)) {
	case 0:
		put16(f, ETH_P_ARP);
		put_arp(f);
		break;
	case 1:
	case 2:
	case 3:
		put16(f, ETH_P_IPV6);
		put_ipv6(f);
		break;
	case 4:
		put_random(f, below(&g, 200));
		break;
	default:
		put16(f, ETH_P_IP);
		put_ipv4(f);
	}
	if (below(&g, 8) == 0)
		f->bytes[below(&g, f->len)] ^= (uint8_t)(1u << below(&g, 8));
	if (below(&g, 16) == 0)
		f->len = below(&g, f->len);
}

static void make_header(struct virtio_net_hdr_v1 *header)
{
	static const uint8_t types[] = { 0, VIRTIO_NET_HDR_GSO_TCPV4, VIRTIO_NET_HDR_GSO_TCPV6, 3, 0x81 };

	*header = (struct virtio_net_hdr_v1){ .flags = 0 };
	if (below(&g, 2)) {
		header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		header->csum_start = below(&g, 8) ? 34 : (uint16_t)below(&g, 65536);
		header->csum_offset = below(&g, 8) ? 16 : (uint16_t)below(&g, 65536);
		header->gso_type = types[below(&g, 5)];
		header->gso_size = below(&g, 8) ? 500 : (uint16_t)below(&g, 3);
		header->hdr_len = (uint16_t)below(&g, below(&g, 8) ? 100 : 65536);
	}
	if (below(&g, 16) == 0)
		((uint8_t *)header)[below(&g, HEADER)] ^= (uint8_t)(1u << below(&g, 8));
}

static void send_frame(unsigned index)
{
	struct virtio_net_hdr_v1 header;
	static struct frame frame;
	const unsigned first = index * DESCS, n = 1 + (unsigned)below(&g, DESCS);
	uint64_t at = slots[index].at;
	size_t left;

	make_frame(&frame);
	make_header(&header);
	memcpy(slots[index].bytes, &header, HEADER);
	memcpy(slots[index].bytes + HEADER, frame.bytes, frame.len);
	left = below(&g, 64) ? HEADER + frame.len : below(&g, HEADER + 1);
	for (unsigned i = 0; i < n; i++) {
		const size_t piece = i == n - 1 ? left : below(&g, left + 1);
		const bool more = i + 1 < n;

		ring_desc(&rings[TRANSMIT], first + i, at, (uint32_t)piece, more ? VRING_DESC_F_NEXT : 0,
		          (uint16_t)(more ? first + i + 1 : 0));
		at += piece;
		left -= piece;
	}
	slots[index].busy = true;
	n_busy++;
	ring_offer(&rings[TRANSMIT], (uint16_t)first);
	if (below(&g, 3))
		ring_notify(&rings[TRANSMIT]);
}

/* ---- what the driver does besides ---- */

static void give_room(unsigned i)
{
	size_t len = below(&g, 4) ? RECEIVE_ROOM : HEADER + below(&g, RECEIVE_ROOM - HEADER);

	if (tiny && below(&g, 500) == 0)
		len = below(&g, HEADER);
	ring_desc(&rings[RECEIVE], i, receive_at + i * RECEIVE_ROOM, (uint32_t)len, VRING_DESC_F_WRITE, 0);
	ring_offer(&rings[RECEIVE], (uint16_t)i);
	ring_notify(&rings[RECEIVE]);
}

static void say_command(void)
{
	uint8_t *bytes = board_at(&board, command_at, 64);
	const uint32_t len = (uint32_t)below(&g, 8);

	for (unsigned i = 0; i < 8; i++)
		bytes[i] = (uint8_t)below(&g, 6);
	ring_desc(&rings[CONTROL], 0, command_at, len, VRING_DESC_F_NEXT, 1);
	ring_desc(&rings[CONTROL], 1, command_at + 32, (uint32_t)below(&g, 3), VRING_DESC_F_WRITE, 0);
	ring_offer(&rings[CONTROL], 0);
	ring_notify(&rings[CONTROL]);
}

static void collect(void)
{
	struct vring_used_elem used;

	board_settle(&board);
	sched_yield();
	while (ring_used(&rings[TRANSMIT], &used)) {
		assert_true(used.id % DESCS == 0 && used.id / DESCS < SLOTS && slots[used.id / DESCS].busy);
		assert_int_equal(used.len, 0);
		slots[used.id / DESCS].busy = false;
		n_busy--;
	}
	while (ring_used(&rings[RECEIVE], &used)) {
		assert_true(used.id < RECEIVE_BUFFERS && used.len <= RECEIVE_ROOM);
		received++;
		give_room(used.id);
	}
	while (ring_used(&rings[CONTROL], &used))
		assert_true(used.len <= 1);
}

static void start_again(void)
{
	board.next_free = g.data;
	driver_start(&g.driver, features, rings, 3);
	for (unsigned i = 0; i < SLOTS; i++) {
		slots[i].busy = false;
		slots[i].at = board_alloc(&board, FRAME_ROOM, 8);
		slots[i].bytes = board_at(&board, slots[i].at, FRAME_ROOM);
	}
	receive_at = board_alloc(&board, (uint64_t)RECEIVE_BUFFERS * RECEIVE_ROOM, 8);
	command_at = board_alloc(&board, 64, 8);
	n_busy = 0;
	for (unsigned i = 0; i < RECEIVE_BUFFERS; i++)
		give_room(i);
}

static bool needs_reset(void)
{
	return driver_status(&g.driver) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void settle_all(void)
{
	ring_notify(&rings[TRANSMIT]);
	while (n_busy && !needs_reset())
		collect();
	if (needs_reset())
		start_again();
}

static void throw_frames(unsigned steps)
{
	for (unsigned step = 0; step < steps; step++) {
		const unsigned index = (unsigned)below(&g, SLOTS);

		if (slots[index].busy)
			settle_all();
		send_frame(index);
		if (below(&g, 4) == 0) /* what it changes while it is read */
			slots[index].bytes[below(&g, 128)] ^= (uint8_t)(1u << below(&g, 8));
		if (below(&g, 64) == 0)
			say_command();
		if (below(&g, 3) == 0)
			collect();
		if (below(&g, 1000) == 0 || needs_reset())
			start_again();
	}
	settle_all();
}

/* The gateway answers ARP: the device lives. */
static void still_answers(void)
{
	static const uint8_t request[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x52, 0x54, 0,    0,    0,  2, 8, 6,
		                           0,    1,    8,    0,    6,    4,    0,    1,    0x52, 0x54, 0,  0, 0, 2,
		                           10,   0,    2,    2,    0,    0,    0,    0,    0,    0,    10, 0, 2, 1 };
	const unsigned before = received;

	tiny = false;
	start_again();
	memset(slots[0].bytes, 0, HEADER);
	memcpy(slots[0].bytes + HEADER, request, sizeof request);
	ring_desc(&rings[TRANSMIT], 0, slots[0].at, HEADER + sizeof request, 0, 0);
	slots[0].busy = true;
	n_busy++;
	ring_offer(&rings[TRANSMIT], 0);
	ring_notify(&rings[TRANSMIT]);
	while (received == before)
		collect();
}

/* ---- tests ---- */

static int setup(void **state)
{
	(void)state;
	alarm(DEADLINE * garbage_steps(1));
	board_create(&board, 0);
	received = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	plugged_end(&plugged);
	board_destroy(&board);
	alarm(0);
	return 0;
}

/* It has a thread of its own, so what is read changes indeed while it is read. */
static void plug(const char *entry)
{
	const struct plugin_environment environment = {
		.main = board.home, .loops = &board.home, .n_loops = 1, .vcpus = 1, .machine_name = "board"
	};
	struct error err = { .text = "" };

	plugged_start_in(&plugged, &environment, "net-nat", entry);
	assert_int_equal(plugin_device_attach(plugged.device, &board.platform, &err), 0);
}

static void survives(const char *options, uint64_t wanted, uint64_t seed)
{
	char entry[512];

	snprintf(entry, sizeof entry, "queues = 1; %s", options);
	plug(entry);
	g = (struct garbage){ .board = &board, .n_rings = 2, .state = seed };
	g.data = board_alloc(&board, 4096, 4096);
	driver_find(&g.driver, &board, 1);
	features = wanted & driver_offered(&g.driver);
	start_again();
	throw_frames(garbage_steps(STEPS));
	assert_true(received > STEPS / 100);
	still_answers();
}

#define ALLOWED                                                                                     \
	"policy = { default = \"allow\"; rules = ( { action = \"allow\"; group = \"loopback\"; }, " \
	"{ action = \"allow\"; group = \"host\"; } ); }; max_flows = 100; "

static void a_network_survives(void **state)
{
	(void)state;
	tiny = false;
	survives(ALLOWED, UINT64_MAX, 1);
}

static void a_network_whose_policy_denies_all_survives(void **state)
{
	(void)state;
	tiny = false;
	survives("policy = { default = \"deny\"; };", UINT64_MAX, 22);
}

static void a_network_without_offloads_or_mergeable_buffers_survives(void **state)
{
	(void)state;
	tiny = false;
	survives(ALLOWED "mtu = 1280; ",
	         ~(BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM)), 333);
}

static void a_network_with_receive_buffers_of_nothing_survives(void **state)
{
	(void)state;
	tiny = true;
	survives(ALLOWED, UINT64_MAX, 4444);
}

/* Not the frames but what carries them. */
static void its_rings_survive(void **state)
{
	static garbage_kind *const kinds[] = { garbage_to_config, garbage_to_bar,  garbage_to_registers,
		                               garbage_to_msix,   garbage_to_ring, garbage_to_rings_as_bytes };

	(void)state;
	plug("queues = 1; policy = { default = \"deny\"; };");
	garbage_begin(&g, &board, 1, 2, 7);
	garbage_throw(&g, kinds, sizeof kinds / sizeof kinds[0], garbage_steps(20000));
	garbage_restore(&g);
	features = UINT64_MAX & driver_offered(&g.driver);
	still_answers();
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_network_survives),
		TEST(a_network_whose_policy_denies_all_survives),
		TEST(a_network_without_offloads_or_mergeable_buffers_survives),
		TEST(a_network_with_receive_buffers_of_nothing_survives),
		TEST(its_rings_survive),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "net_test: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
