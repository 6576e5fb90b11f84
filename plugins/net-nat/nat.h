/* SPDX-License-Identifier: MIT */
/*
 * nat.h - one user-mode network: what all rooms hang off. It has one guest behind one network card, which is its
 * plugin's: net-nat's, where it is all that the guest sees, or cluster-switch's, where it is a gateway among others.
 *
 * THE ROOMS.   net-nat.c    the plugin                      keys.h        its keys, and options.h their values
 *              nat.c        life cycle
 *              arrive.c     frames from the guest: who takes them          send.h     packets to the guest
 *              gateway.h    what the gateway itself answers: ARP, DHCP, neighbour discovery, ping
 *              flow.h       the table of flows              tcp.h udp.h echo.h        their three kinds
 *              flow-log.h   lines about them
 *              fragment.h   pieces put together             icmp-error.h  what went wrong, told to the guest
 *              hop-limit.h  how far packets may go          error-queue.h what went wrong outside
 *              dns.h        the forwarder                   upstream.h    whom it asks (resolv.conf)
 *              policy.h     the rules                       names.h       addresses that names have
 *              host-address.h  which addresses are the host's own          neighbours.c  others on the link
 *              forward.h    published ports                 rate.h        how much a second
 *              sockets.h    readiness of many sockets       timeout.h     many times, one timer
 *              ../net/      virtio-net, headers, checksums, ARP, DHCP
 *
 * THEORY OF OPERATION. No TCP/IP stack: each of the guest's flows is one socket of the host's, and what is translated
 * is layer 4 (tcp.h says how). The guest sees a subnet with one neighbour, the gateway, whose MAC is ours.
 *
 *   guest ─► nic ─► arrive ─┬─► gateway (ARP, DHCP, ND, ping)
 *                           ├─► dns      (port 53 of the gateway)
 *                           └─► flow found? ─ no ─► policy ─► a new one: socket, connect
 *                                └─ yes ─► tcp, udp, echo ─► sendmsg from guest memory
 *   host's sockets ─► sockets ─► tcp, udp, echo ─► recvmsg into guest memory ─► nic
 *
 * ADDRESSES. The gateway's own address stands for the host's loopback: what the guest sends there, beside what the
 * gateway answers itself, goes to 127.0.0.1 (::1), and is judged as that. All other addresses are themselves. From the
 * guest only its own addresses are taken as source.
 *
 * THREAD. All on the home loop of the instance (CAPSA_THREAD_WORKER); the life-cycle callbacks on the main thread while
 * the loop stands still. No locks.
 */
#ifndef CAPSA_NAT_NAT_H
#define CAPSA_NAT_NAT_H

#include <stdbool.h>
#include <stdint.h>

#include "capsa-plugin.h"
#include "plugins/net/address.h"
#include "plugins/net/nic.h"
#include "plugins/net-nat/options.h"

struct arrivals;
struct dns;
struct echo;
struct flows;
struct forwards;
struct fragments;
struct gateway;
struct host_addresses;
struct names;
struct policy;
struct rate;
struct sockets;
struct tcp;
struct timeouts;
struct udp;
struct upstreams;

/* Others on the guest's link. All zero: nobody. */
struct nat_neighbours {
	/*
	 * There are: what is not for the gateway (nat_is_for_gateway()) is left alone, the gateway answers for its own
	 * addresses only, and packets that are routed to the guest's own subnets go nowhere.
	 */
	bool there;
	bool isolated;          /* no flows, no names but neighbours', no router: nothing leaves */
	struct in6_addr guest4; /* the guest's address in subnet, and which one of subnet6's is its own */
	uint32_t nth6;
	/*
	 * Names: of each neighbour, alone or in this domain, which is the first that is searched, too. Nobody outside is
	 * asked about it. All three are set or none is.
	 */
	const char *domain; /* "lab.cluster" */
	/* The addresses of `name`, in lower case, of that family, at most `n`; false: nobody has the name. */
	bool (*lookup)(void *ctx, const char *name, bool ipv6, struct in6_addr *out, unsigned n, unsigned *found);
	/* The other way round: NULL where nobody has the address. */
	const char *(*name_of)(void *ctx, const struct in6_addr *address);
	void *ctx;
};

struct nat {
	/* The plugin's, set before nat_open(); the card is freed behind nat_close(). */
	const struct capsa_host *host;
	struct capsa_device *dev;
	struct nic *nic;
	struct options options; /* mac: the card's; addresses and texts live as long as this */
	struct nat_neighbours neighbours;

	/* What the guest sees. */
	unsigned char gateway_mac[ETH_ALEN];
	unsigned char guest_mac[ETH_ALEN]; /* of the last frame that was accepted; at first that of the card */
	struct in6_addr gateway4, guest4;  /* subnet's first and second address; "mapped" (address.h) */
	bool ipv6;                         /* as the next three: there is an IPv6 side */
	struct in6_addr gateway6, guest6;  /* prefix::1, prefix::2 (DHCPv6's; the guest may have more) */
	struct in6_addr gateway_link_local;
	struct in6_addr guest6_seen; /* the last address in the prefix that it sent from; at first guest6 */
	uint32_t fragment_id;        /* send.c's: of the last packet that went to the guest in pieces */
	uint64_t icmp_errors_since;  /* icmp-error.c's: when the second began, and how many are left of it */
	unsigned icmp_errors_left;
	bool udp_is_first[NIC_PAIRS_MAX]; /* arrive.c's: whose turn is first when there is room again */

	struct timeouts *timeouts;
	struct sockets *sockets;
	struct host_addresses *host_addresses;
	struct names *names;
	struct policy *policy; /* replaced as a whole (policy.h) */
	struct flows *flows;
	struct tcp *tcp;
	struct udp *udp;
	struct echo *echo;
	struct fragments *fragments;
	struct gateway *gateway;
	struct upstreams *upstreams;
	struct dns *dns;
	struct forwards *forwards;
	struct rate *rate; /* NULL: no limit */

	/* host->counter: never NULL. */
	struct {
		uint64_t *rx_packets, *rx_bytes, *tx_packets, *tx_bytes; /* as the guest sees it */
		uint64_t *rx_dropped;                                    /* no receive buffers */
		uint64_t *malformed, *spoofed, *unsupported;             /* from the guest */
		uint64_t *flows_opened, *flows_denied,
			*flows_refused; /* refused: by max_flows, or out of descriptors */
		uint64_t *tcp_retransmits, *dns_queries, *dns_refused, *dns_failed, *fragments_dropped;
	} counters;
};

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* ---- life: nat.c. Callbacks of the plugin's of the same names; errors are one line in `cause` ---- */

/* Before nat_open(), as the card counts, too. 0 or -ENOMEM. */
int nat_make_counters(struct nat *nat);
/* In config() and reconfigure(): `value` as of policy_read(), judged anew. 0 or -EINVAL. */
int nat_set_policy(struct nat *nat, const struct capsa_value *value, char *cause, size_t size);
/* In realize(), on a struct of zeros but for what the plugin sets, policy and counters. 0 or -errno; nat_close(). */
int nat_open(struct nat *nat, char *cause, size_t size);
void nat_close(struct nat *nat);
/* In start(): published ports are served. 0 or -errno. */
int nat_start(struct nat *nat, char *cause, size_t size);
/* In activate(), behind nic_activate(). */
void nat_activate(struct nat *nat);
/* In reset(), before nic_reset(): what the guest caused is forgotten. */
void nat_forget_guest(struct nat *nat);
/* In stop(): the same, but for names that it has learned. */
void nat_forget(struct nat *nat);
/* The cable: nic_set_link() as well. */
void nat_set_link(struct nat *nat, bool up);
/* What time it is, for all timers: first in each callback that is not the translation's own. */
void nat_refresh(struct nat *nat);

/* ---- addresses ---- */

/* Whether the guest may send from this address (arrive.c). */
bool nat_is_guest_address(const struct nat *nat, const struct in6_addr *a);
/* Whether it is one of the gateway's: gateway4, gateway6, gateway_link_local. */
bool nat_is_gateway_address(const struct nat *nat, const struct in6_addr *a);
/* Where a packet for `target` really goes: the gateway's address becomes the host's loopback. */
struct in6_addr nat_real_target(const struct nat *nat, const struct in6_addr *target);
/* The gateway's address of the same family. */
struct in6_addr nat_gateway_for(const struct nat *nat, const struct in6_addr *a);
/* The guest's. */
struct in6_addr nat_guest_for(const struct nat *nat, const struct in6_addr *a);

/* ---- neighbours.c ---- */

/*
 * With neighbours: whether the frame, taken apart, is the gateway's, and nobody's else: to its MAC; ARP and neighbour
 * solicitations that look for its addresses; what clients ask of DHCP and routers. What is tagged for a VLAN is only
 * where it is sent to the MAC.
 */
bool nat_is_for_gateway(const struct nat *nat, const struct packet *packet, const unsigned char *head, size_t head_len);
/* Whether the address is one of the subnets', but neither the guest's nor the gateway's: a neighbour's or nobody's. */
bool nat_is_neighbour(const struct nat *nat, const struct in6_addr *a);

/* ---- frames: arrive.c ---- */

/* A frame, and the end of a batch of them (nic.h). With neighbours: one that is not for the gateway goes by. */
void nat_frame(void *ctx, const struct nic_frame *frame);
/* The same, which the caller has taken apart already. */
void nat_take_frame(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);
/* A packet that fragment.h put together: its pieces have been counted, and it must not be one itself. */
void nat_whole_packet(struct nat *nat, const struct nic_frame *frame);
void nat_batch_end(void *ctx);
void nat_room(void *ctx, unsigned pair);

#endif
