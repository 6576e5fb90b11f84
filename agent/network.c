/* SPDX-License-Identifier: MIT */
/*
 * network.c - see network.h. Links, addresses and routes by rtnetlink(7), each a request that the kernel acknowledges
 * at once. The names' files are in network-files.c.
 *
 * Nothing waits here: init has loaded the card's module before the agent served, and loading it is probing it.
 */
#include "agent/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/network-files.h"

#define ANSWER_SIZE 32768u /* the kernel's own limit of a piece of a dump */

/* A request under way of being put together. */
struct request {
	struct nlmsghdr header;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg address;
		struct rtmsg route;
	};
	char attributes[256];
};

static void *tail(struct request *r)
{
	return (char *)r + NLMSG_ALIGN(r->header.nlmsg_len);
}

/* All there are fit: 256 bytes are more than six addresses. */
static void add(struct request *r, unsigned short type, const void *data, size_t len)
{
	struct rtattr *attribute = tail(r);

	attribute->rta_type = type;
	attribute->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(attribute), data, len);
	r->header.nlmsg_len = NLMSG_ALIGN(r->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static struct request request_of(unsigned short type, unsigned short flags, size_t body)
{
	return (struct request){ .header = { .nlmsg_len = (uint32_t)NLMSG_LENGTH(body),
		                             .nlmsg_type = type,
		                             .nlmsg_flags = NLM_F_REQUEST | flags } };
}

/* Sends it and takes the kernel's word. 0 or -errno. */
static int ask(int fd, struct request *r)
{
	union {
		struct nlmsghdr header;
		char bytes[1024];
	} answer;
	const struct nlmsgerr *error = NLMSG_DATA(&answer.header);
	ssize_t n;

	r->header.nlmsg_flags |= NLM_F_ACK;
	if (send(fd, r, r->header.nlmsg_len, 0) < 0)
		return -errno;
	do
		n = recv(fd, &answer, sizeof answer, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n < (ssize_t)NLMSG_LENGTH(sizeof *error) || answer.header.nlmsg_type != NLMSG_ERROR)
		return -EPROTO;
	return error->error;
}

/* ---- which card ---- */

struct search {
	bool any; /* an Ethernet card, whichever */
	unsigned char mac[6];
	unsigned index, found; /* found: so many of them */
};

static bool parse_mac(const char *text, unsigned char mac[6])
{
	int end = 0;

	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4],
	              &mac[5], &end) == 6 &&
	       end == 17 && !text[end];
}

static void look_at_link(struct search *search, struct nlmsghdr *header)
{
	struct ifinfomsg *link = NLMSG_DATA(header);
	size_t left =
		header->nlmsg_len > NLMSG_LENGTH(sizeof *link) ? header->nlmsg_len - NLMSG_LENGTH(sizeof *link) : 0;

	if (header->nlmsg_type != RTM_NEWLINK || link->ifi_type != ARPHRD_ETHER)
		return;
	for (struct rtattr *at = IFLA_RTA(link); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type != IFLA_ADDRESS || RTA_PAYLOAD(at) != sizeof search->mac)
			continue;
		if (search->any || memcmp(RTA_DATA(at), search->mac, sizeof search->mac) == 0) {
			search->index = (unsigned)link->ifi_index;
			search->found++;
		}
	}
}

static int search_links(int fd, struct search *search)
{
	struct request r = request_of(RTM_GETLINK, NLM_F_DUMP, sizeof r.link);
	struct nlmsghdr *answer = malloc(ANSWER_SIZE);
	int err = answer ? 1 : -ENOMEM;

	if (err > 0 && send(fd, &r, r.header.nlmsg_len, 0) < 0)
		err = -errno;
	while (err > 0) {
		ssize_t n = recv(fd, answer, ANSWER_SIZE, 0);
		size_t left = n > 0 ? (size_t)n : 0;

		if (n < 0 && errno != EINTR)
			err = -errno;
		for (struct nlmsghdr *at = answer; err > 0 && NLMSG_OK(at, left); at = NLMSG_NEXT(at, left)) {
			if (at->nlmsg_type == NLMSG_DONE)
				err = 0;
			else if (at->nlmsg_type == NLMSG_ERROR)
				err = -EPROTO;
			else
				look_at_link(search, at);
		}
	}
	free(answer);
	return err;
}

static int find_card(int fd, const char *mac, unsigned *index, char *what, size_t room)
{
	struct search search = { .any = !*mac };
	int err;

	if (*mac && !parse_mac(mac, search.mac)) {
		snprintf(what, room, "\"%.32s\" is no MAC", mac);
		return -EINVAL;
	}
	err = search_links(fd, &search);
	if (!err && !search.found) {
		snprintf(what, room, "no network card %s (has its kernel virtio_net?)", mac);
		return -ENODEV;
	}
	if (!err && search.found > 1) {
		snprintf(what, room, "there are %u network cards %s", search.found, mac);
		return -ENOTUNIQ;
	}
	if (err)
		snprintf(what, room, "network cards");
	*index = search.index;
	return err;
}

/* ---- setting it ---- */

static int set_up(int fd, unsigned index, uint32_t mtu)
{
	struct request r = request_of(RTM_NEWLINK, 0, sizeof r.link);

	r.link.ifi_index = (int)index;
	r.link.ifi_flags = IFF_UP;
	r.link.ifi_change = IFF_UP;
	if (mtu)
		add(&r, IFLA_MTU, &mtu, sizeof mtu);
	return ask(fd, &r);
}

struct address {
	int family;
	size_t len;
	unsigned char bytes[16];
	unsigned prefix; /* bits */
};

/* "10.0.2.2", and with `with_prefix` "10.0.2.2/24". */
static bool parse_address(const char *text, bool with_prefix, struct address *out)
{
	char host[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	char *end;

	if (len >= sizeof host || (text[len] == '/') != with_prefix)
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	out->family = strchr(host, ':') ? AF_INET6 : AF_INET;
	out->len = out->family == AF_INET ? 4 : 16;
	if (inet_pton(out->family, host, out->bytes) != 1)
		return false;
	if (!with_prefix)
		return true;
	out->prefix = (unsigned)strtoul(text + len + 1, &end, 10);
	return end != text + len + 1 && !*end && out->prefix <= out->len * 8;
}

/* What a kernel says that has no IPv6, or has it switched off. */
static bool is_without_ipv6(const struct address *a, int err)
{
	return a->family == AF_INET6 && (err == -EAFNOSUPPORT || err == -EOPNOTSUPP || err == -EACCES);
}

static int add_address(int fd, unsigned index, const char *text)
{
	struct request r = request_of(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof r.address);
	struct address a;
	int err;

	if (!parse_address(text, true, &a))
		return -EINVAL;
	r.address.ifa_family = (unsigned char)a.family;
	r.address.ifa_prefixlen = (unsigned char)a.prefix;
	r.address.ifa_index = index;
	/* It is the only guest there: nobody has it already, and it is to be of use at once (RFC 4862, 5.4). */
	r.address.ifa_flags = a.family == AF_INET6 ? IFA_F_NODAD : 0;
	add(&r, IFA_LOCAL, a.bytes, a.len);
	add(&r, IFA_ADDRESS, a.bytes, a.len);
	if (a.family == AF_INET && a.prefix < 31) {
		uint32_t all, hosts = htonl(UINT32_MAX >> a.prefix);

		if (!a.prefix)
			return -EINVAL;
		memcpy(&all, a.bytes, sizeof all);
		all |= hosts;
		add(&r, IFA_BROADCAST, &all, sizeof all);
	}
	err = ask(fd, &r);
	return is_without_ipv6(&a, err) ? 0 : err;
}

static int add_gateway(int fd, unsigned index, const char *text)
{
	struct request r = request_of(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, sizeof r.route);
	struct address a;
	int err;

	if (!parse_address(text, false, &a))
		return -EINVAL;
	r.route.rtm_family = (unsigned char)a.family;
	r.route.rtm_table = RT_TABLE_MAIN;
	r.route.rtm_protocol = RTPROT_BOOT;
	r.route.rtm_scope = RT_SCOPE_UNIVERSE;
	r.route.rtm_type = RTN_UNICAST;
	add(&r, RTA_GATEWAY, a.bytes, a.len);
	add(&r, RTA_OIF, &index, sizeof index);
	err = ask(fd, &r);
	/* Without IPv6 there was no address that a gateway could be reached from. */
	if (err == -EEXIST || is_without_ipv6(&a, err) || (a.family == AF_INET6 && err == -ENODEV))
		return 0;
	return err;
}

static int set_each(int fd, unsigned index, char *const *words, int (*set)(int fd, unsigned index, const char *text),
                    const char *kind, char *what, size_t room)
{
	for (; *words; words++) {
		int err = set(fd, index, *words);

		if (err) {
			snprintf(what, room, "the %s \"%.64s\"", kind, *words);
			return err;
		}
	}
	return 0;
}

static int set_card(int fd, const struct network_wanted *wanted, char *what, size_t room)
{
	unsigned index, loopback = if_nametoindex("lo");
	int err = find_card(fd, wanted->mac, &index, what, room);

	if (err)
		return err;
	if (loopback)
		set_up(fd, loopback, 0);
	err = set_up(fd, index, wanted->mtu);
	if (err)
		snprintf(what, room,
		         wanted->mtu ? "bringing the network card up, with an MTU of %u"
		                     : "bringing the network card up",
		         wanted->mtu);
	if (!err)
		err = set_each(fd, index, wanted->addresses, add_address, "address", what, room);
	if (!err)
		err = set_each(fd, index, wanted->gateways, add_gateway, "gateway", what, room);
	return err;
}

int network_set(const struct network_wanted *wanted, char *what, size_t room)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), err;

	if (fd < 0) {
		snprintf(what, room, "rtnetlink");
		return -errno;
	}
	err = set_card(fd, wanted, what, room);
	close(fd);
	if (!err && *wanted->host_name && sethostname(wanted->host_name, strlen(wanted->host_name))) {
		err = -errno;
		snprintf(what, room, "the host name \"%.64s\"", wanted->host_name);
	}
	return err ? err : network_write_files(wanted, what, room);
}
