/* SPDX-License-Identifier: MIT */
/*
 * net_dhcp_test.c - plugins/net/dhcp.c and dhcp6.c: what clients ask is understood, what they are told is what the
 * RFCs ask for, and nonsense gets no answer.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/net/dhcp.h"
#include "plugins/net/dhcp6.h"

#define TEST(name) cmocka_unit_test(name)

/* Bytes being put together; parsed out of a copy that is exactly as long. */
struct bytes {
	unsigned char at[1500];
	size_t len;
};

static void put(struct bytes *b, const void *bytes, size_t len)
{
	memcpy(b->at + b->len, bytes, len);
	b->len += len;
}

#define PUT(b, ...) put(b, (unsigned char[]){ __VA_ARGS__ }, sizeof(unsigned char[]){ __VA_ARGS__ })

static struct in_addr ipv4(const char *text)
{
	struct in_addr a;

	assert_int_equal(inet_pton(AF_INET, text, &a), 1);
	return a;
}

/* ---- DHCPv4: requests ---- */

static struct bytes boot_request(void)
{
	struct bytes b = { .at = { 1, 1, 6, 0, 0xaa, 0xbb, 0xcc, 0xdd, [10] = 0x80, [28] = 2, 0, 0, 0, 0, 9 },
		           .len = 236 };

	PUT(&b, 99, 130, 83, 99);
	return b;
}

static int parse4(const struct bytes *b, struct dhcp_request *out)
{
	unsigned char *exact = malloc(b->len ? b->len : 1);
	int rc;

	assert_non_null(exact);
	memcpy(exact, b->at, b->len);
	rc = dhcp_parse(exact, b->len, out);
	free(exact);
	return rc;
}

static void a_request_is_taken_apart(void **state)
{
	struct bytes b = boot_request();
	struct dhcp_request r;

	(void)state;
	PUT(&b, 0, 0, 53, 1, DHCP_REQUEST, 50, 4, 10, 0, 2, 2, 54, 4, 10, 0, 2, 1);
	PUT(&b, 12, 3, 'b', 'o', 'x', 57, 2, 5, 0xdc, 55, 2, 1, 3, 255, 12, 200);
	memcpy(b.at + 12, (unsigned char[]){ 10, 0, 2, 7 }, 4);
	assert_int_equal(parse4(&b, &r), 0);
	assert_int_equal(r.type, DHCP_REQUEST);
	assert_memory_equal(&r.transaction, "\xaa\xbb\xcc\xdd", 4);
	assert_true(r.broadcast);
	assert_memory_equal(r.mac, "\2\0\0\0\0\11", 6);
	assert_int_equal(r.client.s_addr, ipv4("10.0.2.7").s_addr);
	assert_int_equal(r.wanted.s_addr, ipv4("10.0.2.2").s_addr);
	assert_int_equal(r.server.s_addr, ipv4("10.0.2.1").s_addr);
	assert_string_equal(r.host_name, "box");
	assert_int_equal(r.max_size, 1500);
}

static void options_go_on_in_the_file_and_name_fields_where_the_client_says_so_and_no_further(void **state)
{
	struct bytes b = boot_request();
	struct dhcp_request r;

	(void)state;
	PUT(&b, 52, 1, 3, 255);
	memcpy(b.at + 108, (unsigned char[]){ 53, 1, DHCP_DISCOVER, 52, 1, 3, 255 }, 7);
	memcpy(b.at + 44, (unsigned char[]){ 50, 4, 10, 0, 2, 9, 255 }, 7);
	assert_int_equal(parse4(&b, &r), 0);
	assert_int_equal(r.type, DHCP_DISCOVER);
	assert_int_equal(r.wanted.s_addr, ipv4("10.0.2.9").s_addr);
	memcpy(b.at + 44, (unsigned char[]){ 50, 200, 10, 0, 2, 9, 255 }, 7);
	assert_int_equal(parse4(&b, &r), -EBADMSG);
	b.at[b.len - 2] = 0; /* not overloaded: what stands in the fields is no option */
	assert_int_equal(parse4(&b, &r), -EBADMSG);
}

static void a_message_that_is_no_request_is_refused(void **state)
{
	static const struct {
		size_t at;
		unsigned char value;
	} lies[] = { { 0, 2 }, { 1, 6 }, { 2, 16 }, { 236, 98 }, { 242, DHCP_OFFER }, { 242, 0 }, { 242, 99 } };
	struct bytes good = boot_request(), b;
	struct dhcp_request r;

	(void)state;
	PUT(&good, 53, 1, DHCP_DISCOVER, 12, 4, 'h', 'o', 's', 't');
	assert_int_equal(parse4(&good, &r), 0);
	assert_string_equal(r.host_name, "host");
	for (unsigned i = 0; i < sizeof lies / sizeof lies[0]; i++) {
		b = good;
		b.at[lies[i].at] = lies[i].value;
		assert_int_equal(parse4(&b, &r), -EBADMSG);
	}
	for (b = good; b.len > 0;) {
		b.len--;
		if (b.len != 243) /* it may end without END, between two options */
			assert_int_equal(parse4(&b, &r), -EBADMSG);
	}
}

static void a_host_name_that_is_too_long_or_not_printable_is_none(void **state)
{
	struct bytes b = boot_request(), c = b;
	struct dhcp_request r;

	(void)state;
	PUT(&b, 53, 1, DHCP_DISCOVER, 12, 64);
	memset(b.at + b.len, 'a', 64);
	b.len += 64;
	assert_int_equal(parse4(&b, &r), 0);
	assert_string_equal(r.host_name, "");
	PUT(&c, 53, 1, DHCP_DISCOVER, 12, 3, 'a', '\n', 'b');
	assert_int_equal(parse4(&c, &r), 0);
	assert_string_equal(r.host_name, "");
}

/* ---- DHCPv4: replies ---- */

/* An option of a reply: its value, and its length in *len; NULL: none. */
static const unsigned char *option4(const unsigned char *reply, size_t reply_len, unsigned code, size_t *len)
{
	size_t at = 240;

	while (at < reply_len && reply[at] != 255) {
		assert_true(at + 2 <= reply_len && at + 2 + reply[at + 1] < reply_len);
		if (reply[at] == code) {
			*len = reply[at + 1];
			return reply + at + 2;
		}
		at += 2u + reply[at + 1];
	}
	assert_true(at < reply_len);
	return NULL;
}

#define ASSERT_OPTION4(code, ...)                                                     \
	do {                                                                          \
		const unsigned char expected_[] = { __VA_ARGS__ };                    \
		size_t len_ = 0;                                                      \
		const unsigned char *value_ = option4(reply, reply_len, code, &len_); \
		assert_non_null(value_);                                              \
		assert_int_equal(len_, sizeof expected_);                             \
		assert_memory_equal(value_, expected_, len_);                         \
	} while (0)

static void assert_no_option4(const unsigned char *reply, size_t reply_len, unsigned code)
{
	size_t len;

	assert_null(option4(reply, reply_len, code, &len));
}

static const char *const search[] = { "example.com", "lab.example.org" };

static struct dhcp_lease lease4(void)
{
	return (struct dhcp_lease){ .address = ipv4("10.0.2.2"),
		                    .server = ipv4("10.0.2.1"),
		                    .router = ipv4("10.0.2.1"),
		                    .bits = 24,
		                    .dns = { ipv4("10.0.2.1") },
		                    .n_dns = 1,
		                    .mtu = 65520,
		                    .seconds = 86400,
		                    .host_name = "box",
		                    .search = search,
		                    .n_search = 2 };
}

static void an_offer_tells_all_that_a_guest_needs(void **state)
{
	const struct dhcp_lease lease = lease4();
	struct dhcp_request request = { .type = DHCP_DISCOVER, .transaction = 0x11223344, .mac = { 2, 0, 0, 0, 0, 9 } };
	unsigned char reply[DHCP_REPLY_MAX];
	const size_t reply_len = dhcp_reply(&request, DHCP_OFFER, &lease, reply);

	(void)state;
	assert_true(reply_len >= 300 && reply_len <= DHCP_REPLY_MAX - 28);
	assert_memory_equal(reply, "\2\1\6\0", 4);
	assert_memory_equal(reply + 4, &request.transaction, 4);
	assert_memory_equal(reply + 10, "\0\0", 2);
	assert_memory_equal(reply + 16, "\12\0\2\2", 4);
	assert_memory_equal(reply + 28, request.mac, 6);
	ASSERT_OPTION4(53, DHCP_OFFER);
	ASSERT_OPTION4(54, 10, 0, 2, 1);
	ASSERT_OPTION4(1, 255, 255, 255, 0);
	ASSERT_OPTION4(3, 10, 0, 2, 1);
	ASSERT_OPTION4(6, 10, 0, 2, 1);
	ASSERT_OPTION4(26, 0xff, 0xf0);
	ASSERT_OPTION4(51, 0, 1, 0x51, 0x80);
	ASSERT_OPTION4(58, 0, 0, 0xa8, 0xc0);
	ASSERT_OPTION4(59, 0, 1, 0x27, 0x50);
	ASSERT_OPTION4(12, 'b', 'o', 'x');
	ASSERT_OPTION4(15, 'e', 'x', 'a', 'm', 'p', 'l', 'e', '.', 'c', 'o', 'm');
	ASSERT_OPTION4(119, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0, 3, 'l', 'a', 'b', 7, 'e', 'x',
	               'a', 'm', 'p', 'l', 'e', 3, 'o', 'r', 'g', 0);
}

static void a_refusal_tells_nothing_but_that(void **state)
{
	const struct dhcp_lease lease = lease4();
	struct dhcp_request request = { .type = DHCP_REQUEST, .client = ipv4("192.168.1.7"), .broadcast = true };
	unsigned char reply[DHCP_REPLY_MAX];
	const size_t reply_len = dhcp_reply(&request, DHCP_NAK, &lease, reply);

	(void)state;
	ASSERT_OPTION4(53, DHCP_NAK);
	ASSERT_OPTION4(54, 10, 0, 2, 1);
	assert_no_option4(reply, reply_len, 51);
	assert_no_option4(reply, reply_len, 3);
	assert_memory_equal(reply + 10, "\x80\0\0\0\0\0\0\0\0\0", 10);
}

static void who_only_informs_itself_gets_no_lease(void **state)
{
	const struct dhcp_lease lease = lease4();
	struct dhcp_request request = { .type = DHCP_INFORM, .client = ipv4("10.0.2.2") };
	unsigned char reply[DHCP_REPLY_MAX];
	const size_t reply_len = dhcp_reply(&request, DHCP_ACK, &lease, reply);

	(void)state;
	ASSERT_OPTION4(53, DHCP_ACK);
	ASSERT_OPTION4(6, 10, 0, 2, 1);
	assert_no_option4(reply, reply_len, 51);
	assert_no_option4(reply, reply_len, 58);
	assert_memory_equal(reply + 12, "\12\0\2\2\0\0\0\0", 8);
}

static void names_that_have_no_room_are_left_out_and_the_reply_stays_whole(void **state)
{
	static char label[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
			      "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb."
			      "ccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc";
	const char *const many[] = { label, label, label, "not..a.name", "short.example" };
	struct dhcp_lease lease = lease4();
	struct dhcp_request request = { .type = DHCP_DISCOVER };
	unsigned char reply[DHCP_REPLY_MAX];
	size_t reply_len, len = 0;

	(void)state;
	lease.search = many;
	lease.n_search = 5;
	reply_len = dhcp_reply(&request, DHCP_OFFER, &lease, reply);
	assert_true(reply_len <= DHCP_REPLY_MAX - 28);
	ASSERT_OPTION4(6, 10, 0, 2, 1);
	assert_non_null(option4(reply, reply_len, 119, &len));
	assert_memory_equal(option4(reply, reply_len, 119, &len) + len - 15, "\5short\7example", 15);
}

/* ---- DHCPv6 ---- */

static const unsigned char client_duid[] = { 0, 1, 0, 14, 0, 1, 0, 1, 9, 9, 9, 9, 2, 0, 0, 0, 0, 9 };
static const unsigned char server_option[] = { 0, 2, 0, 10, 0, 3, 0, 1, 0x52, 0x55, 10, 0, 0, 1 };
static const unsigned char other_server[] = { 0, 2, 0, 10, 0, 3, 0, 1, 0x52, 0x55, 10, 0, 0, 2 };
static const unsigned char ours[16] = { 0xfd, 0, [15] = 2 }, foreign[16] = { 0xfd, 1, [15] = 2 };
static struct in6_addr name_server = { .s6_addr = { 0xfd, 0, [15] = 1 } };

enum {
	SOLICIT = 1,
	ADVERTISE,
	REQUEST,
	CONFIRM,
	RENEW,
	REBIND,
	REPLY,
	RELEASE,
	DECLINE,
	RECONFIGURE,
	INFORMATION_REQUEST
};

static struct bytes message6(unsigned type)
{
	struct bytes b = { .len = 0 };

	PUT(&b, (unsigned char)type, 1, 2, 3);
	return b;
}

static void put_ia(struct bytes *b, unsigned char id, const unsigned char address[16])
{
	PUT(b, 0, 3, 0, address ? 12 + 28 : 12, 0, 0, 0, id, 0, 0, 0, 0, 0, 0, 0, 0);
	if (!address)
		return;
	PUT(b, 0, 5, 0, 24);
	put(b, address, 16);
	PUT(b, 0, 0, 0, 60, 0, 0, 0, 60);
}

static struct bytes answer6(const struct bytes *b)
{
	const struct dhcp6_lease lease = { .address = { .s6_addr = { 0xfd, 0, [15] = 2 } },
		                           .server_mac = { 0x52, 0x55, 10, 0, 0, 1 },
		                           .dns = &name_server,
		                           .n_dns = 1,
		                           .search = search,
		                           .n_search = 2,
		                           .seconds = 1000 };
	unsigned char *exact = malloc(b->len ? b->len : 1);
	struct bytes answer;

	assert_non_null(exact);
	memcpy(exact, b->at, b->len);
	answer.len = dhcp6_answer(exact, b->len, &lease, answer.at, DHCP6_ANSWER_MAX);
	/* With one byte less than it takes there is no answer, rather than a part of one. */
	if (answer.len > 0) {
		unsigned char *tight = malloc(answer.len - 1);

		assert_non_null(tight);
		assert_int_equal(dhcp6_answer(exact, b->len, &lease, tight, answer.len - 1), 0);
		free(tight);
	}
	free(exact);
	return answer;
}

/* Whether the answer has these bytes anywhere, which is enough to find an option with its value. */
static bool has(const struct bytes *b, const void *bytes, size_t len)
{
	return memmem(b->at, b->len, bytes, len) != NULL;
}

#define HAS(b, ...) has(b, (unsigned char[]){ __VA_ARGS__ }, sizeof(unsigned char[]){ __VA_ARGS__ })

static void assert_status(const struct bytes *b, unsigned char status)
{
	assert_true(HAS(b, 0, 13, 0, 2, 0, status));
}

static void a_solicitation_gets_the_address_advertised(void **state)
{
	struct bytes b = message6(SOLICIT), a;

	(void)state;
	put(&b, client_duid, sizeof client_duid);
	put_ia(&b, 7, NULL);
	PUT(&b, 0, 6, 0, 4, 0, 23, 0, 24);
	a = answer6(&b);
	assert_memory_equal(a.at, "\2\1\2\3", 4);
	assert_true(has(&a, server_option, sizeof server_option));
	assert_true(has(&a, client_duid, sizeof client_duid));
	/* IA 7, T1, T2, the address, preferred and valid for so long */
	assert_true(HAS(&a, 0, 3, 0, 40, 0, 0, 0, 7, 0, 0, 1, 0xf4, 0, 0, 3, 0x20, 0, 5, 0, 24, 0xfd, 0, 0, 0, 0, 0, 0,
	                0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 3, 0xe8, 0, 0, 3, 0xe8));
	assert_true(HAS(&a, 0, 23, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1));
	assert_true(HAS(&a, 0, 24, 0, 30, 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0));
}

static void rapid_commit_makes_it_a_reply_at_once(void **state)
{
	struct bytes b = message6(SOLICIT), a;

	(void)state;
	put(&b, client_duid, sizeof client_duid);
	PUT(&b, 0, 14, 0, 0);
	put_ia(&b, 7, NULL);
	a = answer6(&b);
	assert_int_equal(a.at[0], REPLY);
	assert_true(HAS(&a, 0, 14, 0, 0));
}

static void only_the_first_of_several_associations_gets_an_address(void **state)
{
	struct bytes b = message6(REQUEST), a;

	(void)state;
	put(&b, client_duid, sizeof client_duid);
	put(&b, server_option, sizeof server_option);
	put_ia(&b, 1, NULL);
	put_ia(&b, 2, NULL);
	PUT(&b, 0, 25, 0, 12, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0);
	PUT(&b, 0, 4, 0, 4, 0, 0, 0, 4);
	a = answer6(&b);
	assert_int_equal(a.at[0], REPLY);
	assert_true(HAS(&a, 0, 3, 0, 18, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 2, 0, 2));
	assert_true(HAS(&a, 0, 25, 0, 18, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 13, 0, 2, 0, 6));
	assert_true(HAS(&a, 0, 4, 0, 10, 0, 0, 0, 4, 0, 13, 0, 2, 0, 2));
}

static void a_renewal_of_a_foreign_address_ends_that_one(void **state)
{
	struct bytes b = message6(RENEW), a;

	(void)state;
	put(&b, client_duid, sizeof client_duid);
	put(&b, server_option, sizeof server_option);
	put_ia(&b, 1, foreign);
	a = answer6(&b);
	assert_true(HAS(&a, 0xfd, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_true(HAS(&a, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 3, 0xe8));
}

static void confirm_tells_whether_the_address_belongs_here(void **state)
{
	struct bytes b = message6(CONFIRM), a;

	(void)state;
	put(&b, client_duid, sizeof client_duid);
	put_ia(&b, 1, ours);
	a = answer6(&b);
	assert_status(&a, 0);
	put_ia(&b, 2, foreign);
	a = answer6(&b);
	assert_status(&a, 4);
	b = message6(CONFIRM);
	put(&b, client_duid, sizeof client_duid);
	put_ia(&b, 1, NULL);
	assert_int_equal(answer6(&b).len, 0);
}

static void who_only_wants_information_gets_it(void **state)
{
	struct bytes b = message6(INFORMATION_REQUEST), a = answer6(&b);

	(void)state;
	assert_memory_equal(a.at, "\7\1\2\3", 4);
	assert_true(HAS(&a, 0, 23, 0, 16));
	assert_true(HAS(&a, 0, 32, 0, 4, 0, 0, 3, 0xe8));
	assert_false(HAS(&a, 0, 3, 0, 40));
	put_ia(&b, 1, NULL);
	assert_int_equal(answer6(&b).len, 0);
}

static void release_and_decline_are_acknowledged(void **state)
{
	(void)state;
	for (unsigned type = RELEASE; type <= DECLINE; type++) {
		struct bytes b = message6(type), a;

		put(&b, client_duid, sizeof client_duid);
		put(&b, server_option, sizeof server_option);
		put_ia(&b, 1, ours);
		a = answer6(&b);
		assert_int_equal(a.at[0], REPLY);
		assert_status(&a, 0);
	}
}

/* RFC 8415, 16: which messages must name a client or a server, and which must not. */
static void messages_that_name_the_wrong_server_or_no_client_get_no_answer(void **state)
{
	(void)state;
	for (unsigned type = 0; type < 40; type++) {
		const bool needs_server = type == REQUEST || type == RENEW || type == RELEASE || type == DECLINE;
		const bool needs_none = type == SOLICIT || type == CONFIRM || type == REBIND;
		const bool anonymous = type == INFORMATION_REQUEST;
		struct bytes b = message6(type), c, d;

		c = b; /* without client */
		put(&c, server_option, needs_server ? sizeof server_option : 0);
		assert_int_equal(answer6(&c).len > 0, anonymous);
		put(&b, client_duid, sizeof client_duid);
		if (!anonymous)
			put_ia(&b, 1, ours);
		c = d = b;
		put(&c, server_option, sizeof server_option);
		put(&d, other_server, sizeof other_server);
		assert_int_equal(answer6(&b).len > 0, needs_none || anonymous);
		assert_int_equal(answer6(&c).len > 0, needs_server || anonymous);
		assert_int_equal(answer6(&d).len, 0);
	}
}

static void a_message_cut_short_anywhere_gets_no_answer_or_a_whole_one(void **state)
{
	struct bytes b = message6(RENEW);
	size_t whole;

	(void)state;
	put(&b, client_duid, sizeof client_duid);
	put(&b, server_option, sizeof server_option);
	whole = b.len;
	put_ia(&b, 1, foreign);
	while (b.len > 0) {
		b.len--;
		assert_int_equal(answer6(&b).len > 0, b.len == whole);
	}
}

static void an_identifier_longer_than_any_may_be_gets_no_answer(void **state)
{
	struct bytes b = message6(SOLICIT);

	(void)state;
	PUT(&b, 0, 1, 0, 131);
	memset(b.at + b.len, 1, 131);
	b.len += 131;
	put_ia(&b, 1, NULL);
	assert_int_equal(answer6(&b).len, 0);
	b.at[7] = 130; /* then what follows is shifted by a byte, and no option */
	assert_int_equal(answer6(&b).len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_is_taken_apart),
		TEST(options_go_on_in_the_file_and_name_fields_where_the_client_says_so_and_no_further),
		TEST(a_message_that_is_no_request_is_refused),
		TEST(a_host_name_that_is_too_long_or_not_printable_is_none),
		TEST(an_offer_tells_all_that_a_guest_needs),
		TEST(a_refusal_tells_nothing_but_that),
		TEST(who_only_informs_itself_gets_no_lease),
		TEST(names_that_have_no_room_are_left_out_and_the_reply_stays_whole),
		TEST(a_solicitation_gets_the_address_advertised),
		TEST(rapid_commit_makes_it_a_reply_at_once),
		TEST(only_the_first_of_several_associations_gets_an_address),
		TEST(a_renewal_of_a_foreign_address_ends_that_one),
		TEST(confirm_tells_whether_the_address_belongs_here),
		TEST(who_only_wants_information_gets_it),
		TEST(release_and_decline_are_acknowledged),
		TEST(messages_that_name_the_wrong_server_or_no_client_get_no_answer),
		TEST(a_message_cut_short_anywhere_gets_no_answer_or_a_whole_one),
		TEST(an_identifier_longer_than_any_may_be_gets_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
