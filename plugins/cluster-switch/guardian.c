/* SPDX-License-Identifier: MIT */
/*
 * guardian.c - see guardian.h. Called by member.c, and by serve.c for members whose own guardian was killed.
 *
 * What it has after the fork: the cluster's folder, its end of the leash, /dev/null as standard streams. It allocates
 * nothing and calls nothing but the kernel, as it is a copy of a process that it knows little of; the switch that it
 * forks is one thread, and does allocate.
 */
#include "plugins/cluster-switch/guardian.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "plugins/cluster-switch/cluster.h"
#include "plugins/cluster-switch/serve.h"

#define FOLDER_FD 3 /* where the descriptors are in a guardian; the first two also in a switch */
#define LEASH_FD 4
#define PULSE_FD 5
#define FIRST_OTHER_FD 6

/* So many switches in so short a time are killed by something that another one does not help against: one a second. */
#define STARTS_MAX 100u
#define STARTS_MS 10000u
#define STARTS_PAUSE_MS 1000

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Whether the member's end is closed within `ms` (negative: for ever). */
static bool leash_ends(int leash, int ms)
{
	struct pollfd fd = { .fd = leash, .events = 0 };
	int n;

	do
		n = poll(&fd, 1, ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* As after an exec: nothing blocked, ignored or handled. */
static void signals_reset(void)
{
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Only these are left, at their places, and standard streams that lead nowhere. 0 or -errno. */
static int descriptors_reset(int dirfd, int leash, int pulse)
{
	int null;

	/* Out of the way first: each may be where the other shall be, or below 3. */
	dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, FIRST_OTHER_FD);
	leash = fcntl(leash, F_DUPFD_CLOEXEC, FIRST_OTHER_FD);
	if (dirfd < 0 || leash < 0)
		return -errno;
	/* Something is there in any case: a switch closes it. */
	pulse = fcntl(pulse < 0 ? leash : pulse, F_DUPFD_CLOEXEC, FIRST_OTHER_FD);
	if (dup3(dirfd, FOLDER_FD, O_CLOEXEC) < 0 || dup3(leash, LEASH_FD, O_CLOEXEC) < 0 ||
	    dup3(pulse, PULSE_FD, O_CLOEXEC) < 0)
		return -errno;
	if (close_range(FIRST_OTHER_FD, ~0u, 0) < 0)
		for (int i = FIRST_OTHER_FD, n = (int)sysconf(_SC_OPEN_MAX); i < n; i++)
			close(i);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null < 0)
		return -errno;
	for (int i = 0; i < FOLDER_FD; i++)
		if (dup2(null, i) < 0)
			return -errno;
	close(null);
	return 0;
}

_Noreturn static void switch_run(const char *cluster)
{
	/* Not its guardian's any more: neither its session nor, by O_ASYNC's owner, its end. */
	setsid();
	close(PULSE_FD);
	prctl(PR_SET_NAME, "capsa-switch");
	(void)signal(SIGCHLD, SIG_DFL);
	(void)signal(SIGPIPE, SIG_IGN);
	_exit(serve_run(FOLDER_FD, cluster, LEASH_FD) < 0 ? 1 : 0);
}

/* Sleeps until nobody has the lock. Returns it. */
static int lock_wait(void)
{
	const int lock = openat(FOLDER_FD, CLUSTER_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	int r;

	if (lock < 0)
		return -errno;
	do
		r = flock(lock, LOCK_EX);
	while (r < 0 && errno == EINTR);
	if (r < 0) {
		r = -errno;
		close(lock);
		return r;
	}
	return lock;
}

_Noreturn static void guardian_run(int dirfd, const char *cluster, int leash, int pulse)
{
	uint64_t since = now_ms();
	unsigned starts = 0;

	signals_reset();
	setsid();
	if (descriptors_reset(dirfd, leash, pulse) < 0 || chdir("/") < 0)
		_exit(1);
	prctl(PR_SET_NAME, "capsa-guardian");
	/* Switches that end are nobody's to wait for. */
	(void)signal(SIGCHLD, SIG_IGN);

	if (fcntl(LEASH_FD, F_SETOWN, getpid()) < 0 || fcntl(LEASH_FD, F_SETSIG, SIGTERM) < 0 ||
	    fcntl(LEASH_FD, F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
		_exit(1);
	/* Before that nobody would have told us. */
	if (leash_ends(LEASH_FD, 0))
		_exit(0);

	for (;;) {
		const int lock = lock_wait();
		pid_t pid;

		if (lock < 0)
			_exit(1);
		/* The signal is for one: others that somebody gave the same leash to look here. */
		if (leash_ends(LEASH_FD, 0))
			_exit(0);
		if (now_ms() - since > STARTS_MS) {
			since = now_ms();
			starts = 0;
		}
		if (++starts > STARTS_MAX && leash_ends(LEASH_FD, STARTS_PAUSE_MS))
			_exit(0);
		pid = fork();
		if (pid == 0)
			switch_run(cluster);
		/* There can be no more processes: it is the switch itself, and its member asks that for another
		 * guardian. */
		if (pid < 0) {
			(void)fcntl(LEASH_FD, F_SETFL, O_NONBLOCK);
			switch_run(cluster);
		}
		close(lock);
	}
}

int guardian_start_with(int dirfd, const char *cluster, int leash, int pulse)
{
	sigset_t all, before;
	pid_t pid, r;
	int status = 0, error = 0;

	/* A handler of this process's must not run in the other one. */
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			guardian_run(dirfd, cluster, leash, pulse);
		_exit(pid < 0 ? errno : 0);
	}
	if (pid < 0)
		error = -errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(leash);
	if (pid < 0)
		return error;
	do
		r = waitpid(pid, &status, 0);
	while (r < 0 && errno == EINTR);
	/* Where SIGCHLD is ignored there is no status. */
	return r == pid && WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
}

int guardian_start(int dirfd, const char *cluster, int *leash)
{
	int pair[2], r;

	*leash = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	r = guardian_start_with(dirfd, cluster, pair[1], -1);
	if (r < 0) {
		close(pair[0]);
		return r;
	}
	*leash = pair[0];
	return 0;
}
