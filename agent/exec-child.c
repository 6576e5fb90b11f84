/* SPDX-License-Identifier: MIT */
/*
 * exec-child.c - see exec-child.h. Called by command.c.
 *
 * The child shares the agent's memory: it writes nothing but the plan and its own stack, and calls the kernel only. The
 * agent has no signal handlers, so that no signal can run any of its code in the child.
 */
#include "agent/exec-child.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void fail(struct exec_plan *plan, enum agent_stage stage, const char *what)
{
	plan->error = errno;
	plan->stage = stage;
	plan->failed = what;
	_exit(127);
}

/* The C library's own would tell other threads, of which there are none, and is not made for a vfork'ed child. */
static void become(struct exec_plan *plan)
{
	const struct user *user = plan->user;

	if (syscall(SYS_setgroups, user->n_groups, user->groups) ||
	    syscall(SYS_setresgid, user->gid, user->gid, user->gid) ||
	    syscall(SYS_setresuid, user->uid, user->uid, user->uid))
		fail(plan, AGENT_STAGE_SETUP, "cannot set the user");
}

/* As execvp(3), but what is no program is not given to a shell. */
static void search(struct exec_plan *plan, const char *list)
{
	const char *name = plan->argv[0];
	size_t len = strlen(name);
	char file[PATH_MAX];
	bool refused = false;

	errno = ENOENT;
	if (len == 0)
		return;
	for (const char *at = list;; at++) {
		size_t n = strcspn(at, ":");

		if (n + 1 + len + 1 <= sizeof file) {
			/* An empty entry is the current folder. */
			memcpy(file, at, n);
			if (n > 0)
				file[n++] = '/';
			memcpy(file + n, name, len + 1);
			execve(file, plan->argv, plan->envp);
			if (errno == EACCES)
				refused = true;
			else if (errno != ENOENT && errno != ENOTDIR)
				return;
		} else {
			errno = ENAMETOOLONG;
		}
		at += strcspn(at, ":");
		if (!*at)
			break;
	}
	if (refused)
		errno = EACCES;
}

static const char *search_list(char *const *envp)
{
	for (; *envp; envp++)
		if (strncmp(*envp, "PATH=", 5) == 0)
			return *envp + 5;
	return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

static void unprotect(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "0", 1) < 0)
		errno = 0; /* then it is protected as the agent is */
	close(fd);
}

static _Noreturn void child(struct exec_plan *plan)
{
	sigset_t none;

	setsid();
	for (int i = 0; i < 3; i++)
		if (dup2(plan->fds[i], i) < 0)
			fail(plan, AGENT_STAGE_SETUP, "cannot set up its input and output");
	if (plan->terminal && ioctl(0, TIOCSCTTY, 0))
		fail(plan, AGENT_STAGE_SETUP, "cannot set up its terminal");
	if (plan->killable)
		unprotect();
	umask(022);
	syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, plan->files, NULL);
	if (plan->user)
		become(plan);
	if (!plan->cwd || chdir(plan->cwd))
		if (!plan->cwd_else || chdir(plan->cwd_else))
			fail(plan, AGENT_STAGE_SETUP, plan->cwd ? plan->cwd : plan->cwd_else);
	/* What the agent was started with ignored stays so over execve(2). */
	for (int signo = 1; signo < SIGRTMIN; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (strchr(plan->argv[0], '/'))
		execve(plan->argv[0], plan->argv, plan->envp);
	else
		search(plan, search_list(plan->envp));
	fail(plan, AGENT_STAGE_COMMAND, plan->argv[0]);
}

pid_t exec_spawn(struct exec_plan *plan)
{
	pid_t pid;

	plan->error = 0;
	pid = vfork();
	if (pid == 0)
		child(plan);
	if (pid < 0) {
		plan->error = errno;
		plan->stage = AGENT_STAGE_SETUP;
		plan->failed = "cannot make a process";
		return -1;
	}
	if (!plan->error)
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return -1;
}
