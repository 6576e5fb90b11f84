/* SPDX-License-Identifier: MIT */
/*
 * backend.h - the four places that a console can be connected to, behind one table of calls.
 *
 * Order: realize, start, (write, read, pull)*, stop, destroy. destroy also follows a realize or start that failed.
 */
#ifndef CONSOLE_BACKEND_H
#define CONSOLE_BACKEND_H

#include "console.h"

struct backend_ops {
	const char *name; /* as in the key `backend` */
	/* Opens what is needed; console->backend is its own to set. -1 with host->error(). */
	int (*realize)(struct console *console);
	int (*start)(struct console *console);
	/*
	 * Takes output: how many bytes (at least one, also of those that are thrown away for want of a reader), or
	 * -EAGAIN: console_output_ready() will be called. n == 0: pushes out what the backend itself still holds,
	 * and returns 0 where that is nothing.
	 */
	ssize_t (*write)(struct console *console, const struct iovec *iov, unsigned n);
	/* Gives up to `room` bytes of input. 0: none now. Never called where NULL. */
	size_t (*read)(struct console *console, void *to, size_t room);
	/* The guest may have room: call console_input() for sources that have no watch. NULL: there is no such source.
	 */
	void (*pull)(struct console *console);
	/* The descriptor to poll(2) for writing, or -1. */
	int (*output_fd)(const struct console *console);
	void (*stop)(struct console *console);
	void (*destroy)(struct console *console);
};

extern const struct backend_ops backend_stdio, backend_pty, backend_socket, backend_file;

#endif
