/* SPDX-License-Identifier: MIT */
/*
 * conversation.c - see conversation.h. Called by card.c for each frame between its guest and other members, where there
 * is a policy.
 *
 * THEORY OF OPERATION. Conversations hang in chains by a hash with a secret, as guests choose their ports. Each is also
 * in the list of those that are forgotten after the same time without a packet, which is in the order of their last
 * ones, so what has ended is at the lists' heads.
 */
#include "plugins/cluster-switch/conversation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "plugins/net/hash.h"

#define CHAINS 16384u           /* a power of two */
#define TCP_PORTS_AND_FLAGS 14u /* bytes of TCP's header */
#define UDP_PORTS 8u
#define ICMP_ECHO_HEADER 8u
#define PIECE_OFFSET_MIN 16u /* later pieces leave alone what was looked at (RFC 3128) */
#define VLAN_ID 0x0fffu
#define PIECE 0x100u /* beside the protocol: a packet in pieces, its identification in place of ports */

/* Who began. */
enum side { GUEST, MEMBER, SIDES };

/* How long one is remembered; in the order of their worth. */
enum span { SHORT, TRANSITORY, UDP, TCP, SPANS };

static const uint32_t span_ms[SPANS] = {
	[SHORT] = CONVERSATION_SHORT_MS,
	[TRANSITORY] = CONVERSATION_TRANSITORY_MS,
	[UDP] = CONVERSATION_UDP_MS,
	[TCP] = CONVERSATION_TCP_MS,
};

struct key {
	struct in6_addr guest, member;
	uint16_t guest_port, member_port; /* of an echo its identifier, and 0 */
	uint16_t protocol;                /* IPPROTO_*, PIECE */
	uint16_t vlan;                    /* its number; 0: none */
};

struct conversation {
	TAILQ_ENTRY(conversation) link;
	struct conversation *next; /* in its chain */
	struct key key;
	uint64_t last;       /* ms, of its last packet */
	unsigned generation; /* of the rules that it was judged by */
	enum side by;
	enum span span;
	bool ending; /* TCP: FIN or RST has been seen */
};

TAILQ_HEAD(conversation_list, conversation);

struct conversations {
	bool (*judge)(void *ctx, uint8_t protocol, const struct net_endpoint *guest, const struct net_endpoint *member);
	void *ctx;
	struct hash_secret secret;
	unsigned generation;
	unsigned n[SIDES];
	struct conversation_list lists[SIDES][SPANS];
	struct conversation *chains[CHAINS];
};

/*
 * The VLAN is part of who speaks: behind a tag the switch does not judge addresses (guard.h), so what comes there must
 * open no way to the machine whose address it has without one. VLAN 0 is none (IEEE 802.1Q, 6.9).
 */
static uint16_t vlan_of(const struct packet *p)
{
	return p->vlan ? p->vlan_tag & VLAN_ID : 0;
}

/* A packet as it matters here. */
struct piece {
	struct key key;
	bool first; /* not a later piece */
	uint8_t tcp_flags;
};

int conversations_new(bool (*judge)(void *ctx, uint8_t protocol, const struct net_endpoint *guest,
                                    const struct net_endpoint *member),
                      void *ctx, struct conversations **out)
{
	struct conversations *c = calloc(1, sizeof *c);
	int rc = c ? hash_secret_new(&c->secret) : -ENOMEM;

	*out = NULL;
	if (rc < 0) {
		free(c);
		return rc;
	}
	c->judge = judge;
	c->ctx = ctx;
	for (unsigned side = 0; side < SIDES; side++)
		for (unsigned span = 0; span < SPANS; span++)
			TAILQ_INIT(&c->lists[side][span]);
	*out = c;
	return 0;
}

void conversations_free(struct conversations *c)
{
	if (!c)
		return;
	conversations_forget_all(c);
	free(c);
}

void conversations_judge_again(struct conversations *c)
{
	c->generation++;
}

unsigned conversations_count(const struct conversations *c)
{
	return c->n[GUEST] + c->n[MEMBER];
}

/* ---- the table ---- */

static unsigned chain_of(const struct conversations *c, const struct key *key)
{
	uint64_t words[5];

	memcpy(words, &key->guest, sizeof key->guest);
	memcpy(words + 2, &key->member, sizeof key->member);
	words[4] = (uint64_t)key->vlan << 48 | (uint64_t)key->protocol << 32 | (uint64_t)key->guest_port << 16 |
	           key->member_port;
	return (unsigned)hash_words(&c->secret, words, 5) & (CHAINS - 1);
}

static bool is_same(const struct key *a, const struct key *b)
{
	return a->vlan == b->vlan && a->protocol == b->protocol && a->guest_port == b->guest_port &&
	       a->member_port == b->member_port && net_same(&a->guest, &b->guest) && net_same(&a->member, &b->member);
}

static void forget(struct conversations *c, struct conversation *one)
{
	struct conversation **at = &c->chains[chain_of(c, &one->key)];

	while (*at != one)
		at = &(*at)->next;
	*at = one->next;
	TAILQ_REMOVE(&c->lists[one->by][one->span], one, link);
	c->n[one->by]--;
	free(one);
}

void conversations_forget_all(struct conversations *c)
{
	for (unsigned side = 0; side < SIDES; side++)
		for (unsigned span = 0; span < SPANS; span++)
			while (!TAILQ_EMPTY(&c->lists[side][span]))
				forget(c, TAILQ_FIRST(&c->lists[side][span]));
}

static bool has_ended(const struct conversation *one, uint64_t now)
{
	return now - one->last >= span_ms[one->span];
}

static struct conversation *find(struct conversations *c, const struct key *key, uint64_t now)
{
	struct conversation *one = c->chains[chain_of(c, key)];

	while (one && !is_same(&one->key, key))
		one = one->next;
	if (!one || !has_ended(one, now))
		return one;
	forget(c, one);
	return NULL;
}

/* What has ended goes; of a full table, what is worth least. */
static void make_room(struct conversations *c, enum side side, uint64_t now)
{
	struct conversation *one;

	for (unsigned span = 0; span < SPANS; span++)
		while ((one = TAILQ_FIRST(&c->lists[side][span])) && has_ended(one, now))
			forget(c, one);
	for (unsigned span = 0; span < SPANS && c->n[side] >= CONVERSATIONS_MAX; span++)
		if ((one = TAILQ_FIRST(&c->lists[side][span])))
			forget(c, one);
}

static enum span first_span(const struct key *key)
{
	if (key->protocol & PIECE)
		return SHORT;
	switch (key->protocol) {
	case IPPROTO_TCP:
		return TRANSITORY;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return SHORT;
	default:
		return UDP;
	}
}

/* Out of memory: it is not remembered, and the next packet begins it again. */
static void add(struct conversations *c, const struct key *key, enum side side, uint64_t now)
{
	struct conversation *one;
	unsigned chain;

	make_room(c, side, now);
	one = malloc(sizeof *one);
	if (!one)
		return;
	chain = chain_of(c, key);
	*one = (struct conversation){ .next = c->chains[chain],
		                      .key = *key,
		                      .last = now,
		                      .generation = c->generation,
		                      .by = side,
		                      .span = first_span(key) };
	c->chains[chain] = one;
	TAILQ_INSERT_TAIL(&c->lists[side][one->span], one, link);
	c->n[side]++;
}

/* A packet of it, `from` one of the two. */
static void go_on(struct conversations *c, struct conversation *one, enum side from, const struct piece *piece,
                  uint64_t now)
{
	enum span span = one->span;

	if (piece->key.protocol == IPPROTO_TCP) {
		one->ending = one->ending || (piece->tcp_flags & (TH_FIN | TH_RST));
		if (one->ending)
			span = TRANSITORY;
		else if (from != one->by)
			span = TCP; /* it has been answered */
	}
	TAILQ_REMOVE(&c->lists[one->by][one->span], one, link);
	one->span = span;
	one->last = now;
	TAILQ_INSERT_TAIL(&c->lists[one->by][span], one, link);
}

/* ---- packets ---- */

static uint16_t load16(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static bool is_echo(const struct packet *p, uint8_t type)
{
	return p->protocol == IPPROTO_ICMP ? type == ICMP_ECHO || type == ICMP_ECHOREPLY
	                                   : type == ICMP6_ECHO_REQUEST || type == ICMP6_ECHO_REPLY;
}

/*
 * Ends, as the first bytes of the upper layer say: out of the copy, as packet_parse() does not look into pieces. False:
 * they are not all there.
 */
static bool take_ends(const struct packet *p, const unsigned char *head, size_t head_len, uint16_t ends[2],
                      uint8_t *tcp_flags)
{
	const unsigned char *l4 = head + p->l4;
	const size_t there = p->l4 >= head_len ? 0 : p->l4_len < head_len - p->l4 ? p->l4_len : head_len - p->l4;

	ends[0] = ends[1] = 0;
	switch (p->protocol) {
	case IPPROTO_TCP:
		if (there < TCP_PORTS_AND_FLAGS)
			return false;
		*tcp_flags = l4[13];
		break;
	case IPPROTO_UDP:
		if (there < UDP_PORTS)
			return false;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (there < ICMP_ECHO_HEADER)
			return false;
		if (is_echo(p, l4[0]))
			ends[0] = ends[1] = load16(l4 + 4);
		return true;
	default:
		return true;
	}
	ends[0] = load16(l4);
	ends[1] = load16(l4 + 2);
	return true;
}

/* False: it can be no part of any. */
static bool take_piece(const struct packet *p, const unsigned char *head, size_t head_len, enum side from,
                       struct piece *out)
{
	const bool guest = from == GUEST;
	uint16_t ends[2];

	*out = (struct piece){ .key = { .guest = guest ? p->source : p->target,
		                        .member = guest ? p->target : p->source,
		                        .protocol = p->protocol,
		                        .vlan = vlan_of(p) },
		               .first = p->kind == PACKET_IP || p->fragment_offset == 0 };
	if (!out->first)
		return true;
	if (!take_ends(p, head, head_len, ends, &out->tcp_flags))
		return false;
	out->key.guest_port = ends[guest ? 0 : 1];
	out->key.member_port = p->protocol == IPPROTO_ICMP || p->protocol == IPPROTO_ICMPV6 ? 0 : ends[guest ? 1 : 0];
	return true;
}

/* Of all pieces of a packet. IPv6 says the protocol in each, but only the first one's is to be believed. */
static struct key key_of_pieces(const struct packet *p, enum side from)
{
	return (struct key){ .guest = from == GUEST ? p->source : p->target,
		             .member = from == GUEST ? p->target : p->source,
		             .guest_port = (uint16_t)(p->fragment_id >> 16),
		             .member_port = (uint16_t)p->fragment_id,
		             .protocol = PIECE | (net_is_ipv4(&p->source) ? p->protocol : 0),
		             .vlan = vlan_of(p) };
}

enum icmp_kind { ICMP_OF_THE_LINK, ICMP_REQUEST, ICMP_REPLY, ICMP_NOTHING };

static enum icmp_kind kind_of_icmp(const struct packet *p, uint8_t type)
{
	if (p->protocol == IPPROTO_ICMP) {
		switch (type) {
		case ICMP_ECHO:
			return ICMP_REQUEST;
		case ICMP_ECHOREPLY:
			return ICMP_REPLY;
		case ICMP_DEST_UNREACH:
		case ICMP_TIME_EXCEEDED:
		case ICMP_PARAMETERPROB:
			return ICMP_OF_THE_LINK;
		default:
			return ICMP_NOTHING;
		}
	}
	switch (type) {
	case ICMP6_ECHO_REQUEST:
		return ICMP_REQUEST;
	case ICMP6_ECHO_REPLY:
		return ICMP_REPLY;
	case ICMP6_DST_UNREACH:
	case ICMP6_PACKET_TOO_BIG:
	case ICMP6_TIME_EXCEEDED:
	case ICMP6_PARAM_PROB:
	case MLD_LISTENER_QUERY:
	case MLD_LISTENER_REPORT:
	case MLD_LISTENER_REDUCTION:
	case 143: /* MLDv2's report: RFC 3810, 5.2 */
	case ND_ROUTER_SOLICIT:
	case ND_NEIGHBOR_SOLICIT:
	case ND_NEIGHBOR_ADVERT:
		return ICMP_OF_THE_LINK;
	default:
		return ICMP_NOTHING;
	}
}

/* ---- from the guest ---- */

static bool may_begin(struct conversations *c, const struct piece *piece)
{
	const struct key *key = &piece->key;
	const struct net_endpoint guest = { key->guest, key->guest_port }, member = { key->member, key->member_port };

	return c->judge(c->ctx, (uint8_t)key->protocol, &guest, &member);
}

static bool is_syn(const struct piece *piece)
{
	return piece->key.protocol == IPPROTO_TCP && (piece->tcp_flags & (TH_SYN | TH_ACK)) == TH_SYN;
}

static bool send_first(struct conversations *c, const struct piece *piece, uint64_t now)
{
	struct conversation *one = find(c, &piece->key, now);
	const bool begins = !one || is_syn(piece);

	if (begins || (one->by == GUEST && one->generation != c->generation)) {
		if (!may_begin(c, piece)) {
			if (one && one->by == GUEST)
				forget(c, one);
			return false;
		}
		/* A SYN between the ends of what a member began is the guest's own from now on. */
		if (one)
			forget(c, one);
		add(c, &piece->key, GUEST, now);
		return true;
	}
	go_on(c, one, GUEST, piece, now);
	return true;
}

static bool send_icmp(struct conversations *c, const struct packet *p, const unsigned char *head,
                      const struct piece *piece, uint64_t now)
{
	struct conversation *one;

	switch (kind_of_icmp(p, head[p->l4])) {
	case ICMP_OF_THE_LINK:
		return true;
	case ICMP_REQUEST:
		return may_begin(c, piece); /* each: nothing need be remembered of it */
	case ICMP_REPLY:
		one = find(c, &piece->key, now);
		if (one && one->by == MEMBER)
			go_on(c, one, GUEST, piece, now);
		return one && one->by == MEMBER;
	case ICMP_NOTHING:
		break;
	}
	return false;
}

static bool is_icmp(const struct packet *p)
{
	return p->protocol == (net_is_ipv4(&p->source) ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static bool has_ends(const struct packet *p)
{
	return p->protocol == IPPROTO_TCP || p->protocol == IPPROTO_UDP || is_icmp(p);
}

static bool send_ip(struct conversations *c, const struct packet *p, const unsigned char *head, size_t head_len,
                    uint64_t now)
{
	const struct key pieces = key_of_pieces(p, GUEST);
	struct piece piece;
	bool passes;

	if (p->routed || !take_piece(p, head, head_len, GUEST, &piece))
		return false;
	if (!piece.first)
		return p->fragment_offset >= PIECE_OFFSET_MIN && find(c, &pieces, now) != NULL;
	if (p->kind == PACKET_FRAGMENT && !has_ends(p))
		return false; /* an IPv6 header more in front of what would be judged, or what has no ports to be judged
		                 by */
	passes = is_icmp(p) ? send_icmp(c, p, head, &piece, now) : send_first(c, &piece, now);
	if (passes && p->kind == PACKET_FRAGMENT && !find(c, &pieces, now))
		add(c, &pieces, GUEST, now);
	return passes;
}

bool conversation_send(struct conversations *c, const struct packet *p, const unsigned char *head, size_t head_len,
                       uint64_t now)
{
	switch (p->kind) {
	case PACKET_ARP:
		return true;
	case PACKET_IP:
	case PACKET_FRAGMENT:
		return send_ip(c, p, head, head_len, now);
	case PACKET_OTHER:
	case PACKET_MALFORMED:
		break;
	}
	return false;
}

/* ---- from others ---- */

void conversation_hear(struct conversations *c, const struct packet *p, const unsigned char *head, size_t head_len,
                       uint64_t now)
{
	struct conversation *one;
	struct piece piece;
	bool begins = true;

	if ((p->kind != PACKET_IP && p->kind != PACKET_FRAGMENT) || !take_piece(p, head, head_len, MEMBER, &piece) ||
	    !piece.first)
		return;
	if (is_icmp(p))
		begins = kind_of_icmp(p, head[p->l4]) == ICMP_REQUEST;
	else if (p->protocol == IPPROTO_TCP)
		begins = is_syn(&piece);
	one = find(c, &piece.key, now);
	if (one)
		go_on(c, one, MEMBER, &piece, now);
	else if (begins)
		add(c, &piece.key, MEMBER, now);
}
