/* SPDX-License-Identifier: MIT */
/* command.c - see command.h. Called by exec.c, and by server.c for what the kernel and the clock tell. */
#include "agent/command.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "agent/server.h"
#include "agent/text-file.h"

#define SESSION_PASSES 8 /* of looking for processes that are new since the last one */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

struct command *command_start(struct server *server, struct exec_plan *plan, uint64_t timeout,
                              void (*ended)(struct command *command, int status), void *owner)
{
	struct command *command = calloc(1, sizeof *command);

	if (!command) {
		plan->error = ENOMEM;
		plan->stage = AGENT_STAGE_SETUP;
		plan->failed = "cannot make a process";
		return NULL;
	}
	command->pid = exec_spawn(plan);
	if (command->pid < 0) {
		free(command);
		return NULL;
	}
	command->terminal = plan->terminal;
	if (timeout > 0)
		command->deadline = now_ms() + (timeout < INT64_MAX ? timeout : INT64_MAX);
	command->ended = ended;
	command->owner = owner;
	list_append(&server->commands, &command->link);
	return command;
}

void command_signal(struct command *command, int number)
{
	/* Not waited for yet: the number is nobody else's. */
	kill(-command->pid, number);
}

/* "PID (NAME) STATE PARENT GROUP SESSION ...", where NAME may hold anything. */
static bool lives_in_session(const char *pid, pid_t session)
{
	char path[64], stat[512];
	const char *at;
	char state;
	int parent, group, its;

	snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
	if (text_file_peek(path, stat, sizeof stat) <= 0)
		return false;
	at = strrchr(stat, ')');
	if (!at || sscanf(at + 1, " %c %d %d %d", &state, &parent, &group, &its) != 4)
		return false;
	return its == session && state != 'Z' && state != 'X';
}

static bool kill_session_once(pid_t session)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool found = false;

	if (!proc)
		return false;
	while ((entry = readdir(proc))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || !lives_in_session(entry->d_name, session))
			continue;
		found |= kill((pid_t)strtol(entry->d_name, NULL, 10), SIGKILL) == 0;
	}
	closedir(proc);
	return found;
}

void command_kill(struct command *command)
{
	if (command->terminal)
		for (int i = 0; i < SESSION_PASSES && kill_session_once(command->pid); i++)
			;
	command_signal(command, SIGKILL);
}

void command_abandon(struct command *command)
{
	command->ended = NULL;
	command->deadline = 0;
	command_kill(command);
}

void commands_reap(struct server *server)
{
	struct link *at;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (at = server->commands.next; at != &server->commands; at = at->next) {
			struct command *command = container_of(at, struct command, link);

			if (command->pid != pid)
				continue;
			list_remove(&command->link);
			if (command->ended)
				command->ended(command, status);
			free(command);
			break;
		}
	}
}

int commands_expire(struct server *server)
{
	uint64_t now = 0, next = UINT64_MAX;
	struct link *at;

	for (at = server->commands.next; at != &server->commands; at = at->next) {
		struct command *command = container_of(at, struct command, link);

		if (!command->deadline)
			continue;
		if (!now)
			now = now_ms();
		if (command->deadline <= now) {
			command->deadline = 0;
			command->timed_out = true;
			command_kill(command);
		} else if (command->deadline < next) {
			next = command->deadline;
		}
	}
	if (next == UINT64_MAX)
		return -1;
	return next - now > INT_MAX ? INT_MAX : (int)(next - now);
}
