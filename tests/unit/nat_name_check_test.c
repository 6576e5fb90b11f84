/* SPDX-License-Identifier: MIT */
/*
 * nat_name_check_test.c - proves name-check.h: names of TLS and HTTP are found however they are cut, and where two
 * servers could read two names, there is none.
 */
#include "plugins/net-nat/name-check.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)

struct bytes {
	unsigned char data[32768];
	size_t len;
};

static void put(struct bytes *b, size_t value, unsigned n)
{
	while (n--)
		b->data[b->len++] = (unsigned char)(value >> 8 * n);
}

static void put_text(struct bytes *b, const char *text)
{
	memcpy(b->data + b->len, text, strlen(text));
	b->len += strlen(text);
}

static void put_name_extension(struct bytes *b, const char *name)
{
	const size_t len = strlen(name);

	put(b, 0, 2);
	put(b, len + 5, 2);
	put(b, len + 3, 2);
	put(b, 0, 1);
	put(b, len, 2);
	put_text(b, name);
}

static void put_padding(struct bytes *b, size_t len)
{
	put(b, 21, 2);
	put(b, len, 2);
	memset(b->data + b->len, 0, len);
	b->len += len;
}

/* A client hello with these extensions, cut into records of `record` bytes. */
static struct bytes hello(const struct bytes *extensions, size_t record)
{
	struct bytes message = { .len = 0 }, out = { .len = 0 };
	const size_t body = 2 + 32 + 1 + 2 + 2 + 2 + 2 + extensions->len;

	put(&message, 1, 1);
	put(&message, body, 3);
	put(&message, 0x0303, 2);
	memset(message.data + message.len, 7, 32);
	message.len += 32;
	put(&message, 0, 1);
	put(&message, 2, 2);
	put(&message, 0x1301, 2);
	put(&message, 1, 1);
	put(&message, 0, 1);
	put(&message, extensions->len, 2);
	memcpy(message.data + message.len, extensions->data, extensions->len);
	message.len += extensions->len;
	for (size_t at = 0; at < message.len;) {
		const size_t n = message.len - at < record ? message.len - at : record;

		put(&out, 22, 1);
		put(&out, 0x0301, 2);
		put(&out, n, 2);
		memcpy(out.data + out.len, message.data + at, n);
		out.len += n;
		at += n;
	}
	return out;
}

static void expect(const struct bytes *b, enum name_check expected, const char *expected_name)
{
	char name[POLICY_NAME_MAX];
	/* Exactly as long, for AddressSanitizer. */
	unsigned char *exact = malloc(b->len ? b->len : 1);

	assert_non_null(exact);
	memcpy(exact, b->data, b->len);
	assert_int_equal(name_check(exact, b->len, name), expected);
	assert_string_equal(name, expected_name);
	free(exact);
}

/* Every shorter piece has to wait for more. */
static void expect_each(const struct bytes *whole, const char *name)
{
	struct bytes piece = *whole;

	for (piece.len = 0; piece.len < whole->len; piece.len++)
		expect(&piece, NAME_CHECK_MORE, "");
	expect(whole, NAME_CHECK_NAME, name);
}

static void a_client_hello_names_its_server_however_it_is_cut(void **state)
{
	struct bytes extensions = { .len = 0 }, whole;

	(void)state;
	put_padding(&extensions, 10);
	put_name_extension(&extensions, "API.Example.com");
	whole = hello(&extensions, 16384);
	expect_each(&whole, "api.example.com");
	whole = hello(&extensions, 1);
	expect_each(&whole, "api.example.com");
	whole = hello(&extensions, 7);
	put_text(&whole, "early data of any kind");
	expect(&whole, NAME_CHECK_NAME, "api.example.com");
}

static void a_large_client_hello_is_read_up_to_its_bound(void **state)
{
	struct bytes extensions = { .len = 0 }, whole;

	(void)state;
	put_padding(&extensions, 15000);
	put_name_extension(&extensions, "a.example");
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NAME, "a.example");
	extensions.len = 0;
	put_padding(&extensions, 16500);
	put_name_extension(&extensions, "a.example");
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	/* One byte a record: it never gets so far. */
	extensions.len = 0;
	put_padding(&extensions, 4000);
	put_name_extension(&extensions, "a.example");
	whole = hello(&extensions, 1);
	expect(&whole, NAME_CHECK_NONE, "");
}

static void a_client_hello_that_can_be_read_in_two_ways_names_nobody(void **state)
{
	struct bytes extensions = { .len = 0 }, whole;

	(void)state;
	/* None. */
	put_padding(&extensions, 3);
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	/* Two extensions. */
	extensions.len = 0;
	put_name_extension(&extensions, "a.example");
	put_name_extension(&extensions, "b.example");
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	/* Two names in one. */
	extensions.len = 0;
	put(&extensions, 0, 2);
	put(&extensions, 2 + 2 * 4, 2);
	put(&extensions, 2 * 4, 2);
	for (unsigned i = 0; i < 2; i++) {
		put(&extensions, 0, 1);
		put(&extensions, 1, 2);
		put_text(&extensions, "a");
	}
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	/* A name that is none. */
	extensions.len = 0;
	put_name_extension(&extensions, "a..example");
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	extensions.len = 0;
	put_name_extension(&extensions, "198.51.100.1");
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	/* An extension that is longer than all of them. */
	extensions.len = 0;
	put_name_extension(&extensions, "a.example");
	extensions.data[3] = 200;
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
}

static void a_name_that_may_have_another_beside_it_is_told_apart(void **state)
{
	struct bytes extensions = { .len = 0 }, whole;

	(void)state;
	/* In front of the name or behind it, real, random or empty. */
	for (unsigned i = 0; i < 6; i++) {
		extensions.len = 0;
		if (i % 2)
			put_name_extension(&extensions, "A.example.");
		put(&extensions, 0xfe0d, 2);
		put(&extensions, i < 4 ? 186 : 0, 2);
		for (unsigned n = 0; i < 4 && n < 186; n++)
			put(&extensions, i < 2 ? 0 : n * 77 & 255, 1);
		if (i % 2 == 0)
			put_name_extension(&extensions, "A.example.");
		whole = hello(&extensions, 16384);
		expect(&whole, NAME_CHECK_OUTER, "a.example");
		whole = hello(&extensions, 50);
		expect(&whole, NAME_CHECK_OUTER, "a.example");
	}
	/* Without an outer one. */
	extensions.len = 0;
	put(&extensions, 0xfe0d, 2);
	put(&extensions, 0, 2);
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	/* What else clients put there to keep servers flexible (RFC 8701) does not matter. */
	extensions.len = 0;
	put(&extensions, 0x0a0a, 2);
	put(&extensions, 0, 2);
	put_name_extension(&extensions, "a.example");
	put(&extensions, 0xfafa, 2);
	put(&extensions, 1, 2);
	put(&extensions, 0, 1);
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NAME, "a.example");
}

/* The server's name as an extension of its own, whatever is written there. */
static void server_name(const char *text, enum name_check expected, const char *name)
{
	struct bytes extensions = { .len = 0 }, whole;

	put_name_extension(&extensions, text);
	whole = hello(&extensions, 16384);
	expect(&whole, expected, name);
}

static void names_of_client_hellos_are_names(void **state)
{
	static const char *const none[] = { "",
		                            ".",
		                            "198.51.100.1",
		                            "198.51.100.1.",
		                            "2001:db8::1",
		                            "[2001:db8::1]",
		                            "::ffff:198.51.100.1",
		                            "a.example..",
		                            ".a.example",
		                            "a example",
		                            "a.example\n",
		                            "a\\.example",
		                            "\xc3\xa4.example" };

	(void)state;
	server_name("a.EXAMPLE", NAME_CHECK_NAME, "a.example");
	server_name("a.example.", NAME_CHECK_NAME, "a.example");
	server_name("xn--4ca.example", NAME_CHECK_NAME, "xn--4ca.example");
	for (unsigned i = 0; i < sizeof none / sizeof *none; i++)
		server_name(none[i], NAME_CHECK_NONE, "");
}

static void a_name_in_a_second_record_is_found(void **state)
{
	struct bytes extensions = { .len = 0 }, whole;
	const size_t before = 4 + 2 + 32 + 1 + 2 + 2 + 2 + 2; /* bytes of the hello in front of its extensions */

	(void)state;
	put_padding(&extensions, 500);
	put_name_extension(&extensions, "a.example");
	whole = hello(&extensions, before + 4 + 500); /* all of the name's extension, and nothing else */
	expect_each(&whole, "a.example");
	whole = hello(&extensions, before + 4 + 500 + 11); /* within the name */
	expect_each(&whole, "a.example");
	/* Longer than what is kept, the name in front: it is not waited for. */
	extensions.len = 0;
	put_name_extension(&extensions, "a.example");
	put_padding(&extensions, 17000);
	whole = hello(&extensions, 16384);
	expect(&whole, NAME_CHECK_NONE, "");
	whole.len = 100;
	expect(&whole, NAME_CHECK_NONE, "");
}

static void records_that_are_none_are_not_waited_for(void **state)
{
	static const unsigned char alert[] = { 21, 3, 1, 0, 2 }, old[] = { 22, 2 }, empty[] = { 22, 3, 1, 0, 0 },
				   long_one[] = { 22, 3, 1, 0x40, 1 }, other[] = { 22, 3, 1, 0, 5, 2 };
	char name[POLICY_NAME_MAX];

	(void)state;
	assert_int_equal(name_check(alert, sizeof alert, name), NAME_CHECK_NONE);
	assert_int_equal(name_check(old, sizeof old, name), NAME_CHECK_NONE);
	assert_int_equal(name_check(empty, sizeof empty, name), NAME_CHECK_NONE);
	assert_int_equal(name_check(long_one, sizeof long_one, name), NAME_CHECK_NONE);
	assert_int_equal(name_check(other, sizeof other, name), NAME_CHECK_NONE);
}

static void http(const char *text, enum name_check expected, const char *name)
{
	struct bytes b = { .len = 0 };

	put_text(&b, text);
	expect(&b, expected, name);
}

static void a_request_names_its_host(void **state)
{
	struct bytes b = { .len = 0 };

	(void)state;
	put_text(&b, "GET /x?y HTTP/1.1\r\nAccept: */*\r\nhOST:  API.example.com:8080 \r\nX: y\r\n\r\n");
	expect_each(&b, "api.example.com");
	http("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\nbody", NAME_CHECK_NAME, "a.example");
	http("OPTIONS * HTTP/1.0\r\nHost: a.example.\r\n\r\n", NAME_CHECK_NAME, "a.example");
	http("GET HTTP://A.example.:80?x HTTP/1.1\r\nHost: a.EXAMPLE\r\n\r\n", NAME_CHECK_NAME, "a.example");
	b.len = 0;
	put_text(&b, "GET / HTTP/1.1\r\nCookie: ");
	memset(b.data + b.len, 'x', 15000);
	b.len += 15000;
	put_text(&b, "\r\nHost: a.example\r\n\r\n");
	expect(&b, NAME_CHECK_NAME, "a.example");
}

static void a_request_that_can_be_read_in_two_ways_names_nobody(void **state)
{
	static const char *const cases[] = {
		"GET / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example\r\nX: y\r\nhOST: a.example\r\n\r\n",
		"GET http://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET http://a.example/ HTTP/1.1\r\n\r\n",
		"GET http:///a.example HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET //b.example/ HTTP/3.1\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example..\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 198.51.100.1:80\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 2001:db8::1\r\n\r\n",
		"GET http://a.example@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET https://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"CONNECT b.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost : a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example\r\n b.example\r\n\r\n",
		"GET / HTTP/1.1\nHost: a.example\n\n",
		"GET / HTTP/1.1\r\nX: y\rHost: b.example\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example/b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.example:80x\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: 198.51.100.1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost:\r\n\r\n",
		"GET /\r\nHost: a.example\r\n\r\n",
		"GET / HTTP/2.0\r\nHost: a.example\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / /b HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"\r\nGET / HTTP/1.1\r\nHost: a.example\r\n\r\n",
		"SSH-2.0-OpenSSH_9.2\r\n",
		"\x80\x2e\x01\x03\x01",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		http(cases[i], NAME_CHECK_NONE, "");
}

static void a_request_that_does_not_end_names_nobody(void **state)
{
	struct bytes b = { .len = 0 };

	(void)state;
	put_text(&b, "GET / HTTP/1.1\r\nHost: a.example\r\nX: ");
	memset(b.data + b.len, 'x', NAME_CHECK_MAX);
	b.len = NAME_CHECK_MAX - 1;
	expect(&b, NAME_CHECK_MORE, "");
	b.len++;
	expect(&b, NAME_CHECK_NONE, "");
	b.len += 100;
	expect(&b, NAME_CHECK_NONE, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_client_hello_names_its_server_however_it_is_cut),
		TEST(a_large_client_hello_is_read_up_to_its_bound),
		TEST(a_client_hello_that_can_be_read_in_two_ways_names_nobody),
		TEST(a_name_that_may_have_another_beside_it_is_told_apart),
		TEST(names_of_client_hellos_are_names),
		TEST(a_name_in_a_second_record_is_found),
		TEST(records_that_are_none_are_not_waited_for),
		TEST(a_request_names_its_host),
		TEST(a_request_that_can_be_read_in_two_ways_names_nobody),
		TEST(a_request_that_does_not_end_names_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
