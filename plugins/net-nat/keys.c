/* SPDX-License-Identifier: MIT */
/* keys.c - see keys.h. Called by net-nat.c. */
#include "plugins/net-nat/keys.h"

#include <errno.h>
#include <stdio.h>

enum key {
	KEY_MAC,
	KEY_MTU,
	KEY_QUEUES,
	KEY_OFFLOADS,
	KEY_LINK,
	KEY_SUBNET,
	KEY_IPV6,
	KEY_SUBNET6,
	KEY_HOST_NAME,
	KEY_FORWARD,
	KEY_KEEP_SOURCE,
	KEY_DNS,
	KEY_SEARCH,
	KEY_HOSTS_FILE,
	KEY_POLICY,
	KEY_MAX_FLOWS,
	KEY_RATE,
	N_KEYS,
};

const struct capsa_key net_nat_keys[] = {
	[KEY_MAC] = OPTIONS_KEY_MAC,
	[KEY_MTU] = OPTIONS_KEY_MTU,
	[KEY_QUEUES] = OPTIONS_KEY_QUEUES,
	[KEY_OFFLOADS] = OPTIONS_KEY_OFFLOADS,
	[KEY_LINK] = OPTIONS_KEY_LINK,
	[KEY_SUBNET] = { .name = "subnet",
	                 .type = CAPSA_TYPE_STRING,
	                 .default_text = "10.0.2.0/24",
	                 .help = "the guest's IPv4 network: its first address is the gateway's, its second the "
	                         "guest's" },
	[KEY_IPV6] = { .name = "ipv6",
	               .type = CAPSA_TYPE_BOOL,
	               .default_text = "true",
	               .help = "the guest has IPv6 as well" },
	[KEY_SUBNET6] = { .name = "subnet6",
	                  .type = CAPSA_TYPE_STRING,
	                  .default_text = "fd00:ca:b5a::/64",
	                  .help = "the guest's IPv6 network, a /64" },
	[KEY_HOST_NAME] = OPTIONS_KEY_HOST_NAME,
	[KEY_FORWARD] = OPTIONS_KEY_FORWARD,
	[KEY_KEEP_SOURCE] = OPTIONS_KEY_KEEP_SOURCE,
	[KEY_DNS] = OPTIONS_KEY_DNS,
	[KEY_SEARCH] = OPTIONS_KEY_SEARCH,
	[KEY_HOSTS_FILE] = OPTIONS_KEY_HOSTS_FILE,
	[KEY_POLICY] = OPTIONS_KEY_POLICY,
	[KEY_MAX_FLOWS] = OPTIONS_KEY_MAX_FLOWS,
	[KEY_RATE] = OPTIONS_KEY_RATE,
	[N_KEYS] = { .name = NULL },
};

int keys_read(struct options *options, const struct capsa_value *values, size_t n, char *cause, size_t size)
{
	const struct options_values v = {
		.mac = &values[KEY_MAC],
		.mtu = &values[KEY_MTU],
		.queues = &values[KEY_QUEUES],
		.offloads = &values[KEY_OFFLOADS],
		.link = &values[KEY_LINK],
		.subnet = &values[KEY_SUBNET],
		.ipv6 = &values[KEY_IPV6],
		.subnet6 = &values[KEY_SUBNET6],
		.host_name = &values[KEY_HOST_NAME],
		.forward = &values[KEY_FORWARD],
		.keep_source = &values[KEY_KEEP_SOURCE],
		.dns = &values[KEY_DNS],
		.search = &values[KEY_SEARCH],
		.hosts_file = &values[KEY_HOSTS_FILE],
		.policy = &values[KEY_POLICY],
		.max_flows = &values[KEY_MAX_FLOWS],
		.rate = &values[KEY_RATE],
	};
	int rc;

	if (n != N_KEYS) {
		snprintf(cause, size, "%zu values for %u keys", n, (unsigned)N_KEYS);
		return -EINVAL;
	}
	*options = (struct options){ 0 };
	rc = options_read_card(options, &v, cause, size);
	rc = rc ? rc : options_read_subnets(options, &v, cause, size);
	rc = rc ? rc : options_read_gateway(options, &v, cause, size);
	return rc ? rc : options_read_rate(options, &v, cause, size);
}
