/* SPDX-License-Identifier: MIT */
/*
 * value-json.h - values of the configuration as JSON, and back: what core/control is told for a live key, and what it
 * tells of a device. Not for starts: libjansson is loaded by it.
 */
#ifndef CAPSA_CONFIG_VALUE_JSON_H
#define CAPSA_CONFIG_VALUE_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "capsa-plugin.h"
#include "core/base/arena.h"
#include "core/base/error.h"

/*
 * Reads the text (`len` bytes) of one JSON value into *out, called `name`, as the file would have it: BOOL, INT, FLOAT,
 * STRING, LIST, GROUP, without a place. All of it lives in `arena`. For value_check(). 0, or -EINVAL or -ENOMEM with
 * err.
 */
int value_read_json(const char *text, size_t len, const char *name, struct arena *arena, struct capsa_value *out,
                    struct error *err);

/* The caller's; NULL: no memory, or no libjansson. Of texts that are not UTF-8 it says so. */
json_t *value_to_json(const struct capsa_value *value);

#endif
