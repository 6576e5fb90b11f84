/* SPDX-License-Identifier: MIT */
/* text-file.c - see text-file.h. */
#include "agent/text-file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/buffer.h"

#define PORTION 4096u

/* A FIFO in the place of a file must not stop anybody. */
static int open_text(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	return fd < 0 ? -errno : fd;
}

int text_file_read(const char *path, size_t max, char **text)
{
	struct buffer b = { 0 };
	int fd = open_text(path);
	ssize_t n = 0;

	*text = NULL;
	if (fd < 0)
		return fd;
	do {
		unsigned char *to = buffer_reserve(&b, PORTION + 1);

		n = to ? read(fd, to, PORTION) : -1;
		if (n < 0)
			n = to ? -errno : -ENOMEM;
		else
			buffer_commit(&b, (size_t)n);
		if (buffer_used(&b) > max)
			n = -EFBIG;
	} while (n > 0);
	close(fd);
	if (n < 0) {
		buffer_free(&b);
		return (int)n;
	}
	b.at[b.end] = '\0';
	*text = (char *)b.at;
	return 0;
}

ssize_t text_file_peek(const char *path, char *to, size_t room)
{
	int fd = open_text(path);
	size_t used = 0;
	ssize_t n;

	*to = '\0';
	if (fd < 0)
		return fd;
	/* /proc gives a page at a time. */
	do {
		n = read(fd, to + used, room - 1 - used);
		used += n > 0 ? (size_t)n : 0;
	} while (n > 0 && used < room - 1);
	if (n < 0)
		n = -errno;
	close(fd);
	to[used] = '\0';
	return n < 0 ? n : (ssize_t)used;
}

int text_file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}
