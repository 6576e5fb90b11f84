/* SPDX-License-Identifier: MIT */
/* loop-thread.c - see loop-thread.h. Called by core/vm (io_threads) and core/plugin (instances with loops of their own). */
#include "core/base/loop-thread.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/reactor.h"

struct loop_thread {
	struct reactor *reactor;
	struct reactor_call *runs_call; /* runs first of all on the loop */
	sem_t runs;
	bool running;
	pthread_t thread;
};

static void say_it_runs(void *ctx)
{
	struct loop_thread *t = ctx;

	sem_post(&t->runs);
}

static void *thread_main(void *ctx)
{
	struct loop_thread *t = ctx;

	reactor_run(t->reactor);
	return NULL;
}

int loop_thread_new(struct loop_thread **out)
{
	struct loop_thread *t = calloc(1, sizeof *t);
	int r;

	if (!t)
		return -ENOMEM;
	sem_init(&t->runs, 0, 0);
	r = reactor_new(&t->reactor);
	if (r == 0) {
		t->runs_call = reactor_call_add(t->reactor, say_it_runs, t);
		if (!t->runs_call)
			r = -ENOMEM;
	}
	if (r < 0)
		loop_thread_free(t);
	else
		*out = t;
	return r;
}

struct reactor *loop_thread_reactor(const struct loop_thread *t)
{
	return t->reactor;
}

int loop_thread_start(struct loop_thread *t, const char *name)
{
	char short_name[16];
	sigset_t all, before;
	int r;

	reactor_call_run(t->runs_call);
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* page-guard.h */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&t->thread, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	t->running = true;
	strncpy(short_name, name, sizeof short_name - 1);
	short_name[sizeof short_name - 1] = '\0';
	pthread_setname_np(t->thread, short_name);
	while (sem_wait(&t->runs) < 0 && errno == EINTR)
		;
	return 0;
}

void loop_thread_stop(struct loop_thread *t)
{
	if (!t || !t->running)
		return;
	reactor_stop(t->reactor);
	pthread_join(t->thread, NULL);
	t->running = false;
}

void loop_thread_free(struct loop_thread *t)
{
	if (!t)
		return;
	if (t->runs_call)
		reactor_call_remove(t->runs_call);
	reactor_free(t->reactor);
	sem_destroy(&t->runs);
	free(t);
}
