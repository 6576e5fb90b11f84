/* SPDX-License-Identifier: MIT */
/*
 * services-event.c - watches, timers and deferred calls of an instance, on the reactors of core/base.
 *
 * Each is a reactor's object in a shell. The shell survives stop (which takes the reactor's object away, so that
 * nothing of a stopped instance runs), because destroy() may still remove it; what the plugin forgets is freed
 * with the instance.
 *
 * HOLD: watch_hold_until_room() pauses a watch and asks virtio for one notification of the queue; device.c sees
 * that notification first and calls instance_release_holds(). Nothing is released at reset, as virtio has
 * forgotten the question: activate releases everything, and who still has no room holds again.
 *
 * All of it runs on the object's own loop, or on the main thread while that loop does not run the instance's code.
 * Only for the extra loops with queues of PARALLEL instances, which run all the time, is the main thread's wish
 * carried over there.
 */
#include "core/plugin/instance.h"

#include <stdlib.h>

#include "core/base/log.h"

struct reactor *instance_queue_loop(const struct plugin_device *d, unsigned queue)
{
	if (d->info->thread_model != CAPSA_THREAD_PARALLEL || d->environment->n_loops == 0)
		return d->home;
	return d->environment->loops[queue % d->environment->n_loops];
}

/* Runs call(ctx) where objects of `loop` may be touched. */
static void on_loop(const struct plugin_device *d, struct reactor *loop, void (*call)(void *ctx), void *ctx)
{
	if (loop == d->home)
		call(ctx);
	else
		reactor_call_wait(loop, call, ctx);
}

/* ---- watches ---- */

struct watch_request {
	struct capsa_watch *watch;
	struct reactor_watch *old;
	int fd;
	unsigned events;
	void (*call)(void *ctx, int fd, unsigned events);
	void *ctx;
	int result;
};

static void watch_add_there(void *ctx)
{
	struct watch_request *wish = ctx;

	wish->watch->watch = reactor_watch_add(wish->watch->loop, wish->fd, wish->events, wish->call, wish->ctx);
}

static struct capsa_watch *watch_new(struct plugin_device *d, struct reactor *loop, int fd, unsigned events,
                                     void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	struct capsa_watch *watch;
	struct watch_request wish = { .fd = fd, .events = events, .call = call, .ctx = ctx };

	if (!loop || d->state == INSTANCE_STOPPED)
		return NULL;
	watch = calloc(1, sizeof *watch);
	if (!watch)
		return NULL;
	watch->instance = d;
	watch->loop = loop;
	watch->events = events;
	wish.watch = watch;
	/* On the list first: a handler on another loop may remove it before we are back. */
	pthread_mutex_lock(&d->list_lock);
	LIST_INSERT_HEAD(&d->watches, watch, link);
	pthread_mutex_unlock(&d->list_lock);
	on_loop(d, loop, watch_add_there, &wish);
	if (watch->watch)
		return watch;
	pthread_mutex_lock(&d->list_lock);
	LIST_REMOVE(watch, link);
	pthread_mutex_unlock(&d->list_lock);
	free(watch);
	return NULL;
}

struct capsa_watch *service_watch_add(struct capsa_device *dev, int fd, unsigned events,
                                      void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	return watch_new(dev->instance, dev->instance->home, fd, events, call, ctx);
}

struct capsa_watch *service_queue_watch_add(struct capsa_device *dev, unsigned queue, int fd, unsigned events,
                                            void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	return watch_new(dev->instance, instance_queue_loop(dev->instance, queue), fd, events, call, ctx);
}

static void forget_hold(struct capsa_watch *watch)
{
	if (watch->held)
		watch->instance->holds[watch->held_for]--;
	watch->held = false;
}

static void watch_set_there(void *ctx)
{
	struct watch_request *wish = ctx;
	struct capsa_watch *watch = wish->watch;

	forget_hold(watch);
	watch->events = wish->events;
	wish->result = watch->watch ? reactor_watch_set(watch->watch, wish->events) : 0;
}

int service_watch_set(struct capsa_watch *watch, unsigned events)
{
	struct watch_request wish = { .watch = watch, .events = events };

	on_loop(watch->instance, watch->loop, watch_set_there, &wish);
	return wish.result;
}

bool service_watch_hold_until_room(struct capsa_watch *watch, unsigned queue)
{
	struct plugin_device *d = watch->instance;

	if (queue >= d->setup.n_queues || instance_queue_loop(d, queue) != watch->loop) {
		log_error("%s: a fault of the plugin %s: it holds a watch for queue %u, %s", d->name, d->info->name,
		          queue,
		          queue < d->setup.n_queues ? "which is handled on another loop" : "which it does not have");
		return false;
	}
	/* An inactive device has no room; activate releases. */
	if (atomic_load(&d->active) && virtio_queue_wait(d->virtio, queue))
		return false;
	forget_hold(watch);
	watch->held = true;
	watch->held_for = queue;
	d->holds[queue]++;
	if (watch->watch)
		reactor_watch_set(watch->watch, 0);
	return true;
}

/* Resumes what is held on `loop`, for one queue or for all (CAPSA_MAX_QUEUES). There. */
static bool release(struct plugin_device *d, const struct reactor *loop, unsigned queue)
{
	struct capsa_watch *watch;
	bool any = false;

	pthread_mutex_lock(&d->list_lock);
	LIST_FOREACH(watch, &d->watches, link)
	{
		if (watch->loop != loop || !watch->held || (queue < CAPSA_MAX_QUEUES && watch->held_for != queue))
			continue;
		forget_hold(watch);
		if (watch->watch)
			reactor_watch_set(watch->watch, watch->events);
		any = true;
	}
	pthread_mutex_unlock(&d->list_lock);
	return any;
}

bool instance_release_holds(struct plugin_device *d, unsigned queue)
{
	return d->holds[queue] && release(d, instance_queue_loop(d, queue), queue);
}

struct release_request {
	struct plugin_device *d;
	struct reactor *loop;
};

static void release_there(void *ctx)
{
	struct release_request *wish = ctx;

	release(wish->d, wish->loop, CAPSA_MAX_QUEUES);
}

void instance_release_all_holds(struct plugin_device *d)
{
	release(d, d->home, CAPSA_MAX_QUEUES);
	if (d->info->thread_model != CAPSA_THREAD_PARALLEL)
		return;
	for (unsigned i = 0; i < d->environment->n_loops; i++) {
		struct release_request wish = { .d = d, .loop = d->environment->loops[i] };

		on_loop(d, wish.loop, release_there, &wish);
	}
}

static void watch_remove_there(void *ctx)
{
	struct watch_request *wish = ctx;

	forget_hold(wish->watch);
	reactor_watch_remove(wish->old);
}

/* Takes the reactor's object out of the shell. */
static void watch_silence(struct capsa_watch *watch)
{
	struct watch_request wish = { .watch = watch, .old = watch->watch };

	watch->watch = NULL;
	if (wish.old)
		on_loop(watch->instance, watch->loop, watch_remove_there, &wish);
}

void service_watch_remove(struct capsa_watch *watch)
{
	if (!watch)
		return;
	watch_silence(watch);
	pthread_mutex_lock(&watch->instance->list_lock);
	LIST_REMOVE(watch, link);
	pthread_mutex_unlock(&watch->instance->list_lock);
	free(watch);
}

/* ---- timers: home loop only ---- */

struct capsa_timer *service_timer_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	struct plugin_device *d = dev->instance;
	struct capsa_timer *timer;

	if (!d->home || d->state == INSTANCE_STOPPED)
		return NULL;
	timer = calloc(1, sizeof *timer);
	if (!timer)
		return NULL;
	timer->instance = d;
	timer->timer = reactor_timer_add(d->home, call, ctx);
	if (!timer->timer) {
		free(timer);
		return NULL;
	}
	LIST_INSERT_HEAD(&d->timers, timer, link);
	return timer;
}

void service_timer_set(struct capsa_timer *timer, int64_t ms)
{
	if (timer->timer)
		reactor_timer_set(timer->timer, ms);
}

static void timer_silence(struct capsa_timer *timer)
{
	if (timer->timer)
		reactor_timer_remove(timer->timer);
	timer->timer = NULL;
}

void service_timer_remove(struct capsa_timer *timer)
{
	if (!timer)
		return;
	timer_silence(timer);
	LIST_REMOVE(timer, link);
	free(timer);
}

/* ---- deferred calls ---- */

struct deferred_request {
	struct capsa_deferred *deferred;
	struct reactor_call *old;
	void (*call)(void *ctx);
	void *ctx;
};

static void deferred_add_there(void *ctx)
{
	struct deferred_request *wish = ctx;

	wish->deferred->call = reactor_call_add(wish->deferred->loop, wish->call, wish->ctx);
}

static struct capsa_deferred *deferred_new(struct plugin_device *d, struct reactor *loop, void (*call)(void *ctx),
                                           void *ctx)
{
	struct deferred_request wish = { .call = call, .ctx = ctx };
	struct capsa_deferred *deferred;

	if (!loop || d->state == INSTANCE_STOPPED)
		return NULL;
	deferred = calloc(1, sizeof *deferred);
	if (!deferred)
		return NULL;
	deferred->instance = d;
	deferred->loop = loop;
	wish.deferred = deferred;
	on_loop(d, loop, deferred_add_there, &wish);
	if (!deferred->call) {
		free(deferred);
		return NULL;
	}
	pthread_mutex_lock(&d->list_lock);
	LIST_INSERT_HEAD(&d->deferreds, deferred, link);
	pthread_mutex_unlock(&d->list_lock);
	return deferred;
}

struct capsa_deferred *service_deferred_add(struct capsa_device *dev, void (*call)(void *ctx), void *ctx)
{
	return deferred_new(dev->instance, dev->instance->home, call, ctx);
}

struct capsa_deferred *service_queue_deferred_add(struct capsa_device *dev, unsigned queue, void (*call)(void *ctx),
                                                  void *ctx)
{
	return deferred_new(dev->instance, instance_queue_loop(dev->instance, queue), call, ctx);
}

void service_deferred_run(struct capsa_deferred *deferred)
{
	/* Against stop, which takes the call away while another thread may ask for it. */
	pthread_mutex_lock(&deferred->instance->list_lock);
	if (deferred->call)
		reactor_call_run(deferred->call);
	pthread_mutex_unlock(&deferred->instance->list_lock);
}

static void deferred_remove_there(void *ctx)
{
	struct deferred_request *wish = ctx;

	reactor_call_remove(wish->old);
}

static void deferred_silence(struct capsa_deferred *deferred)
{
	struct plugin_device *d = deferred->instance;
	struct deferred_request wish = { .deferred = deferred };

	pthread_mutex_lock(&d->list_lock);
	wish.old = deferred->call;
	deferred->call = NULL;
	pthread_mutex_unlock(&d->list_lock);
	if (wish.old)
		on_loop(d, deferred->loop, deferred_remove_there, &wish);
}

void service_deferred_remove(struct capsa_deferred *deferred)
{
	if (!deferred)
		return;
	deferred_silence(deferred);
	pthread_mutex_lock(&deferred->instance->list_lock);
	LIST_REMOVE(deferred, link);
	pthread_mutex_unlock(&deferred->instance->list_lock);
	free(deferred);
}

/* ---- the end ---- */

void instance_silence_events(struct plugin_device *d)
{
	struct capsa_watch *watch;
	struct capsa_timer *timer;
	struct capsa_deferred *deferred;

	LIST_FOREACH(watch, &d->watches, link)
	watch_silence(watch);
	LIST_FOREACH(timer, &d->timers, link)
	timer_silence(timer);
	LIST_FOREACH(deferred, &d->deferreds, link)
	deferred_silence(deferred);
}

void instance_free_events(struct plugin_device *d)
{
	while (!LIST_EMPTY(&d->watches))
		service_watch_remove(LIST_FIRST(&d->watches));
	while (!LIST_EMPTY(&d->timers))
		service_timer_remove(LIST_FIRST(&d->timers));
	while (!LIST_EMPTY(&d->deferreds))
		service_deferred_remove(LIST_FIRST(&d->deferreds));
}
