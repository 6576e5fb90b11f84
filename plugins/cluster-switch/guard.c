/* SPDX-License-Identifier: MIT */
/*
 * guard.c - see guard.h.
 *
 * THEORY OF OPERATION. Whatever a receiver might take for an address of somebody else's must be judged, so each way of
 * writing the same packet differently ends in one of three: taken apart as any other, refused, or discarded by every
 * receiver. Frames that packet.h finds malformed do not get here (bridge.h); beside these:
 *
 *   - a tag of VLAN 0 is no VLAN (IEEE 802.1Q, 6.9): receivers take what is behind it for untagged. One is looked
 *     behind, more of them nobody needs;
 *   - IP in LLC/SNAP (RFC 1042), which some systems still take on Ethernet, is refused;
 *   - a first fragment must have in it what is judged, and neighbour discovery none at all (RFC 6980, RFC 7112). What
 *     follows a first fragment that was refused is never put together;
 *   - a checksum that is left to others (VIRTIO_NET_HDR_F_NEEDS_CSUM) is written after the frame was judged, and its
 *     sender chooses where and, by what it sums, what: only where it changes nothing that was looked at.
 *
 * IPv6 addresses are claimed by using them: as a source, as what is looked for by duplicate address detection, as what
 * is advertised. Those that are a port's by right (guard_add_port()) are claimed for good before it says a word, so
 * being quicker is no way to another's. A port that looks whether an address of another's is free is not heard: it
 * would learn that it is not, but could as well keep others from ever having one.
 *
 * One hash table of all claims. A port's are in its record, so that no frame allocates.
 */
#include "plugins/cluster-switch/guard.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net/arp.h"
#include "plugins/net/hash.h"
#include "plugins/net/neighbour.h"

#define CHAINS 4096u     /* about as many claims as there can be */
#define OWNER_CHAINS 64u /* both are powers of two */
#define VLAN_TAG 4u
#define MLD2_REPORT 143u /* RFC 3810, 5.2; glibc has no name for it */
#define VLAN_ID 0x0fffu
#define OWN_MAX 3u          /* by right: link-local by its MAC; the cluster's; by its MAC in the cluster's prefix */
#define LENGTHS_MAX 0x05ffu /* EtherTypes up to here are an LLC frame's length (IEEE 802.3, 3.2.6) */

enum {
	DHCP_SERVER = 67,
	DHCP_CLIENT = 68,
	DHCP6_CLIENT = 546,
	DHCP6_SERVER = 547,
};

struct owner;

struct claim {
	struct claim *next;  /* of its chain */
	struct owner *owner; /* NULL: not in use */
	bool by_right;
	struct in6_addr address;
	uint64_t used_ms;
};

struct owner {
	struct owner *next;
	const struct bridge_port *port;
	struct claim by_right[OWN_MAX];
	struct claim claims[GUARD_ADDRESSES];
};

struct guard {
	struct hash_secret secret;
	struct claim *chains[CHAINS];
	struct owner *owners[OWNER_CHAINS];
};

static uint16_t load16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

int guard_new(struct guard **out)
{
	struct guard *guard = calloc(1, sizeof *guard);
	int rc;

	*out = NULL;
	if (!guard)
		return -ENOMEM;
	rc = hash_secret_new(&guard->secret);
	if (rc < 0) {
		free(guard);
		return rc;
	}
	*out = guard;
	return 0;
}

void guard_free(struct guard *guard)
{
	if (!guard)
		return;
	for (unsigned i = 0; i < OWNER_CHAINS; i++) {
		while (guard->owners[i]) {
			struct owner *owner = guard->owners[i];

			guard->owners[i] = owner->next;
			free(owner);
		}
	}
	free(guard);
}

/* ---- claims ---- */

static struct claim **chain_of(struct guard *guard, const struct in6_addr *address)
{
	uint64_t words[2];

	memcpy(words, address, sizeof words);
	return &guard->chains[hash_words(&guard->secret, words, 2) & (CHAINS - 1)];
}

static void unlink_claim(struct guard *guard, struct claim *claim)
{
	struct claim **at = chain_of(guard, &claim->address);

	while (*at != claim) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = claim->next;
	claim->owner = NULL;
}

static struct owner **owner_at(struct guard *guard, const struct bridge_port *port)
{
	struct owner **at = &guard->owners[(uintptr_t)port / 64 % OWNER_CHAINS];

	while (*at && (*at)->port != port)
		at = &(*at)->next;
	return at;
}

static struct claim *find(struct guard *guard, const struct in6_addr *address)
{
	struct claim *claim = *chain_of(guard, address);

	while (claim && !net_same(&claim->address, address))
		claim = claim->next;
	return claim;
}

static void link_claim(struct guard *guard, struct claim *claim, struct owner *owner, const struct in6_addr *address,
                       uint64_t now_ms)
{
	struct claim **chain = chain_of(guard, address);

	claim->owner = owner;
	claim->address = *address;
	claim->used_ms = now_ms;
	claim->next = *chain;
	*chain = claim;
}

/* The address is the port's from now on, and was nobody else's by right. */
static void give(struct guard *guard, struct owner *owner, struct claim *mine, const struct in6_addr *address)
{
	struct claim *claim = find(guard, address);

	if (claim && claim->by_right)
		return;
	if (claim)
		unlink_claim(guard, claim);
	mine->by_right = true;
	link_claim(guard, mine, owner, address, 0);
}

int guard_add_port(struct guard *guard, const struct bridge_port *port)
{
	const struct bridge_port_options *options = bridge_port_options(port);
	struct owner **at = owner_at(guard, port), *owner;
	struct in6_addr by_mac;

	assert(!*at);
	owner = *at = calloc(1, sizeof **at);
	if (!owner)
		return -ENOMEM;
	owner->port = port;
	if (options->uplink)
		return 0;
	by_mac = neighbour_link_local(options->mac);
	give(guard, owner, &owner->by_right[0], &by_mac);
	if (!net_is_unspecified(&options->address6))
		give(guard, owner, &owner->by_right[1], &options->address6);
	if (options->subnet6.bits == 64) {
		memcpy(&by_mac, &options->subnet6.address, 8);
		give(guard, owner, &owner->by_right[2], &by_mac);
	}
	return 0;
}

static void forget(struct guard *guard, struct claim *claims, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (claims[i].owner)
			unlink_claim(guard, &claims[i]);
}

void guard_forget_port(struct guard *guard, const struct bridge_port *port)
{
	struct owner **at = owner_at(guard, port), *owner = *at;

	if (!owner)
		return;
	forget(guard, owner->by_right, OWN_MAX);
	forget(guard, owner->claims, GUARD_ADDRESSES);
	*at = owner->next;
	free(owner);
}

/* One that is not in use, or the one that was used least lately. */
static struct claim *free_claim(struct guard *guard, struct owner *owner)
{
	struct claim *claim = &owner->claims[0];

	for (unsigned i = 0; i < GUARD_ADDRESSES; i++) {
		if (!owner->claims[i].owner)
			return &owner->claims[i];
		if (owner->claims[i].used_ms < claim->used_ms)
			claim = &owner->claims[i];
	}
	unlink_claim(guard, claim);
	return claim;
}

/* Whether the port has the address, from now on where nobody else has. */
static bool claims(struct guard *guard, const struct bridge_port *port, const struct in6_addr *address, uint64_t now_ms)
{
	const struct bridge_port_options *options = bridge_port_options(port);
	struct claim *claim = find(guard, address);
	struct owner *owner;

	if (claim && claim->owner->port == port) {
		claim->used_ms = now_ms;
		return true;
	}
	if (claim && (claim->by_right || now_ms < claim->used_ms + GUARD_AGE_MS))
		return false;
	if (!IN6_IS_ADDR_LINKLOCAL(address) && (!options->subnet6.bits || !net_prefix_has(&options->subnet6, address)))
		return false;
	owner = *owner_at(guard, port);
	if (!owner)
		return false;
	if (claim)
		unlink_claim(guard, claim);
	link_claim(guard, free_claim(guard, owner), owner, address, now_ms);
	return true;
}

/* ---- IPv4 ---- */

static bool has_ipv4(const struct bridge_port_options *options)
{
	return net_is_ipv4(&options->address) && !net_is_unspecified(&options->address);
}

static bool arp_is_allowed(const struct bridge_port_options *options, const struct bridge_frame *frame,
                           const struct packet *packet)
{
	struct in_addr own = { .s_addr = 0 };
	struct arp arp;

	if (arp_parse(frame->head, frame->head_len, packet->l3, &arp) < 0 ||
	    memcmp(arp.sender_mac, options->mac, ETH_ALEN) != 0)
		return false;
	if (arp.request && !arp.sender.s_addr)
		return true;
	if (has_ipv4(options))
		own = net_to_ipv4(&options->address);
	return own.s_addr && arp.sender.s_addr == own.s_addr;
}

/* The first `n` bytes of the upper layer, of whole packets and first fragments. NULL: they are not in the frame. */
static const unsigned char *upper(const struct bridge_frame *frame, const struct packet *packet, size_t n)
{
	if (packet->l4_len < n || packet->l4 > frame->head_len || n > frame->head_len - packet->l4)
		return NULL;
	return frame->head + packet->l4;
}

static bool udp_is_allowed(const struct bridge_frame *frame, const struct packet *packet, unsigned server,
                           unsigned client)
{
	const unsigned char *h = upper(frame, packet, 4);

	return h && load16(h) != server && load16(h + 2) != client;
}

static bool ipv4_is_allowed(const struct bridge_port_options *options, const struct bridge_frame *frame,
                            const struct packet *packet)
{
	const unsigned char *h;

	if (!has_ipv4(options) || !net_same(&packet->source, &options->address))
		return false;
	if (packet->fragment_offset)
		return true;
	switch (packet->protocol) {
	case IPPROTO_UDP:
		return udp_is_allowed(frame, packet, DHCP_SERVER, DHCP_CLIENT);
	case IPPROTO_ICMP:
		h = upper(frame, packet, 1);
		return h && h[0] != ICMP_REDIRECT && h[0] != ICMP_ROUTERADVERT;
	default:
		return true;
	}
}

/* ---- IPv6 ---- */

/* All options are in the copy, and link layer addresses in them are the port's. */
static bool options_are_own(const struct bridge_port_options *options, const unsigned char *at, size_t len)
{
	while (len > 0) {
		size_t option;

		if (len < 8)
			return false;
		option = (size_t)at[1] * 8;
		if (option == 0 || option > len)
			return false;
		if ((at[0] == ND_OPT_SOURCE_LINKADDR || at[0] == ND_OPT_TARGET_LINKADDR) &&
		    (option != 8 || memcmp(at + 2, options->mac, ETH_ALEN) != 0))
			return false;
		at += option;
		len -= option;
	}
	return true;
}

/*
 * Neighbour and router discovery (RFC 4861). The source has been judged, unless it is unspecified: then it may be only
 * a solicitation that looks whether its target is free (RFC 4862, 5.4.2).
 */
static bool discovery_is_allowed(struct guard *guard, const struct bridge_port *port, const struct bridge_frame *frame,
                                 const struct packet *packet, bool unspecified, uint64_t now_ms)
{
	const struct bridge_port_options *options = bridge_port_options(port);
	const unsigned char *h = upper(frame, packet, packet->l4_len);
	struct in6_addr target;
	size_t fixed;

	if (!h || packet->kind == PACKET_FRAGMENT)
		return false;
	switch (h[0]) {
	case ND_ROUTER_SOLICIT:
		fixed = sizeof(struct nd_router_solicit);
		break;
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
		fixed = sizeof(struct nd_neighbor_solicit);
		break;
	default:
		return false;
	}
	if (packet->l4_len < fixed || !options_are_own(options, h + fixed, packet->l4_len - fixed))
		return false;
	if (h[0] == ND_ROUTER_SOLICIT)
		return !unspecified;
	memcpy(&target, h + 8, sizeof target);
	if (h[0] == ND_NEIGHBOR_SOLICIT && !unspecified)
		return true;
	return (h[0] == ND_NEIGHBOR_SOLICIT || !unspecified) && claims(guard, port, &target, now_ms);
}

static bool icmpv6_is_allowed(struct guard *guard, const struct bridge_port *port, const struct bridge_frame *frame,
                              const struct packet *packet, bool unspecified, uint64_t now_ms)
{
	const unsigned char *h = upper(frame, packet, 1);

	if (!h)
		return false;
	switch (h[0]) {
	case ND_ROUTER_SOLICIT:
	case ND_ROUTER_ADVERT:
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
	case ND_REDIRECT:
		return discovery_is_allowed(guard, port, frame, packet, unspecified, now_ms);
	case MLD_LISTENER_REPORT:
	case MLD_LISTENER_REDUCTION:
	case MLD2_REPORT:
		return true;
	default:
		return !unspecified;
	}
}

static bool ipv6_is_allowed(struct guard *guard, const struct bridge_port *port, const struct bridge_frame *frame,
                            const struct packet *packet, uint64_t now_ms)
{
	const bool unspecified = IN6_IS_ADDR_UNSPECIFIED(&packet->source);

	if (!unspecified && !claims(guard, port, &packet->source, now_ms))
		return false;
	if (packet->fragment_offset)
		return !unspecified;
	switch (packet->protocol) {
	case IPPROTO_ICMPV6:
		return icmpv6_is_allowed(guard, port, frame, packet, unspecified, now_ms);
	case IPPROTO_UDP:
		return !unspecified && udp_is_allowed(frame, packet, DHCP6_SERVER, DHCP6_CLIENT);
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
		return false; /* a first fragment that hides what it is (RFC 7112) */
	default:
		return !unspecified;
	}
}

/* ---- all ---- */

/* Where a checksum will be written to; SIZE_MAX: nowhere. */
static size_t checksum_place(const struct bridge_frame *frame)
{
	if (!(frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return SIZE_MAX;
	return (size_t)frame->header.csum_start + frame->header.csum_offset;
}

/* That is the packet's own checksum, or lies behind what is judged: in a tunnel. */
static bool checksum_is_allowed(const struct bridge_frame *frame, const struct packet *packet)
{
	const size_t place = checksum_place(frame);

	if (place == SIZE_MAX)
		return true;
	if (packet->kind != PACKET_IP)
		return false;
	switch (packet->protocol) {
	case IPPROTO_TCP:
		return place == packet->l4 + offsetof(struct tcphdr, check) || place >= packet->payload;
	case IPPROTO_UDP:
		return place == packet->l4 + offsetof(struct udphdr, check) || place >= packet->payload;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return place == packet->l4 + offsetof(struct icmphdr, checksum);
	default:
		return place >= packet->l4;
	}
}

enum tags { TAGS_NONE, TAGS_VLAN, TAGS_ODD };

/*
 * What the frame's tags say: none, or of VLAN 0 only; a VLAN; or what would have to be taken apart again, as packet.h
 * looks behind one tag.
 */
static enum tags tags_of(const struct bridge_frame *frame)
{
	enum tags tags = TAGS_NONE;
	size_t at = 2 * ETH_ALEN;

	for (; at + 2 <= frame->head_len; at += VLAN_TAG) {
		const uint16_t type = load16(frame->head + at);

		if (type != ETH_P_8021Q && type != ETH_P_8021AD)
			return tags;
		if (at + VLAN_TAG + 2 > frame->head_len)
			break;
		if (load16(frame->head + at + 2) & VLAN_ID) /* and no checksum is written into a tag */
			return checksum_place(frame) >= at + VLAN_TAG + 2 ? TAGS_VLAN : TAGS_ODD;
		if (at > 2 * ETH_ALEN || type != ETH_P_8021Q)
			tags = TAGS_ODD;
	}
	return TAGS_ODD;
}

/* An EtherType in a frame that has a length in its place: organizations 00:00:00 and 00:00:f8 (IEEE 802.1H). */
static bool hides_in_llc(const struct bridge_frame *frame, const struct packet *packet)
{
	static const unsigned char snap[] = { 0xaa, 0xaa, 0x03, 0x00, 0x00 };

	return packet->ether_type <= LENGTHS_MAX && frame->head_len >= packet->l3 + sizeof snap &&
	       memcmp(frame->head + packet->l3, snap, sizeof snap) == 0;
}

bool guard_allows(struct guard *guard, const struct bridge_port *port, const struct bridge_frame *frame,
                  const struct packet *packet, uint64_t now_ms)
{
	static const unsigned char gateway[] = GUARD_GATEWAY_MAC;
	const struct bridge_port_options *options = bridge_port_options(port);

	if (memcmp(packet->from, gateway, ETH_ALEN) == 0)
		return false;
	if (options->any_source)
		return true;
	if (memcmp(packet->from, options->mac, ETH_ALEN) != 0)
		return false;
	switch (tags_of(frame)) {
	case TAGS_NONE:
		break;
	case TAGS_VLAN:
		return true;
	case TAGS_ODD:
		return false;
	}
	if (!checksum_is_allowed(frame, packet))
		return false;
	switch (packet->kind) {
	case PACKET_ARP:
		return arp_is_allowed(options, frame, packet);
	case PACKET_IP:
	case PACKET_FRAGMENT:
		return packet->ether_type == ETH_P_IP ? ipv4_is_allowed(options, frame, packet)
		                                      : ipv6_is_allowed(guard, port, frame, packet, now_ms);
	case PACKET_OTHER:
		return !hides_in_llc(frame, packet);
	default:
		return false;
	}
}
