/* SPDX-License-Identifier: MIT */
/*
 * fs_node_test.c - what the guest knows by a node id: look-ups and forgetting, attributes, a shortage of descriptors,
 * a host that changes things underneath, several threads.
 */
#include "tests/unit/fs_client.h"

#include <limits.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "plugins/virtio-fs/node-table.h"

#define MANY 20000u
#define ROUNDS 50u /* of MANY: a million look-ups */

static void counts(struct fs_client *c, uint64_t nodes, const char *what)
{
	uint64_t n, descriptors;

	node_table_count(c->share->nodes, &n, &descriptors);
	if (n != nodes)
		fail_msg("%s: %llu nodes, not %llu", what, (unsigned long long)n, (unsigned long long)nodes);
}

static void host_mkdir(struct fs_client *c, const char *name)
{
	assert_int_equal(mkdirat(c->folder_fd, name, 0755), 0);
}

static uint64_t look(struct fs_client *c, uint64_t parent, const char *name)
{
	uint64_t node;
	int rc = fs_lookup(c, parent, name, &node, NULL);

	if (rc < 0)
		fail_msg("%s: %s", name, strerror(-rc));
	return node;
}

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

/* ---- the host changes things ---- */

static void another_inode_under_a_name_is_another_node(void **state)
{
	struct fuse_attr attr;
	struct fs_client c;
	uint64_t before, after;

	(void)state;
	fs_begin(&c, NULL, "");
	fs_host_file(&c, "a", "one", 0644);
	before = look(&c, FUSE_ROOT_ID, "a");
	fs_host_file(&c, "b", "two.", 0644);
	assert_int_equal(renameat(c.folder_fd, "b", c.folder_fd, "a"), 0);
	after = look(&c, FUSE_ROOT_ID, "a");
	assert_true(before != after);
	assert_int_equal(fs_getattr(&c, after, &attr), 0);
	assert_int_equal(attr.size, 4);
	/* The one that was removed is there as long as the guest knows it. */
	assert_int_equal(fs_getattr(&c, before, &attr), 0);
	assert_true(attr.size == 3 && attr.nlink == 0);
	assert_int_equal(fs_truncate(&c, before, 1), 0);
	assert_int_equal(unlinkat(c.folder_fd, "a", 0), 0);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "a", NULL, NULL), -ENOENT);
	fs_end(&c);
}

static void what_is_removed_stays_open_and_what_lost_its_descriptor_is_stale(void **state)
{
	struct fuse_attr attr;
	struct fs_client c;
	uint64_t open, closed, other, fh;

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 16);
	fs_host_file(&c, "open", "hello", 0644);
	fs_host_file(&c, "closed", "hello", 0644);
	open = look(&c, FUSE_ROOT_ID, "open");
	closed = look(&c, FUSE_ROOT_ID, "closed");
	assert_int_equal(fs_open(&c, open, O_RDWR, &fh), 0);
	for (unsigned i = 0; i < 40; i++) {
		char name[16];

		snprintf(name, sizeof name, "%u", i);
		fs_host_file(&c, name, NULL, 0644);
		look(&c, FUSE_ROOT_ID, name);
	}
	assert_int_equal(unlinkat(c.folder_fd, "open", 0), 0);
	assert_int_equal(unlinkat(c.folder_fd, "closed", 0), 0);
	assert_int_equal(fs_getattr(&c, open, &attr), 0);
	assert_int_equal(fs_truncate(&c, open, 3), 0);
	assert_int_equal(fs_getattr(&c, closed, &attr), -ESTALE);
	/* The same name, another file: not what the node was. */
	fs_host_file(&c, "closed", "other", 0644);
	assert_int_equal(fs_getattr(&c, closed, &attr), -ESTALE);
	other = look(&c, FUSE_ROOT_ID, "closed");
	assert_true(other != closed);
	assert_int_equal(fs_getattr(&c, other, &attr), 0);
	assert_int_equal(fs_release(&c, open, fh), 0);
	fs_end(&c);
}

#define BIG (1 << 20)

/* The host gives the file so many bytes, with blocks behind them. */
static void host_fill(struct fs_client *c, const char *name, off_t size)
{
	int fd = openat(c->folder_fd, name, O_WRONLY | O_CLOEXEC);

	assert_int_equal(posix_fallocate(fd, 0, size), 0);
	close(fd);
}

/* A file without a name any more, which the guest still knows, with so much in it. */
static uint64_t make_removed(struct fs_client *c, off_t size)
{
	uint64_t node, fh;

	assert_int_equal(fs_create(c, FUSE_ROOT_ID, "a", O_RDWR, 0644, &node, &fh), 0);
	host_fill(c, "a", size);
	assert_int_equal(fs_release(c, node, fh), 0);
	assert_int_equal(fs_unlink(c, FUSE_ROOT_ID, "a"), 0);
	return node;
}

/* Freeing what is in it takes the disk. */
static void forgetting_a_removed_file_is_a_workers_unless_it_is_small(void **state)
{
	struct fuse_forget_one ones[3];
	uint64_t node, named, other, before;
	struct fs_client c;

	(void)state;
	fs_begin(&c, NULL, "");
	node = make_removed(&c, BIG);
	before = fs_counter(&c, "worker_requests");
	fs_forget(&c, node, 1);
	assert_int_equal(fs_counter(&c, "worker_requests"), before + 1);
	counts(&c, 1, "removed and forgotten");

	node = make_removed(&c, 1);
	before = fs_counter(&c, "worker_requests");
	fs_forget(&c, node, 1);
	assert_int_equal(fs_counter(&c, "worker_requests"), before);
	counts(&c, 1, "a small one, too");

	fs_host_file(&c, "b", "x", 0644);
	node = look(&c, FUSE_ROOT_ID, "b");
	before = fs_counter(&c, "worker_requests");
	fs_forget(&c, node, 1);
	assert_int_equal(fs_counter(&c, "worker_requests"), before);

	/* A batch goes on where the loop left it: nothing is forgotten twice. */
	named = look(&c, FUSE_ROOT_ID, "b");
	assert_true(look(&c, FUSE_ROOT_ID, "b") == named);
	fs_host_file(&c, "c", "x", 0644);
	other = look(&c, FUSE_ROOT_ID, "c");
	node = make_removed(&c, BIG);
	ones[0] = (struct fuse_forget_one){ .nodeid = named, .nlookup = 1 };
	ones[1] = (struct fuse_forget_one){ .nodeid = node, .nlookup = 1 };
	ones[2] = (struct fuse_forget_one){ .nodeid = other, .nlookup = 1 };
	before = fs_counter(&c, "worker_requests");
	fs_batch_forget(&c, ones, 3);
	assert_int_equal(fs_counter(&c, "worker_requests"), before + 1);
	counts(&c, 2, "one look-up is left");
	assert_int_equal(fs_getattr(&c, named, NULL), 0);
	fs_forget(&c, named, 1);
	counts(&c, 1, "in the end");
	fs_end(&c);
}

static void an_inode_of_another_type_is_another_whatever_its_numbers(void **state)
{
	struct identity file = { .dev = 1, .ino = 2, .mnt = 3, .birth_sec = 4, .birth_nsec = 5, .type = S_IFREG };
	struct identity other = file;
	struct statx stx = { .stx_mode = S_IFBLK | 0660, .stx_ino = 2 };

	(void)state;
	assert_true(identity_equal(&file, &other));
	other.type = S_IFIFO;
	assert_false(identity_equal(&file, &other));
	assert_int_equal(identity_of(&stx).type, S_IFBLK);
}

/* A FIFO that got the number of a removed file's inode in the same tick. Whoever opened it would wait for its end. */
static void a_fifo_with_the_numbers_of_a_file_is_not_opened_in_its_place(void **state)
{
	struct identity fifo;
	struct fs_client c;
	struct statx stx;
	struct node *node;
	uint64_t id, fh;
	char name[16];
	int rc;

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 16);
	fs_host_file(&c, "a", "hello", 0644);
	id = look(&c, FUSE_ROOT_ID, "a");
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "%u", i);
		fs_host_file(&c, name, NULL, 0644);
		look(&c, FUSE_ROOT_ID, name);
	}
	assert_int_equal(node_try(c.share, id, &node), -EAGAIN);
	assert_int_equal(unlinkat(c.folder_fd, "a", 0), 0);
	assert_int_equal(mkfifoat(c.folder_fd, "a", 0644), 0);
	assert_int_equal(statx(c.folder_fd, "a", AT_SYMLINK_NOFOLLOW, NODE_STATX, &stx), 0);
	fifo = identity_of(&stx);
	fifo.type = S_IFREG;
	c.share->nodes->places[(uint32_t)id].slot->is = fifo;
	rc = fs_open(&c, id, O_RDONLY, &fh);
	assert_true(rc == -ESTALE || rc == -ENXIO);
	rc = fs_open(&c, id, O_RDONLY | O_TRUNC, &fh);
	assert_true(rc == -ESTALE || rc == -ENXIO);
	assert_int_equal(fs_open(&c, look(&c, FUSE_ROOT_ID, "a"), O_RDONLY, &fh), -ENXIO);
	fs_end(&c);
}

static void directories_that_the_host_moved_into_each_other_make_no_circle(void **state)
{
	struct fs_client c;
	uint64_t a, b;

	(void)state;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "a");
	host_mkdir(&c, "a/b");
	fs_host_file(&c, "a/b/f", "x", 0644);
	a = look(&c, FUSE_ROOT_ID, "a");
	b = look(&c, a, "b");
	look(&c, b, "f");
	assert_int_equal(renameat(c.folder_fd, "a/b", c.folder_fd, "b"), 0);
	assert_int_equal(renameat(c.folder_fd, "a", c.folder_fd, "b/a"), 0);
	/* b was in a; now a is in b. */
	assert_true(look(&c, b, "a") == a);
	assert_int_equal(fs_lookup(&c, a, "b", NULL, NULL), -ENOENT);
	node_table_limit(c.share->nodes, 16);
	assert_int_equal(fs_getattr(&c, a, NULL), 0);
	assert_int_equal(fs_getattr(&c, b, NULL), 0);
	fs_forget(&c, a, 9);
	fs_forget(&c, b, 9);
	counts(&c, 3, "the file keeps the one that it is in");
	fs_forget(&c, look(&c, look(&c, FUSE_ROOT_ID, "b"), "f"), 9);
	fs_forget(&c, b, 9);
	counts(&c, 1, "in the end");
	fs_end(&c);
}

static void a_directory_without_permission_refuses_and_comes_back(void **state)
{
	struct fs_client c;
	uint64_t dir;

	(void)state;
	if (fs_skips(geteuid() == 0, "root may look everywhere"))
		return;
	fs_begin(&c, NULL, "");
	host_mkdir(&c, "d");
	fs_host_file(&c, "d/f", "x", 0644);
	dir = look(&c, FUSE_ROOT_ID, "d");
	assert_int_equal(fchmodat(c.folder_fd, "d", 0, 0), 0);
	assert_int_equal(fs_lookup(&c, dir, "f", NULL, NULL), -EACCES);
	assert_int_equal(fchmodat(c.folder_fd, "d", 0755, 0), 0);
	assert_int_equal(fs_lookup(&c, dir, "f", NULL, NULL), 0);
	fs_end(&c);
}

/* ---- descriptors ---- */

static void a_thousand_files_share_sixteen_descriptors(void **state)
{
	uint64_t dirs[10], files[1000], nodes, descriptors, fh;
	char name[64], text[16], got[16];
	struct fs_client c;

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 16);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "d%u", i);
		host_mkdir(&c, name);
		snprintf(name, sizeof name, "d%u/sub", i);
		host_mkdir(&c, name);
		for (unsigned j = 0; j < 100; j++) {
			snprintf(name, sizeof name, "d%u/sub/f%u", i, j);
			snprintf(text, sizeof text, "%u", i * 100 + j);
			fs_host_file(&c, name, text, 0644);
		}
	}
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "d%u", i);
		dirs[i] = look(&c, look(&c, FUSE_ROOT_ID, name), "sub");
		for (unsigned j = 0; j < 100; j++) {
			snprintf(name, sizeof name, "f%u", j);
			files[i * 100 + j] = look(&c, dirs[i], name);
		}
	}
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_true(nodes == 1 + 10 + 10 + 1000 && descriptors <= 16);

	/* The guest moves each file to another directory, and the directories, too; all are found again. */
	for (unsigned i = 0; i < 1000; i += 7) {
		char to[64];

		snprintf(name, sizeof name, "f%u", i % 100);
		snprintf(to, sizeof to, "g%u", i);
		assert_int_equal(fs_rename(&c, dirs[i / 100], name, dirs[(i / 100 + 3) % 10], to, 0), 0);
	}
	assert_int_equal(fs_rename(&c, FUSE_ROOT_ID, "d4", dirs[7], "moved", 0), 0);
	assert_int_equal(fs_rename(&c, FUSE_ROOT_ID, "d1", FUSE_ROOT_ID, "d2", RENAME_EXCHANGE), 0);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned at = i * 617 % 1000;

		snprintf(text, sizeof text, "%u", at);
		assert_int_equal(fs_open(&c, files[at], O_RDONLY, &fh), 0);
		memset(got, 0, sizeof got);
		assert_int_equal(fs_read(&c, files[at], fh, got, sizeof got, 0), strlen(text));
		assert_string_equal(got, text);
		assert_int_equal(fs_release(&c, files[at], fh), 0);
	}
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_true(descriptors <= 16);
	for (unsigned i = 0; i < 1000; i++)
		fs_forget(&c, files[i], 1);
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_true(nodes == 21 && descriptors <= 16);
	fs_end(&c);
}

static void where_all_descriptors_are_in_use_the_guest_is_told(void **state)
{
	uint64_t node[20], fh[20];
	struct fs_client c;
	char name[16];
	unsigned n;
	int rc = 0;

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 8);
	for (n = 0; n < 20; n++) {
		snprintf(name, sizeof name, "%u", n);
		fs_host_file(&c, name, "x", 0644);
		rc = fs_lookup(&c, FUSE_ROOT_ID, name, &node[n], NULL);
		if (rc < 0)
			break;
		assert_int_equal(fs_open(&c, node[n], O_RDONLY, &fh[n]), 0);
	}
	assert_true(n == 8 && rc == -EMFILE);
	while (n--)
		assert_int_equal(fs_release(&c, node[n], fh[n]), 0);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, name, NULL, NULL), 0);
	fs_end(&c);
}

static void a_host_without_descriptors_gets_some_back_from_the_nodes(void **state)
{
	struct rlimit before, low;
	struct fs_client c;
	uint64_t node[200];
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "%u", i);
		fs_host_file(&c, name, "x", 0644);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 120;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "%u", i);
		node[i] = look(&c, FUSE_ROOT_ID, name);
	}
	for (unsigned i = 0; i < 200; i++) {
		uint64_t fh;

		assert_int_equal(fs_open(&c, node[i], O_RDONLY, &fh), 0);
		assert_int_equal(fs_release(&c, node[i], fh), 0);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fs_end(&c);
}

/* Opens what it may. */
static void fill(struct fs_client *c)
{
	uint64_t node, fh;
	char name[16];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%u", i);
		fs_host_file(c, name, "x", 0644);
		if (fs_lookup(c, FUSE_ROOT_ID, name, &node, NULL) == 0)
			fs_open(c, node, O_RDONLY, &fh);
	}
}

static void two_shares_leave_descriptors_to_the_rest_of_the_process(void **state)
{
	struct rlimit before, low;
	struct fs_client a, b;
	unsigned n;
	int fds[32];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){ .rlim_cur = 256, .rlim_max = 256 };
	if (geteuid() != 0)
		skip(); /* nobody else gets his limit back */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	fs_begin(&a, NULL, "");
	fs_begin(&b, NULL, "");
	fill(&a);
	fill(&b);
	for (n = 0; n < 32; n++) {
		fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fds[n] < 0)
			fail_msg("after %u: %s", n, strerror(errno));
	}
	while (n)
		close(fds[--n]);
	/* What is checked at the end is what there was at each one's beginning. */
	fs_reset(&a);
	fs_end(&b);
	fs_end(&a);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void what_was_given_up_comes_back(void **state)
{
	struct fs_client c;
	uint64_t low;
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 100);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "%u", i);
		fs_host_file(&c, name, "x", 0644);
		look(&c, FUSE_ROOT_ID, name);
	}
	assert_true(node_table_relieve(c.share->nodes));
	low = c.share->nodes->limit;
	assert_true(low < 100);
	for (unsigned i = 0; i < 50000 && c.share->nodes->limit < 100; i++) {
		snprintf(name, sizeof name, "%u", i % 200);
		look(&c, FUSE_ROOT_ID, name);
	}
	assert_int_equal(c.share->nodes->limit, 100);
	fs_end(&c);
}

static void five_hundred_levels_are_walked_and_found_again(void **state)
{
	int at, next;
	uint64_t node[501];
	struct fuse_attr attr;
	struct fs_client c;
	struct stat st;

	(void)state;
	fs_begin(&c, NULL, "");
	at = dup(c.folder_fd);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(mkdirat(at, "level", 0755), 0);
		next = openat(at, "level", O_PATH);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(fstat(at, &st), 0);
	close(at);
	node[0] = FUSE_ROOT_ID;
	for (unsigned i = 0; i < 500; i++)
		node[i + 1] = look(&c, node[i], "level");
	node_table_limit(c.share->nodes, 8);
	assert_int_equal(fs_getattr(&c, node[500], &attr), 0);
	assert_int_equal(attr.ino, st.st_ino);
	assert_int_equal(fs_getattr(&c, node[250], &attr), 0);
	assert_int_equal(fs_lookup(&c, node[500], "no", NULL, NULL), -ENOENT);
	for (unsigned i = 0; i < 500; i++)
		fs_forget(&c, node[500 - i], 1);
	counts(&c, 1, "in the end");
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

/* ---- many ---- */

/* A sanitizer keeps what is freed for a while: there the counts alone are told. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FREED_IS_KEPT true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FREED_IS_KEPT true
#endif
#ifndef FREED_IS_KEPT
#define FREED_IS_KEPT false
#endif

static long resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long total, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &total, &pages), 2);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static void a_million_lookups_leave_nothing_behind(void **state)
{
	struct fuse_forget_one *ones = calloc(MANY, sizeof *ones);
	struct node *root, *node;
	struct statx stx;
	uint64_t nodes, descriptors;
	long settled = 0, last = 0;
	struct fs_client c;
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "%u", i);
		assert_int_equal(mknodat(c.folder_fd, name, S_IFREG | 0644, 0), 0);
	}
	assert_int_equal(node_get(c.share, FUSE_ROOT_ID, &root), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			snprintf(name, sizeof name, "%u", i);
			if (round == 0) { /* by the whole way once, then without the harness' part of it */
				ones[i].nodeid = look(&c, FUSE_ROOT_ID, name);
			} else {
				assert_int_equal(node_lookup(c.share, root, name, &node, &stx), 0);
				ones[i].nodeid = node->id;
				node_put(c.share, node);
			}
			ones[i].nlookup = 1;
		}
		node_table_count(c.share->nodes, &nodes, &descriptors);
		assert_int_equal(nodes, MANY + 1);
		for (unsigned i = 0; i < MANY; i += 1000)
			fs_batch_forget(&c, ones + i, 1000);
		node_table_count(c.share->nodes, &nodes, &descriptors);
		assert_true(nodes == 1 && descriptors == 0);
		last = resident();
		if (round == 4)
			settled = last;
	}
	print_message("resident: %ld KiB after 100,000 look-ups, %ld KiB after 1,000,000\n", settled / 1024,
	              last / 1024);
	node_put(c.share, root);
	assert_true(FREED_IS_KEPT || last < settled + (1 << 20));
	fs_end(&c);
	free(ones);
}

/* ---- threads ---- */

#define THREADS 4u

struct threads {
	struct fs_client *client;
	atomic_uint queue;
	atomic_bool stop;
};

static void *lookups(void *ctx)
{
	struct threads *threads = ctx;
	struct fs_client *c = threads->client;
	unsigned queue = atomic_fetch_add(&threads->queue, 1);
	uint64_t dir, file, fh;
	char name[16];

	fs_thread(c, queue);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "d%u", i * queue % 5);
		dir = look(c, FUSE_ROOT_ID, name);
		snprintf(name, sizeof name, "f%u", i * queue % 20);
		if (fs_lookup(c, dir, name, &file, NULL) == 0) {
			if (fs_open(c, file, O_RDONLY, &fh) == 0)
				assert_int_equal(fs_release(c, file, fh), 0);
			fs_getattr(c, file, NULL);
			fs_forget(c, file, 1);
		}
		if (i % 50 == 0)
			assert_true(fs_list(c, dir, i % 100 == 0, NULL, NULL) >= 2);
		fs_forget(c, dir, 1);
	}
	return NULL;
}

/* The host renames files within and between the directories meanwhile. */
static void *renames(void *ctx)
{
	struct threads *threads = ctx;
	struct fs_client *c = threads->client;
	char from[16], to[16];

	for (unsigned i = 0; !atomic_load(&threads->stop); i++) {
		snprintf(from, sizeof from, "d%u/f%u", i % 5, i % 20);
		snprintf(to, sizeof to, "d%u/f%u", i * 3 % 5, i * 7 % 20);
		renameat2(c->folder_fd, from, c->folder_fd, to, RENAME_EXCHANGE);
	}
	return NULL;
}

static void several_queues_look_up_list_and_forget_at_once(void **state)
{
	struct threads threads = { .queue = 2 };
	pthread_t thread[THREADS], host;
	struct fs_client c;
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "queues = 8;");
	threads.client = &c;
	node_table_limit(c.share->nodes, 24); /* so that they fight for them, too */
	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "d%u", i);
		host_mkdir(&c, name);
		for (unsigned j = 0; j < 20; j++) {
			snprintf(name, sizeof name, "d%u/f%u", i, j);
			fs_host_file(&c, name, "x", 0644);
		}
	}
	assert_int_equal(pthread_create(&host, NULL, renames, &threads), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, lookups, &threads), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&threads.stop, true);
	pthread_join(host, NULL);
	counts(&c, 1, "when all is forgotten");
	assert_int_equal(handle_table_count(c.share->handles), 0);
	fs_end(&c);
}

static void what_was_removed_is_forgotten_by_a_worker(void **state)
{
	struct fuse_forget_one ones[200];
	uint64_t node, fh, before, nodes, descriptors;
	struct fs_client c;

	(void)state;
	fs_begin(&c, NULL, "");
	assert_int_equal(fs_create(&c, FUSE_ROOT_ID, "file", O_RDWR, 0600, &node, &fh), 0);
	host_fill(&c, "file", BIG);
	assert_int_equal(fs_release(&c, node, fh), 0);
	before = fs_counter(&c, "worker_requests");
	fs_forget(&c, node, 1); /* has its name still: nothing is given back */
	assert_int_equal(fs_counter(&c, "worker_requests"), before);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "file", &node, NULL), 0);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "file", &node, NULL), 0);
	assert_int_equal(fs_unlink(&c, FUSE_ROOT_ID, "file"), 0);
	before = fs_counter(&c, "worker_requests");
	fs_forget(&c, node, 1); /* not the last time */
	assert_int_equal(fs_counter(&c, "worker_requests"), before);
	fs_forget(&c, node, 1);
	assert_int_equal(fs_counter(&c, "worker_requests"), before + 1);

	/* Of many only the rest from the first on that takes a worker: each is forgotten as often as it says. */
	for (unsigned i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof name, "%u", i);
		fs_host_file(&c, name, NULL, 0600);
		host_fill(&c, name, BIG);
		assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, name, &node, NULL), 0);
		assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, name, &node, NULL), 0);
		ones[i] = (struct fuse_forget_one){ .nodeid = node, .nlookup = i == 100 ? 2 : 1 };
		if (i == 100)
			assert_int_equal(fs_unlink(&c, FUSE_ROOT_ID, name), 0);
	}
	before = fs_counter(&c, "worker_requests");
	fs_batch_forget(&c, ones, 200);
	assert_int_equal(fs_counter(&c, "worker_requests"), before + 1);
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 1 + 199);
	assert_int_equal(fs_getattr(&c, ones[0].nodeid, NULL), 0);
	assert_int_equal(fs_getattr(&c, ones[199].nodeid, NULL), 0);
	ones[100].nlookup = 1;
	fs_batch_forget(&c, ones, 200);
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 1);
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
		cmocka_unit_test(another_inode_under_a_name_is_another_node),
		cmocka_unit_test(what_is_removed_stays_open_and_what_lost_its_descriptor_is_stale),
		cmocka_unit_test(forgetting_a_removed_file_is_a_workers_unless_it_is_small),
		cmocka_unit_test(an_inode_of_another_type_is_another_whatever_its_numbers),
		cmocka_unit_test(a_fifo_with_the_numbers_of_a_file_is_not_opened_in_its_place),
		cmocka_unit_test(directories_that_the_host_moved_into_each_other_make_no_circle),
		cmocka_unit_test(a_directory_without_permission_refuses_and_comes_back),
		cmocka_unit_test(a_thousand_files_share_sixteen_descriptors),
		cmocka_unit_test(where_all_descriptors_are_in_use_the_guest_is_told),
		cmocka_unit_test(a_host_without_descriptors_gets_some_back_from_the_nodes),
		cmocka_unit_test(two_shares_leave_descriptors_to_the_rest_of_the_process),
		cmocka_unit_test(what_was_given_up_comes_back),
		cmocka_unit_test(five_hundred_levels_are_walked_and_found_again),
		cmocka_unit_test(names_of_any_bytes_and_255_of_them),
		cmocka_unit_test(a_million_lookups_leave_nothing_behind),
		cmocka_unit_test(several_queues_look_up_list_and_forget_at_once),
		cmocka_unit_test(what_was_removed_is_forgotten_by_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
