/* SPDX-License-Identifier: MIT */
/*
 * loop-thread.h - an event loop with a thread of its own. Made, started, stopped and freed by one thread.
 *
 * The thread takes no signals: those are the main thread's. But for SIGBUS, which it has caused itself (page-guard.h).
 */
#ifndef CAPSA_BASE_LOOP_THREAD_H
#define CAPSA_BASE_LOOP_THREAD_H

struct loop_thread;
struct reactor;

/* A loop without its thread yet, in *out. 0, -ENOMEM or -EMFILE. */
int loop_thread_new(struct loop_thread **out);
struct reactor *loop_thread_reactor(const struct loop_thread *thread);

/*
 * Starts the thread; returns when the loop runs, so that reactor_call_wait() from now on goes there. `name` is cut
 * to the 15 bytes that the kernel keeps. 0 or -errno.
 */
int loop_thread_start(struct loop_thread *thread, const char *name);
/* Returns when the thread has ended; it may be started again. Not running, or NULL: nothing. */
void loop_thread_stop(struct loop_thread *thread);

/* Stopped, and with all objects of the loop removed. NULL is fine. */
void loop_thread_free(struct loop_thread *thread);

#endif
