/* SPDX-License-Identifier: MIT */
/*
 * nat_dnsmasq_test.c - proves the forwarder against a name server that is not ours: dnsmasq, in a network namespace of
 * the test's own. Addresses of both families, a chain, what does not exist, what is too long for a datagram, a server
 * that goes away and comes back.
 */
#include "tests/unit/nat_guest.h"

#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/names.h"
#include "tests/unit/nat_namespace.h"

#define GUEST_PORT 4000
#define SERVER_PORT 5300
#define OPTIONS "dns = [ \"127.0.0.1:5300\" ]; search = [ ];"
#define TEXTS 12
#define TEXT_LEN 250

static struct nat_guest guest;
static struct nat_frame frame;
static pid_t server;
static int server_says = -1;
static char folder[] = "/tmp/capsa-dnsmasq-XXXXXX";

/* ---- the server ---- */

static const char *program(void)
{
	static const char *const places[] = { "/usr/sbin/dnsmasq", "/usr/bin/dnsmasq", "/usr/local/sbin/dnsmasq" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static const char *in_folder(const char *name)
{
	static char text[128];

	snprintf(text, sizeof text, "%s/%s", folder, name);
	return text;
}

static void write_config(void)
{
	FILE *file = fopen(in_folder("conf"), "we");

	assert_non_null(file);
	fprintf(file,
	        "no-resolv\nno-hosts\nport=%d\nlisten-address=127.0.0.1\nbind-interfaces\n"
	        "local=/test/\nhost-record=www.test,198.51.100.7,2001:db8::7,600\ncname=alias.test,www.test,300\n",
	        SERVER_PORT);
	for (unsigned i = 0; i < TEXTS; i++) /* a line of its own each, as lines are at most 1025 bytes long */
		fprintf(file, "txt-record=big.test,%0*u\n", TEXT_LEN, i);
	fclose(file);
}

/*
 * In the foreground, as an ordinary user in a user namespace cannot change groups, which the daemon would. It says when
 * its sockets are bound. False: it cannot run here.
 */
static bool server_begin(void)
{
	char conf[160], said[4096];
	size_t len = 0;
	int ends[2];
	ssize_t n;

	snprintf(conf, sizeof conf, "--conf-file=%s", in_folder("conf"));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	server = fork();
	if (server == 0) {
		dup2(ends[1], STDERR_FILENO);
		execl(program(), "dnsmasq", "--no-daemon", conf, (char *)NULL);
		_exit(127);
	}
	assert_true(server > 0);
	close(ends[1]);
	do {
		n = read(ends[0], said + len, sizeof said - 1 - len);
		len += n > 0 ? (size_t)n : 0;
		said[len] = '\0';
	} while (n > 0 && len < sizeof said - 1 && !strstr(said, "started"));
	if (server_says >= 0)
		close(server_says);
	server_says = ends[0]; /* what it says later must have somewhere to go */
	if (strstr(said, "started"))
		return true;
	fprintf(stderr, "%s", said);
	waitpid(server, NULL, 0);
	return false;
}

static void server_end(void)
{
	assert_int_equal(kill(server, SIGKILL), 0);
	assert_int_equal(waitpid(server, NULL, 0), server);
}

/* ---- the guest ---- */

static size_t put_question(unsigned char *to, const char *name, unsigned type)
{
	const unsigned char *end = to + NS_HFIXEDSZ;

	memcpy(to, "\x12\x34\1\0\0\1\0\0\0\0\0\0", NS_HFIXEDSZ);
	assert_true(ns_name_pton(name, to + NS_HFIXEDSZ, NS_MAXCDNAME) >= 0);
	assert_int_equal(ns_name_skip(&end, to + NS_HFIXEDSZ + NS_MAXCDNAME), 0);
	ns_put16(type, to + (end - to));
	ns_put16(ns_c_in, to + (end - to) + 2);
	return (size_t)(end - to) + 4;
}

static void guest_asks(const char *name, unsigned type)
{
	unsigned char bytes[512];

	nat_send_udp(&guest, NAT_GUEST, GUEST_PORT, NAT_GATEWAY, DNS_PORT, bytes, put_question(bytes, name, type));
}

/* Waits for the answer: code, and how many records. */
static ns_msg guest_gets(int code)
{
	ns_msg answer;

	nat_receive(&guest, &frame);
	assert_int_equal(frame.packet.source_port, DNS_PORT);
	assert_int_equal(ns_initparse(frame.bytes + frame.packet.payload, (int)frame.packet.payload_len, &answer), 0);
	assert_int_equal(ns_msg_id(answer), 0x1234);
	assert_int_equal(ns_msg_getflag(answer, ns_f_rcode), code);
	return answer;
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

/* ---- tests ---- */

static void addresses_of_both_families_are_answered_and_learned(void **state)
{
	ns_msg answer;

	(void)state;
	nat_begin(&guest, OPTIONS);
	guest_asks("www.test", ns_t_a);
	answer = guest_gets(ns_r_noerror);
	assert_int_equal(ns_msg_count(answer, ns_s_an), 1);
	assert_true(is_learned("www.test", "198.51.100.7"));
	guest_asks("www.test", ns_t_aaaa);
	answer = guest_gets(ns_r_noerror);
	assert_int_equal(ns_msg_count(answer, ns_s_an), 1);
	assert_true(is_learned("www.test", "2001:db8::7"));
	nat_end(&guest);
}

static void a_chain_is_learned_for_the_name_that_was_asked(void **state)
{
	ns_msg answer;

	(void)state;
	nat_begin(&guest, OPTIONS "policy = { default = \"deny\"; rules = ( { action = \"allow\"; "
	                          "domain = \"alias.test\"; } ); };");
	guest_asks("alias.test", ns_t_a);
	answer = guest_gets(ns_r_noerror);
	assert_int_equal(ns_msg_count(answer, ns_s_an), 2);
	assert_true(is_learned("alias.test", "198.51.100.7"));
	assert_false(is_learned("www.test", "198.51.100.7"));
	guest_asks("www.test", ns_t_a);
	guest_gets(ns_r_refused);
	nat_end(&guest);
}

static void what_does_not_exist_does_not(void **state)
{
	(void)state;
	nat_begin(&guest, OPTIONS);
	guest_asks("nobody.test", ns_t_a);
	guest_gets(ns_r_nxdomain);
	assert_int_equal(names_count(guest.nat->names), 0);
	assert_int_equal(nat_counter(&guest, "dns_failed"), 0);
	nat_end(&guest);
}

struct reader {
	int fd;
	unsigned char bytes[8192];
	size_t len;
};

static bool is_whole(void *ctx)
{
	struct reader *reader = ctx;
	ssize_t n = recv(reader->fd, reader->bytes + reader->len, sizeof reader->bytes - reader->len, MSG_DONTWAIT);

	if (n > 0)
		reader->len += (size_t)n;
	return reader->len >= 2 && reader->len >= 2u + ns_get16(reader->bytes);
}

static void what_is_too_long_for_a_datagram_comes_by_tcp(void **state)
{
	static struct reader reader;
	unsigned char question[512];
	ns_msg answer;
	size_t len;

	(void)state;
	nat_begin(&guest, OPTIONS);
	guest_asks("big.test", ns_t_txt);
	answer = guest_gets(ns_r_noerror);
	assert_true(ns_msg_getflag(answer, ns_f_tc));
	reader = (struct reader){ .fd = dns_accept(guest.nat) };
	assert_true(reader.fd >= 0);
	len = put_question(question + 2, "big.test", ns_t_txt);
	ns_put16((unsigned)len, question);
	assert_int_equal(send(reader.fd, question, 2 + len, 0), 2 + len);
	nat_until(&guest, is_whole, &reader);
	assert_int_equal(ns_initparse(reader.bytes + 2, (int)ns_get16(reader.bytes), &answer), 0);
	assert_false(ns_msg_getflag(answer, ns_f_tc));
	assert_int_equal(ns_msg_count(answer, ns_s_an), TEXTS);
	assert_true(ns_get16(reader.bytes) > TEXTS * TEXT_LEN);
	close(reader.fd);
	while (nat_turn(&guest))
		;
	nat_end(&guest);
}

static void a_server_that_goes_away_is_servfail_and_one_that_comes_back_answers(void **state)
{
	(void)state;
	nat_begin(&guest, OPTIONS);
	guest_asks("www.test", ns_t_a);
	guest_gets(ns_r_noerror);
	server_end();
	guest_asks("www.test", ns_t_a);
	guest_gets(ns_r_servfail); /* at once: its port is closed */
	assert_true(server_begin());
	guest_asks("www.test", ns_t_a);
	guest_gets(ns_r_noerror);
	nat_end(&guest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_both_families_are_answered_and_learned),
		cmocka_unit_test(a_chain_is_learned_for_the_name_that_was_asked),
		cmocka_unit_test(what_does_not_exist_does_not),
		cmocka_unit_test(what_is_too_long_for_a_datagram_comes_by_tcp),
		cmocka_unit_test(a_server_that_goes_away_is_servfail_and_one_that_comes_back_answers),
	};
	const char *why = program() ? namespace_enter() : "no dnsmasq (dnsmasq-base)";
	int failed = 0;

	if (!why && !mkdtemp(folder))
		why = strerror(errno);
	if (why) {
		fprintf(stderr, "skipped: %s\n", why);
		return 77;
	}
	write_config();
	if (server_begin()) {
		failed = cmocka_run_group_tests(tests, NULL, NULL);
		server_end();
	} else {
		fprintf(stderr, "skipped: dnsmasq does not run here\n");
		failed = 77;
	}
	unlink(in_folder("conf"));
	rmdir(folder);
	return failed;
}
