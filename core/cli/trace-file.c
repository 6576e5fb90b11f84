/* SPDX-License-Identifier: MIT */
/* trace-file.c - see trace-file.h. Called by verb-run.c and verb-start.c. */
#include "core/cli/trace-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/control/trace.h"

static void add(struct timeline *to, const struct timeline *from)
{
	struct timeline_event events[TIMELINE_MARKS_MAX];
	size_t n = timeline_read(from, events);

	for (size_t i = 0; i < n; i++)
		timeline_mark(to, events[i].name, events[i].ns);
}

int trace_file_write(const char *path, const struct timeline *machine, const struct timeline *own, struct error *err)
{
	struct timeline all = { .used = 0 };
	struct timeline_event events[TIMELINE_MARKS_MAX];
	int rc = 0;
	char *json;
	FILE *file;

	add(&all, machine);
	if (own)
		add(&all, own);
	json = trace_json(events, timeline_read(&all, events), (long)getpid());
	if (!json)
		return error_set(err, ENOMEM, "no memory");
	file = fopen(path, "we");
	if (!file || fputs(json, file) < 0)
		rc = -errno;
	if (file && fclose(file) && !rc)
		rc = -errno;
	free(json);
	return rc ? error_set(err, -rc, "cannot write %s: %s", path, strerror(-rc)) : 0;
}
