/* SPDX-License-Identifier: MIT */
/* names.c - see names.h. Called by network.c; pure. */
#include "core/sandbox/names.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* The item, or one without parts. */
static const struct capsa_value *part(const struct capsa_value *network, const char *name, enum capsa_type type)
{
	static const struct capsa_value none = { .string = "" };

	for (size_t i = 0; network && i < network->n_items; i++)
		if (network->items[i].name && strcmp(network->items[i].name, name) == 0 &&
		    network->items[i].type == type)
			return &network->items[i];
	return &none;
}

static const char *text_at(const struct capsa_value *list, size_t index)
{
	return index < list->n_items && list->items[index].type == CAPSA_TYPE_STRING ? list->items[index].string : NULL;
}

/* Once; NULL is nothing. */
static void append(const char **list, size_t *n, const char *text)
{
	for (size_t i = 0; text && i < *n; i++)
		if (strcmp(list[i], text) == 0)
			return;
	if (text)
		list[(*n)++] = text;
}

static size_t count(const struct capsa_value *const *networks, size_t n, const char *key)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += part(networks[i], key, CAPSA_TYPE_LIST)->n_items;
	return sum;
}

/* The `row`-th server of each card but `way`, and then of that. */
static void append_row(const struct capsa_value *const *networks, size_t n, size_t way, size_t row, struct names *out)
{
	for (size_t i = 0; i < n; i++)
		if (i != way)
			append(out->servers, &out->n_servers,
			       text_at(part(networks[i], "nameservers", CAPSA_TYPE_LIST), row));
	if (way < n)
		append(out->servers, &out->n_servers,
		       text_at(part(networks[way], "nameservers", CAPSA_TYPE_LIST), row));
}

/* What would be behind the last line that is looked at goes onto it. */
static void bring_forward(struct names *names, const char *server)
{
	const size_t last = NAMES_LINES - 1;
	size_t at = 0;

	while (at < names->n_servers && strcmp(names->servers[at], server) != 0)
		at++;
	if (at <= last || at == names->n_servers)
		return;
	memmove(&names->servers[last + 1], &names->servers[last], (at - last) * sizeof *names->servers);
	names->servers[last] = server;
}

int names_merge(const struct capsa_value *const *networks, size_t n, struct arena *arena, struct names *out)
{
	const size_t rows = count(networks, n, "nameservers");
	size_t way = n;

	*out = (struct names){ .host_name = "" };
	out->servers = arena_alloc(arena, rows + 1, sizeof *out->servers);
	out->search = arena_alloc(arena, count(networks, n, "search") + 1, sizeof *out->search);
	if (!out->servers || !out->search)
		return -ENOMEM;
	for (size_t i = n; i-- > 0;) {
		const char *name = part(networks[i], "host_name", CAPSA_TYPE_STRING)->string;

		if (part(networks[i], "gateways", CAPSA_TYPE_LIST)->n_items > 0)
			way = i;
		if (*name)
			out->host_name = name;
	}
	for (size_t row = 0; row < rows; row++)
		append_row(networks, n, way, row, out);
	if (way < n && text_at(part(networks[way], "nameservers", CAPSA_TYPE_LIST), 0))
		bring_forward(out, text_at(part(networks[way], "nameservers", CAPSA_TYPE_LIST), 0));
	for (size_t i = 0; i < n; i++) {
		const struct capsa_value *search = part(networks[i], "search", CAPSA_TYPE_LIST);

		for (size_t k = 0; k < search->n_items; k++)
			append(out->search, &out->n_search, text_at(search, k));
	}
	return 0;
}
