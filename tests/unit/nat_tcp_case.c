/* SPDX-License-Identifier: MIT */
/* nat_tcp_case.c - see nat_tcp_case.h. */
#include "tests/unit/nat_tcp_case.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER (1u << 16)
#define BIT(feature) (UINT64_C(1) << (feature))
#define PLAIN                                                                                                  \
	(UINT64_MAX & ~(BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | \
	                BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6)))

const struct variant variants[] = {
	{ "IPv4, kernel", AF_INET, true, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ "IPv4, copy", AF_INET, false, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ "IPv6, kernel", AF_INET6, true, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ "IPv6, copy", AF_INET6, false, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ "plain IPv4, kernel", AF_INET, true, PLAIN, NAT_LOOPBACK_ALLOWED },
	{ "plain IPv4, copy", AF_INET, false, PLAIN, NAT_LOOPBACK_ALLOWED },
	{ "plain IPv6, copy", AF_INET6, false, PLAIN, NAT_LOOPBACK_ALLOWED },
	{ "not mergeable", AF_INET, true, UINT64_MAX & ~BIT(VIRTIO_NET_F_MRG_RXBUF), NAT_LOOPBACK_ALLOWED },
	{ "65520, copy", AF_INET, false, UINT64_MAX, "mtu = 65520; " NAT_LOOPBACK_ALLOWED },
	{ "65520, kernel", AF_INET, true, UINT64_MAX, "mtu = 65520; " NAT_LOOPBACK_ALLOWED },
};
const unsigned n_variants = sizeof variants / sizeof variants[0];

static unsigned char bytes[BUFFER];

static void forget_peer(struct tcp_case *c)
{
	c->fd = -1;
	c->received = c->sent = c->wanted = 0;
	c->at_end = c->failed = false;
}

static void begin_guest(struct tcp_case *c, uint16_t port)
{
	const bool ipv6 = strchr(c->t.own, ':');

	tcp_guest_begin(&c->t, &c->guest, ipv6 ? NAT_GUEST6 : NAT_GUEST, port, ipv6 ? NAT_GATEWAY6 : NAT_GATEWAY,
	                c->port);
}

void case_begin(struct tcp_case *c, const struct variant *v)
{
	memset(c, 0, sizeof *c);
	nat_begin_with(&c->guest, v->options, v->features);
	if (!v->peeks)
		c->guest.nat->tcp->pool.peeks = false;
	forget_peer(c);
	c->listener = nat_peer(v->domain, SOCK_STREAM, &c->port);
	c->t.own = v->domain == AF_INET ? NAT_GUEST : NAT_GUEST6;
	begin_guest(c, CASE_PORT);
}

void case_connect(struct tcp_case *c, const struct variant *v)
{
	case_begin(c, v);
	tcp_guest_connect(&c->t);
	case_accept(c);
}

void case_again(struct tcp_case *c, uint16_t port)
{
	case_close(c);
	forget_peer(c);
	begin_guest(c, port);
}

void case_accept(struct tcp_case *c)
{
	c->fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(c->fd >= 0);
}

void case_close(struct tcp_case *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

void case_end(struct tcp_case *c)
{
	case_close(c);
	close(c->listener);
	nat_end(&c->guest);
}

void case_read(struct tcp_case *c)
{
	ssize_t n;

	if (c->fd < 0)
		return;
	while ((n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
		stream_check(bytes, c->received, (size_t)n);
		c->received += (uint64_t)n;
	}
	if (n == 0)
		c->at_end = true;
	else if (errno != EAGAIN)
		c->failed = true;
}

void case_write(struct tcp_case *c)
{
	while (c->fd >= 0 && c->sent < c->wanted) {
		const uint64_t left = c->wanted - c->sent;
		const size_t len = left < sizeof bytes ? (size_t)left : sizeof bytes;
		ssize_t n;

		stream_fill(bytes, c->sent, len);
		n = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			return;
		}
		c->sent += (uint64_t)n;
	}
}

struct tcp_flow *case_flow(struct tcp_case *c)
{
	const struct tcp_guest *t = &c->t;
	struct flow_key key = { .guest.port = t->own_port, .far.port = t->peer_port, .protocol = IPPROTO_TCP };

	assert_int_equal(net_address_parse(t->own, &key.guest.address), 0);
	assert_int_equal(net_address_parse(t->peer, &key.far.address), 0);
	return (struct tcp_flow *)flows_find(c->guest.nat->flows, &key);
}

bool all_at_guest(void *ctx)
{
	struct tcp_case *c = ctx;

	case_write(c);
	return c->t.received == c->wanted;
}

bool all_at_peer(void *ctx)
{
	struct tcp_case *c = ctx;

	case_read(c);
	return c->received == c->t.wanted;
}

bool all_done(void *ctx)
{
	const bool at_guest = all_at_guest(ctx), at_peer = all_at_peer(ctx);

	return at_guest && at_peer;
}

bool guest_is_reset(void *ctx)
{
	return ((struct tcp_case *)ctx)->t.reset;
}

bool guest_has_fin(void *ctx)
{
	return ((struct tcp_case *)ctx)->t.fin_received;
}

bool peer_is_at_end(void *ctx)
{
	struct tcp_case *c = ctx;

	case_read(c);
	return c->at_end || c->failed;
}

bool no_flows(void *ctx)
{
	return flows_count(((struct tcp_case *)ctx)->guest.nat->flows) == 0;
}

void case_until(struct tcp_case *c, bool (*done)(void *ctx))
{
	tcp_guest_until(&c->t, done, c);
}
