/* SPDX-License-Identifier: MIT */
/* words.h - lists of strings from a payload, as execve(2) wants them. */
#ifndef CAPSA_AGENT_WORDS_H
#define CAPSA_AGENT_WORDS_H

#include <stddef.h>

#include "agent/protocol.h"

/*
 * A list of the reader's: pointers, a NULL behind them, in one allocation together with the strings: the caller's to
 * free. `spare` more pointers may be put in the place of the NULL. NULL: malformed (r->failed is set), or out of
 * memory.
 */
char **words_read(struct agent_reader *r, size_t spare, size_t *count);

/* "K=V" replaces that of the same K, or is appended; "K" removes. There must be room. */
void words_set(char **words, size_t *count, char *assignment);

#endif
