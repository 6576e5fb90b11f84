/* SPDX-License-Identifier: MIT */
/* descriptor.c - see descriptor.h. Called by the backends; owns nothing. */
#include "descriptor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether epoll takes it: not what is always ready. */
static bool can_watch(int fd)
{
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	bool can;

	if (epoll < 0)
		return true;
	can = epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0 || errno != EPERM;
	close(epoll);
	return can;
}

/* The controlling terminal, if that is what `fd` is. */
static int open_own_terminal(int fd, int flags)
{
	struct stat st;
	unsigned device = 0;
	int tty;

	if (!isatty(fd) || fstat(fd, &st) < 0)
		return -1;
	tty = open("/dev/tty", flags);
	if (tty < 0)
		return -1;
	if (ioctl(tty, TIOCGDEV, &device) == 0 && device == (unsigned)st.st_rdev)
		return tty;
	close(tty);
	return -1;
}

static int open_anew(int fd, int flags)
{
	char path[32];
	int fresh;

	flags |= O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	fresh = open(path, flags);
	return fresh >= 0 ? fresh : open_own_terminal(fd, flags);
}

struct descriptor descriptor_inherit(int fd, int flags)
{
	struct descriptor d = { .fd = -1, .kind = DESCRIPTOR_NONE };
	struct stat st;
	int mode = fcntl(fd, F_GETFL);

	if (mode < 0 || fstat(fd, &st) < 0 || ((mode & O_ACCMODE) != O_RDWR && (mode & O_ACCMODE) != flags))
		return d;
	d.fd = fd;
	if (S_ISSOCK(st.st_mode)) {
		d.kind = DESCRIPTOR_SOCKET;
	} else if (!can_watch(fd)) {
		d.kind = DESCRIPTOR_PLAIN;
	} else {
		int fresh = open_anew(fd, flags);

		d.kind = fresh >= 0 ? DESCRIPTOR_NONBLOCKING : DESCRIPTOR_SHARED;
		d.ours = fresh >= 0;
		d.fd = fresh >= 0 ? fresh : fd;
	}
	return d;
}

void descriptor_close(struct descriptor *d)
{
	if (d->ours && d->fd >= 0)
		close(d->fd);
	*d = (struct descriptor){ .fd = -1, .kind = DESCRIPTOR_NONE };
}

static bool ready(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	return poll(&poll_fd, 1, 0) > 0;
}

static ssize_t write_shared(int fd, const struct iovec *iov)
{
	if (!ready(fd, POLLOUT)) {
		errno = EAGAIN;
		return -1;
	}
	return write(fd, iov->iov_base, iov->iov_len < PIPE_BUF ? iov->iov_len : PIPE_BUF);
}

ssize_t descriptor_write(const struct descriptor *d, const struct iovec *iov, unsigned n)
{
	struct iovec first = iov[0];
	struct msghdr message = { .msg_iov = &first, .msg_iovlen = 1 };
	ssize_t done = -1;

	switch (d->kind) {
	case DESCRIPTOR_NONE:
		errno = EPIPE;
		break;
	case DESCRIPTOR_NONBLOCKING:
	case DESCRIPTOR_PLAIN:
		done = writev(d->fd, iov, (int)n);
		break;
	case DESCRIPTOR_SHARED:
		done = write_shared(d->fd, iov);
		break;
	case DESCRIPTOR_SOCKET:
		done = sendmsg(d->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	}
	if (done >= 0)
		return done;
	return errno == EINTR ? -EAGAIN : -errno;
}

ssize_t descriptor_read(const struct descriptor *d, void *to, size_t room)
{
	ssize_t done = -1;

	switch (d->kind) {
	case DESCRIPTOR_NONE:
		return 0;
	case DESCRIPTOR_NONBLOCKING:
	case DESCRIPTOR_PLAIN:
		done = read(d->fd, to, room);
		break;
	case DESCRIPTOR_SHARED:
		if (!ready(d->fd, POLLIN))
			return -EAGAIN;
		done = read(d->fd, to, room);
		break;
	case DESCRIPTOR_SOCKET:
		done = recv(d->fd, to, room, MSG_DONTWAIT);
		break;
	}
	if (done >= 0)
		return done;
	return errno == EINTR ? -EAGAIN : -errno;
}

void descriptor_ignore_signals(void)
{
	static const int signals[] = { SIGPIPE, SIGXFSZ };

	for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++) {
		struct sigaction action;

		if (sigaction(signals[i], NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
		    action.sa_handler == SIG_DFL)
			signal(signals[i], SIG_IGN);
	}
}

size_t descriptor_iov_bytes(const struct iovec *iov, unsigned n)
{
	size_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += iov[i].iov_len;
	return bytes;
}
