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
/*
 * Makes the checksums of a frame right, as far as it can be taken apart: what is mutated would be stopped by them, each
 * and every time, before anything that is worth testing sees it.
 */
void packets_repair(uint8_t *frame, size_t len);
/* DHCP messages of clients: n-th of each, or 0. UDP payloads. */
size_t packets_dhcp(unsigned n, uint8_t *data);
size_t packets_dhcp6(unsigned n, uint8_t *data);

#endif
