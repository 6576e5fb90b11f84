/* SPDX-License-Identifier: MIT */
/*
 * progress.h - one quiet line on the terminal that says what is being waited for, and goes away. Nothing where
 * standard error is no terminal.
 */
#ifndef CAPSA_CLI_PROGRESS_H
#define CAPSA_CLI_PROGRESS_H

#include <stdbool.h>

struct progress {
	bool wanted, shown;
};

struct progress progress_begin(bool quiet);
/* Replaces what is shown. `ctx` is a struct progress: it fits where image.h wants a function. */
void progress_show(void *ctx, const char *what);
/* Before anything else is written. */
void progress_clear(struct progress *progress);

#endif
