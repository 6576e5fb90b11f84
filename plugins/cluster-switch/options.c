/* SPDX-License-Identifier: MIT */
/*
 * options.c - see options.h. The core has checked types and limits; what is left are names, addresses and how they go
 * together. What is common to it and net-nat is read by ../net-nat/options.h.
 */
#include "plugins/cluster-switch/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "plugins/cause.h"
#include "plugins/cluster-switch/protocol.h"
#include "plugins/cluster-switch/vxlan.h"

enum key {
	KEY_CLUSTER,
	KEY_ADDRESS,
	KEY_SUBNET,
	KEY_IPV6,
	KEY_SUBNET6,
	KEY_MAC,
	KEY_MTU,
	KEY_QUEUES,
	KEY_OFFLOADS,
	KEY_LINK,
	KEY_HOST_NAME,
	KEY_SPOOF,
	KEY_RATE,
	KEY_PEERS,
	KEY_UPLINK,
	KEY_NAT,
	KEY_FORWARD,
	KEY_KEEP_SOURCE,
	KEY_DNS,
	KEY_SEARCH,
	KEY_HOSTS_FILE,
	KEY_POLICY,
	KEY_MAX_FLOWS,
	N_KEYS,
};

#define IPV4_BITS 96u /* of a mapped address, in front of its own (address.h) */
#define SUBNET_BITS_MIN 8u
#define SUBNET_BITS_MAX 30u /* network, gateway, one machine, broadcast */
#define SUBNET6_BITS 64u    /* what SLAAC wants (RFC 4862) */
#define RATE_MIN 1024u

const struct capsa_key cluster_switch_keys[] = {
	[KEY_CLUSTER] = { .name = "cluster",
	                  .type = CAPSA_TYPE_STRING,
	                  .required = true,
	                  .help = "its name: machines of this user that say the same one share a segment" },
	[KEY_ADDRESS] = { .name = "address",
	                  .type = CAPSA_TYPE_STRING,
	                  .help = "the guest's IPv4 address with its network, as in \"10.0.3.11/24\" (without it: one "
	                          "that belongs to the machine's name)" },
	[KEY_SUBNET] = { .name = "subnet",
	                 .type = CAPSA_TYPE_STRING,
	                 .help = "the cluster's IPv4 network, whose first address is the gateway's (without it: that "
	                         "of "
	                         "`address` or of the other members, else " CLUSTER_SUBNET ")" },
	[KEY_IPV6] = { .name = "ipv6",
	               .type = CAPSA_TYPE_BOOL,
	               .default_text = "true",
	               .help = "the guest gets an IPv6 address as well" },
	[KEY_SUBNET6] = { .name = "subnet6",
	                  .type = CAPSA_TYPE_STRING,
	                  .default_text = CLUSTER_SUBNET6,
	                  .help = "the cluster's IPv6 network, a /64" },
	[KEY_MAC] = OPTIONS_KEY_MAC,
	[KEY_MTU] = OPTIONS_KEY_MTU,
	[KEY_QUEUES] = OPTIONS_KEY_QUEUES,
	[KEY_OFFLOADS] = OPTIONS_KEY_OFFLOADS,
	[KEY_LINK] = OPTIONS_KEY_LINK,
	[KEY_HOST_NAME] = OPTIONS_KEY_HOST_NAME,
	[KEY_SPOOF] = { .name = "spoof",
	                .type = CAPSA_TYPE_BOOL,
	                .default_text = "false",
	                .help = "the guest may send from addresses that are not its own, as a router or a bridge "
	                        "does" },
	[KEY_RATE] = { .name = "rate",
	               .type = CAPSA_TYPE_SIZE,
	               .default_text = "0",
	               .min = 0,
	               .max = INT64_C(1) << 40,
	               .help = "bytes a second that the guest may send, as in \"10M\"; 0: no limit" },
	[KEY_PEERS] = { .name = "peers",
	                .type = CAPSA_TYPE_LIST,
	                .flags = CAPSA_KEY_LIVE,
	                .help = "names of the only members that the guest has to do with, if they want it, too "
	                        "(without "
	                        "it: all)" },
	[KEY_UPLINK] = { .name = "uplink",
	                 .type = CAPSA_TYPE_STRING,
	                 .help = "the cluster's way to other hosts: \"vxlan:VNI@LOCAL[:PORT],PEER[:PORT]...\"" },
	[KEY_NAT] = { .name = "nat",
	              .type = CAPSA_TYPE_BOOL,
	              .default_text = "false",
	              .help = "the guest reaches what is outside of the cluster, as `policy` allows" },
	[KEY_FORWARD] = OPTIONS_KEY_FORWARD,
	[KEY_KEEP_SOURCE] = OPTIONS_KEY_KEEP_SOURCE,
	[KEY_DNS] = OPTIONS_KEY_DNS,
	[KEY_SEARCH] = OPTIONS_KEY_SEARCH,
	[KEY_HOSTS_FILE] = OPTIONS_KEY_HOSTS_FILE,
	[KEY_POLICY] = OPTIONS_KEY_POLICY,
	[KEY_MAX_FLOWS] = OPTIONS_KEY_MAX_FLOWS,
	[N_KEYS] = { .name = NULL },
};

static int read_cluster(const struct cause *cause, const struct capsa_value *value, struct cluster_options *options)
{
	options->cluster = value->string;
	if (!protocol_name_is_valid(value->string))
		return refuse(
			cause,
			"cluster \"%.80s\" is no name; write letters, digits, \"_\", \".\" and \"-\", at most %u, "
			"a letter or digit first",
			value->string, CLUSTER_NAME_MAX);
	return 0;
}

/* ---- addresses ---- */

static bool is_subnet(const struct net_prefix *p)
{
	const struct in6_addr *a = &p->address;

	return !net_is_loopback(a) && !net_is_link_local(a) && !net_is_multicast(a) && !net_is_unspecified(a);
}

static int check_subnet(const struct cause *cause, const char *key, const char *text, const struct net_prefix *p)
{
	if (p->bits < IPV4_BITS + SUBNET_BITS_MIN || p->bits > IPV4_BITS + SUBNET_BITS_MAX)
		return refuse(cause, "%s \"%s\": the network is too %s; /%u to /%u are possible", key, text,
		              p->bits > IPV4_BITS + SUBNET_BITS_MAX ? "small" : "large", SUBNET_BITS_MIN,
		              SUBNET_BITS_MAX);
	if (!is_subnet(p))
		return refuse(cause, "%s \"%s\" has another meaning; choose a private one, as \"192.168.77.0/24\"", key,
		              text);
	return 0;
}

static int read_subnet(const struct cause *cause, const struct capsa_value *value, struct cluster_options *options)
{
	if (!is_given(value))
		return 0;
	if (net_prefix_parse(value->string, &options->subnet) < 0 || !net_is_ipv4(&options->subnet.address))
		return refuse(cause, "subnet \"%.64s\" is no IPv4 network; write one as \"" CLUSTER_SUBNET "\"",
		              value->string);
	return check_subnet(cause, "subnet", value->string, &options->subnet);
}

static int read_address(const struct cause *cause, const struct capsa_value *value, struct cluster_options *options)
{
	struct in6_addr *address = &options->port.address;
	struct net_prefix prefix;
	uint32_t nth, last;
	int rc;

	options->has_address = is_given(value);
	if (!options->has_address)
		return 0;
	if (!strchr(value->string, '/') || net_interface_parse(value->string, address, &prefix) < 0 ||
	    !net_is_ipv4(address))
		return refuse(cause,
		              "address \"%.64s\" is no IPv4 address with its network; write one as \"10.0.3.11/24\"",
		              value->string);
	rc = check_subnet(cause, "address", value->string, &prefix);
	if (rc)
		return rc;
	if (options->subnet.bits &&
	    (prefix.bits != options->subnet.bits || !net_same(&prefix.address, &options->subnet.address)))
		return refuse(cause, "address \"%s\" is of another network than `subnet`; one of them is enough",
		              value->string);
	options->subnet = prefix;
	nth = ntohl(net_to_ipv4(address).s_addr) - ntohl(net_to_ipv4(&prefix.address).s_addr);
	last = (UINT32_C(1) << (128 - prefix.bits)) - 1;
	if (nth < 2 || nth == last)
		return refuse(cause,
		              "address \"%s\" is the network's own, the gateway's or everybody's; choose another",
		              value->string);
	return 0;
}

static int read_subnet6(const struct cause *cause, const struct capsa_value *values, struct cluster_options *options)
{
	const char *text = values[KEY_SUBNET6].string;
	struct net_prefix prefix;

	if (net_prefix_parse(text, &prefix) < 0 || net_is_ipv4(&prefix.address) || prefix.bits != SUBNET6_BITS)
		return refuse(cause,
		              "subnet6 \"%.64s\" is no IPv6 network of 64 bits; write one as \"fd00:1:2:3::/64\"",
		              text);
	if (!is_subnet(&prefix))
		return refuse(cause, "subnet6 \"%s\" has another meaning; choose a private one, as \"fd00:1:2:3::/64\"",
		              text);
	if (values[KEY_IPV6].boolean)
		options->subnet6 = prefix;
	return 0;
}

/* ---- others ---- */

int cluster_options_read_peers(struct bridge_port_options *port, const struct capsa_value *value, char *text,
                               size_t size)
{
	const struct cause cause = { .text = text, .size = size };
	const size_t n = is_given(value) ? value->n_items : 0;

	if (n > CLUSTER_PEERS_MAX)
		return refuse(&cause, "peers has %zu names; at most %u are possible", n, CLUSTER_PEERS_MAX);
	for (size_t i = 0; i < n; i++) {
		if (value->items[i].type != CAPSA_TYPE_STRING)
			return refuse(&cause, "peers: each entry is a name in quotes, as \"vm1\"");
		if (!protocol_name_is_valid(value->items[i].string))
			return refuse(&cause, "peers: \"%.80s\" is no name of a machine", value->items[i].string);
	}
	port->has_peers = is_given(value);
	port->n_peers = (unsigned)n;
	memset(port->peers, 0, sizeof port->peers);
	for (size_t i = 0; i < n; i++)
		memcpy(port->peers[i], value->items[i].string, strlen(value->items[i].string));
	return 0;
}

static int read_uplink(const struct cause *cause, const struct capsa_value *value, struct cluster_options *options)
{
	struct vxlan_options parsed;

	if (!is_given(value))
		return 0;
	options->uplink = value->string;
	if (strlen(value->string) > PROTOCOL_UPLINK_MAX)
		return refuse(cause, "uplink has %zu bytes; at most %u are possible", strlen(value->string),
		              PROTOCOL_UPLINK_MAX);
	return vxlan_parse(value->string, &parsed, cause->text, cause->size);
}

/* What has no meaning where nothing leaves. */
static int check_way_out(const struct cause *cause, const struct capsa_value *values)
{
	static const enum key out[] = { KEY_FORWARD, KEY_DNS };

	for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
		if (!values[KEY_NAT].boolean && is_given(&values[out[i]]))
			return refuse(cause,
			              "%s is for what is outside, and the guest has no way there; add nat = true",
			              cluster_switch_keys[out[i]].name);
	return 0;
}

static int read_gateway(const struct cause *cause, const struct capsa_value *values, struct options *gateway)
{
	const struct options_values v = {
		.mac = &values[KEY_MAC],
		.mtu = &values[KEY_MTU],
		.queues = &values[KEY_QUEUES],
		.offloads = &values[KEY_OFFLOADS],
		.link = &values[KEY_LINK],
		.host_name = &values[KEY_HOST_NAME],
		.forward = &values[KEY_FORWARD],
		.keep_source = &values[KEY_KEEP_SOURCE],
		.dns = &values[KEY_DNS],
		.search = &values[KEY_SEARCH],
		.hosts_file = &values[KEY_HOSTS_FILE],
		.policy = &values[KEY_POLICY],
		.max_flows = &values[KEY_MAX_FLOWS],
	};
	int rc;

	gateway->ipv6 = values[KEY_IPV6].boolean;
	rc = options_read_card(gateway, &v, cause->text, cause->size);
	rc = rc ? rc : check_way_out(cause, values);
	return rc ? rc : options_read_gateway(gateway, &v, cause->text, cause->size);
}

int cluster_options_read(struct cluster_options *options, const struct capsa_value *values, size_t n, char *text,
                         size_t size)
{
	const struct cause cause = { .text = text, .size = size };
	int rc;

	if (n != N_KEYS)
		return refuse(&cause, "%zu values for %u keys", n, (unsigned)N_KEYS);
	*options = (struct cluster_options){
		.nat = values[KEY_NAT].boolean,
		.port = { .any_source = values[KEY_SPOOF].boolean, .rate = (uint64_t)values[KEY_RATE].integer },
	};
	if (options->port.rate && options->port.rate < RATE_MIN)
		return refuse(&cause, "rate is too low; \"1K\" to \"1T\" a second are possible, 0: no limit");
	rc = read_cluster(&cause, &values[KEY_CLUSTER], options);
	rc = rc ? rc : read_gateway(&cause, values, &options->gateway);
	rc = rc ? rc : read_subnet(&cause, &values[KEY_SUBNET], options);
	rc = rc ? rc : read_address(&cause, &values[KEY_ADDRESS], options);
	rc = rc ? rc : read_subnet6(&cause, values, options);
	rc = rc ? rc : cluster_options_read_peers(&options->port, &values[KEY_PEERS], text, size);
	return rc ? rc : read_uplink(&cause, &values[KEY_UPLINK], options);
}
