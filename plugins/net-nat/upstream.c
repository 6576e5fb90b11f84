/* SPDX-License-Identifier: MIT */
/*
 * upstream.c - see upstream.h. Called by dns.c (whom to ask), gateway.c and info.c (search list).
 *
 * The file is read at start and whenever host-file.h says that it may have changed. A server that did not answer is
 * asked last for FAILED_MS; then it has another chance.
 */
#include "plugins/net-nat/upstream.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net-nat/host-file.h"
#include "plugins/net-nat/timeout.h"

#define FILE_MAX (64u << 10)
#define FAILED_MS 30000u
#define DNS_PORT 53u

struct upstream {
	struct net_endpoint at;
	char zone[IF_NAMESIZE]; /* name or number of the interface; "": none */
	uint64_t failed;        /* ms, as timeouts_now(); 0: not of late */
	unsigned turn;          /* of failing: who failed last is asked last */
};

struct upstreams {
	struct nat *nat;
	struct upstream list[UPSTREAMS_MAX];
	unsigned n, turns;
	char search_text[OPTIONS_SEARCH_MAX][256];
	const char *search[1 + OPTIONS_SEARCH_MAX]; /* neighbours.domain is the first */
	unsigned n_search;
	struct host_file *file; /* NULL where `dns` says whom to ask and `search` the rest, or nobody is asked */
};

/* ---- the file ---- */

static struct upstream *find(struct upstreams *u, const struct net_endpoint *which)
{
	for (unsigned i = 0; i < u->n; i++)
		if (net_same(&u->list[i].at.address, &which->address) && u->list[i].at.port == which->port)
			return &u->list[i];
	return NULL;
}

/* "192.0.2.1", "fe80::1%eth0". A link-local one without a zone leads nowhere. */
static void add_server(struct upstreams *u, char *text)
{
	struct net_endpoint at = { .port = DNS_PORT };
	char *zone = text + strcspn(text, "%");

	if (*zone)
		*zone++ = '\0';
	if (u->n == UPSTREAMS_MAX || strlen(zone) >= IF_NAMESIZE || net_address_parse(text, &at.address) < 0 ||
	    find(u, &at) || (IN6_IS_ADDR_LINKLOCAL(&at.address) && !*zone))
		return;
	u->list[u->n] = (struct upstream){ .at = at };
	memcpy(u->list[u->n++].zone, zone, strlen(zone) + 1);
}

static void begin_search(struct upstreams *u)
{
	const char *domain = u->nat->neighbours.domain;

	u->n_search = 0;
	if (domain)
		u->search[u->n_search++] = domain;
}

static void take_line(struct upstreams *u, char *line)
{
	char *save = NULL;
	const char *key = strtok_r(line, " \t", &save);
	char *word;

	if (!key)
		return;
	if (strcmp(key, "nameserver") == 0) {
		word = strtok_r(NULL, " \t", &save);
		if (word && !u->nat->options.n_dns)
			add_server(u, word);
	} else if ((strcmp(key, "search") == 0 || strcmp(key, "domain") == 0) && !u->nat->options.has_search) {
		unsigned n = 0;

		for (begin_search(u); n < OPTIONS_SEARCH_MAX && (word = strtok_r(NULL, " \t", &save));) {
			if (strlen(word) >= sizeof u->search_text[0] || strcmp(word, ".") == 0)
				continue;
			strcpy(u->search_text[n], word);
			u->search[u->n_search++] = u->search_text[n++];
		}
	}
}

static void take_text(struct upstreams *u, char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\r\n", &save); line; line = strtok_r(NULL, "\r\n", &save))
		if (*line != '#' && *line != ';')
			take_line(u, line);
}

static void take_options(struct upstreams *u)
{
	const struct options *o = &u->nat->options;

	u->n = 0;
	begin_search(u);
	for (; u->n < o->n_dns && u->n < UPSTREAMS_MAX; u->n++)
		u->list[u->n] = (struct upstream){ .at = o->dns[u->n] };
	for (unsigned i = 0; o->has_search && i < o->n_search; i++)
		u->search[u->n_search++] = o->search[i];
}

static void read_file(void *ctx)
{
	struct upstreams *u = ctx;
	char *text = NULL;

	take_options(u);
	if (u->file && host_file_read(u->file, FILE_MAX, &text) == 0)
		take_text(u, text);
	free(text);
	if (!u->n) /* as libc does */
		add_server(u, (char[]){ "127.0.0.1" });
}

/* ---- life ---- */

int upstreams_new(struct nat *nat, const char *resolv_conf, struct upstreams **out)
{
	struct upstreams *u = calloc(1, sizeof *u);
	int rc = 0;

	if (!u)
		return -ENOMEM;
	u->nat = nat;
	if (!nat->neighbours.isolated && (!nat->options.n_dns || !nat->options.has_search))
		rc = host_file_new(nat->host, nat->dev, resolv_conf, read_file, u, &u->file);
	if (rc) {
		free(u);
		return rc;
	}
	read_file(u);
	*out = u;
	return 0;
}

void upstreams_free(struct upstreams *u)
{
	if (!u)
		return;
	host_file_free(u->file);
	free(u);
}

/* ---- whom to ask ---- */

unsigned upstreams_count(const struct upstreams *u)
{
	return u->n;
}

static bool is_failing(const struct upstreams *u, unsigned i)
{
	return u->list[i].failed && timeouts_now(u->nat->timeouts) - u->list[i].failed < FAILED_MS;
}

/* Those that fail come behind the others, in the order of their failing. */
static bool is_better(const struct upstreams *u, unsigned a, unsigned b)
{
	const bool a_fails = is_failing(u, a), b_fails = is_failing(u, b);

	if (a_fails != b_fails)
		return b_fails;
	return a_fails ? u->list[a].turn < u->list[b].turn : a < b;
}

struct net_endpoint upstreams_get(const struct upstreams *u, unsigned n)
{
	for (unsigned i = 0; i < u->n; i++) {
		unsigned better = 0;

		for (unsigned k = 0; k < u->n; k++)
			better += k != i && is_better(u, k, i);
		if (better == n)
			return u->list[i].at;
	}
	return (struct net_endpoint){ .port = DNS_PORT };
}

unsigned upstreams_zone(const struct upstreams *u, const struct net_endpoint *which)
{
	for (unsigned i = 0; i < u->n; i++) {
		const char *zone = u->list[i].zone;
		char *end;
		unsigned long number;

		if (!*zone || !net_same(&u->list[i].at.address, &which->address))
			continue;
		number = strtoul(zone, &end, 10);
		return *end ? if_nametoindex(zone) : (unsigned)number;
	}
	return 0;
}

void upstreams_answered(struct upstreams *u, const struct net_endpoint *which)
{
	struct upstream *upstream = find(u, which);

	if (upstream)
		upstream->failed = 0;
}

void upstreams_failed(struct upstreams *u, const struct net_endpoint *which)
{
	struct upstream *upstream = find(u, which);

	if (upstream) {
		upstream->failed = timeouts_now(u->nat->timeouts);
		upstream->turn = ++u->turns;
	}
}

unsigned upstreams_search(const struct upstreams *u, const char *const **domains)
{
	*domains = u->search;
	return u->n_search;
}
