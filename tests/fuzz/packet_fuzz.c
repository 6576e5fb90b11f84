/* SPDX-License-Identifier: MIT */
/* packet_fuzz.c - packet_parse(): whatever a frame says, what is told of it lies inside of it. */
#include <string.h>

#include "plugins/net/packet.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packets.h"

const unsigned fuzz_runs = 2000000;

size_t fuzz_seed(unsigned n, uint8_t *data)
{
	return packets_seed(n, data);
}

static void check(const struct packet *p, size_t head_len, size_t len)
{
	switch (p->kind) {
	case PACKET_ARP:
		fuzz_check(p->l3 + 28 <= head_len);
		break;
	case PACKET_IP:
	case PACKET_FRAGMENT:
		fuzz_check(p->l3 >= 14 && p->l3 < p->l4 && p->l4 <= head_len);
		fuzz_check(p->l4_len <= len && p->l4 + p->l4_len <= len);
		fuzz_check(p->payload >= p->l4 && p->payload - p->l4 + p->payload_len == p->l4_len);
		fuzz_check(p->ether_type == ETH_P_IP || p->ether_type == ETH_P_IPV6);
		fuzz_check((p->ether_type == ETH_P_IP) == net_is_ipv4(&p->source));
		fuzz_check((p->ether_type == ETH_P_IP) == net_is_ipv4(&p->target));
		if (p->kind == PACKET_FRAGMENT)
			fuzz_check(p->fragment_offset % 8 == 0 && p->fragment_offset < 65536 &&
			           (p->fragment_offset > 0 || p->more_fragments));
		else if (p->protocol == IPPROTO_TCP)
			fuzz_check(p->payload <= head_len && p->payload - p->l4 >= 20);
		else if (p->protocol == IPPROTO_UDP)
			fuzz_check(p->payload <= head_len && p->payload - p->l4 == 8);
		break;
	case PACKET_MALFORMED:
	case PACKET_OTHER:
		break;
	}
}

static void parse(const uint8_t *data, size_t len)
{
	const size_t head_len = len < PACKET_HEAD ? len : PACKET_HEAD;
	struct packet p;

	packet_parse(data, head_len, len, &p);
	check(&p, head_len, len);
}

/* As it is, and with checksums that are right. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	fuzz_check(copy != NULL);
	parse(data, len);
	if (len > 0)
		memcpy(copy, data, len);
	packets_repair(copy, len);
	parse(copy, len);
	free(copy);
	return 0;
}
