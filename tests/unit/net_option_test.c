/* SPDX-License-Identifier: MIT */
/* net_option_test.c - the words of --net, --publish, --allow, --deny and --policy, and the device that comes of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/sandbox/net-option.h"

struct command {
	struct arena *arena;
	struct net_options options;
	struct config *config;
	struct error err;
};

static void begin(struct command *c)
{
	memset(c, 0, sizeof *c);
	c->arena = arena_new();
	assert_non_null(c->arena);
	assert_int_equal(config_new("capsa run", &c->config, &c->err), 0);
}

static void end(struct command *c)
{
	config_free(c->config);
	arena_free(c->arena);
}

static int give(struct command *c, const char *option, const char *word)
{
	if (strcmp(option, "--net") == 0)
		return net_option_net(&c->options, word, c->arena, &c->err);
	if (strcmp(option, "--publish") == 0)
		return net_option_publish(&c->options, word, c->arena, &c->err);
	if (strcmp(option, "--policy") == 0)
		return net_option_policy(&c->options, word, c->arena, &c->err);
	return net_option_rule(&c->options, word, strcmp(option, "--allow") == 0, c->arena, &c->err);
}

static const struct capsa_value *find(const struct capsa_value *values, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (values[i].name && strcmp(values[i].name, name) == 0)
			return &values[i];
	return NULL;
}

static const struct capsa_value *key(const struct command *c, const char *name)
{
	assert_int_equal(c->config->n_devices, 1);
	assert_string_equal(c->config->devices[0].plugin, "net-nat");
	return find(c->config->devices[0].values, c->config->devices[0].n_values, name);
}

/* `action=allow domain=x port=443`, in the order of the entry. */
static const char *rule_text(const struct capsa_value *rule, char *to, size_t room)
{
	size_t used = 0;

	*to = '\0';
	for (size_t i = 0; i < rule->n_items; i++) {
		const struct capsa_value *v = &rule->items[i];

		used += (size_t)(v->type == CAPSA_TYPE_INT ? snprintf(to + used, room - used, "%s%s=%d",
		                                                      used ? " " : "", v->name, (int)v->integer)
		                                           : snprintf(to + used, room - used, "%s%s=%s",
		                                                      used ? " " : "", v->name, v->string));
		assert_true(used < room);
	}
	return to;
}

static const struct capsa_value *policy_item(const struct command *c, const char *name)
{
	const struct capsa_value *policy = key(c, "policy");

	assert_non_null(policy);
	return find(policy->items, policy->n_items, name);
}

/* ---- */

static void test_without_a_word_there_is_no_network(void **state)
{
	struct command c;

	(void)state;
	begin(&c);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	assert_int_equal(give(&c, "--net", "none"), 0);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	assert_int_equal(c.config->n_devices, 0);
	end(&c);
}

static void test_nat_is_a_device_without_rules_of_its_own(void **state)
{
	struct command c;

	(void)state;
	begin(&c);
	assert_int_equal(give(&c, "--net", "nat"), 0);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	assert_null(key(&c, "policy"));
	assert_null(key(&c, "forward"));
	end(&c);
}

static void test_published_ports_are_passed_on_and_mean_nat(void **state)
{
	static const char *const good[] = { "8080:80",        "tcp:8080:80",       "udp:5353:53",
		                            "0:22",           "127.0.0.1:8080:80", "tcp:192.0.2.1:1:65535",
		                            "udp:[::1]:0:22", "[::]:8080:80" };
	const size_t n = sizeof good / sizeof *good;
	const struct capsa_value *forward;
	struct command c;

	(void)state;
	begin(&c);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(give(&c, "--publish", good[i]), 0);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	forward = key(&c, "forward");
	assert_int_equal(forward->n_items, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(forward->items[i].string, good[i]);
	end(&c);
}

static void test_published_ports_that_cannot_be_are_refused(void **state)
{
	static const char *const bad[] = {
		"",           "80",       ":",           "8080:",           ":80",        "8080:0",
		"65536:80",   "80:65536", "-1:80",       "sctp:80:80",      "host:80:80", "::1:80:80",
		"[::1:80:80", "[]:80:80", "1.2.3:80:80", "[1.2.3.4]:80:80", "80:80\"",    "80:80 ",
		"tcp:",       "+1:80",    "8 0:80"
	};
	struct command c;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		begin(&c);
		if (give(&c, "--publish", bad[i]) != -EINVAL || strncmp(c.err.text, "--publish: ", 11) != 0)
			fail_msg("\"%s\": %s", bad[i], c.err.text);
		end(&c);
	}
}

static void test_matchers_become_rules(void **state)
{
	static const struct {
		const char *word, *rule;
	} pairs[] = {
		{ "domain:*.debian.org:443", "action=allow port=443 domain=*.debian.org" },
		{ "domain:api.example.com", "action=allow domain=api.example.com" },
		{ "domain:irc.example.com.:6660-6669", "action=allow ports=6660-6669 domain=irc.example.com." },
		{ "cidr:203.0.113.0/24", "action=allow cidr=203.0.113.0/24" },
		{ "cidr:203.0.113.0/24:80", "action=allow port=80 cidr=203.0.113.0/24" },
		{ "cidr:2001:db8::/32:443", "action=allow port=443 cidr=2001:db8::/32" },
		{ "cidr:[2001:db8::/32]:443", "action=allow port=443 cidr=2001:db8::/32" },
		{ "cidr:::/0", "action=allow cidr=::/0" },
		{ "ip:192.0.2.1", "action=allow ip=192.0.2.1" },
		{ "ip:192.0.2.1:22", "action=allow port=22 ip=192.0.2.1" },
		{ "ip:2001:db8::1", "action=allow ip=2001:db8::1" },
		{ "ip:[2001:db8::1]", "action=allow ip=2001:db8::1" },
		{ "ip:[2001:db8::1]:443", "action=allow port=443 ip=2001:db8::1" },
		{ "group:private", "action=allow group=private" },
		{ "group:host:8000", "action=allow port=8000 group=host" },
		{ "port:53", "action=allow port=53" },
		{ "port:0080", "action=allow port=80" },
		{ "port:1-65535", "action=allow ports=1-65535" },
		{ "protocol:icmp", "action=allow protocol=icmp" },
		{ "cidr:10.0.0.0/8,protocol:udp,port:53", "action=allow cidr=10.0.0.0/8 protocol=udp port=53" },
	};
	const size_t n = sizeof pairs / sizeof *pairs;
	const struct capsa_value *rules;
	struct command c;
	char text[256];

	(void)state;
	begin(&c);
	for (size_t i = 0; i < n; i++)
		if (give(&c, "--allow", pairs[i].word))
			fail_msg("%s", c.err.text);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	rules = policy_item(&c, "rules");
	assert_int_equal(rules->n_items, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(rule_text(&rules->items[i], text, sizeof text), pairs[i].rule);
	end(&c);
}

static void test_matchers_that_cannot_be_are_refused(void **state)
{
	static const char *const bad[] = { "",
		                           "debian.org",
		                           "domain:",
		                           "domain:*",
		                           "domain:*.",
		                           "domain:a..b",
		                           "domain:.a",
		                           "domain:a b",
		                           "domain:a\"b",
		                           "domain:a:0",
		                           "domain:a:",
		                           "domain:a:https",
		                           "domain:a:65536",
		                           "domain:a*.b",
		                           "ip:",
		                           "ip:1.2.3",
		                           "ip:1.2.3.4:0",
		                           "ip:[::1",
		                           "ip:[::1]443",
		                           "ip:1.2.3.4/8",
		                           "cidr:10.0.0.0",
		                           "cidr:10.0.0.0/33",
		                           "cidr:10.0.0.0/",
		                           "cidr:/8",
		                           "cidr:2001:db8::/129",
		                           "cidr:10.0.0.0/8/8",
		                           "group:",
		                           "group:all",
		                           "port:",
		                           "port:9-8",
		                           "port:0",
		                           "port:-1",
		                           "port:1-",
		                           "protocol:sctp",
		                           "protocol:",
		                           "port:1,port:2",
		                           "domain:a:1,port:2",
		                           "ip:1.2.3.4,ip:1.2.3.5",
		                           "port:1,",
		                           ",port:1",
		                           "country:de" };
	struct command c;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		begin(&c);
		if (give(&c, "--deny", bad[i]) != -EINVAL || strncmp(c.err.text, "--deny: ", 8) != 0)
			fail_msg("\"%s\": %s", bad[i], c.err.text);
		end(&c);
	}
}

static void test_rules_stay_in_order_and_an_allow_denies_the_rest(void **state)
{
	const struct capsa_value *rules;
	struct command c;
	char text[256];

	(void)state;
	begin(&c);
	assert_int_equal(give(&c, "--deny", "ip:192.0.2.1"), 0);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	assert_string_equal(policy_item(&c, "default")->string, "allow");
	end(&c);
	begin(&c);
	assert_int_equal(give(&c, "--deny", "ip:192.0.2.1"), 0);
	assert_int_equal(give(&c, "--allow", "cidr:192.0.2.0/24"), 0);
	assert_int_equal(give(&c, "--deny", "port:25"), 0);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	assert_string_equal(policy_item(&c, "default")->string, "deny");
	rules = policy_item(&c, "rules");
	assert_string_equal(rule_text(&rules->items[0], text, sizeof text), "action=deny ip=192.0.2.1");
	assert_string_equal(rule_text(&rules->items[1], text, sizeof text), "action=allow cidr=192.0.2.0/24");
	assert_string_equal(rule_text(&rules->items[2], text, sizeof text), "action=deny port=25");
	end(&c);
}

static void test_a_file_of_rules_keeps_its_lines(void **state)
{
	char path[] = "/tmp/capsa-net-option.XXXXXX";
	static const char text[] = "default = \"deny\";\nrules = (\n  { action = \"allow\"; port = 443; }\n);\n";
	int fd = mkstemp(path);
	const struct capsa_value *rules;
	struct command c;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
	close(fd);
	begin(&c);
	assert_int_equal(give(&c, "--policy", path), 0);
	if (net_options_add(&c.options, c.config, &c.err))
		fail_msg("%s", c.err.text);
	assert_string_equal(policy_item(&c, "default")->string, "deny");
	rules = policy_item(&c, "rules");
	assert_string_equal(rules->items[0].file, path);
	assert_int_equal(rules->items[0].line, 3);
	assert_int_equal(give(&c, "--allow", "port:1"), -EINVAL);
	assert_int_equal(give(&c, "--policy", path), -EINVAL);
	end(&c);
	unlink(path);
	begin(&c);
	assert_int_equal(give(&c, "--policy", path), -ENOENT);
	assert_non_null(strstr(c.err.text, path));
	end(&c);
}

static void test_what_contradicts_is_refused(void **state)
{
	static const char *const mean_nat[][2] = { { "--publish", "1:1" },
		                                   { "--allow", "port:1" },
		                                   { "--deny", "port:1" },
		                                   { "--policy", "/dev/null" },
		                                   { "--net", "nat" } };
	struct command c;

	(void)state;
	for (size_t i = 0; i < sizeof mean_nat / sizeof *mean_nat; i++) {
		begin(&c);
		assert_int_equal(give(&c, mean_nat[i][0], mean_nat[i][1]), 0);
		assert_int_equal(give(&c, "--net", "none"), -EINVAL);
		end(&c);
		begin(&c);
		assert_int_equal(give(&c, "--net", "none"), 0);
		assert_int_equal(give(&c, mean_nat[i][0], mean_nat[i][1]), -EINVAL);
		end(&c);
	}
	begin(&c);
	assert_int_equal(give(&c, "--net", "tap"), -EINVAL);
	assert_non_null(strstr(c.err.text, "--net: \"tap\""));
	end(&c);
}

static void test_a_network_of_the_file_is_not_changed(void **state)
{
	struct command c;

	(void)state;
	begin(&c);
	assert_int_equal(config_add_device(c.config, "plugin = \"net-nat\";", "my.conf", &c.err), 0);
	assert_int_equal(give(&c, "--net", "nat"), 0);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), 0);
	assert_int_equal(c.config->n_devices, 1);
	assert_int_equal(give(&c, "--allow", "port:1"), 0);
	assert_int_equal(net_options_add(&c.options, c.config, &c.err), -EEXIST);
	assert_non_null(strstr(c.err.text, "my.conf"));
	end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_word_there_is_no_network),
		cmocka_unit_test(test_nat_is_a_device_without_rules_of_its_own),
		cmocka_unit_test(test_published_ports_are_passed_on_and_mean_nat),
		cmocka_unit_test(test_published_ports_that_cannot_be_are_refused),
		cmocka_unit_test(test_matchers_become_rules),
		cmocka_unit_test(test_matchers_that_cannot_be_are_refused),
		cmocka_unit_test(test_rules_stay_in_order_and_an_allow_denies_the_rest),
		cmocka_unit_test(test_a_file_of_rules_keeps_its_lines),
		cmocka_unit_test(test_what_contradicts_is_refused),
		cmocka_unit_test(test_a_network_of_the_file_is_not_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
