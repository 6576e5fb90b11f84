/* SPDX-License-Identifier: MIT */
/*
 * overlay.c - see overlay.h. Called by mounts.c.
 *
 * The two layers are mounted on folders of our own and are taken off again when the overlay stands: it has its own hold
 * on them. So nobody in the guest can change a layer below the overlay, which overlayfs takes ill, and no tool that
 * walks the tree meets everything twice.
 */
#include "agent/overlay.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/modules.h"

#define LOWER "/.capsa-lower"
#define CHANGES "/.capsa-changes" /* a tmpfs with the two folders that overlayfs wants in one file system */
#define UPPER CHANGES "/upper"
#define WORK CHANGES "/work"
/* A folder of the lower one can be renamed: without it the kernel says EXDEV. */
#define LAYERS "lowerdir=" LOWER ",upperdir=" UPPER ",workdir=" WORK ",redirect_dir=on"

static void take_away(const char *folder)
{
	umount2(folder, MNT_DETACH);
	rmdir(folder);
}

static int make_changes(void)
{
	if (mkdir(CHANGES, 0700) || mount("tmpfs", CHANGES, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700"))
		return -errno;
	/* The upper one's owner and mode are those of the whole: a root that everybody may enter. */
	return mkdir(UPPER, 0755) || mkdir(WORK, 0700) ? -errno : 0;
}

int overlay_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *data,
                  const char **at)
{
	int err = 0;

	/* What an agent left that was killed here. */
	take_away(LOWER);
	take_away(CHANGES);
	modules_load_file_system(OVERLAY_TYPE);
	*at = type;
	if (mkdir(LOWER, 0700) || mount(source, LOWER, type, flags | MS_RDONLY, *data ? data : NULL))
		err = -errno;
	if (!err) {
		*at = OVERLAY_TYPE;
		err = make_changes();
	}
	if (!err && mount(source, target, OVERLAY_TYPE, 0, LAYERS))
		err = -errno;
	take_away(LOWER);
	take_away(CHANGES);
	return err;
}
