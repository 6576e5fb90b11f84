/* SPDX-License-Identifier: MIT */
/*
 * root.c - see root.h. Called by mounts.c; root_find() by init.c and shutdown.c.
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

/* One that cannot be moved stays behind: a root that cannot be written to may lack the folder. */
static void move_into(int root, const char *target)
{
	char to[32];
	int fd = open_in(root, target + 1);

	snprintf(to, sizeof to, "/proc/self/fd/%d", fd);
	if (fd < 0)
		agent_log("cannot make %s in the new root: %s", target, strerror(errno));
	else if (mount(target, to, NULL, MS_MOVE, NULL))
		agent_log("cannot move %s into the new root: %s", target, strerror(errno));
	if (fd >= 0)
		close(fd);
}

int root_switch(void)
{
	/* /proc last: the others are reached through it. */
	static const char *const moved[] = { "/dev", "/sys", "/run", "/tmp", "/proc" };
	int root = open(NEW_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -errno;
	/* Their files are out of reach afterwards. */
	modules_load_file_systems();
	for (size_t i = 0; i < sizeof moved / sizeof *moved; i++)
		move_into(root, moved[i]);
	close(root);
	/* Not chroot(2) alone: the kernel makes no user namespace for who has another root than the mounts have. */
	if (mount(NEW_ROOT, "/", NULL, MS_MOVE, NULL))
		return -errno;
	return root_find();
}
