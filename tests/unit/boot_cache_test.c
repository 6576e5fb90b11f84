/* SPDX-License-Identifier: MIT */
/*
 * boot_cache_test.c - the cache of unpacked kernels: what it shares, what it refuses to trust,
 * and that a start never fails because of it.
 */
#include "tests/unit/boot_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/boot/kernel.h"

#define FOLDER "cache/kernels"

static struct boot_kernel *open_kernel(const char *path)
{
	struct error err = { "" };
	struct boot_kernel *kernel;

	if (boot_kernel_open(path, false, &kernel, &err))
		fail_msg("%s", err.text);
	return kernel;
}

/* Loads the kernel into a machine's memory: it has to be whole, wherever it comes from. Closes it. */
static void check_and_close(struct boot_kernel *kernel)
{
	struct boot_source source = { .kernel = kernel, .cmdline = "" };
	struct error err = { "" };
	struct memory *memory;
	struct boot_entry entry;

	assert_int_equal(memory_create(64 * MIB, false, &memory, &err), 0);
	if (boot_load(&source, memory, &entry, &err))
		fail_msg("%s", err.text);
	assert_int_equal(entry.rip, TEXT_AT);
	fixture_check_loaded(memory_at(memory, TEXT_AT, KERNEL_END - TEXT_AT));
	memory_destroy(memory);
	boot_kernel_close(kernel);
}

/* How many names of the cache end so. */
static unsigned count(const char *suffix)
{
	DIR *dir = opendir(fixture_path(FOLDER));
	const struct dirent *d;
	unsigned n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		n += len >= strlen(suffix) && !strcmp(d->d_name + len - strlen(suffix), suffix);
	}
	closedir(dir);
	return n;
}

static unsigned count_temporary(void)
{
	DIR *dir = opendir(fixture_path(FOLDER));
	const struct dirent *d;
	unsigned n = 0;

	assert_non_null(dir);
	while ((d = readdir(dir)))
		n += !strncmp(d->d_name, "new-", 4);
	closedir(dir);
	return n;
}

/* A kernel file whose content differs from all others in one byte of its setup code. */
static const char *kernel_file(const char *name, unsigned variant)
{
	struct blob image = fixture_packed_kernel(PACK_ZSTD);
	const char *path;

	image.data[0x3f0] = (uint8_t)variant;
	snprintf((char *)image.data + 0x300, 64, "6.1.%u", variant);
	path = fixture_file(name, image);
	fixture_free(&image);
	return path;
}

static void entry_path(char *path, size_t size)
{
	struct boot_kernel *kernel = open_kernel(kernel_file("bzImage", 0));

	assert_non_null(boot_kernel_cache_path(kernel));
	assert_true(strlen(boot_kernel_cache_path(kernel)) < size);
	strcpy(path, boot_kernel_cache_path(kernel));
	boot_kernel_close(kernel);
}

/* After the entry was spoilt: the next start builds it anew, and it is good. */
static void wants_rebuilt(const char *entry, const char *what)
{
	struct boot_kernel *kernel = open_kernel(fixture_path("bzImage"));
	struct stat st;

	if (!boot_kernel_cache_path(kernel) || strcmp(boot_kernel_cache_path(kernel), entry))
		fail_msg("%s: the entry was not built anew", what);
	if (lstat(entry, &st) || !S_ISREG(st.st_mode) || (st.st_mode & 0777) != 0400 || st.st_uid != geteuid())
		fail_msg("%s: the new entry is not what it should be", what);
	check_and_close(kernel);
	assert_int_equal(count_temporary(), 0);
}

static void pieces_of_zeros_are_not_mapped(void **state)
{
	const uint64_t piece = 2 * MIB, size = 6 * piece - 8192;
	/* The image begins in the middle of a piece. Of the pieces 0 to 6 the odd ones are zero, and the last ends early. */
	const uint64_t set[] = { 0, 2 * piece - MIB, 5 * piece - MIB - 1, size - 1 };
	struct boot_kernel stored = { .fd = -1 }, found = { .fd = -1 };
	struct kernel_image image = {
		.start = 17 * MIB,
		.end = 40 * MIB,
		.entry = 17 * MIB,
		.n_segments = 1,
		.segments = { { 0, 17 * MIB, size, 23 * MIB } },
	};
	const uint8_t key[CACHE_KEY_SIZE] = { 1 };
	uint8_t *unpacked = calloc(1, size), *back = calloc(1, 23 * MIB);
	struct error err = { "" };
	struct store *cache = cache_open(&err);

	(void)state;
	assert_non_null(cache);
	assert_true(unpacked && back);
	for (unsigned i = 0; i < 4; i++)
		unpacked[set[i]] = (uint8_t)(i + 1);
	assert_int_equal(cache_store(cache, key, &image, unpacked, &stored), 0);
	assert_true(cache_find(cache, key, &found));
	assert_int_equal(found.image.start, 17 * MIB);
	assert_int_equal(found.image.end, 40 * MIB);
	assert_int_equal(found.image.n_segments, 4);
	for (unsigned i = 0; i < found.image.n_segments; i++) {
		const struct kernel_segment *s = &found.image.segments[i];

		assert_int_equal(s->offset % piece, s->address % piece);
		assert_true(s->address + s->mem_size <= found.image.end);
		assert_int_equal(read_exactly(found.fd, back + (s->address - 17 * MIB), s->file_size, s->offset), 0);
	}
	assert_memory_equal(back, unpacked, size);
	assert_int_equal(found.image.segments[0].address, 17 * MIB);
	assert_int_equal(found.image.segments[0].file_size, MIB);
	assert_int_equal(found.image.segments[1].address, 20 * MIB);
	assert_int_equal(found.image.segments[1].file_size, piece);
	assert_int_equal(found.image.segments[2].address, 24 * MIB);
	assert_int_equal(found.image.segments[3].address, 28 * MIB);
	close(found.fd);
	free(found.cache_path);
	store_close(cache);
	free(unpacked);
	free(back);
}

static void files_of_the_same_content_share_an_entry_and_others_do_not(void **state)
{
	(void)state;
	check_and_close(open_kernel(kernel_file("a", 1)));
	check_and_close(open_kernel(kernel_file("b", 1)));
	assert_int_equal(count(".kernel"), 1);
	check_and_close(open_kernel(kernel_file("c", 2)));
	assert_int_equal(count(".kernel"), 2);
}

static void a_hit_knows_header_and_version(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct boot_kernel *kernel = open_kernel(kernel_file("bzImage", 5));

		assert_string_equal(boot_kernel_version(kernel), "6.1.5");
		assert_int_equal(boot_kernel_cmdline_max(kernel), 2047);
		assert_int_equal(kernel->header.initrd_addr_max, 0x7fffffff);
		assert_null(kernel->unpacked);
		boot_kernel_close(kernel);
	}
}

static void a_remembered_file_is_not_read(void **state)
{
	uint8_t key[CACHE_KEY_SIZE];
	struct boot_kernel *kernel;
	struct error err = { "" };
	struct blob image = fixture_packed_kernel(PACK_ZSTD);
	struct store *cache;
	struct stat st;

	(void)state;
	snprintf((char *)image.data + 0x300, 64, "6.1.7");
	boot_kernel_close(open_kernel(fixture_file("seven", image)));
	sha256(image.data, image.size, key);
	fixture_free(&image);
	/* Whether it came from the link shows if the link lies. */
	assert_int_equal(stat(kernel_file("eight", 8), &st), 0);
	cache = cache_open(&err);
	assert_non_null(cache);
	store_remember(cache, &st, 1, key);
	store_close(cache);
	kernel = open_kernel(fixture_path("eight"));
	assert_string_equal(boot_kernel_version(kernel), "6.1.7");
	boot_kernel_close(kernel);
	/* A change of the file ends that. */
	kernel = open_kernel(kernel_file("eight", 9));
	assert_string_equal(boot_kernel_version(kernel), "6.1.9");
	boot_kernel_close(kernel);
}

static void a_file_that_just_changed_is_not_remembered(void **state)
{
	struct timespec now = { .tv_sec = 1000 };
	struct stat st = { 0 };

	(void)state;
	boot_kernel_close(open_kernel(kernel_file("bzImage", 1)));
	assert_int_equal(count(".file"), 0);
	st.st_mtim.tv_sec = st.st_ctim.tv_sec = 997;
	assert_true(store_settled(&st, &now));
	st.st_ctim.tv_sec = 998;
	assert_false(store_settled(&st, &now));
	st.st_ctim.tv_sec = 5000;
	assert_false(store_settled(&st, &now));
	st.st_ctim.tv_sec = 997;
	st.st_mtim.tv_sec = 998;
	assert_false(store_settled(&st, &now));
}

static void links_that_name_no_entry_are_ignored(void **state)
{
	static const char *const targets[] = {
		"../../etc/passwd", "x.kernel", "lock", "/dev/zero",
		"0000000000000000000000000000000000000000000000000000000000000000.kernel"
	};
	struct error err = { "" };
	uint8_t key[CACHE_KEY_SIZE] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		struct store *cache = cache_open(&err);
		const struct dirent *d;
		struct stat st;
		DIR *dir;

		assert_non_null(cache);
		assert_int_equal(stat(kernel_file("bzImage", (unsigned)i), &st), 0);
		store_remember(cache, &st, 1, key);
		store_close(cache);
		dir = opendir(fixture_path(FOLDER));
		while ((d = readdir(dir))) {
			if (!strstr(d->d_name, ".file"))
				continue;
			assert_int_equal(unlinkat(dirfd(dir), d->d_name, 0), 0);
			assert_int_equal(symlinkat(targets[i], dirfd(dir), d->d_name), 0);
		}
		closedir(dir);
		check_and_close(open_kernel(fixture_path("bzImage")));
	}
}

static void an_entry_of_the_wrong_length_is_built_anew(void **state)
{
	char entry[512];
	struct stat st;

	(void)state;
	entry_path(entry, sizeof entry);
	assert_int_equal(stat(entry, &st), 0);
	for (off_t size = 0; size <= st.st_size + 4096; size += size < 8192 ? 1365 : 4096) {
		if (size == st.st_size)
			continue;
		assert_int_equal(chmod(entry, 0600), 0);
		assert_int_equal(truncate(entry, size), 0);
		wants_rebuilt(entry, "length");
	}
}

static void an_entry_with_any_byte_of_its_trailer_changed_is_built_anew(void **state)
{
	char entry[512];
	struct stat st;

	(void)state;
	entry_path(entry, sizeof entry);
	assert_int_equal(stat(entry, &st), 0);
	for (off_t i = 0; i < 340; i += 3) {
		uint8_t byte;
		int fd;

		assert_int_equal(chmod(entry, 0600), 0);
		fd = open(entry, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(fd, &byte, 1, st.st_size - 4096 + i), 1);
		byte ^= 0x41;
		assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 4096 + i), 1);
		assert_int_equal(close(fd), 0);
		assert_int_equal(chmod(entry, 0400), 0);
		wants_rebuilt(entry, "trailer");
	}
}

static void an_entry_that_others_could_have_written_is_built_anew(void **state)
{
	char entry[512];

	(void)state;
	entry_path(entry, sizeof entry);
	assert_int_equal(chmod(entry, 0420), 0);
	wants_rebuilt(entry, "writable by the group");
	assert_int_equal(chmod(entry, 0402), 0);
	wants_rebuilt(entry, "writable by all");
	if (!geteuid()) {
		assert_int_equal(chown(entry, 12345, 12345), 0);
		wants_rebuilt(entry, "somebody else's");
	}
}

static void an_entry_of_another_content_is_built_anew(void **state)
{
	struct boot_kernel *other;
	char entry[512];

	(void)state;
	entry_path(entry, sizeof entry);
	other = open_kernel(kernel_file("other", 3));
	assert_int_equal(rename(boot_kernel_cache_path(other), entry), 0);
	boot_kernel_close(other);
	other = open_kernel(fixture_path("bzImage"));
	assert_string_equal(boot_kernel_version(other), "6.1.0");
	boot_kernel_close(other);
	wants_rebuilt(entry, "another's");
}

static void something_else_in_the_place_of_an_entry_harms_nobody(void **state)
{
	struct boot_kernel *kernel;
	char entry[512];

	(void)state;
	entry_path(entry, sizeof entry);
	assert_int_equal(unlink(entry), 0);
	assert_int_equal(symlink("/dev/zero", entry), 0);
	wants_rebuilt(entry, "a link");
	assert_int_equal(unlink(entry), 0);
	assert_int_equal(mkfifo(entry, 0600), 0);
	wants_rebuilt(entry, "a FIFO");
	assert_int_equal(unlink(entry), 0);
	assert_int_equal(mkdir(entry, 0700), 0);
	kernel = open_kernel(fixture_path("bzImage"));
	assert_null(boot_kernel_cache_path(kernel));
	check_and_close(kernel);
	assert_int_equal(count_temporary(), 0);
}

static void wants_memory_only(void)
{
	struct boot_kernel *kernel = open_kernel(kernel_file("bzImage", 0));

	assert_int_equal(boot_kernel_form(kernel), BOOT_FORM_ELF_CACHED);
	assert_null(boot_kernel_cache_path(kernel));
	check_and_close(kernel);
}

static void a_cache_that_cannot_be_made_is_done_without(void **state)
{
	struct blob text = { (uint8_t[]){ 'x' }, 1 };

	(void)state;
	fixture_file("file", text);
	setenv("CAPSA_CACHE", fixture_path("file/cache"), 1);
	wants_memory_only();
}

static void a_cache_that_cannot_be_written_is_done_without(void **state)
{
	(void)state;
	/* Root writes to every folder, so it has to be somebody else for a while. */
	if (!geteuid()) {
		assert_int_equal(chown(fixture_path(""), 12345, 12345), 0);
		assert_int_equal(seteuid(12345), 0);
	}
	assert_int_equal(mkdir(fixture_path("cache"), 0700), 0);
	assert_int_equal(mkdir(fixture_path(FOLDER), 0500), 0);
	wants_memory_only();
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
}

static void a_cache_that_others_may_write_to_is_not_trusted(void **state)
{
	(void)state;
	boot_kernel_close(open_kernel(kernel_file("bzImage", 0)));
	assert_int_equal(chmod(fixture_path(FOLDER), 0770), 0);
	wants_memory_only();
	assert_int_equal(chmod(fixture_path(FOLDER), 0702), 0);
	wants_memory_only();
	if (!geteuid()) {
		assert_int_equal(chmod(fixture_path(FOLDER), 0700), 0);
		assert_int_equal(chown(fixture_path(FOLDER), 12345, 12345), 0);
		wants_memory_only();
	}
}

static void a_full_disk_is_done_without_and_leaves_nothing_behind(void **state)
{
	struct rlimit old, limit;
	struct boot_kernel *kernel;
	const char *path = kernel_file("bzImage", 0);

	(void)state;
	/* The nearest to a full disk that needs no disk: a write beyond 16 KiB fails. */
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = (struct rlimit){ .rlim_cur = 16384, .rlim_max = old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	kernel = open_kernel(path);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_null(boot_kernel_cache_path(kernel));
	check_and_close(kernel);
	assert_int_equal(count(".kernel"), 0);
	assert_int_equal(count_temporary(), 0);
}

static void processes_that_start_at_once_share_one_entry(void **state)
{
	const char *path = kernel_file("bzImage", 0);
	enum { PROCESSES = 8 };
	pid_t children[PROCESSES];
	int go[2];

	(void)state;
	assert_int_equal(pipe(go), 0);
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (!children[i]) {
			struct boot_kernel *kernel;
			struct error err = { "" };
			char end;

			close(go[1]);
			/* All wait here until the parent closes its end. */
			if (read(go[0], &end, 1) || boot_kernel_open(path, false, &kernel, &err) ||
			    !boot_kernel_cache_path(kernel))
				_exit(1);
			check_and_close(kernel);
			_exit(0);
		}
	}
	close(go[0]);
	close(go[1]);
	for (int i = 0; i < PROCESSES; i++) {
		int status;

		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(count(".kernel"), 1);
	assert_int_equal(count_temporary(), 0);
}

/* Sets the time of the last use, in seconds from the epoch. */
static void used_at(const char *name, time_t when)
{
	struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

	assert_int_equal(utimensat(AT_FDCWD, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void what_was_used_longest_ago_goes_first(void **state)
{
	char paths[6][512];
	uint8_t key[CACHE_KEY_SIZE];
	struct error err = { "" };
	struct store *cache;
	struct stat st;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct boot_kernel *kernel = open_kernel(kernel_file("bzImage", i));

		snprintf(paths[i], sizeof paths[i], "%s", boot_kernel_cache_path(kernel));
		boot_kernel_close(kernel);
		used_at(paths[i], 1000 - (time_t)i);
	}
	/* The last is the oldest, and the one to keep. */
	for (size_t i = 0; i < sizeof key; i++) {
		unsigned byte;

		assert_int_equal(sscanf(strrchr(paths[5], '/') + 1 + 2 * i, "%2x", &byte), 1);
		key[i] = (uint8_t)byte;
	}
	assert_int_equal(stat(paths[0], &st), 0);
	cache = cache_open(&err);
	store_trim(cache, key, 6, 1 << 30);
	assert_int_equal(count(".kernel"), 6);
	store_trim(cache, key, 4, 1 << 30);
	assert_int_equal(count(".kernel"), 4);
	assert_int_equal(access(paths[2], F_OK), 0);
	assert_int_equal(access(paths[3], F_OK), -1);
	assert_int_equal(access(paths[5], F_OK), 0);
	/* By size: room for two of equal size. */
	store_trim(cache, key, 16, (uint64_t)st.st_blocks * 512 * 2);
	assert_int_equal(count(".kernel"), 2);
	assert_int_equal(access(paths[0], F_OK), 0);
	assert_int_equal(access(paths[5], F_OK), 0);
	/* Not even one fits: the one in use stays. */
	store_trim(cache, key, 1, 0);
	assert_int_equal(count(".kernel"), 1);
	assert_int_equal(access(paths[5], F_OK), 0);
	store_close(cache);
}

static void the_cache_never_holds_more_than_its_bound(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CACHE_ENTRIES_MAX + 4; i++)
		boot_kernel_close(open_kernel(kernel_file("bzImage", i)));
	assert_int_equal(count(".kernel"), CACHE_ENTRIES_MAX);
	check_and_close(open_kernel(fixture_path("bzImage")));
}

static void a_use_is_noted_for_the_trimming(void **state)
{
	char entry[512];
	struct stat st;

	(void)state;
	entry_path(entry, sizeof entry);
	used_at(entry, 1000);
	boot_kernel_close(open_kernel(fixture_path("bzImage")));
	assert_int_equal(stat(entry, &st), 0);
	assert_true(st.st_mtim.tv_sec > 1000);
}

static void leavings_of_killed_processes_and_dead_links_are_removed(void **state)
{
	struct blob text = { (uint8_t[]){ 'x' }, 1 };

	(void)state;
	boot_kernel_close(open_kernel(kernel_file("bzImage", 0)));
	used_at(fixture_file(FOLDER "/new-1-abc", text), 1000);
	fixture_file(FOLDER "/new-2-abc", text);
	assert_int_equal(symlink("gone.kernel", fixture_path(FOLDER "/1-2-3.file")), 0);
	boot_kernel_close(open_kernel(kernel_file("bzImage", 1)));
	assert_int_equal(access(fixture_path(FOLDER "/new-1-abc"), F_OK), -1);
	/* A young one too: whoever writes holds the lock, and nobody else held it. */
	assert_int_equal(access(fixture_path(FOLDER "/new-2-abc"), F_OK), -1);
	assert_int_equal(count(".file"), 0);
}

static void an_entry_that_is_removed_while_open_still_loads(void **state)
{
	struct boot_kernel *kernel = open_kernel(kernel_file("bzImage", 0));

	(void)state;
	assert_int_equal(unlink(boot_kernel_cache_path(kernel)), 0);
	check_and_close(kernel);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_enter, fixture_leave)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pieces_of_zeros_are_not_mapped),
		TEST(files_of_the_same_content_share_an_entry_and_others_do_not),
		TEST(a_hit_knows_header_and_version),
		TEST(a_remembered_file_is_not_read),
		TEST(a_file_that_just_changed_is_not_remembered),
		TEST(links_that_name_no_entry_are_ignored),
		TEST(an_entry_of_the_wrong_length_is_built_anew),
		TEST(an_entry_with_any_byte_of_its_trailer_changed_is_built_anew),
		TEST(an_entry_that_others_could_have_written_is_built_anew),
		TEST(an_entry_of_another_content_is_built_anew),
		TEST(something_else_in_the_place_of_an_entry_harms_nobody),
		TEST(a_cache_that_cannot_be_made_is_done_without),
		TEST(a_cache_that_cannot_be_written_is_done_without),
		TEST(a_cache_that_others_may_write_to_is_not_trusted),
		TEST(a_full_disk_is_done_without_and_leaves_nothing_behind),
		TEST(processes_that_start_at_once_share_one_entry),
		TEST(what_was_used_longest_ago_goes_first),
		TEST(the_cache_never_holds_more_than_its_bound),
		TEST(a_use_is_noted_for_the_trimming),
		TEST(leavings_of_killed_processes_and_dead_links_are_removed),
		TEST(an_entry_that_is_removed_while_open_still_loads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
