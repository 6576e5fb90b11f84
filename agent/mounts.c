/* SPDX-License-Identifier: MIT */
/*
 * mounts.c - see mounts.h. Called by init.c at the beginning, shutdown.c at the end, machine.c between.
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

/* `data` has room for all of `options`. */
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

/* ---- another root ---- */

#define NEW_ROOT "/.capsa-root" /* until it is moved to "/" */

int mounts_find_root(void)
{
	/* ".." of the root is the root, but with what is mounted there (path_resolution(7)). */
	if (chdir("/..") || chroot("."))
		return -errno;
	return chdir("/") ? -errno : 0;
}

/* One that cannot be moved stays behind: a root that cannot be written to may lack the folder. */
static void move_into(const char *root, const char *target)
{
	char to[64];

	snprintf(to, sizeof to, "%s%s", root, target);
	if (mkdir(to, 0755) && errno != EEXIST)
		agent_log("cannot make %s in the new root: %s", target, strerror(errno));
	else if (mount(target, to, NULL, MS_MOVE, NULL))
		agent_log("cannot move %s into the new root: %s", target, strerror(errno));
}

static int switch_root(void)
{
	static const char *const moved[] = { "/dev", "/proc", "/sys", "/run", "/tmp" };

	/* Their files are out of reach afterwards. */
	modules_load_file_systems();
	for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
		move_into(NEW_ROOT, moved[i]);
	/* Not chroot(2) alone: the kernel makes no user namespace for who has another root than the mounts have. */
	if (mount(NEW_ROOT, "/", NULL, MS_MOVE, NULL))
		return -errno;
	return mounts_find_root();
}

static int mount_and_switch(const char *source, const char *type, const char *options, const char **what)
{
	char target[] = NEW_ROOT;
	int err = mounts_add(source, target, type, options, what);

	if (*what == target)
		*what = "/";
	return err ? err : switch_root();
}

int mounts_add(const char *source, char *target, const char *type, const char *options, const char **what)
{
	const unsigned long of_bind = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME;
	unsigned long set;
	char *data;
	int err;

	*what = target;
	data = malloc(strlen(options) + 1);
	if (!data)
		return -ENOMEM;
	split_options(options, &set, data);
	if (strcmp(target, "/") == 0 && !(set & MS_REMOUNT)) {
		free(data);
		return mount_and_switch(source, type, options, what);
	}
	err = folder_make_all(target, 0755);
	if (err) {
		free(data);
		return err;
	}
	if (!(set & (MS_BIND | MS_REMOUNT)) && *type)
		modules_load_file_system(type);
	err = mount(source, target, *type ? type : NULL, set, *data ? data : NULL) ? -errno : 0;
	/* The kernel makes a bind as it is, and changes it afterwards. */
	if (!err && (set & MS_BIND) && !(set & MS_REMOUNT) && (set & of_bind) &&
	    mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | (set & of_bind), NULL)) {
		err = -errno;
		umount2(target, MNT_DETACH);
	}
	if (err == -ENODEV)
		*what = type;
	else if (err == -ENOENT || err == -ENOTBLK || err == -EINVAL)
		*what = source;
	free(data);
	return err;
}

/* ---- the end ---- */

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
		strsep(&rest_of_line, " ");
		target = strsep(&rest_of_line, " ");
		type = strsep(&rest_of_line, " ");
		if (!target || !type || only_in_memory(type))
			continue;
		unescape(target);
		if (umount2(target, UMOUNT_NOFOLLOW))
			mount(NULL, target, NULL, MS_REMOUNT | MS_RDONLY, NULL);
	}
	free(text);
}
