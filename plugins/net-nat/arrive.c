/* SPDX-License-Identifier: MIT */
/* arrive.c - see nat.h. To be written. */
#include "plugins/net-nat/nat.h"

bool nat_is_guest_address(const struct nat *nat, const struct in6_addr *a)
{
	(void)nat;
	(void)a;
	return false;
}

bool nat_is_gateway_address(const struct nat *nat, const struct in6_addr *a)
{
	(void)nat;
	(void)a;
	return false;
}

struct in6_addr nat_real_target(const struct nat *nat, const struct in6_addr *target)
{
	(void)nat;
	(void)target;
	return (struct in6_addr){ 0 };
}

struct in6_addr nat_gateway_for(const struct nat *nat, const struct in6_addr *a)
{
	(void)nat;
	(void)a;
	return (struct in6_addr){ 0 };
}

struct in6_addr nat_guest_for(const struct nat *nat, const struct in6_addr *a)
{
	(void)nat;
	(void)a;
	return (struct in6_addr){ 0 };
}

void nat_frame(void *ctx, const struct nic_frame *frame)
{
	(void)ctx;
	(void)frame;
}

void nat_batch_end(void *ctx)
{
	(void)ctx;
}

void nat_room(void *ctx, unsigned pair)
{
	(void)ctx;
	(void)pair;
}
