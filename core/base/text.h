/* SPDX-License-Identifier: MIT */
/* text.h - small helpers for words and numbers that users write. Pure functions. */
#ifndef CAPSA_BASE_TEXT_H
#define CAPSA_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * "512M" -> bytes. A decimal number with K, M, G or T (powers of 1024, in either case), or none,
 * behind it. -EINVAL: not of that form, -ERANGE: above INT64_MAX. *out is untouched then.
 */
int text_parse_size(const char *text, uint64_t *out);
/* 536870912 -> "512M": the largest unit that divides it. Returns buf. */
const char *text_format_size(uint64_t bytes, char *buf, size_t len);

/*
 * The candidate that a misspelt word most likely means, or NULL where none is near
 * (at most a third of its letters wrong; case, and - for _, do not count). `candidates` ends with NULL.
 */
const char *text_suggest(const char *word, const char *const *candidates);

/* asprintf(3) that returns the string, or NULL without memory. The caller frees it. */
__attribute__((format(printf, 1, 2))) char *text_format(const char *fmt, ...);

#endif
