/* SPDX-License-Identifier: MIT */
/* reactor_test.c - proves core/base/reactor.h. No sleeps: every test ends by an event that it waits for. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/reactor.h"

struct bench {
	struct reactor *reactor;
	int fds[2];
	struct reactor_watch *watch;
	struct reactor_timer *timer;
	struct reactor_call *calls[2];
	unsigned count, other, events;
	atomic_uint made;
	pthread_t ran_on;
};

static int open_bench(void **state)
{
	struct bench *bench = calloc(1, sizeof *bench);

	if (reactor_new(&bench->reactor) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, bench->fds))
		return -1;
	*state = bench;
	return 0;
}

static int close_bench(void **state)
{
	struct bench *bench = *state;

	reactor_watch_remove(bench->watch);
	reactor_timer_remove(bench->timer);
	reactor_call_remove(bench->calls[0]);
	reactor_call_remove(bench->calls[1]);
	reactor_free(bench->reactor);
	close(bench->fds[0]);
	close(bench->fds[1]);
	free(bench);
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void stop_loop(void *ctx)
{
	struct bench *bench = ctx;

	bench->other++;
	reactor_stop(bench->reactor);
}

static void note_events_and_stop(void *ctx, int fd, unsigned events)
{
	struct bench *bench = ctx;

	assert_int_equal(fd, bench->fds[0]);
	bench->count++;
	bench->events = events;
	reactor_stop(bench->reactor);
}

static void a_readable_fd_calls_its_watch_until_it_is_read(void **state)
{
	struct bench *bench = *state;

	bench->watch = reactor_watch_add(bench->reactor, bench->fds[0], REACTOR_READ, note_events_and_stop, bench);
	assert_non_null(bench->watch);
	assert_int_equal(write(bench->fds[1], "x", 1), 1);
	reactor_run(bench->reactor);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 2);
	assert_int_equal(bench->events, REACTOR_READ);
}

static void an_edge_calls_its_watch_once_whether_it_is_read_or_not(void **state)
{
	struct bench *bench = *state;

	assert_int_equal(write(bench->fds[1], "x", 1), 1);
	bench->watch = reactor_watch_add(bench->reactor, bench->fds[0], REACTOR_READ | REACTOR_EDGE,
	                                 note_events_and_stop, bench);
	assert_non_null(bench->watch);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 1); /* for what was there at first */
	assert_int_equal(write(bench->fds[1], "y", 1), 1);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 2);
	assert_int_equal(bench->events, REACTOR_READ);
	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	reactor_timer_set(bench->timer, 5);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 2);
	assert_int_equal(bench->other, 1);
}

static void a_hang_up_counts_as_readable(void **state)
{
	struct bench *bench = *state;

	bench->watch = reactor_watch_add(bench->reactor, bench->fds[0], REACTOR_READ, note_events_and_stop, bench);
	shutdown(bench->fds[1], SHUT_RDWR);
	reactor_run(bench->reactor);
	assert_int_equal(bench->events, REACTOR_READ);
}

static void a_watch_can_turn_from_reading_to_writing_to_nothing(void **state)
{
	struct bench *bench = *state;

	bench->watch = reactor_watch_add(bench->reactor, bench->fds[0], REACTOR_READ, note_events_and_stop, bench);
	assert_int_equal(write(bench->fds[1], "x", 1), 1);
	assert_int_equal(reactor_watch_set(bench->watch, REACTOR_WRITE), 0);
	assert_int_equal(reactor_watch_set(bench->watch, REACTOR_WRITE), 0);
	reactor_run(bench->reactor);
	assert_int_equal(bench->events, REACTOR_WRITE);
	assert_int_equal(reactor_watch_set(bench->watch, 0), 0);
	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	reactor_timer_set(bench->timer, 5);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 1);
	assert_int_equal(bench->other, 1);
}

static void what_cannot_be_watched_is_refused(void **state)
{
	struct bench *bench = *state;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	errno = 0;
	assert_null(reactor_watch_add(bench->reactor, fd, REACTOR_READ, note_events_and_stop, bench));
	assert_int_equal(errno, EPERM);
	close(fd);
	assert_null(reactor_watch_add(bench->reactor, -1, REACTOR_READ, note_events_and_stop, bench));
	assert_int_equal(errno, EBADF);
}

static void remove_own_watch(void *ctx, int fd, unsigned events)
{
	struct bench *bench = ctx;

	(void)fd;
	(void)events;
	bench->count++;
	reactor_watch_remove(bench->watch);
	bench->watch = NULL;
	reactor_timer_set(bench->timer, 5);
}

static void a_watch_removed_in_its_handler_is_not_called_again(void **state)
{
	struct bench *bench = *state;

	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	bench->watch =
		reactor_watch_add(bench->reactor, bench->fds[0], REACTOR_READ | REACTOR_WRITE, remove_own_watch, bench);
	assert_int_equal(write(bench->fds[1], "x", 1), 1);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 1);
}

static void a_timer_is_never_early(void **state)
{
	struct bench *bench = *state;
	int64_t before;
	int i;

	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	for (i = 0; i < 5; i++) {
		before = now_ms();
		reactor_timer_set(bench->timer, 7);
		reactor_run(bench->reactor);
		/* Both ends are rounded to milliseconds. */
		assert_true(now_ms() - before >= 6);
	}
	assert_int_equal(bench->other, 5);
}

static void count_timer(void *ctx)
{
	((struct bench *)ctx)->count++;
}

static void a_timer_set_again_or_cancelled_runs_only_as_last_said(void **state)
{
	struct bench *bench = *state;
	struct reactor_timer *cancelled = reactor_timer_add(bench->reactor, count_timer, bench);
	struct reactor_timer *later = reactor_timer_add(bench->reactor, count_timer, bench);

	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	reactor_timer_set(cancelled, 0);
	reactor_timer_set(cancelled, -1);
	reactor_timer_set(later, 0);
	reactor_timer_set(later, INT64_MAX);
	reactor_timer_set(bench->timer, 10);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 0);
	reactor_timer_remove(cancelled);
	reactor_timer_remove(later);
}

static void remove_own_timer(void *ctx)
{
	struct bench *bench = ctx;

	reactor_timer_remove(bench->timer);
	bench->timer = NULL;
	reactor_stop(bench->reactor);
}

static void a_timer_may_be_removed_in_its_handler(void **state)
{
	struct bench *bench = *state;

	bench->timer = reactor_timer_add(bench->reactor, remove_own_timer, bench);
	reactor_timer_set(bench->timer, 0);
	reactor_run(bench->reactor);
	assert_null(bench->timer);
}

static void ask_twice_then_stop(void *ctx)
{
	struct bench *bench = ctx;

	reactor_call_run(bench->calls[0]);
	reactor_call_run(bench->calls[0]);
	reactor_call_run(bench->calls[1]);
}

static void requests_before_a_call_runs_are_one_and_keep_their_order(void **state)
{
	struct bench *bench = *state;

	bench->calls[0] = reactor_call_add(bench->reactor, count_timer, bench);
	bench->calls[1] = reactor_call_add(bench->reactor, stop_loop, bench);
	bench->timer = reactor_timer_add(bench->reactor, ask_twice_then_stop, bench);
	reactor_timer_set(bench->timer, 0);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 1);
	assert_int_equal(bench->other, 1);
}

static void ask_again(void *ctx)
{
	struct bench *bench = ctx;

	bench->count++;
	/* The fd becomes ready while calls are being run; a loop that starves it ends here all the same. */
	if (bench->count == 3)
		assert_int_equal(write(bench->fds[1], "x", 1), 1);
	if (bench->count == 1000)
		reactor_stop(bench->reactor);
	reactor_call_run(bench->calls[0]);
}

static void a_call_that_asks_for_itself_starves_no_fd(void **state)
{
	struct bench *bench = *state;

	bench->calls[0] = reactor_call_add(bench->reactor, ask_again, bench);
	bench->watch = reactor_watch_add(bench->reactor, bench->fds[0], REACTOR_READ, note_events_and_stop, bench);
	reactor_call_run(bench->calls[0]);
	reactor_run(bench->reactor);
	assert_int_equal(bench->events, REACTOR_READ);
	assert_true(bench->count < 10);
}

static void remove_other_call(void *ctx)
{
	struct bench *bench = ctx;

	bench->count++;
	reactor_call_remove(bench->calls[1]);
	bench->calls[1] = NULL;
	reactor_call_remove(bench->calls[0]);
	bench->calls[0] = NULL;
	reactor_timer_set(bench->timer, 1);
}

static void a_call_removes_itself_and_another_that_waits(void **state)
{
	struct bench *bench = *state;

	bench->calls[0] = reactor_call_add(bench->reactor, remove_other_call, bench);
	bench->calls[1] = reactor_call_add(bench->reactor, count_timer, bench);
	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	reactor_call_run(bench->calls[0]);
	reactor_call_run(bench->calls[1]);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 1);
}

static void stop_after_first(void *ctx)
{
	struct bench *bench = ctx;

	bench->count++;
	reactor_stop(bench->reactor);
}

static void calls_that_a_stop_left_over_run_next_time(void **state)
{
	struct bench *bench = *state;

	bench->calls[0] = reactor_call_add(bench->reactor, stop_after_first, bench);
	bench->calls[1] = reactor_call_add(bench->reactor, stop_after_first, bench);
	reactor_call_run(bench->calls[0]);
	reactor_call_run(bench->calls[1]);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 1);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 2);
}

static void a_stop_before_the_run_ends_it_at_once(void **state)
{
	struct bench *bench = *state;

	reactor_stop(bench->reactor);
	reactor_run(bench->reactor);
	/* And is used up: */
	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	reactor_timer_set(bench->timer, 0);
	reactor_run(bench->reactor);
	assert_int_equal(bench->other, 1);
}

static void *run_loop(void *ctx)
{
	reactor_run(((struct bench *)ctx)->reactor);
	return NULL;
}

static void note_thread(void *ctx)
{
	struct bench *bench = ctx;

	bench->count++;
	bench->ran_on = pthread_self();
}

static void *wait_often(void *ctx)
{
	struct bench *bench = ctx;
	int i;

	for (i = 0; i < 1000; i++)
		reactor_call_wait(bench->reactor, note_thread, bench);
	return NULL;
}

/* A running loop: reactor_call_wait() proves it, because it comes back only from the loop's thread. */
static pthread_t start_loop(struct bench *bench)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, run_loop, bench), 0);
	do
		reactor_call_wait(bench->reactor, note_thread, bench);
	while (pthread_equal(bench->ran_on, pthread_self()));
	assert_true(pthread_equal(bench->ran_on, thread));
	bench->count = 0;
	return thread;
}

static void waited_calls_of_many_threads_all_run_on_the_loop(void **state)
{
	struct bench *bench = *state;
	pthread_t loop = start_loop(bench), threads[3];
	int i;

	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_often, bench), 0);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	reactor_stop(bench->reactor);
	pthread_join(loop, NULL);
	assert_int_equal(bench->count, 3000);
	/* And on the caller's own, where nothing runs. */
	reactor_call_wait(bench->reactor, note_thread, bench);
	assert_true(pthread_equal(bench->ran_on, pthread_self()));
}

static void take_made(void *ctx)
{
	struct bench *bench = ctx;

	bench->count += atomic_exchange(&bench->made, 0);
	bench->other++;
}

static void *make_and_call(void *ctx)
{
	struct bench *bench = ctx;
	int i;

	for (i = 0; i < 20000; i++) {
		atomic_fetch_add(&bench->made, 1);
		reactor_call_run(bench->calls[0]);
	}
	return NULL;
}

static void nothing(void *ctx)
{
	(void)ctx;
}

static void no_request_from_another_thread_is_lost(void **state)
{
	struct bench *bench = *state;
	pthread_t loop, threads[3];
	int i;

	bench->calls[0] = reactor_call_add(bench->reactor, take_made, bench);
	loop = start_loop(bench);
	for (i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_and_call, bench), 0);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	/* The call was asked for before this one: it has run when the second comes back. */
	reactor_call_wait(bench->reactor, nothing, NULL);
	reactor_call_wait(bench->reactor, nothing, NULL);
	reactor_stop(bench->reactor);
	pthread_join(loop, NULL);
	assert_int_equal(bench->count, 60000);
	assert_true(bench->other <= 60000);
}

static long voluntary_switches(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_nvcsw;
}

static void note_switches(void *ctx)
{
	*(long *)ctx = voluntary_switches();
}

static void an_idle_loop_sleeps_without_waking(void **state)
{
	struct bench *bench = *state;
	struct bench clock = { 0 };
	long before, after;
	pthread_t loop;

	bench->watch = reactor_watch_add(bench->reactor, bench->fds[0], REACTOR_READ, note_events_and_stop, bench);
	bench->timer = reactor_timer_add(bench->reactor, stop_loop, bench);
	loop = start_loop(bench);
	reactor_call_wait(bench->reactor, note_switches, &before);
	/* The second loop is the clock: 50 ms in which the first has nothing to do. */
	assert_int_equal(reactor_new(&clock.reactor), 0);
	clock.timer = reactor_timer_add(clock.reactor, stop_loop, &clock);
	reactor_timer_set(clock.timer, 50);
	reactor_run(clock.reactor);
	reactor_timer_remove(clock.timer);
	reactor_free(clock.reactor);
	reactor_call_wait(bench->reactor, note_switches, &after);
	reactor_stop(bench->reactor);
	pthread_join(loop, NULL);
	/* One sleep between the two calls; one more for contention on the lock. */
	assert_true(after - before <= 2);
}

static void note_signal(void *ctx, int signo)
{
	struct bench *bench = ctx;

	assert_int_equal(signo, SIGUSR1);
	bench->count++;
	reactor_stop(bench->reactor);
}

static void a_signal_becomes_a_call(void **state)
{
	struct bench *bench = *state;
	struct reactor_signal *signal = reactor_signal_add(bench->reactor, SIGUSR1, note_signal, bench);

	assert_non_null(signal);
	kill(getpid(), SIGUSR1);
	reactor_run(bench->reactor);
	assert_int_equal(bench->count, 1);
	reactor_signal_remove(signal);
}

static void without_descriptors_a_reactor_is_an_error(void **state)
{
	struct rlimit old, none;
	struct reactor *reactor = NULL;
	int rc, rc_epoll, fd = dup(0);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = (rlim_t)fd; /* not even the eventfd */
	setrlimit(RLIMIT_NOFILE, &none);
	rc = reactor_new(&reactor);
	none.rlim_cur = (rlim_t)fd + 1; /* the eventfd, but no epoll */
	setrlimit(RLIMIT_NOFILE, &none);
	rc_epoll = reactor_new(&reactor);
	setrlimit(RLIMIT_NOFILE, &old);
	assert_int_equal(rc, -EMFILE);
	assert_int_equal(rc_epoll, -EMFILE);
	assert_null(reactor);
	reactor_free(NULL);
}

#define bench_test(f) cmocka_unit_test_setup_teardown(f, open_bench, close_bench)

int main(void)
{
	const struct CMUnitTest tests[] = {
		bench_test(a_readable_fd_calls_its_watch_until_it_is_read),
		bench_test(an_edge_calls_its_watch_once_whether_it_is_read_or_not),
		bench_test(a_hang_up_counts_as_readable),
		bench_test(a_watch_can_turn_from_reading_to_writing_to_nothing),
		bench_test(what_cannot_be_watched_is_refused),
		bench_test(a_watch_removed_in_its_handler_is_not_called_again),
		bench_test(a_timer_is_never_early),
		bench_test(a_timer_set_again_or_cancelled_runs_only_as_last_said),
		bench_test(a_timer_may_be_removed_in_its_handler),
		bench_test(requests_before_a_call_runs_are_one_and_keep_their_order),
		bench_test(a_call_that_asks_for_itself_starves_no_fd),
		bench_test(a_call_removes_itself_and_another_that_waits),
		bench_test(calls_that_a_stop_left_over_run_next_time),
		bench_test(a_stop_before_the_run_ends_it_at_once),
		bench_test(waited_calls_of_many_threads_all_run_on_the_loop),
		bench_test(no_request_from_another_thread_is_lost),
		bench_test(an_idle_loop_sleeps_without_waking),
		bench_test(a_signal_becomes_a_call),
		cmocka_unit_test(without_descriptors_a_reactor_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
