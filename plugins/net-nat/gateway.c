/* SPDX-License-Identifier: MIT */
/* gateway.c - see gateway.h. To be written. */
#include "plugins/net-nat/gateway.h"

int gateway_new(struct nat *nat, struct gateway **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void gateway_free(struct gateway *gateway)
{
	(void)gateway;
}

void gateway_begin(struct nat *nat)
{
	(void)nat;
}

bool gateway_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	(void)nat;
	(void)frame;
	(void)packet;
	return false;
}
