/* SPDX-License-Identifier: MIT */
/*
 * tcp-kept.c - text of the guest's that was taken, and cannot go on yet. Two reasons:
 *
 *   room   The socket took less than the window that was offered. The kernel's own bookkeeping has a price, so that is
 *          not always foreseen; what the guest sent within its window is never thrown away for that. No more is offered
 *          while something is kept. All connections together keep TCP_KEPT_MOST; beyond, the guest has to send it
 *          again.
 *   name   check_names (policy.h): the first bytes on a connection that was allowed by a domain stay here until they
 *          have said a name (name-check.h). Where they say none, or one that is not allowed, the connection ends with
 *          a RST, and nothing has been sent. The name stays with the connection, for rules that come later. One whose
 *          first bytes have gone on under rules that did not ask for a name has none, and ends with rules that do.
 *
 * Kept bytes are acknowledged. In order, so while there are some all text comes here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "plugins/net-nat/name-check.h"
#include "plugins/net-nat/tcp-flow.h"

#define ROOM_LEAST 4096u

struct tcp_kept {
	size_t begin, end, room; /* of bytes[] */
	bool unnamed;            /* the name has not come yet */
	unsigned char *bytes;
};

/* Makes room for `len` more. False: there is none. */
static bool grow(struct tcp_flow *f, size_t len)
{
	struct tcp_kept *kept = f->kept;
	size_t room = kept->room ? kept->room : ROOM_LEAST;
	unsigned char *bytes;

	if (len <= kept->room - kept->end)
		return true;
	while (room - kept->end < len)
		room *= 2;
	if (room - kept->room > TCP_KEPT_MOST - tcp_of(f)->kept_bytes)
		return false;
	bytes = realloc(kept->bytes, room);
	if (!bytes)
		return false;
	tcp_of(f)->kept_bytes += room - kept->room;
	kept->bytes = bytes;
	kept->room = room;
	return true;
}

static bool needs_name(const struct tcp_flow *f)
{
	return !f->flow.inbound && f->flow.verdict.by_name && policy_checks_names(f->flow.nat->policy);
}

int tcp_kept_begin(struct tcp_flow *f)
{
	if (!needs_name(f))
		return 0;
	f->kept = calloc(1, sizeof *f->kept);
	if (!f->kept)
		return -ENOMEM;
	f->kept->unnamed = true;
	return 0;
}

void tcp_kept_end(struct tcp_flow *f)
{
	if (!f->kept)
		return;
	tcp_of(f)->kept_bytes -= f->kept->room;
	free(f->kept->bytes);
	free(f->kept);
	f->kept = NULL;
}

bool tcp_kept_is_unnamed(const struct tcp_flow *f)
{
	return f->kept && f->kept->unnamed;
}

size_t tcp_kept_room(const struct tcp_flow *f)
{
	return f->kept->unnamed ? NAME_CHECK_MAX - f->kept->end : 0;
}

int tcp_kept_flush(struct tcp_flow *f)
{
	struct tcp_kept *kept = f->kept;

	if (kept->unnamed)
		return 0;
	while (kept->begin < kept->end) {
		ssize_t n = send(f->flow.source.fd, kept->bytes + kept->begin, kept->end - kept->begin,
		                 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			f->waiting = true;
			return 0;
		}
		if (n < 0)
			return -errno;
		kept->begin += (size_t)n;
	}
	tcp_kept_end(f);
	if (f->shut_due)
		(void)shutdown(f->flow.source.fd, SHUT_WR);
	f->shut_due = false;
	return 0;
}

static bool may_have_name(const struct tcp_flow *f, const char *name, bool outer)
{
	const struct policy *policy = f->flow.nat->policy;

	return (!outer || policy_allows_ech(policy)) && policy_name_fits(policy, &f->flow.verdict, name);
}

static int judge(struct tcp_flow *f)
{
	struct tcp_kept *kept = f->kept;
	char name[POLICY_NAME_MAX];
	const enum name_check found = name_check(kept->bytes, kept->end, name);

	if (found == NAME_CHECK_MORE)
		return kept->end < NAME_CHECK_MAX ? 0 : -EACCES;
	if (found == NAME_CHECK_NONE || !may_have_name(f, name, found == NAME_CHECK_OUTER))
		return -EACCES;
	f->name = strdup(name);
	if (!f->name)
		return -ENOMEM;
	f->outer = found == NAME_CHECK_OUTER;
	kept->unnamed = false;
	return tcp_kept_flush(f);
}

/* No rule asks for a name any more: what has waited for one goes on. False: its socket has failed. */
static bool release(struct tcp_flow *f)
{
	if (!tcp_kept_is_unnamed(f))
		return true;
	f->kept->unnamed = false;
	if (f->kept->end)
		return tcp_kept_flush(f) == 0;
	tcp_kept_end(f);
	return true;
}

bool tcp_kept_name_fits(struct flow *flow)
{
	struct tcp_flow *f = (struct tcp_flow *)flow;

	if (!needs_name(f))
		return release(f);
	if (f->name)
		return may_have_name(f, f->name, f->outer);
	if (tcp_kept_is_unnamed(f))
		return true; /* still to be said */
	/* Nothing has been sent: the first bytes are still to come, or never will. */
	if (flow->tx_bytes)
		return false;
	if (f->state == TCP_STATE_CLOSED ||
	    (tcp_state_is_open(tcp_flow_state(f)) && !tcp_state_takes_data(tcp_flow_state(f))))
		return true;
	return tcp_kept_begin(f) == 0;
}

static size_t copy_pieces(unsigned char *to, const struct iovec *iov, unsigned n, size_t skip, size_t len)
{
	size_t done = 0;

	for (; n > 0 && done < len; n--, iov++) {
		size_t here = iov->iov_len;

		if (skip >= here) {
			skip -= here;
			continue;
		}
		here = here - skip < len - done ? here - skip : len - done;
		memcpy(to + done, (const unsigned char *)iov->iov_base + skip, here);
		done += here;
		skip = 0;
	}
	return done;
}

ssize_t tcp_kept_add(struct tcp_flow *f, const struct iovec *iov, unsigned n, size_t skip, size_t len)
{
	int rc;

	if (!f->kept) {
		f->kept = calloc(1, sizeof *f->kept);
		if (!f->kept)
			return 0;
	}
	if (f->kept->unnamed && len > NAME_CHECK_MAX - f->kept->end)
		len = NAME_CHECK_MAX - f->kept->end;
	if (!grow(f, len)) {
		if (!f->kept->end && !f->kept->unnamed)
			tcp_kept_end(f);
		return 0;
	}
	len = copy_pieces(f->kept->bytes + f->kept->end, iov, n, skip, len);
	f->kept->end += len;
	if (!f->kept->unnamed)
		return (ssize_t)len;
	rc = judge(f);
	if (rc == -EACCES)
		flow_unnamed(&f->flow);
	return rc < 0 ? rc : (ssize_t)len;
}
