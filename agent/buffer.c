/* SPDX-License-Identifier: MIT */
/* buffer.c - see buffer.h. */
#include "agent/buffer.h"

#include <stdlib.h>
#include <string.h>

#define SMALLEST 4096u

void *buffer_reserve(struct buffer *b, size_t len)
{
	size_t used = buffer_used(b), room = b->room ? b->room : SMALLEST;
	unsigned char *at;

	if (b->room - b->end >= len)
		return b->at + b->end;
	while (room < used + len)
		room *= 2;
	if (room > b->room) {
		at = malloc(room);
		if (!at)
			return NULL;
		if (used)
			memcpy(at, b->at + b->start, used);
		free(b->at);
		b->at = at;
		b->room = room;
	} else {
		memmove(b->at, b->at + b->start, used);
	}
	b->start = 0;
	b->end = used;
	return b->at + used;
}

void buffer_commit(struct buffer *b, size_t len)
{
	b->end += len;
}

void buffer_consume(struct buffer *b, size_t len)
{
	b->start += len;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buffer_trim(struct buffer *b, size_t keep)
{
	if (buffer_used(b) == 0 && b->room > keep)
		buffer_free(b);
}

void buffer_free(struct buffer *b)
{
	free(b->at);
	*b = (struct buffer){ 0 };
}
