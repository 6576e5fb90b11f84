/* SPDX-License-Identifier: MIT */
/* share_test.c - the words of --share and --root: the devices that come of them, and what is said of wrong ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/config/keys.h"
#include "core/sandbox/share.h"

static char folder[] = "/tmp/capsa-share.XXXXXX";

/* The keys that `word` comes to, with the test's folder as "@". */
static void expect(const char *word, bool is_root, const char *keys)
{
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct share share;
	char wanted[1024], *at;

	snprintf(wanted, sizeof wanted, "plugin = \"virtio-fs\"; %s", keys);
	while ((at = strchr(wanted, '@'))) {
		memmove(at + strlen(folder), at + 1, strlen(at));
		memcpy(at, folder, strlen(folder));
	}
	if (share_parse(word, is_root, arena, &share, &err))
		fail_msg("%s: %s", word, err.text);
	assert_string_equal(share.keys, wanted);
	arena_free(arena);
}

static void refuse(const char *word, bool is_root, const char *part)
{
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct share share;

	if (!share_parse(word, is_root, arena, &share, &err))
		fail_msg("%s: taken as %s", word, share.keys);
	if (!strstr(err.text, part) || strchr(err.text, '\n') ||
	    strncmp(err.text, is_root ? "--root: " : "--share: ", is_root ? 8 : 9) != 0)
		fail_msg("%s: \"%s\" is not in: %s", word, part, err.text);
	arena_free(arena);
}

static void test_a_folder_and_a_target(void **state)
{
	(void)state;
	expect("src:/src", false, "path = \"@/src\"; mount = \"/src\";");
	expect(".:/mnt/", false, "path = \"@/.\"; mount = \"/mnt/\";");
	expect("/:/host", false, "path = \"/\"; mount = \"/host\";");
	expect("src:/src:ro", false, "path = \"@/src\"; mount = \"/src\"; readonly = true;");
	expect("src:/src:rw", false, "path = \"@/src\"; mount = \"/src\"; readonly = false;");
}

static void test_options_become_what_they_look_like(void **state)
{
	(void)state;
	expect("src:/src,cache=none,writeback,xattr=no", false,
	       "path = \"@/src\"; mount = \"/src\"; cache = \"none\"; writeback = true; xattr = false;");
	expect("src:/src:ro,dax=64M,uid=1000,max_bytes=10000000000,workers=-1", false,
	       "path = \"@/src\"; mount = \"/src\"; readonly = true; dax = \"64M\"; uid = 1000; "
	       "max_bytes = 10000000000L; workers = -1;");
	expect("src:/src,tag=12,ro", false, "path = \"@/src\"; mount = \"/src\"; tag = \"12\"; readonly = true;");
	expect("src:/src,readonly=off", false, "path = \"@/src\"; mount = \"/src\"; readonly = false;");
	expect("src:/src,uid_map=0:1000:1,gid_map=0:5:1,uid_map=1:70:9", false,
	       "path = \"@/src\"; mount = \"/src\"; uid_map = ( \"0:1000:1\", \"1:70:9\" ); gid_map = ( \"0:5:1\" );");
}

static void test_a_backslash_takes_the_next_character_as_it_is(void **state)
{
	(void)state;
	expect("a\\:b\\,c:/x\\:y\\,z", false, "path = \"@/a:b,c\"; mount = \"/x:y,z\";");
	expect("q\\\"\\\\:/x", false, "path = \"@/q\\\"\\\\\"; mount = \"/x\";");
	expect("src:/x,tag=a\\,b\\=", false, "path = \"@/src\"; mount = \"/x\"; tag = \"a,b=\";");
}

static void test_a_root_is_read_only_and_believed(void **state)
{
	(void)state;
	expect("src", true, "path = \"@/src\"; mount = \"/\"; readonly = true; cache = \"always\"; submounts = false;");
	expect("a\\:b\\,c", true,
	       "path = \"@/a:b,c\"; mount = \"/\"; readonly = true; cache = \"always\"; submounts = false;");
	expect("a:b", true, "path = \"@/a:b\"; mount = \"/\"; readonly = true; cache = \"always\"; submounts = false;");
	expect("src,cache=auto,dax=1G", true,
	       "path = \"@/src\"; mount = \"/\"; cache = \"auto\"; dax = \"1G\"; readonly = true; submounts = false;");
	expect("src,ro", true,
	       "path = \"@/src\"; mount = \"/\"; readonly = true; cache = \"always\"; submounts = false;");
	/* His own files, then, and nobody's memory of them. */
	expect("src,rw", true, "path = \"@/src\"; mount = \"/\"; readonly = false;");
	expect("src,readonly=false", true, "path = \"@/src\"; mount = \"/\"; readonly = false;");
}

static void test_what_is_wrong_is_said(void **state)
{
	char word[5000];

	(void)state;
	refuse("", false, "which folder");
	refuse("", true, "which folder");
	refuse(":/x", false, "which folder");
	refuse("src", false, "HOST:GUEST, such as \"src:/mnt\"");
	refuse("src,ro", false, "HOST:GUEST");
	refuse("nowhere:/x", false, "/nowhere\"; make it first");
	refuse("nowhere", true, "/nowhere\"; make it first");
	refuse("file:/x", false, "/file\" is no folder");
	refuse("file/in:/x", false, "Not a directory");
	refuse("src:", false, "is no absolute path");
	refuse("src:x", false, "\"x\", is no absolute path");
	refuse("src:/", false, "--root DIR");
	refuse("src:///", false, "--root DIR");
	refuse("src:/a/../b", false, "\"..\" in it");
	refuse("src:/a/.", false, "\".\" or");
	refuse("src:/x:rx", false, "\":rx\" behind GUEST");
	refuse("src:/x:", false, "\":\" behind GUEST");
	refuse("src:/x:ro:z", false, "too many \":\"");
	refuse("src:/x:ro,rw", false, "twice");
	refuse("src:/x,ro,readonly", false, "twice");
	refuse("src:/x,readonly=maybe", false, "true or false");
	refuse("src:/x,,ro", false, "\"\" is no option");
	refuse("src:/x,Cache=none", false, "\"Cache\" is no option");
	refuse("src:/x,a;b=1", false, "\"a;b\" is no option");
	refuse("src:/x,path=/etc", false, "\"path\" is no option of it");
	refuse("src:/x,mount=/etc", false, "\"mount\"");
	refuse("src,plugin=rng", true, "\"plugin\"");
	snprintf(word, sizeof word, "src:/%04095d", 0);
	refuse(word, false, "is too long");
}

static const char *tag_of(const struct config *config, size_t index)
{
	for (size_t i = 0; i < config->devices[index].n_values; i++)
		if (strcmp(config->devices[index].values[i].name, "tag") == 0)
			return config->devices[index].values[i].string;
	return NULL;
}

static void add(struct config *config, const char *word, bool is_root)
{
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct share share;

	if (share_parse(word, is_root, arena, &share, &err) || share_add(&share, config, &err))
		fail_msg("%s: %s", word, err.text);
	/* Nothing of the arena is needed any more: the sanitizer looks. */
	arena_free(arena);
}

static void test_tags_are_those_that_nobody_has(void **state)
{
	struct config *config;
	struct error err;

	(void)state;
	assert_int_equal(config_new("test", &config, &err), 0);
	assert_int_equal(
		config_add_device(config, "plugin = \"virtio-fs\"; path = \"/\"; tag = \"share1\";", NULL, &err), 0);
	assert_int_equal(config_add_device(config, "plugin = \"virtio-fs\"; path = \"/\"; tag = \"root\";", NULL, &err),
	                 0);
	add(config, "src:/a", false);
	add(config, "src:/b", false);
	add(config, "src:/c,tag=mine", false);
	add(config, "src", true);
	assert_int_equal(config->n_devices, 6);
	assert_string_equal(tag_of(config, 2), "share0");
	assert_string_equal(tag_of(config, 3), "share2");
	assert_string_equal(tag_of(config, 4), "mine");
	assert_string_equal(tag_of(config, 5), "root1");
	assert_string_equal(config->devices[5].plugin, "virtio-fs");
	assert_string_equal(config->devices[2].file, "--share src:/a");
	config_free(config);
}

/* The plugin's table says what an option may be, and the message begins with what the user wrote. */
static void test_the_table_of_keys_checks_options(void **state)
{
	static const char *const modes[] = { "none", "auto", NULL };
	static const struct capsa_key keys[] = { { .name = "tag", .type = CAPSA_TYPE_STRING, .unique = true },
		                                 { .name = "path", .type = CAPSA_TYPE_PATH },
		                                 { .name = "mount", .type = CAPSA_TYPE_STRING },
		                                 { .name = "cache", .type = CAPSA_TYPE_CHOICE, .choices = modes },
		                                 { .name = NULL } };
	struct keys_values values, other;
	struct config *config;
	struct error err;

	(void)state;
	assert_int_equal(config_new("test", &config, &err), 0);
	add(config, "src:/a,cache=non", false);
	add(config, "src:/a,cachee=none", false);
	add(config, "src:/a,tag=share0", false);
	add(config, "src:/a,tag=share0", false);
	assert_int_not_equal(keys_apply(config, &config->devices[0], "virtio-fs", keys, &values, &err), 0);
	assert_string_equal(err.text,
	                    "--share src:/a,cache=non: key \"cache\": \"non\" is unknown; did you mean \"none\"? "
	                    "Allowed: \"none\", \"auto\"");
	assert_int_not_equal(keys_apply(config, &config->devices[1], "virtio-fs", keys, &values, &err), 0);
	assert_string_equal(err.text,
	                    "--share src:/a,cachee=none: plugin virtio-fs has no key \"cachee\"; did you mean "
	                    "\"cache\"?");
	assert_int_equal(keys_apply(config, &config->devices[2], "virtio-fs", keys, &values, &err), 0);
	assert_int_equal(keys_apply(config, &config->devices[3], "virtio-fs", keys, &other, &err), 0);
	assert_int_not_equal(keys_check_unique(&values, &other, &err), 0);
	assert_string_equal(err.text, "--share src:/a,tag=share0: key \"tag\": device virtio-fs2 at --share "
	                              "src:/a,tag=share0 has the same value; give each its own");
	keys_free(&values);
	keys_free(&other);
	config_free(config);
}

static void test_what_is_said_twice_is_refused(void **state)
{
	struct arena *arena = arena_new();
	struct config *config;
	struct error err = { "" };
	struct share share;

	(void)state;
	assert_int_equal(config_new("test", &config, &err), 0);
	assert_int_equal(share_parse("src:/x,cache=none,cache=auto", false, arena, &share, &err), 0);
	assert_int_not_equal(share_add(&share, config, &err), 0);
	assert_string_equal(err.text, "--share src:/x,cache=none,cache=auto: a key that stands twice in its group");
	config_free(config);
	arena_free(arena);
}

static int begin(void **state)
{
	FILE *file;

	(void)state;
	if (!mkdtemp(folder) || chdir(folder) || mkdir("src", 0700) || mkdir("a:b,c", 0700) || mkdir("a:b", 0700) ||
	    mkdir("q\"\\", 0700))
		return -1;
	file = fopen("file", "w");
	return file ? fclose(file) : -1;
}

static int end(void **state)
{
	(void)state;
	unlink("file");
	return rmdir("src") || rmdir("a:b,c") || rmdir("a:b") || rmdir("q\"\\") || chdir("/") || rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_folder_and_a_target),
		cmocka_unit_test(test_options_become_what_they_look_like),
		cmocka_unit_test(test_a_backslash_takes_the_next_character_as_it_is),
		cmocka_unit_test(test_a_root_is_read_only_and_believed),
		cmocka_unit_test(test_what_is_wrong_is_said),
		cmocka_unit_test(test_tags_are_those_that_nobody_has),
		cmocka_unit_test(test_the_table_of_keys_checks_options),
		cmocka_unit_test(test_what_is_said_twice_is_refused),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
