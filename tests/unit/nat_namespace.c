/* SPDX-License-Identifier: MIT */
/* nat_namespace.c - see nat_namespace.h. By ioctl(2), as ip(8) may not be there. */
#include "tests/unit/nat_namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/ipv6.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static char reason[128];

static bool put_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

static bool become_root(uid_t uid, gid_t gid)
{
	char map[64];

	snprintf(map, sizeof map, "0 %u 1", uid);
	if (!put_text("/proc/self/uid_map", map) || !put_text("/proc/self/setgroups", "deny"))
		return false;
	snprintf(map, sizeof map, "0 %u 1", gid);
	return put_text("/proc/self/gid_map", map);
}

static bool set_address(int fd, const char *interface, const char *address)
{
	struct ifreq request = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&request.ifr_addr;

	snprintf(request.ifr_name, sizeof request.ifr_name, "%s", interface);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, address, &in->sin_addr);
	if (ioctl(fd, SIOCSIFADDR, &request) < 0)
		return false;
	inet_pton(AF_INET, "255.255.255.255", &in->sin_addr);
	return ioctl(fd, SIOCSIFNETMASK, &request) == 0;
}

static void set_address6(const char *address)
{
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct in6_ifreq request = { .ifr6_prefixlen = 128, .ifr6_ifindex = (int)if_nametoindex("lo") };

	if (fd < 0)
		return;
	put_text("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "0"); /* some hosts have none by default */
	inet_pton(AF_INET6, address, &request.ifr6_addr);
	(void)!ioctl(fd, SIOCSIFADDR, &request); /* namespace_has_ipv6() sees it */
	close(fd);
}

static bool raise_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done;

	if (fd < 0)
		return false;
	done = ioctl(fd, SIOCGIFFLAGS, &request) == 0;
	request.ifr_flags |= IFF_UP;
	done = done && ioctl(fd, SIOCSIFFLAGS, &request) == 0 && set_address(fd, "lo:1", FAR_HOST) &&
	       set_address(fd, "lo:2", FAR_HOST_2);
	close(fd);
	set_address6(FAR_HOST6);
	return done;
}

bool namespace_set_second(bool there)
{
	struct ifreq request = { .ifr_name = "lo:2" }; /* an alias that is down is no more */
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool done = fd >= 0;

	if (done)
		done = there ? set_address(fd, "lo:2", FAR_HOST_2) : ioctl(fd, SIOCSIFFLAGS, &request) == 0;
	if (fd >= 0)
		close(fd);
	return done;
}

const char *namespace_enter(void)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();

	/* Root needs no user namespace, and where those are forbidden has its network all the same. */
	if (unshare(uid == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET) < 0)
		snprintf(reason, sizeof reason, "no network namespace: %s", strerror(errno));
	else if (uid != 0 && !become_root(uid, gid))
		snprintf(reason, sizeof reason, "no root in a user namespace: %s", strerror(errno));
	else if (!raise_loopback())
		snprintf(reason, sizeof reason, "no loopback in a network namespace: %s", strerror(errno));
	else
		return NULL;
	return reason;
}

bool namespace_has_ipv6(void)
{
	struct sockaddr_in6 at = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool has;

	inet_pton(AF_INET6, FAR_HOST6, &at.sin6_addr);
	has = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
	if (fd >= 0)
		close(fd);
	return has;
}

bool namespace_set_route(const char *prefix, unsigned char type, unsigned char table, bool there)
{
	struct {
		struct nlmsghdr head;
		struct rtmsg route;
		unsigned char attributes[64];
	} request = { .head = { .nlmsg_type = there ? RTM_NEWROUTE : RTM_DELROUTE,
		                .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | (there ? NLM_F_CREATE | NLM_F_EXCL : 0) } };
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} answer = { .error = { .error = -EIO } };
	struct rtattr *attribute = (struct rtattr *)request.attributes;
	const unsigned interface = if_nametoindex("lo");
	const bool ipv4 = !strchr(prefix, ':');
	const char *slash = strchr(prefix, '/');
	unsigned char address[16];
	char text[INET6_ADDRSTRLEN];
	int fd;

	snprintf(text, sizeof text, "%.*s", slash ? (int)(slash - prefix) : 0, prefix);
	if (inet_pton(ipv4 ? AF_INET : AF_INET6, text, address) != 1)
		return false;
	request.route = (struct rtmsg){ .rtm_family = ipv4 ? AF_INET : AF_INET6,
		                        .rtm_dst_len = (unsigned char)strtoul(slash + 1, NULL, 10),
		                        .rtm_table = table ? table : RT_TABLE_LOCAL,
		                        .rtm_protocol = RTPROT_STATIC,
		                        .rtm_scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
		                        .rtm_type = type };
	attribute->rta_type = RTA_DST;
	attribute->rta_len = RTA_LENGTH(ipv4 ? 4 : 16);
	memcpy(RTA_DATA(attribute), address, ipv4 ? 4 : 16);
	request.head.nlmsg_len = NLMSG_LENGTH(sizeof request.route) + RTA_ALIGN(attribute->rta_len);
	attribute = (struct rtattr *)((unsigned char *)&request + request.head.nlmsg_len);
	attribute->rta_type = RTA_OIF;
	attribute->rta_len = RTA_LENGTH(sizeof interface);
	memcpy(RTA_DATA(attribute), &interface, sizeof interface);
	request.head.nlmsg_len += RTA_ALIGN(attribute->rta_len);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return false;
	/* The kernel has answered when send(2) returns. */
	if (send(fd, &request, request.head.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof answer, MSG_DONTWAIT) < 0)
		answer.error.error = -errno;
	close(fd);
	return answer.error.error == 0;
}

bool namespace_set_ping(bool permitted)
{
	return put_text("/proc/sys/net/ipv4/ping_group_range", permitted ? "0 0" : "1 0");
}
