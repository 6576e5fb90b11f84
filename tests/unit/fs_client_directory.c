/* SPDX-License-Identifier: MIT */
/* fs_client_directory.c - directories: OPENDIR, READDIR, READDIRPLUS; see fs_client.h. */
#include "tests/unit/fs_client.h"

int fs_opendir(struct fs_client *client, uint64_t node, uint64_t *fh)
{
	const struct fuse_open_in in = { .flags = O_RDONLY | O_DIRECTORY };
	struct fuse_open_out out = { .fh = 0 };
	int r = fs_call_fixed(client, FUSE_OPENDIR, node, &in, sizeof in, NULL, 0, &out, sizeof out);

	if (fh)
		*fh = out.fh;
	return r;
}

int fs_releasedir(struct fs_client *client, uint64_t node, uint64_t fh)
{
	const struct fuse_release_in in = { .fh = fh };

	return fs_call_fixed(client, FUSE_RELEASEDIR, node, &in, sizeof in, NULL, 0, NULL, 0);
}

ssize_t fs_readdir(struct fs_client *client, uint64_t node, uint64_t fh, uint64_t offset, bool plus, void *data,
                   size_t len)
{
	const struct fuse_read_in in = { .fh = fh, .offset = offset, .size = (uint32_t)len };
	size_t got;
	int r = fs_call(client, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node, &in, sizeof in, NULL, 0, data, len, &got);

	return r < 0 ? r : (ssize_t)got;
}

int fs_list(struct fs_client *client, uint64_t node, bool plus,
            void (*call)(void *ctx, const char *name, const struct fuse_dirent *entry), void *ctx)
{
	char *data = malloc(32768);
	uint64_t fh, offset = 0;
	int n = 0, r = fs_opendir(client, node, &fh);

	assert_non_null(data);
	while (r == 0) {
		ssize_t len = fs_readdir(client, node, fh, offset, plus, data, 32768);

		if (len <= 0) {
			r = (int)len;
			break;
		}
		for (ssize_t at = 0; at < len;) {
			const size_t before = plus ? offsetof(struct fuse_direntplus, dirent) : 0;
			struct fuse_dirent entry;
			char name[4096];

			assert_true((size_t)(len - at) >= before + FUSE_NAME_OFFSET);
			memcpy(&entry, data + at + before, FUSE_NAME_OFFSET);
			assert_true(entry.namelen < sizeof name);
			assert_true((size_t)(len - at) >= before + FUSE_NAME_OFFSET + entry.namelen);
			memcpy(name, data + at + before + FUSE_NAME_OFFSET, entry.namelen);
			name[entry.namelen] = '\0';
			if (plus) {
				struct fuse_entry_out known;

				memcpy(&known, data + at, sizeof known);
				if (known.nodeid && strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
					fs_forget(client, known.nodeid, 1);
			}
			if (call)
				call(ctx, name, &entry);
			n++;
			offset = entry.off;
			at += (ssize_t)FUSE_DIRENT_ALIGN(before + FUSE_NAME_OFFSET + entry.namelen);
		}
	}
	free(data);
	if (r == 0)
		r = fs_releasedir(client, node, fh);
	return r < 0 ? r : n;
}
