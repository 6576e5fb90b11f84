/* SPDX-License-Identifier: MIT */
/* terminal.h - pseudo-terminals for commands. */
#ifndef CAPSA_AGENT_TERMINAL_H
#define CAPSA_AGENT_TERMINAL_H

#include <sys/types.h>

/*
 * A new one of that size (0: 24, 80) whose slave belongs to `owner`. Both descriptors are the caller's, close-on-exec;
 * the master does not block. 0 or -errno.
 */
int terminal_open(unsigned rows, unsigned columns, uid_t owner, int *master, int *slave);
void terminal_resize(int master, unsigned rows, unsigned columns);
/* The character that means "end of input" to who reads lines there; -1: it reads no lines. */
int terminal_end_character(int master);

#endif
