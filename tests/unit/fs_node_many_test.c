/* SPDX-License-Identifier: MIT */
/*
 * fs_node_many_test.c - more nodes than there are descriptors, a million look-ups, hundreds of levels, several threads.
 */
#include "tests/unit/fs_look.h"

#include <stdatomic.h>
#include <sys/resource.h>

#define MANY 20000u
#define ROUNDS 50u /* of MANY: a million look-ups */

/* ---- descriptors ---- */

static void a_thousand_files_share_sixteen_descriptors(void **state)
{
	uint64_t dirs[10], files[1000], nodes, descriptors, fh;
	char name[64], text[16], got[16];
	struct fs_client c;

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 16);
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "d%u", i);
		host_mkdir(&c, name);
		snprintf(name, sizeof name, "d%u/sub", i);
		host_mkdir(&c, name);
		for (unsigned j = 0; j < 100; j++) {
			snprintf(name, sizeof name, "d%u/sub/f%u", i, j);
			snprintf(text, sizeof text, "%u", i * 100 + j);
			fs_host_file(&c, name, text, 0644);
		}
	}
	for (unsigned i = 0; i < 10; i++) {
		snprintf(name, sizeof name, "d%u", i);
		dirs[i] = look(&c, look(&c, FUSE_ROOT_ID, name), "sub");
		for (unsigned j = 0; j < 100; j++) {
			snprintf(name, sizeof name, "f%u", j);
			files[i * 100 + j] = look(&c, dirs[i], name);
		}
	}
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_true(nodes == 1 + 10 + 10 + 1000 && descriptors <= 16);

	/* The guest moves each file to another directory, and the directories, too; all are found again. */
	for (unsigned i = 0; i < 1000; i += 7) {
		char to[64];

		snprintf(name, sizeof name, "f%u", i % 100);
		snprintf(to, sizeof to, "g%u", i);
		assert_int_equal(fs_rename(&c, dirs[i / 100], name, dirs[(i / 100 + 3) % 10], to, 0), 0);
	}
	assert_int_equal(fs_rename(&c, FUSE_ROOT_ID, "d4", dirs[7], "moved", 0), 0);
	assert_int_equal(fs_rename(&c, FUSE_ROOT_ID, "d1", FUSE_ROOT_ID, "d2", RENAME_EXCHANGE), 0);
	for (unsigned i = 0; i < 1000; i++) {
		unsigned at = i * 617 % 1000;

		snprintf(text, sizeof text, "%u", at);
		assert_int_equal(fs_open(&c, files[at], O_RDONLY, &fh), 0);
		memset(got, 0, sizeof got);
		assert_int_equal(fs_read(&c, files[at], fh, got, sizeof got, 0), strlen(text));
		assert_string_equal(got, text);
		assert_int_equal(fs_release(&c, files[at], fh), 0);
	}
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_true(descriptors <= 16);
	for (unsigned i = 0; i < 1000; i++)
		fs_forget(&c, files[i], 1);
	node_table_count(c.share->nodes, &nodes, &descriptors);
	assert_true(nodes == 21 && descriptors <= 16);
	fs_end(&c);
}

static void where_all_descriptors_are_in_use_the_guest_is_told(void **state)
{
	uint64_t node[20], fh[20];
	struct fs_client c;
	char name[16];
	unsigned n;
	int rc = 0;

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 8);
	for (n = 0; n < 20; n++) {
		snprintf(name, sizeof name, "%u", n);
		fs_host_file(&c, name, "x", 0644);
		rc = fs_lookup(&c, FUSE_ROOT_ID, name, &node[n], NULL);
		if (rc < 0)
			break;
		assert_int_equal(fs_open(&c, node[n], O_RDONLY, &fh[n]), 0);
	}
	assert_true(n == 8 && rc == -EMFILE);
	while (n--)
		assert_int_equal(fs_release(&c, node[n], fh[n]), 0);
	assert_int_equal(fs_lookup(&c, FUSE_ROOT_ID, name, NULL, NULL), 0);
	fs_end(&c);
}

static void a_host_without_descriptors_gets_some_back_from_the_nodes(void **state)
{
	struct rlimit before, low;
	struct fs_client c;
	uint64_t node[200];
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "");
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "%u", i);
		fs_host_file(&c, name, "x", 0644);
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = before;
	low.rlim_cur = 120;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "%u", i);
		node[i] = look(&c, FUSE_ROOT_ID, name);
	}
	for (unsigned i = 0; i < 200; i++) {
		uint64_t fh;

		assert_int_equal(fs_open(&c, node[i], O_RDONLY, &fh), 0);
		assert_int_equal(fs_release(&c, node[i], fh), 0);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fs_end(&c);
}

/* Opens what it may. */
static void fill(struct fs_client *c)
{
	uint64_t node, fh;
	char name[16];

	for (unsigned i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "%u", i);
		fs_host_file(c, name, "x", 0644);
		if (fs_lookup(c, FUSE_ROOT_ID, name, &node, NULL) == 0)
			fs_open(c, node, O_RDONLY, &fh);
	}
}

static void two_shares_leave_descriptors_to_the_rest_of_the_process(void **state)
{
	struct rlimit before, low;
	struct fs_client a, b;
	unsigned n;
	int fds[32];

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	low = (struct rlimit){ .rlim_cur = 256, .rlim_max = 256 };
	if (geteuid() != 0)
		skip(); /* nobody else gets his limit back */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	fs_begin(&a, NULL, "");
	fs_begin(&b, NULL, "");
	fill(&a);
	fill(&b);
	for (n = 0; n < 32; n++) {
		fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fds[n] < 0)
			fail_msg("after %u: %s", n, strerror(errno));
	}
	while (n)
		close(fds[--n]);
	/* What is checked at the end is what there was at each one's beginning. */
	fs_reset(&a);
	fs_end(&b);
	fs_end(&a);
	setrlimit(RLIMIT_NOFILE, &before);
}

static void what_was_given_up_comes_back(void **state)
{
	struct fs_client c;
	uint64_t low;
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "");
	node_table_limit(c.share->nodes, 100);
	for (unsigned i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "%u", i);
		fs_host_file(&c, name, "x", 0644);
		look(&c, FUSE_ROOT_ID, name);
	}
	assert_true(node_table_relieve(c.share->nodes));
	low = c.share->nodes->limit;
	assert_true(low < 100);
	for (unsigned i = 0; i < 50000 && c.share->nodes->limit < 100; i++) {
		snprintf(name, sizeof name, "%u", i % 200);
		look(&c, FUSE_ROOT_ID, name);
	}
	assert_int_equal(c.share->nodes->limit, 100);
	fs_end(&c);
}

static void five_hundred_levels_are_walked_and_found_again(void **state)
{
	int at, next;
	uint64_t node[501];
	struct fuse_attr attr;
	struct fs_client c;
	struct stat st;

	(void)state;
	fs_begin(&c, NULL, "");
	at = dup(c.folder_fd);
	for (unsigned i = 0; i < 500; i++) {
		assert_int_equal(mkdirat(at, "level", 0755), 0);
		next = openat(at, "level", O_PATH);
		assert_true(next >= 0);
		close(at);
		at = next;
	}
	assert_int_equal(fstat(at, &st), 0);
	close(at);
	node[0] = FUSE_ROOT_ID;
	for (unsigned i = 0; i < 500; i++)
		node[i + 1] = look(&c, node[i], "level");
	node_table_limit(c.share->nodes, 8);
	assert_int_equal(fs_getattr(&c, node[500], &attr), 0);
	assert_int_equal(attr.ino, st.st_ino);
	assert_int_equal(fs_getattr(&c, node[250], &attr), 0);
	assert_int_equal(fs_lookup(&c, node[500], "no", NULL, NULL), -ENOENT);
	for (unsigned i = 0; i < 500; i++)
		fs_forget(&c, node[500 - i], 1);
	counts(&c, 1, "in the end");
	fs_end(&c);
}

/* ---- many ---- */

/* A sanitizer keeps what is freed for a while: there the counts alone are told. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FREED_IS_KEPT true
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FREED_IS_KEPT true
#endif
#ifndef FREED_IS_KEPT
#define FREED_IS_KEPT false
#endif

static long resident(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long total, pages;

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%ld %ld", &total, &pages), 2);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static void a_million_lookups_leave_nothing_behind(void **state)
{
	struct fuse_forget_one *ones = calloc(MANY, sizeof *ones);
	struct node *root, *node;
	struct statx stx;
	uint64_t nodes, descriptors;
	long settled = 0, last = 0;
	struct fs_client c;
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "");
	for (unsigned i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "%u", i);
		assert_int_equal(mknodat(c.folder_fd, name, S_IFREG | 0644, 0), 0);
	}
	assert_int_equal(node_get(c.share, FUSE_ROOT_ID, &root), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			snprintf(name, sizeof name, "%u", i);
			if (round == 0) { /* by the whole way once, then without the harness' part of it */
				ones[i].nodeid = look(&c, FUSE_ROOT_ID, name);
			} else {
				assert_int_equal(node_lookup(c.share, root, name, &node, &stx), 0);
				ones[i].nodeid = node->id;
				node_put(c.share, node);
			}
			ones[i].nlookup = 1;
		}
		node_table_count(c.share->nodes, &nodes, &descriptors);
		assert_int_equal(nodes, MANY + 1);
		for (unsigned i = 0; i < MANY; i += 1000)
			fs_batch_forget(&c, ones + i, 1000);
		node_table_count(c.share->nodes, &nodes, &descriptors);
		assert_true(nodes == 1 && descriptors == 0);
		last = resident();
		if (round == 4)
			settled = last;
	}
	print_message("resident: %ld KiB after 100,000 look-ups, %ld KiB after 1,000,000\n", settled / 1024,
	              last / 1024);
	node_put(c.share, root);
	assert_true(FREED_IS_KEPT || last < settled + (1 << 20));
	fs_end(&c);
	free(ones);
}

/* ---- threads ---- */

#define THREADS 4u

struct threads {
	struct fs_client *client;
	atomic_uint queue;
	atomic_bool stop;
};

static void *lookups(void *ctx)
{
	struct threads *threads = ctx;
	struct fs_client *c = threads->client;
	unsigned queue = atomic_fetch_add(&threads->queue, 1);
	uint64_t dir, file, fh;
	char name[16];

	fs_thread(c, queue);
	for (unsigned i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "d%u", i * queue % 5);
		dir = look(c, FUSE_ROOT_ID, name);
		snprintf(name, sizeof name, "f%u", i * queue % 20);
		if (fs_lookup(c, dir, name, &file, NULL) == 0) {
			if (fs_open(c, file, O_RDONLY, &fh) == 0)
				assert_int_equal(fs_release(c, file, fh), 0);
			fs_getattr(c, file, NULL);
			fs_forget(c, file, 1);
		}
		if (i % 50 == 0)
			assert_true(fs_list(c, dir, i % 100 == 0, NULL, NULL) >= 2);
		fs_forget(c, dir, 1);
	}
	return NULL;
}

/* The host renames files within and between the directories meanwhile. */
static void *renames(void *ctx)
{
	struct threads *threads = ctx;
	struct fs_client *c = threads->client;
	char from[16], to[16];

	for (unsigned i = 0; !atomic_load(&threads->stop); i++) {
		snprintf(from, sizeof from, "d%u/f%u", i % 5, i % 20);
		snprintf(to, sizeof to, "d%u/f%u", i * 3 % 5, i * 7 % 20);
		renameat2(c->folder_fd, from, c->folder_fd, to, RENAME_EXCHANGE);
	}
	return NULL;
}

static void several_queues_look_up_list_and_forget_at_once(void **state)
{
	struct threads threads = { .queue = 2 };
	pthread_t thread[THREADS], host;
	struct fs_client c;
	char name[16];

	(void)state;
	fs_begin(&c, NULL, "queues = 8;");
	threads.client = &c;
	node_table_limit(c.share->nodes, 24); /* so that they fight for them, too */
	for (unsigned i = 0; i < 5; i++) {
		snprintf(name, sizeof name, "d%u", i);
		host_mkdir(&c, name);
		for (unsigned j = 0; j < 20; j++) {
			snprintf(name, sizeof name, "d%u/f%u", i, j);
			fs_host_file(&c, name, "x", 0644);
		}
	}
	assert_int_equal(pthread_create(&host, NULL, renames, &threads), 0);
	for (unsigned i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, lookups, &threads), 0);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	atomic_store(&threads.stop, true);
	pthread_join(host, NULL);
	counts(&c, 1, "when all is forgotten");
	assert_int_equal(handle_table_count(c.share->handles), 0);
	fs_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_files_share_sixteen_descriptors),
		cmocka_unit_test(where_all_descriptors_are_in_use_the_guest_is_told),
		cmocka_unit_test(a_host_without_descriptors_gets_some_back_from_the_nodes),
		cmocka_unit_test(two_shares_leave_descriptors_to_the_rest_of_the_process),
		cmocka_unit_test(what_was_given_up_comes_back),
		cmocka_unit_test(five_hundred_levels_are_walked_and_found_again),
		cmocka_unit_test(a_million_lookups_leave_nothing_behind),
		cmocka_unit_test(several_queues_look_up_list_and_forget_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
