/* SPDX-License-Identifier: MIT */
/*
 * backend-stdio.c - standard input and output of capsa. Owns its own descriptions of them (descriptor.h) and, where
 * standard input is a terminal, that terminal's modes (terminal.h). Called by console.c.
 *
 * INPUT. What can be watched is read when it is ready and the guest has room. A regular file or /dev/null cannot be
 * watched: it is read whenever the guest has room (pull). At the end of input the guest lives on.
 *
 * OUTPUT. Once the reader is gone (EPIPE, EIO) output is thrown away, said once; other failures (a full disk) are
 * tried again each time.
 *
 * TERMINAL. Raw, so that every key reaches the guest, but for the escape character (^]). After it
 *     q or .   asks the guest to power off, by SIGTERM to ourselves; twice: ends the machine at once
 *     itself   sends it to the guest
 *     others   a line of help
 * In the background nothing is read; back in the foreground a shell tells us by SIGCONT, unless it saw us running all
 * the time. For that case input that waits is looked at again after a while.
 */
#include "backend.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "descriptor.h"
#include "terminal.h"

#define BACKGROUND_MS 250

struct stdio {
	struct descriptor in, out;
	struct capsa_watch *in_watch, *out_watch, *terminal_watch;
	struct capsa_timer *background;
	bool has_terminal; /* we hold it */
	int event_fd;      /* of the terminal */
	bool escaped;      /* the last key was the escape character */
	bool complained;
};

/* A process has one standard input, whatever number of machines and devices it runs. */
static atomic_flag in_use = ATOMIC_FLAG_INIT;

static int stdio_realize(struct console *c)
{
	struct stdio *s;

	if (atomic_flag_test_and_set(&in_use)) {
		c->host->error(c->dev, "another console has standard input and output; give this one another backend: "
		                       "socket, pty or file");
		return -1;
	}
	s = calloc(1, sizeof *s);
	if (!s) {
		atomic_flag_clear(&in_use);
		c->host->error(c->dev, "out of memory");
		return -1;
	}
	c->backend = s;
	descriptor_ignore_signals();
	s->in = descriptor_inherit(STDIN_FILENO, O_RDONLY);
	s->out = descriptor_inherit(STDOUT_FILENO, O_WRONLY);
	return 0;
}

static void update_window(struct console *c, bool tell)
{
	unsigned cols = 0, rows = 0;

	if (!terminal_window(STDOUT_FILENO, &cols, &rows))
		terminal_window(STDIN_FILENO, &cols, &rows);
	console_window(c, cols, rows, tell);
}

static void on_input(void *ctx, int fd, unsigned events)
{
	struct console *c = ctx;
	struct stdio *s = c->backend;

	(void)fd, (void)events;
	if (s->has_terminal && !terminal_ready()) {
		c->host->watch_set(s->in_watch, 0);
		c->host->timer_set(s->background, BACKGROUND_MS);
		return;
	}
	console_input(c, s->in_watch);
}

static void look_again(void *ctx)
{
	struct console *c = ctx;
	struct stdio *s = c->backend;

	if (s->in_watch)
		c->host->watch_set(s->in_watch, CAPSA_WATCH_READ);
}

static void on_terminal(void *ctx, int fd, unsigned events)
{
	struct console *c = ctx;

	(void)fd, (void)events;
	terminal_hear();
	if (terminal_ready())
		look_again(c);
	update_window(c, true);
}

static void on_room(void *ctx, int fd, unsigned events)
{
	struct console *c = ctx;
	struct stdio *s = c->backend;

	(void)fd, (void)events;
	c->host->watch_set(s->out_watch, 0);
	console_output_ready(c);
}

/* A terminal that cannot be had is no reason to run no machine: it then stays as it is. */
static int take_terminal(struct console *c)
{
	struct stdio *s = c->backend;
	int rc = terminal_take(STDIN_FILENO, &s->event_fd);

	if (rc < 0) {
		c->host->log(c->dev, CAPSA_LOG_WARNING, "the terminal stays in line mode: %s", strerror(-rc));
		return 0;
	}
	s->has_terminal = true;
	s->background = c->host->timer_add(c->dev, look_again, c);
	s->terminal_watch = c->host->watch_add(c->dev, s->event_fd, CAPSA_WATCH_READ, on_terminal, c);
	if (!s->background || !s->terminal_watch)
		return -1;
	terminal_ready();
	return 0;
}

static int stdio_start(struct console *c)
{
	struct stdio *s = c->backend;

	update_window(c, false);
	if (descriptor_waits(&s->in) && isatty(STDIN_FILENO) && take_terminal(c) < 0)
		goto fail;
	if (descriptor_waits(&s->in)) {
		s->in_watch = c->host->watch_add(c->dev, s->in.fd, CAPSA_WATCH_READ, on_input, c);
		if (!s->in_watch)
			goto fail;
	}
	if (descriptor_waits(&s->out)) {
		s->out_watch = c->host->watch_add(c->dev, s->out.fd, CAPSA_WATCH_WRITE, on_room, c);
		if (!s->out_watch)
			goto fail;
	}
	return 0;

fail:
	c->host->error(c->dev, "out of memory");
	return -1;
}

static ssize_t stdio_write(struct console *c, const struct iovec *iov, unsigned n)
{
	struct stdio *s = c->backend;
	size_t len = descriptor_iov_bytes(iov, n);
	ssize_t done = n ? descriptor_write(&s->out, iov, n) : 0;
	bool gone;

	if (done >= 0) {
		s->complained = s->complained && !done;
		return done;
	}
	if (done == -EAGAIN && s->out_watch && c->host->watch_set(s->out_watch, CAPSA_WATCH_WRITE) == 0)
		return -EAGAIN;
	gone = done == -EPIPE || done == -EIO || done == -ECONNRESET;
	if (!s->complained && s->out.kind != DESCRIPTOR_NONE)
		c->host->log(c->dev, CAPSA_LOG_WARNING, "%s: %s; the guest's output is thrown away%s",
		             "standard output", strerror((int)-done), gone ? "" : " until that works");
	s->complained = true;
	if (gone) {
		c->host->watch_remove(s->out_watch);
		s->out_watch = NULL;
		descriptor_close(&s->out);
	}
	console_count_dropped(c, len);
	return (ssize_t)len;
}

static void end_input(struct console *c)
{
	struct stdio *s = c->backend;

	c->host->watch_remove(s->in_watch);
	s->in_watch = NULL;
	descriptor_close(&s->in);
}

static void print_help(struct console *c)
{
	struct stdio *s = c->backend;
	const int escape = c->options.escape;
	char name[3] = { (char)escape, 0, 0 }, text[128];
	struct iovec iov = { .iov_base = text };

	if (escape < 0x20) {
		name[0] = '^';
		name[1] = (char)(escape | 0x40);
	}
	iov.iov_len = (size_t)snprintf(text, sizeof text,
	                               "\r\ncapsa: after %s: q powers the machine off, %s sends %s to the guest\r\n",
	                               name, name, name);
	/* Help that a stuck terminal does not take is no help: it may be lost. */
	if (descriptor_write(&s->out, &iov, 1) < 0)
		return;
}

/* Takes escape sequences out of n bytes of keys; returns how many are left for the guest. */
static size_t filter(struct console *c, unsigned char *keys, size_t n)
{
	struct stdio *s = c->backend;
	const int escape = c->options.escape;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char key = keys[i];
		bool was_escaped = s->escaped;

		s->escaped = false;
		if (!was_escaped) {
			if (key == escape)
				s->escaped = true;
			else
				keys[kept++] = key;
		} else if (key == escape) {
			keys[kept++] = key;
		} else if (key == 'q' || key == '.') {
			kill(getpid(), SIGTERM);
		} else {
			print_help(c);
		}
	}
	return kept;
}

static size_t stdio_read(struct console *c, void *to, size_t room)
{
	struct stdio *s = c->backend;
	ssize_t n = descriptor_read(&s->in, to, room);

	if (n == -EAGAIN)
		return 0;
	if (n <= 0) {
		if (n < 0)
			c->host->log(c->dev, CAPSA_LOG_INFO, "standard input: %s", strerror((int)-n));
		end_input(c);
		return 0;
	}
	return s->has_terminal && c->options.escape >= 0 ? filter(c, to, (size_t)n) : (size_t)n;
}

static void stdio_pull(struct console *c)
{
	struct stdio *s = c->backend;

	if (s->in.kind == DESCRIPTOR_PLAIN)
		console_input(c, NULL);
}

static int stdio_output_fd(const struct console *c)
{
	const struct stdio *s = c->backend;

	return s->out.fd;
}

static void stdio_stop(struct console *c)
{
	struct stdio *s = c->backend;

	c->host->watch_remove(s->in_watch);
	c->host->watch_remove(s->out_watch);
	c->host->watch_remove(s->terminal_watch);
	c->host->timer_remove(s->background);
	s->in_watch = s->out_watch = s->terminal_watch = NULL;
	s->background = NULL;
	if (s->has_terminal)
		terminal_give_back();
	s->has_terminal = false;
}

static void stdio_destroy(struct console *c)
{
	struct stdio *s = c->backend;

	if (s->has_terminal)
		stdio_stop(c);
	descriptor_close(&s->in);
	descriptor_close(&s->out);
	free(s);
	atomic_flag_clear(&in_use);
}

const struct backend_ops backend_stdio = {
	.name = "stdio",
	.realize = stdio_realize,
	.start = stdio_start,
	.write = stdio_write,
	.read = stdio_read,
	.pull = stdio_pull,
	.output_fd = stdio_output_fd,
	.stop = stdio_stop,
	.destroy = stdio_destroy,
};
