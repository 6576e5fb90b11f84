/* SPDX-License-Identifier: MIT */
/*
 * fs_owner_host_test.c - whose a file is where capsa is root and files have the owners that the guest says
 * (OWNER_HOST): capsa acts as the guest's user, in one thread alone, and within the maps.
 */
#include "tests/unit/fs_owner_fixture.h"

/* OWNER_HOST. After the first of root's, this thread has its capabilities whatever its ids are: this one is before it.
 */

static void what_a_user_makes_is_that_users_on_the_host(void **state)
{
	struct fixture f;
	struct node node;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_HOST); /* 0700, root's: only with root's capabilities can anybody create in it */
	node = create(&f, "file", 33, 44, S_IFREG | 04755, 0);
	assert_on_host(&node, 33, 44, S_IFREG | 04755);
	assert_shows(&f, &node, 33, 44, S_IFREG | 04755);
	close(node.fd);
	node = create(&f, "dir", 33, 44, S_IFDIR | 01755, 0);
	assert_on_host(&node, 33, 44, S_IFDIR | 01755);
	close(node.fd);
	node = create(&f, "link", 33, 44, S_IFLNK | 0777, 0);
	assert_on_host(&node, 33, 44, S_IFLNK | 0777);
	close(node.fd);
	assert_false(owner_emulates(&f.share, S_IFCHR | 0600));
	/* This thread is root again. */
	assert_int_equal(mknodat(f.dir, "after", S_IFREG | 0600, 0), 0);
	node = hold(&f, "after");
	assert_on_host(&node, 0, 0, S_IFREG | 0600);
	close(node.fd);
	end(&f);
}

static void groups_and_set_group_id_are_inherited_as_on_the_host(void **state)
{
	struct fixture f;
	struct node root, node;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_HOST);
	root = hold(&f, "");
	assert_int_equal(set(&f, &root, FATTR_GID, 0, 50, 0), 0);
	assert_int_equal(set(&f, &root, FATTR_MODE, 0, 0, 02777), 0);
	node = create(&f, "file", 33, 44, S_IFREG | 0644, 0);
	assert_on_host(&node, 33, 50, S_IFREG | 0644);
	close(node.fd);
	node = create(&f, "dir", 33, 44, S_IFDIR | 0755, 0);
	assert_on_host(&node, 33, 50, S_IFDIR | 02755);
	close(node.fd);
	close(root.fd);
	end(&f);
}

static void acting_for_root_costs_nothing(void **state)
{
	const struct call call = { .in = { .uid = 0, .gid = 0 } };
	struct owner_acting acting;
	struct fixture f;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_HOST);
	id_calls = 0;
	assert_int_equal(owner_act(&f.share, &call, &acting), 0);
	owner_done(&acting);
	assert_int_equal(id_calls, 0);
	end(&f);
}

/* A thread that was there before. */
struct bystander {
	pthread_barrier_t begin;
	uid_t seen;
};

static void *stand_by(void *arg)
{
	struct bystander *bystander = arg;

	pthread_barrier_wait(&bystander->begin);
	bystander->seen = (uid_t)setfsuid((uid_t)-1);
	return NULL;
}

static void acting_is_this_threads_affair(void **state)
{
	const struct call call = { .in = { .uid = 33, .gid = 44 } };
	struct owner_acting acting;
	struct bystander bystander = { .seen = 1 };
	struct fixture f;
	pthread_t thread;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_HOST);
	pthread_barrier_init(&bystander.begin, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, stand_by, &bystander), 0);
	assert_int_equal(owner_act(&f.share, &call, &acting), 0);
	pthread_barrier_wait(&bystander.begin);
	pthread_join(thread, NULL);
	assert_int_equal(bystander.seen, 0);
	assert_int_equal(setfsuid((uid_t)-1), 33);
	assert_int_equal(setfsgid((gid_t)-1), 44);
	assert_int_equal(geteuid(), 0);
	owner_done(&acting);
	assert_int_equal(setfsuid((uid_t)-1), 0);
	assert_int_equal(setfsgid((gid_t)-1), 0);
	pthread_barrier_destroy(&bystander.begin);
	end(&f);
}

static void maps_of_the_host_are_used_both_ways(void **state)
{
	struct call call = { .in = { .uid = 11, .gid = 0 } };
	struct owner_acting acting;
	struct fixture f;
	struct node node;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_HOST);
	f.share.options.uid_map = (struct id_map){ .ranges = { { 0, 100000, 10 } }, .n = 1 };
	f.share.options.gid_map = (struct id_map){ .ranges = { { 0, 200000, 10 } }, .n = 1 };
	node = create(&f, "file", 0, 1, S_IFREG | 0644, 0);
	assert_on_host(&node, 100000, 200001, S_IFREG | 0644);
	assert_shows(&f, &node, 0, 1, S_IFREG | 0644);
	assert_int_equal(set(&f, &node, FATTR_UID | FATTR_GID, 9, 9, 0), 0);
	assert_on_host(&node, 100009, 200009, S_IFREG | 0644);
	assert_int_equal(set(&f, &node, FATTR_UID, 10, 0, 0), -EINVAL);
	assert_int_equal(set(&f, &node, FATTR_GID, 0, 10, 0), -EINVAL);
	assert_int_equal(set(&f, &node, FATTR_UID, UINT32_MAX, 0, 0), -EINVAL);
	assert_on_host(&node, 100009, 200009, S_IFREG | 0644);
	assert_int_equal(fchownat(f.dir, "file", 5, 5, 0), 0);
	assert_shows(&f, &node, OWNER_NOBODY, OWNER_NOBODY, S_IFREG | 0644);
	assert_int_equal(owner_act(&f.share, &call, &acting), -EPERM);
	close(node.fd);
	end(&f);
}

static void minus_one_is_nobodys_number(void **state)
{
	const struct call call = { .in = { .uid = UINT32_MAX, .gid = 0 } };
	struct owner_acting acting;
	struct fixture f;
	struct node node;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_HOST);
	node = create(&f, "file", 1, 1, S_IFREG | 0644, 0);
	assert_int_equal(set(&f, &node, FATTR_UID, UINT32_MAX, 0, 0), -EINVAL);
	assert_int_equal(owner_act(&f.share, &call, &acting), -EPERM);
	close(node.fd);
	end(&f);
}

static void set_id_bits_go_on_the_host_though_capsa_is_root(void **state)
{
	struct fixture f;
	struct node node;

	(void)state;
	if (fs_skips(geteuid() != 0, "needs root"))
		return;
	begin(&f, OWNER_HOST);
	node = create(&f, "file", 1, 1, S_IFREG | 06755, 0);
	assert_int_equal(owner_kill_set_id(&f.share, &node, -1), 0);
	assert_on_host(&node, 1, 1, S_IFREG | 0755);
	assert_int_equal(set(&f, &node, FATTR_MODE, 0, 0, 06755), 0);
	assert_on_host(&node, 1, 1, S_IFREG | 06755);
	assert_int_equal(set(&f, &node, FATTR_GID, 0, 2, 0), 0);
	assert_on_host(&node, 1, 2, S_IFREG | 0755);
	assert_int_equal(set(&f, &node, FATTR_MODE, 0, 0, 02644), 0);
	assert_int_equal(owner_kill_set_id(&f.share, &node, -1), 0);
	assert_on_host(&node, 1, 2, S_IFREG | 02644);
	close(node.fd);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_user_makes_is_that_users_on_the_host),
		cmocka_unit_test(groups_and_set_group_id_are_inherited_as_on_the_host),
		cmocka_unit_test(acting_for_root_costs_nothing),
		cmocka_unit_test(acting_is_this_threads_affair),
		cmocka_unit_test(maps_of_the_host_are_used_both_ways),
		cmocka_unit_test(minus_one_is_nobodys_number),
		cmocka_unit_test(set_id_bits_go_on_the_host_though_capsa_is_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
