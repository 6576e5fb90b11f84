/* SPDX-License-Identifier: MIT */
/*
 * rng.c - virtio entropy device (virtio 1.2, 5.4), and the plugin to learn from: see doc/plugin-authors.md.
 *
 * The guest queues empty buffers; we fill them from getrandom(2). The key `rate` bounds what it may draw a second.
 */
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include <linux/virtio_ids.h>

#include "capsa-plugin.h"

#define QUEUE 0
#define MAX_FILL 65536u /* bytes a request gets at most; a driver that wants more asks again (5.4.6.1) */
#define BUDGET 64       /* requests in one go, then others have their turn */

/* One instance. There may be several, so nothing is static but constants. */
struct rng {
	const struct capsa_host *host; /* the services, */
	struct capsa_device *dev;      /* and what they know us by */
	uint64_t rate, left;           /* bytes a second (0: no limit), and those left of this second, */
	int64_t second;                /* which began then: milliseconds of CLOCK_MONOTONIC */
	struct capsa_timer *timer;     /* its end, while the guest waits for that */
	uint64_t *bytes;               /* counter */
};

static const struct capsa_key keys[] = {
	{ .name = "rate",
	  .type = CAPSA_TYPE_SIZE,
	  .default_text = "0",
	  .min = 0,
	  .max = INT64_C(1) << 40,
	  .help = "bytes that the guest may draw a second; 0: no limit" },
	{ .name = NULL },
};

static void *create(const struct capsa_host *host, struct capsa_device *dev)
{
	struct rng *rng = calloc(1, sizeof *rng);

	if (!rng) {
		host->error(dev, "out of memory");
		return NULL;
	}
	rng->host = host;
	rng->dev = dev;
	return rng;
}

/* values[i] belongs to keys[i]. Type and limits have been checked, the default is filled in. */
static int config(void *self, const struct capsa_value *values, size_t n_values)
{
	struct rng *rng = self;

	(void)n_values;
	rng->rate = (uint64_t)values[0].integer;
	return 0;
}

/* What the guest shall see: one queue, no features, no configuration space. */
static int realize(void *self, struct capsa_setup *setup)
{
	struct rng *rng = self;

	setup->n_queues = 1;
	setup->queues[QUEUE].size = 64;
	rng->bytes = rng->host->counter(rng->dev, "bytes", "random bytes given to the guest");
	if (!rng->bytes)
		rng->host->error(rng->dev, "out of memory");
	return rng->bytes ? 0 : -1;
}

static void on_timer(void *ctx)
{
	struct rng *rng = ctx;

	rng->host->queue_again(rng->dev, QUEUE);
}

static int start(void *self)
{
	struct rng *rng = self;

	rng->timer = rng->host->timer_add(rng->dev, on_timer, rng);
	if (!rng->timer)
		rng->host->error(rng->dev, "out of memory");
	return rng->timer ? 0 : -1;
}

static int activate(void *self, uint64_t features)
{
	(void)self, (void)features;
	return 0;
}

/* May another request be served? If not, the timer is set: only while someone waits, for an idle device wakes nobody.
 */
static bool may_draw(struct rng *rng)
{
	struct timespec clock;
	int64_t now;

	if (!rng->rate)
		return true;
	clock_gettime(CLOCK_MONOTONIC, &clock);
	now = clock.tv_sec * INT64_C(1000) + clock.tv_nsec / 1000000;
	if (now - rng->second >= 1000) {
		rng->second = now;
		rng->left = rng->rate;
	}
	if (!rng->left)
		rng->host->timer_set(rng->timer, rng->second + 1000 - now);
	return rng->left;
}

/* Fills one request. Its buffers are guest memory: we only write there, so there is nothing to copy and check. */
static void fill(struct rng *rng, struct capsa_request *request)
{
	const size_t limit = rng->rate && rng->left < MAX_FILL ? (size_t)rng->left : MAX_FILL;
	size_t done = 0;

	for (unsigned i = 0; i < request->n_writable && done < limit; i++) {
		size_t len = request->writable[i].iov_len;
		ssize_t got = getrandom(request->writable[i].iov_base, len < limit - done ? len : limit - done, 0);

		done += got > 0 ? (size_t)got : 0;
		if (got < 0 || (size_t)got < len) /* what counts as written must have no gaps */
			break;
	}
	rng->left -= rng->rate ? done : 0;
	__atomic_fetch_add(rng->bytes, done, __ATOMIC_RELAXED);
	rng->host->queue_complete(rng->dev, request, done);
}

static void queue_notify(void *self, unsigned queue)
{
	struct rng *rng = self;
	struct capsa_request *request;

	for (unsigned served = 0; may_draw(rng); served++) {
		if (served == BUDGET) {
			rng->host->queue_again(rng->dev, queue);
			return;
		}
		request = rng->host->queue_pop(rng->dev, queue);
		if (!request)
			return;
		fill(rng, request);
	}
}

/* The driver let go. We keep no request, so there is only the timer to forget. */
static void reset(void *self)
{
	struct rng *rng = self;

	rng->host->timer_set(rng->timer, -1);
}

static void stop(void *self)
{
	struct rng *rng = self;

	rng->host->timer_remove(rng->timer);
}

static void destroy(void *self)
{
	free(self);
}

static const struct capsa_plugin plugin = {
	CAPSA_PLUGIN_HEADER,
	.name = "rng",
	.version = "0.1.0",
	.description = "random numbers for the guest, from the host's getrandom(2)",
	.virtio_device_id = VIRTIO_ID_RNG,
	.thread_model = CAPSA_THREAD_REACTOR,
	.keys = keys,
	.create = create,
	.config = config,
	.realize = realize,
	.start = start,
	.activate = activate,
	.queue_notify = queue_notify,
	.reset = reset,
	.stop = stop,
	.destroy = destroy,
};

const struct capsa_plugin *capsa_plugin_entry(void)
{
	return &plugin;
}
