/* SPDX-License-Identifier: MIT */
/* search.c - whether an unpacked kernel has some bytes in it. Called by core/doctor, never on the way to a start. */

#include "core/boot/kernel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK (1u << 20)

/* In bytes [offset, offset+size) of the file, read in chunks that overlap by one byte less than what is looked for. */
static int search_file(int fd, uint64_t offset, uint64_t size, const void *bytes, size_t len)
{
	uint8_t *chunk = malloc(CHUNK);
	int rc = chunk ? 0 : -ENOMEM;

	while (!rc && size >= len) {
		size_t part = size < CHUNK ? (size_t)size : CHUNK;

		rc = read_exactly(fd, chunk, part, offset);
		if (!rc && memmem(chunk, part, bytes, len))
			rc = 1;
		if (part == size)
			break;
		offset += part - (len - 1);
		size -= part - (len - 1);
	}
	free(chunk);
	return rc;
}

int boot_kernel_contains(const struct boot_kernel *kernel, const void *bytes, size_t len)
{
	int rc = 0;

	if (kernel->form == BOOT_FORM_BZIMAGE)
		return -ENOTSUP;
	if (!len || len > CHUNK / 2)
		return -EINVAL;
	for (unsigned i = 0; !rc && i < kernel->image.n_segments; i++) {
		const struct kernel_segment *s = &kernel->image.segments[i];

		if (kernel->fd >= 0)
			rc = search_file(kernel->fd, s->offset, s->file_size, bytes, len);
		else
			rc = memmem(kernel->unpacked + s->offset, s->file_size, bytes, len) != NULL;
	}
	return rc;
}
