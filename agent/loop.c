/* SPDX-License-Identifier: MIT */
/* loop.c - see loop.h. Called by everything in the agent that waits. */
#include "agent/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS 64 /* of one turn */

int loop_open(struct loop *loop)
{
	list_init(&loop->queue);
	list_init(&loop->late);
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	return loop->epoll < 0 ? -errno : 0;
}

void loop_close(struct loop *loop)
{
	close(loop->epoll);
}

void loop_queue(struct loop *loop, struct task *task)
{
	if (!list_linked(&task->link))
		list_append(&loop->queue, &task->link);
}

void loop_queue_late(struct loop *loop, struct task *task)
{
	if (!list_linked(&task->link))
		list_append(&loop->late, &task->link);
}

int loop_watch(struct loop *loop, struct watch *watch, uint32_t events)
{
	struct epoll_event event = { .events = events | EPOLLET, .data.ptr = watch };

	return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, watch->fd, &event) ? -errno : 0;
}

void loop_forget(struct loop *loop, struct watch *watch)
{
	epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

static void run_all(struct link *list)
{
	while (!list_empty(list)) {
		struct task *task = container_of(list->next, struct task, link);

		list_remove(&task->link);
		task->run(task);
	}
}

void loop_turn(struct loop *loop, int timeout)
{
	struct epoll_event events[EVENTS];
	struct link batch;
	int n = epoll_wait(loop->epoll, events, EVENTS, list_empty(&loop->queue) ? timeout : 0);

	for (int i = 0; i < n; i++) {
		struct watch *watch = events[i].data.ptr;

		watch->ready(watch, events[i].events);
	}
	/* Who queues itself again has its turn after the events of the others. */
	list_init(&batch);
	list_move(&batch, &loop->queue);
	run_all(&batch);
	list_init(&batch);
	list_move(&batch, &loop->late);
	run_all(&batch);
}
