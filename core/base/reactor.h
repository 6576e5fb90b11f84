/* SPDX-License-Identifier: MIT */
/*
 * reactor.h - event loops: the only room that sees libevent.
 *
 * A reactor is one loop and belongs to the thread that calls reactor_run(). Its
 * watches, timers and deferred calls are added, changed and removed on that
 * thread (or before it runs); only the functions marked "any thread" may be
 * called from elsewhere. Handlers run one at a time, must not block, and work
 * within a budget. There is no periodic tick: a loop with nothing to do sleeps in
 * epoll_wait(2) without a time-out.
 *
 * Every object may be removed from inside its own handler.
 */
#ifndef CAPSA_BASE_REACTOR_H
#define CAPSA_BASE_REACTOR_H

#include <stdbool.h>
#include <stdint.h>

struct reactor;
struct reactor_watch;
struct reactor_timer;
struct reactor_call;
struct reactor_signal;

enum reactor_events { REACTOR_READ = 1, REACTOR_WRITE = 2, REACTOR_EDGE = 4 };

/* A new loop in *out, to be freed with reactor_free(). 0 or -ENOMEM, -EMFILE. */
int reactor_new(struct reactor **out);
/* All objects of the loop must have been removed. NULL is fine. */
void reactor_free(struct reactor *reactor);

/* Runs handlers until reactor_stop(). */
void reactor_run(struct reactor *reactor);
/*
 * Makes reactor_run() return after the handler that is running; asked for before, the next
 * reactor_run() returns at once. What is still to be run waits for another run. Any thread.
 */
void reactor_stop(struct reactor *reactor);

/*
 * Calls `call` while fd is ready (level triggered), with one of REACTOR_READ and REACTOR_WRITE
 * at a time. Hang-ups and errors count as readable (and as writable, for who waits for that only).
 * With REACTOR_EDGE, which belongs to the watch for good, it calls once for what is there at first and
 * then once for each time that more comes: what is said by an eventfd need not be read.
 * The fd stays the caller's and must stay open as long as the watch.
 * NULL: no memory, or an fd that cannot be polled (errno EPERM: a regular file).
 */
struct reactor_watch *reactor_watch_add(struct reactor *reactor, int fd, unsigned events,
                                        void (*call)(void *ctx, int fd, unsigned events), void *ctx);
/* Changes what is watched; 0: paused. 0 or -errno. No system call when nothing changes. */
int reactor_watch_set(struct reactor_watch *watch, unsigned events);
void reactor_watch_remove(struct reactor_watch *watch); /* NULL is fine */

/* A one-shot timer, not running yet. NULL: no memory. */
struct reactor_timer *reactor_timer_add(struct reactor *reactor, void (*call)(void *ctx), void *ctx);
/* Runs once in `ms` milliseconds (never earlier), in place of an earlier time; negative: cancel. */
void reactor_timer_set(struct reactor_timer *timer, int64_t ms);
void reactor_timer_remove(struct reactor_timer *timer);

/*
 * A call that any thread can ask for. Requests made before it runs are one. On the
 * loop's own thread no system call is made. NULL: no memory.
 */
struct reactor_call *reactor_call_add(struct reactor *reactor, void (*call)(void *ctx), void *ctx);
void reactor_call_run(struct reactor_call *call); /* any thread */
/*
 * No run happens after this returns. On the loop's thread, when no other thread can still be
 * inside reactor_call_run() for it. NULL is fine.
 */
void reactor_call_remove(struct reactor_call *call);

/*
 * Runs call(ctx) on the loop's thread and returns when it has run; at once if this
 * is that thread or the loop is not running (then the caller must be the only user).
 * Any thread that holds no lock that the loop's handlers take.
 */
void reactor_call_wait(struct reactor *reactor, void (*call)(void *ctx), void *ctx);

/* Calls `call` when the process gets signal `signo`. One reactor a process may use this. */
struct reactor_signal *reactor_signal_add(struct reactor *reactor, int signo, void (*call)(void *ctx, int signo),
                                          void *ctx);
void reactor_signal_remove(struct reactor_signal *signal);
/*
 * Whether the process was made to ignore `signo`, by nohup(1) or by a shell that has put it into the background: then it is
 * to stay so, and nothing is to be added for it.
 */
bool reactor_signal_is_ignored(int signo);

#endif
