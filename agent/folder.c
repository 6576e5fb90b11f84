/* SPDX-License-Identifier: MIT */
/* folder.c - AGENT_MKDIR, and folder.h for whoever else makes folders. */
#include "agent/folder.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/request.h"

static int make_or_find(const char *path, unsigned mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	/* A read-only file system says EROFS of a folder that is there, too. */
	if (errno != EEXIST && errno != EROFS)
		return -errno;
	if (stat(path, &st))
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int folder_make_parents(char *path)
{
	for (char *at = path + strspn(path, "/"); (at = strchr(at, '/')); at += strspn(at, "/")) {
		int err;

		if (at[strspn(at, "/")] == '\0')
			break;
		*at = '\0';
		err = make_or_find(path, 0755);
		*at = '/';
		if (err)
			return err;
	}
	return 0;
}

int folder_make_all(char *path, unsigned mode)
{
	int err = folder_make_parents(path);

	return err ? err : make_or_find(path, mode);
}

void mkdir_request(struct connection *connection, uint32_t number, struct agent_reader *r)
{
	char path[REQUEST_PATH_MAX];
	uint32_t mode, parents;
	int err;

	agent_read_string(r, path, sizeof path);
	mode = agent_read_u32(r) & 07777;
	parents = agent_read_u32(r);
	if (r->failed) {
		request_malformed(connection, number);
		return;
	}
	if (parents)
		err = -folder_make_all(path, mode);
	else
		err = mkdir(path, mode) ? errno : 0;
	request_result(connection, number, err, path);
}
