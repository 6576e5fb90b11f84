/* SPDX-License-Identifier: MIT */
/* neighbour_fuzz.c - neighbour_parse() and arp_parse(). */
#include <string.h>

#include "plugins/net/arp.h"
#include "plugins/net/neighbour.h"
#include "tests/fuzz/fuzz.h"

const unsigned fuzz_runs = 2000000;

size_t fuzz_seed(unsigned n, uint8_t *data)
{
	static const uint8_t solicitation[] = {
		135, 0, 0, 0, 0, 0, 0, 0, 0xfd, 0, 0, 0xca, 0xb, 0x5a, 0, 0, 0, 0, 0, 0,
		0,   0, 0, 1, 1, 1, 2, 0, 0,    0, 0, 9,    14,  1,    1, 2, 3, 4, 5, 6
	};
	static const uint8_t request[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,  9, 8, 6,
		                           0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,  0, 0, 9,
		                           10,   0,    2,    2,    0,    0,    0, 0, 0, 0, 10, 0, 2, 1 };

	if (n > 1)
		return 0;
	memcpy(data, n ? request : solicitation, n ? sizeof request : sizeof solicitation);
	return n ? sizeof request : sizeof solicitation;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct neighbour_solicitation solicitation;
	struct arp arp;

	if (neighbour_parse(data, len, &solicitation) == 0)
		fuzz_check(len >= 24 && memcmp(&solicitation.target, data + 8, 16) == 0);
	if (arp_parse(data, len, 14, &arp) == 0)
		fuzz_check(len >= 42 && memcmp(&arp.target, data + 38, 4) == 0);
	return 0;
}
