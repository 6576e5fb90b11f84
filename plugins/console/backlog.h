/* SPDX-License-Identifier: MIT */
/*
 * backlog.h - the last 64 KiB of a stream, and how far its reader has got.
 *
 * Pure memory. `total` counts the bytes that were ever added, `next` is the first that the reader has not had; what
 * is older than BACKLOG_SIZE is gone.
 */
#ifndef CONSOLE_BACKLOG_H
#define CONSOLE_BACKLOG_H

#include <stdint.h>
#include <sys/uio.h>

#define BACKLOG_SIZE 65536u

struct backlog {
	unsigned char *bytes; /* BACKLOG_SIZE of them */
	uint64_t total, next;
};

/* -1: no memory. */
int backlog_init(struct backlog *backlog);
void backlog_free(struct backlog *backlog);

/*
 * Adds the first `len` bytes of the buffers. With `had` the reader has got them already. Returns how many unread bytes
 * fell out for it.
 */
uint64_t backlog_add(struct backlog *backlog, const struct iovec *iov, unsigned n, size_t len, int had);
/* The unread bytes, in up to two pieces; returns how many pieces. */
unsigned backlog_unread(const struct backlog *backlog, struct iovec pieces[2]);
/* The reader got `len` of them. */
void backlog_read(struct backlog *backlog, size_t len);
/* The reader did not get the last `len` bytes after all (as far as they are still here). */
void backlog_unget(struct backlog *backlog, uint64_t len);

static inline size_t backlog_waiting(const struct backlog *backlog)
{
	return (size_t)(backlog->total - backlog->next);
}

#endif
