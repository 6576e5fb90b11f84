/* SPDX-License-Identifier: MIT */
/*
 * console-client.c - see console-client.h: the two connections, typing and waiting. Called by core/cli/verb-console.c;
 * owns the connections.
 */
#include "core/control/console-client.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/control/console-private.h"

/* A line editor's echo comes at once: after so much silence (ms) a match that could be echo is none. */
#define QUIET 300
/* The backlog is on its way as soon as we are connected (ms). */
#define BACKLOG 2000
#define TAIL_LINES 10u
#define PIECE 65536u

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

/* Waits for `fd`. 0, -ETIMEDOUT, -EINTR (the user has had enough), -errno, with err. */
static int wait_for_fd(int fd, short events, int interrupt, int64_t ms, struct error *err)
{
	struct pollfd waits[2] = { { .fd = fd, .events = events }, { .fd = interrupt, .events = POLLIN } };
	int n = poll(waits, 2, ms < 0 ? 0 : ms > INT32_MAX ? INT32_MAX : (int)ms);

	if (n < 0 && errno != EINTR)
		return error_set(err, errno, "console: %s", strerror(errno));
	if (n > 0 && waits[1].revents)
		return error_set(err, EINTR, "interrupted");
	return n == 0 ? error_set(err, ETIMEDOUT, "time-out") : 0;
}

/* The first line of the control socket: whether the console is ours, and how much of what comes is old. */
static int greet(struct console_client *client, int64_t deadline, struct error *err)
{
	char line[64];
	size_t len = 0;
	unsigned long long backlog;

	while (len < sizeof line - 1 && !(len > 0 && line[len - 1] == '\n')) {
		ssize_t n;
		int rc = wait_for_fd(client->control, POLLIN, client->interrupt, deadline - console_client_now(), err);

		if (rc == -ETIMEDOUT)
			return error_set(err, ETIMEDOUT, "the console does not answer");
		if (rc)
			return rc;
		n = recv(client->control, line + len, 1, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			continue;
		if (n <= 0)
			return error_set(err, EPIPE, "the machine has ended");
		len++;
	}
	line[len] = '\0';
	if (strcmp(line, "busy\n") == 0)
		return error_set(err, EBUSY, "the console is in use: one client at a time");
	if (sscanf(line, "backlog %20llu", &backlog) == 1)
		client->backlog = backlog;
	return 0;
}

int console_client_open(const char *folder, const char *device, int64_t deadline, struct console_client **out,
                        struct error *err)
{
	bool first = !device || strcmp(device, "console0") == 0;
	char *path = text_format("%s/%s.sock", folder, first ? "console" : device);
	char *control = path ? text_format("%s.ctl", path) : NULL;
	struct console_client *client = calloc(1, sizeof *client);
	int rc = 0;

	if (client) {
		client->fd = client->control = client->interrupt = -1;
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
	client->control = connect_to(control, err);
	rc = client->control < 0 ? client->control : greet(client, deadline, err);
out:
	free(path);
	free(control);
	if (rc)
		console_client_close(client);
	else
		*out = client;
	return rc;
}

void console_client_interrupt(struct console_client *client, int fd)
{
	client->interrupt = fd;
}

void console_client_control(const struct console_client *client, const char *line)
{
	if (client->control >= 0 && send(client->control, line, strlen(line), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* see console-private.h */
}

void console_client_close(struct console_client *client)
{
	char line[64];

	if (!client)
		return;
	if (client->expect && client->control >= 0) {
		snprintf(line, sizeof line, "consumed %llu\n", (unsigned long long)expect_used(client->expect));
		console_client_control(client, line);
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
	return error_set(err, EPIPE, "the machine has ended");
}

int console_write_all(int fd, const void *bytes, size_t len)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EAGAIN)
			poll(&room, 1, -1);
		else if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

ssize_t console_client_receive(struct console_client *client, char *bytes, size_t room, struct error *err)
{
	ssize_t n = recv(client->fd, bytes, room, MSG_DONTWAIT);
	int rc;

	if (n == 0 || (n < 0 && (errno == ECONNRESET || errno == EPIPE)))
		return ended(err);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : error_set(err, errno, "console: %s", strerror(errno));
	client->received += (uint64_t)n;
	rc = client->show ? console_write_all(STDOUT_FILENO, bytes, (size_t)n) : 0;
	if (rc)
		return error_set(err, EIO, "standard output: %s", strerror(-rc));
	rc = expect_feed(client->expect, bytes, (size_t)n);
	return rc ? error_set(err, ENOMEM, "no memory") : n;
}

int console_client_wait(const struct console_client *client, short events, int64_t deadline, struct error *err)
{
	int64_t left = deadline - console_client_now();

	if (left <= 0 && client->received < client->backlog)
		left = BACKLOG;
	else if (left <= 0)
		return error_set(err, ETIMEDOUT, "time-out");
	return wait_for_fd(client->fd, events, client->interrupt, left, err);
}

/* What was said before we came is no answer to what we type: reads it, out of the way of patterns. */
static int pass_backlog(struct console_client *client, int64_t deadline, struct error *err)
{
	char in[4096];

	while (client->received < client->backlog) {
		uint64_t left = client->backlog - client->received;
		ssize_t n = console_client_receive(client, in, left < sizeof in ? (size_t)left : sizeof in, err);
		int rc = n < 0 ? (int)n : n > 0 ? 0 : console_client_wait(client, POLLIN, deadline, err);

		if (rc)
			return rc;
		expect_skip(client->expect, client->received);
	}
	return 0;
}

int console_client_send(struct console_client *client, const void *bytes, size_t len, int64_t deadline,
                        struct error *err)
{
	const char *at = bytes;
	char in[4096];
	int rc = client->typed ? 0 : pass_backlog(client, deadline, err);

	if (rc)
		return rc;
	client->typed = true;
	if (expect_sent(client->expect, bytes, len))
		return error_set(err, ENOMEM, "no memory");
	while (len > 0) {
		ssize_t n = send(client->fd, at, len, MSG_DONTWAIT | MSG_NOSIGNAL), got;

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return ended(err);
		if (n > 0) {
			at += n;
			len -= (size_t)n;
			continue;
		}
		/* The guest echoes what it takes: read, lest both wait for the other. */
		got = console_client_receive(client, in, sizeof in, err);
		if (got < 0)
			return (int)got;
		rc = console_client_wait(client, POLLIN | POLLOUT, deadline, err);
		if (rc)
			return rc;
	}
	return 0;
}

/* Reads until the pattern has come. */
static int look_out(struct console_client *client, char *in, int64_t deadline, struct error *err)
{
	enum expect_answer answer;

	while ((answer = expect_look(client->expect)) != EXPECT_MATCH) {
		int64_t until = deadline, quiet = console_client_now() + QUIET;
		ssize_t got = 0;
		int rc;

		if (answer == EXPECT_HELD && quiet < deadline)
			until = quiet;
		rc = console_client_wait(client, POLLIN, until, err);
		if (!rc) {
			got = console_client_receive(client, in, PIECE, err);
			rc = got < 0 ? (int)got : 0;
		}
		/* Nothing more comes, now or ever: it was no echo. */
		if ((rc == -ETIMEDOUT || rc == -EPIPE) && answer == EXPECT_HELD &&
		    expect_quiet(client->expect) == EXPECT_MATCH)
			return 0;
		if (rc)
			return rc;
	}
	return 0;
}

int console_client_wait_for(struct console_client *client, const char *pattern, bool regex, int64_t deadline,
                            struct error *err)
{
	int rc = expect_want(client->expect, pattern, regex, err);
	char *in;

	if (rc)
		return rc;
	in = malloc(PIECE);
	if (!in)
		return error_set(err, ENOMEM, "no memory");
	rc = look_out(client, in, deadline, err);
	free(in);
	return rc;
}

char *console_client_tail(const struct console_client *client)
{
	return expect_tail(client->expect, TAIL_LINES);
}
