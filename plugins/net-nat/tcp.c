/* SPDX-License-Identifier: MIT */
/* tcp.c - see tcp.h. To be written. */
#include "plugins/net-nat/tcp.h"

const struct flow_kind flow_tcp = { .name = "tcp" };

int tcp_new(struct nat *nat, struct tcp **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void tcp_free(struct tcp *tcp)
{
	(void)tcp;
}

void tcp_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	(void)nat;
	(void)frame;
	(void)packet;
}

void tcp_batch_end(struct nat *nat)
{
	(void)nat;
}

void tcp_room(struct nat *nat, unsigned pair)
{
	(void)nat;
	(void)pair;
}

void tcp_resume(struct nat *nat)
{
	(void)nat;
}

int tcp_open_inbound(struct nat *nat, int fd, const struct net_endpoint *from, const struct net_endpoint *guest)
{
	(void)nat;
	(void)fd;
	(void)from;
	(void)guest;
	return 0;
}
