/* SPDX-License-Identifier: MIT */
/*
 * console-attach.c - console_client_attach(): the user's terminal is the guest's. Called by core/cli/verb-console.c.
 *
 * Raw mode, its end on every way out (signals too) and news of the window's size are the console plugin's
 * terminal.c, which does the same for `backend = "stdio"`. What is typed waits here while the guest takes nothing, so
 * that the escape character works then, too.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/control/console-private.h"
#include "plugins/console/terminal.h"

#define TYPED 65536u
#define PIECE 65536u

struct attachment {
	struct console_client *client;
	char escape;
	bool terminal; /* standard input is one, and ours */
	bool input;    /* has not ended */
	int event_fd;  /* the terminal's */
	char *piece;   /* of the console's words */
	char *typed;
	size_t at, len; /* typed[at..len) is not sent */
};

static void tell_size(const struct attachment *a)
{
	unsigned cols, rows;
	char line[64];

	if (!terminal_window(STDIN_FILENO, &cols, &rows))
		return;
	snprintf(line, sizeof line, "winsize %u %u\n", cols, rows);
	console_client_control(a->client, line);
}

/* False: we are in the background, where reading from the terminal stops a process, until a shell has us back. */
static bool may_read(const struct attachment *a)
{
	if (!a->terminal || terminal_ready())
		return true;
	raise(SIGTTIN);
	return terminal_ready();
}

/* Takes what is typed. 1: the escape character was. */
static int read_input(struct attachment *a, struct error *err)
{
	char *at;
	ssize_t n;

	if (!may_read(a))
		return 0;
	if (a->at == a->len)
		a->at = a->len = 0;
	n = read(STDIN_FILENO, a->typed + a->len, TYPED - a->len);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (n < 0)
		return error_set(err, errno, "standard input: %s", strerror(errno));
	a->input = n > 0;
	at = a->terminal && a->escape ? memchr(a->typed + a->len, a->escape, (size_t)n) : NULL;
	a->len = at ? (size_t)(at - a->typed) : a->len + (size_t)n;
	return at != NULL;
}

/* Sends what the guest takes now. */
static int send_input(struct attachment *a, struct error *err)
{
	ssize_t n;

	if (a->at == a->len)
		return 0;
	n = send(a->client->fd, a->typed + a->at, a->len - a->at, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return error_set(err, EPIPE, "the machine has ended");
	if (n > 0)
		a->at += (size_t)n;
	return 0;
}

static int receive_output(struct attachment *a, struct error *err)
{
	ssize_t n = console_client_receive(a->client, a->piece, PIECE, err);

	expect_skip(a->client->expect, a->client->received);
	return n < 0 ? (int)n : 0;
}

static int attend(struct attachment *a, struct error *err)
{
	for (;;) {
		bool room = a->len < TYPED || a->at == a->len;
		struct pollfd waits[3] = {
			{ .fd = a->client->fd, .events = a->at < a->len ? POLLIN | POLLOUT : POLLIN },
			{ .fd = a->input && room ? STDIN_FILENO : -1, .events = POLLIN },
			{ .fd = a->event_fd, .events = POLLIN },
		};
		int rc = 0;

		if (poll(waits, 3, -1) < 0) {
			if (errno != EINTR)
				return error_set(err, errno, "poll: %s", strerror(errno));
			continue;
		}
		if (waits[2].revents) {
			terminal_hear();
			terminal_ready();
			tell_size(a);
		}
		if (waits[0].revents)
			rc = receive_output(a, err);
		if (!rc && waits[1].revents)
			rc = read_input(a, err);
		if (rc >= 0) {
			int sent = send_input(a, err);

			rc = sent ? sent : rc;
		}
		if (rc)
			return rc > 0 ? 0 : rc;
	}
}

int console_client_attach(struct console_client *client, char escape, struct error *err)
{
	struct attachment a = { .client = client, .escape = escape, .input = true, .event_fd = -1 };
	int rc;

	a.piece = malloc(PIECE);
	a.typed = malloc(TYPED);
	if (!a.piece || !a.typed) {
		rc = error_set(err, ENOMEM, "no memory");
		goto out;
	}
	if (isatty(STDIN_FILENO)) {
		a.terminal = terminal_take(STDIN_FILENO, &a.event_fd) == 0;
		terminal_ready();
	}
	tell_size(&a);
	rc = attend(&a, err);
	terminal_give_back();
out:
	free(a.piece);
	free(a.typed);
	return rc;
}
