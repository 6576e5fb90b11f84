/* SPDX-License-Identifier: MIT */
/* fs_client_node.c - names and attributes: LOOKUP, FORGET, GETATTR, SETATTR, ACCESS, STATFS; see fs_client.h. */
#include "tests/unit/fs_client.h"

int fs_lookup(struct fs_client *client, uint64_t parent, const char *name, uint64_t *node, struct fuse_entry_out *entry)
{
	return fs_call_entry(client, FUSE_LOOKUP, parent, NULL, 0, name, strlen(name) + 1, node, entry);
}

int fs_walk(struct fs_client *client, const char *path, uint64_t *node)
{
	uint64_t at = FUSE_ROOT_ID, next;

	while (*path) {
		char name[256];
		size_t len = strcspn(path, "/");
		int r;

		snprintf(name, sizeof name, "%.*s", (int)len, path);
		r = fs_lookup(client, at, name, &next, NULL);
		if (at != FUSE_ROOT_ID)
			fs_forget(client, at, 1);
		if (r < 0)
			return r;
		at = next;
		path += len;
		path += *path == '/';
	}
	*node = at;
	return 0;
}

void fs_forget(struct fs_client *client, uint64_t node, uint64_t n)
{
	const struct fuse_forget_in in = { .nlookup = n };

	fs_call(client, FUSE_FORGET, node, &in, sizeof in, NULL, 0, NULL, 0, NULL);
}

void fs_batch_forget(struct fs_client *client, const struct fuse_forget_one *ones, unsigned n)
{
	const struct fuse_batch_forget_in in = { .count = n };

	fs_call(client, FUSE_BATCH_FORGET, 0, &in, sizeof in, ones, n * sizeof *ones, NULL, 0, NULL);
}

int fs_getattr(struct fs_client *client, uint64_t node, struct fuse_attr *attr)
{
	const struct fuse_getattr_in in = { .getattr_flags = 0 };
	struct fuse_attr_out out;
	int r = fs_call_fixed(client, FUSE_GETATTR, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (r == 0 && attr)
		*attr = out.attr;
	return r;
}

int fs_setattr(struct fs_client *client, uint64_t node, const struct fuse_setattr_in *in, struct fuse_attr *attr)
{
	struct fuse_attr_out out;
	int r = fs_call_fixed(client, FUSE_SETATTR, node, in, sizeof *in, NULL, 0, &out, sizeof out);

	if (r == 0 && attr)
		*attr = out.attr;
	return r;
}

int fs_chmod(struct fs_client *client, uint64_t node, mode_t mode)
{
	const struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = mode };

	return fs_setattr(client, node, &in, NULL);
}

int fs_chown(struct fs_client *client, uint64_t node, uint32_t uid, uint32_t gid)
{
	const struct fuse_setattr_in in = {
		.valid = (uid != UINT32_MAX ? FATTR_UID : 0u) | (gid != UINT32_MAX ? FATTR_GID : 0u),
		.uid = uid,
		.gid = gid,
	};

	return fs_setattr(client, node, &in, NULL);
}

int fs_truncate(struct fs_client *client, uint64_t node, uint64_t size)
{
	const struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };

	return fs_setattr(client, node, &in, NULL);
}

int fs_access(struct fs_client *client, uint64_t node, uint32_t mask)
{
	const struct fuse_access_in in = { .mask = mask };

	return fs_call_fixed(client, FUSE_ACCESS, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_statfs(struct fs_client *client, struct fuse_kstatfs *st)
{
	struct fuse_statfs_out out;
	int r = fs_call_fixed(client, FUSE_STATFS, FUSE_ROOT_ID, NULL, 0, NULL, 0, &out, sizeof out);

	*st = out.st;
	return r;
}
