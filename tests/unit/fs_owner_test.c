/* SPDX-License-Identifier: MIT */
/*
 * fs_owner_test.c - whose a file is where capsa's user has them all (OWNER_SQUASH): what the guest sees of it, what is
 * written down for that, and that the host never has a wrong owner. OWNER_HOST is fs_owner_host_test.c's.
 */
#include "tests/unit/fs_owner_fixture.h"

static void assert_record(struct node *node, const char *expected)
{
	char path[64], text[128];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/self/fd/%d", node->fd);
	n = getxattr(path, OWNER_XATTR, text, sizeof text - 1);
	if (!expected) {
		assert_int_equal(n, -1);
		return;
	}
	assert_true(n >= 0);
	text[n] = '\0';
	assert_string_equal(text, expected);
}

static void put_record(struct node *node, const char *text)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/self/fd/%d", node->fd);
	assert_int_equal(setxattr(path, OWNER_XATTR, text, strlen(text), 0), 0);
}

/* The record's text. */

static void a_record_is_read_as_it_was_written(void **state)
{
	static const struct {
		struct owner_record record;
		const char *text;
	} cases[] = {
		{ { 0 }, "1 - - - -" },
		{ { .has = RECORD_UID, .uid = 0 }, "1 0 - - -" },
		{ { .has = RECORD_UID | RECORD_GID, .uid = 4294967294, .gid = 100 }, "1 4294967294 100 - -" },
		{ { .has = RECORD_MODE, .mode = S_IFREG | 04755 }, "1 - - 0104755 0:0" },
		{ { .has = RECORD_MODE, .mode = S_IFCHR | 0600, .rdev = 0x103 }, "1 - - 020600 1:3" },
		{ { .has = RECORD_MODE, .mode = S_IFBLK, .rdev = 0xffffffff }, "1 - - 060000 4095:1048575" },
		{ { .has = RECORD_MODE, .mode = S_IFSOCK | 0777 }, "1 - - 0140777 0:0" },
	};
	char text[OWNER_RECORD_TEXT_MAX];
	struct owner_record record;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const size_t len = owner_record_write(&cases[i].record, text);

		assert_int_equal(len, strlen(cases[i].text));
		assert_memory_equal(text, cases[i].text, len);
		assert_true(owner_record_read(&record, S_IFREG, text, len));
		assert_memory_equal(&record, &cases[i].record, sizeof record);
	}
}

static const char *const not_records[] = {
	"",
	"1",
	"1 ",
	"2 0 0 - -",
	"1 0 0 - - ",
	" 1 0 0 - -",
	"1 0 0 - -\n",
	"1 0  0 - -",
	"1\t0 0 - -",
	"1 0 0 -",
	"1 0 0 - - -",
	"1 00 0 - -",
	"1 +1 0 - -",
	"1 -1 0 - -",
	"1 0x1 0 - -",
	"1 4294967295 0 - -",
	"1 0 4294967295 - -",
	"1 4294967296 0 - -",
	"1 18446744073709551617 0 - -",
	"1 root 0 - -",
	"1 0 0 - 0:0",
	"1 0 0 0100644 -",
	"1 0 0 100644 0:0",
	"1 0 0 0644 0:0",    /* no type */
	"1 0 0 0120777 0:0", /* a link, of a regular file */
	"1 0 0 040755 0:0",  /* a directory */
	"1 0 0 0110644 0:0", /* no type that there is */
	"1 0 0 0200100644 0:0",
	"1 0 0 0100648 0:0",
	"1 0 0 020644 4096:0",
	"1 0 0 020644 0:1048576",
	"1 0 0 020644 1:3:4",
	"1 0 0 020644 1",
	"1 1111111111111111111111111111111111111111111111 0 - -",
};

static void what_is_no_record_is_refused(void **state)
{
	struct owner_record record;
	char text[OWNER_RECORD_TEXT_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof not_records / sizeof not_records[0]; i++)
		if (owner_record_read(&record, S_IFREG, not_records[i], strlen(not_records[i])))
			fail_msg("taken for a record: \"%s\"", not_records[i]);
	assert_false(owner_record_read(&record, S_IFREG, "1 0 0 - -", 10)); /* with its NUL */
	assert_false(owner_record_read(&record, S_IFDIR, "1 0 0 0100644 0:0", 17));
	assert_true(owner_record_read(&record, S_IFDIR, "1 0 0 041755 0:0", 16));
	memset(text, '1', sizeof text);
	assert_false(owner_record_read(&record, S_IFREG, text, sizeof text));
}

/* OWNER_SQUASH */

static void own_files_look_like_the_configured_user_and_need_no_record(void **state)
{
	struct fixture f;
	struct node file, dir;

	(void)state;
	begin(&f, OWNER_SQUASH);
	f.share.options.uid = 7;
	f.share.options.gid = 8;
	file = create(&f, "file", 7, 8, S_IFREG | 0644, 0);
	dir = create(&f, "dir", 7, 8, S_IFDIR | 0755, 0);
	assert_shows(&f, &file, 7, 8, S_IFREG | 0644);
	assert_shows(&f, &dir, 7, 8, S_IFDIR | 0755);
	assert_on_host(&file, geteuid(), getegid(), S_IFREG | 0644);
	assert_on_host(&dir, geteuid(), getegid(), S_IFDIR | 0755);
	assert_record(&file, NULL);
	assert_record(&dir, NULL);
	close(file.fd);
	close(dir.fd);
	end(&f);
}

static void another_users_file_is_ours_on_the_host_with_a_record(void **state)
{
	struct fixture f;
	struct node file;

	(void)state;
	begin(&f, OWNER_SQUASH);
	file = create(&f, "file", 33, 44, S_IFREG | 0640, 0);
	assert_shows(&f, &file, 33, 44, S_IFREG | 0640);
	assert_on_host(&file, geteuid(), getegid(), S_IFREG | 0640);
	assert_record(&file, "1 33 44 - -");
	close(file.fd);
	end(&f);
}

static void chown_is_kept_and_chown_back_leaves_nothing(void **state)
{
	struct fixture f;
	struct node file;

	(void)state;
	begin(&f, OWNER_SQUASH);
	file = create(&f, "file", 0, 0, S_IFREG | 0600, 0);
	assert_int_equal(set(&f, &file, FATTR_UID, 5, 0, 0), 0);
	assert_shows(&f, &file, 5, 0, S_IFREG | 0600);
	assert_record(&file, "1 5 - - -");
	assert_int_equal(set(&f, &file, FATTR_GID, 0, 6, 0), 0);
	assert_shows(&f, &file, 5, 6, S_IFREG | 0600);
	assert_int_equal(set(&f, &file, FATTR_UID | FATTR_GID, 0, 0, 0), 0);
	assert_shows(&f, &file, 0, 0, S_IFREG | 0600);
	assert_record(&file, NULL);
	assert_on_host(&file, geteuid(), getegid(), S_IFREG | 0600);
	close(file.fd);
	end(&f);
}

static void a_mode_that_the_host_may_not_have_is_recorded(void **state)
{
	static const struct {
		mode_t type, guest, host;
		const char *record;
	} cases[] = {
		{ S_IFREG, 0644, 0644, NULL },
		{ S_IFREG, 0444, 0644, "1 - - 0100444 0:0" },
		{ S_IFREG, 0000, 0600, "1 - - 0100000 0:0" },
		{ S_IFREG, 04755, 0755, "1 - - 0104755 0:0" },
		{ S_IFREG, 02755, 0755, "1 - - 0102755 0:0" },
		{ S_IFREG, 01644, 0644, "1 - - 0101644 0:0" },
		{ S_IFREG, 0777, 0777, NULL },
		{ S_IFDIR, 0755, 0755, NULL },
		{ S_IFDIR, 01777, 0777, "1 - - 041777 0:0" },
		{ S_IFDIR, 02775, 0775, "1 - - 042775 0:0" },
		{ S_IFDIR, 0000, 0700, "1 - - 040000 0:0" },
	};
	struct fixture f;

	(void)state;
	begin(&f, OWNER_SQUASH);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const mode_t type = cases[i].type;
		struct node node;
		char name[16];

		/* By creation, */
		snprintf(name, sizeof name, "a%zu", i);
		node = create(&f, name, 0, 0, type | cases[i].guest, 0);
		assert_shows(&f, &node, 0, 0, type | cases[i].guest);
		assert_on_host(&node, geteuid(), getegid(), type | cases[i].host);
		assert_record(&node, cases[i].record);
		close(node.fd);
		/* by chmod, */
		snprintf(name, sizeof name, "b%zu", i);
		node = create(&f, name, 0, 0, type | 0700, 0);
		assert_int_equal(set(&f, &node, FATTR_MODE, 0, 0, cases[i].guest), 0);
		assert_shows(&f, &node, 0, 0, type | cases[i].guest);
		assert_on_host(&node, geteuid(), getegid(), type | cases[i].host);
		assert_record(&node, cases[i].record);
		/* and back. */
		assert_int_equal(set(&f, &node, FATTR_MODE, 0, 0, 0700), 0);
		assert_on_host(&node, geteuid(), getegid(), type | 0700);
		assert_record(&node, NULL);
		close(node.fd);
	}
	end(&f);
}

static void special_files_are_empty_regular_ones_on_the_host(void **state)
{
	static const struct {
		mode_t mode;
		uint32_t rdev;
		const char *record;
	} cases[] = {
		{ S_IFCHR | 0666, 0x103, "1 - - 020666 1:3" },
		{ S_IFBLK | 0600, 0x801, "1 - - 060600 8:1" },
		{ S_IFIFO | 0644, 0, "1 - - 010644 0:0" },
		{ S_IFSOCK | 0755, 0x999, "1 - - 0140755 0:0" }, /* no number: it is no device */
	};
	struct fixture f;

	(void)state;
	begin(&f, OWNER_SQUASH);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct fuse_attr attr;
		struct node node;
		mode_t type;
		char name[16];

		assert_true(owner_emulates(&f.share, cases[i].mode));
		snprintf(name, sizeof name, "%zu", i);
		node = create(&f, name, 0, 0, cases[i].mode, cases[i].rdev);
		assert_on_host(&node, geteuid(), getegid(), S_IFREG | (cases[i].mode & 0777) | 0600);
		assert_record(&node, cases[i].record);
		attr = show(&f, &node, RECENT);
		assert_int_equal(attr.mode, cases[i].mode);
		assert_int_equal(attr.rdev, S_ISSOCK(cases[i].mode) ? 0 : cases[i].rdev);
		assert_int_equal(owner_type(&f.share, &node, &type), 0);
		assert_int_equal(type, cases[i].mode & S_IFMT);
		/* chmod leaves type and number. */
		assert_int_equal(set(&f, &node, FATTR_MODE | FATTR_UID, 9, 0, 0600), 0);
		attr = show(&f, &node, RECENT);
		assert_int_equal(attr.uid, 9);
		assert_int_equal(attr.mode, (cases[i].mode & S_IFMT) | 0600);
		assert_int_equal(attr.rdev, S_ISSOCK(cases[i].mode) ? 0 : cases[i].rdev);
		assert_on_host(&node, geteuid(), getegid(), S_IFREG | 0600);
		close(node.fd);
	}
	assert_false(owner_emulates(&f.share, S_IFREG | 0644));
	assert_false(owner_emulates(&f.share, S_IFDIR | 0755));
	assert_false(owner_emulates(&f.share, S_IFLNK | 0777));
	assert_false(owner_emulates(&f.share, 0644));
	end(&f);
}

static void owners_of_links_are_kept_in_memory_until_they_are_removed(void **state)
{
	struct fixture f;
	struct node link;
	struct statx stx;

	(void)state;
	begin(&f, OWNER_SQUASH);
	link = create(&f, "link", 3, 4, S_IFLNK | 0777, 0);
	assert_shows(&f, &link, 3, 4, S_IFLNK | 0777);
	assert_int_equal(set(&f, &link, FATTR_UID, 5, 0, 0), 0);
	assert_shows(&f, &link, 5, 4, S_IFLNK | 0777);
	assert_int_equal(set(&f, &link, FATTR_MODE, 0, 0, 0600), -EOPNOTSUPP);
	assert_on_host(&link, geteuid(), getegid(), S_IFLNK | 0777);
	assert_int_equal(node_statx(&link, -1, &stx), 0);
	owner_removed(&f.share, &stx);
	assert_shows(&f, &link, 0, 0, S_IFLNK | 0777);
	close(link.fd);
	end(&f);
}

static void without_attributes_owners_are_kept_in_memory(void **state)
{
	struct fixture f;
	struct node file;

	(void)state;
	begin(&f, OWNER_SQUASH);
	no_attributes = true;
	file = create(&f, "file", 3, 4, S_IFREG | 04755, 0);
	assert_shows(&f, &file, 3, 4, S_IFREG | 04755);
	assert_on_host(&file, geteuid(), getegid(), S_IFREG | 0755);
	assert_int_equal(set(&f, &file, FATTR_UID | FATTR_GID | FATTR_MODE, 0, 0, 0755), 0);
	assert_shows(&f, &file, 0, 0, S_IFREG | 0755);
	assert_int_equal(set(&f, &file, FATTR_UID, 9, 0, 0), 0);
	assert_shows(&f, &file, 9, 0, S_IFREG | 0755);
	close(file.fd);
	end(&f);
}

static void a_new_inode_does_not_inherit_what_memory_has_of_its_number(void **state)
{
	const struct owner_record stale = { .has = RECORD_UID, .uid = 77 };
	struct fixture f;
	struct node link, root;
	struct call call = { .in = { .uid = 0, .gid = 0 } };
	struct statx stx;

	(void)state;
	begin(&f, OWNER_SQUASH);
	assert_int_equal(symlinkat("target", f.dir, "link"), 0);
	link = hold(&f, "link");
	root = hold(&f, "");
	assert_int_equal(node_statx(&link, -1, &stx), 0);
	assert_int_equal(owner_store_set(&f.share, &link, -1, &stx, &stale), 0);
	assert_shows(&f, &link, 77, 0, S_IFLNK | 0777);
	call.share = &f.share;
	assert_int_equal(node_statx(&link, -1, &stx), 0);
	assert_int_equal(owner_created(&f.share, &call, &root, &link, -1, S_IFLNK | 0777, 0, &stx), 0);
	assert_shows(&f, &link, 0, 0, S_IFLNK | 0777);
	close(link.fd);
	close(root.fd);
	end(&f);
}

static void memory_is_bounded(void **state)
{
	const struct owner_record record = { .has = RECORD_UID, .uid = 1 };
	struct fixture f;
	struct node link = { .id = 1, .type = S_IFLNK, .fd = -1 };
	struct statx stx;

	(void)state;
	begin(&f, OWNER_SQUASH);
	memset(&stx, 0, sizeof stx);
	for (stx.stx_ino = 0; stx.stx_ino < OWNER_MEMORY_MAX; stx.stx_ino++)
		assert_int_equal(owner_store_set(&f.share, &link, -1, &stx, &record), 0);
	assert_int_equal(owner_store_set(&f.share, &link, -1, &stx, &record), -ENOSPC);
	stx.stx_ino = 5;
	assert_int_equal(owner_store_set(&f.share, &link, -1, &stx, &record), 0);
	owner_removed(&f.share, &stx);
	stx.stx_ino = OWNER_MEMORY_MAX;
	assert_int_equal(owner_store_set(&f.share, &link, -1, &stx, &record), 0);
	end(&f);
}

static void a_hostile_attribute_is_as_good_as_none(void **state)
{
	struct fixture f;
	struct node file;

	(void)state;
	begin(&f, OWNER_SQUASH);
	file = create(&f, "file", 0, 0, S_IFREG | 0644, 0);
	for (size_t i = 0; i < sizeof not_records / sizeof not_records[0]; i++) {
		put_record(&file, not_records[i]);
		assert_shows(&f, &file, 0, 0, S_IFREG | 0644);
	}
	put_record(&file, "1 0 0 - -                                                                            x");
	assert_shows(&f, &file, 0, 0, S_IFREG | 0644);
	/* And it goes with the next change. */
	assert_int_equal(set(&f, &file, FATTR_UID, 3, 0, 0), 0);
	assert_record(&file, "1 3 - - -");
	close(file.fd);
	end(&f);
}

static void set_id_bits_go_with_a_write_and_a_chown(void **state)
{
	static const struct {
		mode_t before, after;
	} cases[] = {
		{ S_IFREG | 04755, S_IFREG | 0755 },  { S_IFREG | 02755, S_IFREG | 0755 },
		{ S_IFREG | 06711, S_IFREG | 0711 },  { S_IFREG | 02644, S_IFREG | 02644 },
		{ S_IFREG | 05644, S_IFREG | 01644 }, { S_IFREG | 0644, S_IFREG | 0644 },
	};
	struct fixture f;
	struct node dir;

	(void)state;
	begin(&f, OWNER_SQUASH);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct node file;
		char name[16];

		snprintf(name, sizeof name, "a%zu", i);
		file = create(&f, name, 1, 1, cases[i].before, 0);
		assert_int_equal(owner_kill_set_id(&f.share, &file, -1), 0);
		assert_shows(&f, &file, 1, 1, cases[i].after);
		close(file.fd);
		snprintf(name, sizeof name, "b%zu", i);
		file = create(&f, name, 1, 1, cases[i].before, 0);
		assert_int_equal(set(&f, &file, FATTR_GID, 0, 2, 0), 0);
		assert_shows(&f, &file, 1, 2, cases[i].after);
		close(file.fd);
	}
	dir = create(&f, "dir", 1, 1, S_IFDIR | 02775, 0);
	assert_int_equal(owner_kill_set_id(&f.share, &dir, -1), 0);
	assert_int_equal(set(&f, &dir, FATTR_GID, 0, 2, 0), 0);
	assert_shows(&f, &dir, 1, 2, S_IFDIR | 02775);
	close(dir.fd);
	end(&f);
}

static void a_directory_with_set_group_id_gives_its_group(void **state)
{
	struct fixture f;
	struct node root, node;

	(void)state;
	begin(&f, OWNER_SQUASH);
	root = hold(&f, "");
	assert_int_equal(set(&f, &root, FATTR_GID, 0, 50, 0), 0);
	assert_int_equal(set(&f, &root, FATTR_MODE, 0, 0, 02775), 0);
	node = create(&f, "file", 1, 1, S_IFREG | 0644, 0);
	assert_shows(&f, &node, 1, 50, S_IFREG | 0644);
	close(node.fd);
	node = create(&f, "dir", 1, 1, S_IFDIR | 0755, 0);
	assert_shows(&f, &node, 1, 50, S_IFDIR | 02755);
	assert_on_host(&node, geteuid(), getegid(), S_IFDIR | 0755);
	close(node.fd);
	close(root.fd);
	end(&f);
}

static void a_change_has_a_new_ctime_even_where_nothing_changes(void **state)
{
	struct fixture f;
	struct node file, link;

	(void)state;
	begin(&f, OWNER_SQUASH);
	file = create(&f, "file", 0, 0, S_IFREG | 0644, 0);
	link = create(&f, "link", 0, 0, S_IFLNK | 0777, 0);
	for (unsigned i = 0; i < 3; i++) {
		struct node *node = i < 2 ? &file : &link;
		struct statx before, after;

		assert_int_equal(node_statx(node, -1, &before), 0);
		do { /* until the clock that files are stamped with has ticked */
			if (i == 0)
				assert_int_equal(set(&f, node, FATTR_MODE, 0, 0, 0644), 0);
			else
				assert_int_equal(set(&f, node, FATTR_UID, 0, 0, 0), 0);
			assert_int_equal(node_statx(node, -1, &after), 0);
		} while (memcmp(&before.stx_ctime, &after.stx_ctime, sizeof before.stx_ctime) == 0);
	}
	close(file.fd);
	close(link.fd);
	end(&f);
}

static void a_record_is_read_once_when_it_cannot_change_unseen(void **state)
{
	struct fixture f;
	struct node file;

	(void)state;
	begin(&f, OWNER_SQUASH);
	file = create(&f, "file", 5, 5, S_IFREG | 0644, 0);
	/* Just made: it is known, for the answer to who made it. */
	readings = 0;
	assert_int_equal(show(&f, &file, RECENT).uid, 5);
	assert_int_equal(readings, 0);
	/* Young: each time. */
	show(&f, &file, RECENT);
	show(&f, &file, RECENT);
	assert_int_equal(readings, 2);
	/* Old: once. */
	show(&f, &file, 10);
	assert_int_equal(show(&f, &file, 10).uid, 5);
	assert_int_equal(readings, 3);
	/* Another ctime: again, and what it says then. */
	put_record(&file, "1 6 6 - -");
	assert_int_equal(show(&f, &file, 9).uid, 6);
	assert_int_equal(readings, 4);
	/* A ctime of the future is young. */
	show(&f, &file, -1000);
	show(&f, &file, -1000);
	assert_int_equal(readings, 6);
	close(file.fd);
	end(&f);
}

static void ids_outside_the_map_are_refused(void **state)
{
	struct fixture f;
	struct node file;
	struct call call = { .in = { .uid = 2000, .gid = 0 } };
	struct owner_acting acting;

	(void)state;
	begin(&f, OWNER_SQUASH);
	f.share.options.uid_map = (struct id_map){ .ranges = { { 1000, 100000, 10 } }, .n = 1 };
	f.share.options.gid_map = (struct id_map){ .ranges = { { 1000, 100000, 10 } }, .n = 1 };
	file = create(&f, "file", 1009, 0, S_IFREG | 0644, 0);
	assert_int_equal(set(&f, &file, FATTR_UID, 1010, 0, 0), -EINVAL);
	assert_int_equal(set(&f, &file, FATTR_GID, 0, 999, 0), -EINVAL);
	assert_int_equal(set(&f, &file, FATTR_UID, UINT32_MAX, 0, 0), -EINVAL);
	assert_int_equal(set(&f, &file, FATTR_UID, 0, 0, 0), 0); /* capsa's user's */
	assert_int_equal(set(&f, &file, FATTR_UID | FATTR_GID, 1000, 1000, 0), 0);
	assert_shows(&f, &file, 1000, 1000, S_IFREG | 0644);
	assert_int_equal(owner_act(&f.share, &call, &acting), -EPERM);
	/* A record of other maps. */
	put_record(&file, "1 2000 1000 - -");
	assert_shows(&f, &file, OWNER_NOBODY, 1000, S_IFREG | 0644);
	close(file.fd);
	end(&f);
}

static void without_a_map_every_id_but_minus_one_is_allowed(void **state)
{
	struct fixture f;
	struct node file;

	(void)state;
	begin(&f, OWNER_SQUASH);
	file = create(&f, "file", 4294967294, 4294967294, S_IFREG | 0644, 0);
	assert_shows(&f, &file, 4294967294, 4294967294, S_IFREG | 0644);
	assert_int_equal(set(&f, &file, FATTR_UID, UINT32_MAX, 0, 0), -EINVAL);
	assert_int_equal(set(&f, &file, FATTR_GID, 0, UINT32_MAX, 0), -EINVAL);
	close(file.fd);
	end(&f);
}

/* A file that is not capsa's user's, in a share of that user's: made by root. */
static struct node foreign(struct fixture *f, mode_t mode)
{
	struct node node;

	assert_int_equal(seteuid(0), 0);
	assert_int_equal(mknodat(f->dir, "foreign", S_IFREG | 0600, 0), 0);
	assert_int_equal(fchownat(f->dir, "foreign", 4242, 4243, 0), 0);
	assert_int_equal(fchmodat(f->dir, "foreign", mode, 0), 0);
	node = hold(f, "foreign");
	assert_int_equal(seteuid(ORDINARY), 0);
	return node;
}

static void files_of_others_are_shown_through_the_map_and_not_changed(void **state)
{
	struct fixture f;
	struct node file;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_SQUASH);
	file = foreign(&f, 04666);
	assert_shows(&f, &file, 4242, 4243, S_IFREG | 04666);
	f.share.options.uid_map = (struct id_map){ .ranges = { { 42, 4242, 1 } }, .n = 1 };
	f.share.options.gid_map = (struct id_map){ .ranges = { { 42, 4242, 1 } }, .n = 1 };
	assert_shows(&f, &file, 42, OWNER_NOBODY, S_IFREG | 04666);
	assert_int_equal(set(&f, &file, FATTR_UID, 0, 0, 0), -EPERM);
	assert_int_equal(set(&f, &file, FATTR_UID, 42, 0, 0), -EPERM);
	assert_int_equal(set(&f, &file, FATTR_MODE, 0, 0, 0600), -EPERM);
	assert_int_equal(owner_kill_set_id(&f.share, &file, -1), 0);
	assert_on_host(&file, 4242, 4243, S_IFREG | 04666);
	assert_record(&file, NULL);
	close(file.fd);
	end(&f);
}

static void whatever_the_guest_does_the_host_owner_stays(void **state)
{
	static const uint32_t ids[] = { 0, 1, ORDINARY, 65534, 100000, 4294967294, 4294967295 };
	static const mode_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFIFO };
	const unsigned n_ids = sizeof ids / sizeof ids[0];
	struct fixture f;
	unsigned seed = 1;

	(void)state;
	begin(&f, OWNER_SQUASH);
	for (unsigned round = 0; round < 200; round++) {
		const mode_t type = types[round % 5];
		const uint32_t uid = ids[rand_r(&seed) % (n_ids - 1)], gid = ids[rand_r(&seed) % (n_ids - 1)];
		struct node node;
		struct stat st;
		char name[16];

		no_attributes = round % 7 == 0;
		snprintf(name, sizeof name, "%u", round);
		node = create(&f, name, uid, gid, type | ((mode_t)rand_r(&seed) & 07777), 0x103);
		for (unsigned i = 0; i < 10; i++) {
			const uint32_t valid = (uint32_t)rand_r(&seed) & (FATTR_MODE | FATTR_UID | FATTR_GID);

			set(&f, &node, valid, ids[rand_r(&seed) % n_ids], ids[rand_r(&seed) % n_ids],
			    (mode_t)rand_r(&seed) & 07777);
			assert_int_equal(fstat(node.fd, &st), 0);
			assert_int_equal(st.st_uid, geteuid());
			assert_int_equal(st.st_gid, getegid());
			if (type != S_IFLNK) {
				assert_int_equal(st.st_mode & 07000, 0);
				assert_int_equal(st.st_mode & S_IRUSR, S_IRUSR);
				assert_int_equal(st.st_mode & S_IWUSR, S_IWUSR);
			}
		}
		close(node.fd);
	}
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_read_as_it_was_written),
		cmocka_unit_test(what_is_no_record_is_refused),
		cmocka_unit_test(own_files_look_like_the_configured_user_and_need_no_record),
		cmocka_unit_test(another_users_file_is_ours_on_the_host_with_a_record),
		cmocka_unit_test(chown_is_kept_and_chown_back_leaves_nothing),
		cmocka_unit_test(a_mode_that_the_host_may_not_have_is_recorded),
		cmocka_unit_test(special_files_are_empty_regular_ones_on_the_host),
		cmocka_unit_test(owners_of_links_are_kept_in_memory_until_they_are_removed),
		cmocka_unit_test(without_attributes_owners_are_kept_in_memory),
		cmocka_unit_test(a_new_inode_does_not_inherit_what_memory_has_of_its_number),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(a_hostile_attribute_is_as_good_as_none),
		cmocka_unit_test(set_id_bits_go_with_a_write_and_a_chown),
		cmocka_unit_test(a_directory_with_set_group_id_gives_its_group),
		cmocka_unit_test(a_change_has_a_new_ctime_even_where_nothing_changes),
		cmocka_unit_test(a_record_is_read_once_when_it_cannot_change_unseen),
		cmocka_unit_test(ids_outside_the_map_are_refused),
		cmocka_unit_test(without_a_map_every_id_but_minus_one_is_allowed),
		cmocka_unit_test(files_of_others_are_shown_through_the_map_and_not_changed),
		cmocka_unit_test(whatever_the_guest_does_the_host_owner_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
