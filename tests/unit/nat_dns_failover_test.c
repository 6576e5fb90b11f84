/* SPDX-License-Identifier: MIT */
/*
 * nat_dns_failover_test.c - proves dns.h where upstreams fail and guests are sly: each upstream has its chance, a lost
 * datagram is asked again, a server that answers badly is not a dead one, a name that rules cannot write is no way
 * round them, and the forwarder's own answers are what EDNS clients expect.
 */
#include "tests/unit/nat_guest.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/names.h"

#define GUEST_PORT 4000
#define ID 0x1234

static struct nat_guest guest;
static struct nat_frame frame;

struct message {
	unsigned char bytes[2048];
	size_t len;
};

static void settle(void)
{
	while (nat_turn(&guest))
		;
}

/* ---- messages ---- */

static void put(struct message *m, const void *bytes, size_t len)
{
	assert_true(m->len + len <= sizeof m->bytes);
	memcpy(m->bytes + m->len, bytes, len);
	m->len += len;
}

static void put16(struct message *m, unsigned value)
{
	const unsigned char bytes[2] = { (unsigned char)(value >> 8), (unsigned char)value };

	put(m, bytes, sizeof bytes);
}

/* Labels in wire form, the root included: "\3www\4test". */
static struct message question(const char *wire, unsigned type, bool edns)
{
	struct message m = { .len = 0 };

	put16(&m, ID);
	put16(&m, 0x0100); /* RD */
	put16(&m, 1);
	put16(&m, 0);
	put16(&m, 0);
	put16(&m, edns ? 1 : 0);
	put(&m, wire, strlen(wire) + 1);
	put16(&m, type);
	put16(&m, ns_c_in);
	if (edns)
		put(&m, "\0\0\x29\x04\xd0\0\0\x80\0\0\0", 11); /* 1232 bytes, DO */
	return m;
}

/* What an upstream makes of a question (without EDNS): flags and rcode, and an address where `address` is one. */
static struct message answer_to(const struct message *q, unsigned flags, const char *address)
{
	struct message m = *q;

	m.bytes[2] = (unsigned char)(0x80 | flags >> 8);
	m.bytes[3] = (unsigned char)(0x80 | (flags & 0xff));
	if (address) {
		struct in_addr a;

		assert_int_equal(inet_pton(AF_INET, address, &a), 1);
		m.bytes[7] = 1;
		put(&m, "\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4", 12);
		put(&m, &a, sizeof a);
	}
	return m;
}

/* ---- guest ---- */

static void guest_asks(const struct message *m)
{
	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, DNS_PORT, m->bytes, m->len);
	settle();
}

static const unsigned char *guest_gets(size_t *len)
{
	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.protocol, IPPROTO_UDP);
	assert_int_equal(frame.packet.source_port, DNS_PORT);
	assert_int_equal(frame.packet.target_port, GUEST_PORT);
	*len = frame.packet.payload_len;
	assert_true(*len >= NS_HFIXEDSZ);
	assert_int_equal(ns_get16(frame.bytes + frame.packet.payload), ID);
	assert_true(frame.bytes[frame.packet.payload + 2] & 0x80);
	return frame.bytes + frame.packet.payload;
}

static void guest_gets_code(unsigned code)
{
	size_t len;

	assert_int_equal(guest_gets(&len)[3] & 0xf, code);
}

static bool each(void *ctx, const char *name)
{
	return strcmp(ctx, name) == 0;
}

static bool is_learned(const char *name, const char *text)
{
	struct in6_addr address;
	char copy[256];

	assert_int_equal(net_address_parse(text, &address), 0);
	snprintf(copy, sizeof copy, "%s", name);
	return names_of(guest.nat->names, &address, each, copy);
}

/* ---- upstreams ---- */

struct server {
	int udp, tcp;
	uint16_t port;
	struct sockaddr_in from;
};

static void server_begin(struct server *s, bool tcp)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	s->udp = nat_peer(AF_INET, SOCK_DGRAM, &s->port);
	s->tcp = -1;
	if (!tcp)
		return;
	at.sin_port = htons(s->port);
	s->tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(s->tcp >= 0);
	assert_int_equal(bind(s->tcp, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s->tcp, 8), 0);
}

static void server_end(struct server *s)
{
	close(s->udp);
	if (s->tcp >= 0)
		close(s->tcp);
}

static bool server_hears(struct server *s, struct message *m)
{
	socklen_t len = sizeof s->from;
	ssize_t n;

	settle();
	n = recvfrom(s->udp, m->bytes, sizeof m->bytes, MSG_DONTWAIT, (struct sockaddr *)&s->from, &len);
	m->len = n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void server_says(struct server *s, const struct message *m)
{
	assert_int_equal(sendto(s->udp, m->bytes, m->len, 0, (struct sockaddr *)&s->from, sizeof s->from), m->len);
}

static struct server servers[2];

/* nat_begin() with `n` of them as upstreams; after it, as descriptors are counted between. */
static void begin(unsigned n, const char *options)
{
	char text[1024];

	if (n == 1)
		snprintf(text, sizeof text, "dns = [ \"127.0.0.1:%u\" ]; search = [ ]; %s", servers[0].port, options);
	else
		snprintf(text, sizeof text, "dns = [ \"127.0.0.1:%u\", \"127.0.0.1:%u\" ]; search = [ ]; %s",
		         servers[0].port, servers[1].port, options);
	nat_begin(&guest, text);
}

static void end(unsigned n)
{
	nat_end(&guest);
	for (unsigned i = 0; i < n; i++)
		server_end(&servers[i]);
}

/* ---- names and rules ---- */

#define DENY_EVIL "policy = { default = \"allow\"; rules = ( { action = \"deny\"; domain = \"*.evil.test\"; } ); };"

static void a_name_that_rules_cannot_write_is_no_way_round_a_denied_domain(void **state)
{
	static const char *const names[] = { "\3www\4evil\4test",     "\1\1\4evil\4test",  "\2a$\4evil\4test",
		                             "\3a.b\4evil\4test",     "\2a\\\4EVIL\4test", "\3a b\1c\4evil\4test",
		                             "\2\xc3\xa4\4evil\4test" };

	(void)state;
	server_begin(&servers[0], false);
	begin(1, DENY_EVIL);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		const struct message q = question(names[i], ns_t_txt, false);
		struct message heard;

		guest_asks(&q);
		if (server_hears(&servers[0], &heard))
			fail_msg("name %zu went out", i);
		guest_gets_code(ns_r_refused);
	}
	assert_int_equal(nat_counter(&guest, "dns_refused"), sizeof names / sizeof *names);
	end(1);
}

static void such_a_name_passes_where_nothing_is_denied_and_teaches_nothing(void **state)
{
	/* A dot inside of a label: as text it would be www.example.test. */
	const struct message q = question("\x0bwww.example\4test", ns_t_a, false);
	struct message heard, answer;

	(void)state;
	server_begin(&servers[0], false);
	begin(1, DENY_EVIL);
	guest_asks(&q);
	assert_true(server_hears(&servers[0], &heard));
	answer = answer_to(&heard, ns_r_noerror, "198.51.100.7");
	server_says(&servers[0], &answer);
	guest_gets_code(ns_r_noerror);
	assert_int_equal(names_count(guest.nat->names), 0);
	end(1);
}

static void under_a_deny_default_such_a_name_is_refused_below_an_allowed_domain(void **state)
{
	const struct message q = question("\2a$\7example\4test", ns_t_a, false);
	const struct message odd = question("\2\1b\7example\4test", ns_t_a, false);
	struct message heard;

	(void)state;
	server_begin(&servers[0], false);
	begin(1, "policy = { default = \"deny\"; rules = ( { action = \"allow\"; domain = \"*.example.test\"; } ); };");
	guest_asks(&odd);
	guest_gets_code(ns_r_refused);
	/* '$' is printable: a rule could write it. */
	guest_asks(&q);
	(void)server_hears(&servers[0], &heard);
	while (nat_receive_now(&guest, &frame))
		;
	end(1);
}

/* ---- failover ---- */

static void a_lost_datagram_is_asked_again_and_a_late_answer_counts(void **state)
{
	const struct message q = question("\3www\4test", ns_t_a, false);
	struct message first, second, answer;

	(void)state;
	server_begin(&servers[0], false);
	begin(1, "");
	guest_asks(&q);
	assert_true(server_hears(&servers[0], &first));
	nat_pass(&guest, DNS_PATIENCE);
	nat_receive_none(&guest);
	assert_true(server_hears(&servers[0], &second));
	answer = answer_to(&second, ns_r_noerror, "198.51.100.7");
	server_says(&servers[0], &answer);
	guest_gets_code(ns_r_noerror);
	assert_true(is_learned("www.test", "198.51.100.7"));
	end(1);
}

static void a_server_that_never_answers_is_servfail(void **state)
{
	const struct message q = question("\3www\4test", ns_t_a, false);
	struct message heard;

	(void)state;
	server_begin(&servers[0], false);
	begin(1, "");
	guest_asks(&q);
	assert_true(server_hears(&servers[0], &heard));
	nat_pass(&guest, DNS_PATIENCE);
	nat_pass(&guest, DNS_PATIENCE);
	guest_gets_code(ns_r_servfail);
	assert_int_equal(nat_counter(&guest, "dns_failed"), 1);
	nat_pass(&guest, 10 * DNS_PATIENCE);
	nat_receive_none(&guest);
	end(1);
}

static void a_server_that_answers_others_but_not_this_one_gives_way(void **state)
{
	const struct message q = question("\4slow\4test", ns_t_a, false);
	struct message other = question("\4fast\4test", ns_t_a, false), heard, answer;

	(void)state;
	server_begin(&servers[0], false);
	server_begin(&servers[1], false);
	begin(2, "");
	guest_asks(&q);
	assert_true(server_hears(&servers[0], &heard));
	nat_pass(&guest, DNS_PATIENCE / 2); /* half: some time has really passed, too */
	guest_asks(&other);
	assert_true(server_hears(&servers[0], &heard));
	/* The first one's patience ends between the other question and its answer. */
	nat_pass(&guest, DNS_PATIENCE / 2);
	answer = answer_to(&heard, ns_r_noerror, "198.51.100.8");
	server_says(&servers[0], &answer);
	guest_gets_code(ns_r_noerror);
	assert_true(server_hears(&servers[1], &heard));
	answer = answer_to(&heard, ns_r_noerror, "198.51.100.7");
	server_says(&servers[1], &answer);
	guest_gets_code(ns_r_noerror);
	assert_true(is_learned("slow.test", "198.51.100.7"));
	end(2);
}

static void servfail_for_one_name_is_not_held_against_the_server(void **state)
{
	const struct message bad = question("\3bad\4test", ns_t_a, false),
			     good = question("\4good\4test", ns_t_a, false);
	struct message heard, answer;

	(void)state;
	server_begin(&servers[0], false);
	server_begin(&servers[1], false);
	begin(2, "");
	guest_asks(&bad);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(server_hears(&servers[i], &heard));
		answer = answer_to(&heard, ns_r_servfail, NULL);
		server_says(&servers[i], &answer);
	}
	guest_gets_code(ns_r_servfail);
	guest_asks(&good);
	assert_true(server_hears(&servers[0], &heard));
	end(2);
}

static void over_tcp_a_server_without_tcp_gives_way(void **state)
{
	const struct message q = question("\3big\4test", ns_t_a, false);
	unsigned char got[512];
	struct message heard, answer, framed = { .len = 0 };
	int fd, peer;
	ssize_t n;

	(void)state;
	server_begin(&servers[0], false);
	server_begin(&servers[1], true);
	begin(2, "");
	fd = dns_accept(guest.nat);
	assert_true(fd >= 0);
	put16(&framed, (unsigned)q.len);
	put(&framed, q.bytes, q.len);
	assert_int_equal(send(fd, framed.bytes, framed.len, 0), framed.len);
	for (unsigned i = 0; i < 2; i++) {
		if (!server_hears(&servers[i], &heard))
			fail_msg("server %u was not asked", i);
		answer = answer_to(&heard, 0x0200 /* TC */, NULL);
		server_says(&servers[i], &answer);
		settle();
	}
	peer = accept4(servers[1].tcp, NULL, NULL, SOCK_CLOEXEC);
	assert_true(peer >= 0);
	settle();
	n = recv(peer, got, sizeof got, MSG_DONTWAIT);
	assert_int_equal(n, (ssize_t)framed.len);
	heard.len = framed.len - 2;
	memcpy(heard.bytes, got + 2, heard.len);
	answer = answer_to(&heard, ns_r_noerror, "198.51.100.7");
	framed.len = 0;
	put16(&framed, (unsigned)answer.len);
	put(&framed, answer.bytes, answer.len);
	assert_int_equal(send(peer, framed.bytes, framed.len, 0), framed.len);
	settle();
	n = recv(fd, got, sizeof got, MSG_DONTWAIT);
	assert_int_equal(n, (ssize_t)framed.len);
	assert_int_equal(ns_get16(got + 2), ID);
	close(peer);
	close(fd);
	settle();
	end(2);
}

/* ---- EDNS, datagrams ---- */

/* The last eleven bytes are a bare OPT (RFC 6891, 6.1.1: who was asked with one answers with one). */
static void check_opt(const unsigned char *message, size_t len)
{
	assert_int_equal(ns_get16(message + 10), 1);
	assert_true(len > 11);
	assert_int_equal(message[len - 11], 0);
	assert_int_equal(ns_get16(message + len - 10), ns_t_opt);
}

static void own_answers_to_edns_questions_have_edns(void **state)
{
	const struct message q = question("\3www\4evil\4test", ns_t_a, true),
			     plain = question("\3www\4evil\4test", ns_t_a, false);
	const unsigned char *message;
	size_t len;

	(void)state;
	server_begin(&servers[0], false);
	begin(1, DENY_EVIL);
	guest_asks(&q);
	message = guest_gets(&len);
	assert_int_equal(message[3] & 0xf, ns_r_refused);
	check_opt(message, len);
	guest_asks(&plain);
	message = guest_gets(&len);
	assert_int_equal(ns_get16(message + 10), 0);
	assert_int_equal(len, plain.len);
	end(1);
}

static void answers_that_are_cut_keep_edns(void **state)
{
	const struct message q = question("\3www\4test", ns_t_txt, true);
	struct message heard, answer;
	const unsigned char *message;
	size_t len;

	(void)state;
	server_begin(&servers[0], false);
	begin(1, "");
	guest_asks(&q);
	assert_true(server_hears(&servers[0], &heard));
	assert_int_equal(heard.len, q.len);
	answer = heard;
	answer.bytes[2] = answer.bytes[3] = 0x80;
	memset(answer.bytes + answer.len, 0, 1300);
	answer.len += 1300;
	server_says(&servers[0], &answer);
	message = guest_gets(&len);
	assert_true(message[2] & 0x02);
	check_opt(message, len);
	end(1);
}

static void a_datagram_with_a_wrong_checksum_is_no_question(void **state)
{
	const struct message q = question("\3www\4test", ns_t_a, false);
	unsigned char udp[8 + sizeof q.bytes], bytes[2048];
	const uint16_t wrong = htons(0x5555);
	struct message heard;
	size_t len;

	(void)state;
	server_begin(&servers[0], false);
	begin(1, "");
	memcpy(udp, (const uint16_t[]){ htons(GUEST_PORT), htons(DNS_PORT), htons((uint16_t)(8 + q.len)), 0 }, 8);
	memcpy(udp + 8, q.bytes, q.len);
	len = nat_put_ip(&guest, bytes, NAT_GUEST, NAT_GATEWAY, IPPROTO_UDP, udp, 8 + q.len);
	memcpy(bytes + len - q.len - 2, &wrong, sizeof wrong);
	nat_send(&guest, bytes, len);
	assert_false(server_hears(&servers[0], &heard));
	assert_int_equal(nat_counter(&guest, "malformed"), 1);
	end(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_rules_cannot_write_is_no_way_round_a_denied_domain),
		cmocka_unit_test(such_a_name_passes_where_nothing_is_denied_and_teaches_nothing),
		cmocka_unit_test(under_a_deny_default_such_a_name_is_refused_below_an_allowed_domain),
		cmocka_unit_test(a_lost_datagram_is_asked_again_and_a_late_answer_counts),
		cmocka_unit_test(a_server_that_never_answers_is_servfail),
		cmocka_unit_test(a_server_that_answers_others_but_not_this_one_gives_way),
		cmocka_unit_test(servfail_for_one_name_is_not_held_against_the_server),
		cmocka_unit_test(over_tcp_a_server_without_tcp_gives_way),
		cmocka_unit_test(own_answers_to_edns_questions_have_edns),
		cmocka_unit_test(answers_that_are_cut_keep_edns),
		cmocka_unit_test(a_datagram_with_a_wrong_checksum_is_no_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
