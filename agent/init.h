/* SPDX-License-Identifier: MIT */
/* init.h - the other role: process 1. */
#ifndef CAPSA_AGENT_INIT_H
#define CAPSA_AGENT_INIT_H

/* Does not return: the machine ends before. */
_Noreturn void init_run(void);

#endif
