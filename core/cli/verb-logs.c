/* SPDX-License-Identifier: MIT */
/* verb-logs.c - `capsa logs`: what a machine's console has said, as far as it is kept. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/cli/verb.h"
#include "core/control/rundir.h"

/* Prints what `fd` has from where it stands. 0 or -errno of the output. */
static int print_rest(int fd)
{
	char piece[65536];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0)
		if (fwrite(piece, 1, (size_t)n, stdout) != (size_t)n)
			return -errno;
	return fflush(stdout) ? -errno : 0;
}

static int open_log(const char *folder, const char *name)
{
	char *path = text_format("%s/%s", folder, name);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	free(path);
	return fd;
}

static bool is_same(int a, int b)
{
	struct stat first, second;

	return !fstat(a, &first) && !fstat(b, &second) && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/* A thread: closes its end of the pipe when the machine has ended, of whatever. */
struct waiter {
	const char *name;
	int pipe[2];
};

static void *wait_for_end(void *ctx)
{
	struct waiter *waiter = ctx;
	struct error err;

	rundir_wait(waiter->name, &err);
	close(waiter->pipe[1]);
	return NULL;
}

/*
 * Goes on until the machine has ended. That its folder goes is no sign: that of a killed machine stays for a while.
 * When the log is full a new file takes its name.
 */
static int follow(const char *folder, int watch, int end, int fd)
{
	struct pollfd fds[2] = { { .fd = watch, .events = POLLIN }, { .fd = end, .events = POLLIN } };
	char events[4096] __attribute__((aligned(8)));
	int rc = 0, next;

	while (!rc && !fds[1].revents) {
		if (poll(fds, 2, -1) < 0) {
			if (errno != EINTR)
				return -errno;
			continue;
		}
		/* What they say does not matter: something was written, or there is a new file. */
		if (fds[0].revents && read(watch, events, sizeof events) < 0 && errno != EINTR)
			return -errno;
		rc = print_rest(fd);
		next = rc ? -1 : open_log(folder, "console.log");
		if (next < 0)
			continue;
		if (!is_same(fd, next)) {
			rc = print_rest(next);
			dup2(next, fd);
		}
		close(next);
	}
	return rc;
}

static int show(const char *name, bool follows)
{
	struct error err;
	char *folder = rundir_find(name, &err);
	pthread_t thread;
	struct waiter waiter = { .name = name, .pipe = { -1, -1 } };
	int older, newer, watch = -1, rc = 0;

	if (!folder)
		return fail(EXIT_FAILED, "%s", err.text);
	if (follows) {
		watch = inotify_init1(IN_CLOEXEC);
		if (watch < 0 || inotify_add_watch(watch, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0 ||
		    pipe2(waiter.pipe, O_CLOEXEC))
			rc = -errno;
	}
	older = open_log(folder, "console.log.1");
	newer = open_log(folder, "console.log");
	if (newer < 0) {
		rc = fail(EXIT_FAILED,
		          "the console of \"%s\" is not kept: its file says where it goes (capsa-console(1))", name);
	} else {
		if (older >= 0 && !rc)
			rc = print_rest(older);
		if (!rc)
			rc = print_rest(newer);
		if (!rc && follows)
			rc = -pthread_create(&thread, NULL, wait_for_end, &waiter);
		/* The process ends while the thread waits, if need be. */
		if (!rc && follows)
			rc = follow(folder, watch, waiter.pipe[0], newer);
		if (rc && rc != -EPIPE)
			fail(EXIT_FAILED, "cannot show the console: %s", strerror(-rc));
	}
	if (older >= 0)
		close(older);
	if (newer >= 0)
		close(newer);
	if (watch >= 0)
		close(watch);
	if (waiter.pipe[0] >= 0)
		close(waiter.pipe[0]);
	free(folder);
	return rc ? EXIT_FAILED : EXIT_OK;
}

static int run(int argc, char **argv)
{
	static const struct option options[] = { { "follow", no_argument, NULL, 'f' }, { NULL, 0, NULL, 0 } };
	bool follows = false;
	int c;

	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c != 'f')
			return EXIT_USAGE;
		follows = true;
	}
	if (optind + 1 != argc)
		return verb_usage(&verb_logs, "of which machine? `capsa ls` lists them");
	verb_ignore_write_signals();
	return show(argv[optind], follows);
}

const struct verb verb_logs = {
	.name = "logs",
	.arguments = "N [-f]",
	.summary = "show what a machine's console has said",
	.help = "  -f, --follow  goes on until the machine ends\n"
		"The last 256K at least are kept, of machines by `capsa run` and `capsa start`.\n",
	.run = run,
};
