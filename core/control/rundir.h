/* SPDX-License-Identifier: MIT */
/*
 * rundir.h - the run-time folder of one machine: RUNTIME/NAME, 0700, with a lock.
 *
 * The lock (flock on RUNTIME/NAME/lock) is held by the process that is the machine; a folder
 * whose lock is free was left by a killed process and is removed by whoever meets it.
 *
 * Beside them stands RUNTIME/.shared (path_shared_dir()): no machine's, as no machine's name begins with a dot.
 */
#ifndef CAPSA_CONTROL_RUNDIR_H
#define CAPSA_CONTROL_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct rundir;

/* Makes the folder of machine `name` and takes its lock. -EBUSY with err where that machine runs. */
int rundir_create(const char *name, struct rundir **out, struct error *err);
const char *rundir_path(const struct rundir *rundir);
/* Removes the folder and lets the lock go. NULL is fine. */
void rundir_destroy(struct rundir *rundir);

/*
 * The path of a running machine's folder (the caller frees), or NULL with err: no such machine (with those
 * that run), or one that has been killed (its folder is removed).
 */
char *rundir_find(const char *name, struct error *err);

struct rundir_entry {
	char *name;
	long pid; /* 0: not known yet */
};

/*
 * The machines that run, by name, in *out (the caller frees: rundir_list_free()); folders that killed ones left are
 * removed. How many, or -errno with err.
 */
long rundir_list(struct rundir_entry **out, struct error *err);
void rundir_list_free(struct rundir_entry *list, long n);

/* Waits, blocking, until machine `name` has ended; at once where none runs. 0, or -errno with err. */
int rundir_wait(const char *name, struct error *err);

/*
 * Kills the process of machine `name` by SIGKILL, waits until it has ended, and removes its folder. 0 also where it
 * has ended by itself; -errno with err.
 */
int rundir_kill(const char *name, struct error *err);

#endif
