/* SPDX-License-Identifier: MIT */
/*
 * rate.h - how many bytes a second, each way: two token buckets of a tenth of a second, 64 KiB at least.
 *
 * To the guest: TCP asks before it receives, and goes on in resume(); datagrams that find no tokens are dropped. From
 * the guest: the card's transmit queues stand still until there are tokens (nic.h), so its own senders wait. Home loop.
 */
#ifndef CAPSA_NAT_RATE_H
#define CAPSA_NAT_RATE_H

#include "plugins/net-nat/nat.h"

enum rate_way { RATE_IN, RATE_OUT }; /* to the guest, from the guest */

int rate_new(struct nat *nat, struct rate **out);
void rate_free(struct rate *rate);
/* Whether there are tokens now; where not, resume() comes: tcp_resume(), udp_resume(), nic. `rate` NULL: always. */
bool rate_has(struct rate *rate, enum rate_way way);
/* Takes them; may go below zero by one frame. */
void rate_spend(struct rate *rate, enum rate_way way, size_t bytes);

#endif
