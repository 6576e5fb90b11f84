/* SPDX-License-Identifier: MIT */
/*
 * timeout.c - see timeout.h.
 *
 * The heap is an array from 1 on, ordered by `heaped`: the time that the heap knows, never later than `at`. What moves
 * later keeps its place until `heaped` has come, and is then put where `at` says; so a time that is pushed back at each
 * segment costs one store a segment, and one wake-up for each time that it would have been due. The array grows and
 * shrinks by halves.
 */
#include "plugins/net-nat/timeout.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#define CALLS_A_TURN 256u
#define MOVES_A_TURN 4096u /* of those that were pushed back */
#define FIRST_ROOM 64u

struct timeouts {
	const struct capsa_host *host;
	struct capsa_timer *timer;
	uint64_t now;
	uint64_t ahead;        /* timeouts_skip() */
	uint64_t armed;        /* what the host's timer is set to; 0: not set */
	struct timeout **heap; /* [1..n] */
	unsigned n, room;      /* room: entries of `heap`, 0 included */
	bool running;          /* the host's timer is set when all calls have been made */
};

static uint64_t clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void place(struct timeouts *timeouts, unsigned at, struct timeout *timeout)
{
	timeouts->heap[at] = timeout;
	timeout->place = at;
}

static void sift_up(struct timeouts *timeouts, unsigned at, struct timeout *timeout)
{
	while (at > 1 && timeouts->heap[at / 2]->heaped > timeout->heaped) {
		place(timeouts, at, timeouts->heap[at / 2]);
		at /= 2;
	}
	place(timeouts, at, timeout);
}

static void sift_down(struct timeouts *timeouts, unsigned at, struct timeout *timeout)
{
	for (unsigned child; (child = at * 2) <= timeouts->n; at = child) {
		if (child < timeouts->n && timeouts->heap[child + 1]->heaped < timeouts->heap[child]->heaped)
			child++;
		if (timeouts->heap[child]->heaped >= timeout->heaped)
			break;
		place(timeouts, at, timeouts->heap[child]);
	}
	place(timeouts, at, timeout);
}

/* -ENOMEM: it stays as it is. */
static int set_room(struct timeouts *timeouts, unsigned room)
{
	struct timeout **heap = reallocarray(timeouts->heap, room, sizeof *heap);

	if (!heap)
		return -ENOMEM;
	timeouts->heap = heap;
	timeouts->room = room;
	return 0;
}

static void take_out(struct timeouts *timeouts, struct timeout *timeout)
{
	struct timeout *last = timeouts->heap[timeouts->n--];
	const unsigned at = timeout->place;

	timeout->place = 0;
	if (last != timeout) {
		if (at > 1 && timeouts->heap[at / 2]->heaped > last->heaped)
			sift_up(timeouts, at, last);
		else
			sift_down(timeouts, at, last);
	}
	if (timeouts->n < timeouts->room / 8 && timeouts->room > FIRST_ROOM)
		(void)set_room(timeouts, timeouts->room / 2);
}

/* A timer that comes too early is harmless, so it is not pushed back: only what is earlier is told to the host. */
static void arm(struct timeouts *timeouts)
{
	const uint64_t first = timeouts->n ? timeouts->heap[1]->heaped : 0;

	if (timeouts->running || (first && timeouts->armed && timeouts->armed <= first))
		return;
	if (first)
		timeouts->host->timer_set(timeouts->timer,
		                          first > timeouts->now ? (int64_t)(first - timeouts->now) : 0);
	else if (timeouts->armed)
		timeouts->host->timer_set(timeouts->timer, -1);
	timeouts->armed = first;
}

static void on_timer(void *ctx)
{
	struct timeouts *timeouts = ctx;
	unsigned calls = 0, moves = 0;

	timeouts_refresh(timeouts);
	timeouts->armed = 0;
	timeouts->running = true;
	/* What a call sets is later than now, so it is not reached. */
	while (timeouts->n && timeouts->heap[1]->heaped <= timeouts->now && calls < CALLS_A_TURN &&
	       moves < MOVES_A_TURN) {
		struct timeout *first = timeouts->heap[1];

		if (first->at > timeouts->now) {
			moves++;
			first->heaped = first->at;
			sift_down(timeouts, 1, first);
			continue;
		}
		take_out(timeouts, first);
		first->at = 0;
		calls++;
		first->call(first);
	}
	timeouts->running = false;
	arm(timeouts);
}

int timeouts_new(const struct capsa_host *host, struct capsa_device *dev, struct timeouts **out)
{
	struct timeouts *timeouts = calloc(1, sizeof *timeouts);

	*out = NULL;
	if (!timeouts)
		return -ENOMEM;
	timeouts->host = host;
	timeouts->timer = host->timer_add(dev, on_timer, timeouts);
	if (!timeouts->timer) {
		free(timeouts);
		return -ENOMEM;
	}
	timeouts_refresh(timeouts);
	*out = timeouts;
	return 0;
}

void timeouts_free(struct timeouts *timeouts)
{
	if (!timeouts)
		return;
	timeouts->host->timer_remove(timeouts->timer);
	free(timeouts->heap);
	free(timeouts);
}

uint64_t timeouts_now(const struct timeouts *timeouts)
{
	return timeouts->now;
}

void timeouts_refresh(struct timeouts *timeouts)
{
	timeouts->now = clock_ms() + timeouts->ahead;
}

void timeouts_skip(struct timeouts *timeouts, uint64_t ms)
{
	timeouts->ahead += ms;
	timeouts_refresh(timeouts);
}

static int make_room(struct timeouts *timeouts)
{
	if (timeouts->n + 1 < timeouts->room)
		return 0;
	return set_room(timeouts, timeouts->room ? timeouts->room * 2 : FIRST_ROOM);
}

int timeout_set(struct timeouts *timeouts, struct timeout *timeout, uint64_t ms)
{
	const uint64_t at = timeouts->now + (ms ? ms : 1);

	if (timeout->place && at >= timeout->heaped) {
		timeout->at = at;
		return 0;
	}
	if (!timeout->place && make_room(timeouts) < 0) {
		timeout->at = 0;
		return -ENOMEM;
	}
	timeout->at = timeout->heaped = at;
	sift_up(timeouts, timeout->place ? timeout->place : ++timeouts->n, timeout);
	arm(timeouts);
	return 0;
}

void timeout_clear(struct timeouts *timeouts, struct timeout *timeout)
{
	timeout->at = 0;
	if (!timeout->place)
		return;
	take_out(timeouts, timeout);
	if (!timeouts->n)
		arm(timeouts);
}
