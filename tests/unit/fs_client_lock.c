/* SPDX-License-Identifier: MIT */
/* fs_client_lock.c - locks: SETLK, SETLKW, GETLK; see fs_client.h. */
#include "tests/unit/fs_client.h"

int fs_setlk(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner, const struct fuse_file_lock *lock,
             bool flock, bool wait)
{
	const struct fuse_lk_in in = { .fh = fh, .owner = owner, .lk = *lock, .lk_flags = flock ? FUSE_LK_FLOCK : 0 };

	return fs_call_fixed(client, wait ? FUSE_SETLKW : FUSE_SETLK, node, &in, sizeof in, NULL, 0, NULL, 0);
}

int fs_getlk(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t owner, struct fuse_file_lock *lock)
{
	const struct fuse_lk_in in = { .fh = fh, .owner = owner, .lk = *lock };
	struct fuse_lk_out out;
	int r = fs_call_fixed(client, FUSE_GETLK, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (r == 0)
		*lock = out.lk;
	return r;
}
