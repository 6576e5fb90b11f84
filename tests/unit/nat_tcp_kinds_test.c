/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_kinds_test.c - proves the other kinds of connections of tcp.h: to the guest by a published port, to the name
 * server of ours, and those whose first bytes are looked at for a name.
 */
#include "tests/unit/nat_tcp_case.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net-nat/names.h"

#define GUEST_SERVICE 80
#define PEER_PORT 5555

static struct tcp_case c;

/* ---- to the guest ---- */

static int connect_to(int domain, uint16_t port)
{
	struct net_endpoint at = { .port = port };
	struct sockaddr_storage sa;
	socklen_t len;
	int fd = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(net_address_parse(domain == AF_INET ? "127.0.0.1" : "::1", &at.address), 0);
	len = net_to_sockaddr(&at, &sa);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
	return fd;
}

/* A connection to the listener, and its way to the guest; what tcp_open_inbound() says. */
static int open_inbound(const struct variant *v, uint16_t from_port)
{
	struct nat *nat = c.guest.nat;
	struct net_endpoint guest = { .port = GUEST_SERVICE }, from = { .port = from_port };
	int fd;

	assert_int_equal(net_address_parse(c.t.own, &guest.address), 0);
	assert_int_equal(net_address_parse(c.t.peer, &from.address), 0);
	c.fd = connect_to(v->domain, c.port);
	fd = accept4(c.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	assert_int_equal(sockets_adopt(nat->sockets, fd), 0);
	return tcp_open_inbound(nat, fd, &from, &guest);
}

static void begin_inbound(const struct variant *v)
{
	case_begin(&c, v);
	tcp_guest_begin(&c.t, &c.guest, c.t.own, GUEST_SERVICE, c.t.peer, PEER_PORT);
	c.t.listens = true;
}

static bool is_connected(void *ctx)
{
	(void)ctx;
	return c.t.connected;
}

static bool has_syn(void *ctx)
{
	(void)ctx;
	return c.t.syn_received;
}

static void test_published_connection_carries_both_ways(void **state)
{
	(void)state;
	EACH_VARIANT(v)
	{
		begin_inbound(v);
		assert_int_equal(open_inbound(v, PEER_PORT), 0);
		nic_flush(c.guest.nat->nic);
		case_until(&c, is_connected);
		tcp_guest_send(&c.t, 1u << 20);
		c.wanted = 1u << 20;
		case_until(&c, all_done);
		assert_int_equal(shutdown(c.fd, SHUT_WR), 0);
		case_until(&c, guest_has_fin);
		tcp_guest_send(&c.t, 1000);
		case_until(&c, all_at_peer);
		tcp_guest_fin(&c.t);
		case_until(&c, peer_is_at_end);
		assert_true(c.at_end);
		case_until(&c, no_flows);
		case_end(&c);
	}
}

static void test_guest_that_refuses_resets_the_peer(void **state)
{
	(void)state;
	begin_inbound(&variants[0]);
	c.t.silent = true;
	assert_int_equal(open_inbound(&variants[0], PEER_PORT), 0);
	nic_flush(c.guest.nat->nic);
	case_until(&c, has_syn);
	c.t.received = 0;
	tcp_guest_segment(&c.t, TH_RST, 0, 0); /* without ACK it is nothing (RFC 9293, 3.10.7.3) */
	tcp_guest_settle(&c.t);
	assert_false(no_flows(&c));
	tcp_guest_segment(&c.t, TH_RST | TH_ACK, 0, 0);
	case_until(&c, no_flows);
	case_until(&c, peer_is_at_end);
	assert_true(c.failed);
	case_end(&c);
}

static void test_guest_that_does_not_answer_is_asked_again(void **state)
{
	(void)state;
	begin_inbound(&variants[0]);
	c.t.silent = true;
	assert_int_equal(open_inbound(&variants[0], PEER_PORT), 0);
	nic_flush(c.guest.nat->nic);
	case_until(&c, has_syn);
	for (unsigned i = 0; i < TCP_RETRIES_SYN; i++) {
		c.t.syn_received = false;
		nat_pass(&c.guest, (1000u << i) + 10);
		case_until(&c, has_syn);
	}
	nat_pass(&c.guest, 65000);
	case_until(&c, guest_is_reset);
	case_until(&c, peer_is_at_end);
	assert_true(c.failed && no_flows(&c));
	case_end(&c);
}

/* The guest connects from the very port that the peer goes to (RFC 9293, 3.5: figure 8). */
static void test_both_sides_may_open(void **state)
{
	(void)state;
	begin_inbound(&variants[0]);
	c.t.silent = true;
	assert_int_equal(open_inbound(&variants[0], PEER_PORT), 0);
	nic_flush(c.guest.nat->nic);
	case_until(&c, has_syn);
	c.t.listens = false; /* so this is a SYN, without ACK */
	c.t.silent = false;
	tcp_guest_syn(&c.t);
	case_until(&c, is_connected);
	tcp_guest_send(&c.t, 1000);
	c.wanted = 1000;
	case_until(&c, all_done);
	case_end(&c);
}

static void test_peer_gets_another_port_or_none(void **state)
{
	int first;

	(void)state;
	begin_inbound(&variants[0]);
	assert_int_equal(open_inbound(&variants[0], PEER_PORT), 0);
	first = c.fd;
	assert_int_equal(open_inbound(&variants[0], PEER_PORT), -EADDRINUSE);
	case_until(&c, peer_is_at_end);
	close(c.fd);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(open_inbound(&variants[0], 0), 0);
		close(c.fd);
	}
	assert_int_equal(flows_count(c.guest.nat->flows), 21);
	close(first);
	c.fd = -1;
	case_end(&c);
}

/* ---- to the name server ---- */

static void test_name_server_is_reached_whatever_the_rules(void **state)
{
	static const struct variant denied = { "", AF_INET, true, UINT64_MAX, "policy = { default = \"deny\"; };" };

	(void)state;
	case_begin(&c, &denied);
	c.t.peer_port = 53;
	tcp_guest_connect(&c.t);
	assert_int_equal(flows_count(c.guest.nat->flows), 1);
	tcp_guest_fin(&c.t);
	case_until(&c, guest_has_fin);
	case_until(&c, no_flows);
	assert_false(c.t.reset);
	case_end(&c);
}

/* ---- names ---- */

#define DOOR(name) "{ action = \"allow\"; domain = \"" name "\"; group = \"loopback\"; }"
#define RULES(more, rules) "policy = { default = \"deny\"; " more " rules = ( " rules " ); };"
#define NAMED RULES("check_names = true;", DOOR("good.test"))
#define UNCHECKED RULES("", DOOR("good.test"))

static void begin_with(const char *options)
{
	const struct variant named = { "", AF_INET, true, UINT64_MAX, options };
	struct in6_addr loopback;

	case_begin(&c, &named);
	assert_int_equal(net_address_parse("127.0.0.1", &loopback), 0);
	names_learn(c.guest.nat->names, "good.test", &loopback, 3600);
	tcp_guest_connect(&c.t);
	case_accept(&c);
	tcp_guest_settle(&c.t);
}

static void begin_named(void)
{
	begin_with(NAMED);
}

/* In pieces of `piece` bytes, from byte `from` of the stream on. */
static void say_bytes(uint64_t from, const void *bytes, size_t len, size_t piece)
{
	const char *text = bytes;

	for (size_t at = 0; at < len; at += piece) {
		const size_t here = len - at < piece ? len - at : piece;
		const struct nat_segment segment = { .from = c.t.own,
			                             .to = c.t.peer,
			                             .from_port = c.t.own_port,
			                             .to_port = c.t.peer_port,
			                             .sequence = c.t.first + 1 + (uint32_t)(from + at),
			                             .acknowledgement = c.t.peer_first + 1,
			                             .flags = TH_ACK,
			                             .window = 1000,
			                             .payload = text + at,
			                             .len = here };

		nat_send_tcp(&c.guest, &segment);
		c.t.wanted = c.t.sent = c.t.highest = from + at + here;
	}
}

static void say(const char *text, size_t piece)
{
	say_bytes(0, text, strlen(text), piece);
}

static void assert_heard(const char *text)
{
	char got[512] = "";

	tcp_guest_settle(&c.t);
	assert_int_equal(recv(c.fd, got, sizeof got - 1, MSG_DONTWAIT), strlen(text));
	assert_string_equal(got, text);
}

static void assert_heard_nothing(void)
{
	char byte;

	tcp_guest_settle(&c.t);
	assert_int_equal(recv(c.fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void test_allowed_name_passes_whole(void **state)
{
	static const char good[] = "GET / HTTP/1.1\r\nHost: good.test\r\n\r\n";
	char got[sizeof good] = "";

	(void)state;
	for (size_t piece = 1; piece < sizeof good; piece += 7) {
		begin_named();
		say(good, piece);
		tcp_guest_settle(&c.t);
		assert_int_equal(recv(c.fd, got, sizeof got - 1, MSG_DONTWAIT), sizeof good - 1);
		assert_string_equal(got, good);
		assert_int_equal(c.t.acked, sizeof good - 1);
		assert_null(case_flow(&c)->kept);
		assert_int_equal(c.guest.nat->tcp->kept_bytes, 0);
		case_end(&c);
	}
}

static void test_other_names_and_none_are_reset(void **state)
{
	static const char *const bad[] = { "GET / HTTP/1.1\r\nHost: bad.test\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n",
		                           "\x16\x04hello, world" };
	char byte;

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		begin_named();
		say(bad[i], 9);
		case_until(&c, guest_is_reset);
		assert_int_equal(recv(c.fd, &byte, 1, MSG_DONTWAIT), -1);
		assert_int_equal(errno, ECONNRESET);
		assert_true(no_flows(&c));
		case_end(&c);
	}
}

static void test_end_without_a_name_is_reset(void **state)
{
	(void)state;
	begin_named();
	say("GET / HTTP/1.1\r\n", 100);
	tcp_guest_fin(&c.t);
	case_until(&c, guest_is_reset);
	case_until(&c, peer_is_at_end);
	assert_true(c.failed);
	case_end(&c);
}

#define REQUEST(host) "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n"

/* What the manual says: the first words count. */
static void test_second_request_is_not_looked_at(void **state)
{
	static const char first[] = REQUEST("good.test"), second[] = REQUEST("bad.test");

	(void)state;
	begin_named();
	say(first, 100);
	assert_heard(first);
	say_bytes(sizeof first - 1, second, sizeof second - 1, 100);
	assert_heard(second);
	case_end(&c);
}

/* A client hello with "good.test" and, behind it, the extension of an encrypted hello. */
static const unsigned char with_ech[] = "\x16\x03\x01\x00\x49\x01\x00\x00\x45\x03\x03"
					"01234567890123456789012345678901"
					"\x00\x00\x02\x13\x01\x01\x00\x00\x1a"
					"\x00\x00\x00\x0e\x00\x0c\x00\x00\x09good.test"
					"\xfe\x0d\x00\x04\x00\x01\x02\x03";

static void test_hello_that_may_hide_a_name_needs_leave(void **state)
{
	char got[sizeof with_ech];

	(void)state;
	begin_named();
	say_bytes(0, with_ech, sizeof with_ech - 1, 30);
	case_until(&c, guest_is_reset);
	case_until(&c, peer_is_at_end);
	assert_true(c.failed);
	assert_int_equal(c.received, 0);
	assert_int_equal(nat_counter(&c.guest, "flows_denied"), 1);
	case_end(&c);

	begin_with(RULES("check_names = true; allow_ech = true;", DOOR("good.test")));
	say_bytes(0, with_ech, sizeof with_ech - 1, 30);
	tcp_guest_settle(&c.t);
	assert_int_equal(recv(c.fd, got, sizeof got, MSG_DONTWAIT), sizeof with_ech - 1);
	assert_memory_equal(got, with_ech, sizeof with_ech - 1);
	/* Until it is taken back. */
	assert_int_equal(nat_reconfigure(&c.guest, RULES("check_names = true; allow_ech = true;",
	                                                 DOOR("*.other") ", " DOOR("good.test"))),
	                 0);
	tcp_guest_settle(&c.t);
	assert_false(c.t.reset);
	assert_int_equal(nat_reconfigure(&c.guest, NAMED), 0);
	case_until(&c, guest_is_reset);
	case_end(&c);
	/* The outer name is judged all the same. */
	begin_with(RULES("check_names = true; allow_ech = true;", DOOR("*.good.test") ", " DOOR("good.test")));
	assert_int_equal(nat_reconfigure(&c.guest, RULES("check_names = true; allow_ech = true;", DOOR("good.test"))),
	                 0);
	say(REQUEST("bad.test"), 100);
	case_until(&c, guest_is_reset);
	case_end(&c);
}

static void test_name_is_judged_again_with_new_rules(void **state)
{
	static const char good[] = REQUEST("good.test");
	struct in6_addr loopback;

	(void)state;
	begin_named();
	/* Its address has another name, too. */
	assert_int_equal(net_address_parse("127.0.0.1", &loopback), 0);
	names_learn(c.guest.nat->names, "other.test", &loopback, 3600);
	say(good, 100);
	assert_heard(good);
	assert_int_equal(
		nat_reconfigure(&c.guest, RULES("check_names = true;", DOOR("other.test") ", " DOOR("good.test"))), 0);
	say_bytes(sizeof good - 1, "more", 4, 4);
	assert_heard("more");
	assert_false(c.t.reset);
	/* The address is still allowed, by that other name. */
	assert_int_equal(nat_reconfigure(&c.guest, RULES("check_names = true;", DOOR("other.test"))), 0);
	case_until(&c, guest_is_reset);
	assert_true(no_flows(&c));
	case_end(&c);
}

static void test_what_was_never_asked_for_its_name_ends_with_rules_that_ask(void **state)
{
	static const char good[] = REQUEST("good.test");

	(void)state;
	begin_with(UNCHECKED);
	say(good, 100);
	assert_heard(good);
	assert_int_equal(nat_reconfigure(&c.guest, NAMED), 0);
	case_until(&c, guest_is_reset);
	case_end(&c);
	/* One that has said nothing yet is asked. */
	begin_with(UNCHECKED);
	assert_int_equal(nat_reconfigure(&c.guest, NAMED), 0);
	say(good, 5);
	assert_heard(good);
	assert_false(c.t.reset);
	case_end(&c);
	begin_with(UNCHECKED);
	assert_int_equal(nat_reconfigure(&c.guest, NAMED), 0);
	say(REQUEST("bad.test"), 5);
	case_until(&c, guest_is_reset);
	case_end(&c);
	/* Nor is one that had only its end to say, or the peer's. */
	begin_with(UNCHECKED);
	tcp_guest_fin(&c.t);
	tcp_guest_settle(&c.t);
	assert_int_equal(nat_reconfigure(&c.guest, NAMED), 0);
	tcp_guest_settle(&c.t);
	assert_false(c.t.reset);
	case_close(&c);
	case_until(&c, no_flows);
	case_end(&c);
}

static void test_text_that_waits_for_a_name_goes_on_when_none_is_asked_for(void **state)
{
	(void)state;
	begin_named();
	say("GET / HTTP/1.1\r\n", 100);
	assert_heard_nothing();
	assert_int_equal(nat_reconfigure(&c.guest, UNCHECKED), 0);
	assert_heard("GET / HTTP/1.1\r\n");
	assert_int_equal(c.guest.nat->tcp->kept_bytes, 0);
	case_end(&c);
	begin_named();
	assert_int_equal(nat_reconfigure(&c.guest, UNCHECKED), 0);
	say("SSH-2.0-OpenSSH_9.2\r\n", 100);
	assert_heard("SSH-2.0-OpenSSH_9.2\r\n");
	case_end(&c);
	/* And what waits still waits where rules are replaced by such as ask, too. */
	begin_named();
	say("GET / HTTP/1.1\r\n", 100);
	assert_int_equal(nat_reconfigure(&c.guest, RULES("check_names = true;", DOOR("x.test") ", " DOOR("good.test"))),
	                 0);
	assert_heard_nothing();
	say_bytes(16, "Host: good.test\r\n\r\n", 19, 100);
	assert_heard(REQUEST("good.test"));
	case_end(&c);
}

static void test_name_that_is_denied_is_logged_where_asked(void **state)
{
	(void)state;
	begin_with(RULES("check_names = true;", "{ action = \"log\"; protocol = \"tcp\"; }, " DOOR("good.test")));
	say(REQUEST("bad.test"), 100);
	case_until(&c, guest_is_reset);
	nat_turn(&c.guest);
	assert_non_null(strstr(c.guest.logged, " allowed by rule 2 ("));
	assert_non_null(strstr(c.guest.logged, " denied by check_names at rule 2 ("));
	case_end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published_connection_carries_both_ways),
		cmocka_unit_test(test_guest_that_refuses_resets_the_peer),
		cmocka_unit_test(test_guest_that_does_not_answer_is_asked_again),
		cmocka_unit_test(test_both_sides_may_open),
		cmocka_unit_test(test_peer_gets_another_port_or_none),
		cmocka_unit_test(test_name_server_is_reached_whatever_the_rules),
		cmocka_unit_test(test_allowed_name_passes_whole),
		cmocka_unit_test(test_other_names_and_none_are_reset),
		cmocka_unit_test(test_end_without_a_name_is_reset),
		cmocka_unit_test(test_second_request_is_not_looked_at),
		cmocka_unit_test(test_hello_that_may_hide_a_name_needs_leave),
		cmocka_unit_test(test_name_is_judged_again_with_new_rules),
		cmocka_unit_test(test_what_was_never_asked_for_its_name_ends_with_rules_that_ask),
		cmocka_unit_test(test_text_that_waits_for_a_name_goes_on_when_none_is_asked_for),
		cmocka_unit_test(test_name_that_is_denied_is_logged_where_asked),
	};

	return cmocka_run_group_tests_name("nat_tcp_kinds", tests, NULL, NULL);
}
