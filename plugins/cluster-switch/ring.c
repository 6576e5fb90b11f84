/* SPDX-License-Identifier: MIT */
/*
 * ring.c - see ring.h: layout of the shared memory, positions, wake-ups.
 *
 * The memory begins with a page of lines, each in a cache line of its own; then come the bytes of both directions:
 *
 *   page 0       lines of member -> switch: producer's, consumer's; lines of switch -> member: the same
 *   page 1..     RING_SIZE bytes of member -> switch, RING_SIZE of switch -> member
 */
#include "plugins/cluster-switch/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE 64u
#define LINES_SIZE 4096u
#define MEMORY_SIZE (LINES_SIZE + 2u * RING_SIZE)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define ALIGNMENT 16u /* of records: a record's head never goes over the end */

/* Both sides may write every word of both lines; who it is for is what an honest one keeps to. */
struct producer_line {
	_Alignas(LINE) _Atomic uint64_t head;
	_Atomic uint32_t waits_for; /* bytes that must be free before it is woken; 0: it does not wait */
};

struct consumer_line {
	_Alignas(LINE) _Atomic uint64_t tail;
	_Atomic uint32_t waits;
};

struct lines {
	struct producer_line producer;
	struct consumer_line consumer;
};

struct record {
	uint32_t len;
	struct virtio_net_hdr_v1 header;
};

_Static_assert(sizeof(struct record) == ALIGNMENT, "a record's head is one unit of alignment");
_Static_assert(2 * sizeof(struct lines) <= LINES_SIZE, "lines fit their page");

struct direction {
	struct lines *lines;
	unsigned char *data;
	uint64_t head,
		tail;  /* what we produced or consumed is our own; the other one is what was last read, and checked */
	uint64_t told; /* our own position, as the other side knows it */
	uint64_t at_hand; /* bytes of the record that was reserved or peeked at; 0: none */
};

struct ring {
	void *memory;
	struct direction out, in;
	int wake;
	bool broken;
};

int ring_memory_new(int *memfd)
{
	const int fd = memfd_create("capsa-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int rc;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, MEMORY_SIZE) < 0 || fcntl(fd, F_ADD_SEALS, SEALS) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	*memfd = fd;
	return 0;
}

int ring_new(enum ring_side side, int memfd, int wake, struct ring **out)
{
	const int seals = fcntl(memfd, F_GET_SEALS);
	struct direction *first, *second;
	unsigned char *data;
	struct ring *ring;
	struct stat st;
	int rc;

	if (seals < 0 || (seals & SEALS) != SEALS || seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE) ||
	    fstat(memfd, &st) < 0 || st.st_size != (off_t)MEMORY_SIZE)
		return -EPROTO;
	ring = calloc(1, sizeof *ring);
	if (!ring)
		return -ENOMEM;
	ring->memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (ring->memory == MAP_FAILED) {
		rc = -errno;
		free(ring);
		return rc;
	}
	/* A guardian that the switch forks has no part of it (guardian.h). */
	(void)madvise(ring->memory, MEMORY_SIZE, MADV_DONTFORK);
	ring->wake = wake;
	first = side == RING_MEMBER ? &ring->out : &ring->in;
	second = side == RING_MEMBER ? &ring->in : &ring->out;
	data = (unsigned char *)ring->memory + LINES_SIZE;
	first->lines = ring->memory;
	second->lines = first->lines + 1;
	first->data = data;
	second->data = data + RING_SIZE;
	*out = ring;
	return 0;
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	munmap(ring->memory, MEMORY_SIZE);
	close(ring->wake);
	free(ring);
}

int ring_wake_fd(const struct ring *ring)
{
	return ring->wake;
}

bool ring_wake_clear(struct ring *ring)
{
	char wakes[512];

	return recv(ring->wake, wakes, sizeof wakes, MSG_DONTWAIT) != 0;
}

static void wake(const struct ring *ring)
{
	/* EAGAIN: it has been woken often enough; EPIPE: there is nobody. */
	(void)!send(ring->wake, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void set_broken(struct ring *ring)
{
	ring->broken = true;
}

/* Bytes that a frame of `len` takes. */
static uint64_t record_size(size_t len)
{
	return ALIGNMENT + ((len + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1));
}

static unsigned char *at(const struct direction *d, uint64_t position)
{
	return d->data + (position & (RING_SIZE - 1));
}

/* `len` bytes from `position` on. */
static unsigned pieces_of(const struct direction *d, uint64_t position, size_t len, struct iovec pieces[RING_PIECES])
{
	const size_t to_end = RING_SIZE - (size_t)(position & (RING_SIZE - 1));

	pieces[0] = (struct iovec){ at(d, position), len < to_end ? len : to_end };
	if (len <= to_end)
		return 1;
	pieces[1] = (struct iovec){ d->data, len - to_end };
	return 2;
}

/* ---- producing ---- */

/* What the consumer has freed since. False: that cannot be. */
static bool look_for_room(struct ring *ring)
{
	struct direction *d = &ring->out;
	const uint64_t tail = atomic_load_explicit(&d->lines->consumer.tail, memory_order_acquire);

	if (tail - d->tail > d->told - d->tail || tail % ALIGNMENT)
		set_broken(ring);
	else
		d->tail = tail;
	return !ring->broken;
}

static uint64_t room(const struct direction *d)
{
	return RING_SIZE - (d->head - d->tail);
}

int ring_reserve(struct ring *ring, size_t len, struct iovec pieces[RING_PIECES])
{
	struct direction *d = &ring->out;
	const uint64_t size = record_size(len);

	if (ring->broken)
		return -EPROTO;
	if (len > RING_FRAME_MAX)
		return -EMSGSIZE;
	if (room(d) < size) {
		if (!look_for_room(ring))
			return -EPROTO;
		if (room(d) < size)
			return -EAGAIN;
	}
	d->at_hand = size;
	return (int)pieces_of(d, d->head + ALIGNMENT, len, pieces);
}

void ring_commit(struct ring *ring, const struct virtio_net_hdr_v1 *header, size_t len)
{
	struct direction *d = &ring->out;
	const struct record record = { (uint32_t)len, *header };

	if (record_size(len) > d->at_hand)
		return;
	memcpy(at(d, d->head), &record, sizeof record);
	d->head += record_size(len);
	d->at_hand = 0;
}

int ring_put(struct ring *ring, const struct virtio_net_hdr_v1 *header, const struct iovec *iov, unsigned n)
{
	struct iovec pieces[RING_PIECES];
	size_t len = 0, offset = 0;
	unsigned piece = 0;
	int rc;

	for (unsigned i = 0; i < n; i++) {
		if (iov[i].iov_len > RING_FRAME_MAX - len)
			return ring->broken ? -EPROTO : -EMSGSIZE;
		len += iov[i].iov_len;
	}
	rc = ring_reserve(ring, len, pieces);
	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < n; i++)
		for (size_t done = 0; done < iov[i].iov_len;) {
			size_t part = iov[i].iov_len - done;

			if (offset == pieces[piece].iov_len) {
				piece++;
				offset = 0;
			}
			if (part > pieces[piece].iov_len - offset)
				part = pieces[piece].iov_len - offset;
			memcpy((char *)pieces[piece].iov_base + offset, (const char *)iov[i].iov_base + done, part);
			done += part;
			offset += part;
		}
	ring_commit(ring, header, len);
	return 0;
}

void ring_publish(struct ring *ring)
{
	struct direction *d = &ring->out;

	if (d->told == d->head)
		return;
	d->told = d->head;
	atomic_store_explicit(&d->lines->producer.head, d->head, memory_order_release);
	/* Either we see that it sleeps, or it sees the head when it looks once more. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&d->lines->consumer.waits, memory_order_relaxed) &&
	    atomic_exchange_explicit(&d->lines->consumer.waits, 0, memory_order_relaxed))
		wake(ring);
}

bool ring_wait_room(struct ring *ring, size_t bytes)
{
	struct direction *d = &ring->out;
	const uint64_t size = bytes < RING_SIZE / 4 ? record_size(bytes) : RING_SIZE / 4;

	ring_publish(ring); /* what the other side does not see it cannot make room of */
	atomic_store_explicit(&d->lines->producer.waits_for, (uint32_t)size, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (!ring->broken && look_for_room(ring) && room(d) < size)
		return true;
	atomic_store_explicit(&d->lines->producer.waits_for, 0, memory_order_relaxed);
	return false;
}

/* ---- consuming ---- */

/* What the producer has published since. False: that cannot be. */
static bool look_for_frames(struct ring *ring)
{
	struct direction *d = &ring->in;
	const uint64_t head = atomic_load_explicit(&d->lines->producer.head, memory_order_acquire);

	/* Never back, and never more than the ring holds beyond what we have told that is free. */
	if (head - d->told > RING_SIZE || head - d->told < d->head - d->told || head % ALIGNMENT)
		set_broken(ring);
	else
		d->head = head;
	return !ring->broken;
}

/* A record's head, read once, as the other side may write it meanwhile. */
static struct record record_read(const struct direction *d, uint64_t position)
{
	uint64_t words[sizeof(struct record) / sizeof(uint64_t)];
	struct record record;

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		words[i] = __atomic_load_n((const uint64_t *)(const void *)at(d, position) + i, __ATOMIC_RELAXED);
	memcpy(&record, words, sizeof record);
	return record;
}

int ring_peek(struct ring *ring, struct ring_frame *frame)
{
	struct direction *d = &ring->in;
	struct record record;

	if (ring->broken)
		return -EPROTO;
	if (d->head == d->tail) {
		if (!look_for_frames(ring))
			return -EPROTO;
		if (d->head == d->tail)
			return 0;
	}
	record = record_read(d, d->tail);
	if (record.len > RING_FRAME_MAX || record_size(record.len) > d->head - d->tail) {
		set_broken(ring);
		return -EPROTO;
	}
	frame->header = record.header;
	frame->len = record.len;
	frame->n = pieces_of(d, d->tail + ALIGNMENT, record.len, frame->pieces);
	d->at_hand = record_size(record.len);
	return 1;
}

int ring_look_ahead(struct ring *ring, uint64_t *position, void *to, size_t len)
{
	struct direction *d = &ring->in;
	struct iovec pieces[RING_PIECES];
	struct record record;
	size_t done = 0;

	if (ring->broken || !look_for_frames(ring))
		return -EPROTO;
	if (*position - d->tail > d->head - d->tail)
		*position = d->tail; /* it has been popped */
	if (*position == d->head)
		return 0;
	record = record_read(d, *position);
	if (record.len > RING_FRAME_MAX || record_size(record.len) > d->head - *position) {
		set_broken(ring);
		return -EPROTO;
	}
	memset(to, 0, len);
	if (len > record.len)
		len = record.len;
	for (unsigned i = 0, n = pieces_of(d, *position + ALIGNMENT, len, pieces); i < n; i++) {
		memcpy((char *)to + done, pieces[i].iov_base, pieces[i].iov_len);
		done += pieces[i].iov_len;
	}
	*position += record_size(record.len);
	return 1;
}

void ring_pop(struct ring *ring)
{
	ring->in.tail += ring->in.at_hand;
	ring->in.at_hand = 0;
}

void ring_release(struct ring *ring)
{
	struct direction *d = &ring->in;
	uint32_t waits_for;

	if (d->told == d->tail)
		return;
	d->told = d->tail;
	atomic_store_explicit(&d->lines->consumer.tail, d->tail, memory_order_release);
	/* As in ring_publish(). */
	atomic_thread_fence(memory_order_seq_cst);
	waits_for = atomic_load_explicit(&d->lines->producer.waits_for, memory_order_relaxed);
	if (waits_for == 0 ||
	    RING_SIZE - (atomic_load_explicit(&d->lines->producer.head, memory_order_relaxed) - d->tail) < waits_for)
		return;
	if (atomic_exchange_explicit(&d->lines->producer.waits_for, 0, memory_order_relaxed))
		wake(ring);
}

/* Until the head is another than `seen`. */
static bool wait_beyond(struct ring *ring, uint64_t seen)
{
	struct direction *d = &ring->in;

	atomic_store_explicit(&d->lines->consumer.waits, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
	if (!ring->broken && look_for_frames(ring) && d->head == seen)
		return true;
	atomic_store_explicit(&d->lines->consumer.waits, 0, memory_order_relaxed);
	return false;
}

bool ring_wait_frames(struct ring *ring)
{
	ring_release(ring);
	return ring->in.head == ring->in.tail && wait_beyond(ring, ring->in.tail);
}

bool ring_wait_more(struct ring *ring)
{
	ring_release(ring);
	return wait_beyond(ring, ring->in.head);
}
