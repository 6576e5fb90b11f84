/* SPDX-License-Identifier: MIT */
/* fs_client_xattr.c - extended attributes: GETXATTR, LISTXATTR, SETXATTR, REMOVEXATTR; see fs_client.h. */
#include "tests/unit/fs_client.h"

/* GETXATTR and LISTXATTR: bytes, or how many there are where size is 0. */
static ssize_t get_list(struct fs_client *client, uint32_t opcode, uint64_t node, const char *name, void *value,
                        size_t size)
{
	const struct fuse_getxattr_in in = { .size = (uint32_t)size };
	struct fuse_getxattr_out out;
	size_t len;
	int r = fs_call(client, opcode, node, &in, sizeof in, name, name ? strlen(name) + 1 : 0, size ? value : &out,
	                size ? size : sizeof out, &len);

	if (r < 0)
		return r;
	if (size)
		return (ssize_t)len;
	assert_int_equal(len, sizeof out);
	return out.size;
}

ssize_t fs_getxattr(struct fs_client *client, uint64_t node, const char *name, void *value, size_t size)
{
	return get_list(client, FUSE_GETXATTR, node, name, value, size);
}

ssize_t fs_listxattr(struct fs_client *client, uint64_t node, char *list, size_t size)
{
	return get_list(client, FUSE_LISTXATTR, node, NULL, list, size);
}

int fs_setxattr(struct fs_client *client, uint64_t node, const char *name, const void *value, size_t size, int flags)
{
	const struct fuse_setxattr_in in = { .size = (uint32_t)size, .flags = (uint32_t)flags };
	size_t name_len = strlen(name) + 1;
	char *payload = malloc(name_len + size);
	int r;

	assert_non_null(payload);
	memcpy(payload, name, name_len);
	if (size)
		memcpy(payload + name_len, value, size);
	r = fs_call_fixed(client, FUSE_SETXATTR, node, &in, FUSE_COMPAT_SETXATTR_IN_SIZE, payload, name_len + size,
	                  NULL, 0);
	free(payload);
	return r;
}

int fs_removexattr(struct fs_client *client, uint64_t node, const char *name)
{
	return fs_call_fixed(client, FUSE_REMOVEXATTR, node, NULL, 0, name, strlen(name) + 1, NULL, 0);
}
