/* SPDX-License-Identifier: MIT */
/* lifeline.h - the words between a machine's process and the one that made it: packets on a socket pair. */
#ifndef CAPSA_SANDBOX_LIFELINE_H
#define CAPSA_SANDBOX_LIFELINE_H

#include <stddef.h>

#define LIFELINE_MAX 8192u /* bytes of a payload */

/* The name of the agent's socket in a machine's run-time folder. */
#define SANDBOX_AGENT_SOCKET "agent.sock"

enum lifeline_word {
	/* The machine's. */
	LIFELINE_OPEN = 'o',
	LIFELINE_READY = 'r', /* the first time: an array of struct timeline_event */
	LIFELINE_FREE = 'f',
	LIFELINE_ENDED = 'e',   /* three strings: how (api_end_name), why or "", the console's last lines or "" */
	LIFELINE_REFUSED = 'x', /* text: why there is no machine, or not the one that was wanted; it ends */
	/* The maker's: go on without me. Its end of the socket pair closed without it: end. */
	LIFELINE_GO = 'g',
};

/* 0 or -errno; never raises SIGPIPE. Blocks only while the other side's buffer is full. */
int lifeline_send(int fd, enum lifeline_word word, const void *payload, size_t len);
/* Waits for the next word. `payload` has LIFELINE_MAX bytes. 0, -EPIPE: the other side is gone, -EPROTO. */
int lifeline_receive(int fd, enum lifeline_word *word, void *payload, size_t *len);

#endif
