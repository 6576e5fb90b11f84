/* SPDX-License-Identifier: MIT */
/*
 * serve-talk.c - see serve-private.h: messages to and from peers. Called by serve.c and serve-join.c.
 *
 * Nothing waits here. What a peer has no room for is said again when it has: the newest list of members, the next piece
 * of a text. What cannot be said otherwise is the end of the connection.
 */
#include "plugins/cluster-switch/serve-private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/cluster-switch/guardian.h"

#define MESSAGES_A_TURN 8u
#define FDS_MAX 4u
#define TEXT_PIECE (32u << 10)

/* ---- to peers ---- */

int peer_send(struct peer *peer, const void *message, size_t len, const int *fds, unsigned n_fds)
{
	struct iovec iov = { .iov_len = len };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	/* sendmsg(2) writes nothing there. */
	memcpy(&iov.iov_base, &message, sizeof message);
	if (n_fds > 0) {
		struct cmsghdr *c = &control.align;

		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	do
		n = sendmsg(peer->socket.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

void peer_refuse(struct peer *peer, const char *why)
{
	struct protocol_refused refused = { .h = { PROTOCOL_REFUSED, PROTOCOL_VERSION } };

	memcpy(refused.why, why, strnlen(why, sizeof refused.why - 1));
	(void)peer_send(peer, &refused, sizeof refused, NULL, 0);
	peer_cut(peer);
}

static void want_write(struct peer *peer, bool want)
{
	if (peer->waits_to_write == want)
		return;
	peer->waits_to_write = want;
	(void)serve_watch(peer->serve, &peer->socket, EPOLLIN | (want ? EPOLLOUT : 0));
}

static void members_send(struct peer *peer)
{
	const struct protocol_members *list = &peer->serve->list;
	const int r = peer_send(
		peer, list, offsetof(struct protocol_members, members) + list->n * sizeof list->members[0], NULL, 0);

	/* Any other error is seen as the end of its socket. */
	peer->is_behind = r == -EAGAIN || r == -ENOBUFS || r == -ENOMEM;
	want_write(peer, peer->is_behind);
}

void serve_tell_members(struct serve *serve)
{
	struct protocol_members *list = &serve->list;
	struct peer *peer;

	memset(list, 0, sizeof *list);
	list->h = (struct protocol_header){ PROTOCOL_MEMBERS, PROTOCOL_VERSION };
	TAILQ_FOREACH(peer, &serve->members, link)
	{
		struct protocol_member *member = &list->members[list->n++];

		memcpy(member->name, bridge_port_options(peer->port)->name, sizeof member->name);
		member->address = peer->address;
		member->address6 = peer->address6;
	}
	serve->members_changed = false;
	TAILQ_FOREACH(peer, &serve->members, link)
	members_send(peer);
}

/* The next pieces of what is shown; the end is the end of the connection. */
static void text_send(struct peer *peer)
{
	struct {
		struct protocol_header h;
		char text[TEXT_PIECE];
	} piece = { .h = { PROTOCOL_TEXT, PROTOCOL_VERSION } };

	while (peer->text_at < peer->text_len) {
		const size_t left = peer->text_len - peer->text_at, len = left < TEXT_PIECE ? left : TEXT_PIECE;
		int r;

		memcpy(piece.text, peer->text + peer->text_at, len);
		r = peer_send(peer, &piece, sizeof piece.h + len, NULL, 0);
		if (r == -EAGAIN) {
			want_write(peer, true);
			return;
		}
		if (r < 0)
			break;
		peer->text_at += len;
	}
	peer_cut(peer);
}

void peer_write(struct peer *peer)
{
	if (peer->state == PEER_SHOWN)
		text_send(peer);
	else if (peer->state == PEER_MEMBER && peer->is_behind)
		members_send(peer);
}

/* ---- from peers ---- */

/* One a second, and some at once: who asks for more may be killing them, and must not fill the computer. */
static bool may_have_guardian(struct peer *peer)
{
	const uint64_t more = (peer->serve->now_ms - peer->guardians_ms) / 1000;

	if (more > 0) {
		peer->guardians_ms += more * 1000;
		peer->guardians =
			more < SERVE_GUARDIANS - peer->guardians ? peer->guardians + (unsigned)more : SERVE_GUARDIANS;
	}
	if (peer->guardians == 0)
		return false;
	peer->guardians--;
	return true;
}

/* What never ends would be a guardian that never does. */
static bool is_leash(int fd)
{
	int domain = -1, type = -1;
	socklen_t len = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_STREAM;
}

/* Those that have ended are not counted any more. */
static void guardians_count(struct serve *serve)
{
	unsigned n = 0;

	if (serve->n_pulses > 0 && poll(serve->pulses, serve->n_pulses, 0) <= 0)
		return;
	for (unsigned i = 0; i < serve->n_pulses; i++)
		if (serve->pulses[i].revents)
			close(serve->pulses[i].fd);
		else
			serve->pulses[n++] = serve->pulses[i];
	serve->n_pulses = n;
}

static void guardian_wanted(struct peer *peer, int leash)
{
	struct serve *serve = peer->serve;
	int pulse[2], r;

	guardians_count(serve);
	if (serve->n_pulses == SERVE_GUARDIANS_LIVE || !may_have_guardian(peer) || pipe2(pulse, O_CLOEXEC) < 0) {
		close(leash);
		return;
	}
	r = guardian_start_with(serve->dirfd, serve->cluster, leash, pulse[1]);
	close(pulse[1]);
	serve->pulses[serve->n_pulses++] = (struct pollfd){ .fd = pulse[0] };
	if (r < 0)
		serve_say(serve, "no guardian for \"%s\": %s", bridge_port_options(peer->port)->name, strerror(-r));
}

/* One message of `len` bytes in serve->message, with a descriptor or -1, which is taken over. False: cannot be. */
static bool message_handle(struct peer *peer, size_t len, int fd)
{
	struct serve *serve = peer->serve;
	const unsigned char *message = serve->message.bytes;
	const struct protocol_header *h = &serve->message.header;

	if (peer->state == PEER_MEMBER && fd >= 0 && protocol_is(message, len, PROTOCOL_GUARDIAN, sizeof *h) &&
	    is_leash(fd)) {
		guardian_wanted(peer, fd);
		return true;
	}
	if (fd >= 0) {
		close(fd);
		return false;
	}
	if (len < sizeof *h)
		return false;
	switch (peer->state) {
	case PEER_PENDING:
		if (h->version != PROTOCOL_VERSION) {
			peer_refuse(
				peer,
				"the switch is of another release of capsa; stop all machines of the cluster first");
			return true;
		}
		if (protocol_is(message, len, PROTOCOL_SHOW, sizeof *h)) {
			peer->text = serve_show(serve, &peer->text_len);
			peer->state = PEER_SHOWN;
			text_send(peer);
			return true;
		}
		if (!protocol_hello_is_valid(message, len))
			return false;
		peer_join(peer, &serve->message.hello);
		return true;
	case PEER_MEMBER:
		if (!protocol_change_is_valid(message, len))
			return false;
		bridge_port_change(peer->port, &serve->message.change.port);
		return true;
	case PEER_SHOWN:
	case PEER_GONE:
		break;
	}
	return false;
}

/* One packet: its length, 0 at the end, or -errno. *fd: the one descriptor that came with it, or -1. */
static ssize_t packet_receive(struct peer *peer, int *fd)
{
	struct serve *serve = peer->serve;
	struct iovec iov = { .iov_base = serve->message.bytes, .iov_len = sizeof serve->message.bytes };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	unsigned n_fds = 0;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(peer->socket.fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			int one;

			memcpy(&one, (char *)c + at, sizeof one);
			if (n_fds++ == 0)
				*fd = one;
			else
				close(one);
		}
	}
	if (n_fds > 1 || (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || n == 0) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return n == 0 ? 0 : -EPROTO;
	}
	return n;
}

void peer_receive(struct peer *peer)
{
	for (unsigned i = 0; i < MESSAGES_A_TURN && peer->state != PEER_GONE; i++) {
		int fd;
		const ssize_t n = packet_receive(peer, &fd);

		if (n == -EAGAIN)
			return;
		if (n > 0 && message_handle(peer, (size_t)n, fd))
			continue;
		if (n > 0 || n == -EPROTO)
			serve_say(peer->serve, "process %d said what is no message: cut off", (int)peer->pid);
		peer_cut(peer);
	}
}
