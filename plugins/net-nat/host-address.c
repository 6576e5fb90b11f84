/* SPDX-License-Identifier: MIT */
/*
 * host-address.c - see host-address.h.
 *
 * THEORY OF OPERATION. A socket of rtnetlink(7) that is subscribed to changes first, and asked for all that there is
 * then, list by list, so that nothing is missed. What is new is added at once. What is gone goes with the next lists,
 * which replace the set: several routes may lead to one address, and only the kernel knows what is left. They are asked
 * for as well where the kernel had to drop messages (ENOBUFS). So an address that is the host's no more is denied for a
 * moment too long, never one that is the host's allowed.
 *
 * What ends at the host:
 *   addresses   of its interfaces, and what else of their networks does: the broadcast addresses (all ones, all zeros
 *               in older kernels, and the one that was set by hand), and of IPv6 the anycast address of a router
 *               (RFC 4291, 2.6.1)
 *   routes      of the types local (`ip route add local 198.51.100.0/24 dev lo`: every address of it is answered, on no
 *               interface), broadcast and anycast
 * Routes count in whichever table they are, as what rules lead there cannot be known here; but a default route only in
 * the usual ones, as in others it is a transparent proxy's, for the few packets that it has marked.
 *
 * The set is bounded. Where it has no room, or there is no memory, all addresses are the host's until a list fits.
 */
#include "plugins/net-nat/host-address.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MESSAGE_ROOM 32768u
#define DUMP_PATIENCE 5000 /* ms for the kernel's answer, at start */
#define LIST_TRIES 16u     /* at start, where addresses come and go while they are listed */
#define BUDGET 16u         /* messages of MESSAGE_ROOM a turn */
#define PREFIXES_MAX 65536u

/* What is asked for, one after the other. The kernel leaves out routes of other types, or else we do. */
static const struct {
	uint16_t message;
	unsigned char family, type; /* type: of a route */
} lists[] = {
	{ RTM_GETADDR, AF_UNSPEC, RTN_UNSPEC },   { RTM_GETROUTE, AF_INET, RTN_LOCAL },
	{ RTM_GETROUTE, AF_INET, RTN_BROADCAST }, { RTM_GETROUTE, AF_INET, RTN_ANYCAST },
	{ RTM_GETROUTE, AF_INET6, RTN_LOCAL },    { RTM_GETROUTE, AF_INET6, RTN_ANYCAST },
};
#define LISTS (sizeof lists / sizeof *lists)

/* May have one twice. */
struct set {
	struct net_prefix *prefixes;
	unsigned n, room;
	bool lacks; /* one that there was no room for */
};

struct host_addresses {
	const struct capsa_host *host;
	struct capsa_watch *watch; /* NULL: a fixed set */
	void (*changed)(void *ctx);
	void *ctx;
	int fd;
	uint32_t port;     /* the socket's own address: answers have it, messages about changes do not */
	struct set known;  /* since the last lists, and what came since */
	struct set coming; /* what the lists so far have, and what came meanwhile */
	size_t list;       /* which of lists[] is being read; LISTS: none */
	uint32_t sequence; /* of its request */
	bool incomplete;   /* something went, messages were lost, or a list was interrupted: again */
};

/* ---- the set ---- */

bool host_addresses_have(const struct host_addresses *addresses, const struct in6_addr *a)
{
	const struct set *known = &addresses->known;

	for (unsigned i = 0; i < known->n; i++)
		if (known->prefixes[i].bits == 128 ? net_same(&known->prefixes[i].address, a)
		                                   : net_prefix_has(&known->prefixes[i], a))
			return true;
	return known->lacks;
}

static int compare(const void *a, const void *b)
{
	const struct net_prefix *x = a, *y = b;
	const int order = memcmp(&x->address, &y->address, sizeof x->address);

	return order ? order : (x->bits > y->bits) - (x->bits < y->bits);
}

static void append(struct set *set, const struct net_prefix *new)
{
	if (set->n == set->room) {
		const unsigned room = set->room ? 2 * set->room : 32;
		struct net_prefix *prefixes =
			room <= PREFIXES_MAX ? reallocarray(set->prefixes, room, sizeof *prefixes) : NULL;

		if (!prefixes) {
			set->lacks = true;
			return;
		}
		set->prefixes = prefixes;
		set->room = room;
	}
	set->prefixes[set->n++] = *new;
}

static bool has_prefix(const struct set *set, const struct net_prefix *prefix)
{
	for (unsigned i = 0; i < set->n; i++)
		if (compare(&set->prefixes[i], prefix) == 0)
			return true;
	return false;
}

/* Each once, in order. */
static void sort(struct set *set)
{
	unsigned kept = 0;

	if (set->n)
		qsort(set->prefixes, set->n, sizeof *set->prefixes, compare);
	for (unsigned i = 0; i < set->n; i++)
		if (!kept || compare(&set->prefixes[kept - 1], &set->prefixes[i]) != 0)
			set->prefixes[kept++] = set->prefixes[i];
	set->n = kept;
}

static bool same_set(const struct set *a, const struct set *b)
{
	if (a->n != b->n || a->lacks != b->lacks)
		return false;
	for (unsigned i = 0; i < a->n; i++)
		if (compare(&a->prefixes[i], &b->prefixes[i]) != 0)
			return false;
	return true;
}

static void clear(struct set *set)
{
	set->n = 0;
	set->lacks = false;
}

/* The lists are through. True: the set is another one. */
static bool take_lists(struct host_addresses *addresses)
{
	const struct set before = addresses->known;
	bool any;

	sort(&addresses->coming);
	sort(&addresses->known);
	any = !same_set(&addresses->coming, &addresses->known);
	addresses->known = addresses->coming;
	addresses->coming = before;
	clear(&addresses->coming);
	return any;
}

/* A prefix that a message has: the answer to our request, or a change. True: the set is another one. */
static bool add(struct host_addresses *addresses, const struct net_prefix *new, bool listed)
{
	if (addresses->list < LISTS)
		append(&addresses->coming, new);
	if (listed || has_prefix(&addresses->known, new))
		return false;
	append(&addresses->known, new);
	return true;
}

static bool add_address(struct host_addresses *addresses, const struct in6_addr *a, bool listed)
{
	return add(addresses, &(struct net_prefix){ *a, 128 }, listed);
}

/* ---- messages ---- */

/* The first or the last address of its network. */
static struct in6_addr edge(const struct in6_addr *own, unsigned bits, bool last)
{
	struct in6_addr out = *own;

	for (unsigned i = bits; i < 128; i++) {
		const unsigned char bit = (unsigned char)(0x80u >> i % 8);

		if (last)
			out.s6_addr[i / 8] |= bit;
		else
			out.s6_addr[i / 8] &= (unsigned char)~bit;
	}
	return out;
}

/* Pointers without const, here and below: the macros of <linux/netlink.h> and <linux/rtnetlink.h> cast it away. */
static bool take_attribute(struct rtattr *attribute, unsigned char family, struct in6_addr *out)
{
	struct in_addr ipv4;

	if (family == AF_INET && RTA_PAYLOAD(attribute) == sizeof ipv4) {
		memcpy(&ipv4, RTA_DATA(attribute), sizeof ipv4);
		*out = net_from_ipv4(ipv4);
		return true;
	}
	if (family == AF_INET6 && RTA_PAYLOAD(attribute) == sizeof *out) {
		memcpy(out, RTA_DATA(attribute), sizeof *out);
		return true;
	}
	return false;
}

static bool add_edges(struct host_addresses *addresses, const struct in6_addr *own, unsigned bits, bool listed)
{
	struct in6_addr a;
	bool any;

	if (bits >= 127) /* RFC 3021, RFC 6164: two hosts, and nothing else */
		return false;
	a = edge(own, bits, false);
	any = add_address(addresses, &a, listed);
	if (net_is_ipv4(own)) {
		a = edge(own, bits, true);
		any = add_address(addresses, &a, listed) || any;
	}
	return any;
}

static unsigned bits_of(unsigned char family, unsigned char length)
{
	const unsigned bits = length + (family == AF_INET ? 96u : 0u);

	return bits < 128 ? bits : 128;
}

/* RTM_NEWADDR. True: the set is another one. */
static bool take_address(struct host_addresses *addresses, struct nlmsghdr *message, bool listed)
{
	struct ifaddrmsg *head = NLMSG_DATA(message);
	struct in6_addr local = { .s6_addr = { 0 } }, address = local, broadcast = local;
	bool has_local = false, has_address = false, has_broadcast = false, any;
	int left;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof *head) ||
	    (head->ifa_family != AF_INET && head->ifa_family != AF_INET6))
		return false;
	left = (int)IFA_PAYLOAD(message);
	for (struct rtattr *a = IFA_RTA(head); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFA_LOCAL)
			has_local = take_attribute(a, head->ifa_family, &local);
		else if (a->rta_type == IFA_ADDRESS)
			has_address = take_attribute(a, head->ifa_family, &address);
		else if (a->rta_type == IFA_BROADCAST)
			has_broadcast = take_attribute(a, head->ifa_family, &broadcast);
	}
	/* Of a point-to-point link IFA_ADDRESS is the other end. */
	if (!has_local && !has_address)
		return false;
	if (!has_local)
		local = address;
	any = add_address(addresses, &local, listed);
	if (has_broadcast)
		any = add_address(addresses, &broadcast, listed) || any;
	return add_edges(addresses, &local, bits_of(head->ifa_family, head->ifa_prefixlen), listed) || any;
}

/* The prefix of a route that ends at the host. False: another one. */
static bool read_route(struct nlmsghdr *message, struct net_prefix *out)
{
	struct rtmsg *head = NLMSG_DATA(message);
	uint32_t table;
	int left;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof *head) ||
	    (head->rtm_family != AF_INET && head->rtm_family != AF_INET6) ||
	    (head->rtm_type != RTN_LOCAL && head->rtm_type != RTN_BROADCAST && head->rtm_type != RTN_ANYCAST) ||
	    (head->rtm_flags & RTM_F_CLONED))
		return false;
	table = head->rtm_table;
	/* 0.0.0.0/0 and ::/0 have no RTA_DST. */
	out->address = head->rtm_family == AF_INET ? net_from_ipv4((struct in_addr){ 0 }) : in6addr_any;
	out->bits = bits_of(head->rtm_family, head->rtm_dst_len);
	left = (int)RTM_PAYLOAD(message);
	for (struct rtattr *a = RTM_RTA(head); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == RTA_TABLE && RTA_PAYLOAD(a) == sizeof table)
			memcpy(&table, RTA_DATA(a), sizeof table);
		else if (a->rta_type == RTA_DST)
			(void)take_attribute(a, head->rtm_family, &out->address);
	}
	return head->rtm_dst_len || table == RT_TABLE_LOCAL || table == RT_TABLE_MAIN || table == RT_TABLE_DEFAULT;
}

/* Asks for list number `list`. */
static int ask_for_list(struct host_addresses *addresses, size_t list)
{
	struct {
		struct nlmsghdr head;
		union {
			struct ifaddrmsg address;
			struct rtmsg route;
		};
	} request = {
		.head = { .nlmsg_type = lists[list].message,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		          .nlmsg_seq = addresses->sequence + 1 },
	};

	if (lists[list].message == RTM_GETADDR) {
		request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.address);
		request.address = (struct ifaddrmsg){ .ifa_family = lists[list].family };
	} else {
		request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.route);
		request.route = (struct rtmsg){ .rtm_family = lists[list].family, .rtm_type = lists[list].type };
	}
	if (send(addresses->fd, &request, request.head.nlmsg_len, 0) < 0)
		return -errno;
	addresses->sequence++;
	addresses->list = list;
	return 0;
}

static int ask_for_lists(struct host_addresses *addresses)
{
	const int rc = ask_for_list(addresses, 0);

	if (rc < 0)
		return rc;
	addresses->incomplete = false;
	clear(&addresses->coming);
	return 0;
}

/* 0, or -errno: both messages that end a list begin with it. A list that failed midway ends with NLMSG_DONE, too. */
static int error_of(struct nlmsghdr *message)
{
	int error = 0;

	if (message->nlmsg_len >= NLMSG_LENGTH(sizeof error))
		memcpy(&error, NLMSG_DATA(message), sizeof error);
	else if (message->nlmsg_type == NLMSG_ERROR)
		error = -EPROTO;
	return error < 0 ? error : 0;
}

/* A list has ended. True: the set is another one. */
static bool take_end(struct host_addresses *addresses, struct nlmsghdr *message)
{
	const int error = error_of(message);
	/* A kernel without IPv6 has no such routes. */
	const bool failed = error && (lists[addresses->list].family != AF_INET6 ||
	                              (error != -EOPNOTSUPP && error != -EAFNOSUPPORT && error != -ENOENT));
	const size_t next = addresses->list + 1;

	addresses->list = LISTS;
	if (failed)
		addresses->incomplete = true;
	else if (next == LISTS)
		return !addresses->incomplete && take_lists(addresses);
	else if (!addresses->incomplete && ask_for_list(addresses, next) < 0)
		addresses->incomplete = true;
	return false;
}

/* One datagram of messages. True: the set is another one. */
static bool take_messages(struct host_addresses *addresses, void *data, size_t len)
{
	struct net_prefix prefix;
	bool any = false;

	for (struct nlmsghdr *message = data; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		const bool listed = message->nlmsg_pid == addresses->port && addresses->list < LISTS &&
		                    message->nlmsg_seq == addresses->sequence;

		/* Of a list that was given up. */
		if (message->nlmsg_pid == addresses->port && !listed)
			continue;
		if (listed && (message->nlmsg_flags & NLM_F_DUMP_INTR))
			addresses->incomplete = true;
		switch (message->nlmsg_type) {
		case RTM_NEWADDR:
			any = take_address(addresses, message, listed) || any;
			break;
		case RTM_NEWROUTE:
			if (read_route(message, &prefix))
				any = add(addresses, &prefix, listed) || any;
			break;
		case RTM_DELADDR:
			addresses->incomplete = true;
			break;
		case RTM_DELROUTE:
			if (read_route(message, &prefix))
				addresses->incomplete = true;
			break;
		case NLMSG_DONE:
		case NLMSG_ERROR:
			if (listed)
				any = take_end(addresses, message) || any;
			break;
		default:
			break;
		}
	}
	return any;
}

/* 1: taken; 0: there is none now; -errno. *any is set where the set has changed. */
static int receive(struct host_addresses *addresses, bool *any)
{
	_Alignas(struct nlmsghdr) unsigned char data[MESSAGE_ROOM];
	struct sockaddr_nl from = { .nl_family = AF_UNSPEC };
	socklen_t from_len = sizeof from;
	ssize_t len = recvfrom(addresses->fd, data, sizeof data, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)&from,
	                       &from_len);

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (len < 0 && errno != ENOBUFS)
		return -errno;
	if (len < 0 || (size_t)len > sizeof data) {
		/* Messages were lost: a list that is under way may lack something as well. */
		addresses->incomplete = true;
		addresses->list = LISTS;
	} else if (from_len == sizeof from && from.nl_pid == 0) { /* the kernel, not another process */
		*any = take_messages(addresses, data, (size_t)len) || *any;
	}
	return 1;
}

static void on_readable(void *ctx, int fd, unsigned events)
{
	struct host_addresses *addresses = ctx;
	bool any = false;
	int more = 1;

	(void)fd;
	(void)events;
	for (unsigned i = 0; i < BUDGET && more > 0; i++)
		more = receive(addresses, &any);
	/* Not before all is taken: into a socket that is full the answer does not go, nor a second ENOBUFS. */
	if (addresses->incomplete && addresses->list == LISTS && more == 0)
		(void)ask_for_lists(addresses); /* a failure: tried again with the next message */
	if (any && addresses->changed)
		addresses->changed(addresses->ctx);
}

/* ---- life ---- */

static int open_socket(uint32_t *port)
{
	const struct sockaddr_nl at = { .nl_family = AF_NETLINK,
		                        .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
		                                     RTMGRP_IPV6_ROUTE };
	struct sockaddr_nl own = { .nl_family = AF_UNSPEC };
	socklen_t len = sizeof own;
	const int yes = 1;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int rc;

	if (fd < 0)
		return -errno;
	/* Requests say which types of routes; a kernel that does not know it (before 4.20) answers with all. */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &yes, sizeof yes);
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) == 0 &&
	    getsockname(fd, (struct sockaddr *)&own, &len) == 0) {
		*port = own.nl_pid;
		return fd;
	}
	rc = -errno;
	close(fd);
	return rc;
}

/* Waits for the kernel, which has answered when send(2) returns, but for what does not fit into one datagram. */
static int read_list(struct host_addresses *addresses)
{
	struct pollfd ready = { .fd = addresses->fd, .events = POLLIN };
	bool any = false;
	unsigned tries = 1;
	int rc = ask_for_lists(addresses);

	while (rc >= 0 && (addresses->list < LISTS || addresses->incomplete)) {
		if (addresses->list == LISTS) {
			rc = tries++ < LIST_TRIES ? ask_for_lists(addresses) : -EAGAIN;
			continue;
		}
		rc = poll(&ready, 1, DUMP_PATIENCE);
		if (rc < 0 && errno == EINTR)
			rc = 0;
		else if (rc < 0)
			rc = -errno;
		else
			rc = rc ? receive(addresses, &any) : -ETIMEDOUT;
	}
	return rc < 0 ? rc : 0;
}

int host_addresses_new(const struct capsa_host *host, struct capsa_device *dev, void (*changed)(void *ctx), void *ctx,
                       struct host_addresses **out)
{
	struct host_addresses *addresses = calloc(1, sizeof *addresses);
	int rc;

	*out = NULL;
	if (!addresses)
		return -ENOMEM;
	addresses->host = host;
	addresses->changed = changed;
	addresses->ctx = ctx;
	addresses->list = LISTS;
	addresses->fd = open_socket(&addresses->port);
	rc = addresses->fd < 0 ? addresses->fd : read_list(addresses);
	if (rc == 0) {
		addresses->watch = host->watch_add(dev, addresses->fd, CAPSA_WATCH_READ, on_readable, addresses);
		rc = addresses->watch ? 0 : -ENOMEM;
	}
	if (rc < 0) {
		host_addresses_free(addresses);
		return rc;
	}
	*out = addresses;
	return 0;
}

void host_addresses_free(struct host_addresses *addresses)
{
	if (!addresses)
		return;
	if (addresses->watch)
		addresses->host->watch_remove(addresses->watch);
	if (addresses->fd >= 0)
		close(addresses->fd);
	free(addresses->known.prefixes);
	free(addresses->coming.prefixes);
	free(addresses);
}

int host_addresses_fixed(const struct in6_addr *list, unsigned n, struct host_addresses **out)
{
	struct host_addresses *addresses = calloc(1, sizeof *addresses);

	*out = NULL;
	if (!addresses)
		return -ENOMEM;
	addresses->fd = -1;
	addresses->list = LISTS;
	for (unsigned i = 0; i < n; i++)
		(void)add_address(addresses, &list[i], false);
	if (addresses->known.lacks) {
		host_addresses_free(addresses);
		return -ENOMEM;
	}
	*out = addresses;
	return 0;
}
