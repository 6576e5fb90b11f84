/* SPDX-License-Identifier: MIT */
/*
 * fragment.c - see fragment.h.
 *
 * THEORY OF OPERATION. Each packet that waits has a buffer that grows to the furthest byte that a piece has brought,
 * with room for an Ethernet and an IP header in front, and a bit for each 8 bytes that are there: offsets are multiples
 * of 8. A piece whose bits are set already either repeats what is there, byte for byte, and changes nothing, or it
 * overlaps, and the packet ends. When all bits up to the last piece's end are set, headers of ours are put in front
 * (the pieces' own had no say in more than addresses and protocol; options of theirs have been looked at in
 * packet_parse()), and the packet is taken as if it had come in one frame.
 *
 * Packets are kept in the order in which they began: the first is the oldest, and the first to go.
 */
#include "plugins/net-nat/fragment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "plugins/net-nat/timeout.h"

#define BLOCK 8u
#define BLOCKS (65536u / BLOCK)
#define IPV4_HEADER sizeof(struct iphdr)
#define IPV6_HEADER sizeof(struct ip6_hdr)
#define HEADERS (ETH_HLEN + IPV6_HEADER) /* room in front of a buffer's data, whatever the family */
#define GROW 2048u

struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct fragments *fragments;
	struct timeout timeout;
	/* What its pieces have in common (RFC 791, 3.2; RFC 8200, 4.5). */
	struct in6_addr source, target;
	uint32_t id;
	uint8_t protocol; /* IPv6: that of the piece at 0 */
	uint8_t ttl, tos;
	unsigned char to[ETH_ALEN], from[ETH_ALEN];

	unsigned char *bytes; /* HEADERS, then data */
	size_t size;          /* of its data */
	size_t len;           /* of the whole packet's data; 0: not known yet */
	size_t end;           /* the furthest byte that there is */
	unsigned blocks;      /* that are there */
	unsigned pieces;
	uint64_t have[BLOCKS / 64];
};

struct fragments {
	struct nat *nat;
	TAILQ_HEAD(, waiting) all; /* oldest first */
	unsigned n;
	size_t bytes; /* of all of them */
};

/* ---- waiting packets ---- */

static size_t cost(const struct waiting *w)
{
	return sizeof *w + HEADERS + w->size;
}

/* Takes it out; its buffer is still there. */
static void unlink_waiting(struct waiting *w)
{
	struct fragments *fragments = w->fragments;

	timeout_clear(fragments->nat->timeouts, &w->timeout);
	TAILQ_REMOVE(&fragments->all, w, link);
	fragments->n--;
	fragments->bytes -= cost(w);
}

static void free_waiting(struct waiting *w)
{
	free(w->bytes);
	free(w);
}

static void drop(struct waiting *w)
{
	counter_add(w->fragments->nat->counters.fragments_dropped, w->pieces);
	unlink_waiting(w);
	free_waiting(w);
}

static void on_timeout(struct timeout *timeout)
{
	drop((struct waiting *)((char *)timeout - offsetof(struct waiting, timeout)));
}

/* Makes room for `more` bytes and `packets`. `keep` stays, whatever its age. */
static void make_room(struct fragments *fragments, size_t more, unsigned packets, const struct waiting *keep)
{
	struct waiting *w = TAILQ_FIRST(&fragments->all), *next;

	for (; w && (fragments->bytes + more > FRAGMENT_BYTES || fragments->n + packets > FRAGMENT_PACKETS); w = next) {
		next = TAILQ_NEXT(w, link);
		if (w != keep)
			drop(w);
	}
}

static struct waiting *find(struct fragments *fragments, const struct packet *p)
{
	const bool ipv4 = net_is_ipv4(&p->source);
	struct waiting *w;

	TAILQ_FOREACH(w, &fragments->all, link)
	{
		if (w->id == p->fragment_id && net_same(&w->source, &p->source) && net_same(&w->target, &p->target) &&
		    (!ipv4 || w->protocol == p->protocol))
			return w;
	}
	return NULL;
}

static struct waiting *begin(struct fragments *fragments, const struct packet *p)
{
	struct waiting *w;

	make_room(fragments, sizeof *w + HEADERS, 1, NULL);
	w = calloc(1, sizeof *w);
	if (!w)
		return NULL;
	w->fragments = fragments;
	w->timeout.call = on_timeout;
	w->source = p->source;
	w->target = p->target;
	w->id = p->fragment_id;
	w->protocol = p->protocol;
	memcpy(w->to, p->to, ETH_ALEN);
	memcpy(w->from, p->from, ETH_ALEN);
	if (timeout_set(fragments->nat->timeouts, &w->timeout, FRAGMENT_SECONDS * 1000u) < 0) {
		free(w);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&fragments->all, w, link);
	fragments->n++;
	fragments->bytes += cost(w);
	return w;
}

static bool grow(struct waiting *w, size_t end)
{
	const size_t size = (end + GROW - 1) / GROW * GROW;
	unsigned char *bytes;

	if (end <= w->size)
		return true;
	make_room(w->fragments, size - w->size, 0, w);
	bytes = realloc(w->bytes, HEADERS + size);
	if (!bytes)
		return false;
	w->fragments->bytes += size - w->size;
	w->bytes = bytes;
	w->size = size;
	return true;
}

/* ---- pieces ---- */

static bool has_block(const struct waiting *w, size_t block)
{
	return w->have[block / 64] >> (block % 64) & 1;
}

/* How many of the blocks from `first` on to before `last` are there. */
static size_t count_blocks(const struct waiting *w, size_t first, size_t last)
{
	size_t n = 0;

	for (; first < last; first++)
		n += has_block(w, first);
	return n;
}

enum piece { PIECE_TAKEN, PIECE_REPEATED, PIECE_BAD };

/* Compares with what is there, without a copy of the whole. */
static enum piece compare(const struct waiting *w, const struct nic_frame *frame, const struct packet *p)
{
	unsigned char part[512];
	size_t done = 0;

	while (done < p->l4_len) {
		const size_t len = p->l4_len - done < sizeof part ? p->l4_len - done : sizeof part;

		if (nic_frame_read(frame, p->l4 + done, part, len) != len ||
		    memcmp(part, w->bytes + HEADERS + p->fragment_offset + done, len) != 0)
			return PIECE_BAD;
		done += len;
	}
	return PIECE_REPEATED;
}

/* Whether the piece's place is one that it can have, by itself and beside what is known of its packet. */
static bool fits(const struct waiting *w, const struct packet *p)
{
	const size_t end = p->fragment_offset + p->l4_len;
	const size_t most = net_is_ipv4(&p->source) ? IP_MAXPACKET - IPV4_HEADER : IP_MAXPACKET;

	if (p->l4_len == 0 || end > most || (p->more_fragments && p->l4_len % BLOCK != 0))
		return false;
	if (w->len && (end > w->len || (!p->more_fragments && end != w->len)))
		return false;
	return p->more_fragments || end >= w->end;
}

static enum piece put(struct waiting *w, const struct nic_frame *frame, const struct packet *p)
{
	const size_t end = p->fragment_offset + p->l4_len;
	const size_t first = p->fragment_offset / BLOCK, last = (end + BLOCK - 1) / BLOCK;
	size_t there;

	if (!fits(w, p))
		return PIECE_BAD;
	there = count_blocks(w, first, last);
	if (there == last - first && end <= w->end)
		return compare(w, frame, p);
	if (there > 0 || !grow(w, end) ||
	    nic_frame_read(frame, p->l4, w->bytes + HEADERS + p->fragment_offset, p->l4_len) != p->l4_len)
		return PIECE_BAD;
	for (size_t i = first; i < last; i++)
		w->have[i / 64] |= UINT64_C(1) << (i % 64);
	w->blocks += (unsigned)(last - first);
	if (end > w->end)
		w->end = end;
	if (!p->more_fragments)
		w->len = end;
	if (p->fragment_offset == 0) {
		w->protocol = p->protocol;
		w->ttl = p->ttl;
		w->tos = p->tos;
	}
	return PIECE_TAKEN;
}

static bool is_whole(const struct waiting *w)
{
	return w->len && w->blocks == (w->len + BLOCK - 1) / BLOCK;
}

static void deliver(struct nat *nat, struct waiting *w, unsigned pair)
{
	const size_t header = net_is_ipv4(&w->source) ? IPV4_HEADER : IPV6_HEADER;
	unsigned char *at = w->bytes + HEADERS - header - ETH_HLEN;
	const struct iovec iov = { at, ETH_HLEN + header + w->len };
	struct nic_frame frame = { .pair = pair, .len = iov.iov_len, .buffers = &iov, .n_buffers = 1 };

	packet_put_ether(at, w->to, w->from, packet_ether_type(&w->source));
	packet_put_ip(at + ETH_HLEN, &w->source, &w->target, w->protocol, w->len, w->ttl, w->tos);
	frame.head_len = frame.len < sizeof frame.head ? frame.len : sizeof frame.head;
	memcpy(frame.head, at, frame.head_len);
	nat_whole_packet(nat, &frame);
}

void fragments_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	struct waiting *w = find(nat->fragments, packet);

	if (!w)
		w = begin(nat->fragments, packet);
	if (!w) {
		counter_add(nat->counters.fragments_dropped, 1);
		return;
	}
	w->pieces++;
	if (put(w, frame, packet) == PIECE_BAD) {
		drop(w);
		return;
	}
	if (!is_whole(w))
		return;
	unlink_waiting(w);
	deliver(nat, w, frame->pair);
	free_waiting(w);
}

void fragments_forget_all(struct fragments *fragments)
{
	struct waiting *w;

	while ((w = TAILQ_FIRST(&fragments->all))) {
		unlink_waiting(w);
		free_waiting(w);
	}
}

int fragments_new(struct nat *nat, struct fragments **out)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return -ENOMEM;
	(*out)->nat = nat;
	TAILQ_INIT(&(*out)->all);
	return 0;
}

void fragments_free(struct fragments *fragments)
{
	if (!fragments)
		return;
	fragments_forget_all(fragments);
	free(fragments);
}
