/* SPDX-License-Identifier: MIT */
/*
 * nat_tcp_case.h - what tests of TCP have in common: a guest (nat_tcp_guest.h), a peer of its on the host that never
 * blocks, and the variants that all of it must work in.
 */
#ifndef CAPSA_TESTS_NAT_TCP_CASE_H
#define CAPSA_TESTS_NAT_TCP_CASE_H

#include "plugins/net-nat/tcp-flow.h"
#include "tests/unit/nat_tcp_guest.h"

#define CASE_PORT 4000

struct variant {
	const char *name;
	int domain;
	bool peeks; /* what is not acknowledged stays in the kernel, where it can */
	uint64_t features;
	const char *options;
};

extern const struct variant variants[];
extern const unsigned n_variants;

#define EACH_VARIANT(v) for (const struct variant *v = variants; v < variants + n_variants; v++)

struct tcp_case {
	struct nat_guest guest;
	struct tcp_guest t;
	/* The peer. */
	int listener, fd; /* fd: -1: not accepted */
	uint16_t port;
	uint64_t received, sent, wanted;
	bool at_end, failed; /* what its recv(2) said */
};

void case_begin(struct tcp_case *c, const struct variant *v);
/* The same, and connected. */
void case_connect(struct tcp_case *c, const struct variant *v);
/* The next connection of the same guest, from that port. */
void case_again(struct tcp_case *c, uint16_t port);
void case_accept(struct tcp_case *c);
void case_close(struct tcp_case *c);
void case_end(struct tcp_case *c);
void case_read(struct tcp_case *c);
void case_write(struct tcp_case *c);
struct tcp_flow *case_flow(struct tcp_case *c);

/* Conditions for tcp_guest_until(); ctx is the case. They let the peer read and write. */
bool all_at_guest(void *ctx);
bool all_at_peer(void *ctx);
bool all_done(void *ctx);
bool guest_is_reset(void *ctx);
bool guest_has_fin(void *ctx);
bool peer_is_at_end(void *ctx); /* or has failed */
bool no_flows(void *ctx);
void case_until(struct tcp_case *c, bool (*done)(void *ctx));

#endif
