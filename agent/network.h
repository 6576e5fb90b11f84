/* SPDX-License-Identifier: MIT */
/* network.h - a network card as a client wants it: addresses, routes, names. Called by machine.c. */
#ifndef CAPSA_AGENT_NETWORK_H
#define CAPSA_AGENT_NETWORK_H

#include <stddef.h>
#include <stdint.h>

/* What a client wants, as AGENT_NETWORK has it. Lists end with NULL. */
struct network_wanted {
	const char *mac; /* "": the only card */
	uint32_t mtu;    /* bytes; 0: as it is */
	char *const *addresses, *const *gateways, *const *nameservers, *const *search;
	const char *host_name; /* "": as it is */
};

/*
 * Brings it up, and the loopback. What stands already is no error, so that it can be said again. A kernel without IPv6
 * has the IPv4 part of it; the first card that has a gateway keeps the default route.
 *
 * /etc/resolv.conf and /etc/hosts are written where they are in memory. Where they are anybody's files (a host's folder
 * that is the guest's root), those stay as they are, and files of /run are mounted over them.
 *
 * 0, or -errno with what it is about in `what` (`room` bytes).
 */
int network_set(const struct network_wanted *wanted, char *what, size_t room);

#endif
