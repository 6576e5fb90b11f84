/* SPDX-License-Identifier: MIT */
/* flow.c - see flow.h. To be written. */
#include "plugins/net-nat/flow.h"

int flows_new(struct nat *nat, struct flows **out)
{
	(void)nat;
	(void)out;
	*out = NULL;
	return 0;
}

void flows_free(struct flows *flows)
{
	(void)flows;
}

struct flow *flows_find(const struct flows *flows, const struct flow_key *key)
{
	(void)flows;
	(void)key;
	return NULL;
}

int flow_begin(struct nat *nat, const struct flow_key *key, struct flow *flow)
{
	(void)nat;
	(void)key;
	(void)flow;
	return 0;
}

int flow_begin_inbound(struct nat *nat, const struct flow_key *key, struct flow *flow)
{
	(void)nat;
	(void)key;
	(void)flow;
	return 0;
}

int flows_insert(struct flows *flows, struct flow *flow)
{
	(void)flows;
	(void)flow;
	return 0;
}

void flows_remove(struct flows *flows, struct flow *flow)
{
	(void)flows;
	(void)flow;
}

void flows_judge_again(struct flows *flows)
{
	(void)flows;
}

void flows_drop_all(struct flows *flows)
{
	(void)flows;
}

unsigned flows_count(const struct flows *flows)
{
	(void)flows;
	return 0;
}

void flows_each(const struct flows *flows, void (*each)(void *ctx, const struct flow *flow), void *ctx)
{
	(void)flows;
	(void)each;
	(void)ctx;
}
