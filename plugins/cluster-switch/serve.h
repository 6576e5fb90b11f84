/* SPDX-License-Identifier: MIT */
/*
 * serve.h - the switch's process: accepts members, gives each a port of the bridge with a pair of rings, and moves
 * frames until the last one has gone.
 *
 * THEORY OF OPERATION. One thread, one epoll(7) set: the listener, each member's socket and ring. A ring that is
 * readable is drained for SERVE_BUDGET bytes, then comes last in line, so that no port starves another; behind each
 * turn bridge_flush(). Nothing blocks: a member that does not read what it is told is told the newest when it does.
 * Without frames, nothing wakes up.
 *
 * Whoever connects must be of the same user (SO_PEERCRED), and has SERVE_HELLO_MS to say who it is.
 */
#ifndef CAPSA_CLUSTER_SERVE_H
#define CAPSA_CLUSTER_SERVE_H

#define SERVE_BUDGET (1u << 20)
#define SERVE_HELLO_MS 5000

/*
 * Serves until there is no member any more: the first one is waited for as long as `leash`, its end of a guardian's
 * leash, is open. `leash` is taken over, and closed then: a member sees by it that its guardian has ended, which it
 * must not be the switch to hide. `dirfd` is borrowed. Returns 0, or -errno where it could not begin; that is in
 * CLUSTER_LOG.
 */
int serve_run(int dirfd, const char *cluster, int leash);

#endif
