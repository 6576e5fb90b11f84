/* SPDX-License-Identifier: MIT */
/*
 * fs_node_change_test.c - node ids while the host changes what is behind them: other inodes under the same names,
 * moved and closed directories; and what was removed, which is there as long as the guest knows it.
 */
#include "tests/unit/fs_look.h"

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

/* ---- what was removed takes the disk when it is forgotten ---- */

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
		cmocka_unit_test(another_inode_under_a_name_is_another_node),
		cmocka_unit_test(what_is_removed_stays_open_and_what_lost_its_descriptor_is_stale),
		cmocka_unit_test(forgetting_a_removed_file_is_a_workers_unless_it_is_small),
		cmocka_unit_test(an_inode_of_another_type_is_another_whatever_its_numbers),
		cmocka_unit_test(a_fifo_with_the_numbers_of_a_file_is_not_opened_in_its_place),
		cmocka_unit_test(directories_that_the_host_moved_into_each_other_make_no_circle),
		cmocka_unit_test(a_directory_without_permission_refuses_and_comes_back),
		cmocka_unit_test(what_was_removed_is_forgotten_by_a_worker),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
