/* SPDX-License-Identifier: MIT */
/* dhcp_fuzz.c - dhcp_parse(), and dhcp_reply() to whatever it has understood. */
#include <string.h>

#include "plugins/net/dhcp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/packets.h"

const unsigned fuzz_runs = 2000000;

size_t fuzz_seed(unsigned n, uint8_t *data)
{
	return packets_dhcp(n, data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const search[] = { "example.com", "lab.example.org" };
	const struct dhcp_lease lease = {
		.bits = 24, .n_dns = 1, .mtu = 1500, .seconds = 60, .host_name = "box", .search = search, .n_search = 2
	};
	unsigned char reply[DHCP_REPLY_MAX];
	struct dhcp_request request;
	size_t reply_len;

	if (dhcp_parse(data, len, &request) < 0)
		return 0;
	fuzz_check(request.type >= DHCP_DISCOVER && request.type <= DHCP_INFORM);
	fuzz_check(strnlen(request.host_name, sizeof request.host_name) < sizeof request.host_name);
	for (const char *c = request.host_name; *c; c++)
		fuzz_check(*c > ' ' && *c <= '~');
	reply_len = dhcp_reply(&request, DHCP_ACK, &lease, reply);
	fuzz_check(reply_len >= 300 && reply_len <= sizeof reply);
	return 0;
}
