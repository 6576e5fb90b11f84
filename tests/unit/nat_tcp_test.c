/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_test.c - proves tcp.h: connections of the guest's come about, carry data both ways, within both windows, and
 * what goes wrong is told to the guest.
 */
#include "tests/unit/nat_tcp_guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "plugins/net-nat/tcp-flow.h"

#define GUEST_PORT 4000
#define BUFFER (1u << 16)
#define NO_OFFLOADS                                                                                          \
	(UINT64_MAX & ~(UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM | UINT64_C(1) << VIRTIO_NET_F_CSUM |          \
	                UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6 |    \
	                UINT64_C(1) << VIRTIO_NET_F_HOST_TSO4 | UINT64_C(1) << VIRTIO_NET_F_HOST_TSO6))

static struct nat_guest guest;
static struct tcp_guest t;
static unsigned char bytes[BUFFER];

/* ---- a peer on the host ---- */

struct peer {
	int listener, fd;
	uint16_t port;
	uint64_t received, sent, wanted;
	bool at_end, shut, failed;
};

static struct peer peer;

static void peer_begin(int domain)
{
	peer = (struct peer){ .fd = -1 };
	peer.listener = nat_peer(domain, SOCK_STREAM, &peer.port);
}

static void peer_accept(void)
{
	peer.fd = accept4(peer.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(peer.fd >= 0);
}

static void peer_end(void)
{
	if (peer.fd >= 0)
		close(peer.fd);
	close(peer.listener);
}

static void peer_read(void)
{
	ssize_t n;

	while ((n = recv(peer.fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0) {
		stream_check(bytes, peer.received, (size_t)n);
		peer.received += (uint64_t)n;
	}
	if (n == 0)
		peer.at_end = true;
	else if (errno != EAGAIN)
		peer.failed = true;
}

static void peer_write(void)
{
	while (peer.sent < peer.wanted) {
		size_t len = peer.wanted - peer.sent < sizeof bytes ? (size_t)(peer.wanted - peer.sent) : sizeof bytes;
		ssize_t n;

		stream_fill(bytes, peer.sent, len);
		n = send(peer.fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0) {
			assert_int_equal(errno, EAGAIN);
			return;
		}
		peer.sent += (uint64_t)n;
	}
}

static bool all_at_guest(void *ctx)
{
	(void)ctx;
	peer_write();
	return t.received == peer.wanted;
}

static bool all_at_peer(void *ctx)
{
	(void)ctx;
	peer_read();
	return peer.received == t.wanted;
}

static bool all_done(void *ctx)
{
	const bool guest_has = all_at_guest(ctx), peer_has = all_at_peer(ctx);

	return guest_has && peer_has;
}

static bool is_reset(void *ctx)
{
	(void)ctx;
	return t.reset;
}

static bool no_flows(void *ctx)
{
	(void)ctx;
	return flows_count(guest.nat->flows) == 0;
}

static bool peer_is_at_end(void *ctx)
{
	(void)ctx;
	peer_read();
	return peer.at_end || peer.failed;
}

static bool guest_has_fin(void *ctx)
{
	(void)ctx;
	return t.fin_received;
}

/* ---- families, and both ways to keep what is not acknowledged ---- */

struct variant {
	int domain;
	bool peeks;
	uint64_t features;
	const char *options;
};

static const struct variant variants[] = {
	{ AF_INET, true, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ AF_INET, false, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ AF_INET6, true, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ AF_INET6, false, UINT64_MAX, NAT_LOOPBACK_ALLOWED },
	{ AF_INET, true, NO_OFFLOADS, NAT_LOOPBACK_ALLOWED },
	{ AF_INET, false, NO_OFFLOADS, NAT_LOOPBACK_ALLOWED },
	{ AF_INET6, false, NO_OFFLOADS, NAT_LOOPBACK_ALLOWED },
	{ AF_INET, true, UINT64_MAX & ~(UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF), NAT_LOOPBACK_ALLOWED },
	{ AF_INET, false, UINT64_MAX, "mtu = 65520; " NAT_LOOPBACK_ALLOWED },
	{ AF_INET, true, UINT64_MAX, "mtu = 65520; " NAT_LOOPBACK_ALLOWED },
};

#define EACH_VARIANT(v)                                                                         \
	for (const struct variant *v = variants; v < variants + sizeof variants / sizeof *v; v++)

static void begin(const struct variant *v)
{
	nat_begin_with(&guest, v->options, v->features);
	if (!v->peeks)
		guest.nat->tcp->pool.peeks = false;
	peer_begin(v->domain);
	tcp_guest_begin(&t, &guest, v->domain == AF_INET ? NAT_GUEST : NAT_GUEST6, GUEST_PORT,
	                v->domain == AF_INET ? NAT_GATEWAY : NAT_GATEWAY6, peer.port);
}

static void begin_connected(const struct variant *v)
{
	begin(v);
	tcp_guest_connect(&t);
	peer_accept();
}

static void end(void)
{
	peer_end();
	nat_end(&guest);
}

/* ---- tests ---- */

static void test_connection_carries_both_ways_and_ends(void **state)
{
	(void)state;
	EACH_VARIANT(v)
	{
		begin_connected(v);
		tcp_guest_send(&t, 100000);
		peer.wanted = 3000000;
		tcp_guest_until(&t, all_done, NULL);
		tcp_guest_fin(&t);
		tcp_guest_until(&t, peer_is_at_end, NULL);
		assert_false(peer.failed);
		close(peer.fd);
		peer.fd = -1;
		tcp_guest_until(&t, guest_has_fin, NULL);
		tcp_guest_until(&t, no_flows, NULL);
		assert_false(t.reset);
		assert_int_equal(nat_counter(&guest, "tcp_retransmits"), 0);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connection_carries_both_ways_and_ends),
	};

	return cmocka_run_group_tests_name("nat_tcp", tests, NULL, NULL);
}
