/* SPDX-License-Identifier: MIT */
/* folder.h - what a relative path in a configuration is relative to. Used by config.c and keys.c. */
#ifndef CAPSA_CONFIG_FOLDER_H
#define CAPSA_CONFIG_FOLDER_H

#include "core/base/arena.h"
#include "core/config/config.h"

/*
 * The absolute folder of the file in which `value` stands (an @include may be elsewhere); that of the
 * configuration for a default. Lives in `arena`, or as long as `config`. NULL: no memory.
 */
const char *folder_of_value(const struct config *config, const struct capsa_value *value, struct arena *arena);

#endif
