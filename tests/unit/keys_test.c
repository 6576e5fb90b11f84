/* SPDX-License-Identifier: MIT */
/* keys_test.c - proves core/config/keys.h: device entries written as a file against key tables written here. */
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
#include "core/config/keys.h"

static const char *const modes[] = { "stdio", "pty", "socket", NULL };

enum { BOOL, INT, SIZE, STRING, PATH, CHOICE, LIST, GROUP, FLOAT, N_KEYS };

static const struct capsa_key keys[] = {
	[BOOL] = { .name = "readonly", .type = CAPSA_TYPE_BOOL, .default_text = "true" },
	[INT] = { .name = "queues", .type = CAPSA_TYPE_INT, .default_text = "-3", .min = 1, .max = 8 },
	[SIZE] = { .name = "rate", .type = CAPSA_TYPE_SIZE, .default_text = "4K", .min = 1024, .max = 1 << 30 },
	[STRING] = { .name = "tag", .type = CAPSA_TYPE_STRING, .default_text = "a; b", .unique = true },
	[PATH] = { .name = "path", .type = CAPSA_TYPE_PATH, .default_text = "data", .unique = true },
	[CHOICE] = { .name = "mode", .type = CAPSA_TYPE_CHOICE, .default_text = "pty", .choices = modes },
	[LIST] = { .name = "forward", .type = CAPSA_TYPE_LIST, .default_text = "[ \"a\", \"b\" ]" },
	[GROUP] = { .name = "policy", .type = CAPSA_TYPE_GROUP, .default_text = "{ x = 1; }" },
	[FLOAT] = { .name = "share", .type = CAPSA_TYPE_FLOAT, .default_text = "0.5" },
	[N_KEYS] = { .name = NULL },
};

static int open_bench(void **state)
{
	char *folder = strdup("/tmp/capsa-keys-XXXXXX");

	if (!mkdtemp(folder) || chdir(folder) || mkdir("sub", 0700))
		return -1;
	*state = folder;
	return 0;
}

static int close_bench(void **state)
{
	int rc = chdir("/") || path_remove_tree(*state);

	free(*state);
	return rc;
}

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* A configuration whose devices are `devices`, which begin in line 2 of x.conf. */
static struct config *read_devices(const char *devices)
{
	char *text = text_format("devices = (\n%s\n);\n", devices);
	struct config *config = NULL;
	struct error err = { "" };

	write_file("x.conf", text);
	free(text);
	if (config_read("x.conf", &config, &err))
		fail_msg("%s", err.text);
	return config;
}

static void expect_refused_by(const struct capsa_key *table, const char *device, const char *text)
{
	struct config *config = read_devices(device);
	struct keys_values values;
	struct error err = { "" };

	assert_true(keys_apply(config, &config->devices[0], "probe", table, &values, &err) < 0);
	assert_string_equal(err.text, text);
	config_free(config);
}

static void expect_refused(const char *device, const char *text)
{
	expect_refused_by(keys, device, text);
}

static void apply(const struct config *config, size_t index, struct keys_values *values)
{
	struct error err = { "" };

	if (keys_apply(config, &config->devices[index], "probe", keys, values, &err))
		fail_msg("%s", err.text);
}

static void values_of_every_type_are_taken_from_the_file(void **state)
{
	struct config *config = read_devices("{ plugin = \"probe\"; share = 2; policy = { a = 1; b = ( 2 ); };\n"
	                                     "forward = ( 1, \"x\" ); mode = \"socket\"; path = \"a/b\"; tag = \"t\";\n"
	                                     "rate = \"1M\"; queues = 8; readonly = false; }");
	struct keys_values values;
	char *path = text_format("%s/a/b", config->folder);
	size_t i;

	(void)state;
	apply(config, 0, &values);
	assert_int_equal(values.n, N_KEYS);
	for (i = 0; i < N_KEYS; i++) {
		assert_string_equal(values.values[i].name, keys[i].name);
		assert_int_equal(values.values[i].type, keys[i].type);
		assert_false(values.values[i].from_default);
		assert_string_equal(values.values[i].file, "x.conf");
	}
	assert_int_equal(values.values[BOOL].line, 4);
	assert_false(values.values[BOOL].boolean);
	assert_int_equal(values.values[INT].integer, 8);
	assert_int_equal(values.values[SIZE].integer, 1 << 20);
	assert_string_equal(values.values[STRING].string, "t");
	assert_string_equal(values.values[PATH].string, path);
	assert_string_equal(values.values[CHOICE].string, "socket");
	assert_int_equal(values.values[CHOICE].integer, 2);
	assert_int_equal(values.values[LIST].n_items, 2);
	assert_string_equal(values.values[LIST].items[1].string, "x");
	assert_int_equal(values.values[GROUP].n_items, 2);
	assert_string_equal(values.values[GROUP].items[1].name, "b");
	assert_true(values.values[FLOAT].real > 1.99 && values.values[FLOAT].real < 2.01);
	free(path);
	keys_free(&values);
	config_free(config);
}

static void absent_keys_get_their_defaults(void **state)
{
	struct config *config = read_devices("{ plugin = \"probe\"; }");
	struct keys_values values;
	char *path = text_format("%s/data", config->folder);
	size_t i;

	(void)state;
	apply(config, 0, &values);
	for (i = 0; i < N_KEYS; i++) {
		assert_true(values.values[i].from_default);
		assert_int_equal(values.values[i].type, keys[i].type);
		assert_string_equal(values.values[i].name, keys[i].name);
		assert_null(values.values[i].file);
		assert_int_equal(values.values[i].line, 0);
	}
	assert_true(values.values[BOOL].boolean);
	/* Outside the limits, which bind the user only. */
	assert_int_equal(values.values[INT].integer, -3);
	assert_int_equal(values.values[SIZE].integer, 4096);
	assert_string_equal(values.values[STRING].string, "a; b");
	assert_string_equal(values.values[PATH].string, path);
	assert_int_equal(values.values[CHOICE].integer, 1);
	assert_string_equal(values.values[LIST].items[1].string, "b");
	assert_int_equal(values.values[GROUP].items[0].integer, 1);
	assert_true(values.values[FLOAT].real > 0.49 && values.values[FLOAT].real < 0.51);
	free(path);
	keys_free(&values);
	config_free(config);
}

static void a_key_without_default_may_be_absent(void **state)
{
	static const struct capsa_key table[] = { { .name = "path", .type = CAPSA_TYPE_PATH }, { .name = NULL } };
	struct config *config = read_devices("{ plugin = \"probe\"; }");
	struct keys_values values;
	struct error err;

	(void)state;
	assert_int_equal(keys_apply(config, &config->devices[0], "probe", table, &values, &err), 0);
	assert_int_equal(values.values[0].type, CAPSA_TYPE_NONE);
	assert_true(values.values[0].from_default);
	assert_null(values.values[0].string);
	keys_free(&values);
	config_free(config);
}

static void a_required_key_must_be_there(void **state)
{
	static const struct capsa_key table[] = {
		{ .name = "path", .type = CAPSA_TYPE_PATH, .required = true, .help = "what to share" }, { .name = NULL }
	};

	(void)state;
	expect_refused_by(table, "\n{ plugin = \"probe\"; }",
	                  "x.conf:3: device probe0 needs the key \"path\" (path): what to share");
}

static void unknown_keys_are_refused_with_a_suggestion(void **state)
{
	(void)state;
	expect_refused("{ plugin = \"probe\";\n quees = 2; }",
	               "x.conf:3: plugin probe has no key \"quees\"; did you mean \"queues\"?");
	expect_refused("{ plugin = \"probe\"; nmae = \"x\"; }",
	               "x.conf:2: plugin probe has no key \"nmae\"; did you mean \"name\"?");
	expect_refused("{ plugin = \"probe\"; frobnicate = 2; }",
	               "x.conf:2: plugin probe has no key \"frobnicate\"; see: capsa plugin show probe");
	expect_refused_by(NULL, "{ plugin = \"probe\"; rate = 2; }",
	                  "x.conf:2: plugin probe has no key \"rate\"; see: capsa plugin show probe");
}

static void values_of_a_wrong_type_are_refused(void **state)
{
	(void)state;
	expect_refused("{ plugin = \"probe\"; readonly = 1; }",
	               "x.conf:2: key \"readonly\": found the integer 1; write true or false, without quotes");
	expect_refused("{ plugin = \"probe\"; queues = 1.5; }",
	               "x.conf:2: key \"queues\": found the number 1.5; write an integer from 1 to 8");
	expect_refused("{ plugin = \"probe\"; rate = [ 1 ]; }",
	               "x.conf:2: key \"rate\": found a list; write a size such as \"512M\"");
	expect_refused("{ plugin = \"probe\"; tag = 1; }",
	               "x.conf:2: key \"tag\": found the integer 1; write a string in quotes");
	expect_refused("{ plugin = \"probe\"; path = { }; }",
	               "x.conf:2: key \"path\": found a group; write a path in quotes");
	expect_refused("{ plugin = \"probe\"; path = \"\"; }", "x.conf:2: key \"path\": the path is empty");
	expect_refused("{ plugin = \"probe\"; mode = 0; }",
	               "x.conf:2: key \"mode\": found the integer 0; write one of \"stdio\", \"pty\", \"socket\"");
	expect_refused("{ plugin = \"probe\"; forward = \"x\"; }",
	               "x.conf:2: key \"forward\": found the string \"x\"; write a list, ( ... ) or [ ... ]");
	expect_refused("{ plugin = \"probe\"; policy = ( ); }",
	               "x.conf:2: key \"policy\": found a list; write a group, { NAME = VALUE; ... }");
	expect_refused("{ plugin = \"probe\"; share = \"1\"; }",
	               "x.conf:2: key \"share\": found the string \"1\"; write a number");
}

static void values_beyond_limits_and_choices_are_refused(void **state)
{
	(void)state;
	expect_refused("{ plugin = \"probe\"; queues = 9; }",
	               "x.conf:2: key \"queues\": 9 is out of range; write an integer from 1 to 8");
	expect_refused("{ plugin = \"probe\"; queues = 0; }",
	               "x.conf:2: key \"queues\": 0 is out of range; write an integer from 1 to 8");
	expect_refused("{ plugin = \"probe\"; rate = 1023; }",
	               "x.conf:2: key \"rate\": 1023 bytes are too few; the least is \"1K\"");
	expect_refused("{ plugin = \"probe\"; rate = \"2G\"; }",
	               "x.conf:2: key \"rate\": \"2G\" is too large; the most is \"1G\"");
	expect_refused(
		"{ plugin = \"probe\"; mode = \"stdoi\"; }",
		"x.conf:2: key \"mode\": \"stdoi\" is unknown; did you mean \"stdio\"? Allowed: \"stdio\", \"pty\", "
		"\"socket\"");
}

static void paths_are_relative_to_the_file_that_has_them(void **state)
{
	struct config *config;
	struct keys_values values;
	char *path;

	(void)state;
	write_file("sub/device.inc", "{ plugin = \"probe\"; path = \"x\"; }\n");
	config = read_devices("@include \"sub/device.inc\"");
	path = text_format("%s/sub/x", config->folder);
	/* The folder of the process may change in between. */
	assert_int_equal(chdir("/"), 0);
	apply(config, 0, &values);
	assert_int_equal(chdir(*state), 0);
	assert_string_equal(values.values[PATH].string, path);
	free(path);
	keys_free(&values);
	config_free(config);
}

static void unique_values_are_unique(void **state)
{
	struct config *config = read_devices("{ plugin = \"probe\"; tag = \"a\"; path = \"p\"; },\n"
	                                     "{ plugin = \"probe\"; tag = \"b\"; path = \"q\"; },\n"
	                                     "{ plugin = \"probe\";\n tag = \"a\"; path = \"r\"; },\n"
	                                     "{ plugin = \"probe\"; path = \"s\"; },\n"
	                                     "{ plugin = \"probe\"; path = \"t\"; }");
	struct keys_values values[5];
	struct error err = { "" };
	size_t i;

	(void)state;
	for (i = 0; i < 5; i++)
		apply(config, i, &values[i]);
	assert_int_equal(keys_check_unique(&values[0], &values[1], &err), 0);
	assert_int_equal(keys_check_unique(&values[0], &values[2], &err), -EEXIST);
	assert_string_equal(err.text,
	                    "x.conf:5: key \"tag\": device probe0 at x.conf:2 has the same value; give each its own");
	/* A default counts. */
	assert_int_equal(keys_check_unique(&values[3], &values[4], &err), -EEXIST);
	assert_string_equal(err.text,
	                    "x.conf:7: key \"tag\" (its default): device probe3 at x.conf:6 has the same value; "
	                    "give each its own");
	for (i = 0; i < 5; i++)
		keys_free(&values[i]);
	config_free(config);
}

static void a_table_that_is_wrong_is_the_plugins_fault(void **state)
{
	static const struct capsa_key no_choices[] = { { .name = "k", .type = CAPSA_TYPE_CHOICE }, { .name = NULL } };
	static const struct capsa_key no_type[] = { { .name = "k" }, { .name = NULL } };
	static const struct capsa_key twice[] = { { .name = "k", .type = CAPSA_TYPE_INT },
		                                  { .name = "k", .type = CAPSA_TYPE_BOOL },
		                                  { .name = NULL } };
	static const struct capsa_key bad_default[] = { { .name = "k", .type = CAPSA_TYPE_INT, .default_text = "many" },
		                                        { .name = NULL } };
	static const struct capsa_key two_defaults[] = {
		{ .name = "k", .type = CAPSA_TYPE_INT, .default_text = "1; x = 2" }, { .name = NULL }
	};
	static const struct capsa_key bad_choice[] = {
		{ .name = "k", .type = CAPSA_TYPE_CHOICE, .default_text = "file", .choices = modes }, { .name = NULL }
	};

	(void)state;
	expect_refused_by(no_choices, "{ plugin = \"probe\"; }",
	                  "x.conf:2: a fault of the plugin probe: its key \"k\" has no choices");
	expect_refused_by(no_type, "{ plugin = \"probe\"; }",
	                  "x.conf:2: a fault of the plugin probe: its key \"k\" has no type that is known");
	expect_refused_by(twice, "{ plugin = \"probe\"; }",
	                  "x.conf:2: a fault of the plugin probe: it has two keys \"k\"");
	expect_refused_by(
		bad_default, "{ plugin = \"probe\"; }",
		"x.conf:2: a fault of the plugin probe: the default of its key \"k\": syntax error; is a \";\", a "
		"quote or a bracket missing, or a comma too many, here or just above?");
	expect_refused_by(two_defaults, "{ plugin = \"probe\"; }",
	                  "x.conf:2: a fault of the plugin probe: the default of its key \"k\": not one value");
	expect_refused_by(bad_choice, "{ plugin = \"probe\"; }",
	                  "x.conf:2: a fault of the plugin probe: the default of its key \"k\": key \"k\": \"file\" is "
	                  "unknown; write one of \"stdio\", \"pty\", \"socket\"");
}

static void types_have_names(void **state)
{
	(void)state;
	assert_string_equal(keys_type_name(CAPSA_TYPE_BOOL), "boolean");
	assert_string_equal(keys_type_name(CAPSA_TYPE_FLOAT), "number");
	assert_string_equal(keys_type_name((enum capsa_type)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_of_every_type_are_taken_from_the_file),
		cmocka_unit_test(absent_keys_get_their_defaults),
		cmocka_unit_test(a_key_without_default_may_be_absent),
		cmocka_unit_test(a_required_key_must_be_there),
		cmocka_unit_test(unknown_keys_are_refused_with_a_suggestion),
		cmocka_unit_test(values_of_a_wrong_type_are_refused),
		cmocka_unit_test(values_beyond_limits_and_choices_are_refused),
		cmocka_unit_test(paths_are_relative_to_the_file_that_has_them),
		cmocka_unit_test(unique_values_are_unique),
		cmocka_unit_test(a_table_that_is_wrong_is_the_plugins_fault),
		cmocka_unit_test(types_have_names),
	};

	return cmocka_run_group_tests(tests, open_bench, close_bench);
}
