/* SPDX-License-Identifier: MIT */
/* nat_names_test.c - proves names.h: what is learned, for how long, and that it stays bounded. */
#include <errno.h>

#include "plugins/net-nat/names.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)

static struct nat_guest guest;
static struct names *names;

static struct in6_addr nth(unsigned n)
{
	return net_from_ipv4((struct in_addr){ htonl(0xc6330000u + n) });
}

static bool is(void *ctx, const char *name)
{
	return strcmp(name, ctx) == 0;
}

static bool count(void *ctx, const char *name)
{
	(void)name;
	++*(unsigned *)ctx;
	return false;
}

static bool knows(const char *name, unsigned n)
{
	const struct in6_addr a = nth(n);
	char copy[POLICY_NAME_MAX];

	snprintf(copy, sizeof copy, "%s", name);
	return names_of(names, &a, is, copy);
}

static void learn(const char *name, unsigned n, uint32_t ttl)
{
	const struct in6_addr a = nth(n);

	names_learn(names, name, &a, ttl);
}

static void pass(unsigned seconds)
{
	timeouts_skip(guest.nat->timeouts, (uint64_t)seconds * 1000);
}

static int set_up(void **state)
{
	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	names = guest.nat->names;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	nat_end(&guest);
	return 0;
}

static void times_have_a_floor_and_a_cap(void **state)
{
	(void)state;
	learn("zero.example", 1, 0);
	learn("ages.example", 1, UINT32_MAX);
	pass(NAMES_TTL_MIN - 1);
	assert_true(knows("zero.example", 1));
	pass(2);
	assert_false(knows("zero.example", 1));
	assert_true(knows("ages.example", 1));
	pass(NAMES_TTL_MAX - NAMES_TTL_MIN - 10);
	assert_true(knows("ages.example", 1));
	pass(20);
	assert_false(knows("ages.example", 1));
	names_forget_all(names);
}

static void a_shorter_answer_takes_nothing_back_a_longer_one_renews(void **state)
{
	(void)state;
	learn("a.example", 1, 100);
	learn("a.example", 1, 60);
	pass(99);
	assert_true(knows("a.example", 1));
	learn("a.example", 1, 100);
	pass(99);
	assert_true(knows("a.example", 1));
	assert_int_equal(names_count(names), 1);
	names_forget_all(names);
	assert_false(knows("a.example", 1));
}

static void one_address_has_many_names_up_to_a_bound(void **state)
{
	const struct in6_addr a = nth(1);
	unsigned n = 0;
	char name[32];

	(void)state;
	learn("first.example", 1, 90);
	learn("other.example", 2, 60);
	for (unsigned i = 0; i < 4 * NAMES_EACH_MAX; i++) {
		snprintf(name, sizeof name, "%u.example", i);
		learn(name, 1, 100 + i);
	}
	names_of(names, &a, count, &n);
	assert_int_equal(n, NAMES_EACH_MAX);
	assert_false(knows("first.example", 1));
	assert_true(knows("other.example", 2));
	assert_true(knows(name, 1));
	names_forget_all(names);
}

static void a_full_table_forgets_what_ends_soonest(void **state)
{
	(void)state;
	for (unsigned i = 0; i < NAMES_MAX; i++)
		learn("a.example", i, 1000 + (i * 7919u) % 5000u);
	assert_int_equal(names_count(names), NAMES_MAX);
	learn("b.example", 1000000, 20000);
	assert_int_equal(names_count(names), NAMES_MAX);
	assert_false(knows("a.example", 0)); /* 1000 s: the least */
	assert_true(knows("b.example", 1000000));
	/* All of it ends, and makes room at the next. */
	pass(7000);
	learn("c.example", 3, 60);
	assert_int_equal(names_count(names), 2);
	names_forget_all(names);
}

static void names_are_brought_into_one_form(void **state)
{
	static const struct {
		const char *text, *normal; /* NULL: refused */
	} cases[] = {
		{ "Example.COM", "example.com" },
		{ "example.com.", "example.com" },
		{ "XN--BCHER-KVA.example", "xn--bcher-kva.example" },
		{ "_sip._tcp.example", "_sip._tcp.example" },
		{ "", "" },
		{ ".", "" },
		{ "..", NULL },
		{ ".example", NULL },
		{ "a..b", NULL },
		{ "a.b..", NULL },
		{ "a b", NULL },
		{ "a\tb", NULL },
		{ "a\x7f"
		  "b",
		  NULL },
		{ "\xc3\xbc.example", NULL },
		{ "www\\.evil.example", NULL },
		{ "a\\046b", NULL },
	};
	char out[POLICY_NAME_MAX], longest[300];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const int rc = names_normal(cases[i].text, out, sizeof out);

		if ((rc == 0) != (cases[i].normal != NULL) || (rc == 0 && strcmp(out, cases[i].normal) != 0))
			fail_msg("\"%s\": %d", cases[i].text, rc);
	}
	memset(longest, 'a', sizeof longest);
	for (unsigned i = 63; i < sizeof longest; i += 64)
		longest[i] = '.';
	longest[253] = '\0';
	assert_int_equal(names_normal(longest, out, sizeof out), 0);
	longest[253] = '.';
	longest[254] = '\0';
	assert_int_equal(names_normal(longest, out, sizeof out), 0);
	longest[253] = 'a';
	assert_int_equal(names_normal(longest, out, sizeof out), -EINVAL);
	memset(longest, 'a', 64);
	longest[64] = '\0';
	assert_int_equal(names_normal(longest, out, sizeof out), -EINVAL);
	longest[63] = '\0';
	assert_int_equal(names_normal(longest, out, 63), -ENOSPC);
	assert_int_equal(names_normal(longest, out, 64), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(times_have_a_floor_and_a_cap),
		TEST(a_shorter_answer_takes_nothing_back_a_longer_one_renews),
		TEST(one_address_has_many_names_up_to_a_bound),
		TEST(a_full_table_forgets_what_ends_soonest),
		TEST(names_are_brought_into_one_form),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
