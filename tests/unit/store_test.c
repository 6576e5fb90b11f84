/* SPDX-License-Identifier: MIT */
/* store_test.c - the store of files named by content, apart from what is in them (boot_cache_test.c, image.sh). */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/path.h"
#include "core/base/store.h"

static const struct store_kind kind = { .folder = "things", .suffix = ".thing", .format = "thing 1" };

static int enter(void **state)
{
	char *folder = strdup("/tmp/capsa-store.XXXXXX");

	*state = folder;
	return !folder || !mkdtemp(folder) || setenv("CAPSA_CACHE", folder, 1);
}

static int leave(void **state)
{
	int rc = path_remove_tree(*state);

	free(*state);
	return rc;
}

static struct store *open_store(const struct store_kind *of)
{
	struct error err = { "" };
	struct store *store = store_open(of, &err);

	if (!store)
		fail_msg("%s", err.text);
	return store;
}

static int write_text(int fd, const void *ctx)
{
	return store_write(fd, ctx, strlen(ctx), 0);
}

static int fail_midway(int fd, const void *ctx)
{
	assert_int_equal(write_text(fd, ctx), 0);
	return -ENOSPC;
}

static size_t count(struct store *store)
{
	struct store_entry *list;
	size_t n;

	assert_int_equal(store_list(store, &list, &n), 0);
	free(list);
	return n;
}

static void an_entry_is_there_whole_or_not_at_all(void **state)
{
	struct store *store = open_store(&kind);
	const uint8_t key[STORE_KEY_SIZE] = { 1, 2, 3 };
	struct stat st;
	char *path, text[8];
	int fd;

	(void)state;
	assert_int_equal(store_get(store, key, &st, NULL), -ENOENT);
	assert_int_equal(store_put(store, key, fail_midway, "half"), -ENOSPC);
	assert_int_equal(store_get(store, key, &st, NULL), -ENOENT);
	assert_int_equal(count(store), 0);
	assert_int_equal(store_put(store, key, write_text, "whole"), 0);
	fd = store_get(store, key, &st, &path);
	assert_true(fd >= 0);
	assert_int_equal(st.st_size, 5);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(pread(fd, text, sizeof text, 0), 5);
	assert_memory_equal(text, "whole", 5);
	assert_memory_equal(strrchr(path, '/'), "/010203000000", 13);
	close(fd);
	free(path);
	assert_int_equal(store_remove(store, key), 0);
	assert_int_equal(store_remove(store, key), -ENOENT);
	store_close(store);
}

static void an_index_knows_all_the_files_and_their_order(void **state)
{
	static const struct store_kind later = { .folder = "things", .suffix = ".thing", .format = "thing 2" };
	struct store *store = open_store(&kind), *other;
	const uint8_t key[STORE_KEY_SIZE] = { 7 };
	struct stat files[3] = { { .st_ino = 1, .st_size = 10 }, { .st_ino = 2 }, { .st_ino = 0 } }, swapped[3];
	uint8_t found[STORE_KEY_SIZE] = { 0 };

	(void)state;
	assert_false(store_known(store, files, 3, found));
	store_remember(store, files, 3, key);
	assert_true(store_known(store, files, 3, found));
	assert_memory_equal(found, key, sizeof key);
	assert_false(store_known(store, files, 2, found));
	swapped[0] = files[1];
	swapped[1] = files[0];
	swapped[2] = files[2];
	assert_false(store_known(store, swapped, 3, found));
	for (unsigned i = 0; i < 6; i++) {
		struct stat changed[3];

		memcpy(changed, files, sizeof files);
		switch (i) {
		case 0:
			changed[1].st_dev++;
			break;
		case 1:
			changed[1].st_ino++;
			break;
		case 2:
			changed[1].st_size++;
			break;
		case 3:
			changed[1].st_mtim.tv_nsec++;
			break;
		case 4:
			changed[1].st_ctim.tv_nsec++;
			break;
		default:
			changed[2].st_ctim.tv_sec++;
			break;
		}
		assert_false(store_known(store, changed, 3, found));
	}
	other = open_store(&later);
	assert_false(store_known(other, files, 3, found));
	store_close(other);
	store_close(store);
}

static void what_somebody_holds_is_not_trimmed(void **state)
{
	struct store *store = open_store(&kind);
	struct stat st;
	int held, used;

	(void)state;
	for (uint8_t i = 1; i <= 5; i++) {
		const uint8_t key[STORE_KEY_SIZE] = { i };
		const struct timespec times[2] = { { .tv_sec = 1000 + i }, { .tv_sec = 1000 + i } };
		int fd;

		assert_int_equal(store_put(store, key, write_text, "x"), 0);
		fd = store_get(store, key, &st, NULL);
		assert_true(fd >= 0);
		assert_int_equal(futimens(fd, times), 0);
		close(fd);
	}
	held = store_get(store, (const uint8_t[STORE_KEY_SIZE]){ 1 }, &st, NULL);
	used = store_get(store, (const uint8_t[STORE_KEY_SIZE]){ 2 }, &st, NULL);
	assert_true(held >= 0 && used >= 0);
	store_hold(held);
	store_trim(store, NULL, 2, 1 << 20);
	/* The two that were used last, and the one that is held; that another is open is no matter. */
	assert_int_equal(count(store), 3);
	assert_int_equal(store_get(store, (const uint8_t[STORE_KEY_SIZE]){ 2 }, &st, NULL), -ENOENT);
	close(held);
	store_trim(store, NULL, 0, 0);
	assert_int_equal(count(store), 0);
	close(used);
	store_close(store);
}

static void what_others_could_have_written_is_no_entry(void **state)
{
	struct store *store = open_store(&kind);
	const uint8_t key[STORE_KEY_SIZE] = { 9 };
	struct error err = { "" };
	struct stat st;
	char *path;
	int fd;

	(void)state;
	assert_int_equal(store_put(store, key, write_text, "x"), 0);
	fd = store_get(store, key, &st, &path);
	assert_true(fd >= 0);
	assert_int_equal(fchmod(fd, 0420), 0);
	close(fd);
	assert_int_equal(store_get(store, key, &st, NULL), -ENOENT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(store_get(store, key, &st, NULL), -ENOENT);
	assert_int_equal(chmod(store_path(store), 0770), 0);
	assert_null(store_open(&kind, &err));
	assert_non_null(strstr(err.text, "others may write to it"));
	free(path);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_entry_is_there_whole_or_not_at_all, enter, leave),
		cmocka_unit_test_setup_teardown(an_index_knows_all_the_files_and_their_order, enter, leave),
		cmocka_unit_test_setup_teardown(what_somebody_holds_is_not_trimmed, enter, leave),
		cmocka_unit_test_setup_teardown(what_others_could_have_written_is_no_entry, enter, leave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
