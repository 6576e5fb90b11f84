/* SPDX-License-Identifier: MIT */
/*
 * exec.h - a command in a guest that feels like one of the host: this process's standard input, output, error, its
 * terminal and its signals are the command's. Called by the verbs run and exec.
 */
#ifndef CAPSA_SANDBOX_EXEC_H
#define CAPSA_SANDBOX_EXEC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/sandbox/client.h"

struct exec_request {
	const char *const *argv; /* ends with NULL */
	const char *const *env;  /* "K=V", ends with NULL; NULL: none */
	const char *user, *cwd;  /* NULL: root, the user's home */
	bool tty;
	bool input_always;   /* a terminal as standard input is read in the background, too */
	bool sync;           /* AGENT_EXEC_SYNC */
	uint64_t timeout_ms; /* 0: none */
	int64_t ready_ms;    /* how long the agent may take to answer at first */
};

/* What happens on the way. Any may be NULL. */
struct exec_events {
	void (*ready)(void *ctx, const struct client_times *times); /* the agent answered */
	void (*started)(void *ctx);                                 /* the command runs */
	void (*output)(void *ctx);                                  /* its first byte is here */
	void *ctx;
};

/* Statuses of capsa itself, beside the command's own and 128 + signal. */
enum { EXEC_TIMED_OUT = 124, EXEC_FAILED = 125, EXEC_CANNOT = 126, EXEC_NOT_FOUND = 127 };

/*
 * Runs the command over `fd`, a connection to the agent (taken), to its end, and returns its exit status. Runs the
 * reactor, and takes the process's signals meanwhile: INT, TERM, HUP, QUIT, USR1, USR2 go to the command (before there
 * is one, where the guest answers nothing to three of them, or where two seconds after one our reader still takes no
 * output, they end this with 128 + signal). EXEC_FAILED, _CANNOT, _NOT_FOUND, _TIMED_OUT: err says why (may be empty for
 * what the user did). *lost: the other side closed the connection though the command had not ended: its machine may tell
 * why.
 */
int exec_run(struct reactor *reactor, int fd, const struct exec_request *request, const struct exec_events *events,
             bool *lost, struct error *err);

#endif
