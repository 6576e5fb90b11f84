/* SPDX-License-Identifier: MIT */
/* dhcp6_fuzz.c - dhcp6_answer(): an answer is whole, for who asked, and no longer than it may be. */
#include <string.h>

#include "plugins/net/dhcp6.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packets.h"

const unsigned fuzz_runs = 2000000;

size_t fuzz_seed(unsigned n, uint8_t *data)
{
	return packets_dhcp6(n, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const search[] = { "example.com", "lab.example.org" };
	const struct in6_addr dns = { .s6_addr = { 0xfd, [15] = 1 } };
	const struct dhcp6_lease lease = { .address = { .s6_addr = { 0xfd, [15] = 2 } },
		                           .server_mac = { 0x52, 0x55, 10, 0, 0, 1 },
		                           .dns = &dns,
		                           .n_dns = 1,
		                           .search = search,
		                           .n_search = 2,
		                           .seconds = 60 };
	const size_t room = 64 + len % (DHCP6_ANSWER_MAX - 64); /* tight ones as well */
	unsigned char *answer = malloc(room);
	size_t answer_len, at;

	fuzz_check(answer != NULL);
	answer_len = dhcp6_answer(data, len, &lease, answer, room);
	fuzz_check(answer_len <= room);
	if (answer_len > 0) {
		fuzz_check(answer_len >= 4 && memcmp(answer + 1, data + 1, 3) == 0);
		for (at = 4; at < answer_len; at += 4u + (unsigned)(answer[at + 2] << 8 | answer[at + 3]))
			fuzz_check(at + 4 <= answer_len);
		fuzz_check(at == answer_len);
	}
	free(answer);
	return 0;
}
