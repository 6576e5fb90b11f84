/* SPDX-License-Identifier: MIT */
/* tree_files.c - see tree_files.h. */
#include "tests/unit/tree_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { DEPTH_MAX = 512 };

int tree_files_enter(void **state)
{
	char *folder = strdup("/tmp/capsa-tree-XXXXXX");

	if (!mkdtemp(folder) || chdir(folder) || mkdir("from", 0755) || mkdir("to", 0755))
		return -1;
	*state = folder;
	return 0;
}

static void remove_below(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	assert_non_null(dir);
	assert_true(depth < DEPTH_MAX);
	while ((entry = readdir(dir))) {
		int sub;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
		    !unlinkat(dirfd(dir), entry->d_name, 0))
			continue;
		(void)fchmodat(dirfd(dir), entry->d_name, 0700, 0);
		sub = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		assert_true(sub >= 0);
		remove_below(sub, depth + 1);
		assert_int_equal(unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR), 0);
	}
	closedir(dir);
}

int tree_files_leave(void **state)
{
	int rc;

	(void)chdir("/");
	remove_below(folder_open(*state), 0);
	rc = rmdir(*state);
	free(*state);
	return rc;
}

void put_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

void put_folder(const char *path)
{
	assert_int_equal(mkdir(path, 0755), 0);
}

void set_time(const char *path, time_t seconds, long nanoseconds)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = seconds, .tv_nsec = nanoseconds } };

	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

int folder_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static size_t piece_length(size_t piece, size_t room)
{
	return piece ? piece : 1 + (size_t)rand() % room;
}

int tree_copy(const char *from, const char *to, const char *name, size_t piece, unsigned flags,
              struct tree_cause *cause)
{
	enum { ROOM = 128 << 10 };
	unsigned char *bytes = malloc(ROOM);
	struct tree_sender *sender = NULL;
	struct tree_receiver *receiver = NULL;
	int rc, folder = folder_open(to);
	ssize_t n = 0;

	assert_non_null(bytes);
	rc = tree_sender_open(AT_FDCWD, from, &sender, cause);
	if (!rc)
		rc = tree_receiver_open(folder, name, flags, &receiver, cause);
	while (!rc && (n = tree_sender_read(sender, bytes, piece_length(piece, ROOM), cause)) > 0)
		rc = tree_receiver_write(receiver, bytes, (size_t)n, cause);
	if (!rc && n < 0)
		rc = (int)n;
	if (!rc)
		rc = tree_receiver_finish(receiver, cause);
	tree_receiver_close(receiver);
	tree_sender_close(sender);
	close(folder);
	free(bytes);
	return rc;
}

unsigned char *tree_stream(const char *from, size_t *len)
{
	size_t room = 4096;
	unsigned char *stream = malloc(room);
	struct tree_sender *sender;
	struct tree_cause cause;
	ssize_t n;

	assert_int_equal(tree_sender_open(AT_FDCWD, from, &sender, &cause), 0);
	*len = 0;
	while ((n = tree_sender_read(sender, stream + *len, room - *len, &cause)) > 0) {
		*len += (size_t)n;
		if (room - *len < 4096)
			room *= 2;
		stream = realloc(stream, room);
		assert_non_null(stream);
	}
	assert_int_equal(n, 0);
	tree_sender_close(sender);
	return stream;
}

int tree_take(const void *stream, size_t len, const char *to, size_t piece, unsigned flags, struct tree_cause *cause)
{
	struct tree_receiver *receiver;
	int rc, folder = folder_open(to);
	size_t at = 0;

	assert_int_equal(tree_receiver_open(folder, NULL, flags, &receiver, cause), 0);
	rc = 0;
	while (!rc && at < len) {
		size_t n = piece_length(piece, 4096);

		if (n > len - at)
			n = len - at;
		rc = tree_receiver_write(receiver, (const char *)stream + at, n, cause);
		at += n;
	}
	if (!rc)
		rc = tree_receiver_finish(receiver, cause);
	tree_receiver_close(receiver);
	close(folder);
	return rc;
}

static void assert_same_bytes(int one, int other, uint64_t size)
{
	static char a[64 << 10], b[64 << 10];
	off_t at = 0;

	/* Data against data, hole against hole or zeros; a tree of some GiB of holes is not read through. */
	while ((uint64_t)at < size) {
		off_t data = lseek(one, at, SEEK_DATA), also = lseek(other, at, SEEK_DATA);
		ssize_t n;

		if (data < 0 && also < 0)
			break;
		if (data < 0 || (also >= 0 && also < data))
			data = also;
		n = pread(one, a, sizeof a, data);
		assert_true(n > 0);
		assert_int_equal(pread(other, b, sizeof b, data), n);
		assert_memory_equal(a, b, (size_t)n);
		at = data + n;
	}
}

static void assert_same_file(int one_folder, int other_folder, const char *name, const struct stat *a,
                             const struct stat *b)
{
	int one = openat(one_folder, name, O_RDONLY | O_CLOEXEC),
	    other = openat(other_folder, name, O_RDONLY | O_CLOEXEC);

	assert_true(one >= 0 && other >= 0);
	assert_true(a->st_size == b->st_size);
	assert_same_bytes(one, other, (uint64_t)a->st_size);
	/* Not more than a chunk's ends of blocks more. */
	assert_true(b->st_blocks <= a->st_blocks + 16);
	close(one);
	close(other);
}

static unsigned compare(int one, int other, const char *name, int depth)
{
	struct stat a, b;
	unsigned n = 0;

	assert_true(depth < DEPTH_MAX);
	assert_int_equal(fstatat(one, name, &a, AT_SYMLINK_NOFOLLOW), 0);
	if (fstatat(other, name, &b, AT_SYMLINK_NOFOLLOW))
		fail_msg("%s is missing", name);
	assert_int_equal(a.st_mode, b.st_mode);
	assert_int_equal(a.st_mtim.tv_sec, b.st_mtim.tv_sec);
	assert_int_equal(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	if (S_ISREG(a.st_mode)) {
		assert_int_equal(a.st_nlink, b.st_nlink);
		assert_same_file(one, other, name, &a, &b);
	} else if (S_ISLNK(a.st_mode)) {
		static char to_a[PATH_MAX], to_b[PATH_MAX];
		ssize_t len = readlinkat(one, name, to_a, sizeof to_a);

		assert_int_equal(readlinkat(other, name, to_b, sizeof to_b), len);
		assert_memory_equal(to_a, to_b, (size_t)len);
	} else if (S_ISCHR(a.st_mode) || S_ISBLK(a.st_mode)) {
		assert_int_equal(a.st_rdev, b.st_rdev);
	} else if (S_ISDIR(a.st_mode)) {
		int sub = openat(one, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		int also = openat(other, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct dirent *entry;
		DIR *dir;

		assert_true(sub >= 0 && also >= 0);
		dir = fdopendir(sub);
		while ((entry = readdir(dir))) {
			if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
				continue;
			assert_true(compare(sub, also, entry->d_name, depth + 1) > 0);
			n++;
		}
		closedir(dir);
		dir = fdopendir(also);
		while ((entry = readdir(dir)))
			n -= strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
		closedir(dir);
		assert_int_equal(n, 0);
	}
	return 1;
}

void assert_same_tree(const char *one, const char *other)
{
	int a = folder_open(one), b = folder_open(other);

	compare(a, b, ".", 0);
	close(a);
	close(b);
}

unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void look_for_temporaries(int fd, int depth)
{
	DIR *dir = fdopendir(fd);
	struct dirent *entry;

	assert_non_null(dir);
	assert_true(depth < DEPTH_MAX);
	while ((entry = readdir(dir))) {
		int sub;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (!strncmp(entry->d_name, ".capsa-", 7))
			fail_msg("%s is left", entry->d_name);
		sub = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (sub >= 0)
			look_for_temporaries(sub, depth + 1);
	}
	closedir(dir);
}

void assert_no_temporaries(const char *path)
{
	look_for_temporaries(folder_open(path), 0);
}
