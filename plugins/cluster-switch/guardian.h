/* SPDX-License-Identifier: MIT */
/*
 * guardian.h - the process beside a member that brings up a switch where there is none (cluster.h).
 *
 * THEORY OF OPERATION. It sleeps in flock(2) on the cluster's lock. When it has the lock it forks the switch, which
 * inherits it, closes its own descriptor of it, opens another, and sleeps again. It holds one end of its member's leash
 * (a socketpair): when the other one is closed, however the member ended, the kernel sends it SIGTERM (F_SETSIG), which
 * is the end of it. A switch outlives its guardian and the member, as it has others to serve.
 *
 * It is forked twice, so that init reaps it; has its own session, so that ^C is not for it; and has no other descriptor
 * of its member's than it needs, above all none of KVM's. While it sleeps it takes a process table entry and some 200
 * KiB.
 *
 * Only where one thread runs: realize(), and the switch.
 */
#ifndef CAPSA_CLUSTER_GUARDIAN_H
#define CAPSA_CLUSTER_GUARDIAN_H

/*
 * Starts one for the cluster whose folder `dirfd` is, a descriptor that stays the caller's. *leash: the end to be kept
 * open. 0 or -errno.
 */
int guardian_start(int dirfd, const char *cluster, int *leash);
/*
 * The same for a member whose own was killed, by the switch: `leash` is the guardian's end, and is taken over. `pulse`
 * is a descriptor that it keeps open for as long as it lives, and stays the caller's; -1: none.
 */
int guardian_start_with(int dirfd, const char *cluster, int leash, int pulse);

#endif
