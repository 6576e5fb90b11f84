/* SPDX-License-Identifier: MIT */
/* tcp-unacked.c - see tcp-unacked.h. */
#include "plugins/net-nat/tcp-unacked.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capsa-plugin.h"

#define GUESS_LEAST 2048u
#define GUESS_MOST (64u << 10)
#define PATIENCE 50 /* ms for a connection over loopback */

struct unacked_chunk {
	struct unacked_chunk *next;
	uint32_t size;       /* of bytes[] */
	uint32_t begin, end; /* what is in use of it */
	unsigned char bytes[];
};

/* ---- whether the kernel can ---- */

/* A connection in fds[], or the descriptors that there are. */
static int connect_pair(const struct capsa_host *host, struct capsa_device *dev, int fds[3])
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	struct pollfd waits;
	int rc;

	fds[0] = host->socket_open(dev, AF_INET, SOCK_STREAM, 0);
	fds[1] = host->socket_open(dev, AF_INET, SOCK_STREAM, 0);
	if (fds[0] < 0 || fds[1] < 0 || host->socket_bind(dev, fds[0], (struct sockaddr *)&at, sizeof at) < 0 ||
	    listen(fds[0], 1) < 0 || getsockname(fds[0], (struct sockaddr *)&at, &len) < 0)
		return -EIO;
	rc = host->socket_connect(dev, fds[1], (struct sockaddr *)&at, sizeof at);
	waits = (struct pollfd){ .fd = fds[0], .events = POLLIN };
	if ((rc < 0 && rc != -EINPROGRESS) || poll(&waits, 1, PATIENCE) != 1)
		return -EIO;
	fds[2] = accept4(fds[0], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	return fds[2] < 0 ? -EIO : 0;
}

/* Peeks twice in a row, throws some away, and peeks again. */
static bool can_peek(int from, int to)
{
	struct pollfd waits = { .fd = to, .events = POLLIN };
	const int zero = 0;
	char got[6] = "";

	return setsockopt(to, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof zero) == 0 &&
	       send(from, "abcd", 4, MSG_NOSIGNAL) == 4 && poll(&waits, 1, PATIENCE) == 1 &&
	       recv(to, got, 2, MSG_PEEK) == 2 && recv(to, got + 2, 1, MSG_PEEK) == 1 &&
	       recv(to, NULL, 1, MSG_TRUNC) == 1 && recv(to, got + 3, 2, MSG_PEEK) == 1 &&
	       setsockopt(to, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof zero) == 0 &&
	       recv(to, got + 4, 1, MSG_PEEK) == 1 && memcmp(got, "abcdb", 5) == 0;
}

void unacked_pool_open(struct unacked_pool *pool, const struct capsa_host *host, struct capsa_device *dev)
{
	int fds[3] = { -1, -1, -1 };

	*pool = (struct unacked_pool){ 0 };
	pool->peeks = connect_pair(host, dev, fds) == 0 && can_peek(fds[1], fds[2]);
	for (unsigned i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

void unacked_pool_close(struct unacked_pool *pool)
{
	while (pool->kept) {
		struct unacked_chunk *chunk = pool->kept;

		pool->kept = chunk->next;
		free(chunk);
	}
	*pool = (struct unacked_pool){ 0 };
}

/* IPv6 came later to it than IPv4: so each socket is asked. */
void unacked_open(struct unacked_pool *pool, struct unacked *u, int fd, bool tcp)
{
	const int zero = 0;

	*u = (struct unacked){ .guess = GUESS_LEAST };
	u->peeks = tcp && pool->peeks && setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &zero, sizeof zero) == 0;
}

/* ---- chunks ---- */

static size_t size_of(const struct unacked_chunk *chunk)
{
	return sizeof *chunk + chunk->size;
}

static struct unacked_chunk *take_chunk(struct unacked_pool *pool, bool first)
{
	struct unacked_chunk *chunk = pool->kept;
	size_t size = UNACKED_CHUNK;

	if (pool->bytes + UNACKED_CHUNK > UNACKED_MOST_ALL) {
		if (!first)
			return NULL;
		size = UNACKED_CHUNK_LEAST;
		chunk = NULL;
	}
	if (chunk) {
		pool->kept = chunk->next;
		pool->n_kept--;
	} else {
		chunk = malloc(size);
		if (!chunk)
			return NULL;
		chunk->size = (uint32_t)(size - sizeof *chunk);
	}
	chunk->next = NULL;
	chunk->begin = chunk->end = 0;
	pool->bytes += size_of(chunk);
	return chunk;
}

static void give_chunk(struct unacked_pool *pool, struct unacked_chunk *chunk)
{
	pool->bytes -= size_of(chunk);
	if (pool->n_kept >= UNACKED_KEPT || size_of(chunk) != UNACKED_CHUNK) {
		free(chunk);
		return;
	}
	chunk->next = pool->kept;
	pool->kept = chunk;
	pool->n_kept++;
}

static bool append_chunk(struct unacked_pool *pool, struct unacked *u)
{
	struct unacked_chunk *chunk = take_chunk(pool, !u->first);

	if (!chunk)
		return false;
	if (u->last)
		u->last->next = chunk;
	else
		u->first = chunk;
	u->last = chunk;
	return true;
}

/* Where the next bytes go: what is left of the last chunk, and one more. Returns how many buffers; 0: no room. */
static unsigned make_room(struct unacked_pool *pool, struct unacked *u, size_t want, struct iovec iov[2])
{
	unsigned n = 0;
	size_t room = 0;

	if (u->stored >= UNACKED_MOST)
		return 0;
	if (want > UNACKED_MOST - u->stored)
		want = UNACKED_MOST - u->stored;
	if (u->last && u->last->end < u->last->size) {
		room = u->last->size - u->last->end;
		iov[n++] = (struct iovec){ u->last->bytes + u->last->end, room < want ? room : want };
	}
	if (room < want && append_chunk(pool, u)) {
		const size_t rest = want - room;

		iov[n++] = (struct iovec){ u->last->bytes, rest < u->last->size ? rest : u->last->size };
	}
	return n;
}

/* `len` bytes are in what make_room() gave, from `chunk` on. */
static void note_stored(struct unacked_pool *pool, struct unacked *u, struct unacked_chunk *chunk, size_t len)
{
	u->stored += (uint32_t)len;
	for (; len > 0; chunk = chunk->next) {
		const size_t room = chunk->size - chunk->end;
		const size_t here = len < room ? len : room;

		chunk->end += (uint32_t)here;
		len -= here;
	}
	/* An empty last one, which was appended for nothing, goes back. */
	if (u->last->end > 0)
		return;
	chunk = u->last;
	if (u->first == chunk) {
		u->first = u->last = NULL;
	} else {
		struct unacked_chunk *before = u->first;

		while (before->next != chunk)
			before = before->next;
		before->next = NULL;
		u->last = before;
	}
	give_chunk(pool, chunk);
}

/* Receives up to `want` bytes more. */
static ssize_t store(struct unacked_pool *pool, struct unacked *u, int fd, size_t want, bool *drained)
{
	struct unacked_chunk *last = u->last;
	const bool full = last && last->end == last->size;
	struct iovec iov[2];
	const unsigned n = make_room(pool, u, want, iov);
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = n };
	size_t room = 0;
	ssize_t got;
	int error;

	if (!n)
		return -ENOBUFS;
	for (unsigned i = 0; i < n; i++)
		room += iov[i].iov_len;
	got = recvmsg(fd, &message, MSG_DONTWAIT);
	error = errno;
	*drained = got < (ssize_t)room;
	note_stored(pool, u, !last ? u->first : full ? last->next : last, got > 0 ? (size_t)got : 0);
	return got < 0 ? -error : got;
}

static void copy_out(const struct unacked *u, uint32_t offset, const struct iovec *iov, unsigned n)
{
	const struct unacked_chunk *chunk = u->first;
	size_t at = offset;

	for (unsigned i = 0; i < n; i++) {
		unsigned char *to = iov[i].iov_base;
		size_t left = iov[i].iov_len;

		while (left > 0 && chunk) {
			size_t here = chunk->end - chunk->begin;

			if (at >= here) {
				at -= here;
				chunk = chunk->next;
				continue;
			}
			here = here - at < left ? here - at : left;
			memcpy(to, chunk->bytes + chunk->begin + at, here);
			to += here;
			left -= here;
			at += here;
		}
	}
}

void unacked_close(struct unacked_pool *pool, struct unacked *u)
{
	while (u->first) {
		struct unacked_chunk *chunk = u->first;

		u->first = chunk->next;
		give_chunk(pool, chunk);
	}
	*u = (struct unacked){ .peeks = u->peeks };
}

/* ---- both ways ---- */

ssize_t unacked_look(struct unacked_pool *pool, struct unacked *u, int fd, uint32_t offset, size_t want, bool *drained)
{
	*drained = false;
	if (u->peeks)
		return (ssize_t)(want < u->guess ? want : u->guess);
	if (offset + want > u->stored && !u->error) {
		const ssize_t got = store(pool, u, fd, offset + want - u->stored, drained);

		/* The kernel says it once; bytes that there are come first. */
		if (got < 0 && got != -EAGAIN && got != -ENOBUFS)
			u->error = (int)-got;
		else if (u->stored <= offset)
			return got;
	}
	if (u->stored <= offset)
		return -u->error;
	return (ssize_t)(u->stored - offset < want ? u->stored - offset : want);
}

static ssize_t peek(struct unacked *u, int fd, uint32_t offset, struct iovec *iov, unsigned n, bool *drained)
{
	struct msghdr message = { .msg_iov = iov, .msg_iovlen = n };
	size_t room = 0;
	ssize_t got;

	unacked_settle(u, fd);
	if (u->at != offset) {
		const int at = (int)offset;

		if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at) < 0)
			return -errno;
		u->at = offset;
	}
	for (unsigned i = 0; i < n; i++)
		room += iov[i].iov_len;
	got = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
	if (got < 0)
		return -errno;
	u->at += (uint32_t)got;
	*drained = (size_t)got < room;
	if (!*drained && u->guess < GUESS_MOST)
		u->guess = room * 2 > GUESS_MOST ? GUESS_MOST : room * 2 > u->guess ? (uint32_t)room * 2 : u->guess;
	else if (*drained)
		u->guess = (size_t)got > GUESS_LEAST ? (uint32_t)got : GUESS_LEAST;
	return got;
}

ssize_t unacked_put(struct unacked *u, int fd, uint32_t offset, struct iovec *iov, unsigned n, bool *drained)
{
	size_t room = 0;

	if (u->peeks)
		return peek(u, fd, offset, iov, n, drained);
	for (unsigned i = 0; i < n; i++)
		room += iov[i].iov_len;
	if (room > u->stored - offset)
		room = u->stored - offset;
	copy_out(u, offset, iov, n);
	return (ssize_t)room;
}

void unacked_release(struct unacked_pool *pool, struct unacked *u, uint32_t len)
{
	if (u->peeks) {
		u->debt += len;
		u->at -= len < u->at ? len : u->at;
		return;
	}
	u->stored -= len;
	while (len > 0) {
		struct unacked_chunk *chunk = u->first;
		const uint32_t here = chunk->end - chunk->begin;

		if (len < here) {
			chunk->begin += len;
			return;
		}
		len -= here;
		u->first = chunk->next;
		if (!u->first)
			u->last = NULL;
		give_chunk(pool, chunk);
	}
}

/* The kernel moves its place of peeking back by as much. */
void unacked_settle(struct unacked *u, int fd)
{
	while (u->debt > 0) {
		ssize_t gone = recv(fd, NULL, u->debt, MSG_TRUNC | MSG_DONTWAIT);

		if (gone <= 0)
			return;
		u->debt -= (uint32_t)gone;
	}
}
