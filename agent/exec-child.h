/* SPDX-License-Identifier: MIT */
/*
 * exec-child.h - from a plan to a running command.
 *
 * By vfork(2): nothing is copied, which makes it several times as fast as fork(2), and what went wrong in the child is
 * simply in the plan. The agent stands still until the child's execve(2): as long as that takes to open a file, which
 * is not longer than the agent's own opening of files.
 */
#ifndef CAPSA_AGENT_EXEC_CHILD_H
#define CAPSA_AGENT_EXEC_CHILD_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "agent/protocol.h"
#include "agent/users.h"

struct exec_plan {
	char *const *argv; /* argv[0] is looked for in envp's PATH where it has no '/' */
	char *const *envp;
	const char *cwd;         /* tried first; NULL: only the other one */
	const char *cwd_else;    /* NULL: cwd must be there */
	const struct user *user; /* NULL: as the agent */
	const struct rlimit *files;
	int fds[3];    /* above 2, close-on-exec */
	bool terminal; /* fds[0] becomes the controlling one */
	bool killable; /* takes the agent's protection from the out-of-memory killer off */

	/* Written by the child. error is an errno; 0: it runs. */
	volatile int error;
	volatile enum agent_stage stage;
	const char *volatile failed; /* "cannot set the user": what it is about */
};

/* The child, a session and process group of its own; or -1 with plan->error. There is nothing to wait for then. */
pid_t exec_spawn(struct exec_plan *plan);

#endif
