/* SPDX-License-Identifier: MIT */
/*
 * tcp-open.c - how connections begin (RFC 9293, 3.5, 3.10.7.2 to 3.10.7.4).
 *
 * The guest is not told anything before the far side is connected, so what its connect(2) sees is what ours saw: an
 * answer, RST where it was refused, ICMP where there is no way or nobody answers. Segments of the guest that come
 * meanwhile are its SYN again.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plugins/net-nat/dns.h"
#include "plugins/net-nat/icmp-error.h"
#include "plugins/net-nat/tcp-flow.h"

#define MSS_DEFAULT4 536u /* RFC 9293, 3.7.1 */
#define MSS_DEFAULT6 1220u
#define PORTS_TRIED 64u
#define FIRST_DYNAMIC_PORT 32768u

static uint16_t mss_of(const struct tcp_flow *f)
{
	const bool ipv4 = net_is_ipv4(&f->flow.key.guest.address);

	return (uint16_t)(nic_mtu(f->flow.nat->nic) - (ipv4 ? 20u : 40u) - SEGMENT_HEADER);
}

/* RFC 6528: by the clock in steps of 4 us, and a secret function of who talks to whom. */
static uint32_t initial_sequence(const struct tcp_flow *f)
{
	const struct flow_key *key = &f->flow.key;
	uint64_t words[5];

	memcpy(&words[0], &key->guest.address, sizeof key->guest.address);
	memcpy(&words[2], &key->far.address, sizeof key->far.address);
	words[4] = (uint64_t)key->guest.port << 16 | key->far.port;
	return (uint32_t)(hash_words(&tcp_of(f)->secret, words, 5) + timeouts_now(f->flow.nat->timeouts) * 250);
}

static void on_ready(struct socket_source *source, uint32_t events)
{
	struct tcp_flow *f = (struct tcp_flow *)source;

	if (f->state == TCP_STATE_CONNECTING) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			(void)tcp_open_ready(f);
		return;
	}
	if (f->state == TCP_STATE_CLOSED) {
		tcp_end_ready(f);
		return;
	}
	if (events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR) && !f->at_end)
		f->readable = true;
	if (events & (EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		f->drain = true;
	if (events & EPOLLERR && f->at_end) { /* nobody reads any more: it would not be noticed */
		int error = 0;
		socklen_t len = sizeof error;

		if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error) {
			tcp_end_reset(f);
			return;
		}
	}
	if (events & EPOLLOUT && f->waiting && !tcp_receive_resume(f))
		return;
	(void)tcp_flow_go(f);
}

static void on_timeout(struct timeout *timeout)
{
	struct tcp_flow *f = (struct tcp_flow *)((char *)timeout - offsetof(struct flow, timeout));
	struct nat *nat = f->flow.nat;

	(void)tcp_transmit_timeout(f);
	nic_flush(nat->nic);
}

/* ---- the handshake ---- */

void tcp_open_speak(struct tcp_flow *f)
{
	const bool first = f->state == TCP_STATE_SYN_SENT;
	unsigned char options[SEGMENT_OPTIONS_MAX];
	const size_t len = segment_put_syn_options(options, mss_of(f), first || f->sack, first || f->scale);
	uint64_t ms = (uint64_t)TCP_RTO_FIRST << f->retries;

	f->ack_due = segment_send(f, first ? TH_SYN : TH_SYN | TH_ACK, f->send_first, options, len) == -EAGAIN;
	if (f->ack_due)
		tcp_flow_enlist(f, TCP_LIST_ROOM);
	(void)timeout_set(f->flow.nat->timeouts, &f->flow.timeout, ms < TCP_RTO_MOST ? ms : TCP_RTO_MOST);
}

/* What the guest's SYN says. */
static void take_syn(struct tcp_flow *f, const struct segment *segment)
{
	const bool ipv4 = net_is_ipv4(&f->flow.key.guest.address);
	uint16_t mss = segment->has_mss ? segment->mss : ipv4 ? MSS_DEFAULT4 : MSS_DEFAULT6;

	if (mss < SEGMENT_MSS_LEAST)
		mss = SEGMENT_MSS_LEAST;
	f->mss = mss < mss_of(f) ? mss : mss_of(f);
	f->sack = segment->sack_permitted;
	f->guest_scale = segment->has_scale ? segment->scale : 0;
	f->scale = segment->has_scale ? TCP_SCALE : 0;
	f->receive_first = segment->sequence;
	f->receive_next = f->receive_edge = segment->sequence + 1;
	f->window = f->window_most = segment->window; /* never scaled in a SYN (RFC 7323, 2.2) */
	f->window_sequence = segment->sequence;
	f->window_acknowledgement = segment->acknowledgement;
}

static void begin(struct tcp_flow *f)
{
	f->flow.kind = &flow_tcp;
	f->flow.source.ready = on_ready;
	f->flow.timeout.call = on_timeout;
	f->send_first = initial_sequence(f);
	f->send_next = f->send_first + 1;
	f->recover = f->send_first;
	f->rto = TCP_RTO_FIRST;
	f->mss = mss_of(f);
}

/* What every socket is asked for: the guest has done its own waiting for more; urgent bytes stay where they are. */
static void set_up_socket(int fd)
{
	const int yes = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
	(void)setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &yes, sizeof yes);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
}

static void established(struct tcp_flow *f)
{
	tcp_flow_event(f, TCP_EVENT_SYN_ACKED);
	f->send_first = f->send_next;
	f->retries = 0;
	tcp_transmit_arm(f);
}

/* ---- the guest's connections ---- */

/* The socket is connected. */
static void connected(struct tcp_flow *f, bool tcp)
{
	f->connected = true;
	f->readable = true;
	unacked_open(&tcp_of(f)->pool, &f->unacked, f->flow.source.fd, tcp);
	tcp_flow_event(f, TCP_EVENT_CONNECTED);
	tcp_receive_offer(f);
	tcp_open_speak(f);
}

static bool is_shortage(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS || error == EADDRNOTAVAIL;
}

/* The guest is told why there is no connection. */
static void tell(struct tcp_flow *f, int error)
{
	if (error != ECONNREFUSED && error != ECONNRESET && !is_shortage(error))
		icmp_error_about_flow(&f->flow, icmp_error_of(error), 0, f->receive_first);
	(void)segment_send(f, TH_RST | TH_ACK, 0, NULL, 0);
}

bool tcp_open_ready(struct tcp_flow *f)
{
	int error = 0;
	socklen_t len = sizeof error;

	if (getsockopt(f->flow.source.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (!error) {
		connected(f, true);
		return true;
	}
	if (is_shortage(error))
		flow_refused(f->flow.nat, &f->flow.key, -error);
	tell(f, error);
	tcp_end(f);
	return false;
}

/* The socket and its connect(2): 0 where it is connected, -EINPROGRESS, -errno. */
static int connect_socket(struct tcp_flow *f)
{
	struct nat *nat = f->flow.nat;
	struct socket_source *source = &f->flow.source;
	struct sockaddr_storage to;
	const socklen_t len = net_to_sockaddr(&f->flow.real, &to);

	source->fd = sockets_open(nat->sockets, to.ss_family, SOCK_STREAM, 0);
	if (source->fd < 0)
		return source->fd;
	set_up_socket(source->fd);
	return nat->host->socket_connect(nat->dev, source->fd, (struct sockaddr *)&to, len);
}

/* The name server of ours: it asks the policy about names itself. */
static int connect_dns(struct tcp_flow *f)
{
	struct nat *nat = f->flow.nat;
	int fd = dns_accept(nat), rc;

	if (fd < 0)
		return fd;
	rc = sockets_adopt(nat->sockets, fd);
	if (rc) {
		close(fd);
		return rc;
	}
	f->flow.source.fd = fd;
	return 0;
}

/* Socket, table, watch, in this order. 0 or -errno; the caller frees. */
static int open_flow(struct tcp_flow *f, bool dns)
{
	struct nat *nat = f->flow.nat;
	const int rc = dns ? connect_dns(f) : connect_socket(f);
	int failed = rc == -EINPROGRESS ? 0 : rc;

	failed = failed ? failed : flows_insert(nat->flows, &f->flow);
	if (failed)
		return failed;
	failed = sockets_add(nat->sockets, &f->flow.source);
	if (!failed)
		failed = timeout_set(nat->timeouts, &f->flow.timeout, TCP_CONNECT_PATIENCE);
	if (failed) {
		timeout_clear(nat->timeouts, &f->flow.timeout);
		flows_remove(nat->flows, &f->flow);
		return failed;
	}
	if (!rc)
		connected(f, !dns);
	return 0;
}

void tcp_open(struct nat *nat, const struct nic_frame *frame, const struct packet *packet,
              const struct segment *segment)
{
	const struct flow_key key = { .guest = { packet->source, packet->source_port },
		                      .far = { packet->target, packet->target_port },
		                      .protocol = IPPROTO_TCP };
	const bool dns = key.far.port == DNS_PORT && nat_is_gateway_address(nat, &key.far.address);
	struct tcp_flow *f = calloc(1, sizeof *f);
	int rc;

	if (!f) {
		flow_refused(nat, &key, -ENOMEM);
		segment_refuse(nat, frame, packet, segment);
		return;
	}
	f->flow.pair = frame->pair;
	f->flow.source.fd = -1;
	f->state = TCP_STATE_CONNECTING;
	rc = dns ? flow_begin_inbound(nat, &key, &f->flow) : flow_begin(nat, &key, &f->flow);
	if (rc) {
		segment_refuse(nat, frame, packet, segment);
		free(f);
		return;
	}
	begin(f);
	take_syn(f, segment);
	rc = tcp_kept_begin(f);
	rc = rc ? rc : open_flow(f, dns);
	if (!rc)
		return;
	if (is_shortage(-rc))
		flow_refused(nat, &key, rc);
	tell(f, -rc);
	sockets_close(nat->sockets, &f->flow.source);
	tcp_kept_end(f);
	free(f);
}

/* ---- published ports ---- */

/* In the table, by the port that was asked for or any other. */
static int insert(struct tcp_flow *f)
{
	struct net_endpoint *far = &f->flow.key.far;
	int rc;

	if (far->port)
		return flows_insert(f->flow.nat->flows, &f->flow);
	for (unsigned i = 0; i < PORTS_TRIED; i++) {
		far->port = (uint16_t)(FIRST_DYNAMIC_PORT + (initial_sequence(f) + i) % (65536 - FIRST_DYNAMIC_PORT));
		rc = flows_insert(f->flow.nat->flows, &f->flow);
		if (rc != -EEXIST)
			return rc;
	}
	return -EEXIST;
}

int tcp_open_inbound(struct nat *nat, int fd, const struct net_endpoint *from, const struct net_endpoint *guest)
{
	const struct flow_key key = { .guest = *guest, .far = *from, .protocol = IPPROTO_TCP };
	struct socket_source source = { .fd = fd };
	struct tcp_flow *f = NULL;
	int rc = nic_is_active(nat->nic) ? 0 : -ENETDOWN;

	if (!rc)
		f = calloc(1, sizeof *f);
	if (!f) {
		sockets_close(nat->sockets, &source);
		return rc ? rc : -ENOMEM;
	}
	f->flow.source.fd = fd;
	f->state = TCP_STATE_SYN_SENT;
	rc = flow_begin_inbound(nat, &key, &f->flow);
	if (rc)
		goto failed;
	begin(f);
	rc = insert(f);
	if (rc) {
		rc = rc == -EEXIST ? -EADDRINUSE : rc;
		goto failed;
	}
	f->send_first = f->recover = initial_sequence(f);
	f->send_next = f->send_first + 1;
	rc = sockets_add(nat->sockets, &f->flow.source);
	if (rc) {
		flows_remove(nat->flows, &f->flow);
		goto failed;
	}
	set_up_socket(fd);
	f->connected = f->readable = true;
	unacked_open(&nat->tcp->pool, &f->unacked, fd, true);
	tcp_receive_offer(f);
	tcp_open_speak(f);
	return 0;
failed:
	sockets_close(nat->sockets, &f->flow.source);
	free(f);
	return rc;
}

/* ---- segments meanwhile ---- */

static bool arrive_connecting(struct tcp_flow *f, const struct segment *segment)
{
	/* It has given up. Linux says so by nothing, others by this. */
	if (segment->flags & TH_RST && segment->sequence - f->receive_first <= 1) {
		tcp_end_abort(f);
		return false;
	}
	return true;
}

static bool arrive_syn_received(struct tcp_flow *f, const struct segment *segment, bool *go_on)
{
	const uint32_t ahead = segment->sequence - f->receive_next;

	if (segment->flags & TH_RST) {
		if (ahead)
			return true;
		tcp_end_abort(f);
		return false;
	}
	if (segment->flags & TH_SYN) {
		if (segment->sequence == f->receive_first && !(segment->flags & TH_ACK)) {
			tcp_open_speak(f);
			return true;
		}
	} else if (ahead > f->receive_edge - f->receive_next) {
		tcp_open_speak(f);
		return true;
	}
	if (!(segment->flags & TH_ACK))
		return true;
	if (segment->acknowledgement != f->send_next) {
		(void)segment_send(f, TH_RST, segment->acknowledgement, NULL, 0);
		return true;
	}
	f->window = f->window_most =
		segment->flags & TH_SYN ? segment->window : (uint32_t)segment->window << f->guest_scale;
	f->window_sequence = segment->sequence;
	f->window_acknowledgement = segment->acknowledgement;
	established(f);
	tcp_flow_mark(f);
	*go_on = !(segment->flags & TH_SYN);
	return true;
}

static bool arrive_syn_sent(struct tcp_flow *f, const struct segment *segment)
{
	if (segment->flags & TH_ACK && segment->acknowledgement != f->send_next) {
		if (!(segment->flags & TH_RST))
			(void)segment_send(f, TH_RST, segment->acknowledgement, NULL, 0);
		return true;
	}
	if (segment->flags & TH_RST) {
		if (!(segment->flags & TH_ACK))
			return true;
		tcp_end_abort(f);
		return false;
	}
	if (!(segment->flags & TH_SYN))
		return true;
	take_syn(f, segment);
	f->receive_full = 0;
	tcp_receive_offer(f);
	if (!(segment->flags & TH_ACK)) {
		tcp_flow_event(f, TCP_EVENT_GUEST_SYN);
		tcp_open_speak(f);
		return true;
	}
	established(f);
	f->ack_due = true;
	tcp_flow_mark(f);
	return true;
}

bool tcp_open_arrive(struct tcp_flow *f, const struct segment *segment, bool *go_on)
{
	*go_on = false;
	switch (tcp_flow_state(f)) {
	case TCP_STATE_CONNECTING:
		return arrive_connecting(f, segment);
	case TCP_STATE_SYN_RECEIVED:
		return arrive_syn_received(f, segment, go_on);
	case TCP_STATE_SYN_SENT:
		return arrive_syn_sent(f, segment);
	default:
		return true;
	}
}
