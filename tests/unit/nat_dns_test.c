/* SPDX-License-Identifier: MIT */
/*
 * nat_dns_test.c - proves dns.h by UDP: what passes untouched and what is cut, who gets which answer, what is not asked
 * of anybody, whose answers are believed, and which addresses an answer opens and for how long.
 */
#include "tests/unit/nat_dns_case.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugins/net-nat/dns-private.h"
#include "plugins/net-nat/names.h"
#include "tests/unit/nat_host.h"
#include "tests/unit/nat_namespace.h"

#define PORT 4000
#define ID 0x1234
#define WWW "\3www\7example\3com"
#define EXAMPLE_ALLOWED \
	"policy = { default = \"deny\"; rules = ( { action = \"allow\"; domain = \"*.example.com\"; } ); };"

static struct dns_case c;

/* A flow there is not denied: the policy lets it pass, wherever it leads. */
static bool is_open(const char *address)
{
	static uint16_t port = 20000;
	const uint64_t denied = nat_counter(&c.guest, "flows_denied");

	nat_send_udp(&c.guest, strchr(address, ':') ? NAT_GUEST6 : NAT_GUEST, port++, address, 9, "?", 1);
	dns_case_settle(&c);
	while (nat_receive_now(&c.guest, &c.frame))
		;
	return nat_counter(&c.guest, "flows_denied") == denied;
}

static void nobody_was_asked(void)
{
	struct dns_text heard;

	for (unsigned i = 0; i < c.n; i++)
		if (dns_case_hear(&c, i, &heard))
			fail_msg("upstream %u was asked", i);
}

/* ---- what passes ---- */

/* What the upstream hears is the guest's but for the id, and so is what the guest hears the upstream's. */
static void passes(const struct dns_text *q, const struct dns_text *answer)
{
	struct dns_text heard, back = *answer;

	dns_case_ask(&c, PORT, q);
	assert_true(dns_case_hear(&c, 0, &heard));
	dns_text_check(&heard, q);
	memcpy(back.bytes, heard.bytes, 2);
	back.from = heard.from;
	dns_case_say(&c, 0, &back);
	dns_text_check(dns_case_receive(&c, PORT), &back);
	assert_int_equal(dns_text_id(&c.got), dns_text_id(q));
}

static void records_of_any_type_pass_untouched(void **state)
{
	static const unsigned types[] = { ns_t_a,   ns_t_aaaa, ns_t_mx,    ns_t_txt,       ns_t_ns,        ns_t_soa,
		                          ns_t_srv, ns_t_ptr,  ns_t_naptr, 65 /* HTTPS */, 46 /* RRSIG */, 65280 };
	static const unsigned char data[] = { 4, 0, 255, 0xc0, 12, '%', 's', 0, 1, 2, 3, 0x80 };

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < sizeof types / sizeof types[0]; i++) {
		const struct dns_text q = dns_text_question(ID + i, WWW, types[i], 0);
		struct dns_text answer = dns_text_answer(&q, ns_r_noerror);

		for (unsigned n = 0; n < 3; n++)
			dns_text_record(&answer, n == 1 ? "\1a\1b" : NULL, types[i], n, data, sizeof data - n);
		passes(&q, &answer);
	}
	dns_case_end(&c);
}

static void chains_and_addresses_pass_in_their_order(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	struct dns_text answer = dns_text_answer(&q, ns_r_noerror);

	(void)state;
	dns_case_begin(&c, 1, "");
	dns_text_address(&answer, "\4edge\3cdn\3net", 20, "203.0.113.9");
	dns_text_cname(&answer, "\2lb\3cdn\3net", 30, "\4edge\3cdn\3net");
	dns_text_cname(&answer, NULL, 40, "\2lb\3cdn\3net");
	passes(&q, &answer);
	dns_case_end(&c);
}

static void codes_flags_and_other_sections_pass_untouched(void **state)
{
	static const unsigned codes[] = { ns_r_nxdomain, ns_r_formerr, ns_r_noerror };

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < 3; i++) {
		const struct dns_text q = dns_text_question(ID, WWW, ns_t_txt, 0);
		struct dns_text answer = dns_text_answer(&q, codes[i]);

		answer.bytes[2] |= 0x04;        /* AA */
		answer.bytes[3] |= 0x20 | 0x10; /* AD, CD */
		/* As one of the authorities, not an answer. */
		dns_text_record(&answer, "\7example\3com", ns_t_soa, 60, "\0\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5",
		                22);
		answer.bytes[9] = answer.bytes[7];
		answer.bytes[7] = 0;
		passes(&q, &answer);
	}
	dns_case_end(&c);
}

static void edns_with_its_options_passes_both_ways(void **state)
{
	/* A cookie (RFC 7873) and an option that nobody knows. */
	static const unsigned char opt[] = "\0\0\x29\x04\xd0\0\0\x80\0\0\x12\0\x0a\0\x08"
					   "ABCDEFGH\xfd\xe9\0\2xy";
	struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0), answer;

	(void)state;
	dns_case_begin(&c, 1, "");
	q.bytes[11] = 1;
	dns_text_put(&q, opt, sizeof opt - 1);
	answer = dns_text_answer(&q, ns_r_noerror);
	dns_text_address(&answer, NULL, 20, "203.0.113.9");
	answer.bytes[11] = 1;
	dns_text_put(&answer, opt, sizeof opt - 1);
	passes(&q, &answer);
	dns_case_end(&c);
}

static void the_case_of_letters_is_kept_both_ways(void **state)
{
	const struct dns_text q = dns_text_question(ID, "\3wWw\7ExaMPle\3cOM", ns_t_a, 0);
	struct dns_text answer = dns_text_answer(&q, ns_r_noerror);

	(void)state;
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	dns_text_address(&answer, NULL, 300, "203.0.113.9");
	passes(&q, &answer);
	assert_true(is_open("203.0.113.9"));
	/* A server that lowers it: it is the guest's affair what to think of that. */
	memcpy(answer.bytes + NS_HFIXEDSZ, WWW, sizeof WWW);
	passes(&q, &answer);
	dns_case_end(&c);
}

/* ---- how long it may be ---- */

static void an_answer_longer_than_the_guest_takes_is_cut_to_its_question(void **state)
{
	static const struct {
		unsigned udp_size, len;
		bool cut;
	} cases[] = { { 0, 512, false },     { 0, 513, true },     { 100, 512, false },  { 100, 513, true },
		      { 1232, 1232, false }, { 1232, 1233, true }, { 1400, 1400, false } };

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const struct dns_text q = dns_text_question(ID + i, WWW, ns_t_txt, cases[i].udp_size);
		struct dns_text heard, answer, bare;
		static const unsigned char zeros[2048];

		dns_case_ask(&c, PORT, &q);
		assert_true(dns_case_hear(&c, 0, &heard));
		bare = answer = dns_text_answer(&heard, ns_r_noerror);
		dns_text_record(&answer, NULL, ns_t_txt, 60, zeros, cases[i].len - answer.len - 12);
		assert_int_equal(answer.len, cases[i].len);
		dns_case_say(&c, 0, &answer);
		dns_case_receive(&c, PORT);
		assert_int_equal(dns_text_id(&c.got), ID + i);
		assert_int_equal(c.got.bytes[2] & 0x02, cases[i].cut ? 0x02 : 0);
		if (!cases[i].cut) {
			dns_text_check(&c.got, &answer);
			continue;
		}
		assert_int_equal(c.got.len, bare.len + (cases[i].udp_size ? DNS_OPT : 0));
		assert_int_equal(ns_get16(c.got.bytes + 6), 0);
	}
	dns_case_end(&c);
}

/* ---- whose answer it is ---- */

static void guests_with_the_same_id_get_each_their_own(void **state)
{
	const struct dns_text a = dns_text_question(ID, "\1a\4test", ns_t_a, 0),
			      b = dns_text_question(ID, "\1b\4test", ns_t_a, 0);
	struct dns_text heard[2], answer;

	(void)state;
	dns_case_begin(&c, 1, "");
	dns_case_ask(&c, PORT, &a);
	dns_case_ask(&c, PORT + 1, &b);
	assert_true(dns_case_hear(&c, 0, &heard[0]));
	assert_true(dns_case_hear(&c, 0, &heard[1]));
	for (unsigned i = 2; i-- > 0;) { /* the other way round */
		answer = dns_text_answer(&heard[i], ns_r_noerror);
		dns_text_address(&answer, NULL, 60, i ? "203.0.113.2" : "203.0.113.1");
		dns_case_say(&c, 0, &answer);
		dns_text_check(dns_case_receive(&c, (uint16_t)(PORT + i)), &answer);
		assert_int_equal(dns_text_id(&c.got), ID);
	}
	dns_case_end(&c);
}

static void who_asks_again_meanwhile_is_asked_for_once_and_answered_once(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	struct dns_text heard, again, answer;

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < 3; i++)
		dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	assert_false(dns_case_hear(&c, 0, &again));
	answer = dns_text_answer(&heard, ns_r_noerror);
	dns_case_say(&c, 0, &answer);
	dns_case_receive_code(&c, PORT, ns_r_noerror);
	nat_receive_none(&c.guest);
	/* Afterwards it is a question like any other. */
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	dns_case_end(&c);
}

/* Same port, same id, and yet not the same: each has an answer. */
static void another_question_under_the_same_id_is_no_repetition(void **state)
{
	static const char *const names[] = { "\2\1a\4test", "\2\1b\4test", "", "\1a\4test", "\1A\4test", "\1a\4test" };

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct dns_text q = dns_text_question(ID, names[i], ns_t_txt, 0), heard;

		if (i == 5) /* class CH */
			q.bytes[q.len - 1] = ns_c_chaos;
		dns_case_ask(&c, PORT, &q);
		if (!dns_case_hear(&c, 0, &heard))
			fail_msg("question %u was taken for another", i);
		dns_text_check(&heard, &q);
	}
	dns_case_end(&c);
}

static void over_ipv6_the_gateway_answers_as_well(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_aaaa, 0);
	struct dns_text heard, answer;

	(void)state;
	dns_case_begin(&c, 1, "");
	nat_send_udp(&c.guest, NAT_GUEST6, PORT, NAT_GATEWAY6, DNS_PORT, q.bytes, q.len);
	assert_true(dns_case_hear(&c, 0, &heard));
	answer = dns_text_answer(&heard, ns_r_noerror);
	dns_text_address(&answer, NULL, 60, "2001:db8::77");
	dns_case_say(&c, 0, &answer);
	dns_text_check(dns_case_receive(&c, PORT), &answer);
	assert_false(net_is_ipv4(&c.frame.packet.source));
	dns_case_end(&c);
}

static void questions_of_a_driver_that_has_gone_have_no_answer(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	struct dns_text heard, answer;

	(void)state;
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	nat_reset(&c.guest);
	answer = dns_text_answer(&heard, ns_r_noerror);
	dns_text_address(&answer, NULL, 60, "203.0.113.9");
	dns_case_say(&c, 0, &answer);
	dns_case_settle(&c);
	assert_int_equal(names_count(c.guest.nat->names), 0);
	assert_int_equal(c.guest.nat->dns->n_pending, 0);
	dns_case_end(&c);
}

/* ---- what is not asked of anybody ---- */

static void what_is_no_question_is_refused_or_dropped(void **state)
{
	enum { NONE = -1 };
	static const struct {
		const char *what;
		unsigned at, value; /* a byte of a good question */
		int cut, code;
	} cases[] = {
		{ "an answer", 2, 0x81, 0, NONE },
		{ "a notification", 2, 4 << 3, 0, ns_r_notimpl },
		{ "an update", 2, 5 << 3, 0, ns_r_notimpl },
		{ "a status", 2, 2 << 3, 0, ns_r_notimpl },
		{ "no question", 5, 0, 0, ns_r_formerr },
		{ "two questions", 5, 2, 0, ns_r_formerr },
		{ "256 questions", 4, 1, 0, ns_r_formerr },
		{ "a compressed name", 12, 0xc0, 0, ns_r_formerr },
		{ "a label of a kind unknown", 12, 0x41, 0, ns_r_formerr },
		{ "a label beyond the end", 12, 63, 0, ns_r_formerr },
		{ "a name without an end", 2, 1, 6, ns_r_formerr },
		{ "half a type", 2, 1, 3, ns_r_formerr },
		{ "a header alone", 2, 1, 21, ns_r_formerr },
		{ "half a header", 2, 1, 22, NONE },
		{ "an additional record that is not there", 11, 1, 0, ns_r_formerr },
		{ "answers that are not there", 7, 9, 0, ns_r_formerr },
	};

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);

		q.bytes[cases[i].at] = (unsigned char)cases[i].value;
		q.len -= (size_t)cases[i].cut;
		dns_case_ask(&c, PORT, &q);
		nobody_was_asked();
		if (cases[i].code == NONE) {
			nat_receive_none(&c.guest);
			continue;
		}
		dns_case_receive(&c, PORT);
		if ((c.got.bytes[3] & 0xf) != cases[i].code || dns_text_id(&c.got) != ID)
			fail_msg("%s: code %u", cases[i].what, c.got.bytes[3] & 0xf);
	}
	dns_case_end(&c);
}

static void whole_zones_and_all_records_at_once_are_refused(void **state)
{
	static const unsigned types[] = { ns_t_any, ns_t_axfr, ns_t_ixfr };

	(void)state;
	dns_case_begin(&c, 2, "");
	for (unsigned i = 0; i < 3; i++) {
		const struct dns_text q = dns_text_question(ID, WWW, types[i], 0);

		dns_case_ask(&c, PORT, &q);
		dns_case_receive_code(&c, PORT, ns_r_refused);
	}
	nobody_was_asked();
	dns_case_end(&c);
}

static void under_a_deny_default_names_without_a_rule_reach_no_upstream(void **state)
{
	static const char *const names[] = {
		"\7example\3com",       "\7secret1\6tunnel\4evil", "\3www\7example\3com\4evil", "\4evil", "",
		"\x0bwww.example\3com", "\12notexample\3com"
	};
	static const unsigned types[] = { ns_t_a, ns_t_aaaa, ns_t_txt, ns_t_ns, ns_t_ds, 65, 10 /* NULL */ };
	unsigned n = 0, opened;

	(void)state;
	dns_case_begin(&c, 2, EXAMPLE_ALLOWED);
	opened = c.guest.host->opened;
	for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
		for (unsigned k = 0; k < sizeof types / sizeof types[0]; k++, n++) {
			const struct dns_text q = dns_text_question(ID, names[i], types[k], 1232);

			dns_case_ask(&c, PORT, &q);
			dns_case_receive_code(&c, PORT, ns_r_refused);
			assert_int_equal(c.got.len, q.len); /* the question and an OPT */
		}
	}
	nobody_was_asked();
	assert_int_equal(c.guest.host->opened, opened);
	assert_int_equal(nat_counter(&c.guest, "dns_refused"), n);
	dns_case_end(&c);
}

/* ---- whose answers are believed ---- */

static void identifiers_and_ports_are_not_the_guests_and_each_another(void **state)
{
	enum { N = 64 };
	unsigned ids = 0, ports = 0, steps = 0;
	struct dns_text heard[N];

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < N; i++) {
		const struct dns_text q = dns_text_question(i, WWW, ns_t_a, 0);

		dns_case_ask(&c, PORT, &q);
		assert_true(dns_case_hear(&c, 0, &heard[i]));
		assert_int_not_equal(ntohs(heard[i].from.sin_port), PORT);
		for (unsigned k = 0; k < i; k++) {
			ids += dns_text_id(&heard[i]) == dns_text_id(&heard[k]);
			ports += heard[i].from.sin_port == heard[k].from.sin_port;
		}
		if (i)
			steps += (uint16_t)(dns_text_id(&heard[i]) - dns_text_id(&heard[i - 1])) <= 1;
	}
	/* 2016 pairs: one in 32 sets of random ids has one that is equal, five or more never. */
	assert_in_range(ids, 0, 4);
	assert_in_range(steps, 0, 4);
	assert_int_equal(ports, 0); /* they are open at once */
	dns_case_end(&c);
}

static void lie(int fd, const struct dns_text *answer)
{
	assert_int_equal(
		sendto(fd, answer->bytes, answer->len, 0, (const struct sockaddr *)&answer->from, sizeof answer->from),
		answer->len);
	dns_case_settle(&c);
	nat_receive_none(&c.guest);
	assert_int_equal(names_count(c.guest.nat->names), 0);
}

static void answers_that_are_not_the_upstreams_are_ignored(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	struct sockaddr_in elsewhere = { .sin_family = AF_INET };
	struct dns_text heard, truth, liar;
	int port, address;

	(void)state;
	port = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	address = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	elsewhere.sin_port = htons(c.servers[0].port);
	inet_pton(AF_INET, "127.0.0.2", &elsewhere.sin_addr);
	assert_int_equal(bind(address, (struct sockaddr *)&elsewhere, sizeof elsewhere), 0);
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	truth = dns_text_answer(&heard, ns_r_noerror);
	liar = truth;
	dns_text_address(&truth, NULL, 300, "203.0.113.9");
	dns_text_address(&liar, NULL, 300, "203.0.113.66");
	lie(port, &liar);
	lie(address, &liar);
	for (unsigned bit = 0; bit < 16; bit++) { /* every id that is not ours by one bit */
		liar.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
		lie(c.servers[0].udp, &liar);
		liar.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
	}
	for (size_t at = 13; at < NS_HFIXEDSZ + sizeof WWW + 4; at++) { /* another name, type, class */
		liar.bytes[at] ^= 1;
		lie(c.servers[0].udp, &liar);
		liar.bytes[at] ^= 1;
	}
	liar.bytes[2] &= 0x7f; /* a question */
	lie(c.servers[0].udp, &liar);
	liar.bytes[2] |= 0x80;
	liar.bytes[5] = 2;
	lie(c.servers[0].udp, &liar);
	liar.bytes[5] = 0;
	lie(c.servers[0].udp, &liar);
	liar.bytes[5] = 1;
	liar.len = NS_HFIXEDSZ + sizeof WWW + 3;
	lie(c.servers[0].udp, &liar);
	liar.len = 0;
	lie(c.servers[0].udp, &liar);
	dns_case_say(&c, 0, &truth);
	dns_text_check(dns_case_receive(&c, PORT), &truth);
	assert_true(is_open("203.0.113.9"));
	assert_false(is_open("203.0.113.66"));
	dns_case_end(&c);
	close(port);
	close(address);
}

static void many_lies_at_once_do_not_hide_the_truth(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	struct dns_text heard, truth;

	(void)state;
	dns_case_begin(&c, 1, "");
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	truth = dns_text_answer(&heard, ns_r_noerror);
	truth.bytes[0] ^= 0x55;
	for (unsigned i = 0; i < 100; i++)
		dns_case_say(&c, 0, &truth);
	truth.bytes[0] ^= 0x55;
	dns_case_say(&c, 0, &truth);
	dns_text_check(dns_case_receive(&c, PORT), &truth);
	dns_case_end(&c);
}

/* ---- what an answer opens ---- */

/* Answers the next question, for that name, with what `fill` adds. */
static void answer_with(const char *wire, void (*fill)(struct dns_text *answer))
{
	const struct dns_text q = dns_text_question(ID, wire, ns_t_a, 0);
	struct dns_text heard, answer;

	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	answer = dns_text_answer(&heard, ns_r_noerror);
	fill(&answer);
	dns_case_say(&c, 0, &answer);
	dns_text_check(dns_case_receive(&c, PORT), &answer);
}

static void no_time(struct dns_text *answer)
{
	dns_text_address(answer, NULL, 0, "203.0.113.9");
}

static void some_time(struct dns_text *answer)
{
	dns_text_address(answer, NULL, 600, "203.0.113.9");
}

static void a_year(struct dns_text *answer)
{
	dns_text_address(answer, NULL, 365 * 86400, "203.0.113.9");
}

static void chain_with_little_time(struct dns_text *answer)
{
	dns_text_cname(answer, NULL, 100, "\3cdn\3net");
	dns_text_address(answer, "\3cdn\3net", 7000, "203.0.113.9");
}

static void addresses_are_open_for_their_time_with_a_floor_and_a_cap(void **state)
{
	static const struct {
		void (*fill)(struct dns_text *answer);
		unsigned seconds;
	} cases[] = { { no_time, NAMES_TTL_MIN },
		      { some_time, 600 },
		      { a_year, NAMES_TTL_MAX },
		      { chain_with_little_time, 100 } };

	(void)state;
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		assert_false(is_open("203.0.113.9"));
		answer_with(WWW, cases[i].fill);
		assert_true(is_open("203.0.113.9"));
		nat_pass(&c.guest, cases[i].seconds * 1000 - 2000);
		if (!is_open("203.0.113.9"))
			fail_msg("case %u: closed too soon", i);
		nat_pass(&c.guest, 4000);
		if (is_open("203.0.113.9"))
			fail_msg("case %u: open for too long", i);
		assert_false(is_open("203.0.113.10"));
	}
	dns_case_end(&c);
}

static void of_others(struct dns_text *answer)
{
	dns_text_address(answer, "\4evil\4test", 300, "203.0.113.1");
	dns_text_address(answer, "\3api\7example\3com", 300, "203.0.113.2"); /* allowed, but not asked for */
	dns_text_address(answer, "\7example\3com", 300, "203.0.113.3");
	dns_text_cname(answer, "\4evil\4test", 300, "\2up\4test");
	dns_text_address(answer, "\2up\4test", 300, "203.0.113.4");
}

static void in_other_sections(struct dns_text *answer)
{
	dns_text_address(answer, NULL, 300, "203.0.113.1");
	dns_text_address(answer, NULL, 300, "203.0.113.2");
	answer->bytes[7] = 0; /* not an answer, but an authority and an addition */
	answer->bytes[9] = answer->bytes[11] = 1;
}

static void a_head_with_an_address_and_a_chain(struct dns_text *answer)
{
	dns_text_address(answer, NULL, 300, "203.0.113.1"); /* beside a CNAME there is nothing (RFC 1034, 3.6.2) */
	dns_text_cname(answer, NULL, 300, "\3cdn\3net");
	dns_text_address(answer, "\3cdn\3net", 300, "203.0.113.9");
}

static void only_what_answers_the_question_is_opened(void **state)
{
	static void (*const fills[])(struct dns_text *) = { of_others, in_other_sections,
		                                            a_head_with_an_address_and_a_chain };

	(void)state;
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	for (unsigned i = 0; i < 3; i++) {
		answer_with(WWW, fills[i]);
		for (unsigned k = 1; k <= 4; k++) {
			char address[32];

			snprintf(address, sizeof address, "203.0.113.%u", k);
			if (is_open(address))
				fail_msg("case %u opens %s", i, address);
		}
	}
	assert_true(is_open("203.0.113.9"));
	dns_case_end(&c);
}

static void circle(struct dns_text *answer)
{
	dns_text_cname(answer, NULL, 300, "\1a\3net");
	dns_text_cname(answer, "\1a\3net", 300, "\1b\3net");
	dns_text_cname(answer, "\1b\3net", 300, WWW);
	dns_text_address(answer, "\1b\3net", 300, "203.0.113.1");
	dns_text_address(answer, NULL, 300, "203.0.113.2");
}

static void own_tail(struct dns_text *answer)
{
	dns_text_cname(answer, NULL, 300, WWW);
	dns_text_address(answer, NULL, 300, "203.0.113.1");
}

/* 40 rungs, the last first, so that each look has to pass over all. */
static void ladder(struct dns_text *answer)
{
	char from[] = "\2AA\1x", to[] = "\2AA\1x";

	dns_text_address(answer, "\2BO\1x", 300, "203.0.113.1");
	for (unsigned i = 40; i-- > 0;) {
		from[1] = (char)('A' + i / 26);
		from[2] = (char)('A' + i % 26);
		to[1] = (char)('A' + (i + 1) / 26);
		to[2] = (char)('A' + (i + 1) % 26);
		dns_text_cname(answer, i ? from : NULL, 300, to);
	}
}

static void ladders_and_circles_of_names_open_nothing(void **state)
{
	static void (*const fills[])(struct dns_text *) = { circle, own_tail };
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 1232);
	struct dns_text heard, answer;

	(void)state;
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	for (unsigned i = 0; i < 2; i++)
		answer_with(WWW, fills[i]);
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	answer = dns_text_answer(&heard, ns_r_noerror);
	ladder(&answer);
	dns_case_say(&c, 0, &answer);
	dns_text_check(dns_case_receive(&c, PORT), &answer);
	assert_int_equal(names_count(c.guest.nat->names), 0);
	assert_false(is_open("203.0.113.1"));
	assert_false(is_open("203.0.113.2"));
	dns_case_end(&c);
}

static void an_answer_under_way_opens_nothing_that_the_new_rules_do_not(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	struct dns_text heard, answer;

	(void)state;
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	assert_int_equal(nat_reconfigure(&c.guest, "policy = { default = \"deny\"; rules = ( { action = \"allow\"; "
	                                           "domain = \"www.example.net\"; } ); };"),
	                 0);
	answer = dns_text_answer(&heard, ns_r_noerror);
	dns_text_address(&answer, NULL, 300, "203.0.113.9");
	dns_case_say(&c, 0, &answer);
	dns_case_receive(&c, PORT);
	assert_false(is_open("203.0.113.9"));
	dns_case_ask(&c, PORT, &q);
	dns_case_receive_code(&c, PORT, ns_r_refused);
	dns_case_end(&c);
}

/* ---- limits and failures ---- */

static void over_the_limit_the_oldest_question_is_ended(void **state)
{
	enum { MORE = 3 };
	struct dns_text heard, answer;

	(void)state;
	dns_case_begin(&c, 1, "");
	for (unsigned i = 0; i < DNS_PENDING_MAX + MORE; i++) {
		const struct dns_text q = dns_text_question(i, WWW, ns_t_a, 0);

		dns_case_ask(&c, PORT, &q);
		assert_true(dns_case_hear(&c, 0, &heard));
		if (i < DNS_PENDING_MAX) {
			nat_receive_none(&c.guest);
			continue;
		}
		dns_case_receive_code(&c, PORT, ns_r_servfail);
		assert_int_equal(dns_text_id(&c.got), i - DNS_PENDING_MAX);
	}
	assert_int_equal(c.guest.nat->dns->n_pending, DNS_PENDING_MAX);
	/* The youngest is answered like any other. */
	answer = dns_text_answer(&heard, ns_r_noerror);
	dns_case_say(&c, 0, &answer);
	dns_case_receive_code(&c, PORT, ns_r_noerror);
	assert_int_equal(dns_text_id(&c.got), DNS_PENDING_MAX + MORE - 1);
	dns_case_end(&c);
}

static void where_nobody_listens_the_failure_comes_at_once(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);

	(void)state;
	dns_case_begin(&c, 4, "");
	for (unsigned i = 0; i < 4; i++)
		dns_case_stop(&c, i);
	dns_case_ask(&c, PORT, &q);
	dns_case_receive_code(&c, PORT, ns_r_servfail);
	assert_int_equal(c.guest.nat->dns->n_pending, 0);
	/* One of them comes back: it is asked, though it has failed just now. */
	dns_case_restart(&c, 2);
	dns_case_ask(&c, PORT, &q);
	{
		struct dns_text heard, answer;

		assert_true(dns_case_hear(&c, 2, &heard));
		answer = dns_text_answer(&heard, ns_r_noerror);
		dns_case_say(&c, 2, &answer);
	}
	dns_case_receive_code(&c, PORT, ns_r_noerror);
	dns_case_end(&c);
}

static void where_nobody_answers_the_failure_comes_in_bounded_time(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	unsigned asked = 0;

	(void)state;
	dns_case_begin(&c, 4, "");
	dns_case_ask(&c, PORT, &q);
	for (unsigned turn = 0; turn < 2 * 4; turn++) {
		struct dns_text heard;

		for (unsigned i = 0; i < 4; i++)
			while (dns_case_hear(&c, i, &heard))
				asked++;
		assert_int_equal(asked, turn + 1);
		nat_receive_none(&c.guest);
		nat_pass(&c.guest, DNS_PATIENCE);
	}
	dns_case_receive_code(&c, PORT, ns_r_servfail);
	assert_int_equal(c.guest.nat->dns->n_pending, 0);
	dns_case_end(&c);
}

static void a_shortage_of_descriptors_is_servfail_and_no_upstreams_fault(void **state)
{
	const struct dns_text q = dns_text_question(ID, WWW, ns_t_a, 0);
	struct dns_text heard;

	(void)state;
	dns_case_begin(&c, 2, "");
	c.guest.host->opens_fail = true;
	dns_case_ask(&c, PORT, &q);
	dns_case_receive_code(&c, PORT, ns_r_servfail);
	c.guest.host->opens_fail = false;
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	dns_case_end(&c);
}

/* ---- the host's names ---- */

static void put_hosts(const char *folder, const char *text)
{
	char path[128], temporary[128];
	FILE *file;

	snprintf(path, sizeof path, "%s/hosts", folder);
	snprintf(temporary, sizeof temporary, "%s/new", folder);
	file = fopen(temporary, "we");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(rename(temporary, path), 0);
}

/* Address records of the answer; the last one's address in `address`. */
static unsigned ask_hosts(const char *wire, unsigned type, char address[INET6_ADDRSTRLEN])
{
	const struct dns_text q = dns_text_question(ID, wire, type, 0);
	const unsigned len = type == ns_t_a ? 4 : 16;

	dns_case_ask(&c, PORT, &q);
	dns_case_receive_code(&c, PORT, ns_r_noerror);
	assert_memory_equal(c.got.bytes + NS_HFIXEDSZ, q.bytes + NS_HFIXEDSZ, q.len - NS_HFIXEDSZ);
	address[0] = '\0';
	if (ns_get16(c.got.bytes + 6))
		inet_ntop(type == ns_t_a ? AF_INET : AF_INET6, c.got.bytes + c.got.len - len, address,
		          INET6_ADDRSTRLEN);
	return ns_get16(c.got.bytes + 6);
}

static void names_of_the_hosts_file_are_answered_without_an_upstream(void **state)
{
	char folder[] = "/tmp/capsa-dns-XXXXXX", path[64], address[INET6_ADDRSTRLEN];
	const struct dns_text q = dns_text_question(ID, "\5other\7example\3com", ns_t_a, 0);
	struct dns_text heard;

	(void)state;
	assert_non_null(mkdtemp(folder));
	put_hosts(folder, "# comment 192.0.2.1 www.example.com\n"
	                  "203.0.113.9\tWWW.Example.com www # other.example.com\n"
	                  "  203.0.113.10 www.example.com.\r\n"
	                  "2001:db8::9 www.example.com\n"
	                  "nonsense www.example.com\n"
	                  "203.0.113.11");
	dns_case_begin(&c, 1, EXAMPLE_ALLOWED);
	assert_int_equal(hosts_new(c.guest.nat, folder, "hosts", &c.guest.nat->dns->hosts), 0);
	assert_int_equal(ask_hosts("\3wwW\7example\3com", ns_t_a, address), 2);
	assert_string_equal(address, "203.0.113.10");
	assert_int_equal(ask_hosts(WWW, ns_t_aaaa, address), 1);
	assert_string_equal(address, "2001:db8::9");
	nobody_was_asked();
	assert_true(is_open("203.0.113.9"));
	assert_true(is_open("203.0.113.10"));
	assert_false(is_open("203.0.113.11"));
	/* Who is not in it is asked of the upstream. */
	dns_case_ask(&c, PORT, &q);
	assert_true(dns_case_hear(&c, 0, &heard));
	/* It is followed; a family that a name does not have is no reason to ask somebody else. */
	put_hosts(folder, "203.0.113.99 www.example.com\n");
	assert_int_equal(ask_hosts(WWW, ns_t_a, address), 1);
	assert_string_equal(address, "203.0.113.99");
	assert_int_equal(ask_hosts(WWW, ns_t_aaaa, address), 0);
	nobody_was_asked();
	dns_case_end(&c);
	snprintf(path, sizeof path, "%s/hosts", folder);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_of_any_type_pass_untouched),
		cmocka_unit_test(chains_and_addresses_pass_in_their_order),
		cmocka_unit_test(codes_flags_and_other_sections_pass_untouched),
		cmocka_unit_test(edns_with_its_options_passes_both_ways),
		cmocka_unit_test(the_case_of_letters_is_kept_both_ways),
		cmocka_unit_test(an_answer_longer_than_the_guest_takes_is_cut_to_its_question),
		cmocka_unit_test(guests_with_the_same_id_get_each_their_own),
		cmocka_unit_test(who_asks_again_meanwhile_is_asked_for_once_and_answered_once),
		cmocka_unit_test(another_question_under_the_same_id_is_no_repetition),
		cmocka_unit_test(over_ipv6_the_gateway_answers_as_well),
		cmocka_unit_test(questions_of_a_driver_that_has_gone_have_no_answer),
		cmocka_unit_test(what_is_no_question_is_refused_or_dropped),
		cmocka_unit_test(whole_zones_and_all_records_at_once_are_refused),
		cmocka_unit_test(under_a_deny_default_names_without_a_rule_reach_no_upstream),
		cmocka_unit_test(identifiers_and_ports_are_not_the_guests_and_each_another),
		cmocka_unit_test(answers_that_are_not_the_upstreams_are_ignored),
		cmocka_unit_test(many_lies_at_once_do_not_hide_the_truth),
		cmocka_unit_test(addresses_are_open_for_their_time_with_a_floor_and_a_cap),
		cmocka_unit_test(only_what_answers_the_question_is_opened),
		cmocka_unit_test(ladders_and_circles_of_names_open_nothing),
		cmocka_unit_test(an_answer_under_way_opens_nothing_that_the_new_rules_do_not),
		cmocka_unit_test(over_the_limit_the_oldest_question_is_ended),
		cmocka_unit_test(where_nobody_listens_the_failure_comes_at_once),
		cmocka_unit_test(where_nobody_answers_the_failure_comes_in_bounded_time),
		cmocka_unit_test(a_shortage_of_descriptors_is_servfail_and_no_upstreams_fault),
		cmocka_unit_test(names_of_the_hosts_file_are_answered_without_an_upstream),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
