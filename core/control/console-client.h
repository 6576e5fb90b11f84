/* SPDX-License-Identifier: MIT */
/*
 * console-client.h - the other end of a console with `backend = "socket"`: a connection that waits for words, types
 * words, runs commands, or hands the terminal over. One thread; every wait but that of an attached terminal ends at
 * the deadline (CLOCK_MONOTONIC, ms).
 *
 * The console's socket is raw in both directions; what is no console data goes over PATH.ctl
 * (plugins/console/backend-socket.c). The caller ignores SIGPIPE.
 */
#ifndef CAPSA_CONTROL_CONSOLE_CLIENT_H
#define CAPSA_CONTROL_CONSOLE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct console_client;

/*
 * Connects to the console in a machine's run-time folder. `device`: NULL for the first one. 0 or -errno with err:
 * -EBUSY where it has another client.
 */
int console_client_open(const char *folder, const char *device, int64_t deadline, struct console_client **out,
                        struct error *err);
/* From now on every wait ends with -EINTR once `fd` (the caller's) is readable. -1: no more. */
void console_client_interrupt(struct console_client *client, int fd);
/* Tells the console how much was made use of, and leaves. NULL is fine. */
void console_client_close(struct console_client *client);

/* The next three: 0, -ETIMEDOUT, -EPIPE (the machine has ended), -EINTR, -errno, with err. */

/* Types. What was said before the first of these is no answer to it: no pattern finds it from then on. */
int console_client_send(struct console_client *client, const void *bytes, size_t len, int64_t deadline, struct error *err);
/* What the console says meanwhile goes to standard output, as all that it says. */
int console_client_wait_for(struct console_client *client, const char *pattern, bool regex, int64_t deadline,
                            struct error *err);
/*
 * Types a command for the guest's POSIX shell, which runs it in a subshell. What the command says, and nothing else,
 * goes to standard output; *status is its exit status. A command that takes too long, or is interrupted, is sent ^C.
 */
int console_client_exec(struct console_client *client, const char *command, int64_t deadline, int *status,
                        struct error *err);
/* The last lines that the console said; the caller frees. NULL: no memory. */
char *console_client_tail(const struct console_client *client);

/*
 * Hands the terminal over until `escape` is typed (0), or the machine ends (-EPIPE). Standard input need be no
 * terminal: then there is no escape ('\0': none either), and its end leaves the console's output to be read.
 */
int console_client_attach(struct console_client *client, char escape, struct error *err);

/* Now, as deadlines count. */
int64_t console_client_now(void);

#endif
