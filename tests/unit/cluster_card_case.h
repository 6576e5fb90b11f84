/* SPDX-License-Identifier: MIT */
/*
 * cluster_card_case.h - cluster-switch's card in a test: the guest on one side (nat_host.h), on the other one a switch
 * that the test plays, by a member of its own (member.h) whose rings are real.
 *
 * The loop turns in case_settle() only, so tests are deterministic. Guest buffers and frames are allocated exactly as
 * long as they are said to be, so AddressSanitizer sees what goes beyond.
 */
#ifndef CAPSA_TESTS_CLUSTER_CARD_CASE_H
#define CAPSA_TESTS_CLUSTER_CARD_CASE_H

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

#include "plugins/cluster-switch/card.h"
#include "plugins/cluster-switch/member.h"
#include "plugins/cluster-switch/ring.h"
#include "plugins/net/packet.h"
#include "tests/unit/nat_host.h"

#define CASE_FEATURE(feature) (UINT64_C(1) << (feature))

struct card_case {
	struct nat_host host;
	uint64_t features;
	unsigned descriptors; /* that were open at first */

	/* The switch's side, and what the plugin said to its member. */
	struct ring *far;      /* NULL: no switch */
	unsigned char *memory; /* the rings', as one more who maps it */
	struct card *card;     /* the plugin's own */
	struct protocol_hello hello;
	struct bridge_port_options changed;
	unsigned n_changes;
	unsigned n_given_up; /* member_give_up(): the switch has gone by that */

	/* Set by the test before case_try(), where not NULL. */
	const char *refusal; /* what member_open() fails with */
	const char *cluster; /* the cluster's name in place of "lab" */
	const char *other;   /* the other member's name in place of "vm2" */
	bool has_no_folder;  /* member_open() finds none, of which shared_path() has said why */
};

struct case_frame {
	struct virtio_net_hdr_v1 header;
	unsigned char *bytes; /* freed by case_frame_free() */
	size_t len;
	unsigned pair;
};

/* `cluster` and `options`; nothing of the machine runs yet. 0, or -1 with c->host.error; case_end() either way.
 */
int case_try(struct card_case *c, const char *options);
/* The same, and the machine runs, with those of the offered features that are in `features`. */
void case_begin(struct card_case *c, const char *options, uint64_t features);
/* Checks that no descriptor, watch or buffer is left over. */
void case_end(struct card_case *c);
void case_settle(struct card_case *c);
/* The driver lets go, and comes back. */
void case_let_go(struct card_case *c);
void case_come_back(struct card_case *c);

/* Driver and machine say how it shall be from now on: VIRTIO_NET_CTRL_MQ, and a live key. 0, or -1 with c->host.error.
 */
void case_use_pairs(struct card_case *c, unsigned pairs);
int case_reconfigure(struct card_case *c, const char *key, const struct capsa_value *value);

/* The switch goes, and comes again. */
void case_switch_goes(struct card_case *c);
void case_switch_comes(struct card_case *c);

/* The guest sends; `pieces` buffers beside the header's. */
void case_send(struct card_case *c, const struct virtio_net_hdr_v1 *header, const void *bytes, size_t len,
               unsigned pieces);
/* Frames that wait in the guest's transmit queue. */
unsigned case_unsent(const struct card_case *c);
/* What the switch finds: false where there is none. */
bool case_far_take(struct card_case *c, struct case_frame *frame);
/* The switch sends. */
void case_far_send(struct card_case *c, const struct virtio_net_hdr_v1 *header, const void *bytes, size_t len);

/* Buffers for the guest to receive into. */
void case_offer(struct card_case *c, unsigned pair, unsigned n, size_t size);
/* What the guest finds: false where there is none. */
bool case_take(struct card_case *c, struct case_frame *frame);
void case_frame_free(struct case_frame *frame);

/* A TCP packet over IPv4 of `payload` bytes from machine 11 to 12 in 10.0.3.0/24; its bytes count up from `seed`. With
 * `gso_size` 0 the checksum is done, else it is partial, and the header says so. */
void case_tcp(struct case_frame *frame, size_t payload, uint16_t gso_size, unsigned char seed);
/* Whether what lies behind the headers counts up from `seed` on; TCP's and IP's checksums are right. */
bool case_tcp_is_whole(const struct case_frame *frame, size_t payload, unsigned char seed);

#endif
