/* SPDX-License-Identifier: MIT */
/*
 * backlog.h - bytes of the guest that the host's peer has not taken yet: a queue in one piece of memory, bounded by who
 * fills it. No memory while it is empty.
 *
 * For SOCK_SEQPACKET the bytes are records, each with a word in front (BACKLOG_*): its length, and whether its end has
 * come.
 */
#ifndef CAPSA_VSOCK_BACKLOG_H
#define CAPSA_VSOCK_BACKLOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define BACKLOG_END (1u << 31)    /* the message is complete */
#define BACKLOG_RECORD (1u << 30) /* MSG_EOR */
#define BACKLOG_LENGTH (BACKLOG_RECORD - 1)

struct backlog {
	unsigned char *bytes;
	size_t first, len, room;
	size_t payload;   /* of `len`, without the words of records */
	size_t open_word; /* of the record whose end has not come: where, from `first` */
	bool is_open;
};

void backlog_free(struct backlog *b);
/* Appends up to `len` bytes from `skip` of the buffers. 0 or -ENOMEM, then nothing. */
int backlog_append(struct backlog *b, const struct iovec *iov, unsigned n, size_t skip, size_t len);
/* Appends to the record that is open, or opens one; BACKLOG_END in `flags` ends it. 0 or -ENOMEM. */
int backlog_append_record(struct backlog *b, const struct iovec *iov, unsigned n, size_t skip, size_t len,
                          uint32_t flags);
/* The first `len` payload bytes are done with. */
void backlog_consume(struct backlog *b, size_t len);
/* The word of the first record, and its bytes; false: there is none, or it is not complete. */
bool backlog_record(const struct backlog *b, uint32_t *word, const unsigned char **bytes);
void backlog_consume_record(struct backlog *b);

#endif
