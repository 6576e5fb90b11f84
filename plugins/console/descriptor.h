/* SPDX-License-Identifier: MIT */
/*
 * descriptor.h - reads and writes descriptors of every kind without blocking and without changing them for others.
 *
 * O_NONBLOCK belongs to the open file description, which an inherited standard input or output shares with the shell:
 * setting it there would break the shell's other programs. What is done instead depends on what it is:
 *
 *   terminal, pipe      opened anew through /proc/self/fd: a description of our own, non-blocking. A terminal that
 *                       belongs to somebody else (su) is reached as /dev/tty.
 *   the same, refused   poll(2) before each call, and small writes: a pipe that is ready takes PIPE_BUF bytes.
 *   socket              MSG_DONTWAIT with each call
 *   regular file, /dev/null and the like (what epoll refuses)
 *                       plain calls: these never wait for somebody else
 *   not open, or open the other way round
 *                       nothing: output is thrown away, input has ended
 */
#ifndef CONSOLE_DESCRIPTOR_H
#define CONSOLE_DESCRIPTOR_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/uio.h>

enum descriptor_kind {
	DESCRIPTOR_NONE,
	DESCRIPTOR_NONBLOCKING, /* O_NONBLOCK, ours */
	DESCRIPTOR_SHARED,      /* poll first */
	DESCRIPTOR_SOCKET,
	DESCRIPTOR_PLAIN, /* cannot be watched, never waits */
};

struct descriptor {
	int fd;
	enum descriptor_kind kind;
	bool ours; /* to close */
};

/* An inherited descriptor. `flags`: O_RDONLY or O_WRONLY, what it will be used for. Never fails: DESCRIPTOR_NONE. */
struct descriptor descriptor_inherit(int fd, int flags);
void descriptor_close(struct descriptor *descriptor);

/* Can be watched for events. */
static inline bool descriptor_waits(const struct descriptor *d)
{
	return d->kind != DESCRIPTOR_NONE && d->kind != DESCRIPTOR_PLAIN;
}

/* writev(2): bytes, or -errno (-EAGAIN: would block). Never raises SIGPIPE for sockets. DESCRIPTOR_NONE: -EPIPE. */
ssize_t descriptor_write(const struct descriptor *descriptor, const struct iovec *iov, unsigned n);
/* read(2): bytes, 0 at the end, or -errno. */
ssize_t descriptor_read(const struct descriptor *descriptor, void *to, size_t room);

/*
 * A pipe without a reader and a file beyond its limit end the process by a signal that nobody here waits for: ignores
 * SIGPIPE and SIGXFSZ where their actions are still the default ones. (Such a write then fails with EPIPE, EFBIG.)
 */
void descriptor_ignore_signals(void);

/* Bytes in the buffers. */
size_t descriptor_iov_bytes(const struct iovec *iov, unsigned n);

#endif
