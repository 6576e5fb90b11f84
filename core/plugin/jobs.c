/* SPDX-License-Identifier: MIT */
/*
 * jobs.c - see jobs.h. Owns the worker threads and the jobs that are under way.
 *
 * A job moves: queued -> (a worker runs work) -> finished -> (the loop runs done) -> freed. One lock covers both
 * lists. Workers sleep on `more`; jobs_drain() sleeps on `progress`, which a worker signals for each job that it
 * has finished. A done() may submit again, so draining repeats until nothing is left; jobs_finish() refuses new ones,
 * so that a chain of jobs ends.
 */
#include "core/plugin/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct job {
	STAILQ_ENTRY(job) link;
	void (*work)(void *ctx);
	void (*done)(void *ctx);
	void *ctx;
};

STAILQ_HEAD(job_list, job);

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t more, progress;
	struct job_list queued, finished;
	unsigned n_running; /* taken by a worker, not finished yet */
	bool ending, closed;
	struct reactor_call *deliver;
	pthread_t *threads;
	unsigned n_threads;
};

/* Takes the first job, or NULL. Lock held. */
static struct job *take(struct job_list *list)
{
	struct job *job = STAILQ_FIRST(list);

	if (job)
		STAILQ_REMOVE_HEAD(list, link);
	return job;
}

/* Runs one queued job. Lock held before and after, not meanwhile. */
static void work_on(struct jobs *jobs, struct job *job)
{
	jobs->n_running++;
	pthread_mutex_unlock(&jobs->lock);
	job->work(job->ctx);
	pthread_mutex_lock(&jobs->lock);
	STAILQ_INSERT_TAIL(&jobs->finished, job, link);
	jobs->n_running--;
	pthread_cond_signal(&jobs->progress);
}

static void *worker(void *ctx)
{
	struct jobs *jobs = ctx;
	struct job *job;

	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		job = take(&jobs->queued);
		if (job) {
			work_on(jobs, job);
			reactor_call_run(jobs->deliver);
		} else if (jobs->ending) {
			break;
		} else {
			pthread_cond_wait(&jobs->more, &jobs->lock);
		}
	}
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

/* Runs the done() of all jobs that are finished now. */
static void deliver(void *ctx)
{
	struct jobs *jobs = ctx;
	struct job_list finished = STAILQ_HEAD_INITIALIZER(finished);
	struct job *job;

	pthread_mutex_lock(&jobs->lock);
	STAILQ_CONCAT(&finished, &jobs->finished);
	pthread_mutex_unlock(&jobs->lock);
	while ((job = take(&finished))) {
		if (job->done)
			job->done(job->ctx);
		free(job);
	}
}

int jobs_new(struct reactor *loop, struct jobs **out)
{
	struct jobs *jobs = calloc(1, sizeof *jobs);

	if (!jobs)
		return -ENOMEM;
	jobs->deliver = reactor_call_add(loop, deliver, jobs);
	if (!jobs->deliver) {
		free(jobs);
		return -ENOMEM;
	}
	STAILQ_INIT(&jobs->queued);
	STAILQ_INIT(&jobs->finished);
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->more, NULL);
	pthread_cond_init(&jobs->progress, NULL);
	*out = jobs;
	return 0;
}

static void end_threads(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	jobs->ending = true;
	pthread_cond_broadcast(&jobs->more);
	pthread_mutex_unlock(&jobs->lock);
	for (unsigned i = 0; i < jobs->n_threads; i++)
		pthread_join(jobs->threads[i], NULL);
	jobs->n_threads = 0;
	jobs->ending = false;
	free(jobs->threads);
	jobs->threads = NULL;
}

int jobs_start(struct jobs *jobs, unsigned n, const char *name)
{
	char short_name[16]; /* what the kernel keeps */
	sigset_t all, before;
	int r = 0;

	jobs->threads = calloc(n, sizeof *jobs->threads);
	if (!jobs->threads)
		return -ENOMEM;
	strncpy(short_name, name, sizeof short_name - 1);
	short_name[sizeof short_name - 1] = '\0';
	/* Signals are the main thread's. */
	sigfillset(&all);
	sigdelset(&all, SIGBUS); /* page-guard.h */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (r == 0 && jobs->n_threads < n) {
		r = pthread_create(&jobs->threads[jobs->n_threads], NULL, worker, jobs);
		if (r == 0)
			pthread_setname_np(jobs->threads[jobs->n_threads++], short_name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		end_threads(jobs);
	return -r;
}

int jobs_submit(struct jobs *jobs, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx)
{
	struct job *job = malloc(sizeof *job);
	bool closed;

	if (!job)
		return -ENOMEM;
	*job = (struct job){ .work = work, .done = done, .ctx = ctx };
	pthread_mutex_lock(&jobs->lock);
	closed = jobs->closed;
	if (!closed) {
		STAILQ_INSERT_TAIL(&jobs->queued, job, link);
		pthread_cond_signal(&jobs->more);
	}
	pthread_mutex_unlock(&jobs->lock);
	if (!closed)
		return 0;
	free(job);
	return -ESHUTDOWN;
}

void jobs_drain(struct jobs *jobs)
{
	bool idle;

	do {
		pthread_mutex_lock(&jobs->lock);
		while (STAILQ_EMPTY(&jobs->finished)) {
			struct job *job = jobs->n_threads ? NULL : take(&jobs->queued);

			if (job)
				work_on(jobs, job);
			else if (jobs->n_running || !STAILQ_EMPTY(&jobs->queued))
				pthread_cond_wait(&jobs->progress, &jobs->lock);
			else
				break;
		}
		idle = STAILQ_EMPTY(&jobs->finished);
		pthread_mutex_unlock(&jobs->lock);
		if (!idle)
			deliver(jobs);
	} while (!idle);
}

void jobs_finish(struct jobs *jobs)
{
	pthread_mutex_lock(&jobs->lock);
	/* What is under way is finished; a done() that wants to go on for ever is told that it is over. */
	jobs->closed = true;
	pthread_mutex_unlock(&jobs->lock);
	jobs_drain(jobs);
	end_threads(jobs);
}

void jobs_free(struct jobs *jobs)
{
	if (!jobs)
		return;
	reactor_call_remove(jobs->deliver);
	pthread_cond_destroy(&jobs->progress);
	pthread_cond_destroy(&jobs->more);
	pthread_mutex_destroy(&jobs->lock);
	free(jobs);
}
