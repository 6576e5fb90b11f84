/* SPDX-License-Identifier: MIT */
/* error-queue.c - see error-queue.h. */
#include "plugins/net-nat/error-queue.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include <linux/errqueue.h>

int error_queue_open(int fd, int family)
{
	const int yes = 1;

	if (family == AF_INET6)
		return setsockopt(fd, IPPROTO_IPV6, IPV6_RECVERR, &yes, sizeof yes) < 0 ? -errno : 0;
	return setsockopt(fd, IPPROTO_IP, IP_RECVERR, &yes, sizeof yes) < 0 ? -errno : 0;
}

static bool is_expired(const struct sock_extended_err *report)
{
	if (report->ee_origin == SO_EE_ORIGIN_ICMP)
		return report->ee_type == ICMP_TIME_EXCEEDED && report->ee_code == ICMP_EXC_TTL;
	return report->ee_origin == SO_EE_ORIGIN_ICMP6 && report->ee_type == ICMP6_TIME_EXCEEDED &&
	       report->ee_code == ICMP6_TIME_EXCEED_TRANSIT;
}

/* Who said so stands behind the report (ip(7), SO_EE_OFFENDER). */
static void read_router(const struct cmsghdr *c, struct error_report *out)
{
	const size_t at = CMSG_LEN(sizeof(struct sock_extended_err));
	struct sockaddr_storage address = { .ss_family = AF_UNSPEC };
	struct net_endpoint from;

	if (c->cmsg_len < at || c->cmsg_len - at > sizeof address)
		return;
	memcpy(&address, (const unsigned char *)c + at, c->cmsg_len - at);
	if (net_from_sockaddr((const struct sockaddr *)&address, &from) == 0)
		out->router = from.address;
}

bool error_queue_take(int fd, struct error_report *out, void *quote, size_t *quote_len)
{
	union {
		struct cmsghdr align;
		/* The report, and behind it the address of who said so. */
		char room[CMSG_SPACE(sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in6))];
	} control;
	struct iovec iov = { .iov_base = quote, .iov_len = quote ? *quote_len : 0 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control
	};
	ssize_t n = recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (n < 0)
		return false;
	*out = (struct error_report){ .error = EIO };
	if (quote)
		*quote_len = (size_t)n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		struct sock_extended_err report;

		if (!(c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) &&
		    !(c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR))
			continue;
		memcpy(&report, CMSG_DATA(c), sizeof report);
		out->error = (int)report.ee_errno;
		out->local = report.ee_origin == SO_EE_ORIGIN_LOCAL;
		out->expired = is_expired(&report);
		read_router(c, out);
		out->mtu = report.ee_errno == EMSGSIZE ? report.ee_info : 0;
	}
	return true;
}

uint32_t error_queue_mtu(int fd, int family)
{
	int mtu = 0;
	socklen_t len = sizeof mtu;
	int rc = family == AF_INET6 ? getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &len)
	                            : getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &len);

	return rc < 0 || mtu < 0 ? 0 : (uint32_t)mtu;
}
