/* SPDX-License-Identifier: MIT */
/*
 * names.c - see names.h.
 *
 * THEORY OF OPERATION. Pairs hang in chains by the hash of their address, which has a secret, as the answers of a name
 * server that the guest chose come in here. A heap by end makes room: what has ended goes when something new is
 * learned, and what ends soonest where all is full. No timer: who looks up passes over what has ended.
 */
#include "plugins/net-nat/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net/hash.h"
#include "plugins/net-nat/timeout.h"

#define CHAINS 4096u /* a power of two */
#define NAME_MAX_LEN 253u
#define LABEL_MAX_LEN 63u

struct pair {
	struct pair *next;
	uint64_t ends;  /* ms, as timeouts_now() */
	unsigned place; /* in the heap */
	struct in6_addr address;
	char name[];
};

struct names {
	struct timeouts *timeouts;
	struct hash_secret secret;
	struct pair *chains[CHAINS];
	struct pair **heap; /* the one that ends first is the first */
	unsigned n, room;
};

int names_new(struct timeouts *timeouts, struct names **out)
{
	struct names *names = calloc(1, sizeof *names);
	int rc = names ? hash_secret_new(&names->secret) : -ENOMEM;

	*out = NULL;
	if (rc < 0) {
		free(names);
		return rc;
	}
	names->timeouts = timeouts;
	*out = names;
	return 0;
}

void names_free(struct names *names)
{
	if (!names)
		return;
	names_forget_all(names);
	free(names->heap);
	free(names);
}

/* ---- the heap ---- */

static void put(struct names *names, unsigned place, struct pair *pair)
{
	names->heap[place] = pair;
	pair->place = place;
}

static void move_up(struct names *names, unsigned place)
{
	struct pair *pair = names->heap[place];

	for (; place && names->heap[(place - 1) / 2]->ends > pair->ends; place = (place - 1) / 2)
		put(names, place, names->heap[(place - 1) / 2]);
	put(names, place, pair);
}

static void move_down(struct names *names, unsigned place)
{
	struct pair *pair = names->heap[place];

	for (;;) {
		unsigned child = 2 * place + 1;

		if (child + 1 < names->n && names->heap[child + 1]->ends < names->heap[child]->ends)
			child++;
		if (child >= names->n || names->heap[child]->ends >= pair->ends)
			break;
		put(names, place, names->heap[child]);
		place = child;
	}
	put(names, place, pair);
}

static bool make_place(struct names *names)
{
	const unsigned room = names->room ? 2 * names->room : 64;
	struct pair **heap;

	if (names->n < names->room)
		return true;
	heap = reallocarray(names->heap, room, sizeof *heap);
	if (!heap)
		return false;
	names->heap = heap;
	names->room = room;
	return true;
}

/* ---- pairs ---- */

static unsigned chain_of(const struct names *names, const struct in6_addr *address)
{
	uint64_t words[2];

	memcpy(words, address, sizeof words);
	return (unsigned)hash_words(&names->secret, words, 2) & (CHAINS - 1);
}

static void forget(struct names *names, struct pair *pair)
{
	struct pair **at = &names->chains[chain_of(names, &pair->address)];
	struct pair *last = names->heap[--names->n];
	const unsigned place = pair->place;

	while (*at != pair)
		at = &(*at)->next;
	*at = pair->next;
	if (last != pair) {
		put(names, place, last);
		move_up(names, place);
		move_down(names, last->place);
	}
	free(pair);
}

static void make_room(struct names *names)
{
	const uint64_t now = timeouts_now(names->timeouts);

	while (names->n && (names->heap[0]->ends <= now || names->n >= NAMES_MAX))
		forget(names, names->heap[0]);
}

/* The pair of the two; NULL: there is none, and *soonest is what has to go before there may be one more. */
static struct pair *find(const struct names *names, const char *name, const struct in6_addr *address,
                         struct pair **soonest)
{
	struct pair *pair = names->chains[chain_of(names, address)], *first = NULL;
	unsigned n = 0;

	for (; pair; pair = pair->next) {
		if (!net_same(&pair->address, address))
			continue;
		if (strcmp(pair->name, name) == 0)
			return pair;
		if (!first || pair->ends < first->ends)
			first = pair;
		n++;
	}
	*soonest = n >= NAMES_EACH_MAX ? first : NULL;
	return NULL;
}

void names_learn(struct names *names, const char *name, const struct in6_addr *address, uint32_t ttl)
{
	const size_t size = strlen(name) + 1;
	struct pair *pair, *soonest = NULL;
	uint64_t ends;
	unsigned chain;

	if (size > NAME_MAX_LEN + 1)
		return;
	ttl = ttl < NAMES_TTL_MIN ? NAMES_TTL_MIN : ttl > NAMES_TTL_MAX ? NAMES_TTL_MAX : ttl;
	ends = timeouts_now(names->timeouts) + (uint64_t)ttl * 1000;
	pair = find(names, name, address, &soonest);
	if (pair) {
		/* A shorter answer does not take back what a longer one promised. */
		if (ends > pair->ends) {
			pair->ends = ends;
			move_down(names, pair->place);
		}
		return;
	}
	if (soonest)
		forget(names, soonest);
	make_room(names);
	pair = make_place(names) ? malloc(sizeof *pair + size) : NULL;
	if (!pair)
		return;
	chain = chain_of(names, address);
	*pair = (struct pair){ .next = names->chains[chain], .ends = ends, .address = *address };
	memcpy(pair->name, name, size);
	names->chains[chain] = pair;
	put(names, names->n++, pair);
	move_up(names, pair->place);
}

bool names_of(const struct names *names, const struct in6_addr *address, bool (*each)(void *ctx, const char *name),
              void *ctx)
{
	const uint64_t now = timeouts_now(names->timeouts);

	for (const struct pair *pair = names->chains[chain_of(names, address)]; pair; pair = pair->next)
		if (pair->ends > now && net_same(&pair->address, address) && each(ctx, pair->name))
			return true;
	return false;
}

void names_forget_all(struct names *names)
{
	for (unsigned i = 0; i < names->n; i++)
		free(names->heap[i]);
	names->n = 0;
	memset(names->chains, 0, sizeof names->chains);
}

unsigned names_count(const struct names *names)
{
	return names->n;
}

/* ---- text ---- */

int names_normal(const char *text, char *to, size_t room)
{
	size_t len = strlen(text), label = 0;

	if (len && text[len - 1] == '.')
		len--;
	if (len > NAME_MAX_LEN || (!len && text[0] && text[1]))
		return -EINVAL;
	if (len >= room)
		return -ENOSPC;
	for (size_t i = 0; i < len; i++) {
		const char c = text[i];

		if (c == '.' && !label)
			return -EINVAL;
		label = c == '.' ? 0 : label + 1;
		if (label > LABEL_MAX_LEN || c <= ' ' || c > '~' || c == '\\')
			return -EINVAL;
		to[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	if (len && !label)
		return -EINVAL;
	to[len] = '\0';
	return 0;
}
