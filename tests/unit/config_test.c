/* SPDX-License-Identifier: MIT */
/*
 * config_test.c - proves core/config/config.h. Each bad/NAME.conf of tests/unit/config is read, and the error
 * must be bad/NAME.expected to the letter (a .expected alone is about a file that is not there); each is a test of its
 * own, with that name. Good files are compared with the structs that they mean.
 */
#include <dirent.h>
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

#include "core/base/text.h"
#include "core/config/config.h"

enum { PAIRS_MAX = 256 };

static void enter(const char *folder)
{
	const char *source = getenv("CAPSA_SOURCE");
	char *path = text_format("%s/tests/unit/config/%s", source ? source : ".", folder);

	if (chdir(path)) {
		perror(path);
		exit(99);
	}
	free(path);
}

static struct config *read_good(const char *file)
{
	struct config *config = NULL;
	struct error err = { "" };

	if (config_read(file, &config, &err))
		fail_msg("%s", err.text);
	return config;
}

static void a_bad_file_has_the_expected_error(void **state)
{
	char *conf = text_format("%s.conf", (const char *)*state),
	     *expected = text_format("%s.expected", (const char *)*state);
	struct config *config = NULL;
	struct error err = { "" };
	char text[2048];
	FILE *file;

	enter("bad");
	file = fopen(expected, "re");
	assert_non_null(file);
	assert_non_null(fgets(text, sizeof text, file));
	fclose(file);
	text[strcspn(text, "\n")] = '\0';
	assert_true(config_read(conf, &config, &err) < 0);
	assert_null(config);
	assert_string_equal(err.text, text);
	free(conf);
	free(expected);
}

static void expect_path(const char *path, const char *folder, const char *name)
{
	char *expected = text_format("%s/%s", folder, name);

	assert_non_null(path);
	assert_string_equal(path, expected);
	free(expected);
}

static void every_key_is_read(void **state)
{
	struct config *config;

	(void)state;
	enter("good");
	config = read_good("./full.conf");
	assert_string_equal(config->file, "./full.conf");
	assert_string_equal(config->name, "demo.vm_1-x");
	assert_int_equal(config->cpus, 16);
	assert_int_equal(config->cpus_place.line, 3);
	assert_int_equal(config->memory, 1 << 30);
	assert_int_equal(config->memory_place.line, 4);
	assert_true(config->memory_shared);
	assert_int_equal(config->on_reboot, CONFIG_REBOOT_RESTART);
	assert_int_equal(config->stop_timeout, 0);
	assert_int_equal(config->io_threads, 2);
	assert_true(config->serial);
	expect_path(config->kernel, config->folder, "vmlinuz");
	assert_int_equal(config->kernel_place.line, 11);
	assert_string_equal(config->initrd, "/boot/initrd.img");
	assert_int_equal(config->kernel_entry, CONFIG_ENTRY_COMPRESSED);
	assert_true(config->cmdline_override);
	assert_string_equal(config->cmdline[0], "quiet");
	assert_string_equal(config->cmdline[1], "panic=5 ro");
	assert_string_equal(config->cmdline[2], "-- \"quoted\" # no comment, @include \"no include\"");
	assert_null(config->cmdline[3]);
	assert_int_equal(config->cmdline_place.line, 12);
	config_free(config);
}

static void devices_have_names_places_and_their_own_keys(void **state)
{
	const struct config_device *devices;
	struct config *config;

	(void)state;
	enter("good");
	config = read_good("full.conf");
	devices = config->devices;
	assert_int_equal(config->n_devices, 6);
	/* console1 is taken by the user's choice. */
	assert_string_equal(devices[0].name, "console0");
	assert_string_equal(devices[1].name, "console1");
	assert_string_equal(devices[2].name, "console2");
	assert_string_equal(devices[3].name, "my-device0");
	assert_string_equal(devices[4].name, "other0");
	assert_string_equal(devices[5].name, "console3");
	assert_string_equal(devices[1].plugin, "rng");
	expect_path(devices[3].plugin, config->folder, "./my-device.so");
	assert_string_equal(devices[0].file, "full.conf");
	assert_int_equal(devices[0].line, 17);
	assert_int_equal(devices[5].line, 22);
	assert_int_equal(devices[0].n_values, 1);
	assert_string_equal(devices[0].values[0].name, "backend");
	assert_string_equal(devices[0].values[0].string, "stdio");
	assert_int_equal(devices[1].n_values, 1);
	assert_true(devices[1].values[0].integer == INT64_C(9000000000));
	config_free(config);
}

static void values_keep_their_types_and_nesting(void **state)
{
	const struct capsa_value *values, *items;
	struct config *config;

	(void)state;
	enter("good");
	config = read_good("full.conf");
	values = config->devices[2].values;
	assert_int_equal(config->devices[2].n_values, 2);
	assert_int_equal(values[0].type, CAPSA_TYPE_LIST);
	assert_int_equal(values[0].n_items, 3);
	items = values[0].items;
	assert_int_equal(items[0].type, CAPSA_TYPE_INT);
	assert_null(items[0].name);
	assert_int_equal(items[1].type, CAPSA_TYPE_LIST);
	assert_true(items[1].items[0].boolean);
	assert_string_equal(items[1].items[1].string, "x");
	assert_int_equal(items[2].type, CAPSA_TYPE_GROUP);
	assert_string_equal(items[2].items[0].name, "a");
	assert_int_equal(items[2].items[0].type, CAPSA_TYPE_FLOAT);
	assert_true(items[2].items[0].real > -0.0016 && items[2].items[0].real < -0.0014);
	assert_int_equal(values[1].n_items, 0);
	values = config->devices[5].values;
	assert_true(values[0].integer == INT64_C(0xFFFFFFFF));
	assert_true(values[1].integer == INT64_MAX);
	assert_true(values[2].integer == INT64_MIN);
	config_free(config);
}

static void vsock_has_a_socket_and_ports(void **state)
{
	const struct config_vsock *vsock;
	struct config *config;

	(void)state;
	enter("good");
	config = read_good("full.conf");
	vsock = config->vsock;
	assert_non_null(vsock);
	assert_int_equal(vsock->place.line, 24);
	assert_true(vsock->cid == 4294967294);
	expect_path(vsock->socket, config->folder, "v.sock");
	assert_int_equal(vsock->n_ports, 3);
	assert_int_equal(vsock->ports[0].port, 1024);
	expect_path(vsock->ports[0].path, config->folder, "app.sock");
	assert_true(!vsock->ports[0].connect && vsock->ports[0].seqpacket);
	assert_int_equal(vsock->ports[1].port, 4294967294);
	assert_string_equal(vsock->ports[1].path, "/run/log.sock");
	assert_true(vsock->ports[1].connect);
	assert_int_equal(vsock->ports[1].place.line, 27);
	assert_true(!vsock->ports[2].connect && !vsock->ports[2].seqpacket);
	config_free(config);
}

static void numbers_of_more_than_32_bits_need_no_suffix(void **state)
{
	static const int64_t expected[] = {
		INT64_C(2147483648),  INT64_C(-2147483649), INT64_C(0x100000000), INT64_C(3000000000), INT64_MIN,
		INT64_C(2147483647), INT64_C(0xFFFFFFFF),  INT64_C(9000000000),  5,
	};
	struct config *config;

	(void)state;
	enter("good");
	config = read_good("large-numbers.conf");
	assert_true(config->memory == UINT64_C(4294967296));
	assert_int_equal(config->devices[0].n_values, 9);
	for (size_t i = 0; i < 9; i++)
		assert_true(config->devices[0].values[i].integer == expected[i]);
	config_free(config);
}

static void included_files_are_relative_to_the_one_that_includes_them(void **state)
{
	const struct config_device *device;
	struct config *config;
	char *folder;

	(void)state;
	enter("good");
	config = read_good("full.conf");
	device = &config->devices[4];
	assert_string_equal(device->file, "sub/deeper/device.inc");
	assert_int_equal(device->line, 1);
	folder = text_format("%s/sub/deeper", config->folder);
	expect_path(device->plugin, folder, "./other.so");
	assert_string_equal(device->values[0].file, "sub/deeper/device.inc");
	assert_int_equal(device->values[0].line, 2);
	free(folder);
	config_free(config);
	/* From another folder, with another name for the file. */
	enter("bad");
	config = read_good("../good/full.conf");
	assert_string_equal(config->devices[4].file, "../good/sub/deeper/device.inc");
	assert_null(strstr(config->folder, ".."));
	expect_path(config->kernel, config->folder, "vmlinuz");
	config_free(config);
}

static void an_empty_file_means_the_defaults(void **state)
{
	struct config *config;

	(void)state;
	enter("good");
	config = read_good("empty.conf");
	assert_string_equal(config->name, "empty");
	assert_int_equal(config->cpus, 1);
	assert_int_equal(config->cpus_place.line, 0);
	assert_int_equal(config->memory, 256 << 20);
	assert_false(config->memory_shared);
	assert_int_equal(config->on_reboot, CONFIG_REBOOT_EXIT);
	assert_int_equal(config->stop_timeout, 10);
	assert_int_equal(config->io_threads, 0);
	assert_false(config->serial);
	assert_null(config->kernel);
	assert_null(config->initrd);
	assert_int_equal(config->kernel_entry, CONFIG_ENTRY_AUTO);
	assert_non_null(config->cmdline);
	assert_null(config->cmdline[0]);
	assert_false(config->cmdline_override);
	assert_int_equal(config->n_devices, 0);
	assert_null(config->vsock);
	config_free(config);
	config_free(NULL);
}

static void the_name_of_a_file_becomes_a_name_of_a_machine(void **state)
{
	struct config *config;

	(void)state;
	enter("good");
	config = read_good("-my vm.conf");
	assert_string_equal(config->name, "my-vm");
	assert_null(config->kernel);
	assert_string_equal(config->cmdline[0], "quiet ro");
	assert_null(config->cmdline[1]);
	assert_int_equal(config->memory, 64 << 20);
	config_free(config);
}

static void the_files_that_capsa_installs_are_good(void **state)
{
	const char *source = getenv("CAPSA_SOURCE");
	struct config *config;

	(void)state;
	if (chdir(source ? source : "."))
		skip();
	config = read_good("conf/minimal.conf");
	assert_string_equal(config->name, "minimal");
	assert_int_equal(config->n_devices, 2);
	assert_string_equal(config->devices[0].plugin, "console");
	assert_string_equal(config->devices[1].plugin, "rng");
	assert_null(config->kernel);
	config_free(config);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* NAME of each NAME.expected, sorted. */
static size_t list_pairs(char **names)
{
	const struct dirent *entry;
	size_t n = 0;
	DIR *dir;

	enter("bad");
	dir = opendir(".");
	while (dir && (entry = readdir(dir)) && n < PAIRS_MAX) {
		size_t len = strlen(entry->d_name);

		if (len > 9 && !strcmp(entry->d_name + len - 9, ".expected"))
			names[n++] = strndup(entry->d_name, len - 9);
	}
	if (dir)
		closedir(dir);
	qsort(names, n, sizeof *names, compare_names);
	return n;
}

int main(void)
{
	const struct CMUnitTest good[] = {
		cmocka_unit_test(every_key_is_read),
		cmocka_unit_test(devices_have_names_places_and_their_own_keys),
		cmocka_unit_test(values_keep_their_types_and_nesting),
		cmocka_unit_test(vsock_has_a_socket_and_ports),
		cmocka_unit_test(numbers_of_more_than_32_bits_need_no_suffix),
		cmocka_unit_test(included_files_are_relative_to_the_one_that_includes_them),
		cmocka_unit_test(an_empty_file_means_the_defaults),
		cmocka_unit_test(the_name_of_a_file_becomes_a_name_of_a_machine),
		cmocka_unit_test(the_files_that_capsa_installs_are_good),
	};
	enum { GOOD = sizeof good / sizeof *good };
	struct CMUnitTest tests[GOOD + PAIRS_MAX];
	char *names[PAIRS_MAX];
	size_t i, n = list_pairs(names);
	int rc;

	memcpy(tests, good, sizeof good);
	for (i = 0; i < n; i++)
		tests[GOOD + i] = (struct CMUnitTest){ .name = names[i],
			                               .test_func = a_bad_file_has_the_expected_error,
			                               .initial_state = names[i] };
	if (n < 70)
		return 1; /* the pairs are not where they should be */
	rc = _cmocka_run_group_tests("config", tests, GOOD + n, NULL, NULL);
	for (i = 0; i < n; i++)
		free(names[i]);
	return rc;
}
