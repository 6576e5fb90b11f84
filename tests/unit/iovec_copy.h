/* SPDX-License-Identifier: MIT */
/* iovec_copy.h - bytes of a request's buffers, for a test's host: its request_read() and request_write(). */
#ifndef CAPSA_TESTS_IOVEC_COPY_H
#define CAPSA_TESTS_IOVEC_COPY_H

#include <stddef.h>
#include <string.h>
#include <sys/uio.h>

/* Copies up to `len` bytes at `offset` of n buffers to `to`, or where that is NULL from `from` to them: how many. */
static inline size_t iovec_copy(const struct iovec *iov, unsigned n, size_t offset, void *to, const void *from,
                                size_t len)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t here = iov[i].iov_len;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here = here - offset < len - done ? here - offset : len - done;
		if (to)
			memcpy((char *)to + done, (char *)iov[i].iov_base + offset, here);
		else
			memcpy((char *)iov[i].iov_base + offset, (const char *)from + done, here);
		done += here;
		offset = 0;
	}
	return done;
}

#endif
