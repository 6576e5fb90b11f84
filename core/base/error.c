/* SPDX-License-Identifier: MIT */
/* error.c - see error.h. Called by every room; owns nothing. */
#include "core/base/error.h"

#include <stdio.h>
#include <string.h>

int error_vset(struct error *err, int code, const char *fmt, va_list args)
{
	vsnprintf(err->text, sizeof err->text, fmt, args);
	return -code;
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	error_vset(err, code, fmt, args);
	va_end(args);
	return -code;
}

int error_prefix(struct error *err, int code, const char *fmt, ...)
{
	struct error inner = *err;
	size_t used;
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, args);
	va_end(args);
	used = strlen(err->text);
	snprintf(err->text + used, sizeof err->text - used, "%s", inner.text);
	return code;
}

int error_prefix_place(struct error *err, int code, const char *file, unsigned line)
{
	if (!file)
		return code;
	return line ? error_prefix(err, code, "%s:%u: ", file, line) : error_prefix(err, code, "%s: ", file);
}

int error_suffix(struct error *err, int code, const char *fmt, ...)
{
	size_t used = strlen(err->text);
	va_list args;

	va_start(args, fmt);
	vsnprintf(err->text + used, sizeof err->text - used, fmt, args);
	va_end(args);
	return code;
}
