/* SPDX-License-Identifier: MIT */
/*
 * network-files.c - see network-files.h.
 *
 * The root may be the image's own (in memory), an overlay whose changes are in memory, or a folder of the host,
 * read-only or not. In memory a file is written; elsewhere one of /run is mounted over it. A link is followed, also one
 * into /run whose target nobody has made yet (systemd-resolved's).
 */
#include "agent/network-files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/folder.h"
#include "agent/log.h"
#include "agent/text-file.h"

#define HOSTS_MAX (1u << 20)

/* That of `path`, or of the folder it would be in where there is none. */
static bool is_in_memory(const char *path)
{
	char folder[PATH_MAX];
	struct statfs fs;

	if (statfs(path, &fs) && errno == ENOENT) {
		snprintf(folder, sizeof folder, "%s", path);
		while (statfs(folder, &fs)) {
			char *slash = strrchr(folder, '/');

			if (!slash)
				return false;
			slash[slash == folder] = '\0';
		}
	}
	return fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* Where a file is, or will be: the link at its name is followed. `to` has PATH_MAX bytes. 0 or -errno. */
static int find_place(const char *path, char *to)
{
	char target[PATH_MAX];
	ssize_t n;

	if (realpath(path, to))
		return 0;
	if (errno != ENOENT)
		return -errno;
	n = readlink(path, target, sizeof target - 1);
	target[n > 0 ? n : 0] = '\0';
	if (n <= 0)
		snprintf(to, PATH_MAX, "%s", path);
	else if (*target == '/')
		snprintf(to, PATH_MAX, "%s", target);
	else if ((size_t)snprintf(to, PATH_MAX, "/etc/%s", target) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	size_t len = strlen(text), done = 0;
	int err = fd < 0 ? -errno : 0;

	while (!err && done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno != EINTR)
			err = -errno;
		done += n > 0 ? (size_t)n : 0;
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* `name`: "resolv.conf" of /etc. */
static int show_file(const char *name, const char *text)
{
	char path[64], place[PATH_MAX], copy[64];
	int err;

	snprintf(path, sizeof path, "/etc/%s", name);
	err = find_place(path, place);
	if (err)
		return err;
	if (is_in_memory(place)) {
		err = folder_make_parents(place);
		return err ? err : write_file(place, text);
	}
	if (access(place, F_OK))
		return -EROFS;
	snprintf(copy, sizeof copy, "/run/capsa-%s", name);
	err = write_file(copy, text);
	return !err && mount(copy, place, NULL, MS_BIND, NULL) ? -errno : err;
}

/* resolv.conf(5). NULL: no memory. */
static char *resolver_text(const struct network_wanted *wanted)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	if (!to)
		return NULL;
	for (char *const *at = wanted->search; *at; at++)
		fprintf(to, "%s%s", at == wanted->search ? "search " : " ", *at);
	if (*wanted->search)
		fputc('\n', to);
	for (char *const *at = wanted->nameservers; *at; at++)
		fprintf(to, "nameserver %s\n", *at);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

/* As a word that is a name: not the first of its line, nor behind a "#". */
static bool hosts_know(const char *text, const char *name)
{
	static const char blank[] = " \t";

	while (*text) {
		size_t line = strcspn(text, "\n");
		const char *end = text + line, *at = text + strcspn(text, " \t#\n");

		while (at < end && *at != '#') {
			size_t n;

			at += strspn(at, blank);
			n = strcspn(at, " \t#\n");
			if (n == strlen(name) && n > 0 && strncasecmp(at, name, n) == 0)
				return true;
			at += n;
		}
		text = *end ? end + 1 : end;
	}
	return false;
}

static int write_hosts(const char *name)
{
	char *before = NULL, *text = NULL;
	bool has_localhost, has_name;
	int err = text_file_read("/etc/hosts", HOSTS_MAX, &before);

	if (err && err != -ENOENT)
		return err;
	has_localhost = before && hosts_know(before, "localhost");
	has_name = before && hosts_know(before, name);
	err = 0;
	if (has_localhost && has_name)
		goto out;
	if (asprintf(&text, "%s%s%s%s%s%s", before ? before : "",
	             before && *before && before[strlen(before) - 1] != '\n' ? "\n" : "",
	             has_localhost ? "" : "127.0.0.1\tlocalhost\n::1\tlocalhost\n", has_name ? "" : "127.0.1.1\t",
	             has_name ? "" : name, has_name ? "" : "\n") < 0)
		err = -ENOMEM;
	else
		err = show_file("hosts", text);
	free(text);
out:
	free(before);
	return err;
}

/* A line of a file must not become two. */
static bool is_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 127)
			return false;
	return true;
}

static bool are_lines(char *const *words)
{
	while (*words)
		if (!is_line(*words++))
			return false;
	return true;
}

int network_write_files(const struct network_wanted *wanted, char *what, size_t room)
{
	char *text = NULL;
	int err = 0;

	snprintf(what, room, "/etc/resolv.conf");
	if (!are_lines(wanted->nameservers) || !are_lines(wanted->search) || !is_line(wanted->host_name))
		return -EINVAL;
	if (*wanted->nameservers) {
		text = resolver_text(wanted);
		err = text ? show_file("resolv.conf", text) : -ENOMEM;
		free(text);
	}
	if (err == -EROFS)
		snprintf(what, room,
		         "/etc/resolv.conf is not there, and its root is not the guest's to write: make an empty one "
		         "there");
	if (err)
		return err;
	/* Nice to have. */
	if (*wanted->host_name) {
		int hosts = write_hosts(wanted->host_name);

		if (hosts)
			agent_log("cannot add \"%s\" to /etc/hosts: %s", wanted->host_name, strerror(-hosts));
	}
	return 0;
}
