/* SPDX-License-Identifier: MIT */
/* backlog.c - see backlog.h. Called by session.c. */
#include "backlog.h"

#include <stdlib.h>
#include <string.h>

int backlog_init(struct backlog *b)
{
	b->total = b->next = 0;
	b->bytes = malloc(BACKLOG_SIZE);
	return b->bytes ? 0 : -1;
}

void backlog_free(struct backlog *b)
{
	free(b->bytes);
	b->bytes = NULL;
}

static void put(struct backlog *b, const unsigned char *from, size_t len)
{
	/* Of a long run only the end would stay. */
	if (len > BACKLOG_SIZE) {
		b->total += len - BACKLOG_SIZE;
		from += len - BACKLOG_SIZE;
		len = BACKLOG_SIZE;
	}
	while (len) {
		size_t at = (size_t)(b->total % BACKLOG_SIZE);
		size_t n = len < BACKLOG_SIZE - at ? len : BACKLOG_SIZE - at;

		memcpy(b->bytes + at, from, n);
		b->total += n;
		from += n;
		len -= n;
	}
}

uint64_t backlog_add(struct backlog *b, const struct iovec *iov, unsigned n, size_t len, int had)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < n && len; i++) {
		size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;

		put(b, iov[i].iov_base, part);
		len -= part;
	}
	if (had)
		b->next = b->total;
	if (b->total - b->next > BACKLOG_SIZE) {
		lost = b->total - b->next - BACKLOG_SIZE;
		b->next += lost;
	}
	return lost;
}

unsigned backlog_unread(const struct backlog *b, struct iovec pieces[2])
{
	size_t left = backlog_waiting(b), at = (size_t)(b->next % BACKLOG_SIZE);
	size_t first = left < BACKLOG_SIZE - at ? left : BACKLOG_SIZE - at;

	pieces[0].iov_base = b->bytes + at;
	pieces[0].iov_len = first;
	pieces[1].iov_base = b->bytes;
	pieces[1].iov_len = left - first;
	return (first > 0) + (left > first);
}

void backlog_read(struct backlog *b, size_t len)
{
	b->next += len;
}

void backlog_unget(struct backlog *b, uint64_t len)
{
	uint64_t kept = b->total < BACKLOG_SIZE ? b->total : BACKLOG_SIZE;

	if (len > b->next)
		len = b->next;
	b->next -= len;
	if (b->total - b->next > kept)
		b->next = b->total - kept;
}
