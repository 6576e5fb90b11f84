/* SPDX-License-Identifier: MIT */
/*
 * dns-stream.c - DNS over TCP (RFC 7766): the guest's connections to the gateway, and questions to upstreams whose
 * answer does not fit into a datagram.
 *
 * THEORY OF OPERATION. The guest's side is one end of a socketpair(2) whose other end tcp.c translates to. Messages
 * come with their length in front; several may be under way (pipelining), and are answered as their answers come. What
 * the pair has no room for waits in a buffer of at most OUT_MAX bytes; beyond that the guest does not read, and the
 * connection ends. While it is half full no more questions are taken. An idle connection ends after IDLE_MS.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "plugins/net-nat/dns-private.h"

#define IDLE_MS 30000u
#define OUT_MAX (256u << 10)
#define PENDING_EACH 32u /* questions of one connection under way */
#define READS_A_TURN 16u

/* ---- the guest's connections ---- */

void dns_stream_close(struct dns_connection *c)
{
	struct dns *dns = c->dns;
	struct dns_pending *p, *next;

	for (p = TAILQ_FIRST(&dns->pending); p; p = next) {
		next = TAILQ_NEXT(p, link);
		if (p->connection == c)
			dns_pending_free(p);
	}
	timeout_clear(dns->nat->timeouts, &c->idle);
	sockets_close(dns->nat->sockets, &c->source);
	TAILQ_REMOVE(&dns->connections, c, link);
	dns->n_connections--;
	free(c->in);
	free(c->out);
	free(c);
}

static void on_idle(struct timeout *timeout)
{
	struct dns_connection *c = (struct dns_connection *)((char *)timeout - offsetof(struct dns_connection, idle));

	dns_stream_close(c);
}

/* False: it is closed. */
static bool flush_out(struct dns_connection *c)
{
	size_t done = 0;

	while (done < c->n_out) {
		const ssize_t n = send(c->source.fd, c->out + done, c->n_out - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return false;
		done += (size_t)n;
	}
	if (done)
		memmove(c->out, c->out + done, c->n_out - done);
	c->n_out -= done;
	return true;
}

void dns_stream_reply(struct dns_connection *c, const unsigned char *message, size_t len)
{
	const size_t need = c->n_out + 2 + len;
	unsigned char *more;

	/* A connection that cannot be written to any more is closed by its own next event; nothing is freed here,
	 * because callers go on with it. */
	if (need > OUT_MAX)
		goto broken;
	if (need > c->room_out) {
		more = realloc(c->out, need + 1024);
		if (!more)
			goto broken;
		c->out = more;
		c->room_out = need + 1024;
	}
	c->out[c->n_out] = (unsigned char)(len >> 8);
	c->out[c->n_out + 1] = (unsigned char)len;
	memcpy(c->out + c->n_out + 2, message, len);
	c->n_out = need;
	if (flush_out(c))
		return;
broken:
	c->n_out = 0;
	(void)shutdown(c->source.fd, SHUT_RDWR);
}

void dns_stream_settle(struct dns_connection *c)
{
	/* There may be questions that waited for this one's end; and the end of it all is found there. */
	sockets_again(c->dns->nat->sockets, &c->source, EPOLLIN);
}

/* The messages that are whole. */
static void take_messages(struct dns_connection *c)
{
	const struct dns_asker asker = { .connection = c };

	while (c->n_in >= 2 && c->pending < PENDING_EACH && c->n_out < OUT_MAX / 2) {
		const size_t len = (size_t)(c->in[0] << 8 | c->in[1]);

		if (c->n_in < 2 + len)
			return;
		dns_ask(c->dns, &asker, c->in + 2, len);
		c->n_in -= 2 + len;
		memmove(c->in, c->in + 2 + len, c->n_in);
	}
}

static void on_guest(struct socket_source *source, uint32_t events)
{
	struct dns_connection *c = (struct dns_connection *)source;
	struct sockets *sockets = c->dns->nat->sockets;
	unsigned turn = 0;

	(void)events;
	if (!flush_out(c)) {
		dns_stream_close(c);
		return;
	}
	(void)timeout_set(c->dns->nat->timeouts, &c->idle, IDLE_MS);
	take_messages(c);
	while (!c->ended && c->pending < PENDING_EACH && c->n_out < OUT_MAX / 2) {
		const ssize_t got = recv(source->fd, c->in + c->n_in, 2 + DNS_MESSAGE_MAX - c->n_in, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (got < 0) {
			dns_stream_close(c);
			return;
		}
		c->ended = got == 0;
		c->n_in += (size_t)got;
		take_messages(c);
		if (++turn == READS_A_TURN) {
			sockets_again(sockets, source, EPOLLIN);
			return;
		}
	}
	if (c->ended && !c->pending && !c->n_out)
		dns_stream_close(c);
}

int dns_accept(struct nat *nat)
{
	struct dns *dns = nat->dns;
	struct dns_connection *c;
	int pair[2], rc;

	if (dns->n_connections >= DNS_CONNECTIONS_MAX)
		return -EMFILE;
	c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->in = malloc(2 + DNS_MESSAGE_MAX);
	if (!c->in) {
		free(c);
		return -ENOMEM;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0) {
		rc = -errno;
		goto no_pair;
	}
	rc = sockets_adopt(nat->sockets, pair[0]);
	if (rc) {
		close(pair[0]);
		close(pair[1]);
		goto no_pair;
	}
	c->dns = dns;
	c->source = (struct socket_source){ .ready = on_guest, .fd = pair[0] };
	c->idle.call = on_idle;
	TAILQ_INSERT_TAIL(&dns->connections, c, link);
	dns->n_connections++;
	rc = sockets_add(nat->sockets, &c->source);
	if (!rc)
		rc = timeout_set(nat->timeouts, &c->idle, IDLE_MS);
	if (rc) {
		dns_stream_close(c);
		close(pair[1]);
		return rc;
	}
	return pair[1];
no_pair:
	free(c->in);
	free(c);
	return rc;
}

/* ---- to an upstream ---- */

static void on_upstream(struct socket_source *source, uint32_t events);

int dns_stream_ask(struct dns_pending *p)
{
	struct nat *nat = p->dns->nat;
	struct sockaddr_storage to;
	const socklen_t len = dns_upstream_address(p, &to);
	uint16_t id;
	int rc;

	p->source = (struct socket_source){ .ready = on_upstream, .fd = -1 };
	rc = sockets_open(nat->sockets, to.ss_family, SOCK_STREAM, 0);
	if (rc < 0)
		return rc;
	p->source.fd = rc;
	p->stage = DNS_TCP_SENDING;
	p->sent = p->n_answer = 0;
	if (getrandom(&id, sizeof id, 0) != sizeof id)
		return -EIO;
	dns_message_set_id(p->message + 2, id);
	if (!p->answer)
		p->answer = malloc(2 + DNS_MESSAGE_MAX);
	if (!p->answer)
		return -ENOMEM;
	rc = nat->host->socket_connect(nat->dev, p->source.fd, (struct sockaddr *)&to, len);
	return rc && rc != -EINPROGRESS ? rc : sockets_add(nat->sockets, &p->source);
}

/* 0: to be continued; 1: the answer is whole; -errno. */
static int go_on(struct dns_pending *p)
{
	ssize_t n;

	while (p->stage == DNS_TCP_SENDING) {
		n = send(p->source.fd, p->message + p->sent, 2 + p->len - p->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == ENOTCONN || errno == EINPROGRESS ? 0 : -errno;
		p->sent += (size_t)n;
		if (p->sent == 2 + p->len)
			p->stage = DNS_TCP_RECEIVING;
	}
	for (;;) {
		const size_t want = p->n_answer < 2 ? 2 : 2 + (size_t)(p->answer[0] << 8 | p->answer[1]);

		if (p->n_answer == want && want > 2)
			return 1;
		if (p->n_answer == want)
			return -EBADMSG;
		n = recv(p->source.fd, p->answer + p->n_answer, want - p->n_answer, MSG_DONTWAIT);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		if (n == 0)
			return -ECONNRESET;
		p->n_answer += (size_t)n;
	}
}

static void on_upstream(struct socket_source *source, uint32_t events)
{
	struct dns_pending *p = (struct dns_pending *)source;
	int rc;

	(void)events;
	rc = go_on(p);
	if (!rc)
		return;
	if (rc == 1 && dns_message_answers(p->answer + 2, p->n_answer - 2, p->message + 2, p->question.end))
		dns_answered(p, p->answer + 2, p->n_answer - 2);
	else
		dns_give_up(p);
}
