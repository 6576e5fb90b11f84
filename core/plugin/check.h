/* SPDX-License-Identifier: MIT */
/*
 * check.h - does a plugin's description of itself fit the interface? (loader.c asks.)
 *
 * Pure: no file, no dlopen. What it lets through, the rest of capsa relies on.
 */
#ifndef CAPSA_PLUGIN_CHECK_H
#define CAPSA_PLUGIN_CHECK_H

#include <stdbool.h>

#include "capsa-plugin.h"
#include "core/base/error.h"

/* Keys that one plugin may declare. */
#define PLUGIN_MAX_KEYS 128u
/* Letters of a plugin's name and of a key's. */
#define PLUGIN_MAX_NAME 32u

/* True for [a-z][a-z0-9-]* of at most PLUGIN_MAX_NAME letters. */
bool plugin_name_valid(const char *name);

/*
 * Copies `theirs` (as long as its struct_size says) into *out, as long as this capsa's struct, zeros where theirs
 * is shorter, and checks every field. 0 or -errno with err, which begins with `file`. Any thread.
 */
int plugin_check(const struct capsa_plugin *theirs, const char *file, struct capsa_plugin *out, struct error *err);

/*
 * Checks what realize() left in `setup` against the limits of the interface. 0 or -EINVAL with err (no
 * prefix). Any thread.
 */
int plugin_check_setup(const struct capsa_setup *setup, struct error *err);

#endif
