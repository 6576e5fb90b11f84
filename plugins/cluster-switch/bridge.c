/* SPDX-License-Identifier: MIT */
/*
 * bridge.c - see bridge.h.
 *
 * THEORY OF OPERATION. Ports are numbered by the slots that they have: the number is what the forwarding database
 * knows them by, and a bit in the others' sets. Names are compared when a port comes or its peers change, not for a
 * frame: `may_reach` of each port is what both ports' lists say together. So a frame whose target is known costs
 * taking it apart, one or two lookups (guard.h: its IPv6 source; fdb.h: its target), and one bit.
 *
 * Ports that were sent something are in a row until bridge_flush().
 */
#include "plugins/cluster-switch/bridge.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "plugins/cluster-switch/fdb.h"
#include "plugins/cluster-switch/guard.h"
#include "plugins/cluster-switch/ring.h"
#include "plugins/net/segment.h"

#define SET_WORDS ((BRIDGE_PORTS_MAX + 63u) / 64u)
/* A port that was silent may send so much at once: an eighth of a second's, but two of the largest frames. */
#define BURST_PART 8u
#define BURST_MIN ((uint64_t)128 << 10)
#define RATE_MAX ((uint64_t)1 << 40) /* more is as much */

struct bridge_port {
	struct bridge *bridge;
	unsigned slot;
	TAILQ_ENTRY(bridge_port) all;
	struct bridge_port_options options;
	struct bridge_port_operations operations;
	void *ctx;
	struct bridge_counters counters;
	uint64_t may_reach[SET_WORDS]; /* slots */
	/* What it may send now, in thousandths of a byte, as of rate_at_ms. */
	uint64_t credit, rate_at_ms;
	bool is_sent; /* is in bridge->sent */
	TAILQ_ENTRY(bridge_port) sent;
};

TAILQ_HEAD(port_list, bridge_port);

struct bridge {
	struct fdb *fdb;
	struct guard *guard;
	struct bridge_port *slots[BRIDGE_PORTS_MAX];
	unsigned n_members;
	struct port_list ports; /* in the order of joining */
	struct port_list sent;
	bool calls; /* operations are being called */
};

/* ---- frames ---- */

bool bridge_frame_make(struct bridge_frame *frame, const struct virtio_net_hdr_v1 *header, const struct iovec *pieces,
                       unsigned n, size_t len)
{
	size_t left = len, skip;

	frame->header = *header;
	frame->head_len = frame->len = 0;
	frame->n = 0;
	if (len < ETH_HLEN || len > RING_FRAME_MAX)
		return false;
	for (unsigned i = 0; i < n && frame->head_len < PACKET_HEAD && left > 0; i++) {
		size_t part = pieces[i].iov_len < left ? pieces[i].iov_len : left;

		if (part > PACKET_HEAD - frame->head_len)
			part = PACKET_HEAD - frame->head_len;
		if (part > 0)
			memcpy(frame->head + frame->head_len, pieces[i].iov_base, part);
		frame->head_len += part;
		left -= part;
	}
	frame->iov[frame->n++] = (struct iovec){ .iov_base = frame->head, .iov_len = frame->head_len };
	skip = frame->head_len;
	for (unsigned i = 0; i < n && left > 0; i++) {
		size_t part = pieces[i].iov_len;

		if (part <= skip) {
			skip -= part;
			continue;
		}
		if (frame->n == BRIDGE_FRAME_PIECES)
			break;
		part = part - skip < left ? part - skip : left;
		frame->iov[frame->n++] =
			(struct iovec){ .iov_base = (unsigned char *)pieces[i].iov_base + skip, .iov_len = part };
		skip = 0;
		left -= part;
	}
	if (left > 0) { /* the pieces are shorter than the frame, or too many */
		frame->head_len = 0;
		frame->n = 0;
		return false;
	}
	frame->len = len;
	return true;
}

/* ---- ports ---- */

int bridge_new(struct bridge **out)
{
	struct bridge *bridge = calloc(1, sizeof *bridge);
	int rc;

	*out = NULL;
	if (!bridge)
		return -ENOMEM;
	TAILQ_INIT(&bridge->ports);
	TAILQ_INIT(&bridge->sent);
	rc = fdb_new(&bridge->fdb);
	if (rc == 0)
		rc = guard_new(&bridge->guard);
	if (rc < 0) {
		bridge_free(bridge);
		return -ENOMEM;
	}
	*out = bridge;
	return 0;
}

void bridge_free(struct bridge *bridge)
{
	if (!bridge)
		return;
	while (!TAILQ_EMPTY(&bridge->ports))
		bridge_port_remove(TAILQ_FIRST(&bridge->ports));
	guard_free(bridge->guard);
	fdb_free(bridge->fdb);
	free(bridge);
}

static bool set_has(const uint64_t *set, unsigned slot)
{
	return set[slot / 64] >> slot % 64 & 1;
}

static void set_put(uint64_t *set, unsigned slot, bool in)
{
	const uint64_t bit = (uint64_t)1 << slot % 64;

	set[slot / 64] = in ? set[slot / 64] | bit : set[slot / 64] & ~bit;
}

static bool names(const struct bridge_port_options *options, const char *name)
{
	if (!options->has_peers)
		return true;
	for (unsigned i = 0; i < options->n_peers; i++)
		if (strcmp(options->peers[i], name) == 0)
			return true;
	return false;
}

/* What the port's list and each other one's say together, to both. */
static void settle_peers(struct bridge_port *port)
{
	struct bridge_port *other;

	TAILQ_FOREACH(other, &port->bridge->ports, all)
	{
		const bool may = other != port && names(&port->options, other->options.name) &&
		                 names(&other->options, port->options.name);

		set_put(port->may_reach, other->slot, may);
		set_put(other->may_reach, port->slot, may);
	}
}

/* Whoever filled the options in: texts end, and no count is beyond its array. */
static void copy_peers(struct bridge_port_options *to, const struct bridge_port_options *from)
{
	to->has_peers = from->has_peers && !to->uplink;
	to->n_peers = from->n_peers < CLUSTER_PEERS_MAX ? from->n_peers : CLUSTER_PEERS_MAX;
	memcpy(to->peers, from->peers, sizeof to->peers);
	for (unsigned i = 0; i < CLUSTER_PEERS_MAX; i++)
		to->peers[i][CLUSTER_NAME_MAX] = '\0';
	to->rate = from->rate < RATE_MAX ? from->rate : RATE_MAX;
}

static bool has_address(const struct in6_addr *a)
{
	return !net_is_unspecified(a);
}

__attribute__((format(printf, 3, 4))) static int say(char *cause, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(cause, size, format, args);
	va_end(args);
	return -EEXIST;
}

static int say_mac(char *cause, size_t size, const struct bridge_port_options *options, const char *whose)
{
	const unsigned char *m = options->mac;

	return say(cause, size,
	           "\"%s\" has the MAC address %02x:%02x:%02x:%02x:%02x:%02x, as %s: give one of them another by `mac`",
	           options->name, m[0], m[1], m[2], m[3], m[4], m[5], whose);
}

static int say_address(char *cause, size_t size, const struct bridge_port_options *options,
                       const struct in6_addr *address, const char *other)
{
	char text[NET_ADDRESS_TEXT];

	return say(cause, size, "\"%s\" has the address %s, as \"%s\" has: give one of them another by `address`",
	           options->name, net_address_text(address, text), other);
}

/* 0, or -EEXIST: `other` has something that only one port may have. */
static int compare(const struct bridge_port_options *mine, const struct bridge_port_options *other, char *cause,
                   size_t size)
{
	char whose[CLUSTER_NAME_MAX + 8];

	if (strcmp(mine->name, other->name) == 0)
		return say(cause, size, "\"%s\" is in the cluster already, so another \"%s\" cannot be", other->name,
		           mine->name);
	if (mine->uplink || other->uplink)
		return 0;
	if (memcmp(mine->mac, other->mac, ETH_ALEN) == 0) {
		snprintf(whose, sizeof whose, "\"%s\" has", other->name);
		return say_mac(cause, size, mine, whose);
	}
	if (has_address(&mine->address) && net_same(&mine->address, &other->address))
		return say_address(cause, size, mine, &mine->address, other->name);
	if (has_address(&mine->address6) && net_same(&mine->address6, &other->address6))
		return say_address(cause, size, mine, &mine->address6, other->name);
	return 0;
}

static int check_free(const struct bridge *bridge, const struct bridge_port_options *options, char *cause, size_t size)
{
	static const unsigned char gateway[] = GUARD_GATEWAY_MAC;
	const struct bridge_port *other;
	int rc;

	if (!options->uplink && memcmp(options->mac, gateway, ETH_ALEN) == 0)
		return say_mac(cause, size, options, "the cluster's gateway has");
	TAILQ_FOREACH(other, &bridge->ports, all)
	{
		rc = compare(options, &other->options, cause, size);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static uint64_t credit_max(const struct bridge_port *port)
{
	const uint64_t burst = port->options.rate / BURST_PART;

	return (burst > BURST_MIN ? burst : BURST_MIN) * 1000;
}

/* The first slot that is free. One is kept for the uplink. */
static int find_slot(const struct bridge *bridge, bool uplink, unsigned *slot)
{
	if (!uplink && bridge->n_members >= CLUSTER_MEMBERS_MAX)
		return -ENOSPC;
	for (*slot = 0; *slot < BRIDGE_PORTS_MAX; ++*slot)
		if (!bridge->slots[*slot])
			return 0;
	return -ENOSPC;
}

int bridge_port_add(struct bridge *bridge, const struct bridge_port_options *options,
                    const struct bridge_port_operations *operations, void *ctx, struct bridge_port **out, char *cause,
                    size_t size)
{
	struct bridge_port *port = calloc(1, sizeof *port);
	int rc;

	assert(!bridge->calls);
	*out = NULL;
	if (!port)
		return -ENOMEM;
	port->bridge = bridge;
	port->options = *options;
	port->options.name[CLUSTER_NAME_MAX] = '\0';
	port->options.any_source = options->any_source || options->uplink;
	copy_peers(&port->options, options);
	port->credit = credit_max(port);
	port->operations = *operations;
	port->ctx = ctx;
	rc = check_free(bridge, &port->options, cause, size);
	if (rc == 0)
		rc = find_slot(bridge, options->uplink, &port->slot);
	if (rc < 0)
		goto refused;
	rc = guard_add_port(bridge->guard, port);
	if (rc == 0 && !options->uplink)
		rc = fdb_add_static(bridge->fdb, port->options.mac, port->slot);
	if (rc < 0)
		goto failed;
	bridge->slots[port->slot] = port;
	bridge->n_members += !options->uplink;
	TAILQ_INSERT_TAIL(&bridge->ports, port, all);
	settle_peers(port);
	*out = port;
	return 0;
failed:
	guard_forget_port(bridge->guard, port);
	fdb_forget_port(bridge->fdb, port->slot);
refused:
	free(port);
	return rc;
}

void bridge_port_remove(struct bridge_port *port)
{
	struct bridge *bridge = port->bridge;

	assert(!bridge->calls);
	guard_forget_port(bridge->guard, port);
	fdb_forget_port(bridge->fdb, port->slot);
	TAILQ_REMOVE(&bridge->ports, port, all);
	if (port->is_sent)
		TAILQ_REMOVE(&bridge->sent, port, sent);
	bridge->slots[port->slot] = NULL;
	bridge->n_members -= !port->options.uplink;
	free(port);
}

void bridge_port_change(struct bridge_port *port, const struct bridge_port_options *options)
{
	copy_peers(&port->options, options);
	if (port->credit > credit_max(port))
		port->credit = credit_max(port);
	settle_peers(port);
}

const struct bridge_port_options *bridge_port_options(const struct bridge_port *port)
{
	return &port->options;
}

const struct bridge_counters *bridge_port_counters(const struct bridge_port *port)
{
	return &port->counters;
}

/* ---- forwarding ---- */

/* A token bucket: whether the port may send `len` bytes more, which it has then done. */
static bool takes_rate(struct bridge_port *port, size_t len, uint64_t now_ms)
{
	const uint64_t rate = port->options.rate, max = credit_max(port), cost = (uint64_t)len * 1000;
	uint64_t passed;

	if (!rate)
		return true;
	passed = now_ms > port->rate_at_ms ? now_ms - port->rate_at_ms : 0;
	if (passed > 0) {
		/* A byte a second is a thousandth a millisecond. Nothing overflows: what is added is `max` at most. */
		port->credit += passed > max / rate ? max : passed * rate;
		if (port->credit > max)
			port->credit = max;
		port->rate_at_ms = now_ms;
	}
	if (port->credit < cost)
		return false;
	port->credit -= cost;
	return true;
}

/* The target gets it, if it has room. */
static void send_to(struct bridge_port *target, const struct bridge_frame *frame)
{
	struct bridge *bridge = target->bridge;
	int rc;

	bridge->calls = true;
	rc = target->operations.send(target->ctx, frame);
	bridge->calls = false;
	if (rc < 0) {
		target->counters.full_dropped++;
		return;
	}
	target->counters.tx_packets++;
	target->counters.tx_bytes += frame->len;
	if (!target->is_sent) {
		target->is_sent = true;
		TAILQ_INSERT_TAIL(&bridge->sent, target, sent);
	}
}

/* To all others. `peers_dropped` counts it where there are some, and none of them is a peer. */
static void flood(struct bridge_port *port, const struct bridge_frame *frame)
{
	struct bridge_port *target;
	bool others = false, peers = false;

	TAILQ_FOREACH(target, &port->bridge->ports, all)
	{
		if (target == port)
			continue;
		others = true;
		if (!set_has(port->may_reach, target->slot))
			continue;
		peers = true;
		send_to(target, frame);
	}
	if (others && !peers)
		port->counters.peers_dropped++;
}

/* Addresses that no bridge forwards (IEEE 802.1Q, table 8-1), and the gateway's: each member has its own (guard.h). */
static bool goes_nowhere(const unsigned char to[ETH_ALEN])
{
	static const unsigned char reserved[] = { 0x01, 0x80, 0xc2, 0x00, 0x00 }, gateway[] = GUARD_GATEWAY_MAC;

	return (memcmp(to, reserved, sizeof reserved) == 0 && to[5] <= 0x0f) || memcmp(to, gateway, ETH_ALEN) == 0;
}

static void deliver(struct bridge_port *port, const struct bridge_frame *frame, const struct packet *packet,
                    uint64_t now_ms)
{
	int slot;

	if (goes_nowhere(packet->to))
		return;
	slot = packet->to[0] & 1 ? -1 : fdb_find(port->bridge->fdb, packet->to, now_ms);
	if (slot < 0)
		flood(port, frame);
	else if ((unsigned)slot == port->slot)
		return;
	else if (!set_has(port->may_reach, (unsigned)slot))
		port->counters.peers_dropped++;
	else
		send_to(port->bridge->slots[slot], frame);
}

void *bridge_target(const struct bridge_port *port, const unsigned char to[ETH_ALEN], uint64_t now_ms)
{
	const int slot = to[0] & 1 ? -1 : fdb_find(port->bridge->fdb, to, now_ms);
	const struct bridge_port *target = slot < 0 ? NULL : port->bridge->slots[slot];

	if (!target || target == port || target->options.uplink || !set_has(port->may_reach, target->slot))
		return NULL;
	return target->ctx;
}

void bridge_forward(struct bridge_port *port, const struct bridge_frame *frame, uint64_t now_ms)
{
	struct virtio_net_hdr_v1 header = frame->header;
	struct bridge_frame cleaned;
	struct packet packet;

	port->counters.rx_packets++;
	port->counters.rx_bytes += frame->len;
	packet_parse(frame->head, frame->head_len, frame->len, &packet);
	/* A source is one station (IEEE 802.3, 3.2.3). */
	if (packet.kind == PACKET_MALFORMED || (packet.from[0] & 1) ||
	    segment_check(&header, &packet, frame->len) < 0) {
		port->counters.malformed++;
		return;
	}
	if (!guard_allows(port->bridge->guard, port, frame, &packet, now_ms)) {
		port->counters.spoofed++;
		return;
	}
	if (!takes_rate(port, frame->len, now_ms)) {
		port->counters.rate_dropped++;
		return;
	}
	/* Others have only their own address, which the database has since they came. */
	if (port->options.any_source && !fdb_learn(port->bridge->fdb, packet.from, port->slot, now_ms)) {
		port->counters.spoofed++;
		return;
	}
	if (memcmp(&header, &frame->header, sizeof header) != 0) {
		cleaned = *frame;
		cleaned.header = header;
		frame = &cleaned;
	}
	deliver(port, frame, &packet, now_ms);
}

void bridge_flush(struct bridge *bridge)
{
	struct bridge_port *port;

	while ((port = TAILQ_FIRST(&bridge->sent))) {
		TAILQ_REMOVE(&bridge->sent, port, sent);
		port->is_sent = false;
		bridge->calls = true;
		port->operations.flush(port->ctx);
		bridge->calls = false;
	}
}

/* ---- for people ---- */

void bridge_each_port(const struct bridge *bridge, void (*call)(void *ctx, const struct bridge_port *port), void *ctx)
{
	const struct bridge_port *port;

	TAILQ_FOREACH(port, &bridge->ports, all)
	call(ctx, port);
}

struct each_mac {
	const struct bridge *bridge;
	void (*call)(void *ctx, const unsigned char mac[ETH_ALEN], const struct bridge_port *port, uint64_t age_ms);
	void *ctx;
};

static void tell_mac(void *ctx, const unsigned char mac[ETH_ALEN], unsigned slot, bool is_static, uint64_t age_ms)
{
	const struct each_mac *each = ctx;

	(void)is_static;
	each->call(each->ctx, mac, each->bridge->slots[slot], age_ms);
}

void bridge_each_mac(const struct bridge *bridge, uint64_t now_ms,
                     void (*call)(void *ctx, const unsigned char mac[ETH_ALEN], const struct bridge_port *port,
                                  uint64_t age_ms),
                     void *ctx)
{
	struct each_mac each = { .bridge = bridge, .call = call, .ctx = ctx };

	fdb_each(bridge->fdb, now_ms, tell_mac, &each);
}
