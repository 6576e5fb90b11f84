/* SPDX-License-Identifier: MIT */
/*
 * options.c - see options.h. The core has checked types, limits and choices; what is left are addresses, names and
 * what stands inside of lists and groups. Rules of `policy` are policy-read.c's to read.
 */
#include "plugins/net-nat/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plugins/cause.h"
#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/forward.h"
#include "plugins/net-nat/names.h"
#include "plugins/net-nat/policy.h"

#define IPV4_BITS 96u /* of a mapped address, in front of its own (address.h) */
#define SUBNET_BITS_MIN 8u
#define SUBNET_BITS_MAX 30u /* network, gateway, guest, broadcast */
#define SUBNET6_BITS 64u    /* what SLAAC wants (RFC 4862) */
#define HOST_NAME_MAX_LEN 63u
#define RATE_MIN 1024u
#define RATE_MAX (INT64_C(1) << 40)

/* ---- the card ---- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool take_mac(const char *text, unsigned char mac[ETH_ALEN])
{
	for (unsigned i = 0; i < ETH_ALEN; i++) {
		int high = hex_digit(text[0]);
		int low = high < 0 ? -1 : hex_digit(text[1]);

		if (low < 0 || text[2] != (i + 1 < ETH_ALEN ? ':' : '\0'))
			return false;
		mac[i] = (unsigned char)(high << 4 | low);
		text += 3;
	}
	return true;
}

static int read_mac(const struct cause *cause, const struct capsa_value *value, struct options *options)
{
	static const unsigned char none[ETH_ALEN];

	options->has_mac = is_given(value);
	if (!options->has_mac)
		return 0;
	if (!take_mac(value->string, options->mac))
		return refuse(cause,
		              "mac \"%.40s\" is no hardware address; write six bytes, as in \"52:54:00:12:34:56\"",
		              value->string);
	if (options->mac[0] & 1 || memcmp(options->mac, none, ETH_ALEN) == 0)
		return refuse(cause, "mac \"%s\" is no address of one card; choose one whose first byte is 02 or 52",
		              value->string);
	return 0;
}

/* ---- addresses and names ---- */

static bool is_subnet(const struct net_prefix *p)
{
	const struct in6_addr *a = &p->address;

	return !net_is_loopback(a) && !net_is_link_local(a) && !net_is_multicast(a) && !net_is_unspecified(a);
}

static int read_subnets(const struct cause *cause, const struct options_values *values, struct options *options)
{
	const char *four = values->subnet->string, *six = values->subnet6->string;
	struct net_prefix *p = &options->subnet;

	if (net_prefix_parse(four, p) < 0 || !net_is_ipv4(&p->address))
		return refuse(cause, "subnet \"%.64s\" is no IPv4 network; write one as \"10.0.2.0/24\"", four);
	if (p->bits < IPV4_BITS + SUBNET_BITS_MIN || p->bits > IPV4_BITS + SUBNET_BITS_MAX)
		return refuse(cause, "subnet \"%s\" is too %s; /%u to /%u are possible", four,
		              p->bits > IPV4_BITS + SUBNET_BITS_MAX ? "small" : "large", SUBNET_BITS_MIN,
		              SUBNET_BITS_MAX);
	if (!is_subnet(p))
		return refuse(cause, "subnet \"%s\" has another meaning; choose a private one, as \"192.168.77.0/24\"",
		              four);
	p = &options->subnet6;
	if (net_prefix_parse(six, p) < 0 || net_is_ipv4(&p->address) || p->bits != SUBNET6_BITS)
		return refuse(cause,
		              "subnet6 \"%.64s\" is no IPv6 network of 64 bits; write one as \"fd00:1:2:3::/64\"", six);
	if (!is_subnet(p))
		return refuse(cause, "subnet6 \"%s\" has another meaning; choose a private one, as \"fd00:1:2:3::/64\"",
		              six);
	return 0;
}

/* Letters, digits and hyphens between dots (RFC 1123, 2.1). */
static int read_host_name(const struct cause *cause, const struct capsa_value *value, struct options *options)
{
	const char *name = is_given(value) ? value->string : NULL;
	char normal[POLICY_NAME_MAX];

	options->host_name = name;
	if (!name)
		return 0;
	if (strlen(name) > HOST_NAME_MAX_LEN)
		return refuse(cause, "host_name has %zu bytes; at most %u are possible", strlen(name),
		              HOST_NAME_MAX_LEN);
	if (!name[0] || name[0] == '-' || name[strlen(name) - 1] == '-' ||
	    names_normal(name, normal, sizeof normal) < 0 ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") != strlen(name))
		return refuse(cause, "host_name \"%s\" is none; use letters, digits, hyphens and dots between them",
		              name);
	return 0;
}

/* The text of item i, or NULL with the cause. */
static const char *item_text(const struct cause *cause, const struct capsa_value *list, size_t i, const char *key,
                             const char *example)
{
	if (list->items[i].type == CAPSA_TYPE_STRING)
		return list->items[i].string;
	refuse(cause, "%s: each entry is a text in quotes, as \"%s\"", key, example);
	return NULL;
}

/* "1.2.3.4", "1.2.3.4:53", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:53". */
static bool take_server(const char *text, struct net_endpoint *out)
{
	char address[NET_ENDPOINT_TEXT];
	const char *port = NULL;
	const char *end = text + strlen(text);
	unsigned long n = 0;

	if (text[0] == '[') {
		end = strchr(++text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		port = end[1] ? end + 2 : NULL;
	} else if (strchr(text, ':') && strchr(text, ':') == strrchr(text, ':')) {
		end = strchr(text, ':');
		port = end + 1;
	}
	if ((size_t)(end - text) >= sizeof address)
		return false;
	memcpy(address, text, (size_t)(end - text));
	address[end - text] = '\0';
	if (net_address_parse(address, &out->address) < 0)
		return false;
	out->port = DNS_PORT;
	if (!port)
		return true;
	if (!*port || strlen(port) > 5)
		return false;
	for (; *port; port++) {
		if (*port < '0' || *port > '9')
			return false;
		n = n * 10 + (unsigned long)(*port - '0');
	}
	out->port = (uint16_t)n;
	return n > 0 && n <= UINT16_MAX;
}

static int read_dns(const struct cause *cause, const struct capsa_value *value, struct options *options)
{
	for (size_t i = 0; i < value->n_items; i++) {
		const char *text = item_text(cause, value, i, "dns", "192.0.2.53");
		struct net_endpoint *server;

		if (!text)
			return -EINVAL;
		if (i == OPTIONS_DNS_MAX)
			return refuse(cause, "dns has %zu servers; at most %u are possible", value->n_items,
			              OPTIONS_DNS_MAX);
		server = &options->dns[i];
		if (!take_server(text, server) || net_is_multicast(&server->address) ||
		    net_is_unspecified(&server->address))
			return refuse(cause,
			              "dns: \"%.64s\" is no name server; write its address, as \"192.0.2.53\", "
			              "\"192.0.2.53:5353\" or \"[2001:db8::53]:5353\"",
			              text);
		options->n_dns++;
	}
	return 0;
}

static int read_search(const struct cause *cause, const struct capsa_value *value, struct options *options)
{
	options->has_search = is_given(value);
	for (size_t i = 0; i < value->n_items; i++) {
		const char *text = item_text(cause, value, i, "search", "example.com");
		char normal[POLICY_NAME_MAX];

		if (!text)
			return -EINVAL;
		if (i == OPTIONS_SEARCH_MAX)
			return refuse(cause, "search has %zu domains; at most %u are possible", value->n_items,
			              OPTIONS_SEARCH_MAX);
		if (!text[0] || names_normal(text, normal, sizeof normal) < 0)
			return refuse(cause, "search: \"%.64s\" is no domain; write one as \"example.com\"", text);
		options->search[options->n_search++] = text;
	}
	return 0;
}

static int read_forward(const struct cause *cause, const struct capsa_value *value, struct options *options)
{
	options->forward = is_given(value) ? value : NULL;
	if (value->n_items > FORWARDS_MAX)
		return refuse(cause, "forward has %zu ports; at most %u are possible", value->n_items, FORWARDS_MAX);
	for (size_t i = 0; i < value->n_items; i++) {
		const char *text = item_text(cause, value, i, "forward", "tcp:127.0.0.1:8080:80");
		struct forward forward;

		if (!text || forward_parse(text, &forward, cause->text, cause->size) < 0)
			return -EINVAL;
		if (!net_is_ipv4(&forward.listen.address) && !options->ipv6)
			return refuse(cause,
			              "forward \"%.80s\" is IPv6, and the guest has none; leave out ipv6 = false",
			              text);
	}
	return 0;
}

/* ---- rate ---- */

/* As the core reads CAPSA_TYPE_SIZE: what stands inside of a group it leaves as it was found. */
static bool take_size(const struct capsa_value *value, uint64_t *out)
{
	static const char units[] = "KMGT";
	const char *p = value->string, *unit;
	uint64_t n = 0;

	if (value->type == CAPSA_TYPE_INT) {
		*out = (uint64_t)value->integer;
		return value->integer >= 0;
	}
	if (value->type != CAPSA_TYPE_STRING || *p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(n, 10u, &n) || __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
			return false;
	if (*p) {
		unit = strchr(units, *p >= 'a' && *p <= 'z' ? *p - 0x20 : *p);
		if (!unit || p[1] || __builtin_mul_overflow(n, UINT64_C(1) << 10 * (unit - units + 1), &n))
			return false;
	}
	*out = n;
	return true;
}

static int read_rate(const struct cause *cause, const struct capsa_value *value, struct options *options)
{
	for (size_t i = 0; i < value->n_items; i++) {
		const struct capsa_value *item = &value->items[i];
		const bool in = strcmp(item->name, "in") == 0;
		uint64_t *rate = in ? &options->rate_in : &options->rate_out;

		if (!in && strcmp(item->name, "out") != 0)
			return refuse(cause, "rate has no \"%.40s\"; \"in\" and \"out\" are possible", item->name);
		if (!take_size(item, rate))
			return refuse(cause, "rate: %s is no size; write bytes a second, as \"10M\"", item->name);
		if (*rate && (*rate < RATE_MIN || *rate > (uint64_t)RATE_MAX))
			return refuse(cause, "rate: %s is too %s; \"1K\" to \"1T\" a second are possible, 0: no limit",
			              item->name, *rate < RATE_MIN ? "low" : "high");
	}
	return 0;
}

/* ---- the whole ---- */

int options_read_card(struct options *options, const struct options_values *values, char *text, size_t size)
{
	const struct cause cause = { .text = text, .size = size };

	options->mtu = (uint16_t)values->mtu->integer;
	options->queues = (unsigned)values->queues->integer;
	options->offloads = values->offloads->boolean;
	options->link = values->link->boolean;
	return read_mac(&cause, values->mac, options);
}

int options_read_subnets(struct options *options, const struct options_values *values, char *text, size_t size)
{
	const struct cause cause = { .text = text, .size = size };

	options->ipv6 = values->ipv6->boolean;
	return read_subnets(&cause, values, options);
}

int options_read_rate(struct options *options, const struct options_values *values, char *text, size_t size)
{
	const struct cause cause = { .text = text, .size = size };

	return read_rate(&cause, values->rate, options);
}

int options_read_gateway(struct options *options, const struct options_values *values, char *text, size_t size)
{
	const struct cause cause = { .text = text, .size = size };
	int rc;

	options->keep_source = values->keep_source->boolean;
	options->hosts_file = values->hosts_file->boolean;
	options->policy = is_given(values->policy) ? values->policy : NULL;
	options->max_flows = (unsigned)values->max_flows->integer;
	options->has_max_flows = !values->max_flows->from_default;
	rc = read_host_name(&cause, values->host_name, options);
	rc = rc ? rc : read_forward(&cause, values->forward, options);
	rc = rc ? rc : read_dns(&cause, values->dns, options);
	return rc ? rc : read_search(&cause, values->search, options);
}
