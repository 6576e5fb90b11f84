/* SPDX-License-Identifier: MIT */
/*
 * services-open.c - the one door for what an instance opens after realize. Owns nothing: descriptors are the plugin's.
 *
 * A plugin gets only what it has declared (`needs`), so that the sandbox around the process, which
 * is made from those declarations, and the plugin's wishes cannot drift apart unseen. Any thread.
 */
#include "core/plugin/instance.h"

#include <errno.h>
#include <fcntl.h>

static bool may_use_family(const struct capsa_device *dev, int family)
{
	const uint32_t needs = dev->instance->info->needs;

	switch (family) {
	case AF_INET:
	case AF_INET6:
		return needs & CAPSA_NEEDS_INTERNET;
	case AF_UNIX:
		return needs & CAPSA_NEEDS_UNIX;
	case AF_UNSPEC: /* connect(2): no peer any more */
		return needs & (CAPSA_NEEDS_INTERNET | CAPSA_NEEDS_UNIX);
	default:
		return false;
	}
}

int service_file_open(struct capsa_device *dev, int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	if (!(dev->instance->info->needs & CAPSA_NEEDS_FILES) || dirfd == AT_FDCWD || path[0] == '/')
		return -EPERM;
	do
		fd = openat(dirfd, path, flags | O_CLOEXEC, mode);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

int service_socket_open(struct capsa_device *dev, int domain, int type, int protocol)
{
	int fd;

	if (domain == AF_UNSPEC || !may_use_family(dev, domain))
		return -EPERM;
	fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	return fd < 0 ? -errno : fd;
}

/* The family of an address, or -errno. */
static int check_address(const struct capsa_device *dev, const struct sockaddr *address, socklen_t len)
{
	if (len < sizeof address->sa_family)
		return -EINVAL;
	return may_use_family(dev, address->sa_family) ? 0 : -EPERM;
}

int service_socket_connect(struct capsa_device *dev, int fd, const struct sockaddr *to, socklen_t len)
{
	int r = check_address(dev, to, len);

	if (r < 0 || connect(fd, to, len) == 0)
		return r;
	/* An interrupted connect goes on by itself. */
	return errno == EINTR ? -EINPROGRESS : -errno;
}

int service_socket_bind(struct capsa_device *dev, int fd, const struct sockaddr *at, socklen_t len)
{
	int r = check_address(dev, at, len);

	return r < 0 || bind(fd, at, len) == 0 ? r : -errno;
}
