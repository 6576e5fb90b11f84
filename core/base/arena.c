/* SPDX-License-Identifier: MIT */
/* arena.c - see arena.h. A list of blocks; what is larger than a block gets one of its own. */
#include "core/base/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 4096u

struct block {
	struct block *next;
	size_t room, used;
	alignas(max_align_t) unsigned char data[];
};

struct arena {
	struct block *blocks; /* the first is the one with room */
};

struct arena *arena_new(void)
{
	return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	while (arena->blocks) {
		struct block *block = arena->blocks;

		arena->blocks = block->next;
		free(block);
	}
	free(arena);
}

void *arena_alloc(struct arena *arena, size_t n, size_t size)
{
	const size_t align = alignof(max_align_t);
	struct block *block = arena->blocks;
	size_t bytes;
	void *at;

	if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX / 2)
		return NULL;
	bytes = (bytes + align - 1) & ~(align - 1);
	if (!block || bytes > block->room - block->used) {
		size_t room = bytes > BLOCK_SIZE ? bytes : BLOCK_SIZE;

		block = calloc(1, sizeof *block + room);
		if (!block)
			return NULL;
		block->room = room;
		block->next = arena->blocks;
		arena->blocks = block;
	}
	at = block->data + block->used;
	block->used += bytes;
	return at;
}

char *arena_strdup(struct arena *arena, const char *text)
{
	size_t len = strlen(text) + 1;
	char *copy = arena_alloc(arena, len, 1);

	return copy ? memcpy(copy, text, len) : NULL;
}

char *arena_format(struct arena *arena, const char *fmt, ...)
{
	va_list args;
	char *text = NULL;
	int len;

	va_start(args, fmt);
	len = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (len >= 0)
		text = arena_alloc(arena, (size_t)len + 1, 1);
	if (text) {
		va_start(args, fmt);
		vsnprintf(text, (size_t)len + 1, fmt, args);
		va_end(args);
	}
	return text;
}
