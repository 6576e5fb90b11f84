/* SPDX-License-Identifier: MIT */
/*
 * nat_dns_stream_test.c - proves dns-stream.c: messages that come in pieces or several at once, connections that end in
 * the middle, that are idle or never read, and upstreams that are asked by TCP.
 *
 * The guest's end of a connection is what tcp.c translates to: the descriptor that dns_accept() gives.
 */
#include "tests/unit/nat_dns_case.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net-nat/dns-private.h"
#include "tests/unit/nat_namespace.h"

#define IDLE 30000  /* ms, as dns-stream.c's */
#define MARGIN 1000 /* ms that may really have passed meanwhile */
#define PENDING_EACH 32u
#define OUT_MAX (256u << 10)
#define LONGEST 65535u

static struct dns_case c;
static unsigned char big[2 + LONGEST], piece[2 + LONGEST];

static int guest_connects(void)
{
	int fd = dns_accept(c.guest.nat);

	assert_true(fd >= 0);
	dns_case_settle(&c);
	return fd;
}

static void guest_closes(int fd)
{
	close(fd);
	dns_case_settle(&c);
}

static void write_all(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
	dns_case_settle(&c);
}

static size_t frame_put(unsigned char *to, const struct dns_text *m)
{
	to[0] = (unsigned char)(m->len >> 8);
	to[1] = (unsigned char)m->len;
	memcpy(to + 2, m->bytes, m->len);
	return 2 + m->len;
}

static void say(int fd, const struct dns_text *m)
{
	unsigned char bytes[2 + sizeof m->bytes];

	write_all(fd, bytes, frame_put(bytes, m));
}

/* Without waiting: what is not there now does not come. */
static bool take(int fd, void *to, size_t len)
{
	size_t done = 0;

	dns_case_settle(&c);
	while (done < len) {
		const ssize_t n = recv(fd, (char *)to + done, len - done, MSG_DONTWAIT);

		if (n <= 0 && done)
			fail_msg("%zu of %zu bytes, and then no more", done, len);
		if (n <= 0)
			return false;
		done += (size_t)n;
		dns_case_settle(&c); /* there is room for more */
	}
	return true;
}

/* A message with its length, in `piece`: the length, or 0 where there is none. */
static size_t next_message(int fd)
{
	size_t len;

	if (!take(fd, piece, 2))
		return 0;
	len = ns_get16(piece);
	assert_true(len >= NS_HFIXEDSZ);
	assert_true(take(fd, piece + 2, len));
	return len;
}

static void check_next(int fd, const struct dns_text *expected, unsigned id)
{
	assert_int_equal(next_message(fd), expected->len);
	assert_int_equal(ns_get16(piece + 2), id);
	assert_memory_equal(piece + 4, expected->bytes + 2, expected->len - 2);
}

static void check_next_code(int fd, unsigned id, unsigned code)
{
	assert_true(next_message(fd) > 0);
	assert_int_equal(ns_get16(piece + 2), id);
	assert_int_equal(piece[5] & 0xf, code);
}

static bool is_closed(int fd)
{
	unsigned char byte;

	dns_case_settle(&c);
	return recv(fd, &byte, 1, MSG_DONTWAIT) == 0;
}

static bool is_silent(int fd)
{
	unsigned char byte;

	dns_case_settle(&c);
	return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* By UDP, with an address. */
static struct dns_text upstream_answers(const struct dns_text *heard, const char *address)
{
	struct dns_text answer = dns_text_answer(heard, ns_r_noerror);

	dns_text_address(&answer, NULL, 60, address);
	dns_case_say(&c, 0, &answer);
	dns_case_settle(&c);
	return answer;
}

/* ---- messages and segments ---- */

static void a_question_may_come_byte_by_byte(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	struct dns_text heard, answer;
	unsigned char bytes[512];
	size_t len;
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "");
	fd = guest_connects();
	len = frame_put(bytes, &q);
	for (size_t i = 0; i < len; i++) {
		assert_false(dns_case_hear(&c, 0, &heard));
		write_all(fd, bytes + i, 1);
	}
	assert_true(dns_case_hear(&c, 0, &heard));
	dns_text_check(&heard, &q);
	answer = upstream_answers(&heard, "203.0.113.1");
	check_next(fd, &answer, 7);
	guest_closes(fd);
	dns_case_end(&c);
}

static void any_split_of_two_questions_is_two_questions(void **state)
{
	const struct dns_text a = dns_text_question(1, "\1a\4test", ns_t_a, 0),
			      b = dns_text_question(2, "\2bb\4test", ns_t_aaaa, 1232);
	unsigned char bytes[512];
	size_t len;

	(void)state;
	dns_case_begin(&c, 1, "");
	len = frame_put(bytes, &a);
	len += frame_put(bytes + len, &b);
	for (size_t split = 1; split < len; split++) {
		struct dns_text heard[2], answer;
		int fd = guest_connects();

		write_all(fd, bytes, split);
		write_all(fd, bytes + split, len - split);
		assert_true(dns_case_hear(&c, 0, &heard[0]));
		assert_true(dns_case_hear(&c, 0, &heard[1]));
		dns_text_check(&heard[0], &a);
		dns_text_check(&heard[1], &b);
		answer = upstream_answers(&heard[1], "2001:db8::1"); /* the second first */
		check_next(fd, &answer, 2);
		answer = upstream_answers(&heard[0], "203.0.113.1");
		check_next(fd, &answer, 1);
		assert_true(is_silent(fd));
		guest_closes(fd);
	}
	dns_case_end(&c);
}

static void questions_with_one_id_on_one_connection_are_each_answered(void **state)
{
	const struct dns_text q = dns_text_question(9, "\1a\4test", ns_t_a, 0);
	unsigned char bytes[512];
	struct dns_text heard[2];
	size_t len;
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "");
	fd = guest_connects();
	len = frame_put(bytes, &q);
	len += frame_put(bytes + len, &q);
	write_all(fd, bytes, len);
	for (unsigned i = 0; i < 2; i++)
		assert_true(dns_case_hear(&c, 0, &heard[i]));
	for (unsigned i = 0; i < 2; i++) {
		const struct dns_text answer = upstream_answers(&heard[i], i ? "203.0.113.1" : "203.0.113.2");

		check_next(fd, &answer, 9);
	}
	guest_closes(fd);
	dns_case_end(&c);
}

static void what_is_refused_is_answered_between_the_others(void **state)
{
	static const char policy[] = "policy = { default = \"deny\"; rules = ( { action = \"allow\"; "
				     "domain = \"*.test\"; } ); };";
	struct dns_text q[] = { dns_text_question(1, "\1a\4test", ns_t_a, 0),
		                dns_text_question(2, "\1a\4evil", ns_t_a, 0),
		                dns_text_question(3, "\1a\4test", ns_t_axfr, 0),
		                dns_text_question(4, "\1a\4test", ns_t_a, 0) };
	unsigned char bytes[512];
	struct dns_text heard, none, answer;
	size_t len = 0;
	int fd;

	(void)state;
	q[3].bytes[5] = 2; /* QDCOUNT */
	dns_case_begin(&c, 1, policy);
	fd = guest_connects();
	for (unsigned i = 0; i < 4; i++)
		len += frame_put(bytes + len, &q[i]);
	write_all(fd, bytes, len);
	assert_true(dns_case_hear(&c, 0, &heard));
	assert_false(dns_case_hear(&c, 0, &none));
	check_next_code(fd, 2, ns_r_refused);
	check_next_code(fd, 3, ns_r_refused);
	check_next_code(fd, 4, ns_r_formerr);
	answer = upstream_answers(&heard, "203.0.113.1");
	check_next(fd, &answer, 1);
	guest_closes(fd);
	dns_case_end(&c);
}

/* ---- lengths ---- */

static void a_length_that_holds_no_header_ends_the_connection(void **state)
{
	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned len = 0; len < NS_HFIXEDSZ; len++) {
		int fd = guest_connects();

		write_all(fd, (const unsigned char[2]){ 0, (unsigned char)len }, 2);
		assert_true(is_closed(fd));
		guest_closes(fd);
	}
	assert_int_equal(c.guest.nat->dns->n_connections, 0);
	dns_case_end(&c);
}

static void a_huge_length_waits_for_its_bytes_and_no_more(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	struct dns_text heard, answer;
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "");
	fd = guest_connects();
	memset(big, 0, sizeof big);
	memcpy(big + 2, q.bytes, q.len);
	big[0] = big[1] = 0xff;
	write_all(fd, big, 100);
	assert_true(is_silent(fd));
	write_all(fd, big + 100, sizeof big - 101);
	assert_true(is_silent(fd));
	assert_false(dns_case_hear(&c, 0, &heard));
	write_all(fd, big + sizeof big - 1, 1);
	check_next_code(fd, 7, ns_r_formerr); /* what is behind the question is nothing */
	/* The next one is where it should be. */
	say(fd, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	answer = upstream_answers(&heard, "203.0.113.1");
	check_next(fd, &answer, 7);
	guest_closes(fd);
	dns_case_end(&c);
}

/* A server's end of a connection that the plugin has made to it. */
static int upstream_accepts(unsigned server)
{
	int fd;

	dns_case_settle(&c);
	fd = accept4(c.servers[server].tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	dns_case_settle(&c);
	return fd;
}

static struct dns_text upstream_hears(int fd)
{
	struct dns_text m;

	m.len = next_message(fd);
	assert_in_range(m.len, NS_HFIXEDSZ, sizeof m.bytes);
	memcpy(m.bytes, piece + 2, m.len);
	return m;
}

/* RFC 7830's padding makes it as long as one likes. */
static void a_question_too_long_for_a_datagram_goes_by_tcp(void **state)
{
	struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 1232), answer;
	const size_t options = LONGEST - q.len;
	int fd, peer;

	(void)state;
	dns_case_begin(&c, 2, "");
	fd = guest_connects();
	memset(big, 0, sizeof big);
	big[0] = big[1] = 0xff;
	memcpy(big + 2, q.bytes, q.len);
	big[2 + q.len - 2] = (unsigned char)(options >> 8);
	big[2 + q.len - 1] = (unsigned char)options;
	big[2 + q.len + 1] = 12; /* padding */
	big[2 + q.len + 2] = (unsigned char)((options - 4) >> 8);
	big[2 + q.len + 3] = (unsigned char)(options - 4);
	write_all(fd, big, sizeof big);
	assert_true(is_silent(fd));
	peer = upstream_accepts(0);
	assert_int_equal(next_message(peer), LONGEST);
	assert_memory_equal(piece + 4, big + 4, LONGEST - 2);
	memcpy(q.bytes, piece + 2, q.len);
	answer = dns_text_answer(&q, ns_r_noerror);
	say(peer, &answer);
	check_next(fd, &answer, 7);
	close(peer);
	guest_closes(fd);
	dns_case_end(&c);
}

/* ---- ends ---- */

static void who_ends_after_his_questions_has_still_his_answers(void **state)
{
	const struct dns_text q[] = { dns_text_question(1, "\1a\4test", ns_t_a, 0),
		                      dns_text_question(2, "\1b\4test", ns_t_a, 0) };
	struct dns_text heard[2];
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "");
	fd = guest_connects();
	for (unsigned i = 0; i < 2; i++)
		say(fd, &q[i]);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	for (unsigned i = 0; i < 2; i++)
		assert_true(dns_case_hear(&c, 0, &heard[i]));
	for (unsigned i = 0; i < 2; i++) {
		struct dns_text answer;

		assert_true(is_silent(fd));
		answer = upstream_answers(&heard[i], "203.0.113.1");
		check_next(fd, &answer, i + 1);
	}
	assert_true(is_closed(fd));
	guest_closes(fd);
	assert_int_equal(c.guest.nat->dns->n_connections, 0);
	dns_case_end(&c);
}

static void who_ends_at_once_after_more_than_may_be_under_way_has_all_answers(void **state)
{
	enum { N = 3 * PENDING_EACH + 5 };
	unsigned char bytes[N * 64];
	bool seen[N] = { false };
	size_t len = 0;
	unsigned n = 0;
	struct dns_text heard;
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "");
	fd = guest_connects();
	for (unsigned i = 0; i < N; i++) {
		const struct dns_text q = dns_text_question(i, "\1a\4test", ns_t_a, 0);

		len += frame_put(bytes + len, &q);
	}
	write_all(fd, bytes, len);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	dns_case_settle(&c);
	assert_int_equal(c.guest.nat->dns->n_pending, PENDING_EACH);
	for (; dns_case_hear(&c, 0, &heard); n++) {
		assert_in_range(c.guest.nat->dns->n_pending, 1, PENDING_EACH);
		(void)upstream_answers(&heard, "203.0.113.1");
	}
	assert_int_equal(n, N);
	for (unsigned i = 0; i < N; i++) {
		assert_true(next_message(fd) > 0);
		assert_in_range(ns_get16(piece + 2), 0, N - 1);
		assert_false(seen[ns_get16(piece + 2)]);
		seen[ns_get16(piece + 2)] = true;
	}
	assert_true(is_closed(fd));
	guest_closes(fd);
	dns_case_end(&c);
}

static void who_ends_in_the_middle_of_a_question_is_closed(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	unsigned char bytes[512];
	size_t len;
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "");
	len = frame_put(bytes, &q);
	for (size_t n = 0; n < len; n++) {
		fd = guest_connects();
		if (n)
			write_all(fd, bytes, n);
		assert_int_equal(shutdown(fd, SHUT_WR), 0);
		assert_true(is_closed(fd));
		guest_closes(fd);
	}
	assert_int_equal(c.guest.nat->dns->n_connections, 0);
	dns_case_end(&c);
}

static void who_goes_with_questions_under_way_is_forgotten(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	struct dns_text heard;
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "");
	fd = guest_connects();
	say(fd, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	guest_closes(fd);
	/* A half-closed one looks the same until it is written to. */
	(void)upstream_answers(&heard, "203.0.113.1");
	assert_int_equal(c.guest.nat->dns->n_pending, 0);
	assert_int_equal(c.guest.nat->dns->n_connections, 0);
	dns_case_end(&c);
}

static void connections_end_when_the_driver_goes(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	struct dns_text heard;
	int fds[3];

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < 3; i++)
		fds[i] = guest_connects();
	say(fds[0], &q);
	write_all(fds[1], "\0", 1);
	assert_true(dns_case_hear(&c, 0, &heard));
	nat_reset(&c.guest);
	for (unsigned i = 0; i < 3; i++) {
		(void)is_closed(fds[i]);
		guest_closes(fds[i]);
	}
	(void)upstream_answers(&heard, "203.0.113.1");
	assert_int_equal(c.guest.nat->dns->n_pending, 0);
	assert_int_equal(c.guest.nat->dns->n_connections, 0);
	dns_case_end(&c);
}

/* ---- time ---- */

static void an_idle_connection_ends_and_one_that_is_used_does_not(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	int idle, used;

	(void)state;
	dns_case_begin(&c, 1, "");
	idle = guest_connects();
	used = guest_connects();
	for (unsigned i = 0; i < 4; i++) {
		struct dns_text heard, answer;

		nat_pass(&c.guest, IDLE / 2 - MARGIN);
		assert_int_equal(is_closed(idle), i >= 2);
		say(used, &q);
		assert_true(dns_case_hear(&c, 0, &heard));
		answer = upstream_answers(&heard, "203.0.113.1");
		check_next(used, &answer, 7);
	}
	nat_pass(&c.guest, IDLE);
	assert_true(is_closed(used));
	guest_closes(idle);
	guest_closes(used);
	dns_case_end(&c);
}

static void a_question_that_nobody_answers_is_servfail_before_the_connection_ends(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	int fd;

	(void)state;
	dns_case_begin(&c, 4, "");
	fd = guest_connects();
	say(fd, &q);
	for (unsigned i = 0; i < 2 * 4; i++) {
		assert_true(is_silent(fd));
		nat_pass(&c.guest, DNS_PATIENCE);
	}
	check_next_code(fd, 7, ns_r_servfail);
	assert_true(is_silent(fd)); /* and open */
	guest_closes(fd);
	dns_case_end(&c);
}

/* ---- bounds ---- */

static void there_are_so_many_connections_and_no_more(void **state)
{
	int fds[DNS_CONNECTIONS_MAX];

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < DNS_CONNECTIONS_MAX; i++)
		fds[i] = guest_connects();
	assert_int_equal(dns_accept(c.guest.nat), -EMFILE);
	guest_closes(fds[5]);
	fds[5] = guest_connects();
	for (unsigned i = 0; i < DNS_CONNECTIONS_MAX; i++)
		guest_closes(fds[i]);
	dns_case_end(&c);
}

static void very_many_questions_of_one_that_does_not_read_are_bounded_and_none_is_lost(void **state)
{
	enum { N = 20000 };
	const struct dns_connection *connection;
	unsigned asked = 0, answered = 0;
	unsigned char bytes[64];
	int fd;

	(void)state;
	dns_case_begin(&c, 1, "policy = { default = \"deny\"; };");
	fd = guest_connects();
	connection = TAILQ_FIRST(&c.guest.nat->dns->connections);
	while (answered < N) {
		/* As many as it takes; then as many as there are answers. */
		while (asked < N) {
			const struct dns_text q = dns_text_question(asked & 0xffff, "\1a\4test", ns_t_a, 0);
			const size_t len = frame_put(bytes, &q);

			/* Whole messages only: the pair has no half ones where it has no room at all. */
			if (send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
				break;
			asked++;
			if (asked % 64 == 0)
				dns_case_settle(&c);
			assert_true(connection->n_out <= OUT_MAX);
			assert_true(connection->n_in <= 2 + DNS_MESSAGE_MAX);
		}
		assert_true(asked > answered);
		check_next_code(fd, answered & 0xffff, ns_r_refused);
		answered++;
	}
	assert_true(is_silent(fd));
	guest_closes(fd);
	dns_case_end(&c);
}

static void long_answers_to_one_that_does_not_read_end_his_connection_alone(void **state)
{
	static const unsigned char zeros[8000];
	const struct dns_connection *connection;
	struct dns_text heard, answer;
	unsigned n = 0;
	int fd, other;

	(void)state;
	dns_case_begin(&c, 1, "");
	other = guest_connects();
	fd = guest_connects();
	connection = TAILQ_LAST(&c.guest.nat->dns->connections, dns_connections);
	for (; n < 400 && c.guest.nat->dns->n_connections == 2; n++) {
		const struct dns_text q = dns_text_question(n, "\1a\4test", ns_t_txt, 0);
		unsigned char bytes[64];
		const size_t len = frame_put(bytes, &q);

		if (send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)len)
			break;
		dns_case_settle(&c);
		assert_true(connection->n_out <= OUT_MAX);
		assert_true(c.guest.nat->dns->n_pending <= PENDING_EACH);
		if (n % PENDING_EACH != PENDING_EACH - 1)
			continue;
		while (c.guest.nat->dns->n_connections == 2 && dns_case_hear(&c, 0, &heard)) {
			answer = dns_text_answer(&heard, ns_r_noerror);
			dns_text_record(&answer, NULL, ns_t_txt, 60, zeros, sizeof zeros);
			dns_case_say(&c, 0, &answer);
			dns_case_settle(&c);
		}
	}
	assert_int_equal(c.guest.nat->dns->n_connections, 1);
	assert_int_equal(c.guest.nat->dns->n_pending, 0);
	while (dns_case_hear(&c, 0, &heard))
		;
	answer = dns_text_question(7, "\3www\4test", ns_t_a, 0);
	say(other, &answer);
	assert_true(dns_case_hear(&c, 0, &heard));
	answer = upstream_answers(&heard, "203.0.113.1");
	check_next(other, &answer, 7);
	guest_closes(fd);
	guest_closes(other);
	dns_case_end(&c);
}

/* ---- upstreams by TCP ---- */

/* The guest asks by TCP, the upstream says by UDP that it is too long; and the connection that comes of it. */
static int asked_by_tcp(int fd, unsigned server, const struct dns_text *q, struct dns_text *heard)
{
	struct dns_text cut;
	int peer;

	if (q)
		say(fd, q);
	assert_true(dns_case_hear(&c, server, &cut));
	cut = dns_text_answer(&cut, ns_r_noerror);
	cut.bytes[2] |= 0x02; /* TC */
	dns_case_say(&c, server, &cut);
	peer = upstream_accepts(server);
	*heard = upstream_hears(peer);
	return peer;
}

static void a_long_answer_comes_whole_though_in_pieces(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_txt, 0);
	static const size_t pieces[] = { 1, 1, 5, 100, 30000, 1, 20000 };
	struct dns_text heard, answer;
	size_t at = 0, len;
	int fd, peer;

	(void)state;
	dns_case_begin(&c, 1, "");
	fd = guest_connects();
	peer = asked_by_tcp(fd, 0, &q, &heard);
	dns_text_check(&heard, &q);
	answer = dns_text_answer(&heard, ns_r_noerror);
	memset(big, 0xa5, sizeof big);
	(void)frame_put(big, &answer);
	big[0] = big[1] = 0xff;
	for (unsigned i = 0; i <= sizeof pieces / sizeof pieces[0]; i++) {
		len = i < sizeof pieces / sizeof pieces[0] ? pieces[i] : sizeof big - at;
		assert_true(is_silent(fd));
		assert_int_equal(send(peer, big + at, len, MSG_NOSIGNAL), len);
		at += len;
	}
	assert_int_equal(next_message(fd), LONGEST);
	assert_int_equal(ns_get16(piece + 2), 7);
	assert_memory_equal(piece + 4, big + 4, LONGEST - 2);
	assert_true(is_closed(peer));
	close(peer);
	guest_closes(fd);
	dns_case_end(&c);
}

enum misbehaviour { CLOSES, RESETS, NOTHING_AT_ALL, WRONG_ID, WRONG_NAME, HALF_OF_IT, NEVER, N_MISBEHAVIOURS };

static void misbehave(enum misbehaviour how, int peer, const struct dns_text *heard)
{
	const struct linger at_once = { .l_onoff = 1 };
	struct dns_text answer = dns_text_answer(heard, ns_r_noerror);
	unsigned char bytes[512];
	const size_t len = frame_put(bytes, &answer);

	switch (how) {
	case RESETS:
		assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
		break;
	case NOTHING_AT_ALL:
		write_all(peer, "\0\0", 2);
		break;
	case WRONG_ID:
		bytes[3] ^= 1;
		write_all(peer, bytes, len);
		break;
	case WRONG_NAME:
		bytes[2 + NS_HFIXEDSZ + 1] ^= 1;
		write_all(peer, bytes, len);
		break;
	case HALF_OF_IT:
		write_all(peer, bytes, len / 2);
		break;
	case NEVER:
		nat_pass(&c.guest, DNS_PATIENCE);
		break;
	case CLOSES:
	case N_MISBEHAVIOURS:
		break;
	}
}

static void an_upstream_that_fails_by_tcp_gives_way_to_the_next(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_txt, 0);

	(void)state;
	for (unsigned how = 0; how < N_MISBEHAVIOURS; how++) {
		struct dns_text heard, answer;
		int fd, peer;

		dns_case_begin(&c, 2, "");
		fd = guest_connects();
		peer = asked_by_tcp(fd, 0, &q, &heard);
		misbehave((enum misbehaviour)how, peer, &heard);
		close(peer);
		dns_case_settle(&c);
		assert_true(is_silent(fd));
		peer = asked_by_tcp(fd, 1, NULL, &heard);
		answer = dns_text_answer(&heard, ns_r_noerror);
		dns_text_address(&answer, NULL, 60, "203.0.113.1");
		say(peer, &answer);
		check_next(fd, &answer, 7);
		close(peer);
		guest_closes(fd);
		dns_case_end(&c);
	}
}

static void where_all_fail_by_tcp_it_is_servfail(void **state)
{
	const struct dns_text q = dns_text_question(7, "\3www\4test", ns_t_txt, 0);

	(void)state;
	for (unsigned how = 0; how < NEVER; how++) {
		struct dns_text heard;
		int fd, peer;

		dns_case_begin(&c, 1, "");
		fd = guest_connects();
		peer = asked_by_tcp(fd, 0, &q, &heard);
		misbehave((enum misbehaviour)how, peer, &heard);
		close(peer);
		check_next_code(fd, 7, ns_r_servfail);
		assert_int_equal(c.guest.nat->dns->n_pending, 0);
		guest_closes(fd);
		dns_case_end(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_may_come_byte_by_byte),
		cmocka_unit_test(any_split_of_two_questions_is_two_questions),
		cmocka_unit_test(questions_with_one_id_on_one_connection_are_each_answered),
		cmocka_unit_test(what_is_refused_is_answered_between_the_others),
		cmocka_unit_test(a_length_that_holds_no_header_ends_the_connection),
		cmocka_unit_test(a_huge_length_waits_for_its_bytes_and_no_more),
		cmocka_unit_test(a_question_too_long_for_a_datagram_goes_by_tcp),
		cmocka_unit_test(who_ends_after_his_questions_has_still_his_answers),
		cmocka_unit_test(who_ends_at_once_after_more_than_may_be_under_way_has_all_answers),
		cmocka_unit_test(who_ends_in_the_middle_of_a_question_is_closed),
		cmocka_unit_test(who_goes_with_questions_under_way_is_forgotten),
		cmocka_unit_test(connections_end_when_the_driver_goes),
		cmocka_unit_test(an_idle_connection_ends_and_one_that_is_used_does_not),
		cmocka_unit_test(a_question_that_nobody_answers_is_servfail_before_the_connection_ends),
		cmocka_unit_test(there_are_so_many_connections_and_no_more),
		cmocka_unit_test(very_many_questions_of_one_that_does_not_read_are_bounded_and_none_is_lost),
		cmocka_unit_test(long_answers_to_one_that_does_not_read_end_his_connection_alone),
		cmocka_unit_test(a_long_answer_comes_whole_though_in_pieces),
		cmocka_unit_test(an_upstream_that_fails_by_tcp_gives_way_to_the_next),
		cmocka_unit_test(where_all_fail_by_tcp_it_is_servfail),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
