/* SPDX-License-Identifier: MIT */
/*
 * arena.h - memory that is freed all at once: for trees of small things that live equally long.
 * One thread at a time. Every function returns NULL where there is no memory.
 */
#ifndef CAPSA_BASE_ARENA_H
#define CAPSA_BASE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena); /* NULL is fine */

/* `n` objects of `size` bytes, zeroed, aligned for any type. */
void *arena_alloc(struct arena *arena, size_t n, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
__attribute__((format(printf, 2, 3))) char *arena_format(struct arena *arena, const char *fmt, ...);

#endif
