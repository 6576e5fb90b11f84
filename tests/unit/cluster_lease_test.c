/* SPDX-License-Identifier: MIT */
/* cluster_lease_test.c - a name keeps its address, nobody gets another's, and what the file holds is not believed. */
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

#include "plugins/cluster-switch/cluster.h"
#include "plugins/cluster-switch/lease.h"

#define TAKEN_MAX 300u

struct fixture {
	char folder[64];
	int dirfd;
	struct leases *leases;
	struct net_prefix subnet;
	struct in6_addr taken[TAKEN_MAX];
	unsigned n_taken;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof *f);

	assert_non_null(f);
	strcpy(f->folder, "/tmp/capsa-leases-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->dirfd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(f->dirfd >= 0);
	assert_int_equal(net_prefix_parse("10.0.3.0/24", &f->subnet), 0);
	assert_int_equal(leases_new(f->dirfd, &f->leases), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	leases_free(f->leases);
	unlinkat(f->dirfd, CLUSTER_LEASES, 0);
	unlinkat(f->dirfd, CLUSTER_LEASES, AT_REMOVEDIR);
	/* Nothing else is left in it. */
	assert_int_equal(rmdir(f->folder), 0);
	close(f->dirfd);
	free(f);
	return 0;
}

static bool is_taken(void *ctx, const struct in6_addr *address)
{
	const struct fixture *f = ctx;

	for (unsigned i = 0; i < f->n_taken; i++)
		if (net_same(&f->taken[i], address))
			return true;
	return false;
}

static const char *get(struct fixture *f, const char *name)
{
	static char text[NET_ADDRESS_TEXT];
	struct in6_addr address;
	const int r = leases_get(f->leases, name, &f->subnet, is_taken, f, &address);

	if (r == -ENOSPC)
		return "none";
	assert_int_equal(r, 0);
	return net_address_text(&address, text);
}

static void take(struct fixture *f, const char *text)
{
	assert_true(f->n_taken < TAKEN_MAX);
	assert_int_equal(net_address_parse(text, &f->taken[f->n_taken++]), 0);
}

static void again(struct fixture *f)
{
	leases_free(f->leases);
	assert_int_equal(leases_new(f->dirfd, &f->leases), 0);
}

static void file_is(struct fixture *f, const void *bytes, size_t len)
{
	const int fd = openat(f->dirfd, CLUSTER_LEASES, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	close(fd);
	again(f);
}

static void test_a_name_keeps_its_address_over_switches(void **state)
{
	struct fixture *f = *state;
	char first[NET_ADDRESS_TEXT], second[NET_ADDRESS_TEXT];

	strcpy(first, get(f, "vm1"));
	strcpy(second, get(f, "vm2"));
	assert_string_not_equal(first, second);
	assert_string_equal(get(f, "vm1"), first);
	again(f);
	assert_string_equal(get(f, "vm2"), second);
	assert_string_equal(get(f, "vm1"), first);
}

static void test_a_name_has_the_same_address_without_a_file(void **state)
{
	struct fixture *f = *state;
	char first[NET_ADDRESS_TEXT];

	strcpy(first, get(f, "vm1"));
	assert_int_equal(unlinkat(f->dirfd, CLUSTER_LEASES, 0), 0);
	again(f);
	assert_string_equal(get(f, "vm1"), first);
}

static void test_all_addresses_are_given_once_and_neither_gateway_nor_broadcast(void **state)
{
	struct fixture *f = *state;
	bool seen[256] = { false };
	char name[32];

	for (unsigned i = 0; i < 253; i++) {
		unsigned last;

		snprintf(name, sizeof name, "vm%u", i);
		assert_int_equal(sscanf(get(f, name), "10.0.3.%u", &last), 1);
		assert_true(last >= 2 && last <= 254);
		assert_false(seen[last]);
		seen[last] = true;
	}
}

static void test_an_address_of_a_member_is_given_to_nobody(void **state)
{
	struct fixture *f = *state;
	char hashed[NET_ADDRESS_TEXT], moved[NET_ADDRESS_TEXT];

	strcpy(hashed, get(f, "vm1"));
	take(f, hashed);
	strcpy(moved, get(f, "vm1"));
	assert_string_not_equal(moved, hashed);
	/* And it stays where it went. */
	f->n_taken = 0;
	assert_string_equal(get(f, "vm1"), moved);
}

static void test_a_kept_address_is_its_names_lease(void **state)
{
	struct fixture *f = *state;
	char before[NET_ADDRESS_TEXT];
	struct in6_addr address;

	strcpy(before, get(f, "vm1"));
	assert_int_equal(net_address_parse(before, &address), 0);
	leases_keep(f->leases, "other", &address);
	assert_string_not_equal(get(f, "vm1"), before);
	again(f);
	assert_string_equal(get(f, "other"), before);
}

static void test_full_subnet_takes_from_who_was_away_longest(void **state)
{
	struct fixture *f = *state;
	char of_a[NET_ADDRESS_TEXT], of_b[NET_ADDRESS_TEXT];

	/* .2 to .6 */
	assert_int_equal(net_prefix_parse("10.0.3.0/29", &f->subnet), 0);
	strcpy(of_a, get(f, "a"));
	strcpy(of_b, get(f, "b"));
	get(f, "c");
	get(f, "d");
	get(f, "e");
	get(f, "a"); /* again: b is the oldest now */
	again(f);
	assert_string_equal(get(f, "new"), of_b);
	assert_string_equal(get(f, "a"), of_a);
	take(f, "10.0.3.2");
	take(f, "10.0.3.3");
	take(f, "10.0.3.4");
	take(f, "10.0.3.5");
	take(f, "10.0.3.6");
	assert_string_equal(get(f, "late"), "none");
}

static void test_another_subnet_is_another_address(void **state)
{
	struct fixture *f = *state;

	get(f, "vm1");
	assert_int_equal(net_prefix_parse("172.16.0.0/16", &f->subnet), 0);
	assert_memory_equal(get(f, "vm1"), "172.16.", 7);
	assert_int_equal(net_prefix_parse("10.0.0.0/30", &f->subnet), 0);
	assert_string_equal(get(f, "vm1"), "10.0.0.2");
	assert_int_equal(net_prefix_parse("10.0.0.0/31", &f->subnet), 0);
	assert_string_equal(get(f, "vm1"), "none");
	assert_int_equal(net_prefix_parse("0.0.0.0/0", &f->subnet), 0);
	assert_string_not_equal(get(f, "vm2"), "none");
}

static void test_only_possible_lines_of_the_file_are_read(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "good 10.0.3.77\n"
				   "../bad 10.0.3.78\n"
				   "good 10.0.3.79\n"
				   "twice 10.0.3.77\n"
				   "no-address\n"
				   "v6 fd00::1\n"
				   "number 10.0.3.800\n"
				   "outside 192.168.0.1\n"
				   "broadcast 10.0.3.255\n"
				   "gateway 10.0.3.1\n"
				   "more 10.0.3.80 words\n"
				   "\n"
				   "last 10.0.3.81\n"
				   "cut 10.0.3.8";

	file_is(f, text, sizeof text - 1);
	assert_string_equal(get(f, "good"), "10.0.3.77");
	assert_string_equal(get(f, "last"), "10.0.3.81");
	assert_string_not_equal(get(f, "twice"), "10.0.3.77");
	assert_memory_equal(get(f, "outside"), "10.0.3.", 7);
	assert_string_not_equal(get(f, "broadcast"), "10.0.3.255");
	assert_string_not_equal(get(f, "gateway"), "10.0.3.1");
}

static void test_a_file_of_garbage_is_an_empty_one(void **state)
{
	struct fixture *f = *state;
	const size_t len = 1u << 20;
	unsigned char *bytes = malloc(len);
	char fresh[NET_ADDRESS_TEXT];
	uint32_t random = 1;

	assert_non_null(bytes);
	strcpy(fresh, get(f, "vm1"));
	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < len; i++) {
			random = random * 1664525 + 1013904223;
			/* All bytes; those of lines; one line without an end. */
			bytes[i] = round == 0   ? (unsigned char)(random >> 24)
			           : round == 1 ? (unsigned char)"a1. \n:\0-"[random >> 29]
			                        : 'x';
		}
		file_is(f, bytes, len);
		assert_memory_equal(get(f, "vm1"), "10.0.3.", 7);
	}
	assert_string_equal(get(f, "vm1"), fresh);
	free(bytes);
}

static void test_more_leases_than_may_be_are_not_read(void **state)
{
	struct fixture *f = *state;
	const size_t room = (LEASES_MAX + 100) * 40;
	char *text = malloc(room), fresh[NET_ADDRESS_TEXT];
	size_t len = 0;

	assert_non_null(text);
	assert_int_equal(net_prefix_parse("10.0.0.0/8", &f->subnet), 0);
	strcpy(fresh, get(f, "beyond"));
	for (unsigned i = 0; i < LEASES_MAX; i++)
		len += (size_t)sprintf(text + len, "n%u 10.9.%u.%u\n", i, i >> 8, i & 255);
	len += (size_t)sprintf(text + len, "beyond 10.200.0.1\n");
	file_is(f, text, len);
	free(text);
	/* Not read; and the oldest gives way to it, unless that one is a member's. */
	take(f, "10.9.0.0");
	assert_string_equal(get(f, "beyond"), fresh);
	again(f);
	assert_string_equal(get(f, "beyond"), fresh);
	f->n_taken = 0;
	assert_string_equal(get(f, "n0"), "10.9.0.0");
	assert_string_not_equal(get(f, "n1"), "10.9.0.1");
}

static void test_what_is_no_file_is_neither_waited_for_nor_followed(void **state)
{
	struct fixture *f = *state;
	char first[NET_ADDRESS_TEXT];

	strcpy(first, get(f, "vm1"));
	assert_int_equal(unlinkat(f->dirfd, CLUSTER_LEASES, 0), 0);
	assert_int_equal(mkfifoat(f->dirfd, CLUSTER_LEASES, 0600), 0);
	again(f);
	assert_string_equal(get(f, "vm1"), first);
	assert_int_equal(unlinkat(f->dirfd, CLUSTER_LEASES, 0), 0);
	assert_int_equal(symlinkat("/dev/zero", f->dirfd, CLUSTER_LEASES), 0);
	again(f);
	assert_string_equal(get(f, "vm1"), first);
	/* Cannot be written: a lease nevertheless. */
	assert_int_equal(unlinkat(f->dirfd, CLUSTER_LEASES, 0), 0);
	assert_int_equal(mkdirat(f->dirfd, CLUSTER_LEASES, 0700), 0);
	again(f);
	assert_string_equal(get(f, "vm1"), first);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_name_keeps_its_address_over_switches),
		TEST(a_name_has_the_same_address_without_a_file),
		TEST(all_addresses_are_given_once_and_neither_gateway_nor_broadcast),
		TEST(an_address_of_a_member_is_given_to_nobody),
		TEST(a_kept_address_is_its_names_lease),
		TEST(full_subnet_takes_from_who_was_away_longest),
		TEST(another_subnet_is_another_address),
		TEST(only_possible_lines_of_the_file_are_read),
		TEST(a_file_of_garbage_is_an_empty_one),
		TEST(more_leases_than_may_be_are_not_read),
		TEST(what_is_no_file_is_neither_waited_for_nor_followed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
