/* SPDX-License-Identifier: MIT */
/* escape.c - how users write the escape character. Called by console.c; pure. */
#include "console.h"

#include <ctype.h>
#include <string.h>

int escape_parse(const char *text)
{
	size_t len = strlen(text);

	if (strcmp(text, "none") == 0)
		return -1;
	if (len == 1)
		return (unsigned char)text[0];
	/* Caret notation: ^@ to ^_. */
	if (len == 2 && text[0] == '^') {
		int upper = toupper((unsigned char)text[1]);

		if (upper >= '@' && upper <= '_')
			return upper & 0x1f;
	}
	return -2;
}
