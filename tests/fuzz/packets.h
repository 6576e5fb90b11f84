/* SPDX-License-Identifier: MIT */
/*
 * packets.h - honest frames of a guest of net-nat, as seeds: ARP, and each protocol in each family, with and without
 * options, extension headers, fragments, VLAN tags.
 */
#ifndef CAPSA_TESTS_FUZZ_PACKETS_H
#define CAPSA_TESTS_FUZZ_PACKETS_H

#include <stddef.h>
#include <stdint.h>

/* As fuzz_seed(). */
size_t packets_seed(unsigned n, uint8_t *data);
/* DHCP messages of clients: n-th of each, or 0. UDP payloads. */
size_t packets_dhcp(unsigned n, uint8_t *data);
size_t packets_dhcp6(unsigned n, uint8_t *data);

#endif
