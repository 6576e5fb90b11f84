/* SPDX-License-Identifier: MIT */
/*
 * checksum.h - the Internet checksum (RFC 1071) over pieces of memory. No state; any thread.
 *
 *     uint32_t sum = checksum_pseudo(&from, &to, IPPROTO_TCP, len);
 *     sum = checksum_add(sum, tcp, tcp_len, 0);
 *     tcp->check = checksum_finish(sum);
 *
 * Sums are of 16-bit words in network order, as they lie in memory, so a finished one is stored as it is.
 */
#ifndef CAPSA_NET_CHECKSUM_H
#define CAPSA_NET_CHECKSUM_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Adds len bytes that begin at `offset` of what is being summed (only its parity matters). */
uint32_t checksum_add(uint32_t sum, const void *bytes, size_t len, size_t offset);
/* The same over buffers, from byte `skip` of them on, len bytes at most; the first byte taken is at an even offset. */
uint32_t checksum_add_iov(uint32_t sum, const struct iovec *iov, unsigned n, size_t skip, size_t len);
/* The pseudo header of TCP, UDP and ICMPv6 for both families (addresses as of address.h), `len` of the L4 packet. */
uint32_t checksum_pseudo(const struct in6_addr *from, const struct in6_addr *to, uint8_t protocol, uint32_t len);
/* What goes into the header: folded, and complemented. */
uint16_t checksum_finish(uint32_t sum);
/* Folded only: what VIRTIO_NET_HDR_F_NEEDS_CSUM wants to find in the field (virtio 1.2, 5.1.6.2). */
uint16_t checksum_partial(uint32_t sum);

#endif
