/* SPDX-License-Identifier: MIT */
/*
 * timeline.h - when a machine's start got where: a short list of named moments. No allocation.
 *
 * A mark names what is done at its moment ("config read"), so that the time from one mark to the next belongs to the
 * second one.
 */
#ifndef CAPSA_BASE_TIMELINE_H
#define CAPSA_BASE_TIMELINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TIMELINE_MARKS_MAX = 32, TIMELINE_NAME_MAX = 40 };

struct timeline_event {
	char name[TIMELINE_NAME_MAX];
	int64_t ns; /* CLOCK_MONOTONIC */
};

/* All zeros: empty. */
struct timeline {
	atomic_uint used;
	struct {
		struct timeline_event event;
		atomic_bool done;
	} marks[TIMELINE_MARKS_MAX];
};

/* CLOCK_MONOTONIC in ns. Any thread. */
int64_t timeline_now(void);
/* Notes that `name` (copied, cut to its room) was reached at `ns`; nothing where all marks are used. Any thread. */
void timeline_mark(struct timeline *timeline, const char *name, int64_t ns);
/* Copies what is there, the earliest first, into out[TIMELINE_MARKS_MAX]; returns how many. Any thread. */
size_t timeline_read(const struct timeline *timeline, struct timeline_event *out);

#endif
