/* SPDX-License-Identifier: MIT */
/*
 * mounts.c - see mounts.h. Called by init.c at the beginning, shutdown.c at the end, machine.c between. What becomes of
 * a file system that is to be the root, or below an overlay, is in root.c and overlay.c.
 */
#include "agent/mounts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/folder.h"
#include "agent/log.h"
#include "agent/modules.h"
#include "agent/overlay.h"
#include "agent/protocol.h"
#include "agent/root.h"
#include "agent/text-file.h"

#define MOUNTS_MAX (1u << 20)

struct standard {
	const char *type, *target;
	unsigned long flags;
	const char *data;
};

static const struct standard first[] = {
	{ "devtmpfs", "/dev", MS_NOSUID, "mode=0755" },
	{ "proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
	{ "sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL },
};

static const struct standard rest[] = {
	{ "devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666" },
	{ "tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777" },
	{ "tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=0755" },
	{ "tmpfs", "/tmp", MS_NOSUID | MS_NODEV, "mode=1777" },
};

static void mount_standard(const struct standard *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int err = mount(list[i].type, list[i].target, list[i].type, list[i].flags, list[i].data);

		/* An image that somebody else made may lack the folder. */
		if (err && errno == ENOENT && mkdir(list[i].target, 0755) == 0)
			err = mount(list[i].type, list[i].target, list[i].type, list[i].flags, list[i].data);
		/* EBUSY: the kernel has mounted its devtmpfs itself. */
		if (err && errno != EBUSY)
			agent_log("cannot mount %s on %s: %s", list[i].type, list[i].target, strerror(errno));
	}
}

void mounts_first(void)
{
	mount_standard(first, sizeof first / sizeof *first);
}

void mounts_rest(void)
{
	mount_standard(rest, sizeof rest / sizeof *rest);
}

/* ---- on demand ---- */

static const struct {
	const char *word;
	unsigned long set, clear;
} flags[] = {
	{ "defaults", 0, 0 },
	{ "ro", MS_RDONLY, 0 },
	{ "rw", 0, MS_RDONLY },
	{ "nosuid", MS_NOSUID, 0 },
	{ "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },
	{ "dev", 0, MS_NODEV },
	{ "noexec", MS_NOEXEC, 0 },
	{ "exec", 0, MS_NOEXEC },
	{ "sync", MS_SYNCHRONOUS, 0 },
	{ "async", 0, MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "noatime", MS_NOATIME, 0 },
	{ "atime", 0, MS_NOATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "relatime", MS_RELATIME, 0 },
	{ "strictatime", MS_STRICTATIME, 0 },
	{ "lazytime", MS_LAZYTIME, 0 },
	{ "remount", MS_REMOUNT, 0 },
	{ "bind", MS_BIND, 0 },
	{ "rbind", MS_BIND | MS_REC, 0 },
};

static bool take_flag(const char *word, size_t len, unsigned long *set)
{
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		if (strlen(flags[i].word) != len || memcmp(flags[i].word, word, len) != 0)
			continue;
		*set = (*set & ~flags[i].clear) | flags[i].set;
		return true;
	}
	return len == 0;
}

/* `data` has room for all of `options`. *at: as of put_on(); NULL where it did not come to that. */
static void split_options(const char *options, unsigned long *set, char *data)
{
	char *end = data;

	*set = 0;
	*data = '\0';
	for (;; options++) {
		size_t len = strcspn(options, ",");

		if (!take_flag(options, len, set)) {
			if (end > data)
				*end++ = ',';
			memcpy(end, options, len);
			end += len;
			*end = '\0';
		}
		options += len;
		if (!*options)
			return;
	}
}

/* ---- one more ---- */

/* In place: \040 and the like of /proc/mounts. */
static void unescape(char *text)
{
	char *to = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] >= '0' && text[1] <= '3' && text[2] >= '0' && text[2] <= '7' &&
		    text[3] >= '0' && text[3] <= '7') {
			*to++ = (char)((text[1] - '0') << 6 | (text[2] - '0') << 3 | (text[3] - '0'));
			text += 3;
		} else {
			*to++ = *text;
		}
	}
	*to = '\0';
}

/* The next word of a line of /proc/mounts. NULL: there is none. */
static char *next_word(char **line)
{
	char *word = strsep(line, " ");

	if (word)
		unescape(word);
	return word;
}

/* Also where something else lies above it: whoever put that there knows why. */
static bool is_mounted(const char *source, const char *target, const char *type)
{
	char *real = realpath(target, NULL), *text, *at, *line;
	bool found = false;

	if (!real || text_file_read("/proc/mounts", MOUNTS_MAX, &text)) {
		free(real);
		return false;
	}
	at = text;
	while (!found && (line = strsep(&at, "\n"))) {
		/* "SOURCE TARGET TYPE OPTIONS 0 0" */
		const char *s = next_word(&line), *t = next_word(&line), *y = next_word(&line);

		found = y && !strcmp(s, source) && !strcmp(t, real) && !strcmp(y, type);
	}
	free(text);
	free(real);
	return found;
}

/* `data` is what the file system gets. *at: the type that an error is about. */
static int put_on(const struct mount_wanted *wanted, const char *target, unsigned long set, const char *data,
                  const char **at)
{
	const unsigned long of_bind = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME;
	int err;

	if (wanted->flags & AGENT_MOUNT_OVERLAY)
		return overlay_mount(wanted->source, target, wanted->type, set, data, at);
	if (mount(wanted->source, target, *wanted->type ? wanted->type : NULL, set, *data ? data : NULL))
		return -errno;
	/* The kernel makes a bind as it is, and changes it afterwards. */
	if (!(set & MS_BIND) || (set & MS_REMOUNT) || !(set & of_bind) ||
	    mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | (set & of_bind), NULL) == 0)
		return 0;
	err = -errno;
	umount2(target, MNT_DETACH);
	return err;
}

/* `data` has room for all of `options`. */
static int add_with(const struct mount_wanted *wanted, const char *options, char *data, const char **at)
{
	unsigned long set;
	bool becomes_root;
	int err;

	split_options(options, &set, data);
	becomes_root = strcmp(wanted->target, "/") == 0 && !(set & MS_REMOUNT);
	err = becomes_root ? root_begin() : folder_make_all(wanted->target, 0755);
	if (err)
		return err;
	if (!(set & (MS_BIND | MS_REMOUNT)) && *wanted->type)
		modules_load_file_system(wanted->type);
	*at = wanted->type;
	err = put_on(wanted, becomes_root ? NEW_ROOT : wanted->target, set, data, at);
	return err || !becomes_root ? err : root_switch();
}

int mounts_add(const struct mount_wanted *wanted, const char **what, bool *fell_back)
{
	const bool overlay = wanted->flags & AGENT_MOUNT_OVERLAY;
	const char *at = NULL;
	char *data;
	int err;

	*what = wanted->target;
	*fell_back = false;
	if ((wanted->flags & AGENT_MOUNT_ONCE) &&
	    is_mounted(wanted->source, wanted->target, overlay ? OVERLAY_TYPE : wanted->type))
		return 0;
	data = malloc(strlen(wanted->options) + strlen(wanted->fallback) + 1);
	if (!data)
		return -ENOMEM;
	err = add_with(wanted, wanted->options, data, &at);
	if (err == -EINVAL && *wanted->fallback) {
		*fell_back = true;
		err = add_with(wanted, wanted->fallback, data, &at);
	}
	if (at && err == -ENODEV)
		*what = at;
	else if (at && (err == -ENOENT || err == -ENOTBLK || err == -EINVAL))
		*what = wanted->source;
	free(data);
	return err;
}

/* ---- the end ---- */

static bool only_in_memory(const char *type)
{
	static const char *const types[] = { "rootfs",  "tmpfs",  "ramfs",  "proc",     "sysfs",      "devtmpfs",
		                             "devpts",  "cgroup", "mqueue", "cgroup2",  "securityfs", "debugfs",
		                             "tracefs", "bpf",    "pstore", "hugetlbfs" };

	for (size_t i = 0; i < sizeof types / sizeof *types; i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return false;
}

/* The last one first: what was mounted later may lie in what was mounted before. */
void mounts_end(void)
{
	char *text, *line, *end;

	if (text_file_read("/proc/mounts", MOUNTS_MAX, &text))
		return;
	for (end = text + strlen(text); end > text; end = line) {
		char *target, *type, *rest_of_line;

		/* "SOURCE TARGET TYPE OPTIONS 0 0\n" */
		end[-1] = '\0';
		for (line = end - 1; line > text && line[-1] != '\n'; line--)
			;
		rest_of_line = line;
		next_word(&rest_of_line);
		target = next_word(&rest_of_line);
		type = next_word(&rest_of_line);
		if (!target || !type || only_in_memory(type))
			continue;
		if (umount2(target, UMOUNT_NOFOLLOW))
			mount(NULL, target, NULL, MS_REMOUNT | MS_RDONLY, NULL);
	}
	free(text);
}
