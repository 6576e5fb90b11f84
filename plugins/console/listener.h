/* SPDX-License-Identifier: MIT */
/*
 * listener.h - a UNIX stream socket to listen on: mode 0600, its path of any length, and only for its own user.
 */
#ifndef CONSOLE_LISTENER_H
#define CONSOLE_LISTENER_H

#include <sys/types.h>

#include "console.h"

struct listener {
	int fd;     /* -1: not open */
	char *path; /* its file, to be removed; NULL: none made */
	dev_t dev;  /* which that file is */
	ino_t ino;
};

/*
 * Makes and binds the socket. A socket file that nobody listens on (any more) is replaced. -1 with host->error():
 * somebody listens there, something else is there, or a cause of the system's.
 */
int listener_open(struct listener *listener, struct console *console, const char *path);
/* Closes it and removes its file, if that is still ours. */
void listener_close(struct listener *listener);

/*
 * The next connection (non-blocking) and its process, or -1: none waits. Those of other users but root are closed and
 * never seen.
 */
int listener_accept(const struct listener *listener, pid_t *pid);

#endif
