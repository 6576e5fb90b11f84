/* SPDX-License-Identifier: MIT */
/*
 * flow.h - the table of flows: who of the guest talks to whom, by which socket, and what the policy said.
 *
 * A flow is found by its key in a hash table whose hash has a secret (SipHash), so that a guest cannot make long
 * chains. TCP, UDP and echo embed struct flow in theirs. The table is bounded by max_flows: one more is refused, which
 * is an error of that flow alone.
 *
 * Home loop.
 */
#ifndef CAPSA_NAT_FLOW_H
#define CAPSA_NAT_FLOW_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "plugins/net/address.h"
#include "plugins/net-nat/policy.h"
#include "plugins/net-nat/sockets.h"
#include "plugins/net-nat/timeout.h"

struct flow_log;
struct flows;
struct nat;

/* As the guest sees it: `guest` is its own side. */
struct flow_key {
	struct net_endpoint guest, far;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_ICMP, IPPROTO_ICMPV6; echo: both ports are the identifier
	                   */
};

struct flow;

/* One constant each in tcp.c, udp.c, echo.c. */
struct flow_kind {
	const char *name; /* "tcp" */
	/* Ends it at once: RST or ICMP prohibited to the guest, socket closed, flow_remove(), freed. */
	void (*deny)(struct flow *flow);
	/* The same without a word: the device is reset or stops. */
	void (*drop)(struct flow *flow);
	/*
	 * Of a flow that its rules have just been replaced for, and that flow->verdict allows: whether the name that
	 * it has said is allowed, too (check_names). NULL: kinds that say none.
	 */
	bool (*name_fits)(struct flow *flow);
};

struct flow {
	struct socket_source source; /* its socket; first */
	struct nat *nat;
	const struct flow_kind *kind;
	struct flow_key key;
	struct net_endpoint real;    /* where the socket goes: key.far, but loopback in place of the gateway */
	struct verdict verdict;      /* of its first packet, or of the last replacement of the rules */
	bool inbound;                /* by a published port: no rule is asked */
	unsigned pair;               /* where the guest's last packet of it came from: answers go there */
	uint64_t tx_bytes, rx_bytes; /* payload, from and to the guest */
	struct timeout timeout;      /* expiry, retransmission: the kind's own */
	/* flow.c's. */
	struct flow *next;
	uint64_t hash;
	uint64_t counted; /* of both kinds of bytes: what its rule has already */
	LIST_ENTRY(flow) all;
};

int flows_new(struct nat *nat, struct flows **out);
/* Drops all. */
void flows_free(struct flows *flows);
struct flow *flows_find(const struct flows *flows, const struct flow_key *key);
/*
 * Judges a first packet (policy_judge(), real target filled in by nat_real_target()), counts and logs it. 0: allowed,
 * *flow's nat, key, real, verdict are filled in; -EACCES: denied (the caller tells the guest); -EMFILE: max_flows
 * reached, and no UDP flow was idle long enough to end in its place (udp_make_room()).
 */
int flow_begin(struct nat *nat, const struct flow_key *key, struct flow *flow);
/* The same for what goes to a neighbour, by the card: no flow comes of it. Whether it is allowed. */
bool flow_may_pass(struct nat *nat, const struct flow_key *key);
/* The same for what came by a published port: nothing is judged. 0 or -EMFILE. */
int flow_begin_inbound(struct nat *nat, const struct flow_key *key, struct flow *flow);
/* Puts it into the table. -EEXIST, -EMFILE, -ENOMEM. */
int flows_insert(struct flows *flows, struct flow *flow);
/* Takes it out; the kind frees it. Its last bytes are added to its rule's. Timeouts and socket are the kind's to end.
 */
void flows_remove(struct flows *flows, struct flow *flow);
/* The rules were replaced, or a name's address ran out by a shorter rule: judges each again, denies what is denied now.
 */
void flows_judge_again(struct flows *flows);
/* All end without a word: reset, link down. */
void flows_drop_all(struct flows *flows);
/* Adds what live flows have carried so far to their rules: before somebody looks at those. */
void flows_settle(struct flows *flows);
/* check_names has found no name in a flow that was allowed, or none that is: counts and logs. The caller ends it. */
void flow_unnamed(struct flow *flow);
/* Lines about flows so far. */
const struct flow_log *flows_log(const struct flows *flows);
/* One that could not be opened for want of descriptors or memory: counted, and logged now and then. */
void flow_refused(struct nat *nat, const struct flow_key *key, int error);
unsigned flows_count(const struct flows *flows);
/* For info: calls for each, in no order. */
void flows_each(const struct flows *flows, void (*each)(void *ctx, const struct flow *flow), void *ctx);

#endif
