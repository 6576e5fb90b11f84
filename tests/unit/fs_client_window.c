/* SPDX-License-Identifier: MIT */
/* fs_client_window.c - DAX: SETUPMAPPING, REMOVEMAPPING; see fs_client.h. */
#include "tests/unit/fs_client.h"

int fs_setupmapping(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t file_offset, uint64_t len,
                    uint64_t window_offset, uint64_t flags)
{
	const struct fuse_setupmapping_in in = {
		.fh = fh,
		.foffset = file_offset,
		.len = len,
		.flags = flags,
		.moffset = window_offset,
	};

	return fs_call_fixed(client, FUSE_SETUPMAPPING, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_removemapping(struct fs_client *client, uint64_t window_offset, uint64_t len)
{
	const struct fuse_removemapping_in in = { .count = 1 };
	const struct fuse_removemapping_one one = { .moffset = window_offset, .len = len };

	return fs_call_fixed(client, FUSE_REMOVEMAPPING, 0, &in, sizeof in, &one, sizeof one, NULL, 0);
}
