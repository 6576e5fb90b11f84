/* SPDX-License-Identifier: MIT */
/* words.c - see words.h. Called by exec.c. What a list takes is bounded by the frame that it came in. */
#include "agent/words.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

char **words_read(struct agent_reader *r, size_t spare, size_t *count)
{
	const uint32_t n = agent_read_u32(r);
	char **words, *text;

	*count = 0;
	/* Each word takes four bytes at least. */
	if (r->failed || n > r->left / 4) {
		r->failed = true;
		return NULL;
	}
	/* The strings need what is left, less four bytes of length and plus a NUL each. */
	words = malloc((n + spare + 1) * sizeof *words + r->left);
	if (!words)
		return NULL;
	text = (char *)(words + n + spare + 1);
	for (uint32_t i = 0; i < n; i++) {
		size_t len;
		const char *bytes = agent_read_bytes(r, &len);

		if (r->failed || (len > 0 && memchr(bytes, '\0', len))) {
			r->failed = true;
			free(words);
			return NULL;
		}
		words[i] = memcpy(text, bytes, len);
		text[len] = '\0';
		text += len + 1;
	}
	words[n] = NULL;
	*count = n;
	return words;
}

void words_set(char **words, size_t *count, char *assignment)
{
	const size_t len = strcspn(assignment, "=");
	size_t i;

	for (i = 0; i < *count; i++)
		if (strncmp(words[i], assignment, len) == 0 && words[i][len] == '=')
			break;
	if (assignment[len] == '=') {
		words[i] = assignment;
		if (i == *count)
			(*count)++;
	} else if (i < *count) {
		words[i] = words[--*count];
	}
	words[*count] = NULL;
}
