/* SPDX-License-Identifier: MIT */
/* hash.c - see hash.h. */
#include "plugins/net/hash.h"

#include <endian.h>
#include <errno.h>
#include <sys/random.h>

int hash_secret_new(struct hash_secret *secret)
{
	ssize_t n;

	/* So few bytes come whole, or not at all (getrandom(2)). */
	do
		n = getrandom(secret, sizeof *secret, 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline void round_of(struct state *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void take(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	round_of(s);
	round_of(s);
	s->v0 ^= word;
}

uint64_t hash_words(const struct hash_secret *secret, const uint64_t *words, size_t n)
{
	struct state s = {
		.v0 = secret->k[0] ^ 0x736f6d6570736575,
		.v1 = secret->k[1] ^ 0x646f72616e646f6d,
		.v2 = secret->k[0] ^ 0x6c7967656e657261,
		.v3 = secret->k[1] ^ 0x7465646279746573,
	};

	for (size_t i = 0; i < n; i++)
		take(&s, le64toh(words[i]));
	/* The last word of the algorithm: bytes that are left over (none), and the length's low byte on top. */
	take(&s, (uint64_t)(n * sizeof *words) << 56);
	s.v2 ^= 0xff;
	for (unsigned i = 0; i < 4; i++)
		round_of(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
