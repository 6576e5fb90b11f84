/* SPDX-License-Identifier: MIT */
/* api-client.c - see api-client.h. Called by the verbs that talk to a machine. */
#include "core/control/api-client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"
#include "core/control/api.h"
#include "core/control/rundir.h"

enum {
	HEAD_MAX = 16 * 1024,
	BODY_MAX = 16 * 1024 * 1024,
};

struct api_client {
	char *name;
	int fd;
	char *in; /* the answer as far as it has come, with room for a NUL */
	size_t len, size;
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
}

/* What is left, for poll(2). */
static int left_of(int64_t deadline)
{
	int64_t left;

	if (deadline == INT64_MAX)
		return -1;
	left = deadline - now_ms();
	return left > 0 ? (int)left : 0;
}

static int connect_to(const char *path, int timeout_ms)
{
	struct timeval limit = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	struct sockaddr_un address;
	socklen_t len;
	int folder = -1, fd, rc;

	rc = path_unix_address(path, &address, &len, &folder);
	if (rc)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A connect(2) waits where the backlog is full; 0 would be no limit. */
	if (fd >= 0 && timeout_ms > 0)
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, len) < 0)
		rc = errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (rc && fd >= 0)
		close(fd);
	if (folder >= 0)
		close(folder);
	return rc ? rc : fd;
}

int api_client_open(const char *name, int timeout_ms, struct api_client **out, struct error *err)
{
	char *folder = rundir_find(name, err), *path;
	struct api_client *c;
	int rc = 0;

	if (!folder)
		return -ESRCH;
	path = path_join(folder, API_SOCKET);
	c = calloc(1, sizeof *c);
	if (c) {
		c->fd = -1;
		c->name = strdup(name);
	}
	if (!path || !c || !c->name) {
		rc = error_set(err, ENOMEM, "no memory");
		goto out;
	}
	c->fd = connect_to(path, timeout_ms);
	if (c->fd < 0)
		rc = c->fd;
	if (rc == -ETIMEDOUT)
		error_set(err, ETIMEDOUT, "the machine \"%s\" does not answer", name);
	else if (rc == -ECONNREFUSED)
		rc = error_set(err, EPIPE, "the machine \"%s\" is ending", name);
	else if (rc == -ENOENT)
		rc = error_set(err, EAGAIN, "the machine \"%s\" has only begun to start; try again", name);
	else if (rc)
		error_set(err, -rc, "cannot connect to %s: %s", path, strerror(-rc));
out:
	free(path);
	free(folder);
	if (rc)
		api_client_close(c);
	else
		*out = c;
	return rc;
}

void api_client_close(struct api_client *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		close(c->fd);
	free(c->name);
	free(c->in);
	free(c);
}

static int ended(const struct api_client *c, struct error *err)
{
	return error_set(err, EPIPE, "the machine \"%s\" ended before it answered", c->name);
}

int api_client_send(struct api_client *c, const char *method, const char *path, struct error *err)
{
	return api_client_send_body(c, method, path, "", err);
}

int api_client_send_body(struct api_client *c, const char *method, const char *path, const char *body, struct error *err)
{
	char *request = text_format("%s %s HTTP/1.1\r\nHost: capsa\r\nContent-Length: %zu\r\n\r\n%s", method, path,
	                            strlen(body), body);
	size_t at = 0, len = request ? strlen(request) : 0;
	int rc = 0;

	if (!request)
		return error_set(err, ENOMEM, "no memory");
	/* It fits into the socket's buffer: SO_SNDTIMEO is a limit for a machine that hangs. */
	while (!rc && at < len) {
		ssize_t n = send(c->fd, request + at, len - at, MSG_NOSIGNAL);

		if (n >= 0)
			at += (size_t)n;
		else if (errno == EAGAIN)
			rc = error_set(err, ETIMEDOUT, "the machine \"%s\" does not answer", c->name);
		else if (errno != EINTR)
			rc = ended(c, err);
	}
	free(request);
	return rc;
}

/* One read of what is there, or of what comes before the deadline. */
static int read_more(struct api_client *c, int64_t deadline, struct error *err)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t n;

	if (c->len + 1 >= c->size) {
		size_t size = c->size ? 2 * c->size : 4096;
		char *in = realloc(c->in, size);

		if (!in)
			return error_set(err, ENOMEM, "no memory");
		c->in = in;
		c->size = size;
	}
	for (;;) {
		int got = poll(&p, 1, left_of(deadline));

		if (got == 0)
			return error_set(err, ETIMEDOUT, "the machine \"%s\" does not answer", c->name);
		if (got < 0 && errno != EINTR)
			return error_set(err, errno, "poll: %s", strerror(errno));
		if (got < 0)
			continue;
		n = recv(c->fd, c->in + c->len, c->size - 1 - c->len, MSG_DONTWAIT);
		if (n > 0)
			break;
		if (n == 0 || (errno != EINTR && errno != EAGAIN))
			return ended(c, err);
	}
	c->len += (size_t)n;
	c->in[c->len] = '\0';
	return 0;
}

/* The value of a header field in a head that ends with an empty line, or NULL. */
static const char *field(const char *head, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n"))
		if (strncasecmp(line + 2, name, len) == 0 && line[2 + len] == ':')
			return line + 3 + len + strspn(line + 3 + len, " \t");
	return NULL;
}

int api_client_receive(struct api_client *c, int timeout_ms, char **body, int *status, struct error *err)
{
	int64_t deadline = deadline_of(timeout_ms);
	size_t head, length;
	const char *end, *value;
	int rc;

	do {
		end = c->len ? strstr(c->in, "\r\n\r\n") : NULL;
		rc = end ? 0 : c->len > HEAD_MAX ? -EPROTO : read_more(c, deadline, err);
		/* "100 Continue" is never asked for. */
	} while (!end && !rc);
	if (rc == 0 && sscanf(c->in, "HTTP/1.%*1d %3d ", status) != 1)
		rc = -EPROTO;
	value = rc ? NULL : field(c->in, "Content-Length");
	length = value ? strtoul(value, NULL, 10) : 0;
	if (rc == 0 && (!value || length > BODY_MAX))
		rc = -EPROTO;
	if (rc == -EPROTO)
		return error_set(err, EPROTO, "the machine \"%s\" said what is no answer", c->name);
	if (rc)
		return rc;
	head = (size_t)(end - c->in) + 4;
	while (c->len < head + length) {
		rc = read_more(c, deadline, err);
		if (rc)
			return rc;
	}
	*body = strndup(c->in + head, length);
	c->len -= head + length;
	memmove(c->in, c->in + head + length, c->len);
	c->in[c->len] = '\0';
	return *body ? 0 : error_set(err, ENOMEM, "no memory");
}

int api_call(const char *name, const char *method, const char *path, int timeout_ms, char **body, int *status,
             struct error *err)
{
	int64_t deadline = deadline_of(timeout_ms);
	struct api_client *c;
	int rc;

	rc = api_client_open(name, timeout_ms, &c, err);
	if (rc)
		return rc;
	rc = api_client_send(c, method, path, err);
	if (!rc)
		rc = api_client_receive(c, left_of(deadline), body, status, err);
	api_client_close(c);
	return rc;
}
