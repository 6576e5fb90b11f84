/* SPDX-License-Identifier: MIT */
/*
 * fs_pattern.h - files with contents that are told from any other piece of them, byte by byte, for the tests of READ,
 * WRITE and their like. Beside fs_client.h; included once by a test program.
 *
 *     host_pattern(&client, "file", MIB);                     the host writes it,
 *     begin_file(&client, "file", O_RDWR, &node, &fh);        the guest opens it
 *     assert_int_equal(fs_read(&client, node, fh, data, 4096, 8192), 4096);
 *     assert_pattern(data, 8192, 4096);                       and has the bytes of that place
 *     assert_host_pattern(&client, "file", MIB);              and no other size
 *     end_file(&client, node, fh);
 *
 * What does not compare fails the test.
 */
#ifndef CAPSA_TESTS_FS_PATTERN_H
#define CAPSA_TESTS_FS_PATTERN_H

#include "tests/unit/fs_client.h"

#define MIB (1u << 20)
#define GIB (UINT64_C(1) << 30)

/* Byte i of every file that these tests fill: differs from page to page, and from its neighbours. */
static inline unsigned char pattern(uint64_t i)
{
	return (unsigned char)(i * 31 + (i >> 12) * 7 + (i >> 20));
}

static inline void fill(unsigned char *data, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		data[i] = pattern(offset + i);
}

static inline void assert_pattern(const unsigned char *data, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (data[i] != pattern(offset + i))
			fail_msg("byte %llu is wrong", (unsigned long long)(offset + i));
}

static inline void host_pattern(struct fs_client *client, const char *name, size_t size)
{
	unsigned char *data = malloc(size + 1);
	int fd = openat(client->folder_fd, name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);

	fill(data, 0, size);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
	free(data);
}

static inline void assert_host_pattern(struct fs_client *client, const char *name, size_t size)
{
	unsigned char *data = malloc(size + 1);
	int fd = openat(client->folder_fd, name, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, data, size + 1), size);
	assert_pattern(data, 0, size);
	close(fd);
	free(data);
}

static inline uint64_t host_size(struct fs_client *client, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(client->folder_fd, name, &st, 0), 0);
	return (uint64_t)st.st_size;
}

/* Opens a file of the host's. */
static inline void begin_file(struct fs_client *client, const char *name, int flags, uint64_t *node, uint64_t *fh)
{
	assert_int_equal(fs_lookup(client, FUSE_ROOT_ID, name, node, NULL), 0);
	assert_int_equal(fs_open(client, *node, flags, fh), 0);
}

static inline void end_file(struct fs_client *client, uint64_t node, uint64_t fh)
{
	assert_int_equal(fs_release(client, node, fh), 0);
	fs_forget(client, node, 1);
}

#endif
