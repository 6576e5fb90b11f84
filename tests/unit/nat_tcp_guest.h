/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_guest.h - a small TCP of the guest's over nat_guest.h: one connection, no more than a test needs, and nothing
 * that happens by itself. What it gets it keeps, in order or not, and compares with the stream that the peer sends;
 * what it sends is the same stream. Time-outs of its own are the test's to call.
 *
 *     struct tcp_guest t;
 *
 *     tcp_guest_begin(&t, &guest, NAT_GUEST, 4000, NAT_GATEWAY, port);
 *     tcp_guest_connect(&t);              SYN, SYN+ACK, ACK; fails the test where it is refused
 *     tcp_guest_send(&t, 1000);           the next 1000 bytes of the stream, as the window allows
 *     tcp_guest_until(&t, all_received, &t);
 *     tcp_guest_fin(&t);
 *     tcp_guest_end(&t);
 */
#ifndef CAPSA_TESTS_NAT_TCP_GUEST_H
#define CAPSA_TESTS_NAT_TCP_GUEST_H

#include "tests/unit/nat_guest.h"

#define TCP_GUEST_RANGES 256u

struct tcp_guest {
	struct nat_guest *guest;
	const char *own, *peer;
	uint16_t own_port, peer_port;
	/* Set by the test before tcp_guest_connect(); defaults in brackets. */
	uint16_t mss;    /* [1460, 1440]; 0: the option is left out */
	unsigned scale;  /* of the window [7]; 255: the option is left out */
	bool sack;       /* [true] */
	uint32_t window; /* what it offers, bytes [1 MiB] */
	size_t frame;    /* bytes of text in one frame: more than mss needs HOST_TSO [mss] */
	uint64_t flight; /* how much may be out, as by a congestion window [no limit] */
	bool silent;     /* acknowledges nothing by itself */
	/* What happens to the next frame of the plugin's, where not NULL. */
	enum tcp_guest_fate { ARRIVES, ARRIVES_TWICE, ARRIVES_LATER } (*fate)(void *ctx);
	void *ctx;
	bool listens;   /* waits for a SYN */
	uint32_t first; /* initial sequence number */

	/* To look at. */
	bool syn_received, connected, reset, fin_received, fin_acked, unreachable;
	uint16_t peer_mss;
	unsigned peer_scale;
	bool peer_sack;
	uint32_t peer_first;
	uint64_t sent, acked;     /* bytes of our stream: sent (after a loss: again so far), acknowledged */
	uint64_t highest;         /* sent at least once */
	uint64_t wanted;          /* to be sent */
	uint64_t received;        /* in order */
	uint64_t peer_window;     /* the edge: how far our stream may go */
	uint64_t frames, repeats; /* that came with text; of those, with nothing new */
	unsigned duplicates, acks, segmented;
	bool fin_wanted, fin_sent;
	uint8_t icmp_type, icmp_code;
	struct nat_frame last, late;
	bool has_late;

	/* What came out of order. */
	struct {
		uint64_t begin, end;
	} ranges[TCP_GUEST_RANGES];
	unsigned n_ranges;
};

void tcp_guest_begin(struct tcp_guest *t, struct nat_guest *guest, const char *own, uint16_t own_port, const char *peer,
                     uint16_t peer_port);
void tcp_guest_syn(struct tcp_guest *t);
void tcp_guest_connect(struct tcp_guest *t);
/* Takes one frame, and answers it. False: there was none. */
bool tcp_guest_step(struct tcp_guest *t);
/* Steps until `done`. */
void tcp_guest_until(struct tcp_guest *t, bool (*done)(void *ctx), void *ctx);
/* Steps until there is nothing to do. */
void tcp_guest_settle(struct tcp_guest *t);
void tcp_guest_send(struct tcp_guest *t, uint64_t len);
void tcp_guest_fin(struct tcp_guest *t);
void tcp_guest_rst(struct tcp_guest *t);
/* A segment with this text of the stream, whatever has been sent. */
void tcp_guest_segment(struct tcp_guest *t, uint8_t flags, uint64_t from, size_t len);
/* A pure acknowledgement of what was received. */
void tcp_guest_acknowledge(struct tcp_guest *t);
/* Its retransmission time-out: what is not acknowledged goes out again. */
void tcp_guest_timeout(struct tcp_guest *t);

/* Byte `at` of either side's stream; and many of them. */
unsigned char stream_byte(uint64_t at);
void stream_fill(unsigned char *bytes, uint64_t at, size_t len);
/* Fails the test where they are not. */
void stream_check(const unsigned char *bytes, uint64_t at, size_t len);

#endif
