/* SPDX-License-Identifier: MIT */
/*
 * keys.h - checks one device entry against the key table that its plugin declares.
 *
 * Unknown keys are refused with a suggestion; types, choices and limits are checked;
 * defaults are filled in; CAPSA_TYPE_PATH values become absolute.
 */
#ifndef CAPSA_CONFIG_KEYS_H
#define CAPSA_CONFIG_KEYS_H

#include "capsa-plugin.h"
#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/config/config.h"

/* The values that one device gets: values[i] belongs to keys[i]. */
struct keys_values {
	const struct config_device *device;
	const struct capsa_key *keys;
	struct capsa_value *values;
	size_t n;
	struct arena *arena; /* owner of values and their strings */
};

/*
 * Checks `device` against `keys` (NULL: takes none) of `plugin` (its name, for messages) and
 * fills *out, to be freed with keys_free(). 0 or -errno with err = "FILE:LINE: ...".
 */
int keys_apply(const struct config *config, const struct config_device *device, const char *plugin,
               const struct capsa_key *keys, struct keys_values *out, struct error *err);
void keys_free(struct keys_values *values);

/*
 * Refuses a value of a `unique` key that an earlier device of the same machine has (same key
 * name, same value, whatever their plugins). 0 or -EEXIST with err naming both lines.
 */
int keys_check_unique(const struct keys_values *earlier, const struct keys_values *later, struct error *err);

/*
 * Checks a value that did not come from a file (value-json.h) against `key`, as keys_apply() does; relative paths are
 * relative to the configuration's folder. *out shares with `found`, and lives in `arena`. 0 or -errno with err.
 */
int keys_check_value(const struct config *config, const struct capsa_key *key, const struct capsa_value *found,
                     struct arena *arena, struct capsa_value *out, struct error *err);

/* "boolean", "integer", ... for messages and `capsa plugin show`. */
const char *keys_type_name(enum capsa_type type);

#endif
