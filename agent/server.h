/* SPDX-License-Identifier: MIT */
/*
 * server.h - the agent's role: listens, accepts, connects the link to the host, owns all connections and commands.
 *
 * One thread, one loop (loop.h). What a client can make it remember is bounded by agent/protocol.h: AGENT_CHANNELS_MAX
 * channels a connection, AGENT_WINDOW bytes of input a channel, OUTPUT_FULL bytes of output a connection.
 */
#ifndef CAPSA_AGENT_SERVER_H
#define CAPSA_AGENT_SERVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

#include "agent/loop.h"

/* Nanoseconds of CLOCK_BOOTTIME, as in HELLO. */
struct agent_times {
	uint64_t began, mounted, served;
};

uint64_t agent_now(void);

/* What the agent writes to init, which then ends the machine. */
struct shutdown_order {
	uint32_t mode; /* enum agent_shutdown */
	uint32_t grace_ms;
};

struct server_setup {
	const char *socket; /* the path of a UNIX socket; NULL: AGENT_PORT of AF_VSOCK, and the link */
	int to_init;        /* a pipe for struct shutdown_order; -1: there is no init */
	struct agent_times times;
};

struct connection;

struct server {
	struct loop loop;
	struct agent_times times;
	int to_init;
	struct rlimit files;     /* as they were, for commands */
	struct link connections; /* struct connection */
	struct link commands;    /* struct command: what must be waited for */
	unsigned n_execs;        /* channels of commands, until their EXIT */
	bool protected;          /* from the out-of-memory killer, which its commands must not inherit */
	bool leaving;            /* nothing new; ends with the last command and the last byte of output */
	struct shutdown_order order;
	bool ordered;            /* `order` is to be sent */
	struct connection *last; /* whose output must have left before that; NULL: nobody's */

	int listener;
	struct watch accept_watch, signal_watch, link_watch;
	struct task accept_task, signal_task, link_task;
	const char *path; /* of the UNIX socket, to be unlinked */
};

/* What server_run returns: the agent's exit status. */
enum {
	SERVER_DONE = 0, /* told to leave */
	SERVER_FAILED = 1,
	SERVER_NO_PORT = 3, /* no vsock device, or somebody else's port: there is no use in trying again at once */
};

int server_run(const struct server_setup *setup);

/* The machine ends as soon as this connection's output has left. */
void server_order_shutdown(struct server *server, struct connection *after, const struct shutdown_order *order);
/* A connection is gone: there is room for another one. */
void server_connection_gone(struct server *server, struct connection *connection);
/* That connection's output is empty. */
void server_connection_flushed(struct server *server, struct connection *connection);

#endif
