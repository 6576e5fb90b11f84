/* SPDX-License-Identifier: MIT */
/*
 * vm-console.c - what the guest said last, for whoever asks why it ended. Called by vm-run.c, before the run-time
 * folder goes.
 *
 * A console that is kept (backend = "file" in that folder, as core/sandbox makes one) is the only one whose words capsa
 * still has.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/vm/vm-private.h"

#define TAIL_BYTES 8192
#define TAIL_LINES 8

/* The guest's words go to a terminal: what is left are lines of text. */
static void keep_text(char *text)
{
	char *to = text;

	for (; *text; text++)
		if ((unsigned char)*text >= ' ' || *text == '\n' || *text == '\t')
			*to++ = *text == 0x7f ? '?' : *text;
	*to = '\0';
}

/* A panic says the most where it begins; registers and stacks follow, then the same words once more. */
static char *panic_lines(char *text)
{
	char *at = strstr(text, "Kernel panic - not syncing"), *end;
	unsigned lines = 0;

	if (!at)
		return NULL;
	while (at > text && at[-1] != '\n')
		at--;
	for (end = at; *end && lines < TAIL_LINES; end++)
		lines += *end == '\n';
	return strndup(at, (size_t)(end - at));
}

static char *last_lines(char *text)
{
	char *at = text + strlen(text);
	unsigned lines = 0;

	while (at > text && at[-1] == '\n')
		*--at = '\0';
	for (; at > text; at--)
		if (at[-1] == '\n' && ++lines == TAIL_LINES)
			break;
	return strdup(at);
}

char *vm_console_tail(const struct vm *vm)
{
	char *path = vm->rundir ? text_format("%s/console.log", rundir_path(vm->rundir)) : NULL;
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	char text[TAIL_BYTES + 1], *tail = NULL;
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	ssize_t n = fd >= 0 ? pread(fd, text, TAIL_BYTES, size > TAIL_BYTES ? size - TAIL_BYTES : 0) : -1;

	if (n > 0) {
		text[n] = '\0';
		if (memchr(text, '\0', (size_t)n))
			for (ssize_t i = 0; i < n; i++)
				text[i] = text[i] ? text[i] : ' ';
		keep_text(text);
		tail = panic_lines(text);
		if (!tail)
			tail = last_lines(text);
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return tail;
}
