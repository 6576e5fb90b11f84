/* SPDX-License-Identifier: MIT */
/* progress.c - see progress.h. Called by verb-run.c, verb-start.c, verb-image.c. */
#include "core/cli/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct progress progress_begin(bool quiet)
{
	const char *term = getenv("TERM");

	return (struct progress){ .wanted = !quiet && isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 };
}

void progress_show(void *ctx, const char *what)
{
	struct progress *p = ctx;

	if (!p->wanted)
		return;
	fprintf(stderr, "\r\033[K\033[2mcapsa: %s ...\033[0m", what);
	fflush(stderr);
	p->shown = true;
}

void progress_clear(struct progress *p)
{
	if (!p->shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	p->shown = false;
}
