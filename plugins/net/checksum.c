/* SPDX-License-Identifier: MIT */
/*
 * checksum.c - see checksum.h.
 *
 * THEORY OF OPERATION. A one's complement sum may be made with wider words, as carries come round in any case, and in
 * either byte order (RFC 1071, 2): 64-bit words as they lie in memory, in four chains that the processor adds at the
 * same time. What begins at an odd offset is summed as if it were even, and the two bytes of its sum are swapped.
 */
#include "plugins/net/checksum.h"

#include <arpa/inet.h>
#include <string.h>

#include "plugins/net/address.h"

static uint64_t add64(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static uint64_t load64(const unsigned char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffffffu) + (sum >> 32);
	sum = (sum & 0xffffu) + (sum >> 16);
	sum = (sum & 0xffffu) + (sum >> 16);
	return (uint16_t)((sum & 0xffffu) + (sum >> 16));
}

static uint16_t swapped(uint16_t sum)
{
	return (uint16_t)(sum << 8 | sum >> 8);
}

uint32_t checksum_add(uint32_t sum, const void *bytes, size_t len, size_t offset)
{
	const unsigned char *at = bytes;
	uint64_t a = 0, b = 0, c = 0, d = 0, rest = 0;
	uint16_t words;

	for (; len >= 32; len -= 32, at += 32) {
		a = add64(a, load64(at));
		b = add64(b, load64(at + 8));
		c = add64(c, load64(at + 16));
		d = add64(d, load64(at + 24));
	}
	a = add64(add64(a, b), add64(c, d));
	for (; len >= 8; len -= 8, at += 8)
		a = add64(a, load64(at));
	if (len) {
		memcpy(&rest, at, len);
		a = add64(a, rest);
	}
	words = fold(a);
	return (uint32_t)fold((uint64_t)sum + (offset & 1 ? swapped(words) : words));
}

uint32_t checksum_add_iov(uint32_t sum, const struct iovec *iov, unsigned n, size_t skip, size_t len)
{
	size_t offset = 0;

	for (; n > 0 && len > 0; n--, iov++) {
		size_t take;

		if (skip >= iov->iov_len) {
			skip -= iov->iov_len;
			continue;
		}
		take = iov->iov_len - skip;
		if (take > len)
			take = len;
		sum = checksum_add(sum, (const unsigned char *)iov->iov_base + skip, take, offset);
		offset += take;
		len -= take;
		skip = 0;
	}
	return sum;
}

uint32_t checksum_pseudo(const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol, uint32_t len)
{
	const bool ipv4 = net_is_ipv4(from);
	const size_t skip = ipv4 ? 12 : 0;
	uint32_t sum = checksum_add(0, from->s6_addr + skip, 16 - skip, 0);

	sum = checksum_add(sum, to->s6_addr + skip, 16 - skip, 0);
	return sum + htons((uint16_t)(len >> 16)) + htons((uint16_t)len) + htons(protocol);
}

uint16_t checksum_finish(uint32_t sum)
{
	return (uint16_t)~fold(sum);
}

uint16_t checksum_partial(uint32_t sum)
{
	return fold(sum);
}
