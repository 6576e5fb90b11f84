/* SPDX-License-Identifier: MIT */
/*
 * kvm-shim.c - preloaded into capsa by tests: a /dev/kvm that cannot be opened, or one that tells of itself what the
 * test wants and cannot do anything. Stands in for hosts that a test machine is not.
 *
 *   TEST_KVM=errno:N      open fails with that errno
 *   TEST_KVM=version:N    KVM_GET_API_VERSION says N
 *   TEST_KVM=vcpus:N      KVM_CAP_MAX_VCPUS is N, all else is there
 *   TEST_KVM=lacks:N,M    KVM_CHECK_EXTENSION knows no capability N, nor M
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int kvm_fd = -1;

/* What stands behind "word:" in TEST_KVM, or NULL. */
static const char *words(const char *word)
{
	const char *text = getenv("TEST_KVM");
	size_t len = strlen(word);

	return text && !strncmp(text, word, len) && text[len] == ':' ? text + len + 1 : NULL;
}

/* The number there, or -1. */
static int told(const char *word)
{
	const char *text = words(word);

	return text ? atoi(text) : -1;
}

static int lacks(unsigned long capability)
{
	for (const char *at = words("lacks"); at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (strtoul(at, NULL, 10) == capability)
			return 1;
	return 0;
}

__attribute__((visibility("default"))) int open(const char *path, int flags, ...)
{
	int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open");
	mode_t mode = 0;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_list args;

		va_start(args, flags);
		mode = va_arg(args, mode_t);
		va_end(args);
	}
	if (strcmp(path, "/dev/kvm"))
		return real(path, flags, mode);
	if (told("errno") >= 0) {
		errno = told("errno");
		return -1;
	}
	kvm_fd = real("/dev/null", flags);
	return kvm_fd;
}

__attribute__((visibility("default"))) int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	unsigned long argument;
	va_list args;

	va_start(args, request);
	argument = va_arg(args, unsigned long);
	va_end(args);
	if (fd != kvm_fd || fd < 0)
		return real(fd, request, argument);
	if (request == KVM_GET_API_VERSION)
		return told("version") >= 0 ? told("version") : KVM_API_VERSION;
	if (request == KVM_CHECK_EXTENSION)
		return lacks(argument)                                               ? 0
		       : argument == KVM_CAP_MAX_VCPUS && told("vcpus") >= 0 ? told("vcpus")
		                                                             : 1000;
	errno = EIO;
	return -1;
}
