/* SPDX-License-Identifier: MIT */
/*
 * udp-publish.c - see udp.h: published ports, one socket for all peers.
 *
 * A peer is found by a hash of its own, of address, port and the address that it wrote to, as the table of flows knows
 * only what the guest sees. What the guest sends into such a flow comes by udp_arrive() like any other datagram.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "plugins/net/hash.h"
#include "plugins/net-nat/forward.h"
#include "plugins/net-nat/sockets.h"
#include "plugins/net-nat/udp-flow.h"

#define CHAINS 256u

struct udp_published {
	struct socket_source source; /* first */
	struct nat *nat;
	int family;
	uint16_t guest_port;
	struct udp_receiver receiver;
	struct hash_secret secret;
	struct udp_flow *chains[CHAINS];
};

/* ---- peers ---- */

static uint64_t hash_of(const struct udp_published *published, const struct net_endpoint *from,
                        const struct udp_peer *peer)
{
	uint64_t words[5];

	memcpy(&words[0], &from->address, sizeof from->address);
	memcpy(&words[2], &peer->local, sizeof peer->local);
	words[4] = (uint64_t)peer->interface << 32 | from->port;
	return hash_words(&published->secret, words, sizeof words / sizeof *words);
}

static bool same_peer(const struct udp_peer *a, const struct udp_peer *b)
{
	return a->address_len == b->address_len && memcmp(&a->address, &b->address, a->address_len) == 0 &&
	       net_same(&a->local, &b->local) && a->interface == b->interface;
}

static struct udp_flow *find_peer(const struct udp_published *published, const struct udp_peer *peer, uint64_t hash)
{
	struct udp_flow *u = published->chains[hash % CHAINS];

	while (u && (u->peer_hash != hash || !same_peer(&u->peer, peer)))
		u = u->peer_next;
	return u;
}

void udp_published_forget(struct udp_flow *u)
{
	struct udp_flow **at = &u->published->chains[u->peer_hash % CHAINS];

	while (*at != u)
		at = &(*at)->peer_next;
	*at = u->peer_next;
}

static struct udp_flow *add_peer(struct udp_published *published, const struct net_endpoint *from,
                                 const struct udp_peer *peer, uint64_t hash)
{
	struct nat *nat = published->nat;
	struct flow_key key = { .protocol = IPPROTO_UDP };
	struct udp_flow *u = calloc(1, sizeof *u);
	int rc = u ? forward_key(nat, from, published->guest_port, &key) : -ENOMEM;

	if (!rc && nat->udp->n_peers && nat->udp->n_peers >= nat->options.max_flows / 2)
		udp_flow_end(TAILQ_FIRST(&nat->udp->peers));
	rc = rc ? rc : flow_begin_inbound(nat, &key, &u->flow);
	if (rc) {
		free(u);
		return NULL;
	}
	u->flow.kind = &flow_udp;
	u->flow.source.fd = -1;
	u->published = published;
	u->peer = *peer;
	u->peer_hash = hash;
	rc = udp_flow_insert(nat->udp, u);
	if (rc) {
		flow_refused(nat, &key, rc);
		free(u);
		return NULL;
	}
	u->peer_next = published->chains[hash % CHAINS];
	published->chains[hash % CHAINS] = u;
	return u;
}

/* ---- from the network ---- */

static void read_local(struct msghdr *message, struct udp_peer *peer)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			/* Not ipi_addr: an answer cannot come from a broadcast address. */
			peer->local = net_from_ipv4(info.ipi_spec_dst);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof info);
			if (!IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
				peer->local = info.ipi6_addr;
			if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
				peer->interface = info.ipi6_ifindex;
		}
	}
}

/* The flow of who sent this message, or NULL. */
static struct udp_flow *flow_of(struct udp_published *published, struct msghdr *message)
{
	struct udp_peer peer = { .address_len = message->msg_namelen };
	struct net_endpoint from;
	struct udp_flow *u;
	uint64_t hash;

	if (net_from_sockaddr(message->msg_name, &from) < 0 || !from.port)
		return NULL;
	memcpy(&peer.address, message->msg_name, message->msg_namelen);
	read_local(message, &peer);
	hash = hash_of(published, &from, &peer);
	u = find_peer(published, &peer, hash);
	return u ? u : add_peer(published, &from, &peer, hash);
}

static void on_ready(struct socket_source *source, uint32_t events)
{
	struct udp_published *published = (struct udp_published *)source;
	struct nat *nat = published->nat;
	struct udp *udp = nat->udp;

	(void)events;
	for (unsigned done = 0; done < UDP_BUDGET;) {
		int n = udp_receive(udp, &published->receiver, 0);

		if (n == 0)
			return;
		for (int i = 0; i < n && forward_guest_is_there(nat); i++) {
			struct udp_flow *u = flow_of(published, &udp->messages[i].msg_hdr);

			if (u)
				udp_flow_deliver(u, &udp->iov[i]);
		}
		done += n > 0 ? (unsigned)n : 1;
	}
	sockets_again(nat->sockets, source, EPOLLIN);
}

/* ---- to the network ---- */

static size_t put_local(const struct udp_flow *u, void *room)
{
	struct cmsghdr *c = room;

	if (u->published->family == AF_INET) {
		const struct in_pktinfo info = { .ipi_spec_dst = net_to_ipv4(&u->peer.local) };

		*c = (struct cmsghdr){ .cmsg_level = IPPROTO_IP,
			               .cmsg_type = IP_PKTINFO,
			               .cmsg_len = CMSG_LEN(sizeof info) };
		memcpy(CMSG_DATA(c), &info, sizeof info);
		return CMSG_SPACE(sizeof info);
	}
	const struct in6_pktinfo info = { .ipi6_addr = u->peer.local, .ipi6_ifindex = u->peer.interface };

	*c = (struct cmsghdr){ .cmsg_level = IPPROTO_IPV6,
		               .cmsg_type = IPV6_PKTINFO,
		               .cmsg_len = CMSG_LEN(sizeof info) };
	memcpy(CMSG_DATA(c), &info, sizeof info);
	return CMSG_SPACE(sizeof info);
}

int udp_published_send(struct udp_flow *u, struct iovec *payload, unsigned n)
{
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	} control;
	struct msghdr message = {
		.msg_name = &u->peer.address, .msg_namelen = u->peer.address_len, .msg_iov = payload, .msg_iovlen = n
	};

	memset(&control, 0, sizeof control);
	if (!net_is_unspecified(&u->peer.local)) {
		message.msg_control = &control;
		message.msg_controllen = put_local(u, &control);
	}
	return sendmsg(u->published->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* ---- life ---- */

/* Which address a datagram was sent to. */
static int want_local(int fd, int family)
{
	const int yes = 1;

	if (family == AF_INET6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof yes) < 0 ? -errno : 0;
	return setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes) < 0 ? -errno : 0;
}

int udp_publish(struct nat *nat, int fd, uint16_t guest_port, struct udp_published **out)
{
	struct udp_published *published = calloc(1, sizeof *published);
	const int room = UDP_RECEIVE_ROOM;
	socklen_t len = sizeof published->family;
	int rc;

	*out = NULL;
	if (!published)
		return -ENOMEM;
	published->source = (struct socket_source){ .ready = on_ready, .fd = fd, .input_only = true };
	published->nat = nat;
	published->guest_port = guest_port;
	published->receiver.source = &published->source;
	rc = hash_secret_new(&published->secret);
	if (!rc && getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &published->family, &len) < 0)
		rc = -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); /* less will do as well */
	rc = rc ? rc : want_local(fd, published->family);
	rc = rc ? rc : sockets_add(nat->sockets, &published->source);
	if (rc) {
		free(published);
		return rc;
	}
	*out = published;
	return 0;
}

void udp_unpublish(struct nat *nat, struct udp_published *published)
{
	for (unsigned i = 0; i < CHAINS; i++)
		while (published->chains[i])
			udp_flow_end(published->chains[i]);
	udp_receiver_end(nat->udp, &published->receiver);
	sockets_close(nat->sockets, &published->source);
	free(published);
}
