/* SPDX-License-Identifier: MIT */
/* fs_client_folder.c - the host's side of the folder that is shared; see fs_client.h. */
#include "tests/unit/fs_client.h"

void fs_host_file(struct fs_client *client, const char *name, const char *content, mode_t mode)
{
	int fd = openat(client->folder_fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);
	size_t len = content ? strlen(content) : 0;

	if (fd < 0 || write(fd, content, len) != (ssize_t)len || fchmod(fd, mode) < 0)
		fail_msg("cannot write %s: %s", name, strerror(errno));
	close(fd);
}

void fs_host_has(struct fs_client *client, const char *name, const char *content)
{
	const size_t len = strlen(content);
	char *found = malloc(len + 2);
	int fd = openat(client->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		fail_msg("cannot open %s: %s", name, strerror(errno));
	n = read(fd, found, len + 1);
	if (n != (ssize_t)len || memcmp(found, content, len) != 0)
		fail_msg("%s does not have \"%s\"", name, content);
	close(fd);
	free(found);
}

bool fs_host_exists(struct fs_client *client, const char *name)
{
	struct stat st;

	return fstatat(client->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}
