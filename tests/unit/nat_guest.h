/* SPDX-License-Identifier: MIT */
/*
 * nat_guest.h - the guest's side of net-nat in a test: a driver in plain memory, and the host that the plugin runs on.
 * The program is linked with the plugin's own objects, so tests may look into guest.nat as well.
 *
 *     struct nat_guest guest;
 *
 *     nat_begin(&guest, "ipv6 = false;");         create, config, realize, start, activate: all features
 *     nat_send_udp(&guest, "10.0.2.2", 4000, "203.0.113.1", 53, "?", 1);
 *     len = nat_receive(&guest, &frame);          the next frame to the guest; fails the test after NAT_PATIENCE
 *     nat_end(&guest);                            checks that no descriptor, watch, timer or buffer is left over
 *
 * The loop is the test's own thread: it turns (sockets, timers, deferred calls, queue_again) inside of nat_receive(),
 * nat_turn() and nat_until(), nowhere else, so tests are deterministic. Time passes by nat_pass(), never by sleeping.
 * Guest buffers are allocated exactly as long as they are said to be, so AddressSanitizer sees what goes beyond.
 *
 * Frames that the guest gets are checked by the harness where the virtio header does not excuse it: IPv4, TCP, UDP and
 * ICMP checksums, lengths, addresses that the guest does not have. A partial checksum is completed and GSO frames are
 * left whole.
 */
#ifndef CAPSA_TESTS_NAT_GUEST_H
#define CAPSA_TESTS_NAT_GUEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <linux/virtio_net.h>

#include "core/config/keys.h"
#include "plugins/net/packet.h"
#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/nat.h"

#define NAT_PATIENCE 10000 /* ms */

struct nat_frame {
	struct virtio_net_hdr_v1 header;
	unsigned char align[2]; /* so that what follows the Ethernet header lies at a multiple of four */
	unsigned char bytes[NIC_FRAME_MAX];
	size_t len;
	struct packet packet; /* packet_parse() of it */
	unsigned pair;
};

struct nat_guest {
	/* Set by the test between nat_begin() and use; defaults in brackets. */
	size_t buffer_size; /* of each receive buffer [1536; 65562 without MRG_RXBUF] */
	unsigned buffers;   /* receive buffers that the guest keeps available on each pair [256]; 0: none any more */
	/* Asked for each frame of the guest and to it, where not NULL: true loses it. For loss, repetition, other
	 * order. */
	bool (*lose)(void *ctx, bool to_guest, const void *frame, size_t len);
	void *ctx;

	/* To look at. */
	struct nat *nat;
	struct capsa_setup setup;
	uint64_t features;
	unsigned char config_space[CAPSA_MAX_CONFIG_SPACE];
	char error[1024];      /* what the plugin said by host->error() */
	char logged[8192];     /* log lines, each with a newline; the oldest go */
	bool broken;           /* host->broken() */
	struct nat_host *host; /* nat_guest.c's */
};

/* ---- life ---- */

/* options: as in a file. */
void nat_begin(struct nat_guest *guest, const char *options);
/* With only those of the offered features that are in `features`. */
void nat_begin_with(struct nat_guest *guest, const char *options, uint64_t features);
/* Up to realize; 0, or -1 with guest->error; then only nat_end(). */
int nat_try(struct nat_guest *guest, const char *options);
void nat_end(struct nat_guest *guest);
/* The driver lets go, and comes back. */
void nat_reset(struct nat_guest *guest);
/* A new value of a live key: `text` as in a file ("policy = { ... };"). 0, or -1 with guest->error. */
int nat_reconfigure(struct nat_guest *guest, const char *text);
uint64_t nat_counter(struct nat_guest *guest, const char *name);
/* What info() tells, as JSON without spaces, in a buffer of the harness. */
const char *nat_info_text(struct nat_guest *guest);

/* ---- time and turns ---- */

/* One turn of the loop: what is ready now, without waiting. True: something was. */
bool nat_turn(struct nat_guest *guest);
/* Turns, waiting for descriptors, until `done` says so; fails the test after NAT_PATIENCE of real time. */
void nat_until(struct nat_guest *guest, bool (*done)(void *ctx), void *ctx);
/* Lets `ms` pass for the plugin's timers, and runs what is due, in its order. */
void nat_pass(struct nat_guest *guest, uint64_t ms);

/* ---- frames ---- */

/* As it is, with a header of zeros. Several buffers: split at `split` bytes where that is not 0. */
void nat_send(struct nat_guest *guest, const void *frame, size_t len);
void nat_send_with(struct nat_guest *guest, unsigned pair, const struct virtio_net_hdr_v1 *header, const void *frame,
                   size_t len, size_t split);
/* Waits for the next frame to the guest; it belongs to the test (static room in the guest). */
size_t nat_receive(struct nat_guest *guest, struct nat_frame *frame);
/* Without waiting: false where there is none after the loop has nothing to do any more. */
bool nat_receive_now(struct nat_guest *guest, struct nat_frame *frame);
/* Nothing is there for the guest: fails the test otherwise, showing what. */
void nat_receive_none(struct nat_guest *guest);

/* ---- packets: Ethernet and IP headers are made, checksums done; addresses as text, either family ---- */

size_t nat_put_ip(struct nat_guest *guest, unsigned char *frame, const char *from, const char *to, uint8_t protocol,
                  const void *l4, size_t len);
void nat_send_ip(struct nat_guest *guest, const char *from, const char *to, uint8_t protocol, const void *l4,
                 size_t len);
void nat_send_udp(struct nat_guest *guest, const char *from, uint16_t from_port, const char *to, uint16_t to_port,
                  const void *payload, size_t len);
/* A TCP segment; flags as TH_SYN; `options` may be NULL. */
struct nat_segment {
	const char *from, *to;
	uint16_t from_port, to_port;
	uint32_t sequence, acknowledgement;
	uint8_t flags;
	uint16_t window;
	const void *options;
	size_t options_len;
	const void *payload;
	size_t len;
};
void nat_send_tcp(struct nat_guest *guest, const struct nat_segment *segment);
/* The TCP header inside of a received frame, or fails the test. */
const struct tcphdr *nat_tcp(const struct nat_frame *frame);

/*
 * A place outside: tests cannot reach addresses that are not the host's, so they bind peers to loopback, and have the
 * policy allow it ("policy = { rules = ( { action = \"allow\"; group = \"loopback\"; } ); };"): NAT_LOOPBACK_ALLOWED.
 * The guest reaches them by the gateway's address, 10.0.2.1 or fd00:ca:b5a::1.
 */
#define NAT_LOOPBACK_ALLOWED                                                                                           \
	"policy = { rules = ( { action = \"allow\"; group = \"loopback\"; }, { action = \"allow\"; group = \"host\"; " \
	"} ); };"
#define NAT_GATEWAY "10.0.2.1"
#define NAT_GUEST "10.0.2.2"
#define NAT_GATEWAY6 "fd00:ca:b5a::1"
#define NAT_GUEST6 "fd00:ca:b5a::2"
/* A bound socket of that type on loopback, listening where SOCK_STREAM; its port in *port. */
int nat_peer(int domain, int type, uint16_t *port);

#endif
