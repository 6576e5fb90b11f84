/* SPDX-License-Identifier: MIT */
/* udp.c - see udp.h. To be written. */
#include "plugins/net-nat/udp.h"

const struct flow_kind flow_udp = { .name = "udp" };

int udp_new(struct nat *nat, struct udp **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void udp_free(struct udp *udp)
{
	(void)udp;
}

void udp_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	(void)nat;
	(void)frame;
	(void)packet;
}

void udp_resume(struct nat *nat)
{
	(void)nat;
}

bool udp_make_room(struct nat *nat)
{
	(void)nat;
	return false;
}

int udp_publish(struct nat *nat, int fd, const struct net_endpoint *guest, struct udp_published **out)
{
	(void)nat;
	(void)fd;
	(void)guest;
	(void)out;
	*out = NULL;
	return 0;
}

void udp_unpublish(struct nat *nat, struct udp_published *published)
{
	(void)nat;
	(void)published;
}
