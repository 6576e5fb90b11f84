/* SPDX-License-Identifier: MIT */
/* users_test.c - proves agent/users.h with passwd and group files of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/users.h"

static char folder[] = "/tmp/capsa-users.XXXXXX";
static char passwd[64], group[64];

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static const char usual_passwd[] = "root:x:0:0:root:/root:/bin/bash\n"
				   "# no user\n"
				   "\n"
				   "short:x:5\n"
				   "letters:x:abc:1::/:/bin/sh\n"
				   "minus:x:4294967295:1::/:/bin/sh\n"
				   "ann:x:1000:100:Ann,,,:/home/ann:/bin/sh\n"
				   "1000:x:7:8::/home/digits:/bin/sh\n"
				   "homeless:x:1001:1001:::\n"
				   "twin:x:1000:101::/home/twin:/bin/sh\n"
				   "last:x:1002:1002::/home/last:/bin/sh";

static const char usual_group[] = "root:x:0:\n"
				  "users:x:100:\n"
				  "wheel:x:10:root,ann\n"
				  "almost:x:11:anna,xann,an\n"
				  "bad:x:nan:ann\n"
				  "kvm:x:12:ann";

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(passwd, sizeof passwd, "%s/passwd", folder);
	snprintf(group, sizeof group, "%s/group", folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(passwd);
	unlink(group);
	return rmdir(folder);
}

static int usual(void **state)
{
	(void)state;
	put(passwd, usual_passwd);
	put(group, usual_group);
	return 0;
}

static struct user found(const char *who)
{
	struct user user;
	bool missing;

	assert_int_equal(user_find(who, passwd, group, &user, &missing), 0);
	assert_false(missing);
	return user;
}

static void refused(const char *who, int err, bool group_is_missing)
{
	struct user user;
	bool missing;

	assert_int_equal(user_find(who, passwd, group, &user, &missing), err);
	assert_int_equal(missing, group_is_missing);
}

static void nobody_in_particular_is_root(void **state)
{
	struct user user = found("");

	(void)state;
	assert_int_equal(user.uid, 0);
	assert_int_equal(user.gid, 0);
	assert_string_equal(user.name, "root");
	assert_string_equal(user.home, "/root");
	assert_int_equal(user.n_groups, 2);
	assert_int_equal(user.groups[1], 10);
}

static void a_user_has_home_group_and_all_memberships(void **state)
{
	struct user user = found("ann");

	(void)state;
	assert_int_equal(user.uid, 1000);
	assert_int_equal(user.gid, 100);
	assert_string_equal(user.home, "/home/ann");
	assert_int_equal(user.n_groups, 3);
	assert_int_equal(user.groups[0], 100);
	assert_int_equal(user.groups[1], 10);
	assert_int_equal(user.groups[2], 12);
	assert_string_equal(found("last").home, "/home/last");
	assert_string_equal(found("homeless").home, "/");
}

static void a_name_of_digits_comes_before_a_number(void **state)
{
	(void)state;
	assert_int_equal(found("1000").uid, 7);
}

static void the_first_of_two_with_one_number_is_it(void **state)
{
	(void)state;
	put(passwd, "ann:x:1000:100::/home/ann:\ntwin:x:1000:101::/home/twin:\n");
	assert_string_equal(found("1000").name, "ann");
}

static void a_number_that_nobody_has_is_fine(void **state)
{
	struct user user = found("31337");

	(void)state;
	assert_int_equal(user.uid, 31337);
	assert_int_equal(user.gid, 31337);
	assert_string_equal(user.home, "/");
	assert_int_equal(user.n_groups, 1);
}

static void a_group_that_is_named_is_the_only_one(void **state)
{
	struct user user = found("ann:kvm");

	(void)state;
	assert_int_equal(user.gid, 12);
	assert_int_equal(user.n_groups, 1);
	assert_int_equal(user.groups[0], 12);
	assert_int_equal(found("5:6").gid, 6);
	assert_int_equal(found(":10").uid, 0);
}

static void who_is_not_there_is_not_found(void **state)
{
	(void)state;
	refused("bob", -ENOENT, false);
	refused("# no user", -ENOENT, false);
	refused("short", -ENOENT, false);
	refused("letters", -ENOENT, false);
	refused("minus", -ENOENT, false);
	refused("4294967295", -ENOENT, false);
	refused("4294967296", -ENOENT, false);
	refused("-1", -ENOENT, false);
	refused("ann:nobody", -ENOENT, true);
	refused("ann:4294967295", -ENOENT, true);
	refused("ann:", -EINVAL, false);
	refused("ann:kvm:x", -EINVAL, false);
	refused("a-name-that-is-longer-than-any-that-a-system-would-take-for-a-user-of-its-own", -EINVAL, false);
}

static void a_guest_without_files_has_root_and_numbers(void **state)
{
	(void)state;
	unlink(passwd);
	unlink(group);
	assert_string_equal(found("").name, "root");
	assert_string_equal(found("").home, "/");
	assert_int_equal(found("5:6").gid, 6);
	refused("ann", -ENOENT, false);
}

static void what_is_no_text_at_all_is_nobody(void **state)
{
	char noise[4096];

	(void)state;
	memset(noise, ':', sizeof noise - 1);
	noise[sizeof noise - 1] = '\0';
	put(passwd, noise);
	put(group, noise);
	refused("ann", -ENOENT, false);
	memset(noise, 'a', sizeof noise - 1);
	put(passwd, noise);
	refused("a", -ENOENT, false);
}

/* More groups than there is room for are left out, and nothing is written beyond. */
static void too_many_groups_are_left_out(void **state)
{
	static char text[USER_GROUPS_MAX * 3 * 32];
	size_t used = 0;

	(void)state;
	for (unsigned i = 0; i < USER_GROUPS_MAX * 2; i++)
		used += (size_t)snprintf(text + used, sizeof text - used, "g%u:x:%u:ann\n", i, 2000 + i);
	put(group, text);
	assert_int_equal(found("ann").n_groups, USER_GROUPS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nobody_in_particular_is_root, usual),
		cmocka_unit_test_setup(a_user_has_home_group_and_all_memberships, usual),
		cmocka_unit_test_setup(a_name_of_digits_comes_before_a_number, usual),
		cmocka_unit_test_setup(the_first_of_two_with_one_number_is_it, usual),
		cmocka_unit_test_setup(a_number_that_nobody_has_is_fine, usual),
		cmocka_unit_test_setup(a_group_that_is_named_is_the_only_one, usual),
		cmocka_unit_test_setup(who_is_not_there_is_not_found, usual),
		cmocka_unit_test_setup(a_guest_without_files_has_root_and_numbers, usual),
		cmocka_unit_test_setup(what_is_no_text_at_all_is_nobody, usual),
		cmocka_unit_test_setup(too_many_groups_are_left_out, usual),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
