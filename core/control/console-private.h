/* SPDX-License-Identifier: MIT */
/*
 * console-private.h - what the parts of the console client (console-client.h) know of each other:
 *
 *   console-client.c   the two connections, typing, waiting for a pattern
 *   console-exec.c     a command in the guest's shell
 *   console-attach.c   the terminal handed over
 */
#ifndef CAPSA_CONTROL_CONSOLE_PRIVATE_H
#define CAPSA_CONTROL_CONSOLE_PRIVATE_H

#include <sys/types.h>

#include "core/control/console-client.h"
#include "core/control/expect.h"

struct console_client {
	int fd, control; /* the console, and PATH.ctl */
	int interrupt;   /* readable: stop waiting, with -EINTR; -1: none */
	struct expect *expect;
	uint64_t received;
	uint64_t backlog; /* that many of them were said before we came */
	bool typed;       /* something has been sent */
	bool show;        /* what comes goes to standard output */
};

/* Takes what has come. The bytes' number, 0: none now, or -errno with err. */
ssize_t console_client_receive(struct console_client *client, char *bytes, size_t room, struct error *err);
/*
 * Waits until there is something to read (or room to write), or the deadline has come: -ETIMEDOUT then. Also where
 * there is always something to read; but what was said before we came is read however little time there is.
 */
int console_client_wait(const struct console_client *client, short events, int64_t deadline, struct error *err);
/* A line for the other end, which may be lost: a window's size is not worth an error. */
void console_client_control(const struct console_client *client, const char *line);

/* All of it, also where the descriptor does not block. 0 or -errno. */
int console_write_all(int fd, const void *bytes, size_t len);

#endif
