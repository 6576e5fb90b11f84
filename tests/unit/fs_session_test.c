/* SPDX-License-Identifier: MIT */
/* fs_session_test.c - proves session.c and virtio-fs.c: INIT, DESTROY, resets, queues and workers. */
#include "tests/unit/fs_client.h"

#define ALL UINT64_MAX
#define THREADS 4u
#define ROUNDS 200u

static struct fs_client client;

static int setup(void **state)
{
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (client.host)
		fs_end(&client);
	client.host = NULL;
	return 0;
}

static uint64_t agreed(const struct fs_client *c)
{
	return c->init.flags | (uint64_t)c->init.flags2 << 32;
}

/* The flags that a share with these options agrees to, for a guest that has all. */
static uint64_t flags_with(const char *options)
{
	uint64_t flags;

	fs_begin(&client, NULL, options);
	flags = agreed(&client);
	assert_true(flags == client.share->flags);
	fs_end(&client);
	client.host = NULL;
	return flags;
}

static void a_linux_guest_gets_what_makes_it_fast(void **state)
{
	const uint64_t flags = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DO_READDIRPLUS |
	                       FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES |
	                       FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_AUTO_INVAL_DATA | FUSE_INIT_EXT;

	(void)state;
	fs_begin(&client, NULL, "");
	assert_int_equal(client.init.major, FUSE_KERNEL_VERSION);
	assert_int_equal(client.init.minor, FUSE_KERNEL_MINOR_VERSION);
	assert_true(agreed(&client) == flags);
	assert_int_equal(client.init.max_write, 1 << 20);
	assert_int_equal(client.init.max_pages, 256);
	assert_int_equal(client.init.max_readahead, 1 << 20);
	assert_int_equal(client.init.time_gran, 1);
	assert_true(client.init.max_background >= client.init.congestion_threshold);
	assert_true(client.init.congestion_threshold > 0);
	assert_int_equal(client.share->max_write, 1 << 20);
}

static void options_decide_what_is_offered(void **state)
{
	(void)state;
	assert_false(flags_with("cache = \"none\";") & (FUSE_AUTO_INVAL_DATA | FUSE_CACHE_SYMLINKS));
	/* Programs map files of such a share, too (MAP_SHARED); FUSE_DIRECT_IO_ALLOW_MMAP of Linux 6.6. */
	assert_true(flags_with("cache = \"none\";") & (1ULL << 36));
	assert_false(flags_with("cache = \"auto\";") & (1ULL << 36));
	assert_true(flags_with("cache = \"always\";") & FUSE_CACHE_SYMLINKS);
	assert_false(flags_with("cache = \"always\";") & FUSE_AUTO_INVAL_DATA);
	assert_false(flags_with("") & (FUSE_WRITEBACK_CACHE | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS));
	assert_false(flags_with("") & (FUSE_MAP_ALIGNMENT | FUSE_HAS_INODE_DAX));
	assert_true(flags_with("writeback = true;") & FUSE_WRITEBACK_CACHE);
	assert_int_equal(flags_with("locks = \"host\";") & (FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS),
	                 FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS);
	assert_true(flags_with("dax = \"2M\";") & FUSE_MAP_ALIGNMENT);
	assert_true(flags_with("dax = \"2M\";") & FUSE_HAS_INODE_DAX);
}

static void a_guest_gets_no_flag_that_it_does_not_have(void **state)
{
	(void)state;
	fs_begin_raw(&client, NULL, "dax = \"2M\"; writeback = true;");
	assert_int_equal(fs_init(&client, 31, FUSE_ASYNC_READ | FUSE_BIG_WRITES, 65536), 0);
	assert_true(agreed(&client) == (FUSE_ASYNC_READ | FUSE_BIG_WRITES));
	assert_int_equal(client.init.map_alignment, 0);
	assert_int_equal(client.init.max_readahead, 65536);
	assert_int_equal(client.share->minor, 31);
	/* Bits of flags2 count only where the guest says that it has them. */
	assert_int_equal(fs_init(&client, 36, FUSE_HAS_INODE_DAX, 65536), 0);
	assert_true(agreed(&client) == 0);
	assert_int_equal(fs_init(&client, 36, FUSE_HAS_INODE_DAX | FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT, 65536), 0);
	assert_true(agreed(&client) == (FUSE_HAS_INODE_DAX | FUSE_INIT_EXT | FUSE_MAP_ALIGNMENT));
	assert_int_equal(client.init.map_alignment, WINDOW_ALIGNMENT_SHIFT);
}

static int init_version(uint32_t major, uint32_t minor)
{
	const struct fuse_init_in in = { .major = major, .minor = minor };

	return fs_call(&client, FUSE_INIT, 0, &in, 16, NULL, 0, &client.init, sizeof client.init, NULL);
}

static void versions_are_settled_as_linux_does(void **state)
{
	struct fuse_attr attr;

	(void)state;
	fs_begin_raw(&client, NULL, "");
	/* Newer: we say what we have, it comes again. */
	assert_int_equal(init_version(8, 0), 0);
	assert_int_equal(client.init.major, FUSE_KERNEL_VERSION);
	assert_int_equal(fs_getattr(&client, FUSE_ROOT_ID, &attr), -EIO);
	assert_int_equal(init_version(6, 99), -EPROTO);
	assert_int_equal(init_version(7, 30), -EPROTO);
	assert_int_equal(fs_getattr(&client, FUSE_ROOT_ID, &attr), -EIO);
	assert_int_equal(init_version(7, 31), 0);
	assert_int_equal(fs_getattr(&client, FUSE_ROOT_ID, &attr), 0);
	assert_int_equal(init_version(7, 1000), 0);
	assert_int_equal(client.share->minor, FUSE_KERNEL_MINOR_VERSION);
}

/* Looks a file up and opens it. */
static void hold_a_file(uint64_t *node, uint64_t *fh)
{
	uint64_t nodes, descriptors;

	fs_host_file(&client, "file", "content", 0644);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", node, NULL), 0);
	assert_int_equal(fs_open(&client, *node, O_RDONLY, fh), 0);
	node_table_count(client.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 2);
	assert_int_equal(handle_table_count(client.share->handles), 1);
}

static void all_is_forgotten(uint64_t node, uint64_t fh)
{
	uint64_t nodes, descriptors;
	char byte;

	node_table_count(client.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 1);
	assert_int_equal(handle_table_count(client.share->handles), 0);
	assert_int_equal(fs_getattr(&client, node, NULL), -ESTALE);
	assert_int_equal(fs_read(&client, node, fh, &byte, 1, 0), -EBADF);
	assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", &node, NULL), 0);
}

static void a_second_init_begins_anew(void **state)
{
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	hold_a_file(&node, &fh);
	assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 65536), 0);
	all_is_forgotten(node, fh);
}

static void destroy_forgets_all(void **state)
{
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	hold_a_file(&node, &fh);
	assert_int_equal(fs_destroy(&client), 0);
	assert_int_equal(fs_getattr(&client, FUSE_ROOT_ID, NULL), -EIO);
	assert_int_equal(fs_destroy(&client), 0);
	assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 65536), 0);
	all_is_forgotten(node, fh);
}

static void a_reset_forgets_all(void **state)
{
	uint64_t node, fh;

	(void)state;
	fs_begin(&client, NULL, "");
	hold_a_file(&node, &fh);
	fs_reset(&client);
	assert_int_equal(fs_getattr(&client, FUSE_ROOT_ID, NULL), -EIO);
	assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 65536), 0);
	all_is_forgotten(node, fh);
}

static void submit_mkdirs(unsigned n)
{
	const struct fuse_mkdir_in in = { .mode = 0755 };
	char name[16];

	for (unsigned i = 0; i < n; i++) {
		int len = snprintf(name, sizeof name, "d%u", i);

		fs_submit(&client, FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof in, name, (size_t)len + 1,
		          sizeof(struct fuse_entry_out));
	}
}

/* Their buffers are freed by the reset; whoever still went there would be seen by the sanitizer. */
static void requests_that_no_worker_has_begun_are_void_after_a_reset(void **state)
{
	(void)state;
	fs_begin(&client, NULL, "");
	client.inline_jobs = true;
	submit_mkdirs(100);
	fs_reset(&client);
	assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 65536), 0);
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "after", 0755, NULL), 0);
	assert_false(fs_host_exists(&client, "d0"));
	assert_false(fs_host_exists(&client, "d99"));
}

static void a_destroy_that_a_reset_has_overtaken_does_not_end_the_next_session(void **state)
{
	const struct fuse_syncfs_in in = { 0 };
	struct fuse_attr attr;

	(void)state;
	fs_begin(&client, NULL, "");
	client.inline_jobs = true;
	fs_submit(&client, FUSE_DESTROY, 0, NULL, 0, NULL, 0, 0);
	assert_int_equal(fs_counter(&client, "worker_requests"), 1);
	fs_reset(&client);
	assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 0), 0);
	/* A worker's, too: the one before it has run when it has. */
	assert_int_equal(fs_call(&client, FUSE_SYNCFS, FUSE_ROOT_ID, &in, sizeof in, NULL, 0, NULL, 0, NULL), 0);
	assert_int_equal(fs_getattr(&client, FUSE_ROOT_ID, &attr), 0);
}

static void a_reset_in_the_middle_of_requests_waits_for_workers(void **state)
{
	(void)state;
	fs_begin(&client, NULL, "");
	for (unsigned round = 0; round < 20; round++) {
		submit_mkdirs(200);
		fs_reset(&client);
		assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 65536), 0);
	}
	assert_int_equal(fs_getattr(&client, FUSE_ROOT_ID, NULL), 0);
}

static void a_reset_wakes_those_that_wait_for_a_lock(void **state)
{
	const struct fuse_file_lock lock = { .end = INT64_MAX, .type = F_WRLCK, .pid = 1 };
	struct fuse_lk_in in = { .lk = lock, .owner = 2 };
	uint64_t node;

	(void)state;
	fs_begin(&client, NULL, "locks = \"host\";");
	fs_host_file(&client, "file", "", 0644);
	for (unsigned round = 0; round < 10; round++) {
		assert_int_equal(fs_lookup(&client, FUSE_ROOT_ID, "file", &node, NULL), 0);
		assert_int_equal(fs_open(&client, node, O_RDWR, &in.fh), 0);
		assert_int_equal(fs_setlk(&client, node, in.fh, 1, &lock, false, false), 0);
		for (unsigned i = 0; i < 3; i++)
			fs_submit(&client, FUSE_SETLKW, node, &in, sizeof in, NULL, 0, 0);
		if (round % 2) /* INIT, too */
			assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 65536), 0);
		fs_reset(&client);
		assert_int_equal(fs_init(&client, FUSE_KERNEL_MINOR_VERSION, ALL, 65536), 0);
	}
}

static void many_requests_at_a_time_are_all_answered(void **state)
{
	struct fs_request *requests[500];
	const struct fuse_mkdir_in in = { .mode = 0755 };
	struct fuse_entry_out entry;
	char name[16];

	(void)state;
	fs_begin(&client, NULL, "");
	for (unsigned i = 0; i < 500; i++) {
		int len = snprintf(name, sizeof name, "d%u", i);

		requests[i] = fs_submit(&client, FUSE_MKDIR, FUSE_ROOT_ID, &in, sizeof in, name, (size_t)len + 1,
		                        sizeof entry);
	}
	for (unsigned i = 500; i-- > 0;)
		assert_int_equal(fs_wait(&client, requests[i], &entry, sizeof entry, NULL), 0);
	assert_int_equal(fs_list(&client, FUSE_ROOT_ID, false, NULL, NULL), 502);
	assert_true(fs_counter(&client, "requests") > 500);
	assert_true(fs_counter(&client, "worker_requests") >= 500);
	assert_int_equal(fs_counter(&client, "errors"), 0);
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "d0", 0755, NULL), -EEXIST);
	assert_int_equal(fs_counter(&client, "errors"), 1);
}

static void *one_queue(void *ctx)
{
	unsigned queue = (unsigned)(uintptr_t)ctx;
	char name[32], data[64];

	fs_thread(&client, queue);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t node, fh;
		int len = snprintf(name, sizeof name, "q%u-%u", queue, i);

		assert_int_equal(fs_create(&client, FUSE_ROOT_ID, name, O_RDWR, 0644, &node, &fh), 0);
		assert_int_equal(fs_write(&client, node, fh, name, (size_t)len, 0), len);
		assert_int_equal(fs_read(&client, node, fh, data, sizeof data, 0), len);
		assert_memory_equal(data, name, len);
		assert_int_equal(fs_release(&client, node, fh), 0);
		if (i % 2)
			assert_int_equal(fs_unlink(&client, FUSE_ROOT_ID, name), 0);
		fs_forget(&client, node, 1);
	}
	return NULL;
}

static void queues_on_several_loops_work_at_the_same_time(void **state)
{
	pthread_t threads[THREADS];
	uint64_t nodes, descriptors;

	(void)state;
	fs_begin(&client, NULL, "queues = 5;");
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, one_queue, (void *)(uintptr_t)(i + 2)), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	node_table_count(client.share->nodes, &nodes, &descriptors);
	assert_int_equal(nodes, 1);
	assert_int_equal(handle_table_count(client.share->handles), 0);
	assert_int_equal(fs_counter(&client, "errors"), 0);
}

static void the_umask_of_capsa_takes_nothing_away(void **state)
{
	struct fuse_attr attr;
	uint64_t node;
	mode_t mask;

	(void)state;
	umask(077);
	fs_begin(&client, NULL, "");
	assert_int_equal(fs_mkdir(&client, FUSE_ROOT_ID, "folder", 0775, &node), 0);
	assert_int_equal(fs_getattr(&client, node, &attr), 0);
	assert_int_equal(attr.mode, S_IFDIR | 0775);
	assert_int_equal(fs_create(&client, FUSE_ROOT_ID, "file", O_RDWR, 0666, &node, NULL), 0);
	assert_int_equal(fs_getattr(&client, node, &attr), 0);
	assert_int_equal(attr.mode, S_IFREG | 0666);
	mask = umask(022);
	assert_int_equal(mask, 077);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_linux_guest_gets_what_makes_it_fast),
		TEST(options_decide_what_is_offered),
		TEST(a_guest_gets_no_flag_that_it_does_not_have),
		TEST(versions_are_settled_as_linux_does),
		TEST(a_second_init_begins_anew),
		TEST(destroy_forgets_all),
		TEST(a_reset_forgets_all),
		TEST(requests_that_no_worker_has_begun_are_void_after_a_reset),
		TEST(a_destroy_that_a_reset_has_overtaken_does_not_end_the_next_session),
		TEST(a_reset_in_the_middle_of_requests_waits_for_workers),
		TEST(a_reset_wakes_those_that_wait_for_a_lock),
		TEST(many_requests_at_a_time_are_all_answered),
		TEST(queues_on_several_loops_work_at_the_same_time),
		TEST(the_umask_of_capsa_takes_nothing_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
