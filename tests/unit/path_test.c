/* SPDX-License-Identifier: MIT */
/* path_test.c - proves core/base/path.h, in a temporary folder of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/text.h"

static int enter_temporary_folder(void **state)
{
	char *folder = strdup("/tmp/capsa-path-XXXXXX");

	if (!mkdtemp(folder) || chdir(folder))
		return -1;
	*state = folder;
	return 0;
}

static int leave_temporary_folder(void **state)
{
	int rc = chdir("/") || path_remove_tree(*state);

	free(*state);
	return rc;
}

static void expect_text(char *text, const char *expected)
{
	assert_non_null(text);
	assert_string_equal(text, expected);
	free(text);
}

static void touch(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void names_are_joined_to_folders(void **state)
{
	(void)state;
	expect_text(path_join("/a", "b/c"), "/a/b/c");
	expect_text(path_join("/a/", "b"), "/a/b");
	expect_text(path_join("/a", "/b"), "/b");
	expect_text(path_join("/", "b"), "/b");
}

static void the_folder_of_a_file_is_found(void **state)
{
	(void)state;
	expect_text(path_dirname("vm.conf"), ".");
	expect_text(path_dirname("/vm.conf"), "/");
	expect_text(path_dirname("a/b/vm.conf"), "a/b");
	expect_text(path_dirname("a//vm.conf"), "a");
	expect_text(path_dirname("//vm.conf"), "/");
}

static void folders_are_made_with_their_parents(void **state)
{
	struct stat st;

	(void)state;
	assert_int_equal(path_make_dirs("made/b//c/", 0700), 0);
	assert_int_equal(path_make_dirs("made/b/c", 0700), 0);
	assert_int_equal(stat("made/b/c", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(path_make_dirs("/", 0700), 0);
	assert_int_equal(path_make_dirs("", 0700), -ENOENT);
}

static void a_file_in_the_way_of_a_folder_is_an_error(void **state)
{
	(void)state;
	touch("file");
	assert_int_equal(path_make_dirs("file", 0700), -ENOTDIR);
	assert_int_equal(path_make_dirs("file/below", 0700), -ENOTDIR);
}

static void a_tree_is_removed_but_not_what_its_links_mean(void **state)
{
	(void)state;
	assert_int_equal(path_make_dirs("tree/a/b", 0700), 0);
	assert_int_equal(path_make_dirs("kept", 0700), 0);
	touch("tree/a/b/file");
	touch("kept/file");
	assert_int_equal(symlink("../../kept", "tree/a/link"), 0);
	assert_int_equal(mkfifo("tree/fifo", 0600), 0);
	assert_int_equal(path_remove_tree("tree"), 0);
	assert_int_equal(access("tree", F_OK), -1);
	assert_int_equal(access("kept/file", F_OK), 0);
	assert_int_equal(path_remove_tree("tree"), 0);
	assert_int_equal(symlink("kept", "link"), 0);
	assert_true(path_remove_tree("link") < 0);
	assert_int_equal(access("kept/file", F_OK), 0);
}

static void the_cache_folder_follows_the_environment(void **state)
{
	char *wanted = text_format("%s/cache/deep", (const char *)*state);
	struct error err;
	struct stat st;
	char *path;

	setenv("CAPSA_CACHE", wanted, 1);
	path = path_cache_dir(&err);
	assert_non_null(path);
	assert_string_equal(path, wanted);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	free(path);
	setenv("CAPSA_CACHE", "cache/deep", 1);
	expect_text(path_cache_dir(&err), wanted);
	chmod(wanted, 0777);
	assert_null(path_cache_dir(&err));
	assert_non_null(strstr(err.text, "chmod 700"));
	unsetenv("CAPSA_CACHE");
	free(wanted);
}

static void the_run_time_folder_is_private_or_refused(void **state)
{
	struct error err;
	struct stat st;
	char *path;

	setenv("XDG_RUNTIME_DIR", *state, 1);
	path = path_runtime_dir(&err);
	assert_non_null(path);
	assert_int_equal(stat("capsa", &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	free(path);
	chmod("capsa", 0755);
	assert_null(path_runtime_dir(&err));
	assert_non_null(strstr(err.text, "chmod 700"));
	assert_int_equal(rename("capsa", "elsewhere"), 0);
	assert_int_equal(symlink("elsewhere", "capsa"), 0);
	chmod("elsewhere", 0700);
	assert_null(path_runtime_dir(&err));
	assert_non_null(strstr(err.text, "link"));
	setenv("XDG_RUNTIME_DIR", "/nonexistent/folder", 1);
	assert_null(path_runtime_dir(&err));
	assert_non_null(strstr(err.text, "XDG_RUNTIME_DIR"));
	unsetenv("XDG_RUNTIME_DIR");
}

static void kernel_folders_are_listed_best_first(void **state)
{
	char **list;

	(void)state;
	setenv("CAPSA_KERNELS", "/k", 1);
	setenv("XDG_DATA_HOME", "/data", 1);
	list = path_kernel_dirs();
	assert_string_equal(list[0], "/k");
	assert_string_equal(list[1], "/data/capsa/kernels");
	assert_string_equal(list[2], "/var/lib/capsa/kernels");
	assert_null(list[3]);
	path_list_free(list);
	unsetenv("CAPSA_KERNELS");
	setenv("XDG_DATA_HOME", "relative", 1);
	setenv("HOME", "/home/me", 1);
	list = path_kernel_dirs();
	assert_string_equal(list[0], "/home/me/.local/share/capsa/kernels");
	assert_string_equal(list[1], "/var/lib/capsa/kernels");
	path_list_free(list);
}

static void bind_and_connect(const char *path, bool long_one)
{
	int server = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
	    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr;
	socklen_t len;
	int dirfd;

	assert_int_equal(path_unix_address(path, &addr, &len, &dirfd), 0);
	assert_int_equal(dirfd >= 0, long_one);
	assert_int_equal(bind(server, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(server, 1), 0);
	if (dirfd >= 0)
		close(dirfd);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(path_unix_address(path, &addr, &len, &dirfd), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&addr, len), 0);
	if (dirfd >= 0)
		close(dirfd);
	close(client);
	close(server);
}

static void unix_sockets_work_at_paths_of_any_length(void **state)
{
	char name[201], *deep, *exact;
	size_t room;

	memset(name, 'd', sizeof name);
	name[sizeof name - 1] = '\0';
	deep = text_format("%s/%s", (const char *)*state, name);
	assert_int_equal(path_make_dirs(deep, 0700), 0);
	free(deep);
	bind_and_connect("short", false);
	deep = text_format("%s/%s/socket", (const char *)*state, name);
	bind_and_connect(deep, true);
	free(deep);
	/* 107 bytes are the longest that fit, 108 the shortest that do not. */
	room = 107 - strlen(*state) - 1;
	exact = text_format("%s/%.*s", (const char *)*state, (int)room, name);
	bind_and_connect(exact, false);
	free(exact);
	exact = text_format("%s/%.*s", (const char *)*state, (int)room + 1, name);
	bind_and_connect(exact, true);
	free(exact);
}

static void socket_names_that_cannot_be_are_refused(void **state)
{
	char name[150];
	struct sockaddr_un addr;
	socklen_t len;
	int dirfd;

	(void)state;
	memset(name, 'n', sizeof name);
	name[sizeof name - 1] = '\0';
	assert_int_equal(path_unix_address("", &addr, &len, &dirfd), -EINVAL);
	assert_int_equal(path_unix_address("folder/", &addr, &len, &dirfd), -EINVAL);
	assert_int_equal(path_unix_address(name, &addr, &len, &dirfd), -ENAMETOOLONG);
	assert_int_equal(dirfd, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_joined_to_folders),
		cmocka_unit_test(the_folder_of_a_file_is_found),
		cmocka_unit_test(folders_are_made_with_their_parents),
		cmocka_unit_test(a_file_in_the_way_of_a_folder_is_an_error),
		cmocka_unit_test(a_tree_is_removed_but_not_what_its_links_mean),
		cmocka_unit_test(the_cache_folder_follows_the_environment),
		cmocka_unit_test(the_run_time_folder_is_private_or_refused),
		cmocka_unit_test(kernel_folders_are_listed_best_first),
		cmocka_unit_test(unix_sockets_work_at_paths_of_any_length),
		cmocka_unit_test(socket_names_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, enter_temporary_folder, leave_temporary_folder);
}
