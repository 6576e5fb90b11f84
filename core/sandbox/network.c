/* SPDX-License-Identifier: MIT */
/*
 * network.c - see network.h. Called by sandbox-machine.c (which devices there are) and link.c (when it is asked for).
 *
 * What a plugin says is written into the request as it is; the agent checks it. The guest answers, so an answer is
 * worth what the guest is worth: one that lies has commands without a network.
 */
#include "core/sandbox/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "core/sandbox/names.h"

#define REQUEST_MAX (64u << 10)

struct card {
	struct network *all;
	const char *name;
	struct client_channel *channel; /* NULL: not asked, or answered */
};

struct network {
	struct network_devices devices;
	struct card *cards; /* one for each device */
	size_t asked;
	size_t waiting; /* for so many answers */
	struct reactor_timer *timer;
	int64_t ms;
	void (*done)(void *ctx, const char *failure); /* NULL: nothing is asked at the moment */
	void *ctx;
	bool failed;
	struct error failure;
};

static void tell(struct network *n)
{
	void (*done)(void *ctx, const char *failure) = n->done;

	reactor_timer_set(n->timer, -1);
	n->done = NULL;
	done(n->ctx, n->failed ? n->failure.text : NULL);
}

/* The first one counts. */
static void fails(struct card *card, const char *cause)
{
	struct network *n = card->all;

	if (n->failed)
		return;
	n->failed = true;
	error_set(&n->failure, EIO, "the network \"%.64s\" cannot be set up in the guest: %.400s", card->name, cause);
}

static void took_result(void *ctx, const struct client_result *result)
{
	struct card *card = ctx;

	card->channel = NULL;
	if (result->code == -EPROTO)
		fails(card, "its agent is of an older capsa and knows no networks; make its initrd again");
	else if (result->code)
		fails(card, *result->cause ? result->cause : strerror(-result->code));
	if (--card->all->waiting == 0)
		tell(card->all);
}

static void answer_is_late(void *ctx)
{
	struct network *n = ctx;
	char cause[96];

	snprintf(cause, sizeof cause, "its agent has not answered for %g s", (double)n->ms / 1000);
	for (size_t i = 0; i < n->devices.n; i++) {
		if (n->cards[i].channel)
			fails(&n->cards[i], cause);
		client_forget(n->cards[i].channel);
		n->cards[i].channel = NULL;
	}
	n->waiting = 0;
	tell(n);
}

/* ---- the request ---- */

static const struct capsa_value *item(const struct capsa_value *group, const char *name, enum capsa_type type)
{
	for (size_t i = 0; i < group->n_items; i++)
		if (group->items[i].name && strcmp(group->items[i].name, name) == 0 && group->items[i].type == type)
			return &group->items[i];
	return NULL;
}

static void write_text(struct agent_writer *w, const struct capsa_value *network, const char *key)
{
	const struct capsa_value *text = item(network, key, CAPSA_TYPE_STRING);

	agent_write_string(w, text ? text->string : "");
}

static void write_list(struct agent_writer *w, const struct capsa_value *network, const char *key)
{
	const struct capsa_value *list = item(network, key, CAPSA_TYPE_LIST);
	uint32_t n = 0;

	for (size_t i = 0; list && i < list->n_items; i++)
		n += list->items[i].type == CAPSA_TYPE_STRING;
	agent_write_u32(w, n);
	for (size_t i = 0; list && i < list->n_items; i++)
		if (list->items[i].type == CAPSA_TYPE_STRING)
			agent_write_string(w, list->items[i].string);
}

static void write_texts(struct agent_writer *w, const char *const *texts, size_t n)
{
	agent_write_u32(w, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		agent_write_string(w, texts[i]);
}

/* Each has the names of all: whichever comes last has written the same files. */
static bool request(struct card *card, const struct capsa_value *network, const struct names *names,
                    struct client *client)
{
	static const struct client_channel_events events = { .result = took_result };
	const struct capsa_value *mtu = item(network, "mtu", CAPSA_TYPE_INT);
	unsigned char *payload = malloc(REQUEST_MAX);
	struct agent_writer w = agent_writer_on(payload, payload ? REQUEST_MAX : 0);

	write_text(&w, network, "mac");
	agent_write_u32(&w, mtu && mtu->integer > 0 && mtu->integer <= UINT16_MAX ? (uint32_t)mtu->integer : 0);
	write_list(&w, network, "addresses");
	write_list(&w, network, "gateways");
	write_texts(&w, names->servers, names->n_servers);
	write_texts(&w, names->search, names->n_search);
	agent_write_string(&w, names->host_name);
	card->channel = w.failed ? NULL : client_request(client, AGENT_NETWORK, payload, w.used, &events, card);
	free(payload);
	return card->channel != NULL;
}

/* What the card's plugin says, or NULL: it says nothing, or it is no card. */
static const struct capsa_value *learn(struct network *n, size_t index, struct arena *arena)
{
	struct capsa_value info = { 0 };
	struct error err = { 0 };

	if (n->devices.info(n->devices.ctx, index, arena, &info, &err)) {
		fails(&n->cards[index], err.text);
		return NULL;
	}
	return item(&info, "network", CAPSA_TYPE_GROUP);
}

/* ---- what two cards cannot both have ---- */

/* "10.0.3.2/24" and the like; false: it is none, which the agent says. */
static bool parse_interface(const char *text, unsigned char bytes[16], unsigned *bits, int *family)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");

	if (len >= sizeof address || !text[len])
		return false;
	snprintf(address, sizeof address, "%.*s", (int)len, text);
	*family = strchr(address, ':') ? AF_INET6 : AF_INET;
	*bits = (unsigned)strtoul(text + len + 1, NULL, 10);
	return inet_pton(*family, address, bytes) == 1 && *bits <= (*family == AF_INET ? 32u : 128u);
}

static bool is_same_subnet(const char *text, const char *other)
{
	unsigned char a[16], b[16];
	unsigned a_bits, b_bits, bits;
	int a_family, b_family;

	if (!parse_interface(text, a, &a_bits, &a_family) || !parse_interface(other, b, &b_bits, &b_family) ||
	    a_family != b_family)
		return false;
	bits = a_bits < b_bits ? a_bits : b_bits;
	return memcmp(a, b, bits / 8) == 0 && (bits % 8 == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8) == 0);
}

/* The guest would send what is for one of them by the other: two clusters, for example, that nobody gave a subnet. */
static void check_subnets(struct network *n, size_t index, const struct capsa_value *network, size_t other_index,
                          const struct capsa_value *other)
{
	const struct capsa_value *ours = item(network, "addresses", CAPSA_TYPE_LIST);
	const struct capsa_value *theirs = item(other, "addresses", CAPSA_TYPE_LIST);
	char cause[256];

	for (size_t i = 0; ours && theirs && i < ours->n_items; i++)
		for (size_t k = 0; k < theirs->n_items; k++) {
			if (ours->items[i].type != CAPSA_TYPE_STRING || theirs->items[k].type != CAPSA_TYPE_STRING ||
			    !is_same_subnet(ours->items[i].string, theirs->items[k].string))
				continue;
			snprintf(cause, sizeof cause,
			         "%.64s is in the subnet of the network \"%.64s\"; give one of them another subnet",
			         ours->items[i].string, n->cards[other_index].name);
			fails(&n->cards[index], cause);
			return;
		}
}

static void ask_for_all(struct network *n, struct arena *arena, struct client *client)
{
	const struct capsa_value **networks = arena_alloc(arena, n->devices.n + 1, sizeof *networks);
	struct names names;

	for (size_t i = 0; networks && i < n->devices.n; i++)
		networks[i] = learn(n, i, arena);
	if (!networks || names_merge(networks, n->devices.n, arena, &names)) {
		fails(&n->cards[0], "no memory");
		return;
	}
	for (size_t i = 0; i < n->devices.n; i++) {
		if (!networks[i])
			continue;
		for (size_t k = 0; k < i; k++)
			if (networks[k])
				check_subnets(n, i, networks[i], k, networks[k]);
		n->asked++;
		if (request(&n->cards[i], networks[i], &names, client))
			n->waiting++;
		else
			fails(&n->cards[i], "no memory");
	}
}

void network_ask(struct network *n, struct client *client, int64_t ms, void (*done)(void *ctx, const char *failure),
                 void *ctx)
{
	struct arena *arena = arena_new();

	n->failed = false;
	n->waiting = n->asked = 0;
	n->ms = ms;
	n->done = done;
	n->ctx = ctx;
	if (n->devices.n > 0 && arena)
		ask_for_all(n, arena, client);
	else if (n->devices.n > 0)
		fails(&n->cards[0], "no memory");
	arena_free(arena);
	if (n->waiting > 0)
		reactor_timer_set(n->timer, ms);
	else
		tell(n);
}

void network_forget(struct network *n)
{
	reactor_timer_set(n->timer, -1);
	n->done = NULL;
	for (size_t i = 0; i < n->devices.n; i++)
		n->cards[i].channel = NULL;
}

size_t network_cards(const struct network *n)
{
	return n->asked;
}

int network_new(struct reactor *reactor, const struct network_devices *devices, struct network **out, struct error *err)
{
	struct network *n = calloc(1, sizeof *n);

	if (n) {
		n->devices = *devices;
		n->cards = calloc(devices->n + 1, sizeof *n->cards);
		n->timer = reactor_timer_add(reactor, answer_is_late, n);
	}
	if (!n || !n->cards || !n->timer) {
		network_free(n);
		return error_set(err, ENOMEM, "no memory");
	}
	for (size_t i = 0; i < devices->n; i++)
		n->cards[i] = (struct card){ .all = n, .name = devices->name(devices->ctx, i) };
	*out = n;
	return 0;
}

void network_free(struct network *n)
{
	if (!n)
		return;
	if (n->timer)
		reactor_timer_remove(n->timer);
	free(n->cards);
	free(n);
}
