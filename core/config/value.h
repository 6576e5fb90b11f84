/* SPDX-License-Identifier: MIT */
/*
 * value.h - checks one value of the file against one key, for capsa's own keys (config.c) and
 * for those of plugins (keys.c): the same words in every message.
 */
#ifndef CAPSA_CONFIG_VALUE_H
#define CAPSA_CONFIG_VALUE_H

#include <stdbool.h>

#include "capsa-plugin.h"
#include "core/base/arena.h"
#include "core/base/error.h"

/*
 * Checks type, choices and limits of `found` against `key` and fills *out, with key->type. `folder` is what
 * relative paths are relative to. Strings are shared with `found` or live in `arena`. 0 or -errno with
 * err = "FILE:LINE: key "NAME": ...".
 */
int value_check(const struct capsa_key *key, const struct capsa_value *found, const char *folder, struct arena *arena,
                struct capsa_value *out, struct error *err);

/* Sets err to "FILE:LINE: <text>" of the value; returns -EINVAL. */
__attribute__((format(printf, 3, 4))) int value_error(const struct capsa_value *value, struct error *err,
                                                      const char *fmt, ...);
/* ... "key "NAME": found SUCH; write <wanted>". */
int value_mismatch(const struct capsa_value *found, const char *wanted, struct error *err);
/*
 * Sets err for the unknown key `found` to "FILE:LINE: <in_front> "NAME"", with the one that was probably meant, or
 * with `otherwise` where none is near. `names` ends with NULL. Returns -EINVAL.
 */
int value_unknown_key(const struct capsa_value *found, const char *in_front, const char *const *names,
                      const char *otherwise, struct error *err);

/* `path` itself where it is absolute, else folder/path, in `arena`. NULL: no memory. */
char *value_absolute_path(const char *folder, const char *path, struct arena *arena);

#endif
