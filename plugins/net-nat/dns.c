/* SPDX-License-Identifier: MIT */
/* dns.c - see dns.h. To be written. */
#include "plugins/net-nat/dns.h"

int dns_new(struct nat *nat, struct dns **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void dns_free(struct dns *dns)
{
	(void)dns;
}

void dns_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	(void)nat;
	(void)frame;
	(void)packet;
}

int dns_accept(struct nat *nat)
{
	(void)nat;
	return 0;
}

void dns_forget_all(struct dns *dns)
{
	(void)dns;
}
