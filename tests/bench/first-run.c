/* SPDX-License-Identifier: MIT */
/*
 * first-run.c - preloaded into a virtual machine monitor (LD_PRELOAD): at the first KVM_RUN it appends one line to
 * $FIRST_RUN_LOG, "MONOTONIC_NS PROCESS_CPU_NS", and with FIRST_RUN_EXIT set ends the process there. Used by bench.py;
 * says the same of capsa and of any other monitor, on hosts without tracepoints too.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int ioctl(int fd, unsigned long request, ...);

static long long now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void report(void)
{
	const char *path = getenv("FIRST_RUN_LOG");
	char line[64];
	int len, fd;

	if (!path)
		return;
	len = snprintf(line, sizeof line, "%lld %lld\n", now(CLOCK_MONOTONIC), now(CLOCK_PROCESS_CPUTIME_ID));
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && write(fd, line, (size_t)len) == len)
		close(fd);
	if (getenv("FIRST_RUN_EXIT"))
		_exit(0);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int, unsigned long, void *);
	static atomic_bool seen;
	va_list args;
	void *argument;

	va_start(args, request);
	argument = va_arg(args, void *);
	va_end(args);
	if (request == KVM_RUN && !atomic_exchange(&seen, 1))
		report();
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ioctl");
	return real(fd, request, argument);
}
