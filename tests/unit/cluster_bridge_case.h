/* SPDX-License-Identifier: MIT */
/*
 * cluster_bridge_case.h - what the tests of plugins/cluster-switch/bridge.h begin with: a bridge whose ports write down
 * what they were sent, machines 1.. and their frames. Included once by a test program.
 *
 * Frames are in buffers that are exactly as long as they are, so that AddressSanitizer sees what looks beyond.
 */
#ifndef CAPSA_TESTS_CLUSTER_BRIDGE_CASE_H
#define CAPSA_TESTS_CLUSTER_BRIDGE_CASE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "plugins/cluster-switch/bridge.h"
#include "plugins/cluster-switch/fdb.h"
#include "plugins/cluster-switch/guard.h"
#include "plugins/cluster-switch/ring.h"
#include "tests/unit/cluster_frames.h"

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define MACHINES (CLUSTER_MEMBERS_MAX + 2u)
#define UPLINK 0u /* its place in the fixture */

/* The far side of a port. */
struct far {
	struct bridge_port *port;
	unsigned frames, flushes;
	bool is_full;
	struct virtio_net_hdr_v1 header;
	unsigned char bytes[2048]; /* of the last frame */
	size_t len;
};

struct fixture {
	struct bridge *bridge;
	struct far fars[MACHINES];
	uint64_t now_ms;
	char cause[512];
};

static inline int far_send(void *ctx, const struct bridge_frame *frame)
{
	struct far *far = ctx;
	size_t len = 0;

	if (far->is_full)
		return -EAGAIN;
	far->frames++;
	far->header = frame->header;
	assert_in_range(frame->n, 1, BRIDGE_FRAME_PIECES);
	for (unsigned i = 0; i < frame->n; i++) {
		if (len + frame->iov[i].iov_len <= sizeof far->bytes)
			memcpy(far->bytes + len, frame->iov[i].iov_base, frame->iov[i].iov_len);
		len += frame->iov[i].iov_len;
	}
	assert_int_equal(len, frame->len);
	far->len = len;
	return 0;
}

static inline void far_flush(void *ctx)
{
	struct far *far = ctx;

	far->flushes++;
}

static const struct bridge_port_operations operations = { .send = far_send, .flush = far_flush };

static inline int begin(void **state)
{
	struct fixture *x = calloc(1, sizeof *x);

	assert_non_null(x);
	assert_int_equal(bridge_new(&x->bridge), 0);
	x->now_ms = 1000;
	*state = x;
	return 0;
}

static inline int end(void **state)
{
	struct fixture *x = *state;

	bridge_free(x->bridge);
	free(x);
	return 0;
}

static inline int add_with(struct fixture *x, unsigned machine, const struct bridge_port_options *o)
{
	memset(&x->fars[machine], 0, sizeof x->fars[machine]);
	x->cause[0] = '\0';
	return bridge_port_add(x->bridge, o, &operations, &x->fars[machine], &x->fars[machine].port, x->cause,
	                       sizeof x->cause);
}

static inline void add(struct fixture *x, unsigned machine)
{
	const struct bridge_port_options o = frames_port(machine);

	assert_int_equal(add_with(x, machine, &o), 0);
}

/* Whatever is behind it: it may have any source. */
static inline void add_any(struct fixture *x, unsigned machine)
{
	struct bridge_port_options o = frames_port(machine);

	o.any_source = true;
	assert_int_equal(add_with(x, machine, &o), 0);
}

static inline int add_uplink(struct fixture *x)
{
	struct bridge_port_options o = { .name = "(uplink)", .uplink = true };

	return add_with(x, UPLINK, &o);
}

static inline void add_three(struct fixture *x)
{
	for (unsigned i = 1; i <= 3; i++)
		add(x, i);
}

/* With these peers, which end with a NULL. */
static inline void add_with_peers(struct fixture *x, unsigned machine, const char *const *peers)
{
	struct bridge_port_options o = frames_port(machine);

	o.has_peers = true;
	for (; peers[o.n_peers]; o.n_peers++)
		snprintf(o.peers[o.n_peers], sizeof o.peers[o.n_peers], "%s", peers[o.n_peers]);
	assert_int_equal(add_with(x, machine, &o), 0);
}

static inline void forward(struct fixture *x, unsigned port, const struct frames_frame *f)
{
	struct bridge_frame frame;

	frames_make(&frame, f, 20);
	bridge_forward(x->fars[port].port, &frame, x->now_ms);
}

/* An ordinary frame from machine to machine. Other numbers than the port's are for those that may have any source. */
static inline void forward_from(struct fixture *x, unsigned port, unsigned to, unsigned from)
{
	struct frames_frame f;

	frames_ether(&f, to, from, 0x88b5, "something", 9);
	forward(x, port, &f);
}

static inline void pass(struct fixture *x, unsigned to, unsigned from)
{
	forward_from(x, from, to, from);
}

static const struct bridge_counters *counters(const struct fixture *x, unsigned machine)
{
	return bridge_port_counters(x->fars[machine].port);
}

/* How many frames came to machines 1 to 4 since it was asked last, as decimal digits. */
static inline unsigned came(struct fixture *x)
{
	unsigned digits = 0;

	for (unsigned i = 1; i <= 4; i++) {
		digits = digits * 10 + x->fars[i].frames;
		x->fars[i].frames = 0;
	}
	return digits;
}

#endif
