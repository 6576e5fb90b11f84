/* SPDX-License-Identifier: MIT */
/*
 * ring-fuse.h - the stream of FUSE requests that fs-ring sends: what a guest's kernel would ask, without the guest.
 *
 * A script is a list of steps; an actor walks through it again and again, one request at a time, each with what the
 * answer before gave it (node ids, handles). As many actors as the queue is deep share a side's queues. Every answer is
 * checked: its error, its length, and the data of READs page by page; the bench ends where one is wrong.
 *
 * Buffers are as Linux' virtio-fs makes them: the header, the arguments and every page of data in a descriptor of its
 * own, the pages not in the order of their addresses. FORGETs go to the first queue and nobody waits for them.
 */
#ifndef CAPSA_TESTS_RING_FUSE_H
#define CAPSA_TESTS_RING_FUSE_H

#include "tests/bench/ring-side.h"

#define PAGE 4096u
#define BIG_SIZE (64u << 20) /* the file that is read */
#define OWN_SIZE (4u << 20)  /* each actor's own, which it writes to */
#define SMALL_FILES 256u
#define ACTORS_MAX 16u

/* What a step is about. Each actor knows a node and a handle for each. */
enum thing {
	ROOT,
	FOLDER, /* with SMALL_FILES files */
	SMALL,  /* one of them, another each round */
	BIG,
	OWN,
	WORK, /* a folder */
	MADE, /* a file in there that did not exist before */
	THINGS,
};

enum action {
	END,
	LOOKUP,
	FORGET,
	GETATTR,
	OPEN,
	READ, /* `size` bytes at a place that changes */
	WRITE,
	FLUSH,
	RELEASE,
	OPENDIR,
	READDIRPLUS, /* to its end, with a FORGET for each entry */
	RELEASEDIR,
	CREATE,
	UNLINK,
};

struct step {
	enum action action;
	enum thing thing;
	uint32_t size;
};

/* Makes the files in an empty folder of the host. */
void fuse_make_files(const char *folder);
/* Reads what was written on the host: the pages that are not as they must be, if any, end the bench. */
void fuse_check_files(const char *folder, unsigned actors);

struct stream; /* the actors of one side */

struct stream *stream_new(struct side *side);
void stream_free(struct stream *stream);

struct work {
	uint64_t requests, bytes;        /* bytes of READ and WRITE */
	uint64_t ns, cpu_ns, own_cpu_ns; /* wall clock, the server's, the bench's */
};

/*
 * `before` once for each of `depth` actors, then `rounds` rounds of the script by all of them together, then `after`.
 * Only the rounds are measured, FORGETs to their end included.
 */
struct work stream_run(struct stream *stream, unsigned depth, const struct step *before, const struct step *script,
                       const struct step *after, unsigned rounds);

#endif
