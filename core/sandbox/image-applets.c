/* SPDX-License-Identifier: MIT */
/*
 * image-applets.c - the names that a busybox goes by, asked of itself. Called by image.c, once for each image.
 *
 * The program is run with a time-out and all its output is bounded and checked: it may be anything that
 * $CAPSA_BUSYBOX names.
 */
#include "core/sandbox/image-private.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TEXT_MAX (64u << 10)
#define TIME_MAX 10000 /* milliseconds */
#define NAME_LEN_MAX 64u

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* All that comes from fd, until its end. 0, -ETIMEDOUT, -E2BIG or -errno. */
static int read_text(int fd, char *text, size_t *len)
{
	const int64_t end = now_ms() + TIME_MAX;

	*len = 0;
	for (;;) {
		struct pollfd wait = { .fd = fd, .events = POLLIN };
		int64_t left = end - now_ms();
		int ready = left > 0 ? poll(&wait, 1, (int)left) : 0;
		ssize_t n;

		if (!ready)
			return -ETIMEDOUT;
		n = ready > 0 ? read(fd, text + *len, TEXT_MAX - *len) : -1;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : 0;
		*len += (size_t)n;
		if (*len == TEXT_MAX)
			return -E2BIG;
	}
}

static int start(const char *busybox, int output, pid_t *child)
{
	char name[] = "busybox", option[] = "--list";
	char *argv[] = { name, option, NULL }, *envp[] = { NULL };
	posix_spawn_file_actions_t actions;
	int rc = posix_spawn_file_actions_init(&actions);

	if (rc)
		return -rc;
	rc = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!rc)
		rc = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!rc)
		rc = posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	if (!rc)
		rc = posix_spawn(child, busybox, &actions, NULL, argv, envp);
	posix_spawn_file_actions_destroy(&actions);
	return -rc;
}

/* Allowed in a name: what is in the names of commands, and no way out of the folder. */
static bool name_is_good(const char *name)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+.[";

	return name[0] != '.' && strspn(name, allowed) == strlen(name) && strlen(name) <= NAME_LEN_MAX;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int image_applets_parse(char *text, size_t len, struct image_applets *out)
{
	size_t kept = 0;
	char *name;

	*out = (struct image_applets){ .text = text };
	if (memchr(text, '\0', len))
		return -EINVAL;
	text[len] = '\0';
	while ((name = strsep(&text, "\n"))) {
		if (!name[0])
			continue;
		if (!name_is_good(name) || out->n == IMAGE_APPLETS_MAX)
			return -EINVAL;
		out->names[out->n++] = name;
	}
	qsort(out->names, out->n, sizeof *out->names, by_name);
	for (size_t i = 0; i < out->n; i++)
		if (!kept || strcmp(out->names[kept - 1], out->names[i]))
			out->names[kept++] = out->names[i];
	out->n = kept;
	return out->n ? 0 : -EINVAL;
}

int image_applets_ask(const char *busybox, struct image_applets *out, struct error *err)
{
	char *text = malloc(TEXT_MAX + 1);
	size_t len = 0;
	pid_t child;
	int ends[2], rc;

	*out = (struct image_applets){ .text = text };
	if (!text)
		return error_set(err, ENOMEM, "out of memory");
	if (pipe2(ends, O_CLOEXEC))
		return error_set(err, errno, "no pipe: %s", strerror(errno));
	rc = start(busybox, ends[1], &child);
	close(ends[1]);
	if (rc) {
		error_set(err, -rc, "%s cannot be run: %s", busybox, strerror(-rc));
	} else {
		rc = read_text(ends[0], text, &len);
		/* Whoever has closed its output has nothing more to say. */
		kill(child, SIGKILL);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
		if (!rc)
			rc = image_applets_parse(text, len, out);
		if (rc)
			error_set(err, -rc, "%s --list: %s; set CAPSA_BUSYBOX to a static busybox", busybox,
			          rc == -EINVAL || rc == -E2BIG ? "prints something else than the names of its applets"
			          : rc == -ETIMEDOUT            ? "does not end"
			                                        : strerror(-rc));
	}
	close(ends[0]);
	return rc;
}

void image_applets_free(struct image_applets *applets)
{
	free(applets->text);
	applets->text = NULL;
	applets->n = 0;
}
