/* SPDX-License-Identifier: MIT */
/* nat_policy_read_test.c - proves policy-read.c: what rules may say, and the exact words where they say something else.
 */
#include "core/base/arena.h"
#include "core/config/read.h"
#include "plugins/net-nat/policy.h"
#include "tests/unit/nat_guest.h"

#define TEST(name) cmocka_unit_test(name)

static char cause[512];

/* What stands inside of `policy = { }`; file: as if it stood in one. NULL: refused. */
static struct policy *read_text(const char *text, bool in_file)
{
	struct arena *arena = arena_new();
	struct error err = { "" };
	struct capsa_value root;
	struct policy *policy;
	char whole[8192];

	cause[0] = '\0';
	snprintf(whole, sizeof whole, "policy = %s;", text);
	if (read_config_text(whole, NULL, arena, &root, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	if (in_file) {
		struct capsa_value *value = (struct capsa_value *)(uintptr_t)root.items;

		value->file = "box.conf";
		value->line = 7;
	}
	if (policy_read(&root.items[0], &policy, cause, sizeof cause) < 0)
		assert_null(policy);
	arena_free(arena);
	return policy;
}

static void refuses(const char *text, const char *why)
{
	assert_null(read_text(text, false));
	assert_string_equal(cause, why);
}

static void describes(const char *rule, const char *expected)
{
	struct policy_rule_info info;
	struct policy *policy;
	char text[512];

	snprintf(text, sizeof text, "{ rules = ( { %s } ); }", rule);
	policy = read_text(text, false);
	if (!policy)
		fail_msg("%s: %s", rule, cause);
	assert_int_equal(policy_rules(policy), 1);
	policy_describe(policy, 0, &info);
	assert_string_equal(info.text, expected);
	policy_free(policy);
}

static void refuses_rule(const char *rule, const char *why)
{
	char text[512], expected[512];

	snprintf(text, sizeof text, "{ rules = ( { %s } ); }", rule);
	snprintf(expected, sizeof expected, "policy: rule 1: %s", why);
	refuses(text, expected);
}

static void every_matcher_is_understood(void **state)
{
	(void)state;
	describes("action = \"allow\"; port = 443;", "allow port 443");
	describes("action = \"deny\"; protocol = \"icmp\";", "deny icmp");
	describes("action = \"log\"; cidr = \"10.0.0.0/8\";", "log cidr 10.0.0.0/8");
	describes("action = \"allow\"; cidr = \"2001:db8::/32\"; protocol = \"udp\";", "allow udp cidr 2001:db8::/32");
	describes("action = \"allow\"; ip = \"192.0.2.1\"; log = true;", "allow ip 192.0.2.1 and log");
	describes("action = \"allow\"; ports = \"6660-6669\"; protocol = \"tcp\";", "allow tcp ports 6660-6669");
	describes("action = \"allow\"; ports = \"80, 443 , 8000-8100\";", "allow ports 80,443,8000-8100");
	describes("action = \"allow\"; domain = \"*.Example.COM.\";", "allow domain *.example.com");
	describes("action = \"allow\"; domain = \"xn--bcher-kva.example\"; port = 443;",
	          "allow domain xn--bcher-kva.example port 443");
	describes("action = \"deny\"; group = \"link-local\";", "deny group link-local");
}

static void what_is_no_rule_is_refused_with_the_cure(void **state)
{
	(void)state;
	refuses_rule("port = 443;", "a rule without \"action\"; write action = \"allow\", \"deny\" or \"log\"");
	refuses_rule(
		"action = \"alow\";",
		"key \"action\": \"alow\" is unknown; did you mean \"allow\"? Allowed: \"allow\", \"deny\", \"log\"");
	refuses_rule("action = true;", "key \"action\": found true; write one of \"allow\", \"deny\", \"log\"");
	refuses_rule("action = \"allow\"; domian = \"a.com\";",
	             "a rule has no key \"domian\"; did you mean \"domain\"?");
	refuses_rule("action = \"allow\"; colour = 1;",
	             "a rule has no key \"colour\"; possible are \"action\", \"cidr\", \"ip\", \"port\", \"ports\", "
	             "\"protocol\", \"domain\", \"group\", \"log\"");
	refuses_rule("action = \"allow\"; port = 0;",
	             "key \"port\": 0 is out of range; write a number from 1 to 65535");
	refuses_rule("action = \"allow\"; port = 65536;",
	             "key \"port\": 65536 is out of range; write a number from 1 to 65535");
	refuses_rule(
		"action = \"allow\"; port = \"80\";",
		"key \"port\": found the string \"80\"; write a number from 1 to 65535, without quotes; for several "
		"there is \"ports\"");
	refuses_rule(
		"action = \"allow\"; ports = \"\";",
		"key \"ports\": \"\" is none; write ports in quotes, such as \"6660-6669\" or \"80,443,8000-8100\"");
	refuses_rule("action = \"allow\"; ports = \"9-8\";",
	             "key \"ports\": \"9-8\" is none; write ports in quotes, such as \"6660-6669\" or "
	             "\"80,443,8000-8100\"");
	refuses_rule("action = \"allow\"; ports = \"80,\";",
	             "key \"ports\": \"80,\" is none; write ports in quotes, such as \"6660-6669\" or "
	             "\"80,443,8000-8100\"");
	refuses_rule("action = \"allow\"; ports = \"80 443\";",
	             "key \"ports\": \"80 443\" is none; write ports in quotes, such as \"6660-6669\" or "
	             "\"80,443,8000-8100\"");
	refuses_rule("action = \"allow\"; port = 1; ports = \"2\";",
	             "a rule with both \"port\" and \"ports\"; leave one out");
	refuses_rule("action = \"allow\"; protocol = \"icmp\"; port = 1;",
	             "a rule for ports of icmp, which has none; leave one of the two out");
	refuses_rule("action = \"allow\"; protocol = \"sctp\";",
	             "key \"protocol\": \"sctp\" is unknown; write one of \"tcp\", \"udp\", \"icmp\"");
	refuses_rule("action = \"allow\"; cidr = \"10.0.0.1/8\";",
	             "key \"cidr\": \"10.0.0.1/8\" has bits behind its prefix; did you mean \"10.0.0.0/8\" or ip = "
	             "\"10.0.0.1\"?");
	refuses_rule(
		"action = \"allow\"; cidr = \"10.0.0.0/33\";",
		"key \"cidr\": \"10.0.0.0/33\" is no network; write one such as \"10.0.0.0/8\" or \"2001:db8::/32\"");
	refuses_rule("action = \"allow\"; cidr = \"::ffff:10.0.0.0/104\";",
	             "key \"cidr\": \"::ffff:10.0.0.0/104\" is no network; write one such as \"10.0.0.0/8\" or "
	             "\"2001:db8::/32\"");
	refuses_rule(
		"action = \"allow\"; ip = \"10.0.0.0/8\";",
		"key \"ip\": \"10.0.0.0/8\" is no address; write one such as \"192.0.2.1\" or \"2001:db8::1\"; for a "
		"network there is \"cidr\"");
	refuses_rule("action = \"allow\"; ip = \"010.0.0.1\";",
	             "key \"ip\": \"010.0.0.1\" is no address; write one such as \"192.0.2.1\" or \"2001:db8::1\"");
	refuses_rule("action = \"allow\"; domain = \"10.0.0.1\";",
	             "key \"domain\": \"10.0.0.1\" is an address; write ip = \"10.0.0.1\"");
	refuses_rule("action = \"allow\"; domain = \"b\xc3\xbc"
	             "cher.example\";",
	             "key \"domain\": \"b\xc3\xbc"
	             "cher.example\" is not in wire form; write what `idn2 b\xc3\xbc"
	             "cher.example` prints (xn--...)");
	refuses_rule("action = \"allow\"; domain = \"a.*.com\";",
	             "key \"domain\": \"a.*.com\" is no name; write one such as \"api.example.com\", or "
	             "\"*.example.com\" for all below");
	refuses_rule(
		"action = \"allow\"; domain = \".\";",
		"key \"domain\": \".\" is no name; write one such as \"api.example.com\", or \"*.example.com\" for "
		"all below");
	refuses_rule(
		"action = \"allow\"; group = \"privat\";",
		"key \"group\": \"privat\" is unknown; did you mean \"private\"? Allowed: \"private\", \"loopback\", "
		"\"link-local\", \"metadata\", \"host\", \"multicast\"");
	refuses_rule("action = \"allow\"; log = 1;",
	             "key \"log\": found the integer 1; write true or false, without quotes");
}

static void the_place_is_the_rule_or_the_line(void **state)
{
	(void)state;
	refuses("{ defualt = \"deny\"; }", "policy: a policy has no key \"defualt\"; did you mean \"default\"?");
	refuses("{ default = \"drop\"; }",
	        "policy: key \"default\": \"drop\" is unknown; write one of \"allow\", \"deny\"");
	refuses("{ rules = { action = \"allow\"; }; }",
	        "policy: key \"rules\": found a group; write a list of rules, ( { ... }, { ... } )");
	refuses("{ rules = ( { action = \"allow\"; }, { action = \"deny\"; }, { } ); }",
	        "policy: rule 3: a rule without \"action\"; write action = \"allow\", \"deny\" or \"log\"");
	refuses("{ rules = ( \"allow\" ); }",
	        "policy: rule 1: key \"rules\": found the string \"allow\"; write groups, such "
	        "as ( { action = \"allow\"; port = 443; } )");
	assert_null(read_text("\"deny\"", true));
	assert_string_equal(cause, "box.conf:7: key \"policy\": found the string \"deny\"; write a group, { default = "
	                           "\"deny\"; rules = ( ... ); }");
}

static void a_cause_that_is_too_long_is_cut(void **state)
{
	struct capsa_value value = { .type = CAPSA_TYPE_STRING, .name = "policy", .string = "x" };
	struct policy *policy;
	char small[12];

	(void)state;
	assert_true(policy_read(&value, &policy, small, sizeof small) < 0);
	assert_string_equal(small, "policy: key");
}

static void the_number_of_rules_is_bounded(void **state)
{
	struct capsa_value rule = { .type = CAPSA_TYPE_GROUP };
	struct capsa_value *list = calloc(POLICY_RULES_MAX + 1, sizeof *list);
	struct capsa_value rules = { .type = CAPSA_TYPE_LIST, .name = "rules", .items = list };
	struct capsa_value whole = { .type = CAPSA_TYPE_GROUP, .items = &rules, .n_items = 1 };
	struct capsa_value action = { .type = CAPSA_TYPE_STRING, .name = "action", .string = "deny" };
	struct policy *policy;

	(void)state;
	assert_non_null(list);
	rule.items = &action;
	rule.n_items = 1;
	for (unsigned i = 0; i <= POLICY_RULES_MAX; i++)
		list[i] = rule;
	rules.n_items = POLICY_RULES_MAX;
	assert_int_equal(policy_read(&whole, &policy, cause, sizeof cause), 0);
	assert_int_equal(policy_rules(policy), POLICY_RULES_MAX);
	policy_free(policy);
	rules.n_items++;
	assert_true(policy_read(&whole, &policy, cause, sizeof cause) < 0);
	assert_string_equal(cause, "policy: 1025 rules; at most 1024 are possible");
	free(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_matcher_is_understood),       TEST(what_is_no_rule_is_refused_with_the_cure),
		TEST(the_place_is_the_rule_or_the_line), TEST(a_cause_that_is_too_long_is_cut),
		TEST(the_number_of_rules_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
