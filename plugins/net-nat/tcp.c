/* SPDX-License-Identifier: MIT */
/*
 * tcp.c - see tcp.h and, for the rooms, tcp-flow.h: whom a segment belongs to, and who has something to do.
 *
 * LINES. A connection to which a segment came is dirty until the batch ends: then it sends what its window allows, and
 * one acknowledgement where no data carried it. One that found no receive buffer, or no tokens, stands in the line of
 * those, and keeps its place whatever the guest sends. Nobody is looked for: who stands nowhere has nothing to do.
 *
 * TURNS. What a line waits for may come in little pieces, and the line be long. So connections have their turn from the
 * front, only as long as there is something left, and who had something and wants more stands at the end. The one that
 * there was too little for stays the first. So a turn costs what it brings, however many wait, and all have theirs.
 */
#include "plugins/net-nat/tcp.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "plugins/net-nat/rate.h"
#include "plugins/net-nat/tcp-flow.h"

int tcp_new(struct nat *nat, struct tcp **out)
{
	struct tcp *tcp = calloc(1, sizeof *tcp);
	int rc;

	*out = NULL;
	if (!tcp)
		return -ENOMEM;
	tcp->nat = nat;
	TAILQ_INIT(&tcp->dirty);
	for (unsigned i = 0; i < TCP_LISTS; i++)
		TAILQ_INIT(&tcp->lists[i]);
	rc = hash_secret_new(&tcp->secret);
	if (rc < 0) {
		free(tcp);
		return rc;
	}
	unacked_pool_open(&tcp->pool, nat->host, nat->dev);
	*out = tcp;
	return 0;
}

void tcp_free(struct tcp *tcp)
{
	if (!tcp)
		return;
	unacked_pool_close(&tcp->pool);
	free(tcp);
}

void tcp_flow_event(struct tcp_flow *f, enum tcp_event event)
{
	enum tcp_state state = tcp_flow_state(f);
	const bool legal = tcp_state_event(&state, event);

	assert(legal);
	(void)legal;
	f->state = (uint8_t)state;
}

void tcp_flow_enlist(struct tcp_flow *f, enum tcp_list list)
{
	struct tcp *tcp = tcp_of(f);
	unsigned line = list;

	if (list == TCP_LIST_ROOM)
		line += nic_receive_pair(tcp->nat->nic, f->flow.pair);
	if (f->list == line)
		return;
	if (f->list != TCP_LIST_NONE)
		TAILQ_REMOVE(&tcp->lists[f->list], f, link);
	f->list = (uint8_t)line;
	if (line != TCP_LIST_NONE)
		TAILQ_INSERT_TAIL(&tcp->lists[line], f, link);
}

void tcp_flow_mark(struct tcp_flow *f)
{
	if (f->dirty)
		return;
	f->dirty = true;
	TAILQ_INSERT_TAIL(&tcp_of(f)->dirty, f, dirty_link);
}

static void unmark(struct tcp_flow *f)
{
	if (!f->dirty)
		return;
	f->dirty = false;
	TAILQ_REMOVE(&tcp_of(f)->dirty, f, dirty_link);
}

void tcp_flow_unlist(struct tcp_flow *f)
{
	unmark(f);
	tcp_flow_enlist(f, TCP_LIST_NONE);
}

/*
 * The window, by what the socket has room for now. Text has been taken since it was looked at last, but the
 * acknowledgement of that may have gone already, with the edge as it was: at once, or with data.
 */
static void offer(struct tcp_flow *f)
{
	const uint32_t edge = f->receive_edge;

	if (!tcp_state_takes_data(tcp_flow_state(f)))
		return;
	tcp_receive_offer(f);
	if (f->receive_edge != edge)
		f->ack_due = true;
}

bool tcp_flow_go(struct tcp_flow *f)
{
	if (f->reset_due)
		return tcp_end_go(f);
	if (f->state == TCP_STATE_CONNECTING || f->state == TCP_STATE_CLOSED)
		return true;
	if (!tcp_state_is_open(tcp_flow_state(f))) {
		if (f->ack_due)
			tcp_open_speak(f);
		return true;
	}
	unacked_settle(&f->unacked, f->flow.source.fd);
	offer(f);
	if (!tcp_transmit(f))
		return false;
	if (f->ack_due && tcp_receive_acknowledge(f) == -EAGAIN)
		tcp_flow_enlist(f, TCP_LIST_ROOM);
	return true;
}

/* ---- from the guest ---- */

/* The guest has forgotten the old one: it was started again, or its port comes round again. */
static bool is_new_connection(const struct tcp_flow *f, const struct segment *segment)
{
	return (segment->flags & (TH_SYN | TH_ACK | TH_RST)) == TH_SYN &&
	       (f->state == TCP_STATE_CLOSED ||
	        (f->state != TCP_STATE_SYN_SENT && segment->sequence != f->receive_first));
}

static void take(struct tcp_flow *f, const struct nic_frame *frame, const struct segment *segment)
{
	bool go_on = true;

	if (f->flow.pair != frame->pair) {
		f->flow.pair = frame->pair;
		if (f->list >= TCP_LIST_ROOM) /* it may be another pair's line now */
			tcp_flow_enlist(f, TCP_LIST_ROOM);
	}
	if (f->state == TCP_STATE_CLOSED) {
		tcp_end_arrive(f, segment);
		return;
	}
	if (!tcp_state_is_open(tcp_flow_state(f)) && (!tcp_open_arrive(f, segment, &go_on) || !go_on))
		return;
	(void)tcp_receive(f, frame, segment);
}

void tcp_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet)
{
	const struct flow_key key = { .guest = { packet->source, packet->source_port },
		                      .far = { packet->target, packet->target_port },
		                      .protocol = IPPROTO_TCP };
	struct segment segment;
	struct tcp_flow *f;

	if (!packet->source_port || !packet->target_port || !segment_is_whole(frame, packet)) {
		counter_add(nat->counters.malformed, 1);
		return;
	}
	segment_parse(frame->head, packet, &segment);
	f = (struct tcp_flow *)flows_find(nat->flows, &key);
	if (f && is_new_connection(f, &segment)) {
		tcp_end_abort(f);
		f = NULL;
	}
	if (f)
		take(f, frame, &segment);
	else if ((segment.flags & (TH_SYN | TH_ACK | TH_RST | TH_FIN)) == TH_SYN)
		tcp_open(nat, frame, packet, &segment);
	else
		segment_refuse(nat, frame, packet, &segment);
}

void tcp_batch_end(struct nat *nat)
{
	struct tcp_flow_list *line = &nat->tcp->dirty;
	struct tcp_flow *last = TAILQ_LAST(line, tcp_flow_list);
	bool more = last;

	/* All that are now, once: not more than a batch has frames. */
	while (more) {
		struct tcp_flow *f = TAILQ_FIRST(line);

		more = f != last;
		unmark(f);
		(void)tcp_flow_go(f);
		if (more && TAILQ_EMPTY(line))
			return;
	}
}

/* The first one's turn. Nothing came of it where it has sent nothing and stands here again. */
static void turn(struct tcp *tcp, unsigned list)
{
	struct tcp_flow_list *line = &tcp->lists[list];
	struct tcp_flow *f = TAILQ_FIRST(line);
	const uint32_t sent = f->send_next;

	tcp_flow_enlist(f, TCP_LIST_NONE);
	if (!tcp_flow_go(f) || f->list != list || f->send_next != sent)
		return;
	TAILQ_REMOVE(line, f, link);
	TAILQ_INSERT_HEAD(line, f, link);
}

void tcp_room(struct nat *nat, unsigned pair)
{
	struct tcp_flow_list *line = &nat->tcp->lists[TCP_LIST_ROOM + pair];

	/* A pair that the driver has given up: they wait for the buffers of another one now. */
	if (nic_receive_pair(nat->nic, pair) != pair) {
		while (!TAILQ_EMPTY(line))
			tcp_flow_enlist(TAILQ_FIRST(line), TCP_LIST_ROOM);
		nic_room_again(nat->nic, nic_receive_pair(nat->nic, pair));
		return;
	}
	for (unsigned turns = 0; !TAILQ_EMPTY(line) && !nic_is_short(nat->nic, pair); turns++) {
		if (turns == TCP_TURNS) {
			nic_room_again(nat->nic, pair);
			return;
		}
		turn(nat->tcp, TCP_LIST_ROOM + pair);
	}
}

bool tcp_resume(struct nat *nat)
{
	struct tcp *tcp = nat->tcp;
	struct tcp_flow_list *line = &tcp->lists[TCP_LIST_TOKENS];
	unsigned turns = 0;

	tcp->resuming = true;
	for (; !TAILQ_EMPTY(line) && turns < TCP_TURNS && rate_has(nat->rate, RATE_IN); turns++)
		turn(tcp, TCP_LIST_TOKENS);
	tcp->resuming = false;
	return !TAILQ_EMPTY(line) && turns == TCP_TURNS;
}
