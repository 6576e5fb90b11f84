/* SPDX-License-Identifier: MIT */
/* nat_card_test.c - plugins/net/nic.h by way of net-nat, and its timers and sockets. */
#include "tests/unit/nat_guest.h"

#include "plugins/net-nat/sockets.h"
#include "plugins/net-nat/timeout.h"

static int begin(void **state)
{
	struct nat_guest *guest = calloc(1, sizeof *guest);

	assert_non_null(guest);
	nat_begin(guest, "");
	*state = guest;
	return 0;
}

static int end(void **state)
{
	nat_end(*state);
	free(*state);
	return 0;
}

/* ---- timeouts ---- */

struct alarm {
	struct timeout timeout; /* first */
	struct nat_guest *guest;
	uint64_t came; /* when */
	unsigned calls;
	uint64_t again; /* ms; 0: not */
};

static void ring(struct timeout *timeout)
{
	struct alarm *alarm = (struct alarm *)timeout;
	struct timeouts *timeouts = alarm->guest->nat->timeouts;

	alarm->came = timeouts_now(timeouts);
	alarm->calls++;
	if (alarm->again)
		assert_int_equal(timeout_set(timeouts, timeout, alarm->again), 0);
}

static void timeouts_come_in_their_order(void **state)
{
	struct nat_guest *guest = *state;
	struct timeouts *timeouts = guest->nat->timeouts;
	static struct alarm alarms[1000];
	uint64_t start, last = 0;

	memset(alarms, 0, sizeof alarms);
	start = timeouts_now(timeouts);
	for (unsigned i = 0; i < 1000; i++) {
		alarms[i] = (struct alarm){ .timeout.call = ring, .guest = guest };
		assert_int_equal(timeout_set(timeouts, &alarms[i].timeout, 1000 + i * 7919 % 1000 * 10), 0);
	}
	/* Every third is given up, every fifth comes earlier, every seventh later. */
	for (unsigned i = 0; i < 1000; i += 3)
		timeout_clear(timeouts, &alarms[i].timeout);
	for (unsigned i = 0; i < 1000; i += 5)
		timeout_set(timeouts, &alarms[i].timeout, 500);
	for (unsigned i = 0; i < 1000; i += 7)
		timeout_set(timeouts, &alarms[i].timeout, 20000);
	for (unsigned step = 0; step < 12; step++) {
		nat_pass(guest, 1000);
		for (unsigned i = 0; i < 1000; i++)
			last = alarms[i].came > last ? alarms[i].came : last;
		assert_true(last <= timeouts_now(timeouts));
	}
	for (unsigned i = 0; i < 1000; i++) {
		const bool late = i % 7 == 0, early = !late && i % 5 == 0, gone = !late && !early && i % 3 == 0;

		assert_int_equal(alarms[i].calls, late || gone ? 0 : 1);
		assert_int_equal(timeout_is_set(&alarms[i].timeout), late);
		if (alarms[i].calls)
			assert_true(alarms[i].came >= start + (early ? 500 : 1000 + i * 7919 % 1000 * 10));
	}
	nat_pass(guest, 20000);
	for (unsigned i = 0; i < 1000; i += 7)
		assert_int_equal(alarms[i].calls, 1);
}

static void a_timeout_may_set_itself_again(void **state)
{
	struct nat_guest *guest = *state;
	struct alarm alarm = { .timeout.call = ring, .guest = guest, .again = 100 };

	timeouts_refresh(guest->nat->timeouts);
	assert_int_equal(timeout_set(guest->nat->timeouts, &alarm.timeout, 100), 0);
	nat_pass(guest, 1050);
	assert_in_range(alarm.calls, 9, 11);
	timeout_clear(guest->nat->timeouts, &alarm.timeout);
	nat_pass(guest, 1000);
	assert_in_range(alarm.calls, 9, 11);
}

/* ---- sockets ---- */

struct end {
	struct socket_source source; /* first */
	struct sockets *sockets;
	struct end *other; /* removed when this one is ready */
	unsigned calls, again;
	uint32_t events;
};

static void ready(struct socket_source *source, uint32_t events)
{
	struct end *e = (struct end *)source;

	e->calls++;
	e->events = events;
	if (e->other && e->other->source.fd >= 0)
		sockets_close(e->sockets, &e->other->source);
	if (e->again) {
		e->again--;
		sockets_again(e->sockets, source, EPOLLIN);
	}
}

static void add(struct nat_guest *guest, struct end *e)
{
	*e = (struct end){ .source.ready = ready, .sockets = guest->nat->sockets };
	e->source.fd = sockets_open(e->sockets, AF_INET, SOCK_DGRAM, 0);
	assert_true(e->source.fd >= 0);
	assert_int_equal(sockets_add(e->sockets, &e->source), 0);
}

static void a_socket_that_its_neighbour_removes_is_not_called(void **state)
{
	struct nat_guest *guest = *state;
	const unsigned before = sockets_count(guest->nat->sockets);
	struct end a, b;

	add(guest, &a);
	add(guest, &b);
	a.other = &b;
	b.other = &a;
	while (nat_turn(guest))
		;
	assert_int_equal(a.calls + b.calls, 1);
	assert_int_equal((a.source.fd < 0) + (b.source.fd < 0), 1);
	sockets_close(guest->nat->sockets, &a.source);
	sockets_close(guest->nat->sockets, &b.source);
	assert_int_equal(sockets_count(guest->nat->sockets), before);
}

static void a_socket_says_once_that_it_is_writable_and_again_on_demand(void **state)
{
	struct nat_guest *guest = *state;
	struct end a;

	add(guest, &a);
	a.again = 3;
	while (nat_turn(guest))
		;
	assert_int_equal(a.calls, 4);
	assert_int_equal(a.events, EPOLLIN);
	sockets_again(guest->nat->sockets, &a.source, EPOLLOUT);
	sockets_remove(guest->nat->sockets, &a.source);
	while (nat_turn(guest))
		;
	assert_int_equal(a.calls, 4);
	sockets_close(guest->nat->sockets, &a.source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timeouts_come_in_their_order, begin, end),
		cmocka_unit_test_setup_teardown(a_timeout_may_set_itself_again, begin, end),
		cmocka_unit_test_setup_teardown(a_socket_that_its_neighbour_removes_is_not_called, begin, end),
		cmocka_unit_test_setup_teardown(a_socket_says_once_that_it_is_writable_and_again_on_demand, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
