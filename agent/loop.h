/* SPDX-License-Identifier: MIT */
/*
 * loop.h - the agent's event loop: one thread, epoll, tasks.
 *
 * THEORY. A watch reports edges (EPOLLET): its ready() only remembers what was said and queues a task. A task does one
 * portion of work (64 KiB, a few frames) and queues itself again where more is left, so that everybody who has work
 * gets a portion in turn. Something that waits for credit or room is not queued at all, and costs nothing.
 *
 * One turn is: wait for events (not when tasks are queued), tell the watches, run what was queued up to then, run the
 * late tasks (what was written in this turn leaves together). ready() frees nothing, tasks may free anything: that is
 * why no event ever meets a watch that is gone.
 */
#ifndef CAPSA_AGENT_LOOP_H
#define CAPSA_AGENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/list.h"

struct task {
	struct link link;
	void (*run)(struct task *task);
};

struct watch {
	int fd;
	void (*ready)(struct watch *watch, uint32_t events); /* EPOLLIN, ...; frees nothing */
};

struct loop {
	int epoll;
	struct link queue, late;
};

int loop_open(struct loop *loop); /* 0 or -errno */
void loop_close(struct loop *loop);

/* A task that is in a queue already stays where it is. */
void loop_queue(struct loop *loop, struct task *task);
void loop_queue_late(struct loop *loop, struct task *task);

/*
 * From now on. The first edge comes at once where there is something. 0 or -errno; -EPERM: a file that is always ready.
 * The watch stays the caller's and must be forgotten before its descriptor is closed (which may have duplicates).
 */
int loop_watch(struct loop *loop, struct watch *watch, uint32_t events);
void loop_forget(struct loop *loop, struct watch *watch);

/* Waits timeout milliseconds at most (-1: as long as it takes). */
void loop_turn(struct loop *loop, int timeout);

#endif
