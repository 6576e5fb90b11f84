/* SPDX-License-Identifier: MIT */
/* text.c - see text.h. Called by every room; owns nothing. */
#include "core/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Longer words are compared with nothing: the table of distances stays small. */
enum { WORD_MAX = 64 };

static const char units[] = "KMGT";

int text_parse_size(const char *text, uint64_t *out)
{
	bool too_large = false;
	uint64_t value = 0;
	unsigned shift = 0;
	const char *unit;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	/* Reads on behind a number too large: "99...9X" is malformed first of all. */
	for (; isdigit((unsigned char)*text); text++)
		too_large |= __builtin_mul_overflow(value, 10u, &value) ||
		             __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value);
	if (*text) {
		unit = strchr(units, toupper((unsigned char)*text));
		if (!unit || text[1])
			return -EINVAL;
		shift = 10 * (unsigned)(unit - units + 1);
	}
	if (too_large || value > (uint64_t)INT64_MAX >> shift)
		return -ERANGE;
	*out = value << shift;
	return 0;
}

const char *text_format_size(uint64_t bytes, char *buf, size_t len)
{
	const char *unit = "";
	size_t i;

	for (i = 0; units[i] && bytes && bytes % 1024 == 0; i++) {
		bytes /= 1024;
		unit = units + i;
	}
	snprintf(buf, len, "%llu%.1s", (unsigned long long)bytes, unit);
	return buf;
}

/* One spelling for what people do not tell apart: case, and - for _. */
static int plain(char c)
{
	return c == '-' ? '_' : tolower((unsigned char)c);
}

/* Letters to insert, remove, change, or swap with their neighbour to come from a to b (restricted Damerau). */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1];
	unsigned *before = rows[0], *last = rows[1], *row = rows[2], *spare;
	size_t i, k;

	for (k = 0; k <= b_len; k++) {
		before[k] = 0;
		last[k] = (unsigned)k;
	}
	for (i = 1; i <= a_len; i++) {
		row[0] = (unsigned)i;
		for (k = 1; k <= b_len; k++) {
			unsigned best = last[k - 1] + (plain(a[i - 1]) != plain(b[k - 1]));

			if (best > last[k] + 1)
				best = last[k] + 1;
			if (best > row[k - 1] + 1)
				best = row[k - 1] + 1;
			if (i > 1 && k > 1 && plain(a[i - 1]) == plain(b[k - 2]) &&
			    plain(a[i - 2]) == plain(b[k - 1]) && best > before[k - 2] + 1)
				best = before[k - 2] + 1;
			row[k] = best;
		}
		spare = before;
		before = last;
		last = row;
		row = spare;
	}
	return last[b_len];
}

const char *text_suggest(const char *word, const char *const *candidates)
{
	size_t word_len = strlen(word), len, longer;
	unsigned wrong, best_wrong = WORD_MAX;
	const char *best = NULL;

	if (word_len > WORD_MAX)
		return NULL;
	for (; *candidates; candidates++) {
		len = strlen(*candidates);
		if (len > WORD_MAX)
			continue;
		longer = len > word_len ? len : word_len;
		wrong = distance(word, word_len, *candidates, len);
		if (wrong <= longer / 3 && wrong < best_wrong) {
			best = *candidates;
			best_wrong = wrong;
		}
	}
	return best;
}

char *text_format(const char *fmt, ...)
{
	va_list args;
	char *text;
	int len;

	va_start(args, fmt);
	len = vasprintf(&text, fmt, args);
	va_end(args);
	return len < 0 ? NULL : text;
}
