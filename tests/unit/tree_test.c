/* SPDX-License-Identifier: MIT */
/* tree_test.c - proves agent/tree.h: what is copied is what was there, also while it changes. In a folder of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tree_files.h"

static unsigned char pattern[300000];

static void copied(const char *from, const char *name, size_t piece, unsigned flags)
{
	struct tree_cause cause = { "" };
	int rc = tree_copy(from, "to", name, piece, flags, &cause);

	if (rc)
		fail_msg("%d: %s", rc, cause.text);
	assert_no_temporaries("to");
}

/* Something of everything, without what only root can make or read. */
static void make_rich_tree(void)
{
	char name[300];
	int fd;

	put_folder("from/rich");
	put_file("from/rich/empty", "", 0);
	put_file("from/rich/one", "1", 1);
	put_file("from/rich/page", pattern, 4096);
	put_file("from/rich/more", pattern, sizeof pattern);
	put_file("from/rich/set-id", "#!", 2);
	assert_int_equal(chmod("from/rich/set-id", 0755), 0);
	put_folder("from/rich/nothing in it");
	put_folder("from/rich/read-only");
	put_file("from/rich/read-only/file", "x", 1);
	assert_int_equal(chmod("from/rich/read-only/file", 0400), 0);
	assert_int_equal(chmod("from/rich/read-only", 0555), 0);
	put_folder("from/rich/sticky");
	assert_int_equal(chmod("from/rich/sticky", 01777), 0);
	assert_int_equal(symlink("one", "from/rich/link"), 0);
	assert_int_equal(symlink("/nowhere/\xff\n", "from/rich/dangling"), 0);
	assert_int_equal(link("from/rich/more", "from/rich/sticky/more too"), 0);
	assert_int_equal(link("from/rich/more", "from/rich/third"), 0);
	assert_int_equal(mkfifo("from/rich/fifo", 0640), 0);
	memset(name, 'n', sizeof name);
	memcpy(name, "from/rich/", 10);
	name[10 + 255] = '\0';
	put_file(name, "long", 4);
	put_file("from/rich/ \n\t\x01\x7f\xff\xc2\x9b*?", "odd", 3);
	put_file("from/rich/...", "dots", 4);
	put_file("from/rich/-rf", "dash", 4);
	fd = open("from/rich/sparse", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "a", 1, 0), 1);
	assert_int_equal(pwrite(fd, pattern, 100000, 1 << 20), 100000);
	assert_int_equal(pwrite(fd, "b", 1, (5ll << 30) + 12345), 1);
	assert_int_equal(ftruncate(fd, (6ll << 30) + 1), 0);
	close(fd);
	set_time("from/rich/one", 1, 999999999);
	set_time("from/rich/link", -5, 7);
	set_time("from/rich/fifo", 1234567890, 5);
	set_time("from/rich/sticky", 4000000000, 0);
	set_time("from/rich/read-only", 86400, 1);
	set_time("from/rich", 1000000000, 123456789);
}

static void a_rich_tree_arrives_whole_in_pieces_of_any_length(void **state)
{
	static const size_t pieces[] = { 1, 7, 4096, 64 << 10, 0, 0, 0 };

	(void)state;
	make_rich_tree();
	for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++) {
		char name[16], path[32];

		snprintf(name, sizeof name, "copy%zu", i);
		snprintf(path, sizeof path, "to/%s", name);
		copied("from/rich", name, pieces[i], 0);
		assert_same_tree("from/rich", path);
	}
}

static void a_copy_onto_a_copy_replaces_every_file(void **state)
{
	struct stat before, after;

	(void)state;
	make_rich_tree();
	copied("from/rich", NULL, 4096, 0);
	assert_int_equal(chmod("to/rich/read-only", 0755), 0);
	assert_int_equal(stat("to/rich/one", &before), 0);
	copied("from/rich", NULL, 4096, 0);
	assert_int_equal(stat("to/rich/one", &after), 0);
	assert_int_not_equal(before.st_ino, after.st_ino);
	assert_int_equal(count_entries("to/rich"), count_entries("from/rich"));
}

static void a_folder_that_is_there_is_entered_and_keeps_its_mode_and_what_it_holds(void **state)
{
	struct stat st;

	(void)state;
	put_folder("from/d");
	put_file("from/d/new", "n", 1);
	put_folder("to/d");
	assert_int_equal(chmod("to/d", 0711), 0);
	put_file("to/d/old", "o", 1);
	copied("from/d", NULL, 4096, 0);
	assert_int_equal(stat("to/d", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(count_entries("to/d"), 2);
}

static void anything_can_be_the_root(void **state)
{
	char text[8] = "";
	struct stat st;

	(void)state;
	put_file("from/file", "text", 4);
	assert_int_equal(symlink("file", "from/link"), 0);
	assert_int_equal(mkfifo("from/fifo", 0600), 0);
	put_folder("from/folder");
	copied("from/file", NULL, 1, 0);
	copied("from/link", NULL, 1, 0);
	copied("from/fifo", "also", 1, 0);
	copied("from/folder//", NULL, 1, 0);
	assert_int_equal(readlink("to/link", text, sizeof text), 4);
	assert_int_equal(lstat("to/also", &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_int_equal(count_entries("to"), 4);
}

static void a_trailing_slash_follows_a_link_and_dots_are_named_by_what_they_are(void **state)
{
	struct stat st;

	(void)state;
	put_folder("from/real");
	assert_int_equal(symlink("real", "from/link"), 0);
	copied("from/link/", NULL, 64, 0);
	assert_int_equal(lstat("to/link", &st), 0);
	assert_true(S_ISDIR(st.st_mode));
	copied("from/real/.", NULL, 64, 0);
	assert_int_equal(lstat("to/real", &st), 0);
	copied("from/real/..", NULL, 64, 0);
	assert_int_equal(lstat("to/from/real", &st), 0);
}

static void two_hundred_folders_deep_is_copied_and_beyond_the_limit_is_refused(void **state)
{
	struct tree_cause cause;
	int fd = folder_open("from");

	(void)state;
	for (int i = 0; i < 300; i++) {
		int sub;

		if (i == 200) {
			copied("from", "deep", 0, 0);
			assert_same_tree("from", "to/deep");
		}
		assert_int_equal(mkdirat(fd, "d", 0755), 0);
		sub = openat(fd, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(sub >= 0);
		close(fd);
		fd = sub;
	}
	close(fd);
	assert_int_equal(tree_copy("from", "to", "deeper", 0, 0, &cause), -ELOOP);
	assert_non_null(strstr(cause.text, "/d/d: folders lie too deep"));
}

static void ten_thousand_entries_arrive(void **state)
{
	(void)state;
	for (int i = 0; i < 10000; i++) {
		char path[32];

		snprintf(path, sizeof path, "from/%d", i);
		put_file(path, pattern, (size_t)i % 100);
	}
	copied("from", "many", 64 << 10, 0);
	assert_same_tree("from", "to/many");
}

static void hard_links_beyond_the_table_become_files(void **state)
{
	enum { N = 70000 };
	struct stat first, last;
	int fd = folder_open("from");
	char name[32];

	(void)state;
	put_folder("from/a");
	put_folder("from/b");
	for (int i = 0; i < N; i++) {
		char also[32];

		snprintf(name, sizeof name, "a/%d", i);
		snprintf(also, sizeof also, "b/%d", i);
		assert_int_equal(mknodat(fd, name, S_IFREG | 0600, 0), 0);
		assert_int_equal(linkat(fd, name, fd, also, 0), 0);
	}
	close(fd);
	copied("from", "x", 64 << 10, 0);
	assert_int_equal(count_entries("to/x/a"), N);
	assert_int_equal(count_entries("to/x/b"), N);
	unsigned linked = 0;
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "to/x/a/%d", i);
		assert_int_equal(stat(name, &first), 0);
		snprintf(name, sizeof name, "to/x/b/%d", i);
		assert_int_equal(stat(name, &last), 0);
		linked += first.st_ino == last.st_ino;
	}
	assert_int_equal(linked, 64 << 10);
}

static void a_socket_is_left_out(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "from/d/socket" };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct tree_cause cause;

	(void)state;
	put_folder("from/d");
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	copied("from/d", NULL, 64, 0);
	assert_int_equal(count_entries("to/d"), 0);
	assert_int_equal(tree_copy("from/d/socket", "to", NULL, 64, 0, &cause), -EOPNOTSUPP);
	assert_string_equal(cause.text, "from/d/socket: a socket cannot be copied");
	close(fd);
}

static void set_id_bits_and_owners_come_only_where_asked_for(void **state)
{
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	put_folder("from/d");
	put_file("from/d/f", "x", 1);
	assert_int_equal(symlink("f", "from/d/l"), 0);
	assert_int_equal(chown("from/d/f", 12, 34), 0);
	assert_int_equal(chmod("from/d/f", 06755), 0);
	assert_int_equal(lchown("from/d/l", 12, 34), 0);
	assert_int_equal(chmod("from/d", 02775), 0);
	copied("from/d", "without", 64, 0);
	assert_int_equal(stat("to/without/f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(stat("to/without", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0775);
	copied("from/d", "with", 64, TREE_OWNERS);
	assert_same_tree("from/d", "to/with");
	assert_int_equal(stat("to/with/f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 06755);
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(lstat("to/with/l", &st), 0);
	assert_int_equal(st.st_uid, 12);
}

static void files_of_mode_0000_are_copied_by_root(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	put_folder("from/d");
	put_file("from/d/f", "x", 1);
	assert_int_equal(chmod("from/d/f", 0), 0);
	assert_int_equal(chmod("from/d", 0), 0);
	copied("from/d", NULL, 64, 0);
	assert_same_tree("from/d", "to/d");
}

static void device_nodes_come_only_where_asked_for(void **state)
{
	struct tree_cause cause;

	(void)state;
	if (geteuid() != 0 || mknod("from/null", S_IFCHR | 0666, 0x103))
		skip();
	assert_int_equal(tree_copy("from/null", "to", NULL, 64, 0, &cause), -EPERM);
	assert_string_equal(cause.text, "null: it is a device node, which is not copied here");
	assert_int_equal(count_entries("to"), 0);
	copied("from", "with", 64, TREE_NODES);
	assert_same_tree("from", "to/with");
}

static void what_cannot_be_read_is_named(void **state)
{
	struct tree_cause cause;

	(void)state;
	assert_int_equal(tree_copy("from/no such", "to", NULL, 64, 0, &cause), -ENOENT);
	assert_string_equal(cause.text, "from/no such: No such file or directory");
	put_file("from/f", "x", 1);
	assert_int_equal(tree_copy("from/f/", "to", NULL, 64, 0, &cause), -ENOTDIR);
	assert_string_equal(cause.text, "from/f: Not a directory");
	assert_int_equal(tree_copy("", "to", NULL, 64, 0, &cause), -ENOENT);
	assert_int_equal(chmod("from/f", 0), 0);
	assert_int_equal(chmod(".", 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(tree_copy("from", "to", NULL, 64, 0, &cause), -EACCES);
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
	assert_string_equal(cause.text, "from/f: Permission denied");
}

/* ---- while it changes ---- */

/* Reads the stream of `from` up to the first `mark` bytes, lets it change, copies the rest. */
static void copied_while(const char *from, size_t mark, void (*change)(void))
{
	struct tree_receiver *receiver;
	struct tree_sender *sender;
	struct tree_cause cause = { "" };
	int folder = folder_open("to");
	unsigned char bytes[512];
	size_t seen = 0;
	ssize_t n;

	assert_int_equal(tree_sender_open(AT_FDCWD, from, &sender, &cause), 0);
	assert_int_equal(tree_receiver_open(folder, NULL, 0, &receiver, &cause), 0);
	while ((n = tree_sender_read(sender, bytes, seen < mark ? mark : sizeof bytes, &cause)) > 0) {
		assert_int_equal(tree_receiver_write(receiver, bytes, (size_t)n, &cause), 0);
		if (seen < mark && seen + (size_t)n >= mark)
			change();
		seen += (size_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(tree_receiver_finish(receiver, &cause), 0);
	tree_receiver_close(receiver);
	tree_sender_close(sender);
	close(folder);
	assert_no_temporaries("to");
}

static void shrink(void)
{
	assert_int_equal(truncate("from/f", 100), 0);
}

static void grow(void)
{
	int fd = open("from/f", O_WRONLY | O_APPEND | O_CLOEXEC);

	assert_int_equal(write(fd, pattern, 4096), 4096);
	close(fd);
}

static void read_back(const char *path, unsigned char *bytes, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, bytes, len, 0), len);
	close(fd);
}

static void a_file_that_shrinks_is_padded_with_zeros(void **state)
{
	static unsigned char bytes[200000];
	struct stat st;

	(void)state;
	put_file("from/f", pattern, sizeof bytes);
	copied_while("from/f", 60, shrink);
	assert_int_equal(stat("to/f", &st), 0);
	assert_int_equal(st.st_size, sizeof bytes);
	read_back("to/f", bytes, sizeof bytes);
	assert_memory_equal(bytes, pattern, 19);
	for (size_t i = 100; i < sizeof bytes; i++)
		assert_int_equal(bytes[i], 0);
}

static void a_file_that_grows_is_cut(void **state)
{
	static unsigned char bytes[200000];
	struct stat st;

	(void)state;
	put_file("from/f", pattern, sizeof bytes);
	copied_while("from/f", 60, grow);
	assert_int_equal(stat("to/f", &st), 0);
	assert_int_equal(st.st_size, sizeof bytes);
	read_back("to/f", bytes, sizeof bytes);
	assert_memory_equal(bytes, pattern, sizeof bytes);
}

static void remove_all(void)
{
	char path[32];

	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof path, "from/d/%d", i);
		assert_int_equal(unlink(path), 0);
	}
}

static void fifos_for_all(void)
{
	char path[32];

	remove_all();
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof path, "from/d/%d", i);
		assert_int_equal(mkfifo(path, 0600), 0);
	}
}

static void make_hundred(void)
{
	char path[32];

	put_folder("from/d");
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof path, "from/d/%d", i);
		put_file(path, path, strlen(path));
	}
}

/* readdir(3) has read the names by then. */
static void files_that_vanish_are_left_out(void **state)
{
	(void)state;
	make_hundred();
	copied_while("from/d", 60, remove_all);
	assert_in_range(count_entries("to/d"), 1, 99);
}

static void files_that_fifos_replace_do_not_block(void **state)
{
	(void)state;
	make_hundred();
	copied_while("from/d", 60, fifos_for_all);
	assert_int_equal(count_entries("to/d"), 100);
}

/* ---- where it does not fit ---- */

static void a_full_device_is_told_and_nothing_half_made_stays(void **state)
{
	struct tree_cause cause;

	(void)state;
	if (geteuid() != 0 || mount("small", "to", "tmpfs", 0, "size=128k"))
		skip();
	put_folder("from/d");
	put_file("from/d/f", pattern, sizeof pattern);
	assert_int_equal(tree_copy("from/d", "to", NULL, 4096, 0, &cause), -ENOSPC);
	assert_string_equal(cause.text, "d/f: No space left on device");
	assert_no_temporaries("to");
	assert_int_equal(umount2("to", MNT_DETACH), 0);
}

static void the_limit_of_file_size_is_told(void **state)
{
	struct rlimit before, limit;
	struct tree_cause cause;
	int fd = open("from/f", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	(void)state;
	assert_int_equal(ftruncate(fd, 1ll << 40), 0);
	close(fd);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	limit = (struct rlimit){ .rlim_cur = 1 << 20, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(tree_copy("from/f", "to", NULL, 4096, 0, &cause), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_string_equal(cause.text, "f: File too large");
	assert_int_equal(count_entries("to"), 0);
	copied("from", "x", 4096, 0);
	assert_same_tree("from", "to/x");
}

static void folders_and_other_things_do_not_replace_each_other(void **state)
{
	struct tree_cause cause;

	(void)state;
	put_folder("from/d");
	put_file("from/f", "x", 1);
	assert_int_equal(symlink("x", "from/l"), 0);
	put_folder("to/f");
	put_folder("to/l");
	put_file("to/d", "", 0);
	assert_int_equal(tree_copy("from/d", "to", NULL, 64, 0, &cause), -ENOTDIR);
	assert_string_equal(cause.text, "d: it is no folder, and a folder does not replace it");
	assert_int_equal(tree_copy("from/f", "to", NULL, 64, 0, &cause), -EISDIR);
	assert_string_equal(cause.text, "f: it is a folder, which nothing else replaces");
	assert_int_equal(tree_copy("from/l", "to", NULL, 64, 0, &cause), -EISDIR);
	assert_int_equal(tree_copy("from", "to", "x", 64, 0, &cause), 0);
	assert_int_equal(unlink("to/d"), 0);
	assert_int_equal(symlink("f", "to/d"), 0);
	assert_int_equal(tree_copy("from/d", "to", NULL, 64, 0, &cause), -ENOTDIR);
	assert_int_equal(count_entries("to/f"), 0);
	assert_no_temporaries("to");
}

static void a_long_path_is_told_by_its_end(void **state)
{
	struct tree_cause cause;
	char name[256];
	int fd;

	(void)state;
	memset(name, 'n', 250);
	name[250] = '\0';
	assert_int_equal(chdir("from"), 0);
	for (int i = 0; i < 5; i++) {
		put_folder(name);
		assert_int_equal(chdir(name), 0);
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	close(fd);
	put_folder("\x1b[31m\xc2\x9b");
	assert_int_equal(chdir("\x1b[31m\xc2\x9b"), 0);
	for (int i = 0; i < 251; i++) {
		put_folder("d");
		assert_int_equal(chdir("d"), 0);
	}
	assert_int_equal(chdir(*state), 0);
	assert_int_equal(tree_copy("from", "to", NULL, 64, 0, &cause), -ELOOP);
	assert_int_equal(strncmp(cause.text, "...", 3), 0);
	assert_null(strchr(cause.text, '\x1b'));
	assert_non_null(strstr(cause.text, "/d/d: folders lie too deep in folders"));
}

#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, tree_files_enter, tree_files_leave)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TREE_TEST(a_rich_tree_arrives_whole_in_pieces_of_any_length),
		TREE_TEST(a_copy_onto_a_copy_replaces_every_file),
		TREE_TEST(a_folder_that_is_there_is_entered_and_keeps_its_mode_and_what_it_holds),
		TREE_TEST(anything_can_be_the_root),
		TREE_TEST(a_trailing_slash_follows_a_link_and_dots_are_named_by_what_they_are),
		TREE_TEST(two_hundred_folders_deep_is_copied_and_beyond_the_limit_is_refused),
		TREE_TEST(ten_thousand_entries_arrive),
		TREE_TEST(hard_links_beyond_the_table_become_files),
		TREE_TEST(a_socket_is_left_out),
		TREE_TEST(set_id_bits_and_owners_come_only_where_asked_for),
		TREE_TEST(files_of_mode_0000_are_copied_by_root),
		TREE_TEST(device_nodes_come_only_where_asked_for),
		TREE_TEST(what_cannot_be_read_is_named),
		TREE_TEST(a_file_that_shrinks_is_padded_with_zeros),
		TREE_TEST(a_file_that_grows_is_cut),
		TREE_TEST(files_that_vanish_are_left_out),
		TREE_TEST(files_that_fifos_replace_do_not_block),
		TREE_TEST(a_full_device_is_told_and_nothing_half_made_stays),
		TREE_TEST(the_limit_of_file_size_is_told),
		TREE_TEST(folders_and_other_things_do_not_replace_each_other),
		TREE_TEST(a_long_path_is_told_by_its_end),
	};

	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (unsigned char)(i * 7 + i / 251 + 1);
	srand(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
