/* SPDX-License-Identifier: MIT */
/*
 * serve-join.c - see serve-private.h: who may be a member, what it gets, and what goes with it. Called by
 * serve-talk.c and serve.c.
 *
 * What all members must have in common is the first one's word: whoever says otherwise is refused, and told whose it
 * is.
 */
#include "plugins/cluster-switch/serve-private.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* ---- its port's far side ---- */

static int port_send(void *ctx, const struct bridge_frame *frame)
{
	struct peer *peer = ctx;
	int r;

	if (peer->broken)
		return -EAGAIN;
	r = ring_put(peer->ring, &frame->header, frame->iov, frame->n);
	if (r == -EPROTO)
		peer->broken = peer->serve->some_broken = true;
	return r < 0 ? -EAGAIN : 0;
}

static void port_flush(void *ctx)
{
	struct peer *peer = ctx;

	ring_publish(peer->ring);
}

/* ---- what it asks for, and what the others have ---- */

static bool prefix_same(const struct net_prefix *a, const struct net_prefix *b)
{
	return a->bits == b->bits && net_same(&a->address, &b->address);
}

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
	return -EINVAL;
}

static int check_subnet(const struct net_prefix *its, const struct net_prefix *ours, const char *of, char *why,
                        size_t size)
{
	char its_text[NET_PREFIX_TEXT], our_text[NET_PREFIX_TEXT];

	if (its->bits == 0 || ours->bits == 0 || prefix_same(its, ours))
		return 0;
	return refuse(why, size, "its subnet is %s, that of \"%s\" %s; give all the same",
	              net_prefix_text(its, its_text), of, net_prefix_text(ours, our_text));
}

/* The n-th address of the subnet; 0: none that a machine may have. */
static uint32_t address_index(const struct net_prefix *subnet, const struct in6_addr *address)
{
	uint32_t n, last;

	if (!net_is_ipv4(address) || !net_prefix_has(subnet, address))
		return 0;
	n = ntohl(net_to_ipv4(address).s_addr) - ntohl(net_to_ipv4(&subnet->address).s_addr);
	last = (uint32_t)(((uint64_t)1 << (128 - subnet->bits)) - 1);
	return n < 2 || n >= last ? 0 : n;
}

static bool member_has(void *ctx, const struct in6_addr *address)
{
	const struct serve *serve = ctx;
	const struct peer *peer;

	TAILQ_FOREACH(peer, &serve->members, link)
	if (net_same(&peer->address, address))
		return true;
	return false;
}

/* By its file, or as before: where that is another's, the bridge says whose. Else a lease. 0 or -errno. */
static int choose_address(struct serve *serve, const struct protocol_hello *hello, const struct net_prefix *subnet,
                          struct in6_addr *out, char *why, size_t size)
{
	char address[NET_ADDRESS_TEXT], prefix[NET_PREFIX_TEXT];

	if (IN6_IS_ADDR_UNSPECIFIED(&hello->port.address)) {
		if (leases_get(serve->leases, hello->port.name, subnet, member_has, serve, out) == 0)
			return 0;
		return refuse(why, size, "all addresses of %s are taken; give the cluster a larger subnet",
		              net_prefix_text(subnet, prefix));
	}
	*out = hello->port.address;
	if (address_index(subnet, out) == 0)
		return refuse(why, size, "a machine in %s cannot have the address %s", net_prefix_text(subnet, prefix),
		              net_address_text(out, address));
	return 0;
}

/* The uplink is the cluster's as long as a member that has it is there. 0 or -errno. */
static int uplink_join(struct serve *serve, const struct protocol_hello *hello, char *why, size_t size)
{
	struct vxlan_options options;
	char cause[sizeof((struct protocol_refused *)0)->why - 64] = "";
	int fds[VXLAN_SOCKETS], r;

	if (hello->uplink[0] == '\0')
		return 0;
	if (serve->n_uplink > 0) {
		if (strcmp(serve->uplink, hello->uplink) != 0)
			return refuse(why, size, "its uplink is %.160s, that of \"%s\" %.160s; give all the same",
			              hello->uplink, serve->uplink_of, serve->uplink);
		serve->n_uplink++;
		return 0;
	}
	r = vxlan_parse(hello->uplink, &options, cause, sizeof cause);
	if (r == 0)
		r = vxlan_new(serve->bridge, &options, &serve->vxlan, cause, sizeof cause);
	if (r < 0) {
		serve->vxlan = NULL;
		return refuse(why, size, "its uplink: %s", cause[0] ? cause : strerror(-r));
	}
	serve->n_uplink_sources = vxlan_fds(serve->vxlan, fds);
	for (unsigned i = 0; i < serve->n_uplink_sources; i++) {
		serve->uplink_sources[i] = (struct source){ SOURCE_UPLINK, fds[i], NULL };
		(void)serve_watch(serve, &serve->uplink_sources[i], EPOLLIN);
	}
	memcpy(serve->uplink, hello->uplink, sizeof serve->uplink);
	memcpy(serve->uplink_of, hello->port.name, sizeof serve->uplink_of);
	serve->n_uplink = 1;
	return 0;
}

static void uplink_leave(struct serve *serve)
{
	if (--serve->n_uplink > 0)
		return;
	for (unsigned i = 0; i < serve->n_uplink_sources; i++)
		serve_unwatch(serve, &serve->uplink_sources[i]);
	serve->n_uplink_sources = 0;
	serve->uplink_has_more = false;
	vxlan_free(serve->vxlan);
	serve->vxlan = NULL;
}

/* ---- the ring ---- */

static void close_all(const int *fds, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Its memory, and what both wake each other by. `fds`: what WELCOME has with it, the caller's to close. 0 or -errno. */
static int ring_make(struct peer *peer, int fds[PROTOCOL_WELCOME_FDS])
{
	int memory = -1, ends[2] = { -1, -1 }, r;

	r = ring_memory_new(&memory);
	if (r == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
		r = -errno;
	if (r == 0)
		r = ring_new(RING_SWITCH, memory, ends[0], &peer->ring);
	if (r < 0) {
		peer->ring = NULL;
		close_all((const int[]){ memory, ends[0], ends[1] }, 3);
		return r;
	}
	peer->ring_source = (struct source){ SOURCE_RING, ring_wake_fd(peer->ring), peer };
	fds[0] = memory;
	fds[1] = ends[1];
	return 0;
}

/* ---- all of it ---- */

void peer_leave(struct peer *peer)
{
	if (peer->port)
		bridge_port_remove(peer->port);
	peer->port = NULL;
	if (peer->has_uplink)
		uplink_leave(peer->serve);
	peer->has_uplink = false;
}

/* A port, its uplink and a ring; `fds` as in ring_make(). 0, or -errno and why; then peer_leave() undoes it. */
static int peer_admit(struct peer *peer, const struct protocol_hello *hello, struct protocol_welcome *welcome,
                      int fds[PROTOCOL_WELCOME_FDS], char *why, size_t size)
{
	static const struct bridge_port_operations operations = { .send = port_send, .flush = port_flush };
	struct serve *serve = peer->serve;
	struct bridge_port_options options = hello->port;
	const bool is_first = serve->n_members == 0;
	int r;

	if (serve->n_members == CLUSTER_MEMBERS_MAX)
		return refuse(why, size, "the cluster has %u members, and cannot have more", CLUSTER_MEMBERS_MAX);
	welcome->subnet = hello->subnet;
	if (welcome->subnet.bits == 0)
		(void)net_prefix_parse(CLUSTER_SUBNET, &welcome->subnet);
	welcome->subnet6 = hello->subnet6;
	if (!is_first) {
		r = check_subnet(&hello->subnet, &serve->subnet, serve->subnet_of, why, size);
		if (r == 0)
			r = check_subnet(&hello->subnet6, &serve->subnet6, serve->subnet6_of, why, size);
		if (r < 0)
			return r;
		welcome->subnet = serve->subnet;
		/* Those who came before it do without IPv6. */
		if (serve->subnet6.bits > 0)
			welcome->subnet6 = serve->subnet6;
	}
	r = choose_address(serve, hello, &welcome->subnet, &welcome->address, why, size);
	if (r < 0)
		return r;
	welcome->index = address_index(&welcome->subnet, &welcome->address);
	options.address = welcome->address;
	options.subnet6 = welcome->subnet6;
	options.address6 = in6addr_any;
	if (options.subnet6.bits > 0)
		options.address6 = net_prefix_nth(&options.subnet6, welcome->index);
	r = bridge_port_add(serve->bridge, &options, &operations, peer, &peer->port, why, size);
	if (r < 0) {
		peer->port = NULL;
		if (why[0] == '\0')
			refuse(why, size, "the switch cannot make a port: %s", strerror(-r));
		return r;
	}
	r = uplink_join(serve, hello, why, size);
	if (r < 0)
		return r;
	peer->has_uplink = hello->uplink[0] != '\0';
	r = ring_make(peer, fds);
	if (r < 0) {
		refuse(why, size, "the switch cannot make its ring: %s", strerror(-r));
		return r;
	}
	if (is_first) {
		serve->subnet = welcome->subnet;
		memcpy(serve->subnet_of, options.name, sizeof serve->subnet_of);
	}
	if (serve->subnet6.bits == 0) {
		serve->subnet6 = welcome->subnet6;
		memcpy(serve->subnet6_of, options.name, sizeof serve->subnet6_of);
	}
	return 0;
}

void peer_join(struct peer *peer, const struct protocol_hello *hello)
{
	struct serve *serve = peer->serve;
	struct protocol_welcome welcome = { .h = { PROTOCOL_WELCOME, PROTOCOL_VERSION } };
	char why[sizeof((struct protocol_refused *)0)->why] = "";
	int fds[PROTOCOL_WELCOME_FDS] = { -1, -1 }, r;

	if (peer_admit(peer, hello, &welcome, fds, why, sizeof why) < 0) {
		peer_leave(peer);
		peer_refuse(peer, why);
		return;
	}
	TAILQ_REMOVE(&serve->pending, peer, link);
	serve->n_pending--;
	TAILQ_INSERT_TAIL(&serve->members, peer, link);
	serve->n_members++;
	serve->had_member = true;
	serve->members_changed = true;
	peer->state = PEER_MEMBER;
	peer->address = welcome.address;
	peer->address6 = bridge_port_options(peer->port)->address6;
	leases_keep(serve->leases, hello->port.name, &welcome.address);

	r = peer_send(peer, &welcome, sizeof welcome, fds, PROTOCOL_WELCOME_FDS);
	close_all(fds, PROTOCOL_WELCOME_FDS);
	if (r == 0)
		r = serve_watch(serve, &peer->ring_source, EPOLLIN);
	if (r < 0) {
		peer_cut(peer);
		return;
	}
	/* It may have sent before we said that we sleep. */
	peer_ready(peer);
}
