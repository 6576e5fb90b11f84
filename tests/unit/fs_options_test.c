/* SPDX-License-Identifier: MIT */
/* fs_options_test.c - proves options.h: what a device entry may say, what it means, and what realize() makes of it. */
#include "tests/unit/fs_client.h"

#include <sys/resource.h>

#include <linux/virtio_fs.h>

static struct fs_client client;

/* Takes the options as far as realize(), looks at them with `check`, and lets go. */
static void accepted(const char *options, void (*check)(const struct options *options))
{
	if (fs_try(&client, NULL, options) < 0)
		fail_msg("%s: %s", options, client.error);
	if (check)
		check(&client.share->options);
	fs_end(&client);
}

static void refused(const char *options, const char *why)
{
	assert_true(fs_try(&client, NULL, options) < 0);
	if (!strstr(client.error, why))
		fail_msg("%s: \"%s\" instead of \"%s\"", options, client.error, why);
	assert_null(strchr(client.error, '\n'));
	fs_end(&client);
}

static void check_defaults(const struct options *options)
{
	assert_string_equal(options->tag, "share0");
	assert_string_equal(options->path, client.folder);
	assert_false(options->readonly);
	assert_int_equal(options->cache, CACHE_AUTO);
	assert_false(options->writeback);
	assert_int_equal(options->dax, 0);
	assert_true(options->xattr);
	assert_int_equal(options->owner, geteuid() == 0 ? OWNER_HOST : OWNER_SQUASH);
	assert_int_equal(options->uid, 0);
	assert_int_equal(options->gid, 0);
	assert_int_equal(options->uid_map.n, 0);
	assert_false(options->host_locks);
	assert_int_equal(options->max_bytes, 0);
	assert_int_equal(options->queues, 0);
	assert_int_equal(options->workers, 8);
	assert_null(client.share->quota);
	assert_null(client.share->window);
	assert_null(client.share->locks);
}

static void check_all(const struct options *options)
{
	assert_true(options->readonly);
	assert_int_equal(options->cache, CACHE_ALWAYS);
	assert_int_equal(options->dax, 64 << 20);
	assert_false(options->xattr);
	assert_int_equal(options->owner, OWNER_SQUASH);
	assert_int_equal(options->uid, 1000);
	assert_int_equal(options->gid, 1001);
	assert_true(options->host_locks);
	assert_int_equal(options->max_bytes, 1 << 30);
	assert_int_equal(options->max_inodes, 500);
	assert_int_equal(options->queues, 3);
	assert_int_equal(options->workers, 2);
	assert_int_equal(client.setup.n_queues, 4);
	assert_int_equal(client.setup.n_workers, 2 + LOCK_WAITERS_MAX);
	assert_int_equal(client.setup.n_shared_memory, 1);
	assert_int_equal(client.setup.shared_memory[0].id, VIRTIO_FS_SHMCAP_ID_CACHE);
	assert_int_equal(client.setup.shared_memory[0].size, 64 << 20);
}

static void without_words_a_share_is_writable_and_cached(void **state)
{
	(void)state;
	accepted("", check_defaults);
}

static void each_key_comes_to_its_field(void **state)
{
	(void)state;
	accepted("readonly = true; cache = \"always\"; dax = \"64M\"; xattr = false; owner = \"squash\"; uid = 1000; "
	         "gid = "
	         "1001; locks = \"host\"; max_bytes = \"1G\"; max_inodes = 500; queues = 3; workers = 2;",
	         check_all);
}

static void the_guest_sees_tag_and_queues(void **state)
{
	struct virtio_fs_config config;

	(void)state;
	assert_int_equal(fs_try(&client, NULL, "queues = 2;"), 0);
	assert_int_equal(client.setup.config_size, 40);
	memcpy(&config, fs_config_space(&client), sizeof config);
	assert_string_equal((const char *)config.tag, "share0");
	for (size_t i = 6; i < sizeof config.tag; i++)
		assert_int_equal(config.tag[i], 0);
	assert_int_equal(config.num_request_queues, 2);
	assert_int_equal(client.setup.queues[2].size, 1024);
	fs_end(&client);
	/* It may fill its field, and has no NUL then. */
	assert_int_equal(fs_try(&client, NULL, "tag = \"123456789012345678901234567890123456\";"), 0);
	memcpy(&config, fs_config_space(&client), sizeof config);
	assert_memory_equal(config.tag, "123456789012345678901234567890123456", 36);
	assert_int_equal(config.num_request_queues, 1);
	fs_end(&client);
}

static void tags_have_1_to_36_bytes(void **state)
{
	(void)state;
	refused("tag = \"\";", "tag is empty");
	refused("tag = \"1234567890123456789012345678901234567\";", "has 37 bytes; at most 36");
}

static void a_mount_point_is_absolute(void **state)
{
	(void)state;
	accepted("mount = \"/mnt/here\";", NULL);
	refused("mount = \"mnt\";", "must be an absolute path");
}

static void windows_are_powers_of_two_from_2_mib(void **state)
{
	(void)state;
	accepted("dax = \"2M\";", NULL);
	refused("dax = \"1M\";", "give a power of two from 2M on");
	refused("dax = \"3M\";", "give a power of two from 2M on");
	refused("dax = 5;", "give a power of two from 2M on");
}

static void a_limit_cannot_hold_with_a_writable_window(void **state)
{
	(void)state;
	refused("dax = \"2M\"; max_bytes = \"1M\";", "max_bytes cannot hold with a writable dax window");
	refused("dax = \"2M\"; max_inodes = 7;", "max_inodes cannot hold with a writable dax window");
	accepted("dax = \"2M\"; max_inodes = 7; readonly = true;", NULL);
}

static void writeback_needs_a_cache_and_something_to_write(void **state)
{
	(void)state;
	accepted("writeback = true;", NULL);
	accepted("writeback = true; cache = \"always\";", NULL);
	refused("writeback = true; cache = \"none\";", "writeback needs a cache");
	refused("writeback = true; readonly = true;", "writeback makes no sense with readonly");
}

static void check_maps(const struct options *options)
{
	const struct id_map *map = &options->uid_map;
	uint32_t id;

	assert_int_equal(map->n, 2);
	assert_true(id_to_host(map, 0, &id));
	assert_int_equal(id, 100000);
	assert_true(id_to_host(map, 65535, &id));
	assert_int_equal(id, 165535);
	assert_false(id_to_host(map, 65536, &id));
	assert_true(id_to_host(map, 70000, &id));
	assert_int_equal(id, 5);
	assert_false(id_to_host(map, 70001, &id));
	assert_true(id_to_guest(map, 100001, &id));
	assert_int_equal(id, 1);
	assert_true(id_to_guest(map, 5, &id));
	assert_int_equal(id, 70000);
	assert_false(id_to_guest(map, 0, &id));
	assert_false(id_to_guest(map, 165536, &id));
	assert_true(id_to_host(&options->gid_map, 4294967294u, &id));
	assert_int_equal(id, 4294967294u);
}

static void maps_map_both_ways(void **state)
{
	(void)state;
	accepted("uid_map = [ \"0:100000:65536\", \"70000:5:1\" ];", check_maps);
}

static void maps_are_checked(void **state)
{
	static const char *const bad[] = {
		"",
		"0",
		"0:0",
		"0:0:0",
		"0:0:1:",
		":0:1",
		"0::1",
		"a:0:1",
		"-1:0:1",
		"+1:0:1",
		" 1:0:1",
		"0x1:0:1",
		"1:0:1 ",
		"4294967295:0:1",
		"0:4294967295:1",
		"4294967294:0:2",
		"4294967296:0:1",
		"0:0:4294967296",
		"99999999999999999999:0:1",
	};
	char options[128];

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		snprintf(options, sizeof options, "uid_map = [ \"%s\" ];", bad[i]);
		refused(options, "is no range; write \"GUEST:HOST:COUNT\"");
	}
	refused("gid_map = [ 5 ];", "gid_map: write each range as \"GUEST:HOST:COUNT\"");
	refused("uid_map = [ \"0:0:10\", \"9:100:1\" ];", "overlaps an earlier range");
	refused("uid_map = [ \"0:100:10\", \"20:109:1\" ];", "overlaps an earlier range");
	refused("uid_map = [ \"0:0:1\", \"1:1:1\", \"2:2:1\", \"3:3:1\", \"4:4:1\", \"5:5:1\", \"6:6:1\", \"7:7:1\", "
	        "\"8:8:1\", \"9:9:1\", \"10:10:1\", \"11:11:1\", \"12:12:1\", \"13:13:1\", \"14:14:1\", \"15:15:1\", "
	        "\"16:16:1\" ];",
	        "uid_map has 17 ranges; at most 16");
}

static void the_folder_must_be_one(void **state)
{
	(void)state;
	refused("path = \"/nonexistent/here\";", "path \"/nonexistent/here\" is not there; make the directory first");
	refused("path = \"/dev/null\";", "path \"/dev/null\" is not a directory");
}

static void foreign_owners_need_root(void **state)
{
	(void)state;
	if (fs_skips(geteuid() == 0, "not for root"))
		return;
	refused("owner = \"host\";", "owner = \"host\" needs root");
}

static void open_files_are_not_limited_more_than_must_be(void **state)
{
	struct rlimit before, low, now;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 100;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	accepted("", NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
	assert_true(now.rlim_cur == before.rlim_max || now.rlim_cur >= 1 << 17);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void the_umask_of_the_process_stays(void **state)
{
	mode_t mask;

	(void)state;
	umask(027);
	accepted("", NULL);
	mask = umask(022);
	assert_int_equal(mask, 027);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_words_a_share_is_writable_and_cached),
		cmocka_unit_test(each_key_comes_to_its_field),
		cmocka_unit_test(the_guest_sees_tag_and_queues),
		cmocka_unit_test(tags_have_1_to_36_bytes),
		cmocka_unit_test(a_mount_point_is_absolute),
		cmocka_unit_test(windows_are_powers_of_two_from_2_mib),
		cmocka_unit_test(a_limit_cannot_hold_with_a_writable_window),
		cmocka_unit_test(writeback_needs_a_cache_and_something_to_write),
		cmocka_unit_test(maps_map_both_ways),
		cmocka_unit_test(maps_are_checked),
		cmocka_unit_test(the_folder_must_be_one),
		cmocka_unit_test(foreign_owners_need_root),
		cmocka_unit_test(open_files_are_not_limited_more_than_must_be),
		cmocka_unit_test(the_umask_of_the_process_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
