/* SPDX-License-Identifier: MIT */
/* cluster-gateway.c - see cluster-gateway.h. Called by cluster-switch.c, and by card.c for each frame. */
#include "plugins/cluster-switch/cluster-gateway.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "plugins/cluster-switch/conversation.h"
#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/icmp-error.h"
#include "plugins/net-nat/info.h"
#include "plugins/net-nat/nat.h"
#include "plugins/net-nat/timeout.h"

#define DOMAIN_SUFFIX ".cluster"

struct cluster_gateway {
	struct nat nat;
	struct member *member;
	struct conversations *conversations; /* NULL: no policy between members */
	char domain[CLUSTER_NAME_MAX + sizeof DOMAIN_SUFFIX];
};

/* ---- members' names ---- */

static bool lookup(void *ctx, const char *name, bool ipv6, struct in6_addr *out, unsigned n, unsigned *found)
{
	const struct cluster_gateway *gateway = ctx;
	const struct protocol_members *list = member_list(gateway->member);

	*found = 0;
	for (unsigned i = 0; i < list->n; i++) {
		const struct protocol_member *member = &list->members[i];
		const struct in6_addr *address = ipv6 ? &member->address6 : &member->address;

		if (strcasecmp(member->name, name) != 0)
			continue;
		if (n && !IN6_IS_ADDR_UNSPECIFIED(address))
			out[(*found)++] = *address;
		return true;
	}
	return false;
}

static const char *name_of(void *ctx, const struct in6_addr *address)
{
	const struct cluster_gateway *gateway = ctx;
	const struct protocol_members *list = member_list(gateway->member);

	for (unsigned i = 0; i < list->n; i++)
		if (net_same(&list->members[i].address, address) || net_same(&list->members[i].address6, address))
			return list->members[i].name;
	return NULL;
}

/* ---- between members ---- */

static bool may_begin(void *ctx, uint8_t protocol, const struct net_endpoint *guest, const struct net_endpoint *member)
{
	struct cluster_gateway *gateway = ctx;
	const struct flow_key key = { .guest = *guest, .far = *member, .protocol = protocol };

	return flow_may_pass(&gateway->nat, &key);
}

/* Conversations are known from the first rules on, so that new ones find who began what. */
static int begin_judging(struct cluster_gateway *gateway, const struct capsa_value *policy)
{
	if (!policy || policy->type == CAPSA_TYPE_NONE) {
		conversations_free(gateway->conversations);
		gateway->conversations = NULL;
		return 0;
	}
	if (gateway->conversations) {
		conversations_judge_again(gateway->conversations);
		return 0;
	}
	return conversations_new(may_begin, gateway, &gateway->conversations);
}

/* ---- frames ---- */

static bool is_unicast_to_others(const struct cluster_gateway *gateway, const struct nic_frame *frame)
{
	return frame->head_len >= ETH_ALEN && !(frame->head[0] & 1) &&
	       memcmp(frame->head, gateway->nat.gateway_mac, ETH_ALEN) != 0;
}

static bool takes(void *ctx, const struct nic_frame *frame)
{
	struct cluster_gateway *gateway = ctx;
	struct nat *nat = &gateway->nat;
	struct packet packet;

	if (!gateway->conversations && is_unicast_to_others(gateway, frame))
		return false;
	packet_parse(frame->head, frame->head_len, frame->len, &packet);
	if (nat_is_for_gateway(nat, &packet, frame->head, frame->head_len)) {
		nat_take_frame(nat, frame, &packet);
		return true;
	}
	if (!gateway->conversations || conversation_send(gateway->conversations, &packet, frame->head, frame->head_len,
	                                                 timeouts_now(nat->timeouts)))
		return false;
	if (packet.kind == PACKET_IP || packet.kind == PACKET_FRAGMENT)
		icmp_error_about(nat, frame->pair, ICMP_ERROR_PROHIBITED, 0, &packet, frame->head, frame->head_len);
	return true;
}

static void heard(void *ctx, const struct packet *packet, const unsigned char *head, size_t head_len)
{
	struct cluster_gateway *gateway = ctx;

	if (!gateway->conversations)
		return;
	nat_refresh(&gateway->nat);
	conversation_hear(gateway->conversations, packet, head, head_len, timeouts_now(gateway->nat.timeouts));
}

static void batch_end(void *ctx)
{
	struct cluster_gateway *gateway = ctx;

	nat_batch_end(&gateway->nat);
}

static void room(void *ctx, unsigned pair)
{
	struct cluster_gateway *gateway = ctx;

	nat_room(&gateway->nat, pair);
}

/* ---- life ---- */

static void set_place(struct cluster_gateway *gateway, const struct cluster_options *options)
{
	const struct protocol_welcome *place = member_place(gateway->member);
	struct nat *nat = &gateway->nat;

	snprintf(gateway->domain, sizeof gateway->domain, "%s" DOMAIN_SUFFIX, options->cluster);
	nat->options = options->gateway;
	nat->options.subnet = place->subnet;
	nat->options.subnet6 = place->subnet6;
	nat->options.ipv6 = options->subnet6.bits && place->subnet6.bits;
	nat->neighbours = (struct nat_neighbours){ .there = true,
		                                   .isolated = !options->nat,
		                                   .guest4 = place->address,
		                                   .nth6 = place->index,
		                                   .domain = gateway->domain,
		                                   .lookup = lookup,
		                                   .name_of = name_of,
		                                   .ctx = gateway };
}

int cluster_gateway_new(const struct capsa_host *host, struct capsa_device *dev, const struct cluster_options *options,
                        struct card *card, struct member *member, struct cluster_gateway **out, char *cause,
                        size_t size)
{
	static const struct card_gateway operations = {
		.takes = takes, .heard = heard, .batch_end = batch_end, .room = room
	};
	struct cluster_gateway *gateway = calloc(1, sizeof *gateway);
	int rc;

	*out = gateway;
	if (!gateway)
		return -ENOMEM;
	gateway->member = member;
	gateway->nat.host = host;
	gateway->nat.dev = dev;
	gateway->nat.nic = card_nic(card);
	set_place(gateway, options);
	rc = nat_make_counters(&gateway->nat);
	rc = rc ? rc : nat_set_policy(&gateway->nat, options->gateway.policy, cause, size);
	rc = rc ? rc : begin_judging(gateway, options->gateway.policy);
	rc = rc ? rc : nat_open(&gateway->nat, cause, size);
	if (!rc)
		card_set_gateway(card, &operations, gateway);
	return rc;
}

void cluster_gateway_free(struct cluster_gateway *gateway)
{
	if (!gateway)
		return;
	nat_close(&gateway->nat);
	conversations_free(gateway->conversations);
	free(gateway);
}

int cluster_gateway_start(struct cluster_gateway *gateway, char *cause, size_t size)
{
	return nat_start(&gateway->nat, cause, size);
}

void cluster_gateway_refresh(struct cluster_gateway *gateway)
{
	nat_refresh(&gateway->nat);
}

void cluster_gateway_activate(struct cluster_gateway *gateway)
{
	nat_activate(&gateway->nat);
}

void cluster_gateway_reset(struct cluster_gateway *gateway)
{
	nat_forget_guest(&gateway->nat);
	if (gateway->conversations)
		conversations_forget_all(gateway->conversations);
}

void cluster_gateway_stop(struct cluster_gateway *gateway)
{
	nat_forget(&gateway->nat);
}

void cluster_gateway_set_link(struct cluster_gateway *gateway, bool up)
{
	nat_set_link(&gateway->nat, up);
}

int cluster_gateway_set_policy(struct cluster_gateway *gateway, const struct capsa_value *value, char *cause,
                               size_t size)
{
	int rc = nat_set_policy(&gateway->nat, value, cause, size);

	if (rc)
		return rc;
	rc = begin_judging(gateway, value);
	if (rc)
		snprintf(cause, size, "policy: %s", strerror(-rc));
	return rc;
}

void cluster_gateway_info(struct cluster_gateway *gateway)
{
	nat_info(&gateway->nat);
}
