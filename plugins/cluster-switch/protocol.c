/* SPDX-License-Identifier: MIT */
/*
 * protocol.c - see protocol.h: whether what came is a message. Flags are looked at as the bytes that they are: one that
 * is neither 0 nor 1 is no `bool` that may be read.
 */
#include "plugins/cluster-switch/protocol.h"

#include <ctype.h>
#include <string.h>

#define SUBNET_BITS_MAX (96u + 30u) /* room for a gateway and a machine */
#define SUBNET6_BITS_MAX 96u        /* room for any index (struct protocol_welcome) */

_Bool protocol_name_is_valid(const char *name)
{
	const size_t len = strnlen(name, CLUSTER_NAME_MAX + 1);

	if (len == 0 || len > CLUSTER_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

_Bool protocol_is(const void *message, size_t len, enum protocol_type type, size_t size)
{
	struct protocol_header h;

	if (len != size || len < sizeof h)
		return false;
	memcpy(&h, message, sizeof h);
	return h.type == type && h.version == PROTOCOL_VERSION;
}

static bool flag_is_valid(const void *flag)
{
	unsigned char byte;

	memcpy(&byte, flag, 1);
	return byte <= 1;
}

static bool is_zero(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;

	while (n > 0 && *p == 0) {
		p++;
		n--;
	}
	return n == 0;
}

/* Bits behind a prefix are zero. */
static bool prefix_is_clean(const struct net_prefix *prefix)
{
	const unsigned char *p = prefix->address.s6_addr;

	for (unsigned i = prefix->bits; i < 128; i++)
		if (p[i / 8] & (0x80u >> (i % 8)))
			return false;
	return true;
}

static bool subnet_is_valid(const struct net_prefix *subnet)
{
	if (subnet->bits == 0)
		return true;
	return subnet->bits >= 96 && subnet->bits <= SUBNET_BITS_MAX && net_is_ipv4(&subnet->address) &&
	       prefix_is_clean(subnet);
}

static bool subnet6_is_valid(const struct net_prefix *subnet)
{
	if (subnet->bits == 0)
		return true;
	return subnet->bits <= SUBNET6_BITS_MAX && !net_is_ipv4(&subnet->address) && prefix_is_clean(subnet);
}

static bool address_is_valid(const struct in6_addr *address)
{
	return net_is_ipv4(address) || IN6_IS_ADDR_UNSPECIFIED(address);
}

/* What CHANGE changes. */
static bool peers_are_valid(const struct bridge_port_options *port)
{
	if (!flag_is_valid(&port->has_peers) || port->n_peers > CLUSTER_PEERS_MAX)
		return false;
	for (unsigned i = 0; i < port->n_peers; i++)
		if (!protocol_name_is_valid(port->peers[i]))
			return false;
	return true;
}

_Bool protocol_hello_is_valid(const void *message, size_t len)
{
	struct protocol_hello hello;
	const struct bridge_port_options *port = &hello.port;

	if (!protocol_is(message, len, PROTOCOL_HELLO, sizeof hello))
		return false;
	memcpy(&hello, message, sizeof hello);
	if (!protocol_name_is_valid(port->name) || !peers_are_valid(port) || !flag_is_valid(&port->any_source) ||
	    !is_zero(&port->uplink, 1) || !address_is_valid(&port->address))
		return false;
	/* A card has a unicast address. */
	if ((port->mac[0] & 1) || is_zero(port->mac, sizeof port->mac))
		return false;
	if (!subnet_is_valid(&hello.subnet) || !subnet6_is_valid(&hello.subnet6))
		return false;
	if (hello.fixed > 1 || (hello.fixed && !net_is_ipv4(&port->address)) ||
	    !is_zero(hello.reserved, sizeof hello.reserved))
		return false;
	return memchr(hello.uplink, '\0', sizeof hello.uplink) != NULL;
}

_Bool protocol_refused_is_valid(const void *message, size_t len)
{
	struct protocol_refused refused;
	size_t n;

	if (!protocol_is(message, len, PROTOCOL_REFUSED, sizeof refused))
		return false;
	memcpy(&refused, message, sizeof refused);
	n = strnlen(refused.why, sizeof refused.why);
	/* It goes to a terminal. */
	for (size_t i = 0; i < n; i++)
		if (iscntrl((unsigned char)refused.why[i]))
			return false;
	return n > 0 && n < sizeof refused.why;
}

_Bool protocol_welcome_is_valid(const void *message, size_t len)
{
	struct protocol_welcome welcome;
	struct in6_addr own;

	if (!protocol_is(message, len, PROTOCOL_WELCOME, sizeof welcome))
		return false;
	memcpy(&welcome, message, sizeof welcome);
	if (welcome.subnet.bits == 0 || !subnet_is_valid(&welcome.subnet) || !subnet6_is_valid(&welcome.subnet6) ||
	    welcome.reserved != 0)
		return false;
	/* 0 is the subnet's own address, 1 the gateway's, the last one everybody's. */
	if (welcome.index < 2 || welcome.index >= UINT32_MAX >> (welcome.subnet.bits - 96))
		return false;
	own = net_prefix_nth(&welcome.subnet, welcome.index);
	return net_same(&own, &welcome.address);
}

_Bool protocol_members_is_valid(const void *message, size_t len)
{
	struct protocol_members list;
	const size_t fixed = offsetof(struct protocol_members, members);

	if (len < fixed || len > sizeof list)
		return false;
	memcpy(&list, message, len);
	if (list.n > CLUSTER_MEMBERS_MAX || list.reserved != 0 ||
	    !protocol_is(message, len, PROTOCOL_MEMBERS, fixed + list.n * sizeof list.members[0]))
		return false;
	for (uint32_t i = 0; i < list.n; i++) {
		const struct protocol_member *member = &list.members[i];

		if (!protocol_name_is_valid(member->name) || !address_is_valid(&member->address) ||
		    net_is_ipv4(&member->address6))
			return false;
	}
	return true;
}

_Bool protocol_change_is_valid(const void *message, size_t len)
{
	struct protocol_change change;

	if (!protocol_is(message, len, PROTOCOL_CHANGE, sizeof change))
		return false;
	memcpy(&change, message, sizeof change);
	return peers_are_valid(&change.port);
}
