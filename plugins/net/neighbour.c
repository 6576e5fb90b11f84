/* SPDX-License-Identifier: MIT */
/* neighbour.c - see neighbour.h. To be written. */
#include "plugins/net/neighbour.h"

int neighbour_parse(const unsigned char *message, size_t len, struct neighbour_solicitation *out)
{
	(void)message;
	(void)len;
	(void)out;
	return 0;
}

size_t neighbour_put_advertisement(unsigned char message[NEIGHBOUR_MESSAGE_MAX], const struct in6_addr *from,
                                   const struct in6_addr *to, const struct in6_addr *target,
                                   const unsigned char mac[ETH_ALEN], bool router, bool solicited)
{
	(void)message;
	(void)from;
	(void)to;
	(void)target;
	(void)mac;
	(void)router;
	(void)solicited;
	return 0;
}

size_t router_put_advertisement(unsigned char message[NEIGHBOUR_MESSAGE_MAX], const struct in6_addr *from,
                                const struct in6_addr *to, const struct router *router)
{
	(void)message;
	(void)from;
	(void)to;
	(void)router;
	return 0;
}

size_t dhcp6_answer(const unsigned char *message, size_t len, const struct dhcp6_lease *lease, unsigned char *reply,
                    size_t room)
{
	(void)message;
	(void)len;
	(void)lease;
	(void)reply;
	(void)room;
	return 0;
}

struct in6_addr neighbour_link_local(const unsigned char mac[ETH_ALEN])
{
	(void)mac;
	return (struct in6_addr){ 0 };
}
