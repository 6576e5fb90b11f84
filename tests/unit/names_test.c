/* SPDX-License-Identifier: MIT */
/* names_test.c - the name servers of several network cards, in an order that resolvers find all names by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/sandbox/names.h"

enum { WORDS_MAX = 4 };

struct card {
	const char *gateways[WORDS_MAX], *servers[WORDS_MAX], *search[WORDS_MAX], *host_name;
};

static struct capsa_value list_of(const char *const *words, const char *name, struct arena *arena)
{
	struct capsa_value *items = arena_alloc(arena, WORDS_MAX, sizeof *items);
	size_t n = 0;

	assert_non_null(items);
	for (; n < WORDS_MAX && words[n]; n++)
		items[n] = (struct capsa_value){ .type = CAPSA_TYPE_STRING, .string = words[n] };
	return (struct capsa_value){ .name = name, .type = CAPSA_TYPE_LIST, .items = items, .n_items = n };
}

static const struct capsa_value *object_of(const struct card *card, struct arena *arena)
{
	struct capsa_value *items = arena_alloc(arena, 4, sizeof *items);
	struct capsa_value *network = arena_alloc(arena, 1, sizeof *network);

	assert_true(items && network);
	items[0] = list_of(card->gateways, "gateways", arena);
	items[1] = list_of(card->servers, "nameservers", arena);
	items[2] = list_of(card->search, "search", arena);
	items[3] = (struct capsa_value){ .name = "host_name",
		                         .type = CAPSA_TYPE_STRING,
		                         .string = card->host_name ? card->host_name : "" };
	*network = (struct capsa_value){ .type = CAPSA_TYPE_GROUP, .items = items, .n_items = 4 };
	return network;
}

static const char *join(const char *const *list, size_t n, char *to, size_t room)
{
	size_t used = 0;

	*to = '\0';
	for (size_t i = 0; i < n && used < room; i++)
		used += (size_t)snprintf(to + used, room - used, "%s%s", i ? " " : "", list[i]);
	return to;
}

static void check(const struct card *cards, size_t n, const char *servers, const char *search, const char *host_name)
{
	const struct capsa_value *networks[8] = { NULL };
	struct arena *arena = arena_new();
	struct names names;
	char text[256];

	assert_non_null(arena);
	/* A device in between that is no card. */
	for (size_t i = 0; i < n; i++)
		networks[i ? i + 1 : 0] = object_of(&cards[i], arena);
	assert_int_equal(names_merge(networks, n + 1, arena, &names), 0);
	assert_string_equal(join(names.servers, names.n_servers, text, sizeof text), servers);
	assert_string_equal(join(names.search, names.n_search, text, sizeof text), search);
	assert_string_equal(names.host_name, host_name);
	arena_free(arena);
}

static const struct card nat = { .gateways = { "10.0.2.1", "fd00::1" },
	                         .servers = { "10.0.2.1", "fd00::1" },
	                         .search = { "example.com", "lab" },
	                         .host_name = "box" };
static const struct card lab = { .servers = { "10.0.3.1", "fd03::1" }, .search = { "lab" }, .host_name = "vm1" };
static const struct card second = { .servers = { "10.0.4.1", "fd04::1" } };
static const struct card third = { .servers = { "10.0.5.1" } };
static const struct card way_out = { .gateways = { "10.0.6.1" }, .servers = { "10.0.6.1" } };
static const struct card bare;

static void one_card_has_its_own(void **state)
{
	(void)state;
	check(&nat, 1, "10.0.2.1 fd00::1", "example.com lab", "box");
	check(&lab, 1, "10.0.3.1 fd03::1", "lab", "vm1");
	check(&bare, 1, "", "", "");
	check(NULL, 0, "", "", "");
}

static void whose_card_has_the_default_route_is_asked_last(void **state)
{
	const struct card cards[] = { nat, lab }, turned[] = { lab, nat }, with_bare[] = { bare, nat, lab };

	(void)state;
	check(cards, 2, "10.0.3.1 10.0.2.1 fd03::1 fd00::1", "example.com lab", "box");
	check(turned, 2, "10.0.3.1 10.0.2.1 fd03::1 fd00::1", "lab example.com", "vm1");
	check(with_bare, 3, "10.0.3.1 10.0.2.1 fd03::1 fd00::1", "example.com lab", "box");
}

static void a_second_way_out_is_asked_before_the_first(void **state)
{
	const struct card cards[] = { nat, way_out };

	(void)state;
	check(cards, 2, "10.0.6.1 10.0.2.1 fd00::1", "example.com lab", "box");
}

static void the_way_to_the_world_is_among_the_three_that_are_asked(void **state)
{
	const struct card cards[] = { nat, lab, second, third }, lonely[] = { lab, second, third };

	(void)state;
	check(cards, 4, "10.0.3.1 10.0.4.1 10.0.2.1 10.0.5.1 fd03::1 fd04::1 fd00::1", "example.com lab", "box");
	check(lonely, 3, "10.0.3.1 10.0.4.1 10.0.5.1 fd03::1 fd04::1", "lab", "vm1");
}

static void the_same_server_is_named_once(void **state)
{
	const struct card cards[] = { nat, nat };

	(void)state;
	check(cards, 2, "10.0.2.1 fd00::1", "example.com lab", "box");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_card_has_its_own),
		cmocka_unit_test(whose_card_has_the_default_route_is_asked_last),
		cmocka_unit_test(a_second_way_out_is_asked_before_the_first),
		cmocka_unit_test(the_way_to_the_world_is_among_the_three_that_are_asked),
		cmocka_unit_test(the_same_server_is_named_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
