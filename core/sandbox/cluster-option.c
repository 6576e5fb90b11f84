/* SPDX-License-Identifier: MIT */
/*
 * cluster-option.c - see cluster-option.h. Called by core/cli/machine-options.c and sandbox-plan.c; pure. What gets
 * into the entry has passed a check of its characters, so that nothing needs quotes.
 */
#include "core/sandbox/cluster-option.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/cluster-switch/cluster.h"

#define PLUGIN "cluster-switch"
#define MTU_MIN 68ul
#define MTU_MAX 65535ul

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory");
}

/* ---- values ---- */

static bool is_number(const char *text, unsigned long min, unsigned long max)
{
	size_t len = strlen(text);

	return len > 0 && len <= 5 && strspn(text, "0123456789") == len && strtoul(text, NULL, 10) >= min &&
	       strtoul(text, NULL, 10) <= max;
}

static bool is_prefix(const char *text, int family, unsigned long bits_max)
{
	char address[INET6_ADDRSTRLEN];
	unsigned char bytes[16];
	size_t len = strcspn(text, "/");

	if (len >= sizeof address || !text[len])
		return false;
	snprintf(address, sizeof address, "%.*s", (int)len, text);
	return inet_pton(family, address, bytes) == 1 && is_number(text + len + 1, 1, bits_max);
}

static bool is_prefix4(const char *text)
{
	return is_prefix(text, AF_INET, 32);
}

static bool is_prefix6(const char *text)
{
	return is_prefix(text, AF_INET6, 128);
}

static bool is_mac(const char *text)
{
	for (unsigned i = 0; i < 17; i++)
		if (!text[i] || (i % 3 == 2 ? text[i] != ':' : !strchr("0123456789abcdefABCDEF", text[i])))
			return false;
	return !text[17];
}

static bool is_mtu(const char *text)
{
	return is_number(text, MTU_MIN, MTU_MAX);
}

/* A key that has no example is a word of its own, and means true. */
static const struct {
	const char *key;
	bool (*is_valid)(const char *text);
	const char *quote;
	const char *example;
} keys[] = {
	{ "address", is_prefix4, "\"", "10.0.3.11/24" },
	{ "subnet", is_prefix4, "\"", "10.0.3.0/24" },
	{ "subnet6", is_prefix6, "\"", "fd00:a:b:c::/64" },
	{ "mac", is_mac, "\"", "52:54:00:12:34:56" },
	{ "mtu", is_mtu, "", "1500" },
	{ "nat", NULL, "", NULL },
};

enum { N_KEYS = sizeof keys / sizeof *keys };

/* ---- the word ---- */

static int take_key(struct cluster_option *option, char *text, unsigned *has, struct arena *arena, struct error *err)
{
	const char *value = "true";
	char *equals = strchr(text, '=');
	unsigned i;

	if (equals)
		*equals = '\0';
	for (i = 0; i < N_KEYS && strcmp(keys[i].key, text) != 0; i++)
		;
	if (i == N_KEYS)
		return error_set(err, EINVAL,
		                 "--cluster %.64s: \"%.64s\" is unknown; write address=, subnet=, subnet6=, mac=, mtu= "
		                 "or nat, and all else into a file (capsa-cluster-switch(7))",
		                 option->name, text);
	if (*has & 1u << i)
		return error_set(err, EINVAL, "--cluster %.64s: %s is said twice", option->name, text);
	*has |= 1u << i;
	if (!keys[i].example && equals)
		return error_set(err, EINVAL, "--cluster %.64s: %s is a word of its own; leave \"=%.64s\" out",
		                 option->name, text, equals + 1);
	if (keys[i].example && !equals)
		return error_set(err, EINVAL, "--cluster %.64s: %s needs a value, such as %s=%s", option->name, text,
		                 text, keys[i].example);
	if (equals)
		value = equals + 1;
	if (keys[i].is_valid && !keys[i].is_valid(value))
		return error_set(err, EINVAL, "--cluster %.64s: \"%.64s\" cannot be its %s; write one such as %s",
		                 option->name, value, text, keys[i].example);
	/* "0080" would be octal, or no number. */
	if (!*keys[i].quote && equals)
		value += strspn(value, "0");
	option->keys = arena_format(arena, "%s %s = %s%s%s;", option->keys, text, keys[i].quote, value, keys[i].quote);
	return option->keys ? 0 : no_memory(err);
}

int cluster_option_add(struct cluster_options *options, const char *word, struct arena *arena, struct error *err)
{
	struct cluster_option *list = arena_alloc(arena, options->n + 1, sizeof *list), *option;
	char *copy = arena_strdup(arena, word), *piece;
	unsigned has = 0;
	int rc = 0;

	if (!list || !copy)
		return no_memory(err);
	if (options->n > 0)
		memcpy(list, options->list, options->n * sizeof *list);
	option = &list[options->n];
	option->label = arena_format(arena, "--cluster %s", word);
	option->keys = "";
	option->name = strsep(&copy, ",");
	if (!option->label)
		return no_memory(err);
	if (!config_name_is_valid(option->name) || strlen(option->name) > CLUSTER_NAME_MAX)
		return error_set(err, EINVAL,
		                 "--cluster: \"%.64s\" cannot be a cluster's name; it has up to %u letters, digits, "
		                 "\".\", \"_\" and \"-\", a letter or digit first",
		                 option->name, CLUSTER_NAME_MAX);
	for (size_t i = 0; i < options->n; i++)
		if (strcmp(options->list[i].name, option->name) == 0)
			return error_set(err, EINVAL, "--cluster: \"%s\" is said twice; a machine has one card in it",
			                 option->name);
	while (!rc && (piece = strsep(&copy, ",")))
		rc = take_key(option, piece, &has, arena, err);
	if (rc)
		return rc;
	options->list = list;
	options->n++;
	return 0;
}

/* ---- the devices ---- */

static const struct config_device *find_device(const struct config *config, const char *cluster)
{
	for (size_t i = 0; i < config->n_devices; i++) {
		const struct config_device *device = &config->devices[i];

		for (size_t v = 0; strcmp(device->plugin, PLUGIN) == 0 && v < device->n_values; v++)
			if (strcmp(device->values[v].name, "cluster") == 0 &&
			    device->values[v].type == CAPSA_TYPE_STRING &&
			    strcmp(device->values[v].string, cluster) == 0)
				return device;
	}
	return NULL;
}

static int add(const struct cluster_option *option, struct config *config, struct error *err)
{
	const struct config_device *theirs = find_device(config, option->name);
	const char *text, *label;

	if (theirs && *option->keys)
		return error_set(err, EEXIST, "%.200s: the machine is in that cluster already (%s:%u); say it there",
		                 option->label, theirs->file, theirs->line);
	if (theirs)
		return 0;
	text = arena_format(config->arena, "plugin = \"" PLUGIN "\"; cluster = \"%s\";%s", option->name, option->keys);
	label = arena_strdup(config->arena, option->label);
	return text && label ? config_add_device(config, text, label, err) : no_memory(err);
}

int cluster_options_add(const struct cluster_options *options, struct config *config, struct error *err)
{
	int rc = 0;

	for (size_t i = 0; !rc && i < options->n; i++)
		rc = add(&options->list[i], config, err);
	return rc;
}
