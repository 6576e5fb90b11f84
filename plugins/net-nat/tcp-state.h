/* SPDX-License-Identifier: MIT */
/*
 * tcp-state.h - in which state a connection is, and which event is legal in which (RFC 9293, 3.3.2). No state of its
 * own; any thread.
 *
 * States are those of the RFC as the end sees it that we are towards the guest, but for LISTEN, which has no flow, and
 * TIME-WAIT: a link that neither repeats nor delays needs none, and a FIN that the guest repeats after the end is
 * answered by a RST, which is nothing to it in LAST-ACK.
 */
#ifndef CAPSA_NAT_TCP_STATE_H
#define CAPSA_NAT_TCP_STATE_H

#include <stdbool.h>

enum tcp_state {
	TCP_STATE_CONNECTING,   /* the guest's SYN is here, connect(2) under way: nothing has been said to the guest */
	TCP_STATE_SYN_RECEIVED, /* our SYN+ACK is out */
	TCP_STATE_SYN_SENT,     /* a published port's: our SYN is out */
	TCP_STATE_ESTABLISHED,
	TCP_STATE_CLOSE_WAIT, /* the guest's FIN is here */
	TCP_STATE_FIN_WAIT_1, /* our FIN is out, for the socket's end of data */
	TCP_STATE_FIN_WAIT_2, /* and acknowledged; the guest may send on as long as it likes */
	TCP_STATE_CLOSING,    /* both FINs are out, ours first, not acknowledged */
	TCP_STATE_LAST_ACK,   /* both, the guest's first; ours is not acknowledged */
	TCP_STATE_CLOSED,     /* over */
	TCP_STATES,
};

enum tcp_event {
	TCP_EVENT_CONNECTED, /* connect(2) is done: SYN+ACK goes out */
	TCP_EVENT_GUEST_SYN, /* both opened at the same time */
	TCP_EVENT_SYN_ACKED, /* the guest has acknowledged our SYN */
	TCP_EVENT_GUEST_FIN, /* the guest's FIN, and all data in front of it, is taken */
	TCP_EVENT_HOST_FIN,  /* our FIN has gone out */
	TCP_EVENT_FIN_ACKED, /* the guest has acknowledged it */
	TCP_EVENT_RESET,     /* by either side, the policy, or time */
	TCP_EVENTS,
};

/* Follows the event. False: it is not legal in that state, which stays. */
bool tcp_state_event(enum tcp_state *state, enum tcp_event event);

/* The guest's connection request is answered and acknowledged: data may pass. */
bool tcp_state_is_open(enum tcp_state state);
/* The guest has not ended its data. */
bool tcp_state_takes_data(enum tcp_state state);
/* We have not ended ours. */
bool tcp_state_sends_data(enum tcp_state state);
/* Our FIN is out and not acknowledged. */
bool tcp_state_has_fin_out(enum tcp_state state);
const char *tcp_state_name(enum tcp_state state);

#endif
