/* SPDX-License-Identifier: MIT */
/* fs_tree_test.c - what changes directories: made, moved and removed as asked, and never outside the share. */
#include "tests/unit/fs_look.h"

#include <dirent.h>
#include <stdatomic.h>
#include <sys/sysmacros.h>

#include "core/base/path.h"

#define ROUNDS 3000

static void all_kinds_are_made_as_they_are_on_the_host(void **state)
{
	const uint32_t rdev = 7u << 8 | 3u | 0x12300000u; /* 7, 0x12303 in Linux' new_encode_dev() */
	static const mode_t kinds[] = { S_IFREG, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	struct fs_client client;
	struct fuse_attr attr;
	char target[64];
	uint64_t node;
	struct stat st;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	fs_begin(&client, NULL, "owner = \"host\";");
	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		char name[8];

		snprintf(name, sizeof name, "k%u", i);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, name, kinds[i] | 0640, rdev, &node), 0);
		st = host_stat(&client, name);
		assert_int_equal(st.st_mode, kinds[i] | 0640);
		if (S_ISCHR(kinds[i]) || S_ISBLK(kinds[i])) {
			assert_int_equal(major(st.st_rdev), 7);
			assert_int_equal(minor(st.st_rdev), 0x12303);
		}
		assert_int_equal(fs_getattr(&client, node, &attr), 0);
		assert_int_equal(attr.mode, st.st_mode);
		assert_int_equal(attr.ino, st.st_ino);
	}
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0750, &node), 0);
	assert_int_equal(host_stat(&client, "d").st_mode, S_IFDIR | 0750);
	assert_int_equal(fs_symlink(&client, node, "link", "/etc/../nowhere", &node), 0);
	assert_int_equal(fs_readlink(&client, node, target, sizeof target), 15);
	assert_string_equal(target, "/etc/../nowhere");
	assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "odd", S_IFDIR | 0755, 0, &node), -EINVAL);
	assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, "k0", S_IFREG | 0644, 0, &node), -EEXIST);
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0755, &node), -EEXIST);
	fs_end(&client);
}

/* Links cannot have the attribute that keeps their owners: memory does, as long as they are there. */
static void owners_of_links_are_forgotten_with_their_last_name(void **state)
{
	struct fs_client client;
	uint64_t node;

	(void)state;
	fs_begin(&client, NULL, "owner = \"squash\";");
	client.uid = client.gid = 33;
	assert_int_equal(fs_symlink(&client, FUSE_ROOT_ID, "a", "target", &node), 0);
	assert_int_equal(fs_link(&client, node, FUSE_ROOT_ID, "b"), 0);
	assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "a"), 0);
	assert_true(owner_remembers(client.share));
	assert_int_equal(fs_symlink(&client, FUSE_ROOT_ID, "c", "target", &node), 0);
	assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "c"), 0);
	assert_true(owner_remembers(client.share));
	client.uid = client.gid = 0;
	assert_int_equal(fs_symlink(&client, FUSE_ROOT_ID, "plain", "target", &node), 0);
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "plain", FUSE_ROOT_ID, "b", 0), 0);
	assert_false(owner_remembers(client.share));
	fs_end(&client);
}

static void squashed_special_files_are_empty_regular_ones_on_the_host(void **state)
{
	static const mode_t kinds[] = { S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK };
	struct fs_client client;
	struct fuse_attr attr;
	uint64_t node, dir;

	(void)state;
	fs_begin(&client, NULL, "owner = \"squash\";");
	for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		char name[8];
		struct stat st;

		snprintf(name, sizeof name, "k%u", i);
		assert_int_equal(fs_mknod(&client, FUSE_ROOT_ID, name, kinds[i] | 0604, 0x103, &node), 0);
		st = host_stat(&client, name);
		assert_true(S_ISREG(st.st_mode));
		assert_int_equal(st.st_size, 0);
		assert_int_equal(fs_getattr(&client, node, &attr), 0);
		assert_int_equal(attr.mode, kinds[i] | 0604);
		if (S_ISCHR(kinds[i]) || S_ISBLK(kinds[i]))
			assert_int_equal(attr.rdev, 0x103);
		/* CREATE of that name is for the guest's kernel to sort out: it knows better than to open our file. */
		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, name, O_RDWR, 0644, &node, &dir), -ESTALE);
	}
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0, &dir), 0);
	assert_int_equal(host_stat(&client, "d").st_mode & 0700, 0700);
	assert_int_equal(fs_getattr(&client, dir, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR);
	assert_int_equal(fs_mkdir(&client, dir, "inside", 0755, &node), 0);
	fs_end(&client);
}

static void a_name_is_one_component_for_every_operation(void **state)
{
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "../x", "d/../../x", "/etc/x" };
	const struct fuse_mknod_in make = { .mode = S_IFREG | 0644 };
	const struct fuse_create_in create = { .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644 };
	const struct fuse_mkdir_in dir = { .mode = 0755 };
	struct fs_client client;
	uint64_t file, node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "file", "x", 0644);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", &file, NULL), 0);
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		const char *name = bad[i];
		const size_t len = strlen(name) + 1;

		assert_int_equal(
			fs_call(&client, FUSE_MKNOD, FUSE_ROOT_ID, &make, sizeof make, name, len, NULL, 0, NULL),
			-EINVAL);
		assert_int_equal(fs_call(&client, FUSE_MKDIR, FUSE_ROOT_ID, &dir, sizeof dir, name, len, NULL, 0, NULL),
		                 -EINVAL);
		assert_int_equal(
			fs_call(&client, FUSE_CREATE, FUSE_ROOT_ID, &create, sizeof create, name, len, NULL, 0, NULL),
			-EINVAL);
		assert_int_equal(fs_symlink(&client, FUSE_ROOT_ID, name, "t", &node), -EINVAL);
		assert_int_equal(fs_link(&client, file, FUSE_ROOT_ID, name), -EINVAL);
		assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, name), -EINVAL);
		assert_int_equal(fs_rmdir(&client, FUSE_ROOT_ID, name), -EINVAL);
		assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, name, FUSE_ROOT_ID, "b", 0), -EINVAL);
		assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "file", FUSE_ROOT_ID, name, 0), -EINVAL);
		assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "file", FUSE_ROOT_ID, name, RENAME_EXCHANGE),
		                 -EINVAL);
	}
	/* Any other bytes are a name. */
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "\xff\xfe \n\t*\\", O_RDWR, 0644, &node, &fh), 0);
	assert_true(fs_host_exists(&client, "\xff\xfe \n\t*\\"));
	assert_int_equal(fs_release(&client, node, fh), 0);
	fs_end(&client);
}

static void hard_links_are_to_the_inode_even_of_a_symbolic_link(void **state)
{
	struct fs_client client;
	uint64_t file, link, dir, other;
	struct fuse_entry_out entry;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "file", "x", 0644);
	assert_int_equal(symlinkat("nowhere", client.folder_fd, "link"), 0);
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0755, &dir), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", &file, NULL), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "link", &link, NULL), 0);
	assert_int_equal(fs_link(&client, file, dir, "file2"), 0);
	assert_int_equal(fs_link(&client, link, dir, "link2"), 0);
	assert_int_equal(host_stat(&client, "d/file2").st_ino, host_stat(&client, "file").st_ino);
	assert_int_equal(host_stat(&client, "d/link2").st_ino, host_stat(&client, "link").st_ino);
	assert_int_equal(fs_lookup(&client, dir, "file2", &other, &entry), 0);
	assert_int_equal(other, file);
	assert_int_equal(entry.attr.nlink, 2);
	assert_false(fs_host_exists(&client, "nowhere"));
	assert_int_equal(fs_link(&client, dir, FUSE_ROOT_ID, "d2"), -EPERM);
	assert_int_equal(fs_link(&client, file, dir, "file2"), -EEXIST);
	assert_int_equal(fs_link(&client, file + 77, dir, "x"), -ESTALE);
	assert_int_equal(fs_link(&client, file, file, "x"), -ENOTDIR);
	fs_end(&client);
}

static void removing_says_what_unlink_and_rmdir_say(void **state)
{
	struct fs_client client;
	uint64_t dir, node;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0755, &dir), 0);
	assert_int_equal(fs_mknod(&client, dir, "f", S_IFREG | 0644, 0, &node), 0);
	assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, "d"), -EISDIR);
	assert_int_equal(fs_rmdir(&client, FUSE_ROOT_ID, "d"), -ENOTEMPTY);
	assert_int_equal(fs_rmdir(&client, dir, "f"), -ENOTDIR);
	assert_int_equal(fs_unlink(&client, dir, "g"), -ENOENT);
	assert_int_equal(fs_unlink(&client, node, "g"), -ENOTDIR);
	assert_int_equal(fs_unlink(&client, dir, "f"), 0);
	assert_int_equal(fs_rmdir(&client, FUSE_ROOT_ID, "d"), 0);
	assert_int_equal(fs_mkdir(&client, dir, "late", 0755, &node), -ENOENT);
	assert_false(fs_host_exists(&client, "d"));
	fs_end(&client);
}

static void rename_replaces_or_not_or_exchanges(void **state)
{
	struct fs_client client;
	uint64_t a, b, dir, node;
	struct fuse_attr attr;

	(void)state;
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "a", "A", 0644);
	fs_host_file(&client, "b", "B", 0644);
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d", 0755, &dir), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "a", &a, NULL), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "b", &b, NULL), 0);
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b", RENAME_NOREPLACE), -EEXIST);
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b", RENAME_EXCHANGE), 0);
	fs_host_has(&client, "a", "B");
	fs_host_has(&client, "b", "A");
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "b", dir, "c", RENAME_NOREPLACE), 0);
	fs_host_has(&client, "d/c", "A");
	assert_int_equal(fs_lookup(&client, dir, "c", &node, NULL), 0);
	assert_int_equal(node, a);
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "a", dir, "c", 0), 0);
	fs_host_has(&client, "d/c", "B");
	/* What was replaced is there for who knows it. */
	assert_int_equal(fs_getattr(&client, a, &attr), 0);
	assert_int_equal(attr.nlink, 0);
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "d", dir, "x", 0), -EINVAL);
	assert_int_equal(fs_rename(&client, FUSE_ROOT_ID, "no", dir, "x", 0), -ENOENT);
	assert_int_equal(fs_rename(&client, dir, "c", FUSE_ROOT_ID, "x", RENAME_WHITEOUT), -EINVAL);
	assert_int_equal(fs_rename(&client, dir, "c", FUSE_ROOT_ID, "x", RENAME_NOREPLACE | RENAME_EXCHANGE), -EINVAL);
	assert_int_equal(fs_rename(&client, dir, "c", FUSE_ROOT_ID, "x", 1u << 30), -EINVAL);
	assert_int_equal(fs_rename(&client, dir, "c", b, "x", 0), -ENOTDIR);
	assert_int_equal(fs_rename(&client, dir, "c", dir + 99, "x", 0), -ESTALE);
	fs_host_has(&client, "d/c", "B");
	fs_end(&client);
}

static void nodes_stay_found_when_their_directories_move_and_descriptors_are_few(void **state)
{
	struct fs_client client;
	uint64_t dirs[40], file;
	struct fuse_attr attr;

	(void)state;
	fs_begin(&client, NULL, "");
	dirs[0] = FUSE_ROOT_ID;
	for (unsigned i = 1; i < 40; i++)
		assert_int_equal(fs_mkdir(&client, dirs[i - 1], "d", 0755, &dirs[i]), 0);
	node_table_limit(client.share->nodes, 8);
	assert_int_equal(fs_mknod(&client, dirs[39], "f", S_IFREG | 0600, 0, &file), 0);
	assert_int_equal(fs_rename(&client, dirs[19], "d", dirs[3], "moved", 0), 0);
	assert_int_equal(fs_rename(&client, dirs[38], "d", FUSE_ROOT_ID, "last", 0), 0);
	assert_int_equal(fs_rename(&client, dirs[39], "f", dirs[25], "f2", 0), 0);
	for (unsigned i = 1; i < 40; i++)
		assert_int_equal(fs_getattr(&client, dirs[i], &attr), 0);
	assert_int_equal(fs_getattr(&client, file, &attr), 0);
	fs_end(&client);
}

/* ---- the host works against us ---- */

struct outside {
	char path[256];
	struct stat before, inside;
};

/* A folder beside the share with one file, which must stay as they are. */
static void outside_make(struct outside *outside)
{
	char file[300];
	FILE *f;

	snprintf(outside->path, sizeof outside->path, "/tmp/capsa-outside-XXXXXX");
	assert_non_null(mkdtemp(outside->path));
	snprintf(file, sizeof file, "%s/precious", outside->path);
	f = fopen(file, "w");
	assert_non_null(f);
	fputs("precious", f);
	fclose(f);
	assert_int_equal(stat(outside->path, &outside->before), 0);
	assert_int_equal(stat(file, &outside->inside), 0);
}

static void assert_same(const struct stat *a, const struct stat *b)
{
	assert_int_equal(a->st_ino, b->st_ino);
	assert_int_equal(a->st_mode, b->st_mode);
	assert_int_equal(a->st_uid, b->st_uid);
	assert_int_equal(a->st_nlink, b->st_nlink);
	assert_int_equal(a->st_size, b->st_size);
	assert_int_equal(a->st_mtim.tv_sec, b->st_mtim.tv_sec);
	assert_int_equal(a->st_mtim.tv_nsec, b->st_mtim.tv_nsec);
	assert_int_equal(a->st_ctim.tv_sec, b->st_ctim.tv_sec);
	assert_int_equal(a->st_ctim.tv_nsec, b->st_ctim.tv_nsec);
}

static void outside_check(struct outside *outside)
{
	char file[300];
	struct stat st;

	assert_int_equal(stat(outside->path, &st), 0);
	assert_same(&st, &outside->before);
	snprintf(file, sizeof file, "%s/precious", outside->path);
	assert_int_equal(stat(file, &st), 0);
	assert_same(&st, &outside->inside);
}

static void outside_remove(struct outside *outside)
{
	outside_check(outside);
	path_remove_tree(outside->path);
}

struct swapper {
	int folder;
	const char *a, *b;
	atomic_bool stop;
	pthread_t thread;
};

static void *swap(void *ctx)
{
	struct swapper *swapper = ctx;

	while (!atomic_load(&swapper->stop))
		renameat2(swapper->folder, swapper->a, swapper->folder, swapper->b, RENAME_EXCHANGE);
	return NULL;
}

static void swapper_start(struct swapper *swapper, int folder, const char *a, const char *b)
{
	*swapper = (struct swapper){ .folder = folder, .a = a, .b = b };
	assert_int_equal(pthread_create(&swapper->thread, NULL, swap, swapper), 0);
}

static void swapper_stop(struct swapper *swapper)
{
	atomic_store(&swapper->stop, true);
	pthread_join(swapper->thread, NULL);
}

static void all_in(struct fs_client *client, uint64_t dir, uint64_t file)
{
	uint64_t node, fh;

	if (fs_mkdir(client, dir, "sub", 0777, &node) == 0)
		fs_forget(client, node, 1);
	if (fs_mknod(client, dir, "fifo", S_IFIFO | 0666, 0, &node) == 0)
		fs_forget(client, node, 1);
	if (fs_symlink(client, dir, "link", "precious", &node) == 0)
		fs_forget(client, node, 1);
	if (fs_create(client, dir, "made", O_RDWR | O_TRUNC, 0666, &node, &fh) == 0) {
		assert_int_equal(fs_write(client, node, fh, "made", 4, 0), 4);
		fs_release(client, node, fh);
		fs_forget(client, node, 1);
	}
	/* A file that there is outside, and none in the share. */
	if (fs_create(client, dir, "precious", O_WRONLY | O_TRUNC, 0666, &node, &fh) == 0) {
		assert_int_equal(fs_write(client, node, fh, "guest", 5, 0), 5);
		fs_release(client, node, fh);
		fs_forget(client, node, 1);
	}
	if (fs_tmpfile(client, dir, O_RDWR, 0666, &node, &fh) == 0) {
		fs_link(client, node, dir, "tmp");
		fs_release(client, node, fh);
		fs_forget(client, node, 1);
	}
	fs_link(client, file, dir, "hard");
	fs_rename(client, dir, "hard", dir, "soft", 0);
	fs_rename(client, dir, "precious", FUSE_ROOT_ID, "stolen", 0);
	fs_rename(client, FUSE_ROOT_ID, "stolen", dir, "precious", RENAME_EXCHANGE);
	fs_unlink(client, dir, "soft");
	fs_unlink(client, dir, "tmp");
	fs_unlink(client, dir, "precious");
	fs_unlink(client, dir, "made");
	fs_unlink(client, dir, "fifo");
	fs_unlink(client, dir, "link");
	fs_rmdir(client, dir, "sub");
	fs_unlink(client, FUSE_ROOT_ID, "stolen");
}

/* `dir` is now a directory of the share, now a link to the folder outside; the guest's node of it is looked up in
 * either moment, and has to be opened again by its name as there are few descriptors. */
static void nothing_outside_changes_while_the_host_swaps_a_directory_for_a_link(void **state)
{
	struct fs_client client;
	struct outside outside;
	struct swapper swapper;
	uint64_t dir, deep, file, others[12];

	(void)state;
	outside_make(&outside);
	fs_begin(&client, NULL, "");
	fs_host_file(&client, "file", "x", 0644);
	assert_int_equal(mkdirat(client.folder_fd, "dir", 0777), 0);
	assert_int_equal(mkdirat(client.folder_fd, "dir/deep", 0777), 0);
	assert_int_equal(symlinkat(outside.path, client.folder_fd, "trap"), 0);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", &file, NULL), 0);
	for (unsigned i = 0; i < 12; i++) {
		char name[8];

		snprintf(name, sizeof name, "o%u", i);
		assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, name, 0755, &others[i]), 0);
	}
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "dir", &dir, NULL), 0);
	assert_int_equal(fs_lookup(&client, dir, "deep", &deep, NULL), 0);
	node_table_limit(client.share->nodes, 8);
	swapper_start(&swapper, client.folder_fd, "dir", "trap");
	for (unsigned i = 0; i < ROUNDS / 10; i++) {
		struct fuse_attr attr;
		uint64_t found;

		all_in(&client, deep, file);
		if (fs_lookup(&client, FUSE_ROOT_ID, "dir", &found, NULL) == 0) {
			all_in(&client, found, file);
			fs_forget(&client, found, 1);
		}
		for (unsigned n = 0; n < 12; n++)
			fs_getattr(&client, others[n], &attr);
	}
	swapper_stop(&swapper);
	outside_remove(&outside);
	fs_end(&client);
}

/* The name itself is swapped: a directory, or what the guest has just made, for a link to what is outside. */
static void nothing_outside_changes_while_the_host_swaps_what_was_just_made(void **state)
{
	struct fs_client client;
	struct outside outside;
	struct swapper swapper;
	char trap[300];

	(void)state;
	outside_make(&outside);
	fs_begin(&client, NULL, "owner = \"squash\";");
	snprintf(trap, sizeof trap, "%s/precious", outside.path);
	assert_int_equal(symlinkat(trap, client.folder_fd, "trap"), 0);
	swapper_start(&swapper, client.folder_fd, "name", "trap");
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t node, fh;
		int r;

		switch (i % 4) {
		case 0:
			r = fs_create(&client, FUSE_ROOT_ID, "name", O_RDWR | O_TRUNC, 04777, &node, &fh);
			if (r == 0) {
				assert_int_equal(fs_write(&client, node, fh, "guest", 5, 0), 5);
				fs_release(&client, node, fh);
			}
			break;
		case 1:
			r = fs_mknod(&client, FUSE_ROOT_ID, "name", S_IFIFO | 0777, 0, &node);
			break;
		case 2:
			r = fs_mkdir(&client, FUSE_ROOT_ID, "name", 0777, &node);
			break;
		default:
			r = fs_symlink(&client, FUSE_ROOT_ID, "name", "t", &node);
			break;
		}
		if (r == 0) {
			fs_chmod(&client, node, 0777);
			fs_chown(&client, node, 5, 5);
			fs_setxattr(&client, node, "user.x", "x", 1, 0);
			fs_truncate(&client, node, 0);
			fs_forget(&client, node, 1);
		}
		fs_unlink(&client, FUSE_ROOT_ID, "name");
		fs_rmdir(&client, FUSE_ROOT_ID, "name");
		/* The trap may be the one that is gone. */
		if (!fs_host_exists(&client, "trap") && !fs_host_exists(&client, "name"))
			symlinkat(trap, client.folder_fd, "trap");
	}
	swapper_stop(&swapper);
	outside_remove(&outside);
	fs_end(&client);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_kinds_are_made_as_they_are_on_the_host),
		cmocka_unit_test(owners_of_links_are_forgotten_with_their_last_name),
		cmocka_unit_test(squashed_special_files_are_empty_regular_ones_on_the_host),
		cmocka_unit_test(a_name_is_one_component_for_every_operation),
		cmocka_unit_test(hard_links_are_to_the_inode_even_of_a_symbolic_link),
		cmocka_unit_test(removing_says_what_unlink_and_rmdir_say),
		cmocka_unit_test(rename_replaces_or_not_or_exchanges),
		cmocka_unit_test(nodes_stay_found_when_their_directories_move_and_descriptors_are_few),
		cmocka_unit_test(nothing_outside_changes_while_the_host_swaps_a_directory_for_a_link),
		cmocka_unit_test(nothing_outside_changes_while_the_host_swaps_what_was_just_made),
	};

	umask(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
