/* SPDX-License-Identifier: MIT */
/* net_hash_test.c - proves hash.h: it is SipHash-2-4, by the test vectors that came with it, and every secret is
 * another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/net/hash.h"

/* Key 00 01 .. 0f, message 00 01 .. of 0, 8 and 16 bytes. */
static void it_is_siphash_2_4(void **state)
{
	static const unsigned char expected[][8] = {
		{ 0x31, 0x0e, 0x0e, 0xdd, 0x47, 0xdb, 0x6f, 0x72 },
		{ 0x62, 0x24, 0x93, 0x9a, 0x79, 0xf5, 0xf5, 0x93 },
		{ 0xdb, 0x9b, 0xc2, 0x57, 0x7f, 0xcc, 0x2a, 0x3f },
	};
	unsigned char bytes[16];
	struct hash_secret secret;
	uint64_t words[2];

	(void)state;
	for (unsigned char i = 0; i < sizeof bytes; i++)
		bytes[i] = i;
	memcpy(&secret, bytes, sizeof secret);
	memcpy(words, bytes, sizeof words);
	for (size_t n = 0; n < 3; n++) {
		const uint64_t hash = hash_words(&secret, words, n);

		for (unsigned i = 0; i < 8; i++)
			assert_int_equal((hash >> 8 * i) & 0xff, expected[n][i]);
	}
}

static void every_secret_is_another(void **state)
{
	struct hash_secret a, b;

	(void)state;
	assert_int_equal(hash_secret_new(&a), 0);
	assert_int_equal(hash_secret_new(&b), 0);
	assert_memory_not_equal(&a, &b, sizeof a);
	assert_int_not_equal(hash_words(&a, NULL, 0), hash_words(&b, NULL, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_siphash_2_4),
		cmocka_unit_test(every_secret_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
