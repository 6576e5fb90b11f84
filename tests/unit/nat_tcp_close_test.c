/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_close_test.c - proves tcp-state.h: FIN and RST of either side, in every order, end a connection as they
 * should, and leave nothing.
 */
#include "tests/unit/nat_tcp_case.h"

#include <sys/socket.h>
#include <unistd.h>

static struct tcp_case c;

/* ---- the table of states ---- */

static void test_only_legal_events_change_a_state(void **state)
{
	static const struct {
		enum tcp_state from;
		enum tcp_event event;
		enum tcp_state to;
	} legal[] = {
		{ TCP_STATE_CONNECTING, TCP_EVENT_CONNECTED, TCP_STATE_SYN_RECEIVED },
		{ TCP_STATE_SYN_RECEIVED, TCP_EVENT_SYN_ACKED, TCP_STATE_ESTABLISHED },
		{ TCP_STATE_SYN_SENT, TCP_EVENT_SYN_ACKED, TCP_STATE_ESTABLISHED },
		{ TCP_STATE_SYN_SENT, TCP_EVENT_GUEST_SYN, TCP_STATE_SYN_RECEIVED },
		{ TCP_STATE_ESTABLISHED, TCP_EVENT_GUEST_FIN, TCP_STATE_CLOSE_WAIT },
		{ TCP_STATE_ESTABLISHED, TCP_EVENT_HOST_FIN, TCP_STATE_FIN_WAIT_1 },
		{ TCP_STATE_CLOSE_WAIT, TCP_EVENT_HOST_FIN, TCP_STATE_LAST_ACK },
		{ TCP_STATE_FIN_WAIT_1, TCP_EVENT_GUEST_FIN, TCP_STATE_CLOSING },
		{ TCP_STATE_FIN_WAIT_1, TCP_EVENT_FIN_ACKED, TCP_STATE_FIN_WAIT_2 },
		{ TCP_STATE_FIN_WAIT_2, TCP_EVENT_GUEST_FIN, TCP_STATE_CLOSED },
		{ TCP_STATE_CLOSING, TCP_EVENT_FIN_ACKED, TCP_STATE_CLOSED },
		{ TCP_STATE_LAST_ACK, TCP_EVENT_FIN_ACKED, TCP_STATE_CLOSED },
	};

	(void)state;
	for (unsigned from = 0; from < TCP_STATES; from++)
		for (unsigned event = 0; event < TCP_EVENTS; event++) {
			enum tcp_state now = (enum tcp_state)from, expected = now;

			for (unsigned i = 0; i < sizeof legal / sizeof legal[0]; i++)
				if (legal[i].from == from && legal[i].event == event)
					expected = legal[i].to;
			if (event == TCP_EVENT_RESET)
				expected = TCP_STATE_CLOSED;
			assert_int_equal(tcp_state_event(&now, (enum tcp_event)event), expected != from);
			assert_int_equal(now, expected);
		}
}

/* ---- every order ---- */

enum step {
	NOTHING,
	GUEST_FIN,
	PEER_FIN,
	GUEST_RST,
	PEER_RST,
	GUEST_DATA, /* and the peer has it */
	PEER_DATA,
	BOTH_FIN, /* at the same time */
};

enum outcome { OPEN, ENDED, RST_TO_PEER, RST_TO_GUEST };

static const struct {
	enum step steps[6];
	enum outcome outcome;
} orders[] = {
	{ { GUEST_FIN }, OPEN },
	{ { PEER_FIN }, OPEN },
	{ { GUEST_FIN, PEER_FIN }, ENDED },
	{ { PEER_FIN, GUEST_FIN }, ENDED },
	{ { BOTH_FIN }, ENDED },
	{ { GUEST_FIN, PEER_DATA, PEER_DATA, PEER_FIN }, ENDED },
	{ { PEER_FIN, GUEST_DATA, GUEST_DATA, GUEST_FIN }, ENDED },
	{ { GUEST_DATA, PEER_DATA, GUEST_FIN, PEER_DATA, PEER_FIN }, ENDED },
	{ { GUEST_RST }, RST_TO_PEER },
	{ { PEER_RST }, RST_TO_GUEST },
	{ { GUEST_DATA, GUEST_RST }, RST_TO_PEER },
	{ { PEER_DATA, PEER_RST }, RST_TO_GUEST },
	{ { GUEST_FIN, GUEST_RST }, RST_TO_PEER },
	{ { GUEST_FIN, PEER_RST }, RST_TO_GUEST },
	{ { PEER_FIN, PEER_RST }, RST_TO_GUEST },
	{ { PEER_FIN, GUEST_RST }, RST_TO_PEER },
	{ { PEER_FIN, GUEST_DATA, GUEST_RST }, RST_TO_PEER },
	{ { GUEST_FIN, PEER_DATA, PEER_RST }, RST_TO_GUEST },
};

static void peer_rst(void)
{
	const struct linger at_once = { .l_onoff = 1 };

	assert_int_equal(setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
	case_close(&c);
}

static void do_step(enum step step)
{
	switch (step) {
	case NOTHING:
		return;
	case GUEST_FIN:
		tcp_guest_fin(&c.t);
		case_until(&c, peer_is_at_end);
		assert_false(c.failed);
		return;
	case PEER_FIN:
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		case_until(&c, guest_has_fin);
		return;
	case BOTH_FIN:
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		tcp_guest_fin(&c.t);
		case_until(&c, guest_has_fin);
		case_until(&c, peer_is_at_end);
		return;
	case GUEST_RST:
		tcp_guest_rst(&c.t);
		tcp_guest_settle(&c.t);
		return;
	case PEER_RST:
		peer_rst();
		return;
	case GUEST_DATA:
		tcp_guest_send(&c.t, 5000);
		case_until(&c, all_at_peer);
		return;
	case PEER_DATA:
		c.wanted += 5000;
		case_until(&c, all_at_guest);
		return;
	}
}

static void check_outcome(enum outcome outcome)
{
	switch (outcome) {
	case OPEN:
		tcp_guest_settle(&c.t);
		assert_int_equal(flows_count(c.guest.nat->flows), 1);
		assert_false(c.t.reset);
		return;
	case ENDED:
		case_until(&c, no_flows);
		assert_false(c.t.reset);
		assert_true(c.t.fin_received && c.t.fin_acked);
		return;
	case RST_TO_PEER:
		case_until(&c, no_flows);
		assert_false(c.t.reset);
		/* Where the peer has its FIN, a RST says nothing more to recv(2); send(2) finds it. */
		if (!c.at_end) {
			case_until(&c, peer_is_at_end);
			assert_true(c.failed);
		}
		return;
	case RST_TO_GUEST:
		case_until(&c, guest_is_reset);
		case_until(&c, no_flows);
		return;
	}
}

static void test_every_order_of_fin_and_rst(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++)
		for (unsigned i = 0; i < sizeof orders / sizeof orders[0]; i++) {
			case_connect(&c, &variants[variant]);
			for (unsigned step = 0; step < 6; step++)
				do_step(orders[i].steps[step]);
			check_outcome(orders[i].outcome);
			nat_receive_none(&c.guest);
			case_end(&c);
		}
}

/* The end of data stands behind data that the guest has no window for. */
static void test_fin_waits_for_data(void **state)
{
	(void)state;
	for (unsigned variant = 0; variant < 4; variant++) {
		case_begin(&c, &variants[variant]);
		c.t.window = 4096;
		c.t.scale = 0;
		tcp_guest_connect(&c.t);
		case_accept(&c);
		c.t.silent = true;
		c.wanted = 20000;
		case_write(&c);
		case_close(&c);
		tcp_guest_settle(&c.t);
		assert_in_range(c.t.received, 1, 4096);
		assert_false(c.t.fin_received);
		c.t.silent = false;
		tcp_guest_acknowledge(&c.t);
		case_until(&c, guest_has_fin);
		assert_int_equal(c.t.received, 20000);
		tcp_guest_fin(&c.t);
		case_until(&c, no_flows);
		case_end(&c);
	}
}

/* A FIN that was lost goes out again, both ways; one that comes again after the end meets a RST. */
static void test_fin_is_repeated(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	c.t.silent = true;
	assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
	case_until(&c, guest_has_fin);
	for (unsigned i = 0; i < 3; i++) {
		c.t.fin_received = false;
		nat_pass(&c.guest, 20000);
		case_until(&c, guest_has_fin);
	}
	c.t.silent = false;
	tcp_guest_fin(&c.t);
	case_until(&c, no_flows);
	assert_false(c.t.reset);
	tcp_guest_segment(&c.t, TH_ACK | TH_FIN, c.t.sent, 0);
	case_until(&c, guest_is_reset);
	case_end(&c);
}

/* A guest that says nothing any more does not keep a connection for ever. */
static void test_silent_guest_is_given_up(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	c.t.silent = true;
	c.wanted = 1000;
	case_until(&c, all_at_guest);
	for (unsigned i = 0; i < 20; i++)
		nat_pass(&c.guest, 60000);
	case_until(&c, guest_is_reset);
	case_until(&c, no_flows);
	case_until(&c, peer_is_at_end);
	assert_true(c.failed);
	case_end(&c);
}

/* Neither side says anything for hours: the guest is asked, and answers; the next time it does not. */
static void test_keepalive_asks_the_guest(void **state)
{
	static const struct variant quiet = { "", AF_INET, true, UINT64_MAX, "ipv6 = false; " NAT_LOOPBACK_ALLOWED };

	(void)state;
	case_connect(&c, &quiet);
	tcp_guest_settle(&c.t);
	for (unsigned i = 0; i < 3; i++) {
		nat_pass(&c.guest, TCP_KEEPALIVE + 1000);
		tcp_guest_settle(&c.t);
		nat_pass(&c.guest, 100000);
		nat_receive_none(&c.guest);
	}
	assert_int_equal(flows_count(c.guest.nat->flows), 1);
	c.t.silent = true;
	nat_pass(&c.guest, TCP_KEEPALIVE + 1000);
	for (unsigned i = 0; i < 10; i++)
		nat_pass(&c.guest, TCP_KEEPALIVE_RETRY);
	case_until(&c, guest_is_reset);
	case_until(&c, no_flows);
	case_end(&c);
}

/* A RST has no room: it goes out when there is some. */
static void test_reset_waits_for_room(void **state)
{
	(void)state;
	case_connect(&c, &variants[0]);
	tcp_guest_settle(&c.t);
	c.guest.buffers = 0;
	c.wanted = 3000000;
	for (unsigned i = 0; i < 100; i++) { /* until there are no buffers left */
		case_write(&c);
		nat_turn(&c.guest);
	}
	peer_rst();
	for (unsigned i = 0; i < 100; i++)
		nat_turn(&c.guest);
	c.guest.buffers = 256;
	case_until(&c, guest_is_reset);
	case_until(&c, no_flows);
	case_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_legal_events_change_a_state),
		cmocka_unit_test(test_every_order_of_fin_and_rst),
		cmocka_unit_test(test_fin_waits_for_data),
		cmocka_unit_test(test_fin_is_repeated),
		cmocka_unit_test(test_silent_guest_is_given_up),
		cmocka_unit_test(test_keepalive_asks_the_guest),
		cmocka_unit_test(test_reset_waits_for_room),
	};

	return cmocka_run_group_tests_name("nat_tcp_close", tests, NULL, NULL);
}
