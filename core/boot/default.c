/* SPDX-License-Identifier: MIT */
/* default.c - the kernel that a file without boot.kernel means. Called by core/vm; boot.h has the rules. */

#include "core/boot/boot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/base/path.h"
#include "core/base/text.h"

/*
 * Takes the candidate (and the initrd beside it) where it can be read. -ENOENT where it is not to be
 * seen, -EACCES where it is there but not for this user; both names are freed then.
 */
static int take(char *candidate, char *initrd_candidate, char **kernel, char **initrd)
{
	struct stat st;
	int rc = stat(candidate, &st) ? -ENOENT : access(candidate, R_OK) ? -errno : 0;

	if (rc) {
		free(candidate);
		free(initrd_candidate);
		return rc;
	}
	if (initrd_candidate && access(initrd_candidate, F_OK)) {
		free(initrd_candidate);
		initrd_candidate = NULL;
	}
	*kernel = candidate;
	*initrd = initrd_candidate;
	return 0;
}

static int out_of_memory(struct error *err)
{
	return error_set(err, ENOMEM, "out of memory");
}

/* Looks below the folders; `looked` collects their names for the error. */
static int search_folders(char **kernel, char **initrd, char *looked, size_t size, struct error *err)
{
	char **dirs = path_kernel_dirs();
	int rc = -ENOENT;

	if (!dirs)
		return out_of_memory(err);
	for (char **dir = dirs; *dir && rc; dir++) {
		char *candidate = text_format("%s/default/vmlinuz", *dir);
		char *beside = text_format("%s/default/initrd.img", *dir);
		size_t used = strlen(looked);

		if (!candidate || !beside) {
			free(candidate);
			free(beside);
			rc = out_of_memory(err);
			break;
		}
		snprintf(looked + used, size - used, "%s%s", used ? ", " : "", candidate);
		rc = take(candidate, beside, kernel, initrd);
		if (rc == -EACCES) {
			rc = error_set(err, EACCES,
			               "%s/default/vmlinuz: the default kernel is not readable for this user", *dir);
			break;
		}
		if (rc)
			rc = -ENOENT;
	}
	path_list_free(dirs);
	return rc;
}

int boot_default_kernel(char **kernel, char **initrd, struct error *err)
{
	char looked[700] = "";
	struct utsname host;
	char *candidate;
	int rc;

	*kernel = *initrd = NULL;
	rc = search_folders(kernel, initrd, looked, sizeof looked, err);
	if (rc != -ENOENT)
		return rc;
	if (uname(&host))
		return error_set(err, errno, "uname: %s", strerror(errno));
	candidate = text_format("/boot/vmlinuz-%s", host.release);
	if (!candidate)
		return out_of_memory(err);
	rc = take(candidate, NULL, kernel, initrd);
	if (rc == -EACCES)
		return error_set(err, EACCES,
		                 "/boot/vmlinuz-%s: not readable for this user; copy a kernel to one of %s, or set "
		                 "boot.kernel",
		                 host.release, looked);
	if (rc)
		return error_set(
			err, ENOENT,
			"no kernel was given and none found: looked for %s, /boot/vmlinuz-%s; put one there, or "
			"set boot.kernel",
			looked, host.release);
	return 0;
}
