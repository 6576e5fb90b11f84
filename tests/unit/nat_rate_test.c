/* SPDX-License-Identifier: MIT */
/* nat_rate_test.c - proves rate.h: no more than `rate` passes each way, what waits goes on by itself, 0 is no limit. */
#include "tests/unit/nat_guest.h"

#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net-nat/rate.h"

#define PAYLOAD 958u /* 1000 bytes with UDP, IPv4 and Ethernet */

static struct nat_guest guest;
static struct nat_frame frame;
static char payload[PAYLOAD];

static unsigned peer_count(int peer)
{
	unsigned n = 0;

	while (recv(peer, payload, sizeof payload, MSG_DONTWAIT) > 0)
		n++;
	return n;
}

static void turn_all(void)
{
	while (nat_turn(&guest))
		;
}

static void guest_sends(uint16_t port, unsigned n)
{
	while (n--)
		nat_send_udp(&guest, NAT_GUEST, 4000, NAT_GATEWAY, port, payload, sizeof payload);
}

static void what_the_guest_sends_waits_in_its_queue(void **state)
{
	unsigned n;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; rate = { out = 100000; }; " NAT_LOOPBACK_ALLOWED);
	peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	guest_sends(port, 120);
	turn_all();
	/* The bucket, and one more that made it empty. */
	n = peer_count(peer);
	assert_in_range(n, 64, 67);
	nat_pass(&guest, 200);
	turn_all();
	n += peer_count(peer);
	assert_in_range(n, 82, 90);
	nat_pass(&guest, 1000);
	turn_all();
	n += peer_count(peer);
	assert_int_equal(n, 120);
	close(peer);
	nat_end(&guest);
}

static unsigned guest_count(void)
{
	unsigned n = 0;

	while (nat_receive_now(&guest, &frame))
		n++;
	return n;
}

static void datagrams_to_the_guest_beyond_it_are_dropped(void **state)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof from;
	unsigned n;
	uint16_t port;
	int peer;

	(void)state;
	nat_begin(&guest, "ipv6 = false; rate = { in = 100000; }; " NAT_LOOPBACK_ALLOWED);
	peer = nat_peer(AF_INET, SOCK_DGRAM, &port);
	guest_sends(port, 1);
	turn_all();
	assert_int_equal(recvfrom(peer, payload, sizeof payload, 0, (struct sockaddr *)&from, &len), PAYLOAD);
	for (unsigned i = 0; i < 80; i++)
		assert_int_equal(sendto(peer, payload, PAYLOAD, 0, (struct sockaddr *)&from, len), PAYLOAD);
	n = guest_count();
	assert_in_range(n, 64, 67);
	assert_int_equal(nat_counter(&guest, "rx_dropped"), 80 - n);
	nat_pass(&guest, 100);
	for (unsigned i = 0; i < 80; i++)
		assert_int_equal(sendto(peer, payload, PAYLOAD, 0, (struct sockaddr *)&from, len), PAYLOAD);
	assert_in_range(guest_count(), 9, 12);
	close(peer);
	nat_end(&guest);
}

static void a_bucket_does_not_grow_while_nobody_looks(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false; rate = { in = \"1M\"; };");
	nat_pass(&guest, 1000000);
	assert_true(rate_has(guest.nat->rate, RATE_IN));
	rate_spend(guest.nat->rate, RATE_IN, (1 << 20) / 10 + 1);
	assert_false(rate_has(guest.nat->rate, RATE_IN));
	nat_pass(&guest, 11);
	assert_true(rate_has(guest.nat->rate, RATE_IN));
	nat_end(&guest);
}

static void without_a_rate_there_is_none(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	assert_null(guest.nat->rate);
	rate_spend(NULL, RATE_IN, 1 << 30);
	assert_true(rate_has(NULL, RATE_IN));
	nat_end(&guest);
	/* Each way by itself. */
	nat_begin(&guest, "ipv6 = false; rate = { out = \"1M\"; };");
	rate_spend(guest.nat->rate, RATE_IN, 1 << 30);
	assert_true(rate_has(guest.nat->rate, RATE_IN));
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_the_guest_sends_waits_in_its_queue),
		cmocka_unit_test(datagrams_to_the_guest_beyond_it_are_dropped),
		cmocka_unit_test(a_bucket_does_not_grow_while_nobody_looks),
		cmocka_unit_test(without_a_rate_there_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
