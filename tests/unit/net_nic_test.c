/* SPDX-License-Identifier: MIT */
/*
 * net_nic_test.c - plugins/net/nic.h as a driver sees it: features, configuration, what it may say about frames, how
 * receive buffers are filled. The far side is net-nat: an ARP request is answered, a malformed frame is counted.
 */
#include "tests/unit/nat_guest.h"

#include <errno.h>

#include "plugins/net/arp.h"
#include "plugins/net/checksum.h"
#include "tests/unit/nat_host.h"

#define BIT(feature) (UINT64_C(1) << (feature))

static struct nat_guest guest;
static struct nat_frame frame;

static int end(void **state)
{
	(void)state;
	nat_end(&guest);
	return 0;
}

/* ---- what it says of itself ---- */

static void it_tells_mac_mtu_link_and_pairs(void **state)
{
	struct virtio_net_config config;

	(void)state;
	nat_begin(&guest, "mac = \"52:54:00:12:34:56\"; mtu = 9000; queues = 4;");
	memcpy(&config, guest.config_space, sizeof config);
	assert_memory_equal(config.mac, "\x52\x54\x00\x12\x34\x56", 6);
	assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(config.max_virtqueue_pairs, 4);
	assert_int_equal(config.mtu, 9000);
	assert_int_equal(guest.setup.n_queues, 9);
	assert_int_equal(guest.setup.config_size, offsetof(struct virtio_net_config, speed));
	assert_true(guest.features & BIT(VIRTIO_NET_F_MQ));
	assert_true(guest.features & BIT(VIRTIO_NET_F_HOST_TSO6));
}

static void without_offloads_it_is_a_plain_card(void **state)
{
	(void)state;
	nat_begin(&guest, "offloads = false; queues = 1;");
	assert_int_equal(guest.features, BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_MTU) | BIT(VIRTIO_NET_F_STATUS) |
	                                         BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_NET_F_CTRL_VQ));
	assert_int_equal(guest.setup.n_queues, 3);
}

static void segmentation_without_checksums_is_not_believed(void **state)
{
	(void)state;
	nat_begin_with(&guest, "", ~(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_CSUM)));
	assert_false(nic_guest_takes_csum(guest.nat->nic));
	assert_false(nic_guest_takes_tso(guest.nat->nic, false));
	assert_false(nic_guest_takes_tso(guest.nat->nic, true));
}

static void the_link_goes_down_and_up(void **state)
{
	struct virtio_net_config config;
	struct nic_slot slot;

	(void)state;
	nat_begin(&guest, "");
	assert_int_equal(nat_reconfigure(&guest, "link = false;"), 0);
	memcpy(&config, guest.config_space, sizeof config);
	assert_int_equal(config.status, 0);
	assert_int_equal(guest.host->told, 1);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 100, 100, &slot), -ENETDOWN);
	nat_send_udp(&guest, NAT_GUEST, 1, NAT_GATEWAY, 1, "x", 1);
	while (nat_turn(&guest))
		;
	assert_int_equal(nat_counter(&guest, "tx_packets"), 0);
	assert_int_equal(nat_reconfigure(&guest, "link = true;"), 0);
	memcpy(&config, guest.config_space, sizeof config);
	assert_int_equal(config.status, VIRTIO_NET_S_LINK_UP);
	assert_int_equal(guest.host->told, 2);
}

static void a_mac_is_made_of_both_names(void **state)
{
	unsigned char a[ETH_ALEN], b[ETH_ALEN], c[ETH_ALEN];

	(void)state;
	nat_begin(&guest, "");
	nic_mac_of("box", "net0", a);
	nic_mac_of("box", "net0", b);
	assert_memory_equal(a, b, ETH_ALEN);
	assert_int_equal(a[0] & 3, 2);
	nic_mac_of("boxn", "et0", c);
	assert_memory_not_equal(a, c, ETH_ALEN);
	nic_mac_of("box", "net1", c);
	assert_memory_not_equal(a, c, ETH_ALEN);
	assert_memory_equal(guest.nat->options.mac, a, ETH_ALEN);
}

/* ---- frames from the guest ---- */

static size_t put_arp_request(unsigned char *at)
{
	struct arp arp = { .request = true };
	struct in6_addr own, gateway;

	assert_int_equal(net_address_parse(NAT_GUEST, &own), 0);
	assert_int_equal(net_address_parse(NAT_GATEWAY, &gateway), 0);
	memcpy(arp.sender_mac, guest.nat->guest_mac, ETH_ALEN);
	arp.sender = net_to_ipv4(&own);
	arp.target = net_to_ipv4(&gateway);
	return arp_put(at, guest.nat->gateway_mac, &arp);
}

static void a_frame_may_come_in_any_pieces(void **state)
{
	const struct virtio_net_hdr_v1 header = { .flags = 0 };
	unsigned char request[64];
	size_t len;

	(void)state;
	nat_begin(&guest, "");
	len = put_arp_request(request);
	/* One byte each is 42 pieces; what follows makes it more than NIC_FRAME_BUFFERS. */
	for (size_t split = 0; split <= len; split++) {
		nat_send_with(&guest, 0, &header, request, len, split);
		nat_receive(&guest, &frame);
		assert_int_equal(frame.packet.kind, PACKET_ARP);
		assert_memory_equal(frame.packet.from, guest.nat->gateway_mac, ETH_ALEN);
	}
	assert_int_equal(nat_counter(&guest, "malformed"), 0);
}

static void a_frame_in_very_many_pieces_is_put_together(void **state)
{
	const struct virtio_net_hdr_v1 header = { .flags = 0 };
	unsigned char request[200] = { 0 };

	(void)state;
	nat_begin(&guest, "");
	put_arp_request(request);
	nat_send_with(&guest, 0, &header, request, sizeof request, 1);
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.kind, PACKET_ARP);
}

static void headers_that_are_none_are_counted_and_go_no_further(void **state)
{
	static const struct virtio_net_hdr_v1 headers[] = {
		/* Checksums outside. */
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 100, .csum_offset = 0 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 98, .csum_offset = 1 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34, .csum_offset = 65535 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 65535, .csum_offset = 65535 },
		/* Segmentation of other things, without a checksum, without a size, with headers longer than all. */
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_UDP, .gso_size = 8 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = 5 /* UDP_L4 */, .gso_size = 8 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_ECN, .gso_size = 8 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
		  .gso_size = 8 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = 2, .gso_size = 8 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = 255, .gso_size = 8 },
		{ .gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 8 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .gso_type = VIRTIO_NET_HDR_GSO_TCPV6, .gso_size = 0 },
		{ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		  .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		  .gso_size = 8,
		  .hdr_len = 101 },
	};
	static const unsigned char bytes[NIC_FRAME_MAX + 1];
	const struct virtio_net_hdr_v1 plain = { .flags = 0 };
	const unsigned n = sizeof headers / sizeof headers[0];

	(void)state;
	nat_begin(&guest, "");
	for (unsigned i = 0; i < n; i++)
		nat_send_with(&guest, 0, &headers[i], bytes, 100, 0);
	nat_send_with(&guest, 0, &plain, bytes, 0, 0);
	nat_send_with(&guest, 0, &plain, bytes, ETH_HLEN - 1, 0);
	nat_send_with(&guest, 0, &plain, bytes, NIC_FRAME_MAX + 1, 0);
	while (nat_turn(&guest))
		;
	assert_int_equal(nat_counter(&guest, "malformed"), n + 3);
	assert_int_equal(nat_counter(&guest, "tx_packets"), 0);
	assert_false(guest.broken);
}

static void what_was_not_negotiated_is_not_taken(void **state)
{
	const struct virtio_net_hdr_v1 csum = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 34 };
	const struct virtio_net_hdr_v1 tso = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		                               .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		                               .csum_start = 34,
		                               .gso_size = 10 };
	static const unsigned char bytes[100];

	(void)state;
	nat_begin_with(&guest, "", ~BIT(VIRTIO_NET_F_CSUM));
	nat_send_with(&guest, 0, &csum, bytes, sizeof bytes, 0);
	nat_send_with(&guest, 0, &tso, bytes, sizeof bytes, 0);
	while (nat_turn(&guest))
		;
	assert_int_equal(nat_counter(&guest, "malformed"), 2);
}

static void a_transmit_chain_shorter_than_a_header_is_malformed(void **state)
{
	struct host_buffer *buffer = calloc(1, sizeof *buffer);
	unsigned char few[11] = { 0 };
	const struct iovec piece = { .iov_base = few, .iov_len = sizeof few };

	(void)state;
	nat_begin(&guest, "queues = 1;");
	guest.host->before_turn = NULL; /* which would take it for one of its own */
	nat_host_offer(guest.host, 1, buffer, &piece, 1, NULL, 0);
	assert_true(nat_turn(&guest));
	assert_ptr_equal(nat_host_used(guest.host, 1), buffer);
	assert_int_equal(buffer->written, 0);
	nat_host_offer(guest.host, 1, buffer, NULL, 0, NULL, 0);
	assert_true(nat_turn(&guest));
	assert_ptr_equal(nat_host_used(guest.host, 1), buffer);
	assert_int_equal(nat_counter(&guest, "malformed"), 2);
	free(buffer);
}

static void a_turn_takes_so_many_frames_and_the_others_have_theirs(void **state)
{
	(void)state;
	nat_begin(&guest, "queues = 1;");
	for (unsigned i = 0; i < 200; i++)
		nat_send_udp(&guest, NAT_GUEST, 1, "224.0.0.1", 1, "x", 1);
	nat_turn(&guest);
	assert_int_equal(nat_counter(&guest, "tx_packets"), 64);
	while (nat_turn(&guest))
		;
	assert_int_equal(nat_counter(&guest, "tx_packets"), 200);
}

static void what_is_held_waits(void **state)
{
	(void)state;
	nat_begin(&guest, "queues = 1;");
	nic_hold_transmit(guest.nat->nic, true);
	nat_send_udp(&guest, NAT_GUEST, 1, "224.0.0.1", 1, "x", 1);
	while (nat_turn(&guest))
		;
	assert_int_equal(nat_counter(&guest, "tx_packets"), 0);
	nic_hold_transmit(guest.nat->nic, false);
	while (nat_turn(&guest))
		;
	assert_int_equal(nat_counter(&guest, "tx_packets"), 1);
}

/* ---- frames to the guest ---- */

/* A UDP packet of `len` bytes in all, Ethernet header included, that the harness finds right. */
static size_t put_frame(unsigned char *at, size_t len)
{
	struct in6_addr from, to;
	unsigned char *udp;
	uint16_t sum;
	size_t l4_len, l4;

	assert_int_equal(net_address_parse(NAT_GATEWAY, &from), 0);
	assert_int_equal(net_address_parse(NAT_GUEST, &to), 0);
	l4 = packet_put_ether(at, guest.nat->guest_mac, guest.nat->gateway_mac, ETH_P_IP);
	l4_len = len - l4 - 20;
	l4 += packet_put_ip(at + l4, &from, &to, IPPROTO_UDP, l4_len, 64, 0);
	udp = at + l4;
	for (size_t i = 0; i < l4_len; i++)
		udp[i] = (unsigned char)(i * 7);
	memcpy(udp, (uint16_t[]){ htons(1), htons(2), htons((uint16_t)l4_len), 0 }, 8);
	sum = checksum_finish(checksum_add(checksum_pseudo(&from, &to, IPPROTO_UDP, (uint32_t)l4_len), udp, l4_len, 0));
	memcpy(udp + 6, &sum, 2);
	return len;
}

static void a_frame_takes_as_many_buffers_as_it_needs(void **state)
{
	static const size_t sizes[] = { 60, 100, 1513, 1524, 1525, 3060, 3061, 20000, 65534 };
	static unsigned char bytes[NIC_FRAME_MAX];

	(void)state;
	nat_begin(&guest, "mtu = 65520; queues = 1;");
	for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		const size_t len = put_frame(bytes, sizes[i]);
		const struct iovec pieces[3] = { { bytes, 14 }, { bytes + 14, 21 }, { bytes + 35, len - 35 } };

		nat_turn(&guest);
		assert_int_equal(nic_send(guest.nat->nic, 0, NULL, pieces, 3), 0);
		/* Not before it is flushed. */
		assert_null(nat_host_used(guest.host, 0));
		nic_flush(guest.nat->nic);
		assert_int_equal(nat_receive(&guest, &frame), len);
		assert_memory_equal(frame.bytes, bytes, len);
		assert_int_equal(frame.header.num_buffers, (len + 12 + 1535) / 1536);
	}
	assert_int_equal(nat_counter(&guest, "rx_packets"), sizeof sizes / sizeof sizes[0]);
}

static void a_slot_that_is_cancelled_costs_no_buffer(void **state)
{
	static unsigned char bytes[NIC_FRAME_MAX];
	struct nic_slot slot;
	struct iovec piece = { .iov_base = bytes };

	(void)state;
	nat_begin(&guest, "queues = 1;");
	guest.buffers = 10;
	nat_turn(&guest);
	guest.host->before_turn = NULL;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(nic_reserve(guest.nat->nic, 0, 15000, 15000, &slot), 0);
		assert_true(slot.room >= 15000 && slot.n == 10);
		nic_cancel_slot(guest.nat->nic, &slot);
	}
	/* All ten are still there. */
	piece.iov_len = put_frame(bytes, 1500);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(nic_send(guest.nat->nic, 0, NULL, &piece, 1), 0);
	assert_int_equal(nic_send(guest.nat->nic, 0, NULL, &piece, 1), -EAGAIN);
	nic_flush(guest.nat->nic);
	for (unsigned i = 0; i < 10; i++) {
		nat_receive(&guest, &frame);
		assert_memory_equal(frame.bytes, bytes, 1500);
	}
}

static void a_slot_may_have_less_than_was_wanted(void **state)
{
	struct nic_slot slot;

	(void)state;
	nat_begin(&guest, "queues = 1;");
	guest.buffers = 2;
	nat_turn(&guest);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 60000, 1000, &slot), 0);
	assert_int_equal(slot.room, 2 * 1536 - 12);
	nic_cancel_slot(guest.nat->nic, &slot);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 60000, 2 * 1536 - 11, &slot), -EAGAIN);
}

static unsigned rooms, last_pair;

static void count_room(void *ctx, unsigned pair)
{
	(void)ctx;
	last_pair = pair;
	rooms++;
}

static void nobody_frame(void *ctx, const struct nic_frame *f)
{
	(void)ctx, (void)f;
}

static void nobody_batch_end(void *ctx)
{
	(void)ctx;
}

/* A card of its own in place of net-nat's, so that room() is seen. */
static struct nic *card;

static void notify(void *self, unsigned queue)
{
	(void)self;
	nic_queue_notify(card, queue);
}

static const struct capsa_plugin *net_nat;

static void begin_card(const char *options, unsigned pairs)
{
	static const struct nic_operations operations = { nobody_frame, nobody_batch_end, count_room };
	static struct capsa_plugin plugin;

	nat_begin(&guest, options);
	assert_int_equal(nic_new(guest.nat->host, guest.nat->dev,
	                         &(struct nic_options){ .mtu = 1500, .pairs = pairs, .offloads = true }, &operations,
	                         NULL, &card),
	                 0);
	nic_activate(card, guest.features);
	net_nat = guest.host->plugin;
	plugin = *net_nat;
	plugin.queue_notify = notify;
	guest.host->plugin = &plugin;
}

static void end_card(void)
{
	guest.host->plugin = net_nat;
	nic_reset(card);
	nic_free(card);
}

static void room_is_told_once_when_buffers_come(void **state)
{
	struct nic_slot slot;

	(void)state;
	begin_card("queues = 1;", 1);
	guest.buffers = 0;
	rooms = 0;
	assert_int_equal(nic_reserve(card, 0, 3000, 3000, &slot), -EAGAIN);
	nat_turn(&guest);
	assert_int_equal(rooms, 0);
	/* One is not enough, and yet it is told of the next. */
	guest.buffers = 1;
	nat_turn(&guest);
	assert_int_equal(rooms, 1);
	assert_int_equal(last_pair, 0);
	assert_int_equal(nic_reserve(card, 0, 3000, 3000, &slot), -EAGAIN);
	nat_turn(&guest);
	assert_int_equal(rooms, 2);
	assert_int_equal(nic_reserve(card, 0, 3000, 3000, &slot), 0);
	while (nat_turn(&guest))
		;
	assert_int_equal(rooms, 2);
	end_card();
}

static void without_mergeable_buffers_one_holds_all(void **state)
{
	static unsigned char bytes[NIC_FRAME_MAX];
	struct iovec piece = { .iov_base = bytes };
	struct nic_slot slot;

	(void)state;
	nat_begin_with(&guest, "mtu = 65520; queues = 1;", ~BIT(VIRTIO_NET_F_MRG_RXBUF));
	nat_turn(&guest);
	piece.iov_len = put_frame(bytes, 65534);
	assert_int_equal(nic_send(guest.nat->nic, 0, NULL, &piece, 1), 0);
	nic_flush(guest.nat->nic);
	assert_int_equal(nat_receive(&guest, &frame), 65534);
	nat_reset(&guest);
	guest.buffer_size = 1526;
	nat_turn(&guest);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 1515, 1515, &slot), -EMSGSIZE);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 60000, 1000, &slot), 0);
	assert_int_equal(slot.room, 1514);
}

static void a_receive_buffer_without_room_for_a_header_breaks_the_device(void **state)
{
	struct nic_slot slot;

	(void)state;
	nat_begin(&guest, "queues = 1;");
	guest.buffer_size = 11;
	nat_turn(&guest);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 100, 100, &slot), -EAGAIN);
	nat_turn(&guest);
	assert_true(guest.broken);
}

static void buffers_too_small_for_a_frame_are_no_reason_to_wait(void **state)
{
	struct nic_slot slot;

	(void)state;
	nat_begin(&guest, "queues = 1;");
	guest.buffer_size = 16;
	nat_turn(&guest);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 60000, 60000, &slot), -EMSGSIZE);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 60000, 2000, &slot), 0);
}

static void a_reset_forgets_buffers(void **state)
{
	struct nic_slot slot;

	(void)state;
	nat_begin(&guest, "queues = 2;");
	nat_turn(&guest);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 20000, 1, &slot), 0);
	nat_reset(&guest); /* what it still writes to is freed */
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 100, 100, &slot), -EAGAIN);
	nat_turn(&guest);
	assert_int_equal(nic_reserve(guest.nat->nic, 0, 100, 100, &slot), 0);
}

/* ---- commands ---- */

static unsigned char command(unsigned queue, const void *bytes, size_t len)
{
	struct host_buffer buffer = { .written = 0 };
	unsigned char *copy = malloc(len ? len : 1), ack = 0xee;
	const struct iovec out = { .iov_base = copy, .iov_len = len }, in = { .iov_base = &ack, .iov_len = 1 };

	memcpy(copy, bytes, len);
	guest.host->before_turn = NULL;
	nat_host_offer(guest.host, queue, &buffer, &out, 1, &in, 1);
	while (nat_turn(&guest))
		;
	assert_ptr_equal(nat_host_used(guest.host, queue), &buffer);
	assert_int_equal(buffer.written, 1);
	free(copy);
	return ack;
}

static void pairs_are_set_within_what_there_is(void **state)
{
	struct nic_slot slot;

	(void)state;
	nat_begin(&guest, "queues = 4;");
	nat_turn(&guest);
	assert_int_equal(nic_pairs(guest.nat->nic), 1);
	assert_int_equal(command(8, "\x04\x00\x03\x00", 4), VIRTIO_NET_OK);
	assert_int_equal(nic_pairs(guest.nat->nic), 3);
	assert_int_equal(command(8, "\x04\x00\x00\x00", 4), VIRTIO_NET_ERR);
	assert_int_equal(command(8, "\x04\x00\x05\x00", 4), VIRTIO_NET_ERR);
	assert_int_equal(command(8, "\x04\x00\xff\xff", 4), VIRTIO_NET_ERR);
	assert_int_equal(command(8, "\x04\x00\x01", 3), VIRTIO_NET_ERR);
	assert_int_equal(command(8, "", 0), VIRTIO_NET_ERR);
	assert_int_equal(command(8, "\x00\x00\x01\x00", 4), VIRTIO_NET_ERR);
	assert_int_equal(command(8, "\x04\x01\x01\x00", 4), VIRTIO_NET_ERR);
	assert_int_equal(nic_pairs(guest.nat->nic), 3);
	/* A flow of a pair that is not used any more goes on by one that is. */
	assert_int_equal(nic_reserve(guest.nat->nic, 2, 100, 100, &slot), 0);
	assert_int_equal(slot.pair, 2);
	assert_int_equal(nic_reserve(guest.nat->nic, 3, 100, 100, &slot), 0);
	assert_int_equal(slot.pair, 0);
}

static void who_waits_on_a_pair_out_of_use_is_told(void **state)
{
	struct nic_slot slot;

	(void)state;
	begin_card("queues = 2;", 2);
	assert_int_equal(command(4, "\x04\x00\x02\x00", 4), VIRTIO_NET_OK);
	rooms = 0;
	assert_int_equal(nic_reserve(card, 1, 100, 100, &slot), -EAGAIN);
	assert_true(nic_is_short(card, 1));
	assert_false(nic_is_short(card, 0));
	assert_int_equal(command(4, "\x04\x00\x01\x00", 4), VIRTIO_NET_OK);
	assert_int_equal(rooms, 1);
	assert_int_equal(last_pair, 1);
	assert_int_equal(nic_receive_pair(card, 1), 0);
	nic_room_again(card, 0);
	assert_int_equal(rooms, 1);
	nat_turn(&guest);
	assert_int_equal(rooms, 2);
	assert_int_equal(last_pair, 0);
	end_card();
}

static void without_multiqueue_the_control_queue_is_the_third(void **state)
{
	(void)state;
	nat_begin_with(&guest, "queues = 4;", ~BIT(VIRTIO_NET_F_MQ));
	assert_int_equal(command(2, "\x04\x00\x01\x00", 4), VIRTIO_NET_ERR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(it_tells_mac_mtu_link_and_pairs, end),
		cmocka_unit_test_teardown(without_offloads_it_is_a_plain_card, end),
		cmocka_unit_test_teardown(segmentation_without_checksums_is_not_believed, end),
		cmocka_unit_test_teardown(the_link_goes_down_and_up, end),
		cmocka_unit_test_teardown(a_mac_is_made_of_both_names, end),
		cmocka_unit_test_teardown(a_frame_may_come_in_any_pieces, end),
		cmocka_unit_test_teardown(a_frame_in_very_many_pieces_is_put_together, end),
		cmocka_unit_test_teardown(headers_that_are_none_are_counted_and_go_no_further, end),
		cmocka_unit_test_teardown(what_was_not_negotiated_is_not_taken, end),
		cmocka_unit_test_teardown(a_transmit_chain_shorter_than_a_header_is_malformed, end),
		cmocka_unit_test_teardown(a_turn_takes_so_many_frames_and_the_others_have_theirs, end),
		cmocka_unit_test_teardown(what_is_held_waits, end),
		cmocka_unit_test_teardown(a_frame_takes_as_many_buffers_as_it_needs, end),
		cmocka_unit_test_teardown(a_slot_that_is_cancelled_costs_no_buffer, end),
		cmocka_unit_test_teardown(a_slot_may_have_less_than_was_wanted, end),
		cmocka_unit_test_teardown(room_is_told_once_when_buffers_come, end),
		cmocka_unit_test_teardown(without_mergeable_buffers_one_holds_all, end),
		cmocka_unit_test_teardown(a_receive_buffer_without_room_for_a_header_breaks_the_device, end),
		cmocka_unit_test_teardown(buffers_too_small_for_a_frame_are_no_reason_to_wait, end),
		cmocka_unit_test_teardown(a_reset_forgets_buffers, end),
		cmocka_unit_test_teardown(pairs_are_set_within_what_there_is, end),
		cmocka_unit_test_teardown(who_waits_on_a_pair_out_of_use_is_told, end),
		cmocka_unit_test_teardown(without_multiqueue_the_control_queue_is_the_third, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
