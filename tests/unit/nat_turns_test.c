/* SPDX-License-Identifier: MIT */
/*
 * nat_turns_test.c - proves that of many flows that wait for the guest's receive buffers, or for tokens, each has its
 * turn, and that what comes in little pieces costs what it brings, however many wait.
 */
#include "tests/unit/nat_tcp_case.h"

#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net-nat/udp-flow.h"
#include "plugins/net/nic-private.h"
#include "tests/unit/nat_host.h"

#define FLOWS 200u
#define FIRST_PORT 5000u
#define TEXT (64u << 10) /* of each peer's: never all of it is taken */
#define LOOKS 8u         /* into the ring for one frame: its own, and who finds that there is no more */

static struct nat_guest guest;
static struct tcp_guest t;
static struct nat_frame frame;
static int peers[FLOWS];
static unsigned frames[FLOWS]; /* that came, of each */
static const struct tcp_flow *flows[FLOWS];
static uint32_t sent_before[FLOWS]; /* their send_next */
static unsigned char text[TEXT];

static void settle(void)
{
	while (nat_turn(&guest))
		;
}

/* What the guest has; whose the last one was. */
static int take_frames(void)
{
	int last = -1;

	while (nat_receive_now(&guest, &frame)) {
		const unsigned flow = frame.packet.target_port - FIRST_PORT;

		assert_true(flow < FLOWS);
		frames[flow]++;
		last = (int)flow;
	}
	return last;
}

static void guest_has_no_room(void)
{
	guest.buffers = 0;
	settle();
	take_frames();
	memset(frames, 0, sizeof frames);
}

/* One buffer: room for one frame. Whose it was. */
static int give_one(void)
{
	guest.buffers = 1;
	nat_turn(&guest);
	guest.buffers = 0;
	return take_frames();
}

/* Connected, silent, with more to tell than the guest has room for. */
static void begin_tcp(const char *options)
{
	uint16_t port;
	int listener;

	nat_begin(&guest, options);
	guest.buffers = 4;
	listener = nat_peer(AF_INET, SOCK_STREAM, &port);
	for (unsigned i = 0; i < FLOWS; i++) {
		tcp_guest_begin(&t, &guest, NAT_GUEST, (uint16_t)(FIRST_PORT + i), NAT_GATEWAY, port);
		tcp_guest_connect(&t);
		peers[i] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		assert_true(peers[i] >= 0);
	}
	close(listener);
	guest_has_no_room();
	for (unsigned i = 0; i < FLOWS; i++)
		assert_int_equal(send(peers[i], text, sizeof text, MSG_NOSIGNAL), sizeof text);
	guest_has_no_room();
}

static void end_all(void)
{
	for (unsigned i = 0; i < FLOWS; i++)
		close(peers[i]);
	nat_end(&guest);
}

static unsigned waiting(unsigned list)
{
	struct tcp_flow *f;
	unsigned n = 0;

	TAILQ_FOREACH(f, &guest.nat->tcp->lists[list], link)
	n++;
	return n;
}

/* The place of the connection of `t` in the line for room. */
static unsigned place_of_last(void)
{
	const struct tcp_flow *f;
	unsigned place = 0;

	TAILQ_FOREACH(f, &guest.nat->tcp->lists[TCP_LIST_ROOM], link)
	{
		place++;
		if (f->flow.key.guest.port == t.own_port)
			return place;
	}
	fail();
	return 0;
}

static void find_flows(void)
{
	struct flow_key key = { .protocol = IPPROTO_TCP, .far.port = t.peer_port };

	assert_int_equal(net_address_parse(NAT_GUEST, &key.guest.address), 0);
	assert_int_equal(net_address_parse(NAT_GATEWAY, &key.far.address), 0);
	for (unsigned i = 0; i < FLOWS; i++) {
		key.guest.port = (uint16_t)(FIRST_PORT + i);
		flows[i] = (const struct tcp_flow *)flows_find(guest.nat->flows, &key);
		assert_non_null(flows[i]);
	}
}

static void check_each_has(unsigned n)
{
	for (unsigned i = 0; i < FLOWS; i++)
		assert_int_equal(frames[i], n);
}

/* ---- TCP ---- */

static void test_each_connection_has_its_turn(void **state)
{
	(void)state;
	begin_tcp("ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	assert_int_equal(waiting(TCP_LIST_ROOM), FLOWS);
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < FLOWS; i++)
			assert_true(give_one() >= 0);
		check_each_has(round);
	}
	end_all();
}

static void test_room_for_one_frame_does_not_touch_all_connections(void **state)
{
	const struct host_queue *queue;

	(void)state;
	begin_tcp("ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	queue = &guest.host->queues[0];
	for (unsigned i = 0; i < FLOWS; i++) {
		const unsigned before = queue->asked;

		assert_true(give_one() >= 0);
		assert_in_range(queue->asked - before, 1, LOOKS);
	}
	end_all();
}

/* More comes from the network: that is no reason to look into a ring that is empty, or to be served before others. */
static void test_who_waits_is_not_overtaken(void **state)
{
	unsigned before;

	(void)state;
	begin_tcp("ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	before = guest.host->queues[0].asked;
	for (unsigned i = 0; i < FLOWS; i++)
		assert_true(send(peers[i], "more", 4, MSG_NOSIGNAL) == 4);
	settle();
	assert_int_equal(guest.host->queues[0].asked, before);
	for (unsigned i = 0; i < FLOWS; i++) {
		const int flow = give_one();

		assert_true(flow >= 0);
		assert_true(send(peers[flow], "more", 4, MSG_NOSIGNAL) == 4);
	}
	check_each_has(1);
	end_all();
}

/* What the guest sends on a connection that waits does not cost it its place. */
static void test_who_sends_keeps_the_place(void **state)
{
	unsigned place, given;

	(void)state;
	begin_tcp("ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	place = place_of_last();
	for (given = 0; frames[FLOWS - 1] == 0; given++) {
		assert_true(given < place);
		tcp_guest_segment(&t, TH_ACK, given, 1);
		settle();
		assert_true(give_one() >= 0);
	}
	assert_int_equal(given, place);
	end_all();
}

/* One that needs more than there is keeps its place until there is enough. */
static void test_long_frames_wait_at_the_front(void **state)
{
	int flow = -1;
	unsigned given = 0;

	(void)state;
	begin_tcp("ipv6 = false; mtu = 4000; " NAT_LOOPBACK_ALLOWED);
	for (unsigned turns = 0; turns < 10; turns++) {
		const struct tcp_flow *first = TAILQ_FIRST(&guest.nat->tcp->lists[TCP_LIST_ROOM]);
		const unsigned expected = first->flow.key.guest.port - FIRST_PORT;

		for (flow = -1; flow < 0; given++) {
			assert_true(given < 100);
			flow = give_one();
		}
		assert_int_equal(flow, expected);
	}
	assert_in_range(given, 15, 40); /* two or three each, the first of them were there */
	end_all();
}

/* Much room at once: the budget of a turn is not the end of it. */
static void test_all_go_on_when_there_is_room_for_all(void **state)
{
	(void)state;
	begin_tcp("ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	guest.buffers = 256;
	settle();
	take_frames();
	for (unsigned i = 0; i < FLOWS; i++)
		assert_true(frames[i] > 0);
	assert_int_equal(waiting(TCP_LIST_ROOM), 0);
	end_all();
}

/* All wait for tokens, and have had a frame each at most since. */
static void begin_with_rate(void)
{
	begin_tcp("ipv6 = false; rate = { in = \"100K\"; }; " NAT_LOOPBACK_ALLOWED);
	guest.buffers = 256;
	settle();
	for (unsigned i = 0; i < 2000 && waiting(TCP_LIST_TOKENS) + waiting(TCP_LIST_ROOM) < FLOWS; i++)
		nat_pass(&guest, 10);
	take_frames();
	find_flows();
	for (unsigned i = 0; i < FLOWS; i++)
		sent_before[i] = flows[i]->send_next;
}

/* What is sent again does not count; one may have sent all it has by now. */
static void check_each_has_sent(void)
{
	for (unsigned i = 0; i < FLOWS; i++)
		assert_true(flows[i]->send_next != sent_before[i] ||
		            flows[i]->send_next - flows[i]->send_first == TEXT);
}

/* A frame is 64 KiB at most: each has one in 140 s. */
static void test_tokens_go_round(void **state)
{
	(void)state;
	begin_with_rate();
	for (unsigned i = 0; i < 15000; i++) {
		nat_pass(&guest, 10);
		take_frames();
	}
	check_each_has_sent();
	end_all();
}

/* One whose peer never stops, and who has a look whenever there may be tokens, has no more of them than the others. */
static void test_who_waits_for_tokens_is_not_overtaken(void **state)
{
	const unsigned last = FLOWS - 1;

	(void)state;
	begin_with_rate();
	for (unsigned i = 0; i < 75000; i++) {
		nat_pass(&guest, 2);
		(void)send(peers[last], text, sizeof text, MSG_NOSIGNAL | MSG_DONTWAIT);
		t.received = flows[last]->send_next - t.peer_first - 1; /* all is acknowledged */
		tcp_guest_segment(&t, TH_ACK, i, 1);
		settle();
		while (recv(peers[last], text, sizeof text, MSG_DONTWAIT) > 0)
			;
		take_frames();
	}
	check_each_has_sent();
	end_all();
}

static void test_those_of_a_pair_that_is_given_up_stand_in_another_line(void **state)
{
	struct tcp_flow_list *lists;
	struct tcp_flow *f;

	(void)state;
	begin_tcp("ipv6 = false; queues = 2; " NAT_LOOPBACK_ALLOWED);
	lists = guest.nat->tcp->lists;
	guest.nat->nic->pairs = 2;
	while ((f = TAILQ_FIRST(&lists[TCP_LIST_ROOM]))) {
		f->flow.pair = 1;
		tcp_flow_enlist(f, TCP_LIST_ROOM);
	}
	assert_int_equal(waiting(TCP_LIST_ROOM + 1), FLOWS);
	guest.nat->nic->pairs = 1;
	tcp_room(guest.nat, 1);
	assert_int_equal(waiting(TCP_LIST_ROOM + 1), 0);
	assert_int_equal(waiting(TCP_LIST_ROOM), FLOWS);
	settle();
	for (unsigned i = 0; i < FLOWS; i++)
		assert_true(give_one() >= 0);
	check_each_has(1);
	end_all();
}

/* ---- UDP ---- */

/* All have datagrams that the guest has no room for. The socket that they came from. */
static int begin_udp(const char *options)
{
	static const unsigned char datagram[600];
	uint16_t port;
	int peer;

	nat_begin(&guest, options);
	guest.buffers = 0;
	peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	for (unsigned i = 0; i < FLOWS; i++)
		nat_send_udp(&guest, NAT_GUEST, (uint16_t)(FIRST_PORT + i), NAT_GATEWAY, port, "?", 1);
	guest_has_no_room();
	for (unsigned i = 0; i < FLOWS; i++) {
		struct sockaddr_storage from;
		socklen_t len = sizeof from;
		char byte;

		assert_int_equal(recvfrom(peer, &byte, 1, MSG_DONTWAIT, (struct sockaddr *)&from, &len), 1);
		for (unsigned n = 0; n < 10; n++)
			assert_int_equal(sendto(peer, datagram, sizeof datagram, 0, (struct sockaddr *)&from, len),
			                 sizeof datagram);
	}
	settle();
	return peer;
}

static void test_each_socket_has_its_turn(void **state)
{
	const struct host_queue *queue;
	int peer;

	(void)state;
	peer = begin_udp("ipv6 = false; " NAT_LOOPBACK_ALLOWED);
	queue = &guest.host->queues[0];
	for (unsigned i = 0; i < FLOWS; i++) {
		const unsigned before = queue->asked;

		assert_true(give_one() >= 0);
		assert_in_range(queue->asked - before, 1, LOOKS);
	}
	check_each_has(1);
	close(peer);
	nat_end(&guest);
}

static void test_sockets_of_a_pair_that_is_given_up_stand_in_another_line(void **state)
{
	struct udp_receiver *receiver;
	struct udp *udp;
	int peer;

	(void)state;
	peer = begin_udp("ipv6 = false; queues = 2; " NAT_LOOPBACK_ALLOWED);
	udp = guest.nat->udp;
	/* As if they had come to wait while there were two. */
	while ((receiver = TAILQ_FIRST(&udp->waiting[0]))) {
		TAILQ_REMOVE(&udp->waiting[0], receiver, link);
		TAILQ_INSERT_TAIL(&udp->waiting[1], receiver, link);
		receiver->pair = 1;
	}
	udp_room(guest.nat, 1);
	assert_true(TAILQ_EMPTY(&udp->waiting[1]));
	settle();
	for (unsigned i = 0; i < FLOWS; i++)
		assert_true(give_one() >= 0);
	check_each_has(1);
	close(peer);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_connection_has_its_turn),
		cmocka_unit_test(test_room_for_one_frame_does_not_touch_all_connections),
		cmocka_unit_test(test_who_waits_is_not_overtaken),
		cmocka_unit_test(test_who_sends_keeps_the_place),
		cmocka_unit_test(test_long_frames_wait_at_the_front),
		cmocka_unit_test(test_all_go_on_when_there_is_room_for_all),
		cmocka_unit_test(test_tokens_go_round),
		cmocka_unit_test(test_who_waits_for_tokens_is_not_overtaken),
		cmocka_unit_test(test_those_of_a_pair_that_is_given_up_stand_in_another_line),
		cmocka_unit_test(test_each_socket_has_its_turn),
		cmocka_unit_test(test_sockets_of_a_pair_that_is_given_up_stand_in_another_line),
	};

	return cmocka_run_group_tests_name("nat_turns", tests, NULL, NULL);
}
