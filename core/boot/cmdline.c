/* SPDX-License-Identifier: MIT */
/*
 * cmdline.c - the kernel's command line from capsa's defaults and the user's words. Called
 * by core/vm. boot.h has the rules.
 *
 * Words are told apart as the kernel does it (lib/cmdline.c, next_arg): white space outside of
 * double quotes ends a word, quotes may stand anywhere in it, and a word's key ends at '='.
 */

#include "core/boot/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const defaults[] = { "console=hvc0", "reboot=t", "panic=-1" };
#define N_DEFAULTS (sizeof defaults / sizeof *defaults)

struct word {
	const char *at;
	size_t len;
};

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next word of *text, which moves behind it. -ENOENT: no more; -EINVAL: a quote without its end. */
static int next_word(const char **text, struct word *word)
{
	const char *c = *text;
	bool quoted = false;

	while (is_space(*c))
		c++;
	if (!*c)
		return -ENOENT;
	word->at = c;
	for (; *c && (quoted || !is_space(*c)); c++) {
		if (*c == '"')
			quoted = !quoted;
	}
	word->len = (size_t)(c - word->at);
	*text = c;
	return quoted ? -EINVAL : 0;
}

/* What the kernel compares: without quotes around the whole word. */
static struct word unquoted(struct word word)
{
	if (word.len && word.at[0] == '"') {
		word.at++;
		word.len--;
		if (word.len && word.at[word.len - 1] == '"')
			word.len--;
	}
	return word;
}

static size_t key_length(const char *at, size_t len)
{
	const char *equals = memchr(at, '=', len);

	return equals ? (size_t)(equals - at) : len;
}

static bool same_key(struct word word, const char *other)
{
	struct word bare = unquoted(word);
	size_t n = key_length(bare.at, bare.len);

	return n == key_length(other, strlen(other)) && !memcmp(bare.at, other, n);
}

static bool is_end_of_options(struct word word)
{
	struct word bare = unquoted(word);

	return bare.len == 2 && !memcmp(bare.at, "--", 2);
}

static void append(char *line, size_t *len, const char *at, size_t n)
{
	if (*len)
		line[(*len)++] = ' ';
	memcpy(line + *len, at, n);
	*len += n;
}

/* Strikes the defaults that the user's own words replace. */
static int check_words(const char *const *words, bool use[N_DEFAULTS], struct error *err)
{
	bool options = true;

	for (; *words; words++) {
		const char *text = *words;
		struct word word;
		int rc;

		while (!(rc = next_word(&text, &word))) {
			if (is_end_of_options(word))
				options = false;
			for (size_t i = 0; options && i < N_DEFAULTS; i++) {
				if (same_key(word, defaults[i]))
					use[i] = false;
			}
		}
		if (rc == -EINVAL)
			return error_set(err, EINVAL, "a quote (\") without its end in the command line: %.100s",
			                 word.at);
	}
	return 0;
}

int boot_cmdline_build(const char *const *words, bool override, size_t max, char **out, struct error *err)
{
	bool use[N_DEFAULTS];
	size_t room = 1, len = 0;
	char *line;
	int rc;

	*out = NULL;
	for (size_t i = 0; i < N_DEFAULTS; i++) {
		use[i] = !override;
		room += strlen(defaults[i]) + 1;
	}
	for (const char *const *w = words; *w; w++)
		room += strlen(*w) + 1;
	rc = check_words(words, use, err);
	if (rc)
		return rc;
	line = malloc(room);
	if (!line)
		return error_set(err, ENOMEM, "out of memory");
	for (size_t i = 0; i < N_DEFAULTS; i++) {
		if (use[i])
			append(line, &len, defaults[i], strlen(defaults[i]));
	}
	for (; *words; words++) {
		const char *text = *words;
		struct word word;

		while (!next_word(&text, &word))
			append(line, &len, word.at, word.len);
	}
	line[len] = '\0';
	if (len > max) {
		free(line);
		return error_set(err, E2BIG,
		                 "the command line is %zu bytes too long: it has %zu, this kernel takes %zu", len - max,
		                 len, max);
	}
	*out = line;
	return 0;
}
