/* SPDX-License-Identifier: MIT */
/* fs_client_tree.c - what changes directories: links, new names, removal, RENAME; see fs_client.h. */
#include "tests/unit/fs_client.h"

ssize_t fs_readlink(struct fs_client *client, uint64_t node, char *target, size_t size)
{
	size_t len;
	int r = fs_call(client, FUSE_READLINK, node, NULL, 0, NULL, 0, target, size - 1, &len);

	target[len] = '\0';
	return r < 0 ? r : (ssize_t)len;
}

/* name NUL other NUL */
static size_t two_names(char *to, size_t size, const char *name, const char *other)
{
	size_t len = strlen(name) + 1, more = strlen(other) + 1;

	assert_true(len + more <= size);
	memcpy(to, name, len);
	memcpy(to + len, other, more);
	return len + more;
}

int fs_symlink(struct fs_client *client, uint64_t parent, const char *name, const char *target, uint64_t *node)
{
	char text[8192];
	size_t len = two_names(text, sizeof text, name, target);

	return fs_call_entry(client, FUSE_SYMLINK, parent, NULL, 0, text, len, node, NULL);
}

int fs_link(struct fs_client *client, uint64_t node, uint64_t parent, const char *name)
{
	const struct fuse_link_in in = { .oldnodeid = node };

	return fs_call_entry(client, FUSE_LINK, parent, &in, sizeof in, name, strlen(name) + 1, NULL, NULL);
}

int fs_mknod(struct fs_client *client, uint64_t parent, const char *name, mode_t mode, uint32_t rdev, uint64_t *node)
{
	const struct fuse_mknod_in in = { .mode = mode, .rdev = rdev };

	return fs_call_entry(client, FUSE_MKNOD, parent, &in, sizeof in, name, strlen(name) + 1, node, NULL);
}

int fs_mkdir(struct fs_client *client, uint64_t parent, const char *name, mode_t mode, uint64_t *node)
{
	const struct fuse_mkdir_in in = { .mode = mode };

	return fs_call_entry(client, FUSE_MKDIR, parent, &in, sizeof in, name, strlen(name) + 1, node, NULL);
}

int fs_unlink(struct fs_client *client, uint64_t parent, const char *name)
{
	return fs_call_fixed(client, FUSE_UNLINK, parent, NULL, 0, name, strlen(name) + 1, NULL, 0);
}

int fs_rmdir(struct fs_client *client, uint64_t parent, const char *name)
{
	return fs_call_fixed(client, FUSE_RMDIR, parent, NULL, 0, name, strlen(name) + 1, NULL, 0);
}

int fs_rename(struct fs_client *client, uint64_t from, const char *name, uint64_t to, const char *new_name,
              uint32_t flags)
{
	const struct fuse_rename2_in in2 = { .newdir = to, .flags = flags };
	const struct fuse_rename_in in = { .newdir = to };
	char text[8192];
	size_t len = two_names(text, sizeof text, name, new_name);

	if (flags)
		return fs_call_fixed(client, FUSE_RENAME2, from, &in2, sizeof in2, text, len, NULL, 0);
	return fs_call_fixed(client, FUSE_RENAME, from, &in, sizeof in, text, len, NULL, 0);
}
