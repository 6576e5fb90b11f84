/* SPDX-License-Identifier: MIT */
/*
 * nat_upstream_test.c - proves upstream.h: what is a server in a resolv.conf(5) and what is not, that the file is
 * followed while questions are asked, and whose turn it is when servers fail and come back.
 *
 * In a network namespace, as name servers of such a file have port 53.
 */
#include "tests/unit/nat_dns_case.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/ipv6.h>

#include "plugins/net-nat/dns-private.h"
#include "tests/unit/nat_namespace.h"

#define PORT 4000
#define FAILED 30000 /* ms, as upstream.c's */
#define MARGIN 1000  /* ms that may really have passed meanwhile */

static struct dns_case c;
static char folder[64], path[128], other[128];

static int open_file(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	return fd;
}

static void put(const char *name, const void *bytes, size_t len)
{
	int fd = open_file(name);

	assert_int_equal(write(fd, bytes, len), len);
	close(fd);
}

static void put_text(const char *text)
{
	put(path, text, strlen(text));
}

static void replace_by(const char *text)
{
	put(other, text, strlen(text));
	assert_int_equal(rename(other, path), 0);
}

/* Servers at 127.0.0.1, .2, ... port 53; the plugin follows a file with `text`. */
static void begin_with(unsigned n, const char *text, const char *options)
{
	strcpy(folder, "/tmp/capsa-upstream-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof path, "%s/resolv.conf", folder);
	snprintf(other, sizeof other, "%s/new", folder);
	put_text(text);
	c.n = n;
	for (unsigned i = 0; i < n; i++) {
		c.servers[i] = (struct dns_server){ .port = DNS_PORT, .last = i + 1 };
		dns_case_restart(&c, i);
	}
	nat_begin(&c.guest, options);
	upstreams_free(c.guest.nat->upstreams);
	assert_int_equal(upstreams_new(c.guest.nat, path, &c.guest.nat->upstreams), 0);
	dns_case_settle(&c);
	while (nat_receive_now(&c.guest, &c.frame))
		;
}

static void begin(unsigned n, const char *text)
{
	begin_with(n, text, "");
}

static void end(void)
{
	dns_case_end(&c);
	unlink(path);
	assert_int_equal(rmdir(folder), 0);
}

/* "192.0.2.1 192.0.2.2", the best first. */
static const char *servers(void)
{
	static char text[UPSTREAMS_MAX * (NET_ADDRESS_TEXT + 1)];
	const struct upstreams *upstreams = c.guest.nat->upstreams;
	char one[NET_ADDRESS_TEXT];
	size_t len = 0;

	dns_case_settle(&c);
	for (unsigned i = 0; i < upstreams_count(upstreams); i++) {
		const struct net_endpoint server = upstreams_get(upstreams, i);

		assert_int_equal(server.port, DNS_PORT);
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "",
		                        net_address_text(&server.address, one));
	}
	return text;
}

static const char *search(void)
{
	static char text[OPTIONS_SEARCH_MAX * 257];
	const char *const *domains;
	const unsigned n = upstreams_search(c.guest.nat->upstreams, &domains);
	size_t len = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", domains[i]);
	return text;
}

/* ---- what the file says ---- */

static void name_servers_are_read_as_libc_reads_them(void **state)
{
	static const struct {
		const char *text, *servers;
	} cases[] = {
		{ "", "127.0.0.1" },
		{ "\n\n\n", "127.0.0.1" },
		{ "search example.com\noptions ndots:2\n", "127.0.0.1" },
		{ "nameserver 192.0.2.1", "192.0.2.1" }, /* without an end of line */
		{ "nameserver 192.0.2.1\r\nnameserver\t192.0.2.2\r\n", "192.0.2.1 192.0.2.2" },
		{ "nameserver   192.0.2.1   # the old one\n", "192.0.2.1" },
		{ "nameserver 192.0.2.1 192.0.2.2\n", "192.0.2.1" },
		{ "#nameserver 192.0.2.1\n;nameserver 192.0.2.2\n# nameserver 192.0.2.3\nnameserver 192.0.2.4\n",
		  "192.0.2.4" },
		{ "nameserver\nnameserver \nnameserver 192.0.2.4\n", "192.0.2.4" },
		{ "nameservers 192.0.2.1\nnameserver192.0.2.2\nNAMESERVER 192.0.2.3\nserver 192.0.2.5\n", "127.0.0.1" },
		{ "nameserver 192.0.2\nnameserver 192.0.2.256\nnameserver dns.example.com\nnameserver 192.0.2.1:5353\n"
		  "nameserver [2001:db8::1]\nnameserver -\nnameserver 192.0.2.9\n",
		  "192.0.2.9" },
		{ "nameserver 2001:db8::1\nnameserver 192.0.2.1\nnameserver ::1\n", "2001:db8::1 192.0.2.1 ::1" },
		{ "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.1\n", "192.0.2.1 192.0.2.2" },
		{ "nameserver 192.0.2.5\nnameserver 192.0.2.4\nnameserver 192.0.2.3\nnameserver 192.0.2.2\n"
		  "nameserver 192.0.2.1\nnameserver 192.0.2.6\n",
		  "192.0.2.5 192.0.2.4 192.0.2.3 192.0.2.2" },
		{ "options timeout:1 attempts:1 rotate use-vc edns0 trust-ad\nsortlist 192.0.2.0/24\nfamily inet6\n"
		  "lookup file bind\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n",
		  "192.0.2.1 192.0.2.2" },
		{ "nameserver 127.0.0.53\noptions edns0\n", "127.0.0.53" },
	};

	(void)state;
	begin(0, "nameserver 192.0.2.77\n");
	for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		replace_by(cases[i].text);
		if (strcmp(servers(), cases[i].servers) != 0)
			fail_msg("case %u: %s", i, servers());
	}
	end();
}

static void search_domains_are_those_of_the_last_line(void **state)
{
	(void)state;
	begin(0, "search a.example b.example\nnameserver 192.0.2.1\n");
	assert_string_equal(search(), "a.example b.example");
	replace_by("domain c.example\n");
	assert_string_equal(servers(), "127.0.0.1");
	assert_string_equal(search(), "c.example");
	replace_by("domain c.example\nsearch d.example . e.example f g h i j k\n");
	(void)servers();
	assert_string_equal(search(), "d.example e.example f g h i");
	replace_by("nameserver 192.0.2.1\n");
	(void)servers();
	assert_string_equal(search(), "");
	end();
}

static void a_file_that_is_hostile_is_no_more_than_a_bad_one(void **state)
{
	static char text[100000];
	size_t len = 0;

	(void)state;
	begin(0, "nameserver 192.0.2.77\n");
	/* Bytes of no text. */
	put(path, "nameserver 192.0.2.1\n\0nameserver 192.0.2.2\n", 42);
	assert_string_equal(servers(), "192.0.2.1");
	put(path, "\xff\xfe\0n\0a\0m\0e", 11);
	assert_string_equal(servers(), "127.0.0.1");
	/* One endless line, and one beside it. */
	memset(text, 'x', 60000);
	strcpy(text + 60000, "\nnameserver 192.0.2.1\n");
	put_text(text);
	assert_string_equal(servers(), "192.0.2.1");
	memcpy(text, "search ", 7);
	put_text(text);
	assert_string_equal(servers(), "192.0.2.1");
	assert_string_equal(search(), "");
	memcpy(text, "nameserver ", 11);
	put_text(text);
	assert_string_equal(servers(), "192.0.2.1");
	/* Longer than any. */
	while (len + 32 < sizeof text)
		len += (size_t)sprintf(text + len, "nameserver 192.0.2.%u\n", (unsigned)(len % 250));
	put_text(text);
	assert_string_equal(servers(), "127.0.0.1");
	put_text("nameserver 192.0.2.1\n");
	assert_string_equal(servers(), "192.0.2.1");
	end();
}

static void a_file_that_is_being_written_counts_when_it_is_whole(void **state)
{
	int fd;

	(void)state;
	begin(0, "nameserver 192.0.2.1\n");
	fd = open_file(path); /* empty now */
	assert_string_equal(servers(), "192.0.2.1");
	dprintf(fd, "nameserver 192.0.2.1");
	assert_string_equal(servers(), "192.0.2.1");
	dprintf(fd, "7\nnameserver 192.0.2.2\n");
	assert_string_equal(servers(), "192.0.2.1");
	close(fd);
	assert_string_equal(servers(), "192.0.2.17 192.0.2.2");
	/* Appended to. */
	fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	dprintf(fd, "nameserver 192.0.2.3\n");
	close(fd);
	assert_string_equal(servers(), "192.0.2.17 192.0.2.2 192.0.2.3");
	end();
}

static void a_file_that_may_not_be_read_is_as_none(void **state)
{
	(void)state;
	begin(0, "nameserver 192.0.2.1\n");
	unlink(path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_string_equal(servers(), "127.0.0.1");
	assert_int_equal(rmdir(path), 0);
	put_text("nameserver 192.0.2.2\n");
	assert_string_equal(servers(), "192.0.2.2");
	end();
}

static void the_option_is_not_replaced_by_the_file(void **state)
{
	(void)state;
	begin_with(0, "nameserver 192.0.2.1\nsearch a.example\n", "dns = [ \"192.0.2.9\" ];");
	assert_string_equal(servers(), "192.0.2.9");
	assert_string_equal(search(), "a.example");
	replace_by("nameserver 192.0.2.2\nsearch b.example\n");
	assert_string_equal(servers(), "192.0.2.9");
	assert_string_equal(search(), "b.example");
	end();
	begin_with(0, "nameserver 192.0.2.1\nsearch a.example\n", "search = [ \"c.example\" ];");
	assert_string_equal(servers(), "192.0.2.1");
	assert_string_equal(search(), "c.example");
	replace_by("nameserver 192.0.2.2\nsearch b.example\n");
	assert_string_equal(servers(), "192.0.2.2");
	assert_string_equal(search(), "c.example");
	end();
}

/* ---- who is asked ---- */

static void guest_asks(unsigned id)
{
	const struct dns_text q = dns_text_question(id, "\3www\4test", ns_t_a, 0);

	dns_case_settle(&c); /* the file may have changed */
	dns_case_ask(&c, PORT, &q);
}

/* Who has heard one question; -1: nobody. Fails the test where more have. */
static int heard_by(struct dns_text *heard)
{
	struct dns_text one;
	int who = -1;

	for (unsigned i = 0; i < c.n; i++) {
		if (c.servers[i].udp < 0 || !dns_case_hear(&c, i, &one))
			continue;
		assert_int_equal(who, -1);
		who = (int)i;
		*heard = one;
		assert_false(dns_case_hear(&c, i, &one));
	}
	return who;
}

static void answers(unsigned server, const struct dns_text *heard, unsigned id, unsigned code)
{
	const struct dns_text answer = dns_text_answer(heard, code);

	dns_case_say(&c, server, &answer);
	dns_text_check(dns_case_receive(&c, PORT), &answer);
	assert_int_equal(dns_text_id(&c.got), id);
}

/* The question goes to that one first, who answers. */
static void check_asked(unsigned id, int server)
{
	struct dns_text heard;

	guest_asks(id);
	assert_int_equal(heard_by(&heard), server);
	answers((unsigned)server, &heard, id, ns_r_noerror);
}

#define THREE "nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n"

static void the_first_of_the_file_is_asked_while_it_answers(void **state)
{
	(void)state;
	begin(3, THREE);
	for (unsigned i = 0; i < 10; i++)
		check_asked(i, 0);
	end();
}

static void each_has_its_turn_and_then_each_once_more(void **state)
{
	struct dns_text heard;

	(void)state;
	begin(3, THREE);
	guest_asks(1);
	for (int turn = 0; turn < 6; turn++) {
		assert_int_equal(heard_by(&heard), turn % 3);
		nat_receive_none(&c.guest);
		nat_pass(&c.guest, DNS_PATIENCE - MARGIN);
		assert_int_equal(heard_by(&heard), -1);
		nat_pass(&c.guest, MARGIN);
	}
	dns_case_receive_code(&c, PORT, ns_r_servfail);
	end();
}

static void who_says_no_or_is_not_there_has_no_second_turn(void **state)
{
	static const unsigned codes[] = { ns_r_servfail, ns_r_refused, ns_r_notimpl };
	struct dns_text heard, answer;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		begin(3, THREE);
		dns_case_stop(&c, 1);
		guest_asks(1);
		assert_int_equal(heard_by(&heard), 0);
		answer = dns_text_answer(&heard, codes[i]);
		dns_case_say(&c, 0, &answer);
		assert_int_equal(heard_by(&heard), 2); /* at once, past the second */
		nat_pass(&c.guest, DNS_PATIENCE);
		assert_int_equal(heard_by(&heard), 2);
		answers(2, &heard, 1, ns_r_noerror);
		end();
	}
}

static void what_the_last_one_says_no_with_is_the_answer(void **state)
{
	struct dns_text heard, answer;

	(void)state;
	begin(2, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	guest_asks(1);
	assert_int_equal(heard_by(&heard), 0);
	answer = dns_text_answer(&heard, ns_r_servfail);
	dns_case_say(&c, 0, &answer);
	assert_int_equal(heard_by(&heard), 1);
	answers(1, &heard, 1, ns_r_refused);
	end();
}

static void a_name_that_does_not_exist_is_an_answer(void **state)
{
	struct dns_text heard;

	(void)state;
	begin(2, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	guest_asks(1);
	assert_int_equal(heard_by(&heard), 0);
	answers(0, &heard, 1, ns_r_nxdomain);
	assert_int_equal(heard_by(&heard), -1);
	check_asked(2, 0);
	end();
}

static void who_failed_is_asked_last_for_a_while(void **state)
{
	struct dns_text heard;

	(void)state;
	begin(3, THREE);
	guest_asks(1);
	assert_int_equal(heard_by(&heard), 0);
	nat_pass(&c.guest, DNS_PATIENCE);
	assert_int_equal(heard_by(&heard), 1);
	answers(1, &heard, 1, ns_r_noerror);
	/* The others now, and no waiting for it. */
	check_asked(2, 1);
	assert_string_equal(servers(), "127.0.0.2 127.0.0.3 127.0.0.1");
	nat_pass(&c.guest, FAILED - MARGIN);
	check_asked(3, 1);
	nat_pass(&c.guest, MARGIN);
	check_asked(4, 0);
	end();
}

static void of_those_that_failed_the_one_longest_ago_is_first(void **state)
{
	struct dns_text heard;

	(void)state;
	begin(3, THREE);
	guest_asks(1);
	assert_int_equal(heard_by(&heard), 0);
	nat_pass(&c.guest, DNS_PATIENCE);
	assert_int_equal(heard_by(&heard), 1);
	nat_pass(&c.guest, DNS_PATIENCE);
	assert_int_equal(heard_by(&heard), 2);
	nat_pass(&c.guest, DNS_PATIENCE);
	assert_string_equal(servers(), "127.0.0.1 127.0.0.2 127.0.0.3");
	/* The first is in its second turn; it answers, and is as good as new. */
	assert_int_equal(heard_by(&heard), 0);
	answers(0, &heard, 1, ns_r_noerror);
	check_asked(2, 0);
	assert_string_equal(servers(), "127.0.0.1 127.0.0.2 127.0.0.3");
	end();
}

static void who_failed_and_answers_another_question_is_as_good_as_new(void **state)
{
	struct dns_text lost, heard;

	(void)state;
	begin(2, "nameserver 127.0.0.1\nnameserver 127.0.0.2\n");
	guest_asks(1);
	assert_int_equal(heard_by(&lost), 0);
	nat_pass(&c.guest, DNS_PATIENCE - MARGIN);
	guest_asks(2);
	assert_int_equal(heard_by(&heard), 0);
	nat_pass(&c.guest, MARGIN);
	assert_int_equal(heard_by(&lost), 1); /* the first question, elsewhere now */
	assert_string_equal(servers(), "127.0.0.2 127.0.0.1");
	answers(0, &heard, 2, ns_r_noerror);
	assert_string_equal(servers(), "127.0.0.1 127.0.0.2");
	check_asked(3, 0);
	answers(1, &lost, 1, ns_r_noerror);
	end();
}

static void where_none_has_a_route_it_is_servfail_at_once(void **state)
{
	(void)state;
	begin(1, "nameserver " NO_ROUTE "\nnameserver 2001:db8:ffff::1\n");
	guest_asks(1);
	dns_case_receive_code(&c, PORT, ns_r_servfail);
	/* One that has is asked, whatever stands before it. */
	replace_by("nameserver " NO_ROUTE "\nnameserver 127.0.0.1\n");
	check_asked(2, 0);
	end();
}

static void the_file_is_followed_between_and_in_the_middle_of_questions(void **state)
{
	struct dns_text heard, late;

	(void)state;
	begin(3, THREE);
	check_asked(1, 0);
	replace_by("nameserver 127.0.0.2\n");
	check_asked(2, 1);
	put_text("nameserver 127.0.0.3\n");
	check_asked(3, 2);
	unlink(path);
	check_asked(4, 0); /* 127.0.0.1, as there is no file */
	replace_by(THREE);
	/* What is under way goes on as it was asked: there are fewer now, and others. */
	guest_asks(5);
	assert_int_equal(heard_by(&heard), 0);
	replace_by("nameserver 127.0.0.2\n");
	dns_case_settle(&c);
	assert_string_equal(servers(), "127.0.0.2");
	late = heard;
	nat_pass(&c.guest, DNS_PATIENCE);
	assert_int_equal(heard_by(&heard), 1);
	nat_pass(&c.guest, DNS_PATIENCE);
	assert_int_equal(heard_by(&heard), 2);
	dns_case_say(&c, 0, &late); /* to a socket that is no more */
	answers(2, &heard, 5, ns_r_noerror);
	check_asked(6, 1);
	end();
}

static void the_servers_of_another_network_are_asked_when_it_comes(void **state)
{
	(void)state;
	begin(2, "nameserver 127.0.0.1\n");
	dns_case_stop(&c, 0);
	guest_asks(1);
	dns_case_receive_code(&c, PORT, ns_r_servfail);
	replace_by("nameserver 127.0.0.2\nnameserver 127.0.0.1\n");
	check_asked(2, 1);
	dns_case_restart(&c, 0);
	dns_case_stop(&c, 1);
	check_asked(3, 0);
	end();
}

/* ---- IPv6 ---- */

static bool add_address6(const char *text)
{
	struct in6_ifreq request = { .ifr6_prefixlen = 64, .ifr6_ifindex = (int)if_nametoindex("lo") };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done;

	if (fd < 0)
		return false;
	inet_pton(AF_INET6, text, &request.ifr6_addr);
	done = ioctl(fd, SIOCSIFADDR, &request) == 0 || errno == EEXIST;
	close(fd);
	return done;
}

static void a_server_is_asked_by_ipv6_and_through_the_interface_of_its_scope(void **state)
{
	static const char *const lines[] = { "nameserver ::1\n", "nameserver fe80::53%lo\n",
		                             "nameserver fe80::53%1\n" };
	const struct dns_text q = dns_text_question(1, "\3www\4test", ns_t_a, 0);

	(void)state;
	if (!namespace_has_ipv6() || !add_address6("fe80::53"))
		skip();
	for (unsigned i = 0; i < 3; i++) {
		struct sockaddr_in6 at = { .sin6_family = AF_INET6, .sin6_port = htons(DNS_PORT) }, from;
		int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		socklen_t len = sizeof from;
		struct dns_text heard, answer;
		ssize_t n;

		inet_pton(AF_INET6, i ? "fe80::53" : "::1", &at.sin6_addr);
		at.sin6_scope_id = i ? if_nametoindex("lo") : 0;
		assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
		begin(0, lines[i]);
		dns_case_ask(&c, PORT, &q);
		n = recvfrom(fd, heard.bytes, sizeof heard.bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
		assert_int_equal(n, q.len);
		heard.len = (size_t)n;
		answer = dns_text_answer(&heard, ns_r_noerror);
		assert_int_equal(sendto(fd, answer.bytes, answer.len, 0, (struct sockaddr *)&from, len), answer.len);
		dns_case_receive_code(&c, PORT, ns_r_noerror);
		end();
		close(fd);
	}
}

static void a_scope_that_is_not_there_makes_way_for_the_next(void **state)
{
	(void)state;
	begin(1, "nameserver fe80::53%nosuch0\nnameserver fe80::54\nnameserver fe80::55%averyveryverylongname\n"
	         "nameserver fe80::56%99999999999999999999\nnameserver 127.0.0.1\n");
	check_asked(1, 0);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_servers_are_read_as_libc_reads_them),
		cmocka_unit_test(search_domains_are_those_of_the_last_line),
		cmocka_unit_test(a_file_that_is_hostile_is_no_more_than_a_bad_one),
		cmocka_unit_test(a_file_that_is_being_written_counts_when_it_is_whole),
		cmocka_unit_test(a_file_that_may_not_be_read_is_as_none),
		cmocka_unit_test(the_option_is_not_replaced_by_the_file),
		cmocka_unit_test(the_first_of_the_file_is_asked_while_it_answers),
		cmocka_unit_test(each_has_its_turn_and_then_each_once_more),
		cmocka_unit_test(who_says_no_or_is_not_there_has_no_second_turn),
		cmocka_unit_test(what_the_last_one_says_no_with_is_the_answer),
		cmocka_unit_test(a_name_that_does_not_exist_is_an_answer),
		cmocka_unit_test(who_failed_is_asked_last_for_a_while),
		cmocka_unit_test(of_those_that_failed_the_one_longest_ago_is_first),
		cmocka_unit_test(who_failed_and_answers_another_question_is_as_good_as_new),
		cmocka_unit_test(where_none_has_a_route_it_is_servfail_at_once),
		cmocka_unit_test(the_file_is_followed_between_and_in_the_middle_of_questions),
		cmocka_unit_test(the_servers_of_another_network_are_asked_when_it_comes),
		cmocka_unit_test(a_server_is_asked_by_ipv6_and_through_the_interface_of_its_scope),
		cmocka_unit_test(a_scope_that_is_not_there_makes_way_for_the_next),
	};
	const char *why = namespace_enter();

	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
