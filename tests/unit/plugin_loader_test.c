/* SPDX-License-Identifier: MIT */
/*
 * plugin_loader_test.c - which plugins are found, and that what is wrong with one is said.
 *
 * Uses rng.so and the plugins that tests/unit/plugins/bad.c was built to ($CAPSA_BUILD).
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
#include "core/plugin/check.h"
#include "core/plugin/loader.h"

static char folder[64];
static struct error err;

static char *in_build(const char *path)
{
	static char text[4096];
	const char *build = getenv("CAPSA_BUILD");

	snprintf(text, sizeof text, "%s/%s", build ? build : ".", path);
	return text;
}

/* A path in the test's own folder. */
static char *in_folder(const char *name)
{
	static char text[128];

	snprintf(text, sizeof text, "%s/%s", folder, name);
	return text;
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/capsa-loader-XXXXXX");
	assert_non_null(mkdtemp(folder));
	setenv("CAPSA_PLUGIN_PATH", folder, 1);
	err.text[0] = '\0';
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return path_remove_tree(folder);
}

static void write_file(const char *name, const void *data, size_t len)
{
	int fd = open(in_folder(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

static void link_rng(const char *name)
{
	assert_int_equal(symlink(in_build("plugins/rng/.libs/rng.so"), in_folder(name)), 0);
}

static void refused(const char *name, int code, const char *words)
{
	struct plugin *plugin;

	assert_int_equal(plugin_load(name, &plugin, &err), code);
	if (!strstr(err.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, err.text);
}

/* ---- finding ---- */

static void the_environment_is_searched_before_the_installed_folder(void **state)
{
	char **path;

	(void)state;
	setenv("CAPSA_PLUGIN_PATH", ":/a::/b/c:", 1);
	path = plugin_path();
	assert_string_equal(path[0], "/a");
	assert_string_equal(path[1], "/b/c");
	assert_string_equal(path[2], CAPSA_PLUGIN_FOLDER);
	assert_null(path[3]);
	plugin_path_free(path);
	unsetenv("CAPSA_PLUGIN_PATH");
	path = plugin_path();
	assert_string_equal(path[0], CAPSA_PLUGIN_FOLDER);
	assert_null(path[1]);
	plugin_path_free(path);
	plugin_path_free(NULL);
}

static void names_are_sorted_and_told_once(void **state)
{
	char twice[160], **names;
	size_t n = 0;

	(void)state;
	snprintf(twice, sizeof twice, "%s:%s:/no/such/folder", folder, folder);
	setenv("CAPSA_PLUGIN_PATH", twice, 1);
	write_file("zebra.so", "", 0);
	write_file("ant-2.so", "", 0);
	write_file("Not-A-Name.so", "", 0);
	write_file("readme.txt", "", 0);
	write_file(".so", "", 0);
	write_file("a-name-that-is-far-too-long-for-a-plugin.so", "", 0);
	names = plugin_names();
	for (size_t i = 0; names[i]; i++)
		n += strcmp(names[i], "ant-2") == 0 || strcmp(names[i], "zebra") == 0;
	assert_int_equal(n, 2);
	for (size_t i = 1; names[i]; i++)
		assert_true(strcmp(names[i - 1], names[i]) < 0);
	for (size_t i = 0; names[i]; i++)
		assert_true(plugin_name_valid(names[i]));
	plugin_path_free(names);
}

static void a_plugin_is_loaded_by_name_and_by_file(void **state)
{
	struct plugin *by_name, *by_file;

	(void)state;
	link_rng("rng.so");
	assert_int_equal(plugin_load("rng", &by_name, &err), 0);
	assert_string_equal(plugin_file(by_name), in_folder("rng.so"));
	assert_string_equal(plugin_info(by_name)->name, "rng");
	assert_int_equal(plugin_info(by_name)->struct_size, sizeof(struct capsa_plugin));
	assert_int_equal(plugin_load(in_build("plugins/rng/.libs/rng.so"), &by_file, &err), 0);
	plugin_unload(by_name);
	assert_string_equal(plugin_info(by_file)->keys[0].name, "rate"); /* still there */
	plugin_unload(by_file);
	plugin_unload(NULL);
}

static void an_unknown_name_is_answered_with_what_there_is(void **state)
{
	(void)state;
	link_rng("console.so");
	link_rng("rng.so");
	refused("consol", -ENOENT, "no plugin \"consol\"; did you mean \"console\"?");
	assert_non_null(strstr(err.text, "console"));
	assert_non_null(strstr(err.text, "rng"));
	assert_non_null(strstr(err.text, folder));
	refused("virtio-fs", -ENOENT, "no plugin \"virtio-fs\"; there are: ");
}

static void what_is_no_name_is_no_way_out_of_the_folder(void **state)
{
	(void)state;
	refused("..", -EINVAL, "is no name of a plugin");
	refused("", -EINVAL, "is no name of a plugin");
	refused("Rng", -EINVAL, "./Rng");
	refused("a-name-that-is-far-too-long-for-a-plugin", -EINVAL, "is no name of a plugin");
}

static void a_renamed_file_is_refused_by_name_but_not_as_a_file(void **state)
{
	struct plugin *plugin;

	(void)state;
	link_rng("dice.so");
	refused("dice", -EPROTO, "calls itself \"rng\": rename the file to rng.so");
	assert_int_equal(plugin_load(in_folder("dice.so"), &plugin, &err), 0);
	plugin_unload(plugin);
}

/* ---- files ---- */

static void what_is_no_shared_object_is_said_to_be_none(void **state)
{
	(void)state;
	write_file("text.so", "echo hello, world: this is much longer than an ELF header, as scripts go\n", 73);
	write_file("empty.so", "", 0);
	assert_int_equal(mkdir(in_folder("folder.so"), 0700), 0);
	assert_int_equal(mkfifo(in_folder("fifo.so"), 0600), 0);
	refused("text", -ENOEXEC, "text.so is not a shared object");
	refused("empty", -ENOEXEC, "empty.so is not a shared object");
	refused("folder", -ENOEXEC, "folder.so is not a shared object but a folder");
	refused("fifo", -ENOEXEC, "fifo.so is not a shared object but a special file");
	refused("/dev/null", -ENOEXEC, "special file");
	refused(in_folder("missing.so"), -ENOENT, "no plugin file");
	refused(in_folder("text.so/x"), -ENOENT, "no plugin file");
	refused(in_build("tests/unit/plugin_loader_test.o/"), -ENOENT, "no plugin file");
}

static void a_dangling_link_is_not_hidden(void **state)
{
	(void)state;
	assert_int_equal(symlink("/no/such/file", in_folder("gone.so")), 0);
	refused("gone", -ENOENT, "no plugin \"gone\"");
}

static void a_file_that_was_cut_short_is_refused_and_does_not_crash(void **state)
{
	struct stat st;
	int fd = open(in_build("plugins/rng/.libs/rng.so"), O_RDONLY | O_CLOEXEC);
	char *data;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	data = malloc((size_t)st.st_size);
	assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
	close(fd);
	/* To a sixteenth, two sixteenths, ... of its code and data, which lie in the first half at least. */
	for (size_t i = 0; i < 8; i++) {
		struct plugin *plugin;
		char name[32];

		snprintf(name, sizeof name, "cut%zu.so", i);
		write_file(name, data, (size_t)st.st_size * i / 16);
		if (plugin_load(in_folder(name), &plugin, &err) == 0)
			plugin_unload(plugin); /* only debug information was lost */
		else
			assert_true(strstr(err.text, "cut short") || strstr(err.text, "not a shared object"));
		assert_true(i > 2 || err.text[0]);
	}
	/* Another machine, and a file that is no library. */
	data[18] = 40;
	write_file("arm.so", data, (size_t)st.st_size);
	refused("arm", -ENOEXEC, "built for another machine");
	data[18] = 62;
	data[16] = 1;
	write_file("object.so", data, (size_t)st.st_size);
	refused("object", -ENOEXEC, "not a shared object (build it with -shared -fPIC)");
	free(data);
}

static void faults_of_real_plugins_are_named(void **state)
{
	(void)state;
	refused(in_build("tests/unit/plugins/.libs/bad-newer.so"), -EPROTO,
	        "was built for plugin interface 1.0; this capsa has 0.");
	refused(in_build("tests/unit/plugins/.libs/bad-size.so"), -EPROTO, "struct_size is 16, too small");
	refused(in_build("tests/unit/plugins/.libs/bad-callback.so"), -EPROTO,
	        "the mandatory callback reset() is missing");
	refused(in_build("tests/unit/plugins/.libs/bad-symbol.so"), -ENOEXEC, "capsa_function_that_is_nowhere");
	refused(in_build("tests/unit/plugins/.libs/bad-entry.so"), -ENOEXEC, "does not export capsa_plugin_entry()");
	refused(in_build("tests/unit/plugins/.libs/bad-null.so"), -EPROTO, "returned NULL");
}

/* ---- descriptions ---- */

static void *some_create(const struct capsa_host *host, struct capsa_device *dev)
{
	(void)host, (void)dev;
	return NULL;
}

static int some_config(void *self, const struct capsa_value *values, size_t n)
{
	(void)self, (void)values, (void)n;
	return 0;
}

static int some_realize(void *self, struct capsa_setup *to)
{
	(void)self, (void)to;
	return 0;
}

static int some_activate(void *self, uint64_t features)
{
	(void)self, (void)features;
	return 0;
}

static void some_notify(void *self, unsigned queue)
{
	(void)self, (void)queue;
}

static void some_void(void *self)
{
	(void)self;
}

static const char *const colours[] = { "red", "green", NULL };
static struct capsa_key keys[PLUGIN_MAX_KEYS + 2];
static struct capsa_plugin good;

static void make_good(void)
{
	memset(keys, 0, sizeof keys);
	keys[0] = (struct capsa_key){
		.name = "colour", .type = CAPSA_TYPE_CHOICE, .choices = colours, .default_text = "red", .help = "of it"
	};
	keys[1] = (struct capsa_key){
		.name = "size", .type = CAPSA_TYPE_SIZE, .default_text = "4K", .min = 1, .max = 1 << 20, .help = "of it"
	};
	keys[2] = (struct capsa_key){ .name = "path", .type = CAPSA_TYPE_PATH, .required = true, .help = "to it" };
	good = (struct capsa_plugin){
		CAPSA_PLUGIN_HEADER,
		.name = "good",
		.version = "1.2",
		.description = "a good one",
		.virtio_device_id = 1,
		.keys = keys,
		.create = some_create,
		.config = some_config,
		.realize = some_realize,
		.activate = some_activate,
		.queue_notify = some_notify,
		.reset = some_void,
		.destroy = some_void,
	};
}

static void a_good_description_is_copied(void **state)
{
	struct capsa_plugin out;

	(void)state;
	make_good();
	assert_int_equal(plugin_check(&good, "f.so", &out, &err), 0);
	assert_memory_equal(&out, &good, sizeof out);
}

static void a_longer_description_is_cut_and_a_shorter_one_reads_as_zero(void **state)
{
	struct {
		struct capsa_plugin plugin;
		void *later[4];
	} longer;
	struct capsa_plugin out;
	char *shorter;
	const size_t len = offsetof(struct capsa_plugin, reset);

	(void)state;
	make_good();
	memset(&longer, 0xff, sizeof longer);
	longer.plugin = good;
	longer.plugin.struct_size = sizeof longer;
	assert_int_equal(plugin_check(&longer.plugin, "f.so", &out, &err), 0);
	assert_ptr_equal(out.destroy, good.destroy);

	/* Exactly as long as it says: the sanitizer sees a read behind it. */
	shorter = malloc(len);
	memcpy(shorter, &good, len);
	memcpy(shorter + offsetof(struct capsa_plugin, struct_size), &len, sizeof len);
	assert_int_equal(plugin_check((const void *)shorter, "f.so", &out, &err), -EPROTO);
	assert_non_null(strstr(err.text, "f.so: the mandatory callback reset() is missing"));
	assert_null(out.destroy);
	free(shorter);
}

static int reconfigure(void *self, size_t key, const struct capsa_value *value)
{
	(void)self, (void)key, (void)value;
	return 0;
}

static void every_fault_of_a_description_is_named(void **state)
{
	struct capsa_plugin out;

	(void)state;
#define TRY(change, words)                                                          \
	do {                                                                        \
		make_good();                                                        \
		change;                                                             \
		assert_int_equal(plugin_check(&good, "f.so", &out, &err), -EPROTO); \
		assert_memory_equal(err.text, "f.so", 4);                           \
		if (!strstr(err.text, words))                                       \
			fail_msg("\"%s\" is not in \"%s\"", words, err.text);       \
	} while (0)
	TRY(good.api_version = 7, "plugin interface 7.");
	TRY(good.api_revision++, "install a newer capsa");
	TRY(good.api_revision--, "build the plugin again");
	TRY(good.struct_size = 0, "struct_size is 0");
	TRY(good.struct_size = SIZE_MAX, "which no struct capsa_plugin has");
	TRY(good.struct_size -= 1, "which no struct capsa_plugin has");
	TRY(good.name = NULL, "has no name");
	TRY(good.name = "", "is no name");
	TRY(good.name = "Good", "is no name");
	TRY(good.name = "9p", "is no name");
	TRY(good.name = "../good", "is no name");
	TRY(good.name = "abcdefghijklmnopqrstuvwxyz0123456", "is no name");
	TRY(good.version = NULL, "no version");
	TRY(good.description = "", "no description");
	TRY(good.description = "two\nlines", "no description");
	TRY(good.virtio_device_id = 0, "virtio_device_id is 0");
	TRY(good.virtio_device_id = 64, "virtio_device_id is 64");
	TRY(good.thread_model = (enum capsa_thread_model)3, "thread_model 3");
	TRY(good.needs = 8 | CAPSA_NEEDS_FILES, "needs has bits unknown to this capsa (0x8)");
	TRY(good.flags = 1, "flags has bits unknown");
	TRY(good.create = NULL, "create()");
	TRY(good.realize = NULL, "realize()");
	TRY(good.activate = NULL, "activate()");
	TRY(good.queue_notify = NULL, "queue_notify()");
	TRY(good.reset = NULL, "reset()");
	TRY(good.destroy = NULL, "destroy()");
	TRY(good.config = NULL, "no config()");
	TRY(keys[1].name = "Size", "key 2, \"Size\"");
	TRY(keys[1].name = "plugin", "capsa's own");
	TRY(keys[1].name = "name", "capsa's own");
	TRY(keys[1].name = "path", "\"path\" is declared twice");
	TRY(keys[1].type = CAPSA_TYPE_NONE, "has type 0");
	TRY(keys[1].type = (enum capsa_type)99, "has type 99");
	TRY(keys[1].help = NULL, "\"size\" has no help");
	TRY(keys[1].flags = 2, "\"size\" uses fields unknown");
	TRY(keys[1].flags = CAPSA_KEY_LIVE, "\"size\" is live, but the plugin has no reconfigure()");
	TRY((keys[1].flags = CAPSA_KEY_LIVE, keys[1].unique = true, good.reconfigure = reconfigure),
	    "\"size\" is both live and unique");
	TRY(keys[1].reserved[1] = 1, "\"size\" uses fields unknown");
	TRY(keys[1].default_text = "much", "default \"much\"");
	TRY(keys[1].default_text = "2M", "default \"2M\"");
	TRY(keys[0].default_text = "blue", "default \"blue\"");
	TRY(keys[0].choices = NULL, "list of choices");
	TRY(keys[2].default_text = "/x", "default can never count");
	TRY((keys[1].type = CAPSA_TYPE_BOOL, keys[1].default_text = "yes"), "default \"yes\"");
	TRY((keys[1].type = CAPSA_TYPE_INT, keys[1].default_text = "1x"), "default \"1x\"");
	TRY((keys[1].type = CAPSA_TYPE_INT, keys[1].default_text = "0"), "default \"0\"");
	TRY((keys[1].type = CAPSA_TYPE_FLOAT, keys[1].default_text = ""), "default \"\"");
#undef TRY
}

static void a_key_table_without_an_end_is_not_followed(void **state)
{
	static char names[PLUGIN_MAX_KEYS + 2][8];
	struct capsa_plugin out;

	(void)state;
	make_good();
	for (unsigned i = 0; i < PLUGIN_MAX_KEYS + 2; i++) {
		snprintf(names[i], sizeof names[i], "k%u", i);
		keys[i] = (struct capsa_key){ .name = names[i], .type = CAPSA_TYPE_BOOL, .help = "h" };
	}
	assert_int_equal(plugin_check(&good, "f.so", &out, &err), -EPROTO);
	assert_non_null(strstr(err.text, "more than 128 keys"));
	keys[PLUGIN_MAX_KEYS].name = NULL;
	assert_int_equal(plugin_check(&good, "f.so", &out, &err), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_environment_is_searched_before_the_installed_folder),
		TEST(names_are_sorted_and_told_once),
		TEST(a_plugin_is_loaded_by_name_and_by_file),
		TEST(an_unknown_name_is_answered_with_what_there_is),
		TEST(what_is_no_name_is_no_way_out_of_the_folder),
		TEST(a_renamed_file_is_refused_by_name_but_not_as_a_file),
		TEST(what_is_no_shared_object_is_said_to_be_none),
		TEST(a_dangling_link_is_not_hidden),
		TEST(a_file_that_was_cut_short_is_refused_and_does_not_crash),
		TEST(faults_of_real_plugins_are_named),
		TEST(a_good_description_is_copied),
		TEST(a_longer_description_is_cut_and_a_shorter_one_reads_as_zero),
		TEST(every_fault_of_a_description_is_named),
		TEST(a_key_table_without_an_end_is_not_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
