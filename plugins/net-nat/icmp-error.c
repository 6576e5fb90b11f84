/* SPDX-License-Identifier: MIT */
/* icmp-error.c - see icmp-error.h. To be written. */
#include "plugins/net-nat/icmp-error.h"

void icmp_error_about(struct nat *nat, unsigned pair, enum icmp_error what, uint32_t mtu, const struct packet *packet,
                      const unsigned char *head, size_t head_len)
{
	(void)nat;
	(void)pair;
	(void)what;
	(void)mtu;
	(void)packet;
	(void)head;
	(void)head_len;
}

void icmp_error_about_flow(const struct flow *flow, enum icmp_error what, uint32_t mtu, uint32_t sequence)
{
	(void)flow;
	(void)what;
	(void)mtu;
	(void)sequence;
}

enum icmp_error icmp_error_of(int error)
{
	(void)error;
	return 0;
}
