/* SPDX-License-Identifier: MIT */
/* machine-agent.c - see machine-agent.h. Called by verb-exec.c and verb-cp.c. */
#include "core/cli/machine-agent.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/control/rundir.h"
#include "core/sandbox/client.h"
#include "core/sandbox/lifeline.h"
#include "core/sandbox/why.h"

/* A machine that has ended says so at once; one that has not goes on living without an agent. */
#define END_MS 3000

int machine_agent_open(const char *name, struct machine_agent *agent, struct error *err)
{
	char *folder = rundir_find(name, err), *path;
	struct error ignored;

	*agent = (struct machine_agent){ .name = name, .fd = -1 };
	if (!folder)
		return -ESRCH;
	path = text_format("%s/" SANDBOX_AGENT_SOCKET, folder);
	agent->fd = path ? client_connect(path, err) : error_set(err, ENOMEM, "no memory");
	free(path);
	free(folder);
	if (agent->fd == -ENOENT || agent->fd == -ECONNREFUSED)
		return error_set(err, ENOENT,
		                 "the machine \"%s\" has no agent: `capsa start` and `capsa run` make machines that "
		                 "have one, and files with sandbox = true",
		                 name);
	if (agent->fd < 0)
		return agent->fd;
	/* It will be answered when the machine ends. Without it only the reason is not known. */
	if (!api_client_open(name, END_MS, &agent->end, &ignored))
		api_client_send(agent->end, "GET", "/vm/end", &ignored);
	return 0;
}

int machine_agent_take(struct machine_agent *agent)
{
	int fd = agent->fd;

	agent->fd = -1;
	return fd;
}

void machine_agent_lost(struct machine_agent *agent, struct error *err)
{
	struct error ignored;
	char *body = NULL;
	json_t *root;
	int status;

	if (!agent->end || api_client_receive(agent->end, END_MS, &body, &status, &ignored)) {
		sandbox_why_lost(err);
		return;
	}
	root = json_loads(body, 0, NULL);
	if (root)
		sandbox_why_ended(json_string_value(json_object_get(root, "end")),
		                  json_string_value(json_object_get(root, "text")),
		                  json_string_value(json_object_get(root, "console")), err);
	json_decref(root);
	free(body);
}

void machine_agent_close(struct machine_agent *agent)
{
	if (agent->fd >= 0)
		close(agent->fd);
	api_client_close(agent->end);
}
