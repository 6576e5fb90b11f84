/* SPDX-License-Identifier: MIT */
/* request.c - copies between a request's buffers and plain memory. Any thread; owns nothing. */
#include <string.h>

#include "core/virtio/virtio.h"

/* Copies up to len bytes at `offset` of the buffers, in the direction that `to_buffers` says; returns how many. */
static size_t copy(const struct iovec *iov, unsigned n, size_t offset, unsigned char *plain, size_t len,
                   bool to_buffers)
{
	size_t done = 0;

	for (unsigned i = 0; i < n && done < len; i++) {
		size_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - offset;
		if (part > len - done)
			part = len - done;
		if (to_buffers)
			memcpy((unsigned char *)iov[i].iov_base + offset, plain + done, part);
		else
			memcpy(plain + done, (unsigned char *)iov[i].iov_base + offset, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t virtio_request_read(const struct capsa_request *request, size_t offset, void *to, size_t len)
{
	return copy(request->readable, request->n_readable, offset, to, len, false);
}

size_t virtio_request_write(const struct capsa_request *request, size_t offset, const void *from, size_t len)
{
	unsigned char *bytes;

	/* The buffers are what changes; copy() has one plain pointer for both directions. */
	memcpy(&bytes, &from, sizeof bytes);
	return copy(request->writable, request->n_writable, offset, bytes, len, true);
}
