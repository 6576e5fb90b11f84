/* SPDX-License-Identifier: MIT */
/*
 * nat_dns_message_test.c - proves dns-message.h: hostile questions are refused or get no answer, only an answer to the
 * very question is one, and an answer's addresses are those at the end of its chain of names.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>

#include "plugins/net-nat/dns-message.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)
#define ROOM 16384u
#define NO_ANSWER (-EBADMSG)

/* Header of a question, recursion desired: id 0x1234, QDCOUNT 1. */
#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define EXAMPLE "\7example\3com"
#define IN_A "\0\1\0\1"
#define LABEL_63 \
	"\x3f"   \
	"012345678901234567890123456789012345678901234567890123456789012"

/* An exact copy, so that AddressSanitizer sees what goes beyond. */
static unsigned char *copy_of(const void *bytes, size_t len)
{
	unsigned char *copy = malloc(len ? len : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	return copy;
}

/* ---- questions ---- */

#define BYTES(text) text, sizeof(text) - 1

static const struct {
	const char *what, *bytes;
	size_t len;
	int code;
} questions[] = {
	{ "nothing", BYTES(""), NO_ANSWER },
	{ "half a header", BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00"), NO_ANSWER },
	{ "an answer", BYTES("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" EXAMPLE "\0" IN_A), NO_ANSWER },
	{ "an answer to an update", BYTES("\x12\x34\xa9\x80\x00\x01\x00\x00\x00\x00\x00\x00"), NO_ANSWER },
	{ "honest", BYTES(HEADER EXAMPLE "\0" IN_A), ns_r_noerror },
	{ "the root", BYTES(HEADER "\0" IN_A), ns_r_noerror },
	{ "an update", BYTES("\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00" EXAMPLE "\0" IN_A), ns_r_notimpl },
	{ "a status", BYTES("\x12\x34\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00"), ns_r_notimpl },
	{ "no question", BYTES("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), ns_r_formerr },
	{ "two questions",
	  BYTES("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" EXAMPLE "\0" IN_A EXAMPLE "\0" IN_A), ns_r_formerr },
	{ "65535 questions", BYTES("\x12\x34\x01\x00\xff\xff\x00\x00\x00\x00\x00\x00" EXAMPLE "\0" IN_A),
	  ns_r_formerr },
	{ "a question that is not there", BYTES(HEADER), ns_r_formerr },
	{ "a name without an end", BYTES(HEADER "\7exam"), ns_r_formerr },
	{ "a label that ends with the message", BYTES(HEADER EXAMPLE), ns_r_formerr },
	{ "a name without type", BYTES(HEADER EXAMPLE "\0"), ns_r_formerr },
	{ "half a class", BYTES(HEADER EXAMPLE "\0\0\1\0"), ns_r_formerr },
	{ "a pointer to itself", BYTES(HEADER "\xc0\x0c" IN_A), ns_r_formerr },
	{ "a pointer to the header", BYTES(HEADER "\xc0\x00" IN_A), ns_r_formerr },
	{ "a pointer behind a label", BYTES(HEADER "\1a\xc0\x0c" IN_A), ns_r_formerr },
	{ "a pointer beyond the end", BYTES(HEADER "\xff\xff" IN_A), ns_r_formerr },
	{ "label type 01",
	  BYTES(HEADER "\x40\x01" IN_A "0123456789012345678901234567890123456789012345678901234567890123"),
	  ns_r_formerr },
	{ "label type 10", BYTES(HEADER "\x80\x01" IN_A), ns_r_formerr },
	{ "255 bytes of name",
	  BYTES(HEADER LABEL_63 LABEL_63 LABEL_63 "\x3d"
	                                          "0123456789012345678901234567890123456789012345678901234567890"
	                                          "\0" IN_A),
	  ns_r_noerror },
	{ "256 bytes of name",
	  BYTES(HEADER LABEL_63 LABEL_63 LABEL_63 "\x3e"
	                                          "01234567890123456789012345678901234567890123456789012345678901"
	                                          "\0" IN_A),
	  ns_r_formerr },
	{ "records that are said, but not there",
	  BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\xff\xff" EXAMPLE "\0" IN_A), ns_r_formerr },
	{ "bytes behind all that was said", BYTES(HEADER EXAMPLE "\0" IN_A "tail"), ns_r_formerr },
	{ "a record longer than the message",
	  BYTES("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" EXAMPLE "\0" IN_A
	        "\0\0\x29\x04\xd0\0\0\0\0\x00\x01"),
	  ns_r_formerr },
};

static void questions_are_taken_or_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof questions / sizeof questions[0]; i++) {
		unsigned char *message = copy_of(questions[i].bytes, questions[i].len);
		unsigned char reply[DNS_HEADER + 255 + 4];
		struct dns_question q;
		const int code = dns_message_question(message, questions[i].len, &q);
		size_t len;

		if (code != questions[i].code)
			fail_msg("%s: %d, not %d", questions[i].what, code, questions[i].code);
		if (code >= 0) {
			/* Whatever it was, it can be refused. */
			assert_in_range(q.end, DNS_HEADER, questions[i].len);
			len = dns_message_refuse(message, &q, ns_r_servfail, reply);
			assert_int_equal(len, q.end);
			assert_int_equal(dns_message_code(reply), ns_r_servfail);
			assert_memory_equal(reply, "\x12\x34", 2);
		}
		free(message);
	}
}

static void a_message_longer_than_any_gets_no_answer(void **state)
{
	unsigned char *message = calloc(1, DNS_MESSAGE_MAX + 1);
	struct dns_question q;

	(void)state;
	assert_non_null(message);
	assert_int_equal(dns_message_question(message, DNS_MESSAGE_MAX + 1, &q), -EBADMSG);
	free(message);
}

static void ask(const char *bytes, size_t len, struct dns_question *out)
{
	unsigned char *message = copy_of(bytes, len);

	assert_int_equal(dns_message_question(message, len, out), 0);
	free(message);
}

static void a_name_is_told_in_its_normal_form(void **state)
{
	struct dns_question q;

	(void)state;
	ask(BYTES(HEADER "\3WwW\7eXaMpLe\3CoM\0\0\x1c\0\1"), &q);
	assert_true(q.named);
	assert_string_equal(q.name, "www.example.com");
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.type, ns_t_aaaa);
	assert_int_equal(q.class, ns_c_in);
	ask(BYTES(HEADER "\0" IN_A), &q);
	assert_true(q.named);
	assert_string_equal(q.name, "");
}

/* Dots, NULs, backslashes inside a label must not look like another name. */
static void a_name_without_a_normal_form_has_none(void **state)
{
	struct dns_question q;

	(void)state;
	ask(BYTES(HEADER "\xb"
	                 "example.com\0" IN_A),
	    &q);
	assert_false(q.named);
	assert_string_equal(q.name, "");
	ask(BYTES(HEADER "\7exam\0le\3com\0" IN_A), &q);
	assert_false(q.named);
	ask(BYTES(HEADER "\7exam\\le\3com\0" IN_A), &q);
	assert_false(q.named);
	ask(BYTES(HEADER "\7exam le\3com\0" IN_A), &q);
	assert_false(q.named);
	ask(BYTES(HEADER "\7exam\xffle\3com\0" IN_A), &q);
	assert_false(q.named);
}

static size_t udp_size_of(const char *class)
{
	unsigned char message[] = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" EXAMPLE "\0" IN_A "\0\0\x29"
				  "\0\0"
				  "\0\0\0\0\0\0";
	struct dns_question q;

	memcpy(message + DNS_HEADER + sizeof EXAMPLE + 4 + 3, class, 2);
	ask((const char *)message, sizeof message - 1, &q);
	return q.udp_size;
}

static void edns_says_how_long_an_answer_may_be(void **state)
{
	struct dns_question q;

	(void)state;
	ask(BYTES(HEADER EXAMPLE "\0" IN_A), &q);
	assert_int_equal(q.udp_size, DNS_UDP_DEFAULT);
	assert_int_equal(udp_size_of("\x04\xd0"), 1232);
	assert_int_equal(udp_size_of("\xff\xff"), 65535);
	assert_int_equal(udp_size_of("\x00\x00"), DNS_UDP_DEFAULT);
	assert_int_equal(udp_size_of("\x01\xff"), DNS_UDP_DEFAULT);
}

/* ---- answers ---- */

static void only_the_same_question_is_answered(void **state)
{
	static const char question[] = HEADER EXAMPLE "\0" IN_A;
	static const struct {
		const char *what, *bytes;
		size_t len;
		bool is;
	} answers[] = {
		{ "itself", BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0" EXAMPLE "\0" IN_A), true },
		{ "other case",
		  BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0"
		        "\7eXAMPLe\3cOM\0" IN_A),
		  true },
		{ "a question", BYTES(HEADER EXAMPLE "\0" IN_A), false },
		{ "another id", BYTES("\x12\x35\x81\x80\0\1\0\0\0\0\0\0" EXAMPLE "\0" IN_A), false },
		{ "another name",
		  BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0"
		        "\7exbmple\3com\0" IN_A),
		  false },
		{ "a pointer for a name",
		  BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0"
		        "\xc0\x0c" IN_A),
		  false },
		{ "other labels",
		  BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0"
		        "\3exa\7mplecom\0" IN_A),
		  false },
		{ "another type", BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0" EXAMPLE "\0\0\x1c\0\1"), false },
		{ "another class", BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0" EXAMPLE "\0\0\1\0\3"), false },
		{ "no question in it", BYTES("\x12\x34\x81\x80\0\0\0\0\0\0\0\0" EXAMPLE "\0" IN_A), false },
		{ "two questions in it", BYTES("\x12\x34\x81\x80\0\2\0\0\0\0\0\0" EXAMPLE "\0" IN_A), false },
		{ "cut short", BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0" EXAMPLE "\0\0\1\0"), false },
		{ "a header", BYTES("\x12\x34\x81\x80\0\1\0\0\0\0\0\0"), false },
		{ "nothing", BYTES(""), false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
		unsigned char *answer = copy_of(answers[i].bytes, answers[i].len);

		if (dns_message_answers(answer, answers[i].len, (const unsigned char *)question, sizeof question - 1) !=
		    answers[i].is)
			fail_msg("%s", answers[i].what);
		free(answer);
	}
}

static void what_is_too_long_is_cut_down_to_its_question(void **state)
{
	unsigned char message[] = "\x12\x34\x81\x80\0\1\0\1\0\2\0\3" EXAMPLE "\0" IN_A "records";
	const size_t end = DNS_HEADER + sizeof EXAMPLE + 4;

	(void)state;
	assert_false(dns_message_is_truncated(message));
	assert_int_equal(dns_message_truncate(message, sizeof message - 1, end), end);
	assert_true(dns_message_is_truncated(message));
	assert_memory_equal(message, "\x12\x34\x83\x80\0\1\0\0\0\0\0\0" EXAMPLE "\0" IN_A, end);
}

/* ---- the addresses of an answer ---- */

static unsigned char message[ROOM];
static size_t message_len;
static unsigned n_learned;
static char learned[8][64]; /* "address ttl" */

static void put(const void *bytes, size_t len)
{
	assert_true(message_len + len <= sizeof message);
	memcpy(message + message_len, bytes, len);
	message_len += len;
}

static void put16(unsigned value)
{
	put((const unsigned char[]){ (unsigned char)(value >> 8), (unsigned char)value }, 2);
}

static void put_name(const char *name)
{
	while (*name) {
		const size_t n = strcspn(name, ".");

		put(&(const unsigned char){ (unsigned char)n }, 1);
		put(name, n);
		name += n + (name[n] == '.');
	}
	put("", 1);
}

static void begin(const char *name)
{
	message_len = 0;
	put("\x12\x34\x81\x80\0\1\0\0\0\0\0\0", DNS_HEADER);
	put_name(name);
	put(IN_A, 4);
}

static void count_one(void)
{
	const unsigned n = (unsigned)(message[6] << 8 | message[7]) + 1;

	message[6] = (unsigned char)(n >> 8);
	message[7] = (unsigned char)n;
}

static void record(const char *owner, unsigned type, unsigned class, unsigned ttl, const void *data, size_t len)
{
	put_name(owner);
	put16(type);
	put16(class);
	put16(ttl >> 16);
	put16(ttl & 0xffff);
	put16((unsigned)len);
	put(data, len);
	count_one();
}

static void a(const char *owner, const char *address, unsigned ttl)
{
	struct in_addr in;

	assert_int_equal(inet_pton(AF_INET, address, &in), 1);
	record(owner, ns_t_a, ns_c_in, ttl, &in, sizeof in);
}

static void aaaa(const char *owner, const char *address, unsigned ttl)
{
	struct in6_addr in;

	assert_int_equal(inet_pton(AF_INET6, address, &in), 1);
	record(owner, ns_t_aaaa, ns_c_in, ttl, &in, sizeof in);
}

static void cname(const char *owner, const char *target, unsigned ttl)
{
	size_t at;

	record(owner, ns_t_cname, ns_c_in, ttl, "", 0);
	at = message_len;
	put_name(target);
	message[at - 1] = (unsigned char)(message_len - at);
}

static void take(void *ctx, const struct in6_addr *address, uint32_t ttl)
{
	char text[NET_ADDRESS_TEXT];

	(void)ctx;
	assert_true(n_learned < 8);
	snprintf(learned[n_learned++], sizeof learned[0], "%s %u", net_address_text(address, text), ttl);
}

static void learn(const char *name)
{
	unsigned char *copy = copy_of(message, message_len);

	n_learned = 0;
	dns_message_addresses(copy, message_len, name, take, NULL);
	free(copy);
}

static void an_answer_gives_its_name_addresses(void **state)
{
	(void)state;
	begin("www.example.com");
	a("www.example.com", "192.0.2.1", 300);
	a("WWW.Example.COM", "192.0.2.2", 20);
	aaaa("www.example.com", "2001:db8::7", 7);
	learn("www.example.com");
	assert_int_equal(n_learned, 3);
	assert_string_equal(learned[0], "192.0.2.1 300");
	assert_string_equal(learned[1], "192.0.2.2 20");
	assert_string_equal(learned[2], "2001:db8::7 7");
}

static void addresses_of_others_are_not_learned(void **state)
{
	(void)state;
	begin("www.example.com");
	a("example.com", "192.0.2.1", 300);
	a("evil.com", "192.0.2.2", 300);
	a("", "192.0.2.3", 300);
	record("www.example.com", ns_t_a, ns_c_chaos, 300, "\xc0\0\2\1", 4);
	record("www.example.com", ns_t_txt, ns_c_in, 300, "\3\xc0\0\2", 4);
	record("www.example.com", ns_t_a, ns_c_in, 300, "\xc0\0\2", 3);
	record("www.example.com", ns_t_a, ns_c_in, 300, "\xc0\0\2\1\1", 5);
	record("www.example.com", ns_t_aaaa, ns_c_in, 300, "\xc0\0\2\1", 4);
	aaaa("www.example.com", "::ffff:127.0.0.1", 300); /* no way to an IPv4 address */
	learn("www.example.com");
	assert_int_equal(n_learned, 0);
}

static void only_the_answer_section_is_believed(void **state)
{
	(void)state;
	begin("www.example.com");
	a("www.example.com", "192.0.2.1", 300);
	memcpy(message + 6, "\0\0\0\1", 4); /* authority */
	learn("www.example.com");
	assert_int_equal(n_learned, 0);
	memcpy(message + 6, "\0\0\0\0\0\1", 6); /* additional */
	learn("www.example.com");
	assert_int_equal(n_learned, 0);
}

static void chains_are_followed_in_any_order_with_the_least_ttl(void **state)
{
	(void)state;
	begin("www.example.com");
	a("c.cdn.example", "192.0.2.3", 500);
	cname("b.cdn.example", "C.cdn.example", 40);
	cname("www.example.com", "b.cdn.example", 600);
	a("b.cdn.example", "192.0.2.4", 500); /* has another name: has no address */
	a("www.example.com", "192.0.2.5", 500);
	learn("www.example.com");
	assert_int_equal(n_learned, 1);
	assert_string_equal(learned[0], "192.0.2.3 40");
}

static void a_chain_is_followed_over_compressed_names(void **state)
{
	(void)state;
	begin("www.example.com");
	put("\xc0\x0c\0\5\0\1\0\0\0\x3c\0\6\3cdn\xc0\x10", 18); /* www.example.com CNAME cdn.example.com */
	put("\xc0\x2d\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1", 16);    /* that one's address */
	count_one();
	count_one();
	learn("www.example.com");
	assert_int_equal(n_learned, 1);
	assert_string_equal(learned[0], "192.0.2.1 60");
}

static void chain_of(unsigned n)
{
	char from[32], to[32];

	begin("0.example");
	for (unsigned i = 0; i < n; i++) {
		snprintf(from, sizeof from, "%u.example", i);
		snprintf(to, sizeof to, "%u.example", i + 1);
		cname(from, to, 60);
		a(from, "192.0.2.9", 60);
	}
	a(n ? to : "0.example", "192.0.2.1", 60);
	learn("0.example");
}

static void a_chain_that_is_too_long_has_no_addresses(void **state)
{
	(void)state;
	chain_of(0);
	assert_int_equal(n_learned, 1);
	chain_of(16);
	assert_int_equal(n_learned, 1);
	assert_string_equal(learned[0], "192.0.2.1 60");
	chain_of(17);
	assert_int_equal(n_learned, 0);
	chain_of(200);
	assert_int_equal(n_learned, 0);
}

static void a_chain_in_a_circle_has_no_addresses(void **state)
{
	(void)state;
	begin("a.example");
	cname("a.example", "b.example", 60);
	cname("b.example", "a.example", 60);
	a("a.example", "192.0.2.1", 60);
	a("b.example", "192.0.2.2", 60);
	learn("a.example");
	assert_int_equal(n_learned, 0);
	begin("a.example");
	cname("a.example", "a.example", 60);
	a("a.example", "192.0.2.1", 60);
	learn("a.example");
	assert_int_equal(n_learned, 0);
}

/* Nothing of a malformed one is believed, not even what comes before that. */
static void a_malformed_answer_has_no_addresses(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t len;
	} tails[] = {
		{ "a pointer to itself", BYTES("\xc0\x40\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1") },
		{ "a pointer beyond the end", BYTES("\xff\xff\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1") },
		{ "a strange label", BYTES("\x80\x01\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\1") },
		{ "data that is too long", BYTES("\xc0\x0c\0\1\0\1\0\0\0\x3c\0\5\xc0\0\2\1") },
		{ "data that is not there", BYTES("\xc0\x0c\0\1\0\1\0\0\0\x3c") },
		{ "no record", BYTES("") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
		begin("www.example.com");
		a("www.example.com", "192.0.2.1", 60);
		assert_int_equal(message_len, 0x40); /* where the tail begins */
		put(tails[i].bytes, tails[i].len);
		count_one();
		learn("www.example.com");
		if (n_learned)
			fail_msg("%s", tails[i].what);
	}
	begin("www.example.com");
	a("www.example.com", "192.0.2.1", 60);
	put("?", 1);
	learn("www.example.com");
	assert_int_equal(n_learned, 0);
	for (message_len = 0; message_len < 0x40; message_len++) {
		learn("www.example.com");
		assert_int_equal(n_learned, 0);
	}
}

/* A target like "a\.b" must not become another name; where a chain breaks, nothing is learned but what its end has. */
static void a_chain_to_no_name_has_no_addresses(void **state)
{
	(void)state;
	begin("www.example.com");
	record("www.example.com", ns_t_cname, ns_c_in, 60,
	       "\xb"
	       "example.com",
	       13);
	a("example.com", "192.0.2.1", 60);
	a("www.example.com", "192.0.2.2", 60);
	learn("www.example.com");
	assert_int_equal(n_learned, 0);
	begin("www.example.com");
	record("www.example.com", ns_t_cname, ns_c_in, 60, "\xc0", 1);
	a("www.example.com", "192.0.2.2", 60);
	learn("www.example.com");
	assert_int_equal(n_learned, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(questions_are_taken_or_refused),
		TEST(a_message_longer_than_any_gets_no_answer),
		TEST(a_name_is_told_in_its_normal_form),
		TEST(a_name_without_a_normal_form_has_none),
		TEST(edns_says_how_long_an_answer_may_be),
		TEST(only_the_same_question_is_answered),
		TEST(what_is_too_long_is_cut_down_to_its_question),
		TEST(an_answer_gives_its_name_addresses),
		TEST(addresses_of_others_are_not_learned),
		TEST(only_the_answer_section_is_believed),
		TEST(chains_are_followed_in_any_order_with_the_least_ttl),
		TEST(a_chain_is_followed_over_compressed_names),
		TEST(a_chain_that_is_too_long_has_no_addresses),
		TEST(a_chain_in_a_circle_has_no_addresses),
		TEST(a_malformed_answer_has_no_addresses),
		TEST(a_chain_to_no_name_has_no_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
