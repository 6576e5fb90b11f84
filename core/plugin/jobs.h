/* SPDX-License-Identifier: MIT */
/*
 * jobs.h - worker threads for what would block a loop: work() on a worker, then done() on the loop.
 *
 * Made by device.c for an instance with capsa_setup.n_workers. Knows nothing of plugins.
 */
#ifndef CAPSA_PLUGIN_JOBS_H
#define CAPSA_PLUGIN_JOBS_H

#include "core/base/reactor.h"

struct jobs;

/* No thread yet: what is submitted waits for jobs_start(). `loop` outlives it. 0 or -errno. */
int jobs_new(struct reactor *loop, struct jobs **out);
/* Starts n threads called `name`. 0 or -errno; then no thread runs. */
int jobs_start(struct jobs *jobs, unsigned n, const char *name);
/* -ENOMEM, -ESHUTDOWN after jobs_finish(). `done` may be NULL. Any thread. */
int jobs_submit(struct jobs *jobs, void (*work)(void *ctx), void (*done)(void *ctx), void *ctx);
/*
 * Returns when no job is queued, running, or waits for its done(); runs done() itself, in place of the
 * loop, which must not be running (or be the caller's). Without threads, work() runs here too.
 */
void jobs_drain(struct jobs *jobs);
/* Drains, then takes no more jobs and ends the threads. Same caller as jobs_drain(). */
void jobs_finish(struct jobs *jobs);
/* After jobs_finish(). NULL is fine. */
void jobs_free(struct jobs *jobs);

#endif
