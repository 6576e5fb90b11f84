/* SPDX-License-Identifier: MIT */
/*
 * fs_node_test.c - what the guest knows by a node id: look-ups and forgetting, names, attributes. A host that changes
 * what is behind one is in fs_node_change_test.c, a shortage of descriptors and many at once in fs_node_many_test.c.
 */
#include "tests/unit/fs_look.h"

#include <limits.h>
#include <sys/statvfs.h>

static void one_inode_is_one_node_by_all_its_names(void **state)
{
	struct fs_client c;
	uint64_t a, b, again;

	(void)state;
	fs_begin(&c, NULL, "");
	fs_host_file(&c, "a", "x", 0644);
	assert_int_equal(linkat(c.folder_fd, "a", c.folder_fd, "b", 0), 0);
	a = look(&c, FUSE_ROOT_ID, "a");
	b = look(&c, FUSE_ROOT_ID, "b");
	again = look(&c, FUSE_ROOT_ID, "a");
	assert_true(a == b && a == again);
	counts(&c, 2, "a file and the root");
	fs_forget(&c, a, 2);
	assert_int_equal(fs_getattr(&c, a, NULL), 0);
	fs_forget(&c, a, 1);
	assert_int_equal(fs_getattr(&c, a, NULL), -ESTALE);
	counts(&c, 1, "the root");
	fs_end(&c);
}

static void forgetting_too_much_or_what_never_was_is_nothing(void **state)
{
	struct fuse_forget_one ones[300];
	struct fs_client c;
	uint64_t a, b;

	(void)state;
	fs_begin(&c, NULL, "");
	fs_host_file(&c, "a", "x", 0644);
	a = look(&c, FUSE_ROOT_ID, "a");
	fs_forget(&c, a, UINT64_MAX);
	fs_forget(&c, a, 1);
	counts(&c, 1, "after too much");
	b = look(&c, FUSE_ROOT_ID, "a");
	assert_true(a != b); /* an id is never used twice */
	fs_forget(&c, a, 1);
	assert_int_equal(fs_getattr(&c, b, NULL), 0);
	fs_forget(&c, 0, 1);
	fs_forget(&c, UINT64_MAX, 1);
	fs_forget(&c, b + 1, 1);
	fs_forget(&c, FUSE_ROOT_ID, UINT64_MAX);
	assert_int_equal(fs_getattr(&c, FUSE_ROOT_ID, NULL), 0);
	for (unsigned i = 0; i < 300; i++) {
		assert_true(look(&c, FUSE_ROOT_ID, "a") == b);
		ones[i] = (struct fuse_forget_one){ .nodeid = b, .nlookup = 1 };
	}
	fs_batch_forget(&c, ones, 300);
	assert_int_equal(fs_getattr(&c, b, NULL), 0);
	/* More than there is to read. */
	fs_call(&c, FUSE_BATCH_FORGET, 0, &(struct fuse_batch_forget_in){ .count = UINT32_MAX },
	        sizeof(struct fuse_batch_forget_in), ones, sizeof *ones, NULL, 0, NULL);
	assert_int_equal(fs_getattr(&c, b, NULL), -ESTALE);
	counts(&c, 1, "in the end");
	fs_end(&c);
}

static void invented_ids_are_stale_for_every_operation(void **state)
{
	static const uint64_t ids[] = { 0, 2, 77, UINT32_MAX, 1ull << 32, (1ull << 32) + 1, UINT64_MAX };
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };
	char target[16];
	struct fs_client c;
	uint64_t fh;

	(void)state;
	fs_begin(&c, NULL, "");
	for (unsigned i = 0; i < sizeof ids / sizeof *ids; i++) {
		assert_int_equal(fs_lookup(&c, ids[i], "a", NULL, NULL), -ESTALE);
		assert_int_equal(fs_getattr(&c, ids[i], NULL), -ESTALE);
		assert_int_equal(fs_setattr(&c, ids[i], &in, NULL), -ESTALE);
		assert_int_equal(fs_readlink(&c, ids[i], target, sizeof target), -ESTALE);
		assert_int_equal(fs_access(&c, ids[i], R_OK), -ESTALE);
		assert_int_equal(fs_opendir(&c, ids[i], &fh), -ESTALE);
		assert_int_equal(fs_readdir(&c, ids[i], 1, 0, true, target, sizeof target), -ESTALE);
	}
	fs_end(&c);
}

static void a_parent_stays_for_its_children_but_not_for_the_guest(void **state)
{
	struct fs_client c;
	uint64_t dir, file;

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	fs_host_file(&c, "d/f", "x", 0644);
	dir = look(&c, FUSE_ROOT_ID, "d");
	file = look(&c, dir, "f");
	fs_forget(&c, dir, 1);
	counts(&c, 3, "with a child");
	assert_int_equal(fs_getattr(&c, dir, NULL), -ESTALE);
	assert_int_equal(fs_getattr(&c, file, NULL), 0);
	assert_true(look(&c, FUSE_ROOT_ID, "d") == dir);
	fs_forget(&c, dir, 1);
	fs_forget(&c, file, 1);
	counts(&c, 1, "both");
	fs_end(&c);
}

static void attributes_are_the_hosts(void **state)
{
	struct fuse_entry_out entry;
	struct fuse_attr attr;
	struct fs_client c;
	struct stat st;
	uint64_t fh, node;

	(void)state;
	fs_begin(&c, NULL, "");
	fs_host_file(&c, "a", "hello", 0640);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "a", &node, &entry), 0);
	assert_int_equal(fstatat(c.folder_fd, "a", &st, 0), 0);
	assert_int_equal(fs_getattr(&c, node, &attr), 0);
	assert_memory_equal(&attr, &entry.attr, sizeof attr);
	assert_true(attr.ino == st.st_ino && attr.size == 5 && attr.mode == st.st_mode && attr.nlink == 1);
	assert_true(attr.mtime == (uint64_t)st.st_mtim.tv_sec && attr.mtimensec == st.st_mtim.tv_nsec);
	assert_true(attr.ctime == (uint64_t)st.st_ctim.tv_sec && attr.ctimensec == st.st_ctim.tv_nsec);
	assert_int_equal(attr.blocks, st.st_blocks);
	assert_int_equal(attr.flags, 0);
	/* By a handle, and by one that is not of this node, or not there. */
	assert_int_equal(fs_open(&c, node, O_RDWR, &fh), 0);
	for (unsigned i = 0; i < 3; i++) {
		struct fuse_getattr_in in = { .getattr_flags = FUSE_GETATTR_FH, .fh = fh + (i == 1) };
		struct fuse_attr_out out;

		assert_int_equal(fs_call(&c, FUSE_GETATTR, i == 2 ? FUSE_ROOT_ID : node, &in, sizeof in, NULL, 0, &out,
		                         sizeof out, NULL),
		                 i ? -EBADF : 0);
	}
	assert_int_equal(fs_release(&c, node, fh), 0);
	fs_end(&c);
}

static void the_guest_believes_names_as_long_as_the_cache_mode_says(void **state)
{
	static const struct {
		const char *options;
		uint64_t seconds;
	} modes[] = { { "cache = \"none\";", 0 }, { "cache = \"auto\";", 1 }, { "cache = \"always\";", 86400 } };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct fuse_entry_out entry;
		struct fs_client c;
		size_t len = 0;
		int rc;

		fs_begin(&c, NULL, modes[i].options);
		fs_host_file(&c, "a", "x", 0644);
		assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "a", NULL, &entry), 0);
		assert_true(entry.entry_valid == modes[i].seconds && entry.attr_valid == modes[i].seconds);
		rc = fs_call(&c, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "none", 5, &entry, sizeof entry, &len);
		if (modes[i].seconds) { /* that there is no such name is believed, too */
			assert_int_equal(rc, 0);
			assert_true(entry.nodeid == 0 && entry.entry_valid == modes[i].seconds);
		} else {
			assert_int_equal(rc, -ENOENT);
		}
		fs_end(&c);
	}
}

static void setattr_sets_every_field(void **state)
{
	struct fuse_setattr_in in = { 0 };
	struct fuse_attr attr;
	struct fs_client c;
	struct stat st;
	uint64_t node, fh;

	(void)state;
	fs_begin(&c, NULL, "");
	fs_host_file(&c, "a", "hello", 0640);
	node = look(&c, FUSE_ROOT_ID, "a");

	in.valid = FATTR_MODE | FATTR_SIZE | FATTR_ATIME | FATTR_MTIME | FATTR_CTIME;
	in.mode = S_IFREG | 0600;
	in.size = UINT64_C(5) << 32; /* more than 32 bits */
	in.atime = 1000000001;
	in.atimensec = 123456789;
	in.mtime = (uint64_t)-5; /* before 1970 */
	in.mtimensec = 999999999;
	in.ctime = 77;
	assert_int_equal(fs_setattr(&c, node, &in, &attr), 0);
	assert_int_equal(fstatat(c.folder_fd, "a", &st, 0), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_true(st.st_size == (off_t)in.size && attr.size == in.size);
	assert_true(st.st_atim.tv_sec == 1000000001 && st.st_atim.tv_nsec == 123456789);
	assert_true(st.st_mtim.tv_sec == -5 && st.st_mtim.tv_nsec == 999999999);
	assert_true(attr.mtime == (uint64_t)-5 && attr.mtimensec == 999999999 && attr.mode == st.st_mode);
	assert_true(st.st_ctim.tv_sec != 77);

	/* One time alone, and "now". */
	in.valid = FATTR_ATIME;
	in.atime = 5;
	in.atimensec = 0;
	assert_int_equal(fs_setattr(&c, node, &in, &attr), 0);
	assert_true(attr.atime == 5 && attr.mtime == (uint64_t)-5);
	in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
	assert_int_equal(fs_setattr(&c, node, &in, &attr), 0);
	assert_true(attr.atime == 5 && attr.mtime > 1000000000 && attr.mtime < UINT32_MAX);
	in.valid = FATTR_ATIME;
	in.atimensec = UTIME_NOW;
	assert_int_equal(fs_setattr(&c, node, &in, &attr), -EINVAL);

	/* Sizes that there cannot be. */
	assert_int_equal(fs_truncate(&c, node, UINT64_MAX), -EFBIG);
	assert_int_equal(fs_truncate(&c, node, INT64_MAX), -EFBIG);
	assert_int_equal(fs_truncate(&c, FUSE_ROOT_ID, 0), -EISDIR);

	/* Through handles: one that may write, and one that may not but does not have to. */
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(fs_open(&c, node, i ? O_RDONLY : O_RDWR, &fh), 0);
		in = (struct fuse_setattr_in){ .valid = FATTR_FH | FATTR_SIZE | FATTR_MTIME | FATTR_LOCKOWNER,
			                       .fh = fh,
			                       .size = 10 + i,
			                       .mtime = 9 };
		assert_int_equal(fs_setattr(&c, node, &in, &attr), 0);
		assert_true(attr.size == 10 + i && attr.mtime == 9);
		assert_int_equal(fs_release(&c, node, fh), 0);
		assert_int_equal(fs_setattr(&c, node, &in, &attr), -EBADF);
	}
	fs_end(&c);
}

static void links_have_times_of_their_own_and_targets_of_any_length(void **state)
{
	struct fuse_setattr_in in = { .valid = FATTR_ATIME | FATTR_MTIME, .mtime = 7, .mtimensec = 8 };
	char target[PATH_MAX], got[PATH_MAX + 1];
	struct fuse_attr attr;
	struct fs_client c;
	struct stat st;
	uint64_t node;

	(void)state;
	fs_begin(&c, NULL, "");
	memset(target, 'x', sizeof target);
	for (unsigned len = 1; len < sizeof target; len = 2 * len + 1) {
		target[len] = '\0';
		assert_int_equal(symlinkat(target, c.folder_fd, "l"), 0);
		node = look(&c, FUSE_ROOT_ID, "l");
		assert_int_equal(fs_readlink(&c, node, got, sizeof got), len);
		assert_string_equal(got, target);
		assert_int_equal(unlinkat(c.folder_fd, "l", 0), 0);
		target[len] = 'x';
	}
	fs_host_file(&c, "a", "x", 0644);
	assert_int_equal(symlinkat("a", c.folder_fd, "l"), 0);
	node = look(&c, FUSE_ROOT_ID, "l");
	assert_int_equal(fs_setattr(&c, node, &in, &attr), 0);
	assert_true(attr.mtime == 7 && attr.mtimensec == 8 && S_ISLNK(attr.mode));
	assert_int_equal(fstatat(c.folder_fd, "a", &st, 0), 0);
	assert_true(st.st_mtim.tv_sec != 7);
	assert_int_equal(fs_truncate(&c, node, 0), -EINVAL);
	assert_int_equal(fs_readlink(&c, look(&c, FUSE_ROOT_ID, "a"), got, sizeof got), -EINVAL);
	fs_end(&c);
}

static void statfs_and_access_answer(void **state)
{
	struct fuse_kstatfs st;
	struct statvfs host;
	struct fs_client c;
	uint64_t node;

	(void)state;
	fs_begin(&c, NULL, "readonly = true;");
	assert_int_equal(fstatvfs(c.folder_fd, &host), 0);
	assert_int_equal(fs_statfs(&c, &st), 0);
	assert_true(st.blocks == host.f_blocks && st.files == host.f_files && st.frsize == host.f_frsize);
	assert_true(st.namelen == host.f_namemax && st.bsize == host.f_bsize);
	fs_host_file(&c, "a", "x", 0640);
	assert_int_equal(fchownat(c.folder_fd, "a", geteuid(), getegid(), 0), 0);
	node = look(&c, FUSE_ROOT_ID, "a");
	assert_int_equal(fs_access(&c, node, F_OK), 0);
	assert_int_equal(fs_access(&c, node, R_OK), 0);
	assert_int_equal(fs_access(&c, node, X_OK), -EACCES);
	assert_int_equal(fs_access(&c, node, W_OK), -EROFS);
	c.uid = c.gid = 4711;
	assert_int_equal(fs_access(&c, node, R_OK), -EACCES);
	fs_end(&c);
}

static void names_of_any_bytes_and_255_of_them(void **state)
{
	char name[NAME_MAX + 2];
	struct fs_client c;

	(void)state;
	fs_begin(&c, NULL, "");
	for (unsigned i = 0; i < NAME_MAX; i++)
		name[i] = (char)(i + 1 == '/' ? '_' : i + 1);
	name[NAME_MAX] = '\0';
	fs_host_file(&c, name, "x", 0644);
	look(&c, FUSE_ROOT_ID, name);
	name[NAME_MAX] = 'y';
	name[NAME_MAX + 1] = '\0';
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, name, NULL, NULL), -ENAMETOOLONG);
	fs_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_inode_is_one_node_by_all_its_names),
		cmocka_unit_test(forgetting_too_much_or_what_never_was_is_nothing),
		cmocka_unit_test(invented_ids_are_stale_for_every_operation),
		cmocka_unit_test(a_parent_stays_for_its_children_but_not_for_the_guest),
		cmocka_unit_test(attributes_are_the_hosts),
		cmocka_unit_test(the_guest_believes_names_as_long_as_the_cache_mode_says),
		cmocka_unit_test(setattr_sets_every_field),
		cmocka_unit_test(links_have_times_of_their_own_and_targets_of_any_length),
		cmocka_unit_test(statfs_and_access_answer),
		cmocka_unit_test(names_of_any_bytes_and_255_of_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
