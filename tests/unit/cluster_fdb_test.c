/* SPDX-License-Identifier: MIT */
/*
 * cluster_fdb_test.c - plugins/cluster-switch/fdb.h: addresses are learned, move, grow old, and are bounded a port;
 * static ones do none of this.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cluster-switch/fdb.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define MAC(n) ((const unsigned char[ETH_ALEN]){ 2, 0, 0, (n) >> 16 & 0xff, (n) >> 8 & 0xff, (n)&0xff })

static int begin(void **state)
{
	return fdb_new((struct fdb **)state);
}

static int end(void **state)
{
	fdb_free(*state);
	return 0;
}

static void learned_addresses_are_found_at_their_port(void **state)
{
	struct fdb *fdb = *state;

	assert_int_equal(fdb_find(fdb, MAC(1), 0), -1);
	assert_true(fdb_learn(fdb, MAC(1), 7, 0));
	assert_true(fdb_learn(fdb, MAC(2), UINT16_MAX, 0));
	assert_int_equal(fdb_find(fdb, MAC(1), 0), 7);
	assert_int_equal(fdb_find(fdb, MAC(2), 0), UINT16_MAX);
	assert_int_equal(fdb_find(fdb, MAC(3), 0), -1);
}

static void groups_and_zero_are_not_learned(void **state)
{
	static const unsigned char group[] = { 1, 0, 0x5e, 0, 0, 1 }, zero[ETH_ALEN];
	struct fdb *fdb = *state;

	assert_true(fdb_learn(fdb, group, 1, 0));
	assert_true(fdb_learn(fdb, zero, 1, 0));
	assert_int_equal(fdb_find(fdb, group, 0), -1);
	assert_int_equal(fdb_find(fdb, zero, 0), -1);
}

static void an_address_is_forgotten_when_it_was_silent_for_too_long(void **state)
{
	struct fdb *fdb = *state;

	assert_true(fdb_learn(fdb, MAC(1), 1, 1000));
	assert_int_equal(fdb_find(fdb, MAC(1), 1000 + FDB_AGE_MS - 1), 1);
	assert_int_equal(fdb_find(fdb, MAC(1), 1000 + FDB_AGE_MS), -1);
	assert_true(fdb_learn(fdb, MAC(1), 1, 1000 + FDB_AGE_MS - 1));
	assert_int_equal(fdb_find(fdb, MAC(1), 1000 + FDB_AGE_MS), 1);
	/* A clock that is behind makes nothing old. */
	assert_int_equal(fdb_find(fdb, MAC(1), 0), 1);
}

static void an_address_moves_to_where_it_was_seen_last(void **state)
{
	struct fdb *fdb = *state;

	assert_true(fdb_learn(fdb, MAC(1), 1, 0));
	assert_true(fdb_learn(fdb, MAC(1), 2, 1));
	assert_int_equal(fdb_find(fdb, MAC(1), 1), 2);
	fdb_forget_port(fdb, 1);
	assert_int_equal(fdb_find(fdb, MAC(1), 1), 2);
	fdb_forget_port(fdb, 2);
	assert_int_equal(fdb_find(fdb, MAC(1), 1), -1);
}

static void static_addresses_stay_where_they_are_at_any_age(void **state)
{
	struct fdb *fdb = *state;

	assert_true(fdb_learn(fdb, MAC(1), 2, 0)); /* who had it before loses it */
	assert_int_equal(fdb_add_static(fdb, MAC(1), 1), 0);
	assert_int_equal(fdb_add_static(fdb, MAC(1), 1), 0);
	assert_int_equal(fdb_add_static(fdb, MAC(1), 2), -EEXIST);
	assert_true(fdb_learn(fdb, MAC(1), 1, 0));
	assert_false(fdb_learn(fdb, MAC(1), 2, 0));
	assert_int_equal(fdb_find(fdb, MAC(1), 100 * (uint64_t)FDB_AGE_MS), 1);
	fdb_forget_port(fdb, 2);
	assert_int_equal(fdb_find(fdb, MAC(1), 0), 1);
	fdb_forget_port(fdb, 1);
	assert_int_equal(fdb_find(fdb, MAC(1), 0), -1);
	assert_int_equal(fdb_add_static(fdb, MAC(1), 2), 0);
}

static void the_oldest_of_a_port_gives_way_and_no_other_ports(void **state)
{
	struct fdb *fdb = *state;

	assert_true(fdb_learn(fdb, MAC(1000000), 2, 0));
	assert_int_equal(fdb_add_static(fdb, MAC(1000001), 1), 0);
	for (unsigned i = 0; i < FDB_PORT_MAX; i++)
		assert_true(fdb_learn(fdb, MAC(i + 1), 1, i));
	assert_true(fdb_learn(fdb, MAC(1), 1, FDB_PORT_MAX)); /* the first one is not the oldest any more */
	assert_true(fdb_learn(fdb, MAC(5000), 1, FDB_PORT_MAX));
	assert_int_equal(fdb_find(fdb, MAC(2), FDB_PORT_MAX), -1);
	assert_int_equal(fdb_find(fdb, MAC(1), FDB_PORT_MAX), 1);
	for (unsigned i = 3; i <= FDB_PORT_MAX; i++)
		assert_int_equal(fdb_find(fdb, MAC(i), FDB_PORT_MAX), 1);
	assert_int_equal(fdb_find(fdb, MAC(5000), FDB_PORT_MAX), 1);
	assert_int_equal(fdb_find(fdb, MAC(1000000), FDB_PORT_MAX), 2);
	assert_int_equal(fdb_find(fdb, MAC(1000001), FDB_PORT_MAX), 1);
	/* One that moves in from another port counts as well. */
	assert_true(fdb_learn(fdb, MAC(1000000), 1, FDB_PORT_MAX));
	assert_int_equal(fdb_find(fdb, MAC(3), FDB_PORT_MAX), -1);
	assert_int_equal(fdb_find(fdb, MAC(1000000), FDB_PORT_MAX), 1);
}

struct seen {
	unsigned learned, statics;
	uint64_t age_ms;
};

static void see(void *ctx, const unsigned char mac[ETH_ALEN], unsigned port, bool is_static, uint64_t age_ms)
{
	struct seen *seen = ctx;

	assert_int_equal(mac[0], 2);
	assert_in_range(port, 1, 2);
	if (is_static) {
		seen->statics++;
		assert_int_equal(age_ms, 0);
	} else {
		seen->learned++;
		seen->age_ms = age_ms;
	}
}

static void people_are_told_all_that_are_not_too_old(void **state)
{
	struct fdb *fdb = *state;
	struct seen seen = { 0 };

	assert_int_equal(fdb_add_static(fdb, MAC(1), 1), 0);
	assert_true(fdb_learn(fdb, MAC(2), 1, 0));
	assert_true(fdb_learn(fdb, MAC(3), 2, 10));
	fdb_each(fdb, FDB_AGE_MS, see, &seen);
	assert_int_equal(seen.learned, 1);
	assert_int_equal(seen.statics, 1);
	assert_int_equal(seen.age_ms, FDB_AGE_MS - 10);
}

/* Made-up addresses at many ports: the table grows, and has as many as it may have. */
static void addresses_that_are_made_up_are_bounded(void **state)
{
	struct fdb *fdb = *state;
	struct seen seen = { 0 };

	for (unsigned i = 0; i < 20000; i++)
		assert_true(fdb_learn(fdb, MAC(i + 1), 1 + i % 2, i));
	fdb_each(fdb, 20000, see, &seen);
	assert_int_equal(seen.learned, 2 * FDB_PORT_MAX);
	for (unsigned i = 20000 - 2 * FDB_PORT_MAX; i < 20000; i++)
		assert_int_equal(fdb_find(fdb, MAC(i + 1), 20000), 1 + i % 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(learned_addresses_are_found_at_their_port),
		TEST(groups_and_zero_are_not_learned),
		TEST(an_address_is_forgotten_when_it_was_silent_for_too_long),
		TEST(an_address_moves_to_where_it_was_seen_last),
		TEST(static_addresses_stay_where_they_are_at_any_age),
		TEST(the_oldest_of_a_port_gives_way_and_no_other_ports),
		TEST(people_are_told_all_that_are_not_too_old),
		TEST(addresses_that_are_made_up_are_bounded),
	};

	return cmocka_run_group_tests_name("cluster_fdb", tests, NULL, NULL);
}
