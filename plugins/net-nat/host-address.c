/* SPDX-License-Identifier: MIT */
/*
 * host-address.c - see host-address.h.
 *
 * THEORY OF OPERATION. A socket of rtnetlink(7) that is subscribed to changes of addresses first, and asked for all of
 * them then, so that none is missed. Where the kernel had to drop messages (ENOBUFS), all are asked for again: what is
 * known stays meanwhile, and what the new list does not have goes at its end. An address that is the host's no more is
 * denied for a moment too long, never one that is the host's allowed.
 *
 * Of each address the set has itself, and what else of its network ends at the host: the broadcast addresses (all ones,
 * all zeros in older kernels, and the one that was set by hand), and of IPv6 the anycast address of a router (RFC 4291,
 * 2.6.1).
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

struct entry {
	struct in6_addr address;
	unsigned interface;
	unsigned bits;       /* of the interface's address: which one it belongs to */
	struct in6_addr own; /* as bits */
	uint32_t list;       /* the last list, or change during one, that had it */
};

struct host_addresses {
	const struct capsa_host *host;
	struct capsa_watch *watch; /* NULL: a fixed set */
	void (*changed)(void *ctx);
	void *ctx;
	int fd;
	struct entry *entries;
	unsigned n, room;
	uint32_t list; /* sequence number of the list that is being read, or was last */
	bool listing;
	bool incomplete; /* there was no memory for one, or the list was interrupted: again */
};

/* ---- the set ---- */

bool host_addresses_have(const struct host_addresses *addresses, const struct in6_addr *a)
{
	for (unsigned i = 0; i < addresses->n; i++)
		if (net_same(&addresses->entries[i].address, a))
			return true;
	return false;
}

static bool add(struct host_addresses *addresses, const struct entry *new)
{
	for (unsigned i = 0; i < addresses->n; i++) {
		struct entry *entry = &addresses->entries[i];

		if (entry->interface == new->interface && entry->bits == new->bits &&net_same(&entry->own, &new->own) &&
		    net_same(&entry->address, &new->address)) {
			entry->list = addresses->list;
			return false;
		}
	}
	if (addresses->n == addresses->room) {
		const unsigned room = addresses->room ? 2 * addresses->room : 32;
		struct entry *entries = reallocarray(addresses->entries, room, sizeof *entries);

		if (!entries) {
			addresses->incomplete = true;
			return false;
		}
		addresses->entries = entries;
		addresses->room = room;
	}
	addresses->entries[addresses->n] = *new;
	addresses->entries[addresses->n++].list = addresses->list;
	return true;
}

static bool remove_of(struct host_addresses *addresses, const struct entry *old)
{
	unsigned kept = 0;
	bool any;

	for (unsigned i = 0; i < addresses->n; i++) {
		const struct entry *entry = &addresses->entries[i];

		if (entry->interface != old->interface || entry->bits != old->bits || !net_same(&entry->own, &old->own))
			addresses->entries[kept++] = *entry;
	}
	any = kept != addresses->n;
	addresses->n = kept;
	return any;
}

static bool remove_unlisted(struct host_addresses *addresses)
{
	unsigned kept = 0;
	bool any;

	for (unsigned i = 0; i < addresses->n; i++)
		if (addresses->entries[i].list == addresses->list)
			addresses->entries[kept++] = addresses->entries[i];
	any = kept != addresses->n;
	addresses->n = kept;
	return any;
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

static bool add_edges(struct host_addresses *addresses, struct entry entry, bool ipv4)
{
	bool any = false;

	if (entry.bits >= 127) /* RFC 3021, RFC 6164: two hosts, and nothing else */
		return false;
	entry.address = edge(&entry.own, entry.bits, false);
	any = add(addresses, &entry);
	if (ipv4) {
		entry.address = edge(&entry.own, entry.bits, true);
		any = add(addresses, &entry) || any;
	}
	return any;
}

/* RTM_NEWADDR, RTM_DELADDR. True: the set is another one. */
static bool take_address(struct host_addresses *addresses, struct nlmsghdr *message)
{
	struct ifaddrmsg *head = NLMSG_DATA(message);
	struct in6_addr local = { .s6_addr = { 0 } }, address = local, broadcast = local;
	bool has_local = false, has_address = false, has_broadcast = false, any;
	struct entry entry = { .interface = 0 };
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
	entry.interface = head->ifa_index;
	entry.own = has_local ? local : address;
	entry.bits = head->ifa_prefixlen + (head->ifa_family == AF_INET ? 96u : 0u);
	if (entry.bits > 128)
		entry.bits = 128;
	if (message->nlmsg_type == RTM_DELADDR)
		return remove_of(addresses, &entry);
	entry.address = entry.own;
	any = add(addresses, &entry);
	if (has_broadcast) {
		entry.address = broadcast;
		any = add(addresses, &entry) || any;
	}
	return add_edges(addresses, entry, head->ifa_family == AF_INET) || any;
}

static int ask_for_list(struct host_addresses *addresses)
{
	struct {
		struct nlmsghdr head;
		struct ifaddrmsg address;
	} request = {
		.head = { .nlmsg_len = sizeof request,
		          .nlmsg_type = RTM_GETADDR,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		          .nlmsg_seq = addresses->list + 1 },
		.address = { .ifa_family = AF_UNSPEC },
	};

	if (send(addresses->fd, &request, sizeof request, 0) < 0)
		return -errno;
	addresses->list++;
	addresses->listing = true;
	addresses->incomplete = false;
	return 0;
}

/* One datagram of messages. True: the set is another one. */
static bool take_messages(struct host_addresses *addresses, void *data, size_t len)
{
	bool any = false;

	for (struct nlmsghdr *message = data; NLMSG_OK(message, len); message = NLMSG_NEXT(message, len)) {
		const bool ours = addresses->listing && message->nlmsg_seq == addresses->list;

		if (ours && (message->nlmsg_flags & NLM_F_DUMP_INTR))
			addresses->incomplete = true;
		switch (message->nlmsg_type) {
		case RTM_NEWADDR:
		case RTM_DELADDR:
			any = take_address(addresses, message) || any;
			break;
		case NLMSG_DONE:
		case NLMSG_ERROR:
			if (!ours)
				break;
			addresses->listing = false;
			if (message->nlmsg_type == NLMSG_ERROR)
				addresses->incomplete = true;
			else if (!addresses->incomplete)
				any = remove_unlisted(addresses) || any;
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
		addresses->listing = false;
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
	if (addresses->incomplete && !addresses->listing && more == 0)
		ask_for_list(addresses); /* a failure: tried again with the next message */
	if (any && addresses->changed)
		addresses->changed(addresses->ctx);
}

/* ---- life ---- */

static int open_socket(void)
{
	const struct sockaddr_nl at = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	int rc;

	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)&at, sizeof at) == 0)
		return fd;
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
	int rc = ask_for_list(addresses);

	while (rc >= 0 && (addresses->listing || addresses->incomplete)) {
		if (!addresses->listing) {
			rc = tries++ < LIST_TRIES ? ask_for_list(addresses) : -EAGAIN;
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
	addresses->fd = open_socket();
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
	free(addresses->entries);
	free(addresses);
}

int host_addresses_fixed(const struct in6_addr *list, unsigned n, struct host_addresses **out)
{
	struct host_addresses *addresses = calloc(1, sizeof *addresses);

	*out = NULL;
	if (!addresses)
		return -ENOMEM;
	addresses->fd = -1;
	for (unsigned i = 0; i < n; i++)
		add(addresses, &(struct entry){ .address = list[i], .own = list[i], .bits = 128 });
	if (addresses->incomplete) {
		host_addresses_free(addresses);
		return -ENOMEM;
	}
	*out = addresses;
	return 0;
}
