/* SPDX-License-Identifier: MIT */
/*
 * nat_namespace.h - a network of the test's own: a user and network namespace with loopback, and addresses on it that
 * are not loopback's, so that the host has a "far side" without a network.
 */
#ifndef CAPSA_TESTS_NAT_NAMESPACE_H
#define CAPSA_TESTS_NAT_NAMESPACE_H

#include <stdbool.h>

/* On loopback's interface. */
#define FAR_HOST "198.51.100.1"
#define FAR_HOST_2 "198.51.100.2"
#define FAR_HOST6 "2001:db8::1"
#define NO_ROUTE "203.0.113.1" /* nobody's */

/* Before any thread. NULL, or why not (no user namespaces, ...): a reason to skip. */
const char *namespace_enter(void);
/* Whether it has IPv6. */
bool namespace_has_ipv6(void);
/* FAR_HOST_2 goes and comes, as a network does that is unplugged. */
bool namespace_set_second(bool there);
/*
 * A route on loopback's interface: RTN_LOCAL, ...; `prefix`: "192.0.2.0/24". Table 0: that of local routes. False: it
 * could not be set.
 */
bool namespace_set_route(const char *prefix, unsigned char type, unsigned char table, bool there);
/* net.ipv4.ping_group_range of the namespace. False: it cannot be set ("none" is not for a user namespace). */
bool namespace_set_ping(bool permitted);

#endif
