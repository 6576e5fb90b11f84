/* SPDX-License-Identifier: MIT */
/* shutdown.h - the machine's end. */
#ifndef CAPSA_AGENT_SHUTDOWN_H
#define CAPSA_AGENT_SHUTDOWN_H

#include "agent/server.h"

/*
 * SIGTERM to everything, SIGKILL to what is left after the order's grace, disks in order, and off. Called by init with
 * SIGCHLD blocked. An agent that is told so ends by itself when its commands have; all else is init's child by then:
 * when no child is left, nothing is waited for.
 */
_Noreturn void shutdown_machine(const struct shutdown_order *order);

/* SIGKILL to everything but init, and waits for its end. */
void shutdown_kill_all(void);

#endif
