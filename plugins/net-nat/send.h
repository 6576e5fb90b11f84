/* SPDX-License-Identifier: MIT */
/*
 * send.h - packets to the guest: Ethernet and IP headers in front, fragments where need be. Home loop.
 *
 * TCP fills receive buffers by itself (tcp-transmit.c); everybody else goes through here.
 */
#ifndef CAPSA_NAT_SEND_H
#define CAPSA_NAT_SEND_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/uio.h>

#include "plugins/net-nat/nat.h"

#define SEND_PIECES_MAX 64u

/*
 * One IP packet that carries `l4` (n <= SEND_PIECES_MAX pieces, its checksum done), addressed to the guest's MAC, or to
 * a group's where `to` is one. Longer than the MTU: fragments of both families. Spends RATE_IN. 0,
 * -EMSGSIZE where no IP packet is so long, or what nic_reserve() says: then it is dropped and counted. The caller sees
 * to nic_flush().
 */
int send_ip(struct nat *nat, unsigned pair, const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol,
            uint8_t ttl, const struct iovec *l4, unsigned n);
/* A UDP datagram: header and checksum are made here; one piece less than above. */
int send_udp(struct nat *nat, unsigned pair, const struct net_endpoint *from, const struct net_endpoint *to,
             const struct iovec *payload, unsigned n);
/* Bytes in front of an IP packet of TCP's: Ethernet and IP, for `key` towards the guest. Returns their number. */
struct flow_key;
size_t send_put_headers(const struct nat *nat, const struct flow_key *key, size_t l4_len, unsigned char *at);

#endif
