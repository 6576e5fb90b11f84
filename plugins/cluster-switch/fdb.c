/* SPDX-License-Identifier: MIT */
/*
 * fdb.c - see fdb.h.
 *
 * THEORY OF OPERATION. One hash table of all addresses, which doubles as they become more than its chains (it never
 * shrinks: what can be in it is bounded, and small); and for each port a row of what was learned from it, the one that
 * was silent for longest first. So the address that has to give way is at hand, and so are those that are too old: they
 * are dropped when their port has a new one, and are invisible until then.
 */
#include "plugins/cluster-switch/fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "plugins/net/hash.h"

#define CHAINS_MIN 256u
#define OWNER_CHAINS 64u /* both are powers of two */

struct owner;

struct entry {
	struct entry *next;    /* of its chain */
	TAILQ_ENTRY(entry) of; /* its owner's */
	struct owner *owner;
	uint64_t key; /* the address */
	uint64_t seen_ms;
	bool is_static;
};

TAILQ_HEAD(entry_list, entry);

/* A port that has addresses. */
struct owner {
	struct owner *next;
	unsigned port;
	unsigned n_learned;
	struct entry_list learned; /* by seen_ms */
	struct entry_list statics;
};

struct fdb {
	struct hash_secret secret;
	struct entry **chains;
	size_t n_chains; /* a power of two */
	size_t n;
	struct owner *owners[OWNER_CHAINS];
};

static uint64_t key_of(const unsigned char mac[ETH_ALEN])
{
	uint64_t key = 0;

	memcpy(&key, mac, ETH_ALEN);
	return key;
}

static size_t chain_of(const struct fdb *fdb, uint64_t key)
{
	return (size_t)hash_words(&fdb->secret, &key, 1) & (fdb->n_chains - 1);
}

static uint64_t age_of(const struct entry *entry, uint64_t now_ms)
{
	return !entry->is_static && now_ms > entry->seen_ms ? now_ms - entry->seen_ms : 0;
}

static bool is_old(const struct entry *entry, uint64_t now_ms)
{
	return age_of(entry, now_ms) >= FDB_AGE_MS;
}

int fdb_new(struct fdb **out)
{
	struct fdb *fdb = calloc(1, sizeof *fdb);
	int rc;

	*out = NULL;
	if (!fdb)
		return -ENOMEM;
	fdb->n_chains = CHAINS_MIN;
	fdb->chains = calloc(fdb->n_chains, sizeof *fdb->chains);
	rc = fdb->chains ? hash_secret_new(&fdb->secret) : -ENOMEM;
	if (rc < 0) {
		fdb_free(fdb);
		return rc;
	}
	*out = fdb;
	return 0;
}

void fdb_free(struct fdb *fdb)
{
	if (!fdb)
		return;
	for (unsigned i = 0; i < OWNER_CHAINS; i++)
		while (fdb->owners[i])
			fdb_forget_port(fdb, fdb->owners[i]->port);
	free(fdb->chains);
	free(fdb);
}

/* ---- the table ---- */

static struct entry *find(const struct fdb *fdb, uint64_t key)
{
	struct entry *entry = fdb->chains[chain_of(fdb, key)];

	while (entry && entry->key != key)
		entry = entry->next;
	return entry;
}

/* Without memory chains get longer, and nothing else happens. */
static void grow(struct fdb *fdb)
{
	struct entry **old = fdb->chains, **chains = calloc(2 * fdb->n_chains, sizeof *chains);
	const size_t n_old = fdb->n_chains;

	if (!chains)
		return;
	fdb->chains = chains;
	fdb->n_chains = 2 * n_old;
	for (size_t i = 0; i < n_old; i++) {
		while (old[i]) {
			struct entry *entry = old[i], **chain = &chains[chain_of(fdb, entry->key)];

			old[i] = entry->next;
			entry->next = *chain;
			*chain = entry;
		}
	}
	free(old);
}

static void drop(struct fdb *fdb, struct entry *entry)
{
	struct entry **at = &fdb->chains[chain_of(fdb, entry->key)];

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	if (entry->is_static) {
		TAILQ_REMOVE(&entry->owner->statics, entry, of);
	} else {
		TAILQ_REMOVE(&entry->owner->learned, entry, of);
		entry->owner->n_learned--;
	}
	fdb->n--;
	free(entry);
}

static bool insert(struct fdb *fdb, uint64_t key, struct owner *owner, bool is_static, uint64_t now_ms)
{
	struct entry *entry = calloc(1, sizeof *entry), **chain;

	if (!entry)
		return false;
	if (++fdb->n > fdb->n_chains)
		grow(fdb);
	entry->key = key;
	entry->owner = owner;
	entry->is_static = is_static;
	entry->seen_ms = now_ms;
	chain = &fdb->chains[chain_of(fdb, key)];
	entry->next = *chain;
	*chain = entry;
	if (is_static) {
		TAILQ_INSERT_TAIL(&owner->statics, entry, of);
	} else {
		TAILQ_INSERT_TAIL(&owner->learned, entry, of);
		owner->n_learned++;
	}
	return true;
}

/* ---- ports ---- */

static struct owner **owner_at(struct fdb *fdb, unsigned port)
{
	struct owner **at = &fdb->owners[port % OWNER_CHAINS];

	while (*at && (*at)->port != port)
		at = &(*at)->next;
	return at;
}

/* NULL: no memory. */
static struct owner *owner_of(struct fdb *fdb, unsigned port)
{
	struct owner **at = owner_at(fdb, port);

	if (!*at) {
		*at = calloc(1, sizeof **at);
		if (!*at)
			return NULL;
		(*at)->port = port;
		TAILQ_INIT(&(*at)->learned);
		TAILQ_INIT(&(*at)->statics);
	}
	return *at;
}

void fdb_forget_port(struct fdb *fdb, unsigned port)
{
	struct owner **at = owner_at(fdb, port), *owner = *at;

	if (!owner)
		return;
	while (!TAILQ_EMPTY(&owner->learned))
		drop(fdb, TAILQ_FIRST(&owner->learned));
	while (!TAILQ_EMPTY(&owner->statics))
		drop(fdb, TAILQ_FIRST(&owner->statics));
	*at = owner->next;
	free(owner);
}

int fdb_add_static(struct fdb *fdb, const unsigned char mac[ETH_ALEN], unsigned port)
{
	const uint64_t key = key_of(mac);
	struct entry *entry = find(fdb, key);
	struct owner *owner;

	if (entry && entry->is_static)
		return entry->owner->port == port ? 0 : -EEXIST;
	owner = owner_of(fdb, port);
	if (!owner)
		return -ENOMEM;
	if (entry)
		drop(fdb, entry);
	return insert(fdb, key, owner, true, 0) ? 0 : -ENOMEM;
}

/* ---- frames ---- */

/* What was too old anyway, and one more where the port has as many as it may have. */
static void make_room(struct fdb *fdb, struct owner *owner, uint64_t now_ms)
{
	struct entry *oldest;

	while ((oldest = TAILQ_FIRST(&owner->learned)) && (is_old(oldest, now_ms) || owner->n_learned >= FDB_PORT_MAX))
		drop(fdb, oldest);
}

bool fdb_learn(struct fdb *fdb, const unsigned char mac[ETH_ALEN], unsigned port, uint64_t now_ms)
{
	const uint64_t key = key_of(mac);
	struct entry *entry;
	struct owner *owner;

	if ((mac[0] & 1) || !key)
		return true;
	entry = find(fdb, key);
	if (entry && entry->is_static)
		return entry->owner->port == port;
	if (entry && entry->owner->port == port) {
		if (entry->seen_ms != now_ms) {
			entry->seen_ms = now_ms;
			TAILQ_REMOVE(&entry->owner->learned, entry, of);
			TAILQ_INSERT_TAIL(&entry->owner->learned, entry, of);
		}
		return true;
	}
	if (entry) /* it has moved */
		drop(fdb, entry);
	owner = owner_of(fdb, port);
	if (owner) { /* else what is sent to it is flooded */
		make_room(fdb, owner, now_ms);
		insert(fdb, key, owner, false, now_ms);
	}
	return true;
}

int fdb_find(const struct fdb *fdb, const unsigned char mac[ETH_ALEN], uint64_t now_ms)
{
	const struct entry *entry = find(fdb, key_of(mac));

	return entry && !is_old(entry, now_ms) ? (int)entry->owner->port : -1;
}

void fdb_each(const struct fdb *fdb, uint64_t now_ms,
              void (*call)(void *ctx, const unsigned char mac[ETH_ALEN], unsigned port, bool is_static,
                           uint64_t age_ms),
              void *ctx)
{
	unsigned char mac[ETH_ALEN];

	for (size_t i = 0; i < fdb->n_chains; i++) {
		for (const struct entry *entry = fdb->chains[i]; entry; entry = entry->next) {
			if (is_old(entry, now_ms))
				continue;
			memcpy(mac, &entry->key, sizeof mac);
			call(ctx, mac, entry->owner->port, entry->is_static, age_of(entry, now_ms));
		}
	}
}
