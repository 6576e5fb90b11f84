/* SPDX-License-Identifier: MIT */
/* upstream.c - see upstream.h. To be written. */
#include "plugins/net-nat/upstream.h"

int upstreams_new(struct nat *nat, const char *resolv_conf, struct upstreams **out)
{
	(void)nat;
	(void)resolv_conf;
	(void)out;
	*out = NULL;
	return 0;
}

void upstreams_free(struct upstreams *upstreams)
{
	(void)upstreams;
}

unsigned upstreams_count(const struct upstreams *upstreams)
{
	(void)upstreams;
	return 0;
}

struct net_endpoint upstreams_get(const struct upstreams *upstreams, unsigned n)
{
	(void)upstreams;
	(void)n;
	return (struct net_endpoint){ 0 };
}

void upstreams_answered(struct upstreams *upstreams, const struct net_endpoint *which)
{
	(void)upstreams;
	(void)which;
}

void upstreams_failed(struct upstreams *upstreams, const struct net_endpoint *which)
{
	(void)upstreams;
	(void)which;
}

unsigned upstreams_search(const struct upstreams *upstreams, const char *const **domains)
{
	(void)upstreams;
	(void)domains;
	return 0;
}
