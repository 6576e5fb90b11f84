/* SPDX-License-Identifier: MIT */
/*
 * reactor.c - see reactor.h. Owns a libevent base over epoll(7) and one eventfd a loop. Called by
 * every room that waits for something.
 *
 * Theory of operation
 *
 * libevent runs without locks (EVENT_BASE_FLAG_NOLOCK), so that dispatching an event costs none:
 * only the loop's own thread touches the base. What other threads ask for goes through `remote` and
 * `waiters` under `lock`; the one who finds both empty writes the eventfd. The eventfd is watched edge
 * triggered: each write is an edge, so nobody has to read it.
 *
 * A call asked for on the loop's thread goes to `local`, and the `runner` event is made active: it
 * runs in the same pass, behind what is already active, without a system call. What calls ask for
 * while calls are run waits for the next pass (a timer of zero seconds, which libevent looks at after
 * epoll_wait(2)): two calls that ask for each other starve no file descriptor.
 *
 * A watch is two libevent events, one for each direction: changing one direction is one epoll_ctl(2).
 *
 * Timers: libevent's clock is CLOCK_MONOTONIC_COARSE, some milliseconds behind, and a pass of handlers
 * shares one reading. A timer therefore keeps its deadline and looks at the exact clock (no system
 * call either) before it fires: it can be late, never early.
 */
#include "core/base/reactor.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"

/* A circular list: a member unlinks itself without knowing which list it is in. */
struct link {
	struct link *next, *previous;
};

struct reactor {
	struct event_base *base;
	int wake_fd;
	struct event wake;   /* wake_fd */
	struct event runner; /* runs `local` */
	bool runner_scheduled;
	bool draining;     /* calls are being run */
	struct link local; /* calls asked for on this thread */

	atomic_bool stopping;
	/* Of reactor_run(); 0: not running. pthread_t is an integer on Linux. */
	_Atomic(pthread_t) thread;

	pthread_mutex_t lock;
	pthread_cond_t waiter_done;
	struct link remote;     /* calls asked for by other threads */
	struct waiter *waiters; /* reactor_call_wait(), the newest first */
};

struct reactor_watch {
	struct reactor *reactor;
	struct event read, write;
	unsigned events;
	void (*call)(void *ctx, int fd, unsigned events);
	void *ctx;
};

struct reactor_timer {
	struct reactor *reactor;
	struct event event;
	int64_t deadline; /* nanoseconds of CLOCK_MONOTONIC */
	void (*call)(void *ctx);
	void *ctx;
};

struct reactor_call {
	struct link link; /* first: a link is its call */
	struct reactor *reactor;
	atomic_bool asked; /* in `local` or `remote` */
	void (*call)(void *ctx);
	void *ctx;
};

struct reactor_signal {
	struct reactor *reactor;
	struct event event;
	void (*call)(void *ctx, int signo);
	void *ctx;
};

/* On the stack of the thread that waits. */
struct waiter {
	struct waiter *next;
	void (*call)(void *ctx);
	void *ctx;
	bool done;
};

static void link_init(struct link *link)
{
	link->next = link->previous = link;
}

static bool link_alone(const struct link *link)
{
	return link->next == link;
}

static void link_remove(struct link *link)
{
	link->previous->next = link->next;
	link->next->previous = link->previous;
	link_init(link);
}

static void link_append(struct link *list, struct link *link)
{
	link->previous = list->previous;
	link->next = list;
	list->previous->next = link;
	list->previous = link;
}

/* Moves all of `from` to the place before `at`: the end of a list, or its beginning where `at` is its first. */
static void link_splice(struct link *at, struct link *from)
{
	if (link_alone(from))
		return;
	from->next->previous = at->previous;
	from->previous->next = at;
	at->previous->next = from->next;
	at->previous = from->previous;
	link_init(from);
}

static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool on_own_thread(struct reactor *reactor)
{
	return atomic_load_explicit(&reactor->thread, memory_order_relaxed) == pthread_self();
}

static void wake(struct reactor *reactor)
{
	const uint64_t one = 1;
	ssize_t n;

	do
		n = write(reactor->wake_fd, &one, sizeof one);
	while (n < 0 && errno == EINTR);
}

/* At the end of each handler: a stop asked for by another thread does not wait for the rest of the pass. */
static void handler_done(struct reactor *reactor)
{
	if (atomic_load_explicit(&reactor->stopping, memory_order_relaxed))
		event_base_loopbreak(reactor->base);
}

static void schedule_runner(struct reactor *reactor)
{
	const struct timeval zero = { 0, 0 };

	if (reactor->runner_scheduled)
		return;
	reactor->runner_scheduled = true;
	/* The time-out can fail without memory; then the same pass is better than never. */
	if (!reactor->draining || event_add(&reactor->runner, &zero))
		event_active(&reactor->runner, EV_TIMEOUT, 0);
}

/* Runs what was asked for until now; what these calls ask for waits for the next pass. */
static void run_calls(struct reactor *reactor)
{
	struct link batch;

	link_init(&batch);
	link_splice(&batch, &reactor->local);
	reactor->draining = true;
	while (!link_alone(&batch) && !atomic_load_explicit(&reactor->stopping, memory_order_relaxed)) {
		struct reactor_call *call = (struct reactor_call *)batch.next;

		link_remove(&call->link);
		atomic_store(&call->asked, false);
		call->call(call->ctx);
	}
	if (!link_alone(&batch)) {
		link_splice(reactor->local.next, &batch);
		schedule_runner(reactor);
	}
	reactor->draining = false;
}

static struct waiter *take_waiters(struct reactor *reactor)
{
	struct waiter *list = reactor->waiters;

	reactor->waiters = NULL;
	return list;
}

/* `list` has the newest first; they run in the order in which they came. */
static void run_waiters(struct reactor *reactor, struct waiter *list)
{
	struct waiter *waiter, *next, *ordered = NULL;

	for (waiter = list; waiter; waiter = next) {
		next = waiter->next;
		waiter->next = ordered;
		ordered = waiter;
	}
	for (waiter = ordered; waiter; waiter = next) {
		next = waiter->next;
		waiter->call(waiter->ctx);
		pthread_mutex_lock(&reactor->lock);
		waiter->done = true; /* gone with its owner's stack from here on */
		pthread_cond_broadcast(&reactor->waiter_done);
		pthread_mutex_unlock(&reactor->lock);
	}
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct reactor *reactor = arg;
	struct waiter *waiters;

	(void)fd;
	(void)what;
	/* Both at once: whoever finds one of them filled relies on a wake-up that is still to come. */
	pthread_mutex_lock(&reactor->lock);
	waiters = take_waiters(reactor);
	link_splice(&reactor->local, &reactor->remote);
	pthread_mutex_unlock(&reactor->lock);
	run_waiters(reactor, waiters);
	run_calls(reactor);
	handler_done(reactor);
}

static void on_runner(evutil_socket_t fd, short what, void *arg)
{
	struct reactor *reactor = arg;

	(void)fd;
	(void)what;
	reactor->runner_scheduled = false;
	run_calls(reactor);
	handler_done(reactor);
}

/*
 * libevent warns about every fd that epoll(7) refuses, to standard error; the caller gets an errno instead. Behind an
 * error it ends the process (no descriptor for its own signal pipe, for one), so that must be said.
 */
static void on_libevent_log(int severity, const char *message)
{
	if (severity >= EVENT_LOG_ERR)
		log_error("cannot make an event loop: %s", message);
	else if (severity >= EVENT_LOG_WARN)
		log_debug("libevent: %s", message);
}

static void quieten_libevent(void)
{
	event_set_log_callback(on_libevent_log);
}

static struct event_base *new_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV))
		goto out;
	/* poll(2) and select(2) would break the promise about edge triggering. */
	if (event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_O1))
		goto out;
	base = event_base_new_with_config(config);
out:
	event_config_free(config);
	return base;
}

int reactor_new(struct reactor **out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct reactor *reactor;
	int rc = -ENOMEM;

	pthread_once(&once, quieten_libevent);
	reactor = calloc(1, sizeof *reactor);
	if (!reactor)
		return -ENOMEM;
	link_init(&reactor->local);
	link_init(&reactor->remote);
	reactor->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (reactor->wake_fd < 0) {
		rc = -errno;
		goto free_reactor;
	}
	errno = 0;
	reactor->base = new_base();
	if (!reactor->base) {
		rc = errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
		goto close_wake;
	}
	if (event_assign(&reactor->wake, reactor->base, reactor->wake_fd, EV_READ | EV_PERSIST | EV_ET, on_wake,
	                 reactor) ||
	    event_assign(&reactor->runner, reactor->base, -1, 0, on_runner, reactor) || event_add(&reactor->wake, NULL))
		goto free_base;
	rc = -pthread_mutex_init(&reactor->lock, NULL);
	if (rc)
		goto remove_wake;
	rc = -pthread_cond_init(&reactor->waiter_done, NULL);
	if (rc)
		goto destroy_lock;
	*out = reactor;
	return 0;
destroy_lock:
	pthread_mutex_destroy(&reactor->lock);
remove_wake:
	event_del(&reactor->wake);
free_base:
	event_base_free(reactor->base);
close_wake:
	close(reactor->wake_fd);
free_reactor:
	free(reactor);
	return rc;
}

void reactor_free(struct reactor *reactor)
{
	if (!reactor)
		return;
	event_del(&reactor->runner);
	event_del(&reactor->wake);
	event_base_free(reactor->base);
	close(reactor->wake_fd);
	pthread_cond_destroy(&reactor->waiter_done);
	pthread_mutex_destroy(&reactor->lock);
	free(reactor);
}

void reactor_run(struct reactor *reactor)
{
	struct waiter *waiters;

	pthread_mutex_lock(&reactor->lock);
	atomic_store(&reactor->thread, pthread_self());
	pthread_mutex_unlock(&reactor->lock);
	/* exchange: a stop is used up by the run that it ended. */
	while (!atomic_exchange(&reactor->stopping, false))
		event_base_loop(reactor->base, 0);
	/* Whoever saw the loop running waits for it; from here on others help themselves. */
	pthread_mutex_lock(&reactor->lock);
	atomic_store(&reactor->thread, (pthread_t)0);
	waiters = take_waiters(reactor);
	pthread_mutex_unlock(&reactor->lock);
	run_waiters(reactor, waiters);
}

void reactor_stop(struct reactor *reactor)
{
	atomic_store(&reactor->stopping, true);
	if (!on_own_thread(reactor))
		wake(reactor);
}

static void on_watch(evutil_socket_t fd, short what, void *arg)
{
	struct reactor_watch *watch = arg;
	struct reactor *reactor = watch->reactor;

	watch->call(watch->ctx, fd, what & EV_READ ? REACTOR_READ : REACTOR_WRITE);
	handler_done(reactor);
}

struct reactor_watch *reactor_watch_add(struct reactor *reactor, int fd, unsigned events,
                                        void (*call)(void *ctx, int fd, unsigned events), void *ctx)
{
	const short kind = EV_PERSIST | (events & REACTOR_EDGE ? EV_ET : 0);
	struct reactor_watch *watch = calloc(1, sizeof *watch);
	int rc;

	if (!watch)
		return NULL;
	watch->reactor = reactor;
	watch->call = call;
	watch->ctx = ctx;
	if (fd < 0 || event_assign(&watch->read, reactor->base, fd, EV_READ | kind, on_watch, watch) ||
	    event_assign(&watch->write, reactor->base, fd, EV_WRITE | kind, on_watch, watch)) {
		free(watch);
		errno = EBADF;
		return NULL;
	}
	rc = reactor_watch_set(watch, events);
	if (rc) {
		reactor_watch_remove(watch);
		errno = -rc;
		return NULL;
	}
	return watch;
}

static int set_direction(struct event *event, bool on)
{
	errno = 0;
	if (on ? event_add(event, NULL) : event_del(event))
		return errno ? -errno : -ENOMEM;
	return 0;
}

int reactor_watch_set(struct reactor_watch *watch, unsigned events)
{
	const unsigned changed = watch->events ^ events;
	int rc;

	if (changed & REACTOR_READ) {
		rc = set_direction(&watch->read, events & REACTOR_READ);
		if (rc)
			return rc;
		watch->events ^= REACTOR_READ;
	}
	if (changed & REACTOR_WRITE) {
		rc = set_direction(&watch->write, events & REACTOR_WRITE);
		if (rc)
			return rc;
		watch->events ^= REACTOR_WRITE;
	}
	return 0;
}

void reactor_watch_remove(struct reactor_watch *watch)
{
	if (!watch)
		return;
	event_del(&watch->read);
	event_del(&watch->write);
	free(watch);
}

/* Rounded up to libevent's microseconds. */
static void arm_timer(struct reactor_timer *timer, int64_t ns)
{
	const int64_t us = ns / 1000 + (ns % 1000 != 0);
	const struct timeval after = { .tv_sec = us / 1000000, .tv_usec = us % 1000000 };

	/* Only the growth of libevent's heap of running timers can fail. */
	if (event_add(&timer->event, &after))
		log_error("a timer could not be set: out of memory");
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct reactor_timer *timer = arg;
	struct reactor *reactor = timer->reactor;
	const int64_t left = timer->deadline - now_ns();

	(void)fd;
	(void)what;
	if (left > 0) {
		arm_timer(timer, left);
		return;
	}
	timer->call(timer->ctx);
	handler_done(reactor);
}

struct reactor_timer *reactor_timer_add(struct reactor *reactor, void (*call)(void *ctx), void *ctx)
{
	struct reactor_timer *timer = calloc(1, sizeof *timer);

	if (!timer)
		return NULL;
	timer->reactor = reactor;
	timer->call = call;
	timer->ctx = ctx;
	if (event_assign(&timer->event, reactor->base, -1, 0, on_timer, timer)) {
		free(timer);
		return NULL;
	}
	return timer;
}

void reactor_timer_set(struct reactor_timer *timer, int64_t ms)
{
	/* A century is for ever, and far from any overflow. */
	const int64_t limit = INT64_C(100) * 366 * 24 * 3600 * 1000;

	if (ms < 0) {
		event_del(&timer->event);
		return;
	}
	if (ms > limit)
		ms = limit;
	timer->deadline = now_ns() + ms * 1000000;
	arm_timer(timer, ms * 1000000);
}

void reactor_timer_remove(struct reactor_timer *timer)
{
	if (!timer)
		return;
	event_del(&timer->event);
	free(timer);
}

struct reactor_call *reactor_call_add(struct reactor *reactor, void (*call)(void *ctx), void *ctx)
{
	struct reactor_call *object = calloc(1, sizeof *object);

	if (!object)
		return NULL;
	link_init(&object->link);
	object->reactor = reactor;
	object->call = call;
	object->ctx = ctx;
	return object;
}

void reactor_call_run(struct reactor_call *call)
{
	struct reactor *reactor = call->reactor;
	bool first;

	if (atomic_exchange(&call->asked, true))
		return;
	if (on_own_thread(reactor)) {
		link_append(&reactor->local, &call->link);
		schedule_runner(reactor);
		return;
	}
	pthread_mutex_lock(&reactor->lock);
	first = link_alone(&reactor->remote) && !reactor->waiters;
	link_append(&reactor->remote, &call->link);
	pthread_mutex_unlock(&reactor->lock);
	if (first)
		wake(reactor);
}

void reactor_call_remove(struct reactor_call *call)
{
	if (!call)
		return;
	pthread_mutex_lock(&call->reactor->lock);
	link_remove(&call->link);
	pthread_mutex_unlock(&call->reactor->lock);
	free(call);
}

void reactor_call_wait(struct reactor *reactor, void (*call)(void *ctx), void *ctx)
{
	struct waiter waiter = { .call = call, .ctx = ctx };
	bool first;

	pthread_mutex_lock(&reactor->lock);
	if (on_own_thread(reactor) || atomic_load(&reactor->thread) == 0) {
		pthread_mutex_unlock(&reactor->lock);
		call(ctx);
		return;
	}
	first = link_alone(&reactor->remote) && !reactor->waiters;
	waiter.next = reactor->waiters;
	reactor->waiters = &waiter;
	if (first)
		wake(reactor);
	while (!waiter.done)
		pthread_cond_wait(&reactor->waiter_done, &reactor->lock);
	pthread_mutex_unlock(&reactor->lock);
}

static void on_signal(evutil_socket_t signo, short what, void *arg)
{
	struct reactor_signal *signal = arg;
	struct reactor *reactor = signal->reactor;

	(void)what;
	signal->call(signal->ctx, (int)signo);
	handler_done(reactor);
}

struct reactor_signal *reactor_signal_add(struct reactor *reactor, int signo, void (*call)(void *ctx, int signo),
                                          void *ctx)
{
	struct reactor_signal *signal = calloc(1, sizeof *signal);

	if (!signal)
		return NULL;
	signal->reactor = reactor;
	signal->call = call;
	signal->ctx = ctx;
	if (event_assign(&signal->event, reactor->base, signo, EV_SIGNAL | EV_PERSIST, on_signal, signal) ||
	    event_add(&signal->event, NULL)) {
		free(signal);
		return NULL;
	}
	return signal;
}

void reactor_signal_remove(struct reactor_signal *signal)
{
	if (!signal)
		return;
	event_del(&signal->event);
	free(signal);
}

bool reactor_signal_is_ignored(int signo)
{
	struct sigaction action;

	return !sigaction(signo, NULL, &action) && !(action.sa_flags & SA_SIGINFO) && action.sa_handler == SIG_IGN;
}
