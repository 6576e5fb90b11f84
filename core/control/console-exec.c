/* SPDX-License-Identifier: MIT */
/*
 * console-exec.c - console_client_exec(): a command in the guest's shell. Called by core/cli/verb-console.c.
 *
 * One line is typed, which says a mark, runs the command, and says another mark with the status. In the line the marks
 * stand in two parts, so that its echo, however a line editor draws it, never is one.
 *
 * The command travels as text for printf's %b with all that a terminal, a line editor or a shell's history would take
 * for an order of its own (control characters, quotes, backslash, "!") as octal numbers: a script of many lines, with
 * tabs, arrives as it is. The line is folded (quote, backslash, line end, quote), because terminals and line editors have a
 * limit. It is one line nevertheless: nothing is typed ahead that the command could read as its input.
 *
 * The subshell keeps `exit`, `set -e` and syntax errors away from the shell that is to say the second mark.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/text.h"
#include "core/control/console-private.h"

/* Where a line is folded: busybox's line editor takes 1023 bytes. */
#define FOLD 400u


struct capture {
	char text[65536];
	size_t used;
	bool begun;
	char begin[48], end[48];
};

static void drop(struct capture *c, size_t n)
{
	memmove(c->text, c->text + n, c->used - n);
	c->used -= n;
}

/* Shows n bytes; line ends as the command wrote them, before the terminal made CR LF of each. */
static int show(struct capture *c, size_t n)
{
	size_t kept = 0;
	int rc;

	for (size_t i = 0; i < n; i++)
		if (!(c->text[i] == '\r' && i + 1 < c->used && c->text[i + 1] == '\n'))
			c->text[kept++] = c->text[i];
	rc = console_write_all(STDOUT_FILENO, c->text, kept);
	drop(c, n);
	return rc;
}

static char *find(const struct capture *c, const char *mark)
{
	return memmem(c->text, c->used, mark, strlen(mark));
}

/* How many of the last bytes may be the beginning of the mark. */
static size_t held_back(const struct capture *c, const char *mark)
{
	size_t n = strlen(mark) - 1;

	n = n < c->used ? n : c->used;
	while (n > 0 && memcmp(c->text + c->used - n, mark, n) != 0)
		n--;
	return n;
}

/* Looks at what has come so far. 1: the command has ended with *status. 0: not yet. -errno: standard output. */
static int look(struct capture *c, int *status)
{
	char *at, *stop;
	size_t keep;

	if (!c->begun) {
		at = find(c, c->begin);
		stop = at ? memchr(at, '\n', c->used - (size_t)(at - c->text)) : NULL;
		if (!stop) {
			if (!at && c->used > strlen(c->begin))
				drop(c, c->used - strlen(c->begin));
			return 0;
		}
		drop(c, (size_t)(stop + 1 - c->text));
		c->begun = true;
	}
	at = find(c, c->end);
	stop = at ? memchr(at, ';', c->used - (size_t)(at - c->text)) : NULL;
	if (stop) {
		int rc;

		*status = (int)strtol(at + strlen(c->end), NULL, 10);
		rc = show(c, (size_t)(at - c->text));
		return rc ? rc : 1;
	}
	keep = at ? c->used - (size_t)(at - c->text) : held_back(c, c->end);
	/* A line end's first half waits for the second. */
	if (!at && !keep && c->used && c->text[c->used - 1] == '\r')
		keep = 1;
	return c->used > keep ? show(c, c->used - keep) : 0;
}

/* The command as an argument of printf %b, folded. NULL: no memory. */
static char *encode(const char *command)
{
	/* Five characters for a byte at most, four for a fold. */
	char *text = malloc(strlen(command) * 5 + strlen(command) * 5 / FOLD * 4 + 16), *to = text;
	size_t column = 0;

	if (!text)
		return NULL;
	for (const unsigned char *at = (const unsigned char *)command; *at; at++) {
		char *before = to;

		if (*at < ' ' || *at > '~' || strchr("\\'!", *at))
			to += sprintf(to, "\\0%03o", *at);
		else
			*to++ = (char)*at;
		column += (size_t)(to - before);
		if (column >= FOLD) {
			to += sprintf(to, "'\\\n'");
			column = 0;
		}
	}
	*to = '\0';
	return text;
}

static char *compose(const char *command, struct capture *capture)
{
	char *text = encode(command), *line;
	uint32_t id = 0;

	if (!text)
		return NULL;
	if (getrandom(&id, sizeof id, 0) < 0)
		id = (uint32_t)getpid();
	snprintf(capture->begin, sizeof capture->begin, "capsa-begin-%08x", id);
	snprintf(capture->end, sizeof capture->end, "capsa-end-%08x ", id);
	/* The space in front keeps it out of some shells' history. */
	line = text_format(" printf 'capsa-%%s\\n' begin-%08x; (eval \"$(printf '%%b' '%s')\"); "
	                   "printf 'capsa-%%s %%d;\\n' end-%08x $?\n",
	                   id, text, id);
	free(text);
	return line;
}

static int run(struct console_client *client, struct capture *capture, const char *line, int64_t deadline, int *status,
               struct error *err)
{
	int rc = console_client_send(client, line, strlen(line), deadline, err);

	while (!rc) {
		ssize_t n = console_client_receive(client, capture->text + capture->used,
		                                   sizeof capture->text - capture->used, err);

		if (n < 0)
			return (int)n;
		/* It has been made use of: the next pattern begins behind it. */
		expect_skip(client->expect, client->received);
		capture->used += (size_t)n;
		rc = look(capture, status);
		if (rc == 1)
			return 0;
		if (rc)
			return error_set(err, EIO, "standard output: %s", strerror(-rc));
		rc = console_client_wait(client, POLLIN, deadline, err);
	}
	return rc;
}

int console_client_exec(struct console_client *client, const char *command, int64_t deadline, int *status,
                        struct error *err)
{
	struct capture *capture = calloc(1, sizeof *capture);
	char *line = capture ? compose(command, capture) : NULL;
	int rc;

	if (!line) {
		free(capture);
		return error_set(err, ENOMEM, "no memory");
	}
	client->show = false;
	rc = run(client, capture, line, deadline, status, err);
	client->show = true;
	/* Or the next one would be typed into a program that runs. */
	if ((rc == -ETIMEDOUT || rc == -EINTR) && send(client->fd, "\003", 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		rc = error_prefix(err, rc, "it could not be stopped; ");
	free(line);
	free(capture);
	return rc;
}
