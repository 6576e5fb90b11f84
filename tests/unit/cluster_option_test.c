/* SPDX-License-Identifier: MIT */
/* cluster_option_test.c - the words of --cluster, and the devices that come of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/sandbox/cluster-option.h"
#include "core/sandbox/net-option.h"

struct command {
	struct arena *arena;
	struct cluster_options options;
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

static int give(struct command *c, const char *word)
{
	return cluster_option_add(&c->options, word, c->arena, &c->err);
}

/* "cluster=lab mtu=1400", in the order of the entry. */
static const char *device_text(const struct command *c, size_t index, char *to, size_t room)
{
	const struct config_device *device = &c->config->devices[index];
	size_t used = 0;

	assert_string_equal(device->plugin, "cluster-switch");
	*to = '\0';
	for (size_t i = 0; i < device->n_values; i++) {
		const struct capsa_value *v = &device->values[i];
		const char *space = used ? " " : "";

		if (v->type == CAPSA_TYPE_INT)
			used += (size_t)snprintf(to + used, room - used, "%s%s=%d", space, v->name, (int)v->integer);
		else if (v->type == CAPSA_TYPE_BOOL)
			used += (size_t)snprintf(to + used, room - used, "%s%s=%s", space, v->name,
			                         v->boolean ? "true" : "false");
		else
			used += (size_t)snprintf(to + used, room - used, "%s%s=%s", space, v->name, v->string);
		assert_true(used < room);
	}
	return to;
}

/* ---- */

static void test_without_a_word_there_is_no_card(void **state)
{
	struct command c;

	(void)state;
	begin(&c);
	assert_int_equal(cluster_options_add(&c.options, c.config, &c.err), 0);
	assert_int_equal(c.config->n_devices, 0);
	end(&c);
}

static void test_words_become_keys(void **state)
{
	static const struct {
		const char *word, *keys;
	} pairs[] = {
		{ "lab", "cluster=lab" },
		{ "a.b_c-9,nat", "cluster=a.b_c-9 nat=true" },
		{ "L,address=10.0.3.11/24", "cluster=L address=10.0.3.11/24" },
		{ "x,nat,subnet=10.9.0.0/16,mtu=01400", "cluster=x nat=true subnet=10.9.0.0/16 mtu=1400" },
		{ "y,subnet6=fd00:1::/64,mac=52:54:00:aB:cD:ef",
		  "cluster=y subnet6=fd00:1::/64 mac=52:54:00:aB:cD:ef" },
	};
	const size_t n = sizeof pairs / sizeof *pairs;
	struct command c;
	char text[256];

	(void)state;
	begin(&c);
	for (size_t i = 0; i < n; i++)
		if (give(&c, pairs[i].word))
			fail_msg("%s", c.err.text);
	if (cluster_options_add(&c.options, c.config, &c.err))
		fail_msg("%s", c.err.text);
	/* A card each. */
	assert_int_equal(c.config->n_devices, n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(device_text(&c, i, text, sizeof text), pairs[i].keys);
	end(&c);
}

static void test_words_that_cannot_be_are_refused(void **state)
{
	static const char *const bad[] = {
		"",
		",nat",
		"-a",
		".a",
		"a b",
		"a/b",
		"a\"b",
		"../a",
		"lab,",
		"lab,,nat",
		"lab,nat=true",
		"lab,nat,nat",
		"lab,dhcp",
		"lab,address",
		"lab,address=",
		"lab,address=10.0.3.1",
		"lab,address=10.0.3.1/33",
		"lab,address=10.0.3.1/0",
		"lab,address=10.0.3.1/24x",
		"lab,address=fd00::1/64",
		"lab,address=10.0.3.1/24\";spoof=true;\"",
		"lab,subnet=10.0.3/24",
		"lab,subnet=10.0.3.0/24/24",
		"lab,subnet6=10.0.3.0/24",
		"lab,subnet6=fd00::/129",
		"lab,mac=52:54:00:12:34",
		"lab,mac=52:54:00:12:34:56:78",
		"lab,mac=52-54-00-12-34-56",
		"lab,mac=52:54:00:12:34:5g",
		"lab,mtu=67",
		"lab,mtu=65536",
		"lab,mtu=-1",
		"lab,mtu=1e3",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /* 64 */
	};
	struct command c;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		begin(&c);
		if (give(&c, bad[i]) != -EINVAL || strncmp(c.err.text, "--cluster", 9) != 0 || c.options.n)
			fail_msg("\"%s\": %s", bad[i], c.err.text);
		end(&c);
	}
}

static void test_a_machine_has_one_card_in_a_cluster(void **state)
{
	struct command c;

	(void)state;
	begin(&c);
	assert_int_equal(give(&c, "lab"), 0);
	assert_int_equal(give(&c, "lab,nat"), -EINVAL);
	assert_non_null(strstr(c.err.text, "\"lab\" is said twice"));
	assert_int_equal(give(&c, "lab2"), 0);
	end(&c);
}

static void test_a_card_of_the_file_is_not_changed(void **state)
{
	char text[256];
	struct command c;

	(void)state;
	begin(&c);
	assert_int_equal(
		config_add_device(c.config, "plugin = \"cluster-switch\"; cluster = \"lab\";", "my.conf", &c.err), 0);
	assert_int_equal(give(&c, "lab"), 0);
	assert_int_equal(give(&c, "other"), 0);
	assert_int_equal(cluster_options_add(&c.options, c.config, &c.err), 0);
	assert_int_equal(c.config->n_devices, 2);
	assert_string_equal(device_text(&c, 1, text, sizeof text), "cluster=other");
	end(&c);
	begin(&c);
	assert_int_equal(
		config_add_device(c.config, "plugin = \"cluster-switch\"; cluster = \"lab\";", "my.conf", &c.err), 0);
	assert_int_equal(give(&c, "lab,nat"), 0);
	assert_int_equal(cluster_options_add(&c.options, c.config, &c.err), -EEXIST);
	assert_non_null(strstr(c.err.text, "--cluster lab,nat: "));
	assert_non_null(strstr(c.err.text, "my.conf"));
	end(&c);
}

static void test_it_goes_with_a_network_behind_the_host(void **state)
{
	struct net_options net = { 0 };
	char text[256];
	struct command c;

	(void)state;
	begin(&c);
	assert_int_equal(net_option_net(&net, "nat", c.arena, &c.err), 0);
	assert_int_equal(give(&c, "lab"), 0);
	assert_int_equal(net_options_add(&net, c.config, &c.err), 0);
	assert_int_equal(cluster_options_add(&c.options, c.config, &c.err), 0);
	assert_int_equal(c.config->n_devices, 2);
	assert_string_equal(c.config->devices[0].plugin, "net-nat");
	assert_string_equal(device_text(&c, 1, text, sizeof text), "cluster=lab");
	end(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_a_word_there_is_no_card),
		cmocka_unit_test(test_words_become_keys),
		cmocka_unit_test(test_words_that_cannot_be_are_refused),
		cmocka_unit_test(test_a_machine_has_one_card_in_a_cluster),
		cmocka_unit_test(test_a_card_of_the_file_is_not_changed),
		cmocka_unit_test(test_it_goes_with_a_network_behind_the_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
