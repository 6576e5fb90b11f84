/* SPDX-License-Identifier: MIT */
/*
 * fs_host.h - the host that the plugin runs on in a test: queues, loops and workers in plain memory. Private to
 * fs_client.h's files; tests see fs_client.h alone.
 *
 *     fs_host_life.c      a client's host from create to destroy: fs_begin() ... fs_end()
 *     fs_host_services.c  what the plugin asks of it: struct capsa_host
 *     fs_host.c           its queues, loops and workers: what runs the plugin
 *     fs_client.c         requests of the guest's, and their answers
 *
 * A request is offered on a queue, whose loop is then told; the plugin completes it there or in done() of a job. Loops
 * are the threads that wait, see fs_client.h. All of struct fs_host is under its lock, which is held across none of the
 * plugin's code.
 */
#ifndef CAPSA_TESTS_FS_HOST_H
#define CAPSA_TESTS_FS_HOST_H

#include "tests/unit/fs_client.h"

#define FS_HOST_QUEUES 64u

struct fs_request {
	struct capsa_request request; /* first */
	struct iovec *readable, *writable;
	uint64_t unique;
	bool done;
	size_t written;
	STAILQ_ENTRY(fs_request) link; /* of what is offered */
	LIST_ENTRY(fs_request) all;
};

struct job {
	STAILQ_ENTRY(job) link;
	void (*work)(void *ctx);
	void (*done)(void *ctx);
	void *ctx;
};

struct capsa_deferred {
	struct fs_host *host;
	unsigned queue; /* or HOME */
	bool asked;
	void (*call)(void *ctx);
	void *ctx;
	LIST_ENTRY(capsa_deferred) link;
};

struct counter {
	char name[64];
	uint64_t value;
};

struct capsa_device {
	char unused;
};

struct capsa_watch {
	int fd;
	void (*call)(void *ctx, int fd, unsigned events);
	void *ctx;
};

struct fs_host {
	struct capsa_device dev; /* first */
	struct fs_client *client;
	const struct capsa_plugin *plugin;
	void *self;
	struct config *config;
	struct keys_values values;
	enum { MADE, CONFIGURED, REALIZED, STARTED } state;
	bool active;

	pthread_mutex_t lock;
	pthread_cond_t change; /* a request completed, a job came or ended, a deferred call was asked for */
	STAILQ_HEAD(, fs_request) offered[FS_HOST_QUEUES];
	bool again[FS_HOST_QUEUES];
	bool owned[FS_HOST_QUEUES]; /* by a thread that said fs_thread() */
	LIST_HEAD(, fs_request) all;
	LIST_HEAD(, capsa_deferred) deferreds;
	STAILQ_HEAD(, job) jobs, finished;
	unsigned n_jobs; /* not done yet */
	bool ending;
	pthread_t threads[80];
	unsigned n_threads;
	struct counter counters[32];
	unsigned flushes;
	struct capsa_watch watch; /* the only one that the plugin has */
	unsigned char space[CAPSA_MAX_CONFIG_SPACE];
	unsigned descriptors; /* before it all */
};

/* What the plugin is given: fs_host_services.c. */
extern const struct capsa_host fs_host_services;

/* This thread is the loop of `queue` from now on; 0: home. */
void fs_host_be_loop(unsigned queue);
/* The queue whose loop this thread is; 0: home. */
unsigned fs_host_my_queue(void);
/* One thing that the calling thread's loop has to do. Lock held before and after. False: there is none. */
bool fs_host_step(struct fs_host *host);
/* A worker's thread: runs jobs until host->ending. `ctx`: the host. */
void *fs_host_worker(void *ctx);

/* A request in buffers of its own, copied from these, on a queue whose loop is told. The caller waits for it and frees
 * it. */
struct fs_request *fs_host_offer(struct fs_host *host, unsigned queue, const struct iovec *readable,
                                 unsigned n_readable, const struct iovec *writable, unsigned n_writable);
/* Does what this thread's loop has to do until the request is completed. */
void fs_host_wait(struct fs_host *host, struct fs_request *request);
void fs_host_free(struct fs_host *host, struct fs_request *request);

#endif
