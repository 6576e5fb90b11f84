/* SPDX-License-Identifier: MIT */
/*
 * cluster_vxlan_test.c - plugins/cluster-switch/vxlan.c: what an uplink may say; frames of members as datagrams to
 * peers, byte by byte, and back; and that nobody who is not listed is heard.
 *
 * A bridge with two members and the tunnel, whose peers are sockets of the test's on other addresses of loopback. What
 * is sent there has arrived when the call returns, so nothing waits.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "plugins/cluster-switch/vxlan.h"
#include "plugins/net/checksum.h"
#include "plugins/net/nic.h"
#include "plugins/net/segment.h"

#define TEST(name) cmocka_unit_test(name)
#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define VNI 0x123456u
#define MEMBERS 2u
#define PEERS 2u
#define ANY_PEER 99u

enum host { PEER_A, PEER_B, STRANGER, HOSTS };

static const char *const host_addresses[HOSTS] = { "127.0.0.2", "127.0.0.3", "127.0.0.9" };
static const unsigned char everybody[ETH_ALEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const unsigned char member_macs[MEMBERS][ETH_ALEN] = { { 2, 0, 0, 0, 0, 1 }, { 2, 0, 0, 0, 0, 2 } };
static const unsigned char remote_mac[ETH_ALEN] = { 2, 0, 0, 0, 7, 7 };

/* ---- texts ---- */

static void texts_of_uplinks_are_read(void **state)
{
	static const struct {
		const char *text;
		uint32_t vni;
		const char *local;
		unsigned n_peers;
		const char *last;
	} good[] = {
		{ "vxlan:7@10.0.0.1,10.0.0.2", 7, "10.0.0.1:4789", 1, "10.0.0.2:4789" },
		{ "vxlan:0@10.0.0.1:1,10.0.0.2:65535,10.0.0.3", 0, "10.0.0.1:1", 2, "10.0.0.3:4789" },
		{ "vxlan:16777215@0.0.0.0,10.0.0.2:8472", 16777215, "0.0.0.0:4789", 1, "10.0.0.2:8472" },
		{ "vxlan:7@[2001:db8::1],[2001:db8::2]:8472", 7, "[2001:db8::1]:4789", 1, "[2001:db8::2]:8472" },
		{ "vxlan:7@[2001:db8::1]:9,[2001:db8::2]", 7, "[2001:db8::1]:9", 1, "[2001:db8::2]:4789" },
		{ "vxlan:7@2001:db8::1,2001:db8::2", 7, "[2001:db8::1]:4789", 1, "[2001:db8::2]:4789" },
	};
	char cause[200], text[NET_ENDPOINT_TEXT];
	struct vxlan_options o;

	(void)state;
	for (unsigned i = 0; i < COUNT(good); i++) {
		assert_int_equal(vxlan_parse(good[i].text, &o, cause, sizeof cause), 0);
		assert_int_equal(o.vni, good[i].vni);
		assert_string_equal(net_endpoint_text(&o.local, text), good[i].local);
		assert_int_equal(o.n_peers, good[i].n_peers);
		assert_string_equal(net_endpoint_text(&o.peers[o.n_peers - 1], text), good[i].last);
	}
}

static void texts_that_are_none_are_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *cause;
	} bad[] = {
		{ "", "of the form" },
		{ "vxlan", "of the form" },
		{ "vxlan:", "of the form" },
		{ "VXLAN:7@10.0.0.1,10.0.0.2", "of the form" },
		{ "vxlan:7", "of the form" },
		{ "gre:7@10.0.0.1,10.0.0.2", "of the form" },
		{ "vxlan:@10.0.0.1,10.0.0.2", "no VNI" },
		{ "vxlan:16777216@10.0.0.1,10.0.0.2", "no VNI" },
		{ "vxlan:4294967296@10.0.0.1,10.0.0.2", "no VNI" },
		{ "vxlan:-1@10.0.0.1,10.0.0.2", "no VNI" },
		{ "vxlan:07@10.0.0.1,10.0.0.2", "no VNI" },
		{ "vxlan:7x@10.0.0.1,10.0.0.2", "no VNI" },
		{ "vxlan:7@10.0.0.1", "no peers" },
		{ "vxlan:7@", "of this host" },
		{ "vxlan:7@,10.0.0.2", "of this host" },
		{ "vxlan:7@eth0,10.0.0.2", "of this host" },
		{ "vxlan:7@10.0.0.1:,10.0.0.2", "of this host" },
		{ "vxlan:7@10.0.0.1:0,10.0.0.2", "of this host" },
		{ "vxlan:7@10.0.0.1:65536,10.0.0.2", "of this host" },
		{ "vxlan:7@10.0.0.1:1:2,10.0.0.2", "of this host" },
		{ "vxlan:7@[10.0.0.1],10.0.0.2", "of this host" },
		{ "vxlan:7@[2001:db8::1,2001:db8::2", "of this host" },
		{ "vxlan:7@[2001:db8::1]4789,2001:db8::2", "of this host" },
		{ "vxlan:7@224.0.0.1,10.0.0.2", "group" },
		{ "vxlan:7@fe80::1,2001:db8::2", "link-local" },
		{ "vxlan:7@10.0.0.1,", "of a peer" },
		{ "vxlan:7@10.0.0.1,10.0.0.2,", "of a peer" },
		{ "vxlan:7@10.0.0.1,,10.0.0.2", "of a peer" },
		{ "vxlan:7@10.0.0.1, 10.0.0.2", "of a peer" },
		{ "vxlan:7@10.0.0.1,10.0.0.2 ", "of a peer" },
		{ "vxlan:7@10.0.0.1,10.0.0.2:70000", "of a peer" },
		{ "vxlan:7@10.0.0.1,peer.example.com", "of a peer" },
		{ "vxlan:7@10.0.0.1,2001:db8::2", "one family" },
		{ "vxlan:7@2001:db8::1,10.0.0.2", "one family" },
		{ "vxlan:7@2001:db8::1,fe80::2", "link-local" },
		{ "vxlan:7@10.0.0.1,239.1.1.1", "not one host" },
		{ "vxlan:7@10.0.0.1,0.0.0.0", "not one host" },
		{ "vxlan:7@10.0.0.1,10.0.0.1:1", "itself" },
		{ "vxlan:7@10.0.0.1,10.0.0.2,10.0.0.2:1", "twice" },
	};
	char cause[200], many[2000];
	struct vxlan_options o;
	int n = snprintf(many, sizeof many, "vxlan:7@10.0.0.1");

	(void)state;
	for (unsigned i = 0; i < COUNT(bad); i++) {
		cause[0] = '\0';
		assert_int_equal(vxlan_parse(bad[i].text, &o, cause, sizeof cause), -EINVAL);
		if (strncmp(cause, "uplink: ", 8) != 0 || !strstr(cause, bad[i].cause))
			fail_msg("%s: %s", bad[i].text, cause);
	}
	for (unsigned i = 0; i < VXLAN_PEERS_MAX; i++)
		n += snprintf(many + n, sizeof many - (size_t)n, ",10.0.1.%u", i);
	assert_int_equal(vxlan_parse(many, &o, cause, sizeof cause), 0);
	assert_int_equal(o.n_peers, VXLAN_PEERS_MAX);
	snprintf(many + n, sizeof many - (size_t)n, ",10.0.2.1");
	assert_int_equal(vxlan_parse(many, &o, cause, sizeof cause), -EINVAL);
	assert_non_null(strstr(cause, "64 peers are the most"));
	assert_int_equal(vxlan_parse("", &o, cause, 5), -EINVAL); /* no room for a cause */
}

/* ---- the world ---- */

struct member {
	struct bridge_port *port;
	unsigned frames;
	unsigned char last[2048]; /* the newest one's first bytes */
	size_t last_len;
	bool was_flushed;
};

struct world {
	struct bridge *bridge;
	struct vxlan *vxlan;
	struct member members[MEMBERS];
	int hosts[HOSTS]; /* sockets */
	uint16_t port;    /* of them, and of the tunnel */
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int member_send(void *ctx, const struct bridge_frame *frame)
{
	struct member *m = ctx;

	m->frames++;
	m->was_flushed = false;
	m->last_len = 0;
	for (unsigned i = 0; i < frame->n; i++)
		for (size_t k = 0; k < frame->iov[i].iov_len && m->last_len < sizeof m->last; k++)
			m->last[m->last_len++] = ((unsigned char *)frame->iov[i].iov_base)[k];
	return 0;
}

static void member_flush(void *ctx)
{
	struct member *m = ctx;

	m->was_flushed = true;
}

static struct sockaddr_in socket_address(const char *text, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };

	assert_int_equal(inet_pton(AF_INET, text, &a.sin_addr), 1);
	return a;
}

static bool open_hosts(struct world *w)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;

	w->port = 0;
	for (unsigned i = 0; i < HOSTS; i++) {
		int size = 1 << 20;

		w->hosts[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(w->hosts[i] >= 0);
		setsockopt(w->hosts[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
		a = socket_address(host_addresses[i], w->port);
		if (bind(w->hosts[i], (struct sockaddr *)&a, sizeof a) < 0)
			return false;
		assert_int_equal(getsockname(w->hosts[i], (struct sockaddr *)&a, &len), 0);
		w->port = ntohs(a.sin_port);
	}
	return true;
}

static struct vxlan_options options_of(const struct world *w)
{
	char text[200], cause[200];
	struct vxlan_options o;

	snprintf(text, sizeof text, "vxlan:%u@127.0.0.1:%u,%s:%u,%s:%u", VNI, w->port, host_addresses[PEER_A], w->port,
	         host_addresses[PEER_B], w->port);
	assert_int_equal(vxlan_parse(text, &o, cause, sizeof cause), 0);
	return o;
}

static int make_world(void **state)
{
	static const struct bridge_port_operations operations = { member_send, member_flush };
	struct world *w = calloc(1, sizeof *w);
	struct vxlan_options o;
	char cause[200];

	assert_non_null(w);
	assert_int_equal(bridge_new(&w->bridge), 0);
	for (unsigned i = 0; i < MEMBERS; i++) {
		struct bridge_port_options p = { .any_source = false };

		snprintf(p.name, sizeof p.name, "vm%u", i);
		memcpy(p.mac, member_macs[i], ETH_ALEN);
		assert_int_equal(net_address_parse(i ? "10.0.3.2" : "10.0.3.1", &p.address), 0);
		assert_int_equal(bridge_port_add(w->bridge, &p, &operations, &w->members[i], &w->members[i].port, cause,
		                                 sizeof cause),
		                 0);
	}
	/* A port that is free on all of the addresses. */
	for (unsigned tries = 0; tries < 100 && !w->vxlan; tries++) {
		if (open_hosts(w)) {
			o = options_of(w);
			if (vxlan_new(w->bridge, &o, &w->vxlan, cause, sizeof cause) == 0)
				break;
		}
		for (unsigned i = 0; i < HOSTS; i++)
			close(w->hosts[i]);
	}
	assert_non_null(w->vxlan);
	*state = w;
	return 0;
}

static int end_world(void **state)
{
	struct world *w = *state;

	vxlan_free(w->vxlan);
	for (unsigned i = 0; i < MEMBERS; i++)
		bridge_port_remove(w->members[i].port);
	bridge_free(w->bridge);
	for (unsigned i = 0; i < HOSTS; i++)
		close(w->hosts[i]);
	free(w);
	return 0;
}

/* An Ethernet frame that is none of IP, so no guard looks into it. */
static size_t make_frame(unsigned char *at, const unsigned char *to, const unsigned char *from, size_t len)
{
	memset(at, 0, len);
	packet_put_ether(at, to, from, 0x88b5);
	for (size_t i = ETH_HLEN; i < len; i++)
		at[i] = (unsigned char)(i * 7);
	return len;
}

static void member_says(struct world *w, unsigned member, const struct virtio_net_hdr_v1 *header, unsigned char *bytes,
                        size_t len)
{
	static const struct virtio_net_hdr_v1 whole;
	static struct bridge_frame frame;
	const struct iovec piece = { bytes, len };

	assert_true(bridge_frame_make(&frame, header ? header : &whole, &piece, 1, len));
	bridge_forward(w->members[member].port, &frame, now_ms());
}

/* What has come to a host; 0: nothing. `from`: the port that it came from. */
static size_t host_gets(struct world *w, enum host host, unsigned char *bytes, size_t size, uint16_t *from)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	const ssize_t n = recvfrom(w->hosts[host], bytes, size, 0, (struct sockaddr *)&a, &len);

	if (n < 0) {
		assert_int_equal(errno, EAGAIN);
		return 0;
	}
	assert_int_equal(a.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	if (from)
		*from = ntohs(a.sin_port);
	return (size_t)n;
}

static void host_sends(struct world *w, enum host host, const void *bytes, size_t len)
{
	const struct sockaddr_in a = socket_address("127.0.0.1", w->port);

	assert_int_equal(sendto(w->hosts[host], bytes, len, 0, (const struct sockaddr *)&a, sizeof a), len);
}

static void take_all(struct world *w)
{
	int fds[VXLAN_SOCKETS];
	const unsigned n = vxlan_fds(w->vxlan, fds);

	for (unsigned i = 0; i < n; i++)
		while (vxlan_receive(w->vxlan, fds[i], now_ms()))
			;
	bridge_flush(w->bridge);
}

static size_t put_tunnel(unsigned char *at, uint32_t vni)
{
	memset(at, 0, 8);
	at[0] = 8;
	at[4] = (unsigned char)(vni >> 16);
	at[5] = (unsigned char)(vni >> 8);
	at[6] = (unsigned char)vni;
	return 8;
}

/* A frame of 60 bytes in a datagram. */
static void host_says(struct world *w, enum host host, const unsigned char *to, const unsigned char *from)
{
	unsigned char bytes[8 + 60];

	put_tunnel(bytes, VNI);
	make_frame(bytes + 8, to, from, 60);
	host_sends(w, host, bytes, sizeof bytes);
	take_all(w);
}

static void assert_heard(const struct world *w, unsigned first, unsigned second)
{
	assert_int_equal(w->members[0].frames, first);
	assert_int_equal(w->members[1].frames, second);
}

/* ---- out ---- */

static void a_frame_is_a_datagram_to_each_peer_with_the_tunnels_header(void **state)
{
	static const unsigned char header[] = { 8, 0, 0, 0, 0x12, 0x34, 0x56, 0 };
	static const size_t lengths[] = { 14, 60, 255, 256, 257, 1514, 9000 };
	static unsigned char frame[NIC_FRAME_MAX], got[NIC_FRAME_MAX];
	struct world *w = *state;

	for (unsigned i = 0; i < COUNT(lengths); i++) {
		make_frame(frame, everybody, member_macs[0], lengths[i]);
		member_says(w, 0, NULL, frame, lengths[i]);
		bridge_flush(w->bridge);
		for (unsigned peer = 0; peer < PEERS; peer++) {
			assert_int_equal(host_gets(w, (enum host)peer, got, sizeof got, NULL), 8 + lengths[i]);
			assert_memory_equal(got, header, sizeof header);
			assert_memory_equal(got + 8, frame, lengths[i]);
			assert_int_equal(host_gets(w, (enum host)peer, got, sizeof got, NULL), 0);
		}
		assert_int_equal(host_gets(w, STRANGER, got, sizeof got, NULL), 0);
	}
	assert_int_equal(vxlan_counters(w->vxlan)->sent, PEERS * COUNT(lengths));
	assert_heard(w, 0, COUNT(lengths));
}

static void members_talk_to_each_other_without_the_tunnel(void **state)
{
	unsigned char frame[60], got[100];
	struct world *w = *state;

	make_frame(frame, member_macs[1], member_macs[0], sizeof frame);
	member_says(w, 0, NULL, frame, sizeof frame);
	bridge_flush(w->bridge);
	assert_int_equal(host_gets(w, PEER_A, got, sizeof got, NULL), 0);
	assert_int_equal(vxlan_counters(w->vxlan)->sent, 0);
	assert_heard(w, 0, 1);
}

/* More than are sent at once, and more than there is room for copies. */
static void a_long_batch_arrives_whole_and_in_order(void **state)
{
	static unsigned char frame[NIC_FRAME_MAX], got[NIC_FRAME_MAX];
	struct world *w = *state;

	for (unsigned round = 0; round < 2; round++) {
		const size_t len = round ? 60000 : 60;
		const unsigned n = round ? 6 : 300;

		for (unsigned i = 0; i < n; i++) {
			make_frame(frame, everybody, member_macs[0], len);
			frame[20] = (unsigned char)i;
			member_says(w, 0, NULL, frame, len);
		}
		bridge_flush(w->bridge);
		for (unsigned i = 0; i < n; i++)
			for (unsigned peer = 0; peer < PEERS; peer++) {
				assert_int_equal(host_gets(w, (enum host)peer, got, sizeof got, NULL), 8 + len);
				assert_int_equal(got[8 + 20], (unsigned char)i);
				assert_int_equal(got[8 + len - 1], (unsigned char)((len - 1) * 7));
			}
	}
	assert_int_equal(vxlan_counters(w->vxlan)->send_failed, 0);
}

/* A TCP packet of member 0 with a partial checksum. */
static size_t make_tcp(unsigned char *at, const unsigned char *to, size_t payload, uint16_t port,
                       struct virtio_net_hdr_v1 *header)
{
	struct in6_addr from, target;
	size_t l4 = packet_put_ether(at, to, member_macs[0], ETH_P_IP);
	uint16_t sum;

	assert_int_equal(net_address_parse("10.0.3.1", &from), 0);
	assert_int_equal(net_address_parse("10.0.3.9", &target), 0);
	l4 += packet_put_ip(at + l4, &from, &target, IPPROTO_TCP, 20 + payload, 64, 0);
	memset(at + l4, 0, 20);
	at[l4] = (unsigned char)(port >> 8);
	at[l4 + 1] = (unsigned char)port;
	at[l4 + 3] = 80;
	at[l4 + 12] = 0x50;
	at[l4 + 13] = 0x18;
	sum = checksum_partial(checksum_pseudo(&from, &target, IPPROTO_TCP, (uint32_t)(20 + payload)));
	memcpy(at + l4 + 16, &sum, 2);
	for (size_t i = 0; i < payload; i++)
		at[l4 + 20 + i] = (unsigned char)(i * 13);
	*header = (struct virtio_net_hdr_v1){ .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		                              .csum_start = (uint16_t)l4,
		                              .csum_offset = 16 };
	return l4 + 20 + payload;
}

/* Of a datagram: true checksum, and how much TCP payload. */
static size_t whole_tcp(const unsigned char *bytes, size_t len)
{
	struct packet p;

	packet_parse(bytes + 8, len - 8 < PACKET_HEAD ? len - 8 : PACKET_HEAD, len - 8, &p);
	assert_int_equal(p.kind, PACKET_IP);
	assert_int_equal(p.l4 + p.l4_len, len - 8);
	assert_int_equal(
		checksum_finish(checksum_add(checksum_pseudo(&p.source, &p.target, IPPROTO_TCP, (uint32_t)p.l4_len),
	                                     bytes + 8 + p.l4, p.l4_len, 0)),
		0);
	return p.payload_len;
}

static void what_members_left_undone_is_done_before_it_leaves(void **state)
{
	static unsigned char frame[NIC_FRAME_MAX], got[NIC_FRAME_MAX];
	struct world *w = *state;
	struct virtio_net_hdr_v1 header;
	size_t len, done;

	len = make_tcp(frame, everybody, 100, 4000, &header);
	member_says(w, 0, &header, frame, len);
	bridge_flush(w->bridge);
	len = host_gets(w, PEER_A, got, sizeof got, NULL);
	assert_int_equal(whole_tcp(got, len), 100);

	for (unsigned round = 0; round < 2; round++) {
		len = make_tcp(frame, round ? remote_mac : everybody, 60000, 4000, &header);
		header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
		header.gso_size = 1448;
		member_says(w, 0, &header, frame, len);
		bridge_flush(w->bridge);
		for (done = 0; (len = host_gets(w, PEER_A, got, sizeof got, NULL)) > 0;) {
			const size_t payload = whole_tcp(got, len);

			assert_true(payload == 1448 || done + payload == 60000);
			for (size_t i = 0; i < payload; i++)
				assert_true(got[8 + 54 + i] == (unsigned char)((done + i) * 13));
			done += payload;
		}
		assert_int_equal(done, 60000);
		/* The second time it is known where it goes, and the kernel is given all in one. */
		host_says(w, PEER_A, everybody, remote_mac);
	}
	assert_int_equal(vxlan_counters(w->vxlan)->sent, 2 + 2 * 42 + 42);
	assert_int_equal(vxlan_counters(w->vxlan)->send_failed, 0);
}

/* Lengths that go together in one call of the kernel's, and such that do not. */
static void frames_to_one_peer_are_those_that_were_sent_whatever_their_lengths(void **state)
{
	static const size_t lengths[] = {
		100, 100, 100, 60, 60, 100, 14, 14, 1514, 1514, 1514, 1000, 1514, 9000, 9000
	};
	static unsigned char frame[NIC_FRAME_MAX], got[NIC_FRAME_MAX];
	struct world *w = *state;
	const unsigned n = 10 * COUNT(lengths);

	host_says(w, PEER_B, everybody, remote_mac);
	for (unsigned i = 0; i < n + 200; i++) {
		const size_t len = i < n ? lengths[i % COUNT(lengths)] : 200;

		make_frame(frame, remote_mac, member_macs[0], len);
		if (len > 20)
			frame[20] = (unsigned char)i;
		member_says(w, 0, NULL, frame, len);
	}
	bridge_flush(w->bridge);
	for (unsigned i = 0; i < n + 200; i++) {
		const size_t len = i < n ? lengths[i % COUNT(lengths)] : 200;

		assert_int_equal(host_gets(w, PEER_B, got, sizeof got, NULL), 8 + len);
		make_frame(frame, remote_mac, member_macs[0], len);
		if (len > 20)
			frame[20] = (unsigned char)i;
		assert_memory_equal(got + 8, frame, len);
	}
	assert_int_equal(host_gets(w, PEER_A, got, sizeof got, NULL), 0);
	assert_int_equal(vxlan_counters(w->vxlan)->sent, n + 200);
}

static void what_no_datagram_has_room_for_is_counted(void **state)
{
	static unsigned char frame[NIC_FRAME_MAX], got[100];
	struct world *w = *state;

	make_frame(frame, everybody, member_macs[0], NIC_FRAME_MAX);
	member_says(w, 0, NULL, frame, NIC_FRAME_MAX);
	bridge_flush(w->bridge);
	assert_int_equal(vxlan_counters(w->vxlan)->send_failed, 1);
	assert_int_equal(vxlan_counters(w->vxlan)->sent, 0);
	assert_int_equal(host_gets(w, PEER_A, got, sizeof got, NULL), 0);
}

static void a_flow_has_one_source_port_and_flows_have_several(void **state)
{
	unsigned char frame[100], got[200];
	uint16_t ports[64], again;
	struct world *w = *state;
	struct virtio_net_hdr_v1 header;
	unsigned different = 0;

	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < COUNT(ports); i++) {
			const size_t len = make_tcp(frame, everybody, 10, (uint16_t)(1000 + i), &header);

			member_says(w, 0, &header, frame, len);
			bridge_flush(w->bridge);
			assert_true(host_gets(w, PEER_A, got, sizeof got, round ? &again : &ports[i]) > 0);
			if (round)
				assert_int_equal(again, ports[i]);
		}
	for (unsigned i = 0; i < COUNT(ports); i++) {
		bool is_new = true;

		for (unsigned k = 0; k < i; k++)
			is_new = is_new && ports[k] != ports[i];
		different += is_new;
	}
	/* That 64 flows fall on one of four, by a random secret: 4 to the power of -63. */
	assert_in_range(different, 2, VXLAN_SOCKETS);
}

/* ---- in ---- */

static void a_peers_frame_reaches_members_and_no_other_peer(void **state)
{
	unsigned char frame[60], got[100];
	struct world *w = *state;

	host_says(w, PEER_A, everybody, remote_mac);
	assert_heard(w, 1, 1);
	assert_true(w->members[0].was_flushed && w->members[1].was_flushed);
	make_frame(frame, everybody, remote_mac, sizeof frame);
	assert_int_equal(w->members[0].last_len, sizeof frame);
	assert_memory_equal(w->members[0].last, frame, sizeof frame);
	host_says(w, PEER_A, member_macs[1], remote_mac);
	assert_heard(w, 1, 2);
	host_says(w, PEER_A, (const unsigned char[]){ 2, 0, 0, 0, 9, 9 }, remote_mac); /* nobody knows it */
	for (unsigned host = 0; host < HOSTS; host++)
		assert_int_equal(host_gets(w, (enum host)host, got, sizeof got, NULL), 0);
	assert_int_equal(vxlan_counters(w->vxlan)->received, 3);
	assert_int_equal(vxlan_counters(w->vxlan)->sent, 0);
}

/* who gets it: PEER_A, PEER_B or ANY_PEER */
static void member_answers(struct world *w, unsigned who)
{
	unsigned char frame[60], got[100];

	make_frame(frame, remote_mac, member_macs[0], sizeof frame);
	member_says(w, 0, NULL, frame, sizeof frame);
	bridge_flush(w->bridge);
	for (unsigned peer = 0; peer < PEERS; peer++)
		assert_int_equal(host_gets(w, (enum host)peer, got, sizeof got, NULL),
		                 who == peer || who == ANY_PEER ? 68 : 0);
}

static void unicast_goes_to_the_peer_that_the_address_was_learned_from(void **state)
{
	struct world *w = *state;

	member_answers(w, ANY_PEER);
	host_says(w, PEER_B, member_macs[0], remote_mac);
	member_answers(w, PEER_B);
	host_says(w, PEER_A, everybody, remote_mac); /* it has moved */
	member_answers(w, PEER_A);
	assert_int_equal(vxlan_counters(w->vxlan)->sent, 4);
}

static void who_is_not_listed_is_not_heard(void **state)
{
	struct world *w = *state;

	host_says(w, STRANGER, everybody, remote_mac);
	host_says(w, STRANGER, member_macs[0], remote_mac);
	assert_heard(w, 0, 0);
	assert_int_equal(vxlan_counters(w->vxlan)->foreign, 2);
	assert_int_equal(vxlan_counters(w->vxlan)->malformed, 0);
	assert_int_equal(vxlan_counters(w->vxlan)->received, 0);
	member_answers(w, ANY_PEER); /* nor learned from */
}

static void what_is_no_frame_of_this_tunnel_is_counted(void **state)
{
	struct world *w = *state;
	unsigned char bytes[8 + 60];
	unsigned malformed = 0;

	put_tunnel(bytes, VNI);
	make_frame(bytes + 8, everybody, remote_mac, 60);
	for (size_t len = 0; len < 8 + ETH_HLEN; len++, malformed++) /* cut short */
		host_sends(w, PEER_A, bytes, len);
	for (unsigned bit = 0; bit < 24; bit++, malformed++) { /* of other VNIs */
		put_tunnel(bytes, VNI ^ 1u << bit);
		host_sends(w, PEER_A, bytes, sizeof bytes);
	}
	put_tunnel(bytes, VNI);
	bytes[0] = 0xf7; /* all but the I flag */
	host_sends(w, PEER_A, bytes, sizeof bytes);
	malformed++;
	take_all(w);
	assert_heard(w, 0, 0);
	assert_int_equal(vxlan_counters(w->vxlan)->malformed, malformed);
	assert_int_equal(vxlan_counters(w->vxlan)->received, 0);
	member_answers(w, ANY_PEER); /* and the other member */
	memset(bytes, 0xff, 4);      /* what is reserved is ignored */
	bytes[7] = 0xff;
	host_sends(w, PEER_A, bytes, sizeof bytes);
	take_all(w);
	assert_heard(w, 1, 2);
	assert_int_equal(vxlan_counters(w->vxlan)->malformed, malformed);
}

static void a_frame_from_outside_in_a_members_name_is_dropped(void **state)
{
	unsigned char frame[60];
	struct world *w = *state;

	host_says(w, PEER_A, everybody, member_macs[1]);
	host_says(w, PEER_A, member_macs[0], member_macs[1]);
	assert_heard(w, 0, 0);
	make_frame(frame, member_macs[1], member_macs[0], sizeof frame);
	member_says(w, 0, NULL, frame, sizeof frame);
	assert_heard(w, 0, 1);
	assert_int_equal(vxlan_counters(w->vxlan)->sent, 0);
}

/* Of one send, which loopback gives on as one: the kernel puts a flow's datagrams together for who takes that. */
static void datagrams_that_the_kernel_put_together_are_taken_apart(void **state)
{
	struct world *w = *state;
	const struct sockaddr_in a = socket_address("127.0.0.1", w->port);
	unsigned char bytes[10 * 108 + 78];
	const int size = 108;

	for (size_t at = 0, n = 0; at < sizeof bytes; at += 108, n++) {
		put_tunnel(bytes + at, n == 4 ? VNI + 1 : VNI);
		make_frame(bytes + at + 8, everybody, remote_mac, at + 108 <= sizeof bytes ? 100 : 70);
	}
	assert_int_equal(setsockopt(w->hosts[PEER_A], SOL_UDP, UDP_SEGMENT, &size, sizeof size), 0);
	assert_int_equal(sendto(w->hosts[PEER_A], bytes, sizeof bytes, 0, (const struct sockaddr *)&a, sizeof a),
	                 sizeof bytes);
	take_all(w);
	assert_heard(w, 10, 10);
	assert_int_equal(w->members[0].last_len, 70);
	assert_int_equal(vxlan_counters(w->vxlan)->received, 10);
	assert_int_equal(vxlan_counters(w->vxlan)->malformed, 1);
}

/* ---- beginning ---- */

static void an_address_that_is_taken_or_not_ours_is_refused(void **state)
{
	struct world *w = *state;
	struct vxlan_options o = options_of(w);
	struct vxlan *other = NULL;
	struct bridge *bridge;
	char cause[200];

	assert_int_equal(bridge_new(&bridge), 0);
	assert_int_equal(vxlan_new(bridge, &o, &other, cause, sizeof cause), -EADDRINUSE);
	assert_non_null(strstr(cause, "is taken"));
	assert_int_equal(net_address_parse("192.0.2.1", &o.local.address), 0);
	assert_int_equal(vxlan_new(bridge, &o, &other, cause, sizeof cause), -EADDRNOTAVAIL);
	assert_string_equal(cause, "uplink: 192.0.2.1 is no address of this host");
	bridge_free(bridge);
}

#define WORLD(name) cmocka_unit_test_setup_teardown(name, make_world, end_world)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(texts_of_uplinks_are_read),
		TEST(texts_that_are_none_are_refused_with_the_reason),
		WORLD(a_frame_is_a_datagram_to_each_peer_with_the_tunnels_header),
		WORLD(members_talk_to_each_other_without_the_tunnel),
		WORLD(a_long_batch_arrives_whole_and_in_order),
		WORLD(what_members_left_undone_is_done_before_it_leaves),
		WORLD(frames_to_one_peer_are_those_that_were_sent_whatever_their_lengths),
		WORLD(what_no_datagram_has_room_for_is_counted),
		WORLD(a_flow_has_one_source_port_and_flows_have_several),
		WORLD(a_peers_frame_reaches_members_and_no_other_peer),
		WORLD(unicast_goes_to_the_peer_that_the_address_was_learned_from),
		WORLD(who_is_not_listed_is_not_heard),
		WORLD(what_is_no_frame_of_this_tunnel_is_counted),
		WORLD(a_frame_from_outside_in_a_members_name_is_dropped),
		WORLD(datagrams_that_the_kernel_put_together_are_taken_apart),
		WORLD(an_address_that_is_taken_or_not_ours_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
