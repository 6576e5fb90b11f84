/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_test.c - proves tcp.h: connections of the guest's come about, carry data both ways, within both windows, and
 * what goes wrong is told to the guest. In a network namespace of its own where there can be one.
 */
#include "tests/unit/nat_tcp_case.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/nat_namespace.h"

#define MANY 10000u
#define LONG (8u << 20)

static struct tcp_case c;
static const char *no_namespace;

static void pass(uint64_t ms)
{
	nat_pass(&c.guest, ms);
	tcp_guest_settle(&c.t);
}

static uint32_t sequence(uint64_t at)
{
	return c.t.first + 1 + (uint32_t)at;
}

/* A segment as the test wants it. */
static void say(uint8_t flags, uint32_t seq, uint32_t ack, const void *text, size_t len)
{
	const struct nat_segment segment = { .from = c.t.own,
		                             .to = c.t.peer,
		                             .from_port = c.t.own_port,
		                             .to_port = c.t.peer_port,
		                             .sequence = seq,
		                             .acknowledgement = ack,
		                             .flags = flags,
		                             .window = 1000,
		                             .payload = text,
		                             .len = len };

	nat_send_tcp(&c.guest, &segment);
}

/* The one answer, which it is. */
static const struct tcphdr *heard(uint8_t flags)
{
	const struct tcphdr *tcp;

	nat_receive(&c.guest, &c.t.last);
	tcp = nat_tcp(&c.t.last);
	assert_int_equal(tcp->th_flags, flags);
	return tcp;
}

/* ---- both ways ---- */

static void test_connection_carries_both_ways_and_ends(void **state)
{
	(void)state;
	EACH_VARIANT(v)
	{
		case_connect(&c, v);
		tcp_guest_send(&c.t, 100000);
		c.wanted = 3000000;
		case_until(&c, all_done);
		tcp_guest_fin(&c.t);
		case_until(&c, peer_is_at_end);
		assert_false(c.failed);
		case_close(&c);
		case_until(&c, guest_has_fin);
		case_until(&c, no_flows);
		assert_false(c.t.reset);
		assert_int_equal(nat_counter(&c.guest, "tcp_retransmits"), 0);
		assert_int_equal(c.guest.nat->tcp->pool.bytes, 0);
		case_end(&c);
	}
}

static void test_segmentation_is_used_where_it_was_negotiated(void **state)
{
	(void)state;
	EACH_VARIANT(v)
	{
		case_connect(&c, v);
		c.wanted = LONG;
		case_until(&c, all_at_guest);
		if (v->features == UINT64_MAX && c.guest.nat->options.mtu == 1500)
			assert_true(c.t.segmented > 100 && c.t.frames < LONG / 20000);
		else if (!(v->features & (UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4)))
			assert_int_equal(c.t.segmented, 0);
		case_end(&c);
	}
}

static void test_long_frames_of_the_guest_go_out(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		case_begin(&c, &variants[variant]);
		c.t.frame = 44 * c.t.mss;
		tcp_guest_connect(&c.t);
		case_accept(&c);
		tcp_guest_send(&c.t, LONG);
		case_until(&c, all_at_peer);
		case_end(&c);
	}
}

static void test_many_frames_have_one_acknowledgement(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	tcp_guest_settle(&c.t);
	c.t.acks = 0;
	tcp_guest_send(&c.t, 30u * c.t.mss);
	tcp_guest_settle(&c.t);
	assert_int_equal(c.t.acked, 30u * c.t.mss);
	assert_int_equal(c.t.acks, 1);
	case_end(&c);
}

static void test_urgent_bytes_are_bytes(void **state)
{
	unsigned char bytes[3000];

	(void)state;
	for (unsigned variant = 0; variant < 2; variant++) {
		case_connect(&c, &variants[variant]);
		stream_fill(bytes, 0, sizeof bytes);
		assert_int_equal(send(c.fd, bytes, 1000, 0), 1000);
		assert_int_equal(send(c.fd, bytes + 1000, 1, MSG_OOB), 1);
		assert_int_equal(send(c.fd, bytes + 1001, 1999, 0), 1999);
		c.wanted = c.sent = 3000;
		case_until(&c, all_at_guest);
		stream_fill(bytes, 0, 10);
		say(TH_ACK | TH_URG, sequence(0), c.t.peer_first + 3001, bytes, 10);
		c.t.wanted = 10;
		case_until(&c, all_at_peer);
		case_end(&c);
	}
}

/* ---- beginnings ---- */

static void test_refused_is_a_reset(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		case_begin(&c, &variants[variant]);
		close(c.listener);
		c.listener = socket(AF_INET, SOCK_STREAM, 0);
		tcp_guest_syn(&c.t);
		case_until(&c, guest_is_reset);
		assert_false(c.t.connected || c.t.unreachable);
		assert_true(no_flows(&c));
		case_end(&c);
	}
}

static bool is_told(void *ctx)
{
	(void)ctx;
	return c.t.unreachable && c.t.reset;
}

static void test_no_route_is_icmp(void **state)
{
	(void)state;
	if (no_namespace)
		skip();
	case_begin(&c, &variants[0]);
	c.t.peer = NO_ROUTE;
	tcp_guest_syn(&c.t);
	case_until(&c, is_told);
	assert_int_equal(c.t.icmp_type, ICMP_DEST_UNREACH);
	assert_int_equal(c.t.icmp_code, ICMP_NET_UNREACH);
	assert_true(no_flows(&c));
	case_end(&c);
}

static void test_denied_is_a_reset_without_a_socket(void **state)
{
	static const struct variant denied = { "", AF_INET, true, UINT64_MAX,
		                               "ipv6 = false; policy = { default = \"deny\"; };" };
	unsigned sockets;

	(void)state;
	case_begin(&c, &denied);
	sockets = sockets_count(c.guest.nat->sockets);
	tcp_guest_syn(&c.t);
	case_until(&c, guest_is_reset);
	assert_int_equal(sockets_count(c.guest.nat->sockets), sockets);
	assert_int_equal(nat_counter(&c.guest, "flows_denied"), 1);
	assert_true(no_flows(&c));
	case_end(&c);
}

static void test_too_many_connections_are_reset(void **state)
{
	static const struct variant few = { "", AF_INET, true, UINT64_MAX, "max_flows = 2; " NAT_LOOPBACK_ALLOWED };
	struct tcp_guest others[2];

	(void)state;
	case_begin(&c, &few);
	for (unsigned i = 0; i < 2; i++) {
		tcp_guest_begin(&others[i], &c.guest, NAT_GUEST, (uint16_t)(5000 + i), NAT_GATEWAY, c.port);
		tcp_guest_connect(&others[i]);
	}
	tcp_guest_syn(&c.t);
	case_until(&c, guest_is_reset);
	assert_int_equal(flows_count(c.guest.nat->flows), 2);
	assert_int_equal(nat_counter(&c.guest, "flows_refused"), 1);
	tcp_guest_rst(&others[0]);
	tcp_guest_settle(&others[0]);
	case_again(&c, CASE_PORT + 1);
	tcp_guest_connect(&c.t);
	case_end(&c);
}

static void test_syn_is_answered_again(void **state)
{
	(void)state;
	case_begin(&c, &variants[0]);
	c.t.silent = true;
	tcp_guest_connect(&c.t);
	c.t.syn_received = false;
	tcp_guest_syn(&c.t); /* it was lost, thinks the guest */
	tcp_guest_settle(&c.t);
	assert_true(c.t.syn_received);
	for (unsigned i = 0; i < TCP_RETRIES_SYN; i++) { /* it was lost, think we */
		c.t.syn_received = false;
		pass((1000u << i) + 10);
		assert_true(c.t.syn_received);
	}
	assert_false(c.t.reset);
	pass(65000);
	assert_true(c.t.reset);
	assert_true(no_flows(&c));
	case_end(&c);
}

static void test_new_syn_replaces_an_old_connection(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	tcp_guest_send(&c.t, 1000);
	case_until(&c, all_at_peer);
	tcp_guest_begin(&c.t, &c.guest, NAT_GUEST, CASE_PORT, NAT_GATEWAY, c.port);
	c.t.first += 77777;
	tcp_guest_connect(&c.t);
	c.received = 0;
	case_until(&c, peer_is_at_end); /* the old one */
	assert_true(c.failed);
	case_close(&c);
	c.failed = false;
	case_accept(&c);
	tcp_guest_send(&c.t, 1000);
	case_until(&c, all_at_peer);
	assert_int_equal(flows_count(c.guest.nat->flows), 1);
	case_end(&c);
}

static void test_what_belongs_to_no_connection_is_reset(void **state)
{
	const struct tcphdr *tcp;

	(void)state;
	case_begin(&c, &variants[0]);
	say(TH_ACK, 1000, 2000, "x", 1);
	tcp = heard(TH_RST);
	assert_int_equal(ntohl(tcp->th_seq), 2000);
	say(TH_FIN, 1000, 0, "x", 1);
	tcp = heard(TH_RST | TH_ACK);
	assert_int_equal(ntohl(tcp->th_ack), 1002);
	say(TH_RST, 1000, 2000, NULL, 0);
	say(TH_RST | TH_ACK, 1000, 2000, NULL, 0);
	case_end(&c);
}

static void test_wrong_checksum_is_dropped(void **state)
{
	unsigned char frame[100];
	struct tcphdr tcp = { .th_sport = htons(CASE_PORT), .th_off = 5, .th_flags = TH_SYN, .th_win = htons(1000) };
	size_t len;

	(void)state;
	case_begin(&c, &variants[0]);
	tcp.th_dport = htons(c.port);
	tcp.th_seq = htonl(c.t.first);
	len = nat_put_ip(&c.guest, frame, NAT_GUEST, NAT_GATEWAY, IPPROTO_TCP, &tcp, sizeof tcp);
	frame[len - 4] ^= 1;
	nat_send(&c.guest, frame, len);
	tcp_guest_settle(&c.t);
	assert_true(no_flows(&c));
	assert_int_equal(nat_counter(&c.guest, "malformed"), 1);
	frame[len - 4] ^= 1;
	nat_send(&c.guest, frame, len);
	tcp_guest_settle(&c.t);
	assert_false(no_flows(&c));
	case_end(&c);
}

/* ---- windows ---- */

static void test_zero_window_of_the_guest_is_probed(void **state)
{
	uint32_t window;

	(void)state;
	for (unsigned variant = 0; variant < 2; variant++) {
		case_begin(&c, &variants[variant]);
		c.t.window = 30000;
		c.t.scale = 255;
		tcp_guest_connect(&c.t);
		case_accept(&c);
		c.t.silent = true;
		c.wanted = 100000;
		case_write(&c);
		tcp_guest_settle(&c.t);
		assert_in_range(c.t.received, 28000, 30000);
		window = c.t.window;
		c.t.window = 0;
		tcp_guest_acknowledge(&c.t);
		tcp_guest_settle(&c.t);
		assert_in_range(c.t.received, 28000, 30000);
		c.t.silent = false;
		for (unsigned i = 0; i < 20; i++) { /* each probe is answered: it goes on for ever */
			const unsigned before = c.t.acks;

			pass(61000);
			assert_true(c.t.acks > before);
		}
		assert_false(c.t.reset);
		c.t.window = window; /* the guest's own update is lost: the next probe finds it */
		pass(61000);
		case_until(&c, all_at_guest);
		case_end(&c);
	}
}

static void test_window_that_shrinks_is_obeyed(void **state)
{
	uint64_t received;

	(void)state;
	case_begin(&c, &variants[1]);
	c.t.window = 50000;
	tcp_guest_connect(&c.t);
	case_accept(&c);
	c.t.silent = true;
	c.wanted = 500000;
	case_write(&c);
	tcp_guest_settle(&c.t);
	received = c.t.received;
	c.t.window = 2000;
	c.t.silent = false;
	tcp_guest_acknowledge(&c.t);
	tcp_guest_settle(&c.t);
	assert_true(c.t.received > received);
	c.t.window = 1 << 20;
	tcp_guest_acknowledge(&c.t);
	case_until(&c, all_at_guest);
	case_end(&c);
}

/* Nobody reads at the peer: the window closes, and opens again without anybody's time-out. */
static void test_peer_that_does_not_read_closes_the_window(void **state)
{
	uint64_t acked;

	(void)state;
	EACH_VARIANT(v)
	{
		case_connect(&c, v);
		tcp_guest_send(&c.t, 64u << 20);
		tcp_guest_settle(&c.t);
		acked = c.t.acked;
		assert_true(acked > 50000 && acked < 32u << 20);
		for (unsigned i = 0; i < 10; i++)
			nat_turn(&c.guest);
		assert_int_equal(c.t.acked, acked);
		c.t.wanted = acked + (4u << 20);
		if (c.t.wanted < c.t.sent)
			c.t.wanted = c.t.sent;
		case_until(&c, all_at_peer);
		assert_int_equal(c.t.duplicates, 0);
		case_end(&c);
	}
}

/* The kernel takes less than it said: what is kept for it goes on in order, behind it the end. */
static void test_text_that_found_no_room_is_kept(void **state)
{
	const int small = 16384;

	(void)state;
	case_connect(&c, &variants[0]);
	assert_int_equal(setsockopt(case_flow(&c)->flow.source.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
	tcp_guest_send(&c.t, 2u << 20);
	tcp_guest_fin(&c.t);
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	tcp_guest_settle(&c.t);
	assert_true(c.guest.nat->tcp->kept_bytes > 0);
	assert_true(c.t.fin_acked && c.t.fin_received);
	case_until(&c, all_at_peer);
	case_until(&c, peer_is_at_end);
	assert_true(c.at_end);
	case_until(&c, no_flows);
	assert_int_equal(c.guest.nat->tcp->kept_bytes, 0);
	case_end(&c);
}

/* One that comes again is answered at once, in a batch with text that uses the window up: it opens all the same. */
static void test_window_opens_where_segments_come_again(void **state)
{
	uint64_t edge;

	(void)state;
	EACH_VARIANT(v)
	{
		case_connect(&c, v);
		tcp_guest_send(&c.t, 1); /* the window of the SYN+ACK is less, as it has no scale */
		tcp_guest_settle(&c.t);
		edge = c.t.peer_window;
		while (c.t.sent < edge + 10000) {
			tcp_guest_send(&c.t, 1200);
			tcp_guest_segment(&c.t, TH_ACK, 0, 100);
			tcp_guest_settle(&c.t);
			case_read(&c);
			assert_int_equal(c.t.sent, c.t.wanted);
			assert_true(c.t.peer_window > c.t.sent);
		}
		case_until(&c, all_at_peer);
		case_end(&c);
	}
}

static void test_no_window_scale_where_the_guest_has_none(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		case_begin(&c, &variants[variant]);
		c.t.scale = 255;
		c.t.window = 65535;
		c.t.sack = false;
		tcp_guest_connect(&c.t);
		case_accept(&c);
		assert_false(c.t.peer_sack);
		tcp_guest_send(&c.t, LONG);
		c.wanted = LONG;
		case_until(&c, all_done);
		case_end(&c);
	}
}

static void test_every_mss_works(void **state)
{
	static const struct {
		uint16_t guest, ours;
	} sizes[] = { { 1, SEGMENT_MSS_LEAST }, { 0, 536 }, { 536, 536 }, { 65535, 1460 } };

	(void)state;
	for (unsigned variant = 0; variant < 2; variant++)
		for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			case_begin(&c, &variants[variant]);
			c.t.mss = sizes[i].guest;
			c.t.frame = 1460;
			tcp_guest_connect(&c.t);
			case_accept(&c);
			assert_int_equal(case_flow(&c)->mss, sizes[i].ours);
			assert_int_equal(c.t.peer_mss, 1460);
			c.wanted = 200000;
			case_until(&c, all_at_guest);
			case_end(&c);
		}
}

static void test_no_receive_buffers_only_delay(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 2; variant++) {
		case_connect(&c, &variants[variant]);
		tcp_guest_settle(&c.t);
		c.guest.buffers = 0;
		c.wanted = LONG;
		for (unsigned i = 0; i < 50; i++) {
			case_write(&c);
			tcp_guest_settle(&c.t);
		}
		assert_true(c.t.received < LONG);
		tcp_guest_send(&c.t, 1000); /* whose acknowledgement has no room either */
		tcp_guest_settle(&c.t);
		assert_int_equal(c.t.acked, 0);
		c.guest.buffers = 3;
		case_until(&c, all_at_guest);
		case_until(&c, all_at_peer);
		tcp_guest_settle(&c.t);
		assert_int_equal(c.t.acked, 1000);
		assert_int_equal(nat_counter(&c.guest, "tcp_retransmits"), 0);
		case_end(&c);
	}
}

static bool all_at_guest_in_time(void *ctx)
{
	if (all_at_guest(ctx))
		return true;
	nat_pass(&c.guest, 10);
	return false;
}

static void test_rate_is_kept(void **state)
{
	static const struct variant slow = { "", AF_INET, true, UINT64_MAX,
		                             "rate = { in = \"1M\"; }; " NAT_LOOPBACK_ALLOWED };
	uint64_t begin;

	(void)state;
	case_connect(&c, &slow);
	begin = timeouts_now(c.guest.nat->timeouts);
	c.wanted = 500000;
	case_until(&c, all_at_guest_in_time);
	assert_in_range(timeouts_now(c.guest.nat->timeouts) - begin, 300, 1000);
	case_end(&c);
}

/* ---- hostile segments ---- */

static void test_reset_must_be_exact(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	tcp_guest_settle(&c.t);
	say(TH_RST, sequence(1), 0, NULL, 0); /* within the window */
	heard(TH_ACK);
	say(TH_RST, sequence(0) - 1, 0, NULL, 0);
	say(TH_RST, sequence(0) + (100u << 20), 0, NULL, 0);
	tcp_guest_settle(&c.t);
	assert_false(no_flows(&c));
	say(TH_RST, sequence(0), 0, NULL, 0);
	case_until(&c, no_flows);
	case_end(&c);
}

static void test_segments_from_nowhere_change_nothing(void **state)
{
	unsigned char text[100];
	const struct tcphdr *tcp;

	(void)state;
	case_connect(&c, &variants[0]);
	tcp_guest_settle(&c.t);
	for (unsigned shift = 0; shift < 32; shift++) {
		const uint32_t far = sequence(0) + (UINT32_C(1) << shift),
			       before = sequence(0) - (UINT32_C(1) << shift);

		stream_fill(text, UINT32_C(1) << shift, sizeof text); /* some of it is within the window, and kept */
		say(TH_ACK, far, c.t.peer_first + 1, text, sizeof text);
		tcp = heard(TH_ACK);
		assert_int_equal(ntohl(tcp->th_ack), sequence(0));
		if (UINT32_C(1) << shift >= sizeof text) {
			say(TH_ACK, before, c.t.peer_first + 1, text, sizeof text);
			heard(TH_ACK);
		}
		if (shift == 31)
			break;
		/* Acknowledges what was not sent. */
		say(TH_ACK, sequence(0), c.t.peer_first + 1 + (UINT32_C(1) << shift), text, sizeof text);
		heard(TH_ACK);
	}
	case_read(&c);
	assert_int_equal(c.received, 0);
	tcp_guest_send(&c.t, 5000);
	c.wanted = 5000;
	case_until(&c, all_done);
	case_end(&c);
}

static void test_overlapping_text_is_taken_once(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	tcp_guest_segment(&c.t, TH_ACK, 0, 1000);
	tcp_guest_segment(&c.t, TH_ACK, 500, 1000);
	tcp_guest_segment(&c.t, TH_ACK, 0, 1460);
	tcp_guest_segment(&c.t, TH_ACK, 1499, 2);
	tcp_guest_segment(&c.t, TH_ACK, 1502, 100); /* a hole in front of it */
	c.t.sent = c.t.highest = c.t.wanted = 1501;
	case_until(&c, all_at_peer);
	tcp_guest_settle(&c.t);
	assert_int_equal(c.t.acked, 1501);
	case_end(&c);
}

/* A block of the last acknowledgement's SACK option, as offsets of our stream. */
static void block_is(unsigned n, uint32_t left, uint32_t right)
{
	const struct packet *p = &c.t.last.packet;
	struct segment segment;
	struct packet copy = *p;

	segment_parse(c.t.last.bytes, &copy, &segment);
	assert_true(n < segment.n_sacks);
	assert_int_equal(segment.sacks[n].left, sequence(left));
	assert_int_equal(segment.sacks[n].right, sequence(right));
}

static void test_text_ahead_of_its_turn_is_kept_and_told(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	tcp_guest_settle(&c.t);
	tcp_guest_segment(&c.t, TH_ACK, 1000, 1000);
	heard(TH_ACK);
	block_is(0, 1000, 2000);
	tcp_guest_segment(&c.t, TH_ACK, 5000, 1000);
	heard(TH_ACK);
	block_is(0, 5000, 6000);
	block_is(1, 1000, 2000);
	tcp_guest_segment(&c.t, TH_ACK, 2000, 500); /* touches the first */
	heard(TH_ACK);
	block_is(0, 1000, 2500);
	block_is(1, 5000, 6000);
	tcp_guest_segment(&c.t, TH_ACK, 1500, 4000); /* overlaps both, and fills the gap */
	heard(TH_ACK);
	block_is(0, 1000, 6000);
	c.t.sent = c.t.highest = c.t.wanted = 6000;
	tcp_guest_segment(&c.t, TH_ACK, 0, 1200);
	case_until(&c, all_at_peer);
	tcp_guest_settle(&c.t);
	assert_int_equal(c.t.acked, 6000);
	assert_null(case_flow(&c)->ahead);
	assert_int_equal(c.guest.nat->tcp->kept_bytes, 0);
	case_end(&c);
}

static void test_many_holes_are_bounded(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	for (unsigned i = 0; i < 10000; i++) {
		tcp_guest_segment(&c.t, TH_ACK, 10 + 3 * i, 1);
		if (i % 100 == 0)
			tcp_guest_settle(&c.t);
	}
	tcp_guest_settle(&c.t);
	assert_in_range(c.guest.nat->tcp->kept_bytes, 1, 1 << 20);
	for (unsigned i = 0; i < 30010; i += 1000)
		tcp_guest_segment(&c.t, TH_ACK, i, 1001);
	c.t.sent = c.t.highest = c.t.wanted = 31001;
	case_until(&c, all_at_peer);
	assert_int_equal(c.guest.nat->tcp->kept_bytes, 0);
	case_end(&c);
}

/* ---- ends of many ---- */

static void test_ten_thousand_connections_leave_nothing(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 2; variant++) {
		case_begin(&c, &variants[variant]);
		for (unsigned i = 0; i < MANY; i++) {
			case_again(&c, (uint16_t)(10000 + i));
			tcp_guest_connect(&c.t);
			case_accept(&c);
			tcp_guest_send(&c.t, 100);
			c.wanted = 100;
			case_until(&c, all_done);
			switch (i % 4) {
			case 0:
				tcp_guest_fin(&c.t);
				case_until(&c, peer_is_at_end);
				case_close(&c);
				case_until(&c, guest_has_fin);
				break;
			case 1:
				shutdown(c.fd, SHUT_WR);
				case_until(&c, guest_has_fin);
				tcp_guest_fin(&c.t);
				break;
			case 2:
				tcp_guest_rst(&c.t);
				break;
			default:
				setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 },
				           sizeof(struct linger));
				case_close(&c);
				case_until(&c, guest_is_reset);
				break;
			}
			case_until(&c, no_flows);
		}
		assert_int_equal(c.guest.nat->tcp->pool.bytes, 0);
		assert_int_equal(nat_counter(&c.guest, "flows_opened"), MANY);
		assert_true(TAILQ_EMPTY(&c.guest.nat->tcp->dirty));
		for (unsigned list = TCP_LIST_TOKENS; list < TCP_LISTS; list++)
			assert_true(TAILQ_EMPTY(&c.guest.nat->tcp->lists[list]));
		case_end(&c); /* counts descriptors; memory: LeakSanitizer */
	}
}

static void test_new_rules_end_a_connection(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	c.wanted = 100000;
	case_until(&c, all_at_guest);
	assert_int_equal(nat_reconfigure(&c.guest, "policy = { default = \"deny\"; };"), 0);
	case_until(&c, guest_is_reset);
	case_until(&c, peer_is_at_end);
	assert_true(c.failed);
	assert_true(no_flows(&c));
	case_end(&c);
}

static void test_reset_device_drops_connections(void **state)
{
	(void)state;
	case_connect(&c, &variants[1]);
	c.wanted = 100000;
	c.t.silent = true;
	case_until(&c, all_at_guest);
	nat_reset(&c.guest);
	assert_true(no_flows(&c));
	case_until(&c, peer_is_at_end);
	assert_true(c.failed);
	case_again(&c, CASE_PORT);
	tcp_guest_connect(&c.t);
	case_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_carries_both_ways_and_ends),
		cmocka_unit_test(test_segmentation_is_used_where_it_was_negotiated),
		cmocka_unit_test(test_long_frames_of_the_guest_go_out),
		cmocka_unit_test(test_many_frames_have_one_acknowledgement),
		cmocka_unit_test(test_urgent_bytes_are_bytes),
		cmocka_unit_test(test_refused_is_a_reset),
		cmocka_unit_test(test_no_route_is_icmp),
		cmocka_unit_test(test_denied_is_a_reset_without_a_socket),
		cmocka_unit_test(test_too_many_connections_are_reset),
		cmocka_unit_test(test_syn_is_answered_again),
		cmocka_unit_test(test_new_syn_replaces_an_old_connection),
		cmocka_unit_test(test_what_belongs_to_no_connection_is_reset),
		cmocka_unit_test(test_wrong_checksum_is_dropped),
		cmocka_unit_test(test_zero_window_of_the_guest_is_probed),
		cmocka_unit_test(test_window_that_shrinks_is_obeyed),
		cmocka_unit_test(test_peer_that_does_not_read_closes_the_window),
		cmocka_unit_test(test_text_that_found_no_room_is_kept),
		cmocka_unit_test(test_window_opens_where_segments_come_again),
		cmocka_unit_test(test_no_window_scale_where_the_guest_has_none),
		cmocka_unit_test(test_every_mss_works),
		cmocka_unit_test(test_no_receive_buffers_only_delay),
		cmocka_unit_test(test_rate_is_kept),
		cmocka_unit_test(test_reset_must_be_exact),
		cmocka_unit_test(test_segments_from_nowhere_change_nothing),
		cmocka_unit_test(test_overlapping_text_is_taken_once),
		cmocka_unit_test(test_text_ahead_of_its_turn_is_kept_and_told),
		cmocka_unit_test(test_many_holes_are_bounded),
		cmocka_unit_test(test_ten_thousand_connections_leave_nothing),
		cmocka_unit_test(test_new_rules_end_a_connection),
		cmocka_unit_test(test_reset_device_drops_connections),
	};

	no_namespace = namespace_enter();
	return cmocka_run_group_tests_name("nat_tcp", tests, NULL, NULL);
}
