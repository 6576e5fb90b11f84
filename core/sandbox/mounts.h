/* SPDX-License-Identifier: MIT */
/*
 * mounts.h - what a sandbox machine's agent is to mount: its virtio-fs devices (virtio 1.2, 5.11) whose entry has a
 * `mount`.
 *
 * All are asked for at once, the one that is to be "/" first and none before the folder that it is in: the agent takes
 * its requests in turn, so it is one round trip. What is mounted already stays (an agent that was killed comes back to
 * the same mounts). A device with `readonly` is mounted read-only; where that is to be "/", below an overlay whose
 * changes stay in the guest's memory. One with a `dax` window is mounted for it, or without where the guest's kernel
 * knows no DAX.
 *
 * On the main loop of the machine's process.
 */
#ifndef CAPSA_SANDBOX_MOUNTS_H
#define CAPSA_SANDBOX_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/reactor.h"
#include "core/sandbox/client.h"

struct mounts;

/* One of them; strings outlive the mounts. */
struct mounts_entry {
	const char *tag, *target;
	const char *path; /* of the host, for messages */
	bool readonly, dax;
	const char *file; /* where it stands, for messages: as of config_device */
	unsigned line;
};

/* 0 or -errno with err ("FILE:LINE: ..."): what cannot be a target, or two at one. */
int mounts_new(struct reactor *reactor, const struct mounts_entry *entries, size_t n, struct mounts **out,
               struct error *err);
void mounts_free(struct mounts *mounts); /* NULL is fine */

/*
 * Asks the agent, which has `ms` milliseconds for all of them. done() is called once, with why the first one that
 * failed did, or NULL; at once where there are none. Again only when done() was called, or after mounts_forget().
 */
void mounts_ask(struct mounts *mounts, struct client *client, int64_t ms, void (*done)(void *ctx, const char *failure),
                void *ctx);
/* The connection has ended, or is about to be closed: done() will not be called any more. */
void mounts_forget(struct mounts *mounts);
bool mounts_is_empty(const struct mounts *mounts);

/* What is wrong with it as a target, as the end of a sentence ("is no absolute path"), or NULL. Pure. */
const char *mounts_target_fault(const char *path);

#endif
