/* SPDX-License-Identifier: MIT */
/*
 * json.c - those of jansson's functions (jansson.h) that capsa calls, each handed on to the library, which is loaded
 * at the first call: a machine's start never needs it. Where it is not installed nothing can be made or read, and
 * json_dumpf() and json_dumps() say so by -1 and NULL. Called by the verbs that know --json, and by core/control.
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

json_t *json_real(double value)
{
	JANSSON(json_real);

	return lib_json_real ? lib_json_real(value) : NULL;
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

char *json_dumps(const json_t *json, size_t flags)
{
	JANSSON(json_dumps);

	return lib_json_dumps ? lib_json_dumps(json, flags) : NULL;
}

json_t *json_loads(const char *input, size_t flags, json_error_t *error)
{
	JANSSON(json_loads);

	return lib_json_loads ? lib_json_loads(input, flags, error) : NULL;
}

json_t *json_loadb(const char *buffer, size_t buflen, size_t flags, json_error_t *error)
{
	JANSSON(json_loadb);

	return lib_json_loadb ? lib_json_loadb(buffer, buflen, flags, error) : NULL;
}

json_t *json_object_get(const json_t *object, const char *key)
{
	JANSSON(json_object_get);

	return lib_json_object_get ? lib_json_object_get(object, key) : NULL;
}

void *json_object_iter(json_t *object)
{
	JANSSON(json_object_iter);

	return lib_json_object_iter ? lib_json_object_iter(object) : NULL;
}

void *json_object_iter_next(json_t *object, void *iter)
{
	JANSSON(json_object_iter_next);

	return lib_json_object_iter_next ? lib_json_object_iter_next(object, iter) : NULL;
}

const char *json_object_iter_key(void *iter)
{
	JANSSON(json_object_iter_key);

	return lib_json_object_iter_key ? lib_json_object_iter_key(iter) : "";
}

json_t *json_object_iter_value(void *iter)
{
	JANSSON(json_object_iter_value);

	return lib_json_object_iter_value ? lib_json_object_iter_value(iter) : NULL;
}

size_t json_object_size(const json_t *object)
{
	JANSSON(json_object_size);

	return lib_json_object_size ? lib_json_object_size(object) : 0;
}

size_t json_array_size(const json_t *array)
{
	JANSSON(json_array_size);

	return lib_json_array_size ? lib_json_array_size(array) : 0;
}

json_t *json_array_get(const json_t *array, size_t index)
{
	JANSSON(json_array_get);

	return lib_json_array_get ? lib_json_array_get(array, index) : NULL;
}

const char *json_string_value(const json_t *json)
{
	JANSSON(json_string_value);

	return lib_json_string_value ? lib_json_string_value(json) : NULL;
}

json_int_t json_integer_value(const json_t *json)
{
	JANSSON(json_integer_value);

	return lib_json_integer_value ? lib_json_integer_value(json) : 0;
}

double json_number_value(const json_t *json)
{
	JANSSON(json_number_value);

	return lib_json_number_value ? lib_json_number_value(json) : 0;
}

void json_delete(json_t *json)
{
	JANSSON(json_delete);

	if (lib_json_delete)
		lib_json_delete(json);
}
