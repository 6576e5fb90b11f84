/* SPDX-License-Identifier: MIT */
/*
 * options.h - what a virtio-fs device entry says: the table of keys, and their values as plain fields.
 *
 * Main thread, in config(). Strings belong to the core and live as long as the instance.
 */
#ifndef CAPSA_VIRTIO_FS_OPTIONS_H
#define CAPSA_VIRTIO_FS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "capsa-plugin.h"

/* How long the guest may believe what it was told. */
enum cache_mode {
	CACHE_NONE,   /* not at all: every access asks, reads and writes go past the guest's page cache */
	CACHE_AUTO,   /* names and attributes for a second; a file's pages until its mtime or size changes */
	CACHE_ALWAYS, /* for a day: nobody else changes these files */
};

enum owner_mode {
	OWNER_HOST,   /* a file's owner and mode are the host's, and the guest's changes are made there (needs root) */
	OWNER_SQUASH, /* every file belongs to capsa's user there; the guest's ideas are kept beside it (owner.h) */
};

/* A range of numbers: guest .. guest+count-1 are host .. host+count-1. */
struct id_range {
	uint32_t guest, host, count;
};

#define ID_RANGES_MAX 16u

struct id_map {
	struct id_range ranges[ID_RANGES_MAX];
	unsigned n; /* 0: every number is itself */
};

struct options {
	const char *tag;
	const char *path; /* absolute */
	bool readonly;
	enum cache_mode cache;
	bool writeback;
	uint64_t dax; /* bytes of the window, a power of two, at least 2 MiB; 0: none */
	bool xattr;
	enum owner_mode owner;
	uint32_t uid, gid; /* OWNER_SQUASH: to whom capsa's own user and group look like */
	struct id_map uid_map, gid_map;
	bool host_locks;
	bool hide_submounts; /* all looks like one file system: overlayfs follows no mount in a layer (EREMOTE) */
	uint64_t max_bytes, max_inodes; /* 0: no limit */
	unsigned queues;                /* 0: as many as vCPUs */
	unsigned workers;
};

extern const struct capsa_key virtio_fs_keys[];

/*
 * Fills *options; `values` belong to virtio_fs_keys. 0, or -EINVAL with the cause in `cause` (the caller's buffer of
 * `size` bytes): a tag of more than 36 bytes, a map that does not parse, a writable window together with a limit, ...
 */
int options_read(struct options *options, const struct capsa_value *values, size_t n, char *cause, size_t size);

/* Through a map, and back; false: the number is in no range. */
bool id_to_host(const struct id_map *map, uint32_t guest, uint32_t *host);
bool id_to_guest(const struct id_map *map, uint32_t host, uint32_t *guest);

#endif
