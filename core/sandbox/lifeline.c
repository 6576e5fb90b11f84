/* SPDX-License-Identifier: MIT */
/* lifeline.c - see lifeline.h. Called by sandbox-spawn.c and sandbox-machine.c. */
#include "core/sandbox/lifeline.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

int lifeline_send(int fd, enum lifeline_word word, const void *payload, size_t len)
{
	char letter = (char)word;
	struct iovec iov[2] = { { .iov_base = &letter, .iov_len = 1 }, { .iov_len = len } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	__builtin_memcpy(&iov[1].iov_base, &payload, sizeof payload);
	do
		n = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int lifeline_receive(int fd, enum lifeline_word *word, void *payload, size_t *len)
{
	char letter;
	struct iovec iov[2] = { { .iov_base = &letter, .iov_len = 1 },
		                { .iov_base = payload, .iov_len = LIFELINE_MAX } };
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	do
		n = recvmsg(fd, &message, 0);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return -EPIPE;
	if (message.msg_flags & MSG_TRUNC)
		return -EPROTO;
	*word = (enum lifeline_word)(unsigned char)letter;
	*len = (size_t)n - 1;
	return 0;
}
