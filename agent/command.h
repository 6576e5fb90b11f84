/* SPDX-License-Identifier: MIT */
/* command.h - processes that the agent has started and must wait for: their ends, their time-outs, and how to end them.
 */
#ifndef CAPSA_AGENT_COMMAND_H
#define CAPSA_AGENT_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/exec-child.h"
#include "agent/list.h"

struct server;

struct command {
	struct link link; /* server's */
	pid_t pid;        /* a session and a process group, too */
	bool terminal;    /* its session may have more groups: a shell's jobs */
	bool timed_out;
	uint64_t deadline; /* milliseconds of CLOCK_MONOTONIC; 0: none */
	/* It has ended, with wait(2)'s status; freed afterwards. */
	void (*ended)(struct command *command, int status);
	void *owner;
};

/* NULL with plan->error. timeout in milliseconds, 0: none. */
struct command *command_start(struct server *server, struct exec_plan *plan, uint64_t timeout,
                              void (*ended)(struct command *command, int status), void *owner);
void command_signal(struct command *command, int number);
/* SIGKILL to all that belongs to it; on a terminal the whole session. */
void command_kill(struct command *command);
/* The owner is gone: kills it, and nobody is told of its end. */
void command_abandon(struct command *command);

/* SIGCHLD came. */
void commands_reap(struct server *server);
/* Kills those whose time is over. How many milliseconds the loop may wait: -1 without a time-out. */
int commands_expire(struct server *server);

#endif
