/* SPDX-License-Identifier: MIT */
/*
 * cluster_host.h - machines of a cluster without machines: the services that member.h uses, over a poll loop that turns
 * when it is told to, and members that send and count frames. Guardians and switches are real processes.
 *
 * PROCESSES. cluster_test_main() runs the tests in a child, and has the last word: whatever that one leaves, also when
 * it crashes or hangs, is killed, and a failure. The child is a subreaper, too: orphans of its tests are its own, so
 * that no_process_is_left() waits for them, and sees who stays.
 */
#ifndef CAPSA_TESTS_CLUSTER_HOST_H
#define CAPSA_TESTS_CLUSTER_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "plugins/cluster-switch/member.h"

#define CLUSTER_TEST_SECONDS 300 /* of one program, in all */
#define UNTIL_MS 20000

struct capsa_device {
	char unused;
};

struct cluster_host {
	struct capsa_device dev; /* first */
	char folder[64];         /* of its own, below it "clusters" */
	char shared[96];
	char logged[4096];
	int also; /* a descriptor of the test's own, whose readiness ends a turn, too; -1: none */
	LIST_HEAD(, capsa_watch) watches;
	LIST_HEAD(, capsa_timer) timers;
};

/* A machine that is a member. */
struct machine {
	struct cluster_host *host;
	struct member *member;
	struct protocol_hello hello;
	char cause[512];
	unsigned changed;
	unsigned received;         /* frames */
	unsigned char last[64];    /* the first bytes of the last one */
	uint64_t received_of[256]; /* by the number of the sender */
	unsigned number;
};

extern const struct capsa_host cluster_services;

void cluster_host_begin(struct cluster_host *host);
/* Waits until no process is left, and removes the folder. */
void cluster_host_end(struct cluster_host *host);
/* What is ready, waiting for it up to `ms`. */
void cluster_host_turn(struct cluster_host *host, int ms);
/* Turns until it is true; a failure after UNTIL_MS. */
#define UNTIL(host, what)                                                          \
	do {                                                                       \
		const uint64_t until_ = cluster_now_ms() + UNTIL_MS;               \
		while (!(what)) {                                                  \
			if (cluster_now_ms() > until_)                             \
				fail_msg("not within %d ms: %s", UNTIL_MS, #what); \
			cluster_host_turn(host, 100);                              \
		}                                                                  \
	} while (0)
uint64_t cluster_now_ms(void);
/* The folder of cluster "lab". */
int cluster_folder(const struct cluster_host *host);

/* Number 1.. of a cluster: name "vmN", MAC 52:54:00:00:00:N. */
void machine_init(struct machine *m, struct cluster_host *host, unsigned number);
/* member_open() of "lab" and member_start(). The result of the first. */
int machine_try(struct machine *m);
void machine_join(struct machine *m);
void machine_leave(struct machine *m);
/* A frame to `to`, NULL: everybody. False: no room, or no ring. */
bool machine_send(struct machine *m, const struct machine *to);
/* Each sends to each other by name, and to all at once, until all have come: also while rings come and go. */
void machines_talk(struct machine *const *machines, unsigned n);

/* ---- processes ---- */

int cluster_test_main(int (*run)(void));
/* Those of this name that are ours or our children's; returns how many, the first `max` of them in `pids`. */
unsigned processes(const char *name, pid_t *pids, unsigned max);
void no_process_is_left(void);

#endif
