/* SPDX-License-Identifier: MIT */
/*
 * echo.h - ping of other machines by the kernel's unprivileged ICMP sockets (net.ipv4.ping_group_range): a socket for
 * each identifier and target. Where the kernel permits none, the guest gets "prohibited" and one line is logged. Home
 * loop.
 */
#ifndef CAPSA_NAT_ECHO_H
#define CAPSA_NAT_ECHO_H

#include "plugins/net-nat/flow.h"
#include "plugins/net-nat/nat.h"

#define ECHO_EXPIRY 30000u /* ms */

int echo_new(struct nat *nat, struct echo **out);
void echo_free(struct echo *echo);
/* An echo request to somebody else than the gateway. */
void echo_arrive(struct nat *nat, const struct nic_frame *frame, const struct packet *packet);
extern const struct flow_kind flow_echo;

#endif
