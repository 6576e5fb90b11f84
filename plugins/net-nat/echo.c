/* SPDX-License-Identifier: MIT */
/*
 * echo.c - see echo.h. The kernel chooses the identifier on the wire, makes checksums and lets through only answers to
 * what the socket asked; so what is left is to put the guest's identifier back.
 */
#include "plugins/net-nat/echo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net/checksum.h"
#include "plugins/net-nat/error-queue.h"
#include "plugins/net-nat/hop-limit.h"
#include "plugins/net-nat/icmp-error.h"
#include "plugins/net-nat/rate.h"
#include "plugins/net-nat/send.h"
#include "plugins/net-nat/udp.h"

#define ECHO_BUDGET 32u
#define ERRORS_BUDGET 16u
#define PIECES_MAX 256u
#define REPLY_MAX 65536u
#define REPLY_TTL 64u

/* Both families' (RFC 792, RFC 4443 4.1). */
struct echo_header {
	uint8_t type, code;
	uint16_t checksum;
	uint16_t identifier, sequence;
};

struct echo {
	struct nat *nat;
	bool forbidden_said; /* that there are no such sockets, in the log */
	unsigned char reply[REPLY_MAX];
};

struct echo_flow {
	struct flow flow; /* first */
	struct echo *echo;
	uint8_t hop_limit; /* hop-limit.h */
};

int echo_new(struct nat *nat, struct echo **out)
{
	*out = calloc(1, sizeof **out);
	if (!*out)
		return -ENOMEM;
	(*out)->nat = nat;
	return 0;
}

void echo_free(struct echo *echo)
{
	free(echo);
}

static void drop(struct flow *flow)
{
	struct nat *nat = flow->nat;

	timeout_clear(nat->timeouts, &flow->timeout);
	sockets_close(nat->sockets, &flow->source);
	flows_remove(nat->flows, flow);
	free(flow);
}

static void deny(struct flow *flow)
{
	icmp_error_about_flow(flow, ICMP_ERROR_PROHIBITED, 0, 0);
	drop(flow);
}

const struct flow_kind flow_echo = { .name = "echo", .deny = deny, .drop = drop };

static void on_expiry(struct timeout *timeout)
{
	drop((struct flow *)((char *)timeout - offsetof(struct flow, timeout)));
}

/* ---- from the network ---- */

static bool is_reply(const struct echo_header *header, bool ipv4)
{
	return header->type == (ipv4 ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY) && header->code == 0;
}

/* `len` bytes of an ICMP message in echo->reply. */
static void deliver(struct echo_flow *e, size_t len)
{
	struct flow *flow = &e->flow;
	struct nat *nat = flow->nat;
	const struct iovec iov = { .iov_base = e->echo->reply, .iov_len = len };
	const bool ipv4 = net_is_ipv4(&flow->key.far.address);
	struct echo_header header;
	uint32_t sum = 0;

	if (len < sizeof header)
		return;
	memcpy(&header, e->echo->reply, sizeof header);
	if (!is_reply(&header, ipv4) || !rate_has(nat->rate, RATE_IN))
		return;
	header.identifier = htons(flow->key.guest.port);
	header.checksum = 0;
	memcpy(e->echo->reply, &header, sizeof header);
	if (!ipv4)
		sum = checksum_pseudo(&flow->key.far.address, &flow->key.guest.address, IPPROTO_ICMPV6, (uint32_t)len);
	header.checksum = checksum_finish(checksum_add(sum, e->echo->reply, len, 0));
	memcpy(e->echo->reply, &header, sizeof header);
	flow->rx_bytes += len - sizeof header;
	send_ip(nat, flow->pair, &flow->key.far.address, &flow->key.guest.address, flow->key.protocol, REPLY_TTL, &iov,
	        1);
}

static void take_errors(struct echo_flow *e)
{
	struct error_report report;
	struct echo_header quote = { 0 };
	size_t len = sizeof quote;

	for (unsigned i = 0; i < ERRORS_BUDGET && error_queue_take(e->flow.source.fd, &report, &quote, &len); i++) {
		if (!report.local)
			icmp_error_relay(&e->flow, &report, len == sizeof quote ? ntohs(quote.sequence) : 0);
		len = sizeof quote;
	}
}

static void on_ready(struct socket_source *source, uint32_t events)
{
	struct echo_flow *e = (struct echo_flow *)source;

	if (events & EPOLLERR)
		take_errors(e);
	for (unsigned i = 0; i < ECHO_BUDGET; i++) {
		ssize_t n = recv(source->fd, e->echo->reply, sizeof e->echo->reply, MSG_DONTWAIT);

		if (n >= 0)
			deliver(e, (size_t)n);
		else if (errno == EAGAIN)
			return;
		else
			take_errors(e);
	}
	sockets_again(e->flow.nat->sockets, source, EPOLLIN);
}

/* ---- from the guest ---- */

static void say(struct nat *nat, const struct nic_frame *frame, const struct packet *packet, enum icmp_error what,
                uint32_t mtu)
{
	icmp_error_about(nat, frame->pair, what, mtu, packet, frame->head, frame->head_len);
}

static void say_forbidden(struct echo *echo)
{
	struct nat *nat = echo->nat;

	if (echo->forbidden_said)
		return;
	echo->forbidden_said = true;
	nat->host->log(nat->dev, CAPSA_LOG_WARNING,
	               "the guest cannot ping: this user's group is not in net.ipv4.ping_group_range; "
	               "`sysctl net.ipv4.ping_group_range=\"0 2147483647\"` permits it");
}

/* Opens, connects and watches. 0 or -errno. */
static int connect_flow(struct echo_flow *e)
{
	struct nat *nat = e->flow.nat;
	struct socket_source *source = &e->flow.source;
	const struct net_endpoint to = { .address = e->flow.real.address };
	struct sockaddr_storage address;
	const socklen_t len = net_to_sockaddr(&to, &address);
	int rc;

	source->ready = on_ready;
	source->input_only = true;
	source->fd = sockets_open(nat->sockets, address.ss_family, SOCK_DGRAM, e->flow.key.protocol);
	if (source->fd == -EMFILE && udp_make_room(nat))
		source->fd = sockets_open(nat->sockets, address.ss_family, SOCK_DGRAM, e->flow.key.protocol);
	if (source->fd < 0) {
		rc = source->fd;
		source->fd = -1;
		if (rc == -EACCES || rc == -EPERM)
			say_forbidden(e->echo);
		return rc;
	}
	rc = error_queue_open(source->fd, address.ss_family);
	rc = rc ? rc : nat->host->socket_connect(nat->dev, source->fd, (struct sockaddr *)&address, len);
	rc = rc ? rc : sockets_add(nat->sockets, source);
	if (rc)
		sockets_close(nat->sockets, source);
	return rc;
}

/* A new flow for this packet, or NULL: the guest has been told. */
static struct echo_flow *open_flow(struct nat *nat, const struct nic_frame *frame, const struct packet *packet,
                                   const struct flow_key *key)
{
	struct echo_flow *e = calloc(1, sizeof *e);
	int rc;

	if (!e) {
		flow_refused(nat, key, -ENOMEM);
		return NULL;
	}
	e->echo = nat->echo;
	e->hop_limit = HOP_LIMIT_USUAL;
	e->flow.kind = &flow_echo;
	e->flow.pair = frame->pair;
	e->flow.source.fd = -1;
	e->flow.timeout.call = on_expiry;
	rc = flow_begin(nat, key, &e->flow);
	if (rc) {
		say(nat, frame, packet, rc == -EACCES ? ICMP_ERROR_PROHIBITED : ICMP_ERROR_HOST_UNREACHABLE, 0);
		free(e);
		return NULL;
	}
	rc = connect_flow(e);
	rc = rc ? rc : timeout_set(nat->timeouts, &e->flow.timeout, ECHO_EXPIRY);
	rc = rc ? rc : flows_insert(nat->flows, &e->flow);
	if (!rc)
		return e;
	timeout_clear(nat->timeouts, &e->flow.timeout);
	sockets_close(nat->sockets, &e->flow.source);
	free(e);
	if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS) {
		flow_refused(nat, key, rc);
		rc = -EHOSTUNREACH;
	}
	say(nat, frame, packet, rc == -EACCES || rc == -EPERM ? ICMP_ERROR_PROHIBITED : icmp_error_of(-rc), 0);
	return NULL;
}

static bool is_intact(const struct nic_frame *frame, const struct packet *packet)
{
	struct iovec iov[PIECES_MAX];
	const unsigned n = nic_frame_iov(frame, packet->l4, packet->l4_len, iov, PIECES_MAX);
	uint32_t sum = 0;

	if (!n)
		return false;
	if (frame->header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return true;
	if (packet->protocol == IPPROTO_ICMPV6)
		sum = checksum_pseudo(&packet->source, &packet->target, IPPROTO_ICMPV6, (uint32_t)packet->l4_len);
	return checksum_finish(checksum_add_iov(sum, iov, n, 0, packet->l4_len)) == 0;
}

static int send_request(struct echo_flow *e, struct echo_header *header, const struct nic_frame *frame,
                        const struct packet *packet)
{
	struct iovec iov[1 + PIECES_MAX] = { { .iov_base = header, .iov_len = sizeof *header } };
	const size_t len = packet->l4_len - sizeof *header;
	const unsigned n = len ? nic_frame_iov(frame, packet->l4 + sizeof *header, len, iov + 1, PIECES_MAX) : 0;
	const struct msghdr message = { .msg_iov = iov, .msg_iovlen = 1 + n };

	hop_limit_set(e->flow.source.fd, net_is_ipv4(&packet->source) ? AF_INET : AF_INET6, &e->hop_limit, packet->ttl);
	if (sendmsg(e->flow.source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EAGAIN || errno == EMSGSIZE)
		return -errno;
	/* It may be what an earlier one met. */
	take_errors(e);
	return sendmsg(e->flow.source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0 ? 0 : -errno;
}

void echo_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	struct flow_key key = { .guest = { .address = packet->source },
		                .far = { .address = packet->target },
		                .protocol = packet->protocol };
	struct echo_header header;
	struct echo_flow *e;
	int rc;

	if (packet->l4 + sizeof header > frame->head_len || packet->l4_len < sizeof header ||
	    !is_intact(frame, packet)) {
		counter_add(nat->counters.malformed, 1);
		return;
	}
	memcpy(&header, frame->head + packet->l4, sizeof header);
	key.guest.port = key.far.port = ntohs(header.identifier);
	e = (struct echo_flow *)flows_find(nat->flows, &key);
	if (!e)
		e = open_flow(nat, frame, packet, &key);
	if (!e)
		return;
	e->flow.pair = frame->pair;
	e->flow.tx_bytes += packet->l4_len - sizeof header;
	timeout_set(nat->timeouts, &e->flow.timeout, ECHO_EXPIRY);
	rc = send_request(e, &header, frame, packet);
	if (rc == -EMSGSIZE)
		say(nat, frame, packet, ICMP_ERROR_TOO_BIG,
		    error_queue_mtu(e->flow.source.fd, net_is_ipv4(&packet->source) ? AF_INET : AF_INET6));
	else if (rc && rc != -EAGAIN && rc != -ENOBUFS && rc != -ENOMEM)
		say(nat, frame, packet, icmp_error_of(-rc), 0);
}
