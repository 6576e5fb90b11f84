/* SPDX-License-Identifier: MIT */
/*
 * net-option.c - see net-option.h. Called by core/cli/machine-options.c and sandbox-plan.c; pure but for a look at the
 * file of --policy. What gets into the entry has passed a check of its characters, so that nothing needs quotes.
 */
#include "core/sandbox/net-option.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/config/read.h"
#include "core/config/value.h"

#define PLUGIN "net-nat"
#define WORD_MAX 512u
#define DOMAIN_MAX 253u
#define PORT_MAX 65535ul

static const char domain_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
static const char *const groups[] = { "private", "loopback", "link-local", "metadata", "host", "multicast", NULL };
static const char *const protocols[] = { "tcp", "udp", "icmp", NULL };

static int no_memory(struct error *err)
{
	return error_set(err, ENOMEM, "no memory");
}

static bool is_one_of(const char *word, const char *const *words)
{
	while (*words)
		if (strcmp(*words++, word) == 0)
			return true;
	return false;
}

/* Digits up to `end`, and nothing else. */
static bool parse_port(const char *text, const char *end, unsigned long min, unsigned long *out)
{
	const size_t len = (size_t)(end - text);

	if (len < 1 || len > 5 || strspn(text, "0123456789") < len)
		return false;
	*out = strtoul(text, NULL, 10);
	return *out >= min && *out <= PORT_MAX;
}

static bool is_address(const char *text)
{
	unsigned char bytes[16];

	return inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, bytes) == 1;
}

/* What makes it a network; a list's next item. */
static int keep(struct net_options *options, const char *option, const char *word, const char **list, const char *item,
                struct arena *arena, struct error *err)
{
	if (!options->first)
		options->first = arena_format(arena, "%s %s", option, word);
	if (list)
		*list = *list ? arena_format(arena, "%s, %s", *list, item) : arena_strdup(arena, item);
	return !options->first || (list && !*list) ? no_memory(err) : 0;
}

int net_option_net(struct net_options *options, const char *word, struct arena *arena, struct error *err)
{
	bool nat = strcmp(word, "nat") == 0;

	if (!nat && strcmp(word, "none") != 0)
		return error_set(err, EINVAL, "--net: \"%.64s\" is unknown; write \"nat\" or \"none\"", word);
	if (options->none && nat)
		return error_set(err, EINVAL, "--net: \"none\" or \"nat\"? It is said twice");
	if (!nat && options->first)
		return error_set(err, EINVAL, "--net none: what is \"%.200s\" for then? Leave one of them out",
		                 options->first);
	options->none = !nat;
	options->nat = nat;
	return nat ? keep(options, "--net", word, NULL, NULL, arena, err) : 0;
}

static int check_wanted(const struct net_options *options, const char *option, struct error *err)
{
	return options->none ? error_set(err, EINVAL, "%s: not with --net none; leave one of them out", option) : 0;
}

/* ---- --publish ---- */

int net_option_publish(struct net_options *options, const char *word, struct arena *arena, struct error *err)
{
	const char *at = word, *guest, *host;
	char item[WORD_MAX + 3], address[64] = "";
	unsigned long port;
	size_t len;
	int rc = check_wanted(options, "--publish", err);

	if (rc)
		return rc;
	if (strlen(word) >= WORD_MAX)
		goto wrong;
	if (strncmp(at, "tcp:", 4) == 0 || strncmp(at, "udp:", 4) == 0)
		at += 4;
	guest = strrchr(at, ':');
	if (!guest)
		return error_set(err, EINVAL,
		                 "--publish: \"%.64s\": which port of the guest? Write HOST:GUEST, such as \"8080:80\"",
		                 word);
	for (host = guest; host > at && host[-1] != ':'; host--)
		;
	if (!parse_port(host, guest, 0, &port) || !parse_port(guest + 1, guest + strlen(guest), 1, &port))
		return error_set(
			err, EINVAL,
			"--publish: \"%.64s\": HOST is a port from 0 (any that is free) to 65535, GUEST one from "
			"1 to 65535",
			word);
	if (host > at) {
		len = (size_t)(host - 1 - at);
		if (len > 1 && *at == '[' && at[len - 1] == ']' && len < sizeof address)
			snprintf(address, sizeof address, "%.*s", (int)len - 2, at + 1);
		else if (len < sizeof address && !memchr(at, ':', len))
			snprintf(address, sizeof address, "%.*s", (int)len, at);
		if ((*at == '[') != (strchr(address, ':') != NULL) || !is_address(address))
			goto wrong;
	}
	snprintf(item, sizeof item, "\"%s\"", word);
	return keep(options, "--publish", word, &options->forward, item, arena, err);
wrong:
	return error_set(err, EINVAL,
	                 "--publish: \"%.64s\": write [tcp:|udp:][ADDR:]HOST:GUEST, such as \"8080:80\" or "
	                 "\"udp:[::1]:5353:53\"",
	                 word);
}

/* ---- --allow and --deny ---- */

/* One rule. Once `rc` is set nothing changes any more. */
struct rule {
	const char *option, *word; /* for messages */
	struct arena *arena;
	struct error *err;
	int rc;
	const char *keys;
	unsigned has; /* a bit for each of kinds[], so that none comes twice */
};

__attribute__((format(printf, 2, 3))) static void wrong(struct rule *r, const char *fmt, ...)
{
	va_list args;

	if (r->rc)
		return;
	va_start(args, fmt);
	r->rc = error_vset(r->err, EINVAL, fmt, args);
	va_end(args);
	error_prefix(r->err, 0, "%s: \"%.200s\": ", r->option, r->word);
}

static void add_key(struct rule *r, const char *key, const char *quote, const char *value)
{
	if (r->rc)
		return;
	r->keys = arena_format(r->arena, "%s %s = %s%s%s;", r->keys, key, quote, value, quote);
	if (!r->keys)
		r->rc = no_memory(r->err);
}

enum { KIND_PORT = 4 }; /* its place in kinds[] */

static void take_once(struct rule *r, unsigned kind)
{
	if (r->has & 1u << kind)
		wrong(r, "the same is said twice; a rule each");
	r->has |= 1u << kind;
}

static void take_ports(struct rule *r, const char *text)
{
	const char *dash = strchr(text, '-'), *end = text + strlen(text);
	unsigned long from, to;

	take_once(r, KIND_PORT);
	if (!parse_port(text, dash ? dash : end, 1, &from) ||
	    (dash && (!parse_port(dash + 1, end, 1, &to) || to < from)))
		wrong(r, "\"%.64s\" is no port; write one such as 443, or 6660-6669", text);
	else if (dash)
		add_key(r, "ports", "\"", text);
	else
		add_key(r, "port", "", text + (strspn(text, "0") < strlen(text) ? strspn(text, "0") : 0));
}

/* Ends `text` where the ports begin, which it takes. */
static void split_ports(struct rule *r, char *colon)
{
	*colon = '\0';
	take_ports(r, colon + 1);
}

static void take_domain(struct rule *r, char *text)
{
	char *colon = strchr(text, ':');
	const char *name = text;

	if (colon)
		split_ports(r, colon);
	if (strncmp(name, "*.", 2) == 0)
		name += 2;
	if (!*name || *name == '.' || strlen(name) > DOMAIN_MAX || strspn(name, domain_characters) != strlen(name) ||
	    strstr(name, ".."))
		wrong(r, "\"%.64s\" is no domain; write one such as \"api.example.com\" or \"*.example.com\"", text);
	add_key(r, "domain", "\"", text);
}

/* "[ADDRESS]" and "[ADDRESS]:PORTS" without the brackets; else what stands behind the last ":" of those that belong to
 * no IPv6 address. */
static char *take_bracketed(struct rule *r, char *text)
{
	char *close = strchr(text, ']');

	if (!close || (close[1] && close[1] != ':')) {
		wrong(r, "write \"[ADDRESS]:PORT\", such as \"[2001:db8::1]:443\"");
		return text;
	}
	if (close[1])
		split_ports(r, close + 1);
	*close = '\0';
	return text + 1;
}

static void take_ip(struct rule *r, char *text)
{
	char *colon;

	if (*text == '[')
		text = take_bracketed(r, text);
	else if (!is_address(text) && (colon = strrchr(text, ':')))
		split_ports(r, colon);
	if (!is_address(text))
		wrong(r,
		      "\"%.64s\" is no address; write one such as \"192.0.2.1\" or \"2001:db8::1\", with a port "
		      "\"[2001:db8::1]:443\"",
		      text);
	add_key(r, "ip", "\"", text);
}

static void take_cidr(struct rule *r, char *text)
{
	char address[64] = "", *slash, *colon;
	unsigned long bits;

	if (*text == '[')
		text = take_bracketed(r, text);
	slash = strchr(text, '/');
	colon = slash ? strchr(slash, ':') : NULL;
	if (colon)
		split_ports(r, colon);
	if (slash && (size_t)(slash - text) < sizeof address)
		snprintf(address, sizeof address, "%.*s", (int)(slash - text), text);
	if (!is_address(address) || !parse_port(slash + 1, slash + strlen(slash), 0, &bits) ||
	    bits > (strchr(address, ':') ? 128u : 32u))
		wrong(r, "\"%.64s\" is no network; write one such as \"203.0.113.0/24\" or \"2001:db8::/32\"", text);
	add_key(r, "cidr", "\"", text);
}

static void take_group(struct rule *r, char *text)
{
	char *colon = strchr(text, ':');

	if (colon)
		split_ports(r, colon);
	if (!is_one_of(text, groups))
		wrong(r, "\"%.64s\" is no group; there are private, loopback, link-local, metadata, host and multicast",
		      text);
	add_key(r, "group", "\"", text);
}

static void take_port(struct rule *r, char *text)
{
	take_ports(r, text);
}

static void take_protocol(struct rule *r, char *text)
{
	if (!is_one_of(text, protocols))
		wrong(r, "\"%.64s\" is no protocol; there are tcp, udp and icmp", text);
	add_key(r, "protocol", "\"", text);
}

static const struct {
	const char *word;
	void (*take)(struct rule *rule, char *text);
} kinds[] = {
	{ "domain:", take_domain },
	{ "ip:", take_ip },
	{ "cidr:", take_cidr },
	{ "group:", take_group },
	[KIND_PORT] = { "port:", take_port },
	{ "protocol:", take_protocol },
};

static void take_matcher(struct rule *r, char *text)
{
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		size_t n = strlen(kinds[i].word);

		if (strncmp(text, kinds[i].word, n) != 0)
			continue;
		if (i != KIND_PORT)
			take_once(r, i);
		kinds[i].take(r, text + n);
		return;
	}
	wrong(r,
	      "write what it is: domain:NAME, ip:ADDRESS, cidr:NETWORK, group:GROUP, port:PORT or protocol:PROTOCOL");
}

int net_option_rule(struct net_options *options, const char *word, bool allow, struct arena *arena, struct error *err)
{
	struct rule r = { .option = allow ? "--allow" : "--deny", .word = word, .arena = arena, .err = err };
	char *copy = arena_strdup(arena, word), *piece;

	r.keys = arena_format(arena, "action = \"%s\";", allow ? "allow" : "deny");
	if (!copy || !r.keys)
		return no_memory(err);
	r.rc = check_wanted(options, r.option, err);
	if (!r.rc && options->policy)
		wrong(&r, "not with --policy, which has all the rules; leave one of them out");
	while (!r.rc && (piece = strsep(&copy, ",")))
		take_matcher(&r, piece);
	if (r.rc)
		return r.rc;
	options->has_allow |= allow;
	r.keys = arena_format(arena, "{ %s }", r.keys);
	return r.keys ? keep(options, r.option, word, &options->rules, r.keys, arena, err) : no_memory(err);
}

/* ---- --policy ---- */

int net_option_policy(struct net_options *options, const char *file, struct arena *arena, struct error *err)
{
	char *folder = NULL;
	int rc = check_wanted(options, "--policy", err);

	if (rc)
		return rc;
	if (options->policy)
		return error_set(err, EINVAL, "--policy: it is given twice; one file has all the rules");
	if (options->rules)
		return error_set(err, EINVAL, "--policy: not with --allow or --deny; write those into \"%.200s\"",
		                 file);
	if (*file != '/') {
		folder = getcwd(NULL, 0);
		if (!folder)
			return error_set(err, errno,
			                 "--policy: the working folder is gone; write a path that begins with \"/\"");
	}
	options->policy = value_absolute_path(folder ? folder : "/", file, arena);
	free(folder);
	if (!options->policy)
		return no_memory(err);
	/* Said here, with the option: the reader would say that an @include failed. */
	if (access(options->policy, R_OK))
		return error_set(err, errno, "--policy: %.400s: %s", options->policy, strerror(errno));
	return keep(options, "--policy", file, NULL, NULL, arena, err);
}

/* ---- the device ---- */

static const struct config_device *find_device(const struct config *config)
{
	for (size_t i = 0; i < config->n_devices; i++)
		if (strcmp(config->devices[i].plugin, PLUGIN) == 0)
			return &config->devices[i];
	return NULL;
}

/* What stands in the file is the device's `policy`: it keeps file and line. */
static int add_policy(struct config *config, const char *file, struct error *err)
{
	const size_t n = config->n_devices;
	struct config_device *devices = arena_alloc(config->arena, n, sizeof *devices), *device;
	struct capsa_value *values = arena_alloc(config->arena, config->devices[n - 1].n_values + 1, sizeof *values),
			   *policy;
	int rc;

	if (!devices || !values)
		return no_memory(err);
	memcpy(devices, config->devices, n * sizeof *devices);
	device = &devices[n - 1];
	if (device->n_values > 0)
		memcpy(values, device->values, device->n_values * sizeof *values);
	policy = &values[device->n_values];
	rc = read_config_file(file, config->arena, policy, err);
	if (rc)
		return rc;
	policy->name = "policy";
	policy->file = arena_strdup(config->arena, file);
	device->values = values;
	device->n_values++;
	config->devices = devices;
	return policy->file ? 0 : no_memory(err);
}

int net_options_add(const struct net_options *options, struct config *config, struct error *err)
{
	const struct config_device *theirs = find_device(config);
	const char *text = "plugin = \"" PLUGIN "\";", *label;
	int rc;

	if (theirs && (options->none || options->forward || options->rules || options->policy))
		return error_set(err, EEXIST, "%.200s: the machine has a network already (%s:%u); say it there",
		                 options->none ? "--net none" : options->first, theirs->file, theirs->line);
	if (theirs || !options->first)
		return 0;
	if (options->forward)
		text = arena_format(config->arena, "%s forward = ( %s );", text, options->forward);
	if (text && options->rules)
		text = arena_format(config->arena, "%s policy = { default = \"%s\"; rules = ( %s ); };", text,
		                    options->has_allow ? "deny" : "allow", options->rules);
	label = arena_strdup(config->arena, options->first);
	rc = text && label ? config_add_device(config, text, label, err) : no_memory(err);
	if (!rc && options->policy)
		rc = add_policy(config, options->policy, err);
	return rc;
}
