/* SPDX-License-Identifier: MIT */
/*
 * buffer.h - bytes that come in at the end and leave at the start. Grows by doubling, up to what its user ever
 * reserves.
 */
#ifndef CAPSA_AGENT_BUFFER_H
#define CAPSA_AGENT_BUFFER_H

#include <stddef.h>

/* All zero: empty. */
struct buffer {
	unsigned char *at;
	size_t room, start, end;
};

static inline size_t buffer_used(const struct buffer *b)
{
	return b->end - b->start;
}

static inline unsigned char *buffer_bytes(const struct buffer *b)
{
	return b->at + b->start;
}

/* Where the next len bytes go, for the caller to fill; NULL: out of memory, and nothing has changed. */
void *buffer_reserve(struct buffer *b, size_t len);
/* len of them are filled. */
void buffer_commit(struct buffer *b, size_t len);
void buffer_consume(struct buffer *b, size_t len);
/* Free memory, and keep what may lie in `keep` bytes. Only an empty one is given back. */
void buffer_trim(struct buffer *b, size_t keep);
void buffer_free(struct buffer *b);

#endif
