/* SPDX-License-Identifier: MIT */
/*
 * serve-wait.c - see serve-private.h: a member waits until the one that it sends to has room. Called by serve.c.
 *
 * THEORY OF OPERATION. A full port loses frames, and holds up nobody (bridge.h). But where one member sends to one
 * other, faster than that one takes, each lost frame is work of the sender's and the switch's for nothing, which on few
 * processors is what the receiver lacks; and TCP has to send it again. Such a sender is left alone until there is room:
 * its ring fills, its guest's queue stands, and the guest's own scheduler sees it. Nobody waits for anybody else's
 * frames:
 *
 *   - it waits only while all that stands in its ring is for the same address. Each frame there is looked at once, as
 * it comes; with one for somebody else among them the full port loses frames again until that one has had its turn;
 *   - it waits WAIT_MS at most; a port that has taken nothing for so long is stuck, and loses frames until it takes
 * some;
 *   - broadcasts never wait, nor does what came by the uplink.
 */
#include <errno.h>
#include <string.h>
#include <sys/timerfd.h>

#include "plugins/cluster-switch/serve-private.h"

#define WAIT_MS 50u
/* Bytes that must be free, or what the frame takes: small ones go on in batches. */
#define WAIT_ROOM (32u << 10)

static void timer_update(struct serve *serve)
{
	const struct peer *first = TAILQ_FIRST(&serve->waiting);
	const uint64_t ms = first ? first->waits_until_ms : 0;
	struct itimerspec at = { .it_value = { (time_t)(ms / 1000), (long)(ms % 1000) * 1000000 } };

	if (ms == serve->patience_ms)
		return;
	serve->patience_ms = ms;
	timerfd_settime(serve->patience.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void stop_waiting(struct peer *peer)
{
	if (!peer->waits_for)
		return;
	peer->waits_for = NULL;
	TAILQ_REMOVE(&peer->serve->waiting, peer, in_wait);
	timer_update(peer->serve);
}

/* Whether all frames in its ring are for that address, as far as has not been looked at before. */
static bool is_all_for(struct peer *peer, const unsigned char to[ETH_ALEN])
{
	unsigned char other[ETH_ALEN];
	uint64_t before;

	if (memcmp(peer->looked_for, to, ETH_ALEN) != 0) {
		memcpy(peer->looked_for, to, ETH_ALEN);
		peer->looked_at = 0;
	}
	for (before = peer->looked_at; ring_look_ahead(peer->ring, &peer->looked_at, other, sizeof other) == 1;
	     before = peer->looked_at)
		if (memcmp(other, to, ETH_ALEN) != 0) {
			peer->looked_at = before;
			return false;
		}
	return true;
}

/* Where the frame goes. False: to nobody alone. */
static bool target_of(const struct peer *peer, const struct ring_frame *frame, unsigned char to[ETH_ALEN],
                      struct peer **target)
{
	size_t done = 0;

	if (frame->len < ETH_HLEN)
		return false;
	for (unsigned i = 0; i < frame->n && done < ETH_ALEN; i++) {
		const size_t left = ETH_ALEN - done, n = frame->pieces[i].iov_len;

		memcpy(to + done, frame->pieces[i].iov_base, n < left ? n : left);
		done += n < left ? n : left;
	}
	*target = bridge_target(peer->port, to, peer->serve->now_ms);
	return *target != NULL;
}

static bool is_full(struct peer *target, size_t len)
{
	struct iovec pieces[RING_PIECES];

	return ring_reserve(target->ring, len, pieces) == -EAGAIN;
}

bool peer_waits(struct peer *peer, const struct ring_frame *frame)
{
	struct serve *serve = peer->serve;
	unsigned char to[ETH_ALEN];
	struct peer *target;

	if (!target_of(peer, frame, to, &target)) {
		stop_waiting(peer);
		return false;
	}
	if (!is_full(target, frame->len)) {
		target->is_stuck = false;
		stop_waiting(peer);
		return false;
	}
	if (target->is_stuck || !is_all_for(peer, to) ||
	    !ring_wait_room(target->ring, frame->len > WAIT_ROOM ? frame->len : WAIT_ROOM)) {
		stop_waiting(peer);
		return false;
	}
	if (peer->waits_for == target)
		return true;
	stop_waiting(peer);
	peer->waits_for = target;
	peer->waits_until_ms = serve->now_ms + WAIT_MS;
	TAILQ_INSERT_TAIL(&serve->waiting, peer, in_wait);
	timer_update(serve);
	return true;
}

void waiters_resume(struct peer *target)
{
	struct peer *peer, *next;

	for (peer = TAILQ_FIRST(&target->serve->waiting); peer; peer = next) {
		next = TAILQ_NEXT(peer, in_wait);
		if (peer->waits_for != target)
			continue;
		stop_waiting(peer);
		peer_ready(peer);
	}
}

void waiters_forget(struct peer *peer)
{
	stop_waiting(peer);
	waiters_resume(peer);
}

void patience_ended(struct serve *serve)
{
	struct peer *first;

	serve->patience_ms = 0;
	while ((first = TAILQ_FIRST(&serve->waiting)) && first->waits_until_ms <= serve->now_ms) {
		struct peer *target = first->waits_for;

		target->is_stuck = true;
		waiters_resume(target);
	}
	timer_update(serve);
}
