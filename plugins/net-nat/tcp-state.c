/* SPDX-License-Identifier: MIT */
/*
 * tcp-state.c - see tcp-state.h. What the table does not name is not legal: for a FIN that comes again, or an
 * acknowledgement of what was acknowledged, nothing happens.
 */
#include "plugins/net-nat/tcp-state.h"

#include <assert.h>

struct row {
	const char *name;
	bool open, takes_data, sends_data, fin_out;
	/* Where an event leads, + 1; 0: not legal. */
	unsigned char next[TCP_EVENTS];
};

#define TO(state) (TCP_STATE_##state + 1)

static const struct row table[TCP_STATES] = {
	[TCP_STATE_CONNECTING] = { .name = "connecting",
	                           .next = { [TCP_EVENT_CONNECTED] = TO(SYN_RECEIVED),
	                                     [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_SYN_RECEIVED] = { .name = "syn-received",
	                             .next = { [TCP_EVENT_SYN_ACKED] = TO(ESTABLISHED),
	                                       [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_SYN_SENT] = { .name = "syn-sent",
	                         .next = { [TCP_EVENT_SYN_ACKED] = TO(ESTABLISHED),
	                                   [TCP_EVENT_GUEST_SYN] = TO(SYN_RECEIVED),
	                                   [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_ESTABLISHED] = { .name = "established",
	                            .open = true,
	                            .takes_data = true,
	                            .sends_data = true,
	                            .next = { [TCP_EVENT_GUEST_FIN] = TO(CLOSE_WAIT),
	                                      [TCP_EVENT_HOST_FIN] = TO(FIN_WAIT_1),
	                                      [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_CLOSE_WAIT] = { .name = "close-wait",
	                           .open = true,
	                           .sends_data = true,
	                           .next = { [TCP_EVENT_HOST_FIN] = TO(LAST_ACK), [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_FIN_WAIT_1] = { .name = "fin-wait-1",
	                           .open = true,
	                           .takes_data = true,
	                           .fin_out = true,
	                           .next = { [TCP_EVENT_GUEST_FIN] = TO(CLOSING),
	                                     [TCP_EVENT_FIN_ACKED] = TO(FIN_WAIT_2),
	                                     [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_FIN_WAIT_2] = { .name = "fin-wait-2",
	                           .open = true,
	                           .takes_data = true,
	                           .next = { [TCP_EVENT_GUEST_FIN] = TO(CLOSED), [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_CLOSING] = { .name = "closing",
	                        .open = true,
	                        .fin_out = true,
	                        .next = { [TCP_EVENT_FIN_ACKED] = TO(CLOSED), [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_LAST_ACK] = { .name = "last-ack",
	                         .open = true,
	                         .fin_out = true,
	                         .next = { [TCP_EVENT_FIN_ACKED] = TO(CLOSED), [TCP_EVENT_RESET] = TO(CLOSED) } },
	[TCP_STATE_CLOSED] = { .name = "closed" },
};

bool tcp_state_event(enum tcp_state *state, enum tcp_event event)
{
	const unsigned char next = table[*state].next[event];

	assert(event < TCP_EVENTS);
	if (!next)
		return false;
	*state = (enum tcp_state)(next - 1);
	return true;
}

bool tcp_state_is_open(enum tcp_state state)
{
	return table[state].open;
}

bool tcp_state_takes_data(enum tcp_state state)
{
	return table[state].takes_data;
}

bool tcp_state_sends_data(enum tcp_state state)
{
	return table[state].sends_data;
}

bool tcp_state_has_fin_out(enum tcp_state state)
{
	return table[state].fin_out;
}

const char *tcp_state_name(enum tcp_state state)
{
	return table[state].name;
}
