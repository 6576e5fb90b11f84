/* SPDX-License-Identifier: MIT */
/*
 * ring.h - frames between two processes, through memory that both map: one ring each way, one producer, one consumer.
 *
 * THEORY OF OPERATION. One memfd holds both rings: for each a line of the producer's (head: bytes ever produced), one
 * of the consumer's (tail: bytes ever consumed; and whether it sleeps), and a power of two of bytes. A record is {
 * length, virtio_net_hdr_v1, frame }, padded to 16 bytes, and goes on at the start where the end is reached, so a frame
 * is one or two pieces. Positions are 64-bit, only ever grow, and each side keeps its own in private memory: what the
 * other one writes is read once, and believed only where 0 <= head - tail <= size. A length that a record cannot have
 * makes the ring broken (-EPROTO) for good; nothing else that the other side writes has a meaning.
 *
 * Wake-ups as with EVENT_IDX: who finds nothing to do says so in its line, looks once more (a full barrier between),
 * and sleeps on its end of a socketpair; the other one looks behind each publishing, and sends a byte only where
 * somebody sleeps. One for "there are frames" and for "there is room". Not an eventfd, which would be one open file of
 * both sides: who took O_NONBLOCK from it and filled it could hold up the other one. A send can say itself that it does
 * not wait.
 *
 * What a frame's pieces hold may change at any time: copy what you check, use the copy.
 *
 * THREAD: one on each side at a time. Every call that can be refused returns 0 or -errno.
 */
#ifndef CAPSA_CLUSTER_RING_H
#define CAPSA_CLUSTER_RING_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define RING_SIZE (4u << 20)          /* bytes each way; touched only as far as it fills */
#define RING_FRAME_MAX (65535u + 18u) /* as NIC_FRAME_MAX */
#define RING_PIECES 2u

enum ring_side { RING_MEMBER, RING_SWITCH };

struct ring;

/* The switch: new memory, sealed against growing, shrinking and further seals. *memfd is the caller's. */
int ring_memory_new(int *memfd);

/*
 * One side of it. Maps `memfd` (which may be closed afterwards), after checking its size and seals; takes `wake`, its
 * end of a socketpair (SOCK_STREAM), over where it returns 0. -EPROTO: no such memory; -errno.
 */
int ring_new(enum ring_side side, int memfd, int wake, struct ring **out);
void ring_free(struct ring *ring); /* NULL is fine */
/* Readable when the other side has woken us: ring_wake_clear(), then look at both directions. */
int ring_wake_fd(const struct ring *ring);
/* False: the other side has closed its end, and the descriptor stays readable. */
bool ring_wake_clear(struct ring *ring);

/* ---- frames that we produce ---- */

/*
 * Room for a frame of `len` bytes, as pieces to be filled: returns how many (1 or 2), -EAGAIN where it is full,
 * -EMSGSIZE beyond RING_FRAME_MAX, -EPROTO. Reserving again before the commit is the same room.
 */
int ring_reserve(struct ring *ring, size_t len, struct iovec pieces[RING_PIECES]);
/* The reserved frame is whole: `len` bytes of it, no more than were reserved. */
void ring_commit(struct ring *ring, const struct virtio_net_hdr_v1 *header, size_t len);
/* Both in one, by copying. As ring_reserve(), but 0. */
int ring_put(struct ring *ring, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n);
/* The other side may see what was committed, and is woken where it sleeps. */
void ring_publish(struct ring *ring);
/* We wait until there is room for `bytes` of frames (a quarter of the ring at most). False: there is now, go on. */
bool ring_wait_room(struct ring *ring, size_t bytes);

/* ---- frames that we consume ---- */

struct ring_frame {
	struct virtio_net_hdr_v1 header; /* a copy; not checked (segment.h) */
	size_t len;                      /* 0..RING_FRAME_MAX */
	struct iovec pieces[RING_PIECES];
	unsigned n;
};

/* 1: the next frame, which stays where it is; 0: none; -EPROTO. */
int ring_peek(struct ring *ring, struct ring_frame *frame);
/*
 * The first `len` bytes of a frame behind the first one, which all stay where they are. *at: 0, then what it was set
 * to: the frames are gone through once, and those that have been popped meanwhile are left out. 1, 0: there are no
 * more; -EPROTO.
 */
int ring_look_ahead(struct ring *ring, uint64_t *at, void *to, size_t len);
/* The frame that was peeked at is done with. */
void ring_pop(struct ring *ring);
/* The other side may use what was popped again, and is woken where it waits for that. */
void ring_release(struct ring *ring);
/* We wait for frames. False: there are some now, go on. */
bool ring_wait_frames(struct ring *ring);
/* The same, but for frames beyond those that ring_look_ahead() has come to the end of. */
bool ring_wait_more(struct ring *ring);

#endif
