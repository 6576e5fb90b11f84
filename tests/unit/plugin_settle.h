/* SPDX-License-Identifier: MIT */
/*
 * plugin_settle.h - waiting, in a test of core/plugin, until what is ready now has been handled: without a clock, and
 * also where nothing is expected to come. Beside plugin_fake.h; included once by a test program.
 *
 *     probe.host->timer_set(timer, 0);
 *     settle();                                the timer's call has run, and whatever that made ready
 *     assert_int_equal(n_events, 1);
 *
 * On the thread of fake_main, outside its handlers.
 */
#ifndef CAPSA_TESTS_PLUGIN_SETTLE_H
#define CAPSA_TESTS_PLUGIN_SETTLE_H

#include "tests/unit/plugin_fake.h"

static bool settled;

static void note_settled(void *ctx)
{
	(void)ctx;
	settled = true;
	reactor_stop(fake_main);
}

/* Runs the main loop until everything that is ready now has been handled: handlers may stop it meanwhile. */
static inline void settle(void)
{
	struct reactor_timer *timer = reactor_timer_add(fake_main, note_settled, NULL);

	/* Descriptors that are ready come before a timer of the same turn or of the next. */
	for (int i = 0; i < 2; i++) {
		settled = false;
		reactor_timer_set(timer, 0);
		while (!settled)
			reactor_run(fake_main);
	}
	reactor_timer_remove(timer);
}

#endif
