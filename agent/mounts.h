/* SPDX-License-Identifier: MIT */
/* mounts.h - file systems: those that every machine has, those that a client asks for, and their end. */
#ifndef CAPSA_AGENT_MOUNTS_H
#define CAPSA_AGENT_MOUNTS_H

#include <stdbool.h>
#include <stdint.h>

/* /dev, /proc and /sys: what init needs to go on. What cannot be mounted is said and done without. */
void mounts_first(void);
/* The rest: /dev/pts, /dev/shm, /run, /tmp. */
void mounts_rest(void);

/* What a client wants, as AGENT_MOUNT has it. */
struct mount_wanted {
	const char *source;
	char *target; /* changed meanwhile, and as it was afterwards */
	const char *type, *options;
	const char *fallback; /* options, or "": none */
	uint32_t flags;       /* AGENT_MOUNT_* */
};

/*
 * As mount(8): `options` separated by commas, those that are no flags go to the file system. The target is made where
 * it is missing. 0 or -errno, with *what saying what it is about (a path or the type). *fell_back: the fallback was
 * used.
 *
 * With the target "/" it becomes the root of the caller and of whatever it starts from now on, as by switch_root(8):
 * /dev, /proc, /sys, /run and /tmp are the same there. Processes that run already keep what they have. A caller that was
 * started afterwards with another root gets there by root_find().
 */
int mounts_add(const struct mount_wanted *wanted, const char **what, bool *fell_back);

/* Everything with a disk or a host behind it: taken off, or read-only where it is in use. */
void mounts_end(void);

#endif
