/* SPDX-License-Identifier: MIT */
/* keys.c - see keys.h. Called by core/vm on the main thread. The key table comes from a plugin: it is not trusted. */
#include "core/config/keys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/text.h"
#include "core/config/folder.h"
#include "core/config/read.h"
#include "core/config/value.h"

enum { KEYS_MAX = 1024 };

const char *keys_type_name(enum capsa_type type)
{
	static const char *const names[] = {
		[CAPSA_TYPE_NONE] = "none",     [CAPSA_TYPE_BOOL] = "boolean",  [CAPSA_TYPE_INT] = "integer",
		[CAPSA_TYPE_SIZE] = "size",     [CAPSA_TYPE_STRING] = "string", [CAPSA_TYPE_PATH] = "path",
		[CAPSA_TYPE_CHOICE] = "choice", [CAPSA_TYPE_LIST] = "list",     [CAPSA_TYPE_GROUP] = "group",
		[CAPSA_TYPE_FLOAT] = "number",
	};

	return (size_t)type < sizeof names / sizeof *names && names[type] ? names[type] : "unknown";
}

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for the configuration");
}

__attribute__((format(printf, 3, 4))) static int device_error(const struct config_device *device, struct error *err,
                                                              const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	error_vset(err, EINVAL, fmt, args);
	va_end(args);
	return error_prefix_place(err, -EINVAL, device->file, device->line);
}

/* How many keys, or -EINVAL where the table cannot be right. */
static int check_table(const struct config_device *device, const char *plugin, const struct capsa_key *keys, size_t *n,
                       struct error *err)
{
	size_t i, k;

	for (*n = 0; keys && keys[*n].name; ++*n)
		if (*n >= KEYS_MAX)
			return device_error(device, err, "a fault of the plugin %s: its table of keys has no end",
			                    plugin);
	for (i = 0; i < *n; i++) {
		if (keys[i].type <= CAPSA_TYPE_NONE || keys[i].type > CAPSA_TYPE_FLOAT)
			return device_error(device, err,
			                    "a fault of the plugin %s: its key \"%s\" has no type that is known",
			                    plugin, keys[i].name);
		if (keys[i].type == CAPSA_TYPE_CHOICE && !keys[i].choices)
			return device_error(device, err, "a fault of the plugin %s: its key \"%s\" has no choices",
			                    plugin, keys[i].name);
		for (k = 0; k < i; k++)
			if (!strcmp(keys[i].name, keys[k].name))
				return device_error(device, err, "a fault of the plugin %s: it has two keys \"%s\"",
				                    plugin, keys[i].name);
	}
	return 0;
}

/* The text as the value that it would be in a file: with quotes for the types that have them there. */
static int parse_default(const struct config *config, const struct capsa_key *key, struct arena *arena,
                         struct capsa_value *out, struct error *err)
{
	struct capsa_value root, found = { .type = CAPSA_TYPE_STRING, .name = key->name, .string = key->default_text };
	/* Limits are for users: a default may stand outside, to be told apart. */
	struct capsa_key unlimited = *key;
	char *text;
	int rc;

	unlimited.min = unlimited.max = 0;
	if (key->type != CAPSA_TYPE_STRING && key->type != CAPSA_TYPE_PATH && key->type != CAPSA_TYPE_CHOICE &&
	    key->type != CAPSA_TYPE_SIZE) {
		text = text_format("value = %s;", key->default_text);
		if (!text)
			return no_memory(err);
		rc = read_config_text(text, NULL, arena, &root, err);
		free(text);
		if (rc)
			return rc;
		if (root.n_items != 1)
			return error_set(err, EINVAL, "not one value");
		found = root.items[0];
		found.name = key->name;
		found.line = 0;
	}
	rc = value_check(&unlimited, &found, config->folder, arena, out, err);
	if (rc)
		return rc;
	if (out->string) {
		/* The plugin's table may be gone before the value is. */
		out->string = arena_strdup(arena, out->string);
		if (!out->string)
			return no_memory(err);
	}
	out->from_default = true;
	return 0;
}

static int fill_absent(const struct config *config, const struct config_device *device, const char *plugin,
                       const struct capsa_key *key, struct arena *arena, struct capsa_value *out, struct error *err)
{
	int rc;

	*out = (struct capsa_value){ .type = CAPSA_TYPE_NONE, .from_default = true, .name = key->name };
	if (key->required)
		return device_error(device, err, "device %s needs the key \"%s\" (%s)%s%s", device->name, key->name,
		                    keys_type_name(key->type), key->help ? ": " : "", key->help ? key->help : "");
	if (!key->default_text)
		return 0;
	rc = parse_default(config, key, arena, out, err);
	if (!rc)
		return 0;
	error_prefix(err, rc, "a fault of the plugin %s: the default of its key \"%s\": ", plugin, key->name);
	return error_prefix_place(err, rc, device->file, device->line);
}

static int unknown_key(const struct capsa_value *value, const char *plugin, const struct capsa_key *keys, size_t n,
                       struct arena *arena, struct error *err)
{
	const char **names = arena_alloc(arena, n + 2, sizeof *names);
	char *in_front, *otherwise;
	size_t i;

	in_front = arena_format(arena, "plugin %s has no key", plugin);
	otherwise = arena_format(arena, "see: capsa plugin show %s", plugin);
	if (!names || !in_front || !otherwise)
		return no_memory(err);
	for (i = 0; i < n; i++)
		names[i] = keys[i].name;
	names[i] = "name";
	return value_unknown_key(value, in_front, names, otherwise, err);
}

static int check_values(const struct config *config, const struct config_device *device, const char *plugin,
                        struct keys_values *values, struct error *err)
{
	const char *folder;
	size_t i, k;
	int rc;

	for (i = 0; i < device->n_values; i++) {
		const struct capsa_value *found = &device->values[i];

		for (k = 0; k < values->n && strcmp(values->keys[k].name, found->name);)
			k++;
		if (k == values->n)
			return unknown_key(found, plugin, values->keys, values->n, values->arena, err);
		folder = folder_of_value(config, found, values->arena);
		if (!folder)
			return no_memory(err);
		rc = value_check(&values->keys[k], found, folder, values->arena, &values->values[k], err);
		if (rc)
			return rc;
	}
	for (k = 0; k < values->n; k++) {
		/* Every checked value has its key's type, never NONE. */
		if (values->values[k].type != CAPSA_TYPE_NONE)
			continue;
		rc = fill_absent(config, device, plugin, &values->keys[k], values->arena, &values->values[k], err);
		if (rc)
			return rc;
	}
	return 0;
}

int keys_apply(const struct config *config, const struct config_device *device, const char *plugin,
               const struct capsa_key *keys, struct keys_values *out, struct error *err)
{
	int rc;

	*out = (struct keys_values){ .device = device, .keys = keys };
	rc = check_table(device, plugin, keys, &out->n, err);
	if (rc)
		return rc;
	out->arena = arena_new();
	if (out->arena)
		out->values = arena_alloc(out->arena, out->n, sizeof *out->values);
	rc = out->values ? check_values(config, device, plugin, out, err) : no_memory(err);
	if (rc)
		keys_free(out);
	return rc;
}

int keys_check_value(const struct config *config, const struct capsa_key *key, const struct capsa_value *found,
                     struct arena *arena, struct capsa_value *out, struct error *err)
{
	return value_check(key, found, config->folder, arena, out, err);
}

void keys_free(struct keys_values *values)
{
	arena_free(values->arena);
	*values = (struct keys_values){ .device = NULL };
}

static bool is_same(const struct capsa_value *a, const struct capsa_value *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case CAPSA_TYPE_BOOL:
		return a->boolean == b->boolean;
	case CAPSA_TYPE_INT:
	case CAPSA_TYPE_SIZE:
		return a->integer == b->integer;
	case CAPSA_TYPE_STRING:
	case CAPSA_TYPE_PATH:
	case CAPSA_TYPE_CHOICE:
		return !strcmp(a->string, b->string);
	case CAPSA_TYPE_FLOAT:
		return !(a->real < b->real) && !(a->real > b->real);
	default:
		return false;
	}
}

int keys_check_unique(const struct keys_values *earlier, const struct keys_values *later, struct error *err)
{
	const struct config_device *first = earlier->device, *second = later->device;
	struct error place = { "" };
	size_t i, k;

	for (i = 0; i < later->n; i++)
		for (k = 0; later->keys[i].unique && k < earlier->n; k++) {
			const struct capsa_value *a = &earlier->values[k], *b = &later->values[i];

			if (!earlier->keys[k].unique || strcmp(earlier->keys[k].name, later->keys[i].name) ||
			    !is_same(a, b))
				continue;
			error_prefix_place(&place, 0, a->file ? a->file : first->file,
			                   a->file ? a->line : first->line);
			place.text[strlen(place.text) - strlen(": ")] = '\0';
			error_set(err, EEXIST, "key \"%s\"%s: device %s at %s has the same value; give each its own",
			          b->name, b->file ? "" : " (its default)", first->name, place.text);
			return error_prefix_place(err, -EEXIST, b->file ? b->file : second->file,
			                          b->file ? b->line : second->line);
		}
	return 0;
}
