/* SPDX-License-Identifier: MIT */
/* tree_files.h - trees of files for the tests of agent/tree.h: made, copied through a stream, compared. */
#ifndef CAPSA_TESTS_TREE_FILES_H
#define CAPSA_TESTS_TREE_FILES_H

#include <stddef.h>
#include <sys/types.h>

#include "agent/tree.h"

/* A temporary folder, entered, with "from" and "to" in it; as cmocka's setup and teardown. */
int tree_files_enter(void **state);
int tree_files_leave(void **state);

/* Paths are relative to the current folder. Each asserts that it worked. */
void put_file(const char *path, const void *bytes, size_t len);
void put_folder(const char *path);
void set_time(const char *path, time_t seconds, long nanoseconds);
int folder_open(const char *path);

/*
 * Copies `from` into the folder `to` as `name`, in pieces of `piece` bytes at both ends (0: a random length each time).
 * 0 or -errno with cause.
 */
int tree_copy(const char *from, const char *to, const char *name, size_t piece, unsigned flags,
              struct tree_cause *cause);

/* The whole stream of `from`, to be freed. */
unsigned char *tree_stream(const char *from, size_t *len);

/* Gives a stream to a receiver in the folder `to`, in pieces. 0 or -errno with cause. */
int tree_take(const void *stream, size_t len, const char *to, size_t piece, unsigned flags, struct tree_cause *cause);

/* Types, modes, times, contents, targets, hard links, and that what is sparse stays so. */
void assert_same_tree(const char *one, const char *other);

/* How many entries the folder has; names that begin with ".capsa-" are temporaries, which no test leaves. */
unsigned count_entries(const char *path);
void assert_no_temporaries(const char *path);

#endif
