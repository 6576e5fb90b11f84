/* SPDX-License-Identifier: MIT */
/*
 * tcp-end.c - how connections end, each of them in tcp_end(): socket closed, out of the table, freed.
 *
 * A RST is the one thing that a guest must not miss, as nothing would repeat it. Where the guest has no receive buffer
 * at the time the connection stays, without its socket, until it has, or for PATIENCE. In the same way it stays while
 * its socket has not yet taken all that the guest sent.
 */
#include <errno.h>
#include <stdlib.h>

#include "plugins/net-nat/tcp-flow.h"

#define PATIENCE 60000u /* ms */

void tcp_end(struct tcp_flow *f)
{
	struct nat *nat = f->flow.nat;

	timeout_clear(nat->timeouts, &f->flow.timeout);
	tcp_flow_unlist(f);
	tcp_kept_end(f);
	tcp_ahead_end(f);
	unacked_close(&nat->tcp->pool, &f->unacked);
	sockets_close(nat->sockets, &f->flow.source);
	flows_remove(nat->flows, &f->flow);
	free(f->name);
	free(f);
}

void tcp_end_well(struct tcp_flow *f)
{
	if (f->ack_due) /* nobody will at the end of the batch */
		(void)segment_send(f, TH_ACK, f->send_next, NULL, 0);
	f->ack_due = false;
	if (!f->kept) {
		tcp_end(f);
		return;
	}
	tcp_flow_unlist(f);
	(void)timeout_set(f->flow.nat->timeouts, &f->flow.timeout, PATIENCE);
}

/* The peer sees a RST, not an end of data that looks like a good one (socket(7), SO_LINGER). */
static void abort_socket(struct tcp_flow *f)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };

	if (f->flow.source.fd >= 0 && f->connected)
		(void)setsockopt(f->flow.source.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	sockets_close(f->flow.nat->sockets, &f->flow.source);
}

void tcp_end_abort(struct tcp_flow *f)
{
	abort_socket(f);
	tcp_end(f);
}

bool tcp_end_go(struct tcp_flow *f)
{
	if (segment_send(f, TH_RST | TH_ACK, f->send_next, NULL, 0) == -EAGAIN) {
		tcp_flow_enlist(f, TCP_LIST_ROOM);
		return true;
	}
	tcp_end(f);
	return false;
}

void tcp_end_reset(struct tcp_flow *f)
{
	struct nat *nat = f->flow.nat;

	if (f->reset_due)
		return;
	if (f->state == TCP_STATE_CLOSED) {
		tcp_end_abort(f);
		return;
	}
	abort_socket(f);
	tcp_kept_end(f);
	tcp_ahead_end(f);
	unacked_close(&nat->tcp->pool, &f->unacked);
	tcp_flow_event(f, TCP_EVENT_RESET);
	f->reset_due = true;
	if (tcp_end_go(f))
		(void)timeout_set(nat->timeouts, &f->flow.timeout, PATIENCE);
}

void tcp_end_arrive(struct tcp_flow *f, const struct segment *segment)
{
	if (segment->flags & TH_RST)
		tcp_end_abort(f);
	else if (f->reset_due)
		(void)tcp_end_go(f);
	else
		(void)segment_send(f, TH_ACK, f->send_next, NULL, 0);
}

void tcp_end_ready(struct tcp_flow *f)
{
	if (f->reset_due)
		return;
	if (tcp_kept_flush(f) < 0)
		tcp_end_abort(f);
	else if (!f->kept)
		tcp_end(f);
}

static void deny(struct flow *flow)
{
	tcp_end_reset((struct tcp_flow *)flow);
}

static void drop(struct flow *flow)
{
	tcp_end_abort((struct tcp_flow *)flow);
}

const struct flow_kind flow_tcp = { .name = "tcp", .deny = deny, .drop = drop, .name_fits = tcp_kept_name_fits };
