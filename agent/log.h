/* SPDX-License-Identifier: MIT */
/* log.h - what init and the agent have to say goes to stderr, which is the machine's console. One line each. */
#ifndef CAPSA_AGENT_LOG_H
#define CAPSA_AGENT_LOG_H

__attribute__((format(printf, 1, 2))) void agent_log(const char *format, ...);

#endif
