/* SPDX-License-Identifier: MIT */
/*
 * root.c - see root.h. Called by mounts.c; root_find() by init.c and shutdown.c.
 *
 * The old root keeps its mounts: init stays there, and may be about to load modules and to open what they bring.
 *
 * The new root may be anybody's tree: its /tmp may be a link to anywhere, which is followed as it will be once this is
 * the root (RESOLVE_IN_ROOT, openat2(2)).
 */
#include "agent/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/log.h"
#include "agent/modules.h"

int root_find(void)
{
	/* ".." of the root is the root, but with what is mounted there (path_resolution(7)). */
	if (chdir("/..") || chroot("."))
		return -errno;
	return chdir("/") ? -errno : 0;
}

int root_begin(void)
{
	return mkdir(NEW_ROOT, 0755) && errno != EEXIST ? -errno : 0;
}

/* A descriptor of the folder that `name` will be, or -1 with errno. */
static int open_in(int root, const char *name)
{
	const struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT };
	int fd;

	if (mkdirat(root, name, 0755) && errno != EEXIST)
		return -1;
	fd = (int)syscall(SYS_openat2, root, name, &how, sizeof how);
	/* Before Linux 5.6. */
	if (fd < 0 && errno == ENOSYS)
		fd = openat(root, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd;
}

/* One that cannot be had there is done without: a root that cannot be written to may lack the folder. */
static void show_in(int root, const char *target)
{
	char to[32];
	int fd = open_in(root, target + 1);

	snprintf(to, sizeof to, "/proc/self/fd/%d", fd);
	if (fd < 0)
		agent_log("cannot make %s in the new root: %s", target, strerror(errno));
	else if (mount(target, to, NULL, MS_BIND | MS_REC, NULL))
		agent_log("cannot mount %s in the new root: %s", target, strerror(errno));
	if (fd >= 0)
		close(fd);
}

int root_switch(void)
{
	static const char *const kept[] = { "/dev", "/proc", "/sys", "/run", "/tmp" };
	int root = open(NEW_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -errno;
	/* Their files are out of reach afterwards. */
	modules_load_file_systems();
	for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
		show_in(root, kept[i]);
	close(root);
	/* Not chroot(2) alone: the kernel makes no user namespace for who has another root than the mounts have. */
	if (mount(NEW_ROOT, "/", NULL, MS_MOVE, NULL))
		return -errno;
	return root_find();
}
