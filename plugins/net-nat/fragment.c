/* SPDX-License-Identifier: MIT */
/* fragment.c - see fragment.h. To be written. */
#include "plugins/net-nat/fragment.h"

int fragments_new(struct nat *nat, struct fragments **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void fragments_free(struct fragments *fragments)
{
	(void)fragments;
}

void fragments_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	(void)nat;
	(void)frame;
	(void)packet;
}

void fragments_forget_all(struct fragments *fragments)
{
	(void)fragments;
}
