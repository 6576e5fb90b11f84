/* SPDX-License-Identifier: MIT */
/*
 * store.h - a folder of the cache, whose entries are files named by the content that they were made of.
 *
 * What a kind of entries needs besides (is it whole? what is in it?) is for the room that keeps them: core/boot the
 * unpacked kernels, core/sandbox the images. An entry is made once, under the lock, and never written to again; it may
 * be removed at any time: who has it open or mapped keeps it. A quick index leads from the identities of the files
 * that an entry was made of (device, inode, size, times) to the entry, so that nobody has to read them again.
 *
 * Any thread, but one at a time for each struct store; any number of processes.
 */
#ifndef CAPSA_BASE_STORE_H
#define CAPSA_BASE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base/error.h"
#include "core/base/sha256.h"

#define STORE_KEY_SIZE SHA256_SIZE

struct store;

struct store_kind {
	const char *folder; /* its name below path_cache_dir() */
	const char *suffix; /* of an entry's name: ".kernel" */
	const char *format; /* the index of another format is not looked at */
};

/* `kind` must outlive the store. NULL with err where there is no folder that can be trusted or made. */
struct store *store_open(const struct store_kind *kind, struct error *err);
void store_close(struct store *store);             /* gives the lock free, too */
const char *store_path(const struct store *store); /* of its folder, for people */

/*
 * Waits until no other process fills the store, and removes what killed ones left, until store_close(). Where there are
 * no locks (a read-only folder) it does without: some processes may then make the same entry, and the last one's stays.
 */
void store_lock(struct store *store);

/*
 * Opens the entry for reading. Its descriptor, with *st and (unless NULL) its path, which the caller frees; -ENOENT
 * where there is none, or none that can be trusted: a regular file of ours that nobody else may write to.
 */
int store_get(struct store *store, const uint8_t key[STORE_KEY_SIZE], struct stat *st, char **path);
/* Notes that the entry is of use: store_trim() removes others first. */
void store_touch(int fd, const struct stat *st);
/* While `fd` is open store_trim() lets the entry alone. */
void store_hold(int fd);

/*
 * Makes an entry, whole or not at all, in the place of what has that key: `write` writes it to fd, and returns 0 or
 * -errno. 0 or -errno; an entry that is not whole after a crash of the host is possible, and for the caller to detect.
 */
int store_put(struct store *store, const uint8_t key[STORE_KEY_SIZE], int (*write)(int fd, const void *ctx),
              const void *ctx);
int store_remove(struct store *store, const uint8_t key[STORE_KEY_SIZE]);

/* The index: from files, in this order, to the entry that was made of them. */
bool store_known(struct store *store, const struct stat *files, size_t n, uint8_t key[STORE_KEY_SIZE]);
void store_remember(struct store *store, const struct stat *files, size_t n, const uint8_t key[STORE_KEY_SIZE]);
/*
 * Whether the file's times would tell of another change: not while its last one is so young that one within the same
 * tick of the file system's clock could follow. Only such files may be remembered.
 */
bool store_settled(const struct stat *file, const struct timespec *now);
/* Whether two looks at a file saw the same. */
bool store_same_file(const struct stat *a, const struct stat *b);

struct store_entry {
	uint8_t key[STORE_KEY_SIZE];
	struct timespec used; /* to the hour */
	uint64_t bytes;       /* on disk */
};
/* All entries, used last first. The caller frees *list. 0 or -errno. */
int store_list(struct store *store, struct store_entry **list, size_t *n);

/*
 * Removes what was used longest ago until no more than these are left; never the entry `keep` (or NULL), nor one that
 * somebody holds. And what of the index leads nowhere.
 */
void store_trim(struct store *store, const uint8_t keep[STORE_KEY_SIZE], unsigned entries_max, uint64_t bytes_max);

/* pwrite(2) of all of it. 0 or -errno. */
int store_write(int fd, const void *from, uint64_t len, uint64_t offset);

#endif
