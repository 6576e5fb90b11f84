/* SPDX-License-Identifier: MIT */
/* read.h - libconfig -> a tree of values. Used by config.c and keys.c; no other file sees libconfig. */
#ifndef CAPSA_CONFIG_READ_H
#define CAPSA_CONFIG_READ_H

#include "capsa-plugin.h"
#include "core/base/arena.h"
#include "core/base/error.h"

/*
 * Reads `file` with its includes into *root: a CAPSA_TYPE_GROUP of the top-level keys. Types in the tree:
 * BOOL, INT, FLOAT, STRING, LIST (lists and arrays), GROUP, nested at most 32 deep; every value has its file
 * and line. All of it lives in `arena`. 0 or -errno with err = "FILE:LINE: ..." or "FILE: ...".
 */
int read_config_file(const char *file, struct arena *arena, struct capsa_value *root, struct error *err);

/* The same for a text, without includes: `label` (or NULL) stands for its file in values and messages, with line 0. */
int read_config_text(const char *text, const char *label, struct arena *arena, struct capsa_value *root,
                     struct error *err);

#endif
