/* SPDX-License-Identifier: MIT */
/*
 * tcp-names.c - check_names (policy.h): the first bytes that the guest sends on a connection that was allowed by a
 * domain stay here until they have said a name (name-check.h). Then all of them go on, and the rest does not come here.
 *
 * They are acknowledged when they are kept, as the guest would not send more otherwise. Where they say no name, or one
 * that is not allowed, the connection ends with a RST, and nothing has been sent.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "plugins/net-nat/name-check.h"
#include "plugins/net-nat/tcp-flow.h"

struct tcp_names {
	size_t len, sent;
	bool clear; /* it may go on */
	unsigned char bytes[NAME_CHECK_MAX];
};

int tcp_names_begin(struct tcp_flow *f)
{
	const struct nat *nat = f->flow.nat;

	if (f->flow.inbound || !f->flow.verdict.by_name || !policy_checks_names(nat->policy))
		return 0;
	f->names = malloc(sizeof *f->names);
	if (!f->names)
		return -ENOMEM;
	f->names->len = f->names->sent = 0;
	f->names->clear = false;
	return 0;
}

void tcp_names_end(struct tcp_flow *f)
{
	free(f->names);
	f->names = NULL;
}

int tcp_names_resume(struct tcp_flow *f)
{
	struct tcp_names *names = f->names;
	ssize_t n;

	if (!names->clear)
		return 0;
	while (names->sent < names->len) {
		n = send(f->flow.source.fd, names->bytes + names->sent, names->len - names->sent,
		         MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			f->waiting = f->full = true;
			return 0;
		}
		if (n < 0)
			return -errno;
		names->sent += (size_t)n;
	}
	tcp_names_end(f);
	return 0;
}

static int judge(struct tcp_flow *f)
{
	struct nat *nat = f->flow.nat;
	struct tcp_names *names = f->names;
	char name[POLICY_NAME_MAX];

	switch (name_check(names->bytes, names->len, name)) {
	case NAME_CHECK_MORE:
		return names->len < NAME_CHECK_MAX ? 0 : -EACCES;
	case NAME_CHECK_NAME:
		names->clear = policy_name_fits(nat->policy, &f->flow.verdict, name);
		return names->clear ? tcp_names_resume(f) : -EACCES;
	default:
		return -EACCES;
	}
}

ssize_t tcp_names_take(struct tcp_flow *f, const struct nic_frame *frame, size_t from, size_t len)
{
	struct tcp_names *names = f->names;
	int rc;

	if (names->clear)
		return 0;
	if (len > NAME_CHECK_MAX - names->len)
		len = NAME_CHECK_MAX - names->len;
	len = nic_frame_read(frame, from, names->bytes + names->len, len);
	names->len += len;
	rc = judge(f);
	if (rc == -EACCES)
		counter_add(f->flow.nat->counters.flows_denied, 1);
	return rc < 0 ? rc : (ssize_t)len;
}
