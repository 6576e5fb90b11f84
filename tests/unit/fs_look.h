/* SPDX-License-Identifier: MIT */
/*
 * fs_look.h - names that have to be there, and how many nodes there are, for tests with many of both. Beside
 * fs_client.h; included once by a test program.
 *
 *     host_mkdir(&c, "d");                             on the host
 *     dir = look(&c, FUSE_ROOT_ID, "d");               its node: fails the test, with the name, where it is not found
 *     counts(&c, 2, "a directory and the root");       fails with these words where the plugin knows more or fewer
 *     fs_forget(&c, dir, 1);                           one for each look()
 *     host_stat(&c, "d").st_nlink                      what the host has there; fails as look() does
 */
#ifndef CAPSA_TESTS_FS_LOOK_H
#define CAPSA_TESTS_FS_LOOK_H

#include "tests/unit/fs_client.h"

#include "plugins/virtio-fs/node-table.h"

static inline void host_mkdir(struct fs_client *c, const char *name)
{
	assert_int_equal(mkdirat(c->folder_fd, name, 0755), 0);
}

static inline uint64_t look(struct fs_client *c, uint64_t parent, const char *name)
{
	uint64_t node;
	int rc = fs_lookup(c, parent, name, &node, NULL);

	if (rc < 0)
		fail_msg("%s: %s", name, strerror(-rc));
	return node;
}

static inline void counts(struct fs_client *c, uint64_t nodes, const char *what)
{
	uint64_t n, descriptors;

	node_table_count(c->share->nodes, &n, &descriptors);
	if (n != nodes)
		fail_msg("%s: %llu nodes, not %llu", what, (unsigned long long)n, (unsigned long long)nodes);
}

static inline struct stat host_stat(struct fs_client *client, const char *name)
{
	struct stat st;

	if (fstatat(client->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fail_msg("%s: %s", name, strerror(errno));
	return st;
}

#endif
