/* SPDX-License-Identifier: MIT */
/*
 * nat_many_test.c - proves that very many flows do not hold the loop, that their memory goes back to the host when they
 * are gone, and that a number of flows that there can be no descriptors for is told.
 */
#include "plugins/net-nat/tcp-flow.h"
#include "tests/unit/nat_guest.h"

#include <sys/resource.h>
#include <unistd.h>

#define MANY 100000u
#define TIMES 20000u
#define SLACK (4u << 20) /* bytes */

#if defined(__SANITIZE_ADDRESS__)
#define OWN_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define OWN_ALLOCATOR 1
#endif
#endif
#ifndef OWN_ALLOCATOR
#define OWN_ALLOCATOR 0
#endif

static struct nat_guest guest;
static const struct flow_kind kind = { .name = "test" };

/* ---- memory ---- */

static size_t resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
	fclose(file);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void never(struct timeout *timeout)
{
	(void)timeout;
}

/* Flows as TCP has them, but for their sockets. */
static struct tcp_flow *add_flow(unsigned i)
{
	struct tcp_flow *f = calloc(1, sizeof *f);
	struct flow_key key = { .guest.port = (uint16_t)i,
		                .far.port = (uint16_t)(1 + (i >> 16)),
		                .protocol = IPPROTO_TCP };

	assert_non_null(f);
	assert_int_equal(net_address_parse(NAT_GUEST, &key.guest.address), 0);
	assert_int_equal(net_address_parse("203.0.113.1", &key.far.address), 0);
	f->flow.kind = &kind;
	f->flow.source.fd = -1;
	f->flow.timeout.call = never;
	assert_int_equal(flow_begin(guest.nat, &key, &f->flow), 0);
	assert_int_equal(flows_insert(guest.nat->flows, &f->flow), 0);
	assert_int_equal(timeout_set(guest.nat->timeouts, &f->flow.timeout, 7200000), 0);
	return f;
}

static void remove_flow(struct tcp_flow *f)
{
	timeout_clear(guest.nat->timeouts, &f->flow.timeout);
	flows_remove(guest.nat->flows, &f->flow);
	free(f);
}

static void memory_of_a_flood_goes_back_to_the_host(void **state)
{
	static struct tcp_flow *flows[MANY];
	size_t before, most, after;
	void *behind;

	(void)state;
	if (OWN_ALLOCATOR)
		skip();
	memset(flows, 1, sizeof flows); /* its pages are there before */
	nat_begin(&guest, "max_flows = 200000;");
	before = resident();
	for (unsigned i = 0; i < MANY; i++)
		flows[i] = add_flow(i);
	behind = calloc(1, 100); /* of somebody else, who stays */
	assert_non_null(behind);
	most = resident();
	assert_true(most - before > 2 * SLACK);
	assert_in_range((most - before) / MANY, 1, 600);
	for (unsigned i = 0; i < MANY; i++)
		remove_flow(flows[i]);
	after = resident();
	assert_in_range(after, 0, before + SLACK);
	free(behind);
	nat_end(&guest);
}

/* ---- time ---- */

struct capsa_timer {
	void (*call)(void *ctx);
	void *ctx;
	int64_t ms;
};

static struct capsa_timer timer;

static struct capsa_timer *fake_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	(void)dev;
	timer = (struct capsa_timer){ .call = call, .ctx = ctx, .ms = -1 };
	return &timer;
}

static void fake_set(struct capsa_timer *t, int64_t ms)
{
	t->ms = ms;
}

static void fake_remove(struct capsa_timer *t)
{
	t->call = NULL;
}

static const struct capsa_host fake = { .timer_add = fake_add, .timer_set = fake_set, .timer_remove = fake_remove };

static unsigned called;

static void count_call(struct timeout *timeout)
{
	(void)timeout;
	called++;
}

/* How many turns of the loop it takes until nothing is due. */
static unsigned turns(void)
{
	unsigned n = 0;

	do {
		timer.ms = -1;
		timer.call(timer.ctx);
		n++;
	} while (timer.ms == 0);
	return n;
}

static void times_that_come_together_do_not_hold_the_loop(void **state)
{
	struct timeout *times = calloc(TIMES, sizeof *times);
	struct timeouts *timeouts;

	(void)state;
	assert_non_null(times);
	assert_int_equal(timeouts_new(&fake, NULL, &timeouts), 0);
	for (unsigned i = 0; i < TIMES; i++) {
		times[i].call = count_call;
		assert_int_equal(timeout_set(timeouts, &times[i], 10), 0);
	}
	/* All were pushed back, which the heap has to learn. */
	for (unsigned i = 0; i < TIMES; i++)
		assert_int_equal(timeout_set(timeouts, &times[i], 100000), 0);
	timeouts_skip(timeouts, 20);
	assert_in_range(turns(), TIMES / 5000, TIMES / 256);
	assert_int_equal(called, 0);
	timeouts_skip(timeouts, 100000);
	assert_in_range(turns(), TIMES / 5000, TIMES / 64);
	assert_int_equal(called, TIMES);
	timeouts_free(timeouts);
	free(times);
}

/* The heap shrinks again: what is still in it stays in order. */
static void times_are_in_order_however_many_were_there(void **state)
{
	struct timeout *times = calloc(TIMES, sizeof *times);
	struct timeouts *timeouts;

	(void)state;
	called = 0;
	assert_non_null(times);
	assert_int_equal(timeouts_new(&fake, NULL, &timeouts), 0);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < TIMES; i++) {
			times[i].call = count_call;
			assert_int_equal(timeout_set(timeouts, &times[i], 1000 + i * 7919u % TIMES), 0);
		}
		for (unsigned i = 0; i < TIMES - 100; i++)
			timeout_clear(timeouts, &times[i]);
		for (unsigned i = TIMES - 100; i < TIMES; i++)
			assert_true(timeout_is_set(&times[i]));
	}
	timeouts_skip(timeouts, 1000 + TIMES / 2);
	turns();
	assert_in_range(called, 30, 70);
	timeouts_skip(timeouts, TIMES);
	turns();
	assert_int_equal(called, 100);
	timeouts_free(timeouts);
	free(times);
}

/* ---- descriptors ---- */

/* The last one: a hard limit does not go up again. */
static void more_flows_than_descriptors_are_told(void **state)
{
	const struct rlimit limit = { .rlim_cur = 400, .rlim_max = 800 };

	(void)state;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	nat_begin(&guest, "max_flows = 7000;"); /* raises the soft limit; an eighth is kept back */
	assert_non_null(strstr(guest.logged, "max_flows = 7000: there are descriptors for 700; raise the limit (ulimit "
	                                     "-Hn 8000)"));
	nat_end(&guest);
	nat_begin(&guest, "max_flows = 700;");
	assert_null(strstr(guest.logged, "max_flows"));
	nat_end(&guest);
	nat_begin(&guest, ""); /* nobody asked for so many */
	assert_null(strstr(guest.logged, "max_flows"));
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_a_flood_goes_back_to_the_host),
		cmocka_unit_test(times_that_come_together_do_not_hold_the_loop),
		cmocka_unit_test(times_are_in_order_however_many_were_there),
		cmocka_unit_test(more_flows_than_descriptors_are_told),
	};

	return cmocka_run_group_tests_name("nat_many", tests, NULL, NULL);
}
