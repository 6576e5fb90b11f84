/* SPDX-License-Identifier: MIT */
/*
 * root.h - another root, as by switch_root(8): begun by root_begin(), which makes the folder NEW_ROOT; then the caller
 * mounts something there; then root_switch() makes that the root of this process and of whatever it starts from now on.
 * Processes that run already keep what they have.
 */
#ifndef CAPSA_AGENT_ROOT_H
#define CAPSA_AGENT_ROOT_H

#define NEW_ROOT "/.capsa-root" /* until it is moved to "/" */

/* 0 or -errno. */
int root_begin(void);
/* /dev, /proc, /sys, /run and /tmp are the same there, as far as there can be such a folder. 0 or -errno. */
int root_switch(void);
/*
 * To the topmost of what is mounted on "/": for a process that was started by one that has another root. Nothing
 * changes where nothing is. 0 or -errno.
 */
int root_find(void);

#endif
