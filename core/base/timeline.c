/* SPDX-License-Identifier: MIT */
/*
 * timeline.c - see timeline.h. Marks come from core/cli, core/vm and a vCPU's thread; read by core/control.
 *
 * A mark takes its place by an atomic addition and is seen once `done` is set behind its content.
 */
#include "core/base/timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t timeline_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void timeline_mark(struct timeline *t, const char *name, int64_t ns)
{
	unsigned i = atomic_load_explicit(&t->used, memory_order_relaxed);

	do
		if (i >= TIMELINE_MARKS_MAX)
			return;
	while (!atomic_compare_exchange_weak(&t->used, &i, i + 1));
	snprintf(t->marks[i].event.name, sizeof t->marks[i].event.name, "%s", name);
	t->marks[i].event.ns = ns;
	atomic_store_explicit(&t->marks[i].done, true, memory_order_release);
}

static int compare(const void *a, const void *b)
{
	const struct timeline_event *x = a, *y = b;

	return x->ns < y->ns ? -1 : x->ns > y->ns;
}

size_t timeline_read(const struct timeline *t, struct timeline_event *out)
{
	size_t n = 0;

	for (unsigned i = 0; i < TIMELINE_MARKS_MAX; i++)
		if (atomic_load_explicit(&t->marks[i].done, memory_order_acquire))
			out[n++] = t->marks[i].event;
	qsort(out, n, sizeof *out, compare);
	return n;
}
