/* SPDX-License-Identifier: MIT */
/*
 * node-index.h - a hash table of links that sit in their owners, which grows by one bucket at a time.
 *
 * Linear hashing (Litwin 1980): each addition that makes the table fuller than one link a bucket splits one bucket, so
 * that no addition among a million ever waits for all of them to be sorted anew. It never shrinks, and it cannot fail
 * after index_new(): where there is no memory to grow, chains become longer. No lock of its own.
 */
#ifndef CAPSA_VIRTIO_FS_NODE_INDEX_H
#define CAPSA_VIRTIO_FS_NODE_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct index_link {
	struct index_link *next;
	uint64_t hash; /* of the whole key: well mixed, and with a secret in it where outsiders choose keys */
};

struct index {
	struct index_link **buckets;
	size_t n, base, room; /* base: the power of two with base <= n < 2 * base */
	size_t links;
};

/* 0 or -ENOMEM. */
int index_new(struct index *index);
/* The links are their owners'. */
void index_free(struct index *index);

void index_add(struct index *index, struct index_link *link, uint64_t hash);
void index_remove(struct index *index, struct index_link *link);
/* Those of one hash, one after the other; NULL: no more. Keys are the caller's to compare. */
struct index_link *index_first(const struct index *index, uint64_t hash);
struct index_link *index_next(const struct index_link *link);

/* Mixes `len` bytes into a hash that starts as a secret seed. */
uint64_t index_hash(uint64_t seed, const void *data, size_t len);

#endif
