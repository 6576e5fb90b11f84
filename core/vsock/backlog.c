/* SPDX-License-Identifier: MIT */
/* backlog.c - see backlog.h. Owns its memory. Called by transfer.c and connection.c. */
#include "core/vsock/backlog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 4096u

void backlog_free(struct backlog *b)
{
	free(b->bytes);
	*b = (struct backlog){ .bytes = NULL };
}

static int make_room(struct backlog *b, size_t more)
{
	size_t room = b->room ? b->room : FIRST_ROOM;
	unsigned char *bytes;

	if (b->room - b->first - b->len >= more)
		return 0;
	if (b->room >= 2 * (b->len + more)) {
		memmove(b->bytes, b->bytes + b->first, b->len);
		b->first = 0;
		return 0;
	}
	while (room < b->len + more)
		room *= 2;
	bytes = malloc(room);
	if (!bytes)
		return -ENOMEM;
	if (b->len)
		memcpy(bytes, b->bytes + b->first, b->len);
	free(b->bytes);
	b->bytes = bytes;
	b->room = room;
	b->first = 0;
	return 0;
}

/* Room has been made. */
static void put(struct backlog *b, const struct iovec *iov, unsigned n, size_t skip, size_t len)
{
	for (unsigned i = 0; i < n && len; i++) {
		size_t part;

		if (skip >= iov[i].iov_len) {
			skip -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - skip;
		if (part > len)
			part = len;
		memcpy(b->bytes + b->first + b->len, (const unsigned char *)iov[i].iov_base + skip, part);
		b->len += part;
		b->payload += part;
		len -= part;
		skip = 0;
	}
}

int backlog_append(struct backlog *b, const struct iovec *iov, unsigned n, size_t skip, size_t len)
{
	int rc = make_room(b, len);

	if (rc == 0)
		put(b, iov, n, skip, len);
	return rc;
}

static uint32_t get_word(const struct backlog *b, size_t at)
{
	uint32_t word;

	memcpy(&word, b->bytes + b->first + at, sizeof word);
	return word;
}

static void set_word(struct backlog *b, size_t at, uint32_t word)
{
	memcpy(b->bytes + b->first + at, &word, sizeof word);
}

int backlog_append_record(struct backlog *b, const struct iovec *iov, unsigned n, size_t skip, size_t len,
                          uint32_t flags)
{
	int rc = make_room(b, len + sizeof(uint32_t));

	if (rc < 0)
		return rc;
	if (!b->is_open) {
		b->is_open = true;
		b->open_word = b->len;
		b->len += sizeof(uint32_t);
		set_word(b, b->open_word, 0);
	}
	put(b, iov, n, skip, len);
	set_word(b, b->open_word, (get_word(b, b->open_word) + (uint32_t)len) | flags);
	b->is_open = !(flags & BACKLOG_END);
	return 0;
}

static void drop(struct backlog *b, size_t len)
{
	b->first += len;
	b->len -= len;
	if (b->is_open)
		b->open_word -= len;
	if (b->len == 0)
		backlog_free(b);
}

void backlog_consume(struct backlog *b, size_t len)
{
	b->payload -= len;
	drop(b, len);
}

bool backlog_record(const struct backlog *b, uint32_t *word, const unsigned char **bytes)
{
	if (b->len == 0)
		return false;
	*word = get_word(b, 0);
	*bytes = b->bytes + b->first + sizeof *word;
	return *word & BACKLOG_END;
}

void backlog_consume_record(struct backlog *b)
{
	uint32_t len = get_word(b, 0) & BACKLOG_LENGTH;

	b->payload -= len;
	drop(b, sizeof len + len);
}
