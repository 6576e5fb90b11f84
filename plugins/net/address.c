/* SPDX-License-Identifier: MIT */
/* address.c - see address.h. To be written. */
#include "plugins/net/address.h"

struct in6_addr net_from_ipv4(struct in_addr a)
{
	(void)a;
	return (struct in6_addr){ 0 };
}

struct in_addr net_to_ipv4(const struct in6_addr *a)
{
	(void)a;
	return (struct in_addr){ 0 };
}

bool net_prefix_has(const struct net_prefix *prefix, const struct in6_addr *a)
{
	(void)prefix;
	(void)a;
	return false;
}

struct in6_addr net_prefix_nth(const struct net_prefix *prefix, uint32_t n)
{
	(void)prefix;
	(void)n;
	return (struct in6_addr){ 0 };
}

int net_address_parse(const char *text, struct in6_addr *out)
{
	(void)text;
	(void)out;
	return 0;
}

int net_prefix_parse(const char *text, struct net_prefix *out)
{
	(void)text;
	(void)out;
	return 0;
}

int net_interface_parse(const char *text, struct in6_addr *address, struct net_prefix *prefix)
{
	(void)text;
	(void)address;
	(void)prefix;
	return 0;
}

const char *net_address_text(const struct in6_addr *a, char text[NET_ADDRESS_TEXT])
{
	(void)a;
	(void)text;
	return NULL;
}

const char *net_endpoint_text(const struct net_endpoint *e, char text[NET_ENDPOINT_TEXT])
{
	(void)e;
	(void)text;
	return NULL;
}

const char *net_prefix_text(const struct net_prefix *p, char text[NET_PREFIX_TEXT])
{
	(void)p;
	(void)text;
	return NULL;
}

socklen_t net_to_sockaddr(const struct net_endpoint *e, struct sockaddr_storage *out)
{
	(void)e;
	(void)out;
	return 0;
}

int net_from_sockaddr(const struct sockaddr *sa, struct net_endpoint *out)
{
	(void)sa;
	(void)out;
	return 0;
}

bool net_is_loopback(const struct in6_addr *a)
{
	(void)a;
	return false;
}

bool net_is_link_local(const struct in6_addr *a)
{
	(void)a;
	return false;
}

bool net_is_private(const struct in6_addr *a)
{
	(void)a;
	return false;
}

bool net_is_multicast(const struct in6_addr *a)
{
	(void)a;
	return false;
}

bool net_is_unspecified(const struct in6_addr *a)
{
	(void)a;
	return false;
}

bool net_embedded_ipv4(const struct in6_addr *a, struct in6_addr *out)
{
	(void)a;
	(void)out;
	return false;
}
