/* SPDX-License-Identifier: MIT */
/* nat_policy_test.c - proves policy.c: what is allowed, and what no spelling of an address or a name gets round. */
#include "core/base/arena.h"
#include "core/config/read.h"
#include "plugins/net-nat/host-address.h"
#include "plugins/net-nat/names.h"
#include "plugins/net-nat/policy.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)

/* A clock of the test's own: names.c asks timeout.c, which is given no timer. */
static struct nat_guest guest;
static struct host_addresses *host;
static struct policy *policy;

static struct in6_addr address(const char *text)
{
	struct in6_addr a;

	assert_int_equal(net_address_parse(text, &a), 0);
	return a;
}

static void with(const char *text)
{
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct capsa_value root;
	char whole[4096], cause[512] = "";

	policy_free(policy);
	if (!text) {
		arena_free(arena);
		assert_int_equal(policy_read(NULL, &policy, cause, sizeof cause), 0);
		return;
	}
	snprintf(whole, sizeof whole, "policy = { %s };", text);
	if (read_config_text(whole, NULL, arena, &root, &err) < 0 ||
	    policy_read(&root.items[0], &policy, cause, sizeof cause) < 0)
		fail_msg("%s: %s%s", text, err.text, cause);
	arena_free(arena);
}

static struct verdict judged(uint8_t protocol, const char *to, uint16_t port)
{
	const struct policy_question question = { .protocol = protocol, .real = { address(to), port } };

	return policy_judge(policy, guest.nat->names, host, &question);
}

static bool tcp(const char *to, uint16_t port)
{
	return judged(IPPROTO_TCP, to, port).allowed;
}

static void learn(const char *name, const char *to, uint32_t ttl)
{
	const struct in6_addr a = address(to);

	names_learn(guest.nat->names, name, &a, ttl);
}

static int set_up(void **state)
{
	struct in6_addr own[3];

	(void)state;
	nat_begin(&guest, "ipv6 = false;");
	own[0] = address("192.168.7.9");
	own[1] = address("203.0.113.200");
	own[2] = address("2001:db8:ffff::9");
	return host_addresses_fixed(own, 3, &host);
}

static int tear_down(void **state)
{
	(void)state;
	policy_free(policy);
	policy = NULL;
	host_addresses_free(host);
	nat_end(&guest);
	return 0;
}

/* What every policy keeps closed. */
static const char *const closed[] = {
	"127.0.0.1",
	"127.255.255.254",
	"::1",
	"0.0.0.0",
	"0.1.2.3",
	"::",
	"169.254.1.1",
	"fe80::1",
	"fe80::5054:ff:fe12:1",
	"169.254.169.254",
	"fd00:ec2::254",
	"100.100.100.200",
	"224.0.0.251",
	"239.255.255.250",
	"255.255.255.255",
	"ff02::fb",
	"ff05::2",
	"192.168.7.9",
	"203.0.113.200",
	"2001:db8:ffff::9",
	/* The same in other spellings. */
	"::127.0.0.1",
	"64:ff9b::127.0.0.1",
	"64:ff9b::169.254.169.254",
	"64:ff9b:1::127.0.0.1",
	"64:ff9b::192.168.7.9",
	"64:ff9b::0.0.0.0",
	"2002:7f00:1::1",
	"2002:a9fe:a9fe::",
	"2002:cb00:71c8::1",
	"64:ff9b::203.0.113.200",
	"2001:0:0:0:0:0:80ff:fffe",
	"2001:0:0:0:0:0:5601:5601",
};

#define N_CLOSED (sizeof closed / sizeof *closed)

static void without_a_policy_there_is_the_internet_and_no_way_into_the_host(void **state)
{
	(void)state;
	with(NULL);
	assert_true(tcp("198.51.100.1", 80));
	assert_true(tcp("2001:db8::1", 443));
	assert_true(tcp("10.1.2.3", 22));
	for (size_t i = 0; i < N_CLOSED; i++) {
		const struct verdict verdict = judged(IPPROTO_UDP, closed[i], 53);

		if (verdict.allowed || verdict.rule != POLICY_GROUND_RULE)
			fail_msg("%s is open", closed[i]);
	}
}

static void neither_ports_nor_wide_networks_open_what_is_closed(void **state)
{
	static const char *const rules[] = {
		"rules = ( { action = \"allow\"; } );",
		"rules = ( { action = \"allow\"; ports = \"1-65535\"; }, { action = \"allow\"; protocol = \"icmp\"; } "
		");",
		"rules = ( { action = \"allow\"; cidr = \"0.0.0.0/0\"; }, { action = \"allow\"; cidr = \"::/0\"; } );",
		"rules = ( { action = \"allow\"; group = \"private\"; } );",
		"default = \"deny\"; rules = ( { action = \"allow\"; cidr = \"64:ff9b::/96\"; } );",
		"default = \"deny\"; rules = ( { action = \"allow\"; cidr = \"2001::/16\"; }, { action = \"allow\"; "
		"cidr = "
		"\"2002::/16\"; } );",
	};

	(void)state;
	for (size_t r = 0; r < sizeof rules / sizeof *rules; r++) {
		with(rules[r]);
		for (size_t i = 0; i < N_CLOSED; i++)
			if (tcp(closed[i], 80))
				fail_msg("%s is open by %s", closed[i], rules[r]);
	}
}

static void the_gateways_address_is_the_hosts_loopback(void **state)
{
	struct policy_question question = { .protocol = IPPROTO_TCP, .to_gateway = true };

	(void)state;
	question.real = (struct net_endpoint){ address("127.0.0.1"), 80 };
	with("rules = ( { action = \"allow\"; ports = \"80\"; } );");
	assert_false(policy_judge(policy, guest.nat->names, host, &question).allowed);
	with("rules = ( { action = \"allow\"; group = \"loopback\"; port = 80; } );");
	assert_true(policy_judge(policy, guest.nat->names, host, &question).allowed);
	question.real.port = 81;
	assert_false(policy_judge(policy, guest.nat->names, host, &question).allowed);
}

static void a_rule_opens_what_it_names_and_no_more(void **state)
{
	(void)state;
	with("rules = ( { action = \"allow\"; cidr = \"127.0.0.0/8\"; port = 8080; } );");
	assert_true(tcp("127.0.0.1", 8080));
	assert_false(tcp("127.0.0.1", 8081));
	assert_false(tcp("0.0.0.0", 8080));
	assert_false(tcp("::1", 8080));
	with("rules = ( { action = \"allow\"; group = \"link-local\"; } );");
	assert_true(tcp("169.254.1.1", 80));
	assert_false(tcp("169.254.169.254", 80));
	with("rules = ( { action = \"allow\"; group = \"metadata\"; } );");
	assert_true(tcp("169.254.169.254", 80));
	assert_true(tcp("fd00:ec2::254", 80));
	assert_true(tcp("100.100.100.200", 80));
	assert_false(tcp("169.254.1.1", 80));
	with("rules = ( { action = \"allow\"; group = \"host\"; } );");
	assert_true(tcp("192.168.7.9", 80));
	assert_true(tcp("127.0.0.1", 80));
	assert_false(tcp("64:ff9b::192.168.7.9", 80));
	with("rules = ( { action = \"allow\"; cidr = \"192.168.7.0/24\"; } );");
	assert_false(tcp("192.168.7.9", 80));
	assert_true(tcp("192.168.7.10", 80));
	with("rules = ( { action = \"allow\"; ip = \"192.168.7.9\"; } );");
	assert_true(tcp("192.168.7.9", 80));
	with("rules = ( { action = \"allow\"; group = \"multicast\"; } );");
	assert_true(judged(IPPROTO_UDP, "239.1.2.3", 80).allowed);
}

static void what_denies_sees_the_address_inside_what_allows_does_not(void **state)
{
	(void)state;
	with("rules = ( { action = \"deny\"; cidr = \"10.0.0.0/8\"; } );");
	assert_false(tcp("10.1.2.3", 80));
	assert_false(tcp("64:ff9b::10.1.2.3", 80));
	assert_false(tcp("2002:a01:203::1", 80));
	assert_false(tcp("::10.1.2.3", 80));
	assert_true(tcp("64:ff9b::11.1.2.3", 80));
	with("default = \"deny\"; rules = ( { action = \"allow\"; cidr = \"198.51.100.0/24\"; } );");
	assert_true(tcp("198.51.100.7", 80));
	assert_false(tcp("64:ff9b::198.51.100.7", 80));
	with("rules = ( { action = \"deny\"; group = \"private\"; } );");
	assert_false(tcp("64:ff9b::192.168.1.1", 80));
	assert_false(tcp("fd12::1", 80));
	assert_false(tcp("100.64.0.1", 80));
	with("rules = ( { action = \"deny\"; group = \"loopback\"; }, { action = \"allow\"; ip = \"0.0.0.0\"; } );");
	assert_false(tcp("0.0.0.0", 80));
}

static void rules_are_asked_in_order_and_matchers_are_anded(void **state)
{
	struct verdict verdict;

	(void)state;
	with("default = \"deny\"; rules = ( { action = \"log\"; port = 80; }, { action = \"deny\"; cidr = "
	     "\"198.51.100.0/24\"; protocol = \"tcp\"; ports = \"1-99\"; }, { action = \"allow\"; cidr = "
	     "\"198.51.0.0/16\"; "
	     "log = true; } );");
	verdict = judged(IPPROTO_TCP, "198.51.100.1", 80);
	assert_false(verdict.allowed);
	assert_true(verdict.log);
	assert_int_equal(verdict.rule, 1);
	verdict = judged(IPPROTO_UDP, "198.51.100.1", 81);
	assert_true(verdict.allowed && verdict.log);
	assert_int_equal(verdict.rule, 2);
	verdict = judged(IPPROTO_TCP, "203.0.113.1", 443);
	assert_false(verdict.allowed || verdict.log);
	assert_int_equal(verdict.rule, POLICY_NO_RULE);
}

static void ports_are_not_for_icmp_which_is_both_families(void **state)
{
	(void)state;
	with("default = \"deny\"; rules = ( { action = \"allow\"; ports = \"1-65535\"; } );");
	assert_false(judged(IPPROTO_ICMP, "198.51.100.1", 80).allowed);
	with("default = \"deny\"; rules = ( { action = \"allow\"; protocol = \"icmp\"; } );");
	assert_true(judged(IPPROTO_ICMP, "198.51.100.1", 80).allowed);
	assert_true(judged(IPPROTO_ICMPV6, "2001:db8::1", 80).allowed);
	assert_false(tcp("198.51.100.1", 80));
}

#define NAMED "default = \"deny\"; rules = ( { action = \"allow\"; domain = \"*.example.com\"; port = 443; } );"

static void a_name_counts_for_what_was_learned_within_its_time(void **state)
{
	(void)state;
	with(NAMED);
	assert_false(tcp("198.51.100.1", 443));
	learn("api.example.com", "198.51.100.1", 300);
	assert_true(tcp("198.51.100.1", 443));
	assert_true(judged(IPPROTO_TCP, "198.51.100.1", 443).by_name);
	assert_false(tcp("198.51.100.1", 80));
	assert_false(tcp("198.51.100.2", 443));
	timeouts_skip(guest.nat->timeouts, 301 * 1000);
	assert_false(tcp("198.51.100.1", 443));
	names_forget_all(guest.nat->names);
}

static void names_end_at_label_borders(void **state)
{
	static const char *const no[] = { "example.com",  "notexample.com", "example.com.evil.org", "com", "",
		                          "wexample.com", "api.example.co" };
	static const char *const yes[] = { "api.example.com", "a.b.example.com", "*.example.com", "x-.example.com" };

	(void)state;
	with(NAMED);
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		if (policy_allows_name(policy, no[i]))
			fail_msg("%s", no[i]);
	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
		if (!policy_allows_name(policy, yes[i]))
			fail_msg("%s", yes[i]);
}

static void the_resolver_is_not_asked_for_what_is_denied(void **state)
{
	(void)state;
	with(NULL);
	assert_true(policy_allows_name(policy, "any.example.net"));
	with("default = \"deny\"; rules = ( { action = \"allow\"; cidr = \"0.0.0.0/0\"; } );");
	assert_false(policy_allows_name(policy, "secret.tunnel.example"));
	with("default = \"deny\"; rules = ( { action = \"log\"; domain = \"*.tunnel.example\"; } );");
	assert_false(policy_allows_name(policy, "secret.tunnel.example"));
	with("default = \"deny\"; rules = ( { action = \"deny\"; domain = \"bad.example.com\"; }, { action = "
	     "\"allow\"; "
	     "domain = \"*.example.com\"; } );");
	assert_false(policy_allows_name(policy, "bad.example.com"));
	assert_true(policy_allows_name(policy, "good.example.com"));
	with("rules = ( { action = \"deny\"; domain = \"bad.example.com\"; port = 25; } );");
	assert_true(policy_allows_name(policy, "bad.example.com"));
	learn("bad.example.com", "198.51.100.5", 60);
	assert_false(tcp("198.51.100.5", 25));
	assert_true(tcp("198.51.100.5", 443));
	names_forget_all(guest.nat->names);
}

static void a_name_opens_nothing_inside(void **state)
{
	static const char *const inside[] = { "10.0.0.5", "192.168.1.1",       "172.31.0.1",       "100.64.1.1",
		                              "fd12::5",  "64:ff9b::10.0.0.5", "2002:c0a8:101::1", "::10.0.0.5" };

	(void)state;
	with("default = \"deny\"; rules = ( { action = \"allow\"; domain = \"rebind.example\"; } );");
	for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
		learn("rebind.example", inside[i], 60);
		if (tcp(inside[i], 80))
			fail_msg("%s is open", inside[i]);
	}
	for (size_t i = 0; i < N_CLOSED; i++) {
		learn("rebind.example", closed[i], 60);
		if (tcp(closed[i], 80))
			fail_msg("%s is open", closed[i]);
	}
	with("default = \"deny\"; rules = ( { action = \"allow\"; domain = \"rebind.example\"; cidr = \"0.0.0.0/0\"; } "
	     ");");
	assert_false(tcp("10.0.0.5", 80));
	with("default = \"deny\"; rules = ( { action = \"allow\"; domain = \"rebind.example\"; cidr = \"10.0.0.0/8\"; "
	     "} );");
	assert_true(tcp("10.0.0.5", 80));
	assert_false(tcp("192.168.1.1", 80));
	with("default = \"deny\"; rules = ( { action = \"allow\"; domain = \"rebind.example\"; group = \"private\"; } "
	     ");");
	assert_true(tcp("192.168.1.1", 80));
	assert_false(tcp("192.168.7.9", 80));
	assert_false(tcp("10.0.0.6", 80));
	names_forget_all(guest.nat->names);
}

static void a_name_seen_inside_must_be_one_that_lets_the_flow_through(void **state)
{
	struct verdict verdict;

	(void)state;
	with("default = \"deny\"; check_names = true; rules = ( { action = \"allow\"; domain = \"a.example.com\"; port "
	     "= 443; "
	     "}, { action = \"allow\"; domain = \"b.example.com\"; port = 80; } );");
	assert_true(policy_checks_names(policy));
	learn("a.example.com", "198.51.100.9", 60);
	learn("b.example.com", "198.51.100.9", 60);
	verdict = judged(IPPROTO_TCP, "198.51.100.9", 443);
	assert_true(verdict.allowed && verdict.by_name);
	assert_true(policy_name_fits(policy, &verdict, "a.example.com"));
	assert_false(policy_name_fits(policy, &verdict, "b.example.com"));
	assert_false(policy_name_fits(policy, &verdict, "evil.example.org"));
	with("default = \"deny\"; rules = ( { action = \"allow\"; domain = \"a.example.com\"; group = \"host\"; } );");
	learn("a.example.com", "192.168.7.9", 60);
	verdict = judged(IPPROTO_TCP, "192.168.7.9", 443);
	assert_true(verdict.allowed);
	assert_true(policy_name_fits(policy, &verdict, "a.example.com"));
	names_forget_all(guest.nat->names);
}

static void every_decision_is_counted(void **state)
{
	struct policy_rule_info info;
	struct verdict verdict;

	(void)state;
	with("default = \"deny\"; rules = ( { action = \"allow\"; port = 443; } );");
	verdict = judged(IPPROTO_TCP, "198.51.100.1", 443);
	policy_count(policy, &verdict, 1, 100);
	policy_count(policy, &verdict, 0, 10);
	verdict = judged(IPPROTO_TCP, "198.51.100.1", 80);
	policy_count(policy, &verdict, 1, 0);
	verdict = judged(IPPROTO_TCP, "127.0.0.1", 443);
	policy_count(policy, &verdict, 1, 0);
	policy_describe(policy, 0, &info);
	assert_int_equal(info.flows, 1);
	assert_int_equal(info.bytes, 110);
	policy_describe(policy, POLICY_NO_RULE, &info);
	assert_string_equal(info.text, "default deny");
	assert_int_equal(info.flows, 1);
	policy_describe(policy, POLICY_GROUND_RULE, &info);
	assert_int_equal(info.flows, 1);
	/* Of a policy that is gone. */
	verdict.rule = 7;
	policy_count(policy, &verdict, 1, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_a_policy_there_is_the_internet_and_no_way_into_the_host),
		TEST(neither_ports_nor_wide_networks_open_what_is_closed),
		TEST(the_gateways_address_is_the_hosts_loopback),
		TEST(a_rule_opens_what_it_names_and_no_more),
		TEST(what_denies_sees_the_address_inside_what_allows_does_not),
		TEST(rules_are_asked_in_order_and_matchers_are_anded),
		TEST(ports_are_not_for_icmp_which_is_both_families),
		TEST(a_name_counts_for_what_was_learned_within_its_time),
		TEST(names_end_at_label_borders),
		TEST(the_resolver_is_not_asked_for_what_is_denied),
		TEST(a_name_opens_nothing_inside),
		TEST(a_name_seen_inside_must_be_one_that_lets_the_flow_through),
		TEST(every_decision_is_counted),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
