/* SPDX-License-Identifier: MIT */
/* overlay.h - a file system that nobody writes to, and changes above it that stay in memory: overlayfs. */
#ifndef CAPSA_AGENT_OVERLAY_H
#define CAPSA_AGENT_OVERLAY_H

#define OVERLAY_TYPE "overlay"

/*
 * Mounts `source` of `type` read-only, with `flags` and `data` as of mount(2), and on `target` an overlay of that name,
 * whose changes are kept in memory: half of the machine's at most (tmpfs(5)). But for the overlay nothing of all that
 * can be seen afterwards, nor is anything left where it fails. 0 or -errno; *at is the type of the file system that it
 * is about.
 */
int overlay_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data,
                  const char **at);

#endif
