/* SPDX-License-Identifier: MIT */
/* copy.h - files and trees between this host and a guest, over a connection to its agent. Called by the verb cp. */
#ifndef CAPSA_SANDBOX_COPY_H
#define CAPSA_SANDBOX_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/reactor.h"

struct copy_end {
	int signal; /* that this was ended by; SIGPIPE: nobody reads standard output any more. 0: none */
	bool lost;  /* the other side closed the connection: its machine may tell why */
};

/*
 * Both take `fd`, a connection to the agent, run the reactor until all is copied, and return 0 or -errno with err. As
 * of cp -r: a destination that is a folder takes the source into it, else it is the copy's name and lies in a folder
 * that is there. "FOLDER/." as source: what is in it goes into the destination, which is made if need be. Links stay
 * links, holes stay holes, modes and times are kept; owners are those of whoever writes. "-": standard input, standard
 * output.
 *
 * SIGINT, SIGTERM and SIGHUP end it; what is half copied is removed. `ready_ms`: how long the agent may take to answer
 * at first.
 */
int copy_into_guest(struct reactor *reactor, int fd, const char *from, const char *to, int64_t ready_ms,
                    struct copy_end *end, struct error *err);
int copy_out_of_guest(struct reactor *reactor, int fd, const char *from, const char *to, int64_t ready_ms,
                      struct copy_end *end, struct error *err);

#endif
