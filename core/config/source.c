/* SPDX-License-Identifier: MIT */
/*
 * source.c - see source.h.
 *
 * Theory of operation: a scanner that knows just enough of libconfig's words (strings, comments,
 * names, numbers, brackets) to tell an @include from text that looks like one copies each file line by
 * line into one text, and notes for each line where it came from. An @include line is replaced
 * by the lines of its file.
 */
#include "core/config/source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/path.h"

/* A file that is being copied; on the stack of its copy_file(). */
struct open_file {
	const struct open_file *includer;
	unsigned depth;
	const char *name; /* NULL: a text that is no file */
	dev_t device;
	ino_t inode;
	const char *at, *end;
	unsigned line;
};

static int copy_file(struct source *source, struct open_file *file, struct error *err);

__attribute__((format(printf, 4, 5))) static int fail_at(const struct open_file *file, unsigned line, struct error *err,
                                                         const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	error_vset(err, EINVAL, fmt, args);
	va_end(args);
	if (file->name)
		error_prefix(err, 0, "%s:%u: ", file->name, line);
	return -EINVAL;
}

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory for the configuration");
}

/* Makes room for one more byte and the NUL, and for the place of one more line. */
static int grow(struct source *source)
{
	if (source->room - source->len < 2) {
		size_t room = source->room ? 2 * source->room : 4096;
		char *text = realloc(source->text, room);

		if (!text)
			return -ENOMEM;
		source->text = text;
		source->room = room;
	}
	if (source->n_places == source->places_room) {
		size_t room = source->places_room ? 2 * source->places_room : 256;
		struct source_place *places = realloc(source->places, room * sizeof *places);

		if (!places)
			return -ENOMEM;
		source->places = places;
		source->places_room = room;
	}
	return 0;
}

static int put(struct source *source, const struct open_file *file, char c, struct error *err)
{
	if (source->len >= SOURCE_MAX_BYTES)
		return fail_at(file, file->line, err, "the configuration is larger than %u KiB",
		               SOURCE_MAX_BYTES / 1024);
	if (grow(source))
		return no_memory(err);
	if (source->len == 0 || source->text[source->len - 1] == '\n')
		source->places[source->n_places++] = (struct source_place){ file->name, file->line };
	source->text[source->len++] = c;
	source->text[source->len] = '\0';
	return 0;
}

/* Copies the bytes up to `end`, which may span lines. */
static int copy_until(struct source *source, struct open_file *file, const char *end, struct error *err)
{
	int rc = 0;

	for (; !rc && file->at < end; file->at++) {
		rc = put(source, file, *file->at, err);
		if (*file->at == '\n')
			file->line++;
	}
	return rc;
}

static int copy_string(struct source *source, struct open_file *file, struct error *err)
{
	const char *at = file->at + 1;

	for (; at < file->end && *at != '"'; at++) {
		if (*at != '\\' || file->end - at < 2)
			continue;
		at++;
		/* A C string cannot hold it: libconfig would cut the rest off. */
		if (file->end - at >= 3 && (*at == 'x' || *at == 'X') && at[1] == '0' && at[2] == '0')
			return fail_at(file, file->line, err, "\\x00 cannot stand in a string");
	}
	if (at == file->end)
		return fail_at(file, file->line, err, "the string that begins here has no closing \"");
	return copy_until(source, file, at + 1, err);
}

static int copy_comment(struct source *source, struct open_file *file, struct error *err)
{
	const char *at = file->at;
	unsigned line = file->line;

	if (at[0] == '#' || at[1] == '/') {
		at = memchr(at, '\n', (size_t)(file->end - at));
		return copy_until(source, file, at ? at : file->end, err);
	}
	at = memmem(at + 2, (size_t)(file->end - at - 2), "*/", 2);
	if (!at)
		return fail_at(file, line, err, "the comment that begins here has no closing */");
	return copy_until(source, file, at + 2, err);
}

static bool is_unit(const char *at, size_t len)
{
	return (len == 1 || (len == 2 && toupper((unsigned char)at[1]) == 'B')) &&
	       memchr("KMGT", toupper((unsigned char)*at), 4);
}

/* libconfig cuts an integer off to 32 bits, in silence, where no L stands behind it. */
static int copy_long(struct source *source, struct open_file *file, const char *end, bool is_long, struct error *err)
{
	int rc = copy_until(source, file, end, err);

	return rc || !is_long ? rc : put(source, file, 'L', err);
}

/* Refuses integers that libconfig would cut off, and sizes that need quotes. */
static int copy_number(struct source *source, struct open_file *file, struct error *err)
{
	const char *at = file->at, *start, *end = at;
	char number[32];
	size_t digits, len;
	long long value = 0;

	/* An exponent's sign belongs to the number: "1e-5". */
	do
		end++;
	while (end < file->end &&
	       (isalnum((unsigned char)*end) || *end == '.' ||
	        ((*end == '-' || *end == '+') && (end[-1] == 'e' || end[-1] == 'E') && at[0] != '0')));
	len = (size_t)(end - at);
	start = *at == '-' || *at == '+' ? at + 1 : at;
	if (end - start > 2 && start[0] == '0' && (start[1] == 'x' || start[1] == 'X')) {
		for (start += 2; start < end - 1 && *start == '0';)
			start++;
		for (digits = 0; start + digits < end && isxdigit((unsigned char)start[digits]);)
			digits++;
		if (digits > 16)
			return fail_at(file, file->line, err, "%.*s: too large", len > 64 ? 64 : (int)len, at);
		return copy_long(source, file, end, digits > 8 && start + digits == end, err);
	}
	for (digits = 0; start + digits < end && isdigit((unsigned char)start[digits]);)
		digits++;
	if (digits && start + digits < end && is_unit(start + digits, (size_t)(end - start) - digits))
		return fail_at(file, file->line, err, "%.*s: a size with a unit stands in quotes, such as \"512M\"",
		               len > 64 ? 64 : (int)len, at);
	if (start + digits == end || toupper((unsigned char)start[digits]) == 'L') {
		errno = 0;
		if (start + digits - at < (ptrdiff_t)sizeof number) {
			memcpy(number, at, (size_t)(start - at) + digits);
			number[(size_t)(start - at) + digits] = '\0';
			value = strtoll(number, NULL, 10);
		} else {
			errno = ERANGE;
		}
		if (errno)
			return fail_at(file, file->line, err, "%.*s...: too large for 64 bits",
			               len > 24 ? 24 : (int)len, at);
	}
	return copy_long(source, file, end, start + digits == end && value != (int)value, err);
}

static int copy_name(struct source *source, struct open_file *file, struct error *err)
{
	const char *end = file->at;

	while (end < file->end && (isalnum((unsigned char)*end) || *end == '-' || *end == '_' || *end == '*'))
		end++;
	return copy_until(source, file, end, err);
}

static int copy_other(struct source *source, struct open_file *file, struct error *err)
{
	const char c = *file->at;

	if ((c == '(' || c == '[' || c == '{') && ++source->nesting > SOURCE_MAX_NESTING)
		return fail_at(file, file->line, err, "brackets nested deeper than %d levels", SOURCE_MAX_NESTING);
	if ((c == ')' || c == ']' || c == '}') && source->nesting)
		source->nesting--;
	if ((c == '=' || c == ':') && ++source->n_keys > SOURCE_MAX_KEYS)
		return fail_at(file, file->line, err, "more than %d keys", SOURCE_MAX_KEYS);
	if (c == '@')
		return fail_at(file, file->line, err,
		               "an @ that begins no @include \"FILE\" (which must stand alone on its line)");
	return copy_until(source, file, file->at + 1, err);
}

/* Takes a whole file. *text belongs to the caller. */
static int load(const char *path, const char *name, struct open_file *file, char **text, struct error *err)
{
	struct stat st;
	size_t len = 0;
	ssize_t n;
	int rc = 0, fd;

	/* O_NONBLOCK: a FIFO that nobody writes to must not hold us up. */
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return error_set(err, errno, "%s: cannot read it: %s", name, strerror(errno));
	if (fstat(fd, &st)) {
		rc = error_set(err, errno, "%s: cannot read it: %s", name, strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		rc = error_set(err, EINVAL, "%s: %s, not a configuration file", name,
		               S_ISDIR(st.st_mode)    ? "a folder"
		               : S_ISFIFO(st.st_mode) ? "a pipe"
		                                      : "a device or socket");
		goto out;
	}
	*text = malloc(SOURCE_MAX_BYTES + 1);
	if (!*text) {
		rc = no_memory(err);
		goto out;
	}
	do {
		n = read(fd, *text + len, SOURCE_MAX_BYTES + 1 - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0)
		rc = error_set(err, errno, "%s: cannot read it: %s", name, strerror(errno));
	else if (len > SOURCE_MAX_BYTES)
		rc = error_set(err, EFBIG, "%s: larger than %u KiB; this is no configuration file", name,
		               SOURCE_MAX_BYTES / 1024);
	file->device = st.st_dev;
	file->inode = st.st_ino;
	file->at = *text;
	file->end = *text + len;
	file->line = 1;
out:
	close(fd);
	return rc;
}

/* The user's words for the file that `name` means in `includer`. */
static char *included_name(struct source *source, const struct open_file *includer, const char *name)
{
	const char *slash = strrchr(includer->name, '/');

	if (name[0] == '/' || !slash)
		return arena_strdup(source->arena, name);
	return arena_format(source->arena, "%.*s%s", (int)(slash + 1 - includer->name), includer->name, name);
}

static int copy_included(struct source *source, struct open_file *includer, const char *name, struct error *err)
{
	struct open_file file = { .includer = includer, .depth = includer->depth + 1 };
	const struct open_file *outer;
	char *text = NULL;
	int rc;

	if (!includer->name)
		return fail_at(includer, includer->line, err, "@include cannot stand here");
	if (!name[0])
		return fail_at(includer, includer->line, err, "@include: the name of the file is empty");
	if (file.depth > SOURCE_MAX_INCLUDE_DEPTH)
		return fail_at(includer, includer->line, err, "@include \"%.200s\": more than %d files deep", name,
		               SOURCE_MAX_INCLUDE_DEPTH);
	if (++source->n_files > SOURCE_MAX_FILES)
		return fail_at(includer, includer->line, err, "more than %d files included", SOURCE_MAX_FILES);
	file.name = included_name(source, includer, name);
	if (!file.name)
		return no_memory(err);
	rc = load(file.name, file.name, &file, &text, err);
	if (rc) {
		error_prefix(err, rc, "%s:%u: @include: ", includer->name, includer->line);
		goto out;
	}
	for (outer = includer; outer; outer = outer->includer)
		if (outer->device == file.device && outer->inode == file.inode) {
			rc = fail_at(includer, includer->line, err, "@include \"%.200s\": the file includes itself",
			             name);
			goto out;
		}
	rc = copy_file(source, &file, err);
out:
	free(text);
	return rc;
}

/* At the beginning of a line: where the @include's word ends, or NULL where there is none. */
static const char *include_word(const struct open_file *file)
{
	static const char word[] = "@include";
	const char *at = file->at;

	while (at < file->end && (*at == ' ' || *at == '\t'))
		at++;
	if ((size_t)(file->end - at) < sizeof word - 1 || memcmp(at, word, sizeof word - 1))
		return NULL;
	return at + sizeof word - 1;
}

static int copy_include(struct source *source, struct open_file *file, const char *at, struct error *err)
{
	const char *end = memchr(at, '\n', (size_t)(file->end - at)), *close;
	char *name;
	int rc;

	if (!end)
		end = file->end;
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	close = at < end && *at == '"' ? memchr(at + 1, '"', (size_t)(end - at - 1)) : NULL;
	if (!close)
		return fail_at(file, file->line, err, "@include wants the name of a file in quotes: @include \"FILE\"");
	name = strndup(at + 1, (size_t)(close - at - 1));
	if (!name)
		return no_memory(err);
	for (at = close + 1; at < end && isspace((unsigned char)*at);)
		at++;
	if (at < end && *at != '#' && !(end - at >= 2 && at[0] == '/' && at[1] == '/'))
		rc = fail_at(file, file->line, err, "@include must stand alone on its line");
	else
		rc = copy_included(source, file, name, err);
	free(name);
	file->at = end < file->end ? end + 1 : end;
	file->line++;
	return rc;
}

static int copy_file(struct source *source, struct open_file *file, struct error *err)
{
	const char *zero = memchr(file->at, '\0', (size_t)(file->end - file->at)), *word;
	bool at_line_start = true;
	int rc = 0;

	if (zero) {
		for (; file->at < zero; file->at++)
			file->line += *file->at == '\n';
		return fail_at(file, file->line, err, "a zero byte: this is no text file");
	}
	while (!rc && file->at < file->end) {
		const char c = *file->at, next = file->end - file->at > 1 ? file->at[1] : '\0';

		if (at_line_start && (word = include_word(file))) {
			rc = copy_include(source, file, word, err);
			continue;
		}
		at_line_start = c == '\n';
		if (c == '"')
			rc = copy_string(source, file, err);
		else if (c == '#' || (c == '/' && (next == '/' || next == '*')))
			rc = copy_comment(source, file, err);
		else if (isdigit((unsigned char)c) || ((c == '-' || c == '+') && isdigit((unsigned char)next)))
			rc = copy_number(source, file, err);
		else if (isalpha((unsigned char)c))
			rc = copy_name(source, file, err);
		else
			rc = copy_other(source, file, err);
	}
	/* A file without a last newline must not run into what follows it; and libconfig ends a comment by a newline
	 * only. */
	if (!rc && (!source->len || source->text[source->len - 1] != '\n'))
		rc = put(source, file, '\n', err);
	return rc;
}

int source_read(struct source *source, const char *file_name, struct arena *arena, struct error *err)
{
	struct open_file file = { .depth = 0 };
	char *text = NULL;
	int rc;

	*source = (struct source){ .arena = arena };
	file.name = arena_strdup(arena, file_name);
	if (!file.name)
		return no_memory(err);
	rc = load(file_name, file.name, &file, &text, err);
	if (!rc)
		rc = copy_file(source, &file, err);
	free(text);
	return rc;
}

int source_from_text(struct source *source, const char *text, const char *label, struct arena *arena, struct error *err)
{
	struct open_file file = { .at = text, .end = text + strlen(text), .line = 1 };

	*source = (struct source){ .arena = arena, .label = label };
	return copy_file(source, &file, err);
}

void source_free(struct source *source)
{
	free(source->text);
	free(source->places);
}

struct source_place source_place(const struct source *source, unsigned line)
{
	struct source_place place = { NULL, 0 };

	if (line < 1)
		line = 1;
	if (source->n_places)
		place = source->places[line > source->n_places ? source->n_places - 1 : line - 1];
	return place.file ? place : (struct source_place){ source->label, 0 };
}
