/* SPDX-License-Identifier: MIT */
/* node-index.c - see node-index.h. Called by node.c under its lock. */
#include "plugins/virtio-fs/node-index.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 64u

int index_new(struct index *index)
{
	memset(index, 0, sizeof *index);
	index->buckets = calloc(FIRST_BUCKETS, sizeof *index->buckets);
	if (!index->buckets)
		return -ENOMEM;
	index->n = index->base = index->room = FIRST_BUCKETS;
	return 0;
}

void index_free(struct index *index)
{
	free(index->buckets);
	memset(index, 0, sizeof *index);
}

static struct index_link **bucket_of(const struct index *index, uint64_t hash)
{
	size_t i = hash & (2 * index->base - 1);

	if (i >= index->n)
		i &= index->base - 1;
	return &index->buckets[i];
}

/* One bucket more: the links of that which it splits off from are dealt out between the two. */
static void split(struct index *index)
{
	struct index_link *link, *next, **old, **new;

	if (index->n == index->room) {
		void *more = realloc(index->buckets, 2 * index->room * sizeof *index->buckets);

		if (!more)
			return;
		index->buckets = more;
		index->room *= 2;
	}
	old = &index->buckets[index->n - index->base];
	new = &index->buckets[index->n];
	link = *old;
	*old = *new = NULL;
	for (; link; link = next) {
		struct index_link **to = link->hash & index->base ? new : old;

		next = link->next;
		link->next = *to;
		*to = link;
	}
	if (++index->n == 2 * index->base)
		index->base = index->n;
}

void index_add(struct index *index, struct index_link *link, uint64_t hash)
{
	struct index_link **bucket;

	if (index->links++ >= index->n)
		split(index);
	bucket = bucket_of(index, hash);
	link->hash = hash;
	link->next = *bucket;
	*bucket = link;
}

void index_remove(struct index *index, struct index_link *link)
{
	struct index_link **at = bucket_of(index, link->hash);

	while (*at != link) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = link->next;
	link->next = NULL;
	index->links--;
}

static struct index_link *same_hash(struct index_link *link, uint64_t hash)
{
	while (link && link->hash != hash)
		link = link->next;
	return link;
}

struct index_link *index_first(const struct index *index, uint64_t hash)
{
	return same_hash(*bucket_of(index, hash), hash);
}

struct index_link *index_next(const struct index_link *link)
{
	return same_hash(link->next, link->hash);
}

/* Both halves of a 128-bit product: each bit of the result depends on each bit that went in. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t index_hash(uint64_t seed, const void *data, size_t len)
{
	const unsigned char *at = data;
	/* The seed is in both factors: an outsider who does not know it cannot make a factor zero. */
	uint64_t hash = seed ^ len, word;

	while (len) {
		size_t n = len < sizeof word ? len : sizeof word;

		word = 0;
		memcpy(&word, at, n);
		at += n;
		len -= n;
		hash = fold(hash ^ word, seed | 1) ^ (hash >> 32);
	}
	return fold(hash ^ 0x9e3779b97f4a7c15u, seed | 1);
}
