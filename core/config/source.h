/* SPDX-License-Identifier: MIT */
/*
 * source.h - the text of a configuration: the user's file with its @include files put in place.
 *
 * capsa opens the files itself instead of leaving that to libconfig, because libconfig looks for
 * an @include relative to one fixed folder, waits for ever at a FIFO, ends the process at a
 * folder, and follows a loop. What libconfig would swallow in silence (numbers that overflow)
 * is refused here, too. Only read.c calls this.
 */
#ifndef CAPSA_CONFIG_SOURCE_H
#define CAPSA_CONFIG_SOURCE_H

#include <stddef.h>

#include "core/base/arena.h"
#include "core/base/error.h"

enum {
	SOURCE_MAX_BYTES = 1 << 20,   /* of all files together */
	SOURCE_MAX_NESTING = 32,      /* brackets in brackets: what bounds every recursion over the values */
	SOURCE_MAX_KEYS = 10000,      /* libconfig compares each key with all others of its group */
	SOURCE_MAX_INCLUDE_DEPTH = 8, /* files in files */
	SOURCE_MAX_FILES = 256,
};

/* Where a line of the text came from. */
struct source_place {
	const char *file; /* the user's words for it; of a text that is no file: its label, which may be NULL */
	unsigned line;    /* 0: of such a text */
};

struct source {
	char *text; /* ends with a newline and a NUL */
	size_t len, room;
	struct source_place *places; /* one for each line of text */
	size_t n_places, places_room;
	size_t n_files, n_keys;
	unsigned nesting;
	const char *label;   /* what stands for the name of a text that is no file */
	struct arena *arena; /* file names */
};

/*
 * Reads `file` and what it includes; file names live in `arena`, the rest until source_free(), which is
 * due after a failure, too. 0 or -errno with err = "FILE:LINE: ..." or "FILE: ...".
 */
int source_read(struct source *source, const char *file, struct arena *arena, struct error *err);
/* The same for a text, which `label` (or NULL) is the name of; includes are refused. */
int source_from_text(struct source *source, const char *text, const char *label, struct arena *arena,
                     struct error *err);
void source_free(struct source *source);

/* Where line `line` (from 1) of the text came from; behind the end: the last line. */
struct source_place source_place(const struct source *source, unsigned line);

#endif
