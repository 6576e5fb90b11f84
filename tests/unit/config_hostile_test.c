/* SPDX-License-Identifier: MIT */
/*
 * config_hostile_test.c - proves that no file brings config_read() down: what is cut off, changed, huge or no
 * file at all is read, or refused with a line that begins with the file's name. The sanitizers watch.
 */
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
#include "core/config/config.h"

static char *good; /* tests/unit/config/good/full.conf */
static size_t good_len;

static int open_bench(void **state)
{
	const char *source = getenv("CAPSA_SOURCE");
	char *path = text_format("%s/tests/unit/config/good/full.conf", source ? source : ".");
	char *folder = strdup("/tmp/capsa-config-XXXXXX");
	FILE *file = fopen(path, "re");

	free(path);
	good = calloc(1, 65536);
	if (!file || !good || !mkdtemp(folder) || chdir(folder))
		return -1;
	good_len = fread(good, 1, 65535, file);
	fclose(file);
	mkdir("sub", 0700);
	*state = folder;
	return 0;
}

static int close_bench(void **state)
{
	int rc = chdir("/") || path_remove_tree(*state);

	free(*state);
	free(good);
	return rc;
}

static void write_file(const char *name, const void *data, size_t len)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_true(write(fd, data, len) == (ssize_t)len);
	close(fd);
}

/* Reads x.conf: success, or a line that begins with its name. Returns config_read()'s result. */
static int read_any(struct error *err)
{
	struct config *config = NULL;
	int rc;

	*err = (struct error){ "" };
	rc = config_read("x.conf", &config, err);
	if (rc == 0) {
		assert_non_null(config);
		config_free(config);
		return 0;
	}
	assert_true(rc < 0);
	assert_null(config);
	if (strncmp(err->text, "x.conf:", 7) && strncmp(err->text, "sub/", 4))
		fail_msg("no place in: %s", err->text);
	assert_null(strchr(err->text, '\n'));
	return rc;
}

static void a_file_cut_off_at_any_byte_is_survived(void **state)
{
	struct error err;
	size_t len, good_ones = 0;

	(void)state;
	write_file("sub/device.inc", "", 0);
	for (len = 0; len <= good_len; len++) {
		write_file("x.conf", good, len);
		good_ones += read_any(&err) == 0;
	}
	assert_true(good_ones > 1 && good_ones < good_len);
}

static void a_file_with_any_byte_changed_is_survived(void **state)
{
	static const char replacements[] = { '"', '\\', '{', ')', '@', '*', '/', '\n', '\0', '\xff', '9', '-' };
	struct error err;
	size_t i, k = 0;
	char old;

	(void)state;
	write_file("sub/device.inc", "", 0);
	for (i = 0; i < good_len; i++) {
		old = good[i];
		good[i] = replacements[k++ % sizeof replacements];
		write_file("x.conf", good, good_len);
		read_any(&err);
		good[i] = old;
	}
}

static void an_included_file_cut_off_at_any_byte_is_survived(void **state)
{
	static const char included[] =
		"/* a */ { plugin = \"rng\"; rate = \"5K\"; list = ( 1, 0x10, [ \"a\" ] ); }, # c";
	struct error err;
	size_t len;

	(void)state;
	write_file("x.conf", good, good_len);
	for (len = 0; len < sizeof included; len++) {
		write_file("sub/device.inc", included, len);
		read_any(&err);
	}
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
	struct error err;

	(void)state;
	unlink("x.conf");
	assert_int_equal(mkdir("x.conf", 0700), 0);
	assert_true(read_any(&err) < 0);
	assert_string_equal(err.text, "x.conf: a folder, not a configuration file");
	rmdir("x.conf");
	assert_int_equal(mkfifo("x.conf", 0600), 0);
	assert_true(read_any(&err) < 0);
	assert_string_equal(err.text, "x.conf: a pipe, not a configuration file");
	unlink("x.conf");
	assert_int_equal(symlink("/dev/zero", "x.conf"), 0);
	assert_true(read_any(&err) < 0);
	assert_string_equal(err.text, "x.conf: a device or socket, not a configuration file");
	unlink("x.conf");
	/* Included, too. */
	write_file("x.conf", "cpus = 1;\n@include \"pipe\"\n", 25);
	assert_int_equal(mkfifo("pipe", 0600), 0);
	assert_true(read_any(&err) < 0);
	assert_string_equal(err.text, "x.conf:2: @include: pipe: a pipe, not a configuration file");
}

static void a_huge_file_is_refused(void **state)
{
	size_t len = (1 << 20) + 1;
	char *text = malloc(len);
	struct error err;

	(void)state;
	memset(text, ' ', len);
	write_file("x.conf", text, len);
	assert_int_equal(read_any(&err), -EFBIG);
	write_file("x.conf", text, len - 1);
	/* One byte short of the limit remains for the newline at the end; 1 MiB exactly is one too many. */
	read_any(&err);
	free(text);
}

static void files_that_include_many_times_their_size_are_bounded(void **state)
{
	struct error err;
	char text[1024] = "";
	int level, i;

	(void)state;
	/* Each level includes the next sixteen times: 16^7 files without a limit. */
	for (level = 0; level < 7; level++) {
		char *name = level ? text_format("sub/%d.inc", level) : strdup("x.conf");
		char *line = text_format("@include \"%s%d.inc\"\n", level ? "" : "sub/", level + 1);

		text[0] = '\0';
		for (i = 0; i < 16; i++)
			strcat(text, line);
		write_file(name, text, strlen(text));
		free(name);
		free(line);
	}
	write_file("sub/7.inc", "# the end\n", 10);
	assert_true(read_any(&err) < 0);
	assert_non_null(strstr(err.text, "more than 256 files included"));
}

static void a_chain_of_includes_is_bounded(void **state)
{
	struct error err;
	int level;

	(void)state;
	write_file("x.conf", "@include \"sub/1.inc\"\n", 21);
	for (level = 1; level < 12; level++) {
		char *name = text_format("sub/%d.inc", level), *line = text_format("@include \"%d.inc\"\n", level + 1);

		write_file(name, line, strlen(line));
		free(name);
		free(line);
	}
	assert_true(read_any(&err) < 0);
	assert_non_null(strstr(err.text, "more than 8 files deep"));
}

static void keys_without_number_are_bounded(void **state)
{
	size_t len = 0, i;
	char *text = malloc(1 << 20);
	struct error err;

	(void)state;
	for (i = 0; i < 10001; i++)
		len += (size_t)sprintf(text + len, "k%zu=1;\n", i);
	write_file("x.conf", text, len);
	assert_true(read_any(&err) < 0);
	assert_string_equal(err.text, "x.conf:10001: more than 10000 keys");
	free(text);
}

static void brackets_without_end_are_bounded(void **state)
{
	char *text = malloc(1 << 20);
	struct error err;

	(void)state;
	memset(text, '(', 1 << 20);
	memcpy(text, "devices=", 8);
	write_file("x.conf", text, (1 << 20) - 2);
	assert_true(read_any(&err) < 0);
	assert_string_equal(err.text, "x.conf:1: brackets nested deeper than 32 levels");
	free(text);
}

static void a_zero_byte_is_refused_with_its_line(void **state)
{
	struct error err;

	(void)state;
	write_file("x.conf", "cpus = 1;\nname = \"a\0b\";\n", 24);
	assert_true(read_any(&err) < 0);
	assert_string_equal(err.text, "x.conf:2: a zero byte: this is no text file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_cut_off_at_any_byte_is_survived),
		cmocka_unit_test(a_file_with_any_byte_changed_is_survived),
		cmocka_unit_test(an_included_file_cut_off_at_any_byte_is_survived),
		cmocka_unit_test(what_is_no_regular_file_is_refused_without_waiting),
		cmocka_unit_test(a_huge_file_is_refused),
		cmocka_unit_test(files_that_include_many_times_their_size_are_bounded),
		cmocka_unit_test(a_chain_of_includes_is_bounded),
		cmocka_unit_test(keys_without_number_are_bounded),
		cmocka_unit_test(brackets_without_end_are_bounded),
		cmocka_unit_test(a_zero_byte_is_refused_with_its_line),
	};

	return cmocka_run_group_tests(tests, open_bench, close_bench);
}
