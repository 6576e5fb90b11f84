/* SPDX-License-Identifier: MIT */
/*
 * machine-agent.h - the way to the agent of a running machine, by the machine's name, and what became of the machine
 * where that way ends too soon.
 */
#ifndef CAPSA_CLI_MACHINE_AGENT_H
#define CAPSA_CLI_MACHINE_AGENT_H

#include "core/base/error.h"
#include "core/control/api-client.h"

struct machine_agent {
	const char *name;
	int fd;                 /* to the agent */
	struct api_client *end; /* has asked the machine how it ended; NULL: could not */
};

/* 0, or -errno with err: no such machine, or one without an agent. */
int machine_agent_open(const char *name, struct machine_agent *agent, struct error *err);
/* The connection, which is the caller's from then on. */
int machine_agent_take(struct machine_agent *agent);
/* The connection was lost: err becomes the reason as far as the machine tells one. */
void machine_agent_lost(struct machine_agent *agent, struct error *err);
void machine_agent_close(struct machine_agent *agent);

#endif
