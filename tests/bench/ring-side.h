/* SPDX-License-Identifier: MIT */
/*
 * ring-side.h - a file server that fs-ring drives: a guest's memory, queues in it, and whoever has their other end.
 *
 * ring-capsa.c has capsa's plugin in this process, ring-virtiofsd.c a virtiofsd in another. A side that cannot be had
 * says why and is left out. Threads: all of it on the bench's own; what a side starts itself is not its callers'
 * affair.
 */
#ifndef CAPSA_TESTS_RING_SIDE_H
#define CAPSA_TESTS_RING_SIDE_H

#include "tests/bench/ring-queue.h"

#define SIDE_QUEUES_MAX 16u
#define SIDE_MEMORY (128ull << 20)

struct side {
	char name[64];
	bool is_peer; /* not capsa: what is compared with */
	struct guest_memory memory;
	unsigned n_queues;                        /* for requests */
	struct queue queues[1 + SIDE_QUEUES_MAX]; /* the first is that of FORGETs (virtio 1.2, 5.11.2) */
	uint64_t (*cpu)(const struct side *side); /* nanoseconds that the server has used so far */
	void (*end)(struct side *side);           /* stops it and frees the side */
};

struct side_options {
	const char *folder; /* to share */
	const char *cache;  /* "none", "auto", "always" */
};

/*
 * One device for each number of queues, driver and device agreed: 0, or -ENOENT with the reason in why. What cannot be
 * for another reason ends the bench. Starts threads.
 */
int side_capsa(const struct side_options *options, const unsigned *n_queues, unsigned n, struct side **sides, char *why,
               size_t size);
/* The same for a program that serves one device, with so many threads (0: the queue's own). NULL with the reason in
 * why. */
struct side *side_virtiofsd(const struct side_options *options, const char *program, unsigned n_threads, char *why,
                            size_t size);

#endif
