/* SPDX-License-Identifier: MIT */
/*
 * error.h - how a cause travels to the user.
 *
 * Functions return 0 or -errno. One that can fail for a reason that the user
 * should read also takes a `struct error *` (never NULL) and fills it with one
 * line that says what was wrong and, where there is one, the remedy. It is
 * printed once, at the top (core/cli).
 */
#ifndef CAPSA_BASE_ERROR_H
#define CAPSA_BASE_ERROR_H

#include <stdarg.h>

struct error {
	char text[1024]; /* without a newline; empty: nothing was said */
};

/* Sets the text and returns -code: `return error_set(err, ENOENT, "...")`. */
__attribute__((format(printf, 3, 4))) int error_set(struct error *err, int code, const char *fmt, ...);
__attribute__((format(printf, 3, 0))) int error_vset(struct error *err, int code, const char *fmt, va_list args);

/* Puts words in front of the text that a callee left ("FILE:LINE: "); returns code unchanged. */
__attribute__((format(printf, 3, 4))) int error_prefix(struct error *err, int code, const char *fmt, ...);
/* Puts "FILE:LINE: " in front, or "FILE: " where line is 0 (what no file has), or nothing where file is NULL. */
int error_prefix_place(struct error *err, int code, const char *file, unsigned line);
/* Puts words behind it ("; do this instead"), as far as there is room; returns code unchanged. */
__attribute__((format(printf, 3, 4))) int error_suffix(struct error *err, int code, const char *fmt, ...);

#endif
