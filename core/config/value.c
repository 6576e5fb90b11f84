/* SPDX-License-Identifier: MIT */
/* value.c - see value.h. Owns nothing. */
#include "core/config/value.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/text.h"

enum { MIB = 1 << 20 };

int value_error(const struct capsa_value *value, struct error *err, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	error_vset(err, EINVAL, fmt, args);
	va_end(args);
	return error_prefix_place(err, -EINVAL, value->file, value->line);
}

static void describe(const struct capsa_value *value, char *buf, size_t len)
{
	switch (value->type) {
	case CAPSA_TYPE_BOOL:
		snprintf(buf, len, "%s", value->boolean ? "true" : "false");
		break;
	case CAPSA_TYPE_INT:
		snprintf(buf, len, "the integer %" PRId64, value->integer);
		break;
	case CAPSA_TYPE_FLOAT:
		snprintf(buf, len, "the number %g", value->real);
		break;
	case CAPSA_TYPE_LIST:
		snprintf(buf, len, "a list");
		break;
	case CAPSA_TYPE_GROUP:
		snprintf(buf, len, "a group");
		break;
	default:
		snprintf(buf, len, "the string \"%.64s\"", value->string);
	}
}

int value_mismatch(const struct capsa_value *found, const char *wanted, struct error *err)
{
	char what[128];

	describe(found, what, sizeof what);
	if (!found->name)
		return value_error(found, err, "found %s; write %s", what, wanted);
	return value_error(found, err, "key \"%s\": found %s; write %s", found->name, what, wanted);
}

/* `"exit", "restart"` */
static const char *list_words(const char *const *words, char *buf, size_t len)
{
	size_t used = 0;

	buf[0] = '\0';
	for (; *words && used < len; words++)
		used += (size_t)snprintf(buf + used, len - used, "%s\"%s\"", used ? ", " : "", *words);
	return buf;
}

int value_unknown_key(const struct capsa_value *found, const char *in_front, const char *const *names,
                      const char *otherwise, struct error *err)
{
	const char *meant = text_suggest(found->name, names);

	if (meant)
		return value_error(found, err, "%s \"%.64s\"; did you mean \"%s\"?", in_front, found->name, meant);
	return value_error(found, err, "%s \"%.64s\"; %s", in_front, found->name, otherwise);
}

char *value_absolute_path(const char *folder, const char *path, struct arena *arena)
{
	size_t len = strlen(folder);

	if (path[0] == '/')
		return arena_strdup(arena, path);
	return arena_format(arena, "%s%s%s", folder, len && folder[len - 1] == '/' ? "" : "/", path);
}

static int check_integer(const struct capsa_key *key, const struct capsa_value *found, struct capsa_value *out,
                         struct error *err)
{
	char wanted[96] = "an integer";

	if (key->min < key->max)
		snprintf(wanted, sizeof wanted, "an integer from %" PRId64 " to %" PRId64, key->min, key->max);
	if (found->type != CAPSA_TYPE_INT)
		return value_mismatch(found, wanted, err);
	if (key->min < key->max && (found->integer < key->min || found->integer > key->max))
		return value_error(found, err, "key \"%s\": %" PRId64 " is out of range; write %s", key->name,
		                   found->integer, wanted);
	out->integer = found->integer;
	return 0;
}

static int check_size(const struct capsa_key *key, const struct capsa_value *found, struct capsa_value *out,
                      struct error *err)
{
	char limit[32], shown[80];
	uint64_t bytes;
	int rc;

	if (found->type == CAPSA_TYPE_STRING) {
		rc = text_parse_size(found->string, &bytes);
		if (rc == -ERANGE)
			return value_error(found, err, "key \"%s\": \"%.64s\" is too large", key->name, found->string);
		if (rc)
			return value_error(
				found, err,
				"key \"%s\": \"%.64s\" is no size; write a number with K, M, G or T, such as \"512M\"",
				key->name, found->string);
		out->integer = (int64_t)bytes;
		snprintf(shown, sizeof shown, "\"%.64s\"", found->string);
	} else if (found->type == CAPSA_TYPE_INT) {
		out->integer = found->integer;
		snprintf(shown, sizeof shown, "%" PRId64, found->integer);
	} else {
		return value_mismatch(found, "a size such as \"512M\"", err);
	}
	if (out->integer < 0)
		return value_error(found, err, "key \"%s\": %s is negative; write a size such as \"512M\"", key->name,
		                   shown);
	if (key->min >= key->max)
		return 0;
	if (out->integer < key->min) {
		/* Whoever writes `memory = 512` thinks of megabytes. */
		if (found->type == CAPSA_TYPE_INT && key->min >= MIB && found->integer > 0 && found->integer < MIB &&
		    found->integer >= key->min / MIB)
			return value_error(found, err,
			                   "key \"%s\": %s bytes are too few; write \"%sM\" if you mean MiB", key->name,
			                   shown, shown);
		return value_error(found, err, "key \"%s\": %s%s; the least is \"%s\"", key->name, shown,
		                   found->type == CAPSA_TYPE_INT ? " bytes are too few" : " is too small",
		                   text_format_size((uint64_t)key->min, limit, sizeof limit));
	}
	if (out->integer > key->max)
		return value_error(found, err, "key \"%s\": %s%s; the most is \"%s\"", key->name, shown,
		                   found->type == CAPSA_TYPE_INT ? " bytes are too many" : " is too large",
		                   text_format_size((uint64_t)key->max, limit, sizeof limit));
	return 0;
}

static int check_choice(const struct capsa_key *key, const struct capsa_value *found, struct capsa_value *out,
                        struct error *err)
{
	char words[512], wanted[540];
	const char *meant;
	int64_t i;

	list_words(key->choices, words, sizeof words);
	if (found->type != CAPSA_TYPE_STRING) {
		snprintf(wanted, sizeof wanted, "one of %s", words);
		return value_mismatch(found, wanted, err);
	}
	for (i = 0; key->choices[i]; i++)
		if (!strcmp(key->choices[i], found->string)) {
			out->integer = i;
			out->string = found->string;
			return 0;
		}
	meant = text_suggest(found->string, key->choices);
	if (meant)
		return value_error(found, err, "key \"%s\": \"%.64s\" is unknown; did you mean \"%s\"? Allowed: %s",
		                   key->name, found->string, meant, words);
	return value_error(found, err, "key \"%s\": \"%.64s\" is unknown; write one of %s", key->name, found->string,
	                   words);
}

static int check_path(const struct capsa_key *key, const struct capsa_value *found, const char *folder,
                      struct arena *arena, struct capsa_value *out, struct error *err)
{
	if (found->type != CAPSA_TYPE_STRING)
		return value_mismatch(found, "a path in quotes", err);
	if (!found->string[0])
		return value_error(found, err, "key \"%s\": the path is empty", key->name);
	out->string = value_absolute_path(folder, found->string, arena);
	return out->string ? 0 : error_set(err, ENOMEM, "no memory for the configuration");
}

int value_check(const struct capsa_key *key, const struct capsa_value *found, const char *folder, struct arena *arena,
                struct capsa_value *out, struct error *err)
{
	*out = (struct capsa_value){ .type = key->type, .name = key->name, .file = found->file, .line = found->line };
	switch (key->type) {
	case CAPSA_TYPE_BOOL:
		if (found->type != CAPSA_TYPE_BOOL)
			return value_mismatch(found, "true or false, without quotes", err);
		out->boolean = found->boolean;
		return 0;
	case CAPSA_TYPE_INT:
		return check_integer(key, found, out, err);
	case CAPSA_TYPE_SIZE:
		return check_size(key, found, out, err);
	case CAPSA_TYPE_STRING:
		if (found->type != CAPSA_TYPE_STRING)
			return value_mismatch(found, "a string in quotes", err);
		out->string = found->string;
		return 0;
	case CAPSA_TYPE_PATH:
		return check_path(key, found, folder, arena, out, err);
	case CAPSA_TYPE_CHOICE:
		return check_choice(key, found, out, err);
	case CAPSA_TYPE_LIST:
		if (found->type != CAPSA_TYPE_LIST)
			return value_mismatch(found, "a list, ( ... ) or [ ... ]", err);
		break;
	case CAPSA_TYPE_GROUP:
		if (found->type != CAPSA_TYPE_GROUP)
			return value_mismatch(found, "a group, { NAME = VALUE; ... }", err);
		break;
	case CAPSA_TYPE_FLOAT:
		if (found->type != CAPSA_TYPE_INT && found->type != CAPSA_TYPE_FLOAT)
			return value_mismatch(found, "a number", err);
		out->real = found->type == CAPSA_TYPE_INT ? (double)found->integer : found->real;
		return 0;
	case CAPSA_TYPE_NONE:
	default:
		return value_error(found, err, "key \"%s\": its type is unknown to this capsa", key->name);
	}
	out->items = found->items;
	out->n_items = found->n_items;
	return 0;
}
