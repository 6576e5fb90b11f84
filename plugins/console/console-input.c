/* SPDX-License-Identifier: MIT */
/*
 * console-input.c - host -> guest. Owns what input waits for. Called by console.c and the backends.
 *
 * Theory of operation: input is read when the guest has a buffer for it, and never before: pipes and terminals throttle
 * whoever writes to them.
 *
 * THE ARRIVAL. Linux's driver fills its ring before its console exists, and throws away what arrives in between: without
 * more ado the words of `echo poweroff | capsa -c vm.conf` would always be lost. Nothing in the protocol of a single port
 * tells when the console is there; but the driver prints the kernel's log as it comes, and then is quiet. So input waits
 * until the guest has said nothing for a moment, at most a few seconds after DRIVER_OK: its buffers are taken out of the
 * ring meanwhile, which holds the sources as a full ring does, and are given back unused.
 */
#include "console.h"

#include <time.h>

#include "backend.h"

#define QUIET_MS 250
#define ARRIVAL_MS 5000

int64_t console_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static void on_arrival(void *ctx)
{
	struct console *c = ctx;
	struct console_arrival *a = &c->arrival;

	a->waits = false;
	if (!c->active)
		return;
	while (a->n_kept)
		c->host->queue_give_back(c->dev, a->kept[--a->n_kept]);
	/* As if the driver had just brought them: what is held goes on, and is called. */
	c->host->queue_again(c->dev, CONSOLE_RX);
}

int input_start(struct console *c)
{
	c->arrival.timer = c->host->timer_add(c->dev, on_arrival, c);
	return c->arrival.timer ? 0 : -1;
}

void input_activate(struct console *c)
{
	c->arrival.waits = true;
	c->arrival.latest = console_now() + ARRIVAL_MS;
	c->host->timer_set(c->arrival.timer, QUIET_MS);
}

void input_guest_speaks(struct console *c)
{
	if (c->arrival.waits && console_now() < c->arrival.latest)
		c->host->timer_set(c->arrival.timer, QUIET_MS);
}

void input_reset(struct console *c)
{
	/* The core has taken the requests back. */
	c->arrival.n_kept = 0;
	c->arrival.waits = false;
	c->host->timer_set(c->arrival.timer, -1);
}

void input_stop(struct console *c)
{
	c->host->timer_remove(c->arrival.timer);
	c->arrival.timer = NULL;
}

/* True where the guest has a buffer after all; else the source is held. */
static bool room_after_all(struct console *c, struct capsa_watch *watch)
{
	if (watch)
		return !c->host->watch_hold_until_room(watch, CONSOLE_RX);
	return c->active && c->host->queue_wait(c->dev, CONSOLE_RX);
}

void console_input(struct console *c, struct capsa_watch *watch)
{
	const struct capsa_host *host = c->host;
	unsigned char bytes[4096]; /* as large as Linux's buffers */
	unsigned served = 0;

	for (; served < CONSOLE_BUDGET_REQUESTS; served++) {
		struct capsa_request *request = host->queue_pop(c->dev, CONSOLE_RX);
		size_t room, n;

		if (!request) {
			if (room_after_all(c, watch))
				continue;
			break;
		}
		if (c->arrival.waits && c->arrival.n_kept < CONSOLE_QUEUE_SIZE) {
			c->arrival.kept[c->arrival.n_kept++] = request;
			continue;
		}
		room = request->writable_bytes < sizeof bytes ? request->writable_bytes : sizeof bytes;
		n = room ? c->ops->read(c, bytes, room) : 0;
		if (room && !n) {
			host->queue_give_back(c->dev, request);
			break;
		}
		/* The guest's own fault where it has no room for a single byte. */
		n = host->request_write(request, 0, bytes, n);
		host->queue_complete(c->dev, request, n);
		__atomic_fetch_add(c->rx_bytes, n, __ATOMIC_RELAXED);
	}
	host->queue_flush(c->dev, CONSOLE_RX);
	/* A watch calls again by itself. */
	if (served == CONSOLE_BUDGET_REQUESTS && !watch)
		console_pull(c);
}
