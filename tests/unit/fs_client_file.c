/* SPDX-License-Identifier: MIT */
/* fs_client_file.c - open files and their contents: OPEN to RELEASE, READ, WRITE and their like; see fs_client.h. */
#include "tests/unit/fs_client.h"

int fs_open(struct fs_client *client, uint64_t node, int flags, uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = (uint32_t)flags };
	struct fuse_open_out out = { .fh = 0 };
	int r = fs_call_fixed(client, FUSE_OPEN, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (fh)
		*fh = out.fh;
	return r;
}

static int create(struct fs_client *client, uint32_t opcode, uint64_t parent, const char *name, int flags, mode_t mode,
                  uint64_t *node, uint64_t *fh)
{
	const struct fuse_create_in in = { .flags = (uint32_t)flags, .mode = mode };
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out;
	int r = fs_call_fixed(client, opcode, parent, &in, sizeof in, name, strlen(name) + 1, &out, sizeof out);

	if (node)
		*node = r == 0 ? out.entry.nodeid : 0;
	if (fh)
		*fh = r == 0 ? out.open.fh : 0;
	return r;
}

int fs_create(struct fs_client *client, uint64_t parent, const char *name, int flags, mode_t mode, uint64_t *node,
              uint64_t *fh)
{
	return create(client, FUSE_CREATE, parent, name, flags | O_CREAT, mode | S_IFREG, node, fh);
}

int fs_tmpfile(struct fs_client *client, uint64_t parent, int flags, mode_t mode, uint64_t *node, uint64_t *fh)
{
	/* Linux sends the name "/" here: qstr of an unnamed dentry. */
	return create(client, FUSE_TMPFILE, parent, "/", flags, mode | S_IFREG, node, fh);
}

int fs_release(struct fs_client *client, uint64_t node, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return fs_call_fixed(client, FUSE_RELEASE, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_flush(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner)
{
	const struct fuse_flush_in in = { .fh = fh, .lock_owner = owner };

	return fs_call_fixed(client, FUSE_FLUSH, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_fsync(struct fs_client *client, uint64_t node, uint64_t fh, bool data_only)
{
	const struct fuse_fsync_in in = { .fh = fh, .fsync_flags = data_only ? FUSE_FSYNC_FDATASYNC : 0 };

	return fs_call_fixed(client, FUSE_FSYNC, node, &in, sizeof in, NULL, 0, NULL, 0);
}

ssize_t fs_read(struct fs_client *client, uint64_t node, uint64_t fh, void *data, size_t len, uint64_t offset)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };
	size_t got;
	int r = fs_call(client, FUSE_READ, node, &in, sizeof in, NULL, 0, data, len, &got);

	return r < 0 ? r : (ssize_t)got;
}

ssize_t fs_write(struct fs_client *client, uint64_t node, uint64_t fh, const void *data, size_t len, uint64_t offset)
{
	const struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };
	struct fuse_write_out out;
	int r = fs_call_fixed(client, FUSE_WRITE, node, &in, sizeof in, data, len, &out, sizeof out);

	return r < 0 ? r : (ssize_t)out.size;
}

int fs_fallocate(struct fs_client *client, uint64_t node, uint64_t fh, uint32_t mode, uint64_t offset, uint64_t len)
{
	const struct fuse_fallocate_in in = { .fh = fh, .offset = offset, .length = len, .mode = mode };

	return fs_call_fixed(client, FUSE_FALLOCATE, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int64_t fs_lseek(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, uint32_t whence)
{
	const struct fuse_lseek_in in = { .fh = fh, .offset = offset, .whence = whence };
	struct fuse_lseek_out out;
	int r = fs_call_fixed(client, FUSE_LSEEK, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	return r < 0 ? r : (int64_t)out.offset;
}

ssize_t fs_copy_file_range(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, uint64_t to_node,
                           uint64_t to_fh, uint64_t to_offset, uint64_t len)
{
	const struct fuse_copy_file_range_in in = {
		.fh_in = fh,
		.off_in = offset,
		.nodeid_out = to_node,
		.fh_out = to_fh,
		.off_out = to_offset,
		.len = len,
	};
	struct fuse_write_out out;
	int r = fs_call_fixed(client, FUSE_COPY_FILE_RANGE, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	return r < 0 ? r : (ssize_t)out.size;
}
