/* SPDX-License-Identifier: MIT */
/*
 * fs_contained_test.c - a guest never gets past the shared directory by what it looks up: names that are paths, links
 * of all kinds, special files, and a host that swaps directories for links meanwhile.
 *
 * Each share has an outside beside it with a file that must never be seen.
 */
#include "tests/unit/fs_look.h"

#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mount.h>

#include "core/base/path.h"

#define ROUNDS 3000u
#define OUTSIDE "outside"
#define INSIDE "inside"

struct fixture {
	struct fs_client client;
	char outside[256]; /* a folder with "secret" in it */
};

static void make_outside(struct fixture *f)
{
	char path[300];
	FILE *file;

	snprintf(f->outside, sizeof f->outside, "/tmp/capsa-outside-XXXXXX");
	assert_non_null(mkdtemp(f->outside));
	snprintf(path, sizeof path, "%s/secret", f->outside);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(OUTSIDE, file);
	assert_int_equal(fchmod(fileno(file), 0640), 0);
	fclose(file);
}

static void begin(struct fixture *f, const char *options)
{
	make_outside(f);
	fs_begin(&f->client, NULL, options);
}

/* The secret is what it was. */
static void end(struct fixture *f)
{
	char path[300], text[16] = "";
	struct stat st;
	FILE *file;

	snprintf(path, sizeof path, "%s/secret", f->outside);
	file = fopen(path, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof text, file));
	assert_string_equal(text, OUTSIDE);
	assert_int_equal(fstat(fileno(file), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	assert_int_equal(st.st_nlink, 1);
	fclose(file);
	fs_end(&f->client);
	path_remove_tree(f->outside);
}

static void names_that_are_paths_are_refused(void **state)
{
	static const char *const names[] = { "",    ".",  "..",  "/",    "//",     "/etc", "/etc/passwd",
		                             "d/f", "d/", "./f", "../f", "d/../f", "..//", "f/.." };
	struct fixture f;
	struct fs_client *c = &f.client;
	uint64_t dir;

	(void)state;
	begin(&f, "");
	host_mkdir(c, "d");
	fs_host_file(c, "d/f", INSIDE, 0644);
	fs_host_file(c, "f", INSIDE, 0644);
	dir = look(c, FUSE_ROOT_ID, "d");
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		assert_int_equal(fs_lookup(c, FUSE_ROOT_ID, names[i], NULL, NULL), -EINVAL);
		assert_int_equal(fs_lookup(c, dir, names[i], NULL, NULL), -EINVAL);
	}
	/* No end, and an end in the middle: what is behind it is no part of the name. */
	assert_true(fs_call(c, FUSE_LOOKUP, FUSE_ROOT_ID, NULL, 0, "f", 1, NULL, 0, NULL) < 0);
	assert_true(fs_call(c, FUSE_LOOKUP, dir, NULL, 0, "..\0f", 5, NULL, 0, NULL) < 0);
	end(&f);
}

/* Whatever can be done to a link is done to it, and nothing is to what it points to. */
static void is_only_a_link(struct fs_client *c, uint64_t parent, const char *name, const char *target)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE };
	struct fuse_entry_out entry;
	uint64_t link, fh;
	char got[4096];
	int rc;

	assert_int_equal(fs_lookup(c, parent, name, &link, &entry), 0);
	assert_true(S_ISLNK(entry.attr.mode));
	if (target) {
		assert_int_equal(fs_readlink(c, link, got, sizeof got), strlen(target));
		assert_string_equal(got, target);
	}
	assert_int_equal(fs_lookup(c, link, "secret", NULL, NULL), -ENOTDIR);
	assert_int_equal(fs_open(c, link, O_RDONLY, &fh), -ELOOP);
	assert_int_equal(fs_open(c, link, O_RDWR | O_NOFOLLOW, &fh), -ELOOP);
	assert_int_equal(fs_open(c, link, O_PATH, &fh), -ELOOP);
	assert_int_equal(fs_opendir(c, link, &fh), -ENOTDIR);
	rc = fs_setattr(c, link, &in, NULL);
	assert_true(rc == -EINVAL || rc == -EACCES); /* of /proc nothing is changed at all */
	fs_chmod(c, link, 0777);
	fs_truncate(c, link, 0);
	assert_true(fs_create(c, link, "new", O_RDWR, 0644, NULL, &fh) < 0);
	assert_true(fs_mkdir(c, link, "new", 0755, NULL) < 0);
	assert_true(fs_unlink(c, link, "secret") < 0);
	assert_true(fs_rename(c, link, "secret", FUSE_ROOT_ID, "mine", 0) < 0);
	fs_forget(c, link, 1);
}

static void links_are_given_as_links_and_never_followed(void **state)
{
	static const char *const targets[] = { "/", "/etc/passwd", "..",   "../..",          ".",
		                               "d", "d/f",         "loop", "/proc/self/root" };
	struct fixture f;
	struct fs_client *c = &f.client;
	char path[300];

	(void)state;
	begin(&f, "");
	host_mkdir(c, "d");
	fs_host_file(c, "d/f", INSIDE, 0644);
	for (unsigned i = 0; i < sizeof targets / sizeof *targets; i++) {
		assert_int_equal(symlinkat(targets[i], c->folder_fd, "loop"), 0);
		is_only_a_link(c, FUSE_ROOT_ID, "loop", targets[i]);
		assert_int_equal(unlinkat(c->folder_fd, "loop", 0), 0);
	}
	assert_int_equal(symlinkat(f.outside, c->folder_fd, "out"), 0);
	is_only_a_link(c, FUSE_ROOT_ID, "out", f.outside);
	snprintf(path, sizeof path, "%s/secret", f.outside);
	assert_int_equal(symlinkat(path, c->folder_fd, "d/out"), 0);
	is_only_a_link(c, look(c, FUSE_ROOT_ID, "d"), "out", path);
	fs_host_has(c, "d/f", INSIDE);
	end(&f);
}

static void links_of_proc_are_links_too(void **state)
{
	static const char *const links[] = { "root", "cwd", "exe" };
	struct fs_client c;
	uint64_t fd, ns;

	(void)state;
	fs_begin(&c, "/proc/self", "");
	for (unsigned i = 0; i < 3; i++)
		is_only_a_link(&c, FUSE_ROOT_ID, links[i], NULL);
	/* Those of descriptors: this is where capsa's own way of opening leads along. */
	fd = look(&c, FUSE_ROOT_ID, "fd");
	is_only_a_link(&c, fd, "0", NULL);
	for (int i = 3; i < 64; i++) {
		char name[8];

		snprintf(name, sizeof name, "%d", i);
		if (fs_lookup(&c, fd, name, NULL, NULL) == 0)
			is_only_a_link(&c, fd, name, NULL);
	}
	ns = look(&c, FUSE_ROOT_ID, "ns");
	is_only_a_link(&c, ns, "mnt", NULL);
	fs_end(&c);
}

/* Names can be looked up there; the host's memory, its log and its settings are out of reach. */
static void what_the_kernel_shows_of_itself_is_not_opened(void **state)
{
	static const char *const files[] = { "mem", "environ", "maps", "comm", "oom_score_adj" };
	struct fs_client c;
	uint64_t node, fh;

	(void)state;
	fs_begin(&c, "/proc/self", "");
	for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
		node = look(&c, FUSE_ROOT_ID, files[i]);
		assert_int_equal(fs_open(&c, node, O_RDONLY, &fh), -EACCES);
		assert_int_equal(fs_open(&c, node, O_RDWR, &fh), -EACCES);
		assert_int_equal(fs_open(&c, node, O_WRONLY | O_TRUNC, &fh), -EACCES);
		assert_int_equal(fs_truncate(&c, node, 0), -EACCES);
		assert_int_equal(fs_chmod(&c, node, 0644), -EACCES);
	}
	assert_true(fs_create(&c, FUSE_ROOT_ID, "comm", O_RDWR, 0644, &node, &fh) < 0);
	assert_int_equal(fs_opendir(&c, FUSE_ROOT_ID, &fh), -EACCES);
	assert_int_equal(fs_opendir(&c, look(&c, FUSE_ROOT_ID, "task"), &fh), -EACCES);
	fs_end(&c);

	fs_begin(&c, "/sys", "owner = \"squash\";");
	assert_int_equal(fs_walk(&c, "kernel/uevent_seqnum", &node), 0);
	assert_int_equal(fs_open(&c, node, O_RDONLY, &fh), -EACCES);
	assert_int_equal(fs_getattr(&c, node, NULL), 0);
	assert_int_equal(fs_mkdir(&c, FUSE_ROOT_ID, "new", 0755, NULL), -EACCES);
	assert_true(fs_list(&c, FUSE_ROOT_ID, true, NULL, NULL) > 2);
	fs_end(&c);
}

static void is_never_opened(struct fs_client *c, const char *name, mode_t type)
{
	static const int flags[] = {
		O_RDONLY, O_WRONLY, O_RDWR, O_RDONLY | O_NONBLOCK, O_RDWR | O_NONBLOCK, O_PATH, O_RDONLY | O_DIRECTORY
	};
	struct fuse_entry_out entry;
	uint64_t node, fh;

	assert_int_equal(fs_lookup(c, FUSE_ROOT_ID, name, &node, &entry), 0);
	assert_int_equal(entry.attr.mode & S_IFMT, type);
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
		assert_true(fs_open(c, node, flags[i], &fh) < 0);
	assert_int_equal(fs_open(c, node, O_RDONLY, &fh), -ENXIO);
	assert_int_equal(fs_opendir(c, node, &fh), -ENOTDIR);
	assert_int_equal(fs_truncate(c, node, 0), -EINVAL);
	assert_int_equal(fs_getattr(c, node, NULL), 0);
}

static void special_files_are_seen_and_never_opened(void **state)
{
	struct fixture f;
	struct fs_client *c = &f.client;

	(void)state;
	begin(&f, "");
	assert_int_equal(mkfifoat(c->folder_fd, "fifo", 0666), 0);
	is_never_opened(c, "fifo", S_IFIFO); /* one that would wait for a writer */
	assert_int_equal(mknodat(c->folder_fd, "socket", S_IFSOCK | 0666, 0), 0);
	is_never_opened(c, "socket", S_IFSOCK);
	end(&f);
}

static void devices_are_seen_and_never_opened(void **state)
{
	struct fs_client c;

	(void)state;
	fs_begin(&c, "/dev", "readonly = true;");
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "null", "zero", "tty" };
		struct fuse_entry_out entry;
		uint64_t node, fh;

		assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, names[i], &node, &entry), 0);
		assert_true(S_ISCHR(entry.attr.mode));
		assert_int_equal(fs_open(&c, node, O_RDONLY, &fh), -ENXIO);
		assert_int_equal(fs_open(&c, node, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fh), -ENXIO);
	}
	fs_end(&c);
}

/* ---- races with the host ---- */

struct race {
	struct fixture f;
	atomic_bool stop;
};

/* "d" is a directory with "secret", then a link to the outside with "secret", and so on. */
static void *swap(void *ctx)
{
	struct race *race = ctx;
	int folder = race->f.client.folder_fd;

	while (!atomic_load(&race->stop))
		renameat2(folder, "d", folder, "link", RENAME_EXCHANGE);
	return NULL;
}

static void race_begin(struct race *race, pthread_t *thread)
{
	struct fs_client *c = &race->f.client;

	atomic_store(&race->stop, false);
	begin(&race->f, "cache = \"none\";");
	host_mkdir(c, "d");
	fs_host_file(c, "d/secret", INSIDE, 0644);
	host_mkdir(c, "d/e");
	fs_host_file(c, "d/e/secret", INSIDE, 0644);
	assert_int_equal(symlinkat(race->f.outside, c->folder_fd, "link"), 0);
	assert_int_equal(pthread_create(thread, NULL, swap, race), 0);
}

static void race_end(struct race *race, pthread_t thread)
{
	atomic_store(&race->stop, true);
	pthread_join(thread, NULL);
	end(&race->f);
}

/* Reads a file if it can be opened, writes to it, and says whether it was there. */
static bool is_inside(struct fs_client *c, uint64_t node)
{
	char text[16] = "";
	ssize_t n;
	uint64_t fh;

	if (fs_open(c, node, O_RDWR, &fh) < 0)
		return false;
	n = fs_read(c, node, fh, text, sizeof text - 1, 0);
	assert_int_equal(n, strlen(INSIDE));
	assert_string_equal(text, INSIDE);
	assert_int_equal(fs_release(c, node, fh), 0);
	return true;
}

static void see_no_secret(void *ctx, const char *name, const struct fuse_dirent *entry)
{
	const struct stat *secret = ctx;

	if (strcmp(name, "secret") == 0)
		assert_true(entry->ino != secret->st_ino);
}

static void a_directory_swapped_for_a_link_never_leads_outside(void **state)
{
	unsigned directories = 0, links = 0;
	char path[300];
	struct race race;
	struct fs_client *c = &race.f.client;
	struct stat secret;
	pthread_t thread;

	(void)state;
	race_begin(&race, &thread);
	snprintf(path, sizeof path, "%s/secret", race.f.outside);
	assert_int_equal(stat(path, &secret), 0);
	for (unsigned i = 0; i < ROUNDS || !directories || !links; i++) {
		uint64_t dir, file, fh;
		struct fuse_entry_out entry;

		if (fs_lookup(c, FUSE_ROOT_ID, "d", &dir, &entry) < 0)
			continue; /* a moment without a name there is not */
		if (S_ISLNK(entry.attr.mode)) {
			links++;
			assert_int_equal(fs_lookup(c, dir, "secret", NULL, NULL), -ENOTDIR);
			assert_int_equal(fs_opendir(c, dir, &fh), -ENOTDIR);
		} else {
			directories++;
			assert_int_equal(fs_lookup(c, dir, "secret", &file, &entry), 0);
			assert_true(entry.attr.ino != secret.st_ino);
			assert_true(is_inside(c, file));
			fs_chmod(c, file, 0644);
			if (i % 16 == 0)
				assert_true(fs_list(c, dir, i % 32 == 0, see_no_secret, &secret) == 4);
			fs_forget(c, file, 1);
		}
		fs_forget(c, dir, 1);
	}
	print_message("%u times the directory, %u times the link\n", directories, links);
	race_end(&race, thread);
}

/* A node that lost its descriptor is found again by its names: these may be links by then. */
static void a_node_that_is_opened_again_is_the_same_or_stale(void **state)
{
	unsigned same = 0, stale = 0;
	struct race race;
	struct fs_client *c = &race.f.client;
	struct fuse_entry_out entry;
	uint64_t dir, sub, file;
	pthread_t thread;

	(void)state;
	race_begin(&race, &thread);
	node_table_limit(c->share->nodes, 4);
	do {
		assert_int_equal(fs_lookup(c, FUSE_ROOT_ID, "d", &dir, &entry), 0);
	} while (!S_ISDIR(entry.attr.mode));
	sub = look(c, dir, "e");
	file = look(c, sub, "secret");
	for (unsigned i = 0; i < ROUNDS || !same; i++) {
		/* Others take all descriptors. */
		node_table_limit(c->share->nodes, 0);
		node_table_limit(c->share->nodes, 4);
		if (is_inside(c, file))
			same++;
		else
			stale++;
	}
	print_message("%u times the file, %u times stale\n", same, stale);
	race_end(&race, thread);
}

/* ---- other file systems ---- */

static void a_mount_in_the_share_is_another_file_system_and_the_way_stays_inside(void **state)
{
	struct fs_client c;
	struct fuse_entry_out mount_entry, twin_entry;
	uint64_t mounted, twin, file;
	char folder[256], path[300];

	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		fs_skips(true, "mounts need root");
		return;
	}
	snprintf(folder, sizeof folder, "/tmp/capsa-mounts-XXXXXX");
	assert_non_null(mkdtemp(folder));
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "d", "mounted", "proc" };

		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
	}
	snprintf(path, sizeof path, "%s/mounted", folder);
	if (mount("none", path, "tmpfs", 0, NULL) < 0) {
		path_remove_tree(folder);
		fs_skips(true, "no tmpfs can be mounted here");
		return;
	}
	fs_begin(&c, folder, "owner = \"host\";");
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "mounted", &mounted, &mount_entry), 0);
	assert_true(mount_entry.attr.flags & FUSE_ATTR_SUBMOUNT);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "d", &twin, &twin_entry), 0);
	assert_false(twin_entry.attr.flags & FUSE_ATTR_SUBMOUNT);
	fs_host_file(&c, "mounted/f", INSIDE, 0644);
	assert_int_equal(fs_lookup(&c, mounted, "f", &file, NULL), 0);
	assert_true(is_inside(&c, file));
	assert_int_equal(fs_rename(&c, mounted, "f", FUSE_ROOT_ID, "f", 0), -EXDEV);

	/* The same directory once more, mounted: another node, and below it the mount's nodes. */
	snprintf(path, sizeof path, "%s/d", folder);
	assert_int_equal(mount(folder, path, NULL, MS_BIND, NULL), 0);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "d", &twin, &twin_entry), 0);
	assert_true(twin != FUSE_ROOT_ID);
	assert_true(twin_entry.attr.flags & FUSE_ATTR_SUBMOUNT);
	assert_true(look(&c, twin, "mounted") != mounted);

	snprintf(path, sizeof path, "%s/proc", folder);
	if (mount("/proc", path, NULL, MS_BIND, NULL) == 0) {
		const uint64_t proc = look(&c, FUSE_ROOT_ID, "proc");
		uint64_t self = look(&c, proc, "self"), fh;
		char target[16], number[16];

		assert_true(fs_readlink(&c, self, target, sizeof target) > 0);
		assert_int_equal(fs_lookup(&c, self, "root", NULL, NULL), -ENOTDIR);
		snprintf(number, sizeof number, "%d", getpid());
		is_only_a_link(&c, look(&c, look(&c, FUSE_ROOT_ID, "proc"), number), "root", NULL);
		is_only_a_link(&c, look(&c, look(&c, FUSE_ROOT_ID, "proc"), number), "cwd", NULL);
		/* The kind of the mount is not that of the share. */
		assert_int_equal(fs_open(&c, look(&c, proc, "kmsg"), O_RDONLY, &fh), -EACCES);
		assert_int_equal(fs_open(&c, look(&c, look(&c, proc, number), "mem"), O_RDONLY, &fh), -EACCES);
		assert_int_equal(fs_open(&c, look(&c, look(&c, proc, number), "environ"), O_RDONLY, &fh), -EACCES);
		assert_int_equal(fs_opendir(&c, proc, &fh), -EACCES);
	}
	fs_end(&c);
	for (unsigned i = 0; i < 3; i++) {
		static const char *const names[] = { "proc", "d", "mounted" };

		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		umount2(path, MNT_DETACH);
	}
	path_remove_tree(folder);
}

static void number_is(void *ctx, const char *name, const struct fuse_dirent *entry)
{
	if (strcmp(name, "f") == 0)
		*(uint64_t *)ctx = entry->ino;
}

static void file_systems_that_look_like_one_have_different_inode_numbers(void **state)
{
	static const char *const names[] = { "d", "e" };
	struct fuse_entry_out entry[2], file[2];
	char folder[256], path[300];
	uint64_t node, listed;
	struct fs_client c;
	struct stat st;
	unsigned i;

	(void)state;
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		print_message("mounts need root\n");
		skip();
	}
	snprintf(folder, sizeof folder, "/tmp/capsa-mounts-XXXXXX");
	assert_non_null(mkdtemp(folder));
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		assert_int_equal(mkdir(path, 0755), 0);
		assert_int_equal(mount("none", path, "tmpfs", 0, NULL), 0);
	}
	/* Two of a kind number their files alike. */
	fs_begin(&c, folder, "owner = \"host\"; submounts = false;");
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/f", names[i]);
		fs_host_file(&c, path, INSIDE, 0644);
		assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, names[i], &node, &entry[i]), 0);
		assert_int_equal(fs_lookup(&c, node, "f", NULL, &file[i]), 0);
		assert_int_equal(fs_list(&c, node, false, number_is, &listed), 3);
		assert_true(listed == file[i].attr.ino);
		assert_int_equal(fs_list(&c, node, true, number_is, &listed), 3);
		assert_true(listed == file[i].attr.ino);
		assert_int_equal(fstatat(c.folder_fd, path, &st, 0), 0);
		assert_true((file[i].attr.ino & (UINT64_MAX >> 8)) == st.st_ino);
	}
	assert_true(entry[0].attr.ino != entry[1].attr.ino);
	assert_true(file[0].attr.ino != file[1].attr.ino);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "d", &node, &entry[1]), 0);
	assert_true(entry[0].attr.ino == entry[1].attr.ino);
	fs_end(&c);
	/* Where they are seen, numbers are the host's. */
	fs_begin(&c, folder, "owner = \"host\";");
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, "d", &node, NULL), 0);
	assert_int_equal(fs_lookup(&c, node, "f", NULL, &file[0]), 0);
	assert_int_equal(fstatat(c.folder_fd, "d/f", &st, 0), 0);
	assert_true(file[0].attr.ino == st.st_ino);
	fs_end(&c);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		umount2(path, MNT_DETACH);
	}
	path_remove_tree(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_are_paths_are_refused),
		cmocka_unit_test(links_are_given_as_links_and_never_followed),
		cmocka_unit_test(links_of_proc_are_links_too),
		cmocka_unit_test(what_the_kernel_shows_of_itself_is_not_opened),
		cmocka_unit_test(special_files_are_seen_and_never_opened),
		cmocka_unit_test(devices_are_seen_and_never_opened),
		cmocka_unit_test(a_directory_swapped_for_a_link_never_leads_outside),
		cmocka_unit_test(a_node_that_is_opened_again_is_the_same_or_stale),
		cmocka_unit_test(a_mount_in_the_share_is_another_file_system_and_the_way_stays_inside),
		cmocka_unit_test(file_systems_that_look_like_one_have_different_inode_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
