/* SPDX-License-Identifier: MIT */
/*
 * json.c - those of jansson's functions (jansson.h) that the verbs call, each handed on to the library, which is loaded
 * at the first call: a machine's start never needs it. Where it is not installed nothing can be made, and json_dumpf()
 * says so by -1. Called by the verbs that know --json.
 */
#include <jansson.h>
#include <stdarg.h>

#include "core/base/library.h"

#define JANSSON(function) LIBRARY_FUNCTION(function, "libjansson.so.4")

json_t *json_object(void)
{
	JANSSON(json_object);

	return lib_json_object ? lib_json_object() : NULL;
}

json_t *json_array(void)
{
	JANSSON(json_array);

	return lib_json_array ? lib_json_array() : NULL;
}

json_t *json_string(const char *value)
{
	JANSSON(json_string);

	return lib_json_string ? lib_json_string(value) : NULL;
}

json_t *json_integer(json_int_t value)
{
	JANSSON(json_integer);

	return lib_json_integer ? lib_json_integer(value) : NULL;
}

json_t *json_true(void)
{
	JANSSON(json_true);

	return lib_json_true ? lib_json_true() : NULL;
}

json_t *json_false(void)
{
	JANSSON(json_false);

	return lib_json_false ? lib_json_false() : NULL;
}

json_t *json_pack(const char *fmt, ...)
{
	JANSSON(json_vpack_ex);
	json_t *json;
	va_list args;

	if (!lib_json_vpack_ex)
		return NULL;
	va_start(args, fmt);
	json = lib_json_vpack_ex(NULL, 0, fmt, args);
	va_end(args);
	return json;
}

int json_object_set_new(json_t *object, const char *key, json_t *value)
{
	JANSSON(json_object_set_new);

	return lib_json_object_set_new ? lib_json_object_set_new(object, key, value) : -1;
}

int json_array_append_new(json_t *array, json_t *value)
{
	JANSSON(json_array_append_new);

	return lib_json_array_append_new ? lib_json_array_append_new(array, value) : -1;
}

int json_dumpf(const json_t *json, FILE *output, size_t flags)
{
	JANSSON(json_dumpf);

	return lib_json_dumpf ? lib_json_dumpf(json, output, flags) : -1;
}

void json_delete(json_t *json)
{
	JANSSON(json_delete);

	if (lib_json_delete)
		lib_json_delete(json);
}
