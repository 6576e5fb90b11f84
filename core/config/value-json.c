/* SPDX-License-Identifier: MIT */
/* value-json.c - see value-json.h. Called by core/vm. */
#include "core/config/value-json.h"

#include <errno.h>
#include <stdbool.h>

enum { DEPTH_MAX = 32 }; /* as in a file */

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for the value");
}

static int take(json_t *json, const char *name, unsigned depth, struct arena *arena, struct capsa_value *out,
                struct error *err);

static int take_items(json_t *json, unsigned depth, struct arena *arena, struct capsa_value *out, struct error *err)
{
	const bool list = json_is_array(json);
	const size_t n = list ? json_array_size(json) : json_object_size(json);
	struct capsa_value *items = arena_alloc(arena, n + 1, sizeof *items);
	void *iter = list ? NULL : json_object_iter(json);
	int rc = 0;

	if (depth == DEPTH_MAX)
		return error_set(err, EINVAL, "the value is nested deeper than %d", DEPTH_MAX);
	if (!items)
		return no_memory(err);
	for (size_t i = 0; !rc && i < n; i++) {
		const char *name = NULL;

		if (!list) {
			name = arena_strdup(arena, json_object_iter_key(iter));
			if (!name)
				return no_memory(err);
		}
		rc = take(list ? json_array_get(json, i) : json_object_iter_value(iter), name, depth + 1, arena,
		          &items[i], err);
		if (!list)
			iter = json_object_iter_next(json, iter);
	}
	out->type = list ? CAPSA_TYPE_LIST : CAPSA_TYPE_GROUP;
	out->items = items;
	out->n_items = n;
	return rc;
}

static int take(json_t *json, const char *name, unsigned depth, struct arena *arena, struct capsa_value *out,
                struct error *err)
{
	*out = (struct capsa_value){ .name = name };
	switch (json_typeof(json)) {
	case JSON_TRUE:
	case JSON_FALSE:
		out->type = CAPSA_TYPE_BOOL;
		out->boolean = json_is_true(json);
		return 0;
	case JSON_INTEGER:
		out->type = CAPSA_TYPE_INT;
		out->integer = json_integer_value(json);
		return 0;
	case JSON_REAL:
		out->type = CAPSA_TYPE_FLOAT;
		out->real = json_number_value(json);
		return 0;
	case JSON_STRING:
		out->type = CAPSA_TYPE_STRING;
		out->string = arena_strdup(arena, json_string_value(json));
		return out->string ? 0 : no_memory(err);
	case JSON_ARRAY:
	case JSON_OBJECT:
		return take_items(json, depth, arena, out, err);
	case JSON_NULL:
	default:
		return error_set(err, EINVAL, "%s%s%s null, which is no value of a configuration",
		                 name ? "key \"" : "the list has", name ? name : "", name ? "\": found" : "");
	}
}

int value_read_json(const char *text, size_t len, const char *name, struct arena *arena, struct capsa_value *out,
                    struct error *err)
{
	json_error_t why = { .line = 0 };
	json_t *json = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
	int rc;

	if (!json)
		return error_set(err, EINVAL, "the body is no JSON: line %d, column %d: %s", why.line, why.column,
		                 why.text[0] ? why.text : "no memory, or libjansson.so.4 is not installed");
	rc = take(json, name, 0, arena, out, err);
	json_decref(json);
	return rc;
}

json_t *value_to_json(const struct capsa_value *value)
{
	json_t *json;

	switch (value->type) {
	case CAPSA_TYPE_BOOL:
		return value->boolean ? json_true() : json_false();
	case CAPSA_TYPE_INT:
	case CAPSA_TYPE_SIZE:
		return json_integer(value->integer);
	case CAPSA_TYPE_FLOAT:
		return json_real(value->real);
	case CAPSA_TYPE_STRING:
	case CAPSA_TYPE_PATH:
	case CAPSA_TYPE_CHOICE:
		json = json_string(value->string);
		return json ? json : json_string("(not UTF-8)");
	case CAPSA_TYPE_LIST:
		json = json_array();
		for (size_t i = 0; i < value->n_items; i++)
			json_array_append_new(json, value_to_json(&value->items[i]));
		return json;
	case CAPSA_TYPE_GROUP:
		json = json_object();
		for (size_t i = 0; i < value->n_items; i++)
			json_object_set_new(json, value->items[i].name, value_to_json(&value->items[i]));
		return json;
	case CAPSA_TYPE_NONE:
	default:
		return NULL;
	}
}
