/* SPDX-License-Identifier: MIT */
/*
 * tcp-ahead.c - text of the guest's that came before its turn: kept until what is missing has come, and told to the
 * guest by selective acknowledgements (RFC 2018), so that it sends only that again.
 *
 * The link loses nothing by itself, so this is for drivers that drop frames, for several queues, and for tests. Pieces
 * are in order of their sequence and do not overlap; text that follows a piece is added to it. PIECES_MOST of one
 * connection, and a share of what tcp-kept.c may use; what is beyond is dropped, the guest sends it again.
 */
#include <stdlib.h>
#include <string.h>

#include "plugins/net-nat/tcp-flow.h"

#define PIECES_MOST 256u
#define ROOM_LEAST 2048u

struct piece {
	TAILQ_ENTRY(piece) link;
	uint32_t sequence;
	uint32_t len, room;
	unsigned char bytes[];
};

struct tcp_ahead {
	TAILQ_HEAD(piece_list, piece) pieces;
	unsigned n;
	uint32_t latest; /* sequence within the piece that came last */
};

static uint32_t end_of(const struct piece *piece)
{
	return piece->sequence + piece->len;
}

static void drop_piece(struct tcp_flow *f, struct piece *piece)
{
	TAILQ_REMOVE(&f->ahead->pieces, piece, link);
	f->ahead->n--;
	tcp_of(f)->kept_bytes -= sizeof *piece + piece->room;
	free(piece);
}

void tcp_ahead_end(struct tcp_flow *f)
{
	if (!f->ahead)
		return;
	while (!TAILQ_EMPTY(&f->ahead->pieces))
		drop_piece(f, TAILQ_FIRST(&f->ahead->pieces));
	free(f->ahead);
	f->ahead = NULL;
}

/* The piece behind `before` (NULL: the first), with room for `len` bytes. */
static struct piece *new_piece(struct tcp_flow *f, struct piece *before, uint32_t sequence, size_t len)
{
	const size_t room = len < ROOM_LEAST ? ROOM_LEAST : len;
	struct piece *piece;

	if (f->ahead->n == PIECES_MOST || sizeof *piece + room > TCP_KEPT_MOST - tcp_of(f)->kept_bytes)
		return NULL;
	piece = malloc(sizeof *piece + room);
	if (!piece)
		return NULL;
	piece->sequence = sequence;
	piece->len = 0;
	piece->room = (uint32_t)room;
	if (before)
		TAILQ_INSERT_AFTER(&f->ahead->pieces, before, piece, link);
	else
		TAILQ_INSERT_HEAD(&f->ahead->pieces, piece, link);
	f->ahead->n++;
	tcp_of(f)->kept_bytes += sizeof *piece + room;
	return piece;
}

/* The last piece that begins at or before `sequence`. Most text comes behind all. */
static struct piece *piece_before(const struct tcp_flow *f, uint32_t sequence)
{
	struct piece *piece = TAILQ_LAST(&f->ahead->pieces, piece_list);

	while (piece && sequence_from(piece->sequence, sequence) > 0)
		piece = TAILQ_PREV(piece, piece_list, link);
	return piece;
}

void tcp_ahead_add(struct tcp_flow *f, const struct nic_frame *frame, const struct segment *segment)
{
	uint32_t sequence = segment->sequence;
	size_t from = segment->text, len = segment->len;
	const uint32_t room = f->receive_edge - sequence;

	if (len > room)
		len = room;
	if (!len)
		return;
	if (!f->ahead) {
		f->ahead = calloc(1, sizeof *f->ahead);
		if (!f->ahead)
			return;
		TAILQ_INIT(&f->ahead->pieces);
	}
	f->ahead->latest = sequence;
	while (len > 0) { /* each time one gap is filled, or one piece passed over */
		struct piece *before = piece_before(f, sequence), *next;
		size_t here = len;

		if (before && sequence_from(end_of(before), sequence) > 0) {
			const uint32_t known = end_of(before) - sequence;

			here = known < len ? known : len;
		} else {
			next = before ? TAILQ_NEXT(before, link) : TAILQ_FIRST(&f->ahead->pieces);
			if (next && next->sequence - sequence < here)
				here = next->sequence - sequence;
			if (!before || end_of(before) != sequence || here > before->room - before->len)
				before = new_piece(f, before, sequence, here);
			if (!before)
				return;
			here = nic_frame_read(frame, from, before->bytes + before->len, here);
			before->len += (uint32_t)here;
		}
		sequence += (uint32_t)here;
		from += here;
		len -= here;
	}
}

int tcp_ahead_deliver(struct tcp_flow *f)
{
	struct piece *piece;

	while ((piece = TAILQ_FIRST(&f->ahead->pieces)) && sequence_from(piece->sequence, f->receive_next) <= 0) {
		const uint32_t skip = f->receive_next - piece->sequence;

		if (skip < piece->len) {
			const struct iovec iov = { piece->bytes + skip, piece->len - skip };
			const ssize_t taken = tcp_receive_take(f, &iov, 1, iov.iov_len);

			if (taken < 0)
				return (int)taken;
			if ((size_t)taken < iov.iov_len)
				return 0;
		}
		drop_piece(f, piece);
	}
	if (!piece)
		tcp_ahead_end(f);
	return 0;
}

/* Pieces that touch are one block. Returns the first piece that is not of it. */
static const struct piece *block_from(const struct piece *piece, uint32_t *left, uint32_t *right)
{
	*left = piece->sequence;
	*right = end_of(piece);
	while ((piece = TAILQ_NEXT(piece, link)) && piece->sequence == *right)
		*right = end_of(piece);
	return piece;
}

unsigned tcp_ahead_blocks(const struct tcp_flow *f, struct tcp_block blocks[TCP_BLOCKS])
{
	const struct piece *piece = f->ahead ? TAILQ_FIRST(&f->ahead->pieces) : NULL;
	unsigned n = 1;

	if (!piece)
		return 0;
	/* What came last is told first (RFC 2018, 4), then what is next. */
	blocks[0] = (struct tcp_block){ 0, 0 };
	while (piece) {
		struct tcp_block block;

		piece = block_from(piece, &block.left, &block.right);
		if (f->ahead->latest - block.left < block.right - block.left)
			blocks[0] = block;
		else if (n < TCP_BLOCKS)
			blocks[n++] = block;
		else if (blocks[0].right)
			break;
	}
	if (blocks[0].left != blocks[0].right)
		return n;
	memmove(blocks, blocks + 1, --n * sizeof *blocks); /* that one has gone on meanwhile */
	return n;
}
