/* SPDX-License-Identifier: MIT */
/* console_file_test.c - the console's output in a file: every byte, and never more than was allowed. */
#include "tests/unit/console_stream.h"

#define LIMIT 4096u

static char before[520]; /* what `path` becomes when it is full */

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	unlink(before);
	free(dev);
	return 0;
}

static int setup_file(void **state)
{
	int rc = setup(state);

	snprintf(before, sizeof before, "%s.1", path);
	return rc;
}

static void a_file_gets_every_byte(void **state)
{
	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "file", .path = path });
	stream_through_file();
	console_end(dev);
}

static void append_keeps_what_a_file_has_and_without_it_it_is_emptied(void **state)
{
	char buf[64] = "";
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	(void)state;
	assert_int_equal(write(fd, "old ", 4), 4);
	close(fd);
	for (int append = 1; append >= 0; append--) {
		memset(dev, 0, sizeof *dev);
		console_begin(dev, (struct console_keys){ .backend = "file", .path = path, .append = append });
		guest_says(dev, "new", 3);
		host_settle(dev);
		console_end(dev);
		fd = open(path, O_RDONLY);
		buf[read(fd, buf, sizeof buf - 1)] = '\0';
		close(fd);
		assert_string_equal(buf, append ? "old new" : "new");
	}
	unlink(path);
}

static void a_full_disk_is_said_once_and_the_guest_goes_on(void **state)
{
	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "file", .path = "/dev/full" });
	for (unsigned i = 0; i < 100; i++)
		guest_says(dev, pattern, 10);
	host_settle(dev);
	assert_int_equal(dev->completed[TX], 100);
	assert_int_equal(counted(dev, "dropped_bytes"), 1000);
	assert_non_null(strstr(dev->logged, "No space left"));
	assert_null(strstr(strstr(dev->logged, "No space left") + 1, "No space left"));
	console_end(dev);
}

/* ---- the limit ---- */

static void begin(bool append)
{
	console_begin(dev, (struct console_keys){ .backend = "file", .path = path, .limit = LIMIT, .append = append });
}

/* The next `len` bytes of the stream, which has had `said` so far. */
static void say(size_t *said, size_t len)
{
	guest_says(dev, pattern + *said, len);
	host_settle(dev);
	*said += len;
}

static size_t size_of(const char *file)
{
	struct stat st;

	return stat(file, &st) < 0 ? 0 : (size_t)st.st_size;
}

static size_t read_file(const char *file, unsigned char *to, size_t room)
{
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, to, room);

	assert_true(n >= 0);
	if (fd >= 0)
		close(fd);
	return (size_t)n;
}

/* After `said` bytes of the stream: the last LIMIT are there (or all), in order, and no more than twice as many. */
static void assert_kept(size_t said)
{
	unsigned char kept[2 * LIMIT + 2];
	size_t n = read_file(before, kept, LIMIT + 1);

	assert_true(n == 0 || n == LIMIT);
	n += read_file(path, kept + n, LIMIT + 1);
	assert_true(n <= (size_t)2 * LIMIT);
	assert_true(n >= (said < LIMIT ? said : LIMIT));
	assert_memory_equal(kept, pattern + said - n, n);
}

static void the_last_bytes_are_always_there_and_never_more_than_twice_as_many(void **state)
{
	static const size_t sizes[] = { 1, 100, 4095, 4096, 4097, 3, 50000, 8192, 17 };
	size_t said = 0;

	(void)state;
	begin(false);
	for (unsigned i = 0; said < 600000; i++) {
		say(&said, sizes[i % (sizeof sizes / sizeof sizes[0])]);
		assert_kept(said);
	}
	assert_int_equal(counted(dev, "tx_bytes"), said);
	assert_int_equal(counted(dev, "dropped_bytes"), 0);
	assert_string_equal(dev->logged, "");
	console_end(dev);
}

static void a_file_that_is_just_full_is_not_followed_before_more_comes(void **state)
{
	size_t said = 0;

	(void)state;
	begin(false);
	say(&said, LIMIT);
	assert_int_equal(access(before, F_OK), -1);
	assert_int_equal(size_of(path), LIMIT);
	say(&said, 1);
	assert_int_equal(size_of(before), LIMIT);
	assert_int_equal(size_of(path), 1);
	console_end(dev);
}

static void without_a_limit_no_file_follows(void **state)
{
	size_t said = 0;

	(void)state;
	console_begin(dev, (struct console_keys){ .backend = "file", .path = path });
	say(&said, (size_t)10 * LIMIT);
	console_end(dev);
	assert_int_equal(size_of(path), said);
	assert_int_equal(access(before, F_OK), -1);
}

static void the_files_are_their_owners_alone(void **state)
{
	struct stat st;
	size_t said = 0;

	(void)state;
	begin(false);
	say(&said, (size_t)2 * LIMIT);
	console_end(dev);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(before, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void appending_counts_what_was_there(void **state)
{
	size_t said = 0;

	(void)state;
	begin(false);
	say(&said, 4000);
	console_end(dev);
	memset(dev, 0, sizeof *dev);
	begin(true);
	say(&said, 200);
	assert_int_equal(size_of(before), LIMIT);
	assert_kept(said);
	console_end(dev);
}

static void a_file_that_somebody_removed_is_begun_anew(void **state)
{
	size_t said = 0;

	(void)state;
	begin(false);
	say(&said, LIMIT);
	assert_int_equal(unlink(path), 0);
	say(&said, 10);
	console_end(dev);
	assert_int_equal(size_of(path), 10);
	assert_int_equal(access(before, F_OK), -1);
	assert_string_equal(dev->logged, "");
}

static void where_no_file_can_follow_output_is_thrown_away_until_one_can(void **state)
{
	size_t said = 0;

	(void)state;
	begin(false);
	say(&said, LIMIT);
	/* A file cannot be renamed to a folder. */
	assert_int_equal(mkdir(before, 0700), 0);
	say(&said, 10);
	say(&said, 10);
	assert_int_equal(dev->completed[TX], 3);
	assert_int_equal(counted(dev, "dropped_bytes"), 20);
	assert_non_null(strstr(dev->logged, "cannot begin a new file"));
	assert_null(strstr(strstr(dev->logged, "cannot begin a new file") + 1, "cannot begin a new file"));
	assert_int_equal(size_of(path), LIMIT);
	assert_int_equal(rmdir(before), 0);
	said -= 20;
	say(&said, 10);
	assert_kept(said);
	console_end(dev);
}

static void a_link_that_somebody_puts_there_is_not_followed(void **state)
{
	char target[520];
	size_t said = 0;

	(void)state;
	snprintf(target, sizeof target, "%s/target", folder);
	begin(false);
	say(&said, LIMIT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(target, path), 0);
	say(&said, 10);
	console_end(dev);
	/* The link became FILE.1, and what it names was not made. */
	assert_int_equal(access(target, F_OK), -1);
	assert_int_equal(size_of(path), 10);
}

static void the_folder_stays_the_same_when_the_current_one_changes(void **state)
{
	int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t said = 0;

	(void)state;
	assert_true(here >= 0);
	assert_int_equal(chdir(folder), 0);
	console_begin(dev, (struct console_keys){ .backend = "file", .path = "x", .limit = LIMIT });
	assert_int_equal(fchdir(here), 0);
	close(here);
	say(&said, (size_t)3 * LIMIT + 1);
	assert_kept(said);
	console_end(dev);
}

static void only_a_file_can_be_followed_by_another(void **state)
{
	(void)state;
	assert_int_equal(
		console_configure(dev, (struct console_keys){ .backend = "file", .path = "/dev/null", .limit = LIMIT }),
		0);
	assert_int_equal(dev->plugin->realize(dev->self, &dev->setup), -1);
	assert_string_equal(dev->error,
	                    "key \"limit\": /dev/null is a device, and only a file can be followed by another");
	console_destroy(dev);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_file, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_file_gets_every_byte),
		TEST(append_keeps_what_a_file_has_and_without_it_it_is_emptied),
		TEST(a_full_disk_is_said_once_and_the_guest_goes_on),
		TEST(the_last_bytes_are_always_there_and_never_more_than_twice_as_many),
		TEST(a_file_that_is_just_full_is_not_followed_before_more_comes),
		TEST(without_a_limit_no_file_follows),
		TEST(the_files_are_their_owners_alone),
		TEST(appending_counts_what_was_there),
		TEST(a_file_that_somebody_removed_is_begun_anew),
		TEST(where_no_file_can_follow_output_is_thrown_away_until_one_can),
		TEST(a_link_that_somebody_puts_there_is_not_followed),
		TEST(the_folder_stays_the_same_when_the_current_one_changes),
		TEST(only_a_file_can_be_followed_by_another),
	};

	return cmocka_run_group_tests(tests, make_pattern, free_pattern);
}
