/* SPDX-License-Identifier: MIT */
/*
 * card.h - between a member's card (../net/nic.h), its ring to the switch (member.h) and the gateway in its own process
 * (../net-nat/nat.h).
 *
 * THEORY OF OPERATION. From the guest: what is for the gateway (its MAC; ARP for its address; DHCP; router
 * solicitations) is answered here and never reaches the switch; all else is judged by the policy between members
 * (conversation.h), copied into the ring, and published behind the batch. A full ring holds the transmit queue until
 * the switch has made room: the queue is held as soon as the longest frame would not fit, so none is lost by that.
 * Without a switch frames go nowhere, as with a cable that is out of the switch's side.
 *
 * To the guest: frames stay in the ring until the guest has receive buffers; where that is full, the switch drops. What
 * the sender left to others and this guest did not negotiate (checksums, segments) is done here, by segment.h. A frame
 * that is cut and finds no room for its last pieces stays where it is, and is cut again from the first one that was
 * missing on. While there is no driver, or the link is down, frames are taken out of the ring and dropped: what comes
 * up later shall not begin with what was meant for what was there before.
 *
 * COUNTERS of the device's, beside nic.h's: tx_packets, tx_bytes (into the ring), tx_dropped, tx_held, rx_dropped,
 * rx_unfit.
 *
 * THREAD: the home loop; life and link on the main thread while that stands still.
 */
#ifndef CAPSA_CLUSTER_CARD_H
#define CAPSA_CLUSTER_CARD_H

#include <stdbool.h>

#include "capsa-plugin.h"
#include "plugins/cluster-switch/member.h"
#include "plugins/net/nic.h"

struct card;

/* Who else is behind the card: the gateway. It sends to the guest by card_nic(), as nic.h has it. */
struct card_gateway {
	/* Whether a frame from the guest is the gateway's, or one that it keeps from others: it has dealt with it then.
	 */
	bool (*takes)(void *ctx, const struct nic_frame *frame);
	/* A frame of others that the guest is to have, taken apart; perhaps more than once. NULL: it does not care. */
	void (*heard)(void *ctx, const struct packet *packet, const unsigned char *head, size_t head_len);
	/* Behind a batch of frames. */
	void (*batch_end)(void *ctx);
	/* There is room on `pair`: as nic_operations.room. Whose turn is first changes from time to time. */
	void (*room)(void *ctx, unsigned pair);
};

/* In realize(). `options` is copied. 0 or -ENOMEM; *out is to be freed then, too. */
int card_new(const struct capsa_host *host, struct capsa_device *dev, const struct nic_options *options,
             struct card **out);
/* After member_free(), and whatever has card_nic(). NULL is fine. */
void card_free(struct card *card);
/* For member_open(), with the card as ctx. */
extern const struct member_operations card_member_operations;
/* The member that it stands on; borrowed. Before card_start(). */
void card_set_member(struct card *card, struct member *member);
/* In realize(), where there is one. `gateway` stays the caller's, and is called with `ctx`. */
void card_set_gateway(struct card *card, const struct card_gateway *gateway, void *ctx);
struct nic *card_nic(const struct card *card);

/* In the plugin's callbacks. */
void card_start(struct card *card);
void card_activate(struct card *card, uint64_t features, bool link);
void card_reset(struct card *card);
void card_set_link(struct card *card, bool up);

#endif
