/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_test.c - proves tcp.h: connections of the guest's come about, carry data both ways, within both windows, and
 * what goes wrong is told to the guest.
 */
#include "tests/unit/nat_tcp_case.h"

#include <sys/socket.h>
#include <unistd.h>

static struct tcp_case c;

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
		case_end(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_carries_both_ways_and_ends),
	};

	return cmocka_run_group_tests_name("nat_tcp", tests, NULL, NULL);
}
