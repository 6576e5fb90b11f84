/* SPDX-License-Identifier: MIT */
/*
 * cause.h - why a key's value is refused: one line for the user, which begins with the key. What the plugins' readers
 * of options share; the caller gives it to host->error(). Any thread.
 */
#ifndef CAPSA_PLUGINS_CAUSE_H
#define CAPSA_PLUGINS_CAUSE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include "capsa-plugin.h"

struct cause {
	char *text;
	size_t size;
};

/* -EINVAL, always. */
CAPSA_PRINTF(2, 3)
static inline int refuse(const struct cause *cause, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(cause->text, cause->size, fmt, args);
	va_end(args);
	return -EINVAL;
}

/* The entry has it, or it has a default. */
static inline bool is_given(const struct capsa_value *value)
{
	return value->type != CAPSA_TYPE_NONE;
}

#endif
