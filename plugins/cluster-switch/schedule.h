/* SPDX-License-Identifier: MIT */
/*
 * schedule.h - how those that carry frames ask to be scheduled.
 *
 * THEORY OF OPERATION. A frame on its way wakes three threads: its member's, the switch, the other member's. Each has
 * little to do for it, so a scheduler that is fair lets each take the processor at once from whoever has it: the vCPU
 * that is about to send the next frame, or the one that receives. Where processors are short, every frame then travels
 * alone, with an exit and an interrupt of its own, and three changes of contexts. As SCHED_BATCH (sched(7)) a thread
 * that is woken waits until who has the processor sleeps or has had its share, and finds all the frames that have come
 * meanwhile. Where a processor is idle there is nobody to wait for, and nothing changes.
 *
 * THREAD: that of the caller, and whoever it forks later: guardians, which sleep, and switches.
 */
#ifndef CAPSA_CLUSTER_SCHEDULE_H
#define CAPSA_CLUSTER_SCHEDULE_H

#include <sched.h>

/* A kernel, or a filter in front of it, that refuses it costs speed, and nothing else. */
static inline void schedule_in_batches(void)
{
	const struct sched_param priority = { .sched_priority = 0 };

	(void)sched_setscheduler(0, SCHED_BATCH, &priority);
}

#endif
