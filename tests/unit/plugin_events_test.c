/* SPDX-License-Identifier: MIT */
/*
 * plugin_events_test.c - what calls an instance back: timers, deferred calls and watches, watches that are held until a
 * queue has room, on which loop they run, and that none does after stop.
 */
#include "tests/unit/plugin_settle.h"

static unsigned n_events;
static struct capsa_watch *the_watch;

static void stop_loop(void *ctx)
{
	(void)ctx;
	n_events++;
	reactor_stop(fake_main);
}

static void read_byte(void *ctx, int fd, unsigned events)
{
	char byte;

	(void)ctx;
	assert_int_equal(events, CAPSA_WATCH_READ);
	assert_int_equal(read(fd, &byte, 1), 1);
	n_events++;
	reactor_stop(fake_main);
}

static void a_timer_runs_once_and_can_be_cancelled(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct capsa_timer *timer = probe.host->timer_add(probe.dev, stop_loop, NULL);

	(void)state;
	assert_non_null(timer);
	n_events = 0;
	settle();
	assert_int_equal(n_events, 0); /* not running yet */
	probe.host->timer_set(timer, 0);
	reactor_run(fake_main);
	settle();
	assert_int_equal(n_events, 1);
	probe.host->timer_set(timer, 0);
	probe.host->timer_set(timer, -1);
	settle();
	assert_int_equal(n_events, 1);
	probe.host->timer_remove(timer);
	fake_end(d);
}

static void *ask_thrice(void *ctx)
{
	for (int i = 0; i < 3; i++)
		probe.host->deferred_run(ctx);
	return NULL;
}

static void deferred_requests_from_any_thread_become_one_call(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct capsa_deferred *deferred = probe.host->deferred_add(probe.dev, stop_loop, NULL);
	pthread_t thread;

	(void)state;
	n_events = 0;
	assert_int_equal(pthread_create(&thread, NULL, ask_thrice, deferred), 0);
	pthread_join(thread, NULL);
	reactor_run(fake_main);
	settle();
	assert_int_equal(n_events, 1);
	probe.host->deferred_remove(deferred);
	fake_end(d);
}

static void a_watch_reports_and_pauses(void **state)
{
	struct plugin_device *d = fake_walk("start");
	struct capsa_watch *watch;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	watch = probe.host->watch_add(probe.dev, ends[0], CAPSA_WATCH_READ, read_byte, NULL);
	assert_non_null(watch);
	n_events = 0;
	assert_int_equal(write(ends[1], "ab", 2), 2);
	reactor_run(fake_main);
	assert_int_equal(n_events, 1);
	assert_int_equal(probe.host->watch_set(watch, 0), 0);
	settle();
	assert_int_equal(n_events, 1);
	assert_int_equal(probe.host->watch_set(watch, CAPSA_WATCH_READ), 0);
	reactor_run(fake_main);
	assert_int_equal(n_events, 2);
	probe.host->watch_remove(watch);
	probe.host->watch_remove(NULL);
	close(ends[0]);
	close(ends[1]);
	fake_end(d);
}

/* ---- holding ---- */

static int hold_ends[2];

/* A device with a watch that has a byte to read; queue 1 is the silent one. */
static struct plugin_device *walk_with_watch(const char *to)
{
	struct plugin_device *d = fake_walk(to);

	assert_int_equal(pipe(hold_ends), 0);
	assert_int_equal(write(hold_ends[1], "abcdefgh", 8), 8);
	the_watch = probe.host->watch_add(probe.dev, hold_ends[0], CAPSA_WATCH_READ, read_byte, NULL);
	assert_non_null(the_watch);
	n_events = 0;
	return d;
}

static void end_with_watch(struct plugin_device *d)
{
	probe.host->watch_remove(the_watch);
	close(hold_ends[0]);
	close(hold_ends[1]);
	fake_end(d);
}

static bool held(void)
{
	unsigned before = n_events;

	settle();
	return n_events == before;
}

static void a_watch_is_not_held_while_there_is_room(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	fake_virtio->room[1] = true;
	assert_false(probe.host->watch_hold_until_room(the_watch, 1));
	assert_false(held());
	end_with_watch(d);
}

static void a_held_watch_resumes_when_there_is_room_and_the_plugin_is_not_notified(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_int_equal(fake_virtio->waits[1], 1);
	assert_true(held());
	fake_notify(0);
	assert_true(held()); /* another queue */
	fake_notify(1);
	assert_false(held());
	assert_null(strstr(probe.calls, "notify1"));
	end_with_watch(d);
}

static void a_silent_queue_notifies_only_who_asked(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	fake_notify(1);
	assert_null(strstr(probe.calls, "notify1"));
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_false(probe.host->queue_wait(probe.dev, 1));
	fake_notify(1); /* both are served */
	assert_false(held());
	fake_notify(1); /* once */
	assert_string_equal(strstr(probe.calls, "notify1"), "notify1");
	probe.host->queue_again(probe.dev, 1);
	fake_notify(1);
	assert_string_equal(strstr(probe.calls, "notify1"), "notify1 notify1");
	fake_virtio->room[1] = true;
	assert_true(probe.host->queue_wait(probe.dev, 1)); /* look again, no call will come */
	fake_notify(1);
	assert_string_equal(strstr(probe.calls, "notify1"), "notify1 notify1");
	end_with_watch(d);
}

static void reset_resumes_nothing_and_activate_does(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	fake_reset();
	assert_true(held());
	assert_int_equal(fake_activate(0), 0);
	assert_false(held());
	end_with_watch(d);
}

static void an_inactive_device_holds_until_activate(void **state)
{
	struct plugin_device *d = walk_with_watch("attach");

	(void)state;
	fake_virtio->room[1] = true;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_int_equal(fake_virtio->waits[1], 0);
	assert_true(held());
	assert_int_equal(fake_activate(0), 0);
	assert_false(held());
	end_with_watch(d);
}

static void watch_set_ends_a_hold(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_true(probe.host->watch_hold_until_room(the_watch, 1));
	assert_int_equal(probe.host->watch_set(the_watch, CAPSA_WATCH_READ), 0);
	assert_false(held());
	assert_int_equal(probe.host->watch_set(the_watch, 0), 0);
	fake_notify(1); /* the hold is forgotten: it stays paused */
	assert_true(held());
	end_with_watch(d);
}

static void a_hold_for_a_queue_that_is_not_there_is_refused(void **state)
{
	struct plugin_device *d = walk_with_watch("activate");

	(void)state;
	assert_false(probe.host->watch_hold_until_room(the_watch, 2));
	assert_false(probe.host->watch_hold_until_room(the_watch, UINT32_MAX));
	end_with_watch(d);
}

/* ---- several loops ---- */

static pthread_t event_thread;
static struct capsa_deferred *far_deferred;

static void note_thread_and_stop(void *ctx)
{
	(void)ctx;
	event_thread = pthread_self();
	reactor_stop(fake_main);
}

static void note_thread_of_fd(void *ctx, int fd, unsigned events)
{
	char byte;

	(void)ctx, (void)events;
	assert_int_equal(read(fd, &byte, 1), 1);
	event_thread = pthread_self();
	if (probe.host->watch_hold_until_room(the_watch, 1))
		probe.host->deferred_run(far_deferred);
}

static void *run_loop(void *ctx)
{
	reactor_run(ctx);
	return NULL;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void events_of_a_parallel_queue_run_on_its_loop(void **state)
{
	struct reactor *loops[2];
	struct plugin_device *d;
	pthread_t threads[2];
	int ends[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(reactor_new(&loops[i]), 0);
		assert_int_equal(pthread_create(&threads[i], NULL, run_loop, loops[i]), 0);
	}
	assert_int_equal(pipe(ends), 0);
	fake_environment.loops = loops;
	fake_environment.n_loops = 2;
	fake_plugin.info.thread_model = CAPSA_THREAD_PARALLEL;
	d = fake_walk("activate");
	assert_int_equal(fake_virtio->setup.n_loops, 2);

	far_deferred = probe.host->queue_deferred_add(probe.dev, 1, note_thread_and_stop, NULL);
	probe.host->deferred_run(far_deferred);
	reactor_run(fake_main);
	assert_true(pthread_equal(event_thread, threads[1]));

	event_thread = pthread_self();
	the_watch = probe.host->queue_watch_add(probe.dev, 1, ends[0], 0, note_thread_of_fd, NULL);
	assert_int_equal(probe.host->watch_set(the_watch, CAPSA_WATCH_READ), 0);
	assert_int_equal(write(ends[1], "ab", 2), 2);
	reactor_run(fake_main); /* ends once the watch is held, after the first byte */
	assert_true(pthread_equal(event_thread, threads[1]));
	fake_notify(1);
	reactor_run(fake_main); /* and again after the second */
	probe.host->watch_remove(the_watch);

	plugin_device_detach(d);
	for (int i = 0; i < 2; i++) {
		reactor_call_wait(loops[i], nothing, NULL);
		reactor_stop(loops[i]);
		pthread_join(threads[i], NULL);
	}
	fake_end(d);
	for (int i = 0; i < 2; i++) {
		reactor_free(loops[i]);
		close(ends[i]);
	}
}

/* ---- what outlives stop ---- */

static struct capsa_timer *late_timer;

static void remove_in_destroy(const char *callback)
{
	if (strcmp(callback, "destroy") != 0)
		return;
	probe.host->timer_set(late_timer, 0);
	probe.host->timer_remove(late_timer);
	assert_int_equal(probe.host->watch_set(the_watch, CAPSA_WATCH_READ), 0);
	probe.host->watch_remove(the_watch);
	assert_null(probe.host->timer_add(probe.dev, stop_loop, NULL));
}

static void nothing_runs_after_stop_and_what_is_left_is_freed(void **state)
{
	struct plugin_device *d = walk_with_watch("start");
	struct capsa_deferred *deferred = probe.host->deferred_add(probe.dev, stop_loop, NULL);

	(void)state;
	late_timer = probe.host->timer_add(probe.dev, stop_loop, NULL);
	probe.host->timer_set(late_timer, 0);
	probe.host->deferred_run(deferred);
	plugin_device_stop(d);
	probe.host->deferred_run(deferred);
	assert_true(held());
	probe.hook = remove_in_destroy;
	plugin_device_destroy(d); /* frees the deferred call: the sanitizer would tell */
	close(hold_ends[0]);
	close(hold_ends[1]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_timer_runs_once_and_can_be_cancelled),
		TEST(deferred_requests_from_any_thread_become_one_call),
		TEST(a_watch_reports_and_pauses),
		TEST(a_watch_is_not_held_while_there_is_room),
		TEST(a_held_watch_resumes_when_there_is_room_and_the_plugin_is_not_notified),
		TEST(a_silent_queue_notifies_only_who_asked),
		TEST(reset_resumes_nothing_and_activate_does),
		TEST(an_inactive_device_holds_until_activate),
		TEST(watch_set_ends_a_hold),
		TEST(a_hold_for_a_queue_that_is_not_there_is_refused),
		TEST(events_of_a_parallel_queue_run_on_its_loop),
		TEST(nothing_runs_after_stop_and_what_is_left_is_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
