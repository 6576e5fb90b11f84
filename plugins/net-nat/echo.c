/* SPDX-License-Identifier: MIT */
/* echo.c - see echo.h. To be written. */
#include "plugins/net-nat/echo.h"

const struct flow_kind flow_echo = { .name = "echo" };

int echo_new(struct nat *nat, struct echo **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void echo_free(struct echo *echo)
{
	(void)echo;
}

void echo_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	(void)nat;
	(void)frame;
	(void)packet;
}
