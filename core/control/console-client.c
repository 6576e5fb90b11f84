/* SPDX-License-Identifier: MIT */
/* console-client.c - see console-client.h. Called by core/cli/verb-console.c; owns the two connections. */
#include "core/control/console-client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/control/expect.h"

/* A line editor's echo comes at once: after so much silence (ms) a match that could be echo is none. */
#define QUIET 300
#define TAIL_LINES 10u

struct console_client {
	int fd, control;
	struct expect *expect;
	bool show; /* what comes goes to standard output */
};

/* Set by signals while the terminal is handed over. */
static volatile sig_atomic_t resized, interrupted;

int64_t console_client_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000) + t.tv_nsec / 1000000;
}

static int connect_to(const char *path, struct error *err)
{
	struct sockaddr_un address;
	socklen_t len;
	int folder, rc = path_unix_address(path, &address, &len, &folder), fd;

	if (rc)
		return error_set(err, -rc, "%s: %s", path, strerror(-rc));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, len)) {
		rc = error_set(err, errno, "no console at %s: %s; the console device needs backend = \"socket\"", path,
		               strerror(errno));
		if (fd >= 0)
			close(fd);
		fd = rc;
	}
	if (folder >= 0)
		close(folder);
	return fd;
}

int console_client_open(const char *folder, const char *device, struct console_client **out, struct error *err)
{
	bool first = !device || strcmp(device, "console0") == 0;
	char *path = text_format("%s/%s.sock", folder, first ? "console" : device);
	char *control = path ? text_format("%s.ctl", path) : NULL;
	struct console_client *client = calloc(1, sizeof *client);
	int rc = 0;

	if (client) {
		client->fd = client->control = -1;
		client->expect = expect_new();
	}
	if (!client || !client->expect || !control) {
		rc = error_set(err, ENOMEM, "no memory");
		goto out;
	}
	client->show = true;
	client->fd = connect_to(path, err);
	if (client->fd < 0) {
		rc = client->fd;
		goto out;
	}
	/* Without it all works but the window's size. */
	client->control = connect_to(control, err);
out:
	free(path);
	free(control);
	if (rc)
		console_client_close(client);
	else
		*out = client;
	return rc;
}

static void control_line(const struct console_client *client, const char *line)
{
	if (client->control >= 0 && send(client->control, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* the window's size is not worth an error */
}

void console_client_close(struct console_client *client)
{
	char line[64];

	if (!client)
		return;
	if (client->expect && client->control >= 0) {
		snprintf(line, sizeof line, "consumed %llu\n", (unsigned long long)expect_used(client->expect));
		control_line(client, line);
	}
	if (client->control >= 0)
		close(client->control);
	if (client->fd >= 0)
		close(client->fd);
	expect_free(client->expect);
	free(client);
}

static int ended(struct error *err)
{
	return error_set(err, EPIPE, "the machine has ended, or its console is in use");
}

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Takes what has come. The bytes' number, 0: none now, or -errno with err. */
static ssize_t receive(struct console_client *client, char *bytes, size_t room, struct error *err)
{
	ssize_t n = recv(client->fd, bytes, room, MSG_DONTWAIT);
	int rc;

	if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
		return ended(err);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : error_set(err, errno, "console: %s", strerror(errno));
	rc = client->show ? write_all(STDOUT_FILENO, bytes, (size_t)n) : 0;
	if (rc)
		return error_set(err, -rc, "standard output: %s", strerror(-rc));
	rc = expect_feed(client->expect, bytes, (size_t)n);
	return rc ? error_set(err, ENOMEM, "no memory") : n;
}

/* Waits until there is something to read (or room to write), or `until` has come: -ETIMEDOUT then. */
static int wait_until(const struct console_client *client, short events, int64_t until, struct error *err)
{
	struct pollfd wait = { .fd = client->fd, .events = events };
	int64_t left = until - console_client_now();
	int n = poll(&wait, 1, left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left);

	if (n < 0 && errno != EINTR)
		return error_set(err, errno, "console: %s", strerror(errno));
	return n == 0 ? error_set(err, ETIMEDOUT, "time-out") : 0;
}

int console_client_send(struct console_client *client, const void *bytes, size_t len, int64_t deadline,
                        struct error *err)
{
	const char *at = bytes;
	char in[4096];

	if (expect_sent(client->expect, bytes, len))
		return error_set(err, ENOMEM, "no memory");
	while (len > 0) {
		ssize_t n = send(client->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL), got;
		int rc;

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return ended(err);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		/* The guest echoes what it takes: read, lest both wait for the other. */
		got = receive(client, in, sizeof in, err);
		if (got < 0)
			return (int)got;
		rc = wait_until(client, POLLIN | POLLOUT, deadline, err);
		if (rc)
			return rc;
	}
	return 0;
}

int console_client_wait_for(struct console_client *client, const char *pattern, bool regex, int64_t deadline,
                            struct error *err)
{
	enum expect_answer answer;
	char in[4096];
	int rc = expect_want(client->expect, pattern, regex, err);

	if (rc)
		return rc;
	while ((answer = expect_look(client->expect)) != EXPECT_MATCH) {
		int64_t until = deadline, quiet = console_client_now() + QUIET;
		ssize_t got;

		if (answer == EXPECT_HELD && quiet < deadline)
			until = quiet;
		rc = wait_until(client, POLLIN, until, err);
		if (rc == -ETIMEDOUT && answer == EXPECT_HELD && expect_quiet(client->expect) == EXPECT_MATCH)
			return 0;
		if (rc && !(rc == -ETIMEDOUT && until < deadline))
			return rc;
		got = receive(client, in, sizeof in, err);
		if (got < 0)
			return (int)got;
	}
	return 0;
}

char *console_client_tail(const struct console_client *client)
{
	return expect_tail(client->expect, TAIL_LINES);
}

/* What a command says, between the two marks; *begun: the first has come. */
struct capture {
	char text[8192];
	size_t used;
	bool begun;
	char begin[48], end[48];
};

static void capture_drop(struct capture *c, size_t n)
{
	memmove(c->text, c->text + n, c->used - n);
	c->used -= n;
}

/* Shows n bytes without the carriage returns of the terminal's line ends. */
static int capture_show(struct capture *c, size_t n)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < n;) {
		size_t len = strcspn(c->text + i, "\r");

		if (len > n - i)
			len = n - i;
		rc = write_all(STDOUT_FILENO, c->text + i, len);
		i += len + 1;
	}
	capture_drop(c, n);
	return rc;
}

/* Looks at what has come so far. 1: the command has ended with *status. */
static int capture_look(struct capture *c, int *status)
{
	char *at, *line_end;
	size_t keep;

	c->text[c->used] = '\0';
	if (!c->begun) {
		at = strstr(c->text, c->begin);
		line_end = at ? strchr(at, '\n') : NULL;
		if (!line_end) {
			if (!at && c->used > sizeof c->begin)
				capture_drop(c, c->used - sizeof c->begin);
			return 0;
		}
		capture_drop(c, (size_t)(line_end + 1 - c->text));
		c->text[c->used] = '\0';
		c->begun = true;
	}
	at = strstr(c->text, c->end);
	if (at && strchr(at, '\n')) {
		*status = atoi(at + strlen(c->end));
		capture_show(c, (size_t)(at - c->text));
		return 1;
	}
	keep = at ? c->used - (size_t)(at - c->text) : sizeof c->end;
	return c->used > keep ? capture_show(c, c->used - keep) : 0;
}

int console_client_exec(struct console_client *client, const char *command, int64_t deadline, int *status,
                        struct error *err)
{
	struct capture *capture = calloc(1, sizeof *capture);
	char *line = NULL;
	uint32_t id = 0;
	int rc = -ENOMEM;

	if (getrandom(&id, sizeof id, 0) < 0)
		id = (uint32_t)getpid();
	if (capture) {
		/* The marks stand in the typed line in two parts, so that its echo never is one. */
		snprintf(capture->begin, sizeof capture->begin, "capsa-begin-%08x", id);
		snprintf(capture->end, sizeof capture->end, "capsa-end-%08x ", id);
		line = text_format(" printf 'capsa-%%s\\n' begin-%08x; %s\n printf 'capsa-%%s %%d\\n' end-%08x $?\n",
		                   id, command, id);
	}
	if (!line) {
		error_set(err, ENOMEM, "no memory");
		goto out;
	}
	client->show = false;
	rc = console_client_send(client, line, strlen(line), deadline, err);
	while (!rc) {
		ssize_t n =
			receive(client, capture->text + capture->used, sizeof capture->text - capture->used - 1, err);

		if (n < 0) {
			rc = (int)n;
			break;
		}
		capture->used += (size_t)n;
		rc = capture_look(capture, status);
		if (!rc)
			rc = wait_until(client, POLLIN, deadline, err);
	}
	client->show = true;
	if (rc == 1)
		rc = 0;
out:
	free(line);
	free(capture);
	return rc;
}

static void got_signal(int signo)
{
	if (signo == SIGWINCH)
		resized = 1;
	else
		interrupted = 1;
}

static void tell_size(const struct console_client *client)
{
	struct winsize size;
	char line[64];

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size))
		return;
	snprintf(line, sizeof line, "winsize %u %u\n", size.ws_col, size.ws_row);
	control_line(client, line);
}

/* Copies until the escape (1), the end of input (0: stop reading it), or an error. */
static int input_to_console(struct console_client *client, char escape, bool terminal, struct error *err)
{
	char bytes[1024], *at;
	ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
	int rc;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 2
		                                         : error_set(err, errno, "standard input: %s", strerror(errno));
	if (n == 0)
		return 0;
	at = terminal && escape ? memchr(bytes, escape, (size_t)n) : NULL;
	rc = console_client_send(client, bytes, at ? (size_t)(at - bytes) : (size_t)n, INT64_MAX, err);
	return rc ? rc : at ? 1 : 2;
}

static int attended(struct console_client *client, char escape, bool terminal, struct error *err)
{
	struct pollfd waits[2] = { { .fd = client->fd, .events = POLLIN }, { .fd = STDIN_FILENO, .events = POLLIN } };
	char in[4096];

	for (;;) {
		ssize_t got;

		if (resized) {
			resized = 0;
			tell_size(client);
		}
		if (interrupted)
			return 0;
		if (poll(waits, 2, -1) < 0 && errno != EINTR)
			return error_set(err, errno, "poll: %s", strerror(errno));
		got = receive(client, in, sizeof in, err);
		if (got < 0)
			return (int)got;
		expect_skip(client->expect, UINT64_MAX);
		if (waits[1].revents) {
			int rc = input_to_console(client, escape, terminal, err);

			if (rc < 0 || rc == 1)
				return rc < 0 ? rc : 0;
			if (rc == 0)
				waits[1].fd = -1; /* the guest may still have something to say */
		}
	}
}

int console_client_attach(struct console_client *client, char escape, struct error *err)
{
	static const int signals[] = { SIGWINCH, SIGTERM, SIGINT, SIGHUP };
	struct sigaction action = { .sa_handler = got_signal };
	struct termios before, raw;
	bool terminal = tcgetattr(STDIN_FILENO, &before) == 0;
	int rc;

	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaction(signals[i], &action, NULL);
	resized = 1;
	if (terminal) {
		raw = before;
		cfmakeraw(&raw);
		tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	}
	rc = attended(client, escape, terminal, err);
	if (terminal)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &before);
	return rc;
}
