/* SPDX-License-Identifier: MIT */
/*
 * hash.h - a hash with a secret, for tables whose keys the guest or the network chooses: SipHash-2-4 (Aumasson,
 * Bernstein, 2012). Without the secret nobody can find keys that fall into one chain. No state; any thread.
 */
#ifndef CAPSA_NET_HASH_H
#define CAPSA_NET_HASH_H

#include <stddef.h>
#include <stdint.h>

struct hash_secret {
	uint64_t k[2];
};

/* A new one from the kernel. 0 or -errno. */
int hash_secret_new(struct hash_secret *secret);
/* Of n words; who has bytes puts them into words and the rest to zero. */
uint64_t hash_words(const struct hash_secret *secret, const uint64_t *words, size_t n);

#endif
